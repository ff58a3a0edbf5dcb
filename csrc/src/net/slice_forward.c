/* Slices: forward of units, prediction and evaluation. */
#include "slice.h"

CGE_INTERNAL const cge_real *cge_slice_last_output(const net_slice *s)
{
    const cge_plan *plan = s->net->options.plan;
    int32_t u = plan->unit_count - 1;
    if (plan->units[u].main < 0) u--;
    return u < 0 ? (const cge_real *)sample_of(s) : cge_tensor_at(s->net, plan->units[u].y);
}

/* ---- forward of units ---- */

static int is_cut_forward(const cge_unit_call *c)
{
    if (c->params.w_rest != NULL || c->source.model != NULL || (c->layer->kind->traits & CGE_BY_GROUPS) != 0) return 0;
    if ((c->layer->kind->traits & (CGE_BY_ROWS | CGE_BY_INPUTS | CGE_TWO_INPUTS)) != 0) return 1;
    return c->activation == NULL;
}

/* A stem is one unit here, its last. */
CGE_INTERNAL cge_pass_list cge_slice_forward(net_slice *s, int keeps_winners)
{
    cge_unit_call *c = &s->unit.c;
    const int32_t u = s->step->unit, style = unit_of(s)->style;
    if (u < stem_of(s)) return cge_slice_stem(0);
    if ((style & CGE_UNIT_RELAY) != 0) return cge_slice_relay();
    if ((style & CGE_UNIT_BLOCK) != 0) return cge_slice_block(0);
    cge_set_unit_call(s->net, s->step->params, u, sample_of(s), c);
    if (!keeps_winners) c->winners = NULL;
    c->draw.trains = keeps_winners;
    cge_set_unit_scratch(s->net, s->net->options.plan->units[u].forward, c);
    if (!is_cut_forward(c) || unit_of(s)->learns == CGE_FORGETS) return cge_slice_whole_unit(0);
    cge_prepare_pieces(&s->unit);
    return cge_forward_passes(c);
}

static int unit_computes(const net_slice *s, int32_t u)
{
    return u < s->net->options.plan->unit_count && s->net->options.plan->units[u].main >= 0;
}

CGE_INTERNAL int cge_slice_enter(net_slice *s, int32_t stage, int32_t unit)
{
    s->step->stage = stage;
    s->step->unit = unit;
    s->step->prepared = 0;
    return 1;
}

CGE_INTERNAL int cge_slice_enter_sample(net_slice *s, int32_t stage_behind)
{
    const int32_t units = stem_of(s), first = units > 0 ? units - 1 : 0;
    return unit_computes(s, first) ? cge_slice_enter(s, STAGE_FORWARD, first) : cge_slice_enter(s, stage_behind, 0);
}

CGE_INTERNAL int cge_slice_next_forward(net_slice *s, int32_t stage_behind)
{
    const int32_t next = end_of_relay(s, s->step->unit) + 1;
    return unit_computes(s, next) ? cge_slice_enter(s, STAGE_FORWARD, next) : cge_slice_enter(s, stage_behind, 0);
}

/* ---- prediction ---- */

static int32_t copy_pieces(const cge_pieces *u)
{
    return blocks_of(slice_of(u)->net->out_elems, 1);
}

static int64_t copy_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(slice_of(u)->net->out_elems, 1, piece);
}

static cge_status copy_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const int32_t n = s->net->out_elems;
    const cge_range r = block_range(n, 1, pieces);
    cge_real *y = s->step->y + (size_t)s->step->losses.done * (size_t)n;
    memcpy(y + r.begin, cge_slice_last_output(s) + r.begin, (size_t)(r.end - r.begin) * sizeof *y);
    return CGE_OK;
}

static const cge_pass output_passes[] = {{NULL, copy_pieces, copy_macs, copy_run}};

CGE_INTERNAL cge_pass_list cge_slice_stage_of_forward(net_slice *s)
{
    const cge_pass_list output = CGE_PASS_LIST(output_passes);
    return s->step->stage == STAGE_FORWARD ? cge_slice_forward(s, 0) : output;
}

CGE_INTERNAL int cge_slice_next_of_forward(net_slice *s)
{
    if (s->step->stage == STAGE_FORWARD) return cge_slice_next_forward(s, STAGE_OUTPUT);
    if (++s->step->losses.done < s->step->count) return cge_slice_enter_sample(s, STAGE_OUTPUT);
    return 0;
}

/* ---- losses ---- */

CGE_INTERNAL int64_t cge_slice_loss_macs(const cge_pieces *u, int32_t piece)
{
    const cge_model *model = slice_of(u)->net->model;
    int64_t macs = (int64_t)slice_of(u)->net->out_elems * model->loss->cost;
    int32_t i;
    (void)piece;
    for (i = 0; i < model->output_count; i++) macs += (int64_t)model->outputs[i].elems * model->outputs[i].loss->cost;
    return macs;
}

/* Whoever owns the targets may have changed them since they were checked. */
CGE_INTERNAL cge_status cge_slice_check_again(const net_slice *s)
{
    const cge_targets *targets = &s->step->targets;
    return cge_loss_of(s->net, targets)->check_targets(s->net, targets, NULL, s->step->losses.done, s->step->losses.done + 1);
}

/* ---- evaluation ---- */

static cge_status measured_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    (void)pieces;
    CGE_TRY(cge_slice_check_again(s));
    cge_note_sample(s->net, cge_slice_last_output(s), &s->step->targets, s->step->losses.done, &s->step->losses);
    return CGE_OK;
}

static const cge_pass measure_passes[] = {{NULL, one_pieces, cge_slice_loss_macs, measured_run}};

CGE_INTERNAL cge_pass_list cge_slice_stage_of_evaluate(net_slice *s)
{
    const cge_pass_list measures = CGE_PASS_LIST(measure_passes);
    return s->step->stage == STAGE_FORWARD ? cge_slice_forward(s, 0) : measures;
}

CGE_INTERNAL int cge_slice_next_of_evaluate(net_slice *s)
{
    if (s->step->stage == STAGE_FORWARD) return cge_slice_next_forward(s, STAGE_LOSS);
    if (++s->step->losses.done < s->step->count) return cge_slice_enter_sample(s, STAGE_LOSS);
    if (s->step->correct != NULL) *s->step->correct = s->step->losses.correct;
    return 0;
}
