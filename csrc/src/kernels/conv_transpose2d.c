/*
 * Transposed convolution: the passes of the convolution that goes the other way (cge.h), so that every kernel set has it. Its x
 * is that one's dy, and its dy that one's x; products commute, so that the bits are those of the formulas.
 */
#include "kernels.h"

CGE_INTERNAL void cge_run_conv_transpose2d_forward(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w,
                                                   const cge_real *b, cge_real *y, cge_range rows)
{
    const int32_t k_count = p->g.in_c, row = p->g.in_w * k_count;
    int32_t i;
    cge_run_conv2d_input_grad(p, w, x, y, rows);
    if (b == NULL) return;
    for (i = rows.begin * row; i < rows.end * row; i += k_count) cge_add_apply(k_count, y + i, b, y + i);
}

CGE_INTERNAL void cge_run_conv_transpose2d_weight_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy,
                                                       cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    cge_run_conv2d_weight_grad(p, dy, x, dw, rows, kernel_rows);
}

CGE_INTERNAL void cge_run_conv_transpose2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows)
{
    const int32_t row = p->g.in_w * p->g.in_c;
    cge_run_dense_bias_grad(p->g.in_c, (rows.end - rows.begin) * p->g.in_w, dy + rows.begin * row, db); /* pixel by pixel */
}

CGE_INTERNAL void cge_run_conv_transpose2d_input_grad(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy,
                                                      cge_real *dx, cge_range rows)
{
    cge_run_conv2d_forward(p, dy, w, NULL, dx, rows);
}
