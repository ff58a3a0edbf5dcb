/*
 * Offsets of tensors by lifetimes. In a given order each tensor goes into the smallest hole that holds it among the placed
 * ones that live with it (best fit). The first order is by elements times life, descending; then by life alone, then by
 * elements. While the end lies above the bound, the tensor at the end comes twice as early in the next round: a few rounds
 * reach the bound.
 */
#include "place.h"

enum { ROUNDS = 64 };

static int32_t all_saturated(cge_tensor *t, int32_t operations)
{
    int32_t i;
    for (i = 0; i < operations; i++) t[i].offset = CGE_MAX_ELEMS + 1;
    return CGE_MAX_ELEMS + 1;
}

/* What begins with each operation, less what ended before it; and the sums of these. */
CGE_INTERNAL int32_t cge_count_alive(cge_tensor *t, int32_t count, int32_t operations)
{
    int32_t i, alive = 0, most = 0;
    if (count == 0) return 0;
    for (i = 0; i < operations; i++) t[i].offset = 0;
    for (i = 0; i < count; i++) {
        int32_t *begun = &t[t[i].first].offset;
        if (t[i].elems > CGE_MAX_ELEMS - *begun) return all_saturated(t, operations);
        *begun += t[i].elems;
    }
    for (i = 0; i < count; i++) {
        const int32_t behind = t[i].last + 1;
        if (behind == operations) continue;
        if (t[behind].offset < -CGE_MAX_ELEMS) return all_saturated(t, operations);
        t[behind].offset -= t[i].elems;
    }
    for (i = 0; i < operations; i++) {
        alive += t[i].offset;
        if (alive > CGE_MAX_ELEMS) return all_saturated(t, operations);
        t[i].offset = alive;
        most = alive > most ? alive : most;
    }
    return most;
}

/* Where the smallest hole is that holds tensor i, among the placed ones that live with it: `placed` [count] in order of their
 * offsets. Of equal holes the lowest. */
static int32_t best_hole(const cge_tensor *t, const int16_t *placed, int32_t count, int32_t i)
{
    int32_t n, at = 0, best = INT32_MAX, offset = -1;
    for (n = 0; n < count; n++) {
        const cge_tensor *other = &t[placed[n]];
        if (!cge_live_together(&t[i], other)) continue;
        if (other->offset - at >= t[i].elems && other->offset - at < best) {
            best = other->offset - at;
            offset = at;
        }
        if (cge_end_of(other) > at) at = cge_end_of(other);
    }
    return offset < 0 ? at : offset;
}

/* All in order; returns the end, and in *top the number in `order` of the tensor that lies there. */
static int32_t place_all(cge_tensor *t, int32_t count, const int16_t *order, int16_t *placed, int32_t *top)
{
    int32_t n, end = 0;
    for (n = 0; n < count; n++) {
        const int32_t i = order[n];
        t[i].offset = best_hole(t, placed, n, i);
        cge_insert_by_offset(t, placed, n, i);
        if (cge_end_of(&t[i]) <= end) continue;
        end = cge_end_of(&t[i]);
        *top = n;
    }
    return end;
}

/* From one first order, up to `rounds` rounds; returns the best end, in *best_round which round it was. Ends at the bound, or
 * after round `rounds`. */
static int32_t place_rounds(cge_tensor *t, int32_t count, int16_t *order, int16_t *placed, int32_t by, int32_t rounds, int32_t bound, int32_t *best_round)
{
    int32_t round, top = 0, best = INT32_MAX;
    cge_first_order(t, count, by, order);
    for (round = 0; round <= rounds; round++) {
        const int32_t end = place_all(t, count, order, placed, &top);
        if (end < best) {
            best = end;
            *best_round = round;
        }
        if (end == bound) break;
        cge_insert_at(order, top, top / 2);
    }
    return best;
}

CGE_INTERNAL int32_t cge_place_tensors(cge_tensor *t, int32_t count, int32_t operations, int16_t *order,
                                       int32_t *bound)
{
    int16_t *placed = order + count;
    int32_t by, round = 0, best = INT32_MAX, best_by = 0, best_round = 0;
    *bound = cge_count_alive(t, count, operations);
    if (*bound > CGE_MAX_ELEMS) return *bound;
    for (by = 0; by < CGE_FIRST_ORDERS; by++) {
        const int32_t end = place_rounds(t, count, order, placed, by, ROUNDS, *bound, &round);
        if (end == *bound) return end;
        if (end >= best) continue;
        best = end;
        best_by = by;
        best_round = round;
    }
    /* once more, up to the best round */
    return place_rounds(t, count, order, placed, best_by, best_round, *bound, &round);
}
