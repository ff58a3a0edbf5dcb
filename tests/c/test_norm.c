/* Normalisation over groups: the contract's loops in the contract's order, bit for bit, and double sums within rounding. */
#include "../../csrc/src/layers/layer.h"

#include "check.h"
#include "suites.h"

#include <stdio.h>

enum { SEED_X = 31, SEED_W, SEED_B, SEED_DY, SEED_DW, SEED_DB };

typedef struct norm_case {
    int32_t positions, channels, groups;
    float eps;
    const float *x, *w, *b, *dy;
} norm_case;

/* Sum over a group's channels of their sums over positions; what = 0: x, 1: (x - mean)^2, 2: w dy, 3: w dy (x - mean). */
static float channel_sum(const norm_case *n, int32_t c, int what, float mean)
{
    float sum = 0;
    for (int32_t i = c; i < n->positions * n->channels; i += n->channels) {
        if (what == 0) sum += n->x[i];
        else if (what == 1) sum = mul_add(n->x[i] - mean, n->x[i] - mean, sum);
        else if (what == 2) sum += n->dy[i];
        else sum = mul_add(n->x[i] - mean, n->dy[i], sum);
    }
    return sum;
}

static float group_sum(const norm_case *n, int32_t group, int what, float mean)
{
    const int32_t width = n->channels / n->groups;
    float sum = 0;
    for (int32_t c = group * width; c < (group + 1) * width; c++) {
        const float of_channel = channel_sum(n, c, what, mean), weight = n->w != NULL ? n->w[c] : 1.0f;
        sum = what < 2 ? sum + of_channel : mul_add(weight, of_channel, sum);
    }
    return sum;
}

/* What a group has in common. */
typedef struct group_numbers {
    float mean, rstd, share_b, share_c;
} group_numbers;

static group_numbers numbers_of(const norm_case *n, int32_t group)
{
    const float count = (float)n->positions * (float)(n->channels / n->groups);
    group_numbers g;
    float share;
    g.mean = group_sum(n, group, 0, 0) / count;
    g.rstd = 1.0f / cge_sqrt_f32(group_sum(n, group, 1, g.mean) / count + n->eps);
    share = g.rstd / count;
    g.share_c = -(share * group_sum(n, group, 2, g.mean));
    g.share_b = -(share * group_sum(n, group, 3, g.mean) * (g.rstd * g.rstd));
    return g;
}

static void check_elements(const norm_case *n, const float *y, const float *dx)
{
    for (int32_t i = n->positions * n->channels - 1; i >= 0; i--) {
        const int32_t c = i % n->channels;
        const group_numbers g = numbers_of(n, c / (n->channels / n->groups));
        const float scale = n->w != NULL ? n->w[c] * g.rstd : g.rstd;
        CHECK_SAME(mul_add(n->x[i] - g.mean, scale, n->b != NULL ? n->b[c] : 0), y[i], i);
        CHECK_SAME(mul_add(n->dy[i], scale, mul_add(n->x[i] - g.mean, g.share_b, g.share_c)), dx[i], i);
    }
}

static void check_parameters(const norm_case *n, const float *dw, const float *db)
{
    for (int32_t c = 0; c < n->channels; c++) {
        const group_numbers g = numbers_of(n, c / (n->channels / n->groups));
        CHECK_SAME(mul_add(g.rstd, channel_sum(n, c, 3, g.mean), operand(SEED_DW, c)), dw[c], c);
        CHECK_SAME(operand(SEED_DB, c) + channel_sum(n, c, 2, 0), db[c], c);
    }
}

/* A group of y, without w and b, has mean 0 and variance 1; dx is at right angles to both: its sum, and that with y, are 0. */
static void check_moments(const norm_case *n, const float *y, const float *dx)
{
    const int32_t width = n->channels / n->groups, size = n->positions * width;
    for (int32_t group = 0; group < n->groups; group++) {
        double sum = 0, squares = 0, of_dx = 0, with_y = 0, magnitude = 0;
        for (int32_t p = 0; p < n->positions; p++)
            for (int32_t i = p * n->channels + group * width; i < p * n->channels + (group + 1) * width; i++) {
                sum += (double)y[i];
                squares += (double)y[i] * (double)y[i];
                of_dx += (double)dx[i];
                with_y += (double)dx[i] * (double)y[i];
                magnitude += dx[i] < 0 ? -(double)dx[i] : (double)dx[i];
            }
        CHECK(sum < 1e-4 * size && sum > -1e-4 * size);
        CHECK(squares < (1 + 1e-4) * size && (size < 2 || n->eps > 1e-4f || squares > 0.99 * size));
        CHECK(of_dx <= 1e-4 * magnitude + 1e-6 && of_dx >= -1e-4 * magnitude - 1e-6);
        CHECK(n->eps > 1e-4f || size < 4 || (with_y < 1e-2 * magnitude + 1e-5 && with_y > -1e-2 * magnitude - 1e-5));
    }
}

static void test_norm_case(int32_t h, int32_t w, int32_t channels, int32_t groups, float eps)
{
    const cge_norm g = {h, w, channels, groups, eps};
    const int32_t elems = h * w * channels;
    norm_case n = {h * w, channels, groups != 0 ? groups : 1, eps > 0 ? eps : 1e-5f, NULL, NULL, NULL, NULL};
    char name[48];
    float *y, *dx, *dw, *db, *x, *dy;
    snprintf(name, sizeof name, "%d x %d x %d in %d", (int)h, (int)w, (int)channels, (int)groups);
    if (!check_room(name, sizeof(float) * (size_t)(4 * elems + 4 * channels))) return;
    n.x = x = check_operands(elems, SEED_X), n.dy = dy = check_operands(elems, SEED_DY);
    y = check_floats(elems), dx = check_floats(elems);
    CHECK_OK(cge_group_norm_forward_f32(&g, n.x, NULL, NULL, y));
    CHECK_OK(cge_group_norm_input_grad_f32(&g, n.x, NULL, n.dy, dx));
    check_elements(&n, y, dx);
    check_moments(&n, y, dx);
    n.w = check_operands(channels, SEED_W), n.b = check_operands(channels, SEED_B);
    dw = check_operands(channels, SEED_DW), db = check_operands(channels, SEED_DB);
    CHECK_OK(cge_group_norm_forward_f32(&g, n.x, n.w, n.b, y));
    CHECK_OK(cge_group_norm_input_grad_f32(&g, n.x, n.w, n.dy, dx));
    CHECK_OK(cge_group_norm_weight_grad_f32(&g, n.x, n.dy, dw));
    CHECK_OK(cge_group_norm_bias_grad_f32(&g, n.dy, db));
    check_elements(&n, y, dx);
    check_parameters(&n, dw, db);
    /* results over what they are made of */
    CHECK_OK(cge_group_norm_input_grad_f32(&g, n.x, n.w, n.dy, dy));
    for (int32_t i = 0; i < elems; i++) CHECK_SAME(dx[i], dy[i], i);
    for (int32_t i = 0; i < elems; i++) dy[i] = operand(SEED_DY, i);
    CHECK_OK(cge_group_norm_input_grad_f32(&g, n.x, n.w, n.dy, x));
    for (int32_t i = 0; i < elems; i++) CHECK_SAME(dx[i], x[i], i);
    for (int32_t i = 0; i < elems; i++) x[i] = operand(SEED_X, i);
    CHECK_OK(cge_group_norm_forward_f32(&g, n.x, n.w, n.b, x));
    for (int32_t i = 0; i < elems; i++) CHECK_SAME(y[i], x[i], i);
}

/* One number has variance 0: y is b, dx is 0. */
static void test_one_number(void)
{
    const cge_norm g = {1, 1, 1, 0, 0};
    const float x = 3, w = 5, b = 7, dy = 11;
    float y, dx;
    if (!check_room("one number", 0)) return;
    CHECK_OK(cge_group_norm_forward_f32(&g, &x, &w, &b, &y));
    CHECK_OK(cge_group_norm_input_grad_f32(&g, &x, &w, &dy, &dx));
    CHECK_SAME(7, y, 0);
    CHECK(dx < 1e-2f && dx > -1e-2f);
}

void suite_norm(void)
{
    test_norm_case(3, 2, 8, 2, 0);
    test_norm_case(3, 2, 8, 8, 0.5f); /* each channel */
    test_norm_case(2, 3, 7, 7, 0);    /* the last run is short */
    test_norm_case(4, 1, 6, 3, 0);
    test_norm_case(2, 2, 12, 2, 0);   /* blocks and single channels in a group */
    test_norm_case(3, 3, 5, 0, 0);    /* all */
    test_norm_case(1, 1, 29, 1, 1e-3f);
    test_norm_case(5, 5, 1, 1, 0);
    test_one_number();
}

/* Rows of a model that no normalisation is, and one that may not come first. */
static void test_refused_layers(void)
{
    static const cge_norm two_groups = {.groups = 2}, no_eps = {.eps = -1}, other_channels = {.in_c = 3}, three_groups = {.groups = 3};
    static const cge_conv2d conv = {.out_c = 4, .kernel_h = 1, .kernel_w = 1};
    static const struct {
        const char *name;
        cge_layer layer;
        cge_status status;
    } rows[] = {
        {"groups of an instance norm", {.kind = &cge_kind_instance_norm, .config = &two_groups}, CGE_ERR_ARGUMENT},
        {"groups of a layer norm", {.kind = &cge_kind_layer_norm, .config = &two_groups}, CGE_ERR_ARGUMENT},
        {"eps", {.kind = &cge_kind_layer_norm, .config = &no_eps}, CGE_ERR_ARGUMENT},
        {"channels", {.kind = &cge_kind_group_norm, .config = &other_channels}, CGE_ERR_SHAPE},
        {"groups that do not divide", {.kind = &cge_kind_group_norm, .config = &three_groups}, CGE_ERR_SHAPE},
        {"init", {.kind = &cge_kind_group_norm, .init = CGE_INIT_HE_NORMAL}, CGE_ERR_ARGUMENT},
        {"some inputs learn", {.kind = &cge_kind_group_norm, .trains = 4}, CGE_ERR_ARGUMENT},
        {"no biases learn", {.kind = &cge_kind_group_norm, .trains = CGE_TRAINS_BIAS, .flags = CGE_NO_BIAS}, CGE_ERR_ARGUMENT},
        {"nothing is there to learn", {.kind = &cge_kind_group_norm, .trains = CGE_TRAINS_BIAS, .flags = CGE_NO_AFFINE}, CGE_ERR_ARGUMENT},
        {"a convolution without weights", {.kind = &cge_kind_conv2d, .config = &conv, .flags = CGE_NO_AFFINE}, CGE_ERR_ARGUMENT},
    };
    const cge_shape in = {2, 3, 4};
    cge_layer_info info;
    for (int32_t i = 0; i < COUNT_OF(rows); i++) {
        check_case(rows[i].name);
        CHECK_STATUS(rows[i].status, cge_layer_infer(&rows[i].layer, &in, &info));
    }
}

static void test_bytes_first(void)
{
    static const cge_dense two = {.units = 2};
    static const cge_layer layers[] = {{.kind = &cge_kind_flatten}, {.kind = &cge_kind_layer_norm}, {.kind = &cge_kind_dense, .config = &two}};
    const cge_model model = {.input = {2, 2, 1}, .layers = layers, .layer_count = COUNT_OF(layers), .input_kind = &cge_input_u8, .input_scale = 1};
    cge_options options = {0};
    cge_plan plan;
    size_t bytes = 0;
    if (!check_room("bytes that are normalised", 2048)) return;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&model, NULL, &bytes));
    if (!CHECK_OK(cge_plan_bytes(&model, &bytes))) return;
    void *memory = check_bytes(bytes);
    if (!CHECK_OK(cge_plan_make(&model, &cge_memory_small, 0, memory, bytes, &plan))) return;
    options.plan = &plan;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&model, &options, &bytes));
}

/* Of three steps, of which the first meets a variance that overflows, beyond 2^63. */
static uint64_t hash_after_overflow(const cge_model *model, const cge_memory_level *level)
{
    static const float samples[3][2] = {{1e25f, -2e25f}, {1, -2}, {3, 1}};
    const int32_t label = 1;
    const cge_targets targets = {&label, NULL};
    cge_options options = {.training = 1};
    cge_network net;
    cge_plan plan;
    size_t bytes = 0, arena_bytes = 0;
    uint64_t hash = 0;
    float loss = 0;
    int i;
    if (!check_room("a variance that overflows", 4096) || !CHECK_OK(cge_plan_bytes(model, &bytes))) return 0;
    if (!CHECK_OK(cge_plan_make(model, level, 1, check_bytes(bytes), bytes, &plan))) return 0;
    options.plan = &plan;
    if (!CHECK_OK(cge_network_arena_bytes(model, &options, &arena_bytes))) return 0;
    if (!CHECK_OK(cge_network_init(&net, model, &options, check_bytes(arena_bytes), arena_bytes)) || !CHECK_OK(cge_network_init_params(&net, 3))) return 0;
    for (i = 0; i < 3; i++) CHECK_OK(cge_network_train_batch(&net, samples[i], &targets, 1, &loss));
    CHECK_OK(cge_network_params_hash(&net, &hash));
    return hash;
}

/* Its bound is infinite, its gradients are not: a step that learns at once is tried, and is that of the other levels. */
static void test_overflowing_variance(void)
{
    static const cge_dense two = {.units = 2};
    static const cge_layer layers[] = {
        {.kind = &cge_kind_dense, .config = &two}, {.kind = &cge_kind_group_norm}, {.kind = &cge_kind_dense, .config = &two}};
    const cge_model model = {
        .input = {1, 1, 2}, .layers = layers, .layer_count = COUNT_OF(layers), .loss = &cge_softmax_cross_entropy, .optimizer = {&cge_sgd, 0.1f, 0, 0, 0}};
    CHECK(hash_after_overflow(&model, &cge_memory_smallest) == hash_after_overflow(&model, &cge_memory_small));
}

static void check_layer_bounds(const cge_layer *layer, const float *x, const float *w, float of_dx, float of_params)
{
    float bounds[2] = {-1, -1};
    const cge_layer_call c = {
        .layer = layer, .in = {1, 3, 2}, .out = {1, 3, 2}, .count = 1, .parts = 1, .x = x, .w = w, .bounds = bounds};
    layer->kind->weight_grad(&c);
    CHECK_SAME(of_dx, bounds[0], 0);
    CHECK_SAME(of_params, bounds[1], 1);
}

/* With |dy| <= 1. Of slopes: dx is at most 1 or |w|, dw a sum of |x|. Of scale and shift: dx is at most |w|, dw and db are sums
 * over positions. Given statistics: |w| / sqrt(variance + eps), and no gradients. */
static void test_bounds(void)
{
    static const cge_prelu two = {.slopes = 2};
    static const cge_batch_norm eps = {.eps = 3};
    static const float large[7] = {0, -7, 1, 2, 3, 4, 90}, small[7] = {0, -0.5f, 0.25f, 0, 0, 0, 90}; /* 90 lies behind */
    static const float w[6] = {2, -5, 100, 200, 1, 13}; /* [3][2] of a norm: weights, means, variances */
    const cge_layer one_slope = {.kind = &cge_kind_prelu}, slopes = {.kind = &cge_kind_prelu, .config = &two};
    const cge_layer scale = {.kind = &cge_kind_scale}, norm = {.kind = &cge_kind_batch_norm, .config = &eps};
    check_case("bounds");
    check_layer_bounds(&one_slope, large, w, 3, 6 * 7);
    check_layer_bounds(&slopes, small, w, 6, 6 * 0.5f);
    check_layer_bounds(&scale, large, w, 5, 3 * 7);
    check_layer_bounds(&scale, small, w, 5, 3);
    check_layer_bounds(&norm, large, w, 5 * 0.25f, 0);
}

/* Of dy = 0 all gradients are zeros: assigned, whatever dw and db held, or added to the zeros that boards have there. */
static void test_gradients_of_nothing(void)
{
    static const cge_conv_transpose2d config = {.out_c = 2, .kernel_h = 1, .kernel_w = 1};
    static const cge_prelu two = {.slopes = 2};
    static const cge_layer layers[] = {{.kind = &cge_kind_conv_transpose2d, .config = &config}, {.kind = &cge_kind_group_norm},
                                       {.kind = &cge_kind_scale}, {.kind = &cge_kind_batch_norm},
                                       {.kind = &cge_kind_prelu, .config = &two}};
    static const float x[6] = {1, -7, 1, 2, 3, 4}, dy[6] = {0};
    check_case("gradients of nothing");
    for (int32_t i = 0; i < COUNT_OF(layers); i++) {
        float w[6] = {1, 2, 3, 4, 1, 13}, dw[6] = {5, 5, 5, 5, 5, 5}, db[6] = {5, 5, 5, 5, 5, 5};
        const int32_t weights = i == 0 ? 4 : 2, biases = i < 4 ? 2 : 0;
        const cge_layer_call c = {.layer = &layers[i], .in = {1, 3, 2}, .out = {1, 3, 2}, .count = 1, .parts = 1, .x = x,
                                  .w = w, .dy = dy, .dw = dw, .db = biases > 0 ? db : NULL};
        if (cge_adds(&c)) {
            memset(dw, 0, (size_t)weights * sizeof dw[0]);
            memset(db, 0, (size_t)biases * sizeof db[0]);
        }
        layers[i].kind->weight_grad(&c);
        for (int32_t at = 0; at < 6; at++) {
            CHECK_SAME(at < weights ? 0.0f : 5.0f, dw[at], 10 * i + at);
            CHECK_SAME(at < biases ? 0.0f : 5.0f, db[at], 10 * i + at);
        }
    }
}

void suite_norm_layers(void)
{
    test_gradients_of_nothing();
    test_bounds();
    test_refused_layers();
    test_bytes_first();
    test_overflowing_variance();
}

void suite_norm_status(void)
{
    cge_norm g = {2, 2, 4, 2, 1e-5f};
    if (!check_room("refused norms", sizeof(float) * 48)) return;
    float *x = check_operands(16, SEED_X), *y = check_floats(16), *w = check_floats(4);
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_forward_f32(NULL, x, w, w, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_weight_grad_f32(NULL, x, x, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_bias_grad_f32(NULL, x, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_input_grad_f32(NULL, x, w, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_forward_f32(&g, NULL, w, w, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_weight_grad_f32(&g, x, NULL, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_bias_grad_f32(&g, x, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_group_norm_input_grad_f32(&g, x, w, x, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_group_norm_forward_f32(&g, x, misaligned(w), w, y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_group_norm_forward_f32(&g, x, w, misaligned(w), y));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_group_norm_input_grad_f32(&g, x, misaligned(w), x, y));
    g.groups = 3;
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_forward_f32(&g, x, w, w, y));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_weight_grad_f32(&g, x, x, w));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_bias_grad_f32(&g, x, w));
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_input_grad_f32(&g, x, w, x, y));
    g.groups = -1;
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_forward_f32(&g, x, w, w, y));
    g.groups = 2;
    g.in_h = 0;
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_group_norm_forward_f32(&g, x, w, w, y));
    g.in_h = CGE_MAX_ELEMS;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_group_norm_forward_f32(&g, x, w, w, y));
    g.in_h = 2;
    g.eps = -1e-5f;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_group_norm_forward_f32(&g, x, w, w, y));
    g.eps = float_from_bits(0x7f800000u);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_group_norm_forward_f32(&g, x, w, w, y));
    g.eps = float_from_bits(0x7fc00000u);
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_group_norm_forward_f32(&g, x, w, w, y));
}
