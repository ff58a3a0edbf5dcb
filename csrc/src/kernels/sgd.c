/* The optimiser step; formula in cge.h. */
#include "tiled.h"

/* Sums at a time, because a sum waits for itself. On a Cortex-M4F 8 take 2.4 instructions a number, one by one 7. */
enum { SUMS = 8 };

/* How many leading numbers are surely finite: a sum is only if all its terms are, and costs one addition a term. */
static int32_t finite_by_sums(int32_t n, const cge_real *x)
{
    cge_real s[SUMS] = {0}, all = CGE_REAL(0);
    int32_t i;
    int j;
    for (i = 0; n - i >= SUMS; i += SUMS) {
        CGE_UNROLL
        for (j = 0; j < SUMS; j++) s[j] += x[i + j];
    }
    CGE_UNROLL
    for (j = 0; j < SUMS; j++) all += s[j];
    return all - all == 0 ? i : 0; /* large numbers may have had a sum too large */
}

CGE_INTERNAL int cge_all_finite_f32_ref(int32_t n, const cge_real *x)
{
    int32_t i = CGE_SMALL ? 0 : finite_by_sums(n, x);
    for (; i < n; i++)
        if (!(x[i] - x[i] == 0)) return 0;
    return 1;
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

/* Which terms of the formula are there. */
enum { DECAY = 1, MOMENTUM = 2, NESTEROV = 4 };

/* Where `terms` is a constant, a loop without branches: on computers for each form of the formula, on boards for the usual
 * one. */
CGE_INLINE void descend(const int terms, int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *CGE_RESTRICT dw, cge_real *CGE_RESTRICT w, cge_real *CGE_RESTRICT v)
{
    const cge_real rate = CGE_REAL(o->learning_rate), momentum = CGE_REAL(o->momentum), decay = CGE_REAL(o->weight_decay);
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real g = dw[i] * scale;
        if ((terms & DECAY) != 0) g = CGE_MADD(g, decay, w[i]);
        if ((terms & MOMENTUM) != 0) {
            cge_real velocity = CGE_MADD(g, momentum, v[i]);
            g = (terms & NESTEROV) != 0 ? CGE_MADD(g, momentum, velocity) : velocity;
            v[i] = velocity;
        }
        w[i] = CGE_MADD(w[i], -rate, g);
    }
}

CGE_INTERNAL void cge_sgd_f32_ref(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const int nesterov = o->nesterov != 0 ? NESTEROV : 0;
    const int momentum = o->momentum != 0.0f ? MOMENTUM | nesterov : 0;
    const int decay = o->weight_decay != 0.0f ? DECAY : 0;
    switch (momentum | decay) {
#if CGE_HOST || !CGE_SMALL
    case MOMENTUM: descend(MOMENTUM, n, o, scale, dw, w, v); break;
#endif
#if CGE_HOST
    case 0: descend(0, n, o, scale, dw, w, v); break;
    case DECAY: descend(DECAY, n, o, scale, dw, w, v); break;
    case MOMENTUM | DECAY: descend(MOMENTUM | DECAY, n, o, scale, dw, w, v); break;
    case MOMENTUM | NESTEROV: descend(MOMENTUM | NESTEROV, n, o, scale, dw, w, v); break;
    default: descend(MOMENTUM | NESTEROV | DECAY, n, o, scale, dw, w, v); break;
#else
    default: descend(momentum | decay, n, o, scale, dw, w, v); break; /* two to six instructions more a parameter */
#endif
    }
}
