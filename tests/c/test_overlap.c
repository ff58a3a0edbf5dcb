/*
 * One call at a time works on a network: what comes in between is refused and changes nothing. A layer kind of the test's
 * own calls into the network in the middle of a step, on every target; on boards a timer interrupt does so at any place;
 * on hosts another thread.
 */
#include "../../csrc/src/layers/layer.h"

#include "check.h"
#include "models.h"
#include "suites.h"

#ifndef CGE_BARE_METAL
#include "cge_host.h"
#endif

#include <string.h>

enum { IN = 6, UNITS = 4, OUT = 3, PARAMS = IN * UNITS + UNITS + UNITS * OUT + OUT, SAMPLES = 3, SEED = 5, SAVED = 664};

static float x[SAMPLES * IN], y[SAMPLES * OUT];
static int32_t labels[SAMPLES];
static const cge_targets targets = {labels, NULL};
static cge_network net;
static unsigned char saved[SAVED];
static size_t saved_bytes;

static void fill(void)
{
    for (int32_t i = 0; i < SAMPLES * IN; i++) x[i] = operand(1, i);
    for (int32_t i = 0; i < SAMPLES; i++) labels[i] = i % OUT;
}

/* ---- from inside a layer ------------------------------------------------------------------------------------------- */

static void (*intruder)(void); /* called in the middle of forward and of backward */

static cge_status spy_infer(const cge_layer *layer, cge_shape in, cge_layer_info *info)
{
    (void)layer;
    info->out = in;
    return CGE_OK;
}

static void spy(const float *from, float *to, const cge_layer_call *c)
{
    if (intruder != NULL) intruder();
    memcpy(to, from, sizeof(float) * (size_t)(c->count * c->in.h * c->in.w * c->in.c));
}

static void spy_forward(const cge_layer_call *c)
{
    spy(c->x, c->y, c);
}

static void spy_input_grad(const cge_layer_call *c)
{
    spy(c->dy, c->dx, c);
}

static const cge_layer_kind spy_kind = {126, 0, 0, spy_infer, spy_forward, NULL, spy_input_grad};
static const cge_layer spied_layers[] = {DENSE(UNITS, 0, 0), {.kind = &spy_kind}, DENSE(OUT, 0, 0)};
static const cge_layer plain_layers[] = {DENSE(UNITS, 0, 0), DENSE(OUT, 0, 0)};
static const cge_model spied = {{1, 1, IN}, TABLE(spied_layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.9f, 0, 0}, NULL, 0, 0};
static const cge_model plain = {{1, 1, IN}, TABLE(plain_layers), &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.9f, 0, 0}, NULL, 0, 0};

static int set_up(const char *name, const cge_model *model)
{
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    size_t bytes = 0;
    fill();
    CHECK_OK(cge_network_arena_bytes(model, &training, &bytes));
    if (!check_room(name, bytes)) return 0;
    return CHECK_OK(cge_network_init(&net, model, &training, check_bytes(bytes), bytes)) && CHECK_OK(cge_network_init_params(&net, SEED));
}

static int32_t intrusions;

/* Every call that reads or writes parameters or activations. */
static void call_everything(void)
{
    float loss = 77, out[OUT] = {77};
    uint64_t hash = 77;
    int32_t correct = 77;
    size_t used = 77;
    intrusions++;
    CHECK(net.busy == 1);
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_forward(&net, x, 1, out));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_evaluate(&net, x, &targets, 1, &loss, &correct));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_params_hash(&net, &hash));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_init_params(&net, 1));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_accumulate(&net, x, &targets, 1, &loss));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_update(&net));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_zero_grads(&net));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_train_batch(&net, x, &targets, 1, &loss));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_train_epoch(&net, x, &targets, NULL, 2, 1, &loss));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_save(&net, saved, sizeof saved, &used));
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_restore(&net, saved, saved_bytes));
    CHECK(loss == 77 && out[0] == 77 && hash == 77 && correct == 77 && used == 77);
    CHECK(net.busy == 1); /* a refused call does not let others in */
}

static uint64_t trained_hash(void)
{
    uint64_t hash = 0;
    float loss;
    for (int32_t i = 0; i < 3; i++) CHECK_OK(cge_network_train_batch(&net, x, &targets, SAMPLES, &loss));
    CHECK_OK(cge_network_forward(&net, x, SAMPLES, y));
    CHECK_OK(cge_network_params_hash(&net, &hash));
    for (int32_t i = 0; i < SAMPLES * OUT; i++) hash = hash * 31 + float_bits(y[i]);
    return hash;
}

static void test_intruder(void)
{
    uint64_t expected, got;
    intruder = NULL;
    if (!set_up("calls in the middle of a step", &spied)) return;
    CHECK_OK(cge_network_save(&net, saved, sizeof saved, &saved_bytes));
    expected = trained_hash();
    CHECK_OK(cge_network_init_params(&net, SEED));
    intrusions = 0;
    intruder = call_everything;
    got = trained_hash();
    intruder = NULL;
    CHECK(got == expected && intrusions == 3 * SAMPLES * 2 + SAMPLES);
}

/* Whatever a call returns, the next one is let in. */
static void test_released(void)
{
    float loss;
    uint64_t hash;
    size_t used;
    intruder = NULL;
    if (!set_up("the network is free after every call", &spied)) return;
    CHECK(net.busy == 0);
    CHECK_OK(cge_network_save(&net, saved, sizeof saved, &saved_bytes));
    CHECK_STATUS(CGE_ERR_MODE, cge_network_update(&net));
    CHECK(net.busy == 0);
    x[0] = float_from_bits(0x7f800000u);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_accumulate(&net, x, &targets, 1, &loss));
    CHECK(net.busy == 0);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&net, x, &targets, 1, &loss));
    CHECK(net.busy == 0);
    x[0] = 1;
    CHECK_OK(cge_network_accumulate(&net, x, &targets, 1, &loss));
    net.grads[0] = float_from_bits(0x7fc00000u);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_update(&net));
    CHECK(net.busy == 0);
    net.pending = INT32_MAX;
    CHECK_STATUS(CGE_ERR_OVERFLOW, cge_network_accumulate(&net, x, &targets, 1, &loss));
    CHECK(net.busy == 0);
    CHECK_OK(cge_network_zero_grads(&net));
    CHECK_OK(cge_network_params_hash(&net, &hash));
    CHECK_OK(cge_network_save(&net, saved, sizeof saved, &used));
    CHECK_OK(cge_network_restore(&net, saved, saved_bytes));
    CHECK_OK(cge_network_evaluate(&net, x, &targets, 1, &loss, NULL));
    CHECK_OK(cge_network_forward(&net, x, 1, y));
    CHECK(net.busy == 0);
    net.busy = 1;
    CHECK_STATUS(CGE_ERR_BUSY, cge_network_forward(&net, x, 1, y));
    CHECK(net.busy == 1);
    CHECK(strcmp(cge_status_text(CGE_ERR_BUSY), cge_status_text((cge_status)-1)) != 0);
}

/* ---- parameters elsewhere ------------------------------------------------------------------------------------------- */

static float block_a[PARAMS], block_b[PARAMS];

static void point_at_b(void)
{
    CHECK_OK(cge_network_set_params(&net, block_b));
}

static void predict(const float *params, float *out)
{
    CHECK_OK(cge_network_set_params(&net, params));
    CHECK_OK(cge_network_forward(&net, x, SAMPLES, out));
}

/* A call that is at work ends with what it began with, the next one has the new block. */
static void test_set_params(void)
{
    static const cge_options flash = {0, 1, block_a, NULL, NULL};
    float of_a[SAMPLES * OUT], of_b[SAMPLES * OUT], loss_a = 0, loss = 0;
    uint64_t hash_a = 0, hash_b = 0;
    size_t bytes = 0;
    intruder = NULL;
    fill();
    for (int32_t i = 0; i < PARAMS; i++) block_a[i] = operand(7, i), block_b[i] = operand(8, i);
    CHECK_OK(cge_network_arena_bytes(&spied, &flash, &bytes));
    if (!check_room("another block of parameters", bytes)) return;
    CHECK_OK(cge_network_init(&net, &spied, &flash, check_bytes(bytes), bytes));
    CHECK_OK(cge_network_forward(&net, x, SAMPLES, of_a));
    CHECK_OK(cge_network_params_hash(&net, &hash_a));
    CHECK_OK(cge_network_evaluate(&net, x, &targets, SAMPLES, &loss_a, NULL));
    predict(block_b, of_b);
    CHECK_OK(cge_network_params_hash(&net, &hash_b));
    CHECK(net.params == block_b && hash_a != hash_b && memcmp(of_a, of_b, sizeof of_a) != 0);
    predict(block_a, y);
    CHECK(memcmp(of_a, y, sizeof of_a) == 0);
    intruder = point_at_b;
    CHECK_OK(cge_network_forward(&net, x, SAMPLES, y));
    CHECK(memcmp(of_a, y, sizeof of_a) == 0);
    CHECK_OK(cge_network_forward(&net, x, SAMPLES, y));
    CHECK(memcmp(of_b, y, sizeof of_b) == 0);
    CHECK_OK(cge_network_set_params(&net, block_a));
    CHECK_OK(cge_network_evaluate(&net, x, &targets, SAMPLES, &loss, NULL));
    CHECK_SAME(loss_a, loss, 0);
    intruder = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_set_params(NULL, block_a));
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_set_params(&net, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_network_set_params(&net, misaligned(block_a)));
    CHECK(net.params == block_b);
    if (!set_up("a network with parameters of its own", &plain)) return;
    CHECK_REFUSED(CGE_ERR_MODE, cge_network_set_params(&net, block_a));
}

/* ---- at any place ----------------------------------------------------------------------------------------------------- */

/* The weights after `steps` steps on one sample, of a network that nobody disturbs. */
static uint64_t hash_after(int32_t steps)
{
    uint64_t hash = 0;
    float loss;
    if (!set_up("undisturbed", &plain)) return 0;
    for (int32_t i = 0; i < steps; i++) CHECK_OK(cge_network_train_batch(&net, x, &targets, 1, &loss));
    CHECK_OK(cge_network_params_hash(&net, &hash));
    return hash;
}

#if defined(CGE_BARE_METAL) && !defined(__ARM_ARCH_6M__)

static volatile int32_t refused, predicted, others;

static void on_tick(void)
{
    float out[OUT];
    const cge_status status = cge_network_forward(&net, x + IN, 1, out);
    if (status == CGE_OK) predicted++;
    else if (status == CGE_ERR_BUSY) refused++;
    else others++;
}

/* SysTick by way of a vector table in RAM. */
#define SYSTEM_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYST_CSR SYSTEM_REGISTER(0xe000e010u)
#define SYST_RVR SYSTEM_REGISTER(0xe000e014u)
#define SYST_CVR SYSTEM_REGISTER(0xe000e018u)
#define ICSR SYSTEM_REGISTER(0xe000ed04u)
#define VTOR SYSTEM_REGISTER(0xe000ed08u)

enum { VECTORS = 16, SYSTICK_VECTOR = 15, PERIOD = 5003, MOST_STEPS = 200000, ENOUGH = 20 };

static void test_anywhere(void)
{
    static uint32_t table[VECTORS] __attribute__((aligned(128)));
    const uint32_t old_table = VTOR;
    const volatile uint32_t *old = (const volatile uint32_t *)(uintptr_t)old_table;
    uint64_t hash = 0;
    int32_t steps = 0;
    float loss;
    if (!set_up("a timer interrupt that predicts", &plain)) return;
    for (int32_t i = 0; i < VECTORS; i++) table[i] = old[i];
    table[SYSTICK_VECTOR] = (uint32_t)(uintptr_t)on_tick;
    VTOR = (uint32_t)(uintptr_t)table;
    SYST_RVR = PERIOD;
    SYST_CVR = 0;
    SYST_CSR = 7; /* processor clock, interrupt, on */
    for (; steps < MOST_STEPS && refused < ENOUGH; steps++) {
        cge_status status = cge_network_train_batch(&net, x, &targets, 1, &loss);
        if (status != CGE_OK && !CHECK_OK(status)) break;
    }
    SYST_CSR = 0;
    ICSR = 1u << 25; /* no tick is pending any more */
    __asm__ volatile("dsb\n\tisb" : : : "memory");
    VTOR = old_table;
    CHECK(refused >= ENOUGH && others == 0);
    CHECK_OK(cge_network_params_hash(&net, &hash));
    CHECK(hash_after(steps) == hash);
}

#elif defined(CGE_BARE_METAL)

static void test_anywhere(void) /* Armv6-M: no vector table in RAM */
{
    CHECK(hash_after(1) != 0);
}

#else

enum { STEPS = 2000 }; /* that were not refused: the other thread may be stopped in the middle of a call */

static int32_t training_done; /* atomic */
static int32_t steps_done, predicted, refused, others;

static void disturb(void *argument, int32_t index)
{
    (void)argument;
    if (index == 0) {
        float loss;
        while (steps_done < STEPS) steps_done += cge_network_train_batch(&net, x, &targets, 1, &loss) == CGE_OK;
        __atomic_store_n(&training_done, 1, __ATOMIC_RELEASE);
        return;
    }
    while (!__atomic_load_n(&training_done, __ATOMIC_ACQUIRE)) {
        float out[OUT];
        const cge_status status = cge_network_forward(&net, x + IN, 1, out);
        if (status == CGE_OK) predicted++;
        else if (status == CGE_ERR_BUSY) refused++;
        else others++;
    }
}

static void test_anywhere(void)
{
    static uint64_t memory[8192];
    cge_thread_pool *pool = NULL;
    uint64_t hash = 0;
    if (!set_up("another thread that predicts", &plain)) return;
    if (!CHECK(cge_thread_pool_bytes() <= sizeof memory)) return;
    if (!CHECK_OK(cge_thread_pool_start(memory, sizeof memory, 2, &pool))) return;
    const cge_executor *executor = cge_thread_pool_executor(pool);
    executor->run(executor->context, disturb, NULL, 2);
    cge_thread_pool_stop(pool);
    CHECK(steps_done == STEPS && others == 0 && (uint64_t)steps_done == net.step_count);
    CHECK_OK(cge_network_params_hash(&net, &hash));
    CHECK(hash_after(steps_done) == hash);
}

#endif

void suite_overlap(void)
{
    test_intruder();
    test_released();
    test_set_params();
    test_anywhere();
}
