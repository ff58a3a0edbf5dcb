/* Weights of samples and of classes. */
#include "../layers/layer.h"

static cge_real weight_of_sample(const cge_targets *t, int32_t sample)
{
    const cge_weights *w = t->weights;
    const cge_real weight = w->samples != NULL ? w->samples[sample] : CGE_REAL(1);
    return w->classes != NULL ? weight * w->classes[t->labels[sample]] : weight;
}

/* Neither factor may be negative: their product would hide it. */
static int weight_is_valid(const cge_targets *t, int32_t sample)
{
    const cge_real *samples = t->weights->samples;
    return (samples == NULL || cge_is_weight(samples[sample])) && cge_is_weight(weight_of_sample(t, sample));
}

static cge_status weighted_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order, int32_t begin, int32_t end)
{
    const cge_weights *w = targets->weights;
    cge_loss_check_targets *const plain_targets = net->model->loss->check_targets;
    CGE_TRY(plain_targets(net, targets, order, begin, end));
    if (w->classes != NULL && !net->model->loss->reads_labels) return CGE_ERR_ARGUMENT;
    if (!cge_is_aligned(w->samples, sizeof(cge_real)) || !cge_is_aligned(w->classes, sizeof(cge_real))) return CGE_ERR_ALIGN;
    if (!cge_is_aligned(w->losses, sizeof(cge_real))) return CGE_ERR_ALIGN;
    for (; begin < end; begin++)
        if (!weight_is_valid(targets, order != NULL ? order[begin] : begin)) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

static cge_real weighted_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    cge_loss_forward *const plain_loss = net->model->loss->forward;
    const cge_real loss = plain_loss(net, x, targets, sample) * weight_of_sample(targets, sample);
    const cge_scored scored = {net->model->loss, x, net->out_elems, sample, targets};
    if (targets->weights->losses != NULL) cge_note_loss(targets->weights->losses, loss, &scored);
    return loss;
}

static void weighted_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample, cge_real *dx)
{
    cge_loss_input_grad *const plain_grad = net->model->loss->input_grad;
    const cge_real weight = weight_of_sample(targets, sample);
    int32_t i;
    plain_grad(net, x, targets, sample, dx);
    for (i = 0; i < net->out_elems; i++) dx[i] *= weight;
}

/* It calls the model's loss, and so must not be it. */
static cge_status weighted_check(const cge_model *model)
{
    (void)model;
    return CGE_ERR_ARGUMENT;
}

const cge_loss_kind cge_weighted = {0, 0, 0, weighted_check, weighted_check_targets, weighted_forward, weighted_input_grad, NULL};
