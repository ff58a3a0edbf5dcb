/* The checked public operators on images that are moved or enlarged. */
#include "base/fp_mode.h"
#include "kernels/kernels.h"

static cge_shape image_of(int32_t h, int32_t w, int32_t c)
{
    cge_shape s;
    s.h = h, s.w = w, s.c = c;
    return s;
}

static cge_status check_images(const void *g, const cge_real *from, const cge_real *to)
{
    if (g == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_buffer(from));
    return cge_check_buffer(to);
}

/* `apply` takes the geometry, the shape `given`, from, to. */
#define IMAGE_OP(name, pass, geometry, shape_of_output, apply, given)                                                          \
    cge_status cge_##name##_##pass##_f32(const geometry *g, const cge_real *from, cge_real *to)                                \
    {                                                                                                                          \
        CGE_OWN_FP_MODE                                                                                                        \
        cge_shape in, out;                                                                                                     \
        CGE_TRY(check_images(g, from, to));                                                                                    \
        in = image_of(g->in_h, g->in_w, g->in_c);                                                                              \
        CGE_TRY(shape_of_output(g, in, &out));                                                                                 \
        (void)out;                                                                                                             \
        apply(g, given, from, to);                                                                                             \
        return CGE_OK;                                                                                                         \
    }

IMAGE_OP(zero_pad2d, forward, cge_pad2d, cge_zero_pad2d_shape, cge_pad2d_copy_in, in)
IMAGE_OP(zero_pad2d, input_grad, cge_pad2d, cge_zero_pad2d_shape, cge_pad2d_copy_out, in)
IMAGE_OP(crop2d, forward, cge_pad2d, cge_crop2d_shape, cge_pad2d_copy_out, out)
IMAGE_OP(crop2d, input_grad, cge_pad2d, cge_crop2d_shape, cge_pad2d_copy_in, out)
IMAGE_OP(channel_slice, forward, cge_channel_slice, cge_channel_slice_shape, cge_channel_slice_apply, in)
IMAGE_OP(channel_slice, input_grad, cge_channel_slice, cge_channel_slice_shape, cge_channel_slice_grad, in)
IMAGE_OP(upsample2d, forward, cge_upsample2d, cge_upsample2d_shape, cge_upsample2d_apply, in)
IMAGE_OP(upsample2d, input_grad, cge_upsample2d, cge_upsample2d_shape, cge_upsample2d_grad, in)
