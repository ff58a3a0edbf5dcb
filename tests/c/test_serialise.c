/* Save, parse, restore: the way there and back, and hostile bytes. */
#include "check.h"
#include "models.h"
#include "oracle.h"
#include "saved.h"
#include "suites.h"

#include "../../csrc/src/layers/layer.h"

#include <string.h>

enum { SEED = 3, MAX_LAYERS = 10 };

/* ---- there and back ------------------------------------------------------------------------------------------------------- */

static cge_network net;
static const cge_options training = {1, 1, NULL, NULL, NULL}, inference = {0, 1, NULL, NULL, NULL};

static struct {
    float *x, *values, *y;
    int32_t label;
    cge_targets targets;
    unsigned char *arena, *file;
    size_t arena_bytes, file_bytes;
} f;

static uint64_t hash_of(const cge_network *network)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(network, &hash));
    return hash;
}

static void train(int32_t steps)
{
    float loss;
    for (int32_t i = 0; i < steps; i++) CHECK_OK(cge_network_train_batch(&net, f.x, &f.targets, 1, &loss));
}

/* A network that was trained for two steps, and room for its file. */
static int set_up(const char *name, const cge_model *model, size_t more_bytes)
{
    const int32_t in = model->input.h * model->input.w * model->input.c, out = oracle_out_elems(model);
    const int32_t settings = oracle_settings(&model->optimizer);
    const int32_t velocities = model->optimizer.kind == NULL ? 0 : oracle_slots(&model->optimizer) * oracle_grad_elems(model);
    const size_t words = (size_t)(SAVED_HEADER_WORDS + saved_layer_words(model) + oracle_param_elems(model) + settings + velocities + 1);
    check_case(name);
    if (!CHECK_OK(cge_network_arena_bytes(model, &training, &f.arena_bytes))) return 0;
    if (!check_room(name, f.arena_bytes + 4 * words + sizeof(float) * (size_t)(in + 2 * out) + more_bytes)) return 0;
    f.x = check_operands(in, 1);
    f.values = check_operands(out, 2);
    f.y = check_floats(out);
    f.label = out - 1;
    f.targets.labels = &f.label;
    f.targets.values = f.values;
    f.arena = check_bytes(f.arena_bytes);
    if (!CHECK_OK(cge_network_init(&net, model, &training, f.arena, f.arena_bytes))) return 0;
    CHECK_OK(cge_network_init_params(&net, SEED));
    train(2);
    CHECK_OK(cge_network_saved_bytes(&net, &f.file_bytes));
    CHECK(f.file_bytes == 4 * words);
    f.file = check_bytes(f.file_bytes);
    return 1;
}

static int save(void)
{
    size_t used = 0;
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_save(&net, f.file, f.file_bytes - 1, &used));
    return CHECK(used == 0) && CHECK_OK(cge_network_save(&net, f.file, f.file_bytes, &used)) && CHECK(used == f.file_bytes);
}

static int same_float_bits(float a, float b)
{
    return float_bits(a) == float_bits(b);
}

static void check_same_model(const cge_model *a, const cge_model *b)
{
    CHECK(a->input.h == b->input.h && a->input.w == b->input.w && a->input.c == b->input.c);
    CHECK(a->loss == b->loss && a->layer_count == b->layer_count && a->optimizer.kind == b->optimizer.kind);
    CHECK(same_float_bits(a->optimizer.learning_rate, b->optimizer.learning_rate) && same_float_bits(a->optimizer.momentum, b->optimizer.momentum));
    CHECK(same_float_bits(a->optimizer.beta2, b->optimizer.beta2) && same_float_bits(a->optimizer.epsilon, b->optimizer.epsilon));
    CHECK(same_float_bits(a->optimizer.l1, b->optimizer.l1));
    CHECK(same_float_bits(a->optimizer.weight_decay, b->optimizer.weight_decay) && a->optimizer.nesterov == b->optimizer.nesterov);
    for (int32_t i = 0; i < a->layer_count; i++) {
        const cge_layer *p = &a->layers[i], *q = &b->layers[i];
        cge_layer_config own;
        cge_layer layer = *p;
        memset(&own, 0, sizeof own);
        own_config(&layer, &own);
        CHECK(p->kind == q->kind && p->trains == q->trains && p->flags == q->flags && p->init == q->init);
        CHECK(same_float_bits(p->learning_rate_factor, q->learning_rate_factor));
        CHECK((p->config == NULL) == (q->config == NULL) && (q->config == NULL || memcmp(&own, q->config, sizeof own) == 0));
    }
}

/* The file goes on where the network was: two more steps give the same weights. */
static void test_checkpoint(const test_model *m)
{
    uint64_t saved_hash, trained_hash;
    if (!set_up(m->name, &m->model, 0) || !save()) return;
    saved_hash = hash_of(&net);
    train(2);
    trained_hash = hash_of(&net);
    memset(f.arena, 0xee, f.arena_bytes);
    CHECK_OK(cge_network_init(&net, &m->model, &training, f.arena, f.arena_bytes));
    CHECK_OK(cge_network_init_params(&net, SEED + 1));
    for (int32_t i = 0; i < net.grad_elems; i++) net.grads[i] = 1; /* what is pending is forgotten */
    net.pending = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) CHECK(float_bits(net.grads[i]) == 0);
    CHECK(hash_of(&net) == saved_hash && net.step_count == 2 && net.pending == 0);
    train(2);
    CHECK(hash_of(&net) == trained_hash && net.step_count == 4);
}

/* A reader that knows only the file builds the same network. */
static void test_parse(const test_model *m)
{
    cge_model *model;
    cge_layer *layers;
    cge_layer_config *configs;
    uint64_t saved_hash;
    size_t bytes = 0;
    float expected;
    if (!set_up(m->name, &m->model, sizeof *model + MAX_LAYERS * (sizeof *layers + sizeof *configs)) || !save()) return;
    model = check_bytes(sizeof *model);
    layers = check_bytes((size_t)m->model.layer_count * sizeof *layers);
    configs = check_bytes((size_t)m->model.layer_count * sizeof *configs);
    saved_hash = hash_of(&net);
    CHECK_OK(cge_network_forward(&net, f.x, 1, f.y));
    expected = f.y[0];
    CHECK_REFUSED(CGE_ERR_ARENA, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, layers, configs, m->model.layer_count - 1, model));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, layers, configs, 0, model));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, layers, configs, INT32_MIN, model));
    if (!CHECK_OK(cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, layers, configs, m->model.layer_count, model))) return;
    CHECK(model->layers == layers);
    check_same_model(&m->model, model);
    CHECK_OK(cge_network_arena_bytes(model, &inference, &bytes));
    CHECK_OK(cge_network_init(&net, model, &inference, f.arena, bytes));
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    CHECK(hash_of(&net) == saved_hash);
    CHECK_OK(cge_network_forward(&net, f.x, 1, f.y));
    CHECK_SAME(expected, f.y[0], 0);
}

/* The bytes themselves: the same on every host and for ever, or the format's version must change. */
static void test_bytes(void)
{
    unsigned char *old;
    if (!set_up("bytes", &perceptron, 4096)) return;
    for (int32_t i = 0; i < net.param_elems; i++) net.params[i] = operand(9, i);
    net.step_count = 0x123456789abcu;
    net.rng.state = 0xfedcba9876543210u;
    if (!save()) return;
    net.step_count = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    CHECK(net.step_count == 0x123456789abcu);
    CHECK(memcmp(f.file, "CGEN\4\0\0\0", 8) == 0);
    CHECK(saved_word(f.file, SAVED_BYTES) == f.file_bytes && saved_word(f.file, SAVED_LAYERS) == 3);
    CHECK(saved_word(f.file, SAVED_IN_C) == 7 && saved_word(f.file, SAVED_PARAMS) == 76 && saved_word(f.file, SAVED_VELOCITY) == 0);
    CHECK(saved_word(f.file, SAVED_STEPS_LOW) == 0x56789abcu && saved_word(f.file, SAVED_STEPS_HIGH) == 0x1234u);
    CHECK(saved_word(f.file, SAVED_RNG_LOW) == 0x76543210u && saved_word(f.file, SAVED_RNG_HIGH) == 0xfedcba98u);
    CHECK(saved_word(f.file, SAVED_LEARNING_RATE) == float_bits(0.1f));
    CHECK(saved_word(f.file, SAVED_HEADER_WORDS + SAVED_FIELD + SAVED_UNITS) == 6 && saved_word(f.file, SAVED_HEADER_WORDS + SAVED_INIT) == CGE_INIT_GLOROT_UNIFORM);
    CHECK(saved_layer(f.file, 3) == SAVED_HEADER_WORDS + 3 * SAVED_LAYER_WORDS + 2);
    CHECK(saved_word(f.file, saved_layer(f.file, 3)) == float_bits(operand(9, 0)));
    CHECK(saved_word(f.file, f.file_bytes / 4 - 1) == cge_crc32(0, f.file, f.file_bytes - 4));
    CHECK(cge_crc32(0, f.file, f.file_bytes - 4) == 0xe53738c9u); /* Python, struct and zlib */
    old = check_bytes(SAVED_OLD_BYTES(f.file_bytes));
    CHECK(cge_crc32(0, old, to_version_3(f.file, f.file_bytes, old) - 4) == 0xa6480263u); /* as version 3 was written */
    CHECK(cge_crc32(0, old, to_version_2(f.file, f.file_bytes, old) - 4) == 0x205d1fb1u);
    CHECK(cge_crc32(0, old, to_version_1(f.file, f.file_bytes, old) - 4) == 0x23cbc6c2u);
}

static void check_stream(uint64_t state)
{
    cge_rng fresh;
    CHECK_OK(cge_rng_seed(&fresh, 0));
    CHECK(net.rng.state == state && net.rng.increment == fresh.increment);
}

/* The stream of shuffles goes on where it was; a file of version 1 starts it with seed 0. */
static void test_shuffle_stream(void)
{
    int32_t order[6], again[6];
    uint64_t state, saved_hash;
    cge_rng fresh;
    for (int32_t i = 0; i < 6; i++) order[i] = again[i] = i;
    if (!set_up("shuffle stream", &perceptron, 4096)) return;
    CHECK_OK(cge_rng_shuffle(&net.rng, order, 6));
    for (int32_t i = 0; i < 6; i++) order[i] = i;
    state = net.rng.state;
    saved_hash = hash_of(&net);
    if (!save()) return;
    CHECK_OK(cge_rng_shuffle(&net.rng, order, 6));
    memset(&net.rng, 0xee, sizeof net.rng);
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    check_stream(state);
    CHECK_OK(cge_rng_shuffle(&net.rng, again, 6));
    CHECK(memcmp(order, again, sizeof order) == 0);
    check_case("version 1");
    unsigned char *old = check_bytes(SAVED_OLD_BYTES(f.file_bytes));
    f.file_bytes = to_version_1(f.file, f.file_bytes, old);
    f.file = old;
    CHECK_OK(cge_rng_seed(&fresh, 0));
    CHECK_OK(cge_network_init_params(&net, SEED + 1));
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    check_stream(fresh.state);
    CHECK(hash_of(&net) == saved_hash && net.step_count == 2);
}

/* Numbers of kinds in files are for ever. */
static void test_kind_numbers(const test_model *m)
{
    static const struct {
        const cge_layer_kind *kind;
        uint32_t number;
    } kinds[] = {{&cge_kind_conv2d, 1}, {&cge_kind_dense, 2}, {&cge_kind_maxpool2d, 3}, {&cge_kind_avgpool2d, 4}, {&cge_kind_global_avgpool2d, 5},
                 {&cge_kind_relu, 6}, {&cge_kind_leaky_relu, 7}, {&cge_kind_sigmoid, 8}, {&cge_kind_tanh, 9}, {&cge_kind_flatten, 10},
                 {&cge_kind_add, 11}, {&cge_kind_concat, 12},
                 {&cge_kind_relu6, 32}, {&cge_kind_hard_sigmoid, 33}, {&cge_kind_elu, 34}, {&cge_kind_softplus, 35}, {&cge_kind_softmax, 36},
                 {&cge_kind_hard_swish, 37}, {&cge_kind_silu, 38}, {&cge_kind_gelu, 39}, {&cge_kind_prelu, 62},
                 {&cge_kind_global_maxpool2d, 45}, {&cge_kind_zero_pad2d, 46}, {&cge_kind_crop2d, 47}, {&cge_kind_channel_slice, 48}, {&cge_kind_upsample2d, 44},
                 {&cge_kind_group_norm, 40}, {&cge_kind_instance_norm, 41}, {&cge_kind_layer_norm, 42}, {&cge_kind_dropout, 43}};
    static const cge_optimizer_kind *const optimizers[] = {&cge_sgd, &cge_adam, &cge_adamw, &cge_rmsprop, &cge_adagrad};
    static const cge_optimizer_kind *const with_l1[] = {
        &cge_sgd_l1, &cge_adam_l1, &cge_adamw_l1, &cge_rmsprop_l1, &cge_adagrad_l1};
    if (!set_up(m->name, &m->model, 0) || !save()) return;
    CHECK(saved_word(f.file, SAVED_LOSS) == (m->model.loss == &cge_softmax_cross_entropy ? 1u : 2u));
    for (int32_t i = 0; i < COUNT_OF(optimizers); i++)
        if (m->model.optimizer.kind == optimizers[i]) CHECK(saved_word(f.file, SAVED_OPTIMIZER) == (uint32_t)i + 1);
    for (int32_t i = 0; i < COUNT_OF(with_l1); i++)
        if (m->model.optimizer.kind == with_l1[i]) CHECK(saved_word(f.file, SAVED_OPTIMIZER) == (uint32_t)i + 33);
    for (int32_t i = 0; i < m->model.layer_count; i++)
        for (int32_t j = 0; j < COUNT_OF(kinds); j++)
            if (m->model.layers[i].kind == kinds[j].kind)
                CHECK(saved_word(f.file, saved_layer(f.file, (uint32_t)i) + SAVED_KIND) == kinds[j].number);
}

/* ---- restoring into another network ------------------------------------------------------------------------------------------ */

/* The perceptron's file into a network of a changed model. */
static void check_restore(const char *name, cge_status status, const cge_model *model, const cge_options *options)
{
    size_t bytes = 0;
    unsigned char *arena;
    check_case(name);
    CHECK_OK(cge_network_arena_bytes(model, options, &bytes));
    if (!set_up(name, &perceptron, bytes) || !save()) return;
    uint64_t saved_hash = hash_of(&net);
    arena = check_bytes(bytes);
    CHECK_OK(cge_network_init(&net, model, options, arena, bytes));
    if (status != CGE_OK) {
        CHECK_REFUSED(status, cge_network_restore(&net, f.file, f.file_bytes));
        CHECK(net.step_count == 0);
        return;
    }
    for (int32_t i = 0; net.velocity != NULL && i < net.grad_elems; i++) net.velocity[i] = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    CHECK(hash_of(&net) == saved_hash);
    for (int32_t i = 0; net.velocity != NULL && i < net.grad_elems; i++) CHECK(float_bits(net.velocity[i]) == 0); /* the file has none */
}

static void test_mismatch(void)
{
    static const float zeros[128];
    static const cge_options flash = {0, 1, zeros, NULL, NULL};
    static const cge_dense five = {5};
    const void *four;
    cge_layer layers[4];
    cge_model model = perceptron;
    memcpy(layers, perceptron.layers, 3 * sizeof *layers);
    memset(&layers[3], 0, sizeof layers[3]);
    layers[3].kind = &cge_kind_relu;
    model.layers = layers;
    check_restore("the same", CGE_OK, &model, &training);
    check_restore("the same, inference", CGE_OK, &model, &inference);
    check_restore("parameters in flash", CGE_ERR_MODE, &model, &flash);
    layers[0].flags = CGE_FROZEN;
    layers[0].init = CGE_INIT_HE_NORMAL;
    layers[2].learning_rate_factor = 0.5f;
    check_restore("frozen, initialised and learning differently", CGE_OK, &model, &training);
    layers[2].learning_rate_factor = 0;
    model.optimizer.momentum = 0.5f;
    model.optimizer.learning_rate = 0.25f;
    check_restore("other hyper-parameters", CGE_OK, &model, &training);
    model.optimizer = perceptron.optimizer;
    model.input.h = 7;
    model.input.c = 1;
    check_restore("other input shape", CGE_ERR_MISMATCH, &model, &training);
    model.input.h = 1;
    model.input.w = 7;
    check_restore("input turned", CGE_ERR_MISMATCH, &model, &training);
    model.input = perceptron.input;
    layers[1].kind = &cge_kind_sigmoid;
    check_restore("other kind", CGE_ERR_MISMATCH, &model, &training);
    layers[1].kind = &cge_kind_leaky_relu;
    check_restore("other kind, other field", CGE_ERR_MISMATCH, &model, &training);
    layers[1].kind = &cge_kind_tanh;
    four = layers[2].config;
    layers[2].config = &five;
    check_restore("other units", CGE_ERR_MISMATCH, &model, &training);
    layers[2].config = four;
    model.layer_count = 4;
    check_restore("one layer more", CGE_ERR_MISMATCH, &model, &training);
    model.layer_count = 1;
    check_restore("two layers fewer", CGE_ERR_MISMATCH, &model, &training);
    model.layer_count = 3;
    layers[2].flags = CGE_NO_BIAS;
    check_restore("no bias", CGE_ERR_MISMATCH, &model, &training);
}

/* Velocity belongs to the layers that were trainable when it was saved: with others frozen it starts again at zero. */
static void test_velocity_of_other_layers(void)
{
    cge_layer layers[MAX_LAYERS];
    cge_model model = convnet;
    int32_t kept = 0;
    model.layers = layers;
    memcpy(layers, convnet.layers, (size_t)convnet.layer_count * sizeof *layers);
    if (!set_up("velocity", &convnet, 0) || !save()) return;
    for (int32_t i = 0; i < net.grad_elems; i++) net.velocity[i] = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) kept += net.velocity[i] != 0;
    CHECK(kept > net.grad_elems / 2);
    layers[0].flags = CGE_FROZEN;
    CHECK_OK(cge_network_init(&net, &model, &training, f.arena, f.arena_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) net.velocity[i] = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) CHECK(float_bits(net.velocity[i]) == 0);
}

/* As many numbers, but of another layer. */
static void test_velocity_of_another_layer(void)
{
    cge_layer layers[] = {DENSE(3, CGE_FROZEN, 0), PLAIN(tanh), DENSE(3, 0, 0)};
    cge_model model = {{1, 1, 3}, TABLE(layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0};
    if (!set_up("velocity of another layer", &model, 0) || !save()) return;
    layers[0].flags = 0;
    layers[2].flags = CGE_FROZEN;
    CHECK_OK(cge_network_init(&net, &model, &training, f.arena, f.arena_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) net.velocity[i] = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    for (int32_t i = 0; i < net.grad_elems; i++) CHECK(float_bits(net.velocity[i]) == 0);
}

static const cge_layer relu_first[] = {PLAIN(relu), CONV(2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0), PLAIN(global_avgpool2d)};

static const cge_layer tanh_first[] = {PLAIN(tanh), CONV(2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0), PLAIN(global_avgpool2d)};

/* Networks with as many parameters that differ in one size, or in the first layer. */
static void test_same_parameter_count(void)
{
    static const cge_model model = {{3, 3, 1}, TABLE(relu_first), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    const cge_shape inputs[] = {{4, 3, 1}, {3, 4, 1}, {3, 3, 1}};
    for (int32_t i = 0; i < COUNT_OF(inputs); i++) {
        cge_model other = model;
        size_t bytes = 0;
        other.input = inputs[i];
        if (i == COUNT_OF(inputs) - 1) other.layers = tanh_first;
        CHECK_OK(cge_network_arena_bytes(&other, &training, &bytes));
        if (!set_up("same number of parameters", &model, bytes) || !save()) return;
        CHECK_OK(cge_network_init(&net, &other, &training, check_bytes(bytes), bytes));
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, f.file, f.file_bytes));
    }
}

/* In out: the file with another number of fields in the record of a layer; `value` is in the last one. Returns its size. */
static size_t with_fields(unsigned char *out, uint32_t layer, uint32_t fields, uint32_t value)
{
    const size_t record = saved_layer(f.file, layer), had = saved_word(f.file, record + SAVED_FIELDS), kept = fields < had ? fields : had;
    const size_t head = 4 * (record + SAVED_FIELD), size = f.file_bytes - 4 * had + 4 * fields;
    memcpy(out, f.file, head + 4 * kept);
    memcpy(out + head + 4 * fields, f.file + head + 4 * had, f.file_bytes - head - 4 * had);
    set_saved_word(out, record + SAVED_FIELDS, fields);
    for (size_t i = kept; i < fields; i++) set_saved_word(out, record + SAVED_FIELD + i, i + 1 < fields ? 0 : value);
    set_saved_word(out, SAVED_BYTES, (uint32_t)size);
    seal_saved(out, size);
    return size;
}

/* Fields that a file does not have are 0; those that nobody knows must be. */
static void test_field_counts(void)
{
    static const uint32_t more[] = {SAVED_CONV2D_FIELDS + 1, SAVED_CONV2D_FIELDS + 5}, dense = 6;
    if (!set_up("number of fields", &convnet, 4096) || !save()) return;
    cge_layer layers[MAX_LAYERS];
    cge_layer_config configs[MAX_LAYERS];
    cge_model read;
    unsigned char *changed = check_bytes(f.file_bytes + 64);
    size_t size = with_fields(changed, 0, SAVED_CONV2D_FIELDS - 1, 0); /* groups: 0 means 1 */
    CHECK_OK(cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
    CHECK(configs[0].conv2d.groups == 0 && configs[0].conv2d.pad_right == 1);
    CHECK_OK(cge_network_restore(&net, changed, size));
    size = with_fields(changed, 0, 3, 0);
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, changed, size));
    for (int32_t i = 0; i < COUNT_OF(more); i++) {
        size = with_fields(changed, 0, more[i], 0);
        CHECK_OK(cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
        CHECK_OK(cge_network_restore(&net, changed, size));
        size = with_fields(changed, 0, more[i], 1);
        CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, changed, size));
    }
    size = with_fields(changed, dense, 2, 7);
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, changed, size));
}

/* A word of its own behind the fields says how fast a layer learns, where a flag says that there is one. */
static void test_factor_words(void)
{
    static const struct {
        uint32_t layer, fields, word;
        cge_status status;
    } cases[] = {{0, 2, 0x3f000000u, CGE_OK}, {0, 2, 0x47800000u, CGE_OK}, {0, 2, 1, CGE_OK},
                 {0, 2, 0, CGE_ERR_FORMAT}, {0, 2, 0x80000000u, CGE_ERR_FORMAT}, {0, 2, 0xbf000000u, CGE_ERR_FORMAT},
                 {0, 2, 0x47800001u, CGE_ERR_FORMAT}, {0, 2, 0x7f800000u, CGE_ERR_FORMAT}, {0, 2, 0x7fc00000u, CGE_ERR_FORMAT},
                 {0, 0, 0, CGE_ERR_FORMAT}, {1, 1, 0x3f000000u, CGE_ERR_FORMAT}, {1, 0, 0, CGE_ERR_FORMAT}};
    if (!set_up("words of factors", &perceptron, 4096) || !save()) return;
    cge_layer layers[MAX_LAYERS];
    cge_layer_config configs[MAX_LAYERS];
    cge_model read;
    unsigned char *changed = check_bytes(f.file_bytes + 64);
    for (int32_t i = 0; i < COUNT_OF(cases); i++) {
        const size_t size = with_fields(changed, cases[i].layer, cases[i].fields, cases[i].word);
        const size_t flags = saved_layer(changed, cases[i].layer) + SAVED_FLAGS;
        set_saved_word(changed, flags, 0x10000);
        seal_saved(changed, size);
        if (cases[i].status == CGE_OK) {
            CHECK_OK(cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
            CHECK(float_bits(layers[0].learning_rate_factor) == cases[i].word && float_bits(layers[2].learning_rate_factor) == 0);
            CHECK_OK(cge_network_restore(&net, changed, size));
        } else {
            CHECK_REFUSED(cases[i].status, cge_model_parse(changed, size, &cge_catalog_all, layers, configs, MAX_LAYERS, &read));
        }
    }
}

static const cge_layer short_layers[] = {CONV(2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0), {.kind = &cge_kind_leaky_relu}, POOL(avgpool2d, 2, 1, 0, 0, 0, 0, 0, 0)};
static const cge_layer long_layers[] = {
    {.kind = &cge_kind_conv2d, .from = {CGE_INPUT, 0},
     CONV2D_CONFIG(.in_h = 5, .in_w = 4, .in_c = 3, .out_c = 2, WINDOW(2, 2, 1, 1, 0, 0, 0, 0), .dilation_h = 1, .dilation_w = 1, .groups = 1)},
    LEAKY(-0.0f),
    {.kind = &cge_kind_avgpool2d, .from = {2, 0}, POOL2D_CONFIG(.in_h = 4, .in_w = 3, .in_c = 2, WINDOW(2, 1, 2, 1, 0, 0, 0, 0))}};
static const cge_model short_model = {{5, 4, 3}, TABLE(short_layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
static const cge_model long_model = {{5, 4, 3}, TABLE(long_layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};

/* Zero and what it means are one layer, in either direction; anything else is another. */
static void test_defaults_are_equal(void)
{
    static const size_t words[][2] = {{0, 0}, {0, 1}, {0, 2}, {0, 6}, {0, 7}, {0, 8}, {0, 9}, {0, 14}, {2, 0}, {2, 1}, {2, 2}, {2, 5}, {2, 6}};
    const cge_model *const models[] = {&short_model, &long_model};
    for (int32_t i = 0; i < 2; i++) {
        if (!set_up("defaults", models[i], 0) || !save()) return;
        CHECK_OK(cge_network_init(&net, models[1 - i], &training, f.arena, f.arena_bytes));
        CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
        for (int32_t j = 0; j < COUNT_OF(words); j++) {
            const size_t word = saved_layer(f.file, (uint32_t)words[j][0]) + SAVED_FIELD + words[j][1];
            const uint32_t was = saved_word(f.file, word);
            set_saved_word(f.file, word, 7);
            seal_saved(f.file, f.file_bytes);
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, f.file, f.file_bytes));
            set_saved_word(f.file, word, was);
        }
    }
}

/* A record of version 3 has a place for each field of any kind: what the kind does not have must be 0. */
static void test_old_records(void)
{
    static const size_t unused[] = {2, 12, 13};
    if (!set_up("old records", &perceptron, 4096) || !save()) return;
    cge_layer layers[3];
    cge_layer_config configs[3];
    cge_model read;
    unsigned char *old = check_bytes(SAVED_OLD_BYTES(f.file_bytes));
    const size_t size = to_version_3(f.file, f.file_bytes, old);
    CHECK_OK(cge_model_parse(old, size, &cge_catalog_all, layers, configs, 3, &read));
    CHECK_OK(cge_network_restore(&net, old, size));
    for (int32_t layer = 0; layer < 2; layer++)
        for (int32_t i = 0; i < COUNT_OF(unused); i++) {
            const size_t word = SAVED_HEADER_WORDS + (size_t)layer * OLD_LAYER_WORDS + unused[i];
            set_saved_word(old, word, 1);
            seal_saved(old, size);
            CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(old, size, &cge_catalog_all, layers, configs, 3, &read));
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, old, size));
            set_saved_word(old, word, 0);
        }
}

/* cge_layer_config has room for every config, and files hold configs as words. */
static void test_sizes_of_configs(void)
{
    check_case("sizes of configs");
    for (int32_t i = 0; i < cge_catalog_all.layer_count; i++) {
        const size_t size = cge_catalog_all.layers[i]->config_bytes;
        CHECK(size <= sizeof(cge_layer_config) && size % 4 == 0);
    }
}

void suite_serialise(void)
{
    for (int32_t i = 0; i < test_model_count; i++) {
        test_checkpoint(&test_models[i]);
        test_parse(&test_models[i]);
        test_kind_numbers(&test_models[i]);
    }
    test_bytes();
    test_shuffle_stream();
    test_mismatch();
    test_velocity_of_other_layers();
    test_velocity_of_another_layer();
    test_same_parameter_count();
    test_field_counts();
    test_factor_words();
    test_defaults_are_equal();
    test_old_records();
    test_sizes_of_configs();
}

/* ---- hostile bytes ---------------------------------------------------------------------------------------------------------------- */

static const cge_layer tiny_layers[] = {DENSE(1, 0, 0), LEAKY(0.25f)};
static const cge_model tiny = {{1, 1, 2}, TABLE(tiny_layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0};

static cge_model *parsed;
static cge_layer *parsed_layers;
static cge_layer_config *parsed_configs;
static unsigned char *bytes;

/* The file of a tiny network, a second buffer to spoil, and what parse writes into. */
static int set_up_hostile(const char *name)
{
    if (!set_up(name, &tiny, 4 * 64 + sizeof *parsed + 2 * (sizeof *parsed_layers + sizeof *parsed_configs)) || !save()) return 0;
    bytes = check_bytes(f.file_bytes);
    parsed = check_bytes(sizeof *parsed);
    parsed_layers = check_bytes(2 * sizeof *parsed_layers);
    parsed_configs = check_bytes(2 * sizeof *parsed_configs);
    memcpy(bytes, f.file, f.file_bytes);
    return 1;
}

static cge_status parse(const unsigned char *file, size_t count)
{
    return cge_model_parse(file, count, &cge_catalog_all, parsed_layers, parsed_configs, 2, parsed);
}

/* Right against the end of the buffer: one byte read too far is one outside (the sanitizer would tell). */
static void test_truncation(void)
{
    if (!set_up_hostile("truncated")) return;
    for (size_t count = 0; count < f.file_bytes; count++) {
        unsigned char *start = bytes + (f.file_bytes - count);
        memcpy(start, f.file, count);
        CHECK_REFUSED(CGE_ERR_FORMAT, parse(start, count));
        CHECK_REFUSED(CGE_ERR_FORMAT, cge_network_restore(&net, start, count));
        if (count >= 4 * SAVED_HEADER_WORDS) set_saved_word(start, SAVED_BYTES, (uint32_t)count);
        seal_saved(start, count);
        CHECK_REFUSED(CGE_ERR_FORMAT, parse(start, count));
        CHECK_REFUSED(CGE_ERR_FORMAT, cge_network_restore(&net, start, count));
    }
}

static void check_any_refusal(const unsigned char *file, size_t count)
{
    uint64_t before = check_pool_hash();
    CHECK(parse(file, count) != CGE_OK);
    CHECK(cge_network_restore(&net, file, count) != CGE_OK);
    CHECK(check_pool_hash() == before);
}

static void test_bit_flips(void)
{
    if (!set_up_hostile("bit flipped")) return;
    for (size_t bit = 0; bit < 8 * f.file_bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        check_any_refusal(bytes, f.file_bytes);
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    CHECK_OK(parse(bytes, f.file_bytes));
    CHECK_OK(cge_network_restore(&net, bytes, f.file_bytes));
}

#define LAYER_0(word) (SAVED_HEADER_WORDS + (word))
#define LAYER_1(word) (SAVED_HEADER_WORDS + SAVED_LAYER_WORDS + 1 + (word)) /* behind a dense layer */

static const struct {
    const char *name;
    size_t word;
    uint32_t value;
    cge_status status;
} contradictions[] = {
    {"other magic", SAVED_MAGIC, 0, CGE_ERR_FORMAT},
    {"version 0", SAVED_VERSION, 0, CGE_ERR_VERSION},
    {"version 5", SAVED_VERSION, 5, CGE_ERR_VERSION},
    {"version 3, which has other layer records", SAVED_VERSION, 3, CGE_ERR_FORMAT},
    {"version 2, which has a shorter header and shorter layer records", SAVED_VERSION, 2, CGE_ERR_FORMAT},
    {"version 1, which has no stream of shuffles", SAVED_VERSION, 1, CGE_ERR_FORMAT},
    {"version -1", SAVED_VERSION, 0xffffffffu, CGE_ERR_VERSION},
    {"bytes 0", SAVED_BYTES, 0, CGE_ERR_FORMAT},
    {"bytes -1", SAVED_BYTES, 0xffffffffu, CGE_ERR_FORMAT},
    {"no layers", SAVED_LAYERS, 0, CGE_ERR_FORMAT},
    {"one layer fewer", SAVED_LAYERS, 1, CGE_ERR_FORMAT},
    {"one layer more", SAVED_LAYERS, 3, CGE_ERR_FORMAT},
    {"2^31 layers", SAVED_LAYERS, 0x80000000u, CGE_ERR_FORMAT},
    {"2^28 + 2 layers: the same modulo 2^32 words", SAVED_LAYERS, 0x10000002u, CGE_ERR_FORMAT},
    {"2^26 + 2 layers: the same modulo 2^32 bytes", SAVED_LAYERS, 0x04000002u, CGE_ERR_FORMAT},
    {"input 0", SAVED_IN_H, 0, CGE_ERR_FORMAT},
    {"input -1", SAVED_IN_W, 0xffffffffu, CGE_ERR_FORMAT},
    {"input 2^30", SAVED_IN_C, 0x40000000u, CGE_ERR_FORMAT},
    {"input 3", SAVED_IN_C, 3, CGE_ERR_FORMAT},
    {"unknown input", SAVED_INPUT, 2, CGE_ERR_FORMAT},
    {"unknown input, fused", SAVED_INPUT, 0x102, CGE_ERR_FORMAT},
    {"unknown arithmetic", SAVED_INPUT, 0x200, CGE_ERR_FORMAT},
    {"scale of no input", SAVED_INPUT_SCALE, 0x3f800000, CGE_ERR_FORMAT},
    {"offset of no input", SAVED_INPUT_OFFSET, 1, CGE_ERR_FORMAT},
    {"input without a scale", SAVED_INPUT, 1, CGE_ERR_FORMAT},
    {"unknown loss", SAVED_LOSS, 99, CGE_ERR_FORMAT},
    {"unknown optimiser", SAVED_OPTIMIZER, 0xffffffffu, CGE_ERR_FORMAT},
    {"learning rate negative", SAVED_LEARNING_RATE, 0xbf800000u, CGE_ERR_FORMAT},
    {"learning rate NaN", SAVED_LEARNING_RATE, 0x7fc00000u, CGE_ERR_FORMAT},
    {"momentum 1", SAVED_MOMENTUM, 0x3f800000u, CGE_ERR_FORMAT},
    {"weight decay infinite", SAVED_WEIGHT_DECAY, 0x7f800000u, CGE_ERR_FORMAT},
    {"nesterov 2", SAVED_NESTEROV, 2, CGE_ERR_FORMAT},
    {"nesterov -1", SAVED_NESTEROV, 0xffffffffu, CGE_ERR_FORMAT},
    {"no parameters", SAVED_PARAMS, 0, CGE_ERR_FORMAT},
    {"one parameter more", SAVED_PARAMS, 4, CGE_ERR_FORMAT},
    {"-1 parameters", SAVED_PARAMS, 0xffffffffu, CGE_ERR_FORMAT},
    {"no velocity", SAVED_VELOCITY, 0, CGE_ERR_FORMAT},
    {"one velocity more", SAVED_VELOCITY, 4, CGE_ERR_FORMAT},
    {"-1 velocities", SAVED_VELOCITY, 0xffffffffu, CGE_ERR_FORMAT},
    {"unknown kind", LAYER_0(SAVED_KIND), 99, CGE_ERR_FORMAT},
    {"kind 0", LAYER_1(SAVED_KIND), 0, CGE_ERR_FORMAT},
    {"no units", LAYER_0(SAVED_FIELD + SAVED_UNITS), 0, CGE_ERR_FORMAT},
    {"more units", LAYER_0(SAVED_FIELD + SAVED_UNITS), 2, CGE_ERR_FORMAT},
    {"-1 units", LAYER_0(SAVED_FIELD + SAVED_UNITS), 0xffffffffu, CGE_ERR_FORMAT},
    {"too many units", LAYER_0(SAVED_FIELD + SAVED_UNITS), 0x7fffffffu, CGE_ERR_FORMAT},
    {"no field", LAYER_0(SAVED_FIELDS), 0, CGE_ERR_FORMAT},
    {"more fields", LAYER_0(SAVED_FIELDS), 9, CGE_ERR_FORMAT},
    {"2^30 + 1 fields: the same modulo 2^32 bytes", LAYER_0(SAVED_FIELDS), 0x40000001u, CGE_ERR_FORMAT},
    {"-1 fields", LAYER_1(SAVED_FIELDS), 0xffffffffu, CGE_ERR_FORMAT},
    {"unknown flag", LAYER_0(SAVED_FLAGS), 4, CGE_ERR_FORMAT},
    {"unknown flag beyond 16 bits", LAYER_0(SAVED_FLAGS), 0x20000, CGE_ERR_FORMAT},
    {"a factor in place of the units", LAYER_0(SAVED_FLAGS), 0x10000, CGE_ERR_FORMAT},
    {"init beyond 8 bits", LAYER_0(SAVED_INIT), 0x100, CGE_ERR_FORMAT},
    {"bias away", LAYER_0(SAVED_FLAGS), CGE_NO_BIAS, CGE_ERR_FORMAT},
    {"unknown init", LAYER_0(SAVED_INIT), 4, CGE_ERR_FORMAT},
    {"alpha NaN", LAYER_1(SAVED_FIELD + SAVED_ALPHA), 0x7fc00000u, CGE_ERR_FORMAT},
    {"alpha negative", LAYER_1(SAVED_FIELD + SAVED_ALPHA), 0xbf000000u, CGE_ERR_FORMAT},
};

/* The checksum is right, a word is not. */
static void test_contradictions(void)
{
    if (!set_up_hostile("contradiction")) return;
    for (int32_t i = 0; i < COUNT_OF(contradictions); i++) {
        check_case(contradictions[i].name);
        memcpy(bytes, f.file, f.file_bytes);
        set_saved_word(bytes, contradictions[i].word, contradictions[i].value);
        seal_saved(bytes, f.file_bytes);
        CHECK_REFUSED(contradictions[i].status, parse(bytes, f.file_bytes));
    }
    check_case("the same total, split otherwise");
    memcpy(bytes, f.file, f.file_bytes);
    set_saved_word(bytes, SAVED_PARAMS, 4);
    set_saved_word(bytes, SAVED_VELOCITY, 2);
    seal_saved(bytes, f.file_bytes);
    check_any_refusal(bytes, f.file_bytes);
    set_saved_word(bytes, SAVED_PARAMS, 2);
    set_saved_word(bytes, SAVED_VELOCITY, 4);
    seal_saved(bytes, f.file_bytes);
    check_any_refusal(bytes, f.file_bytes);
    check_case("nothing but a header, of another version");
    memcpy(bytes, f.file, f.file_bytes);
    set_saved_word(bytes, SAVED_VERSION, 99);
    CHECK_REFUSED(CGE_ERR_VERSION, parse(bytes, 4 * (SAVED_HEADER_WORDS_V1 + 1)));
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(bytes, 4 * SAVED_HEADER_WORDS_V1));
    check_case("no layers, their words declared as parameters");
    memcpy(bytes, f.file, f.file_bytes);
    set_saved_word(bytes, SAVED_LAYERS, 0);
    set_saved_word(bytes, SAVED_PARAMS, 3 + 2 * (SAVED_LAYER_WORDS + 1));
    seal_saved(bytes, f.file_bytes);
    check_any_refusal(bytes, f.file_bytes);
    check_case("damaged");
    memcpy(bytes, f.file, f.file_bytes);
    bytes[f.file_bytes - 9] ^= 0x10;
    CHECK_REFUSED(CGE_ERR_CRC, parse(bytes, f.file_bytes));
    CHECK_REFUSED(CGE_ERR_CRC, cge_network_restore(&net, bytes, f.file_bytes));
}

static int reads_another(const cge_model *model)
{
    for (int32_t l = 0; l < model->layer_count; l++) {
        const cge_layer *layer = &model->layers[l];
        const int before = layer->from[0] == 0 || layer->from[0] == (l == 0 ? CGE_INPUT : l);
        if (!before || layer->kind == &cge_kind_add || layer->kind == &cge_kind_concat) return 1;
    }
    return 0;
}

/* Every word, many values: whatever is accepted must be a model that the rest of the library can work with. */
static void test_every_word(void)
{
    static const uint32_t values[] = {0, 1, 2, 3, 7, 0x7f, 0x100, 0xffff, 0x0fffffff, 0x10000000, 0x3f800000, 0x40000000,
                                      0x7f800000, 0x7fc00000, 0x7fffffff, 0x80000000u, 0x80000001u, 0xff7fffffu, 0xfffffffeu, 0xffffffffu};
    size_t words, needed;
    if (!set_up_hostile("every word")) return;
    words = f.file_bytes / 4 - 1;
    for (size_t word = 0; word < words; word++)
        for (int32_t i = 0; i < COUNT_OF(values); i++) {
            memcpy(bytes, f.file, f.file_bytes);
            set_saved_word(bytes, word, values[i]);
            seal_saved(bytes, f.file_bytes);
            if (parse(bytes, f.file_bytes) != CGE_OK) check_that(1, "refused", __FILE__, __LINE__);
            else if (parsed->fused > CGE_FUSED) CHECK_STATUS(CGE_ERR_ARITHMETIC, cge_network_arena_bytes(parsed, &inference, &needed));
            else if (!reads_another(parsed)) CHECK_OK(cge_network_arena_bytes(parsed, &inference, &needed));
            else check_that(cge_network_arena_bytes(parsed, &inference, &needed) != CGE_OK, "a graph without a plan", __FILE__, __LINE__);
            (void)!cge_network_restore(&net, bytes, f.file_bytes);
        }
}

/* One word longer, and the word counted as velocity. */
static void test_more_velocity(void)
{
    if (!set_up_hostile("more velocity than parameters")) return;
    size_t size = f.file_bytes + 4;
    unsigned char *longer = check_bytes(size);
    memcpy(longer, f.file, f.file_bytes);
    set_saved_word(longer, SAVED_BYTES, (uint32_t)size);
    set_saved_word(longer, SAVED_VELOCITY, 4);
    seal_saved(longer, size);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(longer, size));
}

/* In `bytes`: the header with this input height, the last layer `layers` times, no parameters. */
static size_t small_file(uint32_t layers, uint32_t in_h)
{
    const size_t header = 4 * SAVED_HEADER_WORDS, record = 4 * (SAVED_LAYER_WORDS + 1), size = header + layers * record + 4;
    memcpy(bytes, f.file, header);
    for (uint32_t l = 0; l < layers; l++) memcpy(bytes + header + l * record, f.file + header + record, record);
    set_saved_word(bytes, SAVED_BYTES, (uint32_t)size);
    set_saved_word(bytes, SAVED_LAYERS, layers);
    set_saved_word(bytes, SAVED_IN_H, in_h);
    set_saved_word(bytes, SAVED_PARAMS, 0);
    set_saved_word(bytes, SAVED_VELOCITY, 0);
    seal_saved(bytes, size);
    return size;
}

/* Nothing but the number of layers, or the input, is wrong. */
static void test_nothing_else_is_wrong(void)
{
    if (!set_up_hostile("a file without parameters")) return;
    CHECK_OK(parse(bytes, small_file(1, 1)));
    CHECK_OK(parse(bytes, small_file(2, 5)));
    CHECK(parsed->layer_count == 2 && parsed->input.h == 5);
    size_t size = small_file(0, 1);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(bytes, size));
    size = small_file(1, 0);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(bytes, size));
    size = small_file(1, CGE_MAX_ELEMS);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(bytes, size));
    size = small_file(1, 0xffffffffu);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse(bytes, size));
}

/* A size beyond 32 bits is no size of a file. The network is none either: no memory holds one that large. */
static void test_oversized_network(void)
{
    size_t size = 0;
    if (!set_up("oversized", &tiny, 0)) return;
    net.param_elems = 0x40000000;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_saved_bytes(&net, &size));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_save(&net, f.file, f.file_bytes, &size));
    CHECK(size == 0);
}

static void test_catalog(void)
{
    static const cge_layer_kind *const dense_only[] = {&cge_kind_dense};
    static const cge_layer_kind *const both[] = {&cge_kind_leaky_relu, &cge_kind_dense};
    static const cge_loss_kind *const losses[] = {&cge_mean_squared_error}, *const other_losses[] = {&cge_softmax_cross_entropy};
    static const cge_optimizer_kind *const optimizers[] = {&cge_sgd};
    static const cge_catalog enough = {both, losses, optimizers, 2, 1, 1, NULL, 0}, no_layer = {dense_only, losses, optimizers, 1, 1, 1, NULL, 0},
                             no_loss = {both, other_losses, optimizers, 2, 1, 1, NULL, 0}, no_optimizer = {both, losses, NULL, 2, 1, 0, NULL, 0};
    if (!set_up_hostile("catalogue")) return;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(f.file, f.file_bytes, &no_layer, parsed_layers, parsed_configs, 2, parsed));
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(f.file, f.file_bytes, &no_loss, parsed_layers, parsed_configs, 2, parsed));
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_model_parse(f.file, f.file_bytes, &no_optimizer, parsed_layers, parsed_configs, 2, parsed));
    CHECK_OK(cge_model_parse(f.file, f.file_bytes, &enough, parsed_layers, parsed_configs, 2, parsed));
}

/* A model without loss or optimiser is saved and read as such. */
static void test_bare_model(void)
{
    cge_model bare = tiny;
    bare.loss = NULL;
    bare.optimizer.kind = NULL;
    if (!set_up_hostile("no loss, no optimiser")) return;
    CHECK_OK(cge_network_init(&net, &bare, &inference, f.arena, f.arena_bytes));
    CHECK_OK(cge_network_saved_bytes(&net, &f.file_bytes));
    if (!save()) return;
    CHECK_OK(parse(f.file, f.file_bytes));
    CHECK(parsed->loss == NULL && parsed->optimizer.kind == NULL && parsed->layer_count == 2);
}

/* A model for fused multiply-adds, and its file: other builds refuse both. Parsing tells what it is. */
static void test_fused(void)
{
    const cge_status expected = CGE_FUSED ? CGE_OK : CGE_ERR_ARITHMETIC;
    cge_model model = tiny;
    size_t needed;
    if (!set_up_hostile("fused")) return;
    CHECK_OK(parse(f.file, f.file_bytes));
    CHECK(parsed->fused == 0 && saved_word(f.file, SAVED_INPUT) == 0);
    CHECK_OK(cge_network_init(&net, &model, &inference, f.arena, f.arena_bytes));
    model.fused = 1; /* behind the network's back: no other build gets here */
    CHECK_OK(cge_network_saved_bytes(&net, &f.file_bytes));
    if (!save()) return;
    CHECK(saved_word(f.file, SAVED_INPUT) == 0x100);
    CHECK_OK(parse(f.file, f.file_bytes));
    CHECK(parsed->fused == 1 && parsed->input_kind == NULL);
    CHECK_STATUS(expected, cge_network_restore(&net, f.file, f.file_bytes));
    CHECK_STATUS(expected, cge_network_arena_bytes(parsed, &inference, &needed));
    CHECK_STATUS(expected, cge_network_init(&net, parsed, &inference, f.arena, f.arena_bytes));
    parsed->fused = 2;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(parsed, &inference, &needed));
    CHECK(strcmp(cge_status_text(CGE_ERR_ARITHMETIC), cge_status_text((cge_status)-1)) != 0);
}

/* What learned with fused multiply-adds goes on in such builds, from files of any build. */
static void test_fused_restores_any(void)
{
    cge_model model = tiny;
    if (!set_up_hostile("any file into a fused network")) return;
    CHECK_OK(cge_network_init(&net, &model, &training, f.arena, f.arena_bytes));
    model.fused = 1;
    CHECK_OK(cge_network_restore(&net, f.file, f.file_bytes));
    set_saved_word(bytes, SAVED_INPUT, 1);
    seal_saved(bytes, f.file_bytes);
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&net, bytes, f.file_bytes));
}

static void test_null(void)
{
    if (!set_up_hostile("NULL")) return;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_saved_bytes(NULL, &f.file_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_saved_bytes(&net, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_save(NULL, bytes, f.file_bytes, &f.file_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_save(&net, NULL, f.file_bytes, &f.file_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_save(&net, bytes, f.file_bytes, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_parse(NULL, f.file_bytes, &cge_catalog_all, parsed_layers, parsed_configs, 2, parsed));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_parse(f.file, f.file_bytes, NULL, parsed_layers, parsed_configs, 2, parsed));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, NULL, parsed_configs, 2, parsed));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, parsed_layers, NULL, 2, parsed));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_parse(f.file, f.file_bytes, &cge_catalog_all, parsed_layers, parsed_configs, 2, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_restore(NULL, f.file, f.file_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_restore(&net, NULL, f.file_bytes));
    memset(&net, 0, sizeof net);
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_restore(&net, f.file, f.file_bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_save(&net, bytes, f.file_bytes, &f.file_bytes));
}

void suite_serialise_status(void)
{
    test_truncation();
    test_bit_flips();
    test_contradictions();
    test_every_word();
    test_more_velocity();
    test_nothing_else_is_wrong();
    test_oversized_network();
    test_catalog();
    test_bare_model();
    test_fused();
    test_fused_restores_any();
    test_null();
}
