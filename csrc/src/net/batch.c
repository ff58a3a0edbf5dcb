/*
 * A pass of several samples by a plan. Tensors are [count][elements]. A unit works on one sample after the other before the
 * next unit begins, and batch normalisation on all of them at once. So the order of additions is that of samples one by one.
 */
#include "units.h"

/* How often unit `number` works in a pass: once for each sample, or once for all. */
static int32_t runs_of(cge_network *net, int32_t number, int32_t count)
{
    const int together = cge_learns_by_batch(&net->model->layers[net->options.plan->units[number].main]);
    net->pass_count = together ? count : 1;
    return together ? 1 : count;
}

static void end_pass(cge_network *net)
{
    net->pass_sample = 0;
    net->pass_count = 1;
}

/* The first units, which run as one. 0: see cge_stem_reads_finite. */
static int forward_stem(cge_network *net, const void *x, int32_t count)
{
    for (net->pass_sample = 0; net->pass_sample < count; net->pass_sample++) {
        const void *sample = cge_sample_at(net, x, net->pass_sample);
        cge_real largest = 0;
        cge_stem_forward(net, net->params, (const cge_real *)sample, &largest);
        if (!cge_stem_reads_finite(net, sample, largest)) return 0;
    }
    return 1;
}

/* 0: a unit whose zeros are left out would read what is not finite. */
static int forward_pass(cge_network *net, const void *x, int32_t count, int32_t stem)
{
    const cge_plan *plan = net->options.plan;
    const cge_real largest = 0;
    int32_t number;
    if (stem > 0 && !forward_stem(net, x, count)) return 0;
    for (number = stem; number < plan->unit_count && plan->units[number].main >= 0; number++) {
        const int32_t runs = runs_of(net, number, count);
        for (net->pass_sample = 0; net->pass_sample < runs; net->pass_sample++)
            if (cge_run_unit_forward(net, number, cge_sample_at(net, x, net->pass_sample), &largest) == NULL) return 0;
    }
    return 1;
}

/* Losses, and what backward begins with. 0: a loss is not finite. */
static int take_losses(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin, int32_t count,
                       cge_progress *losses)
{
    const cge_plan *plan = net->options.plan;
    for (net->pass_sample = 0; net->pass_sample < count; net->pass_sample++) {
        const int32_t sample = cge_sample_index(s, begin + net->pass_sample);
        const cge_real *y = cge_tensor_at(net, plan->units[plan->unit_count - 1].y);
        cge_real loss;
        if (y == NULL) y = (const cge_real *)cge_sample_at(net, x, net->pass_sample); /* all layers only rename */
        loss = cge_loss_of(net, s->targets)->forward(net, y, s->targets, sample);
        if (!cge_is_finite(loss)) return 0;
        cge_add_loss(losses, loss);
        if (cge_something_learns(plan)) cge_start_backward(net, y, s->targets, sample);
    }
    return 1;
}

/* Gradients are collected, so no unit refuses. */
static void backward_pass(cge_network *net, const void *x, int32_t count, int32_t stem)
{
    const cge_plan *plan = net->options.plan;
    int32_t number;
    for (number = plan->unit_count - 1; number >= stem; number--) {
        const int32_t runs = plan->units[number].learns ? runs_of(net, number, count) : 0;
        for (net->pass_sample = 0; net->pass_sample < runs; net->pass_sample++)
            (void)!cge_unit_backward(net, number, cge_sample_at(net, x, net->pass_sample));
    }
    net->pass_count = 1;
    if (stem == 0 || !plan->units[stem - 1].learns) return;
    for (net->pass_sample = 0; net->pass_sample < count; net->pass_sample++)
        (void)!cge_stem_backward(net, (const cge_real *)cge_sample_at(net, x, net->pass_sample));
}

CGE_INTERNAL int cge_learn_pass_by_units(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin,
                                         int32_t count, cge_progress *losses)
{
    const int32_t stem = cge_count_stem_units(net->options.plan->units, net->options.plan->unit_count);
    int done = forward_pass(net, x, count, stem);
    end_pass(net);
    done = done && take_losses(net, x, s, begin, count, losses);
    if (done) backward_pass(net, x, count, stem);
    end_pass(net);
    return done;
}
