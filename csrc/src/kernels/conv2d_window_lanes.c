/*
 * Input gradient of layers with few channels and several filters: lanes are the numbers of a row of the window.
 *
 *     dx[ih][iw][c] += sum_k dy[oh][ow][k] * w[kh][kw][c][k]          ih = oh * stride + kh * dilation - pad, iw likewise
 *
 * For one output pixel, all kernel columns and channels of one kernel row are neighbours in dx: one long vector, which
 * stays in registers while k runs. Kernel rows are the rows of the register block:
 *
 *     dx, 3 x 3 kernel, 2 channels                      panel[kh][k]: kw 0 | kw 1 | kw 2, [c] of each
 *
 *     . . | a a | a a | a a | . .    kernel row 0       a: window of one output pixel; += dy[k] * panel[kh][k]
 *     . . | a a | a a | a a | . .               1
 *     . . | a a | a a | a a | . .               2       then the pixel to its left
 *
 * Output pixels come from the last to the first: an element of dx meets kh, and in it kw, ascending, as in the reference.
 * Nothing is multiplied that the reference leaves out.
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include "lanes_transpose.h"

enum { WINDOW_PANEL_FLOATS = 8192, WINDOW_TILE_FLOATS = 1024 }; /* 36 KB of stack */

typedef float window_vec __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));

typedef struct windows {
    const cge_conv2d_plan *p;
    const float *dy, *panel; /* [kernel_h][filters][vectors], aligned; the last vector repeats lanes of the one before */
    float *dx;
    cge_range rows;          /* of dx */
    int32_t lanes, width;    /* kernel_w * channels; of a line of the panel */
} windows;

/* Where vector i begins in a row of a window. */
static int32_t vector_at(const windows *m, int32_t i)
{
    const int32_t begin = i * CGE_LANES_WIDEST;
    return begin + CGE_LANES_WIDEST > m->lanes ? m->lanes - CGE_LANES_WIDEST : begin;
}

static void fill_window_panel(const windows *m, const float *w, float *panel)
{
    const int32_t filters = m->p->g.out_c;
    int32_t kh, i;
    for (kh = 0; kh < m->p->g.kernel_h; kh++, w += m->lanes * (ptrdiff_t)filters, panel += filters * m->width)
        for (i = 0; i * CGE_LANES_WIDEST < m->width; i++)
            cge_transpose(CGE_LANES_WIDEST, filters, w + vector_at(m, i) * (ptrdiff_t)filters, filters, panel + i * CGE_LANES_WIDEST, m->width);
}

/* ---- register blocks: P kernel rows by F vectors, P and F constants ---- */

enum { MOST_KERNEL_ROWS = 6 }; /* with 2 vectors 12 sums, which 16 registers hold too */

typedef struct window_steps {
    ptrdiff_t panel_p, dx_p, second;   /* from one kernel row to the next; in dx, from the first vector to the second one */
    ptrdiff_t next_dy, next_dx, width; /* from one window to the next; from one filter to the next in the panel */
    int32_t filters;
} window_steps;

CGE_INLINE void add_windows(const int P, const int F, const window_steps *steps, int32_t count, const float *dy, const float *panel, float *dx)
{
    const window_steps s = *steps; /* in registers: the compiler cannot know that dx is not part of it */
    int p;
    for (; count > 0; count--, dy += s.next_dy, dx += s.next_dx) {
        window_vec sum[MOST_KERNEL_ROWS][2];
        const float *w = panel, *d = dy;
        CGE_LANES_UNROLL for (p = 0; p < P; p++) {
            sum[p][0] = *(const window_vec *)(dx + p * s.dx_p);
            if (F == 2) sum[p][1] = *(const window_vec *)(dx + p * s.dx_p + s.second);
        }
        for (; d < dy + s.filters; d++, w += s.width)
            CGE_LANES_UNROLL for (p = 0; p < P; p++) {
                sum[p][0] = CGE_LANES_MADD(sum[p][0], *d, *(const window_vec *)(w + p * s.panel_p));
                if (F == 2) sum[p][1] = CGE_LANES_MADD(sum[p][1], *d, *(const window_vec *)(w + p * s.panel_p + CGE_LANES_WIDEST));
            }
        CGE_LANES_UNROLL for (p = 0; p < P; p++) {
            *(window_vec *)(dx + p * s.dx_p) = sum[p][0];
            if (F == 2) *(window_vec *)(dx + p * s.dx_p + s.second) = sum[p][1];
        }
    }
}

#define ADD_WINDOWS(P)                                                                                                           \
    static void add_windows_##P(int two, const window_steps *s, int32_t count, const float *dy, const float *panel, float *dx)  \
    {                                                                                                                            \
        if (two)                                                                                                                 \
            add_windows(P, 2, s, count, dy, panel, dx);                                                                          \
        else                                                                                                                     \
            add_windows(P, 1, s, count, dy, panel, dx);                                                                          \
    }
ADD_WINDOWS(1)
ADD_WINDOWS(2)
ADD_WINDOWS(3)
ADD_WINDOWS(4)
ADD_WINDOWS(5)
ADD_WINDOWS(6)

static void (*const add_windows_of[MOST_KERNEL_ROWS])(int two, const window_steps *s, int32_t count, const float *dy, const float *panel, float *dx) = {
    add_windows_1, add_windows_2, add_windows_3, add_windows_4, add_windows_5, add_windows_6};

/* `count` windows, the first of which is that of pixel (oh, last), the others to its left; in dx, with rows dx_p apart. */
static void sweep_windows(const windows *m, cge_range kernel_rows, int32_t oh, int32_t last, int32_t count, float *dx, ptrdiff_t dx_p)
{
    const cge_conv2d *g = &m->p->g;
    const float *dy = m->dy + (oh * (ptrdiff_t)m->p->out_w + last) * g->out_c;
    window_steps s;
    int32_t i, kh, n;
    s.width = m->width, s.panel_p = (ptrdiff_t)g->out_c * m->width, s.dx_p = dx_p;
    s.next_dy = -(ptrdiff_t)g->out_c, s.next_dx = -(ptrdiff_t)g->stride_w * g->in_c;
    s.filters = g->out_c;
    for (i = 0; i * CGE_LANES_WIDEST < m->lanes; i += 2) {
        s.second = vector_at(m, i + 1) - vector_at(m, i);
        for (kh = kernel_rows.begin; kh < kernel_rows.end; kh += n) {
            n = kernel_rows.end - kh < MOST_KERNEL_ROWS ? kernel_rows.end - kh : MOST_KERNEL_ROWS;
            add_windows_of[n - 1]((i + 1) * CGE_LANES_WIDEST < m->lanes, &s, count, dy, m->panel + kh * s.panel_p + i * CGE_LANES_WIDEST,
                                  dx + (kh - kernel_rows.begin) * dx_p + vector_at(m, i));
        }
    }
}

/* ---- rows ---- */

/* A window that hangs over the left or right edge, in a tile of its own. */
static void window_at_edge(const windows *m, cge_range kernel_rows, int32_t oh, int32_t ow, float *dx, ptrdiff_t dx_p)
{
    const cge_conv2d *g = &m->p->g;
    const int32_t left = ow * g->stride_w - g->pad_left;
    const cge_range inside = cge_valid_range(left, 1, g->kernel_w, g->in_w);
    const int32_t from = inside.begin * g->in_c, count = (inside.end - inside.begin) * g->in_c, rows = kernel_rows.end - kernel_rows.begin;
    float tile[WINDOW_TILE_FLOATS];
    int32_t i;
    if (count <= 0) return;
    memset(tile, 0, (size_t)(rows * m->lanes) * sizeof *tile);
    for (i = 0; i < rows; i++) cge_copy(count, dx + i * dx_p + left * g->in_c + from, tile + i * m->lanes + from);
    sweep_windows(m, kernel_rows, oh, ow, 1, tile, m->lanes);
    for (i = 0; i < rows; i++) cge_copy(count, tile + i * m->lanes + from, dx + i * dx_p + left * g->in_c + from);
}

static void windows_of_row(const windows *m, int32_t oh)
{
    const cge_conv2d *g = &m->p->g;
    const int32_t top = oh * g->stride_h - g->pad_top;
    const cge_range kernel_rows = cge_valid_range(top - m->rows.begin, g->dilation_h, g->kernel_h, m->rows.end - m->rows.begin);
    cge_range inside = cge_valid_range(-g->pad_left, g->stride_w, m->p->out_w, g->in_w - g->kernel_w + 1);
    const ptrdiff_t row = (ptrdiff_t)g->in_w * g->in_c, dx_p = g->dilation_h * row;
    float *dx = m->dx + (top + kernel_rows.begin * g->dilation_h) * row;
    int32_t ow;
    if (kernel_rows.begin >= kernel_rows.end) return;
    if (inside.begin >= inside.end) inside.begin = inside.end = 0;
    for (ow = m->p->out_w - 1; ow >= inside.end; ow--) window_at_edge(m, kernel_rows, oh, ow, dx, dx_p);
    if (ow >= 0) sweep_windows(m, kernel_rows, oh, ow, inside.end - inside.begin, dx + (ow * (ptrdiff_t)g->stride_w - g->pad_left) * g->in_c, dx_p);
    for (ow = inside.begin - 1; ow >= 0; ow--) window_at_edge(m, kernel_rows, oh, ow, dx, dx_p);
}

static int32_t panel_width(int32_t lanes)
{
    return (lanes + CGE_LANES_WIDEST - 1) / CGE_LANES_WIDEST * CGE_LANES_WIDEST;
}

/* Fewer sums wait for each other. With AVX-512 5x5, 6 channels, 12x12 has 10 vectors of them and takes 2.6 us instead of
 * 4.2; 3x3, 8 channels, 14x14 has 6 and takes 6.7 us instead of 3.4. */
enum { ENOUGH_VECTORS = 8 };

static int suits_windows(const cge_conv2d_plan *p)
{
    const cge_conv2d *g = &p->g;
    const int32_t lanes = g->kernel_w * g->in_c, width = panel_width(lanes);
    const int32_t rest = lanes % (2 * CGE_LANES_WIDEST); /* vectors may overlap within a block, not from one to the next */
    if (g->groups > 1 || g->dilation_w > 1 || g->in_c >= CGE_LANES_WIDEST || (rest > 0 && rest < CGE_LANES_WIDEST)) return 0;
    if (g->kernel_h * (width / CGE_LANES_WIDEST) < ENOUGH_VECTORS || g->kernel_h * lanes > WINDOW_TILE_FLOATS) return 0;
    return g->kernel_h * (int64_t)g->out_c * width <= WINDOW_PANEL_FLOATS;
}

int CGE_LANES(cge_conv2d_window_input_grad)(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows)
{
    const ptrdiff_t row = (ptrdiff_t)p->g.in_w * p->g.in_c;
    float panel[WINDOW_PANEL_FLOATS] __attribute__((aligned(4 * CGE_LANES_WIDEST)));
    windows m;
    int32_t oh;
    if (!suits_windows(p)) return 0;
    m.p = p, m.dy = dy, m.panel = panel, m.dx = dx, m.rows = rows;
    m.lanes = p->g.kernel_w * p->g.in_c, m.width = panel_width(m.lanes);
    fill_window_panel(&m, w, panel);
    memset(dx + rows.begin * row, 0, (size_t)((rows.end - rows.begin) * row) * sizeof *dx);
    for (oh = p->out_h - 1; oh >= 0; oh--) windows_of_row(&m, oh);
    return 1;
}

#endif
