/* Elementwise activations and their gradients; formulas in cge.h, one loop each. */
#include "tiled.h"

#include <string.h>

/* ---- ReLU, the usual one ----
 *
 * Computers take four elements at a time, read, chosen, written, for SIMD. Boards work in place, as networks call it:
 * then only zeros have to be written. */
#if CGE_HOST

enum { BLOCK = 4 };

CGE_INLINE void relu_block(const int size, const cge_real *x, cge_real *y)
{
    cge_real v[BLOCK];
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++) v[i] = x[i];
    CGE_UNROLL
    for (i = 0; i < size; i++) y[i] = v[i] < 0 ? CGE_REAL(0) : v[i];
}

CGE_INTERNAL void cge_relu_f32_ref(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; n - i >= BLOCK; i += BLOCK) relu_block(BLOCK, x + i, y + i);
    for (; i < n; i++) relu_block(1, x + i, y + i);
}

CGE_INLINE void relu_grad_block(const int size, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    cge_real d[BLOCK], v[BLOCK];
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++) d[i] = dy[i], v[i] = y[i];
    CGE_UNROLL
    for (i = 0; i < size; i++) dx[i] = v[i] > 0 ? d[i] : CGE_REAL(0);
}

CGE_INTERNAL void cge_relu_grad_f32_ref(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; n - i >= BLOCK; i += BLOCK) relu_grad_block(BLOCK, y + i, dy + i, dx + i);
    for (; i < n; i++) relu_grad_block(1, y + i, dy + i, dx + i);
}

#else

CGE_INTERNAL void cge_relu_f32_ref(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    if (y != x) memcpy(y, x, (size_t)n * sizeof *y);
    for (i = 0; i < n; i++)
        if (y[i] < 0) y[i] = CGE_REAL(0);
}

CGE_INTERNAL void cge_relu_grad_f32_ref(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    if (dx != dy) memcpy(dx, dy, (size_t)n * sizeof *dx);
    for (i = 0; i < n; i++)
        if (!(y[i] > 0)) dx[i] = CGE_REAL(0);
}

#endif

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
