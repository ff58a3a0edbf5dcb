/*
 * What a layer kind is to a network: a constant table of functions. Networks know nothing else of layers; a new kind
 * is one file in this folder and one line in net/catalog.c.
 */
#ifndef CGE_LAYER_H
#define CGE_LAYER_H

#include "../base/geometry.h"

#include <string.h>

/* The caller's x where it is not cge_real; all zero where it is. */
typedef struct cge_x_source {
    const cge_model *model; /* whose input_kind says what x is */
    const void *x;
    cge_real *window;       /* room for some of it as cge_real */
    int32_t window_elems;
} cge_x_source;

/* What dropout draws for: the same wherever a step is taken. */
typedef struct cge_draw {
    const cge_network *net; /* whose step it is */
    int32_t sample;  /* of the pass */
    int32_t layer;   /* row of the model */
    int32_t trains;  /* 0: nothing is drawn */
} cge_draw;

/* One layer at work on `count` samples: activations [count][elements], all pointers checked. Fields that a pass does
 * not need are NULL. x may be y and dy may be dx where the kind says so. */
typedef struct cge_layer_call {
    const cge_layer *layer;
    cge_shape in, in2, out;
    int32_t count;
    const cge_real *x, *x2; /* x2, dx2: of kinds with two inputs. Their input_grad takes dx or dx2, the other is NULL */
    cge_real *y;
    const cge_real *w, *b;
    const cge_real *w_rest; /* not NULL, for cge_input_kind alone: weights from input number layer->trains on lie there */
    const cge_real *dy;
    cge_real *dx, *dx2, *dw, *db; /* dw NULL: biases alone learn; db NULL: no bias */
    int32_t part, parts;    /* weight_grad: which part of dw, its first axis cut into `parts`; db belongs to part 0 */
    cge_real *bounds;       /* not NULL, for CGE_BY_GROUPS alone: weight_grad tells bounds[2] of one sample in place of gradients */
    int32_t add;            /* weight_grad: to what dw and db hold, else to zero: they may hold anything. See cge_adds */
    cge_draw draw;          /* of the first sample */
    int32_t first;          /* the layer is some elements of a larger one, from this on */
    const cge_x_source *source; /* not NULL: in place of x, for cge_input_kind alone */
} cge_layer_call;

/* What a kind's backward passes read, and where it may write. */
enum {
    CGE_WEIGHT_GRAD_READS_X = 1,
    CGE_INPUT_GRAD_READS_X = 2,
    CGE_INPUT_GRAD_READS_Y = 4,
    CGE_IN_PLACE = 8, /* y may replace x, dx always replaces dy */
    CGE_ALIAS = 16,   /* y is x under another shape, dx is dy: no work at all */
    /* What a unit of several layers may do (unit.h). */
    CGE_BY_ROWS = 32,        /* conv2d: some rows at a time */
    CGE_BY_INPUTS = 64,      /* dense: some inputs at a time */
    CGE_KEEPS_WINNERS = 128, /* max pooling: where its largest values were is all that backward needs */
    CGE_TWO_INPUTS = 512,    /* forward and input_grad of some rows are those of a smaller image */
    /* An activation that grows with x, where its gradient is dy; elsewhere it is zero. It may follow a maximum. */
    CGE_AFTER_MAX = 256,
    CGE_POOLS = 1024,        /* its config is a cge_pool2d */
    CGE_LEAKS = 2048,        /* its config is a cge_leaky_relu, or NULL */
    CGE_NEEDS_CONFIG = 4096, /* its config is not NULL */
    /* A normalisation or a transposed convolution; infer may allow CGE_NO_AFFINE. weight_grad computes dx, too, if it is not
     * NULL; dx may be x. Part `part` of a normalisation's channels has its own db. */
    CGE_BY_GROUPS = 8192,
    CGE_DROPS = 16384,       /* dropout: reads cge_layer_call.draw and .first; backward reads neither x nor y, and is no unit's activation */
    CGE_SUMS_ROWS = 32768,   /* global average pooling: rows of x are added one after the other */
    /* Layers that are a unit of their own; forward and input_grad of a part are those of a smaller one. */
    CGE_BY_ELEMENTS = 65536, /* elements are apart; |dx| <= 2 |dy| */
    CGE_COSTLY = 131072,     /* an element takes an exponential and divisions, or two */
    /* Batch normalisation: in training all samples of a pass together; frozen, backward reads neither x nor y. */
    CGE_BY_BATCH = 8192 | 16384
};

struct cge_layer_kind {
    unsigned id : 7;           /* in files: never reused */
    unsigned config_bytes : 7; /* of the struct that cge_layer.config points to, all of 32-bit numbers; 0: there is none */
    unsigned traits : 18;
    cge_status (*infer)(const cge_layer *layer, cge_shape in, cge_layer_info *info); /* info->in, in2 are set, the rest zero */
    void (*forward)(const cge_layer_call *c);
    void (*weight_grad)(const cge_layer_call *c); /* NULL: no parameters */
    void (*input_grad)(const cge_layer_call *c);  /* NULL with CGE_ALIAS */
};

/* In elements of cge_real; CGE_MAX_ELEMS + 1 stands for all that is more. */
typedef struct cge_input_room {
    int32_t gathered;        /* `capacity` samples in shuffled order */
    int32_t window, windows; /* of the layer that reads x; of all tasks, each of which has a window of its own */
} cge_input_room;

/* Tasks that read x, at most, for each thread (tasks.h). */
enum { CGE_WINDOWS_PER_THREAD = 2 };

/* What x is made of. A layer that reads it computes from a window of some cge_real at a time. */
struct cge_input_kind {
    uint8_t id;    /* in files: never reused; 0 is cge_real */
    uint8_t bytes; /* of an element */
    cge_status (*check)(const cge_model *model);
    /* Elements first .. first + count - 1 of the source, to its window or elsewhere. */
    void (*read)(const cge_x_source *s, int32_t first, int32_t count, cge_real *to);
    cge_real (*magnitude)(const cge_x_source *s, int32_t count); /* max |x| */
    /* CGE_ERR_ARGUMENT if no layer reads x, so that x itself would be the output. */
    cge_status (*find_room)(const cge_model *model, const cge_options *options, cge_input_room *room);
    /* Of the window of a layer that holds `capacity` samples at once; or that computes `rows` of its output at a time, if not 0. */
    int32_t (*window_elems)(const cge_layer *layer, cge_shape in, int32_t capacity, int32_t rows);
    void (*forward_cuts)(const cge_layer_call *c); /* what the layer's kind does, bit for bit */
    void (*weight_grad_cuts)(const cge_layer_call *c);
};

/* What it reads of samples order[begin] .. order[end - 1] (order NULL: begin .. end - 1); a sample's loss; its gradient. Of a network a loss reads out_elems and the
 * model's loss_config alone; those around others read more. */
typedef cge_status cge_loss_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end);
typedef cge_real cge_loss_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample);
typedef void cge_loss_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx);

struct cge_loss_kind {
    uint8_t id;          /* in files: never reused */
    uint8_t reads_labels;
    uint8_t cost;        /* of an output, in multiply-adds of a Cortex-M4F: see cge_network_largest_slice */
    cge_status (*check)(const cge_model *model); /* its settings */
    cge_loss_check_targets *check_targets;
    cge_loss_forward *forward;
    cge_loss_input_grad *input_grad;
    int32_t (*count_right)(int32_t n, const cge_real *x, const cge_real *target); /* outputs; NULL: samples, by their labels if there are some */
};

/* With the samples' weights, if they have some. */
static inline const cge_loss_kind *cge_loss_of(const cge_network *net, const cge_targets *targets)
{
    return targets->weights != NULL ? targets->weights->kind : net->model->loss;
}

static inline int cge_is_weight(cge_real x)
{
    return x >= 0 && cge_is_finite(x);
}

/* The sum of losses: a sample's is added; the mean of `count`. */
CGE_INTERNAL void cge_add_loss(cge_progress *p, cge_real value);
CGE_INTERNAL cge_real cge_loss_mean(const cge_progress *p, int32_t count);

/* Outputs y [n] of a sample, and its target: of the loss `kind`. */
typedef struct cge_scored {
    const cge_loss_kind *kind;
    const cge_real *y;
    int32_t n, sample;
    const cge_targets *targets;
} cge_scored;

/* Adds a sample's loss, and to p->correct whether its outputs are right, or how many of them: see cge_network_evaluate. */
CGE_INTERNAL void cge_note_loss(cge_progress *p, cge_real loss, const cge_scored *of);

/* In files besides sgd's: beta2, epsilon; and l1. */
enum { CGE_OPTIMIZER_SETTINGS = 2, CGE_L1_SETTINGS = 3, CGE_MOST_SLOTS = 2 };

/* v points to a parameter's first number; the second lies o->slot_elems behind it. */
struct cge_optimizer_kind {
    uint8_t id;
    uint8_t check_macs, update_macs; /* of a parameter, for steps in slices: stays_finite, update */
    uint8_t saved_settings; /* 0, CGE_OPTIMIZER_SETTINGS or CGE_L1_SETTINGS */
    cge_status (*check)(const cge_optimizer *o);
    int32_t (*slots)(const cge_optimizer *o); /* numbers that it keeps for each parameter that learns */
    /* Before a step: sets what net->optimizer says is a network's own. NULL: nothing, and a step with numbers below 2^64 cannot
     * overflow if learning rate and weight decay together are at most CGE_LARGEST_SETTING. Else it returns by how much gradient bounds
     * are multiplied before they are compared with 2^64, so that the step cannot overflow; 0 if it may in any case. */
    cge_real (*begin)(cge_network *net);
    int (*stays_finite)(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v);
    void (*update)(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);
    const cge_optimizer_kind *without_l1; /* of kinds with l1: the other; else NULL */
};

/* "learning rates of layers" in cge.h. The largest factor is 65536. */
enum { CGE_LARGEST_FACTOR_BITS = 0x47800000 };

static inline void cge_scale_rate(cge_optimizer *o, float factor)
{
    if (!cge_is_zero(factor)) o->learning_rate *= factor;
}

/* Whether a layer normalises by the statistics of a batch where it trains. */
static inline int cge_normalises_batch(const cge_layer *l)
{
    return (l->kind->traits & CGE_BY_BATCH) == CGE_BY_BATCH;
}

static inline int cge_learns_by_batch(const cge_layer *l)
{
    return cge_normalises_batch(l) && (l->flags & CGE_FROZEN) == 0;
}

/* On boards gradients are zero before a step begins: no code of each kind's for it. */
static inline int cge_adds(const cge_layer_call *c)
{
    return !CGE_HOST || c->add;
}

/* Part `part` of 0 .. count - 1 cut into `parts` >= 1; some are empty if parts > count. */
static inline cge_range cge_part_of(int32_t count, int32_t parts, int32_t part)
{
    cge_range r = {0, 0};
#if CGE_HOST
    r.begin = (int32_t)((int64_t)count * part / parts);
    r.end = (int32_t)((int64_t)count * (part + 1) / parts);
#else /* boards have one core for this: no division */
    (void)part, (void)parts;
    r.end = count;
#endif
    return r;
}

/* Where `rows` lie in a tensor of `count` rows and `elems` elements. */
static inline cge_range cge_elems_of_rows(cge_range rows, int32_t count, int32_t elems)
{
    cge_range r = {0, 0};
#if CGE_HOST
    r.begin = elems / count * rows.begin, r.end = elems / count * rows.end;
#else /* all rows, as above */
    (void)count, (void)rows;
    r.end = elems;
#endif
    return r;
}

/* How many rows of its output a layer computes from one window of input rows: a few, so that it is quick, but not so many
 * that they look at all rows, unless one does. */
static inline int32_t cge_rows_at_a_time(int32_t reach, int32_t stride, int32_t in_h)
{
    int32_t rows = 4;
    while (rows > 1 && (rows - 1) * stride + reach >= in_h) rows--;
    return rows;
}

/* The config of a layer with CGE_BY_ROWS, with CGE_POOLS. */
static inline const cge_conv2d *cge_conv2d_of(const cge_layer *l)
{
    return (const cge_conv2d *)l->config;
}

static inline const cge_pool2d *cge_pool2d_of(const cge_layer *l)
{
    return (const cge_pool2d *)l->config;
}

/* Taps of a pooling's window; 0: it is all of the input, or there is none. */
static inline int32_t cge_pool_taps(const cge_layer *l)
{
    return (l->kind->traits & CGE_POOLS) != 0 ? cge_pool2d_of(l)->kernel_h * cge_pool2d_of(l)->kernel_w : 0;
}

static inline const cge_dropout *cge_dropout_of(const cge_layer *l)
{
    return (const cge_dropout *)l->config;
}

/* alpha of a leaky ReLU; 0 of any other layer, and where it has no config. */
static inline float cge_alpha_of(const cge_layer *l)
{
    return (l->kind->traits & CGE_LEAKS) != 0 && l->config != NULL ? ((const cge_leaky_relu *)l->config)->alpha : 0.0f;
}

/* Which of a layer's weights learn: of `taps` blocks that lie `pitch` apart the first `run` each. Their gradient, and their
 * velocity, is [taps][run]; that of the biases follows. */
typedef struct cge_trained {
    int32_t taps, run, pitch;
} cge_trained;

CGE_INTERNAL cge_trained cge_trained_weights(const cge_layer *l, int32_t weights);
static inline int32_t cge_trained_weight_elems(const cge_layer *l, int32_t weights)
{
    const cge_trained t = cge_trained_weights(l, weights);
    return t.taps * t.run;
}

/* For the weight gradient of what learns. Kernels read the first group_in channels of a pixel, whose channels are in_c. */
static inline void cge_conv2d_narrow(cge_conv2d_plan *p, const cge_layer *l)
{
    if (l->trains <= 0) return;
    p->group_in = l->trains;
    p->tap_elems = p->group_in * p->g.out_c;
    p->weight_elems = p->g.kernel_h * p->g.kernel_w * p->tap_elems;
}

/* Where sample i begins in a tensor of samples of shape s. */
static inline size_t cge_sample(cge_shape s, int32_t i)
{
    return (size_t)i * (size_t)(s.h * s.w * s.c);
}

#endif
