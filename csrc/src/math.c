/*
 * Elementary functions from IEEE additions, multiplications and divisions alone, so that every target gets the same
 * bits (C libraries differ in the last place). Method: reduce the argument exactly or with a two-part constant, then
 * a minimax polynomial (coefficients fitted with a Remez exchange in 40-digit arithmetic), as in Muller, "Elementary
 * Functions", 3rd ed., chapters 3 and 11. They are never contracted: the polynomials are written with + and *, and
 * their error bound of 2 ulp holds either way.
 */
#include "config.h"

#include <string.h>

#if CGE_F64
#define FRACTION_BITS 52
#define EXPONENT_BIAS 1023
#define EXP_OVERFLOW 709.79 /* beyond, exp is infinite */
#define EXP_UNDERFLOW (-745.14)
#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: k * LN2_HIGH is exact for every exponent k */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define TANH_ONE 20.0 /* beyond, tanh rounds to 1 */
#else
#define FRACTION_BITS 23
#define EXPONENT_BIAS 127
#define EXP_OVERFLOW 88.73f
#define EXP_UNDERFLOW (-103.98f)
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits */
#define LN2_LOW 0x1.7f7d1cp-20f
#define TANH_ONE 9.02f
#endif

/* (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; relative error of exp below 2^-26 (f32), 2^-58 (f64) */
static const cge_real exp_coefficients[] = {
#if CGE_F64
    0.5, 0.1666666666666667099, 0.0416666666666666838, 0.008333333333326134675, 0.001388888888887439523,
    0.0001984126987482195821, 0.00002480158734734678331, 2.755725539874194841e-6, 2.755725290599757224e-7,
    2.510521754335084062e-8, 2.092159135555805849e-9
#else
    0.5000000027f, 0.1666657697f, 0.04166637513f, 0.008363181235f, 0.001394112413f
#endif
};

/* (2 atanh(s) - 2 s) / s^3 in s^2 <= 0.0295, s = f / (2 + f) */
static const cge_real log_coefficients[] = {
#if CGE_F64
    0.6666666666666669749, 0.3999999999989788525, 0.2857142862665214276, 0.2222221103167670525, 0.1818289621063003641,
    0.1533149771654854465, 0.1461909714173065415
#else
    0.6666666655f, 0.4000012309f, 0.2855069892f, 0.2333341889f
#endif
};

/* (tanh(x) - x) / x^3 in x^2 <= 0.5625^2 */
static const cge_real tanh_coefficients[] = {
#if CGE_F64
    -0.3333333333333333217, 0.133333333333324357, -0.05396825396710597956, 0.02186948847884327725,
    -0.00886323406010047689, 0.00359210598658561826, -0.001455627237686122536, 0.000588768189153188747,
    -0.0002341444263411690698, 0.00008432296502723824788, -0.00002006321192712619695
#else
    -0.3333333329f, 0.1333332252f, -0.05396417661f, 0.02181289811f, -0.008502836604f, 0.002492144765f
#endif
};

#define TERMS(coefficients) ((int)(sizeof(coefficients) / sizeof((coefficients)[0])))

/* Horner's rule: coefficients[0] + x * (coefficients[1] + ...) */
static cge_real polynomial(const cge_real *coefficients, int terms, cge_real x)
{
    cge_real sum = coefficients[terms - 1];
    int i;
    for (i = terms - 2; i >= 0; i--) sum = sum * x + coefficients[i];
    return sum;
}

static cge_real_bits bits_of(cge_real x)
{
    cge_real_bits bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static cge_real real_of(cge_real_bits bits)
{
    cge_real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k as a normal number, -EXPONENT_BIAS < k <= EXPONENT_BIAS */
static cge_real power_of_two(int k)
{
    return real_of((cge_real_bits)(k + EXPONENT_BIAS) << FRACTION_BITS);
}

static cge_real infinity(void)
{
    return real_of((cge_real_bits)(2 * EXPONENT_BIAS + 1) << FRACTION_BITS);
}

/* x = m * 2^k with m in [1, 2) as bits without the exponent field (hidden bit set); x positive, finite */
static int split(cge_real x, cge_real_bits *m)
{
    cge_real_bits bits = bits_of(x);
    const cge_real_bits hidden = (cge_real_bits)1 << FRACTION_BITS;
    int k = (int)(bits >> FRACTION_BITS) - EXPONENT_BIAS;
    if (k == -EXPONENT_BIAS) { /* subnormal: shift the leading one into the hidden place */
        for (k++; (bits & hidden) == 0; k--) bits <<= 1;
    }
    *m = (bits & (hidden - 1)) | hidden;
    return k;
}

cge_real cge_exp_f32(cge_real x)
{
    cge_real r, n;
    int k, half;
    if (x != x) return x;
    if (x > EXP_OVERFLOW) return infinity();
    if (x < EXP_UNDERFLOW) return CGE_REAL(0);
    /* x = k ln2 + r, |r| <= ln2/2 */
    n = x * CGE_REAL(1.44269504088896340736);
    k = (int)(n + (n < 0 ? CGE_REAL(-0.5) : CGE_REAL(0.5)));
    r = (x - CGE_REAL(k) * LN2_HIGH) - CGE_REAL(k) * LN2_LOW;
    r = CGE_REAL(1) + (r + r * r * polynomial(exp_coefficients, TERMS(exp_coefficients), r));
    /* In two steps: 2^k alone may be subnormal or infinite; the first product is exact, the second rounds once. */
    half = k / 2;
    return r * power_of_two(half) * power_of_two(k - half);
}

cge_real cge_log_f32(cge_real x)
{
    const cge_real_bits one = (cge_real_bits)EXPONENT_BIAS << FRACTION_BITS;
    const cge_real_bits root_two = ((cge_real_bits)53 << FRACTION_BITS) / 128; /* m above 1.414: use m / 2 */
    cge_real f, s, z, half_square, n;
    cge_real_bits m, fraction;
    int k;
    if (x != x || x > real_of((((cge_real_bits)(2 * EXPONENT_BIAS + 1)) << FRACTION_BITS) - 1)) return x; /* NaN, inf */
    if (x == 0) return -infinity();
    if (x < 0) return (x - x) / CGE_REAL(0); /* 0 / 0 */
    k = split(x, &m);
    fraction = m & (((cge_real_bits)1 << FRACTION_BITS) - 1);
    if (fraction > root_two) {
        k++;
        f = real_of((one - ((cge_real_bits)1 << FRACTION_BITS)) | fraction) - CGE_REAL(1);
    } else {
        f = real_of(one | fraction) - CGE_REAL(1);
    }
    /* log(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)),  R = s^2 * polynomial: the largest term f is exact */
    s = f / (CGE_REAL(2) + f);
    z = s * s;
    half_square = CGE_REAL(0.5) * f * f;
    n = CGE_REAL(k);
    return n * LN2_HIGH - ((half_square - (s * (half_square + z * polynomial(log_coefficients, TERMS(log_coefficients), z)) + n * LN2_LOW)) - f);
}

cge_real cge_tanh_f32(cge_real x)
{
    cge_real a = x < 0 ? -x : x, y, z;
    if (!(a >= CGE_REAL(0.5625))) { /* and NaN */
        z = x * x;
        return x * (CGE_REAL(1) + z * polynomial(tanh_coefficients, TERMS(tanh_coefficients), z)); /* keeps the sign of 0 */
    }
    y = a > TANH_ONE ? CGE_REAL(1) : CGE_REAL(1) - CGE_REAL(2) / (cge_exp_f32(a + a) + CGE_REAL(1));
    return x < 0 ? -y : y;
}

#if !CGE_F64 && defined(__GNUC__) && defined(__arm__) && (!defined(__thumb__) || defined(__thumb2__)) && defined(__ARM_FP) && (__ARM_FP & 4)

/* The FPU's square root is correctly rounded too; sqrtf of the C library would also want errno. */
cge_real cge_sqrt_f32(cge_real x)
{
    __asm__("vsqrt.f32 %0, %0" : "+t"(x));
    return x;
}

#else

/* Digit by digit (Ercegovac & Lang, "Digital Arithmetic", section 6.1): q^2 <= m, one bit of the root a step, with
 * one extra bit to round by. The remainder is never exactly half an ulp, so "round up if the extra bit is set". */
cge_real cge_sqrt_f32(cge_real x)
{
    cge_real_bits m, root = 0, twice = 0, bit;
    int k;
    if (x != x || x == 0) return x;
    if (x < 0) return (x - x) / CGE_REAL(0);
    if (x > real_of((((cge_real_bits)(2 * EXPONENT_BIAS + 1)) << FRACTION_BITS) - 1)) return x;
    k = split(x, &m);
    if ((k & 1) != 0) { /* also for negative odd k: two's complement */
        m <<= 1;
        k--;
    }
    m <<= 1;
    for (bit = (cge_real_bits)1 << (FRACTION_BITS + 1); bit != 0; bit >>= 1) {
        cge_real_bits trial = twice + bit;
        if (trial <= m) {
            twice = trial + bit;
            m -= trial;
            root += bit;
        }
        m <<= 1;
    }
    root = (root >> 1) + (root & 1);
    return real_of(root + ((cge_real_bits)(k / 2 + EXPONENT_BIAS - 1) << FRACTION_BITS));
}

#endif

cge_real cge_rng_uniform_f32(cge_rng *rng)
{
    return CGE_REAL(cge_rng_next(rng) >> 8) * CGE_REAL(0x1p-24);
}

cge_real cge_rng_normal_f32(cge_rng *rng)
{
    cge_real u, v, s;
    do {
        u = CGE_REAL(2) * cge_rng_uniform_f32(rng) - CGE_REAL(1);
        v = CGE_REAL(2) * cge_rng_uniform_f32(rng) - CGE_REAL(1);
        s = u * u + v * v;
    } while (s >= CGE_REAL(1) || s == 0);
    return u * cge_sqrt_f32(CGE_REAL(-2) * cge_log_f32(s) / s);
}
