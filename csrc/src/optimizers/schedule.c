/* Learning rates from step to step: formulas in cge.h. Sums and products are never contracted. */
#include "../base/elementary.h"
#include "../base/fp_mode.h"

/* ---- powers: numbers from 0 to 1 in units of 2^-63, so that a thousand products lose nothing that a float would see ---- */

static uint64_t scaled_product(uint64_t a, uint64_t b)
{
    const uint64_t a_high = a >> 32, a_low = a & 0xffffffffu, b_high = b >> 32, b_low = b & 0xffffffffu;
    const uint64_t middle = a_high * b_low + (a_low * b_low >> 32), other = a_low * b_high + (middle & 0xffffffffu);
    return (a_high * b_high + (middle >> 32) + (other >> 32)) << 1;
}

static uint64_t scaled_of(float x)
{
    const uint32_t high = (uint32_t)(x * 0x1p31f);
    return (uint64_t)high << 32 | (uint32_t)((x * 0x1p31f - (float)high) * 0x1p32f);
}

static float of_scaled(uint64_t q)
{
    float unit = 0x1p-31f;
    if (q == 0) return 0.0f;
    for (; q >> 62 == 0; q <<= 1) unit *= 0.5f;
    return (float)(uint32_t)(q >> 32) * unit;
}

/* factor^exponent, 0^0 = 1 */
static float power_of(float factor, uint64_t exponent)
{
    uint64_t power = scaled_of(factor), result = (uint64_t)1 << 63;
    for (; exponent != 0; exponent >>= 1) {
        if ((exponent & 1) != 0) result = scaled_product(result, power);
        power = scaled_product(power, power);
    }
    return of_scaled(result);
}

/* ---- schedules ---- */

/* (1 + cos(pi t / end)) / 2 for 0 <= t <= end, without cancellation where it is small. */
static float half_wave(float t, float end)
{
    const float root = 2.0f * t <= end ? cge_cospi(t / (2.0f * end)) : cge_sinpi_near((end - t) / (2.0f * end));
    return root * root;
}

static float rate_between(float from, float to, float t, float end)
{
    return (from * (end - t) + to * t) / end;
}

static float wave(float from, float to, float t, float end)
{
    return to + (from - to) * half_wave(t, end);
}

static float one_cycle(const cge_schedule *c, uint64_t step)
{
    const float last_step = (float)(c->steps - 1), t = (float)step;
    if (step >= (uint64_t)(c->steps - 1)) return c->last;
    return t < c->warm_up ? wave(c->first, c->rate, t, c->warm_up) : wave(c->rate, c->last, t - c->warm_up, last_step - c->warm_up);
}

static float main_rate(const cge_schedule *c, uint64_t s)
{
    const uint64_t steps = (uint64_t)c->steps;
    switch (c->kind) {
    case CGE_SCHEDULE_STEP: return c->rate * power_of(c->factor, s / steps);
    case CGE_SCHEDULE_EXPONENTIAL: return c->rate * power_of(c->factor, s);
    case CGE_SCHEDULE_LINEAR: return s < steps ? rate_between(c->rate, c->last, (float)s, (float)c->steps) : c->last;
    case CGE_SCHEDULE_COSINE: return s < steps ? wave(c->rate, c->last, (float)s, (float)c->steps) : c->last;
    default: return c->rate;
    }
}

static int is_share(float x)
{
    return cge_is_finite_nonnegative(x) && x <= 1.0f;
}

enum { MOST_STEPS = 1 << 24 }; /* a float holds each of them */

static int is_valid_schedule(const cge_schedule *c)
{
    const int has_steps = c->kind != CGE_SCHEDULE_CONSTANT && c->kind != CGE_SCHEDULE_EXPONENTIAL;
    if (c->kind < CGE_SCHEDULE_CONSTANT || c->kind > CGE_SCHEDULE_ONE_CYCLE) return 0;
    if (has_steps && (c->steps < 1 || c->steps > MOST_STEPS)) return 0;
    if (!cge_is_finite_nonnegative(c->rate) || !cge_is_finite_nonnegative(c->last) || !cge_is_finite_nonnegative(c->first)) return 0;
    if (!is_share(c->factor) || !cge_is_finite_nonnegative(c->warm_up) || c->warm_up >= (float)MOST_STEPS) return 0;
    if (c->kind == CGE_SCHEDULE_ONE_CYCLE) return c->steps > 1 && c->warm_up < (float)(c->steps - 1);
    return (float)(uint32_t)c->warm_up >= c->warm_up;
}

static float rate_of_step(const cge_schedule *c, uint64_t step)
{
    uint32_t warm_up;
    if (!is_valid_schedule(c)) return cge_real_of(CGE_NAN_BITS);
    if (c->kind == CGE_SCHEDULE_ONE_CYCLE) return one_cycle(c, step);
    warm_up = (uint32_t)c->warm_up;
    return step < warm_up ? rate_between(c->first, c->rate, (float)step, c->warm_up) : main_rate(c, step - warm_up);
}

float cge_schedule_rate(const cge_schedule *schedule, uint64_t step)
{
    CGE_OWN_FP_MODE
    CGE_FP_HELD float result;
    if (schedule == NULL) return cge_real_of(CGE_NAN_BITS);
    result = rate_of_step(schedule, step);
    return result;
}

/* ---- plateau ---- */

static int is_valid_plateau(const cge_plateau *p)
{
    return cge_is_finite_nonnegative(p->rate) && cge_is_finite_nonnegative(p->least) && is_share(p->factor) && is_share(p->threshold) && p->threshold < 1.0f &&
           p->patience >= 0 && p->cooldown >= 0;
}

static void reduce_rate(const cge_plateau *p, cge_plateau_state *s)
{
    const float reduced = s->rate * p->factor, next = reduced > p->least ? reduced : p->least;
    if (next < s->rate) s->rate = next;
    s->cooling = p->cooldown;
    s->bad = 0;
}

static void note_measured(const cge_plateau *p, cge_plateau_state *s, float measured)
{
    const int is_better = !cge_is_nan(measured) && measured < s->best * (1.0f - p->threshold);
    if (is_better) s->best = measured;
    s->bad = is_better || s->cooling > 0 ? 0 : s->bad + 1;
    if (s->cooling > 0) s->cooling--;
    if (s->bad > p->patience) reduce_rate(p, s);
}

float cge_plateau_rate(const cge_plateau *plateau, cge_plateau_state *state, float measured)
{
    CGE_OWN_FP_MODE
    if (plateau == NULL || state == NULL || !is_valid_plateau(plateau)) return cge_real_of(CGE_NAN_BITS);
    if (state->measured == 0) {
        state->rate = plateau->rate;
        state->best = cge_real_of(CGE_INFINITY_BITS);
        state->measured = 1;
    }
    note_measured(plateau, state, measured);
    return state->rate;
}
