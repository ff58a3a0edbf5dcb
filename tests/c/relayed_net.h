/* A small network whose units' styles a test chooses, in the memory of its plan and not a byte more. */
#ifndef RELAYED_NET_H
#define RELAYED_NET_H

#include "check.h"
#include "models.h"

#include "../../csrc/src/net/units.h"

#include <string.h>

enum { SEED = 78, SEED_X = 711, PAD = 16, MOST_OUT = 64, RELAY_STEPS = 3 };

#define WEIGHTED(filters, size, stride, pad, ...) CONV2D_CONFIG(.out_c = filters, WINDOW(size, size, stride, stride, pad, pad, pad, pad), __VA_ARGS__)
#define CONV2D(filters, size, stride, pad, taps) {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, pad, taps)}
#define FROZEN(filters, size, stride, pad, taps) {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, pad, taps), .flags = CGE_FROZEN}
#define CONV2D_OF(row, filters, size, stride) {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, 0, .groups = 1), .from = {row, 0}}
#define FROZEN_OF(row, filters, size, stride) \
    {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, 0, .groups = 1), .flags = CGE_FROZEN, .from = {row, 0}}
#define FAR_APART .dilation_h = 2, .dilation_w = 2
#define SIX_FAR_APART .groups = 6, FAR_APART
#define ADD(first, second) {.kind = &cge_kind_add, .from = {first, second}}
#define MEAN PLAIN(global_avgpool2d)

#define NO_BIAS(filters, size, stride, pad, taps) \
    {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, pad, taps), .flags = CGE_NO_BIAS}
#define BIASES(filters, size, stride, pad, taps) \
    {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, pad, taps), .trains = CGE_TRAINS_BIAS}

typedef struct relayed_net {
    const cge_model *model;
    cge_network net;
    cge_plan plan;
    cge_options options;
    size_t plan_bytes, arena_bytes, room;
    unsigned char *memory, *arena;
    float *x;
} relayed_net;

static inline int plan_with(relayed_net *n, const cge_memory_level *level, int32_t training)
{
    memset(&n->options, 0, sizeof n->options);
    n->options.training = training;
    n->options.plan = &n->plan;
    return CHECK_OK(cge_plan_make(n->model, level, training, n->memory, n->plan_bytes, &n->plan)) &&
           CHECK_OK(cge_network_arena_bytes(n->model, &n->options, &n->arena_bytes));
}

static inline int make_room(relayed_net *n, const test_model *m)
{
    const int32_t in = m->model.input.h * m->model.input.w * m->model.input.c;
    memset(n, 0, sizeof *n);
    n->model = &m->model;
    if (!CHECK_OK(cge_plan_bytes(n->model, &n->plan_bytes)) || !check_room(m->name, n->plan_bytes)) return 0;
    n->memory = check_bytes(n->plan_bytes);
    if (!plan_with(n, &cge_memory_small, 1)) return 0;
    n->room = 2 * n->arena_bytes; /* relays that nobody would choose may take more */
    if (!check_room(m->name, n->plan_bytes + n->room + PAD + 4 * (size_t)in + 64)) return 0;
    n->memory = check_bytes(n->plan_bytes);
    n->arena = check_bytes(n->room + PAD);
    n->x = check_floats(in);
    for (int32_t i = 0; i < in; i++) n->x[i] = operand(SEED_X, i);
    return 1;
}

/* After a change of styles. */
static inline int place_anew(relayed_net *n)
{
    int16_t order[2 * 5 * 16];
    cge_plan *plan = &n->plan;
    cge_tensor *tensors = (cge_tensor *)(uintptr_t)plan->tensors;
    const cge_style_choice choice = {n->model, plan->layers, plan->level, plan->training, (cge_unit *)(uintptr_t)plan->units,
                                     plan->unit_count, tensors, plan->level->masks, NULL};
    if (!CHECK(plan->unit_count <= 16)) return 0;
    plan->tensor_count = cge_find_uses(&choice);
    plan->peak_elems =
        cge_place_tensors(tensors, plan->tensor_count, cge_operations(plan->unit_count), order, &plan->bound_elems);
    return CHECK_OK(cge_network_arena_bytes(n->model, &n->options, &n->arena_bytes)) && CHECK(n->arena_bytes <= n->room);
}

static inline int begin_in_arena(relayed_net *n)
{
    memset(n->arena, 0xff, n->arena_bytes + PAD); /* NaN everywhere */
    if (!CHECK_OK(cge_network_init(&n->net, n->model, &n->options, n->arena, n->arena_bytes))) return 0;
    if (!CHECK_OK(cge_network_init_params(&n->net, SEED))) return 0;
    memset(n->net.activations, 0xff, (size_t)(n->arena + n->arena_bytes - (unsigned char *)n->net.activations));
    return 1;
}

static inline void check_pad(const relayed_net *n)
{
    int whole = 1;
    for (int32_t i = 0; i < PAD; i++) whole &= n->arena[n->arena_bytes + (size_t)i] == 0xff;
    CHECK(whole);
}

static inline cge_status step_in_slices(relayed_net *n, const cge_targets *targets, float *loss)
{
    cge_status status = cge_network_train_begin(&n->net, n->x, targets, 1);
    if (status != CGE_OK) return status;
    do
        status = cge_network_resume(&n->net, 1, loss);
    while (status == CGE_AGAIN);
    return status;
}

static inline uint64_t train_relayed(relayed_net *n, int in_slices)
{
    static const float values[MOST_OUT] = {0.5f, -0.25f, 0.125f};
    int32_t label = 1;
    const cge_targets targets = {&label, values};
    float loss = 0;
    uint64_t hash = 0;
    if (!begin_in_arena(n)) return 0;
    for (int32_t step = 0; step < RELAY_STEPS; step++)
        CHECK_OK(in_slices ? step_in_slices(n, &targets, &loss) : cge_network_train_batch(&n->net, n->x, &targets, 1, &loss));
    check_pad(n);
    CHECK_OK(cge_network_params_hash(&n->net, &hash));
    return hash;
}

static inline void scale_weights(relayed_net *n, int32_t l, float factor)
{
    const cge_layer_plan *row = &n->plan.layers[l];
    for (int32_t i = 0; i < row->weights; i++) n->net.params[row->params + i] *= factor;
}

/* The hash of the parameters is as a refused step leaves them, too. */
static inline cge_status take_step(relayed_net *n, uint64_t *hash)
{
    const int32_t label = 1;
    const cge_targets targets = {&label, NULL};
    float loss;
    const cge_status status = cge_network_train_batch(&n->net, n->x, &targets, 1, &loss);
    CHECK_OK(cge_network_params_hash(&n->net, hash));
    return status;
}

/* A style that was changed in a plan whose tensors are another's; and at a level that does not have the plan's styles. */
static inline void check_foreign_plans(relayed_net *n, const cge_memory_level *without)
{
    cge_unit *units = (cge_unit *)(uintptr_t)n->plan.units;
    for (int32_t u = 0; u < n->plan.unit_count; u++)
        for (int32_t bit = 1; bit <= 0x4000; bit <<= 1) {
            units[u].style = (int16_t)(units[u].style ^ bit);
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n->net, n->model, &n->options, n->arena, n->room));
            units[u].style = (int16_t)(units[u].style ^ bit);
        }
    CHECK_OK(cge_network_init(&n->net, n->model, &n->options, n->arena, n->room));
    n->plan.level = without;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n->net, n->model, &n->options, n->arena, n->room));
}

#endif
