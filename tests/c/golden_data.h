/* The samples of the golden runs, as golden.h describes them. */
#ifndef GOLDEN_DATA_H
#define GOLDEN_DATA_H

#include "cge.h"

enum { IN_H = 8, IN_W = 6, IN_C = 2, IN_ELEMS = IN_H * IN_W * IN_C };

static inline void golden_sample(cge_rng *rng, float *x, int32_t *label)
{
    *label = (int32_t)cge_rng_below(rng, 4);
    for (int32_t i = 0; i < IN_ELEMS; i++) {
        int32_t h = i / IN_C / IN_W, w = i / IN_C % IN_W, quadrant = 2 * (h >= 4) + (w >= 3);
        x[i] = (float)(cge_rng_next(rng) >> 24) / 256 + (quadrant == *label ? 1 : 0);
    }
}

#endif
