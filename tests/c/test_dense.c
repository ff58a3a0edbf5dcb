/* Dense layer: the contract's loops in the contract's order, bit for bit, and double sums within rounding. */
#include "check.h"
#include "suites.h"

#include <stdio.h>

enum { SEED_X = 11, SEED_W, SEED_B, SEED_DY, SEED_DW, SEED_DB };

static int close_to(double expected, double magnitude, float got)
{
    double difference = expected - (double)got;
    return (difference < 0 ? -difference : difference) <= 1e-5 * magnitude;
}

static double size(double x)
{
    return x < 0 ? -x : x;
}

static void check_forward(int32_t in, int32_t out, const float *x, const float *w, const float *b, const float *y)
{
    for (int32_t o = out - 1; o >= 0; o--) {
        float exact = b != NULL ? b[o] : 0;
        double loose = 0, magnitude = b != NULL ? size((double)b[o]) : 0;
        for (int32_t i = 0; i < in; i++) {
            double term = (double)x[in - 1 - i] * (double)w[(in - 1 - i) * out + o];
            exact = mul_add(x[i], w[i * out + o], exact);
            loose += term;
            magnitude += size(term);
        }
        CHECK_SAME(exact, y[o], o);
        if (exact == exact) CHECK(close_to(loose + (b != NULL ? (double)b[o] : 0.0), magnitude, y[o]));
    }
}

/* Eight interleaved partial sums, then the contract's tree. */
static void check_input_grad(int32_t in, int32_t out, const float *w, const float *dy, const float *dx)
{
    for (int32_t i = 0; i < in; i++) {
        float s[8] = {0, 0, 0, 0, 0, 0, 0, 0}, left, right;
        double loose = 0, magnitude = 0;
        for (int32_t o = 0; o < out; o++) {
            double term = (double)dy[o] * (double)w[i * out + o];
            s[o % 8] = mul_add(dy[o], w[i * out + o], s[o % 8]);
            loose += term;
            magnitude += size(term);
        }
        left = (s[0] + s[4]) + (s[2] + s[6]);
        right = (s[1] + s[5]) + (s[3] + s[7]);
        CHECK_SAME(left + right, dx[i], i);
        CHECK(close_to(loose, magnitude, dx[i]));
    }
}

static void test_size(int32_t in, int32_t out)
{
    char name[32];
    snprintf(name, sizeof name, "%d -> %d", (int)in, (int)out);
    if (!check_room(name, sizeof(float) * (size_t)(2 * in + 2 * out + in * out))) return;
    const float *x = check_operands(in, SEED_X), *b = check_operands(out, SEED_B);
    float *w = check_operands(in * out, SEED_W), *y = check_floats(out), *dx = check_floats(in);
    CHECK_OK(cge_dense_forward_f32(in, out, x, w, b, y));
    check_forward(in, out, x, w, b, y);
    CHECK_OK(cge_dense_forward_f32(in, out, x, w, NULL, y));
    check_forward(in, out, x, w, NULL, y);
    for (int32_t o = 0; o < out; o++) y[o] = operand(SEED_DY, o);
    CHECK_OK(cge_dense_input_grad_f32(in, out, w, y, dx));
    check_input_grad(in, out, w, y, dx);
    CHECK_OK(cge_dense_weight_grad_f32(in, out, x, y, w));
    for (int32_t i = 0; i < in * out; i++) CHECK_SAME(mul_add(x[i / out], y[i % out], operand(SEED_W, i)), w[i], i);
}

static void test_bias_grad(int32_t out)
{
    if (!check_room("bias gradient", sizeof(float) * (size_t)(2 * out))) return;
    const float *dy = check_operands(out, SEED_DY);
    float *db = check_operands(out, SEED_DB);
    CHECK_OK(cge_dense_bias_grad_f32(out, dy, db));
    for (int32_t o = 0; o < out; o++) CHECK_SAME(operand(SEED_DB, o) + dy[o], db[o], o);
}

/* A zero factor must not be skipped: 0 * infinity is NaN. */
static void test_not_finite(void)
{
    const float inf = float_from_bits(0x7f800000u);
    if (!check_room("not finite", 256)) return;
    float *x = check_operands(3, SEED_X), *w = check_operands(6, SEED_W), *y = check_floats(2), *dx = check_floats(3);
    x[1] = 0;
    w[2] = inf;
    CHECK_OK(cge_dense_forward_f32(3, 2, x, w, NULL, y));
    check_forward(3, 2, x, w, NULL, y);
    CHECK(y[0] != y[0] && y[1] == y[1]);
    y[0] = 0;
    y[1] = 1;
    CHECK_OK(cge_dense_input_grad_f32(3, 2, w, y, dx));
    CHECK(dx[0] == dx[0] && dx[1] != dx[1] && dx[2] == dx[2]);
    y[1] = inf;
    CHECK_OK(cge_dense_weight_grad_f32(3, 2, x, y, w));
    CHECK(w[3] != w[3]);
}

void suite_dense(void)
{
    static const int32_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
    for (int32_t i = 0; i < COUNT_OF(sizes); i++)
        for (int32_t j = 0; j < COUNT_OF(sizes); j++) test_size(sizes[i], sizes[j]);
    test_size(1, 100);
    test_size(100, 1);
    test_size(10, 65);
    for (int32_t i = 0; i < COUNT_OF(sizes); i++) test_bias_grad(sizes[i]);
    test_not_finite();
}

static void test_bad_sizes(float *x, float *w, float *b, float *y)
{
    static const struct {
        const char *name;
        int32_t in, out;
        cge_status status;
    } refused[] = {
        {"in 0", 0, 1, CGE_ERR_SHAPE},
        {"in negative", INT32_MIN, 1, CGE_ERR_SHAPE},
        {"out 0", 1, 0, CGE_ERR_SHAPE},
        {"out negative", 1, -1, CGE_ERR_SHAPE},
        {"weights overflow", 65536, 65536, CGE_ERR_OVERFLOW},
        {"weights one too many", 0x08000000, 2, CGE_ERR_OVERFLOW},
        {"all overflow", INT32_MAX, INT32_MAX, CGE_ERR_OVERFLOW},
    };
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        int32_t in = refused[i].in, out = refused[i].out;
        cge_status status = refused[i].status;
        check_case(refused[i].name);
        CHECK_REFUSED(status, cge_dense_forward_f32(in, out, x, w, b, y));
        CHECK_REFUSED(status, cge_dense_weight_grad_f32(in, out, x, y, w));
        CHECK_REFUSED(status, cge_dense_input_grad_f32(in, out, w, y, x));
    }
    check_case("bias gradient");
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_dense_bias_grad_f32(0, y, b));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_dense_bias_grad_f32(-5, y, b));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_dense_bias_grad_f32(CGE_MAX_ELEMS + 1, y, b));
}

void suite_dense_status(void)
{
    if (!check_room("status", 256)) return;
    float *x = check_floats(4), *w = check_floats(4), *b = check_floats(4), *y = check_floats(4);
    test_bad_sizes(x, w, b, y);
    check_case("NULL, of weights as many as there may be");
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_forward_f32(1, CGE_MAX_ELEMS, NULL, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_bias_grad_f32(CGE_MAX_ELEMS, NULL, b));
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_forward_f32(2, 2, NULL, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_forward_f32(2, 2, x, NULL, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_forward_f32(2, 2, x, w, b, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_weight_grad_f32(2, 2, NULL, y, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_weight_grad_f32(2, 2, x, NULL, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_weight_grad_f32(2, 2, x, y, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_bias_grad_f32(2, NULL, b));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_bias_grad_f32(2, y, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_input_grad_f32(2, 2, NULL, y, x));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_input_grad_f32(2, 2, w, NULL, x));
    CHECK_REFUSED(CGE_ERR_NULL, cge_dense_input_grad_f32(2, 2, w, y, NULL));
    check_case("misaligned");
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_forward_f32(1, 1, misaligned(x), w, b, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_forward_f32(1, 1, x, misaligned(w), b, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_forward_f32(1, 1, x, w, misaligned(b), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_forward_f32(1, 1, x, w, b, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_weight_grad_f32(1, 1, misaligned(x), y, w));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_weight_grad_f32(1, 1, x, misaligned(y), w));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_weight_grad_f32(1, 1, x, y, misaligned(w)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_bias_grad_f32(1, misaligned(y), b));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_bias_grad_f32(1, y, misaligned(b)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_input_grad_f32(1, 1, misaligned(w), y, x));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_input_grad_f32(1, 1, w, misaligned(y), x));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_dense_input_grad_f32(1, 1, w, y, misaligned(x)));
}
