/* Random numbers from a counter: a key of what they are for, and number i of a key. Formulas in cge_data.h. */
#ifndef CGE_COUNTER_H
#define CGE_COUNTER_H

#include "config.h"

uint64_t cge_counter_key(uint64_t seed, uint64_t counter, uint64_t use);

/* MurmurHash3's finaliser (Appleby 2011): every bit of x reaches every bit of the result. */
static inline uint32_t cge_mixed(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    return x ^ x >> 16;
}

static inline uint32_t cge_number_of(uint64_t key, uint32_t i)
{
    return cge_mixed(cge_mixed(i + (uint32_t)key) ^ (uint32_t)(key >> 32));
}

/* 0 .. count - 1 */
static inline int32_t cge_integer_of(uint64_t key, uint32_t i, int32_t count)
{
    return (int32_t)((uint64_t)cge_number_of(key, i) * (uint32_t)count >> 32);
}

#endif
