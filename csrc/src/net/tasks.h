/*
 * Work is cut into tasks that do not depend on each other: by samples, or by slices of what is summed over samples, so
 * that the order of additions into each element stays. Without an executor the caller's thread does it in one piece.
 */
#ifndef CGE_TASKS_H
#define CGE_TASKS_H

#include "net.h"

#if CGE_HOST

/* Tasks per thread. Two, so that a thread that was interrupted is caught up with; a weight gradient has one, since its
 * parts repeat what all of them need, and few kernel rows at a time fill no registers. Beside it four input gradients,
 * so that both threads end at about the same time: a step of net N takes 345 us instead of 357. But a layer without
 * pixels prepares its weights once for all samples of a task. */
enum { CGE_PER_THREAD = CGE_WINDOWS_PER_THREAD, CGE_WEIGHT_GRADS_PER_THREAD = 1, CGE_INPUT_GRADS_PER_THREAD = 4 };
enum { CGE_MAX_TOLD = 64 };

/* How many tasks to cut `items` into. */
CGE_INTERNAL int32_t cge_tasks_for(const cge_network *net, int32_t per_thread, int32_t items, int64_t work);

/* task(argument, 0 .. tasks - 1), in any order. */
CGE_INTERNAL void cge_run_tasks(const cge_network *net, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks);

/* Whether none of them, at most CGE_MAX_TOLD, returns 0. All are run. */
CGE_INTERNAL int cge_all_tasks(const cge_network *net, int (*task)(void *argument, int32_t index), void *argument, int32_t tasks);

/* Of `count` samples, those that layer l can take apart from each other: all, or in training one if it looks at all of them. */
CGE_INTERNAL int32_t cge_samples_apart(const cge_network *net, int32_t l, int32_t count);

/* Whether the tasks of a layer's weight gradient compute dx, too, so that what both need is worked out once. Parts of a batch
 * normalisation's channels have their own dx. */
CGE_INTERNAL int cge_computes_both(const cge_layer *l, int32_t weight_tasks);

/* Of layers begin .. end - 1 on one sample, in multiply-adds or elements. */
CGE_INTERNAL int64_t cge_layers_work(const cge_network *net, int32_t begin, int32_t end);

/* The layers from `begin` to the one returned, excluded, may run one after the other on some samples whatever has become
 * of the others: what they write to is kept until the step ends, or held their own samples before. Memory that alternates
 * (plan.c) must not be written to while another thread still reads what was there; and what looks at all samples is alone. */
CGE_INTERNAL int32_t cge_section_end(const cge_network *net, int32_t begin);

/* Backward, a section is layer `last`, with those before it that work in place. */
CGE_INTERNAL int32_t cge_section_begin(const cge_network *net, int32_t last);

#else /* boards have one core for this: no code for more */

enum { CGE_PER_THREAD, CGE_WEIGHT_GRADS_PER_THREAD, CGE_INPUT_GRADS_PER_THREAD };
enum { CGE_MAX_TOLD = 1 };

static inline int32_t cge_tasks_for(const cge_network *net, int32_t per_thread, int32_t items, int64_t work)
{
    (void)net, (void)per_thread, (void)items, (void)work;
    return 1;
}

CGE_INLINE void cge_run_tasks(const cge_network *net, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    int32_t i;
    (void)net;
    for (i = 0; i < tasks; i++) task(argument, i);
}

CGE_INLINE int cge_all_tasks(const cge_network *net, int (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    (void)net, (void)tasks;
    return task(argument, 0);
}

static inline int32_t cge_samples_apart(const cge_network *net, int32_t l, int32_t count)
{
    (void)net, (void)l;
    return count;
}

static inline int cge_computes_both(const cge_layer *l, int32_t weight_tasks)
{
    (void)l, (void)weight_tasks;
    return 0;
}

static inline int64_t cge_layers_work(const cge_network *net, int32_t begin, int32_t end)
{
    (void)net, (void)begin, (void)end;
    return 0;
}

static inline int32_t cge_section_end(const cge_network *net, int32_t begin)
{
    (void)begin;
    return net->model->layer_count;
}

static inline int32_t cge_section_begin(const cge_network *net, int32_t last)
{
    (void)net;
    return last;
}

#endif

#endif
