/* Reference pooling: window by window, the part of the window that lies in the padding cut off; rules in cge.h. */
#include "../kernels.h"

/* The rows and columns of the input that one output position looks at. */
typedef struct pool_window {
    cge_range ih, iw;
} pool_window;

static pool_window window_at(const cge_pool2d_plan *p, int32_t oh, int32_t ow)
{
    const cge_pool2d *g = &p->g;
    pool_window v;
    v.ih = cge_window_range(oh, g->stride_h, g->pad_top, g->kernel_h, g->in_h);
    v.iw = cge_window_range(ow, g->stride_w, g->pad_left, g->kernel_w, g->in_w);
    return v;
}

static inline size_t pool_at(int32_t row, int32_t column, int32_t width, int32_t channels)
{
    return ((size_t)row * (size_t)width + (size_t)column) * (size_t)channels;
}

static void set_zero(const cge_pool2d *g, cge_real *dx)
{
    int32_t i, n = g->in_h * g->in_w * g->in_c;
    for (i = 0; i < n; i++) dx[i] = CGE_REAL(0);
}

/* Where in x channel c of a window has its maximum: the first in row-major order; a NaN wins and stays. */
static size_t argmax_of(const cge_pool2d *g, const cge_real *x, pool_window v, int32_t c)
{
    size_t best = pool_at(v.ih.begin, v.iw.begin, g->in_w, g->in_c) + (size_t)c;
    int32_t ih, iw;
    for (ih = v.ih.begin; ih < v.ih.end; ih++)
        for (iw = v.iw.begin; iw < v.iw.end; iw++) {
            size_t i = pool_at(ih, iw, g->in_w, g->in_c) + (size_t)c;
            if (x[i] > x[best] || (cge_is_nan(x[i]) && !cge_is_nan(x[best]))) best = i;
        }
    return best;
}

/* Both passes look for the same maxima: dx NULL: y = x there; else dx there += y, which is dy. */
static void visit_maxima(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_real *dx, cge_range rows)
{
    int32_t oh, ow, c;
    y += pool_at(rows.begin, 0, p->out_w, p->g.in_c);
    for (oh = rows.begin; oh < rows.end; oh++)
        for (ow = 0; ow < p->out_w; ow++) {
            pool_window v = window_at(p, oh, ow);
            for (c = 0; c < p->g.in_c; c++, y++) {
                size_t i = argmax_of(&p->g, x, v, c);
                if (dx == NULL)
                    *y = x[i];
                else
                    dx[i] += *y;
            }
        }
}

CGE_INTERNAL void cge_maxpool2d_forward_f32_ref(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    visit_maxima(p, x, y, NULL, rows);
}

CGE_INTERNAL void cge_maxpool2d_input_grad_f32_ref(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    cge_range rows = {0, 0};
    rows.end = p->out_h;
    set_zero(&p->g, dx);
    visit_maxima(p, x, (cge_real *)(uintptr_t)dy, dx, rows);
}

static cge_real taps_of(const cge_pool2d *g, pool_window v)
{
    if (g->count_padding) return CGE_REAL(g->kernel_h * g->kernel_w);
    return CGE_REAL((v.ih.end - v.ih.begin) * (v.iw.end - v.iw.begin));
}

CGE_INTERNAL void cge_avgpool2d_forward_f32_ref(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    const int32_t in_w = p->g.in_w, channels = p->g.in_c;
    int32_t oh, ow, ih, iw, c;
    for (oh = rows.begin; oh < rows.end; oh++)
        for (ow = 0; ow < p->out_w; ow++) {
            pool_window v = window_at(p, oh, ow);
            cge_real *CGE_RESTRICT yp = y + pool_at(oh, ow, p->out_w, channels);
            for (c = 0; c < channels; c++) yp[c] = CGE_REAL(0);
            for (ih = v.ih.begin; ih < v.ih.end; ih++)
                for (iw = v.iw.begin; iw < v.iw.end; iw++) {
                    const cge_real *CGE_RESTRICT xp = x + pool_at(ih, iw, in_w, channels);
                    for (c = 0; c < channels; c++) yp[c] += xp[c];
                }
            for (c = 0; c < channels; c++) yp[c] /= taps_of(&p->g, v);
        }
}

/* dx there += dy / taps */
static void spread_means(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx)
{
    const int32_t in_w = p->g.in_w, channels = p->g.in_c;
    int32_t oh, ow, ih, iw, c;
    for (oh = 0; oh < p->out_h; oh++)
        for (ow = 0; ow < p->out_w; ow++) {
            pool_window v = window_at(p, oh, ow);
            const cge_real *CGE_RESTRICT dyp = dy + pool_at(oh, ow, p->out_w, channels);
            for (ih = v.ih.begin; ih < v.ih.end; ih++)
                for (iw = v.iw.begin; iw < v.iw.end; iw++) {
                    cge_real *CGE_RESTRICT dxp = dx + pool_at(ih, iw, in_w, channels);
                    for (c = 0; c < channels; c++) dxp[c] += dyp[c] / taps_of(&p->g, v);
                }
        }
}

CGE_INTERNAL void cge_avgpool2d_input_grad_f32_ref(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx)
{
    set_zero(&p->g, dx);
    spread_means(p, dy, dx);
}

CGE_INTERNAL void cge_part_pool2d_forward(const cge_pool2d_plan *p, int takes_largest, const cge_real *x, cge_real *y)
{
    const cge_range row = {0, 1};
    if (takes_largest) visit_maxima(p, x, y, NULL, row);
    else cge_avgpool2d_forward_f32_ref(p, x, y, row);
}

CGE_INTERNAL void cge_part_pool2d_add_grad(const cge_pool2d_plan *p, int takes_largest, const cge_real *x, const cge_real *dy,
                                           cge_real *dx)
{
    const cge_range row = {0, 1};
    if (takes_largest) visit_maxima(p, x, (cge_real *)(uintptr_t)dy, dx, row);
    else spread_means(p, dy, dx);
}
