/*
 * Every kernel set of this build against the reference, bit for bit, on random geometries and ranges, larger ones than
 * boards have room for (test_kernels_*.c are for these): fuzz_kernels [COUNT [SEED]]. Each array is an allocation of its exact
 * size, so that the address sanitizer sees a step beyond it. Ends with "N cases, N differences", and 1 if there is one.
 */
#include "../../../csrc/src/kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static int32_t between(int32_t low, int32_t high)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (int32_t)((state >> 33) % (uint64_t)(high - low + 1));
}

static int one_in(int32_t n)
{
    return between(1, n) == 1;
}

/* ---- operands ---- */

enum { PLAIN, ZEROS, SPECIAL, NEGATIVE_ZEROS, TINY, TINIER, KINDS };

/* Products of TINY are about as large as the smallest number, so that sums become zeros of either sign; those of TINIER are
 * smaller, so that all sums are. Both in between zeros. */
static float tiny(int kind)
{
    static const float powers[] = {0x1p-149f, 0x1p-140f, 0x1p-78f, 0x1p-76f, 0x1p-75f, 0x1p-74f, 0x1p-73f, 0x1p-70f, 1.0f, 0x1p9f};
    const float sign = one_in(2) ? 1.0f : -1.0f;
    if (one_in(6)) return sign * 0.0f;
    if (kind == TINIER) return sign * 0x1p-78f * (float)between(1, 8);
    return sign * powers[between(0, 9)] * (float)(one_in(2) ? between(1, 3) : between(0x800001, 0x800009));
}

static float number(int kind)
{
    static const uint32_t specials[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 1u, 0x80000000u, 0x7f7fffffu};
    float x = (float)between(-1000, 1000) / 317.0f;
    if (kind == TINY || kind == TINIER) return tiny(kind);
    if (kind == NEGATIVE_ZEROS || (kind == ZEROS && one_in(10))) return -0.0f;
    if (kind == ZEROS && one_in(5)) return 0.0f;
    if (kind == SPECIAL && one_in(60)) memcpy(&x, &specials[between(0, 5)], sizeof x);
    return x;
}

static float *numbers(int32_t count, int kind)
{
    float *x = malloc((size_t)count * sizeof *x);
    int32_t i;
    if (x == NULL) abort();
    for (i = 0; i < count; i++) x[i] = number(kind);
    return x;
}

static cge_range part_of(int32_t count)
{
    cge_range r = {0, count};
    if (one_in(2)) r.begin = between(0, count), r.end = between(r.begin, count);
    return r;
}

/* ---- one case: a call of one operator, the same for every set ---- */

typedef struct operands {
    cge_conv2d_plan conv;
    cge_pool2d_plan pool;
    cge_optimizer sgd;
    int32_t in, out, count, add;
    cge_range rows, kernel_rows;
    const float *x, *w, *b, *dy;
    float *v; /* second output */
} operands;

#define CALLS(X)                                                                                                    \
    X(conv2d_forward, (&o->conv, o->x, o->w, o->b, y, o->rows))                                                     \
    X(conv2d_weight_grad, (&o->conv, o->x, o->dy, y, o->rows, o->kernel_rows))                                      \
    X(conv2d_bias_grad, (&o->conv, o->dy, y, o->rows))                                                              \
    X(conv2d_input_grad, (&o->conv, o->w, o->dy, y, o->rows))                                                       \
    X(dense_forward, (o->in, o->out, o->count, o->x, o->w, o->b, y))                                                \
    X(dense_weight_grad, (o->in, o->out, o->count, o->x, o->dy, y, o->rows, o->add))                                \
    X(dense_bias_grad, (o->out, o->count, o->dy, y))                                                                \
    X(dense_input_grad, (o->in, o->out, o->count, o->w, o->dy, y))                                                  \
    X(maxpool2d_forward, (&o->pool, o->x, y, o->rows))                                                              \
    X(maxpool2d_input_grad, (&o->pool, o->x, o->dy, y))                                                             \
    X(avgpool2d_forward, (&o->pool, o->x, y, o->rows))                                                              \
    X(avgpool2d_input_grad, (&o->pool, o->dy, y))                                                                   \
    X(relu, (o->count, o->x, y))                                                                                    \
    X(relu_grad, (o->count, o->x, o->dy, y))                                                                        \
    X(sgd, (o->count, &o->sgd, 0.25f, o->dy, y, o->v))                                                              \
    X(all_below, (o->count, o->x, 0x5f800000u) ? (y[0] = 1) : (y[0] = 0))

#define CALLER(name, arguments)                                                            \
    static void call_##name(const cge_kernel_set *set, const operands *o, float *y)        \
    {                                                                                      \
        (void)y;                                                                           \
        set->name arguments;                                                               \
    }
CALLS(CALLER)

typedef void caller(const cge_kernel_set *set, const operands *o, float *y);

static int32_t differences;

static int same(const float *a, const float *b, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(a[i] != a[i] && b[i] != b[i])) return 0;
    return 1;
}

/* `n` outputs, which begin as `before`; with momentum, velocities too. */
static float *outputs(caller *call, const cge_kernel_set *set, operands *o, const float *before, int32_t n)
{
    float *y = malloc(2 * (size_t)n * sizeof *y), *exact = malloc((size_t)n * sizeof *y), *v = malloc((size_t)n * sizeof *v);
    if (y == NULL || exact == NULL || v == NULL) abort();
    memcpy(exact, before, (size_t)n * sizeof *y);
    memcpy(v, before, (size_t)n * sizeof *v);
    o->v = v;
    call(set, o, exact);
    memcpy(y, exact, (size_t)n * sizeof *y);
    memcpy(y + n, v, (size_t)n * sizeof *y);
    free(exact);
    free(v);
    return y;
}

static void compare(const char *what, const char *geometry, caller *call, operands *o, int32_t n, int kind)
{
    float *before = numbers(n, kind), *expected;
    const cge_kernel_set *set;
    int32_t s;
    if (kind == TINIER) memset(before, 0, (size_t)n * sizeof *before); /* gradients that nothing was added to yet */
    expected = outputs(call, &cge_kernels_ref, o, before, n);
    for (s = 1; (set = cge_kernel_set_at(s)) != NULL; s++) {
        float *got = outputs(call, set, o, before, n);
        if (!same(expected, got, 2 * n)) {
            differences++;
            printf("DIFFERENT: %s %s, %s, rows %d to %d, kernel rows %d to %d\n", set->name, what, geometry, (int)o->rows.begin,
                   (int)o->rows.end, (int)o->kernel_rows.begin, (int)o->kernel_rows.end);
        }
        free(got);
    }
    free(expected);
    free(before);
}

/* ---- geometries ---- */

/* Around the widths of vectors, and few or many. */
static int32_t some_channels(int most)
{
    static const int32_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 35, 40, 48, 64, 65, 70};
    return counts[between(0, most)];
}

/* Larger than some buffer of the lanes variants: see the constants there. */
static const cge_conv2d large[] = {
    {49, 9, 1, 15, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1},     /* bands of dy, some rows at a time */
    {3, 3000, 1, 3, 3, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1},    /* one row is too long for it */
    {5, 9, 3, 12, 5, 9, 1, 1, 1, 1, 2, 4, 2, 4, 1},      /* more weights than a tile */
    {90, 30, 7, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    /* padded rows, some at a time */
    {90, 30, 7, 16, 3, 3, 2, 2, 1, 1, 0, 1, 0, 1, 1},
    {6, 2100, 1, 17, 5, 3, 1, 9, 1, 1, 2, 1, 2, 1, 1},   /* too long for one */
    {3, 3, 16, 66, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},     /* a panel of weights: not all kernel rows */
    {1, 15, 32, 50, 1, 13, 1, 1, 1, 1, 0, 0, 0, 0, 1},   /* not all kernel columns */
    {2, 2, 32, 700, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    /* not all filters */
    {40, 40, 4, 4, 18, 18, 1, 1, 1, 1, 0, 0, 0, 0, 1},   /* more taps than a table of segments */
    {19, 19, 4, 4, 19, 19, 1, 1, 1, 1, 9, 9, 9, 9, 1},
    {2, 2, 3, 3, 2, 2, 1, 1, 1, 1, 0, 60, 0, 60, 1},     /* patches without a source */
    {4, 900, 2, 2, 2, 2, 1, 700, 1, 1, 0, 0, 0, 0, 1},   /* strides longer than patches */
    {64, 200, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},    /* more results than a tile */
    {64, 400, 3, 2, 2, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {3, 3, 2, 2, 2, 2, 1, 20000, 1, 1, 0, 0, 0, 19999, 1},
    {3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 10000, 0, 10000, 1}, /* patches of padding */
    {9, 9, 70, 3, 9, 9, 1, 1, 1, 1, 4, 4, 4, 4, 1},        /* no room for one */
    {3, 3, 2, 2, 2, 2, 1, 1, 1, 20000, 0, 10000, 0, 10000, 1},
    {5, 3, 4, 4, 2, 1, 1, 1, 1, 0x20000000, 0, 0, 0, 0, 4}, /* a step of 2^31 elements that a row of one tap takes back */
    {5, 3, 16, 16, 2, 2, 1, 0x08000000, 1, 1, 0, 0, 0, 0, 16},
};

/* A step that a kernel of one tap, or a row of one output, does not take: any; often one of about 2^31 elements. */
static int32_t any_step(int32_t channels)
{
    const int64_t step = ((int64_t)1 << 31) / channels + between(-1, 3);
    if (one_in(3)) return between(1, CGE_MAX_ELEMS);
    return step < CGE_MAX_ELEMS ? (int32_t)step : CGE_MAX_ELEMS;
}

static cge_conv2d some_conv2d(int32_t index)
{
    const int is_large = one_in(8);
    const int most = is_large ? 9 : 23;
    cge_conv2d g;
    if (index < 4 * (int32_t)(sizeof large / sizeof large[0])) return large[index / 4];
    g.in_h = between(1, is_large ? 40 : 12), g.in_w = between(1, is_large ? 70 : 14);
    g.in_c = some_channels(most), g.out_c = some_channels(most), g.groups = 1;
    if (one_in(4)) g.out_c = g.groups = g.in_c;
    if (one_in(6)) g.groups = between(2, 4), g.in_c = g.groups * between(1, 9), g.out_c = g.groups * between(1, 9);
    g.kernel_h = between(1, 5), g.kernel_w = between(1, 5);
    g.stride_h = one_in(10) ? between(4, 7) : between(1, 3), g.stride_w = one_in(10) ? between(4, 7) : between(1, 3);
    g.dilation_h = one_in(3) ? between(1, 3) : 1, g.dilation_w = one_in(3) ? between(1, 3) : 1;
    g.pad_top = between(0, 3), g.pad_left = one_in(12) ? between(4, 9) : between(0, 3);
    g.pad_bottom = between(0, 3), g.pad_right = between(0, 3);
    if (one_in(4)) g.pad_top = g.pad_left = g.pad_bottom = g.pad_right = 0;
    if (one_in(20)) g.stride_h = any_step(g.in_c);
    if (one_in(20)) g.stride_w = any_step(g.in_c);
    if (one_in(20)) g.kernel_h = 1, g.dilation_h = any_step(g.in_c);
    if (one_in(20)) g.kernel_w = 1, g.dilation_w = any_step(g.in_c);
    return g;
}

static int kind_of_case(void)
{
    return one_in(2) ? PLAIN : between(0, KINDS - 1);
}

static void fuzz_conv2d(int32_t index)
{
    const cge_conv2d g = some_conv2d(index);
    const int kind = kind_of_case();
    char name[160];
    operands o = {0};
    float *x, *w, *b, *dy;
    if (cge_conv2d_resolve(&g, &o.conv) != CGE_OK) return;
    const int32_t nx = g.in_h * g.in_w * g.in_c, ny = o.conv.out_h * o.conv.out_w * g.out_c, nw = o.conv.weight_elems;
    if (nx > 200000 || ny > 200000 || (double)nw * o.conv.out_h * o.conv.out_w > 3e7) return;
    snprintf(name, sizeof name, "%dx%dx%d to %d, kernel %dx%d, stride %d %d, dilation %d %d, padding %d %d %d %d, %d groups", (int)g.in_h,
             (int)g.in_w, (int)g.in_c, (int)g.out_c, (int)g.kernel_h, (int)g.kernel_w, (int)g.stride_h, (int)g.stride_w, (int)g.dilation_h,
             (int)g.dilation_w, (int)g.pad_top, (int)g.pad_left, (int)g.pad_bottom, (int)g.pad_right, (int)g.groups);
    x = numbers(nx, kind), w = numbers(nw, kind), b = numbers(g.out_c, kind), dy = numbers(ny, kind);
    o.x = x, o.w = w, o.b = one_in(3) ? NULL : b, o.dy = dy;
    o.rows = part_of(o.conv.out_h), o.kernel_rows = part_of(g.kernel_h);
    compare("conv2d_forward", name, call_conv2d_forward, &o, ny, kind);
    compare("conv2d_weight_grad", name, call_conv2d_weight_grad, &o, nw, kind);
    compare("conv2d_bias_grad", name, call_conv2d_bias_grad, &o, g.out_c, kind);
    o.rows = part_of(g.in_h);
    compare("conv2d_input_grad", name, call_conv2d_input_grad, &o, nx, kind);
    free(x), free(w), free(b), free(dy);
}

static void fuzz_dense(void)
{
    const int kind = kind_of_case();
    char name[80];
    operands o = {0};
    o.in = between(1, one_in(5) ? 300 : 40), o.out = between(1, one_in(5) ? 700 : 40), o.count = between(1, 9);
    float *x = numbers(o.in * o.count, kind), *w = numbers(o.in * o.out, kind), *b = numbers(o.out, kind), *dy = numbers(o.out * o.count, kind);
    snprintf(name, sizeof name, "%d to %d, %d samples", (int)o.in, (int)o.out, (int)o.count);
    o.x = x, o.w = w, o.b = one_in(3) ? NULL : b, o.dy = dy;
    o.rows = part_of(o.in);
    o.add = one_in(2);
    compare("dense_forward", name, call_dense_forward, &o, o.out * o.count, kind);
    compare("dense_weight_grad", name, call_dense_weight_grad, &o, o.in * o.out, kind);
    compare("dense_bias_grad", name, call_dense_bias_grad, &o, o.out, kind);
    compare("dense_input_grad", name, call_dense_input_grad, &o, o.in * o.count, kind);
    free(x), free(w), free(b), free(dy);
}

static void fuzz_pool2d(void)
{
    const int kind = kind_of_case();
    char name[120];
    cge_pool2d g;
    operands o = {0};
    g.in_h = between(1, 14), g.in_w = between(1, 14), g.in_c = some_channels(23), g.kernel_h = between(1, 4), g.kernel_w = between(1, 4);
    g.stride_h = between(0, 4), g.stride_w = between(0, 4);
    g.pad_top = between(0, g.kernel_h - 1), g.pad_left = between(0, g.kernel_w - 1);
    g.pad_bottom = between(0, g.kernel_h - 1), g.pad_right = between(0, g.kernel_w - 1);
    if (cge_pool2d_resolve(&g, &o.pool) != CGE_OK) return;
    const int32_t nx = g.in_h * g.in_w * g.in_c, ny = o.pool.out_h * o.pool.out_w * g.in_c;
    float *x = numbers(nx, kind), *dy = numbers(ny, kind);
    snprintf(name, sizeof name, "%dx%dx%d, kernel %dx%d, stride %d %d, padding %d %d %d %d", (int)g.in_h, (int)g.in_w, (int)g.in_c,
             (int)g.kernel_h, (int)g.kernel_w, (int)g.stride_h, (int)g.stride_w, (int)g.pad_top, (int)g.pad_left, (int)g.pad_bottom, (int)g.pad_right);
    o.x = x, o.dy = dy, o.rows = part_of(o.pool.out_h);
    compare("maxpool2d_forward", name, call_maxpool2d_forward, &o, ny, kind);
    compare("maxpool2d_input_grad", name, call_maxpool2d_input_grad, &o, nx, kind);
    compare("avgpool2d_forward", name, call_avgpool2d_forward, &o, ny, kind);
    compare("avgpool2d_input_grad", name, call_avgpool2d_input_grad, &o, nx, kind);
    free(x), free(dy);
}

static void fuzz_elementwise(void)
{
    const int kind = kind_of_case();
    char name[100];
    operands o = {0};
    o.count = between(1, 300);
    o.sgd.learning_rate = 0.1f, o.sgd.momentum = one_in(3) ? 0.0f : 0.9f, o.sgd.weight_decay = one_in(2) ? 0.0f : 0.01f;
    o.sgd.nesterov = o.sgd.momentum != 0.0f && one_in(2);
    float *x = numbers(o.count, one_in(4) ? SPECIAL : kind), *dy = numbers(o.count, kind);
    if (one_in(4)) /* finite, and yet their sum is not */
        for (int32_t i = 0; i < o.count; i++) x[i] = 3e38f;
    snprintf(name, sizeof name, "%d numbers, momentum %d %%, decay %d %%, nesterov %d", (int)o.count, (int)(100 * o.sgd.momentum),
             (int)(100 * o.sgd.weight_decay), (int)o.sgd.nesterov);
    o.x = x, o.dy = dy;
    compare("relu", name, call_relu, &o, o.count, kind);
    compare("relu_grad", name, call_relu_grad, &o, o.count, kind);
    compare("sgd", name, call_sgd, &o, o.count, kind);
    compare("all_below", name, call_all_below, &o, o.count, kind);
    free(x), free(dy);
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 500;
    long i;
    state = argc > 2 ? (uint64_t)atol(argv[2]) : 1;
    for (i = 0; i < count; i++) {
        fuzz_conv2d((int32_t)i);
        fuzz_dense();
        fuzz_pool2d();
        fuzz_elementwise();
    }
    printf("%ld cases, %ld differences\n", count, (long)differences);
    return differences != 0;
}
