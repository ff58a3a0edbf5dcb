/*
 * Wild but finite samples: an update that would make a parameter or a velocity infinite or NaN is refused, and all that
 * is not is done, however large the numbers.
 */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { IN = 5, HIDDEN = 3, OUT = 2, PARAMS = IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT, SEED = 9 };

static const cge_layer layers[] = {DENSE(HIDDEN, 0, 0), PLAIN(relu), DENSE(OUT, 0, 0)};
static cge_model model = {{1, 1, IN}, TABLE(layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0.9f, 0, 0}, NULL, 0, 0};
static cge_network net;
static float x[IN], values[OUT];
static const cge_targets targets = {NULL, values};

static int set_up(const char *name, const cge_optimizer *o)
{
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    size_t bytes = 0;
    model.optimizer = *o;
    CHECK_OK(cge_network_arena_bytes(&model, &training, &bytes));
    if (!check_room(name, bytes)) return 0;
    CHECK_OK(cge_network_init(&net, &model, &training, check_bytes(bytes), bytes));
    CHECK_OK(cge_network_init_params(&net, SEED));
    for (int32_t i = 0; i < IN; i++) x[i] = operand(1, i);
    for (int32_t i = 0; i < OUT; i++) values[i] = operand(2, i);
    return 1;
}

static int is_number(float number)
{
    return (float_bits(number) & 0x7f800000u) != 0x7f800000u;
}

static int all_numbers(const float *numbers, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (!is_number(numbers[i])) return 0;
    return 1;
}

typedef struct state {
    float w[PARAMS], v[PARAMS];
    uint64_t steps;
} state;

static state state_now(void)
{
    state s;
    memset(&s, 0, sizeof s);
    memcpy(s.w, net.params, sizeof s.w);
    if (net.velocity != NULL) memcpy(s.v, net.velocity, sizeof s.v);
    s.steps = net.step_count;
    return s;
}

/* What cge_network_update must do now: the same as the operator if all that comes out is finite, else nothing. */
static int32_t check_update(void)
{
    state before = state_now(), expected = before, after;
    cge_status status;
    int fine;
    CHECK(net.pending == 1);
    CHECK_OK(cge_sgd_update_f32(PARAMS, &net.optimizer, 1, net.grads, expected.w, expected.v));
    fine = all_numbers(net.grads, PARAMS) && all_numbers(expected.w, PARAMS) && all_numbers(expected.v, PARAMS);
    if (fine) expected.steps++;
    else expected = before;
    status = cge_network_update(&net);
    CHECK_STATUS(fine ? CGE_OK : CGE_ERR_NOT_FINITE, status);
    after = state_now();
    CHECK(memcmp(&expected, &after, sizeof after) == 0);
    CHECK(net.pending == 0);
    if (!fine)
        for (int32_t i = 0; i < PARAMS; i++) CHECK(float_bits(net.grads[i]) == 0);
    return fine;
}

static const cge_optimizer settings[] = {
    {&cge_sgd, 0.1f, 0.9f, 0, 0},     {&cge_sgd, 0.1f, 0, 0, 0},        {&cge_sgd, 0.1f, 0.9f, 0.5f, 0}, {&cge_sgd, 0.1f, 0.9f, 0.5f, 1},
    {&cge_sgd, 65536, 0.9f, 0, 0},    {&cge_sgd, 1e20f, 0.5f, 0, 0},    {&cge_sgd, 1e-20f, 0.5f, 0, 0},  {&cge_sgd, 3e38f, 0, 0, 0},
    {&cge_sgd, 0.1f, 0, 1e20f, 0},    {&cge_sgd, 0, 0.9f, 3e38f, 0},    {&cge_sgd, 0.1f, 0.9f, 100, 0},   {&cge_sgd, 1, 0.99f, 0, 1},      {&cge_sgd, 0, 0.99f, 0, 0},
};

/* Single large numbers among ordinary ones, at every place, in gradient, weight and velocity. */
static void test_places(const cge_optimizer *o)
{
    static const float large[] = {1.8e19f, 1.9e19f, 1e25f, 1e30f, 1.7e38f, 3.4e38f};
    if (!set_up("one large number", o)) return;
    for (int32_t i = 0; i < PARAMS; i++)
        for (int32_t k = 0; k < 6 * COUNT_OF(large); k++) {
            const float number = k % 2 == 0 ? large[k / 6] : -large[k / 6];
            CHECK_OK(cge_network_init_params(&net, SEED));
            for (int32_t j = 0; j < PARAMS; j++) net.grads[j] = operand(3, j);
            net.pending = 1;
            if (k % 6 < 2) net.grads[i] = number;
            else if (k % 6 < 4) net.params[i] = number;
            else if (net.velocity != NULL) net.velocity[i] = number;
            (void)check_update();
        }
}

/* Numbers of any size everywhere. Both outcomes must come up, or this proves little. */
static void test_random(const cge_optimizer *o, int32_t *fine, int32_t *refused)
{
    if (!set_up("numbers of any size", o)) return;
    for (int32_t repeat = 0; repeat < 300; repeat++) {
        const uint32_t ceiling = mix32((uint32_t)repeat) % 256; /* of the exponent */
        for (int32_t j = 0; j < 3 * PARAMS; j++) {
            const uint32_t bits = mix32((uint32_t)(repeat * 3 * PARAMS + j));
            const float number = float_from_bits((bits & 0x807fffffu) | ((bits >> 23 & 255) % (ceiling < 254 ? ceiling + 1 : 255)) << 23);
            if (j < PARAMS) net.grads[j] = number;
            else if (j < 2 * PARAMS) net.params[j - PARAMS] = number;
            else if (net.velocity != NULL) net.velocity[j - 2 * PARAMS] = number;
        }
        net.pending = 1;
        if (check_update()) ++*fine;
        else ++*refused;
    }
}

/* Through the public calls: whatever the size of an input, a step is done with finite numbers or not at all. */
static void test_wild_samples(const cge_optimizer *o)
{
    int32_t fine = 0, refused = 0;
    if (!set_up("wild samples", o)) return;
    for (int32_t power = 0; power < 127; power++)
        for (int32_t i = 0; i < IN; i++) {
            const state before = state_now();
            state after;
            float loss = 77;
            cge_status status;
            x[i] = float_from_bits((uint32_t)(127 + power) << 23);
            status = cge_network_train_batch(&net, x, &targets, 1, &loss);
            after = state_now();
            x[i] = operand(1, i);
            if (status == CGE_OK) {
                fine++;
                CHECK(is_number(loss) && all_numbers(after.w, PARAMS) && all_numbers(after.v, PARAMS) && after.steps == before.steps + 1);
                CHECK_OK(cge_network_init_params(&net, SEED));
            } else {
                refused++;
                CHECK_STATUS(CGE_ERR_NOT_FINITE, status);
                CHECK(memcmp(&before, &after, sizeof after) == 0 && loss == 77 && net.pending == 0);
            }
        }
    CHECK(fine > 0 && refused > 0);
}

/* The gradient is finite, the step is not: one weight of 0, an error of 1e19, a learning rate of 1e20. */
static void test_large_step(void)
{
    static const cge_optimizer o = {&cge_sgd, 1e20f, 0, 0, 0};
    float loss = 77;
    if (!set_up("a step too large", &o)) return;
    for (int32_t i = 0; i < PARAMS; i++) net.params[i] = 0;
    values[0] = -1e19f;
    const state before = state_now();
    CHECK_OK(cge_network_accumulate(&net, x, &targets, 1, &loss));
    CHECK(all_numbers(net.grads, PARAMS));
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_update(&net));
    const state after = state_now();
    CHECK(memcmp(&before, &after, sizeof after) == 0);
}

/* A weight that is not a number is no base for a step, even if nothing that reads it told. */
static void test_weight_not_finite(int32_t i, uint32_t bits)
{
    if (!set_up("a weight that is not a number", &settings[0])) return;
    for (int32_t j = 0; j < PARAMS; j++) net.grads[j] = 0;
    net.params[i] = float_from_bits(bits);
    net.pending = 1;
    CHECK(!check_update());
}

void suite_wild(void)
{
    int32_t fine = 0, refused = 0;
    for (int32_t i = 0; i < COUNT_OF(settings); i++) {
        test_places(&settings[i]);
        test_random(&settings[i], &fine, &refused);
    }
    CHECK(fine > 100 && refused > 100);
    test_wild_samples(&settings[0]);
    test_wild_samples(&settings[1]);
    test_large_step();
    for (int32_t i = 0; i < PARAMS; i++) {
        test_weight_not_finite(i, 0x7f800000u);
        test_weight_not_finite(i, 0x7fc00000u);
    }
}
