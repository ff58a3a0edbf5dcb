/* Activations beside the usual ones: those that only y tells of work in place; the others keep x. */
#include "layer.h"
#include "../kernels/kernels.h"

static cge_status activation_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    (void)l;
    info->out = in;
    return CGE_OK;
}

#define ACTIVATION_LAYER(name, apply, grad, told)                                                                              \
    static void name##_layer_forward(const cge_layer_call *c)                                                                  \
    {                                                                                                                          \
        apply((int32_t)cge_sample(c->in, c->count), c->x, c->y);                                                               \
    }                                                                                                                          \
    static void name##_layer_input_grad(const cge_layer_call *c)                                                               \
    {                                                                                                                          \
        grad((int32_t)cge_sample(c->in, c->count), c->told, c->dy, c->dx);                                                     \
    }

#define BY_Y (CGE_INPUT_GRAD_READS_Y | CGE_IN_PLACE)
#define BY_X (CGE_INPUT_GRAD_READS_X | CGE_BY_ELEMENTS)

ACTIVATION_LAYER(relu6, cge_run_relu6, cge_run_relu6_grad, y)
const cge_layer_kind cge_kind_relu6 = {32, 0, BY_Y | CGE_AFTER_MAX, activation_infer, relu6_layer_forward, NULL, relu6_layer_input_grad};

ACTIVATION_LAYER(hard_sigmoid, cge_hard_sigmoid_apply, cge_hard_sigmoid_grad, y)
const cge_layer_kind cge_kind_hard_sigmoid = {33, 0, BY_Y, activation_infer, hard_sigmoid_layer_forward, NULL, hard_sigmoid_layer_input_grad};

ACTIVATION_LAYER(softplus, cge_softplus_apply, cge_softplus_grad, y)
const cge_layer_kind cge_kind_softplus = {35, 0, BY_Y | CGE_COSTLY, activation_infer, softplus_layer_forward, NULL, softplus_layer_input_grad};

ACTIVATION_LAYER(hard_swish, cge_hard_swish_apply, cge_hard_swish_grad, x)
const cge_layer_kind cge_kind_hard_swish = {37, 0, BY_X, activation_infer, hard_swish_layer_forward, NULL, hard_swish_layer_input_grad};

ACTIVATION_LAYER(silu, cge_silu_apply, cge_silu_grad, x)
const cge_layer_kind cge_kind_silu = {38, 0, BY_X | CGE_COSTLY, activation_infer, silu_layer_forward, NULL, silu_layer_input_grad};

ACTIVATION_LAYER(gelu, cge_gelu_apply, cge_gelu_grad, x)
const cge_layer_kind cge_kind_gelu = {39, 0, BY_X | CGE_COSTLY, activation_infer, gelu_layer_forward, NULL, gelu_layer_input_grad};

/* ---- elu ---- */

static cge_status elu_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    info->out = in;
    return cge_is_finite_nonnegative(cge_alpha_of(l)) ? CGE_OK : CGE_ERR_ARGUMENT;
}

static void elu_forward(const cge_layer_call *c)
{
    cge_elu_apply((int32_t)cge_sample(c->in, c->count), CGE_REAL(cge_alpha_of(c->layer)), c->x, c->y);
}

static void elu_input_grad(const cge_layer_call *c)
{
    cge_elu_grad((int32_t)cge_sample(c->in, c->count), CGE_REAL(cge_alpha_of(c->layer)), c->y, c->dy, c->dx);
}

const cge_layer_kind cge_kind_elu = {
    34, sizeof(cge_leaky_relu), BY_Y | CGE_COSTLY | CGE_LEAKS | CGE_NEEDS_CONFIG, elu_infer, elu_forward, NULL, elu_input_grad};

/* ---- softmax, of one pixel after the other ---- */

static void softmax_forward(const cge_layer_call *c)
{
    const int32_t elems = (int32_t)cge_sample(c->in, c->count), channels = c->in.c;
    int32_t i;
    for (i = 0; i < elems; i += channels) cge_softmax_apply(channels, c->x + i, c->y + i);
}

static void softmax_input_grad(const cge_layer_call *c)
{
    const int32_t elems = (int32_t)cge_sample(c->in, c->count), channels = c->in.c;
    int32_t i;
    for (i = 0; i < elems; i += channels) cge_softmax_grad(channels, c->y + i, c->dy + i, c->dx + i);
}

const cge_layer_kind cge_kind_softmax = {
    36, 0, CGE_INPUT_GRAD_READS_Y | CGE_COSTLY, activation_infer, softmax_forward, NULL, softmax_input_grad};
