/* The words of a saved network (docs/file_format.md) that tests and fuzzer change on purpose. */
#ifndef SAVED_H
#define SAVED_H

#include <stddef.h>
#include <stdint.h>

#include "cge.h"

enum {
    SAVED_MAGIC, SAVED_VERSION, SAVED_BYTES, SAVED_LAYERS, SAVED_IN_H, SAVED_IN_W, SAVED_IN_C, SAVED_LOSS, SAVED_OPTIMIZER,
    SAVED_LEARNING_RATE, SAVED_MOMENTUM, SAVED_WEIGHT_DECAY, SAVED_NESTEROV, SAVED_STEPS_LOW, SAVED_STEPS_HIGH, SAVED_PARAMS,
    SAVED_VELOCITY, SAVED_HEADER_WORDS
};
enum {
    SAVED_KIND, SAVED_UNITS, SAVED_KERNEL_H, SAVED_KERNEL_W, SAVED_STRIDE_H, SAVED_STRIDE_W, SAVED_DILATION_H, SAVED_DILATION_W,
    SAVED_PAD_TOP, SAVED_PAD_LEFT, SAVED_PAD_BOTTOM, SAVED_PAD_RIGHT, SAVED_GROUPS, SAVED_ALPHA, SAVED_FLAGS, SAVED_INIT,
    SAVED_LAYER_WORDS
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

#endif
