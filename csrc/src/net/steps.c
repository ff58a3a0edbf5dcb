/* The walk over a plan's units: forward, loss, backward of one sample. */
#include "trained_params.h"
#include "units.h"
#include "../kernels/kernels.h"

static const cge_layer *layer_at(const cge_network *net, int32_t l)
{
    return l < 0 ? NULL : &net->model->layers[l];
}

/* Velocities lie as gradients do, whether or not those have memory. */
CGE_INTERNAL void cge_set_unit_params(const cge_network *net, const cge_real *params, int32_t l, cge_real *scratch, cge_unit_params *p)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    cge_layer_weights at;
    cge_real *learning;
    int32_t trained;
    if (plan->weights == 0) return;
    at = cge_weights_of(net, params, l);
    p->w = cge_writable(at.w); /* written only where it learns */
    p->w_rest = at.rest;
    p->b = cge_writable(at.b);
    if (plan->grads < 0 || (scratch == NULL && net->grads == NULL)) return;
    learning = scratch != NULL ? scratch : net->grads + plan->grads;
    trained = cge_trained_weight_elems(&net->model->layers[l], plan->weights);
    if (trained != 0) p->dw = learning;
    if (p->b != NULL) p->db = learning + trained;
    if (scratch == NULL) return;
    p->optimizer = &net->optimizer;
    p->tries = net->step.trial == CGE_TRIES;
    p->learning_rate_factor = net->model->layers[l].learning_rate_factor;
    if (net->velocity == NULL) return;
    p->vw = net->velocity + plan->grads;
    p->vb = p->vw + trained;
}

CGE_INTERNAL cge_real *cge_tensor_at(const cge_network *net, int32_t number)
{
    const cge_plan *plan = net->options.plan;
    const cge_tensor *t;
    if (number < 0) return NULL;
    t = &plan->tensors[number];
    if (t->offset >= CGE_RANGE_ELEMS) return cge_range_at(plan->spread, t->offset);
    return net->activations + (t->offset * net->options.capacity + t->elems * net->pass_sample);
}

/* What unit `number` puts out; x: the model's input. */
static const cge_real *unit_output(const cge_network *net, int32_t number, const void *x)
{
    return number < 0 ? (const cge_real *)x : cge_tensor_at(net, net->options.plan->units[number].y);
}

/* The activation through which the gradient of input `slot` is handed on. Where others read that input too, the sum of all
 * gradients goes through it later. */
static const cge_layer *activation_below(const cge_network *net, const cge_unit *u, int slot)
{
    const cge_unit *source;
    if (u->x[slot] < 0) return NULL;
    source = &net->options.plan->units[u->x[slot]];
    return source->shared ? NULL : layer_at(net, source->activation);
}

CGE_INTERNAL void cge_set_unit_call(const cge_network *net, const cge_real *params, int32_t number, const void *x, cge_unit_call *c)
{
    const cge_unit *u = &net->options.plan->units[number];
    cge_describe_unit(net->model, cge_layer_plans(net), u, c);
    if (u->x[0] == CGE_MODEL_INPUT && net->model->input_kind != NULL) (void)cge_set_source(net, x, NULL, &c->source);
    else c->x = unit_output(net, u->x[0], x);
    if (u->x[1] != CGE_NO_UNIT) c->x2 = unit_output(net, u->x[1], x);
    c->y = cge_tensor_at(net, u->y);
    c->winners = (unsigned char *)cge_tensor_at(net, u->winners);
    c->below = activation_below(net, u, 0);
    c->draw = cge_draw_of(net, u->main);
    c->count = net->pass_count;
    cge_set_unit_params(net, params, u->main, NULL, &c->params);
}

CGE_INTERNAL void cge_set_unit_scratch(const cge_network *net, int32_t number, cge_unit_call *c)
{
    c->scratch = cge_tensor_at(net, number);
    if (c->source.model == NULL) return;
    c->source.window = c->scratch;
    c->scratch += cge_unit_window(net->model, c);
}

static void set_layer_call(const cge_unit_call *u, cge_layer_call *c)
{
    memset(c, 0, sizeof *c);
    c->layer = u->layer;
    c->in = u->in;
    c->in2 = u->in2;
    c->out = u->map;
    c->count = u->count;
    c->x = u->x;
    c->x2 = u->x2;
    c->y = u->y;
    c->w = u->params.w;
    c->b = u->params.b;
    c->dy = u->dy;
    c->dx = u->dx;
    c->draw = u->draw;
}

/* ---- forward ---- */

/* A layer cut as its input asks. */
CGE_NOINLINE void forward_through_window(const cge_unit_call *c)
{
    cge_layer_call whole;
    set_layer_call(c, &whole);
    whole.source = &c->source;
    whole.w_rest = c->params.w_rest;
    c->source.model->input_kind->forward_cuts(&whole);
    cge_unit_activate(c->activation, cge_shape_elems(c->map), c->y);
}

CGE_INTERNAL void cge_unit_forward(const cge_unit_call *c)
{
    cge_layer_call whole;
    if (c->source.model != NULL && c->pool == NULL) {
        forward_through_window(c);
    } else if ((c->layer->kind->traits & CGE_BY_ROWS) != 0) {
        cge_conv2d_unit_forward(c);
    } else if ((c->layer->kind->traits & CGE_BY_INPUTS) != 0) {
        cge_dense_unit_forward(c);
    } else {
        set_layer_call(c, &whole);
        c->layer->kind->forward(&whole);
        cge_unit_activate(c->activation, c->count * cge_shape_elems(c->out), c->y);
    }
}

CGE_INTERNAL void cge_note_output(const cge_network *net, int32_t number, const cge_unit_call *c)
{
    cge_range all = {0, 0};
    if (net->options.plan->units[number].learns != CGE_FORGETS) return;
    all.end = cge_shape_elems(c->out);
    net->options.plan->level->masks->keep_mask(net, number, all, c->y);
}

CGE_INTERNAL int cge_something_learns(const cge_plan *plan)
{
    return plan->units[plan->unit_count - 1].learns;
}

static int learns_weights(const cge_layer *l)
{
    return (l->flags & CGE_FROZEN) == 0 && l->trains != CGE_TRAINS_BIAS;
}

/* Where zeros are left out of products with x, it must be finite, as bytes are. Of what does not exist as a whole, `largest`
 * tells. */
static int reads_finite(const cge_unit_call *c, cge_real largest)
{
    if (c->source.model != NULL || !learns_weights(c->layer) || !cge_conv2d_unit_leaves_zeros_out(c)) return 1;
    return c->x == NULL ? cge_is_finite(largest) : cge_run_all_below(cge_shape_elems(c->in), c->x, CGE_INFINITY_BITS);
}

CGE_INTERNAL int cge_stem_reads_finite(const cge_network *net, const void *x, cge_real largest)
{
    const cge_plan *plan = net->options.plan;
    int32_t u;
    for (u = 0; u < cge_count_stem_units(plan->units, plan->unit_count); u++) {
        cge_unit_call c;
        if (!plan->units[u].learns) continue;
        cge_set_unit_call(net, net->params, u, x, &c);
        if (!reads_finite(&c, largest)) return 0;
    }
    return 1;
}

/* What unit `number` puts out; NULL as below. Not inlined: a stem's calls, the deepest, do not lie on top of its locals. */
CGE_NOINLINE const cge_real *run_forward(const cge_network *net, const cge_real *params, int32_t number, const void *x, const cge_real *largest)
{
    cge_unit_call c;
    cge_set_unit_call(net, params, number, x, &c);
    if (largest != NULL && c.winners != NULL && !reads_finite(&c, *largest)) return NULL;
    cge_set_unit_scratch(net, net->options.plan->units[number].forward, &c);
    c.draw.trains = largest != NULL;
    cge_unit_forward(&c);
    cge_note_output(net, number, &c);
    return c.y;
}

CGE_INTERNAL const cge_real *cge_run_unit_forward(const cge_network *net, int32_t number, const void *x,
                                                  const cge_real *largest)
{
    return run_forward(net, net->params, number, x, largest);
}

/* *largest, if not NULL, becomes the largest |x| of a stem's last unit. NULL: a unit whose zeros are left out would read what
 * is not finite. */
static const cge_real *units_forward(const cge_network *net, const cge_real *params, const void *x, cge_real *largest)
{
    const cge_plan *plan = net->options.plan;
    const cge_real *y = (const cge_real *)x;
    int32_t u = cge_count_stem_units(plan->units, plan->unit_count);
    if (u > 0) {
        cge_stem_forward(net, params, (const cge_real *)x, largest);
        y = cge_tensor_at(net, plan->units[u - 1].y);
        if (largest != NULL && !cge_stem_reads_finite(net, x, *largest)) return NULL;
    }
    for (; y != NULL && u < plan->unit_count && plan->units[u].main >= 0; u++) {
        const int32_t style = plan->units[u].style;
        if ((style & CGE_UNIT_HANDS_ROWS_ON) != 0) continue;
        if ((style & CGE_UNIT_RELAY) != 0)
            y = plan->level->relays->run_relay(net, params, u, x, (style & CGE_UNIT_LEARNS_BY_ROWS) != 0 ? largest : NULL);
        else if ((style & CGE_UNIT_BLOCK) != 0)
            y = plan->level->blocks->run_block(net, params, u, x, largest);
        else
            y = run_forward(net, params, u, x, largest);
    }
    return y;
}

static const cge_real *forward_by_units(const cge_network *net, const cge_real *params, const void *x)
{
    return units_forward(net, params, x, NULL);
}

/* ---- backward ---- */

/* Of a normalisation, whose gradients are complete: what learns lies in one piece. 0: a gradient is not finite. */
static int learn_norm(const cge_unit_params *p, const cge_layer_plan *row)
{
    if (p->optimizer == NULL) return 1;
    if (p->dw != NULL) return cge_unit_learn(p, row->weights + row->biases, p->dw, p->w, p->vw);
    return cge_unit_learn(p, row->biases, p->db, p->b, p->vb);
}

/* What learns at once begins at zero. */
static void begin_norm(const cge_unit_params *p, const cge_layer_plan *row)
{
    cge_real *learning = p->dw != NULL ? p->dw : p->db;
    const int32_t elems = p->dw != NULL ? row->weights + row->biases : row->biases;
    if (p->optimizer != NULL && learning != NULL) memset(learning, 0, (size_t)elems * sizeof *learning);
}

/* 0: a gradient is not finite. */
static int unit_backward(const cge_network *net, const cge_unit *u, const cge_unit_call *c)
{
    cge_layer_call whole;
    if ((c->style & CGE_UNIT_DX_FIRST) != 0) return net->options.plan->level->learn_conv2d(c);
    if ((c->layer->kind->traits & CGE_BY_ROWS) != 0) return cge_conv2d_unit_backward(c);
    if ((c->layer->kind->traits & CGE_BY_INPUTS) != 0) return cge_dense_unit_backward(c);
    if ((c->layer->kind->traits & CGE_SUMS_ROWS) != 0 && net->options.plan->level->relays != NULL) return net->options.plan->level->relays->spread_mean(c);
    set_layer_call(c, &whole);
    whole.dw = c->params.dw;
    whole.db = c->params.db;
    whole.parts = 1;
    whole.add = 1;
    begin_norm(&c->params, &cge_layer_plans(net)[u->main]);
    if (c->adds) whole.dx = c->scratch;
    (whole.dw != NULL || whole.db != NULL ? c->layer->kind->weight_grad : c->layer->kind->input_grad)(&whole);
    if (whole.dx != NULL && (c->below != NULL || c->adds)) cge_unit_hand_on(c, 0, c->count * cge_shape_elems(c->in), whole.dx);
    return learn_norm(&c->params, &cge_layer_plans(net)[u->main]);
}

CGE_INTERNAL int cge_set_unit_input(const cge_network *net, const cge_unit *u, int slot, const void *x, cge_unit_call *c)
{
    const cge_unit *units = net->options.plan->units;
    const int32_t source = u->x[slot];
    if (source < 0 || !units[source].learns) return 0;
    c->x = unit_output(net, source, x);
    c->dx = cge_tensor_at(net, units[source].dy);
    c->below = activation_below(net, u, slot);
    c->adds = (int16_t)(u->adds >> slot & 1);
    if (units[source].learns == CGE_FORGETS) net->options.plan->level->masks->take_mask_of_x(net, source, c);
    return 1;
}

/* As many pixels at a time as a row has, of which there is room for the gradient. */
CGE_INTERNAL void cge_merge_backward(const cge_network *net, const cge_unit *u, int slot, const void *x, cge_range pixels, cge_unit_call *c)
{
    const int32_t channels = slot == 0 ? c->in.c : c->in2.c;
    cge_layer_call part;
    int32_t begin, n;
    if (!cge_set_unit_input(net, u, slot, x, c)) return;
    if (c->dx == c->dy && c->below == NULL) return; /* a sum's own place */
    set_layer_call(c, &part);
    part.in.h = 1;
    part.in2.h = 1;
    part.out.h = 1;
    part.dx = slot == 0 ? c->scratch : NULL;
    part.dx2 = slot == 0 ? NULL : c->scratch;
    for (begin = pixels.begin; begin < pixels.end; begin += n) {
        n = pixels.end - begin < c->map.w ? pixels.end - begin : c->map.w;
        part.in.w = n;
        part.in2.w = n;
        part.out.w = n;
        part.dy = c->dy + begin * c->map.c;
        c->layer->kind->input_grad(&part);
        cge_unit_hand_on(c, begin * channels, n * channels, c->scratch);
    }
}

/* Both inputs' gradients, the second first. */
static void merge_backward(const cge_network *net, const cge_unit *u, const void *x, cge_unit_call *c)
{
    cge_range all = {0, 0};
    all.end = c->map.h * c->map.w;
    cge_merge_backward(net, u, 1, x, all, c);
    cge_merge_backward(net, u, 0, x, all, c);
}

CGE_INTERNAL void cge_shared_backward(const cge_unit_call *c, cge_range elems)
{
    cge_unit_call own = *c;
    own.x = c->y;
    own.dx = cge_writable(c->dy);
    own.below = c->activation;
    own.adds = 0;
    cge_unit_hand_on(&own, elems.begin, elems.end - elems.begin, own.dx + elems.begin);
}

/* Gradients that learn at once lie behind the rest of the scratch. */
static cge_real *gradient_scratch(const cge_network *net, const cge_unit_call *c, const cge_unit *u)
{
    const cge_tensor *t = &net->options.plan->tensors[u->backward];
    if (!net->options.plan->level->at_once || cge_layer_plans(net)[u->main].grads < 0) return NULL;
    return cge_tensor_at(net, u->backward) + t->elems - cge_unit_piece_elems(c, &cge_layer_plans(net)[u->main]);
}

/* Else a piece of it is alive at a time, in one place. */
static int gradient_is_whole(const cge_unit_call *c)
{
    return (c->layer->kind->traits & CGE_BY_INPUTS) == 0 && (c->style & CGE_UNIT_DX_FIRST) == 0;
}

CGE_INTERNAL void cge_set_backward_call(const cge_network *net, int32_t number, const void *x, cge_unit_call *c)
{
    const cge_unit *u = &net->options.plan->units[number];
    cge_real *room;
    cge_set_unit_call(net, net->params, number, x, c);
    room = gradient_scratch(net, c, u);
    if (room != NULL) cge_set_unit_params(net, net->params, u->main, room, &c->params);
    if (room != NULL && !gradient_is_whole(c) && c->params.db != NULL) c->params.db = room; /* dw is through */
    c->dy = cge_tensor_at(net, u->dy);
    c->draw.trains = 1;
    cge_set_unit_scratch(net, u->backward, c);
    if (u->learns == CGE_FORGETS && cge_is_shared_behind(net->options.plan, number)) net->options.plan->level->masks->take_mask_of_y(net, number, c);
    if (u->x[1] == CGE_NO_UNIT) (void)cge_set_unit_input(net, u, 0, x, c);
}

/* As its last unit. */
static int back_through_all(const cge_network *net, int32_t number, const void *x)
{
    if (cge_rests_backward(net->options.plan->units, number)) return 1;
    if ((net->options.plan->units[number].style & CGE_UNIT_BLOCK) != 0)
        return net->options.plan->level->blocks->back_through_block(net, number, x);
    return net->options.plan->level->relays->back_through_relay(net, number, x);
}

CGE_INTERNAL int cge_unit_backward(const cge_network *net, int32_t number, const void *x)
{
    const cge_unit *u = &net->options.plan->units[number];
    cge_range all = {0, 0};
    cge_unit_call c;
    if (cge_unit_learns_with_others(u)) return back_through_all(net, number, x);
    cge_set_backward_call(net, number, x, &c);
    all.end = c.count * cge_shape_elems(c.out);
    if (cge_is_shared_behind(net->options.plan, number)) cge_shared_backward(&c, all);
    if (u->x[1] == CGE_NO_UNIT) return unit_backward(net, u, &c);
    merge_backward(net, u, x, &c);
    return 1;
}

/* Down to the stem. */
CGE_NOINLINE int units_backward(const cge_network *net, const void *x, int32_t stem)
{
    const cge_plan *plan = net->options.plan;
    int32_t number;
    for (number = plan->unit_count - 1; number >= stem; number--)
        if (plan->units[number].learns && !cge_unit_backward(net, number, x)) return 0;
    return 1;
}

CGE_INTERNAL void cge_start_backward(const cge_network *net, const cge_real *y, const cge_targets *targets, int32_t sample)
{
    const cge_plan *plan = net->options.plan;
    const cge_unit *last = &plan->units[plan->unit_count - 1];
    cge_real *dy = cge_tensor_at(net, last->dy);
    cge_unit_call c;
    cge_loss_of(net, targets)->input_grad(net, y, targets, sample, dy);
    if (last->activation < 0) return;
    memset(&c, 0, sizeof c);
    c.x = y;
    c.dx = dy;
    c.below = layer_at(net, last->activation);
    cge_unit_hand_on(&c, 0, net->out_elems, dy);
}

/* ---- may this step be taken? ----
 *
 * Where layers learn at once, the last of them has learned when the gradient of the first is known. So gradients are bounded
 * beforehand, layer by layer backwards: |dx| <= gain * |dy|. Rounding makes a bound larger by less than the margin, which is
 * from 2^64 to the largest number: with parameters and velocities below 2^64 too, no update overflows (sgd_ref.c).
 *
 * Where a bound is too large, the step is tried: backward asks every update whether it stays finite, and changes no parameter.
 * Gradients come from parameters as they were before the step, so the second time they are the same. In between forward runs
 * again, since gradients lie where outputs were.
 */

CGE_INTERNAL int cge_is_bounded(cge_real x)
{
    return cge_is_below(x, CGE_2_POW_64_BITS);
}

CGE_INTERNAL cge_real cge_slope_of(const cge_layer *activation)
{
    const float alpha = activation != NULL ? cge_alpha_of(activation) : 0.0f;
    return alpha > 1 ? CGE_REAL(alpha) : CGE_REAL(1);
}

CGE_INTERNAL cge_real cge_norm_bound(const cge_unit_call *c, int which)
{
    cge_layer_call whole;
    cge_real bounds[2];
    set_layer_call(c, &whole);
    whole.parts = 1;
    whole.bounds = bounds;
    c->layer->kind->weight_grad(&whole);
    return bounds[which];
}

CGE_INTERNAL cge_real cge_layer_gain(const cge_unit_call *c)
{
    int32_t taps = cge_pool_taps(c->layer); /* windows may overlap */
    if (c->x2 != NULL || (c->layer->kind->traits & CGE_BY_ELEMENTS) != 0) return CGE_REAL(2);
    if ((c->layer->kind->traits & CGE_BY_GROUPS) != 0) return cge_norm_bound(c, 0);
    if ((c->layer->kind->traits & CGE_DROPS) != 0) return CGE_REAL(1) / (CGE_REAL(1) - CGE_REAL(cge_dropout_of(c->layer)->p));
    if (taps == 0) taps = cge_shape_elems(c->map) / cge_shape_elems(c->in); /* outputs that one input reaches, or more */
    return cge_slope_of(c->layer) * CGE_REAL(taps > 1 ? taps : 1);
}

/* Of |dx| over |dy|, for all inputs together. */
static cge_real gain_of(const cge_unit_call *c)
{
    if ((c->layer->kind->traits & CGE_BY_ROWS) != 0) return cge_conv2d_unit_gain(c);
    if ((c->layer->kind->traits & CGE_BY_INPUTS) != 0) return cge_dense_unit_gain(c);
    return cge_layer_gain(c);
}

static cge_real input_magnitude(const cge_unit_call *c, cge_real largest)
{
    const int32_t elems = cge_shape_elems(c->in);
    if (c->source.model != NULL) return c->source.model->input_kind->magnitude(&c->source, elems);
    return c->x == NULL ? largest : cge_unit_magnitude(elems, c->x);
}

/* Of a unit's parameters, given that |dy| <= dy; `largest` is the largest |x| of a unit whose x does not exist as a whole. */
static int gradients_are_bounded(const cge_unit_call *c, cge_real dy, cge_real largest)
{
    const int by_rows = (c->layer->kind->traits & CGE_BY_ROWS) != 0;
    const cge_real db = dy * CGE_REAL(by_rows ? cge_conv2d_unit_positions(c) : 1);
    if ((c->layer->kind->traits & CGE_BY_GROUPS) != 0) return cge_is_bounded(dy * cge_norm_bound(c, 1));
    if (c->params.db != NULL && !cge_is_bounded(db)) return 0;
    if (c->params.dw == NULL) return 1;
    return cge_is_bounded(db) && cge_is_bounded(db * input_magnitude(c, largest));
}

CGE_INTERNAL cge_real cge_begin_step_at_once(const cge_network *net)
{
    const cge_optimizer *o = &net->optimizer;
    if (o->kind->begin != NULL) return o->kind->begin((cge_network *)(uintptr_t)net); /* no network is const */
    return o->learning_rate + o->weight_decay <= CGE_LARGEST_SETTING ? CGE_REAL(1) : CGE_REAL(0);
}

static int numbers_are_bounded(const cge_network *net)
{
    if (!cge_run_all_below(net->held_elems, net->params, CGE_2_POW_64_BITS)) return 0;
    return net->velocity == NULL || cge_run_all_below(net->velocity_elems, net->velocity, CGE_2_POW_64_BITS);
}

/* Without skips and branches, dy is the bound of one unit's gradient after the other. With them it is the bound of all gradients
 * so far, and of their sums. */
CGE_INTERNAL int cge_is_chain_of_units(const cge_plan *plan)
{
    int32_t u;
    for (u = 0; u < plan->unit_count; u++)
        if (plan->units[u].shared || plan->units[u].x[1] != CGE_NO_UNIT) return 0;
    return 1;
}

CGE_INTERNAL cge_real cge_slope_below(const cge_network *net, const cge_unit *u)
{
    const cge_real first = cge_slope_of(activation_below(net, u, 0)), second = u->x[1] != CGE_NO_UNIT ? cge_slope_of(activation_below(net, u, 1)) : first;
    return first > second ? first : second;
}

/* Whether the unit's input has a gradient, too. */
CGE_INTERNAL int cge_unit_hands_on(const cge_plan *plan, const cge_unit *u)
{
    return (u->x[0] >= 0 && plan->units[u->x[0]].learns) || (u->x[1] >= 0 && plan->units[u->x[1]].learns);
}

/* dw and db say whether weights and biases learn; nobody writes there. */
CGE_INTERNAL void cge_mark_what_learns(const cge_network *net, int32_t l, cge_unit_params *p)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    if (plan->grads < 0) return;
    if (cge_trained_weight_elems(&net->model->layers[l], plan->weights) != 0) p->dw = p->w;
    p->db = p->b;
}

CGE_NOINLINE int step_is_bounded(const cge_network *net, const void *x, cge_real largest)
{
    const cge_plan *plan = net->options.plan;
    const cge_real keeps = cge_is_chain_of_units(plan) ? CGE_REAL(0) : CGE_REAL(1);
    const cge_real factor = cge_begin_step_at_once(net);
    cge_real dy = factor * cge_unit_magnitude(net->out_elems, cge_tensor_at(net, plan->units[plan->unit_count - 1].dy));
    int32_t number;
    if (!(factor > 0) || !numbers_are_bounded(net)) return 0;
    for (number = plan->unit_count - 1; number >= 0; number--) {
        const cge_unit *u = &plan->units[number];
        cge_unit_call c;
        if (!u->learns) continue;
        cge_set_unit_call(net, net->params, number, x, &c);
        cge_mark_what_learns(net, u->main, &c.params);
        if (u->shared) dy *= cge_slope_of(c.activation);
        if (!gradients_are_bounded(&c, dy, largest)) return 0;
        if (cge_unit_hands_on(plan, u)) dy *= keeps + gain_of(&c) * cge_slope_below(net, u);
    }
    return 1;
}

/* 0: a gradient is not finite. */
static int units_learn(const cge_network *net, const void *x)
{
    const cge_plan *plan = net->options.plan;
    const int32_t stem = cge_count_stem_units(plan->units, plan->unit_count);
    if (!units_backward(net, x, stem)) return 0;
    return stem == 0 || !plan->units[stem - 1].learns || cge_stem_backward(net, (const cge_real *)x);
}

/* 0: the step would overflow. What backward starts with is as before. */
CGE_NOINLINE int try_step(cge_network *net, const void *x, const cge_targets *targets, int32_t sample)
{
    int stays_finite;
    cge_real largest = 0;
    net->step.trial = CGE_TRIES;
    stays_finite = units_learn(net, x);
    net->step.trial = CGE_ASKS;
    if (stays_finite) cge_start_backward(net, units_forward(net, net->params, x, &largest), targets, sample);
    return stays_finite;
}

/* Of one sample. */
static int learn_by_units(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin, int32_t count,
                          cge_progress *losses)
{
    const int32_t sample = cge_sample_index(s, begin);
    cge_real largest = 0;
    const cge_real *y = units_forward(net, net->params, x, &largest);
    cge_real loss;
    (void)count;
    if (y == NULL) return 0;
    loss = cge_loss_of(net, s->targets)->forward(net, y, s->targets, sample);
    if (!cge_is_finite(loss)) return 0;
    if (cge_something_learns(net->options.plan)) {
        const int asks = net->options.plan->level->at_once;
        cge_start_backward(net, y, s->targets, sample);
        if (asks && !step_is_bounded(net, x, largest) && !try_step(net, x, s->targets, sample)) return 0;
        if (!units_learn(net, x)) return 0;
    }
    cge_add_loss(losses, loss);
    return 1;
}

static const cge_relays with_relays = {cge_relays_are_possible, cge_choose_relay_styles, cge_relay_scratch, cge_run_relay,
                                       cge_back_through_relay, cge_could_learn_by_rows, cge_spread_mean};
static const cge_masks with_masks = {cge_unit_forgets, cge_sum_of_skip, cge_mask_elems, cge_keep_mask, cge_take_mask_of_x,
                                     cge_take_mask_of_y};
static const cge_blocks with_blocks = {cge_blocks_are_possible, cge_choose_block_styles, cge_block_scratch, cge_run_block,
                                       cge_back_through_block};

static cge_status check_spread(const cge_plan *plan, cge_network_plan *parts, const void *arena)
{
    return plan->spread == NULL ? CGE_OK : plan->spread->kind->leave_arena(plan, parts, arena);
}

static void enter_plan(cge_network *net)
{
    const cge_plan *plan = net->options.plan;
    if (plan->level->at_once) net->grads = NULL;
    if (plan->spread != NULL) plan->spread->kind->enter_ranges(net);
}

#define LEVEL forward_by_units, learn_by_units, check_spread, enter_plan
#define SMALL LEVEL, 0, NULL, 0, CGE_UNIT_STEM, NULL, NULL, NULL, 0
#define BATCH_LEVEL forward_by_units, cge_learn_pass_by_units, check_spread, enter_plan
#define BATCH BATCH_LEVEL, 0, NULL, 0, CGE_UNIT_STEM, NULL, NULL, NULL, 1
#define SMALLEST LEVEL, 1, cge_conv2d_unit_backward_in_pieces, 0, CGE_UNIT_STEM, NULL, NULL, NULL, 0
#define TOGETHER CGE_UNIT_STEM | CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON | CGE_UNIT_BLOCK | CGE_UNIT_ALL_HALVINGS | CGE_UNIT_LEARNS_BY_ROWS
#define TIGHT TOGETHER, &with_relays, &with_blocks, &with_masks, 0
#define SMALL_TIGHT LEVEL, 0, NULL, 0, TIGHT
#define SMALLEST_TIGHT LEVEL, 1, cge_conv2d_unit_backward_in_channels, 0, TIGHT
#define SMALL_SLICED LEVEL, 0, NULL, 1, CGE_UNIT_STEM, NULL, NULL, NULL, 0
#define SMALLEST_SLICED LEVEL, 1, NULL, 1, CGE_UNIT_STEM, NULL, NULL, NULL, 0
const cge_memory_level cge_memory_small = {cge_check_plan, SMALL};
const cge_memory_level cge_memory_batch = {cge_check_plan, BATCH};
const cge_memory_level cge_memory_smallest = {cge_check_plan, SMALLEST};
const cge_memory_level cge_memory_small_tight = {cge_check_plan, SMALL_TIGHT};
const cge_memory_level cge_memory_smallest_tight = {cge_check_plan, SMALLEST_TIGHT};
const cge_memory_level cge_memory_small_sliced = {cge_check_plan, SMALL_SLICED};
const cge_memory_level cge_memory_smallest_sliced = {cge_check_plan, SMALLEST_SLICED};
#if CGE_HOST
const cge_memory_level cge_memory_fast = {cge_check_plan, NULL, NULL, check_spread, enter_plan, 0, NULL, 0, 0, NULL, NULL, NULL, 1};
#endif
const cge_memory_level cge_memory_small_sealed = {cge_check_sealed_plan, SMALL};
const cge_memory_level cge_memory_batch_sealed = {cge_check_sealed_plan, BATCH};
const cge_memory_level cge_memory_smallest_sealed = {cge_check_sealed_plan, SMALLEST};
const cge_memory_level cge_memory_small_tight_sealed = {cge_check_sealed_plan, SMALL_TIGHT};
const cge_memory_level cge_memory_smallest_tight_sealed = {cge_check_sealed_plan, SMALLEST_TIGHT};
const cge_memory_level cge_memory_small_sliced_sealed = {cge_check_sealed_plan, SMALL_SLICED};
const cge_memory_level cge_memory_smallest_sliced_sealed = {cge_check_sealed_plan, SMALLEST_SLICED};
#undef LEVEL
#undef SMALL
#undef BATCH_LEVEL
#undef BATCH
#undef SMALLEST
#undef TOGETHER
#undef TIGHT
#undef SMALL_TIGHT
#undef SMALLEST_TIGHT
#undef SMALL_SLICED
#undef SMALLEST_SLICED
