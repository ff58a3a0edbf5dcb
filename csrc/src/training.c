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

/* ---- passes over up to `capacity` samples ---- */

static cge_layer_call layer_call(const cge_network *net, int32_t l, const cge_real *x, int32_t count)
{
    const cge_layer_plan *plans = cge_layer_plans(net), *plan = &plans[l];
    cge_layer_call c;
    memset(&c, 0, sizeof c);
    c.layer = &net->model->layers[l];
    c.in = plan->in;
    c.out = plan->out;
    c.count = count;
    c.x = l == 0 || plans[l - 1].y < 0 ? x : net->activations + plans[l - 1].y;
    if (plan->y >= 0) c.y = net->activations + plan->y;
    if (plan->weights == 0) return c;
    c.w = net->params + plan->params;
    if (plan->biases != 0) c.b = c.w + plan->weights;
    return c;
}

/* Returns the last output, [count][out_elems]. */
static const cge_real *pass_forward(const cge_network *net, const cge_real *x, int32_t count)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    int32_t l, last = net->model->layer_count - 1;
    for (l = 0; l <= last; l++) {
        const cge_layer_kind *kind = net->model->layers[l].kind;
        cge_layer_call c = layer_call(net, l, x, count);
        if (kind->forward != NULL) kind->forward(&c);
    }
    return plans[last].y < 0 ? x : net->activations + plans[last].y;
}

/* Adds the parameters' gradients, given the gradient of the last output at net->loss_grad. Stops at the first
 * trainable layer: what lies before it needs no gradient. */
static void pass_backward(const cge_network *net, const cge_real *x, int32_t count)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    int32_t l, dy = net->loss_grad;
    for (l = net->model->layer_count - 1; l >= net->first_trainable; l--) {
        const cge_layer_kind *kind = net->model->layers[l].kind;
        cge_layer_call c = layer_call(net, l, x, count);
        c.dy = net->activations + dy;
        if (plans[l].grads >= 0) {
            c.dw = net->grads + plans[l].grads;
            if (c.b != NULL) c.db = c.dw + (c.b - c.w);
            kind->weight_grad(&c);
        }
        if (plans[l].dx >= 0 && kind->input_grad != NULL) {
            c.dx = net->activations + plans[l].dx;
            kind->input_grad(&c);
        }
        dy = plans[l].dx;
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
        if (!cge_all_finite(1, &value)) return 0;
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

static cge_status update(cge_network *net)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    const cge_real scale = CGE_REAL(1) / CGE_REAL(net->pending);
    int32_t l;
    if (!cge_all_finite(net->grad_elems, net->grads)) {
        zero_grads(net);
        return CGE_ERR_NOT_FINITE;
    }
    for (l = net->first_trainable; l < net->model->layer_count; l++) {
        if (plans[l].grads < 0) continue;
        net->optimizer.kind->update(plans[l].weights + plans[l].biases, &net->optimizer, scale, net->grads + plans[l].grads,
                                    net->params + plans[l].params, net->velocity != NULL ? net->velocity + plans[l].grads : NULL);
    }
    net->step_count++;
    zero_grads(net);
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
    zero_grads(net);
    for (begin = 0; begin < count; begin += n) {
        n = at_most(batch_size, count - begin);
        CGE_TRY(accumulate(net, &s, begin, n, &losses));
        CGE_TRY(update(net));
    }
    *mean_loss = losses.sum / CGE_REAL(count);
    return CGE_OK;
}
