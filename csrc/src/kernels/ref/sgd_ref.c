/* The optimiser step; formula in cge.h. */
#include "../tiled/tiled.h"

CGE_INTERNAL int cge_all_below_f32_ref(int32_t n, const cge_real *x, cge_real_bits limit)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (!cge_is_below(x[i], limit)) return 0;
    return 1;
}

CGE_INTERNAL cge_status cge_sgd_check(const cge_optimizer *o)
{
    if (!cge_is_finite_nonnegative(o->learning_rate) || !cge_is_finite_nonnegative(o->weight_decay)) return CGE_ERR_ARGUMENT;
    if (!cge_is_finite_nonnegative(o->momentum) || o->momentum >= 1.0f) return CGE_ERR_ARGUMENT;
    if (o->nesterov != 0 && (o->nesterov != 1 || !(o->momentum > 0.0f))) return CGE_ERR_ARGUMENT;
    return cge_is_zero(o->l1) ? CGE_OK : CGE_ERR_ARGUMENT;
}

CGE_INTERNAL int cge_sgd_terms(const cge_optimizer *o)
{
    const int momentum = o->momentum > 0.0f ? CGE_SGD_MOMENTUM : 0, decay = o->weight_decay > 0.0f ? CGE_SGD_DECAY : 0;
    return o->nesterov * CGE_SGD_NESTEROV | momentum | decay;
}

/* The new w, and *v, of one parameter. */
CGE_INLINE cge_real descend(const int terms, const cge_optimizer *o, cge_real scale, cge_real dw, cge_real w, cge_real *v)
{
    const cge_real momentum = CGE_REAL(o->momentum);
    cge_real g = dw * scale;
    if ((terms & CGE_SGD_DECAY) != 0) g = CGE_MADD(g, CGE_REAL(o->weight_decay), w);
    if ((terms & CGE_SGD_MOMENTUM) != 0) {
        *v = cge_not_below(CGE_SMALLEST_NORMAL_BITS, CGE_MADD(g, momentum, *v));
        g = (terms & CGE_SGD_NESTEROV) != 0 ? CGE_MADD(g, momentum, *v) : *v;
    }
    w = CGE_MADD(w, -CGE_REAL(o->learning_rate), g);
    return (terms & CGE_SGD_DECAY) != 0 ? cge_not_below(CGE_SMALLEST_WEIGHT_BITS, w) : w;
}

/* Where `terms` is a constant, a loop without branches: on computers for each form of the formula, on boards for the one
 * without terms. */
CGE_INLINE void descend_all(const int terms, int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *CGE_RESTRICT dw, cge_real *CGE_RESTRICT w, cge_real *CGE_RESTRICT v)
{
    const cge_optimizer constant = *o;
    int32_t i;
    for (i = 0; i < n; i++) w[i] = descend(terms, &constant, scale, dw[i], w[i], (terms & CGE_SGD_MOMENTUM) != 0 ? v + i : v);
}

CGE_INTERNAL void cge_sgd_f32_ref(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const int terms = cge_sgd_terms(o);
    switch (terms) {
#if CGE_HOST || !CGE_SMALL
    case 0: descend_all(0, n, o, scale, dw, w, v); break;
#endif
#if CGE_HOST
    case CGE_SGD_DECAY: descend_all(CGE_SGD_DECAY, n, o, scale, dw, w, v); break;
    case CGE_SGD_MOMENTUM: descend_all(CGE_SGD_MOMENTUM, n, o, scale, dw, w, v); break;
    case CGE_SGD_MOMENTUM | CGE_SGD_DECAY: descend_all(CGE_SGD_MOMENTUM | CGE_SGD_DECAY, n, o, scale, dw, w, v); break;
    case CGE_SGD_MOMENTUM | CGE_SGD_NESTEROV: descend_all(CGE_SGD_MOMENTUM | CGE_SGD_NESTEROV, n, o, scale, dw, w, v); break;
    default: descend_all(CGE_SGD_MOMENTUM | CGE_SGD_NESTEROV | CGE_SGD_DECAY, n, o, scale, dw, w, v); break;
#else
    default: descend_all(terms, n, o, scale, dw, w, v); break; /* two to six instructions more a parameter */
#endif
    }
}

/* Takes the step for one parameter after the other, on copies. The new velocity is a number if the new weight is. */
static int each_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    for (; n > 0; n--, dw++, w++) {
        cge_real changed = *w, velocity = v != NULL ? *v++ : CGE_REAL(0);
        cge_run_sgd(1, o, scale, dw, &changed, &velocity);
        if (!cge_is_below(changed, CGE_INFINITY_BITS)) return 0;
    }
    return 1;
}

/*
 * Numbers below 2^64 and settings up to 2^16 cannot overflow: |dw scale| < 2^64, |g| < 2^81, |v| < 2^82, what nesterov adds to
 * it < 2^83, and the change of w < 2^99. Where a layer's learning_rate_factor is not in these settings, < 2^115.
 */

CGE_NOINLINE int are_below(int32_t n, const cge_real *x)
{
    return cge_run_all_below(n, x, CGE_2_POW_64_BITS);
}

static int cannot_overflow(int32_t n, const cge_optimizer *o, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    if (!(o->learning_rate + o->weight_decay <= CGE_LARGEST_SETTING)) return 0;
    return are_below(n, dw) && are_below(n, w) && (v == NULL || are_below(n, v));
}

CGE_INTERNAL int cge_sgd_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    return cannot_overflow(n, o, dw, w, v) || each_stays_finite(n, o, scale, dw, w, v);
}
