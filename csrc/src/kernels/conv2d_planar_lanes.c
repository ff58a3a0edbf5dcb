/*
 * Convolution to fewer channels than a vector has lanes: the input gradient of a first layer (1 or 3 channels), LeNet's
 * 6 filters. Lanes are then neighbouring results of one row, and channels are the rows of a register block:
 *
 *     tile[oh][k][ow]  +=  w[kh][kw][c][k] * panel[oh + kh][c][ow + kw]            (forward; the other way round for dx)
 *
 * The panel holds a patch of the source with columns innermost, and with zeros where windows hang over the left and
 * right edge, so that all results of a row are one sweep. Where a weight is not finite or a bias is -0, these functions
 * are not used (lanes_exact.h).
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include "lanes_axis.h"
#include "lanes_exact.h"
#include "lanes_transpose.h"

enum { PATCH_FLOATS = 8192, TILE_FLOATS = 2048 }; /* 48 KB of stack */
/* From here on the forward pass has filters as lanes. 8 filters (28x28, 3x3, from 1): 2.08 us this way, 2.03 us that way. */
enum { PLANAR_FILTERS = 8 };

typedef struct planar { /* a forward pass from source to result */
    axis rows, columns;
    const float *source, *w, *b;
    float *result;
    ptrdiff_t source_pixel, source_row, result_pixel, result_row, w_k, w_depth, w_column, w_row;
    int32_t depth, k;
} planar;

typedef struct patch { /* of the source; columns may lie outside of it, rows not */
    cge_range rows, columns;
    float *values; /* [rows][depth][columns] */
    ptrdiff_t row;
} patch;

static int32_t ceil_div(int32_t a, int32_t b) /* b > 0 */
{
    return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

static int32_t reach_of(const axis *a)
{
    return (a->taps.end - 1) * a->dilation;
}

/* What results a->results.begin .. end - 1 read, parts outside the source included. */
static cge_range sources_of(const axis *a)
{
    cge_range r;
    if (a->transposed) {
        r.begin = ceil_div(a->results.begin + a->pad - reach_of(a), a->stride);
        r.end = ceil_div(a->results.end + a->pad, a->stride);
    } else {
        r.begin = a->results.begin * a->stride - a->pad;
        r.end = (a->results.end - 1) * a->stride - a->pad + reach_of(a) + 1;
    }
    return r;
}

/* How many results can be had from `count` sources, wherever they begin; may be < 1. */
static int32_t results_from(const axis *a, int32_t count)
{
    return a->transposed ? (count - 1) * a->stride - reach_of(a) + 1 : (count - 1 - reach_of(a)) / a->stride + 1;
}

static cge_range clipped(cge_range r, int32_t end)
{
    if (r.begin < 0) r.begin = 0;
    if (r.end > end) r.end = end;
    return r;
}

/* With zeros in the columns that lie outside. */
static void fill_patch(const planar *m, patch *t)
{
    const int32_t width = t->columns.end - t->columns.begin, rows = t->rows.end - t->rows.begin;
    const cge_range inside = clipped(t->columns, m->columns.sources);
    const int32_t columns = inside.end - inside.begin;
    int32_t row;
    t->row = (ptrdiff_t)m->depth * width;
    if (rows > 0 && columns < width) memset(t->values, 0, (size_t)(rows * t->row) * sizeof *t->values);
    for (row = 0; row < rows && columns > 0; row++)
        cge_transpose(columns, m->depth, m->source + (t->rows.begin + row) * m->source_row + inside.begin * m->source_pixel, m->source_pixel,
                      t->values + row * t->row + (inside.begin - t->columns.begin), width);
}

/* A row of the tile before the first term: [k][lanes] */
static void fill_bias(const planar *m, float *start, int32_t lanes)
{
    int32_t k, i;
    for (k = 0; k < m->k; k++, start += lanes) {
        const float bias = m->b[k];
        const cge_quad four = {bias, bias, bias, bias};
        for (i = 0; i < lanes; i += 4) CGE_SET_QUAD(start + (i + 4 > lanes ? lanes - 4 : i), four);
    }
}

/* Lanes for so many columns: the next vector width, rather than two overlapping narrower vectors. */
static int32_t lanes_for(int32_t columns)
{
    int32_t lanes = CGE_LANES_NARROWEST;
    if (columns >= CGE_LANES_WIDEST) return columns;
    while (lanes < columns) lanes *= 2;
    return lanes;
}

/* How far a patch must go on for these. */
static int32_t spare_columns(const axis *a)
{
    const int32_t shortest = (a->results.end - a->results.begin) / comb_count(a);
    return shortest >= CGE_LANES_WIDEST ? 0 : CGE_LANES_WIDEST;
}

/* A box of results: rows as they are, columns a whole comb. */
static void planar_box(const planar *m, const patch *t, const run *rows, const comb *columns)
{
    float tile[TILE_FLOATS], start[TILE_FLOATS], *y = m->result + rows->first * m->result_row + columns->first * m->result_pixel;
    const int32_t width = t->columns.end - t->columns.begin, lanes = lanes_for(columns->count);
    int32_t q;
    cge_sweep s;
    s.x = m->w + rows->tap * m->w_row + columns->tap * m->w_column;
    s.w = t->values + (rows->source - t->rows.begin) * t->row + (columns->source - t->columns.begin);
    s.y = tile, s.start = m->b != NULL ? start : NULL;
    s.q = rows->count, s.x_q = 0, s.y_q = m->k * lanes, s.start_q = 0, s.w_q = rows->source_step * t->row;
    s.p = m->k, s.x_p = m->w_k, s.y_p = s.start_p = lanes;
    s.k = lanes;
    s.r = rows->taps, s.x_r = rows->tap_step * m->w_row, s.w_r = rows->source_tap * t->row;
    s.s = columns->taps, s.x_s = columns->tap_step * m->w_column, s.w_s = columns->source_tap;
    s.d = m->depth, s.x_d = m->w_depth, s.w_d = width;
    s.wide = 0;
    if (m->b != NULL) fill_bias(m, start, lanes);
    CGE_LANES(cge_sweep_run)(&s);
    for (q = 0; q < rows->count; q++)
        cge_transpose(m->k, columns->count, tile + q * m->k * lanes, lanes, y + q * rows->step * m->result_row, columns->step * m->result_pixel);
}

/* All results of a patch. */
static void planar_patch(const planar *m, const patch *t, const axis *rows, const axis *columns)
{
    int32_t i, j, l, most;
    run r;
    for (i = 0; i < comb_count(columns); i++) {
        const comb column = comb_at(columns, i);
        most = TILE_FLOATS / (m->k * lanes_for(column.count));
        for (l = 0; l < comb_count(rows); l++) {
            const comb row = comb_at(rows, l);
            for (j = 0; j < row.count; j += r.count) {
                r = run_at(rows, &row, j);
                if (r.count > most) r.count = most;
                planar_box(m, t, &r, &column);
            }
        }
    }
}

/* Sources from which one result, whichever it is, can surely be had. */
static int32_t sources_of_one(const axis *a)
{
    return a->transposed ? ceil_div(reach_of(a), a->stride) + 1 : reach_of(a) + 1;
}

/* Larger steps could overflow an int32_t in results_from. */
static int fits_patch(const axis *a)
{
    return a->stride <= PATCH_FLOATS && reach_of(a) <= PATCH_FLOATS;
}

/* Columns per patch: all, or as many as leave room for the source rows of one result row; 0: less than a vector. */
static int32_t patch_columns(const planar *m)
{
    const int32_t all = m->columns.results.end, width = PATCH_FLOATS / m->depth / sources_of_one(&m->rows) - CGE_LANES_WIDEST;
    int32_t count;
    if (width < 1 || !fits_patch(&m->rows) || !fits_patch(&m->columns)) return 0;
    count = results_from(&m->columns, width);
    if (count > TILE_FLOATS / CGE_LANES_WIDEST) count = TILE_FLOATS / CGE_LANES_WIDEST;
    if (count >= all) return all;
    return count >= CGE_LANES_WIDEST ? count : 0;
}

static void planar_run(const planar *m, int32_t columns_at_once)
{
    float values[PATCH_FLOATS];
    const cge_range all_rows = m->rows.results, all_columns = m->columns.results;
    axis rows = m->rows, columns = m->columns;
    patch t;
    t.values = values;
    for (columns.results.begin = 0; columns.results.begin < all_columns.end; columns.results.begin = columns.results.end) {
        columns.results.end = columns.results.begin + columns_at_once;
        if (columns.results.end > all_columns.end) columns.results.end = all_columns.end;
        t.columns = sources_of(&columns);
        t.columns.end += spare_columns(&columns);
        for (rows.results.begin = all_rows.begin; rows.results.begin < all_rows.end; rows.results.begin = rows.results.end) {
            rows.results.end = rows.results.begin + results_from(&rows, PATCH_FLOATS / (m->depth * (t.columns.end - t.columns.begin)));
            if (rows.results.end > all_rows.end) rows.results.end = all_rows.end;
            t.rows = clipped(sources_of(&rows), rows.sources);
            fill_patch(m, &t);
            planar_patch(m, &t, &rows, &columns);
        }
    }
}

/* ---- when and for what ---- */

int CGE_LANES(cge_conv2d_planar_forward)(const cge_conv2d_plan *p, const float *x, const float *w, const float *b, float *y, cge_range rows)
{
    const cge_conv2d *g = &p->g;
    int32_t group, columns;
    planar m;
    m.rows = row_axis(p, 0, rows), m.columns = column_axis(p, 0);
    m.source_pixel = g->in_c, m.source_row = (ptrdiff_t)g->in_w * g->in_c;
    m.result_pixel = g->out_c, m.result_row = (ptrdiff_t)p->out_w * g->out_c;
    m.depth = p->group_in, m.k = p->group_out;
    m.w_k = 1, m.w_depth = g->out_c, m.w_column = m.w_depth * p->group_in, m.w_row = m.w_column * g->kernel_w;
    if (m.k >= CGE_LANES_WIDEST || m.k >= PLANAR_FILTERS || g->stride_w != 1 || (columns = patch_columns(&m)) == 0) return 0;
    if (!cge_all_numbers(p->weight_elems, w) || (b != NULL && cge_any_minus_zero(g->out_c, b))) return 0;
    for (group = 0; group < g->groups; group++) {
        m.source = x + group * p->group_in;
        m.w = w + group * p->group_out;
        m.b = b != NULL ? b + group * p->group_out : NULL;
        m.result = y + group * p->group_out;
        planar_run(&m, columns);
    }
    return 1;
}

int CGE_LANES(cge_conv2d_planar_input_grad)(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows)
{
    const cge_conv2d *g = &p->g;
    int32_t group, columns;
    planar m;
    m.rows = row_axis(p, 1, rows), m.columns = column_axis(p, 1);
    m.source_pixel = g->out_c, m.source_row = (ptrdiff_t)p->out_w * g->out_c;
    m.result_pixel = g->in_c, m.result_row = (ptrdiff_t)g->in_w * g->in_c;
    m.depth = p->group_out, m.k = p->group_in;
    m.w_k = g->out_c, m.w_depth = 1, m.w_column = m.w_k * p->group_in, m.w_row = m.w_column * g->kernel_w;
    m.b = NULL;
    if (m.k >= CGE_LANES_WIDEST || (columns = patch_columns(&m)) == 0) return 0;
    if (!cge_all_numbers(p->weight_elems, w)) return 0;
    for (group = 0; group < g->groups; group++) {
        m.source = dy + group * p->group_out;
        m.w = w + group * p->group_out;
        m.result = dx + group * p->group_in;
        planar_run(&m, columns);
    }
    return 1;
}

#endif
