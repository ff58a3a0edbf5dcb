/*
 * Pooling for cores with scalar floating point: window by window, the part of it that lies inside the input.
 *
 * max      channel by channel. 2x2 without padding, the usual one, is written out. Of one channel:
 *
 *              upper[0]  upper[right]    right = channels
 *              lower[0]  lower[right]    lower = upper + in_w * channels
 *
 * average  4 channels at a time, whose sums (shares) stay in registers while the window is walked.
 */
#include "tiled.h"

#include <string.h>

typedef struct pool_view {
    int32_t h, w;     /* rows and columns inside the input */
    int32_t channels; /* to the next column */
    int32_t below;    /* to the next row */
    int32_t first;    /* where in x and dx it begins */
} pool_view;

static pool_view tiled_window_at(const cge_pool2d_plan *p, int32_t oh, int32_t ow)
{
    const cge_pool2d *g = &p->g;
    const int32_t top = oh * g->stride_h - g->pad_top, left = ow * g->stride_w - g->pad_left;
    const cge_range khs = cge_valid_range(top, 1, g->kernel_h, g->in_h), kws = cge_valid_range(left, 1, g->kernel_w, g->in_w);
    pool_view v;
    v.h = khs.end - khs.begin;
    v.w = kws.end - kws.begin;
    v.channels = g->in_c;
    v.below = g->in_w * g->in_c;
    v.first = (top + khs.begin) * v.below + (left + kws.begin) * g->in_c;
    return v;
}

/* ---- max ---- */

/* Does a later value v take the place of the maximum m? A greater one does, and the first NaN. Most do not: the test
 * that they fail comes first. */
CGE_INLINE int takes_over(cge_real v, cge_real m)
{
    if (v <= m) return 0;
    return v > m || m <= m; /* one of them is NaN: not m */
}

/* Both passes look for the maximum: forward assigns it to y; the input gradient, y being NULL, adds dy to dx where the
 * maximum lies in x. Here for one window, whose y (dy) begins at element `at`. */
CGE_SELDOM void max_window(const pool_view *v, const cge_real *x, cge_real *y, const cge_real *dy, cge_real *dx, int32_t at)
{
    int32_t c, h, w;
    for (c = 0; c < v->channels; c++, at++) {
        int32_t best = v->first + c, e = best;
        for (h = 0; h < v->h; h++, e += v->below - v->w * v->channels)
            for (w = 0; w < v->w; w++, e += v->channels)
                if (takes_over(x[e], x[best])) best = e;
        if (y != NULL) y[at] = x[best];
        else dx[best] += dy[at];
    }
}

/* A row of windows of 2x2 pixels inside the input, the first from element e of x on; y (dy) begins with the row. On a
 * Cortex-M4F 20 instructions a maximum forward, 30 backward; windows one by one take 120. `is_forward` is a constant. */
CGE_INLINE void max_row_2x2(const int is_forward, const cge_pool2d_plan *p, const cge_real *x, cge_real *y, const cge_real *dy, cge_real *dx, int32_t e)
{
    const int32_t right = p->g.in_c, below = p->g.in_w * right;
    int32_t ow, c;
    for (ow = 0; ow < p->out_w; ow++) {
        const cge_real *upper = x + e + ow * p->g.stride_w * right, *lower = upper + below;
        for (c = right; c > 0; c--, upper++, lower++) {
            const cge_real *best = upper;
            cge_real m = *upper;
            if (takes_over(upper[right], m)) best = upper + right, m = *best;
            if (takes_over(lower[0], m)) best = lower, m = *best;
            if (takes_over(lower[right], m)) best = lower + right, m = *best;
            if (is_forward) *y++ = m;
            else dx[best - x] += *dy++;
        }
    }
}

CGE_NOINLINE void max_row_2x2_forward(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, int32_t e)
{
    max_row_2x2(1, p, x, y, NULL, NULL, e);
}

CGE_NOINLINE void max_row_2x2_input_grad(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx, int32_t e)
{
    max_row_2x2(0, p, x, NULL, dy, dx, e);
}

CGE_SELDOM void max_rows(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, const cge_real *dy, cge_real *dx, cge_range rows)
{
    const cge_pool2d *g = &p->g;
    const int is_2x2 = g->kernel_h == 2 && g->kernel_w == 2 && (g->pad_top | g->pad_left | g->pad_bottom | g->pad_right) == 0;
    int32_t oh, ow, at = rows.begin * p->out_w * g->in_c;
    for (oh = rows.begin; oh < rows.end; oh++) {
        if (!is_2x2)
            for (ow = 0; ow < p->out_w; ow++) {
                const pool_view v = tiled_window_at(p, oh, ow);
                max_window(&v, x, y, dy, dx, at + ow * g->in_c);
            }
        else if (y != NULL) max_row_2x2_forward(p, x, y + at, oh * g->stride_h * g->in_w * g->in_c);
        else max_row_2x2_input_grad(p, x, dy + at, dx, oh * g->stride_h * g->in_w * g->in_c);
        at += p->out_w * g->in_c;
    }
}

void cge_maxpool2d_forward_f32_tiled(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    max_rows(p, x, y, NULL, NULL, rows);
}

void cge_maxpool2d_input_grad_f32_tiled(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    const cge_range rows = {0, p->out_h};
    memset(dx, 0, (size_t)(p->g.in_h * p->g.in_w * p->g.in_c) * sizeof *dx);
    max_rows(p, x, NULL, dy, dx, rows);
}

/* ---- average ---- */

enum { POOL_BLOCK = 4 }; /* channels: 4 sums and 4 terms; the loops around them cost less than one instruction a term */

CGE_INLINE void average_block(const int size, const pool_view *v, cge_real taps, const cge_real *CGE_RESTRICT x, cge_real *CGE_RESTRICT y)
{
    cge_real sum[POOL_BLOCK];
    int32_t h, w;
    int c;
    CGE_UNROLL
    for (c = 0; c < size; c++) sum[c] = CGE_REAL(0);
    for (h = 0; h < v->h; h++, x += v->below - v->w * v->channels)
        for (w = 0; w < v->w; w++, x += v->channels) {
            CGE_UNROLL
            for (c = 0; c < size; c++) sum[c] += x[c];
        }
    CGE_UNROLL
    for (c = 0; c < size; c++) y[c] = sum[c] / taps;
}

void cge_avgpool2d_forward_f32_tiled(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    const int32_t channels = p->g.in_c;
    int32_t oh, ow, c;
    y += (size_t)rows.begin * (size_t)p->out_w * (size_t)channels;
    for (oh = rows.begin; oh < rows.end; oh++)
        for (ow = 0; ow < p->out_w; ow++, y += channels) {
            const pool_view v = tiled_window_at(p, oh, ow);
            const cge_real taps = CGE_REAL(p->g.count_padding ? p->g.kernel_h * p->g.kernel_w : v.h * v.w);
            for (c = 0; channels - c >= POOL_BLOCK; c += POOL_BLOCK) average_block(POOL_BLOCK, &v, taps, x + v.first + c, y + c);
            for (; c < channels; c++) average_block(1, &v, taps, x + v.first + c, y + c);
        }
}

CGE_INLINE void share_block(const int size, const pool_view *v, cge_real taps, const cge_real *CGE_RESTRICT dy, cge_real *CGE_RESTRICT dx)
{
    cge_real share[POOL_BLOCK];
    int32_t h, w;
    int c;
    CGE_UNROLL
    for (c = 0; c < size; c++) share[c] = dy[c] / taps;
    for (h = 0; h < v->h; h++, dx += v->below - v->w * v->channels)
        for (w = 0; w < v->w; w++, dx += v->channels) {
            CGE_UNROLL
            for (c = 0; c < size; c++) dx[c] += share[c];
        }
}

void cge_avgpool2d_input_grad_f32_tiled(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx)
{
    const int32_t channels = p->g.in_c;
    int32_t oh, ow, c;
    memset(dx, 0, (size_t)(p->g.in_h * p->g.in_w * channels) * sizeof *dx);
    for (oh = 0; oh < p->out_h; oh++)
        for (ow = 0; ow < p->out_w; ow++, dy += channels) {
            const pool_view v = tiled_window_at(p, oh, ow);
            const cge_real taps = CGE_REAL(p->g.count_padding ? p->g.kernel_h * p->g.kernel_w : v.h * v.w);
            for (c = 0; channels - c >= POOL_BLOCK; c += POOL_BLOCK) share_block(POOL_BLOCK, &v, taps, dy + c, dx + v.first + c);
            for (; c < channels; c++) share_block(1, &v, taps, dy + c, dx + v.first + c);
        }
}
