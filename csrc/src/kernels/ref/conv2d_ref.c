/*
 * Reference convolution: the formulas of cge.h, one loop per index, in the contracted order. The three passes have
 * the same shape: output position, kernel tap, channel, filter; only what is added to what changes. Taps that fall
 * into the padding are cut from the ranges of kh and kw (or oh and ow), never tested in the inner loops.
 */
#include "../kernels.h"

/* x[ih][iw], first channel of the group that filter k belongs to; and likewise below */
static inline size_t at(int32_t row, int32_t column, int32_t width, int32_t channels)
{
    return ((size_t)row * (size_t)width + (size_t)column) * (size_t)channels;
}

CGE_INTERNAL void cge_conv2d_forward_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range rows)
{
    const cge_conv2d *g = &p->g;
    const int32_t filters = g->groups * p->group_out;
    int32_t oh, ow, kh, kw, group, c, k;
    for (oh = rows.begin; oh < rows.end; oh++) {
        int32_t top = oh * g->stride_h - g->pad_top;
        cge_range khs = cge_valid_range(top, g->dilation_h, g->kernel_h, g->in_h);
        for (ow = 0; ow < p->out_w; ow++) {
            int32_t left = ow * g->stride_w - g->pad_left;
            cge_range kws = cge_valid_range(left, g->dilation_w, g->kernel_w, g->in_w);
            cge_real *CGE_RESTRICT yp = y + at(oh, ow, p->out_w, g->out_c);
            for (k = 0; k < filters; k++) yp[k] = b != NULL ? b[k] : CGE_REAL(0);
            for (kh = khs.begin; kh < khs.end; kh++)
                for (kw = kws.begin; kw < kws.end; kw++) {
                    const cge_real *CGE_RESTRICT xp = x + at(top + kh * g->dilation_h, left + kw * g->dilation_w, g->in_w, g->in_c);
                    const cge_real *CGE_RESTRICT wp = w + at(kh, kw, g->kernel_w, p->tap_elems);
                    for (c = 0; c < p->group_in; c++, wp += g->out_c)
                        for (group = 0; group < g->groups; group++) {
                            cge_real xc = xp[group * p->group_in + c];
                            int32_t end = (group + 1) * p->group_out;
                            for (k = group * p->group_out; k < end; k++) yp[k] = CGE_MADD(yp[k], xc, wp[k]);
                        }
                }
        }
    }
}

CGE_INTERNAL void cge_conv2d_weight_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows)
{
    const cge_conv2d *g = &p->g;
    int32_t oh, ow, kh, kw, group, c, k;
    for (oh = rows.begin; oh < rows.end; oh++) {
        int32_t top = oh * g->stride_h - g->pad_top;
        cge_range khs = cge_valid_range(top, g->dilation_h, g->kernel_h, g->in_h);
        if (khs.begin < kernel_rows.begin) khs.begin = kernel_rows.begin;
        if (khs.end > kernel_rows.end) khs.end = kernel_rows.end;
        for (ow = 0; ow < p->out_w; ow++) {
            int32_t left = ow * g->stride_w - g->pad_left;
            cge_range kws = cge_valid_range(left, g->dilation_w, g->kernel_w, g->in_w);
            const cge_real *CGE_RESTRICT dyp = dy + at(oh, ow, p->out_w, g->out_c);
            for (kh = khs.begin; kh < khs.end; kh++)
                for (kw = kws.begin; kw < kws.end; kw++) {
                    const cge_real *CGE_RESTRICT xp = x + at(top + kh * g->dilation_h, left + kw * g->dilation_w, g->in_w, g->in_c);
                    cge_real *CGE_RESTRICT dwp = dw + at(kh, kw, g->kernel_w, p->tap_elems);
                    for (c = 0; c < p->group_in; c++, dwp += g->out_c)
                        for (group = 0; group < g->groups; group++) {
                            cge_real xc = xp[group * p->group_in + c];
                            int32_t end = (group + 1) * p->group_out;
                            for (k = group * p->group_out; k < end; k++) dwp[k] = CGE_MADD(dwp[k], dyp[k], xc);
                        }
                }
        }
    }
}

CGE_INTERNAL void cge_conv2d_bias_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows)
{
    const int32_t out_c = p->g.out_c;
    cge_dense_bias_grad_f32_ref(out_c, (rows.end - rows.begin) * p->out_w, dy + at(rows.begin, 0, p->out_w, out_c), db); /* pixel by pixel */
}

/* The output row (column) whose tap `kernel_index` reads input `i`, or -1: the inverse of ih = oh*stride - pad + kh*dilation. */
static inline int32_t output_of(int32_t i, int32_t pad, int32_t tap, int32_t stride, int32_t out)
{
    int32_t o = i + pad - tap;
    if (o < 0 || o % stride != 0) return -1;
    o /= stride;
    return o < out ? o : -1;
}

CGE_INTERNAL void cge_conv2d_input_grad_f32_ref(const cge_conv2d_plan *p, const cge_real *w, const cge_real *dy, cge_real *dx, cge_range rows)
{
    const cge_conv2d *g = &p->g;
    const int32_t channels = g->groups * p->group_in; /* some of in_c, if the plan is of a part */
    int32_t ih, iw, kh, kw, group, c, k;
    for (ih = rows.begin; ih < rows.end; ih++)
        for (iw = 0; iw < g->in_w; iw++) {
            cge_real *CGE_RESTRICT dxp = dx + at(ih, iw, g->in_w, g->in_c);
            for (c = 0; c < channels; c++) dxp[c] = CGE_REAL(0);
            for (kh = 0; kh < g->kernel_h; kh++) {
                int32_t oh = output_of(ih, g->pad_top, kh * g->dilation_h, g->stride_h, p->out_h);
                if (oh < 0) continue;
                for (kw = 0; kw < g->kernel_w; kw++) {
                    int32_t ow = output_of(iw, g->pad_left, kw * g->dilation_w, g->stride_w, p->out_w);
                    const cge_real *CGE_RESTRICT dyp, *CGE_RESTRICT wp;
                    if (ow < 0) continue;
                    dyp = dy + at(oh, ow, p->out_w, g->out_c);
                    wp = w + at(kh, kw, g->kernel_w, p->tap_elems);
                    for (c = 0; c < p->group_in; c++, wp += g->out_c)
                        for (group = 0; group < g->groups; group++) {
                            cge_real sum = dxp[group * p->group_in + c];
                            int32_t end = (group + 1) * p->group_out;
                            for (k = group * p->group_out; k < end; k++) sum = CGE_MADD(sum, dyp[k], wp[k]);
                            dxp[group * p->group_in + c] = sum;
                        }
                }
            }
        }
}
