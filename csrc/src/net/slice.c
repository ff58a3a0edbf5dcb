/*
 * A step in slices. The step is a cursor and not a call tree: {sample, stage, unit, pass, piece} in net->step says which piece is
 * next, everything else is in the arena. A task is the order of stages; what a stage consists of are passes (layers/passes.h).
 * `busy` stays taken from begin to the end, so that nothing else works on the network in between.
 */
#include "samples.h"
#include "units.h"

#include "../base/exclusive.h"
#include "../base/fp_mode.h"
#include "../kernels/kernels.h"
#include "../layers/passes.h"

enum { STAGE_CLEAR, STAGE_FORWARD, STAGE_LOSS, STAGE_OUTPUT, STAGE_BOUND, STAGE_SHARED, STAGE_BACKWARD, STAGE_UPDATE };

enum { MACS_OF_MAGNITUDE = 4, MACS_OF_BOUND = 14 }; /* of a number; of one that is normalised */

typedef struct net_slice { /* passes get its first member */
    cge_pieces unit;
    cge_pass_list list; /* of the stage and unit where the cursor is */
    cge_network *net;
    cge_step *step;
} net_slice;

struct cge_slice_task {
    cge_pass_list (*stage_passes)(net_slice *s); /* of the stage and the unit where the cursor is, which is made ready */
    int (*next_stage)(net_slice *s);             /* 0: there is none */
    int measures, trains;                    /* there is a loss; the samples make a step */
};

static const net_slice *slice_of(const cge_pieces *u)
{
    return (const net_slice *)(const void *)u;
}

static const cge_unit *unit_of(const net_slice *s)
{
    return &s->net->options.plan->units[s->step->unit];
}

static const void *sample_of(const net_slice *s)
{
    return cge_sample_at(s->net, s->step->x, s->step->losses.done);
}

static const cge_real *last_output(const net_slice *s)
{
    const cge_plan *plan = s->net->options.plan;
    int32_t u = plan->unit_count - 1;
    if (plan->units[u].main < 0) u--;
    return u < 0 ? (const cge_real *)sample_of(s) : cge_tensor_at(s->net, plan->units[u].y);
}

/* Numbers one behind the other, each of which costs so much. */
static int32_t blocks_of(int32_t elems, int32_t macs)
{
    return elems > 0 ? cge_pieces_of(elems, cge_piece_of(elems, macs)) : 0;
}

static int64_t block_cost(int32_t elems, int32_t macs, int32_t piece)
{
    return (int64_t)cge_piece_elems(elems, cge_piece_of(elems, macs), piece) * macs;
}

static cge_range block_range(int32_t elems, int32_t macs, cge_range pieces)
{
    return cge_range_of(elems, cge_piece_of(elems, macs), pieces);
}

static const cge_pass_list no_passes = {NULL, 0};

/* ---- forward ---- */

/* ---- what is not cut: the units of a stem together, units with a style of their own, or that read
 * bytes ---- */

static int32_t stem_of(const net_slice *s)
{
    return cge_count_stem_units(s->net->options.plan->units, s->net->options.plan->unit_count);
}

static int32_t one_pieces(const cge_pieces *u)
{
    (void)u;
    return 1;
}

static int64_t end_macs(const cge_pieces *u, int32_t piece)
{
    (void)u, (void)piece;
    return 1;
}

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

/* Units that hand rows or channels on, and the one behind them. */
static int32_t end_of_relay(const net_slice *s, int32_t u)
{
    while ((s->net->options.plan->units[u].style & CGE_UNIT_HANDS_ROWS_ON) != 0) u++;
    return u;
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

static const cge_pass whole_forward[] = {{NULL, one_pieces, whole_macs, whole_forward_run}};
static const cge_pass whole_backward[] = {{NULL, one_pieces, whole_macs, whole_backward_run}};
static const cge_pass stem_forward[] = {{NULL, one_pieces, stem_macs, stem_forward_run}};
static const cge_pass relay_passes[] = {{NULL, one_pieces, relay_macs, relay_forward_run}};
static const cge_pass block_forward[] = {{NULL, one_pieces, block_macs, block_forward_run}};
static const cge_pass block_backward[] = {{NULL, one_pieces, block_macs, whole_backward_run}};
static const cge_pass stem_backward[] = {{NULL, one_pieces, stem_macs, stem_backward_run}};

/* ---- forward of units ---- */

static int is_cut_forward(const cge_unit_call *c)
{
    if (c->params.w_rest != NULL || c->source.model != NULL || (c->layer->kind->traits & CGE_BY_GROUPS) != 0) return 0;
    if ((c->layer->kind->traits & (CGE_BY_ROWS | CGE_BY_INPUTS | CGE_TWO_INPUTS)) != 0) return 1;
    return c->activation == NULL;
}

/* A stem is one unit here, its last. */
static cge_pass_list stage_forward(net_slice *s, int keeps_winners)
{
    const cge_pass_list whole = CGE_PASS_LIST(whole_forward), of_stem = CGE_PASS_LIST(stem_forward), of_relay = CGE_PASS_LIST(relay_passes);
    const cge_pass_list of_block = CGE_PASS_LIST(block_forward);
    cge_unit_call *c = &s->unit.c;
    const int32_t u = s->step->unit, style = unit_of(s)->style;
    if (u < stem_of(s)) return of_stem;
    if ((style & CGE_UNIT_RELAY) != 0) return of_relay;
    if ((style & CGE_UNIT_BLOCK) != 0) return of_block;
    cge_set_unit_call(s->net, s->step->params, u, sample_of(s), c);
    if (!keeps_winners) c->winners = NULL;
    c->draw.trains = keeps_winners;
    cge_set_unit_scratch(s->net, s->net->options.plan->units[u].forward, c);
    if (!is_cut_forward(c) || unit_of(s)->learns == CGE_FORGETS) return whole;
    cge_prepare_pieces(&s->unit);
    return cge_forward_passes(c);
}

static int unit_computes(const net_slice *s, int32_t u)
{
    return u < s->net->options.plan->unit_count && s->net->options.plan->units[u].main >= 0;
}

static int enter(net_slice *s, int32_t stage, int32_t unit)
{
    s->step->stage = stage;
    s->step->unit = unit;
    s->step->prepared = 0;
    return 1;
}

static int enter_sample(net_slice *s, int32_t stage_behind)
{
    const int32_t units = stem_of(s), first = units > 0 ? units - 1 : 0;
    return unit_computes(s, first) ? enter(s, STAGE_FORWARD, first) : enter(s, stage_behind, 0);
}

static int next_forward(net_slice *s, int32_t stage_behind)
{
    const int32_t next = end_of_relay(s, s->step->unit) + 1;
    return unit_computes(s, next) ? enter(s, STAGE_FORWARD, next) : enter(s, stage_behind, 0);
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
    memcpy(y + r.begin, last_output(s) + r.begin, (size_t)(r.end - r.begin) * sizeof *y);
    return CGE_OK;
}

static const cge_pass output_passes[] = {{NULL, copy_pieces, copy_macs, copy_run}};

static cge_pass_list forward_stage(net_slice *s)
{
    const cge_pass_list output = CGE_PASS_LIST(output_passes);
    return s->step->stage == STAGE_FORWARD ? stage_forward(s, 0) : output;
}

static int next_of_forward(net_slice *s)
{
    if (s->step->stage == STAGE_FORWARD) return next_forward(s, STAGE_OUTPUT);
    if (++s->step->losses.done < s->step->count) return enter_sample(s, STAGE_OUTPUT);
    return 0;
}

/* ---- losses ---- */

static int64_t loss_macs(const cge_pieces *u, int32_t piece)
{
    const cge_model *model = slice_of(u)->net->model;
    int64_t macs = (int64_t)slice_of(u)->net->out_elems * model->loss->cost;
    int32_t i;
    (void)piece;
    for (i = 0; i < model->output_count; i++) macs += (int64_t)model->outputs[i].elems * model->outputs[i].loss->cost;
    return macs;
}

/* Whoever owns the targets may have changed them since they were checked. */
static cge_status check_again(const net_slice *s)
{
    const cge_targets *targets = &s->step->targets;
    return cge_loss_of(s->net, targets)->check_targets(s->net, targets, NULL, s->step->losses.done, s->step->losses.done + 1);
}

/* ---- evaluation ---- */

static cge_status measured_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    (void)pieces;
    CGE_TRY(check_again(s));
    cge_note_sample(s->net, last_output(s), &s->step->targets, s->step->losses.done, &s->step->losses);
    return CGE_OK;
}

static const cge_pass measure_passes[] = {{NULL, one_pieces, loss_macs, measured_run}};

static cge_pass_list evaluate_stage(net_slice *s)
{
    const cge_pass_list measures = CGE_PASS_LIST(measure_passes);
    return s->step->stage == STAGE_FORWARD ? stage_forward(s, 0) : measures;
}

static int next_of_evaluate(net_slice *s)
{
    if (s->step->stage == STAGE_FORWARD) return next_forward(s, STAGE_LOSS);
    if (++s->step->losses.done < s->step->count) return enter_sample(s, STAGE_LOSS);
    if (s->step->correct != NULL) *s->step->correct = s->step->losses.correct;
    return 0;
}

/* ---- training: loss ---- */

static cge_status loss_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const cge_targets *targets = &s->step->targets;
    cge_real value;
    (void)pieces;
    if (s->step->trial == CGE_TRIED) return CGE_OK; /* the loss is known */
    CGE_TRY(check_again(s));
    value = cge_loss_of(s->net, targets)->forward(s->net, last_output(s), targets, s->step->losses.done);
    if (!cge_is_finite(value)) return CGE_ERR_NOT_FINITE;
    cge_add_loss(&s->step->losses, value);
    return CGE_OK;
}

static int32_t start_pieces(const cge_pieces *u)
{
    return cge_something_learns(slice_of(u)->net->options.plan);
}

static cge_status start_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    (void)pieces;
    CGE_TRY(check_again(s));
    cge_start_backward(s->net, last_output(s), &s->step->targets, s->step->losses.done);
    return CGE_OK;
}

/* And through the last activation. */
static int64_t start_macs(const cge_pieces *u, int32_t piece)
{
    const cge_network *net = slice_of(u)->net;
    const int32_t last = net->options.plan->units[net->options.plan->unit_count - 1].activation;
    const cge_layer *activation = last < 0 ? NULL : &net->model->layers[last];
    return 2 * loss_macs(u, piece) + (int64_t)net->out_elems * cge_activation_macs(activation) + CGE_MACS_CALL;
}

static const cge_pass loss_passes[] = {{NULL, one_pieces, loss_macs, loss_run}, {NULL, start_pieces, start_macs, start_run}};

/* ---- training: collected gradients ---- */

static int32_t grads_in(const cge_pieces *u)
{
    return slice_of(u)->net->grads != NULL ? slice_of(u)->net->grad_elems : 0;
}

static int32_t zero_pieces(const cge_pieces *u)
{
    return blocks_of(grads_in(u), 1);
}

static int64_t zero_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(grads_in(u), 1, piece);
}

static cge_status zero_run(const cge_pieces *u, cge_range pieces)
{
    const cge_range r = block_range(grads_in(u), 1, pieces);
    memset(slice_of(u)->net->grads + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *slice_of(u)->net->grads);
    return CGE_OK;
}

static const cge_optimizer_kind *optimizer_of(const cge_pieces *u)
{
    return slice_of(u)->net->optimizer.kind;
}

static int32_t check_pieces(const cge_pieces *u)
{
    return blocks_of(grads_in(u), optimizer_of(u)->check_macs);
}

static int64_t check_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(grads_in(u), optimizer_of(u)->check_macs, piece);
}

/* The mean is over all samples of the step. */
static cge_status check_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    s->net->pending = s->step->count;
    if (optimizer_of(u)->begin != NULL) (void)optimizer_of(u)->begin(s->net);
    return cge_update_range(s->net, 1, block_range(grads_in(u), optimizer_of(u)->check_macs, pieces)) ? CGE_OK : CGE_ERR_NOT_FINITE;
}

static int32_t update_pieces(const cge_pieces *u)
{
    return blocks_of(grads_in(u), optimizer_of(u)->update_macs);
}

static int64_t update_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(grads_in(u), optimizer_of(u)->update_macs, piece);
}

static cge_status update_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    s->step->changing = 1;
    (void)cge_update_range(s->net, 0, block_range(grads_in(u), optimizer_of(u)->update_macs, pieces));
    return CGE_OK;
}

static cge_status end_run(const cge_pieces *u, cge_range pieces)
{
    (void)pieces;
    slice_of(u)->net->step_count++;
    return CGE_OK;
}

static const cge_pass clear_passes[] = {{NULL, zero_pieces, zero_macs, zero_run}};
static const cge_pass update_passes[] = {{NULL, check_pieces, check_macs, check_run},
                                         {NULL, update_pieces, update_macs, update_run},
                                         {NULL, one_pieces, end_macs, end_run}};

/* ---- training: may this step be taken? As in steps.c, in blocks. ---- */

/* Else the step is tried when the stage is over. */
static cge_status bounded_or_tried(const cge_pieces *u, int is_bounded)
{
    if (!is_bounded) slice_of(u)->step->trial = CGE_TRIES;
    return CGE_OK;
}

/* Of the settings: the gradient of the last output, the parameters, the velocities. */
static cge_status rate_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const cge_plan *plan = s->net->options.plan;
    const cge_real factor = cge_begin_step_at_once(s->net);
    (void)pieces;
    s->step->bound = factor * cge_unit_magnitude(s->net->out_elems, cge_tensor_at(s->net, plan->units[plan->unit_count - 1].dy));
    return bounded_or_tried(u, factor > 0);
}

static cge_status look_at(const cge_pieces *u, const cge_real *x, int32_t elems, cge_range pieces)
{
    const cge_range r = block_range(elems, 1, pieces);
    return bounded_or_tried(u, cge_run_all_below(r.end - r.begin, x + r.begin, CGE_2_POW_64_BITS));
}

static int32_t params_in(const cge_pieces *u)
{
    return slice_of(u)->net->held_elems;
}

static int32_t param_pieces(const cge_pieces *u)
{
    return blocks_of(params_in(u), 1);
}

static int64_t param_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(params_in(u), 1, piece);
}

static cge_status param_run(const cge_pieces *u, cge_range pieces)
{
    return look_at(u, slice_of(u)->net->params, params_in(u), pieces);
}

static int32_t velocities_in(const cge_pieces *u)
{
    return slice_of(u)->net->velocity_elems;
}

static int32_t velocity_pieces(const cge_pieces *u)
{
    return blocks_of(velocities_in(u), 1);
}

static int64_t velocity_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(velocities_in(u), 1, piece);
}

static cge_status velocity_run(const cge_pieces *u, cge_range pieces)
{
    return look_at(u, slice_of(u)->net->velocity, velocities_in(u), pieces);
}

static const cge_pass setting_passes[] = {{NULL, one_pieces, loss_macs, rate_run},
                                          {NULL, param_pieces, param_macs, param_run},
                                          {NULL, velocity_pieces, velocity_macs, velocity_run}};

/* Of a unit whose output is read more than once: the sum of all gradients goes through its activation. */
static int32_t shared_pieces(const cge_pieces *u)
{
    return unit_of(slice_of(u))->shared != 0;
}

static cge_status shared_run(const cge_pieces *u, cge_range pieces)
{
    (void)pieces;
    slice_of(u)->step->bound *= cge_slope_of(u->c.activation);
    return CGE_OK;
}

static int is_norm(const cge_pieces *u)
{
    return (u->c.layer->kind->traits & CGE_BY_GROUPS) != 0;
}

/* Of a unit that learns: the largest |x|, of which the bounds of its gradients follow. Behind a stem it is known. */
static int32_t inputs_of_learning(const cge_pieces *u)
{
    const net_slice *s = slice_of(u);
    if (cge_layer_plans(s->net)[unit_of(s)->main].grads < 0) return 0;
    return u->c.x == NULL || u->c.params.dw == NULL || is_norm(u) ? 1 : cge_shape_elems(u->c.in);
}

/* Of a normalisation; a transposed convolution looks at its weights, too. */
static int64_t macs_of_bounds(const cge_pieces *u)
{
    const net_slice *s = slice_of(u);
    const int64_t weights = cge_layer_plans(s->net)[unit_of(s)->main].weights;
    return (int64_t)MACS_OF_BOUND * cge_shape_elems(u->c.in) + MACS_OF_MAGNITUDE * weights;
}

static int32_t magnitude_pieces(const cge_pieces *u)
{
    return blocks_of(inputs_of_learning(u), MACS_OF_MAGNITUDE);
}

static int64_t magnitude_macs(const cge_pieces *u, int32_t piece)
{
    if (u->c.source.model != NULL) return (int64_t)MACS_OF_MAGNITUDE * cge_shape_elems(u->c.in);
    if (is_norm(u)) return macs_of_bounds(u);
    return block_cost(inputs_of_learning(u), MACS_OF_MAGNITUDE, piece);
}

static cge_real magnitude_of(const cge_pieces *u, cge_range r)
{
    const cge_x_source *source = &u->c.source;
    if (source->model != NULL) return source->model->input_kind->magnitude(source, cge_shape_elems(u->c.in));
    if (is_norm(u)) return cge_norm_bound(&u->c, 1);
    return u->c.x == NULL ? slice_of(u)->step->largest : cge_unit_magnitude(r.end - r.begin, u->c.x + r.begin);
}

/* The largest of what was seen before, from piece 0 on, and x. */
static void take_most(cge_real *most, cge_real x, int32_t piece)
{
    if (piece == 0 || !(x <= *most)) *most = x;
}

static cge_status magnitude_run(const cge_pieces *u, cge_range pieces)
{
    cge_step *step = slice_of(u)->step;
    const cge_range r = block_range(inputs_of_learning(u), MACS_OF_MAGNITUDE, pieces);
    const int by_rows = (u->c.layer->kind->traits & CGE_BY_ROWS) != 0;
    const cge_real db = step->bound * CGE_REAL(by_rows ? cge_conv2d_unit_positions(&u->c) : 1);
    take_most(&step->gain, magnitude_of(u, r), pieces.begin);
    if (pieces.end < magnitude_pieces(u)) return CGE_OK;
    return bounded_or_tried(u, cge_is_bounded(db) &&
                                   ((u->c.params.dw == NULL && !is_norm(u)) || cge_is_bounded(db * step->gain)));
}

/* Of a unit whose dx somebody reads: the largest |dx| over |dy|, some inputs at a time: channels of a convolution. */
static int32_t gain_inputs(const cge_pieces *u)
{
    const net_slice *s = slice_of(u);
    if (!cge_unit_hands_on(s->net->options.plan, unit_of(s))) return 0;
    if ((u->c.layer->kind->traits & CGE_BY_ROWS) != 0) return u->c.in.c;
    return (u->c.layer->kind->traits & CGE_BY_INPUTS) != 0 ? cge_shape_elems(u->c.in) : 1;
}

static int32_t macs_of_gain(const cge_pieces *u)
{
    int32_t taps;
    if (is_norm(u)) return cge_macs_word(macs_of_bounds(u));
    taps = (u->c.layer->kind->traits & CGE_BY_ROWS) != 0 ? u->p.g.kernel_h * u->p.g.kernel_w : 1;
    return 6 * taps * ((u->c.layer->kind->traits & CGE_BY_ROWS) != 0 ? u->p.group_out : u->c.map.c) + 16;
}

static int32_t gain_pieces(const cge_pieces *u)
{
    return blocks_of(gain_inputs(u), macs_of_gain(u));
}

static int64_t gain_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(gain_inputs(u), macs_of_gain(u), piece);
}

static cge_real gain_of_channels(const cge_pieces *u, cge_range channels)
{
    cge_real most = 0;
    int32_t i;
    for (i = channels.begin; i < channels.end; i++)
        take_most(&most, cge_conv2d_channel_gain(&u->p, u->c.params.w, i / u->p.group_in, i % u->p.group_in), i - channels.begin);
    return most;
}

static cge_real gain_of_inputs(const cge_pieces *u, cge_range inputs)
{
    if ((u->c.layer->kind->traits & CGE_BY_ROWS) != 0) return gain_of_channels(u, inputs);
    if ((u->c.layer->kind->traits & CGE_BY_INPUTS) != 0) return cge_dense_inputs_gain(&u->c, inputs);
    return cge_layer_gain(&u->c);
}

/* Without skips and branches the bound is that of one unit's gradient after the other; with them, of all so far. */
static cge_status gain_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    cge_step *step = s->step;
    const cge_real keeps = cge_is_chain_of_units(s->net->options.plan) ? CGE_REAL(0) : CGE_REAL(1);
    take_most(&step->gain, gain_of_inputs(u, block_range(gain_inputs(u), macs_of_gain(u), pieces)), pieces.begin);
    if (pieces.end == gain_pieces(u)) step->bound *= keeps + step->gain * cge_slope_below(s->net, unit_of(s));
    return CGE_OK;
}

static const cge_pass bound_passes[] = {{NULL, shared_pieces, end_macs, shared_run},
                                        {NULL, magnitude_pieces, magnitude_macs, magnitude_run},
                                        {NULL, gain_pieces, gain_macs, gain_run}};

/* First the settings, as unit_count. */
static cge_pass_list stage_bound(net_slice *s)
{
    const cge_pass_list settings = CGE_PASS_LIST(setting_passes), bounds = CGE_PASS_LIST(bound_passes);
    if (s->step->unit == s->net->options.plan->unit_count) return settings;
    cge_set_unit_call(s->net, s->step->params, s->step->unit, sample_of(s), &s->unit.c);
    cge_mark_what_learns(s->net, unit_of(s)->main, &s->unit.c.params);
    cge_prepare_pieces(&s->unit);
    return bounds;
}

/* ---- training ---- */

/* What learns in another order is not cut. */
static int is_cut_backward(const cge_unit *unit, const cge_unit_call *c)
{
    const int in_parts = (c->layer->kind->traits & (CGE_BY_ROWS | CGE_BY_INPUTS)) != 0;
    if ((c->layer->kind->traits & CGE_BY_GROUPS) != 0) return 0;
    if (c->source.model != NULL) return 0;
    if (unit->x[1] != CGE_NO_UNIT) return 1;
    return in_parts ? (c->style & (CGE_UNIT_DX_FIRST | CGE_UNIT_DX_APART)) == 0 : c->dx != c->x;
}

/* ---- backward of a unit that others read more than once: through its activation ---- */

static int32_t macs_behind(const cge_pieces *u)
{
    return cge_activation_macs(u->c.activation);
}

static int32_t behind_pieces(const cge_pieces *u)
{
    return blocks_of(cge_shape_elems(u->c.out), macs_behind(u));
}

static int64_t behind_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(cge_shape_elems(u->c.out), macs_behind(u), piece);
}

static cge_status behind_run(const cge_pieces *u, cge_range pieces)
{
    cge_shared_backward(&u->c, block_range(cge_shape_elems(u->c.out), macs_behind(u), pieces));
    return CGE_OK;
}

static const cge_pass behind_passes[] = {{NULL, behind_pieces, behind_macs, behind_run}};

/* ---- backward of two inputs, the second first: some pixels, of which there is room for a row ---- */

static int32_t merged_pixels(const cge_pieces *u)
{
    return u->c.map.h * u->c.map.w;
}

static const cge_layer *activation_of_source(const net_slice *s, int slot)
{
    const int32_t source = unit_of(s)->x[slot], activation = source < 0 ? -1 : s->net->options.plan->units[source].activation;
    return activation < 0 ? NULL : &s->net->model->layers[activation];
}

static int64_t merged_pixel_macs(const cge_pieces *u)
{
    const int32_t first = cge_activation_macs(activation_of_source(slice_of(u), 0));
    const int32_t second = cge_activation_macs(activation_of_source(slice_of(u), 1));
    return (int64_t)u->c.map.c * (CGE_MACS_MERGE + (first > second ? first : second));
}

static int32_t merged_pixels_of_piece(const cge_pieces *u)
{
    const int32_t pixels = cge_piece_of(merged_pixels(u), merged_pixel_macs(u));
    return pixels < u->c.map.w ? pixels : u->c.map.w;
}

static int32_t merged_pieces(const cge_pieces *u)
{
    return 2 * cge_pieces_of(merged_pixels(u), merged_pixels_of_piece(u));
}

static int64_t merged_macs(const cge_pieces *u, int32_t piece)
{
    (void)piece;
    return merged_pixels_of_piece(u) * merged_pixel_macs(u);
}

static cge_status merged_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const int32_t part = merged_pixels_of_piece(u), of_slot = cge_pieces_of(merged_pixels(u), part);
    for (; pieces.begin < pieces.end; pieces.begin++) {
        const int slot = pieces.begin < of_slot;
        const int32_t piece = slot == 1 ? pieces.begin : pieces.begin - of_slot;
        cge_unit_call c = u->c;
        cge_range pixels;
        pixels.begin = piece * part;
        pixels.end = pixels.begin + cge_piece_elems(merged_pixels(u), part, piece);
        cge_merge_backward(s->net, unit_of(s), slot, sample_of(s), pixels, &c);
    }
    return CGE_OK;
}

static const cge_pass merged_passes[] = {{NULL, merged_pieces, merged_macs, merged_run}};

static cge_pass_list stage_shared(net_slice *s)
{
    const cge_pass_list behind = CGE_PASS_LIST(behind_passes);
    cge_set_backward_call(s->net, s->step->unit, sample_of(s), &s->unit.c);
    return is_cut_backward(unit_of(s), &s->unit.c) ? behind : no_passes;
}

static cge_pass_list stage_backward(net_slice *s)
{
    const cge_pass_list whole = CGE_PASS_LIST(whole_backward), of_stem = CGE_PASS_LIST(stem_backward);
    const cge_pass_list merged = CGE_PASS_LIST(merged_passes), of_block = CGE_PASS_LIST(block_backward);
    if (s->step->unit < stem_of(s)) return of_stem;
    if (cge_unit_learns_with_others(unit_of(s))) return of_block;
    cge_set_backward_call(s->net, s->step->unit, sample_of(s), &s->unit.c);
    if (!is_cut_backward(unit_of(s), &s->unit.c)) return whole;
    if (unit_of(s)->x[1] != CGE_NO_UNIT) return merged;
    cge_prepare_pieces(&s->unit);
    return cge_backward_passes(&s->unit.c);
}

static cge_pass_list train_stage(net_slice *s)
{
    const cge_pass_list clears = CGE_PASS_LIST(clear_passes), losses = CGE_PASS_LIST(loss_passes), updates = CGE_PASS_LIST(update_passes);
    switch (s->step->stage) {
    case STAGE_CLEAR: return clears;
    case STAGE_FORWARD: return stage_forward(s, 1);
    case STAGE_LOSS: return losses;
    case STAGE_BOUND: return stage_bound(s);
    case STAGE_SHARED: return stage_shared(s);
    case STAGE_BACKWARD: return stage_backward(s);
    default: return updates;
    }
}

/* A trial leaves gradients where outputs were. */
static int end_sample(net_slice *s)
{
    if (s->step->trial == CGE_TRIES) {
        s->step->trial = CGE_TRIED;
        return enter_sample(s, STAGE_LOSS);
    }
    return ++s->step->losses.done < s->step->count ? enter_sample(s, STAGE_LOSS) : enter(s, STAGE_UPDATE, 0);
}

/* The units from `unit` down that learn; those of a stem come together. Where layers learn at once, backward is what changes
 * them, but for a trial. */
static int enter_backward(net_slice *s, int32_t unit)
{
    const cge_unit *units = s->net->options.plan->units;
    if (s->net->options.plan->level->at_once && s->step->trial != CGE_TRIES) s->step->changing = 1;
    while (unit >= 0 && (!units[unit].learns || cge_rests_backward(units, unit))) unit--;
    if (unit < 0) return end_sample(s);
    if (cge_is_shared_behind(s->net->options.plan, unit) && !cge_unit_learns_with_others(&units[unit])) return enter(s, STAGE_SHARED, unit);
    return enter(s, STAGE_BACKWARD, unit);
}

static int next_backward(net_slice *s)
{
    return s->step->unit < stem_of(s) ? end_sample(s) : enter_backward(s, s->step->unit - 1);
}

static int enter_bound(net_slice *s, int32_t unit)
{
    const cge_plan *plan = s->net->options.plan;
    while (unit >= 0 && !plan->units[unit].learns) unit--;
    return unit < 0 || s->step->trial == CGE_TRIES ? enter_backward(s, plan->unit_count - 1) : enter(s, STAGE_BOUND, unit);
}

static int behind_loss(net_slice *s)
{
    const cge_plan *plan = s->net->options.plan;
    if (!cge_something_learns(plan)) return end_sample(s);
    if (plan->level->at_once && s->step->trial == CGE_ASKS) return enter(s, STAGE_BOUND, plan->unit_count);
    return enter_backward(s, plan->unit_count - 1);
}

static int next_of_train(net_slice *s)
{
    switch (s->step->stage) {
    case STAGE_CLEAR: return enter_sample(s, STAGE_LOSS);
    case STAGE_FORWARD: return next_forward(s, STAGE_LOSS);
    case STAGE_LOSS: return behind_loss(s);
    case STAGE_BOUND: return enter_bound(s, s->step->unit - 1);
    case STAGE_SHARED: return enter(s, STAGE_BACKWARD, s->step->unit);
    case STAGE_BACKWARD: return next_backward(s);
    default: return 0;
    }
}

/* ---- tasks ---- */

static const cge_slice_task task_forward = {forward_stage, next_of_forward, 0, 0};
static const cge_slice_task task_evaluate = {evaluate_stage, next_of_evaluate, 1, 0};
static const cge_slice_task task_train = {train_stage, next_of_train, 1, 1};

/* The cursor at the first piece of a task; the caller adds what only some tasks have. */
static cge_step first_piece(const cge_network *net, const cge_slice_task *task, const void *x, int32_t count)
{
    cge_step step;
    net_slice s;
    memset(&step, 0, sizeof step);
    step.x = x;
    step.count = count;
    step.params = CGE_LOAD_POINTER(net->params);
    step.trains = (int16_t)task->trains;
    s.net = (cge_network *)(uintptr_t)net; /* read only */
    s.step = &step;
    if (task->trains)
        (void)enter(&s, STAGE_CLEAR, 0);
    else
        (void)enter_sample(&s, task->measures ? STAGE_LOSS : STAGE_OUTPUT);
    return step;
}

/* The task comes last: it tells an interrupt that there is something to resume. */
static cge_status begin_step(cge_network *net, const cge_slice_task *task, const cge_step *step)
{
    CGE_TRY(cge_network_take(net));
    net->step = *step;
    if (task->trains) net->pending = 0;
    CGE_STORE_POINTER(net->step.task, task);
    return CGE_OK;
}

static void end_step(cge_network *net)
{
    if (net->step.task->trains) net->pending = 0;
    net->step.trial = CGE_ASKS;
    CGE_STORE_POINTER(net->step.task, NULL);
    cge_release(&net->step.at_work);
    cge_network_release(net);
}

/* Takes the step, if there is one: then *at_work is 1. */
static cge_status take_step(cge_network *net)
{
    CGE_TRY(cge_check_network(net));
    if (CGE_LOAD_POINTER(net->step.task) == NULL) return CGE_ERR_MODE;
    if (!cge_take(&net->step.at_work)) return CGE_ERR_BUSY;
    if (CGE_LOAD_POINTER(net->step.task) != NULL) return CGE_OK;
    cge_release(&net->step.at_work); /* somebody ended it just now */
    return CGE_ERR_MODE;
}

/* What is left of a slice. */
typedef struct slice_left {
    int64_t macs;
    int ran;        /* something was done, so that the rest may wait */
    int unit_stays; /* what describes the unit and its pass is there in the next slice */
} slice_left;

/* As many pieces of a pass as fit, from number `begin` on; but one of a slice in any case. */
static int32_t pieces_that_fit(const net_slice *s, const cge_pass *of, int32_t begin, int32_t count, slice_left *left)
{
    cge_pass_macs *const macs = of->macs;
    int64_t room = left->macs;
    int32_t end = begin;
    if (!left->ran) room -= macs(&s->unit, end++) + CGE_MACS_CALL;
    for (; end < count && room > CGE_MACS_CALL; end++) {
        const int64_t rest = room - macs(&s->unit, end) - CGE_MACS_CALL;
        if (rest < 0) break;
        room = rest;
    }
    left->macs = room;
    left->ran = 1;
    return end;
}

/* What pieces did not need is left for others. */
static cge_status run_pass(net_slice *s, const cge_pass *of, slice_left *left)
{
    cge_step *step = s->step;
    const int32_t count = of->pieces(&s->unit);
    s->unit.saved = &left->macs;
    while (step->piece < count) {
        cge_range pieces;
        pieces.begin = step->piece;
        pieces.end = pieces_that_fit(s, of, pieces.begin, count, left);
        if (pieces.end == pieces.begin) return CGE_AGAIN;
        CGE_TRY(of->run_pieces(&s->unit, pieces));
        step->piece = pieces.end;
    }
    step->piece = 0;
    return CGE_OK;
}

/* How far a step is prepared (cge_step.prepared). */
enum { PREPARED_UNIT = 1, PREPARED_PASS };

static void prepare_unit(net_slice *s)
{
    s->list = s->step->task->stage_passes(s);
    s->step->prepared = PREPARED_UNIT;
}

/* Does the pass where the cursor is have something to work out? Not if they are all done. */
static int is_to_be_cut(const net_slice *s)
{
    return s->step->pass < s->list.count && s->list.passes[s->step->pass].cut != NULL;
}

static void cut_pass(net_slice *s)
{
    if (is_to_be_cut(s)) s->list.passes[s->step->pass].cut(&s->unit);
    s->step->prepared = PREPARED_PASS;
}

/* What comes before pieces takes its part of the slice, too. Where it stays a slice may consist of it. */
static cge_status claim_macs(slice_left *left, int32_t macs)
{
    if (left->ran && left->macs < macs) return CGE_AGAIN;
    left->macs -= macs;
    left->ran |= left->unit_stays;
    return CGE_OK;
}

/* The stage's passes, and the one where the cursor is ready for its pieces. */
CGE_NOINLINE cge_status prepare(net_slice *s, slice_left *left)
{
    if (s->step->prepared == 0) {
        CGE_TRY(claim_macs(left, CGE_MACS_UNIT));
        prepare_unit(s);
    }
    if (is_to_be_cut(s)) CGE_TRY(claim_macs(left, CGE_MACS_CUT));
    cut_pass(s);
    return CGE_OK;
}

static cge_status go_on(net_slice *s, slice_left *left)
{
    cge_step *step = s->step;
    do {
        for (;;) {
            if (step->prepared != PREPARED_PASS) CGE_TRY(prepare(s, left));
            if (step->pass == s->list.count) break;
            CGE_TRY(run_pass(s, &s->list.passes[step->pass], left));
            step->pass++;
            step->prepared = PREPARED_UNIT;
        }
        step->pass = 0;
    } while (step->task->next_stage(s));
    return CGE_OK;
}

/* Between two slices the unit stays where the levels for slices have room for it: behind the activations. Where there is none
 * it is described again. */
static int keeps_unit(const cge_network *net)
{
    return sizeof(net_slice) <= CGE_SLICE_ELEMS * sizeof(cge_real) && net->options.plan->level->one_by_one;
}

static net_slice *kept_unit(const cge_network *net)
{
    return (net_slice *)(void *)(net->activations + net->options.plan->peak_elems);
}

static cge_status go_on_with(cge_network *net, net_slice *s, int64_t budget, int unit_stays)
{
    slice_left left;
    cge_status status;
    left.macs = budget - CGE_MACS_RESUME;
    left.ran = 0;
    left.unit_stays = unit_stays;
    s->net = net;
    s->step = &net->step;
    if (net->step.prepared && s->unit.c.params.optimizer != NULL) s->unit.c.params.optimizer = &net->optimizer; /* the struct may have been moved */
    status = go_on(s, &left);
    s->unit.saved = NULL; /* the unit may stay, what is left does not */
    return status;
}

CGE_NOINLINE cge_status go_on_afresh(cge_network *net, int64_t budget)
{
    net_slice s;
    net->step.prepared = 0;
    return go_on_with(net, &s, budget, 0);
}

/* ---- public calls ---- */

/* One sample after the other, by a plan. */
static int trains_in_slices(const cge_network *net)
{
    return cge_runs_units(&net->options) && !net->options.plan->level->holds_several;
}

cge_status cge_network_train_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count)
{
    const cge_sample_list list = {x, targets, NULL};
    cge_step step;
    CGE_TRY(cge_check_training_mode(net));
    if (!trains_in_slices(net)) return CGE_ERR_MODE;
    CGE_TRY(cge_check_targets_call(net, &list, count));
    CGE_TRY(cge_check_optimizer(net));
    if (net->grads == NULL && count > 1) return CGE_ERR_ARGUMENT;
    step = first_piece(net, &task_train, x, count);
    step.targets = *targets;
    return begin_step(net, &task_train, &step);
}

cge_status cge_network_evaluate_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t *correct)
{
    const cge_sample_list list = {x, targets, NULL};
    cge_step step;
    CGE_TRY(cge_check_network(net));
    if (!cge_runs_units(&net->options)) return CGE_ERR_MODE;
    CGE_TRY(cge_check_targets_call(net, &list, count));
    step = first_piece(net, &task_evaluate, x, count);
    step.targets = *targets;
    step.correct = correct;
    return begin_step(net, &task_evaluate, &step);
}

cge_status cge_network_forward_begin(cge_network *net, const void *x, int32_t count, cge_real *y)
{
    cge_step step;
    CGE_TRY(cge_check_samples(net, x, count));
    CGE_TRY(cge_check_buffer(y));
    if (!cge_runs_units(&net->options)) return CGE_ERR_MODE;
    step = first_piece(net, &task_forward, x, count);
    step.y = y;
    return begin_step(net, &task_forward, &step);
}

cge_status cge_network_resume(cge_network *net, int64_t budget_macs, cge_real *mean_loss)
{
    CGE_OWN_FP_MODE
    cge_status status;
    CGE_TRY(cge_check_network(net));
    if (budget_macs < 1) return CGE_ERR_ARGUMENT;
    if (mean_loss != NULL) CGE_TRY(cge_check_buffer(mean_loss));
    CGE_TRY(take_step(net));
    status = keeps_unit(net) ? go_on_with(net, kept_unit(net), budget_macs, 1) : go_on_afresh(net, budget_macs);
    if (status == CGE_AGAIN) {
        cge_release(&net->step.at_work);
        return status;
    }
    if (status == CGE_OK && mean_loss != NULL && net->step.task->measures) *mean_loss = cge_loss_mean(&net->step.losses, net->step.count);
    end_step(net);
    return status;
}

cge_status cge_network_abort(cge_network *net)
{
    CGE_TRY(take_step(net));
    if (net->step.changing) {
        cge_release(&net->step.at_work);
        return CGE_ERR_MODE;
    }
    end_step(net);
    return CGE_OK;
}

/* Beside its pieces, at most. */
static int32_t macs_of_slice(const cge_network *net)
{
    const int stays = net->options.plan->level->one_by_one;
    return CGE_MACS_RESUME + (stays ? 0 : CGE_MACS_UNIT + CGE_MACS_CUT);
}

static int64_t largest_piece(net_slice *s)
{
    int64_t largest = 0;
    for (prepare_unit(s); s->step->pass < s->list.count; s->step->pass++) {
        const cge_pass *of = &s->list.passes[s->step->pass];
        int32_t piece, pieces;
        cut_pass(s);
        pieces = of->pieces(&s->unit);
        for (piece = 0; piece < pieces; piece++) {
            const int64_t macs = of->macs(&s->unit, piece) + CGE_MACS_CALL;
            if (macs > largest) largest = macs;
        }
    }
    s->step->pass = 0;
    return largest;
}

/* A step of one sample is walked through, and nothing is run. */
cge_status cge_network_largest_slice(const cge_network *net, int64_t *macs)
{
    const cge_slice_task *task;
    int64_t largest = 0;
    cge_step step;
    net_slice s;
    CGE_TRY(cge_check_network(net));
    if (macs == NULL) return CGE_ERR_NULL;
    if (!cge_runs_units(&net->options) || (net->options.training && !trains_in_slices(net))) return CGE_ERR_MODE;
    task = net->options.training ? &task_train : &task_forward;
    step = first_piece(net, task, net->activations, 1);
    step.task = task;
    s.net = (cge_network *)(uintptr_t)net; /* read only */
    s.step = &step;
    do {
        const int64_t of_stage = largest_piece(&s);
        if (of_stage > largest) largest = of_stage;
    } while (task->next_stage(&s));
    *macs = largest + macs_of_slice(net);
    return CGE_OK;
}
