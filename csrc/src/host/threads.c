/*
 * A pool of threads for short tasks. A step of a small network is cut into sections of some 20 to 200 microseconds: a
 * thread that sleeps would take longer to wake than its share of the work. So whoever waits first looks in a loop for a
 * while (SPIN_NS), if every thread has a processor, and then sleeps.
 *
 * Threads take tasks, nobody hands them out. A section is over when its tasks are done, whether or not a thread woke up
 * for it: what is late, or kept from its processor by another program, is not waited for unless it holds a task.
 *
 * Of T threads, thread t first takes the tasks t, t + T, t + 2 T, ... and then those of others: it meets in every section
 * the samples that its own cache holds. A step that takes 517 us on two cores without a common cache takes 501 us so.
 */
#include "../base/config.h"
#include "../../include/cge_host.h"

#if CGE_HOST && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 50000 /* longer than the gaps between the sections of a step, about as long as waking up takes */
enum { LOOKS = 64 };  /* between two looks at the clock */

/* Where threads sleep until a counter changes. */
typedef struct gate {
    pthread_cond_t cond;
    int32_t sleepers; /* atomic */
} gate;

/* A thread and its tasks. */
typedef struct worker {
    cge_thread_pool *pool;
    pthread_t thread; /* of worker 0: the caller's, not kept */
    int32_t own;      /* tasks in this section */
    int32_t left;     /* atomic: of these, nobody has taken */
} worker;

struct cge_thread_pool {
    cge_executor executor;
    pthread_mutex_t mutex; /* held to fall asleep and to wake */
    gate work, end;
    worker workers[CGE_MAX_THREADS];
    int32_t started; /* threads of our own */
    int spins;       /* every thread has a processor */
    pid_t process;   /* threads do not survive fork() */
    /* One section. Written while left is 0 and unfinished is 0, read by who has taken a task. */
    void (*task)(void *argument, int32_t index);
    void *argument;
    /* Atomic. */
    int32_t left;       /* tasks that nobody has taken; STOP: threads end */
    int32_t unfinished; /* tasks that are not done */
};

enum { STOP = -1 };

/* All in one order (the default of these would be weaker): a gate relies on it. */
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_SEQ_CST)
#define ADD(x, value) __atomic_add_fetch(&(x), (value), __ATOMIC_SEQ_CST)
#define EXCHANGE_IF(x, expected, value) __atomic_compare_exchange_n(&(x), &(expected), (value), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- waiting ---- */

static int is_zero(int32_t *counter)
{
    return LOAD(*counter) == 0;
}

/* Whether the counter comes to zero (zero = 1) or leaves it (zero = 0) within SPIN_NS. */
static int comes_soon(const cge_thread_pool *pool, int32_t *counter, int zero)
{
    int64_t start;
    int i;
    if (is_zero(counter) == zero) return 1;
    if (!pool->spins) return 0;
    start = nanoseconds();
    do {
        for (i = 0; i < LOOKS; i++) {
            pause_briefly();
            if (is_zero(counter) == zero) return 1;
        }
    } while (nanoseconds() - start < SPIN_NS);
    return 0;
}

/* Either the sleeper sees the new value of the counter, or who changed it sees the sleeper. */
static void wait_until(cge_thread_pool *pool, gate *g, int32_t *counter, int zero)
{
    if (comes_soon(pool, counter, zero)) return;
    pthread_mutex_lock(&pool->mutex);
    ADD(g->sleepers, 1);
    while (is_zero(counter) != zero) pthread_cond_wait(&g->cond, &pool->mutex);
    ADD(g->sleepers, -1);
    pthread_mutex_unlock(&pool->mutex);
}

/* After a change of the counter. */
static void open_gate(cge_thread_pool *pool, gate *g)
{
    if (LOAD(g->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- working ---- */

/* A task of the worker's, or else of the next one that has any. There is one: the caller has taken it off pool->left. */
static int32_t find_task(cge_thread_pool *pool, int32_t index)
{
    const int32_t threads = pool->executor.threads;
    int32_t i, left;
    for (i = index;; i = (i + 1) % threads) {
        worker *w = &pool->workers[i];
        left = LOAD(w->left);
        while (left > 0)
            if (EXCHANGE_IF(w->left, left, left - 1)) return i + (w->own - left) * threads;
    }
}

/* Takes tasks until none is left. */
static void work(cge_thread_pool *pool, int32_t index)
{
    int32_t left = LOAD(pool->left);
    while (left > 0) {
        if (!EXCHANGE_IF(pool->left, left, left - 1)) continue; /* left is what it is now */
        pool->task(pool->argument, find_task(pool, index));
        if (ADD(pool->unfinished, -1) == 0) open_gate(pool, &pool->end);
        left = LOAD(pool->left);
    }
}

static void *thread_main(void *argument)
{
    const worker *w = (const worker *)argument;
    cge_thread_pool *pool = w->pool;
    do {
        wait_until(pool, &pool->work, &pool->left, 0);
        work(pool, (int32_t)(w - pool->workers));
    } while (LOAD(pool->left) != STOP);
    return NULL;
}

static void run(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    cge_thread_pool *pool = (cge_thread_pool *)context;
    const int32_t threads = pool->executor.threads;
    int32_t i;
    if (pool->started == 0 || pool->process != getpid()) {
        for (i = 0; i < tasks; i++) task(argument, i);
        return;
    }
    pool->task = task;
    pool->argument = argument;
    for (i = 0; i < threads; i++) {
        pool->workers[i].own = (tasks + threads - 1 - i) / threads;
        STORE(pool->workers[i].left, pool->workers[i].own);
    }
    STORE(pool->unfinished, tasks);
    STORE(pool->left, tasks);
    open_gate(pool, &pool->work);
    work(pool, 0);
    wait_until(pool, &pool->end, &pool->unfinished, 1);
}

/* ---- a pool's life ---- */

static int32_t processors(void)
{
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return (int32_t)CPU_COUNT(&allowed);
#endif
    return (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

/* 0: not all threads came to life; stopping ends those that did. */
static int start_threads(cge_thread_pool *p)
{
    p->spins = p->executor.threads <= processors();
    p->process = getpid();
    (void)pthread_mutex_init(&p->mutex, NULL); /* with default attributes these take no memory and cannot fail */
    (void)pthread_cond_init(&p->work.cond, NULL);
    (void)pthread_cond_init(&p->end.cond, NULL);
    for (; p->started < p->executor.threads - 1; p->started++) {
        worker *w = &p->workers[p->started + 1];
        w->pool = p;
        if (pthread_create(&w->thread, NULL, thread_main, w) != 0) return 0;
    }
    return 1;
}

void cge_thread_pool_stop(cge_thread_pool *pool)
{
    int32_t i;
    if (pool == NULL || pool->process != getpid()) return;
    STORE(pool->left, STOP);
    open_gate(pool, &pool->work);
    for (i = 0; i < pool->started; i++) pthread_join(pool->workers[i + 1].thread, NULL);
    pthread_cond_destroy(&pool->end.cond);
    pthread_cond_destroy(&pool->work.cond);
    pthread_mutex_destroy(&pool->mutex);
}

#undef LOAD
#undef STORE
#undef ADD
#undef EXCHANGE_IF

#elif CGE_HOST /* no POSIX threads: pools of the caller's thread alone */

#include <string.h>

struct cge_thread_pool {
    cge_executor executor;
};

static void run(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    int32_t i;
    (void)context;
    for (i = 0; i < tasks; i++) task(argument, i);
}

static int start_threads(cge_thread_pool *p)
{
    return p->executor.threads == 1;
}

void cge_thread_pool_stop(cge_thread_pool *pool)
{
    (void)pool;
}

#endif

#if CGE_HOST

/* How a pool has to be aligned: as an 8-byte integer, but not on 32-bit x86, where that takes 4. */
typedef struct placed_pool {
    char before;
    cge_thread_pool pool;
} placed_pool;

size_t cge_thread_pool_bytes(void)
{
    return sizeof(cge_thread_pool);
}

cge_status cge_thread_pool_start(void *memory, size_t bytes, int32_t threads, cge_thread_pool **pool)
{
    cge_thread_pool *p = (cge_thread_pool *)memory;
    if (memory == NULL || pool == NULL) return CGE_ERR_NULL;
    if (threads < 1 || threads > CGE_MAX_THREADS) return CGE_ERR_ARGUMENT;
    if (!cge_is_aligned(memory, offsetof(placed_pool, pool))) return CGE_ERR_ALIGN;
    if (bytes < sizeof *p) return CGE_ERR_ARENA;
    memset(p, 0, sizeof *p);
    p->executor.run = run;
    p->executor.context = p;
    p->executor.threads = threads;
    if (!start_threads(p)) {
        cge_thread_pool_stop(p);
        return CGE_ERR_MODE;
    }
    *pool = p;
    return CGE_OK;
}

const cge_executor *cge_thread_pool_executor(const cge_thread_pool *pool)
{
    return &pool->executor;
}

#endif
