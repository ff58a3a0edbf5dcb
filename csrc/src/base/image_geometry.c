/* Shapes of images that are moved or enlarged. */
#include "geometry.h"

/* Sizes above this would overflow; no tensor has one. */
static int is_size(int32_t size, int32_t least)
{
    return size >= least && size <= CGE_MAX_ELEMS;
}

static cge_status check_image(cge_shape in)
{
    if (in.h < 1 || in.w < 1 || in.c < 1) return CGE_ERR_SHAPE;
    return cge_shape_elems(in) < 0 ? CGE_ERR_OVERFLOW : CGE_OK;
}

static cge_status check_pads(const cge_pad2d *g)
{
    return is_size(g->pad_top, 0) && is_size(g->pad_left, 0) && is_size(g->pad_bottom, 0) && is_size(g->pad_right, 0) ? CGE_OK : CGE_ERR_SHAPE;
}

cge_status cge_zero_pad2d_shape(const cge_pad2d *g, cge_shape in, cge_shape *out)
{
    CGE_TRY(check_image(in));
    CGE_TRY(check_pads(g));
    out->h = in.h + g->pad_top + g->pad_bottom;
    out->w = in.w + g->pad_left + g->pad_right;
    out->c = in.c;
    return cge_shape_elems(*out) < 0 ? CGE_ERR_OVERFLOW : CGE_OK;
}

cge_status cge_crop2d_shape(const cge_pad2d *g, cge_shape in, cge_shape *out)
{
    CGE_TRY(check_image(in));
    CGE_TRY(check_pads(g));
    out->h = in.h - g->pad_top - g->pad_bottom;
    out->w = in.w - g->pad_left - g->pad_right;
    out->c = in.c;
    return out->h < 1 || out->w < 1 ? CGE_ERR_SHAPE : CGE_OK;
}

cge_status cge_channel_slice_shape(const cge_channel_slice *g, cge_shape in, cge_shape *out)
{
    CGE_TRY(check_image(in));
    if (!is_size(g->begin, 0) || !is_size(g->count, 1) || g->begin + g->count > in.c) return CGE_ERR_SHAPE;
    *out = in;
    out->c = g->count;
    return CGE_OK;
}

cge_status cge_upsample2d_shape(const cge_upsample2d *g, cge_shape in, cge_shape *out)
{
    CGE_TRY(check_image(in));
    if (g->bilinear != 0 && g->bilinear != 1) return CGE_ERR_ARGUMENT;
    if (!is_size(g->scale_h, 1) || !is_size(g->scale_w, 1)) return CGE_ERR_SHAPE;
    out->h = cge_elems3(in.h, g->scale_h, 1);
    out->w = cge_elems3(in.w, g->scale_w, 1);
    out->c = in.c;
    return out->h < 0 || out->w < 0 || cge_shape_elems(*out) < 0 ? CGE_ERR_OVERFLOW : CGE_OK;
}
