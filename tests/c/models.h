/* Small models that several suites share: every layer kind, both losses, frozen and bias-free layers. */
#ifndef MODELS_H
#define MODELS_H

#include "cge.h"

typedef struct test_model {
    const char *name;
    cge_model model;
} test_model;

enum { MOST_RANDOM_LAYERS = 9 };
extern cge_layer random_layers[MOST_RANDOM_LAYERS]; /* of the chain that a suite is at: boards have memory for one */
extern cge_layer_config random_configs[MOST_RANDOM_LAYERS];

/* Layers that are made as the program runs: the config is the caller's. */
cge_layer conv2d_layer(cge_layer_config *config, const cge_conv2d *conv2d, int32_t flags);
cge_layer pool2d_layer(cge_layer_config *config, const cge_layer_kind *kind, const cge_pool2d *pool2d);
cge_layer dense_layer(cge_layer_config *config, int32_t units, int32_t flags);
cge_layer leaky_relu_layer(cge_layer_config *config, float alpha);

/* Words of the layers' records in files. */
int32_t saved_layer_words(const cge_model *model);

/* Its config, as a layer that may be changed is given one: config is of the test's. */
void own_config(cge_layer *layer, cge_layer_config *config);

extern const test_model test_models[];
extern const int32_t test_model_count;
extern const cge_model convnet; /* test_models[0]: convolution, pooling, dense, SGD with everything */
extern const cge_model perceptron; /* dense and tanh, mean squared error, plain SGD */

/* A layer table's entries, outside of functions: what they point to lives as long as the program. */
#define WINDOW(kh, kw, sh, sw, top, left, bottom, right) \
    .kernel_h = kh, .kernel_w = kw, .stride_h = sh, .stride_w = sw, .pad_top = top, .pad_left = left, .pad_bottom = bottom, .pad_right = right
#define CONV(filters, kh, kw, sh, sw, top, left, bottom, right, groups_, flags_) \
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = filters, WINDOW(kh, kw, sh, sw, top, left, bottom, right), .groups = groups_), .flags = flags_}
#define TRANSPOSED(filters, kernel, stride, pad, output_pad, groups_, flags_) \
    {.kind = &cge_kind_conv_transpose2d, .flags = flags_, .config = &(const cge_conv_transpose2d){.out_c = filters, \
     WINDOW(kernel, kernel, stride, stride, pad, pad, pad, pad), .groups = groups_, \
     .output_pad_h = output_pad, .output_pad_w = output_pad}}
#define CONV2D_CONFIG(...) .config = &(const cge_conv2d){__VA_ARGS__}
#define POOL2D_CONFIG(...) .config = &(const cge_pool2d){__VA_ARGS__}
#define DENSE_CONFIG(outputs) .config = &(const cge_dense){.units = outputs}
#define DENSE(outputs, flags_, init_) {.kind = &cge_kind_dense, DENSE_CONFIG(outputs), .flags = flags_, .init = init_}
#define POOL(name, kh, kw, sh, sw, top, left, bottom, right) \
    {.kind = &cge_kind_##name, POOL2D_CONFIG(WINDOW(kh, kw, sh, sw, top, left, bottom, right))}
#define NORM(name, flags_, ...) {.kind = &cge_kind_##name, .config = &(const cge_norm){__VA_ARGS__}, .flags = flags_}
#define PLAIN(name) {.kind = &cge_kind_##name}
#define LEAKY(alpha_) {.kind = &cge_kind_leaky_relu, .config = &(const cge_leaky_relu){.alpha = alpha_}}
#define ELU(alpha_) {.kind = &cge_kind_elu, .config = &(const cge_leaky_relu){.alpha = alpha_}}
#define PRELU(slopes_, flags_) {.kind = &cge_kind_prelu, .config = &(const cge_prelu){.slopes = slopes_}, .flags = flags_}
#define PADDED(name, top, left, bottom, right) \
    {.kind = &cge_kind_##name, .config = &(const cge_pad2d){.pad_top = top, .pad_left = left, .pad_bottom = bottom, .pad_right = right}}
#define CHANNELS(begin_, count_) {.kind = &cge_kind_channel_slice, .config = &(const cge_channel_slice){.begin = begin_, .count = count_}}
#define UPSAMPLE(h, w, bilinear_) {.kind = &cge_kind_upsample2d, .config = &(const cge_upsample2d){.scale_h = h, .scale_w = w, .bilinear = bilinear_}}
#define SGD(rate_, momentum_, decay_, nesterov_) \
    {.kind = &cge_sgd, .learning_rate = rate_, .momentum = momentum_, .weight_decay = decay_, .nesterov = nesterov_}
#define MODEL(name, h, w, c, layers, loss, ...) {name, {{h, w, c}, TABLE(layers), loss, SGD(__VA_ARGS__), NULL, 0, 0}}
/* With an optimiser that has more settings. */
#define ADAPTIVE(name, rate_, momentum_, decay_, beta2_, epsilon_) \
    {.kind = &cge_##name, .learning_rate = rate_, .momentum = momentum_, .weight_decay = decay_, .beta2 = beta2_, .epsilon = epsilon_}
#define WITH_L1(name, rate_, momentum_, decay_, beta2_, epsilon_, l1_)                                                         \
    {.kind = &cge_##name, .learning_rate = rate_, .momentum = momentum_, .weight_decay = decay_, .beta2 = beta2_,              \
     .epsilon = epsilon_, .l1 = l1_}
#define L1_MODEL(name, h, w, c, layers, loss, ...) {name, {{h, w, c}, TABLE(layers), loss, WITH_L1(__VA_ARGS__), NULL, 0, 0}}
#define ADAPTIVE_MODEL(name, h, w, c, layers, loss, ...) {name, {{h, w, c}, TABLE(layers), loss, ADAPTIVE(__VA_ARGS__), NULL, 0, 0}}
#define TABLE(layers) layers, (int32_t)(sizeof(layers) / sizeof((layers)[0]))

#endif
