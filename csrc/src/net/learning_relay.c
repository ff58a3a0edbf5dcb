/*
 * Relays that learn: units run by rows through all of them, forward and backward. What one hands on to the next never exists as
 * a whole, and neither does its gradient. All that they read of others is one map, their source, or the model's input.
 *
 * Backward knows all of the gradient of the last unit's output. It makes the rows of the maps again, and of each gradient the
 * next row as soon as the rows are there that it is a sum over. A unit learns from a row of its gradient and from the rows of its
 * input that this one looks at. Each unit's rows are in ascending order, so all sums have the order that they have elsewhere.
 *
 * Two windows stand for a unit's output: rows of the map and rows of its gradient. A row leaves them when nobody looks at it any
 * more. The source, or else the first unit, asks for the next row of its gradient, that for what it lacks, and so on: so everyone
 * waits as long as it can. A row of the source's gradient takes the place of the source's row when nobody looks at that any more.
 *
 * The walk depends on the geometry alone. Planning goes through it without numbers, to see how many rows the windows hold.
 */
#include "relay.h"
#include "../kernels/kernels.h"

enum { SOURCE = CGE_MOST_LEARNING_UNITS, LEARNING_PLACES };

/* Units begin .. end. */
typedef struct learning_net {
    cge_relay_net of;
    int32_t begin, end;
    int32_t source; /* the unit that they read of others, which learns; CGE_NO_UNIT: none does */
    uint32_t wanted; /* bit u - begin: unit u's output is made again */
} learning_net;

/* Rows that exist so far, of units and, at SOURCE, of their source. */
typedef struct row_counts {
    int16_t made[LEARNING_PLACES], back[LEARNING_PLACES]; /* of the output, of its gradient */
    int16_t taken; /* of the source's gradient: they are in its place */
} row_counts;

/* Where unit u has its numbers. */
static int32_t place_of_unit(const learning_net *n, int32_t u)
{
    return u >= n->begin ? u - n->begin : SOURCE;
}

static int32_t rows_of_unit(const learning_net *n, int32_t u)
{
    return cge_shape_put_out(&n->of, u).h;
}

static int unit_has_gradients(const cge_relay_net *n, int32_t u)
{
    return cge_relay_trait(n, u, CGE_BY_ROWS) && (n->model->layers[n->units[u].main].flags & CGE_FROZEN) == 0;
}

/* Its x is looked at, too. */
static int unit_learns_weights(const cge_relay_net *n, int32_t u)
{
    return unit_has_gradients(n, u) && n->model->layers[n->units[u].main].trains != CGE_TRAINS_BIAS;
}

/* Of a unit of the relay or its source. */
static int makes_gradient_of(const learning_net *n, int32_t u)
{
    return u == n->source || (u >= n->begin && n->of.units[u].learns);
}

/* ---- which units ---- */

/* A convolution without a pooling, or a unit with two inputs. */
static int can_learn_by_rows(const cge_relay_net *n, int32_t begin, int32_t u)
{
    return cge_relay_trait(n, u, CGE_BY_ROWS | CGE_TWO_INPUTS) && n->units[u].pool < 0 && cge_reads_rows(n, begin, u);
}

/* Whether somebody reads unit u, and of those behind it units begin .. end alone. */
static int is_read_within(const cge_relay_net *n, int32_t u, int32_t begin, int32_t end)
{
    int32_t r, readers = 0;
    for (r = u + 1; r < n->count; r++) {
        if (!cge_relay_reads(n, r, u)) continue;
        if (r < begin || r > end) return 0;
        readers++;
    }
    return readers > 0;
}

/* The unit outside that units begin .. end read; CGE_MODEL_INPUT if none; CGE_NO_UNIT if there are several. */
static int32_t source_of_units(const cge_relay_net *n, int32_t begin, int32_t end)
{
    int32_t u, source = CGE_MODEL_INPUT;
    int slot;
    for (u = begin; u <= end; u++)
        for (slot = 0; slot < 2; slot++) {
            const int32_t x = n->units[u].x[slot];
            if (x < 0 || x >= begin || x == source) continue;
            if (source != CGE_MODEL_INPUT) return CGE_NO_UNIT;
            source = x;
        }
    return source;
}

/* The rows of its gradient are those of the source's. */
static int hands_rows_back(const cge_relay_net *n, int32_t source, int32_t begin, int32_t end)
{
    const cge_unit *unit = &n->units[source];
    cge_unit_call c;
    int32_t u;
    if (!is_read_within(n, source, begin, end)) return 0;
    if ((n->model->layers[unit->main].kind->traits & CGE_INPUT_GRAD_READS_Y) != 0) return 0;
    for (u = begin; u <= end; u++) {
        const cge_shape put_out = cge_shape_put_out(n, source);
        int slot;
        cge_describe_unit(n->model, n->layers, &n->units[u], &c);
        for (slot = 0; slot < 2; slot++)
            if (n->units[u].x[slot] == source && memcmp(&put_out, slot == 0 ? &c.in : &c.in2, sizeof put_out) != 0) return 0;
    }
    return 1;
}

CGE_INTERNAL int cge_units_could_learn_by_rows(const cge_relay_net *n, int32_t begin, int32_t end)
{
    int32_t u, source;
    if (end <= begin || end - begin >= CGE_MOST_LEARNING_UNITS || !n->units[end].learns) return 0;
    for (u = begin; u <= end; u++)
        if (!can_learn_by_rows(n, begin, u) || (u < end && !is_read_within(n, u, begin, end))) return 0;
    source = source_of_units(n, begin, end);
    if (source == CGE_NO_UNIT) return 0;
    return source == CGE_MODEL_INPUT || !n->units[source].learns || hands_rows_back(n, source, begin, end);
}

CGE_INTERNAL int cge_could_learn_by_rows(const cge_style_choice *s, int32_t begin, int32_t end)
{
    const cge_relay_net n = {s->model, s->layers, s->units, s->unit_count};
    return cge_units_could_learn_by_rows(&n, begin, end);
}

/* Whether somebody reads unit u's output in backward. The same of those behind it is known. */
static int map_is_wanted(const learning_net *n, int32_t u)
{
    int32_t r;
    if (n->of.units[u].learns && n->of.units[u].activation >= 0) return 1;
    for (r = u + 1; r <= n->end; r++) {
        const int reads = unit_learns_weights(&n->of, r) || (n->wanted >> (r - n->begin) & 1) != 0;
        if (reads && cge_relay_reads(&n->of, r, u)) return 1;
    }
    return 0;
}

static void set_learning_net(const cge_relay_net *of, int32_t begin, int32_t end, learning_net *n)
{
    const int32_t source = source_of_units(of, begin, end);
    int32_t u;
    n->of = *of;
    n->begin = begin;
    n->end = end;
    n->source = source >= 0 && of->units[source].learns ? source : CGE_NO_UNIT;
    n->wanted = 0;
    for (u = end - 1; u >= begin; u--)
        if (map_is_wanted(n, u)) n->wanted |= UINT32_C(1) << (u - begin);
}

/* ---- rows on their way ---- */

/* Rows of the gradient of what unit u puts out that row `row` of its input reaches. */
static cge_range gradient_rows_reached(const learning_net *n, int32_t u, int32_t row)
{
    cge_range r = {row, row + 1};
    const cge_conv2d *g;
    int32_t stride, reach;
    if (!cge_relay_trait(&n->of, u, CGE_BY_ROWS)) return r;
    g = cge_conv2d_of(&n->of.model->layers[n->of.units[u].main]);
    stride = at_least(g->stride_h, 1);
    reach = at_least(g->dilation_h, 1) * (g->kernel_h - 1);
    r.end = at_most_rows((row + g->pad_top) / stride + 1, rows_of_unit(n, u));
    r.begin = at_most_rows(at_least(row + g->pad_top - reach, 0) / stride, r.end);
    return r;
}

static int is_through(const learning_net *n, const row_counts *rows, int32_t u)
{
    return rows->back[place_of_unit(n, u)] >= rows_of_unit(n, u);
}

/* The first row of unit u's output, or of the source, that somebody still looks at. */
static int32_t first_row_of_map(const learning_net *n, const row_counts *rows, int32_t u)
{
    const int own = makes_gradient_of(n, u) && n->of.units[u].activation >= 0 && !is_through(n, rows, u);
    int32_t r, first = own ? rows->back[place_of_unit(n, u)] : INT16_MAX;
    for (r = at_least(u + 1, n->begin); r <= n->end; r++) {
        const int32_t place = r - n->begin;
        if (!cge_relay_reads(&n->of, r, u)) continue;
        if ((n->wanted >> place & 1) != 0 && rows->made[place] < rows_of_unit(n, r))
            first = at_most_rows(first, cge_rows_looked_for(&n->of, r, rows->made[place]).begin);
        if (unit_learns_weights(&n->of, r) && !is_through(n, rows, r))
            first = at_most_rows(first, cge_rows_looked_for(&n->of, r, rows->back[place]).begin);
    }
    return first;
}

/* A sum whose gradient is that of unit u's output, too, and is not copied. -1: u's has rows of its own. */
static int32_t sum_with_gradient(const learning_net *n, int32_t u)
{
    int32_t r = u + 1;
    if (u == n->end || u < n->begin || n->of.units[u].shared || n->of.units[u].activation >= 0) return -1;
    while (!cge_relay_reads(&n->of, r, u)) r++;
    return cge_relay_trait(&n->of, r, CGE_TWO_INPUTS) && cge_relay_trait(&n->of, r, CGE_IN_PLACE) ? r : -1;
}

/* Whose rows unit u's gradient is. */
static int32_t owner_of_gradient(const learning_net *n, int32_t u)
{
    int32_t sum;
    while ((sum = sum_with_gradient(n, u)) >= 0) u = sum;
    return u;
}

/* The first row of unit u's gradient that is still looked at: its inputs' gradients are sums over such rows. */
static int32_t first_row_of_gradient(const learning_net *n, const row_counts *rows, int32_t u)
{
    int32_t v, first = INT16_MAX;
    int slot;
    for (v = u; v >= n->begin; v--) {
        if (owner_of_gradient(n, v) != u) continue;
        if (v < u) first = at_most_rows(first, rows->back[place_of_unit(n, v)]);
        for (slot = 0; slot < 2; slot++) {
            const int32_t source = n->of.units[v].x[slot];
            if (source < 0 || !makes_gradient_of(n, source) || is_through(n, rows, source)) continue;
            first = at_most_rows(first, gradient_rows_reached(n, v, rows->back[place_of_unit(n, source)]).begin);
        }
    }
    return first;
}

/* The first row of what is held of unit u's gradient: the source's waits for its place. */
static int32_t first_row_held(const learning_net *n, const row_counts *rows, int32_t u)
{
    return u == n->source ? rows->taken : first_row_of_gradient(n, rows, u);
}

/* Rows that a window holds with the next one, of which `count` were there. */
static int32_t rows_held(int32_t first, int32_t count)
{
    return count - at_most_rows(first, count) + 1;
}

/* What is done next: a row of unit `unit`'s output, or of its gradient, from which it learns. CGE_NO_UNIT: all is done. */
typedef struct row_step {
    int32_t unit;
    int back;
} row_step;

/* The unit whose gradient's next row is lacking for that of unit u; -1: none is. */
static int32_t lacking_gradient(const learning_net *n, const row_counts *rows, int32_t u)
{
    const int32_t row = rows->back[place_of_unit(n, u)];
    int32_t r;
    for (r = at_least(u + 1, n->begin); r <= n->end; r++)
        if (cge_relay_reads(&n->of, r, u) && rows->back[r - n->begin] < gradient_rows_reached(n, r, row).end) return r;
    return -1;
}

/* A unit of the relay, read by unit u, that has not made so many rows; -1: none. */
static int32_t lacking_row(const learning_net *n, const row_counts *rows, int32_t u, int32_t count)
{
    int slot;
    for (slot = 0; slot < 2; slot++) {
        const int32_t source = n->of.units[u].x[slot];
        if (source >= n->begin && rows->made[source - n->begin] < count) return source;
    }
    return -1;
}

/* What the next row of unit u's gradient needs of maps; -1: nothing. */
static int32_t lacking_map(const learning_net *n, const row_counts *rows, int32_t u)
{
    const int32_t place = place_of_unit(n, u), row = rows->back[place];
    if (place == SOURCE) return -1;
    if (u < n->end && n->of.units[u].activation >= 0 && rows->made[place] <= row) return u;
    return unit_learns_weights(&n->of, u) ? lacking_row(n, rows, u, cge_rows_looked_for(&n->of, u, row).end) : -1;
}

/* The first of them whose gradient is not complete, the source before the units. */
static int32_t first_to_finish(const learning_net *n, const row_counts *rows)
{
    int32_t u;
    if (n->source >= 0 && !is_through(n, rows, n->source)) return n->source;
    for (u = n->begin; u <= n->end; u++)
        if (n->of.units[u].learns && !is_through(n, rows, u)) return u;
    return CGE_NO_UNIT;
}

static row_step next_row_step(const learning_net *n, const row_counts *rows)
{
    row_step s = {CGE_NO_UNIT, 1};
    int32_t lacking;
    s.unit = first_to_finish(n, rows);
    if (s.unit == CGE_NO_UNIT) return s;
    while ((lacking = lacking_gradient(n, rows, s.unit)) >= 0) s.unit = lacking;
    lacking = lacking_map(n, rows, s.unit);
    s.back = lacking < 0;
    while (lacking >= 0) {
        s.unit = lacking;
        lacking = lacking_row(n, rows, lacking, cge_rows_looked_for(&n->of, lacking, rows->made[lacking - n->begin]).end);
    }
    return s;
}

/* How many rows of the source's gradient may be in its place after a step. */
static int32_t rows_to_take(const learning_net *n, const row_counts *rows)
{
    if (n->source < 0) return 0;
    return at_most_rows(rows->back[SOURCE], first_row_of_map(n, rows, n->source));
}

/* ---- how much memory ---- */

typedef struct learning_sizes {
    int32_t maps[LEARNING_PLACES], gradients[LEARNING_PLACES]; /* windows: elements */
    int32_t room;     /* rows of bytes as numbers; a row of a gradient that is added */
    int32_t learning; /* gradients of parameters that learn at once */
} learning_sizes;

static void note_most(int32_t *most, int32_t elems)
{
    if (elems > *most) *most = elems;
}

static void size_windows(const learning_net *n, learning_sizes *sizes)
{
    row_counts rows;
    row_step s;
    memset(&rows, 0, sizeof rows);
    while ((s = next_row_step(n, &rows)).unit != CGE_NO_UNIT) {
        const int32_t u = s.unit, place = place_of_unit(n, u), elems = row_elems(cge_shape_put_out(&n->of, u));
        if (!s.back)
            note_most(&sizes->maps[place], rows_held(first_row_of_map(n, &rows, u), rows.made[place]) * elems);
        else if (u < n->end && owner_of_gradient(n, u) == u)
            note_most(&sizes->gradients[place], rows_held(first_row_held(n, &rows, u), rows.back[place]) * elems);
        s.back ? rows.back[place]++ : rows.made[place]++;
        rows.taken = (int16_t)rows_to_take(n, &rows);
    }
}

static void sizes_of_learning(const learning_net *n, int at_once, learning_sizes *sizes)
{
    int32_t u;
    memset(sizes, 0, sizeof *sizes);
    size_windows(n, sizes);
    if (n->source >= 0) sizes->room = row_elems(cge_shape_put_out(&n->of, n->source));
    for (u = n->begin; u <= n->end; u++) {
        cge_unit_call c;
        cge_describe_unit(n->of.model, n->of.layers, &n->of.units[u], &c);
        note_most(&sizes->room, cge_relay_source_elems(&n->of, u));
        if (u < n->end && n->of.units[u].shared) note_most(&sizes->room, row_elems(c.out));
        if (at_once && unit_has_gradients(&n->of, u)) sizes->learning += cge_conv2d_unit_gradients(&c);
    }
}

CGE_INTERNAL int32_t cge_learning_relay_scratch(const cge_relay_net *of, int32_t begin, int32_t end, int at_once)
{
    learning_sizes sizes;
    learning_net n;
    int32_t place, elems;
    set_learning_net(of, begin, end, &n);
    sizes_of_learning(&n, at_once, &sizes);
    elems = sizes.room + sizes.learning;
    for (place = 0; place < LEARNING_PLACES; place++) elems += sizes.maps[place] + sizes.gradients[place];
    return elems;
}

/* ---- backward ---- */

typedef struct learning_walk {
    learning_net of;
    cge_relay_walk maps; /* made again */
    row_counts rows;
    cge_relay_window windows[CGE_MOST_LEARNING_UNITS], gradients[LEARNING_PLACES];
    cge_real *learning; /* gradients of parameters that learn at once; NULL: they are collected */
} learning_walk;

/* NULL: there are none, and maybe no scratch at all. */
static cge_real *take_elems(cge_real **scratch, int32_t elems)
{
    cge_real *taken = *scratch;
    if (elems == 0) return NULL;
    *scratch += elems;
    return taken;
}

CGE_NOINLINE void begin_learning(learning_walk *w, const cge_network *net, int32_t end, const void *x)
{
    const cge_plan *plan = net->options.plan;
    cge_real *scratch = cge_tensor_at(net, plan->units[end].backward);
    learning_sizes sizes;
    int32_t place;
    memset(w, 0, sizeof *w);
    cge_begin_relay(&w->maps, net, net->params, end, x, w->rows.made, w->windows);
    set_learning_net(&w->maps.of, w->maps.begin, end, &w->of);
    sizes_of_learning(&w->of, plan->level->at_once, &sizes);
    for (place = 0; place < LEARNING_PLACES; place++) {
        if (place < SOURCE) w->windows[place].rows = take_elems(&scratch, sizes.maps[place]);
        w->gradients[place].rows = take_elems(&scratch, sizes.gradients[place]);
    }
    w->gradients[end - w->of.begin].rows = cge_tensor_at(net, plan->units[end].dy);
    w->maps.room = take_elems(&scratch, sizes.room);
    if (plan->level->at_once) w->learning = take_elems(&scratch, sizes.learning);
}

/* Unit u, whose gradients have their place: those that learn at once lie one unit after the other. */
CGE_NOINLINE void set_learning_unit(const learning_walk *w, int32_t u, cge_unit_call *c)
{
    const cge_relay_net *n = &w->maps.of;
    cge_real *learning = w->learning;
    int32_t before;
    for (before = w->of.begin; learning != NULL && before < u; before++) {
        if (!unit_has_gradients(n, before)) continue;
        cge_describe_unit(n->model, n->layers, &n->units[before], c);
        learning += cge_conv2d_unit_gradients(c);
    }
    cge_set_unit_call(w->maps.net, w->maps.params, u, w->maps.x, c);
    cge_set_unit_params(w->maps.net, w->maps.params, n->units[u].main, learning, &c->params);
}

CGE_NOINLINE void make_map_row(learning_walk *w, int32_t u)
{
    const int32_t place = u - w->of.begin, row = w->rows.made[place];
    cge_relay_walk *maps = &w->maps;
    cge_relay_window *window = &maps->windows[place];
    cge_unit_call c;
    cge_set_unit_call(maps->net, maps->params, u, maps->x, &c);
    cge_move_window(window, at_most_rows(first_row_of_map(&w->of, &w->rows, u), row), row, row_elems(c.out));
    cge_make_relay_row(maps, u, &c, window->rows + (row - window->first) * row_elems(c.out));
    w->rows.made[place]++;
}

/* Rows of the gradient of unit u's output, from row `row` on. */
static const cge_real *rows_of_gradient(const learning_walk *w, int32_t u, int32_t row)
{
    const cge_relay_window *window = &w->gradients[owner_of_gradient(&w->of, u) - w->of.begin];
    return window->rows + (row - window->first) * row_elems(cge_shape_put_out(&w->maps.of, u));
}

/* A row of one input's gradient, from that of the output. */
static void merge_row_back(const cge_unit_call *c, int slot, const cge_real *dy, cge_real *dx)
{
    cge_layer_call row = cge_row_of_merge(c);
    row.dy = dy;
    row.dx = slot == 0 ? dx : NULL;
    row.dx2 = slot == 0 ? NULL : dx;
    c->layer->kind->input_grad(&row);
}

/* What reader r gives to row `row` of the gradient of its input `slot`. */
CGE_NOINLINE void row_from_reader(const learning_walk *w, int32_t r, int slot, int32_t row, cge_real *dx)
{
    const cge_range rows = gradient_rows_reached(&w->of, r, row);
    cge_unit_call c;
    cge_set_unit_call(w->maps.net, w->maps.params, r, w->maps.x, &c);
    if (w->maps.of.units[r].x[1] != CGE_NO_UNIT) {
        merge_row_back(&c, slot, rows_of_gradient(w, r, row), dx);
    } else {
        const cge_conv2d_plan p = cge_conv2d_unit_plan(&c);
        cge_conv2d_window_input_grad(&p, c.params.w, rows, rows_of_gradient(w, r, rows.begin), row, 1, dx);
    }
}

/* The next row of the gradient of unit u's output: what its readers give, the last one first. */
CGE_NOINLINE cge_real *make_gradient_row(learning_walk *w, int32_t u)
{
    const cge_relay_net *n = &w->maps.of;
    const int32_t place = place_of_unit(&w->of, u), row = w->rows.back[place], elems = row_elems(cge_shape_put_out(n, u));
    cge_relay_window *window = &w->gradients[place];
    cge_real *dx;
    int32_t r, count = 0;
    int slot;
    cge_move_window(window, at_most_rows(first_row_held(&w->of, &w->rows, u), row), row, elems);
    dx = window->rows + (row - window->first) * elems;
    for (r = w->of.end; r >= at_least(u + 1, w->of.begin); r--)
        for (slot = 1; slot >= 0; slot--) {
            if (n->units[r].x[slot] != u) continue;
            row_from_reader(w, r, slot, row, count == 0 ? dx : w->maps.room);
            if (count > 0) cge_add_apply(elems, dx, w->maps.room, dx);
            count++;
        }
    return dx;
}

/* Rows of unit u's output from row *first on, or of all of the source. */
static const cge_real *rows_of_map(const learning_walk *w, int32_t u, int32_t *first)
{
    *first = 0;
    if (u < w->of.begin) return cge_tensor_at(w->maps.net, w->maps.of.units[u].y);
    *first = w->maps.windows[u - w->of.begin].first;
    return w->maps.windows[u - w->of.begin].rows;
}

CGE_NOINLINE void through_activation(const learning_walk *w, int32_t u, cge_real *dx)
{
    const cge_relay_net *n = &w->maps.of;
    const int32_t elems = row_elems(cge_shape_put_out(n, u));
    const cge_real *rows;
    cge_unit_call c;
    int32_t first;
    memset(&c, 0, sizeof c);
    if (n->units[u].activation < 0) return;
    rows = rows_of_map(w, u, &first);
    c.below = &n->model->layers[n->units[u].activation];
    c.x = rows + (w->rows.back[place_of_unit(&w->of, u)] - first) * elems;
    c.dx = dx;
    cge_unit_hand_on(&c, 0, elems, dx);
}

CGE_NOINLINE void learn_from_gradient_row(const learning_walk *w, int32_t u)
{
    const int32_t row = w->rows.back[u - w->of.begin];
    const cge_range one_row = {0, 1};
    cge_unit_call c;
    cge_conv2d_plan p;
    const cge_real *x;
    int32_t first;
    set_learning_unit(w, u, &c);
    p = cge_conv2d_unit_plan(&c);
    if (c.params.dw == NULL) {
        cge_run_conv2d_bias_grad(&p, rows_of_gradient(w, u, row), c.params.db, one_row);
        return;
    }
    cge_conv2d_narrow(&p, c.layer);
    x = cge_rows_of_input(&w->maps, u, &c, row, &first);
    cge_conv2d_row_weight_grad(&c, &p, row, x, first, rows_of_gradient(w, u, row), w->maps.room);
}

static void take_row_back(learning_walk *w, int32_t u)
{
    if (u < w->of.end && owner_of_gradient(&w->of, u) == u) through_activation(w, u, make_gradient_row(w, u));
    if (u >= w->of.begin && unit_has_gradients(&w->maps.of, u)) learn_from_gradient_row(w, u);
    w->rows.back[place_of_unit(&w->of, u)]++;
}

/* Rows of the source's gradient go where they belong, which may be over the source's rows. */
static void take_rows_of_source(learning_walk *w)
{
    const int32_t end = rows_to_take(&w->of, &w->rows);
    const cge_relay_window *window = &w->gradients[SOURCE];
    int32_t elems;
    cge_real *dx;
    if (w->rows.taken >= end) return;
    elems = row_elems(cge_shape_put_out(&w->maps.of, w->of.source));
    dx = cge_tensor_at(w->maps.net, w->maps.of.units[w->of.source].dy) + w->rows.taken * elems;
    memcpy(dx, window->rows + (w->rows.taken - window->first) * elems, (size_t)((end - w->rows.taken) * elems) * sizeof *dx);
    w->rows.taken = (int16_t)end;
}

/* Gradients that learn at once begin at zero; and when all rows are through, 0: one is not finite. */
CGE_NOINLINE void begin_gradients(const learning_walk *w)
{
    cge_unit_call c;
    int32_t u;
    for (u = w->of.begin; u <= w->of.end; u++) {
        if (!unit_has_gradients(&w->maps.of, u)) continue;
        set_learning_unit(w, u, &c);
        cge_conv2d_unit_begin_weight_grad(&c);
    }
}

CGE_NOINLINE int learn_all(const learning_walk *w)
{
    cge_unit_call c;
    int32_t u;
    for (u = w->of.end; u >= w->of.begin; u--) {
        if (!unit_has_gradients(&w->maps.of, u)) continue;
        set_learning_unit(w, u, &c);
        if (!cge_conv2d_rows_learn(&c)) return 0;
    }
    return 1;
}

/* If others read the last unit's output, too, its gradient goes through its activation first. */
static void begin_last_gradient(const cge_network *net, int32_t end, const void *x)
{
    const cge_plan *plan = net->options.plan;
    cge_range all = {0, 0};
    cge_unit_call c;
    if (!cge_is_shared_behind(plan, end)) return;
    cge_set_unit_call(net, net->params, end, x, &c);
    c.dy = cge_tensor_at(net, plan->units[end].dy);
    all.end = cge_shape_elems(c.out);
    cge_shared_backward(&c, all);
}

CGE_NOINLINE int learn_by_rows(const cge_network *net, int32_t end, const void *x)
{
    learning_walk w;
    row_step s;
    begin_learning(&w, net, end, x);
    begin_gradients(&w);
    while ((s = next_row_step(&w.of, &w.rows)).unit != CGE_NO_UNIT) {
        s.back ? take_row_back(&w, s.unit) : make_map_row(&w, s.unit);
        take_rows_of_source(&w);
    }
    return learn_all(&w);
}

CGE_INTERNAL int cge_back_through_relay(const cge_network *net, int32_t number, const void *x)
{
    const cge_unit *units = net->options.plan->units;
    const int32_t end = number + ((units[number].style & CGE_UNIT_HANDS_ROWS_ON) != 0);
    if (number == end) begin_last_gradient(net, end, x);
    return cge_walks_back(units, number) ? learn_by_rows(net, end, x) : 1;
}
