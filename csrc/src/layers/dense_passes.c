/*
 * A dense layer in pieces. Forward, some outputs take some inputs at a time: what a convolution of one place computes of some
 * of its filters and channels. Backward goes some inputs at a time, as in dense_unit.c.
 */
#include "passes.h"
#include "../kernels/kernels.h"

enum { OUTPUTS_TOGETHER = 8, TILE_INPUTS = 16 };
enum { MACS_OF_START = 300 }; /* of some sums, or of the biases' gradients */

static int32_t input_elems(const cge_pieces *u)
{
    return cge_shape_elems(u->c.in);
}

/* ---- forward ----
 *
 * Sums wait in y, so no output may be computed twice: 8 at a time, of what is left 4, then the last. */

static int32_t output_parts(const cge_pieces *u)
{
    const int32_t left = u->c.out.c % OUTPUTS_TOGETHER;
    return u->c.out.c / OUTPUTS_TOGETHER + (left >= 4) + (left % 4 > 0);
}

static cge_range outputs_of(const cge_pieces *u, int32_t part)
{
    const int32_t eights = u->c.out.c / OUTPUTS_TOGETHER, end = u->c.out.c;
    cge_range r;
    r.begin = part * OUTPUTS_TOGETHER;
    if (part > eights) r.begin = end - end % 4;
    r.end = r.begin + OUTPUTS_TOGETHER;
    if (part >= eights) r.end = end - r.begin >= 4 ? r.begin + 4 : end;
    return r;
}

/* A multiply-add of 8 outputs takes three instructions, one of fewer ten. To begin takes some, too. */
static int64_t macs_of_sums(cge_range outputs, int32_t inputs)
{
    const int32_t count = outputs.end - outputs.begin;
    return (int64_t)inputs * (count < OUTPUTS_TOGETHER ? 5 * count : (3 * OUTPUTS_TOGETHER + 1) / 2);
}

static int32_t inputs_at_once(const cge_pieces *u)
{
    const cge_range eight = {0, OUTPUTS_TOGETHER};
    return cge_piece_of(input_elems(u), macs_of_sums(eight, 1));
}

static int32_t sum_pieces(const cge_pieces *u)
{
    return output_parts(u) * cge_pieces_of(input_elems(u), inputs_at_once(u));
}

static int64_t sum_macs(const cge_pieces *u, int32_t piece)
{
    const int32_t parts = output_parts(u);
    return macs_of_sums(outputs_of(u, piece % parts), cge_piece_elems(input_elems(u), inputs_at_once(u), piece / parts)) + MACS_OF_START;
}

static cge_conv2d_plan sums_of(const cge_pieces *u, int32_t inputs, int32_t outputs)
{
    cge_conv2d_plan p;
    memset(&p, 0, sizeof p);
    p.g.in_h = 1;
    p.g.in_w = 1;
    p.g.in_c = inputs;
    p.g.out_c = u->c.out.c;
    p.g.kernel_h = 1;
    p.g.kernel_w = 1;
    p.g.stride_h = 1;
    p.g.stride_w = 1;
    p.g.dilation_h = 1;
    p.g.dilation_w = 1;
    p.g.groups = 1;
    p.out_h = 1;
    p.out_w = 1;
    p.group_in = inputs;
    p.group_out = outputs;
    return p;
}

static void add_sums(const cge_pieces *u, int32_t piece)
{
    const cge_unit_call *c = &u->c;
    const int32_t parts = output_parts(u);
    const cge_range row = {0, 1}, number = {piece / parts, piece / parts + 1}, outputs = outputs_of(u, piece % parts);
    const cge_range inputs = cge_range_of(input_elems(u), inputs_at_once(u), number);
    const cge_conv2d_plan p = sums_of(u, inputs.end - inputs.begin, outputs.end - outputs.begin);
    const cge_real *from = inputs.begin > 0 ? c->y : c->params.b;
    cge_real start[OUTPUTS_TOGETHER] = {0};
    if (from != NULL) memcpy(start, from + outputs.begin, (size_t)(outputs.end - outputs.begin) * sizeof *start);
    cge_part_conv2d_forward(&p, c->x + inputs.begin, c->params.w + inputs.begin * c->out.c + outputs.begin, start, c->y + outputs.begin, row);
}

static cge_status sum_run(const cge_pieces *u, cge_range pieces)
{
    int32_t piece;
    for (piece = pieces.begin; piece < pieces.end; piece++) add_sums(u, piece);
    return CGE_OK;
}

static int32_t outputs_at_once(const cge_pieces *u)
{
    return cge_piece_of(u->c.out.c, cge_activation_macs(u->c.activation));
}

static int32_t output_pieces(const cge_pieces *u)
{
    return u->c.activation != NULL ? cge_pieces_of(u->c.out.c, outputs_at_once(u)) : 0;
}

static int64_t output_macs(const cge_pieces *u, int32_t piece)
{
    return (int64_t)cge_piece_elems(u->c.out.c, outputs_at_once(u), piece) * cge_activation_macs(u->c.activation);
}

static cge_status output_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(u->c.out.c, outputs_at_once(u), pieces);
    cge_unit_activate(u->c.activation, r.end - r.begin, u->c.y + r.begin);
    return CGE_OK;
}

/* ---- backward ---- */

/* Of an input. */
static int64_t tile_macs(const cge_pieces *u)
{
    const cge_unit_call *c = &u->c;
    const int32_t learn = cge_unit_learn_macs(&c->params);
    return (int64_t)c->out.c * ((c->dx != NULL ? 3 : 0) + (c->params.dw != NULL ? 3 + 2 * learn : 0)) / 2 + 29 + cge_activation_macs(c->below);
}

/* Whole tiles of inputs, or a part of one. */
static int32_t tile_inputs_at_once(const cge_pieces *u)
{
    const int32_t inputs = input_elems(u), most = tile_macs(u) < CGE_PIECE_MACS ? CGE_PIECE_MACS / (int32_t)tile_macs(u) : 1;
    if (most >= inputs) return inputs;
    if (most >= TILE_INPUTS) return most - most % TILE_INPUTS;
    return most > 1 ? most : 1;
}

static int32_t tile_pieces(const cge_pieces *u)
{
    if (u->c.params.dw == NULL && u->c.dx == NULL) return 0;
    return cge_pieces_of(input_elems(u), tile_inputs_at_once(u));
}

static int64_t tiles_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(input_elems(u), tile_inputs_at_once(u), piece) * tile_macs(u);
}

static cge_status tile_run(const cge_pieces *u, cge_range pieces)
{
    return cge_dense_unit_inputs(&u->c, cge_range_of(input_elems(u), tile_inputs_at_once(u), pieces)) ? CGE_OK : CGE_ERR_NOT_FINITE;
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

static const cge_pass dense_forward_passes[] = {{sum_pieces, sum_macs, sum_run}, {output_pieces, output_macs, output_run}};
static const cge_pass dense_backward_passes[] = {{tile_pieces, tiles_macs, tile_run}, {bias_pieces, bias_macs, bias_run}};

CGE_INTERNAL cge_pass_list cge_dense_forward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(dense_forward_passes);
    return list;
}

CGE_INTERNAL cge_pass_list cge_dense_backward_passes(void)
{
    const cge_pass_list list = CGE_PASS_LIST(dense_backward_passes);
    return list;
}
