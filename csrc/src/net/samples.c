#include "samples.h"

CGE_INTERNAL cge_status cge_check_samples(const cge_network *net, const void *x, int32_t count)
{
    CGE_TRY(cge_check_network(net));
    if (x == NULL) return CGE_ERR_NULL;
    if (net->model->input_kind == NULL && !cge_is_aligned(x, sizeof(cge_real))) return CGE_ERR_ALIGN;
    return count < 1 ? CGE_ERR_ARGUMENT : CGE_OK;
}

/* Of samples begin .. end - 1 of the list. */
static cge_status check_targets(const cge_network *net, const cge_sample_list *s, int32_t begin, int32_t end)
{
    const cge_loss_kind *loss;
    if (s->targets == NULL) return CGE_ERR_NULL;
    if (net->model->loss == NULL) return CGE_ERR_MODE;
    loss = cge_loss_of(net, s->targets);
    return loss != NULL ? loss->check_targets(net, s->targets, s->order, begin, end) : CGE_ERR_NULL;
}

static cge_status check_order(const cge_sample_list *s, int32_t begin, int32_t end, int32_t count)
{
    int32_t i;
    if (s->order == NULL) return CGE_OK;
    if (!cge_is_aligned(s->order, sizeof *s->order)) return CGE_ERR_ALIGN;
    for (i = begin; i < end; i++)
        if (s->order[i] < 0 || s->order[i] >= count) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

CGE_INTERNAL cge_status cge_check_loss_call(const cge_network *net, const cge_sample_list *s, int32_t begin, int32_t end, int32_t count, const cge_real *mean_loss)
{
    CGE_TRY(cge_check_samples(net, s->x, count));
    CGE_TRY(cge_check_buffer(mean_loss));
    CGE_TRY(check_order(s, begin, end, count));
    return check_targets(net, s, begin, end);
}

CGE_INTERNAL cge_status cge_check_targets_call(const cge_network *net, const cge_sample_list *s, int32_t count)
{
    CGE_TRY(cge_check_samples(net, s->x, count));
    return check_targets(net, s, 0, count);
}

CGE_INTERNAL cge_status cge_check_part(const cge_progress *p, int32_t count, int32_t most, int32_t *end)
{
    if (p == NULL) return CGE_ERR_NULL;
    if (most < 1 || p->done < 0 || p->done >= count) return CGE_ERR_ARGUMENT;
    *end = p->done + cge_at_most(most, count - p->done);
    return CGE_OK;
}
