/*
 * A convolution whose gradient never exists as a whole. First comes dx, from the old weights, into memory of its own. Then the
 * weights may change while x is read on: some of their gradients are computed, checked and applied, and then the next. These
 * pieces are filters where zeros are left out, since there sums are collected by filters; else kernel rows, which are
 * convolutions of their own with another padding on top.
 */
#include "conv2d_unit.h"
#include "../kernels/kernels.h"

enum { COLUMN_PIECE = 8 }; /* of weights that are apart, gathered for the optimizer */

/* Weights that are `step` apart. 0: a gradient is not finite. Where the optimiser keeps two numbers for each, the second ones stay
 * where they are: one weight at a time. */
static int learn_column(const cge_unit_params *params, int32_t n, int32_t step, const cge_real *dw, cge_real *w, cge_real *v)
{
    const int32_t most = params->optimizer->slot_elems != 0 ? 1 : COLUMN_PIECE;
    cge_real some_w[COLUMN_PIECE], some_v[COLUMN_PIECE];
    int32_t i, count;
    for (i = 0; i < n; i += count) {
        cge_real *of_v = v != NULL && most > 1 ? some_v : v != NULL ? v + i * step : NULL;
        count = at_most_rows(n - i, most);
        cge_copy_column(count, w + i * step, step, some_w, 1);
        if (of_v == some_v) cge_copy_column(count, v + i * step, step, some_v, 1);
        if (!cge_unit_learn(params, count, dw + i, some_w, of_v)) return 0;
        cge_copy_column(count, some_w, 1, w + i * step, step);
        if (of_v == some_v) cge_copy_column(count, some_v, 1, v + i * step, step);
    }
    return 1;
}

static int learn_filter(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t k)
{
    const cge_unit_params *params = &c->params;
    const int32_t filters = p->g.out_c, elems = p->weight_elems / filters;
    const cge_windows v = cge_conv2d_unit_windows(c);
    cge_real *filter = c->scratch, db;
    memset(filter, 0, (size_t)elems * sizeof *filter);
    db = cge_conv2d_winners_filter_grad(p, &v, c->x, c->dy, c->winners, k, filter, 1, CGE_REAL(0));
    if (params->b != NULL && !cge_unit_learn(params, 1, &db, params->b + k, params->vb != NULL ? params->vb + k : NULL)) return 0;
    return learn_column(params, elems, filters, filter, params->w + k, params->vw != NULL ? params->vw + k : NULL);
}

CGE_INTERNAL int cge_conv2d_learn_filters(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const cge_unit_params *params = &c->params;
    const int32_t filters = p.g.out_c, elems = p.weight_elems / filters;
    int32_t k;
    if (params->db != NULL && !cge_unit_learn(params, filters, params->db, params->b, params->vb)) return 0;
    for (k = 0; k < filters; k++)
        if (!learn_column(params, elems, filters, params->dw + k * elems, params->w + k, params->vw != NULL ? params->vw + k : NULL)) return 0;
    return 1;
}

static int learn_kernel_row(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t kh)
{
    const cge_unit_params *params = &c->params;
    const int32_t elems = p->weight_elems / p->g.kernel_h, first = kh * elems;
    const cge_conv2d_plan row = kernel_row_of(p, kh);
    memset(params->dw, 0, (size_t)elems * sizeof *params->dw);
    cge_conv2d_unit_weight_grad_by_rows(c, &row, params->dw);
    return cge_unit_learn(params, elems, params->dw, params->w + first, params->vw != NULL ? params->vw + first : NULL);
}

CGE_INTERNAL int cge_conv2d_unit_backward_in_pieces(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    int32_t i;
    if (c->dx != NULL) cge_conv2d_unit_input_grad(c, &p);
    if (cge_conv2d_unit_leaves_zeros_out(c)) {
        for (i = 0; i < p.g.out_c; i++)
            if (!learn_filter(c, &p, i)) return 0;
        return 1;
    }
    if (!learn_biases(c, &p)) return 0;
    for (i = 0; i < p.g.kernel_h; i++)
        if (!learn_kernel_row(c, &p, i)) return 0;
    return 1;
}
