/*
 * What the tiled kernels are written with: small arrays that live in registers, loops of constant length over them
 * that are unrolled completely, functions that are inlined with a constant block size (CGE_INLINE). GCC needs to be told
 * at -O2; a compiler that does not know these words gives the same bits, slower.
 */
#ifndef CGE_TILED_H
#define CGE_TILED_H

#include "kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#define CGE_SELDOM static __attribute__((noinline, optimize("Os"))) /* what need not be fast beside a fast case */
#else
#define CGE_SELDOM static
#endif

#if defined(__GNUC__)
#define CGE_UNROLL _Pragma("GCC unroll 8") /* before a loop of at most 8 turns */
#else
#define CGE_UNROLL
#endif

#endif
