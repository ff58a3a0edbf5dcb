/*
 * exp, log, tanh, erf within 2 ulp of a double reference, sqrt correctly rounded, special values as in C99 Annex F.
 * Swept over random bit patterns, which cover every exponent; every one of the 2^32 inputs was tried once on a host.
 */
#include "check.h"
#include "reference_math.h"
#include "suites.h"

#include <stdio.h>

#define INF 0x7f800000u
#define NEGATIVE 0x80000000u
#define NOT_A_NUMBER 0x7fc00000u

/* The distance from |x| to the next float, in double: 2^(e - 150) for the biased exponent e. */
static double ulp(double x)
{
    union { double d; uint64_t u; } power;
    uint32_t e = float_bits((float)x) >> 23 & 255;
    power.u = (uint64_t)((e == 0 ? 1 : e) + (1023 - 150)) << 52;
    return power.d;
}

/* Is got within 2 ulp of expected? Past the largest float, infinity is as good as the largest. */
static int within_2_ulp(double expected, float got)
{
    double error = expected - (double)got;
    if (expected >= 0x1.fffffcp127) return (double)got >= 0x1.fffffcp127;
    return (error < 0 ? -error : error) <= 2 * ulp(expected);
}

/* Round to nearest: the exact root lies within half a unit on either side. Squares of 25-bit numbers are exact in double. */
static int is_root(float x, float root)
{
    double half = 0.5 * ulp((double)root), low = (double)root - half, high = (double)root + half;
    return low * low <= (double)x && (double)x <= high * high;
}

static int is_finite(float x)
{
    return (float_bits(x) & INF) != INF;
}

static void check_functions(float x)
{
    if (!is_finite(x)) return;
    CHECK(within_2_ulp(reference_exp((double)x), cge_exp_f32(x)));
    CHECK(within_2_ulp(reference_tanh((double)x), cge_tanh_f32(x)));
    CHECK(within_2_ulp(reference_erf((double)x), cge_erf_f32(x)));
    if (x > -0x1p30f && x < 0x1p30f) CHECK(within_2_ulp(reference_cospi((double)x), cge_cospi_f32(x)));
    if (!(x > 0)) return;
    CHECK(within_2_ulp(reference_log((double)x), cge_log_f32(x)));
    CHECK(is_root(x, cge_sqrt_f32(x)));
}

static void test_sweep(void)
{
    check_case("sweep, all exponents");
    for (uint32_t i = 0; i < 3000; i++) check_functions(float_from_bits(mix32(i + 77)));
    check_case("sweep, -110 .. 95");
    for (int32_t i = 0; i < 1500; i++) check_functions(-7.5f + 102.5f * operand(41, i));
    check_case("sweep, around 1");
    for (int32_t i = -300; i < 300; i++) check_functions(float_from_bits((uint32_t)(0x3f800000 + i)));
    for (int32_t i = 0; i < 500; i++) check_functions(1 + 0.6f * operand(42, i));
    check_case("sweep, -4 .. 4");
    for (int32_t i = 0; i < 2000; i++) check_functions(4 * operand(43, i));
    check_case("sweep, subnormal");
    for (uint32_t i = 1; i < 200; i++) check_functions(float_from_bits(mix32(i) & 0x807fffffu));
}

typedef float function(float x);

static const struct {
    const char *name;
    function *f;
    uint32_t x, y;
} known[] = {
    {"exp(0)", cge_exp_f32, 0, 0x3f800000u},
    {"exp(-0)", cge_exp_f32, NEGATIVE, 0x3f800000u},
    {"exp(inf)", cge_exp_f32, INF, INF},
    {"exp(-inf)", cge_exp_f32, NEGATIVE | INF, 0},
    {"exp(NaN)", cge_exp_f32, NOT_A_NUMBER, NOT_A_NUMBER},
    {"exp(-NaN)", cge_exp_f32, NEGATIVE | NOT_A_NUMBER, NOT_A_NUMBER},
    {"exp(largest)", cge_exp_f32, 0x7f7fffffu, INF},
    {"exp(-largest)", cge_exp_f32, 0xff7fffffu, 0},
    {"exp(1e4)", cge_exp_f32, 0x461c4000u, INF},
    {"exp(-1e4)", cge_exp_f32, 0xc61c4000u, 0},
    {"exp(smallest)", cge_exp_f32, 1, 0x3f800000u},
    {"log(1)", cge_log_f32, 0x3f800000u, 0},
    {"log(0)", cge_log_f32, 0, NEGATIVE | INF},
    {"log(-0)", cge_log_f32, NEGATIVE, NEGATIVE | INF},
    {"log(-1)", cge_log_f32, 0xbf800000u, NOT_A_NUMBER},
    {"log(-smallest)", cge_log_f32, NEGATIVE | 1, NOT_A_NUMBER},
    {"log(-inf)", cge_log_f32, NEGATIVE | INF, NOT_A_NUMBER},
    {"log(inf)", cge_log_f32, INF, INF},
    {"log(largest)", cge_log_f32, 0x7f7fffffu, 0x42b17218u},
    {"log(NaN)", cge_log_f32, NOT_A_NUMBER, NOT_A_NUMBER},
    {"cospi(0)", cge_cospi_f32, 0, 0x3f800000u},
    {"cospi(-0)", cge_cospi_f32, NEGATIVE, 0x3f800000u},
    {"cospi(1/2)", cge_cospi_f32, 0x3f000000u, 0},
    {"cospi(-1/2)", cge_cospi_f32, 0xbf000000u, 0},
    {"cospi(3/2)", cge_cospi_f32, 0x3fc00000u, 0},
    {"cospi(1)", cge_cospi_f32, 0x3f800000u, 0xbf800000u},
    {"cospi(-7)", cge_cospi_f32, 0xc0e00000u, 0xbf800000u},
    {"cospi(2^23 + 1)", cge_cospi_f32, 0x4b000001u, 0xbf800000u},
    {"cospi(2^24)", cge_cospi_f32, 0x4b800000u, 0x3f800000u},
    {"cospi(largest)", cge_cospi_f32, 0x7f7fffffu, 0x3f800000u},
    {"cospi(smallest)", cge_cospi_f32, 1, 0x3f800000u},
    {"cospi(inf)", cge_cospi_f32, INF, NOT_A_NUMBER},
    {"cospi(-inf)", cge_cospi_f32, NEGATIVE | INF, NOT_A_NUMBER},
    {"cospi(NaN)", cge_cospi_f32, NOT_A_NUMBER, NOT_A_NUMBER},
    {"tanh(0)", cge_tanh_f32, 0, 0},
    {"tanh(-0)", cge_tanh_f32, NEGATIVE, NEGATIVE},
    {"tanh(inf)", cge_tanh_f32, INF, 0x3f800000u},
    {"tanh(-inf)", cge_tanh_f32, NEGATIVE | INF, 0xbf800000u},
    {"tanh(100)", cge_tanh_f32, 0x42c80000u, 0x3f800000u},
    {"tanh(-100)", cge_tanh_f32, 0xc2c80000u, 0xbf800000u},
    {"tanh(smallest)", cge_tanh_f32, 1, 1},
    {"tanh(-smallest)", cge_tanh_f32, NEGATIVE | 1, NEGATIVE | 1},
    {"tanh(NaN)", cge_tanh_f32, NOT_A_NUMBER, NOT_A_NUMBER},
    {"erf(0)", cge_erf_f32, 0, 0},
    {"erf(-0)", cge_erf_f32, NEGATIVE, NEGATIVE},
    {"erf(inf)", cge_erf_f32, INF, 0x3f800000u},
    {"erf(-inf)", cge_erf_f32, NEGATIVE | INF, 0xbf800000u},
    {"erf(-100)", cge_erf_f32, 0xc2c80000u, 0xbf800000u},
    {"erf(smallest)", cge_erf_f32, 1, 1},
    {"erf(NaN)", cge_erf_f32, NOT_A_NUMBER, NOT_A_NUMBER},
    {"sqrt(0)", cge_sqrt_f32, 0, 0},
    {"sqrt(-0)", cge_sqrt_f32, NEGATIVE, NEGATIVE},
    {"sqrt(4)", cge_sqrt_f32, 0x40800000u, 0x40000000u},
    {"sqrt(2)", cge_sqrt_f32, 0x40000000u, 0x3fb504f3u},
    {"sqrt(smallest)", cge_sqrt_f32, 1, 0x1a3504f3u},
    {"sqrt(largest)", cge_sqrt_f32, 0x7f7fffffu, 0x5f7fffffu},
    {"sqrt(inf)", cge_sqrt_f32, INF, INF},
    {"sqrt(-inf)", cge_sqrt_f32, NEGATIVE | INF, NOT_A_NUMBER},
    {"sqrt(-1)", cge_sqrt_f32, 0xbf800000u, NOT_A_NUMBER},
    {"sqrt(-smallest)", cge_sqrt_f32, NEGATIVE | 1, NOT_A_NUMBER},
    {"sqrt(NaN)", cge_sqrt_f32, NOT_A_NUMBER, NOT_A_NUMBER},
};

/* Where a value is rounded from the exact one: the last exp that is finite, the first and last that are subnormal. */
static void test_edges(void)
{
    check_case("exp overflow");
    CHECK(is_finite(cge_exp_f32(float_from_bits(0x42b17217u)))); /* the largest float below ln(largest) */
    CHECK(!is_finite(cge_exp_f32(float_from_bits(0x42b17219u))));
    check_case("exp underflow");
    CHECK(cge_exp_f32(-87.0f) > float_from_bits(0x00800000u));
    CHECK(cge_exp_f32(-88.0f) > 0 && cge_exp_f32(-88.0f) < float_from_bits(0x00800000u));
    CHECK_SAME(float_from_bits(1), cge_exp_f32(-103.0f), 0);
    CHECK_SAME(0, cge_exp_f32(-105.0f), 0);
    check_case("tanh is odd and never above 1");
    for (uint32_t i = 0; i < 500; i++) {
        float x = float_from_bits(0x3f000000u + mix32(i) % 0x02800000u), y = cge_tanh_f32(x);
        CHECK(y <= 1);
        CHECK_SAME(-y, cge_tanh_f32(-x), (int32_t)i);
    }
}

/* The bits themselves, which every target shares: within 2 ulp is not enough to see another coefficient or threshold. */
static uint32_t hash_of(function *f, float low, float high)
{
    enum { POINTS = 4096 };
    uint32_t hash = 2166136261u;
    for (int32_t i = 0; i < POINTS; i++) hash = (hash ^ float_bits(f(low + (high - low) / (float)POINTS * (float)i))) * 16777619u;
    return hash;
}

static const struct {
    const char *name;
    function *f;
    float low, high;
    uint32_t hash;
} hashed[] = {
    {"exp, everywhere", cge_exp_f32, -104.0f, 89.0f, 0xf6560c44u},
    {"exp, around 0", cge_exp_f32, -1.5f, 1.5f, 0x210f632eu},
    {"log, wide", cge_log_f32, 0.03125f, 1000.0f, 0x716c1b96u},
    {"log, around 1", cge_log_f32, 0.5f, 2.0f, 0xe6a71da7u},
    {"log, where it halves", cge_log_f32, 1.39f, 1.44f, 0x96c4a1b1u},
    {"tanh, everywhere", cge_tanh_f32, -10.0f, 10.0f, 0x479dda0du},
    {"tanh, around 0", cge_tanh_f32, -0.75f, 0.75f, 0x4a7e161au},
    {"erf, everywhere", cge_erf_f32, -4.5f, 4.5f, 0x7117d615u},
    {"erf, around 0", cge_erf_f32, -1.0f, 1.0f, 0x8c1baa4bu},
};

static void test_hashes(void)
{
    for (int32_t i = 0; i < COUNT_OF(hashed); i++) {
        const uint32_t hash = hash_of(hashed[i].f, hashed[i].low, hashed[i].high);
        check_case(hashed[i].name);
        if (!CHECK(hash == hashed[i].hash)) printf("    0x%08lxu\n", (unsigned long)hash);
    }
}

void suite_math(void)
{
    for (int32_t i = 0; i < COUNT_OF(known); i++) {
        check_case(known[i].name);
        CHECK_SAME(float_from_bits(known[i].y), known[i].f(float_from_bits(known[i].x)), i);
    }
    test_edges();
    test_sweep();
    test_hashes();
}
