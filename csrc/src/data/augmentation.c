/*
 * Augmentation of pictures. What moves pixels moves bytes, whatever they are of, and leaves the picture in y; what changes them
 * then works in place.
 */
#include "../base/config.h"
#include "../../include/cge_data.h"
#include "../base/counter.h"
#include "../base/fp_mode.h"
#include "../base/geometry.h"

enum { PICTURE_KEY = 2 };
enum { DRAW_TOP, DRAW_LEFT, DRAW_ROWS, DRAW_COLUMNS, DRAW_GAIN, DRAW_BIAS, DRAW_CUTOUT_ROW, DRAW_CUTOUT_COLUMN, FIRST_NOISE };

/* ---- checks ---- */

typedef struct picture {
    const cge_augmentation *a;
    int32_t out_h, out_w;
    size_t elem, pixel, in_row, out_row; /* bytes */
    unsigned char fill[sizeof(float)];   /* one element */
    uint64_t key;
} picture;

static int is_up_to(float x, float most)
{
    return cge_is_finite_nonnegative(x) && x <= most;
}

static cge_status check_sizes(const cge_augmentation *a, picture *p)
{
    p->out_h = a->out_h != 0 ? a->out_h : a->in_h;
    p->out_w = a->out_w != 0 ? a->out_w : a->in_w;
    if (a->in_h < 1 || a->in_w < 1 || a->in_c < 1 || p->out_h < 1 || p->out_w < 1) return CGE_ERR_SHAPE;
    if (cge_elems3(a->in_h, a->in_w, a->in_c) < 0 || cge_elems3(p->out_h, p->out_w, a->in_c) < 0) return CGE_ERR_OVERFLOW;
    if (a->shift_h < 0 || a->shift_w < 0 || a->shift_h >= p->out_h || a->shift_w >= p->out_w) return CGE_ERR_SHAPE;
    if (p->out_h - 2 * a->shift_h > a->in_h || p->out_w - 2 * a->shift_w > a->in_w) return CGE_ERR_SHAPE;
    return CGE_OK;
}

static cge_status check_picture_settings(const cge_augmentation *a, const picture *p, float most)
{
    const int has_cutout = a->cutout_h > 0;
    if (a->fill_edge != 0 && a->fill_edge != 1) return CGE_ERR_ARGUMENT;
    if (!is_up_to(a->flip_horizontal, 1.0f) || !is_up_to(a->flip_vertical, 1.0f)) return CGE_ERR_ARGUMENT;
    if (!is_up_to(a->contrast, 1.0f)) return CGE_ERR_ARGUMENT;
    if (!is_up_to(a->brightness, most) || !is_up_to(a->noise, most)) return CGE_ERR_ARGUMENT;
    if (a->cutout_h < 0 || a->cutout_w < 0 || a->cutout_h > p->out_h || a->cutout_w > p->out_w) return CGE_ERR_ARGUMENT;
    return has_cutout == (a->cutout_w > 0) ? CGE_OK : CGE_ERR_ARGUMENT;
}

static cge_status make_picture(const cge_augmentation *a, size_t elem, float most, const void *x, const void *y, picture *p)
{
    if (a == NULL || x == NULL || y == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_sizes(a, p));
    CGE_TRY(check_picture_settings(a, p, most));
    if (x == y && (p->out_h != a->in_h || p->out_w != a->in_w)) return CGE_ERR_ARGUMENT;
    p->a = a;
    p->elem = elem;
    p->pixel = elem * (size_t)a->in_c;
    p->in_row = p->pixel * (size_t)a->in_w;
    p->out_row = p->pixel * (size_t)p->out_w;
    return CGE_OK;
}

/* ---- crop ---- */

enum { WORD = sizeof(uint32_t) };

static inline void move_word(unsigned char *to, const unsigned char *from)
{
    uint32_t word;
    memcpy(&word, from, WORD);
    memcpy(to, &word, WORD);
}

/* memmove, which in C libraries for boards goes byte by byte: 1.5 instructions a byte on a Cortex-M4 in place of 6. */
static void move_bytes(unsigned char *to, const unsigned char *from, size_t count)
{
    size_t i = 0;
    if ((uintptr_t)to <= (uintptr_t)from) {
        for (; i + WORD <= count; i += WORD) move_word(to + i, from + i);
        for (; i < count; i++) to[i] = from[i];
    } else {
        for (; count >= WORD; count -= WORD) move_word(to + count - WORD, from + count - WORD);
        for (; count > 0; count--) to[count - 1] = from[count - 1];
    }
}

static void repeat(unsigned char *to, size_t count, const unsigned char *value, size_t bytes)
{
    if (bytes == 1) {
        memset(to, *value, count);
        return;
    }
    for (; count > 0; count--, to += bytes) memcpy(to, value, bytes);
}

/* Columns of a row `y` that are at `left` and so on of row `x`, which may be the same. The middle first: what is at its ends is
 * the nearest pixel of those beside it. */
static void crop_row(const picture *p, int32_t left, const unsigned char *x, unsigned char *y)
{
    const int32_t begin = left < 0 ? -left : 0, end = p->a->in_w - left < p->out_w ? p->a->in_w - left : p->out_w;
    unsigned char *const first = y + (size_t)begin * p->pixel, *const last = y + (size_t)end * p->pixel;
    const size_t before = (size_t)begin, behind = (size_t)(p->out_w - end), channels = (size_t)p->a->in_c;
    move_bytes(first, x + (size_t)(left + begin) * p->pixel, (size_t)(last - first));
    if (p->a->fill_edge) {
        repeat(y, before, first, p->pixel);
        repeat(last, behind, last - p->pixel, p->pixel);
    } else {
        repeat(y, before * channels, p->fill, p->elem);
        repeat(last, behind * channels, p->fill, p->elem);
    }
}

static void crop_to_row(const picture *p, int32_t h, int32_t top, int32_t left, const unsigned char *x, unsigned char *y)
{
    const int32_t last = p->a->in_h - 1, at = h + top, nearest = at < 0 ? 0 : at > last ? last : at;
    unsigned char *const row = y + (size_t)h * p->out_row;
    if (at == nearest || p->a->fill_edge) crop_row(p, left, x + (size_t)nearest * p->in_row, row);
    else repeat(row, (size_t)p->out_w * (size_t)p->a->in_c, p->fill, p->elem);
}

/* In place a row is read before it is written: from the first row on if what is read lies below, else from the last. */
static void crop_picture(const picture *p, const unsigned char *x, unsigned char *y)
{
    const cge_augmentation *a = p->a;
    const int32_t top = cge_integer_of(p->key, DRAW_TOP, a->in_h + 2 * a->shift_h - p->out_h + 1) - a->shift_h;
    const int32_t left = cge_integer_of(p->key, DRAW_LEFT, a->in_w + 2 * a->shift_w - p->out_w + 1) - a->shift_w;
    int32_t h;
    if (top == 0 && left == 0 && p->in_row == p->out_row) {
        if (x != y) move_bytes(y, x, p->out_row * (size_t)p->out_h);
    } else if (top >= 0)
        for (h = 0; h < p->out_h; h++) crop_to_row(p, h, top, left, x, y);
    else
        for (h = p->out_h - 1; h >= 0; h--) crop_to_row(p, h, top, left, x, y);
}

/* ---- flips ---- */

static void swap_bytes(unsigned char *a, unsigned char *b, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const unsigned char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void reverse_bytes(unsigned char *first, size_t count)
{
    unsigned char *last = first + count;
    while (first < last) {
        const unsigned char kept = *first;
        *first++ = *--last;
        *last = kept;
    }
}

/* Reverses the order of blocks of some bytes. */
static void reverse(unsigned char *first, size_t count, size_t bytes)
{
    unsigned char *last = first + count * bytes;
    if (bytes == 1) {
        reverse_bytes(first, count);
        return;
    }
    for (; count > 1; count -= 2, first += bytes) {
        last -= bytes;
        swap_bytes(first, last, bytes);
    }
}

static int happens(const picture *p, uint32_t draw, float probability)
{
    return (float)(cge_number_of(p->key, draw) >> 8) < probability * 16777216.0f;
}

static void flip_picture(const picture *p, unsigned char *y)
{
    int32_t h;
    if (happens(p, DRAW_ROWS, p->a->flip_vertical)) reverse(y, (size_t)p->out_h, p->out_row);
    if (!happens(p, DRAW_COLUMNS, p->a->flip_horizontal)) return;
    for (h = 0; h < p->out_h; h++) reverse(y + (size_t)h * p->out_row, (size_t)p->out_w, p->pixel);
}

/* ---- tone ---- */

typedef struct tone {
    float gain, bias, scale;
} tone;

static float signed_share(const picture *p, uint32_t draw)
{
    return (float)(cge_number_of(p->key, draw) >> 8) * 0x1p-23f - 1.0f;
}

static tone tone_of(const picture *p)
{
    tone t;
    t.gain = 1.0f + p->a->contrast * signed_share(p, DRAW_GAIN);
    t.bias = p->a->brightness * signed_share(p, DRAW_BIAS) + p->a->centre * (1.0f - t.gain);
    t.scale = p->a->noise * 0x1.3a261cp-3f;
    return t;
}

static int has_tone(const cge_augmentation *a)
{
    return a->contrast > 0 || a->brightness > 0 || a->noise > 0;
}

/* Of elements 8 i .. 8 i + 7: sums of two hexadecimal digits, a byte each; those of elements 0, 2, 4, 6 and of the others. */
typedef struct eight_sums {
    uint32_t even, odd;
} eight_sums;

static inline eight_sums digit_sums(uint64_t key, uint32_t i)
{
    const uint32_t digits = 0x0f0f0f0fu, inner = cge_mixed(FIRST_NOISE + i + (uint32_t)key);
    const uint32_t outer = cge_mixed(inner ^ (uint32_t)(key >> 32));
    eight_sums s;
    s.even = (inner & digits) + (outer & digits);
    s.odd = (inner >> 4 & digits) + (outer >> 4 & digits);
    return s;
}

static inline int32_t digit_sum(eight_sums s, int32_t i)
{
    return (int32_t)((i % 2 == 0 ? s.even : s.odd) >> 4 * (i & 6) & 0xffu);
}

enum { FIXED_ONE = 65536, FIXED_HALF = 32768, MIDDLE = 15 /* of a sum of two digits */ };

static inline int32_t at_least_zero(int32_t v)
{
    return v < 0 ? 0 : v;
}

static inline int32_t at_most_a_byte(int32_t v)
{
    return v > 255 ? 255 : v;
}

/* Nothing overflows: |gain x| <= 2 * 255, |bias| <= 2 * 255, |noise| <= 255 / 6.5 * 15, all in units of 1 / 65536, is below
 * 2^27. What a right shift makes of a negative number is the compiler's to say; all say that it rounds down, and after that it
 * is 0. Written like this it is one instruction on a Cortex-M4. */
static inline uint8_t toned_byte(int32_t v)
{
    return (uint8_t)at_most_a_byte(at_least_zero(v >> 16));
}

typedef struct byte_tone { /* in units of 1 / 65536 */
    int32_t gain, start, scale;
} byte_tone;

static inline uint8_t noisy_byte(byte_tone t, eight_sums s, int32_t i, uint8_t y)
{
    return toned_byte(y * t.gain + t.start + digit_sum(s, i) * t.scale);
}

static void add_bytes_noise(const picture *p, byte_tone t, int32_t n, uint8_t *y)
{
    int32_t i, j;
    for (i = 0; i + 8 <= n; i += 8, y += 8) {
        const eight_sums s = digit_sums(p->key, (uint32_t)i / 8);
        y[0] = noisy_byte(t, s, 0, y[0]);
        y[1] = noisy_byte(t, s, 1, y[1]);
        y[2] = noisy_byte(t, s, 2, y[2]);
        y[3] = noisy_byte(t, s, 3, y[3]);
        y[4] = noisy_byte(t, s, 4, y[4]);
        y[5] = noisy_byte(t, s, 5, y[5]);
        y[6] = noisy_byte(t, s, 6, y[6]);
        y[7] = noisy_byte(t, s, 7, y[7]);
    }
    for (j = 0; i + j < n; j++) y[j] = noisy_byte(t, digit_sums(p->key, (uint32_t)i / 8), j, y[j]);
}

static void tone_bytes(const picture *p, int32_t n, uint8_t *y)
{
    const tone real = tone_of(p);
    byte_tone t;
    int32_t i;
    t.gain = (int32_t)(real.gain * FIXED_ONE);
    t.scale = (int32_t)(real.scale * FIXED_ONE);
    t.start = (int32_t)(real.bias * FIXED_ONE) + FIXED_HALF - MIDDLE * t.scale;
    if (t.scale != 0) add_bytes_noise(p, t, n, y);
    else
        for (i = 0; i < n; i++) y[i] = toned_byte(y[i] * t.gain + t.start);
}

static void tone_floats(const picture *p, int32_t n, float *y)
{
    const tone t = tone_of(p);
    int32_t i, j;
    for (i = 0; i < n; i += 8) {
        const eight_sums s = digit_sums(p->key, (uint32_t)i / 8);
        for (j = 0; j < 8 && i + j < n; j++)
            y[i + j] = (y[i + j] * t.gain + t.bias) + (float)(digit_sum(s, j) - MIDDLE) * t.scale;
    }
}

/* ---- cutout ---- */

static cge_range part_cut_out(const picture *p, uint32_t draw, int32_t size, int32_t whole)
{
    const int32_t first = cge_integer_of(p->key, draw, whole) - size / 2;
    cge_range r;
    r.begin = first < 0 ? 0 : first;
    r.end = first + size < whole ? first + size : whole;
    return r;
}

static void cut_out(const picture *p, unsigned char *y)
{
    const cge_range rows = part_cut_out(p, DRAW_CUTOUT_ROW, p->a->cutout_h, p->out_h);
    const cge_range columns = part_cut_out(p, DRAW_CUTOUT_COLUMN, p->a->cutout_w, p->out_w);
    const size_t elems = (size_t)(columns.end - columns.begin) * (size_t)p->a->in_c;
    int32_t h;
    for (h = rows.begin; h < rows.end; h++)
        repeat(y + (size_t)h * p->out_row + (size_t)columns.begin * p->pixel, elems, p->fill, p->elem);
}

/* ---- the two types ---- */

static void move_pixels(const picture *p, const void *x, void *y)
{
    crop_picture(p, x, y);
    flip_picture(p, y);
}

cge_status cge_augment_f32(const cge_augmentation *a, uint64_t seed, uint64_t counter, const float *x, float *y)
{
    CGE_OWN_FP_MODE
    picture p;
    CGE_TRY(make_picture(a, sizeof *y, cge_real_of(CGE_INFINITY_BITS), x, y, &p));
    CGE_TRY(cge_check_buffer(x));
    CGE_TRY(cge_check_buffer(y));
    if (!cge_is_finite(a->fill) || !cge_is_finite(a->centre)) return CGE_ERR_ARGUMENT;
    memcpy(p.fill, &a->fill, sizeof a->fill);
    p.key = cge_counter_key(seed, counter, PICTURE_KEY);
    move_pixels(&p, x, y);
    if (has_tone(a)) tone_floats(&p, p.out_h * p.out_w * a->in_c, y);
    if (a->cutout_h > 0) cut_out(&p, (unsigned char *)y);
    return CGE_OK;
}

cge_status cge_augment_u8(const cge_augmentation *a, uint64_t seed, uint64_t counter, const uint8_t *x, uint8_t *y)
{
    CGE_OWN_FP_MODE
    picture p;
    CGE_TRY(make_picture(a, sizeof *y, 255.0f, x, y, &p));
    if (!is_up_to(a->fill, 255.0f) || !is_up_to(a->centre, 255.0f)) return CGE_ERR_ARGUMENT;
    p.fill[0] = (unsigned char)a->fill;
    p.key = cge_counter_key(seed, counter, PICTURE_KEY);
    move_pixels(&p, x, y);
    if (has_tone(a)) tone_bytes(&p, p.out_h * p.out_w * a->in_c, y);
    if (a->cutout_h > 0) cut_out(&p, y);
    return CGE_OK;
}
