/* What the sources of a convolution's unit share: its geometry, by rows. */
#ifndef CGE_CONV2D_UNIT_H
#define CGE_CONV2D_UNIT_H

#include "unit.h"

CGE_INTERNAL cge_conv2d_plan cge_conv2d_unit_plan(const cge_unit_call *c);
CGE_INTERNAL cge_windows cge_conv2d_unit_windows(const cge_unit_call *c); /* with a pooling */

/* Rows oh .. oh + rows - 1 as a convolution of its own, whose x begins at row *first. */
CGE_INTERNAL cge_conv2d_plan cge_conv2d_rows_of(const cge_conv2d_plan *p, int32_t oh, int32_t rows, int32_t *first);

CGE_INTERNAL int32_t cge_conv2d_unit_room(const cge_unit_call *c); /* elements of `room` below */

/* Row oh of the unit's output, to y. `x` begins with row first_row of c->x. With a pooling the rows of the map are in `room`
 * meanwhile: all that the row looks at, or one at a time (CGE_UNIT_ROW_BY_ROW). */
CGE_INTERNAL void cge_conv2d_unit_row(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row, cge_real *y, cge_real *room);

/* The same row once more, of a unit with a pooling whose winners are known. x is all of the unit's. */
CGE_INTERNAL void cge_conv2d_unit_row_again(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x,
                                            cge_real *y);

/* All of dx, to c->dx through the activation below. */
CGE_INTERNAL void cge_conv2d_unit_input_grad(const cge_unit_call *c, const cge_conv2d_plan *p);

/* Adds what all of the map gives to the weights of p: the layer's, or some of its kernel rows. */
CGE_INTERNAL void cge_conv2d_unit_weight_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p, cge_real *dw);
CGE_INTERNAL void cge_conv2d_unit_bias_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p, cge_real *db);

/* dx rows ih .. ih + count - 1 at `dx`, from rows rows.begin .. rows.end - 1 of the map's gradient, which lie at dz. */
CGE_INTERNAL void cge_conv2d_window_input_grad(const cge_conv2d_plan *p, const cge_real *w, cge_range rows, const cge_real *dz, int32_t ih, int32_t count, cge_real *dx);

/* The same of all of it. The rows of the map's gradient that they meet are expanded in `room`. */
CGE_INTERNAL void cge_conv2d_input_grad_band(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t ih, int32_t count, cge_real *dx, cge_real *room);

/* Before gradients are added to: those that learn at once are zeroed. And when they are complete: 0 if one is not finite. */
CGE_INTERNAL void cge_conv2d_unit_begin_weight_grad(const cge_unit_call *c);
CGE_INTERNAL int cge_conv2d_unit_learn(const cge_unit_call *c);

/* Adds to dw and db what row oh of the unit's output gives, whose gradient is dy; x as in cge_conv2d_unit_row. */
CGE_INTERNAL int32_t cge_conv2d_row_weight_grad_room(const cge_unit_call *c, int at_once); /* elements of `room` */
CGE_INTERNAL void cge_conv2d_row_weight_grad(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row, const cge_real *dy, cge_real *room);

/* Channels at a time of CGE_UNIT_FEW_CHANNELS: so many that their weights in a kernel row are those of four taps, or of one channel. */
static inline int32_t few_channels_of(const cge_conv2d_plan *p)
{
    const int32_t count = p->g.kernel_w > 2 ? 1 : 4 / p->g.kernel_w;
    return count < p->group_in ? count : p->group_in;
}

/* Kernel row kh as a convolution of its own. */
static inline cge_conv2d_plan kernel_row_of(const cge_conv2d_plan *p, int32_t kh)
{
    cge_conv2d_plan row = *p;
    row.g.kernel_h = 1;
    row.g.pad_top = p->g.pad_top - kh * p->g.dilation_h;
    row.weight_elems = p->weight_elems / p->g.kernel_h;
    return row;
}

/* The biases of a unit that learns in pieces, with their gradient at params.dw; 0: it is not finite. */
static inline int learn_biases(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    const cge_unit_params *params = &c->params;
    if (params->b == NULL) return 1;
    memset(params->dw, 0, (size_t)p->g.out_c * sizeof *params->dw);
    cge_conv2d_unit_bias_grad_by_rows(c, p, params->dw);
    return cge_unit_learn(params, p->g.out_c, params->dw, params->b, params->vb);
}

/* When all rows are through. 0: a gradient is not finite. */
CGE_INTERNAL int cge_conv2d_rows_learn(const cge_unit_call *c);
CGE_INTERNAL int cge_conv2d_learn_filters(const cge_unit_call *c); /* dw [out_c][kernel_h][kernel_w][in_c / groups] */

/* Row ih of dx, from all of c->dy. */
CGE_INTERNAL int32_t cge_conv2d_row_input_grad_room(const cge_unit_call *c); /* elements of `room` */
CGE_INTERNAL void cge_conv2d_row_input_grad(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t ih, cge_real *dx, cge_real *room);

static inline int32_t row_elems(cge_shape s)
{
    return s.w * s.c;
}

static inline int32_t at_least(int32_t value, int32_t limit)
{
    return value > limit ? value : limit;
}

static inline int32_t at_most_rows(int32_t rows, int32_t limit)
{
    return rows < limit ? rows : limit;
}

/* Rows of x that a row of the map spans. */
static inline int32_t reach_rows(const cge_conv2d_plan *p)
{
    return p->g.dilation_h * (p->g.kernel_h - 1) + 1;
}

/* Rows of the map that a row of the unit's output looks at. */
static inline int32_t map_rows_of_y(const cge_unit_call *c)
{
    return c->pool != NULL ? c->pool->kernel_h : 1;
}

#endif
