/* Samples as the caller has them, and what is asked of them before anything is written. */
#ifndef CGE_SAMPLES_H
#define CGE_SAMPLES_H

#include "net.h"

typedef struct cge_sample_list {
    const void *x;
    const cge_targets *targets;
    const int32_t *order; /* number i of a batch is order[i]; NULL: i */
} cge_sample_list;

static inline int32_t cge_sample_index(const cge_sample_list *s, int32_t i)
{
    return s->order != NULL ? s->order[i] : i;
}

static inline int32_t cge_at_most(int32_t value, int32_t limit)
{
    return value < limit ? value : limit;
}

CGE_INTERNAL CGE_MUST_USE cge_status cge_check_samples(const cge_network *net, const void *x, int32_t count);

/* Samples begin .. end - 1 of a list of `count`. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_loss_call(const cge_network *net, const cge_sample_list *s, int32_t begin, int32_t end, int32_t count, const cge_real *mean_loss);

/* Samples 0 .. count - 1. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_targets_call(const cge_network *net, const cge_sample_list *s, int32_t count);

/* *end is where the part that goes on for up to `most` samples ends. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_part(const cge_progress *p, int32_t count, int32_t most, int32_t *end);

/* What evaluation adds for a sample: its loss, and what is right. */
CGE_INTERNAL void cge_note_sample(const cge_network *net, const cge_real *y, const cge_targets *targets, int32_t sample, cge_progress *p);

#endif
