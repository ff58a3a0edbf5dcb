/*
 * Convolution as sweeps (lanes.h) over boxes (lanes_axis.h). Forward and input gradient are one function: the input
 * gradient is a forward pass from dy to dx with the kernel transposed. Groups are worked on one after the other, a
 * depthwise layer as one group of wide sweeps; other groups with less than 4 lanes are left to the reference. Few
 * channels have ways of their own: conv2d_planar_lanes.c, conv2d_window_lanes.c, conv2d_band_lanes.c.
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include "lanes_axis.h"
#include "lanes_exact.h"

static int is_depthwise(const cge_conv2d_plan *p)
{
    return p->group_in == 1 && p->group_out == 1;
}

static int32_t group_count(const cge_conv2d_plan *p)
{
    return is_depthwise(p) ? 1 : p->g.groups;
}

static int32_t at_most(int32_t value, int32_t limit)
{
    return value < limit ? value : limit;
}

/* ---- boxes ---- */

/* What a sweep reads and writes: images of which `k` result channels are computed from `depth` source channels. */
typedef struct images {
    const float *source, *w, *start; /* start: NULL, [k] if its steps are 0, else an image like result */
    float *result;
    ptrdiff_t source_pixel, source_row, result_pixel, result_row, start_pixel, start_row;
    ptrdiff_t w_depth, w_column, w_row;
    int32_t depth, k, wide;
} images;

static void swap_p_and_q(cge_sweep *s)
{
    const cge_sweep t = *s;
    s->q = t.p, s->x_q = t.x_p, s->y_q = t.y_p, s->start_q = t.start_p;
    s->p = t.q, s->x_p = t.x_q, s->y_p = t.y_q, s->start_p = t.start_q;
}

static void sweep_box(const images *m, const run *rows, const run *columns)
{
    cge_sweep s;
    s.x = m->source + rows->source * m->source_row + columns->source * m->source_pixel;
    s.w = m->w + rows->tap * m->w_row + columns->tap * m->w_column;
    s.y = m->result + rows->first * m->result_row + columns->first * m->result_pixel;
    s.start = m->start != NULL ? m->start + rows->first * m->start_row + columns->first * m->start_pixel : NULL;
    s.q = rows->count, s.x_q = rows->source_step * m->source_row, s.y_q = rows->step * m->result_row, s.start_q = rows->step * m->start_row;
    s.p = columns->count, s.x_p = columns->source_step * m->source_pixel, s.y_p = columns->step * m->result_pixel, s.start_p = columns->step * m->start_pixel;
    s.k = m->k, s.w_q = 0;
    s.r = rows->taps, s.x_r = rows->source_tap * m->source_row, s.w_r = rows->tap_step * m->w_row;
    s.s = columns->taps, s.x_s = columns->source_tap * m->source_pixel, s.w_s = columns->tap_step * m->w_column;
    s.d = m->depth, s.x_d = 1, s.w_d = m->w_depth;
    s.wide = m->wide;
    if (s.q > s.p) swap_p_and_q(&s); /* register blocks along the longer side: the left and right edges are high */
    CGE_LANES(cge_sweep_run)(&s);
}

static void sweep_columns(const images *m, const run *rows, const axis *columns)
{
    run r;
    int32_t i, j;
    for (i = 0; i < comb_count(columns); i++) {
        const comb c = comb_at(columns, i);
        for (j = 0; j < c.count; j += r.count) {
            r = run_at(columns, &c, j);
            sweep_box(m, rows, &r);
        }
    }
}

static void sweep_boxes(const images *m, const axis *rows, const axis *columns)
{
    run r;
    int32_t i, j;
    for (i = 0; i < comb_count(rows); i++) {
        const comb c = comb_at(rows, i);
        for (j = 0; j < c.count; j += r.count) {
            r = run_at(rows, &c, j);
            sweep_columns(m, &r, columns);
        }
    }
}

static void set_images(images *m, const cge_conv2d_plan *p, int32_t transposed)
{
    const cge_conv2d *g = &p->g;
    const ptrdiff_t x_row = (ptrdiff_t)g->in_w * g->in_c, y_row = (ptrdiff_t)p->out_w * g->out_c;
    m->source_pixel = transposed ? g->out_c : g->in_c, m->source_row = transposed ? y_row : x_row;
    m->result_pixel = transposed ? g->in_c : g->out_c, m->result_row = transposed ? x_row : y_row;
    m->start = NULL, m->start_pixel = m->start_row = 0;
    m->w_depth = g->out_c, m->w_column = m->w_depth * p->group_in, m->w_row = m->w_column * g->kernel_w;
    m->depth = p->group_in, m->k = is_depthwise(p) ? g->out_c : p->group_out;
    m->wide = is_depthwise(p);
}

/* ---- forward ---- */

void CGE_LANES(cge_conv2d_forward_f32)(const cge_conv2d_plan *p, const float *x, const float *w, const float *b, float *y, cge_range rows)
{
    const axis row = row_axis(p, 0, rows), column = column_axis(p, 0);
    int32_t group;
    images m;
    if (!is_depthwise(p) && CGE_LANES(cge_conv2d_planar_forward)(p, x, w, b, y, rows)) return;
    set_images(&m, p, 0);
    if (m.k < CGE_LANES_NARROWEST) {
        cge_conv2d_forward_f32_ref(p, x, w, b, y, rows);
        return;
    }
    for (group = 0; group < group_count(p); group++) {
        m.source = x + group * p->group_in;
        m.w = w + group * p->group_out;
        m.start = b != NULL ? b + group * p->group_out : NULL;
        m.result = y + group * p->group_out;
        sweep_boxes(&m, &row, &column);
    }
}

/* ---- weight gradient ---- */

/* Fewer channels than this do not fill a register block. Taking the kernel's columns together gains, with AVX-512: 3 to 16
 * channels of 32x32, 3x3, 5.7 us instead of 7.0; 6 to 16 channels of 12x12, 5x5, 2.0 us instead of 3.0. */
enum { FEW_CHANNELS = 8 };

typedef struct weight_grad {
    const cge_conv2d_plan *p;
    const float *x; /* rows from `first` on, of `width` columns, `row` numbers apart; kernel column 0 begins at -pad */
    ptrdiff_t row;
    int32_t first, width, pad;
    const float *dy;
    float *dw;
} weight_grad;

/* dw[kh][kw] for the kernel rows and output rows of one run, summed over those rows of dy; several kernel columns if
 * all of them are inside for all ow */
static void sweep_taps(const weight_grad *m, const run *rows, cge_range columns)
{
    const cge_conv2d_plan *p = m->p;
    const cge_conv2d *g = &p->g;
    const int32_t left = columns.begin * g->dilation_w - m->pad;
    const cge_range ows = cge_valid_range(left, g->stride_w, p->out_w, m->width);
    const ptrdiff_t dw_column = (ptrdiff_t)p->group_in * g->out_c;
    cge_sweep s;
    if (rows->count < 1 || ows.begin >= ows.end) return;
    s.x = m->x + (rows->source - m->first) * m->row + (ows.begin * g->stride_w + left) * (ptrdiff_t)g->in_c;
    s.w = m->dy + (rows->first * (ptrdiff_t)p->out_w + ows.begin) * g->out_c;
    s.y = m->dw + (rows->tap * (ptrdiff_t)g->kernel_w + columns.begin) * dw_column;
    s.start = s.y;
    s.q = rows->taps, s.x_q = rows->source_tap * m->row, s.y_q = s.start_q = g->kernel_w * dw_column;
    s.p = (columns.end - columns.begin) * p->group_in, s.x_p = 1, s.y_p = s.start_p = g->out_c;
    s.k = is_depthwise(p) ? g->out_c : p->group_out, s.w_q = 0;
    s.r = 1, s.x_r = s.w_r = 0;
    s.s = rows->count, s.x_s = rows->source_step * m->row, s.w_s = (ptrdiff_t)p->out_w * g->out_c;
    s.d = ows.end - ows.begin, s.x_d = (ptrdiff_t)g->stride_w * g->in_c, s.w_d = g->out_c;
    s.wide = is_depthwise(p);
    if (s.q > s.p) swap_p_and_q(&s);
    CGE_LANES(cge_sweep_run)(&s);
}

/* One kernel row at a time over all output rows that have it. */
static void sweep_each_kernel_row(const weight_grad *m, cge_range rows, cge_range kernel_rows, cge_range columns)
{
    const cge_conv2d *g = &m->p->g;
    run r;
    r.taps = 1, r.source_step = g->stride_h, r.source_tap = 0;
    for (r.tap = kernel_rows.begin; r.tap < kernel_rows.end; r.tap++) {
        const int32_t top = r.tap * g->dilation_h - g->pad_top;
        const cge_range valid = cge_valid_range(top, g->stride_h, m->p->out_h, g->in_h);
        const int32_t begin = valid.begin > rows.begin ? valid.begin : rows.begin;
        r.first = begin, r.count = at_most(valid.end, rows.end) - begin;
        r.source = begin * g->stride_h + top;
        sweep_taps(m, &r, columns);
    }
}

/* All kernel rows at a time; output rows at the edges, which lack some, are runs of their own. */
static void sweep_kernel_rows_together(const weight_grad *m, cge_range rows, cge_range kernel_rows, cge_range columns)
{
    axis a = row_axis(m->p, 0, rows);
    comb c;
    run r;
    int32_t j;
    a.taps = kernel_rows;
    c = comb_at(&a, 0);
    for (j = 0; j < c.count; j += r.count) {
        r = run_at(&a, &c, j);
        sweep_taps(m, &r, columns);
    }
}

static void sweep_each_column(const weight_grad *m, cge_range rows, cge_range kernel_rows)
{
    cge_range columns;
    for (columns.begin = 0; columns.begin < m->p->g.kernel_w; columns.begin = columns.end) {
        columns.end = columns.begin + 1;
        if (m->p->group_in == 1)
            sweep_kernel_rows_together(m, rows, kernel_rows, columns);
        else
            sweep_each_kernel_row(m, rows, kernel_rows, columns);
    }
}

/* With few channels a register block takes neighbouring kernel columns too: the numbers they read lie one after the
 * other. If there is padding, they do so in a copy of some rows, with zeros where it was: see lanes_exact.h. */

enum { PADDED_FLOATS = 8192 }; /* 32 KB of stack */

static int32_t padded_width(const cge_conv2d *g)
{
    return g->pad_left + g->in_w + g->pad_right;
}

/* How many output rows the copy has room for. */
static int32_t padded_rows(const cge_conv2d *g)
{
    const int64_t reach = (g->kernel_h - 1) * (int64_t)g->dilation_h, rows = PADDED_FLOATS / ((int64_t)padded_width(g) * g->in_c);
    return rows > reach ? (int32_t)((rows - 1 - reach) / g->stride_h) + 1 : 0;
}

static void fill_padded(const cge_conv2d *g, const float *x, cge_range rows, float *padded)
{
    const int32_t left = g->pad_left * g->in_c, right = g->pad_right * g->in_c, inside = g->in_w * g->in_c;
    int32_t row;
    for (row = rows.begin; row < rows.end; row++, padded += left + inside + right) {
        memset(padded, 0, (size_t)left * sizeof *padded);
        memcpy(padded + left, x + (ptrdiff_t)row * inside, (size_t)inside * sizeof *padded);
        memset(padded + left + inside, 0, (size_t)right * sizeof *padded);
    }
}

static void sweep_padded(weight_grad *m, cge_range rows, cge_range kernel_rows, cge_range columns)
{
    const cge_conv2d *g = &m->p->g;
    const int32_t at_once = padded_rows(g);
    const float *x = m->x;
    float padded[PADDED_FLOATS];
    cge_range some, sources;
    m->x = padded, m->width = padded_width(g), m->row = (ptrdiff_t)m->width * g->in_c, m->pad = 0;
    for (some.begin = rows.begin; some.begin < rows.end; some.begin = some.end) {
        some.end = rows.end - some.begin < at_once ? rows.end : some.begin + at_once;
        sources.begin = some.begin * g->stride_h - g->pad_top;
        sources.end = (some.end - 1) * g->stride_h - g->pad_top + (g->kernel_h - 1) * g->dilation_h + 1;
        if (sources.begin < 0) sources.begin = 0;
        if (sources.end > g->in_h) sources.end = g->in_h;
        fill_padded(g, x, sources, padded);
        m->first = sources.begin;
        sweep_each_kernel_row(m, some, kernel_rows, columns);
    }
}

/* 0: not done */
static int sweep_columns_together(weight_grad *m, cge_range rows, cge_range kernel_rows)
{
    const cge_conv2d_plan *p = m->p;
    const cge_conv2d *g = &p->g;
    const cge_range columns = {0, g->kernel_w};
    if (is_depthwise(p) || g->groups > 1 || g->in_c >= FEW_CHANNELS || g->dilation_w > 1) return 0;
    if (g->pad_left + g->pad_right == 0)
        sweep_each_kernel_row(m, rows, kernel_rows, columns);
    else if (padded_rows(g) > 0 && cge_all_numbers(p->out_h * p->out_w * g->out_c, m->dy) && !cge_any_minus_zero_row(p, m->dw, kernel_rows))
        sweep_padded(m, rows, kernel_rows, columns);
    else
        return 0;
    return 1;
}

void CGE_LANES(cge_conv2d_weight_grad_f32)(const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows, cge_range kernel_rows)
{
    const cge_conv2d *g = &p->g;
    int32_t group;
    if (rows.begin >= rows.end || kernel_rows.begin >= kernel_rows.end) return;
    if (!is_depthwise(p) && CGE_LANES(cge_conv2d_band_weight_grad)(p, x, dy, dw, rows, kernel_rows)) return;
    if ((is_depthwise(p) ? g->out_c : p->group_out) < CGE_LANES_NARROWEST) {
        cge_conv2d_weight_grad_f32_ref(p, x, dy, dw, rows, kernel_rows);
        return;
    }
    for (group = 0; group < group_count(p); group++) {
        weight_grad m;
        m.p = p;
        m.x = x + group * p->group_in, m.row = (ptrdiff_t)g->in_w * g->in_c, m.first = 0, m.width = g->in_w, m.pad = g->pad_left;
        m.dy = dy + group * p->group_out;
        m.dw = dw + group * p->group_out;
        if (!sweep_columns_together(&m, rows, kernel_rows)) sweep_each_column(&m, rows, kernel_rows);
    }
}

/* ---- input gradient ---- */

/* Lanes are channels here, but w has filters innermost. So a part of w is transposed into a panel on the stack,
 *     panel[kh][kw][k][c]   <-   w[kh][kw][c][k]
 * for one register block of channels and as many kernel rows (else columns, else filters) as fit; dx carries the sums
 * from one part to the next. 36 KB: one 3x3 kernel of 32 channels and 32 filters. In thirds it takes 20 % longer. */
enum { PANEL_FLOATS = 9216 };

typedef struct part { /* of a kernel, for some channels */
    cge_range rows, columns, filters;
    int32_t channels;
} part;

static void fill_panel(const cge_conv2d_plan *p, const float *w, const part *t, float *panel)
{
    const cge_conv2d *g = &p->g;
    const int32_t filters = t->filters.end - t->filters.begin;
    int32_t kh, kw;
    for (kh = t->rows.begin; kh < t->rows.end; kh++)
        for (kw = t->columns.begin; kw < t->columns.end; kw++, panel += filters * t->channels)
            cge_transpose(t->channels, filters, w + (kh * (ptrdiff_t)g->kernel_w + kw) * p->group_in * g->out_c + t->filters.begin, g->out_c, panel, t->channels);
}

/* The part's taps seen as a kernel that begins at tap 0. */
static axis of_taps(axis a, cge_range taps)
{
    a.pad -= taps.begin * a.dilation;
    a.taps.begin = 0, a.taps.end = taps.end - taps.begin;
    return a;
}

/* Adds one part of the kernel to dx of t->channels channels; the first part starts from zero. */
static void input_grad_part(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows, const part *t, int first)
{
    float panel[PANEL_FLOATS];
    const axis row = of_taps(row_axis(p, 1, rows), t->rows), column = of_taps(column_axis(p, 1), t->columns);
    images m;
    fill_panel(p, w, t, panel);
    set_images(&m, p, 1);
    m.source = dy + t->filters.begin;
    m.w = panel;
    m.result = dx;
    if (!first) m.start = dx, m.start_pixel = m.result_pixel, m.start_row = m.result_row;
    m.depth = t->filters.end - t->filters.begin, m.k = t->channels;
    m.w_depth = m.k, m.w_column = m.w_depth * m.depth, m.w_row = m.w_column * (t->columns.end - t->columns.begin);
    sweep_boxes(&m, &row, &column);
}

static void input_grad_channels(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows, int32_t channels)
{
    const cge_conv2d *g = &p->g;
    const int32_t fit = PANEL_FLOATS / channels; /* in lines of one tap and filter */
    const int32_t filters = at_most(p->group_out, fit);
    const int32_t columns = filters < p->group_out ? 1 : at_most(g->kernel_w, fit / filters);
    const int32_t kernel_rows = columns < g->kernel_w ? 1 : at_most(g->kernel_h, fit / (filters * columns));
    part t;
    t.channels = channels;
    for (t.rows.begin = 0; t.rows.begin < g->kernel_h; t.rows.begin = t.rows.end) {
        t.rows.end = at_most(t.rows.begin + kernel_rows, g->kernel_h);
        for (t.columns.begin = 0; t.columns.begin < g->kernel_w; t.columns.begin = t.columns.end) {
            t.columns.end = at_most(t.columns.begin + columns, g->kernel_w);
            for (t.filters.begin = 0; t.filters.begin < p->group_out; t.filters.begin = t.filters.end) {
                t.filters.end = at_most(t.filters.begin + filters, p->group_out);
                input_grad_part(p, w, dy, dx, rows, &t, t.rows.begin + t.columns.begin + t.filters.begin == 0);
            }
        }
    }
}

static void depthwise_input_grad(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows)
{
    const axis row = row_axis(p, 1, rows), column = column_axis(p, 1);
    images m;
    set_images(&m, p, 1);
    m.source = dy;
    m.w = w;
    m.result = dx;
    sweep_boxes(&m, &row, &column);
}

void CGE_LANES(cge_conv2d_input_grad_f32)(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows)
{
    const cge_conv2d *g = &p->g;
    int32_t group, c, channels;
    if (!is_depthwise(p) && CGE_LANES(cge_conv2d_window_input_grad)(p, w, dy, dx, rows)) return;
    if (!is_depthwise(p) && CGE_LANES(cge_conv2d_planar_input_grad)(p, w, dy, dx, rows)) return;
    if ((is_depthwise(p) ? g->in_c : p->group_in) < CGE_LANES_NARROWEST) {
        cge_conv2d_input_grad_f32_ref(p, w, dy, dx, rows);
        return;
    }
    if (is_depthwise(p)) {
        depthwise_input_grad(p, w, dy, dx, rows);
        return;
    }
    for (group = 0; group < g->groups; group++)
        for (c = 0; c < p->group_in; c += channels) {
            channels = CGE_LANES(cge_sweep_block)(p->group_in - c);
            input_grad_channels(p, w + c * (ptrdiff_t)g->out_c + group * p->group_out, dy + group * p->group_out,
                                dx + group * p->group_in + c, rows, channels);
        }
}

#endif
