#include "geometry.h"

#include <string.h>

/* a * b for b >= 0; -1 for a < 0 (none already) and for too many elements. */
static int32_t product_or_none(int32_t a, int32_t b)
{
    int64_t product = (int64_t)a * b;
    return a < 0 || product > CGE_MAX_ELEMS ? -1 : (int32_t)product;
}

int32_t cge_elems3(int32_t a, int32_t b, int32_t c)
{
    return product_or_none(product_or_none(a, b), c);
}

int32_t cge_shape_elems(cge_shape s)
{
    return s.h < 1 || s.w < 1 || s.c < 1 ? -1 : cge_elems3(s.h, s.w, s.c);
}

static int32_t or_default(int32_t value, int32_t fallback)
{
    return value == 0 ? fallback : value;
}

/* Along one axis: how often a window of `kernel` taps, `dilation` apart, fits when it moves by `stride`. Padded sizes and
 * strides stay below 2^28, so that base + i * step in a kernel cannot overflow int32_t. */
static cge_status count_positions(int32_t in, int32_t pad_before, int32_t pad_after, int32_t kernel, int32_t dilation, int32_t stride, int32_t *out)
{
    int32_t padded;
    if (in < 1 || pad_before < 0 || pad_after < 0 || kernel < 1 || dilation < 1 || stride < 1) return CGE_ERR_SHAPE;
    if (in > CGE_MAX_ELEMS || pad_before > CGE_MAX_ELEMS - in || pad_after > CGE_MAX_ELEMS - in - pad_before || stride > CGE_MAX_ELEMS)
        return CGE_ERR_OVERFLOW;
    padded = in + pad_before + pad_after;
    if (kernel - 1 > (padded - 1) / dilation) return CGE_ERR_SHAPE;
    *out = (padded - 1 - dilation * (kernel - 1)) / stride + 1;
    return CGE_OK;
}

cge_status cge_conv2d_resolve(const cge_conv2d *g, cge_conv2d_plan *p)
{
    cge_conv2d *r = &p->g;
    *r = *g;
    r->stride_h = or_default(r->stride_h, 1);
    r->stride_w = or_default(r->stride_w, 1);
    r->dilation_h = or_default(r->dilation_h, 1);
    r->dilation_w = or_default(r->dilation_w, 1);
    r->groups = or_default(r->groups, 1);
    if (r->in_c < 1 || r->out_c < 1 || r->groups < 1) return CGE_ERR_SHAPE;
    if (r->in_c % r->groups != 0 || r->out_c % r->groups != 0) return CGE_ERR_SHAPE;
    CGE_TRY(count_positions(r->in_h, r->pad_top, r->pad_bottom, r->kernel_h, r->dilation_h, r->stride_h, &p->out_h));
    CGE_TRY(count_positions(r->in_w, r->pad_left, r->pad_right, r->kernel_w, r->dilation_w, r->stride_w, &p->out_w));
    p->group_in = r->in_c / r->groups;
    p->group_out = r->out_c / r->groups;
    p->tap_elems = product_or_none(p->group_in, r->out_c);
    p->weight_elems = cge_elems3(r->kernel_h, r->kernel_w, p->tap_elems);
    if (p->weight_elems < 0 || cge_elems3(r->in_h, r->in_w, r->in_c) < 0 || cge_elems3(p->out_h, p->out_w, r->out_c) < 0)
        return CGE_ERR_OVERFLOW;
    return CGE_OK;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Along one axis: how far taps reach that start at each of `in` positions, without padding. The terms are below 2^62. */
static cge_status count_reached(int32_t in, int32_t pads, int32_t kernel, int32_t dilation, int32_t stride,
                                int32_t output_pad, int32_t *out)
{
    int64_t reached;
    if (in < 1 || kernel < 1 || dilation < 1 || stride < 1) return CGE_ERR_SHAPE;
    if (output_pad < 0 || output_pad >= larger(stride, dilation)) return CGE_ERR_SHAPE;
    reached = (int64_t)(in - 1) * stride + (int64_t)(kernel - 1) * dilation + 1 + output_pad - pads;
    if (reached < 1) return CGE_ERR_SHAPE;
    if (reached > CGE_MAX_ELEMS) return CGE_ERR_OVERFLOW;
    *out = (int32_t)reached;
    return CGE_OK;
}

/* Where output_pad adds rows to y, the convolution would have more outputs than x has rows: they are left out. */
cge_status cge_conv_transpose2d_resolve(const cge_conv_transpose2d *g, cge_conv2d_plan *p)
{
    cge_conv2d *r = &p->g;
    memcpy(r, g, sizeof *r); /* begins alike */
    if (r->pad_top < 0 || r->pad_left < 0 || r->pad_bottom < 0 || r->pad_right < 0) return CGE_ERR_SHAPE;
    if (r->pad_top > CGE_MAX_ELEMS || r->pad_left > CGE_MAX_ELEMS) return CGE_ERR_OVERFLOW;
    if (r->pad_bottom > CGE_MAX_ELEMS || r->pad_right > CGE_MAX_ELEMS) return CGE_ERR_OVERFLOW;
    r->stride_h = or_default(r->stride_h, 1);
    r->stride_w = or_default(r->stride_w, 1);
    r->dilation_h = or_default(r->dilation_h, 1);
    r->dilation_w = or_default(r->dilation_w, 1);
    CGE_TRY(count_reached(g->in_h, r->pad_top + r->pad_bottom, r->kernel_h, r->dilation_h, r->stride_h, g->output_pad_h,
                          &r->in_h));
    CGE_TRY(count_reached(g->in_w, r->pad_left + r->pad_right, r->kernel_w, r->dilation_w, r->stride_w, g->output_pad_w,
                          &r->in_w));
    r->in_c = g->out_c;
    r->out_c = g->in_c;
    CGE_TRY(cge_conv2d_resolve(r, p));
    p->out_h = g->in_h;
    p->out_w = g->in_w;
    return CGE_OK;
}

cge_status cge_pool2d_resolve(const cge_pool2d *g, cge_pool2d_plan *p)
{
    cge_pool2d *r = &p->g;
    *r = *g;
    r->stride_h = or_default(r->stride_h, r->kernel_h);
    r->stride_w = or_default(r->stride_w, r->kernel_w);
    if ((r->count_padding & ~1) != 0) return CGE_ERR_ARGUMENT;
    if (r->in_c < 1) return CGE_ERR_SHAPE;
    if (r->pad_top >= r->kernel_h || r->pad_bottom >= r->kernel_h || r->pad_left >= r->kernel_w || r->pad_right >= r->kernel_w)
        return CGE_ERR_SHAPE;
    CGE_TRY(count_positions(r->in_h, r->pad_top, r->pad_bottom, r->kernel_h, 1, r->stride_h, &p->out_h));
    CGE_TRY(count_positions(r->in_w, r->pad_left, r->pad_right, r->kernel_w, 1, r->stride_w, &p->out_w));
    if (cge_elems3(r->in_h, r->in_w, r->in_c) < 0 || cge_elems3(p->out_h, p->out_w, r->in_c) < 0) return CGE_ERR_OVERFLOW;
    return CGE_OK;
}

cge_status cge_check_geometry_input(const void *g, cge_shape in)
{
    cge_shape said;
    memcpy(&said, g, sizeof said);
    if ((said.h != 0 && said.h != in.h) || (said.w != 0 && said.w != in.w) || (said.c != 0 && said.c != in.c)) return CGE_ERR_SHAPE;
    return CGE_OK;
}

cge_status cge_norm_resolve(const cge_norm *g, cge_norm_plan *p)
{
    cge_norm *r = &p->g;
    *r = *g;
    r->groups = or_default(r->groups, 1);
    if (!cge_is_finite_nonnegative(r->eps)) return CGE_ERR_ARGUMENT;
    if (!(r->eps > 0.0f)) r->eps = 1e-5f;
    if (r->in_h < 1 || r->in_w < 1 || r->in_c < 1 || r->groups < 1 || r->in_c % r->groups != 0) return CGE_ERR_SHAPE;
    if (cge_elems3(r->in_h, r->in_w, r->in_c) < 0) return CGE_ERR_OVERFLOW;
    p->positions = r->in_h * r->in_w;
    p->width = r->in_c / r->groups;
    p->runs = p->width > 1 ? r->groups : (r->groups + CGE_NORM_TOGETHER - 1) / CGE_NORM_TOGETHER;
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

cge_status cge_conv_transpose2d_output_shape(const cge_conv_transpose2d *g, cge_shape *out)
{
    cge_conv2d_plan p;
    if (g == NULL || out == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_conv_transpose2d_resolve(g, &p));
    *out = shape_of(p.g.in_h, p.g.in_w, p.g.in_c);
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
