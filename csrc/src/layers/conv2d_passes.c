/*
 * A convolution in pieces. Some rows, columns and filters of one are a convolution of their own, whose paddings above and to the
 * left may be negative; so the kernels know nothing of pieces. What is cut first is what costs least: rows, then filters, then
 * columns. The smallest piece is one place of 4 filters.
 */
#include "passes.h"
#include "../kernels/kernels.h"

enum { PIECE_ROWS = 2 }; /* of dx at a time, as in conv2d_unit.c */
enum { TILE_COLUMNS = 4, TILE_FILTERS = 4, LONE_FILTERS = 8 }; /* of a fast kernel: a tile's; of a column that is alone */

static int32_t elems_of_row(cge_shape s)
{
    return s.w * s.c;
}

static int32_t at_least_one(int32_t n)
{
    return n > 1 ? n : 1;
}

/* Rows of the map that some pooled row looks at, or all; and how many of them belong together. */
static int32_t rows_in_use(const cge_pieces *u)
{
    return u->c.pool != NULL ? u->c.out.h * u->v.kernel_h : u->c.map.h;
}

static int32_t rows_together(const cge_pieces *u)
{
    return u->c.pool != NULL ? u->v.kernel_h : u->c.map.h;
}

/* Rows of the map that exist together, forward. */
static int32_t rows_in_room(const cge_pieces *u)
{
    return (u->c.style & CGE_UNIT_ROW_BY_ROW) != 0 && u->c.pool != NULL ? 1 : rows_together(u);
}

/* Multiply-adds of one filter at one place. */
static int32_t taps_of_filter(const cge_pieces *u)
{
    return u->p.g.kernel_h * u->p.g.kernel_w * u->p.group_in;
}

/* ---- how a map is cut ---- */

/* What a column that is alone costs, over one of a tile: fewer filters than share its tile wait for the others. */
static int32_t lone_cost(int32_t filters)
{
    if (filters >= LONE_FILTERS) return 2;
    return filters >= TILE_FILTERS ? 4 : 5;
}

/* Of `tiled` columns in tiles and `lone` ones beside them. Of fewer filters than a tile has, all columns are alone; of more, the
 * last tile computes some again. Each kernel row of a tile costs something, too; least of all three columns of one channel. */
static int64_t columns_macs(const cge_pieces *u, int32_t tiled, int32_t lone, int32_t filters)
{
    const int32_t taps = taps_of_filter(u), group = u->p.group_out < filters ? u->p.group_out : filters, own = lone_cost(group);
    const int32_t computed = group >= TILE_FILTERS ? (filters + TILE_FILTERS - 1) & ~(TILE_FILTERS - 1) : filters;
    const int64_t places = group >= TILE_FILTERS ? tiled + own * lone : own * (tiled + lone);
    const int32_t rows = u->p.g.kernel_w * u->p.group_in == 3 ? u->p.g.kernel_h : 3 * u->p.g.kernel_h;
    return computed * (taps * places + (CGE_MACS_OUTPUT + rows) * (tiled + lone));
}

/* Columns of a part: a border, fours, and what is left at the right. */
static cge_range columns_of_part(const cge_pieces *u, int32_t part)
{
    const cge_cut *k = &u->cut.map;
    const int32_t step = TILE_COLUMNS * k->fours;
    cge_range r;
    r.begin = part > 0 ? k->border + part * step : 0;
    r.end = part + 1 < k->column_parts ? k->border + (part + 1) * step : u->p.out_w;
    return r;
}

static int64_t part_macs(const cge_pieces *u, int32_t part)
{
    if (part + 1 == u->cut.map.column_parts) return u->cut.map.last;
    return part > 0 ? u->cut.map.inner : u->cut.map.first;
}

/* All filters; or half as many, and so on, until four columns and one that is alone fit. */
static int32_t filters_at_once(const cge_pieces *u)
{
    int32_t most = u->p.g.out_c;
    if (u->p.g.groups > 1) return most;
    while (most > TILE_FILTERS && columns_macs(u, TILE_COLUMNS, 1, most) > CGE_PIECE_MACS) most = ((most + 1) / 2 + TILE_FILTERS - 1) & ~(TILE_FILTERS - 1);
    return most;
}

static void cut_columns(cge_pieces *u)
{
    cge_cut *k = &u->cut.map;
    const int32_t fours = (u->p.out_w - k->border) / TILE_COLUMNS;
    const int64_t room = CGE_PIECE_MACS - columns_macs(u, 0, k->border, k->filters), four = columns_macs(u, TILE_COLUMNS, 0, k->filters);
    k->column_parts = 1;
    k->fours = fours;
    if (fours < 2 || four * fours <= room) return;
    k->fours = room < 2 * four ? 1 : (int32_t)room / (int32_t)four;
    k->column_parts = cge_pieces_of(fours, k->fours);
    k->fours = cge_pieces_of(fours, k->column_parts);
    k->column_parts = cge_pieces_of(fours, k->fours);
}

static void set_costs(cge_pieces *u)
{
    cge_cut *k = &u->cut.map;
    const int32_t step = TILE_COLUMNS * k->fours, width = u->p.out_w - k->border - (k->column_parts - 1) * step;
    const int32_t border = k->column_parts > 1 ? 0 : k->border, tiled = width & ~(TILE_COLUMNS - 1);
    k->first = cge_macs_word(columns_macs(u, step, k->border, k->filters));
    k->inner = cge_macs_word(columns_macs(u, step, 0, k->filters));
    k->last = cge_macs_word(columns_macs(u, tiled, border + width - tiled, k->filters));
}

/* Rows of windows stay together if they fit; of a map that is not pooled, any number does. */
static void cut_rows(cge_pieces *u)
{
    cge_cut *k = &u->cut.map;
    k->rows = 1;
    if (k->column_parts * k->filter_parts > 1) return;
    k->rows = cge_piece_of(rows_in_room(u), k->last);
    if (u->c.pool != NULL && k->rows < rows_in_room(u)) k->rows = 1;
}

CGE_INTERNAL void cge_cut_conv2d(cge_pieces *u)
{
    cge_cut *k = &u->cut.map;
    int32_t taps;
    k->border = cge_pieces_of(u->p.g.pad_left, u->p.g.stride_w);
    if (k->border > u->p.out_w) k->border = u->p.out_w;
    k->filters = filters_at_once(u);
    k->filter_parts = cge_pieces_of(u->p.g.out_c, k->filters);
    cut_columns(u);
    set_costs(u);
    cut_rows(u);
    k->map_parts = k->column_parts * k->filter_parts * cge_pieces_of(rows_in_room(u), k->rows);
    k->windows = 0;
    k->pool_parts = 0;
    if (u->c.pool == NULL) return;
    taps = u->v.kernel_h * u->v.kernel_w * u->v.channels;
    k->windows = cge_piece_of(u->c.out.w, (int64_t)taps * (CGE_MACS_TAP + cge_activation_macs(u->c.activation)));
    k->pool_parts = cge_pieces_of(u->c.out.w, k->windows);
}

/* Rows row .., columns column .. of the map, and some filters. */
static cge_conv2d_plan part_of(const cge_pieces *u, int32_t row, int32_t rows, cge_range columns, cge_range filters)
{
    cge_conv2d_plan part = u->p;
    part.g.pad_top -= row * u->p.g.stride_h;
    part.g.pad_left -= columns.begin * u->p.g.stride_w;
    part.out_h = rows;
    part.out_w = columns.end - columns.begin;
    if (u->p.g.groups == 1) part.group_out = filters.end - filters.begin;
    return part;
}

/* ---- forward ---- */

/* Zeros that are left out backward must be products with numbers. */
static int32_t elems_to_look_at(const cge_pieces *u)
{
    return u->c.winners == NULL || !cge_conv2d_unit_leaves_zeros_out(&u->c) ? 0 : cge_shape_elems(u->c.in);
}

static int32_t look_pieces(const cge_pieces *u)
{
    return cge_pieces_of(elems_to_look_at(u), CGE_PIECE_MACS);
}

static int64_t look_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(elems_to_look_at(u), CGE_PIECE_MACS, piece);
}

static cge_status look_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(elems_to_look_at(u), CGE_PIECE_MACS, pieces);
    return cge_run_all_below(r.end - r.begin, u->c.x + r.begin, CGE_INFINITY_BITS) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

/* Without a pooling pieces are parts of the map. With one, those of the rows that belong together are followed by pieces that
 * pool them, some windows each. */
static int32_t map_pieces(const cge_pieces *u)
{
    return (u->cut.map.map_parts + u->cut.map.pool_parts) * (u->c.pool != NULL ? rows_in_use(u) / rows_in_room(u) : 1);
}

static int64_t pool_macs(const cge_pieces *u, int32_t part)
{
    const int64_t elems = (int64_t)cge_piece_elems(u->c.out.w, u->cut.map.windows, part) * u->v.channels;
    const int64_t taps = elems * u->v.kernel_h * u->v.kernel_w;
    return taps * CGE_MACS_TAP + (u->c.pool_first ? elems : taps) * cge_activation_macs(u->c.activation);
}

static int64_t map_macs(const cge_pieces *u, int32_t piece)
{
    const cge_cut *k = &u->cut.map;
    const int32_t number = piece % (k->map_parts + k->pool_parts), in_rows = k->column_parts * k->filter_parts;
    if (number >= k->map_parts) return pool_macs(u, number - k->map_parts);
    return cge_piece_elems(rows_in_room(u), k->rows, number / in_rows) * part_macs(u, number % in_rows / k->filter_parts);
}

/* The last filters are moved back: they are computed again, to the same bits. */
static cge_range filters_of_part(const cge_pieces *u, int32_t part)
{
    cge_range r;
    r.begin = part * u->cut.map.filters;
    if (r.begin > u->p.g.out_c - u->cut.map.filters) r.begin = u->p.g.out_c - u->cut.map.filters;
    r.end = r.begin + u->cut.map.filters;
    return r;
}

/* Rows row .., counted from row `first` of the map. */
static void run_part(const cge_pieces *u, int32_t first, cge_range rows, cge_range columns, cge_range filters)
{
    const cge_unit_call *c = &u->c;
    const cge_range all = {0, rows.end - rows.begin};
    const cge_conv2d_plan p = part_of(u, first + rows.begin, all.end, columns, filters);
    cge_real *to = c->pool != NULL ? c->scratch : c->y;
    cge_part_conv2d_forward(&p, c->x, c->params.w + filters.begin, c->params.b != NULL ? c->params.b + filters.begin : NULL,
                            to + rows.begin * elems_of_row(c->map) + columns.begin * c->map.c + filters.begin, all);
}

/* Parts of rows that belong together. Returns how many of them were run: whole rows at once, or columns of one, or a piece. */
static int32_t run_parts(const cge_pieces *u, int32_t first, cge_range parts)
{
    const cge_cut *k = &u->cut.map;
    const int32_t in_rows = k->column_parts * k->filter_parts, together = rows_in_room(u), part = parts.begin % in_rows;
    const int32_t whole = (parts.end - parts.begin) / in_rows, last = part + (parts.end - parts.begin) - 1;
    const cge_range number = {parts.begin / in_rows, parts.begin / in_rows + (part == 0 && whole > 0 ? whole : 1)};
    const cge_range rows = cge_range_of(together, k->rows, number), every = {0, u->p.g.out_c};
    cge_range columns = {0, u->p.out_w};
    if (part == 0 && whole > 0) {
        run_part(u, first, rows, columns, every);
        return whole * in_rows;
    }
    columns = columns_of_part(u, part / k->filter_parts);
    if (k->filter_parts > 1) {
        run_part(u, first, rows, columns, filters_of_part(u, part % k->filter_parts));
        return 1;
    }
    columns.end = columns_of_part(u, last < in_rows ? last : in_rows - 1).end;
    run_part(u, first, rows, columns, every);
    return (last < in_rows ? last : in_rows - 1) - part + 1;
}

/* Some windows, from the rows of the map from `row` on that are there. */
static void pool_windows(const cge_pieces *u, cge_range windows, int32_t row)
{
    const cge_unit_call *c = &u->c;
    const int32_t rows = rows_in_room(u), oh = row / u->v.kernel_h, begin = windows.begin * u->v.channels, elems = (windows.end - windows.begin) * u->v.channels;
    cge_real *map = c->scratch + begin * u->v.kernel_w, *y = c->y + oh * elems_of_row(c->out) + begin;
    cge_windows v = u->v;
    int32_t i;
    if (!c->pool_first)
        for (i = 0; i < rows; i++) cge_unit_activate(c->activation, elems * v.kernel_w, map + i * elems_of_row(c->map));
    v.out_w = windows.end - windows.begin;
    v.first += oh * elems_of_row(c->out) + begin;
    if (rows == v.kernel_h)
        cge_maxpool2d_row(&v, map, 0, y, c->winners);
    else
        cge_maxpool2d_take_row(&v, map, row % v.kernel_h, y, c->winners);
    if (c->pool_first && (row + rows) % v.kernel_h == 0) cge_unit_activate(c->activation, elems, y);
}

/* Of the rows of the map from `row` on that exist together; returns how many were run. */
static int32_t run_in_row(const cge_pieces *u, int32_t row, cge_range parts)
{
    const cge_cut *k = &u->cut.map;
    const cge_range of_map = {parts.begin, parts.end < k->map_parts ? parts.end : k->map_parts};
    const cge_range of_pool = {parts.begin - k->map_parts, parts.end - k->map_parts};
    if (parts.begin < k->map_parts) return run_parts(u, row, of_map);
    pool_windows(u, cge_range_of(u->c.out.w, k->windows, of_pool), row);
    return parts.end - parts.begin;
}

static cge_status map_run(const cge_pieces *u, cge_range pieces)
{
    const int32_t in_row = u->cut.map.map_parts + u->cut.map.pool_parts;
    while (pieces.begin < pieces.end) {
        const int32_t group = pieces.begin / in_row, left = pieces.end - group * in_row;
        const cge_range parts = {pieces.begin - group * in_row, left < in_row ? left : in_row};
        pieces.begin += run_in_row(u, group * rows_in_room(u), parts);
    }
    return CGE_OK;
}

/* The activation of a map that is not pooled. */
static int32_t elems_at_once(const cge_pieces *u)
{
    return cge_piece_of(cge_shape_elems(u->c.map), cge_activation_macs(u->c.activation));
}

static int32_t activate_pieces(const cge_pieces *u)
{
    return u->c.pool != NULL || u->c.activation == NULL ? 0 : cge_pieces_of(cge_shape_elems(u->c.map), elems_at_once(u));
}

static int64_t activate_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)cge_piece_elems(cge_shape_elems(u->c.map), elems_at_once(u), piece) * cge_activation_macs(u->c.activation);
}

static cge_status activate_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(cge_shape_elems(u->c.map), elems_at_once(u), pieces);
    cge_unit_activate(u->c.activation, r.end - r.begin, u->c.y + r.begin);
    return CGE_OK;
}

/* ---- backward: parameters that learn at once begin with gradients of zero ---- */

static int32_t bias_elems(const cge_pieces *u)
{
    return u->c.params.db != NULL ? u->p.g.out_c : 0;
}

static int32_t learning_elems(const cge_pieces *u)
{
    return u->c.params.optimizer == NULL ? 0 : u->p.weight_elems + bias_elems(u);
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
    memset(u->c.params.dw + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *u->c.params.dw);
    return CGE_OK;
}

/* ---- weight gradient at the winners: a filter, some pooled rows ---- */

static int by_winners(const cge_pieces *u)
{
    return cge_conv2d_unit_leaves_zeros_out(&u->c);
}

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

CGE_INTERNAL void cge_cut_winners(cge_pieces *u)
{
    cge_winner_cut *k = &u->cut.winners;
    const cge_conv2d *g = &u->p.g;
    const int one_run = g->dilation_w == 1 && u->p.group_in == g->in_c;
    const int32_t run = one_run ? g->kernel_w * u->p.group_in : u->p.group_in;
    const int64_t runs = (int64_t)g->kernel_h * (one_run ? 1 : g->kernel_w);
    k->of_filter = cge_macs_word(CGE_MACS_TAKE + runs * filter_sums_macs(run));
    k->of_place = cge_macs_word(runs * place_sums_macs(run));
    k->filter_row = cge_macs_word(u->c.out.w * ((int64_t)CGE_MACS_LOOK + k->of_filter));
    k->rows = cge_piece_of(u->c.out.h, k->filter_row);
    k->row_parts = cge_pieces_of(u->c.out.h, k->rows);
    k->window = cge_macs_word(u->v.channels * ((int64_t)CGE_MACS_LOOK + k->of_place) + (int64_t)u->v.kernel_w * (1 + g->kernel_h) * CGE_MACS_PLACE);
    k->windows = cge_piece_of(u->c.out.w, k->window);
    k->window_parts = cge_pieces_of(u->c.out.w, k->windows);
}

static int32_t filter_pieces(const cge_pieces *u)
{
    return u->c.params.dw == NULL || !by_winners(u) ? 0 : u->p.g.out_c * u->cut.winners.row_parts;
}

static int64_t filter_macs(const cge_pieces *u, int32_t piece)
{
    const cge_winner_cut *k = &u->cut.winners;
    return cge_piece_elems(u->c.out.h, k->rows, piece % k->row_parts) * (int64_t)k->filter_row + 2 * k->of_filter; /* sums come and go */
}

/* Pooled rows of filter k. */
static void add_to_filter_grad(const cge_pieces *u, int32_t k, cge_range pooled)
{
    const cge_unit_params *params = &u->c.params;
    const cge_range rows = {pooled.begin * u->v.kernel_h, pooled.end * u->v.kernel_h};
    cge_real sum = params->db != NULL ? params->db[k] : CGE_REAL(0);
    int32_t taken = 0;
    sum = cge_conv2d_winners_filter_rows(&u->p, &u->v, u->c.x, u->c.dy, u->c.winners, k, rows, params->dw + k, u->p.g.out_c, sum, &taken);
    *u->saved += (int64_t)((pooled.end - pooled.begin) * u->c.out.w - taken) * u->cut.winners.of_filter;
    if (params->db != NULL) params->db[k] = sum;
}

static cge_status filter_run(const cge_pieces *u, cge_range pieces)
{
    const int32_t of = u->cut.winners.rows, parts = u->cut.winners.row_parts;
    while (pieces.begin < pieces.end) {
        const int32_t k = pieces.begin / parts, left = pieces.end - k * parts;
        const cge_range number = {pieces.begin - k * parts, left < parts ? left : parts};
        add_to_filter_grad(u, k, cge_range_of(u->c.out.h, of, number));
        pieces.begin = k * parts + number.end;
    }
    return CGE_OK;
}

/* ---- weight gradient of a map with all its elements: rows, columns, filters ---- */

static int32_t weight_pieces(const cge_pieces *u)
{
    const cge_cut *k = &u->cut.map;
    if (u->c.params.dw == NULL || by_winners(u)) return 0;
    return k->column_parts * k->filter_parts * cge_pieces_of(rows_in_use(u), k->rows);
}

/* The first piece of some rows expands their gradient if they were pooled, and adds them to the biases'. */
static int64_t weight_macs(const cge_pieces *u, int32_t piece)
{
    const cge_cut *k = &u->cut.map;
    const int32_t in_rows = k->column_parts * k->filter_parts, number = piece % in_rows;
    const int32_t rows = cge_piece_elems(rows_in_use(u), k->rows, piece / in_rows);
    const int64_t first = number != 0 ? 0 : (int64_t)rows * elems_of_row(u->c.map) * (u->c.pool != NULL ? CGE_MACS_TAP + 1 : 1);
    return rows * part_macs(u, number / k->filter_parts) + first;
}

/* Rows of the map's gradient, to `room`. */
static void expand_rows(const cge_pieces *u, int32_t row, int32_t count, cge_real *room)
{
    int32_t i;
    for (i = 0; i < count; i++) cge_maxpool2d_row_grad(&u->v, u->c.dy, u->c.winners, row + i, room + i * elems_of_row(u->c.map));
}

/* Part `number` of some rows; -1: all of their columns and filters. */
static void add_weight_part(const cge_pieces *u, cge_range rows, int32_t number)
{
    const cge_unit_call *c = &u->c;
    const cge_cut *k = &u->cut.map;
    const int32_t filter_part = number % k->filter_parts;
    const cge_range all = {0, rows.end - rows.begin}, kernel_rows = {0, u->p.g.kernel_h}, filter_number = {filter_part, filter_part + 1};
    const cge_real *dz = c->pool != NULL ? c->scratch : c->dy + rows.begin * elems_of_row(c->map);
    cge_range columns = {0, u->p.out_w}, filters = {0, u->p.g.out_c};
    cge_conv2d_plan p;
    if (number >= 0) columns = columns_of_part(u, number / k->filter_parts);
    if (number >= 0) filters = cge_range_of(u->p.g.out_c, k->filters, filter_number);
    p = part_of(u, rows.begin, all.end, columns, filters);
    if (number <= 0 && c->pool != NULL) expand_rows(u, rows.begin, all.end, c->scratch);
    if (number <= 0 && c->params.db != NULL) cge_run_conv2d_bias_grad(&u->p, dz, c->params.db, all);
    cge_part_conv2d_weight_grad(&p, c->x, dz + columns.begin * c->map.c + filters.begin, c->params.dw + filters.begin, all, kernel_rows);
}

/* Rows that were pooled are expanded one group after the other, in scratch that holds one. */
static cge_status map_weight_run(const cge_pieces *u, cge_range pieces)
{
    const cge_cut *k = &u->cut.map;
    const int32_t in_rows = k->column_parts * k->filter_parts;
    while (pieces.begin < pieces.end) {
        const int32_t group = pieces.begin / in_rows, number = pieces.begin % in_rows, whole = (pieces.end - pieces.begin) / in_rows;
        const int32_t groups = number > 0 || whole == 0 || u->c.pool != NULL ? 1 : whole, at_once = number == 0 && whole > 0;
        const cge_range part = {group, group + groups};
        add_weight_part(u, cge_range_of(rows_in_use(u), k->rows, part), at_once ? -1 : number);
        pieces.begin += at_once ? groups * in_rows : 1;
    }
    return CGE_OK;
}

/* ---- input gradient at the winners: rows of the map from the last to the first, some windows each ---- */

/* One for each part of a row, and one that hands the last rows on. */
static int32_t ring_pieces(const cge_pieces *u)
{
    return u->c.dx == NULL || !by_winners(u) ? 0 : rows_in_use(u) * u->cut.winners.window_parts + 1;
}

static int32_t rows_reached(const cge_pieces *u)
{
    return u->p.g.dilation_h * (u->p.g.kernel_h - 1) + 1;
}

/* Rows that are handed on before row `row` is added, at most. */
static int32_t rows_taken(const cge_pieces *u, int32_t row)
{
    if (row == rows_in_use(u) - 1) return at_least_one(u->p.g.in_h + u->p.g.pad_top - row * u->p.g.stride_h - rows_reached(u));
    return row < 0 ? rows_reached(u) : u->p.g.stride_h;
}

/* Before a row is added, others are handed on. */
static int64_t take_macs(const cge_pieces *u, int32_t row, int32_t first)
{
    const int64_t taken = (int64_t)rows_taken(u, row) * (2 + cge_activation_macs(u->c.below));
    return elems_of_row(u->c.in) * (taken + (first ? rows_reached(u) : 0));
}

static int64_t ring_macs(const cge_pieces *u, int32_t piece)
{
    const cge_winner_cut *k = &u->cut.winners;
    const int32_t number = piece / k->window_parts, from_last = piece - number * k->window_parts, row = rows_in_use(u) - 1 - number;
    int64_t macs = from_last == 0 ? take_macs(u, row, piece == 0) : 0;
    if (row >= 0) macs += cge_piece_elems(u->c.out.w, k->windows, k->window_parts - 1 - from_last) * (int64_t)k->window;
    return macs;
}

static void hand_row_on(const void *context, int32_t row, cge_real *dx)
{
    const cge_unit_call *c = (const cge_unit_call *)context;
    cge_unit_hand_on(c, row * elems_of_row(c->in), elems_of_row(c->in), dx);
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

static cge_status ring_run(const cge_pieces *u, cge_range pieces)
{
    const int32_t windows = u->cut.winners.windows, parts = u->cut.winners.window_parts, last = rows_in_use(u) - 1;
    if (pieces.begin == 0) memset(u->c.scratch, 0, (size_t)(rows_reached(u) * elems_of_row(u->c.in)) * sizeof *u->c.scratch);
    while (pieces.begin < pieces.end) {
        const int32_t number = pieces.begin / parts, left = pieces.end - number * parts;
        const cge_range from_last = {pieces.begin - number * parts, left < parts ? left : parts};
        add_to_input_grad(u, last - number, windows, parts, from_last);
        pieces.begin = number * parts + from_last.end;
    }
    return CGE_OK;
}

/* ---- input gradient of a map with all its elements: rows, columns ---- */

/* Of a place, whose kernel rows are those that a stride leaves. */
static int64_t place_macs(const cge_pieces *u)
{
    const cge_conv2d *g = &u->p.g;
    const int32_t taps = cge_pieces_of(g->kernel_h, g->stride_h) * cge_pieces_of(g->kernel_w, g->stride_w);
    return (int64_t)g->in_c * (taps * u->p.group_out * 5 / 4 + CGE_MACS_OUTPUT + cge_activation_macs(u->c.below));
}

static int32_t input_columns(const cge_pieces *u)
{
    return cge_piece_of(u->p.g.in_w, place_macs(u));
}

static int32_t input_rows(const cge_pieces *u)
{
    return place_macs(u) * u->p.g.in_w * PIECE_ROWS <= CGE_PIECE_MACS ? PIECE_ROWS : 1;
}

static int32_t input_pieces(const cge_pieces *u)
{
    if (u->c.dx == NULL || by_winners(u)) return 0;
    return cge_pieces_of(u->p.g.in_h, input_rows(u)) * cge_pieces_of(u->p.g.in_w, input_columns(u));
}

static int64_t input_macs(const cge_pieces *u, int32_t piece)
{
    const int32_t of = input_columns(u), parts = cge_pieces_of(u->p.g.in_w, of), rows = input_rows(u);
    const int64_t places = (int64_t)rows * cge_piece_elems(u->p.g.in_w, of, piece % parts);
    const int64_t expands = u->c.pool != NULL && piece % parts == 0 ? (rows_reached(u) + rows) * elems_of_row(u->c.map) * CGE_MACS_TAP : 0;
    return places * place_macs(u) + expands;
}

/* Rows of the map's gradient that rows ih .. ih + rows - 1 of dx meet. */
static cge_range rows_met(const cge_pieces *u, int32_t ih, int32_t rows)
{
    const cge_conv2d *g = &u->p.g;
    const int32_t first = ih + g->pad_top - (rows_reached(u) - 1);
    cge_range r;
    r.begin = first > 0 ? first / g->stride_h : 0;
    r.end = (ih + rows - 1 + g->pad_top) / g->stride_h + 1;
    if (r.end > rows_in_use(u)) r.end = rows_in_use(u);
    return r;
}

/* Some columns of rows ih .. ih + rows - 1. The first of them expand what was pooled. */
static void input_part(const cge_pieces *u, int32_t ih, int32_t rows, cge_range columns)
{
    const cge_unit_call *c = &u->c;
    const cge_range met = rows_met(u, ih, rows), all = {0, rows};
    const int32_t begin = (ih * u->p.g.in_w + columns.begin) * u->p.g.in_c, elems = rows * (columns.end - columns.begin) * u->p.g.in_c;
    cge_real *room = c->scratch + PIECE_ROWS * elems_of_row(c->in);
    cge_conv2d_plan p = u->p;
    p.g.in_h = rows;
    p.g.in_w = columns.end - columns.begin;
    p.g.pad_left += columns.begin;
    p.g.pad_top += ih - met.begin * p.g.stride_h;
    p.out_h = met.end - met.begin;
    if (c->pool != NULL && columns.begin == 0 && p.out_h > 0) expand_rows(u, met.begin, p.out_h, room);
    if (p.out_h > 0)
        cge_part_conv2d_input_grad(&p, c->params.w, c->pool != NULL ? room : c->dy + met.begin * elems_of_row(c->map), c->scratch, all);
    else
        memset(c->scratch, 0, (size_t)elems * sizeof *c->scratch);
    cge_unit_hand_on(c, begin, elems, c->scratch);
}

static cge_status input_run(const cge_pieces *u, cge_range pieces)
{
    const int32_t of = input_columns(u), parts = cge_pieces_of(u->p.g.in_w, of), rows = input_rows(u);
    while (pieces.begin < pieces.end) {
        const int32_t number = pieces.begin / parts, left = pieces.end - number * parts;
        const cge_range part = {pieces.begin - number * parts, left < parts ? left : parts};
        input_part(u, number * rows, cge_piece_elems(u->p.g.in_h, rows, number), cge_range_of(u->p.g.in_w, of, part));
        pieces.begin = number * parts + part.end;
    }
    return CGE_OK;
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

static int32_t learning_pieces(const cge_pieces *u, int32_t macs)
{
    const int32_t biases = bias_elems(u), weights = u->p.weight_elems;
    if (u->c.params.optimizer == NULL || u->c.params.dw == NULL) return 0;
    return cge_pieces_of(weights, cge_piece_of(weights, macs)) + (biases > 0 ? cge_pieces_of(biases, cge_piece_of(biases, macs)) : 0);
}

static learning_numbers learning_of(const cge_pieces *u, int32_t macs, int32_t piece)
{
    const cge_unit_params *params = &u->c.params;
    const int32_t biases = bias_elems(u), of_biases = biases > 0 ? cge_pieces_of(biases, cge_piece_of(biases, macs)) : 0;
    const int32_t is_bias = piece < of_biases, number = is_bias ? piece : piece - of_biases, elems = is_bias ? biases : u->p.weight_elems;
    const int32_t part = cge_piece_of(elems, macs), begin = number * part;
    cge_real *v = is_bias ? params->vb : params->vw;
    learning_numbers l;
    l.count = cge_piece_elems(elems, part, number);
    l.dw = (is_bias ? params->db : params->dw) + begin;
    l.w = (is_bias ? params->b : params->w) + begin;
    l.v = v != NULL ? v + begin : NULL;
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
    int32_t piece;
    for (piece = pieces.begin; piece < pieces.end; piece++) {
        const learning_numbers l = learning_of(u, check_macs_of(u), piece);
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
    int32_t piece;
    for (piece = pieces.begin; piece < pieces.end; piece++) {
        const learning_numbers l = learning_of(u, update_macs_of(u), piece);
        if (!u->c.params.tries) cge_unit_update(&u->c.params, l.count, l.dw, l.w, l.v);
    }
    return CGE_OK;
}

static const cge_pass conv2d_forward_passes[] = {
    {look_pieces, look_macs, look_run}, {map_pieces, map_macs, map_run}, {activate_pieces, activate_macs, activate_run}};
static const cge_pass conv2d_backward_passes[] = {
    {clear_pieces, clear_macs, clear_run},
    {filter_pieces, filter_macs, filter_run}, {weight_pieces, weight_macs, map_weight_run},
    {ring_pieces, ring_macs, ring_run}, {input_pieces, input_macs, input_run},
    {check_learning_pieces, check_learning_macs, check_learning_run}, {learn_pieces, learn_macs, learn_run}};

CGE_INTERNAL cge_pass_list cge_conv2d_forward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(conv2d_forward_passes);
    return list;
}

CGE_INTERNAL cge_pass_list cge_conv2d_backward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(conv2d_backward_passes);
    return list;
}
