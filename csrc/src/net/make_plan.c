/* Making and checking plans. */
#include "trained_params.h"
#include "units.h"

enum { MOST_TENSORS = 5 }; /* of a unit */

static cge_status check_plannable(const cge_model *model)
{
    cge_layer_info info;
    if (model == NULL) return CGE_ERR_NULL;
    if (model->layer_count > INT16_MAX / (2 * MOST_TENSORS)) return CGE_ERR_OVERFLOW;
    CGE_TRY(cge_check_model(model));
    CGE_TRY(cge_check_sources(model));
    if (model->input_kind != NULL && cge_count_readers(model, -1) > 1) return CGE_ERR_ARGUMENT; /* there is one window */
    return cge_is_graph(model) ? CGE_OK : cge_model_layer_info(model, model->layer_count - 1, &info); /* checks all shapes */
}

/* The next layer, whose inputs' shapes are in the rows before it. */
static cge_status count_row(const cge_model *model, int32_t l, const cge_layer_plan *rows, const cge_memory_level *level,
                            const cge_options *options, cge_network_plan *counts, cge_layer_plan *row)
{
    const cge_layer *layer = &model->layers[l];
    cge_layer_info info;
    cge_shape in[2];
    int slot;
    for (slot = 0; slot < cge_input_count(layer); slot++) {
        const int32_t source = cge_source(model, l, slot);
        in[slot] = source < 0 ? model->input : rows[source].out;
    }
    if (options->training && !level->holds_several && cge_learns_by_batch(layer)) return CGE_ERR_MODE; /* one sample */
    CGE_TRY(cge_infer_layer(layer, in, &info));
    return cge_count_layer(model, l, &info, options, counts, row);
}

static int32_t count_units_of(const cge_model *model, const cge_memory_level *level)
{
    return cge_runs_layers(level) ? model->layer_count : cge_count_units(model);
}

/* Of any level. */
static int32_t most_units(const cge_model *model)
{
    return CGE_HOST ? model->layer_count : cge_count_units(model);
}

/* Units and their tensors, without offsets; returns how many tensors. */
static int32_t find_units(const cge_model *model, const cge_memory_level *level, cge_plan *p, cge_unit *units,
                          cge_tensor *tensors)
{
    const int graph = cge_is_graph(model);
    cge_style_choice s = {model, p->layers, level, p->training, units, p->unit_count, tensors, NULL, NULL};
    int32_t l, u = 0;
    if (cge_runs_layers(level)) {
        memset(units, 0, (size_t)p->unit_count * sizeof *units);
        return cge_find_uses(&s);
    }
    for (l = 0; l < model->layer_count; l = units[u++].end) units[u] = cge_unit_from(model, graph, l);
    return cge_choose_styles(&s);
}

/* Alignments fall from part to part. */
static size_t memory_bytes(const cge_model *model, int32_t units)
{
    return (size_t)model->layer_count * sizeof(cge_layer_plan) +
           (size_t)units * (MOST_TENSORS * (sizeof(cge_tensor) + 2 * sizeof(int16_t)) + sizeof(cge_unit));
}

cge_status cge_plan_bytes(const cge_model *model, size_t *bytes)
{
    if (bytes == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_plannable(model));
    *bytes = memory_bytes(model, most_units(model));
    return CGE_OK;
}

cge_status cge_plan_make(const cge_model *model, const cge_memory_level *level, int32_t training, void *memory, size_t bytes, cge_plan *plan)
{
    cge_plan p;
    cge_layer_plan *layers = (cge_layer_plan *)memory;
    cge_network_plan counts;
    cge_options options;
    cge_tensor *tensors;
    cge_unit *units;
    int16_t *order;
    int32_t l;
    if (level == NULL || memory == NULL || plan == NULL) return CGE_ERR_NULL;
    if (training != 0 && training != 1) return CGE_ERR_ARGUMENT;
    CGE_TRY(check_plannable(model));
    if (training && model->loss == NULL) return CGE_ERR_MODE;
    if (!cge_is_aligned(memory, 8)) return CGE_ERR_ALIGN;
    memset(&options, 0, sizeof options);
    options.training = training;
    p.unit_count = count_units_of(model, level);
    if (bytes < memory_bytes(model, most_units(model))) return CGE_ERR_ARENA;
    cge_begin_counts(model, &counts);
    for (l = 0; l < model->layer_count; l++) CGE_TRY(count_row(model, l, layers, level, &options, &counts, &layers[l]));
    tensors = (cge_tensor *)(void *)(layers + model->layer_count);
    units = (cge_unit *)(void *)(tensors + MOST_TENSORS * p.unit_count);
    p.level = level;
    p.layers = layers;
    p.units = units;
    p.tensors = tensors;
    p.training = training;
    p.spread = NULL;
    p.seal = 0;
    p.tensor_count = find_units(model, level, &p, units, tensors);
    order = (int16_t *)(void *)(units + p.unit_count);
    p.peak_elems = cge_place_tensors(tensors, p.tensor_count, cge_operations(p.unit_count), order, &p.bound_elems);
    if (p.peak_elems > CGE_MAX_ELEMS) return CGE_ERR_OVERFLOW;
    *plan = p;
    return CGE_OK;
}

/* ---- checks ----
 *
 * A plan is checked as a whole: layers, units and tensors must be those that the model has. Only where the tensors lie is the
 * plan's own affair.
 */

static int layers_match(const cge_model *model, const cge_options *options, cge_network_plan *counts)
{
    const cge_layer_plan *rows = options->plan->layers;
    const cge_memory_level *level = options->plan->level;
    int32_t l;
    cge_begin_counts(model, counts);
    for (l = 0; l < model->layer_count; l++) {
        cge_layer_plan row;
        if (count_row(model, l, rows, level, options, counts, &row) != CGE_OK) return 0;
        if (memcmp(&row, &rows[l], sizeof row) != 0) return 0;
    }
    return 1;
}

static int tensors_are_apart(const cge_tensor *a, const cge_tensor *b)
{
    if (a->first > b->last || b->first > a->last) return 1;
    return a->offset + a->elems <= b->offset || b->offset + b->elems <= a->offset;
}

/* Its size is what it should be already. */
static int tensor_fits(const cge_plan *plan, const cge_tensor *t)
{
    return t->offset >= 0 && t->offset <= plan->peak_elems - t->elems;
}

CGE_INTERNAL cge_status cge_check_plan(const cge_model *model, const cge_options *options, cge_network_plan *counts)
{
    const cge_plan *plan = options->plan;
    int32_t i, j;
    if (plan->layers == NULL || plan->units == NULL || plan->tensors == NULL) return CGE_ERR_NULL;
    if (plan->spread != NULL && plan->spread->kind == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_plannable(model));
    if (plan->unit_count != count_units_of(model, plan->level)) return CGE_ERR_MISMATCH;
    if (!layers_match(model, options, counts) || !cge_uses_match(model, plan)) return CGE_ERR_MISMATCH;
    if (plan->peak_elems < 0 || plan->peak_elems > CGE_MAX_ELEMS) return CGE_ERR_MISMATCH;
    for (i = 0; i < plan->tensor_count; i++) {
        const cge_tensor *t = &plan->tensors[i];
        if (plan->spread != NULL ? !plan->spread->kind->holds(plan, t) : !tensor_fits(plan, t)) return CGE_ERR_MISMATCH;
        for (j = 0; j < i; j++)
            if (!tensors_are_apart(t, &plan->tensors[j])) return CGE_ERR_MISMATCH;
    }
    return CGE_OK;
}
