/* The size query and the layout ask each layer a few times for its shapes, however many layers there are. */
#include "../../csrc/src/layers/layer.h"

#include "check.h"
#include "models.h"
#include "suites.h"

enum { FEW = 8, MANY = 16, QUERY_CALLS = 3, INIT_CALLS = 7 };

static int32_t infer_calls;

static cge_status counted_infer(const cge_layer *layer, cge_shape in, cge_layer_info *info)
{
    (void)layer;
    infer_calls++;
    info->out = in;
    return CGE_OK;
}

static void pass_on(const cge_layer_call *c)
{
    (void)c;
}

static const cge_layer_kind counted = {125, 0, 0, counted_infer, pass_on, NULL, pass_on};

static const cge_layer trainable = {.kind = &cge_kind_dense, .config = &(const cge_dense){2}};

static void test_calls(int32_t layer_count, int32_t training)
{
    const size_t rows = (size_t)layer_count + 1, table_bytes = rows * sizeof(cge_layer), arena_bytes = 2 * rows * sizeof(cge_layer_plan); /* at most */
    cge_layer *layers;
    cge_model model = {{1, 1, 2}, NULL, layer_count + 1, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    const cge_options options = {training, 1, NULL, NULL, NULL};
    cge_network net;
    size_t bytes = 0;
    if (!check_room("layers asked for their shapes", table_bytes + arena_bytes)) return;
    layers = check_bytes(table_bytes);
    model.layers = layers;
    layers[0] = trainable;
    for (int32_t i = 1; i <= layer_count; i++) layers[i] = (cge_layer){.kind = &counted};
    infer_calls = 0;
    CHECK_OK(cge_network_arena_bytes(&model, &options, &bytes));
    CHECK(infer_calls <= QUERY_CALLS * layer_count);
    if (!CHECK(bytes <= arena_bytes)) return;
    infer_calls = 0;
    CHECK_OK(cge_network_init(&net, &model, &options, check_bytes(bytes), bytes));
    CHECK(infer_calls <= INIT_CALLS * layer_count);
}

enum { PIXELS = 20, UNITS = 8 };
#define FROZEN_CONV CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_FROZEN)
static const cge_layer few_units[] = {FROZEN_CONV, FROZEN_CONV, DENSE(UNITS, 0, 0)};
static const cge_layer more_units[] = {FROZEN_CONV, FROZEN_CONV, DENSE(2 * UNITS, 0, 0)};
static const test_model frozen_fronts[] = {MODEL("few units", PIXELS, 1, 2, few_units, &cge_mean_squared_error, 0.1f, 0, 0, 0),
                                           MODEL("more", PIXELS, 1, 2, more_units, &cge_mean_squared_error, 0.1f, 0, 0, 0)};

/* Of layers that do not learn the last output alone is kept, so what follows finds room where the one before was. */
static void test_frozen_front(void)
{
    const cge_options options = {1, 1, NULL, NULL, NULL};
    size_t bytes[2] = {0, 0};
    check_case("frozen front");
    for (int32_t i = 0; i < 2; i++) CHECK_OK(cge_network_arena_bytes(&frozen_fronts[i].model, &options, &bytes[i]));
    CHECK(bytes[1] - bytes[0] == 2 * sizeof(float) * UNITS * (2 * PIXELS + 1)); /* weights, biases and their gradients */
}

static void test_layer_infer(void)
{
    const cge_layer layer = {.kind = &counted};
    const cge_layer dense = {.kind = &cge_kind_dense, .config = &(const cge_dense){3}}, no_outputs = {.kind = &cge_kind_dense, .config = &(const cge_dense){0}};
    cge_shape in = {2, 3, 4};
    cge_layer_info info = {.macs = -1};
    check_case("one layer");
    CHECK_OK(cge_layer_infer(&dense, &in, &info));
    CHECK(info.in.h == 2 && info.in.w == 3 && info.in.c == 4 && info.out.c == 3 && info.weight_elems == 72 && info.bias_elems == 3 && info.macs == 72);
    info.macs = -1;
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(NULL, &in, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&layer, NULL, &info));
    CHECK_STATUS(CGE_ERR_NULL, cge_layer_infer(&layer, &in, NULL));
    in.w = 0;
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&layer, &in, &info));
    in = (cge_shape){0, 3, 4};
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&layer, &in, &info));
    in = (cge_shape){2, 3, 0};
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&layer, &in, &info));
    in = (cge_shape){2, 3, 4};
    CHECK_STATUS(CGE_ERR_SHAPE, cge_layer_infer(&no_outputs, &in, &info));
    in.w = CGE_MAX_ELEMS;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_layer_infer(&layer, &in, &info));
    CHECK(info.macs == -1);
}

void suite_planning(void)
{
    for (int32_t training = 0; training <= 1; training++) {
        test_calls(FEW, training);
        test_calls(MANY, training);
    }
    test_frozen_front();
    test_layer_infer();
}
