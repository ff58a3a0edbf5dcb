/* Adam, AdamW, RMSprop and Adagrad, element by element as the header writes them; and what is refused of their settings. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED_DW = 71, SEED_W, SEED_M, SEED_V };
enum { SMALLEST_STATE = 0x00800000, SMALLEST_WEIGHT = 0x0d800000 }; /* bits of FLT_MIN, of 2^-100 */

/* ---- the formulas ---- */

static float not_below(int32_t limit, float x)
{
    return (float_bits(x) & 0x7fffffffu) < (uint32_t)limit ? 0.0f : x;
}

static float square_sum(float v)
{
    return v < float_from_bits(SMALLEST_STATE) ? 0.0f : v;
}

/* 1 - beta^step, by digits from the lowest. */
static float correction(float beta, uint64_t step)
{
    float power = 1 - beta, sum = 0;
    for (int32_t digit = 0; digit < 64 && step >> digit != 0; digit++) {
        const float rest = 1 - sum, twice = 2 - power;
        if ((step >> digit & 1) != 0) {
            const float part = power * rest;
            sum = sum + part;
        }
        power = power * twice;
    }
    return sum;
}

typedef struct numbers { /* of one parameter */
    float w, m, v;
} numbers;

static numbers adam_step(const cge_optimizer *o, int decoupled, uint64_t step, float scale, float dw, numbers p)
{
    const float rate = o->learning_rate / correction(o->momentum, step), root = 1 / cge_sqrt_f32(correction(o->beta2, step));
    const float lost = o->learning_rate * o->weight_decay, kept = 1 - lost;
    float g = dw * scale, seen;
    if (o->weight_decay > 0 && !decoupled) g = mul_add(o->weight_decay, p.w, g);
    if (o->weight_decay > 0 && decoupled) p.w = p.w * kept;
    p.m = not_below(SMALLEST_STATE, mul_add(1 - o->momentum, g - p.m, p.m));
    seen = o->beta2 * p.v;
    p.v = square_sum(mul_add((1 - o->beta2) * g, g, seen));
    p.w = mul_add(-rate, p.m / mul_add(cge_sqrt_f32(p.v), root, o->epsilon), p.w);
    if (o->weight_decay > 0) p.w = not_below(SMALLEST_WEIGHT, p.w);
    return p;
}

static numbers divided_step(const cge_optimizer *o, int is_adagrad, float scale, float dw, numbers p)
{
    float g = dw * scale, seen, change;
    if (o->weight_decay > 0) g = mul_add(o->weight_decay, p.w, g);
    seen = is_adagrad ? p.v : o->beta2 * p.v;
    p.v = square_sum(mul_add(is_adagrad ? g : (1 - o->beta2) * g, g, seen));
    seen = cge_sqrt_f32(p.v);
    change = g / (seen + o->epsilon);
    if (o->momentum > 0) change = p.m = not_below(SMALLEST_STATE, mul_add(o->momentum, p.m, change));
    p.w = mul_add(-o->learning_rate, change, p.w);
    if (o->weight_decay > 0) p.w = not_below(SMALLEST_WEIGHT, p.w);
    return p;
}

/* ---- steps ---- */

static const struct {
    const char *name;
    const cge_optimizer_kind *kind;
    cge_optimizer o; /* whose kind is not read */
} cases[] = {
    {"adam", &cge_adam, {.learning_rate = 1e-3f, .momentum = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f}},
    {"adam, weight decay", &cge_adam, {.learning_rate = 0.1f, .momentum = 0.5f, .weight_decay = 0.25f, .beta2 = 0.9f, .epsilon = 1e-3f}},
    {"adam without beta1", &cge_adam, {.learning_rate = 0.1f, .beta2 = 0.99f, .epsilon = 1e-8f}},
    {"adamw", &cge_adamw, {.learning_rate = 1e-3f, .momentum = 0.9f, .weight_decay = 0.01f, .beta2 = 0.999f, .epsilon = 1e-8f}},
    {"adamw without decay", &cge_adamw, {.learning_rate = 1e-3f, .momentum = 0.9f, .beta2 = 0.99f, .epsilon = 1e-8f}},
    {"rmsprop", &cge_rmsprop, {.learning_rate = 0.01f, .beta2 = 0.99f, .epsilon = 1e-8f}},
    {"rmsprop, momentum, weight decay", &cge_rmsprop, {.learning_rate = 0.01f, .momentum = 0.9f, .weight_decay = 0.125f, .beta2 = 0.9f, .epsilon = 1e-6f}},
    {"adagrad", &cge_adagrad, {.learning_rate = 0.01f, .epsilon = 1e-10f}},
    {"adagrad, weight decay", &cge_adagrad, {.learning_rate = 0.1f, .weight_decay = 0.01f, .epsilon = 1e-10f}},
};

static int is_adam(const cge_optimizer_kind *kind)
{
    return kind == &cge_adam || kind == &cge_adamw;
}

static cge_status update(const cge_optimizer_kind *kind, int32_t n, const cge_optimizer *o, uint64_t step, float scale,
                         const float *dw, float *w, float *m, float *v)
{
    if (kind == &cge_adam) return cge_adam_update_f32(n, o, step, scale, dw, w, m, v);
    if (kind == &cge_adamw) return cge_adamw_update_f32(n, o, step, scale, dw, w, m, v);
    if (kind == &cge_rmsprop) return cge_rmsprop_update_f32(n, o, scale, dw, w, v, m);
    return cge_adagrad_update_f32(n, o, scale, dw, w, v);
}

static void test_steps(int32_t which, int32_t n, uint64_t first_step)
{
    const cge_optimizer_kind *kind = cases[which].kind;
    const cge_optimizer *o = &cases[which].o;
    if (!check_room(cases[which].name, sizeof(float) * 4 * (size_t)n)) return;
    const float *dw = check_operands(n, SEED_DW);
    float *w = check_operands(n, SEED_W), *m = check_operands(n, SEED_M), *v = check_operands(n, SEED_V);
    for (int32_t i = 0; i < n; i++) v[i] = v[i] * v[i];
    for (uint64_t step = first_step; step < first_step + 3; step++) CHECK_OK(update(kind, n, o, step, 0.25f, dw, w, m, v));
    for (int32_t i = 0; i < n; i++) {
        numbers p = {operand(SEED_W, i), operand(SEED_M, i), operand(SEED_V, i) * operand(SEED_V, i)};
        for (uint64_t step = first_step; step < first_step + 3; step++)
            p = is_adam(kind) ? adam_step(o, kind == &cge_adamw, step, 0.25f, dw[i], p) : divided_step(o, kind == &cge_adagrad, 0.25f, dw[i], p);
        CHECK_SAME(p.w, w[i], i);
        CHECK_SAME(p.m, m[i], i); /* as it was, where the kind keeps one number */
        CHECK_SAME(p.v, v[i], i);
    }
}

static int is_close(float expected, float got, float relative)
{
    const float difference = expected < got ? got - expected : expected - got;
    return difference <= relative * expected;
}

/* By the naive product in double: what is wrong of it is far less than a float's last place. */
static void test_bias_correction(void)
{
    static const float betas[] = {0.5f, 0.9f, 0.99f, 0.999f, 0.9999f};
    check_case("bias correction");
    for (int32_t k = 0; k < COUNT_OF(betas); k++) {
        const cge_optimizer o = {.learning_rate = 1, .momentum = betas[k], .beta2 = 0.5f, .epsilon = 1e-30f};
        double power = 1;
        for (uint64_t step = 1; step <= 300; step++) {
            float dw = 0, w = 0, m = -1, v = 1, exact;
            power *= (double)betas[k];
            CHECK_OK(cge_adam_update_f32(1, &o, step, 1, &dw, &w, &m, &v)); /* w = rate * beta / (sqrt(0.5) * root) */
            exact = (float)(1 / (1 - power)) * betas[k] / cge_sqrt_f32(0.5f) * cge_sqrt_f32(correction(0.5f, step));
            CHECK(is_close(exact, w, 3e-6f));
        }
    }
}

/* Steps that no loop would get to. */
static void test_late_steps(void)
{
    static const uint64_t steps[] = {1000000, UINT64_C(1) << 40, UINT64_MAX};
    const cge_optimizer o = {.learning_rate = 0.5f, .momentum = 0.5f, .beta2 = 0.75f, .epsilon = 1e-8f};
    check_case("late steps");
    for (int32_t i = 0; i < COUNT_OF(steps); i++) {
        float dw = 3, w = 1, m = 3, v = 9;
        CHECK_OK(cge_adam_update_f32(1, &o, steps[i], 1, &dw, &w, &m, &v));
        CHECK(is_close(0.5f, w, 1e-6f));
    }
}

/* What only decays ends at +0, and a sum of squares that is none is taken for +0. */
static void test_borders(int32_t n)
{
    const cge_optimizer adam = {.learning_rate = 0.5f, .momentum = 0.5f, .beta2 = 0.5f, .epsilon = 1};
    const cge_optimizer decay = {.learning_rate = 0.5f, .momentum = 0.5f, .weight_decay = 1, .beta2 = 0.5f, .epsilon = 1};
    const float limit = float_from_bits(SMALLEST_STATE), weight = float_from_bits(SMALLEST_WEIGHT);
    if (!check_room("borders", sizeof(float) * 4 * (size_t)n)) return;
    float *dw = check_floats(n), *w = check_floats(n), *m = check_floats(n), *v = check_floats(n);
    for (int32_t i = 0; i < n; i++) {
        dw[i] = 0;
        w[i] = 1;
        m[i] = (i % 2 == 0 ? 2 : -2) * limit;
        v[i] = 2 * limit;
    }
    v[n - 1] = -4;
    CHECK_OK(cge_adam_update_f32(n, &adam, 1, 1, dw, w, m, v));
    for (int32_t i = 0; i < n; i++) {
        CHECK_SAME((i % 2 == 0 ? 1 : -1) * limit, m[i], i);
        CHECK_SAME(i == n - 1 ? 0.0f : limit, v[i], i);
    }
    CHECK_OK(cge_adam_update_f32(n, &adam, 2, 1, dw, w, m, v));
    for (int32_t i = 0; i < n; i++) CHECK(float_bits(m[i]) == 0 && float_bits(v[i]) == 0);
    for (int32_t i = 0; i < n; i++) w[i] = (i % 2 == 0 ? weight : -weight) * (i % 3 == 0 ? 2.0f : 1.0f);
    CHECK_OK(cge_adamw_update_f32(n, &decay, 3, 1, dw, w, m, v)); /* half of it */
    for (int32_t i = 0; i < n; i++) CHECK_SAME(i % 3 != 0 ? 0.0f : i % 2 == 0 ? weight : -weight, w[i], i);
}

/* Small weights end at +0 where they decay, and only there. */
static void test_small_weights(void)
{
    const float small = float_from_bits(SMALLEST_WEIGHT) / 2;
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        const float dw = 0, scale = 1;
        float w = -small, m = 0, v = 0;
        check_case(cases[i].name);
        CHECK_OK(update(cases[i].kind, 1, &cases[i].o, 1, scale, &dw, &w, &m, &v));
        if (cases[i].o.weight_decay > 0) CHECK(w > -small);
        else CHECK_SAME(-small, w, 0);
    }
}

void suite_adaptive(void)
{
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        test_steps(i, 1, 1);
        test_steps(i, 2, 2);
        test_steps(i, 37, 1);
        test_steps(i, 64, 1000);
    }
    test_bias_correction();
    test_late_steps();
    test_small_weights();
    for (int32_t n = 1; n <= 9; n++) test_borders(n);
}

/* ---- refused input ---- */

static const struct {
    uint32_t learning_rate, momentum, weight_decay, beta2, epsilon; /* bits; 1: as it is */
    int32_t nesterov;
} refused[] = {
    {0xbf800000u, 1, 1, 1, 1, 0}, {0x7f800000u, 1, 1, 1, 1, 0}, {0x7fc00000u, 1, 1, 1, 1, 0},
    {1, 0x3f800000u, 1, 1, 1, 0}, {1, 0xbf000000u, 1, 1, 1, 0}, {1, 0x7fc00000u, 1, 1, 1, 0},
    {1, 1, 0xbf800000u, 1, 1, 0}, {1, 1, 0x7f800000u, 1, 1, 0},
    {1, 1, 1, 0x3f800000u, 1, 0}, {1, 1, 1, 0xbf000000u, 1, 0}, {1, 1, 1, 0x7fc00000u, 1, 0}, {1, 1, 1, 0xffc00000u, 1, 0},
    {1, 1, 1, 1, 0, 0},           {1, 1, 1, 1, 0x007fffffu, 0}, {1, 1, 1, 1, 0xb0000000u, 0}, {1, 1, 1, 1, 0x7f800000u, 0},
    {1, 1, 1, 1, 1, 1},           {1, 1, 1, 1, 1, -1},
};

static void set_bits(float *setting, uint32_t bits)
{
    if (bits != 1) *setting = float_from_bits(bits);
}

static void test_refused_settings(int32_t which)
{
    static float dw[2] = {1, 1}, w[2] = {1, 1}, m[2] = {1, 1}, v[2] = {1, 1};
    check_case(cases[which].name);
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        cge_optimizer o = cases[which].o;
        set_bits(&o.learning_rate, refused[i].learning_rate);
        set_bits(&o.momentum, refused[i].momentum);
        set_bits(&o.weight_decay, refused[i].weight_decay);
        set_bits(&o.beta2, refused[i].beta2);
        set_bits(&o.epsilon, refused[i].epsilon);
        o.nesterov = refused[i].nesterov;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, update(cases[which].kind, 2, &o, 1, 1, dw, w, m, v));
    }
    CHECK(w[0] == 1 && m[0] == 1 && v[0] == 1 && w[1] == 1);
}

static void test_refused_arguments(const cge_optimizer_kind *kind, const cge_optimizer *o, int keeps_two)
{
    static float dw[2], w[2], m[2], v[2];
    CHECK_REFUSED(CGE_ERR_SHAPE, update(kind, 0, o, 1, 1, dw, w, m, v));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, update(kind, INT32_MAX, o, 1, 1, dw, w, m, v));
    CHECK_REFUSED(CGE_ERR_NULL, update(kind, 2, NULL, 1, 1, dw, w, m, v));
    CHECK_REFUSED(CGE_ERR_NULL, update(kind, 2, o, 1, 1, NULL, w, m, v));
    CHECK_REFUSED(CGE_ERR_NULL, update(kind, 2, o, 1, 1, dw, NULL, m, v));
    CHECK_REFUSED(CGE_ERR_NULL, update(kind, 2, o, 1, 1, dw, w, m, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, update(kind, 1, o, 1, 1, misaligned(dw), w, m, v));
    CHECK_REFUSED(CGE_ERR_ALIGN, update(kind, 1, o, 1, 1, dw, misaligned(w), m, v));
    CHECK_REFUSED(CGE_ERR_ALIGN, update(kind, 1, o, 1, 1, dw, w, m, misaligned(v)));
    if (is_adam(kind)) CHECK_REFUSED(CGE_ERR_ARGUMENT, update(kind, 2, o, 0, 1, dw, w, m, v));
    if (!keeps_two) return;
    CHECK_REFUSED(CGE_ERR_NULL, update(kind, 2, o, 1, 1, dw, w, NULL, v));
    CHECK_REFUSED(CGE_ERR_ALIGN, update(kind, 1, o, 1, 1, dw, w, misaligned(m), v));
}

void suite_adaptive_status(void)
{
    const cge_optimizer adagrad = {.learning_rate = 0.1f, .momentum = 0.5f, .epsilon = 1e-8f};
    const cge_optimizer squares = {.learning_rate = 0.1f, .beta2 = 0.5f, .epsilon = 1e-8f};
    const cge_optimizer no_beta2 = {.learning_rate = 0.1f, .momentum = 0.9f, .epsilon = 1e-8f};
    static float dw[1], w[1], m[1], v[1];
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        test_refused_settings(i);
        test_refused_arguments(cases[i].kind, &cases[i].o, is_adam(cases[i].kind) || cases[i].o.momentum > 0);
    }
    check_case("settings of others");
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_adagrad_update_f32(1, &adagrad, 1, dw, w, v));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_adagrad_update_f32(1, &squares, 1, dw, w, v));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_adam_update_f32(1, &no_beta2, 1, 1, dw, w, m, v)); /* forgotten */
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_rmsprop_update_f32(1, &no_beta2, 1, dw, w, v, m));
    CHECK_OK(cge_rmsprop_update_f32(1, &squares, 1, dw, w, v, NULL));
}
