/* What the sources of a network share. */
#ifndef CGE_NETWORK_H
#define CGE_NETWORK_H

#include "plan.h"

/* CGE_ERR_NULL for NULL and for a struct that was never initialised (all zero). */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_network(const cge_network *net);

/* Marks the network as busy, or CGE_ERR_BUSY; to be called after all checks of arguments. const promises nothing about
 * this mark, since no network is defined const. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_network_take(const cge_network *net);
CGE_INTERNAL void cge_network_release(const cge_network *net);

/* A training network whose constant parameters stay outside: trained_params.h. */
static inline int cge_trains_in_part(const cge_network *net)
{
    return net->options.training && net->options.params != NULL;
}

/* Parameters to write to, where the caller knows that they lie in RAM. */
static inline cge_real *cge_writable(const cge_real *params)
{
    return (cge_real *)(uintptr_t)params;
}

static inline const cge_layer_plan *cge_layer_plans(const cge_network *net)
{
    return net->plans;
}

/* Bytes of one sample of x. */
static inline size_t cge_sample_bytes(const cge_network *net)
{
    const cge_input_kind *kind = net->model->input_kind;
    return (size_t)net->in_elems * (kind != NULL ? kind->bytes : sizeof(cge_real));
}

/* Sample i of x. */
static inline const void *cge_sample_at(const cge_network *net, const void *x, int32_t i)
{
    return (const unsigned char *)x + (size_t)i * cge_sample_bytes(net);
}

/* x, which is not cge_real, as a layer or a unit reads it. Returns `source`. */
static inline const cge_x_source *cge_set_source(const cge_network *net, const void *x, cge_real *window, cge_x_source *source)
{
    source->model = net->model;
    source->x = x;
    source->window = window;
    source->window_elems = net->window_elems;
    return source;
}

/* May the network train; has its optimiser what it needs? */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_training_mode(const cge_network *net);
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_optimizer(const cge_network *net);

/* Checks, or takes, the step for the parameters whose gradients are in a range. 0: one would not stay finite. */
CGE_INTERNAL int cge_update_range(const cge_network *net, int checks, cge_range range);

/* Samples that a forward pass may hold: units take one. */
static inline int32_t cge_forward_capacity(const cge_network *net)
{
    return cge_runs_units(&net->options) ? 1 : net->options.capacity;
}

/* Forward through all layers, count <= cge_forward_capacity; trains: as a step does. Returns the last output,
 * [count][out_elems]. */
CGE_INTERNAL const cge_real *cge_pass_forward(const cge_network *net, const cge_real *params, const void *x, int32_t count, int32_t trains);

/* What layer l draws for the next sample of a step. */
static inline cge_draw cge_draw_of(const cge_network *net, int32_t l)
{
    cge_draw d;
    d.net = net;
    d.sample = 0;
    d.layer = l;
    d.trains = 0;
    return d;
}

/* Adds the parameters' gradients to what is pending, given the gradient of the last output at net->loss_grad. */
CGE_INTERNAL void cge_pass_backward(const cge_network *net, const void *x, int32_t count);

#endif
