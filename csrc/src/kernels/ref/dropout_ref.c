/* Dropout: a mask of a key and the number of an element, so that nothing of it is kept. */
#include "../kernels.h"

/* MurmurHash3's finaliser (Appleby 2011): every bit of x reaches every bit of the result. */
static uint32_t mixed(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ x >> 16;
}

CGE_INTERNAL void cge_run_dropout(int32_t n, float p, uint64_t key, int32_t first, const cge_real *x, cge_real *y)
{
    const uint32_t limit = (uint32_t)(p * 4294967296.0f), low = (uint32_t)key, high = (uint32_t)(key >> 32);
    const cge_real scale = CGE_REAL(1) / (CGE_REAL(1) - CGE_REAL(p));
    int32_t i;
    for (i = 0; i < n; i++) y[i] = mixed(mixed((uint32_t)(first + i) + low) ^ high) < limit ? CGE_REAL(0) : x[i] * scale;
}
