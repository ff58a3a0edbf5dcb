/*
 * Saved networks: docs/file_format.md. Everything is a 32-bit little-endian word, so reader and writer are one table
 * of words each:
 *
 *     header (HEADER_WORDS) | layer records (LAYER_WORDS each) | parameters | velocity | CRC-32 of all before
 *
 * Reading trusts nothing: length, checksum and version first, then every count against the length, then the model as
 * if a user had written it.
 */
#include "network.h"

#include <string.h>

#define FORMAT_MAGIC 0x4e454743u /* "CGEN" */
#define FORMAT_VERSION 1u

enum { /* words of the header */
    H_MAGIC, H_VERSION, H_BYTES, H_LAYERS, H_IN_H, H_IN_W, H_IN_C, H_LOSS, H_OPTIMIZER, H_LEARNING_RATE, H_MOMENTUM,
    H_WEIGHT_DECAY, H_NESTEROV, H_STEPS_LOW, H_STEPS_HIGH, H_PARAMS, H_VELOCITY, HEADER_WORDS
};

enum { /* words of a layer record */
    L_KIND, L_UNITS, L_KERNEL_H, L_KERNEL_W, L_STRIDE_H, L_STRIDE_W, L_DILATION_H, L_DILATION_W, L_PAD_TOP, L_PAD_LEFT,
    L_PAD_BOTTOM, L_PAD_RIGHT, L_GROUPS, L_ALPHA, L_FLAGS, L_INIT, LAYER_WORDS
};

/* ---- words ---- */

static uint32_t word_at(const unsigned char *p, size_t index)
{
    p += 4 * index;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_word(unsigned char *p, size_t index, uint32_t word)
{
    p += 4 * index;
    p[0] = (unsigned char)(word & 0xffu);
    p[1] = (unsigned char)(word >> 8 & 0xffu);
    p[2] = (unsigned char)(word >> 16 & 0xffu);
    p[3] = (unsigned char)(word >> 24);
}

static uint32_t float_word(float x)
{
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return word;
}

static float word_float(uint32_t word)
{
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
}

/* Sizes in files must be int32_t >= 0; anything else becomes -1, which no check of a model accepts. */
static int32_t word_size(uint32_t word)
{
    return word > (uint32_t)INT32_MAX ? -1 : (int32_t)word;
}

/* ---- writing ---- */

static size_t saved_words(const cge_network *net)
{
    return HEADER_WORDS + (size_t)net->model->layer_count * LAYER_WORDS + (size_t)net->param_elems +
           (net->velocity != NULL ? (size_t)net->grad_elems : 0) + 1;
}

cge_status cge_network_saved_bytes(const cge_network *net, size_t *bytes)
{
    CGE_TRY(cge_check_network(net));
    if (bytes == NULL) return CGE_ERR_NULL;
    if (saved_words(net) > UINT32_MAX / 4) return CGE_ERR_OVERFLOW;
    *bytes = 4 * saved_words(net);
    return CGE_OK;
}

static void write_header(const cge_network *net, unsigned char *p)
{
    const cge_model *m = net->model;
    put_word(p, H_MAGIC, FORMAT_MAGIC);
    put_word(p, H_VERSION, FORMAT_VERSION);
    put_word(p, H_BYTES, (uint32_t)(4 * saved_words(net)));
    put_word(p, H_LAYERS, (uint32_t)m->layer_count);
    put_word(p, H_IN_H, (uint32_t)m->input.h);
    put_word(p, H_IN_W, (uint32_t)m->input.w);
    put_word(p, H_IN_C, (uint32_t)m->input.c);
    put_word(p, H_LOSS, m->loss != NULL ? m->loss->id : 0u);
    put_word(p, H_OPTIMIZER, net->optimizer.kind != NULL ? net->optimizer.kind->id : 0u);
    put_word(p, H_LEARNING_RATE, float_word(net->optimizer.learning_rate));
    put_word(p, H_MOMENTUM, float_word(net->optimizer.momentum));
    put_word(p, H_WEIGHT_DECAY, float_word(net->optimizer.weight_decay));
    put_word(p, H_NESTEROV, (uint32_t)net->optimizer.nesterov);
    put_word(p, H_STEPS_LOW, (uint32_t)(net->step_count & 0xffffffffu));
    put_word(p, H_STEPS_HIGH, (uint32_t)(net->step_count >> 32));
    put_word(p, H_PARAMS, (uint32_t)net->param_elems);
    put_word(p, H_VELOCITY, net->velocity != NULL ? (uint32_t)net->grad_elems : 0u);
}

static void write_layer(const cge_layer *l, unsigned char *p)
{
    put_word(p, L_KIND, l->kind->id);
    put_word(p, L_UNITS, (uint32_t)l->units);
    put_word(p, L_KERNEL_H, (uint32_t)l->kernel_h);
    put_word(p, L_KERNEL_W, (uint32_t)l->kernel_w);
    put_word(p, L_STRIDE_H, (uint32_t)l->stride_h);
    put_word(p, L_STRIDE_W, (uint32_t)l->stride_w);
    put_word(p, L_DILATION_H, (uint32_t)l->dilation_h);
    put_word(p, L_DILATION_W, (uint32_t)l->dilation_w);
    put_word(p, L_PAD_TOP, (uint32_t)l->pad_top);
    put_word(p, L_PAD_LEFT, (uint32_t)l->pad_left);
    put_word(p, L_PAD_BOTTOM, (uint32_t)l->pad_bottom);
    put_word(p, L_PAD_RIGHT, (uint32_t)l->pad_right);
    put_word(p, L_GROUPS, (uint32_t)l->groups);
    put_word(p, L_ALPHA, float_word(l->alpha));
    put_word(p, L_FLAGS, l->flags);
    put_word(p, L_INIT, (uint32_t)l->init);
}

static unsigned char *write_floats(unsigned char *p, const float *x, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) put_word(p, (size_t)i, float_word(x[i]));
    return p + 4 * (size_t)n;
}

cge_status cge_network_save(const cge_network *net, void *buffer, size_t capacity, size_t *used)
{
    unsigned char *start = (unsigned char *)buffer, *p = start;
    size_t bytes;
    int32_t l;
    CGE_TRY(cge_network_saved_bytes(net, &bytes));
    if (buffer == NULL || used == NULL) return CGE_ERR_NULL;
    if (capacity < bytes) return CGE_ERR_ARENA;
    write_header(net, p);
    p += 4 * HEADER_WORDS;
    for (l = 0; l < net->model->layer_count; l++, p += 4 * LAYER_WORDS) write_layer(&net->model->layers[l], p);
    p = write_floats(p, net->params, net->param_elems);
    if (net->velocity != NULL) p = write_floats(p, net->velocity, net->grad_elems);
    put_word(p, 0, cge_crc32(0, start, bytes - 4));
    *used = bytes;
    return CGE_OK;
}

/* ---- reading ---- */

/* After this, header, layer records and both float blocks lie inside `bytes`, exactly. */
static cge_status check_file(const unsigned char *p, size_t bytes)
{
    uint64_t words;
    if (p == NULL) return CGE_ERR_NULL;
    if (bytes < 4 * (HEADER_WORDS + 1) || word_at(p, H_MAGIC) != FORMAT_MAGIC) return CGE_ERR_FORMAT;
    if (word_at(p, H_VERSION) != FORMAT_VERSION) return CGE_ERR_VERSION;
    if (word_at(p, H_BYTES) != bytes || bytes % 4 != 0) return CGE_ERR_FORMAT;
    if (word_at(p, bytes / 4 - 1) != cge_crc32(0, p, bytes - 4)) return CGE_ERR_CRC;
    words = HEADER_WORDS + (uint64_t)word_at(p, H_LAYERS) * LAYER_WORDS + word_at(p, H_PARAMS) + word_at(p, H_VELOCITY) + 1;
    return words * 4 == bytes ? CGE_OK : CGE_ERR_FORMAT;
}

static const unsigned char *layer_record(const unsigned char *p, int32_t index)
{
    return p + 4 * (HEADER_WORDS + (size_t)index * LAYER_WORDS);
}

/* All but the kind. Values that no layer can have are left to the check of the model. */
static cge_layer read_layer(const unsigned char *p, const cge_layer_kind *kind)
{
    cge_layer l;
    l.kind = kind;
    l.units = word_size(word_at(p, L_UNITS));
    l.kernel_h = word_size(word_at(p, L_KERNEL_H));
    l.kernel_w = word_size(word_at(p, L_KERNEL_W));
    l.stride_h = word_size(word_at(p, L_STRIDE_H));
    l.stride_w = word_size(word_at(p, L_STRIDE_W));
    l.dilation_h = word_size(word_at(p, L_DILATION_H));
    l.dilation_w = word_size(word_at(p, L_DILATION_W));
    l.pad_top = word_size(word_at(p, L_PAD_TOP));
    l.pad_left = word_size(word_at(p, L_PAD_LEFT));
    l.pad_bottom = word_size(word_at(p, L_PAD_BOTTOM));
    l.pad_right = word_size(word_at(p, L_PAD_RIGHT));
    l.groups = word_size(word_at(p, L_GROUPS));
    l.alpha = word_float(word_at(p, L_ALPHA));
    l.flags = word_at(p, L_FLAGS);
    l.init = word_size(word_at(p, L_INIT));
    return l;
}

static const cge_layer_kind *find_layer_kind(const cge_catalog *catalog, uint32_t id)
{
    int32_t i;
    for (i = 0; i < catalog->layer_count; i++)
        if (catalog->layers[i]->id == id) return catalog->layers[i];
    return NULL;
}

/* id 0 means none, and is fine; *found tells an unknown one. */
static const cge_loss_kind *find_loss(const cge_catalog *catalog, uint32_t id, int *found)
{
    int32_t i;
    *found = id == 0;
    for (i = 0; i < catalog->loss_count; i++)
        if (catalog->losses[i]->id == id) {
            *found = 1;
            return catalog->losses[i];
        }
    return NULL;
}

static const cge_optimizer_kind *find_optimizer(const cge_catalog *catalog, uint32_t id, int *found)
{
    int32_t i;
    *found = id == 0;
    for (i = 0; i < catalog->optimizer_count; i++)
        if (catalog->optimizers[i]->id == id) {
            *found = 1;
            return catalog->optimizers[i];
        }
    return NULL;
}

static cge_status read_model_header(const unsigned char *p, const cge_catalog *catalog, cge_model *m)
{
    int found_loss, found_optimizer;
    m->input.h = word_size(word_at(p, H_IN_H));
    m->input.w = word_size(word_at(p, H_IN_W));
    m->input.c = word_size(word_at(p, H_IN_C));
    m->loss = find_loss(catalog, word_at(p, H_LOSS), &found_loss);
    m->optimizer.kind = find_optimizer(catalog, word_at(p, H_OPTIMIZER), &found_optimizer);
    m->optimizer.learning_rate = word_float(word_at(p, H_LEARNING_RATE));
    m->optimizer.momentum = word_float(word_at(p, H_MOMENTUM));
    m->optimizer.weight_decay = word_float(word_at(p, H_WEIGHT_DECAY));
    m->optimizer.nesterov = word_size(word_at(p, H_NESTEROV));
    return found_loss && found_optimizer ? CGE_OK : CGE_ERR_FORMAT;
}

/* The elements of the file's layer `index`, given its input shape; and the next one's input shape. */
static cge_status read_layer_checked(const unsigned char *p, int32_t index, const cge_catalog *catalog, cge_shape *shape, int64_t *params, cge_layer *layer)
{
    const unsigned char *record = layer_record(p, index);
    const cge_layer_kind *kind = find_layer_kind(catalog, word_at(record, L_KIND));
    cge_layer_info info;
    if (kind == NULL) return CGE_ERR_FORMAT;
    *layer = read_layer(record, kind);
    if (cge_infer_layer(layer, *shape, &info) != CGE_OK) return CGE_ERR_FORMAT;
    *shape = info.out;
    *params += (int64_t)info.weight_elems + info.bias_elems;
    return CGE_OK;
}

cge_status cge_model_parse(const void *buffer, size_t bytes, const cge_catalog *catalog, cge_layer *layers, int32_t max_layers, cge_model *model)
{
    const unsigned char *p = (const unsigned char *)buffer;
    cge_model m;
    cge_layer layer;
    cge_shape shape;
    int64_t params = 0;
    int32_t l;
    if (catalog == NULL || layers == NULL || model == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_file(p, bytes));
    CGE_TRY(read_model_header(p, catalog, &m));
    m.layer_count = word_size(word_at(p, H_LAYERS));
    if (m.layer_count < 1 || cge_shape_elems(m.input) < 0) return CGE_ERR_FORMAT;
    if (m.layer_count > max_layers) return CGE_ERR_ARENA;
    if (m.optimizer.kind != NULL && m.optimizer.kind->check(&m.optimizer) != CGE_OK) return CGE_ERR_FORMAT;
    shape = m.input;
    for (l = 0; l < m.layer_count; l++) CGE_TRY(read_layer_checked(p, l, catalog, &shape, &params, &layer));
    if (params != (int64_t)word_at(p, H_PARAMS) || word_at(p, H_VELOCITY) > word_at(p, H_PARAMS)) return CGE_ERR_FORMAT;
    /* All is well: only now write. */
    for (l = 0; l < m.layer_count; l++) {
        const unsigned char *record = layer_record(p, l);
        layers[l] = read_layer(record, find_layer_kind(catalog, word_at(record, L_KIND)));
    }
    m.layers = layers;
    *model = m;
    return CGE_OK;
}

/* Same kind and same words, but for what training may change: init, and whether the layer is frozen. */
static int same_layer(const unsigned char *record, const cge_layer *layer)
{
    unsigned char own[4 * LAYER_WORDS];
    write_layer(layer, own);
    put_word(own, L_INIT, word_at(record, L_INIT));
    put_word(own, L_FLAGS, (layer->flags & ~(uint32_t)CGE_FROZEN) | (word_at(record, L_FLAGS) & (uint32_t)CGE_FROZEN));
    return memcmp(own, record, sizeof own) == 0;
}

static int same_frozen_layers(const unsigned char *p, const cge_model *m)
{
    int32_t l;
    for (l = 0; l < m->layer_count; l++)
        if (((word_at(layer_record(p, l), L_FLAGS) ^ m->layers[l].flags) & (uint32_t)CGE_FROZEN) != 0) return 0;
    return 1;
}

static cge_status check_match(const unsigned char *p, const cge_network *net)
{
    const cge_model *m = net->model;
    int32_t l;
    if (word_at(p, H_LAYERS) != (uint32_t)m->layer_count || word_at(p, H_PARAMS) != (uint32_t)net->param_elems ||
        word_at(p, H_IN_H) != (uint32_t)m->input.h || word_at(p, H_IN_W) != (uint32_t)m->input.w ||
        word_at(p, H_IN_C) != (uint32_t)m->input.c)
        return CGE_ERR_MISMATCH;
    for (l = 0; l < m->layer_count; l++)
        if (!same_layer(layer_record(p, l), &m->layers[l])) return CGE_ERR_MISMATCH;
    return CGE_OK;
}

static const unsigned char *read_floats(const unsigned char *p, float *x, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) x[i] = word_float(word_at(p, (size_t)i));
    return p + 4 * (size_t)n;
}

cge_status cge_network_restore(cge_network *net, const void *buffer, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)buffer, *floats;
    CGE_TRY(cge_check_network(net));
    if (net->options.params != NULL) return CGE_ERR_MODE;
    CGE_TRY(check_file(p, bytes));
    CGE_TRY(check_match(p, net));
    floats = read_floats(layer_record(p, net->model->layer_count), net->params, net->param_elems);
    net->step_count = word_at(p, H_STEPS_LOW) | (uint64_t)word_at(p, H_STEPS_HIGH) << 32;
    memset(net->grads, 0, (size_t)net->grad_elems * sizeof *net->grads);
    net->pending = 0;
    if (net->velocity == NULL) return CGE_OK;
    if (word_at(p, H_VELOCITY) == (uint32_t)net->grad_elems && same_frozen_layers(p, net->model))
        (void)read_floats(floats, net->velocity, net->grad_elems);
    else
        memset(net->velocity, 0, (size_t)net->grad_elems * sizeof *net->velocity);
    return CGE_OK;
}
