/* Dropout: the mask by its definition, and the same in every way in which a step is taken. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED_X = 51, ELEMS = 60, STEPS = 3, OUTPUTS = 3 };

static uint32_t mixed(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

static void test_mask(float p, uint64_t key)
{
    const float scale = 1.0f / (1.0f - p);
    int32_t zeros = 0;
    if (!check_room("mask", sizeof(float) * 3 * ELEMS)) return;
    const float *x = check_operands(ELEMS, SEED_X);
    float *y = check_floats(ELEMS), *dx = check_floats(ELEMS);
    CHECK_OK(cge_dropout_forward_f32(ELEMS, p, key, x, y));
    memcpy(dx, x, sizeof(float) * ELEMS);
    CHECK_OK(cge_dropout_input_grad_f32(ELEMS, p, key, dx, dx));
    for (int32_t i = 0; i < ELEMS; i++) {
        const uint32_t word = mixed(mixed((uint32_t)i + (uint32_t)key) ^ (uint32_t)(key >> 32));
        const int dropped = (double)word < (double)p * 4294967296.0;
        zeros += dropped;
        CHECK_SAME(dropped ? 0 : x[i] * scale, y[i], i);
        CHECK_SAME(y[i], dx[i], i);
    }
    CHECK(zeros > (int32_t)(p * ELEMS) - 20 && zeros < (int32_t)(p * ELEMS) + 20);
}

/* ---- layers ---- */

#define DROPOUT(p_, seed_) {.kind = &cge_kind_dropout, .config = &(const cge_dropout){p_, seed_}}
static const cge_layer dropping[] = {
    DROPOUT(0.125f, 1), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), DROPOUT(0.25f, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    DENSE(8, 0, 0), PLAIN(tanh), DROPOUT(0.5f, 7), DROPOUT(0.5f, 7), DENSE(OUTPUTS, 0, 0)};
static const cge_model model = {{6, 5, 2}, TABLE(dropping), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0.5f, 0, 0}, NULL, 0, 0};

/* The weights after some steps of `batch` samples; budget 0: by the blocking call. */
static uint64_t live(const cge_memory_level *level, int32_t capacity, int32_t batch, int64_t budget)
{
    cge_options options = {.training = 1, .capacity = capacity};
    cge_network net;
    cge_plan plan;
    size_t plan_bytes = 0, bytes = 0;
    uint64_t hash = 0;
    float loss = 0, y[OUTPUTS], again[OUTPUTS];
    int32_t labels[] = {0, 2, 1};
    const cge_targets targets = {labels, NULL};
    if (!check_room("dropout", 16384)) return 0;
    if (level != NULL) {
        CHECK_OK(cge_plan_bytes(&model, &plan_bytes));
        if (!CHECK_OK(cge_plan_make(&model, level, 1, check_bytes(plan_bytes), plan_bytes, &plan))) return 0;
        options.plan = &plan;
    }
    if (!CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes))) return 0;
    void *arena = check_bytes(bytes);
    memset(arena, 0xff, bytes);
    if (!CHECK_OK(cge_network_init(&net, &model, &options, arena, bytes)) || !CHECK_OK(cge_network_init_params(&net, 5))) return 0;
    for (int32_t step = 0; step < STEPS; step++) {
        const float *x = check_operands(3 * ELEMS, SEED_X + (uint32_t)step);
        if (budget == 0) {
            CHECK_OK(cge_network_train_batch(&net, x, &targets, batch, &loss));
        } else {
            cge_status status = cge_network_train_begin(&net, x, &targets, batch);
            while (status == CGE_OK || status == CGE_AGAIN) {
                status = cge_network_resume(&net, budget, &loss);
                if (status == CGE_OK) break;
            }
            CHECK_OK(status);
        }
        CHECK_OK(cge_network_forward(&net, x, 1, y)); /* draws nothing, so it is what it is a second time */
        CHECK_OK(cge_network_forward(&net, x, 1, again));
        CHECK(memcmp(y, again, sizeof y) == 0);
    }
    CHECK_OK(cge_network_params_hash(&net, &hash));
    return hash;
}

static void test_steps(void)
{
    const uint64_t alone = live(NULL, 1, 1, 0), together = live(NULL, 1, 3, 0);
    if (alone == 0) return; /* no room */
    CHECK(alone != together);
    CHECK(live(NULL, 3, 3, 0) == together);
    CHECK(live(NULL, 2, 3, 0) == together);
    CHECK(live(&cge_memory_small, 0, 3, 0) == together);
    CHECK(live(&cge_memory_small_sliced, 0, 3, 700) == together);
    CHECK(live(&cge_memory_small, 0, 1, 0) == alone);
    CHECK(live(&cge_memory_smallest, 0, 1, 0) == alone);
    CHECK(live(&cge_memory_smallest, 0, 1, 1) == alone);
    CHECK(live(&cge_memory_smallest_sliced, 0, 1, 5000) == alone);
}

void suite_dropout(void)
{
    test_mask(0.25f, 0x0123456789abcdefu);
    test_mask(0.5f, 0);
    test_mask(0, UINT64_MAX);
    CHECK(cge_dropout_key(1, 2, 3, 4) == 0xa9f9a6eb3ce38628u);
    CHECK(cge_dropout_key(1, 2, 3, 5) != cge_dropout_key(1, 2, 4, 4));
    test_steps();
}

void suite_dropout_status(void)
{
    static const cge_dropout all = {1, 0, 0}, nowhere = {0, 0, -1};
    const cge_layer layers[] = {
        {.kind = &cge_kind_dropout, .config = &all},
        {.kind = &cge_kind_dropout},
        {.kind = &cge_kind_dropout, .config = &nowhere}};
    const cge_shape in = {1, 1, 4};
    cge_layer_info info;
    if (!check_room("refused dropout", sizeof(float) * 8)) return;
    float *x = check_operands(4, SEED_X), *y = check_floats(4);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_dropout_forward_f32(4, 1, 0, x, y));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_dropout_forward_f32(4, -0.5f, 0, x, y));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_dropout_input_grad_f32(4, float_from_bits(0x7fc00000u), 0, x, y));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_dropout_forward_f32(0, 0.5f, 0, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dropout_forward_f32(4, 0.5f, 0, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dropout_input_grad_f32(4, 0.5f, 0, x, NULL));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_layer_infer(&layers[0], &in, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&layers[1], &in, &info));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_layer_infer(&layers[2], &in, &info));
}
