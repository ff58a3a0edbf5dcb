/* Every kind that this library has, for readers of saved networks. Linking it links them all. */
#include "../layers/layer.h"

static const cge_layer_kind *const all_layers[] = {
    &cge_kind_conv2d, &cge_kind_conv_transpose2d, &cge_kind_dense, &cge_kind_maxpool2d, &cge_kind_avgpool2d,
    &cge_kind_global_avgpool2d, &cge_kind_relu, &cge_kind_leaky_relu, &cge_kind_sigmoid, &cge_kind_tanh, &cge_kind_flatten,
    &cge_kind_relu6, &cge_kind_hard_sigmoid, &cge_kind_elu, &cge_kind_softplus, &cge_kind_softmax,
    &cge_kind_hard_swish, &cge_kind_silu, &cge_kind_gelu, &cge_kind_prelu,
    &cge_kind_global_maxpool2d, &cge_kind_zero_pad2d, &cge_kind_crop2d, &cge_kind_channel_slice, &cge_kind_upsample2d,
    &cge_kind_group_norm, &cge_kind_instance_norm, &cge_kind_layer_norm, &cge_kind_batch_norm, &cge_kind_scale,
    &cge_kind_dropout, &cge_kind_add, &cge_kind_concat};
static const cge_loss_kind *const all_losses[] = {
    &cge_softmax_cross_entropy, &cge_mean_squared_error, &cge_binary_cross_entropy, &cge_mean_absolute_error, &cge_huber,
    &cge_smoothed_cross_entropy, &cge_distillation, &cge_multi_output};
static const cge_optimizer_kind *const all_optimizers[] = {
    &cge_sgd, &cge_adam, &cge_adamw, &cge_rmsprop, &cge_adagrad,
    &cge_sgd_l1, &cge_adam_l1, &cge_adamw_l1, &cge_rmsprop_l1, &cge_adagrad_l1};

static const cge_input_kind *const all_inputs[] = {&cge_input_u8};

#define COUNT(table) ((int32_t)(sizeof(table) / sizeof((table)[0])))

const cge_catalog cge_catalog_all = {
    all_layers, all_losses, all_optimizers, COUNT(all_layers), COUNT(all_losses), COUNT(all_optimizers),
    all_inputs, COUNT(all_inputs), NULL, 0};
