#include "config_fields.h"

#include <stddef.h>

#define CONFIG_FIELD(config, member) (uint8_t)(offsetof(config, member) / sizeof(uint32_t))
#define COUNT_OF_ROWS(table) ((int32_t)(sizeof(table) / sizeof((table)[0])))

static const cge_zero_meaning conv2d_zeros[] = {
    {CONFIG_FIELD(cge_conv2d, in_h), CGE_ZERO_MEANS_INPUT, 0},   {CONFIG_FIELD(cge_conv2d, in_w), CGE_ZERO_MEANS_INPUT, 1},
    {CONFIG_FIELD(cge_conv2d, in_c), CGE_ZERO_MEANS_INPUT, 2},   {CONFIG_FIELD(cge_conv2d, stride_h), CGE_ZERO_MEANS_WORD, 1},
    {CONFIG_FIELD(cge_conv2d, stride_w), CGE_ZERO_MEANS_WORD, 1}, {CONFIG_FIELD(cge_conv2d, dilation_h), CGE_ZERO_MEANS_WORD, 1},
    {CONFIG_FIELD(cge_conv2d, dilation_w), CGE_ZERO_MEANS_WORD, 1}, {CONFIG_FIELD(cge_conv2d, groups), CGE_ZERO_MEANS_WORD, 1}};

static const cge_zero_meaning pool2d_zeros[] = {
    {CONFIG_FIELD(cge_pool2d, in_h), CGE_ZERO_MEANS_INPUT, 0}, {CONFIG_FIELD(cge_pool2d, in_w), CGE_ZERO_MEANS_INPUT, 1},
    {CONFIG_FIELD(cge_pool2d, in_c), CGE_ZERO_MEANS_INPUT, 2},
    {CONFIG_FIELD(cge_pool2d, stride_h), CGE_ZERO_MEANS_FIELD, CONFIG_FIELD(cge_pool2d, kernel_h)},
    {CONFIG_FIELD(cge_pool2d, stride_w), CGE_ZERO_MEANS_FIELD, CONFIG_FIELD(cge_pool2d, kernel_w)}};

static const cge_zero_meaning image_zeros[] = {
    {CONFIG_FIELD(cge_pad2d, in_h), CGE_ZERO_MEANS_INPUT, 0}, {CONFIG_FIELD(cge_pad2d, in_w), CGE_ZERO_MEANS_INPUT, 1}, {CONFIG_FIELD(cge_pad2d, in_c), CGE_ZERO_MEANS_INPUT, 2}};

static const cge_zero_meaning leaky_relu_zeros[] = {{CONFIG_FIELD(cge_leaky_relu, alpha), CGE_ZERO_HAS_SIGNS, 0}};

static const cge_zero_meaning prelu_zeros[] = {{CONFIG_FIELD(cge_prelu, slopes), CGE_ZERO_MEANS_WORD, 1}};

static const cge_zero_meaning norm_zeros[] = {
    {CONFIG_FIELD(cge_norm, in_h), CGE_ZERO_MEANS_INPUT, 0},  {CONFIG_FIELD(cge_norm, in_w), CGE_ZERO_MEANS_INPUT, 1},
    {CONFIG_FIELD(cge_norm, in_c), CGE_ZERO_MEANS_INPUT, 2},  {CONFIG_FIELD(cge_norm, eps), CGE_ZERO_MEANS_EPS, 0},
    {CONFIG_FIELD(cge_norm, groups), CGE_ZERO_MEANS_WORD, 1}}; /* the last: of group_norm alone */

static const cge_zero_meaning batch_norm_zeros[] = {
    {CONFIG_FIELD(cge_batch_norm, eps), CGE_ZERO_MEANS_EPS, 0},
    {CONFIG_FIELD(cge_batch_norm, momentum), CGE_ZERO_MEANS_TENTH, 0}};

static const cge_zero_meaning dropout_zeros[] = {{CONFIG_FIELD(cge_dropout, p), CGE_ZERO_HAS_SIGNS, 0}};

/* Words of a record of versions 1 to 3: docs/file_format.md. */
static const uint8_t old_conv2d[] = {0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t old_pool2d[] = {0, 0, 0, 2, 3, 4, 5, 8, 9, 10, 11};
static const uint8_t old_dense[] = {1};
static const uint8_t old_leaky_relu[] = {13};

/* By the number of the kind in files. A kind that is not here has no field in old records, and its zeros mean zero. */
typedef struct config_fields {
    uint8_t kind_id, zero_count, old_count;
    const cge_zero_meaning *zeros;
    const uint8_t *old_words;
} config_fields;

static const config_fields all_fields[] = {
    {1, COUNT_OF_ROWS(conv2d_zeros), COUNT_OF_ROWS(old_conv2d), conv2d_zeros, old_conv2d},
    {2, 0, COUNT_OF_ROWS(old_dense), NULL, old_dense},
    {13, COUNT_OF_ROWS(conv2d_zeros), 0, conv2d_zeros, NULL}, /* cge_conv_transpose2d begins as cge_conv2d does */
    {3, COUNT_OF_ROWS(pool2d_zeros), COUNT_OF_ROWS(old_pool2d), pool2d_zeros, old_pool2d},
    {4, COUNT_OF_ROWS(pool2d_zeros), COUNT_OF_ROWS(old_pool2d), pool2d_zeros, old_pool2d},
    {7, COUNT_OF_ROWS(leaky_relu_zeros), COUNT_OF_ROWS(old_leaky_relu), leaky_relu_zeros, old_leaky_relu},
    {34, COUNT_OF_ROWS(leaky_relu_zeros), 0, leaky_relu_zeros, NULL},
    {40, COUNT_OF_ROWS(norm_zeros), 0, norm_zeros, NULL},
    {41, COUNT_OF_ROWS(norm_zeros) - 1, 0, norm_zeros, NULL},
    {42, COUNT_OF_ROWS(norm_zeros) - 1, 0, norm_zeros, NULL},
    {43, COUNT_OF_ROWS(dropout_zeros), 0, dropout_zeros, NULL},
    {44, COUNT_OF_ROWS(image_zeros), 0, image_zeros, NULL},
    {46, COUNT_OF_ROWS(image_zeros), 0, image_zeros, NULL},
    {47, COUNT_OF_ROWS(image_zeros), 0, image_zeros, NULL},
    {48, COUNT_OF_ROWS(image_zeros), 0, image_zeros, NULL},
    {60, COUNT_OF_ROWS(batch_norm_zeros), 0, batch_norm_zeros, NULL},
    {62, COUNT_OF_ROWS(prelu_zeros), 0, prelu_zeros, NULL}};
static const config_fields no_fields = {0, 0, 0, NULL, NULL};

static const config_fields *fields_of_kind(uint32_t id)
{
    int32_t i;
    for (i = 0; i < COUNT_OF_ROWS(all_fields); i++)
        if (all_fields[i].kind_id == id) return &all_fields[i];
    return &no_fields;
}

static uint32_t meaning_of_zero(const cge_zero_meaning *zero, cge_shape in, const uint32_t *words)
{
    const int32_t sizes[3] = {in.h, in.w, in.c};
    if (zero->means == CGE_ZERO_MEANS_INPUT) return (uint32_t)sizes[zero->value];
    if (zero->means == CGE_ZERO_MEANS_EPS) return 0x3727c5acu; /* of 1e-5f */
    if (zero->means == CGE_ZERO_MEANS_TENTH) return 0x3dcccccdu; /* of 0.1f */
    return zero->means == CGE_ZERO_MEANS_FIELD ? words[zero->value] : zero->value;
}

CGE_INTERNAL void cge_put_meanings(const cge_layer_kind *kind, cge_shape in, uint32_t *words)
{
    const config_fields *fields = fields_of_kind(kind->id);
    int32_t i;
    for (i = 0; i < fields->zero_count; i++) {
        const cge_zero_meaning *zero = &fields->zeros[i];
        uint32_t *word = &words[zero->field];
        if (*word == 0 || (zero->means >= CGE_ZERO_HAS_SIGNS && *word << 1 == 0)) *word = meaning_of_zero(zero, in, words);
    }
}

CGE_INTERNAL int32_t cge_old_field_words(uint32_t kind_id, const uint8_t **words)
{
    const config_fields *fields = fields_of_kind(kind_id);
    *words = fields->old_words;
    return fields->old_count;
}
