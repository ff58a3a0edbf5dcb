/*
 * What of a layer learns: all, nothing, the biases, the weights of the first n input channels. The oracle takes the whole
 * gradient of a network in which everything learns, picks by a rule of its own, and takes the optimiser's step itself. At every
 * level, with the constant parameters in the arena and outside of it, the same bits.
 */
#include "check.h"
#include "models.h"
#include "oracle.h"
#include "saved.h"
#include "suites.h"

#include <string.h>

enum { SEED = 51, SEED_X = 901, SEED_VALUES, STEPS = 3, MOST_LAYERS = 12, MOST_EXTRA = 3 };

#define CONV_N(filters, kernel_h, kernel_w, stride, pad, groups, flags, trains) \
    {&cge_kind_conv2d, &(const cge_conv2d){0, 0, 0, filters, kernel_h, kernel_w, stride, stride, 0, 0, pad, pad, pad, pad, groups}, {0, 0}, trains, flags, 0, 0}
#define DENSE_N(outputs, flags, trains) {&cge_kind_dense, &(const cge_dense){outputs}, {0, 0}, trains, flags, 0, 0}
#define FACTOR(factor, filters) \
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = filters, WINDOW(3, 3, 1, 1, 1, 1, 1, 1)), .learning_rate_factor = factor}
#define MAX2 POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0)
#define BIAS CGE_TRAINS_BIAS

static const cge_layer biases_alone[] = {
    CONV_N(4, 3, 3, 1, 1, 1, 0, BIAS), PLAIN(relu), MAX2, CONV_N(5, 3, 3, 1, 1, 1, 0, BIAS), PLAIN(relu), MAX2, DENSE_N(4, 0, BIAS)};
static const cge_layer some_channels[] = {
    CONV_N(6, 3, 3, 1, 1, 1, 0, 1), PLAIN(relu), MAX2, CONV_N(5, 3, 2, 1, 1, 1, 0, 4), PLAIN(relu), MAX2, DENSE_N(4, 0, 11)};
static const cge_layer no_pools[] = {
    CONV_N(5, 3, 3, 2, 1, 1, CGE_NO_BIAS, 2), PLAIN(tanh), CONV_N(6, 1, 1, 1, 0, 1, 0, 3), CONV_N(4, 2, 2, 1, 0, 1, 0, BIAS), PLAIN(sigmoid), DENSE_N(5, 0, BIAS),
    DENSE_N(3, CGE_NO_BIAS, 2)};
static const cge_layer one_filter[] = {CONV_N(1, 3, 3, 1, 1, 1, 0, 1), PLAIN(relu), DENSE_N(17, 0, 20), PLAIN(relu), DENSE_N(3, 0, 0)};
static const cge_layer first_constant[] = {
    CONV_N(5, 3, 3, 1, 1, 1, CGE_FROZEN, 0), PLAIN(relu), MAX2, CONV_N(4, 3, 3, 1, 1, 1, 0, BIAS), PLAIN(relu), MAX2, DENSE_N(4, 0, 5)};
static const cge_layer all_channels[] = {CONV_N(4, 3, 3, 1, 1, 2, 0, 1), PLAIN(relu), CONV_N(4, 3, 3, 1, 1, 1, 0, 4), PLAIN(relu), DENSE_N(3, 0, 64)};
static const cge_layer dense_biases[] = {CONV_N(3, 3, 3, 1, 1, 1, CGE_FROZEN, 0), PLAIN(relu), MAX2, PLAIN(flatten), DENSE_N(6, 0, BIAS), PLAIN(tanh), DENSE_N(3, 0, BIAS)};
/* Rates of their own, one of them of a layer that learns in part, one of one that does not learn. */
static const cge_layer rates[] = {
    FACTOR(0.3f, 4), PLAIN(relu), MAX2, FACTOR(1.0f, 5), PLAIN(relu), MAX2,
    {.kind = &cge_kind_dense, DENSE_CONFIG(6), .flags = CGE_FROZEN, .learning_rate_factor = 65536.0f}, PLAIN(tanh),
    {.kind = &cge_kind_dense, DENSE_CONFIG(5), .trains = 3, .learning_rate_factor = 0.001f}, PLAIN(tanh), DENSE(4, 0, 0),
    {.kind = &cge_kind_dense, DENSE_CONFIG(4), .learning_rate_factor = 7.0f}};

static const test_model partly[] = {
    MODEL("biases", 9, 8, 2, biases_alone, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("biases, momentum", 9, 8, 2, biases_alone, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 1),
    MODEL("some channels", 9, 8, 2, some_channels, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("some channels, momentum, decay", 9, 8, 2, some_channels, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 1),
    MODEL("no pools", 7, 6, 3, no_pools, &cge_mean_squared_error, 0.05f, 0.5f, 0, 0),
    MODEL("one filter of five channels", 5, 6, 5, one_filter, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("first layer constant", 8, 8, 2, first_constant, &cge_mean_squared_error, 0.05f, 0.9f, 0, 0),
    MODEL("all channels by number", 4, 4, 2, all_channels, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    ADAPTIVE_MODEL("some channels, adam", 9, 8, 2, some_channels, &cge_softmax_cross_entropy, adam, 0.01f, 0.9f, 0.01f, 0.99f, 1e-6f),
    ADAPTIVE_MODEL("no pools, rmsprop", 7, 6, 3, no_pools, &cge_mean_squared_error, rmsprop, 0.01f, 0.5f, 0, 0.9f, 1e-6f),
    ADAPTIVE_MODEL("biases, adagrad", 9, 8, 2, biases_alone, &cge_softmax_cross_entropy, adagrad, 0.05f, 0, 0.01f, 0, 1e-10f),
    MODEL("rates", 9, 8, 2, rates, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("rates, momentum, decay", 9, 8, 2, rates, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 1),
    ADAPTIVE_MODEL("rates, adam", 9, 8, 2, rates, &cge_softmax_cross_entropy, adam, 0.01f, 0.9f, 0.01f, 0.99f, 1e-6f),
    ADAPTIVE_MODEL("rates, adamw", 9, 8, 2, rates, &cge_softmax_cross_entropy, adamw, 0.01f, 0.9f, 0.1f, 0.99f, 1e-6f),
    ADAPTIVE_MODEL("rates, rmsprop", 9, 8, 2, rates, &cge_softmax_cross_entropy, rmsprop, 0.01f, 0.5f, 0, 0.9f, 1e-6f),
    ADAPTIVE_MODEL("rates, adagrad", 9, 8, 2, rates, &cge_softmax_cross_entropy, adagrad, 0.05f, 0, 0.01f, 0, 1e-10f),
    L1_MODEL("rates, adamw, l1", 9, 8, 2, rates, &cge_softmax_cross_entropy, adamw_l1, 0.01f, 0.9f, 0.1f, 0.99f, 1e-6f, 0.25f),
    L1_MODEL("rates, l1", 9, 8, 2, rates, &cge_softmax_cross_entropy, sgd_l1, 0.05f, 0.9f, 0, 0, 0, 0.25f),
    MODEL("biases behind a constant front", 6, 6, 1, dense_biases, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
};

/* ---- the oracle ---- */

/* Whether parameter e of a layer, weight then bias, learns. */
static int learns(const cge_layer *l, const cge_layer_info *info, int32_t e)
{
    const int32_t inputs = l->kind == &cge_kind_dense ? info->weight_shape[0] : info->weight_shape[2];
    if ((l->flags & CGE_FROZEN) != 0) return 0;
    if (e >= info->weight_elems || l->trains == 0) return 1;
    return l->trains > 0 && e / info->out.c % inputs < l->trains;
}

static int goes_by_inputs(const cge_layer *l, const cge_memory_level *level)
{
    return l->kind == &cge_kind_dense && level != NULL;
}

typedef struct counts {
    int32_t params, learning, held; /* held: in the arena if the others are outside of it */
} counts;

static counts count_all(const cge_model *m, const cge_memory_level *level)
{
    counts c = {0, 0, 0};
    for (int32_t l = 0; l < m->layer_count; l++) {
        cge_layer_info info;
        int32_t learning_weights = 0, learning = 0;
        CHECK_OK(cge_model_layer_info(m, l, &info));
        for (int32_t e = 0; e < info.weight_elems + info.bias_elems; e++) {
            learning += learns(&m->layers[l], &info, e);
            learning_weights += e < info.weight_elems && learns(&m->layers[l], &info, e);
        }
        c.params += info.weight_elems + info.bias_elems;
        c.learning += learning;
        c.held += learning + (!goes_by_inputs(&m->layers[l], level) && learning_weights > 0 ? info.weight_elems - learning_weights : 0);
    }
    return c;
}

typedef struct life { /* of one model: what it should become, and what it does */
    const cge_model *model;
    cge_model whole; /* everything learns */
    cge_layer layers[MOST_LAYERS];
    counts counts;
    float *params, *expected, *velocity, *grads, *x, *values;
    int32_t labels[1];
    uint64_t steps;
    unsigned char *arena, *plan_memory, *file;
    size_t arena_bytes, plan_bytes, file_bytes;
} life;

/* The gradients of what learns, at the parameters `expected`, in the order of the network's. */
static float pick_gradients(life *t, float *grads)
{
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    const cge_targets targets = {t->labels, t->values};
    const float *dw;
    int32_t picked = 0;
    cge_network net;
    float loss = 0;
    if (!CHECK_OK(cge_network_init(&net, &t->whole, &training, t->arena, t->arena_bytes))) return 0;
    memcpy(net.params, t->expected, sizeof(float) * (size_t)t->counts.params);
    CHECK_OK(cge_network_accumulate(&net, t->x, &targets, 1, &loss));
    dw = net.grads;
    for (int32_t l = 0; l < t->model->layer_count; l++) {
        cge_layer_info info;
        CHECK_OK(cge_model_layer_info(t->model, l, &info));
        for (int32_t e = 0; e < info.weight_elems + info.bias_elems; e++, dw++)
            if (learns(&t->model->layers[l], &info, e)) grads[picked++] = *dw;
    }
    CHECK(picked == t->counts.learning);
    return loss;
}

static void expected_step(life *t)
{
    float *w = t->expected;
    int32_t picked = 0;
    (void)pick_gradients(t, t->grads);
    t->steps++;
    for (int32_t l = 0; l < t->model->layer_count; l++) {
        const cge_optimizer o = oracle_optimizer(t->model, l);
        cge_layer_info info;
        CHECK_OK(cge_model_layer_info(t->model, l, &info));
        for (int32_t e = 0; e < info.weight_elems + info.bias_elems; e++, w++) {
            if (!learns(&t->model->layers[l], &info, e)) continue;
            oracle_update(&o, t->steps, 1, 1, &t->grads[picked], w, &t->velocity[picked], t->counts.learning);
            picked++;
        }
    }
}

/* ---- set-up ---- */

static int32_t outputs(const cge_model *m)
{
    cge_layer_info info;
    CHECK_OK(cge_model_layer_info(m, m->layer_count - 1, &info));
    return info.out.h * info.out.w * info.out.c;
}

static int set_up_life(life *t, const test_model *m, const cge_memory_level *level)
{
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    const cge_shape in = m->model.input;
    memset(t, 0, sizeof *t);
    t->model = &m->model;
    t->whole = m->model;
    memcpy(t->layers, m->model.layers, sizeof(cge_layer) * (size_t)m->model.layer_count);
    for (int32_t l = 0; l < t->whole.layer_count; l++) {
        t->layers[l].trains = 0;
        t->layers[l].flags &= (uint16_t)~CGE_FROZEN;
    }
    t->whole.layers = t->layers;
    t->whole.optimizer.kind = NULL;
    if (!CHECK_OK(cge_network_arena_bytes(&t->whole, &training, &t->arena_bytes))) return 0;
    CHECK_OK(cge_plan_bytes(t->model, &t->plan_bytes));
    t->counts = count_all(t->model, level);
    t->arena_bytes += sizeof(float) * (size_t)(oracle_slots(&m->model.optimizer) * t->counts.learning); /* velocities of the network itself */
    t->file_bytes = 4 * (size_t)(SAVED_HEADER_WORDS + saved_layer_words(&m->model) + t->counts.params + MOST_EXTRA + 2 * t->counts.learning + 1);
    const size_t floats = (size_t)(2 * t->counts.params + 3 * t->counts.learning + in.h * in.w * in.c + outputs(t->model));
    if (!check_room(m->name, t->arena_bytes + t->plan_bytes + t->file_bytes + sizeof(float) * floats)) return 0;
    t->arena = check_bytes(t->arena_bytes);
    t->plan_memory = check_bytes(t->plan_bytes);
    t->file = check_bytes(t->file_bytes);
    t->params = check_operands(t->counts.params, SEED);
    t->expected = check_floats(t->counts.params);
    t->velocity = check_floats(t->counts.learning > 0 ? 2 * t->counts.learning : 1);
    t->grads = check_floats(t->counts.learning > 0 ? t->counts.learning : 1);
    t->x = check_operands(in.h * in.w * in.c, SEED_X);
    t->values = check_operands(outputs(t->model), SEED_VALUES);
    t->labels[0] = outputs(t->model) - 1;
    return 1;
}

static void begin_again(life *t)
{
    memcpy(t->expected, t->params, sizeof(float) * (size_t)t->counts.params);
    for (int32_t i = 0; i < 2 * t->counts.learning; i++) t->velocity[i] = 0;
    t->steps = 0;
}

/* ---- tests ---- */

static const cge_memory_level *const levels[] = {NULL, &cge_memory_small, &cge_memory_smallest};

static void start(life *t, cge_network *net, const cge_memory_level *level, int outside, cge_plan *plan)
{
    cge_options options;
    size_t bytes = 0;
    memset(&options, 0, sizeof options);
    options.training = 1;
    if (outside) options.params = t->params;
    if (level != NULL) {
        CHECK_OK(cge_plan_make(t->model, level, 1, t->plan_memory, t->plan_bytes, plan));
        options.plan = plan;
    }
    memset(t->arena, 0xff, t->arena_bytes);
    CHECK_OK(cge_network_arena_bytes(t->model, &options, &bytes));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(net, t->model, &options, t->arena, bytes - 1));
    if (!CHECK(bytes <= t->arena_bytes) || !CHECK_OK(cge_network_init(net, t->model, &options, t->arena, bytes))) return;
    if (!outside) memcpy(net->params, t->params, sizeof(float) * (size_t)t->counts.params);
    CHECK(net->grad_elems == t->counts.learning);
    CHECK(net->held_elems == (outside ? t->counts.held : t->counts.params));
    CHECK(net->velocity_elems == oracle_slots(&t->model->optimizer) * t->counts.learning && (net->velocity != NULL) == (net->velocity_elems > 0));
}

/* As cge_network_params_hash is defined, from parameters in one piece. */
static uint64_t hash_of_params(const float *params, int32_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int32_t i = 0; i < count; i++)
        for (int32_t byte = 0; byte < 4; byte++) hash = (hash ^ (float_bits(params[i]) >> (8 * byte) & 0xffu)) * UINT64_C(0x100000001b3);
    return hash;
}

static void check_params(const life *t, const cge_network *net)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(net, &hash));
    CHECK(hash == hash_of_params(t->expected, t->counts.params));
    for (int32_t i = 0; i < t->counts.params; i++) CHECK_SAME(operand(SEED, i), t->params[i], i); /* what lies outside stays */
    for (int32_t i = 0; i < net->velocity_elems; i++) CHECK_SAME(t->velocity[i], net->velocity[i], i);
}

/* The network's own arena is needed by the oracle meanwhile: so steps are replayed from the start, one more each time. */
static void test_steps(const test_model *m, const cge_memory_level *level, int outside)
{
    life t;
    cge_network net;
    cge_plan plan;
    float loss = 0;
    size_t used = 0;
    if (!set_up_life(&t, m, level)) return;
    begin_again(&t);
    for (int32_t steps = 1; steps <= STEPS; steps++) {
        const cge_targets targets = {t.labels, t.values};
        expected_step(&t);
        start(&t, &net, level, outside, &plan);
        for (int32_t i = 0; i < steps; i++) CHECK_OK(cge_network_train_batch(&net, t.x, &targets, 1, &loss));
        check_params(&t, &net);
    }
    /* A saved network goes on where it was. */
    const cge_targets targets = {t.labels, t.values};
    if (!CHECK_OK(cge_network_save(&net, t.file, t.file_bytes, &used))) return;
    CHECK_OK(cge_network_train_batch(&net, t.x, &targets, 1, &loss));
    CHECK_OK(cge_network_restore(&net, t.file, used));
    check_params(&t, &net);
}

/* The gradients themselves, added over two samples that are one. */
static void test_gradients(const test_model *m, const cge_memory_level *level, int outside)
{
    life t;
    cge_network net;
    cge_plan plan;
    float loss = 0, expected_loss;
    if (!set_up_life(&t, m, level)) return;
    begin_again(&t);
    expected_loss = pick_gradients(&t, t.grads);
    start(&t, &net, level, outside, &plan);
    const cge_targets targets = {t.labels, t.values};
    CHECK_OK(cge_network_accumulate(&net, t.x, &targets, 1, &loss));
    CHECK_SAME(expected_loss, loss, 0);
    for (int32_t i = 0; i < t.counts.learning; i++) CHECK_SAME(t.grads[i], net.grads[i], i);
}

/* Bytes of an arena without a plan: four for each gradient, and each velocity; outside, those that are held. */
static void test_bytes_of_what_learns(const test_model *m)
{
    life t;
    cge_options options = {1, 1, NULL, NULL, NULL};
    size_t all = 0, some = 0, outside = 0;
    cge_model whole;
    if (!set_up_life(&t, m, NULL) || t.counts.learning == 0 || (m->model.layers[0].flags & CGE_FROZEN) != 0) return;
    whole = t.whole;
    whole.optimizer = t.model->optimizer;
    CHECK_OK(cge_network_arena_bytes(&whole, &options, &all));
    CHECK_OK(cge_network_arena_bytes(t.model, &options, &some));
    options.params = t.params;
    CHECK_OK(cge_network_arena_bytes(t.model, &options, &outside));
    CHECK(all - some == sizeof(float) * (size_t)(t.counts.params - t.counts.learning) * (size_t)(1 + oracle_slots(&whole.optimizer)));
    CHECK(some - outside == sizeof(float) * (size_t)(t.counts.params - t.counts.held));
}

/* ---- random chains ---- */

static int32_t draw(cge_rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)cge_rng_below(rng, (uint32_t)(high - low + 1));
}

static void draw_trains(cge_rng *rng, cge_layer *l, int32_t inputs, int32_t groups)
{
    static const int32_t frozen_one_in = 6;
    if (draw(rng, 1, frozen_one_in) == 1) l->flags |= CGE_FROZEN;
    else if (draw(rng, 0, 2) == 0 && (l->flags & CGE_NO_BIAS) == 0) l->trains = CGE_TRAINS_BIAS;
    else if (draw(rng, 0, 1) == 0) l->trains = groups > 1 ? inputs : draw(rng, 1, inputs);
}

static cge_layer random_layer(cge_rng *rng, cge_shape in, int last, cge_layer_config *config)
{
    static const cge_layer_kind *const plain[] = {&cge_kind_relu, &cge_kind_relu, &cge_kind_tanh, &cge_kind_sigmoid};
    static const cge_pool2d max2 = {.kernel_h = 2, .kernel_w = 2};
    const int32_t flags = draw(rng, 0, 3) == 0 ? CGE_NO_BIAS : 0;
    const int32_t groups = in.c % 2 == 0 && draw(rng, 0, 3) == 0 ? 2 : 1, stride = draw(rng, 1, 2), pad = draw(rng, 0, 1);
    const int32_t kernel_h = draw(rng, 1, in.h < 3 ? in.h : 3), kernel_w = draw(rng, 1, in.w < 3 ? in.w : 3);
    const cge_conv2d conv = {.out_c = groups * draw(rng, 1, 4), WINDOW(kernel_h, kernel_w, stride, stride, pad, pad, pad, pad), .groups = groups};
    const int32_t kind = last ? 9 : draw(rng, 0, 9);
    cge_layer layer = PLAIN(relu);
    if (kind < 5) {
        layer = conv2d_layer(config, &conv, flags);
        draw_trains(rng, &layer, in.c / groups, groups);
    } else if (kind == 9) {
        layer = dense_layer(config, draw(rng, 2, 9), flags);
        draw_trains(rng, &layer, in.h * in.w * in.c, 1);
    } else if (kind == 8 || in.h < 2 || in.w < 2) {
        layer.kind = plain[draw(rng, 0, COUNT_OF(plain) - 1)];
    } else {
        layer = pool2d_layer(config, &cge_kind_maxpool2d, &max2);
    }
    return layer;
}

static void test_random_trains(void)
{
    enum { CHAINS = 60 };
    cge_rng rng;
    CHECK_OK(cge_rng_seed(&rng, 23));
    for (int32_t chain = 0; chain < CHAINS; chain++) {
        cge_layer *const layers = random_layers;
        test_model m = {"random chain", {{draw(&rng, 2, 7), draw(&rng, 2, 7), draw(&rng, 1, 5)}, layers, draw(&rng, 2, 7),
                        chain % 2 == 0 ? &cge_softmax_cross_entropy : &cge_mean_squared_error, {&cge_sgd, 0.1f, chain % 3 == 0 ? 0 : 0.9f, 0, 0}, NULL, 0, 0}};
        cge_layer_info info;
        info.out = m.model.input;
        for (int32_t l = 0; l < m.model.layer_count; l++) {
            layers[l] = random_layer(&rng, info.out, l == m.model.layer_count - 1, &random_configs[l]);
            if (!CHECK_OK(cge_model_layer_info(&m.model, l, &info))) return;
        }
        test_steps(&m, levels[chain % 3], chain / 3 % 2);
    }
}

/* ---- refusals ---- */

static void check_trains(cge_status expected, cge_layer layer, cge_shape in)
{
    cge_layer_info info;
    CHECK_STATUS(expected, cge_layer_infer(&layer, &in, &info));
}

static void test_range_of_trains(void)
{
    static const cge_shape in = {4, 4, 6};
    check_case("range of trains");
    check_trains(CGE_OK, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, 0, 6), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, 0, 7), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, 0, INT32_MAX), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, 0, -2), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, 0, INT32_MIN), in);
    check_trains(CGE_OK, (cge_layer)CONV_N(4, 3, 3, 1, 1, 2, 0, 3), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 2, 0, 2), in); /* some channels of each group: not offered */
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, CGE_NO_BIAS, BIAS), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, CGE_FROZEN, BIAS), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)CONV_N(4, 3, 3, 1, 1, 1, CGE_FROZEN, 2), in);
    check_trains(CGE_OK, (cge_layer)DENSE_N(4, 0, 96), in);
    check_trains(CGE_ERR_ARGUMENT, (cge_layer)DENSE_N(4, 0, 97), in);
    cge_layer relu = PLAIN(relu);
    relu.trains = 1;
    check_trains(CGE_ERR_ARGUMENT, relu, in);
    relu.trains = BIAS;
    check_trains(CGE_ERR_ARGUMENT, relu, in);
}

/* Where a layer's parameters lie when some are outside. */
static void test_where_they_lie(void)
{
    life t;
    cge_network net;
    cge_plan plan;
    cge_layer_params at;
    if (!set_up_life(&t, &partly[6], &cge_memory_small)) return; /* constant conv, conv that trains its biases, dense of 5 inputs */
    start(&t, &net, &cge_memory_small, 1, &plan);
    CHECK_OK(cge_network_layer_params(&net, 0, &at));
    CHECK(at.w == t.params && at.b == t.params + 90 && at.dw == NULL && at.db == NULL);
    CHECK_OK(cge_network_layer_params(&net, 3, &at));
    CHECK(at.w == t.params + 95 && at.b == net.params && at.dw == NULL && at.db == net.grads);
    CHECK_OK(cge_network_layer_params(&net, 6, &at));
    CHECK(at.w == net.params + 4 && at.b == net.params + 4 + 20 && at.dw == net.grads + 4 && at.db == net.grads + 4 + 20);
}

void suite_trains(void)
{
    test_range_of_trains();
    test_where_they_lie();
    for (int32_t i = 0; i < COUNT_OF(partly); i++) {
        test_bytes_of_what_learns(&partly[i]);
        for (int32_t l = 0; l < COUNT_OF(levels); l++)
            for (int outside = 0; outside < 2; outside++) {
                test_steps(&partly[i], levels[l], outside);
                if (levels[l] != &cge_memory_smallest) test_gradients(&partly[i], levels[l], outside);
            }
    }
    test_random_trains();
}
