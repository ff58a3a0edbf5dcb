/* Chains of what units consist of, for suites that run them in more than one way. */
#ifndef UNIT_MODELS_H
#define UNIT_MODELS_H

#include "models.h"

#define DILATED(filters, kernel, stride, pad) \
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = filters, .dilation_h = 2, .dilation_w = 2, WINDOW(kernel, kernel, stride, stride, pad, pad, pad, pad))}

static const cge_layer small_n[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(flatten), DENSE(4, 0, 0)};
static const cge_layer strides[] = {
    CONV(3, 5, 4, 2, 2, 2, 2, 2, 2, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), /* 13x11x2 -> 7x6x3 -> 3x3x3 */
    CONV(6, 3, 3, 2, 1, 1, 1, 1, 1, 3, 0), PLAIN(relu), CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer dilated[] = {DILATED(3, 3, 1, 2), PLAIN(sigmoid), POOL(maxpool2d, 3, 2, 0, 0, 0, 0, 0, 0),
                                    DILATED(4, 2, 1, 0), POOL(maxpool2d, 1, 2, 0, 0, 0, 0, 0, 0), LEAKY(1.5f), DENSE(3, 0, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer overlapping[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 3, 3, 2, 2, 1, 1, 1, 1), PLAIN(tanh), PLAIN(tanh),
    CONV(4, 3, 3, 1, 1, 3, 3, 3, 3, 4, 0), PLAIN(relu), POOL(avgpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(sigmoid), PLAIN(global_avgpool2d)};
static const cge_layer frozen_front[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(5, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu),
    CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(6, CGE_FROZEN, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_layer grouped[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_NO_BIAS), PLAIN(relu),
    CONV(6, 2, 2, 1, 1, 0, 0, 0, 0, 2, CGE_NO_BIAS), PLAIN(relu), POOL(maxpool2d, 2, 2, 2, 2, 0, 0, 0, 0), DENSE(3, CGE_NO_BIAS, 0)};

/* Activations that keep x, and a softmax: units of their own. Those that are told by y, in units. */
static const cge_layer curves[] = {
    PLAIN(silu), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), PLAIN(hard_swish), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(5, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0),
    PLAIN(gelu), CONV(4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(softmax), DENSE(6, 0, 0), PLAIN(softmax), PLAIN(gelu), DENSE(4, 0, 0), PLAIN(silu)};
static const cge_layer moved[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), UPSAMPLE(3, 2, 1), CONV(4, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(tanh),
    {.kind = &cge_kind_avgpool2d, POOL2D_CONFIG(WINDOW(3, 3, 1, 1, 1, 1, 1, 1), .count_padding = 1)}, PADDED(crop2d, 1, 0, 0, 2), CHANNELS(1, 3), PADDED(zero_pad2d, 0, 1, 2, 0), UPSAMPLE(1, 2, 0), CONV(3, 3, 3, 2, 2, 0, 0, 0, 0, 1, 0), PLAIN(global_maxpool2d), DENSE(3, 0, 0)};
static const cge_layer capped[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu6), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 4, 0), ELU(1.5f),
    CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(relu6), PLAIN(hard_sigmoid), DENSE(5, 0, 0), PLAIN(softplus), ELU(1),
    DENSE(3, 0, 0)};

static const cge_layer normed[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_NO_BIAS), NORM(group_norm, 0, .groups = 2), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 2, 0), PLAIN(tanh), NORM(instance_norm, 0, 0), NORM(group_norm, CGE_NO_AFFINE, 0), PLAIN(sigmoid), DENSE(5, 0, 0), LEAKY(0.5f),
    PLAIN(layer_norm), DENSE(3, 0, 0)};
static const cge_layer norms_frozen[] = {
    PLAIN(layer_norm), NORM(group_norm, CGE_FROZEN, .groups = 2), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), NORM(group_norm, CGE_NO_BIAS, .groups = 2), PLAIN(relu),
    CONV(6, 3, 3, 2, 1, 1, 1, 1, 1, 1, 0), NORM(group_norm, CGE_FROZEN, .groups = 3), PLAIN(tanh), PLAIN(instance_norm), PLAIN(global_avgpool2d)};
#define BETA_ALONE(name) {.kind = &cge_kind_##name, .trains = CGE_TRAINS_BIAS}
static const cge_layer norm_biases[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), BETA_ALONE(instance_norm), PLAIN(relu), CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), BETA_ALONE(layer_norm),
    PLAIN(tanh), DENSE(3, CGE_FROZEN, 0)};
static const cge_layer sloped[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PRELU(4, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(prelu),
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 2, 0), PLAIN(relu), PRELU(4, CGE_FROZEN), CONV(3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0),
    PLAIN(tanh), PLAIN(prelu), DENSE(3, 0, 0)};

static const cge_layer transposed[] = {
    CONV(4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0), PLAIN(relu), TRANSPOSED(5, 3, 2, 1, 1, 1, 0), PLAIN(relu),
    TRANSPOSED(3, 2, 1, 0, 0, 1, CGE_NO_BIAS), CONV(4, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    TRANSPOSED(6, 2, 2, 0, 1, 2, 0), PLAIN(tanh), PLAIN(global_avgpool2d)};
static const cge_layer transposed_in_part[] = {
    TRANSPOSED(4, 2, 1, 0, 0, 1, CGE_FROZEN), PLAIN(relu), {.kind = &cge_kind_conv_transpose2d, .trains = CGE_TRAINS_BIAS,
     .config = &(const cge_conv_transpose2d){.out_c = 4, WINDOW(3, 3, 1, 2, 1, 1, 1, 1), .groups = 4}}, LEAKY(1.5f),
    TRANSPOSED(3, 2, 2, 1, 0, 1, CGE_FROZEN), PLAIN(tanh), DENSE(3, 0, 0)};

#endif
