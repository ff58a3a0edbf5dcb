#include "geometry.h"

int32_t cge_elems3(int64_t a, int64_t b, int64_t c)
{
    /* Tested factor by factor: each product is of one factor <= 2^28 and one < 2^32, so it fits int64_t. */
    if (a > CGE_MAX_ELEMS || a * b > CGE_MAX_ELEMS || a * b * c > CGE_MAX_ELEMS) return -1;
    return (int32_t)(a * b * c);
}

int32_t cge_shape_elems(cge_shape s)
{
    if (s.h < 1 || s.w < 1 || s.c < 1) return -1;
    return cge_elems3(s.h, s.w, s.c);
}

static int32_t or_default(int32_t value, int32_t fallback)
{
    return value == 0 ? fallback : value;
}

/* Positions of a window of `reach` over `in` padded elements, or 0 if it does not fit. */
static int64_t positions(int64_t in, int64_t pad, int64_t reach, int64_t stride)
{
    return reach > in + pad ? 0 : (in + pad - reach) / stride + 1;
}

cge_status cge_conv2d_resolve(const cge_conv2d *g, cge_conv2d_plan *p)
{
    int64_t out_h, out_w;
    cge_conv2d r = *g;
    r.stride_h = or_default(r.stride_h, 1);
    r.stride_w = or_default(r.stride_w, 1);
    r.dilation_h = or_default(r.dilation_h, 1);
    r.dilation_w = or_default(r.dilation_w, 1);
    r.groups = or_default(r.groups, 1);
    if (r.in_h < 1 || r.in_w < 1 || r.in_c < 1 || r.out_c < 1 || r.kernel_h < 1 || r.kernel_w < 1 ||
        r.stride_h < 1 || r.stride_w < 1 || r.dilation_h < 1 || r.dilation_w < 1 || r.groups < 1 ||
        r.pad_top < 0 || r.pad_left < 0 || r.pad_bottom < 0 || r.pad_right < 0)
        return CGE_ERR_SHAPE;
    if (r.in_c % r.groups != 0 || r.out_c % r.groups != 0) return CGE_ERR_SHAPE;
    /* Padded sizes and strides stay below 2^30, so that base + i * step in a kernel cannot overflow int32_t. */
    if ((int64_t)r.in_h + r.pad_top + r.pad_bottom > CGE_MAX_ELEMS ||
        (int64_t)r.in_w + r.pad_left + r.pad_right > CGE_MAX_ELEMS ||
        r.stride_h > CGE_MAX_ELEMS || r.stride_w > CGE_MAX_ELEMS)
        return CGE_ERR_OVERFLOW;
    out_h = positions(r.in_h, (int64_t)r.pad_top + r.pad_bottom, (int64_t)r.dilation_h * (r.kernel_h - 1) + 1, r.stride_h);
    out_w = positions(r.in_w, (int64_t)r.pad_left + r.pad_right, (int64_t)r.dilation_w * (r.kernel_w - 1) + 1, r.stride_w);
    if (out_h == 0 || out_w == 0) return CGE_ERR_SHAPE;
    p->group_in = r.in_c / r.groups;
    p->group_out = r.out_c / r.groups;
    p->weight_elems = cge_elems3((int64_t)r.kernel_h * r.kernel_w, p->group_in, r.out_c);
    if (p->weight_elems < 0 || cge_elems3(r.in_h, r.in_w, r.in_c) < 0 || cge_elems3(out_h, out_w, r.out_c) < 0)
        return CGE_ERR_OVERFLOW;
    p->g = r;
    p->out_h = (int32_t)out_h;
    p->out_w = (int32_t)out_w;
    return CGE_OK;
}

cge_status cge_pool2d_resolve(const cge_pool2d *g, cge_pool2d_plan *p)
{
    int64_t out_h, out_w;
    cge_pool2d r = *g;
    r.stride_h = or_default(r.stride_h, r.kernel_h);
    r.stride_w = or_default(r.stride_w, r.kernel_w);
    if (r.in_h < 1 || r.in_w < 1 || r.in_c < 1 || r.kernel_h < 1 || r.kernel_w < 1 || r.stride_h < 1 || r.stride_w < 1 ||
        r.pad_top < 0 || r.pad_left < 0 || r.pad_bottom < 0 || r.pad_right < 0)
        return CGE_ERR_SHAPE;
    if (r.pad_top >= r.kernel_h || r.pad_bottom >= r.kernel_h || r.pad_left >= r.kernel_w || r.pad_right >= r.kernel_w)
        return CGE_ERR_SHAPE;
    if ((int64_t)r.in_h + r.pad_top + r.pad_bottom > CGE_MAX_ELEMS ||
        (int64_t)r.in_w + r.pad_left + r.pad_right > CGE_MAX_ELEMS ||
        r.stride_h > CGE_MAX_ELEMS || r.stride_w > CGE_MAX_ELEMS)
        return CGE_ERR_OVERFLOW;
    out_h = positions(r.in_h, (int64_t)r.pad_top + r.pad_bottom, r.kernel_h, r.stride_h);
    out_w = positions(r.in_w, (int64_t)r.pad_left + r.pad_right, r.kernel_w, r.stride_w);
    if (out_h == 0 || out_w == 0) return CGE_ERR_SHAPE;
    if (cge_elems3(r.in_h, r.in_w, r.in_c) < 0 || cge_elems3(out_h, out_w, r.in_c) < 0) return CGE_ERR_OVERFLOW;
    p->g = r;
    p->out_h = (int32_t)out_h;
    p->out_w = (int32_t)out_w;
    return CGE_OK;
}

static cge_shape shape_of(int32_t h, int32_t w, int32_t c)
{
    cge_shape s;
    s.h = h;
    s.w = w;
    s.c = c;
    return s;
}

cge_status cge_conv2d_output_shape(const cge_conv2d *g, cge_shape *out)
{
    cge_conv2d_plan p;
    if (g == NULL || out == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_conv2d_resolve(g, &p));
    *out = shape_of(p.out_h, p.out_w, p.g.out_c);
    return CGE_OK;
}

cge_status cge_pool2d_output_shape(const cge_pool2d *g, cge_shape *out)
{
    cge_pool2d_plan p;
    if (g == NULL || out == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_pool2d_resolve(g, &p));
    *out = shape_of(p.out_h, p.out_w, p.g.in_c);
    return CGE_OK;
}
