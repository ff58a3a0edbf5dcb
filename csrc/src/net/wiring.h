/*
 * Where the tensors of a layer lie that the walk over layers (walk.c) runs: of a chain as plan.c says, of a graph as its plan
 * of level cge_memory_fast does. Boards run chains alone.
 */
#ifndef CGE_WIRING_H
#define CGE_WIRING_H

#include "net.h"

/* Offsets in the activation region. */
typedef struct cge_wiring {
    int32_t x[2], y;   /* -1: the caller's x, or none */
    int32_t dy, dx[2]; /* -1: nobody needs it */
    int32_t adds;      /* bit i: the gradient of input i is added to dx[i] ... */
    int32_t made, made_elems; /* ... from there; of a sample */
} cge_wiring;

#if CGE_HOST

CGE_INTERNAL cge_wiring cge_wiring_of(const cge_network *net, int32_t l);

/* Where the gradient of the last output lies; -1: nobody needs it. */
CGE_INTERNAL int32_t cge_wired_loss_grad(const cge_model *model, const cge_options *options);

/* Where the gradient of its output lies; 0: nobody needs it. */
static inline int cge_finds_dy(const cge_wiring *w, int32_t *dy)
{
    *dy = w->dy;
    return w->dy >= 0;
}

/* How many inputs of a layer get gradients. */
static inline int32_t cge_wired_inputs(const cge_layer *l)
{
    return cge_input_count(l);
}

#else

CGE_INLINE cge_wiring cge_wiring_of(const cge_network *net, int32_t l)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    cge_wiring w;
    w.x[0] = l > 0 ? plans[l - 1].y : -1;
    w.y = plans[l].y;
    w.dx[0] = plans[l].dx;
    w.adds = 0;
    return w;
}

static inline int32_t cge_wired_loss_grad(const cge_model *model, const cge_options *options)
{
    (void)model, (void)options;
    return -1;
}

/* It is dx of the layer behind. */
static inline int cge_finds_dy(const cge_wiring *w, int32_t *dy)
{
    (void)w, (void)dy;
    return 1;
}

static inline int32_t cge_wired_inputs(const cge_layer *l)
{
    (void)l;
    return 1;
}

#endif

#endif
