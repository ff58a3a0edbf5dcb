/*
 * One dimension (rows or columns) of a convolution, cut into runs of results that have the same kernel taps: in a box,
 * a run of rows times a run of columns, no loop needs a test.
 *
 *     +---+-----------+---+     Forward: results whose window lies inside the image form one box; where it hangs over
 *     |   |           |   |     an edge, results have fewer taps.
 *     +---+-----------+---+
 *     |   |           |   |     Input gradient: the same, but a stride of s makes every s-th result have the same taps.
 *     |   |   inner   |   |     Each of these s combs is cut into runs of its own.
 *     |   |           |   |
 *     +---+-----------+---+
 *     |   |           |   |
 *     +---+-----------+---+
 */
#ifndef CGE_LANES_AXIS_H
#define CGE_LANES_AXIS_H

#include "kernels.h"

typedef struct axis {
    int32_t transposed;                     /* input gradient: results are the input's */
    int32_t sources, stride, dilation, pad; /* sources: size of what is read */
    cge_range results, taps;                /* wanted */
} axis;

/* Results first + j * step, j in 0 .. count - 1, through kernel taps tap + t * tap_step, t in 0 .. taps - 1, read
 * source + j * source_step + t * source_tap. In a comb some of these sources are outside 0 .. sources - 1, in a run
 * none. */
typedef struct comb {
    int32_t first, step, count;
    int32_t tap, tap_step, taps;
    int32_t source, source_step, source_tap;
} comb;

typedef comb run;

static inline axis row_axis(const cge_conv2d_plan *p, int32_t transposed, cge_range results)
{
    const cge_conv2d *g = &p->g;
    axis a;
    a.transposed = transposed;
    a.sources = transposed ? p->out_h : g->in_h;
    a.stride = g->stride_h, a.dilation = g->dilation_h, a.pad = g->pad_top;
    a.results = results;
    a.taps.begin = 0, a.taps.end = g->kernel_h;
    return a;
}

static inline axis column_axis(const cge_conv2d_plan *p, int32_t transposed)
{
    const cge_conv2d *g = &p->g;
    axis a;
    a.transposed = transposed;
    a.sources = transposed ? p->out_w : g->in_w;
    a.stride = g->stride_w, a.dilation = g->dilation_w, a.pad = g->pad_left;
    a.results.begin = 0, a.results.end = transposed ? g->in_w : p->out_w;
    a.taps.begin = 0, a.taps.end = g->kernel_w;
    return a;
}

/* A stride may be larger than the image: then each result is a comb of its own. */
static inline int32_t comb_count(const axis *a)
{
    const int32_t results = a->results.end - a->results.begin;
    if (!a->transposed) return 1;
    return a->stride < results ? a->stride : results;
}

/* source = (result + pad - tap * dilation) / stride where the division is exact; at first for the first tap only */
static inline void find_transposed_taps(const axis *a, comb *c)
{
    int32_t tap;
    c->taps = 0;
    for (tap = a->taps.begin; tap < a->taps.end; tap++) {
        const int32_t scaled = c->first + a->pad - tap * a->dilation;
        if (scaled % a->stride != 0) continue;
        if (c->taps == 0) c->tap = tap, c->source = scaled / a->stride;
        if (c->taps == 1) c->tap_step = tap - c->tap, c->source_tap = scaled / a->stride - c->source;
        c->taps++;
    }
}

static inline comb comb_at(const axis *a, int32_t index)
{
    comb c;
    c.first = a->results.begin + index;
    c.step = a->transposed ? a->stride : 1;
    c.count = c.first < a->results.end ? (a->results.end - c.first - 1) / c.step + 1 : 0;
    c.tap = a->taps.begin, c.tap_step = 1;
    if (a->transposed) {
        c.source = 0, c.source_step = 1, c.source_tap = -1;
        find_transposed_taps(a, &c);
    } else {
        c.taps = a->taps.end - a->taps.begin;
        c.source = c.first * a->stride - a->pad + c.tap * a->dilation;
        c.source_step = a->stride, c.source_tap = a->dilation;
    }
    return c;
}

/* The t whose source lies inside, for result j. */
static inline cge_range valid_taps(const comb *c, int32_t j, int32_t sources)
{
    const int32_t first = c->source + j * c->source_step, last = first + (c->taps - 1) * c->source_tap;
    cge_range r, mirrored;
    if (c->source_tap > 0) return cge_valid_range(first, c->source_tap, c->taps, sources);
    mirrored = cge_valid_range(last, -c->source_tap, c->taps, sources);
    r.begin = c->taps - mirrored.end;
    r.end = c->taps - mirrored.begin;
    return r;
}

static inline int same_range(cge_range a, cge_range b)
{
    return a.begin == b.begin && a.end == b.end;
}

/* The run that begins with result j of a comb. */
static inline run run_at(const axis *a, const comb *c, int32_t j)
{
    const cge_range taps = valid_taps(c, j, a->sources);
    run r = *c;
    int32_t end = j + 1;
    if (taps.begin == 0 && taps.end == c->taps && c->taps > 0) { /* inner: as long as the farthest source is inside */
        const int32_t farthest = c->source_tap > 0 ? c->source + (c->taps - 1) * c->source_tap : c->source;
        end = (a->sources - 1 - farthest) / c->source_step + 1;
        if (end > c->count) end = c->count;
    } else
        while (end < c->count && same_range(valid_taps(c, end, a->sources), taps)) end++;
    r.first = c->first + j * c->step;
    r.count = end - j;
    r.tap = c->tap + taps.begin * c->tap_step;
    r.taps = taps.end > taps.begin ? taps.end - taps.begin : 0;
    r.source = c->source + j * c->source_step + taps.begin * c->source_tap;
    return r;
}

#endif
