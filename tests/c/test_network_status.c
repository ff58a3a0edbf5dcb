/* Every refusal of the network's functions; nothing in arena, network struct or outputs may change. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { COUNT = 2, IN = 7, OUT = 4 }; /* of the perceptron */

static struct { /* all in the pool, so that CHECK_REFUSED sees it */
    cge_network *net;
    cge_model *model;
    float *x, *values, *y, *loss;
    int32_t *labels, *correct;
    cge_targets *targets;
    unsigned char *arena;
    size_t arena_bytes, *bytes;
    uint64_t *hash;
    cge_layer_params *params;
} f;

/* The perceptron, with labels and cross-entropy, or as it is. */
static int set_up(const char *name, const cge_options *options, const cge_loss_kind *loss)
{
    cge_model model = perceptron;
    model.loss = loss;
    check_case(name);
    if (!CHECK_OK(cge_network_arena_bytes(&model, options, &f.arena_bytes))) return 0;
    if (!check_room(name, f.arena_bytes + sizeof *f.net + sizeof *f.model + 4 * COUNT * (IN + 2 * OUT + 1) + 128)) return 0;
    f.net = check_bytes(sizeof *f.net);
    f.model = check_bytes(sizeof *f.model);
    *f.model = model;
    f.x = check_operands(COUNT * IN, 1);
    f.values = check_operands(COUNT * OUT, 2);
    f.y = check_floats(COUNT * OUT);
    f.loss = check_floats(1);
    f.labels = check_ints(COUNT);
    f.labels[0] = 0;
    f.labels[1] = OUT - 1;
    f.correct = check_ints(1);
    f.targets = check_bytes(sizeof *f.targets);
    f.targets->labels = f.labels;
    f.targets->values = f.values;
    f.targets->weights = NULL;
    f.bytes = check_bytes(sizeof *f.bytes);
    f.hash = check_bytes(sizeof *f.hash);
    f.params = check_bytes(sizeof *f.params);
    f.arena = check_bytes(f.arena_bytes + 8);
    return 1;
}

static int set_up_network(const char *name, const cge_options *options, const cge_loss_kind *loss)
{
    return set_up(name, options, loss) && CHECK_OK(cge_network_init(f.net, f.model, options, f.arena, f.arena_bytes));
}

static const cge_options training = {1, 1, NULL, NULL, NULL}, inference = {0, 1, NULL, NULL, NULL};

/* ---- init --------------------------------------------------------------------------------------------------------------- */

static void check_options(cge_status status, int32_t is_training, int32_t capacity, const float *params)
{
    cge_options options = {is_training, capacity, params, NULL, NULL};
    CHECK_REFUSED(status, cge_network_arena_bytes(f.model, &options, f.bytes));
    CHECK_REFUSED(status, cge_network_init(f.net, f.model, &options, f.arena, f.arena_bytes));
}

static void test_init(void)
{
    if (!set_up("init", &training, &cge_softmax_cross_entropy)) return;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_init(NULL, f.model, &training, f.arena, f.arena_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_init(f.net, NULL, &training, f.arena, f.arena_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_init(f.net, f.model, &training, NULL, f.arena_bytes));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(f.net, f.model, &training, f.arena, f.arena_bytes - 1));
    for (int32_t i = 1; i < 8; i++) CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_init(f.net, f.model, &training, f.arena + i, f.arena_bytes));
    check_case("options");
    check_options(CGE_ERR_ARGUMENT, 2, 1, NULL);
    check_options(CGE_ERR_ARGUMENT, -1, 1, NULL);
    check_options(CGE_ERR_ARGUMENT, 1, -1, NULL);
    check_options(CGE_ERR_ARGUMENT, 0, INT32_MIN, NULL);
    check_options(CGE_ERR_ARGUMENT, 0, INT32_MAX, NULL);
    check_options(CGE_ERR_ALIGN, 1, 1, misaligned(f.x));
    check_options(CGE_ERR_ALIGN, 0, 1, misaligned(f.x));
    check_case("training without a loss");
    f.model->loss = NULL;
    check_options(CGE_ERR_MODE, 1, 1, NULL);
}

/* ---- NULL, misaligned, counts ----------------------------------------------------------------------------------------------- */

typedef cge_status loss_fn(cge_network *net, const void *x, const cge_targets *targets, int32_t count, float *mean_loss);

static cge_status evaluate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, float *mean_loss)
{
    return cge_network_evaluate(net, x, targets, count, mean_loss, f.correct);
}

static cge_status train_epoch(cge_network *net, const void *x, const cge_targets *targets, int32_t count, float *mean_loss)
{
    return cge_network_train_epoch(net, x, targets, NULL, count, 1, mean_loss);
}

static loss_fn *const loss_calls[] = {evaluate, cge_network_accumulate, cge_network_train_batch, train_epoch};

static void test_loss_call(loss_fn *call)
{
    static const int32_t counts[] = {0, -1, INT32_MIN};
    static const int32_t bad_labels[] = {-1, OUT, INT32_MAX, INT32_MIN};
    cge_targets *t = f.targets;
    CHECK_REFUSED(CGE_ERR_NULL, call(NULL, f.x, t, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_NULL, call(f.net, NULL, t, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_NULL, call(f.net, f.x, NULL, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_NULL, call(f.net, f.x, t, COUNT, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, call(f.net, misaligned(f.x), t, 1, f.loss));
    for (int32_t i = 0; i < COUNT_OF(counts); i++) CHECK_REFUSED(CGE_ERR_ARGUMENT, call(f.net, f.x, t, counts[i], f.loss));
    for (int32_t i = 0; i < COUNT_OF(bad_labels); i++) { /* the second one: the first sample must leave no trace either */
        f.labels[1] = bad_labels[i];
        CHECK_REFUSED(CGE_ERR_LABEL, call(f.net, f.x, t, COUNT, f.loss));
    }
    f.labels[1] = OUT - 1;
    f.labels[0] = OUT;
    CHECK_REFUSED(CGE_ERR_LABEL, call(f.net, f.x, t, COUNT, f.loss));
    f.labels[0] = 0;
    t->labels = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, call(f.net, f.x, t, COUNT, f.loss));
    t->labels = (const int32_t *)(void *)misaligned((float *)(void *)f.labels);
    CHECK_REFUSED(CGE_ERR_ALIGN, call(f.net, f.x, t, 1, f.loss));
    t->labels = f.labels;
}

static void test_order(void)
{
    int32_t order[COUNT] = {0, COUNT};
    check_case("order and batch size");
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, f.targets, order, COUNT, 1, f.loss));
    order[1] = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, f.targets, order, COUNT, 1, f.loss));
    order[1] = 0;
    order[0] = COUNT;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, f.targets, order, COUNT, 1, f.loss));
    order[0] = 0;
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_epoch(f.net, f.x, f.targets, (int32_t *)(void *)misaligned(f.y), 1, 1, f.loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, f.targets, order, COUNT, 0, f.loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, f.targets, order, COUNT, INT32_MIN, f.loss));
}

static void test_values(void)
{
    if (!set_up_network("values as targets", &training, &cge_mean_squared_error)) return;
    for (int32_t i = 0; i < COUNT_OF(loss_calls); i++) {
        f.targets->values = NULL;
        CHECK_REFUSED(CGE_ERR_NULL, loss_calls[i](f.net, f.x, f.targets, COUNT, f.loss));
        f.targets->values = misaligned(f.values);
        CHECK_REFUSED(CGE_ERR_ALIGN, loss_calls[i](f.net, f.x, f.targets, 1, f.loss));
    }
    f.targets->values = f.values;
    f.targets->labels = NULL; /* not read */
    CHECK_OK(cge_network_train_batch(f.net, f.x, f.targets, COUNT, f.loss));
}

static void test_other_calls(void)
{
    check_case("other calls");
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(NULL, f.x, COUNT, f.y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(f.net, NULL, COUNT, f.y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(f.net, f.x, COUNT, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_forward(f.net, misaligned(f.x), 1, f.y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_forward(f.net, f.x, 1, misaligned(f.y)));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_forward(f.net, f.x, 0, f.y));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_forward(f.net, f.x, INT32_MIN, f.y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_init_params(NULL, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_params_hash(NULL, f.hash));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_params_hash(f.net, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_layer_params(NULL, 0, f.params));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_layer_params(f.net, 0, NULL));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_layer_params(f.net, -1, f.params));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_layer_params(f.net, 3, f.params));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_zero_grads(NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_update(NULL));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_update(f.net)); /* nothing was accumulated */
}

/* A network that was never initialised (all zero bytes) is refused, not followed. */
static void test_blank(void)
{
    if (!set_up("blank network", &training, &cge_softmax_cross_entropy)) return;
    memset(f.net, 0, sizeof *f.net);
    for (int32_t i = 0; i < COUNT_OF(loss_calls); i++) CHECK_REFUSED(CGE_ERR_NULL, loss_calls[i](f.net, f.x, f.targets, 1, f.loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(f.net, f.x, 1, f.y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_init_params(f.net, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_update(f.net));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_zero_grads(f.net));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_params_hash(f.net, f.hash));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_layer_params(f.net, 0, f.params));
    f.net->model = f.model; /* half initialised */
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(f.net, f.x, 1, f.y));
}

/* ---- modes --------------------------------------------------------------------------------------------------------------------- */

static void test_inference_mode(void)
{
    if (!set_up_network("inference", &inference, &cge_softmax_cross_entropy)) return;
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_accumulate(f.net, f.x, f.targets, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_batch(f.net, f.x, f.targets, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_epoch(f.net, f.x, f.targets, NULL, COUNT, 1, f.loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_update(f.net));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_zero_grads(f.net));
    CHECK_OK(cge_network_evaluate(f.net, f.x, f.targets, COUNT, f.loss, f.correct));
    if (!set_up_network("no loss", &inference, NULL)) return;
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_evaluate(f.net, f.x, f.targets, COUNT, f.loss, f.correct));
    CHECK_OK(cge_network_forward(f.net, f.x, COUNT, f.y));
}

static void test_flash_params(void)
{
    static const float zeros[128];
    static const cge_options flash = {0, 1, zeros, NULL, NULL};
    if (!set_up_network("parameters in flash", &flash, &cge_softmax_cross_entropy)) return;
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_init_params(f.net, 1));
}

static void test_optimizer_modes(void)
{
    if (!set_up("no optimiser", &training, &cge_softmax_cross_entropy)) return;
    f.model->optimizer.kind = NULL;
    CHECK_OK(cge_network_init(f.net, f.model, &training, f.arena, f.arena_bytes));
    CHECK_OK(cge_network_accumulate(f.net, f.x, f.targets, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_update(f.net));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_batch(f.net, f.x, f.targets, COUNT, f.loss));
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_train_epoch(f.net, f.x, f.targets, NULL, COUNT, 1, f.loss));
    if (!set_up_network("momentum without memory for it", &training, &cge_softmax_cross_entropy)) return;
    CHECK_OK(cge_network_accumulate(f.net, f.x, f.targets, COUNT, f.loss));
    f.net->optimizer.momentum = 0.5f;
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_update(f.net));
    f.net->optimizer.momentum = 1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_update(f.net));
    f.net->optimizer.momentum = 0;
    CHECK_OK(cge_network_update(f.net));
    check_case("more samples than can be counted");
    f.net->pending = INT32_MAX - 1;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_accumulate(f.net, f.x, f.targets, COUNT, f.loss));
    f.net->pending = INT32_MAX - COUNT;
    CHECK_OK(cge_network_accumulate(f.net, f.x, f.targets, COUNT, f.loss));
    CHECK(f.net->pending == INT32_MAX);
}

void suite_network_status(void)
{
    test_init();
    test_blank();
    test_inference_mode();
    test_flash_params();
    test_optimizer_modes();
    test_values();
    if (!set_up_network("training calls", &training, &cge_softmax_cross_entropy)) return;
    for (int32_t i = 0; i < COUNT_OF(loss_calls); i++) test_loss_call(loss_calls[i]);
    test_order();
    test_other_calls();
}
