/*
 * Steps in slices: with any budgets, and after any abort, the bits of the blocking call; and in the middle of one every other
 * call is refused and has changed nothing.
 */
#include "check.h"
#include "unit_models.h"
#include "suites.h"

#include "../../csrc/src/layers/passes.h"
#include "../../csrc/src/net/units.h"

#include <string.h>

enum { SEED = 91, SEED_X = 811, SEED_VALUES, SEED_BUDGET, STEPS = CHECK_FEWER ? 2 : 3, BATCH = 2, MOST_OUTPUTS = 64 };

#define WITHOUT_LIMIT INT64_MAX

/* ---- models: each way in which something is cut ---- */

static const cge_layer net_n[] = {
    CONV(8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(10, 0, 0)};
static const cge_layer wide[] = { /* a row of the map is more than a piece: filters and columns are cut, too */
    CONV(10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(tanh), POOL(maxpool2d, 1, 4, 0, 0, 0, 0, 0, 0), CONV(6, 3, 5, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 3, 2, 0, 0, 0, 0, 0, 0), DENSE(14, 0, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer wide_plain[] = {CONV(14, 3, 3, 1, 2, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(10, 5, 5, 1, 1, 2, 2, 2, 2, 1, 0), PLAIN(relu), PLAIN(global_avgpool2d)};
static const cge_layer long_curves[] = { /* of several pieces, one of a few pixels */
    CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(silu), PLAIN(softmax), PLAIN(relu), PLAIN(softplus), CONV(2, 3, 3, 3, 3, 0, 0, 0, 0, 1, 0), PLAIN(gelu), DENSE(3, 0, 0)};
static const cge_layer many_terms[] = { /* of one place they are more than a piece: kernel rows are cut */
    CONV(5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(70, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(tanh),
    PLAIN(global_maxpool2d), DENSE(3, 0, 0)};
static const cge_layer wide_groups[] = { /* some groups of a row; a pooling's channels */
    CONV(64, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), CONV(64, 3, 3, 1, 1, 1, 1, 1, 1, 64, 0), PLAIN(relu),
    CONV(12, 1, 1, 1, 2, 0, 0, 0, 0, 4, 0), PLAIN(relu),
    CONV(60, 1, 3, 1, 1, 0, 1, 0, 0, 1, 0), PLAIN(relu), POOL(avgpool2d, 3, 3, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer wide_pools[] = { /* some windows of a row */
    CONV(40, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), POOL(avgpool2d, 4, 4, 1, 1, 1, 2, 1, 0), PLAIN(relu),
    POOL(maxpool2d, 3, 3, 2, 1, 1, 1, 1, 1), DENSE(3, 0, 0)};
#define PART(filters, kh, kw, trains_) \
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = filters, WINDOW(kh, kw, 1, 1, 1, 1, 1, 1)), .trains = trains_}
static const cge_layer in_part[] = {
    PART(6, 3, 3, 2), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PART(7, 3, 3, CGE_TRAINS_BIAS), PLAIN(relu),
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PART(5, 2, 3, 4), PLAIN(tanh), PART(4, 1, 1, CGE_TRAINS_BIAS), PLAIN(relu), 
    {.kind = &cge_kind_dense, DENSE_CONFIG(6), .trains = 11}, PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer many_inputs[] = {
    DENSE(9, CGE_FROZEN, 0), PLAIN(relu), DENSE(20, 0, 0), PLAIN(tanh),
    DENSE(7, CGE_NO_BIAS, 0)};

/* ---- graphs: what reads an output that others read, too, adds to its gradient ---- */

#define FROM(first, second) .from = {first, second}
#define ADD(first, second) {.kind = &cge_kind_add, FROM(first, second)}
#define CONCAT(first, second) {.kind = &cge_kind_concat, FROM(first, second)}
static const cge_layer sums[] = {
    CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), ADD(0, CGE_INPUT), PLAIN(relu), /* 0, 1, 2 */
    POOL(maxpool2d, 3, 3, 1, 1, 1, 1, 1, 1), {.kind = &cge_kind_silu, FROM(3, 0)},                   /* 3, 4: of 2 */
    ADD(0, 4), {.kind = &cge_kind_softmax, FROM(3, 0)},                                              /* 5: 3 + 4; 6: of 2 */
    CONCAT(0, 6), PLAIN(tanh), CONV(3, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0), PLAIN(relu), PLAIN(flatten),
    DENSE(6, 0, 0), {.kind = &cge_kind_dense, DENSE_CONFIG(6), FROM(12, 0)}, /* 12, 13: of 11 */
    ADD(0, 13), PLAIN(softplus), DENSE(3, 0, 0)};
static const cge_layer meetings[] = { /* at a sum whose parts need no gradient, both, or one that is read again */
    CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_FROZEN), PLAIN(relu), /* 0, 1 */
    {.kind = &cge_kind_avgpool2d, POOL2D_CONFIG(WINDOW(3, 3, 1, 1, 1, 1, 1, 1)), FROM(2, 0)}, ADD(0, 2),
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 4, 0), ADD(0, 4), LEAKY(0.5f), PLAIN(global_avgpool2d), /* 4 .. 7 */
    {.kind = &cge_kind_global_maxpool2d, FROM(7, 0)}, CONCAT(0, 8), DENSE(4, 0, 0)};
static const cge_layer skip_of_input[] = { /* whose end is renamed */
    CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), LEAKY(1.5f), ADD(0, CGE_INPUT), PLAIN(tanh), PLAIN(flatten)};
static const cge_layer two_sides[] = { /* of which the second learns */
    CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_FROZEN),
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 2, WINDOW(1, 1, 1, 1, 0, 0, 0, 0)), FROM(CGE_INPUT, 0)},
    LEAKY(1.5f), CONCAT(1, 0), DENSE(3, 0, 0)};
static const cge_layer renames[] = {PLAIN(flatten)};
static const cge_layer ends_renamed[] = {CONV(2, 2, 2, 2, 2, 0, 0, 0, 0, 1, 0), PLAIN(tanh), PLAIN(flatten)};

/* ---- the rarer cuts ---- */

/* One place is too much for a piece: terms are cut, of eight filters or three, but not of groups; channels of a gradient. */
#define FROZEN_ROW(filters, groups_) CONV(filters, 1, 9, 1, 1, 0, 4, 0, 4, groups_, CGE_FROZEN)
static const cge_layer eight_filters[] = {FROZEN_ROW(8, 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer three_filters[] = {FROZEN_ROW(3, 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer two_groups[] = {FROZEN_ROW(4, 2), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer large_grads[] = {
    CONV(5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(tanh), FROZEN_ROW(161, 1), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer long_kernel[] = { /* longer than rows whose winners are told apart; rows that no window looks at */
    CONV(2, 2, 1, 1, 1, 1, 0, 0, 0, 1, 0), PLAIN(tanh), CONV(3, 1, 33, 1, 1, 0, 16, 0, 16, 1, 0), PLAIN(relu),
    POOL(maxpool2d, 4, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer long_kernel_plain[] = {
    CONV(3, 1, 33, 1, 1, 0, 16, 0, 16, 1, CGE_NO_BIAS), PLAIN(relu), POOL(maxpool2d, 4, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer wide_bands[] = { /* one box, which is handed on in pieces */
    CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(tanh), CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(global_avgpool2d)};
static const cge_layer wide_dense[] = { /* fewer inputs at a time than a tile has */
    DENSE(20, 0, 0), PLAIN(relu), DENSE(90, 0, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer many_numbers[] = { /* of which the largest is looked for in pieces */
    CONV(2, 3, 3, 3, 3, 0, 0, 0, 0, 1, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer learns_biases[] = {
    {.kind = &cge_kind_dense, DENSE_CONFIG(5), .trains = CGE_TRAINS_BIAS}, PLAIN(tanh), DENSE(3, 0, 0)};

static const test_model sliced[] = {
    MODEL("N, small", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("N, small, momentum, decay", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 1),
    MODEL("curves", 7, 6, 2, curves, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("curves in pieces", 12, 14, 2, long_curves, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("moved", 7, 6, 2, moved, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("capped", 9, 8, 2, capped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("N", 16, 14, 1, net_n, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("filters and columns", 3, 56, 8, wide, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("filters and columns, no pooling", 3, 44, 3, wide_plain, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("many terms", 2, 3, 64, many_terms, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("wide groups", 3, 7, 2, wide_groups, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("wide pools", 5, 9, 2, wide_pools, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("in part", 12, 10, 3, in_part, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("many inputs", 1, 1, 880, many_inputs, &cge_mean_squared_error, 0.01f, 0, 0, 0),
    MODEL("strides, groups", 13, 11, 2, strides, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("dilated", 9, 9, 2, dilated, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("overlapping windows", 7, 6, 2, overlapping, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("frozen front", 8, 8, 2, frozen_front, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("groups, no biases", 8, 8, 2, grouped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    ADAPTIVE_MODEL("N, small, adam", 9, 8, 2, small_n, &cge_softmax_cross_entropy, adam, 0.01f, 0.9f, 0.01f, 0.999f, 1e-8f),
    ADAPTIVE_MODEL("groups, no biases, rmsprop", 8, 8, 2, grouped, &cge_softmax_cross_entropy, rmsprop, 0.01f, 0.5f, 0, 0.99f, 1e-8f),
    MODEL("norms", 9, 8, 2, normed, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("norms, frozen", 6, 5, 4, norms_frozen, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    L1_MODEL("N, sgd, l1", 9, 8, 2, small_n, &cge_softmax_cross_entropy, sgd_l1, 0.05f, 0, 0, 0, 0, 0.25f),
    MODEL("slopes", 8, 7, 2, sloped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("norms whose biases learn", 6, 7, 1, norm_biases, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("transposed", 7, 6, 2, transposed, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("transposed, in part", 4, 3, 2, transposed_in_part, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("sums", 6, 5, 2, sums, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("meetings", 5, 6, 3, meetings, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("skip of the input", 4, 4, 2, skip_of_input, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("two sides", 3, 4, 2, two_sides, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("renames alone", 2, 3, 1, renames, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("ends renamed", 4, 6, 1, ends_renamed, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("eight filters", 1, 5, 96, eight_filters, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("three filters", 1, 3, 140, three_filters, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("two groups", 1, 2, 386, two_groups, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("large gradients", 1, 3, 2, large_grads, &cge_softmax_cross_entropy, 0.01f, 0, 0, 0),
    MODEL("a long kernel", 7, 8, 2, long_kernel, &cge_softmax_cross_entropy, 0.01f, 0.5f, 0, 0),
    MODEL("a long kernel, no biases", 5, 6, 1, long_kernel_plain, &cge_softmax_cross_entropy, 0.01f, 0.5f, 0, 0),
    MODEL("wide bands", 3, 32, 1, wide_bands, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("wide dense", 1, 1, 12, wide_dense, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("many numbers", 10, 20, 11, many_numbers, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("biases alone", 1, 1, 7, learns_biases, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
};

/* ---- a network with a plan ---- */

typedef struct sliced_net {
    cge_network net;
    cge_plan plan;
    cge_options options;
    float *x, *values;
    int32_t *labels;
    cge_targets targets;
    size_t arena_bytes;
    unsigned char *arena;
    int32_t in_elems, out_elems;
} sliced_net;

static const cge_memory_level *const levels[] = {&cge_memory_small_sliced, &cge_memory_smallest_sliced, &cge_memory_small, &cge_memory_smallest};

/* 0: it does not fit here. */
static int make(sliced_net *n, const test_model *m, const cge_memory_level *level, int32_t training)
{
    size_t plan_bytes;
    void *memory;
    memset(n, 0, sizeof *n);
    CHECK_OK(cge_plan_bytes(&m->model, &plan_bytes));
    n->in_elems = m->model.input.h * m->model.input.w * m->model.input.c;
    if (!check_room(m->name, plan_bytes)) return 0;
    memory = check_bytes(plan_bytes);
    if (!CHECK_OK(cge_plan_make(&m->model, level, training, memory, plan_bytes, &n->plan))) return 0;
    n->options.training = training;
    n->options.plan = &n->plan;
    CHECK_OK(cge_network_arena_bytes(&m->model, &n->options, &n->arena_bytes));
    if (!check_room(m->name, plan_bytes + n->arena_bytes + 4 * (size_t)(BATCH * (n->in_elems + MOST_OUTPUTS + 1)))) return 0;
    memory = check_bytes(plan_bytes);
    if (!CHECK_OK(cge_plan_make(&m->model, level, training, memory, plan_bytes, &n->plan))) return 0;
    n->arena = check_bytes(n->arena_bytes);
    n->x = check_floats(BATCH * n->in_elems);
    n->values = check_floats(BATCH * MOST_OUTPUTS);
    n->labels = check_ints(BATCH);
    n->targets.labels = n->labels;
    n->targets.values = n->values;
    n->targets.weights = NULL;
    memset(n->arena, 0xff, n->arena_bytes); /* NaN everywhere */
    if (!CHECK_OK(cge_network_init(&n->net, &m->model, &n->options, n->arena, n->arena_bytes))) return 0;
    n->out_elems = n->net.out_elems;
    return CHECK(n->out_elems <= MOST_OUTPUTS) && CHECK_OK(cge_network_init_params(&n->net, SEED));
}

static void next_samples(sliced_net *n, int32_t step)
{
    for (int32_t i = 0; i < BATCH * n->in_elems; i++) n->x[i] = operand(SEED_X + 10 * (uint32_t)step, i);
    for (int32_t i = 0; i < BATCH * n->out_elems; i++) n->values[i] = operand(SEED_VALUES + 10 * (uint32_t)step, i);
    for (int32_t i = 0; i < BATCH; i++) n->labels[i] = (step + i * 2) % n->out_elems;
}

static uint64_t hash_of(const sliced_net *n)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(&n->net, &hash));
    return hash;
}

/* Budgets: one piece a slice (1), random ones up to three largest pieces (0), or the number itself. */
typedef struct budgets {
    int64_t budget, largest;
    uint32_t seed;
} budgets;

static int64_t next_budget(budgets *b)
{
    if (b->budget != 0) return b->budget;
    b->seed = mix32(b->seed + 1);
    return 1 + (int64_t)(b->seed % (uint32_t)(3 * b->largest));
}

/* To the end. Returns the last status; *slices is how many there were. */
static cge_status finish(sliced_net *n, budgets *b, float *loss, int32_t *slices)
{
    cge_status status = CGE_AGAIN;
    for (*slices = 0; status == CGE_AGAIN; ++*slices) status = cge_network_resume(&n->net, next_budget(b), loss);
    return status;
}

static int begin_train(sliced_net *n, int32_t batch)
{
    return CHECK_OK(cge_network_train_begin(&n->net, n->x, &n->targets, batch));
}

/* The weights after some steps; budget -1: by the blocking call. *losses is a hash of the losses. */
static uint64_t live(sliced_net *n, int32_t batch, int64_t budget, uint64_t *losses, int32_t *slices)
{
    budgets b = {budget, 1, SEED_BUDGET};
    float loss = 0;
    *losses = 0;
    *slices = 0;
    CHECK_OK(cge_network_largest_slice(&n->net, &b.largest));
    CHECK_OK(cge_network_init_params(&n->net, SEED));
    for (int32_t step = 0; step < STEPS; step++) {
        next_samples(n, step);
        if (budget == -1)
            CHECK_OK(cge_network_train_batch(&n->net, n->x, &n->targets, batch, &loss));
        else if (begin_train(n, batch))
            CHECK_OK(finish(n, &b, &loss, slices));
        *losses = *losses * 0x9e3779b97f4a7c15u + float_bits(loss);
    }
    CHECK(n->net.step_count == STEPS && n->net.pending == 0 && n->net.busy == 0 && n->net.step.task == NULL);
    return hash_of(n);
}

/* ---- cases ---- */

static void test_bits(const test_model *m, const cge_memory_level *level)
{
    static const int64_t split[] = {1, 777, WITHOUT_LIMIT, 0, 20000};
    const int32_t splits = CHECK_FEWER ? 2 : COUNT_OF(split);
    const int32_t batch = level->at_once ? 1 : BATCH;
    uint64_t losses, expected_losses, expected;
    int32_t slices;
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    expected = live(&n, batch, -1, &expected_losses, &slices);
    for (int32_t i = 0; i < splits; i++) {
        CHECK(live(&n, batch, split[i], &losses, &slices) == expected && losses == expected_losses);
        CHECK(split[i] != WITHOUT_LIMIT || slices == 1);
        CHECK(split[i] != 1 || slices > 1);
    }
}

/* After an abort: as if nothing had been begun. From where it is too late, the step ends as if nobody had asked. */
static void test_abort(const test_model *m, const cge_memory_level *level)
{
    uint64_t losses, expected, before;
    int32_t slices, aborted = 0, refused = 0;
    budgets one = {1, 1, 0};
    float loss = 0;
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    expected = live(&n, 1, -1, &losses, &slices);
    CHECK_OK(cge_network_init_params(&n.net, SEED));
    before = hash_of(&n);
    for (int32_t step = 0, pieces = 0; step < STEPS; pieces = (int32_t)(mix32((uint32_t)pieces + 5) % 600)) {
        cge_status status = CGE_AGAIN;
        next_samples(&n, step);
        if (!begin_train(&n, 1)) return;
        for (int32_t i = 0; i < pieces && status == CGE_AGAIN; i++) status = cge_network_resume(&n.net, 1, &loss);
        if (status == CGE_AGAIN && !n.net.step.changing) {
            CHECK_OK(cge_network_abort(&n.net));
            CHECK(hash_of(&n) == before && n.net.pending == 0 && n.net.step_count == (uint64_t)step && n.net.busy == 0);
            aborted++;
        } else {
            if (status == CGE_AGAIN) {
                CHECK_STATUS(CGE_ERR_MODE, cge_network_abort(&n.net));
                status = finish(&n, &one, &loss, &slices);
                refused++;
            }
            CHECK_STATUS(CGE_OK, status);
            before = hash_of(&n);
            step++;
        }
    }
    CHECK(hash_of(&n) == expected);
    CHECK(aborted > 0 && (uint64_t)refused + n.net.step_count >= STEPS);
}

static void test_prediction(const test_model *m, const cge_memory_level *level, int32_t training)
{
    const int32_t labels = m->model.loss == &cge_softmax_cross_entropy;
    float expected[BATCH * MOST_OUTPUTS], y[BATCH * MOST_OUTPUTS], expected_loss = 0, loss = 7;
    int32_t expected_correct = -1, correct = -1, slices, pieces;
    budgets b = {0, 4000, SEED_BUDGET}, one = {1, 1, 0}, largest = {0, 1, 0};
    sliced_net n;
    if (!make(&n, m, level, training)) return;
    next_samples(&n, 0);
    CHECK_OK(cge_network_forward(&n.net, n.x, BATCH, expected));
    CHECK_OK(cge_network_evaluate(&n.net, n.x, &n.targets, BATCH, &expected_loss, &expected_correct));
    memset(y, 0, sizeof y);
    CHECK_OK(cge_network_forward_begin(&n.net, n.x, BATCH, y));
    CHECK_OK(finish(&n, &b, &loss, &slices));
    CHECK(loss == 7); /* there is none */
    for (int32_t i = 0; i < BATCH * n.out_elems; i++) CHECK_SAME(expected[i], y[i], i);
    CHECK_OK(cge_network_evaluate_begin(&n.net, n.x, &n.targets, BATCH, &correct));
    CHECK_OK(finish(&n, &b, &loss, &slices));
    CHECK_SAME(expected_loss, loss, 0);
    CHECK(correct == expected_correct && (labels || correct == 0));
    CHECK_OK(cge_network_evaluate_begin(&n.net, n.x, &n.targets, BATCH, NULL));
    CHECK_OK(finish(&n, &b, NULL, &slices));
    n.x[0] = float_from_bits(0x7fc00000u); /* a prediction says what comes of it */
    CHECK_OK(cge_network_forward(&n.net, n.x, 1, expected));
    CHECK_OK(cge_network_forward_begin(&n.net, n.x, 1, y));
    CHECK_OK(finish(&n, &b, NULL, &slices));
    for (int32_t i = 0; i < n.out_elems; i++) CHECK((expected[i] == y[i]) || (expected[i] != expected[i] && y[i] != y[i]));
    CHECK_OK(cge_network_largest_slice(&n.net, &largest.budget));
    CHECK_OK(cge_network_forward_begin(&n.net, n.x, 1, y));
    CHECK_OK(finish(&n, &one, NULL, &pieces));
    CHECK_OK(cge_network_forward_begin(&n.net, n.x, 1, y));
    CHECK_OK(finish(&n, &largest, NULL, &slices));
    CHECK(slices <= pieces);
}

/* Normalisations and transposed convolutions are one piece; so are rows that are handed on, a place of a group, slopes, and
 * what a channel may multiply gradients by. */
static int is_not_cut_so_far(const test_model *m)
{
    static const char *const names[] = {
        "norms", "norms, frozen", "norms whose biases learn", "transposed", "transposed, in part", "filters and columns",
        "two groups", "slopes", "large gradients"};
    for (int32_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(m->name, names[i]) == 0) return 1;
    return CGE_FUSED; /* rows behind a pooling are expanded in one piece */
}

/* No slice is more than its budget or the largest piece; and there is a piece of just that size. */
static void test_largest(const test_model *m, const cge_memory_level *level)
{
    int64_t largest = 0;
    uint64_t losses;
    int32_t pieces, slices;
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    CHECK_OK(cge_network_largest_slice(&n.net, &largest));
    CHECK(largest > 0 && (largest <= CGE_SLICE_MACS || !level->one_by_one || is_not_cut_so_far(m)));
    (void)live(&n, 1, 1, &losses, &pieces);
    (void)live(&n, 1, largest, &losses, &slices);
    CHECK(slices <= pieces);
}

static const cge_layer of_wild_settings[] = {DENSE(3, 0, CGE_INIT_HE_NORMAL), PLAIN(tanh), DENSE(2, 0, CGE_INIT_HE_NORMAL)};

/* The first layer learns last. If a parameter or velocity of it would overflow, the last layer must not have learned before. */
static void test_wild_setting(int of_velocities)
{
    enum { ROOM = 8192 };
    static const cge_model model = {
        .input = {1, 1, 4}, TABLE(of_wild_settings), &cge_mean_squared_error, {&cge_sgd, 10, 0.9f, 1, 0}};
    static const float x[4] = {0, 1, 1, 1}, y[2] = {1, -1};
    const cge_targets targets = {.values = y};
    cge_options options = {.training = 1, .capacity = 1};
    cge_status status;
    cge_plan plan;
    cge_network *net;
    size_t bytes = 0, plan_bytes = 0;
    uint64_t before = 0, after = 1;
    check_case(of_velocities ? "a wild velocity" : "a wild parameter");
    CHECK_OK(cge_plan_bytes(&model, &plan_bytes));
    if (!check_room("a wild setting", plan_bytes + ROOM + sizeof *net)) return;
    net = check_bytes(sizeof *net);
    CHECK_OK(cge_plan_make(&model, &cge_memory_smallest_sliced, 1, check_bytes(plan_bytes), plan_bytes, &plan));
    options.plan = &plan;
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes));
    if (!CHECK(bytes <= ROOM)) return;
    CHECK_OK(cge_network_init(net, &model, &options, check_bytes(bytes), bytes));
    CHECK_OK(cge_network_init_params(net, 1));
    (of_velocities ? net->velocity : net->params)[0] = 3e38f; /* its input is 0 */
    CHECK_OK(cge_network_params_hash(net, &before));
    CHECK_OK(cge_network_train_begin(net, x, &targets, 1));
    do
        status = cge_network_resume(net, 1, NULL);
    while (status == CGE_AGAIN);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, status);
    CHECK_OK(cge_network_params_hash(net, &after));
    CHECK(before == after);
}

/* A sum of two maps costs 4 multiply-adds an element, and one where no activation follows. Here it is one piece, and the
 * largest slice of a prediction of x + x. */
static void test_cost_of_a_sum(void)
{
    enum { H = 8, W = 8, C = 16, COST = H * W * C * (CGE_MACS_MERGE + 1), ROOM = 12 * H * W * C };
    static const cge_layer layers[] = {{.kind = &cge_kind_add, .from = {CGE_INPUT, CGE_INPUT}}};
    static const cge_model model = {.input = {H, W, C}, TABLE(layers)};
    cge_options options = {.capacity = 1};
    cge_plan plan;
    cge_network *net;
    size_t bytes = 0, plan_bytes = 0;
    int64_t largest = 0;
    check_case("a sum");
    CHECK_OK(cge_plan_bytes(&model, &plan_bytes));
    if (!check_room("a sum", plan_bytes + ROOM + sizeof *net)) return;
    net = check_bytes(sizeof *net);
    CHECK_OK(cge_plan_make(&model, &cge_memory_small_sliced, 0, check_bytes(plan_bytes), plan_bytes, &plan));
    options.plan = &plan;
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes));
    if (!CHECK(bytes <= ROOM)) return;
    CHECK_OK(cge_network_init(net, &model, &options, check_bytes(bytes), bytes));
    CHECK_OK(cge_network_largest_slice(net, &largest));
    CHECK(largest >= COST && largest <= COST + CGE_MACS_CALL + CGE_MACS_RESUME);
}

/* What the step refuses, the blocking call refuses: the same status, and nothing learned. */
static void test_not_finite(const cge_memory_level *level)
{
    const test_model *m = &sliced[0];
    float loss = 7;
    uint64_t before;
    int32_t slices;
    budgets one = {1, 1, 0};
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    before = hash_of(&n);
    next_samples(&n, 0);
    n.x[n.in_elems / 2] = float_from_bits(0x7fc00000u);
    if (!begin_train(&n, 1)) return;
    CHECK_STATUS(CGE_ERR_NOT_FINITE, finish(&n, &one, &loss, &slices));
    CHECK(loss == 7 && hash_of(&n) == before && n.net.step_count == 0 && n.net.pending == 0);
}

/* The input and the last weights grow by 2^large, the first weights shrink: bounds are too large, and with enough the first
 * gradient overflows. */
static void grow(sliced_net *n, int32_t large)
{
    const float grown = float_from_bits((uint32_t)(127 + large) << 23), shrunk = float_from_bits((uint32_t)(127 - large) << 23);
    const int32_t last = n->net.model->layer_count - 1;
    cge_layer_params of;
    cge_layer_info info;
    CHECK_OK(cge_network_init_params(&n->net, SEED));
    n->net.step_count = 0;
    next_samples(n, 0);
    for (int32_t i = 0; i < n->in_elems; i++) n->x[i] *= grown;
    CHECK_OK(cge_network_layer_params(&n->net, 0, &of));
    CHECK_OK(cge_model_layer_info(n->net.model, 0, &info));
    for (int32_t i = 0; i < info.weight_elems; i++) of.w[i] *= shrunk;
    CHECK_OK(cge_network_layer_params(&n->net, last, &of));
    CHECK_OK(cge_model_layer_info(n->net.model, last, &info));
    for (int32_t i = 0; i < info.weight_elems; i++) of.w[i] *= grown;
}

/* Gives the step up after `pieces` of them. 0: the parameters have begun to change. */
static int given_up(sliced_net *n, int32_t large, int32_t pieces)
{
    uint64_t before;
    float loss = 7;
    grow(n, large);
    before = hash_of(n);
    if (!begin_train(n, 1)) return 0;
    for (int32_t i = 0; i < pieces; i++) CHECK_STATUS(CGE_AGAIN, cge_network_resume(&n->net, 1, &loss));
    if (n->net.step.changing) {
        int32_t slices;
        budgets one = {1, 1, 0};
        CHECK_STATUS(CGE_ERR_MODE, cge_network_abort(&n->net));
        CHECK_OK(finish(n, &one, &loss, &slices));
        return 0;
    }
    CHECK_OK(cge_network_abort(&n->net));
    CHECK(hash_of(n) == before);
    return 1;
}

typedef struct grown_step {
    cge_status status;
    uint64_t learned;
    float loss;
} grown_step;

static grown_step blocking_step(sliced_net *n, int32_t large)
{
    uint64_t before;
    grown_step step = {CGE_OK, 0, 7};
    grow(n, large);
    before = hash_of(n);
    step.status = cge_network_train_batch(&n->net, n->x, &n->targets, 1, &step.loss);
    step.learned = hash_of(n);
    CHECK((step.learned == before) == (step.status != CGE_OK));
    return step;
}

/* A step is tried where its bound is too large, and only there: it takes more pieces. Before the parameters change it can be given
 * up, as if nothing had been begun. */
static void test_trial(const cge_memory_level *level)
{
    enum { NOT_TRIED = 0, TRIED = 45, OVERFLOWS = 70 };
    static const int32_t larges[] = {NOT_TRIED, TRIED, OVERFLOWS};
    int32_t pieces[COUNT_OF(larges)], unchanged[COUNT_OF(larges)];
    grown_step ordinary;
    sliced_net n;
    if (!make(&n, &sliced[0], level, 1)) return;
    ordinary = blocking_step(&n, NOT_TRIED);
    for (int32_t i = 0; i < COUNT_OF(larges); i++) {
        const grown_step expected = blocking_step(&n, larges[i]);
        budgets one = {1, 1, 0};
        float loss = 7;
        CHECK_STATUS(larges[i] == OVERFLOWS ? CGE_ERR_NOT_FINITE : CGE_OK, expected.status);
        grow(&n, larges[i]);
        if (!begin_train(&n, 1)) return;
        CHECK_STATUS(expected.status, finish(&n, &one, &loss, &pieces[i]));
        CHECK(hash_of(&n) == expected.learned && float_bits(loss) == float_bits(expected.loss));
        for (unchanged[i] = 1; unchanged[i] < pieces[i] && given_up(&n, larges[i], unchanged[i]); unchanged[i]++)
            CHECK(blocking_step(&n, NOT_TRIED).learned == ordinary.learned);
    }
    CHECK(unchanged[0] < pieces[0] && unchanged[1] > pieces[0] && unchanged[1] < pieces[1] && unchanged[2] == pieces[2]);
}

typedef struct grown_count {
    int32_t steps, refused;
} grown_count;

/* With large numbers: what the blocking call takes or refuses, of the units that are cut and of those that are not. */
static void test_grown(const test_model *m, const cge_memory_level *level, grown_count *count)
{
    static const int32_t larges[] = {20, 60, 90, 120};
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    for (int32_t i = 0; i < COUNT_OF(larges); i++) {
        const grown_step expected = blocking_step(&n, larges[i]);
        budgets one = {1, 1, 0};
        int32_t slices;
        float loss = 7;
        grow(&n, larges[i]);
        if (!begin_train(&n, 1)) return;
        CHECK_STATUS(expected.status, finish(&n, &one, &loss, &slices));
        CHECK(hash_of(&n) == expected.learned && float_bits(loss) == float_bits(expected.loss));
        count->steps++;
        count->refused += expected.status != CGE_OK;
    }
}

/* A loss that is no number is refused before anything is learned from it. */
static void test_infinite_loss(const test_model *m, const cge_memory_level *level)
{
    budgets one = {1, 1, 0};
    int32_t slices;
    uint64_t before;
    float loss = 7;
    sliced_net n;
    if (!make(&n, m, level, 1)) return;
    before = hash_of(&n);
    next_samples(&n, 0);
    n.values[0] = 3e38f;
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&n.net, n.x, &n.targets, 1, &loss));
    if (!begin_train(&n, 1)) return;
    CHECK_STATUS(CGE_ERR_NOT_FINITE, finish(&n, &one, &loss, &slices));
    CHECK(loss == 7 && hash_of(&n) == before && n.net.step_count == 0 && n.net.busy == 0);
}

/* A label is looked at before the loss, and again before its gradient; what changes it afterwards changes nothing. */
static void test_label_between(void)
{
    budgets one = {1, 1, 0};
    int32_t slices, pieces = 0, behind = 0;
    uint64_t expected, before;
    float loss = 7;
    sliced_net n;
    if (!make(&n, &sliced[0], &cge_memory_small_sliced, 1)) return;
    before = hash_of(&n);
    next_samples(&n, 0);
    CHECK_OK(cge_network_train_batch(&n.net, n.x, &n.targets, 1, &loss));
    expected = hash_of(&n);
    for (; behind < 3; pieces++) {
        cge_status status;
        int loss_is_known;
        CHECK_OK(cge_network_init_params(&n.net, SEED));
        n.labels[0] = 0;
        if (!begin_train(&n, 1)) return;
        for (int32_t i = 0; i < pieces; i++) CHECK_STATUS(CGE_AGAIN, cge_network_resume(&n.net, 1, &loss));
        loss_is_known = n.net.step.losses.loss_sum > 0;
        n.labels[0] = -1;
        status = finish(&n, &one, &loss, &slices);
        behind += loss_is_known;
        CHECK_STATUS(behind < 2 ? CGE_ERR_LABEL : CGE_OK, status);
        CHECK(hash_of(&n) == (behind < 2 ? before : expected));
    }
}

/* A label that somebody changes while the step is under way is not used. */
static void test_label(void)
{
    float loss = 7;
    int32_t slices;
    uint64_t before;
    budgets one = {1, 1, 0};
    sliced_net n;
    if (!make(&n, &sliced[0], &cge_memory_small_sliced, 1)) return;
    before = hash_of(&n);
    next_samples(&n, 0);
    if (!begin_train(&n, BATCH)) return;
    CHECK_STATUS(CGE_AGAIN, cge_network_resume(&n.net, 1, &loss));
    n.labels[1] = n.out_elems;
    CHECK_STATUS(CGE_ERR_LABEL, finish(&n, &one, &loss, &slices));
    CHECK(loss == 7 && hash_of(&n) == before && n.net.busy == 0);
    CHECK_OK(cge_network_evaluate_begin(&n.net, n.x, &n.targets, 1, NULL));
    n.labels[0] = -1;
    CHECK_STATUS(CGE_ERR_LABEL, finish(&n, &one, &loss, &slices));
}

static void test_refused(void)
{
    const cge_options without_plan = {1, 1, NULL, NULL, NULL};
    float loss = 7, y[MOST_OUTPUTS];
    int32_t correct = 7, slices;
    int64_t macs = 7;
    uint64_t hash = 7;
    size_t used = 7, bytes;
    budgets one = {1, 1, 0};
    cge_network fresh = {0};
    sliced_net n;
    if (!make(&n, &sliced[0], &cge_memory_small_sliced, 1)) return;
    next_samples(&n, 0);
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_resume(&n.net, 1, &loss)); /* nothing was begun */
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_abort(&n.net));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_begin(NULL, n.x, &n.targets, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_begin(&fresh, n.x, &n.targets, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_begin(&n.net, NULL, &n.targets, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_begin(&n.net, n.x, NULL, 1));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_begin(&n.net, misaligned(n.x), &n.targets, 1));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_begin(&n.net, n.x, &n.targets, 0));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_evaluate_begin(&n.net, n.x, NULL, 1, &correct));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_evaluate_begin(&n.net, n.x, &n.targets, -1, &correct));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward_begin(&n.net, n.x, 1, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_evaluate_begin(&fresh, n.x, &n.targets, 1, &correct));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward_begin(&fresh, n.x, 1, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_resume(&fresh, 1, &loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_abort(NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_largest_slice(&fresh, &macs));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_largest_slice(&n.net, NULL));
    n.labels[0] = n.out_elems;
    CHECK_REFUSED(CGE_ERR_LABEL, cge_network_train_begin(&n.net, n.x, &n.targets, 1));
    n.labels[0] = 0;
    n.net.optimizer.learning_rate = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_begin(&n.net, n.x, &n.targets, 1));
    n.net.optimizer.learning_rate = 0.05f;
    CHECK(n.net.busy == 0 && n.net.step.task == NULL);

    for (int32_t pieces = 0; pieces < 900; pieces += 299) { /* in the middle of a step, at its update too */
        cge_status status = CGE_AGAIN;
        if (!begin_train(&n, 1)) return;
        for (int32_t i = 0; i < pieces && status == CGE_AGAIN; i++) status = cge_network_resume(&n.net, 1, &loss);
        if (status != CGE_AGAIN) break;
        loss = 7;
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_train_begin(&n.net, n.x, &n.targets, 1));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_evaluate_begin(&n.net, n.x, &n.targets, 1, &correct));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_forward_begin(&n.net, n.x, 1, y));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_train_batch(&n.net, n.x, &n.targets, 1, &loss));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_train_epoch(&n.net, n.x, &n.targets, NULL, 1, 1, &loss));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_accumulate(&n.net, n.x, &n.targets, 1, &loss));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_update(&n.net));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_zero_grads(&n.net));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_forward(&n.net, n.x, 1, y));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_evaluate(&n.net, n.x, &n.targets, 1, &loss, &correct));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_init_params(&n.net, 1));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_params_hash(&n.net, &hash));
        CHECK_REFUSED(CGE_ERR_MODE, cge_network_set_params(&n.net, n.x)); /* a network that trains has its own */
        CHECK_OK(cge_network_saved_bytes(&n.net, &bytes));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_save(&n.net, n.arena, bytes, &used));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_resume(&n.net, 0, &loss));
        CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_resume(&n.net, 1, misaligned(&loss)));
        n.net.step.at_work = 1; /* an interrupt came into resume */
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_resume(&n.net, 1, &loss));
        CHECK_REFUSED(CGE_ERR_BUSY, cge_network_abort(&n.net));
        n.net.step.at_work = 0;
        CHECK(loss == 7 && correct == 7 && hash == 7 && used == 7 && n.net.busy == 1);
        if (cge_network_abort(&n.net) != CGE_OK) CHECK_OK(finish(&n, &one, &loss, &slices));
    }
    CHECK(strcmp(cge_status_text(CGE_AGAIN), cge_status_text((cge_status)-1)) != 0);

    if (!make(&n, &sliced[0], &cge_memory_smallest, 1)) return;
    next_samples(&n, 0);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_begin(&n.net, n.x, &n.targets, 2)); /* each sample is a step */
    if (!make(&n, &sliced[0], &cge_memory_small, 0)) return;
    next_samples(&n, 0);
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_begin(&n.net, n.x, &n.targets, 1)); /* it predicts */
    CHECK_OK(cge_network_arena_bytes(&sliced[0].model, &without_plan, &bytes));
    if (!check_room("without a plan", bytes)) return;
    n.arena = check_bytes(bytes);
    CHECK_OK(cge_network_init(&n.net, &sliced[0].model, &without_plan, n.arena, bytes));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_begin(&n.net, y, &n.targets, 1));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_evaluate_begin(&n.net, y, &n.targets, 1, NULL));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_forward_begin(&n.net, y, 1, y));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_largest_slice(&n.net, &macs));
}

/* A prediction in slices ends with the parameters that it began with, as one that is not interrupted does. */
static void test_set_params(void)
{
    float expected[MOST_OUTPUTS], y[MOST_OUTPUTS], params[360];
    int32_t slices;
    budgets one = {1, 1, 0};
    sliced_net n;
    if (!make(&n, &sliced[0], &cge_memory_small, 0)) return;
    next_samples(&n, 0);
    CHECK_OK(cge_network_forward(&n.net, n.x, 1, expected));
    if (!CHECK(n.net.param_elems < COUNT_OF(params))) return;
    memset(params, 0, sizeof params);
    memcpy(params, n.net.params, (size_t)n.net.param_elems * sizeof *params);
    n.options.params = params;
    CHECK_OK(cge_network_init(&n.net, &sliced[0].model, &n.options, n.arena, n.arena_bytes));
    CHECK_OK(cge_network_forward_begin(&n.net, n.x, 1, y));
    CHECK_STATUS(CGE_AGAIN, cge_network_resume(&n.net, 1, NULL));
    CHECK_OK(cge_network_set_params(&n.net, params + 1));
    CHECK_OK(finish(&n, &one, NULL, &slices));
    for (int32_t i = 0; i < n.out_elems; i++) CHECK_SAME(expected[i], y[i], i);
}

static const test_model *model_named(const char *name)
{
    int32_t i = 0;
    while (strcmp(sliced[i].name, name) != 0) i++;
    return &sliced[i];
}

void suite_slices(void)
{
    static const char *const grown[] = {
        "N, small, adam", "in part", "many inputs", "norms whose biases learn", "transposed, in part"};
    grown_count steps = {0, 0};
    for (int32_t l = 0; l < COUNT_OF(levels); l++) {
        for (int32_t i = 0; i < COUNT_OF(sliced); i++) {
            check_case(sliced[i].name);
            test_bits(&sliced[i], levels[l]);
            test_largest(&sliced[i], levels[l]);
        }
        for (int32_t i = 0; i < test_model_count; i++) {
            check_case(test_models[i].name);
            test_bits(&test_models[i], levels[l]);
        }
        check_case("abort");
        for (int32_t i = 0; i < 2; i++) test_abort(&sliced[i], levels[l]);
        check_case("not finite");
        test_not_finite(levels[l]);
        check_case("large numbers");
        if (levels[l]->at_once) test_trial(levels[l]);
        for (int32_t i = 0; i < COUNT_OF(grown); i++) test_grown(model_named(grown[i]), levels[l], &steps);
        test_infinite_loss(model_named("curves"), levels[l]);
    }
    CHECK(steps.steps == 0 || (steps.refused > 0 && steps.refused < steps.steps)); /* where there is room for none */
    for (int32_t l = 0; l < COUNT_OF(levels); l++)
        for (int32_t i = 0; i < COUNT_OF(sliced); i++)
            for (int32_t training = 0; training < 2; training++) {
                check_case(sliced[i].name);
                test_prediction(&sliced[i], levels[l], training);
            }
    test_cost_of_a_sum();
    test_wild_setting(0);
    test_wild_setting(1);
    check_case("labels");
    test_label();
    test_label_between();
    check_case("refused");
    test_refused();
    check_case("set_params");
    test_set_params();
}
