/* What a board can say about its own arithmetic, and a gradient check on the spot. */
#include "network.h"

#include <string.h>

#include "kernels/kernels.h"

/* ---- the multiply-add ---- */

/*
 * x * x with x = 1 + 2^-12 is 1 + 2^-11 + 2^-24: the last term is half an ulp and is lost when the product is rounded
 * (to even), but survives in a fused multiply-add that takes away 1 + 2^-11. A 1x1 convolution of two channels,
 * bias -(1 + 2^-11), inputs {x, subnormal}, weights {x, 1}, does it with the kernels' own multiply-add: volatile keeps
 * the compiler from computing it beforehand; the subnormal tells of a unit that flushes them to zero.
 */
static cge_arithmetic probe_arithmetic(void)
{
    const cge_conv2d g = {1, 1, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    volatile cge_real factor = CGE_REAL(0x1.001p0), tiny = CGE_REAL(0x1p-140), minus = CGE_REAL(-0x1.002p0);
    cge_real x[2], w[2], b[1], y[1];
    x[0] = factor, x[1] = tiny;
    w[0] = factor, w[1] = CGE_REAL(1);
    b[0] = minus;
    if (cge_conv2d_forward_f32(&g, x, w, b, y) != CGE_OK) return CGE_ARITHMETIC_OTHER;
    if (y[0] == CGE_REAL(0x1p-24)) return CGE_ARITHMETIC_CONTRACTED;
    /* by bits: a unit that takes subnormals for zero calls them equal to zero */
    return memcmp(y, &x[1], sizeof y) == 0 ? CGE_ARITHMETIC_EXACT : CGE_ARITHMETIC_OTHER;
}

/* ---- the gradient check ---- */

/* Smooth layers only: a central difference across a kink of ReLU or max pooling proves nothing. Pooling leaves no
 * row or column of the convolution out, so that every output position counts. */
static const cge_layer selftest_layers[] = {
    {&cge_kind_conv2d, 2, 3, 3, 1, 2, 1, 1, 1, 0, 1, 1, 0, 0.0f, 0, CGE_INIT_GLOROT_UNIFORM},
    {&cge_kind_tanh, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0f, 0, 0},
    {&cge_kind_avgpool2d, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0f, 0, 0},
    {&cge_kind_dense, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0f, 0, CGE_INIT_GLOROT_UNIFORM}};

static const cge_model selftest_model = {
    {6, 5, 1}, selftest_layers, 4, &cge_softmax_cross_entropy, {NULL, 0.0f, 0.0f, 0.0f, 0}};

#define SELFTEST_INPUTS 30
#define SELFTEST_STEP 0x1p-6f /* of the central difference: rounding errors of the loss / step stay below 1e-5 */
#define SELFTEST_TOLERANCE 2e-2f

cge_status cge_selftest_arena_bytes(size_t *bytes)
{
    const cge_options options = {1, 1, NULL, NULL};
    return cge_network_arena_bytes(&selftest_model, &options, bytes);
}

static cge_real magnitude(cge_real x)
{
    return x < 0 ? -x : x;
}

/* Signed central difference of the loss by parameter i against the gradient that accumulate found. */
static cge_status gradient_error(cge_network *net, int32_t i, const cge_real *x, const cge_targets *targets, cge_real *error)
{
    const cge_real keep = net->params[i];
    cge_real above = 0, below = 0, difference;
    net->params[i] = keep + SELFTEST_STEP;
    CGE_TRY(cge_network_evaluate(net, x, targets, 1, &above, NULL));
    net->params[i] = keep - SELFTEST_STEP;
    CGE_TRY(cge_network_evaluate(net, x, targets, 1, &below, NULL));
    net->params[i] = keep;
    difference = (above - below) / (2 * SELFTEST_STEP);
    *error = magnitude(net->grads[i] - difference) / (magnitude(net->grads[i]) + magnitude(difference) + 1e-2f);
    return CGE_OK;
}

cge_status cge_selftest(void *arena, size_t arena_bytes, cge_selftest_report *report)
{
    const cge_options options = {1, 1, NULL, NULL};
    const int32_t label = 1;
    cge_targets targets = {&label, NULL};
    cge_real x[SELFTEST_INPUTS], loss, worst = 0, error;
    cge_network net;
    cge_rng rng;
    int32_t i;
    if (report == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_network_init(&net, &selftest_model, &options, arena, arena_bytes));
    CGE_TRY(cge_network_init_params(&net, 1));
    CGE_TRY(cge_rng_seed(&rng, 2));
    for (i = 0; i < SELFTEST_INPUTS; i++) x[i] = cge_rng_uniform_f32(&rng) - 0.5f;
    CGE_TRY(cge_network_accumulate(&net, x, &targets, 1, &loss));
    for (i = 0; i < net.param_elems; i++) {
        CGE_TRY(gradient_error(&net, i, x, &targets, &error));
        if (worst == worst && !(error <= worst)) worst = error; /* a NaN is the worst, and stays */
    }
    report->arithmetic = probe_arithmetic();
    report->max_gradient_error = worst;
    report->gradients_checked = net.param_elems;
    report->passed = worst <= SELFTEST_TOLERANCE && report->arithmetic != CGE_ARITHMETIC_OTHER;
    return CGE_OK;
}
