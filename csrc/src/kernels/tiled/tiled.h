/*
 * What the tiled kernels are written with: small arrays that live in registers, loops of constant length over them
 * that are unrolled completely, functions that are inlined with a constant block size (CGE_INLINE). GCC needs to be told
 * at -O2; a compiler that does not know these words gives the same bits, slower.
 */
#ifndef CGE_TILED_H
#define CGE_TILED_H

#include "../kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#define CGE_SELDOM static __attribute__((noinline, optimize("Os"))) /* what need not be fast beside a fast case */
#else
#define CGE_SELDOM static
#endif

/* Around the sources of tiles. At -O3 GCC 12 makes vectors of the sums of a tile and reads up to three runs ahead for them,
 * beyond the end of an array. */
#if CGE_HOST && defined(__GNUC__) && !defined(__clang__)
#define CGE_TILES_BEGIN _Pragma("GCC push_options") _Pragma("GCC optimize(\"no-tree-slp-vectorize\", \"no-tree-loop-vectorize\")")
#define CGE_TILES_END _Pragma("GCC pop_options")
#else
#define CGE_TILES_BEGIN
#define CGE_TILES_END
#endif

#if defined(__GNUC__)
#define CGE_UNROLL _Pragma("GCC unroll 8") /* before a loop of at most 8 turns */
#else
#define CGE_UNROLL
#endif

/* 32-bit ARM with single-precision VFP: assembly for it is in files *_vfp.h, sgd_block.h and adam_block.h. */
#if defined(__GNUC__) && defined(__arm__) && (!defined(__thumb__) || defined(__thumb2__)) && defined(__ARM_FP) && (__ARM_FP & 4) && \
    (!CGE_FUSED || defined(__ARM_FEATURE_FMA))
#define CGE_TILED_VFP 1
#else
#define CGE_TILED_VFP 0
#endif

#endif
