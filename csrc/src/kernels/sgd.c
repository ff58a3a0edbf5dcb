/* The optimiser step; formula in cge.h. */
#include "kernels.h"

CGE_INTERNAL int cge_all_finite(int32_t n, const cge_real *x)
{
    int32_t i;
    cge_real poison = 0;
    for (i = 0; i < n; i++) poison += x[i] - x[i]; /* 0 for numbers; NaN for NaN and infinities, and stays NaN */
    return poison == 0;
}

static int is_finite_nonnegative(float v)
{
    return v >= 0.0f && v - v == 0.0f;
}

CGE_INTERNAL cge_status cge_sgd_check(const cge_optimizer *o)
{
    if (!is_finite_nonnegative(o->learning_rate) || !is_finite_nonnegative(o->weight_decay)) return CGE_ERR_ARGUMENT;
    if (!is_finite_nonnegative(o->momentum) || o->momentum >= 1.0f) return CGE_ERR_ARGUMENT;
    if (o->nesterov != 0 && (o->nesterov != 1 || o->momentum == 0.0f)) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

CGE_INTERNAL void cge_sgd_apply(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const cge_real rate = CGE_REAL(o->learning_rate), momentum = CGE_REAL(o->momentum), decay = CGE_REAL(o->weight_decay);
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real g = dw[i] * scale;
        if (decay != 0) g = CGE_MADD(g, decay, w[i]);
        if (momentum != 0) {
            v[i] = CGE_MADD(g, momentum, v[i]);
            g = o->nesterov != 0 ? CGE_MADD(g, momentum, v[i]) : v[i];
        }
        w[i] = CGE_MADD(w[i], -rate, g);
    }
}
