/* The optimiser step, element by element as the header writes it. */
#include "check.h"
#include "suites.h"

enum { SEED_DW = 61, SEED_W, SEED_V };

static const struct {
    const char *name;
    cge_optimizer o; /* kind, learning_rate, momentum, weight_decay, nesterov */
} settings[] = {
    {"plain", {NULL, 0.05f, 0, 0, 0}},
    {"weight decay", {NULL, 0.05f, 0, 1e-3f, 0}},
    {"momentum", {NULL, 0.1f, 0.9f, 0, 0}},
    {"momentum and weight decay", {NULL, 0.1f, 0.9f, 1e-3f, 0}},
    {"nesterov", {NULL, 0.1f, 0.9f, 0, 1}},
    {"nesterov and weight decay", {NULL, 0.1f, 0.99f, 1e-2f, 1}},
    {"learning rate 0", {&cge_sgd, 0, 0.5f, 0, 0}},
};

enum { SMALLEST_VELOCITY = 0x00800000, SMALLEST_WEIGHT = 0x0d800000 }; /* bits of FLT_MIN, of 2^-100 */

/* +0 in place of what is smaller. */
static float not_below(int32_t limit, float x)
{
    return (float_bits(x) & 0x7fffffffu) < (uint32_t)limit ? 0.0f : x;
}

static void step(const cge_optimizer *o, float scale, float dw, float *w, float *v)
{
    float g = dw * scale, change;
    if (o->weight_decay != 0) g = mul_add(o->weight_decay, *w, g);
    change = g;
    if (o->momentum != 0) {
        *v = not_below(SMALLEST_VELOCITY, mul_add(o->momentum, *v, g));
        change = o->nesterov != 0 ? mul_add(o->momentum, *v, g) : *v;
    }
    *w = mul_add(-o->learning_rate, change, *w);
    if (o->weight_decay != 0) *w = not_below(SMALLEST_WEIGHT, *w);
}

static void test_steps(const char *name, const cge_optimizer *o, int32_t n, float scale)
{
    if (!check_room(name, sizeof(float) * 3 * (size_t)n)) return;
    const float *dw = check_operands(n, SEED_DW);
    float *w = check_operands(n, SEED_W), *v = check_operands(n, SEED_V);
    CHECK_OK(cge_sgd_update_f32(n, o, scale, dw, w, v));
    CHECK_OK(cge_sgd_update_f32(n, o, scale, dw, w, v));
    for (int32_t i = 0; i < n; i++) {
        float expected_w = operand(SEED_W, i), expected_v = operand(SEED_V, i);
        step(o, scale, dw[i], &expected_w, &expected_v);
        step(o, scale, dw[i], &expected_w, &expected_v);
        CHECK_SAME(expected_w, w[i], i);
        CHECK_SAME(expected_v, v[i], i); /* as it was, without momentum */
        CHECK_SAME(operand(SEED_DW, i), dw[i], i);
    }
    if (o->momentum != 0) return;
    for (int32_t i = 0; i < n; i++) w[i] = operand(SEED_W, i);
    CHECK_OK(cge_sgd_update_f32(n, o, scale, dw, w, NULL));
    for (int32_t i = 0; i < n; i++) {
        float expected_w = operand(SEED_W, i);
        step(o, scale, dw[i], &expected_w, NULL);
        CHECK_SAME(expected_w, w[i], i);
    }
}

/* What is left at the border of a velocity, which is halved, and of a weight that decays to a half: the limit stays, less
 * becomes +0, -0 too. */
static void test_border(int32_t n)
{
    static const cge_optimizer velocity = {NULL, 0.5f, 0.5f, 0, 0}, nesterov = {NULL, 0.5f, 0.5f, 0, 1}, decay = {NULL, 0.5f, 0, 1, 0};
    static const uint32_t doubled[] = {0x01000000u, 0x81000000u, 0x00fffffeu, 0x80fffffeu, 0x00000002u, 0x80000002u, 0x00000001u, 0x80000000u, 0};
    static const uint32_t expected[] = {SMALLEST_VELOCITY, SMALLEST_VELOCITY | 0x80000000u, 0, 0, 0, 0, 0, 0, 0};
    static const uint32_t doubled_weight[] = {0x0e000000u, 0x8e000000u, 0x0dffffffu, 0x8dffffffu, 0x01000000u, 0x00000002u, 0x80000002u, 0x80000000u, 0};
    static const uint32_t expected_weight[] = {SMALLEST_WEIGHT, SMALLEST_WEIGHT | 0x80000000u, 0, 0, 0, 0, 0, 0, 0};
    const cge_optimizer *const both[] = {&velocity, &nesterov};
    if (!check_room("subnormal numbers", sizeof(float) * 3 * (size_t)n)) return;
    float *dw = check_floats(n), *w = check_floats(n), *v = check_floats(n);
    for (int32_t k = 0; k < COUNT_OF(doubled); k++) {
        for (int32_t i = 0; i < n; i++) dw[i] = 0;
        for (int32_t j = 0; j < COUNT_OF(both); j++) {
            for (int32_t i = 0; i < n; i++) v[i] = float_from_bits(doubled[k]), w[i] = 0.25f;
            CHECK_OK(cge_sgd_update_f32(n, both[j], 1, dw, w, v));
            for (int32_t i = 0; i < n; i++) CHECK(float_bits(v[i]) == expected[k] && w[i] == 0.25f);
        }
        for (int32_t i = 0; i < n; i++) w[i] = float_from_bits(doubled_weight[k]);
        CHECK_OK(cge_sgd_update_f32(n, &decay, 1, dw, w, NULL)); /* w - w / 2 */
        for (int32_t i = 0; i < n; i++) CHECK(float_bits(w[i]) == expected_weight[k]);
    }
}

static int is_subnormal(float x)
{
    const uint32_t magnitude = float_bits(x) & 0x7fffffffu;
    return magnitude != 0 && magnitude < SMALLEST_VELOCITY;
}

/* Without gradient both reach +0. On the way neither is subnormal, nor is what a weight decays by: of 0.05 w, where that is
 * subnormal, no velocity remains, and w would stay for good. Without decay a weight stays what it is. */
static void test_decay_to_zero(int32_t n)
{
    enum { STEPS = 1000 };
    static const cge_optimizer o = {NULL, 0.1f, 0.9f, 0.05f, 0}, no_decay = {NULL, 0.1f, 0.9f, 0, 0};
    int32_t subnormal = 0;
    if (!check_room("decay to zero", sizeof(float) * 3 * (size_t)n)) return;
    float *dw = check_floats(n), *w = check_operands(n, SEED_W), *v = check_operands(n, SEED_V);
    for (int32_t i = 0; i < n; i++) dw[i] = 0, w[i] *= 0x1p-80f, v[i] *= 0x1p-80f;
    for (int32_t step_number = 0; step_number < STEPS; step_number++) {
        CHECK_OK(cge_sgd_update_f32(n, &o, 1, dw, w, v));
        for (int32_t i = 0; i < n; i++) subnormal += is_subnormal(w[i]) || is_subnormal(v[i]) || is_subnormal(o.weight_decay * w[i]);
    }
    CHECK(subnormal == 0);
    for (int32_t i = 0; i < n; i++) CHECK(float_bits(w[i]) == 0 && float_bits(v[i]) == 0);
    for (int32_t i = 0; i < n; i++) w[i] = float_from_bits(0x00000123u);
    CHECK_OK(cge_sgd_update_f32(n, &no_decay, 1, dw, w, v));
    for (int32_t i = 0; i < n; i++) CHECK(float_bits(w[i]) == 0x00000123u);
}

void suite_sgd(void)
{
    static const int32_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 100};
    for (int32_t i = 0; i < COUNT_OF(settings); i++)
        for (int32_t j = 0; j < COUNT_OF(lengths); j++) {
            test_steps(settings[i].name, &settings[i].o, lengths[j], 1);
            test_steps(settings[i].name, &settings[i].o, lengths[j], 1.0f / 3);
        }
    for (int32_t j = 0; j < COUNT_OF(lengths); j++) {
        test_border(lengths[j]);
        test_decay_to_zero(lengths[j]);
    }
    if (!check_room("one weight, by hand", 64)) return;
    static const cge_optimizer no_decay = {NULL, 0.5f, 0, 0, 0};
    static const cge_optimizer o = {NULL, 0.5f, 0.5f, 0.25f, 1};
    float *dw = check_floats(1), *w = check_floats(1), *v = check_floats(1);
    *dw = 8;
    *w = 4;
    *v = 2;
    CHECK_OK(cge_sgd_update_f32(1, &o, 0.5f, dw, w, v)); /* g = 4 + 1, v = 1 + 5, w = 4 - (5 + 3) / 2 */
    CHECK(*v == 6 && *w == 0);
    check_case("no weight decay: no product with the weight");
    *w = float_from_bits(0x7f800000u);
    CHECK_OK(cge_sgd_update_f32(1, &no_decay, 1, dw, w, NULL));
    CHECK_SAME(float_from_bits(0x7f800000u), *w, 0);
}

static const struct {
    const char *name;
    uint32_t learning_rate, momentum, weight_decay; /* bits */
    int32_t nesterov;
} refused[] = {
    {"learning rate negative", 0xbf800000u, 0, 0, 0},
    {"learning rate infinite", 0x7f800000u, 0, 0, 0},
    {"learning rate NaN", 0x7fc00000u, 0, 0, 0},
    {"momentum negative", 0x3f800000u, 0xbf000000u, 0, 0},
    {"momentum 1", 0x3f800000u, 0x3f800000u, 0, 0},
    {"momentum infinite", 0x3f800000u, 0x7f800000u, 0, 0},
    {"momentum NaN", 0x3f800000u, 0x7fc00000u, 0, 0},
    {"weight decay negative", 0x3f800000u, 0, 0xbf800000u, 0},
    {"weight decay infinite", 0x3f800000u, 0, 0x7f800000u, 0},
    {"weight decay NaN", 0x3f800000u, 0, 0x7fc00000u, 0},
    {"nesterov without momentum", 0x3f800000u, 0, 0, 1},
    {"nesterov 2", 0x3f800000u, 0x3f000000u, 0, 2},
    {"nesterov -1", 0x3f800000u, 0x3f000000u, 0, -1},
};

void suite_sgd_status(void)
{
    static const cge_optimizer plain = {NULL, 1, 0, 0, 0}, with_momentum = {NULL, 1, 0.5f, 0, 0};
    if (!check_room("status", 64)) return;
    float *dw = check_floats(2), *w = check_floats(2), *v = check_floats(2);
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        cge_optimizer o = {NULL, float_from_bits(refused[i].learning_rate), float_from_bits(refused[i].momentum),
                           float_from_bits(refused[i].weight_decay), refused[i].nesterov};
        check_case(refused[i].name);
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_sgd_update_f32(2, &o, 1, dw, w, v));
    }
    check_case("n");
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_sgd_update_f32(0, &plain, 1, dw, w, v));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_sgd_update_f32(INT32_MIN, &plain, 1, dw, w, v));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_sgd_update_f32(INT32_MAX, &plain, 1, dw, w, v));
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_sgd_update_f32(2, NULL, 1, dw, w, v));
    CHECK_REFUSED(CGE_ERR_NULL, cge_sgd_update_f32(2, &plain, 1, NULL, w, v));
    CHECK_REFUSED(CGE_ERR_NULL, cge_sgd_update_f32(2, &plain, 1, dw, NULL, v));
    CHECK_REFUSED(CGE_ERR_NULL, cge_sgd_update_f32(2, &with_momentum, 1, dw, w, NULL));
    check_case("misaligned");
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_sgd_update_f32(1, &plain, 1, misaligned(dw), w, v));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_sgd_update_f32(1, &plain, 1, dw, misaligned(w), v));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_sgd_update_f32(1, &with_momentum, 1, dw, w, misaligned(v)));
}
