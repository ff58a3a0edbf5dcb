/* Every kind that this library has, for readers of saved networks. Linking it links them all. */
#include "layer.h"

static const cge_layer_kind *const all_layers[] = {
    &cge_kind_conv2d, &cge_kind_dense, &cge_kind_maxpool2d, &cge_kind_avgpool2d, &cge_kind_global_avgpool2d,
    &cge_kind_relu, &cge_kind_leaky_relu, &cge_kind_sigmoid, &cge_kind_tanh, &cge_kind_flatten};
static const cge_loss_kind *const all_losses[] = {&cge_softmax_cross_entropy, &cge_mean_squared_error};
static const cge_optimizer_kind *const all_optimizers[] = {&cge_sgd};

#define COUNT(table) ((int32_t)(sizeof(table) / sizeof((table)[0])))

const cge_catalog cge_catalog_all = {
    all_layers, all_losses, all_optimizers, COUNT(all_layers), COUNT(all_losses), COUNT(all_optimizers)};
