/* A network's life before and between steps: layout, parameters, hash. */
#include "../base/elementary.h"
#include "../base/fp_mode.h"
#include "trained_params.h"
#include "units.h"

#include "../base/exclusive.h"

#include <string.h>

#include "../base/hash.h"

CGE_INTERNAL cge_status cge_check_network(const cge_network *net)
{
    return net == NULL || net->model == NULL || net->plans == NULL ? CGE_ERR_NULL : CGE_OK;
}

static int32_t *busy_word(const cge_network *net)
{
    return &((cge_network *)(uintptr_t)net)->busy;
}

CGE_INTERNAL cge_status cge_network_take(const cge_network *net)
{
    return cge_take(busy_word(net)) ? CGE_OK : CGE_ERR_BUSY;
}

CGE_INTERNAL void cge_network_release(const cge_network *net)
{
    cge_release(busy_word(net));
}

static void zero(cge_real *x, int32_t n)
{
    memset(x, 0, (size_t)n * sizeof *x);
}

/* With a plan they are the plan's. */
static size_t plans_bytes(const cge_model *model, const cge_options *options)
{
    return options->plan != NULL ? 0 : sizeof(cge_layer_plan) * (size_t)model->layer_count;
}

/* CGE_MAX_ELEMS keeps it below 2^31, but for models whose table alone is as large. */
static size_t needed_bytes(const cge_model *model, const cge_options *options, const cge_network_plan *plan)
{
    return plans_bytes(model, options) + (size_t)plan->end * sizeof(cge_real);
}

cge_status cge_network_arena_bytes(const cge_model *model, const cge_options *options, size_t *bytes)
{
    CGE_OWN_FP_MODE
    cge_options resolved;
    cge_network_plan plan;
    if (bytes == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_resolve_options(options, &resolved));
    CGE_TRY(cge_plan_network(model, &resolved, &plan, NULL));
    *bytes = needed_bytes(model, &resolved, &plan);
    return CGE_OK;
}

static void copy(int32_t n, const cge_real *from, const cge_real *to)
{
    if (n > 0) memcpy(cge_writable(to), from, (size_t)n * sizeof *from);
}

static void copy_what_learns(cge_network *net)
{
    int32_t l;
    for (l = 0; l < net->model->layer_count; l++) {
        const cge_layer_plan *plan = &cge_layer_plans(net)[l];
        const cge_layer_weights at = cge_weights_of(net, net->params, l);
        const cge_real *from = net->options.params + plan->params;
        if (at.w != from) copy(at.rest != NULL ? (int32_t)(at.rest - from) : plan->weights, from, at.w);
        if (at.b != from + plan->weights) copy(plan->biases, from + plan->weights, at.b);
    }
}

cge_status cge_network_init(cge_network *net, const cge_model *model, const cge_options *options, void *arena, size_t arena_bytes)
{
    CGE_OWN_FP_MODE
    cge_real *base;
    cge_options resolved;
    cge_network_plan plan;
    if (net == NULL || arena == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_resolve_options(options, &resolved));
    CGE_TRY(cge_plan_network(model, &resolved, &plan, NULL));
    if (!cge_is_aligned(arena, 8)) return CGE_ERR_ALIGN;
    if (arena_bytes < needed_bytes(model, &resolved, &plan)) return CGE_ERR_ARENA;
    CGE_TRY(cge_plan_network(model, &resolved, &plan, (cge_layer_plan *)arena));
    base = (cge_real *)(void *)((unsigned char *)arena + plans_bytes(model, &resolved));
    memset(net, 0, sizeof *net);
    net->model = model;
    net->plans = resolved.plan != NULL ? resolved.plan->layers : (const cge_layer_plan *)arena;
    net->options = resolved;
    net->optimizer = model->optimizer;
    (void)!cge_rng_seed(&net->rng, 0);
    net->params = resolved.params != NULL && !resolved.training ? cge_writable(resolved.params) : base + plan.params;
    net->grads = base + plan.grads;
    net->velocity_elems = plan.activations - plan.velocity;
    if (net->velocity_elems > 0) net->velocity = base + plan.velocity;
    net->param_elems = plan.param_elems;
    net->held_elems = cge_trains_in_part(net) ? plan.held_elems : plan.param_elems;
    net->grad_elems = plan.grad_elems;
    net->in_elems = plan.in_elems;
    net->out_elems = plan.out_elems;
    net->first_trainable = plan.first_trainable;
    net->pass_count = 1;
    net->loss_grad = plan.loss_grad;
    net->activations = base + plan.activations;
    net->staging = base + plan.staging;
    net->window = base + plan.window;
    net->window_elems = plan.window_elems;
    zero(base, plan.activations); /* params, grads and velocity, those that are inside, lie one behind the other */
    if (resolved.plan != NULL) resolved.plan->level->enter(net);
    if (cge_trains_in_part(net)) copy_what_learns(net);
    return CGE_OK;
}

/* The weights of a normalisation, or slopes, which have no fan. */
static void fill_weights(int32_t n, cge_real start, cge_real *w)
{
    for (; n > 0; n--) *w++ = start;
}

/* Draws one weight tensor; formulas at cge_init. Variance 2/fan is a uniform's with limit sqrt(3 * 2/fan). */
static void draw_weights(cge_rng *rng, const cge_layer_info *info, int32_t init, cge_real *w)
{
    const int glorot = init == CGE_INIT_GLOROT_UNIFORM || init == CGE_INIT_GLOROT_NORMAL;
    const int normal = init == CGE_INIT_HE_NORMAL || init == CGE_INIT_GLOROT_NORMAL;
    const cge_real fan = CGE_REAL(info->fan_in) + (glorot ? CGE_REAL(info->fan_out) : CGE_REAL(0));
    const cge_real scale = cge_sqrt((normal ? CGE_REAL(2) : CGE_REAL(6)) / fan);
    int32_t i;
    for (i = 0; i < info->weight_elems; i++) w[i] = scale * (normal ? cge_rng_normal(rng) : cge_rng_centred(rng));
}

cge_status cge_network_set_params(cge_network *net, const cge_real *params)
{
    CGE_TRY(cge_check_network(net));
    CGE_TRY(cge_check_buffer(params));
    if (net->options.params == NULL || net->options.training) return CGE_ERR_MODE;
    CGE_STORE_POINTER(net->params, cge_writable(params));
    return CGE_OK;
}

/* Layers were checked by cge_network_init. */
static void init_params(cge_network *net, uint64_t seed)
{
    CGE_OWN_FP_MODE
    cge_rng rng;
    int32_t l;
    (void)!cge_rng_seed(&net->rng, seed);
    rng = net->rng;
    zero(net->params, net->param_elems);
    for (l = 0; l < net->model->layer_count; l++) {
        const cge_layer *layer = &net->model->layers[l];
        const cge_layer_plan *plan = &cge_layer_plans(net)[l];
        cge_layer_info info;
        if (plan->weights == 0) continue;
        (void)!cge_infer_layer(layer, &plan->in, &info);
        if (info.fan_in == 0) fill_weights(info.weight_elems, CGE_REAL(info.start), net->params + plan->params);
        else draw_weights(&rng, &info, layer->init, net->params + plan->params);
        if (cge_normalises_batch(layer)) zero(net->params + plan->params + plan->in.c, plan->in.c); /* running mean */
    }
    if (net->velocity != NULL) zero(net->velocity, net->velocity_elems);
    if (net->grads != NULL) zero(net->grads, net->grad_elems);
    net->pending = 0;
    net->step_count = 0;
}

cge_status cge_network_init_params(cge_network *net, uint64_t seed)
{
    CGE_TRY(cge_check_network(net));
    if (net->options.params != NULL) return CGE_ERR_MODE;
    CGE_TRY(cge_network_take(net));
    init_params(net, seed);
    cge_network_release(net);
    return CGE_OK;
}

cge_status cge_network_layer_params(const cge_network *net, int32_t index, cge_layer_params *params)
{
    const cge_layer_plan *plan;
    cge_layer_weights at;
    int32_t trained;
    CGE_TRY(cge_check_network(net));
    if (params == NULL) return CGE_ERR_NULL;
    if (index < 0 || index >= net->model->layer_count) return CGE_ERR_ARGUMENT;
    plan = &cge_layer_plans(net)[index];
    memset(params, 0, sizeof *params);
    if (plan->weights == 0) return CGE_OK;
    at = cge_weights_of(net, net->params, index);
    params->w = cge_writable(at.w);
    params->b = cge_writable(at.b);
    if (plan->grads < 0 || net->grads == NULL) return CGE_OK;
    trained = cge_trained_weight_elems(&net->model->layers[index], plan->weights);
    if (trained != 0) params->dw = net->grads + plan->grads;
    if (plan->biases != 0) params->db = net->grads + plan->grads + trained;
    return CGE_OK;
}

static uint64_t hash_of_layers(const cge_network *net, const cge_real *params)
{
    cge_param_block blocks[CGE_PARAM_BLOCKS];
    uint64_t hash = CGE_HASH_BASIS;
    int32_t l, i;
    for (l = 0; l < net->model->layer_count; l++) {
        cge_find_params(net, params, l, blocks);
        for (i = 0; i < CGE_PARAM_BLOCKS; i++) hash = cge_hash_reals(hash, blocks[i].elems, blocks[i].at);
    }
    return hash;
}

cge_status cge_network_params_hash(const cge_network *net, uint64_t *hash)
{
    CGE_TRY(cge_check_network(net));
    if (hash == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_network_take(net));
    *hash = hash_of_layers(net, CGE_LOAD_POINTER(net->params));
    cge_network_release(net);
    return CGE_OK;
}
