/* Dropout: in training alone. The mask is that of the step, the sample and the layer, forward and backward. */
#include "layer.h"
#include "../kernels/kernels.h"

static cge_status dropout_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    info->out = in;
    return cge_is_dropout_rate(cge_dropout_of(l)->p) && cge_dropout_of(l)->layer >= 0 ? CGE_OK : CGE_ERR_ARGUMENT;
}

/* Number of a call's first sample in the step. */
static uint32_t first_of_step(const cge_draw *d)
{
    const cge_network *net = d->net;
    const int32_t done = net->step.task != NULL ? net->step.losses.done : 0;
    return (uint32_t)(net->pending + net->pass_sample + done + d->sample);
}

static void drop(const cge_layer_call *c, const cge_real *x, cge_real *y)
{
    const cge_dropout *d = cge_dropout_of(c->layer);
    const int32_t n = c->in.h * c->in.w * c->in.c, layer = d->layer > 0 ? d->layer - 1 : c->draw.layer;
    const uint32_t first = first_of_step(&c->draw);
    int32_t i;
    for (i = 0; i < c->count; i++) {
        const uint64_t key = cge_dropout_key((uint32_t)d->seed, layer, c->draw.net->step_count, first + (uint32_t)i);
        cge_run_dropout(n, d->p, key, c->first, x + cge_sample(c->in, i), y + cge_sample(c->in, i));
    }
}

static void dropout_forward(const cge_layer_call *c)
{
    if (c->draw.trains) drop(c, c->x, c->y);
    else if (c->y != c->x) memcpy(c->y, c->x, cge_sample(c->in, c->count) * sizeof *c->y);
}

static void dropout_input_grad(const cge_layer_call *c)
{
    drop(c, c->dy, c->dx);
}

const cge_layer_kind cge_kind_dropout = {
    43, sizeof(cge_dropout), CGE_IN_PLACE | CGE_DROPS | CGE_NEEDS_CONFIG, dropout_infer, dropout_forward, NULL, dropout_input_grad};
