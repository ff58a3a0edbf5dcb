/* Pooling: lanes are channels (lanes_pool.h). Layers with less than 4 channels are left to the reference. */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include <string.h>

enum { MOST_TAPS = 64 }; /* of a window whose maximum gets a gradient; larger ones are left to the reference */

typedef struct pool_steps {
    ptrdiff_t row, column;                  /* between the taps of a window */
    ptrdiff_t next_x, next_dy, next_result; /* from one window to the next */
    int32_t channels;
} pool_steps;

/* `count` windows of one output row, each with rows x columns taps; x, dy and the result begin at the first one. */
typedef void pool_fn(int32_t rows, int32_t columns, const pool_steps *s, int32_t count, const float *x, const float *dy, float *result);

enum { MAX, AVG, MAX_GRAD, MAX_GRAD_APART, AVG_GRAD, POOL_PASSES };

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

/* With the widest vector that so many channels fill. */
static pool_fn *function_for(int pass, int32_t channels)
{
#if CGE_LANES_WIDEST >= 16
    if (channels >= 16) return pool_passes_16[pass];
#endif
#if CGE_LANES_WIDEST >= 8
    if (channels >= 8) return pool_passes_8[pass];
#endif
    (void)channels;
    return pool_passes_4[pass];
}

/* Output rows `rows`. Windows that lie inside are one call, those at the left and right edge a call each. Where vectors
 * may hang over, channels need to fill but half of one: the last window inside, beside which there may be no pixel, then
 * counts as an edge. */
static void each_window(const cge_pool2d_plan *p, int pass, int hang_over, cge_range rows, const float *x, const float *dy, float *result)
{
    const cge_pool2d *g = &p->g;
    const int backward = pass >= MAX_GRAD;
    pool_fn *const at_edge = function_for(pass, g->in_c), *const inner = hang_over ? function_for(pass, 2 * g->in_c - 1) : at_edge;
    cge_range inside = cge_valid_range(-g->pad_left, g->stride_w, p->out_w, g->in_w - g->kernel_w + 1);
    pool_steps s;
    int32_t oh, ow, count;
    if (inner != at_edge) inside.end--;
    s.channels = g->in_c;
    s.column = g->in_c, s.row = s.column * g->in_w;
    s.next_x = g->stride_w * s.column, s.next_dy = backward ? s.column : 0, s.next_result = backward ? s.next_x : s.column;
    for (oh = rows.begin; oh < rows.end; oh++) {
        const cge_range ih = cge_window_range(oh, g->stride_h, g->pad_top, g->kernel_h, g->in_h);
        for (ow = 0; ow < p->out_w; ow += count) {
            const cge_range iw = cge_window_range(ow, g->stride_w, g->pad_left, g->kernel_w, g->in_w);
            const ptrdiff_t in = ih.begin * s.row + iw.begin * s.column, out = (oh * (ptrdiff_t)p->out_w + ow) * s.column;
            const int is_inside = ow == inside.begin && inside.begin < inside.end;
            count = is_inside ? inside.end - inside.begin : 1;
            (is_inside ? inner : at_edge)(ih.end - ih.begin, iw.end - iw.begin, &s, count, x + in, backward ? dy + out : x, result + (backward ? in : out));
        }
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

/* Where all elements are assigned, a vector may hang over into one that is assigned later. */
static void input_grad(const cge_pool2d_plan *p, int pass, int assigns_all, const float *x, const float *dy, float *dx)
{
    const cge_range all = {0, p->out_h};
    if (!assigns_all) memset(dx, 0, (size_t)(p->g.in_h * p->g.in_w * p->g.in_c) * sizeof *dx);
    each_window(p, pass, assigns_all, all, x, dy, dx);
}

void CGE_LANES(cge_maxpool2d_forward_f32)(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_maxpool2d_forward_f32_ref(p, x, y, rows);
    else
        each_window(p, MAX, 1, rows, x, NULL, y);
}

void CGE_LANES(cge_maxpool2d_input_grad_f32)(const cge_pool2d_plan *p, const float *x, const float *dy, float *dx)
{
    if (p->g.in_c < CGE_LANES_NARROWEST || (int64_t)p->g.kernel_h * p->g.kernel_w > MOST_TAPS)
        cge_maxpool2d_input_grad_f32_ref(p, x, dy, dx);
    else
        input_grad(p, is_apart(&p->g) ? MAX_GRAD_APART : MAX_GRAD, is_complete(p), x, dy, dx);
}

void CGE_LANES(cge_avgpool2d_forward_f32)(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_avgpool2d_forward_f32_ref(p, x, y, rows);
    else
        each_window(p, AVG, 1, rows, x, NULL, y);
}

void CGE_LANES(cge_avgpool2d_input_grad_f32)(const cge_pool2d_plan *p, const float *dy, float *dx)
{
    if (p->g.in_c < CGE_LANES_NARROWEST)
        cge_avgpool2d_input_grad_f32_ref(p, dy, dx);
    else
        input_grad(p, AVG_GRAD, 0, dx, dy, dx); /* x is not read */
}

#endif
