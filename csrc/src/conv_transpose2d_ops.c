/* The checked public operators of transposed convolution. */
#include "base/fp_mode.h"
#include "kernels/kernels.h"

static cge_status check_transpose(const cge_conv_transpose2d *g, const cge_real *in, const cge_real *other,
                                  const cge_real *out, cge_conv2d_plan *p)
{
    if (g == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_buffer(in));
    CGE_TRY(cge_check_buffer(other));
    CGE_TRY(cge_check_buffer(out));
    return cge_conv_transpose2d_resolve(g, p);
}

cge_status cge_conv_transpose2d_forward_f32(const cge_conv_transpose2d *g, const cge_real *x, const cge_real *w,
                                            const cge_real *b, cge_real *y)
{
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    CGE_TRY(check_transpose(g, x, w, y, &p));
    if (b != NULL) CGE_TRY(cge_check_buffer(b));
    cge_run_conv_transpose2d_forward(&p, x, w, b, y);
    return CGE_OK;
}

cge_status cge_conv_transpose2d_weight_grad_f32(const cge_conv_transpose2d *g, const cge_real *x, const cge_real *dy,
                                                cge_real *dw)
{
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    cge_range kernel_rows = {0, 0};
    CGE_TRY(check_transpose(g, x, dy, dw, &p));
    kernel_rows.end = p.g.kernel_h;
    cge_run_conv_transpose2d_weight_grad(&p, x, dy, dw, kernel_rows);
    return CGE_OK;
}

cge_status cge_conv_transpose2d_bias_grad_f32(const cge_conv_transpose2d *g, const cge_real *dy, cge_real *db)
{
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    CGE_TRY(check_transpose(g, dy, dy, db, &p));
    cge_run_conv_transpose2d_bias_grad(&p, dy, db);
    return CGE_OK;
}

cge_status cge_conv_transpose2d_input_grad_f32(const cge_conv_transpose2d *g, const cge_real *w, const cge_real *dy,
                                               cge_real *dx)
{
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    CGE_TRY(check_transpose(g, w, dy, dx, &p));
    cge_run_conv_transpose2d_input_grad(&p, w, dy, dx);
    return CGE_OK;
}
