/*
 * The first convolutions of a network, run by rows through all of them: what one hands on to the next never exists as a whole,
 * forward or backward. Each unit but the last has a window: those rows of its output that a row of the next unit's output looks
 * at. Rows are made when they are asked for, in ascending order, and the window moves on.
 *
 * Backward makes the rows again. Of what was pooled it makes only the elements that won, where forward kept which: a quarter of
 * the products with windows of four taps. As soon as a row is complete, so is its gradient, since all of the gradient of the
 * stem's output is there: the first unit learns from that row and it is forgotten. The second unit learns from the window. All
 * sums are collected in ascending order of rows, as they are otherwise. A third unit would have to wait for the second's rows;
 * so more than two units are a stem only if none before the last learns.
 */
#include "units.h"
#include "../layers/conv2d_unit.h"
#include "../kernels/kernels.h"

/* ---- which units ---- */

CGE_INTERNAL int32_t cge_count_stem_units(const cge_unit *units, int32_t unit_count)
{
    int32_t count = 0;
    while (count < unit_count && (units[count].style & CGE_UNIT_STEM) != 0) count++;
    return count;
}

static int is_conv2d(const cge_model *model, const cge_unit *u)
{
    return (model->layers[u->main].kind->traits & CGE_BY_ROWS) != 0; /* of two units both have a layer that computes */
}

/* No layer that renames is between them: rows are rows. */
static int hands_rows_on(const cge_unit *u)
{
    const int32_t last = u->pool > u->activation ? u->pool : u->activation;
    return u->end == (last > u->main ? last : u->main) + 1;
}

CGE_INTERNAL int cge_stem_is_possible(const cge_model *model, int32_t training, const cge_unit *units, int32_t unit_count)
{
    const int32_t count = cge_count_stem_units(units, unit_count);
    int32_t u, learning = 0;
    for (u = count; u < unit_count; u++)
        if ((units[u].style & (CGE_UNIT_STEM | CGE_UNIT_KEEPS_WINNERS)) != 0) return 0;
    if (count == 0) return 1;
    if (model->input_kind != NULL) return 0; /* x would need a window among those of the units */
    if (count == 1 || count > CGE_MOST_STEM_UNITS || units[0].begin != units[0].main) return 0;
    for (u = 0; u < count; u++) {
        const int32_t possible = CGE_UNIT_ROW_BY_ROW | (u == 0 ? CGE_UNIT_KEEPS_WINNERS : 0);
        if (!is_conv2d(model, &units[u]) || (units[u].style & ~possible) != CGE_UNIT_STEM) return 0;
        if (training && model->layers[units[u].main].trains != CGE_TRAINS_ALL) return 0;
        if (u > 0 && units[u].x[0] != u - 1) return 0;
        if (u + 1 == count) continue;
        if (units[u].shared) return 0;
        if (!hands_rows_on(&units[u])) return 0;
        learning |= training && (model->layers[units[u].main].flags & CGE_FROZEN) == 0;
    }
    return count == 2 || !learning;
}

/* ---- how much memory ---- */

static int32_t most_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Rows of x that a row of the unit's output looks at, at most. */
static int32_t window_rows(const cge_unit_call *c, const cge_conv2d_plan *p)
{
    return at_most_rows((map_rows_of_y(c) - 1) * p->g.stride_h + reach_rows(p), p->g.in_h);
}

static int32_t winners_of_a_row(const cge_unit_call *c)
{
    cge_unit_call row = *c;
    row.out.h = 1;
    return cge_unit_winners_elems(&row);
}

/* Of the first unit, if it learns. */
static void add_learner(cge_stem_scratch *s, const cge_unit_call *c)
{
    s->row = row_elems(c->out);
    if ((c->style & CGE_UNIT_KEEPS_WINNERS) != 0) {
        s->winners = cge_unit_winners_elems(c);
        s->again = 0;
    } else {
        s->row_winners = winners_of_a_row(c);
    }
}

CGE_INTERNAL void cge_add_to_stem(cge_stem_scratch *s, const cge_unit_call *c, int learns, int at_once)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const int32_t room = cge_conv2d_unit_room(c);
    if (s->units > 0) s->windows += window_rows(c, &p) * row_elems(c->in);
    s->forward_room = most_of(s->forward_room, room);
    s->backward_room = most_of(s->backward_room, s->again);
    s->again = room;
    if (learns) s->backward_room = most_of(s->backward_room, cge_conv2d_row_weight_grad_room(c, at_once));
    if (s->row > 0) s->backward_room = most_of(s->backward_room, cge_conv2d_row_input_grad_room(c));
    if (learns && s->units == 0) add_learner(s, c);
    if (learns && at_once) s->gradients += cge_conv2d_unit_gradients(c);
    s->units++;
}

/* ---- rows on their way ---- */

/* Rows first .. end - 1 of a unit's input. `next` is the row of its output that is to be made next. */
typedef struct stem_window {
    cge_real *x;
    int32_t first, end, next;
} stem_window;

typedef struct stem_unit {
    cge_unit_call call;
    cge_conv2d_plan plan;
} stem_unit;

typedef struct stem_walk {
    const cge_network *net;
    const cge_real *params, *image;
    int32_t count; /* of units */
    cge_stem_scratch scratch;
    cge_real *room, *row;
    cge_real *largest;   /* |x| of the last unit; NULL: nobody asks */
    stem_unit last;      /* unit */
    stem_unit *learner;  /* the first of two units, if it learns from its rows on the way; else NULL */
    stem_window windows[CGE_MOST_STEM_UNITS];
} stem_walk;

/* Rows of its input that row `row` of unit u's output looks at; as cge_conv2d_rows_of. */
static cge_range rows_seen(const stem_walk *s, int32_t u, int32_t row)
{
    const cge_unit *unit = &s->net->options.plan->units[u];
    const cge_layer *layers = s->net->model->layers;
    const cge_conv2d *g = cge_conv2d_of(&layers[unit->main]);
    const int32_t step = unit->pool >= 0 ? cge_pool2d_of(&layers[unit->pool])->kernel_h : 1, stride = at_least(g->stride_h, 1);
    const int32_t top = row * step * stride - g->pad_top, in_h = cge_layer_plans(s->net)[unit->main].in.h;
    cge_range r;
    r.begin = at_most_rows(at_least(top, 0), in_h - 1);
    r.end = at_most_rows(top + (step - 1) * stride + at_least(g->dilation_h, 1) * (g->kernel_h - 1) + 1, in_h);
    return r;
}

/* Drops the rows that nobody looks at any more. */
static void move_on(const stem_walk *s, int32_t u, stem_window *w, int32_t elems)
{
    const int32_t unused = at_most_rows(rows_seen(s, u, w->next).begin, w->end) - w->first;
    if (unused <= 0) return;
    memmove(w->x, w->x + unused * elems, (size_t)((w->end - w->first - unused) * elems) * sizeof *w->x);
    w->first += unused;
}

/* The gradient of row `row`, which is x of the last unit, and what the first one learns from it. */
static void learn_from_row(stem_walk *s, int32_t row, const cge_real *x)
{
    stem_unit *first = s->learner, *last = &s->last;
    last->call.x = x;
    last->call.dx = s->row;
    cge_conv2d_row_input_grad(&last->call, &last->plan, row, s->row, s->room);
    cge_unit_hand_on(&last->call, 0, row_elems(last->call.in), s->row);
    cge_conv2d_row_weight_grad(&first->call, &first->plan, row, s->image, 0, s->row, s->room);
}

static void note_largest(const stem_walk *s, int32_t n, const cge_real *x)
{
    const cge_real most = cge_unit_magnitude(n, x);
    if (cge_bits_of(most) > cge_bits_of(*s->largest)) *s->largest = most;
}

CGE_NOINLINE void set_stem_unit(const stem_walk *s, int32_t u, stem_unit *unit)
{
    cge_set_unit_call(s->net, s->params, u, s->image, &unit->call);
    unit->plan = cge_conv2d_unit_plan(&unit->call);
}

/* All winners of the first unit, if they are kept: behind those of the last. */
static unsigned char *first_winners(const stem_walk *s)
{
    const cge_unit_call *last = &s->last.call;
    return s->scratch.winners > 0 ? last->winners + cge_unit_winners_elems(last) * (int32_t)sizeof(cge_real) : NULL;
}

/* The next row of unit u's output, forward or again, at `y`. */
CGE_NOINLINE void make_row_of_unit(const stem_walk *s, int32_t u, int32_t row, cge_real *y)
{
    const stem_window *from = &s->windows[u];
    stem_unit unit;
    set_stem_unit(s, u, &unit);
    if (u == 0 && s->largest != NULL) unit.call.winners = first_winners(s);
    cge_conv2d_unit_row(&unit.call, &unit.plan, row, from->x, from->first, y, s->room);
}

/* Of the first unit, again. */
static void make_row_of_learner(const stem_walk *s, int32_t row, cge_real *y)
{
    stem_unit *unit = s->learner;
    if (s->scratch.winners > 0) {
        cge_conv2d_unit_row_again(&unit->call, &unit->plan, row, s->image, y);
        return;
    }
    unit->call.first_winner = -row * row_elems(unit->call.out); /* they are this row's alone */
    cge_conv2d_unit_row(&unit->call, &unit->plan, row, s->image, 0, y, s->room);
}

/* The next row of unit u's output, to the next unit's window. */
static void make_row(stem_walk *s, int32_t u)
{
    stem_window *from = &s->windows[u], *to = from + 1;
    const int32_t row = to->end, elems = row_elems(cge_layer_plans(s->net)[s->net->options.plan->units[u + 1].main].in);
    cge_real *y;
    move_on(s, u + 1, to, elems);
    y = to->x + (row - to->first) * elems;
    if (s->learner != NULL)
        make_row_of_learner(s, row, y);
    else
        make_row_of_unit(s, u, row, y);
    to->end++;
    from->next = to->end;
    if (s->largest != NULL && u + 2 == s->count) note_largest(s, elems, y);
    if (s->learner != NULL) learn_from_row(s, row, y);
}

/* Makes rows until the last unit's window ends there. Whoever lacks input waits for the unit before it. */
static void fill_window(stem_walk *s, int32_t end)
{
    int32_t u = s->count - 2;
    while (s->windows[s->count - 1].end < end) {
        if (s->windows[u].end < rows_seen(s, u, s->windows[u].next).end) {
            u--;
            continue;
        }
        make_row(s, u);
        if (u + 2 < s->count) u++;
    }
}

/* The last unit's window for row `row` of its output. */
static const stem_window *window_for(stem_walk *s, int32_t row)
{
    stem_window *w = &s->windows[s->count - 1];
    w->next = row;
    fill_window(s, rows_seen(s, s->count - 1, row).end);
    return w;
}

static int unit_learns(const cge_network *net, int32_t u)
{
    return cge_layer_plans(net)[net->options.plan->units[u].main].grads >= 0;
}

static const cge_unit *last_unit(const cge_network *net)
{
    const cge_plan *plan = net->options.plan;
    return &plan->units[cge_count_stem_units(plan->units, plan->unit_count) - 1];
}

/* The scratch is: windows, room, the row, its winners, gradients. */
static void begin_stem(stem_walk *s, const cge_network *net, const cge_real *params, const cge_real *x, cge_real *scratch)
{
    int32_t u;
    memset(s, 0, sizeof *s);
    s->net = net;
    s->params = params;
    s->image = x;
    s->count = (int32_t)(last_unit(net) - net->options.plan->units) + 1;
    for (u = 0; u < s->count; u++) {
        s->windows[u].x = u == 0 ? cge_writable(x) : scratch + s->scratch.windows; /* the image is only read */
        set_stem_unit(s, u, &s->last);
        if (u == 0) s->windows[0].end = s->last.call.in.h;
        cge_add_to_stem(&s->scratch, &s->last.call, unit_learns(net, u), net->options.plan->level->at_once);
    }
    s->room = scratch + s->scratch.windows;
}

CGE_INTERNAL void cge_stem_forward(const cge_network *net, const cge_real *params, const cge_real *x, cge_real *largest)
{
    stem_walk s;
    const stem_unit *last = &s.last;
    int32_t row, elems;
    begin_stem(&s, net, params, x, cge_tensor_at(net, last_unit(net)->forward));
    s.largest = largest;
    elems = row_elems(last->call.out);
    for (row = 0; row < last->call.out.h; row++) {
        const stem_window *w = window_for(&s, row);
        cge_conv2d_unit_row(&last->call, &last->plan, row, w->x, w->first, last->call.y + row * elems, s.room);
    }
}

/* ---- backward ---- */

/* The parameters of unit u, whose gradients, if they learn at once, lie at *room. */
static void set_learning(const stem_walk *s, int32_t u, cge_unit_call *c, cge_real **room)
{
    const int at_once = s->net->options.plan->level->at_once && unit_learns(s->net, u);
    cge_set_unit_params(s->net, s->params, s->net->options.plan->units[u].main, at_once ? *room : NULL, &c->params);
    if (at_once) *room += cge_conv2d_unit_gradients(c);
    cge_conv2d_unit_begin_weight_grad(c);
}

/* Of the last unit, row by row; and of the first, if it learns, on the way. */
static void stem_gradients(stem_walk *s)
{
    const cge_unit_call *c = &s->last.call;
    const int32_t elems = row_elems(c->out);
    int32_t row;
    for (row = 0; row < c->out.h; row++) {
        const stem_window *w = window_for(s, row);
        if (c->params.dw != NULL) cge_conv2d_row_weight_grad(c, &s->last.plan, row, w->x, w->first, c->dy + row * elems, s->room);
    }
    s->windows[s->count - 1].next = row;
    if (s->learner != NULL) fill_window(s, c->in.h);
}

CGE_NOINLINE int back_through_both(stem_walk *s, cge_real *room)
{
    stem_unit first;
    set_stem_unit(s, 0, &first);
    first.call.winners = first_winners(s);
    if (s->scratch.row_winners > 0) first.call.winners = (unsigned char *)(s->row + s->scratch.row);
    set_learning(s, 0, &first.call, &room);
    s->learner = &first;
    stem_gradients(s);
    return cge_conv2d_rows_learn(&s->last.call) && cge_conv2d_rows_learn(&first.call);
}

CGE_INTERNAL int cge_stem_backward(const cge_network *net, const cge_real *x)
{
    const cge_unit *unit = last_unit(net);
    cge_real *room;
    stem_walk s;
    begin_stem(&s, net, net->params, x, cge_tensor_at(net, unit->backward));
    s.row = s.room + s.scratch.backward_room;
    room = s.row + s.scratch.row + s.scratch.row_winners;
    s.last.call.dy = cge_tensor_at(net, unit->dy);
    set_learning(&s, s.count - 1, &s.last.call, &room);
    if (s.scratch.row > 0) return back_through_both(&s, room);
    stem_gradients(&s);
    return cge_conv2d_rows_learn(&s.last.call);
}
