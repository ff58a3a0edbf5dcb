/* A pass walks the layer table over at most `capacity` samples at once. */
#include "tasks.h"
#include "trained_params.h"
#include "units.h"
#include "wiring.h"
#include "../kernels/kernels.h"

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

static void set_second_input(cge_layer_call *c, const pass *p, int32_t l, int32_t offset, int32_t sample)
{
    const int32_t source = cge_source(p->net->model, l, 1);
    c->in2 = source < 0 ? p->net->model->input : cge_layer_plans(p->net)[source].out;
    if (offset >= 0) c->x2 = activation(p->net, offset, c->in2, sample);
    else if (p->net->model->input_kind == NULL) c->x2 = (const cge_real *)cge_sample_at(p->net, p->x, sample);
}

/* c->x is NULL if the layer reads an x that is not cge_real. */
static void set_call(cge_layer_call *c, const pass *p, int32_t l, cge_range samples)
{
    const cge_network *net = p->net;
    const cge_layer_plan *plan = &cge_layer_plans(net)[l];
    cge_layer_weights at;
    cge_wiring wiring;
    memset(c, 0, sizeof *c);
    c->layer = &net->model->layers[l];
    c->in = plan->in;
    c->out = plan->out;
    c->count = samples.end - samples.begin;
    c->draw = cge_draw_of(net, l);
    c->draw.sample = samples.begin;
    c->draw.trains = p->trains;
    wiring = cge_wiring_of(net, l);
    if (wiring.x[0] >= 0) c->x = activation(net, wiring.x[0], plan->in, samples.begin);
    else if (net->model->input_kind == NULL) c->x = (const cge_real *)cge_sample_at(net, p->x, samples.begin);
    if (cge_wired_inputs(c->layer) > 1) set_second_input(c, p, l, wiring.x[1], samples.begin);
    if (wiring.y >= 0) c->y = activation(net, wiring.y, plan->out, samples.begin);
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
    pass p = {net, params, x, count, 0, 0, 0, 0, 0, trains};
    int32_t y;
    if (cge_runs_units(&net->options)) return level->forward_units(net, params, x);
    for (; p.layer < net->model->layer_count; p.layer = p.end) {
        const int32_t apart = cge_samples_apart(net, p.layer, count);
        p.end = cge_section_end(net, p.layer);
        p.sample_tasks = cge_tasks_for(net, CGE_PER_THREAD, apart, cge_layers_work(net, p.layer, p.end) * count);
        cge_run_tasks(net, forward_task, &p, p.sample_tasks);
    }
    y = cge_wiring_of(net, net->model->layer_count - 1).y;
    return y < 0 ? (const cge_real *)x : net->activations + y;
}

static void weight_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    const cge_layer_plan *plan = &cge_layer_plans(net)[p->layer];
    const cge_wiring wiring = cge_wiring_of(net, p->layer);
    const int32_t trained = cge_trained_weight_elems(&net->model->layers[p->layer], plan->weights);
    cge_layer_call c;
    set_call(&c, p, p->layer, cge_part_of(p->count, 1, 0));
    c.dy = net->activations + p->dy;
    if (trained != 0) c.dw = net->grads + plan->grads;
    if (c.b != NULL) c.db = net->grads + plan->grads + trained;
    c.part = index;
    c.parts = p->weight_tasks;
    if (wiring.dx[0] >= 0 && cge_computes_both(c.layer, c.parts))
        c.dx = net->activations + (wiring.adds != 0 ? wiring.made : wiring.dx[0]);
    c.add = net->pending != 0;
    if (c.x != NULL) c.layer->kind->weight_grad(&c);
    else run_through_window(p, &c, 0, index);
}

/* Of one input, which may have a part of it already. */
CGE_INLINE void input_grad(const pass *p, const cge_wiring *w, int slot, int32_t first_sample, cge_layer_call *c)
{
    const cge_shape shape = slot == 0 ? c->in : c->in2;
    const int adds = (w->adds & 1 << slot) != 0;
    cge_real *dx = activation(p->net, w->dx[slot], shape, first_sample), *made = dx;
    if (adds) made = p->net->activations + w->made + (size_t)first_sample * (size_t)w->made_elems;
    c->dx = slot == 0 ? made : NULL;
    if (CGE_HOST) c->dx2 = slot == 0 ? NULL : made;
    c->layer->kind->input_grad(c);
    if (adds) cge_add_apply((int32_t)cge_sample(shape, c->count), dx, made, dx);
}

/* The second input's comes first. */
static void input_grad_task(const pass *p, int32_t index)
{
    const cge_network *net = p->net;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    int32_t l, dy = p->dy;
    for (l = p->layer; l > p->end; l--) {
        const cge_wiring wiring = cge_wiring_of(net, l);
        cge_layer_call c;
        int slot;
        set_call(&c, p, l, samples);
        if (c.layer->kind->input_grad == NULL) continue; /* it only renames */
        c.dy = activation(net, dy, c.out, samples.begin);
        dy = wiring.dx[0];
        for (slot = cge_wired_inputs(c.layer) - 1; slot >= 0; slot--)
            if (!CGE_HOST || wiring.dx[slot] >= 0) input_grad(p, &wiring, slot, samples.begin, &c);
    }
}

/* Adds what the tasks of a weight gradient have computed of the input's. */
static void add_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    const cge_range samples = cge_part_of(p->count, p->sample_tasks, index);
    const cge_wiring w = cge_wiring_of(p->net, p->layer);
    const cge_shape in = cge_layer_plans(p->net)[p->layer].in;
    cge_real *dx = activation(p->net, w.dx[0], in, samples.begin);
    cge_add_apply((int32_t)cge_sample(in, samples.end - samples.begin), dx, activation(p->net, w.made, in, samples.begin), dx);
}

static void backward_task(void *argument, int32_t index)
{
    const pass *p = (const pass *)argument;
    if (index < p->weight_tasks)
        weight_grad_task(p, index);
    else
        input_grad_task(p, index - p->weight_tasks);
}

/* Or a section of them. */
static void back_through_layer(pass *p)
{
    const cge_network *net = p->net;
    const cge_layer *layer = &net->model->layers[p->layer];
    const cge_layer_plan *plan = &cge_layer_plans(net)[p->layer];
    const cge_wiring wiring = cge_wiring_of(net, p->layer);
    const int64_t work = cge_layers_work(net, p->layer, p->layer + 1) * p->count;
    const int32_t per_thread = has_pixels(plan->out) ? CGE_INPUT_GRADS_PER_THREAD : CGE_PER_THREAD;
    const int32_t sample_tasks = cge_tasks_for(net, per_thread, cge_samples_apart(net, p->layer, p->count), work);
    const int wants_dx = wiring.dx[0] >= 0 || (CGE_HOST && wiring.dx[1] >= 0);
    int both;
    p->end = p->layer - 1;
    if (!cge_finds_dy(&wiring, &p->dy)) return; /* of a graph: nothing that it reads learns */
    p->weight_tasks = plan->grads >= 0 ? cge_tasks_for(net, CGE_WEIGHT_GRADS_PER_THREAD, plan->weights, work) : 0;
    both = wants_dx && cge_computes_both(layer, p->weight_tasks);
    if (!both) p->end = cge_section_begin(net, p->layer) - 1;
    p->sample_tasks = wants_dx && !both ? sample_tasks : 0;
    cge_run_tasks(net, backward_task, p, p->weight_tasks + p->sample_tasks);
    p->dy = wiring.dx[0];
    if (!both || wiring.adds == 0) return;
    p->sample_tasks = sample_tasks;
    cge_run_tasks(net, add_task, p, sample_tasks);
}

/* The parameters' gradients, added to what is pending, given the gradient of the last output at net->loss_grad. Stops at the first
 * trainable layer: what lies before it needs no gradient. */
CGE_INTERNAL void cge_pass_backward(const cge_network *net, const void *x, int32_t count)
{
    pass p = {net, net->params, x, count, 0, 0, 0, 0, 0, 1};
    p.dy = net->loss_grad;
    for (p.layer = net->model->layer_count - 1; p.layer >= net->first_trainable; p.layer = p.end) back_through_layer(&p);
}
