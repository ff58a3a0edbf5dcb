/*
 * Training beside a control loop under FreeRTOS, so that no watchdog notices.
 *
 * A batch is learned one sample at a time: cge_network_accumulate adds the gradients of one, vTaskDelay lets every other
 * task run, the one that idles included (taskYIELD would not: it passes over tasks of lower priority), and after the last
 * sample cge_network_update moves the weights. They end with the same bits as after cge_network_train_batch of the whole
 * batch, which would hold the processor for as long as all its samples take.
 *
 * Of FreeRTOS it uses xTaskCreate, vTaskDelay and vTaskStartScheduler. digits.h and .c are what Network.export wrote. The
 * project's tests run it on an emulated board, with the small kernel of tests/freertos in place of FreeRTOS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "FreeRTOS.h"
#include "task.h"

#include "cge.h"
#include "digits.h"

#define BATCH 8
#define UPDATES 3

/* Of the stack: what `make size` says of training, and as much again for printf and the interrupts. */
#define LEARN_STACK_BYTES 2560
#define CONTROL_STACK_BYTES 512
#define LEARN_PRIORITY (tskIDLE_PRIORITY + 1)
#define CONTROL_PRIORITY (tskIDLE_PRIORITY + 2)

static uint64_t arena[(DIGITS_TRAINING_ARENA_BYTES + 7) / 8];
static cge_network net; /* of the learning task alone */

static volatile float control_output;
static volatile unsigned long control_steps;

/* In place of a control loop: a filter, once a tick. It interrupts the training wherever that is. */
static void control(void *unused)
{
    float level = 0.0f;
    (void)unused;
    for (;;) {
        level = 0.875f * level + 0.125f * (float)(control_steps % 5u);
        control_output = level;
        control_steps++;
        vTaskDelay(1);
    }
}

/* In place of a camera: a stroke that leans, by its label. */
static int32_t take_picture(int32_t number, cge_real *x)
{
    const int32_t label = number % 10;
    int32_t i;
    for (i = 0; i < DIGITS_INPUT_ELEMS; i++) x[i] = (i * (label + 3) + number) % 9 < 3 ? 1.0f : 0.0f;
    return label;
}

static cge_status learn_sample(int32_t number)
{
    cge_real x[DIGITS_INPUT_ELEMS], loss;
    const int32_t label = take_picture(number, x);
    const cge_targets targets = {&label, NULL, NULL};
    return cge_network_accumulate(&net, x, &targets, 1, &loss);
}

static cge_status learn_batch(int32_t first)
{
    int32_t number;
    for (number = first; number < first + BATCH; number++) {
        const cge_status status = learn_sample(number);
        if (status != CGE_OK) return status;
        vTaskDelay(1);
    }
    return cge_network_update(&net);
}

static cge_status start(void)
{
    static const cge_options training = {.training = 1};
    cge_status status = cge_network_init(&net, &digits_model, &training, arena, sizeof arena);
    if (status == CGE_OK) memcpy(net.params, digits_params, sizeof digits_params);
    return status;
}

/* The sample ends with its last update; a product goes on. */
static void learn(void *unused)
{
    cge_status status = start();
    int32_t update;
    uint64_t hash = 0;
    (void)unused;
    for (update = 0; update < UPDATES && status == CGE_OK; update++) status = learn_batch(update * BATCH);
    if (status == CGE_OK) status = cge_network_params_hash(&net, &hash);
    printf("%s, weights %08lx", cge_status_text(status), (unsigned long)(hash >> 32));
    printf("%08lx\n", (unsigned long)(hash & 0xffffffffu));
    printf("control ran %lu times, to %ld / 1000000\n", control_steps, (long)(1e6f * control_output));
    exit(status != CGE_OK);
}

int main(void)
{
    const configSTACK_DEPTH_TYPE learn_words = LEARN_STACK_BYTES / sizeof(StackType_t);
    const configSTACK_DEPTH_TYPE control_words = CONTROL_STACK_BYTES / sizeof(StackType_t);
    if (xTaskCreate(control, "control", control_words, NULL, CONTROL_PRIORITY, NULL) != pdPASS) return EXIT_FAILURE;
    if (xTaskCreate(learn, "learn", learn_words, NULL, LEARN_PRIORITY, NULL) != pdPASS) return EXIT_FAILURE;
    vTaskStartScheduler();
    return EXIT_FAILURE; /* the idle task had no memory */
}
