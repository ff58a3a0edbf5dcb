/* Activations: the header's formulas bit for bit, out of place and in place. */
#include "check.h"
#include "suites.h"

enum { SEED_X = 31, SEED_DY };

/* ---- one shape for all of them; alpha is read by leaky_relu alone -------------------------------------------------- */

typedef cge_status forward_fn(int32_t n, float alpha, const float *x, float *y);
typedef cge_status input_grad_fn(int32_t n, float alpha, const float *y, const float *dy, float *dx);

#define WITHOUT_ALPHA(name)                                                                                      \
    static cge_status name##_forward(int32_t n, float alpha, const float *x, float *y)                          \
    {                                                                                                            \
        (void)alpha;                                                                                             \
        return cge_##name##_forward_f32(n, x, y);                                                                \
    }                                                                                                            \
    static cge_status name##_input_grad(int32_t n, float alpha, const float *y, const float *dy, float *dx)     \
    {                                                                                                            \
        (void)alpha;                                                                                             \
        return cge_##name##_input_grad_f32(n, y, dy, dx);                                                        \
    }
WITHOUT_ALPHA(relu)
WITHOUT_ALPHA(sigmoid)
WITHOUT_ALPHA(tanh)
WITHOUT_ALPHA(relu6)
WITHOUT_ALPHA(hard_sigmoid)
WITHOUT_ALPHA(softplus)
WITHOUT_ALPHA(hard_swish)
WITHOUT_ALPHA(silu)
WITHOUT_ALPHA(gelu)

/* ---- the formulas again --------------------------------------------------------------------------------------------- */

static float relu_y(float x, float alpha) { return (void)alpha, x < 0 ? 0 : x; }
static float relu_dx(float y, float dy, float alpha) { return (void)alpha, y > 0 ? dy : 0; }
static float leaky_relu_y(float x, float alpha) { return x < 0 ? alpha * x : x; }
static float leaky_relu_dx(float y, float dy, float alpha) { return y > 0 ? dy : alpha * dy; }
static float sigmoid_y(float x, float alpha)
{
    float e = cge_exp_f32(x >= 0 ? -x : x);
    (void)alpha;
    return (x >= 0 ? 1 : e) / (1 + e);
}
static float sigmoid_dx(float y, float dy, float alpha)
{
    float slope = y * (1 - y);
    (void)alpha;
    return dy * slope;
}
static float tanh_y(float x, float alpha) { return (void)alpha, cge_tanh_f32(x); }
static float tanh_dx(float y, float dy, float alpha)
{
    volatile float square = y * y;
    (void)alpha;
    return dy * (1 - square);
}

static float relu6_y(float x, float alpha) { return (void)alpha, x <= 0 ? 0 : x >= 6 ? 6 : x; }
static float relu6_dx(float y, float dy, float alpha) { return (void)alpha, y > 0 && y < 6 ? dy : 0; }
static const float sixth = 1.0f / 6;
static float hard_sigmoid_y(float x, float alpha)
{
    const float y = relu6_y(x + 3, alpha) * sixth;
    return y > 1 ? 1 : y;
}
static float hard_sigmoid_dx(float y, float dy, float alpha) { return (void)alpha, y > 0 && y < 1 ? dy * sixth : 0; }
static float elu_y(float x, float alpha)
{
    float t = cge_tanh_f32(0.5f * x);
    return x > 0 ? x : alpha * (2 * t / (1 - t));
}
static float elu_dx(float y, float dy, float alpha) { return y > 0 ? dy : dy * (y + alpha); }
static float softplus_y(float x, float alpha)
{
    float e = cge_exp_f32(x >= 0 ? -x : x), u = 1 + e;
    (void)alpha;
    return (x > 0 ? x : 0) + (cge_log_f32(u) + (e - (u - 1)) / u);
}
static float softplus_dx(float y, float dy, float alpha)
{
    float t = cge_tanh_f32(0.5f * y);
    (void)alpha;
    return dy * (2 * t / (1 + t));
}
static float hard_swish_y(float x, float alpha)
{
    (void)alpha;
    return x <= -3 ? 0 : x >= 3 ? x : x * ((x + 3) * sixth);
}
static float hard_swish_dx(float x, float dy, float alpha)
{
    volatile float third = x * (1.0f / 3);
    (void)alpha;
    return x <= -3 ? 0 : x >= 3 ? dy : dy * (third + 0.5f);
}
static float silu_y(float x, float alpha) { return x * sigmoid_y(x, alpha); }
static float silu_dx(float x, float dy, float alpha)
{
    const float s = sigmoid_y(x, alpha);
    volatile float rest = x * (1 - s);
    return dy * (s * (1 + rest));
}
static float below(float x)
{
    volatile float half = 0.5f * cge_erf_f32(x * 0.70710678f);
    return 0.5f + half;
}
static float gelu_y(float x, float alpha) { return (void)alpha, x * below(x); }
static float gelu_dx(float x, float dy, float alpha)
{
    volatile float density = x * (cge_exp_f32(x * x * -0.5f) * 0.39894228f);
    (void)alpha;
    return dy * (below(x) + density);
}

static const struct {
    const char *name;
    forward_fn *forward;
    input_grad_fn *input_grad;
    float (*y)(float x, float alpha);
    float (*dx)(float told, float dy, float alpha);
    float alpha;
    int by_x; /* the gradient is told by x */
} activations[] = {
    {"relu", relu_forward, relu_input_grad, relu_y, relu_dx, 0, 0},
    {"leaky_relu 0.1", cge_leaky_relu_forward_f32, cge_leaky_relu_input_grad_f32, leaky_relu_y, leaky_relu_dx, 0.1f, 0},
    {"leaky_relu 0", cge_leaky_relu_forward_f32, cge_leaky_relu_input_grad_f32, leaky_relu_y, leaky_relu_dx, 0, 0},
    {"leaky_relu 3", cge_leaky_relu_forward_f32, cge_leaky_relu_input_grad_f32, leaky_relu_y, leaky_relu_dx, 3, 0},
    {"sigmoid", sigmoid_forward, sigmoid_input_grad, sigmoid_y, sigmoid_dx, 0, 0},
    {"tanh", tanh_forward, tanh_input_grad, tanh_y, tanh_dx, 0, 0},
    {"relu6", relu6_forward, relu6_input_grad, relu6_y, relu6_dx, 0, 0},
    {"hard_sigmoid", hard_sigmoid_forward, hard_sigmoid_input_grad, hard_sigmoid_y, hard_sigmoid_dx, 0, 0},
    {"elu 1", cge_elu_forward_f32, cge_elu_input_grad_f32, elu_y, elu_dx, 1, 0},
    {"elu 0.3", cge_elu_forward_f32, cge_elu_input_grad_f32, elu_y, elu_dx, 0.3f, 0},
    {"softplus", softplus_forward, softplus_input_grad, softplus_y, softplus_dx, 0, 0},
    {"hard_swish", hard_swish_forward, hard_swish_input_grad, hard_swish_y, hard_swish_dx, 0, 1},
    {"silu", silu_forward, silu_input_grad, silu_y, silu_dx, 0, 1},
    {"gelu", gelu_forward, gelu_input_grad, gelu_y, gelu_dx, 0, 1},
};

/* Bits of inputs that decide between branches: zeros, subnormals, large, infinite, NaN. */
static const uint32_t special[] = {0, 0x80000000u, 1, 0x80000001u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u,
                                   0x7fc00000u, 0x3f800000u, 0xbf800000u, 0x42b20000u, 0xc2b20000u, 0x42d00000u, 0xc2d00000u};

static float input(int32_t i)
{
    return i < COUNT_OF(special) ? float_from_bits(special[i]) : 6 * operand(SEED_X, i);
}

static void test_activation(int32_t which, int32_t n, float *x, float *y, float *dy, float *dx)
{
    forward_fn *forward = activations[which].forward;
    input_grad_fn *input_grad = activations[which].input_grad;
    float alpha = activations[which].alpha;
    for (int32_t i = 0; i < n; i++) {
        x[i] = input(i);
        dy[i] = operand(SEED_DY, i);
    }
    CHECK_OK(forward(n, alpha, x, y));
    const float *told = activations[which].by_x ? x : y;
    CHECK_OK(input_grad(n, alpha, told, dy, dx));
    for (int32_t i = 0; i < n; i++) {
        CHECK_SAME(activations[which].y(x[i], alpha), y[i], i);
        CHECK_SAME(activations[which].dx(told[i], dy[i], alpha), dx[i], i);
    }
    CHECK_OK(input_grad(n, alpha, told, dy, dy));
    CHECK_OK(forward(n, alpha, x, x));
    for (int32_t i = 0; i < n; i++) {
        CHECK_SAME(y[i], x[i], i);
        CHECK_SAME(dx[i], dy[i], i);
    }
}

/* ---- PReLU ---------------------------------------------------------------------------------------------------------- */

enum { SEED_SLOPES = 33, SEED_DW, MOST_SLOPES = 5 };

static void test_prelu(int32_t n, int32_t slopes)
{
    if (!check_room("prelu", 20 * (size_t)n + 8 * MOST_SLOPES)) return;
    float *x = check_floats(n), *y = check_floats(n), *dy = check_floats(n), *dx = check_floats(n), *kept = check_floats(n);
    float *dw = check_floats(slopes), *w = check_operands(slopes, SEED_SLOPES);
    for (int32_t i = 0; i < n; i++) {
        x[i] = i % 7 == 6 ? input(i % COUNT_OF(special)) : 6 * operand(SEED_X, i);
        kept[i] = x[i];
        dy[i] = operand(SEED_DY, i);
    }
    for (int32_t k = 0; k < slopes; k++) dw[k] = operand(SEED_DW, k);
    CHECK_OK(cge_prelu_forward_f32(n, slopes, x, w, y));
    CHECK_OK(cge_prelu_input_grad_f32(n, slopes, x, w, dy, dx));
    CHECK_OK(cge_prelu_weight_grad_f32(n, slopes, x, dy, dw));
    for (int32_t i = 0; i < n; i++) {
        CHECK_SAME(leaky_relu_y(x[i], w[i % slopes]), y[i], i);
        CHECK_SAME(leaky_relu_dx(x[i], dy[i], w[i % slopes]), dx[i], i);
    }
    for (int32_t k = 0; k < slopes; k++) {
        float sum = 0;
        for (int32_t i = k; i < n; i += slopes)
            if (!(x[i] > 0)) sum = mul_add(x[i], dy[i], sum);
        CHECK_SAME(operand(SEED_DW, k) + sum, dw[k], k);
    }
    CHECK_OK(cge_prelu_forward_f32(n, slopes, x, w, x));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(y[i], x[i], i);
    CHECK_OK(cge_prelu_input_grad_f32(n, slopes, kept, w, dy, dy));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(dx[i], dy[i], i);
    for (int32_t i = 0; i < n; i++) dy[i] = operand(SEED_DY, i);
    CHECK_OK(cge_prelu_input_grad_f32(n, slopes, kept, w, dy, kept));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(dx[i], kept[i], i);
}

static void test_refused_prelu(float *x, float *y, float *dy, float *dx)
{
    static const int32_t bad_slopes[] = {INT32_MIN, -1, 0, 3};
    check_case("prelu");
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_forward_f32(2, 1, NULL, dy, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_forward_f32(2, 1, x, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_forward_f32(2, 1, x, dy, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_weight_grad_f32(2, 1, NULL, dy, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_weight_grad_f32(2, 1, x, NULL, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_weight_grad_f32(2, 1, x, dy, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_input_grad_f32(2, 1, NULL, y, dy, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_input_grad_f32(2, 1, x, NULL, dy, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_prelu_input_grad_f32(2, 1, x, y, NULL, dx));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_prelu_input_grad_f32(2, 1, x, y, dy, misaligned(dx)));
    for (int32_t i = 0; i < COUNT_OF(bad_slopes); i++) {
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_prelu_forward_f32(2, bad_slopes[i], x, dy, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_prelu_weight_grad_f32(2, bad_slopes[i], x, dy, dx));
        CHECK_REFUSED(CGE_ERR_SHAPE, cge_prelu_input_grad_f32(2, bad_slopes[i], x, y, dy, dx));
    }
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_prelu_forward_f32(0, 1, x, dy, y));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_prelu_weight_grad_f32(-2, 1, x, dy, dx));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_prelu_input_grad_f32(INT32_MAX, 1, x, y, dy, dx));
}

void suite_activation(void)
{
    for (int32_t slopes = 1; slopes <= MOST_SLOPES; slopes++)
        for (int32_t pixels = 1; pixels <= 21; pixels += 4) test_prelu(pixels * slopes, slopes);
    static const int32_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 100};
    for (int32_t which = 0; which < COUNT_OF(activations); which++)
        for (int32_t j = 0; j < COUNT_OF(lengths); j++) {
            int32_t n = lengths[j];
            if (!check_room(activations[which].name, 16 * (size_t)n)) continue;
            float *x = check_floats(n), *y = check_floats(n), *dy = check_floats(n), *dx = check_floats(n);
            test_activation(which, n, x, y, dy, dx);
        }
    check_case("softmax");
    for (int32_t n = 1; n < 9; n++) {
        float x[8], y[8], dy[8], dx[8], sum = 0;
        for (int32_t i = 0; i < n; i++) {
            x[i] = 3 * operand(SEED_X, i);
            dy[i] = operand(SEED_DY, i);
        }
        CHECK_OK(cge_softmax_forward_f32(n, x, y));
        CHECK_OK(cge_softmax_input_grad_f32(n, y, dy, dx));
        for (int32_t i = 0; i < n; i++) sum = mul_add(dy[i], y[i], sum);
        for (int32_t i = 0; i < n; i++) CHECK_SAME(y[i] * (dy[i] - sum), dx[i], i);
        CHECK_OK(cge_softmax_input_grad_f32(n, y, dy, dy));
        for (int32_t i = 0; i < n; i++) CHECK_SAME(dx[i], dy[i], i);
    }
    check_case("known values");
    CHECK_SAME(0.5f, sigmoid_y(0, 0), 0);
    CHECK_SAME(1, sigmoid_y(100, 0), 0);
    CHECK(sigmoid_y(-100, 0) > 0 && sigmoid_y(-100, 0) < 1e-43f);
}

void suite_activation_status(void)
{
    static const uint32_t bad_alphas[] = {0xbf800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u};
    if (!check_room("status", 128)) return;
    float *x = check_floats(4), *y = check_floats(4), *dy = check_floats(4), *dx = check_floats(4);
    for (int32_t i = 0; i < COUNT_OF(activations); i++) {
        forward_fn *forward = activations[i].forward;
        input_grad_fn *input_grad = activations[i].input_grad;
        check_case(activations[i].name);
        CHECK_REFUSED(CGE_ERR_NULL, forward(1, 1, NULL, y));
        CHECK_REFUSED(CGE_ERR_NULL, forward(1, 1, x, NULL));
        CHECK_REFUSED(CGE_ERR_NULL, input_grad(1, 1, NULL, dy, dx));
        CHECK_REFUSED(CGE_ERR_NULL, input_grad(1, 1, y, NULL, dx));
        CHECK_REFUSED(CGE_ERR_NULL, input_grad(1, 1, y, dy, NULL));
        CHECK_REFUSED(CGE_ERR_SHAPE, forward(0, 1, x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, forward(INT32_MIN, 1, x, y));
        CHECK_REFUSED(CGE_ERR_OVERFLOW, forward(CGE_MAX_ELEMS + 1, 1, x, y));
        CHECK_REFUSED(CGE_ERR_SHAPE, input_grad(0, 1, y, dy, dx));
        CHECK_REFUSED(CGE_ERR_SHAPE, input_grad(-1, 1, y, dy, dx));
        CHECK_REFUSED(CGE_ERR_OVERFLOW, input_grad(INT32_MAX, 1, y, dy, dx));
        CHECK_REFUSED(CGE_ERR_ALIGN, forward(1, 1, misaligned(x), y));
        CHECK_REFUSED(CGE_ERR_ALIGN, forward(1, 1, x, misaligned(y)));
        CHECK_REFUSED(CGE_ERR_ALIGN, input_grad(1, 1, misaligned(y), dy, dx));
        CHECK_REFUSED(CGE_ERR_ALIGN, input_grad(1, 1, y, misaligned(dy), dx));
        CHECK_REFUSED(CGE_ERR_ALIGN, input_grad(1, 1, y, dy, misaligned(dx)));
    }
    check_case("softmax");
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_input_grad_f32(1, NULL, dy, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_input_grad_f32(1, y, NULL, dx));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_input_grad_f32(1, y, dy, NULL));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_softmax_input_grad_f32(0, y, dy, dx));
    test_refused_prelu(x, y, dy, dx);
    check_case("alpha");
    for (int32_t i = 0; i < COUNT_OF(bad_alphas); i++) {
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_leaky_relu_forward_f32(1, float_from_bits(bad_alphas[i]), x, y));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_leaky_relu_input_grad_f32(1, float_from_bits(bad_alphas[i]), y, dy, dx));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_elu_forward_f32(1, float_from_bits(bad_alphas[i]), x, y));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_elu_input_grad_f32(1, float_from_bits(bad_alphas[i]), y, dy, dx));
    }
}
