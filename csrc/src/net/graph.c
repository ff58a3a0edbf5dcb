/* Which row of a model reads which. */
#include "plan.h"

static int only_renames(const cge_layer *layer)
{
    return (layer->kind->traits & CGE_ALIAS) != 0;
}

static int32_t named_row(const cge_layer *layer, int32_t l, int slot)
{
    const int32_t from = layer->from[slot];
    return from == 0 ? l - 1 : from == CGE_INPUT ? -1 : from - 1;
}

CGE_INTERNAL int32_t cge_source(const cge_model *model, int32_t l, int slot)
{
    return named_row(&model->layers[l], l, slot);
}

CGE_INTERNAL int cge_reads_before(const cge_layer *layer, int32_t l)
{
    return cge_input_count(layer) == 1 && named_row(layer, l, 0) == l - 1;
}

CGE_INTERNAL int32_t cge_origin(const cge_model *model, int32_t l, int slot)
{
    int32_t source = cge_source(model, l, slot);
    while (source >= 0 && only_renames(&model->layers[source])) source = cge_source(model, source, 0);
    return source;
}

CGE_INTERNAL int cge_is_graph(const cge_model *model)
{
    int32_t l;
    for (l = 0; l < model->layer_count; l++)
        if (!cge_reads_before(&model->layers[l], l)) return 1;
    return 0;
}

/* The model's output, renamed or not, is that of row l. */
static int is_output(const cge_model *model, int32_t l)
{
    const int32_t last = model->layer_count - 1;
    return l == last || (only_renames(&model->layers[last]) && cge_origin(model, last, 0) == l);
}

CGE_INTERNAL int32_t cge_count_readers(const cge_model *model, int32_t l)
{
    int32_t r, count = is_output(model, l);
    for (r = l + 1; r < model->layer_count; r++) {
        int slot;
        if (only_renames(&model->layers[r])) continue;
        for (slot = 0; slot < cge_input_count(&model->layers[r]); slot++) count += cge_origin(model, r, slot) == l;
    }
    return count;
}

/* A row that only renames: some row reads it, or it is the last. */
static int is_read(const cge_model *model, int32_t l)
{
    int32_t r;
    for (r = l + 1; r < model->layer_count; r++) {
        int slot;
        for (slot = 0; slot < cge_input_count(&model->layers[r]); slot++)
            if (cge_source(model, r, slot) == l) return 1;
    }
    return l == model->layer_count - 1;
}

CGE_INTERNAL cge_status cge_check_source(const cge_layer *layer, int32_t l)
{
    int slot;
    for (slot = 0; slot < 2; slot++) {
        if (slot >= cge_input_count(layer) && layer->from[slot] != 0) return CGE_ERR_ARGUMENT;
        if (layer->from[slot] < CGE_INPUT || layer->from[slot] > l) return CGE_ERR_ARGUMENT;
    }
    return CGE_OK;
}

CGE_INTERNAL cge_status cge_check_sources(const cge_model *model)
{
    int32_t l;
    for (l = 0; l < model->layer_count; l++) {
        if (model->layers[l].kind == NULL) return CGE_ERR_NULL;
        CGE_TRY(cge_check_source(&model->layers[l], l));
    }
    if (!cge_is_graph(model)) return CGE_OK;
    for (l = 0; l < model->layer_count; l++)
        if (!is_read(model, l)) return CGE_ERR_ARGUMENT;
    return CGE_OK;
}
