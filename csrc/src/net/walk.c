/* A pass walks the layer table over at most `capacity` samples at once. */
#include "tasks.h"
#include "trained_params.h"
#include "units.h"

#include <string.h>

typedef struct pass {
    const cge_network *net;
    const cge_real *params;
    const void *x;      /* [count][in_elems] */
    int32_t count;
    int32_t layer, end; /* of the section: layer .. end - 1 forward; layer .. end + 1, descending, backward */
    int32_t dy;         /* backward: where the gradient of the section's output lies */
    int32_t weight_tasks, sample_tasks;
    int32_t trains; /* forward */
} pass;

static int has_pixels(cge_shape s)
{
    return s.h * s.w > 1;
}

static cge_real *activation(const cge_network *net, int32_t offset, cge_shape shape, int32_t sample)
{
    return net->activations + offset + cge_sample(shape, sample);
}

/* c->x is NULL if the layer reads an x that is not cge_real. */
static void set_call(cge_layer_call *c, const pass *p, int32_t l, cge_range samples)
{
    const cge_network *net = p->net;
    const cge_layer_plan *plans = cge_layer_plans(net), *plan = &plans[l];
    cge_layer_weights at;
    memset(c, 0, sizeof *c);
    c->layer = &net->model->layers[l];
    c->in = plan->in;
    c->out = plan->out;
    c->count = samples.end - samples.begin;
    c->draw = cge_draw_of(net, l);
    c->draw.sample = samples.begin;
    c->draw.trains = p->trains;
    if (l > 0 && plans[l - 1].y >= 0)
        c->x = activation(net, plans[l - 1].y, plan->in, samples.begin);
    else if (net->model->input_kind == NULL)
        c->x = (const cge_real *)cge_sample_at(net, p->x, samples.begin);
    if (plan->y >= 0) c->y = activation(net, plan->y, plan->out, samples.begin);
    if (plan->weights == 0) return;
    at = cge_weights_of(net, p->params, l);
    c->w = at.w;
    c->b = at.b;
}

/* Each task has a window of its own. */
CGE_NOINLINE void run_through_window(const pass *p, cge_layer_call *c, int32_t first_sample, int32_t task)
{
    const cge_network *net = p->net;
    const cge_input_kind *kind = net->model->input_kind;
    cge_x_source source;
    c->source = cge_set_source(net, cge_sample_at(net, p->x, first_sample), net->window + task * net->window_elems, &source);
    (c->dy != NULL ? kind->weight_grad_cuts : kind->forward_cuts)(c);
}

static void forward_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    int32_t l;
    for (l = p->layer; l < p->end; l++) {
        const cge_layer_kind *kind = p->net->model->layers[l].kind;
        cge_layer_call c;
        set_call(&c, p, l, samples);
        if (kind->forward == NULL) continue;
        if (c.x != NULL) kind->forward(&c);
        else run_through_window(p, &c, samples.begin, index);
    }
}

CGE_INTERNAL const cge_real *cge_pass_forward(const cge_network *net, const cge_real *params, const void *x, int32_t count, int32_t trains)
{
    const cge_memory_level *level = cge_level_of(&net->options);
    const int32_t y = cge_layer_plans(net)[net->model->layer_count - 1].y;
    pass p = {net, params, x, count, 0, 0, 0, 0, 0, trains};
    if (level != NULL) return level->forward_units(net, params, x);
    for (; p.layer < net->model->layer_count; p.layer = p.end) {
        const int32_t apart = cge_samples_apart(net, p.layer, count);
        p.end = cge_section_end(net, p.layer);
        p.sample_tasks = cge_tasks_for(net, CGE_PER_THREAD, apart, cge_layers_work(net, p.layer, p.end) * count);
        cge_run_tasks(net, forward_task, &p, p.sample_tasks);
    }
    return y < 0 ? (const cge_real *)x : net->activations + y;
}

static void weight_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    const cge_layer_plan *plan = &cge_layer_plans(net)[p->layer];
    const int32_t trained = cge_trained_weight_elems(&net->model->layers[p->layer], plan->weights);
    cge_layer_call c;
    set_call(&c, p, p->layer, cge_part_of(p->count, 1, 0));
    c.dy = net->activations + p->dy;
    if (trained != 0) c.dw = net->grads + plan->grads;
    if (c.b != NULL) c.db = net->grads + plan->grads + trained;
    c.part = index;
    c.parts = p->weight_tasks;
    if (plan->dx >= 0 && cge_computes_both(c.layer, c.parts)) c.dx = net->activations + plan->dx;
    c.add = net->pending != 0;
    if (c.x != NULL) c.layer->kind->weight_grad(&c);
    else run_through_window(p, &c, 0, index);
}

static void input_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    int32_t l, dy = p->dy;
    for (l = p->layer; l > p->end; l--) {
        cge_layer_call c;
        set_call(&c, p, l, samples);
        c.dy = activation(net, dy, c.out, samples.begin);
        dy = cge_layer_plans(net)[l].dx;
        c.dx = activation(net, dy, c.in, samples.begin);
        if (c.layer->kind->input_grad != NULL) c.layer->kind->input_grad(&c);
    }
}

static void backward_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    if (index < p->weight_tasks)
        weight_grad_task(p, index);
    else
        input_grad_task(p, index - p->weight_tasks);
}

/* The parameters' gradients, added to what is pending, given the gradient of the last output at net->loss_grad. Stops at the first
 * trainable layer: what lies before it needs no gradient. */
CGE_INTERNAL void cge_pass_backward(const cge_network *net, const void *x, int32_t count)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    pass p = {net, net->params, x, count, 0, 0, 0, 0, 0, 1};
    p.dy = net->loss_grad;
    for (p.layer = net->model->layer_count - 1; p.layer >= net->first_trainable; p.layer = p.end) {
        const cge_layer_plan *plan = &plans[p.layer];
        const int64_t work = cge_layers_work(net, p.layer, p.layer + 1) * count;
        int32_t per_thread;
        int both;
        p.end = cge_section_begin(net, p.layer) - 1;
        p.weight_tasks = plan->grads >= 0 ? cge_tasks_for(net, CGE_WEIGHT_GRADS_PER_THREAD, plan->weights, work) : 0;
        both = plan->dx >= 0 && cge_computes_both(&net->model->layers[p.layer], p.weight_tasks);
        if (both) p.end = p.layer - 1;
        per_thread = has_pixels(plan->out) ? CGE_INPUT_GRADS_PER_THREAD : CGE_PER_THREAD;
        p.sample_tasks = plan->dx < 0 || both ? 0
                         : cge_tasks_for(net, per_thread, cge_samples_apart(net, p.layer, count), work);
        cge_run_tasks(net, backward_task, &p, p.weight_tasks + p.sample_tasks);
        p.dy = plan->dx;
    }
}
