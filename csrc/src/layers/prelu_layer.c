/*
 * PReLU as a layer. To a network it is a normalisation: it reads x, has parameters by channels, and works on a sample as a
 * whole.
 */
#include "layer.h"
#include "../kernels/kernels.h"

static int32_t slopes_of(const cge_layer *l)
{
    const cge_prelu *config = (const cge_prelu *)l->config;
    return config != NULL && config->slopes != 0 ? config->slopes : 1;
}

static cge_status prelu_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    const int32_t slopes = slopes_of(l);
    if (l->init != 0 || l->trains > 0 || (l->flags & ~CGE_FROZEN) != 0) return CGE_ERR_ARGUMENT;
    if (slopes != 1 && slopes != in.c) return CGE_ERR_SHAPE;
    info->out = in;
    info->weight_shape[0] = slopes;
    info->weight_elems = slopes;
    info->start = 0.25f;
    return CGE_OK;
}

static void prelu_forward(const cge_layer_call *c)
{
    cge_prelu_apply((int32_t)cge_sample(c->in, c->count), slopes_of(c->layer), c->x, c->w, c->y);
}

/* With |dy| <= 1: |dx| <= 1 or |w|, |dw| <= sum |x|. */
static void prelu_bounds(const cge_layer_call *c)
{
    const int32_t n = (int32_t)cge_sample(c->in, 1);
    c->bounds[0] = CGE_REAL(1) + cge_largest_magnitude(slopes_of(c->layer), c->w);
    c->bounds[1] = CGE_REAL(n) * cge_largest_magnitude(n, c->x);
}

/* Sample by sample, so that the bits do not depend on how many there are. */
static void prelu_weight_grad(const cge_layer_call *c)
{
    const int32_t slopes = slopes_of(c->layer), n = (int32_t)cge_sample(c->in, 1);
    const cge_range of = cge_part_of(slopes, c->parts, c->part);
    int32_t i;
    if (c->bounds != NULL) {
        prelu_bounds(c);
        return;
    }
    if (!cge_adds(c)) memset(c->dw + of.begin, 0, (size_t)(of.end - of.begin) * sizeof *c->dw);
    for (i = 0; i < c->count; i++) {
        const size_t at = cge_sample(c->in, i);
        cge_prelu_weight_grad(n, slopes, c->x + at, c->dy + at, c->dw, of);
        if (c->dx != NULL) cge_prelu_grad(n, slopes, c->x + at, c->w, c->dy + at, c->dx + at, of);
    }
}

static void prelu_input_grad(const cge_layer_call *c)
{
    const int32_t slopes = slopes_of(c->layer);
    cge_prelu_grad((int32_t)cge_sample(c->in, c->count), slopes, c->x, c->w, c->dy, c->dx, cge_part_of(slopes, 1, 0));
}

#define PRELU_TRAITS (CGE_WEIGHT_GRAD_READS_X | CGE_INPUT_GRAD_READS_X | CGE_BY_GROUPS)

const cge_layer_kind cge_kind_prelu = {
    62, sizeof(cge_prelu), PRELU_TRAITS, prelu_infer, prelu_forward, prelu_weight_grad, prelu_input_grad};
