/* Losses of one sample and their gradients; formulas and orders in cge.h. */
#include "../../base/elementary.h"
#include "../kernels.h"

static cge_real largest(int32_t n, const cge_real *x)
{
    cge_real m = x[0];
    int32_t i;
    for (i = 1; i < n; i++)
        if (x[i] > m) m = x[i];
    return m;
}

/* Of what lies below the largest, *m. */
CGE_NOINLINE cge_real sum_of_exp(int32_t n, const cge_real *x, cge_real *m)
{
    cge_real s = 0;
    int32_t i;
    *m = largest(n, x);
    for (i = 0; i < n; i++) s += cge_exp(x[i] - *m);
    return s;
}

CGE_INTERNAL void cge_softmax_apply(int32_t n, const cge_real *x, cge_real *y)
{
    cge_real m;
    const cge_real s = sum_of_exp(n, x, &m);
    int32_t i;
    for (i = 0; i < n; i++) y[i] = cge_exp(x[i] - m) / s;
}

CGE_INTERNAL cge_real cge_softmax_cross_entropy_loss(int32_t n, const cge_real *x, int32_t label)
{
    cge_real m;
    const cge_real log_sum = cge_log(sum_of_exp(n, x, &m));
    return log_sum - (x[label] - m);
}

CGE_INTERNAL void cge_softmax_cross_entropy_grad(int32_t n, const cge_real *x, int32_t label, cge_real *dx)
{
    cge_softmax_apply(n, x, dx);
    dx[label] -= CGE_REAL(1);
}

CGE_INTERNAL cge_real cge_mean_squared_error_loss(int32_t n, const cge_real *x, const cge_real *target)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        cge_real d = x[i] - target[i];
        sum = CGE_MADD(sum, d, d);
    }
    return sum * (CGE_REAL(1) / CGE_REAL(n));
}

CGE_INTERNAL void cge_mean_squared_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    const cge_real scale = CGE_REAL(2) / CGE_REAL(n);
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = (x[i] - target[i]) * scale;
}

CGE_INTERNAL cge_real cge_mean_absolute_error_loss(int32_t n, const cge_real *x, const cge_real *target)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real d = x[i] - target[i];
        sum += d < 0 ? -d : d;
    }
    return sum * (CGE_REAL(1) / CGE_REAL(n));
}

CGE_INTERNAL void cge_mean_absolute_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    const cge_real scale = CGE_REAL(1) / CGE_REAL(n);
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real d = x[i] - target[i];
        dx[i] = d > 0 ? scale : d < 0 ? -scale : d;
    }
}

/* x within -limit .. limit; NaN stays. */
static cge_real clamped(cge_real x, cge_real limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

CGE_INTERNAL cge_real cge_huber_loss(int32_t n, cge_real delta, const cge_real *x, const cge_real *target)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real d = x[i] - target[i], size = d < 0 ? -d : d;
        if (size <= delta) sum = CGE_MADD(sum, CGE_REAL(0.5) * size, size);
        else sum = CGE_MADD(sum, delta, size - CGE_REAL(0.5) * delta);
    }
    return sum * (CGE_REAL(1) / CGE_REAL(n));
}

CGE_INTERNAL void cge_huber_grad(int32_t n, cge_real delta, const cge_real *x, const cge_real *target, cge_real *dx)
{
    const cge_real scale = CGE_REAL(1) / CGE_REAL(n);
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = clamped(x[i] - target[i], delta) * scale;
}

CGE_INTERNAL int cge_are_probabilities(int32_t n, const cge_real *target)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (!(target[i] >= 0 && target[i] <= 1)) return 0;
    return 1;
}

/* log(1 + e), e in 0 .. 1, to the last places for small e too: the rounding error of 1 + e is in both factors (Kahan, as in
 * Goldberg 1991, theorem 4). */
static cge_real log_of_one_and(cge_real e)
{
    const cge_real u = CGE_REAL(1) + e, rounded = u - CGE_REAL(1);
    return rounded > 0 ? cge_log(u) * (e / rounded) : e;
}

CGE_INTERNAL cge_real cge_binary_cross_entropy_loss(int32_t n, const cge_real *x, const cge_real *target)
{
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real positive = x[i] < 0 ? CGE_REAL(0) : x[i], size = x[i] < 0 ? -x[i] : x[i];
        sum += CGE_MADD(positive, -x[i], target[i]) + log_of_one_and(cge_exp(-size));
    }
    return sum * (CGE_REAL(1) / CGE_REAL(n));
}

CGE_INTERNAL void cge_binary_cross_entropy_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    const cge_real scale = CGE_REAL(1) / CGE_REAL(n);
    int32_t i;
    cge_sigmoid_apply(n, x, dx);
    for (i = 0; i < n; i++) dx[i] = (dx[i] - target[i]) * scale;
}

CGE_INTERNAL cge_real cge_smoothed_cross_entropy_loss(int32_t n, cge_real smoothing, const cge_real *x, int32_t label)
{
    cge_real sum = 0, m;
    const cge_real log_sum = cge_log(sum_of_exp(n, x, &m));
    int32_t i;
    for (i = 0; i < n; i++) sum += log_sum - (x[i] - m);
    return CGE_MADD((CGE_REAL(1) - smoothing) * (log_sum - (x[label] - m)), smoothing / CGE_REAL(n), sum);
}

CGE_INTERNAL void cge_smoothed_cross_entropy_grad(int32_t n, cge_real smoothing, const cge_real *x, int32_t label, cge_real *dx)
{
    const cge_real each = smoothing / CGE_REAL(n);
    int32_t i;
    cge_softmax_apply(n, x, dx);
    for (i = 0; i < n; i++) dx[i] -= each;
    dx[label] -= CGE_REAL(1) - smoothing;
}

/* Logits over the temperature: their largest, and the sum of exp of what they lie below it. */
typedef struct softened {
    const cge_real *x;
    cge_real m, rate, sum;
} softened;

static cge_real softened_at(const softened *s, int32_t i)
{
    return (s->x[i] - s->m) * s->rate;
}

static softened soften(int32_t n, const cge_real *x, cge_real temperature)
{
    softened s;
    int32_t i;
    s.x = x;
    s.m = largest(n, x);
    s.rate = CGE_REAL(1) / temperature;
    s.sum = 0;
    for (i = 0; i < n; i++) s.sum += cge_exp(softened_at(&s, i));
    return s;
}

CGE_INTERNAL cge_real cge_distillation_loss(int32_t n, cge_real temperature, cge_real alpha, const cge_real *x, int32_t label, const cge_real *teacher)
{
    const softened p = soften(n, teacher, temperature), q = soften(n, x, temperature);
    const cge_real log_p_sum = cge_log(p.sum), log_q_sum = cge_log(q.sum);
    cge_real sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real at = softened_at(&p, i), probability = cge_exp(at) / p.sum;
        if (probability > 0 || cge_is_nan(probability)) sum = CGE_MADD(sum, probability, (at - log_p_sum) - (softened_at(&q, i) - log_q_sum));
    }
    return CGE_MADD(alpha * cge_softmax_cross_entropy_loss(n, x, label), (CGE_REAL(1) - alpha) * temperature * temperature, sum);
}

CGE_INTERNAL void cge_distillation_grad(int32_t n, cge_real temperature, cge_real alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *dx)
{
    const softened p = soften(n, teacher, temperature), q = soften(n, x, temperature);
    cge_real m;
    const cge_real s = sum_of_exp(n, x, &m), of_teacher = (CGE_REAL(1) - alpha) * temperature;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real hard = cge_exp(x[i] - m) / s - (i == label ? CGE_REAL(1) : CGE_REAL(0));
        dx[i] = CGE_MADD(alpha * hard, of_teacher, cge_exp(softened_at(&q, i)) / q.sum - cge_exp(softened_at(&p, i)) / p.sum);
    }
}
