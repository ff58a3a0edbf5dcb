/* A whole training run and a sweep of functions, as one number each: see golden.h. */
#include "golden.h"
#include "golden_data.h"

#include "check.h"
#include "models.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

static const cge_layer layers[] = {
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 4, WINDOW(3, 3, 1, 1, 1, 2, 1, 2), .dilation_w = 2)},  /* 8x6x2 -> 8x6x4 */
    LEAKY(0.1f),
    POOL(maxpool2d, 2, 2, 2, 2, 0, 0, 0, 0),                                             /* 4x3x4 */
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 6, WINDOW(3, 2, 2, 1, 1, 0, 1, 1), .groups = 2), .init = CGE_INIT_GLOROT_NORMAL}, /* 2x3x6 */
    PLAIN(tanh),
    POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 0),                                             /* 1x2x6 */
    DENSE(8, 0, CGE_INIT_GLOROT_UNIFORM),
    PLAIN(sigmoid),
    DENSE(4, 0, CGE_INIT_HE_NORMAL),
};
static const cge_model model = {{IN_H, IN_W, IN_C}, TABLE(layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0.9f, 0.0005f, 1}, NULL, 0, 0};

/* ---- the run --------------------------------------------------------------------------------------------------------- */

static void print_hash(const char *name, uint64_t hash)
{
    printf("%s 0x%08lx%08lx\n", name, (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
}

/* Returns the hash of the weights; checks that the network has learned. */
static uint64_t train(cge_network *net, float *x, int32_t *labels)
{
    const cge_targets targets = {labels, NULL};
    uint64_t hash = 0;
    float first = 0, last = 0, loss = 0;
    cge_rng rng;
    CHECK_OK(cge_rng_seed(&rng, GOLDEN_DATA_SEED));
    CHECK_OK(cge_network_init_params(net, GOLDEN_SEED));
    for (int32_t step = 0; step < GOLDEN_STEPS; step++) {
        for (int32_t i = 0; i < GOLDEN_BATCH; i++) golden_sample(&rng, x + i * IN_ELEMS, labels + i);
        CHECK_OK(cge_network_train_batch(net, x, &targets, GOLDEN_BATCH, &loss));
        if (step < 20) first += loss / 20;
        if (step >= GOLDEN_STEPS - 20) last += loss / 20;
    }
    CHECK(first > 0.7f && last < 0.5f * first);
    CHECK_OK(cge_network_params_hash(net, &hash));
    return hash;
}

static void test_run(int32_t capacity)
{
    const cge_options options = {1, capacity, NULL, NULL, NULL};
    size_t bytes = 0;
    uint64_t hash;
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes));
    if (capacity == 1 && !CHECK(bytes == GOLDEN_ARENA_BYTES)) printf("    arena %ld bytes\n", (long)bytes);
    if (!check_room(capacity == 1 ? "run" : "run, capacity 3", bytes + sizeof(cge_network) + 4 * GOLDEN_BATCH * (IN_ELEMS + 1))) return;
    cge_network *net = check_bytes(sizeof *net);
    void *arena = check_bytes(bytes);
    float *x = check_floats(GOLDEN_BATCH * IN_ELEMS);
    int32_t *labels = check_ints(GOLDEN_BATCH);
    CHECK_OK(cge_network_init(net, &model, &options, arena, bytes));
    hash = train(net, x, labels);
    if (!CHECK(hash == (CGE_FUSED ? GOLDEN_HASH_FUSED : GOLDEN_HASH))) print_hash("    weights", hash);
}

/* ---- the same run with other optimisers ---- */

static const struct {
    const char *name;
    cge_optimizer o;
    uint64_t hash, fused_hash;
    int has_rates; /* layers have rates of their own */
} others[] = {
    {"run, adam", ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-8f), GOLDEN_ADAM, GOLDEN_ADAM_FUSED, 0},
    {"run, adamw", ADAPTIVE(adamw, 0.01f, 0.9f, 0.01f, 0.999f, 1e-8f), GOLDEN_ADAMW, GOLDEN_ADAMW_FUSED, 0},
    {"run, rmsprop", ADAPTIVE(rmsprop, 0.002f, 0.9f, 0.0005f, 0.99f, 1e-8f), GOLDEN_RMSPROP, GOLDEN_RMSPROP_FUSED, 0},
    {"run, adagrad", ADAPTIVE(adagrad, 0.05f, 0, 0.0005f, 0, 1e-10f), GOLDEN_ADAGRAD, GOLDEN_ADAGRAD_FUSED, 0},
    {"run, adamw, rates of layers", ADAPTIVE(adamw, 0.01f, 0.9f, 0.01f, 0.999f, 1e-8f), GOLDEN_RATES, GOLDEN_RATES_FUSED, 1},
};

static void test_run_of(int32_t which)
{
    const cge_options options = {1, 1, NULL, NULL, NULL};
    cge_layer own[COUNT_OF(layers)];
    cge_model m = model;
    size_t bytes = 0;
    uint64_t hash;
    memcpy(own, layers, sizeof own);
    own[0].learning_rate_factor = 0.1f;
    own[3].learning_rate_factor = 0.3f;
    own[8].learning_rate_factor = 3.0f;
    if (others[which].has_rates) m.layers = own;
    m.optimizer = others[which].o;
    CHECK_OK(cge_network_arena_bytes(&m, &options, &bytes));
    if (!check_room(others[which].name, bytes + sizeof(cge_network) + 4 * GOLDEN_BATCH * (IN_ELEMS + 1))) return;
    cge_network *net = check_bytes(sizeof *net);
    void *arena = check_bytes(bytes);
    float *x = check_floats(GOLDEN_BATCH * IN_ELEMS);
    int32_t *labels = check_ints(GOLDEN_BATCH);
    CHECK_OK(cge_network_init(net, &m, &options, arena, bytes));
    hash = train(net, x, labels);
    if (!CHECK(hash == (CGE_FUSED ? others[which].fused_hash : others[which].hash))) print_hash(others[which].name, hash);
}

/* ---- the same run in slices of random budgets ---- */

static uint64_t train_in_slices(cge_network *net, float *x, int32_t *labels)
{
    const cge_targets targets = {labels, NULL};
    uint64_t hash = 0;
    float loss = 0;
    cge_rng rng, budgets;
    CHECK_OK(cge_rng_seed(&rng, GOLDEN_DATA_SEED));
    CHECK_OK(cge_rng_seed(&budgets, 1));
    CHECK_OK(cge_network_init_params(net, GOLDEN_SEED));
    for (int32_t step = 0; step < GOLDEN_STEPS; step++) {
        cge_status status;
        for (int32_t i = 0; i < GOLDEN_BATCH; i++) golden_sample(&rng, x + i * IN_ELEMS, labels + i);
        if (!CHECK_OK(cge_network_train_begin(net, x, &targets, GOLDEN_BATCH))) return 0;
        do status = cge_network_resume(net, 1 + (int64_t)cge_rng_below(&budgets, 6000), &loss);
        while (status == CGE_AGAIN);
        if (!CHECK_STATUS(CGE_OK, status)) return 0;
    }
    CHECK_OK(cge_network_params_hash(net, &hash));
    return hash;
}

static void test_run_in_slices(void)
{
    cge_options options = {1, 1, NULL, NULL, NULL};
    cge_plan plan;
    size_t bytes = 0, plan_bytes = 0;
    uint64_t hash;
    CHECK_OK(cge_plan_bytes(&model, &plan_bytes));
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes)); /* with a plan it is less */
    if (!check_room("run, in slices", bytes + plan_bytes + sizeof(cge_network) + 4 * GOLDEN_BATCH * (IN_ELEMS + 1))) return;
    void *memory = check_bytes(plan_bytes), *arena = check_bytes(bytes);
    cge_network *net = check_bytes(sizeof *net);
    float *x = check_floats(GOLDEN_BATCH * IN_ELEMS);
    int32_t *labels = check_ints(GOLDEN_BATCH);
    CHECK_OK(cge_plan_make(&model, &cge_memory_small, 1, memory, plan_bytes, &plan));
    options.plan = &plan;
    CHECK_OK(cge_network_init(net, &model, &options, arena, bytes));
    hash = train_in_slices(net, x, labels);
    if (!CHECK(hash == (CGE_FUSED ? GOLDEN_HASH_FUSED : GOLDEN_HASH))) print_hash("    weights", hash);
}

/* ---- functions --------------------------------------------------------------------------------------------------------- */

static void add_to_hash(uint64_t *hash, float x)
{
    const uint32_t bits = x == x ? float_bits(x) : 0x7fc00000u;
    for (int32_t shift = 0; shift < 32; shift += 8) *hash = (*hash ^ (bits >> shift & 255)) * 0x100000001b3u;
}

static void hash_losses(uint64_t *hash, const float *x, const float *target, int32_t n)
{
    float loss = 0;
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(n, x, n / 2, &loss));
    add_to_hash(hash, loss);
    CHECK_OK(cge_mean_squared_error_forward_f32(n, x, target, &loss));
    add_to_hash(hash, loss);
}

static void test_functions(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    cge_rng rng;
    if (!check_room("functions", 2 * 4 * 40)) return;
    float *x = check_operands(40, 101), *target = check_operands(40, 102);
    CHECK_OK(cge_rng_seed(&rng, GOLDEN_DATA_SEED));
    for (int32_t i = 0; i < 2000; i++) {
        float wide = 90 * operand(103, i);
        if (wide == 0) wide = 0.5f;
        add_to_hash(&hash, cge_exp_f32(wide));
        add_to_hash(&hash, cge_log_f32(wide < 0 ? -wide : wide));
        add_to_hash(&hash, cge_tanh_f32(wide / 16));
        add_to_hash(&hash, cge_sqrt_f32(wide < 0 ? -wide : wide));
        add_to_hash(&hash, cge_rng_normal_f32(&rng));
    }
    for (int32_t n = 1; n <= 40; n++) hash_losses(&hash, x, target, n);
    if (!CHECK(hash == (CGE_FUSED ? GOLDEN_FUNCTIONS_FUSED : GOLDEN_FUNCTIONS))) print_hash("    functions", hash);
}

/* ---- NaN ---------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_with(cge_network *net, uint32_t bits)
{
    uint64_t hash = 0;
    net->params[1] = float_from_bits(bits);
    CHECK_OK(cge_network_params_hash(net, &hash));
    return hash;
}

/* Infinity times zero is a negative NaN on x86 and a positive one on Arm. */
static void test_every_nan_counts_as_one_value(void)
{
    size_t bytes = 0;
    CHECK_OK(cge_network_arena_bytes(&perceptron, NULL, &bytes));
    if (!check_room("hash of NaN", bytes + sizeof(cge_network))) return;
    cge_network *net = check_bytes(sizeof *net);
    CHECK_OK(cge_network_init(net, &perceptron, NULL, check_bytes(bytes), bytes));
    const uint64_t nan = hash_with(net, 0x7fc00000u);
    CHECK(nan == hash_with(net, 0xffc00000u));
    CHECK(nan == hash_with(net, 0x7f800001u));
    CHECK(nan == hash_with(net, 0xffffffffu));
    CHECK(nan != hash_with(net, 0x7f800000u));
    CHECK(hash_with(net, 0x7f800000u) != hash_with(net, 0xff800000u));
    CHECK(hash_with(net, 0) != hash_with(net, 0x80000000u));
}

void suite_golden(void)
{
    test_every_nan_counts_as_one_value();
    test_functions();
    test_run(1);
    test_run(GOLDEN_BATCH);
    test_run_in_slices();
    for (int32_t i = 0; i < COUNT_OF(others); i++) test_run_of(i);
}
