/*
 * Every kernel set's convolution against the reference, bit for bit: maps that tiles of 4 pixels cover exactly, with one
 * left over, or not at all; channels around a tile; every kind of border, stride, dilation and group; ranges of rows.
 */
#include "../../csrc/src/kernels/kernels.h"

#include "check.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

enum { SEED_X = 401, SEED_W, SEED_B, SEED_DY, SEED_OUT };

/* A part of 0 .. count - 1, another one for each seed; for even seeds all of it. */
static cge_range some_range(int32_t count, uint32_t seed)
{
    cge_range r = {0, count};
    if (seed % 2 == 0) return r;
    r.begin = (int32_t)(mix32(seed) % (uint32_t)(count + 1));
    r.end = r.begin + (int32_t)(mix32(seed + 1) % (uint32_t)(count - r.begin + 1));
    return r;
}

/* Operands of five kinds: plain; all -0 (with weights of 1, so that a sum that starts or ends otherwise than the
 * reference's has another sign); with infinities, NaN and subnormals in between; so small that products underflow, to 0 or -0;
 * most of dy zeros of both signs, and sometimes an infinity in x, which makes NaN of them. */
enum { PLAIN, NEGATIVE_ZEROS, SPECIAL, TINY, SPARSE, KINDS };

/* Of each geometry: the five kinds with all rows and with some; or 3 of these 10, from geometry to geometry others. */
enum { REPEATS = CHECK_FEWER ? 3 : 2 * KINDS };

static float *operands_like(uint32_t kind, int32_t count, uint32_t stream)
{
    static const uint32_t specials[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x00000001u, 0x80000000u, 0x7f7fffffu};
    float *x = check_operands(count, stream);
    for (int32_t i = 0; i < count; i++) {
        const uint32_t bits = mix32((uint32_t)i + stream);
        if (kind == NEGATIVE_ZEROS) x[i] = stream == SEED_W ? 1.0f : -0.0f;
        if (kind == TINY) x[i] *= 0x1p-75f;
        if (kind == SPARSE && stream == SEED_DY && bits % 4 != 0) x[i] = bits % 8 < 4 ? 0.0f : -0.0f;
        if (kind == SPARSE && stream == SEED_X && bits % 601 == 0) x[i] = float_from_bits(0x7f800000u);
        if (kind == SPECIAL && bits % 61 == 0) x[i] = float_from_bits(specials[bits / 61 % COUNT_OF(specials)]);
    }
    return x;
}

typedef struct twins { /* two equal arrays: kernels add to them, or must leave alone what is outside of their range */
    float *expected, *got;
    int32_t count;
} twins;

static twins new_twins(const cge_kernel_set *set, const char *pass, int32_t count)
{
    static char name[64];
    twins t = {check_operands(count, SEED_OUT), check_operands(count, SEED_OUT), count};
    snprintf(name, sizeof name, "%s: %s", set->name, pass);
    check_case(name);
    return t;
}

/* As a gradient starts: a set may go another way where a -0 is to be kept. */
static void without_minus_zero(twins t)
{
    for (int32_t i = 0; i < t.count; i++) t.expected[i] += 0.0f, t.got[i] += 0.0f;
}

static int differs(float a, float b)
{
    return float_bits(a) != float_bits(b) && (a == a || b == b);
}

/* One check: the first element that differs. */
static void check_twins(twins t)
{
    int32_t i = 0;
    while (i + 1 < t.count && !differs(t.expected[i], t.got[i])) i++;
    CHECK_SAME(t.expected[i], t.got[i], i);
}

static int room_for(int32_t count)
{
    return check_room("conv2d", sizeof(float) * (size_t)count);
}

static void test_input_grad(const cge_kernel_set *set, const cge_conv2d_plan *p, uint32_t seed)
{
    const cge_conv2d *g = &p->g;
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, y_elems = p->out_h * p->out_w * g->out_c;
    const cge_range rows = some_range(g->in_h, seed + 2);
    if (!room_for(y_elems + p->weight_elems + 2 * x_elems)) return;
    const float *w = operands_like(seed % KINDS, p->weight_elems, SEED_W), *dy = operands_like(seed % KINDS, y_elems, SEED_DY);
    twins t = new_twins(set, "conv2d_input_grad", x_elems);
    cge_kernels_ref.conv2d_input_grad(p, w, dy, t.expected, rows);
    set->conv2d_input_grad(p, w, dy, t.got, rows);
    check_twins(t);
}

static void test_conv2d(const cge_kernel_set *set, const cge_conv2d *g, uint32_t seed)
{
    const cge_kernel_set *ref = &cge_kernels_ref;
    const uint32_t kind = seed % KINDS;
    cge_conv2d_plan p;
    twins t;
    CHECK_OK(cge_conv2d_resolve(g, &p));
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, y_elems = p.out_h * p.out_w * g->out_c, w_elems = p.weight_elems;
    const cge_range rows = some_range(p.out_h, seed), kernel_rows = some_range(g->kernel_h, seed + 4);
    if (room_for(x_elems + w_elems + g->out_c + 2 * y_elems)) {
        const float *x = operands_like(kind, x_elems, SEED_X), *w = operands_like(kind, w_elems, SEED_W);
        const float *b = seed % 4 == 0 ? NULL : operands_like(kind, g->out_c, SEED_B);
        t = new_twins(set, "conv2d_forward", y_elems);
        ref->conv2d_forward(&p, x, w, b, t.expected, rows);
        set->conv2d_forward(&p, x, w, b, t.got, rows);
        check_twins(t);
    }
    if (room_for(x_elems + y_elems + 2 * w_elems)) {
        const float *x = operands_like(kind, x_elems, SEED_X), *dy = operands_like(kind, y_elems, SEED_DY);
        t = new_twins(set, "conv2d_weight_grad", w_elems);
        if (seed / KINDS % 2 == 0) without_minus_zero(t);
        ref->conv2d_weight_grad(&p, x, dy, t.expected, rows, kernel_rows);
        set->conv2d_weight_grad(&p, x, dy, t.got, rows, kernel_rows);
        check_twins(t);
    }
    test_input_grad(set, &p, seed);
    if (room_for(y_elems + 2 * g->out_c)) {
        const float *dy = operands_like(kind, y_elems, SEED_DY);
        t = new_twins(set, "conv2d_bias_grad", g->out_c);
        ref->conv2d_bias_grad(&p, dy, t.expected, rows);
        set->conv2d_bias_grad(&p, dy, t.got, rows);
        check_twins(t);
    }
}

#define FAR CGE_MAX_ELEMS

static const cge_conv2d maps[] = { /* in h, w; c, k are set; kernel; stride; dilation; pad top, left, bottom, right; groups are set */
    {4, 4, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0},  /* one tile a row */
    {3, 5, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0},  /* and one more column, too few rows for a tall tile */
    {6, 9, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0},  /* strips, tall tiles and lone pixels */
    {7, 7, 0, 0, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 0},  /* no border; a column left over */
    {5, 6, 0, 0, 3, 3, 1, 1, 1, 1, 2, 0, 0, 1, 0},  /* padding on one side */
    {2, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0},  /* borders only */
    {1, 1, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0},
    {1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0},
    {2, 3, 0, 0, 2, 2, 1, 1, 1, 1, 4, 5, 5, 4, 0},  /* padding > kernel: outputs without taps, more than a tile */
    {1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0},  /* no taps, one tap, no taps: ends that look alike */
    {9, 9, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0},  /* stride: four phases of the input gradient */
    {5, 9, 0, 0, 2, 1, 1, 3, 1, 1, 0, 0, 0, 0, 0},  /* stride > kernel: inputs without taps */
    {4, 14, 0, 0, 2, 2, 3, 3, 2, 2, 1, 2, 0, 1, 0}, /* stride and dilation without a common factor */
    {6, 10, 0, 0, 3, 3, 4, 2, 2, 4, 4, 4, 3, 3, 0}, /* and with one */
    {6, 8, 0, 0, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 0},  /* dilation */
    {4, 11, 0, 0, 1, 5, 1, 1, 1, 1, 0, 1, 0, 3, 0}, /* one row; five taps, which the weight gradient cuts into four and one */
    {2, 12, 0, 0, 1, 5, 1, 1, 1, 2, 0, 0, 0, 0, 0}, /* taps that meet the same columns and yet are no run */
    {2, 1, 0, 0, 3, 3, 1, 1, 1, 1, 2, 2, 0, 0, 0},  /* taps that read padding only */
    {11, 4, 0, 0, 5, 1, 1, 1, 1, 1, 3, 0, 1, 0, 0}, /* one column */
    {3, 8, 0, 0, 2, 4, 1, 1, 1, 1, 0, 0, 0, 0, 0},  /* even kernels */
    {3, 4, 0, 0, 1, 1, FAR, FAR, INT32_MAX, INT32_MAX, 1, 0, 1, 0, 0}, /* steps that nobody takes may be of any size */
    {1, 1, 0, 0, 2, 2, 1 << 24, 1 << 24, 1 << 26, 1 << 26, 1 << 25, 1 << 25, 1 << 25, 1 << 25, 0},
};

static const int32_t channels[][3] = { /* in, out, groups */
    {1, 1, 1}, {1, 4, 1}, {1, 8, 1}, {1, 17, 1}, {3, 3, 1}, {3, 5, 1}, {3, 16, 1}, {4, 4, 1}, {4, 6, 1}, {5, 8, 1},
    {6, 9, 1}, {7, 7, 1}, {8, 3, 1}, {8, 8, 1}, {12, 4, 1}, {17, 1, 1}, {4, 4, 2}, {8, 12, 2}, {16, 4, 2}, {6, 3, 3}, {3, 12, 3}, {10, 15, 5},
};

/* Larger than the buffers in which the lanes variants copy part of a map, or large enough for a way of their own. */
static const cge_conv2d large[] = {
    {49, 9, 1, 15, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1},   /* bands of dy, by rows */
    {120, 2, 5, 16, 1, 8, 1, 8, 1, 1, 0, 7, 0, 7, 1},  /* padded rows of x; source of a planar input gradient, by rows */
    {120, 2, 5, 16, 2, 8, 1, 8, 40, 1, 0, 7, 0, 7, 1}, /* that a kernel dilated downwards reaches 40 of at a time */
    {1, 60, 3, 16, 9, 2, 1, 1, 1, 1, 4, 0, 4, 1, 1},   /* and by columns */
    {1, 60, 24, 3, 9, 2, 1, 1, 1, 1, 4, 0, 4, 1, 1},   /* source of a planar forward pass */
    {7, 8, 6, 5, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1},     /* input gradient by windows, all inside */
    {7, 6, 6, 5, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1},     /* some over the edges */
    {7, 8, 6, 6, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 2},     /* windows that groups forbid */
    {7, 12, 6, 5, 5, 5, 1, 1, 1, 2, 0, 0, 0, 0, 1},    /* and dilation */
    {9, 9, 7, 3, 9, 4, 2, 3, 2, 1, 6, 6, 5, 4, 1},     /* some outside; more kernel rows than a register block */
    {6, 2, 5, 9, 4, 5, 1, 1, 1, 1, 1, 4, 0, 4, 1},     /* no window inside */
    {9, 8, 6, 4, 7, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1},     /* a register block of kernel rows and one more */
    {10, 6, 4, 5, 8, 4, 1, 1, 1, 1, 0, 0, 0, 0, 1},    /* one vector of 16 lanes */
};

/* Input gradients of which the lanes variants take the weights in parts; there is room for this pass only. */
static const cge_conv2d parts[] = {
    {3, 3, 16, 72, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  /* kernel rows */
    {4, 3, 16, 72, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},  /* with a stride */
    {1, 3, 16, 150, 1, 4, 1, 1, 1, 1, 0, 2, 0, 1, 1}, /* kernel columns */
    {1, 2, 16, 600, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, /* filters */
};

static void test_parts(const cge_kernel_set *set)
{
    cge_conv2d_plan p;
    for (int32_t i = 0; i < COUNT_OF(parts); i++) {
        CHECK_OK(cge_conv2d_resolve(&parts[i], &p));
        for (uint32_t seed = 0; seed < 2 * KINDS; seed++) test_input_grad(set, &p, seed);
    }
}

/* A plan of some of the input's channels, as slices have. The gradients of the others stay. Of the sets that run parts. */
static void test_some_channels(const cge_kernel_set *set)
{
    static const cge_conv2d g = {5, 6, 7, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int32_t begin = 2, some = 3, x_elems = g.in_h * g.in_w * g.in_c;
    const cge_range rows = {0, g.in_h};
    cge_conv2d_plan p;
    CHECK_OK(cge_conv2d_resolve(&g, &p));
    const int32_t y_elems = p.out_h * p.out_w * g.out_c;
    if (strcmp(set->name, "ref") != 0 && strcmp(set->name, "small") != 0 && strcmp(set->name, "tiled") != 0) return;
    if (!room_for(y_elems + p.weight_elems + 2 * x_elems)) return;
    const float *w = check_operands(p.weight_elems, SEED_W), *dy = check_operands(y_elems, SEED_DY);
    const twins t = new_twins(set, "conv2d_input_grad, some channels", x_elems);
    float *all = t.expected, *part = t.got;
    cge_kernels_ref.conv2d_input_grad(&p, w, dy, all, rows);
    for (int32_t i = 0; i < x_elems; i++)
        if (i % g.in_c < begin || i % g.in_c >= begin + some) all[i] = part[i];
    p.group_in = some;
    set->conv2d_input_grad(&p, w + begin * g.out_c, dy, part + begin, rows);
    check_twins(t);
}

static int is_tested(const char *name)
{
    const cge_kernel_set *set;
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        if (strcmp(set->name, name) == 0) return 1;
    return 0;
}

/* A set that is missing in the list would not be tested. `tiled` is the boards'. */
/* All of dy is 0 but for one number, whose products are so small that fused sums of them become -0: wherever it stands, a set
 * that would add zeros has to find it. */
static void test_one_number_of_dy(const cge_kernel_set *set)
{
    static const cge_conv2d g = {2, 8, 3, 16, 1, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1};
    cge_conv2d_plan p;
    CHECK_OK(cge_conv2d_resolve(&g, &p));
    const int32_t x_elems = g.in_h * g.in_w * g.in_c, y_elems = p.out_h * p.out_w * g.out_c;
    const cge_range rows = {0, p.out_h}, kernel_rows = {0, g.kernel_h};
    if (!room_for(x_elems + y_elems + 2 * p.weight_elems)) return;
    float *x = check_operands(x_elems, SEED_X), *dy = check_operands(y_elems, SEED_DY);
    const twins t = new_twins(set, "conv2d_weight_grad, one number of dy", p.weight_elems);
    for (int32_t i = 0; i < x_elems; i++) x[i] = -0x1p-80f;
    memset(dy, 0, (size_t)y_elems * sizeof *dy);
    for (int32_t i = 0; i < y_elems; i++) {
        memset(t.expected, 0, (size_t)t.count * sizeof *t.expected);
        memset(t.got, 0, (size_t)t.count * sizeof *t.got);
        dy[i] = 0x1p-80f;
        cge_kernels_ref.conv2d_weight_grad(&p, x, dy, t.expected, rows, kernel_rows);
        set->conv2d_weight_grad(&p, x, dy, t.got, rows, kernel_rows);
        check_twins(t);
        dy[i] = 0;
    }
}

static void test_list_of_sets(void)
{
    check_case("list of sets");
    CHECK(is_tested("ref"));
    CHECK(is_tested("small"));
    CHECK(is_tested("tiled") || CGE_SMALL || sizeof(void *) > 4);
}

void suite_kernels_conv2d(void)
{
    const cge_kernel_set *set;
    uint32_t seed = 0;
    test_list_of_sets();
    CHECK(cge_kernel_set_at(-1) == NULL && cge_kernel_set_at(0) == &cge_kernels_ref);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++) test_parts(set);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++) test_one_number_of_dy(set);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++) test_some_channels(set);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t i = 0; i < COUNT_OF(large); i++)
            for (int32_t repeat = 0; repeat < REPEATS; repeat++) test_conv2d(set, &large[i], seed++);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++)
        for (int32_t i = 0; i < COUNT_OF(maps); i++)
            for (int32_t c = 0; c < COUNT_OF(channels); c++)
                for (int32_t repeat = 0; repeat < REPEATS; repeat++) {
                    cge_conv2d g = maps[i];
                    g.in_c = channels[c][0], g.out_c = channels[c][1], g.groups = channels[c][2];
                    test_conv2d(set, &g, seed++);
                }
}
