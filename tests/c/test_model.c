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
    static const cge_layer others[] = {PLAIN(global_avgpool2d), PLAIN(flatten), DENSE(3, CGE_NO_BIAS, 0)};
    static const cge_layer flat[] = {PLAIN(flatten), CONV(2, 1, 1, 0, 0, 0, 0, 0, 0, 0, CGE_NO_BIAS)};
    static const cge_model pooled = {{4, 5, 6}, TABLE(others), NULL, {NULL, 0, 0, 0, 0}};
    static const cge_model flattened = {{2, 3, 4}, TABLE(flat), NULL, {NULL, 0, 0, 0, 0}};
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

/* A large network's cost does not overflow an int32. */
static void test_large(void)
{
    static const cge_layer layers[] = {CONV(64, 5, 5, 1, 1, 2, 2, 2, 2, 1, 0)};
    static const cge_model model = {{1024, 1024, 3}, TABLE(layers), NULL, {NULL, 0, 0, 0, 0}};
    cge_layer_info info;
    check_case("multiply-adds beyond int32");
    CHECK_OK(cge_model_layer_info(&model, 0, &info));
    CHECK(info.macs == (int64_t)1024 * 1024 * 64 * 75);
}

/* ---- refused layers ----------------------------------------------------------------------------------------------------- */

#define FIELD(name) {#name, offsetof(cge_layer, name)}

static const struct {
    const char *name;
    size_t offset;
} fields[] = {FIELD(units), FIELD(kernel_h), FIELD(kernel_w), FIELD(stride_h), FIELD(stride_w), FIELD(dilation_h), FIELD(dilation_w),
              FIELD(pad_top), FIELD(pad_left), FIELD(pad_bottom), FIELD(pad_right), FIELD(groups), FIELD(alpha), FIELD(flags), FIELD(init)};

enum { USES_UNITS = 1, USES_WINDOW = 0x1e, USES_PADDING = 0x780, USES_TAPS = 0x860, USES_ALPHA = 0x1000, USES_PARAMS = 0x6000 };

/* One bit per entry of fields[]: what a kind uses, from the header. A field that it does not use must be zero. */
static const struct {
    const char *name;
    cge_layer layer;
    uint32_t uses;
} kinds[] = {
    {"conv2d", CONV(2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), USES_UNITS | USES_WINDOW | USES_PADDING | USES_TAPS | USES_PARAMS},
    {"dense", DENSE(2, 0, 0), USES_UNITS | USES_PARAMS},
    {"maxpool2d", POOL(maxpool2d, 2, 2, 1, 1, 0, 0, 0, 0), USES_WINDOW | USES_PADDING},
    {"avgpool2d", POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 0), USES_WINDOW | USES_PADDING},
    {"global_avgpool2d", PLAIN(global_avgpool2d), 0},
    {"relu", PLAIN(relu), 0},
    {"leaky_relu", LEAKY(0.5f), USES_ALPHA},
    {"sigmoid", PLAIN(sigmoid), 0},
    {"tanh", PLAIN(tanh), 0},
    {"flatten", PLAIN(flatten), 0},
};

/* A model of one layer, in the pool, so that CHECK_REFUSED sees what is written. */
static cge_layer *layer;
static cge_model *model;
static cge_layer_info *info;
static size_t *bytes;

static int set_up(const char *name)
{
    static const cge_model template = {{4, 4, 2}, NULL, 1, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.5f, 0, 0}};
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

static void test_unused_fields(void)
{
    for (int32_t i = 0; i < COUNT_OF(kinds); i++)
        for (int32_t j = 0; j < COUNT_OF(fields); j++) {
            check_case(fields[j].name);
            *layer = kinds[i].layer;
            CHECK_OK(cge_model_layer_info(model, 0, info));
            if ((kinds[i].uses >> j & 1) != 0) continue;
            memset((unsigned char *)layer + fields[j].offset, 1, 4);
            check_model_refused(CGE_ERR_ARGUMENT);
        }
}

static const struct {
    const char *name;
    cge_status status;
    cge_layer layer;
} refused[] = {
    {"no kind", CGE_ERR_NULL, {NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
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
    {"unknown flags", CGE_ERR_ARGUMENT, DENSE(2, 0x80000000u, 0)},
    {"unknown init", CGE_ERR_ARGUMENT, DENSE(2, 0, 4)},
    {"negative init", CGE_ERR_ARGUMENT, DENSE(2, 0, -1)},
    {"pool without kernel", CGE_ERR_SHAPE, POOL(maxpool2d, 0, 2, 0, 0, 0, 0, 0, 0)},
    {"pool kernel > input", CGE_ERR_SHAPE, POOL(avgpool2d, 2, 5, 0, 0, 0, 0, 0, 0)},
    {"pool padding as large as the kernel", CGE_ERR_SHAPE, POOL(maxpool2d, 2, 2, 0, 0, 2, 0, 0, 0)},
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
        static const cge_layer leaky = LEAKY(0);
        check_case("alpha not finite");
        *layer = leaky;
        layer->alpha = float_from_bits(bits);
        check_model_refused(CGE_ERR_ARGUMENT);
    }
}

/* ---- refused models -------------------------------------------------------------------------------------------------------- */

static void test_refused_models(void)
{
    static const cge_shape bad_inputs[] = {{0, 4, 2}, {4, -1, 2}, {4, 4, 0}, {INT32_MIN, 4, 2}};
    static const cge_layer dense = DENSE(2, 0, 0);
    *layer = dense;
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

static void test_refused_optimizers(void)
{
    static const struct {
        uint32_t learning_rate, momentum, weight_decay;
        int32_t nesterov;
    } bad[] = {
        {0xbf800000u, 0, 0, 0}, {0x7fc00000u, 0, 0, 0}, {0x7f800000u, 0, 0, 0}, {0, 0x3f800000u, 0, 0}, {0, 0xbf000000u, 0, 0},
        {0, 0x7fc00000u, 0, 0}, {0, 0, 0xbf800000u, 0}, {0, 0, 0x7f800000u, 0}, {0, 0, 0, 1},           {0, 0x3f000000u, 0, 2},
    };
    check_case("optimiser");
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        model->optimizer.learning_rate = float_from_bits(bad[i].learning_rate);
        model->optimizer.momentum = float_from_bits(bad[i].momentum);
        model->optimizer.weight_decay = float_from_bits(bad[i].weight_decay);
        model->optimizer.nesterov = bad[i].nesterov;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(model, NULL, bytes));
    }
    model->optimizer.kind = NULL; /* nothing of it is read then */
    CHECK_OK(cge_network_arena_bytes(model, NULL, bytes));
}

/* Each layer is possible, the whole is not. */
static void test_overflowing_wholes(void)
{
    cge_layer many[5];
    cge_options options = {1, 1, NULL, NULL};
    cge_model large = {{1, 1, 0x2000}, many, 0, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}};
    static const cge_layer dense = DENSE(0x2000, CGE_NO_BIAS, 0);
    check_case("parameters of all layers overflow");
    for (int32_t i = 0; i < COUNT_OF(many); i++) many[i] = dense;
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
    many[0].units = 1;
    options.training = 1;
    options.capacity = 0x00010000;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

/* So many tensors, each as large as can be, that their sum in elements is beyond int64 (the sanitizer would tell). */
static void test_overflowing_sum(void)
{
#define POOL_1 POOL(maxpool2d, 1, 1, 0, 0, 0, 0, 0, 0)
#define POOL_5 POOL_1, POOL_1, POOL_1, POOL_1, POOL_1
#define POOL_25 POOL_5, POOL_5, POOL_5, POOL_5, POOL_5
    static const cge_layer layers[] = {CONV(1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0), POOL_25, POOL_25, POOL_25, POOL_25, POOL_25, POOL_25};
    static const cge_model large = {{CGE_MAX_ELEMS, 1, 1}, TABLE(layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}};
    static const cge_options options = {1, CGE_MAX_ELEMS, NULL, NULL};
    check_case("sum of tensors overflows");
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

/* 3.2 GB of parameters, gradients and velocity: the limit holds for the arena as a whole, on every target. */
static void test_arena_too_large(void)
{
    static const cge_layer layers[] = {DENSE(16385, CGE_NO_BIAS, 0)};
    static const cge_model large = {{1, 1, 16383}, TABLE(layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.5f, 0, 0}};
    static const cge_options options = {1, 1, NULL, NULL};
    check_case("arena of too many elements");
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_network_arena_bytes(&large, &options, bytes));
}

void suite_model(void)
{
    test_layer_info();
    test_large();
    if (!set_up("bad models")) return;
    test_unused_fields();
    test_refused_layers();
    test_refused_models();
    test_refused_optimizers();
    test_overflowing_wholes();
    test_overflowing_sum();
    test_arena_too_large();
}
