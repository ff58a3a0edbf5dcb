/* ReLU6 and its gradient. */
#include "../kernels.h"

#include <string.h>

#define SIX CGE_REAL(6)

/* As bits, numbers above 0 are in the order of the numbers, and what is negative or NaN is above them. */
static int is_above_zero_below(cge_real x, cge_real_bits limit)
{
    return cge_bits_of(x) - 1 < limit - 1;
}

/* In place, as networks call it, only what is clipped has to be written. */
CGE_INTERNAL void cge_relu6_f32_ref(int32_t n, const cge_real *x, cge_real *y)
{
    const cge_real_bits limit = cge_bits_of(SIX);
    int32_t i;
    if (y != x) memcpy(y, x, (size_t)n * sizeof *y);
    for (i = 0; i < n; i++) {
        if (is_above_zero_below(y[i], limit)) continue;
        if (y[i] <= 0) y[i] = CGE_REAL(0);
        else if (y[i] > SIX) y[i] = SIX;
    }
}

CGE_INTERNAL void cge_relu6_grad_f32_ref(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    const cge_real_bits limit = cge_bits_of(SIX);
    int32_t i;
    if (dx != dy) memcpy(dx, dy, (size_t)n * sizeof *dx);
    for (i = 0; i < n; i++)
        if (!is_above_zero_below(y[i], limit)) dx[i] = CGE_REAL(0);
}
