/*
 * The optimiser step for cores with scalar floating point, and what is asked before it: blocks, where the formula is the
 * usual one, with momentum alone. What fills no block, and the other forms, are left to the reference.
 */
#include "sgd_block.h"

void cge_sgd_f32_tiled(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    if (n >= CGE_SGD_BLOCK && cge_sgd_terms(o) == CGE_SGD_MOMENTUM) {
        cge_sgd_blocks(n / CGE_SGD_BLOCK, scale, o->momentum, -o->learning_rate, &dw, &w, &v);
        n %= CGE_SGD_BLOCK;
    }
    cge_sgd_f32_ref(n, o, scale, dw, w, v);
}

int cge_all_below_f32_tiled(int32_t n, const cge_real *x, cge_real_bits limit)
{
    const int32_t done = n & -CGE_BELOW_BLOCK;
    if (done != 0 && !cge_blocks_below(n / CGE_BELOW_BLOCK, x, limit)) return 0;
    return cge_all_below_f32_ref(n - done, x + done, limit);
}
