/*
 * Forward, loss, backward, update. A batch is a loop over passes of at most `capacity` samples that add into the same
 * gradients, so the bits do not depend on the capacity.
 */
#include "samples.h"
#include "tasks.h"
#include "trained_params.h"
#include "units.h"

#include "../base/fp_mode.h"

#include <string.h>

/* ---- checks ---- */

/* Gradients are collected, so that several samples can make a step. */
static cge_status check_collects(const cge_network *net)
{
    CGE_TRY(cge_check_network(net));
    return net->options.training && net->grads != NULL ? CGE_OK : CGE_ERR_MODE;
}

CGE_INTERNAL cge_status cge_check_training_mode(const cge_network *net)
{
    CGE_TRY(cge_check_network(net));
    return net->options.training ? CGE_OK : CGE_ERR_MODE;
}

CGE_INTERNAL cge_status cge_check_optimizer(const cge_network *net)
{
    const cge_optimizer_kind *kind = net->optimizer.kind;
    if (kind == NULL) return CGE_ERR_MODE;
    CGE_TRY(kind->check(&net->optimizer));
    return kind->slots(&net->optimizer) * net->grad_elems > net->velocity_elems ? CGE_ERR_MODE : CGE_OK;
}

/* ---- gradients ---- */

/* Samples begin .. begin + count - 1 in one piece: where they lie, or gathered. */
static const void *contiguous_samples(const cge_network *net, const cge_sample_list *s, int32_t begin, int32_t count)
{
    const size_t bytes = cge_sample_bytes(net);
    int32_t i;
    if (s->order == NULL || count == 1) return cge_sample_at(net, s->x, cge_sample_index(s, begin));
    for (i = 0; i < count; i++)
        memcpy((unsigned char *)net->staging + (size_t)i * bytes, cge_sample_at(net, s->x, cge_sample_index(s, begin + i)), bytes);
    return net->staging;
}

static void zero_grads(cge_network *net)
{
    if (net->grads != NULL) memset(net->grads, 0, (size_t)net->grad_elems * sizeof *net->grads);
    net->pending = 0;
}

static int learn_by_plan(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin, int32_t count,
                         cge_progress *losses)
{
    if (!cge_level_of(&net->options)->learn_pass(net, x, s, begin, count, losses)) return 0;
    net->pending += count;
    return 1;
}

/* One pass; 0 if a loss is not finite. */
static int accumulate_pass(cge_network *net, const cge_sample_list *s, int32_t begin, int32_t count, cge_progress *losses)
{
    const cge_loss_kind *loss = cge_loss_of(net, s->targets);
    const int32_t n = net->out_elems;
    const void *x = contiguous_samples(net, s, begin, count);
    const cge_real *y;
    int32_t i;
    if (net->pending == 0 && (!CGE_HOST || cge_runs_units(&net->options))) zero_grads(net); /* see cge_layer_call.add */
    if (cge_runs_units(&net->options)) return learn_by_plan(net, x, s, begin, count, losses);
    y = cge_pass_forward(net, net->params, x, count, 1);
    for (i = 0; i < count; i++, y += n) {
        int32_t sample = cge_sample_index(s, begin + i);
        cge_real value = loss->forward(net, y, s->targets, sample);
        if (!cge_is_finite(value)) return 0;
        cge_add_loss(losses, value);
        if (net->loss_grad >= 0)
            loss->input_grad(net, y, s->targets, sample, net->activations + net->loss_grad + (size_t)i * (size_t)n);
    }
    cge_pass_backward(net, x, count);
    net->pending += count;
    return 1;
}

static cge_status accumulate(cge_network *net, const cge_sample_list *s, int32_t begin, int32_t count, cge_progress *losses)
{
    const int32_t end = begin + count;
    int32_t n;
    for (; begin < end; begin += n) {
        n = cge_at_most(net->options.capacity, end - begin);
        if (!accumulate_pass(net, s, begin, n, losses)) {
            zero_grads(net);
            return CGE_ERR_NOT_FINITE;
        }
    }
    return CGE_OK;
}

/* `elems` parameters w, whose gradients begin at `grads`: those in the slice. Returns 0 if a check fails. */
static int update_part(const cge_network *net, const cge_optimizer *o, int checks, cge_range slice, int32_t grads,
                       int32_t elems, const cge_real *w)
{
    const cge_real scale = CGE_REAL(1) / CGE_REAL(net->pending);
    const int32_t begin = grads > slice.begin ? grads : slice.begin, n = cge_at_most(grads + elems, slice.end) - begin;
    const cge_real *dw = net->grads + begin;
    cge_real *v = net->velocity != NULL ? net->velocity + begin : NULL;
    if (n <= 0) return 1;
    w += begin - grads;
    if (checks) return o->kind->stays_finite(n, o, scale, dw, w, v);
    o->kind->update(n, o, scale, dw, cge_writable(w), v);
    return 1;
}

/* What layer l learns: parts of its weights, and its biases. */
static int update_layer(const cge_network *net, int checks, cge_range slice, int32_t l)
{
    const cge_layer *layer = &net->model->layers[l];
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    const cge_trained t = cge_trained_weights(layer, plan->weights);
    const cge_layer_weights at = cge_weights_of(net, net->params, l);
    cge_optimizer o = net->optimizer;
    int32_t tap, grads = plan->grads;
    int finite = 1;
    if (grads < 0) return 1;
    cge_scale_rate(&o, layer->learning_rate_factor);
    for (tap = 0; tap < t.taps; tap++, grads += t.run)
        finite &= update_part(net, &o, checks, slice, grads, t.run, at.w + tap * t.pitch);
    return finite & update_part(net, &o, checks, slice, grads, plan->biases, at.b);
}

/* What learns as far as it lies in the slice. Gradients of layers are adjacent; their parameters are not, if some do not
 * learn. */
CGE_INTERNAL int cge_update_range(const cge_network *net, int checks, cge_range slice)
{
    int32_t l;
    int finite = 1;
    for (l = 0; l < net->model->layer_count; l++) finite &= update_layer(net, checks, slice, l);
    return finite;
}

/* An update in slices of the gradients: first all are checked, then all are applied. */
typedef struct update_slices {
    const cge_network *net;
    int32_t count;
    int checks;
} update_slices;

static int update_slice(void *argument, int32_t index)
{
    const update_slices *u = (const update_slices *)argument;
    return cge_update_range(u->net, u->checks, cge_part_of(u->net->grad_elems, u->count, index));
}

static int update_all(const cge_network *net, int checks)
{
    update_slices u;
    u.net = net;
    u.count = cge_at_most(cge_tasks_for(net, CGE_PER_THREAD, net->grad_elems, net->grad_elems), CGE_MAX_TOLD);
    u.checks = checks;
    return cge_all_tasks(net, update_slice, &u, u.count);
}

static cge_status learned(cge_network *net)
{
    net->step_count++;
    net->pending = 0;
    return CGE_OK;
}

static cge_status update(cge_network *net)
{
    if (net->grads == NULL) return learned(net);
    if (net->optimizer.kind->begin != NULL) (void)net->optimizer.kind->begin(net);
    if (!update_all(net, 1)) {
        zero_grads(net);
        return CGE_ERR_NOT_FINITE;
    }
    (void)update_all(net, 0);
    return learned(net);
}

cge_status cge_network_zero_grads(cge_network *net)
{
    CGE_TRY(check_collects(net));
    CGE_TRY(cge_network_take(net));
    zero_grads(net);
    cge_network_release(net);
    return CGE_OK;
}

static cge_status accumulate_batch(cge_network *net, const cge_sample_list *s, int32_t count, cge_progress *losses)
{
    return count > INT32_MAX - net->pending ? CGE_ERR_OVERFLOW : accumulate(net, s, 0, count, losses);
}

cge_status cge_network_accumulate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss)
{
    CGE_OWN_FP_MODE
    const cge_sample_list s = {x, targets, NULL};
    cge_progress losses = {0, 0, 0, 0, 0};
    cge_status status;
    CGE_TRY(check_collects(net));
    CGE_TRY(cge_check_loss_call(net, &s, 0, count, count, mean_loss));
    CGE_TRY(cge_network_take(net));
    status = accumulate_batch(net, &s, count, &losses);
    cge_network_release(net);
    if (status == CGE_OK) *mean_loss = cge_loss_mean(&losses, count);
    return status;
}

cge_status cge_network_update(cge_network *net)
{
    CGE_OWN_FP_MODE
    cge_status status;
    CGE_TRY(check_collects(net));
    CGE_TRY(cge_check_optimizer(net));
    CGE_TRY(cge_network_take(net));
    status = net->pending == 0 ? CGE_ERR_MODE : update(net);
    cge_network_release(net);
    return status;
}

/* The rest of a batch, as far as it lies before `end`. */
static cge_status train_some(cge_network *net, const cge_sample_list *s, int32_t count, int32_t batch_size, int32_t end, cge_progress *p)
{
    const int32_t rest = cge_at_most(batch_size - p->done % batch_size, count - p->done), n = cge_at_most(rest, end - p->done);
    CGE_TRY(accumulate(net, s, p->done, n, p));
    p->done += n;
    return n == rest ? update(net) : CGE_OK;
}

/* Samples p->done .. end - 1. */
static cge_status train_samples(cge_network *net, const cge_sample_list *s, int32_t count, int32_t batch_size, int32_t end, cge_progress *p)
{
    const int32_t waiting = p->done % batch_size;
    if (waiting != 0 && waiting != net->pending) return CGE_ERR_MODE;
    net->pending = waiting;
    while (p->done < end) CGE_TRY(train_some(net, s, count, batch_size, end, p));
    return CGE_OK;
}

static cge_status train(cge_network *net, const cge_sample_list *s, int32_t count, int32_t batch_size, int32_t most, cge_progress *p, cge_real *mean_loss)
{
    CGE_OWN_FP_MODE
    int32_t end;
    cge_status status;
    CGE_TRY(cge_check_training_mode(net));
    CGE_TRY(cge_check_part(p, count, most, &end));
    CGE_TRY(cge_check_loss_call(net, s, p->done, end, count, mean_loss));
    CGE_TRY(cge_check_optimizer(net));
    if (batch_size < 1 || (net->grads == NULL && batch_size > 1)) return CGE_ERR_ARGUMENT;
    CGE_TRY(cge_network_take(net));
    status = train_samples(net, s, count, batch_size, end, p);
    cge_network_release(net);
    if (status == CGE_OK) *mean_loss = cge_loss_mean(p, p->done);
    return status;
}

cge_status cge_network_train_batch(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss)
{
    return cge_network_train_epoch(net, x, targets, NULL, count, count, mean_loss);
}

cge_status cge_network_train_epoch(cge_network *net, const void *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, cge_real *mean_loss)
{
    const cge_sample_list s = {x, targets, order};
    cge_progress p = {0, 0, 0, 0, 0};
    return train(net, &s, count, batch_size, count, &p, mean_loss);
}

cge_status cge_network_train_epoch_part(cge_network *net, const void *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, int32_t most, cge_progress *progress, cge_real *mean_loss)
{
    const cge_sample_list s = {x, targets, order};
    return train(net, &s, count, batch_size, most, progress, mean_loss);
}
