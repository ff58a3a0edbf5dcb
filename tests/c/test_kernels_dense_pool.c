/*
 * Every kernel set against the reference, bit for bit: dense layers, pooling and depthwise convolution, at the sizes
 * around a block, at every kind of border, on whole maps and on ranges; and the blocks of the elementwise and norms' loops.
 */
#include "../../csrc/src/kernels/kernels.h"

#include "check.h"
#include "suites.h"

#include <stdio.h>

enum { SEED_X = 301, SEED_W, SEED_B, SEED_DY, SEED_OUT };

static char case_name[64];

/* A part of 0 .. count - 1, another one for each seed; for even seeds all of it. */
static cge_range some_range(int32_t count, uint32_t seed)
{
    cge_range r = {0, count};
    if (seed % 2 == 0) return r;
    r.begin = (int32_t)(mix32(seed) % (uint32_t)(count + 1));
    r.end = r.begin + (int32_t)(mix32(seed + 1) % (uint32_t)(count - r.begin + 1));
    return r;
}

/* What the operands are like; a seed picks one. */
enum { PLAIN, MANY_ZEROS, TIES, NOT_FINITE, NEGATIVE_ZEROS, TINY, KINDS }; /* products of TINY underflow, to 0 or -0 */

static float *operands_like(uint32_t kind, int32_t count, uint32_t stream)
{
    static const uint32_t specials[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x00000001u, 0x80000000u, 0x7f7fffffu};
    float *x = check_operands(count, stream);
    for (int32_t i = 0; i < count; i++) {
        uint32_t bits = mix32((uint32_t)i + stream);
        if (kind == MANY_ZEROS && bits % 3 == 0) x[i] = 0.0f;
        if (kind == TIES) x[i] = (float)((int32_t)(bits % 3) - 1);
        if (kind == NOT_FINITE && bits % 7 == 0) x[i] = float_from_bits(specials[bits / 7 % COUNT_OF(specials)]);
        if (kind == NEGATIVE_ZEROS) x[i] = -0.0f;
        if (kind == TINY) x[i] *= 0x1p-75f;
    }
    return x;
}

/* Weights that turn no -0 into +0 when there is nothing else: a sum that does not start as the reference's shows. */
static float *weights_for(uint32_t kind, int32_t count, uint32_t stream)
{
    float *w = check_operands(count, stream);
    for (int32_t i = 0; i < count && kind == NEGATIVE_ZEROS; i++) w[i] = 1.0f;
    return w;
}

/* Two equal arrays: the kernels add to one each, or must leave alone what is outside of their range. */
static void twins(int32_t count, float **expected, float **got)
{
    *expected = check_operands(count, SEED_OUT);
    *got = check_operands(count, SEED_OUT);
}

static void check_twins(const float *expected, const float *got, int32_t count)
{
    for (int32_t i = 0; i < count; i++) CHECK_SAME(expected[i], got[i], i);
}

static void name_case(const cge_kernel_set *set, const char *what)
{
    snprintf(case_name, sizeof case_name, "%s: %s", set->name, what);
    check_case(case_name);
}

static size_t floats(int32_t count)
{
    return sizeof(float) * (size_t)count;
}

/* ---- dense ------------------------------------------------------------------------------------------------------------ */

static void test_dense_map(const cge_kernel_set *set, int32_t in, int32_t out, int32_t count, uint32_t seed)
{
    const uint32_t kind = seed % KINDS;
    float *expected, *got;
    if (!check_room("dense", floats(3 * count * in + in * out + 3 * count * out + out))) return;
    const float *x = operands_like(kind, count * in, SEED_X), *w = weights_for(kind, in * out, SEED_W);
    const float *dy = operands_like(kind, count * out, SEED_DY), *b = seed % 3 == 0 ? NULL : operands_like(kind, out, SEED_B);
    name_case(set, "dense_forward");
    twins(count * out, &expected, &got);
    cge_kernels_ref.dense_forward(in, out, count, x, w, b, expected);
    set->dense_forward(in, out, count, x, w, b, got);
    check_twins(expected, got, count * out);
    name_case(set, "dense_input_grad");
    twins(count * in, &expected, &got);
    cge_kernels_ref.dense_input_grad(in, out, count, w, dy, expected);
    set->dense_input_grad(in, out, count, w, dy, got);
    check_twins(expected, got, count * in);
}

static void test_dense_goes_on(const cge_kernel_set *set, int32_t in, int32_t out, uint32_t seed)
{
    float *expected, *got;
    if (!check_room("dense", floats(in + in * out + 2 * out))) return;
    const float *x = operands_like(seed % KINDS, in, SEED_X), *w = weights_for(seed % KINDS, in * out, SEED_W);
    name_case(set, "dense_forward, sums that other inputs began");
    twins(out, &expected, &got);
    cge_kernels_ref.dense_forward(in, out, 1, x, w, expected, expected);
    set->dense_forward(in, out, 1, x, w, got, got);
    check_twins(expected, got, out);
}

static void test_dense_grads(const cge_kernel_set *set, int32_t in, int32_t out, int32_t count, uint32_t seed)
{
    const cge_range inputs = some_range(in, seed);
    float *expected, *got;
    if (!check_room("dense", floats(count * in + 4 * in * out + count * out + 2 * out))) return;
    const float *x = operands_like(seed % KINDS, count * in, SEED_X), *dy = operands_like(seed % KINDS, count * out, SEED_DY);
    for (int add = 0; add < 2; add++) {
        name_case(set, add ? "dense_weight_grad, added" : "dense_weight_grad, assigned");
        twins(in * out, &expected, &got);
        cge_kernels_ref.dense_weight_grad(in, out, count, x, dy, expected, inputs, add);
        set->dense_weight_grad(in, out, count, x, dy, got, inputs, add);
        check_twins(expected, got, in * out);
    }
    name_case(set, "dense_bias_grad");
    twins(out, &expected, &got);
    cge_kernels_ref.dense_bias_grad(out, count, dy, expected);
    set->dense_bias_grad(out, count, dy, got);
    check_twins(expected, got, out);
}

void suite_kernels_dense(void)
{
    static const int32_t ins[] = {1, 2, 7, 17}, outs[] = {1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 24, 31, 33}, counts[] = {1, 2, 5};
    const cge_kernel_set *set;
    uint32_t seed = 0;
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t repeat = 0; repeat < KINDS; repeat++) test_dense_grads(set, 2, 1030, 1, seed++); /* more outputs than a buffer holds */
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t i = 0; i < COUNT_OF(ins); i++)
            for (int32_t o = 0; o < COUNT_OF(outs); o++) {
                test_dense_goes_on(set, ins[i], outs[o], seed);
                for (int32_t n = 0; n < COUNT_OF(counts); n++, seed++) {
                    test_dense_map(set, ins[i], outs[o], counts[n], seed);
                    test_dense_grads(set, ins[i], outs[o], counts[n], seed);
                }
            }
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------ */

static const cge_pool2d pools[] = { /* in h, w; c is set; kernel; stride; pad top, left, bottom, right */
    {4, 6, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0}, {5, 7, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0}, {2, 2, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0}, {4, 4, 0, 2, 2, 2, 2, 0, 0, 1, 1, 0},
    {5, 5, 0, 2, 2, 2, 2, 0, 0, 1, 0, 0}, {5, 5, 0, 2, 2, 2, 2, 0, 0, 0, 1, 0}, {4, 4, 0, 2, 2, 2, 2, 1, 0, 0, 0, 0}, {4, 4, 0, 2, 2, 2, 2, 0, 1, 0, 0, 0},
    {4, 5, 0, 2, 2, 1, 1, 0, 0, 0, 0, 0}, {5, 4, 0, 2, 2, 1, 2, 0, 0, 0, 0, 0},
    {5, 6, 0, 2, 2, 3, 3, 0, 0, 0, 0, 0}, {7, 4, 0, 2, 2, 3, 2, 0, 0, 0, 0, 0}, {4, 7, 0, 2, 2, 2, 3, 0, 0, 0, 0, 0}, {5, 6, 0, 3, 3, 2, 2, 0, 0, 0, 0, 0}, {4, 5, 0, 3, 3, 1, 1, 1, 1, 1, 1, 0}, {3, 4, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0},
    {5, 6, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0}, {4, 7, 0, 2, 3, 0, 0, 0, 0, 0, 0, 0}, {6, 5, 0, 3, 2, 2, 1, 2, 1, 0, 0, 0}, {1, 1, 0, 3, 3, 1, 1, 1, 1, 1, 1, 0}, {5, 5, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0},
    {3, 3, 0, 2, 2, CGE_MAX_ELEMS, CGE_MAX_ELEMS, 0, 0, 0, 0, 0},
    {9, 9, 0, 8, 8, 1, 1, 0, 0, 0, 0, 0}, {10, 9, 0, 9, 8, 1, 1, 1, 1, 0, 1, 0}, /* 64 taps, and more */
};

static void test_max(const cge_kernel_set *set, const cge_pool2d_plan *p, int32_t x_elems, int32_t y_elems, uint32_t seed)
{
    const cge_range rows = some_range(p->out_h, seed);
    float *expected, *got;
    if (!check_room("maxpool2d", floats(3 * x_elems + 3 * y_elems))) return;
    const float *x = operands_like(seed % KINDS, x_elems, SEED_X), *dy = operands_like((seed + 1) % KINDS, y_elems, SEED_DY);
    name_case(set, "maxpool2d_forward");
    twins(y_elems, &expected, &got);
    cge_kernels_ref.maxpool2d_forward(p, x, expected, rows);
    set->maxpool2d_forward(p, x, got, rows);
    check_twins(expected, got, y_elems);
    name_case(set, "maxpool2d_input_grad");
    twins(x_elems, &expected, &got);
    cge_kernels_ref.maxpool2d_input_grad(p, x, dy, expected);
    set->maxpool2d_input_grad(p, x, dy, got);
    check_twins(expected, got, x_elems);
}

static void test_average(const cge_kernel_set *set, const cge_pool2d_plan *p, int32_t x_elems, int32_t y_elems, uint32_t seed)
{
    const cge_range rows = some_range(p->out_h, seed);
    float *expected, *got;
    if (!check_room("avgpool2d", floats(3 * x_elems + 3 * y_elems))) return;
    const float *x = operands_like(seed % KINDS, x_elems, SEED_X), *dy = operands_like((seed + 1) % KINDS, y_elems, SEED_DY);
    name_case(set, "avgpool2d_forward");
    twins(y_elems, &expected, &got);
    cge_kernels_ref.avgpool2d_forward(p, x, expected, rows);
    set->avgpool2d_forward(p, x, got, rows);
    check_twins(expected, got, y_elems);
    name_case(set, "avgpool2d_input_grad");
    twins(x_elems, &expected, &got);
    cge_kernels_ref.avgpool2d_input_grad(p, dy, expected);
    set->avgpool2d_input_grad(p, dy, got);
    check_twins(expected, got, x_elems);
}

static void test_pool2d(const cge_kernel_set *set, const cge_pool2d *g, uint32_t seed)
{
    cge_pool2d_plan p;
    CHECK_OK(cge_pool2d_resolve(g, &p));
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, y_elems = p.out_h * p.out_w * g->in_c;
    test_max(set, &p, x_elems, y_elems, seed);
    p.g.count_padding = (int32_t)(seed & 1);
    test_average(set, &p, x_elems, y_elems, seed);
}

static const int32_t channel_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17}; /* all that blocks of 4 and of 8 leave over */

void suite_kernels_pool2d(void)
{
    const cge_kernel_set *set;
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t i = 0; i < COUNT_OF(pools); i++)
            for (int32_t c = 0; c < COUNT_OF(channel_counts); c++)
                for (uint32_t seed = 0; seed < KINDS; seed++) {
                    cge_pool2d g = pools[i];
                    g.in_c = channel_counts[c];
                    test_pool2d(set, &g, seed);
                }
}

/* ---- depthwise convolution ------------------------------------------------------------------------------------------------ */

static const cge_conv2d depthwise[] = { /* in h, w; c, k are set; kernel; stride; dilation; pad top, left, bottom, right; groups are set */
    {4, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0}, {5, 6, 0, 0, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 0}, {4, 3, 0, 0, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2, 0},
    {3, 3, 0, 0, 3, 3, 1, 1, 1, 1, 0, 1, 0, 0, 0}, {3, 4, 0, 0, 3, 3, 1, 1, 1, 1, 1, 0, 0, 1, 0}, {3, 7, 0, 0, 3, 3, 1, 1, 1, 1, 2, 0, 1, 2, 0},
    {3, 8, 0, 0, 3, 3, 1, 1, 1, 1, 0, 2, 1, 1, 0}, {2, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0}, {1, 1, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0},
    {3, 6, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, 0}, {3, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 0, 3, 0}, {3, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 3, 0, 1, 0},
    {2, 2, 0, 0, 3, 3, 1, 1, 1, 1, 3, 4, 4, 3, 0}, {3, 3, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0}, {3, 5, 0, 0, 3, 3, 1, 1, 1, 2, 1, 1, 1, 2, 0},
    {7, 6, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0}, {7, 6, 0, 0, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 0},
    {7, 6, 0, 0, 3, 3, 1, 1, 2, 1, 2, 1, 2, 1, 0}, {6, 7, 0, 0, 3, 3, 1, 1, 1, 2, 1, 2, 1, 2, 0}, {5, 6, 0, 0, 1, 3, 1, 1, 1, 1, 0, 1, 0, 1, 0},
    {6, 5, 0, 0, 3, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0}, {5, 5, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, {6, 6, 0, 0, 2, 2, 3, 3, 1, 1, 0, 0, 0, 0, 0},
    {5, 7, 0, 0, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 0}, {4, 4, 0, 0, 2, 4, 1, 1, 1, 1, 1, 2, 0, 1, 0},
    {3, 3, 0, 0, 2, 2, CGE_MAX_ELEMS, CGE_MAX_ELEMS, 1, 1, 0, 0, 0, 0, 0},
    /* Steps that a row of one tap (of one output) has to take back. Of 4 (of 16) channels they are 2^31 elements: for steps of
     * 32 bits both ways are negative, which a pointer of 64 bits does not forgive. */
    {5, 3, 0, 0, 2, 1, 1, 1, 1, 0x20000000, 0, 0, 0, 0, 0}, {5, 3, 0, 0, 3, 1, 2, 1, 1, 0x20000000, 1, 0, 1, 0, 0},
    {5, 3, 0, 0, 2, 1, 1, 1, 1, 0x08000000, 0, 0, 0, 0, 0}, {5, 3, 0, 0, 2, 2, 1, 0x08000000, 1, 1, 0, 0, 0, 0, 0},
    {3, 5, 0, 0, 1, 2, 0x08000000, 1, 0x08000000, 1, 0, 1, 0, 1, 0}, {5, 3, 0, 0, 2, 1, 1, CGE_MAX_ELEMS, 1, INT32_MAX, 0, 0, 0, 0, 0},
};

static void test_depthwise_forward(const cge_kernel_set *set, const cge_conv2d_plan *p, int32_t x_elems, int32_t y_elems, uint32_t seed)
{
    const uint32_t kind = seed % KINDS;
    const cge_range rows = some_range(p->out_h, seed);
    float *expected, *got;
    if (!check_room("depthwise", floats(x_elems + p->weight_elems + p->g.out_c + 2 * y_elems))) return;
    const float *x = operands_like(kind, x_elems, SEED_X), *w = weights_for(kind, p->weight_elems, SEED_W);
    const float *b = seed % 3 == 0 ? NULL : operands_like(kind, p->g.out_c, SEED_B);
    name_case(set, "depthwise forward");
    twins(y_elems, &expected, &got);
    cge_kernels_ref.conv2d_forward(p, x, w, b, expected, rows);
    set->conv2d_forward(p, x, w, b, got, rows);
    check_twins(expected, got, y_elems);
}

static void test_depthwise_weight_grad(const cge_kernel_set *set, const cge_conv2d_plan *p, int32_t x_elems, int32_t y_elems, uint32_t seed)
{
    const uint32_t kind = seed % KINDS;
    const cge_range rows = some_range(p->out_h, seed), kernel_rows = some_range(p->g.kernel_h, seed + 4);
    float *expected, *got;
    if (!check_room("depthwise", floats(x_elems + y_elems + 2 * p->weight_elems))) return;
    const float *x = operands_like(kind, x_elems, SEED_X), *dy = operands_like(kind, y_elems, SEED_DY);
    name_case(set, "depthwise weight_grad");
    twins(p->weight_elems, &expected, &got);
    cge_kernels_ref.conv2d_weight_grad(p, x, dy, expected, rows, kernel_rows);
    set->conv2d_weight_grad(p, x, dy, got, rows, kernel_rows);
    check_twins(expected, got, p->weight_elems);
}

static void test_depthwise_input_grad(const cge_kernel_set *set, const cge_conv2d_plan *p, int32_t x_elems, int32_t y_elems, uint32_t seed)
{
    const uint32_t kind = seed % KINDS;
    const cge_range rows = some_range(p->g.in_h, seed);
    float *expected, *got;
    if (!check_room("depthwise", floats(y_elems + p->weight_elems + 2 * x_elems))) return;
    const float *w = weights_for(kind, p->weight_elems, SEED_W), *dy = operands_like(kind, y_elems, SEED_DY);
    name_case(set, "depthwise input_grad");
    twins(x_elems, &expected, &got);
    cge_kernels_ref.conv2d_input_grad(p, w, dy, expected, rows);
    set->conv2d_input_grad(p, w, dy, got, rows);
    check_twins(expected, got, x_elems);
}

static void test_depthwise(const cge_kernel_set *set, const cge_conv2d *g, uint32_t seed)
{
    cge_conv2d_plan p;
    CHECK_OK(cge_conv2d_resolve(g, &p));
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, y_elems = p.out_h * p.out_w * g->out_c;
    test_depthwise_forward(set, &p, x_elems, y_elems, seed);
    test_depthwise_weight_grad(set, &p, x_elems, y_elems, seed);
    test_depthwise_input_grad(set, &p, x_elems, y_elems, seed);
}

void suite_kernels_depthwise(void)
{
    const cge_kernel_set *set;
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t i = 0; i < COUNT_OF(depthwise); i++)
            for (int32_t c = 0; c < COUNT_OF(channel_counts); c++)
                for (uint32_t seed = 0; seed < KINDS; seed++) {
                    cge_conv2d g = depthwise[i];
                    g.in_c = g.out_c = g.groups = channel_counts[c];
                    test_depthwise(set, &g, seed);
                }
}

/* ---- elementwise ------------------------------------------------------------------------------ */

enum { LONGEST = 19, LONGEST_BLOCK = 35 }; /* two blocks of 8, of 16, and a rest */

static void test_relu(int32_t n, uint32_t kind)
{
    if (!check_room("relu", floats(4 * n))) return;
    const float *x = operands_like(kind, n, SEED_X), *dy = operands_like(kind, n, SEED_DY);
    float *y = check_floats(n), *dx = operands_like(kind, n, SEED_DY);
    cge_run_relu(n, x, y);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(x[i] < 0 ? 0.0f : x[i], y[i], i);
    cge_run_relu_grad(n, x, dx, dx);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(x[i] > 0 ? dy[i] : 0.0f, dx[i], i);
}

/* In place and not, in every set. */
static void test_relu6(const cge_kernel_set *set, int32_t n, uint32_t kind)
{
    if (!check_room("relu6", floats(5 * n))) return;
    const float *dy = operands_like(kind, n, SEED_DY);
    float *x = check_floats(n), *y = check_floats(n), *dx = operands_like(kind, n, SEED_DY), *whole = operands_like(kind, n, SEED_X);
    name_case(set, "relu6");
    for (int32_t i = 0; i < n; i++) whole[i] *= 8;
    for (int32_t i = 0; i < n; i += 5) whole[i] = i % 2 == 0 ? 6 : float_from_bits(0x40bfffffu);
    for (int32_t i = 0; i < n; i++) x[i] = whole[i];
    set->relu6(n, x, y);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(x[i] <= 0 ? 0.0f : x[i] >= 6 ? 6.0f : x[i], y[i], i);
    set->relu6_grad(n, whole, dy, y);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(whole[i] > 0 && whole[i] < 6 ? dy[i] : 0.0f, y[i], i);
    set->relu6_grad(n, whole, dx, dx);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(y[i], dx[i], i);
    set->relu6(n, whole, whole);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(x[i] <= 0 ? 0.0f : x[i] >= 6 ? 6.0f : x[i], whole[i], i);
}

/* Every form of the step in every set, with numbers that become subnormal. */
static void test_sgd(const cge_kernel_set *set, int32_t n, const cge_optimizer *o, uint32_t kind)
{
    if (!check_room("sgd", floats(5 * n))) return;
    const float *dw = operands_like(kind, n, SEED_DY);
    float *expected_w, *w, *expected_v, *v;
    name_case(set, "sgd");
    twins(n, &expected_w, &w);
    twins(n, &expected_v, &v);
    for (int32_t i = 0; i < n; i++) {
        const uint32_t bits = mix32((uint32_t)i + kind);
        if (bits % 3 == 0) expected_v[i] = v[i] = float_from_bits(bits & 0x81ffffffu);
        if (bits % 5 == 0) expected_w[i] = w[i] = float_from_bits(bits & 0x81ffffffu);
    }
    for (int32_t step = 0; step < 3; step++) {
        cge_kernels_ref.sgd(n, o, 0.5f, dw, expected_w, expected_v);
        set->sgd(n, o, 0.5f, dw, w, v);
        check_twins(expected_w, w, n);
        check_twins(expected_v, v, n);
    }
}

/* Adam and AdamW in every set, with what becomes subnormal, and sums of squares that are none. */
static void test_adam(const cge_kernel_set *set, int32_t n, const cge_adam_step *step, uint32_t kind)
{
    if (!check_room("adam", floats(7 * n))) return;
    const float *dw = operands_like(kind, n, SEED_DY);
    float *expected_w, *w, *expected_m, *m, *expected_v, *v;
    name_case(set, "adam");
    twins(n, &expected_w, &w);
    twins(n, &expected_m, &m);
    twins(n, &expected_v, &v);
    for (int32_t i = 0; i < n; i++) {
        const uint32_t bits = mix32((uint32_t)i + kind);
        if (bits % 3 == 0) expected_m[i] = m[i] = float_from_bits(bits & 0x81ffffffu);
        if (bits % 5 == 0) expected_w[i] = w[i] = float_from_bits(bits & 0x81ffffffu);
        if (bits % 7 != 0) expected_v[i] = v[i] = expected_v[i] * expected_v[i];
        if (bits % 7 == 1) expected_v[i] = v[i] = float_from_bits(bits & 0x01ffffffu);
    }
    for (int32_t i = 0; i < 3; i++) {
        cge_kernels_ref.adam(n, step, dw, expected_w, expected_m, expected_v);
        set->adam(n, step, dw, w, m, v);
        check_twins(expected_w, w, n);
        check_twins(expected_m, m, n);
        check_twins(expected_v, v, n);
    }
}

/* The limit itself and all above are found at every place, in every set, whatever the sign; just below it is not. */
static void test_all_below(const cge_kernel_set *set, int32_t n, uint32_t limit)
{
    const uint32_t above[] = {limit, limit | 0x80000000u, limit + 1, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc00000u, 0x7f800001u};
    if (!check_room("all_below", floats(n))) return;
    float *x = check_floats(n);
    name_case(set, "all_below");
    for (int32_t i = 0; i < n; i++) x[i] = float_from_bits((limit - 1) | (i % 2 == 0 ? 0u : 0x80000000u));
    CHECK(set->all_below(n, x, limit));
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < COUNT_OF(above); k++) {
            float number = x[i];
            x[i] = float_from_bits(above[k]);
            CHECK(!set->all_below(n, x, limit));
            x[i] = number;
        }
}

void suite_kernels_elementwise(void)
{
    static const cge_optimizer steps[] = {{NULL, 0.1f, 0, 0, 0},    {NULL, 0.1f, 0, 0.5f, 0},    {NULL, 0.1f, 0.9f, 0, 0},
                                          {NULL, 0.1f, 0.9f, 0, 1}, {NULL, 0.1f, 0.9f, 0.5f, 0}, {NULL, 0.1f, 0.9f, 0.5f, 1}};
    static const cge_adam_step adam_steps[] = {{0, 0.5f, 0, 0.1f, 0.999f, 1e-3f, 0.01f, 31.6f, 1e-8f, 0, 0x1p-126f},
                                               {CGE_DECAYS_GRADIENT, 0.5f, 0.25f, 0.5f, 0.9f, 0.1f, 0.1f, 1.5f, 1e-3f, 0, 0x1p-126f},
                                               {CGE_DECAYS_WEIGHT, 0.5f, 0.75f, 0.1f, 0.99f, 0.01f, 0.1f, 1, 1e-8f, 0, 0x1p-126f}};
    const cge_kernel_set *set;
    for (int32_t n = 1; n <= LONGEST; n++) {
        for (uint32_t kind = 0; kind < KINDS; kind++) test_relu(n, kind);
    }
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t n = 1; n <= LONGEST_BLOCK; n++) {
            for (int32_t k = 0; k < COUNT_OF(steps); k++)
                for (uint32_t kind = 0; kind < KINDS; kind++) test_sgd(set, n, &steps[k], kind);
            for (uint32_t kind = 0; kind < KINDS; kind++) test_relu6(set, n, kind);
            for (int32_t k = 0; k < COUNT_OF(adam_steps); k++)
                for (uint32_t kind = 0; kind < KINDS; kind++) test_adam(set, n, &adam_steps[k], kind);
            test_all_below(set, n, 0x7f800000u);
            test_all_below(set, n, 0x5f800000u);
        }
}

/* ---- normalisation ---------------------------------------------------------------------------------------------------- */

enum { NORM_GAP = 3, MOST_NORM_CHANNELS = 37 }; /* between positions; blocks of 4, of 8 and of 16, and all that is left over */

/* What stands behind the channels stays. */
static void test_norm_sums(const cge_kernel_set *set, int32_t count, int32_t channels, uint32_t kind)
{
    const int32_t pitch = channels + NORM_GAP;
    float *expected, *got, *expected_u, *got_u;
    if (!check_room("norm", floats(2 * count * pitch + 5 * pitch))) return;
    const float *x = operands_like(kind, count * pitch, SEED_X), *dy = operands_like(kind, count * pitch, SEED_DY);
    const float *mean = check_operands(channels, SEED_B);
    twins(pitch, &expected, &got);
    twins(pitch, &expected_u, &got_u);
    name_case(set, "norm_sums");
    cge_kernels_ref.norm_sums(count, pitch, channels, x, expected);
    set->norm_sums(count, pitch, channels, x, got);
    check_twins(expected, got, pitch);
    name_case(set, "norm_squares");
    cge_kernels_ref.norm_squares(count, pitch, channels, x, mean, expected);
    set->norm_squares(count, pitch, channels, x, mean, got);
    check_twins(expected, got, pitch);
    name_case(set, "norm_products");
    cge_kernels_ref.norm_products(count, pitch, channels, x, dy, mean, expected, expected_u);
    set->norm_products(count, pitch, channels, x, dy, mean, got, got_u);
    check_twins(expected, got, pitch);
    check_twins(expected_u, got_u, pitch);
}

/* In place and not; what lies between positions stays. */
static void test_norm_maps(const cge_kernel_set *set, int32_t count, int32_t channels, uint32_t kind)
{
    const int32_t pitch = channels + NORM_GAP, elems = count * pitch;
    float *expected, *got;
    if (!check_room("norm", floats(6 * elems + 4 * channels))) return;
    float *x = operands_like(kind, elems, SEED_X), *dy = operands_like(kind, elems, SEED_DY);
    float *own_x = operands_like(kind, elems, SEED_X), *own_dy = operands_like(kind, elems, SEED_DY);
    const float *mean = check_operands(channels, SEED_B), *a = weights_for(kind, channels, SEED_W);
    const float *b = check_operands(channels, SEED_DY), *c = operands_like(kind, channels, SEED_OUT);
    twins(elems, &expected, &got);
    name_case(set, "norm_scale");
    cge_kernels_ref.norm_scale(count, pitch, channels, x, mean, a, c, expected);
    set->norm_scale(count, pitch, channels, x, mean, a, c, got);
    check_twins(expected, got, elems);
    name_case(set, "norm_combine");
    cge_kernels_ref.norm_combine(count, pitch, channels, x, dy, mean, a, b, c, expected);
    set->norm_combine(count, pitch, channels, x, dy, mean, a, b, c, got);
    check_twins(expected, got, elems);
    name_case(set, "norm_combine over dy");
    cge_kernels_ref.norm_combine(count, pitch, channels, x, dy, mean, a, b, c, dy);
    set->norm_combine(count, pitch, channels, x, own_dy, mean, a, b, c, own_dy);
    check_twins(dy, own_dy, elems);
    name_case(set, "norm_combine over x");
    cge_kernels_ref.norm_combine(count, pitch, channels, x, dy, mean, a, b, c, x);
    set->norm_combine(count, pitch, channels, own_x, dy, mean, a, b, c, own_x);
    check_twins(x, own_x, elems);
    name_case(set, "norm_scale over x");
    cge_kernels_ref.norm_scale(count, pitch, channels, x, mean, a, c, x);
    set->norm_scale(count, pitch, channels, own_x, mean, a, c, own_x);
    check_twins(x, own_x, elems);
}

void suite_kernels_norm(void)
{
    static const int32_t counts[] = {1, 2, 5};
    const cge_kernel_set *set;
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t channels = 1; channels <= MOST_NORM_CHANNELS; channels++)
            for (int32_t n = 0; n < COUNT_OF(counts); n++)
                for (uint32_t kind = 0; kind < KINDS; kind++) {
                    test_norm_sums(set, counts[n], channels, kind);
                    test_norm_maps(set, counts[n], channels, kind);
                }
}
