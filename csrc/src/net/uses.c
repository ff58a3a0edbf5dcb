/* Which tensors a step needs, and from which operation to which. The operations are numbered in cge.h, at cge_plan. */
#include "units.h"

typedef struct uses {
    const cge_model *model;
    const cge_layer_plan *layers;
    const cge_memory_level *level;
    cge_unit *units;
    cge_tensor *tensors;
    const cge_tensor *expected; /* not NULL: compared with, nothing is written */
    int32_t expected_count, differs;
    int32_t unit_count, tensor_count;
    int32_t training;
    int graph;
    const cge_masks *masks; /* NULL: no unit forgets its output */
    cge_known_relays *known;
    int32_t stem; /* units that run as one, as the last of them */
    cge_stem_scratch stem_scratch;
} uses;

static int32_t backward_of(const uses *s, int32_t unit)
{
    return cge_backward_of(s->unit_count, unit);
}

static int same_use(const cge_tensor *t, int32_t elems, int32_t first, int32_t last)
{
    return t->elems == elems && t->first == first && t->last == last;
}

/* Returns its number; -1 if it has no elements. */
static int16_t use_tensor(uses *s, int32_t elems, int32_t first, int32_t last)
{
    const int32_t number = s->tensor_count;
    cge_tensor *t;
    if (elems == 0) return -1;
    if (s->expected != NULL) {
        s->differs |= number >= s->expected_count || !same_use(&s->expected[number], elems, first, last);
        return (int16_t)s->tensor_count++;
    }
    t = &s->tensors[number];
    t->offset = -1;
    t->elems = elems;
    t->first = (int16_t)first;
    t->last = (int16_t)last;
    return (int16_t)s->tensor_count++;
}

static int learns(const uses *s, const cge_unit *u)
{
    return u->main >= 0 && s->layers[u->main].grads >= 0;
}

/* ---- who reads whom ---- */

static int unit_reads(const cge_unit *u, int32_t number)
{
    return u->x[0] == number || u->x[1] == number;
}

/* The first unit behind `after` that reads unit `number`; unit_count, which stands for the loss, if there is none. */
static int32_t next_reader(const uses *s, int32_t number, int32_t after)
{
    int32_t r = after + 1;
    while (r < s->unit_count && !unit_reads(&s->units[r], number)) r++;
    return r;
}

static int has_no_whole_output(const cge_unit *u)
{
    return (u->style & CGE_UNIT_HANDS_ROWS_ON) != 0;
}

static int32_t last_who_reads_unit(const uses *s, int32_t number)
{
    int32_t r = next_reader(s, number, number), next;
    while (s->units[number].shared && (next = next_reader(s, number, r)) < s->unit_count) r = next;
    return r;
}

/* As whose part it reads: a relay or a block works as its last unit; backward (`together` is CGE_UNIT_BLOCK) a block alone. */
static int32_t last_reader(const uses *s, int32_t number, int32_t together)
{
    int32_t r = last_who_reads_unit(s, number);
    while (r < s->unit_count && has_no_whole_output(&s->units[r]) && (s->units[r].style & together) != 0) r++;
    return r;
}

/* The gradient of what unit u reads was begun by a later reader, or by its own second input. */
static int16_t added_inputs(const uses *s, int32_t number)
{
    const cge_unit *u = &s->units[number];
    int16_t adds = 0;
    int slot;
    for (slot = 0; slot < 2; slot++) {
        if (u->x[slot] < 0 || !s->units[u->x[slot]].shared) continue;
        if (last_who_reads_unit(s, u->x[slot]) > number || (slot == 0 && u->x[1] == u->x[0]))
            adds = (int16_t)(adds | 1 << slot);
    }
    return adds;
}

static int reached(const uses *s, const cge_unit *u)
{
    int slot;
    if (learns(s, u)) return 1;
    for (slot = 0; slot < 2; slot++)
        if (u->x[slot] >= 0 && s->units[u->x[slot]].learns) return 1;
    return 0;
}

/* ---- tensors ---- */

static int two_inputs(const uses *s, int32_t number)
{
    return s->units[number].x[1] != CGE_NO_UNIT;
}

/* Dropout, or frozen batch normalisation: its backward reads no x. */
static int drops(const uses *s, int32_t number)
{
    const cge_layer *main = &s->model->layers[s->units[number].main];
    return (main->kind->traits & CGE_DROPS) != 0 && !cge_learns_by_batch(main);
}

/* An activation that is a unit of its own: its backward reads y. */
static int main_reads_y(const uses *s, const cge_unit *u)
{
    return u->main >= 0 && (s->model->layers[u->main].kind->traits & CGE_INPUT_GRAD_READS_Y) != 0;
}

static int sums_in_place(const uses *s, int32_t number)
{
    return two_inputs(s, number) && (s->model->layers[s->units[number].main].kind->traits & CGE_IN_PLACE) != 0;
}

/* A mask of its output does. */
static int forgets(const uses *s, int32_t u)
{
    return s->units[u].learns == CGE_FORGETS;
}

static int is_read_by_rows(const uses *s, int32_t u)
{
    return cge_is_read_by_rows(s->units, s->unit_count, u);
}

/* Backward needs unit u's output: as the x of who learns from it, or for a slope. Sums and channels side by side need no x. */
static int backward_needs_y(const uses *s, int32_t u)
{
    const cge_unit *unit = &s->units[u];
    int32_t r;
    if (forgets(s, u)) return 0;
    if (unit->learns && (main_reads_y(s, unit) || unit->activation >= 0)) return 1;
    for (r = next_reader(s, u, u); r < s->unit_count; r = next_reader(s, u, r))
        if (s->units[r].learns && !two_inputs(s, r) && !drops(s, r)) return 1;
    return 0;
}

/* Whether the gradient of unit u's output is that of the sum that reads it, and lies there. */
static int dy_is_of_sum(const uses *s, int32_t u)
{
    const int32_t reader = next_reader(s, u, u);
    if ((forgets(s, u) && s->units[u].activation >= 0) || is_read_by_rows(s, u)) return 0;
    return reader < s->unit_count && !s->units[u].shared && !backward_needs_y(s, u) && sums_in_place(s, reader);
}

/* The sum where the gradient of unit u's output lies; -1: it has a place of its own. */
static int32_t sum_with_dy(const uses *s, int32_t u)
{
    if (dy_is_of_sum(s, u)) return next_reader(s, u, u);
    return s->level->masks != NULL ? s->level->masks->sum_of_skip(s->model, s->units, s->unit_count, u) : -1;
}

/* A mean over all rows, whose gradient is the same for each of them. */
static int spreads_mean_by_rows(const uses *s, const cge_unit *u)
{
    return s->level->relays != NULL && (s->model->layers[u->main].kind->traits & CGE_SUMS_ROWS) != 0;
}

/* Gradient of the input over the input: then nothing else may lie there. A normalisation does not hand it on through an
 * activation piece by piece. */
static int writes_dx_over_x(const uses *s, const cge_unit *u)
{
    if ((s->model->layers[u->main].kind->traits & CGE_BY_GROUPS) != 0) return s->units[u->x[0]].activation < 0;
    if (spreads_mean_by_rows(s, u)) return 1;
    return cge_unit_runs_in_pieces(s->model, u) && (u->style & CGE_UNIT_DX_FIRST) == 0;
}

/* Whether the gradient of unit u's output takes the output's place. Then it comes through the unit's activation, element by
 * element; the loss reads all of y first. */
static int dy_over_y(const uses *s, int32_t u)
{
    const int32_t reader = next_reader(s, u, u);
    if (is_read_by_rows(s, u)) return 1;
    if (main_reads_y(s, &s->units[u]) || s->units[u].shared) return 0;
    if (reader == s->unit_count) return s->units[u].activation < 0;
    return backward_needs_y(s, u) && (two_inputs(s, reader) || writes_dx_over_x(s, &s->units[reader]));
}

/* The input whose place a sum takes: nobody else reads it, and backward does without it. -1: none. */
static int replaced_input(const uses *s, int32_t number)
{
    const int16_t *x = s->units[number].x;
    int slot;
    if (!sums_in_place(s, number) || has_no_whole_output(&s->units[number])) return -1;
    for (slot = 0; slot < 2; slot++)
        if (x[slot] >= 0 && !s->units[x[slot]].shared && !has_no_whole_output(&s->units[x[slot]]) && !backward_needs_y(s, x[slot])) return slot;
    return -1;
}

static int32_t max_of(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* In whose operation backward goes through unit `number`: a relay that learns has one for all. */
static int32_t unit_that_walks(const uses *s, int32_t number)
{
    if ((s->units[number].style & CGE_UNIT_LEARNS_BY_ROWS) == 0) return number;
    while (has_no_whole_output(&s->units[number])) number++;
    return cge_walks_back(s->units, number) ? number : number - 1;
}

static int32_t first_use_of_dy(const uses *s, int32_t u)
{
    return backward_of(s, last_reader(s, u, CGE_UNIT_BLOCK));
}

/* The last operation that uses the gradient of unit u's output: of a sum, units before it may have the same. */
static int32_t last_use_of_dy(const uses *s, int32_t u)
{
    int32_t before;
    for (before = sums_in_place(s, u) ? 0 : u; before < u; before++) {
        int32_t of = before, sum;
        while (of < u && (sum = sum_with_dy(s, of)) >= 0) of = sum;
        if (of == u && s->units[before].learns) break;
    }
    return backward_of(s, unit_that_walks(s, before));
}

/* Backward of unit r reads x, which unit u put out: for the weights' gradient, or because dx is handed on to u. */
static int reads_x_again(const uses *s, int32_t r, int32_t u)
{
    const cge_unit *reader = &s->units[r];
    if ((reader->style & CGE_UNIT_LEARNS_BY_ROWS) != 0) return 1;
    if (!reader->learns || two_inputs(s, r)) return 0;
    if ((reader->style & CGE_UNIT_BLOCK) != 0) return 1;
    if (drops(s, r)) return s->units[u].activation >= 0;
    return s->units[u].learns || s->model->layers[reader->main].trains != CGE_TRAINS_BIAS;
}

/* The same of its output, or of the gradient that has taken its place. */
static int32_t last_use_of_own_y(const uses *s, int32_t u)
{
    const cge_unit *unit = &s->units[u];
    int32_t r, last = last_reader(s, u, CGE_UNIT_HANDS_ROWS_ON);
    if (forgets(s, u)) return last;
    if (unit->learns && dy_over_y(s, u)) return last_use_of_dy(s, u);
    if (unit->learns && (main_reads_y(s, unit) || (unit->shared && unit->activation >= 0))) return backward_of(s, u);
    for (r = last; r > u; r--)
        if (r < s->unit_count && unit_reads(&s->units[r], u) && reads_x_again(s, r, u))
            last = max_of(last, backward_of(s, unit_that_walks(s, r)));
    return last;
}

/* With cge_memory_fast: the input over which layer `number` writes. Backward of who computed it does not read it. -1: none. */
static int overwritten_input(const uses *s, int32_t number)
{
    const cge_unit *u = &s->units[number];
    int slot;
    if ((s->model->layers[u->main].kind->traits & CGE_IN_PLACE) == 0) return -1;
    for (slot = 0; slot < 2; slot++) {
        const cge_unit *source = u->x[slot] >= 0 ? &s->units[u->x[slot]] : NULL;
        if (source != NULL && !source->shared && !(source->learns && main_reads_y(s, source))) return slot;
    }
    return -1;
}

static int32_t first_that_learns(const uses *s)
{
    int32_t u = 0;
    while (u < s->unit_count && !learns(s, &s->units[u])) u++;
    return u;
}

/* With cge_memory_fast: backward of a layer may read what it has read, and of some kinds what it has put out. */
static int32_t last_use_of_layer_y(const uses *s, int32_t u)
{
    int32_t last = last_who_reads_unit(s, u), r = next_reader(s, u, u);
    if (s->units[u].learns && main_reads_y(s, &s->units[u])) last = backward_of(s, u);
    while (r < s->unit_count && !s->units[r].learns) r = next_reader(s, u, r);
    if (r < s->unit_count) last = max_of(last, backward_of(s, r));
    return last >= first_that_learns(s) ? max_of(last, s->unit_count) : last;
}

static int32_t last_use_alone(const uses *s, int32_t u)
{
    return cge_runs_layers(s->level) ? last_use_of_layer_y(s, u) : last_use_of_own_y(s, u);
}

/* Over which unit `number` writes, or which it replaces. */
static int input_in_its_place(const uses *s, int32_t number)
{
    return cge_runs_layers(s->level) ? overwritten_input(s, number) : replaced_input(s, number);
}

/* And of the outputs that have taken its place. */
static int32_t last_use_of_y(const uses *s, int32_t u)
{
    int32_t last = last_use_alone(s, u);
    while (!s->units[u].shared) {
        const int32_t reader = next_reader(s, u, u), slot = reader < s->unit_count ? input_in_its_place(s, reader) : -1;
        if (slot < 0 || s->units[reader].x[slot] != u) break;
        u = reader;
        last = max_of(last, last_use_alone(s, u));
    }
    return last;
}

/* A row at a time of each input's gradient; or all of it, where it is added. */
static int32_t scratch_of_gradients(const uses *s, const cge_unit *u, const cge_unit_call *c)
{
    const int32_t row = c->in.w * c->in.c, row2 = c->in2.w * c->in2.c;
    if (u->x[1] != CGE_NO_UNIT) return max_of(row, row2);
    if (u->x[0] < 0 || !s->units[u->x[0]].learns) return 0;
    if (spreads_mean_by_rows(s, u)) return row;
    return u->adds ? cge_shape_elems(c->in) : 0;
}

/* Of a stem so far, as the scratch of its last unit. */
static cge_unit_scratch scratch_of_stem(const uses *s)
{
    const cge_stem_scratch *stem = &s->stem_scratch;
    cge_unit_scratch scratch;
    scratch.forward = stem->windows + stem->forward_room;
    scratch.backward = stem->windows + stem->backward_room + stem->row + stem->row_winners + stem->gradients;
    return scratch;
}

/* All of dx where it belongs, over no x (CGE_UNIT_DX_APART). */
static int writes_dx_alone(const uses *s, const cge_unit *u)
{
    const int by_rows = (s->model->layers[u->main].kind->traits & CGE_BY_ROWS) != 0;
    return by_rows && u->pool < 0 && !u->adds && forgets(s, u->x[0]);
}

static cge_unit_scratch scratch_of_relay(const uses *s, const cge_unit *u)
{
    const cge_style_choice choice = {s->model,      s->layers,  s->level, s->training, s->units,
                                     s->unit_count, s->tensors, s->masks, s->known};
    return s->level->relays->relay_scratch(&choice, u);
}

/* Without the window on the model's input. */
static cge_unit_scratch own_scratch_of(const uses *s, const cge_unit *u, const cge_unit_call *c)
{
    const int needs_dx = (u->x[0] >= 0 && s->units[u->x[0]].learns && !writes_dx_alone(s, u)) << (u->adds & 1);
    const int conv2d = (c->layer->kind->traits & CGE_BY_ROWS) != 0;
    cge_unit_scratch scratch = {0, 0};
    if ((u->style & CGE_UNIT_STEM) != 0) return scratch_of_stem(s);
    if ((u->style & CGE_UNIT_BLOCK) != 0)
        return s->level->blocks->block_scratch(s->model, s->layers, s->units, u, s->level->at_once);
    if ((u->style & CGE_UNIT_LEARNS_BY_ROWS) != 0) return scratch_of_relay(s, u);
    if (!cge_unit_runs_in_pieces(s->model, u)) scratch.backward = scratch_of_gradients(s, u, c);
    else scratch = conv2d ? cge_conv2d_unit_scratch(c, needs_dx) : cge_dense_unit_scratch(c, needs_dx);
    if (s->level->at_once && learns(s, u)) scratch.backward += cge_unit_piece_elems(c, &s->layers[u->main]);
    if ((u->style & CGE_UNIT_RELAY) != 0) scratch.forward = scratch_of_relay(s, u).forward;
    return scratch;
}

CGE_NOINLINE cge_unit_scratch scratch_of(const uses *s, const cge_unit *u, const cge_unit_call *c)
{
    const int32_t window = u->x[0] == CGE_MODEL_INPUT ? cge_unit_window(s->model, c) : 0;
    cge_unit_scratch scratch = own_scratch_of(s, u, c);
    scratch.forward += window;
    scratch.backward += window;
    return scratch;
}

static void set_uses(const cge_style_choice *choice, uses *s)
{
    memset(s, 0, sizeof *s);
    s->model = choice->model;
    s->layers = choice->layers;
    s->units = choice->units;
    s->tensors = choice->tensors;
    s->unit_count = choice->unit_count;
    s->training = choice->training;
    s->level = choice->level;
    s->masks = choice->masks;
    s->known = choice->known;
}

CGE_INTERNAL cge_unit_scratch cge_scratch_of_unit(const cge_style_choice *choice, const cge_unit *u)
{
    cge_unit_call c;
    uses s;
    set_uses(choice, &s);
    cge_describe_unit(s.model, s.layers, u, &c);
    return scratch_of(&s, u, &c);
}

/* What such a unit puts out never exists as a whole: it has no tensors. */
static int is_inside_stem(const uses *s, int32_t number)
{
    return number + 1 < s->stem || has_no_whole_output(&s->units[number]);
}

/* Behind those of a stem's last unit are the first one's; behind those of a unit that forgets its output is the mask. */
static int32_t winners_of(const uses *s, const cge_unit *u, const cge_unit_call *c)
{
    const int32_t elems = cge_unit_winners_elems(c);
    if (u->learns == CGE_FORGETS) return elems + s->level->masks->mask_elems(u, c);
    return elems + ((u->style & CGE_UNIT_STEM) != 0 ? s->stem_scratch.winners : 0);
}

/* A mask alone is through with the gradient of who reads y, if the gradient goes through it there. */
static int32_t last_use_of_winners(const uses *s, int32_t number)
{
    const cge_unit *u = &s->units[number];
    const int mask_alone = u->learns == CGE_FORGETS && u->pool < 0 && !u->shared;
    return backward_of(s, mask_alone ? last_who_reads_unit(s, number) : number);
}

/* Outputs, and what forward needs besides. */
static void find_forward_uses(uses *s, int32_t number, const cge_unit_call *c, cge_unit *u)
{
    const int slot = replaced_input(s, number), inside = is_inside_stem(s, number);
    if ((u->style & CGE_UNIT_STEM) != 0) cge_add_to_stem(&s->stem_scratch, c, learns(s, u), s->level->at_once);
    u->y = -1;
    u->winners = -1;
    u->forward = -1;
    if (!inside && slot >= 0) u->y = s->units[u->x[slot]].y;
    if (!inside && slot < 0) u->y = use_tensor(s, cge_shape_elems(c->out), number, last_use_of_y(s, number));
    if (u->learns && (!inside || u->learns == CGE_FORGETS))
        u->winners = use_tensor(s, winners_of(s, u, c), number, last_use_of_winners(s, number));
    if (!inside) u->forward = use_tensor(s, scratch_of(s, u, c).forward, number, number);
}

/* Gradients of outputs, and what backward needs besides; from the last unit to the first. */
static void find_backward_uses(uses *s, int32_t number, const cge_unit_call *c, cge_unit *u)
{
    const int32_t back = backward_of(s, unit_that_walks(s, number)), sum = sum_with_dy(s, number);
    u->dy = -1;
    u->backward = -1;
    if (!u->learns || (u->learns != CGE_FORGETS && is_inside_stem(s, number))) return;
    if (dy_over_y(s, number))
        u->dy = u->y;
    else if (sum >= 0)
        u->dy = s->units[sum].dy;
    else
        u->dy = use_tensor(s, cge_shape_elems(c->out), first_use_of_dy(s, number), last_use_of_dy(s, number));
    u->backward = use_tensor(s, scratch_of(s, u, c).backward, back, back);
}

/* ---- layers that run as they do without a plan: cge_memory_fast ----
 *
 * Threads take some samples through several layers while others are at other layers (tasks.h). So what forward writes from the
 * first layer that learns on is kept until its end, whoever reads it.
 */

static void find_layer_forward_uses(uses *s, int32_t number, const cge_unit_call *c, cge_unit *u)
{
    const int slot = overwritten_input(s, number);
    u->y = slot >= 0 ? s->units[u->x[slot]].y : use_tensor(s, cge_shape_elems(c->out), number, last_use_of_y(s, number));
    u->winners = -1;
    u->forward = -1;
}

/* Input `slot` gets the gradient of layer `number` first. */
static int begins_gradient(const uses *s, int32_t number, int slot)
{
    const cge_unit *u = &s->units[number];
    return u->learns && u->x[slot] >= 0 && s->units[u->x[slot]].learns && (u->adds & 1 << slot) == 0;
}

/* The input whose gradient is that of the output, and lies there. -1: none. */
static int inheriting_input(const uses *s, int32_t number)
{
    if ((s->model->layers[s->units[number].main].kind->traits & CGE_IN_PLACE) == 0) return -1;
    return begins_gradient(s, number, 0) ? 0 : begins_gradient(s, number, 1) ? 1 : -1;
}

static int32_t last_use_of_layer_dy(const uses *s, int32_t u)
{
    int slot;
    while ((slot = inheriting_input(s, u)) >= 0) u = s->units[u].x[slot];
    return backward_of(s, u);
}

static int inherits_gradient(const uses *s, int32_t u, int32_t reader)
{
    const int slot = reader < s->unit_count ? inheriting_input(s, reader) : -1;
    return slot >= 0 && s->units[reader].x[slot] == u;
}

/* For a gradient that is added when it is complete. */
static int32_t elems_to_add(const uses *s, const cge_unit *u, const cge_unit_call *c)
{
    const int32_t elems = (u->adds & 1) != 0 ? cge_shape_elems(c->in) : 0;
    if ((s->model->layers[u->main].kind->traits & CGE_IN_PLACE) != 0) return 0;
    return (u->adds & 2) != 0 ? max_of(elems, cge_shape_elems(c->in2)) : elems;
}

static void find_layer_backward_uses(uses *s, int32_t number, const cge_unit_call *c, cge_unit *u)
{
    const int32_t back = backward_of(s, number), reader = last_who_reads_unit(s, number);
    u->dy = -1;
    u->backward = -1;
    if (!u->learns) return;
    if (inherits_gradient(s, number, reader)) u->dy = s->units[reader].dy;
    else u->dy = use_tensor(s, cge_shape_elems(c->out), backward_of(s, reader), last_use_of_layer_dy(s, number));
    u->backward = use_tensor(s, elems_to_add(s, u, c), back, back);
}

/* ---- all units ---- */

/* Notes what is found of a unit, or compares it: the same kind of thing in either case. */
static void note_unit(uses *s, int32_t number, const cge_unit *unit)
{
    if (s->expected == NULL)
        s->units[number] = *unit;
    else
        s->differs |= memcmp(unit, &s->units[number], sizeof *unit) != 0;
}

/* What a unit is, but for its tensors. */
static void find_unit(uses *s, int32_t number)
{
    const cge_unit *known = &s->units[number];
    const int32_t begin = number == 0 ? 0 : known[-1].end;
    cge_unit unit = cge_runs_layers(s->level) ? cge_unit_of_layer(s->model, number) : cge_unit_from(s->model, s->graph, begin);
    cge_connect_unit(s->model, s->graph, s->units, number, &unit);
    unit.learns = (int16_t)reached(s, &unit);
    unit.style = known->style;
    if (s->expected != NULL && unit.main >= 0) { /* compared later */
        unit.y = known->y;
        unit.dy = known->dy;
        unit.winners = known->winners;
        unit.forward = known->forward;
        unit.backward = known->backward;
        unit.adds = known->adds;
        if (unit.learns && known->learns == CGE_FORGETS) unit.learns = CGE_FORGETS;
    }
    note_unit(s, number, &unit);
}

static void find_additions(uses *s, int32_t number)
{
    cge_unit unit = s->units[number];
    unit.adds = added_inputs(s, number);
    if (unit.learns) unit.learns = CGE_KEEPS;
    if (s->masks != NULL && s->masks->unit_forgets(s->model, s->units, s->unit_count, number)) unit.learns = CGE_FORGETS;
    note_unit(s, number, &unit);
}

static void find_uses_of(uses *s, int32_t number, void (*find)(uses *s, int32_t number, const cge_unit_call *c, cge_unit *u))
{
    cge_unit unit = s->units[number];
    cge_unit_call c;
    if (unit.main < 0 || s->differs) return; /* its output is its input */
    cge_describe_unit(s->model, s->layers, &unit, &c);
    find(s, number, &c, &unit);
    note_unit(s, number, &unit);
}

static void check_styles(uses *s)
{
    const cge_relays *relays = s->level->relays;
    const cge_blocks *blocks = s->level->blocks;
    int32_t u;
    if (s->differs) return;
    s->stem = cge_count_stem_units(s->units, s->unit_count);
    s->differs |= !cge_stem_is_possible(s->model, s->training, s->units, s->unit_count);
    for (u = 0; u < s->unit_count; u++) {
        const int32_t possible = s->level->together | cge_styles_of(s->model, s->level, s->training, &s->units[u]);
        s->differs |= (s->units[u].style & ~possible) != 0; /* a stem of other units is not possible */
    }
    if (relays != NULL && !s->differs) s->differs = !relays->are_possible(s->model, s->layers, s->units, s->unit_count);
    if (blocks != NULL && !s->differs) s->differs = !blocks->blocks_are_possible(s->model, s->layers, s->units, s->unit_count);
}

static void find_uses(uses *s)
{
    const int layers = cge_runs_layers(s->level);
    int32_t u;
    s->tensor_count = 0;
    s->graph = cge_is_graph(s->model);
    for (u = 0; u < s->unit_count && !s->differs; u++) find_unit(s, u);
    for (u = 0; u < s->unit_count && !s->differs; u++) find_additions(s, u);
    check_styles(s);
    for (u = 0; u < s->unit_count; u++) find_uses_of(s, u, layers ? find_layer_forward_uses : find_forward_uses);
    for (u = s->unit_count - 1; u >= 0; u--) find_uses_of(s, u, layers ? find_layer_backward_uses : find_backward_uses);
}

CGE_INTERNAL int32_t cge_find_uses(const cge_style_choice *choice)
{
    uses s;
    set_uses(choice, &s);
    find_uses(&s);
    return s.tensor_count;
}

/* All units forget their outputs that can, or none does. */
static const cge_masks *masks_of(const cge_plan *plan)
{
    int32_t u;
    for (u = 0; u < plan->unit_count; u++)
        if (plan->units[u].learns == CGE_FORGETS) return plan->level->masks;
    return NULL;
}

CGE_INTERNAL int cge_uses_match(const cge_model *model, const cge_plan *plan)
{
    cge_unit *units = (cge_unit *)(uintptr_t)plan->units; /* read only */
    const cge_masks *masks = masks_of(plan);
    const cge_style_choice choice = {model, plan->layers, plan->level, plan->training, units, plan->unit_count, NULL, masks, NULL};
    uses s;
    set_uses(&choice, &s);
    s.expected = plan->tensors;
    s.expected_count = plan->tensor_count;
    find_uses(&s);
    return !s.differs && s.tensor_count == plan->tensor_count;
}
