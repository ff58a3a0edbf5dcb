/* Boxes of work (passes.h): how they are cut, which of them make one again, and what those of a convolution cost. */
#include "passes.h"

static int32_t parts_of(const cge_axis *a)
{
    return cge_pieces_of(a->size, a->part);
}

static cge_range typical_part(const cge_axis *a, int32_t typical)
{
    cge_range r = {0, a->part};
    if (a->part == a->size) return r;
    r.begin = typical < a->size - a->part ? typical : a->size - a->part;
    r.end = r.begin + a->part;
    return r;
}

/* As many of `size`, which cost `macs`, as cost `most`: a multiple of `least`, or 0. Divisions of 64 bits would take longer. */
static int32_t part_of(int32_t size, int32_t least, int64_t macs, int32_t most)
{
    const int32_t part = most / ((cge_macs_word(macs) - 1) / size + 1);
    return part - part % least;
}

/* All parts about as large. */
static void level_parts(cge_axis *a, int32_t least)
{
    const int32_t part = cge_pieces_of(a->size, parts_of(a));
    a->part = cge_pieces_of(part, least) * least;
    if (a->part > a->size) a->part = a->size;
}

static cge_range last_part(const cge_axis *a)
{
    const cge_range number = {parts_of(a) - 1, parts_of(a)};
    return cge_range_of(a->size, a->part, number);
}

/* Room for each of `count` pieces of a slice. */
static int32_t room_of_piece(int32_t count)
{
    return (CGE_PIECE_MACS + CGE_MACS_CALL) / count - CGE_MACS_CALL;
}

/* Largest pieces may leave much of a slice to none. Two to four smaller ones are better where they fill an eighth
 * more of it. */
static int32_t part_that_fills(int32_t part, int32_t least, int32_t macs)
{
    int32_t filled = macs, count, best = part;
    for (count = 2; count <= 4; count++) {
        const int32_t smaller = part_of(part, least, macs, room_of_piece(count));
        const int32_t fills = count * smaller * (macs / part);
        if (smaller < least) break;
        if (fills < filled + CGE_PIECE_MACS / 8) continue;
        filled = fills;
        best = smaller;
    }
    return best;
}

/* What a piece costs at most: a typical one, or the last along axis i. The box becomes that piece. */
static int64_t cost_of_parts(const cge_pieces *u, const cge_axis *a, int32_t typical, cge_range *along, const cge_box *box,
                             cge_box_macs *macs)
{
    int64_t cost, of_last;
    *along = typical_part(a, typical);
    cost = macs(u, box);
    if (a->part == a->size) return cost;
    *along = last_part(a);
    of_last = macs(u, box);
    if (of_last > cost) return of_last;
    *along = typical_part(a, typical);
    return cost;
}

CGE_INTERNAL int64_t cge_cut_axes(const cge_pieces *u, cge_axis *axes, const int32_t *least, const int32_t *typical,
                                  cge_box_macs *macs)
{
    cge_box box;
    int64_t cost;
    int32_t i, part;
    for (i = 0; i < CGE_AXES; i++) {
        axes[i].part = axes[i].size;
        box.along[i] = typical_part(&axes[i], 0);
    }
    cost = macs(u, &box);
    for (i = 0; i < CGE_AXES && cost > CGE_PIECE_MACS; i++) {
        if (axes[i].size <= least[i]) continue;
        part = part_of(axes[i].size, least[i], cost, CGE_PIECE_MACS);
        if (part < least[i]) part = least[i];
        do {
            axes[i].part = part;
            level_parts(&axes[i], least[i]);
            cost = cost_of_parts(u, &axes[i], typical[i], &box.along[i], &box, macs);
            part -= least[i];
        } while (cost > CGE_PIECE_MACS && part >= least[i]);
        if (cost > CGE_PIECE_MACS) continue;
        axes[i].part = part_that_fills(axes[i].part, least[i], (int32_t)cost);
        cost = cost_of_parts(u, &axes[i], typical[i], &box.along[i], &box, macs);
    }
    return cost;
}

CGE_INTERNAL int32_t cge_count_boxes(const cge_axis *axes)
{
    int32_t i, count = 1;
    for (i = 0; i < CGE_AXES; i++) count *= parts_of(&axes[i]);
    return count;
}

/* From the innermost axis on: axes that are taken as a whole, one of which some parts are taken, and of the others one part. */
CGE_INTERNAL int32_t cge_join_boxes(const cge_axis *axes, cge_range pieces, cge_box *box)
{
    int32_t number = pieces.begin, left = pieces.end - pieces.begin, count = 1, i;
    for (i = CGE_AXES - 1; i >= 0; i--) {
        cge_range taken = {0, 1};
        int32_t parts;
        box->along[i].begin = 0;
        box->along[i].end = axes[i].size;
        if (axes[i].part == axes[i].size) continue;
        parts = parts_of(&axes[i]);
        taken.begin = number % parts;
        taken.end = taken.begin + left < parts ? taken.begin + left : parts;
        number /= parts;
        box->along[i] = cge_range_of(axes[i].size, axes[i].part, taken);
        count *= cge_length(taken);
        left = cge_length(taken) == parts ? left / parts : 1;
    }
    return count;
}

CGE_INTERNAL cge_status cge_run_groups(const cge_pieces *u, cge_range pieces, int32_t in_group, cge_run_group_fn *run_in)
{
    while (pieces.begin < pieces.end) {
        const int32_t group = pieces.begin / in_group, first = group * in_group, left = pieces.end - first;
        const cge_range some = {pieces.begin - first, left < in_group ? left : in_group};
        pieces.begin += run_in(u, group, some);
    }
    return CGE_OK;
}

/* ---- columns ---- */

/* A column with fewer taps leaves three others without a tile: those of its phase, where there is a stride. */
static int32_t columns_spoiled(const cge_map_cut *k, int32_t columns, int32_t right)
{
    const int32_t reach = right - (columns - k->border - k->tiles * k->width), phases = k->width / CGE_TILE_COLUMNS;
    if (reach <= 0 || k->tiles == 0) return 0;
    return (reach < phases ? reach : phases) * CGE_TILE_COLUMNS;
}

CGE_INTERNAL void cge_set_columns(cge_map_cut *k, int32_t columns, cge_range inside, int32_t width)
{
    k->border = width > 1 ? inside.begin : 0;
    k->width = width;
    k->tiles = (columns - k->border) / width;
    k->spoiled = columns_spoiled(k, columns, columns - inside.end);
    k->axes[CGE_AXIS_OF_COLUMNS].size = columns - k->tiles * (width - 1);
}

static int32_t tiles_before(const cge_map_cut *k, int32_t unit)
{
    const int32_t behind = unit - k->border;
    if (behind <= 0) return 0;
    return behind < k->tiles ? behind : k->tiles;
}

CGE_INTERNAL cge_range cge_columns_of(const cge_map_cut *k, cge_range units)
{
    cge_range r;
    r.begin = units.begin + tiles_before(k, units.begin) * (k->width - 1);
    r.end = units.end + tiles_before(k, units.end) * (k->width - 1);
    return r;
}

CGE_INTERNAL void cge_count_places(const cge_map_cut *k, cge_range units, cge_gathered *g)
{
    const int32_t before = tiles_before(k, units.begin), end = tiles_before(k, units.end), tiles = k->width > 1 ? end - before : 0;
    g->tiled = tiles * k->width - (tiles > 0 && end == k->tiles ? k->spoiled : 0);
    g->lone = cge_length(units) + tiles * (k->width - 1) - g->tiled;
}

CGE_INTERNAL void cge_cost_lone_columns(const cge_pieces *u, cge_map_cut *k, cge_box_macs *macs)
{
    const cge_axis *a = &k->axes[CGE_AXIS_OF_COLUMNS];
    const int32_t unit = k->border > 0 ? 0 : a->size - 1;
    int64_t cost, of_last;
    cge_box box;
    int32_t i;
    if (a->part != 1 || a->size == k->tiles) return;
    k->inside = 1;
    for (i = 0; i < CGE_AXES; i++) {
        box.along[i] = typical_part(&k->axes[i], 0);
        if (i > CGE_AXIS_OF_COLUMNS) k->inside *= parts_of(&k->axes[i]);
    }
    box.along[CGE_AXIS_OF_COLUMNS].begin = unit;
    box.along[CGE_AXIS_OF_COLUMNS].end = unit + 1;
    cost = macs(u, &box);
    box.along[CGE_AXIS_OF_COLUMNS + 1] = last_part(&k->axes[CGE_AXIS_OF_COLUMNS + 1]);
    of_last = macs(u, &box);
    k->lone = cge_macs_word(cost > of_last ? cost : of_last);
}

/* ---- costs ---- */

enum { TILE_CHANNELS = 4, ROW_CHANNELS = 8 }; /* of a fast kernel: a tile's; of a place that is alone */

/* What an output costs, in quarters of a multiply-add: for each term, each run of terms, and itself. Measured on a Cortex-M4F;
 * ways as in kernels/tiled/conv2d_tile.h. */
typedef struct way_macs {
    uint8_t term, run, output;
} way_macs;

static const way_macs way_tile = {4, 6, 20}, way_tile_transposed = {4, 8, 20}, way_row = {5, 6, 28};
static const way_macs way_equal_rows = {17, 24, 80}, way_dots = {6, 12, 48}, way_one = {10, 28, 100};
static const way_macs way_own = {5, 6, 16}, way_own_alone = {6, 12, 40};

static const way_macs *way_of_tile(const cge_gathered *g)
{
    if (g->depthwise) return &way_own;
    if (g->group < TILE_CHANNELS) return &way_dots;
    return g->transposed ? &way_tile_transposed : &way_tile;
}

static const way_macs *way_alone(const cge_gathered *g)
{
    if (g->depthwise) return &way_own_alone;
    if (g->group < TILE_CHANNELS) return &way_one;
    if (g->transposed) return &way_dots;
    return g->group < ROW_CHANNELS ? &way_equal_rows : &way_row;
}

/* Of a place. The last tile is moved back: some channels are computed again. */
static int64_t quarters_of_place(const cge_gathered *g, const way_macs *way)
{
    const int32_t tile = way == &way_row ? ROW_CHANNELS : TILE_CHANNELS;
    const int32_t channels = g->group < TILE_CHANNELS && !g->depthwise ? g->channels : cge_pieces_of(g->channels, tile) * tile;
    return channels * ((int64_t)g->terms * way->term + g->runs * way->run + way->output);
}

CGE_INTERNAL int64_t cge_gather_macs(const cge_gathered *g)
{
    int64_t quarters = 0;
    if (g->tiled > 0) quarters = g->tiled * quarters_of_place(g, way_of_tile(g));
    if (g->lone > 0) quarters += g->lone * quarters_of_place(g, way_alone(g));
    return g->rows * quarters / 4;
}
