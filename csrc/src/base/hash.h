/* FNV-1a (Fowler, Noll, Vo; offset basis and prime of the 64-bit variant) over numbers' bits, least significant byte first. */
#ifndef CGE_HASH_H
#define CGE_HASH_H

#include "config.h"

#define CGE_HASH_BASIS 14695981039346656037u

/* Goes on from `hash`. Every NaN counts as one value: processors differ in its sign and its payload. */
CGE_INTERNAL uint64_t cge_hash_reals(uint64_t hash, int32_t n, const cge_real *x);

#endif
