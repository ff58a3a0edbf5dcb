/* What a network will do and where everything lies: worked out from the model alone, before any byte is touched. */
#ifndef CGE_PLAN_H
#define CGE_PLAN_H

#include "../layers/layer.h"

typedef struct cge_network_plan {
    /* Parts of the arena behind the layer plans, in elements from the end of these. */
    int32_t params, grads, velocity, activations, staging, window, end;
    int32_t param_elems, held_elems, grad_elems, in_elems, out_elems;
    int32_t first_trainable; /* layer_count if no layer has gradients */
    int32_t loss_grad;       /* gradient of the last output, offset in the activation region */
    int32_t window_elems;    /* of each task's window on x */
} cge_network_plan;

/* Checks model and options (defaults filled in) and fills *plan; and, if layers is not NULL, layers[layer_count]. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_plan_network(const cge_model *model, const cge_options *options, cge_network_plan *plan, cge_layer_plan *layers);

/* All but the layers. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_model(const cge_model *model);

/* A copy with defaults filled in; NULL gives all defaults. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_resolve_options(const cge_options *options, cge_options *resolved);

/* Counts elements in *plan, from the first layer to the last. *row, if not NULL: its shapes, and where its parameters and
 * gradients lie; y and dx are -1. */
CGE_INTERNAL void cge_begin_counts(const cge_model *model, cge_network_plan *plan);
CGE_INTERNAL CGE_MUST_USE cge_status cge_count_layer(const cge_model *model, int32_t l, const cge_layer_info *info, const cge_options *options, cge_network_plan *plan, cge_layer_plan *row);

/* How a plan's level works (units.h); NULL: without a plan. */
static inline const cge_memory_level *cge_level_of(const cge_options *options)
{
    return options->plan != NULL ? options->plan->level : NULL;
}

/* Whether a pass runs a plan's units (steps.c), sample by sample. Else it runs layers (walk.c): there is no plan, or one of
 * level cge_memory_fast, which boards do not have. */
#if CGE_HOST
CGE_INTERNAL int cge_runs_units(const cge_options *options);
#else
static inline int cge_runs_units(const cge_options *options)
{
    return options->plan != NULL;
}
#endif

/* input_kind, input_scale and input_offset. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_input(const cge_model *model);

/* One layer: its kind's infer after the checks that hold for every kind. in [1], or [2] for kinds with two inputs. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_infer_layer(const cge_layer *layer, const cge_shape *in, cge_layer_info *info);

/* ---- graph.c ---- */

/* Whether all rows read earlier ones, and as many as their kinds do. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_sources(const cge_model *model);

/* The same of row l alone. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_source(const cge_layer *layer, int32_t l);

/* Whether row l reads the one before it, and nothing else; and whether some row does not. The kinds are not NULL. */
CGE_INTERNAL int cge_reads_before(const cge_layer *layer, int32_t l);
CGE_INTERNAL int cge_is_graph(const cge_model *model);

/* How many inputs a layer has, and the row that input `slot` of row l names; -1: the model's input. */
static inline int cge_input_count(const cge_layer *layer)
{
    return (layer->kind->traits & CGE_TWO_INPUTS) != 0 ? 2 : 1;
}
CGE_INTERNAL int32_t cge_source(const cge_model *model, int32_t l, int slot);

/* The same, with rows that only rename skipped: where what row l reads was computed. */
CGE_INTERNAL int32_t cge_origin(const cge_model *model, int32_t l, int slot);

/* How many inputs read what row l computes (-1: the model's input), those of rows that only rename left out; the model's output counts as one. */
CGE_INTERNAL int32_t cge_count_readers(const cge_model *model, int32_t l);

#endif
