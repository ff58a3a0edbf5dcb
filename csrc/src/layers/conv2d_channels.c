/*
 * A convolution that learns at once and whose dx has memory of its own (CGE_UNIT_DX_FIRST): of a kernel row, the weights of
 * some input channels at a time. Their gradient is that of a layer whose x begins with these channels.
 */
#include "conv2d_unit.h"
#include "../kernels/kernels.h"

/* Channels first .. first + count - 1 of kernel row kh. */
static int learn_channels(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t kh, int32_t first, int32_t count)
{
    const cge_unit_params *params = &c->params;
    const int32_t elems = count * p->g.out_c, pitch = p->group_in * p->g.out_c;
    const int32_t begin = kh * p->g.kernel_w * pitch + first * p->g.out_c;
    cge_conv2d_plan row = kernel_row_of(p, kh);
    cge_unit_call part = *c;
    int32_t kw;
    part.x += first;
    row.group_in = count;
    row.tap_elems = elems;
    row.weight_elems = p->g.kernel_w * elems;
    memset(params->dw, 0, (size_t)row.weight_elems * sizeof *params->dw);
    cge_conv2d_unit_weight_grad_by_rows(&part, &row, params->dw);
    for (kw = 0; kw < p->g.kernel_w; kw++) {
        const int32_t at = begin + kw * pitch;
        if (!cge_unit_learn(params, elems, params->dw + kw * elems, params->w + at, params->vw != NULL ? params->vw + at : NULL)) return 0;
    }
    return 1;
}

/* dx where it belongs: there is no map that is pooled, whose rows would be elsewhere. */
static void input_grad_in_place(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    cge_conv2d_input_grad_band(c, p, 0, c->in.h, c->dx, NULL);
    if (c->below != NULL) cge_unit_hand_on(c, 0, cge_shape_elems(c->in), c->dx);
}

CGE_INTERNAL int cge_conv2d_unit_backward_in_channels(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const int32_t step = few_channels_of(&p);
    int32_t kh, first;
    if ((c->style & CGE_UNIT_FEW_CHANNELS) == 0) return cge_conv2d_unit_backward_in_pieces(c);
    if (c->dx != NULL && c->adds) cge_conv2d_unit_input_grad(c, &p);
    if (c->dx != NULL && !c->adds) input_grad_in_place(c, &p);
    if (!learn_biases(c, &p)) return 0;
    for (kh = 0; kh < p.g.kernel_h; kh++)
        for (first = 0; first < p.group_in; first += step)
            if (!learn_channels(c, &p, kh, first, at_most_rows(step, p.group_in - first))) return 0;
    return 1;
}
