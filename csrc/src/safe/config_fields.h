/*
 * What files and comparisons know of the configs of layer kinds. A config is a struct of 32-bit numbers; a field's number is
 * its place in the declaration, in memory and in files alike. Nothing else in the library needs this, so firmware that neither
 * loads nor restores does not hold it.
 */
#ifndef CGE_CONFIG_FIELDS_H
#define CGE_CONFIG_FIELDS_H

#include "../layers/layer.h"

enum { CGE_CONFIG_WORDS = (int)(sizeof(cge_layer_config) / sizeof(uint32_t)) };

/* What zero means in a field; where no row says so, zero means zero. */
enum {
    CGE_ZERO_MEANS_INPUT, /* a size of what comes in: value 0 its height, 1 width, 2 channels */
    CGE_ZERO_MEANS_FIELD, /* as field number `value`                                          */
    CGE_ZERO_MEANS_WORD,  /* the word `value`                                                 */
    CGE_ZERO_HAS_SIGNS,   /* a float without a default: -0 is 0                               */
    CGE_ZERO_MEANS_EPS,   /* zero of either sign: 1e-5f                                      */
    CGE_ZERO_MEANS_TENTH  /* the same: 0.1f                                                  */
};

typedef struct cge_zero_meaning {
    uint8_t field, means;
    uint16_t value;
} cge_zero_meaning;

/* Puts into words[CGE_CONFIG_WORDS], a config of that kind, what its zeros mean: then equal words are equal layers, and the
 * other way round. */
CGE_INTERNAL void cge_put_meanings(const cge_layer_kind *kind, cge_shape in, uint32_t *words);

/* Of layer records before version 4, which had one place for each field of any kind: in which word each field of the config
 * lies, 0: nowhere. Returns how many fields there are. */
CGE_INTERNAL int32_t cge_old_field_words(uint32_t kind_id, const uint8_t **words);

#endif
