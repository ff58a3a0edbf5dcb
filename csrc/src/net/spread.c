/*
 * Plans over several memories. Blocks (parameters, gradients, velocity) live for ever. The arena has all of them, then all but
 * the velocity, and so on: of the ways to share them out the first with which the tensors find places. Each tensor, in one of
 * the orders of place.c, goes into the first hole of the first memory that has one for it. A tensor that finds none comes twice
 * as early in the next round. If no round helps, the last memory is tried first.
 */
#include "place.h"

#include <string.h>

enum { SPREAD_ROUNDS = 32, BLOCKS = 3 };

/* ---- making ---- */

typedef struct walls {
    cge_tensor *t;
    int32_t count, operations;
    int16_t *order, *placed;
    int32_t ranges; /* the arena counts */
    int32_t most[CGE_MOST_RANGES];  /* elements of each */
    int32_t begin[CGE_MOST_RANGES], end[CGE_MOST_RANGES]; /* what tensors may have of it */
    int last_first;
} walls;

static int32_t elems_within(size_t bytes)
{
    return bytes / sizeof(cge_real) > CGE_MAX_ELEMS ? CGE_MAX_ELEMS : (int32_t)(bytes / sizeof(cge_real));
}

/* Where the first hole of a range is that holds tensor i, among the first n placed ones or behind them; -1: nowhere. */
static int32_t hole_in_range(const walls *w, int32_t range, int32_t n, int32_t i)
{
    const int32_t elems = w->t[i].elems;
    int32_t p, at = w->begin[range];
    for (p = 0; p < n; p++) {
        const cge_tensor *other = &w->t[w->placed[p]];
        const int32_t from = other->offset % CGE_RANGE_ELEMS;
        if (other->offset / CGE_RANGE_ELEMS != range || !cge_live_together(&w->t[i], other)) continue;
        if (from - at >= elems) return at;
        if (from + other->elems > at) at = from + other->elems;
    }
    return elems <= w->end[range] - at ? at : -1;
}

static int place_behind_walls(const walls *w, int32_t n, int32_t i)
{
    int32_t r;
    for (r = 0; r < w->ranges; r++) {
        const int32_t range = w->last_first ? w->ranges - 1 - r : r, at = hole_in_range(w, range, n, i);
        if (at < 0) continue;
        w->t[i].offset = range * CGE_RANGE_ELEMS + at;
        cge_insert_by_offset(w->t, w->placed, n, i);
        return 1;
    }
    return 0;
}

/* From one first order; 0: a tensor has found no place. */
static int spread_in_order(const walls *w, int32_t by)
{
    int32_t round, n;
    cge_first_order(w->t, w->count, by, w->order);
    for (round = 0; round < SPREAD_ROUNDS; round++) {
        for (n = 0; n < w->count && place_behind_walls(w, n, w->order[n]); n++) continue;
        if (n == w->count) return 1;
        cge_insert_at(w->order, n, n / 2);
    }
    return 0;
}

static int spread_tensors(walls *w, int32_t bound)
{
    int64_t room = 0;
    int32_t r, by;
    for (r = 0; r < w->ranges; r++) room += w->end[r] - w->begin[r];
    if (room < bound) return 0;
    for (w->last_first = 0; w->last_first < 2; w->last_first++)
        for (by = 0; by < CGE_FIRST_ORDERS; by++)
            if (spread_in_order(w, by)) return 1;
    return 0;
}

/* Way `number` to share the blocks out, velocity first: where each goes; 0: they do not fit so. Blocks lie before the tensors,
 * in the arena without an offset of their own. */
static int share_blocks(walls *w, int32_t number, const int32_t *sizes, int32_t *offsets)
{
    int32_t i, r;
    for (r = 0; r < w->ranges; r++) {
        w->begin[r] = 0;
        w->end[r] = w->most[r];
    }
    for (i = BLOCKS - 1; i >= 0; i--, number /= w->ranges) {
        r = number % w->ranges;
        offsets[i] = r * CGE_RANGE_ELEMS + w->begin[r];
        if ((r > 0 && sizes[i] == 0) || sizes[i] > w->end[r] - w->begin[r]) return 0;
        if (r > 0) w->begin[r] += sizes[i];
        else w->end[0] -= sizes[i];
    }
    return 1;
}

/* The tensors as they are without ranges. */
static int32_t place_in_arena(const walls *w)
{
    int32_t bound;
    return cge_place_tensors(w->t, w->count, w->operations, w->order, &bound);
}

/* Where the arena has room for all tensors they stay as they are, `peak` elements. */
static int spread_all(walls *w, const int32_t *sizes, int32_t peak, int32_t bound, int32_t *offsets)
{
    int32_t number, ways = 1, i;
    for (i = 0; i < BLOCKS; i++) ways *= w->ranges;
    for (number = 0; number < ways; number++) {
        if (!share_blocks(w, number, sizes, offsets)) continue;
        if (w->end[0] >= peak) return place_in_arena(w) == peak;
        if (spread_tensors(w, bound)) return 1;
    }
    return 0;
}

/* Up to the end of the last tensor of a range, blocks before them. */
static int32_t end_in_range(const walls *w, int32_t range)
{
    int32_t i, end = w->begin[range];
    for (i = 0; i < w->count; i++)
        if (w->t[i].offset / CGE_RANGE_ELEMS == range && cge_end_of(&w->t[i]) - range * CGE_RANGE_ELEMS > end)
            end = cge_end_of(&w->t[i]) - range * CGE_RANGE_ELEMS;
    return end;
}

static void tell_spread(const walls *w, const int32_t *offsets, cge_spread *spread, cge_plan *plan)
{
    int32_t r;
    memset(spread->elems, 0, sizeof spread->elems);
    for (r = 1; r < w->ranges; r++) spread->elems[r - 1] = end_in_range(w, r);
    spread->kind = &cge_spread_over_ranges;
    spread->params = offsets[0];
    spread->grads = offsets[1];
    spread->velocity = offsets[2];
    plan->peak_elems = end_in_range(w, 0);
    plan->spread = spread;
}

/* Of blocks in the arena, where they lie one behind the other. */
static void find_sizes(const cge_network_plan *parts, int32_t *sizes)
{
    sizes[0] = parts->grads - parts->params;
    sizes[1] = parts->velocity - parts->grads;
    sizes[2] = parts->activations - parts->velocity;
}

/* Sets the plan back to what cge_plan_make made, and the walls to what there is to place and where. */
static cge_status begin_spread(size_t arena_bytes, const cge_spread *spread, cge_plan *plan, walls *w)
{
    int32_t r;
    if (spread == NULL || plan == NULL || spread->ranges == NULL) return CGE_ERR_NULL;
    if (plan->level == NULL || plan->units == NULL || plan->tensors == NULL) return CGE_ERR_NULL;
    if (spread->range_count < 1 || spread->range_count >= CGE_MOST_RANGES) return CGE_ERR_ARGUMENT;
    if (cge_runs_layers(plan->level)) return CGE_ERR_ARGUMENT;
    w->t = (cge_tensor *)(uintptr_t)plan->tensors; /* in the caller's memory, as the units are: cge_plan_make was given it */
    w->count = plan->tensor_count;
    w->operations = cge_operations(plan->unit_count);
    w->order = (int16_t *)(uintptr_t)(plan->units + plan->unit_count);
    w->placed = w->order + w->count;
    w->ranges = spread->range_count + 1;
    w->most[0] = elems_within(arena_bytes);
    for (r = 1; r < w->ranges; r++) w->most[r] = elems_within(spread->ranges[r - 1].bytes);
    plan->spread = NULL;
    plan->peak_elems = place_in_arena(w);
    return CGE_OK;
}

cge_status cge_plan_spread(const cge_model *model, const cge_real *params, size_t arena_bytes, cge_spread *spread,
                           cge_plan *plan)
{
    cge_network_plan parts;
    cge_options options;
    int32_t sizes[BLOCKS], offsets[BLOCKS];
    walls w;
    CGE_TRY(cge_check_model(model));
    CGE_TRY(begin_spread(arena_bytes, spread, plan, &w));
    memset(&options, 0, sizeof options);
    options.training = plan->training;
    options.params = params;
    options.plan = plan;
    CGE_TRY(cge_resolve_options(&options, &options));
    CGE_TRY(cge_plan_network(model, &options, &parts, NULL));
    find_sizes(&parts, sizes);
    w.most[0] -= parts.end - parts.activations - plan->peak_elems; /* what lies behind the tensors stays in the arena */
    if (!spread_all(&w, sizes, plan->peak_elems, plan->bound_elems, offsets)) {
        (void)place_in_arena(&w);
        return CGE_ERR_ARENA;
    }
    tell_spread(&w, offsets, spread, plan);
    return CGE_OK;
}

/* ---- checking ---- */

/* Elements from `offset` on, in one of the ranges. */
static int range_holds(const cge_spread *spread, int32_t offset, int32_t elems)
{
    const int32_t range = offset / CGE_RANGE_ELEMS;
    if (range < 1 || range > spread->range_count || range >= CGE_MOST_RANGES) return 0;
    return spread->elems[range - 1] <= CGE_MAX_ELEMS && offset % CGE_RANGE_ELEMS <= spread->elems[range - 1] - elems;
}

/* Its size is what it should be already. */
static int spread_holds(const cge_plan *plan, const cge_tensor *t)
{
    if (t->offset < CGE_RANGE_ELEMS) return t->offset >= 0 && t->offset <= plan->peak_elems - t->elems;
    return range_holds(plan->spread, t->offset, t->elems);
}

static int are_apart(int32_t a, int32_t a_elems, int32_t b, int32_t b_elems)
{
    return a + a_elems <= b || b + b_elems <= a;
}

/* Where block i lies nothing else ever does. Those before it and all tensors are checked. */
static int block_is_alone(const cge_plan *plan, const int32_t *offsets, const int32_t *sizes, int32_t i)
{
    int32_t other;
    if (sizes[i] == 0 || !range_holds(plan->spread, offsets[i], sizes[i])) return 0;
    for (other = 0; other < i; other++)
        if (offsets[other] != 0 && !are_apart(offsets[i], sizes[i], offsets[other], sizes[other])) return 0;
    for (other = 0; other < plan->tensor_count; other++)
        if (!are_apart(offsets[i], sizes[i], plan->tensors[other].offset, plan->tensors[other].elems)) return 0;
    return 1;
}

static int memories_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    const uintptr_t from_a = (uintptr_t)a, from_b = (uintptr_t)b;
    return from_a < from_b ? from_b - from_a < a_bytes : from_a - from_b < b_bytes;
}

static cge_status check_addresses(const cge_spread *spread, const void *arena, size_t arena_bytes)
{
    int32_t r, other;
    for (r = 0; r < spread->range_count; r++) {
        const cge_memory_range *range = &spread->ranges[r];
        if (spread->elems[r] == 0) continue; /* nothing is there */
        if (range->start == NULL) return CGE_ERR_NULL;
        if (!cge_is_aligned(range->start, 8)) return CGE_ERR_ALIGN;
        if (range->bytes < (size_t)spread->elems[r] * sizeof(cge_real)) return CGE_ERR_ARENA;
        if (memories_overlap(range->start, range->bytes, arena, arena_bytes)) return CGE_ERR_ARGUMENT;
        for (other = 0; other < r; other++) {
            const cge_memory_range *before = &spread->ranges[other];
            if (spread->elems[other] == 0) continue;
            if (memories_overlap(range->start, range->bytes, before->start, before->bytes)) return CGE_ERR_ARGUMENT;
        }
    }
    return CGE_OK;
}

static cge_status leave_arena_for_ranges(const cge_plan *plan, cge_network_plan *parts, const void *arena)
{
    const cge_spread *s = plan->spread;
    const int32_t offsets[BLOCKS] = {s->params, s->grads, s->velocity};
    int32_t sizes[BLOCKS], i, left = 0;
    if (s->ranges == NULL) return CGE_ERR_NULL;
    if (s->range_count < 1 || s->range_count >= CGE_MOST_RANGES) return CGE_ERR_ARGUMENT;
    find_sizes(parts, sizes);
    for (i = 0; i < BLOCKS; i++) {
        if (offsets[i] == 0) continue;
        if (!block_is_alone(plan, offsets, sizes, i)) return CGE_ERR_MISMATCH;
        left += sizes[i];
    }
    parts->grads -= s->params != 0 ? sizes[0] : 0;
    parts->velocity = parts->grads + (s->grads != 0 ? 0 : sizes[1]);
    parts->activations -= left;
    parts->staging -= left;
    parts->window -= left;
    parts->end -= left;
    return arena == NULL ? CGE_OK : check_addresses(s, arena, (size_t)parts->end * sizeof(cge_real));
}

static cge_real *empty_block(const cge_spread *spread, int32_t offset, int32_t elems)
{
    cge_real *block = cge_range_at(spread, offset);
    memset(block, 0, (size_t)elems * sizeof *block);
    return block;
}

static void enter_ranges(cge_network *net)
{
    const cge_spread *spread = net->options.plan->spread;
    if (spread->params != 0) net->params = empty_block(spread, spread->params, net->held_elems);
    if (spread->grads != 0) net->grads = empty_block(spread, spread->grads, net->grad_elems);
    if (spread->velocity == 0) return;
    net->velocity_elems = net->optimizer.kind->slots(&net->optimizer) * net->grad_elems;
    net->velocity = empty_block(spread, spread->velocity, net->velocity_elems);
}

static uint32_t seal_ranges(const cge_spread *spread, uint32_t seal)
{
    int32_t r;
    seal = cge_seal_word(cge_seal_word(cge_seal_word(seal, spread->params), spread->grads), spread->velocity);
    for (r = 0; r < CGE_MOST_RANGES - 1; r++) seal = cge_seal_word(seal, spread->elems[r]);
    return cge_seal_word(seal, spread->range_count);
}

const cge_spread_kind cge_spread_over_ranges = {spread_holds, leave_arena_for_ranges, enter_ranges, seal_ranges};
