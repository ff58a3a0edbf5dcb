/* Dropout: a mask of a key and the number of an element, so that nothing of it is kept. */
#include "../../base/counter.h"
#include "../kernels.h"

CGE_INTERNAL void cge_run_dropout(int32_t n, float p, uint64_t key, int32_t first, const cge_real *x, cge_real *y)
{
    const uint32_t limit = (uint32_t)(p * 4294967296.0f), low = (uint32_t)key, high = (uint32_t)(key >> 32);
    const cge_real scale = CGE_REAL(1) / (CGE_REAL(1) - CGE_REAL(p));
    int32_t i;
    for (i = 0; i < n; i++)
        y[i] = cge_mixed(cge_mixed((uint32_t)(first + i) + low) ^ high) < limit ? CGE_REAL(0) : x[i] * scale;
}
