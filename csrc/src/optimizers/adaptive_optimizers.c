/* The kinds that divide by the root of the gradients' squares: Adam, AdamW, RMSprop, Adagrad. */
#include "l1_optimizers.h"
#include "../kernels/kernels.h"

/*
 * Given gradients below 2^32 and all other numbers below 2^64, these settings cannot overflow: |g| < 2^62 + 2^32, the new v < 2^125,
 * |m| and |q| < 2^63 / epsilon <= 2^123, what is taken from w is less than rate * 2^64 / epsilon <= 2^124.
 */
static int is_bounded_step(const cge_optimizer *o, cge_real rate, float gradient_decay)
{
    const cge_real epsilon = CGE_REAL(o->epsilon);
    return o->learning_rate <= CGE_LARGEST_SETTING && o->weight_decay <= CGE_LARGEST_SETTING && gradient_decay <= 0.25f &&
           epsilon >= CGE_REAL(0x1p-60f) && rate <= CGE_REAL(0x1p60f) * epsilon;
}

/* 1, or the largest learning_rate_factor of what learns. */
static cge_real largest_factor(const cge_model *model)
{
    float largest = 1.0f;
    int32_t l;
    for (l = 0; l < model->layer_count; l++) {
        const cge_layer *layer = &model->layers[l];
        if ((layer->flags & CGE_FROZEN) == 0 && layer->learning_rate_factor > largest) largest = layer->learning_rate_factor;
    }
    return CGE_REAL(largest);
}

static cge_real begin_step_of(cge_network *net, cge_real rate, float gradient_decay)
{
    net->optimizer.slot_elems = net->velocity_elems > net->grad_elems ? net->grad_elems : 0;
    return is_bounded_step(&net->optimizer, rate * largest_factor(net->model), gradient_decay) ? CGE_REAL(0x1p32f) : CGE_REAL(0);
}

/* Takes the step for one parameter after the other, on copies. */
static int each_remains_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    const int32_t slots = o->kind->slots(o);
    cge_optimizer one = *o;
    one.slot_elems = 1;
    for (; n > 0; n--, dw++, w++, v++) {
        cge_real changed = *w, state[CGE_MOST_SLOTS];
        state[0] = v[0];
        state[1] = slots > 1 ? v[o->slot_elems] : CGE_REAL(0);
        o->kind->update(1, &one, scale, dw, &changed, state);
        if (!cge_is_finite(changed) || !cge_is_finite(state[0]) || !cge_is_finite(state[1])) return 0;
    }
    return 1;
}

static int remains_finite(int is_bounded, int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    if (is_bounded && cge_run_all_below(n, dw, CGE_2_POW_32_BITS) && cge_run_all_below(n, w, CGE_2_POW_64_BITS) &&
        cge_run_all_below(n, v, CGE_2_POW_64_BITS) &&
        (o->kind->slots(o) == 1 || cge_run_all_below(n, v + o->slot_elems, CGE_2_POW_64_BITS)))
        return 1;
    return each_remains_finite(n, o, scale, dw, w, v);
}

/* ---- Adam, AdamW ---- */

static int32_t adam_slots(const cge_optimizer *o)
{
    (void)o;
    return 2;
}

static cge_real adam_begin(cge_network *net)
{
    cge_adam_begin(&net->optimizer, net->step_count + 1);
    return begin_step_of(net, cge_adam_rate(&net->optimizer), net->optimizer.weight_decay);
}

static int adam_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    return remains_finite(is_bounded_step(o, cge_adam_rate(o), o->weight_decay), n, o, scale, dw, w, v);
}

static void adam_update(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const cge_adam_step s = cge_adam_constants(o, scale, CGE_DECAYS_GRADIENT);
    cge_run_adam(n, &s, dw, w, v, v + o->slot_elems);
}

const cge_optimizer_kind cge_adam = {
    2, 5, 26, CGE_OPTIMIZER_SETTINGS, cge_adam_check, adam_slots, adam_begin, adam_stays_finite, adam_update, NULL};

static cge_real adamw_begin(cge_network *net)
{
    cge_adam_begin(&net->optimizer, net->step_count + 1);
    return begin_step_of(net, cge_adam_rate(&net->optimizer), 0.0f);
}

static int adamw_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    return remains_finite(is_bounded_step(o, cge_adam_rate(o), 0.0f), n, o, scale, dw, w, v);
}

static void adamw_update(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const cge_adam_step s = cge_adam_constants(o, scale, CGE_DECAYS_WEIGHT);
    cge_run_adam(n, &s, dw, w, v, v + o->slot_elems);
}

const cge_optimizer_kind cge_adamw = {
    3, 5, 26, CGE_OPTIMIZER_SETTINGS, cge_adam_check, adam_slots, adamw_begin, adamw_stays_finite, adamw_update, NULL};

/* ---- RMSprop ---- */

static int32_t rmsprop_slots(const cge_optimizer *o)
{
    return o->momentum > 0.0f ? 2 : 1;
}

static cge_real divided_begin(cge_network *net)
{
    return begin_step_of(net, CGE_REAL(net->optimizer.learning_rate), net->optimizer.weight_decay);
}

static int divided_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w, const cge_real *v)
{
    return remains_finite(is_bounded_step(o, CGE_REAL(o->learning_rate), o->weight_decay), n, o, scale, dw, w, v);
}

static void rmsprop_update(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    cge_rmsprop_apply(n, o, scale, dw, w, v, v + o->slot_elems);
}

const cge_optimizer_kind cge_rmsprop = {
    4, 5, 28, CGE_OPTIMIZER_SETTINGS, cge_rmsprop_check, rmsprop_slots, divided_begin, divided_stays_finite, rmsprop_update,
    NULL};

/* ---- Adagrad ---- */

static int32_t adagrad_slots(const cge_optimizer *o)
{
    (void)o;
    return 1;
}

const cge_optimizer_kind cge_adagrad = {
    5, 4, 24, CGE_OPTIMIZER_SETTINGS, cge_adagrad_check, adagrad_slots, divided_begin, divided_stays_finite, cge_adagrad_apply,
    NULL};

/* ---- with L1 decay ---- */

const cge_optimizer_kind cge_adam_l1 = CGE_WITH_L1(34, 12, 33, &cge_adam);
const cge_optimizer_kind cge_adamw_l1 = CGE_WITH_L1(35, 12, 33, &cge_adamw);
const cge_optimizer_kind cge_rmsprop_l1 = CGE_WITH_L1(36, 12, 35, &cge_rmsprop);
const cge_optimizer_kind cge_adagrad_l1 = CGE_WITH_L1(37, 11, 31, &cge_adagrad);
