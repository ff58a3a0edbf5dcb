/*
 * Two classes that the network has never seen, learned on the board from 50 pictures each, without forgetting the others.
 *
 * front.h and .c are the layers that stay as they are, tail.h and .c the one that learns; Network.export wrote both.
 * samples.h and .c are from main.py. The front's outputs as bytes are all that is kept of a picture. A class-balanced
 * replay memory begins with some of the old classes, from flash. The new ones take their share of it, and training goes
 * over what it holds.
 *
 * The program prints lines that main.py reads: which classes are read before and after, the bits of all outputs, the hash
 * of the weights that it ended with, and what takes the bytes.
 */
#include <stdio.h>
#include <string.h>

#include "cge.h"
#include "cge_data.h"

#include "front.h"
#include "samples.h"
#include "tail.h"

#include "../report.h"
#include "../training.h"

/* All RAM of the program but the stack and the C library's. */
static struct ram {
    uint64_t front_arena[(FRONT_INFERENCE_ARENA_BYTES + 7) / 8];
    uint64_t tail_arena[(TAIL_TRAINING_ARENA_BYTES + 7) / 8];
    uint8_t frame[FRONT_INPUT_ELEMS]; /* as the camera writes it */
    cge_real x[FRONT_INPUT_ELEMS], y[FRONT_OUTPUT_ELEMS];
    uint8_t features[TAIL_INPUT_ELEMS]; /* of the frame */
    cge_network front, tail;
    cge_replay_state replayed;
    cge_replay_class counts[TAIL_OUTPUT_ELEMS];
    int32_t labels[SAMPLES_SLOTS];
    uint8_t memory[SAMPLES_SLOTS][TAIL_INPUT_ELEMS];
    int32_t correct[TAIL_OUTPUT_ELEMS]; /* test pictures of each class */
    uint32_t crc;                       /* of all that was put out for them */
} ram;

typedef char the_budget_is_kept[sizeof(struct ram) <= SAMPLES_BUDGET_BYTES ? 1 : -1];
typedef char the_tail_reads_what_the_front_puts_out[(int)FRONT_OUTPUT_ELEMS == (int)TAIL_INPUT_ELEMS ? 1 : -1];

static const cge_replay replay = {.samples = ram.memory,
                                  .labels = ram.labels,
                                  .sample_bytes = TAIL_INPUT_ELEMS,
                                  .capacity = SAMPLES_SLOTS,
                                  .classes = TAIL_OUTPUT_ELEMS,
                                  .counts = ram.counts,
                                  .seed = SAMPLES_SEED};

static cge_status start(void)
{
    static const cge_options inference = {.params = front_params, .plan = &front_inference_plan};
    static const cge_options training = {.training = 1, .plan = &tail_training_plan};
    cge_status status = cge_network_init(&ram.front, &front_model, &inference, ram.front_arena, sizeof ram.front_arena);
    if (status == CGE_OK) status = cge_network_init(&ram.tail, &tail_model, &training, ram.tail_arena, sizeof ram.tail_arena);
    if (status == CGE_OK) memcpy(ram.tail.params, tail_params, sizeof tail_params);
    return status;
}

/* ---- a picture ------------------------------------------------------------------------------------------------------- */

/* The front ends with a ReLU6: its outputs are 0 .. 6, and the tail takes 1 / 32 for a unit. */
static void keep_as_bytes(void)
{
    int32_t i;
    for (i = 0; i < FRONT_OUTPUT_ELEMS; i++) ram.features[i] = (uint8_t)(ram.y[i] * 32.0f + 0.5f);
}

static cge_status look(const uint8_t *picture)
{
    cge_status status;
    int32_t i;
    memcpy(ram.frame, picture, sizeof ram.frame); /* in place of a camera's DMA */
    for (i = 0; i < FRONT_INPUT_ELEMS; i++) ram.x[i] = (cge_real)ram.frame[i] / 256.0f;
    status = cge_network_forward(&ram.front, ram.x, 1, ram.y);
    if (status == CGE_OK) keep_as_bytes();
    return status;
}

/* ---- what is remembered ---------------------------------------------------------------------------------------------- */

static cge_status remember_old(void)
{
    cge_status status = CGE_OK;
    int32_t i;
    for (i = 0; i < SAMPLES_OLD_COUNT && status == CGE_OK; i++)
        status = cge_replay_add(&replay, &ram.replayed, samples_old_features[i], samples_old_labels[i], NULL);
    return status;
}

static cge_status meet_new(void)
{
    cge_status status = CGE_OK;
    int32_t i;
    for (i = 0; i < SAMPLES_NEW_COUNT && status == CGE_OK; i++) {
        status = look(samples_new_pictures[i]);
        if (status == CGE_OK) status = cge_replay_add(&replay, &ram.replayed, ram.features, samples_new_labels[i], NULL);
    }
    return status;
}

/* ---- learning: each sample is a step --------------------------------------------------------------------------------- */

static cge_status step(int32_t slot)
{
    const cge_targets targets = {.labels = &ram.labels[slot]};
    cge_real loss;
    ram.tail.optimizer.learning_rate = cge_schedule_rate(&tail_schedule, ram.tail.step_count);
    return cge_network_train_batch(&ram.tail, ram.memory[slot], &targets, 1, &loss);
}

static cge_status learn(void)
{
    return learn_in_passes(SAMPLES_PASSES, ram.replayed.held, SAMPLES_SEED, step);
}

/* ---- what it prints -------------------------------------------------------------------------------------------------- */

static cge_status test(int32_t i)
{
    cge_real y[TAIL_OUTPUT_ELEMS];
    cge_status status = look(samples_test_pictures[i]);
    if (status == CGE_OK) status = cge_network_forward(&ram.tail, ram.features, 1, y);
    if (status != CGE_OK) return status;
    ram.crc = cge_crc32(ram.crc, y, sizeof y);
    if (largest(y, TAIL_OUTPUT_ELEMS) == samples_test_labels[i]) ram.correct[samples_test_labels[i]]++;
    return CGE_OK;
}

static cge_status report(const char *when)
{
    cge_status status = CGE_OK;
    int32_t i;
    memset(ram.correct, 0, sizeof ram.correct);
    ram.crc = 0;
    for (i = 0; i < SAMPLES_TEST_COUNT && status == CGE_OK; i++) status = test(i);
    printf("%s: crc %08lx, correct", when, (unsigned long)ram.crc);
    for (i = 0; i < TAIL_OUTPUT_ELEMS; i++) printf(" %ld", (long)ram.correct[i]);
    printf("\n");
    return status;
}

/* 0 if the stack is within the budget too. */
static int report_budget(uint32_t stack)
{
    const size_t picture = sizeof ram.frame + sizeof ram.x, memory = sizeof ram.memory + sizeof ram.labels;
    const size_t large = sizeof ram.front_arena + sizeof ram.tail_arena + picture + memory;
    report_bytes(sizeof ram.front_arena, "for the layers that stay");
    report_bytes(sizeof ram.tail_arena, "for the layer that learns");
    report_bytes(picture, "a picture, as bytes and as numbers");
    report_bytes(memory, "replay memory");
    report_bytes(sizeof ram - large, "all other variables");
    report_bytes(stack, "of the stack were used");
    report_bytes(sizeof ram + stack, "in all");
    return sizeof ram + stack > SAMPLES_BUDGET_BYTES;
}

static cge_status run(void)
{
    cge_status status = start();
    if (status == CGE_OK) status = report("before");
    if (status == CGE_OK) status = remember_old();
    if (status == CGE_OK) status = meet_new();
    if (status == CGE_OK) status = learn();
    if (status == CGE_OK) status = report("after");
    if (status == CGE_OK) status = report_weights(&ram.tail);
    return status;
}

int main(void)
{
    return report_run(run, report_budget);
}
