/*
 * What one row of a convolution's input or output gives or needs backward, where no more than some rows exist. Where zeros are
 * left out and parameters learn at once, dw lies filter by filter until all rows are through: each row adds to each filter, whose weights
 * are apart elsewhere.
 */
#include "conv2d_unit.h"
#include "../kernels/kernels.h"

CGE_INTERNAL int32_t cge_conv2d_row_weight_grad_room(const cge_unit_call *c, int at_once)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    if (c->pool == NULL) return 0;
    if (cge_conv2d_unit_leaves_zeros_out(c)) return at_once ? 0 : p.weight_elems / p.g.out_c;
    return c->pool->kernel_h * row_elems(c->map);
}

CGE_INTERNAL void cge_conv2d_unit_row_again(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x,
                                            cge_real *y)
{
    const cge_windows v = cge_conv2d_unit_windows(c);
    cge_conv2d_winners_forward_row(p, &v, x, c->params.w, c->params.b, c->winners, oh, y);
    cge_unit_activate(c->activation, row_elems(c->out), y);
}

/* The gradient of the rows of the map that one row of windows looks at. */
static const cge_real *map_grad_of_row(const cge_unit_call *c, const cge_windows *v, const cge_real *dy, cge_real *room)
{
    int32_t i;
    if (c->pool == NULL) return dy;
    for (i = 0; i < v->kernel_h; i++) cge_maxpool2d_row_grad(v, dy, c->winners, i, room + i * row_elems(c->map));
    return room;
}

static cge_windows windows_of_row(const cge_unit_call *c, int32_t oh)
{
    cge_windows v = {0, 0, 0, 0, 0, 0, 0};
    if (c->pool == NULL) return v;
    v = cge_conv2d_unit_windows(c);
    v.first += oh * v.out_w * v.channels;
    v.out_h = 1;
    return v;
}

static int lies_by_filters(const cge_unit_call *c)
{
    return c->params.optimizer != NULL && cge_conv2d_unit_leaves_zeros_out(c);
}

static void add_to_filters(const cge_unit_call *c, const cge_conv2d_plan *window, const cge_windows *v, const cge_real *x, const cge_real *dy)
{
    const cge_unit_params *params = &c->params;
    const int32_t elems = window->weight_elems / window->g.out_c;
    cge_real *filter = params->dw;
    int32_t k;
    for (k = 0; k < window->g.out_c; k++, filter += elems) {
        const cge_real db = cge_conv2d_winners_filter_grad(window, v, x, dy, c->winners, k, filter, 1, params->db != NULL ? params->db[k] : CGE_REAL(0));
        if (params->db != NULL) params->db[k] = db;
    }
}

CGE_INTERNAL int cge_conv2d_rows_learn(const cge_unit_call *c)
{
    return lies_by_filters(c) ? cge_conv2d_learn_filters(c) : cge_conv2d_unit_learn(c);
}

CGE_INTERNAL void cge_conv2d_row_weight_grad(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row, const cge_real *dy, cge_real *room)
{
    const cge_unit_params *params = &c->params;
    const int32_t step = map_rows_of_y(c);
    const cge_range rows = {0, step}, kernel_rows = {0, p->g.kernel_h};
    const cge_windows v = windows_of_row(c, oh);
    const cge_real *dz;
    int32_t first;
    const cge_conv2d_plan window = cge_conv2d_rows_of(p, oh * step, step, &first);
    x += (first - first_row) * row_elems(c->in);
    if (lies_by_filters(c)) {
        add_to_filters(c, &window, &v, x, dy);
        return;
    }
    if (cge_conv2d_unit_leaves_zeros_out(c)) {
        cge_conv2d_winners_weight_grad(&window, &v, x, dy, c->winners, params->dw, params->db);
        return;
    }
    dz = map_grad_of_row(c, &v, dy, room);
    cge_run_conv2d_weight_grad(&window, x, dz, params->dw, rows, kernel_rows);
    if (params->db != NULL) cge_run_conv2d_bias_grad(&window, dz, params->db, rows);
}

CGE_INTERNAL int32_t cge_conv2d_row_input_grad_room(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    if (c->pool == NULL || cge_conv2d_unit_leaves_zeros_out(c)) return 0;
    return ((reach_rows(&p) - 1) / p.g.stride_h + 2) * row_elems(c->map);
}

CGE_INTERNAL void cge_conv2d_row_input_grad(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t ih, cge_real *dx, cge_real *room)
{
    cge_windows v;
    if (!cge_conv2d_unit_leaves_zeros_out(c)) {
        cge_conv2d_input_grad_band(c, p, ih, 1, dx, room);
        return;
    }
    v = cge_conv2d_unit_windows(c);
    cge_conv2d_winners_input_grad_row(p, &v, c->params.w, c->dy, c->winners, ih, dx);
}
