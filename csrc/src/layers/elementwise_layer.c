/* Layers that keep the shape: activations, and flatten, which only renames it. */
#include "layer.h"
#include "../kernels/kernels.h"

static int32_t elements(const cge_layer_call *c)
{
    return (int32_t)cge_sample(c->in, c->count);
}

static cge_status same_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    (void)l;
    info->out = in;
    return CGE_OK;
}

static cge_status leaky_relu_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    info->out = in;
    return cge_is_finite_nonnegative(cge_alpha_of(l)) ? CGE_OK : CGE_ERR_ARGUMENT;
}

static cge_status flatten_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    (void)l;
    info->out.h = 1, info->out.w = 1, info->out.c = in.h * in.w * in.c;
    return CGE_OK;
}

static void relu_forward(const cge_layer_call *c)
{
    cge_run_relu(elements(c), c->x, c->y);
}

static void relu_input_grad(const cge_layer_call *c)
{
    cge_run_relu_grad(elements(c), c->y, c->dy, c->dx);
}

static void leaky_relu_forward(const cge_layer_call *c)
{
    cge_leaky_relu_apply(elements(c), CGE_REAL(cge_alpha_of(c->layer)), c->x, c->y);
}

static void leaky_relu_input_grad(const cge_layer_call *c)
{
    cge_leaky_relu_grad(elements(c), CGE_REAL(cge_alpha_of(c->layer)), c->y, c->dy, c->dx);
}

static void sigmoid_forward(const cge_layer_call *c)
{
    cge_sigmoid_apply(elements(c), c->x, c->y);
}

static void sigmoid_input_grad(const cge_layer_call *c)
{
    cge_sigmoid_grad(elements(c), c->y, c->dy, c->dx);
}

static void tanh_forward(const cge_layer_call *c)
{
    cge_tanh_apply(elements(c), c->x, c->y);
}

static void tanh_input_grad(const cge_layer_call *c)
{
    cge_tanh_grad(elements(c), c->y, c->dy, c->dx);
}

#define ACTIVATION (CGE_INPUT_GRAD_READS_Y | CGE_IN_PLACE)

const cge_layer_kind cge_kind_relu = {6, 0, ACTIVATION | CGE_AFTER_MAX, same_infer, relu_forward, NULL, relu_input_grad};
const cge_layer_kind cge_kind_leaky_relu = {
    7, sizeof(cge_leaky_relu), ACTIVATION | CGE_LEAKS, leaky_relu_infer, leaky_relu_forward, NULL, leaky_relu_input_grad};
const cge_layer_kind cge_kind_sigmoid = {8, 0, ACTIVATION, same_infer, sigmoid_forward, NULL, sigmoid_input_grad};
const cge_layer_kind cge_kind_tanh = {9, 0, ACTIVATION, same_infer, tanh_forward, NULL, tanh_input_grad};
const cge_layer_kind cge_kind_flatten = {10, 0, CGE_ALIAS, flatten_infer, NULL, NULL, NULL};
