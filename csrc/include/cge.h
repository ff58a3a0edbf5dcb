/*
 * convgrad_embedded: training of convolutional networks on microcontrollers.
 *
 * This header is the public API of the C99 core and its manual; cge_data.h has what comes before training. The core calls
 * no malloc, no stdio and no libm, keeps no static mutable state, does not recurse, and gives the same bits on every target
 * that has IEEE-754 binary32 arithmetic, whatever the compiler's flags (docs/porting.md). That is a promise about numbers
 * and infinities: a NaN stays a NaN, of which sign and payload differ between processors.
 *
 * Layout    activations  x[h][w][c]                    one sample at a time, channels innermost (NHWC)
 *           conv weights w[kernel_h][kernel_w][in_c / groups][out_c]                          (HWIO)
 *           dense weights w[in][out]
 * Gradients of parameters ADD into what the caller passes; gradients of activations are ASSIGNED.
 * Order     the order of additions into one element is part of each operator's contract and is written at its
 *           prototype; "ascending" means loop indices in increasing order, the outermost named first.
 * Arguments geometry, const inputs, outputs. Buffers must not overlap unless a prototype says they may.
 * Errors    every function that can fail returns a cge_status, checks its arguments first, and on an error has
 *           written nothing (where an exception is needed, the prototype states it).
 * Precision cge_real is float. The host library holds a second copy of everything below the line "real section"
 *           with double in its place and _f64 names; it exists for gradient checks (see csrc/src/host/f64.c).
 */
#ifndef CGE_H
#define CGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CGE_VERSION_MAJOR 0
#define CGE_VERSION_MINOR 1
#define CGE_VERSION_PATCH 0
#define CGE_VERSION_STRING "0.1.0"
#define CGE_EXPORT_VERSION 3 /* of the C source that Network.export writes; a mismatch refuses to compile */

#ifndef CGE_MUST_USE
#if defined(__GNUC__)
#define CGE_MUST_USE __attribute__((warn_unused_result))
#else
#define CGE_MUST_USE
#endif
#endif

/* ---- status ------------------------------------------------------------------------------------------- */

/* int32_t, as all constants in structs and results: the size of an enum depends on the compiler's options (-fshort-enums). */
typedef int32_t cge_status;
enum {
    CGE_OK = 0,
    CGE_ERR_NULL,       /* a required pointer is NULL                                                       */
    CGE_ERR_ARGUMENT,   /* a scalar is outside its documented range                                         */
    CGE_ERR_SHAPE,      /* a geometry is impossible: size <= 0, groups do not divide, kernel > padded input */
    CGE_ERR_OVERFLOW,   /* a tensor or an arena would have more than CGE_MAX_ELEMS elements                 */
    CGE_ERR_ALIGN,      /* a buffer is not aligned for its element type (arena: 8 bytes)                    */
    CGE_ERR_ARENA,      /* the arena or buffer is shorter than the size query says                          */
    CGE_ERR_LABEL,      /* a class label is outside 0 .. classes - 1                                        */
    CGE_ERR_MODE,       /* the network was not initialised for this call (training, loss, optimiser)        */
    CGE_ERR_NOT_FINITE, /* a loss, a gradient or a new weight is NaN or infinite: all weights are as before */
    CGE_ERR_FORMAT,     /* serialised bytes are not ours, truncated, or contradict themselves               */
    CGE_ERR_VERSION,    /* serialised by a format version that this library does not read                   */
    CGE_ERR_CRC,        /* serialised bytes are damaged                                                     */
    CGE_ERR_MISMATCH,   /* serialised bytes describe another network than the one to restore into           */
    CGE_ERR_BUSY,       /* another call, or a step in slices, is at work on the network and goes on undisturbed */
    CGE_AGAIN,          /* not an error: a step in slices is not done yet, call cge_network_resume again    */
    CGE_ERR_ARITHMETIC  /* the model or the file is for builds with CGE_FUSED=1, which this is not  */
};

/* A constant English sentence, for any value; never NULL. */
const char *cge_status_text(cge_status status);

/* ---- geometry ----------------------------------------------------------------------------------------- */

#define CGE_MAX_ELEMS 0x0fffffff /* of one tensor, and of all in an arena: 1 GB of binary32 */

typedef struct cge_shape {
    int32_t h, w, c; /* 1 .. ; a vector of n is {1, 1, n} */
} cge_shape;

/* Each is what one operator is told, and what a layer of a model points to (cge_layer.config). There in_h, in_w and in_c may be
 * 0: what comes in. All members are 32-bit numbers, zero means default, and later versions append. */
typedef struct cge_conv2d { /* zero means default: stride, dilation, groups 1; padding 0 */
    int32_t in_h, in_w, in_c, out_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int32_t groups; /* divides in_c and out_c; filter k belongs to group k / (out_c / groups) */
} cge_conv2d;

typedef struct cge_conv_transpose2d { /* zero means default: stride, dilation, groups 1; padding 0 */
    int32_t in_h, in_w, in_c, out_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right; /* rows and columns of the output that are left out */
    int32_t groups; /* divides in_c and out_c; filter k belongs to group k / (out_c / groups) */
    int32_t output_pad_h, output_pad_w; /* more rows below, columns at the right; each < stride or < dilation */
} cge_conv_transpose2d;

typedef struct cge_pool2d { /* zero means default: stride = kernel, padding 0 */
    int32_t in_h, in_w, in_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right; /* each < kernel: no window lies in padding alone */
    int32_t count_padding; /* of an average: 1 divides by all taps of a window, 0 by those inside the input */
} cge_pool2d;

typedef struct cge_norm { /* zero means default: groups 1, eps 1e-5 */
    int32_t in_h, in_w, in_c;
    int32_t groups; /* divides in_c; channel c belongs to group c / (in_c / groups) */
    float eps;      /* finite, > 0 */
} cge_norm;

typedef struct cge_batch_norm { /* zero means default: eps 1e-5, momentum 0.1 */
    float eps;      /* finite, > 0 */
    float momentum; /* 0 .. 1, 0 excluded: the share of a pass in the running statistics */
} cge_batch_norm;

typedef struct cge_dense {
    int32_t units; /* outputs */
} cge_dense;

typedef struct cge_leaky_relu {
    float alpha; /* finite, >= 0 */
} cge_leaky_relu;

typedef struct cge_prelu { /* zero means default: slopes 1 */
    int32_t slopes; /* 1, or one for each channel */
} cge_prelu;

typedef struct cge_pad2d { /* rows and columns of zeros to add, or of the input to leave out; each >= 0 */
    int32_t in_h, in_w, in_c;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
} cge_pad2d;

typedef struct cge_channel_slice { /* channels begin .. begin + count - 1; count >= 1 */
    int32_t in_h, in_w, in_c;
    int32_t begin, count;
} cge_channel_slice;

typedef struct cge_upsample2d {
    int32_t in_h, in_w, in_c;
    int32_t scale_h, scale_w; /* >= 1 */
    int32_t bilinear;         /* 0: the nearest */
} cge_upsample2d;

typedef struct cge_dropout {
    float p;       /* 0 .. 1, 1 excluded: the share of zeros */
    int32_t seed;
    int32_t layer; /* 0: draws by its own row; n > 0: as row n - 1 of a model, see "a network in two" */
} cge_dropout;

typedef union cge_layer_config { /* room for the config of any layer kind: see cge_model_parse */
    cge_conv2d conv2d;
    cge_conv_transpose2d conv_transpose2d;
    cge_pool2d pool2d;
    cge_dense dense;
    cge_leaky_relu leaky_relu;
    cge_prelu prelu;
    cge_pad2d pad2d;
    cge_channel_slice channel_slice;
    cge_upsample2d upsample2d;
    cge_norm norm;
    cge_batch_norm batch_norm;
    cge_dropout dropout;
} cge_layer_config;

/* out_h = (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1, rounded down; out_w alike. */
CGE_MUST_USE cge_status cge_conv2d_output_shape(const cge_conv2d *g, cge_shape *out);
CGE_MUST_USE cge_status cge_pool2d_output_shape(const cge_pool2d *g, cge_shape *out);
/* out_h = (in_h - 1) * stride_h - pad_top - pad_bottom + dilation_h * (kernel_h - 1) + output_pad_h + 1; out_w alike. */
CGE_MUST_USE cge_status cge_conv_transpose2d_output_shape(const cge_conv_transpose2d *g, cge_shape *out);

/* ---- random numbers: the same stream on every target ---------------------------------------------------- */

typedef struct cge_rng { /* PCG-XSH-RR 64/32 (O'Neill 2014, HMC-CS-2014-0905, section 6.3.1), stream 54 */
    uint64_t state, increment;
} cge_rng;

CGE_MUST_USE cge_status cge_rng_seed(cge_rng *rng, uint64_t seed);
uint32_t cge_rng_next(cge_rng *rng);                  /* uniform in 0 .. 2^32 - 1; rng not NULL             */
uint32_t cge_rng_below(cge_rng *rng, uint32_t bound); /* uniform in 0 .. bound - 1, unbiased; bound 0 gives 0 */
/* Fisher-Yates from the end: for i = count - 1 .. 1, order[i] changes places with order[cge_rng_below(rng, i + 1)]. */
CGE_MUST_USE cge_status cge_rng_shuffle(cge_rng *rng, int32_t *order, int32_t count);

/* Of a mask that dropout draws, which depends on these four alone: the layer's seed, its row in the model (or
 * cge_dropout.layer), step_count of the network, and the number of the sample among those of the step. */
uint64_t cge_dropout_key(uint32_t seed, int32_t layer, uint64_t step, uint32_t sample);

/* ---- checksums ------------------------------------------------------------------------------------------ */

/* CRC-32/ISO-HDLC (zlib's). Start with crc 0; feed the result back in to continue. data may be NULL if bytes is 0. */
uint32_t cge_crc32(uint32_t crc, const void *data, size_t bytes);

/* ---- networks: what does not depend on the number type --------------------------------------------------- */

enum { /* cge_layer.flags */
    CGE_FROZEN = 1,  /* parameters stay: no gradient memory, no update, no time   */
    CGE_NO_BIAS = 2, /* conv2d, dense, norms: without b                            */
    CGE_NO_AFFINE = 4 /* norms: without w and b                                    */
};

enum { CGE_INPUT = -1 }; /* in cge_layer.from: the model's input */
enum { /* cge_layer.trains: which parameters learn. Gradients, velocities and time are spent on these alone */
    CGE_TRAINS_ALL = 0,
    CGE_TRAINS_BIAS = -1 /* the biases */
    /* n > 0: the weights of the first n input channels (of a dense layer: of the first n inputs), and the biases. At most as
     * many as there are, and all of them if groups > 1 */
};

typedef uint8_t cge_init;
enum { /* weights; biases start at zero. Var is per weight, fan as in Glorot & Bengio 2010 */
    CGE_INIT_HE_UNIFORM = 0,     /* U(-a, a), a = sqrt(6 / fan_in)            He et al. 2015, eq. 10        */
    CGE_INIT_HE_NORMAL = 1,      /* N(0, 2 / fan_in)                          the same                      */
    CGE_INIT_GLOROT_UNIFORM = 2, /* U(-a, a), a = sqrt(6 / (fan_in + fan_out)) Glorot & Bengio 2010, eq. 16 */
    CGE_INIT_GLOROT_NORMAL = 3   /* N(0, 2 / (fan_in + fan_out))              eq. 12                        */
};

typedef struct cge_layer_info { /* what one layer of a model is, see cge_model_layer_info */
    cge_shape in, in2, out;     /* in2: of the second input; {0, 0, 0} where there is one input */
    int32_t weight_shape[4];    /* conv2d {kernel_h, kernel_w, in_c / groups, out_c}; dense {in, out, 1, 1}; else 0 */
    int32_t weight_elems, bias_elems;
    int32_t fan_in, fan_out;    /* for initialisation; fan_in 0: all weights begin as `start` */
    int64_t macs;               /* multiply-adds of one forward pass of one sample, padded taps counted; the
                                   weight gradient and the input gradient take as many each */
    float start;                /* see fan_in */
} cge_layer_info;

/* What some losses can be told; members that a loss does not read must be zero, and zero means default. */
typedef struct cge_loss_config {
    float delta;           /* huber: finite, >= 0; 0 means 1 */
    float label_smoothing; /* smoothed_cross_entropy: 0 .. 1 */
    float temperature;     /* distillation: finite, >= 0; 0 means 1 */
    float alpha;           /* distillation: 0 .. 1, the share of the labels */
} cge_loss_config;

/* Metrics, in memory of the caller's that is zero at the start but for the sizes; see "metrics" below. */
typedef struct cge_confusion {
    int32_t classes;
    int32_t *counts; /* [classes][classes]: row the label, column the first of the largest outputs. Up to INT32_MAX */
    int32_t not_a_number; /* samples with NaN among their outputs, which are in no cell */
} cge_confusion;

typedef struct cge_top_k {
    int32_t k;           /* 1 .. */
    int32_t seen, right; /* samples; those whose label is among the k largest outputs */
} cge_top_k;

/* Shares the work of a step among threads: calls task(argument, 0 .. tasks - 1), each once, in any order, on any
 * thread, and returns when all are done. The bits do not depend on it. The core starts no thread itself; a pool for
 * hosts is in cge_host.h. */
typedef struct cge_executor {
    void (*run)(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks);
    void *context;
    int32_t threads; /* 1 .. : how many tasks can run at a time */
} cge_executor;

/* ---- learning rates from step to step ----
 *
 * A schedule is constant data. What a network does by it is for its owner to say, before a step:
 *
 *     net.optimizer.learning_rate = cge_schedule_rate(&schedule, net.step_count);
 *
 * With s = step - warm_up (of one-cycle s = step), the same bits on every target and in fused builds:
 *
 *   constant      rate
 *   step          rate * factor^(s / steps), rounded down                                          (PyTorch's StepLR)
 *   exponential   rate * factor^s                                                                  (ExponentialLR)
 *   linear        (rate * (steps - s) + last * s) / steps, from s = steps on `last`                (LinearLR)
 *   cosine        last + (rate - last) * (1 + cos(pi s / steps)) / 2, from s = steps on `last`      (Loshchilov & Hutter 2017)
 *   one-cycle     with both halves a half wave, as cosine has it: from `first` at s = 0 to `rate` at s = warm_up, and from there
 *                 to `last` at s = steps - 1 and behind                                            (Smith & Topin 2019)
 *
 * Powers are right to a float's last places down to 2^-38, and in units of 2^-63 below.
 * Before, in step < warm_up: (first * (warm_up - step) + rate * step) / warm_up. */
enum { /* cge_schedule.kind */
    CGE_SCHEDULE_CONSTANT = 0,
    CGE_SCHEDULE_STEP = 1,
    CGE_SCHEDULE_EXPONENTIAL = 2,
    CGE_SCHEDULE_LINEAR = 3,
    CGE_SCHEDULE_COSINE = 4,
    CGE_SCHEDULE_ONE_CYCLE = 5
};

typedef struct cge_schedule { /* all finite and >= 0 */
    int32_t kind;
    float rate;
    float last;    /* linear, cosine, one-cycle */
    float factor;  /* step, exponential: 0 .. 1 */
    float first;   /* of a warm-up, of one-cycle */
    float warm_up; /* steps, below 2^24; 0: none. A whole number but for one-cycle, where it is less than steps - 1 */
    int32_t steps; /* 1 .. 2^24; 2 .. for one-cycle; not read for constant, exponential */
} cge_schedule;

/* The learning rate of the step behind `step` others. NaN, which every optimiser refuses, if the schedule is NULL or has a member
 * outside its range. */
float cge_schedule_rate(const cge_schedule *schedule, uint64_t step);

/* Less when what is measured (a loss) gets no better, as PyTorch's ReduceLROnPlateau: better is below best * (1 - threshold). If it
 * was not more than `patience` times in succession, the rate becomes the larger of rate * factor and `least`, and the next
 * `cooldown` measurements do not count as bad. */
typedef struct cge_plateau {
    float rate, factor, threshold, least; /* factor 0 .. 1, threshold 0 .. 1, 1 excluded */
    int32_t patience, cooldown;           /* >= 0 */
} cge_plateau;

typedef struct cge_plateau_state { /* all zero at the start */
    float rate, best;
    int32_t measured, bad, cooling;
} cge_plateau_state;

/* The learning rate from now on; measured may be NaN. NaN if something is NULL or outside its range: then *state stays. */
float cge_plateau_rate(const cge_plateau *plateau, cge_plateau_state *state, float measured);

/* ==== real section ======================================================================================== */

#ifdef CGE_F64_COPY /* csrc/src/host/f64.c alone */
typedef double cge_real;
#else
typedef float cge_real;
#endif

/* ---- elementary functions: at most 2 ulp over the whole range, special values as in C99 Annex F ----------- */

cge_real cge_exp_f32(cge_real x);  /* exp(-inf) = 0, exp(inf) = inf, NaN to NaN; underflows through subnormals */
cge_real cge_log_f32(cge_real x);  /* natural; log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf               */
cge_real cge_tanh_f32(cge_real x); /* tanh(+-0) = +-0, tanh(+-inf) = +-1                                       */
cge_real cge_sqrt_f32(cge_real x); /* correctly rounded; sqrt(-0) = -0, sqrt(x < 0) = NaN                      */
cge_real cge_erf_f32(cge_real x);  /* erf(+-0) = +-0, erf(+-inf) = +-1                                         */
cge_real cge_cospi_f32(cge_real x); /* cos(pi x) as in IEEE 754-2019; cospi(n + 1/2) = +0, cospi(+-inf) = NaN      */

/* [0, 1) in steps of 2^-24; and N(0, 1) by the polar method (Marsaglia & Bray 1964). rng not NULL. */
cge_real cge_rng_uniform_f32(cge_rng *rng);
cge_real cge_rng_normal_f32(cge_rng *rng);

/* ---- convolution (cross-correlation, as every framework calls it) ------------------------------------------
 *
 * x  [in_h][in_w][in_c]   w [kernel_h][kernel_w][in_c/groups][out_c]   b [out_c]   y, dy [out_h][out_w][out_c]
 * With ih = oh*stride_h - pad_top + kh*dilation_h, iw alike, c over the channels of k's group, and taps that fall
 * into the padding left out:
 *   y [oh][ow][k]     = b[k] + sum_kh sum_kw sum_c  x[ih][iw][c] * w[kh][kw][c][k]       order: b, then kh, kw, c
 *   dw[kh][kw][c][k] += sum_oh sum_ow  dy[oh][ow][k] * x[ih][iw][c]                      order: dw, then oh, ow
 *   db[k]            += sum_oh sum_ow  dy[oh][ow][k]                                     order: db, then oh, ow
 *   dx[ih][iw][c]     = sum_kh sum_kw sum_k  dy[oh][ow][k] * w[kh][kw][c][k]             order: 0, then kh, kw, k
 * Derivation: docs/derivation.md. b may be NULL (zeros).
 */
CGE_MUST_USE cge_status cge_conv2d_forward_f32(const cge_conv2d *g, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y);
CGE_MUST_USE cge_status cge_conv2d_weight_grad_f32(const cge_conv2d *g, const cge_real *x, const cge_real *dy, cge_real *dw); /* adds */
CGE_MUST_USE cge_status cge_conv2d_bias_grad_f32(const cge_conv2d *g, const cge_real *dy, cge_real *db);                      /* adds */
CGE_MUST_USE cge_status cge_conv2d_input_grad_f32(const cge_conv2d *g, const cge_real *w, const cge_real *dy, cge_real *dx);  /* assigns */

/* ---- transposed convolution ---------------------------------------------------------------------------------
 *
 * The input gradient of a convolution as a forward pass (Zeiler et al. 2010, Deconvolutional Networks; in PyTorch's form).
 * x, dx [in_h][in_w][in_c]   w, dw [kernel_h][kernel_w][out_c/groups][in_c]   b, db [out_c]   y, dy [out_h][out_w][out_c]
 * With oh = ih*stride_h - pad_top + kh*dilation_h, ow alike, c over the channels of k's group, k in w counted within its group,
 * and taps that fall outside of y left out:
 *   y [oh][ow][k]     = (sum_kh sum_kw sum_c  x[ih][iw][c] * w[kh][kw][k][c]) + b[k]     order: 0, then kh, kw, c, then b
 *   dw[kh][kw][k][c] += sum_ih sum_iw  x[ih][iw][c] * dy[oh][ow][k]                      order: dw, then ih, iw
 *   db[k]            += sum_oh sum_ow  dy[oh][ow][k]                                     order: db, then oh, ow
 *   dx[ih][iw][c]     = sum_kh sum_kw sum_k  dy[oh][ow][k] * w[kh][kw][k][c]             order: 0, then kh, kw, k
 * These are the passes of the convolution that turns y's shape into x's, with the same w: y is its dx, dx its y, and dw its dw
 * with x and dy exchanged. b may be NULL (nothing is added).
 */
CGE_MUST_USE cge_status cge_conv_transpose2d_forward_f32(const cge_conv_transpose2d *g, const cge_real *x, const cge_real *w,
                                                         const cge_real *b, cge_real *y);
CGE_MUST_USE cge_status cge_conv_transpose2d_weight_grad_f32(const cge_conv_transpose2d *g, const cge_real *x,
                                                             const cge_real *dy, cge_real *dw); /* adds */
CGE_MUST_USE cge_status cge_conv_transpose2d_bias_grad_f32(const cge_conv_transpose2d *g, const cge_real *dy,
                                                           cge_real *db); /* adds */
CGE_MUST_USE cge_status cge_conv_transpose2d_input_grad_f32(const cge_conv_transpose2d *g, const cge_real *w,
                                                            const cge_real *dy, cge_real *dx); /* assigns */

/* ---- dense -------------------------------------------------------------------------------------------------
 *
 * x, dx [in]   w, dw [in][out]   b, db, y, dy [out];  b may be NULL (zeros)
 *   y [o]     = b[o] + sum_i x[i] * w[i][o]                                              order: b, then i
 *   dw[i][o] += x[i] * dy[o]
 *   db[o]    += dy[o]
 *   dx[i]     = sum_o dy[o] * w[i][o]      order: eight partial sums s[o % 8], each from 0 and o ascending, then
 *               ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)): a dot product that scalar and SIMD code both do fast
 */
CGE_MUST_USE cge_status cge_dense_forward_f32(int32_t in, int32_t out, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y);
CGE_MUST_USE cge_status cge_dense_weight_grad_f32(int32_t in, int32_t out, const cge_real *x, const cge_real *dy, cge_real *dw);
CGE_MUST_USE cge_status cge_dense_bias_grad_f32(int32_t out, const cge_real *dy, cge_real *db);
CGE_MUST_USE cge_status cge_dense_input_grad_f32(int32_t in, int32_t out, const cge_real *w, const cge_real *dy, cge_real *dx);

/* ---- pooling: x, dx [in_h][in_w][in_c]   y, dy [out_h][out_w][in_c] -------------------------------------------
 *
 * max      the largest value of the window, the first in row-major order among equals; a NaN wins over numbers.
 *          input_grad finds that place again from x: dx = 0, then dy is added there, output rows then columns ascending.
 * average  sum of the window (from zero, window rows then columns ascending) divided by the number of taps inside
 *          the input, or of all taps (count_padding); input_grad: dx = 0, then dy / count is added, output rows then columns ascending.
 * Global pooling is pooling with the kernel as large as the input.
 */
CGE_MUST_USE cge_status cge_maxpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_maxpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_avgpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_avgpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *dy, cge_real *dx);

/* ---- images moved and enlarged: x, dx [in_h][in_w][in_c]   y, dy [out_h][out_w][out_c] ------------------------------------
 *
 * zero_pad2d      y = x inside, 0 around it; out_h = in_h + pad_top + pad_bottom       dx = dy inside
 * crop2d          y = x without pad_top rows above and so on                           dx = dy inside, 0 around it
 * channel_slice   y[h][w][k] = x[h][w][begin + k], k < count                           dx = dy there, 0 in the other channels
 * upsample2d      out_h = in_h * scale_h. Nearest: y[oh][ow] = x[oh / scale_h][ow / scale_w], rounded down
 *                 dx[ih][iw] = sum of dy over the scale_h x scale_w places, from zero, rows then columns ascending
 *   bilinear      pixel centres as PyTorch with align_corners=False: n = max(2 oh + 1 - scale_h, 0), h0 = n / (2 scale_h) rounded
 *                 down, b = (n mod 2 scale_h) / (2 scale_h), a = 1 - b, h1 = min(h0 + 1, in_h - 1); w0, w1, c, d alike
 *                 y = (x[h0][w0] * c + x[h0][w1] * d) * a + (x[h1][w0] * c + x[h1][w1] * d) * b
 *                 dx = 0, then for oh, ow ascending dx[h0][w0] += dy * (a * c), dx[h0][w1] += dy * (a * d),
 *                 dx[h1][w0] += dy * (b * c), dx[h1][w1] += dy * (b * d)
 */
CGE_MUST_USE cge_status cge_zero_pad2d_forward_f32(const cge_pad2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_zero_pad2d_input_grad_f32(const cge_pad2d *g, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_crop2d_forward_f32(const cge_pad2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_crop2d_input_grad_f32(const cge_pad2d *g, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_channel_slice_forward_f32(const cge_channel_slice *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_channel_slice_input_grad_f32(const cge_channel_slice *g, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_upsample2d_forward_f32(const cge_upsample2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_upsample2d_input_grad_f32(const cge_upsample2d *g, const cge_real *dy, cge_real *dx);

/* ---- activations: x, y, dy, dx [n]; y may be x, dx may be dy; gradients are told by the output y ---------------
 *
 * relu        y = x < 0 ? 0 : x  (NaN stays)                          dx = y > 0 ? dy : 0
 * leaky_relu  y = x < 0 ? alpha * x : x, alpha finite and >= 0        dx = y > 0 ? dy : alpha * dy
 * sigmoid     y = x >= 0 ? 1 / (1 + exp(-x)) : e / (1 + e), e = exp(x)   dx = dy * (y * (1 - y))
 * tanh        y = tanh(x)                                             dx = dy * (1 - y * y)
 */
CGE_MUST_USE cge_status cge_relu_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_relu_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_leaky_relu_forward_f32(int32_t n, float alpha, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_leaky_relu_input_grad_f32(int32_t n, float alpha, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_sigmoid_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_sigmoid_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_tanh_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_tanh_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);

/* More of them. The gradients of the last three are told by the input x: their y does not tell which of two x it came from.
 *
 * relu6         y = x <= 0 ? 0 : x >= 6 ? 6 : x  (NaN stays)                dx = y > 0 and y < 6 ? dy : 0
 * hard_sigmoid  y = relu6(x + 3) * (1/6)                                    dx = y > 0 and y < 1 ? dy * (1/6) : 0
 * elu           y = x > 0 ? x : alpha * ((t + t) / (1 - t)), t = tanh(x/2), alpha finite and >= 0: alpha * (exp(x) - 1)
 *                                                                           dx = y > 0 ? dy : dy * (y + alpha)
 * softplus      y = (x > 0 ? x : 0) + (log(u) + (e - (u - 1)) / u), e = exp(-|x|), u = 1 + e: log(1 + exp(x))
 *                                         dx = dy * ((t + t) / (1 + t)), t = tanh(y/2): dy * (1 - exp(-y))
 * softmax       y as below, at the losses                                   dx[i] = y[i] * (dy[i] - s), s = sum_i dy[i] * y[i],
 *                                                                           i ascending
 * hard_swish    y = x <= -3 ? 0 : x >= 3 ? x : x * ((x + 3) * (1/6))        dx = x <= -3 ? 0 : x >= 3 ? dy : dy * (x * (1/3) + 1/2)
 * silu          y = x * s, s = sigmoid(x)                                   dx = dy * (s * (1 + x * (1 - s)))
 * gelu          y = x * p, p = 1/2 + 1/2 * erf(x * sqrt(1/2))               dx = dy * (p + x * (exp(x * x * -1/2) * sqrt(1/(2 pi))))
 *
 * Sources: relu6, Krizhevsky 2010; hard_sigmoid, hard_swish, Howard et al. 2019; elu, Clevert et al. 2016; softplus, Dugas et al.
 * 2001; silu, Elfwing et al. 2018; gelu, Hendrycks & Gimpel 2016. silu and gelu of -inf are NaN, as in PyTorch. */
CGE_MUST_USE cge_status cge_relu6_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_relu6_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_hard_sigmoid_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_hard_sigmoid_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_elu_forward_f32(int32_t n, float alpha, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_elu_input_grad_f32(int32_t n, float alpha, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_softplus_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_softplus_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_softmax_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_hard_swish_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_hard_swish_input_grad_f32(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_silu_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_silu_input_grad_f32(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_gelu_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_gelu_input_grad_f32(int32_t n, const cge_real *x, const cge_real *dy, cge_real *dx);

/* PReLU (He et al. 2015, Delving Deep into Rectifiers, eq. 1 and 8 to 10): a leaky ReLU whose slopes w [slopes] learn. Element
 * i has slope k = i % slopes, so slopes is 1 or the number of channels. n is a multiple of it, else CGE_ERR_SHAPE.
 *
 *   y[i]   = x[i] < 0 ? w[k] * x[i] : x[i]  (NaN stays)                     dx[i] = x[i] > 0 ? dy[i] : w[k] * dy[i]
 *   dw[k] += sum of x[i] * dy[i] over i with x[i] not above 0               order: 0, then i ascending
 *
 * As a layer, cge_kind_prelu, its slopes begin as 0.25 and are summed sample by sample. */
CGE_MUST_USE cge_status cge_prelu_forward_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, cge_real *y);
CGE_MUST_USE cge_status cge_prelu_weight_grad_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *dy,
                                                  cge_real *dw); /* adds */
CGE_MUST_USE cge_status cge_prelu_input_grad_f32(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w,
                                                 const cge_real *dy, cge_real *dx);

/* ---- normalisation of one sample: x, dx, y, dy [in_h][in_w][in_c]   w, dw, b, db [in_c] ----------------------------
 *
 * Wu & He 2018, Group Normalization, eq. 1, 2 and 7. With n = in_h * in_w * in_c / groups numbers in a group, for each group
 *   mean = (sum_c sum_p x[p][c]) / n                 order: 0, then c; each channel's sum: 0, then p = ih, iw
 *   rstd = 1 / sqrt((sum_c sum_p (x[p][c] - mean)^2) / n + eps)                          the same
 *   y[p][c]  = b[c] + (x[p][c] - mean) * (w[c] * rstd)
 * and with t[c] = sum_p dy[p][c],  u[c] = sum_p (x[p][c] - mean) * dy[p][c]              order: 0, then p
 *   dw[c]   += rstd * u[c]
 *   db[c]   += t[c]
 *   dx[p][c] = (C + (x[p][c] - mean) * B) + dy[p][c] * (w[c] * rstd),  C = -(r * sum_c w[c] * t[c]),
 *              B = -((r * sum_c w[c] * u[c]) * (rstd * rstd)),  r = rstd / n             order of sums: 0, then c
 * w NULL: ones; b NULL: zeros. y may be x; dx may be x or dy. (x - mean)^2 must be finite: |x - mean| below 2^63.
 *
 * groups = in_c is instance normalisation (Ulyanov et al. 2016, Instance Normalization). groups 1 and {1, 1, h * w * c}, which gives
 * each number a weight of its own, is layer normalisation (Ba et al. 2016, Layer Normalization, eq. 3).
 */
CGE_MUST_USE cge_status cge_group_norm_forward_f32(const cge_norm *g, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y);
CGE_MUST_USE cge_status cge_group_norm_weight_grad_f32(const cge_norm *g, const cge_real *x, const cge_real *dy, cge_real *dw); /* adds */
CGE_MUST_USE cge_status cge_group_norm_bias_grad_f32(const cge_norm *g, const cge_real *dy, cge_real *db);                      /* adds */
CGE_MUST_USE cge_status cge_group_norm_input_grad_f32(const cge_norm *g, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dx); /* assigns */

/* ---- batch normalisation: a layer kind alone, cge_kind_batch_norm. x, dx, y, dy [count][in_h][in_w][in_c] -----------------
 *
 * Ioffe & Szegedy 2015, Batch Normalization, algorithm 1, over the `count` samples that a pass holds: up to options.capacity
 * of a batch. Parameters w [3][in_c], weight, running mean and running variance, which begin as 1, 0 and 1; b [in_c]. Weight
 * and b learn. In training y and all gradients are those of group normalisation above with groups = in_c and in_h * count in
 * place of in_h, so n = count * in_h * in_w. In backward, with sum_p (x[p][c] - mean)^2 as there,
 *   running mean[c]     = (1 - momentum) * running mean[c] + momentum * mean
 *   running variance[c] = (1 - momentum) * running variance[c] + momentum * (sum_p (x[p][c] - mean)^2 / (n - 1))
 * if n > 1 and both are finite. They do not wait for the update, and a step that it refuses has counted. A part of an epoch
 * (cge_network_train_epoch_part) that ends inside a batch ends a pass.
 * Prediction, evaluation and CGE_FROZEN, with which nothing of it changes, take mean and rstd from the running statistics:
 *   rstd = 1 / sqrt(running variance[c] + eps)
 *   y[p][c] = b[c] + (x[p][c] - running mean[c]) * (w[c] * rstd)        dx[p][c] = 0 + dy[p][c] * (w[c] * rstd)
 * With a plan it learns at level cge_memory_batch. Other levels hold one sample at a time: a network that trains the layer gets
 * CGE_ERR_MODE, a frozen one is fine.
 *
 * cge_kind_scale has weight and bias of each channel alone, w [in_c] and b [in_c]:
 *   y[p][c] = b[c] + x[p][c] * w[c]                                                dx[p][c] = 0 + dy[p][c] * w[c]
 *   dw[c] += sum_p x[p][c] * dy[p][c]     db[c] += sum_p dy[p][c]                  order: 0, then p; sample by sample
 */

/* ---- dropout: x, dx, y, dy [n]; y may be x, dx may be dy -----------------------------------------------------------
 *
 * Srivastava et al. 2014, with the scale in training ("inverted"). With m(v) MurmurHash3's finaliser, 32 bits, and key = high, low:
 *   y[i] = m(m(i + low) ^ high) < p * 2^32 ? 0 : x[i] * (1 / (1 - p))       dx[i] the same of dy[i]
 */
CGE_MUST_USE cge_status cge_dropout_forward_f32(int32_t n, float p, uint64_t key, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_dropout_input_grad_f32(int32_t n, float p, uint64_t key, const cge_real *dy, cge_real *dx);

/* ---- losses of one sample: x [n] (logits or outputs), *loss one number -----------------------------------------
 *
 * softmax              y[i] = exp(x[i] - m) / s,  m = max x,  s = sum_i exp(x[i] - m), i ascending; y may be x
 * softmax + cross-entropy, fused (stable for any finite logits)
 *                      loss = log(s) - (x[label] - m)                 dx[i] = exp(x[i] - m) / s - (i == label)
 * mean squared error   loss = (sum_i (x[i] - target[i])^2) * (1/n), i ascending   dx[i] = (x[i] - target[i]) * (2/n)
 *                      The loss of one sample is infinite if its sum is, even where sum / n would not be.
 *
 * With d[i] = x[i] - target[i], all sums i ascending:
 * mean absolute error  loss = (sum_i |d[i]|) * (1/n)                     dx[i] = sign(d[i]) * (1/n), 0 where d[i] is 0
 * huber                PyTorch's HuberLoss, after Huber 1964. delta finite and > 0
 *                      loss = (sum_i l[i]) * (1/n), l[i] = |d[i]| <= delta ? 0.5 * d[i]^2 : delta * (|d[i]| - 0.5 * delta)
 *                      dx[i] = min(max(d[i], -delta), delta) * (1/n)
 * binary cross-entropy on logits, one for each output: PyTorch's BCEWithLogitsLoss. target[i] in 0 .. 1, else CGE_ERR_ARGUMENT
 *                      loss = (sum_i (max(x[i], 0) - x[i] * target[i]) + log1p(exp(-|x[i]|))) * (1/n)
 *                      with log1p(e) = u == 1 ? e : log(u) * (e / (u - 1)), u = 1 + e
 *                      dx[i] = (sigmoid(x[i]) - target[i]) * (1/n), sigmoid as above
 *
 * With r[i] = log(s) - (x[i] - m), the -log of class i's probability, and i == label counting as 1:
 * smoothed cross-entropy  PyTorch's CrossEntropyLoss(label_smoothing), after Szegedy et al. 2016, section 7. Smoothing e in 0 .. 1
 *                      loss = (1 - e) * r[label] + (e / n) * sum_i r[i]
 *                      dx[i] = (exp(x[i] - m) / s - e / n) - (i == label) * (1 - e)
 * distillation         from a teacher's logits (Hinton et al. 2015, section 2), the Kullback-Leibler divergence in place of the
 *                      cross-entropy, which is larger by a constant. Temperature T finite and > 0, share of the labels a in 0 .. 1
 *                      p = softmax(teacher * (1/T)), q = softmax(x * (1/T)), in both the maximum is taken off before the product
 *                      loss = a * r[label] + ((1 - a) * T * T) * sum_i p[i] * (log p[i] - log q[i]), terms with p[i] = 0 left out
 *                      dx[i] = a * (exp(x[i] - m) / s - (i == label)) + ((1 - a) * T) * (q[i] - p[i])
 *                      log p[i] = (teacher[i] - max) * (1/T) - log(sum), q alike
 * Both are infinite where two logits differ by more than the largest number.
 * dx may be x.
 */
CGE_MUST_USE cge_status cge_softmax_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_softmax_cross_entropy_forward_f32(int32_t n, const cge_real *x, int32_t label, cge_real *loss);
CGE_MUST_USE cge_status cge_softmax_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, int32_t label, cge_real *dx);
CGE_MUST_USE cge_status cge_mean_squared_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss);
CGE_MUST_USE cge_status cge_mean_squared_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_MUST_USE cge_status cge_mean_absolute_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss);
CGE_MUST_USE cge_status cge_mean_absolute_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_MUST_USE cge_status cge_huber_forward_f32(int32_t n, float delta, const cge_real *x, const cge_real *target, cge_real *loss);
CGE_MUST_USE cge_status cge_huber_input_grad_f32(int32_t n, float delta, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_MUST_USE cge_status cge_binary_cross_entropy_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss);
CGE_MUST_USE cge_status cge_binary_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);
CGE_MUST_USE cge_status cge_smoothed_cross_entropy_forward_f32(int32_t n, float label_smoothing, const cge_real *x, int32_t label, cge_real *loss);
CGE_MUST_USE cge_status cge_smoothed_cross_entropy_input_grad_f32(int32_t n, float label_smoothing, const cge_real *x, int32_t label, cge_real *dx);
CGE_MUST_USE cge_status cge_distillation_forward_f32(int32_t n, float temperature, float alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *loss);
CGE_MUST_USE cge_status cge_distillation_input_grad_f32(int32_t n, float temperature, float alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *dx);

/* ---- optimiser step over flat arrays ------------------------------------------------------------------------------
 *
 * SGD with momentum (Sutskever et al. 2013, in PyTorch's form), for each element:
 *   g = dw * scale + weight_decay * w            (weight_decay 0: the second term is left out)
 *   momentum 0: w -= learning_rate * g           v is not touched and may be NULL
 *   else        v = momentum * v + g;  w -= learning_rate * (nesterov ? g + momentum * v : v)
 * A new v smaller in magnitude than FLT_MIN (the f64 copy: DBL_MIN) becomes +0 before w is computed from it, and if
 * weight_decay is not 0, a new w smaller than 2^-100 does. Else what only decays would stay, and numbers that processors are
 * slow with beside it: 0.9 * 4 ulp rounds to 4 ulp, and where weight_decay * w is subnormal, no v is left that w follows.
 */
typedef struct cge_optimizer_kind cge_optimizer_kind;
typedef struct cge_optimizer {
    const cge_optimizer_kind *kind; /* &cge_sgd, &cge_adam, ...; not read by cge_<kind>_update_f32 */
    float learning_rate;            /* finite, >= 0        */
    float momentum;                 /* 0 .. 1, 1 excluded  */
    float weight_decay;             /* finite, >= 0        */
    int32_t nesterov;               /* 0 or 1; needs momentum > 0 */
    float beta2;                    /* not of sgd: see below */
    float epsilon;                  /* the same */
    float l1;                       /* of cge_sgd_l1 and its like: finite, >= 0; else 0 */
    int32_t slot_elems;             /* these three: 0 in a model, a network's own from step to step */
    cge_real correction, root;
} cge_optimizer;

CGE_MUST_USE cge_status cge_sgd_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);

/* Adam (Kingma & Ba 2015, algorithm 1, in PyTorch's form). momentum is beta1, 0 .. 1, and beta2 0 .. 1, 1 excluded of both and 0 of
 * beta2; epsilon is at least FLT_MIN. Nothing has a default: 0.9, 0.999 and 1e-8 are usual. For each element, in step number
 * `step` (1 ..):
 *   g = dw * scale + weight_decay * w            (weight_decay 0: the second term is left out)
 *   m = m + (1 - beta1) * (g - m)
 *   v = beta2 * v + ((1 - beta2) * g) * g
 *   w = w - rate * (m / (sqrt(v) * root + epsilon)),  rate = learning_rate / (1 - beta1^step),  root = 1 / sqrt(1 - beta2^step)
 * adamw (Loshchilov & Hutter 2019): w = w * (1 - learning_rate * weight_decay) first, and weight_decay is not in g.
 *
 * RMSprop (Tieleman & Hinton 2012, in PyTorch's form), beta2 is its alpha, usually 0.99:
 *   g as above;  v = beta2 * v + ((1 - beta2) * g) * g;  q = g / (sqrt(v) + epsilon)
 *   momentum 0: w = w - learning_rate * q        m is not touched and may be NULL
 *   else        m = momentum * m + q;  w = w - learning_rate * m
 *
 * Adagrad (Duchi et al. 2011), epsilon usually 1e-10; momentum and beta2 are 0:
 *   g as above;  v = v + g * g;  w = w - learning_rate * (g / (sqrt(v) + epsilon))
 *
 * nesterov is 0 for all of them. What the last sum of a line adds is a multiply-add. A new m that is smaller in magnitude than
 * FLT_MIN becomes +0 before w is computed, so does a new v that is smaller than FLT_MIN (a negative one, too), and where
 * weight_decay is not 0 a new w that is smaller in magnitude than 2^-100.
 *
 * 1 - beta^step is computed without cancellation from p_1 = 1 - beta, p_2k = p_k * (2 - p_k): q = 0, and for each binary digit k of
 * `step` that is 1, from the lowest: q = q + p_(2^k) * (1 - q). So it depends on the number of the step alone. */
CGE_MUST_USE cge_status cge_adam_update_f32(int32_t n, const cge_optimizer *o, uint64_t step, cge_real scale, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v);
CGE_MUST_USE cge_status cge_adamw_update_f32(int32_t n, const cge_optimizer *o, uint64_t step, cge_real scale, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v);
CGE_MUST_USE cge_status cge_rmsprop_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v, cge_real *m);
CGE_MUST_USE cge_status cge_adagrad_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);

/* L1 decay, the subgradient of l1 * sum |w| (Tibshirani 1996, Regression Shrinkage and Selection via the Lasso). A kind of its
 * own for each of them, cge_sgd_l1, cge_adam_l1 and so on, which takes the step of the other with scale 1 and, in place of dw,
 *   dw * scale + l1 * sign(w)                    sign(0) = 0; a multiply-add
 * So weight_decay * w comes behind it. It is part of adamw's g too, whose weight_decay is not. */

/* ---- learning rates of layers ----
 *
 * In a network a layer learns by learning_rate * learning_rate_factor, a product that is rounded to a float, in place of
 * learning_rate in all these formulas; where the layer's factor is 0, by learning_rate. So adamw's weight_decay follows the
 * layer's rate, as in PyTorch's parameter groups. What weight_decay and l1 add to a gradient does not. */

/* ---- networks -----------------------------------------------------------------------------------------------------
 *
 * A model is constant data (flash): a table of layers, a loss, an optimiser. A network is a model at work: a small
 * struct and one arena, both the caller's. A layer kind is a constant table of functions; only the kinds that a
 * model names are linked.
 */
typedef struct cge_layer_kind cge_layer_kind;
extern const cge_layer_kind cge_kind_conv2d;         /* config: cge_conv2d                                         */
extern const cge_layer_kind cge_kind_conv_transpose2d; /* cge_conv_transpose2d; trains is CGE_TRAINS_ALL or _BIAS    */
extern const cge_layer_kind cge_kind_dense;          /* cge_dense; takes any input shape, flattened                */
extern const cge_layer_kind cge_kind_maxpool2d;      /* cge_pool2d                                                 */
extern const cge_layer_kind cge_kind_avgpool2d;      /* cge_pool2d                                                 */
extern const cge_layer_kind cge_kind_global_avgpool2d;
extern const cge_layer_kind cge_kind_relu;
extern const cge_layer_kind cge_kind_leaky_relu;     /* cge_leaky_relu, or NULL: alpha 0                           */
extern const cge_layer_kind cge_kind_sigmoid;
extern const cge_layer_kind cge_kind_tanh;
extern const cge_layer_kind cge_kind_flatten;        /* {h, w, c} to {1, 1, h*w*c}: costs nothing */
extern const cge_layer_kind cge_kind_add;            /* two inputs of one shape: y = x + x2                        */
extern const cge_layer_kind cge_kind_group_norm;     /* cge_norm, or NULL: one group                               */
extern const cge_layer_kind cge_kind_instance_norm;  /* cge_norm with groups 0, or NULL: each channel is a group   */
extern const cge_layer_kind cge_kind_layer_norm;     /* the same: all numbers are a group, and each has a w and b  */
extern const cge_layer_kind cge_kind_batch_norm;     /* cge_batch_norm, or NULL: see "batch normalisation"          */
extern const cge_layer_kind cge_kind_scale;          /* y = b[c] + x * w[c]: see "batch normalisation"             */
extern const cge_layer_kind cge_kind_dropout;        /* cge_dropout; y = x in prediction and evaluation              */
extern const cge_layer_kind cge_kind_concat;         /* two inputs of one height and width: y[h][w] is the channels of
                                                        the first, then those of the second                        */
extern const cge_layer_kind cge_kind_global_maxpool2d;
extern const cge_layer_kind cge_kind_zero_pad2d;     /* cge_pad2d                                                  */
extern const cge_layer_kind cge_kind_crop2d;         /* cge_pad2d                                                  */
extern const cge_layer_kind cge_kind_channel_slice;  /* cge_channel_slice                                          */
extern const cge_layer_kind cge_kind_upsample2d;     /* cge_upsample2d                                             */
extern const cge_layer_kind cge_kind_relu6;
extern const cge_layer_kind cge_kind_hard_sigmoid;
extern const cge_layer_kind cge_kind_elu;            /* cge_leaky_relu: alpha                                      */
extern const cge_layer_kind cge_kind_softplus;
extern const cge_layer_kind cge_kind_softmax;        /* over the channels of each pixel */
extern const cge_layer_kind cge_kind_hard_swish;
extern const cge_layer_kind cge_kind_silu;
extern const cge_layer_kind cge_kind_gelu;
extern const cge_layer_kind cge_kind_prelu;          /* cge_prelu, or NULL: one slope. No b                        */

typedef struct cge_loss_kind cge_loss_kind;
extern const cge_loss_kind cge_softmax_cross_entropy; /* targets: labels */
extern const cge_loss_kind cge_mean_squared_error;    /* targets: values */
extern const cge_loss_kind cge_binary_cross_entropy;  /* values in 0 .. 1, else CGE_ERR_ARGUMENT */
extern const cge_loss_kind cge_mean_absolute_error;   /* values */
extern const cge_loss_kind cge_huber;                 /* values; loss_config.delta */
extern const cge_loss_kind cge_smoothed_cross_entropy; /* labels; loss_config.label_smoothing */
extern const cge_loss_kind cge_distillation;          /* labels, and a teacher's logits as values; loss_config.temperature, alpha */
extern const cge_loss_kind cge_multi_output;          /* see "several outputs" below */

extern const cge_optimizer_kind cge_sgd;     /* numbers kept for each parameter: 1 with momentum, else none */
extern const cge_optimizer_kind cge_adam;    /* 2: m, v */
extern const cge_optimizer_kind cge_adamw;   /* 2: m, v */
extern const cge_optimizer_kind cge_rmsprop; /* 1: v; with momentum 2: v, m */
extern const cge_optimizer_kind cge_adagrad; /* 1: v */
extern const cge_optimizer_kind cge_sgd_l1;  /* with l1, and as many numbers as those without */
extern const cge_optimizer_kind cge_adam_l1;
extern const cge_optimizer_kind cge_adamw_l1;
extern const cge_optimizer_kind cge_rmsprop_l1;
extern const cge_optimizer_kind cge_adagrad_l1;

/* A row of a model: constant data, zero means default. What is wrong with one is told by whoever is given the model:
 * CGE_ERR_NULL, no kind, or no config where it is needed; CGE_ERR_ARGUMENT, a config where the kind has none, or another member
 * out of range; CGE_ERR_ALIGN, the config; CGE_ERR_SHAPE, an impossible geometry, or in_h, in_w, in_c that are neither 0 nor what
 * comes in.
 *
 *     static const cge_conv2d first = {.out_c = 8, .kernel_h = 3, .kernel_w = 3};
 *     static const cge_layer layers[] = {{.kind = &cge_kind_conv2d, .config = &first}, {.kind = &cge_kind_relu}}; */
typedef struct cge_layer {
    const cge_layer_kind *kind;
    const void *config; /* constant, of the struct that the kind names above, while the model lives; NULL where it names none */
    int16_t from[2];    /* inputs: 0 the layer before, n > 0 layer n - 1, CGE_INPUT the model's; see "graphs" */
    int32_t trains;     /* CGE_TRAINS_ALL, CGE_TRAINS_BIAS or n; 0 with CGE_FROZEN. Here and below 0 without parameters */
    uint16_t flags;     /* CGE_FROZEN, CGE_NO_BIAS, CGE_NO_AFFINE */
    cge_init init;
    float learning_rate_factor; /* of its learning rate: above 0, up to 65536; 0 means 1. See "learning rates of layers" */
} cge_layer;

/* What a network's samples are made of: cge_real, or bytes, as cameras give them. */
typedef struct cge_input_kind cge_input_kind;
extern const cge_input_kind cge_input_u8; /* uint8_t */

/* ---- several outputs ----
 *
 * A network whose loss is &cge_multi_output has several outputs, each with a loss of its own. The last layer puts out all of
 * them side by side, in the order of the model's table, as cge_kind_concat of vectors does. Of a sample
 *
 *   loss = (0 + weight[0] * loss[0]) + weight[1] * loss[1] + ...   outputs ascending, each term a multiply-add
 *   dx[i] = dx of its output's loss * that output's weight         in one rounding
 *
 * where each loss, with its n, is that of its outputs alone. So a weight of 0 leaves an infinite loss NaN. Weights of samples
 * (&cge_weighted) multiply this loss and these gradients once more, and weights of classes are CGE_ERR_ARGUMENT there.
 * &cge_weighted_outputs weighs each output's loss before that.
 *
 * Targets: labels [count][as many as there are outputs whose losses read labels], in the table's order; values
 * [count][out_elems], each output's where the output itself is, of which a loss that reads labels alone reads none. Either is
 * NULL where no loss reads it. What a loss says of its targets is said of its output's. CGE_ERR_SHAPE, from all that take
 * targets, if the outputs' elems do not add up to out_elems. cge_network_evaluate's *correct is 0. */
typedef struct cge_output {
    const cge_loss_kind *loss;   /* one of those above: CGE_ERR_ARGUMENT for &cge_multi_output and those of cge_weights */
    cge_loss_config loss_config; /* of that loss */
    int32_t elems;               /* at least 1 */
    float weight;                /* finite, >= 0; zero is zero */
} cge_output;

typedef struct cge_model {
    cge_shape input;
    const cge_layer *layers; /* [layer_count] */
    int32_t layer_count;
    const cge_loss_kind *loss; /* NULL: inference only */
    cge_optimizer optimizer;   /* kind NULL: gradients only, no update */
    const cge_input_kind *input_kind; /* NULL: cge_real, and both members below are 0 */
    float input_scale;         /* a power of two from 2^-64 to 2^64 */
    int32_t input_offset;      /* -65535 .. 65535 */
    cge_loss_config loss_config; /* of the loss; all zero without one */
    int32_t fused;             /* 1: builds without CGE_FUSED=1 give CGE_ERR_ARITHMETIC; 0: any build */
    const cge_output *outputs; /* [output_count], of loss &cge_multi_output */
    int32_t output_count;      /* of any other loss 0 (else CGE_ERR_ARGUMENT) */
} cge_model;

/* ---- bytes as input ----
 *
 * With input_kind &cge_input_u8 the samples x are uint8_t, of any alignment, and a byte stands for
 *
 *   (byte - input_offset) * input_scale
 *
 * which binary32 holds exactly: all bits are those of a network that is given these numbers. The layer that reads x (the
 * first that does not only rename, of which there must be one) computes from some of them at a time, in a window that the
 * arena has room for: the rows that a few rows of its output look at (no more than all but one, unless a row looks at all), or
 * some inputs of a dense layer. In a graph one layer alone may read x, and once (else CGE_ERR_ARGUMENT). With a capacity above 1 the window is half of the samples held at once, as far as they fit into 32768
 * elements; larger ones are read as with a capacity of 1. Two windows for each thread of an executor. */

/* ---- graphs ----
 *
 * A table whose layers name their inputs is a graph: skips and branches. Rows stand in an order in which every layer comes
 * after what it reads, so `from` of row l names rows 0 .. l - 1 or the model's input. from[1] is for kinds with two inputs.
 * The last row is the model's output, and every other output is read by some layer (else CGE_ERR_ARGUMENT).
 *
 *     {.kind = &cge_kind_conv2d, .config = &first}           row 0
 *     {.kind = &cge_kind_relu}                               row 1, reads row 0
 *     {.kind = &cge_kind_conv2d, .config = &second}          row 2, reads row 1
 *     {.kind = &cge_kind_add, .from = {0, 2}}                row 3, adds rows 2 (the one before) and 1 (number 2, from 1 on)
 *
 * If several layers read an output, its gradient is the sum of theirs, from the last row that reads it to the first. A layer
 * that reads it twice counts as two, its second input first. Layers that only rename (flatten) are looked through.
 *
 * A graph needs a plan (on computers cge_memory_fast has the quickest): without one every call that would work on it gives CGE_ERR_MODE. Functions that look at one layer
 * after the other without memory of their own (cge_model_layer_info) give that, too: see cge_plan.layers. */

/* ---- how a network uses its memory ----
 *
 * Without a plan a network keeps every layer's output as a whole while it trains, several samples at once if it is asked to:
 * what is quickest on a computer. A plan says otherwise, for one sample at a time. Layers are grouped into units (a
 * convolution with the activation and the pooling behind it, a dense layer with its activation), so that what lies between
 * them never exists as a whole. All levels give the same bits as long as x is finite; else CGE_ERR_NOT_FINITE.
 *
 *   cge_memory_small     gradients are collected as without a plan, for batches of any size
 *   cge_memory_smallest  no gradient buffer: each sample is a step, and a layer learns as soon as its gradient is complete.
 *                        A step is taken as a whole or not at all, and where cge_memory_small takes it: CGE_ERR_NOT_FINITE
 *                        if a gradient, or what a parameter or its velocity would become, is not finite. Gradients are
 *                        bounded before anything learns. If the bound of one, a parameter or a velocity is 2^64 or more,
 *                        the step is tried first: backward changes no parameter, then forward and backward run again,
 *                        and a step takes twice as long. So it is for networks of many layers. Optimisers that square
 *                        gradients try from 2^32 on, and where settings could overflow with less: an epsilon below
 *                        2^-60, a weight_decay above 0.25, a layer's rate (as above) of more than 2^60 epsilon
 *
 * A plan is constant data: exported with a model, or made by cge_plan_make in memory of the caller's. */
typedef struct cge_memory_level cge_memory_level;
extern const cge_memory_level cge_memory_small;
extern const cge_memory_level cge_memory_smallest;
/* cge_memory_small for up to options.capacity samples in a pass, as batch normalisation needs them to learn. The plan is that
 * of one sample. Each tensor exists once for each sample, so that activations take options.capacity * plan->peak_elems. Each
 * unit works on one sample after the other, and batch normalisation on all together. Only this level and cge_memory_fast take a
 * capacity above 1, and not with a spread plan (CGE_ERR_ARGUMENT). */
extern const cge_memory_level cge_memory_batch;
/* Of a graph what a network without a plan is of a chain: every output as a whole, options.capacity samples at once, layer by
 * layer, and an executor's threads share the work. It is the quickest on computers, and boards do not have it. Plans of this
 * level are neither spread (CGE_ERR_ARGUMENT) nor for slices (CGE_ERR_MODE). */
extern const cge_memory_level cge_memory_fast;
/* The same with all ways to take fewer bytes, and the code for them (13 KB on an M4F). Units that do not learn run by rows
 * through as many of them as takes the fewest: of a network of which the end learns, the maps before it are some rows each.
 * Convolutions and sums that learn may do so by rows, too, up to 16 of them together, and backward makes their rows again.
 * Depthwise-separable convolutions and inverted residuals that learn run by groups of channels through all of a block, and
 * backward computes the maps in it again. A convolution that learns at once may do so some channels at a time. A mean over all
 * rows has its dx in the place of x. Where a unit's readers learn biases alone, or nothing, a mask in bits is kept of ReLU's or
 * ReLU6's output, and nothing without an activation. Where the levels above have the same units and tensors, exported plans
 * name those. */
extern const cge_memory_level cge_memory_small_tight;
extern const cge_memory_level cge_memory_smallest_tight;
/* The same for steps in slices (cge_network_resume): units run one after the other, so that each can be cut. Others may run the
 * first units by rows through all of them, which takes fewer bytes, and is one piece. */
extern const cge_memory_level cge_memory_small_sliced;
extern const cge_memory_level cge_memory_smallest_sliced;

/* ---- several memories ----
 *
 * Where RAM has borders in it (main RAM and CCM of an STM32F405, AXI SRAM and DTCM of an STM32H7), a plan can be spread over
 * the arena and up to three other memories, its ranges. A border is a wall: parameters, gradients, velocity and each tensor lie
 * in one of them. What is in the arena stays there as long as it fits. docs/memory.md has a program.
 *
 *     static uint64_t arena[30000 / 8], ccm[8192 / 8];            // ccm in a section of its own
 *     static const cge_memory_range ranges[1] = {{ccm, sizeof ccm}};
 *     static cge_spread spread;
 *     spread.ranges = ranges, spread.range_count = 1;
 *     cge_plan_make(model, level, 1, room, sizeof room, &plan) ...
 *     cge_plan_spread(model, NULL, sizeof arena, &spread, &plan) ... then cge_network_init, which checks the ranges, too
 */
#define CGE_MOST_RANGES 4          /* the arena counts as one */
#define CGE_RANGE_ELEMS 0x10000000 /* in offsets of tensors and blocks, between the ranges */

typedef struct cge_memory_range {
    void *start;  /* 8-byte aligned. Read while the network lives; NULL is fine until cge_network_init */
    size_t bytes;
} cge_memory_range;

typedef struct cge_spread_kind cge_spread_kind;
extern const cge_spread_kind cge_spread_over_ranges; /* the one there is; no program without it has its code */

typedef struct cge_spread {
    const cge_memory_range *ranges;  /* [range_count], beside the arena: ranges[0] is number 1 */
    int32_t range_count;             /* 1 .. CGE_MOST_RANGES - 1 */
    const cge_spread_kind *kind;     /* from here on cge_plan_spread writes. &cge_spread_over_ranges */
    int32_t elems[CGE_MOST_RANGES - 1]; /* that are used of each range, from its start: bytes / sizeof(cge_real) */
    int32_t params, grads, velocity; /* offsets like those of tensors; 0: in the arena */
} cge_spread;

typedef struct cge_tensor { /* in elements of the activation region; the operations are numbered in cge_plan */
    int32_t offset, elems; /* of a spread plan: CGE_RANGE_ELEMS * n + the element of range n, 1 .. */
    int16_t first, last; /* operation that writes it first, and that uses it last */
} cge_tensor;

typedef struct cge_unit { /* layers begin .. end - 1 of the model, run as one */
    int16_t begin, end;
    int16_t main, activation, pool;            /* layers; -1: none. main computes, the others follow, or only rename */
    int16_t pool_first;                        /* 1: the activation is taken after the pooling */
    int16_t y, dy, winners, forward, backward; /* tensors, -1: none. forward, backward: scratch of the pass */
    int16_t x[2];                              /* units whose outputs it reads; -1: the model's input, -2: none */
    int16_t learns;                            /* 1: it or a unit before it learns; 2: backward needs only a mask of y */
    int16_t shared;                            /* 1: its output is read more than once */
    int16_t adds;                              /* bit i: the gradient of input i is added to what is there */
    int16_t style;                             /* of working: which one takes how much memory is cge_plan_make's affair */
} cge_unit;

typedef struct cge_layer_plan { /* one layer of a network; fixed-size integers: the same on every target */
    cge_shape in, out;
    int32_t weights, biases; /* elements                                                                         */
    int32_t params;          /* offset of the weight in net->params, in elements; the bias follows it            */
    int32_t grads;           /* the same in net->grads and net->velocity, of what learns; -1: nothing does       */
    int32_t y, dx;           /* without a plan: output and gradient of the input, offsets in the activation region;
                                -1: the caller's x, and nobody needs it. With a plan: -1                          */
} cge_layer_plan;

/* Operations: forward of unit u is number u; the loss is unit_count; backward of unit u is 2 * unit_count - u. */
typedef struct cge_plan {
    const cge_memory_level *level;
    const cge_layer_plan *layers; /* [layer_count of the model] */
    const cge_unit *units;     /* [unit_count]   */
    const cge_tensor *tensors; /* [tensor_count] */
    int32_t unit_count, tensor_count;
    int32_t training;          /* as in cge_options */
    int32_t peak_elems;        /* of the activation region */
    int32_t bound_elems;       /* the most that is alive during one operation: no plan can take less */
    const cge_spread *spread; /* NULL: all lies in the arena; see "several memories" */
    uint32_t seal;             /* from cge_plan_seal, for the sealed levels; else 0 */
} cge_plan;

/* Bytes of memory that cge_plan_make needs for a model, at most 164 a layer. */
CGE_MUST_USE cge_status cge_plan_bytes(const cge_model *model, size_t *bytes);

/* Makes a plan in memory[bytes], 8-byte aligned, to which it then points. training as in cge_options. */
CGE_MUST_USE cge_status cge_plan_make(const cge_model *model, const cge_memory_level *level, int32_t training, void *memory, size_t bytes, cge_plan *plan);

/* Spreads a plan that cge_plan_make made, whose memory is still there: sizes count, addresses do not yet. arena_bytes is the
 * most that the arena may take. params as in cge_options, NULL if they are in RAM. Then plan->spread is `spread`, spread->elems
 * tells what is needed of each range, and cge_network_arena_bytes what is of the arena. CGE_ERR_ARENA if no way was found: then
 * the plan is as cge_plan_make made it. */
CGE_MUST_USE cge_status cge_plan_spread(const cge_model *model, const cge_real *params, size_t arena_bytes,
                                        cge_spread *spread, cge_plan *plan);

/* ---- sealed plans ----
 *
 * cge_network_init works out again what a plan should be, and compares. That takes 4 KB of code. A plan that is constant can
 * bear a seal instead: a checksum over the plan, the model and CGE_PLAN_VERSION, which is what is compared then. Its level is
 * the sealed one. A seal tells what was damaged or mixed up, not what was forged. Network.export(sealed=True) writes it. */
#define CGE_PLAN_VERSION 6 /* raised by every change of what a plan of the same model looks like, or means */
extern const cge_memory_level cge_memory_small_sealed;
extern const cge_memory_level cge_memory_batch_sealed;
extern const cge_memory_level cge_memory_smallest_sealed;
extern const cge_memory_level cge_memory_small_tight_sealed;
extern const cge_memory_level cge_memory_smallest_tight_sealed;
extern const cge_memory_level cge_memory_small_sliced_sealed;
extern const cge_memory_level cge_memory_smallest_sliced_sealed;

/* The seal of a plan, which is checked as cge_network_init checks it, with the level that it was made with. params as in
 * cge_options. */
CGE_MUST_USE cge_status cge_plan_seal(const cge_model *model, const cge_real *params, const cge_plan *plan, uint32_t *seal);

/* Layer `index` of a model that is no graph (else CGE_ERR_MODE): its shapes, parameters and cost. Checks the model up to
 * that layer. */
CGE_MUST_USE cge_status cge_model_layer_info(const cge_model *model, int32_t index, cge_layer_info *info);
/* The same of one layer, given the shapes of its inputs, in[2] for kinds that have two: whoever goes through all layers hands
 * each the `out` of what it reads. */
CGE_MUST_USE cge_status cge_layer_infer(const cge_layer *layer, const cge_shape *in, cge_layer_info *info);

typedef struct cge_options { /* zero means default */
    int32_t training;       /* 0: inference; 1: forward, loss, backward, update                                   */
    int32_t capacity;       /* samples whose activations are held at once, 1 ..; 0 means 1. The bits do not depend on it */
    const cge_real *params; /* all parameters, layer by layer, weight then bias, kept outside the arena (flash) while the
                               network lives; NULL: they are part of the arena. With training, those that do not learn
                               are read there, and the others are copied into the arena as what training starts from
                               (if n input channels learn, all weights; but with a plan, of a dense layer those of n inputs) */
    const cge_executor *executor; /* NULL: all work on the caller's thread */
    const cge_plan *plan;   /* NULL: every layer's output is kept as a whole. Else `training` is the plan's, and capacity 1
                               but with cge_memory_batch and cge_memory_fast */
} cge_options;

/* Instructions of a training step on a Cortex-M4F: `macs` multiply-adds of all passes over the batch, and one update of
 * `trained` parameters. Right within a fifth for convolutions over all channels with filters in multiples of 4, and for
 * dense layers; depthwise convolutions and other numbers of filters take up to 1.7 times as many. Zeros behind a max pooling
 * are left out: the more of the multiply-adds are gradients there, the fewer it is. Of the 20, 16 are the update: 10 with
 * momentum, and 2 for each of a parameter's three numbers that are asked whether they stay finite. The others are what the
 * short rows of dense layers take beyond 2.75 a multiply-add. */
#define CGE_STEP_INSTRUCTIONS(macs, trained) (11 * (int64_t)(macs) / 4 + 20 * (int64_t)(trained))

/* Exactly the bytes that cge_network_init needs: one less is refused, the last one is used. The same on every
 * target. options NULL means all defaults. */
CGE_MUST_USE cge_status cge_network_arena_bytes(const cge_model *model, const cge_options *options, size_t *bytes);

typedef struct cge_progress {       /* all zero at the start */
    int32_t done, correct;          /* samples so far; of them right, where that is counted (cge_network_evaluate) */
    cge_real loss_sum, loss_error;  /* of their losses, as Kahan's compensated sum */
    int32_t shrunk;                 /* 1: in units of 2^32, since the sum would have overflowed */
} cge_progress;

/* Weights of samples. A sample's loss, and then each element of its gradient by the last output, is multiplied by samples[sample],
 * by classes[its label], or by the product of both, in one rounding. Weights are finite and >= 0 (else CGE_ERR_ARGUMENT).
 * The mean loss and the mean gradient still are sums divided by the number of samples, as in Keras: so what a sample does to a
 * step does not depend on what the others weigh. PyTorch's CrossEntropyLoss(weight) divides by the sum of the weights: weights that
 * add up to the number of samples do the same. *correct counts samples, whatever they weigh.
 *
 * With `losses` the losses of samples that are trained or evaluated are added up in losses[0].loss_sum. losses[0].correct
 * counts those that are right. A sample that trains is looked at before its step. `done` stays. After an error the sums mean
 * nothing. */
extern const cge_loss_kind cge_weighted; /* the model's loss with weights: only who weighs links it */

/* The same of several outputs, each apart: that output's loss and gradient are multiplied by its weights first, and by
 * cge_output.weight then. Other models give CGE_ERR_ARGUMENT. With `losses` each output's loss, so weighed, is added up in
 * losses[output], and what is right of it is counted there. */
extern const cge_loss_kind cge_weighted_outputs;
typedef struct cge_weights {
    const cge_loss_kind *kind; /* &cge_weighted, &cge_weighted_outputs */
    const cge_real *samples;   /* [count], of outputs apart [count][output_count]; NULL: all one */
    const cge_real *classes;   /* [out_elems], for losses that read labels: of outputs apart each output's where it is itself;
                                  NULL: all one */
    cge_progress *losses;      /* [1], of outputs apart [output_count]; NULL: nothing is added up */
} cge_weights;

typedef struct cge_targets {    /* of `count` samples; the kinds of losses say what they read */
    const int32_t *labels;      /* [count]             */
    const cge_real *values;     /* [count][out_elems]  */
    const cge_weights *weights; /* NULL: all one       */
} cge_targets;

typedef struct cge_slice_task cge_slice_task;
typedef struct cge_step {       /* where a step that is taken in slices stands: plain data, see cge_network_resume */
    const cge_slice_task *task; /* public: NULL while no step is under way */
    const void *x;
    const cge_real *params;
    cge_targets targets;
    cge_real *y;                /* of a prediction */
    int32_t *correct;           /* of an evaluation */
    int32_t count;
    int32_t stage, unit, pass, piece;
    int32_t changing;           /* public: 1 when parameters have begun to change */
    int32_t at_work;
    int32_t prepared;           /* where the unit stays between slices it is described: 1; and its pass is cut: 2 */
    cge_real bound, gain, largest; /* of gradients and inputs, where layers learn at once */
    int16_t trains;
    int16_t trial;              /* 1: backward changes no parameter; 2: it has been tried, and may */
    cge_progress losses;        /* public: losses.done samples are done */
} cge_step;

typedef struct cge_network { /* plain data; read the members marked "public", leave the others alone */
    const cge_model *model;  /* public; constant while the network lives */
    const cge_layer_plan *plans; /* at the start of the arena; with a plan its own */
    cge_real *activations;
    cge_options options;     /* public: what it was initialised with, defaults filled in */
    cge_optimizer optimizer; /* public: the model's; learning_rate (and momentum, if it was not 0) may be changed
                                between steps, e.g. by a schedule */
    cge_real *params;        /* public: [held_elems], layer by layer, weight then bias: all of them, or what was copied
                                into the arena if it trains with options.params */
    cge_real *grads;         /* public: [grad_elems], what learns, in the same order: sums over the pending samples; while
                                `pending` is 0 they mean nothing. Of n input channels: [kernel_h][kernel_w][n][out_c] */
    cge_real *velocity;      /* public: the optimiser's numbers, [grad_elems] of one sort behind [grad_elems] of the other; NULL:
                                none, as with sgd if momentum is 0 */
    int32_t velocity_elems;  /* public: of all of them */
    int32_t param_elems, held_elems, grad_elems; /* public */
    int32_t in_elems, out_elems;      /* public: of one sample */
    int32_t pending;         /* public: samples whose gradients were added since the last update */
    int32_t first_trainable; /* public: index of the first layer with gradients; layer_count if there is none */
    int32_t busy;            /* public: 1 while a call or a step in slices is at work, see "interrupts, tasks, networks" */
    int32_t loss_grad, window_elems;
    int32_t pass_sample, pass_count; /* with a plan: whose tensors units work on, and of how many samples */
    cge_real *staging, *window;
    cge_rng rng;             /* public: draws the orders of epochs, by cge_rng_shuffle; saved with the network */
    uint64_t step_count;     /* public: updates so far */
    cge_step step;
} cge_network;

/* Lays out the arena (8-byte aligned) and sets all parameters to zero (unless options->params is given).
 * rng is seeded with 0. To move a network, initialise a new one with the same model and options and copy params, velocity,
 * rng and step_count. */
CGE_MUST_USE cge_status cge_network_init(cge_network *net, const cge_model *model, const cge_options *options, void *arena, size_t arena_bytes);

/* ---- interrupts, tasks, networks ----
 *
 * One call at a time works on a network. `busy` is 1 meanwhile; a second call on the same network, from an interrupt,
 * another task or another core, returns CGE_ERR_BUSY and has changed nothing. The call that came first goes on, and clears
 * `busy` whatever its status is. A step in slices is one call in this sense, from its begin to its end. These calls take the network: init_params, params_hash, forward, evaluate, accumulate,
 * clip_norm, clip_value, update, zero_grads, train_batch, train_epoch, train_begin, evaluate_begin, forward_begin, save, restore. cge_network_init does not: nobody else may use the network yet.
 *
 * On Armv7-M and later, and on computers, it is taken with an atomic exchange. On Armv6-M, which has none, interrupts are
 * kept off for two memory accesses; a task without privileges cannot do that, and needs a lock of its own. What the caller
 * reads or writes through net->params and the other public members is not guarded.
 *
 * To predict while training goes on, take two networks with an arena each: one that trains, and one that predicts, made
 * with options.params. Never give it the live weights (net->params of the one that trains): it would read them half
 * updated. Keep two blocks of param_elems numbers outside of both arenas:
 *
 *     predictor reads block A | the trainer trains, then copies trainer.params to block B, between two of its steps
 *     cge_network_set_params(&predictor, B): from the next call on it predicts with B
 *     while predictor.busy is 1, a call that began before may still read A; then A is free for the next copy
 *
 * If the predictor runs in an interrupt and the trainer does not, A is free at once.
 */

/* ---- a network in two ----
 *
 * What layers that do not learn put out of a sample is the same in every epoch. So a chain whose first k layers are CGE_FROZEN,
 * and no dropout, may be cut: the front, rows 0 .. k - 1, predicts once for each sample, and the tail, the rows behind, learns
 * from what was kept in RAM or flash. A step then costs the tail alone. Both read the same rows and the same parameters:
 *
 *     front = (cge_model){.input = net_model.input, .layers = net_model.layers, .layer_count = k}
 *     tail = net_model, with .layers = net_model.layers + k, .layer_count -= k, .input = cge_layer_info.out of row k - 1
 *     cge_network_init(&first, &front, &(cge_options){.params = net_params}, ...)
 *     cge_network_init(&second, &tail, &(cge_options){.training = 1, .params = net_params + first.param_elems}, ...)
 *     cge_network_forward(&first, x, 1, features) ... cge_network_train_batch(&second, features, &targets, 1, &loss)
 *
 * Losses and parameters are to the bit those of the whole network, if dropout behind the cut says its row there
 * (cge_dropout.layer). Of a graph rows k .. may read row k - 1 and none before it, and `from` counts anew in the tail.
 * net.split of Python makes both, of chains and graphs, and exports them. */

/* Points an inference network that was made with options.params (else CGE_ERR_MODE) at other parameters, laid out as
 * before. One store of an address, at any time, from any context: a call that is at work ends with the parameters that it
 * began with. options.params stays what the network was made with. */
CGE_MUST_USE cge_status cge_network_set_params(cge_network *net, const cge_real *params);

/* Draws all weights with the layers' cge_init from one stream, layer by layer, elements ascending; those of norms are 1, slopes
 * of prelu 1/4. Zeroes biases, velocity, gradients and step_count. Seeds rng with `seed` as well. CGE_ERR_MODE with options.params. */
CGE_MUST_USE cge_status cge_network_init_params(cge_network *net, uint64_t seed);

/* Where layer `index` keeps its parameters and gradients, NULL where there are none. dw and db are of what learns. With
 * options.params parameters lie there if they do not learn; with a plan, w of a dense layer that trains n inputs is of these
 * inputs, and its other weights lie at options.params, where they are in all parameters. */
typedef struct cge_layer_params {
    cge_real *w, *b, *dw, *db;
} cge_layer_params;
CGE_MUST_USE cge_status cge_network_layer_params(const cge_network *net, int32_t index, cge_layer_params *params);

/* FNV-1a 64 over the parameters' bits, least significant byte first: equal weights, equal number, on every target. Every
 * NaN counts as the same value. */
CGE_MUST_USE cge_status cge_network_params_hash(const cge_network *net, uint64_t *hash);

/* In all calls below, x [count][in_h][in_w][in_c] is what the model's input_kind says: const cge_real *, aligned for it, or
 * const uint8_t *.
 *
 * y [count][out_elems] = the last layer's output (logits) for x; count >= 1. */
CGE_MUST_USE cge_status cge_network_forward(cge_network *net, const void *x, int32_t count, cge_real *y);

/* *mean_loss over the samples, and (if correct is not NULL) how many have their largest output at the label; needs
 * a loss, works in both modes. Of equally large outputs the first counts; a sample with NaN among its outputs is not
 * right. For binary_cross_entropy *correct counts outputs, all of all samples, that are above 0 where the target is above 0.5, and not
 * above it elsewhere; at most INT32_MAX. It is 0 for other losses without labels. Samples are summed in ascending order with Kahan's compensation; from where
 * the sum would overflow on, in units of 2^32. So the mean of finite losses is finite, here and in training. */
CGE_MUST_USE cge_status cge_network_evaluate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss, int32_t *correct);

/* ---- metrics ----
 *
 * Each call adds one sample, y [n] its outputs. Of equally large outputs the first counts, as in cge_network_evaluate.
 *
 * confusion       y [classes]. CGE_ERR_OVERFLOW if classes * classes is more than CGE_MAX_ELEMS
 * top_k           right if fewer than k outputs come before the label's: larger ones, and equal ones with a smaller index; never
 *                 if there is a NaN. k > n: CGE_ERR_ARGUMENT. CGE_ERR_OVERFLOW after INT32_MAX samples
 * absolute_error  |y[i] - target[i]|, i ascending, with Kahan's compensation; their mean over all numbers so far, CGE_ERR_ARGUMENT if
 *                 there are none. CGE_ERR_OVERFLOW after INT32_MAX numbers
 */
typedef struct cge_absolute_error {
    int32_t count;       /* numbers so far */
    cge_real sum, error; /* of their errors */
} cge_absolute_error;

CGE_MUST_USE cge_status cge_confusion_add_f32(cge_confusion *m, const cge_real *y, int32_t label);
CGE_MUST_USE cge_status cge_top_k_add_f32(cge_top_k *m, int32_t n, const cge_real *y, int32_t label);
CGE_MUST_USE cge_status cge_absolute_error_add_f32(cge_absolute_error *m, int32_t n, const cge_real *y, const cge_real *target);
CGE_MUST_USE cge_status cge_absolute_error_mean_f32(const cge_absolute_error *m, cge_real *mean);

/* Adds the gradients of each sample's loss, in ascending order, and count to `pending`. CGE_ERR_NOT_FINITE if a loss
 * is not finite: then the gradients are zeroed and pending is 0. */
CGE_MUST_USE cge_status cge_network_accumulate(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss);
CGE_MUST_USE cge_status cge_network_zero_grads(cge_network *net);

/* One optimiser step with the mean gradient (scale 1 / pending), then pending is 0. CGE_ERR_NOT_FINITE if a gradient, or
 * what a parameter or its velocity would become, is not finite: weights, velocity and step_count stay, the gradients are
 * zeroed. pending 0: CGE_ERR_MODE. */
CGE_MUST_USE cge_status cge_network_update(cge_network *net);

/* Between accumulate and update: clips the mean gradient, the sums in grads over `pending` samples divided by their number.
 *
 * clip_norm    its Euclidean norm over all that learns, *norm, to `most` (Pascanu et al. 2013): with p the largest power of two that
 *              is not above the largest |dw| (but 2^126 at most, FLT_MIN at least),
 *                  norm = sqrt(sum_i (dw[i] / p)^2) * p / pending     order: eight partial sums s[i % 8], each from 0 and i ascending,
 *                                                                     added as those of a dense layer's input gradient
 *              and if norm > most: dw[i] = dw[i] * (most / norm)
 * clip_value   each of its elements to -most .. most: dw[i] to most * pending and its negative; NaN stays
 *
 * most is finite and above 0. CGE_ERR_MODE if nothing is pending, and for networks without grads (cge_memory_smallest), where a
 * layer has learned before the gradient of the next is known. clip_norm: CGE_ERR_NOT_FINITE if a gradient or the norm is not
 * finite. Then nothing has changed, and update would refuse such gradients too. */
CGE_MUST_USE cge_status cge_network_clip_norm(cge_network *net, float most, cge_real *norm);
CGE_MUST_USE cge_status cge_network_clip_value(cge_network *net, float most);

/* zero_grads, accumulate, update. */
CGE_MUST_USE cge_status cge_network_train_batch(cge_network *net, const void *x, const cge_targets *targets, int32_t count, cge_real *mean_loss);

/* train_batch over samples order[0], order[1], ... (order NULL: 0, 1, ...; each in 0 .. count - 1) in batches of
 * batch_size, the last one what is left. Stops at the first batch that fails; batches before it stay learned. Labels are
 * checked of the samples that are visited. */
CGE_MUST_USE cge_status cge_network_train_epoch(cge_network *net, const void *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, cge_real *mean_loss);

/* Evaluation and epochs in parts, for callers that have other things to do meanwhile: called again and again with the same
 * arguments until progress->done is `count`, they give the bits of the whole. Each call goes on for up to `most` samples
 * (1 ..; more than are left is fine). *mean_loss is of the samples so far.
 *
 * A part of an epoch may end inside a batch: then `pending` samples of it wait for the next part, and the parameters are as
 * the batch before left them. Until then only calls that leave the gradients alone may come between; CGE_ERR_MODE if
 * others did. After an error the epoch is over, and *progress is of no use any more. */
CGE_MUST_USE cge_status cge_network_evaluate_part(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t most, cge_progress *progress, cge_real *mean_loss);
CGE_MUST_USE cge_status cge_network_train_epoch_part(cge_network *net, const void *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, int32_t most, cge_progress *progress, cge_real *mean_loss);

/* ---- steps in slices, for callers that have other things to do within milliseconds: docs/slices.md ----
 *
 * begin, then resume until it no longer returns CGE_AGAIN:
 *
 *     cge_status status = cge_network_train_begin(&net, x, &targets, 1);
 *     if (status == CGE_OK) do status = cge_network_resume(&net, budget, &loss); while (status == CGE_AGAIN);
 *
 * The step is the one that train_batch, evaluate or forward takes: the same bits, the same errors, whatever the budgets. It
 * needs a plan (options.plan); without one, begin returns CGE_ERR_MODE, and train_begin with cge_memory_batch.
 * Nothing is copied: x, what targets points to, y and
 * correct must stay what they are until the step is over. From begin until then `busy` is 1: every other call on the
 * network that takes it returns CGE_ERR_BUSY and has changed nothing, a second begin too. The optimizer stays as it is meanwhile. */

/* These check their arguments as the blocking call does, and compute nothing. mean_loss comes from resume. evaluate: *correct
 * (NULL: not wanted) is written at the end; forward: y is written sample by sample. */
CGE_MUST_USE cge_status cge_network_train_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count);
CGE_MUST_USE cge_status cge_network_evaluate_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t *correct);
CGE_MUST_USE cge_status cge_network_forward_begin(cge_network *net, const void *x, int32_t count, cge_real *y);

/* Goes on, and returns CGE_AGAIN while the step is not done. It runs as many pieces as fit into budget_macs (1 ..), and at least one.
 * So no call takes longer than a budget of cge_network_largest_slice, or its own if that is more. At the end the step is
 * over: CGE_OK, and *mean_loss (NULL: not wanted) is written if there is a loss; or why not, as the blocking call says it. A
 * label is checked again when it is read (CGE_ERR_LABEL). Errors that leave the step as it was: CGE_ERR_MODE, no step was begun;
 * CGE_ERR_ARGUMENT, the budget; CGE_ERR_ALIGN, mean_loss; CGE_ERR_BUSY, another call of resume or abort is at work. */
CGE_MUST_USE cge_status cge_network_resume(cge_network *net, int64_t budget_macs, cge_real *mean_loss);

/* Gives a step up: parameters, velocity and step_count are as before it, pending is 0. When net->step.changing is 1 it is too late:
 * CGE_ERR_MODE, and the step is to be resumed to its end. With cge_memory_small that is the update alone, at the
 * end of the step; with cge_memory_smallest all of the backward pass, but not the trial before it. CGE_ERR_MODE also if no step
 * was begun. */
CGE_MUST_USE cge_status cge_network_abort(cge_network *net);

/* Of the largest piece of a step, training or forward as the network was made for: multiply-adds, and of what is not a
 * multiply-add as many as take as long on a Cortex-M4F. CGE_SLICE_INSTRUCTIONS tells instructions there. */
CGE_MUST_USE cge_status cge_network_largest_slice(const cge_network *net, int64_t *macs);
#define CGE_SLICE_INSTRUCTIONS(macs) (11 * (int64_t)(macs) / 5)

/* ---- serialisation: docs/file_format.md ------------------------------------------------------------------------------
 *
 * Little-endian on every host, versioned, CRC-32 at the end. Reading is total: any bytes give a status, never
 * undefined behaviour. Parameters are stored as binary32 in the f32 library.
 */
CGE_MUST_USE cge_status cge_network_saved_bytes(const cge_network *net, size_t *bytes);
/* Model, parameters, optimiser (hyper-parameters, velocity, step_count) and rng into buffer[capacity]. */
CGE_MUST_USE cge_status cge_network_save(const cge_network *net, void *buffer, size_t capacity, size_t *used);

/* The kinds that a reader knows; a file that names another gives CGE_ERR_FORMAT. cge_catalog_all knows every kind
 * (and so links them all); firmware lists what it uses. */
typedef struct cge_catalog {
    const cge_layer_kind *const *layers;
    const cge_loss_kind *const *losses;
    const cge_optimizer_kind *const *optimizers;
    int32_t layer_count, loss_count, optimizer_count;
    const cge_input_kind *const *inputs;
    int32_t input_count; /* 0: files of networks that read cge_real alone */
    cge_output *outputs; /* [max_outputs]: room for a file's, to which the model then points. CGE_ERR_ARENA: it has more */
    int32_t max_outputs;
} cge_catalog;
extern const cge_catalog cge_catalog_all;

/* Reads the model into layers[max_layers] and configs[max_layers], to which these point, and *model, which then points to
 * layers. Checks all bytes and the model. */
CGE_MUST_USE cge_status cge_model_parse(const void *buffer, size_t bytes, const cge_catalog *catalog, cge_layer *layers, cge_layer_config *configs, int32_t max_layers, cge_model *model);
/* Reads parameters, step_count and rng into a network whose input and layers equal the file's (CGE_FROZEN, trains, init and
 * learning_rate_factor may differ), and velocity into a training network; zeros if the file has none, is of another optimiser kind or other parameters learn. Loss and hyper-parameters
 * stay the model's own. A file of a model with `fused` is for such builds alone: CGE_ERR_ARITHMETIC. */
CGE_MUST_USE cge_status cge_network_restore(cge_network *net, const void *buffer, size_t bytes);

/* ---- self-test: run it once on the board ---------------------------------------------------------------------------- */

typedef int32_t cge_arithmetic;
enum {
    CGE_ARITHMETIC_EXACT = 0,      /* multiply, round, add, round: the bits of every other exact build      */
    CGE_ARITHMETIC_CONTRACTED = 1, /* fused multiply-adds: the bits of every other build with CGE_FUSED=1    */
    CGE_ARITHMETIC_OTHER = 2       /* neither: see docs/porting.md                                           */
};

/* Which of the three this build computes with on this processor (on a board: in its present mode): walks through
 * sums, products, quotients, functions, roundings, subnormals and NaN with the kernels that networks use, and compares the
 * bits of all results. Needs no arena and 1.5 KB of stack. */
cge_arithmetic cge_check_arithmetic(void);

typedef struct cge_selftest_report {
    cge_arithmetic arithmetic;
    cge_real max_gradient_error; /* largest |analytic - central difference| / (|analytic| + |difference| + 1e-2) */
    int32_t gradients_checked;
    int32_t passed;              /* 1 if gradients agree within 2e-2, arithmetic is not OTHER, and a NaN was refused */
} cge_selftest_report;

CGE_MUST_USE cge_status cge_selftest_arena_bytes(size_t *bytes);
/* Trains nothing of the caller's: builds a small network of its own in the arena, compares each gradient with a central
 * difference, trains for some steps, of which the bits count for `arithmetic` as those of cge_check_arithmetic do, and tries
 * to train on a NaN. Raises no floating-point exception but underflow and inexact in builds that are not OTHER. */
CGE_MUST_USE cge_status cge_selftest(void *arena, size_t arena_bytes, cge_selftest_report *report);

/* ==== end of the real section ================================================================================ */

#ifdef __cplusplus
}
#endif

#endif /* CGE_H */
