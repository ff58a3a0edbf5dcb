/* The one place that picks a kernel variant. */
#include "kernels.h"

#define VARIANT(operator_) cge_##operator_##_f32_ref

CGE_INTERNAL void cge_run_conv2d_forward(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    VARIANT(conv2d_forward)(p, x, w, b, y, rows);
}

CGE_INTERNAL void cge_run_conv2d_weight_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    VARIANT(conv2d_weight_grad)(p, x, dy, dw, rows, kernel_rows);
}

CGE_INTERNAL void cge_run_conv2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows)
{
    VARIANT(conv2d_bias_grad)(p, dy, db, rows);
}

CGE_INTERNAL void cge_run_conv2d_input_grad(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    VARIANT(conv2d_input_grad)(p, w, dy, dx, rows);
}

CGE_INTERNAL void cge_run_dense_forward(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    VARIANT(dense_forward)(in, out, count, x, w, b, y);
}

CGE_INTERNAL void cge_run_dense_weight_grad(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs)
{
    VARIANT(dense_weight_grad)(in, out, count, x, dy, dw, inputs);
}

CGE_INTERNAL void cge_run_dense_bias_grad(int32_t out, int32_t count, const cge_real *dy, cge_real *db)
{
    VARIANT(dense_bias_grad)(out, count, dy, db);
}

CGE_INTERNAL void cge_run_dense_input_grad(int32_t in, int32_t out, int32_t count, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    VARIANT(dense_input_grad)(in, out, count, w, dy, dx);
}

CGE_INTERNAL void cge_run_maxpool2d_forward(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    VARIANT(maxpool2d_forward)(p, x, y, rows);
}

CGE_INTERNAL void cge_run_maxpool2d_input_grad(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    VARIANT(maxpool2d_input_grad)(p, x, dy, dx);
}

CGE_INTERNAL void cge_run_avgpool2d_forward(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows)
{
    VARIANT(avgpool2d_forward)(p, x, y, rows);
}

CGE_INTERNAL void cge_run_avgpool2d_input_grad(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx)
{
    VARIANT(avgpool2d_input_grad)(p, dy, dx);
}
