/* What a network will do and where everything lies: worked out from the model alone, before any byte is touched. */
#ifndef CGE_PLAN_H
#define CGE_PLAN_H

#include "layers/layer.h"

/* One layer's place in the arena; fixed-size integers, so that an arena has the same size on every target. */
typedef struct cge_layer_plan {
    cge_shape in, out;
    int32_t weights, biases; /* elements                                                               */
    int32_t params;          /* offset of the weight in net->params, in elements; the bias follows it  */
    int32_t grads;           /* the same in net->grads; -1: frozen or no parameters                     */
    int32_t y;               /* output, offset in the activation region; -1: it is the caller's x       */
    int32_t dx;              /* gradient of the input; -1: nobody needs it                              */
} cge_layer_plan;

typedef struct cge_network_plan {
    /* Parts of the arena behind the layer plans, in elements from the end of these. */
    int32_t params, grads, velocity, activations, staging, end;
    int32_t param_elems, grad_elems, in_elems, out_elems;
    int32_t first_trainable; /* layer_count if no layer has gradients */
    int32_t loss_grad;       /* gradient of the last output, offset in the activation region */
} cge_network_plan;

/* Checks model and options (defaults filled in) and fills *plan; and, if layers is not NULL, layers[layer_count]. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_plan_network(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers);

/* A copy with defaults filled in; NULL gives all defaults. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_resolve_options(const cge_options *options, cge_options *resolved);

/* One layer: its kind's infer after the checks that hold for every kind. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_infer_layer(const cge_layer *layer, cge_shape in, cge_layer_info *info);

#endif
