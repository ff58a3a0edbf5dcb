/*
 * Random numbers. The constants were computed with a few lines of Python from O'Neill's paper (seed 42 gives the
 * numbers of the reference implementation's demo, stream 54); the rest are properties: range, uniformity, moments.
 */
#include "check.h"
#include "suites.h"

static void test_stream(void)
{
    static const struct {
        uint64_t seed;
        uint32_t first[6];
    } streams[] = {
        {42, {0xa15c02b7u, 0x7b47f409u, 0xba1d3330u, 0x83d2f293u, 0xbfa4784bu, 0xcbed606eu}},
        {0, {0x47c28b93u, 0xb98f6a27u, 0x7d3dcb1eu, 0xf0761116u, 0x9cc33f5bu, 0xbe0e744du}},
        {1, {0x9b6bdda9u, 0x0c31fc48u, 0xce97f8efu, 0x822c03d4u, 0x943e8cf2u, 0x1b75dde3u}},
        {0xffffffffffffffffu, {0x11526277u, 0xe6d82672u, 0xaf1798bau, 0xd0751021u, 0xa734cdb8u, 0xad4f9760u}},
    };
    cge_rng rng;
    check_case("stream");
    for (int32_t i = 0; i < COUNT_OF(streams); i++) {
        CHECK_OK(cge_rng_seed(&rng, streams[i].seed));
        for (int32_t j = 0; j < 6; j++) CHECK(cge_rng_next(&rng) == streams[i].first[j]);
    }
    CHECK_OK(cge_rng_seed(&rng, 42));
    for (int32_t i = 1; i < 1000; i++) (void)cge_rng_next(&rng);
    CHECK(cge_rng_next(&rng) == 0x0a47c376u);
    CHECK(rng.state == 0x77d57a2a8f8fc510u);
}

static void test_below(void)
{
    static const uint32_t digits[] = {3, 7, 4, 5, 5, 6, 5, 5, 4, 4, 2, 3, 4, 7, 3, 7, 8, 3, 0, 0};
    int32_t counts[6] = {0, 0, 0, 0, 0, 0};
    cge_rng rng;
    uint32_t mix = 0;
    uint64_t before;
    check_case("below");
    CHECK_OK(cge_rng_seed(&rng, 42));
    for (int32_t i = 0; i < COUNT_OF(digits); i++) CHECK(cge_rng_below(&rng, 10) == digits[i]);
    CHECK_OK(cge_rng_seed(&rng, 42));
    for (int32_t i = 0; i < 100; i++) mix = mix * 31 + cge_rng_below(&rng, 0xc0000000u);
    CHECK(mix == 0x1e85f14au && rng.state == 0x51e6f9ac194ea614u); /* 32 of 132 numbers were rejected */
    before = rng.state;
    CHECK(cge_rng_below(&rng, 0) == 0);
    CHECK(rng.state == before);
    CHECK(cge_rng_below(&rng, 1) == 0);
    for (int32_t i = 0; i < 6000; i++) counts[cge_rng_below(&rng, 6)]++;
    for (int32_t i = 0; i < 6; i++) CHECK(counts[i] > 870 && counts[i] < 1130); /* 4.5 standard deviations */
}

static void test_shuffle(void)
{
    static const int32_t known[] = {8, 2, 6, 4, 5, 1, 7, 0, 9, 3};
    int32_t order[9], seen[10], counts[27] = {0};
    cge_rng rng;
    check_case("shuffle, as firmware and Python replay it");
    CHECK_OK(cge_rng_seed(&rng, 42));
    for (int32_t i = 0; i < 10; i++) seen[i] = i;
    CHECK_OK(cge_rng_shuffle(&rng, seen, 10));
    for (int32_t i = 0; i < 10; i++) CHECK(seen[i] == known[i]);
    CHECK(rng.state == 0x91723b7b84518c9du);
    for (int32_t i = 0; i < 10; i++) seen[i] = 0;
    check_case("shuffle");
    CHECK_OK(cge_rng_seed(&rng, 5));
    for (int32_t i = 0; i < 9; i++) order[i] = i;
    CHECK_OK(cge_rng_shuffle(&rng, order, 8));
    CHECK(order[8] == 8);
    for (int32_t i = 0; i < 9; i++)
        if (CHECK(order[i] >= 0 && order[i] < 9)) seen[order[i]]++;
    for (int32_t i = 0; i < 9; i++) CHECK(seen[i] == 1);
    CHECK_OK(cge_rng_shuffle(&rng, order, 1));
    CHECK_OK(cge_rng_shuffle(&rng, order, 0));
    for (int32_t i = 0; i < 3000; i++) {
        order[0] = 0;
        order[1] = 1;
        order[2] = 2;
        CHECK_OK(cge_rng_shuffle(&rng, order, 3));
        counts[9 * order[0] + 3 * order[1] + order[2]]++;
    }
    for (int32_t i = 0; i < 27; i++) { /* the six permutations, each 500 times but for 4.5 standard deviations */
        int32_t a = i / 9, b = i / 3 % 3, c = i % 3;
        CHECK(a != b && b != c && a != c ? counts[i] > 408 && counts[i] < 592 : counts[i] == 0);
    }
}

static void test_reals(void)
{
    enum { DRAWS = 4000 };
    cge_rng rng, twin;
    float mean = 0, square = 0, largest = 0;
    int32_t far = 0;
    check_case("uniform");
    CHECK_OK(cge_rng_seed(&rng, 9));
    twin = rng;
    for (int32_t i = 0; i < 200; i++) {
        float u = cge_rng_uniform_f32(&rng);
        CHECK(u >= 0 && u < 1);
        CHECK_SAME((float)(cge_rng_next(&twin) >> 8) / 16777216.0f, u, i);
    }
    check_case("normal");
    for (int32_t i = 0; i < DRAWS; i++) {
        float z = cge_rng_normal_f32(&rng);
        mean += z / DRAWS;
        square += z * z / DRAWS;
        far += z > 2 || z < -2;
        if (z > largest) largest = z;
    }
    CHECK(mean > -0.07f && mean < 0.07f);
    CHECK(square > 0.9f && square < 1.1f);
    CHECK(far > 123 && far < 241); /* 4.55 % of the draws, 4.5 standard deviations */
    CHECK(largest > 2.9f && largest < 6);
}

/* A state whose next two numbers are both the middle of the range: the polar method must draw again, not divide by zero. */
static void test_normal_in_the_middle(void)
{
    const uint64_t first = ((uint64_t)1 << 58) + ((uint64_t)1 << 40), second = first + 1;
    const cge_rng middle = {first, second - first * 6364136223846793005u};
    cge_rng rng = middle;
    float z;
    check_case("normal, both coordinates zero");
    CHECK(2 * cge_rng_uniform_f32(&rng) - 1 == 0);
    CHECK(2 * cge_rng_uniform_f32(&rng) - 1 == 0);
    rng = middle;
    z = cge_rng_normal_f32(&rng);
    CHECK(z > -8 && z < 8);
}

void suite_rng(void)
{
    test_stream();
    test_below();
    test_shuffle();
    test_reals();
    test_normal_in_the_middle();
}

void suite_rng_status(void)
{
    if (!check_room("status", 64)) return;
    cge_rng *rng = check_bytes(sizeof *rng);
    int32_t *order = check_ints(2);
    CHECK_REFUSED(CGE_ERR_NULL, cge_rng_seed(NULL, 1));
    CHECK_REFUSED(CGE_ERR_NULL, cge_rng_shuffle(NULL, order, 2));
    CHECK_REFUSED(CGE_ERR_NULL, cge_rng_shuffle(rng, NULL, 2));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_rng_shuffle(rng, order, -1));
    CHECK_REFUSED(CGE_ERR_ARGUMENT, cge_rng_shuffle(rng, order, INT32_MIN));
}
