/* Images moved and enlarged: the header's formulas bit for bit, element by element. */
#include "check.h"
#include "suites.h"

#include <string.h>

enum { SEED_X = 51, SEED_DY };

static float *filled(int32_t n, uint32_t seed)
{
    float *x = check_floats(n);
    for (int32_t i = 0; i < n; i++) x[i] = operand(seed, i);
    return x;
}

static int32_t at(int32_t h, int32_t w, int32_t k, int32_t width, int32_t channels)
{
    return (h * width + w) * channels + k;
}

/* ---- padding and cropping ---- */

static const cge_pad2d pads[] = {{3, 4, 2, 0, 0, 0, 0}, {3, 4, 2, 1, 0, 0, 0}, {2, 3, 1, 0, 2, 0, 0}, {1, 1, 3, 1, 2, 3, 4}, {4, 2, 5, 0, 0, 2, 1}};

static void test_pads(const cge_pad2d *g)
{
    const int32_t h = g->in_h + g->pad_top + g->pad_bottom, w = g->in_w + g->pad_left + g->pad_right, c = g->in_c;
    const int32_t small = g->in_h * g->in_w * c, large = h * w * c;
    cge_pad2d of_large = *g;
    if (!check_room("zero_pad2d", sizeof(float) * 2 * (size_t)(small + large))) return;
    float *x = filled(small, SEED_X), *dy = filled(large, SEED_DY), *y = check_floats(large), *dx = check_floats(small);
    of_large.in_h = h;
    of_large.in_w = w;
    CHECK_OK(cge_zero_pad2d_forward_f32(g, x, y));
    CHECK_OK(cge_zero_pad2d_input_grad_f32(g, dy, dx));
    for (int32_t i = 0; i < h; i++)
        for (int32_t j = 0; j < w; j++)
            for (int32_t k = 0; k < c; k++) {
                const int32_t ih = i - g->pad_top, iw = j - g->pad_left;
                const int inside = ih >= 0 && ih < g->in_h && iw >= 0 && iw < g->in_w;
                CHECK_SAME(inside ? x[at(ih, iw, k, g->in_w, c)] : 0, y[at(i, j, k, w, c)], i);
                if (inside) CHECK_SAME(dy[at(i, j, k, w, c)], dx[at(ih, iw, k, g->in_w, c)], i);
            }
    check_case("crop2d");
    CHECK_OK(cge_crop2d_forward_f32(&of_large, dy, x));
    for (int32_t i = 0; i < small; i++) CHECK_SAME(dx[i], x[i], i);
    CHECK_OK(cge_crop2d_input_grad_f32(&of_large, x, dy));
    CHECK_OK(cge_zero_pad2d_forward_f32(g, x, y));
    for (int32_t i = 0; i < large; i++) CHECK_SAME(y[i], dy[i], i);
}

/* ---- channels ---- */

static void test_channels(int32_t begin, int32_t count)
{
    enum { PIXELS = 6, CHANNELS = 5 };
    const cge_channel_slice g = {2, 3, CHANNELS, begin, count};
    if (!check_room("channel_slice", sizeof(float) * 4 * PIXELS * CHANNELS)) return;
    float *x = filled(PIXELS * CHANNELS, SEED_X), *dy = filled(PIXELS * count, SEED_DY), *y = check_floats(PIXELS * count), *dx = check_floats(PIXELS * CHANNELS);
    CHECK_OK(cge_channel_slice_forward_f32(&g, x, y));
    CHECK_OK(cge_channel_slice_input_grad_f32(&g, dy, dx));
    for (int32_t i = 0; i < PIXELS * CHANNELS; i++) {
        const int32_t k = i % CHANNELS - begin;
        if (k >= 0 && k < count) CHECK_SAME(x[i], y[i / CHANNELS * count + k], i);
        CHECK_SAME(k >= 0 && k < count ? dy[i / CHANNELS * count + k] : 0, dx[i], i);
    }
}

/* ---- enlarged ---- */

/* The weight in output o of the first or the second of the two inputs that it lies between; *i: which one that is. */
static float weight_of(int32_t o, int32_t scale, int32_t in, int second, int32_t *i)
{
    const int32_t doubled = 2 * o + 1 > scale ? 2 * o + 1 - scale : 0, low = doubled / (2 * scale);
    const float of_high = (float)(doubled - low * 2 * scale) / (float)(2 * scale);
    *i = second && low + 1 < in ? low + 1 : low;
    return second ? of_high : 1 - of_high;
}

static float weighted(const float *row, int32_t ow, int32_t k, const cge_upsample2d *g)
{
    int32_t left, right;
    const float of_left = weight_of(ow, g->scale_w, g->in_w, 0, &left), of_right = weight_of(ow, g->scale_w, g->in_w, 1, &right);
    volatile float first = row[left * g->in_c + k] * of_left;
    return mul_add(row[right * g->in_c + k], of_right, first);
}

static float enlarged(const cge_upsample2d *g, const float *x, int32_t oh, int32_t ow, int32_t k)
{
    const int32_t row = g->in_w * g->in_c;
    int32_t low, high;
    if (!g->bilinear) return x[at(oh / g->scale_h, ow / g->scale_w, k, g->in_w, g->in_c)];
    const float of_low = weight_of(oh, g->scale_h, g->in_h, 0, &low), of_high = weight_of(oh, g->scale_h, g->in_h, 1, &high);
    volatile float first = weighted(x + low * row, ow, k, g) * of_low;
    return mul_add(weighted(x + high * row, ow, k, g), of_high, first);
}

static void spread(const cge_upsample2d *g, float dy, int32_t oh, int32_t ow, int32_t k, float *dx)
{
    for (int part = 0; part < (g->bilinear ? 4 : 1); part++) {
        int32_t h, w;
        const float of_h = weight_of(oh, g->scale_h, g->in_h, part >> 1, &h), of_w = weight_of(ow, g->scale_w, g->in_w, part & 1, &w);
        float *to = g->bilinear ? &dx[at(h, w, k, g->in_w, g->in_c)] : &dx[at(oh / g->scale_h, ow / g->scale_w, k, g->in_w, g->in_c)];
        *to = g->bilinear ? mul_add(dy, of_h * of_w, *to) : *to + dy;
    }
}

static void test_upsample(const cge_upsample2d *g)
{
    const int32_t h = g->in_h * g->scale_h, w = g->in_w * g->scale_w, c = g->in_c, in = g->in_h * g->in_w * c, out = h * w * c;
    if (!check_room(g->bilinear ? "bilinear" : "nearest", sizeof(float) * (size_t)(3 * in + 2 * out))) return;
    float *x = filled(in, SEED_X), *dy = filled(out, SEED_DY), *y = check_floats(out), *dx = check_floats(in), *expected = check_floats(in);
    CHECK_OK(cge_upsample2d_forward_f32(g, x, y));
    CHECK_OK(cge_upsample2d_input_grad_f32(g, dy, dx));
    memset(expected, 0, sizeof(float) * (size_t)in);
    for (int32_t i = 0; i < h; i++)
        for (int32_t j = 0; j < w; j++)
            for (int32_t k = 0; k < c; k++) {
                CHECK_SAME(enlarged(g, x, i, j, k), y[at(i, j, k, w, c)], at(i, j, k, w, c));
                spread(g, dy[at(i, j, k, w, c)], i, j, k, expected);
            }
    for (int32_t i = 0; i < in; i++) CHECK_SAME(expected[i], dx[i], i);
}

void suite_image(void)
{
    for (int32_t i = 0; i < COUNT_OF(pads); i++) test_pads(&pads[i]);
    for (int32_t begin = 0; begin < 5; begin++)
        for (int32_t count = 1; begin + count <= 5; count++) test_channels(begin, count);
    for (int32_t scale = 1; scale < 6; scale++)
        for (int32_t bilinear = 0; bilinear < 2; bilinear++) {
            const cge_upsample2d wide = {2, 3, 2, scale, 6 - scale, bilinear}, one = {1, 1, 1, scale, 2, bilinear};
            test_upsample(&wide);
            test_upsample(&one);
        }
}

void suite_image_status(void)
{
    static const cge_pad2d negative[] = {{2, 2, 1, -1, 0, 0, 0}, {2, 2, 1, 0, -1, 0, 0}, {2, 2, 1, 0, 0, -1, 0}, {2, 2, 1, 0, 0, 0, INT32_MIN}, {0, 2, 1, 0, 0, 0, 0},
                                         {2, -1, 1, 0, 0, 0, 0}, {2, 2, 0, 0, 0, 0, 0}, {2, 2, 1, 0x10000000, 0, 0, 0}};
    static const cge_pad2d all_away[] = {{2, 2, 1, 1, 0, 1, 0}, {2, 2, 1, 0, 2, 0, 0}, {2, 2, 1, 0x0fffffff, 0, 0x0fffffff, 0}};
    static const cge_channel_slice slices[] = {{2, 2, 3, -1, 1}, {2, 2, 3, 0, 0}, {2, 2, 3, 1, 3}, {2, 2, 3, 3, 1}, {2, 2, 3, 0x0fffffff, 0x0fffffff}, {2, 2, 3, INT32_MAX, INT32_MAX}};
    static const cge_upsample2d scales[] = {{2, 2, 1, 0, 1, 0}, {2, 2, 1, 1, -1, 0}, {0, 2, 1, 1, 1, 0}, {2, 2, 1, INT32_MAX, 1, 0}};
    static const cge_upsample2d mode = {2, 2, 1, 1, 1, 2}, large = {4, 4, 4, 4096, 4096, 0}, larger = {4, 4, 4, 0x0fffffff, 1, 0};
    static const cge_pad2d large_pad = {1, 1, 1, 0, 0, 0x4000, 0x4000}, pad = {1, 1, 1, 0, 0, 0, 0}, huge = {0x4000, 0x4000, 2, 0, 0, 0, 0};
    if (!check_room("status", 64)) return;
    float *x = check_floats(4), *y = check_floats(4);
    CHECK_REFUSED(CGE_ERR_NULL, cge_zero_pad2d_forward_f32(NULL, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_zero_pad2d_forward_f32(&pad, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_crop2d_input_grad_f32(&pad, x, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_zero_pad2d_input_grad_f32(&pad, misaligned(x), y));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_zero_pad2d_forward_f32(&large_pad, x, y));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_crop2d_forward_f32(&huge, x, y));
    for (int32_t i = 0; i < COUNT_OF(negative); i++) {
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_zero_pad2d_forward_f32(&negative[i], x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_zero_pad2d_input_grad_f32(&negative[i], x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_crop2d_forward_f32(&negative[i], x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_crop2d_input_grad_f32(&negative[i], x, y));
    }
    for (int32_t i = 0; i < COUNT_OF(all_away); i++) CHECK_REFUSED(CGE_ERR_SHAPE, cge_crop2d_forward_f32(&all_away[i], x, y));
    for (int32_t i = 0; i < COUNT_OF(slices); i++) {
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_channel_slice_forward_f32(&slices[i], x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_channel_slice_input_grad_f32(&slices[i], x, y));
    }
    for (int32_t i = 0; i < COUNT_OF(scales); i++) {
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_upsample2d_forward_f32(&scales[i], x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_upsample2d_input_grad_f32(&scales[i], x, y));
    }
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_upsample2d_forward_f32(&mode, x, y));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_upsample2d_forward_f32(&large, x, y));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_upsample2d_forward_f32(&larger, x, y));
}
