#include "../layers/layer.h"
#include "../kernels/kernels.h"

static const cge_real *values_of(const cge_network *net, const cge_targets *targets, int32_t sample)
{
    return targets->values + (size_t)sample * (size_t)net->out_elems;
}

/* ---- checks ---- */

static cge_status check_setting(float x, float most)
{
    return cge_is_finite_nonnegative(x) && x <= most ? CGE_OK : CGE_ERR_ARGUMENT;
}

#define ANY_SETTING 0x1.fffffep127f

/* What a loss can be told at most. */
static cge_status check_settings(const cge_model *model, float delta, float label_smoothing, float temperature, float alpha)
{
    const cge_loss_config *c = &model->loss_config;
    if (model->output_count != 0) return CGE_ERR_ARGUMENT;
    CGE_TRY(check_setting(c->delta, delta));
    CGE_TRY(check_setting(c->label_smoothing, label_smoothing));
    CGE_TRY(check_setting(c->temperature, temperature));
    return check_setting(c->alpha, alpha);
}

static uint32_t word_of(float x)
{
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return word;
}

/* Zeros of either sign. */
static cge_status plain_check(const cge_model *model)
{
    const cge_loss_config *c = &model->loss_config;
    const uint32_t words = word_of(c->delta) | word_of(c->label_smoothing) | word_of(c->temperature) | word_of(c->alpha);
    return (words << 1 | (uint32_t)model->output_count) != 0 ? CGE_ERR_ARGUMENT : CGE_OK;
}

static cge_status huber_check(const cge_model *model)
{
    return check_settings(model, ANY_SETTING, 0, 0, 0);
}

static cge_status smoothed_check(const cge_model *model)
{
    return check_settings(model, 0, 1, 0, 0);
}

static cge_status distillation_check(const cge_model *model)
{
    return check_settings(model, 0, 0, ANY_SETTING, 1);
}

static cge_real one_if_unset(float setting)
{
    return setting > 0.0f ? CGE_REAL(setting) : CGE_REAL(1);
}

static cge_status labels_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end)
{
    const int32_t *labels = targets->labels;
    int32_t i;
    if (labels == NULL) return CGE_ERR_NULL;
    if (!cge_is_aligned(labels, sizeof *labels)) return CGE_ERR_ALIGN;
    for (i = begin; i < end; i++) {
        const int32_t label = labels[order != NULL ? order[i] : i];
        if (label < 0 || label >= net->out_elems) return CGE_ERR_LABEL;
    }
    return CGE_OK;
}

static cge_status values_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end)
{
    (void)net, (void)order, (void)begin, (void)end;
    return cge_check_buffer(targets->values);
}

static cge_status both_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end)
{
    CGE_TRY(cge_check_buffer(targets->values));
    return labels_check_targets(net, targets, order, begin, end);
}

static cge_status probabilities_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end)
{
    int32_t i;
    CGE_TRY(cge_check_buffer(targets->values));
    for (i = begin; i < end; i++)
        if (!cge_are_probabilities(net->out_elems, values_of(net, targets, order != NULL ? order[i] : i))) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

/* ---- labels ---- */

static cge_real cross_entropy_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_softmax_cross_entropy_loss(net->out_elems, x, targets->labels[sample]);
}

static void cross_entropy_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_softmax_cross_entropy_grad(net->out_elems, x, targets->labels[sample], dx);
}

static cge_real smoothed_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_smoothed_cross_entropy_loss(net->out_elems, CGE_REAL(net->model->loss_config.label_smoothing), x, targets->labels[sample]);
}

static void smoothed_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_smoothed_cross_entropy_grad(net->out_elems, CGE_REAL(net->model->loss_config.label_smoothing), x, targets->labels[sample], dx);
}

static cge_real distillation_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_distillation_loss(net->out_elems, one_if_unset(net->model->loss_config.temperature), CGE_REAL(net->model->loss_config.alpha), x, targets->labels[sample], values_of(net, targets, sample));
}

static void distillation_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_distillation_grad(net->out_elems, one_if_unset(net->model->loss_config.temperature), CGE_REAL(net->model->loss_config.alpha), x, targets->labels[sample], values_of(net, targets, sample), dx);
}

/* ---- values ---- */

static cge_real squared_error_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_mean_squared_error_loss(net->out_elems, x, values_of(net, targets, sample));
}

static void squared_error_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_mean_squared_error_grad(net->out_elems, x, values_of(net, targets, sample), dx);
}

static cge_real absolute_error_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_mean_absolute_error_loss(net->out_elems, x, values_of(net, targets, sample));
}

static void absolute_error_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_mean_absolute_error_grad(net->out_elems, x, values_of(net, targets, sample), dx);
}

static cge_real huber_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_huber_loss(net->out_elems, one_if_unset(net->model->loss_config.delta), x, values_of(net, targets, sample));
}

static void huber_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_huber_grad(net->out_elems, one_if_unset(net->model->loss_config.delta), x, values_of(net, targets, sample), dx);
}

static cge_real binary_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    return cge_binary_cross_entropy_loss(net->out_elems, x, values_of(net, targets, sample));
}

static void binary_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_binary_cross_entropy_grad(net->out_elems, x, values_of(net, targets, sample), dx);
}

/* NaN is on no side. */
static int32_t binary_count_right(int32_t n, const cge_real *x, const cge_real *target)
{
    int32_t i, right = 0;
    for (i = 0; i < n; i++) right += target[i] > CGE_REAL(0.5) ? x[i] > 0 : x[i] <= 0;
    return right;
}

/* Costs: exp is 48 with what is around it, log as much. */
const cge_loss_kind cge_softmax_cross_entropy = {1, 1, 48, plain_check, labels_check_targets, cross_entropy_forward, cross_entropy_input_grad, NULL};
const cge_loss_kind cge_mean_squared_error = {2, 0, 5, plain_check, values_check_targets, squared_error_forward, squared_error_input_grad, NULL};
const cge_loss_kind cge_binary_cross_entropy = {3, 0, 112, plain_check, probabilities_check_targets, binary_forward, binary_input_grad, binary_count_right};
const cge_loss_kind cge_mean_absolute_error = {4, 0, 8, plain_check, values_check_targets, absolute_error_forward, absolute_error_input_grad, NULL};
const cge_loss_kind cge_huber = {5, 0, 12, huber_check, values_check_targets, huber_forward, huber_input_grad, NULL};
const cge_loss_kind cge_smoothed_cross_entropy = {6, 1, 56, smoothed_check, labels_check_targets, smoothed_forward, smoothed_input_grad, NULL};
const cge_loss_kind cge_distillation = {7, 1, 224, distillation_check, both_check_targets, distillation_forward, distillation_input_grad, NULL};
