/* Clipping of gradients; order of additions at cge_network_clip_norm in cge.h. */
#include "../kernels.h"
#include "../../base/elementary.h"

CGE_INTERNAL cge_real cge_largest_magnitude(int32_t n, const cge_real *x)
{
    cge_real_bits most = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real_bits bits = cge_bits_of(x[i]) & ~CGE_SIGN_BIT; /* without a sign, numbers compare as their bits do */
        if (bits > most) most = bits;
    }
    return cge_real_of(most);
}

/* The power of two below `largest`, as far as it has an inverse. */
static cge_real_bits power_below(cge_real largest)
{
    const cge_real_bits power = cge_bits_of(largest) & CGE_INFINITY_BITS, most = CGE_INFINITY_BITS - 2 * CGE_SMALLEST_NORMAL_BITS;
    if (power < CGE_SMALLEST_NORMAL_BITS) return CGE_SMALLEST_NORMAL_BITS;
    return power < most ? power : most;
}

CGE_INTERNAL cge_real cge_norm_of(int32_t n, const cge_real *x, cge_real largest)
{
    enum { SUMS = 8 };
    const cge_real_bits power = power_below(largest);
    const cge_real inverse = cge_real_of(CGE_INFINITY_BITS - CGE_SMALLEST_NORMAL_BITS - power);
    cge_real sums[SUMS] = {0};
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real scaled = x[i] * inverse;
        sums[i % SUMS] = CGE_MADD(sums[i % SUMS], scaled, scaled);
    }
    return cge_sqrt(((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))) * cge_real_of(power);
}

CGE_INTERNAL void cge_scale_by(int32_t n, cge_real factor, cge_real *x)
{
    int32_t i;
    for (i = 0; i < n; i++) x[i] = x[i] * factor;
}

CGE_INTERNAL void cge_clamp_to(int32_t n, cge_real limit, cge_real *x)
{
    int32_t i;
    for (i = 0; i < n; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}
