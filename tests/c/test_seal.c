/*
 * Sealed plans: the bits of the plan without a seal. A word that changed, in the plan or in the model, is noticed; and when
 * plans of the same models change, CGE_PLAN_VERSION has to.
 */
#include "check.h"
#include "suites.h"
#include "unit_models.h"

#include "../../csrc/src/layers/layer.h"

#include <string.h>

enum { SEED = 78, SEED_X = 901, STEPS = 3, SPARE = 512 };

/* All seals below, one after the other in a checksum, and the version that they belong to. If they are others now, then plans
 * that were exported and sealed before are not what the library takes them for: raise CGE_PLAN_VERSION, and write down both. */
enum { GOLDEN_VERSION = 6 };
#define GOLDEN_SEALS 0x15303047u
#define GOLDEN_SEALS_FUSED 0xd0b41bdfu /* of a build with fused multiply-adds, which leaves out no zeros: its scratch is another */

static const test_model sealed_models[] = {
    MODEL("N, momentum", 9, 8, 2, small_n, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 0),
    MODEL("strides, groups", 13, 11, 2, strides, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("frozen front", 8, 8, 2, frozen_front, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
};
typedef struct level_pair {
    const cge_memory_level *open, *sealed;
} level_pair;
static const level_pair pairs[] = {
    {&cge_memory_small, &cge_memory_small_sealed},
    {&cge_memory_smallest, &cge_memory_smallest_sealed},
    {&cge_memory_small_sliced, &cge_memory_small_sliced_sealed},
    {&cge_memory_smallest_sliced, &cge_memory_smallest_sliced_sealed},
};

typedef struct sealed_case {
    cge_model model;
    cge_layer layers[16];
    cge_layer_config configs[16];
    cge_network net;
    cge_plan plan;
    cge_options options;
    size_t plan_bytes, arena_bytes;
    void *memory, *arena;
    float *x;
    uint32_t seal;
} sealed_case;

static int left_out; /* cases for which a board has no room */

static int has_room(const char *name, size_t bytes)
{
    const int has = check_room(name, bytes);
    left_out += !has;
    return has;
}

static int open_case(sealed_case *c, const test_model *m, const level_pair *pair, int32_t training)
{
    const int32_t in = m->model.input.h * m->model.input.w * m->model.input.c;
    check_case(m->name);
    memset(c, 0, sizeof *c);
    c->model = m->model;
    if (!CHECK(c->model.layer_count <= COUNT_OF(c->layers))) return 0;
    memcpy(c->layers, m->model.layers, (size_t)c->model.layer_count * sizeof *c->layers);
    for (int32_t l = 0; l < c->model.layer_count; l++) {
        if (c->layers[l].config == NULL) continue;
        memcpy(&c->configs[l], c->layers[l].config, c->layers[l].kind->config_bytes);
        c->layers[l].config = &c->configs[l];
    }
    c->model.layers = c->layers;
    c->options.training = training;
    c->options.plan = &c->plan;
    if (!CHECK_OK(cge_plan_bytes(&c->model, &c->plan_bytes)) || !has_room(m->name, c->plan_bytes)) return 0;
    c->memory = check_bytes(c->plan_bytes);
    if (!CHECK_OK(cge_plan_make(&c->model, pair->open, training, c->memory, c->plan_bytes, &c->plan))) return 0;
    if (!CHECK_OK(cge_network_arena_bytes(&c->model, &c->options, &c->arena_bytes))) return 0;
    if (!has_room(m->name, c->plan_bytes + c->arena_bytes + SPARE + 4 * (size_t)in)) return 0;
    c->memory = check_bytes(c->plan_bytes);
    c->arena = check_bytes(c->arena_bytes + SPARE);
    c->x = check_floats(in);
    for (int32_t i = 0; i < in; i++) c->x[i] = operand(SEED_X, i);
    if (!CHECK_OK(cge_plan_make(&c->model, pair->open, training, c->memory, c->plan_bytes, &c->plan))) return 0;
    return CHECK(c->plan.seal == 0);
}

static int seal_case(sealed_case *c, const level_pair *pair)
{
    if (!CHECK_OK(cge_plan_seal(&c->model, NULL, &c->plan, &c->seal))) return 0;
    c->plan.level = pair->sealed;
    c->plan.seal = c->seal;
    return 1;
}

static cge_status init_case(sealed_case *c)
{
    return cge_network_init(&c->net, &c->model, &c->options, c->arena, c->arena_bytes);
}

static uint64_t live_sealed(sealed_case *c)
{
    static const float values[16] = {0.5f, -1};
    static const int32_t label = 1;
    const cge_targets targets = {&label, values};
    float loss = 0, y[16];
    uint64_t hash = 0, losses = 0;
    memset(c->arena, 0xff, c->arena_bytes);
    if (!CHECK_OK(init_case(c)) || !CHECK(c->net.out_elems <= COUNT_OF(y))) return 0;
    CHECK_OK(cge_network_init_params(&c->net, SEED));
    for (int32_t step = 0; c->options.training && step < STEPS; step++) {
        CHECK_OK(cge_network_train_batch(&c->net, c->x, &targets, 1, &loss));
        losses = losses * 31 + float_bits(loss);
    }
    CHECK_OK(cge_network_forward(&c->net, c->x, 1, y));
    for (int32_t i = 0; i < c->net.out_elems; i++) losses = losses * 31 + float_bits(y[i]);
    CHECK_OK(cge_network_params_hash(&c->net, &hash));
    return hash ^ losses;
}

/* ---- cases ---- */

static uint32_t test_life(const test_model *m, const level_pair *pair, int32_t training)
{
    sealed_case c;
    uint64_t expected;
    size_t bytes = 0;
    int32_t members[6];
    if (!open_case(&c, m, pair, training)) return 0;
    expected = live_sealed(&c);
    members[0] = c.net.param_elems, members[1] = c.net.held_elems, members[2] = c.net.grad_elems;
    members[3] = c.net.in_elems, members[4] = c.net.out_elems, members[5] = c.net.first_trainable;
    if (!seal_case(&c, pair)) return 0;
    CHECK(live_sealed(&c) == expected);
    CHECK(members[0] == c.net.param_elems && members[1] == c.net.held_elems && members[2] == c.net.grad_elems);
    CHECK(members[3] == c.net.in_elems && members[4] == c.net.out_elems && members[5] == c.net.first_trainable);
    CHECK_OK(cge_network_arena_bytes(&c.model, &c.options, &bytes));
    CHECK(bytes == c.arena_bytes);
    c.arena_bytes--;
    CHECK_REFUSED(CGE_ERR_ARENA, init_case(&c));
    return c.seal;
}

/* Each word that the seal is of. */
static void check_words(sealed_case *c, const void *begin, size_t bytes)
{
    unsigned char *at = (unsigned char *)(uintptr_t)begin;
    for (size_t i = 0; i < bytes; i += 2) {
        at[i] ^= 1;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(c));
        at[i] ^= 1;
    }
}

static void test_changes(const test_model *m, const level_pair *pair)
{
    sealed_case c;
    cge_plan kept;
    if (!open_case(&c, m, pair, 1) || !seal_case(&c, pair)) return;
    check_words(&c, c.plan.layers, (size_t)c.model.layer_count * sizeof *c.plan.layers);
    check_words(&c, c.plan.units, (size_t)c.plan.unit_count * sizeof *c.plan.units);
    check_words(&c, c.plan.tensors, (size_t)c.plan.tensor_count * sizeof *c.plan.tensors);
    kept = c.plan;
#define CHANGED(status, member, value)                                                                              \
    do {                                                                                                            \
        c.plan.member = (value);                                                                                    \
        CHECK_REFUSED(status, init_case(&c));                                                                       \
        c.plan = kept;                                                                                              \
    } while (0)
    CHANGED(CGE_ERR_NULL, layers, NULL);
    CHANGED(CGE_ERR_NULL, units, NULL);
    CHANGED(CGE_ERR_NULL, tensors, NULL);
    CHANGED(CGE_ERR_MISMATCH, seal, kept.seal + 1);
    CHANGED(CGE_ERR_MISMATCH, seal, 0);
    CHANGED(CGE_ERR_MISMATCH, peak_elems, kept.peak_elems - 1);
    CHANGED(CGE_ERR_MISMATCH, unit_count, kept.unit_count - 1);
    CHANGED(CGE_ERR_MISMATCH, unit_count, INT32_MAX);
    CHANGED(CGE_ERR_MISMATCH, unit_count, -1);
    CHANGED(CGE_ERR_MISMATCH, tensor_count, kept.tensor_count - 1);
    CHANGED(CGE_ERR_MISMATCH, tensor_count, INT32_MAX);
    CHANGED(CGE_ERR_MISMATCH, tensor_count, -1);
    CHANGED(CGE_ERR_MISMATCH, level, pair == pairs ? pairs[2].sealed : pairs[0].sealed);
#undef CHANGED
    for (int32_t l = 0; l < c.model.layer_count; l++) {
        cge_layer *layer = &c.layers[l];
        const cge_layer right = *layer;
        if (right.config != NULL) {
            check_words(&c, right.config, right.kind->config_bytes);
            layer->config = NULL;
            CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
            *layer = right;
        }
        layer->flags ^= CGE_FROZEN;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
        *layer = right;
        layer->trains = CGE_TRAINS_BIAS;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
        *layer = right;
        layer->from[1]++;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
        *layer = right;
        layer->kind = right.kind == &cge_kind_relu ? &cge_kind_tanh : &cge_kind_relu;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
        layer->kind = NULL;
        CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
        *layer = right;
    }
    c.model.input.c++;
    CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
    c.model.input.c--;
    CHECK_OK(init_case(&c));
}

/* The arena and a range behind it, which together are somewhat more than the arena alone was. */
static void test_sealed_ranges(void)
{
    sealed_case c;
    cge_memory_range range = {NULL, 0};
    cge_spread spread = {0}, kept;
    uint64_t expected;
    if (!open_case(&c, &sealed_models[0], &pairs[1], 1)) return;
    expected = live_sealed(&c);
    spread.ranges = &range;
    spread.range_count = 1;
    range.bytes = (c.arena_bytes + SPARE / 2) / 2;
    if (!CHECK_OK(cge_plan_spread(&c.model, NULL, range.bytes, &spread, &c.plan)) || !seal_case(&c, &pairs[1])) return;
    if (!CHECK(spread.elems[0] > 0) || !CHECK_OK(cge_network_arena_bytes(&c.model, &c.options, &c.arena_bytes))) return;
    range.start = (uint64_t *)c.arena + (c.arena_bytes + 7) / 8;
    range.bytes = (size_t)spread.elems[0] * 4;
    CHECK(live_sealed(&c) == expected);
    kept = spread;
    spread.velocity ^= 1;
    CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
    spread = kept;
    spread.elems[0]++;
    CHECK_REFUSED(CGE_ERR_MISMATCH, init_case(&c));
    spread = kept;
    spread.kind = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, init_case(&c));
    spread = kept;
    range.bytes--;
    CHECK_REFUSED(CGE_ERR_ARENA, init_case(&c));
}

static void test_wrong_seals(void)
{
    sealed_case c;
    uint32_t seal = 0;
    if (!open_case(&c, &sealed_models[0], &pairs[0], 1)) return;
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_seal(NULL, NULL, &c.plan, &seal));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_seal(&c.model, NULL, NULL, &seal));
    CHECK_REFUSED(CGE_ERR_NULL, cge_plan_seal(&c.model, NULL, &c.plan, NULL));
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_plan_seal(&sealed_models[1].model, NULL, &c.plan, &seal));
    ((cge_tensor *)(uintptr_t)c.plan.tensors)[1].offset = c.plan.peak_elems;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_plan_seal(&c.model, NULL, &c.plan, &seal));
    c.plan.level = NULL;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_plan_seal(&c.model, NULL, &c.plan, &seal));
}

void suite_seal(void)
{
    uint32_t seals = 0;
    for (int32_t i = 0; i < COUNT_OF(sealed_models); i++)
        for (int32_t p = 0; p < COUNT_OF(pairs); p++) {
            for (int32_t training = 0; training < 2; training++)
                seals = mix32(seals ^ test_life(&sealed_models[i], &pairs[p], training));
            test_changes(&sealed_models[i], &pairs[p]);
        }
    test_sealed_ranges();
    test_wrong_seals();
    check_case("golden seals");
    CHECK(GOLDEN_VERSION == CGE_PLAN_VERSION);
    if (left_out == 0)
        CHECK(seals == (cge_check_arithmetic() == CGE_ARITHMETIC_CONTRACTED ? GOLDEN_SEALS_FUSED : GOLDEN_SEALS));
}
