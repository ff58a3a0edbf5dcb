/*
 * Any capacity, any executor, any number of threads: the same bits as one sample after the other on one thread. On boards,
 * where one core does all, with an executor that runs tasks last to first; on hosts also with pools of threads.
 */
#ifndef CGE_BARE_METAL
#define _POSIX_C_SOURCE 200112L /* fork, nanosleep */
#endif

#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SEED = 31, SEED_X = 301, SEED_VALUES };

/* ---- one life of a network, as hashes ------------------------------------------------------------------------------- */

typedef struct life {
    uint64_t grads, outputs, params, inference;
    float losses[3];
    int32_t correct;
} life;

typedef struct workplace { /* what it needs, for `samples` samples */
    const cge_model *model;
    const cge_plan *plans[2]; /* to predict, to train; NULL: without */
    int32_t samples;
    float *x, *values, *y;
    int32_t *labels, *order;
    void *arena;
    size_t arena_bytes;
} workplace;

static uint64_t hash_of(const float *x, int32_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int32_t i = 0; i < n; i++) hash = (hash ^ float_bits(x[i])) * 0x100000001b3u;
    return hash;
}

static void fill(workplace *w, int32_t in_elems, int32_t out_elems)
{
    for (int32_t i = 0; i < w->samples * in_elems; i++) w->x[i] = operand(SEED_X, i);
    for (int32_t i = 0; i < w->samples * out_elems; i++) w->values[i] = operand(SEED_VALUES, i);
    for (int32_t i = 0; i < w->samples; i++) w->labels[i] = (i * 5 + 1) % out_elems;
    for (int32_t i = 0; i < w->samples; i++) w->order[i] = (i * 7 + 2) % w->samples; /* a permutation: 7 does not divide */
}

/* One step by parts, an epoch in batches of 8, then inference with the weights outside. 0 if something was refused. */
static int live(workplace *w, int32_t capacity, const cge_executor *executor, life *result)
{
    const cge_options training = {1, capacity, NULL, executor, w->plans[1]};
    cge_options inference = {0, capacity, NULL, executor, w->plans[0]};
    const cge_targets targets = {w->labels, w->values};
    cge_optimizer *o;
    cge_network net;
    int ok = 1;
    memset(result, 0, sizeof *result);
    ok &= cge_network_init(&net, w->model, &training, w->arena, w->arena_bytes) == CGE_OK;
    if (!ok) return 0;
    fill(w, net.in_elems, net.out_elems);
    o = &net.optimizer;
    ok &= cge_network_init_params(&net, SEED) == CGE_OK;
    ok &= cge_network_accumulate(&net, w->x, &targets, w->samples, &result->losses[0]) == CGE_OK;
    result->grads = hash_of(net.grads, net.grad_elems);
    ok &= o->kind == NULL || cge_network_update(&net) == CGE_OK;
    ok &= o->kind == NULL || cge_network_train_epoch(&net, w->x, &targets, w->order, w->samples, 8, &result->losses[1]) == CGE_OK;
    ok &= cge_network_evaluate(&net, w->x, &targets, w->samples, &result->losses[2], &result->correct) == CGE_OK;
    ok &= cge_network_forward(&net, w->x, w->samples, w->y) == CGE_OK;
    result->outputs = hash_of(w->y, w->samples * net.out_elems);
    result->params = hash_of(net.params, net.param_elems);
    /* In the same arena, behind the parameters that it is given. */
    inference.params = net.params;
    if (net.param_elems > 0) {
        const size_t kept = (size_t)((unsigned char *)(net.params + net.param_elems) - (unsigned char *)w->arena + 7) / 8 * 8;
        ok &= cge_network_init(&net, w->model, &inference, (unsigned char *)w->arena + kept, w->arena_bytes - kept) == CGE_OK;
        if (ok) ok &= cge_network_forward(&net, w->x, w->samples, w->y) == CGE_OK;
        result->inference = hash_of(w->y, w->samples * net.out_elems);
    }
    return ok;
}

static void check_life(const life *expected, const life *got)
{
    CHECK(expected->grads == got->grads);
    CHECK(expected->params == got->params);
    CHECK(expected->outputs == got->outputs);
    CHECK(expected->inference == got->inference);
    CHECK(expected->correct == got->correct);
    for (int32_t i = 0; i < 3; i++) CHECK_SAME(expected->losses[i], got->losses[i], i);
}

/* ---- an executor without threads -------------------------------------------------------------------------------------- */

typedef struct backwards { /* what happens to be first may come last */
    int32_t runs, tasks, pairs;
} backwards;

static void run_backwards(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    backwards *b = (backwards *)context;
    b->runs++;
    b->tasks += tasks;
    b->pairs += tasks == 2;
    while (tasks > 0) task(argument, --tasks);
}

/* ---- every target: the small models ------------------------------------------------------------------------------------ */

/* Room for a training network of this capacity and, behind its parameters, one for inference. */
static size_t arena_bytes(const workplace *w, int32_t capacity)
{
    const cge_model *model = w->model;
    const cge_options training = {1, capacity, NULL, NULL, w->plans[1]}, inference = {0, capacity, NULL, NULL, w->plans[0]};
    size_t bytes = 0, more = 0;
    CHECK_OK(cge_network_arena_bytes(model, &training, &bytes));
    CHECK_OK(cge_network_arena_bytes(model, &inference, &more));
    return bytes + more + 8;
}

static void test_small(const test_model *m)
{
    enum { SMALL_SAMPLES = 3 };
    backwards b = {0, 0, 0};
    const cge_executor executor = {run_backwards, &b, 4};
    life expected, got;
    workplace w;
    cge_layer_info last;
    CHECK_OK(cge_model_layer_info(&m->model, m->model.layer_count - 1, &last));
    int32_t in_elems = m->model.input.h * m->model.input.w * m->model.input.c, out_elems = last.out.h * last.out.w * last.out.c;
    memset(&w, 0, sizeof w);
    w.model = &m->model;
    w.samples = SMALL_SAMPLES;
    w.arena_bytes = arena_bytes(&w, SMALL_SAMPLES);
    if (!check_room(m->name, w.arena_bytes + 4 * SMALL_SAMPLES * (size_t)(in_elems + 2 * out_elems + 2))) return;
    w.x = check_floats(SMALL_SAMPLES * in_elems);
    w.values = check_floats(SMALL_SAMPLES * out_elems);
    w.y = check_floats(SMALL_SAMPLES * out_elems);
    w.labels = check_ints(SMALL_SAMPLES);
    w.order = check_ints(SMALL_SAMPLES);
    w.arena = check_bytes(w.arena_bytes);
    CHECK(live(&w, 1, NULL, &expected));
    for (int32_t capacity = 1; capacity <= SMALL_SAMPLES; capacity++) {
        CHECK(live(&w, capacity, NULL, &got));
        check_life(&expected, &got);
        CHECK(live(&w, capacity, &executor, &got));
        check_life(&expected, &got);
    }
}

static void test_refused_executors(void)
{
    const cge_executor no_function = {NULL, NULL, 2}, no_thread = {run_backwards, NULL, 0}, negative = {run_backwards, NULL, -1};
    const cge_executor *const refused[] = {&no_function, &no_thread, &negative};
    size_t bytes = 0;
    check_case("refused executors");
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        const cge_options options = {1, 1, NULL, refused[i], NULL};
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&convnet, &options, &bytes));
    }
    CHECK(bytes == 0);
}

/* ---- hosts: networks that are worth more than one task, and pools of threads --------------------------------------------- */

#ifndef CGE_BARE_METAL

#include "cge_host.h"

#include <pthread.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 33, MEMORY_BYTES = 3 << 20, WORKPLACES = 3 };

static const cge_layer pictures[] = {
    CONV(8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), /* 8x8x4 -> 8x8x8 */
    PLAIN(relu),
    POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), /* 4x4x8 */
    CONV(12, 3, 2, 1, 1, 1, 1, 1, 0, 2, 0),  /* two groups */
    PLAIN(tanh),
    POOL(avgpool2d, 2, 2, 1, 1, 0, 0, 0, 0),
    PLAIN(flatten),
    DENSE(40, 0, 0),
    LEAKY(0.1f),
    DENSE(10, 0, 0),
};
static const cge_layer vectors[] = {DENSE(200, 0, CGE_INIT_GLOROT_UNIFORM), PLAIN(tanh), DENSE(190, 0, CGE_INIT_GLOROT_UNIFORM), PLAIN(relu), DENSE(17, CGE_NO_BIAS, 0), PLAIN(sigmoid)};
/* Activations of frozen layers alternate in memory, and these grow: what a layer writes reaches over what the one before
 * the last wrote for other samples. */
static const cge_layer growing[] = {
    CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), CONV(9, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN),
    PLAIN(relu), CONV(12, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_FROZEN), PLAIN(sigmoid), CONV(8, 3, 3, 2, 2, 1, 1, 1, 1, 1, 0), PLAIN(relu), DENSE(12, CGE_FROZEN, 0), PLAIN(tanh), DENSE(5, 0, 0),
};
static const cge_layer separable[] = {
    CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 3, 0), CONV(16, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), CONV(16, 5, 5, 1, 1, 2, 2, 2, 2, 16, 0), CONV(24, 1, 1, 1, 1, 0, 0, 0, 0, 1, CGE_NO_BIAS), PLAIN(relu), PLAIN(global_avgpool2d),
};
static const cge_layer all_frozen[] = {CONV(16, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(sigmoid), DENSE(7, CGE_FROZEN, 0)};

#define CROSS_ENTROPY &cge_softmax_cross_entropy
#define SQUARED_ERROR &cge_mean_squared_error

static const test_model large_models[] = {
    {"pictures", {{8, 8, 4}, TABLE(pictures), CROSS_ENTROPY, {&cge_sgd, 0.05f, 0.9f, 1e-3f, 1}, NULL, 0, 0}},
    {"vectors", {{1, 1, 64}, TABLE(vectors), SQUARED_ERROR, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0}},
    {"growing", {{9, 7, 2}, TABLE(growing), CROSS_ENTROPY, {&cge_sgd, 0.05f, 0, 0, 0}, NULL, 0, 0}},
    {"separable", {{8, 9, 3}, TABLE(separable), CROSS_ENTROPY, {&cge_sgd, 0.05f, 0.9f, 0, 0}, NULL, 0, 0}},
    {"all frozen", {{8, 8, 3}, TABLE(all_frozen), CROSS_ENTROPY, {&cge_sgd, 0.05f, 0.9f, 0, 0}, NULL, 0, 0}},
};

#define CONV3(filters, flags_) CONV(filters, 3, 3, 1, 1, 1, 1, 1, 1, 1, flags_)
#define READS(first, second) .from = {first, second}

/* Outputs that are read once, twice and three times, by layers of every sort. */
static const cge_layer branches[] = {
    CONV3(8, 0), PLAIN(relu), CONV3(8, 0), NORM(group_norm, 0, .groups = 2), /* 0 .. 3 */
    {.kind = &cge_kind_leaky_relu, READS(2, 0)}, /* 4: row 1 beside row 2 */
    {.kind = &cge_kind_group_norm, .config = &(const cge_norm){.groups = 4}, READS(2, 0)},
    {.kind = &cge_kind_add, READS(4, 0)}, {.kind = &cge_kind_add, READS(0, 2)}, /* 6: rows 3, 5; 7: rows 6, 1 */
    {.kind = &cge_kind_add, READS(5, 0)}, CONV3(8, 0), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), /* 8: rows 4, 7; 10: 4x4x8 */
    CONV3(12, 0), {.kind = &cge_kind_concat, READS(11, 12)}, /* 12: rows 10, 11, which others read, too */
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 5, WINDOW(1, 1, 1, 1, 0, 0, 0, 0)), .flags = CGE_FROZEN, READS(11, 0)},
    {.kind = &cge_kind_concat, READS(0, 12)}, {.kind = &cge_kind_add, READS(15, 15)}, PLAIN(tanh), /* 14: rows 13, 11 */
    {.kind = &cge_kind_concat, READS(0, 11)}, {.kind = &cge_kind_concat, READS(0, 13)}, /* 17: rows 16, 10; 18: rows 17, 12 */
    PLAIN(flatten), DENSE(40, 0, 0), PLAIN(relu),
    {.kind = &cge_kind_flatten, READS(CGE_INPUT, 0)}, DENSE(40, 0, 0), /* 22, 23: the input once more */
    {.kind = &cge_kind_add, READS(0, 22)}, DENSE(10, 0, 0), PLAIN(flatten),
};
/* What does not learn alternates in memory, beside a branch that does. */
static const cge_layer frozen_branches[] = {
    CONV3(6, CGE_FROZEN), PLAIN(relu), CONV3(9, CGE_FROZEN), CONV3(6, CGE_FROZEN), /* 0 .. 3 */
    {.kind = &cge_kind_add, READS(0, 2)},
    CONV3(12, 0), PLAIN(relu), /* 5, 6 */
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = 12, WINDOW(3, 3, 1, 1, 1, 1, 1, 1)), .flags = CGE_FROZEN, READS(3, 0)},
    PLAIN(tanh), /* 7, 8: of row 2 */
    {.kind = &cge_kind_add, READS(7, 0)}, {.kind = &cge_kind_concat, READS(5, 0)}, /* 9: rows 6, 8; 10: rows 4, 9 */
    DENSE(5, 0, 0),
};

static const test_model large_graphs[] = {
    {"branches", {{8, 8, 4}, TABLE(branches), CROSS_ENTROPY, {&cge_sgd, 0.02f, 0.9f, 1e-3f, 1}, NULL, 0, 0}},
    {"frozen branches", {{9, 7, 2}, TABLE(frozen_branches), CROSS_ENTROPY, {&cge_sgd, 0.05f, 0, 0, 0}, NULL, 0, 0}},
};

/* Not from the pool of check.h, which is as large as a board's. */
static uint64_t memory[WORKPLACES][MEMORY_BYTES / 8];

static void take(unsigned char **from, size_t bytes, void *pointer)
{
    memcpy(pointer, from, sizeof *from);
    *from += (bytes + 15) / 16 * 16;
}

static workplace workplace_with_plans(const cge_model *model, const cge_plan *plans, uint64_t *place)
{
    enum { MAX_IN = 512, MAX_OUT = 32 };
    unsigned char *free_bytes = (unsigned char *)place;
    workplace w;
    memset(&w, 0, sizeof w);
    w.model = model;
    for (int32_t i = 0; plans != NULL && i < 2; i++) w.plans[i] = &plans[i];
    w.samples = SAMPLES;
    take(&free_bytes, sizeof(float) * SAMPLES * MAX_IN, &w.x);
    take(&free_bytes, sizeof(float) * SAMPLES * MAX_OUT, &w.values);
    take(&free_bytes, sizeof(float) * SAMPLES * MAX_OUT, &w.y);
    take(&free_bytes, sizeof(int32_t) * SAMPLES, &w.labels);
    take(&free_bytes, sizeof(int32_t) * SAMPLES, &w.order);
    w.arena = free_bytes;
    w.arena_bytes = arena_bytes(&w, plans != NULL && plans[0].level != &cge_memory_fast ? 1 : SAMPLES);
    CHECK(free_bytes + w.arena_bytes <= (unsigned char *)place + MEMORY_BYTES);
    return w;
}

static workplace large_workplace(const cge_model *model, uint64_t *place)
{
    return workplace_with_plans(model, NULL, place);
}

typedef struct pool_memory {
    union {
        uint64_t align;
        unsigned char bytes[4096];
    } memory;
    cge_thread_pool *pool;
} pool_memory;

static int start(pool_memory *p, int32_t threads)
{
    return CHECK(cge_thread_pool_bytes() <= sizeof p->memory) &&
           CHECK_OK(cge_thread_pool_start(&p->memory, cge_thread_pool_bytes(), threads, &p->pool));
}

/* Every way gives what `expected` says. */
static void check_lives(workplace *w, int fewer, const life *expected)
{
    static const int32_t capacities[] = {SAMPLES, 1, 8, 2, 3}, threads[] = {5, 2, 1, 3};
    const int32_t capacity_count = fewer ? 1 : COUNT_OF(capacities), thread_count = fewer ? 1 : COUNT_OF(threads);
    backwards b = {0, 0, 0};
    const cge_executor executor = {run_backwards, &b, 4};
    life got;
    for (int32_t c = 0; c < capacity_count; c++) {
        CHECK(live(w, capacities[c], NULL, &got));
        check_life(expected, &got);
        b.runs = b.tasks = b.pairs = 0;
        CHECK(live(w, capacities[c], &executor, &got));
        check_life(expected, &got);
        CHECK(capacities[c] < 8 || (b.runs > 0 && b.tasks >= 2 * b.runs)); /* else this proves nothing */
        CHECK(capacities[c] != 2 || b.pairs > 0); /* two tasks are work for two threads */
    }
    for (int32_t t = 0; t < thread_count; t++) {
        pool_memory p;
        if (!start(&p, threads[t])) return;
        for (int32_t c = 0; c < capacity_count; c++) {
            CHECK(live(w, capacities[c], cge_thread_pool_executor(p.pool), &got));
            check_life(expected, &got);
        }
        cge_thread_pool_stop(p.pool);
    }
}

static void test_large(const test_model *m)
{
    workplace w = large_workplace(&m->model, memory[0]);
    life expected;
    check_case(m->name);
    CHECK(live(&w, 1, NULL, &expected));
    check_lives(&w, CHECK_FEWER, &expected);
}

static int make_plans(const cge_model *model, const cge_memory_level *level, uint64_t *place, cge_plan *plans)
{
    for (int32_t training = 0; training < 2; training++, place += MEMORY_BYTES / 16)
        if (!CHECK_OK(cge_plan_make(model, level, training, place, MEMORY_BYTES / 2, &plans[training]))) return 0;
    return 1;
}

/* What units do with one sample after the other, layers do with many. */
static void test_large_graph(const test_model *m)
{
    cge_plan small[2], fast[2];
    workplace w;
    life expected, got;
    check_case(m->name);
    if (!make_plans(&m->model, &cge_memory_small, memory[1], small)) return;
    if (!make_plans(&m->model, &cge_memory_fast, memory[2], fast)) return;
    w = workplace_with_plans(&m->model, small, memory[0]);
    CHECK(live(&w, 1, NULL, &expected));
    w = workplace_with_plans(&m->model, fast, memory[0]);
    check_lives(&w, 1, &expected);
    if (CHECK(live(&w, 3, NULL, &got))) check_life(&expected, &got);
}

/* A NaN in any slice of the gradients stops the update. */
static void test_not_finite_slices(void)
{
    workplace w = large_workplace(&large_models[1].model, memory[0]);
    cge_network net;
    pool_memory p;
    uint64_t before, after;
    const cge_targets targets = {NULL, w.values};
    float loss = 0;
    check_case("gradients that are not finite");
    if (!start(&p, 2)) return;
    const cge_options options = {1, 8, NULL, cge_thread_pool_executor(p.pool), NULL};
    if (!CHECK_OK(cge_network_init(&net, w.model, &options, w.arena, w.arena_bytes))) return;
    fill(&w, net.in_elems, net.out_elems);
    CHECK_OK(cge_network_init_params(&net, SEED));
    CHECK_OK(cge_network_params_hash(&net, &before));
    for (int32_t i = 0; i < 8; i++) {
        CHECK_OK(cge_network_accumulate(&net, w.x, &targets, 8, &loss));
        net.grads[(net.grad_elems - 1) / 7 * i] = float_from_bits(0x7fc00000u);
        CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_update(&net));
        CHECK(net.pending == 0 && net.step_count == 0);
        for (int32_t j = 0; j < net.grad_elems; j++)
            if (float_bits(net.grads[j]) != 0) CHECK(0);
    }
    CHECK_OK(cge_network_params_hash(&net, &after));
    CHECK(before == after);
    cge_thread_pool_stop(p.pool);
}

/* ---- pools ---------------------------------------------------------------------------------------------------------------- */

static void sleep_ms(long ms)
{
    const struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

static void count_task(void *argument, int32_t index)
{
    ((unsigned char *)argument)[index]++;
}

static void slow_task(void *argument, int32_t index)
{
    sleep_ms(2);
    count_task(argument, index);
}

/* Each task runs once, and all are done when run returns. */
static void check_section(const cge_executor *e, void (*task)(void *, int32_t), int32_t tasks)
{
    static unsigned char counts[1000];
    int32_t once = 0;
    memset(counts, 0, sizeof counts);
    e->run(e->context, task, counts, tasks);
    for (int32_t i = 0; i < COUNT_OF(counts); i++) once += counts[i] == (i < tasks);
    CHECK(once == COUNT_OF(counts));
}

static void test_sections(void)
{
    static const int32_t tasks[] = {0, 1, 2, 3, 7, 64, 1000};
    for (int32_t threads = 1; threads <= CGE_MAX_THREADS; threads = threads * 3 + 1) {
        pool_memory p;
        if (!start(&p, threads)) return;
        const cge_executor *e = cge_thread_pool_executor(p.pool);
        CHECK(e->threads == threads);
        check_case("sections one after the other");
        for (int32_t i = 0; i < 50; i++)
            for (int32_t j = 0; j < COUNT_OF(tasks); j++) check_section(e, count_task, tasks[j]);
        check_case("threads that fell asleep");
        for (int32_t i = 0; i < 3; i++) {
            sleep_ms(3);
            check_section(e, count_task, 64);
        }
        check_case("a caller that falls asleep");
        check_section(e, slow_task, 5);
        cge_thread_pool_stop(p.pool);
    }
}

/* Of T threads that are all at work, thread t runs the tasks t, t + T, ... */
enum { OWNERS = 3, ROUNDS = 4 };
static pthread_t runner[OWNERS * ROUNDS];
static int32_t arrived;

static void wait_for_all(void *argument, int32_t index)
{
    (void)argument;
    runner[index] = pthread_self();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) / OWNERS <= index / OWNERS) sleep_ms(1); /* each has one */
}

static void test_own_tasks_first(void)
{
    pool_memory p;
    check_case("own tasks first");
    if (!start(&p, OWNERS)) return;
    const cge_executor *e = cge_thread_pool_executor(p.pool);
    for (int32_t section = 0; section < 5; section++) {
        arrived = 0;
        e->run(e->context, wait_for_all, NULL, OWNERS * ROUNDS);
        for (int32_t i = OWNERS; i < OWNERS * ROUNDS; i++) CHECK(pthread_equal(runner[i], runner[i % OWNERS]));
        CHECK(pthread_equal(runner[0], pthread_self()));
    }
    cge_thread_pool_stop(p.pool);
}

static void test_starts_and_stops(void)
{
    check_case("many starts and stops");
    for (int32_t i = 0; i < (CHECK_FEWER ? 20 : 200); i++) {
        pool_memory p;
        if (!start(&p, 1 + i % 4)) return;
        if (i % 3 != 0) check_section(cge_thread_pool_executor(p.pool), count_task, i % 8);
        cge_thread_pool_stop(p.pool);
    }
    cge_thread_pool_stop(NULL);
    for (int32_t i = 0; i < 3; i++) { /* as many as there may be */
        pool_memory p;
        if (!start(&p, CGE_MAX_THREADS)) return;
        if (i > 0) check_section(cge_thread_pool_executor(p.pool), count_task, 1000);
        cge_thread_pool_stop(p.pool);
    }
}

static void test_refused_starts(void)
{
    static const int32_t wrong[] = {0, -1, CGE_MAX_THREADS + 1, INT32_MAX, INT32_MIN};
    if (!check_room("refused starts", 4096)) return;
    unsigned char *bytes = check_bytes(4096);
    cge_thread_pool *pool = NULL;
    const size_t needed = cge_thread_pool_bytes();
    CHECK(needed > 0 && needed <= 4000);
    CHECK_REFUSED(CGE_ERR_NULL, cge_thread_pool_start(NULL, needed, 2, &pool));
    CHECK_REFUSED(CGE_ERR_NULL, cge_thread_pool_start(bytes, needed, 2, NULL));
    for (int32_t i = 0; i < COUNT_OF(wrong); i++) CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_thread_pool_start(bytes, needed, wrong[i], &pool));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_thread_pool_start(bytes + 1, needed, 2, &pool));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_thread_pool_start(bytes, needed - 1, 2, &pool));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_thread_pool_start(bytes, 0, 2, &pool));
    CHECK(pool == NULL);
}

/* ---- several networks at once ------------------------------------------------------------------------------------------------ */

typedef struct trainer {
    workplace w;
    life result;
    pool_memory p;
    int ok;
} trainer;

static void *train(void *argument)
{
    trainer *t = (trainer *)argument;
    t->ok = live(&t->w, 8, cge_thread_pool_executor(t->p.pool), &t->result);
    return NULL;
}

static void test_networks_at_once(void)
{
    static trainer trainers[WORKPLACES];
    life expected[WORKPLACES];
    pthread_t threads[WORKPLACES];
    for (int32_t i = 0; i < WORKPLACES; i++) {
        trainers[i].w = large_workplace(&large_models[i].model, memory[i]);
        check_case("several networks at once");
        CHECK(live(&trainers[i].w, 1, NULL, &expected[i]));
        if (!start(&trainers[i].p, 2 + i)) return;
    }
    for (int32_t round = 0; round < (CHECK_FEWER ? 1 : 3); round++) {
        for (int32_t i = 0; i < WORKPLACES; i++)
            if (!CHECK(pthread_create(&threads[i], NULL, train, &trainers[i]) == 0)) return;
        for (int32_t i = 0; i < WORKPLACES; i++) pthread_join(threads[i], NULL);
        for (int32_t i = 0; i < WORKPLACES; i++) {
            CHECK(trainers[i].ok);
            check_life(&expected[i], &trainers[i].result);
        }
    }
    for (int32_t i = 0; i < WORKPLACES; i++) cge_thread_pool_stop(trainers[i].p.pool);
}

/* ---- fork ---------------------------------------------------------------------------------------------------------------------- */

/* The child has a copy of the pool and none of its threads: it works alone, and stopping the copy returns. */
static void test_fork(void)
{
    static unsigned char counts[64];
    pool_memory p;
    int status = -1;
    check_case("fork");
    for (int32_t i = 0; i < 4; i++) {
        if (!start(&p, 3)) return;
        const cge_executor *e = cge_thread_pool_executor(p.pool);
        check_section(e, count_task, 64);
        if (i % 2 != 0) sleep_ms(3); /* the threads have fallen asleep */
        pid_t child = fork();
        if (child == 0) {
            int wrong = 0;
            memset(counts, 0, sizeof counts);
            e->run(e->context, count_task, counts, 64);
            for (int32_t j = 0; j < 64; j++) wrong += counts[j] != 1;
            cge_thread_pool_stop(p.pool);
            _exit(wrong);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        check_section(e, count_task, 64);
        cge_thread_pool_stop(p.pool);
    }
}

static void test_kernel_set_name(void)
{
    static const char *const names[] = {"ref", "small", "tiled", "lanes", "lanes_avx2", "lanes_avx512"};
    int known = 0;
    for (int32_t i = 0; i < COUNT_OF(names); i++) known += strcmp(names[i], cge_kernel_set_name()) == 0;
    CHECK(known == 1);
}

static void test_host(void)
{
    test_kernel_set_name();
    for (int32_t i = 0; i < COUNT_OF(large_models); i++) test_large(&large_models[i]);
    for (int32_t i = 0; i < COUNT_OF(large_graphs); i++) test_large_graph(&large_graphs[i]);
    test_not_finite_slices();
    test_sections();
    test_own_tasks_first();
    test_starts_and_stops();
    test_refused_starts();
    test_networks_at_once();
    test_fork();
}

#else

static void test_host(void)
{
}

#endif

void suite_threads(void)
{
    for (int32_t i = 0; i < test_model_count; i++) test_small(&test_models[i]);
    test_refused_executors();
    test_host();
}
