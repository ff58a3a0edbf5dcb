/*
 * When zeros may be multiplied and added that the reference leaves out: a product of zero and a number is +0 or -0, and
 * adding either to a sum leaves it as it is unless the sum is -0, which a sum never becomes that did not begin with -0.
 */
#ifndef CGE_LANES_EXACT_H
#define CGE_LANES_EXACT_H

#include "lanes_transpose.h"

/* No infinity and no NaN. */
static inline int cge_all_numbers(int32_t n, const float *x)
{
    typedef float vec __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));
    vec a = {0}, b = a; /* x - x is 0 for numbers; NaN for NaN and infinities, and stays NaN */
    float sum = 0;
    int32_t i;
    for (i = 0; i + 2 * CGE_LANES_WIDEST <= n; i += 2 * CGE_LANES_WIDEST) {
        const vec v = *(const vec *)(x + i), w = *(const vec *)(x + i + CGE_LANES_WIDEST);
        a += v - v, b += w - w;
    }
    for (; i < n; i++) sum += x[i] - x[i];
    a += b;
    for (i = 0; i < CGE_LANES_WIDEST; i++) sum += a[i];
    return sum == 0;
}

static inline int cge_any_minus_zero(int32_t n, const float *x)
{
    typedef int32_t bits __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));
    typedef int32_t bits_of_one __attribute__((may_alias));
    bits found = {0};
    int32_t i, any = 0;
    for (i = 0; i + CGE_LANES_WIDEST <= n; i += CGE_LANES_WIDEST) found |= *(const bits *)(x + i) == INT32_MIN;
    for (; i < n; i++) any |= *(const bits_of_one *)(x + i) == INT32_MIN;
    for (i = 0; i < CGE_LANES_WIDEST; i++) any |= found[i];
    return any != 0;
}

/* In the kernel rows of dw that a call adds to; other rows may be another thread's. */
static inline int cge_any_minus_zero_row(const cge_conv2d_plan *p, const float *dw, cge_range kernel_rows)
{
    const int32_t row_elems = p->weight_elems / p->g.kernel_h;
    return cge_any_minus_zero((kernel_rows.end - kernel_rows.begin) * row_elems, dw + kernel_rows.begin * (ptrdiff_t)row_elems);
}

#endif
