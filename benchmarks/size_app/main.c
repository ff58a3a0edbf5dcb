/*
 * The smallest program that trains the network of the demo, conv8-pool-conv16-pool-dense10 on 8x8 images: for
 * `make size`, which counts what of the library gets linked, and how much stack one training step takes.
 */
#include <stdio.h>

#include "cge.h"

#ifdef CGE_BARE_METAL
#include "runtime.h"
#endif

static const cge_conv2d conv8 = {.out_c = 8, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
static const cge_conv2d conv16 = {.out_c = 16, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
static const cge_pool2d pool2 = {.kernel_h = 2, .kernel_w = 2};
static const cge_dense dense10 = {.units = 10};
static const cge_layer layers[] = {
    {.kind = &cge_kind_conv2d, .config = &conv8},
    {.kind = &cge_kind_relu},
    {.kind = &cge_kind_maxpool2d, .config = &pool2},
    {.kind = &cge_kind_conv2d, .config = &conv16},
    {.kind = &cge_kind_relu},
    {.kind = &cge_kind_maxpool2d, .config = &pool2},
    {.kind = &cge_kind_dense, .config = &dense10},
};

static const cge_model model = {
    .input = {8, 8, 1},
    .layers = layers,
    .layer_count = sizeof layers / sizeof layers[0],
    .loss = &cge_softmax_cross_entropy,
    .optimizer = {.kind = &cge_sgd, .learning_rate = 0.05f, .momentum = 0.9f},
};

/* Where it does not fit (the micro:bit has 16 KB) the program says so; its code is the same. */
#if defined(CGE_TEST_RAM_BYTES) && CGE_TEST_RAM_BYTES < 65536
#define ARENA_BYTES 8192
#else
#define ARENA_BYTES 40960
#endif

static union {
    uint64_t align;
    unsigned char bytes[ARENA_BYTES];
} arena;

static cge_status train(float *loss)
{
    static const cge_options training = {.training = 1};
    static const float image[64] = {[18] = 1.0f, [27] = 1.0f, [36] = 1.0f};
    static const int32_t label[1] = {7};
    static const cge_targets targets = {.labels = label};
    static cge_network net;
    cge_status status = cge_network_init(&net, &model, &training, arena.bytes, sizeof arena.bytes);
    if (status == CGE_OK) status = cge_network_init_params(&net, 1);
    if (status == CGE_OK) status = cge_network_train_batch(&net, image, &targets, 1, loss);
    return status;
}

int main(void)
{
    float loss = 0.0f;
    cge_status status;
#ifdef CGE_BARE_METAL
    stack_paint();
    status = train(&loss);
    printf("stack bytes %lu\n", (unsigned long)stack_peak());
#else
    status = train(&loss);
#endif
    printf("status %d, loss in millionths %ld\n", (int)status, (long)(loss * 1e6f));
    return status != CGE_OK;
}
