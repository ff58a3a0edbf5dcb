/* The checked public activations that ops.c does not have. */
#include "base/fp_mode.h"
#include "kernels/kernels.h"

static cge_status check_activation(int32_t n, const cge_real *x, const cge_real *y)
{
    CGE_TRY(cge_check_vector(n, x));
    return cge_check_buffer(y);
}

/* `told` by x or by y. */
static cge_status check_activation_grad(int32_t n, const cge_real *told, const cge_real *dy, const cge_real *dx)
{
    CGE_TRY(check_activation(n, told, dy));
    return cge_check_buffer(dx);
}

#define ACTIVATION_OPS(name, forward, input_grad)                                                                              \
    cge_status cge_##name##_forward_f32(int32_t n, const cge_real *x, cge_real *y)                                             \
    {                                                                                                                          \
        CGE_OWN_FP_MODE                                                                                                        \
        CGE_TRY(check_activation(n, x, y));                                                                                    \
        forward(n, x, y);                                                                                                      \
        return CGE_OK;                                                                                                         \
    }                                                                                                                          \
    ACTIVATION_GRAD(name, input_grad)
#define ACTIVATION_GRAD(name, input_grad)                                                                                      \
    cge_status cge_##name##_input_grad_f32(int32_t n, const cge_real *told, const cge_real *dy, cge_real *dx)                  \
    {                                                                                                                          \
        CGE_OWN_FP_MODE                                                                                                        \
        CGE_TRY(check_activation_grad(n, told, dy, dx));                                                                       \
        input_grad(n, told, dy, dx);                                                                                           \
        return CGE_OK;                                                                                                         \
    }

ACTIVATION_OPS(relu6, cge_run_relu6, cge_run_relu6_grad)
ACTIVATION_OPS(hard_sigmoid, cge_hard_sigmoid_apply, cge_hard_sigmoid_grad)
ACTIVATION_OPS(softplus, cge_softplus_apply, cge_softplus_grad)
ACTIVATION_OPS(hard_swish, cge_hard_swish_apply, cge_hard_swish_grad)
ACTIVATION_OPS(silu, cge_silu_apply, cge_silu_grad)
ACTIVATION_OPS(gelu, cge_gelu_apply, cge_gelu_grad)
ACTIVATION_GRAD(softmax, cge_softmax_grad)

cge_status cge_elu_forward_f32(int32_t n, float alpha, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    if (!cge_is_finite_nonnegative(alpha)) return CGE_ERR_ARGUMENT;
    CGE_TRY(check_activation(n, x, y));
    cge_elu_apply(n, CGE_REAL(alpha), x, y);
    return CGE_OK;
}

cge_status cge_elu_input_grad_f32(int32_t n, float alpha, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    if (!cge_is_finite_nonnegative(alpha)) return CGE_ERR_ARGUMENT;
    CGE_TRY(check_activation_grad(n, y, dy, dx));
    cge_elu_grad(n, CGE_REAL(alpha), y, dy, dx);
    return CGE_OK;
}

/* ---- PReLU ---- */

static cge_range all_slopes(int32_t slopes)
{
    cge_range all = {0, 0};
    all.end = slopes;
    return all;
}

static cge_status check_prelu(int32_t n, int32_t slopes, const cge_real *x, const cge_real *y)
{
    CGE_TRY(check_activation(n, x, y));
    return slopes > 0 && n % slopes == 0 ? CGE_OK : CGE_ERR_SHAPE;
}

cge_status cge_prelu_forward_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_prelu(n, slopes, x, y));
    CGE_TRY(cge_check_buffer(w));
    cge_prelu_apply(n, slopes, x, w, y);
    return CGE_OK;
}

cge_status cge_prelu_weight_grad_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *dy, cge_real *dw)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_prelu(n, slopes, x, dy));
    CGE_TRY(cge_check_buffer(dw));
    cge_prelu_weight_grad(n, slopes, x, dy, dw, all_slopes(slopes));
    return CGE_OK;
}

cge_status cge_prelu_input_grad_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, const cge_real *dy,
                                    cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_prelu(n, slopes, x, dy));
    CGE_TRY(cge_check_buffer(w));
    CGE_TRY(cge_check_buffer(dx));
    cge_prelu_grad(n, slopes, x, w, dy, dx, all_slopes(slopes));
    return CGE_OK;
}
