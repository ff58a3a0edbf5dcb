/*
 * Adam without decay, and AdamW, two parameters at a time. In assembly for ARM: GCC 12 never emits VLDM of two numbers, and
 * takes 33 and 38 instructions a parameter, this 23 and 28. The roots and quotients go on while other instructions run.
 */
#ifndef CGE_ADAM_BLOCK_H
#define CGE_ADAM_BLOCK_H

#include "tiled.h"

enum { CGE_ADAM_BLOCK = 2 };

#if CGE_TILED_VFP

#define ADAM_LINE(text) text "\n\t"

#if CGE_FUSED
#define ADAM_MADD "vfma.f32"
#else
#define ADAM_MADD "vmla.f32" /* rounds the product */
#endif

/* "higher": the limit is above the number without its sign. */
#define ADAM_NORMAL(i, bits)                       \
    ADAM_LINE("cmp %[limit], %[" #bits "], lsl #1") \
    ADAM_LINE("it hi")                             \
    ADAM_LINE("vmovhi.f32 s" #i ", %[zero]")
#define ADAM_SQUARE(i)                       \
    ADAM_LINE("vcmp.f32 s" #i ", %[smallest]") \
    ADAM_LINE("vmrs APSR_nzcv, fpscr")       \
    ADAM_LINE("it mi")                       \
    ADAM_LINE("vmovmi.f32 s" #i ", %[zero]")

#define ADAM_SMALL_WEIGHT(i, bits)                        \
    ADAM_LINE("cmp %[weight_limit], %[" #bits "], lsl #1") \
    ADAM_LINE("it hi")                                    \
    ADAM_LINE("vmovhi.f32 s" #i ", %[zero]")

/* s2, s3: dw, then g, then denominators; s4, s5: m, then quotients; s6, s7: v; s8, s9: w; s0, s1: what is between. At least one
 * block. */
#define ADAM_BLOCKS(name, before, after)                                                                              \
static inline void name(int32_t blocks, const cge_adam_step *s, const float **dw, float **w, float **m, float **v)    \
{                                                                                                                     \
    const uint32_t limit = CGE_SMALLEST_NORMAL_BITS << 1;                                                             \
    const uint32_t weight_limit = CGE_SMALLEST_WEIGHT_BITS << 1;                                                      \
    uint32_t a, b;                                                                                                    \
    __asm__ volatile(ADAM_LINE("1:")                                                                                  \
        ADAM_LINE("vldmia %[dw]!, {s2-s3}")                                                                           \
        ADAM_LINE("vldmia %[m], {s4-s5}")                                                                             \
        ADAM_LINE("vldmia %[v], {s6-s7}")                                                                             \
        ADAM_LINE("vldmia %[w], {s8-s9}")                                                                             \
        before ADAM_LINE("vmul.f32 s2, s2, %[scale]")                                                                 \
        ADAM_LINE("vmul.f32 s3, s3, %[scale]")                                                                        \
        ADAM_LINE("vsub.f32 s0, s2, s4")                                                                              \
        ADAM_LINE("vsub.f32 s1, s3, s5")                                                                              \
        ADAM_LINE("vmul.f32 s6, s6, %[beta2]")                                                                        \
        ADAM_LINE("vmul.f32 s7, s7, %[beta2]")                                                                        \
        ADAM_LINE(ADAM_MADD " s4, s0, %[gain1]")                                                                      \
        ADAM_LINE(ADAM_MADD " s5, s1, %[gain1]")                                                                      \
        ADAM_LINE("vmul.f32 s0, s2, %[gain2]")                                                                        \
        ADAM_LINE("vmul.f32 s1, s3, %[gain2]")                                                                        \
        ADAM_LINE("vmov %[a], %[b], s4, s5")                                                                          \
        ADAM_LINE(ADAM_MADD " s6, s0, s2")                                                                            \
        ADAM_LINE(ADAM_MADD " s7, s1, s3")                                                                            \
        ADAM_SQUARE(6)                                                                                                \
        ADAM_LINE("vsqrt.f32 s0, s6")                                                                                 \
        ADAM_SQUARE(7)                                                                                                \
        ADAM_NORMAL(4, a)                                                                                             \
        ADAM_NORMAL(5, b)                                                                                             \
        ADAM_LINE("vsqrt.f32 s1, s7")                                                                                 \
        ADAM_LINE("vmov.f32 s2, %[epsilon]")                                                                          \
        ADAM_LINE("vmov.f32 s3, %[epsilon]")                                                                          \
        ADAM_LINE(ADAM_MADD " s2, s0, %[root]")                                                                       \
        ADAM_LINE("vstmia %[m]!, {s4-s5}")                                                                            \
        ADAM_LINE("vdiv.f32 s4, s4, s2")                                                                              \
        ADAM_LINE(ADAM_MADD " s3, s1, %[root]")                                                                       \
        ADAM_LINE("vdiv.f32 s5, s5, s3")                                                                              \
        ADAM_LINE("vstmia %[v]!, {s6-s7}")                                                                            \
        ADAM_LINE(ADAM_MADD " s8, s4, %[minus_rate]")                                                                 \
        ADAM_LINE(ADAM_MADD " s9, s5, %[minus_rate]")                                                                 \
        after ADAM_LINE("vstmia %[w]!, {s8-s9}")                                                                      \
        ADAM_LINE("subs %[blocks], %[blocks], #1")                                                                    \
        ADAM_LINE("bne 1b")                                                                                           \
        : [blocks] "+r"(blocks), [dw] "+r"(*dw), [w] "+r"(*w), [m] "+r"(*m), [v] "+r"(*v), [a] "=&r"(a), [b] "=&r"(b) \
        : [limit] "r"(limit), [weight_limit] "r"(weight_limit), [zero] "t"(s->zero), [smallest] "t"(s->smallest),     \
          [scale] "t"(s->scale), [decay] "t"(s->decay), [gain1] "t"(s->gain1), [beta2] "t"(s->beta2),                 \
          [gain2] "t"(s->gain2), [root] "t"(s->root), [epsilon] "t"(s->epsilon), [minus_rate] "t"(-s->rate)           \
        : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "cc", "memory");                                \
}

ADAM_BLOCKS(cge_adam_blocks, , )
ADAM_BLOCKS(cge_adamw_blocks,
            ADAM_LINE("vmul.f32 s8, s8, %[decay]") ADAM_LINE("vmul.f32 s9, s9, %[decay]"),
            ADAM_LINE("vmov %[a], %[b], s8, s9") ADAM_SMALL_WEIGHT(8, a) ADAM_SMALL_WEIGHT(9, b))

#else

static inline void cge_adam_blocks(int32_t blocks, const cge_adam_step *s, const float **dw, float **w, float **m, float **v)
{
    const int32_t n = blocks * CGE_ADAM_BLOCK;
    cge_adam_f32_ref(n, s, *dw, *w, *m, *v);
    *dw += n;
    *w += n;
    *m += n;
    *v += n;
}

#define cge_adamw_blocks cge_adam_blocks

#endif
#endif
