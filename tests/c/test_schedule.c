/* Learning rates from step to step: against the formulas in double, at their borders, and what is refused. */
#include "check.h"
#include "reference_math.h"
#include "suites.h"

static int is_near(double expected, float got)
{
    const double difference = expected - (double)got;
    return (difference < 0 ? -difference : difference) <= 1e-6 * expected + 1e-18; /* powers are in units of 2^-63 */
}

static double naive_power(float factor, int32_t exponent)
{
    double power = 1;
    for (; exponent > 0; exponent--) power *= (double)factor;
    return power;
}

static double half_wave(double share)
{
    return (1 + reference_cospi(share)) / 2;
}

static double expected_rate(const cge_schedule *c, int32_t step)
{
    const double rate = (double)c->rate, last = (double)c->last, first = (double)c->first, warm_up = (double)c->warm_up, end = c->steps - 1;
    const int32_t s = step - (int32_t)c->warm_up;
    if (c->kind == CGE_SCHEDULE_ONE_CYCLE) {
        if (step >= c->steps - 1) return last;
        if (step < warm_up) return rate + (first - rate) * half_wave(step / warm_up);
        return last + (rate - last) * half_wave((step - warm_up) / (end - warm_up));
    }
    if (step < warm_up) return first + (rate - first) * step / warm_up;
    switch (c->kind) {
    case CGE_SCHEDULE_STEP: return rate * naive_power(c->factor, s / c->steps);
    case CGE_SCHEDULE_EXPONENTIAL: return rate * naive_power(c->factor, s);
    case CGE_SCHEDULE_LINEAR: return s < c->steps ? rate + (last - rate) * s / c->steps : last;
    case CGE_SCHEDULE_COSINE: return s < c->steps ? last + (rate - last) * half_wave((double)s / c->steps) : last;
    default: return rate;
    }
}

static const struct {
    const char *name;
    cge_schedule schedule;
} cases[] = {
    {"constant", {.rate = 0.1f}},
    {"constant, warm-up", {.rate = 0.1f, .first = 0.01f, .warm_up = 7}},
    {"step", {.kind = CGE_SCHEDULE_STEP, .rate = 0.1f, .factor = 0.3f, .steps = 9}},
    {"step, warm-up", {.kind = CGE_SCHEDULE_STEP, .rate = 0.1f, .factor = 0.5f, .first = 0.2f, .warm_up = 5, .steps = 1}},
    {"exponential", {.kind = CGE_SCHEDULE_EXPONENTIAL, .rate = 0.1f, .factor = 0.99f}},
    {"exponential, no less", {.kind = CGE_SCHEDULE_EXPONENTIAL, .rate = 0.1f, .factor = 1}},
    {"exponential, at once 0", {.kind = CGE_SCHEDULE_EXPONENTIAL, .rate = 0.1f, .factor = 0}},
    {"linear", {.kind = CGE_SCHEDULE_LINEAR, .rate = 0.1f, .last = 0.01f, .steps = 77}},
    {"linear to 0", {.kind = CGE_SCHEDULE_LINEAR, .rate = 0.1f, .first = 0.05f, .warm_up = 3, .steps = 40}},
    {"cosine", {.kind = CGE_SCHEDULE_COSINE, .rate = 0.1f, .last = 0.001f, .steps = 63}},
    {"cosine to 0, warm-up", {.kind = CGE_SCHEDULE_COSINE, .rate = 3, .warm_up = 10, .steps = 50}},
    {"one-cycle", {.kind = CGE_SCHEDULE_ONE_CYCLE, .rate = 0.1f, .first = 0.004f, .last = 4e-7f, .warm_up = 29, .steps = 100}},
    {"one-cycle, between steps", {.kind = CGE_SCHEDULE_ONE_CYCLE, .rate = 0.1f, .first = 0.01f, .last = 0.001f, .warm_up = 9.5f, .steps = 35}},
    {"one-cycle, downwards", {.kind = CGE_SCHEDULE_ONE_CYCLE, .rate = 0.1f, .last = 0.001f, .steps = 20}},
};

static void test_rates(void)
{
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        check_case(cases[i].name);
        for (int32_t step = 0; step < 160; step++) CHECK(is_near(expected_rate(&cases[i].schedule, step), cge_schedule_rate(&cases[i].schedule, (uint64_t)step)));
    }
}

/* What no test would wait for: the end is held, powers run out. */
static void test_late_rates(void)
{
    const cge_schedule halves = {.kind = CGE_SCHEDULE_EXPONENTIAL, .rate = 1, .factor = 0.5f}, slow = {.kind = CGE_SCHEDULE_EXPONENTIAL, .rate = 1, .factor = 0x1.fffffep-1f};
    const cge_schedule cosine = {.kind = CGE_SCHEDULE_COSINE, .rate = 1, .last = 0.25f, .steps = 1 << 24};
    check_case("late rates");
    CHECK_SAME(0x1p-60f, cge_schedule_rate(&halves, 60), 0);
    CHECK_SAME(0.0f, cge_schedule_rate(&halves, 64), 0);
    CHECK_SAME(0.0f, cge_schedule_rate(&halves, UINT64_MAX), 0);
    CHECK(is_near(0.36787944, cge_schedule_rate(&slow, 1 << 24)));
    CHECK_SAME(0.25f, cge_schedule_rate(&cosine, UINT64_MAX), 0);
    CHECK_SAME(0.625f, cge_schedule_rate(&cosine, 1 << 23), 0);
}

static int is_nan(float x)
{
    return (float_bits(x) & 0x7fffffffu) > 0x7f800000u;
}

static void test_refused_schedules(void)
{
    static const float bad[] = {-1, 0};
    check_case("refused schedules");
    CHECK(is_nan(cge_schedule_rate(NULL, 0)));
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        for (int32_t member = 0; member < 9; member++) {
            cge_schedule c = cases[i].schedule;
            const int reads_steps = c.kind != CGE_SCHEDULE_CONSTANT && c.kind != CGE_SCHEDULE_EXPONENTIAL;
            switch (member) {
            case 0: c.rate = bad[0]; break;
            case 1: c.last = float_from_bits(0x7f800000u); break;
            case 2: c.factor = 1.5f; break;
            case 3: c.first = float_from_bits(0x7fc00000u); break;
            case 4: c.warm_up = -1; break;
            case 5: c.warm_up = 0x1p24f; break;
            case 6: c.kind = i % 2 == 0 ? -1 : 6; break;
            case 7: c.steps = 0; break;
            default: c.steps = (1 << 24) + 1; break;
            }
            CHECK(is_nan(cge_schedule_rate(&c, 3)) == (member < 7 || reads_steps));
        }
    }
    cge_schedule broken = cases[1].schedule, cycle = cases[11].schedule;
    broken.warm_up = 6.5f;
    CHECK(is_nan(cge_schedule_rate(&broken, 3)));
    cycle.warm_up = 99;
    CHECK(is_nan(cge_schedule_rate(&cycle, 3)));
    cycle.warm_up = 0;
    cycle.steps = 1;
    CHECK(is_nan(cge_schedule_rate(&cycle, 3)));
}

static void test_plateau(void)
{
    static const cge_plateau p = {.rate = 1, .factor = 0.5f, .threshold = 0.25f, .least = 0.2f, .patience = 1, .cooldown = 2};
    static const struct {
        float measured, rate;
    } steps[] = {
        {8, 1}, {4, 1}, {3.5f, 1},    /* bad: not below 3 */
        {2.5f, 1},                    /* better */
        {2.5f, 1}, {3, 0.5f},         /* two are more than patience */
        {9, 0.5f}, {9, 0.5f},         /* these do not count */
        {9, 0.5f}, {-1, 0.25f}, /* NaN is bad */
        {1, 0.25f}, {1, 0.25f},       /* one is better, none counts */
        {1, 0.25f}, {1, 0.2f},        /* not less than least */
        {9, 0.2f}, {9, 0.2f}, {9, 0.2f}, {9, 0.2f}, {9, 0.2f},
    };
    cge_plateau_state state = {0, 0, 0, 0, 0};
    check_case("plateau");
    for (int32_t i = 0; i < COUNT_OF(steps); i++) {
        const float measured = steps[i].measured < 0 ? float_from_bits(0x7fc00000u) : steps[i].measured;
        CHECK_SAME(steps[i].rate, cge_plateau_rate(&p, &state, measured), i);
    }
}

static void test_refused_plateaus(void)
{
    const cge_plateau good = {.rate = 1, .factor = 0.5f};
    check_case("refused plateaus");
    for (int32_t member = 0; member < 7; member++) {
        cge_plateau p = good;
        cge_plateau_state state = {0, 0, 0, 0, 0};
        switch (member) {
        case 0: p.rate = -1; break;
        case 1: p.factor = 1.5f; break;
        case 2: p.threshold = 1; break;
        case 3: p.threshold = -1; break;
        case 4: p.least = float_from_bits(0x7f800000u); break;
        case 5: p.patience = -1; break;
        default: p.cooldown = -1; break;
        }
        CHECK(is_nan(cge_plateau_rate(&p, &state, 1)) && state.measured == 0);
        CHECK(is_nan(cge_plateau_rate(&good, NULL, 1)) && is_nan(cge_plateau_rate(NULL, &state, 1)));
    }
}

void suite_schedule(void)
{
    test_rates();
    test_late_rates();
    test_refused_schedules();
    test_plateau();
    test_refused_plateaus();
}
