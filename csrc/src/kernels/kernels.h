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

#include "../base/geometry.h"

/* y rows oh in `rows` */
typedef void cge_conv2d_forward_fn(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows);
/* dw[kh] for kh in `kernel_rows`, adding output rows oh in `rows` */
typedef void cge_conv2d_weight_grad_fn(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows);
/* dx rows ih in `rows` */
typedef void cge_conv2d_input_grad_fn(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows);
/* db, adding output rows oh in `rows` */
typedef void cge_conv2d_bias_grad_fn(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows);

/* Dense operators take `count` samples, x [count][in], dy [count][out]; gradients add in sample order. Of one sample b may be y:
 * sums that other inputs began. */
typedef void cge_dense_forward_fn(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y);
/* dw[i] for i in `inputs`; add: to what dw holds, else to zero */
typedef void cge_dense_weight_grad_fn(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add);
typedef void cge_dense_bias_grad_fn(int32_t out, int32_t count, const cge_real *dy, cge_real *db);
typedef void cge_dense_input_grad_fn(int32_t in, int32_t out, int32_t count, const cge_real *w, const cge_real *dy, cge_real *dx);

/* y[o] += sum_i x[i] * w[i][o], i ascending: what a forward pass does with inputs whose weights lie elsewhere. */
CGE_INTERNAL void cge_dense_add_products(int32_t in, int32_t out, const cge_real *x, const cge_real *w, cge_real *y);

/* Pooling: forward computes output rows `rows`; input_grad assigns all of dx. */
typedef void cge_pool2d_forward_fn(const cge_pool2d_plan *p, const cge_real *x, cge_real *y, cge_range rows);
typedef void cge_maxpool2d_input_grad_fn(const cge_pool2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dx);
typedef void cge_avgpool2d_input_grad_fn(const cge_pool2d_plan *p, const cge_real *dy, cge_real *dx);

/* Normalisation over groups: runs `runs` of x. y may be x; dx may be x or dy. w, b NULL: ones, zeros. Gradients that are NULL are
 * left out; dw and db are added to. */
CGE_INTERNAL void cge_run_group_norm_forward(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range runs);
CGE_INTERNAL void cge_run_group_norm_grads(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx, cge_range runs);
/* Of one sample: bounds[0] of |dx|, bounds[1] of |dw|, |db| and what they are made of, given that |dy| <= 1. */
CGE_INTERNAL void cge_run_group_norm_bounds(const cge_norm_plan *p, const cge_real *x, const cge_real *w, cge_real *bounds);
CGE_INTERNAL void cge_run_group_norm_bias_grad(const cge_norm_plan *p, const cge_real *dy, cge_real *db, cge_range runs);

/* Normalisation of each channel by what is given: statistics [2][in_c], mean and variance, or NULL for 0 and no rstd. p has a
 * group for each channel. y may be x; dx may be x or dy. Gradients that are NULL are left out. x is read for dw and db alone,
 * which are of no statistics. */
CGE_INTERNAL void cge_run_given_norm_forward(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                             const cge_real *w, const cge_real *b, cge_real *y);
CGE_INTERNAL void cge_run_given_norm_grads(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                           const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx,
                                           cge_range runs);
/* As cge_run_group_norm_bounds; bounds[1] without statistics alone. */
CGE_INTERNAL void cge_run_given_norm_bounds(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                            const cge_real *w, cge_real *bounds);
/* Of a gradient by channels, those of some runs; x may be NULL. */
CGE_INTERNAL void cge_zero_norm_runs(const cge_norm_plan *p, cge_range runs, cge_real *x);
/* As cge_run_group_norm_grads, with a group for each channel. Statistics of the runs' channels move towards those of x. */
CGE_INTERNAL void cge_run_batch_norm_grads(const cge_norm_plan *p, cge_real momentum, const cge_real *x, const cge_real *w,
                                           cge_real *statistics, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx,
                                           cge_range runs);

/* The one list of operators with variants: X(function type, operator). Kernel sets, dispatch, tests and benchmarks
 * expand it. Of the first there is a `small` variant. */
#define CGE_SHORT_OPERATORS(X)                                    \
    X(cge_conv2d_forward_fn, conv2d_forward)                      \
    X(cge_conv2d_weight_grad_fn, conv2d_weight_grad)              \
    X(cge_conv2d_input_grad_fn, conv2d_input_grad)                \
    X(cge_dense_forward_fn, dense_forward)                        \
    X(cge_dense_weight_grad_fn, dense_weight_grad)
#define CGE_OTHER_OPERATORS(X)                                    \
    X(cge_conv2d_bias_grad_fn, conv2d_bias_grad)                  \
    X(cge_dense_bias_grad_fn, dense_bias_grad)                    \
    X(cge_dense_input_grad_fn, dense_input_grad)                  \
    X(cge_pool2d_forward_fn, maxpool2d_forward)                   \
    X(cge_maxpool2d_input_grad_fn, maxpool2d_input_grad)          \
    X(cge_pool2d_forward_fn, avgpool2d_forward)                   \
    X(cge_avgpool2d_input_grad_fn, avgpool2d_input_grad)
#define CGE_OPERATORS(X) CGE_SHORT_OPERATORS(X) CGE_OTHER_OPERATORS(X)

/* Elementwise: y may be x, dx may be dy. */
typedef void cge_relu_fn(int32_t n, const cge_real *x, cge_real *y);
typedef void cge_relu_grad_fn(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
typedef void cge_sgd_fn(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);
/* The constants of a step of Adam or AdamW. */
enum { CGE_DECAYS_GRADIENT = 1, CGE_DECAYS_WEIGHT = 2 };
typedef struct cge_adam_step {
    int decays;            /* 0 or one of the two above */
    cge_real scale, decay; /* decay: weight_decay, or 1 - learning_rate * weight_decay */
    cge_real gain1, beta2, gain2, rate, root, epsilon; /* gain: 1 - beta */
    cge_real zero, smallest; /* 0 and FLT_MIN: read from here, compilers keep them in registers */
} cge_adam_step;
typedef void cge_adam_fn(int32_t n, const cge_adam_step *s, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v);
/* Whether each |x| is less than the number with the bits `limit`; NaN never is. */
typedef int cge_all_below_fn(int32_t n, const cge_real *x, cge_real_bits limit);

/* Of these there is a lanes variant; of the last two lists a tiled one, too. */
#define CGE_ACTIVATIONS(X)                                        \
    X(cge_relu_fn, relu)                                          \
    X(cge_relu_grad_fn, relu_grad)
#define CGE_UPDATES(X)                                            \
    X(cge_sgd_fn, sgd)                                            \
    X(cge_adam_fn, adam)                                          \
    X(cge_all_below_fn, all_below)
#define CGE_CLIPS(X)                                              \
    X(cge_relu_fn, relu6)                                         \
    X(cge_relu_grad_fn, relu6_grad)
#define CGE_ELEMENTWISE(X) CGE_ACTIVATIONS(X) CGE_UPDATES(X) CGE_CLIPS(X)

/*
 * Normalisation: what its loops over `count` positions, `pitch` numbers apart, do to `channels` neighbours, each of which has a
 * number of its own in mean, a, b, c and in the sums, which are assigned. Positions ascend.
 *
 *     sums       s = sum x                      scale    y = c + (x - mean) * a
 *     squares    s = sum (x - mean)^2           combine  dx = (c + (x - mean) * b) + dy * a
 *     products   t = sum dy, u = sum (x - mean) * dy
 *
 * y may be x; dx may be x or dy.
 */
typedef void cge_norm_sums_fn(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, cge_real *s);
typedef void cge_norm_squares_fn(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *mean,
                                 cge_real *s);
typedef void cge_norm_products_fn(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *dy,
                                  const cge_real *mean, cge_real *t, cge_real *u);
typedef void cge_norm_scale_fn(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *mean,
                               const cge_real *a, const cge_real *c, cge_real *y);
typedef void cge_norm_combine_fn(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, const cge_real *dy,
                                 const cge_real *mean, const cge_real *a, const cge_real *b, const cge_real *c, cge_real *dx);

/* Of these there is a lanes variant. */
#define CGE_NORMS(X)                                              \
    X(cge_norm_sums_fn, norm_sums)                                \
    X(cge_norm_squares_fn, norm_squares)                          \
    X(cge_norm_products_fn, norm_products)                        \
    X(cge_norm_scale_fn, norm_scale)                              \
    X(cge_norm_combine_fn, norm_combine)

#define CGE_DECLARE_RUN(type, operator_) CGE_INTERNAL type cge_run_##operator_;
#define CGE_DECLARE_REF(type, operator_) CGE_INTERNAL type cge_##operator_##_f32_ref;
CGE_OPERATORS(CGE_DECLARE_RUN)
CGE_OPERATORS(CGE_DECLARE_REF)
CGE_ELEMENTWISE(CGE_DECLARE_RUN)
CGE_ELEMENTWISE(CGE_DECLARE_REF)
CGE_NORMS(CGE_DECLARE_REF)
#if CGE_HOST && !CGE_F64
CGE_NORMS(CGE_DECLARE_RUN)
#else
#define cge_run_norm_sums cge_norm_sums_f32_ref
#define cge_run_norm_squares cge_norm_squares_f32_ref
#define cge_run_norm_products cge_norm_products_f32_ref
#define cge_run_norm_scale cge_norm_scale_f32_ref
#define cge_run_norm_combine cge_norm_combine_f32_ref
#endif

/*
 * Transposed convolution: the passes of the convolution that goes the other way (cge.h), so that every kernel set has it.
 * p from cge_conv_transpose2d_resolve. Its x is that one's dy, and its dy that one's x; products commute, so that the bits are
 * those of the formulas. b NULL: none. The weight gradient adds dw[kh] for kh in `kernel_rows`.
 */
CGE_INTERNAL void cge_run_conv_transpose2d_bias(const cge_conv2d_plan *p, const cge_real *b, cge_real *y);
CGE_INTERNAL void cge_run_conv_transpose2d_bias_grad(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db);

static inline void cge_run_conv_transpose2d_forward(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w,
                                                    const cge_real *b, cge_real *y)
{
    cge_range rows = {0, 0};
    rows.end = p->g.in_h;
    cge_run_conv2d_input_grad(p, w, x, y, rows);
    if (b != NULL) cge_run_conv_transpose2d_bias(p, b, y);
}

static inline void cge_run_conv_transpose2d_weight_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy,
                                                        cge_real *dw, cge_range kernel_rows)
{
    cge_range rows = {0, 0};
    rows.end = p->out_h;
    cge_run_conv2d_weight_grad(p, dy, x, dw, rows, kernel_rows);
}

static inline void cge_run_conv_transpose2d_input_grad(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy,
                                                       cge_real *dx)
{
    cge_range rows = {0, 0};
    rows.end = p->out_h;
    cge_run_conv2d_forward(p, dy, w, NULL, dx, rows);
}

#if !CGE_F64 && !defined(CGE_FUSED_COPY)
/* The loops of the formulas, over all rows, for tests to compare with. */
CGE_INTERNAL void cge_conv_transpose2d_forward_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w,
                                                       const cge_real *b, cge_real *y);
CGE_INTERNAL void cge_conv_transpose2d_weight_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy,
                                                           cge_real *dw);
CGE_INTERNAL void cge_conv_transpose2d_input_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy,
                                                          cge_real *dx);
#endif

/*
 * A part of a convolution as one of its own: `out_c`, and of one row `in_w` or `out_w`, are distances alone, and there are
 * groups * group_out filters, the first of which w, b and y begin with. tap_elems is the distance of taps in w. With rows and
 * columns of the output left out, the paddings above and to the left may be negative. Where kernels of computers know no such
 * parts, others take them; a weight gradient does not look whether it could leave zeros out.
 */
CGE_INTERNAL cge_conv2d_weight_grad_fn cge_part_conv2d_weight_grad;
#if CGE_HOST && !CGE_F64
CGE_INTERNAL cge_conv2d_forward_fn cge_part_conv2d_forward;
CGE_INTERNAL cge_conv2d_input_grad_fn cge_part_conv2d_input_grad;
#else
#define cge_part_conv2d_forward cge_run_conv2d_forward
#define cge_part_conv2d_input_grad cge_run_conv2d_input_grad
#endif

/* Of a pooling some windows of a row, likewise: of largest values or means. Their gradients are added to dx. */
CGE_INTERNAL void cge_part_pool2d_forward(const cge_pool2d_plan *p, int takes_largest, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_part_pool2d_add_grad(const cge_pool2d_plan *p, int takes_largest, const cge_real *x, const cge_real *dy,
                                           cge_real *dx);

#if !CGE_F64
#define CGE_DECLARE_TILED(type, operator_) CGE_INTERNAL type cge_##operator_##_f32_tiled;
CGE_OPERATORS(CGE_DECLARE_TILED)
CGE_UPDATES(CGE_DECLARE_TILED)
CGE_INTERNAL cge_conv2d_weight_grad_fn cge_conv2d_part_weight_grad_f32_tiled;
CGE_CLIPS(CGE_DECLARE_TILED)
#define CGE_DECLARE_SMALL(type, operator_) CGE_INTERNAL type cge_##operator_##_f32_small;
CGE_SHORT_OPERATORS(CGE_DECLARE_SMALL)

/* One variant of every operator, for what chooses at run time: hosts, tests, benchmarks. On boards nothing refers to
 * a set, so the linker drops them. */
typedef struct cge_kernel_set {
    const char *name;
#define CGE_SET_MEMBER(type, operator_) type *operator_;
    CGE_OPERATORS(CGE_SET_MEMBER)
    CGE_ELEMENTWISE(CGE_SET_MEMBER)
    CGE_NORMS(CGE_SET_MEMBER)
} cge_kernel_set;

extern const cge_kernel_set cge_kernels_ref, cge_kernels_tiled;

/* The sets of this build that this machine can run, best last; NULL past the end. */
CGE_INTERNAL const cge_kernel_set *cge_kernel_set_at(int32_t index);
#endif

/* Elementwise without variants: one loop each. y may be x, dx may be dy. */
CGE_INTERNAL void cge_leaky_relu_apply(int32_t n, cge_real alpha, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_leaky_relu_grad(int32_t n, cge_real alpha, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_sigmoid_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_sigmoid_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_tanh_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);

CGE_INTERNAL void cge_hard_sigmoid_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_hard_sigmoid_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_elu_apply(int32_t n, cge_real alpha, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_elu_grad(int32_t n, cge_real alpha, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_softplus_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_softplus_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_softmax_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
/* Told by x. */
CGE_INTERNAL void cge_hard_swish_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_hard_swish_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_silu_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_silu_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_gelu_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_gelu_grad(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);

/* PReLU: see cge.h. Gradients of slopes `of`, and of the elements that have these. y may be x; dx may be x or dy. */
CGE_INTERNAL void cge_prelu_apply(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, cge_real *y);
CGE_INTERNAL void cge_prelu_weight_grad(int32_t n, int32_t slopes, const cge_real *x, const cge_real *dy, cge_real *dw,
                                        cge_range of);
CGE_INTERNAL void cge_prelu_grad(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, const cge_real *dy,
                                 cge_real *dx, cge_range of);

/* Images: an inner one between zeros, and out again; some channels; enlarged. `in` is the smaller shape of upsampling and padding. */
CGE_INTERNAL void cge_pad2d_copy_in(const cge_pad2d *g, cge_shape inner, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_pad2d_copy_out(const cge_pad2d *g, cge_shape inner, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_channel_slice_apply(const cge_channel_slice *g, cge_shape in, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_channel_slice_grad(const cge_channel_slice *g, cge_shape in, const cge_real *dy, cge_real *dx);
CGE_INTERNAL void cge_upsample2d_apply(const cge_upsample2d *g, cge_shape in, const cge_real *x, cge_real *y);
CGE_INTERNAL void cge_upsample2d_grad(const cge_upsample2d *g, cge_shape in, const cge_real *dy, cge_real *dx);

/* Elements first .. first + n - 1 of a sample; y may be x. */
CGE_INTERNAL void cge_run_dropout(int32_t n, float p, uint64_t key, int32_t first, const cge_real *x, cge_real *y);

/* y = x + x2; y may be x or x2. */
CGE_INTERNAL void cge_add_apply(int32_t n, const cge_real *x, const cge_real *x2, cge_real *y);

CGE_INTERNAL void cge_softmax_apply(int32_t n, const cge_real *x, cge_real *y);
CGE_INTERNAL cge_real cge_softmax_cross_entropy_loss(int32_t n, const cge_real *x, int32_t label);
CGE_INTERNAL void cge_softmax_cross_entropy_grad(int32_t n, const cge_real *x, int32_t label, cge_real *dx);
CGE_INTERNAL cge_real cge_mean_squared_error_loss(int32_t n, const cge_real *x, const cge_real *target);
CGE_INTERNAL void cge_mean_squared_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_INTERNAL cge_real cge_mean_absolute_error_loss(int32_t n, const cge_real *x, const cge_real *target);
CGE_INTERNAL void cge_mean_absolute_error_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_INTERNAL cge_real cge_huber_loss(int32_t n, cge_real delta, const cge_real *x, const cge_real *target);
CGE_INTERNAL void cge_huber_grad(int32_t n, cge_real delta, const cge_real *x, const cge_real *target, cge_real *dx);
/* The target is one (cge_are_probabilities); else the loss is NaN. */
CGE_INTERNAL int cge_are_probabilities(int32_t n, const cge_real *target);
CGE_INTERNAL cge_real cge_binary_cross_entropy_loss(int32_t n, const cge_real *x, const cge_real *target);
CGE_INTERNAL void cge_binary_cross_entropy_grad(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_INTERNAL cge_real cge_smoothed_cross_entropy_loss(int32_t n, cge_real smoothing, const cge_real *x, int32_t label);
CGE_INTERNAL void cge_smoothed_cross_entropy_grad(int32_t n, cge_real smoothing, const cge_real *x, int32_t label, cge_real *dx);
CGE_INTERNAL cge_real cge_distillation_loss(int32_t n, cge_real temperature, cge_real alpha, const cge_real *x, int32_t label, const cge_real *teacher);
CGE_INTERNAL void cge_distillation_grad(int32_t n, cge_real temperature, cge_real alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *dx);

/* Of learning rate and weight decay together, up to which sgd_ref.c says that a step cannot overflow. */
enum { CGE_LARGEST_SETTING = 65536 };

CGE_INTERNAL cge_status cge_sgd_check(const cge_optimizer *o);
/* Which terms of the formula are there. */
enum { CGE_SGD_DECAY = 1, CGE_SGD_MOMENTUM = 2, CGE_SGD_NESTEROV = 4 };
CGE_INTERNAL int cge_sgd_terms(const cge_optimizer *o);
/* Whether cge_run_sgd would leave numbers where numbers were; see cge_network_update. Writes nothing. scale <= 1. */
CGE_INTERNAL int cge_sgd_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v);

/* ---- optimisers that divide by the root of the gradients' squares: formulas in cge.h ---- */

CGE_INTERNAL cge_status cge_adam_check(const cge_optimizer *o);
CGE_INTERNAL cge_status cge_rmsprop_check(const cge_optimizer *o);
CGE_INTERNAL cge_status cge_adagrad_check(const cge_optimizer *o);

/* Sets rate and root. */
CGE_INTERNAL void cge_adam_begin(cge_optimizer *o, uint64_t step);
CGE_INTERNAL cge_real cge_adam_rate(const cge_optimizer *o); /* learning_rate / (1 - beta1^step) */
CGE_INTERNAL cge_adam_step cge_adam_constants(const cge_optimizer *o, cge_real scale, int decays);
CGE_INTERNAL void cge_rmsprop_apply(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v, cge_real *m);
CGE_INTERNAL void cge_adagrad_apply(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);

/* ---- clipping: cge_network_clip_norm in cge.h ---- */

CGE_INTERNAL cge_real cge_largest_magnitude(int32_t n, const cge_real *x);
CGE_INTERNAL cge_real cge_norm_of(int32_t n, const cge_real *x, cge_real largest); /* which is finite */
CGE_INTERNAL void cge_scale_by(int32_t n, cge_real factor, cge_real *x);
CGE_INTERNAL void cge_clamp_to(int32_t n, cge_real limit, cge_real *x);

#endif
