/* The one place that picks a kernel variant: by a table on hosts, by name on boards (so that only one is linked). */
#include "kernels.h"

#if CGE_F64
#define VARIANT(operator_) cge_##operator_##_f32_ref
#elif CGE_HOST
#include "sets_host.h"
#define VARIANT(operator_) cge_host_kernels()->operator_
#define ELEMENTWISE VARIANT
#define PART_WEIGHT_GRAD cge_conv2d_part_weight_grad_f32_tiled
#elif CGE_SMALL
#define SHORT(operator_) cge_##operator_##_f32_small
#define VARIANT(operator_) cge_##operator_##_f32_ref
#elif defined(__ARM_FP) && (__ARM_FP & 4)
#define VARIANT(operator_) cge_##operator_##_f32_tiled
#define BLOCKED VARIANT
#define PART_WEIGHT_GRAD cge_conv2d_part_weight_grad_f32_tiled
#else /* software floating point: calls dominate, blocking gains nothing */
#define VARIANT(operator_) cge_##operator_##_f32_ref
#endif

#ifndef SHORT
#define SHORT VARIANT
#endif
#ifndef PART_WEIGHT_GRAD
#define PART_WEIGHT_GRAD SHORT(conv2d_weight_grad)
#endif
#ifndef ELEMENTWISE
#define ELEMENTWISE(operator_) cge_##operator_##_f32_ref
#endif
#ifndef BLOCKED
#define BLOCKED ELEMENTWISE
#endif

CGE_INTERNAL void cge_run_conv2d_forward(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    SHORT(conv2d_forward)(p, x, w, b, y, rows);
}

CGE_INTERNAL void cge_run_conv2d_weight_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    SHORT(conv2d_weight_grad)(p, x, dy, dw, rows, kernel_rows);
}

CGE_INTERNAL void cge_part_conv2d_weight_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw,
                                              cge_range rows, cge_range kernel_rows)
{
    PART_WEIGHT_GRAD(p, x, dy, dw, rows, kernel_rows);
}

#if CGE_HOST && !CGE_F64
void cge_part_conv2d_forward(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    cge_conv2d_forward_f32_tiled(p, x, w, b, y, rows);
}

void cge_part_conv2d_input_grad(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    cge_conv2d_input_grad_f32_tiled(p, w, dy, dx, rows);
}
#endif

CGE_INTERNAL void cge_run_conv2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows)
{
    VARIANT(conv2d_bias_grad)(p, dy, db, rows);
}

CGE_INTERNAL void cge_run_conv2d_input_grad(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    SHORT(conv2d_input_grad)(p, w, dy, dx, rows);
}

CGE_INTERNAL void cge_run_dense_forward(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    SHORT(dense_forward)(in, out, count, x, w, b, y);
}

CGE_INTERNAL void cge_run_dense_weight_grad(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add)
{
    SHORT(dense_weight_grad)(in, out, count, x, dy, dw, inputs, add);
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

CGE_INTERNAL void cge_run_relu(int32_t n, const cge_real *x, cge_real *y)
{
    ELEMENTWISE(relu)(n, x, y);
}

CGE_INTERNAL void cge_run_relu_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    ELEMENTWISE(relu_grad)(n, y, dy, dx);
}

CGE_INTERNAL void cge_run_relu6(int32_t n, const cge_real *x, cge_real *y)
{
    BLOCKED(relu6)(n, x, y);
}

CGE_INTERNAL void cge_run_relu6_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    BLOCKED(relu6_grad)(n, y, dy, dx);
}

CGE_INTERNAL void cge_run_sgd(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    BLOCKED(sgd)(n, o, scale, dw, w, v);
}

CGE_INTERNAL int cge_run_all_below(int32_t n, const cge_real *x, cge_real_bits limit)
{
    return BLOCKED(all_below)(n, x, limit);
}

CGE_INTERNAL void cge_run_adam(int32_t n, const cge_adam_step *s, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    BLOCKED(adam)(n, s, dw, w, m, v);
}

#if CGE_HOST && !CGE_F64
void cge_run_norm_sums(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, cge_real *s)
{
    VARIANT(norm_sums)(count, pitch, channels, x, s);
}

void cge_run_norm_squares(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *mean, cge_real *s)
{
    VARIANT(norm_squares)(count, pitch, channels, x, mean, s);
}

void cge_run_norm_products(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *dy,
                           const cge_real *mean, cge_real *t, cge_real *u)
{
    VARIANT(norm_products)(count, pitch, channels, x, dy, mean, t, u);
}

void cge_run_norm_scale(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *mean,
                        const cge_real *a, const cge_real *c, cge_real *y)
{
    VARIANT(norm_scale)(count, pitch, channels, x, mean, a, c, y);
}

void cge_run_norm_combine(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *dy,
                          const cge_real *mean, const cge_real *a, const cge_real *b, const cge_real *c, cge_real *dx)
{
    VARIANT(norm_combine)(count, pitch, channels, x, dy, mean, a, b, c, dx);
}
#endif
