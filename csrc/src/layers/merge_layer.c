/* Layers with two inputs: sums, and channels side by side. */
#include "layer.h"
#include "../kernels/kernels.h"

static cge_status add_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    (void)l;
    info->out = in;
    return memcmp(&in, &info->in2, sizeof in) == 0 ? CGE_OK : CGE_ERR_SHAPE;
}

static cge_status concat_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    (void)l;
    if (in.h != info->in2.h || in.w != info->in2.w) return CGE_ERR_SHAPE;
    if (info->in2.c > CGE_MAX_ELEMS - in.c) return CGE_ERR_OVERFLOW;
    info->out = in;
    info->out.c = in.c + info->in2.c;
    return cge_shape_elems(info->out) < 0 ? CGE_ERR_OVERFLOW : CGE_OK;
}

static void add_forward(const cge_layer_call *c)
{
    cge_add_apply((int32_t)cge_sample(c->out, c->count), c->x, c->x2, c->y);
}

static void add_input_grad(const cge_layer_call *c)
{
    cge_real *dx = c->dx != NULL ? c->dx : c->dx2;
    if (dx != c->dy) memcpy(dx, c->dy, cge_sample(c->out, c->count) * sizeof *dx);
}

/* Copies `channels` of each of n pixels between tensors that have `from` and `to` of them. */
static void copy_channels(int32_t n, int32_t channels, const cge_real *x, int32_t from, cge_real *y, int32_t to)
{
    for (; n > 0; n--, x += from, y += to) memcpy(y, x, (size_t)channels * sizeof *y);
}

static void concat_forward(const cge_layer_call *c)
{
    const int32_t pixels = c->count * c->out.h * c->out.w;
    copy_channels(pixels, c->in.c, c->x, c->in.c, c->y, c->out.c);
    copy_channels(pixels, c->in2.c, c->x2, c->in2.c, c->y + c->in.c, c->out.c);
}

static void concat_input_grad(const cge_layer_call *c)
{
    const int32_t pixels = c->count * c->out.h * c->out.w;
    if (c->dx != NULL)
        copy_channels(pixels, c->in.c, c->dy, c->out.c, c->dx, c->in.c);
    else
        copy_channels(pixels, c->in2.c, c->dy + c->in.c, c->out.c, c->dx2, c->in2.c);
}

const cge_layer_kind cge_kind_add = {11, 0, CGE_TWO_INPUTS | CGE_IN_PLACE, add_infer, add_forward, NULL, add_input_grad};
const cge_layer_kind cge_kind_concat = {12, 0, CGE_TWO_INPUTS, concat_infer, concat_forward, NULL, concat_input_grad};
