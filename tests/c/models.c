#include "models.h"
#include "saved.h"

#include <string.h>

static const cge_layer convnet_layers[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), /* 6x5x2 -> 6x5x4 */
    LEAKY(0.1f),
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), /* 3x2x4 */
    CONV(4, 2, 2, 1, 1, 1, 0, 0, 1, 2, 0),   /* 3x2x4 */
    PLAIN(tanh),
    POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 1), /* 2x2x4 */
    DENSE(5, 0, CGE_INIT_GLOROT_UNIFORM),
    PLAIN(sigmoid),
    DENSE(3, 0, CGE_INIT_GLOROT_NORMAL),
};

static const cge_layer first_frozen[] = {
    CONV(4, 3, 3, 2, 2, 1, 1, 1, 1, 1, CGE_FROZEN), /* 6x5x2 -> 3x3x4 */
    PLAIN(relu),
    CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), /* 2x2x3 */
    PLAIN(relu),
    PLAIN(flatten),
    DENSE(3, 0, CGE_INIT_HE_NORMAL),
};

static const cge_layer middle_frozen[] = {
    DENSE(6, 0, 0), PLAIN(tanh), DENSE(5, CGE_FROZEN, 0), PLAIN(sigmoid), DENSE(4, CGE_FROZEN | CGE_NO_BIAS, 0), LEAKY(0.5f), DENSE(2, 0, 0),
};

static const cge_layer last_frozen[] = {CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(global_avgpool2d), DENSE(2, CGE_FROZEN, 0)};
static const cge_layer all_frozen[] = {DENSE(4, CGE_FROZEN, 0), PLAIN(relu), DENSE(2, CGE_FROZEN, 0)};
static const cge_layer global_pool[] = {PLAIN(relu), CONV(4, 3, 1, 1, 1, 1, 0, 1, 0, 1, 0), PLAIN(relu), PLAIN(global_avgpool2d)};
static const cge_layer perceptron_layers[] = {DENSE(6, 0, CGE_INIT_GLOROT_UNIFORM), PLAIN(tanh), DENSE(4, 0, CGE_INIT_GLOROT_UNIFORM)};
static const cge_layer rates[] = {
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 3, WINDOW(2, 2, 1, 1, 0, 0, 0, 0)), .learning_rate_factor = 0.25f},
    PLAIN(relu),
    {.kind = &cge_kind_group_norm, .config = &(const cge_norm){.groups = 1}, .learning_rate_factor = 65536.0f}, DENSE(4, 0, 0),
    PLAIN(tanh),
    {.kind = &cge_kind_dense, DENSE_CONFIG(3), .flags = CGE_FROZEN, .learning_rate_factor = 0x1p-149f}};
static const cge_layer one_dense[] = {DENSE(3, CGE_NO_BIAS, 0)};
static const cge_layer no_parameters[] = {POOL(maxpool2d, 2, 2, 2, 1, 1, 1, 0, 0), PLAIN(sigmoid), PLAIN(flatten)};
static const cge_layer curves[] = {
    PLAIN(silu), CONV(4, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(hard_swish), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(softmax), DENSE(4, 0, 0), PLAIN(gelu), DENSE(3, 0, 0)};
static const cge_layer moved[] = {
    PADDED(zero_pad2d, 1, 0, 0, 2), CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), UPSAMPLE(2, 1, 1), PADDED(crop2d, 1, 1, 0, 0), CHANNELS(1, 2), UPSAMPLE(1, 2, 0),
    PLAIN(global_maxpool2d), DENSE(3, 0, 0)};
static const cge_layer capped[] = {
    CONV(4, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu6), PLAIN(hard_sigmoid), DENSE(4, 0, 0), PLAIN(softplus), ELU(0.5f), DENSE(3, 0, 0), ELU(1)};
static const cge_layer depthwise[] = {CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 3, 0), PLAIN(relu), CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), PLAIN(global_avgpool2d)};

static const cge_layer norms[] = {
    NORM(group_norm, 0, .groups = 2), CONV(6, 2, 2, 1, 1, 1, 1, 0, 0, 1, CGE_NO_BIAS), NORM(group_norm, 0, .groups = 3, .eps = 0.01f), PLAIN(relu), /* 5x4x6 */
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), NORM(instance_norm, CGE_NO_AFFINE, .eps = 0.1f), CONV(5, 2, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(tanh), /* 1x2x5 */
    NORM(layer_norm, 0, 0), LEAKY(0.5f), NORM(group_norm, CGE_FROZEN, .in_c = 5), NORM(layer_norm, CGE_NO_BIAS, .eps = 1), DENSE(3, 0, 0)};

static const cge_layer scales[] = {
    CONV(5, 2, 2, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS),
    {.kind = &cge_kind_batch_norm, .config = &(const cge_batch_norm){.eps = 64}, .flags = CGE_FROZEN}, PLAIN(relu),
    PLAIN(scale), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), {.kind = &cge_kind_scale, .flags = CGE_NO_BIAS},
    PLAIN(tanh), DENSE(3, 0, 0)};

static const cge_layer transposed[] = {
    TRANSPOSED(4, 3, 2, 1, 1, 1, 0), PLAIN(relu), /* 2x3x2 -> 4x6x4 */
    TRANSPOSED(6, 2, 1, 1, 0, 2, CGE_NO_BIAS), PLAIN(tanh), TRANSPOSED(3, 2, 1, 0, 0, 3, CGE_FROZEN), /* 3x5x6 -> 4x6x3 */
    CONV(2, 2, 2, 2, 2, 0, 0, 0, 0, 1, 0), LEAKY(0.25f),
    {.kind = &cge_kind_conv_transpose2d, .config = &(const cge_conv_transpose2d){
        .out_c = 3, WINDOW(2, 1, 1, 2, 1, 0, 0, 1), .dilation_h = 3, .output_pad_h = 2, .output_pad_w = 1}},
    PLAIN(global_avgpool2d)};

static const cge_layer slopes[] = {
    PRELU(2, 0), CONV(4, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PRELU(4, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    PRELU(0, 0), PLAIN(relu), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), PRELU(1, CGE_FROZEN), DENSE(3, 0, 0),
    PRELU(3, 0)};

#define CROSS_ENTROPY &cge_softmax_cross_entropy
#define SQUARED_ERROR &cge_mean_squared_error

#define CONVNET {{6, 5, 2}, TABLE(convnet_layers), CROSS_ENTROPY, SGD(0.05f, 0.9f, 1e-3f, 1), NULL, 0, 0}
#define PERCEPTRON {{1, 1, 7}, TABLE(perceptron_layers), SQUARED_ERROR, SGD(0.1f, 0, 0, 0), NULL, 0, 0}

cge_layer random_layers[MOST_RANDOM_LAYERS];
cge_layer_config random_configs[MOST_RANDOM_LAYERS];

static cge_layer layer_with(const cge_layer_kind *kind, cge_layer_config *config, int32_t flags)
{
    cge_layer layer = {.kind = kind, .config = config, .flags = (uint16_t)flags};
    return layer;
}

cge_layer conv2d_layer(cge_layer_config *config, const cge_conv2d *conv2d, int32_t flags)
{
    config->conv2d = *conv2d;
    return layer_with(&cge_kind_conv2d, config, flags);
}

cge_layer pool2d_layer(cge_layer_config *config, const cge_layer_kind *kind, const cge_pool2d *pool2d)
{
    config->pool2d = *pool2d;
    return layer_with(kind, config, 0);
}

cge_layer dense_layer(cge_layer_config *config, int32_t units, int32_t flags)
{
    config->dense.units = units;
    return layer_with(&cge_kind_dense, config, flags);
}

cge_layer leaky_relu_layer(cge_layer_config *config, float alpha)
{
    config->leaky_relu.alpha = alpha;
    return layer_with(&cge_kind_leaky_relu, config, 0);
}

static size_t config_bytes(const cge_layer_kind *kind)
{
    if (kind == &cge_kind_conv2d) return sizeof(cge_conv2d);
    if (kind == &cge_kind_conv_transpose2d) return sizeof(cge_conv_transpose2d);
    if (kind == &cge_kind_maxpool2d || kind == &cge_kind_avgpool2d) return sizeof(cge_pool2d);
    if (kind == &cge_kind_dense) return sizeof(cge_dense);
    if (kind == &cge_kind_zero_pad2d || kind == &cge_kind_crop2d) return sizeof(cge_pad2d);
    if (kind == &cge_kind_channel_slice) return sizeof(cge_channel_slice);
    if (kind == &cge_kind_upsample2d) return sizeof(cge_upsample2d);
    if (kind == &cge_kind_group_norm || kind == &cge_kind_instance_norm) return sizeof(cge_norm);
    if (kind == &cge_kind_layer_norm) return sizeof(cge_norm);
    if (kind == &cge_kind_batch_norm) return sizeof(cge_batch_norm);
    if (kind == &cge_kind_prelu) return sizeof(cge_prelu);
    return kind == &cge_kind_leaky_relu || kind == &cge_kind_elu ? sizeof(cge_leaky_relu) : 0;
}

int32_t saved_layer_words(const cge_model *model)
{
    size_t words = 0;
    for (int32_t i = 0; i < model->layer_count; i++)
        words += SAVED_LAYER_WORDS + config_bytes(model->layers[i].kind) / 4 + (model->layers[i].learning_rate_factor > 0);
    return (int32_t)words;
}

void own_config(cge_layer *layer, cge_layer_config *config)
{
    if (layer->config == NULL) return;
    memcpy(config, layer->config, config_bytes(layer->kind));
    layer->config = config;
}

const cge_model convnet = CONVNET, perceptron = PERCEPTRON;

const test_model test_models[] = {
    {"convnet", CONVNET},
    {"perceptron", PERCEPTRON},
    {"first layer frozen", {{6, 5, 2}, TABLE(first_frozen), CROSS_ENTROPY, SGD(0.1f, 0.5f, 0, 0), NULL, 0, 0}},
    {"middle layers frozen", {{1, 2, 3}, TABLE(middle_frozen), SQUARED_ERROR, SGD(0.1f, 0.9f, 0, 0), NULL, 0, 0}},
    {"last layer frozen", {{4, 5, 1}, TABLE(last_frozen), CROSS_ENTROPY, SGD(0.1f, 0, 1e-2f, 0), NULL, 0, 0}},
    {"all layers frozen", {{1, 1, 5}, TABLE(all_frozen), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0), NULL, 0, 0}},
    {"global pooling", {{5, 4, 2}, TABLE(global_pool), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 1), NULL, 0, 0}},
    {"one dense layer", {{2, 2, 2}, TABLE(one_dense), CROSS_ENTROPY, SGD(0.5f, 0, 0, 0), NULL, 0, 0}},
    {"no parameters", {{4, 3, 1}, TABLE(no_parameters), SQUARED_ERROR, SGD(0.5f, 0.9f, 0, 0), NULL, 0, 0}},
    {"curves", {{4, 3, 2}, TABLE(curves), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0), NULL, 0, 0}},
    {"moved", {{4, 3, 2}, TABLE(moved), CROSS_ENTROPY, SGD(0.1f, 0.5f, 0, 0), NULL, 0, 0}},
    {"capped", {{4, 3, 2}, TABLE(capped), SQUARED_ERROR, SGD(0.1f, 0.5f, 0, 0), NULL, 0, 0}},
    {"depthwise", {{4, 4, 3}, TABLE(depthwise), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0), NULL, 0, 0}},
    {"adam", {{6, 5, 2}, TABLE(convnet_layers), CROSS_ENTROPY, ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-8f), NULL, 0, 0}},
    {"adam, weight decay", {{6, 5, 2}, TABLE(convnet_layers), CROSS_ENTROPY, ADAPTIVE(adam, 0.01f, 0.5f, 1e-2f, 0.9f, 1e-3f), NULL, 0, 0}},
    {"adamw, first layer frozen", {{6, 5, 2}, TABLE(first_frozen), CROSS_ENTROPY, ADAPTIVE(adamw, 0.01f, 0.9f, 0.05f, 0.99f, 1e-6f), NULL, 0, 0}},
    {"rmsprop, depthwise", {{4, 4, 3}, TABLE(depthwise), CROSS_ENTROPY, ADAPTIVE(rmsprop, 0.01f, 0, 1e-3f, 0.99f, 1e-8f), NULL, 0, 0}},
    {"rmsprop, momentum", {{1, 2, 3}, TABLE(middle_frozen), SQUARED_ERROR, ADAPTIVE(rmsprop, 0.01f, 0.9f, 0, 0.9f, 1e-5f), NULL, 0, 0}},
    {"adagrad", {{1, 1, 7}, TABLE(perceptron_layers), SQUARED_ERROR, ADAPTIVE(adagrad, 0.05f, 0, 1e-3f, 0, 1e-10f), NULL, 0, 0}},
    {"adagrad, all layers frozen", {{1, 1, 5}, TABLE(all_frozen), CROSS_ENTROPY, ADAPTIVE(adagrad, 0.05f, 0, 0, 0, 1e-10f), NULL, 0, 0}},
    {"norms", {{5, 4, 4}, TABLE(norms), CROSS_ENTROPY, SGD(0.1f, 0.9f, 1e-3f, 0), NULL, 0, 0}},
    {"scales", {{4, 4, 2}, TABLE(scales), CROSS_ENTROPY, SGD(0.1f, 0.9f, 1e-3f, 0), NULL, 0, 0}},
    {"transposed", {{2, 3, 2}, TABLE(transposed), CROSS_ENTROPY, SGD(0.1f, 0.9f, 1e-3f, 0), NULL, 0, 0}},
    L1_MODEL("sgd, l1", 6, 5, 2, convnet_layers, CROSS_ENTROPY, sgd_l1, 0.05f, 0.9f, 0, 0, 0, 0.25f),
    L1_MODEL("sgd, l1, no momentum", 1, 1, 7, perceptron_layers, SQUARED_ERROR, sgd_l1, 0.1f, 0, 1e-2f, 0, 0, 0.125f),
    L1_MODEL("adam, l1", 6, 5, 2, convnet_layers, CROSS_ENTROPY, adam_l1, 0.01f, 0.9f, 1e-2f, 0.99f, 1e-4f, 0.5f),
    L1_MODEL("adamw, l1", 6, 5, 2, first_frozen, CROSS_ENTROPY, adamw_l1, 0.01f, 0.9f, 0.05f, 0.99f, 1e-4f, 0.5f),
    L1_MODEL("rmsprop, l1", 4, 4, 3, depthwise, CROSS_ENTROPY, rmsprop_l1, 0.01f, 0.5f, 0, 0.9f, 1e-4f, 0.25f),
    L1_MODEL("adagrad, l1", 1, 1, 7, perceptron_layers, SQUARED_ERROR, adagrad_l1, 0.05f, 0, 0, 0, 1e-10f, 0.25f),
    {"rates", {{4, 3, 2}, TABLE(rates), CROSS_ENTROPY, SGD(0x1p-20f, 0.5f, 0, 0), NULL, 0, 0}},
    {"slopes", {{5, 4, 2}, TABLE(slopes), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0), NULL, 0, 0}},
};
const int32_t test_model_count = (int32_t)(sizeof test_models / sizeof test_models[0]);
