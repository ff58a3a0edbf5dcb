/* A replay buffer: reservoir sampling, of the stream or of each class of it. */
#include "../base/config.h"
#include "../../include/cge_data.h"
#include "../base/counter.h"

enum { ADD_KEY = 3, DRAW_KEY = 4, NO_SLOT = -1 };

static cge_status check_counts(const cge_replay *r, const cge_replay_state *s)
{
    int64_t held = 0;
    int32_t c;
    for (c = 0; c < r->classes; c++) {
        const cge_replay_class *k = &r->counts[c];
        if (k->held < 0 || (uint64_t)k->held > k->seen || (k->full != 0 && k->full != 1)) return CGE_ERR_FORMAT;
        held += k->held;
    }
    return r->classes == 0 || held == s->held ? CGE_OK : CGE_ERR_FORMAT;
}

static cge_status check_replay(const cge_replay *r, const cge_replay_state *s)
{
    if (r == NULL || s == NULL || r->samples == NULL || r->labels == NULL) return CGE_ERR_NULL;
    if (r->sample_bytes < 1 || r->capacity < 1 || r->classes < 0) return CGE_ERR_ARGUMENT;
    if ((int64_t)r->sample_bytes * r->capacity > INT32_MAX) return CGE_ERR_OVERFLOW;
    if ((r->counts == NULL) != (r->classes == 0)) return CGE_ERR_NULL;
    if (!cge_is_aligned(r->labels, sizeof *r->labels) || !cge_is_aligned(r->counts, sizeof(uint64_t))) return CGE_ERR_ALIGN;
    if (s->held < 0 || s->held > r->capacity || (uint64_t)s->held > s->seen) return CGE_ERR_FORMAT;
    if (s->held < r->capacity && (uint64_t)s->held != s->seen) return CGE_ERR_FORMAT;
    return check_counts(r, s);
}

/* The slot of number n of what a class holds. */
static int32_t slot_of(const cge_replay *r, int32_t label, int32_t n)
{
    int32_t i;
    for (i = 0; i < r->capacity; i++)
        if (r->labels[i] == label && n-- == 0) return i;
    return NO_SLOT;
}

static int32_t largest_class(const cge_replay *r)
{
    int32_t c, largest = 0;
    for (c = 1; c < r->classes; c++)
        if (r->counts[c].held > r->counts[largest].held) largest = c;
    return largest;
}

/* From now on the largest classes take the place of their own samples alone. */
static void mark_largest(const cge_replay *r)
{
    const int32_t most = r->counts[largest_class(r)].held;
    int32_t c;
    for (c = 0; c < r->classes; c++)
        if (r->counts[c].held == most) r->counts[c].full = 1;
}

/* Where a sample goes when all slots are full; NO_SLOT: nowhere. */
static cge_status choose_slot(const cge_replay *r, uint64_t key, uint64_t seen, int32_t label, int32_t *slot)
{
    const int32_t balanced = r->classes > 0, largest = balanced ? largest_class(r) : 0;
    const int32_t own = balanced && (r->counts[label].full || r->counts[label].held == r->counts[largest].held);
    const int32_t from = own ? label : largest;
    const int32_t held = balanced ? r->counts[from].held : r->capacity;
    const uint64_t number = key % (own ? r->counts[label].seen + 1 : balanced ? (uint64_t)held : seen + 1);
    *slot = NO_SLOT;
    if (number >= (uint64_t)held) return CGE_OK;
    *slot = balanced ? slot_of(r, from, (int32_t)number) : (int32_t)number;
    return *slot == NO_SLOT ? CGE_ERR_FORMAT : CGE_OK;
}

static void count_sample(const cge_replay *r, cge_replay_state *s, int32_t label, int32_t slot)
{
    if (r->classes > 0 && s->held == r->capacity) {
        mark_largest(r);
        if (slot != NO_SLOT) r->counts[r->labels[slot]].held--;
    }
    if (r->classes > 0) {
        r->counts[label].seen++;
        r->counts[label].held += slot != NO_SLOT;
    }
    if (s->held < r->capacity) s->held++;
    s->seen++;
}

cge_status cge_replay_add(const cge_replay *r, cge_replay_state *state, const void *sample, int32_t label, int32_t *slot)
{
    int32_t to;
    CGE_TRY(check_replay(r, state));
    if (sample == NULL) return CGE_ERR_NULL;
    if (r->classes > 0 && (label < 0 || label >= r->classes)) return CGE_ERR_LABEL;
    to = state->held;
    if (to == r->capacity) CGE_TRY(choose_slot(r, cge_counter_key(r->seed, state->seen, ADD_KEY), state->seen, label, &to));
    count_sample(r, state, label, to);
    if (to != NO_SLOT) {
        memcpy((unsigned char *)r->samples + (size_t)to * (size_t)r->sample_bytes, sample, (size_t)r->sample_bytes);
        r->labels[to] = label;
    }
    if (slot != NULL) *slot = to;
    return CGE_OK;
}

cge_status cge_replay_draw(const cge_replay *r, cge_replay_state *state, int32_t n, int32_t *slots)
{
    int32_t i;
    CGE_TRY(check_replay(r, state));
    if (slots == NULL) return CGE_ERR_NULL;
    if (n < 1) return CGE_ERR_ARGUMENT;
    if (!cge_is_aligned(slots, sizeof *slots)) return CGE_ERR_ALIGN;
    if (state->held == 0) return CGE_ERR_MODE;
    for (i = 0; i < n; i++) slots[i] = (int32_t)(cge_counter_key(r->seed, state->drawn++, DRAW_KEY) % (uint64_t)state->held);
    return CGE_OK;
}
