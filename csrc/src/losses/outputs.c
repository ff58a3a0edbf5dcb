/* Several outputs of a network, each with a loss of its own. */
#include "../layers/layer.h"

/* What the loss of one output sees: a network of that output alone, of which it reads loss_config and out_elems, and the
 * targets of one sample, number 0. */
typedef struct output_view {
    cge_model model;
    cge_network net;
    cge_targets targets;
    int32_t first; /* of the outputs that are its own */
} output_view;

static int32_t label_columns(const cge_model *model)
{
    int32_t i, count = 0;
    for (i = 0; i < model->output_count; i++) count += model->outputs[i].loss->reads_labels;
    return count;
}

static void view_output(output_view *v, const cge_output *o)
{
    v->model.loss_config = o->loss_config;
    v->net.out_elems = o->elems;
}

static void view_first(output_view *v, const cge_network *net, const cge_targets *targets, int32_t sample)
{
    v->net.model = &v->model;
    v->targets = *targets;
    if (targets->labels != NULL) v->targets.labels += (size_t)sample * (size_t)label_columns(net->model);
    if (targets->values != NULL) v->targets.values += (size_t)sample * (size_t)net->out_elems;
    v->first = 0;
    view_output(v, net->model->outputs);
}

/* The output behind o. */
static void view_next(output_view *v, const cge_output *o)
{
    if (v->targets.labels != NULL) v->targets.labels += o->loss->reads_labels;
    if (v->targets.values != NULL) v->targets.values += o->elems;
    v->first += o->elems;
    view_output(v, o + 1);
}

static int is_last(const cge_model *model, const cge_output *o)
{
    return o == model->outputs + model->output_count - 1;
}

static cge_status check_sum(const cge_model *model, int32_t elems)
{
    int32_t i;
    for (i = 0; i < model->output_count; i++) {
        if (model->outputs[i].elems > elems) return CGE_ERR_SHAPE;
        elems -= model->outputs[i].elems;
    }
    return elems != 0 ? CGE_ERR_SHAPE : CGE_OK;
}

static cge_status check_sample(const cge_network *net, const cge_targets *targets, int32_t sample)
{
    const cge_output *o = net->model->outputs;
    output_view v;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        cge_loss_check_targets *const output_targets = o->loss->check_targets;
        CGE_TRY(output_targets(&v.net, &v.targets, NULL, 0, 1));
        if (is_last(net->model, o)) return CGE_OK;
        view_next(&v, o);
    }
}

static cge_status multi_output_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order,
                                             int32_t begin, int32_t end)
{
    CGE_TRY(check_sum(net->model, net->out_elems));
    for (; begin < end; begin++) CGE_TRY(check_sample(net, targets, order != NULL ? order[begin] : begin));
    return CGE_OK;
}

static cge_real multi_output_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    const cge_output *o = net->model->outputs;
    output_view v;
    cge_real sum = 0;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        cge_loss_forward *const output_loss = o->loss->forward;
        sum = CGE_MADD(sum, CGE_REAL(o->weight), output_loss(&v.net, x + v.first, &v.targets, 0));
        if (is_last(net->model, o)) return sum;
        view_next(&v, o);
    }
}

static void multi_output_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample,
                                    cge_real *dx)
{
    const cge_output *o = net->model->outputs;
    output_view v;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        cge_loss_input_grad *const output_grad = o->loss->input_grad;
        int32_t i;
        output_grad(&v.net, x + v.first, &v.targets, 0, dx + v.first);
        for (i = v.first; i < v.first + o->elems; i++) dx[i] *= CGE_REAL(o->weight);
        if (is_last(net->model, o)) return;
        view_next(&v, o);
    }
}

/* ---- weights of each output ---- */

/* Of the sample that is viewed. */
static cge_real weight_of_label(const cge_targets *targets, const output_view *v, const cge_output *o)
{
    const cge_real *classes = targets->weights->classes;
    return classes != NULL && o->loss->reads_labels ? classes[v->first + v->targets.labels[0]] : CGE_REAL(1);
}

static cge_real weight_of_sample_in(const cge_network *net, const cge_targets *targets, int32_t sample, const cge_output *o)
{
    const cge_real *samples = targets->weights->samples;
    const size_t number = (size_t)(o - net->model->outputs);
    return samples != NULL ? samples[(size_t)sample * (size_t)net->model->output_count + number] : CGE_REAL(1);
}

/* Neither factor may be negative: their product would hide it. */
static int weights_are_valid(const cge_network *net, const cge_targets *targets, int32_t sample)
{
    const cge_output *o = net->model->outputs;
    output_view v;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        const cge_real of_sample = weight_of_sample_in(net, targets, sample, o);
        if (!cge_is_weight(of_sample) || !cge_is_weight(of_sample * weight_of_label(targets, &v, o))) return 0;
        if (is_last(net->model, o)) return 1;
        view_next(&v, o);
    }
}

static cge_status weighted_outputs_check_targets(const cge_network *net, const cge_targets *targets, const int32_t *order,
                                                 int32_t begin, int32_t end)
{
    const cge_weights *w = targets->weights;
    if (net->model->loss != &cge_multi_output) return CGE_ERR_ARGUMENT;
    CGE_TRY(multi_output_check_targets(net, targets, order, begin, end));
    if (!cge_is_aligned(w->samples, sizeof(cge_real)) || !cge_is_aligned(w->classes, sizeof(cge_real))) return CGE_ERR_ALIGN;
    if (!cge_is_aligned(w->losses, sizeof(cge_real))) return CGE_ERR_ALIGN;
    for (; begin < end; begin++)
        if (!weights_are_valid(net, targets, order != NULL ? order[begin] : begin)) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}

static cge_real weighted_outputs_forward(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample)
{
    const cge_output *o = net->model->outputs;
    cge_progress *sums = targets->weights->losses;
    output_view v;
    cge_real sum = 0;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        cge_loss_forward *const output_loss = o->loss->forward;
        const cge_real weight = weight_of_sample_in(net, targets, sample, o) * weight_of_label(targets, &v, o);
        const cge_real loss = output_loss(&v.net, x + v.first, &v.targets, 0) * weight;
        const cge_scored scored = {o->loss, x + v.first, o->elems, 0, &v.targets};
        if (sums != NULL) cge_note_loss(sums++, loss, &scored);
        sum = CGE_MADD(sum, CGE_REAL(o->weight), loss);
        if (is_last(net->model, o)) return sum;
        view_next(&v, o);
    }
}

static void weighted_outputs_input_grad(const cge_network *net, const cge_real *x, const cge_targets *targets, int32_t sample,
                                        cge_real *dx)
{
    const cge_output *o = net->model->outputs;
    output_view v;
    view_first(&v, net, targets, sample);
    for (;; o++) {
        cge_loss_input_grad *const output_grad = o->loss->input_grad;
        const cge_real weight = weight_of_sample_in(net, targets, sample, o) * weight_of_label(targets, &v, o);
        int32_t i;
        output_grad(&v.net, x + v.first, &v.targets, 0, dx + v.first);
        for (i = v.first; i < v.first + o->elems; i++) dx[i] = dx[i] * weight * CGE_REAL(o->weight);
        if (is_last(net->model, o)) return;
        view_next(&v, o);
    }
}

/* It looks into the model's loss, and so must not be it. */
static cge_status weighted_outputs_check(const cge_model *model)
{
    (void)model;
    return CGE_ERR_ARGUMENT;
}

const cge_loss_kind cge_weighted_outputs = {0, 0, 0, weighted_outputs_check, weighted_outputs_check_targets,
                                            weighted_outputs_forward, weighted_outputs_input_grad, NULL};

/* ---- the table ---- */

static cge_status check_output(const cge_output *o)
{
    output_view v;
    cge_status (*output_check)(const cge_model *);
    if (o->loss == NULL) return CGE_ERR_NULL;
    if (o->loss == &cge_multi_output || o->elems < 1 || !cge_is_finite_nonnegative(o->weight)) return CGE_ERR_ARGUMENT;
    output_check = o->loss->check;
    v.model.output_count = 0;
    view_output(&v, o);
    return output_check(&v.model);
}

static cge_status multi_output_check(const cge_model *model)
{
    static const cge_loss_config unset;
    int32_t i;
    if (model->outputs == NULL) return CGE_ERR_NULL;
    if (!cge_is_aligned(model->outputs, sizeof model->outputs->loss)) return CGE_ERR_ALIGN;
    if (model->output_count < 1 || memcmp(&model->loss_config, &unset, sizeof unset) != 0) return CGE_ERR_ARGUMENT;
    for (i = 0; i < model->output_count; i++) CGE_TRY(check_output(&model->outputs[i]));
    return CGE_OK;
}

/* The cost is that of the weight: those of the outputs' losses are their own. */
const cge_loss_kind cge_multi_output = {
    8, 0, 4, multi_output_check, multi_output_check_targets, multi_output_forward, multi_output_input_grad, NULL};
