/*
 * How each unit works. A plan takes the fewest elements that are to be had, and works as quickly as these allow: where there
 * is room, in the quick way. What one of a unit's styles changes is alive during one operation of that unit, so that each unit can
 * be looked at for itself.
 */
#include "units.h"

CGE_INTERNAL int32_t cge_styles_of(const cge_model *model, const cge_memory_level *level, int32_t training, const cge_unit *u)
{
    const cge_layer *main = u->main < 0 ? NULL : &model->layers[u->main];
    const int32_t learns = main != NULL && (main->flags & CGE_FROZEN) == 0;
    const int32_t keeps = training && learns && u->x[0] == CGE_MODEL_INPUT;
    const int32_t forward = u->pool >= 0 ? CGE_UNIT_ROW_BY_ROW | (keeps ? CGE_UNIT_KEEPS_WINNERS : 0) : 0;
    int32_t few_channels;
    if (!training || !level->at_once || !cge_unit_runs_in_pieces(model, u) || !learns) return forward;
    if ((main->kind->traits & CGE_BY_INPUTS) != 0) return forward | CGE_UNIT_FEW_INPUTS;
    if (model->input_kind != NULL && u->x[0] == CGE_MODEL_INPUT) return forward; /* each piece would read all of x again */
    if (main->trains != CGE_TRAINS_ALL || level->one_by_one) return forward;
    few_channels = level->relays != NULL && u->pool < 0 && cge_conv2d_of(main)->groups <= 1 ? CGE_UNIT_FEW_CHANNELS : 0;
    return forward | CGE_UNIT_DX_FIRST | few_channels;
}

/* What is alive at most, with the units' styles. */
static int32_t elems_of_styles(const cge_style_choice *s)
{
    return cge_count_alive(s->tensors, cge_find_uses(s), cge_operations(s->unit_count));
}

/* ... during one operation, as that has left it. */
static int32_t elems_alive(const cge_style_choice *s, int32_t operation)
{
    return s->tensors[operation].offset;
}

/* What is alive during an operation, `quick` elements, if the unit had that style: it changes the scratch of that operation. A
 * gradient that no longer takes its output's place lies beside it. */
static int32_t elems_with_style(const cge_style_choice *s, const cge_unit *u, int32_t style, int32_t quick, int16_t scratch)
{
    const cge_unit *source = u->x[0] < 0 ? NULL : &s->units[u->x[0]];
    cge_unit changed = *u;
    cge_unit_scratch other;
    int32_t elems = quick - (scratch < 0 ? 0 : s->tensors[scratch].elems);
    changed.style = (int16_t)(u->style | style);
    other = cge_scratch_of_unit(s, &changed);
    if ((style & CGE_UNIT_ROW_BY_ROW) != 0) return elems + other.forward;
    if ((style & CGE_UNIT_DX_FIRST) != 0 && source != NULL && source->learns && source->dy == source->y) elems += s->tensors[source->y].elems;
    return elems + other.backward;
}

/* The unit gets that style if else it takes more than the limit during the operation, and so takes less. `quick` is what it takes
 * without any style, `now` as it is; returns what it takes then. */
static int32_t choose_style(const cge_style_choice *s, cge_unit *u, int32_t style, int32_t quick, int32_t now, int16_t scratch, int32_t limit)
{
    const int32_t possible = cge_styles_of(s->model, s->level, s->training, u) & style;
    int32_t elems;
    if (possible == 0 || now <= limit) return now;
    elems = elems_with_style(s, u, possible, quick, scratch);
    if (elems >= now) return now;
    u->style = (int16_t)(u->style | possible);
    return elems;
}

enum { SETTLED = CGE_UNIT_STEM | CGE_UNIT_RELAY | CGE_UNIT_BLOCK }; /* for several units together */

/* From the quick styles on, whose tensors say what all the others change. */
static void choose_within(const cge_style_choice *s, int32_t limit)
{
    int32_t number, quick, now;
    for (number = 0; number < s->unit_count; number++)
        if ((s->units[number].style & SETTLED) == 0) s->units[number].style = 0;
    (void)elems_of_styles(s);
    for (number = 0; number < s->unit_count; number++) {
        cge_unit *u = &s->units[number];
        if ((u->style & SETTLED) != 0) continue;
        quick = elems_alive(s, number);
        (void)choose_style(s, u, CGE_UNIT_ROW_BY_ROW, quick, quick, u->forward, limit);
        quick = elems_alive(s, cge_backward_of(s->unit_count, number));
        now = choose_style(s, u, CGE_UNIT_DX_FIRST | CGE_UNIT_FEW_INPUTS, quick, quick, u->backward, limit);
        if (s->level->relays != NULL) (void)choose_style(s, u, CGE_UNIT_DX_FIRST | CGE_UNIT_FEW_CHANNELS, quick, now, u->backward, limit);
    }
}

/* What is alive at most if the first `count` units are a stem, which work with `style` where they can; -1: they cannot be one. */
static int32_t elems_with_stem(const cge_style_choice *s, int32_t count, int32_t style)
{
    int32_t u;
    for (u = 0; u < count; u++) {
        const int32_t possible = cge_styles_of(s->model, s->level, s->training, &s->units[u]);
        s->units[u].style = (int16_t)(CGE_UNIT_STEM | (possible & style));
    }
    if (!cge_stem_is_possible(s->model, s->training, s->units, s->unit_count)) return -1;
    return elems_of_styles(s);
}

typedef struct stem_choice {
    int32_t count, style, elems;
} stem_choice;

static void try_stem(const cge_style_choice *s, int32_t count, int32_t style, stem_choice *best)
{
    const int32_t elems = elems_with_stem(s, count, style);
    if (elems < 0 || elems >= best->elems) return;
    best->count = count;
    best->style = style;
    best->elems = elems;
}

/* A prediction of a stem of two takes a quarter more instructions row by row, a step a third more. Longer stems do not learn. */
enum { LONG_STEM = 3 };

/* Takes the stem that brings the most that is alive down furthest, of equal ones the shortest, and of these the quickest.
 * Returns what is alive then. */
static int32_t choose_stem(const cge_style_choice *s)
{
    const int32_t most = s->unit_count < CGE_MOST_STEM_UNITS ? s->unit_count : CGE_MOST_STEM_UNITS;
    stem_choice best = {0, 0, 0};
    int32_t count;
    best.elems = elems_of_styles(s);
    if (s->level->one_by_one) return best.elems;
    for (count = 1; count <= most; count++) {
        try_stem(s, count, CGE_UNIT_KEEPS_WINNERS, &best);
        try_stem(s, count, 0, &best);
        if (count >= LONG_STEM) try_stem(s, count, CGE_UNIT_ROW_BY_ROW, &best);
    }
    for (count = 0; count < most; count++) s->units[count].style = 0; /* choose_within begins anew with these */
    if (best.count > 0) (void)elems_with_stem(s, best.count, best.style);
    return best.elems;
}

/* ---- only where a level has relays ---- */

/* With which no more than `limit` is alive (0: the least), with units that learn or without. Returns what is. */
static int32_t choose_relays_within(const cge_style_choice *s, int32_t limit, int learning)
{
    cge_choose_relays(s->model, s->layers, s->units, s->unit_count, s->tensors, limit, learning);
    return elems_of_styles(s);
}

static void take_apart(const cge_style_choice *s)
{
    int32_t u;
    for (u = 0; u < s->unit_count; u++) s->units[u].style = 0;
    choose_within(s, 0);
}

CGE_INTERNAL int32_t cge_choose_relay_styles(const cge_style_choice *s, int32_t with_stem)
{
    int32_t least;
    if (s->unit_count < 2 || s->units[1].learns == CGE_KEEPS) return with_stem; /* a relay has two units that do not */
    take_apart(s);
    least = choose_relays_within(s, 0, 1);
    if (least < with_stem) {
        if (choose_relays_within(s, least, 1) > least) (void)choose_relays_within(s, 0, 1);
        return least;
    }
    take_apart(s);
    return choose_stem(s);
}

/* ---- only where a level has blocks ---- */

/* Units first .. first + count - 1 as one whose groups are halved so often; -1: as none. */
static void set_block_style(const cge_style_choice *s, int32_t first, int32_t count, int32_t halvings)
{
    const int32_t last = first + count - 1;
    int32_t u;
    for (u = first; u <= last; u++) s->units[u].style = (int16_t)(halvings < 0 ? 0 : CGE_UNIT_BLOCK | CGE_UNIT_HANDS_ROWS_ON);
    if (halvings >= 0) s->units[last].style = (int16_t)(CGE_UNIT_BLOCK + halvings * CGE_UNIT_HALVING);
}

/* How many units from `first` on are to be a block, as far as they are not settled otherwise; 0: none. */
static int32_t block_at(const cge_style_choice *s, int32_t first)
{
    const int32_t count = cge_block_from(s->model, s->layers, s->units, s->unit_count, first);
    int32_t u;
    for (u = first; u < first + count; u++)
        if ((s->units[u].style & (CGE_UNIT_STEM | CGE_UNIT_RELAY)) != 0) return 0;
    return count;
}

static void make_all_blocks(const cge_style_choice *s)
{
    int32_t first, count;
    for (first = 0; first < s->unit_count; first += count > 0 ? count : 1) {
        count = block_at(s, first);
        if (count > 0) set_block_style(s, first, count, CGE_MOST_HALVINGS);
    }
}

/* What may be alive where the least is so much, if that is quicker: narrow groups take several times as long. */
static int32_t worth(int32_t least)
{
    return least + least / 64;
}

/* No block, or as many channels in a group as are worth it. Returns what is alive then, or the least so far if that is less. */
static int32_t relax_block(const cge_style_choice *s, int32_t first, int32_t count, int32_t least)
{
    int32_t halvings, elems;
    for (halvings = -1; halvings < CGE_MOST_HALVINGS; halvings++) {
        if (halvings > 0 && !cge_block_can_halve(s->layers, &s->units[first + count - 1], halvings)) continue;
        set_block_style(s, first, count, halvings);
        elems = elems_of_styles(s);
        if (elems <= worth(least)) return elems < least ? elems : least;
    }
    set_block_style(s, first, count, CGE_MOST_HALVINGS);
    return least;
}

static void drop_blocks(const cge_style_choice *s)
{
    int32_t u;
    for (u = 0; u < s->unit_count; u++)
        if ((s->units[u].style & CGE_UNIT_BLOCK) != 0) s->units[u].style = 0;
    choose_within(s, 0);
}

/* All that there can be, and then fewer and wider ones. Returns what is alive at most. */
static int32_t try_blocks(const cge_style_choice *s)
{
    int32_t first, count, least;
    drop_blocks(s);
    make_all_blocks(s);
    least = elems_of_styles(s);
    for (first = 0; first < s->unit_count; first += count > 0 ? count : 1) {
        count = block_at(s, first);
        if (count > 0) least = relax_block(s, first, count, least);
    }
    return elems_of_styles(s);
}

/* With that stem; NULL: without one. */
static int32_t try_blocks_behind(const cge_style_choice *s, int32_t in_stem, const int16_t *stem)
{
    int32_t u;
    for (u = 0; u < in_stem; u++) s->units[u].style = (int16_t)(stem != NULL ? stem[u] : 0);
    return try_blocks(s);
}

/* In place of the stem, or beside it. */
static int32_t choose_blocks_beside(const cge_style_choice *s, int32_t limit)
{
    const int32_t in_stem = cge_count_stem_units(s->units, s->unit_count);
    int16_t stem[CGE_MOST_STEM_UNITS] = {0};
    int32_t u, beside, least;
    for (u = 0; u < in_stem; u++) stem[u] = s->units[u].style;
    beside = try_blocks(s);
    least = in_stem > 0 ? try_blocks_behind(s, in_stem, NULL) : beside;
    if (in_stem > 0 && least > worth(beside)) least = try_blocks_behind(s, in_stem, stem);
    if (least < limit) return least;
    for (u = 0; u < in_stem; u++) s->units[u].style = stem[u];
    drop_blocks(s);
    return limit;
}

/* The relays of the units before the first that learns that take the fewest bytes; then the fewest relays with which no more is
 * alive. */
static int32_t try_blocks_behind_relays(const cge_style_choice *s)
{
    int32_t least;
    take_apart(s);
    (void)choose_relays_within(s, 0, 0);
    least = try_blocks(s);
    if (choose_relays_within(s, least, 0) > least) (void)choose_relays_within(s, 0, 0);
    return least;
}

/* Relays were chosen for what is alive without blocks, which may be so much that they brought nothing. */
CGE_INTERNAL int32_t cge_choose_block_styles(const cge_style_choice *s, int32_t limit)
{
    const int relays = s->unit_count > 1 && s->units[1].learns != CGE_KEEPS;
    const int32_t least = choose_blocks_beside(s, limit);
    int32_t behind;
    if (!relays) return least;
    behind = try_blocks_behind_relays(s);
    if (behind < least) return behind;
    take_apart(s);
    return choose_blocks_beside(s, cge_choose_relay_styles(s, choose_stem(s)));
}

/* Stem, relays and blocks. Returns what is alive at most. */
static int32_t choose_together(const cge_style_choice *s)
{
    int32_t u, limit;
    for (u = 0; u < s->unit_count; u++) s->units[u].style = 0;
    choose_within(s, 0);
    limit = choose_stem(s);
    if (s->level->relays != NULL) limit = s->level->relays->choose_relays(s, limit);
    if (s->level->blocks != NULL && s->training) limit = s->level->blocks->choose_blocks(s, limit);
    return limit;
}

/* ---- only where a level has relays that learn ---- */

/* The first relay that learns, units begin .. first, and one behind it up to unit `second`, if that is not 0. begin < 0: there is
 * none. */
typedef struct learning_choice {
    int32_t begin, first, second, elems;
} learning_choice;

static void set_learning_styles(const cge_style_choice *s, int32_t begin, int32_t end)
{
    int32_t u;
    for (u = begin; u < s->unit_count; u++) {
        const int32_t hands_on = u < end ? CGE_UNIT_HANDS_ROWS_ON : 0;
        s->units[u].style = (int16_t)(u > end ? 0 : CGE_UNIT_RELAY | CGE_UNIT_LEARNS_BY_ROWS | hands_on);
    }
}

/* Units before `begin`, which do not learn, as relays: with the least alive, or with no more than limit > 0 and the fewest. */
static void choose_before_learning(const cge_style_choice *s, int32_t begin, int32_t limit)
{
    if (begin > 0) cge_choose_relays(s->model, s->layers, s->units, begin, s->tensors, limit, 0);
}

/* Whether the scratch of units begin .. end, which have these styles, leaves room for anything else. */
static int learning_fits(const cge_style_choice *s, int32_t end, int32_t limit)
{
    return s->level->relays->relay_scratch(s, &s->units[end]).backward < limit;
}

/* With blocks of the fewest channels behind them. Returns what is alive at most during the operations of units 0 .. before. */
static int32_t try_learning(const cge_style_choice *s, learning_choice with, learning_choice *best, int32_t before)
{
    int32_t u, most = 0;
    choose_within(s, 0);
    make_all_blocks(s);
    with.elems = elems_of_styles(s);
    for (u = 0; u <= before; u++) {
        const int32_t forward = elems_alive(s, u);
        const int32_t backward = elems_alive(s, cge_backward_of(s->unit_count, u));
        most = forward > most ? forward : most;
        most = backward > most ? backward : most;
    }
    if (with.elems < best->elems) *best = with;
    return most;
}

static void try_behind(const cge_style_choice *s, learning_choice with, learning_choice *best)
{
    const int32_t begin = with.first + 1;
    for (with.second = begin + 1; with.second < s->unit_count && with.second < begin + CGE_MOST_LEARNING_UNITS; with.second++) {
        if (!s->level->relays->could_learn_by_rows(s, begin, with.second)) continue;
        set_learning_styles(s, begin, with.second);
        if (learning_fits(s, with.second, best->elems)) (void)try_learning(s, with, best, 0);
    }
}

static void try_learning_from(const cge_style_choice *s, int32_t begin, learning_choice *best)
{
    learning_choice with = {0, 0, 0, 0};
    with.begin = begin;
    for (with.first = begin + 1; with.first < s->unit_count && with.first < begin + CGE_MOST_LEARNING_UNITS; with.first++) {
        if (!s->level->relays->could_learn_by_rows(s, begin, with.first)) continue;
        set_learning_styles(s, begin, with.first);
        if (!learning_fits(s, with.first, best->elems)) continue;
        choose_before_learning(s, begin, 0);
        if (try_learning(s, with, best, with.first - 1) < best->elems) try_behind(s, with, best);
    }
}

enum { LEARNING_BEFORE = 3 }; /* units that do not learn, before the first that does, as what an inverted residual ends with */

/* Those with which the least is alive, where that is less than best->elems. */
static void choose_learning(const cge_style_choice *s, learning_choice *best)
{
    int32_t begin, learner = 0;
    while (learner < s->unit_count && !s->units[learner].learns) learner++;
    for (begin = learner > LEARNING_BEFORE ? learner - LEARNING_BEFORE : 0; begin <= learner; begin++)
        try_learning_from(s, begin, best);
}

static int32_t set_learning_choice(const cge_style_choice *s, const learning_choice *best)
{
    int32_t limit;
    set_learning_styles(s, best->begin, best->first);
    if (best->second > 0) set_learning_styles(s, best->first + 1, best->second);
    choose_before_learning(s, best->begin, 0);
    choose_within(s, 0);
    limit = choose_blocks_beside(s, elems_of_styles(s));
    choose_before_learning(s, best->begin, limit);
    if (elems_of_styles(s) > limit) choose_before_learning(s, best->begin, 0);
    return limit;
}

/* Returns what is alive at most. */
static int32_t choose_with(const cge_style_choice *s)
{
    learning_choice best = {-1, 0, 0, 0};
    int32_t limit = best.elems = choose_together(s);
    if (s->level->relays != NULL && s->training) {
        choose_learning(s, &best);
        limit = best.begin < 0 ? choose_together(s) : set_learning_choice(s, &best);
    }
    choose_within(s, limit);
    return elems_of_styles(s);
}

static int something_is_forgotten(const cge_style_choice *s)
{
    int32_t u;
    for (u = 0; u < s->unit_count; u++)
        if (s->units[u].learns == CGE_FORGETS) return 1;
    return 0;
}

/* With masks, if these take less. */
CGE_INTERNAL int32_t cge_choose_styles(cge_style_choice *s)
{
    const cge_masks *masks = s->level->masks;
    cge_known_relays known = {{-1, -1}, {0, 0}, {{0, 0}, {0, 0}}};
    int32_t limit, without = 0, tensor_count;
    s->known = &known;
    s->masks = masks;
    choose_within(s, 0);
    if (something_is_forgotten(s)) {
        s->masks = NULL;
        without = choose_with(s);
        s->masks = masks;
    }
    limit = choose_with(s);
    if (without > 0 && limit >= without) {
        s->masks = NULL;
        (void)choose_with(s);
    }
    tensor_count = cge_find_uses(s);
    s->known = NULL;
    return tensor_count;
}
