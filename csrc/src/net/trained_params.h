/*
 * Which parameters learn, and where the others lie.
 *
 * Gradients and velocities are of what learns alone, layer by layer: [taps][run] of the weights (layer.h), then the biases. A
 * network that trains with options.params copies that much into its arena and reads the rest where it is. Kernels read a
 * layer's weights in one piece, so if n input channels learn, all weights are in the arena; but with a plan a dense layer goes
 * some inputs at a time, and the weights of the first n are.
 */
#ifndef CGE_TRAINED_PARAMS_H
#define CGE_TRAINED_PARAMS_H

#include "net.h"

/* Elements of gradients; 0: nothing learns. */
CGE_INTERNAL int32_t cge_learning_elems(const cge_layer *layer, const cge_layer_info *info, int training);

/* Elements that a network with options.params copies into the arena, of a layer that learns. */
CGE_INTERNAL int32_t cge_held_elems(const cge_layer *layer, int32_t weights, int32_t biases, int by_units);

/* The parameters of a layer. rest: weights that do not lie behind the others, but in options.params; NULL: none. b NULL: no
 * biases. */
typedef struct cge_layer_weights {
    const cge_real *w, *rest, *b;
} cge_layer_weights;

/* params: net->params as the call has read it. */
CGE_INTERNAL cge_layer_weights cge_weights_of(const cge_network *net, const cge_real *params, int32_t l);

/* Successive parameters of a layer; three blocks in the order of files, of which some may be empty. */
typedef struct cge_param_block {
    const cge_real *at;
    int32_t elems;
    int outside; /* of the arena, though others of this network lie in it: constant */
} cge_param_block;

enum { CGE_PARAM_BLOCKS = 3 };
CGE_INTERNAL void cge_find_params(const cge_network *net, const cge_real *params, int32_t l, cge_param_block *blocks);

#endif
