/* Elementwise activations and their gradients; formulas in cge.h, one loop each. */
#include "kernels.h"

CGE_INTERNAL void cge_relu_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] < 0 ? CGE_REAL(0) : x[i];
}

CGE_INTERNAL void cge_relu_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real d = dy[i]; /* read in any case: a select and not a branch */
        dx[i] = y[i] > 0 ? d : CGE_REAL(0);
    }
}

CGE_INTERNAL void cge_leaky_relu_apply(int32_t n, cge_real alpha, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] < 0 ? alpha * x[i] : x[i];
}

CGE_INTERNAL void cge_leaky_relu_grad(int32_t n, cge_real alpha, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : alpha * dy[i];
}

CGE_INTERNAL void cge_sigmoid_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real e = cge_exp_f32(x[i] < 0 ? x[i] : -x[i]); /* <= 1: cannot overflow */
        y[i] = (x[i] < 0 ? e : CGE_REAL(1)) / (CGE_REAL(1) + e);
    }
}

CGE_INTERNAL void cge_sigmoid_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = dy[i] * (y[i] * (CGE_REAL(1) - y[i]));
}

CGE_INTERNAL void cge_tanh_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = cge_tanh_f32(x[i]);
}

CGE_INTERNAL void cge_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = dy[i] * (CGE_REAL(1) - y[i] * y[i]);
}
