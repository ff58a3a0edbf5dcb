/* A dense layer in pieces. Forward it is a convolution (conv2d_forward_passes.c). Backward goes some inputs at a time, as in
 * dense_unit.c. */
#include "passes.h"
#include "../kernels/kernels.h"

enum { TILE_INPUTS = 16 };
enum { MACS_OF_START = 400 }; /* of some sums, or of the biases' gradients */

static int32_t input_elems(const cge_pieces *u)
{
    return cge_shape_elems(u->c.in);
}

CGE_INTERNAL cge_conv2d_plan cge_dense_plan(const cge_unit_call *c)
{
    cge_conv2d_plan p;
    memset(&p, 0, sizeof p);
    p.g.in_h = 1;
    p.g.in_w = 1;
    p.g.in_c = cge_shape_elems(c->in);
    p.g.out_c = c->out.c;
    p.g.kernel_h = 1;
    p.g.kernel_w = 1;
    p.g.stride_h = 1;
    p.g.stride_w = 1;
    p.g.dilation_h = 1;
    p.g.dilation_w = 1;
    p.g.groups = 1;
    p.out_h = 1;
    p.out_w = 1;
    p.group_in = p.g.in_c;
    p.group_out = p.g.out_c;
    p.tap_elems = p.group_in * p.g.out_c;
    return p;
}

/* ---- backward ---- */

/* Of an input. */
static int64_t tile_macs(const cge_pieces *u)
{
    const cge_unit_call *c = &u->c;
    const int32_t learn = cge_unit_learn_macs(&c->params);
    return (int64_t)c->out.c * ((c->dx != NULL ? 3 : 0) + (c->params.dw != NULL ? 3 + 2 * learn : 0)) / 2 + 35 + cge_activation_macs(c->below);
}

/* Whole tiles of inputs, or a part of one. */
static int32_t tile_inputs_at_once(int32_t inputs, int32_t macs)
{
    const int32_t most = macs < CGE_PIECE_MACS ? CGE_PIECE_MACS / macs : 1;
    if (most >= inputs) return inputs;
    return most >= TILE_INPUTS ? most - most % TILE_INPUTS : most;
}

static void tile_cut(cge_pieces *u)
{
    u->cut.map.macs = cge_macs_word(tile_macs(u));
    u->cut.map.other = tile_inputs_at_once(input_elems(u), u->cut.map.macs);
}

static int32_t tile_pieces(const cge_pieces *u)
{
    if (u->c.params.dw == NULL && u->c.dx == NULL) return 0;
    return cge_pieces_of(input_elems(u), u->cut.map.other);
}

static int64_t tiles_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)cge_piece_elems(input_elems(u), u->cut.map.other, piece) * u->cut.map.macs;
}

static cge_status tile_run(const cge_pieces *u, cge_range pieces)
{
    return cge_dense_unit_inputs(&u->c, cge_range_of(input_elems(u), u->cut.map.other, pieces)) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

static int32_t bias_pieces(const cge_pieces *u)
{
    return u->c.params.db != NULL;
}

static int64_t bias_macs(const cge_pieces *u, int32_t piece)
{
    (void)piece;
    return MACS_OF_START + (int64_t)u->c.out.c * (2 + cge_unit_learn_macs(&u->c.params));
}

static cge_status bias_run(const cge_pieces *u, cge_range pieces)
{
    (void)pieces;
    return cge_dense_unit_biases(&u->c) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

static const cge_pass dense_backward_passes[] = {{tile_cut, tile_pieces, tiles_macs, tile_run}, {NULL, bias_pieces, bias_macs, bias_run}};

CGE_INTERNAL cge_pass_list cge_dense_backward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(dense_backward_passes);
    return list;
}
