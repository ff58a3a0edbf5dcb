/* Optimisers that divide by the root of the gradients' squares; formulas in cge.h. */
#include "../kernels.h"
#include "../../base/root.h"

static int is_decay_rate(float x)
{
    return cge_is_finite_nonnegative(x) && x < 1.0f;
}

/* What the kinds that divide by a root have in common. */
static cge_status check_divided(const cge_optimizer *o)
{
    if (!cge_is_finite_nonnegative(o->learning_rate) || !cge_is_finite_nonnegative(o->weight_decay)) return CGE_ERR_ARGUMENT;
    if (!cge_is_finite_nonnegative(o->epsilon) || o->epsilon < 0x1p-126f || o->nesterov != 0) return CGE_ERR_ARGUMENT;
    return is_decay_rate(o->momentum) && cge_is_zero(o->l1) ? CGE_OK : CGE_ERR_ARGUMENT;
}

CGE_INTERNAL cge_status cge_rmsprop_check(const cge_optimizer *o)
{
    CGE_TRY(check_divided(o));
    return is_decay_rate(o->beta2) && o->beta2 > 0.0f ? CGE_OK : CGE_ERR_ARGUMENT;
}

CGE_INTERNAL cge_status cge_adam_check(const cge_optimizer *o)
{
    return cge_rmsprop_check(o);
}

CGE_INTERNAL cge_status cge_adagrad_check(const cge_optimizer *o)
{
    CGE_TRY(check_divided(o));
    return o->momentum > 0.0f || !(o->beta2 <= 0.0f) || !(o->beta2 >= 0.0f) ? CGE_ERR_ARGUMENT : CGE_OK;
}

/* 1 - beta^step. */
static cge_real bias_correction(float beta, uint64_t step)
{
    cge_real power = CGE_REAL(1) - CGE_REAL(beta), sum = 0; /* 1 - beta^(2^k) */
    for (; step != 0; step >>= 1) {
        if ((step & 1) != 0) sum = sum + power * (CGE_REAL(1) - sum);
        power = power * (CGE_REAL(2) - power);
    }
    return sum;
}

CGE_INTERNAL void cge_adam_begin(cge_optimizer *o, uint64_t step)
{
    o->correction = bias_correction(o->momentum, step);
    o->root = CGE_REAL(1) / cge_sqrt(bias_correction(o->beta2, step));
}

CGE_INTERNAL cge_real cge_adam_rate(const cge_optimizer *o)
{
    return CGE_REAL(o->learning_rate) / o->correction;
}

CGE_INTERNAL cge_adam_step cge_adam_constants(const cge_optimizer *o, cge_real scale, int decays)
{
    cge_adam_step s;
    s.decays = o->weight_decay > 0.0f ? decays : 0;
    s.scale = scale;
    s.decay = CGE_REAL(o->weight_decay);
    if (decays == CGE_DECAYS_WEIGHT) s.decay = CGE_REAL(1) - CGE_REAL(o->learning_rate) * s.decay;
    s.gain1 = CGE_REAL(1) - CGE_REAL(o->momentum);
    s.beta2 = CGE_REAL(o->beta2);
    s.gain2 = CGE_REAL(1) - s.beta2;
    s.rate = cge_adam_rate(o);
    s.root = o->root;
    s.epsilon = CGE_REAL(o->epsilon);
    s.zero = 0;
    s.smallest = cge_real_of(CGE_SMALLEST_NORMAL_BITS);
    return s;
}

/* A sum of squares that is too small, or was read from somewhere. */
CGE_INLINE cge_real square_sum(cge_real v)
{
    return v < cge_real_of(CGE_SMALLEST_NORMAL_BITS) ? CGE_REAL(0) : v;
}

CGE_INLINE void adam_all(const int decays, int32_t n, const cge_adam_step *step, const cge_real *CGE_RESTRICT dw, cge_real *CGE_RESTRICT w, cge_real *CGE_RESTRICT m, cge_real *CGE_RESTRICT v)
{
    const cge_adam_step s = *step;
    const cge_real *const end = dw + n;
    for (; dw != end; w++) {
        cge_real g = *dw++ * s.scale, mean = *m, square, weight = *w;
        if (decays == CGE_DECAYS_GRADIENT) g = CGE_MADD(g, s.decay, weight);
        if (decays == CGE_DECAYS_WEIGHT) weight = weight * s.decay;
        mean = CGE_MADD(mean, s.gain1, g - mean);
        if (cge_is_below(mean, CGE_SMALLEST_NORMAL_BITS)) mean = s.zero;
        *m++ = mean;
        square = CGE_MADD(s.beta2 * *v, s.gain2 * g, g);
        if (square < s.smallest) square = s.zero;
        *v++ = square;
        weight = CGE_MADD(weight, -s.rate, mean / CGE_MADD(s.epsilon, cge_root(square), s.root));
        *w = decays != 0 ? cge_not_below(CGE_SMALLEST_WEIGHT_BITS, weight) : weight;
    }
}

CGE_INTERNAL void cge_adam_f32_ref(int32_t n, const cge_adam_step *s, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    switch (s->decays) {
    case 0: adam_all(0, n, s, dw, w, m, v); break;
    case CGE_DECAYS_GRADIENT: adam_all(CGE_DECAYS_GRADIENT, n, s, dw, w, m, v); break;
    default: adam_all(CGE_DECAYS_WEIGHT, n, s, dw, w, m, v); break;
    }
}

/* ---- RMSprop, Adagrad ---- */

/* The gradient of one parameter. */
CGE_INLINE cge_real decayed(const cge_optimizer *o, cge_real scale, cge_real dw, cge_real w)
{
    const cge_real g = dw * scale;
    return o->weight_decay > 0.0f ? CGE_MADD(g, CGE_REAL(o->weight_decay), w) : g;
}

/* w - learning_rate * change */
CGE_INLINE cge_real descended(const cge_optimizer *o, cge_real w, cge_real change)
{
    w = CGE_MADD(w, -CGE_REAL(o->learning_rate), change);
    return o->weight_decay > 0.0f ? cge_not_below(CGE_SMALLEST_WEIGHT_BITS, w) : w;
}

CGE_INTERNAL void cge_rmsprop_apply(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v, cge_real *m)
{
    const cge_real beta2 = CGE_REAL(o->beta2), gain2 = CGE_REAL(1) - beta2, momentum = CGE_REAL(o->momentum), epsilon = CGE_REAL(o->epsilon);
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real g = decayed(o, scale, dw[i], w[i]);
        cge_real change;
        v[i] = square_sum(CGE_MADD(beta2 * v[i], gain2 * g, g));
        change = g / (cge_root(v[i]) + epsilon);
        if (o->momentum > 0.0f) change = m[i] = cge_not_below(CGE_SMALLEST_NORMAL_BITS, CGE_MADD(change, momentum, m[i]));
        w[i] = descended(o, w[i], change);
    }
}

CGE_INTERNAL void cge_adagrad_apply(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const cge_real epsilon = CGE_REAL(o->epsilon);
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real g = decayed(o, scale, dw[i], w[i]);
        v[i] = square_sum(CGE_MADD(v[i], g, g));
        w[i] = descended(o, w[i], g / (cge_root(v[i]) + epsilon));
    }
}
