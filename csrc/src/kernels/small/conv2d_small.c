/*
 * Convolution for builds that must be small: one nest of loops for all passes, which differ in what is added to what.
 *
 *     for kh, kw:  for oh, ow that have this tap:  for c, k:     y[k] += x[c] w[k]      forward
 *                                                               dw[k] += dy[k] x[c]     weight gradient
 *                                                               dx[c] += dy[k] w[k]     input gradient
 *
 * Taps are the outermost loops here, so an element of y meets its terms in the order kh, kw, c, one of dw in the order
 * oh, ow, and one of dx in the order kh, kw, k: the contracted ones. Sums wait in memory between terms, which changes no
 * bit.
 */
#include "../kernels.h"

enum { FORWARD, WEIGHT_GRAD, INPUT_GRAD };

typedef struct operands { /* of which the pass changes one */
    cge_real *x, *w, *y;
} operands;

/* One tap and one pixel: all its channels and filters. */
static void add_pixel(const cge_conv2d_plan *p, int pass, operands o)
{
    const int32_t filters = p->group_out;
    int32_t c, group, k;
    for (c = 0; c < p->group_in; c++, o.x++, o.w += p->g.out_c) {
        cge_real *x = o.x, *w = o.w, *y = o.y;
        for (group = p->g.groups; group > 0; group--, x += p->group_in, y += filters, w += filters) {
            cge_real *sums = pass == FORWARD ? y : w, xc = *x;
            const cge_real *factors = pass == FORWARD ? w : y;
            if (pass == INPUT_GRAD) {
                for (k = 0; k < filters; k++) xc = CGE_MADD(xc, y[k], w[k]);
                *x = xc;
            } else
                for (k = 0; k < filters; k++) sums[k] = CGE_MADD(sums[k], xc, factors[k]);
        }
    }
}

/* Kernel rows `kernel_rows` between output rows `out_rows` and input rows `in_rows`. */
static void add_products(const cge_conv2d_plan *p, int pass, operands o, cge_range out_rows, cge_range in_rows, cge_range kernel_rows)
{
    const cge_conv2d *g = &p->g;
    const int32_t tap_elems = p->group_in * g->out_c;
    const cge_real *x = o.x, *y = o.y;
    int32_t kh, kw, oh, ow;
    o.w += kernel_rows.begin * g->kernel_w * tap_elems;
    for (kh = kernel_rows.begin; kh < kernel_rows.end; kh++)
        for (kw = 0; kw < g->kernel_w; kw++, o.w += tap_elems)
            for (oh = out_rows.begin; oh < out_rows.end; oh++) {
                const int32_t ih = oh * g->stride_h - g->pad_top + kh * g->dilation_h;
                if (ih < in_rows.begin || ih >= in_rows.end) continue;
                for (ow = 0; ow < p->out_w; ow++) {
                    const int32_t iw = ow * g->stride_w - g->pad_left + kw * g->dilation_w;
                    if (iw < 0 || iw >= g->in_w) continue;
                    o.x = (cge_real *)(uintptr_t)x + (ih * g->in_w + iw) * g->in_c;
                    o.y = (cge_real *)(uintptr_t)y + (oh * p->out_w + ow) * g->out_c;
                    add_pixel(p, pass, o);
                }
            }
}

static cge_range whole(int32_t count)
{
    cge_range r = {0, 0};
    r.end = count;
    return r;
}

void cge_conv2d_forward_f32_small(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    const operands o = {(cge_real *)(uintptr_t)x, (cge_real *)(uintptr_t)w, y};
    const int32_t begin = rows.begin * p->out_w, end = rows.end * p->out_w, filters = p->g.groups * p->group_out;
    int32_t i, k;
    for (i = begin; i < end; i++)
        for (k = 0; k < filters; k++) y[i * p->g.out_c + k] = b != NULL ? b[k] : CGE_REAL(0);
    add_products(p, FORWARD, o, rows, whole(p->g.in_h), whole(p->g.kernel_h));
}

void cge_conv2d_weight_grad_f32_small(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    const operands o = {(cge_real *)(uintptr_t)x, dw, (cge_real *)(uintptr_t)dy};
    add_products(p, WEIGHT_GRAD, o, rows, whole(p->g.in_h), kernel_rows);
}

void cge_conv2d_input_grad_f32_small(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    const operands o = {dx, (cge_real *)(uintptr_t)w, (cge_real *)(uintptr_t)dy};
    const int32_t row = p->g.in_w * p->g.in_c;
    int32_t i;
    for (i = rows.begin * row; i < rows.end * row; i++) dx[i] = CGE_REAL(0);
    add_products(p, INPUT_GRAD, o, whole(p->out_h), rows, whole(p->g.kernel_h));
}
