#include <stdio.h>
#include <string.h>

#include "digits.h" /* written by net.export; includes cge.h */

#define STEPS 6

static uint64_t arena[(DIGITS_TRAINING_ARENA_BYTES + 7) / 8]; /* all the memory that training takes */
static cge_network net;

/* In place of a camera: 8x8 pixels, 0 .. 1, of a "1" as nobody in the data set writes it. */
static void take_picture(cge_real *x)
{
    static const char one[] = "   #    "
                              "  ##    "
                              " # #    "
                              "   #    "
                              "   #    "
                              "   #    "
                              " #####  "
                              "        ";
    int i;
    for (i = 0; i < DIGITS_INPUT_ELEMS; i++) x[i] = one[i] == '#' ? 1.0f : 0.0f;
}

static cge_status read_digit(const cge_real *x, int *digit)
{
    cge_real y[DIGITS_OUTPUT_ELEMS];
    cge_status status = cge_network_forward(&net, x, 1, y);
    int i;
    if (status != CGE_OK) return status;
    for (*digit = 0, i = 1; i < DIGITS_OUTPUT_ELEMS; i++)
        if (y[i] > y[*digit]) *digit = i;
    return CGE_OK;
}

static cge_status start(void)
{
    static cge_options options; /* zero means default */
    cge_status status;
    options.training = 1;
    status = cge_network_init(&net, &digits_model, &options, arena, sizeof arena);
    if (status != CGE_OK) return status;
    memcpy(net.params, digits_params, sizeof digits_params); /* from flash */
    net.optimizer.learning_rate = 0.002f;                    /* it knows a lot already: gently */
    return CGE_OK;
}

static cge_status learn(int32_t label, int *digit)
{
    const cge_targets targets = {&label, NULL, NULL};
    cge_real x[DIGITS_INPUT_ELEMS], loss;
    cge_status status = CGE_OK;
    int step;
    take_picture(x);
    for (step = 1; step <= STEPS && status == CGE_OK; step++) {
        status = cge_network_train_batch(&net, x, &targets, 1, &loss);
        if (status == CGE_OK) status = read_digit(x, digit);
        if (status == CGE_OK) printf("step %d: loss was %ld / 1000, now reads %d\n", step, (long)(1000 * loss), *digit);
    }
    return status;
}

int main(void)
{
    int digit = -1;
    cge_status status = start();
    if (status == CGE_OK) status = learn(1, &digit);
    if (status != CGE_OK) printf("%s\n", cge_status_text(status));
    return digit != 1;
}
