/* Small models that several suites share: every layer kind, both losses, frozen and bias-free layers. */
#ifndef MODELS_H
#define MODELS_H

#include "cge.h"

typedef struct test_model {
    const char *name;
    cge_model model;
} test_model;

extern const test_model test_models[];
extern const int32_t test_model_count;
extern const cge_model convnet; /* test_models[0]: convolution, pooling, dense, SGD with everything */
extern const cge_model perceptron; /* dense and tanh, mean squared error, plain SGD */

/* A layer table's entries. */
#define CONV(filters, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, groups, flags) \
    {&cge_kind_conv2d, filters, kernel_h, kernel_w, stride_h, stride_w, 0, 0, pad_top, pad_left, pad_bottom, pad_right, groups, 0, flags, 0}
#define DENSE(outputs, flags, init) {&cge_kind_dense, outputs, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, init}
#define POOL(kind, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right) \
    {&cge_kind_##kind, 0, kernel_h, kernel_w, stride_h, stride_w, 0, 0, pad_top, pad_left, pad_bottom, pad_right, 0, 0, 0, 0}
#define PLAIN(kind) {&cge_kind_##kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define LEAKY(alpha) {&cge_kind_leaky_relu, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, alpha, 0, 0}
#define TABLE(layers) layers, (int32_t)(sizeof(layers) / sizeof((layers)[0]))

#endif
