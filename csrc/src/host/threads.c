/*
 * A pool of threads for short tasks. A step of a small network is cut into parallel sections of some 20 microseconds:
 * a thread that sleeps would take longer to wake than its share of the work. So idle threads look for work in a loop
 * for a while (SPINS) before they sleep, and every thread takes the next task from one counter.
 */
#if defined(__unix__) || defined(__APPLE__)
#define _POSIX_C_SOURCE 200112L
#endif

#include "../../include/cge_host.h"
#include "../config.h"

#if CGE_HOST && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>
#include <string.h>

#define SPINS 20000 /* about 50 microseconds: longer than the gaps between the sections of a step */

struct cge_thread_pool {
    cge_executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t threads[CGE_MAX_THREADS];
    int32_t started; /* threads of our own */
    /* One section of work; written by the caller of run() while no thread is inside. */
    void (*task)(void *argument, int32_t index);
    void *argument;
    int32_t tasks;
    /* Shared: only by the atomic operations below. */
    int32_t section; /* number of the current section; -1: stop */
    int32_t next;    /* first task that nobody has taken */
    int32_t busy;    /* threads that have not finished the current section */
};

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELEASE)
#define ADD(x, value) __atomic_fetch_add(&(x), (value), __ATOMIC_ACQ_REL)

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void work(cge_thread_pool *pool)
{
    int32_t index;
    while ((index = ADD(pool->next, 1)) < pool->tasks) pool->task(pool->argument, index);
}

/* Returns the number of the next section after `seen`. */
static int32_t wait_for_section(cge_thread_pool *pool, int32_t seen)
{
    int32_t i, section;
    for (i = 0; i < SPINS; i++) {
        section = LOAD(pool->section);
        if (section != seen) return section;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    while ((section = LOAD(pool->section)) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return section;
}

static void *thread_main(void *argument)
{
    cge_thread_pool *pool = (cge_thread_pool *)argument;
    int32_t seen = 0;
    for (;;) {
        seen = wait_for_section(pool, seen);
        if (seen < 0) return NULL;
        work(pool);
        (void)ADD(pool->busy, -1);
    }
}

/* Under the mutex, so that no thread falls asleep between its last look and the signal. */
static void announce(cge_thread_pool *pool, int32_t section)
{
    pthread_mutex_lock(&pool->mutex);
    STORE(pool->section, section);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void run(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    cge_thread_pool *pool = (cge_thread_pool *)context;
    int32_t i;
    pool->task = task;
    pool->argument = argument;
    pool->tasks = tasks;
    STORE(pool->next, 0);
    STORE(pool->busy, pool->started);
    announce(pool, LOAD(pool->section) == INT32_MAX ? 1 : pool->section + 1);
    work(pool);
    for (i = 0; LOAD(pool->busy) != 0; i++) { /* the others are at their last task */
        if (i < SPINS)
            pause_briefly();
        else
            sched_yield(); /* more threads than processors: let them finish */
    }
}

size_t cge_thread_pool_bytes(void)
{
    return sizeof(cge_thread_pool);
}

cge_status cge_thread_pool_start(void *memory, size_t bytes, int32_t threads, cge_thread_pool **pool)
{
    cge_thread_pool *p = (cge_thread_pool *)memory;
    if (memory == NULL || pool == NULL) return CGE_ERR_NULL;
    if (threads < 1 || threads > CGE_MAX_THREADS) return CGE_ERR_ARGUMENT;
    if (!cge_is_aligned(memory, sizeof(void *))) return CGE_ERR_ALIGN;
    if (bytes < sizeof *p) return CGE_ERR_ARENA;
    memset(p, 0, sizeof *p);
    p->executor.run = run;
    p->executor.context = p;
    p->executor.threads = threads;
    if (pthread_mutex_init(&p->mutex, NULL) != 0) return CGE_ERR_MODE;
    if (pthread_cond_init(&p->wake, NULL) != 0) return CGE_ERR_MODE;
    while (p->started < threads - 1) {
        if (pthread_create(&p->threads[p->started], NULL, thread_main, p) != 0) {
            cge_thread_pool_stop(p);
            return CGE_ERR_MODE;
        }
        p->started++;
    }
    *pool = p;
    return CGE_OK;
}

void cge_thread_pool_stop(cge_thread_pool *pool)
{
    int32_t i;
    if (pool == NULL) return;
    announce(pool, -1);
    for (i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
}

const cge_executor *cge_thread_pool_executor(const cge_thread_pool *pool)
{
    return &pool->executor;
}

#elif CGE_HOST /* no POSIX threads */

size_t cge_thread_pool_bytes(void)
{
    return sizeof(cge_executor);
}

cge_status cge_thread_pool_start(void *memory, size_t bytes, int32_t threads, cge_thread_pool **pool)
{
    (void)memory, (void)bytes, (void)threads, (void)pool;
    return CGE_ERR_MODE;
}

void cge_thread_pool_stop(cge_thread_pool *pool)
{
    (void)pool;
}

const cge_executor *cge_thread_pool_executor(const cge_thread_pool *pool)
{
    (void)pool;
    return NULL;
}

#endif
