/*
 * Reference transposed convolution: the formulas of cge.h, one loop per index, in the contracted order. Forward looks from y
 * for the x that reach it, as its order wants; the gradients look from x. p is of the convolution that goes the other way: its
 * input has the shape of y, its output that of x.
 */
#include "../kernels.h"

/* Element i of what tap `tap` of input position `position` reaches along an axis; -1: it is outside. */
static int32_t reached_from(int32_t position, int32_t stride, int32_t pad, int32_t tap, int32_t dilation, int32_t size)
{
    const int32_t o = position * stride - pad + tap * dilation;
    return o >= 0 && o < size ? o : -1;
}

/* The input position of which tap `tap` reaches o; -1: none. */
static int32_t reaches(int32_t o, int32_t stride, int32_t pad, int32_t tap, int32_t dilation, int32_t size)
{
    const int32_t from = o + pad - tap * dilation;
    return from >= 0 && from % stride == 0 && from / stride < size ? from / stride : -1;
}

/* Where w[kh][kw][k][0] lies; k of its group. */
static size_t weight_at(const cge_conv2d_plan *p, int32_t kh, int32_t kw, int32_t k)
{
    return (((size_t)kh * (size_t)p->g.kernel_w + (size_t)kw) * (size_t)p->group_in + (size_t)k) * (size_t)p->g.out_c;
}

static size_t pixel_at(int32_t h, int32_t w, int32_t width, int32_t channels)
{
    return ((size_t)h * (size_t)width + (size_t)w) * (size_t)channels;
}

static cge_real output_of_transposed(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, int32_t oh, int32_t ow,
                                     int32_t k)
{
    const cge_conv2d *g = &p->g;
    const int32_t first = k / p->group_in * p->group_out;
    cge_real sum = 0;
    int32_t kh, kw, c;
    for (kh = 0; kh < g->kernel_h; kh++)
        for (kw = 0; kw < g->kernel_w; kw++) {
            const int32_t ih = reaches(oh, g->stride_h, g->pad_top, kh, g->dilation_h, p->out_h);
            const int32_t iw = reaches(ow, g->stride_w, g->pad_left, kw, g->dilation_w, p->out_w);
            const cge_real *xp, *wp;
            if (ih < 0 || iw < 0) continue;
            xp = x + pixel_at(ih, iw, p->out_w, g->out_c);
            wp = w + weight_at(p, kh, kw, k % p->group_in);
            for (c = first; c < first + p->group_out; c++) sum = CGE_MADD(sum, xp[c], wp[c]);
        }
    return sum;
}

CGE_INTERNAL void cge_conv_transpose2d_forward_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w,
                                                       const cge_real *b, cge_real *y)
{
    int32_t oh, ow, k;
    for (oh = 0; oh < p->g.in_h; oh++)
        for (ow = 0; ow < p->g.in_w; ow++)
            for (k = 0; k < p->g.in_c; k++, y++) {
                *y = output_of_transposed(p, x, w, oh, ow, k);
                if (b != NULL) *y += b[k];
            }
}

CGE_INTERNAL void cge_conv_transpose2d_weight_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy,
                                                           cge_real *dw)
{
    const cge_conv2d *g = &p->g;
    int32_t ih, iw, kh, kw, k, c;
    for (ih = 0; ih < p->out_h; ih++)
        for (iw = 0; iw < p->out_w; iw++, x += g->out_c)
            for (kh = 0; kh < g->kernel_h; kh++)
                for (kw = 0; kw < g->kernel_w; kw++) {
                    const int32_t oh = reached_from(ih, g->stride_h, g->pad_top, kh, g->dilation_h, g->in_h);
                    const int32_t ow = reached_from(iw, g->stride_w, g->pad_left, kw, g->dilation_w, g->in_w);
                    const cge_real *dyp;
                    if (oh < 0 || ow < 0) continue;
                    dyp = dy + pixel_at(oh, ow, g->in_w, g->in_c);
                    for (c = 0; c < g->out_c; c++)
                        for (k = 0; k < p->group_in; k++) {
                            cge_real *dwp = dw + weight_at(p, kh, kw, k) + c;
                            *dwp = CGE_MADD(*dwp, x[c], dyp[c / p->group_out * p->group_in + k]);
                        }
                }
}

CGE_INTERNAL void cge_conv_transpose2d_input_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy,
                                                          cge_real *dx)
{
    const cge_conv2d *g = &p->g;
    int32_t ih, iw, kh, kw, k, c;
    for (ih = 0; ih < p->out_h; ih++)
        for (iw = 0; iw < p->out_w; iw++)
            for (c = 0; c < g->out_c; c++, dx++) {
                const int32_t first = c / p->group_out * p->group_in;
                *dx = 0;
                for (kh = 0; kh < g->kernel_h; kh++)
                    for (kw = 0; kw < g->kernel_w; kw++) {
                        const int32_t oh = reached_from(ih, g->stride_h, g->pad_top, kh, g->dilation_h, g->in_h);
                        const int32_t ow = reached_from(iw, g->stride_w, g->pad_left, kw, g->dilation_w, g->in_w);
                        const cge_real *dyp;
                        if (oh < 0 || ow < 0) continue;
                        dyp = dy + pixel_at(oh, ow, g->in_w, g->in_c) + first;
                        for (k = 0; k < p->group_in; k++) *dx = CGE_MADD(*dx, dyp[k], w[weight_at(p, kh, kw, k) + (size_t)c]);
                    }
            }
}
