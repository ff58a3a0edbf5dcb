/* What a transposed convolution has besides the passes of the convolution that goes the other way, whose input is y's shape. */
#include "kernels.h"

CGE_INTERNAL void cge_run_conv_transpose2d_bias(const cge_conv2d_plan *p, const cge_real *b, cge_real *y)
{
    const int32_t filters = p->g.in_c, elems = p->g.in_h * p->g.in_w * filters;
    int32_t i;
    for (i = 0; i < elems; i += filters) cge_add_apply(filters, y + i, b, y + i);
}

CGE_INTERNAL void cge_run_conv_transpose2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db)
{
    cge_run_dense_bias_grad(p->g.in_c, p->g.in_h * p->g.in_w, dy, db); /* pixel by pixel */
}
