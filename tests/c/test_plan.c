/*
 * Networks with a plan: the bits of a network without one, in the plan's memory and not a byte more, whatever the arena held
 * before. Plans that are not what they should be are refused.
 */
#include "check.h"
#include "unit_models.h"
#include "suites.h"

#include "../../csrc/src/net/units.h"

#include <string.h>

enum { SEED = 77, SEED_X = 701, SEED_VALUES, STEPS = CHECK_FEWER ? 2 : 4, BATCH = 3, PAD = 16, STYLES = CHECK_FEWER ? 4 : 12 };

/* ---- more models: what units can consist of ---- */

static const cge_layer unequal_strides[] = { /* of a convolution whose gradient goes by winners */
    CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(4, 3, 3, 1, 2, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(3, 3, 2, 2, 1, 1, 1, 1, 0, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer large_windows[] = {CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), POOL(maxpool2d, 5, 4, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};

static const cge_layer activation_last[] = {CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 3, 2, 3, 0, 0, 0, 0), DENSE(3, 0, 0), PLAIN(tanh)};
static const cge_layer unmet_rows[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(4, 1, 1, 4, 3, 0, 0, 0, 0, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer frozen_middle[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), POOL(maxpool2d, 2, 2, 2, 2, 1, 1, 0, 0), DENSE(3, CGE_FROZEN, 0)};
static const cge_layer other_pools[] = { /* that keep no winners, each for another reason */
    CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), POOL(maxpool2d, 2, 2, 2, 1, 0, 0, 0, 0), CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), POOL(maxpool2d, 2, 2, 1, 2, 0, 0, 0, 0),
    CONV(3, 3, 3, 1, 1, 8, 1, 8, 1, 1, 0), POOL(maxpool2d, 17, 1, 0, 0, 0, 0, 0, 0), CONV(3, 3, 3, 1, 1, 1, 8, 1, 8, 1, 0), POOL(maxpool2d, 1, 17, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};

/* ---- first units that run by rows through all of them: each with and without a pooling, learning or not ---- */

static const cge_layer wide_and_narrow[] = {
    CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(2, 5, 3, 2, 1, 2, 1, 2, 1, 1, 0), PLAIN(tanh), POOL(maxpool2d, 3, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer narrow_rows[] = {
    CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), LEAKY(0.5f), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    DILATED(4, 2, 3, 1), PLAIN(sigmoid), DENSE(20, 0, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer no_pools[] = {CONV(5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(2, 2, 2, 2, 2, 0, 0, 0, 0, 1, CGE_NO_BIAS), DENSE(3, 0, 0)};
static const cge_layer frozen_three[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 2, CGE_FROZEN), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer frozen_two[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(4, 3, 3, 2, 1, 1, 1, 1, 1, 1, CGE_FROZEN),
    PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer frozen_behind[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 2, CGE_FROZEN),
    PLAIN(relu), POOL(maxpool2d, 2, 1, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};

static const cge_layer many_filters[] = {
    CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), POOL(maxpool2d, 1, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer depthwise[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 4, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer five_convolutions[] = {
    PLAIN(flatten), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0),
    CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), DENSE(3, 0, 0)};
static const cge_layer renamed_between[] = {
    CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(flatten), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), DENSE(3, 0, 0)};

static const cge_layer many_channels[] = { /* whose weights are more than their maps */
    CONV(7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(9, 3, 2, 2, 1, 1, 1, 1, 0, 1, 0), PLAIN(tanh), CONV(10, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), LEAKY(0.5f),
    DENSE(3, 0, 0)};

static const cge_layer renames_only[] = {PLAIN(flatten)};
static const test_model renaming = MODEL("a new name", 2, 2, 1, renames_only, &cge_mean_squared_error, 0.05f, 0, 0, 0);

enum { WIDE_AND_NARROW = 12, FIVE_CONVOLUTIONS = 21, MANY_CHANNELS = 22 }; /* their numbers here */
static const test_model planned[] = {
    MODEL("N", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("N, momentum, decay", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 1),
    MODEL("strides, groups", 13, 11, 2, strides, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("unequal strides", 9, 10, 1, unequal_strides, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("dilated", 9, 9, 2, dilated, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("overlapping windows", 7, 6, 2, overlapping, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("frozen front", 8, 8, 2, frozen_front, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("activation last", 8, 9, 2, activation_last, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("groups, no biases", 8, 8, 2, grouped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("rows that no window meets", 9, 8, 2, unmet_rows, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("frozen behind what learns", 8, 8, 1, frozen_middle, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("pools without winners", 8, 8, 1, other_pools, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("wide, narrow", 13, 8, 2, wide_and_narrow, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("rows far apart", 12, 9, 1, narrow_rows, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("no pools", 9, 8, 1, no_pools, &cge_mean_squared_error, 0.05f, 0.9f, 0.01f, 0),
    MODEL("two of three frozen", 8, 8, 1, frozen_three, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("two frozen", 9, 8, 1, frozen_two, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("the second frozen", 9, 8, 1, frozen_behind, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("many filters", 5, 6, 1, many_filters, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("flattened between", 6, 6, 1, renamed_between, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("depthwise", 6, 6, 1, depthwise, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("five convolutions", 3, 2, 1, five_convolutions, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("curves", 7, 6, 2, curves, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("moved", 7, 6, 2, moved, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("capped", 9, 8, 2, capped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("many channels", 3, 4, 2, many_channels, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 0),
    MODEL("windows of 20 taps", 11, 9, 2, large_windows, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    ADAPTIVE_MODEL("N, adam", 9, 8, 2, small_n, &cge_softmax_cross_entropy, adam, 0.01f, 0.9f, 0, 0.999f, 1e-8f),
    ADAPTIVE_MODEL("strides, groups, adamw", 13, 11, 2, strides, &cge_mean_squared_error, adamw, 0.01f, 0.5f, 0.01f, 0.9f, 1e-4f),
    ADAPTIVE_MODEL("overlapping windows, rmsprop", 7, 6, 2, overlapping, &cge_softmax_cross_entropy, rmsprop, 0.01f, 0.9f, 0.01f, 0.99f, 1e-8f),
    ADAPTIVE_MODEL("depthwise, adagrad", 9, 8, 2, depthwise, &cge_softmax_cross_entropy, adagrad, 0.05f, 0, 0, 0, 1e-10f),
    MODEL("norms", 9, 8, 2, normed, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("norms, frozen", 6, 5, 4, norms_frozen, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("norms whose biases learn", 6, 7, 1, norm_biases, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("transposed", 7, 6, 2, transposed, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("transposed, in part", 4, 3, 2, transposed_in_part, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("slopes", 8, 7, 2, sloped, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("N of one channel", 12, 8, 1, small_n, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    L1_MODEL("N, sgd, l1", 9, 8, 2, small_n, &cge_softmax_cross_entropy, sgd_l1, 0.05f, 0.9f, 0.01f, 0, 0, 0.25f),
    L1_MODEL("strides, groups, rmsprop, l1", 13, 11, 2, strides, &cge_mean_squared_error, rmsprop_l1, 0.01f, 0.5f, 0,
             0.9f, 1e-4f, 0.25f),
};

/* ---- a life in an arena ---- */

typedef struct place { /* a network and all that it needs */
    const cge_model *model;
    cge_network net;
    cge_plan plan;
    float *x, *values;
    int32_t *labels;
    size_t plan_bytes, arena_bytes, room;
    uint32_t style_seed; /* not 0: each unit has a style at random */
    unsigned char *memory, *arena;
} place;

static int32_t elems_of(cge_shape s)
{
    return s.h * s.w * s.c;
}

static int32_t outputs_of(const cge_model *m)
{
    cge_layer_info info;
    CHECK_OK(cge_model_layer_info(m, m->layer_count - 1, &info));
    return elems_of(info.out);
}

/* Random styles of those that a unit may have, where the planner chooses the smallest plan; then tensors and places. */
static void force_styles(place *p, const cge_memory_level *level, int32_t training)
{
    int16_t order[2 * 5 * 16];
    cge_plan *plan = &p->plan;
    cge_unit *units = (cge_unit *)(uintptr_t)plan->units;
    cge_tensor *tensors = (cge_tensor *)(uintptr_t)plan->tensors;
    const int32_t stem = (int32_t)(mix32(p->style_seed) % (CGE_MOST_STEM_UNITS + 1));
    if (!CHECK(plan->unit_count <= 16)) return;
    for (int32_t u = 0; u < plan->unit_count; u++) units[u].style = u < stem ? CGE_UNIT_STEM : 0;
    for (int32_t u = 0; u < plan->unit_count; u++) {
        const uint32_t possible = (uint32_t)cge_styles_of(p->model, level, training, &units[u]);
        const uint32_t some_bits = possible & mix32(p->style_seed * 64 + (uint32_t)u);
        const uint32_t some = (some_bits & CGE_UNIT_DX_FIRST) != 0 ? some_bits : some_bits & ~(uint32_t)CGE_UNIT_FEW_CHANNELS;
        const int in_stem = u < stem && cge_stem_is_possible(p->model, training, units, plan->unit_count);
        const uint32_t of_stem = CGE_UNIT_ROW_BY_ROW | (u == 0 ? CGE_UNIT_KEEPS_WINNERS : 0);
        units[u].style = (int16_t)(in_stem ? CGE_UNIT_STEM | (some & of_stem) : some & ~(uint32_t)CGE_UNIT_KEEPS_WINNERS);
    }
    plan->tensor_count = cge_find_uses(&(cge_style_choice){p->model, plan->layers, level, training, units, plan->unit_count, tensors, level->masks, NULL});
    plan->peak_elems =
        cge_place_tensors(tensors, plan->tensor_count, cge_operations(plan->unit_count), order, &plan->bound_elems);
}

/* The plan, if there is a level, and the arena's size. Nothing of it needs memory but the plan's own. */
static int make_plan(place *p, const cge_memory_level *level, int32_t training, cge_options *options)
{
    memset(options, 0, sizeof *options);
    options->training = training;
    if (level == NULL) return CHECK_OK(cge_network_arena_bytes(p->model, options, &p->arena_bytes));
    options->plan = &p->plan;
    if (level == &cge_memory_batch) options->capacity = BATCH;
    if (!CHECK_OK(cge_plan_make(p->model, level, training, p->memory, p->plan_bytes, &p->plan))) return 0;
    if (p->style_seed != 0) force_styles(p, level, training);
    return CHECK_OK(cge_network_arena_bytes(p->model, options, &p->arena_bytes));
}

static int start(place *p, const cge_memory_level *level, int32_t training)
{
    cge_options options;
    if (!make_plan(p, level, training, &options) || !CHECK(p->arena_bytes <= p->room)) return 0;
    memset(p->arena, 0xff, p->arena_bytes + PAD); /* NaN everywhere */
    if (!CHECK_OK(cge_network_init(&p->net, p->model, &options, p->arena, p->arena_bytes))) return 0;
    if (!CHECK_OK(cge_network_init_params(&p->net, SEED))) return 0;
    memset(p->net.activations, 0xff, (size_t)(p->arena + p->arena_bytes - (unsigned char *)p->net.activations));
    if (p->net.grads != NULL) memset(p->net.grads, 0xff, (size_t)p->net.grad_elems * sizeof *p->net.grads);
    return 1;
}

static int pad_is_whole(const place *p)
{
    int whole = 1;
    for (int32_t i = 0; i < PAD; i++) whole &= p->arena[p->arena_bytes + (size_t)i] == 0xff;
    return whole;
}

static void take_samples(place *p, int32_t step, int32_t count)
{
    const int32_t in = elems_of(p->model->input), out = outputs_of(p->model);
    for (int32_t i = 0; i < count * in; i++) p->x[i] = operand(SEED_X + 10 * (uint32_t)step, i);
    for (int32_t i = 0; i < count * out; i++) p->values[i] = operand(SEED_VALUES + 10 * (uint32_t)step, i);
    for (int32_t i = 0; i < count; i++) p->labels[i] = (step + i * 2) % out;
}

static uint64_t hash_of(const place *p)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(&p->net, &hash));
    return hash;
}

/* The weights after some steps of `batch` samples; *losses is a hash of the losses. */
static uint64_t live(place *p, const cge_memory_level *level, int32_t batch, uint64_t *losses)
{
    const cge_targets targets = {p->labels, p->values};
    float loss = 0;
    *losses = 0;
    if (!start(p, level, 1)) return 0;
    for (int32_t step = 0; step < STEPS; step++) {
        take_samples(p, step, batch);
        CHECK_OK(cge_network_train_batch(&p->net, p->x, &targets, batch, &loss));
        *losses = *losses * 0x9e3779b97f4a7c15u + float_bits(loss);
    }
    CHECK(p->net.step_count == STEPS);
    CHECK(pad_is_whole(p));
    return hash_of(p);
}

/* The arena's bytes, of the largest of some levels, each with its own styles or with those of seeds 1 .. `seeds`. */
static size_t largest_arena(place *p, const cge_memory_level *const *levels, int32_t count, uint32_t seeds)
{
    size_t largest = 0;
    for (p->style_seed = 0; p->style_seed <= seeds; p->style_seed++)
        for (int32_t i = 0; i < count; i++) {
            cge_options options;
            if (!make_plan(p, levels[i], 1, &options)) return 0;
            if (p->arena_bytes > largest) largest = p->arena_bytes;
        }
    p->style_seed = 0;
    return largest;
}

/* Everything that a case needs. */
static int prepare_levels(place *p, const test_model *m, size_t more_bytes, const cge_memory_level *const *levels,
                          int32_t count, uint32_t seeds)
{
    const size_t in = (size_t)elems_of(m->model.input), out = (size_t)outputs_of(&m->model);
    size_t largest;
    memset(p, 0, sizeof *p);
    p->model = &m->model;
    if (!CHECK_OK(cge_plan_bytes(p->model, &p->plan_bytes)) || !check_room(m->name, p->plan_bytes)) return 0;
    p->memory = check_bytes(p->plan_bytes);
    largest = largest_arena(p, levels, count, seeds);
    if (largest == 0) return 0;
    if (!check_room(m->name, p->plan_bytes + largest + PAD + 4 * BATCH * (in + out + 1) + more_bytes)) return 0;
    p->memory = check_bytes(p->plan_bytes);
    p->arena = check_bytes(largest + PAD);
    p->room = largest;
    p->x = check_floats(BATCH * (int32_t)in);
    p->values = check_floats(BATCH * (int32_t)out);
    p->labels = check_ints(BATCH);
    return 1;
}

static int prepare(place *p, const test_model *m, size_t more_bytes)
{
    static const cge_memory_level *const levels[] = {NULL, &cge_memory_small, &cge_memory_smallest};
    return prepare_levels(p, m, more_bytes, levels, COUNT_OF(levels), 0);
}

static int prepare_for_batches(place *p, const test_model *m, uint32_t seeds)
{
    static const cge_memory_level *const levels[] = {NULL, &cge_memory_batch};
    return prepare_levels(p, m, 0, levels, COUNT_OF(levels), seeds);
}

/* ---- cases ---- */

static void test_bits(const test_model *m)
{
    place p;
    uint64_t losses, planned_losses, weights;
    if (!prepare(&p, m, 0)) return;
    weights = live(&p, NULL, 1, &losses);
    CHECK(live(&p, &cge_memory_small, 1, &planned_losses) == weights && planned_losses == losses);
    CHECK(live(&p, &cge_memory_smallest, 1, &planned_losses) == weights && planned_losses == losses);
    CHECK(live(&p, &cge_memory_smallest_tight, 1, &planned_losses) == weights && planned_losses == losses);
    weights = live(&p, NULL, BATCH, &losses);
    CHECK(live(&p, &cge_memory_small, BATCH, &planned_losses) == weights && planned_losses == losses);
}

/* Computers take bands of more rows than a plan has room for (conv2d_unit.c): 32 and 3 of these 35. A level
 * that has no stem. */
static const cge_layer many_rows[] = {
    CONV(16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(2, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0), DENSE(3, 0, 0)};
static const test_model with_many_rows =
    MODEL("more rows than a band", 35, 8, 1, many_rows, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0);

static void test_more_rows_than_a_band(void)
{
    place p;
    uint64_t losses, planned_losses, weights;
    if (!prepare(&p, &with_many_rows, 0)) return;
    weights = live(&p, NULL, 1, &losses);
    CHECK(live(&p, &cge_memory_small_sliced, 1, &planned_losses) == weights && planned_losses == losses);
}

/* All styles give the same bits, together with all others. */
static void test_styles(const test_model *m, uint32_t plans)
{
    place p;
    uint64_t losses, planned_losses, weights;
    if (!prepare(&p, m, 0)) return;
    weights = live(&p, NULL, 1, &losses);
    for (p.style_seed = 1; p.style_seed <= plans; p.style_seed++) {
        CHECK(live(&p, &cge_memory_small, 1, &planned_losses) == weights && planned_losses == losses);
        CHECK(live(&p, &cge_memory_smallest, 1, &planned_losses) == weights && planned_losses == losses);
        CHECK(live(&p, &cge_memory_smallest_tight, 1, &planned_losses) == weights && planned_losses == losses);
    }
}

/* Several samples in a pass: the bits of one after the other. */
static void test_batches(const test_model *m, uint32_t plans)
{
    place p;
    cge_options options;
    uint64_t losses, planned_losses, weights;
    if (!prepare_for_batches(&p, m, plans)) return;
    weights = live(&p, NULL, BATCH, &losses);
    for (p.style_seed = 0; p.style_seed <= plans; p.style_seed++)
        CHECK(live(&p, &cge_memory_batch, BATCH, &planned_losses) == weights && planned_losses == losses);
    p.style_seed = 0;
    if (!make_plan(&p, &cge_memory_batch, 1, &options)) return;
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes - 1));
    weights = live(&p, NULL, 1, &losses); /* and a pass of one */
    CHECK(live(&p, &cge_memory_batch, 1, &planned_losses) == weights && planned_losses == losses);
}

/* Each style is the smallest of some network of these, or nobody would look at it above. */
static void test_chosen_styles(void)
{
    const cge_memory_level *const levels[] = {&cge_memory_small, &cge_memory_smallest, &cge_memory_smallest_tight};
    int32_t chosen = 0;
    check_case("chosen styles");
    for (int32_t i = 0; i < COUNT_OF(planned); i++)
        for (int32_t level = 0; level < COUNT_OF(levels); level++) {
            place p;
            cge_options options;
            if (!prepare(&p, &planned[i], 0) || !make_plan(&p, levels[level], 1, &options)) return;
            for (int32_t u = 0; u < p.plan.unit_count; u++) chosen |= p.plan.units[u].style;
        }
    chosen &= ~(CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON | CGE_UNIT_BLOCK | CGE_UNIT_ALL_HALVINGS); /* test_relay.c */
    if (CGE_FUSED) chosen |= CGE_UNIT_KEEPS_WINNERS; /* there backward needs the room of the map in any case */
    CHECK(chosen == (CGE_UNIT_ROW_BY_ROW | CGE_UNIT_DX_FIRST | CGE_UNIT_FEW_INPUTS | CGE_UNIT_STEM | CGE_UNIT_FEW_CHANNELS |
                     CGE_UNIT_KEEPS_WINNERS));
}

/* A style that was changed in a plan whose tensors are another's. */
static void test_foreign_styles(const test_model *m, const cge_memory_level *level, int32_t training)
{
    place p;
    cge_options options;
    cge_unit *units;
    if (!prepare(&p, m, 0) || !make_plan(&p, level, training, &options)) return;
    units = (cge_unit *)(uintptr_t)p.plan.units;
    for (int32_t u = 0; u < p.plan.unit_count; u++)
        for (int32_t bit = 1; bit <= 0x4000; bit <<= 1) {
            const int pooled_in_stem = (units[u].style & CGE_UNIT_STEM) != 0 && units[u].pool >= 0;
            if (pooled_in_stem && bit == CGE_UNIT_ROW_BY_ROW) continue; /* the stem's scratch may be as large for another unit */
            units[u].style = (int16_t)(units[u].style ^ bit);
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
            units[u].style = (int16_t)(units[u].style ^ bit);
        }
    CHECK_OK(cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
}

static void test_stem_that_is_too_long(void)
{
    place p;
    cge_options options;
    cge_unit *units;
    if (!prepare(&p, &planned[FIVE_CONVOLUTIONS], 0) || !make_plan(&p, &cge_memory_small, 0, &options)) return;
    units = (cge_unit *)(uintptr_t)p.plan.units;
    if (!CHECK(p.plan.unit_count > CGE_MOST_STEM_UNITS)) return;
    for (int32_t u = 0; u <= CGE_MOST_STEM_UNITS; u++) units[u].style = CGE_UNIT_STEM;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
}

/* A NaN among the samples: in a window it wins, wherever it is. */
static void put_nan(place *p, int32_t at)
{
    if (at >= 0 && at < elems_of(p->model->input)) p->x[at] = float_from_bits(0x7fc00000u);
}

static void test_prediction(const test_model *m, int32_t nan_at, uint32_t style_seed)
{
    place p;
    float *y, expected[64];
    const int32_t out = outputs_of(&m->model);
    if (!prepare(&p, m, 0) || !CHECK(out <= COUNT_OF(expected))) return;
    p.style_seed = style_seed;
    y = p.values;
    take_samples(&p, 0, 1);
    put_nan(&p, nan_at);
    if (!start(&p, NULL, 0) || !CHECK_OK(cge_network_forward(&p.net, p.x, 1, expected))) return;
    if (!start(&p, &cge_memory_small, 0) || !CHECK_OK(cge_network_forward(&p.net, p.x, 1, y))) return;
    for (int32_t i = 0; i < out; i++) CHECK_SAME(expected[i], y[i], i);
    CHECK(pad_is_whole(&p));
}

static int living_tensors_are_apart(const cge_plan *plan)
{
    for (int32_t i = 0; i < plan->tensor_count; i++)
        for (int32_t j = 0; j < i; j++) {
            const cge_tensor *a = &plan->tensors[i], *b = &plan->tensors[j];
            if (a->first <= b->last && b->first <= a->last && a->offset < b->offset + b->elems && b->offset < a->offset + a->elems) return 0;
        }
    return 1;
}

static void test_plan(const test_model *m, const cge_memory_level *level)
{
    place p;
    cge_options options;
    if (!prepare(&p, m, 0) || !make_plan(&p, level, 1, &options)) return;
    CHECK(living_tensors_are_apart(&p.plan));
    CHECK(p.plan.peak_elems >= p.plan.bound_elems);
    CHECK(p.plan.peak_elems <= p.plan.bound_elems + p.plan.bound_elems / 20);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes - 1));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_plan_make(p.model, level, 1, p.memory, p.plan_bytes - 1, &p.plan));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_plan_make(p.model, level, 1, p.memory + 4, p.plan_bytes, &p.plan));
}

/* A plan that was changed behind the library's back. */
static void test_foreign_plans(void)
{
    place p;
    cge_options options;
    cge_tensor *t;
    cge_unit *u;
    cge_tensor kept;
    if (!prepare(&p, &planned[0], 0) || !make_plan(&p, &cge_memory_small, 1, &options)) return;
    t = (cge_tensor *)(uintptr_t)p.plan.tensors;
    u = (cge_unit *)(uintptr_t)p.plan.units;
    for (int32_t i = 0; i < p.plan.tensor_count; i++) {
        kept = t[i];
        t[i].elems--;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        t[i] = kept;
        t[i].offset = p.plan.peak_elems - t[i].elems + 1;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        t[i] = kept;
        t[i].offset = -1;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        t[i] = kept;
        t[i].first++;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        t[i] = kept;
        t[i].last--;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        t[i] = kept;
    }
    t[1].offset = t[0].offset;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
    CHECK(make_plan(&p, &cge_memory_small, 1, &options));
    for (int32_t i = 0; i < 6; i++) { /* numbers of layers, which may be none of the model's */
        int16_t *const member[] = {&u->begin, &u->end, &u->main, &u->activation, &u->pool, &u->pool_first};
        const int16_t right = *member[i];
        *member[i] = INT16_MAX;
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
        *member[i] = right;
    }
    u->pool_first ^= 1;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
    u->pool_first ^= 1;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, &planned[2].model, &options, p.arena, p.arena_bytes));
    options.capacity = 2;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
    options.capacity = 1;
    options.training = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
}

static const cge_layer no_outputs[] = {DENSE(3, 0, 0), DENSE(0, 0, 0)};

static void test_members_of_a_plan(void)
{
    place p;
    cge_options options;
    cge_plan kept;
    if (!prepare(&p, &planned[0], 0) || !make_plan(&p, &cge_memory_small, 1, &options)) return;
    kept = p.plan;
#define REFUSED(status, member, value)                                                                              \
    do {                                                                                                            \
        p.plan.member = (value);                                                                                    \
        CHECK_REFUSED(status, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));                 \
        p.plan = kept;                                                                                              \
    } while (0)
    REFUSED(CGE_ERR_ARGUMENT, level, NULL);
    REFUSED(CGE_ERR_NULL, layers, NULL);
    REFUSED(CGE_ERR_NULL, units, NULL);
    REFUSED(CGE_ERR_NULL, tensors, NULL);
    REFUSED(CGE_ERR_MISMATCH, unit_count, kept.unit_count - 1);
    REFUSED(CGE_ERR_MISMATCH, tensor_count, kept.tensor_count - 1);
    REFUSED(CGE_ERR_MISMATCH, peak_elems, -1);
    REFUSED(CGE_ERR_MISMATCH, peak_elems, CGE_MAX_ELEMS + 1);
    REFUSED(CGE_ERR_MISMATCH, level, &cge_memory_smallest);
#undef REFUSED
    {
        cge_model other = *p.model;
        other.layers = no_outputs;
        other.layer_count = COUNT_OF(no_outputs);
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_network_init(&p.net, &other, &options, p.arena, p.arena_bytes));
    }
    ((cge_layer_plan *)(uintptr_t)p.plan.layers)[1].params++;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&p.net, p.model, &options, p.arena, p.arena_bytes));
}

static const cge_layer large_pools[] = {POOL(avgpool2d, 1, 1, 0, 0, 0, 0, 0, 0), POOL(avgpool2d, 1, 1, 0, 0, 0, 0, 0, 0)};

static const cge_layer many_weights[] = {DENSE(16383, 0, 0), DENSE(16383, 0, 0)};

static void test_what_cannot_be_planned(void)
{
    cge_model model = planned[0].model;
    uint64_t *memory;
    cge_plan plan;
    size_t bytes = 0;
    if (!check_room("what cannot be planned", 1600)) return;
    memory = check_bytes(1600);
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_bytes(NULL, &bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_bytes(&model, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_make(NULL, &cge_memory_small, 1, memory, 1600, &plan));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_make(&model, NULL, 1, memory, 1600, &plan));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_make(&model, &cge_memory_small, 1, NULL, 1600, &plan));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_make(&model, &cge_memory_small, 1, memory, 1600, NULL));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_plan_make(&model, &cge_memory_small, 2, memory, 1600, &plan));
    model.loss = NULL;
    CHECK_REFUSED(CGE_ERR_MODE, cge_plan_make(&model, &cge_memory_small, 1, memory, 1600, &plan));
    model.layer_count = INT16_MAX;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_plan_bytes(&model, &bytes));
    model.layers = no_outputs;
    model.layer_count = COUNT_OF(no_outputs);
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_plan_bytes(&model, &bytes));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_plan_make(&model, &cge_memory_small, 0, memory, 1600, &plan));
    model.input = (cge_shape){16383, 16383, 1};
    model.layers = large_pools;
    model.layer_count = COUNT_OF(large_pools);
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_plan_make(&model, &cge_memory_small, 0, memory, 1600, &plan));
    model.input = (cge_shape){2, 2, 1};
    model.layers = renames_only;
    model.layer_count = COUNT_OF(renames_only);
    CHECK_OK(cge_plan_make(&model, &cge_memory_small, 0, memory, 1600, &plan));
    CHECK(plan.unit_count == 1 && plan.tensor_count == 0 && plan.peak_elems == 0);
    model.loss = &cge_mean_squared_error;
    CHECK_OK(cge_plan_make(&model, &cge_memory_smallest, 1, memory, 1600, &plan));
    CHECK(plan.unit_count == 1 && plan.peak_elems == 0);
    model.input = (cge_shape){1, 1, 16383};
    model.layers = many_weights;
    model.layer_count = COUNT_OF(many_weights);
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_plan_make(&model, &cge_memory_small, 0, memory, 1600, &plan));
}

/* A network of layers that only rename gives its input. */
static void test_names_only(void)
{
    static const cge_layer names_only[] = {PLAIN(flatten), PLAIN(flatten)};
    static const cge_model model = {{2, 2, 1}, TABLE(names_only), NULL, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    uint64_t *memory;
    cge_plan plan;
    cge_network net;
    cge_options options = {0, 0, NULL, NULL, &plan};
    float *x, y[4];
    if (!check_room("layers that only rename", 600)) return;
    memory = check_bytes(400);
    x = check_operands(4, SEED_X);
    CHECK_OK(cge_plan_make(&model, &cge_memory_small, 0, memory, 400, &plan));
    CHECK_OK(cge_network_init(&net, &model, &options, check_bytes(8), 8));
    CHECK_OK(cge_network_forward(&net, x, 1, y));
    CHECK(memcmp(x, y, sizeof y) == 0);
}

/* A step that would leave an infinity changes nothing. */
static void check_step_refused(place *p)
{
    const cge_targets targets = {p->labels, p->values};
    const uint64_t before = hash_of(p);
    float loss = 0;
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&p->net, p->x, &targets, 1, &loss));
    CHECK(p->net.step_count == 0 && p->net.pending == 0 && hash_of(p) == before);
}

static void test_wild_steps(const cge_memory_level *level, float rate, float scale)
{
    test_model wild = planned[0];
    place p;
    wild.model.optimizer.learning_rate = rate;
    if (!prepare(&p, &wild, 0) || !start(&p, level, 1)) return;
    take_samples(&p, 0, 1);
    for (int32_t i = 0; i < elems_of(wild.model.input); i++) p.x[i] *= scale;
    check_step_refused(&p);
}

/* An l1 beyond what bounds hold for is no reason to refuse a step. */
static void test_large_l1(const cge_memory_level *level, float l1, cge_status expected)
{
    test_model wild = planned[0];
    place p;
    wild.model.optimizer.kind = &cge_sgd_l1;
    wild.model.optimizer.l1 = l1;
    wild.model.optimizer.learning_rate = 2;
    if (!prepare(&p, &wild, 0) || !start(&p, level, 1)) return;
    take_samples(&p, 0, 1);
    if (expected != CGE_OK) {
        check_step_refused(&p);
        return;
    }
    const cge_targets targets = {p.labels, p.values};
    float loss = 0;
    CHECK_OK(cge_network_train_batch(&p.net, p.x, &targets, 1, &loss));
}

/* A loss, and a bias of the last layer, that are too large for a squared error. */
static void test_wild_targets(const cge_memory_level *level, float rate, float target)
{
    test_model wild = planned[2];
    place p;
    wild.model.optimizer.learning_rate = rate;
    if (!prepare(&p, &wild, 0) || !start(&p, level, 1)) return;
    for (int32_t i = 0; i < elems_of(wild.model.input); i++) p.x[i] = 0;
    for (int32_t i = 0; i < outputs_of(&wild.model); i++) p.values[i] = target;
    check_step_refused(&p);
}

/* A single large number, for which the bound of a step is too large or just not. Where nothing overflows, the step is taken. */
enum {
    OF_INPUT, OF_WEIGHTS, OF_VELOCITY, OF_HIDDEN_ROWS, OF_TARGETS, OF_TARGETS_BEHIND_A_STEEP_SLOPE,
    OF_TARGETS_BEHIND_SMALL_WEIGHTS
};

static const cge_layer steep_layers[] = {CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), LEAKY(1e10f), DENSE(3, 0, 0)};
static const test_model steep = MODEL("steep slope", 6, 6, 1, steep_layers, &cge_mean_squared_error, 0.05f, 0, 0, 0);

/* Parameters and what the optimiser keeps of them. */
static uint64_t state_of(const place *p)
{
    uint64_t hash = hash_of(p);
    for (int32_t i = 0; i < p->net.velocity_elems; i++) hash = hash * 0x9e3779b97f4a7c15u + float_bits(p->net.velocity[i]);
    return hash;
}

/* A step of one sample. A refused one has changed nothing. */
static cge_status step_to(place *p, uint64_t *state)
{
    const cge_targets targets = {p->labels, p->values, NULL};
    const uint64_t before = state_of(p);
    float loss = 0;
    const cge_status status = cge_network_train_batch(&p->net, p->x, &targets, 1, &loss);
    *state = state_of(p);
    CHECK(status == CGE_OK || (status == CGE_ERR_NOT_FINITE && *state == before));
    CHECK(p->net.step_count == (status == CGE_OK) && p->net.pending == 0);
    return status;
}

static cge_status step_with(place *p, const cge_memory_level *level, int32_t where, float value, uint64_t *state)
{
    if (!start(p, level, 1)) return CGE_ERR_ARENA;
    take_samples(p, 0, 1);
    if (where == OF_INPUT) p->x[0] = value;
    if (where == OF_WEIGHTS) p->net.params[p->net.param_elems - 1] = value;
    if (where == OF_VELOCITY) p->net.velocity[0] = value;
    if (where == OF_HIDDEN_ROWS) { /* of a stem, which do not exist when the bound is made */
        CHECK(!level->at_once || (p->plan.units[1].style & CGE_UNIT_STEM) != 0);
        p->x[0] = value;
        for (int32_t i = 0; i < 3 * 3 * 2 * 6; i++) p->net.params[i] = value;
    }
    if (where == OF_TARGETS_BEHIND_SMALL_WEIGHTS)
        for (int32_t i = 0; i < p->net.param_elems; i++) p->net.params[i] *= 1e-6f;
    if (where >= OF_TARGETS) {
        for (int32_t i = 0; i < elems_of(p->model->input); i++) p->x[i] = 0; /* gradients of biases alone are large */
        p->values[0] = value;
    }
    return step_to(p, state);
}

static void test_bounds(int32_t where, float value)
{
    static const test_model *const models[] = {&planned[2], &planned[0], &planned[1], &planned[WIDE_AND_NARROW],
                                               &planned[2], &steep, &planned[2]};
    uint64_t expected = 0, state = 0;
    place p;
    if (!prepare(&p, models[where], 0)) return;
    CHECK_OK(step_with(&p, &cge_memory_small, where, value, &expected));
    CHECK_OK(step_with(&p, &cge_memory_smallest, where, value, &state));
    CHECK(state == expected);
}

static void scale_by(float *x, int32_t count, int32_t exponent)
{
    const float scale = float_from_bits((uint32_t)(127 + exponent) << 23);
    for (int32_t i = 0; i < count; i++) x[i] *= scale;
}

static int32_t weights_of(const cge_model *m, int32_t layer)
{
    cge_layer_info info;
    CHECK_OK(cge_model_layer_info(m, layer, &info));
    return info.weight_elems;
}

static void scale_weights(place *p, int32_t layer, int32_t exponent)
{
    cge_layer_params of;
    CHECK_OK(cge_network_layer_params(&p->net, layer, &of));
    scale_by(of.w, weights_of(p->model, layer), exponent);
}

typedef struct growth { /* powers of two */
    int8_t input, second, last;
} growth;

/* The input and the second weights grow as the first weights shrink, so that the same comes out, but for biases. The last
 * weights grow, too. Then so do the gradients before them, and those of the first weights by all three. */
static cge_status grown_step(place *p, const cge_memory_level *level, growth by, uint64_t *state)
{
    int32_t first = 0, second, last = p->model->layer_count - 1;
    if (!start(p, level, 1)) return CGE_ERR_ARENA;
    take_samples(p, 0, 1);
    scale_by(p->x, elems_of(p->model->input), by.input);
    while (weights_of(p->model, first) == 0) first++;
    while (weights_of(p->model, last) == 0) last--;
    for (second = first + 1; second < last && weights_of(p->model, second) == 0;) second++;
    scale_weights(p, first, -by.input);
    scale_weights(p, last, by.last);
    if (second < last) {
        scale_weights(p, first, -by.second);
        scale_weights(p, second, by.second);
    }
    return step_to(p, state);
}

/* Taken or refused, the smallest level does what a batch of one does. 0: there is no room for the network. */
static int test_grown_steps(const test_model *m, int32_t *taken, int32_t *refused)
{
    static const cge_memory_level *const levels[] = {NULL, &cge_memory_small, &cge_memory_smallest, &cge_memory_smallest_tight,
                                                     &cge_memory_smallest_sliced};
    static const growth growths[] = {{0, 0, 0}, {20, 0, 20}, {50, 0, 20}, {62, 0, 0}, {62, 0, 30},
                                     {62, 0, 55}, {62, 0, 70}, {100, 0, 0}, {50, 40, 60}, {20, 60, 60}};
    place p;
    if (!prepare_levels(&p, m, 0, levels, COUNT_OF(levels), 0)) return 0;
    for (int32_t i = 0; i < COUNT_OF(growths); i += CHECK_FEWER ? 3 : 1) {
        uint64_t expected = 0, state = 0;
        const cge_status status = grown_step(&p, &cge_memory_small, growths[i], &expected);
        *taken += status == CGE_OK;
        *refused += status != CGE_OK;
        for (int32_t level = 2; level < COUNT_OF(levels); level++) {
            CHECK_STATUS(status, grown_step(&p, levels[level], growths[i], &state));
            CHECK(state == expected);
        }
    }
    return 1;
}

static void test_all_grown_steps(void)
{
    int32_t networks = 0, taken = 0, refused = 0;
    for (int32_t i = 0; i < COUNT_OF(planned); i++) networks += test_grown_steps(&planned[i], &taken, &refused);
    CHECK(taken > networks && refused > networks / 2);
}

/* A network of the smallest level is saved and restored like any other. */
static void test_restore(void)
{
    enum { FILE_BYTES = 3600 };
    unsigned char *file;
    place p;
    float loss = 0;
    size_t used = 0;
    uint64_t hash;
    cge_targets targets;
    if (!prepare(&p, &planned[1], FILE_BYTES) || !start(&p, &cge_memory_smallest, 1)) return;
    file = check_bytes(FILE_BYTES);
    targets.labels = p.labels;
    targets.values = p.values;
    targets.weights = NULL;
    take_samples(&p, 0, 1);
    CHECK_OK(cge_network_train_batch(&p.net, p.x, &targets, 1, &loss));
    if (!CHECK_OK(cge_network_save(&p.net, file, FILE_BYTES, &used))) return;
    hash = hash_of(&p);
    CHECK_OK(cge_network_train_batch(&p.net, p.x, &targets, 1, &loss));
    CHECK(hash_of(&p) != hash);
    CHECK_OK(cge_network_restore(&p.net, file, used));
    CHECK(hash_of(&p) == hash && p.net.step_count == 1);
}

/* ---- placing ---- */

enum { TENSORS = 24, PLANS = 300, OPERATIONS = 23 };

static cge_tensor random_tensor(uint32_t seed)
{
    cge_tensor t = {0, 1 + (int32_t)(seed % 1000), (int16_t)(seed >> 10 & 15), 0};
    t.last = (int16_t)(t.first + (int32_t)(seed >> 14 & 7));
    return t;
}

static int32_t elems_alive_during(const cge_tensor *t, int32_t count, int32_t operation)
{
    int32_t elems = 0;
    for (int32_t i = 0; i < count; i++)
        if (t[i].first <= operation && operation <= t[i].last) elems += t[i].elems;
    return elems;
}

/* What is alive during each operation, of random tensors. And of so large ones that sums would overflow: where they begin, end,
 * or meet. */
static void test_alive(void)
{
    static const int16_t lives[3][2] = {{0, 1}, {1, 0}, {1, 1}};
    cge_tensor t[TENSORS];
    check_case("elements that are alive");
    for (uint32_t plan = 0; plan < PLANS; plan++) {
        const int32_t count = (int32_t)(mix32(plan) % (TENSORS + 1));
        int32_t most = 0, found;
        for (int32_t i = 0; i < count; i++) t[i] = random_tensor(mix32(plan * 64 + (uint32_t)i));
        found = cge_count_alive(t, count, OPERATIONS);
        for (int32_t o = 0; o < OPERATIONS && count > 0; o++) {
            const int32_t elems = elems_alive_during(t, count, o);
            CHECK(t[o].offset == elems);
            most = elems > most ? elems : most;
        }
        CHECK(found == most);
    }
    for (int32_t way = 0; way < 3; way++)
        for (int32_t count = 1; count <= 8; count++) {
            for (int16_t i = 0; i < count; i++) {
                t[i].elems = CGE_MAX_ELEMS;
                t[i].first = (int16_t)(lives[way][1] * i);
                t[i].last = (int16_t)(8 + lives[way][0] * i);
            }
            CHECK(cge_count_alive(t, count, OPERATIONS) == (count == 1 ? CGE_MAX_ELEMS : CGE_MAX_ELEMS + 1));
            CHECK(t[0].offset == (count == 1 ? CGE_MAX_ELEMS : CGE_MAX_ELEMS + 1));
            CHECK(t[OPERATIONS - 1].offset == (count == 1 ? 0 : CGE_MAX_ELEMS + 1));
        }
}

/* Tensors of random sizes and lives. In all, what is lost against the bound is at most a twentieth of it. */
static void test_placing(void)
{
    cge_tensor t[TENSORS];
    int16_t order[2 * TENSORS];
    int64_t ends = 0, bounds = 0;
    check_case("random tensors");
    for (uint32_t plan = 0; plan < PLANS; plan++) {
        const int32_t count = 2 + (int32_t)(mix32(plan) % (TENSORS - 1));
        const cge_plan placed = {NULL, NULL, NULL, t, 0, count, 0, 0, 0, NULL, 0};
        int32_t bound = 0, end;
        for (int32_t i = 0; i < count; i++) t[i] = random_tensor(mix32(plan * 64 + (uint32_t)i));
        end = cge_place_tensors(t, count, OPERATIONS, order, &bound);
        ends += end;
        bounds += bound;
        CHECK(end >= bound && living_tensors_are_apart(&placed));
        for (int32_t i = 0; i < count; i++) CHECK(t[i].offset >= 0 && t[i].offset + t[i].elems <= end);
    }
    CHECK(ends <= bounds + bounds / 20);
}

/* ---- the rows of a pooled map's gradient, as fused builds take them ---- */

static void test_rows_of_a_map(void)
{
    const cge_pool2d g = {7, 9, 3, 2, 4, 0, 0, 0, 0, 0, 0, 0};
    const cge_windows v = {2, 4, 3, 2, 3, 9, 0}; /* 3x2 windows of 2x4 taps */
    float *x, *y, *dy, *dx, *row;
    unsigned char *winners;
    if (!check_room("rows of a map", 4 * (7 * 9 * 3 * 2 + 2 * 18 + 27) + 64)) return;
    x = check_operands(7 * 9 * 3, SEED_X);
    y = check_floats(18);
    dy = check_operands(18, SEED_VALUES);
    dx = check_floats(7 * 9 * 3);
    row = check_floats(27);
    winners = check_bytes((size_t)cge_winners_bytes(&v));
    for (int32_t h = 0; h < 6; h++) cge_maxpool2d_take_row(&v, x + h * 27, h, y + h / 2 * 6, winners);
    CHECK_OK(cge_maxpool2d_input_grad_f32(&g, x, dy, dx));
    for (int32_t h = 0; h < 7; h++) {
        cge_maxpool2d_row_grad(&v, dy, winners, h, row);
        for (int32_t i = 0; i < 27; i++) CHECK(row[i] <= dx[h * 27 + i] && row[i] >= dx[h * 27 + i]);
    }
}

/* Without a gradient buffer there is nothing to accumulate into. */
static void test_smallest_collects_nothing(void)
{
    place p;
    float loss = 0;
    cge_layer_params params;
    const cge_targets *targets;
    cge_targets both;
    if (!prepare(&p, &planned[0], 0) || !start(&p, &cge_memory_smallest, 1)) return;
    both.labels = p.labels;
    both.values = p.values;
    both.weights = NULL;
    targets = &both;
    take_samples(&p, 0, 2);
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_accumulate(&p.net, p.x, targets, 1, &loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_update(&p.net));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_zero_grads(&p.net));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(&p.net, p.x, targets, 2, &loss));
    CHECK(p.net.grads == NULL);
    CHECK_OK(cge_network_layer_params(&p.net, 0, &params));
    CHECK(params.w != NULL && params.dw == NULL && params.db == NULL);
    CHECK_OK(cge_network_train_epoch(&p.net, p.x, targets, NULL, 2, 1, &loss));
    CHECK(p.net.step_count == 2);
}

/* Left-out zeros are exact for finite numbers only. */
static void test_input_that_is_not_finite(const test_model *m, const cge_memory_level *level)
{
    place p;
    float loss = 0;
    cge_targets targets;
    uint64_t before;
    if (!prepare(&p, m, 0) || !start(&p, level, 1)) return;
    targets.labels = p.labels;
    targets.values = p.values;
    targets.weights = NULL;
    take_samples(&p, 0, 1);
    before = hash_of(&p);
    p.x[5] = float_from_bits(0xff800000u);
    check_step_refused(&p);
    take_samples(&p, 0, 1);
    CHECK_OK(cge_network_train_batch(&p.net, p.x, &targets, 1, &loss));
    CHECK(hash_of(&p) != before);
}

/* The last of the samples of a pass, in a stem and without; or a target, which the loss tells. */
static void test_batch_that_is_not_finite(const test_model *m, uint32_t style_seed, int32_t of_targets)
{
    place p;
    float loss = 0;
    uint64_t before;
    if (!prepare_for_batches(&p, m, style_seed)) return;
    p.style_seed = style_seed;
    if (!start(&p, &cge_memory_batch, 1)) return;
    const cge_targets targets = {p.labels, p.values, NULL};
    take_samples(&p, 0, BATCH);
    before = hash_of(&p);
    if (of_targets) p.values[BATCH * outputs_of(p.model) - 1] = 1e30f;
    else p.x[(BATCH - 1) * elems_of(p.model->input) + 5] = float_from_bits(0xff800000u);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&p.net, p.x, &targets, BATCH, &loss));
    CHECK(p.net.step_count == 0 && p.net.pending == 0 && hash_of(&p) == before);
    take_samples(&p, 0, BATCH);
    CHECK_OK(cge_network_train_batch(&p.net, p.x, &targets, BATCH, &loss));
    CHECK(hash_of(&p) != before);
}

/* The same of a row that a stem hands on, where nothing but the gradient tells: what is infinite saturates. */
static void test_hidden_rows_that_are_not_finite(const cge_memory_level *level)
{
    place p;
    if (!prepare(&p, &planned[WIDE_AND_NARROW], 0) || !start(&p, level, 1)) return;
    CHECK((p.plan.units[1].style & CGE_UNIT_STEM) != 0);
    take_samples(&p, 0, 1);
    for (int32_t i = 0; i < p.net.param_elems; i++) p.net.params[i] = i < 3 * 3 * 2 * 6 ? 1e30f : 0.125f;
    p.x[5] = 1e30f;
    check_step_refused(&p);
}

#define STEEP_PAIR DENSE(1, 0, 0), PLAIN(hard_swish)
#define FOUR_PAIRS STEEP_PAIR, STEEP_PAIR, STEEP_PAIR, STEEP_PAIR
#define SIXTEEN_PAIRS FOUR_PAIRS, FOUR_PAIRS, FOUR_PAIRS, FOUR_PAIRS
static const cge_layer steep_pairs[] = {SIXTEEN_PAIRS, SIXTEEN_PAIRS, SIXTEEN_PAIRS, SIXTEEN_PAIRS, SIXTEEN_PAIRS, SIXTEEN_PAIRS,
                                        SIXTEEN_PAIRS, FOUR_PAIRS}; /* 116 */
static const test_model steep_chain = MODEL("steep chain", 1, 1, 1, steep_pairs, &cge_mean_squared_error, 0.05f, 0, 0, 0);

/* Just below 3 the slope of hardswish is 1.5: of 2^62 it makes 2^129, one after the other, each with its input there again. */
static void test_slopes_above_1(const cge_memory_level *level)
{
    const float below = 3 - 0x1p-10f;
    float y = 0;
    place p;
    CHECK_OK(cge_hard_swish_forward_f32(1, &below, &y));
    if (!prepare_levels(&p, &steep_chain, 0, &level, 1, 0) || !start(&p, level, 1)) return;
    for (int32_t i = 0; i < p.net.param_elems; i++) p.net.params[i] = i % 2 == 0 ? 1 : below - y;
    p.net.params[1] = below;
    p.x[0] = 0;
    p.values[0] = -0x1p61f;
    check_step_refused(&p);
}

void suite_plan(void)
{
    for (int32_t i = 0; i < COUNT_OF(planned); i++) {
        test_bits(&planned[i]);
        test_prediction(&planned[i], -1, 0);
        for (uint32_t seed = 0; seed < STYLES; seed++) test_prediction(&planned[i], i + 3, seed);
        test_styles(&planned[i], STYLES);
        test_batches(&planned[i], STYLES / 4);
        test_plan(&planned[i], &cge_memory_small);
        test_plan(&planned[i], &cge_memory_smallest);
        test_plan(&planned[i], &cge_memory_smallest_tight);
    }
    test_batches(&renaming, 0);
    test_batch_that_is_not_finite(&planned[2], 0, 1);
    for (uint32_t seed = 0; seed < STYLES; seed++) test_batch_that_is_not_finite(&planned[0], seed, 0);
    for (int32_t i = 0; i < test_model_count; i++) {
        test_bits(&test_models[i]);
        test_batches(&test_models[i], 0);
        test_prediction(&test_models[i], -1, 0);
    }
    test_more_rows_than_a_band();
    test_chosen_styles();
    test_stem_that_is_too_long();
    for (int32_t i = 0; i <= MANY_CHANNELS; i += MANY_CHANNELS) test_foreign_styles(&planned[i], &cge_memory_smallest_tight, 1);
    for (int32_t i = 0; i <= WIDE_AND_NARROW; i += WIDE_AND_NARROW) {
        test_foreign_styles(&planned[i], &cge_memory_small, 0);
        test_foreign_styles(&planned[i], &cge_memory_small, 1);
        test_foreign_styles(&planned[i], &cge_memory_smallest, 1);
    }
    test_foreign_plans();
    test_members_of_a_plan();
    test_what_cannot_be_planned();
    test_names_only();
    test_bounds(OF_INPUT, 1e10f);
    test_bounds(OF_INPUT, 1e22f);
    test_bounds(OF_WEIGHTS, -1e10f);
    test_bounds(OF_WEIGHTS, -1e20f);
    test_bounds(OF_VELOCITY, 1e10f);
    test_bounds(OF_VELOCITY, -1e20f);
    test_bounds(OF_HIDDEN_ROWS, 1e5f);
    test_bounds(OF_HIDDEN_ROWS, 1e12f);
    test_bounds(OF_TARGETS, 1e10f);
    test_bounds(OF_TARGETS, 1e19f);
    test_bounds(OF_TARGETS_BEHIND_A_STEEP_SLOPE, 1e5f);
    test_bounds(OF_TARGETS_BEHIND_A_STEEP_SLOPE, 1e12f);
    test_bounds(OF_TARGETS_BEHIND_SMALL_WEIGHTS, 1e19f);
    test_bounds(OF_WEIGHTS, 0x1.fffffep63f); /* the limit */
    test_bounds(OF_WEIGHTS, 0x1p64f);
    test_restore();
    test_alive();
    test_placing();
    test_rows_of_a_map();
    test_large_l1(&cge_memory_small, 1e6f, CGE_OK);
    test_large_l1(&cge_memory_small, 3e38f, CGE_ERR_NOT_FINITE);
    test_large_l1(&cge_memory_smallest, 1e6f, CGE_OK);
    test_large_l1(&cge_memory_smallest, 3e38f, CGE_ERR_NOT_FINITE);
    test_all_grown_steps();
    test_wild_targets(&cge_memory_small, 0.05f, 3e38f);
    test_wild_targets(&cge_memory_smallest, 0.05f, 3e38f);
    test_wild_targets(&cge_memory_smallest, 3e38f, 40);
    for (int32_t i = 0; i < 2; i++) {
        static const float rates[] = {3e38f, 0.05f}, scales[] = {1, 3e38f}; /* an update, a loss */
        test_wild_steps(&cge_memory_small, rates[i], scales[i]);
        test_wild_steps(&cge_memory_smallest, rates[i], scales[i]);
    }
    test_smallest_collects_nothing();
    test_hidden_rows_that_are_not_finite(&cge_memory_small);
    test_hidden_rows_that_are_not_finite(&cge_memory_smallest);
    for (int32_t i = 0; i <= WIDE_AND_NARROW; i += WIDE_AND_NARROW) {
        test_input_that_is_not_finite(&planned[i], &cge_memory_small);
        test_input_that_is_not_finite(&planned[i], &cge_memory_smallest);
    }
    test_slopes_above_1(&cge_memory_small);
    test_slopes_above_1(&cge_memory_smallest);
}
