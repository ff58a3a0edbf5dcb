/*
 * A dense layer with the activation behind it. Backward goes some inputs at a time: their weights' gradient, the gradient of
 * the inputs themselves, which may replace x, and if it is asked for the update, need nothing of the other inputs.
 */
#include "unit.h"
#include "../kernels/kernels.h"

enum { INPUTS = 16, FEW_INPUTS = 4 }; /* at a time: a multiple of what the fast kernels take */

static int32_t unit_inputs(const cge_unit_call *c)
{
    return c->in.h * c->in.w * c->in.c;
}

static int32_t tile_inputs(const cge_unit_call *c)
{
    const int32_t inputs = unit_inputs(c), most = (c->style & CGE_UNIT_FEW_INPUTS) != 0 ? FEW_INPUTS : INPUTS;
    return inputs < most ? inputs : most;
}

/* The first inputs, whose weights learn. */
static int32_t learning_inputs(const cge_unit_call *c)
{
    return cge_trained_weight_elems(c->layer, unit_inputs(c) * c->out.c) / c->out.c;
}

/* Inputs whose weights lie at params.w; those of the others at w_rest. */
static int32_t inputs_at_w(const cge_unit_call *c)
{
    return c->params.w_rest != NULL ? c->layer->trains : unit_inputs(c);
}

CGE_INTERNAL int32_t cge_dense_tile_elems(const cge_unit_call *c)
{
    const int32_t inputs = tile_inputs(c), learning = learning_inputs(c), tile = learning < inputs ? learning : inputs;
    return (tile > 0 ? tile : 1) * c->out.c; /* biases take the room of one input's weights */
}

CGE_INTERNAL cge_unit_scratch cge_dense_unit_scratch(const cge_unit_call *c, int needs_dx)
{
    cge_unit_scratch s = {0, 0};
    if (needs_dx) s.backward = tile_inputs(c);
    return s;
}

CGE_INTERNAL void cge_dense_unit_forward(const cge_unit_call *c)
{
    const int32_t inputs = inputs_at_w(c);
    cge_run_dense_forward(inputs, c->out.c, 1, c->x, c->params.w, c->params.b, c->y);
    if (c->params.w_rest != NULL) cge_dense_add_products(unit_inputs(c) - inputs, c->out.c, c->x + inputs, c->params.w_rest, c->y);
    cge_unit_activate(c->activation, c->out.c, c->y);
}

/* The weights of inputs i .. i + count - 1, all of which learn or none. 0: a gradient is not finite. */
static int learn_inputs(const cge_unit_call *c, int32_t i, int32_t count)
{
    const cge_unit_params *params = &c->params;
    const int32_t units = c->out.c, first = i * units;
    const cge_range inputs = {0, count};
    if (params->dw == NULL || i >= learning_inputs(c)) return 1;
    if (params->optimizer == NULL) {
        cge_run_dense_weight_grad(count, units, 1, cge_unit_x(c, i, count), c->dy, params->dw + first, inputs, 1);
        return 1;
    }
    cge_run_dense_weight_grad(count, units, 1, cge_unit_x(c, i, count), c->dy, params->dw, inputs, 0);
    return cge_unit_learn(params, count * units, params->dw, params->w + first, params->vw != NULL ? params->vw + first : NULL);
}

/* How many inputs from i on to take at a time: no border lies between them. */
static int32_t inputs_together(const cge_unit_call *c, int32_t i)
{
    const int32_t learning = learning_inputs(c), end = i < learning ? learning : unit_inputs(c);
    return end - i < tile_inputs(c) ? end - i : tile_inputs(c);
}

static const cge_real *weights_of_input(const cge_unit_call *c, int32_t i)
{
    const int32_t first = inputs_at_w(c);
    return i < first ? c->params.w + i * c->out.c : c->params.w_rest + (i - first) * c->out.c;
}

CGE_INTERNAL int cge_dense_unit_inputs(const cge_unit_call *c, cge_range inputs)
{
    const int32_t units = c->out.c;
    int32_t i, count;
    for (i = inputs.begin; i < inputs.end; i += count) {
        count = inputs_together(c, i);
        if (count > inputs.end - i) count = inputs.end - i;
        if (c->dx != NULL) cge_run_dense_input_grad(count, units, 1, weights_of_input(c, i), c->dy, c->scratch);
        if (!learn_inputs(c, i, count)) return 0;
        if (c->dx != NULL) cge_unit_hand_on(c, i, count, c->scratch);
    }
    return 1;
}

CGE_INTERNAL int cge_dense_unit_biases(const cge_unit_call *c)
{
    const cge_unit_params *params = &c->params;
    const int32_t units = c->out.c;
    if (params->db == NULL) return 1;
    if (params->optimizer != NULL) memset(params->db, 0, (size_t)units * sizeof *params->db);
    cge_run_dense_bias_grad(units, 1, c->dy, params->db);
    return params->optimizer == NULL || cge_unit_learn(params, units, params->db, params->b, params->vb);
}

CGE_INTERNAL int cge_dense_unit_backward(const cge_unit_call *c)
{
    const cge_range inputs = {0, unit_inputs(c)};
    return cge_dense_unit_inputs(c, inputs) && cge_dense_unit_biases(c);
}

CGE_INTERNAL cge_real cge_dense_inputs_gain(const cge_unit_call *c, cge_range inputs)
{
    cge_real most = 0;
    int32_t i, o;
    for (i = inputs.begin; i < inputs.end; i++) {
        const cge_real *w = weights_of_input(c, i);
        cge_real sum = 0;
        for (o = 0; o < c->out.c; o++) sum += w[o] < 0 ? -w[o] : w[o];
        if (!(sum <= most)) most = sum;
    }
    return most;
}

CGE_INTERNAL cge_real cge_dense_unit_gain(const cge_unit_call *c)
{
    const cge_range inputs = {0, unit_inputs(c)};
    return cge_dense_inputs_gain(c, inputs);
}
