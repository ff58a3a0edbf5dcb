/*
 * Plans over several memories: the bits of a plan in one, not a byte used outside of what the plan says, whatever was there
 * before. Borders are walls. Plans that do not lie well, and ranges that are not what they should be, are refused.
 */
#include "check.h"
#include "suites.h"
#include "unit_models.h"

#include <string.h>

enum { SEED = 77, SEED_X = 801, SEED_VALUES, STEPS = 3, PAD = 16, MOST = CGE_MOST_RANGES };

static const test_model spread_over[] = {
    MODEL("N, momentum", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 0),
    MODEL("strides, groups", 13, 11, 2, strides, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("overlapping windows", 7, 6, 2, overlapping, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("frozen front", 8, 8, 2, frozen_front, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
};
static const cge_memory_level *const levels[] = {&cge_memory_small, &cge_memory_smallest, &cge_memory_small_sliced,
                                                 &cge_memory_smallest_sliced};

/* A network in memories that lie apart, number 0 is the arena; bytes[r] are given. */
typedef struct house {
    const cge_model *model;
    cge_network net;
    cge_plan plan;
    cge_spread spread;
    cge_options options;
    cge_memory_range ranges[MOST - 1];
    size_t plan_bytes, arena_bytes, bytes[MOST];
    int32_t sizes[3], trains; /* elements of parameters, gradients, velocity */
    unsigned char *memory, *at[MOST];
    float *x, *values, *params;
    int32_t *labels;
} house;

static int32_t outputs_of(const cge_model *m)
{
    cge_layer_info info;
    CHECK_OK(cge_model_layer_info(m, m->layer_count - 1, &info));
    return info.out.h * info.out.w * info.out.c;
}

static int make_house_plan(house *h, const cge_memory_level *level)
{
    return CHECK_OK(cge_plan_make(h->model, level, h->trains, h->memory, h->plan_bytes, &h->plan));
}

/* The model in one memory, and what its parts take. */
static int build(house *h, const test_model *m, const cge_memory_level *level, int32_t trains)
{
    const int32_t in = m->model.input.h * m->model.input.w * m->model.input.c, out = outputs_of(&m->model);
    check_case(m->name);
    memset(h, 0, sizeof *h);
    h->model = &m->model;
    h->trains = trains;
    h->options.training = trains;
    h->options.plan = &h->plan;
    if (!CHECK_OK(cge_plan_bytes(h->model, &h->plan_bytes)) || !check_room(m->name, h->plan_bytes)) return 0;
    h->memory = check_bytes(h->plan_bytes);
    if (!make_house_plan(h, level) || !CHECK_OK(cge_network_arena_bytes(h->model, &h->options, &h->arena_bytes))) return 0;
    if (!check_room(m->name, h->plan_bytes + 2 * h->arena_bytes + 4 * (size_t)(in + 2 * out) + 8 * PAD + 64)) return 0;
    h->memory = check_bytes(h->plan_bytes);
    h->at[0] = check_bytes(h->arena_bytes / 2 * 3 + 8 * PAD);
    h->x = check_floats(in);
    h->values = check_floats(out);
    h->labels = check_ints(1);
    if (!make_house_plan(h, level)) return 0;
    if (!CHECK_OK(cge_network_init(&h->net, h->model, &h->options, h->at[0], h->arena_bytes))) return 0;
    h->sizes[0] = h->net.param_elems;
    h->sizes[1] = h->net.grads != NULL ? h->net.grad_elems : 0;
    h->sizes[2] = h->net.velocity != NULL ? h->net.grad_elems : 0;
    return 1;
}

static void take_sample(house *h, int32_t step)
{
    const int32_t in = h->model->input.h * h->model->input.w * h->model->input.c, out = h->net.out_elems;
    for (int32_t i = 0; i < in; i++) h->x[i] = operand(SEED_X + 10 * (uint32_t)step, i);
    for (int32_t i = 0; i < out; i++) h->values[i] = operand(SEED_VALUES + 10 * (uint32_t)step, i);
    h->labels[0] = step % out;
}

/* A hash of all that some steps gave, in slices where the level has them. */
static uint64_t live_there(house *h)
{
    const cge_targets targets = {h->labels, h->values};
    uint64_t hash = 0;
    CHECK_OK(cge_network_init_params(&h->net, SEED));
    for (int32_t step = 0; step < STEPS; step++) {
        float loss = 0;
        cge_status status;
        take_sample(h, step);
        status = cge_network_train_begin(&h->net, h->x, &targets, 1);
        if (!CHECK_OK(status)) return 0;
        do status = cge_network_resume(&h->net, 500, &loss);
        while (status == CGE_AGAIN);
        CHECK_OK(status);
        CHECK_OK(cge_network_train_batch(&h->net, h->x, &targets, 1, &loss));
        CHECK_OK(cge_network_forward(&h->net, h->x, 1, h->values));
        for (int32_t i = 0; i < h->net.out_elems; i++) hash = hash * 31 + float_bits(h->values[i]);
        hash = hash * 31 + float_bits(loss);
    }
    {
        uint64_t weights = 0;
        CHECK_OK(cge_network_params_hash(&h->net, &weights));
        return hash ^ weights;
    }
}

/* The plan with bytes[0] for the arena and bytes[r] for `count` ranges, whose addresses are not known yet. */
static cge_status spread_plan(house *h, int32_t count)
{
    h->spread.ranges = h->ranges;
    h->spread.range_count = count;
    for (int32_t r = 0; r < count; r++) {
        h->ranges[r].start = NULL;
        h->ranges[r].bytes = h->bytes[r + 1];
    }
    return cge_plan_spread(h->model, h->options.params, h->bytes[0], &h->spread, &h->plan);
}

/* What is needed, one behind the other with PAD bytes between; all NaN. */
static int settle(house *h)
{
    size_t begin = 0;
    if (!CHECK_OK(cge_network_arena_bytes(h->model, &h->options, &h->arena_bytes))) return 0;
    CHECK(h->arena_bytes <= h->bytes[0]);
    begin = h->arena_bytes + PAD + (-(h->arena_bytes + PAD) & 7u);
    for (int32_t r = 0; r < h->spread.range_count; r++) {
        h->ranges[r].start = h->at[r + 1] = h->at[0] + begin;
        CHECK((size_t)h->spread.elems[r] * 4 <= h->ranges[r].bytes);
        h->ranges[r].bytes = (size_t)h->spread.elems[r] * 4;
        begin += h->ranges[r].bytes + PAD + (-h->ranges[r].bytes & 7u);
    }
    for (int32_t r = h->spread.range_count; r < MOST - 1; r++) CHECK(h->spread.elems[r] == 0); /* ranges that there are not */
    memset(h->at[0], 0xff, begin);
    return CHECK_OK(cge_network_init(&h->net, h->model, &h->options, h->at[0], h->arena_bytes));
}

static int borders_are_whole(const house *h)
{
    int whole = 1;
    for (int32_t r = 0; r <= h->spread.range_count; r++) {
        const unsigned char *end = h->at[r] + (r == 0 ? h->arena_bytes : h->ranges[r - 1].bytes);
        for (int32_t i = 0; i < PAD; i++) whole &= end[i] == 0xff;
    }
    return whole;
}

static int all_is_within(const house *h)
{
    int32_t ends[MOST] = {0, 0, 0, 0};
    for (int32_t i = 0; i < h->plan.tensor_count; i++) {
        const cge_tensor *t = &h->plan.tensors[i];
        const int32_t range = t->offset / CGE_RANGE_ELEMS, end = t->offset % CGE_RANGE_ELEMS + t->elems;
        if (end > ends[range]) ends[range] = end;
    }
    for (int32_t r = 0; r < h->spread.range_count; r++)
        if (ends[r + 1] > h->spread.elems[r]) return 0;
    return ends[0] <= h->plan.peak_elems;
}

/* ---- cases ---- */

static void check_life(house *h, uint64_t expected)
{
    if (!settle(h)) return;
    CHECK(all_is_within(h));
    CHECK(live_there(h) == expected);
    CHECK(borders_are_whole(h));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&h->net, h->model, &h->options, h->at[0], h->arena_bytes - 1));
    for (int32_t r = 0; r < h->spread.range_count; r++) {
        if (h->spread.elems[r] == 0) continue;
        h->ranges[r].bytes--;
        CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&h->net, h->model, &h->options, h->at[0], h->arena_bytes));
        h->ranges[r].bytes++;
    }
}

/* Bytes of the arena beside blocks and tensors: what steps in slices keep there. */
static size_t room_beside(const house *h)
{
    size_t bytes = 0;
    CHECK_OK(cge_network_arena_bytes(h->model, &h->options, &bytes));
    return bytes - (size_t)(h->sizes[0] + h->sizes[1] + h->sizes[2] + h->plan.peak_elems) * 4;
}

/* The activations in the arena alone; the blocks elsewhere. Then the other way round. */
static void test_blocks_and_tensors_apart(const test_model *m, const cge_memory_level *level)
{
    house h;
    uint64_t expected;
    size_t beside;
    if (!build(&h, m, level, 1)) return;
    expected = live_there(&h);
    beside = room_beside(&h);
    h.bytes[0] = (size_t)h.plan.peak_elems * 4 + beside;
    for (int32_t i = 0; i < 3; i++) h.bytes[i + 1] = (size_t)h.sizes[i] * 4;
    if (!CHECK_OK(spread_plan(&h, 3))) return;
    check_life(&h, expected);
    if (!make_house_plan(&h, level)) return;
    h.bytes[0] = (size_t)(h.sizes[0] + h.sizes[1] + h.sizes[2]) * 4 + beside;
    h.bytes[1] = (size_t)h.plan.peak_elems * 4;
    if (!CHECK_OK(spread_plan(&h, 1))) return;
    check_life(&h, expected);
}

/* Memories of random sizes, whose sum is somewhat more than what all of it takes: many ways have to be found, each is right. */
static void test_random_memories(const test_model *m, const cge_memory_level *level, int32_t cases)
{
    house h;
    uint64_t expected;
    int32_t found = 0;
    size_t beside;
    if (!build(&h, m, level, 1)) return;
    expected = live_there(&h);
    beside = room_beside(&h);
    for (int32_t i = 0; i < cases; i++) {
        const uint32_t seed = 64 * (uint32_t)i;
        const int32_t count = 1 + (int32_t)(mix32(seed) % (MOST - 1));
        size_t left = (size_t)(h.sizes[0] + h.sizes[1] + h.sizes[2] + h.plan.bound_elems) * 4;
        left += left * (mix32(seed + 1) % 4) / 8;
        for (int32_t r = count; r > 0; r--) {
            h.bytes[r] = mix32(seed + 2 + (uint32_t)r) % (left / 2) / 4 * 4;
            left -= h.bytes[r];
        }
        h.bytes[0] = left + beside;
        if (spread_plan(&h, count) != CGE_OK) {
            CHECK(h.plan.spread == NULL && h.plan.peak_elems >= h.plan.bound_elems);
            CHECK_OK(cge_network_arena_bytes(h.model, &h.options, &left));
            continue;
        }
        found++;
        check_life(&h, expected);
    }
    CHECK(found > cases / 4);
}

/* Where all fits into the arena nothing goes elsewhere, and ranges need no address. */
static void test_room_enough(const test_model *m)
{
    house h;
    uint64_t expected;
    size_t all;
    if (!build(&h, m, &cge_memory_small, 1)) return;
    expected = live_there(&h);
    all = h.arena_bytes;
    h.bytes[0] = SIZE_MAX;
    h.bytes[1] = h.bytes[2] = 64;
    if (!CHECK_OK(spread_plan(&h, 2)) || !CHECK(h.spread.elems[0] == 0 && h.spread.elems[1] == 0)) return;
    CHECK_OK(cge_network_init(&h.net, h.model, &h.options, h.at[0], all));
    CHECK(live_there(&h) == expected);
    CHECK(h.arena_bytes == all);
    h.spread.range_count = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(h.model, &h.options, &all));
}

/* A prediction with parameters outside, in two memories; and a training with what learns in the second one. */
static void test_params_outside(const test_model *m)
{
    house h;
    float expected[16];
    uint64_t weights = 0, again = 0;
    size_t parts_bytes;
    if (!build(&h, m, &cge_memory_small, 0) || !CHECK(h.net.out_elems <= COUNT_OF(expected))) return;
    CHECK_OK(cge_network_init_params(&h.net, SEED));
    take_sample(&h, 0);
    CHECK_OK(cge_network_forward(&h.net, h.x, 1, expected));
    CHECK_OK(cge_network_params_hash(&h.net, &weights));
    parts_bytes = h.arena_bytes;
    if (!check_room(m->name, h.plan_bytes + 5 * parts_bytes + 4 * (size_t)(h.net.in_elems + h.net.out_elems) + 512)) return;
    h.memory = check_bytes(h.plan_bytes);
    h.params = check_floats(h.net.param_elems);
    h.at[0] = check_bytes(4 * parts_bytes + 8 * PAD);
    h.x = check_floats(h.net.in_elems);
    h.values = check_floats(h.net.out_elems);
    h.labels = check_ints(1);
    if (!make_house_plan(&h, &cge_memory_small)) return;
    if (!CHECK_OK(cge_network_init(&h.net, h.model, &h.options, h.at[0], h.arena_bytes))) return;
    CHECK_OK(cge_network_init_params(&h.net, SEED));
    memcpy(h.params, h.net.params, (size_t)h.net.param_elems * sizeof *h.params);
    h.options.params = h.params;
    for (int32_t trains = 0; trains < 2; trains++) {
        h.trains = h.options.training = trains;
        if (!make_house_plan(&h, &cge_memory_small)) return;
        for (int32_t r = 0; r < 2; r++) h.bytes[r] = (trains ? 2 : 1) * parts_bytes / 8 * 7;
        if (!CHECK_OK(spread_plan(&h, 1)) || !settle(&h)) return;
        take_sample(&h, 0);
        CHECK_OK(cge_network_forward(&h.net, h.x, 1, h.values));
        for (int32_t i = 0; i < h.net.out_elems; i++) CHECK_SAME(expected[i], h.values[i], i);
        CHECK_OK(cge_network_params_hash(&h.net, &again));
        CHECK(again == weights);
        CHECK(borders_are_whole(&h));
        CHECK(trains ? h.net.params != h.params : h.net.params == h.params);
    }
}

static void test_wrong_calls(void)
{
    house h;
    cge_plan kept;
    cge_spread none = {0};
    if (!build(&h, &spread_over[0], &cge_memory_small, 1)) return;
    h.bytes[0] = h.arena_bytes;
    h.bytes[1] = h.bytes[2] = h.bytes[3] = 64;
    if (!CHECK_OK(spread_plan(&h, 1)) || !make_house_plan(&h, &cge_memory_small)) return;
#define SPREAD(model_, params_, spread_, plan_) cge_plan_spread(model_, params_, h.arena_bytes, spread_, plan_)
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(NULL, NULL, &h.spread, &h.plan));
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, NULL, &h.plan));
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, &h.spread, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, &none, &h.plan));
    CHECK_REFUSED(CGE_ERR_ALIGN, SPREAD(h.model, misaligned(h.x), &h.spread, &h.plan));
    h.spread.range_count = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.spread.range_count = MOST;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.spread.range_count = 1;
    CHECK_REFUSED(CGE_ERR_MISMATCH, SPREAD(&spread_over[1].model, NULL, &h.spread, &h.plan));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_plan_spread(h.model, NULL, 64, &h.spread, &h.plan));
    h.arena_bytes -= (size_t)h.plan.bound_elems * 4; /* all but the tensors */
    CHECK_REFUSED(CGE_ERR_ARENA, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.arena_bytes += (size_t)h.plan.bound_elems * 4;
    kept = h.plan;
    h.plan.level = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.plan = kept;
    h.plan.units = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.plan = kept;
    h.plan.tensors = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, SPREAD(h.model, NULL, &h.spread, &h.plan));
    h.plan = kept;
    CHECK_OK(SPREAD(h.model, NULL, &h.spread, &h.plan));
    CHECK_OK(SPREAD(h.model, NULL, &h.spread, &h.plan)); /* again, from what it was before */
#undef SPREAD
}

/* Parameters in range 1, gradients in 2, velocity in 3, some tensors beside them. */
static int settle_in_four(house *h)
{
    if (!build(h, &spread_over[0], &cge_memory_small, 1)) return 0;
    h->bytes[0] = (size_t)h->plan.bound_elems * 4 - 64;
    for (int32_t i = 0; i < 3; i++) h->bytes[i + 1] = (size_t)h->sizes[i] * 4 + 256;
    if (!CHECK_OK(spread_plan(h, 3)) || !settle(h)) return 0;
    return CHECK(h->spread.params != 0 && h->spread.grads != 0 && h->spread.velocity != 0);
}

static void test_wrong_ranges(void)
{
    house h;
    const cge_memory_range *ranges;
    if (!settle_in_four(&h)) return;
#define INIT cge_network_init(&h.net, h.model, &h.options, h.at[0], h.arena_bytes)
    ranges = h.ranges;
    for (int32_t r = 0; r < 3; r++) {
        const cge_memory_range right = h.ranges[r];
        h.ranges[r].start = NULL;
        CHECK_REFUSED(CGE_ERR_NULL, INIT);
        h.ranges[r].start = (unsigned char *)right.start + 4;
        CHECK_REFUSED(CGE_ERR_ALIGN, INIT);
        h.ranges[r].start = h.at[0];
        CHECK_REFUSED(CGE_ERR_ARGUMENT, INIT);
        h.ranges[r].start = h.at[0] + (h.arena_bytes - 1) / 8 * 8;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, INIT);
        h.ranges[r].start = h.ranges[(r + 1) % 3].start;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, INIT);
        h.ranges[r] = right;
    }
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_init(&h.net, h.model, &h.options, h.ranges[2].start, h.arena_bytes));
    h.spread.ranges = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, INIT);
    h.spread.ranges = ranges;
    h.spread.kind = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, INIT);
    h.spread.kind = &cge_spread_over_ranges;
    h.spread.range_count = 0;
    CHECK(INIT != CGE_OK);
    h.spread.range_count = MOST;
    CHECK(INIT != CGE_OK);
    h.spread.range_count = 3;
    CHECK_OK(INIT);
#undef INIT
}

/* Offsets that were changed behind the library's back. */
static void test_wrong_spreads(void)
{
    house h;
    size_t bytes;
    cge_tensor *t;
    cge_spread kept;
    if (!settle_in_four(&h)) return;
    kept = h.spread;
    t = (cge_tensor *)(uintptr_t)h.plan.tensors;
#define REFUSED CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_arena_bytes(h.model, &h.options, &bytes))
    for (int32_t i = 0; i < 3; i++) {
        int32_t *const block[] = {&h.spread.params, &h.spread.grads, &h.spread.velocity};
        const int32_t wrong[] = {-1, 1, CGE_RANGE_ELEMS - 1, 4 * (CGE_RANGE_ELEMS - 1), INT32_MIN, INT32_MAX,
                                 *block[(i + 1) % 3], *block[i] + 64};
        for (int32_t w = 0; w < COUNT_OF(wrong); w++) {
            *block[i] = wrong[w];
            REFUSED;
            h.spread = kept;
        }
        h.spread.elems[i]--;
        REFUSED;
        h.spread.elems[i] = CGE_MAX_ELEMS + 1;
        REFUSED;
        h.spread = kept;
    }
    for (int32_t i = 0; i < h.plan.tensor_count; i++) {
        const int32_t right = t[i].offset;
        const int32_t wrong[] = {-1, h.plan.peak_elems - t[i].elems + 1, kept.params, kept.velocity,
                                 4 * (CGE_RANGE_ELEMS - 1), INT32_MIN, INT32_MAX - 3};
        for (int32_t w = 0; w < COUNT_OF(wrong); w++) {
            t[i].offset = wrong[w];
            REFUSED;
        }
        t[i].offset = MOST * CGE_RANGE_ELEMS;
        h.spread.range_count = INT32_MAX;
        REFUSED;
        h.spread.range_count = kept.range_count;
        t[i].offset = right;
    }
    if (!make_house_plan(&h, &cge_memory_smallest)) return;
    h.plan.spread = &h.spread; /* there are no gradients at this level */
    REFUSED;
#undef REFUSED
}

void suite_spread(void)
{
    for (int32_t i = 0; i < COUNT_OF(spread_over); i++) {
        for (int32_t level = 0; level < COUNT_OF(levels); level++) {
            test_blocks_and_tensors_apart(&spread_over[i], levels[level]);
            test_random_memories(&spread_over[i], levels[level], 24);
        }
        test_room_enough(&spread_over[i]);
        test_params_outside(&spread_over[i]);
    }
    test_wrong_calls();
    test_wrong_ranges();
    test_wrong_spreads();
}
