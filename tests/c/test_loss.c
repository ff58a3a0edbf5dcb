/* Losses: the header's formulas bit for bit where it fixes the order, double references within rounding, huge logits. */
#include "check.h"
#include "reference_math.h"
#include "suites.h"

enum { SEED_X = 51, SEED_TARGET };

static float largest(int32_t n, const float *x)
{
    float m = x[0];
    for (int32_t i = 1; i < n; i++)
        if (x[i] > m) m = x[i];
    return m;
}

static float sum_of_exp(int32_t n, const float *x)
{
    float s = 0, m = largest(n, x);
    for (int32_t i = 0; i < n; i++) s += cge_exp_f32(x[i] - m);
    return s;
}

static int close_to(double expected, double tolerance, float got)
{
    double difference = expected - (double)got;
    return (difference < 0 ? -difference : difference) <= tolerance;
}

/* log(sum exp(x)) - x[label] in double. */
static double cross_entropy(int32_t n, const float *x, int32_t label)
{
    double s = 0, m = (double)largest(n, x);
    for (int32_t i = n - 1; i >= 0; i--) s += reference_exp((double)x[i] - m);
    return reference_log(s) - ((double)x[label] - m);
}

static void test_label(int32_t n, const float *x, float *dx, int32_t label)
{
    float loss = -1, m = largest(n, x), s = sum_of_exp(n, x);
    double exact = cross_entropy(n, x, label);
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(n, x, label, &loss));
    CHECK_SAME(cge_log_f32(s) - (x[label] - m), loss, label);
    CHECK(close_to(exact, 1e-6 + 1e-6 * exact, loss));
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(n, x, label, dx));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(cge_exp_f32(x[i] - m) / s - (i == label ? 1.0f : 0.0f), dx[i], i);
}

static void test_cross_entropy(const char *name, int32_t n, float factor)
{
    if (!check_room(name, sizeof(float) * 3 * (size_t)n)) return;
    float *x = check_operands(n, SEED_X), *y = check_floats(n), *dx = check_floats(n), sum = 0;
    for (int32_t i = 0; i < n; i++) x[i] *= factor;
    for (int32_t label = 0; label < n; label++) test_label(n, x, dx, label);
    CHECK_OK(cge_softmax_forward_f32(n, x, y));
    for (int32_t i = 0; i < n; i++) {
        CHECK_SAME(cge_exp_f32(x[i] - largest(n, x)) / sum_of_exp(n, x), y[i], i);
        sum += y[i];
    }
    CHECK(close_to(1, 1e-5, sum));
    /* in place */
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(n, x, n - 1, dx));
    for (int32_t i = 0; i < n; i++) y[i] = x[i];
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(n, y, n - 1, y));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(dx[i], y[i], i);
    CHECK_OK(cge_softmax_forward_f32(n, x, y));
    CHECK_OK(cge_softmax_forward_f32(n, x, x));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(y[i], x[i], i);
}

/* Logits of +-1e4: no overflow, no NaN; the loss is the distance between the logits. */
static void test_huge_logits(void)
{
    if (!check_room("logits of +-1e4", 64)) return;
    float *x = check_floats(3), *dx = check_floats(3), *loss = check_floats(1);
    x[0] = 1e4f;
    x[1] = -1e4f;
    x[2] = 1e4f;
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, x, 1, loss));
    CHECK_SAME(cge_log_f32(2) + 2e4f, *loss, 0);
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(3, x, 1, dx));
    CHECK(dx[0] == 0.5f && dx[1] == -1 && dx[2] == 0.5f);
    x[2] = 0;
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, x, 0, loss));
    CHECK_SAME(0, *loss, 0);
    CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(3, x, 0, dx));
    CHECK(dx[0] == 0 && dx[1] == 0 && dx[2] == 0);
    check_case("NaN and infinity come through");
    x[1] = float_from_bits(0x7fc00000u);
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, x, 0, loss));
    CHECK(*loss != *loss);
    x[0] = float_from_bits(0x7fc00000u);
    x[1] = 0;
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, x, 1, loss));
    CHECK(*loss != *loss);
    x[0] = float_from_bits(0x7f800000u);
    CHECK_OK(cge_softmax_cross_entropy_forward_f32(3, x, 1, loss));
    CHECK(!(*loss < 1e30f));
}

static void test_squared_error(int32_t n)
{
    if (!check_room("mean squared error", sizeof(float) * 3 * (size_t)n + 4)) return;
    float *x = check_operands(n, SEED_X), *target = check_operands(n, SEED_TARGET), *dx = check_floats(n), *loss = check_floats(1);
    double exact = 0;
    for (int32_t i = 0; i < n; i++) exact += ((double)x[i] - (double)target[i]) * ((double)x[i] - (double)target[i]) / n;
    CHECK_OK(cge_mean_squared_error_forward_f32(n, x, target, loss));
    CHECK(close_to(exact, 1e-6 * exact, *loss));
    CHECK_OK(cge_mean_squared_error_input_grad_f32(n, x, target, dx));
    for (int32_t i = 0; i < n; i++) CHECK_SAME((x[i] - target[i]) * (2.0f / (float)n), dx[i], i);
    CHECK_OK(cge_mean_squared_error_input_grad_f32(n, x, target, x));
    for (int32_t i = 0; i < n; i++) CHECK_SAME(dx[i], x[i], i);
}

void suite_loss(void)
{
    static const int32_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 33};
    for (int32_t i = 0; i < COUNT_OF(lengths); i++) {
        test_cross_entropy("cross-entropy", lengths[i], 1);
        test_cross_entropy("cross-entropy, large logits", lengths[i], 1e4f);
        test_squared_error(lengths[i]);
    }
    test_huge_logits();
}

void suite_loss_status(void)
{
    static const struct {
        int32_t n;
        cge_status status;
    } sizes[] = {{0, CGE_ERR_SHAPE}, {-1, CGE_ERR_SHAPE}, {INT32_MIN, CGE_ERR_SHAPE}, {CGE_MAX_ELEMS + 1, CGE_ERR_OVERFLOW}, {INT32_MAX, CGE_ERR_OVERFLOW}};
    static const int32_t bad_labels[] = {-1, 3, INT32_MIN, INT32_MAX};
    if (!check_room("status", 128)) return;
    float *x = check_floats(4), *target = check_floats(4), *y = check_floats(4), *loss = check_floats(2);
    check_case("n");
    for (int32_t i = 0; i < COUNT_OF(sizes); i++) {
        int32_t n = sizes[i].n;
        CHECK_REFUSED(sizes[i].status, cge_softmax_forward_f32(n, x, y));
        CHECK_REFUSED(sizes[i].status, cge_softmax_cross_entropy_forward_f32(n, x, 0, loss));
        CHECK_REFUSED(sizes[i].status, cge_softmax_cross_entropy_input_grad_f32(n, x, 0, y));
        CHECK_REFUSED(sizes[i].status, cge_mean_squared_error_forward_f32(n, x, target, loss));
        CHECK_REFUSED(sizes[i].status, cge_mean_squared_error_input_grad_f32(n, x, target, y));
    }
    check_case("label");
    for (int32_t i = 0; i < COUNT_OF(bad_labels); i++) {
        CHECK_REFUSED(CGE_ERR_LABEL, cge_softmax_cross_entropy_forward_f32(3, x, bad_labels[i], loss));
        CHECK_REFUSED(CGE_ERR_LABEL, cge_softmax_cross_entropy_input_grad_f32(3, x, bad_labels[i], y));
    }
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_forward_f32(3, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_forward_f32(3, x, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_cross_entropy_forward_f32(3, NULL, 0, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_cross_entropy_forward_f32(3, x, 0, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_cross_entropy_input_grad_f32(3, NULL, 0, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_softmax_cross_entropy_input_grad_f32(3, x, 0, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_forward_f32(3, NULL, target, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_forward_f32(3, x, NULL, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_forward_f32(3, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_input_grad_f32(3, NULL, target, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_input_grad_f32(3, x, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_squared_error_input_grad_f32(3, x, target, NULL));
    check_case("misaligned");
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_forward_f32(3, misaligned(x), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_forward_f32(3, x, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_cross_entropy_forward_f32(3, misaligned(x), 0, loss));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_cross_entropy_forward_f32(3, x, 0, misaligned(loss)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_cross_entropy_input_grad_f32(3, misaligned(x), 0, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_softmax_cross_entropy_input_grad_f32(3, x, 0, misaligned(y)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_forward_f32(3, misaligned(x), target, loss));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_forward_f32(3, x, misaligned(target), loss));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_forward_f32(3, x, target, misaligned(loss)));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_input_grad_f32(3, misaligned(x), target, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_input_grad_f32(3, x, misaligned(target), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_squared_error_input_grad_f32(3, x, target, misaligned(y)));
}
