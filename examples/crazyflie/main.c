/*
 * Learning beside the flight controller: all layers of a network train, with momentum, in the RAM that a stock firmware of
 * the Crazyflie leaves, and an interrupt predicts meanwhile with a copy of the trained weights.
 *
 * The main loop trains a network, one sample a step. From time to time it publishes a copy of the weights: a generation. At
 * each tick of a camera SysTick takes a frame and predicts with the newest generation. No prediction may see half of one.
 * So each generation counts what was predicted with it, and sums the bits of all outputs up. examples/demo.py does the same
 * predictions again with the weights that Python had at that time, and compares.
 *
 * digits.h and .c are what Network.export wrote, with memory="smallest". samples.h and .c are from examples/demo.py. They name
 * the budget, which toolchains/crazyflie21.mk knows. The program is for boards: `make demo` builds it and runs it under QEMU.
 */
#include <stdio.h>
#include <string.h>

#include "cge.h"

#include "digits.h"
#include "runtime.h"
#include "samples.h"

#define CLOCK_HZ 168000000u
#define FRAMES_PER_SECOND 100u

typedef struct generation { /* weights that were published */
    const cge_real *params;
    int32_t number;
    int32_t predictions, correct; /* with them */
    uint32_t crc;                 /* of all that these predictions put out */
} generation;

/* All RAM of the program but the stack and the C library's. */
static struct ram {
    uint64_t trainer_arena[(DIGITS_TRAINING_ARENA_BYTES + 7) / 8];
    uint64_t predictor_arena[(DIGITS_INFERENCE_ARENA_BYTES + 7) / 8];
    cge_real copies[2][DIGITS_PARAM_ELEMS];
    uint8_t frame[DIGITS_INPUT_ELEMS]; /* as the camera writes it */
    cge_real frame_x[DIGITS_INPUT_ELEMS], sample_x[DIGITS_INPUT_ELEMS];
    cge_network trainer, predictor;
    generation generations[3]; /* of the weights in flash, and of both copies */
    generation *published;     /* one of them: the interrupt's, until another one is */
    int32_t predictions;       /* by the interrupt; also the frame that comes next */
    int32_t busy;              /* frames that were dropped since the main loop was predicting */
    cge_status status;         /* of the interrupt's first prediction that failed otherwise */
} ram;

typedef char the_budget_is_kept[sizeof(struct ram) <= SAMPLES_BUDGET_BYTES ? 1 : -1];

/* Pixels are 0 .. 16 as they were scanned; the network learned from 0 .. 1. Exact in binary32. */
static void load_image(const uint8_t *pixels, cge_real *x)
{
    int32_t i;
    for (i = 0; i < DIGITS_INPUT_ELEMS; i++) x[i] = (cge_real)pixels[i] / 16.0f;
}

/* ---- the interrupt: frames and predictions -------------------------------------------------------------------------- */

static int32_t largest(const cge_real *y)
{
    int32_t i, best = 0;
    for (i = 1; i < DIGITS_OUTPUT_ELEMS; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

static void count_prediction(generation *used, int32_t picture, const cge_real *y)
{
    used->predictions++;
    used->correct += largest(y) == samples_test_labels[picture];
    used->crc = cge_crc32(used->crc, y, DIGITS_OUTPUT_ELEMS * sizeof *y);
    ram.predictions++;
}

static cge_status predict(generation *used, cge_real *y)
{
    const cge_status status = cge_network_set_params(&ram.predictor, used->params);
    if (status != CGE_OK) return status;
    load_image(ram.frame, ram.frame_x);
    return cge_network_forward(&ram.predictor, ram.frame_x, 1, y);
}

/* Comes at any instruction of the main loop, which does not go on before it is through. */
void SysTick_Handler(void)
{
    const int32_t picture = ram.predictions % SAMPLES_TEST_COUNT;
    generation *const used = __atomic_load_n(&ram.published, __ATOMIC_ACQUIRE);
    cge_real y[DIGITS_OUTPUT_ELEMS];
    cge_status status;
    memcpy(ram.frame, samples_test_images[picture], sizeof ram.frame); /* in place of a camera's DMA */
    status = predict(used, y);
    if (status == CGE_OK) count_prediction(used, picture, y);
    else if (status == CGE_ERR_BUSY) ram.busy++;
    else if (ram.status == CGE_OK) ram.status = status;
}

static void set_tick(uint32_t cycles)
{
    volatile uint32_t *const systick = (volatile uint32_t *)(uintptr_t)0xe000e010u; /* control, reload, value */
    systick[0] = 0;
    systick[1] = cycles - 1;
    systick[2] = 0;
    if (cycles > 0) systick[0] = 7; /* the core's clock, interrupt, on */
}

/* ---- generations ---------------------------------------------------------------------------------------------------- */

static void report_generation(const generation *g)
{
    printf("generation %ld: %ld predictions, ", (long)g->number, (long)g->predictions);
    printf("%ld correct, crc %08lx\n", (long)g->correct, (unsigned long)g->crc);
}

/* Between two steps. Of the two copies one is the interrupt's. The other is free: the interrupt never began before the last
 * exchange and goes on after it. */
static void publish(int32_t number)
{
    cge_real *const copy = ram.copies[number % 2];
    generation *const next = &ram.generations[1 + number % 2];
    const generation *last;
    memcpy(copy, ram.trainer.params, sizeof ram.copies[0]);
    memset(next, 0, sizeof *next);
    next->params = copy;
    next->number = number;
    last = __atomic_exchange_n(&ram.published, next, __ATOMIC_ACQ_REL);
    report_generation(last);
}

/* ---- the main loop: training ------------------------------------------------------------------------------------------ */

static cge_status start(void)
{
    static const cge_options training = {.training = 1, .plan = &digits_training_plan};
    static const cge_options inference = {.params = digits_params, .plan = &digits_inference_plan};
    cge_status status = cge_network_init(&ram.trainer, &digits_model, &training, ram.trainer_arena, sizeof ram.trainer_arena);
    if (status == CGE_OK)
        status = cge_network_init(&ram.predictor, &digits_model, &inference, ram.predictor_arena, sizeof ram.predictor_arena);
    if (status != CGE_OK) return status;
    memcpy(ram.trainer.params, digits_params, sizeof digits_params);
    ram.generations[0].params = digits_params;
    ram.published = &ram.generations[0];
    return CGE_OK;
}

/* One sample is one step. */
static cge_status learn(int32_t i)
{
    const cge_targets targets = {&samples_train_labels[i], NULL, NULL};
    cge_real loss;
    load_image(samples_train_images[i], ram.sample_x);
    return cge_network_train_batch(&ram.trainer, ram.sample_x, &targets, 1, &loss);
}

static cge_status train(void)
{
    int32_t step;
    for (step = 0; step < SAMPLES_PASSES * SAMPLES_TRAIN_COUNT; step++) {
        const cge_status status = learn(step % SAMPLES_TRAIN_COUNT);
        if (status != CGE_OK) return status;
        if ((step + 1) % SAMPLES_STEPS_A_GENERATION == 0) publish((step + 1) / SAMPLES_STEPS_A_GENERATION);
    }
    return CGE_OK;
}

/* How many test pictures the published weights read right. The predictor is the main loop's meanwhile: the interrupt is told
 * CGE_ERR_BUSY, and drops its frame. */
static cge_status evaluate(int32_t *correct)
{
    cge_status status = cge_network_set_params(&ram.predictor, ram.published->params);
    int32_t i, hit;
    *correct = 0;
    for (i = 0; i < SAMPLES_TEST_COUNT && status == CGE_OK; i++) {
        const cge_targets targets = {&samples_test_labels[i], NULL, NULL};
        cge_real loss;
        load_image(samples_test_images[i], ram.sample_x);
        status = cge_network_evaluate(&ram.predictor, ram.sample_x, &targets, 1, &loss, &hit);
        if (status == CGE_OK) *correct += hit;
    }
    return status;
}

/* ---- what it prints --------------------------------------------------------------------------------------------------- */

static void report_bytes(size_t bytes, const char *what)
{
    printf("bytes: %lu %s\n", (unsigned long)bytes, what);
}

/* 0 if the stack is within the budget too. */
static int report_budget(uint32_t stack)
{
    const size_t large = sizeof ram.trainer_arena + sizeof ram.predictor_arena + sizeof ram.copies + sizeof ram.frame;
    report_bytes(sizeof ram.trainer_arena, "to train: weights, velocities, activations");
    report_bytes(sizeof ram.predictor_arena, "to predict");
    report_bytes(sizeof ram.copies, "two copies of the weights");
    report_bytes(sizeof ram.frame, "the frame");
    report_bytes(sizeof ram - large, "the frame and a sample as numbers, all other variables");
    report_bytes(stack, "of the stack were used");
    report_bytes(sizeof ram + stack, "in all");
    return sizeof ram + stack > SAMPLES_BUDGET_BYTES;
}

static cge_status report_accuracy(const char *when)
{
    int32_t correct;
    const cge_status status = evaluate(&correct);
    if (status == CGE_OK) printf("correct %s: %ld of %ld\n", when, (long)correct, (long)SAMPLES_TEST_COUNT);
    return status;
}

static cge_status report_weights(void)
{
    uint64_t hash;
    const cge_status status = cge_network_params_hash(&ram.trainer, &hash);
    if (status == CGE_OK) printf("weights: %08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return status;
}

/* With frames coming. */
static cge_status fly(void)
{
    cge_status status;
    set_tick(CLOCK_HZ / FRAMES_PER_SECOND);
    status = report_accuracy("before");
    if (status == CGE_OK) status = train();
    if (status == CGE_OK) status = report_accuracy("after");
    set_tick(0);
    return status == CGE_OK ? ram.status : status;
}

int main(void)
{
    uint32_t stack;
    cge_status status;
    stack_paint();
    status = start();
    if (status == CGE_OK) status = fly();
    stack = stack_peak();
    report_generation(ram.published);
    if (status == CGE_OK) status = report_weights();
    printf("predictions: %ld, busy: %ld\n", (long)ram.predictions, (long)ram.busy);
    if (status != CGE_OK) printf("error: %s\n", cge_status_text(status));
    return report_budget(stack) || status != CGE_OK;
}
