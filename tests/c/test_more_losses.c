/* Losses with settings and for many labels, weights of samples: double references within rounding, bits through every way to train. */
#include "check.h"
#include "golden.h"
#include "models.h"
#include "reference_math.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

enum { SEED_X = 151, SEED_TARGET, SEED_WEIGHTS };

static const float huge = 3e38f;

static float infinity(void)
{
    return float_from_bits(0x7f800000u);
}

static float not_a_number(void)
{
    return float_from_bits(0x7fc00000u);
}

static int is_finite_number(float x)
{
    return x - x == 0;
}

/* ---- single losses ------------------------------------------------------------------------------------------------ */

static int near(double expected, double got)
{
    const double difference = expected - got, size = expected < 0 ? -expected : expected;
    return (difference < 0 ? -difference : difference) <= 2e-6 * (1 + size);
}

static double magnitude(double x)
{
    return x < 0 ? -x : x;
}

static double log_sum_exp(int32_t n, const float *x, double rate)
{
    double m = (double)x[0], sum = 0;
    for (int32_t i = 1; i < n; i++)
        if ((double)x[i] > m) m = (double)x[i];
    for (int32_t i = n - 1; i >= 0; i--) sum += reference_exp(((double)x[i] - m) * rate);
    return reference_log(sum) + m * rate;
}

static double log_softmax(int32_t n, const float *x, double rate, int32_t i)
{
    return (double)x[i] * rate - log_sum_exp(n, x, rate);
}

typedef struct operands {
    int32_t n;
    float *x, *target, *shares, *dx, *loss;
} operands;

static int make_operands(operands *o, const char *name, int32_t n, float scale)
{
    o->n = n;
    if (!check_room(name, sizeof(float) * (4 * (size_t)n + 1))) return 0;
    o->x = check_operands(n, SEED_X);
    o->target = check_operands(n, SEED_TARGET);
    o->shares = check_floats(n);
    o->dx = check_floats(n);
    o->loss = check_floats(1);
    for (int32_t i = 0; i < n; i++) o->x[i] *= scale, o->shares[i] = 0.5f + 0.5f * o->target[i], o->target[i] *= scale;
    return 1;
}

static void test_errors(const operands *o, float delta)
{
    double absolute = 0, huber = 0;
    for (int32_t i = 0; i < o->n; i++) {
        const double d = magnitude((double)o->x[i] - (double)o->target[i]), limit = (double)delta;
        absolute += d / o->n;
        huber += (d <= limit ? d * d / 2 : limit * d - limit * limit / 2) / o->n;
    }
    CHECK_OK(cge_mean_absolute_error_forward_f32(o->n, o->x, o->target, o->loss));
    CHECK(near(absolute, (double)*o->loss));
    CHECK_OK(cge_mean_absolute_error_input_grad_f32(o->n, o->x, o->target, o->dx));
    for (int32_t i = 0; i < o->n; i++) {
        const float d = o->x[i] - o->target[i], each = 1.0f / (float)o->n;
        CHECK_SAME(d > 0 ? each : d < 0 ? -each : 0, o->dx[i], i);
    }
    CHECK_OK(cge_huber_forward_f32(o->n, delta, o->x, o->target, o->loss));
    CHECK(near(huber, (double)*o->loss));
    CHECK_OK(cge_huber_input_grad_f32(o->n, delta, o->x, o->target, o->dx));
    for (int32_t i = 0; i < o->n; i++) {
        const float d = o->x[i] - o->target[i];
        CHECK_SAME((d > delta ? delta : d < -delta ? -delta : d) * (1.0f / (float)o->n), o->dx[i], i);
    }
}

static void test_binary(const operands *o)
{
    double exact = 0;
    for (int32_t i = 0; i < o->n; i++) {
        const double x = (double)o->x[i], t = (double)o->shares[i];
        exact += ((x > 0 ? x : 0) - x * t + reference_log(1 + reference_exp(-magnitude(x)))) / o->n;
    }
    CHECK_OK(cge_binary_cross_entropy_forward_f32(o->n, o->x, o->shares, o->loss));
    CHECK(near(exact, (double)*o->loss));
    CHECK_OK(cge_binary_cross_entropy_input_grad_f32(o->n, o->x, o->shares, o->dx));
    for (int32_t i = 0; i < o->n; i++)
        CHECK(near((1 / (1 + reference_exp(-(double)o->x[i])) - (double)o->shares[i]) / o->n, (double)o->dx[i]));
}

static void test_smoothed(const operands *o, int32_t label, float smoothing)
{
    double exact = -(1 - (double)smoothing) * log_softmax(o->n, o->x, 1, label);
    for (int32_t i = 0; i < o->n; i++) exact -= (double)smoothing / o->n * log_softmax(o->n, o->x, 1, i);
    CHECK_OK(cge_smoothed_cross_entropy_forward_f32(o->n, smoothing, o->x, label, o->loss));
    CHECK(near(exact, (double)*o->loss));
    CHECK_OK(cge_smoothed_cross_entropy_input_grad_f32(o->n, smoothing, o->x, label, o->dx));
    for (int32_t i = 0; i < o->n; i++) {
        const double target = (double)smoothing / o->n + (i == label ? 1 - (double)smoothing : 0);
        CHECK(near(reference_exp(log_softmax(o->n, o->x, 1, i)) - target, (double)o->dx[i]));
    }
}

static void test_distilled(const operands *o, int32_t label, float temperature, float alpha)
{
    const double rate = 1 / (double)temperature, a = (double)alpha;
    double exact = -a * log_softmax(o->n, o->x, 1, label);
    for (int32_t i = 0; i < o->n; i++) {
        const double log_p = log_softmax(o->n, o->target, rate, i), log_q = log_softmax(o->n, o->x, rate, i);
        exact += (1 - a) / rate / rate * reference_exp(log_p) * (log_p - log_q);
    }
    CHECK_OK(cge_distillation_forward_f32(o->n, temperature, alpha, o->x, label, o->target, o->loss));
    CHECK(near(exact, (double)*o->loss));
    CHECK_OK(cge_distillation_input_grad_f32(o->n, temperature, alpha, o->x, label, o->target, o->dx));
    for (int32_t i = 0; i < o->n; i++) {
        const double p = reference_exp(log_softmax(o->n, o->target, rate, i)), q = reference_exp(log_softmax(o->n, o->x, rate, i));
        const double hard = reference_exp(log_softmax(o->n, o->x, 1, i)) - (i == label ? 1 : 0);
        CHECK(near(a * hard + (1 - a) / rate * (q - p), (double)o->dx[i]));
    }
}

static void grad_in_place(const operands *o, int32_t what, const float *x, float *dx)
{
    if (what == 0) CHECK_OK(cge_mean_absolute_error_input_grad_f32(o->n, x, o->target, dx));
    if (what == 1) CHECK_OK(cge_huber_input_grad_f32(o->n, 0.5f, x, o->target, dx));
    if (what == 2) CHECK_OK(cge_binary_cross_entropy_input_grad_f32(o->n, x, o->shares, dx));
    if (what == 3) CHECK_OK(cge_smoothed_cross_entropy_input_grad_f32(o->n, 0.25f, x, o->n - 1, dx));
    if (what == 4) CHECK_OK(cge_distillation_input_grad_f32(o->n, 2, 0.25f, x, o->n - 1, o->target, dx));
}

static void test_in_place(const operands *o)
{
    float y[17];
    for (int32_t what = 0; what < 5; what++) {
        memcpy(y, o->x, sizeof(float) * (size_t)o->n);
        grad_in_place(o, what, o->x, o->dx);
        grad_in_place(o, what, y, y);
        for (int32_t i = 0; i < o->n; i++) CHECK_SAME(o->dx[i], y[i], i);
    }
}

static void add_to_losses_hash(uint64_t *hash, float x)
{
    const uint32_t bits = x == x ? float_bits(x) : 0x7fc00000u;
    for (int32_t shift = 0; shift < 32; shift += 8) *hash = (*hash ^ (bits >> shift & 255)) * 0x100000001b3u;
}

static void hash_more_losses(uint64_t *hash, const operands *o)
{
    const int32_t n = o->n, label = n / 2;
    for (int32_t what = 0; what < 5; what++) {
        if (what == 0) {
            CHECK_OK(cge_mean_absolute_error_forward_f32(n, o->x, o->target, o->loss));
            CHECK_OK(cge_mean_absolute_error_input_grad_f32(n, o->x, o->target, o->dx));
        } else if (what == 1) {
            CHECK_OK(cge_huber_forward_f32(n, 0.3f, o->x, o->target, o->loss));
            CHECK_OK(cge_huber_input_grad_f32(n, 0.3f, o->x, o->target, o->dx));
        } else if (what == 2) {
            CHECK_OK(cge_binary_cross_entropy_forward_f32(n, o->x, o->shares, o->loss));
            CHECK_OK(cge_binary_cross_entropy_input_grad_f32(n, o->x, o->shares, o->dx));
        } else if (what == 3) {
            CHECK_OK(cge_smoothed_cross_entropy_forward_f32(n, 0.1f, o->x, label, o->loss));
            CHECK_OK(cge_smoothed_cross_entropy_input_grad_f32(n, 0.1f, o->x, label, o->dx));
        } else {
            CHECK_OK(cge_distillation_forward_f32(n, 3, 0.1f, o->x, label, o->target, o->loss));
            CHECK_OK(cge_distillation_input_grad_f32(n, 3, 0.1f, o->x, label, o->target, o->dx));
        }
        add_to_losses_hash(hash, *o->loss);
        for (int32_t i = 0; i < n; i++) add_to_losses_hash(hash, o->dx[i]);
    }
}

/* The same bits on every target. */
static void test_golden_losses(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    operands o;
    for (int32_t n = 1; n <= 12; n++)
        for (int32_t scale = 1; scale <= 81; scale *= 9)
            if (make_operands(&o, "golden losses", n, (float)scale)) hash_more_losses(&hash, &o);
    if (!CHECK(hash == (CGE_FUSED ? GOLDEN_LOSSES_FUSED : GOLDEN_LOSSES)))
        printf("    losses 0x%08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
}

static void test_wild_losses(void)
{
    float x[3], target[3] = {0, 0, 0}, dx[3], loss;
    if (!check_room("wild values", 8)) return;
    for (int32_t i = 0; i < 3; i++) x[i] = i == 1 ? -1e30f : 1e30f;
    CHECK_OK(cge_binary_cross_entropy_forward_f32(3, x, target, &loss));
    CHECK_SAME(2e30f * (1.0f / 3.0f), loss, 0);
    CHECK_OK(cge_binary_cross_entropy_input_grad_f32(3, x, target, dx));
    CHECK(dx[0] == 1.0f / 3.0f && dx[1] == 0);
    CHECK_OK(cge_huber_forward_f32(3, 1, x, target, &loss));
    CHECK(is_finite_number(loss));
    CHECK_OK(cge_mean_absolute_error_forward_f32(3, x, target, &loss));
    CHECK(is_finite_number(loss));
    x[0] = huge, x[2] = huge;
    CHECK_OK(cge_mean_absolute_error_forward_f32(3, x, target, &loss));
    CHECK(!is_finite_number(loss));
    x[1] = -huge;
    CHECK_OK(cge_smoothed_cross_entropy_forward_f32(3, 0.5f, x, 0, &loss));
    CHECK_SAME(infinity(), loss, 0);
    CHECK_OK(cge_smoothed_cross_entropy_input_grad_f32(3, 0.5f, x, 0, dx));
    CHECK(is_finite_number(dx[0]) && is_finite_number(dx[1]) && is_finite_number(dx[2]));
    CHECK_OK(cge_distillation_input_grad_f32(3, 2, 0.5f, x, 0, x, dx));
    CHECK(is_finite_number(dx[0]) && is_finite_number(dx[1]) && is_finite_number(dx[2]));
    check_case("small losses of confident answers");
    x[0] = -20;
    CHECK_OK(cge_binary_cross_entropy_forward_f32(1, x, target, &loss));
    CHECK(loss > 2.0611530e-9f && loss < 2.0611545e-9f);
    check_case("NaN and infinity");
    for (int32_t i = 0; i < 2; i++) {
        x[0] = i ? infinity() : not_a_number();
        CHECK_OK(cge_binary_cross_entropy_forward_f32(1, x, target, &loss));
        CHECK(!is_finite_number(loss));
        CHECK_OK(cge_mean_absolute_error_forward_f32(1, x, target, &loss));
        CHECK(!is_finite_number(loss));
        CHECK_OK(cge_huber_forward_f32(1, 2, x, target, &loss));
        CHECK(!is_finite_number(loss));
        x[1] = x[2] = 0;
        CHECK_OK(cge_smoothed_cross_entropy_forward_f32(3, 0.5f, x, 1, &loss));
        CHECK(!is_finite_number(loss));
        CHECK_OK(cge_distillation_forward_f32(3, 2, 0.5f, x, 1, target, &loss));
        CHECK(!is_finite_number(loss));
        CHECK_OK(cge_distillation_forward_f32(3, 2, 0.5f, target, 1, x, &loss));
        CHECK(!is_finite_number(loss));
    }
    x[0] = not_a_number();
    CHECK_OK(cge_mean_absolute_error_input_grad_f32(1, x, target, dx));
    CHECK(dx[0] != dx[0]);
    CHECK_OK(cge_huber_input_grad_f32(1, 2, x, target, dx));
    CHECK(dx[0] != dx[0]);
}

static void test_single_losses(void)
{
    static const int32_t lengths[] = {1, 2, 3, 5, 8, 10, 17};
    operands o;
    for (int32_t i = 0; i < COUNT_OF(lengths); i++)
        for (int32_t scale = 1; scale <= 20; scale += 19) {
            if (!make_operands(&o, "losses with settings", lengths[i], (float)scale)) return;
            test_errors(&o, 0.5f);
            test_binary(&o);
            test_smoothed(&o, o.n / 2, 0.1f);
            test_distilled(&o, o.n / 2, 2, 0.25f);
            test_distilled(&o, 0, 1, 0);
            test_in_place(&o);
        }
}

/* ---- networks ------------------------------------------------------------------------------------------------------ */

enum { IN = 6, CLASSES = 3, BATCH = 4, FILE_BYTES = 800 };

static const cge_layer two_dense[] = {DENSE(5, 0, CGE_INIT_GLOROT_UNIFORM), PLAIN(tanh), DENSE(CLASSES, 0, 0)};
static cge_model losing = {{1, 1, IN}, TABLE(two_dense), NULL, {&cge_sgd, 0.1f, 0.9f, 0, 0}, NULL, 0, 0, {0, 0, 0, 0}};

static const struct {
    const char *name;
    const cge_loss_kind *kind;
    cge_loss_config config;
    int labels;
} kinds[] = {
    {"softmax cross-entropy", &cge_softmax_cross_entropy, {0, 0, 0, 0}, 1},
    {"mean squared error", &cge_mean_squared_error, {0, 0, 0, 0}, 0},
    {"binary cross-entropy", &cge_binary_cross_entropy, {0, 0, 0, 0}, 0},
    {"mean absolute error", &cge_mean_absolute_error, {0, 0, 0, 0}, 0},
    {"huber", &cge_huber, {0.25f, 0, 0, 0}, 0},
    {"smoothed", &cge_smoothed_cross_entropy, {0, 0.1f, 0, 0}, 1},
    {"distillation", &cge_distillation, {0, 0, 2, 0.25f}, 1},
};

static struct losing_net { /* what is large lies in the pool: boards have little memory */
    cge_network *net;
    unsigned char *file;
    cge_layer *layers;
    cge_layer_config *configs;
    cge_options options;
    cge_plan plan;
    float *x, *values, *weights, *classes;
    int32_t *labels;
    cge_weights weighted;
    cge_targets targets;
} losses_of;

/* A network with loss number `kind`, at a level (NULL: without a plan). */
static int start_losing(int32_t kind, const cge_memory_level *level)
{
    struct losing_net *f = &losses_of;
    size_t bytes = 0, plan_bytes = 0;
    losing.loss = kinds[kind].kind;
    losing.loss_config = kinds[kind].config;
    memset(f, 0, sizeof *f);
    f->options.training = 1;
    CHECK_OK(cge_plan_bytes(&losing, &plan_bytes));
    CHECK_OK(cge_network_arena_bytes(&losing, &f->options, &bytes)); /* with a plan it is less */
    const size_t room = bytes + plan_bytes + 4 * BATCH * (IN + CLASSES + 2) + 4 * CLASSES + sizeof *f->net + FILE_BYTES
                        + 3 * (sizeof *f->layers + sizeof *f->configs);
    if (!check_room(kinds[kind].name, room)) return 0;
    f->net = check_bytes(sizeof *f->net);
    f->file = check_bytes(FILE_BYTES);
    f->layers = check_bytes(3 * sizeof *f->layers);
    f->configs = check_bytes(3 * sizeof *f->configs);
    f->x = check_operands(BATCH * IN, SEED_X);
    f->values = check_operands(BATCH * CLASSES, SEED_TARGET);
    f->weights = check_operands(BATCH, SEED_WEIGHTS);
    f->classes = check_floats(CLASSES);
    f->labels = check_ints(BATCH);
    for (int32_t i = 0; i < BATCH * CLASSES; i++) f->values[i] = 0.5f + 0.5f * f->values[i];
    for (int32_t i = 0; i < BATCH; i++) f->labels[i] = i % CLASSES, f->weights[i] = 1 + f->weights[i];
    for (int32_t i = 0; i < CLASSES; i++) f->classes[i] = 0.5f * (float)i;
    if (level != NULL) {
        CHECK_OK(cge_plan_make(&losing, level, 1, check_bytes(plan_bytes), plan_bytes, &f->plan));
        f->options.plan = &f->plan;
        CHECK_OK(cge_network_arena_bytes(&losing, &f->options, &bytes));
    }
    f->weighted.kind = &cge_weighted;
    f->weighted.samples = f->weights;
    f->targets.labels = f->labels;
    f->targets.values = f->values;
    f->targets.weights = &f->weighted;
    return CHECK_OK(cge_network_init(f->net, &losing, &f->options, check_bytes(bytes), bytes)) && CHECK_OK(cge_network_init_params(f->net, 5));
}

static uint64_t losing_hash(void)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(losses_of.net, &hash));
    return hash;
}

static cge_targets sample_of(const struct losing_net *f, int32_t i, cge_weights *weights)
{
    cge_targets one = f->targets;
    *weights = f->weighted;
    if (weights->samples != NULL) weights->samples += i;
    one.labels += i;
    one.values += i * CLASSES;
    one.weights = f->targets.weights != NULL ? weights : NULL;
    return one;
}

/* Sample after sample: batches of one, an epoch of such (its loss is the mean), or steps in slices. 0 if one fails. */
static uint64_t train_losing(int32_t kind, const cge_memory_level *level, int way, float *losses)
{
    struct losing_net *f = &losses_of;
    if (!start_losing(kind, level)) return 0;
    if (way == 1) return CHECK_OK(cge_network_train_epoch(f->net, f->x, &f->targets, NULL, BATCH, 1, losses)) ? losing_hash() : 0;
    for (int32_t i = 0; i < BATCH; i++) {
        cge_weights weights;
        const cge_targets one = sample_of(f, i, &weights);
        cge_status status;
        if (way == 0) status = cge_network_train_batch(f->net, f->x + i * IN, &one, 1, &losses[i]);
        else {
            status = cge_network_train_begin(f->net, f->x + i * IN, &one, 1);
            if (status == CGE_OK) do status = cge_network_resume(f->net, 20, &losses[i]); while (status == CGE_AGAIN);
        }
        if (!CHECK_STATUS(CGE_OK, status)) return 0;
    }
    return losing_hash();
}

static void test_levels(int32_t kind)
{
    static const cge_memory_level *const levels[] = {
        NULL, &cge_memory_small, &cge_memory_smallest, &cge_memory_small_sliced, &cge_memory_smallest_sliced};
    float expected_losses[BATCH], losses[BATCH];
    const uint64_t expected = train_losing(kind, NULL, 0, expected_losses);
    for (int32_t l = 0; l < COUNT_OF(levels); l++)
        for (int way = 0; way < (l > 2 ? 3 : 2); way++) {
            CHECK(train_losing(kind, levels[l], way, losses) == expected);
            for (int32_t i = 0; i < BATCH && way != 1; i++) CHECK_SAME(expected_losses[i], losses[i], i);
        }
}

/* The contract: a loss, and each element of its gradient, times the weight. Read off the last layer's biases. */
static void test_what_a_weight_does(int32_t kind)
{
    struct losing_net *f = &losses_of;
    for (int32_t i = 0; i < BATCH; i++) {
        cge_layer_params last;
        cge_weights weights;
        cge_targets one;
        float plain = 0, loss = 0, gradient[CLASSES];
        if (!start_losing(kind, NULL)) return;
        CHECK_OK(cge_network_layer_params(f->net, 2, &last));
        if (kinds[kind].labels) f->weighted.classes = f->classes;
        one = sample_of(f, i, &weights);
        one.weights = NULL;
        CHECK_OK(cge_network_accumulate(f->net, f->x + i * IN, &one, 1, &plain));
        for (int32_t k = 0; k < CLASSES; k++) gradient[k] = last.db[k];
        CHECK_OK(cge_network_zero_grads(f->net));
        one.weights = &weights;
        CHECK_OK(cge_network_accumulate(f->net, f->x + i * IN, &one, 1, &loss));
        const float w = kinds[kind].labels ? f->weights[i] * f->classes[f->labels[i]] : f->weights[i];
        CHECK_SAME(plain * w, loss, i);
        for (int32_t k = 0; k < CLASSES; k++) CHECK_SAME(gradient[k] * w + 0.0f, last.db[k] + 0.0f, k);
    }
}

static void test_mean_with_weights(int32_t kind)
{
    struct losing_net *f = &losses_of;
    float mean = 0, sum = 0, batch = 0;
    int32_t correct = -1, plain = -1;
    if (!start_losing(kind, NULL)) return;
    for (int32_t i = 0; i < BATCH; i++) {
        cge_weights weights;
        const cge_targets one = sample_of(f, i, &weights);
        float loss = 0;
        CHECK_OK(cge_network_evaluate(f->net, f->x + i * IN, &one, 1, &loss, NULL));
        sum += loss;
    }
    CHECK_OK(cge_network_evaluate(f->net, f->x, &f->targets, BATCH, &mean, &correct));
    CHECK(near((double)sum / BATCH, (double)mean));
    f->targets.weights = NULL;
    CHECK_OK(cge_network_evaluate(f->net, f->x, &f->targets, BATCH, &batch, &plain));
    CHECK(correct == plain);
    f->targets.weights = &f->weighted;
    for (int32_t i = 0; i < BATCH; i++) f->weights[i] = 1;
    CHECK_OK(cge_network_evaluate(f->net, f->x, &f->targets, BATCH, &mean, NULL));
    CHECK_SAME(batch, mean, 0);
}

/* Losses and right answers of samples while they train, each before its step. A weight of 1e20 at an input that is 0 makes a
 * step be tried first. */
static void test_sums_while_training(int32_t kind, const cge_memory_level *level, int sliced, int tried)
{
    struct losing_net *f = &losses_of;
    cge_progress sums = {0, 0, 0, 0, 0};
    cge_layer_params first;
    float total = 0;
    int32_t right = 0;
    if (!start_losing(kind, level) || !CHECK_OK(cge_network_layer_params(f->net, 0, &first))) return;
    if (tried) first.w[0] = 1e20f;
    for (int32_t i = 0; i < BATCH; i++) {
        cge_weights weights;
        const cge_targets one = sample_of(f, i, &weights);
        cge_status status = CGE_AGAIN;
        int32_t correct = 0;
        float loss = 0, before = 0;
        if (tried) f->x[i * IN] = 0;
        CHECK_OK(cge_network_evaluate(f->net, f->x + i * IN, &one, 1, &before, &correct));
        right += correct;
        total += before;
        weights.losses = &sums;
        if (!sliced) status = cge_network_train_batch(f->net, f->x + i * IN, &one, 1, &loss);
        else if (CHECK_OK(cge_network_train_begin(f->net, f->x + i * IN, &one, 1)))
            while (status == CGE_AGAIN) status = cge_network_resume(f->net, 20, &loss);
        CHECK_OK(status);
        CHECK_SAME(before, loss, i);
    }
    CHECK(sums.correct == right && sums.done == 0);
    CHECK(near((double)total, (double)sums.loss_sum));
}

static void test_sums(int32_t kind)
{
    static const cge_memory_level *const levels[] = {
        NULL, &cge_memory_small, &cge_memory_smallest, &cge_memory_small_sliced, &cge_memory_smallest_sliced};
    for (int32_t l = 0; l < COUNT_OF(levels); l++)
        for (int sliced = 0; sliced <= (l > 2); sliced++)
            for (int tried = 0; tried < 2; tried++) test_sums_while_training(kind, levels[l], sliced, tried);
}

static void test_bad_weights(int32_t kind)
{
    const float bad[] = {-1, -1e-30f, infinity(), not_a_number(), -infinity()};
    struct losing_net *f = &losses_of;
    int32_t order[BATCH];
    float mean = 0;
    uint64_t before;
    if (!start_losing(kind, NULL)) return;
    before = losing_hash();
    for (int32_t i = 0; i < BATCH; i++) order[i] = BATCH - 1 - i;
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        f->weights[BATCH - 1] = bad[i];
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f->net, f->x, &f->targets, order, 1, 1, &mean));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_evaluate(f->net, f->x, &f->targets, BATCH, &mean, NULL));
        CHECK_OK(cge_network_evaluate(f->net, f->x, &f->targets, BATCH - 1, &mean, NULL)); /* which do not visit it */
    }
    f->weights[BATCH - 1] = 1;
    f->weighted.classes = f->classes;
    if (!kinds[kind].labels) CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    else {
        for (int32_t i = 0; i < COUNT_OF(bad); i++) {
            f->classes[0] = bad[i];
            f->weights[0] = i < 2 ? -1 : 1; /* whose product would be positive */
            CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
            f->weights[0] = 1;
            CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
        }
        f->classes[0] = f->weights[0] = huge;
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
        f->weighted.classes = misaligned(f->classes);
        CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    }
    f->weighted.classes = NULL;
    f->weighted.samples = misaligned(f->weights);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    f->weighted.samples = NULL;
    f->weighted.losses = (cge_progress *)(void *)misaligned(f->weights);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    f->weighted.losses = NULL;
    CHECK_OK(cge_network_evaluate(f->net, f->x, &f->targets, BATCH, &mean, NULL)); /* all one */
    f->weighted.kind = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    CHECK(losing_hash() == before);
}

static void test_bad_targets(int32_t kind)
{
    struct losing_net *f = &losses_of;
    const int32_t last = BATCH - 1;
    float mean = 0;
    if (!start_losing(kind, NULL)) return;
    f->labels[2] = CLASSES;
    if (kinds[kind].labels) CHECK_REFUSED(CGE_ERR_LABEL, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    f->labels[2] = 0;
    if (kinds[kind].kind == &cge_binary_cross_entropy) {
        const float outside[] = {1.5f, -0.5f, not_a_number()};
        for (int32_t i = 0; i < COUNT_OF(outside); i++) {
            f->values[BATCH * CLASSES - 1] = outside[i];
            CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
            CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_train_epoch(f->net, f->x, &f->targets, &last, 1, 1, &mean));
        }
    }
    if (kinds[kind].kind == &cge_distillation || !kinds[kind].labels) {
        f->targets.values = NULL;
        CHECK_REFUSED(CGE_ERR_NULL, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
        f->targets.values = misaligned(f->values);
        CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &mean));
    }
}

/* What a loss is told must be something that it reads, and in range. */
static void test_configs(int32_t kind)
{
    const float values[] = {-1, 0, 0.5f, 1, 1.5f, infinity(), not_a_number()};
    size_t bytes;
    if (!check_room("settings", 8)) return;
    losing.loss = kinds[kind].kind;
    for (int32_t member = 0; member < 4; member++)
        for (int32_t i = 0; i < COUNT_OF(values); i++) {
            float config[4] = {0, 0, 0, 0};
            config[member] = values[i];
            memcpy(&losing.loss_config, config, sizeof config);
            const int share = (member == 1 && losing.loss == &cge_smoothed_cross_entropy) || (member == 3 && losing.loss == &cge_distillation);
            const int positive = (member == 0 && losing.loss == &cge_huber) || (member == 2 && losing.loss == &cge_distillation);
            const int fine = i == 1 || (share && i < 4 && i > 0) || (positive && i < 5 && i > 0);
            CHECK_STATUS(fine ? CGE_OK : CGE_ERR_ARGUMENT, cge_network_arena_bytes(&losing, NULL, &bytes));
        }
    memset(&losing.loss_config, 0, sizeof losing.loss_config);
    losing.loss = &cge_weighted;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&losing, NULL, &bytes));
}

/* Saved, parsed and restored: the settings are in the file, and a damaged count of them is refused. */
static void test_files(int32_t kind)
{
    struct losing_net *f = &losses_of;
    cge_model parsed;
    size_t used = 0, bytes = 0;
    float loss = 0;
    uint64_t hash;
    unsigned char *file;
    if (!start_losing(kind, NULL)) return;
    file = f->file;
    CHECK_OK(cge_network_train_batch(f->net, f->x, &f->targets, BATCH, &loss));
    hash = losing_hash();
    CHECK_OK(cge_network_saved_bytes(f->net, &bytes));
    if (!CHECK_OK(cge_network_save(f->net, file, FILE_BYTES, &used))) return;
    CHECK(used == bytes);
    CHECK_OK(cge_model_parse(file, used, &cge_catalog_all, f->layers, f->configs, 3, &parsed));
    CHECK(parsed.loss == kinds[kind].kind && memcmp(&parsed.loss_config, &kinds[kind].config, sizeof parsed.loss_config) == 0);
    CHECK_OK(cge_network_init_params(f->net, 9));
    CHECK_OK(cge_network_restore(f->net, file, used));
    CHECK(losing_hash() == hash && f->net->step_count == 1);
    for (int32_t count = 0; count < 256; count++) {
        const unsigned char was = file[29];
        const uint32_t crc = (file[29] = (unsigned char)count, cge_crc32(0, file, used - 4));
        for (int32_t i = 0; i < 4; i++) file[used - 4 + (size_t)i] = (unsigned char)(crc >> 8 * i);
        if (count != was) CHECK(cge_model_parse(file, used, &cge_catalog_all, f->layers, f->configs, 3, &parsed) != CGE_OK);
        file[29] = was;
    }
    if (file[29] == 0) return;
    file[used - 4 - 13] = 0xbf; /* a negative delta, which no loss accepts */
    const uint32_t crc = cge_crc32(0, file, used - 4);
    for (int32_t i = 0; i < 4; i++) file[used - 4 + (size_t)i] = (unsigned char)(crc >> 8 * i);
    CHECK_STATUS(CGE_ERR_FORMAT, cge_model_parse(file, used, &cge_catalog_all, f->layers, f->configs, 3, &parsed));
}

static void test_counting(void)
{
    static const float logits[] = {1, -1, 0, 2, -2, 3};
    static const float shares[] = {1, 0, 0.5f, 0.25f, 0.75f, 0.75f};
    static const cge_layer nothing[] = {PLAIN(flatten)};
    static const cge_model model = {.input = {1, 1, CLASSES}, TABLE(nothing), .loss = &cge_binary_cross_entropy};
    cge_network *net;
    cge_targets targets = {.values = shares};
    float x[6], mean = 0;
    int32_t correct = -1;
    size_t bytes = 0;
    CHECK_OK(cge_network_arena_bytes(&model, NULL, &bytes));
    if (!check_room("outputs that are right", bytes + sizeof *net)) return;
    net = check_bytes(sizeof *net);
    if (!CHECK_OK(cge_network_init(net, &model, NULL, check_bytes(bytes), bytes))) return;
    memcpy(x, logits, sizeof x);
    CHECK_OK(cge_network_evaluate(net, x, &targets, 2, &mean, &correct));
    CHECK(correct == 4);
    x[0] = not_a_number(), x[1] = not_a_number();
    CHECK_OK(cge_network_evaluate(net, x, &targets, 2, &mean, &correct));
    CHECK(correct == 2);
    cge_progress p = {0, INT32_MAX - 1, 0, 0, 0};
    memcpy(x, logits, sizeof x);
    CHECK_OK(cge_network_evaluate_part(net, x, &targets, 2, 2, &p, &mean));
    CHECK(p.correct == INT32_MAX);
}

void suite_more_losses(void)
{
    test_single_losses();
    test_golden_losses();
    test_wild_losses();
}

void suite_more_losses_status(void)
{
    const float bad_settings[] = {-1, infinity(), not_a_number()};
    if (!check_room("status", 128)) return;
    float *x = check_floats(4), *target = check_floats(4), *y = check_floats(4), *loss = check_floats(2);
    for (int32_t i = 0; i < 4; i++) x[i] = target[i] = 0.5f;
    for (int32_t i = 0; i < COUNT_OF(bad_settings); i++) {
        const float bad = bad_settings[i];
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_huber_forward_f32(3, bad, x, target, loss));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_huber_input_grad_f32(3, bad, x, target, y));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_smoothed_cross_entropy_forward_f32(3, bad, x, 0, loss));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_smoothed_cross_entropy_input_grad_f32(3, bad, x, 0, y));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_distillation_forward_f32(3, bad, 0, x, 0, target, loss));
        CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_distillation_input_grad_f32(3, 1, bad, x, 0, target, y));
    }
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_huber_forward_f32(3, 0, x, target, loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_distillation_input_grad_f32(3, 0, 0, x, 0, target, y));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_distillation_forward_f32(3, 1, 1.5f, x, 0, target, loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_smoothed_cross_entropy_forward_f32(3, 1.5f, x, 0, loss));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_smoothed_cross_entropy_forward_f32(3, 0, x, 3, loss));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_smoothed_cross_entropy_input_grad_f32(3, 0, x, -1, y));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_distillation_forward_f32(3, 1, 0, x, 3, target, loss));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_distillation_input_grad_f32(3, 1, 0, x, INT32_MIN, target, y));
    target[2] = 1.5f;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_binary_cross_entropy_forward_f32(3, x, target, loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_binary_cross_entropy_input_grad_f32(3, x, target, y));
    check_case("NULL");
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_absolute_error_forward_f32(3, NULL, target, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_absolute_error_forward_f32(3, x, NULL, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_absolute_error_forward_f32(3, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_mean_absolute_error_input_grad_f32(3, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_huber_forward_f32(3, 1, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_huber_input_grad_f32(3, 1, x, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_huber_input_grad_f32(3, 1, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_binary_cross_entropy_forward_f32(3, x, NULL, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_binary_cross_entropy_forward_f32(3, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_binary_cross_entropy_input_grad_f32(3, x, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_smoothed_cross_entropy_forward_f32(3, 0, NULL, 0, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_smoothed_cross_entropy_forward_f32(3, 0, x, 0, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_smoothed_cross_entropy_input_grad_f32(3, 0, x, 0, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_distillation_forward_f32(3, 1, 0, x, 0, NULL, loss));
    CHECK_REFUSED(CGE_ERR_NULL, cge_distillation_forward_f32(3, 1, 0, x, 0, target, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_distillation_input_grad_f32(3, 1, 0, x, 0, target, NULL));
    check_case("sizes, alignment");
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_mean_absolute_error_forward_f32(0, x, target, loss));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_huber_input_grad_f32(-1, 1, x, target, y));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_smoothed_cross_entropy_forward_f32(0, 0, x, 0, loss));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_smoothed_cross_entropy_input_grad_f32(0, 0, x, 0, y));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_distillation_forward_f32(0, 1, 0, x, 0, target, loss));
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_binary_cross_entropy_forward_f32(INT32_MAX, x, target, loss));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_mean_absolute_error_input_grad_f32(3, misaligned(x), target, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_distillation_input_grad_f32(3, 1, 0, x, 0, misaligned(target), y));
}

void suite_weights(void)
{
    for (int32_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        test_levels(kind);
        test_what_a_weight_does(kind);
        test_mean_with_weights(kind);
        test_sums(kind);
        test_bad_weights(kind);
        test_bad_targets(kind);
        test_configs(kind);
        test_files(kind);
    }
    test_counting();
}
