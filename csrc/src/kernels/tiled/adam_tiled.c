/* Adam's step for cores with scalar floating point. What fills no block, and decay of gradients, are left to the reference. */
#include "adam_block.h"

void cge_adam_f32_tiled(int32_t n, const cge_adam_step *s, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    if (n >= CGE_ADAM_BLOCK && s->decays != CGE_DECAYS_GRADIENT) {
        if (s->decays == 0) cge_adam_blocks(n / CGE_ADAM_BLOCK, s, &dw, &w, &m, &v);
        else cge_adamw_blocks(n / CGE_ADAM_BLOCK, s, &dw, &w, &m, &v);
        n %= CGE_ADAM_BLOCK;
    }
    cge_adam_f32_ref(n, s, dw, w, m, v);
}
