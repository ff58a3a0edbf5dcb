/* Max, average and global average pooling: one geometry, three tables. */
#include "layer.h"
#include "../kernels/kernels.h"

static cge_pool2d pool2d_geometry(const cge_layer *l, cge_shape in)
{
    cge_pool2d g;
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c;
    g.kernel_h = l->kernel_h, g.kernel_w = l->kernel_w;
    g.stride_h = l->stride_h, g.stride_w = l->stride_w;
    g.pad_top = l->pad_top, g.pad_left = l->pad_left;
    g.pad_bottom = l->pad_bottom, g.pad_right = l->pad_right;
    return g;
}

/* A layer of global_avgpool2d has no window of its own (kernel 0): its window is the whole input. */
static void widen_window(cge_pool2d *g)
{
    g->kernel_h = g->in_h;
    g->kernel_w = g->in_w;
}

static cge_pool2d_plan pool2d_plan(const cge_layer_call *c)
{
    cge_pool2d g = pool2d_geometry(c->layer, c->in);
    cge_pool2d_plan p;
    if (g.kernel_h == 0) widen_window(&g);
    (void)!cge_pool2d_resolve(&g, &p); /* checked by infer */
    return p;
}

static cge_status pool2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_pool2d g = pool2d_geometry(l, in);
    return cge_pool2d_output_shape(&g, &info->out);
}

static cge_status global_avgpool2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_pool2d g = pool2d_geometry(l, in);
    widen_window(&g);
    return cge_pool2d_output_shape(&g, &info->out);
}

static void maxpool2d_forward(const cge_layer_call *c)
{
    cge_pool2d_plan p = pool2d_plan(c);
    cge_range rows = {0, p.out_h};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_forward(&p, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i), rows);
}

static void maxpool2d_input_grad(const cge_layer_call *c)
{
    cge_pool2d_plan p = pool2d_plan(c);
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_input_grad(&p, c->x + cge_sample(c->in, i), c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

static void avgpool2d_forward(const cge_layer_call *c)
{
    cge_pool2d_plan p = pool2d_plan(c);
    cge_range rows = {0, p.out_h};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_avgpool2d_forward(&p, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i), rows);
}

static void avgpool2d_input_grad(const cge_layer_call *c)
{
    cge_pool2d_plan p = pool2d_plan(c);
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_avgpool2d_input_grad(&p, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

const cge_layer_kind cge_kind_maxpool2d = {
    3, CGE_INPUT_GRAD_READS_X, CGE_USES_WINDOW, pool2d_infer, maxpool2d_forward, NULL, maxpool2d_input_grad};
const cge_layer_kind cge_kind_avgpool2d = {
    4, 0, CGE_USES_WINDOW, pool2d_infer, avgpool2d_forward, NULL, avgpool2d_input_grad};
const cge_layer_kind cge_kind_global_avgpool2d = {
    5, 0, 0, global_avgpool2d_infer, avgpool2d_forward, NULL, avgpool2d_input_grad};
