/* Checked geometries with all defaults filled in, and the index ranges that keep bounds tests out of the loops. */
#ifndef CGE_GEOMETRY_H
#define CGE_GEOMETRY_H

#include "config.h"

typedef struct cge_range { /* begin .. end - 1; empty if begin >= end */
    int32_t begin, end;
} cge_range;

typedef struct cge_conv2d_plan {
    cge_conv2d g;                /* no field zero that means a default */
    int32_t out_h, out_w;
    int32_t group_in, group_out; /* channels and filters of one group. A weight gradient of one group may be asked for the
                                    first group_in < in_c channels alone: dw is [kernel_h][kernel_w][group_in][out_c] */
    int32_t tap_elems, weight_elems; /* of w from a tap to the next; in all */
} cge_conv2d_plan;

typedef struct cge_pool2d_plan {
    cge_pool2d g;
    int32_t out_h, out_w;
} cge_pool2d_plan;

/* Groups of one channel, or channels, that a normalisation works on at a time. On computers two cache lines of them. */
#if CGE_HOST
enum { CGE_NORM_TOGETHER = 32 };
#else
enum { CGE_NORM_TOGETHER = 4 };
#endif
typedef struct cge_norm_plan {
    cge_norm g;
    int32_t positions, width; /* pixels; channels of a group */
    int32_t runs;             /* a group each, or up to CGE_NORM_TOGETHER groups of one channel */
} cge_norm_plan;

/* *p is scratch after an error. g may be &p->g. */
CGE_MUST_USE cge_status cge_conv2d_resolve(const cge_conv2d *g, cge_conv2d_plan *p);
/* *p is of the convolution whose input gradient this is: its input has the shape of y, its output that of x. */
CGE_MUST_USE cge_status cge_conv_transpose2d_resolve(const cge_conv_transpose2d *g, cge_conv2d_plan *p);
CGE_MUST_USE cge_status cge_pool2d_resolve(const cge_pool2d *g, cge_pool2d_plan *p);
CGE_MUST_USE cge_status cge_norm_resolve(const cge_norm *g, cge_norm_plan *p);

/* Of a geometry that begins with in_h, in_w, in_c: each is 0 or what comes in, else CGE_ERR_SHAPE. */
CGE_MUST_USE cge_status cge_check_geometry_input(const void *g, cge_shape in);

/* What comes out; in: what comes in, where g says 0. */
CGE_MUST_USE cge_status cge_zero_pad2d_shape(const cge_pad2d *g, cge_shape in, cge_shape *out);
CGE_MUST_USE cge_status cge_crop2d_shape(const cge_pad2d *g, cge_shape in, cge_shape *out);
CGE_MUST_USE cge_status cge_channel_slice_shape(const cge_channel_slice *g, cge_shape in, cge_shape *out);
CGE_MUST_USE cge_status cge_upsample2d_shape(const cge_upsample2d *g, cge_shape in, cge_shape *out);

/* Product of three sizes, or -1 if one is negative or a product exceeds CGE_MAX_ELEMS. */
int32_t cge_elems3(int32_t a, int32_t b, int32_t c);
int32_t cge_shape_elems(cge_shape s); /* -1 also for sizes <= 0 */

/* The i in 0 .. count - 1 with 0 <= base + i * step < limit; step >= 1. */
static inline cge_range cge_valid_range(int32_t base, int32_t step, int32_t count, int32_t limit)
{
    cge_range r;
    r.begin = base >= 0 ? 0 : (-base - 1) / step + 1;
    r.end = base >= limit ? 0 : (limit - base - 1) / step + 1;
    if (r.end > count) r.end = count;
    return r;
}

/* The part of a pooling window that lies inside 0 .. in - 1. */
static inline cge_range cge_window_range(int32_t o, int32_t stride, int32_t pad, int32_t kernel, int32_t in)
{
    cge_range r;
    r.begin = o * stride - pad;
    r.end = r.begin + kernel;
    if (r.begin < 0) r.begin = 0;
    if (r.end > in) r.end = in;
    return r;
}

#endif
