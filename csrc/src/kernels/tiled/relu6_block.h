/*
 * ReLU6 and its gradient on four elements at a time, as bits. In assembly for ARM: GCC 12 never emits a chain of comparisons nor
 * LDM. Instructions an element on a Cortex-M4F, forward / gradient: 3.5 / 4.6 here.
 */
#ifndef CGE_RELU6_BLOCK_H
#define CGE_RELU6_BLOCK_H

#include "tiled.h"

#if CGE_TILED_VFP

enum { CGE_RELU6_BLOCK = 4, CGE_RELU6_GRAD_BLOCK = 8 };

#define RELU6_LINE(text) text "\n\t"

/* What is negative becomes 0: its sign is spread over all bits. */
#define RELU6_POSITIVE(r) RELU6_LINE("bic " r ", " r ", " r ", asr #31")

/* Any number; NaN stays. */
#define RELU6_ANY(r)                                                                                 \
    RELU6_LINE("cmp %[infinity], " r ", lsl #1")                                                     \
    RELU6_LINE("blo 4f")                                                                             \
    RELU6_POSITIVE(r)                                                                                \
    RELU6_LINE("cmp " r ", %[six]")                                                                  \
    RELU6_LINE("it gt")                                                                              \
    RELU6_LINE("movgt " r ", %[six]")                                                                \
    RELU6_LINE("4:")

/* Usually no number of a block is above 6 or below -6. Doubled, as bits, numbers are without their sign. */
static inline void cge_relu6_blocks(int32_t blocks, const float *x, float *y)
{
    const uint32_t six = 0x40c00000u;
    __asm__ volatile(RELU6_LINE("1:")
                     RELU6_LINE("ldmia %[x]!, {r2, r3, r4, r5}")
                     RELU6_LINE("cmp %[limit], r2, lsl #1")
                     RELU6_LINE("ittt hs")
                     RELU6_LINE("cmphs %[limit], r3, lsl #1")
                     RELU6_LINE("cmphs %[limit], r4, lsl #1")
                     RELU6_LINE("cmphs %[limit], r5, lsl #1")
                     RELU6_LINE("blo 3f")
                     RELU6_POSITIVE("r2") RELU6_POSITIVE("r3") RELU6_POSITIVE("r4") RELU6_POSITIVE("r5")
                     RELU6_LINE("2:")
                     RELU6_LINE("stmia %[y]!, {r2, r3, r4, r5}")
                     RELU6_LINE("subs %[blocks], %[blocks], #1")
                     RELU6_LINE("bne 1b")
                     RELU6_LINE(".subsection 1")
                     RELU6_LINE("3:")
                     RELU6_ANY("r2") RELU6_ANY("r3") RELU6_ANY("r4") RELU6_ANY("r5")
                     RELU6_LINE("b 2b")
                     RELU6_LINE(".subsection 0")
                     : [blocks] "+r"(blocks), [x] "+r"(x), [y] "+r"(y)
                     : [limit] "r"(six << 1), [infinity] "r"(0xff000000u), [six] "r"(six)
                     : "r2", "r3", "r4", "r5", "cc", "memory");
}

#define RELU6_ZERO(r, offset)                                                                        \
    RELU6_LINE("sub " r ", " r ", #1")                                                               \
    RELU6_LINE("cmp " r ", %[limit]")                                                                \
    RELU6_LINE("it hs")                                                                              \
    RELU6_LINE("strhs %[zero], [%[dx], #" offset "]")

/* dx is dy before. y - 1 as bits is below that of 6 for numbers between 0 and 6 alone. */
static inline void cge_relu6_grad_blocks(int32_t blocks, const float *y, float *dx)
{
    __asm__ volatile(RELU6_LINE("1:")
                     RELU6_LINE("ldmia %[y]!, {r2, r3, r4, r5}")
                     RELU6_ZERO("r2", "0") RELU6_ZERO("r3", "4") RELU6_ZERO("r4", "8") RELU6_ZERO("r5", "12")
                     RELU6_LINE("ldmia %[y]!, {r2, r3, r4, r5}")
                     RELU6_ZERO("r2", "16") RELU6_ZERO("r3", "20") RELU6_ZERO("r4", "24") RELU6_ZERO("r5", "28")
                     RELU6_LINE("add %[dx], %[dx], #32")
                     RELU6_LINE("subs %[blocks], %[blocks], #1")
                     RELU6_LINE("bne 1b")
                     : [blocks] "+r"(blocks), [y] "+r"(y), [dx] "+r"(dx)
                     : [limit] "r"(0x40bfffffu), [zero] "r"(0)
                     : "r2", "r3", "r4", "r5", "cc", "memory");
}

#else /* no blocks: all is left to the reference */

enum { CGE_RELU6_BLOCK = 1 << 30, CGE_RELU6_GRAD_BLOCK = 1 << 30 };

static inline void cge_relu6_blocks(int32_t blocks, const float *x, float *y)
{
    (void)blocks, (void)x, (void)y;
}

static inline void cge_relu6_grad_blocks(int32_t blocks, const float *y, float *dx)
{
    (void)blocks, (void)y, (void)dx;
}

#endif

#endif
