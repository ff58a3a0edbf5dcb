/*
 * Relays: units in a row, run forward by rows through all of them. What one hands on never exists as a whole, but as a
 * window of rows. So they do not learn, or they forget their outputs (masks.c), and then backward takes them one by one. The
 * last unit of a relay has its output, or is a mean over all rows, which are added as they come. So a
 * network of which only the end learns, or which predicts, takes little more than a few rows of each map.
 *
 * Whoever is to make a row looks for what it lacks; that unit makes its next row first. A window must hold what its readers
 * still look at. Let `meeting` be the first unit that all paths from unit u come through: it makes one row at a time, and
 * everyone between no more than that row asks for. So what u has made for row r of the meeting, without what is through
 * after row r - 1, is the most that its window holds. Where u is read once, these are the rows that one row of its reader looks at.
 *
 * Where a row of the reader looks at one row, and none looks at it again, the row is passed on: whoever is to make the reader's
 * row has it made, and then that one is made at once. So it needs a place only while it is made and read. All such rows share
 * the room in which one row is made: they lie at its two ends in turn, as nothing is alive but one of them and what is made of it.
 */
#include "relay.h"
#include "../kernels/kernels.h"

enum { NO_MEETING = INT16_MAX, LONG_RELAY = 3 };

CGE_INTERNAL cge_shape cge_shape_put_out(const cge_relay_net *n, int32_t u)
{
    return n->layers[n->units[u].pool >= 0 ? n->units[u].pool : n->units[u].main].out;
}

/* Rows that a unit makes one after the other: of its output; a mean takes one of its input at a time. */
static int32_t steps_of(const cge_relay_net *n, int32_t u)
{
    return cge_relay_trait(n, u, CGE_SUMS_ROWS) ? n->layers[n->units[u].main].in.h : cge_shape_put_out(n, u).h;
}

/* Rows of unit u's inputs that row `row` looks at; as cge_conv2d_rows_of. */
CGE_INTERNAL cge_range cge_rows_looked_for(const cge_relay_net *n, int32_t u, int32_t row)
{
    const cge_unit *unit = &n->units[u];
    const cge_layer *layers = n->model->layers;
    cge_range r = {row, row + 1};
    const cge_conv2d *g;
    int32_t step, top, in_h;
    if (!cge_relay_trait(n, u, CGE_BY_ROWS)) return r;
    g = cge_conv2d_of(&layers[unit->main]);
    step = unit->pool >= 0 ? cge_pool2d_of(&layers[unit->pool])->kernel_h : 1;
    top = row * step * at_least(g->stride_h, 1) - g->pad_top;
    in_h = n->layers[unit->main].in.h;
    r.begin = at_most_rows(at_least(top, 0), in_h - 1);
    r.end = at_most_rows(top + (step - 1) * at_least(g->stride_h, 1) + at_least(g->dilation_h, 1) * (g->kernel_h - 1) + 1, in_h);
    return r;
}

CGE_INTERNAL int32_t cge_last_of_relay(const cge_relay_net *n, int32_t u)
{
    while (u < n->count && (n->units[u].style & CGE_UNIT_HANDS_ROWS_ON) != 0) u++;
    return u;
}

/* ---- windows ---- */

/* The last unit that reads unit u; the number of units, which stands for the loss, if there is none. */
static int32_t last_who_reads(const cge_relay_net *n, int32_t u)
{
    int32_t r, last = n->count;
    for (r = u + 1; r < n->count && (last == n->count || n->units[u].shared); r++)
        if (cge_relay_reads(n, r, u)) last = r;
    return last;
}

static int32_t meeting_of(const cge_relay_net *n, int32_t u)
{
    int32_t v, reach = last_who_reads(n, u);
    for (v = u + 1; v < reach && reach - u < CGE_MOST_RELAY_UNITS; v++) {
        const int32_t last = last_who_reads(n, v);
        if (last > reach) reach = last;
    }
    return reach < n->count && reach - u < CGE_MOST_RELAY_UNITS ? reach : NO_MEETING;
}

/* The first row of unit u that one of the units up to `end` still looks at, which have made so many rows. */
static int32_t first_row_needed(const cge_relay_net *n, int32_t u, int32_t end, const int16_t *made)
{
    int32_t v, first = INT16_MAX;
    for (v = u + 1; v <= end; v++) {
        const int32_t next = made[v - u];
        if (!cge_relay_reads(n, v, u) || next >= steps_of(n, v)) continue;
        first = at_most_rows(first, cge_rows_looked_for(n, v, next).begin);
    }
    return first;
}

/* What units u .. end - 1 have made when unit `end` has made so many rows. */
static void note_rows_made(const cge_relay_net *n, int32_t u, int32_t end, int16_t *made)
{
    int32_t v;
    for (v = end; v > u; v--) {
        const int32_t rows = cge_rows_looked_for(n, v, made[v - u] - 1).end; /* whoever reads unit v has made a row already */
        int slot;
        for (slot = 0; slot < 2; slot++) {
            const int32_t source = n->units[v].x[slot];
            if (source >= u && rows > made[source - u]) made[source - u] = (int16_t)rows;
        }
    }
}

/* Rows of unit u's window, whose paths meet there. */
static int32_t relay_window_rows(const cge_relay_net *n, int32_t u, int32_t meeting)
{
    int16_t made[CGE_MOST_RELAY_UNITS + 1] = {0};
    int32_t most = 1;
    while (made[meeting - u] < steps_of(n, meeting)) {
        const int32_t first = first_row_needed(n, u, meeting, made);
        made[meeting - u]++;
        note_rows_made(n, u, meeting, made);
        most = at_least(made[0] - first, most);
    }
    return most;
}

/* A sum takes the place of its first input, if nobody else reads that: its rows lie where those of the sum will. -1: none does. */
static int32_t sum_in_place_of(const cge_relay_net *n, int32_t u)
{
    const int32_t sum = meeting_of(n, u);
    if (sum == NO_MEETING || n->units[u].shared || n->units[sum].x[0] != u) return -1;
    return cge_relay_trait(n, sum, CGE_TWO_INPUTS) && cge_relay_trait(n, sum, CGE_IN_PLACE) ? sum : -1;
}

/* Elements of a row that is passed on to the unit that reads unit u; 0: it is not. A sum's first input waits for the second. */
static int32_t elems_passed_on(const cge_relay_net *n, int32_t u)
{
    const int32_t reader = n->units[u].shared ? n->count : last_who_reads(n, u);
    int looks_at_one;
    if (reader >= n->count || n->units[reader].pool >= 0 || !cge_relay_trait(n, u, CGE_BY_ROWS)) return 0;
    looks_at_one = cge_relay_trait(n, reader, CGE_SUMS_ROWS);
    if (cge_relay_trait(n, reader, CGE_BY_ROWS)) looks_at_one = cge_conv2d_of(&n->model->layers[n->units[reader].main])->kernel_h == 1;
    return looks_at_one ? row_elems(cge_shape_put_out(n, u)) : 0;
}

static int32_t relay_window_elems(const cge_relay_net *n, int32_t u)
{
    if (sum_in_place_of(n, u) >= 0 || elems_passed_on(n, u) > 0) return 0;
    return relay_window_rows(n, u, meeting_of(n, u)) * row_elems(cge_shape_put_out(n, u));
}

/* Of a unit that reads bytes: elements that one of its rows looks at. They are made numbers for each row again. */
CGE_INTERNAL int32_t cge_relay_source_elems(const cge_relay_net *n, int32_t u)
{
    int32_t row, most = 0;
    if (n->model->input_kind == NULL || n->units[u].x[0] != CGE_MODEL_INPUT) return 0;
    for (row = 0; row < steps_of(n, u); row++) {
        const cge_range rows = cge_rows_looked_for(n, u, row);
        most = at_least(rows.end - rows.begin, most);
    }
    return most * row_elems(n->model->input);
}

static int32_t relay_room(const cge_relay_net *n, int32_t u, int32_t style)
{
    const int32_t source = cge_relay_source_elems(n, u);
    cge_unit_call c;
    if (n->units[u].pool < 0) return source;
    cge_describe_unit(n->model, n->layers, &n->units[u], &c);
    c.style = (int16_t)(n->units[u].learns ? style & ~CGE_UNIT_RELAY : style); /* who learns has winners */
    return source + cge_conv2d_unit_room(&c);
}

/* What a row of unit u of the relay begin .. end takes while it is made: with the row itself and that which it is made of, if
 * they are passed on. */
static int32_t room_of_row(const cge_relay_net *n, int32_t begin, int32_t end, int32_t u, int32_t style)
{
    const int32_t source = n->units[u].x[0], own = u < end ? elems_passed_on(n, u) : 0;
    return relay_room(n, u, style) + own + (source >= begin ? elems_passed_on(n, source) : 0);
}

/* ---- which units ---- */

CGE_INTERNAL int cge_reads_rows(const cge_relay_net *n, int32_t begin, int32_t u)
{
    const cge_unit *unit = &n->units[u];
    int slot;
    for (slot = 0; slot < 2; slot++) {
        const int32_t source = unit->x[slot];
        cge_unit_call c;
        cge_shape put_out, read;
        if (source < begin) continue;
        cge_describe_unit(n->model, n->layers, unit, &c);
        put_out = cge_shape_put_out(n, source);
        read = slot == 0 ? c.in : c.in2;
        if (memcmp(&put_out, &read, sizeof read) != 0) return 0;
    }
    return 1;
}

/* A unit of a relay that begins with unit `begin`. No x is there as a whole for backward. */
static int takes_rows(const cge_relay_net *n, int32_t begin, int32_t u)
{
    const cge_unit *unit = &n->units[u];
    if (!cge_relay_trait(n, u, CGE_BY_ROWS | CGE_TWO_INPUTS | CGE_SUMS_ROWS)) return 0;
    return !(unit->learns && cge_unit_needs_x(n->model, unit)) && cge_reads_rows(n, begin, u);
}

static int can_hand_rows_on(const cge_relay_net *n, int32_t u)
{
    return n->units[u].learns != CGE_KEEPS && !cge_relay_trait(n, u, CGE_SUMS_ROWS);
}

/* Some styles are parts of others. */
static int is_half_a_style(int32_t style)
{
    if ((style & (CGE_UNIT_LEARNS_BY_ROWS | CGE_UNIT_RELAY)) == CGE_UNIT_LEARNS_BY_ROWS) return 1;
    return (style & (CGE_UNIT_FEW_CHANNELS | CGE_UNIT_DX_FIRST)) == CGE_UNIT_FEW_CHANNELS;
}

static int all_learn_by_rows(const cge_relay_net *n, int32_t begin, int32_t end)
{
    const int32_t style = CGE_UNIT_RELAY | CGE_UNIT_LEARNS_BY_ROWS;
    int32_t u;
    for (u = begin; u < end; u++)
        if (n->units[u].style != (style | CGE_UNIT_HANDS_ROWS_ON)) return 0;
    return n->units[end].style == style && cge_units_could_learn_by_rows(n, begin, end);
}

CGE_INTERNAL int cge_relays_are_possible(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units, int32_t count)
{
    const cge_relay_net n = {model, layers, units, count};
    int32_t begin, end, u;
    for (u = 0; u < count; u++)
        if (is_half_a_style(units[u].style)) return 0;
    for (begin = 0; begin < count; begin = end + 1) {
        end = (units[begin].style & CGE_UNIT_BLOCK) != 0 ? begin : cge_last_of_relay(&n, begin);
        if (end == begin && (units[begin].style & CGE_UNIT_RELAY) == 0) continue;
        if (end == begin || end >= count || end - begin >= CGE_MOST_RELAY_UNITS) return 0;
        if ((units[begin].style & CGE_UNIT_LEARNS_BY_ROWS) != 0) {
            if (!all_learn_by_rows(&n, begin, end)) return 0;
            continue;
        }
        for (u = begin; u <= end; u++) {
            if ((units[u].style & ~CGE_UNIT_ROW_BY_ROW) != (u < end ? CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON : CGE_UNIT_RELAY) || !takes_rows(&n, begin, u)) return 0;
            if (u < end && (!can_hand_rows_on(&n, u) || meeting_of(&n, u) > end)) return 0;
        }
    }
    return 1;
}

/* The walk through its rows, or what is known of it. */
static cge_unit_scratch known_or_walked(const cge_relay_net *n, const cge_style_choice *s, int32_t begin, int32_t end, cge_unit_scratch scratch)
{
    const int16_t from = s->units[begin].begin, to = s->units[end].begin;
    const int behind = begin > 0;
    if (s->known != NULL && s->known->begin[behind] == from && s->known->end[behind] == to) return s->known->scratch[behind];
    scratch.backward = cge_learning_relay_scratch(n, begin, end, s->level->at_once);
    if (s->known == NULL) return scratch;
    s->known->begin[behind] = from;
    s->known->end[behind] = to;
    s->known->scratch[behind] = scratch;
    return scratch;
}

CGE_INTERNAL cge_unit_scratch cge_relay_scratch(const cge_style_choice *s, const cge_unit *last)
{
    const cge_relay_net n = {s->model, s->layers, s->units, s->unit_count};
    cge_unit_scratch scratch = {0, 0};
    int32_t windows = 0, end = 0, room = 0, begin, u;
    while (n.units[end].begin != last->begin) end++;
    for (begin = end; begin > 0 && (n.units[begin - 1].style & CGE_UNIT_HANDS_ROWS_ON) != 0;) begin--;
    for (u = begin; u <= end; u++) {
        room = at_least(room_of_row(&n, begin, end, u, n.units[u].style), room);
        windows += u < end ? relay_window_elems(&n, u) : 0;
    }
    scratch.forward = windows + room;
    return (last->style & CGE_UNIT_LEARNS_BY_ROWS) != 0 ? known_or_walked(&n, s, begin, end, scratch) : scratch;
}

/* ---- choice ----
 *
 * Of the units before the first whose output backward needs, which are relays? best[end] is the least that is alive at most
 * while units 0 .. end run, with a relay or a single unit that ends there. What is alive beside these are outputs that are read
 * later. The tables lie
 * in the memory of the tensors, which are not known yet.
 */

typedef struct relay_choice {
    cge_relay_net net;
    int32_t count;      /* units that may be in a relay */
    cge_tensor *known;  /* of each: elems: its window; offset: its output; first: its last reader; last: where its paths meet */
    cge_tensor *best;   /* of each end: elems: the figure; offset: alive beside; first: where the last relay begins */
    int32_t limit;      /* 0: the least that is alive; else with no more alive the fewest units in relays */
} relay_choice;

/* Elements of the outputs that unit u is the last to read. */
static int32_t ends_here(const relay_choice *s, int32_t u)
{
    const int16_t *x = s->net.units[u].x;
    int32_t elems = 0;
    int slot;
    for (slot = 0; slot < 2; slot++)
        if (x[slot] >= 0 && s->known[x[slot]].first == u && (slot == 0 || x[0] != x[1])) elems += s->known[x[slot]].offset;
    return elems;
}

static void note_units(relay_choice *s)
{
    int32_t u, alive = 0;
    for (u = 0; u < s->count; u++) {
        cge_tensor *k = &s->known[u];
        k->first = (int16_t)last_who_reads(&s->net, u);
        k->last = (int16_t)(can_hand_rows_on(&s->net, u) && takes_rows(&s->net, 0, u) ? meeting_of(&s->net, u) : NO_MEETING);
        k->offset = cge_shape_elems(cge_shape_put_out(&s->net, u));
        k->elems = k->last == NO_MEETING ? 0 : relay_window_elems(&s->net, u);
        alive -= u > 0 ? ends_here(s, u - 1) : 0;
        s->best[u].offset = alive;
        alive += k->offset;
    }
}

/* A sum takes the place of what nobody else reads. */
static int32_t elems_of_one(const relay_choice *s, int32_t u)
{
    int slot;
    for (slot = 0; slot < 2 && cge_relay_trait(&s->net, u, CGE_TWO_INPUTS) && cge_relay_trait(&s->net, u, CGE_IN_PLACE); slot++) {
        const int32_t source = s->net.units[u].x[slot];
        if (source >= 0 && s->known[source].first == u) return s->best[u].offset;
    }
    return s->best[u].offset + s->known[u].offset + relay_room(&s->net, u, CGE_UNIT_ROW_BY_ROW);
}

/* Units begin .. end as a relay, or unit `end` alone. */
static void try_relay(const relay_choice *s, int32_t begin, int32_t end, int32_t alive)
{
    cge_tensor *best = &s->best[end];
    const int32_t before = begin == 0 ? 0 : s->best[begin - 1].elems, units = begin == end ? 0 : end - begin + 1;
    int32_t figure = before > alive ? before : alive;
    if (s->limit > 0) figure = alive > s->limit || before == INT32_MAX ? INT32_MAX : before + units;
    if (begin < end && figure >= best->elems) return;
    best->elems = figure;
    best->first = (int16_t)begin;
}

/* The most that a row takes when unit `begin` joins the relay: others' rows are made as before, but for that of its reader. */
static int32_t room_with(const relay_choice *s, int32_t begin, int32_t end, int32_t style, int32_t room)
{
    room = at_least(room_of_row(&s->net, begin, end, begin, style), room);
    return begin < end ? at_least(room_of_row(&s->net, begin, end, s->known[begin].first, style), room) : room;
}

/* What a relay works with: long ones, in which every window counts, row by row. */
static void find_best_end(const relay_choice *s, int32_t end)
{
    int32_t quick = room_with(s, end, end, CGE_UNIT_RELAY, 0);
    int32_t tight = room_with(s, end, end, CGE_UNIT_RELAY | CGE_UNIT_ROW_BY_ROW, 0);
    int32_t begin, windows = 0, room;
    try_relay(s, end, end, elems_of_one(s, end));
    if (!takes_rows(&s->net, 0, end)) return;
    for (begin = end - 1; begin >= 0 && end - begin < CGE_MOST_RELAY_UNITS; begin--) {
        if (s->known[begin].last > end) return;
        windows += s->known[begin].elems;
        quick = room_with(s, begin, end, CGE_UNIT_RELAY, quick);
        tight = room_with(s, begin, end, CGE_UNIT_RELAY | CGE_UNIT_ROW_BY_ROW, tight);
        room = end - begin + 1 >= LONG_RELAY ? tight : quick;
        try_relay(s, begin, end, s->best[begin].offset + s->known[end].offset + windows + room);
    }
}

static void set_styles(const relay_choice *s, cge_unit *units)
{
    int32_t end, u;
    for (end = s->count - 1; end >= 0; end = s->best[end].first - 1) {
        const int32_t begin = s->best[end].first, by_row = end - begin + 1 >= LONG_RELAY ? CGE_UNIT_ROW_BY_ROW : 0;
        for (u = begin; u <= end && begin < end; u++)
            units[u].style = (int16_t)(CGE_UNIT_RELAY | (u < end ? CGE_UNIT_HANDS_ROWS_ON : 0) | (units[u].pool >= 0 ? by_row : 0));
    }
}

CGE_INTERNAL void cge_choose_relays(const cge_model *model, const cge_layer_plan *layers, cge_unit *units, int32_t count,
                                    cge_tensor *memory, int32_t limit, int learning)
{
    relay_choice s;
    int32_t end;
    s.net.model = model;
    s.net.layers = layers;
    s.net.units = units;
    s.net.count = count;
    s.known = memory;
    s.limit = limit;
    for (s.count = 0; s.count < count && units[s.count].learns != CGE_KEEPS && (learning || !units[s.count].learns); s.count++)
        units[s.count].style = 0;
    s.best = memory + s.count;
    note_units(&s);
    for (end = 0; end < s.count; end++) find_best_end(&s, end);
    set_styles(&s, units);
}

/* ---- at work ---- */

CGE_INTERNAL int32_t cge_lacking_source(const cge_relay_walk *s, int32_t u, int32_t rows)
{
    int slot;
    for (slot = 0; slot < 2; slot++) {
        const int32_t source = s->of.units[u].x[slot];
        if (source >= s->begin && s->made[source - s->begin] < rows) return source;
    }
    return -1;
}

CGE_INTERNAL void cge_move_window(cge_relay_window *w, int32_t first, int32_t end, int32_t elems)
{
    const int32_t unused = first - w->first;
    if (unused <= 0) return;
    memmove(w->rows, w->rows + unused * elems, (size_t)((end - first) * elems) * sizeof *w->rows);
    w->first = first;
}

/* Where the next row of unit u goes: to the output of the last, or to a window, which moves on. */
static cge_real *place_for_row(cge_relay_walk *s, int32_t u, int32_t elems)
{
    const int32_t row = s->made[u - s->begin];
    int32_t place = u, sum, first;
    cge_relay_window *w;
    while (place < s->end && (sum = sum_in_place_of(&s->of, place)) >= 0) place = sum;
    if (place == s->end) return cge_tensor_at(s->net, s->of.units[place].y) + row * elems;
    w = &s->windows[place - s->begin];
    first = at_most_rows(first_row_needed(&s->of, place, s->end, &s->made[place - s->begin]), row);
    cge_move_window(w, first, row, elems);
    return w->rows + (row - w->first) * elems;
}

/* Input `slot` from row *first on. */
static const cge_real *rows_for(const cge_relay_walk *s, int32_t u, int slot, const cge_real *whole, int32_t *first)
{
    const int32_t source = s->of.units[u].x[slot];
    *first = 0;
    if (source < s->begin) return whole;
    *first = s->windows[source - s->begin].first;
    return s->windows[source - s->begin].rows;
}

/* One row of it; NULL: it lies where the row of the sum is to be. */
static const cge_real *row_for(const cge_relay_walk *s, int32_t u, int slot, const cge_real *whole, cge_shape in)
{
    int32_t first;
    const cge_real *x = rows_for(s, u, slot, whole, &first);
    return x == NULL ? NULL : x + (s->made[u - s->begin] - first) * row_elems(in);
}

/* Of all rows, in their order; divided by their number when the last is through (cge_avgpool2d_forward_f32). */
static void add_row_to_mean(const cge_unit_call *c, int32_t row, const cge_real *x)
{
    int32_t w, i;
    if (row == 0) memset(c->y, 0, (size_t)c->in.c * sizeof *c->y);
    for (w = 0; w < c->in.w; w++, x += c->in.c)
        for (i = 0; i < c->in.c; i++) c->y[i] += x[i];
    if (row + 1 < c->in.h) return;
    for (i = 0; i < c->in.c; i++) c->y[i] /= CGE_REAL(c->in.h * c->in.w);
}

/* What backward needs of the row that was made. */
static void keep_row(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, const cge_real *y)
{
    cge_range elems;
    elems.begin = s->made[u - s->begin] * row_elems(c->out);
    elems.end = elems.begin + row_elems(c->out);
    cge_keep_mask(s->net, u, elems, y);
}

CGE_INTERNAL cge_layer_call cge_row_of_merge(const cge_unit_call *c)
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
    return row;
}

static void merge_row(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, cge_real *y)
{
    const cge_real *first = row_for(s, u, 0, c->x, c->in);
    cge_layer_call row = cge_row_of_merge(c);
    row.x = first != NULL ? first : y;
    row.x2 = row_for(s, u, 1, c->x2, c->in2);
    row.y = y;
    c->layer->kind->forward(&row);
    cge_unit_activate(c->activation, row_elems(c->out), y);
    keep_row(s, u, c, y);
}

/* Rows of bytes as numbers, from row *first on. */
static const cge_real *rows_of_source(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, int32_t row, int32_t *first)
{
    const cge_range rows = cge_rows_looked_for(&s->of, u, row);
    const int32_t elems = row_elems(c->in);
    c->source.model->input_kind->read(&c->source, rows.begin * elems, (rows.end - rows.begin) * elems, s->room);
    *first = rows.begin;
    return s->room;
}

CGE_INTERNAL const cge_real *cge_rows_of_input(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, int32_t row, int32_t *first)
{
    return c->source.model != NULL ? rows_of_source(s, u, c, row, first) : rows_for(s, u, 0, c->x, first);
}

static void convolve_row(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, cge_real *y)
{
    const cge_conv2d_plan p = cge_conv2d_unit_plan(c);
    const int32_t row = s->made[u - s->begin];
    cge_real *room = c->source.model != NULL ? s->room + cge_relay_source_elems(&s->of, u) : s->room;
    int32_t first;
    const cge_real *x = cge_rows_of_input(s, u, c, row, &first);
    cge_conv2d_unit_row(c, &p, row, x, first, y, room);
    keep_row(s, u, c, y);
}

static void note_largest_of_row(const cge_relay_walk *s, int32_t n, const cge_real *x)
{
    const cge_real most = cge_unit_magnitude(n, x);
    if (cge_bits_of(most) > cge_bits_of(*s->largest)) *s->largest = most;
}

CGE_INTERNAL void cge_make_relay_row(const cge_relay_walk *s, int32_t u, const cge_unit_call *c, cge_real *y)
{
    if ((c->layer->kind->traits & CGE_TWO_INPUTS) != 0)
        merge_row(s, u, c, y);
    else
        convolve_row(s, u, c, y);
    if (s->largest != NULL && u < s->end) note_largest_of_row(s, row_elems(c->out), y);
}

/* Whether a row of unit u is passed on and lies at the beginning of the room: of several in a row each other one does. */
static int lies_at_the_beginning(const cge_relay_walk *s, int32_t u)
{
    int32_t rows = 0;
    for (; u >= s->begin && u < s->end && elems_passed_on(&s->of, u) > 0; u = s->of.units[u].x[0]) rows++;
    return rows % 2 == 1;
}

/* What is free of the room while a row of unit u is made. Who needs it reads no row that is passed on: bytes, or rows to be pooled. */
static cge_real *free_room(const cge_relay_walk *s, int32_t u)
{
    return lies_at_the_beginning(s, u) ? s->passing + elems_passed_on(&s->of, u) : s->passing;
}

CGE_NOINLINE void relay_next_row(cge_relay_walk *s, int32_t u)
{
    cge_unit_call c;
    s->room = free_room(s, u);
    cge_set_unit_call(s->net, s->params, u, s->x, &c);
    if ((c.layer->kind->traits & CGE_SUMS_ROWS) != 0)
        add_row_to_mean(&c, s->made[u - s->begin], row_for(s, u, 0, c.x, c.in));
    else
        cge_make_relay_row(s, u, &c, place_for_row(s, u, row_elems(c.out)));
    s->made[u - s->begin]++;
}

CGE_INTERNAL void cge_begin_relay(cge_relay_walk *s, const cge_network *net, const cge_real *params, int32_t end,
                                  const void *x, int16_t *made, cge_relay_window *windows)
{
    const cge_plan *plan = net->options.plan;
    memset(s, 0, sizeof *s);
    s->of.model = net->model;
    s->of.layers = plan->layers;
    s->of.units = plan->units;
    s->of.count = plan->unit_count;
    s->net = net;
    s->params = params;
    s->x = (const cge_real *)x;
    s->end = end;
    s->made = made;
    s->windows = windows;
    for (s->begin = end; s->begin > 0 && (plan->units[s->begin - 1].style & CGE_UNIT_HANDS_ROWS_ON) != 0;) s->begin--;
}

/* Where a sum takes the place of a unit's rows, that has no window. */
CGE_NOINLINE void place_windows(cge_relay_walk *s)
{
    const int32_t forward = s->of.units[s->end].forward;
    cge_real *scratch, *end;
    int32_t u;
    if (forward < 0) return; /* no row needs a place of its own */
    scratch = cge_tensor_at(s->net, forward);
    end = scratch + s->net->options.plan->tensors[forward].elems;
    for (u = s->begin; u < s->end; u++) {
        const int32_t elems = relay_window_elems(&s->of, u);
        if (elems == 0) continue;
        s->windows[u - s->begin].rows = scratch;
        scratch += elems;
    }
    s->passing = scratch;
    for (u = s->begin; u < s->end; u++) {
        const int32_t elems = elems_passed_on(&s->of, u);
        if (elems > 0) s->windows[u - s->begin].rows = lies_at_the_beginning(s, u) ? scratch : end - elems;
    }
}

CGE_INTERNAL const cge_real *cge_run_relay(const cge_network *net, const cge_real *params, int32_t end, const void *x, cge_real *largest)
{
    int16_t made[CGE_MOST_RELAY_UNITS];
    cge_relay_window windows[CGE_MOST_RELAY_UNITS];
    cge_relay_walk s;
    int32_t u, lacking;
    memset(made, 0, sizeof made);
    memset(windows, 0, sizeof windows);
    cge_begin_relay(&s, net, params, end, x, made, windows);
    place_windows(&s);
    s.largest = largest;
    for (u = end; made[end - s.begin] < steps_of(&s.of, end);) {
        lacking = cge_lacking_source(&s, u, cge_rows_looked_for(&s.of, u, made[u - s.begin]).end);
        if (lacking < 0) relay_next_row(&s, u);
        u = lacking < 0 ? end : lacking;
    }
    return cge_tensor_at(net, s.of.units[end].y);
}

/* ---- backward of a mean ---- */

/* Each row is zero and then added to, as cge_avgpool2d_input_grad_f32 says: so there is no -0. */
CGE_INTERNAL int cge_spread_mean(const cge_unit_call *c)
{
    const int32_t elems = row_elems(c->in);
    const cge_real taps = CGE_REAL(c->in.h * c->in.w);
    int32_t row, w, i;
    for (row = 0; row < c->in.h; row++) {
        for (w = 0; w < c->in.w; w++)
            for (i = 0; i < c->in.c; i++) c->scratch[w * c->in.c + i] = CGE_REAL(0) + c->dy[i] / taps;
        cge_unit_hand_on(c, row * elems, elems, c->scratch);
    }
    return 1;
}
