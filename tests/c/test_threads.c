/* Work that an executor shares: the same bits as one sample after the other on one thread. */
#define _POSIX_C_SOURCE 200112L

#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

enum { SAMPLES = 13, BATCH = 9, SEED = 5, SEED_INPUT = 501, SEED_VALUES };

/* Runs the tasks of a section one after the other, the last one first: what depends on their order becomes visible, on
 * boards too. */
static void run_backwards(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    int32_t *sections = context;
    ++*sections;
    while (tasks > 0) task(argument, --tasks);
}

static int32_t sections;
static const cge_executor backwards = {run_backwards, &sections, 2};

/* ---- networks ------------------------------------------------------------------------------------------------------ */

typedef struct outcome { /* of training and of predicting */
    uint64_t weights, outputs;
    float losses[2];
} outcome;

static uint64_t bits_hash(const float *x, int32_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int32_t i = 0; i < n; i++) hash = (hash ^ float_bits(x[i])) * 0x100000001b3u;
    return hash;
}

typedef struct data {
    float *x, *values, *y;
    int32_t *labels, *order;
} data;

static size_t data_bytes(const cge_model *model, int32_t out_elems)
{
    const int32_t in_elems = model->input.h * model->input.w * model->input.c;
    return 4 * SAMPLES * (size_t)(in_elems + 2 * out_elems + 2);
}

static data new_data(const cge_model *model, int32_t out_elems)
{
    const int32_t in_elems = model->input.h * model->input.w * model->input.c;
    data d = {check_operands(SAMPLES * in_elems, SEED_INPUT), check_operands(SAMPLES * out_elems, SEED_VALUES),
              check_floats(SAMPLES * out_elems), check_ints(SAMPLES), check_ints(SAMPLES)};
    for (int32_t i = 0; i < SAMPLES; i++) d.labels[i] = (3 * i + 1) % out_elems, d.order[i] = (5 * i + 2) % SAMPLES;
    return d;
}

static int32_t outputs_of(const cge_model *model)
{
    cge_layer_info info;
    if (!CHECK_OK(cge_model_layer_info(model, model->layer_count - 1, &info))) return 1;
    return info.out.h * info.out.w * info.out.c;
}

/* 0 if there is no room. */
static int new_network(const char *name, const cge_model *model, const cge_options *options, cge_network *net, data *d)
{
    const int32_t out_elems = outputs_of(model);
    size_t bytes = 0;
    if (!CHECK_OK(cge_network_arena_bytes(model, options, &bytes))) return 0;
    if (!check_room(name, bytes + data_bytes(model, out_elems))) return 0;
    *d = new_data(model, out_elems);
    void *arena = check_bytes(bytes);
    return CHECK_OK(cge_network_init(net, model, options, arena, bytes)) && CHECK_OK(cge_network_init_params(net, SEED));
}

/* Two epochs, the second in another order, in batches that the capacity need not divide; then predictions. */
static int train(const test_model *m, int32_t capacity, const cge_executor *executor, outcome *o)
{
    const cge_options training = {1, capacity, NULL, executor};
    cge_network net;
    data d;
    if (!new_network(m->name, &m->model, &training, &net, &d)) return 0;
    const cge_targets targets = {d.labels, d.values};
    CHECK_OK(cge_network_train_epoch(&net, d.x, &targets, NULL, SAMPLES, BATCH, &o->losses[0]));
    CHECK_OK(cge_network_train_epoch(&net, d.x, &targets, d.order, SAMPLES, BATCH, &o->losses[1]));
    CHECK_OK(cge_network_forward(&net, d.x, SAMPLES, d.y));
    CHECK_OK(cge_network_params_hash(&net, &o->weights));
    o->outputs = bits_hash(d.y, SAMPLES * net.out_elems);
    return 1;
}

/* Predictions of an inference network, whose tensors lie over earlier ones. */
static int predict(const test_model *m, int32_t capacity, const cge_executor *executor, uint64_t *outputs)
{
    const cge_options inference = {0, capacity, NULL, executor};
    cge_network net;
    data d;
    if (!new_network(m->name, &m->model, &inference, &net, &d)) return 0;
    CHECK_OK(cge_network_forward(&net, d.x, SAMPLES, d.y));
    *outputs = bits_hash(d.y, SAMPLES * net.out_elems);
    return 1;
}

static const int32_t capacities[] = {2, 3, 5, 8, SAMPLES};

static void test_model_with(const test_model *m, const cge_executor *executor)
{
    outcome expected, got;
    uint64_t expected_outputs = 0, outputs = 0;
    check_case(m->name);
    if (!train(m, 1, NULL, &expected) || !predict(m, 1, NULL, &expected_outputs)) return;
    for (int32_t i = 0; i < COUNT_OF(capacities); i++) {
        if (!train(m, capacities[i], executor, &got)) continue;
        CHECK(got.weights == expected.weights);
        CHECK(got.outputs == expected.outputs);
        CHECK_SAME(expected.losses[0], got.losses[0], capacities[i]);
        CHECK_SAME(expected.losses[1], got.losses[1], capacities[i]);
        if (predict(m, capacities[i], executor, &outputs)) CHECK(outputs == expected_outputs);
    }
}

static void test_models_with(const cge_executor *executor)
{
    for (int32_t i = 0; i < test_model_count; i++) test_model_with(&test_models[i], executor);
}

static void test_refused_executors(void)
{
    static const cge_executor no_function = {NULL, NULL, 1}, no_thread = {run_backwards, &sections, 0};
    cge_options options = {1, 2, NULL, &no_function};
    cge_network net;
    size_t bytes = 0;
    if (!check_room("refused executors", 8)) return;
    void *arena = check_bytes(8);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&convnet, &options, &bytes));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_init(&net, &convnet, &options, arena, 8));
    options.executor = &no_thread;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&convnet, &options, &bytes));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_init(&net, &convnet, &options, arena, 8));
    CHECK(bytes == 0);
}

/* ---- the pool of threads ---------------------------------------------------------------------------------------------- */

#ifndef CGE_BARE_METAL

#include <pthread.h>
#include <time.h>

#include "cge_host.h"

static void sleep_us(long microseconds)
{
    const struct timespec t = {0, 1000 * microseconds};
    nanosleep(&t, NULL);
}

enum { POOLS = 2, POOL_WORDS = 256 };

static uint64_t memory[POOLS][POOL_WORDS];

static cge_thread_pool *start(int32_t index, int32_t threads)
{
    cge_thread_pool *pool = NULL;
    CHECK_OK(cge_thread_pool_start(memory[index], sizeof memory[index], threads, &pool));
    return pool;
}

static void test_refused_pools(void)
{
    cge_thread_pool *pool = NULL;
    const size_t bytes = cge_thread_pool_bytes();
    CHECK(bytes > 0 && bytes <= sizeof memory[0]);
    CHECK_STATUS(CGE_ERR_NULL, cge_thread_pool_start(NULL, bytes, 2, &pool));
    CHECK_STATUS(CGE_ERR_NULL, cge_thread_pool_start(memory[0], bytes, 2, NULL));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_thread_pool_start(memory[0], bytes, 0, &pool));
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_thread_pool_start(memory[0], bytes, CGE_MAX_THREADS + 1, &pool));
    CHECK_STATUS(CGE_ERR_ALIGN, cge_thread_pool_start((char *)memory[0] + 2, bytes, 2, &pool));
    CHECK_STATUS(CGE_ERR_ARENA, cge_thread_pool_start(memory[0], bytes - 1, 2, &pool));
    CHECK(pool == NULL);
    CHECK_OK(cge_thread_pool_start(memory[0], bytes, 2, &pool));
    CHECK(cge_thread_pool_executor(pool)->threads == 2);
    cge_thread_pool_stop(pool);
    cge_thread_pool_stop(NULL);
}

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define ADD(x) ((void)__atomic_fetch_add(&(x), 1, __ATOMIC_ACQ_REL))

static int32_t runs[40];

static void count_run(void *argument, int32_t index)
{
    (void)argument;
    ADD(runs[index]);
}

static void test_each_task_runs_once(void)
{
    static const int32_t counts[] = {1, 2, 3, 16, CGE_MAX_THREADS};
    for (int32_t i = 0; i < COUNT_OF(counts); i++) {
        cge_thread_pool *pool = start(0, counts[i]);
        const cge_executor *e = cge_thread_pool_executor(pool);
        memset(runs, 0, sizeof runs);
        for (int32_t section = 1; section <= 50; section++) {
            if (section == 25) sleep_us(20000); /* the threads have gone to sleep */
            e->run(e->context, count_run, NULL, COUNT_OF(runs));
            for (int32_t j = 0; j < COUNT_OF(runs); j++) CHECK(runs[j] == section);
        }
        cge_thread_pool_stop(pool);
    }
}

/* A task that ends last on a thread of the pool: the caller must wait for it. */
static int32_t arrived, slow_done;
static pthread_t caller;

static void meet(void *argument, int32_t index)
{
    (void)argument, (void)index;
    ADD(arrived);
    while (LOAD(arrived) < 2) sleep_us(100);
    if (pthread_equal(pthread_self(), caller)) return;
    sleep_us(30000);
    ADD(slow_done);
}

static void test_run_waits_for_all(void)
{
    cge_thread_pool *pool = start(0, 2);
    const cge_executor *e = cge_thread_pool_executor(pool);
    caller = pthread_self();
    arrived = slow_done = 0;
    e->run(e->context, meet, NULL, 2);
    CHECK(LOAD(slow_done) == 1);
    cge_thread_pool_stop(pool);
}

static void test_models_with_threads(void)
{
    for (int32_t threads = 1; threads <= 4; threads++) {
        cge_thread_pool *pool = start(0, threads);
        test_models_with(cge_thread_pool_executor(pool));
        cge_thread_pool_stop(pool);
    }
}

/* Two networks that train at the same time, each with its pool. The harness's memory is not for several threads. */
enum { ARENA_WORDS = 4096, SIDE_SAMPLES = 8, SIDE_EPOCHS = 20 };

typedef struct side {
    uint64_t arena[ARENA_WORDS], hash;
    float x[SIDE_SAMPLES * 6 * 5 * 2];
    const cge_executor *executor;
    cge_status status;
} side;

static void *train_side(void *argument)
{
    side *s = argument;
    static const int32_t labels[SIDE_SAMPLES] = {0, 1, 2, 0, 1, 2, 0, 1};
    const cge_targets targets = {labels, NULL};
    const cge_options options = {1, SIDE_SAMPLES, NULL, s->executor};
    cge_network net;
    float loss;
    for (int32_t i = 0; i < COUNT_OF(s->x); i++) s->x[i] = operand(SEED_INPUT, i);
    s->status = cge_network_init(&net, &convnet, &options, s->arena, sizeof s->arena);
    if (s->status == CGE_OK) s->status = cge_network_init_params(&net, SEED);
    for (int32_t i = 0; i < SIDE_EPOCHS && s->status == CGE_OK; i++)
        s->status = cge_network_train_batch(&net, s->x, &targets, SIDE_SAMPLES, &loss);
    if (s->status == CGE_OK) s->status = cge_network_params_hash(&net, &s->hash);
    return NULL;
}

static void test_networks_side_by_side(void)
{
    static side sides[POOLS];
    static side alone;
    pthread_t threads[POOLS];
    cge_thread_pool *pools[POOLS];
    train_side(&alone);
    CHECK_OK(alone.status);
    for (int32_t i = 0; i < POOLS; i++) {
        pools[i] = start(i, 3);
        sides[i].executor = cge_thread_pool_executor(pools[i]);
        CHECK(pthread_create(&threads[i], NULL, train_side, &sides[i]) == 0);
    }
    for (int32_t i = 0; i < POOLS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        cge_thread_pool_stop(pools[i]);
        CHECK_OK(sides[i].status);
        CHECK(sides[i].hash == alone.hash);
    }
}

static void test_kernel_set_name(void)
{
    static const char *const names[] = {"ref", "tiled", "lanes", "lanes_avx2", "lanes_avx512"};
    int known = 0;
    for (int32_t i = 0; i < COUNT_OF(names); i++) known += strcmp(names[i], cge_kernel_set_name()) == 0;
    CHECK(known == 1);
}

static void test_pools(void)
{
    test_kernel_set_name();
    test_refused_pools();
    test_each_task_runs_once();
    test_run_waits_for_all();
    test_models_with_threads();
    test_networks_side_by_side();
    CHECK(sections > 0); /* hosts do ask the executor */
}

#else

static void test_pools(void)
{
    CHECK(sections == 0); /* boards have no code for it */
}

#endif

void suite_threads(void)
{
    test_refused_executors();
    test_models_with(&backwards);
    test_pools();
}
