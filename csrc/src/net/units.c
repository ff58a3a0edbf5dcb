/* From layers to units. */
#include "units.h"

static int unit_trait(const cge_model *model, int32_t l, int trait)
{
    return l >= 0 && (model->layers[l].kind->traits & trait) != 0;
}

/* Windows that neither overlap nor reach into padding, with few enough taps for a winner's bits. */
static int has_winners(const cge_layer *l)
{
    const cge_pool2d *g = cge_pool2d_of(l);
    if ((l->kind->traits & CGE_KEEPS_WINNERS) == 0 || g->kernel_h > 16 || g->kernel_w > 16) return 0;
    if ((g->pad_top | g->pad_left | g->pad_bottom | g->pad_right) != 0) return 0;
    return (g->stride_h == 0 || g->stride_h == g->kernel_h) && (g->stride_w == 0 || g->stride_w == g->kernel_w);
}

static int32_t skip_renames(const cge_model *model, int32_t l)
{
    while (l < model->layer_count && unit_trait(model, l, CGE_ALIAS)) l++;
    return l;
}

/* Layer l reads what the one before computes, and nobody else does. */
static int only_feeds(const cge_model *model, int graph, int32_t l)
{
    return !graph || (cge_reads_before(&model->layers[l], l) && cge_count_readers(model, l - 1) == 1);
}

/* Takes layer u->end into the unit if it belongs there. */
static int takes_next(const cge_model *model, int graph, cge_unit *u)
{
    const int32_t l = u->end;
    if (l >= model->layer_count || !only_feeds(model, graph, l)) return 0;
    if (unit_trait(model, l, CGE_DROPS)) return 0;
    if (u->activation < 0 && unit_trait(model, l, CGE_IN_PLACE)) {
        u->pool_first = u->pool >= 0;
        u->activation = (int16_t)l;
    } else if (u->pool < 0 && unit_trait(model, u->main, CGE_BY_ROWS) && has_winners(&model->layers[l])) {
        u->pool_first = u->activation < 0 || unit_trait(model, u->activation, CGE_AFTER_MAX);
        u->pool = (int16_t)l;
    } else {
        return 0;
    }
    u->end++;
    return 1;
}

CGE_INTERNAL cge_unit cge_unit_of_layer(const cge_model *model, int32_t l)
{
    cge_unit u = {0, 0, -1, -1, -1, 0, -1, -1, -1, -1, -1, {CGE_NO_UNIT, CGE_NO_UNIT}, 0, 0, 0, 0};
    u.begin = (int16_t)l;
    u.end = (int16_t)(l + 1);
    if (!unit_trait(model, l, CGE_ALIAS)) u.main = (int16_t)l;
    return u;
}

CGE_INTERNAL cge_unit cge_unit_from(const cge_model *model, int graph, int32_t begin)
{
    cge_unit u = {0, 0, -1, -1, -1, 0, -1, -1, -1, -1, -1, {CGE_NO_UNIT, CGE_NO_UNIT}, 0, 0, 0, 0};
    const int32_t l = skip_renames(model, begin);
    u.begin = (int16_t)begin;
    u.end = (int16_t)l;
    if (l == model->layer_count) return u;
    u.main = (int16_t)l;
    u.end++;
    if (unit_trait(model, l, CGE_BY_ROWS | CGE_BY_INPUTS | CGE_TWO_INPUTS | CGE_BY_GROUPS))
        while (takes_next(model, graph, &u)) continue;
    u.end = (int16_t)skip_renames(model, u.end);
    return u;
}

CGE_INTERNAL int32_t cge_count_units(const cge_model *model)
{
    const int graph = cge_is_graph(model);
    int32_t l, count = 0;
    for (l = 0; l < model->layer_count; l = cge_unit_from(model, graph, l).end) count++;
    return count;
}

static const cge_layer *layer_or_none(const cge_model *model, int32_t l)
{
    return l < 0 ? NULL : &model->layers[l];
}

/* The unit, of the first `count`, that computes what input `slot` of layer l reads. */
static int16_t unit_read(const cge_model *model, const cge_unit *units, int32_t count, int32_t l, int slot)
{
    const int32_t origin = cge_origin(model, l, slot);
    if (origin < 0) return CGE_MODEL_INPUT;
    do
        count--;
    while (origin < units[count].begin);
    return (int16_t)count;
}

CGE_INTERNAL void cge_connect_unit(const cge_model *model, int graph, const cge_unit *units, int32_t number, cge_unit *u)
{
    const int32_t last = u->pool > u->activation ? u->pool : u->activation > u->main ? u->activation : u->main;
    int slot;
    if (u->main < 0) return;
    u->shared = graph && cge_count_readers(model, last) > 1;
    for (slot = 0; slot < cge_input_count(&model->layers[u->main]); slot++)
        u->x[slot] = unit_read(model, units, number, u->main, slot);
}

CGE_INTERNAL void cge_describe_unit(const cge_model *model, const cge_layer_plan *layers, const cge_unit *u, cge_unit_call *c)
{
    memset(c, 0, sizeof *c);
    c->count = 1;
    if (u->main < 0) return;
    c->layer = &model->layers[u->main];
    c->activation = layer_or_none(model, u->activation);
    c->pool = u->pool >= 0 ? cge_pool2d_of(&model->layers[u->pool]) : NULL;
    c->pool_first = u->pool_first;
    c->style = u->style;
    c->in = layers[u->main].in;
    c->map = layers[u->main].out;
    c->out = layers[u->pool >= 0 ? u->pool : u->main].out;
    if (cge_input_count(c->layer) > 1) {
        const int32_t source = cge_source(model, u->main, 1);
        c->in2 = source < 0 ? model->input : layers[source].out;
    }
}

CGE_INTERNAL int cge_unit_runs_in_pieces(const cge_model *model, const cge_unit *u)
{
    return unit_trait(model, u->main, CGE_BY_ROWS | CGE_BY_INPUTS);
}

CGE_INTERNAL int32_t cge_unit_window(const cge_model *model, const cge_unit_call *c)
{
    return model->input_kind == NULL ? 0 : model->input_kind->window_elems(c->layer, c->in, 1, c->pool != NULL ? c->pool->kernel_h : 0);
}

CGE_INTERNAL int32_t cge_unit_piece_elems(const cge_unit_call *c, const cge_layer_plan *row)
{
    if ((c->layer->kind->traits & CGE_BY_GROUPS) != 0) return row->weights + row->biases;
    return (c->layer->kind->traits & CGE_BY_ROWS) != 0 ? cge_conv2d_unit_gradients(c) : cge_dense_tile_elems(c);
}
