/* Pooling against loops over all input places (which window holds this place?), bit for bit where the order is
 * part of the contract. */
#include "check.h"
#include "suites.h"

enum { SEED_X = 21, SEED_DY };

typedef struct geometry {
    int32_t in_h, in_w, in_c, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, count_padding;
} geometry;

static int32_t count_windows(int32_t padded, int32_t kernel, int32_t stride)
{
    int32_t count = 0;
    while ((int64_t)count * stride + kernel <= padded) count++;
    return count;
}

static geometry fill(const cge_pool2d *g)
{
    geometry f = {g->in_h, g->in_w, g->in_c, 0, 0, g->kernel_h, g->kernel_w, g->stride_h == 0 ? g->kernel_h : g->stride_h,
                  g->stride_w == 0 ? g->kernel_w : g->stride_w, g->pad_top, g->pad_left, g->count_padding};
    f.out_h = count_windows(f.in_h + g->pad_top + g->pad_bottom, f.kernel_h, f.stride_h);
    f.out_w = count_windows(f.in_w + g->pad_left + g->pad_right, f.kernel_w, f.stride_w);
    return f;
}

/* Is input place i inside window o? */
static int holds(int32_t i, int32_t o, int32_t stride, int32_t pad, int32_t kernel)
{
    int64_t distance = (int64_t)i + pad - (int64_t)o * stride;
    return distance >= 0 && distance < kernel;
}

static int in_window(const geometry *f, int32_t ih, int32_t iw, int32_t oh, int32_t ow)
{
    return holds(ih, oh, f->stride_h, f->pad_top, f->kernel_h) && holds(iw, ow, f->stride_w, f->pad_left, f->kernel_w);
}

static int32_t x_elems(const geometry *f) { return f->in_h * f->in_w * f->in_c; }
static int32_t y_elems(const geometry *f) { return f->out_h * f->out_w * f->in_c; }
static int32_t y_at(const geometry *f, int32_t oh, int32_t ow, int32_t c) { return (oh * f->out_w + ow) * f->in_c + c; }

/* Where the largest value of a window is: a NaN wins over numbers, the first in row-major order among equals. */
static int32_t largest(const geometry *f, const float *x, int32_t oh, int32_t ow, int32_t c)
{
    int32_t best = -1;
    for (int32_t i = c; i < x_elems(f); i += f->in_c) {
        int32_t place = i / f->in_c;
        if (!in_window(f, place / f->in_w, place % f->in_w, oh, ow)) continue;
        if (best < 0 || x[i] > x[best] || (x[i] != x[i] && x[best] == x[best])) best = i;
    }
    return best;
}

static int32_t taps_inside(const geometry *f, int32_t oh, int32_t ow)
{
    int32_t count = 0;
    if (f->count_padding) return f->kernel_h * f->kernel_w;
    for (int32_t place = 0; place < f->in_h * f->in_w; place++) count += in_window(f, place / f->in_w, place % f->in_w, oh, ow);
    return count;
}

static float mean(const geometry *f, const float *x, int32_t oh, int32_t ow, int32_t c)
{
    float sum = 0;
    for (int32_t place = 0; place < f->in_h * f->in_w; place++)
        if (in_window(f, place / f->in_w, place % f->in_w, oh, ow)) sum += x[place * f->in_c + c];
    return sum / (float)taps_inside(f, oh, ow);
}

/* The gradient at input element i: what every window that chose it (or, without x, holds it) hands back, windows ascending. */
static float gradient(const geometry *f, const float *x, const float *dy, int32_t i)
{
    int32_t place = i / f->in_c, c = i % f->in_c;
    float dx = 0;
    for (int32_t oh = 0; oh < f->out_h; oh++)
        for (int32_t ow = 0; ow < f->out_w; ow++) {
            float share = dy[y_at(f, oh, ow, c)];
            if (x == NULL) share /= (float)taps_inside(f, oh, ow);
            if (x != NULL ? largest(f, x, oh, ow, c) == i : in_window(f, place / f->in_w, place % f->in_w, oh, ow)) dx += share;
        }
    return dx;
}

static void check_pools(const cge_pool2d *g, const geometry *f, const float *x, const float *dy, float *y, float *dx)
{
    CHECK_OK(cge_maxpool2d_forward_f32(g, x, y));
    for (int32_t i = 0; i < y_elems(f); i++)
        CHECK_SAME(x[largest(f, x, i / f->in_c / f->out_w, i / f->in_c % f->out_w, i % f->in_c)], y[i], i);
    CHECK_OK(cge_maxpool2d_input_grad_f32(g, x, dy, dx));
    for (int32_t i = 0; i < x_elems(f); i++) CHECK_SAME(gradient(f, x, dy, i), dx[i], i);
    CHECK_OK(cge_avgpool2d_forward_f32(g, x, y));
    for (int32_t i = 0; i < y_elems(f); i++)
        CHECK_SAME(mean(f, x, i / f->in_c / f->out_w, i / f->in_c % f->out_w, i % f->in_c), y[i], i);
    CHECK_OK(cge_avgpool2d_input_grad_f32(g, dy, dx));
    for (int32_t i = 0; i < x_elems(f); i++) CHECK_SAME(gradient(f, NULL, dy, i), dx[i], i);
}

static const struct {
    const char *name;
    cge_pool2d g; /* in h, w, c; kernel; stride; pad top, left, bottom, right */
} geometries[] = {
    {"smallest", {1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}},
    {"2x2", {4, 6, 3, 2, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"2x2, rest of 1", {5, 7, 3, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"overlapping", {5, 6, 2, 3, 3, 1, 1, 0, 0, 0, 0, 0}},
    {"overlapping, stride 2", {7, 8, 2, 3, 3, 2, 2, 0, 0, 0, 0, 0}},
    {"padded", {5, 6, 3, 3, 3, 2, 2, 1, 1, 1, 1, 0}},
    {"padding kernel - 1", {4, 3, 2, 3, 4, 1, 1, 2, 3, 2, 3, 0}},
    {"padding only top", {4, 4, 2, 3, 3, 2, 2, 2, 0, 0, 0, 0}},
    {"padding only left", {4, 4, 2, 3, 3, 2, 2, 0, 2, 0, 0, 0}},
    {"padding only bottom", {4, 4, 2, 3, 3, 1, 1, 0, 0, 2, 0, 0}},
    {"padding only right", {4, 4, 2, 3, 3, 1, 1, 0, 0, 0, 2, 0}},
    {"stride > kernel", {9, 8, 2, 2, 2, 4, 3, 0, 0, 0, 0, 0}},
    {"stride > input", {3, 3, 2, 2, 2, CGE_MAX_ELEMS, 9, 0, 0, 0, 0, 0}},
    {"kernel as large as the input", {4, 5, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0}},
    {"kernel larger than the input", {2, 2, 3, 4, 4, 1, 1, 1, 1, 2, 2, 0}},
    {"kernel 1x3", {3, 7, 2, 1, 3, 0, 0, 0, 0, 0, 0, 0}},
    {"kernel 3x1, stride 1x2", {7, 5, 2, 3, 1, 1, 2, 1, 0, 0, 0, 0}},
    {"1x1 input, padded", {1, 1, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0}},
    {"kernel 1, stride 2", {5, 5, 2, 1, 1, 2, 2, 0, 0, 0, 0, 0}},
    {"1 channel", {5, 5, 1, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"4 channels", {4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"5 channels", {4, 4, 5, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"8 channels", {4, 4, 8, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"16 channels", {4, 5, 16, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"17 channels", {5, 4, 17, 2, 2, 2, 2, 0, 0, 0, 0, 0}},
    {"33 channels", {4, 4, 33, 3, 3, 1, 1, 1, 1, 0, 0, 0}},
};

static void test_geometry(const char *name, const cge_pool2d *g)
{
    geometry f = fill(g);
    cge_shape out = {0, 0, 0};
    if (!check_room(name, sizeof(float) * 2 * (size_t)(x_elems(&f) + y_elems(&f)))) return;
    float *x = check_operands(x_elems(&f), SEED_X), *dy = check_operands(y_elems(&f), SEED_DY);
    float *y = check_floats(y_elems(&f)), *dx = check_floats(x_elems(&f));
    CHECK_OK(cge_pool2d_output_shape(g, &out));
    if (!CHECK(out.h == f.out_h && out.w == f.out_w && out.c == f.in_c)) return;
    check_pools(g, &f, x, dy, y, dx);
}

/* Few different values, so that most windows hold their largest more than once; both zeros; then NaN and infinities,
 * and gradients that are infinite. */
static void test_ties_and_not_finite(void)
{
    static const cge_pool2d g = {6, 7, 2, 3, 2, 2, 1, 1, 1, 1, 0, 0};
    geometry f = fill(&g);
    if (!check_room("ties", sizeof(float) * 2 * (size_t)(x_elems(&f) + y_elems(&f)))) return;
    float *x = check_operands(x_elems(&f), SEED_X), *dy = check_operands(y_elems(&f), SEED_DY);
    float *y = check_floats(y_elems(&f)), *dx = check_floats(x_elems(&f));
    for (int32_t i = 0; i < x_elems(&f); i++) x[i] = x[i] > 0.2f ? 1.0f : x[i] < -0.2f ? -1.0f : i % 3 == 0 ? -0.0f : 0.0f;
    check_pools(&g, &f, x, dy, y, dx);
    for (int32_t i = 0; i < x_elems(&f); i++) x[i] = -1.0f;
    check_pools(&g, &f, x, dy, y, dx);
    check_case("not finite");
    x[3] = float_from_bits(0x7fc00000u);
    x[17] = float_from_bits(0x7fc00000u);
    x[19] = float_from_bits(0x7f800000u);
    x[40] = float_from_bits(0xff800000u);
    dy[5] = float_from_bits(0x7f800000u);
    check_pools(&g, &f, x, dy, y, dx);
    for (int32_t i = 0; i < x_elems(&f); i++) x[i] = float_from_bits(0xff800000u);
    check_pools(&g, &f, x, dy, y, dx);
}

void suite_pool2d(void)
{
    for (int32_t i = 0; i < COUNT_OF(geometries); i++) {
        cge_pool2d counted = geometries[i].g;
        test_geometry(geometries[i].name, &geometries[i].g);
        counted.count_padding = 1;
        test_geometry(geometries[i].name, &counted);
    }
    test_ties_and_not_finite();
}

static const struct {
    const char *name;
    cge_status status;
    cge_pool2d g;
} refused[] = {
    {"in_h 0", CGE_ERR_SHAPE, {0, 4, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"in_w negative", CGE_ERR_SHAPE, {4, -1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"in_c 0", CGE_ERR_SHAPE, {4, 4, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"kernel_h 0", CGE_ERR_SHAPE, {4, 4, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"kernel_w negative", CGE_ERR_SHAPE, {4, 4, 2, 2, -2, 0, 0, 0, 0, 0, 0, 0}},
    {"stride_h negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, -1, 0, 0, 0, 0, 0, 0}},
    {"stride_w negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, INT32_MIN, 0, 0, 0, 0, 0}},
    {"pad_top negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, -1, 0, 0, 0, 0}},
    {"pad_left negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, -1, 0, 0, 0}},
    {"pad_bottom negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, 0, -1, 0, 0}},
    {"pad_right negative", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, 0, 0, -1, 0}},
    {"pad_top as large as the kernel", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 2, 0, 0, 0, 0}},
    {"pad_left as large as the kernel", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, 2, 0, 0, 0}},
    {"pad_bottom as large as the kernel", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, 0, 2, 0, 0}},
    {"pad_right as large as the kernel", CGE_ERR_SHAPE, {4, 4, 2, 2, 2, 0, 0, 0, 0, 0, 2, 0}},
    {"kernel_h > padded input", CGE_ERR_SHAPE, {4, 4, 2, 7, 2, 0, 0, 1, 0, 1, 0, 0}},
    {"kernel_w > padded input", CGE_ERR_SHAPE, {4, 4, 2, 2, 5, 0, 0, 0, 0, 0, 0, 0}},
    {"kernel as large as can be", CGE_ERR_SHAPE, {4, 4, 2, CGE_MAX_ELEMS, 1, 0, 0, 0, 0, 0, 0, 0}},
    {"input overflows", CGE_ERR_OVERFLOW, {65536, 65536, 65536, 2, 2, 0, 0, 0, 0, 0, 0, 0}},
    {"2^28 inputs", CGE_ERR_OVERFLOW, {16384, 8192, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0}},
    {"padded height one too large, below", CGE_ERR_OVERFLOW, {CGE_MAX_ELEMS, 1, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0}},
    {"padded width one too large, left", CGE_ERR_OVERFLOW, {1, CGE_MAX_ELEMS, 1, 1, 2, 0, 0, 0, 1, 0, 0, 0}},
    {"padded height one too large", CGE_ERR_OVERFLOW, {CGE_MAX_ELEMS, 1, 1, 2, 1, 0, 0, 1, 0, 0, 0, 0}},
    {"padded width one too large", CGE_ERR_OVERFLOW, {1, CGE_MAX_ELEMS, 1, 1, 2, 0, 0, 0, 0, 0, 1, 0}},
    {"stride_h too large", CGE_ERR_OVERFLOW, {4, 4, 2, 2, 2, CGE_MAX_ELEMS + 1, 0, 0, 0, 0, 0, 0}},
    {"stride_w too large", CGE_ERR_OVERFLOW, {4, 4, 2, 2, 2, 0, INT32_MAX, 0, 0, 0, 0, 0}},
    {"output overflows", CGE_ERR_OVERFLOW, {16384, 16383, 1, 3, 3, 1, 1, 2, 2, 2, 2, 0}},
};

static void test_limits(cge_shape *out)
{
    static const cge_pool2d largest = {5461, 16385, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    static const cge_pool2d highest = {CGE_MAX_ELEMS - 1, 1, 1, 2, 1, 0, 0, 1, 0, 0, 0, 0};
    static const cge_pool2d widest = {1, CGE_MAX_ELEMS - 1, 1, 1, 2, 1, CGE_MAX_ELEMS, 0, 0, 0, 1, 0};
    check_case("limits");
    CHECK_OK(cge_pool2d_output_shape(&largest, out));
    CHECK(out->h == 5461 && out->w == 16385 && out->c == 3);
    CHECK_OK(cge_pool2d_output_shape(&highest, out));
    CHECK(out->h == CGE_MAX_ELEMS / 2 && out->w == 1);
    CHECK_OK(cge_pool2d_output_shape(&widest, out));
    CHECK(out->h == 1 && out->w == 1);
}

void suite_pool2d_status(void)
{
    static const cge_pool2d g = {2, 2, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0}, counted_twice = {2, 2, 1, 2, 2, 0, 0, 0, 0, 0, 0, 2};
    if (!check_room("status", 256)) return;
    float *x = check_floats(4), *dx = check_floats(4), *y = check_floats(4);
    cge_shape *out = check_bytes(sizeof *out);
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        const cge_pool2d *bad = &refused[i].g;
        check_case(refused[i].name);
        CHECK_REFUSED(refused[i].status, cge_pool2d_output_shape(bad, out));
        CHECK_REFUSED(refused[i].status, cge_maxpool2d_forward_f32(bad, x, y));
        CHECK_REFUSED(refused[i].status, cge_maxpool2d_input_grad_f32(bad, x, y, dx));
        CHECK_REFUSED(refused[i].status, cge_avgpool2d_forward_f32(bad, x, y));
        CHECK_REFUSED(refused[i].status, cge_avgpool2d_input_grad_f32(bad, y, dx));
    }
    test_limits(out);
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_pool2d_output_shape(NULL, out));
    CHECK_REFUSED(CGE_ERR_NULL, cge_pool2d_output_shape(&g, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_forward_f32(NULL, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_forward_f32(&g, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_forward_f32(&g, x, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_input_grad_f32(NULL, x, y, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_input_grad_f32(&g, NULL, y, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_input_grad_f32(&g, x, NULL, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_maxpool2d_input_grad_f32(&g, x, y, NULL));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_avgpool2d_forward_f32(&counted_twice, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_forward_f32(NULL, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_forward_f32(&g, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_forward_f32(&g, x, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_input_grad_f32(NULL, y, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_input_grad_f32(&g, NULL, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_avgpool2d_input_grad_f32(&g, y, NULL));
    check_case("misaligned");
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_maxpool2d_forward_f32(&g, misaligned(x), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_maxpool2d_forward_f32(&g, x, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_maxpool2d_input_grad_f32(&g, misaligned(x), y, dx));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_maxpool2d_input_grad_f32(&g, x, misaligned(y), dx));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_maxpool2d_input_grad_f32(&g, x, y, misaligned(dx)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_avgpool2d_forward_f32(&g, misaligned(x), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_avgpool2d_forward_f32(&g, x, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_avgpool2d_input_grad_f32(&g, misaligned(y), dx));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_avgpool2d_input_grad_f32(&g, y, misaligned(dx)));
}
