/*
 * The square root inside loops: the processor's instruction where there is one, which is correctly rounded as cge_sqrt is (of
 * numbers >= 0: the same bits), and does not cost a call.
 */
#ifndef CGE_ROOT_H
#define CGE_ROOT_H

#include "elementary.h"

#if !defined(__GNUC__)
#define CGE_ROOT_IN_HARDWARE 0
#elif defined(__x86_64__) && defined(__SSE2__)
#define CGE_ROOT_IN_HARDWARE 1
#define CGE_ROOT_REGISTER "+x"
#if CGE_F64
#define CGE_ROOT_INSTRUCTION "sqrtsd %0, %0"
#else
#define CGE_ROOT_INSTRUCTION "sqrtss %0, %0"
#endif
#elif defined(__aarch64__)
#define CGE_ROOT_IN_HARDWARE 1
#define CGE_ROOT_REGISTER "+w"
#if CGE_F64
#define CGE_ROOT_INSTRUCTION "fsqrt %d0, %d0"
#else
#define CGE_ROOT_INSTRUCTION "fsqrt %s0, %s0"
#endif
#elif !CGE_F64 && defined(__arm__) && (!defined(__thumb__) || defined(__thumb2__)) && defined(__ARM_FP) && (__ARM_FP & 4)
#define CGE_ROOT_IN_HARDWARE 1
#define CGE_ROOT_REGISTER "+t"
#define CGE_ROOT_INSTRUCTION "vsqrt.f32 %0, %0"
#else
#define CGE_ROOT_IN_HARDWARE 0
#endif

#if CGE_ROOT_IN_HARDWARE

static inline cge_real cge_root(cge_real x)
{
    __asm__(CGE_ROOT_INSTRUCTION : CGE_ROOT_REGISTER(x));
    return x;
}

#else
#define cge_root cge_sqrt
#endif

#endif
