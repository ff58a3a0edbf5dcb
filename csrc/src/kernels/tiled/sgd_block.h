/*
 * Two parameters, and what is usual: v = momentum v + scale dw, +0 where that is subnormal; w += minus_rate v. And four
 * numbers that must be below a limit. In assembly for ARM: GCC 12 never emits VLDM nor a chain of comparisons, and takes 12
 * instructions a parameter without the test for subnormal numbers, this 10 with it; 6 a number below the limit, this 2.
 */
#ifndef CGE_SGD_BLOCK_H
#define CGE_SGD_BLOCK_H

#include "tiled.h"

enum { CGE_SGD_BLOCK = 2, CGE_BELOW_BLOCK = 4 };

#if CGE_TILED_VFP

#define SGD_LINE(text) text "\n\t"

#if CGE_FUSED
#define SGD_MADD "vfma.f32"
#else
#define SGD_MADD "vmla.f32" /* rounds the product */
#endif

/* "higher": the limit is above the number without its sign. */
#define SGD_NORMAL(i, bits)                                                                          \
    SGD_LINE("cmp %[limit], %[" #bits "], lsl #1")                                                   \
    SGD_LINE("it hi")                                                                                \
    SGD_LINE("vmovhi.f32 s" #i ", %[zero]")

/* s2, s3: dw, then g, then the new v; s4, s5: v; s6, s7: w */
static inline void cge_sgd_blocks(int32_t blocks, float scale, float momentum, float minus_rate, const float **dw, float **w, float **v)
{
    const uint32_t limit = CGE_SMALLEST_NORMAL_BITS << 1;
    uint32_t a, b;
    __asm__ volatile(SGD_LINE("1:")
                     SGD_LINE("vldmia %[dw]!, {s2-s3}")
                     SGD_LINE("vldmia %[v], {s4-s5}")
                     SGD_LINE("vldmia %[w], {s6-s7}")
                     SGD_LINE("vmul.f32 s2, s2, %[scale]")
                     SGD_LINE("vmul.f32 s3, s3, %[scale]")
                     SGD_LINE(SGD_MADD " s2, s4, %[momentum]")
                     SGD_LINE(SGD_MADD " s3, s5, %[momentum]")
                     SGD_LINE("vmov %[a], %[b], s2, s3")
                     SGD_NORMAL(2, a)
                     SGD_NORMAL(3, b)
                     SGD_LINE(SGD_MADD " s6, s2, %[minus_rate]")
                     SGD_LINE(SGD_MADD " s7, s3, %[minus_rate]")
                     SGD_LINE("vstmia %[v]!, {s2-s3}")
                     SGD_LINE("subs %[blocks], %[blocks], #1")
                     SGD_LINE("vstmia %[w]!, {s6-s7}")
                     SGD_LINE("bne 1b")
                     : [blocks] "+r"(blocks), [dw] "+r"(*dw), [w] "+r"(*w), [v] "+r"(*v), [a] "=&r"(a), [b] "=&r"(b)
                     : [limit] "r"(limit), [zero] "t"(0.0f), [scale] "t"(scale), [momentum] "t"(momentum), [minus_rate] "t"(minus_rate)
                     : "s2", "s3", "s4", "s5", "s6", "s7", "cc", "memory");
}

/* Whether the first `blocks` times four numbers, at least one block, are below the limit. The chain of comparisons ends at the first that is
 * not; `largest` is odd, so the flags say "equal" only where the addresses are: behind the last block. */
static inline int cge_blocks_below(int32_t blocks, const float *x, uint32_t limit)
{
    const float *const end = x + blocks * CGE_BELOW_BLOCK;
    int below;
    __asm__ volatile(SGD_LINE("1:")
                     SGD_LINE("ldmia %[x]!, {r2, r3, r4, r5}")
                     SGD_LINE("cmp %[largest], r2, lsl #1")
                     SGD_LINE("itttt hs")
                     SGD_LINE("cmphs %[largest], r3, lsl #1")
                     SGD_LINE("cmphs %[largest], r4, lsl #1")
                     SGD_LINE("cmphs %[largest], r5, lsl #1")
                     SGD_LINE("cmphs %[end], %[x]")
                     SGD_LINE("bhi 1b")
                     SGD_LINE("ite eq")
                     SGD_LINE("moveq %[below], #1")
                     SGD_LINE("movne %[below], #0")
                     : [x] "+r"(x), [below] "=r"(below)
                     : [end] "r"(end), [largest] "r"((limit << 1) - 1)
                     : "r2", "r3", "r4", "r5", "cc", "memory");
    return below;
}

#else

static inline int cge_blocks_below(int32_t blocks, const float *x, uint32_t limit)
{
    return cge_all_below_f32_ref(blocks * CGE_BELOW_BLOCK, x, limit);
}

static inline float cge_sgd_velocity(float v)
{
    return cge_is_below(v, CGE_SMALLEST_NORMAL_BITS) ? 0.0f : v;
}

static inline void cge_sgd_blocks(int32_t blocks, float scale, float momentum, float minus_rate, const float **dw, float **w, float **v)
{
    int32_t i;
    for (i = 0; i < blocks * CGE_SGD_BLOCK; i++) {
        const float g = *(*dw)++ * scale;
        const float velocity = cge_sgd_velocity(CGE_MADD(g, momentum, **v));
        *(*v)++ = velocity;
        **w = CGE_MADD(**w, minus_rate, velocity);
        (*w)++;
    }
}

#endif
#endif
