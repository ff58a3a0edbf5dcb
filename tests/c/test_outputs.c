/* Several outputs, each with a loss of its own: sums in the order of the contract, bits through every way to train. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED_X = 171, SEED_VALUES, SEED_WEIGHTS };
enum { IN = 4, ELEMS = 9, COUNT = 5, LABELS = 2, BATCH = 3, FILE_BYTES = 1024, LAYERS = 3 };

/* Weights that are powers of two: products are exact, so that fused multiply-adds change nothing. */
static cge_output table[COUNT] = {
    {&cge_softmax_cross_entropy, {0, 0, 0, 0}, 3, 1.0f}, {&cge_mean_squared_error, {0, 0, 0, 0}, 2, 0.5f},
    {&cge_distillation, {0, 0, 2, 0.25f}, 2, 0.25f},     {&cge_binary_cross_entropy, {0, 0, 0, 0}, 1, 2.0f},
    {&cge_huber, {0.25f, 0, 0, 0}, 1, 0.0f}};

static const cge_layer two_dense[] = {DENSE(5, 0, CGE_INIT_GLOROT_UNIFORM), PLAIN(tanh), DENSE(ELEMS, 0, 0)};
static cge_model headed = {
    .input = {1, 1, IN}, TABLE(two_dense), .loss = &cge_multi_output, .optimizer = SGD(0.1f, 0.9f, 0, 0),
    .outputs = table, .output_count = COUNT};

static const cge_layer wide[] = {DENSE(32, 0, 0)};

static struct headed_net { /* what is large lies in the pool: boards have little memory */
    cge_network *net;
    cge_options options;
    cge_plan plan;
    float *x, *values, *weights;
    int32_t *labels;
    cge_weights weighted;
    cge_targets targets;
} f;

/* At a level; NULL: without a plan. */
static int start(const cge_memory_level *level, size_t more)
{
    size_t bytes = 0, plan_bytes = 0;
    memset(&f, 0, sizeof f);
    f.options.training = 1;
    CHECK_OK(cge_plan_bytes(&headed, &plan_bytes));
    if (!CHECK_OK(cge_network_arena_bytes(&headed, &f.options, &bytes))) return 0; /* with a plan it is less */
    const size_t data = 4 * BATCH * (IN + ELEMS + LABELS + 1) + sizeof *f.net;
    if (!check_room("several outputs", bytes + plan_bytes + data + more)) return 0;
    f.net = check_bytes(sizeof *f.net);
    f.x = check_operands(BATCH * IN, SEED_X);
    f.values = check_operands(BATCH * ELEMS, SEED_VALUES);
    f.weights = check_operands(BATCH, SEED_WEIGHTS);
    f.labels = check_ints(BATCH * LABELS);
    for (int32_t i = 0; i < BATCH; i++) {
        f.labels[i * LABELS] = i % 3, f.labels[i * LABELS + 1] = i % 2;
        f.values[i * ELEMS + 7] = 0.5f + 0.5f * f.values[i * ELEMS + 7];
        f.weights[i] += 1;
    }
    if (level != NULL) {
        CHECK_OK(cge_plan_make(&headed, level, 1, check_bytes(plan_bytes), plan_bytes, &f.plan));
        f.options.plan = &f.plan;
        CHECK_OK(cge_network_arena_bytes(&headed, &f.options, &bytes));
    }
    f.weighted.kind = &cge_weighted;
    f.weighted.samples = f.weights;
    f.targets.labels = f.labels;
    f.targets.values = f.values;
    if (!CHECK_OK(cge_network_init(f.net, &headed, &f.options, check_bytes(bytes), bytes))) return 0;
    return CHECK_OK(cge_network_init_params(f.net, 5));
}

static cge_targets sample_of(int32_t i)
{
    cge_targets one = f.targets;
    one.labels += i * LABELS;
    one.values += i * ELEMS;
    return one;
}

static uint64_t hash_of_params(void)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(f.net, &hash));
    return hash;
}

/* ---- the contract ---- */

/* Each output's loss and gradient by its own operator: loss [COUNT], dx [ELEMS]. */
static void single_losses(const float *y, int32_t i, float *loss, float *dx)
{
    const int32_t *labels = f.labels + i * LABELS;
    const float *values = f.values + i * ELEMS;
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, y, labels[0], &loss[0]));
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(3, y, labels[0], dx));
    CHECK_OK(cge_mean_squared_error_forward_f32(2, y + 3, values + 3, &loss[1]));
    CHECK_OK(cge_mean_squared_error_input_grad_f32(2, y + 3, values + 3, dx + 3));
    CHECK_OK(cge_distillation_forward_f32(2, 2, 0.25f, y + 5, labels[1], values + 5, &loss[2]));
    CHECK_OK(cge_distillation_input_grad_f32(2, 2, 0.25f, y + 5, labels[1], values + 5, dx + 5));
    CHECK_OK(cge_binary_cross_entropy_forward_f32(1, y + 7, values + 7, &loss[3]));
    CHECK_OK(cge_binary_cross_entropy_input_grad_f32(1, y + 7, values + 7, dx + 7));
    CHECK_OK(cge_huber_forward_f32(1, 0.25f, y + 8, values + 8, &loss[4]));
    CHECK_OK(cge_huber_input_grad_f32(1, 0.25f, y + 8, values + 8, dx + 8));
}

static void test_contract(void)
{
    for (int32_t i = 0; i < BATCH; i++)
        for (int weighs = 0; weighs < 2; weighs++) {
            float y[ELEMS], dx[ELEMS], loss[COUNT], sum = 0, evaluated = 0, trained = 0;
            cge_weights of_one = {0};
            cge_layer_params last;
            int32_t correct = -1;
            if (!start(NULL, 0)) return;
            cge_targets one = sample_of(i);
            const float *x = f.x + i * IN, weight = weighs ? f.weights[i] : 1;
            of_one.kind = &cge_weighted;
            of_one.samples = f.weights + i;
            if (weighs) one.weights = &of_one;
            CHECK_OK(cge_network_forward(f.net, x, 1, y));
            single_losses(y, i, loss, dx);
            for (int32_t o = 0; o < COUNT; o++) sum += table[o].weight * loss[o];
            CHECK_OK(cge_network_evaluate(f.net, x, &one, 1, &evaluated, &correct));
            CHECK_SAME(sum * weight, evaluated, i);
            CHECK(correct == 0);
            CHECK_OK(cge_network_accumulate(f.net, x, &one, 1, &trained));
            CHECK_SAME(sum * weight, trained, i);
            CHECK_OK(cge_network_layer_params(f.net, 2, &last));
            for (int32_t o = 0, k = 0; o < COUNT; o++)
                for (int32_t end = k + table[o].elems; k < end; k++)
                    CHECK_SAME(dx[k] * table[o].weight * weight + 0.0f, last.db[k] + 0.0f, k);
        }
}

static void check_sums(const float *expected, const int32_t *right, const cge_progress *losses)
{
    for (int32_t o = 0; o < COUNT; o++) {
        const float off = losses[o].loss_sum - expected[o];
        CHECK(off * off <= 1e-12f * (1 + expected[o] * expected[o]));
        CHECK(losses[o].correct == right[o] && losses[o].done == 0);
    }
}

/* Of outputs with labels whether it is the label that is largest, of logits how many are on their target's side. */
static void count_right(const float *y, int32_t i, int32_t *right)
{
    const int32_t *labels = f.labels + i * LABELS;
    right[0] += labels[0] == (y[1] > y[0] ? (y[2] > y[1] ? 2 : 1) : (y[2] > y[0] ? 2 : 0));
    right[2] += labels[1] == (y[6] > y[5]);
    right[3] += (y[7] > 0) == (f.values[i * ELEMS + 7] > 0.5f);
}

/* Each output's loss and gradients times its own weights of the sample and the label, and what its losses come to. */
static void test_weights_of_each_output(void)
{
    static const float classes[ELEMS] = {1, 0.5f, 2, 9, 9, 4, 0.25f, 9, 9}; /* 9: of losses that read no labels */
    static const float samples[BATCH * COUNT] = {1, 2, 0.5f, 4, 0.25f, 0, 1, 2, 0.5f, 8, 2, 2, 0.5f, 1, 4};
    for (int which = 0; which < 4; which++) { /* none, of samples, of classes, of both */
        cge_progress losses[COUNT] = {{0, 0, 0, 0, 0}};
        float expected[COUNT] = {0}, mean = 0;
        int32_t right[COUNT] = {0};
        if (!start(NULL, 0)) return;
        f.weighted.kind = &cge_weighted_outputs;
        f.weighted.samples = which & 1 ? samples : NULL;
        f.weighted.classes = which & 2 ? classes : NULL;
        f.weighted.losses = losses;
        for (int32_t i = 0; i < BATCH; i++) {
            float y[ELEMS], dx[ELEMS], loss[COUNT], sum = 0;
            cge_weights of_one = f.weighted;
            cge_targets one = sample_of(i);
            cge_layer_params last;
            if (which & 1) of_one.samples = samples + i * COUNT;
            one.weights = &of_one;
            CHECK_OK(cge_network_forward(f.net, f.x + i * IN, 1, y));
            single_losses(y, i, loss, dx);
            count_right(y, i, right);
            CHECK_OK(cge_network_zero_grads(f.net));
            CHECK_OK(cge_network_accumulate(f.net, f.x + i * IN, &one, 1, &mean));
            CHECK_OK(cge_network_layer_params(f.net, 2, &last));
            for (int32_t o = 0, k = 0; o < COUNT; o++) {
                float weight = which & 1 ? samples[i * COUNT + o] : 1;
                if (which & 2 && o == 0) weight *= classes[f.labels[i * LABELS]];
                if (which & 2 && o == 2) weight *= classes[5 + f.labels[i * LABELS + 1]];
                expected[o] += loss[o] * weight;
                sum += table[o].weight * (loss[o] * weight);
                for (int32_t end = k + table[o].elems; k < end; k++)
                    CHECK_SAME(dx[k] * weight * table[o].weight + 0.0f, last.db[k] + 0.0f, k);
            }
            CHECK_SAME(sum, mean, i);
        }
        check_sums(expected, right, losses);
        f.targets.weights = &f.weighted;
        CHECK(right[0] + right[2] + right[3] > 0);
        memset(losses, 0, sizeof losses);
        CHECK_OK(cge_network_evaluate(f.net, f.x, &f.targets, BATCH, &mean, NULL));
        check_sums(expected, right, losses);
    }
}

/* Where no loss reads labels, there need be none. */
static void test_without_labels(void)
{
    static cge_output two[] = {{&cge_mean_squared_error, {0, 0, 0, 0}, 4, 1}, {&cge_mean_squared_error, {0, 0, 0, 0}, 5, 0.5f}};
    float y[ELEMS], first = 0, second = 0, mean = 0;
    const cge_model was = headed;
    headed.outputs = two, headed.output_count = 2;
    if (start(NULL, 0)) {
        f.targets.labels = NULL;
        CHECK_OK(cge_network_forward(f.net, f.x, 1, y));
        CHECK_OK(cge_mean_squared_error_forward_f32(4, y, f.values, &first));
        CHECK_OK(cge_mean_squared_error_forward_f32(5, y + 4, f.values + 4, &second));
        CHECK_OK(cge_network_train_batch(f.net, f.x, &f.targets, 1, &mean));
        CHECK_SAME(first + 0.5f * second, mean, 0);
    }
    headed = was;
}

/* Sample after sample: batches of one, an epoch of such, or steps in slices. 0 if one fails. */
static uint64_t train(const cge_memory_level *level, int way, float *losses)
{
    if (!start(level, 0)) return 0;
    if (way == 1)
        return CHECK_OK(cge_network_train_epoch(f.net, f.x, &f.targets, NULL, BATCH, 1, losses)) ? hash_of_params() : 0;
    for (int32_t i = 0; i < BATCH; i++) {
        const cge_targets one = sample_of(i);
        cge_status status;
        if (way == 0) status = cge_network_train_batch(f.net, f.x + i * IN, &one, 1, &losses[i]);
        else {
            status = cge_network_train_begin(f.net, f.x + i * IN, &one, 1);
            if (status == CGE_OK) do status = cge_network_resume(f.net, 20, &losses[i]); while (status == CGE_AGAIN);
        }
        if (!CHECK_STATUS(CGE_OK, status)) return 0;
    }
    return hash_of_params();
}

static void test_levels(void)
{
    static const cge_memory_level *const levels[] = {
        NULL, &cge_memory_small, &cge_memory_smallest, &cge_memory_small_sliced, &cge_memory_smallest_sliced};
    float expected_losses[BATCH], losses[BATCH];
    const uint64_t expected = train(NULL, 0, expected_losses);
    for (int32_t l = 0; l < COUNT_OF(levels); l++)
        for (int way = 0; way < (l > 2 ? 3 : 2); way++) {
            CHECK(train(levels[l], way, losses) == expected);
            for (int32_t i = 0; i < BATCH && way != 1; i++) CHECK_SAME(expected_losses[i], losses[i], i);
        }
}

/* The largest piece counts each output at its loss's cost. */
static void test_cost_of_a_slice(void)
{
    int64_t plain = 0, costly = 0;
    static cge_output two[] = {{&cge_mean_squared_error, {0, 0, 0, 0}, 16, 1}, {&cge_mean_squared_error, {0, 0, 0, 0}, 16, 1}};
    const cge_model was = headed;
    headed.layers = wide, headed.layer_count = 1, headed.outputs = two, headed.output_count = 2;
    if (start(&cge_memory_small_sliced, 0)) CHECK_OK(cge_network_largest_slice(f.net, &plain));
    two[1].loss = &cge_distillation;
    if (start(&cge_memory_small_sliced, 0)) CHECK_OK(cge_network_largest_slice(f.net, &costly));
    CHECK(costly > plain + 16 * 100);
    headed = was;
}

/* ---- what is refused ---- */

static void test_bad_targets(void)
{
    float mean = 0;
    uint64_t before;
    if (!start(NULL, 0)) return;
    before = hash_of_params();
    for (int32_t column = 0; column < LABELS; column++) {
        int32_t *label = &f.labels[(BATCH - 1) * LABELS + column];
        const int32_t was = *label;
        for (*label = 3 - column; *label >= -1; *label -= 4 - column) {
            CHECK_REFUSED(CGE_ERR_LABEL, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
            CHECK_REFUSED(CGE_ERR_LABEL, cge_network_evaluate(f.net, f.x, &f.targets, BATCH, &mean, NULL));
        }
        *label = was;
    }
    f.values[BATCH * ELEMS - 2] = 1.5f;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    CHECK_OK(cge_network_evaluate(f.net, f.x, &f.targets, BATCH - 1, &mean, NULL)); /* which do not visit it */
    f.values[BATCH * ELEMS - 2] = 0.5f;
    f.targets.labels = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.targets.labels = (const int32_t *)(const void *)misaligned((float *)(void *)f.labels);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.targets.labels = f.labels;
    f.targets.values = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.targets.values = misaligned(f.values);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.targets.values = f.values;
    f.targets.weights = &f.weighted;
    f.weighted.classes = f.values;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.targets.weights = NULL;
    for (int32_t less = 1; less >= -1; less -= 2) { /* outputs that do not add up */
        table[1].elems -= less;
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_network_evaluate(f.net, f.x, &f.targets, BATCH, &mean, NULL));
        table[1].elems += less;
    }
    CHECK(hash_of_params() == before);
}

/* Labels that change while a step in slices is under way must not be written by. */
static void test_labels_that_change(void)
{
    float mean = 0;
    cge_status status;
    if (!start(&cge_memory_small_sliced, 0)) return;
    const uint64_t before = hash_of_params();
    CHECK_OK(cge_network_train_begin(f.net, f.x, &f.targets, BATCH));
    f.labels[1] = 1000;
    do status = cge_network_resume(f.net, 1, &mean); while (status == CGE_AGAIN);
    CHECK_STATUS(CGE_ERR_LABEL, status);
    CHECK(hash_of_params() == before);
}

static void test_bad_weights_of_outputs(void)
{
    static const int32_t order[BATCH] = {0, 2, 1};
    float weights[BATCH * COUNT], classes[ELEMS], mean = 0;
    cge_progress losses[COUNT] = {{0, 0, 0, 0, 0}};
    if (!start(NULL, 0)) return;
    const uint64_t before = hash_of_params();
    for (int32_t i = 0; i < BATCH * COUNT; i++) weights[i] = 1;
    for (int32_t i = 0; i < ELEMS; i++) classes[i] = 1;
    f.weighted.kind = &cge_weighted_outputs;
    f.weighted.samples = weights;
    f.weighted.classes = classes;
    f.targets.weights = &f.weighted;
    weights[BATCH * COUNT - 1] = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f.net, f.x, &f.targets, order, BATCH, BATCH, &mean));
    CHECK_OK(cge_network_evaluate(f.net, f.x, &f.targets, BATCH - 1, &mean, NULL)); /* which does not visit it */
    weights[BATCH * COUNT - 1] = 1;
    f.labels[2] = 3; /* before it is an index */
    CHECK_REFUSED(CGE_ERR_LABEL, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.labels[2] = 0;
    classes[5] = -1; /* of output 2, class 0 */
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    weights[2] = -1; /* a product above 0 */
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    weights[2] = classes[5] = 1;
    f.weighted.samples = misaligned(weights);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.weighted.samples = NULL;
    f.weighted.classes = misaligned(classes);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.weighted.classes = NULL;
    f.weighted.losses = (cge_progress *)(void *)misaligned((float *)(void *)losses);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    f.weighted.losses = NULL;
    headed.loss = &cge_mean_squared_error; /* of one output */
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &mean));
    headed.loss = &cge_multi_output;
    CHECK(hash_of_params() == before);
}

static void refused(cge_status expected)
{
    size_t bytes = 0;
    CHECK_STATUS(expected, cge_network_arena_bytes(&headed, NULL, &bytes));
}

static void test_bad_tables(void)
{
    const float bad[] = {-1, float_from_bits(0x7f800000u), float_from_bits(0x7fc00000u)};
    const cge_model was = headed;
    const cge_output first = table[0];
    if (!check_room("tables of outputs", 8)) return;
    refused(CGE_OK);
    headed.outputs = NULL, refused(CGE_ERR_NULL), headed = was;
    headed.outputs = (const cge_output *)(const void *)misaligned((float *)(void *)table), refused(CGE_ERR_ALIGN), headed = was;
    headed.output_count = 0, refused(CGE_ERR_ARGUMENT), headed = was;
    headed.output_count = -1, refused(CGE_ERR_ARGUMENT), headed = was;
    headed.loss_config.delta = 1, refused(CGE_ERR_ARGUMENT), headed = was;
    headed.loss = &cge_mean_squared_error, refused(CGE_ERR_ARGUMENT), headed = was;
    headed.loss = &cge_huber, refused(CGE_ERR_ARGUMENT), headed = was;
    table[0].loss = NULL, refused(CGE_ERR_NULL), table[0] = first;
    table[0].loss = &cge_multi_output, refused(CGE_ERR_ARGUMENT), table[0] = first;
    table[0].loss = &cge_weighted, refused(CGE_ERR_ARGUMENT), table[0] = first;
    table[0].loss = &cge_weighted_outputs, refused(CGE_ERR_ARGUMENT), table[0] = first;
    table[0].elems = 0, refused(CGE_ERR_ARGUMENT), table[0] = first;
    table[0].loss_config.alpha = 0.5f, refused(CGE_ERR_ARGUMENT), table[0] = first;
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        table[0].weight = bad[i];
        refused(CGE_ERR_ARGUMENT);
        table[0] = first;
    }
}

/* ---- files ---- */

static cge_status parse_changed(unsigned char *file, size_t bytes, size_t at, unsigned char byte, cge_catalog *catalog,
                                cge_model *parsed)
{
    cge_layer layers[LAYERS];
    cge_layer_config configs[LAYERS];
    const unsigned char was = file[at];
    cge_status status;
    file[at] = byte;
    const uint32_t crc = cge_crc32(0, file, bytes - 4);
    for (size_t i = 0; i < 4; i++) file[bytes - 4 + i] = (unsigned char)(crc >> 8 * i);
    status = cge_model_parse(file, bytes, catalog, layers, configs, LAYERS, parsed);
    file[at] = was;
    return status;
}

static void test_files(void)
{
    cge_catalog catalog = cge_catalog_all;
    cge_output found[COUNT];
    cge_model parsed;
    unsigned char *file;
    size_t used = 0, bytes = 0;
    float loss = 0;
    if (!start(NULL, FILE_BYTES)) return;
    file = check_bytes(FILE_BYTES);
    CHECK_OK(cge_network_train_batch(f.net, f.x, &f.targets, BATCH, &loss));
    const uint64_t hash = hash_of_params();
    CHECK_OK(cge_network_saved_bytes(f.net, &bytes));
    if (!CHECK_OK(cge_network_save(f.net, file, FILE_BYTES, &used))) return;
    CHECK(used == bytes);
    const size_t table_at = used - 4 - 4 * 7 * COUNT;
    CHECK_STATUS(CGE_ERR_ARENA, parse_changed(file, used, 0, file[0], &catalog, &parsed));
    catalog.outputs = found;
    catalog.max_outputs = COUNT - 1;
    CHECK_STATUS(CGE_ERR_ARENA, parse_changed(file, used, 0, file[0], &catalog, &parsed));
    catalog.max_outputs = COUNT;
    memset(found, 0, sizeof found);
    CHECK_OK(parse_changed(file, used, 0, file[0], &catalog, &parsed));
    CHECK(parsed.loss == &cge_multi_output && parsed.outputs == found && parsed.output_count == COUNT);
    for (int32_t i = 0; i < COUNT; i++) {
        CHECK(found[i].loss == table[i].loss && found[i].elems == table[i].elems);
        CHECK_SAME(table[i].weight, found[i].weight, i);
        CHECK(memcmp(&found[i].loss_config, &table[i].loss_config, sizeof found[i].loss_config) == 0);
    }
    for (int32_t count = 0; count < 256; count++)
        if (count != 7 * COUNT) CHECK(parse_changed(file, used, 29, (unsigned char)count, &catalog, &parsed) == CGE_ERR_FORMAT);
    for (int32_t id = 0; id < 256; id++) {
        const int takes = id == 1 || id == 2 || id == 3 || id == 4 || id == 5 || id == 6 || id == 7;
        CHECK((parse_changed(file, used, table_at, (unsigned char)id, &catalog, &parsed) == CGE_OK) == takes);
    }
    CHECK_STATUS(CGE_ERR_FORMAT, parse_changed(file, used, table_at + 4, 0, &catalog, &parsed));      /* no element */
    CHECK_STATUS(CGE_ERR_FORMAT, parse_changed(file, used, table_at + 7, 0x7f, &catalog, &parsed));   /* too many */
    CHECK_STATUS(CGE_ERR_FORMAT, parse_changed(file, used, table_at + 11, 0xbf, &catalog, &parsed));  /* a negative weight */
    CHECK_STATUS(CGE_ERR_FORMAT, parse_changed(file, used, table_at + 15, 0x3f, &catalog, &parsed)); /* of another loss */
    CHECK_OK(parse_changed(file, used, 0, file[0], &catalog, &parsed));
    CHECK_OK(cge_network_init_params(f.net, 9));
    CHECK_OK(cge_network_restore(f.net, file, used));
    CHECK(hash_of_params() == hash && f.net->step_count == 1);
}

void suite_outputs(void)
{
    test_contract();
    test_weights_of_each_output();
    test_without_labels();
    test_levels();
    test_cost_of_a_slice();
}

void suite_outputs_status(void)
{
    test_bad_targets();
    test_bad_weights_of_outputs();
    test_labels_that_change();
    test_bad_tables();
    test_files();
}
