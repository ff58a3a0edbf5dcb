/* Compile-time options and the few words of C that every source uses. Included first by each source. */
#ifndef CGE_CONFIG_H
#define CGE_CONFIG_H

/* CGE_FUSED=1: multiply-adds round once where the core has a fused instruction. Faster on Cortex-M7 and aarch64, but
 * other bits than an exact build: every target of one experiment must agree on this option. */
#ifndef CGE_FUSED
#define CGE_FUSED 0
#endif

/* CGE_SMALL=1: only the reference kernels are linked; smallest code, same bits. */
#ifndef CGE_SMALL
#define CGE_SMALL 0
#endif

/* CGE_HOST: an operating system is there, so kernels are chosen when the program starts (kernels/sets_host.c). */
#ifndef CGE_HOST
#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
#define CGE_HOST 1
#else
#define CGE_HOST 0
#endif
#endif

/* What host/threads.c takes from the system's headers. Here, since the first of them to be included settles it, and all
 * sources may be one translation unit. */
#if CGE_HOST && defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#elif CGE_HOST && defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE
#elif CGE_HOST && defined(__unix__) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200112L
#endif

#include "../../include/cge.h"

#include <string.h>

/* CGE_F64 is set by f64.c alone, while it includes the sources a second time. */
#ifndef CGE_F64
#define CGE_F64 0
#endif

/* Functions shared between sources but not public: external here, static in the one-file f64 copy. */
#ifndef CGE_INTERNAL
#define CGE_INTERNAL
#endif

/*
 * The bits are these sources' affair, not that of the flags they are compiled with. GCC takes its options back here, whatever
 * the command line says: -Ofast, -ffast-math and each of its parts, -ffp-contract=fast, which is the default of -std=gnu11.
 * Other compilers are told what they can be told, and refused where they say that they compute otherwise. What nobody says
 * here, cge_check_arithmetic finds. CGE_ANY_ARITHMETIC=1 takes the flags as they are: other bits, and no promise at all.
 */
#ifndef CGE_ANY_ARITHMETIC
#define CGE_ANY_ARITHMETIC 0
#endif

#if CGE_ANY_ARITHMETIC
#elif defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-fast-math", "no-unsafe-math-optimizations", "no-finite-math-only", "no-associative-math")
#pragma GCC optimize("no-reciprocal-math", "signed-zeros", "fp-contract=off")
#elif defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
#error "convgrad_embedded: fast-math options give other bits: compile without them, or with -DCGE_ANY_ARITHMETIC=1"
#elif defined(__clang__)
#if defined(__i386__) || defined(__x86_64__) || (defined(__aarch64__) && __clang_major__ >= 16)
#pragma float_control(precise, on) /* clang for 32-bit Arm does not know it */
#endif
#pragma STDC FP_CONTRACT OFF
#endif

#if !CGE_ANY_ARITHMETIC && defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "convgrad_embedded: float is computed in a wider type: on x86 -msse2 -mfpmath=sse, elsewhere -std=gnu99 or -fexcess-precision=fast may help"
#endif

/* The float vectors of MVE (Cortex-M55), which GCC 12 makes at -O2, flush subnormal numbers to zero: other bits. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__ARM_FEATURE_MVE)
#pragma GCC optimize("no-tree-loop-vectorize", "no-tree-slp-vectorize")
#endif

/* Assembly takes all registers that there are, also in builds to be debugged (-O0, -fno-omit-frame-pointer). */
#if defined(__GNUC__) && !defined(__clang__) && defined(__thumb__)
#pragma GCC optimize("omit-frame-pointer")
#endif

/* A function of which each call becomes a copy of its own, for the constants it is called with. The coverage build defines
 * it otherwise, to count each line once. */
#ifndef CGE_INLINE
#if defined(__GNUC__)
#define CGE_INLINE static inline __attribute__((always_inline))
#else
#define CGE_INLINE static inline
#endif
#endif

/* A function with a frame of its own: an inner loop that needs the registers for itself, or what would otherwise add to the
 * stack of everything that its caller calls. */
#if defined(__GNUC__)
#define CGE_NOINLINE static __attribute__((noinline))
#else
#define CGE_NOINLINE static
#endif

#if defined(__GNUC__)
#define CGE_RESTRICT __restrict__
#else
#define CGE_RESTRICT restrict
#endif

/* Every multiply-add of every kernel: acc + a * b. */
#if CGE_FUSED && !CGE_F64
#define CGE_MADD(acc, a, b) __builtin_fmaf((a), (b), (acc))
#else
#define CGE_MADD(acc, a, b) ((acc) + (a) * (b))
#endif

#define CGE_REAL(x) ((cge_real)(x)) /* a constant that both number types hold exactly */

/* ---- the bits of a number ---- */

#if CGE_F64
typedef uint64_t cge_real_bits;
#define CGE_FRACTION_BITS 52
#define CGE_EXPONENT_BIAS 1023
#else
typedef uint32_t cge_real_bits;
#define CGE_FRACTION_BITS 23
#define CGE_EXPONENT_BIAS 127
#endif

#define CGE_SIGN_BIT ((cge_real_bits)1 << (8 * sizeof(cge_real_bits) - 1))
#define CGE_INFINITY_BITS (CGE_SIGN_BIT - ((cge_real_bits)1 << CGE_FRACTION_BITS)) /* all of the exponent */
#define CGE_SMALLEST_NORMAL_BITS ((cge_real_bits)1 << CGE_FRACTION_BITS) /* of FLT_MIN, DBL_MIN */
#define CGE_SMALLEST_WEIGHT_BITS ((cge_real_bits)(CGE_EXPONENT_BIAS - 100) << CGE_FRACTION_BITS) /* that decays: of 2^-100 */
#define CGE_2_POW_32_BITS ((cge_real_bits)(CGE_EXPONENT_BIAS + 32) << CGE_FRACTION_BITS)
#define CGE_2_POW_64_BITS ((cge_real_bits)(CGE_EXPONENT_BIAS + 64) << CGE_FRACTION_BITS)
#define CGE_NAN_BITS (CGE_INFINITY_BITS | (CGE_INFINITY_BITS >> 1)) /* quiet, positive, no payload */

static inline cge_real_bits cge_bits_of(cge_real x)
{
    cge_real_bits bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline cge_real cge_real_of(cge_real_bits bits)
{
    cge_real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Asked of integers: a compiler that was told that all numbers are finite takes x == x for true. */
static inline int cge_is_nan(cge_real x)
{
    return (cge_bits_of(x) & ~CGE_SIGN_BIT) > CGE_INFINITY_BITS;
}

/* Whether |x| is less than the number with these bits; NaN is not less than infinity. */
static inline int cge_is_below(cge_real x, cge_real_bits limit)
{
    return (cge_real_bits)(cge_bits_of(x) << 1) < (cge_real_bits)(limit << 1);
}

static inline int cge_is_finite(cge_real x)
{
    return cge_is_below(x, CGE_INFINITY_BITS);
}

/* Of a model's settings, which are float in the double-precision copy too; -0 is one. */
static inline int cge_is_finite_nonnegative(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0x7f800000u || bits == 0x80000000u;
}

/* Of either sign. */
static inline int cge_is_zero(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits << 1 == 0;
}

/* x, or +0 where it is smaller in magnitude than the number with these bits. */
static inline cge_real cge_not_below(cge_real_bits limit, cge_real x)
{
    return cge_is_below(x, limit) ? CGE_REAL(0) : x;
}

/* 0 .. 1, 1 excluded. */
static inline int cge_is_dropout_rate(float p)
{
    return cge_is_finite_nonnegative(p) && p < 1.0f;
}

/* ---- checks ---- */

static inline int cge_is_aligned(const void *p, size_t to)
{
    return ((uintptr_t)p & (to - 1)) == 0;
}

/* Status of a required buffer of cge_real; and of one of n elements. */
static inline cge_status cge_check_buffer(const cge_real *p)
{
    if (p == NULL) return CGE_ERR_NULL;
    return cge_is_aligned(p, sizeof(cge_real)) ? CGE_OK : CGE_ERR_ALIGN;
}

static inline cge_status cge_check_vector(int32_t n, const cge_real *p)
{
    if (n < 1) return CGE_ERR_SHAPE;
    return n > CGE_MAX_ELEMS ? CGE_ERR_OVERFLOW : cge_check_buffer(p);
}

#define CGE_TRY(call)                              \
    do {                                           \
        cge_status cge_try_ = (call);              \
        if (cge_try_ != CGE_OK) return cge_try_;   \
    } while (0)

#endif
