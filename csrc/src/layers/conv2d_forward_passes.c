/*
 * A convolution forward, in pieces. Some rows, columns and filters of one are a convolution of their own, whose paddings above
 * and to the left may be negative; so the kernels know nothing of pieces. Some terms of a sum, too: it begins with what came
 * before. A dense layer is the convolution of one place that it computes.
 */
#include "passes.h"
#include "../kernels/kernels.h"

enum { FORWARD_ROWS, FORWARD_COLUMNS = CGE_AXIS_OF_COLUMNS, FORWARD_FILTERS, FORWARD_TERMS };
enum { TILE_FILTERS = 4, ROW_FILTERS = 8 }; /* of a fast kernel: a tile's; of a place that is alone */

/* Rows of the map that some pooled row looks at, or all. */
static int32_t rows_in_use(const cge_pieces *u)
{
    return u->c.pool != NULL ? u->c.out.h * u->v.kernel_h : u->p.out_h;
}

/* Rows of the map that exist together. */
static int32_t rows_in_room(const cge_pieces *u)
{
    if (u->c.pool == NULL) return u->p.out_h;
    return (u->c.style & CGE_UNIT_ROW_BY_ROW) != 0 ? 1 : u->v.kernel_h;
}

/* Zeros that are left out backward must be products with numbers. */
static int32_t elems_to_look_at(const cge_pieces *u)
{
    return u->c.winners == NULL || !cge_conv2d_unit_leaves_zeros_out(&u->c) ? 0 : cge_shape_elems(u->c.in);
}

static int32_t look_pieces(const cge_pieces *u)
{
    return cge_pieces_of(elems_to_look_at(u), CGE_PIECE_MACS / 2);
}

static int64_t look_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(elems_to_look_at(u), CGE_PIECE_MACS / 2, piece) * 2;
}

static cge_status look_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(elems_to_look_at(u), CGE_PIECE_MACS / 2, pieces);
    return cge_run_all_below(r.end - r.begin, u->c.x + r.begin, CGE_INFINITY_BITS) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

/* ---- the map: rows, columns, filters or groups, terms ---- */

static int32_t filters_of_unit(const cge_conv2d_plan *p)
{
    return p->g.groups > 1 ? p->group_out : 1;
}

static int32_t terms_of_filter(const cge_pieces *u, int32_t terms)
{
    const int32_t channels = u->cut.map.term_channels;
    return channels > 0 ? terms * channels : terms * u->p.g.kernel_w * u->p.group_in;
}

static int terms_are_cut(const cge_map_cut *k)
{
    return k->axes[FORWARD_TERMS].part < k->axes[FORWARD_TERMS].size;
}

/* Where there would be fewer filters than a kernel is fast with, some before them are computed again, to the same bits; but no
 * sums that wait. */
static cge_range filters_of(const cge_pieces *u, cge_range filters)
{
    const int32_t least = u->cut.map.width > 1 ? TILE_FILTERS : ROW_FILTERS;
    if (u->p.g.groups > 1 || terms_are_cut(&u->cut.map) || cge_length(filters) >= least) return filters;
    filters.begin = filters.end > least ? filters.end - least : 0;
    return filters;
}

static int64_t forward_macs(const cge_pieces *u, const cge_box *box)
{
    const cge_map_cut *k = &u->cut.map;
    const int32_t terms = cge_length(box->along[FORWARD_TERMS]);
    cge_gathered g;
    g.rows = cge_length(box->along[FORWARD_ROWS]);
    cge_count_places(k, box->along[FORWARD_COLUMNS], &g);
    g.channels = cge_length(filters_of(u, box->along[FORWARD_FILTERS])) * filters_of_unit(&u->p);
    g.group = u->p.group_out < g.channels ? u->p.group_out : g.channels;
    g.terms = terms_of_filter(u, terms);
    g.runs = k->term_channels > 0 ? terms : u->p.g.kernel_h < terms ? u->p.g.kernel_h : terms;
    g.depthwise = (int16_t)cge_is_depthwise(&u->p);
    g.transposed = 0;
    return cge_gather_macs(&g);
}

/* Columns that all taps reach. */
static cge_range outputs_inside(const cge_conv2d_plan *p)
{
    const int32_t last = p->g.in_w - 1 + p->g.pad_left - p->g.dilation_w * (p->g.kernel_w - 1);
    cge_range r;
    r.begin = cge_pieces_of(p->g.pad_left, p->g.stride_w);
    if (r.begin > p->out_w) r.begin = p->out_w;
    r.end = last >= 0 ? last / p->g.stride_w + 1 : 0;
    if (r.end > p->out_w) r.end = p->out_w;
    return r;
}

/* By tiles, or place by place. */
static int32_t cut_map(cge_pieces *u, int by_tiles, int32_t terms)
{
    cge_map_cut *k = &u->cut.map;
    int32_t least[CGE_AXES] = {1, 1, TILE_FILTERS, 1, 1}, typical[CGE_AXES] = {0};
    cge_set_columns(k, u->p.out_w, outputs_inside(&u->p), by_tiles ? CGE_TILE_COLUMNS : 1);
    typical[FORWARD_COLUMNS] = k->border;
    if (!by_tiles) least[FORWARD_FILTERS] = ROW_FILTERS;
    if (by_tiles) least[FORWARD_TERMS] = terms;
    k->axes[FORWARD_ROWS].size = rows_in_room(u);
    k->axes[FORWARD_FILTERS].size = u->p.g.groups > 1 ? u->p.g.groups : u->p.group_out;
    k->axes[FORWARD_TERMS].size = terms;
    k->axes[CGE_AXES - 1].size = 1;
    k->macs = cge_macs_word(cge_cut_axes(u, k->axes, least, typical, forward_macs));
    return k->macs;
}

/* Multiply-adds of a channel of one place, at most: of eight filters together, or of those that are left. */
static int32_t macs_of_place(int32_t filters)
{
    if (filters % ROW_FILTERS == 0) return ROW_FILTERS * 3 / 2;
    return filters <= TILE_FILTERS ? 4 * TILE_FILTERS : 4 * ROW_FILTERS;
}

/* Terms of a sum are cut where one place of a few filters is too much: kernel rows, or channels of their taps. */
static void cut_places(cge_pieces *u)
{
    cge_map_cut *k = &u->cut.map;
    const cge_conv2d_plan *p = &u->p;
    if (cut_map(u, 0, p->g.groups > 1 ? 1 : p->g.kernel_h) <= CGE_PIECE_MACS || p->g.groups > 1) return;
    k->term_channels = cge_piece_of(p->group_in, macs_of_place(p->group_out));
    (void)cut_map(u, 0, p->g.kernel_h * p->g.kernel_w * cge_pieces_of(p->group_in, k->term_channels));
}

static void cut_pooling(cge_pieces *u)
{
    cge_map_cut *k = &u->cut.map;
    const int32_t taps = u->v.kernel_h * u->v.kernel_w * u->v.channels;
    k->other = cge_piece_of(u->c.out.w, (int64_t)taps * (CGE_MACS_TAP + cge_activation_macs(u->c.activation)));
    k->others = cge_pieces_of(u->c.out.w, k->other);
}

static void forward_cut(cge_pieces *u)
{
    memset(&u->cut, 0, sizeof u->cut);
    if (u->p.out_w < CGE_TILE_COLUMNS || cut_map(u, 1, u->p.g.kernel_h) > CGE_PIECE_MACS) cut_places(u);
    cge_cost_lone_columns(u, &u->cut.map, forward_macs);
    u->cut.map.boxes = cge_count_boxes(u->cut.map.axes);
    if (u->c.pool != NULL) cut_pooling(u);
}

/* Without a pooling pieces are boxes of the map. With one, those of the rows that exist together are followed by pieces that
 * pool them, some windows each. */
static int32_t map_pieces(const cge_pieces *u)
{
    return (u->cut.map.boxes + u->cut.map.others) * (rows_in_use(u) / rows_in_room(u));
}

static int64_t pool_macs(const cge_pieces *u, int32_t part)
{
    const int64_t elems = (int64_t)cge_piece_elems(u->c.out.w, u->cut.map.other, part) * u->v.channels;
    const int64_t taps = elems * u->v.kernel_h * u->v.kernel_w;
    return taps * CGE_MACS_TAP + (u->c.pool_first ? elems : taps) * cge_activation_macs(u->c.activation);
}

static int64_t map_macs(const cge_pieces *u, int32_t piece)
{
    const cge_map_cut *k = &u->cut.map;
    const int32_t number = k->others > 0 ? piece % (k->boxes + k->others) : piece;
    return number < k->boxes ? cge_macs_of_box(k, number) : pool_macs(u, number - k->boxes);
}

/* Some filters at some places, whose sums begin with `start`. */
typedef struct forward_part {
    cge_conv2d_plan p;
    const cge_real *w, *start;
    cge_real *y;
} forward_part;

/* All terms of the box, whose rows are counted from row `first` of the map. */
static void set_part(const cge_pieces *u, int32_t first, const cge_box *box, forward_part *part)
{
    const cge_unit_call *c = &u->c;
    const cge_range rows = box->along[FORWARD_ROWS], columns = cge_columns_of(&u->cut.map, box->along[FORWARD_COLUMNS]);
    cge_range filters = filters_of(u, box->along[FORWARD_FILTERS]);
    part->p = u->p;
    if (u->p.g.groups > 1) {
        part->p.g.groups = cge_length(filters);
        filters.begin *= u->p.group_out;
    } else {
        part->p.group_out = cge_length(filters);
    }
    part->p.g.pad_top -= (first + rows.begin) * u->p.g.stride_h;
    part->p.g.pad_left -= columns.begin * u->p.g.stride_w;
    part->p.out_h = cge_length(rows);
    part->p.out_w = cge_length(columns);
    part->w = c->params.w + filters.begin;
    part->start = c->params.b != NULL ? c->params.b + filters.begin : NULL;
    part->y = (c->pool != NULL ? c->scratch : c->y) + (rows.begin * u->p.out_w + columns.begin) * u->p.g.out_c + filters.begin;
}

static const cge_real *channels_of_group(const cge_pieces *u, const cge_box *box)
{
    return u->c.x + (u->p.g.groups > 1 ? box->along[FORWARD_FILTERS].begin * u->p.group_in : 0);
}

/* Some terms at one place; of the first filters the sums that wait in y are `start`. */
static void add_terms(const cge_pieces *u, const forward_part *of, cge_range terms)
{
    const int32_t channels = u->cut.map.term_channels;
    const int32_t taps_of = channels > 0 ? cge_pieces_of(u->p.group_in, channels) : 1;
    const int32_t tap = terms.begin / taps_of, first = terms.begin % taps_of * channels;
    const int32_t kh = channels > 0 ? tap / u->p.g.kernel_w : terms.begin, kw = channels > 0 ? tap % u->p.g.kernel_w : 0;
    const cge_range row = {0, 1};
    forward_part part = *of;
    cge_real start[ROW_FILTERS];
    if (terms.begin > 0) {
        memcpy(start, part.y, (size_t)part.p.group_out * sizeof *start);
        part.start = start;
    }
    part.p.g.kernel_h = channels > 0 ? 1 : cge_length(terms);
    part.p.g.pad_top -= kh * u->p.g.dilation_h;
    if (channels > 0) {
        part.p.g.kernel_w = 1;
        part.p.g.pad_left -= kw * u->p.g.dilation_w;
        part.p.group_in = cge_piece_elems(u->p.group_in, channels, terms.begin % taps_of);
    }
    part.w += (kh * u->p.g.kernel_w + kw) * u->p.tap_elems + first * u->p.g.out_c;
    cge_part_conv2d_forward(&part.p, u->c.x + first, part.w, part.start, part.y, row);
}

static void run_box(const cge_pieces *u, int32_t first, const cge_box *box)
{
    cge_range rows = {0, 0}, terms = box->along[FORWARD_TERMS];
    forward_part part;
    set_part(u, first, box, &part);
    rows.end = part.p.out_h;
    if (cge_length(terms) == u->cut.map.axes[FORWARD_TERMS].size) {
        cge_part_conv2d_forward(&part.p, channels_of_group(u, box), part.w, part.start, part.y, rows);
    } else if (u->cut.map.term_channels == 0) {
        add_terms(u, &part, terms);
    } else {
        const int32_t end = terms.end;
        for (; terms.begin < end; terms.begin++) {
            terms.end = terms.begin + 1;
            add_terms(u, &part, terms);
        }
    }
}

/* Some windows, from the rows of the map from `row` on that are there. */
static void pool_windows(const cge_pieces *u, cge_range windows, int32_t row)
{
    const cge_unit_call *c = &u->c;
    const int32_t rows = rows_in_room(u), oh = row / u->v.kernel_h;
    const int32_t begin = windows.begin * u->v.channels, elems = cge_length(windows) * u->v.channels;
    cge_real *map = c->scratch + begin * u->v.kernel_w, *y = c->y + oh * row_elems(c->out) + begin;
    cge_windows v = u->v;
    int32_t i;
    if (!c->pool_first)
        for (i = 0; i < rows; i++) cge_unit_activate(c->activation, elems * v.kernel_w, map + i * row_elems(c->map));
    v.out_w = windows.end - windows.begin;
    v.first += oh * row_elems(c->out) + begin;
    if (rows == v.kernel_h)
        cge_maxpool2d_row(&v, map, 0, y, c->winners);
    else
        cge_maxpool2d_take_row(&v, map, row % v.kernel_h, y, c->winners);
    if (c->pool_first && (row + rows) % v.kernel_h == 0) cge_unit_activate(c->activation, elems, y);
}

/* Of the rows of the map that exist together. */
static int32_t run_in_rows(const cge_pieces *u, int32_t group, cge_range parts)
{
    const cge_map_cut *k = &u->cut.map;
    const int32_t row = group * rows_in_room(u);
    const cge_range of_map = {parts.begin, parts.end < k->boxes ? parts.end : k->boxes};
    const cge_range of_pool = {parts.begin - k->boxes, parts.end - k->boxes};
    cge_box box;
    int32_t count;
    if (parts.begin >= k->boxes) {
        pool_windows(u, cge_range_of(u->c.out.w, k->other, of_pool), row);
        return parts.end - parts.begin;
    }
    count = cge_join_boxes(k->axes, of_map, &box);
    run_box(u, row, &box);
    cge_save_macs(u, count, &box, forward_macs);
    return count;
}

static cge_status map_run(const cge_pieces *u, cge_range pieces)
{
    return cge_run_groups(u, pieces, u->cut.map.boxes + u->cut.map.others, run_in_rows);
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

static const cge_pass map_forward_passes[] = {{NULL, look_pieces, look_macs, look_run},
                                              {forward_cut, map_pieces, map_macs, map_run},
                                              {NULL, activate_pieces, activate_macs, activate_run}};

CGE_INTERNAL cge_pass_list cge_conv2d_forward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(map_forward_passes);
    return list;
}
