/* What a transposed convolution has besides the passes of the convolution that goes the other way, whose input is y's shape. */
#include "tiled/bias_block.h"

CGE_INTERNAL void cge_run_conv_transpose2d_bias(const cge_conv2d_plan *p, const cge_real *b, cge_real *y)
{
    const int32_t filters = p->g.in_c, pixels = p->g.in_h * p->g.in_w, done = cge_add_bias_blocks(pixels, filters, b, y);
    int32_t i;
    if (done == filters) return;
    for (i = 0, y += done; i < pixels; i++, y += filters) cge_add_apply(filters - done, y, b + done, y);
}

CGE_INTERNAL void cge_run_conv_transpose2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db)
{
    cge_run_dense_bias_grad(p->g.in_c, p->g.in_h * p->g.in_w, dy, db); /* pixel by pixel */
}
