#include "layer.h"
#include "../kernels/kernels.h"

static cge_conv2d conv2d_geometry(const cge_layer *l, cge_shape in)
{
    cge_conv2d g;
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c, g.out_c = l->units;
    g.kernel_h = l->kernel_h, g.kernel_w = l->kernel_w;
    g.stride_h = l->stride_h, g.stride_w = l->stride_w;
    g.dilation_h = l->dilation_h, g.dilation_w = l->dilation_w;
    g.pad_top = l->pad_top, g.pad_left = l->pad_left;
    g.pad_bottom = l->pad_bottom, g.pad_right = l->pad_right;
    g.groups = l->groups;
    return g;
}

/* The network checked the geometry when it was initialised: it resolves. */
static cge_conv2d_plan conv2d_plan(const cge_layer_call *c)
{
    cge_conv2d g = conv2d_geometry(c->layer, c->in);
    cge_conv2d_plan p;
    (void)!cge_conv2d_resolve(&g, &p);
    return p;
}

static cge_status conv2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_conv2d g = conv2d_geometry(l, in);
    cge_conv2d_plan p;
    CGE_TRY(cge_conv2d_resolve(&g, &p));
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
    cge_conv2d_plan p = conv2d_plan(c);
    cge_range rows = {0, p.out_h};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_conv2d_forward(&p, c->x + cge_sample(c->in, i), c->w, c->b, c->y + cge_sample(c->out, i), rows);
}

static void conv2d_weight_grad(const cge_layer_call *c)
{
    cge_conv2d_plan p = conv2d_plan(c);
    const cge_range rows = {0, p.out_h}, kernel_rows = cge_part_of(p.g.kernel_h, c->parts, c->part);
    const cge_range weights = cge_elems_of_rows(kernel_rows, p.g.kernel_h, p.weight_elems);
    const int bias = c->db != NULL && c->part == 0;
    int32_t i;
    if (!c->add) {
        memset(c->dw + weights.begin, 0, (size_t)(weights.end - weights.begin) * sizeof *c->dw);
        if (bias) memset(c->db, 0, (size_t)c->out.c * sizeof *c->db);
    }
    for (i = 0; i < c->count; i++) {
        const cge_real *dy = c->dy + cge_sample(c->out, i);
        cge_run_conv2d_weight_grad(&p, c->x + cge_sample(c->in, i), dy, c->dw, rows, kernel_rows);
        if (bias) cge_run_conv2d_bias_grad(&p, dy, c->db, rows);
    }
}

static void conv2d_input_grad(const cge_layer_call *c)
{
    cge_conv2d_plan p = conv2d_plan(c);
    cge_range rows = {0, p.g.in_h};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_conv2d_input_grad(&p, c->w, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i), rows);
}

const cge_layer_kind cge_kind_conv2d = {
    1, CGE_WEIGHT_GRAD_READS_X, CGE_USES_UNITS | CGE_USES_WINDOW | CGE_USES_TAPS,
    conv2d_infer, conv2d_forward, conv2d_weight_grad, conv2d_input_grad};
