/*
 * Other code of the process switched the floating-point unit to flush subnormal numbers, or to round in another direction:
 * every public function that computes gives the same bits as before, on every thread, and leaves the caller's mode behind.
 * On processors whose mode this file cannot set, and on boards, where the self-test tells of the mode, one run is compared
 * with another.
 */
#include "check.h"
#include "models.h"
#include "suites.h"

#include <string.h>

#ifndef CGE_BARE_METAL
#include "cge_host.h"
#endif

/* ---- the mode ---------------------------------------------------------------------------------------------------------- */

#if !defined(CGE_BARE_METAL) && defined(__SSE__)

static uint32_t read_mode(void)
{
    return __builtin_ia32_stmxcsr() & ~0x3fu; /* without the exceptions that were raised */
}

static void write_mode(uint32_t mode)
{
    __builtin_ia32_ldmxcsr(mode);
}

static const uint32_t switches[] = {0x8000, 0x0040, 0x8040, 0x2000, 0x4000, 0x6000, 0xe040};

#elif !defined(CGE_BARE_METAL) && (defined(__aarch64__) || (defined(__arm__) && defined(__ARM_FP)))

#if defined(__aarch64__)
#define READ "mrs %0, fpcr"
#define WRITE "msr fpcr, %0"
typedef uint64_t word;
#else
#define READ "vmrs %0, fpscr"
#define WRITE "vmsr fpscr, %0"
typedef uint32_t word;
#endif

static uint32_t read_mode(void)
{
    word mode;
    __asm__ volatile(READ : "=r"(mode));
    return (uint32_t)mode & 0x07ffff00u; /* without the exceptions that were raised */
}

static void write_mode(uint32_t mode)
{
    const word all = mode;
    __asm__ volatile(WRITE : : "r"(all));
}

static const uint32_t switches[] = {0x01000000, 0x00400000, 0x00800000, 0x00c00000, 0x01400000};

#else

static uint32_t read_mode(void)
{
    return 0;
}

static void write_mode(uint32_t mode)
{
    (void)mode;
}

static const uint32_t switches[] = {0};

#endif

/* ---- all that computes, as one hash ------------------------------------------------------------------------------------ */

static uint64_t hash;

static void add(const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) hash = (hash ^ float_bits(x[i])) * 0x100000001b3u;
}

static void add_call(cge_status status, const float *x, int32_t n)
{
    hash = (hash ^ (uint64_t)status) * 0x100000001b3u;
    add(x, n);
}

/* Ordinary numbers, which round; then some whose products and quotients are subnormal, and subnormal ones. Made of
 * integers: the mode takes no part in it. */
enum { N = 24 };

static void numbers(float *x, uint32_t seed)
{
    static const uint32_t exponents[] = {0x3f800000u, 0x3f000000u, 0x1e000000u, 0x00000000u};
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t bits = mix32(seed * N + i);
        x[i] = float_from_bits((bits & 0x807fffffu) | exponents[i % 4]);
    }
}

static void hash_functions(void)
{
    static cge_real (*const functions[])(cge_real x) = {cge_exp_f32, cge_log_f32, cge_tanh_f32, cge_sqrt_f32};
    static const float large[] = {-101.3f, -88.9f, 87.1f, 3e-39f};
    cge_rng rng;
    float x[N], y;
    numbers(x, 1);
    hash ^= (uint64_t)cge_rng_seed(&rng, 5);
    for (int32_t f = 0; f < COUNT_OF(functions); f++) {
        for (int32_t i = 0; i < N; i++) y = functions[f](x[i]), add(&y, 1);
        for (int32_t i = 0; i < COUNT_OF(large); i++) y = functions[f](large[i]), add(&y, 1);
    }
    for (int32_t i = 0; i < N; i++) y = cge_rng_normal_f32(&rng), add(&y, 1);
}

static void hash_layers(void)
{
    const cge_conv2d conv = {3, 4, 2, 3, 2, 2, 1, 1, 1, 1, 1, 0, 0, 1, 1}; /* 4 kernels of 12 weights, 4x4x3 */
    const cge_pool2d pool = {3, 4, 2, 2, 3, 1, 1, 0, 0, 0, 0, 0};             /* 2x2x2 */
    float x[N], w[N], b[N], dy[2 * N], y[2 * N];
    numbers(x, 2), numbers(w, 3), numbers(b, 4), numbers(dy, 5), numbers(dy + N, 6), numbers(y, 7), numbers(y + N, 8);
    add_call(cge_conv2d_forward_f32(&conv, x, w, b, y), y, 48);
    add_call(cge_conv2d_weight_grad_f32(&conv, x, dy, y), y, 24);
    add_call(cge_conv2d_bias_grad_f32(&conv, dy, y), y, 3);
    add_call(cge_conv2d_input_grad_f32(&conv, w, dy, y), y, 24);
    add_call(cge_dense_forward_f32(4, 6, x, w, b, y), y, 6);
    add_call(cge_dense_weight_grad_f32(4, 6, x, dy, y), y, 24);
    add_call(cge_dense_bias_grad_f32(6, dy, y), y, 6);
    add_call(cge_dense_input_grad_f32(4, 6, w, dy, y), y, 4);
    add_call(cge_maxpool2d_forward_f32(&pool, x, y), y, 8);
    add_call(cge_maxpool2d_input_grad_f32(&pool, x, dy, y), y, 24);
    add_call(cge_avgpool2d_forward_f32(&pool, x, y), y, 8);
    add_call(cge_avgpool2d_input_grad_f32(&pool, dy, y), y, 24);
}

static void hash_elements(void)
{
    const cge_optimizer sgd = {NULL, 0.1f, 0.9f, 0.01f, 1};
    float x[N], dy[N], y[N], v[N];
    numbers(x, 9), numbers(dy, 10), numbers(v, 11);
    add_call(cge_relu_forward_f32(N, x, y), y, N);
    add_call(cge_relu_input_grad_f32(N, x, dy, y), y, N);
    add_call(cge_leaky_relu_forward_f32(N, 0.1f, x, y), y, N);
    add_call(cge_leaky_relu_input_grad_f32(N, 0.1f, x, dy, y), y, N);
    add_call(cge_sigmoid_forward_f32(N, x, y), y, N);
    add_call(cge_sigmoid_input_grad_f32(N, x, dy, y), y, N);
    add_call(cge_tanh_forward_f32(N, x, y), y, N);
    add_call(cge_tanh_input_grad_f32(N, x, dy, y), y, N);
    add_call(cge_softmax_forward_f32(N, x, y), y, N);
    add_call(cge_softmax_cross_entropy_forward_f32(N, x, 3, y), y, 1);
    add_call(cge_softmax_cross_entropy_input_grad_f32(N, x, 3, y), y, N);
    add_call(cge_mean_squared_error_forward_f32(N, x, dy, y), y, 1);
    add_call(cge_mean_squared_error_input_grad_f32(N, x, dy, y), y, N);
    add_call(cge_sgd_update_f32(N, &sgd, 0.3f, dy, x, v), x, N);
    add(v, N);
}

/* ---- a network, whose gradients become subnormal ----------------------------------------------------------------------- */

static const cge_layer layers[] = {DENSE(40, 0, CGE_INIT_HE_NORMAL), PLAIN(sigmoid), DENSE(40, 0, 0), PLAIN(tanh), DENSE(3, 0, 0)};
static const cge_model model = {{1, 1, N}, TABLE(layers), &cge_mean_squared_error, {&cge_sgd, 0.1f, 0.9f, 0.001f, 0}, NULL, 0, 0};

enum { SAMPLES = 20 };

typedef struct place {
    float *x, *values, *y;
    void *arena;
    size_t bytes;
} place;

static int make_place(place *p)
{
    const cge_options options = {1, SAMPLES, NULL, NULL, NULL};
    CHECK_OK(cge_network_arena_bytes(&model, &options, &p->bytes));
    if (!check_room("fp_mode", p->bytes + 4 * SAMPLES * (N + 3 + 3))) return 0;
    p->arena = check_bytes(p->bytes);
    p->x = check_floats(SAMPLES * N);
    p->values = check_floats(SAMPLES * 3);
    p->y = check_floats(SAMPLES * 3);
    return 1;
}

static void hash_network(const place *p, const cge_executor *executor)
{
    const cge_options options = {1, SAMPLES, NULL, executor, NULL};
    const cge_targets targets = {NULL, p->values};
    cge_network net;
    float loss = 0, numbers_of_one[N];
    int32_t correct;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        numbers(numbers_of_one, 20 + i);
        memcpy(p->x + i * N, numbers_of_one, sizeof numbers_of_one);
        memcpy(p->values + i * 3, numbers_of_one, 3 * sizeof(float));
    }
    CHECK_OK(cge_network_init(&net, &model, &options, p->arena, p->bytes));
    CHECK_OK(cge_network_init_params(&net, 3));
    for (int32_t step = 0; step < 3; step++) add_call(cge_network_train_epoch(&net, p->x, &targets, NULL, SAMPLES, SAMPLES, &loss), &loss, 1);
    add_call(cge_network_train_batch(&net, p->x, &targets, SAMPLES, &loss), &loss, 1);
    add_call(cge_network_accumulate(&net, p->x, &targets, SAMPLES, &loss), &loss, 1);
    add(net.grads, net.grad_elems);
    add_call(cge_network_update(&net), net.params, net.param_elems);
    add(net.velocity, net.grad_elems);
    add_call(cge_network_evaluate(&net, p->x, &targets, SAMPLES, &loss, &correct), &loss, 1);
    add_call(cge_network_forward(&net, p->x, SAMPLES, p->y), p->y, SAMPLES * 3);
}

/* ---- who runs tasks ---------------------------------------------------------------------------------------------------- */

/* As a thread that computes in a mode of its own, and expects it back. */
typedef struct moody {
    uint32_t mode;
    int32_t tasks, changed;
} moody;

static void run_moody(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    moody *m = (moody *)context;
    const uint32_t callers = read_mode();
    for (int32_t i = 0; i < tasks; i++) {
        write_mode(m->mode);
        task(argument, i);
        m->changed += read_mode() != m->mode;
        write_mode(callers);
    }
    m->tasks += tasks;
}

/* In `mode`, or in a pool's threads that were started in it. */
static uint64_t hash_in(uint32_t mode, const place *p, const cge_executor *executor)
{
    const uint32_t usual = read_mode();
    hash = 0xcbf29ce484222325u;
    write_mode(mode);
    hash_functions();
    hash_layers();
    hash_elements();
    if (p != NULL) hash_network(p, executor);
    CHECK(read_mode() == mode);
    write_mode(usual);
    return hash;
}

static void test_pool(const place *p, uint32_t mode, uint64_t expected)
{
#ifndef CGE_BARE_METAL
    static uint64_t memory[1024];
    const uint32_t usual = read_mode();
    for (int32_t threads = 1; threads <= 2; threads++) {
        cge_thread_pool *pool;
        CHECK(cge_thread_pool_bytes() <= sizeof memory);
        write_mode(mode); /* threads begin in the mode of who starts them */
        CHECK_OK(cge_thread_pool_start(memory, sizeof memory, threads, &pool));
        write_mode(usual);
        CHECK(hash_in(usual, p, cge_thread_pool_executor(pool)) == expected);
        CHECK(hash_in(mode, p, cge_thread_pool_executor(pool)) == expected);
        cge_thread_pool_stop(pool);
    }
#else
    (void)p, (void)mode, (void)expected;
#endif
}

void suite_fp_mode(void)
{
    const uint32_t usual = read_mode();
    place room, *p = make_place(&room) ? &room : NULL;
    const uint64_t expected = hash_in(usual, p, NULL);
    for (int32_t i = 0; i < COUNT_OF(switches); i++) {
        moody m = {usual | switches[i], 0, 0};
        const cge_executor executor = {run_moody, &m, 4};
        check_case("switched mode");
        CHECK(hash_in(m.mode, p, NULL) == expected);
        if (p == NULL) continue;
        CHECK(hash_in(usual, p, &executor) == expected);
#ifndef CGE_BARE_METAL
        CHECK(m.tasks > 20); /* else this proves nothing */
#endif
        CHECK(m.changed == 0);
        test_pool(p, m.mode, expected);
    }
    check_case("golden numbers");
    write_mode(usual | switches[0]);
    suite_golden();
    CHECK(read_mode() == (usual | switches[0]));
    write_mode(usual);
}
