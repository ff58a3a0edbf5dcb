/*
 * convgrad_embedded: training of convolutional networks on microcontrollers.
 *
 * This header is the whole public API of the C99 core and its manual. The core calls no malloc, no stdio and
 * no libm, keeps no static mutable state, does not recurse, and gives the same bits on every target that has
 * IEEE-754 binary32 arithmetic and is compiled without contraction (-ffp-contract=off).
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
 *           with double in its place and _f64 names; it exists for gradient checks (see csrc/src/f64.c).
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
#define CGE_EXPORT_VERSION 1 /* of the C source that Network.export writes; a mismatch refuses to compile */

#ifndef CGE_MUST_USE
#if defined(__GNUC__)
#define CGE_MUST_USE __attribute__((warn_unused_result))
#else
#define CGE_MUST_USE
#endif
#endif

/* ---- status ------------------------------------------------------------------------------------------- */

typedef enum cge_status {
    CGE_OK = 0,
    CGE_ERR_NULL,       /* a required pointer is NULL                                                       */
    CGE_ERR_ARGUMENT,   /* a scalar is outside its documented range                                         */
    CGE_ERR_SHAPE,      /* a geometry is impossible: size <= 0, groups do not divide, kernel > padded input */
    CGE_ERR_OVERFLOW,   /* a tensor or an arena would have more than CGE_MAX_ELEMS elements                 */
    CGE_ERR_ALIGN,      /* a buffer is not aligned for its element type (arena: 8 bytes)                    */
    CGE_ERR_ARENA,      /* the arena or buffer is shorter than the size query says                          */
    CGE_ERR_LABEL,      /* a class label is outside 0 .. classes - 1                                        */
    CGE_ERR_MODE,       /* the network was not initialised for this call (training, loss, optimiser)        */
    CGE_ERR_NOT_FINITE, /* loss or gradient is NaN or infinite: weights and optimiser are as before         */
    CGE_ERR_FORMAT,     /* serialised bytes are not ours, truncated, or contradict themselves               */
    CGE_ERR_VERSION,    /* serialised by a format version that this library does not read                   */
    CGE_ERR_CRC,        /* serialised bytes are damaged                                                     */
    CGE_ERR_MISMATCH    /* serialised bytes describe another network than the one to restore into           */
} cge_status;

/* A constant English sentence, for any value; never NULL. */
const char *cge_status_text(cge_status status);

/* ---- geometry ----------------------------------------------------------------------------------------- */

#define CGE_MAX_ELEMS 0x0fffffff /* of one tensor, and of all in an arena: 1 GB of binary32 */

typedef struct cge_shape {
    int32_t h, w, c; /* 1 .. ; a vector of n is {1, 1, n} */
} cge_shape;

typedef struct cge_conv2d { /* zero means default: stride, dilation, groups 1; padding 0 */
    int32_t in_h, in_w, in_c, out_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int32_t groups; /* divides in_c and out_c; filter k belongs to group k / (out_c / groups) */
} cge_conv2d;

typedef struct cge_pool2d { /* zero means default: stride = kernel, padding 0 */
    int32_t in_h, in_w, in_c, kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right; /* each < kernel: no window lies in padding alone */
} cge_pool2d;

/* out_h = (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1, rounded down; out_w alike. */
CGE_MUST_USE cge_status cge_conv2d_output_shape(const cge_conv2d *g, cge_shape *out);
CGE_MUST_USE cge_status cge_pool2d_output_shape(const cge_pool2d *g, cge_shape *out);

/* ---- random numbers: the same stream on every target ---------------------------------------------------- */

typedef struct cge_rng { /* PCG-XSH-RR 64/32 (O'Neill 2014, HMC-CS-2014-0905, section 6.3.1), stream 54 */
    uint64_t state, increment;
} cge_rng;

CGE_MUST_USE cge_status cge_rng_seed(cge_rng *rng, uint64_t seed);
uint32_t cge_rng_next(cge_rng *rng);                  /* uniform in 0 .. 2^32 - 1; rng not NULL             */
uint32_t cge_rng_below(cge_rng *rng, uint32_t bound); /* uniform in 0 .. bound - 1, unbiased; bound 0 gives 0 */
/* Fisher-Yates from the end: for i = count - 1 .. 1, order[i] changes places with order[cge_rng_below(rng, i + 1)]. */
CGE_MUST_USE cge_status cge_rng_shuffle(cge_rng *rng, int32_t *order, int32_t count);

/* ---- checksums ------------------------------------------------------------------------------------------ */

/* CRC-32/ISO-HDLC (zlib's). Start with crc 0; feed the result back in to continue. data may be NULL if bytes is 0. */
uint32_t cge_crc32(uint32_t crc, const void *data, size_t bytes);

/* ---- networks: what does not depend on the number type --------------------------------------------------- */

enum { /* cge_layer.flags */
    CGE_FROZEN = 1,  /* parameters stay: no gradient memory, no update, no time   */
    CGE_NO_BIAS = 2  /* conv2d, dense: y = w x without b                           */
};

typedef enum cge_init { /* weights; biases start at zero. Var is per weight, fan as in Glorot & Bengio 2010 */
    CGE_INIT_HE_UNIFORM = 0,     /* U(-a, a), a = sqrt(6 / fan_in)            He et al. 2015, eq. 10        */
    CGE_INIT_HE_NORMAL = 1,      /* N(0, 2 / fan_in)                          the same                      */
    CGE_INIT_GLOROT_UNIFORM = 2, /* U(-a, a), a = sqrt(6 / (fan_in + fan_out)) Glorot & Bengio 2010, eq. 16 */
    CGE_INIT_GLOROT_NORMAL = 3   /* N(0, 2 / (fan_in + fan_out))              eq. 12                        */
} cge_init;

typedef struct cge_layer_info { /* what one layer of a model is, see cge_model_layer_info */
    cge_shape in, out;
    int32_t weight_shape[4];    /* conv2d {kernel_h, kernel_w, in_c / groups, out_c}; dense {in, out, 1, 1}; else 0 */
    int32_t weight_elems, bias_elems;
    int32_t fan_in, fan_out;    /* for initialisation */
    int64_t macs;               /* multiply-adds of one forward pass of one sample, padded taps counted; the
                                   weight gradient and the input gradient take as many each */
} cge_layer_info;

/* Shares the work of a step among threads: calls task(argument, 0 .. tasks - 1), each once, in any order, on any
 * thread, and returns when all are done. The bits do not depend on it. The core starts no thread itself; a pool for
 * hosts is in cge_host.h. */
typedef struct cge_executor {
    void (*run)(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks);
    void *context;
    int32_t threads; /* 1 .. : how many tasks can run at a time */
} cge_executor;

/* ==== real section ======================================================================================== */

#ifdef CGE_F64_COPY /* csrc/src/f64.c alone */
typedef double cge_real;
#else
typedef float cge_real;
#endif

/* ---- elementary functions: at most 2 ulp over the whole range, special values as in C99 Annex F ----------- */

cge_real cge_exp_f32(cge_real x);  /* exp(-inf) = 0, exp(inf) = inf, NaN to NaN; underflows through subnormals */
cge_real cge_log_f32(cge_real x);  /* natural; log(+-0) = -inf, log(x < 0) = NaN, log(inf) = inf               */
cge_real cge_tanh_f32(cge_real x); /* tanh(+-0) = +-0, tanh(+-inf) = +-1                                       */
cge_real cge_sqrt_f32(cge_real x); /* correctly rounded; sqrt(-0) = -0, sqrt(x < 0) = NaN                      */

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
 *          the input (padding is not counted); input_grad: dx = 0, then dy / count is added, output rows then columns ascending.
 * Global average pooling is average pooling with the kernel as large as the input.
 */
CGE_MUST_USE cge_status cge_maxpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_maxpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *x, const cge_real *dy, cge_real *dx);
CGE_MUST_USE cge_status cge_avgpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_avgpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *dy, cge_real *dx);

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

/* ---- losses of one sample: x [n] (logits or outputs), *loss one number -----------------------------------------
 *
 * softmax              y[i] = exp(x[i] - m) / s,  m = max x,  s = sum_i exp(x[i] - m), i ascending; y may be x
 * softmax + cross-entropy, fused (stable for any finite logits)
 *                      loss = log(s) - (x[label] - m)                 dx[i] = exp(x[i] - m) / s - (i == label)
 * mean squared error   loss = (sum_i (x[i] - target[i])^2) * (1/n), i ascending   dx[i] = (x[i] - target[i]) * (2/n)
 * dx may be x.
 */
CGE_MUST_USE cge_status cge_softmax_forward_f32(int32_t n, const cge_real *x, cge_real *y);
CGE_MUST_USE cge_status cge_softmax_cross_entropy_forward_f32(int32_t n, const cge_real *x, int32_t label, cge_real *loss);
CGE_MUST_USE cge_status cge_softmax_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, int32_t label, cge_real *dx);
CGE_MUST_USE cge_status cge_mean_squared_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss);
CGE_MUST_USE cge_status cge_mean_squared_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx);

/* ---- optimiser step over flat arrays ------------------------------------------------------------------------------
 *
 * SGD with momentum (Sutskever et al. 2013, in PyTorch's form), for each element:
 *   g = dw * scale + weight_decay * w            (weight_decay 0: the second term is left out)
 *   momentum 0: w -= learning_rate * g           v is not touched and may be NULL
 *   else        v = momentum * v + g;  w -= learning_rate * (nesterov ? g + momentum * v : v)
 */
typedef struct cge_optimizer_kind cge_optimizer_kind;
typedef struct cge_optimizer {
    const cge_optimizer_kind *kind; /* &cge_sgd; not read by cge_sgd_update_f32 */
    float learning_rate;            /* finite, >= 0        */
    float momentum;                 /* 0 .. 1, 1 excluded  */
    float weight_decay;             /* finite, >= 0        */
    int32_t nesterov;               /* 0 or 1; needs momentum > 0 */
} cge_optimizer;

CGE_MUST_USE cge_status cge_sgd_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);

/* ---- networks -----------------------------------------------------------------------------------------------------
 *
 * A model is constant data (flash): a table of layers, a loss, an optimiser. A network is a model at work: a small
 * struct and one arena, both the caller's. A layer kind is a constant table of functions; only the kinds that a
 * model names are linked.
 */
typedef struct cge_layer_kind cge_layer_kind;
extern const cge_layer_kind cge_kind_conv2d;         /* units filters, kernel, stride, dilation, padding, groups   */
extern const cge_layer_kind cge_kind_dense;          /* units outputs; takes any input shape, flattened            */
extern const cge_layer_kind cge_kind_maxpool2d;      /* kernel, stride (0: kernel), padding                        */
extern const cge_layer_kind cge_kind_avgpool2d;      /* the same                                                   */
extern const cge_layer_kind cge_kind_global_avgpool2d;
extern const cge_layer_kind cge_kind_relu;
extern const cge_layer_kind cge_kind_leaky_relu;     /* alpha */
extern const cge_layer_kind cge_kind_sigmoid;
extern const cge_layer_kind cge_kind_tanh;
extern const cge_layer_kind cge_kind_flatten;        /* {h, w, c} to {1, 1, h*w*c}: costs nothing */

typedef struct cge_loss_kind cge_loss_kind;
extern const cge_loss_kind cge_softmax_cross_entropy; /* targets: labels */
extern const cge_loss_kind cge_mean_squared_error;    /* targets: values */

extern const cge_optimizer_kind cge_sgd;

typedef struct cge_layer { /* fields that a kind does not use must be zero; zero means default */
    const cge_layer_kind *kind;
    int32_t units;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int32_t groups;
    float alpha;
    uint32_t flags; /* CGE_FROZEN, CGE_NO_BIAS */
    int32_t init;   /* a cge_init */
} cge_layer;

typedef struct cge_model {
    cge_shape input;
    const cge_layer *layers; /* [layer_count] */
    int32_t layer_count;
    const cge_loss_kind *loss; /* NULL: inference only */
    cge_optimizer optimizer;   /* kind NULL: gradients only, no update */
} cge_model;

/* Layer `index` of a model: its shapes, parameters and cost. Checks the model up to that layer. */
CGE_MUST_USE cge_status cge_model_layer_info(const cge_model *model, int32_t index, cge_layer_info *info);

typedef struct cge_options { /* zero means default */
    int32_t training;       /* 0: inference; 1: forward, loss, backward, update                                   */
    int32_t capacity;       /* samples whose activations are held at once, 1 ..; 0 means 1. The bits do not depend on it */
    const cge_real *params; /* inference only: all parameters, layer by layer, weight then bias, kept outside the
                               arena (flash) while the network lives; NULL: they are part of the arena            */
    const cge_executor *executor; /* NULL: all work on the caller's thread */
} cge_options;

/* Exactly the bytes that cge_network_init needs: one less is refused, the last one is used. The same on every
 * target. options NULL means all defaults. */
CGE_MUST_USE cge_status cge_network_arena_bytes(const cge_model *model, const cge_options *options, size_t *bytes);

typedef struct cge_network { /* plain data; read the members marked "public", leave the others alone */
    const cge_model *model;  /* public; constant while the network lives */
    cge_options options;     /* public: what it was initialised with, defaults filled in */
    cge_optimizer optimizer; /* public: the model's; learning_rate (and momentum, if it was not 0) may be changed
                                between steps, e.g. by a schedule */
    uint64_t step_count;     /* public: updates so far */
    cge_real *params;        /* public: [param_elems], layer by layer, weight then bias */
    cge_real *grads;         /* public: [grad_elems], the layers that are not frozen, in the same order: sums
                                over the pending samples; while `pending` is 0 they mean nothing */
    cge_real *velocity;      /* public: [grad_elems] or NULL if momentum is 0 */
    int32_t param_elems, grad_elems;  /* public */
    int32_t in_elems, out_elems;      /* public: of one sample */
    int32_t pending;         /* public: samples whose gradients were added since the last update */
    int32_t first_trainable; /* public: index of the first layer with gradients; layer_count if there is none */
    int32_t loss_grad;
    void *arena;
    cge_real *activations, *staging;
} cge_network;

/* Lays out the arena (8-byte aligned) and sets all parameters to zero (unless options->params is given).
 * To move a network, initialise a new one with the same model and options and copy params, velocity and step_count. */
CGE_MUST_USE cge_status cge_network_init(cge_network *net, const cge_model *model, const cge_options *options, void *arena, size_t arena_bytes);

/* Draws all weights with the layers' cge_init from one stream, layer by layer, elements ascending; zeroes biases,
 * velocity, gradients and step_count. */
CGE_MUST_USE cge_status cge_network_init_params(cge_network *net, uint64_t seed);

/* Where layer `index` keeps its parameters and gradients; pointers into the arena, NULL where there are none. */
typedef struct cge_layer_params {
    cge_real *w, *b, *dw, *db;
} cge_layer_params;
CGE_MUST_USE cge_status cge_network_layer_params(const cge_network *net, int32_t index, cge_layer_params *params);

/* FNV-1a 64 over the parameters' bits, least significant byte first: equal weights, equal number, on every target. */
CGE_MUST_USE cge_status cge_network_params_hash(const cge_network *net, uint64_t *hash);

typedef struct cge_targets { /* of `count` samples; the loss reads one of the two */
    const int32_t *labels;   /* [count], softmax_cross_entropy             */
    const cge_real *values;  /* [count][out_elems], mean_squared_error     */
} cge_targets;

/* y [count][out_elems] = the last layer's output (logits) for x [count][in_h][in_w][in_c]; count >= 1. */
CGE_MUST_USE cge_status cge_network_forward(cge_network *net, const cge_real *x, int32_t count, cge_real *y);

/* *mean_loss over the samples, and (if correct is not NULL) how many have their largest output at the label; needs
 * a loss, works in both modes. Of equally large outputs the first counts; *correct is 0 for mean_squared_error. Samples
 * are summed in ascending order with Kahan's compensation. */
CGE_MUST_USE cge_status cge_network_evaluate(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss, int32_t *correct);

/* Adds the gradients of each sample's loss, in ascending order, and count to `pending`. CGE_ERR_NOT_FINITE if a loss
 * is not finite: then the gradients are zeroed and pending is 0. */
CGE_MUST_USE cge_status cge_network_accumulate(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss);
CGE_MUST_USE cge_status cge_network_zero_grads(cge_network *net);

/* One optimiser step with the mean gradient (scale 1 / pending), then pending is 0. CGE_ERR_NOT_FINITE if a gradient is
 * not finite: weights, velocity and step_count stay, the gradients are zeroed. pending 0: CGE_ERR_MODE. */
CGE_MUST_USE cge_status cge_network_update(cge_network *net);

/* zero_grads, accumulate, update. */
CGE_MUST_USE cge_status cge_network_train_batch(cge_network *net, const cge_real *x, const cge_targets *targets, int32_t count, cge_real *mean_loss);

/* train_batch over samples order[0], order[1], ... (order NULL: 0, 1, ...; each in 0 .. count - 1) in batches of
 * batch_size, the last one what is left. Stops at the first batch that fails; batches before it stay learned. */
CGE_MUST_USE cge_status cge_network_train_epoch(cge_network *net, const cge_real *x, const cge_targets *targets, const int32_t *order, int32_t count, int32_t batch_size, cge_real *mean_loss);

/* ---- serialisation: docs/file_format.md ------------------------------------------------------------------------------
 *
 * Little-endian on every host, versioned, CRC-32 at the end. Reading is total: any bytes give a status, never
 * undefined behaviour. Parameters are stored as binary32 in the f32 library.
 */
CGE_MUST_USE cge_status cge_network_saved_bytes(const cge_network *net, size_t *bytes);
/* Model, parameters, optimiser (hyper-parameters, velocity, step_count) into buffer[capacity]. */
CGE_MUST_USE cge_status cge_network_save(const cge_network *net, void *buffer, size_t capacity, size_t *used);

/* The kinds that a reader knows; a file that names another gives CGE_ERR_FORMAT. cge_catalog_all knows every kind
 * (and so links them all); firmware lists what it uses. */
typedef struct cge_catalog {
    const cge_layer_kind *const *layers;
    const cge_loss_kind *const *losses;
    const cge_optimizer_kind *const *optimizers;
    int32_t layer_count, loss_count, optimizer_count;
} cge_catalog;
extern const cge_catalog cge_catalog_all;

/* Reads the model into layers[max_layers] and *model (which then points to layers). Checks all bytes and the model. */
CGE_MUST_USE cge_status cge_model_parse(const void *buffer, size_t bytes, const cge_catalog *catalog, cge_layer *layers, int32_t max_layers, cge_model *model);
/* Reads parameters and step_count into a network whose layers equal the file's (CGE_FROZEN and init may differ), and
 * velocity into a training network; zeros if the file has none or freezes other layers. Loss and hyper-parameters
 * stay the model's own. */
CGE_MUST_USE cge_status cge_network_restore(cge_network *net, const void *buffer, size_t bytes);

/* ---- self-test: run it once on the board ---------------------------------------------------------------------------- */

typedef enum cge_arithmetic {
    CGE_ARITHMETIC_EXACT = 0,      /* multiply, round, add, round: the bits of every other exact build */
    CGE_ARITHMETIC_CONTRACTED = 1, /* the compiler fused multiply and add: see docs/porting.md         */
    CGE_ARITHMETIC_OTHER = 2       /* neither: flushed subnormals, excess precision, or a broken float library */
} cge_arithmetic;

typedef struct cge_selftest_report {
    cge_arithmetic arithmetic;
    cge_real max_gradient_error; /* largest |analytic - central difference| / (|analytic| + |difference| + 1e-2) */
    int32_t gradients_checked;
    int32_t passed;              /* 1 if gradients agree within 2e-2 and arithmetic is not OTHER */
} cge_selftest_report;

CGE_MUST_USE cge_status cge_selftest_arena_bytes(size_t *bytes);
/* Trains nothing of the caller's: builds a small network of its own in the arena. */
CGE_MUST_USE cge_status cge_selftest(void *arena, size_t arena_bytes, cge_selftest_report *report);

/* ==== end of the real section ================================================================================ */

#ifdef __cplusplus
}
#endif

#endif /* CGE_H */
