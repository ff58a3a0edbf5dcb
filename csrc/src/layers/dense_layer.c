#include "layer.h"
#include "../kernels/kernels.h"

static int32_t dense_inputs(cge_shape in)
{
    return in.h * in.w * in.c;
}

static cge_status dense_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    const int32_t inputs = dense_inputs(in), units = ((const cge_dense *)l->config)->units;
    int32_t weights;
    if (units < 1) return CGE_ERR_SHAPE;
    weights = cge_elems3(inputs, units, 1);
    if (weights < 0) return CGE_ERR_OVERFLOW;
    info->out.h = 1, info->out.w = 1, info->out.c = units;
    info->weight_shape[0] = inputs, info->weight_shape[1] = units;
    info->weight_shape[2] = 1, info->weight_shape[3] = 1;
    info->weight_elems = weights;
    info->bias_elems = units;
    info->fan_in = inputs;
    info->fan_out = units;
    info->macs = weights;
    return CGE_OK;
}

static void dense_forward(const cge_layer_call *c)
{
    cge_run_dense_forward(dense_inputs(c->in), c->out.c, c->count, c->x, c->w, c->b, c->y);
}

static void dense_weight_grad(const cge_layer_call *c)
{
    const int32_t inputs = dense_inputs(c->in), learning = c->layer->trains > 0 ? c->layer->trains : inputs;
    if (c->dw != NULL) cge_run_dense_weight_grad(inputs, c->out.c, c->count, c->x, c->dy, c->dw, cge_part_of(learning, c->parts, c->part), cge_adds(c));
    if (c->db == NULL || c->part != 0) return;
    if (!cge_adds(c)) memset(c->db, 0, (size_t)c->out.c * sizeof *c->db);
    cge_run_dense_bias_grad(c->out.c, c->count, c->dy, c->db);
}

static void dense_input_grad(const cge_layer_call *c)
{
    cge_run_dense_input_grad(dense_inputs(c->in), c->out.c, c->count, c->w, c->dy, c->dx);
}

const cge_layer_kind cge_kind_dense = {
    2, sizeof(cge_dense), CGE_WEIGHT_GRAD_READS_X | CGE_BY_INPUTS | CGE_NEEDS_CONFIG, dense_infer, dense_forward, dense_weight_grad, dense_input_grad};
