/*
 * Units: a layer that computes, with the activation and the pooling behind it, run as one so that what lies between them
 * never exists as a whole. A unit works on one sample, but for batch normalisation where it learns.
 *
 * Backward takes dy, the gradient of what the layer that computes (or the pooling) put out, already through the unit's own
 * activation; and hands dx on through the activation of the unit below, so that nothing else touches it.
 */
#ifndef CGE_UNIT_H
#define CGE_UNIT_H

#include "layer.h"
#include "../kernels/winners.h"

/* How a unit works (cge_unit.style): 0 is the quickest, and these may take less memory. */
enum {
    CGE_UNIT_ROW_BY_ROW = 1, /* conv2d: forward, a pooled row looks at one row of the map after the other */
    CGE_UNIT_DX_FIRST = 2,   /* conv2d of which all learns: dx has memory of its own, and then the parameters learn piece by piece */
    CGE_UNIT_FEW_INPUTS = 4, /* dense: a quarter of the inputs at a time */
    CGE_UNIT_STEM = 8,       /* conv2d: the first units run by rows through all of them, as if they were one (net/stem.c) */
    CGE_UNIT_RELAY = 16,        /* one of some units that run by rows through all of them (net/relay.c) */
    CGE_UNIT_HANDS_ROWS_ON = 32, /* and not the last of them: its output never exists as a whole. So in a block, by channels */
    CGE_UNIT_FEW_CHANNELS = 64, /* with CGE_UNIT_DX_FIRST: and of these pieces a few input channels (conv2d_channels.c) */
    CGE_UNIT_BLOCK = 128,       /* one of two or three units that run by groups of channels through all of them (net/block.c) */
    CGE_UNIT_HALVING = 256,     /* the last of them, 0 to 3 times: half as many channels in a group */
    CGE_UNIT_ALL_HALVINGS = 3 * CGE_UNIT_HALVING,
    CGE_UNIT_KEEPS_WINNERS = 1024, /* the first of a stem: backward computes again only what won in its pooling */
    CGE_UNIT_LEARNS_BY_ROWS = 4096, /* with CGE_UNIT_RELAY: these units also learn by rows (net/learning_relay.c) */
    CGE_UNIT_DX_APART = 2048 /* in cge_unit_call alone: x was forgotten, of which there is a mask, so dx does not lie over it */
};

/* The parameters of a unit and what learns them. dw, db are NULL where nothing does; dw is of the weights that learn. */
typedef struct cge_unit_params {
    cge_real *w, *b; /* b NULL: no bias */
    const cge_real *w_rest; /* dense: weights from input number layer->trains on, if they lie elsewhere; else NULL */
    cge_real *dw, *db; /* gradients are added; with `optimizer`: scratch that may hold anything */
    const cge_optimizer *optimizer; /* not NULL: w and b are updated as soon as their gradient is complete */
    float learning_rate_factor;     /* of the layer */
    cge_real *vw, *vb;              /* velocities, or NULL */
    int tries; /* 1: asks whether an update would stay finite, and changes nothing */
} cge_unit_params;

/* Multiply-adds that a parameter's learning takes as long as, where it learns at once. */
static inline int32_t cge_unit_learn_macs(const cge_unit_params *params)
{
    const cge_optimizer *o = params->optimizer;
    return o != NULL ? o->kind->check_macs + o->kind->update_macs : 0;
}

typedef struct cge_unit_call {
    const cge_layer *layer;      /* that computes */
    const cge_layer *activation; /* NULL: none */
    const cge_pool2d *pool;      /* NULL: none; max pooling whose windows do not overlap */
    int16_t pool_first;          /* the activation may follow the pooling: the same bits */
    int16_t adds;                /* the gradient of x is added to what dx holds */
    int32_t style;
    cge_shape in, in2, map, out; /* in2: of the second input; map: the layer's output, before pooling */
    int32_t count;               /* samples: 1, but for a batch normalisation that learns; tensors are [count][elements] */
    cge_unit_params params;
    const cge_real *x, *x2;      /* x2 NULL: one input */
    cge_x_source source;           /* in place of x, for cge_input_kind alone */
    cge_real *y;
    unsigned char *winners;      /* NULL: nobody needs them */
    int32_t first_winner;        /* number of the first one; negative if only some rows have them */
    const cge_real *dy;
    cge_real *dx;                /* NULL: nobody needs it; may be x */
    const cge_layer *below;      /* the activation whose output x is; or x is its mask (net/masks.c); NULL: none */
    cge_real *scratch;           /* cge_<kind>_unit_scratch elements */
    cge_draw draw;
} cge_unit_call;

/* Elements begin .. begin + count - 1 of x: where they lie, or read into the window. */
CGE_INTERNAL const cge_real *cge_unit_x(const cge_unit_call *c, int32_t begin, int32_t count);

/* A step's memory besides tensors, in elements; one sample. */
typedef struct cge_unit_scratch {
    int32_t forward, backward;
} cge_unit_scratch;

CGE_INTERNAL cge_unit_scratch cge_conv2d_unit_scratch(const cge_unit_call *c, int needs_dx); /* 2: and adds it */
CGE_INTERNAL void cge_conv2d_unit_forward(const cge_unit_call *c); /* pooled, if x is read through a window */
CGE_INTERNAL int cge_conv2d_unit_backward(const cge_unit_call *c); /* 0: a gradient is not finite, nothing is learned */
CGE_INTERNAL int32_t cge_unit_winners_elems(const cge_unit_call *c);
CGE_INTERNAL int cge_conv2d_unit_leaves_zeros_out(const cge_unit_call *c); /* then x must be finite */

CGE_INTERNAL int cge_conv2d_unit_backward_in_pieces(const cge_unit_call *c); /* CGE_UNIT_DX_FIRST; 0: not finite, what came before is learned */

CGE_INTERNAL int cge_conv2d_unit_backward_in_channels(const cge_unit_call *c); /* the same, and CGE_UNIT_FEW_CHANNELS */

/* Elements of the gradients that learn at once: of a conv2d layer all, a kernel row or some channels of it, of a dense one those of some inputs. */
CGE_INTERNAL int32_t cge_conv2d_unit_gradients(const cge_unit_call *c);
CGE_INTERNAL int32_t cge_dense_tile_elems(const cge_unit_call *c);
CGE_INTERNAL cge_unit_scratch cge_dense_unit_scratch(const cge_unit_call *c, int needs_dx);
CGE_INTERNAL void cge_dense_unit_forward(const cge_unit_call *c);
CGE_INTERNAL int cge_dense_unit_backward(const cge_unit_call *c); /* 0: a gradient is not finite, what came before it is learned */
CGE_INTERNAL int cge_dense_unit_inputs(const cge_unit_call *c, cge_range inputs); /* backward in parts: some inputs, ascending ... */
CGE_INTERNAL int cge_dense_unit_biases(const cge_unit_call *c);                   /* ... and then the biases */

/*
 * Bounds of a step's gradients, from the weights and what is kept, before anything is learned. With |dy| <= 1 everywhere,
 *
 *   gain       |dx| <= gain:  the largest sum of |w| over what one input reaches
 *   positions  |db| <= positions,  |dw| <= positions * max |x|:  numbers of dy that one weight meets
 */
CGE_INTERNAL cge_real cge_conv2d_unit_gain(const cge_unit_call *c);
CGE_INTERNAL int32_t cge_conv2d_unit_positions(const cge_unit_call *c);
CGE_INTERNAL cge_real cge_dense_unit_gain(const cge_unit_call *c);
CGE_INTERNAL cge_real cge_conv2d_channel_gain(const cge_conv2d_plan *p, const cge_real *w, int32_t group, int32_t c); /* of channel c of a group */
CGE_INTERNAL cge_real cge_dense_inputs_gain(const cge_unit_call *c, cge_range inputs);
CGE_INTERNAL cge_real cge_unit_magnitude(int32_t n, const cge_real *x); /* max |x| */

/* Elements begin .. begin + count - 1 of the gradient of x, which lie at `dx`, to c->dx through the activation below. What
 * lies at dx is scratch afterwards. */
CGE_INTERNAL void cge_unit_hand_on(const cge_unit_call *c, int32_t begin, int32_t count, cge_real *dx);

/* y = activation(y) on elements, in place. */
CGE_INTERNAL void cge_unit_activate(const cge_layer *activation, int32_t count, cge_real *y);

/* Updates n numbers with their gradient, or tries to. 0: one would become infinite or NaN, and nothing is changed. And its two
 * parts. */
CGE_INTERNAL int cge_unit_learn(const cge_unit_params *params, int32_t n, const cge_real *dw, cge_real *w, cge_real *v);
CGE_INTERNAL int cge_unit_stays_finite(const cge_unit_params *params, int32_t n, const cge_real *dw, const cge_real *w,
                                       const cge_real *v);
CGE_INTERNAL void cge_unit_update(const cge_unit_params *params, int32_t n, const cge_real *dw, cge_real *w, cge_real *v);

#endif
