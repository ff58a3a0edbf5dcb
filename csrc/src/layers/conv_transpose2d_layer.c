/*
 * Transposed convolution. To a plan it is what a normalisation is: a unit with parameters whose passes are whole, and whose
 * weight_grad tells all gradients and their bounds.
 */
#include "layer.h"
#include "../kernels/kernels.h"

/* Passes need no status: infer has checked the geometry. */
CGE_NOINLINE cge_status resolve_transposed(const cge_layer *l, const cge_shape *in, cge_conv2d_plan *p)
{
    cge_conv_transpose2d g;
    memcpy(&g, l->config, sizeof g);
    g.in_h = in->h;
    g.in_w = in->w;
    g.in_c = in->c;
    return cge_conv_transpose2d_resolve(&g, p);
}

static cge_status conv_transpose2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_conv2d_plan p;
    if (l->trains > 0 || (l->flags & CGE_NO_AFFINE) != 0) return CGE_ERR_ARGUMENT;
    CGE_TRY(cge_check_geometry_input(l->config, in));
    CGE_TRY(resolve_transposed(l, &in, &p));
    info->out.h = p.g.in_h, info->out.w = p.g.in_w, info->out.c = p.g.in_c;
    info->weight_shape[0] = p.g.kernel_h, info->weight_shape[1] = p.g.kernel_w;
    info->weight_shape[2] = p.group_in, info->weight_shape[3] = in.c;
    info->weight_elems = p.weight_elems;
    info->bias_elems = p.g.in_c;
    info->fan_in = p.weight_elems / p.g.in_c;
    info->fan_out = p.weight_elems / in.c;
    info->macs = (int64_t)p.weight_elems * in.h * in.w;
    return CGE_OK;
}

static void conv_transpose2d_forward(const cge_layer_call *c)
{
    cge_conv2d_plan p;
    int32_t i;
    (void)!resolve_transposed(c->layer, &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_conv_transpose2d_forward(&p, c->x + cge_sample(c->in, i), c->w, c->b, c->y + cge_sample(c->out, i));
}

static void conv_transpose2d_input_grad(const cge_layer_call *c)
{
    cge_conv2d_plan p;
    int32_t i;
    (void)!resolve_transposed(c->layer, &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_conv_transpose2d_input_grad(&p, c->w, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

/* The largest sum of |w| over what one input reaches. */
static cge_real transposed_gain(const cge_conv2d_plan *p, const cge_real *w)
{
    const int32_t channels = p->g.out_c;
    cge_real most = 0;
    int32_t c, i;
    for (c = 0; c < channels; c++) {
        cge_real sum = 0;
        for (i = c; i < p->weight_elems; i += channels) sum += w[i] < 0 ? -w[i] : w[i];
        if (!(sum <= most)) most = sum;
    }
    return most;
}

/* Of one sample: |dx| and |dw|, |db|, given that |dy| <= 1. An element of dw has a term of each input pixel at most, and one of
 * db has a term of each output pixel. */
CGE_NOINLINE void find_bounds(const cge_layer_call *c)
{
    const cge_real of_db = CGE_REAL(c->out.h * c->out.w);
    const cge_real of_dw = CGE_REAL(c->in.h * c->in.w) * cge_largest_magnitude(c->in.h * c->in.w * c->in.c, c->x);
    cge_conv2d_plan p;
    (void)!resolve_transposed(c->layer, &c->in, &p);
    c->bounds[0] = transposed_gain(&p, c->w);
    c->bounds[1] = c->layer->trains == CGE_TRAINS_BIAS || of_dw <= of_db ? of_db : of_dw;
}

CGE_NOINLINE void add_param_grads(const cge_layer_call *c)
{
    const int bias = c->db != NULL && c->part == 0, weight = c->dw != NULL;
    cge_range kernel_rows, weights;
    cge_conv2d_plan p;
    int32_t i;
    (void)!resolve_transposed(c->layer, &c->in, &p);
    kernel_rows = cge_part_of(p.g.kernel_h, c->parts, c->part);
    weights = cge_elems_of_rows(kernel_rows, p.g.kernel_h, p.weight_elems);
    if (!cge_adds(c) && weight) memset(c->dw + weights.begin, 0, (size_t)(weights.end - weights.begin) * sizeof *c->dw);
    if (!cge_adds(c) && bias) memset(c->db, 0, (size_t)c->out.c * sizeof *c->db);
    for (i = 0; i < c->count; i++) {
        const cge_real *dy = c->dy + cge_sample(c->out, i);
        if (weight) cge_run_conv_transpose2d_weight_grad(&p, c->x + cge_sample(c->in, i), dy, c->dw, kernel_rows);
        if (bias) cge_run_conv_transpose2d_bias_grad(&p, dy, c->db);
    }
}

/* dx, if it is asked for, comes last, since it may be x. */
static void conv_transpose2d_weight_grad(const cge_layer_call *c)
{
    if (c->bounds != NULL) {
        find_bounds(c);
        return;
    }
    add_param_grads(c);
    if (c->dx != NULL) conv_transpose2d_input_grad(c);
}

const cge_layer_kind cge_kind_conv_transpose2d = {
    13, sizeof(cge_conv_transpose2d), CGE_WEIGHT_GRAD_READS_X | CGE_BY_GROUPS | CGE_NEEDS_CONFIG,
    conv_transpose2d_infer, conv_transpose2d_forward, conv_transpose2d_weight_grad, conv_transpose2d_input_grad};
