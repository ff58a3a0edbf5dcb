/* From layer->trains to elements and addresses. */
#include "trained_params.h"

CGE_INTERNAL int32_t cge_learning_elems(const cge_layer *layer, const cge_layer_info *info, int training)
{
    if (!training || (layer->flags & CGE_FROZEN) != 0) return 0;
    return cge_trained_weight_elems(layer, info->weight_elems) + info->bias_elems;
}

/* Weights in the arena, where the others stay outside. */
static int32_t held_weights(const cge_layer *layer, int32_t weights, int by_units)
{
    const int32_t trained = cge_trained_weight_elems(layer, weights);
    return trained > 0 && ((layer->kind->traits & CGE_BY_INPUTS) == 0 || !by_units) ? weights : trained;
}

CGE_INTERNAL int32_t cge_held_elems(const cge_layer *layer, int32_t weights, int32_t biases, int by_units)
{
    return held_weights(layer, weights, by_units) + biases;
}

/* Where layer l, which learns, begins in net->params: behind what is held of those before it. */
static int32_t begin_of_held(const cge_network *net, int32_t l)
{
    const cge_layer_plan *plan = cge_layer_plans(net);
    int32_t i, begin = 0;
    for (i = 0; i < l; i++)
        if (plan[i].grads >= 0)
            begin += cge_held_elems(&net->model->layers[i], plan[i].weights, plan[i].biases, cge_runs_units(&net->options));
    return begin;
}

CGE_INTERNAL cge_layer_weights cge_weights_of(const cge_network *net, const cge_real *params, int32_t l)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    const int in_part = cge_trains_in_part(net);
    const cge_real *held, *all = (in_part ? net->options.params : params) + plan->params;
    cge_layer_weights at = {all, NULL, NULL};
    int32_t weights;
    if (plan->biases != 0) at.b = all + plan->weights;
    if (!in_part || plan->grads < 0) return at;
    held = params + begin_of_held(net, l);
    weights = held_weights(&net->model->layers[l], plan->weights, cge_runs_units(&net->options));
    if (at.b != NULL) at.b = held + weights;
    if (weights == 0) return at;
    at.w = held;
    if (weights < plan->weights) at.rest = all + weights;
    return at;
}

static void set_block(cge_param_block *block, const cge_real *at, int32_t elems, const cge_real *outside)
{
    block->at = at;
    block->elems = at != NULL ? elems : 0;
    block->outside = outside != NULL && at == outside;
}

CGE_INTERNAL void cge_find_params(const cge_network *net, const cge_real *params, int32_t l, cge_param_block *blocks)
{
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    const cge_layer_weights at = cge_weights_of(net, params, l);
    const cge_real *outside = cge_trains_in_part(net) ? net->options.params + plan->params : NULL;
    const int32_t weights = at.rest != NULL ? (int32_t)(at.rest - outside) : plan->weights;
    set_block(&blocks[0], at.w, weights, outside);
    set_block(&blocks[1], at.rest, plan->weights - weights, at.rest);
    set_block(&blocks[2], at.b, plan->biases, outside != NULL ? outside + plan->weights : NULL);
}
