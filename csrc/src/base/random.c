#include "counter.h"

/* The reference sequence's stream (pcg_basic's default), so that a seed alone names the whole stream. */
#define CGE_RNG_STREAM 54u

cge_status cge_rng_seed(cge_rng *rng, uint64_t seed)
{
    if (rng == NULL) return CGE_ERR_NULL;
    rng->state = 0;
    rng->increment = ((uint64_t)CGE_RNG_STREAM << 1) | 1u;
    (void)cge_rng_next(rng);
    rng->state += seed;
    (void)cge_rng_next(rng);
    return CGE_OK;
}

uint32_t cge_rng_next(cge_rng *rng)
{
    uint64_t old = rng->state;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t rotate = (uint32_t)(old >> 59);
    rng->state = old * 6364136223846793005u + rng->increment;
    return (shifted >> rotate) | (shifted << ((0u - rotate) & 31u));
}

uint32_t cge_rng_below(cge_rng *rng, uint32_t bound)
{
    /* Draws below 2^32 mod bound are rejected: what remains is a whole number of copies of 0 .. bound - 1. */
    uint32_t reject, draw;
    if (bound == 0) return 0;
    reject = (0u - bound) % bound;
    do
        draw = cge_rng_next(rng);
    while (draw < reject);
    return draw % bound;
}

cge_status cge_rng_shuffle(cge_rng *rng, int32_t *order, int32_t count)
{
    int32_t i;
    if (rng == NULL || order == NULL) return CGE_ERR_NULL;
    if (count < 0) return CGE_ERR_ARGUMENT;
    for (i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)cge_rng_below(rng, (uint32_t)i + 1u);
        int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return CGE_OK;
}

/* SplitMix64's finaliser (Steele et al. 2014). */
static uint64_t mixed_key(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t cge_counter_key(uint64_t seed, uint64_t counter, uint64_t use)
{
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    const uint64_t key = mixed_key((mixed_key(seed + golden) ^ counter) + golden);
    return mixed_key((key ^ use) + golden);
}

uint64_t cge_dropout_key(uint32_t seed, int32_t layer, uint64_t step, uint32_t sample)
{
    return cge_counter_key((uint64_t)seed << 32 | (uint32_t)layer, step, sample);
}
