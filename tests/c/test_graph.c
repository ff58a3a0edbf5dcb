/*
 * Graphs: skips, branches, sums, channels side by side. A second golden run, at two levels of memory, and what is refused.
 * That graphs have the bits of their layers one by one is tested in Python (tests/test_graph.py).
 */
#include "golden.h"
#include "golden_data.h"

#include "check.h"
#include "models.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

#define CONV2D(filters, size, groups_, ...) {.kind = &cge_kind_conv2d, \
    CONV2D_CONFIG(.out_c = filters, WINDOW(size, size, 0, 0, size / 2, size / 2, size / 2, size / 2), .groups = groups_), __VA_ARGS__}
#define SQUARE2 POOL2D_CONFIG(.kernel_h = 2, .kernel_w = 2)
#define FROM(first, second) .from = {first, second}

static const cge_layer golden_layers[] = {
    CONV2D(4, 3, 0, .init = CGE_INIT_HE_UNIFORM),                                /*  0: 8x6x4 */
    {.kind = &cge_kind_relu},                                                    /*  1 */
    CONV2D(4, 3, 4, .flags = 0),                                                 /*  2 */
    {.kind = &cge_kind_relu},                                                    /*  3 */
    CONV2D(4, 1, 0, .flags = CGE_NO_BIAS),                                       /*  4 */
    {.kind = &cge_kind_add, FROM(0, 2)},                                         /*  5: the skip, 4 + 1 */
    LEAKY(0.1f),                                                                 /*  6 */
    CONV2D(3, 3, 0, .init = CGE_INIT_GLOROT_NORMAL),                             /*  7 */
    {.kind = &cge_kind_relu},                                                    /*  8 */
    {.kind = &cge_kind_maxpool2d, SQUARE2},                                      /*  9: 4x3x3 */
    {.kind = &cge_kind_avgpool2d, SQUARE2, FROM(7, 0)},                          /* 10: of 6, 4x3x4 */
    {.kind = &cge_kind_concat, FROM(10, 0)},                                     /* 11: 9 beside 10, 4x3x7 */
    {.kind = &cge_kind_flatten},                                                 /* 12 */
    {.kind = &cge_kind_dense, DENSE_CONFIG(6), .init = CGE_INIT_GLOROT_UNIFORM},          /* 13 */
    {.kind = &cge_kind_tanh},                                                    /* 14 */
    {.kind = &cge_kind_dense, DENSE_CONFIG(4), .init = CGE_INIT_HE_NORMAL},               /* 15 */
};
static const cge_model golden_model = {{IN_H, IN_W, IN_C}, TABLE(golden_layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.02f, 0.5f, 0.0005f, 0}, NULL, 0, 0};

enum { GRAPH_STEPS = 3 * GOLDEN_STEPS };

/* In slices of changing budgets where the level is for that. */
static void train_one(cge_network *net, const float *x, const cge_targets *targets, int sliced, int32_t step, float *loss)
{
    cge_status status;
    if (!sliced) {
        CHECK_OK(cge_network_train_batch(net, x, targets, 1, loss));
        return;
    }
    CHECK_OK(cge_network_train_begin(net, x, targets, 1));
    do status = cge_network_resume(net, 1 + step * 37 % 3000, loss);
    while (status == CGE_AGAIN);
    CHECK_OK(status);
}

/* One sample a step, so that all levels do the same. */
static uint64_t train_graph(cge_network *net, float *x, int sliced)
{
    int32_t label = 0;
    const cge_targets targets = {&label, NULL};
    float first = 0, last = 0, loss = 0;
    uint64_t hash = 0;
    cge_rng rng;
    CHECK_OK(cge_rng_seed(&rng, GOLDEN_DATA_SEED));
    CHECK_OK(cge_network_init_params(net, GOLDEN_SEED));
    for (int32_t step = 0; step < GRAPH_STEPS; step++) {
        golden_sample(&rng, x, &label);
        train_one(net, x, &targets, sliced, step, &loss);
        if (step < 20) first += loss / 20;
        if (step >= GRAPH_STEPS - 20) last += loss / 20;
    }
    CHECK(last < 0.8f * first);
    CHECK_OK(cge_network_params_hash(net, &hash));
    return hash;
}

static void test_golden_graph(const char *name, const cge_memory_level *level, int sliced)
{
    cge_options options = {1, 1, NULL, NULL, NULL};
    size_t plan_bytes = 0, bytes = 0;
    uint64_t hash;
    CHECK_OK(cge_plan_bytes(&golden_model, &plan_bytes));
    if (!check_room(name, 32768)) return;
    cge_plan *plan = check_bytes(sizeof *plan);
    cge_network *net = check_bytes(sizeof *net);
    void *memory = check_bytes(plan_bytes);
    float *x = check_floats(IN_ELEMS);
    CHECK_OK(cge_plan_make(&golden_model, level, 1, memory, plan_bytes, plan));
    options.plan = plan;
    CHECK_OK(cge_network_arena_bytes(&golden_model, &options, &bytes));
    CHECK(plan->peak_elems == plan->bound_elems);
    void *arena = check_bytes(bytes);
    memset(arena, 0xff, bytes);
    CHECK_STATUS(CGE_ERR_ARENA, cge_network_init(net, &golden_model, &options, arena, bytes - 1));
    if (!CHECK_OK(cge_network_init(net, &golden_model, &options, arena, bytes))) return;
    hash = train_graph(net, x, sliced);
    if (!CHECK(hash == (CGE_FUSED ? GOLDEN_GRAPH_FUSED : GOLDEN_GRAPH)))
        printf("    weights 0x%08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
}

/* ---- what is refused ----------------------------------------------------------------------------------------------------- */

typedef struct bad_graph {
    const char *what;
    cge_layer layers[4];
    int32_t count;
    cge_status status;
} bad_graph;

static const bad_graph bad_graphs[] = {
    {"reads itself", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_relu, FROM(2, 0)}}, 2, CGE_ERR_ARGUMENT},
    {"reads a later layer", {{.kind = &cge_kind_relu, FROM(2, 0)}, {.kind = &cge_kind_relu}}, 2, CGE_ERR_ARGUMENT},
    {"reads a layer that is not there", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_add, FROM(0, 9)}}, 2, CGE_ERR_ARGUMENT},
    {"reads layer -2", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_add, FROM(-2, 0)}}, 2, CGE_ERR_ARGUMENT},
    {"has a second input", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_relu, FROM(0, 1)}}, 2, CGE_ERR_ARGUMENT},
    {"has the model's input as a second one", {{.kind = &cge_kind_relu, FROM(0, CGE_INPUT)}}, 1, CGE_ERR_ARGUMENT},
    {"an output that nobody reads", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_tanh, FROM(CGE_INPUT, 0)}}, 2, CGE_ERR_ARGUMENT},
    {"nobody reads a renamed output", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_flatten}, {.kind = &cge_kind_tanh, FROM(1, 0)}}, 3, CGE_ERR_ARGUMENT},
    {"shapes that do not add", {CONV2D(3, 1, 1, .flags = 0), {.kind = &cge_kind_add, FROM(0, CGE_INPUT)}}, 2, CGE_ERR_SHAPE},
    {"sizes that do not stand side by side",
     {{.kind = &cge_kind_maxpool2d, SQUARE2}, {.kind = &cge_kind_concat, FROM(0, CGE_INPUT)}}, 2, CGE_ERR_SHAPE},
    {"no kind", {{.kind = &cge_kind_relu}, {.kind = NULL, FROM(1, 1)}}, 2, CGE_ERR_NULL},
    {"a config of a sum", {{.kind = &cge_kind_relu}, {.kind = &cge_kind_add, DENSE_CONFIG(0), FROM(0, CGE_INPUT)}}, 2, CGE_ERR_ARGUMENT},
};

static void test_bad_graph(const bad_graph *bad)
{
    const cge_model m = {{4, 4, 2}, bad->layers, bad->count, &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    cge_status status;
    size_t bytes = 0;
    if (!check_room(bad->what, 4096)) return;
    cge_plan *plan = check_bytes(sizeof *plan);
    void *memory = check_bytes(1024);
    memset(plan, 0x77, sizeof *plan);
    status = cge_plan_bytes(&m, &bytes);
    if (status == CGE_OK) status = cge_plan_make(&m, &cge_memory_small, 1, memory, 1024, plan);
    CHECK_STATUS(bad->status, status);
    CHECK(((const unsigned char *)plan)[0] == 0x77);
}

/* Each needs memory for shapes, or a plan. */
static void test_a_graph_needs_a_plan(void)
{
    static const cge_layer without_kind = {.kind = NULL}, later = {.kind = &cge_kind_relu, FROM(3, 0)};
    static const cge_model no_kind = {
        {1, 1, 2}, &without_kind, 1, &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    const cge_options options = {1, 1, NULL, NULL, NULL};
    cge_model reads_later = no_kind, no_layers = no_kind;
    cge_layer_info info;
    cge_shape shapes[2] = {{2, 2, 3}, {2, 2, 5}};
    size_t bytes = 77;
    reads_later.layers = &later;
    no_layers.layer_count = 0;
    if (!check_room("without a plan", 8192)) return;
    cge_network *net = check_bytes(sizeof *net);
    void *arena = check_bytes(4096);
    CHECK_STATUS(CGE_ERR_MODE, cge_network_arena_bytes(&golden_model, &options, &bytes));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_arena_bytes(&golden_model, NULL, &bytes));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_init(net, &golden_model, &options, arena, 4096));
    CHECK_STATUS(CGE_ERR_MODE, cge_model_layer_info(&golden_model, 15, &info));
    CHECK(bytes == 77);
    CHECK_OK(cge_model_layer_info(&golden_model, 4, &info)); /* as far as it is a chain */
    CHECK_OK(cge_layer_infer(&golden_layers[11], shapes, &info));
    CHECK(info.in.c == 3 && info.in2.c == 5 && info.out.c == 8);
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&golden_layers[5], shapes, &info));
    shapes[1].w = 0;
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&golden_layers[11], shapes, &info));
    shapes[1].w = 3;
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&golden_layers[11], shapes, &info));
    shapes[1].w = 2;
    shapes[1].c = CGE_MAX_ELEMS;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_layer_infer(&golden_layers[11], shapes, &info));
    shapes[0].h = shapes[0].w = shapes[1].h = shapes[1].w = 1;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_layer_infer(&golden_layers[11], shapes, &info));
    shapes[0].h = shapes[1].h = CGE_MAX_ELEMS / 4; /* each fits */
    shapes[1].c = 3;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_layer_infer(&golden_layers[11], shapes, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(NULL, shapes, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&without_kind, shapes, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&golden_layers[0], NULL, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&golden_layers[0], shapes, NULL));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_model_layer_info(&reads_later, 0, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_network_arena_bytes(&no_kind, &options, &bytes));
    CHECK_STATUS(CGE_ERR_NULL, cge_plan_bytes(&no_kind, &bytes));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_plan_bytes(&no_layers, &bytes));
}

/* The same layers, read in another way: every plan is only its own graph's. */
static void test_plans_of_other_graphs(void)
{
    cge_model other = golden_model;
    cge_options options = {1, 1, NULL, NULL, NULL};
    size_t plan_bytes = 0, bytes = 0;
    CHECK_OK(cge_plan_bytes(&golden_model, &plan_bytes));
    if (!check_room("plans of other graphs", 16384)) return;
    cge_plan *plan = check_bytes(sizeof *plan);
    void *memory = check_bytes(plan_bytes);
    CHECK_OK(cge_plan_make(&golden_model, &cge_memory_small, 1, memory, plan_bytes, plan));
    options.plan = plan;
    cge_layer *other_layers = check_bytes(sizeof golden_layers);
    other.layers = other_layers;
    memcpy(other_layers, golden_layers, sizeof golden_layers);
    CHECK_OK(cge_network_arena_bytes(&other, &options, &bytes));
    other_layers[5].from[0] = 3; /* adds 2 and 1: then 3 and 4 are read by nobody */
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&other, &options, &bytes));
    other_layers[5].from[0] = 0;
    other_layers[5].from[1] = 4; /* adds 4 and 3 */
    CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_arena_bytes(&other, &options, &bytes));
    other_layers[5].from[1] = 2;
    other_layers[11].from[1] = 10; /* 9 beside itself: 10 is read by nobody */
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&other, &options, &bytes));
    other_layers[11].from[1] = 0;
    other_layers[5].from[0] = 5; /* in other words the same */
    CHECK_OK(cge_network_arena_bytes(&other, &options, &bytes));
}

/* One number of a unit at a time. Padding of the struct is none: all its members are of one type. */
static void test_changed_units(void)
{
    cge_options options = {1, 1, NULL, NULL, NULL};
    size_t plan_bytes = 0, bytes = 0;
    CHECK_OK(cge_plan_bytes(&golden_model, &plan_bytes));
    if (!check_room("changed units", 16384)) return;
    cge_plan *plan = check_bytes(sizeof *plan);
    void *memory = check_bytes(plan_bytes);
    CHECK_OK(cge_plan_make(&golden_model, &cge_memory_smallest, 1, memory, plan_bytes, plan));
    options.plan = plan;
    cge_unit *units = check_bytes((size_t)plan->unit_count * sizeof *units);
    for (int32_t u = 0; u < plan->unit_count; u++)
        for (size_t i = 0; i < sizeof *units / sizeof(int16_t); i++) {
            memcpy(units, plan->units, (size_t)plan->unit_count * sizeof *units);
            int16_t *member = (int16_t *)(void *)&units[u] + i;
            const cge_unit *right = plan->units;
            (*member)++;
            plan->units = units;
            CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_arena_bytes(&golden_model, &options, &bytes));
            *member = 32000;
            CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_arena_bytes(&golden_model, &options, &bytes));
            *member = -32000;
            CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_arena_bytes(&golden_model, &options, &bytes));
            plan->units = right;
        }
}

/* ---- files ---------------------------------------------------------------------------------------------------------------- */

static void test_saved_graph(void)
{
    enum { ROOM = 8192, MAX_LAYERS = 16 };
    cge_options options = {1, 1, NULL, NULL, NULL};
    size_t plan_bytes = 0, bytes = 0, used = 0;
    cge_model read;
    uint64_t hash = 0, again = 1;
    CHECK_OK(cge_plan_bytes(&golden_model, &plan_bytes));
    if (!check_room("files of graphs", 32768)) return;
    cge_plan *plan = check_bytes(sizeof *plan);
    cge_network *net = check_bytes(sizeof *net);
    cge_layer *layers = check_bytes(MAX_LAYERS * sizeof *layers);
    cge_layer_config *configs = check_bytes(MAX_LAYERS * sizeof *configs);
    void *memory = check_bytes(plan_bytes), *file = check_bytes(ROOM);
    CHECK_OK(cge_plan_make(&golden_model, &cge_memory_small, 1, memory, plan_bytes, plan));
    options.plan = plan;
    CHECK_OK(cge_network_arena_bytes(&golden_model, &options, &bytes));
    void *arena = check_bytes(bytes);
    CHECK_OK(cge_network_init(net, &golden_model, &options, arena, bytes));
    CHECK_OK(cge_network_init_params(net, 5));
    CHECK_OK(cge_network_params_hash(net, &hash));
    if (!CHECK_OK(cge_network_save(net, file, ROOM, &used))) return;
    if (!CHECK_OK(cge_model_parse(file, used, &cge_catalog_all, layers, configs, MAX_LAYERS, &read))) return;
    for (int32_t l = 0; l < read.layer_count; l++) CHECK(memcmp(layers[l].from, golden_layers[l].from, sizeof layers[l].from) == 0);
    CHECK_OK(cge_network_arena_bytes(&read, &options, &bytes)); /* the plan is its own as well */
    CHECK_OK(cge_network_init_params(net, 6));
    CHECK_OK(cge_network_restore(net, file, used));
    CHECK_OK(cge_network_params_hash(net, &again));
    CHECK(hash == again);
}

#ifndef CGE_BARE_METAL

/* Plans of layers are for whole steps in one memory. */
static void test_refusals_of_fast_plans(void)
{
    enum { ROOM = 32768 };
    static uint64_t room[ROOM / 8], memory[ROOM / 8];
    static const cge_memory_range range = {NULL, ROOM};
    cge_options options = {0, 1, NULL, NULL, NULL};
    float x[IN_ELEMS] = {0}, y[4];
    int32_t label = 0;
    const cge_targets targets = {&label, NULL};
    int64_t largest = 77;
    cge_spread spread;
    cge_network net;
    cge_plan plan;
    check_case("refusals of level fast");
    CHECK_OK(cge_plan_make(&golden_model, &cge_memory_fast, 0, memory, sizeof memory, &plan));
    options.plan = &plan;
    if (!CHECK_OK(cge_network_init(&net, &golden_model, &options, room, sizeof room))) return;
    CHECK_STATUS(CGE_ERR_MODE, cge_network_forward_begin(&net, x, 1, y));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_evaluate_begin(&net, x, &targets, 1, NULL));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_largest_slice(&net, &largest));
    CHECK(largest == 77);
    memset(&spread, 0, sizeof spread);
    spread.ranges = &range;
    spread.range_count = 1;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_plan_spread(&golden_model, NULL, sizeof room, &spread, &plan));
    plan.spread = &spread;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_init(&net, &golden_model, &options, room, sizeof room));
    options.training = 1;
    CHECK_OK(cge_plan_make(&golden_model, &cge_memory_fast, 1, memory, sizeof memory, &plan));
    if (!CHECK_OK(cge_network_init(&net, &golden_model, &options, room, sizeof room))) return;
    CHECK_STATUS(CGE_ERR_MODE, cge_network_train_begin(&net, x, &targets, 1));
}

/* The gradient of what works in place lies where its input's does, that of the first layer as well. */
static void test_gradients_in_place(void)
{
    static unsigned char memory[4096];
    cge_plan plan;
    check_case("gradients in place");
    if (!CHECK_OK(cge_plan_make(&golden_model, &cge_memory_fast, 1, memory, sizeof memory, &plan))) return;
    CHECK(plan.units[0].dy >= 0 && plan.units[0].dy == plan.units[1].dy && plan.units[2].dy == plan.units[3].dy);
    CHECK(plan.units[1].dy != plan.units[2].dy);
}

static void test_host_level(void)
{
    test_golden_graph("golden run, fast", &cge_memory_fast, 0);
    test_refusals_of_fast_plans();
    test_gradients_in_place();
}

#else

static void test_host_level(void)
{
}

#endif

void suite_graph(void)
{
    test_golden_graph("golden run, small", &cge_memory_small, 0);
    test_golden_graph("golden run, smallest", &cge_memory_smallest, 0);
    test_golden_graph("golden run, small in slices", &cge_memory_small_sliced, 1);
    test_golden_graph("golden run, smallest in slices", &cge_memory_smallest_sliced, 1);
    test_host_level();
    for (int32_t i = 0; i < COUNT_OF(bad_graphs); i++) test_bad_graph(&bad_graphs[i]);
    test_a_graph_needs_a_plan();
    test_plans_of_other_graphs();
    test_changed_units();
    test_saved_graph();
}
