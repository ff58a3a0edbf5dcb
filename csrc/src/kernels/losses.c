/* Losses of one sample and their gradients; formulas and orders in cge.h. */
#include "kernels.h"

static cge_real largest(int32_t n, const cge_real *x)
{
    cge_real m = x[0];
    int32_t i;
    for (i = 1; i < n; i++)
        if (x[i] > m) m = x[i];
    return m;
}

static cge_real sum_of_exp(int32_t n, const cge_real *x, cge_real m)
{
    cge_real s = 0;
    int32_t i;
    for (i = 0; i < n; i++) s += cge_exp_f32(x[i] - m);
    return s;
}

CGE_INTERNAL void cge_softmax_apply(int32_t n, const cge_real *x, cge_real *y)
{
    cge_real m = largest(n, x), s = sum_of_exp(n, x, m);
    int32_t i;
    for (i = 0; i < n; i++) y[i] = cge_exp_f32(x[i] - m) / s;
}

CGE_INTERNAL cge_real cge_softmax_cross_entropy_loss(int32_t n, const cge_real *x, int32_t label)
{
    cge_real m = largest(n, x);
    return cge_log_f32(sum_of_exp(n, x, m)) - (x[label] - m);
}

CGE_INTERNAL void cge_softmax_cross_entropy_grad(int32_t n, const cge_real *x, int32_t label, cge_real *dx)
{
    cge_softmax_apply(n, x, dx);
    dx[label] -= CGE_REAL(1);
}

CGE_INTERNAL cge_real cge_mean_squared_error_loss(int32_t n, const cge_real *x, const cge_real *target)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real d = x[i] - target[i];
        sum = CGE_MADD(sum, d, d);
    }
    return sum * (CGE_REAL(1) / CGE_REAL(n));
}

CGE_INTERNAL void cge_mean_squared_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    const cge_real scale = CGE_REAL(2) / CGE_REAL(n);
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = (x[i] - target[i]) * scale;
}
