#include "hash.h"

CGE_INTERNAL uint64_t cge_hash_reals(uint64_t hash, int32_t n, const cge_real *x)
{
    int32_t i;
    unsigned shift;
    for (i = 0; i < n; i++) {
        const cge_real_bits bits = cge_is_nan(x[i]) ? CGE_NAN_BITS : cge_bits_of(x[i]);
        for (shift = 0; shift < 8 * sizeof bits; shift += 8) {
            hash ^= (uint64_t)((bits >> shift) & 0xffu);
            hash *= 1099511628211u;
        }
    }
    return hash;
}
