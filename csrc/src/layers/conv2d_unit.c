/*
 * A convolution with the activation and the max pooling behind it, by rows.
 *
 * Some rows of a convolution are a convolution of their own with a smaller image and another padding on top, so the kernels
 * know nothing of rows that are missing. Forward, the rows that one pooled row looks at are all that exists of the map.
 * Backward, dx is computed some rows at a time and may replace x: dw, which reads all of x, is complete by then.
 */
#include "conv2d_unit.h"
#include "../kernels/kernels.h"

enum { BAND_ROWS = 2 }; /* of dx at a time; one row takes 3 % more instructions on a Cortex-M4F, four 2 % less */

static int32_t or_one(int32_t n)
{
    return n != 0 ? n : 1;
}

/* The network checked the geometry when it was initialised. */
CGE_INTERNAL cge_conv2d_plan cge_conv2d_unit_plan(const cge_unit_call *c)
{
    cge_conv2d_plan p;
    p.g = *cge_conv2d_of(c->layer);
    p.g.in_h = c->in.h;
    p.g.in_w = c->in.w;
    p.g.in_c = c->in.c;
    p.g.stride_h = or_one(p.g.stride_h);
    p.g.stride_w = or_one(p.g.stride_w);
    p.g.dilation_h = or_one(p.g.dilation_h);
    p.g.dilation_w = or_one(p.g.dilation_w);
    p.g.groups = or_one(p.g.groups);
    p.out_h = c->map.h;
    p.out_w = c->map.w;
    p.group_in = p.g.groups == 1 ? p.g.in_c : p.g.in_c / p.g.groups;
    p.group_out = p.g.groups == 1 ? p.g.out_c : p.g.out_c / p.g.groups;
    p.tap_elems = p.group_in * p.g.out_c;
    p.weight_elems = p.g.kernel_h * p.g.kernel_w * p.tap_elems;
    return p;
}

CGE_INTERNAL cge_windows cge_conv2d_unit_windows(const cge_unit_call *c)
{
    cge_windows v;
    v.kernel_h = c->pool->kernel_h;
    v.kernel_w = c->pool->kernel_w;
    v.out_h = c->out.h;
    v.out_w = c->out.w;
    v.channels = c->map.c;
    v.map_w = c->map.w;
    v.first = c->first_winner;
    return v;
}

CGE_INTERNAL int32_t cge_unit_winners_elems(const cge_unit_call *c)
{
    const int32_t elem = (int32_t)sizeof(cge_real);
    cge_windows v;
    if (c->pool == NULL) return 0;
    v = cge_conv2d_unit_windows(c);
    return (cge_winners_bytes(&v) + elem - 1) / elem;
}

/* Whether the products with zeros behind a pooling are left out. In fused builds a tiny product could make a sum -0, and a
 * product with zero would make it +0 again. */
CGE_INTERNAL int cge_conv2d_unit_leaves_zeros_out(const cge_unit_call *c)
{
    return c->pool != NULL && !CGE_FUSED && cge_conv2d_of(c->layer)->kernel_w <= CGE_WINNERS_COLUMNS;
}

/* Rows of the map's gradient that BAND_ROWS rows of dx meet. */
static int32_t band_map_rows(const cge_conv2d_plan *p)
{
    return (BAND_ROWS - 1 + reach_rows(p) - 1) / p->g.stride_h + 2;
}

/* In a relay, where nobody needs winners, half of a map's row exists at a time. */
static int halves_rows(const cge_unit_call *c)
{
    const int32_t styles = CGE_UNIT_RELAY | CGE_UNIT_ROW_BY_ROW;
    return (c->style & styles) == styles && c->winners == NULL;
}

/* Windows in the first half of a row: half of them, or one more. */
static int32_t first_half(const cge_unit_call *c)
{
    return (c->out.w + 1) / 2;
}

CGE_INTERNAL int32_t cge_conv2d_unit_room(const cge_unit_call *c)
{
    if (c->pool == NULL) return 0;
    if (halves_rows(c)) return first_half(c) * c->pool->kernel_w * c->map.c;
    return ((c->style & CGE_UNIT_ROW_BY_ROW) != 0 ? 1 : c->pool->kernel_h) * row_elems(c->map);
}

CGE_INTERNAL cge_unit_scratch cge_conv2d_unit_scratch(const cge_unit_call *c, int needs_dx)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const int32_t bands = BAND_ROWS * row_elems(c->in), map_row = row_elems(c->map);
    cge_unit_scratch s;
    s.forward = cge_conv2d_unit_room(c);
    if (cge_conv2d_unit_leaves_zeros_out(c))
        s.backward = at_least(needs_dx ? reach_rows(&p) * row_elems(c->in) : 0, cge_trained_weight_elems(c->layer, p.weight_elems) / p.g.out_c);
    else if (c->pool != NULL)
        s.backward = at_least(needs_dx ? band_map_rows(&p) * map_row + bands : 0, c->pool->kernel_h * map_row);
    else
        s.backward = needs_dx > ((c->style & CGE_UNIT_FEW_CHANNELS) != 0) ? bands : 0;
    return s;
}

CGE_INTERNAL int32_t cge_conv2d_unit_gradients(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    if ((c->style & CGE_UNIT_DX_FIRST) == 0) return cge_trained_weight_elems(c->layer, p.weight_elems) + p.g.out_c;
    if ((c->style & CGE_UNIT_FEW_CHANNELS) != 0) return few_channels_of(&p) * p.g.kernel_w * p.g.out_c;
    return cge_conv2d_unit_leaves_zeros_out(c) ? 0 : p.weight_elems / p.g.kernel_h; /* at least the biases' */
}

/* ---- forward ---- */

CGE_INTERNAL cge_conv2d_plan cge_conv2d_rows_of(const cge_conv2d_plan *p, int32_t oh, int32_t rows, int32_t *first)
{
    const int32_t top = oh * p->g.stride_h - p->g.pad_top;
    const int32_t end = at_most_rows(top + (rows - 1) * p->g.stride_h + reach_rows(p), p->g.in_h);
    cge_conv2d_plan v = *p;
    *first = at_most_rows(at_least(top, 0), p->g.in_h - 1);
    v.g.pad_top = *first - top;
    v.g.in_h = at_least(end - *first, 1);
    v.out_h = rows;
    return v;
}

/* Rows row .. row + count - 1 of the map, to `map`. */
static void map_rows(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t row, int32_t count, const cge_real *x, int32_t first_row, cge_real *map)
{
    const cge_range rows = {0, count};
    int32_t first;
    const cge_conv2d_plan window = cge_conv2d_rows_of(p, row, count, &first);
    cge_run_conv2d_forward(&window, x + (first - first_row) * row_elems(c->in), c->params.w, c->params.b, map, rows);
    if (!c->pool_first) cge_unit_activate(c->activation, count * row_elems(c->map), map);
}

/* Windows begin .. begin + count - 1 of a pooled row. */
CGE_NOINLINE void part_of_pooled_row(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, cge_range columns, const cge_real *x,
                                     int32_t first_row, cge_real *y, cge_real *room)
{
    const cge_range rows = {0, 1};
    cge_windows v = cge_conv2d_unit_windows(c);
    int32_t i;
    v.out_w = columns.end - columns.begin;
    v.map_w = v.out_w * v.kernel_w;
    for (i = oh * v.kernel_h; i < (oh + 1) * v.kernel_h; i++) {
        int32_t first;
        cge_conv2d_plan window = cge_conv2d_rows_of(p, i, 1, &first);
        window.g.pad_left -= columns.begin * v.kernel_w * p->g.stride_w;
        window.out_w = v.map_w;
        cge_part_conv2d_forward(&window, x + (first - first_row) * row_elems(c->in), c->params.w, c->params.b, room, rows);
        if (!c->pool_first) cge_unit_activate(c->activation, v.map_w * v.channels, room);
        cge_maxpool2d_take_row(&v, room, i, y + columns.begin * v.channels, NULL);
    }
}

static void pooled_row_in_halves(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row,
                                 cge_real *y, cge_real *room)
{
    const cge_range first = {0, first_half(c)}, second = {first_half(c), c->out.w};
    part_of_pooled_row(c, p, oh, first, x, first_row, y, room);
    if (second.begin < second.end) part_of_pooled_row(c, p, oh, second, x, first_row, y, room);
}

static void pooled_row(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row, cge_real *y, cge_real *room)
{
    const cge_windows v = cge_conv2d_unit_windows(c);
    const int32_t first = oh * v.kernel_h;
    int32_t i;
    if ((c->style & CGE_UNIT_ROW_BY_ROW) == 0) {
        map_rows(c, p, first, v.kernel_h, x, first_row, room);
        cge_maxpool2d_row(&v, room, oh, y, c->winners);
        return;
    }
    for (i = first; i < first + v.kernel_h; i++) {
        map_rows(c, p, i, 1, x, first_row, room);
        cge_maxpool2d_take_row(&v, room, i, y, c->winners);
    }
}

CGE_INTERNAL void cge_conv2d_unit_row(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, const cge_real *x, int32_t first_row, cge_real *y, cge_real *room)
{
    if (c->pool != NULL && halves_rows(c))
        pooled_row_in_halves(c, p, oh, x, first_row, y, room);
    else if (c->pool != NULL)
        pooled_row(c, p, oh, x, first_row, y, room);
    else
        map_rows(c, p, oh, 1, x, first_row, y);
    if (c->pool_first) cge_unit_activate(c->activation, row_elems(c->out), y);
}

/* x of such a convolution, which begins at row `first`. */
static const cge_real *rows_of_x(const cge_unit_call *c, const cge_conv2d_plan *window, int32_t first)
{
    return cge_unit_x(c, first * row_elems(c->in), window->g.in_h * row_elems(c->in));
}

/* What row oh of the unit's output looks at: x from row *first on. */
CGE_NOINLINE const cge_real *rows_looked_at(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t oh, int32_t *first)
{
    const int32_t step = map_rows_of_y(c);
    const cge_conv2d_plan window = cge_conv2d_rows_of(p, oh * step, step, first);
    return rows_of_x(c, &window, *first);
}

CGE_INTERNAL void cge_conv2d_unit_forward(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    int32_t oh;
    if (c->pool == NULL) {
        map_rows(c, &p, 0, p.out_h, c->x, 0, c->y);
        return;
    }
    for (oh = 0; oh < c->out.h; oh++) {
        int32_t first;
        const cge_real *x = rows_looked_at(c, &p, oh, &first);
        cge_conv2d_unit_row(c, &p, oh, x, first, c->y + oh * row_elems(c->out), c->scratch);
    }
}

/* ---- backward ---- */

/* Rows row .. row + count - 1 of the map's gradient: where they lie, or expanded at `room`. */
static const cge_real *map_grad_rows(const cge_unit_call *c, int32_t row, int32_t count, cge_real *room)
{
    cge_windows v;
    int32_t i;
    if (c->pool == NULL) return c->dy + row * row_elems(c->map);
    v = cge_conv2d_unit_windows(c);
    for (i = 0; i < count; i++) cge_maxpool2d_row_grad(&v, c->dy, c->winners, row + i, room + i * row_elems(c->map));
    return room;
}

/* Of a map that is pooled, the rows of a window at a time; else all, or those whose x fits into its window. */
CGE_NOINLINE int32_t rows_at_a_time(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    if (c->pool != NULL) return c->pool->kernel_h;
    return c->source.model != NULL ? cge_rows_at_a_time(reach_rows(p), p->g.stride_h, p->g.in_h) : c->map.h;
}

/* Of the map that a pooling looks at. */
static int32_t rows_with_gradient(const cge_unit_call *c)
{
    return c->out.h * map_rows_of_y(c);
}

CGE_INTERNAL void cge_conv2d_unit_weight_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p, cge_real *dw)
{
    const int32_t step = rows_at_a_time(c, p), end = rows_with_gradient(c);
    const cge_range kernel_rows = {0, p->g.kernel_h};
    cge_range rows = {0, 0};
    int32_t row;
    for (row = 0; row < end; row += rows.end) {
        int32_t first;
        cge_conv2d_plan window;
        const cge_real *dz;
        rows.end = at_most_rows(step, end - row);
        window = cge_conv2d_rows_of(p, row, rows.end, &first);
        dz = map_grad_rows(c, row, rows.end, c->scratch);
        cge_run_conv2d_weight_grad(&window, rows_of_x(c, &window, first), dz, dw, rows, kernel_rows);
    }
}

CGE_INTERNAL void cge_conv2d_unit_bias_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p, cge_real *db)
{
    const int32_t end = rows_with_gradient(c), step = c->pool != NULL ? c->pool->kernel_h : end;
    const cge_range rows = {0, step};
    int32_t row;
    for (row = 0; row < end; row += step) cge_run_conv2d_bias_grad(p, map_grad_rows(c, row, step, c->scratch), db, rows);
}

CGE_INTERNAL void cge_conv2d_window_input_grad(const cge_conv2d_plan *p, const cge_real *w, cge_range rows, const cge_real *dz, int32_t ih, int32_t count, cge_real *dx)
{
    const cge_range all = {0, count};
    cge_conv2d_plan window = *p;
    if (rows.begin >= rows.end) {
        memset(dx, 0, (size_t)(count * p->g.in_w * p->g.in_c) * sizeof *dx);
        return;
    }
    window.g.in_h = count;
    window.out_h = rows.end - rows.begin;
    window.g.pad_top = p->g.pad_top + ih - rows.begin * p->g.stride_h;
    cge_run_conv2d_input_grad(&window, w, dz, dx, all);
}

CGE_INTERNAL void cge_conv2d_input_grad_band(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t ih, int32_t count, cge_real *dx, cge_real *room)
{
    const int32_t last_row = c->pool != NULL ? c->out.h * c->pool->kernel_h : p->out_h;
    const cge_real *dz;
    cge_range rows;
    rows.begin = at_least(ih + p->g.pad_top - (reach_rows(p) - 1), 0) / p->g.stride_h;
    rows.end = at_most_rows((ih + count - 1 + p->g.pad_top) / p->g.stride_h + 1, last_row);
    dz = rows.begin < rows.end ? map_grad_rows(c, rows.begin, rows.end - rows.begin, room) : NULL;
    cge_conv2d_window_input_grad(p, c->params.w, rows, dz, ih, count, dx);
}

static void take_row(const void *context, int32_t row, cge_real *dx)
{
    const cge_unit_call *c = (const cge_unit_call *)context;
    cge_unit_hand_on(c, row * row_elems(c->in), row_elems(c->in), dx);
}

/* `band` rows at a time, which are computed at `rows`; behind them is room for those of the map's gradient. */
CGE_INLINE void input_grad_in_bands(const cge_unit_call *c, const cge_conv2d_plan *p, int32_t band, cge_real *rows)
{
    int32_t ih, count;
    for (ih = 0; ih < c->in.h; ih += count) {
        count = at_most_rows(band, c->in.h - ih);
        cge_conv2d_input_grad_band(c, p, ih, count, rows, rows + band * row_elems(c->in));
        cge_unit_hand_on(c, ih * row_elems(c->in), count * row_elems(c->in), rows);
    }
}

/* All of dx where it belongs, since nothing else is there; rows of a map that is pooled would be elsewhere. */
static int writes_dx_apart(const cge_unit_call *c)
{
    return (c->style & CGE_UNIT_DX_APART) != 0 && !c->adds && c->pool == NULL;
}

#if CGE_HOST

enum { WIDE_BAND_ELEMS = 4096 }; /* 16 KB of stack */

/* A kernel prepares the weights for each band, so that computers take bands of more rows than the plan has room for. */
CGE_NOINLINE void input_grad_in_wide_bands(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    cge_real rows[WIDE_BAND_ELEMS];
    input_grad_in_bands(c, p, WIDE_BAND_ELEMS / row_elems(c->in), rows);
}

static int has_wide_bands(const cge_unit_call *c)
{
    return c->pool == NULL && row_elems(c->in) <= WIDE_BAND_ELEMS / BAND_ROWS;
}

static void input_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    const int apart = writes_dx_apart(c);
    if (!apart && has_wide_bands(c)) input_grad_in_wide_bands(c, p);
    else input_grad_in_bands(c, p, apart ? c->in.h : BAND_ROWS, apart ? c->dx : c->scratch);
}

#else

static void input_grad_by_rows(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    const int apart = writes_dx_apart(c);
    input_grad_in_bands(c, p, apart ? c->in.h : BAND_ROWS, apart ? c->dx : c->scratch);
}

#endif

CGE_INTERNAL void cge_conv2d_unit_input_grad(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    cge_windows v;
    if (!cge_conv2d_unit_leaves_zeros_out(c)) {
        input_grad_by_rows(c, p);
        return;
    }
    v = cge_conv2d_unit_windows(c);
    cge_conv2d_winners_input_grad(p, &v, c->params.w, c->dy, c->winners, c->scratch, take_row, c);
}

/* One row of windows at a time, where x is read through a window of its own. */
CGE_NOINLINE void winners_grad_through_window(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    cge_windows v = cge_conv2d_unit_windows(c);
    int32_t oh;
    v.out_h = 1;
    for (oh = 0; oh < c->out.h; oh++) {
        int32_t first;
        const cge_conv2d_plan window = cge_conv2d_rows_of(p, oh * c->pool->kernel_h, c->pool->kernel_h, &first);
        const cge_real *x = rows_of_x(c, &window, first);
        v.first = c->first_winner + oh * row_elems(c->out);
        cge_conv2d_winners_weight_grad(&window, &v, x, c->dy + oh * row_elems(c->out), c->winners, c->params.dw, c->params.db);
    }
}

/* p: narrowed to what learns. */
static void unit_weight_grad(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    const cge_unit_params *params = &c->params;
    cge_windows v;
    if (params->dw == NULL && params->db == NULL) return;
    if (cge_conv2d_unit_leaves_zeros_out(c)) {
        v = cge_conv2d_unit_windows(c);
        if (params->dw == NULL)
            cge_conv2d_winners_bias_grad(&v, c->dy, c->winners, params->db);
        else if (c->source.model != NULL)
            winners_grad_through_window(c, p);
        else
            cge_conv2d_winners_weight_grad(p, &v, c->x, c->dy, c->winners, params->dw, params->db);
        return;
    }
    if (params->dw != NULL) cge_conv2d_unit_weight_grad_by_rows(c, p, params->dw);
    if (params->db != NULL) cge_conv2d_unit_bias_grad_by_rows(c, p, params->db);
}

CGE_INTERNAL void cge_conv2d_unit_begin_weight_grad(const cge_unit_call *c)
{
    cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const cge_unit_params *params = &c->params;
    if (params->optimizer == NULL) return;
    cge_conv2d_narrow(&p, c->layer);
    if (params->dw != NULL) memset(params->dw, 0, (size_t)p.weight_elems * sizeof *params->dw);
    if (params->db != NULL) memset(params->db, 0, (size_t)p.g.out_c * sizeof *params->db);
}

CGE_INTERNAL int cge_conv2d_unit_learn(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const cge_trained t = cge_trained_weights(c->layer, p.weight_elems);
    const cge_unit_params *params = &c->params;
    int32_t tap;
    if (params->optimizer == NULL) return 1;
    if (params->db != NULL && !cge_unit_learn(params, p.g.out_c, params->db, params->b, params->vb)) return 0;
    for (tap = 0; params->dw != NULL && tap < t.taps; tap++) {
        cge_real *v = params->vw != NULL ? params->vw + tap * t.run : NULL;
        if (!cge_unit_learn(params, t.run, params->dw + tap * t.run, params->w + tap * t.pitch, v)) return 0;
    }
    return 1;
}

CGE_NOINLINE void narrow_weight_grad(const cge_unit_call *c)
{
    cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    cge_conv2d_narrow(&p, c->layer);
    unit_weight_grad(c, &p);
}

CGE_NOINLINE void whole_input_grad(const cge_unit_call *c)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    cge_conv2d_unit_input_grad(c, &p);
}

CGE_INTERNAL int cge_conv2d_unit_backward(const cge_unit_call *c)
{
    cge_conv2d_unit_begin_weight_grad(c);
    narrow_weight_grad(c);
    if (c->dx != NULL) whole_input_grad(c);
    return cge_conv2d_unit_learn(c);
}

/* ---- bounds ---- */

CGE_INTERNAL int32_t cge_conv2d_unit_positions(const cge_unit_call *c)
{
    return c->pool != NULL ? c->out.h * c->out.w : c->map.h * c->map.w; /* one of each window at most */
}

/* Sum of |w| over the taps and filters that input channel c of a group reaches. */
CGE_INTERNAL cge_real cge_conv2d_channel_gain(const cge_conv2d_plan *p, const cge_real *w, int32_t group, int32_t c)
{
    const int32_t taps = p->g.kernel_h * p->g.kernel_w, tap_elems = p->tap_elems;
    const cge_real *of_tap = w + c * p->g.out_c + group * p->group_out;
    cge_real sum = 0;
    int32_t tap, k;
    for (tap = 0; tap < taps; tap++, of_tap += tap_elems)
        for (k = 0; k < p->group_out; k++) sum += of_tap[k] < 0 ? -of_tap[k] : of_tap[k];
    return sum;
}

CGE_INTERNAL cge_real cge_conv2d_unit_gain(const cge_unit_call *call)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(call);
    cge_real most = 0;
    int32_t group, c;
    for (group = 0; group < p.g.groups; group++)
        for (c = 0; c < p.group_in; c++) {
            const cge_real gain = cge_conv2d_channel_gain(&p, call->params.w, group, c);
            if (!(gain <= most)) most = gain;
        }
    return most;
}
