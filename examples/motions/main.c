/*
 * An inertial sensor sits another way round than before, and the network learns that from a few windows with labels.
 *
 * motions.h and .c are what Network.export wrote. samples.h and .c are from main.py: windows in place of the sensor, as its
 * 16-bit numbers, with the labels that the user gave. They are kept in RAM. Training goes over them and over old windows, which
 * are read from flash, so that the network still knows the orientation that it was trained in.
 *
 * The program prints lines that main.py reads: the bits of all outputs before and after, how many windows are read right in
 * either orientation, the hash of the weights, the bytes.
 */
#include <stdio.h>
#include <string.h>

#include "cge.h"
#include "cge_data.h"

#include "motions.h"
#include "samples.h"

#include "../report.h"
#include "../training.h"

/* All RAM of the program but the stack and the C library's. */
static struct ram {
    uint64_t arena[(MOTIONS_TRAINING_ARENA_BYTES + 7) / 8];
    cge_network net;
    int16_t window[MOTIONS_INPUT_ELEMS]; /* as the sensor writes it */
    cge_real x[MOTIONS_INPUT_ELEMS];     /* as the network reads it */
    int16_t memory[SAMPLES_NEW_COUNT][MOTIONS_INPUT_ELEMS];
    int32_t labels[SAMPLES_NEW_COUNT];
    uint32_t crc; /* of all that was put out for the test */
} ram;

typedef char the_budget_is_kept[sizeof(struct ram) <= SAMPLES_BUDGET_BYTES ? 1 : -1];

static cge_status start(void)
{
    static const cge_options training = {.training = 1, .plan = &motions_training_plan};
    cge_status status = cge_network_init(&ram.net, &motions_model, &training, ram.arena, sizeof ram.arena);
    if (status == CGE_OK) memcpy(ram.net.params, motions_params, sizeof motions_params);
    return status;
}

static void numbers_of(const int16_t *window)
{
    int32_t i;
    for (i = 0; i < MOTIONS_INPUT_ELEMS; i++) ram.x[i] = (cge_real)window[i] * samples_scale[i % 6];
}

/* ---- learning: each window is a step --------------------------------------------------------------------------------- */

static void meet_new(void)
{
    int32_t i;
    for (i = 0; i < SAMPLES_NEW_COUNT; i++) {
        memcpy(ram.window, samples_new_windows[i], sizeof ram.window); /* in place of the sensor's FIFO */
        memcpy(ram.memory[i], ram.window, sizeof ram.window);
        ram.labels[i] = samples_new_labels[i];
    }
}

/* First the old ones are numbered, then the new ones. */
static cge_status step(int32_t number)
{
    const int32_t new_one = number - SAMPLES_OLD_COUNT;
    const cge_targets targets = {.labels = new_one < 0 ? &samples_old_labels[number] : &ram.labels[new_one]};
    cge_real loss;
    numbers_of(new_one < 0 ? samples_old_windows[number] : ram.memory[new_one]);
    return cge_network_train_batch(&ram.net, ram.x, &targets, 1, &loss);
}

static cge_status learn(void)
{
    return learn_in_passes(SAMPLES_PASSES, SAMPLES_OLD_COUNT + SAMPLES_NEW_COUNT, SAMPLES_SEED, step);
}

/* ---- what it prints -------------------------------------------------------------------------------------------------- */

static cge_status test(const int16_t *window, int32_t label, int32_t *correct)
{
    cge_real y[MOTIONS_OUTPUT_ELEMS];
    cge_status status;
    memcpy(ram.window, window, sizeof ram.window);
    numbers_of(ram.window);
    status = cge_network_forward(&ram.net, ram.x, 1, y);
    if (status != CGE_OK) return status;
    ram.crc = cge_crc32(ram.crc, y, sizeof y);
    if (largest(y, MOTIONS_OUTPUT_ELEMS) == label) (*correct)++;
    return CGE_OK;
}

static cge_status report(const char *when)
{
    cge_status status = CGE_OK;
    int32_t i, usual = 0, turned = 0;
    ram.crc = 0;
    for (i = 0; i < SAMPLES_USUAL_COUNT && status == CGE_OK; i++)
        status = test(samples_usual_windows[i], samples_usual_labels[i], &usual);
    for (i = 0; i < SAMPLES_TURNED_COUNT && status == CGE_OK; i++)
        status = test(samples_turned_windows[i], samples_turned_labels[i], &turned);
    printf("%s: crc %08lx, correct %ld %ld\n", when, (unsigned long)ram.crc, (long)usual, (long)turned);
    return status;
}

/* 0 if the stack is within the budget too. */
static int report_budget(uint32_t stack)
{
    const size_t window = sizeof ram.window + sizeof ram.x, memory = sizeof ram.memory + sizeof ram.labels;
    report_bytes(sizeof ram.arena, "to train");
    report_bytes(window, "a window, from the sensor and as numbers");
    report_bytes(memory, "windows with labels");
    report_bytes(sizeof ram - sizeof ram.arena - window - memory, "all other variables");
    report_bytes(stack, "of the stack were used");
    report_bytes(sizeof ram + stack, "in all");
    return sizeof ram + stack > SAMPLES_BUDGET_BYTES;
}

static cge_status run(void)
{
    cge_status status = start();
    if (status == CGE_OK) status = report("before");
    if (status == CGE_OK) meet_new();
    if (status == CGE_OK) status = learn();
    if (status == CGE_OK) status = report("after");
    if (status == CGE_OK) status = report_weights(&ram.net);
    return status;
}

int main(void)
{
    return report_run(run, report_budget);
}
