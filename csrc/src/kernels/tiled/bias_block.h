/*
 * A bias that is added to a map: eight filters at a time, whose biases stay in registers while the pixels pass by.
 *
 *   y[i][k] += b[k]    i < pixels, k < what is returned; y [pixels][filters]
 *
 * In assembly on 32-bit Arm with an FPU, where eight neighbours are loaded with one instruction; elsewhere nothing is done.
 */
#ifndef CGE_BIAS_BLOCK_H
#define CGE_BIAS_BLOCK_H

#include "tiled.h"

enum { CGE_BIAS_BLOCK = 8 };

#if CGE_TILED_VFP && !CGE_F64 && !CGE_SMALL

#define BIAS_LINE(text) text "\n\t"
#define BIAS_ADD(y, b) BIAS_LINE("vadd.f32 s" #y ", s" #y ", s" #b)

static inline int32_t cge_add_bias_blocks(int32_t pixels, int32_t filters, const float *b, float *y)
{
    const int32_t done = filters & -CGE_BIAS_BLOCK, pitch = filters * (int32_t)sizeof *y;
    int32_t k;
    for (k = 0; k < done; k += CGE_BIAS_BLOCK) {
        float *at = y + k;
        int32_t n = pixels;
        __asm__ volatile(BIAS_LINE("vldmia %[b], {s8-s15}")
                         BIAS_LINE("0:") BIAS_LINE("vldmia %[at], {s0-s7}")
                         BIAS_ADD(0, 8) BIAS_ADD(1, 9) BIAS_ADD(2, 10) BIAS_ADD(3, 11)
                         BIAS_ADD(4, 12) BIAS_ADD(5, 13) BIAS_ADD(6, 14) BIAS_ADD(7, 15)
                         BIAS_LINE("vstmia %[at], {s0-s7}") BIAS_LINE("add %[at], %[at], %[pitch]")
                         BIAS_LINE("subs %[n], %[n], #1") BIAS_LINE("bne 0b")
                         : [at] "+r"(at), [n] "+r"(n)
                         : [b] "r"(b + k), [pitch] "r"(pitch)
                         : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15",
                           "cc", "memory");
    }
    return done;
}

#undef BIAS_LINE
#undef BIAS_ADD

#else

static inline int32_t cge_add_bias_blocks(int32_t pixels, int32_t filters, const cge_real *b, cge_real *y)
{
    (void)pixels, (void)filters, (void)b, (void)y;
    return 0;
}

#endif
#endif
