/* A network's life before and between steps: layout, parameters, hash. */
#include "network.h"

#include <string.h>

CGE_INTERNAL const cge_layer_plan *cge_layer_plans(const cge_network *net)
{
    return (const cge_layer_plan *)net->arena;
}

CGE_INTERNAL cge_status cge_check_network(const cge_network *net)
{
    return net == NULL || net->model == NULL || net->arena == NULL ? CGE_ERR_NULL : CGE_OK;
}

static void zero(cge_real *x, int32_t n)
{
    memset(x, 0, (size_t)n * sizeof *x);
}

static size_t plans_bytes(const cge_model *model)
{
    return sizeof(cge_layer_plan) * (size_t)model->layer_count;
}

/* CGE_MAX_ELEMS keeps it below 2^31, but for models whose table alone is as large. */
static size_t needed_bytes(const cge_model *model, const cge_network_plan *plan)
{
    return plans_bytes(model) + (size_t)plan->end * sizeof(cge_real);
}

cge_status cge_network_arena_bytes(const cge_model *model, const cge_options *options, size_t *bytes)
{
    cge_options resolved;
    cge_network_plan plan;
    if (bytes == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_resolve_options(options, &resolved));
    CGE_TRY(cge_plan_network(model, &resolved, &plan, NULL));
    *bytes = needed_bytes(model, &plan);
    return CGE_OK;
}

cge_status cge_network_init(cge_network *net, const cge_model *model, const cge_options *options, void *arena, size_t arena_bytes)
{
    cge_real *base;
    cge_options resolved;
    cge_network_plan plan;
    if (net == NULL || arena == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_resolve_options(options, &resolved));
    CGE_TRY(cge_plan_network(model, &resolved, &plan, NULL));
    if (!cge_is_aligned(arena, 8)) return CGE_ERR_ALIGN;
    if (arena_bytes < needed_bytes(model, &plan)) return CGE_ERR_ARENA;
    CGE_TRY(cge_plan_network(model, &resolved, &plan, (cge_layer_plan *)arena));
    base = (cge_real *)(void *)((unsigned char *)arena + plans_bytes(model));
    net->model = model;
    net->options = resolved;
    net->optimizer = model->optimizer;
    net->step_count = 0;
    net->params = resolved.params != NULL ? (cge_real *)(uintptr_t)resolved.params : base + plan.params;
    net->grads = base + plan.grads;
    net->velocity = plan.activations > plan.velocity ? base + plan.velocity : NULL;
    net->param_elems = plan.param_elems;
    net->grad_elems = plan.grad_elems;
    net->in_elems = plan.in_elems;
    net->out_elems = plan.out_elems;
    net->pending = 0;
    net->first_trainable = plan.first_trainable;
    net->loss_grad = plan.loss_grad;
    net->arena = arena;
    net->activations = base + plan.activations;
    net->staging = base + plan.staging;
    zero(base, plan.activations); /* params (if inside), grads and velocity lie one behind the other */
    return CGE_OK;
}

/* Draws one weight tensor; formulas at cge_init. Variance 2/fan is a uniform's with limit sqrt(3 * 2/fan). */
static void draw_weights(cge_rng *rng, const cge_layer_info *info, int32_t init, cge_real *w)
{
    const int glorot = init == CGE_INIT_GLOROT_UNIFORM || init == CGE_INIT_GLOROT_NORMAL;
    const cge_real fan = CGE_REAL(info->fan_in) + (glorot ? CGE_REAL(info->fan_out) : CGE_REAL(0));
    const cge_real deviation = cge_sqrt_f32(CGE_REAL(2) / fan), limit = cge_sqrt_f32(CGE_REAL(6) / fan);
    int32_t i;
    for (i = 0; i < info->weight_elems; i++)
        w[i] = init == CGE_INIT_HE_NORMAL || init == CGE_INIT_GLOROT_NORMAL
                   ? deviation * cge_rng_normal_f32(rng)
                   : limit * (CGE_REAL(2) * cge_rng_uniform_f32(rng) - CGE_REAL(1));
}

cge_status cge_network_init_params(cge_network *net, uint64_t seed)
{
    cge_rng rng;
    int32_t l;
    CGE_TRY(cge_check_network(net));
    if (net->options.params != NULL) return CGE_ERR_MODE;
    CGE_TRY(cge_rng_seed(&rng, seed));
    zero(net->params, net->param_elems);
    for (l = 0; l < net->model->layer_count; l++) {
        const cge_layer *layer = &net->model->layers[l];
        const cge_layer_plan *plan = &cge_layer_plans(net)[l];
        cge_layer_info info;
        CGE_TRY(cge_infer_layer(layer, plan->in, &info));
        draw_weights(&rng, &info, layer->init, net->params + plan->params);
    }
    if (net->velocity != NULL) zero(net->velocity, net->grad_elems);
    zero(net->grads, net->grad_elems);
    net->pending = 0;
    net->step_count = 0;
    return CGE_OK;
}

cge_status cge_network_layer_params(const cge_network *net, int32_t index, cge_layer_params *params)
{
    const cge_layer_plan *plan;
    CGE_TRY(cge_check_network(net));
    if (params == NULL) return CGE_ERR_NULL;
    if (index < 0 || index >= net->model->layer_count) return CGE_ERR_ARGUMENT;
    plan = &cge_layer_plans(net)[index];
    memset(params, 0, sizeof *params);
    if (plan->weights == 0) return CGE_OK;
    params->w = net->params + plan->params;
    if (plan->biases != 0) params->b = params->w + plan->weights;
    if (plan->grads < 0) return CGE_OK;
    params->dw = net->grads + plan->grads;
    if (plan->biases != 0) params->db = params->dw + plan->weights;
    return CGE_OK;
}

/* FNV-1a (Fowler, Noll, Vo; offset basis and prime of the 64-bit variant). */
cge_status cge_network_params_hash(const cge_network *net, uint64_t *hash)
{
    uint64_t h = 14695981039346656037u;
    int32_t i;
    size_t byte;
    CGE_TRY(cge_check_network(net));
    if (hash == NULL) return CGE_ERR_NULL;
    for (i = 0; i < net->param_elems; i++) {
        cge_real_bits bits;
        memcpy(&bits, &net->params[i], sizeof bits);
        for (byte = 0; byte < sizeof bits; byte++) {
            h ^= (uint64_t)((bits >> (8 * byte)) & 0xffu);
            h *= 1099511628211u;
        }
    }
    *hash = h;
    return CGE_OK;
}
