/*
 * What a layer kind is to a network: a constant table of functions. Networks know nothing else of layers; a new kind
 * is one file in this folder and one line in catalog.c.
 */
#ifndef CGE_LAYER_H
#define CGE_LAYER_H

#include "../geometry.h"

#include <string.h>

/* One layer at work on `count` samples: activations [count][elements], all pointers checked. Fields that a pass does
 * not need are NULL. x may be y and dy may be dx where the kind says so. */
typedef struct cge_layer_call {
    const cge_layer *layer;
    cge_shape in, out;
    int32_t count;
    const cge_real *x;
    cge_real *y;
    const cge_real *w, *b;
    const cge_real *dy;
    cge_real *dx, *dw, *db; /* db NULL: no bias */
    int32_t part, parts;    /* weight_grad: which part of dw, its first axis cut into `parts`; db belongs to part 0 */
    int32_t add;            /* weight_grad: to what dw and db hold, else to zero: they may hold anything */
} cge_layer_call;

/* What a kind's backward passes read, and where it may write. */
enum {
    CGE_WEIGHT_GRAD_READS_X = 1,
    CGE_INPUT_GRAD_READS_X = 2,
    CGE_INPUT_GRAD_READS_Y = 4,
    CGE_IN_PLACE = 8, /* y may replace x, dx always replaces dy */
    CGE_ALIAS = 16    /* y is x under another shape, dx is dy: no work at all */
};

/* Which fields of cge_layer a kind reads; the others must be zero. */
enum {
    CGE_USES_UNITS = 1, /* units, CGE_FROZEN, CGE_NO_BIAS, init */
    CGE_USES_WINDOW = 2, /* kernel, stride, padding */
    CGE_USES_TAPS = 4,  /* dilation, groups */
    CGE_USES_ALPHA = 8
};

struct cge_layer_kind {
    uint8_t id;   /* in files: never reused */
    uint8_t traits, fields;
    cge_status (*infer)(const cge_layer *layer, cge_shape in, cge_layer_info *info); /* info->in is set, the rest zero */
    void (*forward)(const cge_layer_call *c);
    void (*weight_grad)(const cge_layer_call *c); /* NULL: no parameters */
    void (*input_grad)(const cge_layer_call *c);  /* NULL with CGE_ALIAS */
};

struct cge_loss_kind {
    uint8_t id;
    uint8_t uses_labels; /* else values */
    cge_real (*forward)(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample);
    void (*input_grad)(int32_t n, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx);
};

struct cge_optimizer_kind {
    uint8_t id;
    cge_status (*check)(const cge_optimizer *o);
    int (*has_velocity)(const cge_optimizer *o);
    void (*update)(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v);
};

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

/* Where sample i begins in a tensor of samples of shape s. */
static inline size_t cge_sample(cge_shape s, int32_t i)
{
    return (size_t)i * (size_t)(s.h * s.w * s.c);
}

#endif
