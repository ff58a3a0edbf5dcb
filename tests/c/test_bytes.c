/*
 * Bytes as input: a network that reads them has the bits of one that is given the numbers that they stand for, whichever layer
 * reads them, at every level, capacity and number of threads, from any address.
 */
#include "check.h"
#include "models.h"
#include "saved.h"
#include "suites.h"

#include <string.h>

enum { SEED = 12, SAMPLES = 5, BATCH = 3, EPOCHS = CHECK_FEWER ? 1 : 2, PAD = 16, THREADS = 3 };

#define DILATED_CONV(filters, kernel, dilation, pad) \
    {.kind = &cge_kind_conv2d, \
     CONV2D_CONFIG(.out_c = filters, .kernel_h = kernel, .kernel_w = kernel, .dilation_h = dilation, .dilation_w = dilation, \
                   .pad_top = pad, .pad_left = pad, .pad_bottom = pad, .pad_right = pad)}

/* First layers of every kind and cut; what comes behind is small. */
static const cge_layer pooled[] = {CONV(4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer pooled_tall[] = {CONV(3, 2, 2, 2, 1, 3, 0, 2, 1, 1, CGE_NO_BIAS), PLAIN(tanh), POOL(maxpool2d, 3, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer plain_conv[] = {CONV(5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer grouped[] = {CONV(4, 3, 2, 2, 1, 0, 1, 1, 0, 2, 0), PLAIN(sigmoid), DENSE(3, 0, 0)};
static const cge_layer dilated[] = {DILATED_CONV(3, 3, 2, 2), LEAKY(0.25f), DENSE(3, 0, 0)};
static const cge_layer in_padding[] = {CONV(3, 2, 2, 1, 1, 7, 0, 9, 0, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};       /* rows above and below x */
static const cge_layer steps_over[] = {CONV(3, 1, 2, 4, 2, 6, 0, 7, 0, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};       /* rows between windows */
static const cge_layer sees_nothing[] = {CONV(3, 1, 1, 8, 1, 4, 0, 2, 0, 1, 0), DENSE(3, 0, 0)};                 /* rows above and below x alone */
static const cge_layer sees_above[] = {CONV(3, 1, 1, 8, 1, 4, 0, 0, 0, 1, 0), DENSE(3, 0, 0)};                   /* a row above x */
static const cge_layer whole_height[] = {CONV(3, 9, 2, 1, 1, 0, 0, 0, 0, 1, 0), DENSE(3, 0, 0)};
static const cge_layer large_windows[] = {CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), POOL(maxpool2d, 5, 4, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer many_tasks[] = {CONV(17, 5, 5, 2, 2, 2, 2, 2, 2, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer max_first[] = {POOL(maxpool2d, 3, 2, 2, 2, 1, 0, 2, 0), CONV(3, 2, 2, 1, 1, 0, 0, 0, 0, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer average_first[] = {POOL(avgpool2d, 3, 2, 1, 0, 2, 1, 1, 1), DENSE(3, 0, 0)};
static const cge_layer global_first[] = {PLAIN(global_avgpool2d), DENSE(3, 0, 0)};
static const cge_layer relu_first[] = {PLAIN(flatten), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer leaky_first[] = {LEAKY(0.5f), CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), DENSE(3, 0, 0)};
static const cge_layer silu_first[] = {PLAIN(silu), DENSE(3, 0, 0)};
static const cge_layer softmax_first[] = {PLAIN(softmax), DENSE(3, 0, 0)};
static const cge_layer pad_first[] = {PADDED(zero_pad2d, 1, 2, 0, 1), DENSE(3, 0, 0)};
static const cge_layer upsample_first[] = {UPSAMPLE(2, 2, 1), CHANNELS(1, 1), DENSE(3, 0, 0)};
static const cge_layer global_max_first[] = {PLAIN(global_maxpool2d), DENSE(3, 0, 0)};
static const cge_layer dense_first[] = {PLAIN(flatten), DENSE(7, 0, 0), PLAIN(relu), DENSE(3, CGE_NO_BIAS, 0)};
static const cge_layer frozen_first[] = {CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, CGE_FROZEN), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer only_dense[] = {DENSE(3, CGE_NO_BIAS, 0)};

/* Parts that learn, of a layer that reads x. */
#define CONV_PART(filters, kernel, pad, trains_) \
    {.kind = &cge_kind_conv2d, CONV2D_CONFIG(.out_c = filters, .kernel_h = kernel, .kernel_w = kernel, .pad_top = pad, .pad_left = pad), .trains = trains_}
#define DENSE_PART(outputs, trains_) {.kind = &cge_kind_dense, DENSE_CONFIG(outputs), .trains = trains_}
static const cge_layer pooled_biases[] = {CONV_PART(4, 3, 1, CGE_TRAINS_BIAS), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer pooled_channel[] = {CONV_PART(4, 3, 1, 1), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};
static const cge_layer conv_biases[] = {CONV_PART(4, 3, 1, CGE_TRAINS_BIAS), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer conv_channels[] = {CONV_PART(4, 3, 1, 2), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer dense_biases[] = {DENSE_PART(4, CGE_TRAINS_BIAS), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer dense_inputs[] = {DENSE_PART(4, 75), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer few_inputs[] = {DENSE_PART(4, 5), DENSE(3, 0, 0)};

/* What numbers would be a stem, or learn piece by piece. */
static const cge_layer two_convs[] = {
    CONV(6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer large_kernels[] = {CONV(16, 5, 5, 2, 2, 2, 2, 2, 2, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), DENSE(3, 0, 0)};

/* ---- graphs: one layer reads x ---- */

static const cge_layer skip[] = {
    CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), {.kind = &cge_kind_add, .from = {0, 2}}, PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer pooled_branches[] = {
    CONV(3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0),
    {.kind = &cge_kind_concat, .from = {0, 3}}, DENSE(3, 0, 0)};
static const cge_layer dense_skip[] = {PLAIN(flatten), DENSE(5, 0, 0), PLAIN(relu), DENSE(5, 0, 0), {.kind = &cge_kind_add, .from = {0, 3}}, DENSE(3, 0, 0)};

#define READER(name, h, w, c, layers, ...) {name, {{h, w, c}, TABLE(layers), &cge_softmax_cross_entropy, {&cge_sgd, __VA_ARGS__}, NULL, 0, 0}}

static const test_model readers[] = {
    READER("convolution, pooled", 8, 7, 2, pooled, 0.05f, 0.9f, 0.01f, 1),
    READER("pooled, strides, padding", 13, 5, 2, pooled_tall, 0.05f, 0, 0, 0),
    READER("convolution", 11, 6, 1, plain_conv, 0.05f, 0, 0, 0),
    READER("groups", 9, 5, 4, grouped, 0.05f, 0.5f, 0, 0),
    READER("dilation", 9, 9, 1, dilated, 0.05f, 0, 0, 0),
    READER("rows in padding", 5, 4, 2, in_padding, 0.05f, 0, 0, 0),
    READER("rows that no window meets", 9, 5, 2, steps_over, 0.05f, 0, 0, 0),
    READER("nothing but padding", 3, 4, 2, sees_nothing, 0.05f, 0, 0, 0),
    READER("nothing but padding above", 3, 4, 2, sees_above, 0.05f, 0, 0, 0),
    READER("pooled by five rows", 11, 9, 2, large_windows, 0.05f, 0, 0, 0),
    READER("more tasks than threads", 8, 8, 2, many_tasks, 0.05f, 0, 0, 0),
    READER("all rows at once", 9, 4, 2, whole_height, 0.05f, 0, 0, 0),
    READER("max pooling", 12, 6, 2, max_first, 0.05f, 0, 0, 0),
    READER("average pooling", 9, 6, 2, average_first, 0.05f, 0, 0, 0),
    READER("global pooling", 9, 6, 3, global_first, 0.05f, 0, 0, 0),
    READER("relu", 7, 6, 3, relu_first, 0.05f, 0, 0, 0),
    READER("silu", 7, 6, 3, silu_first, 0.05f, 0, 0, 0),
    READER("padding", 7, 6, 3, pad_first, 0.05f, 0, 0, 0),
    READER("upsampling", 7, 6, 3, upsample_first, 0.05f, 0, 0, 0),
    READER("global max pooling", 7, 6, 3, global_max_first, 0.05f, 0, 0, 0),
    READER("softmax", 7, 6, 3, softmax_first, 0.05f, 0, 0, 0),
    READER("leaky relu", 9, 5, 2, leaky_first, 0.05f, 0, 0, 0),
    READER("dense", 9, 8, 2, dense_first, 0.05f, 0.9f, 0, 0),
    READER("frozen convolution", 8, 5, 2, frozen_first, 0.05f, 0.9f, 0, 0),
    READER("one dense layer", 1, 1, 131, only_dense, 0.05f, 0, 0, 0),
    READER("biases, pooled", 8, 7, 2, pooled_biases, 0.05f, 0.9f, 0, 0),
    READER("one channel, pooled", 8, 7, 2, pooled_channel, 0.05f, 0.9f, 0, 0),
    READER("biases", 7, 6, 3, conv_biases, 0.05f, 0, 0, 0),
    READER("two channels", 7, 6, 3, conv_channels, 0.05f, 0, 0, 0),
    READER("biases of a dense layer", 5, 9, 2, dense_biases, 0.05f, 0.9f, 0, 0),
    READER("inputs of a dense layer", 5, 9, 2, dense_inputs, 0.05f, 0.9f, 0, 0),
    READER("few inputs", 5, 9, 1, few_inputs, 0.05f, 0, 0, 0),
    READER("two convolutions", 8, 8, 1, two_convs, 0.05f, 0, 0, 0),
    READER("large kernels", 9, 8, 2, large_kernels, 0.05f, 0, 0, 0),
};

static const test_model graph_readers[] = {
    READER("skip", 7, 6, 2, skip, 0.05f, 0.9f, 0, 0),
    READER("branches behind a pooling", 8, 6, 2, pooled_branches, 0.05f, 0, 0, 0),
    READER("dense skip", 5, 7, 2, dense_skip, 0.05f, 0, 0, 0),
};

static const struct {
    float scale;
    int32_t offset;
} meanings[] = {{0x1p-8f, 0}, {0x1p-7f, 128}, {0x1p-5f, -3}, {0x1p-12f, 65535}};

/* ---- a life ---- */

typedef struct setting {
    const cge_memory_level *level;
    int32_t capacity, threads;
    int outside; /* what does not learn stays outside the arena */
    int sliced;  /* steps are taken in slices */
} setting;

typedef struct life {
    uint64_t weights;
    float loss, mean_loss;
    uint32_t outputs; /* their CRC */
    int32_t correct;
    size_t arena_bytes;
} life;

static void run_descending(void *context, void (*task)(void *argument, int32_t index), void *argument, int32_t tasks)
{
    (void)context;
    while (tasks-- > 0) task(argument, tasks);
}

/* How many bytes `options` take, with the plan in memory if there is a level. */
static int size_of(const cge_model *m, const setting *s, int32_t training, cge_plan *plan, unsigned char *memory, size_t plan_bytes, cge_options *options, size_t *bytes)
{
    options->training = training;
    options->plan = NULL;
    if (s->level != NULL) {
        if (!CHECK_OK(cge_plan_make(m, s->level, training, memory, plan_bytes, plan))) return 0;
        options->plan = plan;
    }
    return CHECK_OK(cge_network_arena_bytes(m, options, bytes));
}

static int begin(cge_network *net, const cge_model *m, const cge_options *options, unsigned char *arena, size_t bytes)
{
    memset(arena, 0xff, bytes + PAD); /* NaN everywhere */
    CHECK_STATUS(CGE_ERR_ARENA, cge_network_init(net, m, options, arena, bytes - 1));
    if (!CHECK_OK(cge_network_init(net, m, options, arena, bytes)) || !CHECK_OK(cge_network_init_params(net, SEED))) return 0;
    memset(net->activations, 0xff, (size_t)(arena + bytes - (unsigned char *)net->activations));
    return 1;
}

static int pad_is_whole(const unsigned char *arena, size_t bytes)
{
    int whole = 1;
    for (size_t i = 0; i < PAD; i++) whole &= arena[bytes + i] == 0xff;
    return whole;
}

static int32_t x_elems(const cge_model *m)
{
    return m->input.h * m->input.w * m->input.c * SAMPLES;
}

/* Samples as the model reads them: bytes, or what these stand for by meanings[meaning]. */
static const void *samples(const cge_model *m, int32_t meaning)
{
    const int32_t count = x_elems(m);
    unsigned char *bytes = m->input_kind != NULL ? check_bytes((size_t)count + 1) : NULL;
    float *numbers = bytes == NULL ? check_floats(count) : NULL;
    if (bytes != NULL) bytes++; /* an odd address */
    for (int32_t i = 0; i < count; i++) {
        const unsigned char byte = (unsigned char)(mix32((uint32_t)(i + 1)) >> 7);
        if (bytes != NULL) bytes[i] = byte;
        else numbers[i] = (float)(byte - meanings[meaning].offset) * meanings[meaning].scale;
    }
    return bytes != NULL ? (const void *)bytes : numbers;
}

/* The same network, which trains from its parameters outside. */
static int move_params_outside(cge_network *net, cge_options *options, float *params, unsigned char *arena, size_t bytes)
{
    const cge_model *m = net->model;
    const cge_rng rng = net->rng;
    memcpy(params, net->params, (size_t)net->param_elems * sizeof *params);
    options->params = params;
    if (!CHECK_OK(cge_network_init(net, m, options, arena, bytes))) return 0;
    net->rng = rng;
    return 1;
}

static cge_status finish_step(cge_network *net, float *loss)
{
    cge_status status;
    do
        status = cge_network_resume(net, 500, loss);
    while (status == CGE_AGAIN);
    return status;
}

static void train_and_evaluate(cge_network *net, const setting *s, const void *x, const cge_targets *targets, int32_t batch, life *result)
{
    if (s->sliced) {
        if (CHECK_OK(cge_network_train_begin(net, x, targets, batch))) CHECK_OK(finish_step(net, &result->loss));
        if (CHECK_OK(cge_network_evaluate_begin(net, x, targets, SAMPLES, &result->correct))) CHECK_OK(finish_step(net, &result->mean_loss));
        return;
    }
    CHECK_OK(cge_network_train_batch(net, x, targets, batch, &result->loss));
    CHECK_OK(cge_network_evaluate(net, x, targets, SAMPLES, &result->mean_loss, &result->correct));
}

static void predict(cge_network *net, const setting *s, const void *x, float *y)
{
    if (!s->sliced) CHECK_OK(cge_network_forward(net, x, SAMPLES, y));
    else if (CHECK_OK(cge_network_forward_begin(net, x, SAMPLES, y))) CHECK_OK(finish_step(net, NULL));
}

static int learns_at_once(const setting *s)
{
    return s->level == &cge_memory_smallest || s->level == &cge_memory_smallest_sliced;
}

/* Trains with shuffled orders, evaluates and predicts. */
static int live(const char *name, const cge_model *m, const setting *s, int32_t meaning, life *result)
{
    static const int32_t labels[SAMPLES] = {2, 0, 1, 2, 1};
    const cge_targets targets = {labels, NULL};
    const int32_t batch = learns_at_once(s) ? 1 : BATCH;
    const cge_executor executor = {run_descending, NULL, THREADS};
    cge_options options = {1, s->capacity, NULL, s->threads > 1 ? &executor : NULL, NULL};
    cge_network net;
    cge_plan plan;
    size_t plan_bytes = 0, inference_bytes = 0;
    unsigned char *memory, *arena;
    const void *x;
    const size_t x_bytes = (size_t)x_elems(m) * sizeof(float); /* at most */
    size_t params_bytes = 0;
    float *params = NULL;
    int32_t order[SAMPLES] = {0, 1, 2, 3, 4};
    float y[SAMPLES * 3];
    memset(result, 0, sizeof *result);
    if (s->level != NULL && !CHECK_OK(cge_plan_bytes(m, &plan_bytes))) return 0;
    if (!check_room(name, plan_bytes)) return 0;
    memory = check_bytes(plan_bytes);
    if (!size_of(m, s, 1, &plan, memory, plan_bytes, &options, &result->arena_bytes)) return 0;
    if (s->outside) params_bytes = result->arena_bytes; /* at most */
    if (!check_room(name, plan_bytes + result->arena_bytes + PAD + x_bytes + params_bytes)) return 0;
    x = samples(m, meaning);
    memory = check_bytes(plan_bytes);
    arena = check_bytes(result->arena_bytes + PAD);
    if (!size_of(m, s, 1, &plan, memory, plan_bytes, &options, &result->arena_bytes) || !begin(&net, m, &options, arena, result->arena_bytes)) return 0;
    if (s->outside) params = check_floats((int32_t)(params_bytes / sizeof *params));
    if (s->outside && !move_params_outside(&net, &options, params, arena, result->arena_bytes)) return 0;
    for (int32_t epoch = 0; epoch < EPOCHS; epoch++) {
        CHECK_OK(cge_rng_shuffle(&net.rng, order, SAMPLES));
        CHECK_OK(cge_network_train_epoch(&net, x, &targets, order, SAMPLES, batch, &result->loss));
    }
    train_and_evaluate(&net, s, x, &targets, batch, result);
    CHECK_OK(cge_network_params_hash(&net, &result->weights));
    CHECK(pad_is_whole(arena, result->arena_bytes));
    options.params = NULL;
    if (!size_of(m, s, 0, &plan, memory, plan_bytes, &options, &inference_bytes) || !CHECK(inference_bytes <= result->arena_bytes)) return 0;
    if (!begin(&net, m, &options, arena, inference_bytes)) return 0;
    predict(&net, s, x, y);
    result->outputs = cge_crc32(0, y, sizeof y);
    return CHECK(pad_is_whole(arena, inference_bytes));
}

static int same_life(const life *a, const life *b)
{
    return a->weights == b->weights && float_bits(a->loss) == float_bits(b->loss) && float_bits(a->mean_loss) == float_bits(b->mean_loss) &&
           a->correct == b->correct && a->outputs == b->outputs;
}

/* ---- bytes and the numbers that they stand for ---- */

static const setting settings[] = {
    {NULL, 1, 1, 0, 0}, {NULL, 1, THREADS, 0, 0}, {NULL, 2, 1, 0, 0}, {NULL, SAMPLES, 1, 0, 0}, {NULL, SAMPLES, THREADS, 0, 0}, {NULL, 2, 1, 1, 0},
    {&cge_memory_small, 1, 1, 0, 0}, {&cge_memory_small, 1, 1, 1, 0}, {&cge_memory_smallest, 1, 1, 0, 0}, {&cge_memory_smallest, 1, 1, 1, 0},
    {&cge_memory_small_sliced, 1, 1, 0, 1}, {&cge_memory_smallest_sliced, 1, 1, 1, 1}};
enum { PLANNED_SETTINGS = 6 }; /* the first of them */

static void test_reader(const test_model *reader, int32_t meaning, int32_t first_setting)
{
    cge_model reads_bytes = reader->model;
    life expected, batch_of_one, got;
    reads_bytes.input_kind = &cge_input_u8;
    reads_bytes.input_scale = meanings[meaning].scale;
    reads_bytes.input_offset = meanings[meaning].offset;
    for (int32_t i = first_setting; i < COUNT_OF(settings); i++) {
        life *e = learns_at_once(&settings[i]) ? &batch_of_one : &expected;
        setting reference = {NULL, 1, 1, 0, 0};
        reference.level = settings[i].level;
        if (i == first_setting || reference.level != NULL) {
            if (!live(reader->name, &reader->model, &reference, meaning, e)) return;
        }
        if (!live(reader->name, &reads_bytes, &settings[i], meaning, &got)) return;
        CHECK(same_life(e, &got));
    }
}

/* ---- steps that could overflow ---- */

/* Whether a step of the smallest level is tried before anything learns: of one sample, all of whose elements but one stand for
 * zero. -1: it was not taken. */
static int is_tried(cge_model m, float scale, int32_t offset, int reads_bytes)
{
    static const float values[3];
    const cge_targets targets = {NULL, values};
    const int32_t elems = x_elems(&m) / SAMPLES;
    const unsigned char other = offset == 0 ? 255 : 0;
    cge_plan plan;
    cge_options options = {1, 1, NULL, NULL, &plan};
    cge_network net;
    size_t plan_bytes = 0, bytes = 0;
    unsigned char *memory, *arena, *x;
    float *numbers, loss;
    cge_status status = CGE_AGAIN;
    int tried = 0;
    if (reads_bytes) m.input_kind = &cge_input_u8, m.input_scale = scale, m.input_offset = offset;
    if (!CHECK_OK(cge_plan_bytes(&m, &plan_bytes)) || !check_room("bounds", plan_bytes + 4096 + (size_t)elems * 5)) return -1;
    memory = check_bytes(plan_bytes);
    arena = check_bytes(4096);
    x = check_bytes((size_t)elems);
    numbers = check_floats(elems);
    for (int32_t i = 0; i < elems; i++) {
        x[i] = i == 3 ? other : (unsigned char)offset;
        numbers[i] = (float)(x[i] - offset) * scale;
    }
    if (!CHECK_OK(cge_plan_make(&m, &cge_memory_smallest, 1, memory, plan_bytes, &plan)) || !CHECK_OK(cge_network_arena_bytes(&m, &options, &bytes)) ||
        !CHECK(bytes <= 4096) || !CHECK_OK(cge_network_init(&net, &m, &options, arena, 4096)) || !CHECK_OK(cge_network_init_params(&net, SEED)))
        return -1;
    if (!CHECK_OK(cge_network_train_begin(&net, reads_bytes ? (const void *)x : numbers, &targets, 1))) return -1;
    while (status == CGE_AGAIN) {
        status = cge_network_resume(&net, 1, &loss);
        tried |= net.step.trial;
    }
    return status == CGE_OK ? tried != 0 : -1;
}

static const cge_layer small_layers[] = {CONV(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0), PLAIN(relu), DENSE(3, 0, 0)};

/* Bytes of either side of the offset bound a step as the numbers do. */
static void test_bounds(void)
{
    static const cge_model m = {{6, 5, 1}, TABLE(small_layers), &cge_mean_squared_error, {&cge_sgd, 1e-30f, 0, 0, 0}, NULL, 0, 0};
    static const int32_t offsets[] = {0, 255};
    check_case("bounds");
    for (int32_t i = 0; i < COUNT_OF(offsets); i++) {
        int32_t bounded = 0, tried = 0;
        float scale = 0x1p+12f;
        for (int32_t e = 12; e <= 44; e++, scale *= 2) {
            const int expected = is_tried(m, scale, offsets[i], 0);
            CHECK(expected == is_tried(m, scale, offsets[i], 1));
            bounded += expected == 0;
            tried += expected == 1;
        }
        CHECK(bounded > 0 && tried > 0);
    }
}

void suite_bytes(void)
{
    test_bounds();
    for (int32_t i = 0; i < COUNT_OF(readers); i++) {
        check_case(readers[i].name);
        test_reader(&readers[i], i % COUNT_OF(meanings), 0);
        if (i < 3) test_reader(&readers[i], (i + 1) % COUNT_OF(meanings), 0);
    }
    for (int32_t i = 0; i < COUNT_OF(graph_readers); i++) {
        check_case(graph_readers[i].name);
        test_reader(&graph_readers[i], i, PLANNED_SETTINGS);
    }
}

/* ---- what is refused ---- */

static cge_model byte_model(void)
{
    cge_model m = readers[0].model;
    m.input_kind = &cge_input_u8;
    m.input_scale = 0x1p-8f;
    return m;
}

static void test_scales(void)
{
    static const float good[] = {0x1p-64f, 0x1p-8f, 1.0f, 0x1p+64f};
    static const uint32_t bad[] = {0, 0x80000000u, 0xbb800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0x1f000000u /* 2^-65 */, 0x60000000u /* 2^65 */,
                                   0x3b808081u /* 1/255 */, 0x3b800001u, 0x3f400000u, 1, 0x00400000u};
    size_t size = 0;
    cge_model m = byte_model();
    check_case("scale");
    for (int32_t i = 0; i < COUNT_OF(good); i++) {
        m.input_scale = good[i];
        CHECK_OK(cge_network_arena_bytes(&m, NULL, &size));
    }
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        m.input_scale = float_from_bits(bad[i]);
        size = 7;
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&m, NULL, &size));
        CHECK(size == 7);
    }
}

static void test_offsets(void)
{
    static const int32_t good[] = {-65535, 0, 65535}, bad[] = {-65536, 65536, INT32_MIN, INT32_MAX};
    size_t size = 0;
    cge_model m = byte_model();
    check_case("offset");
    for (int32_t i = 0; i < COUNT_OF(good); i++) {
        m.input_offset = good[i];
        CHECK_OK(cge_network_arena_bytes(&m, NULL, &size));
    }
    for (int32_t i = 0; i < COUNT_OF(bad); i++) {
        m.input_offset = bad[i];
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&m, NULL, &size));
    }
}

/* A scale or an offset without a kind would be forgotten; a network that only renames would put x out. */
static void test_forgotten(void)
{
    static const cge_layer renames[] = {PLAIN(flatten)};
    size_t size = 0;
    cge_model m = byte_model();
    check_case("no kind");
    m.input_kind = NULL;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&m, NULL, &size));
    m.input_scale = 0;
    CHECK_OK(cge_network_arena_bytes(&m, NULL, &size));
    m.input_offset = 1;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&m, NULL, &size));
    m = byte_model();
    m.layers = renames;
    m.layer_count = 1;
    CHECK_STATUS(CGE_ERR_ARGUMENT, cge_network_arena_bytes(&m, NULL, &size));
}

static const cge_layer two_readers[] = {CONV(2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0), {.kind = &cge_kind_concat, .from = {0, CGE_INPUT}}, DENSE(3, 0, 0)};
static const cge_layer renamed[] = {PLAIN(flatten), DENSE(112, 0, 0), {.kind = &cge_kind_add, .from = {1, 0}}, DENSE(3, 0, 0)};
static const cge_layer twice[] = {{.kind = &cge_kind_add, .from = {CGE_INPUT, CGE_INPUT}}, DENSE(3, 0, 0)};

/* There is one window: a graph in which x is read more than once, or put out, is for numbers. */
static void test_readers_of_x(void)
{
    static const struct {
        const cge_layer *layers;
        int32_t count;
    } refused[] = {{TABLE(two_readers)}, {TABLE(renamed)}, {TABLE(twice)}};
    check_case("readers of x");
    for (int32_t i = 0; i < COUNT_OF(refused); i++) {
        cge_model m = byte_model();
        size_t bytes = 7;
        m.layers = refused[i].layers;
        m.layer_count = refused[i].count;
        CHECK_STATUS(CGE_ERR_ARGUMENT, cge_plan_bytes(&m, &bytes));
        CHECK(bytes == 7);
        CHECK_STATUS(CGE_ERR_MODE, cge_network_arena_bytes(&m, NULL, &bytes)); /* as every graph without a plan */
        m.input_kind = NULL;
        m.input_scale = 0;
        CHECK_OK(cge_plan_bytes(&m, &bytes));
    }
}

static void check_window(cge_model m, int32_t in_h, int32_t rows)
{
    size_t reals = 0, bytes = 0;
    m.input.h = in_h;
    CHECK_OK(cge_network_arena_bytes(&m, NULL, &bytes));
    m.input_kind = NULL;
    m.input_scale = 0;
    CHECK_OK(cge_network_arena_bytes(&m, NULL, &reals));
    CHECK(bytes == reals + (size_t)(4 * rows * m.input.w * m.input.c));
}

/* A plan has room for the window among its tensors: nothing comes on top. */
static void test_planned_room(void)
{
    const cge_model m = byte_model();
    cge_plan plan;
    cge_options options = {0, 1, NULL, NULL, &plan};
    size_t plan_bytes = 0, bytes = 0;
    unsigned char *memory;
    check_case("room in a plan");
    if (!CHECK_OK(cge_plan_bytes(&m, &plan_bytes)) || !check_room("room in a plan", plan_bytes)) return;
    memory = check_bytes(plan_bytes);
    if (!CHECK_OK(cge_plan_make(&m, &cge_memory_small, 0, memory, plan_bytes, &plan))) return;
    CHECK_OK(cge_network_arena_bytes(&m, &options, &bytes));
    CHECK(bytes == 4 * (size_t)(plan.peak_elems + 76 + 147)); /* parameters of both layers */
}

/* What the arena has more than that of the same network on cge_real is a window: of four frames among eight at once, of six rows
 * of one. Frames gathered for a pass over several take a quarter. */
static void test_room(void)
{
    cge_options options = {1, 8, NULL, NULL, NULL};
    size_t reals = 0, bytes = 0;
    const cge_model m = byte_model();
    const int32_t frame = m.input.h * m.input.w * m.input.c, window = 6 * m.input.w * m.input.c;
    check_case("room");
    CHECK_OK(cge_network_arena_bytes(&readers[0].model, &options, &reals));
    CHECK_OK(cge_network_arena_bytes(&m, &options, &bytes));
    CHECK(bytes == reals - (size_t)(8 * 3 * frame) + (size_t)(4 * 4 * frame));
    options.capacity = 1;
    CHECK_OK(cge_network_arena_bytes(&readers[0].model, &options, &reals));
    CHECK_OK(cge_network_arena_bytes(&m, &options, &bytes));
    CHECK(bytes == reals + (size_t)(4 * window));
    check_window(m, 7, 6);
    check_window(m, 6, 5); /* four rows of the output would look at all of x */
    check_window(m, 3, 3); /* one does */
}

/* ---- files ---- */

static struct place { /* on the stack of the suite: boards have little room for statics */
    cge_network net;
    cge_layer layers[4];
    cge_layer_config configs[4];
    cge_model parsed;
    size_t arena_bytes, file_bytes;
    unsigned char *arena, *file, *old;
} *f;

static int set_up(const char *name, const cge_model *m)
{
    const cge_options inference = {0, 1, NULL, NULL, NULL};
    size_t used = 0;
    check_case(name);
    if (!CHECK_OK(cge_network_arena_bytes(m, &inference, &f->arena_bytes)) || !check_room(name, f->arena_bytes + 16)) return 0;
    f->arena = check_bytes(f->arena_bytes);
    if (!CHECK_OK(cge_network_init(&f->net, m, &inference, f->arena, f->arena_bytes)) || !CHECK_OK(cge_network_init_params(&f->net, SEED))) return 0;
    CHECK_OK(cge_network_saved_bytes(&f->net, &f->file_bytes));
    if (!check_room(name, f->arena_bytes + f->file_bytes + SAVED_OLD_BYTES(f->file_bytes))) return 0;
    f->arena = check_bytes(f->arena_bytes);
    f->file = check_bytes(f->file_bytes);
    f->old = check_bytes(SAVED_OLD_BYTES(f->file_bytes));
    if (!CHECK_OK(cge_network_init(&f->net, m, &inference, f->arena, f->arena_bytes)) || !CHECK_OK(cge_network_init_params(&f->net, SEED))) return 0;
    return CHECK_OK(cge_network_save(&f->net, f->file, f->file_bytes, &used)) && CHECK(used == f->file_bytes);
}

static cge_status parse_with(const cge_catalog *catalog)
{
    return cge_model_parse(f->file, f->file_bytes, catalog, f->layers, f->configs, COUNT_OF(f->layers), &f->parsed);
}

static void check_parsed(const cge_input_kind *kind, float scale, int32_t offset)
{
    if (!CHECK_OK(parse_with(&cge_catalog_all))) return;
    CHECK(f->parsed.input_kind == kind && float_bits(f->parsed.input_scale) == float_bits(scale) && f->parsed.input_offset == offset);
}

static void test_file(void)
{
    static const struct {
        size_t word;
        uint32_t value;
    } other[] = {{SAVED_INPUT, 0}, {SAVED_INPUT_SCALE, 0x3f800000u}, {SAVED_INPUT_OFFSET, 0}};
    cge_catalog no_bytes = cge_catalog_all;
    cge_model m = byte_model();
    m.input_offset = -3;
    if (!set_up("file of bytes", &m)) return;
    check_parsed(&cge_input_u8, 0x1p-8f, -3);
    no_bytes.input_count = 0;
    CHECK_REFUSED(CGE_ERR_FORMAT, parse_with(&no_bytes));
    CHECK_OK(cge_network_restore(&f->net, f->file, f->file_bytes));
    for (int32_t i = 0; i < COUNT_OF(other); i++) {
        const uint32_t was = saved_word(f->file, other[i].word);
        set_saved_word(f->file, other[i].word, other[i].value);
        seal_saved(f->file, f->file_bytes);
        CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&f->net, f->file, f->file_bytes));
        set_saved_word(f->file, other[i].word, was);
    }
    set_saved_word(f->file, SAVED_INPUT_SCALE, 0xbb800000u); /* negative */
    seal_saved(f->file, f->file_bytes);
    CHECK_REFUSED(CGE_ERR_FORMAT, parse_with(&cge_catalog_all));
}

/* Files of the versions before are of networks on cge_real. */
static void test_older_files(void)
{
    static size_t (*const convert[])(const unsigned char *, size_t, unsigned char *) = {to_version_3, to_version_2, to_version_1};
    for (int32_t i = 0; i < COUNT_OF(convert); i++) {
        if (!set_up("older file", &readers[0].model)) return;
        check_parsed(NULL, 0, 0);
        f->file_bytes = convert[i](f->file, f->file_bytes, f->old);
        f->file = f->old;
        check_parsed(NULL, 0, 0);
        CHECK_OK(cge_network_restore(&f->net, f->file, f->file_bytes));
    }
    if (!set_up("older file", &readers[0].model)) return;
    f->file_bytes = to_version_2(f->file, f->file_bytes, f->old);
    f->file = f->old;
    f->net.model = &(const cge_model){.input = {8, 7, 2}, .layers = pooled, .layer_count = 4, .input_kind = &cge_input_u8, .input_scale = 1};
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_restore(&f->net, f->file, f->file_bytes));
}

/* x of any address; NULL is none. */
static void test_x(void)
{
    const cge_model m = byte_model();
    const unsigned char x[8 * 7 * 2 + 1] = {0};
    float y[3];
    if (!set_up("x", &m)) return;
    CHECK_REFUSED(CGE_ERR_NULL, cge_network_forward(&f->net, NULL, 1, y));
    CHECK_OK(cge_network_forward(&f->net, x, 1, y));
    CHECK_OK(cge_network_forward(&f->net, x + 1, 1, y));
}

void suite_bytes_status(void)
{
    struct place place;
    f = &place;
    test_scales();
    test_offsets();
    test_forgotten();
    test_readers_of_x();
    test_room();
    test_planned_room();
    test_file();
    test_older_files();
    test_x();
}
