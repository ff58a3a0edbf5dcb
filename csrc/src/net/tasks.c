/* Tasks among threads: hosts alone have them. */
#include "tasks.h"
#include "wiring.h"
#include "../base/fp_mode.h"

#if CGE_HOST

/* Work of a task that is worth another thread: so many multiply-adds, or elements of what only passes over them, take
 * some microseconds, and a section of tasks about one to begin and end. */
#define TASK_WORK 16384

CGE_INTERNAL int32_t cge_tasks_for(const cge_network *net, int32_t per_thread, int32_t items, int64_t work)
{
    const cge_executor *executor = net->options.executor;
    int64_t tasks;
    if (executor == NULL || executor->threads < 2) return 1;
    tasks = per_thread * (int64_t)executor->threads;
    if (tasks > work / TASK_WORK) tasks = work / TASK_WORK;
    if (tasks > items) tasks = items;
    return tasks > 1 ? (int32_t)tasks : 1;
}

/* A task as an executor gets it: the thread that takes it may compute in another mode than the caller's. */
typedef struct threads_task {
    void (*task)(void *argument, int32_t index);
    void *argument;
} threads_task;

static void run_on_thread(void *argument, int32_t index)
{
    CGE_OWN_FP_MODE
    const threads_task *t = (const threads_task *)argument;
    t->task(t->argument, index);
}

CGE_INTERNAL void cge_run_tasks(const cge_network *net, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    const cge_executor *executor = net->options.executor;
    threads_task on_thread = {task, argument};
    int32_t i;
    if (executor != NULL && tasks > 1)
        executor->run(executor->context, run_on_thread, &on_thread, tasks);
    else
        for (i = 0; i < tasks; i++) task(argument, i);
}

typedef struct told_task {
    int (*asked)(void *argument, int32_t index);
    void *argument;
    unsigned char told[CGE_MAX_TOLD];
} told_task;

static void tell_task(void *argument, int32_t index)
{
    told_task *t = (told_task *)argument;
    t->told[index] = t->asked(t->argument, index) != 0;
}

CGE_INTERNAL int cge_all_tasks(const cge_network *net, int (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    told_task t;
    int32_t i;
    t.asked = task;
    t.argument = argument;
    cge_run_tasks(net, tell_task, &t, tasks);
    for (i = 0; i < tasks; i++)
        if (!t.told[i]) return 0;
    return 1;
}

CGE_INTERNAL int64_t cge_layers_work(const cge_network *net, int32_t begin, int32_t end)
{
    const cge_layer_plan *plan = cge_layer_plans(net) + begin;
    int64_t work = 0;
    for (; begin < end; begin++, plan++)
        work += plan->weights != 0 ? (int64_t)plan->weights * plan->out.h * plan->out.w : cge_shape_elems(plan->in);
    return work;
}

CGE_INTERNAL int32_t cge_samples_apart(const cge_network *net, int32_t l, int32_t count)
{
    return net->options.training && cge_learns_by_batch(&net->model->layers[l]) ? 1 : count;
}

CGE_INTERNAL int cge_computes_both(const cge_layer *l, int32_t weight_tasks)
{
    if ((l->kind->traits & CGE_BY_GROUPS) == 0) return 0;
    return weight_tasks == 1 || (weight_tasks > 1 && cge_normalises_batch(l));
}

/* From the first layer that learns on, all that is written to is kept. */
static int follows_in_section(const cge_network *net, int32_t l)
{
    if (cge_samples_apart(net, l, 2) == 1 || cge_samples_apart(net, l - 1, 2) == 1) return 0;
    return l > net->first_trainable || (l < net->first_trainable && cge_wiring_of(net, l).y == cge_wiring_of(net, l - 1).y);
}

CGE_INTERNAL int32_t cge_section_end(const cge_network *net, int32_t begin)
{
    int32_t l = begin + 1;
    while (l < net->model->layer_count && follows_in_section(net, l)) l++;
    return l;
}

/* Its gradients lie in the place of the one it gets, and no others. */
static int goes_on_in_place(const cge_network *net, int32_t l, int32_t place)
{
    const cge_wiring w = cge_wiring_of(net, l);
    return w.dy == place && w.dx[0] == place && w.dx[1] < 0 && w.adds == 0;
}

CGE_INTERNAL int32_t cge_section_begin(const cge_network *net, int32_t last)
{
    const int32_t place = cge_wiring_of(net, last).dx[0];
    int32_t l = last;
    while (l - 1 > net->first_trainable && goes_on_in_place(net, l - 1, place)) l--;
    return l;
}

#endif
