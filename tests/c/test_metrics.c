/* Confusion matrix, top-k, mean absolute error: against counting by sorting, NaN, ties, what is refused. */
#include "check.h"
#include "suites.h"

enum { CLASSES = 5, SAMPLES = 40, SEED_OUTPUTS = 171, SEED_METRIC_TARGET };

/* Of a few values, so that there are ties. */
static void take_outputs(float *y, int32_t sample)
{
    for (int32_t i = 0; i < CLASSES; i++) y[i] = (float)(int32_t)(4 * operand(SEED_OUTPUTS, sample * CLASSES + i));
}

/* The classes from the largest output to the smallest. */
static void sort_classes(const float *y, int32_t *order)
{
    for (int32_t i = 0; i < CLASSES; i++) {
        int32_t at = i;
        for (; at > 0 && y[order[at - 1]] < y[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

static void test_counts(void)
{
    int32_t expected[CLASSES * CLASSES] = {0}, right[CLASSES + 1] = {0}, order[CLASSES];
    cge_top_k top[CLASSES];
    if (!check_room("counts", 4 * CLASSES * (CLASSES + 1) + 16)) return;
    cge_confusion m = {CLASSES, check_ints(CLASSES * CLASSES), 0};
    float *y = check_floats(CLASSES);
    for (int32_t i = 0; i < CLASSES * CLASSES; i++) m.counts[i] = 0;
    for (int32_t k = 0; k < CLASSES; k++) top[k].k = k + 1, top[k].seen = top[k].right = 0;
    for (int32_t s = 0; s < SAMPLES; s++) {
        const int32_t label = s % CLASSES;
        take_outputs(y, s);
        sort_classes(y, order);
        expected[label * CLASSES + order[0]]++;
        for (int32_t k = 0; k < CLASSES; k++)
            for (int32_t i = 0; i <= k; i++) right[k] += order[i] == label;
        CHECK_OK(cge_confusion_add_f32(&m, y, label));
        for (int32_t k = 0; k < CLASSES; k++) CHECK_OK(cge_top_k_add_f32(&top[k], CLASSES, y, label));
    }
    for (int32_t i = 0; i < CLASSES * CLASSES; i++) CHECK(m.counts[i] == expected[i]);
    for (int32_t k = 0; k < CLASSES; k++) CHECK(top[k].right == right[k] && top[k].seen == SAMPLES);
    CHECK(m.not_a_number == 0 && top[CLASSES - 1].right == SAMPLES);
    check_case("NaN");
    y[3] = float_from_bits(0x7fc00000u);
    CHECK_OK(cge_confusion_add_f32(&m, y, 3));
    CHECK_OK(cge_top_k_add_f32(&top[CLASSES - 1], CLASSES, y, 3));
    CHECK(m.not_a_number == 1 && top[CLASSES - 1].right == SAMPLES && top[CLASSES - 1].seen == SAMPLES + 1);
    for (int32_t i = 0; i < CLASSES * CLASSES; i++) CHECK(m.counts[i] == expected[i]);
    check_case("up to INT32_MAX");
    y[3] = 100;
    m.counts[3 * CLASSES + 3] = INT32_MAX;
    CHECK_OK(cge_confusion_add_f32(&m, y, 3));
    CHECK(m.counts[3 * CLASSES + 3] == INT32_MAX);
    top[0].seen = INT32_MAX;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_top_k_add_f32(&top[0], CLASSES, y, 3));
}

static void test_absolute_error(void)
{
    cge_absolute_error m = {0, 0, 0};
    double sum = 0;
    float mean = -1;
    if (!check_room("absolute error", 8 * SAMPLES)) return;
    float *y = check_operands(SAMPLES, SEED_OUTPUTS), *target = check_operands(SAMPLES, SEED_METRIC_TARGET);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_absolute_error_mean_f32(&m, &mean));
    for (int32_t i = 0; i < SAMPLES; i++) sum += y[i] < target[i] ? (double)target[i] - (double)y[i] : (double)y[i] - (double)target[i];
    CHECK_OK(cge_absolute_error_add_f32(&m, SAMPLES / 2, y, target));
    CHECK_OK(cge_absolute_error_add_f32(&m, SAMPLES - SAMPLES / 2, y + SAMPLES / 2, target + SAMPLES / 2));
    CHECK_OK(cge_absolute_error_mean_f32(&m, &mean));
    CHECK(m.count == SAMPLES && (double)mean * SAMPLES < sum + 1e-5 && (double)mean * SAMPLES > sum - 1e-5);
    check_case("small errors beside a large sum");
    m.count = 1, m.sum = 16777216, m.error = 0;
    for (int32_t i = 0; i < SAMPLES; i++) y[i] = 1, target[i] = 0;
    CHECK_OK(cge_absolute_error_add_f32(&m, SAMPLES, y, target));
    CHECK(m.sum == 16777216.0f + SAMPLES);
    y[1] = float_from_bits(0x7fc00000u);
    CHECK_OK(cge_absolute_error_add_f32(&m, 2, y, target));
    CHECK_OK(cge_absolute_error_mean_f32(&m, &mean));
    CHECK(mean != mean);
    m.count = INT32_MAX - 1;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_absolute_error_add_f32(&m, 2, y, target));
}

void suite_metrics(void)
{
    test_counts();
    test_absolute_error();
}

void suite_metrics_status(void)
{
    if (!check_room("status", 256)) return;
    float *y = check_floats(4), *target = check_floats(4), *mean = check_floats(1);
    cge_confusion *m = check_bytes(sizeof *m);
    cge_top_k *top = check_bytes(sizeof *top);
    cge_absolute_error *e = check_bytes(sizeof *e);
    for (int32_t i = 0; i < 4; i++) y[i] = target[i] = 1;
    m->classes = 4, m->counts = check_ints(16), m->not_a_number = 0;
    top->k = 2, top->seen = top->right = 0;
    e->count = 1, e->sum = 1, e->error = 0;
    CHECK_REFUSED(CGE_ERR_NULL, cge_confusion_add_f32(NULL, y, 0));
    CHECK_REFUSED(CGE_ERR_NULL, cge_confusion_add_f32(m, NULL, 0));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_confusion_add_f32(m, misaligned(y), 0));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_confusion_add_f32(m, y, 4));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_confusion_add_f32(m, y, -1));
    m->classes = 0;
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_confusion_add_f32(m, y, 0));
    m->classes = 16384;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_confusion_add_f32(m, y, 0));
    m->classes = 4;
    m->counts = (int32_t *)(void *)misaligned(target);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_confusion_add_f32(m, y, 0));
    m->counts = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_confusion_add_f32(m, y, 0));
    CHECK_REFUSED(CGE_ERR_NULL, cge_top_k_add_f32(NULL, 4, y, 0));
    CHECK_REFUSED(CGE_ERR_NULL, cge_top_k_add_f32(top, 4, NULL, 0));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_top_k_add_f32(top, 0, y, 0));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_top_k_add_f32(top, 4, y, 4));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_top_k_add_f32(top, 1, y, 0));
    top->k = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_top_k_add_f32(top, 4, y, 0));
    top->k = 1, top->right = 1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_top_k_add_f32(top, 4, y, 0));
    top->seen = top->right = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_top_k_add_f32(top, 4, y, 0));
    top->seen = 1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_top_k_add_f32(top, 4, y, 0));
    top->right = 0;
    CHECK_REFUSED(CGE_ERR_LABEL, cge_top_k_add_f32(top, 4, y, -1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_absolute_error_add_f32(NULL, 4, y, target));
    CHECK_REFUSED(CGE_ERR_NULL, cge_absolute_error_add_f32(e, 4, y, NULL));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_absolute_error_add_f32(e, 0, y, target));
    CHECK_REFUSED(CGE_ERR_NULL, cge_absolute_error_mean_f32(NULL, mean));
    CHECK_REFUSED(CGE_ERR_NULL, cge_absolute_error_mean_f32(e, NULL));
    e->count = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_absolute_error_add_f32(e, 4, y, target));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_absolute_error_mean_f32(e, mean));
}
