#include "layer.h"
#include "../kernels/kernels.h"

static cge_real cross_entropy_forward(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_softmax_cross_entropy_loss(n, x, targets->labels[sample]);
}

static void cross_entropy_input_grad(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_softmax_cross_entropy_grad(n, x, targets->labels[sample], dx);
}

static cge_real squared_error_forward(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_mean_squared_error_loss(n, x, targets->values + (size_t)sample * (size_t)n);
}

static void squared_error_input_grad(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_mean_squared_error_grad(n, x, targets->values + (size_t)sample * (size_t)n, dx);
}

const cge_loss_kind cge_softmax_cross_entropy = {1, 1, cross_entropy_forward, cross_entropy_input_grad};
const cge_loss_kind cge_mean_squared_error = {2, 0, squared_error_forward, squared_error_input_grad};
