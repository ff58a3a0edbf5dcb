/*
 * Element by element: ReLU, the optimiser step, and the test whether numbers are finite. Lanes are elements; what does
 * not fill a vector is left to the reference.
 */
#include "lanes.h"

#if CGE_LANES_COMPILED

typedef float element_vec __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));
typedef int32_t element_mask __attribute__((vector_size(4 * CGE_LANES_WIDEST), aligned(4), may_alias));

void CGE_LANES(cge_relu_f32)(int32_t n, const float *x, float *y)
{
    int32_t i;
    for (i = 0; n - i >= CGE_LANES_WIDEST; i += CGE_LANES_WIDEST) {
        const element_vec v = *(const element_vec *)(x + i);
        *(element_vec *)(y + i) = (element_vec)((element_mask)v & ~(element_mask)(v < 0));
    }
    cge_relu_f32_ref(n - i, x + i, y + i);
}

void CGE_LANES(cge_relu_grad_f32)(int32_t n, const float *y, const float *dy, float *dx)
{
    int32_t i;
    for (i = 0; n - i >= CGE_LANES_WIDEST; i += CGE_LANES_WIDEST)
        *(element_vec *)(dx + i) = (element_vec)(*(const element_mask *)(dy + i) & (element_mask)(*(const element_vec *)(y + i) > 0));
    cge_relu_grad_f32_ref(n - i, y + i, dy + i, dx + i);
}

/* See sgd.c. */
int CGE_LANES(cge_all_finite_f32)(int32_t n, const float *x)
{
    element_vec s = {0}, t = s, u = s, v = s;
    float all = 0;
    int32_t i, lane;
    for (i = 0; n - i >= 4 * CGE_LANES_WIDEST; i += 4 * CGE_LANES_WIDEST) {
        const element_vec *from = (const element_vec *)(x + i);
        s += from[0], t += from[1], u += from[2], v += from[3];
    }
    s = (s + t) + (u + v);
    for (lane = 0; lane < CGE_LANES_WIDEST; lane++) all += s[lane];
    return all - all == 0 ? cge_all_finite_f32_ref(n - i, x + i) : cge_all_finite_f32_ref(n, x);
}

enum { DECAY = 1, MOMENTUM = 2, NESTEROV = 4 };

/* As in sgd.c; returns how many are done. */
CGE_INLINE int32_t descend_lanes(const int terms, int32_t n, const cge_optimizer *o, float scale, const float *dw, float *w, float *v)
{
    const float rate = o->learning_rate, momentum = o->momentum, decay = o->weight_decay;
    int32_t i;
    for (i = 0; n - i >= CGE_LANES_WIDEST; i += CGE_LANES_WIDEST) {
        const element_vec x = *(const element_vec *)(w + i);
        element_vec g = *(const element_vec *)(dw + i) * scale;
        CGE_LANES_IN_REGISTER(g); /* a product that must round before it is added to, in fused builds too */
        if ((terms & DECAY) != 0) g = CGE_LANES_MADD(g, decay, x);
        if ((terms & MOMENTUM) != 0) {
            const element_vec scaled = g, velocity = CGE_LANES_MADD(g, momentum, *(const element_vec *)(v + i));
            *(element_vec *)(v + i) = velocity;
            g = velocity;
            if ((terms & NESTEROV) != 0) g = CGE_LANES_MADD(scaled, momentum, velocity);
        }
        *(element_vec *)(w + i) = CGE_LANES_MADD(x, -rate, g);
    }
    return i;
}

void CGE_LANES(cge_sgd_f32)(int32_t n, const cge_optimizer *o, float scale, const float *dw, float *w, float *v)
{
    int32_t done = 0;
    if (o->momentum == 0.0f)
        done = o->weight_decay == 0.0f ? descend_lanes(0, n, o, scale, dw, w, v) : descend_lanes(DECAY, n, o, scale, dw, w, v);
    else if (o->nesterov == 0)
        done = o->weight_decay == 0.0f ? descend_lanes(MOMENTUM, n, o, scale, dw, w, v) : descend_lanes(MOMENTUM | DECAY, n, o, scale, dw, w, v);
    else
        done = o->weight_decay == 0.0f ? descend_lanes(MOMENTUM | NESTEROV, n, o, scale, dw, w, v)
                                       : descend_lanes(MOMENTUM | NESTEROV | DECAY, n, o, scale, dw, w, v);
    cge_sgd_f32_ref(n - done, o, scale, dw + done, w + done, v != NULL ? v + done : NULL);
}

#endif
