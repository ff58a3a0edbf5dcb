#include "models.h"

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
static const cge_layer one_dense[] = {DENSE(3, CGE_NO_BIAS, 0)};
static const cge_layer no_parameters[] = {POOL(maxpool2d, 2, 2, 2, 1, 1, 1, 0, 0), PLAIN(sigmoid), PLAIN(flatten)};
static const cge_layer depthwise[] = {CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 3, 0), PLAIN(relu), CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), PLAIN(global_avgpool2d)};

#define CROSS_ENTROPY &cge_softmax_cross_entropy
#define SQUARED_ERROR &cge_mean_squared_error
#define SGD(learning_rate, momentum, weight_decay, nesterov) {&cge_sgd, learning_rate, momentum, weight_decay, nesterov}

#define CONVNET {{6, 5, 2}, TABLE(convnet_layers), CROSS_ENTROPY, SGD(0.05f, 0.9f, 1e-3f, 1)}
#define PERCEPTRON {{1, 1, 7}, TABLE(perceptron_layers), SQUARED_ERROR, SGD(0.1f, 0, 0, 0)}

const cge_model convnet = CONVNET, perceptron = PERCEPTRON;

const test_model test_models[] = {
    {"convnet", CONVNET},
    {"perceptron", PERCEPTRON},
    {"first layer frozen", {{6, 5, 2}, TABLE(first_frozen), CROSS_ENTROPY, SGD(0.1f, 0.5f, 0, 0)}},
    {"middle layers frozen", {{1, 2, 3}, TABLE(middle_frozen), SQUARED_ERROR, SGD(0.1f, 0.9f, 0, 0)}},
    {"last layer frozen", {{4, 5, 1}, TABLE(last_frozen), CROSS_ENTROPY, SGD(0.1f, 0, 1e-2f, 0)}},
    {"all layers frozen", {{1, 1, 5}, TABLE(all_frozen), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0)}},
    {"global pooling", {{5, 4, 2}, TABLE(global_pool), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 1)}},
    {"one dense layer", {{2, 2, 2}, TABLE(one_dense), CROSS_ENTROPY, SGD(0.5f, 0, 0, 0)}},
    {"no parameters", {{4, 3, 1}, TABLE(no_parameters), SQUARED_ERROR, SGD(0.5f, 0.9f, 0, 0)}},
    {"depthwise", {{4, 4, 3}, TABLE(depthwise), CROSS_ENTROPY, SGD(0.1f, 0.9f, 0, 0)}},
};
const int32_t test_model_count = (int32_t)(sizeof test_models / sizeof test_models[0]);
