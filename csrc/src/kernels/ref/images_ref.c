/* Images moved and enlarged; formulas in cge.h. Geometries are checked, in_h, in_w and in_c are what comes in. */
#include "../kernels.h"

#include <string.h>

static int32_t min_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static cge_shape outer_shape(const cge_pad2d *g, cge_shape inner)
{
    inner.h += g->pad_top + g->pad_bottom;
    inner.w += g->pad_left + g->pad_right;
    return inner;
}

CGE_INTERNAL void cge_pad2d_copy_in(const cge_pad2d *g, cge_shape inner, const cge_real *x, cge_real *y)
{
    const cge_shape outer = outer_shape(g, inner);
    const int32_t row = inner.w * inner.c, pitch = outer.w * outer.c;
    int32_t h;
    memset(y, 0, (size_t)(outer.h * pitch) * sizeof *y);
    for (h = 0; h < inner.h; h++) memcpy(y + (h + g->pad_top) * pitch + g->pad_left * inner.c, x + h * row, (size_t)row * sizeof *y);
}

CGE_INTERNAL void cge_pad2d_copy_out(const cge_pad2d *g, cge_shape inner, const cge_real *x, cge_real *y)
{
    const cge_shape outer = outer_shape(g, inner);
    const int32_t row = inner.w * inner.c, pitch = outer.w * outer.c;
    int32_t h;
    for (h = 0; h < inner.h; h++) memcpy(y + h * row, x + (h + g->pad_top) * pitch + g->pad_left * inner.c, (size_t)row * sizeof *y);
}

CGE_INTERNAL void cge_channel_slice_apply(const cge_channel_slice *g, cge_shape in, const cge_real *x, cge_real *y)
{
    int32_t pixel;
    for (pixel = 0; pixel < in.h * in.w; pixel++, x += in.c, y += g->count) memcpy(y, x + g->begin, (size_t)g->count * sizeof *y);
}

CGE_INTERNAL void cge_channel_slice_grad(const cge_channel_slice *g, cge_shape in, const cge_real *dy, cge_real *dx)
{
    int32_t pixel;
    memset(dx, 0, (size_t)(in.h * in.w * in.c) * sizeof *dx);
    for (pixel = 0; pixel < in.h * in.w; pixel++, dx += in.c, dy += g->count) memcpy(dx + g->begin, dy, (size_t)g->count * sizeof *dx);
}

/* ---- enlarged ---- */

/* Where one index of the output lies between two of the input. */
typedef struct between {
    int32_t low, high;
    cge_real of_low, of_high;
} between;

static between between_of(int32_t o, int32_t scale, int32_t in)
{
    const int32_t doubled = 2 * o + 1 - scale, n = doubled > 0 ? doubled : 0;
    between p;
    p.low = n / (2 * scale);
    p.high = min_of(p.low + 1, in - 1);
    p.of_high = CGE_REAL(n % (2 * scale)) / CGE_REAL(2 * scale);
    p.of_low = CGE_REAL(1) - p.of_high;
    return p;
}

static void bilinear(const cge_upsample2d *g, cge_shape in, const cge_real *x, cge_real *y)
{
    int32_t oh, ow, k;
    for (oh = 0; oh < in.h * g->scale_h; oh++) {
        const between h = between_of(oh, g->scale_h, in.h);
        const cge_real *const low = x + h.low * in.w * in.c, *const high = x + h.high * in.w * in.c;
        for (ow = 0; ow < in.w * g->scale_w; ow++) {
            const between w = between_of(ow, g->scale_w, in.w);
            const int32_t left = w.low * in.c, right = w.high * in.c;
            for (k = 0; k < in.c; k++) {
                const cge_real above = CGE_MADD(low[left + k] * w.of_low, low[right + k], w.of_high);
                const cge_real below = CGE_MADD(high[left + k] * w.of_low, high[right + k], w.of_high);
                *y++ = CGE_MADD(above * h.of_low, below, h.of_high);
            }
        }
    }
}

static void bilinear_grad(const cge_upsample2d *g, cge_shape in, const cge_real *dy, cge_real *dx)
{
    int32_t oh, ow, k;
    memset(dx, 0, (size_t)(in.h * in.w * in.c) * sizeof *dx);
    for (oh = 0; oh < in.h * g->scale_h; oh++) {
        const between h = between_of(oh, g->scale_h, in.h);
        cge_real *const low = dx + h.low * in.w * in.c, *const high = dx + h.high * in.w * in.c;
        for (ow = 0; ow < in.w * g->scale_w; ow++) {
            const between w = between_of(ow, g->scale_w, in.w);
            const int32_t left = w.low * in.c, right = w.high * in.c;
            const cge_real ac = h.of_low * w.of_low, ad = h.of_low * w.of_high, bc = h.of_high * w.of_low, bd = h.of_high * w.of_high;
            for (k = 0; k < in.c; k++, dy++) {
                low[left + k] = CGE_MADD(low[left + k], *dy, ac);
                low[right + k] = CGE_MADD(low[right + k], *dy, ad);
                high[left + k] = CGE_MADD(high[left + k], *dy, bc);
                high[right + k] = CGE_MADD(high[right + k], *dy, bd);
            }
        }
    }
}

static void nearest(const cge_upsample2d *g, cge_shape in, const cge_real *x, cge_real *y)
{
    int32_t oh, ow;
    for (oh = 0; oh < in.h * g->scale_h; oh++)
        for (ow = 0; ow < in.w * g->scale_w; ow++, y += in.c) memcpy(y, x + (oh / g->scale_h * in.w + ow / g->scale_w) * in.c, (size_t)in.c * sizeof *y);
}

static void nearest_grad(const cge_upsample2d *g, cge_shape in, const cge_real *dy, cge_real *dx)
{
    int32_t oh, ow, k;
    memset(dx, 0, (size_t)(in.h * in.w * in.c) * sizeof *dx);
    for (oh = 0; oh < in.h * g->scale_h; oh++)
        for (ow = 0; ow < in.w * g->scale_w; ow++) {
            cge_real *at = dx + (oh / g->scale_h * in.w + ow / g->scale_w) * in.c;
            for (k = 0; k < in.c; k++) *at++ += *dy++;
        }
}

CGE_INTERNAL void cge_upsample2d_apply(const cge_upsample2d *g, cge_shape in, const cge_real *x, cge_real *y)
{
    if (g->bilinear) bilinear(g, in, x, y);
    else nearest(g, in, x, y);
}

CGE_INTERNAL void cge_upsample2d_grad(const cge_upsample2d *g, cge_shape in, const cge_real *dy, cge_real *dx)
{
    if (g->bilinear) bilinear_grad(g, in, dy, dx);
    else nearest_grad(g, in, dy, dx);
}
