/* Trains a network as its export says, on given samples, and prints the bits of what comes out: compared by `validate`. */
#include <stdio.h>
#include <string.h>

#include "validated.h"
#include "validated_samples.h"

static uint64_t arena[(VALIDATED_TRAINING_ARENA_BYTES + 7) / 8];
static cge_network net;

static uint32_t bits_of(cge_real value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static cge_status start(void)
{
    static cge_options options;
    cge_status status;
    options.training = 1;
#ifdef SAMPLES_PLAN
    options.plan = &validated_training_plan;
#endif
    status = cge_network_init(&net, &validated_model, &options, arena, sizeof arena);
    if (status == CGE_OK) memcpy(net.params, validated_params, VALIDATED_PARAM_ELEMS * sizeof(cge_real));
    return status;
}

static cge_status step(int32_t first, cge_real *loss, uint32_t *gradients)
{
    const samples_element *x = samples_x + (size_t)first * VALIDATED_INPUT_ELEMS;
    cge_targets targets;
    cge_status status;
    memset(&targets, 0, sizeof targets);
    samples_point(&targets, first);
    if (net.grads == NULL) { /* each sample is a step */
        *gradients = 0;
        return cge_network_train_batch(&net, x, &targets, SAMPLES_BATCH, loss);
    }
    status = cge_network_zero_grads(&net);
    if (status == CGE_OK) status = cge_network_accumulate(&net, x, &targets, SAMPLES_BATCH, loss);
    if (status != CGE_OK) return status;
    *gradients = cge_crc32(0, net.grads, (size_t)net.grad_elems * sizeof(cge_real));
    return cge_network_update(&net);
}

int main(void)
{
    cge_status status = start();
    int32_t i;
    for (i = 0; i < SAMPLES_STEPS && status == CGE_OK; i++) {
        cge_real loss = 0;
        uint32_t gradients = 0;
        status = step(i * SAMPLES_BATCH, &loss, &gradients);
        if (status == CGE_OK)
            printf("step %ld: loss %08lx, gradients %08lx, weights %08lx\n", (long)i, (unsigned long)bits_of(loss),
                   (unsigned long)gradients,
                   (unsigned long)cge_crc32(0, net.params, (size_t)net.param_elems * sizeof(cge_real)));
    }
    printf("ended: %s\n", cge_status_text(status));
    return status != CGE_OK;
}
