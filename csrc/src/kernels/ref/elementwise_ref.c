/* Elementwise activations and their gradients; formulas in cge.h, one loop each. */
#include "../../base/elementary.h"
#include "../tiled/tiled.h"

#include <string.h>

/* ---- ReLU, the usual one ----
 *
 * Computers take four elements at a time, read, chosen, written, for SIMD. Boards work in place, as networks call it:
 * then only zeros have to be written. They look at the bits: what lies on one side of zero is one range of integers. */
enum { ELEMENT_BLOCK = CGE_SMALL ? 1 : 4 };

#if CGE_HOST

CGE_INLINE void relu_block(const int size, const cge_real *x, cge_real *y)
{
    cge_real v[ELEMENT_BLOCK];
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++) v[i] = x[i];
    CGE_UNROLL
    for (i = 0; i < size; i++) y[i] = v[i] < 0 ? CGE_REAL(0) : v[i];
}

CGE_INTERNAL void cge_relu_f32_ref(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; n - i >= ELEMENT_BLOCK; i += ELEMENT_BLOCK) relu_block(ELEMENT_BLOCK, x + i, y + i);
    for (; i < n; i++) relu_block(1, x + i, y + i);
}

CGE_INLINE void relu_grad_block(const int size, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    cge_real d[ELEMENT_BLOCK], v[ELEMENT_BLOCK];
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++) d[i] = dy[i], v[i] = y[i];
    CGE_UNROLL
    for (i = 0; i < size; i++) dx[i] = v[i] > 0 ? d[i] : CGE_REAL(0);
}

CGE_INTERNAL void cge_relu_grad_f32_ref(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; n - i >= ELEMENT_BLOCK; i += ELEMENT_BLOCK) relu_grad_block(ELEMENT_BLOCK, y + i, dy + i, dx + i);
    for (; i < n; i++) relu_grad_block(1, y + i, dy + i, dx + i);
}

#else

/* The bits of numbers below zero are those from the sign and 1 to -infinity. */
CGE_INLINE void zero_negative(const int size, cge_real *y)
{
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++)
        if (cge_bits_of(y[i]) - (CGE_SIGN_BIT + 1) < CGE_INFINITY_BITS) y[i] = CGE_REAL(0);
}

CGE_INTERNAL void cge_relu_f32_ref(int32_t n, const cge_real *x, cge_real *y)
{
    if (y != x) memcpy(y, x, (size_t)n * sizeof *y);
    for (; n >= ELEMENT_BLOCK; n -= ELEMENT_BLOCK, y += ELEMENT_BLOCK) zero_negative(ELEMENT_BLOCK, y);
    for (; n > 0; n--, y++) zero_negative(1, y);
}

/* The bits of numbers above zero are 1 .. those of infinity. */
CGE_INLINE void zero_where_not_positive(const int size, const cge_real *y, cge_real *dx)
{
    int i;
    CGE_UNROLL
    for (i = 0; i < size; i++)
        if (cge_bits_of(y[i]) - 1 >= CGE_INFINITY_BITS) dx[i] = CGE_REAL(0);
}

CGE_INTERNAL void cge_relu_grad_f32_ref(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    if (dx != dy) memcpy(dx, dy, (size_t)n * sizeof *dx);
    for (; n >= ELEMENT_BLOCK; n -= ELEMENT_BLOCK, y += ELEMENT_BLOCK, dx += ELEMENT_BLOCK)
        zero_where_not_positive(ELEMENT_BLOCK, y, dx);
    for (; n > 0; n--, y++, dx++) zero_where_not_positive(1, y, dx);
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
        cge_real e = cge_exp(x[i] < 0 ? x[i] : -x[i]); /* <= 1: cannot overflow */
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
    for (i = 0; i < n; i++) y[i] = cge_tanh(x[i]);
}

CGE_INTERNAL void cge_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = dy[i] * (CGE_REAL(1) - y[i] * y[i]);
}

CGE_INTERNAL void cge_add_apply(int32_t n, const cge_real *x, const cge_real *x2, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] + x2[i];
}
