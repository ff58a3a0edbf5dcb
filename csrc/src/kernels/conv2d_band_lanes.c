/*
 * Weight gradient of layers with few channels, such as the first one: lanes are the filters of all kernel columns.
 *
 *     dw[kh][kw][c][k] += sum_oh sum_ow  x[ih][ow + kw - pad][c] * dy[oh][ow][k]
 *
 * One number of x at column u = ow + kw meets, over all kw, dy of the columns u - kernel_w + 1 .. u: neighbours in
 * memory, a "band". So for each u one long vector is multiplied by x[u]:
 *
 *     panel of one row      0   0 | dy[0] dy[1] dy[2] ... dy[out_w - 1] | 0   0        each dy[ow] is [k]
 *     u = 0                 |------- |
 *     u = 1                     |------- |
 *     u = 2                         |------- |                            lanes of tile[kh][c]: kernel columns
 *                                                                         from the last to the first, [k] of each
 *
 * For each kw, u ascends with ow: the order of the contract. Zeros beside a row add +0 or -0, which changes no sum that
 * did not begin with -0, if x is finite; else these functions are not used.
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include "lanes_axis.h"
#include "lanes_exact.h"

enum { BAND_PANEL_FLOATS = 8192, BAND_TILE_FLOATS = 1024 }; /* 36 KB of stack */
enum { BAND_CHANNELS = 4 }; /* from here on channels fill register blocks, without zeros to multiply */

/* What it gains, with AVX-512: 6 filters of 5x5 on 28x28 1.4 us instead of 5.2, 8 filters of 3x3 1.4 us instead of 2.0. */

typedef struct band {
    const cge_conv2d_plan *p;
    const float *x, *dy;
    float *dw, *panel, *tile;
    cge_range kernel_rows;
    int32_t lanes;       /* of a tile: kernel_w * k */
    int32_t panel_width; /* of one output row, in columns */
} band;

static void fill_bands(const band *b, cge_range rows)
{
    const cge_conv2d_plan *p = b->p;
    const int32_t filters = p->group_out, margin = (p->g.kernel_w - 1) * filters;
    const float *from = b->dy + (ptrdiff_t)rows.begin * p->out_w * p->g.out_c;
    float *to = b->panel;
    int32_t row, ow;
    for (row = rows.begin; row < rows.end; row++) {
        memset(to, 0, (size_t)margin * sizeof *to);
        to += margin;
        if (filters == p->g.out_c) {
            cge_copy(p->out_w * filters, from, to);
            to += p->out_w * filters, from += p->out_w * filters;
        } else
            for (ow = 0; ow < p->out_w; ow++, to += filters, from += p->g.out_c) cge_copy(filters, from, to);
        memset(to, 0, (size_t)margin * sizeof *to);
        to += margin;
    }
}

/* dw to tile or back */
static void copy_tile(const band *b, int back)
{
    const cge_conv2d_plan *p = b->p;
    const int32_t filters = p->group_out, channels = p->group_in, kernel_w = p->g.kernel_w;
    int32_t kh, kw, c;
    for (kh = b->kernel_rows.begin; kh < b->kernel_rows.end; kh++)
        for (kw = 0; kw < kernel_w; kw++)
            for (c = 0; c < channels; c++) {
                float *tile = b->tile + ((kh - b->kernel_rows.begin) * channels + c) * b->lanes + (kernel_w - 1 - kw) * filters;
                float *dw = b->dw + ((kh * (ptrdiff_t)kernel_w + kw) * channels + c) * p->g.out_c;
                cge_copy(filters, back ? tile : dw, back ? dw : tile);
            }
}

/* Rows of one run, all with the same kernel rows. The panel begins with row `first`. */
static void sweep_bands(const band *b, const run *rows, int32_t first)
{
    const cge_conv2d *g = &b->p->g;
    const int32_t channels = b->p->group_in, filters = b->p->group_out;
    const cge_range u = cge_valid_range(-g->pad_left, 1, b->p->out_w + g->kernel_w - 1, g->in_w);
    const ptrdiff_t x_row = (ptrdiff_t)g->in_w * g->in_c, panel_row = (ptrdiff_t)b->panel_width * filters, tile_row = channels * b->lanes;
    cge_sweep s;
    if (rows->taps < 1) return;
    s.x = b->x + rows->source * x_row + (u.begin - g->pad_left) * (ptrdiff_t)g->in_c;
    s.w = b->panel + (rows->first - first) * panel_row + u.begin * filters;
    s.y = b->tile + (rows->tap - b->kernel_rows.begin) * tile_row;
    s.start = s.y;
    s.q = channels, s.x_q = 1, s.y_q = s.start_q = b->lanes;
    s.p = rows->taps, s.x_p = rows->source_tap * x_row, s.y_p = s.start_p = tile_row;
    s.k = b->lanes, s.w_q = 0;
    s.r = 1, s.x_r = s.w_r = 0;
    s.s = rows->count, s.x_s = rows->source_step * x_row, s.w_s = panel_row;
    s.d = u.end - u.begin, s.x_d = g->in_c, s.w_d = filters;
    s.wide = 0;
    CGE_LANES(cge_sweep_run)(&s);
}

static void band_rows(const band *b, cge_range rows)
{
    axis a = row_axis(b->p, 0, rows);
    comb c;
    run r;
    int32_t j;
    a.taps = b->kernel_rows;
    c = comb_at(&a, 0);
    fill_bands(b, rows);
    for (j = 0; j < c.count; j += r.count) {
        r = run_at(&a, &c, j);
        sweep_bands(b, &r, rows.begin);
    }
}

static void band_group(const band *b, cge_range rows)
{
    const int32_t rows_at_once = BAND_PANEL_FLOATS / (b->panel_width * b->p->group_out);
    cge_range some;
    copy_tile(b, 0);
    for (some.begin = rows.begin; some.begin < rows.end; some.begin = some.end) {
        some.end = rows.end - some.begin < rows_at_once ? rows.end : some.begin + rows_at_once;
        band_rows(b, some);
    }
    copy_tile(b, 1);
}

/* Filters that fill a vector need no band: 16 filters of 3x3 take 7.9 us with and 7.0 without. */
static int suits_bands(const cge_conv2d_plan *p)
{
    const cge_conv2d *g = &p->g;
    if (p->group_in >= BAND_CHANNELS || p->group_out >= CGE_LANES_WIDEST || g->stride_w != 1 || g->dilation_w != 1 || g->kernel_w > p->out_w) return 0;
    if (g->kernel_w * p->group_out < CGE_LANES_NARROWEST) return 0;
    if (p->weight_elems / g->groups > BAND_TILE_FLOATS) return 0;
    return (p->out_w + 2 * (int64_t)(g->kernel_w - 1)) * p->group_out <= BAND_PANEL_FLOATS;
}

int CGE_LANES(cge_conv2d_band_weight_grad)(const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows, cge_range kernel_rows)
{
    float panel[BAND_PANEL_FLOATS], tile[BAND_TILE_FLOATS];
    int32_t group;
    band b;
    if (!suits_bands(p) || !cge_all_numbers(p->g.in_h * p->g.in_w * p->g.in_c, x) || cge_any_minus_zero_row(p, dw, kernel_rows)) return 0;
    b.p = p, b.panel = panel, b.tile = tile, b.kernel_rows = kernel_rows;
    b.lanes = p->g.kernel_w * p->group_out;
    b.panel_width = p->out_w + 2 * (p->g.kernel_w - 1);
    for (group = 0; group < p->g.groups; group++) {
        b.x = x + group * p->group_in;
        b.dy = dy + group * p->group_out;
        b.dw = dw + group * p->group_out;
        band_group(&b, rows);
    }
    return 1;
}

#endif
