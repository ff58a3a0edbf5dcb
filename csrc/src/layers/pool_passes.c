/*
 * A pooling that is a unit of its own, in pieces: some windows of a row. Where the window is the whole input, each channel has
 * one: as an image of one channel, with a row for each pixel and a column for each channel.
 */
#include "passes.h"
#include "../kernels/kernels.h"

enum { MACS_OF_WINDOW = 20, MACS_OF_POOL_TAP = 9, MACS_OF_LONE_TAP = 19 }; /* of a window that has many channels; one */
enum { MACS_OF_MEAN_TAP = 3 };                                             /* of a layer as a whole, by the fast kernels */

static int takes_largest(const cge_layer *l)
{
    return (l->kind->traits & CGE_INPUT_GRAD_READS_X) != 0;
}

/* Global poolings have no config. That of the largest has no other trait. */
CGE_INTERNAL int cge_is_pool(const cge_layer *l)
{
    return (l->kind->traits & (CGE_POOLS | CGE_SUMS_ROWS)) != 0 || l->kind->traits == CGE_INPUT_GRAD_READS_X;
}

static int sees_whole_input(const cge_unit_call *c)
{
    const cge_pool2d *g = cge_pool2d_of(c->layer);
    if ((c->layer->kind->traits & CGE_POOLS) == 0) return 1;
    return g->kernel_h == c->in.h && g->kernel_w == c->in.w && g->pad_top == 0 && g->pad_left == 0 && c->map.h * c->map.w == 1;
}

static cge_pool2d_plan windows_of_layer(const cge_unit_call *c)
{
    cge_pool2d_plan p;
    cge_pool2d g;
    memset(&g, 0, sizeof g);
    if (!sees_whole_input(c)) {
        g = *cge_pool2d_of(c->layer);
        g.in_h = c->in.h;
        g.in_w = c->in.w;
        g.in_c = c->in.c;
    } else {
        g.in_h = c->in.h * c->in.w;
        g.in_w = c->in.c;
        g.in_c = 1;
        g.kernel_h = g.in_h;
        g.kernel_w = 1;
    }
    (void)!cge_pool2d_resolve(&g, &p); /* checked */
    return p;
}

static int32_t window_macs(const cge_pool2d_plan *p)
{
    const int32_t taps = p->g.kernel_h * p->g.kernel_w;
    return MACS_OF_WINDOW + p->g.in_c * taps * (p->g.in_c > 1 ? MACS_OF_POOL_TAP : MACS_OF_LONE_TAP);
}

static int32_t windows_at_once(const cge_pool2d_plan *p)
{
    return cge_piece_of(p->out_w, window_macs(p));
}

static int32_t window_pieces(const cge_pieces *u)
{
    const cge_pool2d_plan p = windows_of_layer(&u->c);
    return p.out_h * cge_pieces_of(p.out_w, windows_at_once(&p));
}

static int64_t windows_macs(const cge_pieces *u, int32_t piece)
{
    const cge_pool2d_plan p = windows_of_layer(&u->c);
    (void)piece;
    return (int64_t)windows_at_once(&p) * window_macs(&p);
}

/* Some windows as a pooling of their own; returns the number of the first. */
static int32_t narrow_to_windows(cge_pool2d_plan *p, int32_t piece)
{
    const int32_t part = windows_at_once(p), parts = cge_pieces_of(p->out_w, part);
    const int32_t row = piece / parts, first = piece % parts * part;
    const int32_t number = row * p->out_w + first;
    p->g.pad_top -= row * p->g.stride_h;
    p->g.pad_left -= first * p->g.stride_w;
    p->out_h = 1;
    p->out_w = cge_piece_elems(p->out_w, part, piece % parts);
    return number;
}

static cge_status windows_forward_run(const cge_pieces *u, cge_range pieces)
{
    const cge_pool2d_plan all = windows_of_layer(&u->c);
    for (; pieces.begin < pieces.end; pieces.begin++) {
        cge_pool2d_plan p = all;
        cge_real *y = u->c.y + narrow_to_windows(&p, pieces.begin) * p.g.in_c;
        cge_part_pool2d_forward(&p, takes_largest(u->c.layer), u->c.x, y);
    }
    return CGE_OK;
}

/* ---- backward: from zero on, windows add; then what was added is handed on ---- */

static cge_real *added_grads(const cge_pieces *u)
{
    return u->c.adds ? u->c.scratch : u->c.dx;
}

static int32_t pooled_grad_elems(const cge_pieces *u)
{
    return cge_shape_elems(u->c.in);
}

static int32_t zero_grad_pieces(const cge_pieces *u)
{
    return cge_pieces_of(pooled_grad_elems(u), CGE_PIECE_MACS);
}

static int64_t zero_grad_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(pooled_grad_elems(u), CGE_PIECE_MACS, piece);
}

static cge_status zero_grad_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(pooled_grad_elems(u), CGE_PIECE_MACS, pieces);
    memset(added_grads(u) + r.begin, 0, (size_t)cge_length(r) * sizeof *u->c.dx);
    return CGE_OK;
}

static cge_status windows_backward_run(const cge_pieces *u, cge_range pieces)
{
    const cge_pool2d_plan all = windows_of_layer(&u->c);
    for (; pieces.begin < pieces.end; pieces.begin++) {
        cge_pool2d_plan p = all;
        const cge_real *dy = u->c.dy + narrow_to_windows(&p, pieces.begin) * p.g.in_c;
        cge_part_pool2d_add_grad(&p, takes_largest(u->c.layer), u->c.x, dy, added_grads(u));
    }
    return CGE_OK;
}

static int32_t handed_macs(const cge_pieces *u)
{
    return 2 + cge_activation_macs(u->c.below);
}

static int32_t handed_at_once(const cge_pieces *u)
{
    return cge_piece_of(pooled_grad_elems(u), handed_macs(u));
}

static int32_t handed_pieces(const cge_pieces *u)
{
    return u->c.below != NULL || u->c.adds ? cge_pieces_of(pooled_grad_elems(u), handed_at_once(u)) : 0;
}

static int64_t handed_piece_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)cge_piece_elems(pooled_grad_elems(u), handed_at_once(u), piece) * handed_macs(u);
}

static cge_status handed_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(pooled_grad_elems(u), handed_at_once(u), pieces);
    cge_unit_hand_on(&u->c, r.begin, cge_length(r), added_grads(u) + r.begin);
    return CGE_OK;
}

/* ---- means that are no more than a piece: all of them at once, by kernels that are faster ---- */

static int64_t means_macs(const cge_unit_call *c)
{
    const int32_t taps = sees_whole_input(c) ? c->in.h * c->in.w : cge_pool_taps(c->layer);
    return (int64_t)cge_shape_elems(c->map) * (taps * MACS_OF_MEAN_TAP + MACS_OF_WINDOW) + cge_shape_elems(c->in);
}

static int are_means_at_once(const cge_unit_call *c)
{
    return !takes_largest(c->layer) && means_macs(c) <= CGE_PIECE_MACS;
}

static int32_t means_pieces(const cge_pieces *u)
{
    (void)u;
    return 1;
}

static int64_t means_piece_macs(const cge_pieces *u, int32_t piece)
{
    (void)piece;
    return means_macs(&u->c);
}

static cge_layer_call call_of_means(const cge_pieces *u)
{
    cge_layer_call c;
    memset(&c, 0, sizeof c);
    c.layer = u->c.layer;
    c.in = u->c.in;
    c.out = u->c.map;
    c.count = 1;
    return c;
}

static cge_status means_forward_run(const cge_pieces *u, cge_range pieces)
{
    cge_layer_call c = call_of_means(u);
    (void)pieces;
    c.x = u->c.x;
    c.y = u->c.y;
    c.layer->kind->forward(&c);
    return CGE_OK;
}

static cge_status means_backward_run(const cge_pieces *u, cge_range pieces)
{
    cge_layer_call c = call_of_means(u);
    (void)pieces;
    c.dy = u->c.dy;
    c.dx = added_grads(u);
    c.layer->kind->input_grad(&c);
    return CGE_OK;
}

static const cge_pass means_forward_passes[] = {{NULL, means_pieces, means_piece_macs, means_forward_run}};
static const cge_pass means_backward_passes[] = {{NULL, means_pieces, means_piece_macs, means_backward_run},
                                                 {NULL, handed_pieces, handed_piece_macs, handed_run}};
static const cge_pass pool_forward_passes[] = {{NULL, window_pieces, windows_macs, windows_forward_run}};
static const cge_pass pool_backward_passes[] = {{NULL, zero_grad_pieces, zero_grad_macs, zero_grad_run},
                                                {NULL, window_pieces, windows_macs, windows_backward_run},
                                                {NULL, handed_pieces, handed_piece_macs, handed_run}};

CGE_INTERNAL cge_pass_list cge_pool_forward_passes(const cge_unit_call *c)
{
    const cge_pass_list means = CGE_PASS_LIST(means_forward_passes), windows = CGE_PASS_LIST(pool_forward_passes);
    return are_means_at_once(c) ? means : windows;
}

CGE_INTERNAL cge_pass_list cge_pool_backward_passes(const cge_unit_call *c)
{
    const cge_pass_list means = CGE_PASS_LIST(means_backward_passes), windows = CGE_PASS_LIST(pool_backward_passes);
    return are_means_at_once(c) ? means : windows;
}
