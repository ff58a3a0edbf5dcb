/*
 * Fuzzing of everything that reads a saved network; to be built with -fsanitize=address,undefined.
 *
 *     fuzz_model count N [seed]      N mutants
 *     fuzz_model seconds S [seed]    mutants for S seconds of processor time
 *
 * Mutants come from the saved files of the models in ../models.c and of random variations of them, by the program's
 * own generator: the same seed gives the same run, and a failure prints the number of the mutant. Half of the mutants
 * get a right length and checksum, so that the checks behind those are reached. What is accepted is then used: the
 * network is built, restored, run, trained, and saved again. What is refused must have left no trace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cge_host.h>

#include "../models.h"
#include "../saved.h"

enum { MAX_LAYERS = 16, MAX_FILE = 1 << 16, MAX_ARENA = 1 << 20, MAX_MACS = 200000, MAX_OUTPUTS = 16, FILL = 0x6b };

/* ---- generator ------------------------------------------------------------------------------------------------------ */

static uint64_t state;

static uint32_t next(void) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t below(uint32_t bound)
{
    return next() % bound;
}

static uint32_t interesting_word(void)
{
    static const uint32_t words[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 64, 100, 255, 256, 0x7fff, 0xffff, 0x10000, 0x04000000,
                                     0x0fffffff, 0x10000000, 0x3f800000, 0x40000000, 0x7f800000, 0x7fc00000, 0x7fffffff,
                                     0x80000000u, 0x80000001u, 0xbf800000u, 0xff800000u, 0xfffffffeu, 0xffffffffu};
    return below(8) == 0 ? next() : words[below(sizeof words / sizeof words[0])];
}

/* ---- failures ---------------------------------------------------------------------------------------------------------- */

static uint64_t mutant;

#define REQUIRE(condition) \
    do { \
        if (!(condition)) fail(#condition, __LINE__); \
    } while (0)

static void fail(const char *what, int line)
{
    fprintf(stderr, "fuzz_model.c:%d: mutant %lu: %s\n", line, (unsigned long)mutant, what);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes > 0 ? bytes : 1);
    REQUIRE(p != NULL);
    memset(p, FILL, bytes);
    return p;
}

static int untouched(const void *p, size_t bytes)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < bytes; i++)
        if (b[i] != FILL) return 0;
    return 1;
}

/* ---- seeds: files of valid networks ------------------------------------------------------------------------------------- */

typedef struct file {
    unsigned char bytes[MAX_FILE];
    size_t size;
} file;

/* A field of a random layer or of its config, or the input's shape. The result may be no possible model. */
static void vary_model(cge_model *model, cge_layer *layers, cge_layer_config *configs)
{
    const uint32_t row = below((uint32_t)model->layer_count), other = below((uint32_t)model->layer_count);
    cge_layer *l = &layers[row];
    int32_t *const sizes[] = {&l->trains, &model->input.h, &model->input.w, &model->input.c};
    const int32_t value = (int32_t)below(7);
    switch (below(8)) {
    case 0: l->flags ^= CGE_FROZEN; break;
    case 1: l->init = (cge_init)value; break;
    case 2:
        *l = layers[other];
        configs[row] = configs[other];
        if (l->config != NULL) l->config = &configs[row];
        break;
    case 3: *sizes[below(sizeof sizes / sizeof sizes[0])] = value; break;
    case 4: l->config = below(2) == 0 ? NULL : &configs[row]; break;
    default: memcpy((char *)&configs[row] + 4 * below((uint32_t)(sizeof configs[row] / 4)), &value, sizeof value);
    }
}

/* Bytes, in most cases of a scale and an offset that there are. */
static void vary_input(cge_model *model)
{
    static const float scales[] = {0x1p-8f, 0x1p-64f, 0x1p+64f, 1.0f, 0x1p-65f, 0.75f};
    model->input_kind = &cge_input_u8;
    model->input_scale = scales[below(sizeof scales / sizeof scales[0])];
    model->input_offset = (int32_t)below(300) - 20;
}

/* Two outputs, each with a loss of its own, that add up. */
static void vary_outputs(cge_model *model, cge_output outputs[2])
{
    static const cge_loss_kind *const losses[] = {
        &cge_softmax_cross_entropy, &cge_mean_squared_error, &cge_binary_cross_entropy, &cge_distillation};
    cge_layer_info last;
    if (cge_model_layer_info(model, model->layer_count - 1, &last) != CGE_OK) return;
    const int32_t elems = last.out.h * last.out.w * last.out.c, first = elems > 1 ? 1 + (int32_t)below((uint32_t)elems - 1) : 1;
    memset(outputs, 0, 2 * sizeof *outputs);
    for (int32_t i = 0; i < 2; i++) {
        outputs[i].loss = losses[below(sizeof losses / sizeof losses[0])];
        outputs[i].elems = i == 0 ? first : elems - first;
        outputs[i].weight = 0.5f * (float)below(4);
    }
    memset(&model->loss_config, 0, sizeof model->loss_config);
    model->loss = &cge_multi_output;
    model->outputs = outputs;
    model->output_count = elems > 1 ? 2 : 1;
}

static int write_network(const cge_model *model, file *out)
{
    const cge_options options = {model->loss != NULL && below(4) != 0, 1, NULL, NULL, NULL};
    cge_network net;
    size_t bytes = 0;
    unsigned char *arena;
    if (cge_network_arena_bytes(model, &options, &bytes) != CGE_OK || bytes > MAX_ARENA) return 0;
    arena = allocate(bytes);
    REQUIRE(cge_network_init(&net, model, &options, arena, bytes) == CGE_OK);
    REQUIRE(cge_network_init_params(&net, next()) == CGE_OK);
    net.step_count = next();
    REQUIRE(cge_network_saved_bytes(&net, &bytes) == CGE_OK);
    if (bytes <= MAX_FILE) REQUIRE(cge_network_save(&net, out->bytes, MAX_FILE, &out->size) == CGE_OK);
    free(arena);
    return bytes <= MAX_FILE;
}

static void new_seed(file *out)
{
    cge_layer layers[MAX_LAYERS];
    cge_layer_config configs[MAX_LAYERS];
    cge_output outputs[2];
    cge_model model;
    do {
        memset(configs, 0, sizeof configs);
        model = test_models[below((uint32_t)test_model_count)].model;
        memcpy(layers, model.layers, (size_t)model.layer_count * sizeof *layers);
        model.layers = layers;
        for (int32_t i = 0; i < model.layer_count; i++) own_config(&layers[i], &configs[i]);
        for (uint32_t i = below(4); i > 0; i--) vary_model(&model, layers, configs);
        if (below(3) == 0) vary_input(&model);
        if (below(4) == 0) vary_outputs(&model, outputs);
    } while (!write_network(&model, out));
}

/* ---- mutation --------------------------------------------------------------------------------------------------------------- */

static size_t random_word(const file *f)
{
    uint32_t all = (uint32_t)(f->size / 4), head = SAVED_HEADER_WORDS + 3 * (SAVED_LAYER_WORDS + SAVED_POOL2D_FIELDS);
    if (below(8) == 0) return all - 1 - below(all < 16 ? all : 16); /* settings of the loss */
    return below(4) == 0 || head > all ? below(all) : below(head);
}

static void to_an_old_version(file *f)
{
    static unsigned char old[SAVED_OLD_BYTES(MAX_FILE)];
    static size_t (*const convert[])(const unsigned char *, size_t, unsigned char *) = {to_version_1, to_version_2, to_version_3};
    const size_t size = convert[below(3)](f->bytes, f->size, old);
    if (size > MAX_FILE) return;
    memcpy(f->bytes, old, size);
    f->size = size;
}

static void mutate(file *f)
{
    size_t at = below((uint32_t)f->size), word = random_word(f), count = 4 * (1 + below(20));
    switch (below(8)) {
    case 0: f->bytes[at] ^= (unsigned char)(1u << below(8)); break;
    case 1: f->bytes[at] = (unsigned char)next(); break;
    case 2: set_saved_word(f->bytes, word, saved_word(f->bytes, word) + below(5) - 2); break;
    case 3: set_saved_word(f->bytes, word, saved_word(f->bytes, random_word(f))); break;
    case 4: /* cut something out, or off */
        if (f->size < 4 * (SAVED_HEADER_WORDS + 2) + count || below(2) == 0) break;
        at = below(3) == 0 ? f->size - count : 4 * below((uint32_t)((f->size - count) / 4));
        memmove(f->bytes + at, f->bytes + at + count, f->size - at - count);
        f->size -= below(4) == 0 ? count - below(4) : count;
        break;
    case 5: /* put something in */
        if (f->size + count > MAX_FILE || below(2) == 0) break;
        at = 4 * below((uint32_t)(f->size / 4));
        memmove(f->bytes + at + count, f->bytes + at, f->size - at);
        f->size += count;
        break;
    case 6: /* a version before */
        if (f->size < 4 * (SAVED_HEADER_WORDS + 1) || below(4) != 0) break;
        to_an_old_version(f);
        break;
    default: set_saved_word(f->bytes, word, interesting_word());
    }
}

static void seal(file *f)
{
    if (f->size >= 4 * SAVED_HEADER_WORDS) set_saved_word(f->bytes, SAVED_BYTES, (uint32_t)f->size);
    seal_saved(f->bytes, f->size);
}

static void next_mutant(file *f, const file *seed)
{
    memcpy(f->bytes, seed->bytes, seed->size);
    f->size = seed->size;
    for (uint32_t i = 1 + below(3); i > 0; i--) mutate(f);
    if (below(2) == 0) seal(f);
}

/* ---- what is done with a mutant ----------------------------------------------------------------------------------------------- */

static struct {
    uint64_t accepted, used, trained, refused[CGE_ERR_MISMATCH + 1];
} count;

/* A graph's shapes are checked when its plan is made: whatever that says, it ends. */
static void plan_graph(const cge_model *model)
{
    const cge_memory_level *const levels[] = {&cge_memory_small, &cge_memory_smallest, &cge_memory_batch};
    size_t bytes = 0;
    cge_plan plan;
    if (cge_plan_bytes(model, &bytes) != CGE_OK) return;
    void *memory = allocate(bytes);
    (void)!cge_plan_make(model, levels[below(3)], model->loss != NULL, memory, bytes, &plan);
    free(memory);
}

/* Of a window. */
static int64_t taps_of(const cge_layer *l)
{
    const cge_conv2d *conv2d = l->config;
    const cge_pool2d *pool2d = l->config;
    const cge_conv_transpose2d *transposed = l->config;
    if (l->kind == &cge_kind_conv2d) return (int64_t)conv2d->kernel_h * conv2d->kernel_w;
    if (l->kind == &cge_kind_conv_transpose2d) return (int64_t)transposed->kernel_h * transposed->kernel_w;
    return l->kind == &cge_kind_maxpool2d || l->kind == &cge_kind_avgpool2d ? (int64_t)pool2d->kernel_h * pool2d->kernel_w : 0;
}

/* Multiply-adds of one sample, or more than MAX_MACS: sizes decide what is worth running. */
static int64_t cost(const cge_model *model)
{
    int64_t macs = 0;
    for (int32_t i = 0; i < model->layer_count && macs <= MAX_MACS; i++) {
        cge_layer_info info;
        cge_status status = cge_model_layer_info(model, i, &info);
        if (model->fused) REQUIRE(status == CGE_ERR_ARITHMETIC); /* the fuzzer's library is exact */
        else REQUIRE(status == CGE_OK || status == CGE_ERR_MODE);
        if (status == CGE_ERR_MODE) plan_graph(model);
        if (status != CGE_OK) return MAX_MACS + 1;
        macs += info.macs + (int64_t)info.in.h * info.in.w * info.in.c + (int64_t)info.out.h * info.out.w * info.out.c;
        macs += taps_of(&model->layers[i]) > MAX_MACS ? MAX_MACS + 1 : taps_of(&model->layers[i]) * info.out.h * info.out.w * info.out.c;
    }
    return macs;
}

static void run_network(cge_network *net, int training)
{
    float *x = allocate(sizeof(float) * (size_t)net->in_elems), *y = allocate(sizeof(float) * (size_t)net->out_elems);
    float *values = allocate(sizeof(float) * (size_t)net->out_elems), loss;
    int32_t labels[MAX_OUTPUTS];
    const cge_targets targets = {labels, values};
    cge_status status;
    for (int32_t i = 0; i < MAX_OUTPUTS; i++) labels[i] = (int32_t)below((uint32_t)net->out_elems);
    for (int32_t i = 0; i < net->in_elems; i++) x[i] = (float)below(1000) / 500 - 1;
    for (int32_t i = 0; i < net->out_elems; i++) values[i] = (float)below(3) / 2; /* probabilities, as some losses need them */
    REQUIRE(cge_network_forward(net, x, 1, y) == CGE_OK);
    if (training && net->model->optimizer.kind != NULL) {
        status = cge_network_train_batch(net, x, &targets, 1, &loss);
        const int refused = status == CGE_ERR_LABEL || status == CGE_ERR_SHAPE; /* of several outputs, which need not add up */
        REQUIRE(status == CGE_OK || status == CGE_ERR_NOT_FINITE || (refused && net->model->output_count > 0));
        count.trained += !refused;
    }
    free(x);
    free(y);
    free(values);
}

/* All kinds, and room for outputs. */
static cge_catalog catalog_with(cge_output *outputs, int32_t max_outputs)
{
    cge_catalog catalog = cge_catalog_all;
    catalog.outputs = outputs;
    catalog.max_outputs = max_outputs;
    return catalog;
}

static void check_saved_again(const cge_network *net)
{
    size_t bytes = 0, used = 0;
    unsigned char *again;
    cge_layer layers[MAX_LAYERS];
    cge_layer_config configs[MAX_LAYERS];
    cge_model model;
    REQUIRE(cge_network_saved_bytes(net, &bytes) == CGE_OK);
    again = allocate(bytes);
    REQUIRE(cge_network_save(net, again, bytes, &used) == CGE_OK && used == bytes);
    cge_output outputs[MAX_OUTPUTS];
    const cge_catalog catalog = catalog_with(outputs, MAX_OUTPUTS);
    REQUIRE(cge_model_parse(again, bytes, &catalog, layers, configs, MAX_LAYERS, &model) == CGE_OK);
    free(again);
}

static void use_model(const cge_model *model, const unsigned char *bytes, size_t size)
{
    const cge_options options = {model->loss != NULL, 1 + (int32_t)below(2), NULL, NULL, NULL};
    cge_network net;
    size_t arena_bytes = 0;
    unsigned char *arena;
    if (cost(model) > MAX_MACS || cge_network_arena_bytes(model, &options, &arena_bytes) != CGE_OK || arena_bytes > MAX_ARENA) return;
    arena = allocate(arena_bytes);
    REQUIRE(cge_network_init(&net, model, &options, arena, arena_bytes) == CGE_OK);
    REQUIRE(cge_network_restore(&net, bytes, size) == CGE_OK);
    run_network(&net, options.training);
    check_saved_again(&net);
    count.used++;
    free(arena);
}

/* The mutant in a buffer of exactly its size; layers and model in buffers of exactly theirs. */
static void try_parse(const unsigned char *bytes, size_t size)
{
    int32_t max_layers = (int32_t)below(4) == 0 ? (int32_t)below(4) : MAX_LAYERS;
    cge_layer *layers = allocate((size_t)max_layers * sizeof *layers);
    cge_layer_config *configs = allocate((size_t)max_layers * sizeof *configs);
    cge_model *model = allocate(sizeof *model);
    int32_t max_outputs = (int32_t)below(4) == 0 ? (int32_t)below(4) : MAX_OUTPUTS;
    cge_output *outputs = allocate((size_t)max_outputs * sizeof *outputs);
    const cge_catalog catalog = catalog_with(outputs, max_outputs);
    cge_status status = cge_model_parse(bytes, size, &catalog, layers, configs, max_layers, model);
    REQUIRE(status >= CGE_OK && status <= CGE_ERR_MISMATCH);
    if (status == CGE_OK) {
        count.accepted++;
        REQUIRE(model->layers == layers && model->layer_count >= 1 && model->layer_count <= max_layers);
        use_model(model, bytes, size);
    } else {
        count.refused[status]++;
        REQUIRE(untouched(layers, (size_t)max_layers * sizeof *layers) && untouched(configs, (size_t)max_layers * sizeof *configs));
        REQUIRE(untouched(model, sizeof *model) && untouched(outputs, (size_t)max_outputs * sizeof *outputs));
    }
    free(outputs);
    free(layers);
    free(configs);
    free(model);
}

/* Into a network that was there before, of one of the models. */
static void try_restore(const unsigned char *bytes, size_t size)
{
    const cge_model *model = &test_models[below((uint32_t)test_model_count)].model;
    const cge_options options = {(int32_t)below(2), 1, NULL, NULL, NULL};
    cge_network net, before;
    size_t arena_bytes = 0;
    unsigned char *arena;
    REQUIRE(cge_network_arena_bytes(model, &options, &arena_bytes) == CGE_OK);
    arena = allocate(arena_bytes);
    REQUIRE(cge_network_init(&net, model, &options, arena, arena_bytes) == CGE_OK);
    before = net;
    for (int32_t i = 0; i < net.param_elems; i++) net.params[i] = 1;
    if (cge_network_restore(&net, bytes, size) == CGE_OK) {
        run_network(&net, options.training);
    } else {
        REQUIRE(memcmp(&before, &net, sizeof net) == 0);
        for (int32_t i = 0; i < net.param_elems; i++) REQUIRE(net.params[i] == 1);
    }
    free(arena);
}

static void try_mutant(const file *f)
{
    unsigned char *exact = allocate(f->size);
    memcpy(exact, f->bytes, f->size);
    try_parse(exact, f->size);
    if (below(4) == 0) try_restore(exact, f->size);
    free(exact);
}

int main(int argc, char **argv)
{
    static file seed, f;
    const int timed = argc > 1 && strcmp(argv[1], "seconds") == 0;
    const uint64_t limit = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    const clock_t start = clock();
    if (limit == 0 || (!timed && strcmp(argv[1], "count") != 0)) {
        fprintf(stderr, "usage: %s count N [seed] | seconds S [seed]\n", argv[0]);
        return 2;
    }
    state = 0x9e3779b97f4a7c15u ^ (argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    while (timed ? (uint64_t)((clock() - start) / CLOCKS_PER_SEC) < limit : mutant < limit) {
        if (mutant % 16 == 0) {
            new_seed(&seed);
            try_parse(seed.bytes, seed.size);
        }
        mutant++;
        next_mutant(&f, &seed);
        try_mutant(&f);
    }
    printf("%s: %lu mutants: %lu accepted, %lu of those run, %lu trained; refused: format %lu, version %lu, crc %lu, layers %lu\n",
           cge_kernel_set_name(), (unsigned long)mutant, (unsigned long)count.accepted, (unsigned long)count.used, (unsigned long)count.trained,
           (unsigned long)count.refused[CGE_ERR_FORMAT], (unsigned long)count.refused[CGE_ERR_VERSION],
           (unsigned long)count.refused[CGE_ERR_CRC], (unsigned long)count.refused[CGE_ERR_ARENA]);
    return count.used == 0 || count.refused[CGE_ERR_CRC] == 0 || count.refused[CGE_ERR_FORMAT] == 0; /* then it tests nothing */
}
