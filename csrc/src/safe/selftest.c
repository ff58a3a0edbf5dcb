/* What a board can say about its own arithmetic, gradients and guards, on the spot. */
#include "../net/net.h"

#include "../base/fp_mode.h"
#include "../base/hash.h"

/* Smooth layers only: a central difference across a kink of ReLU or max pooling proves nothing. Pooling leaves no
 * row or column of the convolution out, so that every output position counts. Of a squared error, as a NaN goes through it
 * without a comparison: those trap where traps are on. */
static const cge_conv2d selftest_conv2d = {
    .out_c = 2, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 2, .dilation_h = 1, .dilation_w = 1, .pad_top = 1, .pad_bottom = 1, .pad_right = 1};
static const cge_pool2d selftest_pool2d = {.kernel_h = 2, .kernel_w = 2};
static const cge_dense selftest_dense = {.units = 3};
static const cge_layer selftest_layers[] = {
    {.kind = &cge_kind_conv2d, .config = &selftest_conv2d, .init = CGE_INIT_GLOROT_UNIFORM},
    {.kind = &cge_kind_tanh},
    {.kind = &cge_kind_avgpool2d, .config = &selftest_pool2d},
    {.kind = &cge_kind_dense, .config = &selftest_dense, .init = CGE_INIT_GLOROT_UNIFORM}};

static const cge_model selftest_model = {
    {6, 5, 1}, selftest_layers, 4, &cge_mean_squared_error, {.kind = &cge_sgd, .learning_rate = 0.25f, .momentum = 0.5f},
    NULL, 0, 0, {0, 0, 0, 0}, 0, NULL, 0};

enum { SELFTEST_SAMPLES = 3, SELFTEST_STEPS = 4, SELFTEST_INPUTS = 30, SELFTEST_OUTPUTS = 3 };

#define SELFTEST_STEP 0x1p-6f /* of the central difference: rounding errors of the loss / step stay below 1e-5 */
#define SELFTEST_TOLERANCE 2e-2f

/* Of losses and weights after some steps, in exact builds and in fused ones. */
#define SELFTEST_HASH_EXACT 0xd48f2f25abe12cd0
#define SELFTEST_HASH_FUSED 0xb4c4acef4441f220

typedef struct selftest {
    cge_network net;
    cge_targets targets;
    cge_real x[SELFTEST_SAMPLES * SELFTEST_INPUTS], values[SELFTEST_SAMPLES * SELFTEST_OUTPUTS];
} selftest;

cge_status cge_selftest_arena_bytes(size_t *bytes)
{
    const cge_options options = {1, 1, NULL, NULL, NULL};
    return cge_network_arena_bytes(&selftest_model, &options, bytes);
}

static cge_status set_up_selftest(selftest *t, void *arena, size_t arena_bytes)
{
    const cge_options options = {1, 1, NULL, NULL, NULL};
    cge_rng rng;
    int32_t i;
    CGE_TRY(cge_network_init(&t->net, &selftest_model, &options, arena, arena_bytes));
    CGE_TRY(cge_network_init_params(&t->net, 1));
    CGE_TRY(cge_rng_seed(&rng, 2));
    for (i = 0; i < SELFTEST_SAMPLES * SELFTEST_INPUTS; i++) t->x[i] = cge_rng_uniform_f32(&rng) - 0.5f;
    for (i = 0; i < SELFTEST_SAMPLES * SELFTEST_OUTPUTS; i++) t->values[i] = cge_rng_uniform_f32(&rng);
    t->targets.labels = NULL;
    t->targets.values = t->values;
    t->targets.weights = NULL;
    return CGE_OK;
}

/* ---- gradients ---- */

static cge_real magnitude(cge_real x)
{
    return x < 0 ? -x : x;
}

/* Signed central difference of the loss by parameter i against the gradient that accumulate found. */
static cge_status gradient_error(selftest *t, int32_t i, cge_real *error)
{
    cge_network *net = &t->net;
    const cge_real keep = net->params[i], gradient = net->grads[i];
    cge_real above = 0, below = 0, difference;
    net->params[i] = keep + SELFTEST_STEP;
    CGE_TRY(cge_network_evaluate(net, t->x, &t->targets, 1, &above, NULL));
    net->params[i] = keep - SELFTEST_STEP;
    CGE_TRY(cge_network_evaluate(net, t->x, &t->targets, 1, &below, NULL));
    net->params[i] = keep;
    difference = (above - below) / (2 * SELFTEST_STEP);
    *error = magnitude(gradient - difference) / (magnitude(gradient) + magnitude(difference) + 1e-2f);
    return CGE_OK;
}

static cge_status worst_gradient_error(selftest *t, cge_real *worst)
{
    cge_real error;
    int32_t i;
    *worst = 0;
    CGE_TRY(cge_network_accumulate(&t->net, t->x, &t->targets, 1, &error));
    for (i = 0; i < t->net.param_elems && !cge_is_nan(*worst); i++) {
        CGE_TRY(gradient_error(t, i, &error));
        if (cge_is_nan(error) || error > *worst) *worst = error;
    }
    return CGE_OK;
}

/* ---- training ---- */

static int trains_alike(selftest *t)
{
    uint64_t hash = CGE_HASH_BASIS;
    cge_real loss;
    int32_t i;
    for (i = 0; i < SELFTEST_STEPS; i++) {
        if (cge_network_train_batch(&t->net, t->x, &t->targets, SELFTEST_SAMPLES, &loss) != CGE_OK) return 0;
        hash = cge_hash_reals(hash, 1, &loss);
    }
    hash = cge_hash_reals(hash, t->net.param_elems, t->net.params);
    return hash == (CGE_FUSED ? SELFTEST_HASH_FUSED : SELFTEST_HASH_EXACT);
}

/* A loss that is no number, and a gradient that is none, are refused and change no weight. */
static int guards_weights(selftest *t)
{
    const uint64_t before = cge_hash_reals(CGE_HASH_BASIS, t->net.param_elems, t->net.params);
    const cge_real nan = cge_real_of(CGE_NAN_BITS);
    cge_real loss;
    cge_status status = cge_network_accumulate(&t->net, t->x, &t->targets, SELFTEST_SAMPLES, &loss);
    t->net.grads[t->net.grad_elems - 1] = nan;
    if (status != CGE_OK || cge_network_update(&t->net) != CGE_ERR_NOT_FINITE) return 0;
    t->values[0] = nan;
    status = cge_network_accumulate(&t->net, t->x, &t->targets, SELFTEST_SAMPLES, &loss);
    return status == CGE_ERR_NOT_FINITE && cge_hash_reals(CGE_HASH_BASIS, t->net.param_elems, t->net.params) == before;
}

CGE_NOINLINE cge_status train_on_the_spot(void *arena, size_t arena_bytes, cge_selftest_report *report)
{
    selftest t;
    cge_real worst;
    CGE_TRY(set_up_selftest(&t, arena, arena_bytes));
    CGE_TRY(worst_gradient_error(&t, &worst));
    report->max_gradient_error = worst;
    report->gradients_checked = t.net.param_elems;
    report->arithmetic = trains_alike(&t) ? CGE_ARITHMETIC_EXACT : CGE_ARITHMETIC_OTHER;
    report->passed = worst <= SELFTEST_TOLERANCE && guards_weights(&t);
    return CGE_OK;
}

cge_status cge_selftest(void *arena, size_t arena_bytes, cge_selftest_report *report)
{
    if (report == NULL) return CGE_ERR_NULL;
    CGE_TRY(train_on_the_spot(arena, arena_bytes, report));
    if (report->arithmetic == CGE_ARITHMETIC_EXACT) report->arithmetic = cge_check_arithmetic();
    if (report->arithmetic == CGE_ARITHMETIC_OTHER) report->passed = 0;
    return CGE_OK;
}
