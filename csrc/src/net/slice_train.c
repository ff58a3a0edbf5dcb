/* Slices: training. May the step be taken, as in steps.c; backward; the update. */
#include "slice.h"

#include "../kernels/kernels.h"

enum { MACS_OF_MAGNITUDE = 4, MACS_OF_BOUND = 14 }; /* of a number; of one that is normalised */

static const cge_pass_list no_passes = {NULL, 0};

/* ---- training: loss ---- */

static cge_status loss_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const cge_targets *targets = &s->step->targets;
    cge_real value;
    (void)pieces;
    if (s->step->trial == CGE_TRIED) return CGE_OK; /* the loss is known */
    CGE_TRY(cge_slice_check_again(s));
    value = cge_loss_of(s->net, targets)->forward(s->net, cge_slice_last_output(s), targets, s->step->losses.done);
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
    CGE_TRY(cge_slice_check_again(s));
    cge_start_backward(s->net, cge_slice_last_output(s), &s->step->targets, s->step->losses.done);
    return CGE_OK;
}

/* And through the last activation. */
static int64_t start_macs(const cge_pieces *u, int32_t piece)
{
    const cge_network *net = slice_of(u)->net;
    const int32_t last = net->options.plan->units[net->options.plan->unit_count - 1].activation;
    const cge_layer *activation = last < 0 ? NULL : &net->model->layers[last];
    return 2 * cge_slice_loss_macs(u, piece) + (int64_t)net->out_elems * cge_activation_macs(activation) + CGE_MACS_CALL;
}

static const cge_pass loss_passes[] = {{NULL, one_pieces, cge_slice_loss_macs, loss_run}, {NULL, start_pieces, start_macs, start_run}};

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

enum { PASS_OF_PARAMS = 1 }; /* of setting_passes; behind it is that of the velocities */

static int32_t settings_in(const cge_pieces *u)
{
    const net_slice *s = slice_of(u);
    return s->step->pass == PASS_OF_PARAMS ? s->net->held_elems : s->net->velocity_elems;
}

static int32_t setting_pieces(const cge_pieces *u)
{
    return blocks_of(settings_in(u), 1);
}

static int64_t setting_macs(const cge_pieces *u, int32_t piece)
{
    return block_cost(settings_in(u), 1, piece);
}

static cge_status setting_run(const cge_pieces *u, cge_range pieces)
{
    const net_slice *s = slice_of(u);
    const cge_real *x = s->step->pass == PASS_OF_PARAMS ? s->net->params : s->net->velocity;
    const cge_range r = block_range(settings_in(u), 1, pieces);
    return bounded_or_tried(u, cge_run_all_below(r.end - r.begin, x + r.begin, CGE_2_POW_64_BITS));
}

static const cge_pass setting_passes[] = {{NULL, one_pieces, cge_slice_loss_macs, rate_run},
                                          {NULL, setting_pieces, setting_macs, setting_run},
                                          {NULL, setting_pieces, setting_macs, setting_run}};

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
    const cge_pass_list merged = CGE_PASS_LIST(merged_passes);
    if (s->step->unit < stem_of(s)) return cge_slice_stem(1);
    if (cge_unit_learns_with_others(unit_of(s))) return cge_slice_block(1);
    cge_set_backward_call(s->net, s->step->unit, sample_of(s), &s->unit.c);
    if (!is_cut_backward(unit_of(s), &s->unit.c)) return cge_slice_whole_unit(1);
    if (unit_of(s)->x[1] != CGE_NO_UNIT) return merged;
    cge_prepare_pieces(&s->unit);
    return cge_backward_passes(&s->unit.c);
}

CGE_INTERNAL cge_pass_list cge_slice_stage_of_train(net_slice *s)
{
    const cge_pass_list clears = CGE_PASS_LIST(clear_passes), losses = CGE_PASS_LIST(loss_passes), updates = CGE_PASS_LIST(update_passes);
    switch (s->step->stage) {
    case STAGE_CLEAR: return clears;
    case STAGE_FORWARD: return cge_slice_forward(s, 1);
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
        return cge_slice_enter_sample(s, STAGE_LOSS);
    }
    return ++s->step->losses.done < s->step->count ? cge_slice_enter_sample(s, STAGE_LOSS) : cge_slice_enter(s, STAGE_UPDATE, 0);
}

/* The units from `unit` down that learn; those of a stem come together. Where layers learn at once, backward is what changes
 * them, but for a trial. */
static int enter_backward(net_slice *s, int32_t unit)
{
    const cge_unit *units = s->net->options.plan->units;
    if (s->net->options.plan->level->at_once && s->step->trial != CGE_TRIES) s->step->changing = 1;
    while (unit >= 0 && (!units[unit].learns || cge_rests_backward(units, unit))) unit--;
    if (unit < 0) return end_sample(s);
    if (cge_is_shared_behind(s->net->options.plan, unit) && !cge_unit_learns_with_others(&units[unit])) return cge_slice_enter(s, STAGE_SHARED, unit);
    return cge_slice_enter(s, STAGE_BACKWARD, unit);
}

static int next_backward(net_slice *s)
{
    return s->step->unit < stem_of(s) ? end_sample(s) : enter_backward(s, s->step->unit - 1);
}

static int enter_bound(net_slice *s, int32_t unit)
{
    const cge_plan *plan = s->net->options.plan;
    while (unit >= 0 && !plan->units[unit].learns) unit--;
    return unit < 0 || s->step->trial == CGE_TRIES ? enter_backward(s, plan->unit_count - 1) : cge_slice_enter(s, STAGE_BOUND, unit);
}

static int behind_loss(net_slice *s)
{
    const cge_plan *plan = s->net->options.plan;
    if (!cge_something_learns(plan)) return end_sample(s);
    if (plan->level->at_once && s->step->trial == CGE_ASKS) return cge_slice_enter(s, STAGE_BOUND, plan->unit_count);
    return enter_backward(s, plan->unit_count - 1);
}

CGE_INTERNAL int cge_slice_next_of_train(net_slice *s)
{
    switch (s->step->stage) {
    case STAGE_CLEAR: return cge_slice_enter_sample(s, STAGE_LOSS);
    case STAGE_FORWARD: return cge_slice_next_forward(s, STAGE_LOSS);
    case STAGE_LOSS: return behind_loss(s);
    case STAGE_BOUND: return enter_bound(s, s->step->unit - 1);
    case STAGE_SHARED: return cge_slice_enter(s, STAGE_BACKWARD, s->step->unit);
    case STAGE_BACKWARD: return next_backward(s);
    default: return 0;
    }
}
