/*
 * The tiles of conv2d_tile.h for 32-bit ARM with VFP, in assembly. GCC 12 spills sums although there are registers for
 * all (it delays the sums of one step into the next), and never emits VLDM, which loads 2 to 8 floats in one
 * instruction. Instructions per multiply-add, 3x3 8->16 14x14 on a Cortex-M4F, forward / weight / input gradient:
 * 2.17 / 2.15 / 2.16 here (-O2 and -Os), 2.69 / 2.77 / 2.69 compiled at -O2; depthwise 3x3 48 16x16 3.1 / 3.2 / 3.1.
 *
 *   s0 .. s15   sums, t[i][j] in s(4 i + j)
 *   s16 .. s23  u: two n of four rows, or one row        row and dots: v
 *   s24 .. s27  v: one row, or two n of one row          row and dots: u
 *   s28 .. s31  products
 *   12 core registers, so that r7 (frame pointer) and r9 (platform) may be taken
 */
#ifndef CGE_CONV2D_TILE_VFP_H
#define CGE_CONV2D_TILE_VFP_H

#define LINE(text) text "\n\t"

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* sa += x0 * y0, and so b, c, d: four products before four sums, so that none waits for its operand. */
#if CGE_FUSED
#define MADD4(a, b, c, d, x0, y0, x1, y1, x2, y2, x3, y3)                                            \
    LINE("vfma.f32 s" #a ", " x0 ", " y0) LINE("vfma.f32 s" #b ", " x1 ", " y1)                      \
    LINE("vfma.f32 s" #c ", " x2 ", " y2) LINE("vfma.f32 s" #d ", " x3 ", " y3)
#else
#define MADD4(a, b, c, d, x0, y0, x1, y1, x2, y2, x3, y3)                                            \
    LINE("vmul.f32 s28, " x0 ", " y0) LINE("vmul.f32 s29, " x1 ", " y1)                              \
    LINE("vmul.f32 s30, " x2 ", " y2) LINE("vmul.f32 s31, " x3 ", " y3)                              \
    LINE("vadd.f32 s" #a ", s" #a ", s28") LINE("vadd.f32 s" #b ", s" #b ", s29")                    \
    LINE("vadd.f32 s" #c ", s" #c ", s30") LINE("vadd.f32 s" #d ", s" #d ", s31")
#endif

/* sum += x * y, and x is lost. */
#if CGE_FUSED
#define MADD(sum, x, y) LINE("vfma.f32 " sum ", " x ", " y)
#else
#define MADD(sum, x, y) LINE("vmul.f32 " x ", " x ", " y) LINE("vadd.f32 " sum ", " sum ", " x)
#endif

/* Four sums: one u times four v, four u times one v; and all 16: four u times s24 .. s27. */
#define SUM_ROW(a, b, c, d, u) MADD4(a, b, c, d, u, "s24", u, "s25", u, "s26", u, "s27")
#define SUM_COLUMN(a, b, c, d, u0, u1, u2, u3, v) MADD4(a, b, c, d, u0, v, u1, v, u2, v, u3, v)
#define SUM_ALL(u0, u1, u2, u3)                                                                      \
    SUM_ROW(0, 1, 2, 3, u0) SUM_ROW(4, 5, 6, 7, u1) SUM_ROW(8, 9, 10, 11, u2) SUM_ROW(12, 13, 14, 15, u3)

/* ---- loops ------------------------------------------------------------------------------------------------------- */

#define FIELD(register_, field) LINE("ldr %[" #register_ "], [%[t], %[o_" #field "]]")
#define SET(register_, field) LINE("str %[" #register_ "], [%[t], %[o_" #field "]]")
#define STEP(register_, bytes) LINE("add %[" #register_ "], %[" #register_ "], %[" #bytes "]")
#define ADD_FIELD(register_, field) FIELD(n, field) STEP(register_, n)
#define ADD_FIELD_TO_ROWS(p, field) FIELD(n, field) STEP(p, n) STEP(p##1, n) STEP(p##2, n) STEP(p##3, n)

/* Code that is seldom needed, behind the function's end: what is usual falls through. */
#define ASIDE(text) LINE(".subsection 1") text LINE(".subsection 0")

/* n over one run of one or more; a step of two n has two halves. An odd run enters the loop behind its start: one n, whose u
 * is loaded here, before a second half. Twice as many steps in a loop take 1.5 % fewer instructions and 400 bytes more. */
#define RUN_BY_HALVES(first, second, load_one)                                                       \
    FIELD(n, run)                                                                                    \
    LINE("tst %[n], #1")                                                                             \
    LINE("bne 5f")                                                                                   \
    LINE("3:") first LINE("6:") second                                                               \
    LINE("subs %[n], %[n], #2")                                                                      \
    LINE("bgt 3b")                                                                                   \
    ASIDE(LINE("5:") load_one                                                                        \
          LINE("add %[n], %[n], #1")                                                                 \
          LINE("b 6b"))

/* n over one run, for products that take one n at a time: an odd run enters the loop in its middle. */
#define RUN_ONE(one)                                                                                 \
    FIELD(n, run)                                                                                    \
    LINE("tst %[n], #1")                                                                             \
    LINE("bne 4f")                                                                                   \
    LINE("3:") one                                                                                   \
    LINE("4:") one                                                                                   \
    LINE("subs %[n], %[n], #2")                                                                      \
    LINE("bgt 3b")

/* n by twos, and one that is left. */
#define RUN_BY_TWO(two, one)                                                                         \
    FIELD(n, run)                                                                                    \
    LINE("subs %[n], %[n], #2")                                                                      \
    LINE("blt 4f")                                                                                   \
    LINE("3:") two                                                                                   \
    LINE("subs %[n], %[n], #2")                                                                      \
    LINE("bge 3b")                                                                                   \
    LINE("4:")                                                                                       \
    LINE("adds %[n], %[n], #1")                                                                      \
    LINE("bne 5f")                                                                                   \
    one                                                                                              \
    LINE("5:")

/* To the next column, the next row: u and v, or, where a product has pointers to their rows, these. */
#define NEXT_U_V(step) ADD_FIELD(u, u_##step) ADD_FIELD(v, v_##step)
#define NEXT_ROWS_OF_U(step) ADD_FIELD_TO_ROWS(u, u_##step) ADD_FIELD(v, v_##step)
#define NEXT_ROWS_OF_U_V(step) ADD_FIELD_TO_ROWS(u, u_##step) ADD_FIELD_TO_ROWS(v, v_##step)

/* for column; mostly there is one */
#define COLUMNS(run, next)                                                                           \
    FIELD(columns, columns)                                                                          \
    LINE("2:") run                                                                                   \
    LINE("subs %[columns], %[columns], #1")                                                          \
    LINE("bne 9f")                                                                                   \
    ASIDE(LINE("9:") next(column) LINE("b 2b"))

/* for tile, for row. Labels: 10 and 11 begin and end a tile, 0 and 1 a row, 2 and 9 a column, the others a run. */
#define PRODUCT(load, pointers, columns, next, store, next_tile)                                     \
    FIELD(u, init)                                                                                   \
    LINE("10:") load FIELD(u, u) FIELD(v, v) FIELD(rows, rows) pointers                              \
    LINE("cmp %[rows], #0")                                                                          \
    LINE("bgt 1f")                                                                                   \
    LINE("b 11f")                                                                                    \
    LINE("0:") next(row)                                                                             \
    LINE("1:") columns                                                                               \
    LINE("subs %[rows], %[rows], #1")                                                                \
    LINE("bne 0b")                                                                                   \
    LINE("11:") store next_tile                                                                      \
    LINE("bgt 10b")

/* To the next tile, as many channels on as this one has (4 or 8, and their logarithm). Afterwards the flags tell whether
 * there is one, and u is its init. Loads and stores stand together: those behind another take one cycle. */
#define NEXT_TILE(width, log)                                                                        \
    FIELD(u, init) FIELD(v, v) FIELD(n, init_channel) FIELD(rows, v_channel)                         \
    LINE("add %[u], %[u], %[n], lsl #2 + " #log) LINE("add %[v], %[v], %[rows], lsl #2 + " #log)     \
    SET(u, init) SET(v, v) FIELD(n, out) FIELD(rows, channels)                                       \
    LINE("adds %[n], %[n], #4 * " #width) LINE("subs %[rows], %[rows], #" #width)                    \
    SET(n, out) SET(rows, channels)
#define NEXT_1 NEXT_TILE(1, 0)
#define NEXT_4 NEXT_TILE(4, 2)
#define NEXT_8 NEXT_TILE(8, 3)
#define NEXT_4_OWN FIELD(u, u) LINE("adds %[u], %[u], #4 * 4") SET(u, u) NEXT_4

/* Before and after the loops: all rows of t start alike, as u points to, or each as it is in `out`. */
#define FOUR_ROWS(instruction)                                                                       \
    FIELD(u, out) FIELD(v, out_pitch)                                                                \
    LINE(instruction " %[u], {s0-s3}") STEP(u, v) LINE(instruction " %[u], {s4-s7}") STEP(u, v)        \
    LINE(instruction " %[u], {s8-s11}") STEP(u, v) LINE(instruction " %[u], {s12-s15}")
#define LOAD_ALIKE                                                                                   \
    LINE("vldmia %[u], {s0-s3}") LINE("vldmia %[u], {s4-s7}") LINE("vldmia %[u], {s8-s11}") LINE("vldmia %[u], {s12-s15}")
#define LOAD_TILE FOUR_ROWS("vldmia")
#define STORE_TILE FOUR_ROWS("vstmia")

/* Operands: where the fields are; the registers that all products use. "l": r0 .. r7, whose loads and stores are short. */
#define OFFSET(field) [o_##field] "i"(offsetof(cge_tile, field))
#define OFFSETS_OF(p)                                                                                \
    [o_##p] "i"(offsetof(cge_tile, p.at)), [o_##p##_pitch] "i"(offsetof(cge_tile, p.pitch)),         \
    [o_##p##_column] "i"(offsetof(cge_tile, p.column)), [o_##p##_row] "i"(offsetof(cge_tile, p.row))
#define FIELDS_OF_TILE                                                                                       \
    [t] "l"(t), OFFSET(channels), OFFSET(init_channel), OFFSET(v_channel), OFFSET(init), OFFSET(out), OFFSET(out_pitch), \
    OFFSET(rows), OFFSET(columns), OFFSET(run), OFFSETS_OF(u), OFFSETS_OF(v)
#define OUTPUTS [u] "=&l"(u), [v] "=&l"(v), [rows] "=&l"(rows), [n] "=&l"(n)
#define CLOBBERS                                                                                     \
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", \
    "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31", "cc", "memory"

/* u1 .. u3 point to rows 1 .. 3 of u, v1 .. v3 of v. */
#define ROWS_OF(p)                                                                                   \
    FIELD(p##3, p##_pitch)                                                                           \
    LINE("add %[" #p "1], %[" #p "], %[" #p "3]")                                                    \
    LINE("add %[" #p "2], %[" #p "1], %[" #p "3]")                                                   \
    LINE("add %[" #p "3], %[" #p "2], %[" #p "3]")

#define LOAD_V LINE("vldmia %[v], {s24-s27}") STEP(v, v_pitch)
#define LOAD_U_TWO                                                                                   \
    LINE("vldmia %[u]!, {s16,s17}") LINE("vldmia %[u1]!, {s18,s19}") LINE("vldmia %[u2]!, {s20,s21}") LINE("vldmia %[u3]!, {s22,s23}")
#define LOAD_U_ONE                                                                                   \
    LINE("vldmia %[u]!, {s16}") LINE("vldmia %[u1]!, {s18}") LINE("vldmia %[u2]!, {s20}") LINE("vldmia %[u3]!, {s22}")

/* ---- products ---------------------------------------------------------------------------------------------------- */

#define AB_FIRST LOAD_U_TWO LOAD_V SUM_ALL("s16", "s18", "s20", "s22")
#define AB_SECOND LOAD_V SUM_ALL("s17", "s19", "s21", "s23")
#define LOAD_U_ODD                                                                                \
    LINE("vldmia %[u]!, {s17}") LINE("vldmia %[u1]!, {s19}") LINE("vldmia %[u2]!, {s21}") LINE("vldmia %[u3]!, {s23}")

#define AB_NEXT(step) STEP(u, u_row) STEP(u1, u_row) STEP(u2, u_row) STEP(u3, u_row) STEP(v, v_row)

CGE_INLINE void cge_tile_ab(cge_tile *t)
{
    const float *u, *u1, *u2, *u3, *v;
    int32_t v_pitch, rows, columns, n, u_row, v_row;
    __asm__ volatile(PRODUCT(LOAD_ALIKE, FIELD(v_pitch, v_pitch) FIELD(u_row, u_row) FIELD(v_row, v_row) ROWS_OF(u),
                             COLUMNS(RUN_BY_HALVES(AB_FIRST, AB_SECOND, LOAD_U_ODD), NEXT_ROWS_OF_U), AB_NEXT, STORE_TILE, NEXT_4)
                     : OUTPUTS, [columns] "=&l"(columns), [u1] "=&r"(u1), [u2] "=&r"(u2), [u3] "=&r"(u3), [v_pitch] "=&r"(v_pitch),
                       [u_row] "=&r"(u_row), [v_row] "=&r"(v_row)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

/* The four rows of u overlap: six elements are all that three n read. */
#define AB3                                                                                          \
    LINE("vldmia %[u], {s16-s21}") LINE("add %[u], %[u], #12")                                       \
    LOAD_V SUM_ALL("s16", "s17", "s18", "s19")                                                       \
    LOAD_V SUM_ALL("s17", "s18", "s19", "s20")                                                       \
    LOAD_V SUM_ALL("s18", "s19", "s20", "s21")

CGE_INLINE void cge_tile_ab3(cge_tile *t)
{
    const float *u, *v;
    int32_t v_pitch, rows, n;
    __asm__ volatile(PRODUCT(LOAD_ALIKE, FIELD(v_pitch, v_pitch), AB3, NEXT_U_V, STORE_TILE, NEXT_4)
                     : OUTPUTS, [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define ATB_ONE LINE("vldmia %[u], {s16-s19}") STEP(u, u_pitch) LOAD_V SUM_ALL("s16", "s17", "s18", "s19")

CGE_INLINE void cge_tile_atb(cge_tile *t)
{
    const float *u, *v;
    int32_t u_pitch, v_pitch, rows, n;
    __asm__ volatile(PRODUCT(LOAD_TILE, FIELD(u_pitch, u_pitch) FIELD(v_pitch, v_pitch), RUN_ONE(ATB_ONE), NEXT_U_V, STORE_TILE, NEXT_4)
                     : OUTPUTS, [u_pitch] "=&r"(u_pitch), [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define ABT_TWO(v, a, b, c, d)                                                                       \
    LINE("vldmia %[" #v "]!, {s24,s25}") SUM_COLUMN(a, b, c, d, "s16", "s18", "s20", "s22", "s24")   \
    SUM_COLUMN(a, b, c, d, "s17", "s19", "s21", "s23", "s25")
#define ABT_ONE(v, a, b, c, d) LINE("vldmia %[" #v "]!, {s24}") SUM_COLUMN(a, b, c, d, "s16", "s18", "s20", "s22", "s24")
#define ABT(step) step(v, 0, 4, 8, 12) step(v1, 1, 5, 9, 13) step(v2, 2, 6, 10, 14) step(v3, 3, 7, 11, 15)

CGE_INLINE void cge_tile_abt(cge_tile *t)
{
    const float *u, *u1, *u2, *u3, *v, *v1, *v2, *v3;
    int32_t rows, columns, n;
    __asm__ volatile(PRODUCT(LOAD_ALIKE, ROWS_OF(u) ROWS_OF(v), COLUMNS(RUN_BY_TWO(LOAD_U_TWO ABT(ABT_TWO), LOAD_U_ONE ABT(ABT_ONE)), NEXT_ROWS_OF_U_V),
                             NEXT_ROWS_OF_U_V, STORE_TILE, NEXT_4)
                     : OUTPUTS, [columns] "=&l"(columns), [u1] "=&r"(u1), [u2] "=&r"(u2), [u3] "=&r"(u3), [v1] "=&r"(v1), [v2] "=&r"(v2), [v3] "=&r"(v3)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define ROW_ONE                                                                                      \
    LINE("vldr s24, [%[u]]") STEP(u, u_pitch) LINE("vldmia %[v], {s16-s23}") STEP(v, v_pitch)          \
    SUM_COLUMN(0, 1, 2, 3, "s16", "s17", "s18", "s19", "s24") SUM_COLUMN(4, 5, 6, 7, "s20", "s21", "s22", "s23", "s24")

CGE_INLINE void cge_tile_row_inline(cge_tile *t)
{
    const float *u, *v;
    int32_t u_pitch, v_pitch, rows, columns, n;
    __asm__ volatile(PRODUCT(LINE("vldmia %[u], {s0-s7}"), FIELD(u_pitch, u_pitch) FIELD(v_pitch, v_pitch),
                             COLUMNS(RUN_ONE(ROW_ONE), NEXT_U_V), NEXT_U_V, FIELD(u, out) LINE("vstmia %[u], {s0-s7}"), NEXT_8)
                     : OUTPUTS, [columns] "=&l"(columns), [u_pitch] "=&r"(u_pitch), [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define DOTS_FIRST                                                                                   \
    LINE("vldr s24, [%[u]]") STEP(u, u_pitch) LINE("vldr s25, [%[u]]") STEP(u, u_pitch)              \
    LINE("vldmia %[v]!, {s16,s17}") LINE("vldmia %[v1]!, {s18,s19}") LINE("vldmia %[v2]!, {s20,s21}") LINE("vldmia %[v3]!, {s22,s23}") \
    SUM_COLUMN(0, 1, 2, 3, "s16", "s18", "s20", "s22", "s24")
#define DOTS_SECOND SUM_COLUMN(0, 1, 2, 3, "s17", "s19", "s21", "s23", "s25")
#define DOTS_LOAD_ODD                                                                                \
    LINE("vldr s25, [%[u]]") STEP(u, u_pitch)                                                        \
    LINE("vldmia %[v]!, {s17}") LINE("vldmia %[v1]!, {s19}") LINE("vldmia %[v2]!, {s21}") LINE("vldmia %[v3]!, {s23}")

#define LOAD_ONE_TO_ALL LINE("vldr s0, [%[u]]") LINE("vmov.f32 s1, s0") LINE("vmov.f32 s2, s0") LINE("vmov.f32 s3, s0")
#define STORE_APART                                                                                  \
    FIELD(u, out) FIELD(v, out_pitch)                                                                \
    LINE("vstr s0, [%[u]]") STEP(u, v) LINE("vstr s1, [%[u]]") STEP(u, v)                            \
    LINE("vstr s2, [%[u]]") STEP(u, v) LINE("vstr s3, [%[u]]")

CGE_INLINE void cge_tile_dots(cge_tile *t)
{
    const float *u, *v, *v1, *v2, *v3;
    int32_t u_pitch, rows, columns, n;
    __asm__ volatile(PRODUCT(LOAD_ONE_TO_ALL, FIELD(u_pitch, u_pitch),
                             COLUMNS(ROWS_OF(v) RUN_BY_HALVES(DOTS_FIRST, DOTS_SECOND, DOTS_LOAD_ODD), NEXT_U_V), NEXT_U_V, STORE_APART, NEXT_4)
                     : OUTPUTS, [u_pitch] "=&r"(u_pitch), [columns] "=&l"(columns), [v1] "=&r"(v1), [v2] "=&r"(v2), [v3] "=&r"(v3)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define SINGLE_ONE                                                                                   \
    LINE("vldr s1, [%[u]]") STEP(u, u_pitch) LINE("vldr s2, [%[v]]") STEP(v, v_pitch)                  \
    MADD("s0", "s1", "s2")

static inline void cge_tile_one_inline(cge_tile *t)
{
    const float *u, *v;
    int32_t u_pitch, v_pitch, rows, columns, n;
    __asm__ volatile(PRODUCT(LINE("vldr s0, [%[u]]"), FIELD(u_pitch, u_pitch) FIELD(v_pitch, v_pitch),
                             COLUMNS(RUN_ONE(SINGLE_ONE), NEXT_U_V), NEXT_U_V, FIELD(u, out) LINE("vstr s0, [%[u]]"), NEXT_1)
                     : OUTPUTS, [columns] "=&l"(columns), [u_pitch] "=&r"(u_pitch), [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : "s0", "s1", "s2", "cc", "memory");
}

#define SUM_OWN(a, b, c, d, u0, u1, u2, u3) MADD4(a, b, c, d, u0, "s24", u1, "s25", u2, "s26", u3, "s27")
#define OWN_ALL                                                                                      \
    LINE("vldmia %[v], {s24-s27}") STEP(v, v_pitch)                                                   \
    LINE("vldmia %[u], {s16-s19}") LINE("add %[at], %[u], %[u_pitch]") SUM_OWN(0, 1, 2, 3, "s16", "s17", "s18", "s19")  \
    LINE("vldmia %[at], {s20-s23}") STEP(at, u_pitch) SUM_OWN(4, 5, 6, 7, "s20", "s21", "s22", "s23") \
    LINE("vldmia %[at], {s16-s19}") STEP(at, u_pitch) SUM_OWN(8, 9, 10, 11, "s16", "s17", "s18", "s19") \
    LINE("vldmia %[at], {s20-s23}") STEP(u, u_column) SUM_OWN(12, 13, 14, 15, "s20", "s21", "s22", "s23")

CGE_INLINE void cge_tile_own(cge_tile *t)
{
    const float *u, *v, *at;
    int32_t u_pitch, u_column, v_pitch, rows, n;
    __asm__ volatile(PRODUCT(LOAD_ALIKE, FIELD(u_pitch, u_pitch) FIELD(u_column, u_column) FIELD(v_pitch, v_pitch),
                             FIELD(n, run) LINE("2:") OWN_ALL LINE("subs %[n], %[n], #1") LINE("bne 2b"), NEXT_U_V, STORE_TILE, NEXT_4_OWN)
                     : OUTPUTS, [at] "=&r"(at), [u_pitch] "=&r"(u_pitch), [u_column] "=&r"(u_column), [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#define OWN_ONE LINE("vldmia %[u], {s16-s19}") STEP(u, u_pitch) LOAD_V SUM_OWN(0, 1, 2, 3, "s16", "s17", "s18", "s19")

static inline void cge_tile_own1(cge_tile *t)
{
    const float *u, *v;
    int32_t u_pitch, v_pitch, rows, n;
    __asm__ volatile(PRODUCT(LINE("vldmia %[u], {s0-s3}"), FIELD(u_pitch, u_pitch) FIELD(v_pitch, v_pitch),
                             RUN_ONE(OWN_ONE), NEXT_U_V, FIELD(u, out) LINE("vstmia %[u], {s0-s3}"), NEXT_4_OWN)
                     : OUTPUTS, [u_pitch] "=&r"(u_pitch), [v_pitch] "=&r"(v_pitch)
                     : FIELDS_OF_TILE
                     : CLOBBERS);
}

#endif
