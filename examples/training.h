/* What example programs that learn classes have in common: the order of samples, and which class an output says. */
#ifndef TRAINING_H
#define TRAINING_H

#include "cge.h"
#include "cge_data.h"

static int32_t largest(const cge_real *y, int32_t count)
{
    int32_t i, best = 0;
    for (i = 1; i < count; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

/* Some passes over `count` samples, each in an order of its own; step trains on the sample of that number. */
static cge_status learn_in_passes(uint32_t passes, int32_t count, uint64_t seed, cge_status (*step)(int32_t number))
{
    cge_status status = CGE_OK;
    uint32_t pass;
    for (pass = 0; pass < passes; pass++) {
        int32_t place, number;
        for (place = 0; place < count && status == CGE_OK; place++) {
            status = cge_permute(count, seed, pass, place, 1, &number);
            if (status == CGE_OK) status = step(number);
        }
    }
    return status;
}

#endif
