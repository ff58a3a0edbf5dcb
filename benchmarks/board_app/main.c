/*
 * The cases of `make bench BOARD=<name>`: each kernel pass and one training step between bench_begin and bench_end,
 * where insn_plugin.c counts. Prints one line a case, in the same order: `case,pass,multiply-adds,stack bytes`.
 */
#include <stdio.h>

#include "../counted.h"
#include "cge.h"
#include "cge_data.h"
#include "../../csrc/src/kernels/kernels.h"

#ifdef CGE_BARE_METAL
#include "runtime.h"
#else
static void stack_paint(void) {}
static uint32_t stack_peak(void) { return 0; }
#endif

/* ---- one workspace for all cases: net N's training is the largest ---- */

#define WORKSPACE_FLOATS 43240 /* 169 KB: what net N takes, and leaves the 192 KB board its stack */

static union {
    uint64_t align;
    float floats[WORKSPACE_FLOATS];
} workspace;

static float *fill(float *p, int32_t n, cge_rng *rng)
{
    for (int32_t i = 0; i < n; i++) p[i] = cge_rng_uniform_f32(rng) - 0.5f;
    return p + n;
}

static int failed;

#define MEASURE(name, pass, macs, call)                                                                           \
    do {                                                                                                          \
        cge_status status_;                                                                                       \
        stack_paint();                                                                                            \
        bench_begin();                                                                                            \
        status_ = (call);                                                                                         \
        bench_end();                                                                                              \
        printf("%s,%s,%ld,%lu\n", (name), (pass), (long)(macs), (unsigned long)stack_peak());                     \
        if (status_ != CGE_OK) failed = 1;                                                                        \
    } while (0)

/* ---- convolutions ---- */

typedef struct conv_case {
    const char *name;
    cge_conv2d g;
} conv_case;

#define SAME3 .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1

static const conv_case conv_cases[] = {
    {"3x3 8->16 14x14", {.in_h = 14, .in_w = 14, .in_c = 8, .out_c = 16, SAME3}},
    {"3x3 1->8 28x28", {.in_h = 28, .in_w = 28, .in_c = 1, .out_c = 8, SAME3}},
    {"3x3 2->8 16x16", {.in_h = 16, .in_w = 16, .in_c = 2, .out_c = 8, SAME3}},
    {"3x3 3->16 16x16", {.in_h = 16, .in_w = 16, .in_c = 3, .out_c = 16, SAME3}},
    {"3x3 16->2 16x16", {.in_h = 16, .in_w = 16, .in_c = 16, .out_c = 2, SAME3}},
    {"3x3 5->7 11x9 stride 2", {.in_h = 11, .in_w = 9, .in_c = 5, .out_c = 7, .stride_h = 2, .stride_w = 2, SAME3}},
    {"1x1 48->96 8x8", {.in_h = 8, .in_w = 8, .in_c = 48, .out_c = 96, .kernel_h = 1, .kernel_w = 1}},
    {"depthwise 3x3 48 16x16", {.in_h = 16, .in_w = 16, .in_c = 48, .out_c = 48, .groups = 48, SAME3}},
};

static void run_conv(const conv_case *c)
{
    const cge_conv2d *g = &c->g;
    const int32_t groups = g->groups != 0 ? g->groups : 1;
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, w_elems = g->kernel_h * g->kernel_w * g->in_c / groups * g->out_c;
    cge_shape out;
    cge_rng rng;
    if (cge_conv2d_output_shape(g, &out) != CGE_OK || cge_rng_seed(&rng, 1) != CGE_OK) {
        failed = 1;
        return;
    }
    /* x and dx, y and dy share their places */
    float *x = workspace.floats, *w = fill(x, x_elems, &rng), *b = fill(w, w_elems, &rng);
    float *dw = fill(b, g->out_c, &rng), *y = fill(dw, w_elems, &rng);
    int32_t macs = w_elems * out.h * out.w;
    (void)fill(y, out.h * out.w * out.c, &rng);
    MEASURE(c->name, "weight_grad", macs, cge_conv2d_weight_grad_f32(g, x, y, dw));
    MEASURE(c->name, "input_grad", macs, cge_conv2d_input_grad_f32(g, w, y, x));
    MEASURE(c->name, "forward", macs, cge_conv2d_forward_f32(g, x, w, b, y));
}

/* ---- transposed convolutions: the passes of the convolution that goes the other way, and the bias ---- */

static void run_transposed(void)
{
    static const cge_conv_transpose2d g = {
        .in_h = 8, .in_w = 8, .in_c = 16, .out_c = 8, SAME3, .stride_h = 2, .stride_w = 2,
        .output_pad_h = 1, .output_pad_w = 1};
    const int32_t x_elems = 8 * 8 * 16, w_elems = 3 * 3 * 8 * 16, y_elems = 16 * 16 * 8, macs = w_elems * 8 * 8;
    const char *name = "transposed 3x3 16->8 8x8";
    cge_rng rng;
    if (cge_rng_seed(&rng, 1) != CGE_OK) failed = 1;
    float *x = workspace.floats, *w = fill(x, x_elems, &rng), *b = fill(w, w_elems, &rng);
    float *dw = fill(b, g.out_c, &rng), *y = fill(dw, w_elems, &rng);
    (void)fill(y, y_elems, &rng);
    MEASURE(name, "weight_grad", macs, cge_conv_transpose2d_weight_grad_f32(&g, x, y, dw));
    MEASURE(name, "input_grad", macs, cge_conv_transpose2d_input_grad_f32(&g, w, y, x));
    MEASURE(name, "forward", macs, cge_conv_transpose2d_forward_f32(&g, x, w, b, y));
}

/* ---- elements: instructions an element in place of those a multiply-add ---- */

static void run_elements(void)
{
    enum { ELEMS = 4096 };
    cge_rng rng;
    if (cge_rng_seed(&rng, 3) != CGE_OK) {
        failed = 1;
        return;
    }
    float *x = workspace.floats, *dy = fill(x, ELEMS, &rng);
    (void)fill(dy, ELEMS, &rng);
    for (int32_t i = 0; i < ELEMS; i++) x[i] *= 6; /* from -3 to 3 */
    MEASURE("relu6", "forward", ELEMS, cge_relu6_forward_f32(ELEMS, x, x));
    MEASURE("relu6", "input_grad", ELEMS, cge_relu6_input_grad_f32(ELEMS, x, dy, dy));
}

/* ---- normalisation: elements in place of multiply-adds ---- */

static cge_status norm_backward(const cge_norm_plan *p, const float *x, const float *w, const float *dy, float *dw, float *db, float *dx)
{
    const cge_range all = {0, p->runs};
    cge_run_group_norm_grads(p, x, w, dy, dw, db, dx, all); /* what a layer calls: all gradients at once */
    return CGE_OK;
}

static void run_norm(const char *name, const cge_norm *g)
{
    const int32_t elems = g->in_h * g->in_w * g->in_c;
    cge_norm_plan p;
    cge_rng rng;
    if (cge_norm_resolve(g, &p) != CGE_OK || cge_rng_seed(&rng, 1) != CGE_OK) {
        failed = 1;
        return;
    }
    float *x = workspace.floats, *w = fill(x, elems, &rng), *b = fill(w, g->in_c, &rng), *dw = fill(b, g->in_c, &rng), *y = fill(dw, g->in_c, &rng);
    (void)fill(y, elems, &rng);
    MEASURE(name, "forward", elems, cge_group_norm_forward_f32(g, x, w, b, y));
    MEASURE(name, "backward", elems, norm_backward(&p, x, w, y, dw, b, x));
}

/* ---- a whole step: net N, 28x28 images, 9,098 parameters, SGD with momentum, batch of one ---- */

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
    .input = {28, 28, 1},
    .layers = layers,
    .layer_count = sizeof layers / sizeof layers[0],
    .loss = &cge_softmax_cross_entropy,
    .optimizer = {.kind = &cge_sgd, .learning_rate = 0.05f, .momentum = 0.9f},
};

/* The same for a camera's bytes. */
static cge_model byte_model(void)
{
    cge_model m = model;
    m.input_kind = &cge_input_u8;
    m.input_scale = 0x1p-8f;
    m.input_offset = 128;
    return m;
}

/* level NULL: every layer's output is kept as a whole. */
static void run_step(const char *name, const cge_memory_level *level, const cge_model *m, float last_bias)
{
    static uint64_t plan_memory[96];
    cge_plan plan;
    cge_options training = {.training = 1};
    static float x[28 * 28];
    static unsigned char bytes[28 * 28];
    const void *samples = m->input_kind != NULL ? (const void *)bytes : x;
    float y[10];
    const int32_t label[1] = {3};
    const cge_targets targets = {.labels = label};
    const int32_t macs = 72 * 784 * 2 + 1152 * 196 * 3 + 7840 * 3; /* the first layer has no input gradient */
    cge_network net;
    cge_rng rng;
    float loss;
    if (level != NULL && cge_plan_make(m, level, 1, plan_memory, sizeof plan_memory, &plan) != CGE_OK) {
        failed = 1;
        return;
    }
    if (level != NULL) training.plan = &plan;
    if (cge_network_init(&net, m, &training, workspace.floats, sizeof workspace.floats) != CGE_OK ||
        cge_network_init_params(&net, 1) != CGE_OK || cge_rng_seed(&rng, 2) != CGE_OK) {
        failed = 1;
        return;
    }
    (void)fill(x, 28 * 28, &rng);
    net.params[net.param_elems - 1] = last_bias; /* 2^64 or more is too large for the bound of a step */
    for (int32_t i = 0; i < 28 * 28; i++) bytes[i] = (unsigned char)((x[i] + 0.5f) * 256);
    MEASURE(name, "train_batch", macs, cge_network_train_batch(&net, samples, &targets, 1, &loss));
    MEASURE(name, "forward", 72 * 784 + 1152 * 196 + 7840, cge_network_forward(&net, samples, 1, y));
}

/* ---- optimisers: what the others count as multiply-adds are parameters here ---- */

enum { UPDATED = 1000 };

static void run_updates(void)
{
    static const cge_optimizer adam = {.learning_rate = 1e-3f, .momentum = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    static const cge_optimizer decaying = {.learning_rate = 1e-3f, .momentum = 0.9f, .weight_decay = 1e-2f, .beta2 = 0.999f, .epsilon = 1e-8f};
    static const cge_optimizer rmsprop = {.learning_rate = 1e-3f, .beta2 = 0.99f, .epsilon = 1e-8f};
    static const cge_optimizer adagrad = {.learning_rate = 1e-2f, .epsilon = 1e-10f};
    float *dw = workspace.floats, *w = dw + UPDATED, *m = w + UPDATED, *v = m + UPDATED;
    cge_rng rng;
    if (cge_rng_seed(&rng, 3) != CGE_OK) failed = 1;
    (void)fill(dw, 3 * UPDATED, &rng);
    for (int32_t i = 0; i < UPDATED; i++) v[i] = m[i] * m[i];
    MEASURE("adam", "update", UPDATED, cge_adam_update_f32(UPDATED, &adam, 100, 0.25f, dw, w, m, v));
    MEASURE("adamw", "update", UPDATED, cge_adamw_update_f32(UPDATED, &decaying, 100, 0.25f, dw, w, m, v));
    MEASURE("rmsprop", "update", UPDATED, cge_rmsprop_update_f32(UPDATED, &rmsprop, 0.25f, dw, w, v, NULL));
    MEASURE("adagrad", "update", UPDATED, cge_adagrad_update_f32(UPDATED, &adagrad, 0.25f, dw, w, v));
}

/* ---- augmentation: bytes in place of multiply-adds, of pictures of 28 x 28 bytes and of 28 x 28 numbers ---- */

#define PICTURE .in_h = 28, .in_w = 28, .in_c = 1

static void run_augmentation(void)
{
    static const struct {
        const char *pass;
        cge_augmentation a;
    } cases[] = {
        {"shift", {PICTURE, .shift_h = 2, .shift_w = 2}},
        {"flip", {PICTURE, .flip_horizontal = 1}},
        {"tone", {PICTURE, .brightness = 20, .contrast = 0.25f, .centre = 128}},
        {"noise", {PICTURE, .noise = 10}},
        {"cutout", {PICTURE, .cutout_h = 8, .cutout_w = 8}},
        {"all", {PICTURE, .shift_h = 2, .shift_w = 2, .flip_horizontal = 0.5f, .brightness = 20, .contrast = 0.25f, .noise = 10,
                 .cutout_h = 8, .cutout_w = 8}},
    };
    float *const numbers = workspace.floats;
    uint8_t *const x = (uint8_t *)(numbers + 28 * 28), *const y = x + 28 * 28;
    cge_rng rng;
    if (cge_rng_seed(&rng, 4) != CGE_OK) failed = 1;
    (void)fill(numbers, 28 * 28, &rng);
    for (int32_t i = 0; i < 28 * 28; i++) x[i] = (uint8_t)((numbers[i] + 0.5f) * 256);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        MEASURE("augment bytes", cases[i].pass, 28 * 28, cge_augment_u8(&cases[i].a, 1, 2, x, y));
        MEASURE("augment bytes in place", cases[i].pass, 28 * 28, cge_augment_u8(&cases[i].a, 1, 2, y, y));
        MEASURE("augment numbers in place", cases[i].pass, 4 * 28 * 28, cge_augment_f32(&cases[i].a, 1, 2, numbers, numbers));
    }
}

/* ---- orders: places in place of multiply-adds ---- */

static void run_order(void)
{
    MEASURE("order of 1000", "permute", 100, cge_permute(1000, 1, 2, 0, 100, (int32_t *)(void *)workspace.floats));
}

int main(void)
{
    const cge_model bytes = byte_model();
    for (unsigned i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) run_conv(&conv_cases[i]);
    run_transposed();
    run_elements();
    run_step("net N step", NULL, &model, 0);
    run_step("net N step, small", &cge_memory_small, &model, 0);
    run_step("net N step, smallest", &cge_memory_smallest, &model, 0);
    run_step("net N step, smallest, tried", &cge_memory_smallest, &model, -0x1p66f);
    run_step("net N step, bytes", NULL, &bytes, 0);
    run_step("net N step, bytes, small", &cge_memory_small, &bytes, 0);
    run_step("net N step, bytes, smallest", &cge_memory_smallest, &bytes, 0);
    run_updates();
    run_norm("norm 16x16x16 in 4", &(const cge_norm){16, 16, 16, 4, 0});
    run_norm("norm 16x16x16 in 16", &(const cge_norm){16, 16, 16, 16, 0});
    run_norm("norm 1x1x4096", &(const cge_norm){1, 1, 4096, 1, 0});
    run_augmentation();
    run_order();
    return failed;
}
