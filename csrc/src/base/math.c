/*
 * Elementary functions from IEEE additions, multiplications and divisions alone, so that every target gets the same
 * bits (C libraries differ in the last place). Method: reduce the argument exactly or with a two-part constant, then
 * a minimax polynomial (coefficients fitted with a Remez exchange in 40-digit arithmetic), as in Muller, "Elementary
 * Functions", 3rd ed., chapters 3 and 11. They are never contracted: the polynomials are written with + and *, and
 * their error bound of 2 ulp holds either way.
 */
#include "elementary.h"

#if CGE_F64
#define EXPONENT_BIAS 1023
#define EXP_OVERFLOW 709.79 /* beyond, exp is infinite */
#define EXP_UNDERFLOW (-745.14)
#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: k * LN2_HIGH is exact for every exponent k */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define TANH_ONE 20.0 /* beyond, tanh rounds to 1 */
#define ERF_ONE 5.93
#define PI_HIGH 3.141592653589793 /* and what that lacks */
#define PI_LOW 1.2246467991473532e-16
#define ALL_EVEN 0x1p53 /* from here on all numbers are even */
typedef int64_t whole_number; /* below ALL_EVEN */
#else
#define EXPONENT_BIAS 127
#define EXP_OVERFLOW 88.73f
#define EXP_UNDERFLOW (-103.98f)
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits */
#define LN2_LOW 0x1.7f7d1cp-20f
#define TANH_ONE 9.02f
#define ERF_ONE 3.93f
#define PI_HIGH 3.14159274f
#define PI_LOW -8.74227766e-8f
#define ALL_EVEN 0x1p24f
typedef int32_t whole_number;
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

/* erf(x) / x - 1 in x^2 <= 0.875^2 */
static const cge_real erf_coefficients[] = {
#if CGE_F64
    0.1283791670955125736, -0.3761263890318374035, 0.1128379167095436788, -0.02686617064494554991,
    0.005223977623090287165, -0.0008548326847568145611, 0.0001205532463298405339, -0.00001492538893935025575,
    1.645663481081593703e-6, -1.62895072585266699e-7, 1.412423216563278253e-8, -8.669728748287094513e-10
#else
    0.1283791585f, -0.3761255717f, 0.1128252431f, -0.0267939574f, 0.005035873663f, -0.0006222421314f
#endif
};

/* log(1 - erf(x)) in x - 1, from 0.875 to where erf rounds to 1: weighted by what is left of an error in erf */
static const cge_real erfc_coefficients[] = {
#if CGE_F64
    -1.849605509933248247, -2.638967514234791295, -0.8431072563584867428, -0.04156109804651242456, 0.01003382543443545282,
    -0.001977903022488742081, 0.0002373247077625602655, 0.00002627041398193801831, -0.00002714132954414119537,
    9.577947891168060902e-6, -2.019719344621750226e-6, 1.039251598811101142e-7, 1.261457764076448611e-7,
    -6.786666328153749986e-8, 2.145890895821135134e-8, -4.852095486060869152e-9, 7.974173791392862136e-10,
    -9.104523310984666103e-11, 6.463261944775678163e-12, -2.144423284663608341e-13
#else
    -1.849605515f, -2.638967714f, -0.8431064163f, -0.04154963171f, 0.00997370175f, -0.001886313944f, 0.0002009951636f
#endif
};

/* (cos(pi r) - 1) / r^2 and (sin(pi r) - pi r) / r^3 in r^2 <= 1/16: their Taylor series, of which the rest is below a tenth of a
 * last place */
static const cge_real cospi_coefficients[] = {
#if CGE_F64
    -4.93480220054467930942, 4.05871212641676821819, -1.33526276885458949588, 0.235330630358893204542, -0.0258068913900140600126,
    0.00192957430940392304790, -0.000104638104924845707118, 0.00000430306958703294700730, -1.38789524622137721145e-7
#else
    -4.93480220f, 4.05871213f, -1.33526277f, 0.235330630f, -0.0258068914f
#endif
};
static const cge_real sinpi_coefficients[] = {
#if CGE_F64
    -5.16771278004997002925, 2.55016403987734544386, -0.599264529320792076888, 0.0821458866111282287988, -0.00737043094571435077726,
    0.000466302805767612564421, -0.0000219153534478302158274, 7.95205400147551278478e-7, -2.29484289972698731102e-8
#else
    -5.16771278f, 2.55016404f, -0.599264529f, 0.0821458866f, -0.00737043095f
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

/* 2^k as a normal number, -EXPONENT_BIAS < k <= EXPONENT_BIAS */
static cge_real power_of_two(int k)
{
    return cge_real_of((cge_real_bits)(k + EXPONENT_BIAS) << CGE_FRACTION_BITS);
}

/* x = m * 2^k with m in [1, 2) as bits without the exponent field (hidden bit set); x positive, finite */
static int split(cge_real x, cge_real_bits *m)
{
    cge_real_bits bits = cge_bits_of(x);
    const cge_real_bits hidden = (cge_real_bits)1 << CGE_FRACTION_BITS;
    int k = (int)(bits >> CGE_FRACTION_BITS) - EXPONENT_BIAS;
    if (k == -EXPONENT_BIAS) { /* subnormal: shift the leading one into the hidden place */
        for (k++; (bits & hidden) == 0; k--) bits <<= 1;
    }
    *m = (bits & (hidden - 1)) | hidden;
    return k;
}

/* The logarithm or root of what is not positive and finite: NaN of negative numbers. From bits, as a division by zero might
 * trap. */
static cge_real outside_domain(cge_real x, cge_real at_zero)
{
    if (cge_is_nan(x) || cge_bits_of(x) == CGE_INFINITY_BITS) return x;
    return x < 0 ? cge_real_of(CGE_NAN_BITS) : at_zero;
}

static int is_positive_and_finite(cge_real x)
{
    return cge_bits_of(x) - 1 < CGE_INFINITY_BITS - 1;
}

CGE_INTERNAL cge_real cge_exp(cge_real x)
{
    cge_real r, n;
    int k, half;
    if (cge_is_nan(x)) return x;
    if (x > EXP_OVERFLOW) return cge_real_of(CGE_INFINITY_BITS);
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

CGE_INTERNAL cge_real cge_log(cge_real x)
{
    const cge_real_bits one = (cge_real_bits)EXPONENT_BIAS << CGE_FRACTION_BITS;
    const cge_real_bits root_two = ((cge_real_bits)53 << CGE_FRACTION_BITS) / 128; /* m above 1.414: use m / 2 */
    cge_real f, s, z, half_square, n;
    cge_real_bits m, fraction;
    int k;
    if (!is_positive_and_finite(x)) return outside_domain(x, cge_real_of(CGE_SIGN_BIT | CGE_INFINITY_BITS));
    k = split(x, &m);
    fraction = m & (((cge_real_bits)1 << CGE_FRACTION_BITS) - 1);
    if (fraction > root_two) {
        k++;
        f = cge_real_of((one - ((cge_real_bits)1 << CGE_FRACTION_BITS)) | fraction) - CGE_REAL(1);
    } else {
        f = cge_real_of(one | fraction) - CGE_REAL(1);
    }
    /* log(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)),  R = s^2 * polynomial: the largest term f is exact */
    s = f / (CGE_REAL(2) + f);
    z = s * s;
    half_square = CGE_REAL(0.5) * f * f;
    n = CGE_REAL(k);
    return n * LN2_HIGH - ((half_square - (s * (half_square + z * polynomial(log_coefficients, TERMS(log_coefficients), z)) + n * LN2_LOW)) - f);
}

CGE_INTERNAL cge_real cge_tanh(cge_real x)
{
    cge_real a = x < 0 ? -x : x, y, z;
    if (!(a >= CGE_REAL(0.5625))) { /* and NaN */
        z = x * x;
        return x * (CGE_REAL(1) + z * polynomial(tanh_coefficients, TERMS(tanh_coefficients), z)); /* keeps the sign of 0 */
    }
    y = a > TANH_ONE ? CGE_REAL(1) : CGE_REAL(1) - CGE_REAL(2) / (cge_exp(a + a) + CGE_REAL(1));
    return x < 0 ? -y : y;
}

CGE_INTERNAL cge_real cge_erf(cge_real x)
{
    const cge_real a = x < 0 ? -x : x;
    cge_real y;
    if (!(a >= CGE_REAL(0.875))) return x + x * polynomial(erf_coefficients, TERMS(erf_coefficients), x * x); /* and NaN; keeps the sign of 0 */
    y = a > ERF_ONE ? CGE_REAL(1) : CGE_REAL(1) - cge_exp(polynomial(erfc_coefficients, TERMS(erfc_coefficients), a - CGE_REAL(1)));
    return x < 0 ? -y : y;
}

CGE_INTERNAL cge_real cge_sinpi_near(cge_real r)
{
    const cge_real z = r * r;
    return r * PI_HIGH + r * (PI_LOW + z * polynomial(sinpi_coefficients, TERMS(sinpi_coefficients), z));
}

/* a = n / 2 + r with |r| <= 1/4: all exact. */
CGE_INTERNAL cge_real cge_cospi(cge_real x)
{
    cge_real a = x < 0 ? -x : x, r, y;
    int n;
    if (!cge_is_finite(x)) return cge_real_of(CGE_NAN_BITS);
    if (a >= ALL_EVEN) return CGE_REAL(1);
    a -= CGE_REAL(2) * CGE_REAL((whole_number)(a * CGE_REAL(0.5)));
    n = (int)(CGE_REAL(2) * a + CGE_REAL(0.5));
    r = a - CGE_REAL(n) * CGE_REAL(0.5);
    y = (n & 1) != 0 ? cge_sinpi_near(r) : CGE_REAL(1) + r * r * polynomial(cospi_coefficients, TERMS(cospi_coefficients), r * r);
    return n == 1 || n == 2 ? CGE_REAL(0) - y : y;
}

#if !CGE_F64 && defined(__GNUC__) && defined(__arm__) && (!defined(__thumb__) || defined(__thumb2__)) && defined(__ARM_FP) && (__ARM_FP & 4)

/* The FPU's square root is correctly rounded too; sqrtf of the C library would also want errno. */
CGE_INTERNAL cge_real cge_sqrt(cge_real x)
{
    __asm__("vsqrt.f32 %0, %0" : "+t"(x));
    return x;
}

#else

/* Digit by digit (Ercegovac & Lang, "Digital Arithmetic", section 6.1): q^2 <= m, one bit of the root a step, with
 * one extra bit to round by. The remainder is never exactly half an ulp, so "round up if the extra bit is set". */
CGE_INTERNAL cge_real cge_sqrt(cge_real x)
{
    cge_real_bits m, root = 0, twice = 0, bit;
    int k;
    if (!is_positive_and_finite(x)) return outside_domain(x, x);
    k = split(x, &m);
    if ((k & 1) != 0) { /* also for negative odd k: two's complement */
        m <<= 1;
        k--;
    }
    m <<= 1;
    for (bit = (cge_real_bits)1 << (CGE_FRACTION_BITS + 1); bit != 0; bit >>= 1) {
        cge_real_bits trial = twice + bit;
        if (trial <= m) {
            twice = trial + bit;
            m -= trial;
            root += bit;
        }
        m <<= 1;
    }
    root = (root >> 1) + (root & 1);
    return cge_real_of(root + ((cge_real_bits)(k / 2 + EXPONENT_BIAS - 1) << CGE_FRACTION_BITS));
}

#endif

cge_real cge_rng_uniform_f32(cge_rng *rng)
{
    return CGE_REAL(cge_rng_next(rng) >> 8) * CGE_REAL(0x1p-24);
}

CGE_INTERNAL cge_real cge_rng_centred(cge_rng *rng)
{
    return CGE_REAL(2) * cge_rng_uniform_f32(rng) - CGE_REAL(1);
}

CGE_INTERNAL cge_real cge_rng_normal(cge_rng *rng)
{
    cge_real u, v, s;
    do {
        u = cge_rng_centred(rng);
        v = cge_rng_centred(rng);
        s = u * u + v * v;
    } while (s >= CGE_REAL(1) || !(s > 0));
    return u * cge_sqrt(CGE_REAL(-2) * cge_log(s) / s);
}
