/*
 * Sealed plans. A plan that is constant was checked once, where it was made. A checksum over the plan and over what it was made
 * from says that it is that plan, for this model and by these rules: then a board need not have the code that works it out.
 */
#include "units.h"

/* FNV-1a by words, so that it is the same with either order of bytes. A change in one word always changes it. */
CGE_INTERNAL uint32_t cge_seal_word(uint32_t seal, int32_t word)
{
    return (seal ^ (uint32_t)word) * 16777619u;
}

static uint32_t seal_words(uint32_t seal, const int32_t *words, int32_t count)
{
    for (; count > 0; count--) seal = cge_seal_word(seal, *words++);
    return seal;
}

static uint32_t seal_halves(uint32_t seal, const int16_t *halves, int32_t count)
{
    for (; count > 0; count--) seal = cge_seal_word(seal, *halves++);
    return seal;
}

enum {
    SEALED_ROW_WORDS = sizeof(cge_layer_plan) / sizeof(int32_t),
    SEALED_UNIT_HALVES = sizeof(cge_unit) / sizeof(int16_t)
};

/* All of a layer but how its weights are drawn, and how fast they learn. */
static uint32_t seal_layer(uint32_t seal, const cge_layer *l)
{
    const unsigned char *config = (const unsigned char *)l->config;
    size_t i;
    seal = cge_seal_word(cge_seal_word(seal, l->kind->id), config != NULL);
    for (i = 0; config != NULL && i < l->kind->config_bytes; i += sizeof(int32_t)) {
        int32_t word;
        memcpy(&word, config + i, sizeof word);
        seal = cge_seal_word(seal, word);
    }
    return cge_seal_word(seal_halves(cge_seal_word(seal, l->flags), l->from, 2), l->trains);
}

static uint32_t seal_model(uint32_t seal, const cge_model *model)
{
    int32_t l;
    seal = cge_seal_word(cge_seal_word(cge_seal_word(seal, model->input.h), model->input.w), model->input.c);
    seal = cge_seal_word(cge_seal_word(seal, model->input_kind != NULL), model->layer_count);
    for (l = 0; l < model->layer_count; l++) seal = seal_layer(seal, &model->layers[l]);
    return seal;
}

static uint32_t seal_tensor(uint32_t seal, const cge_tensor *t)
{
    return cge_seal_word(cge_seal_word(cge_seal_word(cge_seal_word(seal, t->offset), t->elems), t->first), t->last);
}

static uint32_t seal_of(const cge_model *model, const cge_plan *plan)
{
    uint32_t seal = seal_model(cge_seal_word(2166136261u, CGE_PLAN_VERSION), model);
    int32_t i;
    seal = cge_seal_word(cge_seal_word(seal, plan->level->at_once), plan->level->one_by_one);
    seal = cge_seal_word(seal, plan->level->together);
    seal = cge_seal_word(cge_seal_word(seal, plan->training), plan->peak_elems);
    seal = seal_words(seal, (const int32_t *)(const void *)plan->layers, model->layer_count * SEALED_ROW_WORDS);
    seal = cge_seal_word(seal, plan->unit_count);
    seal = seal_halves(seal, (const int16_t *)(const void *)plan->units, plan->unit_count * SEALED_UNIT_HALVES);
    for (i = 0; i < plan->tensor_count; i++) seal = seal_tensor(seal, &plan->tensors[i]);
    return plan->spread == NULL ? seal : plan->spread->kind->seal(plan->spread, seal);
}

cge_status cge_plan_seal(const cge_model *model, const cge_real *params, const cge_plan *plan, uint32_t *seal)
{
    cge_network_plan parts;
    cge_options options;
    if (plan == NULL || seal == NULL) return CGE_ERR_NULL;
    memset(&options, 0, sizeof options);
    options.training = plan->training;
    options.params = params;
    options.plan = plan;
    CGE_TRY(cge_resolve_options(&options, &options));
    CGE_TRY(cge_plan_network(model, &options, &parts, NULL));
    *seal = seal_of(model, plan);
    return CGE_OK;
}

/* A table may have been damaged, but not the counts of what to read. */
static int can_be_read(const cge_model *model, const cge_plan *plan)
{
    int32_t l;
    if (plan->unit_count < 0 || plan->unit_count > INT16_MAX) return 0;
    if (plan->tensor_count < 0 || plan->tensor_count > INT16_MAX) return 0;
    for (l = 0; l < model->layer_count; l++)
        if (model->layers[l].kind == NULL) return 0;
    return 1;
}

CGE_INTERNAL cge_status cge_check_sealed_plan(const cge_model *model, const cge_options *options, cge_network_plan *counts)
{
    const cge_plan *plan = options->plan;
    int32_t l;
    if (plan->layers == NULL || plan->units == NULL || plan->tensors == NULL) return CGE_ERR_NULL;
    if (plan->spread != NULL && plan->spread->kind == NULL) return CGE_ERR_NULL;
    if (!can_be_read(model, plan) || seal_of(model, plan) != plan->seal) return CGE_ERR_MISMATCH;
    cge_begin_counts(model, counts);
    for (l = 0; l < model->layer_count; l++) {
        const cge_layer_plan *row = &plan->layers[l];
        cge_layer_info info;
        memset(&info, 0, sizeof info);
        info.in = row->in;
        info.out = row->out;
        info.weight_elems = row->weights;
        info.bias_elems = row->biases;
        (void)!cge_count_layer(model, l, &info, options, counts, NULL); /* the sums did not overflow when it was sealed */
    }
    return CGE_OK;
}
