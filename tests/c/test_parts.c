/* Epochs and evaluations in parts: the bits of the whole, wherever a part ends. And the stream of shuffles. */
#include "check.h"
#include "models.h"
#include "oracle.h"
#include "suites.h"

#include <string.h>

enum { SAMPLES = 7, BATCH = 3, SEED = 5, NAN_BITS = 0x7fc00000 };

static cge_network net;
static const cge_options training = {1, 2, NULL, NULL, NULL};

static struct {
    float *x, *values, *mean_loss;
    int32_t *labels, *order, *correct;
    cge_targets targets;
    cge_progress *progress;
    unsigned char *arena;
    size_t arena_bytes;
} f;

/* Data of SAMPLES samples and a network; everything that a call may write to is in the pool. */
static int set_up(const char *name, const cge_model *model)
{
    const int32_t in = model->input.h * model->input.w * model->input.c, out = oracle_out_elems(model);
    check_case(name);
    if (!CHECK_OK(cge_network_arena_bytes(model, &training, &f.arena_bytes))) return 0;
    if (!check_room(name, f.arena_bytes + 4 * (size_t)(SAMPLES * (in + out + 2) + 2) + sizeof *f.progress)) return 0;
    f.x = check_operands(SAMPLES * in, 1);
    f.values = check_operands(SAMPLES * out, 2);
    f.labels = check_ints(SAMPLES);
    f.order = check_ints(SAMPLES);
    f.mean_loss = check_floats(1);
    f.correct = check_ints(1);
    f.progress = check_bytes(sizeof *f.progress);
    f.arena = check_bytes(f.arena_bytes);
    for (int32_t i = 0; i < SAMPLES; i++) f.labels[i] = (3 * i + 1) % out;
    for (int32_t i = 0; i < SAMPLES; i++) f.order[i] = 5 * i % SAMPLES;
    f.targets.labels = f.labels;
    f.targets.values = f.values;
    return 1;
}

/* The same network again. */
static void begin(const cge_model *model)
{
    CHECK_OK(cge_network_init(&net, model, &training, f.arena, f.arena_bytes));
    CHECK_OK(cge_network_init_params(&net, SEED));
    memset(f.progress, 0, sizeof *f.progress);
}

static uint64_t hash_of_state(void)
{
    uint64_t hash = 0, state = 0;
    CHECK_OK(cge_network_params_hash(&net, &hash));
    for (int32_t i = 0; net.velocity != NULL && i < net.grad_elems; i++) state = state * 31 + float_bits(net.velocity[i]);
    return hash ^ state ^ net.step_count;
}

static cge_status part(int32_t most)
{
    return cge_network_train_epoch_part(&net, f.x, &f.targets, f.order, SAMPLES, BATCH, most, f.progress, f.mean_loss);
}

static cge_status train_into(cge_network *network, int32_t batch_size, cge_progress *progress, float *mean_loss)
{
    return cge_network_train_epoch_part(network, f.x, &f.targets, f.order, SAMPLES, batch_size, 1, progress, mean_loss);
}

static cge_status evaluate_part(int32_t most)
{
    return cge_network_evaluate_part(&net, f.x, &f.targets, SAMPLES, most, f.progress, f.mean_loss);
}

static void test_train_parts(const test_model *m)
{
    static const int32_t most[] = {1, 2, 3, 4, 6, SAMPLES, INT32_MAX};
    uint64_t expected;
    float loss;
    if (!set_up(m->name, &m->model)) return;
    begin(&m->model);
    CHECK_OK(cge_network_train_epoch(&net, f.x, &f.targets, f.order, SAMPLES, BATCH, f.mean_loss));
    loss = *f.mean_loss;
    expected = hash_of_state();
    for (int32_t i = 0; i < COUNT_OF(most); i++) {
        begin(&m->model);
        while (f.progress->done < SAMPLES) {
            const int32_t done = f.progress->done, step = most[i] < SAMPLES - done ? most[i] : SAMPLES - done;
            if (!CHECK_OK(part(most[i]))) return;
            CHECK(f.progress->done == done + step);
            CHECK(net.pending == (f.progress->done == SAMPLES ? 0 : f.progress->done % BATCH));
            CHECK(net.step_count == (uint64_t)(f.progress->done == SAMPLES ? 3 : f.progress->done / BATCH));
        }
        CHECK_SAME(loss, *f.mean_loss, most[i]);
        CHECK(hash_of_state() == expected);
    }
}

static void test_evaluate_parts(const test_model *m)
{
    static const int32_t most[] = {1, 2, 5, SAMPLES, INT32_MAX};
    float loss;
    if (!set_up(m->name, &m->model)) return;
    begin(&m->model);
    CHECK_OK(cge_network_evaluate(&net, f.x, &f.targets, SAMPLES, f.mean_loss, f.correct));
    loss = *f.mean_loss;
    for (int32_t i = 0; i < COUNT_OF(most); i++) {
        memset(f.progress, 0, sizeof *f.progress);
        while (f.progress->done < SAMPLES)
            if (!CHECK_OK(evaluate_part(most[i]))) return;
        CHECK_SAME(loss, *f.mean_loss, most[i]);
        CHECK(f.progress->correct == *f.correct);
    }
}

/* The mean so far is that of a shorter evaluation. */
static void test_mean_so_far(void)
{
    float loss;
    if (!set_up("mean so far", &convnet)) return;
    begin(&convnet);
    CHECK_OK(evaluate_part(3));
    CHECK_OK(evaluate_part(2));
    loss = *f.mean_loss;
    CHECK_OK(cge_network_evaluate(&net, f.x, &f.targets, 5, f.mean_loss, f.correct));
    CHECK_SAME(loss, *f.mean_loss, 0);
    CHECK(f.progress->done == 5 && f.progress->correct == *f.correct);
}

static void test_refusals(void)
{
    static const int32_t none[] = {0, -1, INT32_MIN};
    if (!set_up("parts refused", &convnet)) return;
    begin(&convnet);
    for (int32_t i = 0; i < COUNT_OF(none); i++) {
        CHECK_REFUSED(CGE_ERR_ARGUMENT, part(none[i]));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, evaluate_part(none[i]));
    }
    CHECK_REFUSED(CGE_ERR_NULL, train_into(&net, BATCH, NULL, f.mean_loss));
    CHECK_REFUSED(CGE_ERR_NULL, train_into(&net, BATCH, f.progress, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, train_into(NULL, BATCH, f.progress, f.mean_loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, train_into(&net, 0, f.progress, f.mean_loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_evaluate_part(&net, f.x, &f.targets, SAMPLES, 1, NULL, f.mean_loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_evaluate_part(NULL, f.x, &f.targets, SAMPLES, 1, f.progress, f.mean_loss));
    f.progress->done = SAMPLES;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, part(1));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, evaluate_part(1));
    f.progress->done = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, part(1));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, evaluate_part(1));
    f.progress->done = 0;
    f.order[1] = SAMPLES;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, part(2)); /* the second sample: the first leaves no trace either */
    f.order[1] = 4;
    f.labels[4] = 3;
    CHECK_REFUSED(CGE_ERR_LABEL, part(2));
    f.labels[4] = 0;
    CHECK_OK(part(2));
}

/* A batch that somebody else's call took the gradients from is not finished with what is left. */
static void test_disturbed_batch(void)
{
    if (!set_up("disturbed batch", &convnet)) return;
    begin(&convnet);
    CHECK_OK(part(2));
    CHECK_OK(cge_network_zero_grads(&net));
    CHECK_REFUSED(CGE_ERR_MODE, part(2));
    begin(&convnet);
    CHECK_OK(part(BATCH));
    CHECK_OK(cge_network_accumulate(&net, f.x, &f.targets, 1, f.mean_loss)); /* between batches it is forgotten */
    CHECK_OK(part(BATCH));
    CHECK(net.step_count == 2 && net.pending == 0);
}

/* Outputs that are no numbers are no answer, least of all class 0. */
static void test_nan_is_not_right(void)
{
    static const cge_layer layers[] = {PLAIN(flatten)};
    static const cge_model pass_through = {{1, 1, 3}, TABLE(layers), &cge_softmax_cross_entropy, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    static const struct {
        const char *name;
        uint32_t y[3];
        int32_t label, right;
    } cases[] = {
        {"all NaN, label 0", {NAN_BITS, NAN_BITS, NAN_BITS}, 0, 0},
        {"all NaN, label 2", {NAN_BITS, NAN_BITS, NAN_BITS}, 2, 0},
        {"NaN before", {NAN_BITS, 0x3f800000, 0x40000000}, 2, 0},
        {"NaN behind", {0x40000000, 0x3f800000, NAN_BITS}, 0, 0},
        {"infinite", {0x7f800000, 0x3f800000, 0}, 0, 1},
        {"largest", {0x3f800000, 0x40000000, 0x3f800000}, 1, 1},
        {"equal, the first", {0x3f800000, 0x40000000, 0x40000000}, 1, 1},
        {"equal, the second", {0x3f800000, 0x40000000, 0x40000000}, 2, 0},
        {"smaller", {0x3f800000, 0x40000000, 0}, 0, 0},
    };
    if (!set_up("NaN is not right", &pass_through)) return;
    begin(&pass_through);
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        check_case(cases[i].name);
        for (int32_t k = 0; k < 3; k++) f.x[k] = float_from_bits(cases[i].y[k]);
        f.labels[0] = cases[i].label;
        CHECK_OK(cge_network_evaluate(&net, f.x, &f.targets, 1, f.mean_loss, f.correct));
        CHECK(*f.correct == cases[i].right);
    }
}

/* One seed, one stream: of weights, and of shuffles. */
static void test_shuffle_stream(void)
{
    cge_rng expected;
    if (!set_up("shuffle stream", &convnet)) return;
    memset(&net, 0xee, sizeof net);
    CHECK_OK(cge_network_init(&net, &convnet, &training, f.arena, f.arena_bytes));
    CHECK_OK(cge_rng_seed(&expected, 0));
    CHECK(net.rng.state == expected.state && net.rng.increment == expected.increment);
    CHECK_OK(cge_network_init_params(&net, SEED));
    CHECK_OK(cge_rng_seed(&expected, SEED));
    CHECK(net.rng.state == expected.state && net.rng.increment == expected.increment);
    memset(f.progress, 0, sizeof *f.progress);
    CHECK_OK(part(SAMPLES));
    CHECK(net.rng.state == expected.state); /* training draws nothing by itself */
}

void suite_parts(void)
{
    for (int32_t i = 0; i < test_model_count; i++) {
        test_train_parts(&test_models[i]);
        test_evaluate_parts(&test_models[i]);
    }
    test_mean_so_far();
    test_refusals();
    test_disturbed_batch();
    test_nan_is_not_right();
    test_shuffle_stream();
}
