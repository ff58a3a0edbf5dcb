/* Compile-time options and the few words of C that every source uses. Included first by each source. */
#ifndef CGE_CONFIG_H
#define CGE_CONFIG_H

#include "../include/cge.h"

/* CGE_FUSED=1: multiply-adds round once where the core has a fused instruction. Faster on Cortex-M7 and aarch64, but
 * other bits than an exact build: every target of one experiment must agree on this option. */
#ifndef CGE_FUSED
#define CGE_FUSED 0
#endif

/* CGE_SMALL=1: only the reference kernels are linked; smallest code, same bits. */
#ifndef CGE_SMALL
#define CGE_SMALL 0
#endif

/* CGE_HOST: an operating system is there, so kernels are chosen when the program starts (kernels/host.c). */
#ifndef CGE_HOST
#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
#define CGE_HOST 1
#else
#define CGE_HOST 0
#endif
#endif

/* CGE_F64 is set by f64.c alone, while it includes the sources a second time. */
#ifndef CGE_F64
#define CGE_F64 0
#endif

/* Functions shared between sources but not public: external here, static in the one-file f64 copy. */
#ifndef CGE_INTERNAL
#define CGE_INTERNAL
#endif

/* clang contracts a*b+c by default; GCC does not know the pragma and takes -ffp-contract=off instead. */
#if defined(__clang__) && !CGE_FUSED
#pragma STDC FP_CONTRACT OFF
#endif

/* The float vectors of MVE (Cortex-M55), which GCC 12 makes at -O2, flush subnormal numbers to zero: other bits. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__ARM_FEATURE_MVE)
#pragma GCC optimize("no-tree-loop-vectorize", "no-tree-slp-vectorize")
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

#if CGE_F64
typedef uint64_t cge_real_bits;
#else
typedef uint32_t cge_real_bits;
#endif

#define CGE_REAL(x) ((cge_real)(x)) /* a constant that both number types hold exactly */

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
