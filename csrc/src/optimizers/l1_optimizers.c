/*
 * The kinds with L1 decay. Each hands gradients that hold the decay to the one without it, some at a time, so that what does
 * without l1 pays nothing for it.
 */
#include "l1_optimizers.h"
#include "../kernels/kernels.h"

enum { L1_TOGETHER = 16 };

/* As the other kind has them. */
static cge_optimizer plain_optimizer(const cge_optimizer *o)
{
    cge_optimizer plain = *o;
    plain.kind = o->kind->without_l1;
    plain.l1 = 0.0f;
    return plain;
}

CGE_INTERNAL cge_status cge_l1_check(const cge_optimizer *o)
{
    const cge_optimizer plain = plain_optimizer(o);
    cge_status (*const base_check)(const cge_optimizer *o) = plain.kind->check;
    return cge_is_finite_nonnegative(o->l1) ? base_check(&plain) : CGE_ERR_ARGUMENT;
}

CGE_INTERNAL int32_t cge_l1_slots(const cge_optimizer *o)
{
    int32_t (*const base_slots)(const cge_optimizer *o) = o->kind->without_l1->slots;
    return base_slots(o);
}

/* What is added to numbers below 2^32 is lost in the margins of the other kinds' bounds. */
CGE_INTERNAL cge_real cge_l1_begin(cge_network *net)
{
    const cge_optimizer *o = &net->optimizer;
    cge_real (*const base_begin)(cge_network *net) = o->kind->without_l1->begin;
    const int is_bounded = o->learning_rate + o->weight_decay <= CGE_LARGEST_SETTING && o->l1 <= CGE_LARGEST_SETTING;
    const cge_real factor = base_begin != NULL ? base_begin(net) : CGE_REAL(1);
    return is_bounded ? factor : CGE_REAL(0);
}

/* The gradients of the next parameters, at most `n` and L1_TOGETHER. */
static int32_t gradients_with_l1(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w,
                                 cge_real *g)
{
    const cge_real l1 = CGE_REAL(o->l1);
    const int32_t count = n < L1_TOGETHER ? n : L1_TOGETHER;
    int32_t i;
    for (i = 0; i < count; i++) g[i] = CGE_MADD(w[i] > 0 ? l1 : w[i] < 0 ? -l1 : CGE_REAL(0), dw[i], scale);
    return count;
}

CGE_INTERNAL int cge_l1_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w,
                                     const cge_real *v)
{
    const cge_optimizer plain = plain_optimizer(o);
    int (*const base_stays_finite)(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w,
                                    const cge_real *v) = plain.kind->stays_finite;
    cge_real g[L1_TOGETHER];
    int32_t count;
    for (; n > 0; n -= count, dw += count, w += count) {
        count = gradients_with_l1(n, o, scale, dw, w, g);
        if (!base_stays_finite(count, &plain, CGE_REAL(1), g, w, v)) return 0;
        if (v != NULL) v += count;
    }
    return 1;
}

CGE_INTERNAL void cge_l1_update(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    const cge_optimizer plain = plain_optimizer(o);
    void (*const base_update)(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w,
                               cge_real *v) = plain.kind->update;
    cge_real g[L1_TOGETHER];
    int32_t count;
    for (; n > 0; n -= count, dw += count, w += count) {
        count = gradients_with_l1(n, o, scale, dw, w, g);
        base_update(count, &plain, CGE_REAL(1), g, w, v);
        if (v != NULL) v += count;
    }
}
