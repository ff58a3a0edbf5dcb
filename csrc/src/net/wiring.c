/* The wires of chains and graphs. */
#include "wiring.h"
#include "units.h"

#if CGE_HOST

CGE_INTERNAL int cge_runs_units(const cge_options *options)
{
    return options->plan != NULL && !cge_runs_layers(options->plan->level);
}

static cge_wiring wiring_of_chain(const cge_network *net, int32_t l)
{
    const cge_layer_plan *plans = cge_layer_plans(net);
    cge_wiring w = {{-1, -1}, 0, 0, {0, -1}, 0, -1, 0};
    if (l > 0) w.x[0] = plans[l - 1].y;
    w.y = plans[l].y;
    w.dx[0] = plans[l].dx;
    w.dy = l + 1 < net->model->layer_count ? plans[l + 1].dx : net->loss_grad;
    return w;
}

/* Each tensor exists once for each sample. */
static int32_t offset_of(const cge_options *options, int32_t number)
{
    return number < 0 ? -1 : options->plan->tensors[number].offset * options->capacity;
}

static void wire_input(const cge_network *net, const cge_unit *u, int slot, cge_wiring *w)
{
    const cge_unit *source;
    if (u->x[slot] < 0) return;
    source = &net->options.plan->units[u->x[slot]];
    w->x[slot] = offset_of(&net->options, source->y);
    if (u->learns && source->learns) w->dx[slot] = offset_of(&net->options, source->dy);
}

CGE_INTERNAL cge_wiring cge_wiring_of(const cge_network *net, int32_t l)
{
    cge_wiring w = {{-1, -1}, -1, -1, {-1, -1}, 0, -1, 0};
    const cge_unit *u;
    int32_t made;
    if (net->options.plan == NULL) return wiring_of_chain(net, l);
    if ((net->model->layers[l].kind->traits & CGE_ALIAS) != 0) l = cge_origin(net->model, l, 0);
    if (l < 0) return w;
    u = &net->options.plan->units[l];
    wire_input(net, u, 0, &w);
    wire_input(net, u, 1, &w);
    w.y = offset_of(&net->options, u->y);
    w.dy = offset_of(&net->options, u->dy);
    w.adds = u->adds;
    made = (net->model->layers[l].kind->traits & CGE_IN_PLACE) != 0 ? u->dy : u->backward;
    w.made = offset_of(&net->options, made);
    if (made >= 0) w.made_elems = net->options.plan->tensors[made].elems;
    return w;
}

CGE_INTERNAL int32_t cge_wired_loss_grad(const cge_model *model, const cge_options *options)
{
    int32_t l = model->layer_count - 1;
    if (cge_runs_units(options)) return -1;
    if ((model->layers[l].kind->traits & CGE_ALIAS) != 0) l = cge_origin(model, l, 0);
    return l < 0 ? -1 : offset_of(options, options->plan->units[l].dy);
}

#endif
