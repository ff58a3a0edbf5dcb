/*
 * Eight outputs of a dense layer in registers, in assembly for 32-bit Arm with an FPU: one instruction loads eight neighbours,
 * and compilers make one load of each. Elsewhere in C.
 */
#ifndef CGE_DENSE_BLOCK_H
#define CGE_DENSE_BLOCK_H

#include "tiled.h"

enum { CGE_DENSE_BLOCK = 8 };

#if CGE_TILED_VFP && !CGE_FUSED

#define DENSE_LINE(text) text "\n\t"
#define DENSE_MUL(to, a, b) DENSE_LINE("vmul.f32 s" #to ", s" #a ", " b)
#define DENSE_ADD(sum, a) DENSE_LINE("vadd.f32 s" #sum ", s" #sum ", s" #a)
#define DENSE_ADD_ALL                                                                                            \
    DENSE_ADD(8, 16) DENSE_ADD(9, 17) DENSE_ADD(10, 18) DENSE_ADD(11, 19)                                        \
    DENSE_ADD(12, 20) DENSE_ADD(13, 21) DENSE_ADD(14, 22) DENSE_ADD(15, 23)
#define DENSE_CLOBBERS                                                                                           \
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", "s19", \
    "s20", "s21", "s22", "s23", "s24", "cc", "memory"

/* dw[i][o] += x[i] dy[o] for `in` > 0 inputs and eight outputs. */
static inline void cge_dense_weight_block(int32_t in, int32_t out, const float *x, const float *dy, float *dw)
{
    __asm__ volatile(DENSE_LINE("vldmia %[dy], {s0-s7}")
                     DENSE_LINE("1:")
                     DENSE_LINE("vldmia %[x]!, {s24}") DENSE_LINE("vldmia %[dw], {s8-s15}")
                     DENSE_MUL(16, 0, "s24") DENSE_MUL(17, 1, "s24") DENSE_MUL(18, 2, "s24") DENSE_MUL(19, 3, "s24")
                     DENSE_MUL(20, 4, "s24") DENSE_MUL(21, 5, "s24") DENSE_MUL(22, 6, "s24") DENSE_MUL(23, 7, "s24")
                     DENSE_ADD_ALL
                     DENSE_LINE("vstmia %[dw], {s8-s15}")
                     DENSE_LINE("add %[dw], %[dw], %[out], lsl #2")
                     DENSE_LINE("subs %[in], %[in], #1")
                     DENSE_LINE("bne 1b")
                     : [x] "+r"(x), [dw] "+r"(dw), [in] "+r"(in)
                     : [dy] "r"(dy), [out] "r"(out)
                     : DENSE_CLOBBERS);
}

#define DENSE_REST(sum)                                                                                          \
    DENSE_LINE("subs %[n], %[n], #1") DENSE_LINE("blt 3f")                                                       \
    DENSE_LINE("vldmia %[w]!, {s16}") DENSE_LINE("vldmia %[at]!, {s0}") DENSE_MUL(16, 0, "s16") DENSE_ADD(sum, 16)

/* dx[i] = the sum of eight sums of dy[o] w[i][o], o % 8 alike, for `in` > 0 inputs. */
static inline void cge_dense_input_sums(int32_t in, int32_t out, const float *w, const float *dy, const float *zeros, float *dx)
{
    const float *at;
    int32_t n;
    __asm__ volatile(DENSE_LINE("0:")
                     DENSE_LINE("vldmia %[zeros], {s8-s15}") DENSE_LINE("mov %[at], %[dy]")
                     DENSE_LINE("subs %[n], %[out], #8") DENSE_LINE("blt 2f")
                     DENSE_LINE("1:")
                     DENSE_LINE("vldmia %[at]!, {s0-s7}") DENSE_LINE("vldmia %[w]!, {s16-s23}")
                     DENSE_MUL(16, 0, "s16") DENSE_MUL(17, 1, "s17") DENSE_MUL(18, 2, "s18") DENSE_MUL(19, 3, "s19")
                     DENSE_MUL(20, 4, "s20") DENSE_MUL(21, 5, "s21") DENSE_MUL(22, 6, "s22") DENSE_MUL(23, 7, "s23")
                     DENSE_ADD_ALL
                     DENSE_LINE("subs %[n], %[n], #8")
                     DENSE_LINE("bge 1b")
                     DENSE_LINE("2:") DENSE_LINE("add %[n], %[n], #8")
                     DENSE_REST(8) DENSE_REST(9) DENSE_REST(10) DENSE_REST(11) DENSE_REST(12) DENSE_REST(13) DENSE_REST(14)
                     DENSE_LINE("3:")
                     DENSE_ADD(8, 12) DENSE_ADD(10, 14) DENSE_ADD(9, 13) DENSE_ADD(11, 15) DENSE_ADD(8, 10) DENSE_ADD(9, 11) DENSE_ADD(8, 9)
                     DENSE_LINE("vstmia %[dx]!, {s8}")
                     DENSE_LINE("subs %[in], %[in], #1")
                     DENSE_LINE("bne 0b")
                     : [w] "+r"(w), [dx] "+r"(dx), [in] "+r"(in), [at] "=&r"(at), [n] "=&r"(n)
                     : [dy] "r"(dy), [out] "r"(out), [zeros] "r"(zeros)
                     : DENSE_CLOBBERS);
}

#else

static inline void cge_dense_weight_block(int32_t in, int32_t out, const cge_real *CGE_RESTRICT x, const cge_real *CGE_RESTRICT dy, cge_real *CGE_RESTRICT dw)
{
    cge_real d[CGE_DENSE_BLOCK];
    int o;
    CGE_UNROLL
    for (o = 0; o < CGE_DENSE_BLOCK; o++) d[o] = dy[o];
    for (; in > 0; in--, x++, dw += out) {
        CGE_UNROLL
        for (o = 0; o < CGE_DENSE_BLOCK; o++) dw[o] = CGE_MADD(dw[o], *x, d[o]);
    }
}

static inline cge_real cge_dense_input_sum(int32_t out, const cge_real *CGE_RESTRICT w, const cge_real *CGE_RESTRICT dy)
{
    cge_real s[CGE_DENSE_BLOCK] = {0, 0, 0, 0, 0, 0, 0, 0};
    int j;
    for (; out >= CGE_DENSE_BLOCK; out -= CGE_DENSE_BLOCK, w += CGE_DENSE_BLOCK, dy += CGE_DENSE_BLOCK) {
        CGE_UNROLL
        for (j = 0; j < CGE_DENSE_BLOCK; j++) s[j] = CGE_MADD(s[j], dy[j], w[j]);
    }
    CGE_UNROLL
    for (j = 0; j < CGE_DENSE_BLOCK - 1; j++) {
        if (j >= out) break;
        s[j] = CGE_MADD(s[j], dy[j], w[j]);
    }
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline void cge_dense_input_sums(int32_t in, int32_t out, const cge_real *w, const cge_real *dy, const cge_real *zeros, cge_real *CGE_RESTRICT dx)
{
    (void)zeros;
    for (; in > 0; in--, w += out) *dx++ = cge_dense_input_sum(out, w, dy);
}

#endif
#endif
