/*
 * A network at work against the oracle (operator calls one after the other, see oracle.h), bit for bit: for every
 * model of models.c, any capacity. Then what only a network has: its arena, batches, epochs, frozen layers, refusals.
 */
#include "check.h"
#include "models.h"
#include "oracle.h"
#include "suites.h"

#include <string.h>

enum { SEED_INPUT = 71, SEED_VALUES, SEED_PARAMS, SAMPLES = 4, SEED = 2026 };

/* ---- fixtures --------------------------------------------------------------------------------------------------- */

static cge_network net; /* the one under test */

static struct { /* what a case works with; in the pool */
    const cge_model *model;
    float *x, *values;
    int32_t *labels;
    cge_targets targets;
    int32_t in_elems, out_elems;
    size_t arena_bytes;
    unsigned char *arena;
} fixture;

static size_t data_bytes(const cge_model *model)
{
    return sizeof(float) * SAMPLES * (size_t)(model->input.h * model->input.w * model->input.c + oracle_out_elems(model) + 1);
}

/* Room for the data of SAMPLES samples, an arena, and more; fills all but the arena. */
static int set_up(const char *name, const cge_model *model, const cge_options *options, size_t more_bytes)
{
    check_case(name);
    fixture.model = model;
    fixture.in_elems = model->input.h * model->input.w * model->input.c;
    fixture.out_elems = oracle_out_elems(model);
    if (!CHECK_OK(cge_network_arena_bytes(model, options, &fixture.arena_bytes))) return 0;
    if (!check_room(name, fixture.arena_bytes + data_bytes(model) + more_bytes)) return 0;
    fixture.x = check_operands(SAMPLES * fixture.in_elems, SEED_INPUT);
    fixture.values = check_operands(SAMPLES * fixture.out_elems, SEED_VALUES);
    fixture.labels = check_ints(SAMPLES);
    for (int32_t i = 0; i < SAMPLES; i++) fixture.labels[i] = (i * 2 + 1) % fixture.out_elems;
    fixture.targets.labels = fixture.labels;
    fixture.targets.values = fixture.values;
    fixture.arena = check_bytes(fixture.arena_bytes);
    return 1;
}

/* As set_up, and a training network with weights drawn from SEED. */
static int set_up_training(const char *name, const cge_model *model, int32_t capacity, size_t more_bytes)
{
    cge_options options = {1, capacity, NULL, NULL, NULL};
    return set_up(name, model, &options, more_bytes) && CHECK_OK(cge_network_init(&net, model, &options, fixture.arena, fixture.arena_bytes)) &&
           CHECK_OK(cge_network_init_params(&net, SEED));
}

static uint64_t params_hash(void)
{
    uint64_t hash = 0;
    CHECK_OK(cge_network_params_hash(&net, &hash));
    return hash;
}

static int all_zero(const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (float_bits(x[i]) != 0) return 0;
    return 1;
}

static void check_all_same(const float *expected, const float *got, int32_t n)
{
    for (int32_t i = 0; i < n; i++) CHECK_SAME(expected[i], got[i], i);
}

/* ---- forward, gradients, update against the oracle ----------------------------------------------------------------- */

typedef struct replica {
    float *params, *grads, *velocity, *scratch;
} replica;

static size_t replica_bytes(const cge_model *model)
{
    return sizeof(float) * (size_t)(oracle_param_elems(model) + 3 * oracle_grad_elems(model) + oracle_scratch_elems(model));
}

static replica new_replica(const cge_model *model)
{
    replica r = {check_floats(oracle_param_elems(model)), check_floats(oracle_grad_elems(model)), check_floats(2 * oracle_grad_elems(model)),
                 check_floats(oracle_scratch_elems(model))};
    memcpy(r.params, net.params, sizeof(float) * (size_t)net.param_elems);
    memset(r.grads, 0, sizeof(float) * (size_t)net.grad_elems);
    memset(r.velocity, 0, 2 * sizeof(float) * (size_t)net.grad_elems);
    return r;
}

static float replica_accumulate(const replica *r, int32_t count)
{
    kahan loss = {0, 0};
    for (int32_t i = 0; i < count; i++)
        kahan_add(&loss, oracle_gradient(fixture.model, r->params, fixture.x + i * fixture.in_elems, fixture.labels[i],
                                         fixture.values + i * fixture.out_elems, r->grads, r->scratch));
    return loss.sum / (float)count;
}

/* Parameters are [all layers], gradients [layers that are not frozen]: walks both. */
static void replica_update(replica *r, int32_t count)
{
    float *w = r->params, *dw = r->grads, *v = r->velocity;
    for (int32_t i = 0; i < fixture.model->layer_count; i++) {
        cge_layer_info info;
        CHECK_OK(cge_model_layer_info(fixture.model, i, &info));
        int32_t n = info.weight_elems + info.bias_elems;
        if (n > 0 && (fixture.model->layers[i].flags & CGE_FROZEN) == 0) {
            const cge_optimizer o = oracle_optimizer(fixture.model, i);
            oracle_update(&o, net.step_count, n, 1.0f / (float)count, dw, w, v, net.grad_elems);
            memset(dw, 0, sizeof(float) * (size_t)n);
            dw += n;
            v += n;
        }
        w += n;
    }
}

static void check_against(const replica *r)
{
    check_all_same(r->params, net.params, net.param_elems);
    if (net.pending > 0) check_all_same(r->grads, net.grads, net.grad_elems);
    CHECK(net.velocity_elems == oracle_slots(&fixture.model->optimizer) * net.grad_elems && (net.velocity != NULL) == (net.velocity_elems > 0));
    check_all_same(r->velocity, net.velocity, net.velocity_elems);
}

static int32_t first_largest(const float *y, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

static void check_outputs(const replica *r, float *y)
{
    kahan loss = {0, 0};
    float mean_loss = -1;
    int32_t correct = -1, expected = 0, n = fixture.out_elems;
    const int labelled = fixture.model->loss == &cge_softmax_cross_entropy; /* without labels no sample counts as correct */
    CHECK_OK(cge_network_forward(&net, fixture.x, SAMPLES, y));
    for (int32_t i = 0; i < SAMPLES; i++) {
        const float *out = oracle_forward(fixture.model, r->params, fixture.x + i * fixture.in_elems, r->scratch);
        float one = 0;
        check_all_same(out, y + i * n, n);
        expected += labelled && first_largest(out, n) == fixture.labels[i];
        if (labelled) CHECK_OK(cge_softmax_cross_entropy_forward_f32(n, out, fixture.labels[i], &one));
        else CHECK_OK(cge_mean_squared_error_forward_f32(n, out, fixture.values + i * n, &one));
        kahan_add(&loss, one);
    }
    CHECK_OK(cge_network_evaluate(&net, fixture.x, &fixture.targets, SAMPLES, &mean_loss, &correct));
    CHECK_SAME(loss.sum / SAMPLES, mean_loss, 0);
    CHECK(correct == expected);
    CHECK_OK(cge_network_evaluate(&net, fixture.x, &fixture.targets, SAMPLES, &mean_loss, NULL));
    CHECK_SAME(loss.sum / SAMPLES, mean_loss, 0);
}

static void test_training(const test_model *m, int32_t capacity)
{
    float mean_loss = -1, expected;
    if (!set_up_training(m->name, &m->model, capacity, replica_bytes(&m->model) + sizeof(float) * SAMPLES * (size_t)oracle_out_elems(&m->model)))
        return;
    CHECK(net.param_elems == oracle_param_elems(&m->model));
    CHECK(net.grad_elems == oracle_grad_elems(&m->model));
    CHECK(net.in_elems == fixture.in_elems && net.out_elems == fixture.out_elems);
    CHECK(net.options.training == 1 && net.options.capacity == capacity);
    replica r = new_replica(&m->model);
    float *y = check_floats(SAMPLES * fixture.out_elems);
    for (int32_t step = 1; step <= 2; step++) {
        CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &mean_loss));
        expected = replica_accumulate(&r, SAMPLES);
        CHECK_SAME(expected, mean_loss, step);
        CHECK(net.pending == SAMPLES);
        check_against(&r);
        check_outputs(&r, y); /* between accumulate and update: the gradients must not suffer */
        CHECK_OK(cge_network_update(&net));
        replica_update(&r, SAMPLES);
        check_against(&r);
        CHECK(net.pending == 0 && net.step_count == (uint64_t)step);
    }
    check_outputs(&r, y);
}

static void test_inference(const test_model *m, int32_t capacity)
{
    cge_options inside = {0, capacity, NULL, NULL, NULL}, outside = {0, capacity, NULL, NULL, NULL};
    size_t inside_bytes = 0, outside_bytes = 0;
    int32_t n = oracle_param_elems(&m->model);
    if (!set_up(m->name, &m->model, &inside, replica_bytes(&m->model) + sizeof(float) * (size_t)(n + SAMPLES * oracle_out_elems(&m->model)))) return;
    CHECK_OK(cge_network_init(&net, &m->model, &inside, fixture.arena, fixture.arena_bytes));
    CHECK(net.param_elems == n && all_zero(net.params, n));
    CHECK(net.grad_elems == 0);
    for (int32_t i = 0; i < n; i++) net.params[i] = operand(SEED_PARAMS, i);
    replica r = new_replica(&m->model);
    float *params = check_operands(n > 0 ? n : 1, SEED_PARAMS), *y = check_floats(SAMPLES * fixture.out_elems);
    uint64_t hash = params_hash();
    check_outputs(&r, y);
    if (n == 0) return;
    outside.params = params;
    CHECK_OK(cge_network_arena_bytes(&m->model, &inside, &inside_bytes));
    CHECK_OK(cge_network_arena_bytes(&m->model, &outside, &outside_bytes));
    CHECK(outside_bytes <= inside_bytes - sizeof(float) * (size_t)n + 8);
    CHECK_OK(cge_network_init(&net, &m->model, &outside, fixture.arena, outside_bytes));
    CHECK(net.params == params && params_hash() == hash);
    check_outputs(&r, y);
    for (int32_t i = 0; i < n; i++) CHECK_SAME(operand(SEED_PARAMS, i), params[i], i);
}

/* ---- random chains: any order of layers, any of them frozen, must plan its memory right ------------------------------- */

static int32_t draw(cge_rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)cge_rng_below(rng, (uint32_t)(high - low + 1));
}

static cge_layer random_layer(cge_rng *rng, cge_shape in, cge_layer_config *config)
{
    static const cge_layer_kind *const plain[] = {&cge_kind_relu, &cge_kind_sigmoid, &cge_kind_flatten, &cge_kind_tanh, &cge_kind_global_avgpool2d};
    const int32_t flags = (draw(rng, 0, 2) == 0 ? CGE_FROZEN : 0) | (draw(rng, 0, 3) == 0 ? CGE_NO_BIAS : 0);
    const int32_t kernel_h = draw(rng, 1, in.h < 3 ? in.h : 3), kernel_w = draw(rng, 1, in.w < 3 ? in.w : 3);
    const int32_t kind = draw(rng, 0, 9);
    cge_layer layer = PLAIN(relu);
    if (kind == 0) {
        const cge_conv2d g = {.out_c = draw(rng, 1, 4), WINDOW(kernel_h, kernel_w, draw(rng, 1, 2), 1, draw(rng, 0, 1), 0, 0, draw(rng, 0, 1))};
        return conv2d_layer(config, &g, flags);
    }
    if (kind == 1) return dense_layer(config, draw(rng, 2, 9), flags);
    if (kind < 4) {
        const cge_pool2d g = {WINDOW(kernel_h, kernel_w, draw(rng, 0, 2), draw(rng, 0, 2), 0, 0, 0, 0)};
        return pool2d_layer(config, kind == 2 ? &cge_kind_maxpool2d : &cge_kind_avgpool2d, &g);
    }
    if (kind == 4) return leaky_relu_layer(config, 0.25f);
    layer.kind = plain[kind - 5];
    return layer;
}

static void test_random_chains(void)
{
    enum { CHAINS = 150, MAX_LAYERS = 8 };
    cge_rng rng;
    CHECK_OK(cge_rng_seed(&rng, 11));
    for (int32_t chain = 0; chain < CHAINS; chain++) {
        cge_layer *const layers = random_layers;
        test_model m = {"random chain", {{draw(&rng, 1, 5), draw(&rng, 1, 5), draw(&rng, 1, 3)}, layers, draw(&rng, 1, MAX_LAYERS),
                        chain % 2 == 0 ? &cge_softmax_cross_entropy : &cge_mean_squared_error, {&cge_sgd, 0.1f, chain % 3 == 0 ? 0 : 0.9f, 0, 0}, NULL, 0, 0}};
        cge_layer_info info;
        info.out = m.model.input;
        for (int32_t i = 0; i < m.model.layer_count; i++) {
            layers[i] = random_layer(&rng, info.out, &random_configs[i]);
            if (!CHECK_OK(cge_model_layer_info(&m.model, i, &info))) return;
        }
        test_training(&m, 1 + chain % 4);
        test_inference(&m, 1 + chain % 3);
    }
}

/* ---- arena ------------------------------------------------------------------------------------------------------------ */

static void use_everything(const cge_options *options, float *y)
{
    static const int32_t shuffled[SAMPLES] = {2, 0, 3, 1};
    float mean_loss;
    if (options->training != 0) {
        CHECK_OK(cge_network_init_params(&net, SEED));
        CHECK_OK(cge_network_train_epoch(&net, fixture.x, &fixture.targets, shuffled, SAMPLES, SAMPLES, &mean_loss));
    }
    CHECK_OK(cge_network_forward(&net, fixture.x, SAMPLES, y));
}

/* One byte less is refused, the last byte is written (whatever it held before), nothing beyond is touched (guards). */
static void test_arena(const test_model *m, const cge_options *options)
{
    static const unsigned char fills[] = {0x00, 0xff};
    int last_changed = 0;
    if (!set_up(m->name, &m->model, options, sizeof(float) * SAMPLES * (size_t)oracle_out_elems(&m->model))) return;
    float *y = check_floats(SAMPLES * fixture.out_elems);
    CHECK(fixture.arena_bytes > 0);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&net, &m->model, options, fixture.arena, fixture.arena_bytes - 1));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&net, &m->model, options, fixture.arena, 0));
    for (int32_t i = 0; i < COUNT_OF(fills); i++) {
        memset(fixture.arena, fills[i], fixture.arena_bytes);
        if (!CHECK_OK(cge_network_init(&net, &m->model, options, fixture.arena, fixture.arena_bytes))) return;
        use_everything(options, y);
        last_changed |= fixture.arena[fixture.arena_bytes - 1] != fills[i];
    }
    CHECK(last_changed);
}

static void test_arenas(void)
{
    static const float zeros[256];
    for (int32_t i = 0; i < test_model_count; i++)
        for (int32_t capacity = 0; capacity <= SAMPLES; capacity++) {
            cge_options training = {1, capacity, NULL, NULL, NULL}, inference = {0, capacity, NULL, NULL, NULL}, outside = {0, capacity, zeros, NULL, NULL};
            if (!CHECK(oracle_param_elems(&test_models[i].model) <= COUNT_OF(zeros))) return;
            test_arena(&test_models[i], &training);
            test_arena(&test_models[i], &inference);
            test_arena(&test_models[i], &outside);
        }
    if (!set_up("no options", &convnet, NULL, 0)) return;
    size_t inference_bytes = 0;
    static const cge_options inference = {0, 1, NULL, NULL, NULL};
    CHECK_OK(cge_network_arena_bytes(&convnet, &inference, &inference_bytes));
    CHECK(inference_bytes == fixture.arena_bytes);
    CHECK_OK(cge_network_init(&net, &convnet, NULL, fixture.arena, fixture.arena_bytes));
    CHECK(net.options.training == 0 && net.options.capacity == 1 && net.options.params == NULL);
}

/* A frozen layer has no memory for gradients or momentum. */
static void test_frozen_arena(void)
{
    cge_layer layers[2] = {DENSE(10, 0, 0), DENSE(2, 0, 0)};
    cge_model model = {{1, 1, 10}, layers, 2, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0.5f, 0, 0}, NULL, 0, 0};
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    size_t bytes = 0, frozen_bytes = 0;
    check_case("frozen layer's memory");
    CHECK_OK(cge_network_arena_bytes(&model, &training, &bytes));
    layers[0].flags = CGE_FROZEN;
    CHECK_OK(cge_network_arena_bytes(&model, &training, &frozen_bytes));
    CHECK(frozen_bytes + 2 * 110 * sizeof(float) <= bytes + 8);
}

static const cge_layer small_pool = POOL(avgpool2d, 1, 1, 0, 0, 0, 0, 0, 0), one_filter = CONV(1, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0);

/* What no gradient will need is not kept: two activations at a time, however long the chain. */
static void test_transient_activations(void)
{
    enum { LONG = 9, TENSOR_BYTES = 4 * 16 * 16 * 4 };
    cge_layer layers[LONG + 1];
    cge_model model = {{16, 16, 4}, layers, 0, &cge_softmax_cross_entropy, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0};
    check_case("transient activations");
    for (int32_t training = 0; training <= 1; training++) {
        cge_options options = {training, 1, NULL, NULL, NULL};
        size_t short_bytes = 0, long_bytes = 0;
        for (int32_t i = 0; i < LONG; i++) layers[i] = small_pool;
        layers[LONG] = one_filter;
        model.layer_count = LONG + 1;
        CHECK_OK(cge_network_arena_bytes(&model, &options, &long_bytes));
        layers[3] = one_filter;
        model.layer_count = 4;
        CHECK_OK(cge_network_arena_bytes(&model, &options, &short_bytes));
        CHECK(long_bytes >= short_bytes && long_bytes - short_bytes < TENSOR_BYTES);
    }
}

/* ---- batches and epochs -------------------------------------------------------------------------------------------------- */

static uint64_t train_by(void (*train)(void), int32_t capacity)
{
    if (!set_up_training("ways to train", &convnet, capacity, 0)) return 0;
    for (int32_t i = 0; i < 3; i++) train();
    CHECK(net.step_count == 3);
    return params_hash();
}

static float last_loss;

static void by_train_batch(void)
{
    /* train_batch forgets what was accumulated before */
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, 1, &last_loss));
    net.grads[0] = 5;
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &last_loss));
}

static void by_accumulate(void)
{
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &last_loss));
    CHECK_OK(cge_network_update(&net));
}

static void by_pieces(void)
{
    for (int32_t i = 0; i < SAMPLES; i++) {
        cge_targets one = {fixture.labels + i, fixture.values + i * fixture.out_elems};
        CHECK_OK(cge_network_accumulate(&net, fixture.x + i * fixture.in_elems, &one, 1, &last_loss));
        CHECK(net.pending == i + 1);
    }
    CHECK_OK(cge_network_update(&net));
}

static void by_epoch(void)
{
    CHECK_OK(cge_network_train_epoch(&net, fixture.x, &fixture.targets, NULL, SAMPLES, SAMPLES, &last_loss));
}

static void by_large_batches(void)
{
    CHECK_OK(cge_network_train_epoch(&net, fixture.x, &fixture.targets, NULL, SAMPLES, INT32_MAX, &last_loss));
}

static void by_zeroed_grads(void)
{
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, 2, &last_loss));
    CHECK_OK(cge_network_zero_grads(&net));
    CHECK(net.pending == 0 && all_zero(net.grads, net.grad_elems));
    by_accumulate();
}

/* While nothing is pending, gradients may hold anything. */
static void by_spoiled_grads(void)
{
    for (int32_t i = 0; i < net.grad_elems; i++) net.grads[i] = float_from_bits(0x7fc00000u);
    by_pieces();
}

static void test_ways_to_train(void)
{
    static void (*const ways[])(void) = {by_accumulate, by_pieces, by_epoch, by_large_batches, by_zeroed_grads, by_spoiled_grads};
    uint64_t expected = train_by(by_train_batch, 1);
    for (int32_t capacity = 1; capacity <= (check_pool_bytes() < 9728 ? 2 : 4); capacity++) {
        for (int32_t i = 0; i < COUNT_OF(ways); i++) CHECK(train_by(ways[i], capacity) == expected);
        CHECK(train_by(by_train_batch, capacity) == expected);
    }
}

/* An epoch in a given order, the last batch what is left: the same as the batches one by one. */
static void test_epoch_order(int32_t capacity, int32_t batch_size)
{
    static const int32_t order[SAMPLES] = {2, 0, 3, 1};
    const int32_t in = convnet.input.h * convnet.input.w * convnet.input.c;
    float loss = 0, sum = 0;
    uint64_t expected;
    if (!set_up_training("epoch in order", &convnet, capacity, sizeof(float) * SAMPLES * (size_t)(in + 1))) return;
    float *x = check_floats(SAMPLES * in);
    int32_t *labels = check_ints(SAMPLES), batches = 0;
    for (int32_t i = 0; i < SAMPLES; i++) {
        memcpy(x + i * in, fixture.x + order[i] * in, sizeof(float) * (size_t)in);
        labels[i] = fixture.labels[order[i]];
    }
    for (int32_t i = 0; i < SAMPLES; i += batch_size, batches++) {
        const cge_targets targets = {labels + i, NULL};
        const int32_t count = batch_size < SAMPLES - i ? batch_size : SAMPLES - i;
        CHECK_OK(cge_network_train_batch(&net, x + i * in, &targets, count, &loss));
        sum += (float)count * loss;
    }
    expected = params_hash();
    CHECK_OK(cge_network_init_params(&net, SEED));
    CHECK_OK(cge_network_train_epoch(&net, fixture.x, &fixture.targets, order, SAMPLES, batch_size, &loss));
    CHECK(params_hash() == expected && net.step_count == (uint64_t)batches);
    CHECK(loss > sum / SAMPLES - 1e-6f && loss < sum / SAMPLES + 1e-6f);
}

/* The same with values as targets, which an order must carry along. */
static void test_epoch_values(int32_t capacity)
{
    static const int32_t order[SAMPLES] = {1, 3, 1, 0}; /* a sample may come twice */
    float loss;
    uint64_t expected;
    if (!set_up_training("epoch in order, values", &perceptron, capacity, 0)) return;
    for (int32_t i = 0; i < SAMPLES; i++) {
        cge_targets one = {NULL, fixture.values + order[i] * fixture.out_elems};
        CHECK_OK(cge_network_train_batch(&net, fixture.x + order[i] * fixture.in_elems, &one, 1, &loss));
    }
    expected = params_hash();
    CHECK_OK(cge_network_init_params(&net, SEED));
    CHECK_OK(cge_network_train_epoch(&net, fixture.x, &fixture.targets, order, SAMPLES, 1, &loss));
    CHECK(params_hash() == expected);
}

/* ---- parameters ------------------------------------------------------------------------------------------------------------- */

static void test_hash(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    if (!set_up_training("hash", &perceptron, 1, 0)) return;
    for (int32_t i = 0; i < net.param_elems; i++)
        for (int32_t shift = 0; shift < 32; shift += 8) hash = (hash ^ (float_bits(net.params[i]) >> shift & 255)) * 0x100000001b3u;
    CHECK(params_hash() == hash);
}

static void test_layer_params(const test_model *m)
{
    int32_t params_at = 0, grads_at = 0;
    if (!set_up_training(m->name, &m->model, 1, 0)) return;
    for (int32_t i = 0; i < m->model.layer_count; i++) {
        cge_layer_info info;
        cge_layer_params p;
        int frozen = (m->model.layers[i].flags & CGE_FROZEN) != 0;
        CHECK_OK(cge_model_layer_info(&m->model, i, &info));
        CHECK_OK(cge_network_layer_params(&net, i, &p));
        CHECK(p.w == (info.weight_elems > 0 ? net.params + params_at : NULL));
        CHECK(p.b == (info.bias_elems > 0 ? net.params + params_at + info.weight_elems : NULL));
        CHECK(p.dw == (info.weight_elems > 0 && !frozen ? net.grads + grads_at : NULL));
        CHECK(p.db == (info.bias_elems > 0 && !frozen ? net.grads + grads_at + info.weight_elems : NULL));
        params_at += info.weight_elems + info.bias_elems;
        grads_at += frozen ? 0 : info.weight_elems + info.bias_elems;
    }
    CHECK(params_at == net.param_elems && grads_at == net.grad_elems);
}

static void test_layer_params_inference(void)
{
    cge_layer_params p;
    static const cge_options inference = {0, 1, NULL, NULL, NULL};
    if (!set_up("layer parameters, inference", &perceptron, &inference, 0)) return;
    CHECK_OK(cge_network_init(&net, &perceptron, &inference, fixture.arena, fixture.arena_bytes));
    CHECK_OK(cge_network_layer_params(&net, 2, &p));
    CHECK(p.w == net.params + 48 && p.b == net.params + 72 && p.dw == NULL && p.db == NULL);
    CHECK_OK(cge_network_layer_params(&net, 1, &p));
    CHECK(p.w == NULL && p.b == NULL && p.dw == NULL && p.db == NULL);
}

/* 1,000 weights: range of the uniform kinds, variance of all, biases zero. fan_in 50, fan_out 20. */
static void test_initialisation(void)
{
    static const float variance[] = {2.0f / 50, 2.0f / 50, 2.0f / 70, 2.0f / 70};
    cge_layer layers[1] = {DENSE(20, 0, 0)};
    cge_model model = {{5, 5, 2}, TABLE(layers), NULL, {NULL, 0, 0, 0, 0}, NULL, 0, 0};
    for (int32_t init = CGE_INIT_HE_UNIFORM; init <= CGE_INIT_GLOROT_NORMAL; init++) {
        float sum = 0, square = 0, largest = 0, limit = cge_sqrt_f32(3 * variance[init]);
        layers[0].init = (cge_init)init;
        if (!set_up("initialisation", &model, NULL, 0)) return;
        CHECK_OK(cge_network_init(&net, &model, NULL, fixture.arena, fixture.arena_bytes));
        CHECK_OK(cge_network_init_params(&net, 7));
        for (int32_t i = 0; i < 1000; i++) {
            float w = net.params[i], size = w < 0 ? -w : w;
            sum += w;
            square += w * w;
            if (size > largest) largest = size;
        }
        CHECK(all_zero(net.params + 1000, 20));
        CHECK(sum * sum < 16 * 1000 * variance[init]);                                    /* 4 standard deviations */
        CHECK(square > 800 * variance[init] && square < 1200 * variance[init]);
        if (init == CGE_INIT_HE_UNIFORM || init == CGE_INIT_GLOROT_UNIFORM) CHECK(largest <= limit && largest > 0.97f * limit);
        else CHECK(largest > 1.2f * limit);
    }
}

static void test_seeds(void)
{
    uint64_t first, second;
    float loss;
    if (!set_up_training("seeds", &convnet, 1, 0)) return;
    first = params_hash();
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(!all_zero(net.velocity, net.grad_elems));
    CHECK_OK(cge_network_init_params(&net, SEED + 1));
    second = params_hash();
    CHECK(all_zero(net.velocity, net.grad_elems) && all_zero(net.grads, net.grad_elems) && net.step_count == 0 && net.pending == 0);
    CHECK_OK(cge_network_init_params(&net, SEED));
    CHECK(params_hash() == first && second != first);
}

static void test_starts_at_zero(void)
{
    static const cge_options training = {1, 2, NULL, NULL, NULL};
    if (!set_up("init sets parameters to zero", &convnet, &training, 0)) return;
    memset(&net, 0x5a, sizeof net);
    CHECK_OK(cge_network_init(&net, &convnet, &training, fixture.arena, fixture.arena_bytes));
    CHECK(all_zero(net.params, net.param_elems) && all_zero(net.grads, net.grad_elems) && all_zero(net.velocity, net.grad_elems));
    CHECK(net.step_count == 0 && net.pending == 0 && net.model == &convnet && net.first_trainable == 0);
    CHECK(net.optimizer.kind == &cge_sgd && net.optimizer.nesterov == 1);
    CHECK_SAME(0.05f, net.optimizer.learning_rate, 0);
    CHECK_SAME(0.9f, net.optimizer.momentum, 0);
    CHECK_SAME(1e-3f, net.optimizer.weight_decay, 0);
}

/* A schedule: what the network's own optimiser says is what a step uses. */
static void test_schedule(void)
{
    uint64_t before;
    float loss, momentum = 0.25f;
    if (!set_up_training("schedule", &convnet, 1, 0)) return;
    before = params_hash();
    net.optimizer.learning_rate = 0;
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(params_hash() == before && net.step_count == 1);
    net.optimizer.learning_rate = 0.5f;
    net.optimizer.momentum = momentum;
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(params_hash() != before);
    before = params_hash();
    net.optimizer.learning_rate = -1;
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_network_update(&net));
    CHECK(params_hash() == before);
}

/* Two networks, the second takes over after two steps. */
static void test_move(void)
{
    cge_network first;
    uint64_t expected;
    float loss;
    unsigned char *arena;
    size_t bytes = 0;
    static const cge_options training = {1, 1, NULL, NULL, NULL};
    CHECK_OK(cge_network_arena_bytes(&perceptron, &training, &bytes));
    if (!set_up_training("move", &perceptron, 1, bytes)) return;
    arena = check_bytes(fixture.arena_bytes);
    for (int32_t i = 0; i < 2; i++) CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    first = net;
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    expected = params_hash();
    CHECK_OK(cge_network_init_params(&net, SEED));
    for (int32_t i = 0; i < 2; i++) CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    first = net;
    CHECK_OK(cge_network_init(&net, &perceptron, &training, arena, fixture.arena_bytes));
    memcpy(net.params, first.params, sizeof(float) * (size_t)net.param_elems);
    if (net.velocity != NULL) memcpy(net.velocity, first.velocity, sizeof(float) * (size_t)net.grad_elems);
    net.step_count = first.step_count;
    memset(fixture.arena, 0x77, fixture.arena_bytes);
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(params_hash() == expected && net.step_count == 3);
}

/* ---- not finite --------------------------------------------------------------------------------------------------------------- */

static uint64_t velocity_hash(void)
{
    uint64_t hash = 1;
    for (int32_t i = 0; i < net.grad_elems; i++) hash = hash * 31 + float_bits(net.velocity[i]);
    return hash;
}

static void test_not_finite(int32_t capacity, uint32_t bits)
{
    float loss = 3, kept;
    uint64_t params, velocity;
    if (!set_up_training("not finite", &convnet, capacity, 0)) return;
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    params = params_hash();
    velocity = velocity_hash();
    kept = fixture.x[2 * fixture.in_elems + 5];
    fixture.x[2 * fixture.in_elems + 5] = float_from_bits(bits);
    loss = 3;
    /* the first two samples were fine; what they added goes too */
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(net.pending == 0 && all_zero(net.grads, net.grad_elems));
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_epoch(&net, fixture.x, &fixture.targets, NULL, SAMPLES, SAMPLES, &loss));
    CHECK(loss == 3);
    CHECK(params_hash() == params && velocity_hash() == velocity && net.step_count == 1);
    CHECK_STATUS(CGE_ERR_MODE, cge_network_update(&net));
    fixture.x[2 * fixture.in_elems + 5] = kept;
    CHECK_OK(cge_network_accumulate(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    net.grads[net.grad_elems - 1] = float_from_bits(bits);
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_update(&net));
    CHECK(net.pending == 0 && all_zero(net.grads, net.grad_elems));
    CHECK(params_hash() == params && velocity_hash() == velocity && net.step_count == 1);
    CHECK_OK(cge_network_train_batch(&net, fixture.x, &fixture.targets, SAMPLES, &loss));
    CHECK(net.step_count == 2 && params_hash() != params);
}

static const cge_layer one_output[] = {DENSE(1, CGE_NO_BIAS, 0)};

/* The loss is finite, its gradient overflows: found by update, and a batch before it stays learned. */
static void test_gradient_not_finite(void)
{
    static const cge_model model = {{1, 1, 1}, TABLE(one_output), &cge_mean_squared_error, {&cge_sgd, 0.5f, 0, 0, 0}, NULL, 0, 0};
    float loss = 3;
    if (!set_up_training("gradient not finite", &model, 1, 0)) return;
    net.params[0] = 0;
    fixture.x[0] = 1;
    fixture.values[0] = 0.25f;
    fixture.x[1] = 3e38f;
    fixture.values[1] = 1e10f;
    fixture.x[2] = 0;
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_batch(&net, fixture.x, &fixture.targets, 2, &loss));
    CHECK(net.params[0] == 0 && net.step_count == 0 && net.grads[0] == 0 && net.pending == 0);
    fixture.values[1] = 1e20f; /* and a loss that is not finite, in the second batch */
    CHECK_STATUS(CGE_ERR_NOT_FINITE, cge_network_train_epoch(&net, fixture.x, &fixture.targets, NULL, SAMPLES, 1, &loss));
    CHECK(net.params[0] == 0.25f && net.step_count == 1 && net.grads[0] == 0 && net.pending == 0);
    CHECK(loss == 3);
}

/* Outside training NaN is just a value. */
static void test_evaluate_nan(void)
{
    float loss = 0;
    int32_t correct = -1;
    if (!set_up_training("evaluate NaN", &perceptron, 1, 0)) return;
    fixture.x[0] = float_from_bits(0x7fc00000u);
    CHECK_OK(cge_network_evaluate(&net, fixture.x, &fixture.targets, SAMPLES, &loss, &correct));
    CHECK(loss != loss);
}

void suite_network(void)
{
    for (int32_t i = 0; i < test_model_count; i++)
        for (int32_t capacity = 1; capacity <= 4; capacity += capacity) {
            test_training(&test_models[i], capacity);
            test_inference(&test_models[i], capacity);
        }
    test_random_chains();
    for (int32_t i = 0; i < test_model_count; i++) test_layer_params(&test_models[i]);
    test_layer_params_inference();
    test_arenas();
    test_frozen_arena();
    test_transient_activations();
    test_ways_to_train();
    for (int32_t capacity = 1; capacity <= SAMPLES; capacity++) {
        for (int32_t batch_size = 1; batch_size <= SAMPLES; batch_size++) test_epoch_order(capacity, batch_size);
        test_epoch_values(capacity);
        test_not_finite(capacity, 0x7fc00000u);
        test_not_finite(capacity, 0x7f800000u);
    }
    test_hash();
    test_initialisation();
    test_seeds();
    test_starts_at_zero();
    test_schedule();
    test_move();
    test_gradient_not_finite();
    test_evaluate_nan();
}
