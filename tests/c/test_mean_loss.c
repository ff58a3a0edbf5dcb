/* The mean of finite losses is finite, even where their sum is not, and does not depend on how many are held at once. */
#include "check.h"
#include "models.h"
#include "suites.h"

enum { SAMPLES = 100 };

static const cge_layer layers[] = {DENSE(1, CGE_NO_BIAS, 0)};
static const cge_model model = {{1, 1, 1}, TABLE(layers), &cge_mean_squared_error, {&cge_sgd, 0, 0, 0, 0}, NULL, 0, 0};

static cge_network net;
static float *x, *values;
static cge_targets targets;

/* One weight of 1.5e19: a sample of 1 with target 0 has a loss of 2.25e38. */
static int set_up(int32_t capacity, float weight)
{
    const cge_options options = {1, capacity, NULL, NULL, NULL};
    size_t bytes = 0;
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes));
    if (!check_room("mean loss", bytes + 2 * SAMPLES * sizeof(float))) return 0;
    x = check_floats(SAMPLES);
    values = check_floats(SAMPLES);
    targets.values = values;
    for (int32_t i = 0; i < SAMPLES; i++) x[i] = 1, values[i] = 0;
    if (!CHECK_OK(cge_network_init(&net, &model, &options, check_bytes(bytes), bytes))) return 0;
    net.params[0] = weight;
    return 1;
}

static int32_t ulps_apart(float a, float b)
{
    const int32_t difference = (int32_t)(float_bits(a) - float_bits(b));
    return difference < 0 ? -difference : difference;
}

static void check_mean(float expected, int32_t most_ulps, int32_t count)
{
    float evaluated = 0, accumulated = 0, trained = 0, epoch = 0;
    CHECK_OK(cge_network_evaluate(&net, x, &targets, count, &evaluated, NULL));
    CHECK_OK(cge_network_accumulate(&net, x, &targets, count, &accumulated));
    CHECK_OK(cge_network_train_batch(&net, x, &targets, count, &trained));
    CHECK_OK(cge_network_train_epoch(&net, x, &targets, NULL, count, 2, &epoch));
    CHECK(ulps_apart(evaluated, expected) <= most_ulps);
    CHECK_SAME(evaluated, accumulated, count);
    CHECK_SAME(evaluated, trained, count);
    CHECK_SAME(evaluated, epoch, count);
}

static void test_equal_losses(int32_t capacity)
{
    float one = 0;
    if (!set_up(capacity, 1.5e19f)) return;
    check_case("three losses of 2.25e38");
    CHECK_OK(cge_network_evaluate(&net, x, &targets, 1, &one, NULL));
    CHECK(one > 2.24e38f && one < 2.26e38f);
    check_mean(one, 0, 3);
    check_case("up to the largest number");
    net.params[0] = 18446742974197923840.0f; /* its square rounds to 3.4028230e38 */
    CHECK_OK(cge_network_evaluate(&net, x, &targets, 1, &one, NULL));
    CHECK(one > 3.4028e38f && one < float_from_bits(0x7f800000u));
    for (int32_t count = 1; count <= SAMPLES; count++) check_mean(one, 1, count);
}

/* Large losses first, last, or in between: small ones stay right where they count, and vanish beside large ones. */
static void test_mixed_losses(int32_t capacity)
{
    float huge = 0, mean = 0;
    if (!set_up(capacity, 1.5e19f)) return;
    check_case("large and small losses");
    CHECK_OK(cge_network_evaluate(&net, x, &targets, 1, &huge, NULL));
    for (int32_t place = 0; place + 1 < 6; place++) {
        for (int32_t i = 0; i < 6; i++) x[i] = i == place || i == place + 1 ? 1.0f : 1e-19f;
        check_mean(huge / 3, 1, 6);
    }
    for (int32_t i = 0; i < 6; i++) x[i] = 1e-19f; /* 1.5 squared */
    check_mean(2.25f, 2, 6);
    check_case("an infinite loss stays one");
    x[3] = 10;
    CHECK_OK(cge_network_evaluate(&net, x, &targets, 6, &mean, NULL));
    CHECK(!(mean <= float_from_bits(0x7f7fffffu)));
}

void suite_mean_loss(void)
{
    for (int32_t capacity = 1; capacity <= 4; capacity++) {
        test_equal_losses(capacity);
        test_mixed_losses(capacity);
    }
}
