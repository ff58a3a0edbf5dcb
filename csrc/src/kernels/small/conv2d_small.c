/*
 * Convolution and dense layers for builds that must be small: one nest of loops for all passes, which differ in what is added
 * to what.
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

typedef struct conv2d_walk {
    const cge_conv2d_plan *p;
    int pass;
    cge_real *x, *w, *y; /* of which the pass changes one */
    cge_range rows, kernel_rows; /* rows of y, or, in an input gradient, of x */
} conv2d_walk;

/* One tap and one pixel: all its channels and filters. */
static void add_pixel(const conv2d_walk *m, cge_real *x, cge_real *w, cge_real *y)
{
    const cge_conv2d_plan *p = m->p;
    const int to_x = m->pass == INPUT_GRAD;
    int32_t c, group, k;
    for (c = 0; c < p->group_in; c++, x++, w += p->g.out_c) {
        cge_real *xc = x, *sum = m->pass == FORWARD ? y : w;
        const cge_real *factor = m->pass == FORWARD ? w : y, *wc = w;
        for (group = p->g.groups; group > 0; group--, xc += p->group_in)
            for (k = p->group_out; k > 0; k--, factor++) {
                if (to_x) *xc = CGE_MADD(*xc, *factor, *wc++);
                else *sum = CGE_MADD(*sum, *xc, *factor), sum++;
            }
    }
}

static void add_products(const conv2d_walk *m)
{
    const cge_conv2d_plan *p = m->p;
    const cge_conv2d *g = &p->g;
    cge_real *w = m->w + m->kernel_rows.begin * g->kernel_w * p->tap_elems;
    int32_t kh, kw, oh, ow;
    for (kh = m->kernel_rows.begin; kh < m->kernel_rows.end; kh++)
        for (kw = 0; kw < g->kernel_w; kw++, w += p->tap_elems)
            for (oh = 0; oh < p->out_h; oh++) {
                const int32_t ih = oh * g->stride_h - g->pad_top + kh * g->dilation_h, row = m->pass == INPUT_GRAD ? ih : oh;
                if (row < m->rows.begin || row >= m->rows.end || ih < 0 || ih >= g->in_h) continue;
                for (ow = 0; ow < p->out_w; ow++) {
                    const int32_t iw = ow * g->stride_w - g->pad_left + kw * g->dilation_w;
                    if (iw < 0 || iw >= g->in_w) continue;
                    add_pixel(m, m->x + (ih * g->in_w + iw) * g->in_c, w, m->y + (oh * p->out_w + ow) * g->out_c);
                }
            }
}

static cge_real *writable(const cge_real *x)
{
    return (cge_real *)(uintptr_t)x;
}

static void walk_rows(const cge_conv2d_plan *p, int pass, const cge_real *x, const cge_real *w, const cge_real *y, cge_range rows)
{
    conv2d_walk m = {p, pass, writable(x), writable(w), writable(y), {0, 0}, {0, 0}};
    m.rows = rows;
    m.kernel_rows.end = p->g.kernel_h;
    add_products(&m);
}

void cge_conv2d_forward_f32_small(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    const int32_t begin = rows.begin * p->out_w, end = rows.end * p->out_w, filters = p->g.groups * p->group_out;
    int32_t i, k;
    for (i = begin; i < end; i++)
        for (k = 0; k < filters; k++) y[i * p->g.out_c + k] = b != NULL ? b[k] : CGE_REAL(0);
    walk_rows(p, FORWARD, x, w, y, rows);
}

void cge_conv2d_weight_grad_f32_small(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    conv2d_walk m = {p, WEIGHT_GRAD, writable(x), dw, writable(dy), {0, 0}, {0, 0}};
    m.rows = rows;
    m.kernel_rows = kernel_rows;
    add_products(&m);
}

void cge_conv2d_input_grad_f32_small(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    const int32_t begin = rows.begin * p->g.in_w, end = rows.end * p->g.in_w, channels = p->g.groups * p->group_in;
    int32_t i;
    for (i = begin; i < end; i++) memset(dx + i * p->g.in_c, 0, (size_t)channels * sizeof *dx); /* maybe a part of them */
    walk_rows(p, INPUT_GRAD, dx, w, dy, rows);
}

/* ---- dense layers: each sample is a pixel, and the kernel is 1 x 1 ---- */

static cge_conv2d_plan plan_of_dense(int32_t in, int32_t out, int32_t count)
{
    cge_conv2d_plan p;
    memset(&p, 0, sizeof p);
    p.g.in_h = p.out_h = count;
    p.g.in_w = p.out_w = 1;
    p.g.in_c = p.group_in = in;
    p.g.out_c = p.group_out = out;
    p.g.kernel_h = p.g.kernel_w = p.g.stride_h = p.g.groups = 1;
    return p;
}

void cge_dense_forward_f32_small(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    const cge_conv2d_plan p = plan_of_dense(in, out, count);
    cge_range rows = {0, 0};
    rows.end = count;
    cge_conv2d_forward_f32_small(&p, x, w, b, y, rows);
}

void cge_dense_weight_grad_f32_small(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add)
{
    cge_conv2d_plan p = plan_of_dense(in, out, count);
    cge_range rows = {0, 0};
    rows.end = count;
    dw += (size_t)inputs.begin * (size_t)out;
    p.group_in = inputs.end - inputs.begin;
    if (p.group_in > 0 && !add) memset(dw, 0, (size_t)p.group_in * (size_t)out * sizeof *dw);
    walk_rows(&p, WEIGHT_GRAD, x + inputs.begin, dw, dy, rows);
}
