/* Pieces of any unit: which passes it has, and those of layers that are a unit of their own. */
#include "passes.h"

CGE_INTERNAL void cge_prepare_pieces(cge_pieces *u)
{
    if (u->c.layer == NULL) return;
    if ((u->c.layer->kind->traits & CGE_BY_INPUTS) != 0) u->p = cge_dense_plan(&u->c);
    if ((u->c.layer->kind->traits & CGE_BY_ROWS) == 0) return;
    u->p = cge_conv2d_unit_plan(&u->c);
    if (u->c.pool != NULL) u->v = cge_conv2d_unit_windows(&u->c);
}

/* ---- a layer of its own: an activation in blocks of elements or pixels; any other but a pooling as a whole ---- */

/* A softmax keeps neither its place nor x. */
static int is_by_pixels(const cge_pieces *u)
{
    return (u->c.layer->kind->traits & (CGE_INPUT_GRAD_READS_Y | CGE_IN_PLACE)) == CGE_INPUT_GRAD_READS_Y;
}

static int is_elementwise(const cge_pieces *u)
{
    return (u->c.layer->kind->traits & (CGE_IN_PLACE | CGE_BY_ELEMENTS)) != 0 || is_by_pixels(u);
}

/* Elements that stay together. */
static int32_t grain_of(const cge_pieces *u)
{
    return is_by_pixels(u) ? u->c.in.c : 1;
}

static int64_t grain_macs(const cge_pieces *u)
{
    return (int64_t)grain_of(u) * (cge_activation_macs(u->c.layer) + cge_activation_macs(u->c.below));
}

static int32_t layer_part(const cge_pieces *u)
{
    const int32_t elems = cge_shape_elems(u->c.out), grain = grain_of(u);
    return is_elementwise(u) ? cge_piece_of(elems / grain, grain_macs(u)) * grain : elems;
}

static int32_t layer_pieces(const cge_pieces *u)
{
    return cge_pieces_of(cge_shape_elems(u->c.out), layer_part(u));
}

static int64_t layer_macs(const cge_pieces *u, int32_t piece)
{
    const int64_t in = cge_shape_elems(u->c.in), elems = cge_shape_elems(u->c.out);
    if (is_elementwise(u))
        return cge_piece_elems((int32_t)elems, layer_part(u), piece) / grain_of(u) * grain_macs(u);
    return (elems > in ? 4 * elems : in) * CGE_MACS_TAP + in * cge_activation_macs(u->c.below);
}

/* *begin is the first element. */
static cge_layer_call layer_call(const cge_pieces *u, cge_range pieces, int32_t *begin)
{
    const cge_range r = cge_range_of(cge_shape_elems(u->c.out), layer_part(u), pieces);
    cge_layer_call c;
    memset(&c, 0, sizeof c);
    c.layer = u->c.layer;
    c.in = u->c.in;
    c.out = u->c.map;
    if (is_elementwise(u)) {
        c.in.h = 1;
        c.in.c = grain_of(u);
        c.in.w = (r.end - r.begin) / c.in.c;
        c.out = c.in;
    }
    c.count = 1;
    c.draw = u->c.draw;
    c.first = r.begin;
    c.x = u->c.x + r.begin;
    c.y = u->c.y + r.begin;
    *begin = r.begin;
    return c;
}

static cge_status layer_forward_run(const cge_pieces *u, cge_range pieces)
{
    int32_t begin;
    const cge_layer_call c = layer_call(u, pieces, &begin);
    c.layer->kind->forward(&c);
    return CGE_OK;
}

static cge_status layer_backward_run(const cge_pieces *u, cge_range pieces)
{
    int32_t begin;
    cge_layer_call c = layer_call(u, pieces, &begin);
    c.dy = u->c.dy + begin;
    c.dx = (u->c.adds ? u->c.scratch : u->c.dx) + begin;
    c.layer->kind->input_grad(&c);
    if (u->c.below != NULL || u->c.adds) cge_unit_hand_on(&u->c, begin, cge_shape_elems(c.in), c.dx);
    return CGE_OK;
}

static const cge_pass layer_forward[] = {{NULL, layer_pieces, layer_macs, layer_forward_run}};
static const cge_pass layer_backward[] = {{NULL, layer_pieces, layer_macs, layer_backward_run}};

/* ---- two inputs: some pixels ---- */

static int64_t merged_pixel(const cge_pieces *u)
{
    return (int64_t)u->c.map.c * (CGE_MACS_MERGE + cge_activation_macs(u->c.activation));
}

static int32_t merged_part(const cge_pieces *u)
{
    return cge_piece_of(u->c.map.h * u->c.map.w, merged_pixel(u));
}

static int32_t merge_pieces(const cge_pieces *u)
{
    return cge_pieces_of(u->c.map.h * u->c.map.w, merged_part(u));
}

static int64_t merge_macs(const cge_pieces *u, int32_t piece)
{
    return cge_piece_elems(u->c.map.h * u->c.map.w, merged_part(u), piece) * merged_pixel(u);
}

static cge_status merge_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = cge_range_of(u->c.map.h * u->c.map.w, merged_part(u), pieces);
    const int32_t n = r.end - r.begin;
    cge_layer_call c;
    memset(&c, 0, sizeof c);
    c.layer = u->c.layer;
    c.count = 1;
    c.in.h = 1, c.in.w = n, c.in.c = u->c.in.c;
    c.in2.h = 1, c.in2.w = n, c.in2.c = u->c.in2.c;
    c.out.h = 1, c.out.w = n, c.out.c = u->c.map.c;
    c.x = u->c.x + r.begin * c.in.c;
    c.x2 = u->c.x2 + r.begin * c.in2.c;
    c.y = u->c.y + r.begin * c.out.c;
    c.layer->kind->forward(&c);
    cge_unit_activate(u->c.activation, n * c.out.c, c.y);
    return CGE_OK;
}

static const cge_pass merge_forward[] = {{NULL, merge_pieces, merge_macs, merge_run}};

/* ---- any unit ---- */

CGE_INTERNAL cge_pass_list cge_forward_passes(const cge_unit_call *c)
{
    const cge_pass_list others = CGE_PASS_LIST(layer_forward), merges = CGE_PASS_LIST(merge_forward);
    if ((c->layer->kind->traits & CGE_TWO_INPUTS) != 0) return merges;
    if ((c->layer->kind->traits & (CGE_BY_ROWS | CGE_BY_INPUTS)) != 0) return cge_conv2d_forward_passes();
    return cge_is_pool(c->layer) ? cge_pool_forward_passes(c) : others;
}

CGE_INTERNAL cge_pass_list cge_backward_passes(const cge_unit_call *c)
{
    const cge_pass_list others = CGE_PASS_LIST(layer_backward);
    if ((c->layer->kind->traits & CGE_BY_ROWS) != 0) return cge_conv2d_backward_passes(c);
    if ((c->layer->kind->traits & CGE_BY_INPUTS) != 0) return cge_dense_backward_passes();
    return cge_is_pool(c->layer) ? cge_pool_backward_passes(c) : others;
}
