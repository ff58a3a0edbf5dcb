/*
 * The cases of `make bench BOARD=<name>`: each kernel pass and one training step between bench_begin and bench_end,
 * where insn_plugin.c counts. Prints one line a case, in the same order: `case,pass,multiply-adds,stack bytes`.
 */
#include <stdio.h>

#include "cge.h"

#ifdef CGE_BARE_METAL
#include "runtime.h"
#else
static void stack_paint(void) {}
static uint32_t stack_peak(void) { return 0; }
#endif

void bench_begin(void);
void bench_end(void);
__attribute__((noinline)) void bench_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void bench_end(void) { __asm__ volatile("" ::: "memory"); }

/* ---- one workspace for all cases: net N's training is the largest ---- */

#define WORKSPACE_FLOATS 43072 /* 168 KB: what net N takes, and leaves the 192 KB board its stack */

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
    {"3x3 3->16 16x16", {.in_h = 16, .in_w = 16, .in_c = 3, .out_c = 16, SAME3}},
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

/* ---- a whole step: net N, 28x28 images, 9,098 parameters, SGD with momentum, batch of one ---- */

static const cge_layer layers[] = {
    {.kind = &cge_kind_conv2d, .units = 8, SAME3},
    {.kind = &cge_kind_relu},
    {.kind = &cge_kind_maxpool2d, .kernel_h = 2, .kernel_w = 2},
    {.kind = &cge_kind_conv2d, .units = 16, SAME3},
    {.kind = &cge_kind_relu},
    {.kind = &cge_kind_maxpool2d, .kernel_h = 2, .kernel_w = 2},
    {.kind = &cge_kind_dense, .units = 10},
};
static const cge_model model = {
    .input = {28, 28, 1},
    .layers = layers,
    .layer_count = sizeof layers / sizeof layers[0],
    .loss = &cge_softmax_cross_entropy,
    .optimizer = {.kind = &cge_sgd, .learning_rate = 0.05f, .momentum = 0.9f},
};

static void run_step(void)
{
    static const cge_options training = {.training = 1};
    static float x[28 * 28];
    const int32_t label[1] = {3};
    const cge_targets targets = {.labels = label};
    const int32_t macs = 72 * 784 * 2 + 1152 * 196 * 3 + 7840 * 3; /* the first layer has no input gradient */
    cge_network net;
    cge_rng rng;
    float loss;
    if (cge_network_init(&net, &model, &training, workspace.floats, sizeof workspace.floats) != CGE_OK ||
        cge_network_init_params(&net, 1) != CGE_OK || cge_rng_seed(&rng, 2) != CGE_OK) {
        failed = 1;
        return;
    }
    (void)fill(x, 28 * 28, &rng);
    MEASURE("net N step", "train_batch", macs, cge_network_train_batch(&net, x, &targets, 1, &loss));
    MEASURE("net N step", "forward", 72 * 784 + 1152 * 196 + 7840, cge_network_forward(&net, x, 1, x));
}

int main(void)
{
    for (unsigned i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) run_conv(&conv_cases[i]);
    run_step();
    return failed;
}
