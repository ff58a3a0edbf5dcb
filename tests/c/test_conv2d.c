/*
 * Convolution, four passes, against two oracles that share nothing with the core or with each other:
 *   exact  for one element, the contract's loop in the contract's order; must agree in every bit
 *   loose  for one element, a double sum over every pair of input and output place that a tap connects (the tap is
 *          found from the two places, not the place from the tap); must agree within rounding
 */
#include "check.h"
#include "suites.h"

#include <stdio.h>

enum { SEED_X = 1, SEED_W, SEED_B, SEED_DY, SEED_DW, SEED_DB };

typedef struct geometry { /* as cge_conv2d, defaults filled in, with what follows from it */
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, group_c, group_k;
    int64_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} geometry;

typedef struct sum { /* of a loose oracle */
    double value, magnitude;
} sum;

/* ---- the geometry, worked out again ---------------------------------------------------------------------------- */

static int32_t count_windows(int64_t padded, int64_t extent, int64_t stride)
{
    int32_t count = 0;
    for (int64_t at = 0; at + extent <= padded; at += stride) count++;
    return count;
}

static int32_t or_one(int32_t x)
{
    return x == 0 ? 1 : x;
}

static geometry fill(const cge_conv2d *g)
{
    int32_t groups = or_one(g->groups);
    geometry f = {g->in_h, g->in_w, g->in_c, 0, 0, g->out_c, g->kernel_h, g->kernel_w, g->in_c / groups, g->out_c / groups,
                  or_one(g->stride_h), or_one(g->stride_w), or_one(g->dilation_h), or_one(g->dilation_w), g->pad_top, g->pad_left};
    f.out_h = count_windows(f.in_h + f.pad_top + g->pad_bottom, f.dilation_h * (f.kernel_h - 1) + 1, f.stride_h);
    f.out_w = count_windows(f.in_w + f.pad_left + g->pad_right, f.dilation_w * (f.kernel_w - 1) + 1, f.stride_w);
    return f;
}

static int32_t x_elems(const geometry *f) { return f->in_h * f->in_w * f->in_c; }
static int32_t w_elems(const geometry *f) { return f->kernel_h * f->kernel_w * f->group_c * f->out_c; }
static int32_t y_elems(const geometry *f) { return f->out_h * f->out_w * f->out_c; }

static int32_t x_at(const geometry *f, int32_t ih, int32_t iw, int32_t c) { return (ih * f->in_w + iw) * f->in_c + c; }
static int32_t y_at(const geometry *f, int32_t oh, int32_t ow, int32_t k) { return (oh * f->out_w + ow) * f->out_c + k; }
static int32_t w_at(const geometry *f, int32_t kh, int32_t kw, int32_t c, int32_t k)
{
    return ((kh * f->kernel_w + kw) * f->group_c + c) * f->out_c + k;
}

/* The kernel row that connects input row ih with output row oh, -1 if none does; and the column. */
static int32_t tap(int64_t i, int64_t o, int64_t stride, int64_t pad, int64_t dilation, int32_t kernel)
{
    int64_t distance = i + pad - o * stride;
    if (distance < 0 || distance % dilation != 0 || distance / dilation >= kernel) return -1;
    return (int32_t)(distance / dilation);
}

static int32_t tap_h(const geometry *f, int32_t ih, int32_t oh)
{
    return tap(ih, oh, f->stride_h, f->pad_top, f->dilation_h, f->kernel_h);
}

static int32_t tap_w(const geometry *f, int32_t iw, int32_t ow)
{
    return tap(iw, ow, f->stride_w, f->pad_left, f->dilation_w, f->kernel_w);
}

/* The input row of a tap, -1 in the padding; and the column. */
static int32_t row(const geometry *f, int32_t oh, int32_t kh)
{
    int64_t ih = oh * f->stride_h - f->pad_top + kh * f->dilation_h;
    return ih >= 0 && ih < f->in_h ? (int32_t)ih : -1;
}

static int32_t column(const geometry *f, int32_t ow, int32_t kw)
{
    int64_t iw = ow * f->stride_w - f->pad_left + kw * f->dilation_w;
    return iw >= 0 && iw < f->in_w ? (int32_t)iw : -1;
}

/* ---- oracles of one element -------------------------------------------------------------------------------------- */

static void add(sum *s, double term)
{
    s->value += term;
    s->magnitude += term < 0 ? -term : term;
}

static float forward_exact(const geometry *f, const float *x, const float *w, const float *b, int32_t oh, int32_t ow, int32_t k)
{
    int32_t first = k / f->group_k * f->group_c;
    float y = b != NULL ? b[k] : 0;
    for (int32_t kh = 0; kh < f->kernel_h; kh++)
        for (int32_t kw = 0; kw < f->kernel_w; kw++) {
            int32_t ih = row(f, oh, kh), iw = column(f, ow, kw);
            if (ih < 0 || iw < 0) continue;
            for (int32_t c = 0; c < f->group_c; c++) y = mul_add(x[x_at(f, ih, iw, first + c)], w[w_at(f, kh, kw, c, k)], y);
        }
    return y;
}

static sum forward_loose(const geometry *f, const float *x, const float *w, const float *b, int32_t oh, int32_t ow, int32_t k)
{
    sum s = {0, 0};
    for (int32_t ih = 0; ih < f->in_h; ih++)
        for (int32_t iw = 0; iw < f->in_w; iw++) {
            int32_t kh = tap_h(f, ih, oh), kw = tap_w(f, iw, ow);
            if (kh < 0 || kw < 0) continue;
            for (int32_t c = 0; c < f->group_c; c++)
                add(&s, (double)w[w_at(f, kh, kw, c, k)] * (double)x[x_at(f, ih, iw, k / f->group_k * f->group_c + c)]);
        }
    if (b != NULL) add(&s, (double)b[k]);
    return s;
}

static float weight_grad_exact(const geometry *f, const float *x, const float *dy, float dw, int32_t kh, int32_t kw, int32_t c, int32_t k)
{
    for (int32_t oh = 0; oh < f->out_h; oh++)
        for (int32_t ow = 0; ow < f->out_w; ow++) {
            int32_t ih = row(f, oh, kh), iw = column(f, ow, kw);
            if (ih < 0 || iw < 0) continue;
            dw = mul_add(dy[y_at(f, oh, ow, k)], x[x_at(f, ih, iw, k / f->group_k * f->group_c + c)], dw);
        }
    return dw;
}

/* The sum over the columns of one pair of rows. */
static void weight_grad_rows(const geometry *f, const float *x_row, const float *dy_row, int32_t kw, sum *s)
{
    for (int32_t iw = 0; iw < f->in_w; iw++)
        for (int32_t ow = 0; ow < f->out_w; ow++)
            if (tap_w(f, iw, ow) == kw) add(s, (double)x_row[iw * f->in_c] * (double)dy_row[ow * f->out_c]);
}

static sum weight_grad_loose(const geometry *f, const float *x, const float *dy, float dw, int32_t kh, int32_t kw, int32_t c, int32_t k)
{
    sum s = {0, 0};
    int32_t channel = k / f->group_k * f->group_c + c;
    for (int32_t ih = 0; ih < f->in_h; ih++)
        for (int32_t oh = 0; oh < f->out_h; oh++)
            if (tap_h(f, ih, oh) == kh) weight_grad_rows(f, x + x_at(f, ih, 0, channel), dy + y_at(f, oh, 0, k), kw, &s);
    add(&s, (double)dw);
    return s;
}

static float bias_grad_exact(const geometry *f, const float *dy, float db, int32_t k)
{
    for (int32_t oh = 0; oh < f->out_h; oh++)
        for (int32_t ow = 0; ow < f->out_w; ow++) db += dy[y_at(f, oh, ow, k)];
    return db;
}

static sum bias_grad_loose(const geometry *f, const float *dy, float db, int32_t k)
{
    sum s = {0, 0};
    for (int32_t i = y_elems(f) - f->out_c + k; i >= 0; i -= f->out_c) add(&s, (double)dy[i]);
    add(&s, (double)db);
    return s;
}

/* The output row whose tap kh lies on input row ih, -1 if none. */
static int32_t output_of(int64_t i, int64_t pad, int64_t k, int64_t dilation, int64_t stride, int32_t count)
{
    int64_t at = i + pad - k * dilation;
    return at >= 0 && at % stride == 0 && at / stride < count ? (int32_t)(at / stride) : -1;
}

static float input_grad_exact(const geometry *f, const float *w, const float *dy, int32_t ih, int32_t iw, int32_t c)
{
    int32_t first = c / f->group_c * f->group_k;
    float dx = 0;
    for (int32_t kh = 0; kh < f->kernel_h; kh++)
        for (int32_t kw = 0; kw < f->kernel_w; kw++) {
            int32_t oh = output_of(ih, f->pad_top, kh, f->dilation_h, f->stride_h, f->out_h);
            int32_t ow = output_of(iw, f->pad_left, kw, f->dilation_w, f->stride_w, f->out_w);
            if (oh < 0 || ow < 0) continue;
            for (int32_t k = first; k < first + f->group_k; k++)
                dx = mul_add(dy[y_at(f, oh, ow, k)], w[w_at(f, kh, kw, c % f->group_c, k)], dx);
        }
    return dx;
}

static sum input_grad_loose(const geometry *f, const float *w, const float *dy, int32_t ih, int32_t iw, int32_t c)
{
    sum s = {0, 0};
    for (int32_t oh = 0; oh < f->out_h; oh++)
        for (int32_t ow = 0; ow < f->out_w; ow++) {
            int32_t kh = tap_h(f, ih, oh), kw = tap_w(f, iw, ow);
            if (kh < 0 || kw < 0) continue;
            for (int32_t k = 0; k < f->out_c; k++)
                if (k / f->group_k == c / f->group_c) add(&s, (double)w[w_at(f, kh, kw, c % f->group_c, k)] * (double)dy[y_at(f, oh, ow, k)]);
        }
    return s;
}

/* ---- passes -------------------------------------------------------------------------------------------------------- */

static void check_element(float exact, sum loose, float got, int32_t i)
{
    double difference = loose.value - (double)got;
    CHECK_SAME(exact, got, i);
    CHECK((difference < 0 ? -difference : difference) <= 1e-5 * loose.magnitude);
}

static void check_forward(const geometry *f, const float *x, const float *w, const float *b, const float *y)
{
    for (int32_t oh = 0; oh < f->out_h; oh++)
        for (int32_t ow = 0; ow < f->out_w; ow++)
            for (int32_t k = 0; k < f->out_c; k++)
                check_element(forward_exact(f, x, w, b, oh, ow, k), forward_loose(f, x, w, b, oh, ow, k), y[y_at(f, oh, ow, k)],
                              y_at(f, oh, ow, k));
}

static void test_forward(const char *name, const cge_conv2d *g, const geometry *f)
{
    if (!check_room(name, sizeof(float) * (size_t)(x_elems(f) + w_elems(f) + f->out_c + y_elems(f)))) return;
    const float *x = check_operands(x_elems(f), SEED_X), *w = check_operands(w_elems(f), SEED_W), *b = check_operands(f->out_c, SEED_B);
    float *y = check_floats(y_elems(f));
    CHECK_OK(cge_conv2d_forward_f32(g, x, w, b, y));
    check_forward(f, x, w, b, y);
    CHECK_OK(cge_conv2d_forward_f32(g, x, w, NULL, y));
    check_forward(f, x, w, NULL, y);
}

static void test_weight_grad(const char *name, const cge_conv2d *g, const geometry *f)
{
    if (!check_room(name, sizeof(float) * (size_t)(x_elems(f) + w_elems(f) + y_elems(f)))) return;
    const float *x = check_operands(x_elems(f), SEED_X), *dy = check_operands(y_elems(f), SEED_DY);
    float *dw = check_operands(w_elems(f), SEED_DW);
    CHECK_OK(cge_conv2d_weight_grad_f32(g, x, dy, dw));
    for (int32_t kh = 0; kh < f->kernel_h; kh++)
        for (int32_t kw = 0; kw < f->kernel_w; kw++)
            for (int32_t c = 0; c < f->group_c; c++)
                for (int32_t k = 0; k < f->out_c; k++) {
                    int32_t i = w_at(f, kh, kw, c, k);
                    float before = operand(SEED_DW, i);
                    check_element(weight_grad_exact(f, x, dy, before, kh, kw, c, k), weight_grad_loose(f, x, dy, before, kh, kw, c, k), dw[i], i);
                }
}

static void test_bias_grad(const char *name, const cge_conv2d *g, const geometry *f)
{
    if (!check_room(name, sizeof(float) * (size_t)(y_elems(f) + f->out_c))) return;
    const float *dy = check_operands(y_elems(f), SEED_DY);
    float *db = check_operands(f->out_c, SEED_DB);
    CHECK_OK(cge_conv2d_bias_grad_f32(g, dy, db));
    for (int32_t k = 0; k < f->out_c; k++)
        check_element(bias_grad_exact(f, dy, operand(SEED_DB, k), k), bias_grad_loose(f, dy, operand(SEED_DB, k), k), db[k], k);
}

static void test_input_grad(const char *name, const cge_conv2d *g, const geometry *f)
{
    if (!check_room(name, sizeof(float) * (size_t)(x_elems(f) + w_elems(f) + y_elems(f)))) return;
    const float *w = check_operands(w_elems(f), SEED_W), *dy = check_operands(y_elems(f), SEED_DY);
    float *dx = check_floats(x_elems(f));
    CHECK_OK(cge_conv2d_input_grad_f32(g, w, dy, dx));
    for (int32_t ih = 0; ih < f->in_h; ih++)
        for (int32_t iw = 0; iw < f->in_w; iw++)
            for (int32_t c = 0; c < f->in_c; c++)
                check_element(input_grad_exact(f, w, dy, ih, iw, c), input_grad_loose(f, w, dy, ih, iw, c), dx[x_at(f, ih, iw, c)], x_at(f, ih, iw, c));
}

static void test_geometry(const char *name, const cge_conv2d *g)
{
    geometry f = fill(g);
    cge_shape out = {0, 0, 0};
    check_case(name);
    CHECK_OK(cge_conv2d_output_shape(g, &out));
    if (!CHECK(out.h == f.out_h && out.w == f.out_w && out.c == f.out_c)) return;
    test_forward(name, g, &f);
    test_weight_grad(name, g, &f);
    test_bias_grad(name, g, &f);
    test_input_grad(name, g, &f);
}

/* ---- the edge matrix ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    cge_conv2d g; /* in h, w, c; out_c; kernel; stride; dilation; pad top, left, bottom, right; groups */
} geometries[] = {
    {"smallest", {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {"defaults", {5, 6, 2, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {"padding same", {6, 5, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"1x1 input, padding same", {1, 1, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"1x1 input, stride", {1, 1, 2, 2, 3, 3, 2, 2, 1, 1, 2, 2, 2, 2, 1}},
    {"one row", {1, 9, 2, 3, 1, 3, 1, 2, 1, 1, 0, 1, 0, 1, 1}},
    {"one column", {9, 1, 2, 3, 3, 1, 2, 1, 1, 1, 1, 0, 1, 0, 1}},
    {"stride > kernel", {9, 11, 2, 3, 2, 2, 3, 4, 1, 1, 0, 0, 0, 0, 1}},
    {"stride > kernel, padded", {9, 11, 2, 3, 2, 1, 4, 3, 1, 1, 1, 2, 3, 0, 1}},
    {"stride > input", {3, 4, 2, 3, 2, 2, 7, 9, 1, 1, 0, 0, 0, 0, 1}},
    {"stride rows only", {8, 6, 3, 4, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"stride columns only", {6, 8, 3, 4, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1}},
    {"(H+2P-K) % S != 0", {8, 7, 2, 3, 3, 2, 2, 3, 1, 1, 1, 0, 1, 0, 1}},
    {"(H+2P-K) % S != 0, unpadded", {8, 9, 1, 2, 3, 3, 2, 4, 1, 1, 0, 0, 0, 0, 1}},
    {"padding == kernel", {4, 5, 2, 2, 2, 3, 1, 1, 1, 1, 2, 3, 2, 3, 1}},
    {"padding > kernel", {3, 2, 2, 3, 2, 2, 1, 1, 1, 1, 5, 4, 3, 6, 1}},
    {"padding > kernel, stride", {3, 4, 2, 3, 2, 2, 3, 2, 1, 1, 5, 4, 3, 6, 1}},
    {"padding only top", {4, 5, 2, 3, 3, 3, 1, 1, 1, 1, 2, 0, 0, 0, 1}},
    {"padding only left", {4, 5, 2, 3, 3, 3, 1, 1, 1, 1, 0, 2, 0, 0, 1}},
    {"padding only bottom", {4, 5, 2, 3, 3, 3, 1, 1, 1, 1, 0, 0, 2, 0, 1}},
    {"padding only right", {4, 5, 2, 3, 3, 3, 1, 1, 1, 1, 0, 0, 0, 2, 1}},
    {"padding on four sides, each its own", {6, 7, 2, 3, 3, 3, 2, 2, 1, 1, 0, 1, 2, 3, 1}},
    {"only padding reaches far rows", {2, 2, 1, 2, 5, 5, 1, 1, 1, 1, 4, 4, 4, 4, 1}},
    {"kernel as large as the input", {4, 5, 3, 4, 4, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"kernel as large as the padded input", {3, 4, 2, 3, 5, 7, 1, 1, 1, 1, 1, 2, 1, 1, 1}},
    {"kernel larger than the input", {2, 3, 2, 3, 5, 5, 2, 2, 1, 1, 2, 2, 2, 2, 1}},
    {"dilation", {9, 8, 2, 3, 3, 3, 1, 1, 2, 2, 0, 0, 0, 0, 1}},
    {"dilation rows only", {9, 6, 2, 3, 3, 3, 1, 1, 3, 1, 2, 1, 2, 1, 1}},
    {"dilation columns only", {6, 9, 2, 3, 3, 3, 1, 1, 1, 3, 1, 2, 1, 2, 1}},
    {"dilation and stride", {10, 11, 2, 3, 3, 2, 2, 3, 2, 3, 2, 1, 1, 2, 1}},
    {"dilation > input", {3, 3, 2, 2, 3, 3, 1, 1, 4, 5, 4, 5, 4, 5, 1}},
    {"dilated kernel as large as the padded input", {5, 4, 2, 2, 3, 2, 1, 1, 3, 5, 1, 1, 1, 1, 1}},
    {"non-square kernel 1x5", {5, 9, 2, 3, 1, 5, 1, 1, 1, 1, 0, 2, 0, 2, 1}},
    {"non-square kernel 4x1", {9, 5, 2, 3, 4, 1, 1, 1, 1, 1, 2, 0, 1, 0, 1}},
    {"pointwise", {4, 5, 5, 6, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"pointwise, stride", {5, 6, 5, 6, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1}},
    {"pointwise, padding", {3, 4, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"pointwise 31 -> 33", {2, 3, 31, 33, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"pointwise 33 -> 32", {2, 3, 33, 32, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"pointwise 2 -> 65", {3, 3, 2, 65, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"groups", {5, 6, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2}},
    {"groups, more inputs than filters", {5, 4, 9, 3, 2, 3, 1, 1, 1, 1, 1, 1, 0, 1, 3}},
    {"groups, stride and dilation", {8, 9, 6, 4, 3, 2, 2, 2, 2, 3, 1, 2, 2, 1, 2}},
    {"groups of 8 filters", {4, 4, 4, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2}},
    {"depthwise", {6, 5, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4}},
    {"depthwise, 17 channels", {5, 5, 17, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 17}},
    {"depthwise, stride", {7, 8, 8, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 8}},
    {"depthwise, dilation", {7, 8, 5, 5, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 5}},
    {"depthwise, 3 filters per channel", {5, 6, 3, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3}},
    {"depthwise, kernel 5x2, one-sided", {7, 6, 9, 9, 5, 2, 1, 2, 1, 1, 3, 0, 0, 1, 9}},
    {"first layer, grey camera", {9, 9, 1, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"first layer, colour camera", {9, 9, 3, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1}},
    {"first layer, kernel 5x5", {9, 9, 1, 6, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"stride as large as can be", {3, 3, 1, 2, 2, 2, CGE_MAX_ELEMS, CGE_MAX_ELEMS, 1, 1, 1, 1, 1, 1, 1}},
    {"dilation as large as can be", {3, 3, 1, 2, 1, 1, 1, 1, CGE_MAX_ELEMS, CGE_MAX_ELEMS, 0, 0, 0, 0, 1}},
    {"stride and padding as large as can be", {3, 2, 1, 2, 2, 1, 0x08000000, 1, 1, 1, 0x08000000, 0, CGE_MAX_ELEMS - 0x08000003, 0, 1}},
    {"padding and dilation as large as can be", {2, 3, 1, 2, 1, 2, 1, 1, 1, CGE_MAX_ELEMS - 1, 0, CGE_MAX_ELEMS - 3, 0, 0, 1}},
};

static const int32_t channels[] = {1, 3, 4, 5, 8, 16, 17};

static void test_channels(void)
{
    for (int32_t i = 0; i < COUNT_OF(channels); i++)
        for (int32_t j = 0; j < COUNT_OF(channels); j++) {
            cge_conv2d plain = {3, 4, 0, 0, 2, 2, 1, 1, 1, 1, 1, 0, 0, 1, 1}, strided = {4, 5, 0, 0, 2, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1};
            char name[48];
            plain.in_c = strided.in_c = channels[i];
            plain.out_c = strided.out_c = channels[j];
            snprintf(name, sizeof name, "%d -> %d channels", (int)channels[i], (int)channels[j]);
            test_geometry(name, &plain);
            test_geometry(name, &strided);
        }
}

static void test_widths(void)
{
    for (int32_t width = 1; width <= 19; width++) {
        cge_conv2d g = {2, 0, 2, 5, 2, 3, 1, 1, 1, 1, 0, 1, 1, 1, 1};
        char name[48];
        g.in_w = width;
        snprintf(name, sizeof name, "width %d", (int)width);
        test_geometry(name, &g);
    }
}

/* IEEE says what NaN, infinity and 0 * infinity give: no kernel may skip a product because a factor is zero, and no
 * product may come from the padding. Only the exact oracle can say that. */
static void test_not_finite(void)
{
    static const cge_conv2d g = {4, 5, 3, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    geometry f = fill(&g);
    if (!check_room("not finite", sizeof(float) * (size_t)(2 * x_elems(&f) + 2 * w_elems(&f) + 2 * y_elems(&f)))) return;
    float *x = check_operands(x_elems(&f), SEED_X), *w = check_operands(w_elems(&f), SEED_W), *dy = check_operands(y_elems(&f), SEED_DY);
    float *y = check_floats(y_elems(&f)), *dx = check_floats(x_elems(&f)), *dw = check_operands(w_elems(&f), SEED_DW);
    x[7] = float_from_bits(0x7f800000u);
    x[31] = float_from_bits(0x7fc00000u);
    w[5] = 0;
    w[40] = float_from_bits(0xff800000u);
    dy[11] = float_from_bits(0x7f800000u);
    dy[12] = 0;
    CHECK_OK(cge_conv2d_forward_f32(&g, x, w, NULL, y));
    CHECK_OK(cge_conv2d_weight_grad_f32(&g, x, dy, dw));
    CHECK_OK(cge_conv2d_input_grad_f32(&g, w, dy, dx));
    for (int32_t i = 0; i < y_elems(&f); i++)
        CHECK_SAME(forward_exact(&f, x, w, NULL, i / f.out_c / f.out_w, i / f.out_c % f.out_w, i % f.out_c), y[i], i);
    for (int32_t i = 0; i < w_elems(&f); i++) {
        int32_t at = i / f.out_c / f.group_c;
        CHECK_SAME(weight_grad_exact(&f, x, dy, operand(SEED_DW, i), at / f.kernel_w, at % f.kernel_w, i / f.out_c % f.group_c, i % f.out_c), dw[i], i);
    }
    for (int32_t i = 0; i < x_elems(&f); i++)
        CHECK_SAME(input_grad_exact(&f, w, dy, i / f.in_c / f.in_w, i / f.in_c % f.in_w, i % f.in_c), dx[i], i);
}

/*
 * Gradients that TensorFlow's own tests expect (tensorflow/compiler/tests/conv2d_test.py), where x, w and dy are 1, 2, 3, ...
 * All sums are whole numbers below 2^24, so any order of additions and any arithmetic gives just these.
 */
enum { OUTSIDE_ELEMS = 36 };

static const struct {
    const char *name;
    cge_conv2d g;
    int32_t is_input_grad;
    float expected[OUTSIDE_ELEMS];
} outside[] = {
    {"filter 1x1", {4, 4, 3, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 0, {8056, 8432, 8312, 8704, 8568, 8976}},
    {"filter 1x2", {3, 3, 1, 1, 1, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 0, {120, 141}},
    {"filter 2x2, depth 1", {2, 3, 1, 1, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 0, {5, 8, 14, 17}},
    {"filter 2x2, depth 3", {2, 3, 3, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 0,
     {17, 22, 27, 22, 29, 36, 27, 36, 45, 32, 43, 54, 37, 50, 63, 42, 57, 72,
      62, 85, 108, 67, 92, 117, 72, 99, 126, 77, 106, 135, 82, 113, 144, 87, 120, 153}},
    {"filter 1x2, stride 3, width 5", {1, 5, 1, 1, 1, 2, 3, 3, 1, 1, 0, 0, 0, 0, 1}, 0, {9, 12}},
    {"filter 1x2, stride 3, width 6", {1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 0, 0, 0, 0, 1}, 0, {9, 12}},
    {"filter 1x2, stride 3, width 7", {1, 7, 1, 1, 1, 2, 3, 3, 1, 1, 0, 0, 0, 0, 1}, 0, {9, 12}},
    {"filter 1x3", {1, 4, 1, 1, 1, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 0, {5, 8, 11}},
    {"filter 1x3, same", {1, 4, 1, 1, 1, 3, 1, 1, 1, 1, 0, 1, 0, 1, 1}, 0, {20, 30, 20}},
    {"filter 1x3, same, stride 2", {1, 4, 1, 1, 1, 3, 2, 2, 1, 1, 0, 0, 0, 1, 1}, 0, {7, 10, 3}},
    {"filter 2x2, same", {2, 3, 1, 1, 2, 2, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 0, {91, 58, 32, 17}},
    {"filter 1x3, stride 2", {3, 5, 1, 1, 1, 3, 2, 2, 1, 1, 0, 0, 0, 0, 1}, 0, {92, 102, 112}},
    {"filter 2x2, same, stride 2", {2, 3, 1, 1, 2, 2, 2, 2, 1, 1, 0, 0, 0, 1, 1}, 0, {7, 2, 16, 5}},
    {"filter 2x2, dilation 2x1", {3, 6, 1, 1, 2, 2, 1, 1, 2, 1, 0, 0, 0, 0, 1}, 0, {55, 70, 235, 250}},
    {"filter 2x2, dilation 1x2", {2, 3, 1, 1, 2, 2, 1, 1, 1, 2, 0, 0, 0, 0, 1}, 0, {1, 3, 4, 6}},
    {"filter 2x2, dilation 2x2", {3, 4, 3, 3, 2, 2, 1, 1, 2, 2, 0, 0, 0, 0, 1}, 0,
     {17, 22, 27, 22, 29, 36, 27, 36, 45, 47, 64, 81, 52, 71, 90, 57, 78, 99,
      137, 190, 243, 142, 197, 252, 147, 204, 261, 167, 232, 297, 172, 239, 306, 177, 246, 315}},
    {"filter as wide as the input, dilation 2x2", {3, 3, 1, 2, 2, 2, 1, 1, 2, 2, 0, 0, 0, 0, 1}, 0,
     {1, 2, 3, 6, 7, 14, 9, 18}},
    {"input, dilation 2x1", {3, 6, 1, 1, 2, 2, 1, 1, 2, 1, 0, 0, 0, 0, 1}, 1,
     {1, 4, 7, 10, 13, 10, 0, 0, 0, 0, 0, 0, 3, 10, 17, 24, 31, 20}},
    {"input, dilation 1x2", {2, 3, 1, 1, 2, 2, 1, 1, 1, 2, 0, 0, 0, 0, 1}, 1, {1, 0, 2, 3, 0, 4}},
    {"input, depth 3, dilation 2x1", {3, 2, 3, 3, 2, 2, 1, 1, 2, 1, 0, 0, 0, 0, 1}, 1,
     {14, 32, 50, 68, 86, 104, 0, 0, 0, 0, 0, 0, 122, 140, 158, 176, 194, 212}},
    {"input as wide as the filter, dilation 2x2", {3, 3, 1, 2, 2, 2, 1, 1, 2, 2, 0, 0, 0, 0, 1}, 1,
     {5, 0, 11, 0, 0, 0, 17, 0, 23}},
};

static float *count_up(int32_t elems)
{
    float *numbers = check_floats(elems);
    for (int32_t i = 0; i < elems; i++) numbers[i] = (float)(i + 1);
    return numbers;
}

static void test_outside(int32_t number)
{
    const cge_conv2d *g = &outside[number].g;
    geometry f = fill(g);
    int32_t grads = outside[number].is_input_grad ? x_elems(&f) : w_elems(&f);
    if (!check_room(outside[number].name, sizeof(float) * (size_t)(x_elems(&f) + w_elems(&f) + y_elems(&f)))) return;
    float *operands = count_up(outside[number].is_input_grad ? w_elems(&f) : x_elems(&f)), *dy = count_up(y_elems(&f));
    float *got = check_floats(grads);
    for (int32_t i = 0; i < grads; i++) got[i] = 0;
    if (outside[number].is_input_grad) CHECK_OK(cge_conv2d_input_grad_f32(g, operands, dy, got));
    else CHECK_OK(cge_conv2d_weight_grad_f32(g, operands, dy, got));
    for (int32_t i = 0; i < grads; i++) CHECK_SAME(outside[number].expected[i], got[i], i);
}

void suite_conv2d(void)
{
    for (int32_t i = 0; i < COUNT_OF(outside); i++) test_outside(i);
    for (int32_t i = 0; i < COUNT_OF(geometries); i++) test_geometry(geometries[i].name, &geometries[i].g);
    test_channels();
    test_widths();
    test_not_finite();
}

/* ---- bad input ----------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    cge_status status;
    cge_conv2d g;
} refused[] = {
    {"in_h 0", CGE_ERR_SHAPE, {0, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"in_w negative", CGE_ERR_SHAPE, {4, -4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"in_c 0", CGE_ERR_SHAPE, {4, 4, 0, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"out_c 0", CGE_ERR_SHAPE, {4, 4, 2, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"out_c negative", CGE_ERR_SHAPE, {4, 4, 2, INT32_MIN, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"kernel_h 0", CGE_ERR_SHAPE, {4, 4, 2, 2, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"kernel_w negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, -1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"stride_h negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, -1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"stride_w negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, INT32_MIN, 1, 1, 0, 0, 0, 0, 1}},
    {"dilation_h negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, -1, 1, 0, 0, 0, 0, 1}},
    {"dilation_w negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, -7, 0, 0, 0, 0, 1}},
    {"pad_top negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, -1, 0, 0, 0, 1}},
    {"pad_left negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, -1, 0, 0, 1}},
    {"pad_bottom negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, -1, 0, 1}},
    {"pad_right negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, INT32_MIN, 1}},
    {"groups negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, -1}},
    {"groups do not divide in_c", CGE_ERR_SHAPE, {4, 4, 3, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2}},
    {"groups do not divide out_c", CGE_ERR_SHAPE, {4, 4, 4, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2}},
    {"groups > channels", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 4}},
    {"kernel_h > padded input", CGE_ERR_SHAPE, {4, 4, 2, 2, 7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"kernel_w > padded input", CGE_ERR_SHAPE, {4, 4, 2, 2, 1, 6, 1, 1, 1, 1, 1, 0, 1, 1, 1}},
    {"dilated kernel > padded input", CGE_ERR_SHAPE, {4, 4, 2, 2, 3, 3, 1, 1, 1, 2, 0, 0, 0, 0, 1}},
    {"dilated kernel beyond int32", CGE_ERR_SHAPE, {4, 4, 2, 2, 3, 3, 1, 1, INT32_MAX, 1, 0, 0, 0, 0, 1}},
    {"input overflows", CGE_ERR_OVERFLOW, {65536, 65536, 65536, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"input one too large", CGE_ERR_OVERFLOW, {0x10000000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"weights overflow", CGE_ERR_OVERFLOW, {1, 1, 65536, 65536, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"output overflows", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 65536, 65536, 65536, 65536, 1}},
    {"2^28 inputs", CGE_ERR_OVERFLOW, {16384, 16384, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"2^28 inputs, by channels", CGE_ERR_OVERFLOW, {16384, 8192, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"2^28 outputs", CGE_ERR_OVERFLOW, {16384, 8192, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"2^28 weights", CGE_ERR_OVERFLOW, {1, 1, 16384, 16384, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"padded height one too large, below", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 1, 0, 0, CGE_MAX_ELEMS, 0, 1}},
    {"padded width one too large, right", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 0, 0, 0, CGE_MAX_ELEMS, 1}},
    {"padded height one too large", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 1, CGE_MAX_ELEMS, 0, 0, 0, 1}},
    {"padded width one too large", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 0, CGE_MAX_ELEMS - 2, 0, 2, 1}},
    {"stride_h too large", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS + 1, 1, 1, 1, 0, 0, 0, 0, 1}},
    {"stride_w too large", CGE_ERR_OVERFLOW, {1, 1, 1, 1, 1, 1, 1, INT32_MAX, 1, 1, 0, 0, 0, 0, 1}},
    {"everything as large as it can be", CGE_ERR_OVERFLOW,
     {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, 1, 1, 1, 1, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, 1}},
};

static void test_bad_geometry(float *x, float *w, float *b, float *y, cge_shape *out)
{
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        const cge_conv2d *g = &refused[i].g;
        check_case(refused[i].name);
        CHECK_REFUSED(refused[i].status, cge_conv2d_output_shape(g, out));
        CHECK_REFUSED(refused[i].status, cge_conv2d_forward_f32(g, x, w, b, y));
        CHECK_REFUSED(refused[i].status, cge_conv2d_weight_grad_f32(g, x, y, w));
        CHECK_REFUSED(refused[i].status, cge_conv2d_bias_grad_f32(g, y, b));
        CHECK_REFUSED(refused[i].status, cge_conv2d_input_grad_f32(g, w, y, x));
    }
}

/* Sizes at the limit are fine: 2^28 - 1 = 5461 * 3 * 16385. */
static void test_limits(cge_shape *out)
{
    static const struct {
        const char *name;
        cge_conv2d g;
        cge_shape out;
    } accepted[] = {
        {"longest input", {CGE_MAX_ELEMS, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {CGE_MAX_ELEMS, 1, 1}},
        {"widest input", {1, CGE_MAX_ELEMS, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, CGE_MAX_ELEMS, 1}},
        {"largest input", {5461, 16385, 3, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {5461, 16385, 1}},
        {"largest output", {5461, 16385, 1, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {5461, 16385, 3}},
        {"most weights", {1, 1, 16383, 16385, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 16385}},
        {"most weights, large kernel", {3, 5461, 1, 16385, 3, 5461, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 16385}},
        {"highest padded input", {1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 1, CGE_MAX_ELEMS - 2, 0, 1, 0, 0}, {1, 1, 1}},
        {"widest padded input", {1, 1, 1, 1, 1, 1, 1, CGE_MAX_ELEMS, 1, 1, 0, 1, 0, CGE_MAX_ELEMS - 2, 0}, {1, 1, 1}},
    };
    for (int32_t i = 0; i < COUNT_OF(accepted); i++) {
        check_case(accepted[i].name);
        CHECK_OK(cge_conv2d_output_shape(&accepted[i].g, out));
        CHECK(out->h == accepted[i].out.h && out->w == accepted[i].out.w && out->c == accepted[i].out.c);
    }
}

static void test_bad_pointers(float *x, float *w, float *b, float *y, cge_shape *out)
{
    static const cge_conv2d g = {2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_output_shape(NULL, out));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_output_shape(&g, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_forward_f32(NULL, x, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_forward_f32(&g, NULL, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_forward_f32(&g, x, NULL, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_forward_f32(&g, x, w, b, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_weight_grad_f32(NULL, x, y, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_weight_grad_f32(&g, NULL, y, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_weight_grad_f32(&g, x, NULL, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_weight_grad_f32(&g, x, y, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_bias_grad_f32(NULL, y, b));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_bias_grad_f32(&g, NULL, b));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_bias_grad_f32(&g, y, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_input_grad_f32(NULL, w, y, x));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_input_grad_f32(&g, NULL, y, x));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_input_grad_f32(&g, w, NULL, x));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv2d_input_grad_f32(&g, w, y, NULL));
    check_case("misaligned");
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_forward_f32(&g, misaligned(x), w, b, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_forward_f32(&g, x, misaligned(w), b, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_forward_f32(&g, x, w, misaligned(b), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_forward_f32(&g, x, w, b, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_weight_grad_f32(&g, misaligned(x), y, w));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_weight_grad_f32(&g, x, misaligned(y), w));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_weight_grad_f32(&g, x, y, misaligned(w)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_bias_grad_f32(&g, misaligned(y), b));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_bias_grad_f32(&g, y, misaligned(b)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_input_grad_f32(&g, misaligned(w), y, x));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_input_grad_f32(&g, w, misaligned(y), x));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv2d_input_grad_f32(&g, w, y, misaligned(x)));
}

void suite_conv2d_status(void)
{
    if (!check_room("status", 5 * 128)) return;
    float *x = check_floats(16), *w = check_floats(16), *b = check_floats(16), *y = check_floats(16);
    cge_shape *out = check_bytes(sizeof *out);
    test_bad_geometry(x, w, b, y, out);
    test_bad_pointers(x, w, b, y, out);
    test_limits(out);
}
