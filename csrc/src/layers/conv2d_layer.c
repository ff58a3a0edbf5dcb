#include "layer.h"
#include "../kernels/kernels.h"

/* Passes need no status: the network checked the geometry when it was initialised. */
CGE_NOINLINE cge_status resolve_conv2d_layer(const cge_layer *l, const cge_shape *in, cge_conv2d_plan *p)
{
    p->g = *cge_conv2d_of(l);
    p->g.in_h = in->h;
    p->g.in_w = in->w;
    p->g.in_c = in->c;
    return cge_conv2d_resolve(&p->g, p);
}

static cge_status conv2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_conv2d_plan p;
    CGE_TRY(cge_check_geometry_input(l->config, in));
    CGE_TRY(resolve_conv2d_layer(l, &in, &p));
    info->out.h = p.out_h, info->out.w = p.out_w, info->out.c = p.g.out_c;
    info->weight_shape[0] = p.g.kernel_h, info->weight_shape[1] = p.g.kernel_w;
    info->weight_shape[2] = p.group_in, info->weight_shape[3] = p.g.out_c;
    info->weight_elems = p.weight_elems;
    info->bias_elems = p.g.out_c;
    info->fan_in = p.weight_elems / p.g.out_c;
    info->fan_out = p.weight_elems / p.group_in / p.g.groups;
    info->macs = (int64_t)p.weight_elems * p.out_h * p.out_w;
    return CGE_OK;
}

static void conv2d_forward(const cge_layer_call *c)
{
    cge_range rows = {0, c->out.h};
    cge_conv2d_plan p;
    int32_t i;
    (void)!resolve_conv2d_layer(c->layer, &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_conv2d_forward(&p, c->x + cge_sample(c->in, i), c->w, c->b, c->y + cge_sample(c->out, i), rows);
}

static void conv2d_weight_grad(const cge_layer_call *c)
{
    const cge_range rows = {0, c->out.h}, kernel_rows = cge_part_of(cge_conv2d_of(c->layer)->kernel_h, c->parts, c->part);
    const int bias = c->db != NULL && c->part == 0, weight = c->dw != NULL;
    cge_conv2d_plan p;
    cge_range weights;
    int32_t i;
    (void)!resolve_conv2d_layer(c->layer, &c->in, &p);
    cge_conv2d_narrow(&p, c->layer);
    weights = cge_elems_of_rows(kernel_rows, p.g.kernel_h, p.weight_elems);
    if (!cge_adds(c) && weight) memset(c->dw + weights.begin, 0, (size_t)(weights.end - weights.begin) * sizeof *c->dw);
    if (!cge_adds(c) && bias) memset(c->db, 0, (size_t)c->out.c * sizeof *c->db);
    for (i = 0; i < c->count; i++) {
        const cge_real *dy = c->dy + cge_sample(c->out, i);
        if (weight) cge_run_conv2d_weight_grad(&p, c->x + cge_sample(c->in, i), dy, c->dw, rows, kernel_rows);
        if (bias) cge_run_conv2d_bias_grad(&p, dy, c->db, rows);
    }
}

static void conv2d_input_grad(const cge_layer_call *c)
{
    cge_range rows = {0, c->in.h};
    cge_conv2d_plan p;
    int32_t i;
    (void)!resolve_conv2d_layer(c->layer, &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_conv2d_input_grad(&p, c->w, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i), rows);
}

const cge_layer_kind cge_kind_conv2d = {
    1, sizeof(cge_conv2d), CGE_WEIGHT_GRAD_READS_X | CGE_BY_ROWS | CGE_NEEDS_CONFIG,
    conv2d_infer, conv2d_forward, conv2d_weight_grad, conv2d_input_grad};
