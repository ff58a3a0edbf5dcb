/* Slices: what is not cut. The units of a stem together, those of a relay or a block, units with a style of their own, or that read
 * bytes. */
#include "slice.h"

#include "../kernels/kernels.h"

/* Of an element of a normalisation, half of a pass over it. */
static int32_t macs_of_norm(const cge_unit_call *c)
{
    const cge_optimizer *o = c->params.optimizer;
    const int32_t learn = o != NULL ? o->kind->check_macs + o->kind->update_macs : 0;
    return CGE_MACS_NORM + learn + cge_activation_macs(c->activation) + cge_activation_macs(c->below);
}

/* Of a transposed convolution: products, which take up to three times as long with few channels, and its weights' learning. */
static int64_t macs_of_products(const cge_unit_call *c)
{
    cge_layer_info info;
    memset(&info, 0, sizeof info);
    (void)!c->layer->kind->infer(c->layer, c->in, &info); /* checked */
    return info.macs > 0 ? 3 * info.macs + (int64_t)info.weight_elems * cge_unit_learn_macs(&c->params) : 0;
}

/* Multiply-adds of a unit's layer forward. */
static int64_t layer_work(const cge_unit_call *c)
{
    const cge_layer *l = c->layer;
    const int64_t out = cge_shape_elems(c->map);
    if ((l->kind->traits & CGE_BY_GROUPS) != 0) return out * macs_of_norm(c) + macs_of_products(c);
    int32_t taps;
    if ((l->kind->traits & CGE_BY_ROWS) != 0) return out * (cge_conv2d_unit_plan(c).weight_elems / c->map.c);
    if ((l->kind->traits & CGE_BY_INPUTS) != 0) return out * cge_shape_elems(c->in);
    taps = cge_pool_taps(l);
    return (out * (taps > 1 ? taps : 1) + cge_shape_elems(c->in)) * CGE_MACS_TAP;
}

static int64_t whole_macs(const cge_pieces *u, int32_t piece)
{
    (void)piece;
    return 2 * layer_work(&u->c);
}

static int64_t work_of_units(const net_slice *s, int32_t first, int32_t end)
{
    int64_t macs = 0;
    int32_t i;
    for (i = first; i <= end; i++) {
        cge_unit_call c;
        cge_set_unit_call(s->net, s->step->params, i, sample_of(s), &c);
        macs += layer_work(&c);
    }
    return macs;
}

/* Backward, what is computed again is among it. */
static int64_t stem_macs(const cge_pieces *u, int32_t piece)
{
    const net_slice *s = slice_of(u);
    const int64_t macs = work_of_units(s, 0, stem_of(s) - 1);
    (void)piece;
    return s->step->stage == STAGE_FORWARD ? 2 * macs : 8 * macs;
}

static cge_status whole_forward_run(const cge_pieces *u, cge_range pieces)
{
    (void)pieces;
    cge_unit_forward(&u->c);
    cge_note_output(slice_of(u)->net, slice_of(u)->step->unit, &u->c);
    return CGE_OK;
}

static cge_status whole_backward_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    (void)pieces;
    return cge_unit_backward(s->net, s->step->unit, sample_of(s)) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

/* Only training asks what the stem leaves out. */
static cge_status stem_forward_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    cge_real *largest = &s->step->largest;
    (void)pieces;
    cge_stem_forward(s->net, s->step->params, (const cge_real *)sample_of(s), s->step->trains ? largest : NULL);
    return !s->step->trains || cge_stem_reads_finite(s->net, sample_of(s), *largest) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

static int64_t relay_macs(const cge_pieces *u, int32_t piece)
{
    const net_slice *s = slice_of(u);
    (void)piece;
    return 2 * work_of_units(s, s->step->unit, end_of_relay(s, s->step->unit));
}

static cge_status relay_forward_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    cge_real *largest = s->step->trains && cge_unit_learns_with_others(unit_of(s)) ? &s->step->largest : NULL;
    (void)pieces;
    (void)s->net->options.plan->level->relays->run_relay(s->net, s->step->params, end_of_relay(s, s->step->unit), sample_of(s), largest);
    return CGE_OK;
}

/* Backward goes on from the block's last unit, forward begins at its first. */
static int64_t block_macs(const cge_pieces *u, int32_t piece)
{
    const net_slice *s = slice_of(u);
    const cge_unit *units = s->net->options.plan->units;
    int32_t first = s->step->unit;
    (void)piece;
    if (s->step->stage == STAGE_FORWARD) return 4 * work_of_units(s, first, end_of_relay(s, first));
    while (first > 0 && (units[first - 1].style & CGE_UNIT_HANDS_ROWS_ON) != 0) first--;
    return 12 * work_of_units(s, first, s->step->unit);
}

static cge_status block_forward_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const cge_blocks *blocks = s->net->options.plan->level->blocks;
    cge_real *largest = s->step->trains ? &s->step->largest : NULL;
    (void)pieces;
    (void)blocks->run_block(s->net, s->step->params, end_of_relay(s, s->step->unit), sample_of(s), largest);
    return CGE_OK;
}

static cge_status stem_backward_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    (void)pieces;
    return cge_stem_backward(s->net, (const cge_real *)sample_of(s)) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

CGE_INTERNAL cge_pass_list cge_slice_whole_unit(int back)
{
    static const cge_pass passes[] = {{NULL, one_pieces, whole_macs, whole_forward_run}};
    static const cge_pass passes_back[] = {{NULL, one_pieces, whole_macs, whole_backward_run}};
    const cge_pass_list list = {back ? passes_back : passes, 1};
    return list;
}

CGE_INTERNAL cge_pass_list cge_slice_stem(int back)
{
    static const cge_pass passes[] = {{NULL, one_pieces, stem_macs, stem_forward_run}};
    static const cge_pass passes_back[] = {{NULL, one_pieces, stem_macs, stem_backward_run}};
    const cge_pass_list list = {back ? passes_back : passes, 1};
    return list;
}

CGE_INTERNAL cge_pass_list cge_slice_block(int back)
{
    static const cge_pass passes[] = {{NULL, one_pieces, block_macs, block_forward_run}};
    static const cge_pass passes_back[] = {{NULL, one_pieces, block_macs, whole_backward_run}};
    const cge_pass_list list = {back ? passes_back : passes, 1};
    return list;
}

CGE_INTERNAL cge_pass_list cge_slice_relay(void)
{
    static const cge_pass passes[] = {{NULL, one_pieces, relay_macs, relay_forward_run}};
    const cge_pass_list list = CGE_PASS_LIST(passes);
    return list;
}
