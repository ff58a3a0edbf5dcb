/*
 * The firmware of `make demo`: a network that was trained in Python goes on learning on the board.
 *
 * digits.h and .c are what Network.export wrote, samples.h and .c the pictures from examples/demo.py. The program
 * prints lines that the demo reads: accuracy before and after, and the hash of the weights that it ended with.
 */
#include <stdio.h>
#include <string.h>

#include "cge.h"

#include "digits.h"
#include "samples.h"

#ifdef CGE_BARE_METAL
#include "runtime.h"
#endif

static uint64_t arena[(DIGITS_TRAINING_ARENA_BYTES + 7) / 8];
static cge_network net;

/* Pixels are 0 .. 16 as they were scanned; the network learned from 0 .. 1. Exact in binary32. */
static void load_image(const unsigned char *pixels, cge_real *x)
{
    int32_t i;
    for (i = 0; i < DIGITS_INPUT_ELEMS; i++) x[i] = (cge_real)pixels[i] / 16.0f;
}

static cge_status start(void)
{
    static const cge_options training = {.training = 1};
    cge_status status = cge_network_init(&net, &digits_model, &training, arena, sizeof arena);
    if (status == CGE_OK) memcpy(net.params, digits_params, sizeof digits_params);
    return status;
}

static cge_status evaluate(int32_t *correct)
{
    int32_t i, hit;
    *correct = 0;
    for (i = 0; i < SAMPLES_TEST_COUNT; i++) {
        cge_real x[DIGITS_INPUT_ELEMS], loss;
        cge_targets targets = {&samples_test_labels[i], NULL, NULL};
        cge_status status;
        load_image(samples_test_images[i], x);
        status = cge_network_evaluate(&net, x, &targets, 1, &loss, &hit);
        if (status != CGE_OK) return status;
        *correct += hit;
    }
    return CGE_OK;
}

/* Adds one picture's gradients, and updates the weights after the last of a batch. */
static cge_status learn(int32_t i)
{
    const cge_targets targets = {&samples_train_labels[i], NULL, NULL};
    cge_real x[DIGITS_INPUT_ELEMS], loss;
    cge_status status;
    load_image(samples_train_images[i], x);
    status = cge_network_accumulate(&net, x, &targets, 1, &loss);
    if (status != CGE_OK) return status;
    return net.pending == SAMPLES_BATCH || i == SAMPLES_TRAIN_COUNT - 1 ? cge_network_update(&net) : CGE_OK;
}

/* One picture at a time: between two calls of learn a control loop has its turn, or whoever feeds the watchdog. The weights
 * are those that cge_network_train_batch gives, which keeps the processor for a whole batch. */
static cge_status train(void)
{
    cge_status status = CGE_OK;
    int32_t pass, i;
    for (pass = 0; pass < SAMPLES_PASSES; pass++)
        for (i = 0; i < SAMPLES_TRAIN_COUNT && status == CGE_OK; i++) status = learn(i);
    return status;
}

static cge_status report(const char *when)
{
    int32_t correct;
    cge_status status = evaluate(&correct);
    if (status == CGE_OK) printf("correct %s: %ld of %ld\n", when, (long)correct, (long)SAMPLES_TEST_COUNT);
    return status;
}

static cge_status run(void)
{
    uint64_t hash;
    cge_status status = start();
    if (status == CGE_OK) status = report("before");
#ifdef CGE_BARE_METAL
    stack_paint();
#endif
    if (status == CGE_OK) status = train();
#ifdef CGE_BARE_METAL
    printf("stack bytes: %lu\n", (unsigned long)stack_peak());
#endif
    if (status == CGE_OK) status = report("after");
    if (status == CGE_OK) status = cge_network_params_hash(&net, &hash);
    if (status == CGE_OK) printf("weights: %08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return status;
}

int main(void)
{
    cge_status status = run();
    if (status != CGE_OK) printf("error: %s\n", cge_status_text(status));
    return status != CGE_OK;
}
