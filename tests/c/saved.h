/* The words of a saved network (docs/file_format.md) that tests and fuzzer change on purpose. */
#ifndef SAVED_H
#define SAVED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cge.h"

enum {
    SAVED_MAGIC, SAVED_VERSION, SAVED_BYTES, SAVED_LAYERS, SAVED_IN_H, SAVED_IN_W, SAVED_IN_C, SAVED_LOSS, SAVED_OPTIMIZER,
    SAVED_LEARNING_RATE, SAVED_MOMENTUM, SAVED_WEIGHT_DECAY, SAVED_NESTEROV, SAVED_STEPS_LOW, SAVED_STEPS_HIGH, SAVED_PARAMS,
    SAVED_VELOCITY, SAVED_HEADER_WORDS_V1, SAVED_RNG_LOW = SAVED_HEADER_WORDS_V1, SAVED_RNG_HIGH,
    SAVED_HEADER_WORDS_V2, SAVED_INPUT = SAVED_HEADER_WORDS_V2, SAVED_INPUT_SCALE, SAVED_INPUT_OFFSET, SAVED_HEADER_WORDS
};
enum { /* of a layer record, which SAVED_FIELDS fields follow: those of its config */
    SAVED_KIND, SAVED_FLAGS, SAVED_INIT, SAVED_FROM, SAVED_FROM2, SAVED_TRAINS, SAVED_FIELDS, SAVED_LAYER_WORDS, SAVED_FIELD = SAVED_LAYER_WORDS
};
enum { /* fields of configs */
    SAVED_UNITS = 0, SAVED_ALPHA = 0, SAVED_CONV2D_FIELDS = 15, SAVED_POOL2D_FIELDS = 11
};
enum { /* of a record of version 3; one of versions 1 and 2 ends before the last three words */
    OLD_KIND, OLD_FLAGS = 14, OLD_INIT, OLD_LAYER_WORDS_V2, OLD_FROM = OLD_LAYER_WORDS_V2, OLD_FROM2, OLD_TRAINS, OLD_LAYER_WORDS
};

static inline uint32_t saved_word(const unsigned char *file, size_t index)
{
    const unsigned char *p = file + 4 * index;
    return (uint32_t)p[0] + ((uint32_t)p[1] << 8) + ((uint32_t)p[2] << 16) + ((uint32_t)p[3] << 24);
}

static inline void set_saved_word(unsigned char *file, size_t index, uint32_t value)
{
    for (size_t i = 0; i < 4; i++) file[4 * index + i] = (unsigned char)(value >> (8 * i));
}

/* Makes the checksum right again. */
static inline void seal_saved(unsigned char *file, size_t bytes)
{
    if (bytes >= 4) {
        uint32_t crc = cge_crc32(0, file, bytes - 4);
        for (size_t i = 0; i < 4; i++) file[bytes - 4 + i] = (unsigned char)(crc >> (8 * i));
    }
}

/* Where the record of layer `index` begins, in words. */
static inline size_t saved_layer(const unsigned char *file, uint32_t index)
{
    size_t at = SAVED_HEADER_WORDS;
    while (index-- > 0) at += SAVED_LAYER_WORDS + saved_word(file, at + SAVED_FIELDS);
    return at;
}

/* Where parameters begin, in words; 0 if the records do not lie inside the file. */
static inline size_t saved_params(const unsigned char *file, size_t bytes)
{
    size_t at = SAVED_HEADER_WORDS;
    uint32_t layers = saved_word(file, SAVED_LAYERS);
    while (layers-- > 0) {
        if (bytes / 4 < at + SAVED_LAYER_WORDS) return 0;
        at += SAVED_LAYER_WORDS;
        if (bytes / 4 - at < saved_word(file, at - 1)) return 0;
        at += saved_word(file, at - 1);
    }
    return at;
}

/* The word of an old record that held field number `field` of a kind's config; 0: none did. */
static inline size_t old_word(uint32_t kind, uint32_t field)
{
    if (kind == 1) return field < 3 || field >= SAVED_CONV2D_FIELDS ? 0 : field - 2;
    if (kind == 2) return field == 0 ? 1 : 0;
    if (kind == 3 || kind == 4) return field < 3 || field >= SAVED_POOL2D_FIELDS ? 0 : field < 7 ? field - 1 : field + 1;
    return kind == 7 && field == 0 ? 13 : 0;
}

static inline void to_old_record(const unsigned char *record, unsigned char *out)
{
    const uint32_t kind = saved_word(record, SAVED_KIND), fields = saved_word(record, SAVED_FIELDS);
    static const unsigned char words[][2] = {{SAVED_KIND, OLD_KIND}, {SAVED_FLAGS, OLD_FLAGS}, {SAVED_INIT, OLD_INIT},
                                             {SAVED_FROM, OLD_FROM}, {SAVED_FROM2, OLD_FROM2}, {SAVED_TRAINS, OLD_TRAINS}};
    memset(out, 0, 4 * OLD_LAYER_WORDS);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) set_saved_word(out, words[i][1], saved_word(record, words[i][0]));
    for (uint32_t i = 0; i < fields; i++)
        if (old_word(kind, i) != 0) set_saved_word(out, old_word(kind, i), saved_word(record, SAVED_FIELD + i));
}

static inline size_t finish_old_version(unsigned char *file, size_t bytes, uint32_t version)
{
    set_saved_word(file, SAVED_VERSION, version);
    set_saved_word(file, SAVED_BYTES, (uint32_t)bytes);
    seal_saved(file, bytes);
    return bytes;
}

/* What a writer of version 3 would have made of this file of version 4: records with a place for each field of any kind. To
 * out[SAVED_OLD_BYTES]; returns its size, and that of a copy if the file is not sound. */
#define SAVED_OLD_BYTES(bytes) (3 * (bytes))
static inline size_t to_version_3(const unsigned char *file, size_t bytes, unsigned char *out)
{
    const size_t head = 4 * SAVED_HEADER_WORDS, params = saved_word(file, SAVED_VERSION) == 4 ? 4 * saved_params(file, bytes) : 0;
    const unsigned char *record = file + head;
    unsigned char *to = out + head;
    if (params == 0 || bytes < params) {
        memcpy(out, file, bytes);
        return bytes;
    }
    memcpy(out, file, head);
    for (; record < file + params; record += 4 * (SAVED_LAYER_WORDS + saved_word(record, SAVED_FIELDS)), to += 4 * OLD_LAYER_WORDS) to_old_record(record, to);
    memcpy(to, file + params, bytes - params);
    return finish_old_version(out, (size_t)(to - out) + bytes - params, 3);
}

/* Of version 2: besides, no kind of input, shorter layer records. */
static inline size_t to_version_2(const unsigned char *file, size_t file_bytes, unsigned char *out)
{
    const size_t record = 4 * OLD_LAYER_WORDS, shorter = 4 * OLD_LAYER_WORDS_V2;
    const unsigned char *from = out + 4 * SAVED_HEADER_WORDS;
    unsigned char *to = out + 4 * SAVED_HEADER_WORDS_V2;
    size_t bytes = to_version_3(file, file_bytes, out), layers = saved_word(out, SAVED_LAYERS);
    if (saved_word(out, SAVED_VERSION) != 3 || layers > bytes / record || 4 * SAVED_HEADER_WORDS + layers * record > bytes) return bytes;
    for (size_t i = 0; i < layers; i++, from += record, to += shorter) memmove(to, from, shorter);
    memmove(to, from, (size_t)(out + bytes - from));
    return finish_old_version(out, bytes - (size_t)(from - to), 2);
}

/* Of version 1: besides, no stream of shuffles. */
static inline size_t to_version_1(const unsigned char *file, size_t file_bytes, unsigned char *out)
{
    const size_t stream = 4 * SAVED_HEADER_WORDS_V1, rest = 4 * SAVED_HEADER_WORDS_V2, bytes = to_version_2(file, file_bytes, out);
    memmove(out + stream, out + rest, bytes - rest);
    return finish_old_version(out, bytes - (rest - stream), 1);
}

#endif
