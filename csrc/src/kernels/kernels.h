/*
 * The loops. Internal: geometries are resolved, pointers checked. A kernel works on a range of rows so that one
 * mechanism serves slices, threads and streams; the full range is the public operator of cge.h, whose formulas and
 * orders of additions apply. Any split into ranges, taken in ascending order, gives the same bits.
 *
 * cge_run_<op>              what layers and public operators call; dispatch.c picks the variant
 * cge_<op>_f32_<variant>    one variant; every variant takes every geometry and equals _ref bit for bit:
 *   ref    the readable reference
 *   small  the reference with one nest of loops for all passes of a convolution, for SMALL=1
 *   tiled  register blocks of scalars, for cores with 32 FPU registers and no float SIMD (Cortex-M4F, M7, M33)
 *   lanes  loops of fixed length that a compiler turns into SIMD; on x86-64 compiled once more for AVX2 and AVX-512
 */
#ifndef CGE_KERNELS_H
#define CGE_KERNELS_H

#include "../geometry.h"

/* y rows oh in `rows` */
typedef void cge_conv2d_forward_fn(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows);
/* dw[kh] for kh in `kernel_rows`, adding output rows oh in `rows` */
typedef void cge_conv2d_weight_grad_fn(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows);
/* dx rows ih in `rows` */
typedef void cge_conv2d_input_grad_fn(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows);
/* db, adding output rows oh in `rows` */
typedef void cge_conv2d_bias_grad_fn(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows);

/* Dense operators take `count` samples, x [count][in], dy [count][out]; gradients add in sample order. */
typedef void cge_dense_forward_fn(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y);
/* dw[i] for i in `inputs`; add: to what dw holds, else to zero */
typedef void cge_dense_weight_grad_fn(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add);
typedef void cge_dense_bias_grad_fn(int32_t out, int32_t count, const cge_real *dy, cge_real *db);
typedef void cge_dense_input_grad_fn(int32_t in, int32_t out, int32_t count, const cge_real *w, const cge_real *dy, cge_real *dx);

/* Pooling: forward computes output rows `rows`; input_grad assigns all of dx. */
typedef void cge_pool2d_forward_fn(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows);
typedef void cge_maxpool2d_input_grad_fn(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx);
typedef void cge_avgpool2d_input_grad_fn(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx);

/* The one list of operators with variants: X(function type, operator). Kernel sets, dispatch, tests and benchmarks
 * expand it. */
#define CGE_CONV2D_PASSES(X)                                      \
    X(cge_conv2d_forward_fn, conv2d_forward)                      \
    X(cge_conv2d_weight_grad_fn, conv2d_weight_grad)              \
    X(cge_conv2d_input_grad_fn, conv2d_input_grad)
#define CGE_OTHER_OPERATORS(X)                                    \
    X(cge_conv2d_bias_grad_fn, conv2d_bias_grad)                  \
    X(cge_dense_forward_fn, dense_forward)                        \
    X(cge_dense_weight_grad_fn, dense_weight_grad)                \
    X(cge_dense_bias_grad_fn, dense_bias_grad)                    \
    X(cge_dense_input_grad_fn, dense_input_grad)                  \
    X(cge_pool2d_forward_fn, maxpool2d_forward)                   \
    X(cge_maxpool2d_input_grad_fn, maxpool2d_input_grad)          \
    X(cge_pool2d_forward_fn, avgpool2d_forward)                   \
    X(cge_avgpool2d_input_grad_fn, avgpool2d_input_grad)
#define CGE_OPERATORS(X) CGE_CONV2D_PASSES(X) CGE_OTHER_OPERATORS(X)

/* Elementwise: y may be x, dx may be dy. */
typedef void cge_relu_fn(int32_t n, const cge_real *x, cge_real *y);
typedef void cge_relu_grad_fn(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
typedef void cge_sgd_fn(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);
typedef int cge_all_finite_fn(int32_t n, const cge_real *x);

/* Of these there is a lanes variant, and no tiled one. */
#define CGE_ELEMENTWISE(X)                                        \
    X(cge_relu_fn, relu)                                          \
    X(cge_relu_grad_fn, relu_grad)                                \
    X(cge_sgd_fn, sgd)                                            \
    X(cge_all_finite_fn, all_finite)

#define CGE_DECLARE_RUN(type, operator_) CGE_INTERNAL type cge_run_##operator_;
#define CGE_DECLARE_REF(type, operator_) CGE_INTERNAL type cge_##operator_##_f32_ref;
CGE_OPERATORS(CGE_DECLARE_RUN)
CGE_OPERATORS(CGE_DECLARE_REF)
CGE_ELEMENTWISE(CGE_DECLARE_RUN)
CGE_ELEMENTWISE(CGE_DECLARE_REF)

#if !CGE_F64
#define CGE_DECLARE_TILED(type, operator_) type cge_##operator_##_f32_tiled;
CGE_OPERATORS(CGE_DECLARE_TILED)
#define CGE_DECLARE_SMALL(type, operator_) type cge_##operator_##_f32_small;
CGE_CONV2D_PASSES(CGE_DECLARE_SMALL)

/* One variant of every operator, for what chooses at run time: hosts, tests, benchmarks. On boards nothing refers to
 * a set, so the linker drops them. */
typedef struct cge_kernel_set {
    const char *name;
#define CGE_SET_MEMBER(type, operator_) type *operator_;
    CGE_OPERATORS(CGE_SET_MEMBER)
    CGE_ELEMENTWISE(CGE_SET_MEMBER)
} cge_kernel_set;

extern const cge_kernel_set cge_kernels_ref, cge_kernels_tiled;

/* The sets of this build that this machine can run, best last; NULL past the end. */
const cge_kernel_set *cge_kernel_set_at(int32_t index);
#endif

/* Elementwise without variants: one loop each. y may be x, dx may be dy. */
CGE_INTERNAL void cge_leaky_relu_apply(int32_t n, cge_real alpha, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_leaky_relu_grad(int32_t n, cge_real alpha, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_sigmoid_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_sigmoid_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_tanh_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);

CGE_INTERNAL void cge_softmax_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL cge_real cge_softmax_cross_entropy_loss(int32_t n, const cge_real *x, int32_t label);
CGE_INTERNAL void cge_softmax_cross_entropy_grad(int32_t n, const cge_real *x, int32_t label, cge_real *dx);
CGE_INTERNAL cge_real cge_mean_squared_error_loss(int32_t n, const cge_real *x, const cge_real *target);
CGE_INTERNAL void cge_mean_squared_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);

CGE_INTERNAL cge_status cge_sgd_check(const cge_optimizer *o);

#endif
