/*
 * Training with the frozen parameters outside the arena: the bits of a network that has all of them inside, in an arena that is
 * smaller by just those. With and without a plan.
 */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED = 12, SEED_X = 801, SEED_VALUES, STEPS = 5, FILE_WORDS = 1024, MOST_PARAMS = 400 };

static const cge_memory_level *const levels[] = {NULL, &cge_memory_small, &cge_memory_smallest};

typedef struct case_data { /* of one model and level */
    const cge_model *model;
    const cge_memory_level *level;
    cge_plan plan;
    cge_options options;
    float *outside, *x, *values;
    int32_t labels[1], params, frozen;
    unsigned char *plan_memory, *arena, *file;
    size_t plan_bytes, arena_bytes, all_inside_bytes;
} case_data;

static int32_t count_params(const cge_model *m, int32_t *frozen)
{
    int32_t params = 0;
    *frozen = 0;
    for (int32_t l = 0; l < m->layer_count; l++) {
        cge_layer_info info;
        CHECK_OK(cge_model_layer_info(m, l, &info));
        params += info.weight_elems + info.bias_elems;
        if ((m->layers[l].flags & CGE_FROZEN) != 0) *frozen += info.weight_elems + info.bias_elems;
    }
    return params;
}

static int32_t outputs(const cge_model *m)
{
    cge_layer_info info;
    CHECK_OK(cge_model_layer_info(m, m->layer_count - 1, &info));
    return info.out.h * info.out.w * info.out.c;
}

static void set_options(case_data *c, const float *params)
{
    memset(&c->options, 0, sizeof c->options);
    c->options.training = 1;
    c->options.params = params;
    if (c->level != NULL) c->options.plan = &c->plan;
}

static int set_up_case(case_data *c, const test_model *m, const cge_memory_level *level)
{
    const size_t in = (size_t)(m->model.input.h * m->model.input.w * m->model.input.c), out = (size_t)outputs(&m->model);
    memset(c, 0, sizeof *c);
    c->model = &m->model;
    c->level = level;
    c->params = count_params(c->model, &c->frozen);
    CHECK_OK(cge_plan_bytes(c->model, &c->plan_bytes));
    if (!check_room(m->name, c->plan_bytes)) return 0;
    c->plan_memory = check_bytes(c->plan_bytes);
    if (level != NULL) CHECK_OK(cge_plan_make(c->model, level, 1, c->plan_memory, c->plan_bytes, &c->plan));
    set_options(c, NULL);
    CHECK_OK(cge_network_arena_bytes(c->model, &c->options, &c->all_inside_bytes));
    if (!check_room(m->name, c->plan_bytes + c->all_inside_bytes + 4 * ((size_t)c->params + in + out + FILE_WORDS))) return 0;
    c->plan_memory = check_bytes(c->plan_bytes);
    if (level != NULL) CHECK_OK(cge_plan_make(c->model, level, 1, c->plan_memory, c->plan_bytes, &c->plan));
    c->outside = check_operands(c->params > 0 ? c->params : 1, SEED);
    c->x = check_operands((int32_t)in, SEED_X);
    c->values = check_operands((int32_t)out, SEED_VALUES);
    c->labels[0] = (int32_t)out - 1;
    c->arena = check_bytes(c->all_inside_bytes);
    c->file = check_bytes(4 * FILE_WORDS);
    set_options(c, c->outside);
    return CHECK_OK(cge_network_arena_bytes(c->model, &c->options, &c->arena_bytes));
}

static uint64_t train_some(cge_network *net, case_data *c, int32_t steps)
{
    const cge_targets targets = {c->labels, c->values};
    uint64_t hash = 0;
    float loss = 0;
    for (int32_t i = 0; i < steps; i++) CHECK_OK(cge_network_train_batch(net, c->x, &targets, 1, &loss));
    CHECK_OK(cge_network_params_hash(net, &hash));
    return hash;
}

static void test_training(const test_model *m, const cge_memory_level *level)
{
    case_data c;
    cge_network net;
    uint64_t inside, half;
    size_t used = 0;
    if (!set_up_case(&c, m, level)) return;
    CHECK(c.arena_bytes + 4 * (size_t)c.frozen == c.all_inside_bytes);
    set_options(&c, NULL);
    CHECK_OK(cge_network_init(&net, c.model, &c.options, c.arena, c.all_inside_bytes));
    memcpy(net.params, c.outside, sizeof(float) * (size_t)c.params);
    half = train_some(&net, &c, STEPS);
    inside = train_some(&net, &c, STEPS);
    set_options(&c, c.outside);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&net, c.model, &c.options, c.arena, c.arena_bytes - 1));
    CHECK_OK(cge_network_init(&net, c.model, &c.options, c.arena, c.arena_bytes));
    CHECK(train_some(&net, &c, STEPS) == half);
    if (!CHECK_OK(cge_network_save(&net, c.file, 4 * FILE_WORDS, &used))) return;
    CHECK(train_some(&net, &c, STEPS) == inside);
    CHECK_OK(cge_network_restore(&net, c.file, used));
    CHECK(train_some(&net, &c, STEPS) == inside);
    for (int32_t i = 0; i < c.params; i++) CHECK_SAME(operand(SEED, i), c.outside[i], i); /* still what it was */
    CHECK_STATUS(CGE_ERR_MODE, cge_network_init_params(&net, 1));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_set_params(&net, c.outside));
}

/* A file with other frozen parameters than those outside. */
static void test_restore_of_others(void)
{
    case_data c;
    cge_network net;
    size_t used = 0;
    uint64_t before = 0, after = 0;
    if (!set_up_case(&c, &test_models[2], NULL)) return;
    CHECK_OK(cge_network_init(&net, c.model, &c.options, c.arena, c.arena_bytes));
    if (!CHECK_OK(cge_network_save(&net, c.file, 4 * FILE_WORDS, &used))) return;
    (void)train_some(&net, &c, 1);
    c.outside[0] += 1; /* the first layer is frozen */
    CHECK_OK(cge_network_params_hash(&net, &before));
    CHECK_STATUS(CGE_ERR_MISMATCH, cge_network_restore(&net, c.file, used));
    CHECK_OK(cge_network_params_hash(&net, &after));
    CHECK(before == after && net.step_count == 1);
    c.outside[0] = operand(SEED, 0);
    CHECK_OK(cge_network_restore(&net, c.file, used));
}

/* Where a layer's parameters lie. */
static void test_pointers(void)
{
    case_data c;
    cge_network net;
    cge_layer_params params;
    if (!set_up_case(&c, &test_models[2], NULL)) return;
    CHECK_OK(cge_network_init(&net, c.model, &c.options, c.arena, c.arena_bytes));
    CHECK_OK(cge_network_layer_params(&net, 0, &params));
    CHECK(params.w == c.outside && params.dw == NULL);
    CHECK_OK(cge_network_layer_params(&net, 2, &params));
    CHECK(params.w == net.params && params.dw == net.grads);
}

void suite_outside(void)
{
    for (int32_t i = 0; i < test_model_count; i++)
        for (int32_t l = 0; l < COUNT_OF(levels); l++)
            if (test_models[i].model.optimizer.kind != NULL) test_training(&test_models[i], levels[l]);
    test_restore_of_others();
    test_pointers();
}
