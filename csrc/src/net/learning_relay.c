/*
 * Relays that learn: the first units of a network, run by rows through all of them, forward and backward. What one hands on to
 * the next never exists as a whole, and neither does its gradient.
 *
 * Backward knows all of the gradient of the last unit's output. It makes the rows of the maps again, and of each gradient the next
 * row as soon as the rows are there that it is a sum over. A unit learns from a row of its gradient and from the rows of its input
 * that this one looks at. Each unit's rows are in ascending order, so all sums have the order that they have elsewhere.
 *
 * Two windows stand for a unit's output: rows of the map and rows of its gradient. A row leaves them when nobody looks at it any
 * more. The first unit asks for its next row, that for what it lacks, and so on: so everyone waits as long as it can. The walk
 * depends on the geometry alone. Planning goes through it without numbers, to see how many rows the windows hold.
 */
#include "relay.h"
#include "../kernels/kernels.h"

enum { MOST_LEARNING_UNITS = 16 };

/* Rows of units 0 .. end that exist so far. */
typedef struct row_counts {
    int16_t made[MOST_LEARNING_UNITS], back[MOST_LEARNING_UNITS]; /* of the output, of its gradient */
    uint32_t wanted; /* bit u: unit u's output is made again */
} row_counts;

/* ---- which units ---- */

/* A convolution all of whose weights learn or none, without a pooling; or one with two inputs. */
static int can_learn_by_rows(const cge_relay_net *n, int32_t u)
{
    const cge_unit *unit = &n->units[u];
    const cge_layer *main = &n->model->layers[unit->main];
    if (!cge_relay_trait(n, u, CGE_BY_ROWS | CGE_TWO_INPUTS) || unit->pool >= 0) return 0;
    if (cge_relay_trait(n, u, CGE_BY_ROWS) && (main->flags & CGE_FROZEN) == 0 && main->trains != CGE_TRAINS_ALL) return 0;
    return cge_reads_rows(n, 0, u);
}

/* Whoever reads what a unit hands on is one of them. */
static int stays_within(const cge_relay_net *n, int32_t u, int32_t end)
{
    int32_t r, readers = 0;
    for (r = u + 1; r < n->count; r++) {
        if (!cge_relay_reads(n, r, u)) continue;
        if (r > end) return 0;
        readers++;
    }
    return readers > 0;
}

CGE_INTERNAL int cge_units_could_learn_by_rows(const cge_relay_net *n, int32_t end)
{
    int32_t u;
    if (end < 1 || end >= MOST_LEARNING_UNITS || end >= n->count || !n->units[end].learns) return 0;
    for (u = 0; u <= end; u++)
        if (n->units[u].main < 0 || !can_learn_by_rows(n, u) || (u < end && !stays_within(n, u, end))) return 0;
    return 1;
}

CGE_INTERNAL int cge_could_learn_by_rows(const cge_style_choice *s, int32_t end)
{
    const cge_relay_net n = {s->model, s->layers, s->units, s->unit_count};
    return cge_units_could_learn_by_rows(&n, end);
}

/* ---- rows on their way ---- */

/* Rows of the gradient of what unit u puts out that row `row` of its input reaches. */
static cge_range gradient_rows_reached(const cge_relay_net *n, int32_t u, int32_t row)
{
    cge_range r = {row, row + 1};
    const cge_conv2d *g;
    int32_t stride, reach;
    if (!cge_relay_trait(n, u, CGE_BY_ROWS)) return r;
    g = cge_conv2d_of(&n->model->layers[n->units[u].main]);
    stride = at_least(g->stride_h, 1);
    reach = at_least(g->dilation_h, 1) * (g->kernel_h - 1);
    r.end = at_most_rows((row + g->pad_top) / stride + 1, cge_shape_put_out(n, u).h);
    r.begin = at_most_rows(at_least(row + g->pad_top - reach, 0) / stride, r.end);
    return r;
}

static int32_t rows_of_unit(const cge_relay_net *n, int32_t u)
{
    return cge_shape_put_out(n, u).h;
}

static int learns_weights_of(const cge_relay_net *n, int32_t u)
{
    return cge_relay_trait(n, u, CGE_BY_ROWS) && (n->model->layers[n->units[u].main].flags & CGE_FROZEN) == 0;
}

/* Whether somebody reads unit u's output in backward, given who makes its own again of those behind it. */
static int map_is_wanted(const cge_relay_net *n, int32_t end, uint32_t wanted, int32_t u)
{
    int32_t r;
    if (n->units[u].learns && n->units[u].activation >= 0) return 1;
    for (r = u + 1; r <= end; r++)
        if (cge_relay_reads(n, r, u) && (learns_weights_of(n, r) || (wanted >> r & 1) != 0)) return 1;
    return 0;
}

static void begin_rows(const cge_relay_net *n, int32_t end, row_counts *rows)
{
    int32_t u;
    memset(rows, 0, sizeof *rows);
    for (u = end - 1; u >= 0; u--)
        if (map_is_wanted(n, end, rows->wanted, u)) rows->wanted |= UINT32_C(1) << u;
}

/* The first row of unit u's output that somebody still looks at. */
static int32_t first_row_of_map(const cge_relay_net *n, int32_t end, const row_counts *rows, int32_t u)
{
    const int own = n->units[u].learns && n->units[u].activation >= 0 && rows->back[u] < rows_of_unit(n, u);
    int32_t r, first = own ? rows->back[u] : INT16_MAX;
    for (r = u + 1; r <= end; r++) {
        if (!cge_relay_reads(n, r, u)) continue;
        if ((rows->wanted >> r & 1) != 0 && rows->made[r] < rows_of_unit(n, r))
            first = at_most_rows(first, cge_rows_looked_for(n, r, rows->made[r]).begin);
        if (learns_weights_of(n, r) && rows->back[r] < rows_of_unit(n, r))
            first = at_most_rows(first, cge_rows_looked_for(n, r, rows->back[r]).begin);
    }
    return first;
}

/* A sum whose gradient is that of unit u's output, too, and is not copied. -1: u's has rows of its own. */
static int32_t sum_with_gradient(const cge_relay_net *n, int32_t u, int32_t end)
{
    int32_t r = u + 1;
    if (u == end || n->units[u].shared || n->units[u].activation >= 0) return -1;
    while (!cge_relay_reads(n, r, u)) r++;
    return cge_relay_trait(n, r, CGE_TWO_INPUTS) && cge_relay_trait(n, r, CGE_IN_PLACE) ? r : -1;
}

/* Whose rows unit u's gradient is. */
static int32_t owner_of_gradient(const cge_relay_net *n, int32_t u, int32_t end)
{
    int32_t sum;
    while ((sum = sum_with_gradient(n, u, end)) >= 0) u = sum;
    return u;
}

/* The first row of unit u's gradient that is still looked at: its inputs' gradients are sums over such rows. */
static int32_t first_row_of_gradient(const cge_relay_net *n, int32_t end, const row_counts *rows, int32_t u)
{
    int32_t v, first = INT16_MAX;
    int slot;
    for (v = u; v >= 0; v--) {
        if (owner_of_gradient(n, v, end) != u) continue;
        if (v < u && rows->back[v] < rows_of_unit(n, v)) first = at_most_rows(first, rows->back[v]);
        for (slot = 0; slot < 2; slot++) {
            const int32_t source = n->units[v].x[slot];
            if (source < 0 || !n->units[source].learns || rows->back[source] >= rows_of_unit(n, source)) continue;
            first = at_most_rows(first, gradient_rows_reached(n, v, rows->back[source]).begin);
        }
    }
    return first;
}

/* Rows that a window holds with the next one, of which `count` were there. */
static int32_t rows_held(int32_t first, int32_t count)
{
    return count - at_most_rows(first, count) + 1;
}

/* What is done next: a row of unit `unit`'s output, or of its gradient, from which it learns. -1: all is done. */
typedef struct row_step {
    int32_t unit;
    int back;
} row_step;

/* The unit whose gradient's next row is lacking for that of unit u; -1: none is. */
static int32_t lacking_gradient(const cge_relay_net *n, int32_t end, const row_counts *rows, int32_t u)
{
    int32_t r;
    for (r = u + 1; r <= end; r++)
        if (cge_relay_reads(n, r, u) && rows->back[r] < gradient_rows_reached(n, r, rows->back[u]).end) return r;
    return -1;
}

/* A unit read by unit u that has not made so many rows; -1: none. */
static int32_t lacking_row(const cge_relay_net *n, const row_counts *rows, int32_t u, int32_t count)
{
    int slot;
    for (slot = 0; slot < 2; slot++) {
        const int32_t source = n->units[u].x[slot];
        if (source >= 0 && rows->made[source] < count) return source;
    }
    return -1;
}

/* What the next row of unit u's gradient needs of maps; -1: nothing. */
static int32_t lacking_map(const cge_relay_net *n, int32_t end, const row_counts *rows, int32_t u)
{
    const int32_t row = rows->back[u];
    if (u < end && n->units[u].activation >= 0 && rows->made[u] <= row) return u;
    return learns_weights_of(n, u) ? lacking_row(n, rows, u, cge_rows_looked_for(n, u, row).end) : -1;
}

static row_step next_row_step(const cge_relay_net *n, int32_t end, const row_counts *rows)
{
    row_step s = {0, 1};
    int32_t lacking;
    while (s.unit <= end && (!n->units[s.unit].learns || rows->back[s.unit] == rows_of_unit(n, s.unit))) s.unit++;
    if (s.unit > end) {
        s.unit = -1;
        return s;
    }
    while ((lacking = lacking_gradient(n, end, rows, s.unit)) >= 0) s.unit = lacking;
    lacking = lacking_map(n, end, rows, s.unit);
    s.back = lacking < 0;
    for (; lacking >= 0; lacking = lacking_row(n, rows, lacking, cge_rows_looked_for(n, lacking, rows->made[lacking]).end))
        s.unit = lacking;
    return s;
}

/* ---- how much memory ---- */

typedef struct learning_sizes {
    int32_t maps[MOST_LEARNING_UNITS], gradients[MOST_LEARNING_UNITS]; /* windows: elements */
    int32_t room;     /* rows of bytes as numbers; a row of a gradient that is added */
    int32_t learning; /* gradients of parameters that learn at once */
} learning_sizes;

static void note_most(int32_t *most, int32_t elems)
{
    if (elems > *most) *most = elems;
}

static void size_windows(const cge_relay_net *n, int32_t end, learning_sizes *sizes)
{
    row_counts rows;
    row_step s;
    begin_rows(n, end, &rows);
    while ((s = next_row_step(n, end, &rows)).unit >= 0) {
        const int32_t u = s.unit, elems = row_elems(cge_shape_put_out(n, u));
        if (!s.back)
            note_most(&sizes->maps[u], rows_held(first_row_of_map(n, end, &rows, u), rows.made[u]) * elems);
        else if (u < end && owner_of_gradient(n, u, end) == u)
            note_most(&sizes->gradients[u], rows_held(first_row_of_gradient(n, end, &rows, u), rows.back[u]) * elems);
        s.back ? rows.back[u]++ : rows.made[u]++;
    }
}

static void sizes_of_learning(const cge_relay_net *n, int32_t end, int at_once, learning_sizes *sizes)
{
    int32_t u;
    memset(sizes, 0, sizeof *sizes);
    size_windows(n, end, sizes);
    for (u = 0; u <= end; u++) {
        cge_unit_call c;
        cge_describe_unit(n->model, n->layers, &n->units[u], &c);
        note_most(&sizes->room, cge_relay_source_elems(n, u));
        if (u < end && n->units[u].shared) note_most(&sizes->room, row_elems(c.out));
        if (at_once && learns_weights_of(n, u)) sizes->learning += cge_conv2d_unit_gradients(&c);
    }
}

CGE_INTERNAL int32_t cge_learning_relay_scratch(const cge_relay_net *n, int32_t end, int at_once)
{
    learning_sizes sizes;
    int32_t u, elems;
    sizes_of_learning(n, end, at_once, &sizes);
    elems = sizes.room + sizes.learning;
    for (u = 0; u < end; u++) elems += sizes.maps[u] + sizes.gradients[u];
    return elems;
}

/* ---- backward ---- */

typedef struct learning_walk {
    cge_relay_walk maps; /* made again */
    row_counts rows;
    cge_relay_window gradients[MOST_LEARNING_UNITS];
    cge_real *learning; /* gradients of parameters that learn at once; NULL: they are collected */
} learning_walk;

CGE_NOINLINE void begin_learning(learning_walk *w, const cge_network *net, int32_t end, const void *x)
{
    const cge_plan *plan = net->options.plan;
    cge_real *scratch = cge_tensor_at(net, plan->units[end].backward);
    learning_sizes sizes;
    int32_t u;
    memset(w, 0, sizeof *w);
    cge_begin_relay(&w->maps, net, net->params, end, x);
    sizes_of_learning(&w->maps.of, end, plan->level->at_once, &sizes);
    begin_rows(&w->maps.of, end, &w->rows);
    for (u = 0; u < end; u++) {
        w->maps.windows[u].rows = scratch;
        w->gradients[u].rows = scratch + sizes.maps[u];
        scratch += sizes.maps[u] + sizes.gradients[u];
    }
    w->gradients[end].rows = cge_tensor_at(net, plan->units[end].dy);
    w->maps.room = scratch;
    if (plan->level->at_once) w->learning = scratch + sizes.room;
}

/* Unit u, whose gradients have their place: those that learn at once lie one unit after the other. */
CGE_NOINLINE void set_learning_unit(const learning_walk *w, int32_t u, cge_unit_call *c)
{
    const cge_relay_net *n = &w->maps.of;
    cge_real *learning = w->learning;
    int32_t before;
    for (before = 0; learning != NULL && before < u; before++) {
        if (!learns_weights_of(n, before)) continue;
        cge_describe_unit(n->model, n->layers, &n->units[before], c);
        learning += cge_conv2d_unit_gradients(c);
    }
    cge_set_unit_call(w->maps.net, w->maps.params, u, w->maps.x, c);
    if (learns_weights_of(n, u)) cge_set_unit_params(w->maps.net, w->maps.params, n->units[u].main, learning, &c->params);
}

CGE_NOINLINE void make_map_row(learning_walk *w, int32_t u)
{
    cge_relay_walk *maps = &w->maps;
    cge_relay_window *window = &maps->windows[u];
    const int32_t row = w->rows.made[u];
    cge_unit_call c;
    cge_set_unit_call(maps->net, maps->params, u, maps->x, &c);
    cge_move_window(window, at_most_rows(first_row_of_map(&maps->of, maps->end, &w->rows, u), row), row, row_elems(c.out));
    cge_make_relay_row(maps, u, &c, window->rows + (row - window->first) * row_elems(c.out));
    w->rows.made[u]++;
    maps->made[u]++;
}

/* Rows of the gradient of unit u's output, from row `row` on. */
static const cge_real *rows_of_gradient(const learning_walk *w, int32_t u, int32_t row)
{
    const cge_relay_window *window = &w->gradients[owner_of_gradient(&w->maps.of, u, w->maps.end)];
    return window->rows + (row - window->first) * row_elems(cge_shape_put_out(&w->maps.of, u));
}

/* A row of one input's gradient, from that of the output. */
static void merge_row_back(const cge_unit_call *c, int slot, const cge_real *dy, cge_real *dx)
{
    cge_layer_call row;
    memset(&row, 0, sizeof row);
    row.layer = c->layer;
    row.in = c->in;
    row.in2 = c->in2;
    row.out = c->out;
    row.in.h = 1;
    row.in2.h = 1;
    row.out.h = 1;
    row.count = 1;
    row.dy = dy;
    row.dx = slot == 0 ? dx : NULL;
    row.dx2 = slot == 0 ? NULL : dx;
    c->layer->kind->input_grad(&row);
}

/* What reader r gives to row `row` of the gradient of its input `slot`. */
CGE_NOINLINE void row_from_reader(const learning_walk *w, int32_t r, int slot, int32_t row, cge_real *dx)
{
    const cge_range rows = gradient_rows_reached(&w->maps.of, r, row);
    cge_unit_call c;
    cge_set_unit_call(w->maps.net, w->maps.params, r, w->maps.x, &c);
    if (w->maps.of.units[r].x[1] != CGE_NO_UNIT) {
        merge_row_back(&c, slot, rows_of_gradient(w, r, row), dx);
    } else {
        const cge_conv2d_plan p = cge_conv2d_unit_plan(&c);
        cge_conv2d_window_input_grad(&p, c.params.w, rows, rows_of_gradient(w, r, rows.begin), row, 1, dx);
    }
}

/* The next row of the gradient of unit u's output: what its readers give, the last one first; through its activation. */
CGE_NOINLINE cge_real *make_gradient_row(learning_walk *w, int32_t u)
{
    const cge_relay_net *n = &w->maps.of;
    const int32_t row = w->rows.back[u], elems = row_elems(cge_shape_put_out(n, u));
    cge_relay_window *window = &w->gradients[u];
    cge_real *dx;
    int32_t r, count = 0;
    int slot;
    cge_move_window(window, at_most_rows(first_row_of_gradient(n, w->maps.end, &w->rows, u), row), row, elems);
    dx = window->rows + (row - window->first) * elems;
    for (r = w->maps.end; r > u; r--)
        for (slot = 1; slot >= 0; slot--) {
            if (n->units[r].x[slot] != u) continue;
            row_from_reader(w, r, slot, row, count == 0 ? dx : w->maps.room);
            if (count > 0) cge_add_apply(elems, dx, w->maps.room, dx);
            count++;
        }
    return dx;
}

static void through_activation(const learning_walk *w, int32_t u, cge_real *dx)
{
    const cge_relay_net *n = &w->maps.of;
    const int32_t elems = row_elems(cge_shape_put_out(n, u));
    cge_unit_call c;
    memset(&c, 0, sizeof c);
    if (n->units[u].activation < 0) return;
    c.below = &n->model->layers[n->units[u].activation];
    c.x = w->maps.windows[u].rows + (w->rows.back[u] - w->maps.windows[u].first) * elems;
    c.dx = dx;
    cge_unit_hand_on(&c, 0, elems, dx);
}

CGE_NOINLINE void learn_from_gradient_row(const learning_walk *w, int32_t u)
{
    const int32_t row = w->rows.back[u];
    cge_unit_call c;
    cge_conv2d_plan p;
    const cge_real *x;
    int32_t first;
    set_learning_unit(w, u, &c);
    p = cge_conv2d_unit_plan(&c);
    x = cge_rows_of_input(&w->maps, u, &c, row, &first);
    cge_conv2d_row_weight_grad(&c, &p, row, x, first, rows_of_gradient(w, u, row), w->maps.room);
}

static void take_row_back(learning_walk *w, int32_t u)
{
    if (u < w->maps.end && owner_of_gradient(&w->maps.of, u, w->maps.end) == u) through_activation(w, u, make_gradient_row(w, u));
    if (learns_weights_of(&w->maps.of, u)) learn_from_gradient_row(w, u);
    w->rows.back[u]++;
}

/* Gradients that learn at once begin at zero; and when all rows are through, 0: one is not finite. */
static void begin_gradients(const learning_walk *w)
{
    cge_unit_call c;
    int32_t u;
    for (u = 0; u <= w->maps.end; u++) {
        if (!learns_weights_of(&w->maps.of, u)) continue;
        set_learning_unit(w, u, &c);
        cge_conv2d_unit_begin_weight_grad(&c);
    }
}

static int learn_all(const learning_walk *w)
{
    cge_unit_call c;
    int32_t u;
    for (u = w->maps.end; u >= 0; u--) {
        if (!learns_weights_of(&w->maps.of, u)) continue;
        set_learning_unit(w, u, &c);
        if (!cge_conv2d_rows_learn(&c)) return 0;
    }
    return 1;
}

/* If others read the last unit's output, too, its gradient goes through its activation first. */
static void begin_last_gradient(const cge_network *net, int32_t end, const void *x)
{
    const cge_unit *last = &net->options.plan->units[end];
    cge_range all = {0, 0};
    cge_unit_call c;
    if (!cge_is_shared_behind(last)) return;
    cge_set_unit_call(net, net->params, end, x, &c);
    c.dy = cge_tensor_at(net, last->dy);
    all.end = cge_shape_elems(c.out);
    cge_shared_backward(&c, all);
}

CGE_NOINLINE int learn_by_rows(const cge_network *net, int32_t end, const void *x)
{
    learning_walk w;
    row_step s;
    begin_learning(&w, net, end, x);
    begin_gradients(&w);
    while ((s = next_row_step(&w.maps.of, end, &w.rows)).unit >= 0)
        s.back ? take_row_back(&w, s.unit) : make_map_row(&w, s.unit);
    return learn_all(&w);
}

CGE_INTERNAL int cge_back_through_relay(const cge_network *net, int32_t number, const void *x)
{
    const cge_unit *units = net->options.plan->units;
    const int32_t end = number + ((units[number].style & CGE_UNIT_HANDS_ROWS_ON) != 0);
    if (number == end) begin_last_gradient(net, end, x);
    return cge_walks_back(units, number) ? learn_by_rows(net, end, x) : 1;
}
