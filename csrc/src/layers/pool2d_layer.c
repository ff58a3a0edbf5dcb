/* Max, average and global average pooling: one geometry, three tables. */
#include "layer.h"
#include "../kernels/kernels.h"

/* Passes need no status: the network checked the geometry when it was initialised. */
CGE_NOINLINE cge_status resolve_pool2d_layer(const cge_pool2d *g, const cge_shape *in, cge_pool2d_plan *p)
{
    p->g = *g;
    p->g.in_h = in->h;
    p->g.in_w = in->w;
    p->g.in_c = in->c;
    return cge_pool2d_resolve(&p->g, p);
}

static cge_status infer_windows(const cge_pool2d *g, cge_shape in, cge_layer_info *info)
{
    cge_pool2d_plan p;
    CGE_TRY(resolve_pool2d_layer(g, &in, &p));
    info->out.h = p.out_h;
    info->out.w = p.out_w;
    info->out.c = in.c;
    return CGE_OK;
}

static cge_status pool2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    CGE_TRY(cge_check_geometry_input(l->config, in));
    if (cge_pool2d_of(l)->count_padding != 0 && (l->kind->traits & CGE_KEEPS_WINNERS) != 0) return CGE_ERR_ARGUMENT;
    return infer_windows(cge_pool2d_of(l), in, info);
}

/* Global pooling has no config: its window is the whole input. */
static cge_pool2d whole_input(cge_shape in)
{
    cge_pool2d g;
    memset(&g, 0, sizeof g);
    g.kernel_h = in.h;
    g.kernel_w = in.w;
    return g;
}

static cge_status global_pool2d_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    const cge_pool2d g = whole_input(in);
    (void)l;
    return infer_windows(&g, in, info);
}

static cge_pool2d_plan avgpool2d_plan(const cge_layer_call *c)
{
    const cge_pool2d g = c->layer->config != NULL ? *cge_pool2d_of(c->layer) : whole_input(c->in);
    cge_pool2d_plan p;
    (void)!resolve_pool2d_layer(&g, &c->in, &p);
    return p;
}

static void maxpool2d_forward(const cge_layer_call *c)
{
    cge_range rows = {0, c->out.h};
    cge_pool2d_plan p;
    int32_t i;
    (void)!resolve_pool2d_layer(cge_pool2d_of(c->layer), &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_forward(&p, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i), rows);
}

static void maxpool2d_input_grad(const cge_layer_call *c)
{
    cge_pool2d_plan p;
    int32_t i;
    (void)!resolve_pool2d_layer(cge_pool2d_of(c->layer), &c->in, &p);
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_input_grad(&p, c->x + cge_sample(c->in, i), c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

static void global_maxpool2d_forward(const cge_layer_call *c)
{
    const cge_pool2d_plan p = avgpool2d_plan(c);
    const cge_range rows = {0, 1};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_forward(&p, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i), rows);
}

static void global_maxpool2d_input_grad(const cge_layer_call *c)
{
    const cge_pool2d_plan p = avgpool2d_plan(c);
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_maxpool2d_input_grad(&p, c->x + cge_sample(c->in, i), c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

static void avgpool2d_forward(const cge_layer_call *c)
{
    cge_pool2d_plan p = avgpool2d_plan(c);
    cge_range rows = {0, p.out_h};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_avgpool2d_forward(&p, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i), rows);
}

static void avgpool2d_input_grad(const cge_layer_call *c)
{
    cge_pool2d_plan p = avgpool2d_plan(c);
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_avgpool2d_input_grad(&p, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));
}

const cge_layer_kind cge_kind_maxpool2d = {
    3, sizeof(cge_pool2d), CGE_INPUT_GRAD_READS_X | CGE_KEEPS_WINNERS | CGE_POOLS | CGE_NEEDS_CONFIG,
    pool2d_infer, maxpool2d_forward, NULL, maxpool2d_input_grad};
const cge_layer_kind cge_kind_avgpool2d = {
    4, sizeof(cge_pool2d), CGE_POOLS | CGE_NEEDS_CONFIG, pool2d_infer, avgpool2d_forward, NULL, avgpool2d_input_grad};
const cge_layer_kind cge_kind_global_avgpool2d = {
    5, 0, CGE_SUMS_ROWS, global_pool2d_infer, avgpool2d_forward, NULL, avgpool2d_input_grad};
const cge_layer_kind cge_kind_global_maxpool2d = {
    45, 0, CGE_INPUT_GRAD_READS_X, global_pool2d_infer, global_maxpool2d_forward, NULL, global_maxpool2d_input_grad};
