/*
 * Dense layers. Forward and weight gradient are sweeps (lanes.h); a batch of samples is a matrix product in which
 * weights are read once for several samples. The input gradient is a dot product along the innermost axis of w, with
 * the eight partial sums of its contract: see below.
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

#include "lanes_transpose.h"

static cge_sweep dense_sweep(int32_t rows, int32_t k, int32_t terms)
{
    cge_sweep s;
    s.start = NULL;
    s.q = 1, s.x_q = s.y_q = s.start_q = s.w_q = 0;
    s.p = rows, s.x_p = s.y_p = s.start_p = 0;
    s.k = k;
    s.r = s.s = 1, s.x_r = s.w_r = s.x_s = s.w_s = 0;
    s.d = terms, s.x_d = s.w_d = 0;
    s.wide = 0;
    return s;
}

void CGE_LANES(cge_dense_forward_f32)(int32_t in, int32_t out, int32_t count, const float *x, const float *w, const float *b, float *y)
{
    cge_sweep s = dense_sweep(count, out, in);
    if (out < CGE_LANES_NARROWEST) {
        cge_dense_forward_f32_ref(in, out, count, x, w, b, y);
        return;
    }
    s.x = x, s.x_p = in, s.x_d = 1;
    s.w = w, s.w_d = out;
    s.start = b;
    s.y = y, s.y_p = out;
    CGE_LANES(cge_sweep_run)(&s);
}

typedef float dense_vec __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));
typedef int32_t dense_mask __attribute__((vector_size(4 * CGE_LANES_WIDEST)));

/* dw of one sample, a matrix of products: as fast as it can be written. So vectors follow each other without regard to
 * rows, from one cache line to the next; one that reaches into the next row has products of both. 256 to 120: 1.2 us, 1.35
 * with the last vector of each row moved back into it, 1.8 as a sweep. */
enum { MOST_PRODUCTS = 1024 }; /* of a row: 4 KB of stack */

static void outer_product(int32_t out, const float *x, const float *dy, float *dw, cge_range inputs)
{
    float padded[MOST_PRODUCTS + 2 * CGE_LANES_WIDEST], *d = padded + CGE_LANES_WIDEST;
    dense_mask lane;
    int32_t i, o = 0;
    for (i = 0; i < CGE_LANES_WIDEST; i++) lane[i] = i;
    *(dense_vec *)padded = *(dense_vec *)(d + out) = (dense_vec){0};
    cge_copy(out, dy, d);
    dw += inputs.begin * (ptrdiff_t)out;
    for (i = inputs.begin;; i++) {
        for (; out - o >= CGE_LANES_WIDEST; o += CGE_LANES_WIDEST, dw += CGE_LANES_WIDEST)
            *(dense_vec *)dw = CGE_LANES_MADD((dense_vec){0}, x[i], *(const dense_vec *)(d + o));
        if (i + 1 == inputs.end) break;
        if (o < out) {
            const dense_mask here = lane < out - o;
            const dense_vec this_row = CGE_LANES_MADD((dense_vec){0}, x[i], *(const dense_vec *)(d + o));
            const dense_vec next_row = CGE_LANES_MADD((dense_vec){0}, x[i + 1], *(const dense_vec *)(d + o - out));
            *(dense_vec *)dw = (dense_vec)(((dense_mask)this_row & here) | ((dense_mask)next_row & ~here));
            o += CGE_LANES_WIDEST, dw += CGE_LANES_WIDEST;
        }
        o -= out;
    }
    for (; o < out; o++) *dw++ = CGE_LANES_MADD(0.0f, x[i], d[o]);
}

void CGE_LANES(cge_dense_weight_grad_f32)(int32_t in, int32_t out, int32_t count, const float *x, const float *dy, float *dw, cge_range inputs, int add)
{
    cge_sweep s = dense_sweep(inputs.end - inputs.begin, out, count);
    if (out < CGE_LANES_NARROWEST) {
        cge_dense_weight_grad_f32_ref(in, out, count, x, dy, dw, inputs, add);
        return;
    }
    if (inputs.begin >= inputs.end) return;
    if (count == 1 && !add && out >= CGE_LANES_WIDEST && out <= MOST_PRODUCTS) {
        outer_product(out, x, dy, dw, inputs);
        return;
    }
    s.x = x + inputs.begin, s.x_p = 1, s.x_d = in;
    s.w = dy, s.w_d = out;
    s.y = dw + (ptrdiff_t)inputs.begin * out, s.y_p = out;
    if (add) s.start = s.y, s.start_p = s.y_p;
    CGE_LANES(cge_sweep_run)(&s);
}

/* ---- bias gradient ----
 *
 * db[o] += dy[n][o]: one chain of additions per output, waiting for itself. So it takes as few instructions as can be, to
 * let others run beside it.
 */

/* sum + dy[0] + dy[step] + ... */
#define ADD_UP(vec, sum, count, dy, step)                                                        \
    do {                                                                                         \
        int j_;                                                                                  \
        for (; (count) >= 8; (count) -= 8, (dy) += 8 * (step))                                   \
            CGE_LANES_UNROLL for (j_ = 0; j_ < 8; j_++) (sum) += *(const vec *)((dy) + j_ * (step)); \
        for (; (count) > 0; (count)--, (dy) += (step)) (sum) += *(const vec *)(dy);                \
    } while (0)

/* All outputs in whole vectors, but for the last ones: they share a vector with the next sample's first, which is not
 * stored. The last sample has no next. */
#define BIAS_GRAD(WIDTH)                                                                              \
    static void bias_grad_##WIDTH(int32_t out, int32_t count, const float *dy, float *db)             \
    {                                                                                                 \
        typedef float vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));             \
        int32_t o;                                                                                    \
        for (o = 0; o < out; o += WIDTH) {                                                            \
            const int32_t lanes = out - o < WIDTH ? out - o : WIDTH;                                  \
            const float *from = dy + o;                                                               \
            int32_t left = lanes == WIDTH ? count : count - 1;                                        \
            vec sum = {0}, last = sum;                                                                \
            if (lanes == WIDTH) {                                                                     \
                sum = *(const vec *)(db + o);                                                         \
                ADD_UP(vec, sum, left, from, (ptrdiff_t)out);                                         \
                *(vec *)(db + o) = sum;                                                               \
            } else {                                                                                  \
                cge_copy(lanes, db + o, (float *)&sum);                                               \
                ADD_UP(vec, sum, left, from, (ptrdiff_t)out);                                         \
                cge_copy(lanes, from, (float *)&last);                                                \
                sum += last;                                                                          \
                cge_copy(lanes, (const float *)&sum, db + o);                                         \
            }                                                                                         \
        }                                                                                             \
    }
BIAS_GRAD(4)
#if CGE_LANES_WIDEST >= 8
BIAS_GRAD(8)
#endif
#if CGE_LANES_WIDEST >= 16
BIAS_GRAD(16)
#endif

void CGE_LANES(cge_dense_bias_grad_f32)(int32_t out, int32_t count, const float *dy, float *db)
{
    if (out < CGE_LANES_NARROWEST || count < 1)
        cge_dense_bias_grad_f32_ref(out, count, dy, db);
#if CGE_LANES_WIDEST >= 16
    else if (out > 8)
        bias_grad_16(out, count, dy, db);
#endif
#if CGE_LANES_WIDEST >= 8
    else if (out > 4)
        bias_grad_8(out, count, dy, db);
#endif
    else
        bias_grad_4(out, count, dy, db);
}

void CGE_LANES(cge_conv2d_bias_grad_f32)(const cge_conv2d_plan *p, const float *dy, float *db, cge_range rows)
{
    const int32_t out_c = p->g.out_c;
    CGE_LANES(cge_dense_bias_grad_f32)(out_c, (rows.end - rows.begin) * p->out_w, dy + (ptrdiff_t)rows.begin * p->out_w * out_c, db);
}

/* ---- input gradient ----
 *
 *     sum[o % 8] += dy[o] * w[i][o]        dx[i] = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
 *
 * in one of two ways. For one or two samples, the eight sums are the lanes, and eight inputs a block: a sum waits for
 * itself.
 */

typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t eight_mask __attribute__((vector_size(32)));
#define EIGHT(p) (*(const eight *)(p))

/* The `count` numbers that are left when eights are gone, and zeros: +0 times +0, added to a sum that began with +0,
 * changes nothing. */
static void rest_of(const float *from, int32_t count, eight *rest)
{
    int32_t i;
    *rest = (eight){0};
    for (i = 0; i < count; i++) ((float *)rest)[i] = from[i];
}

#if CGE_LANES_WIDEST >= 8
/* dx[0 .. 3]: the additions of the formula from the outside in, on four sums at a time */
static void add_up(const eight *sum, float *dx)
{
    const float *s = (const float *)sum;
    float half[16];
    int32_t i;
    CGE_LANES_UNROLL for (i = 0; i < 4; i++) *(cge_quad *)(half + 4 * i) = *(const cge_quad *)(s + 8 * i) + *(const cge_quad *)(s + 8 * i + 4);
    cge_transpose4(half, 4, half, 4);
    *(cge_quad *)dx = (*(const cge_quad *)half + *(const cge_quad *)(half + 8)) + (*(const cge_quad *)(half + 4) + *(const cge_quad *)(half + 12));
}

enum { INPUTS = 8 };

/* w begins with the block's first input. `rest` of dy; `is_last`: no input comes after the block. */
static void input_grad_of_some(int32_t out, int is_last, const float *w, const float *dy, const eight *rest, float *dx)
{
    static const eight_mask lane = {0, 1, 2, 3, 4, 5, 6, 7};
    const int32_t whole = out / 8 * 8;
    eight sum[INPUTS], all[INPUTS], v;
    int32_t o, i;
    CGE_LANES_UNROLL for (i = 0; i < INPUTS; i++) sum[i] = (eight){0};
    for (o = 0; o < whole; o += 8) {
        const eight d = EIGHT(dy + o);
        CGE_LANES_UNROLL for (i = 0; i < INPUTS; i++) sum[i] = CGE_LANES_MADD(sum[i], d, EIGHT(w + i * (ptrdiff_t)out + o));
    }
    if (whole < out && out >= 8) /* all but the last input have eight more numbers behind them: faster than one by one */
        CGE_LANES_UNROLL for (i = 0; i < INPUTS; i++) {
            const float *from = w + i * (ptrdiff_t)out + whole;
            if (i < INPUTS - 1 || !is_last)
                v = (eight)((eight_mask)EIGHT(from) & (lane < out - whole));
            else
                rest_of(from, out - whole, &v);
            sum[i] = CGE_LANES_MADD(sum[i], *rest, v);
        }
    else if (whole < out)
        CGE_LANES_UNROLL for (i = 0; i < INPUTS; i++) {
            rest_of(w + i * (ptrdiff_t)out, out, &v);
            sum[i] = CGE_LANES_MADD(sum[i], *rest, v);
        }
    CGE_LANES_UNROLL for (i = 0; i < INPUTS; i++) all[i] = sum[i];
    add_up(all, dx);
    add_up(all + 4, dx + 4);
}

static void input_grad_by_sums(int32_t in, int32_t out, int32_t count, const float *w, const float *dy, float *dx)
{
    eight rest;
    int32_t i, n;
    if (in < INPUTS) {
        cge_dense_input_grad_f32_ref(in, out, count, w, dy, dx);
        return;
    }
    for (n = 0; n < count; n++, dy += out, dx += in) {
        rest_of(dy + out / 8 * 8, out % 8, &rest);
        for (i = 0; i < in; i += INPUTS) {
            const int32_t first = i + INPUTS > in ? in - INPUTS : i; /* the last block overlaps */
            input_grad_of_some(out, first + INPUTS == in, w + (ptrdiff_t)first * out, dy, &rest, dx + first);
        }
    }
}
#else
/* GCC 12 keeps pairs of narrow vectors in memory: scalars are twice as fast. */
#define input_grad_by_sums cge_dense_input_grad_f32_tiled
#endif

/* For more samples, and for few outputs, lanes are inputs: for one vector of them, w is transposed into a panel
 * [out][lanes]. A block is one sample's eight sums. */

enum { DENSE_PANEL_FLOATS = 9216 }; /* 36 KB of stack: 569 outputs with the widest vector */
enum { FEW_SAMPLES = 3, FEW_OUTPUTS = 32 };

static void input_grad_of_lanes(int32_t out, const float *panel, const float *dy, float *dx)
{
    dense_vec s0 = {0}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    const dense_vec *w = (const dense_vec *)panel;
    eight rest;
    int32_t o;
    rest_of(dy + out / 8 * 8, out % 8, &rest);
    for (o = 0; o < out; o += 8, w += 8) {
        const float *d = o + 8 <= out ? dy + o : (const float *)&rest;
        s0 = CGE_LANES_MADD(s0, d[0], w[0]);
        s1 = CGE_LANES_MADD(s1, d[1], w[1]);
        s2 = CGE_LANES_MADD(s2, d[2], w[2]);
        s3 = CGE_LANES_MADD(s3, d[3], w[3]);
        s4 = CGE_LANES_MADD(s4, d[4], w[4]);
        s5 = CGE_LANES_MADD(s5, d[5], w[5]);
        s6 = CGE_LANES_MADD(s6, d[6], w[6]);
        s7 = CGE_LANES_MADD(s7, d[7], w[7]);
    }
    *(dense_vec *)dx = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7));
}

static void input_grad_by_lanes(int32_t in, int32_t out, int32_t count, const float *w, const float *dy, float *dx)
{
    float panel[DENSE_PANEL_FLOATS];
    int32_t i, n;
    memset(panel + out * CGE_LANES_WIDEST, 0, 7 * CGE_LANES_WIDEST * sizeof *panel); /* what goes with the zeros of rest_of */
    for (i = 0; i < in; i += CGE_LANES_WIDEST) {
        const int32_t first = i + CGE_LANES_WIDEST > in ? in - CGE_LANES_WIDEST : i; /* the last vector overlaps */
        cge_transpose(CGE_LANES_WIDEST, out, w + (ptrdiff_t)first * out, out, panel, CGE_LANES_WIDEST);
        for (n = 0; n < count; n++) input_grad_of_lanes(out, panel, dy + (ptrdiff_t)n * out, dx + (ptrdiff_t)n * in + first);
    }
}

void CGE_LANES(cge_dense_input_grad_f32)(int32_t in, int32_t out, int32_t count, const float *w, const float *dy, float *dx)
{
    if (in >= CGE_LANES_WIDEST && out + 7 <= DENSE_PANEL_FLOATS / CGE_LANES_WIDEST && (count >= FEW_SAMPLES || out < FEW_OUTPUTS))
        input_grad_by_lanes(in, out, count, w, dy, dx);
    else
        input_grad_by_sums(in, out, count, w, dy, dx);
}

#endif
