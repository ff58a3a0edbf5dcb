/* Images moved and enlarged: backward reads dy alone. */
#include "layer.h"
#include "../kernels/kernels.h"

/* `inner` is the smaller image of a padding or a cropping, else what comes in. */
#define IMAGE_LAYER(name, geometry, apply, grad, inner)                                                                        \
    static cge_status name##_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)                                     \
    {                                                                                                                          \
        CGE_TRY(cge_check_geometry_input(l->config, in));                                                                      \
        return cge_##name##_shape((const geometry *)l->config, in, &info->out);                                                \
    }                                                                                                                          \
    static void name##_layer_forward(const cge_layer_call *c)                                                                  \
    {                                                                                                                          \
        int32_t i;                                                                                                             \
        for (i = 0; i < c->count; i++)                                                                                         \
            apply((const geometry *)c->layer->config, c->inner, c->x + cge_sample(c->in, i), c->y + cge_sample(c->out, i));    \
    }                                                                                                                          \
    static void name##_layer_input_grad(const cge_layer_call *c)                                                               \
    {                                                                                                                          \
        int32_t i;                                                                                                             \
        for (i = 0; i < c->count; i++)                                                                                         \
            grad((const geometry *)c->layer->config, c->inner, c->dy + cge_sample(c->out, i), c->dx + cge_sample(c->in, i));   \
    }

IMAGE_LAYER(zero_pad2d, cge_pad2d, cge_pad2d_copy_in, cge_pad2d_copy_out, in)
IMAGE_LAYER(crop2d, cge_pad2d, cge_pad2d_copy_out, cge_pad2d_copy_in, out)
IMAGE_LAYER(channel_slice, cge_channel_slice, cge_channel_slice_apply, cge_channel_slice_grad, in)
IMAGE_LAYER(upsample2d, cge_upsample2d, cge_upsample2d_apply, cge_upsample2d_grad, in)

const cge_layer_kind cge_kind_zero_pad2d = {
    46, sizeof(cge_pad2d), CGE_NEEDS_CONFIG, zero_pad2d_infer, zero_pad2d_layer_forward, NULL, zero_pad2d_layer_input_grad};
const cge_layer_kind cge_kind_crop2d = {47, sizeof(cge_pad2d), CGE_NEEDS_CONFIG, crop2d_infer, crop2d_layer_forward, NULL, crop2d_layer_input_grad};
const cge_layer_kind cge_kind_channel_slice = {
    48, sizeof(cge_channel_slice), CGE_NEEDS_CONFIG, channel_slice_infer, channel_slice_layer_forward, NULL, channel_slice_layer_input_grad};
const cge_layer_kind cge_kind_upsample2d = {
    44, sizeof(cge_upsample2d), CGE_NEEDS_CONFIG, upsample2d_infer, upsample2d_layer_forward, NULL, upsample2d_layer_input_grad};
