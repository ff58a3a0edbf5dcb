/*
 * Data for training, where it is made: the order in which samples are visited, pictures that are never the same twice, a memory
 * of what was seen, and when to stop. docs/data.md has a program.
 *
 * Nothing here knows of networks or keeps anything between calls. Settings are constant structs; states are structs without
 * addresses, all zero at the start, which may be stored and copied back as they are. All memory is the caller's.
 *
 * Random numbers come from a counter: what is drawn depends on no call before. With s(v) SplitMix64's finaliser (Steele et al.
 * 2014) and g = 0x9e3779b97f4a7c15, modulo 2^64, and m(v) MurmurHash3's finaliser, 32 bits:
 *
 *   key(seed, counter, use) = s((s((s(seed + g) ^ counter) + g) ^ use) + g) = high, low
 *   number i of a key       = m(m(i + low) ^ high), as dropout has it
 *   integer i, 0 .. n - 1   = number i * n / 2^32, rounded down
 *
 * Each use has a number of its own, so one seed may serve all. The bits are the same on every target, and in fused builds.
 */
#ifndef CGE_DATA_H
#define CGE_DATA_H

#include "cge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- order: a shuffle that is not stored ------------------------------------------------------------------------------
 *
 * order[0 .. n - 1] = places first .. first + n - 1 of a permutation of 0 .. count - 1. A board that visits its samples in
 * random order has an epoch and a place to remember. (Python's fit(shuffle="feistel") has the seed in the upper half of
 * cge_network.rng.state and the epoch in the lower half.)
 *
 * A Feistel network (Luby & Rackoff 1988) that walks along cycles (Black & Rogaway 2002). With b the bits of count - 1, but at
 * least 6, a value v is a left half of b / 2 bits, rounded down, and a right half of the others. In rounds r = 0 .. 7, with as
 * many low bits of a number of key(seed, epoch, 1) as the half has that changes:
 *   r even   left  = left  ^ number (65536 r + right)
 *   r odd    right = right ^ number (65536 r + left)
 * v begins as the place, and goes through all rounds until it is below count: fewer than twice on average from count 33 on, and
 * 64 / count times below.
 *
 * count >= 1, first >= 0, 1 <= n <= count - first, else CGE_ERR_ARGUMENT. */
CGE_MUST_USE cge_status cge_permute(int32_t count, uint64_t seed, uint32_t epoch, int32_t first, int32_t n, int32_t *order);

/* ---- augmentation of pictures: x [in_h][in_w][in_c]   y [out_h][out_w][in_c], bytes or binary32 --------------------------
 *
 * In this order, where what is zero is left out. counter is of the sample: a new one each time it is used. u[k] is number k of
 * key(seed, counter, 2), and t[k] = (u[k] / 2^8, rounded down) / 2^23 - 1, from -1 to 1.
 *
 *   crop     y[h][w] = x[h + top][w + left]; outside of x `fill`, or if fill_edge is 1 the nearest pixel of x
 *            top  = integer 0 of in_h + 2 shift_h - out_h + 1, minus shift_h
 *            left = integer 1 of in_w + 2 shift_w - out_w + 1, minus shift_w
 *            That is a random crop of a picture with shift_h rows of padding above and below; with out_h = in_h a random shift
 *   flip     rows in reverse order if u[2] / 2^8, rounded down, is less than flip_vertical * 2^24; columns likewise by u[3] and
 *            flip_horizontal
 *   tone     gain = 1 + contrast * t[4],  bias = brightness * t[5] + centre * (1 - gain),  scale = noise * 0x1.3a261cp-3
 *            n[i] of element i of y is the sum of two hexadecimal digits minus 15: a triangular law. With j = 8 + i / 8,
 *            rounded down, they are digit i mod 8, from the lowest, of m(j + low) and of number j. scale is such that
 *            n[i] * scale has the standard deviation `noise`
 *            binary32   y[i] = (y[i] * gain + bias) + n[i] * scale, each operation rounded
 *            bytes      y[i] = (y[i] * G + B + n[i] * S + 32768) / 65536, rounded down, and then 0 .. 255; G, B and S are gain,
 *                       bias and scale times 65536 without what is behind the point
 *            left out if contrast, brightness and noise are zero
 *   cutout   DeVries & Taylor 2017: `fill` in cutout_h x cutout_w pixels, as far as they are in the picture, of which the first
 *            is at row integer 6 of out_h, minus cutout_h / 2 rounded down, and column integer 7 of out_w likewise
 *
 * y may be x if both have one shape. */
typedef struct cge_augmentation { /* zero means default: out_h, out_w as in_h, in_w; else none of it */
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;     /* at most in_h + 2 * shift_h, in_w + 2 * shift_w */
    int32_t shift_h, shift_w; /* less than out_h, out_w */
    int32_t fill_edge;        /* 0 or 1 */
    float fill;               /* finite; of bytes 0 .. 255, without what is behind the point */
    float flip_horizontal, flip_vertical; /* probabilities, 0 .. 1 */
    float contrast;                       /* 0 .. 1 */
    float centre;                         /* finite: what contrast leaves as it is; of bytes 0 .. 255 */
    float brightness, noise;              /* finite, >= 0; of bytes at most 255. The noise's standard deviation */
    int32_t cutout_h, cutout_w;           /* 0 .. out_h, 0 .. out_w; both or none are zero */
} cge_augmentation;

/* CGE_ERR_SHAPE: a size below 1, a crop or a shift that is too large; CGE_ERR_OVERFLOW: more than CGE_MAX_ELEMS elements;
 * CGE_ERR_ARGUMENT: another member outside its range, or y is x and has another shape. */
CGE_MUST_USE cge_status cge_augment_f32(const cge_augmentation *a, uint64_t seed, uint64_t counter, const float *x, float *y);
CGE_MUST_USE cge_status cge_augment_u8(const cge_augmentation *a, uint64_t seed, uint64_t counter, const uint8_t *x,
                                       uint8_t *y);

/* ---- replay: a memory of samples that a stream went by -------------------------------------------------------------------
 *
 * Samples of a fixed size in bytes, each with a label, in `capacity` slots. All are kept until the slots are full. Then, with r
 * the remainder of key(seed, seen, 3) by
 *
 *   reservoir        seen + 1: if r < capacity the sample takes slot r. So each of the stream is held with one probability,
 *                    whatever its length (Vitter 1985, algorithm R)
 *   class-balanced   if its class never held as many as any other since the slots are full: what the largest class holds (of
 *                    equal ones the first). The sample takes the place of number r of these, in the order of slots. Else the
 *                    class's own seen + 1: if r is less than what the class holds, the sample takes the place of number r of
 *                    these (Chrysakis & Moens 2020, CBRS)
 *
 * The state, the counts of the classes, labels and samples are bytes without addresses. Who stores them between two calls, and
 * the CRC of them (cge_crc32), goes on after a reset with the same numbers by copying them back. */
typedef struct cge_replay_class { /* all zero at the start */
    uint64_t seen;
    int32_t held;
    int32_t full; /* 1: it was the largest one, or as large */
} cge_replay_class;

typedef struct cge_replay {
    void *samples;             /* [capacity][sample_bytes], aligned for what they hold */
    int32_t *labels;           /* [capacity] */
    int32_t sample_bytes;      /* >= 1; all samples at most 2^31 - 1 bytes */
    int32_t capacity;          /* >= 1 */
    int32_t classes;           /* 0: reservoir, labels are any numbers. Else class-balanced, and they are 0 .. classes - 1 */
    cge_replay_class *counts;  /* [classes], 8-byte aligned; NULL if there are none */
    uint64_t seed;
} cge_replay;

typedef struct cge_replay_state { /* all zero at the start */
    uint64_t seen, drawn;         /* samples that came; slots that were drawn */
    int32_t held;                 /* slots 0 .. held - 1 hold samples */
    int32_t unused;
} cge_replay_state;

/* *slot (NULL: not wanted) is where the sample lies now, -1 if it was not kept. CGE_ERR_LABEL: no such class. CGE_ERR_FORMAT:
 * the state, the counts and the labels cannot be of this buffer; that is what memory holds that was never set. */
CGE_MUST_USE cge_status cge_replay_add(const cge_replay *r, cge_replay_state *state, const void *sample, int32_t label,
                                       int32_t *slot);

/* slots[0 .. n - 1], n >= 1, each of 0 .. held - 1 with one probability, whatever was drawn before: the remainder of
 * key(seed, drawn, 4) by held. Nothing held: CGE_ERR_MODE. Each slot once, in random order, is cge_permute of `held`. */
CGE_MUST_USE cge_status cge_replay_draw(const cge_replay *r, cge_replay_state *state, int32_t n, int32_t *slots);

/* ---- early stopping (Prechelt 1998) ---------------------------------------------------------------------------------------
 *
 * What is measured (a loss on other samples) is better if it is below best - min_delta; NaN is not. If there are best_params,
 * params are copied there then: net.params, net.held_elems of them. To go back to them between two steps copy them into
 * net.params. (Of what should grow, such as an accuracy, give the negative.) */
typedef struct cge_early_stopping {
    float min_delta;     /* finite, >= 0 */
    int32_t patience;    /* >= 0 */
    int32_t param_elems; /* 0 if best_params is NULL */
    float *best_params;  /* NULL: they are not kept */
} cge_early_stopping;

typedef struct cge_early_stopping_state { /* all zero at the start */
    float best;
    int32_t measured; /* how often, at most 2^31 - 1 */
    int32_t best_at;  /* `measured` of the best, counted from 1; 0: there is none yet */
    int32_t bad;      /* measurements since then that were not better */
    int32_t stop;     /* 1 if bad is at least `patience`, and at least 1 */
} cge_early_stopping_state;

/* params is not read, and may be NULL, if best_params is. */
CGE_MUST_USE cge_status cge_early_stopping_update(const cge_early_stopping *e, cge_early_stopping_state *state, float measured,
                                                  const float *params);

#ifdef __cplusplus
}
#endif

#endif /* CGE_DATA_H */
