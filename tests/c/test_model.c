/* What a model says about its layers, and every model that is refused. */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

/* ---- layer_info ------------------------------------------------------------------------------------------------------- */

typedef struct expected_info {
    cge_shape in, out;
    int32_t weight_shape[4], weight_elems, bias_elems, fan_in, fan_out;
    int64_t macs;
} expected_info;

static int same_shape(cge_shape a, cge_shape b)
{
    return a.h == b.h && a.w == b.w && a.c == b.c;
}

static void check_info(const cge_model *model, int32_t index, const expected_info *e)
{
    cge_layer_info info;
    memset(&info, 0x33, sizeof info);
    if (!CHECK_OK(cge_model_layer_info(model, index, &info))) return;
    CHECK(same_shape(info.in, e->in) && same_shape(info.out, e->out));
    for (int32_t i = 0; i < 4; i++) CHECK(info.weight_shape[i] == e->weight_shape[i]);
    CHECK(info.weight_elems == e->weight_elems && info.bias_elems == e->bias_elems);
    if (e->weight_elems > 0) CHECK(info.fan_in == e->fan_in && info.fan_out == e->fan_out);
    if (e->weight_elems > 0) CHECK(info.macs == e->macs);
}

static const cge_layer others[] = {PLAIN(global_avgpool2d), PLAIN(flatten), DENSE(3, CGE_NO_BIAS, 0)};
static const cge_layer flat[] = {PLAIN(flatten), CONV(2, 1, 1, 0, 0, 0, 0, 0, 0, 0, CGE_NO_BIAS)};

static void test_layer_info(void)
{
    static const expected_info expected[] = { /* of the convnet; worked out by hand */
        {{6, 5, 2}, {6, 5, 4}, {3, 3, 2, 4}, 72, 4, 18, 36, 6 * 5 * 4 * 18},
        {{6, 5, 4}, {6, 5, 4}, {0, 0, 0, 0}, 0, 0, 0, 0, 0},
        {{6, 5, 4}, {3, 2, 4}, {0, 0, 0, 0}, 0, 0, 0, 0, 0},
        {{3, 2, 4}, {3, 2, 4}, {2, 2, 2, 4}, 32, 4, 8, 8, 3 * 2 * 4 * 8}, /* 2 groups: a filter sees 2 channels, a channel 2 filters */
        {{3, 2, 4}, {3, 2, 4}, {0, 0, 0, 0}, 0, 0, 0, 0, 0},
        {{3, 2, 4}, {2, 2, 4}, {0, 0, 0, 0}, 0, 0, 0, 0, 0},
        {{2, 2, 4}, {1, 1, 5}, {16, 5, 1, 1}, 80, 5, 16, 5, 80},
        {{1, 1, 5}, {1, 1, 5}, {0, 0, 0, 0}, 0, 0, 0, 0, 0},
        {{1, 1, 5}, {1, 1, 3}, {5, 3, 1, 1}, 15, 3, 5, 3, 15},
    };
    static const cge_model pooled = {{4, 5, 6}, TABLE(others), NULL, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    static const cge_model flattened = {{2, 3, 4}, TABLE(flat), NULL, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    check_case("layer_info");
    CHECK(convnet.layer_count == COUNT_OF(expected));
    for (int32_t i = 0; i < COUNT_OF(expected); i++) check_info(&convnet, i, &expected[i]);
    static const expected_info global = {{4, 5, 6}, {1, 1, 6}, {0, 0, 0, 0}, 0, 0, 0, 0, 0};
    static const expected_info no_bias = {{1, 1, 6}, {1, 1, 3}, {6, 3, 1, 1}, 18, 0, 6, 3, 18};
    static const expected_info flatten = {{2, 3, 4}, {1, 1, 24}, {0, 0, 0, 0}, 0, 0, 0, 0, 0};
    static const expected_info pointwise = {{1, 1, 24}, {1, 1, 2}, {1, 1, 24, 2}, 48, 0, 24, 2, 48};
    check_info(&pooled, 0, &global);
    check_info(&pooled, 2, &no_bias);
    check_info(&flattened, 0, &flatten);
    check_info(&flattened, 1, &pointwise);
}

static const cge_layer large_layers[] = {CONV(64, 5, 5, 1, 1, 2, 2, 2, 2, 1, 0)};

/* A large network's cost does not overflow an int32. */
static void test_large(void)
{
    static const cge_model model = {{1024, 1024, 3}, TABLE(large_layers), NULL, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    cge_layer_info info;
    check_case("multiply-adds beyond int32");
    CHECK_OK(cge_model_layer_info(&model, 0, &info));
    CHECK(info.macs == (int64_t)1024 * 1024 * 64 * 75);
}

/* ---- refused layers ----------------------------------------------------------------------------------------------------- */

/* What a kind has, from the header. */
static const struct {
    const char *name;
    cge_layer layer;
    int32_t needs_config, has_params;
} kinds[] = {
    {"conv2d", CONV(2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), 1, 1},
    {"dense", DENSE(2, 0, 0), 1, 1},
    {"maxpool2d", POOL(maxpool2d, 2, 2, 1, 1, 0, 0, 0, 0), 1, 0},
    {"avgpool2d", POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 0), 1, 0},
    {"global_avgpool2d", PLAIN(global_avgpool2d), 0, 0},
    {"relu", PLAIN(relu), 0, 0},
    {"leaky_relu", LEAKY(0.5f), 0, 0},
    {"sigmoid", PLAIN(sigmoid), 0, 0},
    {"tanh", PLAIN(tanh), 0, 0},
    {"flatten", PLAIN(flatten), 0, 0},
    {"relu6", PLAIN(relu6), 0, 0},
    {"hard_sigmoid", PLAIN(hard_sigmoid), 0, 0},
    {"softplus", PLAIN(softplus), 0, 0},
    {"softmax", PLAIN(softmax), 0, 0},
    {"hard_swish", PLAIN(hard_swish), 0, 0},
    {"silu", PLAIN(silu), 0, 0},
    {"gelu", PLAIN(gelu), 0, 0},
    {"elu", ELU(0.5f), 1, 0},
    {"global_maxpool2d", PLAIN(global_maxpool2d), 0, 0},
    {"zero_pad2d", PADDED(zero_pad2d, 1, 0, 2, 1), 1, 0},
    {"crop2d", PADDED(crop2d, 1, 0, 2, 1), 1, 0},
    {"channel_slice", CHANNELS(1, 1), 1, 0},
    {"upsample2d", UPSAMPLE(2, 3, 1), 1, 0},
    {"prelu", PRELU(2, 0), 0, 1},
};

/* A model of one layer, in the pool, so that CHECK_REFUSED sees what is written. */
static cge_layer *layer;
static cge_model *model;
static cge_layer_info *info;
static size_t *bytes;

static int set_up(const char *name)
{
    static const cge_model template = {{4, 4, 2}, NULL, 1, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0};
    if (!check_room(name, sizeof *layer + sizeof *model + sizeof *info + sizeof *bytes)) return 0;
    layer = check_bytes(sizeof *layer);
    model = check_bytes(sizeof *model);
    info = check_bytes(sizeof *info);
    bytes = check_bytes(sizeof *bytes);
    *model = template;
    model->layers = layer;
    return 1;
}

/* Both entries that look at a model say the same. */
static void check_model_refused(cge_status status)
{
    CHECK_REFUSED(status, cge_model_layer_info(model, 0, info));
    CHECK_REFUSED(status, cge_network_arena_bytes(model, NULL, bytes));
}

/* A config where there is none, none where it is needed, or at an odd address; what is of layers with parameters alone. */
static void test_rows(void)
{
    static const cge_dense zero;
    static cge_layer_config configs[2];
    for (int32_t i = 0; i < COUNT_OF(kinds); i++) {
        const int has_config = kinds[i].layer.config != NULL;
        check_case(kinds[i].name);
        *layer = kinds[i].layer;
        CHECK_OK(cge_model_layer_info(model, 0, info));
        layer->config = has_config ? NULL : &zero;
        if (kinds[i].needs_config) check_model_refused(CGE_ERR_NULL);
        else if (!has_config) check_model_refused(CGE_ERR_ARGUMENT);
        else CHECK_OK(cge_model_layer_info(model, 0, info));
        layer->config = kinds[i].layer.config;
        own_config(layer, configs);
        if (has_config) {
            layer->config = (const char *)configs + 2;
            check_model_refused(CGE_ERR_ALIGN);
        }
        if (kinds[i].has_params) continue;
        *layer = kinds[i].layer;
        layer->flags = CGE_FROZEN;
        check_model_refused(CGE_ERR_ARGUMENT);
        *layer = kinds[i].layer;
        layer->init = CGE_INIT_HE_NORMAL;
        check_model_refused(CGE_ERR_ARGUMENT);
        *layer = kinds[i].layer;
        layer->trains = CGE_TRAINS_BIAS;
        check_model_refused(CGE_ERR_ARGUMENT);
    }
}

/* Sizes that a config says of its input are those that come in (4x4x2), or 0. */
static void test_input_of_configs(void)
{
    cge_layer_config configs[1];
    for (int32_t i = 0; i < COUNT_OF(kinds); i++) {
        const int is_conv2d = kinds[i].layer.kind == &cge_kind_conv2d;
        int32_t *const sizes[3] = {is_conv2d ? &configs->conv2d.in_h : &configs->pool2d.in_h, is_conv2d ? &configs->conv2d.in_w : &configs->pool2d.in_w,
                                   is_conv2d ? &configs->conv2d.in_c : &configs->pool2d.in_c};
        if (!kinds[i].needs_config || kinds[i].layer.kind == &cge_kind_dense || kinds[i].layer.kind == &cge_kind_elu) continue;
        for (int32_t j = 0; j < 3; j++) {
            const int32_t right = j < 2 ? 4 : 2;
            check_case(kinds[i].name);
            *layer = kinds[i].layer;
            own_config(layer, configs);
            *sizes[j] = right;
            CHECK_OK(cge_model_layer_info(model, 0, info));
            *sizes[j] = right + 1;
            check_model_refused(CGE_ERR_SHAPE);
            *sizes[j] = -1;
            check_model_refused(CGE_ERR_SHAPE);
        }
    }
}

static const struct {
    const char *name;
    cge_status status;
    cge_layer layer;
} refused[] = {
    {"no kind", CGE_ERR_NULL, {.kind = NULL}},
    {"no filters", CGE_ERR_SHAPE, CONV(0, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0)},
    {"filters negative", CGE_ERR_SHAPE, CONV(-1, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0)},
    {"no kernel", CGE_ERR_SHAPE, CONV(2, 0, 2, 1, 1, 0, 0, 0, 0, 1, 0)},
    {"kernel > input", CGE_ERR_SHAPE, CONV(2, 5, 2, 1, 1, 0, 0, 0, 0, 1, 0)},
    {"padding negative", CGE_ERR_SHAPE, CONV(2, 2, 2, 1, 1, 0, 0, -1, 0, 1, 0)},
    {"groups do not divide channels", CGE_ERR_SHAPE, CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 3, 0)},
    {"groups do not divide filters", CGE_ERR_SHAPE, CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 2, 0)},
    {"conv weights overflow", CGE_ERR_OVERFLOW, CONV(INT32_MAX, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0)},
    {"conv output overflows", CGE_ERR_OVERFLOW, CONV(2, 1, 1, 1, 1, 0x4000, 0x4000, 0x4000, 0x4000, 1, 0)},
    {"no outputs", CGE_ERR_SHAPE, DENSE(0, 0, 0)},
    {"outputs negative", CGE_ERR_SHAPE, DENSE(INT32_MIN, 0, 0)},
    {"dense weights overflow", CGE_ERR_OVERFLOW, DENSE(0x00800000, 0, 0)},
    {"unknown flag", CGE_ERR_ARGUMENT, DENSE(2, 4, 0)},
    {"unknown flags", CGE_ERR_ARGUMENT, DENSE(2, 0x8000, 0)},
    {"unknown init", CGE_ERR_ARGUMENT, DENSE(2, 0, 4)},
    {"largest init", CGE_ERR_ARGUMENT, DENSE(2, 0, 255)},
    {"pool without kernel", CGE_ERR_SHAPE, POOL(maxpool2d, 0, 2, 0, 0, 0, 0, 0, 0)},
    {"pool kernel > input", CGE_ERR_SHAPE, POOL(avgpool2d, 2, 5, 0, 0, 0, 0, 0, 0)},
    {"pool padding as large as the kernel", CGE_ERR_SHAPE, POOL(maxpool2d, 2, 2, 0, 0, 2, 0, 0, 0)},
    {"slopes of other channels", CGE_ERR_SHAPE, PRELU(3, 0)},
    {"slopes negative", CGE_ERR_SHAPE, PRELU(-1, 0)},
    {"slopes without bias", CGE_ERR_ARGUMENT, PRELU(2, CGE_NO_BIAS)},
    {"no slopes", CGE_ERR_ARGUMENT, PRELU(2, CGE_NO_AFFINE)},
    {"slopes with an init", CGE_ERR_ARGUMENT, {.kind = &cge_kind_prelu, .init = CGE_INIT_HE_NORMAL}},
    {"slopes of some channels", CGE_ERR_ARGUMENT, {.kind = &cge_kind_prelu, .trains = 1}},
    {"biases of slopes", CGE_ERR_ARGUMENT, {.kind = &cge_kind_prelu, .trains = CGE_TRAINS_BIAS}},
    {"alpha negative", CGE_ERR_ARGUMENT, LEAKY(-0.5f)},
};

static void test_refused_layers(void)
{
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        check_case(refused[i].name);
        *layer = refused[i].layer;
        check_model_refused(refused[i].status);
    }
    for (uint32_t bits = 0x7f800000u; bits <= 0x7fc00000u; bits += 0x00400000u) {
        const cge_leaky_relu leaky = {float_from_bits(bits)};
        check_case("alpha not finite");
        *layer = refused[COUNT_OF(refused) - 1].layer;
        layer->config = &leaky;
        check_model_refused(CGE_ERR_ARGUMENT);
    }
}

/* ---- refused models -------------------------------------------------------------------------------------------------------- */

static const cge_layer two_outputs = DENSE(2, 0, 0);

static void test_refused_models(void)
{
    static const cge_shape bad_inputs[] = {{0, 4, 2}, {4, -1, 2}, {4, 4, 0}, {INT32_MIN, 4, 2}};
    *layer = two_outputs;
    check_case("arguments");
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_layer_info(NULL, 0, info));
    CHECK_REFUSED(CGE_ERR_NULL, cge_model_layer_info(model, 0, NULL));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_model_layer_info(model, -1, info));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_model_layer_info(model, 1, info));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_model_layer_info(model, INT32_MAX, info));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_arena_bytes(NULL, NULL, bytes));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_arena_bytes(model, NULL, NULL));
    check_case("input");
    for (int32_t i = 0; i < COUNT_OF(bad_inputs); i++) {
        model->input = bad_inputs[i];
        check_model_refused(CGE_ERR_SHAPE);
    }
    model->input.h = model->input.w = model->input.c = INT32_MAX;
    check_model_refused(CGE_ERR_OVERFLOW);
    model->input.h = model->input.w = model->input.c = 2;
    check_case("layer count");
    for (int32_t count = 0; count >= -2; count--) {
        model->layer_count = count;
        check_model_refused(CGE_ERR_ARGUMENT);
    }
    model->layer_count = 1;
    model->layers = NULL;
    check_model_refused(CGE_ERR_NULL);
    model->layers = layer;
    CHECK_OK(cge_model_layer_info(model, 0, info));
}

static void test_refused_factors(void)
{
    static const uint32_t bad[] = {0x47800001u, 0x7f800000u, 0x7fc00000u, 0x80000000u, 0xbf800000u, 0xff800000u, 0xffc00000u};
    check_case("learning_rate_factor");
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        layer->learning_rate_factor = float_from_bits(bad[i]);
        check_model_refused(CGE_ERR_ARGUMENT);
    }
    layer->learning_rate_factor = 65536.0f;
    CHECK_OK(cge_model_layer_info(model, 0, info));
    layer->kind = &cge_kind_relu;
    layer->config = NULL;
    check_model_refused(CGE_ERR_ARGUMENT);
    layer->learning_rate_factor = 0;
    CHECK_OK(cge_model_layer_info(model, 0, info));
}

static void test_refused_optimizers(void)
{
    static const struct {
        uint32_t learning_rate, momentum, weight_decay;
        int32_t nesterov;
    } bad[] = {
        {0xbf800000u, 0, 0, 0}, {0x7fc00000u, 0, 0, 0}, {0x7f800000u, 0, 0, 0}, {0, 0x3f800000u, 0, 0}, {0, 0xbf000000u, 0, 0},
        {0, 0x7fc00000u, 0, 0}, {0, 0, 0xbf800000u, 0}, {0, 0, 0x7f800000u, 0}, {0, 0, 0, 1},           {0, 0x3f000000u, 0, 2},
    };
    static const struct {
        const cge_optimizer_kind *kind;
        uint32_t l1;
    } bad_l1[] = {{&cge_sgd, 0x3f800000u},    {&cge_sgd, 0x7fc00000u},    {&cge_sgd_l1, 0xbf800000u},
                  {&cge_sgd_l1, 0x7f800000u}, {&cge_sgd_l1, 0x7fc00000u}, {&cge_adam, 0x3f800000u}};
    check_case("optimiser");
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        model->optimizer.learning_rate = float_from_bits(bad[i].learning_rate);
        model->optimizer.momentum = float_from_bits(bad[i].momentum);
        model->optimizer.weight_decay = float_from_bits(bad[i].weight_decay);
        model->optimizer.nesterov = bad[i].nesterov;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(model, NULL, bytes));
    }
    for (int32_t i = 0; i < COUNT_OF(bad_l1); i++) {
        const float l1 = float_from_bits(bad_l1[i].l1);
        const cge_optimizer o = {.kind = bad_l1[i].kind, .learning_rate = 0.1f, .beta2 = 0.5f, .epsilon = 1, .l1 = l1};
        model->optimizer = o;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(model, NULL, bytes));
    }
    model->optimizer.kind = NULL; /* nothing of it is read then */
    CHECK_OK(cge_network_arena_bytes(model, NULL, bytes));
}

static const cge_layer large_dense = DENSE(0x2000, CGE_NO_BIAS, 0), one_output = DENSE(1, CGE_NO_BIAS, 0);

/* Each layer is possible, the whole is not. */
static void test_overflowing_wholes(void)
{
    cge_layer many[5];
    cge_options options = {1, 1, NULL, NULL, NULL};
    cge_model large = {{1, 1, 0x2000}, many, 0, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    check_case("parameters of all layers overflow");
    for (int32_t i = 0; i < COUNT_OF(many); i++) many[i] = large_dense;
    large.layer_count = 4;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, NULL, bytes));
    large.layer_count = COUNT_OF(many);
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, NULL, bytes));
    check_case("activations overflow");
    large.layer_count = 1;
    options.capacity = CGE_MAX_ELEMS;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
    options.training = 0;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
    check_case("input held for the batch overflows");
    many[0] = one_output;
    options.training = 1;
    options.capacity = 0x00010000;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

#define POOL_1 POOL(maxpool2d, 1, 1, 0, 0, 0, 0, 0, 0)
#define POOL_5 POOL_1, POOL_1, POOL_1, POOL_1, POOL_1
#define POOL_25 POOL_5, POOL_5, POOL_5, POOL_5, POOL_5
static const cge_layer many_pools[] = {CONV(1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0), POOL_25, POOL_25, POOL_25, POOL_25, POOL_25, POOL_25};

/* So many tensors, each as large as can be, that their sum in elements is beyond int64 (the sanitizer would tell). */
static void test_overflowing_sum(void)
{
    static const cge_model large = {{CGE_MAX_ELEMS, 1, 1}, TABLE(many_pools), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    static const cge_options options = {1, CGE_MAX_ELEMS, NULL, NULL, NULL};
    check_case("sum of tensors overflows");
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

static const cge_layer many_weights[] = {DENSE(16385, CGE_NO_BIAS, 0)};

/* 3.2 GB of parameters, gradients and velocity: the limit holds for the arena as a whole, on every target. */
static void test_arena_too_large(void)
{
    static const cge_model large = {{1, 1, 16383}, TABLE(many_weights), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0};
    static const cge_options options = {1, 1, NULL, NULL, NULL};
    check_case("arena of too many elements");
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

void suite_model(void)
{
    test_layer_info();
    test_large();
    if (!set_up("bad models")) return;
    test_rows();
    test_input_of_configs();
    test_refused_layers();
    test_refused_models();
    test_refused_factors();
    test_refused_optimizers();
    test_overflowing_wholes();
    test_overflowing_sum();
    test_arena_too_large();
}
