/*
 * Saved networks: docs/file_format.md. Everything is a 32-bit little-endian word, and a layer's config is as many words as it
 * has fields. So reader and writer know nothing of kinds:
 *
 *     header | layer records | parameters | settings and velocity | settings of the loss, if it has some | CRC-32 of all before
 *
 * Versions 1 and 2 have shorter headers; records before version 4 have one place for each field of any kind. What old files
 * lack is zero.
 *
 * Reading trusts nothing: length, checksum and version first, then every count against the length, then the model as
 * if a user had written it.
 */
#include "config_fields.h"
#include "../net/trained_params.h"

#include <string.h>

#define FORMAT_MAGIC 0x4e454743u /* "CGEN" */
#define FORMAT_VERSION 4u

enum { /* words of the header */
    H_MAGIC, H_VERSION, H_BYTES, H_LAYERS, H_IN_H, H_IN_W, H_IN_C, H_LOSS, H_OPTIMIZER, H_LEARNING_RATE, H_MOMENTUM,
    H_WEIGHT_DECAY, H_NESTEROV, H_STEPS_LOW, H_STEPS_HIGH, H_PARAMS, H_VELOCITY, HEADER_WORDS_V1,
    H_RNG_LOW = HEADER_WORDS_V1, H_RNG_HIGH, HEADER_WORDS_V2,
    H_INPUT = HEADER_WORDS_V2, H_INPUT_SCALE, H_INPUT_OFFSET, HEADER_WORDS
};

enum { /* words of a layer record; L_FIELDS more follow, the config's */
    L_KIND, L_FLAGS, L_INIT, L_FROM, L_FROM2, L_TRAINS, L_FIELDS, LAYER_WORDS
};

enum { /* of one before version 4: words 1 .. OLD_FIELD_WORDS - 1 are fields of the config */
    OLD_FIELD_WORDS = 14, OLD_FLAGS = OLD_FIELD_WORDS, OLD_INIT, LAYER_WORDS_V2, OLD_FROM = LAYER_WORDS_V2, OLD_FROM2, OLD_TRAINS, LAYER_WORDS_V3
};

#define INPUT_FUSED 0x100u /* in H_INPUT, beside the input's id: what older libraries refuse */
#define HAS_FACTOR 0x10000u /* in L_FLAGS, beside the layer's flags, the same: the last of the fields is learning_rate_factor */

/* Settings of the loss: H_LOSS is its id, and 256 times how many words of them there are. A loss of several outputs has for
 * each its loss's id, how many numbers it is, its weight, and the settings of that loss. */
enum { LOSS_WORDS = sizeof(cge_loss_config) / sizeof(float) };
enum { LOSS_OF_OUTPUTS = 8 };
enum { O_LOSS, O_ELEMS, O_WEIGHT, O_SETTINGS, OUTPUT_WORDS = O_SETTINGS + LOSS_WORDS };

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

/* 0 the layer before, 1 the model's input, n + 2 layer n. */
static uint32_t from_word(int16_t from)
{
    return from == CGE_INPUT ? 1u : from == 0 ? 0u : (uint32_t)from + 1u;
}

static int16_t word_from(uint32_t word)
{
    if (word == 1) return CGE_INPUT;
    if (word > (uint32_t)INT16_MAX) return INT16_MIN; /* which no check of a model accepts */
    return (int16_t)(word == 0 ? 0 : word - 1);
}

/* ---- writing ---- */

static size_t config_words(const cge_layer_kind *kind)
{
    return kind->config_bytes / sizeof(uint32_t);
}

/* Files without factors are what they were before there were some. */
static size_t field_words(const cge_layer *l)
{
    return config_words(l->kind) + !cge_is_zero(l->learning_rate_factor);
}

static uint32_t saved_loss_words(const cge_model *m)
{
    static const cge_loss_config unset;
    if (m->output_count != 0) return OUTPUT_WORDS * (uint32_t)m->output_count;
    return m->loss != NULL && memcmp(&m->loss_config, &unset, sizeof unset) != 0 ? LOSS_WORDS : 0u;
}

/* Of settings that the header has no words for; they stand before the velocity. */
static size_t extra_settings(const cge_optimizer_kind *kind)
{
    return kind != NULL ? kind->saved_settings : 0;
}

static size_t optimizer_words(const cge_network *net)
{
    return extra_settings(net->optimizer.kind) + (size_t)net->velocity_elems;
}

static size_t saved_words(const cge_network *net)
{
    size_t words = HEADER_WORDS + (size_t)net->param_elems + optimizer_words(net) + saved_loss_words(net->model) + 1;
    int32_t l;
    for (l = 0; l < net->model->layer_count; l++) words += LAYER_WORDS + field_words(&net->model->layers[l]);
    return words;
}

cge_status cge_network_saved_bytes(const cge_network *net, size_t *bytes)
{
    CGE_TRY(cge_check_network(net));
    if (bytes == NULL) return CGE_ERR_NULL;
    if (saved_words(net) > UINT32_MAX / 4) return CGE_ERR_OVERFLOW;
    *bytes = 4 * saved_words(net);
    return CGE_OK;
}

/* H_INPUT and behind. */
static void write_input(const cge_model *m, unsigned char *p)
{
    const cge_input_kind *kind = m->input_kind;
    put_word(p, H_INPUT, (kind != NULL ? kind->id : 0u) | (m->fused != 0 ? INPUT_FUSED : 0u));
    put_word(p, H_INPUT_SCALE, kind != NULL ? float_word(m->input_scale) : 0u);
    put_word(p, H_INPUT_OFFSET, kind != NULL ? (uint32_t)m->input_offset : 0u);
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
    put_word(p, H_LOSS, m->loss != NULL ? m->loss->id | saved_loss_words(m) << 8 : 0u);
    put_word(p, H_OPTIMIZER, net->optimizer.kind != NULL ? net->optimizer.kind->id : 0u);
    put_word(p, H_LEARNING_RATE, float_word(net->optimizer.learning_rate));
    put_word(p, H_MOMENTUM, float_word(net->optimizer.momentum));
    put_word(p, H_WEIGHT_DECAY, float_word(net->optimizer.weight_decay));
    put_word(p, H_NESTEROV, (uint32_t)net->optimizer.nesterov);
    put_word(p, H_STEPS_LOW, (uint32_t)(net->step_count & 0xffffffffu));
    put_word(p, H_STEPS_HIGH, (uint32_t)(net->step_count >> 32));
    put_word(p, H_PARAMS, (uint32_t)net->param_elems);
    put_word(p, H_VELOCITY, (uint32_t)optimizer_words(net));
    put_word(p, H_RNG_LOW, (uint32_t)(net->rng.state & 0xffffffffu));
    put_word(p, H_RNG_HIGH, (uint32_t)(net->rng.state >> 32));
    write_input(m, p);
}

/* words[config_words]: the config of a layer, zeros where it has none. */
static void get_config(const cge_layer *l, uint32_t *words)
{
    memset(words, 0, l->kind->config_bytes);
    if (l->config != NULL) memcpy(words, l->config, l->kind->config_bytes);
}

static unsigned char *write_layer(const cge_layer *l, unsigned char *p)
{
    const size_t count = config_words(l->kind), fields = field_words(l);
    uint32_t words[CGE_CONFIG_WORDS];
    size_t i;
    put_word(p, L_KIND, l->kind->id);
    put_word(p, L_FLAGS, l->flags | (fields > count ? HAS_FACTOR : 0u));
    put_word(p, L_INIT, l->init);
    put_word(p, L_FROM, from_word(l->from[0]));
    put_word(p, L_FROM2, from_word(l->from[1]));
    put_word(p, L_TRAINS, (uint32_t)l->trains);
    put_word(p, L_FIELDS, (uint32_t)fields);
    get_config(l, words);
    for (i = 0; i < count; i++) put_word(p, LAYER_WORDS + i, words[i]);
    if (fields > count) put_word(p, LAYER_WORDS + count, float_word(l->learning_rate_factor));
    return p + 4 * (LAYER_WORDS + fields);
}

static unsigned char *write_floats(unsigned char *p, const float *x, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) put_word(p, (size_t)i, float_word(x[i]));
    return p + 4 * (size_t)n;
}

static unsigned char *write_loss_config(const cge_loss_config *c, unsigned char *p)
{
    float words[LOSS_WORDS];
    memcpy(words, c, sizeof words);
    return write_floats(p, words, LOSS_WORDS);
}

static unsigned char *write_loss(const cge_model *m, unsigned char *p)
{
    int32_t i;
    if (m->output_count == 0) return write_loss_config(&m->loss_config, p);
    for (i = 0; i < m->output_count; i++) {
        const cge_output *o = &m->outputs[i];
        put_word(p, O_LOSS, o->loss->id);
        put_word(p, O_ELEMS, (uint32_t)o->elems);
        put_word(p, O_WEIGHT, float_word(o->weight));
        p = write_loss_config(&o->loss_config, p + 4 * O_SETTINGS);
    }
    return p;
}

static unsigned char *write_params(const cge_network *net, int32_t l, unsigned char *p)
{
    cge_param_block blocks[CGE_PARAM_BLOCKS];
    int32_t i;
    cge_find_params(net, net->params, l, blocks);
    for (i = 0; i < CGE_PARAM_BLOCKS; i++) p = write_floats(p, blocks[i].at, blocks[i].elems);
    return p;
}

static void write_network(const cge_network *net, unsigned char *start, size_t bytes)
{
    unsigned char *p = start;
    int32_t l;
    write_header(net, p);
    p += 4 * HEADER_WORDS;
    for (l = 0; l < net->model->layer_count; l++) p = write_layer(&net->model->layers[l], p);
    for (l = 0; l < net->model->layer_count; l++) p = write_params(net, l, p);
    if (extra_settings(net->optimizer.kind) != 0) {
        p = write_floats(p, &net->optimizer.beta2, 1);
        p = write_floats(p, &net->optimizer.epsilon, 1);
    }
    if (extra_settings(net->optimizer.kind) == CGE_L1_SETTINGS) p = write_floats(p, &net->optimizer.l1, 1);
    p = write_floats(p, net->velocity, net->velocity_elems);
    if (saved_loss_words(net->model) != 0) p = write_loss(net->model, p);
    put_word(p, 0, cge_crc32(0, start, bytes - 4));
}

cge_status cge_network_save(const cge_network *net, void *buffer, size_t capacity, size_t *used)
{
    size_t bytes;
    CGE_TRY(cge_network_saved_bytes(net, &bytes));
    if (buffer == NULL || used == NULL) return CGE_ERR_NULL;
    if (capacity < bytes) return CGE_ERR_ARENA;
    CGE_TRY(cge_network_take(net));
    write_network(net, (unsigned char *)buffer, bytes);
    cge_network_release(net);
    *used = bytes;
    return CGE_OK;
}

/* ---- reading ---- */

static size_t header_words(const unsigned char *p)
{
    static const unsigned char words[FORMAT_VERSION + 1] = {0, HEADER_WORDS_V1, HEADER_WORDS_V2, HEADER_WORDS, HEADER_WORDS};
    return words[word_at(p, H_VERSION)];
}

/* Of a record without the fields that it counts itself. */
static size_t record_words(const unsigned char *p)
{
    static const unsigned char words[FORMAT_VERSION + 1] = {0, LAYER_WORDS_V2, LAYER_WORDS_V2, LAYER_WORDS_V3, LAYER_WORDS};
    return words[word_at(p, H_VERSION)];
}

static int has_counts(const unsigned char *p)
{
    return word_at(p, H_VERSION) > 3;
}

/* Words of header and records; all words of the file if they do not end before it does. */
static uint64_t words_before_floats(const unsigned char *p)
{
    const uint64_t words = word_at(p, H_BYTES) / 4;
    uint64_t at = header_words(p);
    uint32_t l;
    for (l = word_at(p, H_LAYERS); l > 0; l--) {
        at += record_words(p);
        if (at >= words) return words;
        if (has_counts(p)) at += word_at(p, (size_t)at - 1);
    }
    return at;
}

static uint32_t loss_id(const unsigned char *p)
{
    return word_at(p, H_LOSS) & 0xff;
}

static uint32_t loss_words(const unsigned char *p)
{
    return word_at(p, H_LOSS) >> 8;
}

static int has_outputs(const unsigned char *p)
{
    return loss_id(p) == LOSS_OF_OUTPUTS;
}

static uint32_t saved_outputs(const unsigned char *p)
{
    return loss_words(p) / OUTPUT_WORDS;
}

static int loss_words_are_possible(const unsigned char *p)
{
    if (has_outputs(p)) return loss_words(p) % OUTPUT_WORDS == 0;
    return loss_words(p) == 0 || loss_words(p) == LOSS_WORDS;
}

/* After this, header, layer records and both float blocks lie inside `bytes`, exactly. */
static cge_status check_file(const unsigned char *p, size_t bytes)
{
    uint64_t words;
    if (p == NULL) return CGE_ERR_NULL;
    if (bytes < 4 * (HEADER_WORDS_V1 + 1) || word_at(p, H_MAGIC) != FORMAT_MAGIC) return CGE_ERR_FORMAT;
    if (word_at(p, H_VERSION) < 1 || word_at(p, H_VERSION) > FORMAT_VERSION) return CGE_ERR_VERSION;
    if (word_at(p, H_BYTES) != bytes || bytes % 4 != 0) return CGE_ERR_FORMAT;
    if (word_at(p, bytes / 4 - 1) != cge_crc32(0, p, bytes - 4)) return CGE_ERR_CRC;
    if (!loss_words_are_possible(p)) return CGE_ERR_FORMAT;
    words = words_before_floats(p) + word_at(p, H_PARAMS) + word_at(p, H_VELOCITY) + loss_words(p) + 1;
    return words * 4 == bytes ? CGE_OK : CGE_ERR_FORMAT;
}

static int32_t signed_word(uint32_t word)
{
    return word > (uint32_t)INT32_MAX ? -(int32_t)(UINT32_MAX - word) - 1 : (int32_t)word;
}

/* A layer record of any version. */
typedef struct saved_layer {
    uint32_t kind, flags, init;
    int16_t from[2];
    int32_t trains;
    float learning_rate_factor;
    uint32_t fields[CGE_CONFIG_WORDS]; /* of the config; those that the file does not have are 0 */
    int sound;                         /* no other field of the file says anything */
} saved_layer;

static const unsigned char *first_record(const unsigned char *p)
{
    return p + 4 * header_words(p);
}

static void read_fields(const unsigned char *fields, uint32_t count, saved_layer *s)
{
    uint32_t i;
    if ((s->flags & HAS_FACTOR) != 0 && count > 0) {
        s->flags &= ~HAS_FACTOR;
        s->learning_rate_factor = word_float(word_at(fields, --count));
        s->sound = !cge_is_zero(s->learning_rate_factor);
    }
    for (i = 0; i < count; i++) {
        if (i < CGE_CONFIG_WORDS) s->fields[i] = word_at(fields, i);
        else if (word_at(fields, i) != 0) s->sound = 0;
    }
}

/* Each field of the kind, and then no other word may be left. */
static void read_old_fields(const unsigned char *record, saved_layer *s)
{
    const uint8_t *words;
    const int32_t count = cge_old_field_words(s->kind, &words);
    int32_t i, said = 0;
    for (i = 1; i < OLD_FIELD_WORDS; i++) said += word_at(record, (size_t)i) != 0;
    for (i = 0; i < count; i++) {
        if (words[i] == 0) continue;
        s->fields[i] = word_at(record, words[i]);
        said -= s->fields[i] != 0;
    }
    s->sound = said == 0;
}

/* Before version 3 a layer reads the one before, and all of it learns. */
static void read_old_record(const unsigned char *record, int has_sources, saved_layer *s)
{
    s->flags = word_at(record, OLD_FLAGS);
    s->init = word_at(record, OLD_INIT);
    s->from[0] = word_from(has_sources ? word_at(record, OLD_FROM) : 0);
    s->from[1] = word_from(has_sources ? word_at(record, OLD_FROM2) : 0);
    s->trains = has_sources ? signed_word(word_at(record, OLD_TRAINS)) : CGE_TRAINS_ALL;
    read_old_fields(record, s);
}

/* Of file p, the record at `record`. Returns the one behind it. */
static const unsigned char *read_saved_layer(const unsigned char *p, const unsigned char *record, saved_layer *s)
{
    const unsigned char *behind = record + 4 * record_words(p);
    memset(s, 0, sizeof *s);
    s->kind = word_at(record, L_KIND);
    s->sound = 1;
    if (!has_counts(p)) {
        read_old_record(record, word_at(p, H_VERSION) > 2, s);
        return behind;
    }
    s->flags = word_at(record, L_FLAGS);
    s->init = word_at(record, L_INIT);
    s->from[0] = word_from(word_at(record, L_FROM));
    s->from[1] = word_from(word_at(record, L_FROM2));
    s->trains = signed_word(word_at(record, L_TRAINS));
    read_fields(behind, word_at(record, L_FIELDS), s);
    return behind + 4 * (size_t)word_at(record, L_FIELDS);
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

/* Files before version 3 have no such words: cge_real. */
static uint32_t input_word(const unsigned char *p, size_t index)
{
    return word_at(p, H_VERSION) < 3 ? 0 : word_at(p, index);
}

static int is_fused(const unsigned char *p)
{
    return (input_word(p, H_INPUT) & INPUT_FUSED) != 0;
}

static cge_status read_input(const unsigned char *p, const cge_catalog *catalog, cge_model *m)
{
    const uint32_t id = input_word(p, H_INPUT) & ~INPUT_FUSED;
    int32_t i;
    m->input_kind = NULL;
    for (i = 0; i < catalog->input_count; i++)
        if (catalog->inputs[i]->id == id) m->input_kind = catalog->inputs[i];
    m->fused = is_fused(p);
    m->input_scale = word_float(input_word(p, H_INPUT_SCALE));
    m->input_offset = signed_word(input_word(p, H_INPUT_OFFSET));
    return (id == 0) == (m->input_kind == NULL) && cge_check_input(m) == CGE_OK ? CGE_OK : CGE_ERR_FORMAT;
}

/* The settings behind the parameters; and whether what follows can be velocity. */
static cge_status read_settings(const unsigned char *p, cge_optimizer *o)
{
    const size_t settings = extra_settings(o->kind);
    const unsigned char *at = p + 4 * ((size_t)words_before_floats(p) + (size_t)word_at(p, H_PARAMS));
    const uint64_t slots = settings != 0 ? CGE_MOST_SLOTS : 1;
    if (word_at(p, H_VELOCITY) < settings || word_at(p, H_VELOCITY) - settings > slots * word_at(p, H_PARAMS)) return CGE_ERR_FORMAT;
    if (settings == 0) return CGE_OK;
    o->beta2 = word_float(word_at(at, 0));
    o->epsilon = word_float(word_at(at, 1));
    if (settings == CGE_L1_SETTINGS) o->l1 = word_float(word_at(at, 2));
    return CGE_OK;
}

/* Where the words of the loss begin. */
static const unsigned char *saved_loss(const unsigned char *p)
{
    return p + word_at(p, H_BYTES) - 4 * (1 + (size_t)loss_words(p));
}

/* count is 0 or LOSS_WORDS. */
static void read_loss_config(const unsigned char *p, uint32_t count, cge_loss_config *c)
{
    float words[LOSS_WORDS] = {0};
    uint32_t i;
    for (i = 0; i < count; i++) words[i] = word_float(word_at(p, i));
    memcpy(c, words, sizeof words);
}

/* An output as its file has it. 0: of an unknown loss, or none. */
static int read_output(const unsigned char *p, uint32_t index, const cge_catalog *catalog, cge_output *o)
{
    const unsigned char *at = saved_loss(p) + 4 * OUTPUT_WORDS * (size_t)index;
    int found;
    o->loss = find_loss(catalog, word_at(at, O_LOSS), &found);
    o->elems = word_size(word_at(at, O_ELEMS));
    o->weight = word_float(word_at(at, O_WEIGHT));
    read_loss_config(at + 4 * O_SETTINGS, LOSS_WORDS, &o->loss_config);
    return o->loss != NULL;
}

/* Each is one that the loss accepts, and all together have no more elements than a network can have. */
static cge_status check_outputs(const unsigned char *p, const cge_catalog *catalog, cge_model *m)
{
    cge_output output;
    int64_t elems = 0;
    uint32_t i;
    m->outputs = &output;
    m->output_count = 1;
    for (i = 0; i < saved_outputs(p); i++) {
        if (!read_output(p, i, catalog, &output) || m->loss->check(m) != CGE_OK) return CGE_ERR_FORMAT;
        elems += output.elems;
    }
    m->outputs = catalog->outputs;
    m->output_count = (int32_t)saved_outputs(p);
    if (m->output_count < 1 || elems > CGE_MAX_ELEMS) return CGE_ERR_FORMAT;
    return catalog->outputs == NULL || m->output_count > catalog->max_outputs ? CGE_ERR_ARENA : CGE_OK;
}

static cge_status check_loss(const unsigned char *p, const cge_catalog *catalog, cge_model *m)
{
    if (has_outputs(p)) return check_outputs(p, catalog, m);
    return m->loss == NULL || m->loss->check(m) == CGE_OK ? CGE_OK : CGE_ERR_FORMAT;
}

static cge_status read_model_header(const unsigned char *p, const cge_catalog *catalog, cge_model *m)
{
    int found_loss, found_optimizer;
    m->input.h = word_size(word_at(p, H_IN_H));
    m->input.w = word_size(word_at(p, H_IN_W));
    m->input.c = word_size(word_at(p, H_IN_C));
    m->loss = find_loss(catalog, loss_id(p), &found_loss);
    m->outputs = NULL;
    m->output_count = 0;
    read_loss_config(saved_loss(p), has_outputs(p) ? 0 : loss_words(p), &m->loss_config);
    m->optimizer.kind = find_optimizer(catalog, word_at(p, H_OPTIMIZER), &found_optimizer);
    m->optimizer.learning_rate = word_float(word_at(p, H_LEARNING_RATE));
    m->optimizer.momentum = word_float(word_at(p, H_MOMENTUM));
    m->optimizer.weight_decay = word_float(word_at(p, H_WEIGHT_DECAY));
    m->optimizer.nesterov = word_size(word_at(p, H_NESTEROV));
    m->optimizer.beta2 = 0.0f;
    m->optimizer.epsilon = 0.0f;
    m->optimizer.l1 = 0.0f;
    m->optimizer.slot_elems = 0;
    m->optimizer.correction = 0.0f;
    m->optimizer.root = 0.0f;
    return found_loss && found_optimizer ? read_input(p, catalog, m) : CGE_ERR_FORMAT;
}

/* A layer of a kind that the catalogue has. Values that no layer can have are left to the check of the model. */
static cge_status to_layer(const saved_layer *s, const cge_catalog *catalog, cge_layer *layer, cge_layer_config *config)
{
    const cge_layer_kind *kind = find_layer_kind(catalog, s->kind);
    size_t i;
    if (kind == NULL || !s->sound || s->flags > UINT16_MAX || s->init > UINT8_MAX) return CGE_ERR_FORMAT;
    for (i = config_words(kind); i < CGE_CONFIG_WORDS; i++)
        if (s->fields[i] != 0) return CGE_ERR_FORMAT;
    memcpy(config, s->fields, sizeof *config);
    layer->kind = kind;
    layer->config = kind->config_bytes != 0 ? config : NULL;
    layer->from[0] = s->from[0];
    layer->from[1] = s->from[1];
    layer->trains = s->trains;
    layer->flags = (uint16_t)s->flags;
    layer->init = (cge_init)s->init;
    layer->learning_rate_factor = s->learning_rate_factor;
    return CGE_OK;
}

/* Of a chain: whether the layers fit each other, and have as many parameters as the file. A graph's shapes are known only with
 * memory for them, when its plan is made. */
typedef struct parsed_chain {
    cge_shape shape;
    int64_t params;
    int is_graph;
} parsed_chain;

static cge_status check_record(const cge_layer *layer, int32_t index, parsed_chain *chain)
{
    cge_layer_info info;
    if (cge_check_source(layer, index) != CGE_OK) return CGE_ERR_FORMAT;
    if (!cge_reads_before(layer, index)) chain->is_graph = 1;
    if (chain->is_graph) return CGE_OK;
    if (cge_infer_layer(layer, &chain->shape, &info) != CGE_OK) return CGE_ERR_FORMAT;
    chain->shape = info.out;
    chain->params += (int64_t)info.weight_elems + info.bias_elems;
    return CGE_OK;
}

/* The model's layers, to layers and configs; NULL: they are only checked. */
static cge_status read_layers(const unsigned char *p, const cge_model *m, const cge_catalog *catalog, cge_layer *layers, cge_layer_config *configs)
{
    const unsigned char *record = first_record(p);
    parsed_chain chain = {{0, 0, 0}, 0, 0};
    int32_t l;
    chain.shape = m->input;
    for (l = 0; l < m->layer_count; l++) {
        saved_layer saved;
        cge_layer layer;
        cge_layer_config config;
        record = read_saved_layer(p, record, &saved);
        CGE_TRY(to_layer(&saved, catalog, layers != NULL ? &layers[l] : &layer, layers != NULL ? &configs[l] : &config));
        if (layers == NULL) CGE_TRY(check_record(&layer, l, &chain));
    }
    return layers != NULL || chain.is_graph || chain.params == (int64_t)word_at(p, H_PARAMS) ? CGE_OK : CGE_ERR_FORMAT;
}

cge_status cge_model_parse(const void *buffer, size_t bytes, const cge_catalog *catalog, cge_layer *layers, cge_layer_config *configs, int32_t max_layers, cge_model *model)
{
    const unsigned char *p = (const unsigned char *)buffer;
    cge_model m;
    int32_t i;
    if (catalog == NULL || layers == NULL || configs == NULL || model == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_file(p, bytes));
    CGE_TRY(read_model_header(p, catalog, &m));
    m.layer_count = word_size(word_at(p, H_LAYERS));
    if (m.layer_count < 1 || cge_shape_elems(m.input) < 0) return CGE_ERR_FORMAT;
    if (m.layer_count > max_layers) return CGE_ERR_ARENA;
    CGE_TRY(read_settings(p, &m.optimizer));
    if (m.optimizer.kind != NULL && m.optimizer.kind->check(&m.optimizer) != CGE_OK) return CGE_ERR_FORMAT;
    CGE_TRY(check_loss(p, catalog, &m));
    CGE_TRY(read_layers(p, &m, catalog, NULL, NULL));
    /* All is well: only now write. */
    for (i = 0; i < m.output_count; i++) (void)!read_output(p, (uint32_t)i, catalog, &catalog->outputs[i]);
    (void)!read_layers(p, &m, catalog, layers, configs);
    m.layers = layers;
    *model = m;
    return CGE_OK;
}

/* The row that an input of row l names; -1: the model's input. */
static int32_t row_named(int16_t from, int32_t l)
{
    return from == 0 ? l - 1 : from == CGE_INPUT ? -1 : from - 1;
}

static int same_source(const saved_layer *s, const cge_layer *layer, int32_t l, int slot)
{
    if (slot >= cge_input_count(layer)) return s->from[slot] == 0;
    return row_named(s->from[slot], l) == row_named(layer->from[slot], l);
}

/* Same kind and same meaning, but for what training may change: init, and what learns. */
static int same_layer(saved_layer *s, const cge_layer *layer, int32_t l, cge_shape in)
{
    uint32_t own[CGE_CONFIG_WORDS];
    if (!s->sound || s->kind != layer->kind->id || ((s->flags ^ layer->flags) & ~(uint32_t)CGE_FROZEN) != 0) return 0;
    if (!same_source(s, layer, l, 0) || !same_source(s, layer, l, 1)) return 0;
    memset(own, 0, sizeof own);
    get_config(layer, own);
    cge_put_meanings(layer->kind, in, own);
    cge_put_meanings(layer->kind, in, s->fields);
    return memcmp(own, s->fields, sizeof own) == 0;
}

static int same_learning(const unsigned char *p, const cge_model *m)
{
    const unsigned char *record = first_record(p);
    saved_layer saved;
    int32_t l;
    for (l = 0; l < m->layer_count; l++) {
        record = read_saved_layer(p, record, &saved);
        if (((saved.flags ^ m->layers[l].flags) & CGE_FROZEN) != 0 || saved.trains != m->layers[l].trains) return 0;
    }
    return 1;
}

/* Zero of either sign is one scale. */
static uint32_t unsigned_zero(uint32_t word)
{
    return word << 1 == 0 ? 0 : word;
}

static int same_input(const unsigned char *p, const cge_model *m)
{
    unsigned char own[4 * HEADER_WORDS];
    size_t i;
    write_input(m, own);
    if (((word_at(own, H_INPUT) ^ input_word(p, H_INPUT)) & ~INPUT_FUSED) != 0) return 0;
    for (i = H_INPUT_SCALE; i <= H_INPUT_OFFSET; i++)
        if (unsigned_zero(word_at(own, i)) != unsigned_zero(input_word(p, i))) return 0;
    return 1;
}

static cge_status check_match(const unsigned char *p, const cge_network *net)
{
    const cge_model *m = net->model;
    const unsigned char *record = first_record(p);
    saved_layer saved;
    int32_t l;
    if (word_at(p, H_LAYERS) != (uint32_t)m->layer_count || word_at(p, H_PARAMS) != (uint32_t)net->param_elems ||
        word_at(p, H_IN_H) != (uint32_t)m->input.h || word_at(p, H_IN_W) != (uint32_t)m->input.w ||
        word_at(p, H_IN_C) != (uint32_t)m->input.c || !same_input(p, m))
        return CGE_ERR_MISMATCH;
    for (l = 0; l < m->layer_count; l++) {
        record = read_saved_layer(p, record, &saved);
        if (!same_layer(&saved, &m->layers[l], l, cge_layer_plans(net)[l].in)) return CGE_ERR_MISMATCH;
    }
    return CGE_OK;
}

static const unsigned char *read_floats(const unsigned char *p, float *x, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) x[i] = word_float(word_at(p, (size_t)i));
    return p + 4 * (size_t)n;
}

/* Files of version 1 hold none: seed 0. The increment is the same in every cge_rng. */
static void read_rng(const unsigned char *p, cge_rng *rng)
{
    (void)!cge_rng_seed(rng, 0);
    if (word_at(p, H_VERSION) > 1) rng->state = word_at(p, H_RNG_LOW) | (uint64_t)word_at(p, H_RNG_HIGH) << 32;
}

static int same_floats(const unsigned char *p, const cge_param_block *block)
{
    int32_t i;
    for (i = 0; i < block->elems; i++)
        if (word_at(p, (size_t)i) != float_word(block->at[i])) return 0;
    return 1;
}

/* Constant parameters outside cannot be written: the file must have the same. */
static cge_status check_outside(const unsigned char *p, const cge_network *net)
{
    const unsigned char *floats = p + 4 * (size_t)words_before_floats(p);
    cge_param_block blocks[CGE_PARAM_BLOCKS];
    int32_t l, i;
    for (l = 0; l < net->model->layer_count; l++) {
        cge_find_params(net, net->params, l, blocks);
        for (i = 0; i < CGE_PARAM_BLOCKS; floats += 4 * (size_t)blocks[i++].elems)
            if (blocks[i].outside && !same_floats(floats, &blocks[i])) return CGE_ERR_MISMATCH;
    }
    return CGE_OK;
}

static const unsigned char *read_params(const cge_network *net, int32_t l, const unsigned char *floats)
{
    cge_param_block blocks[CGE_PARAM_BLOCKS];
    int32_t i;
    cge_find_params(net, net->params, l, blocks);
    for (i = 0; i < CGE_PARAM_BLOCKS; i++) {
        if (!blocks[i].outside) (void)read_floats(floats, cge_writable(blocks[i].at), blocks[i].elems);
        floats += 4 * (size_t)blocks[i].elems;
    }
    return floats;
}

/* From a file that matches. */
static void read_network(cge_network *net, const unsigned char *p)
{
    const unsigned char *floats = p + 4 * (size_t)words_before_floats(p);
    int32_t l;
    for (l = 0; l < net->model->layer_count; l++) floats = read_params(net, l, floats);
    net->step_count = word_at(p, H_STEPS_LOW) | (uint64_t)word_at(p, H_STEPS_HIGH) << 32;
    read_rng(p, &net->rng);
    if (net->grads != NULL) memset(net->grads, 0, (size_t)net->grad_elems * sizeof *net->grads);
    net->pending = 0;
    if (net->velocity == NULL) return;
    if (word_at(p, H_OPTIMIZER) == net->optimizer.kind->id && word_at(p, H_VELOCITY) == (uint32_t)optimizer_words(net) && same_learning(p, net->model))
        (void)read_floats(floats + 4 * extra_settings(net->optimizer.kind), net->velocity, net->velocity_elems);
    else
        memset(net->velocity, 0, (size_t)net->velocity_elems * sizeof *net->velocity);
}

cge_status cge_network_restore(cge_network *net, const void *buffer, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)buffer;
    CGE_TRY(cge_check_network(net));
    if (net->options.params != NULL && !net->options.training) return CGE_ERR_MODE;
    CGE_TRY(check_file(p, bytes));
    if (is_fused(p) > CGE_FUSED) return CGE_ERR_ARITHMETIC;
    CGE_TRY(check_match(p, net));
    CGE_TRY(check_outside(p, net));
    CGE_TRY(cge_network_take(net));
    read_network(net, p);
    cge_network_release(net);
    return CGE_OK;
}
