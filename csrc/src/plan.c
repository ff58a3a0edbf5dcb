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
 * The walk runs for the size of the region first, then with the high end known for the offsets.
 */
#include "plan.h"

#include <string.h>

/* ---- checks of one layer ---- */

static int unused_fields_are_zero(const cge_layer *l, int fields)
{
    int32_t units = l->units | (int32_t)l->flags | l->init;
    int32_t window = l->kernel_h | l->kernel_w | l->stride_h | l->stride_w | l->pad_top | l->pad_left | l->pad_bottom | l->pad_right;
    int32_t taps = l->dilation_h | l->dilation_w | l->groups;
    return ((fields & CGE_USES_UNITS) != 0 || units == 0) && ((fields & CGE_USES_WINDOW) != 0 || window == 0) &&
           ((fields & CGE_USES_TAPS) != 0 || taps == 0) && ((fields & CGE_USES_ALPHA) != 0 || l->alpha == 0.0f);
}

CGE_INTERNAL cge_status cge_infer_layer(const cge_layer *layer, cge_shape in, cge_layer_info *info)
{
    memset(info, 0, sizeof *info);
    if (layer->kind == NULL) return CGE_ERR_NULL;
    if (!unused_fields_are_zero(layer, layer->kind->fields)) return CGE_ERR_ARGUMENT;
    if ((layer->flags & ~(uint32_t)(CGE_FROZEN | CGE_NO_BIAS)) != 0) return CGE_ERR_ARGUMENT;
    if (layer->init < CGE_INIT_HE_UNIFORM || layer->init > CGE_INIT_GLOROT_NORMAL) return CGE_ERR_ARGUMENT;
    info->in = in;
    CGE_TRY(layer->kind->infer(layer, in, info));
    if ((layer->flags & CGE_NO_BIAS) != 0) info->bias_elems = 0;
    return CGE_OK;
}

static cge_status check_model(const cge_model *model)
{
    if (model == NULL || model->layers == NULL) return CGE_ERR_NULL;
    if (model->layer_count < 1) return CGE_ERR_ARGUMENT;
    if (model->input.h < 1 || model->input.w < 1 || model->input.c < 1) return CGE_ERR_SHAPE;
    if (cge_shape_elems(model->input) < 0) return CGE_ERR_OVERFLOW;
    return model->optimizer.kind == NULL ? CGE_OK : model->optimizer.kind->check(&model->optimizer);
}

cge_status cge_model_layer_info(const cge_model *model, int32_t index, cge_layer_info *info)
{
    cge_layer_info layer;
    cge_shape in;
    int32_t l;
    if (info == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_model(model));
    if (index < 0 || index >= model->layer_count) return CGE_ERR_ARGUMENT;
    in = model->input;
    for (l = 0; l <= index; l++, in = layer.out) CGE_TRY(cge_infer_layer(&model->layers[l], in, &layer));
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

/* Places a tensor at one end while `other` lives at the opposite end or on the stack. */
static tensor place(region *r, int end, int32_t elems, tensor other)
{
    tensor t;
    int32_t needed;
    t.end = end;
    t.elems = elems;
    t.offset = end == LOW ? r->stack : r->size - elems;
    needed = r->stack; /* up to the end of what lies low */
    if (other.end == LOW && sum_of(other.offset, other.elems) > needed) needed = sum_of(other.offset, other.elems);
    needed = sum_of(needed, elems);
    if (other.end == HIGH) needed = sum_of(needed, other.elems);
    if (needed > r->peak) r->peak = needed;
    return t;
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

/* Elements of layer l's input for all samples held at once. Walks from the front: no memory, and models are short. */
static int32_t input_elems(const walk_plan *w, int32_t l)
{
    cge_shape s = w->model->input;
    cge_layer_info info;
    int32_t i;
    for (i = 0; i < l; i++, s = info.out) (void)!cge_infer_layer(&w->model->layers[i], s, &info); /* checked before */
    return product_of(s.h * s.w * s.c, w->capacity);
}

static tensor walk_forward(const walk_plan *w, region *r, cge_layer_plan *layers)
{
    tensor x = {-1, 0, LOW};
    int32_t l, output = 0;
    for (l = 0; l < w->model->layer_count; l++) {
        if (has_own_output(w, l)) {
            /* Transient outputs alternate so that the last of them is high when the first kept one is placed low. */
            int end = output < w->first_kept && ((w->first_kept - output) & 1) != 0 ? HIGH : LOW;
            x = place(r, end, input_elems(w, l + 1), x);
            if (output >= w->first_kept) r->stack = sum_of(r->stack, x.elems);
            output++;
        }
        if (layers != NULL) layers[l].y = x.offset;
    }
    return x;
}

/* `dy` is the gradient of the last output. */
static void walk_backward(const walk_plan *w, region *r, tensor dy, cge_layer_plan *layers)
{
    int32_t l;
    for (l = w->model->layer_count - 1; l > w->first_trainable; l--) {
        /* Layer l's own output is dead, or (in place) dies without anything being placed. */
        if (has_own_output(w, l)) r->stack -= input_elems(w, l + 1);
        if (!has_trait(&w->model->layers[l], CGE_ALIAS | CGE_IN_PLACE))
            dy = place(r, dy.end == LOW ? HIGH : LOW, input_elems(w, l), dy);
        if (layers != NULL) layers[l].dx = dy.offset;
    }
}

/* Returns the elements that the region needs, given its size (0 while that is not known). */
static int32_t walk(const walk_plan *w, int loss_end, int32_t size, cge_layer_plan *layers, int32_t *loss_grad)
{
    region r = {0, 0, 0};
    tensor y, dy;
    r.size = size;
    y = walk_forward(w, &r, layers);
    if (w->first_trainable < w->model->layer_count) {
        dy = place(&r, loss_end, input_elems(w, w->model->layer_count), y);
        *loss_grad = dy.offset;
        if (r.peak < TOO_MANY) walk_backward(w, &r, dy, layers); /* saturated sums cannot be taken back */
    }
    return r.peak;
}

/* ---- the whole arena ---- */

/* Shapes and parameter offsets of all layers; counts elements. */
static cge_status plan_layers(const cge_model *model, int training, cge_network_plan *plan, cge_layer_plan *layers)
{
    cge_shape in = model->input;
    cge_layer_info info;
    int32_t l;
    plan->param_elems = plan->grad_elems = 0;
    plan->first_trainable = model->layer_count;
    for (l = 0; l < model->layer_count; l++, in = info.out) {
        int32_t elems;
        int trainable;
        CGE_TRY(cge_infer_layer(&model->layers[l], in, &info));
        elems = info.weight_elems + info.bias_elems;
        trainable = training && elems > 0 && (model->layers[l].flags & CGE_FROZEN) == 0;
        if (elems > CGE_MAX_ELEMS - plan->param_elems) return CGE_ERR_OVERFLOW;
        if (trainable && plan->first_trainable == model->layer_count) plan->first_trainable = l;
        if (layers != NULL) {
            layers[l].in = in;
            layers[l].out = info.out;
            layers[l].weights = info.weight_elems;
            layers[l].biases = info.bias_elems;
            layers[l].params = plan->param_elems;
            layers[l].grads = trainable ? plan->grad_elems : -1;
            layers[l].y = layers[l].dx = -1;
        }
        plan->param_elems += elems;
        if (trainable) plan->grad_elems += elems;
    }
    plan->in_elems = cge_shape_elems(model->input);
    plan->out_elems = in.h * in.w * in.c;
    return CGE_OK;
}

CGE_INTERNAL cge_status cge_resolve_options(const cge_options *options, cge_options *resolved)
{
    static const cge_options defaults = {0, 0, NULL, NULL};
    *resolved = options != NULL ? *options : defaults;
    if (resolved->capacity == 0) resolved->capacity = 1;
    if (resolved->capacity < 0 || resolved->capacity > CGE_MAX_ELEMS) return CGE_ERR_ARGUMENT;
    if (resolved->training != 0 && resolved->training != 1) return CGE_ERR_ARGUMENT;
    if (resolved->executor != NULL && (resolved->executor->run == NULL || resolved->executor->threads < 1)) return CGE_ERR_ARGUMENT;
    if (resolved->params == NULL) return CGE_OK;
    if (resolved->training != 0) return CGE_ERR_ARGUMENT;
    return cge_check_buffer(resolved->params);
}

static int wants_velocity(const cge_model *model)
{
    return model->optimizer.kind != NULL && model->optimizer.kind->has_velocity(&model->optimizer);
}

CGE_INTERNAL cge_status cge_plan_network(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers)
{
    walk_plan w;
    int32_t low, high, activations;
    int end;
    CGE_TRY(check_model(model));
    if (options->training && model->loss == NULL) return CGE_ERR_MODE;
    CGE_TRY(plan_layers(model, options->training, plan, layers));
    w.model = model;
    w.capacity = options->capacity;
    w.first_trainable = plan->first_trainable;
    w.first_kept = count_outputs(&w, plan->first_trainable);
    if (plan->first_trainable < model->layer_count && w.first_kept > 0) w.first_kept--; /* the first trainable layer's x */
    plan->loss_grad = -1;
    low = walk(&w, LOW, 0, NULL, &plan->loss_grad);
    high = walk(&w, HIGH, 0, NULL, &plan->loss_grad);
    end = low < high ? LOW : HIGH;
    activations = end == LOW ? low : high;
    (void)walk(&w, end, activations, layers, &plan->loss_grad);

    plan->params = 0;
    plan->grads = options->params == NULL ? plan->param_elems : 0;
    plan->velocity = sum_of(plan->grads, plan->grad_elems);
    plan->activations = sum_of(plan->velocity, wants_velocity(model) ? plan->grad_elems : 0);
    plan->staging = sum_of(plan->activations, activations);
    /* Samples picked in shuffled order are gathered before a pass over several at once. */
    plan->end = sum_of(plan->staging, options->training && options->capacity > 1 ? product_of(plan->in_elems, options->capacity) : 0);
    return plan->end < TOO_MANY ? CGE_OK : CGE_ERR_OVERFLOW;
}
