/*
 * Sums of products whose one factor comes from a list: what is left of a tile where most products are with zeros. Each
 * number on the list is met by neighbours in x (weight gradient) or by a column of w (input gradient):
 *
 *   sums[j * sums_step] += value * at[offset + j]     of each number in turn whose `columns` have that bit
 *   sums[j] += value * at[offset + j * step]          of each number in turn
 *
 * A sum stays in a register while the list passes by. For 32-bit Arm with an FPU eight sums are written in assembly, which
 * loads eight neighbours with one instruction: 3 instructions a multiply-add, 4.5 of the second kind.
 */
#ifndef CGE_LISTED_SUMS_H
#define CGE_LISTED_SUMS_H

#include "tiled.h"
#include "../winners.h"

enum { CGE_LISTED = 16, CGE_LISTED_SUMS = 8 };

typedef struct cge_listed {
    const cge_real *at;
    uint32_t columns; /* bit kw: of the kernel, column kw meets the number */
    cge_real value;
} cge_listed;

typedef struct cge_value_list {
    int32_t count;
    cge_listed numbers[CGE_LISTED];
} cge_value_list;

/* The first kind. n, at most CGE_LISTED_SUMS, is a constant. `spread` is 1 if the neighbours are columns of the kernel, one
 * bit each; else 0. */
CGE_INLINE void cge_add_listed(const int32_t n, const int spread, const cge_value_list *list, ptrdiff_t offset, uint32_t column, ptrdiff_t sums_step, cge_real *sums)
{
    const cge_listed *l = list->numbers, *const end = l + list->count;
    const uint32_t all = spread ? column * ((1u << n) - 1) : column;
    cge_real some[CGE_LISTED_SUMS], *sum = sums;
    int32_t j;
    CGE_UNROLL
    for (j = 0; j < n; j++, sum += sums_step) some[j] = *sum;
    for (; l < end; l++) {
        const cge_real value = l->value, *from = l->at + offset;
        if ((l->columns & all) == all) {
            CGE_UNROLL
            for (j = 0; j < n; j++) some[j] = CGE_MADD(some[j], value, from[j]);
        } else if (spread) {
            CGE_UNROLL
            for (j = 0; j < n; j++)
                if ((l->columns & column << j) != 0) some[j] = CGE_MADD(some[j], value, from[j]);
        }
    }
    CGE_UNROLL
    for (j = 0, sum = sums; j < n; j++, sum += sums_step) *sum = some[j];
}

/* The second kind. */
CGE_INLINE void cge_add_listed_apart(const int32_t n, const cge_value_list *list, ptrdiff_t offset, ptrdiff_t step, cge_real *sums)
{
    const cge_listed *l = list->numbers, *const end = l + list->count;
    cge_real some[CGE_LISTED_SUMS];
    int32_t j;
    CGE_UNROLL
    for (j = 0; j < n; j++) some[j] = sums[j];
    for (; l < end; l++) {
        const cge_real value = l->value, *from = l->at + offset;
        CGE_UNROLL
        for (j = 0; j < n; j++, from += step) some[j] = CGE_MADD(some[j], value, *from);
    }
    CGE_UNROLL
    for (j = 0; j < n; j++) sums[j] = some[j];
}

#if CGE_TILED_VFP && !CGE_F64 && !CGE_FUSED

#define LISTED_LINE(text) text "\n\t"
#define LISTED_MUL(a) LISTED_LINE("vmul.f32 s" #a ", s" #a ", s16")
#define LISTED_ADD(sum, a) LISTED_LINE("vadd.f32 s" #sum ", s" #sum ", s" #a)
#define LISTED_PRODUCTS                                                                                          \
    LISTED_LINE("vmov s16, r4")                                                                                  \
    LISTED_MUL(8) LISTED_MUL(9) LISTED_MUL(10) LISTED_MUL(11) LISTED_MUL(12) LISTED_MUL(13) LISTED_MUL(14) LISTED_MUL(15) \
    LISTED_ADD(0, 8) LISTED_ADD(1, 9) LISTED_ADD(2, 10) LISTED_ADD(3, 11)                                        \
    LISTED_ADD(4, 12) LISTED_ADD(5, 13) LISTED_ADD(6, 14) LISTED_ADD(7, 15)                                      \
    LISTED_LINE("2:") LISTED_LINE("cmp %[l], %[end]")                                                            \
    LISTED_LINE("bne 1b")
#define LISTED_NEXT LISTED_LINE("1:") LISTED_LINE("ldmia %[l]!, {r2, r3, r4}") /* at, columns, value */
#define LISTED_STEP(instruction, s) LISTED_LINE(instruction " s" #s ", [r2]") LISTED_LINE("add r2, r2, %[step]")
#define LISTED_APART(instruction, a, b, c, d, e, f, g, h)                                                        \
    LISTED_STEP(instruction, a) LISTED_STEP(instruction, b) LISTED_STEP(instruction, c) LISTED_STEP(instruction, d) \
    LISTED_STEP(instruction, e) LISTED_STEP(instruction, f) LISTED_STEP(instruction, g) LISTED_LINE(instruction " s" #h ", [r2]")
#define LISTED_SUMS_APART(instruction) LISTED_LINE("mov r2, %[sums]") LISTED_APART(instruction, 0, 1, 2, 3, 4, 5, 6, 7)
#define LISTED_CLOBBERS                                                                                          \
    "r2", "r3", "r4", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "cc", "memory"

/* Some times eight sums, one behind the other. */
static inline void cge_add_listed_eights(int32_t eights, const cge_value_list *list, ptrdiff_t offset, uint32_t column, ptrdiff_t sums_step, float *sums)
{
    const cge_listed *l, *const end = list->numbers + list->count;
    ptrdiff_t bytes = offset * (ptrdiff_t)sizeof *sums;
    __asm__ volatile(LISTED_LINE("0:") LISTED_LINE("mov %[l], %[list]") LISTED_SUMS_APART("vldr")
                     LISTED_NEXT LISTED_LINE("tst r3, %[column]") LISTED_LINE("beq 2f")
                     LISTED_LINE("add r2, r2, %[offset]") LISTED_LINE("vldmia r2, {s8-s15}") LISTED_PRODUCTS
                     LISTED_SUMS_APART("vstr")
                     LISTED_LINE("add %[sums], r2, %[step]") LISTED_LINE("add %[offset], %[offset], #32")
                     LISTED_LINE("subs %[eights], %[eights], #1") LISTED_LINE("bne 0b")
                     : [l] "=&r"(l), [eights] "+r"(eights), [offset] "+r"(bytes), [sums] "+r"(sums)
                     : [list] "r"(list->numbers), [end] "r"(end), [column] "r"(column), [step] "r"(sums_step * (ptrdiff_t)sizeof *sums)
                     : LISTED_CLOBBERS);
}

static inline void cge_add_listed_eights_apart(int32_t eights, const cge_value_list *list, ptrdiff_t offset, ptrdiff_t step,
                                               float *sums)
{
    const cge_listed *l, *const end = list->numbers + list->count;
    ptrdiff_t bytes = offset * (ptrdiff_t)sizeof *sums;
    step *= (ptrdiff_t)sizeof *sums;
    __asm__ volatile(LISTED_LINE("0:") LISTED_LINE("mov %[l], %[list]") LISTED_LINE("vldmia %[sums], {s0-s7}")
                     LISTED_NEXT LISTED_LINE("add r2, r2, %[offset]") LISTED_APART("vldr", 8, 9, 10, 11, 12, 13, 14, 15) LISTED_PRODUCTS
                     LISTED_LINE("vstmia %[sums]!, {s0-s7}") LISTED_LINE("add %[offset], %[offset], %[step], lsl #3")
                     LISTED_LINE("subs %[eights], %[eights], #1") LISTED_LINE("bne 0b")
                     : [l] "=&r"(l), [eights] "+r"(eights), [offset] "+r"(bytes), [sums] "+r"(sums)
                     : [list] "r"(list->numbers), [end] "r"(end), [step] "r"(step)
                     : LISTED_CLOBBERS);
}

#else

static inline void cge_add_listed_eights(int32_t eights, const cge_value_list *list, ptrdiff_t offset, uint32_t column, ptrdiff_t sums_step, cge_real *sums)
{
    for (; eights > 0; eights--, offset += CGE_LISTED_SUMS, sums += CGE_LISTED_SUMS * sums_step)
        cge_add_listed(CGE_LISTED_SUMS, 0, list, offset, column, sums_step, sums);
}

static inline void cge_add_listed_eights_apart(int32_t eights, const cge_value_list *list, ptrdiff_t offset, ptrdiff_t step,
                                               cge_real *sums)
{
    for (; eights > 0; eights--, offset += CGE_LISTED_SUMS * step, sums += CGE_LISTED_SUMS)
        cge_add_listed_apart(CGE_LISTED_SUMS, list, offset, step, sums);
}

#endif
#endif
