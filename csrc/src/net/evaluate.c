/* Forward passes and evaluation: a batch is a loop over passes of at most `capacity` samples. */
#include "samples.h"

#include "../base/exclusive.h"
#include "../base/fp_mode.h"

#include <string.h>

static void forward(const cge_network *net, const void *x, int32_t count, cge_real *y)
{
    const cge_real *const params = CGE_LOAD_POINTER(net->params);
    int32_t begin, n;
    for (begin = 0; begin < count; begin += n) {
        n = cge_at_most(cge_forward_capacity(net), count - begin);
        memcpy(y + (size_t)begin * (size_t)net->out_elems, cge_pass_forward(net, params, cge_sample_at(net, x, begin), n, 0),
               (size_t)n * (size_t)net->out_elems * sizeof *y);
    }
}

cge_status cge_network_forward(cge_network *net, const void *x, int32_t count, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(cge_check_samples(net, x, count));
    CGE_TRY(cge_check_buffer(y));
    CGE_TRY(cge_network_take(net));
    forward(net, x, count, y);
    cge_network_release(net);
    return CGE_OK;
}

CGE_INTERNAL void cge_note_sample(const cge_network *net, const cge_real *y, const cge_targets *targets, int32_t sample, cge_progress *p)
{
    const cge_scored scored = {net->model->loss, y, net->out_elems, sample, targets};
    cge_note_loss(p, cge_loss_of(net, targets)->forward(net, y, targets, sample), &scored);
}

/* Samples p->done .. end - 1. */
static void evaluate_samples(const cge_network *net, const cge_sample_list *s, int32_t end, cge_progress *p)
{
    const cge_real *const params = CGE_LOAD_POINTER(net->params);
    int32_t n, i;
    for (; p->done < end; p->done += n) {
        const cge_real *y;
        n = cge_at_most(cge_forward_capacity(net), end - p->done);
        y = cge_pass_forward(net, params, cge_sample_at(net, s->x, p->done), n, 0);
        for (i = p->done; i < p->done + n; i++, y += net->out_elems) cge_note_sample(net, y, s->targets, i, p);
    }
}

static cge_status evaluate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t most, cge_progress *p, cge_real *mean_loss)
{
    CGE_OWN_FP_MODE
    const cge_sample_list s = {x, targets, NULL};
    int32_t end;
    CGE_TRY(cge_check_part(p, count, most, &end));
    CGE_TRY(cge_check_loss_call(net, &s, p->done, end, count, mean_loss));
    CGE_TRY(cge_network_take(net));
    evaluate_samples(net, &s, end, p);
    cge_network_release(net);
    *mean_loss = cge_loss_mean(p, p->done);
    return CGE_OK;
}

cge_status cge_network_evaluate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss, int32_t *correct)
{
    cge_progress p = {0, 0, 0, 0, 0};
    CGE_TRY(evaluate(net, x, targets, count, count, &p, mean_loss));
    if (correct != NULL) *correct = p.correct;
    return CGE_OK;
}

cge_status cge_network_evaluate_part(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t most, cge_progress *progress, cge_real *mean_loss)
{
    return evaluate(net, x, targets, count, most, progress, mean_loss);
}
