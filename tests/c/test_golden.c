/* A whole training run and a sweep of functions, as one number each: see golden.h. */
#include "golden.h"

#include "check.h"
#include "models.h"
#include "suites.h"

#include <stdio.h>

enum { IN_H = 8, IN_W = 6, IN_C = 2, IN_ELEMS = IN_H * IN_W * IN_C };

static const cge_layer layers[] = {
    {&cge_kind_conv2d, 4, 3, 3, 1, 1, 1, 2, 1, 2, 1, 2, 1, 0, 0, CGE_INIT_HE_UNIFORM},  /* 8x6x2 -> 8x6x4, columns dilated by 2 */
    LEAKY(0.1f),
    POOL(maxpool2d, 2, 2, 2, 2, 0, 0, 0, 0),                                             /* 4x3x4 */
    {&cge_kind_conv2d, 6, 3, 2, 2, 1, 1, 1, 1, 0, 1, 1, 2, 0, 0, CGE_INIT_GLOROT_NORMAL}, /* 2x3x6, two groups */
    PLAIN(tanh),
    POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 0),                                             /* 1x2x6 */
    DENSE(8, 0, CGE_INIT_GLOROT_UNIFORM),
    PLAIN(sigmoid),
    DENSE(4, 0, CGE_INIT_HE_NORMAL),
};
static const cge_model model = {{IN_H, IN_W, IN_C}, TABLE(layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0.9f, 0.0005f, 1}};

/* ---- the run --------------------------------------------------------------------------------------------------------- */

static void next_sample(cge_rng *rng, float *x, int32_t *label)
{
    *label = (int32_t)cge_rng_below(rng, 4);
    for (int32_t i = 0; i < IN_ELEMS; i++) {
        int32_t h = i / IN_C / IN_W, w = i / IN_C % IN_W, quadrant = 2 * (h >= 4) + (w >= 3);
        x[i] = (float)(cge_rng_next(rng) >> 24) / 256 + (quadrant == *label ? 1 : 0);
    }
}

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
        for (int32_t i = 0; i < GOLDEN_BATCH; i++) next_sample(&rng, x + i * IN_ELEMS, labels + i);
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
    const cge_options options = {1, capacity, NULL, NULL};
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

/* ---- functions --------------------------------------------------------------------------------------------------------- */

static void add_to_hash(uint64_t *hash, float x)
{
    for (int32_t shift = 0; shift < 32; shift += 8) *hash = (*hash ^ (float_bits(x) >> shift & 255)) * 0x100000001b3u;
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

void suite_golden(void)
{
    test_functions();
    test_run(1);
    test_run(GOLDEN_BATCH);
}
