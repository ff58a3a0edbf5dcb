/* A network in two: the tail learns from what the front put out, to the bit as the whole does. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED_X = 61, ELEMS = 60, SAMPLES = 4, CUT = 4, LAYERS = 8, STEPS = 3, FEATURES = 4 * 6 * 5 };

#define DROPPED(layer_) {.kind = &cge_kind_dropout, .config = &(const cge_dropout){0.5f, 7, layer_}}
static const cge_layer table[LAYERS] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_FROZEN), PLAIN(tanh),
    DROPPED(0), DENSE(6, 0, 0), DROPPED(0), DENSE(3, 0, 0)};
static const cge_layer behind[] = {DROPPED(CUT + 1), DENSE(6, 0, 0), DROPPED(CUT + 3), DENSE(3, 0, 0)}; /* says its rows */
static const cge_model whole = {
    {6, 5, 2}, TABLE(table), &cge_softmax_cross_entropy, ADAPTIVE(adam, 0.05f, 0.9f, 0, 0.999f, 1e-8f), NULL, 0, 0};
static const cge_model front = {.input = {6, 5, 2}, .layers = table, .layer_count = CUT};
static const int32_t labels[SAMPLES] = {0, 2, 1, 2};
static const cge_targets targets = {.labels = labels};

/* With a level by a plan. The arena is left in the check's memory. */
static int start(cge_network *net, const cge_model *model, const cge_memory_level *level, cge_plan *plan, cge_options options)
{
    size_t bytes = 0;
    if (level != NULL) {
        if (!CHECK_OK(cge_plan_bytes(model, &bytes))) return 0;
        if (!CHECK_OK(cge_plan_make(model, level, 1, check_bytes(bytes), bytes, plan))) return 0;
        options.plan = plan;
    }
    if (!CHECK_OK(cge_network_arena_bytes(model, &options, &bytes))) return 0;
    return CHECK_OK(cge_network_init(net, model, &options, check_bytes(bytes), bytes));
}

static void train(cge_network *net, const float *x, float *losses)
{
    for (int32_t step = 0; step < STEPS; step++) CHECK_OK(cge_network_train_batch(net, x, &targets, SAMPLES, &losses[step]));
}

static void test_tail(const cge_memory_level *level, const cge_layer *rows)
{
    cge_network one, first, second;
    cge_model tail = whole;
    cge_layer_info info;
    cge_plan plan_of_one, plan_of_second;
    float losses[STEPS], again[STEPS];
    size_t bytes_of_one = 0;
    CHECK_OK(cge_network_arena_bytes(&whole, &(cge_options){.training = 1}, &bytes_of_one));
    if (!check_room("tail", 32768)) return; /* three networks, their plans, parameters and features */
    if (!start(&one, &whole, level, &plan_of_one, (cge_options){.training = 1})) return;
    if (!CHECK_OK(cge_network_init_params(&one, 5))) return;
    float *params = check_floats(one.param_elems), *features = check_floats(SAMPLES * FEATURES);
    memcpy(params, one.params, (size_t)one.param_elems * sizeof *params);
    const float *x = check_operands(SAMPLES * ELEMS, SEED_X);

    if (!CHECK_OK(cge_model_layer_info(&whole, CUT - 1, &info))) return;
    tail.input = info.out, tail.layers = rows, tail.layer_count = LAYERS - CUT;
    if (!start(&first, &front, NULL, NULL, (cge_options){.params = params})) return;
    const cge_options trains = {.training = 1, .params = params + first.param_elems};
    if (!start(&second, &tail, level, &plan_of_second, trains)) return;
    CHECK(first.out_elems == FEATURES && first.out_elems == second.in_elems);

    CHECK_OK(cge_network_forward(&first, x, SAMPLES, features));
    train(&one, x, losses);
    train(&second, features, again);
    const size_t bytes = (size_t)second.param_elems * sizeof *params;
    const int same = memcmp(one.params + first.param_elems, second.params, bytes) == 0;
    CHECK(same == (rows == behind) && (memcmp(losses, again, sizeof losses) == 0) == same);
    CHECK(memcmp(one.params, params, (size_t)first.param_elems * sizeof *params) == 0);
    CHECK(memcmp(second.params, params + first.param_elems, bytes) != 0);
}

void suite_tail(void)
{
    test_tail(NULL, behind);
    test_tail(NULL, table + CUT); /* whose dropout draws by other rows */
    test_tail(&cge_memory_small, behind);
}
