/*
 * A camera that looks down on a landing pad goes on learning in the air, since its lens got dirty.
 *
 * landing.h and .c are what Network.export wrote, by a plan within the budget. samples.h and .c are from main.py: frames in
 * place of the camera, and what the network should tell of each, by the drone's own motion. Each frame is learned from once,
 * as it comes, and then forgotten.
 *
 * The program prints lines that main.py reads: the bits of all outputs before and after, the hash of the weights, the bytes.
 */
#include <stdio.h>
#include <string.h>

#include "cge.h"

#include "landing.h"
#include "samples.h"

#include "../report.h"

/* All RAM of the program but the stack and the C library's. */
static struct ram {
    uint64_t arena[(LANDING_TRAINING_ARENA_BYTES + 7) / 8];
    cge_network net;
    uint8_t frame[LANDING_INPUT_ELEMS]; /* as the camera writes it, and as the network reads it */
} ram;

typedef char the_budget_is_kept[sizeof(struct ram) <= SAMPLES_BUDGET_BYTES ? 1 : -1];

/* What learns is copied into the arena, the rest stays in flash. */
static cge_status start(void)
{
    static const cge_options training = {.training = 1, .params = landing_params, .plan = &landing_training_plan};
    return cge_network_init(&ram.net, &landing_model, &training, ram.arena, sizeof ram.arena);
}

static void take_frame(const uint8_t *seen)
{
    memcpy(ram.frame, seen, sizeof ram.frame); /* in place of a camera's DMA */
}

static cge_status learn(void)
{
    cge_status status = CGE_OK;
    int32_t i;
    for (i = 0; i < SAMPLES_FLIGHT_COUNT && status == CGE_OK; i++) {
        const cge_targets targets = {.values = samples_flight_targets[i]};
        cge_real loss;
        take_frame(samples_flight_frames[i]);
        ram.net.optimizer.learning_rate = cge_schedule_rate(&landing_schedule, ram.net.step_count);
        status = cge_network_train_batch(&ram.net, ram.frame, &targets, 1, &loss);
    }
    return status;
}

/* ---- what it prints -------------------------------------------------------------------------------------------------- */

static cge_status report_outputs(const char *when)
{
    cge_status status = CGE_OK;
    uint32_t crc = 0;
    int32_t i;
    for (i = 0; i < SAMPLES_TEST_COUNT && status == CGE_OK; i++) {
        cge_real y[LANDING_OUTPUT_ELEMS];
        take_frame(samples_test_frames[i]);
        status = cge_network_forward(&ram.net, ram.frame, 1, y);
        if (status == CGE_OK) crc = cge_crc32(crc, y, sizeof y);
    }
    printf("%s: crc %08lx\n", when, (unsigned long)crc);
    return status;
}

/* 0 if the stack is within the budget too. */
static int report_budget(uint32_t stack)
{
    report_bytes(sizeof ram.arena, "to train");
    report_bytes(sizeof ram.frame, "the frame");
    report_bytes(sizeof ram - sizeof ram.arena - sizeof ram.frame, "all other variables");
    report_bytes(stack, "of the stack were used");
    report_bytes(sizeof ram + stack, "in all");
    return sizeof ram + stack > SAMPLES_BUDGET_BYTES;
}

static cge_status run(void)
{
    cge_status status = start();
    if (status == CGE_OK) status = report_outputs("before");
    if (status == CGE_OK) status = learn();
    if (status == CGE_OK) status = report_outputs("after");
    if (status == CGE_OK) status = report_weights(&ram.net);
    return status;
}

int main(void)
{
    return report_run(run, report_budget);
}
