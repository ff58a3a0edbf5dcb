/*
 * Blocks: two or three convolutions run by groups of channels through all of them, so that the maps between them never exist as
 * a whole. The last is pointwise, the one before it depthwise. The first, if there are three, is the expansion of an inverted
 * residual, or any convolution whose dx nobody reads. A network keeps what a block reads and what it puts out.
 *
 * A pointwise convolution adds its channels in ascending order. So groups in ascending order, whose sums go on where those
 * before ended, give the bits of the whole. That holds for y of the last convolution, and for dx of an expansion, whose filters
 * are the channels of the groups. All else belongs to one group. Backward computes the group's maps again, and the weights that
 * only this group uses learn as soon as it is through.
 */
#include "units.h"
#include "../layers/conv2d_unit.h"
#include "../kernels/kernels.h"

enum { MOST_BLOCK_CHANNELS = 8, MOST_BLOCK_UNITS = 3 };

static int32_t halvings_of(int32_t style)
{
    return (style & CGE_UNIT_ALL_HALVINGS) / CGE_UNIT_HALVING;
}

/* ---- which units ---- */

typedef struct block_net {
    const cge_model *model;
    const cge_layer_plan *layers;
    const cge_unit *units;
} block_net;

static cge_conv2d_plan describe_part(const block_net *n, int32_t u, cge_unit_call *c)
{
    cge_describe_unit(n->model, n->layers, &n->units[u], c);
    return cge_conv2d_unit_plan(c);
}

/* A convolution all of whose channels or none learn weights, and that takes part in backward. */
static int is_part(const block_net *n, int32_t u)
{
    const cge_unit *unit = &n->units[u];
    const cge_layer *main = unit->main < 0 ? NULL : &n->model->layers[unit->main];
    return unit->learns && unit->pool < 0 && (main->kind->traits & CGE_BY_ROWS) != 0 && main->trains <= 0;
}

static int is_pointwise(const cge_conv2d *g)
{
    const int32_t pads = g->pad_top | g->pad_left | g->pad_bottom | g->pad_right;
    return g->groups == 1 && (g->kernel_h | g->kernel_w | g->stride_h | g->stride_w) == 1 && pads == 0;
}

static int filters_channels_apart(const cge_conv2d_plan *p)
{
    return p->g.groups > 1 && p->group_in == 1 && p->group_out == 1;
}

/* Unit u reads all that unit u - 1 puts out, and nobody else does. */
static int is_only_reader(const block_net *n, int32_t u)
{
    const cge_unit *before = &n->units[u - 1];
    return n->units[u].x[0] == u - 1 && !before->shared &&
           memcmp(&n->layers[before->main].out, &n->layers[n->units[u].main].in, sizeof(cge_shape)) == 0;
}

static int hands_gradient_on(const block_net *n, int32_t u)
{
    const int32_t source = n->units[u].x[0];
    return source >= 0 && n->units[source].learns;
}

/* Each filter is a channel of what is behind; sums of dx go on from group to group. */
static int is_expansion(const block_net *n, int32_t u, const cge_conv2d *g)
{
    return g->groups == 1 && (is_pointwise(g) || !hands_gradient_on(n, u));
}

/* Units first .. first + count - 1. */
static int could_be_block(const block_net *n, int32_t first, int32_t count)
{
    cge_unit_call c;
    cge_conv2d_plan p;
    int32_t u;
    if (n->units[first].x[0] == CGE_MODEL_INPUT && n->model->input_kind != NULL) return 0; /* x would need a window */
    for (u = first; u < first + count; u++)
        if (!is_part(n, u) || (u > first && !is_only_reader(n, u))) return 0;
    p = describe_part(n, first, &c);
    if (count == MOST_BLOCK_UNITS && !is_expansion(n, first, &p.g)) return 0;
    p = describe_part(n, first + count - 2, &c);
    if (!filters_channels_apart(&p)) return 0;
    p = describe_part(n, first + count - 1, &c);
    return is_pointwise(&p.g);
}

CGE_INTERNAL int32_t cge_block_from(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                    int32_t unit_count, int32_t first)
{
    const block_net n = {model, layers, units};
    int32_t count;
    for (count = MOST_BLOCK_UNITS; count > 1; count--)
        if (first + count <= unit_count && could_be_block(&n, first, count)) return count;
    return 0;
}

/* The first of the units whose last is unit `end`. */
static int32_t first_of_block(const cge_unit *units, int32_t end)
{
    while (end > 0 && units[end - 1].style == (CGE_UNIT_BLOCK | CGE_UNIT_HANDS_ROWS_ON)) end--;
    return end;
}

/* So many channels of unit `end`'s input at a time. */
static int32_t channels_at_a_time(const block_net *n, int32_t end)
{
    return at_most_rows(MOST_BLOCK_CHANNELS >> halvings_of(n->units[end].style), n->layers[n->units[end].main].in.c);
}

/* Groups that are halved have fewer channels than all. */
CGE_INTERNAL int cge_block_can_halve(const cge_layer_plan *layers, const cge_unit *end, int32_t times)
{
    return times == 0 || MOST_BLOCK_CHANNELS >> times < layers[end->main].in.c;
}

CGE_INTERNAL int cge_blocks_are_possible(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                         int32_t unit_count)
{
    const block_net n = {model, layers, units};
    int32_t first, end;
    for (first = 0; first < unit_count; first = end + 1) {
        end = first;
        if ((units[first].style & CGE_UNIT_BLOCK) == 0) {
            if ((units[first].style & CGE_UNIT_ALL_HALVINGS) != 0) return 0;
            continue;
        }
        while (end < unit_count && units[end].style == (CGE_UNIT_BLOCK | CGE_UNIT_HANDS_ROWS_ON)) end++;
        if (end >= unit_count || (units[end].style & ~CGE_UNIT_ALL_HALVINGS) != CGE_UNIT_BLOCK) return 0;
        if (end - first < 1 || end - first >= MOST_BLOCK_UNITS || !could_be_block(&n, first, end - first + 1)) return 0;
        if (!cge_block_can_halve(layers, &units[end], halvings_of(units[end].style))) return 0;
    }
    return 1;
}

/* ---- how much memory ---- */

typedef struct block_sizes {
    int32_t channels;            /* at a time */
    int32_t weights, gradients;  /* of the parameters of a group */
    int32_t expanded, inner;     /* maps of a group: what the depthwise convolution reads, and what it puts out */
    int32_t bands;               /* rows of a gradient, on their way into the place of a map */
    int32_t dx;                  /* of an expansion: sums of groups so far */
} block_sizes;

static block_sizes sizes_of(const block_net *n, int32_t end, int at_once)
{
    const int32_t first = first_of_block(n->units, end);
    block_sizes s;
    cge_unit_call c;
    cge_conv2d_plan p = describe_part(n, end, &c);
    memset(&s, 0, sizeof s);
    s.channels = channels_at_a_time(n, end);
    s.inner = p.out_h * p.out_w * s.channels;
    c.in.c = s.channels;
    s.bands = cge_conv2d_unit_scratch(&c, 1).backward;
    s.gradients = at_once ? s.channels * p.g.out_c : 0;
    p = describe_part(n, end - 1, &c);
    s.expanded = p.g.in_h * p.g.in_w * s.channels;
    c.in.c = s.channels;
    s.bands = at_least(cge_conv2d_unit_scratch(&c, 1).backward, s.bands);
    s.weights = p.g.kernel_h * p.g.kernel_w * s.channels;
    if (first < end - 1) {
        p = describe_part(n, first, &c);
        s.weights = at_least(p.g.kernel_h * p.g.kernel_w * p.g.in_c * s.channels, s.weights);
        s.dx = hands_gradient_on(n, first) ? cge_shape_elems(c.in) : 0;
    }
    s.gradients = at_least(s.weights, s.gradients);
    return s;
}

CGE_INTERNAL cge_unit_scratch cge_block_scratch(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                                const cge_unit *last, int at_once)
{
    block_net n = {model, layers, units};
    cge_unit_scratch scratch;
    block_sizes s;
    int32_t end = 0;
    while (units[end].begin != last->begin) end++;
    s = sizes_of(&n, end, at_once);
    scratch.forward = s.weights + s.expanded + s.inner;
    scratch.backward = scratch.forward + s.gradients + s.bands + s.dx;
    return scratch;
}

/* ---- at work ---- */

typedef struct block_walk {
    const cge_network *net;
    const cge_real *params;
    const void *x;      /* of the model */
    int32_t first, end; /* units, both included */
    int at_once;
    cge_range channels; /* of the group */
    block_sizes sizes;
    cge_real *weights, *expanded, *inner, *gradients, *bands, *dx;
} block_walk;

/* A convolution of the group alone. Its weights are `runs` runs, `pitch` apart; so are their gradients and velocities. */
typedef struct block_part {
    cge_unit_call c;
    cge_conv2d_plan p;
    int32_t runs, pitch;
} block_part;

static const cge_unit *block_unit(const block_walk *b, int32_t u)
{
    return &b->net->options.plan->units[u];
}

static int has_expansion(const block_walk *b)
{
    return b->first + 1 < b->end;
}

static int32_t group_size(const block_walk *b)
{
    return b->channels.end - b->channels.begin;
}

CGE_NOINLINE void begin_block(block_walk *b, const cge_network *net, const cge_real *params, int32_t end, const void *x,
                              int backward)
{
    const cge_plan *plan = net->options.plan;
    const block_net n = {net->model, plan->layers, plan->units};
    memset(b, 0, sizeof *b);
    b->net = net;
    b->params = params;
    b->x = x;
    b->first = first_of_block(plan->units, end);
    b->end = end;
    b->at_once = plan->level->at_once;
    b->sizes = sizes_of(&n, end, b->at_once);
    b->weights = cge_tensor_at(net, backward ? plan->units[end].backward : plan->units[end].forward);
    b->expanded = b->weights + b->sizes.weights;
    b->inner = b->expanded + b->sizes.expanded;
    if (!backward) return;
    b->gradients = b->inner + b->sizes.inner;
    b->bands = b->gradients + b->sizes.gradients;
    b->dx = b->bands + b->sizes.bands;
}

static int next_group(block_walk *b)
{
    const int32_t channels = b->net->options.plan->layers[block_unit(b, b->end)->main].in.c;
    b->channels.begin = b->channels.end;
    b->channels.end = at_most_rows(b->channels.begin + b->sizes.channels, channels);
    return b->channels.begin < channels;
}

/* Of all channels. Gradients that learn at once lie in one place, one after the other. */
static void set_block_part(const block_walk *b, int32_t u, int backward, block_part *part)
{
    cge_set_unit_call(b->net, b->params, u, b->x, &part->c);
    if (backward && b->at_once) cge_set_unit_params(b->net, b->params, block_unit(b, u)->main, b->gradients, &part->c.params);
    part->p = cge_conv2d_unit_plan(&part->c);
    part->c.scratch = b->bands;
    part->c.dy = cge_tensor_at(b->net, block_unit(b, u)->dy);
}

static void move_on_to(cge_real **numbers, int32_t count)
{
    if (*numbers != NULL) *numbers += count;
}

/* The parameters that begin there, and what is collected of them. */
static void move_params(cge_unit_params *p, int32_t weights, int32_t biases)
{
    move_on_to(&p->w, weights);
    move_on_to(&p->vw, weights);
    move_on_to(&p->b, biases);
    move_on_to(&p->vb, biases);
    if (p->optimizer != NULL) return;
    move_on_to(&p->dw, weights);
    move_on_to(&p->db, biases);
}

/* Filters of the group, of an expansion or a depthwise convolution. */
CGE_NOINLINE void set_filters(const block_walk *b, int32_t u, int backward, block_part *part)
{
    const int32_t n = group_size(b), depthwise = u + 1 == b->end;
    set_block_part(b, u, backward, part);
    part->runs = part->p.g.kernel_h * part->p.g.kernel_w * part->p.group_in;
    part->pitch = part->p.g.out_c;
    part->p.g.out_c = n;
    part->p.tap_elems = part->p.group_in * n;
    part->p.weight_elems = part->runs * n;
    part->c.map.c = n;
    part->c.out.c = n;
    part->c.y = depthwise ? b->inner : b->expanded;
    part->c.dy = part->c.y;
    move_params(&part->c.params, b->channels.begin, b->channels.begin);
    if (!depthwise) {
        part->p.group_out = n;
        return;
    }
    part->p.g.in_c = n;
    part->p.g.groups = n;
    part->c.in.c = n;
    part->c.x = b->expanded;
}

/* Channels of the group, of the pointwise convolution. */
CGE_NOINLINE void set_channels(const block_walk *b, int backward, block_part *part)
{
    const int32_t n = group_size(b);
    set_block_part(b, b->end, backward, part);
    part->runs = 1;
    part->p.g.in_c = n;
    part->p.group_in = n;
    part->p.tap_elems = n * part->p.g.out_c;
    part->p.weight_elems = part->p.tap_elems;
    part->pitch = part->p.weight_elems;
    part->c.in.c = n;
    part->c.x = b->inner;
    move_params(&part->c.params, b->channels.begin * part->p.g.out_c, 0);
}

static void copy_runs(int32_t count, int32_t n, const cge_real *from, int32_t from_pitch, cge_real *to, int32_t to_pitch)
{
    for (; count > 0; count--, from += from_pitch, to += to_pitch) memcpy(to, from, (size_t)n * sizeof *to);
}

/* y [pixels][sums] = b + x [pixels][n] * w [n][sums]. Sums go on if b is y; else b [sums] is that of all pixels, or NULL. */
static void add_to_pixels(int32_t pixels, int32_t n, int32_t sums, const cge_real *x, const cge_real *w, const cge_real *b,
                          cge_real *y)
{
    const int goes_on = b == y;
    for (; pixels > 0; pixels--, x += n, y += sums) cge_run_dense_forward(n, sums, 1, x, w, goes_on ? y : b, y);
}

/* ---- forward ---- */

static void note_magnitude(int32_t n, const cge_real *x, cge_real *largest)
{
    const cge_real most = cge_unit_magnitude(n, x);
    if (cge_bits_of(most) > cge_bits_of(*largest)) *largest = most;
}

/* A group's map, of an expansion or a depthwise convolution, whose weights stay in b->weights. */
CGE_NOINLINE void make_map(const block_walk *b, int32_t u, cge_real *largest)
{
    block_part part;
    cge_range rows = {0, 0};
    set_filters(b, u, 0, &part);
    rows.end = part.p.out_h;
    copy_runs(part.runs, part.p.g.out_c, part.c.params.w, part.pitch, b->weights, part.p.g.out_c);
    cge_run_conv2d_forward(&part.p, part.c.x, b->weights, part.c.params.b, part.c.y, rows);
    cge_unit_activate(part.c.activation, cge_shape_elems(part.c.map), part.c.y);
    if (largest != NULL) note_magnitude(cge_shape_elems(part.c.map), part.c.y, largest);
}

CGE_NOINLINE void copy_group_of_x(const block_walk *b)
{
    cge_unit_call c;
    cge_set_unit_call(b->net, b->params, b->first, b->x, &c);
    copy_runs(c.in.h * c.in.w, group_size(b), c.x + b->channels.begin, c.in.c, b->expanded, group_size(b));
}

static void make_maps(const block_walk *b, cge_real *largest)
{
    if (has_expansion(b))
        make_map(b, b->first, largest);
    else
        copy_group_of_x(b);
    make_map(b, b->end - 1, largest);
}

CGE_NOINLINE void add_group_to_y(const block_walk *b)
{
    const cge_real *sums;
    block_part part;
    set_channels(b, 0, &part);
    sums = b->channels.begin > 0 ? part.c.y : part.c.params.b;
    add_to_pixels(part.c.map.h * part.c.map.w, part.c.in.c, part.c.map.c, b->inner, part.c.params.w, sums, part.c.y);
}

CGE_NOINLINE const cge_real *activate_block(const block_walk *b)
{
    cge_unit_call c;
    cge_set_unit_call(b->net, b->params, b->end, b->x, &c);
    cge_unit_activate(c.activation, cge_shape_elems(c.map), c.y);
    return c.y;
}

CGE_INTERNAL const cge_real *cge_run_block(const cge_network *net, const cge_real *params, int32_t end, const void *x,
                                           cge_real *largest)
{
    block_walk b;
    begin_block(&b, net, params, end, x, 0);
    while (next_group(&b)) {
        make_maps(&b, largest);
        add_group_to_y(&b);
    }
    return activate_block(&b);
}

/* ---- backward ---- */

/* Where the gradient of the group's weights is added up: where gradients are collected, if it is one run. */
static cge_real *group_gradient(const block_walk *b, const block_part *part)
{
    return b->at_once || part->runs > 1 ? b->gradients : part->c.params.dw;
}

static void add_weight_grad(const block_walk *b, const block_part *part)
{
    const int32_t elems = part->p.weight_elems, n = elems / part->runs;
    cge_real *dw = group_gradient(b, part);
    if (part->c.params.dw == NULL) return;
    if (b->at_once)
        memset(dw, 0, (size_t)elems * sizeof *dw);
    else if (part->runs > 1)
        copy_runs(part->runs, n, part->c.params.dw, part->pitch, dw, n);
    cge_conv2d_unit_weight_grad_by_rows(&part->c, &part->p, dw);
}

/* From a gradient that is complete. 0: it is not finite. */
static int learn_weights(const block_walk *b, const block_part *part)
{
    const cge_unit_params *params = &part->c.params;
    const int32_t n = part->p.weight_elems / part->runs;
    const cge_real *dw = group_gradient(b, part);
    int32_t run;
    if (params->dw == NULL) return 1;
    if (!b->at_once) {
        if (part->runs > 1) copy_runs(part->runs, n, dw, n, params->dw, part->pitch);
        return 1;
    }
    for (run = 0; run < part->runs; run++) {
        cge_real *v = params->vw != NULL ? params->vw + run * part->pitch : NULL;
        if (!cge_unit_learn(params, n, dw + run * n, params->w + run * part->pitch, v)) return 0;
    }
    return 1;
}

static int learn_part_biases(const block_walk *b, const block_part *part)
{
    const cge_unit_params *params = &part->c.params;
    const int32_t n = part->p.g.out_c;
    cge_real *db = b->at_once ? b->gradients : params->db;
    if (params->db == NULL) return 1;
    if (b->at_once) memset(db, 0, (size_t)n * sizeof *db);
    cge_conv2d_unit_bias_grad_by_rows(&part->c, &part->p, db);
    return !b->at_once || cge_unit_learn(params, n, db, params->b, params->vb);
}

/* What comes before the groups: dy through the block's activation, if others read y, too; and the last biases. */
CGE_NOINLINE int begin_backward(const block_walk *b)
{
    cge_range all = {0, 0};
    block_part part;
    set_block_part(b, b->end, 1, &part);
    all.end = cge_shape_elems(part.c.out);
    if (cge_is_shared_behind(b->net->options.plan, b->end)) cge_shared_backward(&part.c, all);
    return learn_part_biases(b, &part);
}

static const cge_layer *activation_of_unit(const block_walk *b, int32_t u)
{
    const int32_t activation = block_unit(b, u)->activation;
    return activation < 0 ? NULL : &b->net->model->layers[activation];
}

/* The gradient of the group's inner map replaces the map; the weights that it came through learn later. */
CGE_NOINLINE int back_through_pointwise(const block_walk *b)
{
    block_part part;
    set_channels(b, 1, &part);
    add_weight_grad(b, &part);
    part.c.dx = b->inner;
    part.c.below = activation_of_unit(b, b->end - 1);
    cge_conv2d_unit_input_grad(&part.c, &part.p);
    return learn_weights(b, &part);
}

/* Of a block without an expansion: the group's dx to where it belongs. */
CGE_NOINLINE void hand_group_on(const block_walk *b, const cge_unit_call *c)
{
    const int32_t n = group_size(b), pixels = c->in.h * c->in.w;
    cge_real *dx = c->dx + b->channels.begin;
    const cge_real *from = b->expanded;
    int32_t i;
    if (!c->adds) {
        copy_runs(pixels, n, from, n, dx, c->in.c);
        return;
    }
    for (i = 0; i < pixels; i++, dx += c->in.c, from += n) cge_add_apply(n, dx, from, dx);
}

/* The block's first unit, with the gradient that it hands on. 0: nobody reads that. */
static int set_input_of_block(const block_walk *b, cge_unit_call *c)
{
    cge_set_unit_call(b->net, b->params, b->first, b->x, c);
    return cge_set_unit_input(b->net, block_unit(b, b->first), 0, b->x, c);
}

/* The same of what the depthwise convolution reads. b->weights are its weights as they were. */
CGE_NOINLINE int back_through_depthwise(const block_walk *b)
{
    const int expands = has_expansion(b);
    cge_unit_call input;
    block_part part;
    set_filters(b, b->end - 1, 1, &part);
    add_weight_grad(b, &part);
    if (!learn_weights(b, &part) || !learn_part_biases(b, &part)) return 0;
    if (!expands && !set_input_of_block(b, &input)) return 1;
    part.c.params.w = b->weights;
    part.c.dx = b->expanded;
    part.c.below = expands ? activation_of_unit(b, b->first) : input.below;
    cge_conv2d_unit_input_grad(&part.c, &part.p);
    if (!expands) hand_group_on(b, &input);
    return 1;
}

/* Adds the group's filters to dx. Their weights are turned round in b->weights. */
static void add_group_to_dx(const block_walk *b, const block_part *part)
{
    const int32_t n = group_size(b), channels = part->c.in.c, pixels = part->c.in.h * part->c.in.w;
    const cge_real *sums = b->channels.begin > 0 ? b->dx : NULL;
    int32_t k;
    if (b->sizes.dx == 0) return;
    for (k = 0; k < n; k++) cge_copy_column(channels, part->c.params.w + k, part->pitch, b->weights + k * channels, 1);
    add_to_pixels(pixels, n, channels, b->expanded, b->weights, sums, b->dx);
}

CGE_NOINLINE int back_through_expansion(const block_walk *b)
{
    block_part part;
    if (!has_expansion(b)) return 1;
    set_filters(b, b->first, 1, &part);
    add_group_to_dx(b, &part);
    add_weight_grad(b, &part);
    return learn_weights(b, &part) && learn_part_biases(b, &part);
}

CGE_NOINLINE void hand_expansion_on(const block_walk *b)
{
    cge_unit_call c;
    if (b->sizes.dx > 0 && set_input_of_block(b, &c)) cge_unit_hand_on(&c, 0, cge_shape_elems(c.in), b->dx);
}

CGE_INTERNAL int cge_back_through_block(const cge_network *net, int32_t end, const void *x)
{
    block_walk b;
    begin_block(&b, net, net->params, end, x, 1);
    if (!begin_backward(&b)) return 0;
    while (next_group(&b)) {
        make_maps(&b, NULL);
        if (!back_through_pointwise(&b) || !back_through_depthwise(&b) || !back_through_expansion(&b)) return 0;
    }
    hand_expansion_on(&b);
    return 1;
}
