/* From layer->trains to elements and addresses. */
#include "trained_params.h"

CGE_INTERNAL int32_t cge_learning_elems(const cge_layer *layer, const cge_layer_info *info, int training)
{
    if (!training || (layer->flags & CGE_FROZEN) != 0) return 0;
    return cge_trained_weight_elems(layer, info->weight_elems) + info->bias_elems;
}

/* Weights in the arena, where the others stay outside. */
static int32_t held_weights(const cge_layer *layer, int32_t weights, int has_plan)
{
    const int32_t trained = cge_trained_weight_elems(layer, weights);
    return trained > 0 && ((layer->kind->traits & CGE_BY_INPUTS) == 0 || !has_plan) ? weights : trained;
}

CGE_INTERNAL int32_t cge_held_elems(const cge_layer *layer, int32_t weights, int32_t biases, int has_plan)
{
    return held_weights(layer, weights, has_plan) + biases;
}

/* Where layer l, which learns, begins in net->params: behind what is held of those before it. */
static int32_t begin_of_held(const cge_network *net, int32_t l)
{
    const cge_layer_plan *plan = cge_layer_plans(net);
    int32_t i, begin = 0;
    for (i = 0; i < l; i++)
        if (plan[i].grads >= 0) begin += cge_held_elems(&net->model->layers[i], plan[i].weights, plan[i].biases, net->options.plan != NULL);
    return begin;
}

CGE_INTERNAL cge_layer_weights cge_weights_of(const cge_network *net, const cge_real *params, int32_t l)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    const int in_part = cge_trains_in_part(net);
    cge_layer_weights at;
    const cge_real *held;
    at.w = (in_part ? net->options.params : params) + plan->params;
    at.rest = NULL;
    at.b = plan->biases != 0 ? at.w + plan->weights : NULL;
    at.at_w = plan->weights;
    at.w_outside = in_part;
    at.b_outside = in_part;
    if (!in_part || plan->grads < 0) return at;
    held = params + begin_of_held(net, l);
    at.at_w = held_weights(&net->model->layers[l], plan->weights, net->options.plan != NULL);
    if (at.b != NULL) at.b = held + at.at_w;
    at.b_outside = 0;
    at.w_outside = at.at_w == 0;
    if (at.w_outside) at.at_w = plan->weights;
    else if (at.at_w < plan->weights) at.rest = at.w + at.at_w;
    if (!at.w_outside) at.w = held;
    return at;
}

static void set_block(cge_param_block *block, const cge_real *at, int32_t elems, int outside)
{
    block->at = at;
    block->elems = at != NULL ? elems : 0;
    block->outside = outside;
}

CGE_INTERNAL void cge_find_params(const cge_network *net, const cge_real *params, int32_t l, cge_param_block *blocks)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    const cge_layer_weights at = cge_weights_of(net, params, l);
    set_block(&blocks[0], at.w, at.at_w, at.w_outside);
    set_block(&blocks[1], at.rest, plan->weights - at.at_w, 1);
    set_block(&blocks[2], at.b, plan->biases, at.b_outside);
}
