/* What bench.py times in C: one pass of one kernel set over a batch of samples, a training step, the machine's peak. */
#define _POSIX_C_SOURCE 199309L
#include "../csrc/include/cge_host.h"
#include "../csrc/src/kernels/kernels.h"

#include <string.h>
#include <time.h>

enum { FORWARD, WEIGHT_GRAD, INPUT_GRAD };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *bench_set_name(int32_t index)
{
    const cge_kernel_set *set = cge_kernel_set_at(index);
    return set != NULL ? set->name : NULL;
}

typedef struct bench_operands { /* of all samples; what a pass does not need is NULL */
    const float *x, *w, *b, *dy;
    float *result;
} bench_operands;

/* Repeats CALL for `budget` seconds; the shortest time is the result: others are longer by what disturbed them. */
#define BEST_TIME(budget, CALL)                                           \
    do {                                                                  \
        const double end = seconds() + (budget);                          \
        double best = 1e9, begin, now;                                    \
        do {                                                              \
            begin = seconds();                                            \
            CALL;                                                         \
            now = seconds();                                              \
            if (now - begin < best) best = now - begin;                   \
        } while (now < end);                                              \
        return best;                                                      \
    } while (0)

static void conv2d(const cge_kernel_set *k, const cge_conv2d_plan *p, int32_t pass, int32_t samples, const bench_operands *o)
{
    const size_t x_elems = (size_t)(p->g.in_h * p->g.in_w * p->g.in_c), y_elems = (size_t)(p->out_h * p->out_w * p->g.out_c);
    const cge_range out_rows = {0, p->out_h}, in_rows = {0, p->g.in_h}, kernel_rows = {0, p->g.kernel_h};
    size_t i;
    for (i = 0; i < (size_t)samples; i++) {
        if (pass == FORWARD) k->conv2d_forward(p, o->x + i * x_elems, o->w, o->b, o->result + i * y_elems, out_rows);
        if (pass == WEIGHT_GRAD) k->conv2d_weight_grad(p, o->x + i * x_elems, o->dy + i * y_elems, o->result, out_rows, kernel_rows);
        if (pass == INPUT_GRAD) k->conv2d_input_grad(p, o->w, o->dy + i * y_elems, o->result + i * x_elems, in_rows);
    }
}

double bench_conv2d(int32_t set, const cge_conv2d *g, int32_t pass, int32_t samples, const bench_operands *o, double budget)
{
    cge_conv2d_plan p;
    if (cge_conv2d_resolve(g, &p) != CGE_OK) return -1;
    BEST_TIME(budget, conv2d(cge_kernel_set_at(set), &p, pass, samples, o));
}

/* ---- training steps ---- */

enum { MOST_LAYERS = 32 };

typedef struct trained { /* a network in memory of the caller's */
    cge_layer layers[MOST_LAYERS];
    cge_layer_config configs[MOST_LAYERS];
    cge_model model;
    cge_network network;
    uint64_t pool[512];
    cge_thread_pool *threads;
} trained;

size_t bench_network_bytes(void)
{
    return sizeof(trained);
}

/* Bytes of the arena for the saved network `data`, which the next call needs; 0 if it cannot be read. */
size_t bench_arena_bytes(trained *t, const void *data, size_t bytes, int32_t capacity)
{
    const cge_options options = {1, capacity, NULL, NULL, NULL};
    size_t needed;
    if (cge_model_parse(data, bytes, &cge_catalog_all, t->layers, t->configs, MOST_LAYERS, &t->model) != CGE_OK) return 0;
    return cge_network_arena_bytes(&t->model, &options, &needed) == CGE_OK ? needed : 0;
}

int32_t bench_open(trained *t, const void *data, size_t bytes, void *arena, size_t arena_bytes, int32_t capacity, int32_t threads)
{
    cge_options options = {1, capacity, NULL, NULL, NULL};
    t->threads = NULL;
    if (threads > 1) {
        if (cge_thread_pool_start(t->pool, sizeof t->pool, threads, &t->threads) != CGE_OK) return 0;
        options.executor = cge_thread_pool_executor(t->threads);
    }
    return cge_network_init(&t->network, &t->model, &options, arena, arena_bytes) == CGE_OK && cge_network_restore(&t->network, data, bytes) == CGE_OK;
}

/* Seconds of one training step with `batch` samples. */
double bench_step(trained *t, const float *x, const int32_t *labels, int32_t batch, double budget)
{
    const cge_targets targets = {.labels = labels};
    float loss;
    BEST_TIME(budget, (void)!cge_network_train_batch(&t->network, x, &targets, batch, &loss));
}

void bench_close(trained *t)
{
    cge_thread_pool_stop(t->threads);
}

/* ---- the roof: multiplications and additions on registers alone, 12 independent sums, rounded apart ---- */

#if defined(__x86_64__)
#define IN_REGISTER(v) __asm__ volatile("" : "+v"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__ volatile("" : "+w"(v))
#else
#define IN_REGISTER(v) __asm__ volatile("" : "+m"(v))
#endif

enum { TURNS = 100000, SUMS = 12 };

#define PEAK(name, bytes, target_)                                                                                        \
    typedef float vector_##name __attribute__((vector_size(bytes)));                                                      \
    target_ static void turns_##name(void)                                                                                \
    {                                                                                                                     \
        vector_##name a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a, m = a, x = a; \
        int32_t turn;                                                                                                     \
        for (turn = 0; turn < TURNS; turn++) {                                                                            \
            IN_REGISTER(m); IN_REGISTER(x);                                                                               \
            ADD(a) ADD(b) ADD(c) ADD(d) ADD(e) ADD(f) ADD(g) ADD(h) ADD(i) ADD(j) ADD(k) ADD(l)                           \
        }                                                                                                                 \
        IN_REGISTER(a); IN_REGISTER(b); IN_REGISTER(c); IN_REGISTER(d); IN_REGISTER(e); IN_REGISTER(f);                   \
        IN_REGISTER(g); IN_REGISTER(h); IN_REGISTER(i); IN_REGISTER(j); IN_REGISTER(k); IN_REGISTER(l);                   \
    }                                                                                                                     \
    static double peak_##name(void)                                                                                       \
    {                                                                                                                     \
        BEST_TIME(0.02, turns_##name());                                                                                  \
    }
/* x looks new each time, or the product would be computed once. */
#define ADD(sum)    \
    sum += m * x;   \
    IN_REGISTER(x);

PEAK(128, 16, /* any */)
#if defined(__x86_64__)
PEAK(256, 32, __attribute__((target("avx2"))))
PEAK(512, 64, __attribute__((target("avx512f,avx512vl"))))
#endif

/* Multiply-adds per second with vectors as wide as the set's. */
double bench_peak(int32_t set)
{
    const char *name = cge_kernel_set_at(set)->name;
#if defined(__x86_64__)
    if (strcmp(name, "lanes_avx512") == 0) return (double)TURNS * SUMS * 16 / peak_512();
    if (strcmp(name, "lanes_avx2") == 0) return (double)TURNS * SUMS * 8 / peak_256();
#endif
    (void)name;
    return (double)TURNS * SUMS * 4 / peak_128();
}
