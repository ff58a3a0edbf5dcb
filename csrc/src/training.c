/*
 * Forward, loss, backward, update. A pass walks the layer table over at most `capacity` samples; a batch is a loop
 * over such passes that adds into the same gradients, so the bits do not depend on the capacity.
 */
#include "network.h"

#include "kernels/kernels.h"

#include <string.h>

/* Samples as the caller has them: number i of a batch is order[i], or i. */
typedef struct sample_list {
    const cge_real *x;
    const cge_targets *targets;
    const int32_t *order;
} sample_list;

static int32_t sample_index(const sample_list *s, int32_t i)
{
    return s->order != NULL ? s->order[i] : i;
}

static int32_t at_most(int32_t value, int32_t limit)
{
    return value < limit ? value : limit;
}

/* ---- tasks ----
 *
 * Work is cut into tasks that do not depend on each other: by samples, or by slices of what is summed over samples, so
 * that the order of additions into each element stays. Without an executor the caller's thread does it in one piece.
 */
#if CGE_HOST

/* Work of a task that is worth another thread: so many multiply-adds, or elements of what only passes over them, take
 * some microseconds, and a section of tasks about one to begin and end. */
#define TASK_WORK 16384
#define MAX_SLICES 64 /* of an update */

/* Tasks per thread. Two, so that a thread that was interrupted is caught up with; a weight gradient has one, since its
 * parts repeat what all of them need, and few kernel rows at a time fill no registers. Beside it four input gradients,
 * so that both threads end at about the same time: a step of net N takes 345 us instead of 357. But a layer without
 * pixels prepares its weights once for all samples of a task. */
enum { PER_THREAD = 2, WEIGHT_GRADS_PER_THREAD = 1, INPUT_GRADS_PER_THREAD = 4 };

/* How many tasks to cut `items` into. */
static int32_t tasks_for(const cge_network *net, int32_t per_thread, int32_t items, int64_t work)
{
    const cge_executor *executor = net->options.executor;
    int64_t tasks;
    if (executor == NULL || executor->threads < 2) return 1;
    tasks = per_thread * (int64_t)executor->threads;
    if (tasks > work / TASK_WORK) tasks = work / TASK_WORK;
    if (tasks > items) tasks = items;
    return tasks > 1 ? (int32_t)tasks : 1;
}

static void run_tasks(const cge_network *net, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    const cge_executor *executor = net->options.executor;
    int32_t i;
    if (executor != NULL && tasks > 1)
        executor->run(executor->context, task, argument, tasks);
    else
        for (i = 0; i < tasks; i++) task(argument, i);
}

/* Of layers begin .. end - 1 on one sample, in multiply-adds or elements. */
static int64_t layers_work(const cge_network *net, int32_t begin, int32_t end)
{
    const cge_layer_plan *plan = cge_layer_plans(net) + begin;
    int64_t work = 0;
    for (; begin < end; begin++, plan++)
        work += plan->weights != 0 ? (int64_t)plan->weights * plan->out.h * plan->out.w : cge_shape_elems(plan->in);
    return work;
}

/* The layers from `begin` to the one returned, excluded, may run one after the other on some samples whatever has become
 * of the others: what they write to is kept until the step ends, or held their own samples before. Memory that alternates
 * (plan.c) must not be written to while another thread still reads what was there. */
static int32_t section_end(const cge_network *net, int32_t begin)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    int32_t l = begin + 1;
    if (begin >= net->first_trainable) return net->model->layer_count;
    while (l < net->first_trainable && plans[l].y == plans[l - 1].y) l++;
    return l;
}

#else /* boards have one core for this: no code for more */

#define MAX_SLICES 1
enum { PER_THREAD, WEIGHT_GRADS_PER_THREAD, INPUT_GRADS_PER_THREAD };

static int32_t tasks_for(const cge_network *net, int32_t per_thread, int32_t items, int64_t work)
{
    (void)net, (void)per_thread, (void)items, (void)work;
    return 1;
}

CGE_INLINE void run_tasks(const cge_network *net, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    int32_t i;
    (void)net;
    for (i = 0; i < tasks; i++) task(argument, i);
}

static int64_t layers_work(const cge_network *net, int32_t begin, int32_t end)
{
    (void)net, (void)begin, (void)end;
    return 0;
}

static int32_t section_end(const cge_network *net, int32_t begin)
{
    (void)begin;
    return net->model->layer_count;
}

#endif

/* ---- passes over up to `capacity` samples ---- */

typedef struct pass {
    const cge_network *net;
    const cge_real *x;  /* [count][in_elems] */
    int32_t count;
    int32_t layer, end; /* of the section: layer .. end - 1 forward; layer .. end + 1, descending, backward */
    int32_t dy;         /* backward: where the gradient of the section's output lies */
    int32_t weight_tasks, sample_tasks;
} pass;

static int has_pixels(cge_shape s)
{
    return s.h * s.w > 1;
}

static cge_real *activation(const cge_network *net, int32_t offset, cge_shape shape, int32_t sample)
{
    return net->activations + offset + cge_sample(shape, sample);
}

static void set_call(cge_layer_call *c, const pass *p, int32_t l, cge_range samples)
{
    const cge_network *net = p->net;
    const cge_layer_plan *plans = cge_layer_plans(net), *plan = &plans[l];
    memset(c, 0, sizeof *c);
    c->layer = &net->model->layers[l];
    c->in = plan->in;
    c->out = plan->out;
    c->count = samples.end - samples.begin;
    c->x = l == 0 || plans[l - 1].y < 0 ? p->x + cge_sample(plan->in, samples.begin) : activation(net, plans[l - 1].y, plan->in, samples.begin);
    if (plan->y >= 0) c->y = activation(net, plan->y, plan->out, samples.begin);
    if (plan->weights == 0) return;
    c->w = net->params + plan->params;
    if (plan->biases != 0) c->b = c->w + plan->weights;
}

static void forward_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    int32_t l;
    for (l = p->layer; l < p->end; l++) {
        const cge_layer_kind *kind = p->net->model->layers[l].kind;
        cge_layer_call c;
        set_call(&c, p, l, samples);
        if (kind->forward != NULL) kind->forward(&c);
    }
}

/* Returns the last output, [count][out_elems]. */
CGE_NOINLINE const cge_real *pass_forward(const cge_network *net, const cge_real *x, int32_t count)
{
    const int32_t y = cge_layer_plans(net)[net->model->layer_count - 1].y;
    pass p = {net, x, count, 0, 0, 0, 0, 0};
    for (; p.layer < net->model->layer_count; p.layer = p.end) {
        p.end = section_end(net, p.layer);
        p.sample_tasks = tasks_for(net, PER_THREAD, count, layers_work(net, p.layer, p.end) * count);
        run_tasks(net, forward_task, &p, p.sample_tasks);
    }
    return y < 0 ? x : net->activations + y;
}

static void weight_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    cge_layer_call c;
    set_call(&c, p, p->layer, cge_part_of(p->count, 1, 0));
    c.dy = net->activations + p->dy;
    c.dw = net->grads + cge_layer_plans(net)[p->layer].grads;
    if (c.b != NULL) c.db = c.dw + (c.b - c.w);
    c.part = index;
    c.parts = p->weight_tasks;
    c.add = net->pending != 0;
    c.layer->kind->weight_grad(&c);
}

static void input_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    int32_t l, dy = p->dy;
    for (l = p->layer; l > p->end; l--) {
        cge_layer_call c;
        set_call(&c, p, l, samples);
        c.dy = activation(net, dy, c.out, samples.begin);
        dy = cge_layer_plans(net)[l].dx;
        c.dx = activation(net, dy, c.in, samples.begin);
        if (c.layer->kind->input_grad != NULL) c.layer->kind->input_grad(&c);
    }
}

static void backward_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    if (index < p->weight_tasks)
        weight_grad_task(p, index);
    else
        input_grad_task(p, index - p->weight_tasks);
}

/* The parameters' gradients, added to what is pending, given the gradient of the last output at net->loss_grad. Stops at the first
 * trainable layer: what lies before it needs no gradient. A section is one layer, with those before it that work in
 * place. */
CGE_NOINLINE void pass_backward(const cge_network *net, const cge_real *x, int32_t count)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    pass p = {net, x, count, 0, 0, 0, 0, 0};
    p.dy = net->loss_grad;
    for (p.layer = net->model->layer_count - 1; p.layer >= net->first_trainable; p.layer = p.end) {
        const cge_layer_plan *plan = &plans[p.layer];
        const int64_t work = layers_work(net, p.layer, p.layer + 1) * count;
        for (p.end = p.layer - 1; p.end > net->first_trainable && plans[p.end].dx == plan->dx;) p.end--;
        p.weight_tasks = plan->grads >= 0 ? tasks_for(net, WEIGHT_GRADS_PER_THREAD, plan->weights, work) : 0;
        p.sample_tasks = plan->dx >= 0 ? tasks_for(net, has_pixels(plan->out) ? INPUT_GRADS_PER_THREAD : PER_THREAD, count, work) : 0;
        run_tasks(net, backward_task, &p, p.weight_tasks + p.sample_tasks);
        p.dy = plan->dx;
    }
}

/* Samples begin .. begin + count - 1 in one piece: where they lie, or gathered. */
static const cge_real *contiguous_samples(const cge_network *net, const sample_list *s, int32_t begin, int32_t count)
{
    const size_t elems = (size_t)net->in_elems;
    int32_t i;
    if (s->order == NULL || count == 1) return s->x + (size_t)sample_index(s, begin) * elems;
    for (i = 0; i < count; i++)
        memcpy(net->staging + (size_t)i * elems, s->x + (size_t)sample_index(s, begin + i) * elems, elems * sizeof *s->x);
    return net->staging;
}

/* ---- sums of losses ---- */

typedef struct kahan_sum { /* Kahan 1965: the rounding error of each addition is carried to the next */
    cge_real sum, error;
} kahan_sum;

static void kahan_add(kahan_sum *k, cge_real value)
{
    cge_real corrected = value - k->error, next = k->sum + corrected;
    k->error = (next - k->sum) - corrected;
    k->sum = next;
}

/* ---- checks ---- */

static cge_status check_samples(const cge_network *net, const cge_real *x, int32_t count)
{
    CGE_TRY(cge_check_network(net));
    CGE_TRY(cge_check_buffer(x));
    return count < 1 ? CGE_ERR_ARGUMENT : CGE_OK;
}

static cge_status check_targets(const cge_network *net, const cge_targets *targets, int32_t count)
{
    int32_t i;
    if (targets == NULL) return CGE_ERR_NULL;
    if (net->model->loss == NULL) return CGE_ERR_MODE;
    if (!net->model->loss->uses_labels) return cge_check_buffer(targets->values);
    if (targets->labels == NULL) return CGE_ERR_NULL;
    if (!cge_is_aligned(targets->labels, sizeof(int32_t))) return CGE_ERR_ALIGN;
    for (i = 0; i < count; i++)
        if (targets->labels[i] < 0 || targets->labels[i] >= net->out_elems) return CGE_ERR_LABEL;
    return CGE_OK;
}

static cge_status check_loss_call(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, const cge_real *mean_loss)
{
    CGE_TRY(check_samples(net, x, count));
    CGE_TRY(cge_check_buffer(mean_loss));
    return check_targets(net, targets, count);
}

static cge_status check_training_mode(const cge_network *net)
{
    CGE_TRY(cge_check_network(net));
    return net->options.training ? CGE_OK : CGE_ERR_MODE;
}

static cge_status check_optimizer(const cge_network *net)
{
    const cge_optimizer_kind *kind = net->optimizer.kind;
    if (kind == NULL) return CGE_ERR_MODE;
    CGE_TRY(kind->check(&net->optimizer));
    return kind->has_velocity(&net->optimizer) && net->velocity == NULL && net->grad_elems > 0 ? CGE_ERR_MODE : CGE_OK;
}

/* ---- forward and evaluation ---- */

cge_status cge_network_forward(cge_network *net, const cge_real *x, int32_t count, cge_real *y)
{
    int32_t begin, n;
    CGE_TRY(check_samples(net, x, count));
    CGE_TRY(cge_check_buffer(y));
    for (begin = 0; begin < count; begin += n) {
        n = at_most(net->options.capacity, count - begin);
        memcpy(y + (size_t)begin * (size_t)net->out_elems, pass_forward(net, x + (size_t)begin * (size_t)net->in_elems, n),
               (size_t)n * (size_t)net->out_elems * sizeof *y);
    }
    return CGE_OK;
}

static int32_t argmax(const cge_real *y, int32_t n)
{
    int32_t i, best = 0;
    for (i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

cge_status cge_network_evaluate(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss, int32_t *correct)
{
    kahan_sum sum = {0, 0};
    int32_t begin, n, i, hits = 0;
    CGE_TRY(check_loss_call(net, x, targets, count, mean_loss));
    for (begin = 0; begin < count; begin += n) {
        const cge_real *y;
        n = at_most(net->options.capacity, count - begin);
        y = pass_forward(net, x + (size_t)begin * (size_t)net->in_elems, n);
        for (i = begin; i < begin + n; i++, y += net->out_elems) {
            kahan_add(&sum, net->model->loss->forward(net->out_elems, y, targets, i));
            if (net->model->loss->uses_labels && argmax(y, net->out_elems) == targets->labels[i]) hits++;
        }
    }
    *mean_loss = sum.sum / CGE_REAL(count);
    if (correct != NULL) *correct = hits;
    return CGE_OK;
}

/* ---- training ---- */

static void zero_grads(cge_network *net)
{
    memset(net->grads, 0, (size_t)net->grad_elems * sizeof *net->grads);
    net->pending = 0;
}

/* One pass; 0 if a loss is not finite. */
static int accumulate_pass(cge_network *net, const sample_list *s, int32_t begin, int32_t count, kahan_sum *losses)
{
    const cge_loss_kind *loss = net->model->loss;
    const int32_t n = net->out_elems;
    const cge_real *x = contiguous_samples(net, s, begin, count);
    const cge_real *y = pass_forward(net, x, count);
    int32_t i;
    for (i = 0; i < count; i++, y += n) {
        int32_t sample = sample_index(s, begin + i);
        cge_real value = loss->forward(n, y, s->targets, sample);
        if (!cge_run_all_finite(1, &value)) return 0;
        kahan_add(losses, value);
        if (net->loss_grad >= 0)
            loss->input_grad(n, y, s->targets, sample, net->activations + net->loss_grad + (size_t)i * (size_t)n);
    }
    pass_backward(net, x, count);
    net->pending += count;
    return 1;
}

static cge_status accumulate(cge_network *net, const sample_list *s, int32_t begin, int32_t count, kahan_sum *losses)
{
    const int32_t end = begin + count;
    int32_t n;
    for (; begin < end; begin += n) {
        n = at_most(net->options.capacity, end - begin);
        if (!accumulate_pass(net, s, begin, n, losses)) {
            zero_grads(net);
            return CGE_ERR_NOT_FINITE;
        }
    }
    return CGE_OK;
}

/* An update in slices of the gradients. */
typedef struct update_slices {
    cge_network *net;
    int32_t count;
    unsigned char finite[MAX_SLICES];
} update_slices;

static void check_slice(void *argument, int32_t index)
{
    update_slices *u = (update_slices *)argument;
    const cge_range r = cge_part_of(u->net->grad_elems, u->count, index);
    u->finite[index] = cge_run_all_finite(r.end - r.begin, u->net->grads + r.begin) != 0;
}

static int all_slices_finite(update_slices *u)
{
    int32_t i;
    run_tasks(u->net, check_slice, u, u->count);
    for (i = 0; i < u->count; i++)
        if (!u->finite[i]) return 0;
    return 1;
}

/* Each layer as far as it lies in the slice. Gradients of layers are adjacent; their parameters are not, if some are
 * frozen. */
static void update_slice(void *argument, int32_t index)
{
    const update_slices *u = (const update_slices *)argument;
    cge_network *net = u->net;
    const cge_layer_plan *plans = cge_layer_plans(net);
    const cge_real scale = CGE_REAL(1) / CGE_REAL(net->pending);
    const cge_range slice = cge_part_of(net->grad_elems, u->count, index);
    int32_t l;
    for (l = net->first_trainable; l < net->model->layer_count; l++) {
        const int32_t begin = plans[l].grads > slice.begin ? plans[l].grads : slice.begin;
        const int32_t end = at_most(plans[l].grads + plans[l].weights + plans[l].biases, slice.end);
        if (plans[l].grads < 0 || begin >= end) continue;
        net->optimizer.kind->update(end - begin, &net->optimizer, scale, net->grads + begin, net->params + plans[l].params + (begin - plans[l].grads),
                                    net->velocity != NULL ? net->velocity + begin : NULL);
    }
}

static cge_status update(cge_network *net)
{
    update_slices u;
    u.net = net;
    u.count = at_most(tasks_for(net, PER_THREAD, net->grad_elems, net->grad_elems), MAX_SLICES);
    if (!all_slices_finite(&u)) {
        zero_grads(net);
        return CGE_ERR_NOT_FINITE;
    }
    run_tasks(net, update_slice, &u, u.count);
    net->step_count++;
    net->pending = 0;
    return CGE_OK;
}

cge_status cge_network_zero_grads(cge_network *net)
{
    CGE_TRY(check_training_mode(net));
    zero_grads(net);
    return CGE_OK;
}

cge_status cge_network_accumulate(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss)
{
    sample_list s;
    kahan_sum losses = {0, 0};
    CGE_TRY(check_training_mode(net));
    CGE_TRY(check_loss_call(net, x, targets, count, mean_loss));
    if (count > INT32_MAX - net->pending) return CGE_ERR_OVERFLOW;
    s.x = x;
    s.targets = targets;
    s.order = NULL;
    CGE_TRY(accumulate(net, &s, 0, count, &losses));
    *mean_loss = losses.sum / CGE_REAL(count);
    return CGE_OK;
}

cge_status cge_network_update(cge_network *net)
{
    CGE_TRY(check_training_mode(net));
    CGE_TRY(check_optimizer(net));
    return net->pending == 0 ? CGE_ERR_MODE : update(net);
}

cge_status cge_network_train_batch(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss)
{
    return cge_network_train_epoch(net, x, targets, NULL, count, count, mean_loss);
}

static cge_status check_order(const int32_t *order, int32_t count)
{
    int32_t i;
    if (order == NULL) return CGE_OK;
    if (!cge_is_aligned(order, sizeof *order)) return CGE_ERR_ALIGN;
    for (i = 0; i < count; i++)
        if (order[i] < 0 || order[i] >= count) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

cge_status cge_network_train_epoch(cge_network *net, const cge_real *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, cge_real *mean_loss)
{
    sample_list s;
    kahan_sum losses = {0, 0};
    int32_t begin, n;
    CGE_TRY(check_training_mode(net));
    CGE_TRY(check_loss_call(net, x, targets, count, mean_loss));
    CGE_TRY(check_optimizer(net));
    CGE_TRY(check_order(order, count));
    if (batch_size < 1) return CGE_ERR_ARGUMENT;
    s.x = x;
    s.targets = targets;
    s.order = order;
    net->pending = 0;
    for (begin = 0; begin < count; begin += n) {
        n = at_most(batch_size, count - begin);
        CGE_TRY(accumulate(net, &s, begin, n, &losses));
        CGE_TRY(update(net));
    }
    *mean_loss = losses.sum / CGE_REAL(count);
    return CGE_OK;
}
