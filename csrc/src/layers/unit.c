/* What the units share: activations on the way, updates on the spot. */
#include "unit.h"
#include "../kernels/kernels.h"

static void set_elementwise_call(cge_layer_call *c, const cge_layer *layer, int32_t count)
{
    memset(c, 0, sizeof *c);
    c->layer = layer;
    c->in.h = 1;
    c->in.w = 1;
    c->in.c = count;
    c->out = c->in;
    c->count = 1;
}

CGE_INTERNAL const cge_real *cge_unit_x(const cge_unit_call *c, int32_t begin, int32_t count)
{
    if (c->source.model == NULL) return c->x + begin;
    c->source.model->input_kind->read(&c->source, begin, count, c->source.window);
    return c->source.window;
}

CGE_INTERNAL void cge_unit_activate(const cge_layer *activation, int32_t count, cge_real *y)
{
    cge_layer_call c;
    if (activation == NULL) return;
    set_elementwise_call(&c, activation, count);
    c.x = y;
    c.y = y;
    activation->kind->forward(&c);
}

CGE_INTERNAL void cge_unit_hand_on(const cge_unit_call *u, int32_t begin, int32_t count, cge_real *dx)
{
    if (u->below != NULL) {
        cge_layer_call c;
        set_elementwise_call(&c, u->below, count);
        c.x = u->x;
        c.first = begin;
        c.y = (cge_real *)((uintptr_t)u->x + (size_t)begin * sizeof *c.y); /* read only; in place of dy: dx must not be y */
        c.dy = dx;
        c.dx = dx;
        u->below->kind->input_grad(&c);
    }
    if (u->adds)
        cge_add_apply(count, u->dx + begin, dx, u->dx + begin);
    else if (dx != u->dx + begin)
        memcpy(u->dx + begin, dx, (size_t)count * sizeof *dx);
}

CGE_INTERNAL cge_real cge_unit_magnitude(int32_t n, const cge_real *x)
{
    cge_real_bits most = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        const cge_real_bits bits = cge_bits_of(x[i]) & ~CGE_SIGN_BIT; /* without a sign, numbers compare as their bits do */
        if (bits > most) most = bits;
    }
    return cge_real_of(most);
}

/* The network's, or *own. */
static const cge_optimizer *optimizer_of_layer(const cge_unit_params *params, cge_optimizer *own)
{
    if (cge_is_zero(params->learning_rate_factor)) return params->optimizer;
    *own = *params->optimizer;
    cge_scale_rate(own, params->learning_rate_factor);
    return own;
}

CGE_INTERNAL int cge_unit_stays_finite(const cge_unit_params *params, int32_t n, const cge_real *dw, const cge_real *w,
                                       const cge_real *v)
{
    cge_optimizer own;
    const cge_optimizer *o = optimizer_of_layer(params, &own);
    return o->kind->stays_finite(n, o, CGE_REAL(1), dw, w, v);
}

CGE_INTERNAL void cge_unit_update(const cge_unit_params *params, int32_t n, const cge_real *dw, cge_real *w, cge_real *v)
{
    cge_optimizer own;
    const cge_optimizer *o = optimizer_of_layer(params, &own);
    o->kind->update(n, o, CGE_REAL(1), dw, w, v);
}

CGE_INTERNAL int cge_unit_learn(const cge_unit_params *params, int32_t n, const cge_real *dw, cge_real *w, cge_real *v)
{
    if (!cge_unit_stays_finite(params, n, dw, w, v)) return 0;
    if (!params->tries) cge_unit_update(params, n, dw, w, v);
    return 1;
}
