/*
 * The lanes variant: SIMD over independent outputs. Internal to this folder.
 *
 * Every hot loop of a convolution or dense layer, in every pass, is one and the same sum:
 *
 *     y[q][p][k] = start[q][p][k] + sum_r sum_s sum_d  x[q,p,r,s,d] * w[q,r,s,d][k]            (a "sweep")
 *
 * where each index moves its pointer by a fixed step, k is contiguous, and r, s, d ascend in this order: the order of
 * additions of the contract. What the indices mean:
 *
 *                    q, p             k          r           s               d
 *   forward          output pixels    filters    kernel row  kernel column   channel
 *   weight gradient  channels (taps)  filters    output row  -               output column
 *   input gradient   input pixels     channels   kernel row  kernel column   filter          (w transposed, see below)
 *   dense            samples          outputs    -           -               input
 *   dense, dw        inputs           outputs    -           -               sample
 *
 * Depthwise layers have one channel per filter: there x is read as a vector along k too ("wide").
 *
 * SIMD lanes and registers run over k and p, so nothing is ever reassociated: each element is its own chain of one
 * multiplication and one addition per term.
 *
 * The sources are templates, *.inc, which lanes_all.inc includes. Each of lanes_baseline.c, lanes_avx2.c and lanes_avx512.c
 * includes that once, for one instruction set. What they define is named after the set (lanes_names.inc), and their
 * options end with them: all three may be part of one translation unit.
 */
#ifndef CGE_LANES_H
#define CGE_LANES_H

#include <string.h>

#include "../kernels.h"

/* GCC's vector extension, which clang has too, on ISAs whose vectors compute as scalars do. Without it: the same source
 * with arrays of 16 floats in place of vectors is as fast from GCC 12 at -O2 and from clang, and 30 times slower from
 * GCC 12 at -O3 (4 to 8 GFLOP/s instead of 150 to 220). */
#if CGE_HOST && !CGE_SMALL && !CGE_F64 && defined(__GNUC__) && ((defined(__x86_64__) && defined(__SSE2__)) || defined(__aarch64__))
#define CGE_HAS_LANES 1
#else
#define CGE_HAS_LANES 0
#endif

#if CGE_HAS_LANES && defined(__x86_64__)
#define CGE_HAS_LANES_X86 1
#else
#define CGE_HAS_LANES_X86 0
#endif

/* A fused build needs the instruction, which x86-64 has had since AVX2. */
#ifndef CGE_HAS_LANES_BASELINE
#if CGE_HAS_LANES && (!CGE_FUSED || defined(__FMA__) || defined(__aarch64__))
#define CGE_HAS_LANES_BASELINE 1
#else
#define CGE_HAS_LANES_BASELINE 0
#endif
#endif

#if CGE_HAS_LANES_BASELINE
#define CGE_DECLARE_LANES(type, operator_) CGE_INTERNAL type cge_##operator_##_f32_lanes;
CGE_OPERATORS(CGE_DECLARE_LANES)
CGE_ELEMENTWISE(CGE_DECLARE_LANES)
CGE_NORMS(CGE_DECLARE_LANES)
#endif
#if CGE_HAS_LANES_X86
#define CGE_DECLARE_LANES_X86(type, operator_)           \
    CGE_INTERNAL type cge_##operator_##_f32_lanes_avx2; \
    CGE_INTERNAL type cge_##operator_##_f32_lanes_avx512;
CGE_OPERATORS(CGE_DECLARE_LANES_X86)
CGE_ELEMENTWISE(CGE_DECLARE_LANES_X86)
CGE_NORMS(CGE_DECLARE_LANES_X86)
#endif

/* acc + a * b on vectors; a may be a number. There is no builtin for a fused one: compilers are let to contract it
 * (lanes_all.inc). GCC
 * tuned for AMD's Zen (-march=native) would not, where sums are chains, so it is given the instruction. a - 0 is a. */
#if CGE_FUSED && defined(__x86_64__) && !defined(__clang__)
#define CGE_LANES_MADD(acc, a, b)                                               \
    __extension__({                                                             \
        __typeof__((acc) + (acc)) sum_ = (acc), a_ = (a) - (__typeof__(sum_)){0}; \
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum_) : "v"(a_), "vm"(b));      \
        sum_;                                                                   \
    })
#else
#define CGE_LANES_MADD(acc, a, b) ((acc) + (a) * (b))
#endif

/* Before a loop of at most 16 turns over vectors that are to stay in registers. */
#if defined(__clang__) /* unrolls by itself; told to, it does so too late to keep them there */
#define CGE_LANES_UNROLL
#else
#define CGE_LANES_UNROLL _Pragma("GCC unroll 16")
#endif

/* Keeps a vector in a register here: GCC 12 would read one that three multiplications use three times from memory. */
#if defined(__x86_64__)
#define CGE_LANES_IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define CGE_LANES_IN_REGISTER(v) __asm__("" : "+w"(v))
#endif

/* A name of the instruction set at work, of which CGE_LANES_ISA is the end of all names. `name` is taken as it
 * is written, though a copy of the core may have a macro for it. */
#define CGE_LANES(name) CGE_LANES_NAMED_(name##_, CGE_LANES_ISA)
#define CGE_LANES_NAMED_(name, isa) CGE_LANES_NAMED(name, isa)
#define CGE_LANES_NAMED(name, isa) name##isa

#define CGE_LANES_JOIN_(a, b) a##_##b
#define CGE_LANES_JOIN(a, b) CGE_LANES_JOIN_(a, b)

enum { CGE_LANES_NARROWEST = 4 }; /* fewer outputs than this along k: the reference is used */

typedef struct cge_sweep {
    const float *x, *w, *start; /* start NULL: zeros; else [q][p][k] like y, with steps of its own */
    float *y;
    int32_t q, p, k, r, s, d;   /* counts; q, r, s, d may be 0 */
    ptrdiff_t x_q, x_p, x_r, x_s, x_d;
    ptrdiff_t w_q, w_r, w_s, w_d;
    ptrdiff_t start_q, start_p, y_q, y_p;
    int32_t wide; /* x too is a vector along k */
} cge_sweep;

#endif
