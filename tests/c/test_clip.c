/* Clipping of collected gradients, by value and by the norm of all: against loops in double, for small and for huge numbers. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { IN = 7, OUT = 6, SAMPLES = 3, GRADS = IN * OUT + OUT };
static const cge_layer layers[] = {DENSE(OUT, 0, CGE_INIT_HE_NORMAL)};
static const cge_model model = {{1, 1, IN}, TABLE(layers), &cge_mean_squared_error, {.kind = &cge_sgd, .learning_rate = 0.5f}, NULL, 0, 0};
static const cge_options training = {1, 1, NULL, NULL, NULL};
static cge_network net;

static int set_up(const char *name)
{
    size_t bytes = 0;
    float loss = 0;
    CHECK_OK(cge_network_arena_bytes(&model, &training, &bytes));
    if (!check_room(name, bytes + sizeof(float) * SAMPLES * (IN + OUT))) return 0;
    const float *x = check_operands(SAMPLES * IN, 1), *values = check_operands(SAMPLES * OUT, 2);
    const cge_targets targets = {NULL, values};
    if (!CHECK_OK(cge_network_init(&net, &model, &training, check_bytes(bytes), bytes))) return 0;
    CHECK_OK(cge_network_init_params(&net, 5));
    return CHECK_OK(cge_network_accumulate(&net, x, &targets, SAMPLES, &loss)) && CHECK(net.grad_elems == GRADS);
}

static double square_of_norm(const float *dw)
{
    double sum = 0;
    for (int32_t i = 0; i < GRADS; i++) sum += (double)dw[i] / SAMPLES * ((double)dw[i] / SAMPLES);
    return sum;
}

static int is_close(double expected, double got)
{
    const double difference = expected < got ? got - expected : expected - got;
    return difference <= 2e-6 * expected;
}

/* The order of the header. */
static float norm_by_the_header(const float *dw, float power)
{
    float s[8] = {0};
    for (int32_t i = 0; i < GRADS; i++) s[i % 8] = mul_add(dw[i] / power, dw[i] / power, s[i % 8]);
    return cge_sqrt_f32(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))) * power / SAMPLES;
}

static float power_below(const float *dw)
{
    float power = 0x1p126f;
    for (;; power = power / 2)
        for (int32_t i = 0; i < GRADS; i++)
            if (dw[i] >= power || -dw[i] >= power || power <= 0x1p-126f) return power;
}

static void test_norm(const char *name, float scale)
{
    float norm = 0, again = 0, before[GRADS];
    if (!set_up(name)) return;
    for (int32_t i = 0; i < GRADS; i++) net.grads[i] = net.grads[i] * scale;
    memcpy(before, net.grads, sizeof before);
    CHECK_OK(cge_network_clip_norm(&net, 3e38f, &norm));
    CHECK_SAME(norm_by_the_header(before, power_below(before)), norm, 0);
    if (scale > 1e-15f && scale < 1e15f) CHECK(is_close(square_of_norm(before), (double)norm * (double)norm));
    for (int32_t i = 0; i < GRADS; i++) CHECK_SAME(before[i], net.grads[i], i);
    CHECK_OK(cge_network_clip_norm(&net, norm, &again)); /* not above it */
    CHECK_SAME(norm, again, 0);
    CHECK_OK(cge_network_clip_norm(&net, 0.25f * norm, &again));
    CHECK_SAME(norm, again, 0);
    for (int32_t i = 0; i < GRADS; i++) CHECK_SAME(before[i] * (0.25f * norm / norm), net.grads[i], i);
    CHECK_OK(cge_network_clip_norm(&net, 3e38f, &again));
    CHECK(is_close((double)(0.25f * norm), (double)again));
    CHECK(net.pending == SAMPLES);
}

static void test_value(void)
{
    float before[GRADS];
    int32_t clipped = 0;
    if (!set_up("value")) return;
    net.grads[5] = float_from_bits(0x7fc00000u);
    memcpy(before, net.grads, sizeof before);
    CHECK_OK(cge_network_clip_value(&net, 0.125f));
    for (int32_t i = 0; i < GRADS; i++) {
        const float limit = 0.125f * SAMPLES;
        clipped += before[i] > limit || before[i] < -limit;
        CHECK_SAME(before[i] > limit ? limit : before[i] < -limit ? -limit : before[i], net.grads[i], i);
    }
    CHECK(clipped > 3 && clipped < GRADS - 3);
    CHECK_REFUSED(CGE_ERR_NOT_FINITE, cge_network_clip_norm(&net, 1, &before[0]));
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_update(&net));
}

/* All gradients are so large that their norm is infinite. */
static void test_infinite_norm(void)
{
    float norm = 0;
    if (!set_up("infinite norm")) return;
    for (int32_t i = 0; i < GRADS; i++) net.grads[i] = 3e38f;
    CHECK_REFUSED(CGE_ERR_NOT_FINITE, cge_network_clip_norm(&net, 1, &norm));
    for (int32_t i = 0; i < GRADS; i++) net.grads[i] = 0;
    CHECK_OK(cge_network_clip_norm(&net, 1, &norm));
    CHECK(float_bits(norm) == 0);
}

static void test_refused(void)
{
    static const uint32_t bad[] = {0, 0x80000000u, 0xbf800000u, 0x7f800000u, 0x7fc00000u};
    float norm = 0;
    if (!set_up("refused clipping")) return;
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_clip_norm(&net, float_from_bits(bad[i]), &norm));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_clip_value(&net, float_from_bits(bad[i])));
    }
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_clip_norm(NULL, 1, &norm));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_clip_value(NULL, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_clip_norm(&net, 1, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_clip_norm(&net, 1, misaligned(&norm)));
    net.busy = 1;
    CHECK_REFUSED(CGE_ERR_BUSY, cge_network_clip_norm(&net, 1, &norm));
    CHECK_REFUSED(CGE_ERR_BUSY, cge_network_clip_value(&net, 1));
    net.busy = 0;
    CHECK_OK(cge_network_update(&net));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_clip_norm(&net, 1, &norm));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_clip_value(&net, 1));
}

/* Where each layer learns at once there is nothing to clip. */
static void test_smallest(void)
{
    cge_options options = training;
    cge_plan plan;
    size_t bytes = 0, plan_bytes = 0;
    float norm = 0;
    CHECK_OK(cge_plan_bytes(&model, &plan_bytes));
    CHECK_OK(cge_network_arena_bytes(&model, &training, &bytes));
    if (!check_room("smallest", bytes + plan_bytes)) return;
    CHECK_OK(cge_plan_make(&model, &cge_memory_smallest, 1, check_bytes(plan_bytes), plan_bytes, &plan));
    options.plan = &plan;
    CHECK_OK(cge_network_init(&net, &model, &options, check_bytes(bytes), bytes));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_clip_norm(&net, 1, &norm));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_clip_value(&net, 1));
}

void suite_clip(void)
{
    test_norm("norm", 1);
    test_norm("norm, large", 1e25f);
    test_norm("norm, larger", 1e38f);
    test_norm("norm, small", 1e-30f);
    test_value();
    test_infinite_norm();
    test_refused();
    test_smallest();
}
