/* Pooling: lanes are channels (lanes_pool.h). Layers with less than 4 channels are left to the reference. */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include <string.h>

enum { MOST_TAPS = 64 }; /* of a window whose maximum gets a gradient; larger ones are left to the reference */

typedef struct pool_steps { /* between the taps of a window */
    ptrdiff_t row, column;
} pool_steps;

/* One output row whose windows have `rows` rows inside the input; x and dx begin at the first of them. */
typedef void pool_row_fn(const cge_pool2d_plan *p, const pool_steps *s, int32_t rows, const float *x, const float *dy, float *result);

typedef struct pool_rows {
    pool_row_fn *max, *avg, *max_grad, *max_grad_apart, *avg_grad;
} pool_rows;

static cge_range window_range(int32_t o, int32_t stride, int32_t pad, int32_t kernel, int32_t in)
{
    cge_range r;
    r.begin = o * stride - pad;
    r.end = r.begin + kernel;
    if (r.begin < 0) r.begin = 0;
    if (r.end > in) r.end = in;
    return r;
}

#define WIDTH 4
#include "lanes_pool.h"
#if CGE_LANES_WIDEST >= 8
#define WIDTH 8
#include "lanes_pool.h"
#endif
#if CGE_LANES_WIDEST >= 16
#define WIDTH 16
#include "lanes_pool.h"
#endif

/* The functions with the widest vector that `channels` fill. */
static const pool_rows *rows_for(int32_t channels)
{
#if CGE_LANES_WIDEST >= 16
    if (channels >= 16) return &pool_rows_16;
#endif
#if CGE_LANES_WIDEST >= 8
    if (channels >= 8) return &pool_rows_8;
#endif
    (void)channels;
    return &pool_rows_4;
}

/* For output rows `rows`; y is what forward writes, dx what the input gradient writes, the other is NULL. */
static void each_row(const cge_pool2d_plan *p, pool_row_fn *row, cge_range rows, const float *x, const float *dy, float *y, float *dx)
{
    const cge_pool2d *g = &p->g;
    pool_steps s;
    int32_t oh;
    s.column = g->in_c, s.row = s.column * g->in_w;
    for (oh = rows.begin; oh < rows.end; oh++) {
        const cge_range ih = window_range(oh, g->stride_h, g->pad_top, g->kernel_h, g->in_h);
        const ptrdiff_t in = ih.begin * s.row, out = oh * s.column * p->out_w;
        row(p, &s, ih.end - ih.begin, x + in, y != NULL ? x : dy + out, y != NULL ? y + out : dx + in);
    }
}

/* Windows that do not overlap, and those that leave no element out. */
static int is_apart(const cge_pool2d *g)
{
    return g->stride_h >= g->kernel_h && g->stride_w >= g->kernel_w;
}

static int is_complete(const cge_pool2d_plan *p)
{
    const cge_pool2d *g = &p->g;
    return g->stride_h == g->kernel_h && g->stride_w == g->kernel_w && (int64_t)p->out_h * g->kernel_h - g->pad_top >= g->in_h &&
           (int64_t)p->out_w * g->kernel_w - g->pad_left >= g->in_w;
}

static void input_grad(const cge_pool2d_plan *p, pool_row_fn *row, const float *x, const float *dy, float *dx, int assigned)
{
    const cge_range all = {0, p->out_h};
    if (!assigned) memset(dx, 0, (size_t)(p->g.in_h * p->g.in_w * p->g.in_c) * sizeof *dx);
    each_row(p, row, all, x, dy, NULL, dx);
}

void CGE_LANES(cge_maxpool2d_forward_f32)(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_maxpool2d_forward_f32_ref(p, x, y, rows);
    else
        each_row(p, rows_for(p->g.in_c)->max, rows, x, NULL, y, NULL);
}

void CGE_LANES(cge_maxpool2d_input_grad_f32)(const cge_pool2d_plan *p, const float *x, const float *dy, float *dx)
{
    if (p->g.in_c < CGE_LANES_NARROWEST || (int64_t)p->g.kernel_h * p->g.kernel_w > MOST_TAPS)
        cge_maxpool2d_input_grad_f32_ref(p, x, dy, dx);
    else
        input_grad(p, is_apart(&p->g) ? rows_for(p->g.in_c)->max_grad_apart : rows_for(p->g.in_c)->max_grad, x, dy, dx, is_complete(p));
}

void CGE_LANES(cge_avgpool2d_forward_f32)(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_avgpool2d_forward_f32_ref(p, x, y, rows);
    else
        each_row(p, rows_for(p->g.in_c)->avg, rows, x, NULL, y, NULL);
}

void CGE_LANES(cge_avgpool2d_input_grad_f32)(const cge_pool2d_plan *p, const float *dy, float *dx)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_avgpool2d_input_grad_f32_ref(p, dy, dx);
    else
        input_grad(p, rows_for(p->g.in_c)->avg_grad, dx, dy, dx, 0); /* x is not read */
}

#endif
