/*
 * The memory plan of a chain of layers.
 *
 * Activations that backward needs (the input of the first trainable layer and everything after it) are stacked from
 * the low end in forward order; backward pops them in reverse. All other tensors (activations of inference and of a
 * frozen front part, gradients of activations) live only until the next one of their sort is complete, so two at a
 * time: they alternate between just above the stack and the high end.
 *
 *     | kept y0 | kept y1 | kept y2 |  low transient -->      <-- high transient |
 *
 * An in-place layer (ReLU) writes over its input, and its gradient over the gradient it is given.
 * The walk goes forward once, for both directions, since shapes are known only from the front and the size query has no
 * memory for them. It runs for the size of the region first, then with the high end known for the offsets.
 */
#include "trained_params.h"
#include "units.h"
#include "wiring.h"

#include <string.h>

/* ---- checks of one layer ---- */

static cge_status check_config(const cge_layer *l)
{
    if (l->config == NULL) return (l->kind->traits & CGE_NEEDS_CONFIG) != 0 ? CGE_ERR_NULL : CGE_OK;
    if (l->kind->config_bytes == 0) return CGE_ERR_ARGUMENT;
    return cge_is_aligned(l->config, sizeof(int32_t)) ? CGE_OK : CGE_ERR_ALIGN;
}

/* What is of layers with parameters alone. Positive numbers compare as their bits do. */
static cge_status check_row(const cge_layer *l)
{
    const int affine = (l->kind->traits & CGE_BY_GROUPS) == 0 ? 0 : CGE_NO_AFFINE;
    uint32_t factor;
    memcpy(&factor, &l->learning_rate_factor, sizeof factor);
    if (l->kind->weight_grad == NULL) return ((uint32_t)(l->flags | l->init | l->trains) | factor) == 0 ? CGE_OK : CGE_ERR_ARGUMENT;
    if (factor > CGE_LARGEST_FACTOR_BITS) return CGE_ERR_ARGUMENT;
    if ((l->flags & ~(CGE_FROZEN | CGE_NO_BIAS | affine)) != 0 || l->init > CGE_INIT_GLOROT_NORMAL) return CGE_ERR_ARGUMENT;
    return l->trains < CGE_TRAINS_BIAS || (l->trains != CGE_TRAINS_ALL && (l->flags & CGE_FROZEN) != 0) ? CGE_ERR_ARGUMENT : CGE_OK;
}

/* Of a layer that infer accepted: of how many of its input channels the weights may learn, or of its inputs. */
static cge_status check_trains(const cge_layer *l, const cge_layer_info *info)
{
    const int by_rows = (l->kind->traits & CGE_BY_ROWS) != 0;
    const int32_t inputs = info->weight_shape[by_rows ? 2 : 0];
    if (l->trains == CGE_TRAINS_ALL) return CGE_OK;
    if (l->trains == CGE_TRAINS_BIAS) return info->bias_elems > 0 ? CGE_OK : CGE_ERR_ARGUMENT;
    return l->trains == inputs || (l->trains < inputs && (!by_rows || inputs == info->in.c)) ? CGE_OK : CGE_ERR_ARGUMENT;
}

CGE_INTERNAL cge_status cge_infer_layer(const cge_layer *layer, const cge_shape *in, cge_layer_info *info)
{
    memset(info, 0, sizeof *info);
    if (layer->kind == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_config(layer));
    CGE_TRY(check_row(layer));
    info->in = in[0];
    if (cge_input_count(layer) > 1) info->in2 = in[1];
    CGE_TRY(layer->kind->infer(layer, in[0], info));
    if ((layer->flags & CGE_NO_BIAS) != 0) info->bias_elems = 0;
    return check_trains(layer, info);
}

/* A scale without a kind would be forgotten. */
CGE_INTERNAL cge_status cge_check_input(const cge_model *model)
{
    if (model->input_kind != NULL) return model->input_kind->check(model);
    return model->input_offset != 0 || !cge_is_zero(model->input_scale) ? CGE_ERR_ARGUMENT : CGE_OK;
}

CGE_INTERNAL cge_status cge_check_model(const cge_model *model)
{
    if (model == NULL || model->layers == NULL) return CGE_ERR_NULL;
    if (model->layer_count < 1) return CGE_ERR_ARGUMENT;
    if (model->input.h < 1 || model->input.w < 1 || model->input.c < 1) return CGE_ERR_SHAPE;
    if (cge_shape_elems(model->input) < 0) return CGE_ERR_OVERFLOW;
    if (model->fused != 0 && model->fused != 1) return CGE_ERR_ARGUMENT;
    if (model->fused > CGE_FUSED) return CGE_ERR_ARITHMETIC;
    CGE_TRY(cge_check_input(model));
    if (model->loss != NULL) CGE_TRY(model->loss->check(model));
    return model->optimizer.kind == NULL ? CGE_OK : model->optimizer.kind->check(&model->optimizer);
}

cge_status cge_layer_infer(const cge_layer *layer, const cge_shape *in, cge_layer_info *info)
{
    cge_layer_info result;
    int slot;
    if (layer == NULL || layer->kind == NULL || in == NULL || info == NULL) return CGE_ERR_NULL;
    for (slot = 0; slot < cge_input_count(layer); slot++, in++) {
        if (in->h < 1 || in->w < 1 || in->c < 1) return CGE_ERR_SHAPE;
        if (cge_shape_elems(*in) < 0) return CGE_ERR_OVERFLOW;
    }
    CGE_TRY(cge_infer_layer(layer, in - slot, &result));
    *info = result;
    return CGE_OK;
}

cge_status cge_model_layer_info(const cge_model *model, int32_t index, cge_layer_info *info)
{
    cge_layer_info layer;
    cge_shape in[2] = {{0, 0, 0}, {0, 0, 0}}; /* of a chain the first one is read */
    int32_t l;
    if (info == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_model(model));
    if (index < 0 || index >= model->layer_count) return CGE_ERR_ARGUMENT;
    in[0] = model->input;
    for (l = 0; l <= index; l++, in[0] = layer.out) {
        if (model->layers[l].kind == NULL) return CGE_ERR_NULL;
        CGE_TRY(cge_check_source(&model->layers[l], l));
        if (!cge_reads_before(&model->layers[l], l)) return CGE_ERR_MODE;
        CGE_TRY(cge_infer_layer(&model->layers[l], in, &layer));
    }
    *info = layer;
    return CGE_OK;
}

/* ---- the activation region ---- */

enum { LOW = 0, HIGH = 1 };

typedef struct tensor {
    int32_t offset, elems; /* offset < 0: nowhere (the caller's x, or no gradient yet) */
    int end;               /* LOW, HIGH */
} tensor;

typedef struct region {
    int32_t size;  /* of the region; 0 in the first walk, when only `peak` is wanted */
    int32_t peak;
    int32_t stack; /* elements kept at the low end */
} region;

/* Sizes add up to at most TOO_MANY, which is refused in the end: no sum can overflow. */
#define TOO_MANY (CGE_MAX_ELEMS + 1)

static int32_t sum_of(int32_t a, int32_t b)
{
    return b < TOO_MANY - a ? a + b : TOO_MANY;
}

static int32_t product_of(int32_t a, int32_t b)
{
    int32_t product = cge_elems3(a, b, 1);
    return product < 0 ? TOO_MANY : product;
}

/* A tensor at one end, above what is on the stack now. */
static tensor tensor_at(const region *r, int end, int32_t elems)
{
    tensor t;
    t.end = end;
    t.elems = elems;
    t.offset = end == LOW ? r->stack : r->size - elems;
    return t;
}

/* Counts a tensor that lives above `stack`, while `other` lives at the opposite end or on the stack. */
static void count_pair(region *r, int32_t stack, int32_t elems, const tensor *other)
{
    int32_t needed = stack + (other->end == HIGH ? other->elems : 0);
    if (other->end == LOW && other->offset + other->elems > needed) needed = other->offset + other->elems;
    needed += elems; /* at most three times TOO_MANY */
    if (needed > r->peak) r->peak = needed;
}

/* Facts of the walk that need the whole model first. */
typedef struct walk_plan {
    const cge_model *model;
    int32_t capacity;
    int32_t first_trainable; /* layer_count in inference too */
    int32_t first_kept;      /* outputs (those with a tensor of their own) are stacked from this one on */
} walk_plan;

static int has_trait(const cge_layer *l, int trait)
{
    return (l->kind->traits & trait) != 0;
}

/* Layer l's x is the caller's: only renaming layers come before it. */
static int reads_callers_x(const cge_model *model, int32_t l)
{
    while (l > 0 && has_trait(&model->layers[l - 1], CGE_ALIAS)) l--;
    return l == 0;
}

/* Layer l needs a tensor of its own for y. Otherwise y lies over x: never over the caller's x, nor over an output
 * that its producer's backward pass still reads. */
static int has_own_output(const walk_plan *w, int32_t l)
{
    const cge_layer *layers = w->model->layers;
    if (has_trait(&layers[l], CGE_ALIAS)) return 0;
    if (!has_trait(&layers[l], CGE_IN_PLACE) || reads_callers_x(w->model, l)) return 1;
    do
        l--;
    while (has_trait(&layers[l], CGE_ALIAS));
    return l > w->first_trainable && has_trait(&layers[l], CGE_INPUT_GRAD_READS_Y);
}

static int32_t count_outputs(const walk_plan *w, int32_t layers)
{
    int32_t l, outputs = 0;
    for (l = 0; l < layers; l++) outputs += has_own_output(w, l);
    return outputs;
}

/* Of a tensor of this shape for all samples held at once. */
CGE_NOINLINE int32_t elems_of(const walk_plan *w, cge_shape s)
{
    return product_of(s.h * s.w * s.c, w->capacity);
}

/* Layer l writes its input's gradient to a tensor of its own; the loss counts as one more layer. */
static int has_own_gradient(const walk_plan *w, int32_t l)
{
    if (l <= w->first_trainable || l == w->model->layer_count) return l > w->first_trainable;
    return !has_trait(&w->model->layers[l], CGE_ALIAS | CGE_IN_PLACE);
}

static int32_t count_gradients(const walk_plan *w)
{
    int32_t l, gradients = 0;
    for (l = w->first_trainable + 1; l <= w->model->layer_count; l++) gradients += has_own_gradient(w, l);
    return gradients;
}

/* Transient outputs alternate so that the last of them is high when the first kept one is placed low. */
static void place_output(const walk_plan *w, region *r, int32_t output, int32_t elems, tensor *last)
{
    const int end = output < w->first_kept && ((w->first_kept - output) & 1) != 0 ? HIGH : LOW;
    count_pair(r, r->stack, elems, last);
    *last = tensor_at(r, end, elems);
    if (output >= w->first_kept) r->stack = sum_of(r->stack, elems);
}

/* Gradients are made from the last to the first, from the loss's at `loss_end` on, at alternating ends. Here they come from the first on: each is counted beside the one after it, from which it is computed. By then what is on
 * the stack is what the forward pass had there before the layer. */
typedef struct gradients {
    tensor last;    /* elems -1: none yet */
    int32_t stack;  /* when it is computed */
    int left;       /* own gradients still to come; their parity tells the end */
} gradients;

static int32_t place_gradient(gradients *g, region *r, int loss_end, int32_t elems)
{
    const int32_t before = g->last.elems;
    g->last = tensor_at(r, (g->left & 1) != 0 ? loss_end : HIGH - loss_end, elems);
    if (before >= 0) count_pair(r, g->stack, before, &g->last);
    g->stack = r->stack;
    g->left--;
    return g->last.offset;
}

/* Layers that write over the gradient that they are given: where that lies is known now. */
static void pass_gradients_on(const walk_plan *w, int32_t loss_grad, cge_layer_plan *layers)
{
    int32_t l, dy = loss_grad;
    for (l = w->model->layer_count - 1; l > w->first_trainable; l--) {
        if (!has_own_gradient(w, l)) layers[l].dx = dy;
        dy = layers[l].dx;
    }
}

/* Returns the elements that the region needs, given its size (0 while that is not known). */
static int32_t walk(const walk_plan *w, int loss_end, int32_t size, cge_layer_plan *layers, int32_t *loss_grad)
{
    const int32_t layer_count = w->model->layer_count;
    region r = {0, 0, 0};
    tensor y = {-1, 0, LOW};
    gradients g = {{-1, -1, LOW}, 0, 0};
    cge_layer_info info;
    int32_t l, output = 0;
    r.size = size;
    g.left = count_gradients(w);
    info.out = w->model->input;
    for (l = 0; l <= layer_count; l++) {
        const cge_shape in = info.out;
        if (l == layer_count && g.left > 0) count_pair(&r, r.stack, elems_of(w, in), &y);
        if (has_own_gradient(w, l)) {
            const int32_t dx = place_gradient(&g, &r, loss_end, elems_of(w, in));
            if (l == layer_count) *loss_grad = dx;
            else if (layers != NULL) layers[l].dx = dx;
        }
        if (l == layer_count) break;
        (void)!cge_infer_layer(&w->model->layers[l], &in, &info); /* checked before */
        if (has_own_output(w, l)) place_output(w, &r, output++, elems_of(w, info.out), &y);
        if (layers != NULL) layers[l].y = y.offset;
    }
    if (layers != NULL) pass_gradients_on(w, *loss_grad, layers);
    return sum_of(r.peak, 0);
}

/* ---- the whole arena ---- */

/* grads -1: it does not learn. */
static void fill_row(cge_layer_plan *row, const cge_layer_info *info, int32_t params, int32_t grads)
{
    row->in = info->in;
    row->out = info->out;
    row->weights = info->weight_elems;
    row->biases = info->bias_elems;
    row->params = params;
    row->grads = grads;
    row->y = -1;
    row->dx = -1;
}

CGE_INTERNAL void cge_begin_counts(const cge_model *model, cge_network_plan *plan)
{
    plan->param_elems = 0;
    plan->held_elems = 0;
    plan->grad_elems = 0;
    plan->first_trainable = model->layer_count;
    plan->in_elems = model->input.h * model->input.w * model->input.c;
}

CGE_INTERNAL cge_status cge_count_layer(const cge_model *model, int32_t l, const cge_layer_info *info, const cge_options *options, cge_network_plan *plan, cge_layer_plan *row)
{
    const int32_t elems = info->weight_elems + info->bias_elems;
    const int32_t learning = cge_learning_elems(&model->layers[l], info, options->training);
    if (elems > CGE_MAX_ELEMS - plan->param_elems) return CGE_ERR_OVERFLOW;
    if (learning > 0 && plan->first_trainable == model->layer_count) plan->first_trainable = l;
    if (row != NULL) fill_row(row, info, plan->param_elems, learning > 0 ? plan->grad_elems : -1);
    plan->param_elems += elems;
    plan->grad_elems += learning;
    if (learning > 0)
        plan->held_elems += cge_held_elems(&model->layers[l], info->weight_elems, info->bias_elems, cge_runs_units(options));
    plan->out_elems = info->out.h * info->out.w * info->out.c;
    return CGE_OK;
}

/* Of a chain: shapes are known one after the other. A graph needs memory for them, and so a plan. */
static cge_status count_chain(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers)
{
    cge_shape in = model->input;
    cge_layer_info info;
    int32_t l;
    cge_begin_counts(model, plan);
    for (l = 0; l < model->layer_count; l++, in = info.out) {
        const cge_layer *layer = &model->layers[l];
        if (layer->kind == NULL) return CGE_ERR_NULL;
        if (!cge_reads_before(layer, l)) return CGE_ERR_MODE;
        CGE_TRY(cge_infer_layer(layer, &in, &info));
        CGE_TRY(cge_count_layer(model, l, &info, options, plan, layers != NULL ? &layers[l] : NULL));
    }
    return CGE_OK;
}

/* Each tensor of a pass of several samples is as many of the plan's. */
static int plan_fits(const cge_plan *plan, const cge_options *options)
{
    if (plan->level == NULL || plan->training != options->training) return 0;
    if (cge_runs_layers(plan->level) && plan->spread != NULL) return 0;
    return options->capacity == 1 || (plan->level->holds_several && plan->spread == NULL);
}

CGE_INTERNAL cge_status cge_resolve_options(const cge_options *options, cge_options *resolved)
{
    if (options == NULL) memset(resolved, 0, sizeof *resolved);
    else *resolved = *options;
    if (resolved->capacity == 0) resolved->capacity = 1;
    if (resolved->capacity < 0 || resolved->capacity > CGE_MAX_ELEMS) return CGE_ERR_ARGUMENT;
    if (resolved->training != 0 && resolved->training != 1) return CGE_ERR_ARGUMENT;
    if (resolved->executor != NULL && (resolved->executor->run == NULL || resolved->executor->threads < 1)) return CGE_ERR_ARGUMENT;
    if (resolved->plan != NULL && !plan_fits(resolved->plan, resolved)) return CGE_ERR_ARGUMENT;
    if (resolved->params == NULL) return CGE_OK;
    return cge_check_buffer(resolved->params);
}

static int32_t slots_of(const cge_model *model)
{
    return model->optimizer.kind != NULL ? model->optimizer.kind->slots(&model->optimizer) : 0;
}

/* Elements of the activation region where every output is kept as a whole. */
static int32_t place_whole_outputs(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers)
{
    walk_plan w;
    int32_t low, high, activations;
    int end;
    w.model = model;
    w.capacity = options->capacity;
    w.first_trainable = plan->first_trainable;
    w.first_kept = count_outputs(&w, plan->first_trainable);
    if (plan->first_trainable < model->layer_count && w.first_kept > 0) w.first_kept--; /* the first trainable layer's x */
    low = walk(&w, LOW, 0, NULL, &plan->loss_grad);
    high = walk(&w, HIGH, 0, NULL, &plan->loss_grad);
    end = low < high ? LOW : HIGH;
    activations = end == LOW ? low : high;
    if (layers != NULL) (void)walk(&w, end, activations, layers, &plan->loss_grad);
    return activations;
}

/* Samples picked in shuffled order are gathered before a pass over several at once. */
static int gathers_samples(const cge_options *options)
{
    return options->training && options->capacity > 1;
}

static cge_status find_input_room(const cge_model *model, const cge_options *options, int32_t in_elems, cge_input_room *room)
{
    cge_options of_layers;
    memset(room, 0, sizeof *room);
    if (CGE_HOST && !cge_runs_units(options)) {
        of_layers = *options;
        of_layers.plan = NULL;
        options = &of_layers;
    }
    if (model->input_kind != NULL) CGE_TRY(model->input_kind->find_room(model, options, room));
    else room->gathered = product_of(in_elems, options->capacity);
    if (!gathers_samples(options)) room->gathered = 0;
    if (options->plan != NULL) room->windows = 0; /* the plan has room for it */
    return CGE_OK;
}

CGE_INTERNAL cge_status cge_plan_network(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers)
{
    const cge_memory_level *level = cge_level_of(options);
    cge_input_room room;
    int32_t activations, grads;
    CGE_TRY(cge_check_model(model));
    if (options->training && model->loss == NULL) return CGE_ERR_MODE;
    if (level != NULL) CGE_TRY(level->check_plan(model, options, plan));
    else CGE_TRY(count_chain(model, options, plan, layers));
    CGE_TRY(find_input_room(model, options, plan->in_elems, &room));
    plan->loss_grad = level != NULL ? cge_wired_loss_grad(model, options) : -1;
    if (level == NULL) activations = place_whole_outputs(model, options, plan, layers);
    else activations = product_of(options->plan->peak_elems, options->capacity);
    if (level != NULL && level->one_by_one) activations += CGE_SLICE_ELEMS;
    grads = level != NULL && level->at_once ? 0 : plan->grad_elems;

    plan->params = 0;
    plan->grads = options->params == NULL ? plan->param_elems : options->training ? plan->held_elems : 0;
    plan->velocity = plan->grads + grads;
    plan->activations = plan->velocity + slots_of(model) * plan->grad_elems;
    plan->staging = plan->activations + activations;
    plan->window = plan->staging + room.gathered;
    plan->window_elems = room.window;
    plan->end = plan->window + room.windows; /* of at most seven times TOO_MANY: below 2^31 */
    if (plan->end >= TOO_MANY) return CGE_ERR_OVERFLOW;
    return level != NULL ? level->check_spread(options->plan, plan, layers) : CGE_OK;
}
