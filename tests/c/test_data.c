/* Orders, augmentation, replay, early stopping: properties, numbers that all targets share (golden.h), what is refused. */
#include "cge_data.h"
#include "golden.h"

#include "check.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

enum { SEED = 7, EPOCH = 3 };

static void hash_bytes(uint64_t *hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) *hash = (*hash ^ p[i]) * 0x100000001b3u;
}

/* 32-bit words, least significant byte first. */
static void hash_words(uint64_t *hash, const void *data, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const unsigned char *)data + 4 * i, 4);
        for (int32_t shift = 0; shift < 32; shift += 8) *hash = (*hash ^ (word >> shift & 255)) * 0x100000001b3u;
    }
}

static void check_golden(const char *name, uint64_t expected, uint64_t hash)
{
    const unsigned long high = (unsigned long)(hash >> 32), low = (unsigned long)(hash & 0xffffffffu);
    if (!CHECK(hash == expected)) printf("    %s 0x%08lx%08lx\n", name, high, low);
}

/* ---- orders ---- */

static void test_orders(void)
{
    static const int32_t counts[] = {1, 2, 60, 64, 65, 1000};
    uint64_t hash = 0xcbf29ce484222325u;
    if (!check_room("orders", 4 * 1000 + 1000 + 4)) return;
    int32_t *order = check_ints(1000), *one = check_ints(1);
    unsigned char *seen = check_bytes(1000);
    for (int32_t k = 0; k < COUNT_OF(counts); k++) {
        const int32_t n = counts[k];
        memset(seen, 0, 1000);
        CHECK_OK(cge_permute(n, SEED, EPOCH, 0, n, order));
        for (int32_t i = 0; i < n; i++)
            if (CHECK(order[i] >= 0 && order[i] < n)) seen[order[i]]++;
        for (int32_t i = 0; i < n; i++) CHECK(seen[i] == 1);
        for (int32_t i = 0; i < n; i += 1 + n / 10) {
            CHECK_OK(cge_permute(n, SEED, EPOCH, i, 1, one));
            CHECK(*one == order[i]);
        }
        hash_words(&hash, order, n);
    }
    CHECK_OK(cge_permute(INT32_MAX, SEED, EPOCH, INT32_MAX - 5, 5, order));
    for (int32_t i = 0; i < 5; i++) CHECK(order[i] >= 0 && order[i] < INT32_MAX);
    check_golden("orders", GOLDEN_ORDERS, hash);
}

/* ---- augmentation ---- */

enum { PICTURES = 20, ELEMS = 7 * 5 * 3 };

static const cge_augmentation all_of_it = {
    .in_h = 7, .in_w = 5, .in_c = 3, .shift_h = 2, .shift_w = 1, .fill = 9, .flip_horizontal = 0.5f, .flip_vertical = 0.25f,
    .contrast = 0.5f, .centre = 100, .brightness = 30, .noise = 12, .cutout_h = 2, .cutout_w = 2};

static cge_augmentation of_numbers(void)
{
    cge_augmentation a = all_of_it;
    a.fill = 0.5f;
    a.centre = 0.25f;
    a.brightness = 0.5f;
    a.noise = 0.25f;
    return a;
}

static void test_bytes_of_pictures(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    if (!check_room("bytes", 3 * ELEMS)) return;
    uint8_t *x = check_bytes(ELEMS), *y = check_bytes(ELEMS), *z = check_bytes(ELEMS);
    for (int32_t i = 0; i < ELEMS; i++) x[i] = (uint8_t)(i * 37 + (i >> 3));
    for (int32_t k = 0; k < PICTURES; k++) {
        CHECK_OK(cge_augment_u8(&all_of_it, SEED, (uint64_t)k, x, y));
        memcpy(z, x, ELEMS);
        CHECK_OK(cge_augment_u8(&all_of_it, SEED, (uint64_t)k, z, z));
        CHECK(memcmp(y, z, ELEMS) == 0);
        hash_bytes(&hash, y, ELEMS);
    }
    check_golden("bytes", GOLDEN_PICTURES, hash);
}

static void test_numbers_of_pictures(void)
{
    const cge_augmentation a = of_numbers();
    uint64_t hash = 0xcbf29ce484222325u;
    if (!check_room("numbers", 12 * ELEMS)) return;
    float *x = check_floats(ELEMS), *y = check_floats(ELEMS), *z = check_floats(ELEMS);
    for (int32_t i = 0; i < ELEMS; i++) x[i] = (float)(uint8_t)(i * 37 + (i >> 3)) / 256;
    for (int32_t k = 0; k < PICTURES; k++) {
        CHECK_OK(cge_augment_f32(&a, SEED, (uint64_t)k, x, y));
        memcpy(z, x, 4 * ELEMS);
        CHECK_OK(cge_augment_f32(&a, SEED, (uint64_t)k, z, z));
        for (int32_t i = 0; i < ELEMS; i++) CHECK_SAME(y[i], z[i], i);
        hash_words(&hash, y, ELEMS);
    }
    check_golden("numbers", GOLDEN_PICTURES_F32, hash);
}

/* Each pixel of the result is that of the place it came from, or the fill. */
static void test_crops(void)
{
    static const cge_augmentation crops[] = {
        {.in_h = 4, .in_w = 6, .in_c = 2, .out_h = 3, .out_w = 2},
        {.in_h = 4, .in_w = 6, .in_c = 2, .out_h = 5, .out_w = 7, .shift_h = 2, .shift_w = 1, .fill = 200},
        {.in_h = 4, .in_w = 6, .in_c = 2, .out_h = 3, .out_w = 3, .shift_h = 2, .shift_w = 2, .fill_edge = 1},
        {.in_h = 4, .in_w = 6, .in_c = 2, .shift_h = 3, .shift_w = 5, .fill_edge = 1},
        {.in_h = 1, .in_w = 1, .in_c = 2},
    };
    if (!check_room("crops", 2 * 70)) return;
    uint8_t *x = check_bytes(48), *y = check_bytes(70);
    for (int32_t i = 0; i < 48; i++) x[i] = (uint8_t)i;
    for (int32_t k = 0; k < COUNT_OF(crops); k++) {
        const cge_augmentation *a = &crops[k];
        const int32_t out_h = a->out_h > 0 ? a->out_h : a->in_h, out_w = a->out_w > 0 ? a->out_w : a->in_w;
        for (int32_t counter = 0; counter < 20; counter++) {
            int32_t fits = 0;
            CHECK_OK(cge_augment_u8(a, SEED, (uint64_t)counter, x, y));
            for (int32_t top = -a->shift_h; top <= a->in_h + a->shift_h - out_h; top++)
                for (int32_t left = -a->shift_w; left <= a->in_w + a->shift_w - out_w; left++) {
                    int32_t same = 1;
                    for (int32_t i = 0; i < out_h * out_w * 2; i++) {
                        const int32_t h = i / 2 / out_w + top, w = i / 2 % out_w + left;
                        const int32_t nh = h < 0 ? 0 : h < a->in_h ? h : a->in_h - 1;
                        const int32_t nw = w < 0 ? 0 : w < a->in_w ? w : a->in_w - 1;
                        const int32_t inside = (h == nh && w == nw) || a->fill_edge;
                        same &= y[i] == (inside ? x[(nh * a->in_w + nw) * 2 + i % 2] : (uint8_t)a->fill);
                    }
                    fits += same;
                }
            CHECK(fits == 1);
        }
    }
}

/* Of one channel: both flips are the picture from its end, and without a draw of the gain all bytes move by one number. */
static void test_one_channel(void)
{
    static const cge_augmentation turned = {.in_h = 3, .in_w = 5, .in_c = 1, .flip_horizontal = 1, .flip_vertical = 1};
    static const cge_augmentation brighter = {.in_h = 3, .in_w = 5, .in_c = 1, .brightness = 40};
    static const cge_augmentation stretched = {.in_h = 3, .in_w = 5, .in_c = 1, .contrast = 1, .centre = 100};
    static const cge_augmentation noisy = {.in_h = 3, .in_w = 5, .in_c = 1, .noise = 20};
    if (!check_room("one channel", 2 * 15 + 2 * 4 * 15)) return;
    uint8_t *x = check_bytes(15), *y = check_bytes(15);
    float *a = check_floats(15), *b = check_floats(15);
    for (int32_t i = 0; i < 15; i++) x[i] = (uint8_t)(50 + 7 * i), a[i] = (float)i;
    CHECK_OK(cge_augment_u8(&turned, SEED, 0, x, y));
    CHECK_OK(cge_augment_f32(&turned, SEED, 0, a, b));
    for (int32_t i = 0; i < 15; i++) CHECK(y[i] == x[14 - i] && b[i] == a[14 - i]);
    for (uint64_t counter = 0; counter < 10; counter++) {
        CHECK_OK(cge_augment_u8(&brighter, SEED, counter, x, y));
        CHECK(y[0] != x[0] && y[0] >= x[0] - 40 && y[0] <= x[0] + 40);
        for (int32_t i = 1; i < 15; i++) CHECK(y[i] - x[i] == y[0] - x[0]);
        CHECK_OK(cge_augment_u8(&stretched, SEED, counter, x, y));
        for (int32_t i = 0; i < 15; i++) CHECK(x[i] < 100 ? y[i] <= 100 : y[i] >= 100);
        CHECK_OK(cge_augment_u8(&noisy, SEED, counter, x, y));
        for (int32_t i = 0; i < 15; i++) CHECK(y[i] >= x[i] - 47 && y[i] <= x[i] + 47);
    }
}

/* ---- replay ---- */

enum { SLOTS = 5, CLASSES = 3, STREAM = 60 };

typedef struct held_samples { /* what a board stores */
    cge_replay_state state;
    cge_replay_class counts[CLASSES];
    int32_t labels[SLOTS];
    uint8_t samples[SLOTS][2];
} held_samples;

static cge_replay replay_of(held_samples *h, int32_t classes)
{
    cge_replay r = {h->samples, h->labels, 2, SLOTS, 0, NULL, SEED};
    r.classes = classes;
    if (classes > 0) r.counts = h->counts;
    return r;
}

static void add_some(held_samples *h, int32_t classes, int32_t from, int32_t to, uint64_t *hash)
{
    const cge_replay r = replay_of(h, classes);
    for (int32_t i = from; i < to; i++) {
        const uint8_t sample[2] = {(uint8_t)i, (uint8_t)(i + 1)};
        int32_t slot = -2, drawn[2];
        CHECK_OK(cge_replay_add(&r, &h->state, sample, i * i % 7 % CLASSES, &slot));
        CHECK(slot >= -1 && slot < SLOTS);
        CHECK(slot < 0 || (h->samples[slot][0] == sample[0] && h->samples[slot][1] == sample[1]));
        CHECK_OK(cge_replay_draw(&r, &h->state, 2, drawn));
        CHECK(drawn[0] >= 0 && drawn[0] < h->state.held && drawn[1] >= 0 && drawn[1] < h->state.held);
        hash_words(hash, &slot, 1);
        hash_words(hash, drawn, 2);
    }
}

static void test_replay(void)
{
    uint64_t hash = 0xcbf29ce484222325u;
    check_case("replay");
    for (int32_t classes = 0; classes <= CLASSES; classes += CLASSES) {
        held_samples h, stored;
        uint64_t first, second;
        memset(&h, 0, sizeof h);
        add_some(&h, classes, 0, STREAM / 2, &hash);
        memcpy(&stored, &h, sizeof h);
        first = second = hash;
        add_some(&h, classes, STREAM / 2, STREAM, &first);
        add_some(&stored, classes, STREAM / 2, STREAM, &second);
        CHECK(first == second && memcmp(&h, &stored, sizeof h) == 0);
        CHECK(h.state.seen == STREAM && h.state.held == SLOTS && h.state.drawn == 2 * STREAM);
        for (int32_t i = 0; i < SLOTS; i++) CHECK(h.labels[i] == h.samples[i][0] * h.samples[i][0] % 7 % CLASSES);
        hash = first;
    }
    check_golden("replay", GOLDEN_REPLAY, hash);
}

/* ---- early stopping ---- */

static void test_early_stopping(void)
{
    static const float losses[] = {3, 2, 2.5f, 1.75f, 1.5f, 1.6f, 1.5f, 1.45f};
    static const int32_t best_at[] = {1, 2, 2, 2, 5, 5, 5, 5}, stop[] = {0, 0, 0, 1, 0, 0, 1, 1};
    cge_early_stopping_state s = {0, 0, 0, 0, 0};
    if (!check_room("early stopping", 8 * 3)) return;
    float *best = check_floats(3), *params = check_floats(3);
    const cge_early_stopping e = {0.25f, 2, 3, best}, alone = {0, 0, 0, NULL};
    for (int32_t i = 0; i < COUNT_OF(losses); i++) {
        for (int32_t k = 0; k < 3; k++) params[k] = (float)(10 * i + k);
        CHECK_OK(cge_early_stopping_update(&e, &s, losses[i], params));
        CHECK(s.measured == i + 1 && s.best_at == best_at[i] && s.bad == i + 1 - best_at[i] && s.stop == stop[i]);
        CHECK(s.best == losses[best_at[i] - 1]);
        for (int32_t k = 0; k < 3; k++) CHECK(best[k] == (float)(10 * (best_at[i] - 1) + k));
    }
    check_case("NaN is never better");
    memset(&s, 0, sizeof s);
    CHECK_OK(cge_early_stopping_update(&alone, &s, float_from_bits(0x7fc00000u), NULL));
    CHECK(s.stop == 1 && s.best_at == 0 && s.bad == 1);
    CHECK_OK(cge_early_stopping_update(&alone, &s, float_from_bits(0x7f800000u), NULL));
    CHECK(s.stop == 0 && s.best_at == 2);
    CHECK_OK(cge_early_stopping_update(&alone, &s, 1, NULL));
    CHECK(s.stop == 0 && s.best_at == 3 && s.best == 1);
    CHECK_OK(cge_early_stopping_update(&alone, &s, float_from_bits(0x7fc00000u), NULL));
    CHECK(s.stop == 1);
}

void suite_data(void)
{
    test_orders();
    test_bytes_of_pictures();
    test_numbers_of_pictures();
    test_crops();
    test_one_channel();
    test_replay();
    test_early_stopping();
}

/* ---- refused ---- */

static void refuse_orders(void)
{
    if (!check_room("orders", 16)) return;
    int32_t *order = check_ints(4);
    CHECK_REFUSED(CGE_ERR_NULL, cge_permute(4, 1, 1, 0, 4, NULL));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(0, 1, 1, 0, 1, order));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(-1, 1, 1, 0, 1, order));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(4, 1, 1, -1, 1, order));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(4, 1, 1, 0, 0, order));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(4, 1, 1, 1, 4, order));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_permute(4, 1, 1, INT32_MAX, 1, order));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_permute(4, 1, 1, 0, 1, (int32_t *)(void *)((char *)order + 1)));
}

/* Of bytes and numbers, with settings that are `a` but for one member. */
#define REFUSE(status, member, value)                                                  \
    do {                                                                               \
        cge_augmentation changed = all_of_it;                                          \
        changed.member = (value);                                                      \
        CHECK_REFUSED(status, cge_augment_u8(&changed, SEED, 0, x, y));                \
        changed = of_numbers();                                                        \
        changed.member = (value);                                                      \
        CHECK_REFUSED(status, cge_augment_f32(&changed, SEED, 0, numbers, numbers));   \
    } while (0)

static void refuse_pictures(void)
{
    const float nan = float_from_bits(0x7fc00000u), infinite = float_from_bits(0x7f800000u);
    const cge_augmentation floats = of_numbers();
    if (!check_room("pictures", 6 * ELEMS + 4)) return;
    uint8_t *x = check_bytes(ELEMS), *y = check_bytes(ELEMS);
    float *numbers = check_floats(ELEMS + 1);
    cge_augmentation a = all_of_it;
    CHECK_REFUSED(CGE_ERR_NULL, cge_augment_u8(NULL, SEED, 0, x, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_augment_u8(&a, SEED, 0, NULL, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_augment_u8(&a, SEED, 0, x, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_augment_f32(NULL, SEED, 0, numbers, numbers));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_augment_f32(&floats, SEED, 0, misaligned(numbers), numbers));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_augment_f32(&floats, SEED, 0, numbers, misaligned(numbers)));
    REFUSE(CGE_ERR_SHAPE, in_h, 0);
    REFUSE(CGE_ERR_SHAPE, in_w, -1);
    REFUSE(CGE_ERR_SHAPE, in_c, 0);
    REFUSE(CGE_ERR_SHAPE, out_h, -1);
    REFUSE(CGE_ERR_SHAPE, out_w, -1);
    REFUSE(CGE_ERR_SHAPE, out_h, 12);
    REFUSE(CGE_ERR_SHAPE, out_w, 8);
    REFUSE(CGE_ERR_OVERFLOW, in_c, CGE_MAX_ELEMS);
    REFUSE(CGE_ERR_OVERFLOW, out_h, CGE_MAX_ELEMS);
    REFUSE(CGE_ERR_SHAPE, shift_h, -1);
    REFUSE(CGE_ERR_SHAPE, shift_w, -1);
    REFUSE(CGE_ERR_SHAPE, shift_h, 7);
    REFUSE(CGE_ERR_SHAPE, shift_w, 5);
    REFUSE(CGE_ERR_ARGUMENT, fill_edge, 2);
    REFUSE(CGE_ERR_ARGUMENT, fill, nan);
    REFUSE(CGE_ERR_ARGUMENT, fill, infinite);
    REFUSE(CGE_ERR_ARGUMENT, flip_horizontal, 1.5f);
    REFUSE(CGE_ERR_ARGUMENT, flip_vertical, -0.5f);
    REFUSE(CGE_ERR_ARGUMENT, contrast, 1.5f);
    REFUSE(CGE_ERR_ARGUMENT, contrast, nan);
    REFUSE(CGE_ERR_ARGUMENT, centre, infinite);
    REFUSE(CGE_ERR_ARGUMENT, brightness, -1);
    REFUSE(CGE_ERR_ARGUMENT, brightness, infinite);
    REFUSE(CGE_ERR_ARGUMENT, noise, nan);
    REFUSE(CGE_ERR_ARGUMENT, cutout_h, 0);
    REFUSE(CGE_ERR_ARGUMENT, cutout_w, 0);
    REFUSE(CGE_ERR_ARGUMENT, cutout_h, -1);
    REFUSE(CGE_ERR_ARGUMENT, cutout_h, 8);
    REFUSE(CGE_ERR_ARGUMENT, cutout_w, -1);
    REFUSE(CGE_ERR_ARGUMENT, cutout_w, 6);
    check_case("bytes");
    a.fill = 256;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_augment_u8(&a, SEED, 0, x, y));
    a.fill = 0, a.centre = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_augment_u8(&a, SEED, 0, x, y));
    a.centre = 0, a.brightness = 256;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_augment_u8(&a, SEED, 0, x, y));
    a.brightness = 0, a.out_h = 6;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_augment_u8(&a, SEED, 0, x, x));
    a.out_h = 7, a.out_w = 4;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_augment_u8(&a, SEED, 0, x, x));
}

static void refuse_replays(void)
{
    const uint8_t sample[2] = {1, 2};
    if (!check_room("replay", sizeof(held_samples) + 16)) return;
    held_samples *h = check_bytes(sizeof *h);
    int32_t *slots = check_ints(2);
    memset(h, 0, sizeof *h);
    cge_replay r = replay_of(h, CLASSES);
    const cge_replay good = r;
    CHECK_REFUSED(CGE_ERR_MODE, cge_replay_draw(&r, &h->state, 2, slots));
    for (int32_t i = 0; i < SLOTS; i++) CHECK_OK(cge_replay_add(&r, &h->state, sample, i % 2, NULL));
    const held_samples kept = *h;
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(NULL, &h->state, sample, 0, slots));
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, NULL, sample, 0, slots));
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, &h->state, NULL, 0, slots));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_replay_add(&r, &h->state, sample, -1, slots));
    CHECK_REFUSED(CGE_ERR_LABEL, cge_replay_add(&r, &h->state, sample, CLASSES, slots));
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_draw(&r, &h->state, 1, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_draw(NULL, &h->state, 1, slots));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_replay_draw(&r, &h->state, 0, slots));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_replay_draw(&r, &h->state, 1, (int32_t *)(void *)((char *)slots + 1)));
    check_case("settings");
    r.samples = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.labels = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.counts = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.classes = 0;
    CHECK_REFUSED(CGE_ERR_NULL, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.classes = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.sample_bytes = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.capacity = 0;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.sample_bytes = INT32_MAX;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.labels = (int32_t *)(void *)((char *)h->labels + 2);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good, r.counts = (cge_replay_class *)(void *)((char *)h->counts + 4);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_replay_add(&r, &h->state, sample, 0, slots));
    r = good;
    check_case("states that are none");
    h->state.held = SLOTS + 1;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    h->state.held = -1;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_draw(&r, &h->state, 1, slots));
    h->state.held = SLOTS - 1;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->state.seen = SLOTS - 1;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->counts[1].held++;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->counts[1].held--;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->counts[2].held = -1;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->counts[2].full = 2;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept, h->counts[0].seen = 0;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 0, slots));
    *h = kept;
    for (int32_t i = 0; i < SLOTS; i++) h->labels[i] = 2;
    CHECK_REFUSED(CGE_ERR_FORMAT, cge_replay_add(&r, &h->state, sample, 2, slots));
}

static void refuse_early_stopping(void)
{
    if (!check_room("early stopping", 128)) return;
    float *best = check_floats(3), *params = check_floats(3);
    cge_early_stopping e = {0.25f, 2, 3, best};
    cge_early_stopping_state *s = check_bytes(sizeof *s);
    memset(s, 0, sizeof *s);
    CHECK_REFUSED(CGE_ERR_NULL, cge_early_stopping_update(NULL, s, 1, params));
    CHECK_REFUSED(CGE_ERR_NULL, cge_early_stopping_update(&e, NULL, 1, params));
    CHECK_REFUSED(CGE_ERR_NULL, cge_early_stopping_update(&e, s, 1, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_early_stopping_update(&e, s, 1, misaligned(params)));
    e.best_params = misaligned(best);
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_early_stopping_update(&e, s, 1, params));
    e.best_params = NULL;
    CHECK_REFUSED(CGE_ERR_NULL, cge_early_stopping_update(&e, s, 1, params));
    e.best_params = best, e.param_elems = 0;
    CHECK_REFUSED(CGE_ERR_SHAPE, cge_early_stopping_update(&e, s, 1, params));
    e.param_elems = 3, e.patience = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    e.patience = 2, e.min_delta = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    e.min_delta = 0, s->bad = 1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    s->bad = 0, s->best_at = 1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    s->best_at = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    s->best_at = 0, s->measured = -1;
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_early_stopping_update(&e, s, 1, params));
    s->measured = s->best_at = INT32_MAX;
    CHECK_REFUSED(CGE_ERR_OVERFLOW, cge_early_stopping_update(&e, s, 1, params));
}

void suite_data_status(void)
{
    refuse_orders();
    refuse_pictures();
    refuse_replays();
    refuse_early_stopping();
}
