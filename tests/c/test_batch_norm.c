/*
 * Batch normalisation: a pass of several samples is group normalisation of one picture, to the bit; running statistics by the
 * contract's formula; prediction, frozen layers and scales by loops; and one run as a number for all targets.
 */
#include "check.h"
#include "golden.h"
#include "models.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

enum { SEED_X = 61, SEED_W, SEED_B, SEED_TARGET, SEED_STATISTICS };
enum { COUNT = 3, H = 2, W = 3, IN_C = 2, C = 5, PIXELS = H * W, ELEMS = PIXELS * C };
static const float MOMENTUM = 0.25f, EPS = 0.5f;

#define BATCH_NORM(flags_, ...) {.kind = &cge_kind_batch_norm, .config = &(const cge_batch_norm){__VA_ARGS__}, .flags = flags_}
#define SCALE(flags_) {.kind = &cge_kind_scale, .flags = flags_}

static const cge_layer normed[] = {
    CONV(C, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), BATCH_NORM(0, .eps = 0.5f, .momentum = 0.25f)};
static const cge_model normed_model = {{H, W, IN_C}, TABLE(normed), &cge_mean_squared_error, SGD(0.1f, 0, 0, 0), NULL, 0, 0};
static const cge_conv2d conv = {.in_h = H, .in_w = W, .in_c = IN_C, .out_c = C, .kernel_h = 1, .kernel_w = 1};
static const cge_norm one_picture = {COUNT * H, W, C, C, 0.5f};

static int start(cge_network *net, const cge_model *model, const cge_options *options)
{
    size_t bytes = 0;
    if (!CHECK_OK(cge_network_arena_bytes(model, options, &bytes))) return 0;
    void *arena = check_bytes(bytes);
    memset(arena, 0xff, bytes);
    return CHECK_OK(cge_network_init(net, model, options, arena, bytes)) && CHECK_OK(cge_network_init_params(net, 5));
}

static void test_initial_params(const cge_network *net)
{
    cge_layer_params p;
    CHECK_OK(cge_network_layer_params(net, 1, &p));
    CHECK(p.b == p.w + 3 * C && p.db == p.dw + C && p.dw == net->grads + IN_C * C);
    for (int32_t i = 0; i < 4 * C; i++) CHECK_SAME(i / C == 0 || i / C == 2 ? 1.0f : 0.0f, p.w[i], i);
    CHECK(net->param_elems == IN_C * C + 4 * C && net->grad_elems == IN_C * C + 2 * C);
}

/* Of a channel of x [COUNT * PIXELS][C]. */
static void check_tracked(const float *x, int32_t c, const float *before, const float *after)
{
    const float n = COUNT * PIXELS, keep = 1.0f - MOMENTUM;
    float sum = 0, squares = 0, mean;
    double exact = 0, spread = 0;
    for (int32_t i = c; i < COUNT * ELEMS; i += C) {
        sum += x[i];
        exact += (double)x[i] / (COUNT * PIXELS);
    }
    mean = sum / n;
    for (int32_t i = c; i < COUNT * ELEMS; i += C) {
        squares = mul_add(x[i] - mean, x[i] - mean, squares);
        spread += ((double)x[i] - exact) * ((double)x[i] - exact) / (COUNT * PIXELS - 1);
    }
    CHECK_SAME(mul_add(MOMENTUM, mean, keep * before[c]), after[c], c);
    CHECK_SAME(mul_add(MOMENTUM, squares / (n - 1.0f), keep * before[C + c]), after[C + c], c);
    const double error = (double)after[C + c] - (0.75 * (double)before[C + c] + 0.25 * spread);
    CHECK(error < 1e-5 && error > -1e-5);
}

/* y = b + (x - mean) * (w / sqrt(variance + eps)), p as cge_kind_batch_norm has its parameters. */
static void normalise(int32_t count, const float *x, const float *p, float *y)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t c = i % C;
        y[i] = mul_add(x[i] - p[C + c], p[c] * (1.0f / cge_sqrt_f32(p[2 * C + c] + EPS)), p[3 * C + c]);
    }
}

static void convolve(const float *x, const float *w, float *map)
{
    for (int32_t i = 0; i < COUNT; i++)
        CHECK_OK(cge_conv2d_forward_f32(&conv, x + i * PIXELS * IN_C, w, NULL, map + i * ELEMS));
}

static void test_pass(void)
{
    const cge_options options = {.training = 1, .capacity = COUNT};
    const int32_t params = 4 * C;
    cge_network net;
    cge_layer_params p, first;
    float loss = 0, expected = 0, one = 0;
    if (!check_room("batch norm, a pass", 12000) || !start(&net, &normed_model, &options)) return;
    test_initial_params(&net);
    CHECK_OK(cge_network_layer_params(&net, 0, &first));
    CHECK_OK(cge_network_layer_params(&net, 1, &p));
    const float *x = check_operands(COUNT * PIXELS * IN_C, SEED_X), *values = check_operands(COUNT * ELEMS, SEED_TARGET);
    const cge_targets targets = {NULL, values};
    memcpy(p.w, check_operands(C, SEED_W), C * sizeof(float));
    memcpy(p.b, check_operands(C, SEED_B), C * sizeof(float));
    float *before = check_floats(params), *map = check_floats(COUNT * ELEMS);
    float *y = check_floats(COUNT * ELEMS), *dy = check_floats(COUNT * ELEMS);
    float *dw = check_floats(C), *db = check_floats(C), *conv_dw = check_floats(IN_C * C);
    memcpy(before, p.w, (size_t)params * sizeof(float));
    CHECK_OK(cge_network_accumulate(&net, x, &targets, COUNT, &loss));
    convolve(x, first.w, map);
    CHECK_OK(cge_group_norm_forward_f32(&one_picture, map, before, before + 3 * C, y));
    for (int32_t i = 0; i < COUNT; i++) {
        CHECK_OK(cge_mean_squared_error_forward_f32(ELEMS, y + i * ELEMS, values + i * ELEMS, &one));
        CHECK_OK(cge_mean_squared_error_input_grad_f32(ELEMS, y + i * ELEMS, values + i * ELEMS, dy + i * ELEMS));
        expected += one / COUNT;
    }
    CHECK(loss - expected < 1e-5f * expected && expected - loss < 1e-5f * expected);
    memset(dw, 0, C * sizeof(float)), memset(db, 0, C * sizeof(float)), memset(conv_dw, 0, IN_C * C * sizeof(float));
    CHECK_OK(cge_group_norm_weight_grad_f32(&one_picture, map, dy, dw));
    CHECK_OK(cge_group_norm_bias_grad_f32(&one_picture, dy, db));
    CHECK_OK(cge_group_norm_input_grad_f32(&one_picture, map, before, dy, y));
    for (int32_t i = 0; i < COUNT; i++)
        CHECK_OK(cge_conv2d_weight_grad_f32(&conv, x + i * PIXELS * IN_C, y + i * ELEMS, conv_dw));
    for (int32_t i = 0; i < C; i++) CHECK_SAME(dw[i], p.dw[i], i);
    for (int32_t i = 0; i < C; i++) CHECK_SAME(db[i], p.db[i], i);
    for (int32_t i = 0; i < IN_C * C; i++) CHECK_SAME(conv_dw[i], first.dw[i], i);
    for (int32_t c = 0; c < C; c++) check_tracked(map, c, before + C, p.w + C);
    CHECK(memcmp(before, p.w, C * sizeof(float)) == 0 && memcmp(before + 3 * C, p.b, C * sizeof(float)) == 0);
    memcpy(before, p.w, (size_t)params * sizeof(float)); /* the update leaves them alone */
    CHECK_OK(cge_network_update(&net));
    CHECK(memcmp(before + C, p.w + C, 2 * C * sizeof(float)) == 0 && memcmp(before, p.w, C * sizeof(float)) != 0);
    /* prediction and evaluation: the running statistics, and no change */
    uint64_t hash = 0, after = 0;
    CHECK_OK(cge_network_params_hash(&net, &hash));
    convolve(x, first.w, map);
    CHECK_OK(cge_network_forward(&net, x, COUNT, y));
    normalise(COUNT * ELEMS, map, p.w, dy);
    for (int32_t i = 0; i < COUNT * ELEMS; i++) CHECK_SAME(dy[i], y[i], i);
    CHECK_OK(cge_network_evaluate(&net, x, &targets, COUNT, &loss, NULL));
    CHECK_OK(cge_network_params_hash(&net, &after));
    CHECK(hash == after);
}

/* Statistics of samples that are no numbers go nowhere, and of one number a channel neither. */
static void test_what_is_not_tracked(void)
{
    static const cge_layer vector[] = {{.kind = &cge_kind_batch_norm}};
    static const cge_model model = {{1, 1, 3}, TABLE(vector), &cge_mean_squared_error, SGD(0.1f, 0, 0, 0), NULL, 0, 0};
    const cge_options options = {.training = 1, .capacity = 2};
    const float values[6] = {1, 1, 1, 1, 1, 1}, x[6] = {1, 2, 3, 5, 4, 3}, far[6] = {1e30f, 2, 2, -1e30f, 2, 2};
    float bad[6] = {1, 2, 3, 4, 5, 6}, y[3];
    const cge_targets targets = {NULL, values};
    cge_network net;
    float loss = 0;
    uint64_t before = 0, after = 0;
    if (!check_room("batch norm of nothing", 4096) || !start(&net, &model, &options)) return;
    CHECK_OK(cge_network_params_hash(&net, &before));
    bad[1] = float_from_bits(0x7f800000u);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&net, bad, &targets, 2, &loss));
    CHECK_OK(cge_network_params_hash(&net, &after));
    CHECK(before == after);
    CHECK_OK(cge_network_accumulate(&net, x, &targets, 1, &loss)); /* y = b = 0 */
    CHECK_SAME(1, loss, 0);
    CHECK_OK(cge_network_params_hash(&net, &after));
    CHECK(before == after);
    CHECK_OK(cge_network_accumulate(&net, x, &targets, 2, &loss));
    CHECK_SAME(mul_add(0.1f, 3, 0), net.params[3], 0);
    CHECK_SAME(mul_add(0.1f, 8, (1.0f - 0.1f) * 1.0f), net.params[6], 0);
    CHECK_OK(cge_network_forward(&net, x, 1, y));
    const float mean = net.params[3], variance = net.params[6], other = net.params[7];
    CHECK_OK(cge_network_accumulate(&net, far, &targets, 2, &loss)); /* the variance of the first channel overflows */
    CHECK_SAME(mean, net.params[3], 0);
    CHECK_SAME(variance, net.params[6], 0);
    CHECK(net.params[7] < other); /* of two equal numbers it is 0 */
}

/* A scale of which the biases alone learn. */
static void test_trained_biases(void)
{
    static const cge_layer layers[] = {{.kind = &cge_kind_scale, .trains = CGE_TRAINS_BIAS}};
    static const cge_model model = {{1, 1, 3}, TABLE(layers), &cge_mean_squared_error, SGD(0.1f, 0, 0, 0), NULL, 0, 0};
    const cge_options options = {.training = 1, .capacity = 1};
    const float x[3] = {0, 0, 0}, values[3] = {1, 2, 3};
    const cge_targets targets = {NULL, values};
    cge_network net;
    float loss = 0;
    if (!check_room("scale, biases", 4096) || !start(&net, &model, &options)) return;
    CHECK_OK(cge_network_train_batch(&net, x, &targets, 1, &loss));
    for (int32_t c = 0; c < 3; c++) CHECK_SAME(1.0f, net.params[c], c);
    for (int32_t c = 0; c < 3; c++) CHECK(net.params[3 + c] > (c == 0 ? 0.0f : net.params[2 + c]));
}

/* ---- a run ---- */

static const cge_layer learning[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_NO_BIAS), PLAIN(batch_norm), PLAIN(relu),
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), /* 3x2x4 */
    SCALE(0), DENSE(6, 0, 0), BATCH_NORM(CGE_NO_BIAS, .momentum = 0.3f), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer frozen[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_NO_BIAS), {.kind = &cge_kind_batch_norm, .flags = CGE_FROZEN}, PLAIN(relu),
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), SCALE(0), DENSE(6, 0, 0),
    BATCH_NORM(CGE_NO_BIAS | CGE_FROZEN, .momentum = 0.3f), PLAIN(tanh), SCALE(CGE_NO_BIAS), DENSE(3, 0, 0)};
static const cge_model learning_model = {
    {6, 4, 2}, TABLE(learning), &cge_softmax_cross_entropy, SGD(0.05f, 0.9f, 1e-3f, 0), NULL, 0, 0};
static const cge_model frozen_model = {
    {6, 4, 2}, TABLE(frozen), &cge_softmax_cross_entropy, SGD(0.05f, 0.5f, 0, 0), NULL, 0, 0};
enum { RUN_ELEMS = 6 * 4 * 2, RUN_STEPS = 12, RUN_BATCH = 4, RUN_OUTPUTS = 3 };

static void set_statistics(const cge_network *net)
{
    for (int32_t l = 0; l < net->model->layer_count; l++) {
        cge_layer_params p;
        cge_layer_info info;
        CHECK_OK(cge_model_layer_info(net->model, l, &info));
        if (net->model->layers[l].kind != &cge_kind_batch_norm || !CHECK_OK(cge_network_layer_params(net, l, &p))) continue;
        for (int32_t c = 0; c < info.in.c; c++) {
            p.w[c] = 0.5f + 0.25f * (float)c;
            p.w[info.in.c + c] = operand(SEED_STATISTICS, c);
            p.w[2 * info.in.c + c] = 0.25f * (float)(c + 1);
        }
    }
}

static uint64_t run(const cge_model *model, const cge_memory_level *level, int32_t capacity, int32_t batch)
{
    cge_options options = {.training = 1, .capacity = capacity};
    const int32_t labels[RUN_BATCH] = {0, 2, 1, 2};
    const cge_targets targets = {labels, NULL};
    cge_network net;
    cge_plan plan;
    size_t bytes = 0;
    uint64_t hash = 0;
    float loss = 0, y[RUN_BATCH * RUN_OUTPUTS], one[RUN_OUTPUTS];
    if (!check_room("batch norm, a run", 24576)) return 0;
    if (level != NULL) {
        CHECK_OK(cge_plan_bytes(model, &bytes));
        if (!CHECK_OK(cge_plan_make(model, level, 1, check_bytes(bytes), bytes, &plan))) return 0;
        options.plan = &plan;
    }
    if (!start(&net, model, &options)) return 0;
    if (model == &frozen_model) set_statistics(&net);
    float *x = check_floats(RUN_BATCH * RUN_ELEMS);
    for (int32_t step = 0; step < RUN_STEPS; step++) {
        for (int32_t i = 0; i < RUN_BATCH * RUN_ELEMS; i++) x[i] = operand(SEED_X + (uint32_t)step, i);
        for (int32_t i = 0; i < RUN_BATCH; i += batch) {
            const cge_targets some = {targets.labels + i, NULL};
            CHECK_OK(cge_network_train_batch(&net, x + i * RUN_ELEMS, &some, batch, &loss));
        }
    }
    CHECK_OK(cge_network_params_hash(&net, &hash));
    CHECK_OK(cge_network_forward(&net, x, RUN_BATCH, y)); /* one sample at a time, where passes had several */
    for (int32_t i = 0; i < RUN_BATCH; i++) {
        CHECK_OK(cge_network_forward(&net, x + i * RUN_ELEMS, 1, one));
        for (int32_t at = 0; at < RUN_OUTPUTS; at++) CHECK_SAME(one[at], y[i * RUN_OUTPUTS + at], i);
    }
    return hash;
}

static void test_runs(void)
{
    const uint64_t together = run(&learning_model, NULL, RUN_BATCH, RUN_BATCH);
    const uint64_t halves = run(&learning_model, NULL, RUN_BATCH / 2, RUN_BATCH);
    const uint64_t alone = run(&frozen_model, NULL, 1, 1);
    const uint64_t golden = CGE_FUSED ? GOLDEN_BATCH_NORM_FUSED : GOLDEN_BATCH_NORM;
    if (together == 0 || alone == 0) return; /* no room */
    if (!CHECK(together == golden))
        printf("    weights 0x%08lx%08lx\n", (unsigned long)(together >> 32), (unsigned long)(together & 0xffffffffu));
    CHECK(halves != together);
    CHECK(run(&learning_model, &cge_memory_batch, RUN_BATCH, RUN_BATCH) == together);
    CHECK(run(&learning_model, &cge_memory_batch, RUN_BATCH / 2, RUN_BATCH) == halves);
    CHECK(run(&frozen_model, &cge_memory_batch, 1, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_small, 0, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_smallest, 0, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_small_sliced, 0, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_smallest_sliced, 0, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_smallest_tight, 0, 1) == alone);
    CHECK(run(&frozen_model, &cge_memory_small, 0, RUN_BATCH) == run(&frozen_model, NULL, RUN_BATCH, RUN_BATCH));
}

/*
 * A graph in which a norm reads what others read too, what an activation puts out, and what a sum does; others read what it
 * puts out, and one is last.
 */
static const cge_layer branches[] = {
    PLAIN(batch_norm),                                                           /* 0: of the samples themselves */
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_NO_BIAS), PLAIN(batch_norm), PLAIN(relu), /* 3: 6x4x4 */
    CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), BATCH_NORM(0, .momentum = 0.5f),      /* 5 */
    {.kind = &cge_kind_add, .from = {0, 4}}, PLAIN(tanh),                        /* 6: 5 and 3 */
    BATCH_NORM(CGE_NO_BIAS, .eps = 0.25f),                                       /* 8 */
    {.kind = &cge_kind_concat, .from = {0, 8}},                                  /* 9: 8 beside 7 */
    {.kind = &cge_kind_batch_norm, .flags = CGE_FROZEN},                         /* 10 */
    {.kind = &cge_kind_add, .from = {0, 10}}, PLAIN(batch_norm), PLAIN(relu),    /* 11: 10 and 9 */
    PLAIN(global_avgpool2d), DENSE(3, 0, 0), PLAIN(batch_norm)};
static const cge_model branches_model = {
    {6, 4, 2}, TABLE(branches), &cge_softmax_cross_entropy, SGD(0.05f, 0.9f, 1e-3f, 0), NULL, 0, 0};

static void test_graph_runs(void)
{
    const uint64_t together = run(&branches_model, &cge_memory_batch, RUN_BATCH, RUN_BATCH);
    if (together == 0) return; /* no room */
    if (!CHECK(together == (CGE_FUSED ? GOLDEN_BATCH_NORM_GRAPH_FUSED : GOLDEN_BATCH_NORM_GRAPH)))
        printf("    weights 0x%08lx%08lx\n", (unsigned long)(together >> 32), (unsigned long)(together & 0xffffffffu));
    CHECK(run(&branches_model, &cge_memory_batch, RUN_BATCH / 2, RUN_BATCH) != together);
}

/* A frozen layer keeps all that it has. */
static void test_frozen_params(void)
{
    const cge_options options = {.training = 1, .capacity = RUN_BATCH};
    const int32_t labels[RUN_BATCH] = {0, 2, 1, 2};
    const cge_targets targets = {labels, NULL};
    cge_network net;
    cge_layer_params p;
    float before[16], loss = 0;
    if (!check_room("batch norm, frozen", 16384) || !start(&net, &frozen_model, &options)) return;
    set_statistics(&net);
    CHECK_OK(cge_network_layer_params(&net, 1, &p));
    CHECK(p.dw == NULL && p.db == NULL);
    memcpy(before, p.w, sizeof before);
    CHECK_OK(cge_network_train_batch(&net, check_operands(RUN_BATCH * RUN_ELEMS, SEED_X), &targets, RUN_BATCH, &loss));
    CHECK(memcmp(before, p.w, sizeof before) == 0);
}

/* Statistics of a layer without bias begin as those of one with it. */
static void test_initial_statistics(void)
{
    const cge_options options = {.training = 1, .capacity = 1};
    cge_network net;
    cge_layer_params p;
    if (!check_room("batch norm, no bias", 8192) || !start(&net, &learning_model, &options)) return;
    CHECK_OK(cge_network_layer_params(&net, 6, &p));
    CHECK(p.b == NULL && p.db == NULL && p.dw != NULL);
    for (int32_t i = 0; i < 3 * 6; i++) CHECK_SAME(i / 6 == 1 ? 0.0f : 1.0f, p.w[i], i);
}

void suite_batch_norm(void)
{
    test_initial_statistics();
    test_pass();
    test_what_is_not_tracked();
    test_trained_biases();
    test_runs();
    test_graph_runs();
    test_frozen_params();
}

/* Which plans hold several samples, which can be cut into slices, and that none passes for another. */
static void test_capacity(void *memory, size_t bytes)
{
    static const cge_spread spread = {0};
    const cge_memory_level *const others[] = {&cge_memory_small, &cge_memory_smallest, &cge_memory_small_tight};
    cge_options options = {.training = 1, .capacity = 2};
    cge_plan plan;
    cge_network net;
    float loss = 0;
    int64_t macs = 0;
    size_t arena_bytes = 0, of_one = 0;
    options.plan = &plan;
    for (int32_t i = 0; i < COUNT_OF(others); i++) {
        CHECK_OK(cge_plan_make(&frozen_model, others[i], 1, memory, bytes, &plan));
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&frozen_model, &options, &arena_bytes));
    }
    CHECK_OK(cge_plan_make(&learning_model, &cge_memory_batch, 1, memory, bytes, &plan));
    CHECK_OK(cge_network_arena_bytes(&learning_model, &options, &arena_bytes));
    options.capacity = 1;
    CHECK_OK(cge_network_arena_bytes(&learning_model, &options, &of_one));
    CHECK(arena_bytes - of_one == sizeof(float) * (size_t)(plan.peak_elems + 2 * RUN_ELEMS));
    options.capacity = CGE_MAX_ELEMS;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&learning_model, &options, &arena_bytes));
    options.capacity = 2;
    plan.spread = &spread;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&learning_model, &options, &arena_bytes));
    plan.spread = NULL;
    plan.level = &cge_memory_small; /* which holds one sample */
    options.capacity = 1;
    CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_arena_bytes(&learning_model, &options, &arena_bytes));
    plan.level = &cge_memory_batch;
    if (!start(&net, &learning_model, &options)) return;
    const float x[RUN_ELEMS] = {0};
    const int32_t label = 0;
    const cge_targets targets = {&label, NULL};
    CHECK_STATUS(CGE_ERR_MODE, cge_network_train_begin(&net, x, &targets, 1));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_largest_slice(&net, &macs));
    CHECK_OK(cge_network_train_batch(&net, x, &targets, 1, &loss));
}

void suite_batch_norm_status(void)
{
    static const cge_batch_norm no_eps = {.eps = -1}, too_much = {.momentum = 1.5f}, below = {.momentum = -0.5f},
                                all_of_it = {.momentum = 1};
    static const struct {
        const char *name;
        cge_layer layer;
    } rows[] = {
        {"eps", {.kind = &cge_kind_batch_norm, .config = &no_eps}},
        {"momentum above 1", {.kind = &cge_kind_batch_norm, .config = &too_much}},
        {"momentum below 0", {.kind = &cge_kind_batch_norm, .config = &below}},
        {"no weights", {.kind = &cge_kind_batch_norm, .flags = CGE_NO_AFFINE}},
        {"biases alone", {.kind = &cge_kind_batch_norm, .trains = CGE_TRAINS_BIAS}},
        {"some channels", {.kind = &cge_kind_batch_norm, .trains = 2}},
        {"init", {.kind = &cge_kind_batch_norm, .init = CGE_INIT_HE_NORMAL}},
        {"a scale without weights", {.kind = &cge_kind_scale, .flags = CGE_NO_AFFINE}},
        {"a scale's config", {.kind = &cge_kind_scale, .config = &no_eps}},
        {"a scale's init", {.kind = &cge_kind_scale, .init = CGE_INIT_HE_NORMAL}},
        {"some channels of a scale", {.kind = &cge_kind_scale, .trains = 2}},
    };
    const cge_shape in = {2, 3, 4}, wide = {1, 1, CGE_MAX_ELEMS / 4 + 1};
    cge_layer_info info;
    cge_plan plan;
    size_t bytes = 0;
    for (int32_t i = 0; i < COUNT_OF(rows); i++) {
        check_case(rows[i].name);
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_layer_infer(&rows[i].layer, &in, &info));
    }
    check_case("momentum 1");
    CHECK_OK(cge_layer_infer(&(const cge_layer){.kind = &cge_kind_batch_norm, .config = &all_of_it}, &in, &info));
    check_case("too many channels");
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_layer_infer(&(const cge_layer){.kind = &cge_kind_batch_norm}, &wide, &info));
    if (!check_room("batch norm with a plan", 16384)) return;
    if (!CHECK_OK(cge_plan_bytes(&frozen_model, &bytes))) return; /* the larger */
    void *memory = check_bytes(bytes);
    CHECK_STATUS(CGE_ERR_MODE, cge_plan_make(&learning_model, &cge_memory_small, 1, memory, bytes, &plan));
    CHECK_STATUS(CGE_ERR_MODE, cge_plan_make(&learning_model, &cge_memory_smallest, 1, memory, bytes, &plan));
    CHECK_STATUS(CGE_ERR_MODE, cge_plan_make(&learning_model, &cge_memory_small_sliced, 1, memory, bytes, &plan));
    CHECK_OK(cge_plan_make(&learning_model, &cge_memory_small, 0, memory, bytes, &plan));
    test_capacity(memory, bytes);
}
