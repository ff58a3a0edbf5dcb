/*
 * A unit piece by piece (unit.h): what it does in one go is cut into passes, and these into pieces. Run in ascending order, with
 * any pause between two of them, they give the bits of the whole: each sum has its terms in the same order, and what waits
 * lies in the unit's tensors and scratch. A pass says what a piece costs, so that nobody is surprised.
 *
 * Costs are multiply-adds, and of everything else as many as take as long on a Cortex-M4F: 2.2 instructions each. They are at
 * most what a piece takes: zeros that are left out behind a pooling are counted.
 */
#ifndef CGE_PASSES_H
#define CGE_PASSES_H

#include "conv2d_unit.h"

/*
 * Work is a box: it has up to CGE_AXES axes, along which it is cut, the outermost first. Pieces are numbered with the innermost
 * axis counting fastest, so that some that follow each other are boxes again.
 */
enum { CGE_AXES = 5 };

typedef struct cge_axis {
    int32_t size, part; /* 1 where there is nothing to cut */
} cge_axis;

typedef struct cge_box {
    cge_range along[CGE_AXES];
} cge_box;

/* How a pass over the map of a convolution is cut. Columns are counted in units: four that share a tile, or one that is alone.
 * Terms are kernel rows, or some channels of a tap. */
typedef struct cge_map_cut {
    cge_axis axes[CGE_AXES];
    int32_t border, tiles, width; /* columns that are alone at the left; units behind them that have `width` columns */
    int32_t spoiled;              /* columns of the last of these that are alone, too */
    int32_t term_channels;        /* 0: terms are kernel rows */
    int32_t boxes, others;        /* pieces of rows that belong together: boxes, and what follows them */
    int32_t macs, lone;           /* of a box at most; of one whose column is alone, 0: boxes may have several units */
    int32_t inside;               /* boxes of such a column */
    int32_t other;                /* elements or windows of what follows; 0: the one box does it */
} cge_map_cut;

/* How gradients at winners are cut: those of a filter into pooled rows, a row of the map into windows. */
typedef struct cge_winner_cut {
    int32_t filter_row, window;          /* multiply-adds */
    int32_t of_filter, of_place;         /* and of a winner: in a filter's gradient; in that of a place */
    int32_t rows, row_parts, windows, window_parts;
} cge_winner_cut;

/* What is worked out once for all slices of a pass, by its `cut`. */
typedef union cge_cuts {
    cge_map_cut map;
    cge_winner_cut winners;
} cge_cuts;

/* A unit at work, ready for its pieces; whoever has more to hand on begins a struct of its own with this one. */
typedef struct cge_pieces {
    cge_unit_call c;
    cge_conv2d_plan p; /* of a convolution */
    cge_windows v;     /* of the pooling behind it */
    cge_cuts cut;
    int64_t *saved;    /* multiply-adds of pieces that had less to do than they may are added */
} cge_pieces;

typedef int64_t cge_pass_macs(const cge_pieces *u, int32_t piece);

/* Pieces that follow each other may be run as one, to the same bits and faster. */
typedef struct cge_pass {
    void (*cut)(cge_pieces *u);             /* before the others are asked; NULL: there is nothing to work out */
    int32_t (*pieces)(const cge_pieces *u); /* how many; may be none */
    cge_pass_macs *macs;
    cge_status (*run_pieces)(const cge_pieces *u, cge_range pieces);
} cge_pass;

typedef struct cge_pass_list {
    const cge_pass *passes;
    int32_t count;
} cge_pass_list;

/* What a piece is to cost at most, as far as it can be cut; and what costs how much. */
enum {
    CGE_SLICE_MACS = 9090,    /* 20,000 instructions */
    CGE_MACS_RESUME = 130,    /* a slice, beside what is done in it */
    CGE_MACS_UNIT = 500,      /* what describes a unit */
    CGE_MACS_CUT = 900,       /* ... and cuts a pass */
    CGE_MACS_CALL = 180,      /* of a piece, beside what it computes */
    CGE_PIECE_MACS = CGE_SLICE_MACS - CGE_MACS_RESUME - CGE_MACS_CALL - 1,
    CGE_MACS_CHECK = 3,       /* of a parameter: a look at it, its gradient and velocity */
    CGE_MACS_MERGE = 4,       /* of an element of a layer with two inputs */
    CGE_MACS_NORM = 12,       /* of an element that is normalised, half of what it takes */
    CGE_MACS_RELU = 4,        /* of an element: ReLU or its gradient */
    CGE_MACS_ACTIVATION = 32, /* ... any other activation */
    CGE_MACS_COSTLY = 120,    /* ... with CGE_COSTLY */
    CGE_MACS_TAP = 6,         /* ... a look at it as the largest of a window */
    CGE_MACS_OUTPUT = 3,      /* of an output of a convolution, beside its products */
    CGE_MACS_LOOK = 13,       /* of a winner: whether it is one of this row */
    CGE_MACS_TAKE = 20,       /* ... if it is: what it meets */
    CGE_MACS_PLACE = 60       /* of a place with winners; and of each of its kernel rows */
};

/* Fills in p and v, given c. */
CGE_INTERNAL void cge_prepare_pieces(cge_pieces *u);

typedef int64_t cge_box_macs(const cge_pieces *u, const cge_box *box);

/* Sets the parts of axes, whose sizes are set: each a multiple of `least`, or all. A box that is not whole along an axis is
 * like the one that begins at `typical` there. Returns what a piece costs: more than CGE_PIECE_MACS if it cannot be cut so far. */
CGE_INTERNAL int64_t cge_cut_axes(const cge_pieces *u, cge_axis *axes, const int32_t *least, const int32_t *typical,
                                  cge_box_macs *macs);
CGE_INTERNAL int32_t cge_count_boxes(const cge_axis *axes);
/* The largest box that some pieces begin with; returns how many of them it is. */
CGE_INTERNAL int32_t cge_join_boxes(const cge_axis *axes, cge_range pieces, cge_box *box);

static inline int32_t cge_length(cge_range r)
{
    return r.end - r.begin;
}

static inline int cge_is_depthwise(const cge_conv2d_plan *p)
{
    return p->g.groups > 1 && p->group_in == 1 && p->group_out == 1;
}

/* Outputs of which each gathers `terms` products in `runs` runs. */
typedef struct cge_gathered {
    int32_t rows, tiled, lone; /* places: rows of columns that share tiles, and of those that do not */
    int32_t channels, group;   /* of a place; of the group that they belong to */
    int32_t terms, runs;
    int16_t depthwise, transposed; /* transposed: an input gradient */
} cge_gathered;

CGE_INTERNAL int64_t cge_gather_macs(const cge_gathered *g);

/* Columns of a map, or of an input, in units, which become the size of an axis; where some units lie; and how many of their
 * columns are in tiles. Columns outside `inside` have fewer taps than others. With width 1 all columns are alone. */
enum { CGE_AXIS_OF_COLUMNS = 1, CGE_TILE_COLUMNS = 4 };
CGE_INTERNAL void cge_set_columns(cge_map_cut *k, int32_t columns, cge_range inside, int32_t width);
CGE_INTERNAL cge_range cge_columns_of(const cge_map_cut *k, cge_range units);
CGE_INTERNAL void cge_count_places(const cge_map_cut *k, cge_range units, cge_gathered *g);

/* Pieces in groups of `in_group`, such as those of rows that belong together. Each group's are run by one call or several of
 * `run_in`, which says how many it ran. */
typedef int32_t cge_run_group_fn(const cge_pieces *u, int32_t group, cge_range pieces);
CGE_INTERNAL cge_status cge_run_groups(const cge_pieces *u, cge_range pieces, int32_t in_group, cge_run_group_fn *run_in);

/* Sets k->lone and k->inside, where columns are cut into units. */
CGE_INTERNAL void cge_cost_lone_columns(const cge_pieces *u, cge_map_cut *k, cge_box_macs *macs);

static inline int32_t cge_macs_of_box(const cge_map_cut *k, int32_t number)
{
    int32_t unit;
    if (k->lone == 0) return k->macs;
    unit = number / k->inside % k->axes[CGE_AXIS_OF_COLUMNS].size;
    return unit >= k->border && unit < k->border + k->tiles ? k->macs : k->lone;
}

/* Where boxes are counted as the largest of them, what some take less is saved. */
static inline void cge_save_macs(const cge_pieces *u, int32_t boxes, const cge_box *box, cge_box_macs *macs)
{
    if (u->cut.map.lone == 0 && u->cut.map.boxes > 1) *u->saved += (int64_t)boxes * u->cut.map.macs - macs(u, box);
}

/* The passes of a unit. Backward: the caller has set what cge_<kind>_unit_backward takes. */
CGE_INTERNAL cge_pass_list cge_forward_passes(const cge_unit_call *c);
CGE_INTERNAL cge_pass_list cge_backward_passes(const cge_unit_call *c);
CGE_INTERNAL cge_pass_list cge_conv2d_forward_passes(void);
CGE_INTERNAL cge_pass_list cge_conv2d_backward_passes(const cge_unit_call *c);
CGE_INTERNAL cge_conv2d_plan cge_dense_plan(const cge_unit_call *c); /* as a convolution of one place */
CGE_INTERNAL cge_pass_list cge_dense_backward_passes(void);
CGE_INTERNAL int cge_is_pool(const cge_layer *l);
CGE_INTERNAL cge_pass_list cge_pool_forward_passes(const cge_unit_call *c);
CGE_INTERNAL cge_pass_list cge_pool_backward_passes(const cge_unit_call *c);

#define CGE_PASS_LIST(table) {table, (int32_t)(sizeof(table) / sizeof((table)[0]))}

/* `whole` cut into pieces of `part`: how many, and where some of them lie. */
static inline int32_t cge_pieces_of(int32_t whole, int32_t part)
{
    return (whole + part - 1) / part;
}

static inline cge_range cge_range_of(int32_t whole, int32_t part, cge_range pieces)
{
    cge_range r;
    r.begin = pieces.begin * part;
    r.end = pieces.end * part < whole ? pieces.end * part : whole;
    return r;
}

static inline int32_t cge_piece_elems(int32_t whole, int32_t part, int32_t piece)
{
    const int32_t left = whole - piece * part;
    return left < part ? left : part;
}

/* A cost in one word; the largest where it does not fit. */
static inline int32_t cge_macs_word(int64_t macs)
{
    return macs < INT32_MAX ? (int32_t)macs : INT32_MAX;
}

/* Of an element on its way through an activation, NULL: none. */
static inline int32_t cge_activation_macs(const cge_layer *activation)
{
    if (activation == NULL) return 1;
    if ((activation->kind->traits & CGE_COSTLY) != 0) return CGE_MACS_COSTLY;
    return (activation->kind->traits & CGE_AFTER_MAX) != 0 ? CGE_MACS_RELU : CGE_MACS_ACTIVATION;
}

/* How many of `whole`, each of which costs `macs`, make a piece: at least one, and all pieces are about as large. `beside`: what a
 * piece costs besides. */
static inline int32_t cge_piece_beside(int32_t whole, int64_t macs, int64_t beside)
{
    const int64_t room = CGE_PIECE_MACS - beside;
    const int32_t most = macs < room ? (int32_t)room / (int32_t)macs : 1;
    return whole > most ? cge_pieces_of(whole, cge_pieces_of(whole, most)) : whole;
}

static inline int32_t cge_piece_of(int32_t whole, int64_t macs)
{
    return cge_piece_beside(whole, macs, 0);
}

#endif
