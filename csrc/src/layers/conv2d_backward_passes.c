/*
 * A convolution backward, in pieces. At winners of a pooling: filters and pooled rows, rows and windows. Else some rows,
 * columns, channels and filters, which are a convolution of their own.
 */
#include "passes.h"
#include "../kernels/kernels.h"

enum { PIECE_ROWS = 2 }; /* of dx at a time, as in conv2d_unit.c */
enum { GRAD_TILE = 4 };  /* channels, filters or columns of a fast kernel's tile */
enum { MACS_OF_FILTER = 110 }; /* of some rows of a filter at winners, beside what is collected */

static int32_t at_least_one(int32_t n)
{
    return n > 1 ? n : 1;
}

/* Rows of the map that some pooled row looks at, or all; and how many of them belong together. */
static int32_t rows_with_grads(const cge_pieces *u)
{
    return u->c.pool != NULL ? u->c.out.h * u->v.kernel_h : u->c.map.h;
}

static int32_t rows_together(const cge_pieces *u)
{
    return u->c.pool != NULL ? u->v.kernel_h : u->c.map.h;
}

/* ---- backward: parameters that learn at once begin with gradients of zero ---- */

static int32_t bias_elems(const cge_pieces *u)
{
    return u->c.params.db != NULL ? u->p.g.out_c : 0;
}

/* Weights that learn: all, some input channels of each tap, or none. */
static cge_trained trained_weights(const cge_pieces *u)
{
    cge_trained t = cge_trained_weights(u->c.layer, u->p.weight_elems);
    if (u->c.params.dw == NULL) t.run = 0;
    return t;
}

/* Of these alone. */
static cge_conv2d_plan trained_plan(const cge_pieces *u)
{
    cge_conv2d_plan p = u->p;
    cge_conv2d_narrow(&p, u->c.layer);
    return p;
}

static int32_t learning_elems(const cge_pieces *u)
{
    const cge_trained t = trained_weights(u);
    return u->c.params.optimizer == NULL ? 0 : t.taps * t.run + bias_elems(u);
}

static int32_t clear_pieces(const cge_pieces *u)
{
    return cge_pieces_of(learning_elems(u), CGE_PIECE_MACS);
}

static int64_t clear_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(learning_elems(u), CGE_PIECE_MACS, piece);
}

/* Gradients of biases lie behind those of weights. */
static cge_status clear_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(learning_elems(u), CGE_PIECE_MACS, pieces);
    cge_real *grads = u->c.params.dw != NULL ? u->c.params.dw : u->c.params.db;
    memset(grads + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *grads);
    return CGE_OK;
}

/* ---- weight gradient at the winners: a filter, some pooled rows ---- */

/* Sums of one kernel row, of which eight, three or one are worked at together: so much for each, in a filter's gradient. */
static int32_t filter_sums_macs(int32_t n)
{
    return n / 8 * 15 + n % 8 / 3 * 12 + n % 8 % 3 * 6;
}

/* And in that of a place. */
static int32_t place_sums_macs(int32_t n)
{
    return n / 8 * 17 + n % 8 / 3 * 9 + n % 8 % 3 * 6;
}

static int32_t rows_reached(const cge_pieces *u)
{
    return u->p.g.dilation_h * (u->p.g.kernel_h - 1) + 1;
}

/* Rows that are handed on before row `row` is added, at most. */
static int32_t rows_taken(const cge_pieces *u, int32_t row)
{
    if (row == rows_with_grads(u) - 1) return at_least_one(u->p.g.in_h + u->p.g.pad_top - row * u->p.g.stride_h - rows_reached(u));
    return row < 0 ? rows_reached(u) : u->p.g.stride_h;
}

/* Before a row is added, others are handed on. */
static int64_t take_macs(const cge_pieces *u, int32_t row, int32_t first)
{
    const int64_t taken = (int64_t)rows_taken(u, row) * (2 + cge_activation_macs(u->c.below));
    return row_elems(u->c.in) * (taken + (first ? rows_reached(u) : 0));
}

/* Sums come and go. */
static int64_t macs_beside_filter(const cge_winner_cut *k)
{
    return 2 * (int64_t)k->of_filter + MACS_OF_FILTER;
}

static void winner_cut(cge_pieces *u)
{
    cge_winner_cut *k = &u->cut.winners;
    const cge_conv2d *g = &u->p.g;
    const int one_run = g->dilation_w == 1 && u->p.group_in == g->in_c;
    const int32_t run = one_run ? g->kernel_w * u->p.group_in : u->p.group_in;
    const int64_t runs = (int64_t)g->kernel_h * (one_run ? 1 : g->kernel_w);
    k->of_filter = cge_macs_word(CGE_MACS_TAKE + runs * filter_sums_macs(run));
    k->of_place = cge_macs_word(runs * place_sums_macs(run));
    k->filter_row = cge_macs_word(u->c.out.w * ((int64_t)CGE_MACS_LOOK + k->of_filter));
    k->rows = cge_piece_beside(u->c.out.h, k->filter_row, macs_beside_filter(k));
    k->row_parts = cge_pieces_of(u->c.out.h, k->rows);
    k->window = cge_macs_word(u->v.channels * ((int64_t)CGE_MACS_LOOK + k->of_place) +
                              (int64_t)u->v.kernel_w * (1 + g->kernel_h) * CGE_MACS_PLACE);
    k->windows = cge_piece_beside(u->c.out.w, k->window, take_macs(u, rows_with_grads(u) - 1, 1));
    k->window_parts = cge_pieces_of(u->c.out.w, k->windows);
}

static int32_t filter_pieces(const cge_pieces *u)
{
    return u->c.params.dw == NULL ? 0 : u->p.g.out_c * u->cut.winners.row_parts;
}

static int64_t filter_macs(const cge_pieces *u, int32_t piece)
{
    const cge_winner_cut *k = &u->cut.winners;
    const int32_t rows = cge_piece_elems(u->c.out.h, k->rows, piece % k->row_parts);
    return rows * (int64_t)k->filter_row + macs_beside_filter(k);
}

/* Pooled rows of filter k. */
static void add_to_filter_grad(const cge_pieces *u, int32_t k, cge_range pooled)
{
    const cge_unit_params *params = &u->c.params;
    const cge_conv2d_plan p = trained_plan(u);
    const cge_range rows = {pooled.begin * u->v.kernel_h, pooled.end * u->v.kernel_h};
    cge_real sum = params->db != NULL ? params->db[k] : CGE_REAL(0);
    int32_t taken = 0;
    sum = cge_conv2d_winners_filter_rows(&p, &u->v, u->c.x, u->c.dy, u->c.winners, k, rows, params->dw + k, u->p.g.out_c, sum,
                                         &taken);
    *u->saved += (int64_t)((pooled.end - pooled.begin) * u->c.out.w - taken) * u->cut.winners.of_filter;
    if (params->db != NULL) params->db[k] = sum;
}

static int32_t run_in_filter(const cge_pieces *u, int32_t k, cge_range parts)
{
    add_to_filter_grad(u, k, cge_range_of(u->c.out.h, u->cut.winners.rows, parts));
    return cge_length(parts);
}

static cge_status filter_run(const cge_pieces *u, cge_range pieces)
{
    return cge_run_groups(u, pieces, u->cut.winners.row_parts, run_in_filter);
}

/* ---- biases' gradient where weights do not learn: at the winners of some pooled rows ---- */

static int32_t rows_of_winners(const cge_pieces *u)
{
    return cge_piece_of(u->c.out.h, (int64_t)row_elems(u->c.out) * u->v.kernel_h * CGE_MACS_LOOK);
}

static int32_t winner_bias_pieces(const cge_pieces *u)
{
    const int alone = u->c.params.db != NULL && u->c.params.dw == NULL;
    return alone ? cge_pieces_of(u->c.out.h, rows_of_winners(u)) : 0;
}

static int64_t winner_bias_macs(const cge_pieces *u, int32_t piece)
{
    const int32_t rows = cge_piece_elems(u->c.out.h, rows_of_winners(u), piece);
    return (int64_t)rows * row_elems(u->c.out) * u->v.kernel_h * CGE_MACS_LOOK;
}

static cge_status winner_bias_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range rows = cge_range_of(u->c.out.h, rows_of_winners(u), pieces);
    const int32_t first = rows.begin * row_elems(u->c.out);
    cge_windows v = u->v;
    v.out_h = cge_length(rows);
    v.first += first;
    cge_conv2d_winners_bias_grad(&v, u->c.dy + first, u->c.winners, u->c.params.db);
    return CGE_OK;
}

/* ---- biases' gradient of a map that is not pooled ---- */

static int32_t bias_rows_at_once(const cge_pieces *u)
{
    return cge_piece_of(u->c.map.h, row_elems(u->c.map) * 2);
}

static int32_t bias_row_pieces(const cge_pieces *u)
{
    return u->c.params.db == NULL || u->c.pool != NULL ? 0 : cge_pieces_of(u->c.map.h, bias_rows_at_once(u));
}

static int64_t bias_row_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)cge_piece_elems(u->c.map.h, bias_rows_at_once(u), piece) * row_elems(u->c.map) * 2;
}

static cge_status bias_row_run(const cge_pieces *u, cge_range pieces)
{
    cge_run_conv2d_bias_grad(&u->p, u->c.dy, u->c.params.db, cge_range_of(u->c.map.h, bias_rows_at_once(u), pieces));
    return CGE_OK;
}

/* ---- weight gradient of a map with all its elements: kernel rows, channels, filters or groups, rows, columns ---- */

enum { GRAD_KERNEL_ROWS, GRAD_CHANNELS, GRAD_FILTERS, GRAD_ROWS, GRAD_COLUMNS };

static int has_groups(const cge_pieces *u)
{
    return u->p.g.groups > 1;
}

/* Quarters of a multiply-add: for each product of a weight, for each row of them, for the weight's sum. As in boxes.c. */
static int64_t macs_of_weight(const cge_pieces *u, int32_t channels, int32_t filters, int64_t rows, int32_t columns)
{
    if (cge_is_depthwise(&u->p)) return rows * (6 * columns + 8) + 20;
    if (filters < GRAD_TILE || (channels < GRAD_TILE && filters < 2 * GRAD_TILE)) return rows * (10 * columns + 28) + 100;
    return channels % GRAD_TILE == 0 ? rows * (4 * columns + columns / 4 + 2) + 20 : rows * (6 * columns + 4) + 28;
}

static int64_t weight_grad_macs(const cge_pieces *u, const cge_box *box)
{
    const int32_t kernel_rows = cge_length(box->along[GRAD_KERNEL_ROWS]), units = cge_length(box->along[GRAD_FILTERS]);
    const int32_t filters = has_groups(u) ? u->p.group_out : units;
    const int32_t channels = has_groups(u) ? u->p.group_in : cge_length(box->along[GRAD_CHANNELS]);
    const int32_t computed = filters < GRAD_TILE ? filters : cge_pieces_of(filters, GRAD_TILE) * GRAD_TILE;
    const int32_t rows = cge_length(box->along[GRAD_ROWS]), columns = cge_length(box->along[GRAD_COLUMNS]);
    const int32_t units_computed = cge_pieces_of(units, GRAD_TILE) * GRAD_TILE;
    const int32_t in_groups = cge_is_depthwise(&u->p) ? units_computed : units * computed * channels;
    const int32_t weights = has_groups(u) ? in_groups : computed * channels;
    const int64_t macs = macs_of_weight(u, channels, filters, rows, columns);
    return kernel_rows * u->p.g.kernel_w * (weights * macs / 4 + cge_pieces_of(channels, GRAD_TILE) * 45);
}

static int has_weight_pieces(const cge_pieces *u)
{
    return u->c.params.dw != NULL || u->c.params.db != NULL;
}

static void weight_cut(cge_pieces *u)
{
    static const int32_t typical[CGE_AXES] = {0};
    const int32_t channels = trained_plan(u).group_in, lone = channels % GRAD_TILE != 0; /* a channel that is alone takes 8 filters */
    const int32_t least[CGE_AXES] = {1, GRAD_TILE, lone && !has_groups(u) ? 2 * GRAD_TILE : GRAD_TILE, 1, 1};
    cge_map_cut *k = &u->cut.map;
    if (!has_weight_pieces(u)) return;
    memset(&u->cut, 0, sizeof u->cut);
    k->axes[GRAD_KERNEL_ROWS].size = u->p.g.kernel_h;
    k->axes[GRAD_FILTERS].size = has_groups(u) ? u->p.g.groups : u->p.group_out;
    k->axes[GRAD_CHANNELS].size = has_groups(u) ? 1 : channels;
    k->axes[GRAD_ROWS].size = rows_together(u);
    k->axes[GRAD_COLUMNS].size = u->p.out_w;
    k->macs = cge_macs_word(cge_cut_axes(u, k->axes, least, typical, weight_grad_macs));
    k->boxes = u->c.params.dw != NULL ? cge_count_boxes(k->axes) : 0;
    k->others = u->c.pool != NULL;
}

/* Of rows that were pooled the gradient is expanded first, and added to that of the biases. */
static int32_t weight_pieces(const cge_pieces *u)
{
    const cge_map_cut *k = &u->cut.map;
    if (!has_weight_pieces(u)) return 0;
    return (k->boxes + k->others) * (rows_with_grads(u) / rows_together(u));
}

static int64_t weight_macs(const cge_pieces *u, int32_t piece)
{
    const cge_map_cut *k = &u->cut.map;
    if (k->others == 0 || piece % (k->boxes + 1) > 0) return k->macs;
    return (int64_t)rows_together(u) * row_elems(u->c.map) * (CGE_MACS_TAP + 1);
}

/* Rows of the map's gradient, to `room`. */
static void expand_rows(const cge_pieces *u, int32_t row, int32_t count, cge_real *room)
{
    int32_t i;
    for (i = 0; i < count; i++)
        cge_maxpool2d_row_grad(&u->v, u->c.dy, u->c.winners, row + i, room + i * row_elems(u->c.map));
}

static void expand_group(const cge_pieces *u, int32_t row)
{
    const cge_range rows = {0, rows_together(u)};
    expand_rows(u, row, rows.end, u->c.scratch);
    if (u->c.params.db != NULL) cge_run_conv2d_bias_grad(&u->p, u->c.scratch, u->c.params.db, rows);
}

/* Rows are counted from row `first`. */
static void add_weight_box(const cge_pieces *u, int32_t first, const cge_box *box)
{
    const cge_unit_call *c = &u->c;
    const cge_range filters = box->along[GRAD_FILTERS], channels = box->along[GRAD_CHANNELS];
    const cge_range columns = box->along[GRAD_COLUMNS];
    const cge_range rows = {0, cge_length(box->along[GRAD_ROWS])};
    const int32_t row = box->along[GRAD_ROWS].begin, w = filters.begin * (has_groups(u) ? u->p.group_out : 1);
    const int32_t x = has_groups(u) ? filters.begin * u->p.group_in : channels.begin;
    const cge_real *dz = (c->pool != NULL ? c->scratch : c->dy) + (row * u->p.out_w + columns.begin) * u->p.g.out_c + w;
    cge_conv2d_plan p = trained_plan(u);
    p.g.pad_top -= (first + row) * p.g.stride_h;
    p.g.pad_left -= columns.begin * p.g.stride_w;
    p.out_h = rows.end;
    p.out_w = cge_length(columns);
    if (has_groups(u)) {
        p.g.groups = cge_length(filters);
    } else {
        p.group_out = cge_length(filters);
        p.group_in = cge_length(channels);
    }
    cge_part_conv2d_weight_grad(&p, c->x + x, dz, c->params.dw + channels.begin * p.g.out_c + w, rows,
                                box->along[GRAD_KERNEL_ROWS]);
}

/* Of all rows of a map that is not pooled: the kernel may leave zeros out, for which it looks at all of x. */
static void add_whole_weight_grad(const cge_pieces *u)
{
    const cge_conv2d_plan p = trained_plan(u);
    const cge_range rows = {0, p.out_h}, kernel_rows = {0, p.g.kernel_h};
    cge_run_conv2d_weight_grad(&p, u->c.x, u->c.dy, u->c.params.dw, rows, kernel_rows);
}

static int32_t run_in_group(const cge_pieces *u, int32_t group, cge_range pieces)
{
    const cge_map_cut *k = &u->cut.map;
    const cge_range boxes = {pieces.begin - k->others, pieces.end - k->others};
    const int32_t row = group * rows_together(u);
    cge_box box;
    int32_t count;
    if (boxes.begin < 0) {
        expand_group(u, row);
        return 1;
    }
    count = cge_join_boxes(k->axes, boxes, &box);
    if (count == k->boxes && k->others == 0) {
        add_whole_weight_grad(u);
    } else {
        add_weight_box(u, row, &box);
        if (count > 1) cge_save_macs(u, count, &box, weight_grad_macs);
    }
    return count;
}

static cge_status map_weight_run(const cge_pieces *u, cge_range pieces)
{
    return cge_run_groups(u, pieces, u->cut.map.boxes + u->cut.map.others, run_in_group);
}

/* ---- input gradient at the winners: rows of the map from the last to the first, some windows each ---- */

/* One for each part of a row, and one that hands the last rows on. */
static int32_t ring_pieces(const cge_pieces *u)
{
    return u->c.dx == NULL ? 0 : rows_with_grads(u) * u->cut.winners.window_parts + 1;
}

static int64_t ring_macs(const cge_pieces *u, int32_t piece)
{
    const cge_winner_cut *k = &u->cut.winners;
    const int32_t number = piece / k->window_parts, from_last = piece - number * k->window_parts, row = rows_with_grads(u) - 1 - number;
    int64_t macs = from_last == 0 ? take_macs(u, row, piece == 0) : 0;
    if (row >= 0) macs += cge_piece_elems(u->c.out.w, k->windows, k->window_parts - 1 - from_last) * (int64_t)k->window;
    return macs;
}

static void hand_row_on(const void *context, int32_t row, cge_real *dx)
{
    const cge_unit_call *c = (const cge_unit_call *)context;
    cge_unit_hand_on(c, row * row_elems(c->in), row_elems(c->in), dx);
}

/* Parts of row `row`, counted from the last. */
static void add_to_input_grad(const cge_pieces *u, int32_t row, int32_t windows, int32_t parts, cge_range from_last)
{
    const cge_unit_call *c = &u->c;
    const cge_range number = {parts - from_last.end, parts - from_last.begin}, r = cge_range_of(c->out.w, windows, number);
    int32_t count;
    if (from_last.begin == 0) cge_conv2d_winners_take_rows(&u->p, &u->v, c->scratch, hand_row_on, c, row + 1);
    if (row < 0) return;
    count = cge_conv2d_winners_add_row(&u->p, &u->v, c->params.w, c->dy, c->winners, c->scratch, row, r);
    *u->saved += (int64_t)((r.end - r.begin) * u->v.channels - count) * u->cut.winners.of_place;
}

static int32_t run_in_row(const cge_pieces *u, int32_t number, cge_range from_last)
{
    const cge_winner_cut *k = &u->cut.winners;
    add_to_input_grad(u, rows_with_grads(u) - 1 - number, k->windows, k->window_parts, from_last);
    return cge_length(from_last);
}

static cge_status ring_run(const cge_pieces *u, cge_range pieces)
{
    if (pieces.begin == 0) memset(u->c.scratch, 0, (size_t)(rows_reached(u) * row_elems(u->c.in)) * sizeof *u->c.scratch);
    return cge_run_groups(u, pieces, u->cut.winners.window_parts, run_in_row);
}

/* ---- input gradient of a map with all its elements: rows, columns, channels or groups ----
 *
 * Some rows are collected in scratch, and then handed on. */

enum { INPUT_ROWS, INPUT_COLUMNS = CGE_AXIS_OF_COLUMNS, INPUT_CHANNELS };

/* Taps of an axis that reach an input, at most: those that a stride leaves. */
static int32_t most_taps(int32_t kernel, int32_t stride)
{
    return cge_pieces_of(kernel, stride);
}

/* Kernel rows that reach some rows of a band. Which ones depends on the band, unless the stride divides it. */
static int32_t row_taps(const cge_conv2d *g, cge_range rows)
{
    int32_t row, kh, taps = 0;
    if (g->stride_h == 1 || PIECE_ROWS % g->stride_h != 0) return cge_length(rows) * most_taps(g->kernel_h, g->stride_h);
    for (row = rows.begin; row < rows.end; row++)
        for (kh = 0; kh < g->kernel_h; kh++) taps += (row + g->pad_top - kh * g->dilation_h) % g->stride_h == 0;
    return taps;
}

/* Columns that share tiles are of each phase of the stride equally many, so that they have the mean of all taps. */
static int64_t input_box_macs(const cge_pieces *u, const cge_box *box)
{
    const cge_conv2d *g = &u->p.g;
    const int32_t taps = most_taps(g->kernel_w, g->stride_w), rows = cge_length(box->along[INPUT_ROWS]);
    const int32_t all_taps = row_taps(g, box->along[INPUT_ROWS]) * taps;
    cge_gathered all;
    all.rows = rows;
    cge_count_places(&u->cut.map, box->along[INPUT_COLUMNS], &all);
    all.tiled = cge_pieces_of(all.tiled * g->kernel_w, g->stride_w * taps);
    all.channels = cge_length(box->along[INPUT_CHANNELS]) * (has_groups(u) ? u->p.group_in : 1);
    all.group = u->p.group_in < all.channels ? u->p.group_in : all.channels;
    all.terms = cge_pieces_of(all_taps * u->p.group_out, rows);
    all.runs = cge_pieces_of(cge_is_depthwise(&u->p) ? all_taps / taps : all_taps, rows);
    all.depthwise = (int16_t)cge_is_depthwise(&u->p);
    all.transposed = 1;
    return cge_gather_macs(&all);
}

/* Do all taps of its phase reach column iw? */
static int is_inside(const cge_conv2d_plan *p, int32_t iw)
{
    int32_t kw;
    for (kw = 0; kw < p->g.kernel_w; kw++) {
        const int32_t at = iw + p->g.pad_left - kw * p->g.dilation_w;
        if (at % p->g.stride_w == 0 && (at < 0 || at / p->g.stride_w >= p->out_w)) return 0;
    }
    return 1;
}

static int32_t within(int32_t n, int32_t limit)
{
    if (n < 0) return 0;
    return n < limit ? n : limit;
}

static cge_range inputs_inside(const cge_conv2d_plan *p)
{
    cge_range r;
    r.begin = within(p->g.dilation_w * (p->g.kernel_w - 1) - p->g.pad_left, p->g.in_w);
    r.end = within(p->out_w * p->g.stride_w - p->g.pad_left, p->g.in_w);
    while (r.begin > 0 && is_inside(p, r.begin - 1)) r.begin--;
    while (r.end < p->g.in_w && is_inside(p, r.end)) r.end++;
    return r;
}

static int32_t cut_input_boxes(cge_pieces *u, int by_tiles, int32_t channels)
{
    const cge_conv2d *g = &u->p.g;
    cge_map_cut *k = &u->cut.map;
    const int32_t least[CGE_AXES] = {1, 1, channels, 1, 1};
    int32_t typical[CGE_AXES] = {0}, i;
    for (i = 0; i < CGE_AXES; i++) k->axes[i].size = 1;
    cge_set_columns(k, g->in_w, inputs_inside(&u->p), by_tiles ? CGE_TILE_COLUMNS * g->stride_w : 1);
    typical[INPUT_COLUMNS] = k->border;
    k->axes[INPUT_ROWS].size = PIECE_ROWS;
    k->axes[INPUT_CHANNELS].size = has_groups(u) ? g->groups : u->p.group_in;
    k->macs = cge_macs_word(cge_cut_axes(u, k->axes, least, typical, input_box_macs));
    return k->macs;
}

/* Of an element that is handed on. */
static int32_t macs_of_element(const cge_pieces *u)
{
    return 2 + cge_activation_macs(u->c.below);
}

static int32_t elems_of_band(const cge_pieces *u)
{
    return PIECE_ROWS * row_elems(u->c.in);
}

static int64_t macs_of_band(const cge_pieces *u)
{
    return (int64_t)elems_of_band(u) * macs_of_element(u);
}

static void input_cut(cge_pieces *u)
{
    cge_map_cut *k = &u->cut.map;
    if (u->c.dx == NULL) return;
    memset(&u->cut, 0, sizeof u->cut);
    if (cut_input_boxes(u, 1, GRAD_TILE) > CGE_PIECE_MACS && cut_input_boxes(u, 0, GRAD_TILE) > CGE_PIECE_MACS)
        (void)cut_input_boxes(u, 0, 1);
    cge_cost_lone_columns(u, k, input_box_macs);
    k->boxes = cge_count_boxes(k->axes);
    if (k->boxes == 1 && k->macs + macs_of_band(u) <= CGE_PIECE_MACS) return;
    k->other = cge_piece_of(elems_of_band(u), macs_of_element(u));
    k->others = cge_pieces_of(elems_of_band(u), k->other);
}

static int32_t input_pieces(const cge_pieces *u)
{
    if (u->c.dx == NULL) return 0;
    return cge_pieces_of(u->p.g.in_h, PIECE_ROWS) * (u->cut.map.boxes + u->cut.map.others);
}

/* The first box expands what was pooled. */
static int64_t input_macs(const cge_pieces *u, int32_t piece)
{
    const cge_map_cut *k = &u->cut.map;
    const int32_t number = piece % (k->boxes + k->others);
    const int64_t met = (int64_t)(rows_reached(u) + PIECE_ROWS) * row_elems(u->c.map);
    const int64_t expands = u->c.pool != NULL && number == 0 ? met * CGE_MACS_TAP : 0;
    if (number >= k->boxes) return (int64_t)cge_piece_elems(elems_of_band(u), k->other, number - k->boxes) * macs_of_element(u);
    return cge_macs_of_box(k, number) + expands + (k->others == 0 ? macs_of_band(u) : 0);
}

/* Rows of the map's gradient that rows ih .. ih + rows - 1 of dx meet. */
static cge_range rows_met(const cge_pieces *u, int32_t ih, int32_t rows)
{
    const cge_conv2d *g = &u->p.g;
    const int32_t first = ih + g->pad_top - (rows_reached(u) - 1);
    cge_range r;
    r.begin = first > 0 ? first / g->stride_h : 0;
    r.end = (ih + rows - 1 + g->pad_top) / g->stride_h + 1;
    if (r.end > rows_with_grads(u)) r.end = rows_with_grads(u);
    if (r.begin > r.end) r.begin = r.end;
    return r;
}

/* The rows of the map's gradient that a band meets: where they lie, or expanded. */
static const cge_real *grads_met(const cge_pieces *u, cge_range met, int expands)
{
    cge_real *room = u->c.scratch + elems_of_band(u);
    if (u->c.pool == NULL) return u->c.dy + met.begin * row_elems(u->c.map);
    if (expands) expand_rows(u, met.begin, cge_length(met), room);
    return room;
}

/* Of the band of `rows` rows from row ih on. */
static void input_box(const cge_pieces *u, int32_t ih, int32_t rows, const cge_box *box, int is_first)
{
    const cge_range met = rows_met(u, ih, rows), channels = box->along[INPUT_CHANNELS];
    const cge_range columns = cge_columns_of(&u->cut.map, box->along[INPUT_COLUMNS]), in_band = box->along[INPUT_ROWS];
    const int32_t end = in_band.end < rows ? in_band.end : rows, x = channels.begin * (has_groups(u) ? u->p.group_in : 1);
    const cge_range all = {0, end - in_band.begin};
    const cge_real *dz = grads_met(u, met, is_first) + (has_groups(u) ? channels.begin * u->p.group_out : 0);
    const cge_real *w = u->c.params.w + channels.begin * (has_groups(u) ? u->p.group_out : u->p.g.out_c);
    cge_conv2d_plan p = u->p;
    if (all.end <= 0) return;
    p.g.in_h = all.end;
    p.g.in_w = cge_length(columns);
    p.g.pad_left += columns.begin;
    p.g.pad_top += ih + in_band.begin - met.begin * p.g.stride_h;
    p.out_h = cge_length(met);
    if (has_groups(u)) p.g.groups = cge_length(channels);
    else p.group_in = cge_length(channels);
    cge_part_conv2d_input_grad(&p, w, dz, u->c.scratch + (in_band.begin * u->p.g.in_w + columns.begin) * p.g.in_c + x, all);
}

/* Elements of the band. */
static void hand_band_on(const cge_pieces *u, int32_t ih, int32_t rows, cge_range elems)
{
    const int32_t end = rows * row_elems(u->c.in);
    if (elems.end > end) elems.end = end;
    if (elems.begin < elems.end)
        cge_unit_hand_on(&u->c, ih * row_elems(u->c.in) + elems.begin, cge_length(elems), u->c.scratch + elems.begin);
}

static int32_t run_in_band(const cge_pieces *u, int32_t band, cge_range pieces)
{
    const cge_map_cut *k = &u->cut.map;
    const int32_t ih = band * PIECE_ROWS, rows = cge_piece_elems(u->p.g.in_h, PIECE_ROWS, band);
    const cge_range boxes = {pieces.begin, pieces.end < k->boxes ? pieces.end : k->boxes}, all = {0, elems_of_band(u)};
    const cge_range others = {pieces.begin - k->boxes, pieces.end - k->boxes};
    cge_box box;
    int32_t count;
    if (pieces.begin >= k->boxes) {
        hand_band_on(u, ih, rows, cge_range_of(elems_of_band(u), k->other, others));
        return pieces.end - pieces.begin;
    }
    count = cge_join_boxes(k->axes, boxes, &box);
    input_box(u, ih, rows, &box, pieces.begin == 0);
    cge_save_macs(u, count, &box, input_box_macs);
    if (k->others == 0) hand_band_on(u, ih, rows, all);
    return count;
}

static cge_status input_run(const cge_pieces *u, cge_range pieces)
{
    return cge_run_groups(u, pieces, u->cut.map.boxes + u->cut.map.others, run_in_band);
}

/* ---- what learns at once: biases, then weights; all are looked at before any is changed ---- */

typedef struct learning_numbers { /* some numbers that learn */
    int32_t count;
    const cge_real *dw;
    cge_real *w, *v;
} learning_numbers;

/* Of an optimiser, which is there if there are pieces. */
static int32_t check_macs_of(const cge_pieces *u)
{
    return u->c.params.optimizer != NULL ? u->c.params.optimizer->kind->check_macs : 1;
}

static int32_t update_macs_of(const cge_pieces *u)
{
    return u->c.params.optimizer != NULL ? u->c.params.optimizer->kind->update_macs : 1;
}

static int32_t blocks_of_numbers(int32_t numbers, int32_t macs)
{
    return numbers > 0 ? cge_pieces_of(numbers, cge_piece_of(numbers, macs)) : 0;
}

static int32_t learning_pieces(const cge_pieces *u, int32_t macs)
{
    const cge_trained t = trained_weights(u);
    if (u->c.params.optimizer == NULL) return 0;
    return blocks_of_numbers(bias_elems(u), macs) + t.taps * blocks_of_numbers(t.run, macs);
}

static learning_numbers learning_of(const cge_pieces *u, int32_t macs, int32_t piece)
{
    const cge_unit_params *params = &u->c.params;
    const cge_trained t = trained_weights(u);
    const int32_t of_biases = blocks_of_numbers(bias_elems(u), macs), of_tap = blocks_of_numbers(t.run, macs);
    const int32_t is_bias = piece < of_biases;
    const int32_t tap = is_bias ? 0 : (piece - of_biases) / of_tap, elems = is_bias ? bias_elems(u) : t.run;
    const int32_t number = is_bias ? piece : (piece - of_biases) % of_tap;
    const int32_t part = cge_piece_of(elems, macs), begin = number * part;
    cge_real *v = is_bias ? params->vb : params->vw;
    learning_numbers l;
    l.count = cge_piece_elems(elems, part, number);
    l.dw = (is_bias ? params->db : params->dw + tap * t.run) + begin;
    l.w = (is_bias ? params->b : params->w + tap * t.pitch) + begin;
    l.v = v != NULL ? v + tap * t.run + begin : NULL;
    return l;
}

static int32_t check_learning_pieces(const cge_pieces *u)
{
    return learning_pieces(u, check_macs_of(u));
}

static int64_t check_learning_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)learning_of(u, check_macs_of(u), piece).count * check_macs_of(u);
}

static cge_status check_learning_run(const cge_pieces *u, cge_range pieces)
{
    for (; pieces.begin < pieces.end; pieces.begin++) {
        const learning_numbers l = learning_of(u, check_macs_of(u), pieces.begin);
        if (!cge_unit_stays_finite(&u->c.params, l.count, l.dw, l.w, l.v)) return CGE_ERR_NOT_FINITE;
    }
    return CGE_OK;
}

static int32_t learn_pieces(const cge_pieces *u)
{
    return learning_pieces(u, update_macs_of(u));
}

static int64_t learn_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)learning_of(u, update_macs_of(u), piece).count * update_macs_of(u);
}

static cge_status learn_run(const cge_pieces *u, cge_range pieces)
{
    for (; pieces.begin < pieces.end && !u->c.params.tries; pieces.begin++) {
        const learning_numbers l = learning_of(u, update_macs_of(u), pieces.begin);
        cge_unit_update(&u->c.params, l.count, l.dw, l.w, l.v);
    }
    return CGE_OK;
}

/* Of a map with all its elements; and where zeros are left out. */
static const cge_pass map_backward_passes[] = {{NULL, clear_pieces, clear_macs, clear_run},
                                               {NULL, bias_row_pieces, bias_row_macs, bias_row_run},
                                               {weight_cut, weight_pieces, weight_macs, map_weight_run},
                                               {input_cut, input_pieces, input_macs, input_run},
                                               {NULL, check_learning_pieces, check_learning_macs, check_learning_run},
                                               {NULL, learn_pieces, learn_macs, learn_run}};
static const cge_pass winner_backward_passes[] = {{NULL, clear_pieces, clear_macs, clear_run},
                                                  {winner_cut, filter_pieces, filter_macs, filter_run},
                                                  {NULL, winner_bias_pieces, winner_bias_macs, winner_bias_run},
                                                  {winner_cut, ring_pieces, ring_macs, ring_run},
                                                  {NULL, check_learning_pieces, check_learning_macs, check_learning_run},
                                                  {NULL, learn_pieces, learn_macs, learn_run}};

CGE_INTERNAL cge_pass_list cge_conv2d_backward_passes(const cge_unit_call *c)
{
    const cge_pass_list of_map = CGE_PASS_LIST(map_backward_passes), at_winners = CGE_PASS_LIST(winner_backward_passes);
    return cge_conv2d_unit_leaves_zeros_out(c) ? at_winners : of_map;
}
