/* What placing in one memory (place.c) and in several (spread.c) share: who lives with whom, and orders of tensors. */
#ifndef CGE_PLACE_H
#define CGE_PLACE_H

#include "units.h"

enum { CGE_FIRST_ORDERS = 3 }; /* by elements times life, descending; by life; by elements */

static inline int cge_live_together(const cge_tensor *a, const cge_tensor *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static inline int32_t cge_end_of(const cge_tensor *t)
{
    return t->offset + t->elems;
}

static inline void cge_insert_by_offset(const cge_tensor *t, int16_t *placed, int32_t count, int32_t i)
{
    for (; count > 0 && t[placed[count - 1]].offset > t[i].offset; count--) placed[count] = placed[count - 1];
    placed[count] = (int16_t)i;
}

static inline int64_t cge_weight_of(const cge_tensor *t, int32_t by)
{
    const int64_t life = t->last - t->first + 1;
    return by == 0 ? t->elems * life : by == 1 ? life : t->elems;
}

static inline void cge_insert_at(int16_t *order, int32_t from, int32_t to)
{
    const int16_t moved = order[from];
    for (; from > to; from--) order[from] = order[from - 1];
    order[to] = moved;
}

static inline void cge_first_order(const cge_tensor *t, int32_t count, int32_t by, int16_t *order)
{
    int32_t n, to;
    for (n = 0; n < count; n++) {
        order[n] = (int16_t)n;
        for (to = n; to > 0 && cge_weight_of(&t[order[to - 1]], by) < cge_weight_of(&t[n], by);) to--;
        cge_insert_at(order, n, to);
    }
}

#endif
