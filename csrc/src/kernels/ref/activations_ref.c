/* Activations beside the usual ones, and their gradients; formulas in cge.h, one loop each. */
#include "../../base/elementary.h"
#include "../kernels.h"

#define ONE CGE_REAL(1)
#define HALF CGE_REAL(0.5)
#define SIXTH CGE_REAL(0.16666666666666666667)
#define THIRD CGE_REAL(0.33333333333333333333)
#define ROOT_OF_HALF CGE_REAL(0.70710678118654752440)
#define NORMAL_AT_ZERO CGE_REAL(0.39894228040143267794) /* sqrt(1 / (2 pi)) */

/* ---- told by y ---- */

CGE_INTERNAL void cge_hard_sigmoid_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real above = x[i] + CGE_REAL(3);
        y[i] = above <= 0 ? CGE_REAL(0) : above >= CGE_REAL(6) ? ONE : above * SIXTH; /* 6 * (1/6) rounds to 1 */
    }
}

CGE_INTERNAL void cge_hard_sigmoid_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = y[i] > 0 && y[i] < ONE ? dy[i] * SIXTH : CGE_REAL(0);
}

/* exp(x) - 1 and 1 - exp(-x) as quotients of a tanh: differences would lose the small ones. */
CGE_INTERNAL void cge_elu_apply(int32_t n, cge_real alpha, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real t = x[i] > 0 ? CGE_REAL(0) : cge_tanh(x[i] * HALF);
        y[i] = x[i] > 0 ? x[i] : alpha * ((t + t) / (ONE - t));
    }
}

CGE_INTERNAL void cge_elu_grad(int32_t n, cge_real alpha, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : dy[i] * (y[i] + alpha);
}

/* log(1 + e) with what 1 + e has lost of e. */
CGE_INTERNAL void cge_softplus_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real e = cge_exp(x[i] < 0 ? x[i] : -x[i]), u = ONE + e;
        y[i] = (x[i] > 0 ? x[i] : CGE_REAL(0)) + (cge_log(u) + (e - (u - ONE)) / u);
    }
}

CGE_INTERNAL void cge_softplus_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real t = cge_tanh(y[i] * HALF);
        dx[i] = dy[i] * ((t + t) / (ONE + t));
    }
}

CGE_INTERNAL void cge_softmax_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) sum = CGE_MADD(sum, dy[i], y[i]);
    for (i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

/* ---- told by x ---- */

CGE_INTERNAL void cge_hard_swish_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++)
        y[i] = x[i] <= CGE_REAL(-3) ? CGE_REAL(0) : x[i] >= CGE_REAL(3) ? x[i] : x[i] * ((x[i] + CGE_REAL(3)) * SIXTH);
}

CGE_INTERNAL void cge_hard_swish_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++)
        dx[i] = x[i] <= CGE_REAL(-3) ? CGE_REAL(0) : x[i] >= CGE_REAL(3) ? dy[i] : dy[i] * (x[i] * THIRD + HALF);
}

static cge_real sigmoid_of(cge_real x)
{
    const cge_real e = cge_exp(x < 0 ? x : -x);
    return (x < 0 ? e : ONE) / (ONE + e);
}

CGE_INTERNAL void cge_silu_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] * sigmoid_of(x[i]);
}

CGE_INTERNAL void cge_silu_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real s = sigmoid_of(x[i]);
        dx[i] = dy[i] * (s * (ONE + x[i] * (ONE - s)));
    }
}

static cge_real normal_below(cge_real x)
{
    return HALF + HALF * cge_erf(x * ROOT_OF_HALF);
}

CGE_INTERNAL void cge_gelu_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] * normal_below(x[i]);
}

CGE_INTERNAL void cge_gelu_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++)
        dx[i] = dy[i] * (normal_below(x[i]) + x[i] * (cge_exp(x[i] * x[i] * -HALF) * NORMAL_AT_ZERO));
}
