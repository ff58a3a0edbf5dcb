/* Copies and transpositions of small matrices. As two plain loops a transposition takes four to seven times as long (GCC
 * 12: 1.2 to 2 cycles an element instead of 0.3), as long as all of the arithmetic that follows. */
#ifndef CGE_LANES_TRANSPOSE_H
#define CGE_LANES_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float cge_quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef float cge_pair __attribute__((vector_size(8), aligned(4), may_alias));
#define CGE_QUAD(p) (*(const cge_quad *)(p))
#define CGE_SET_QUAD(p, value) (*(cge_quad *)(p) = (value))

#if defined(__clang__) || __GNUC__ >= 12
#define CGE_HAS_SHUFFLEVECTOR 1
#define CGE_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#define CGE_PICK_PAIR(a, i, j) __builtin_shufflevector(a, a, i, j)
#else
#define CGE_HAS_SHUFFLEVECTOR 0
typedef int32_t cge_quad_index __attribute__((vector_size(16)));
#define CGE_PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (cge_quad_index){i, j, k, l})
#define CGE_PICK_PAIR(a, i, j) ((cge_pair){(a)[i], (a)[j]})
#endif

/* to[i] = from[i]; inline where the call of memcpy would take longer than the copy */
static inline void cge_copy(int32_t n, const float *from, float *to)
{
    int32_t i;
    if (n < 4)
        for (i = 0; i < n; i++) to[i] = from[i];
    else if (n > 32)
        memcpy(to, from, (size_t)n * sizeof *to);
    else
        for (i = 0; i < n; i += 4) {
            const int32_t at = i + 4 > n ? n - 4 : i; /* the last four overlap */
            CGE_SET_QUAD(to + at, CGE_QUAD(from + at));
        }
}

/* to[j][i] = from[i][j], 4 x 4: pairs, then pairs of pairs */
static inline void cge_transpose4(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    const cge_quad a = CGE_QUAD(from), b = CGE_QUAD(from + from_row), c = CGE_QUAD(from + 2 * from_row), d = CGE_QUAD(from + 3 * from_row);
    const cge_quad ab01 = CGE_PICK(a, b, 0, 4, 1, 5), ab23 = CGE_PICK(a, b, 2, 6, 3, 7);
    const cge_quad cd01 = CGE_PICK(c, d, 0, 4, 1, 5), cd23 = CGE_PICK(c, d, 2, 6, 3, 7);
    CGE_SET_QUAD(to, CGE_PICK(ab01, cd01, 0, 1, 4, 5));
    CGE_SET_QUAD(to + to_row, CGE_PICK(ab01, cd01, 2, 3, 6, 7));
    CGE_SET_QUAD(to + 2 * to_row, CGE_PICK(ab23, cd23, 0, 1, 4, 5));
    CGE_SET_QUAD(to + 3 * to_row, CGE_PICK(ab23, cd23, 2, 3, 6, 7));
}

/* The same for as many rows as the widest vector has lanes: each quad of a vector is a 4 x 4 of its own. */
#if CGE_LANES_WIDEST >= 8 && CGE_HAS_SHUFFLEVECTOR
#define CGE_TALL_ROWS CGE_LANES_WIDEST
typedef float cge_tall __attribute__((vector_size(4 * CGE_TALL_ROWS), aligned(4), may_alias));
#define CGE_TALL(p) (*(const cge_tall *)(p))
#define CGE_JOIN8(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#define CGE_QUAD_OF(v, quad) __builtin_shufflevector(v, v, 4 * (quad), 4 * (quad) + 1, 4 * (quad) + 2, 4 * (quad) + 3)
#define CGE_LANE(i, quad) ((i) % 4 + (i) / 4 * CGE_TALL_ROWS + 4 * (quad)) /* i: 0 .. 3 of a, 4 .. 7 of b */
#define CGE_LANES4(i, j, k, l, quad) CGE_LANE(i, quad), CGE_LANE(j, quad), CGE_LANE(k, quad), CGE_LANE(l, quad)
#if CGE_TALL_ROWS == 8
#define CGE_EVERY_FOURTH(p, row) CGE_JOIN8(CGE_QUAD(p), CGE_QUAD((p) + 4 * (row)))
#define CGE_TALL_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, CGE_LANES4(i, j, k, l, 0), CGE_LANES4(i, j, k, l, 1))
#define CGE_SET_EVERY_FOURTH(p, row, value)               \
    do {                                                  \
        const cge_tall v_ = value;                        \
        float *p_ = (p);                                  \
        CGE_SET_QUAD(p_, CGE_QUAD_OF(v_, 0));             \
        CGE_SET_QUAD(p_ + 4 * (row), CGE_QUAD_OF(v_, 1)); \
    } while (0)
#else
#define CGE_JOIN16(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define CGE_EVERY_FOURTH(p, row) \
    CGE_JOIN16(CGE_JOIN8(CGE_QUAD(p), CGE_QUAD((p) + 4 * (row))), CGE_JOIN8(CGE_QUAD((p) + 8 * (row)), CGE_QUAD((p) + 12 * (row))))
#define CGE_TALL_PICK(a, b, i, j, k, l) \
    __builtin_shufflevector(a, b, CGE_LANES4(i, j, k, l, 0), CGE_LANES4(i, j, k, l, 1), CGE_LANES4(i, j, k, l, 2), CGE_LANES4(i, j, k, l, 3))
#define CGE_SET_EVERY_FOURTH(p, row, value)                \
    do {                                                   \
        const cge_tall v_ = value;                         \
        float *p_ = (p);                                   \
        CGE_SET_QUAD(p_, CGE_QUAD_OF(v_, 0));              \
        CGE_SET_QUAD(p_ + 4 * (row), CGE_QUAD_OF(v_, 1));  \
        CGE_SET_QUAD(p_ + 8 * (row), CGE_QUAD_OF(v_, 2));  \
        CGE_SET_QUAD(p_ + 12 * (row), CGE_QUAD_OF(v_, 3)); \
    } while (0)
#endif

static inline void cge_transpose_tall(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    const cge_tall a = CGE_EVERY_FOURTH(from, from_row), b = CGE_EVERY_FOURTH(from + from_row, from_row);
    const cge_tall c = CGE_EVERY_FOURTH(from + 2 * from_row, from_row), d = CGE_EVERY_FOURTH(from + 3 * from_row, from_row);
    const cge_tall ab01 = CGE_TALL_PICK(a, b, 0, 4, 1, 5), ab23 = CGE_TALL_PICK(a, b, 2, 6, 3, 7);
    const cge_tall cd01 = CGE_TALL_PICK(c, d, 0, 4, 1, 5), cd23 = CGE_TALL_PICK(c, d, 2, 6, 3, 7);
    *(cge_tall *)to = CGE_TALL_PICK(ab01, cd01, 0, 1, 4, 5);
    *(cge_tall *)(to + to_row) = CGE_TALL_PICK(ab01, cd01, 2, 3, 6, 7);
    *(cge_tall *)(to + 2 * to_row) = CGE_TALL_PICK(ab23, cd23, 0, 1, 4, 5);
    *(cge_tall *)(to + 3 * to_row) = CGE_TALL_PICK(ab23, cd23, 2, 3, 6, 7);
}

/* And for as many columns. */
static inline void cge_transpose_wide(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    const cge_tall a = CGE_TALL(from), b = CGE_TALL(from + from_row), c = CGE_TALL(from + 2 * from_row), d = CGE_TALL(from + 3 * from_row);
    const cge_tall ab01 = CGE_TALL_PICK(a, b, 0, 4, 1, 5), ab23 = CGE_TALL_PICK(a, b, 2, 6, 3, 7);
    const cge_tall cd01 = CGE_TALL_PICK(c, d, 0, 4, 1, 5), cd23 = CGE_TALL_PICK(c, d, 2, 6, 3, 7);
    CGE_SET_EVERY_FOURTH(to, to_row, CGE_TALL_PICK(ab01, cd01, 0, 1, 4, 5));
    CGE_SET_EVERY_FOURTH(to + to_row, to_row, CGE_TALL_PICK(ab01, cd01, 2, 3, 6, 7));
    CGE_SET_EVERY_FOURTH(to + 2 * to_row, to_row, CGE_TALL_PICK(ab23, cd23, 0, 1, 4, 5));
    CGE_SET_EVERY_FOURTH(to + 3 * to_row, to_row, CGE_TALL_PICK(ab23, cd23, 2, 3, 6, 7));
}
#else
#define CGE_TALL_ROWS 4
#define cge_transpose_tall cge_transpose4
#define cge_transpose_wide cge_transpose4
#endif

/* Three planes to pixels of three channels. */
static inline void cge_transpose_three(int32_t columns, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    int32_t i, j;
    for (j = 0; j < columns; j += 4) {
        const int32_t at = j + 4 > columns ? columns - 4 : j;
        const cge_quad a = CGE_QUAD(from + at), b = CGE_QUAD(from + at + from_row);
        const cge_quad ab01 = CGE_PICK(a, b, 0, 4, 1, 5), ab23 = CGE_PICK(a, b, 2, 6, 3, 7);
        const float *c = from + at + 2 * from_row;
        float *pixel = to + at * to_row;
        *(cge_pair *)pixel = CGE_PICK_PAIR(ab01, 0, 1);
        *(cge_pair *)(pixel + to_row) = CGE_PICK_PAIR(ab01, 2, 3);
        *(cge_pair *)(pixel + 2 * to_row) = CGE_PICK_PAIR(ab23, 0, 1);
        *(cge_pair *)(pixel + 3 * to_row) = CGE_PICK_PAIR(ab23, 2, 3);
        for (i = 0; i < 4; i++) pixel[i * to_row + 2] = c[i];
    }
}

typedef void cge_transpose_tile(const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row);

/* In tiles; where they do not divide the matrix, the last move back into it. */
CGE_INLINE void cge_transpose_tiles(cge_transpose_tile *tile, int32_t tile_rows, int32_t tile_columns, int32_t rows, int32_t columns,
                                                                      const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    int32_t i, j;
    for (i = 0; i < rows; i += tile_rows)
        for (j = 0; j < columns; j += tile_columns) {
            const int32_t row = i + tile_rows > rows ? rows - tile_rows : i, column = j + tile_columns > columns ? columns - tile_columns : j;
            tile(from + row * from_row + column, from_row, to + column * to_row + row, to_row);
        }
}

/* to[j][i] = from[i][j], i < rows, j < columns */
static inline void cge_transpose(int32_t rows, int32_t columns, const float *from, ptrdiff_t from_row, float *to, ptrdiff_t to_row)
{
    int32_t i, j;
    if (columns == 1 && from_row == 1)
        cge_copy(rows, from, to);
    else if (rows == 1 && to_row == 1)
        cge_copy(columns, from, to);
    else if (rows == 3 && columns >= 4)
        cge_transpose_three(columns, from, from_row, to, to_row);
    else if (rows < 4 || columns < 4)
        for (i = 0; i < rows; i++)
            for (j = 0; j < columns; j++) to[j * to_row + i] = from[i * from_row + j];
    else if (rows >= CGE_TALL_ROWS)
        cge_transpose_tiles(cge_transpose_tall, CGE_TALL_ROWS, 4, rows, columns, from, from_row, to, to_row);
    else if (columns >= CGE_TALL_ROWS)
        cge_transpose_tiles(cge_transpose_wide, 4, CGE_TALL_ROWS, rows, columns, from, from_row, to, to_row);
    else
        cge_transpose_tiles(cge_transpose4, 4, 4, rows, columns, from, from_row, to, to_row);
}

#endif
