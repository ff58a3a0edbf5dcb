/* The sweep of lanes.h: cut into register blocks (lanes_block.h), one indirect call each. */
#include "lanes.h"

#if CGE_LANES_COMPILED

enum { BLOCK_ROWS = 14 }; /* at most */

/* The outer two loops of a sum as a table, made once for all blocks: kept in each block they would cost it more than
 * the terms of a small kernel. */
enum { SEGMENTS = 256 };

typedef struct segment { /* s->d terms; where they begin in x and in w */
    int32_t x, w;
} segment;

typedef struct block_sum {
    int32_t count;                              /* of segments */
    int32_t blocks;                             /* that a call is for, >= 1; the next one lies so far: */
    ptrdiff_t next_x, next_w, next_start, next_y;
    ptrdiff_t second_w, second_start, second_y; /* from a block's first vector to its second one; x has second_w, if wide */
    segment segments[SEGMENTS];
} block_sum;

typedef void block_fn(const cge_sweep *s, const block_sum *t, const float *x, const float *w, const float *start, float *y);

#define WIDTH 4
#include "lanes_block.h"
#if CGE_LANES_WIDEST >= 8
#define WIDTH 8
#include "lanes_block.h"
#endif
#if CGE_LANES_WIDEST >= 16
#define WIDTH 16
#include "lanes_block.h"
#endif

/* Rows of a block: F * rows accumulators, F of w, 1 of x and 1 product must fit the registers. With 14 rows of one vector
 * 16 to 16 channels of 16x16 take 5.8 us instead of 6.3 with 8; two vectors gain nothing from more than 8. */
static int32_t most_rows(int wide, int two)
{
    if (CGE_LANES_REGISTERS < 32) return two ? 6 : 8;
    return wide || two ? 8 : BLOCK_ROWS;
}

int32_t CGE_LANES(cge_sweep_block)(int32_t k)
{
    const int32_t most = 2 * CGE_LANES_WIDEST;
    if (k <= most) return k;
    return k - most < CGE_LANES_NARROWEST ? k / 2 : most;
}

/* Widest vector that fits into k. */
static int32_t width_for(int32_t k)
{
    int32_t width = CGE_LANES_WIDEST;
    while (width > k) width /= 2;
    return width;
}

static block_fn *const *blocks_of(int32_t width, int wide, int two)
{
#if CGE_LANES_WIDEST >= 16
    if (width == 16) return blocks_16[wide][two];
#endif
#if CGE_LANES_WIDEST >= 8
    if (width == 8) return blocks_8[wide][two];
#endif
    (void)width;
    return blocks_4[wide][two];
}

/* `rows` cut into parts of at most `most`, about equal: seven and seven are faster than eight and six. */
static int32_t part_of_rows(int32_t rows, int32_t most)
{
    const int32_t parts = (rows + most - 1) / most;
    return rows <= most ? rows : (rows + parts - 1) / parts;
}

/* The lanes of a block, from k on. `two`: there is a second vector, where block_sum says. */
typedef struct block_lanes {
    int32_t k, width, two;
} block_lanes;

/* Rows p .. p + rows - 1 of q, and as many blocks after it as t says. */
static void call(const cge_sweep *s, const block_sum *t, const block_lanes *b, block_fn *const *blocks, int32_t q, int32_t p, int32_t rows)
{
    blocks[rows - 1](s, t, s->x + q * s->x_q + p * s->x_p + (s->wide ? b->k : 0), s->w + q * s->w_q + b->k,
                     s->start != NULL ? s->start + q * s->start_q + p * s->start_p + b->k : NULL, s->y + q * s->y_q + p * s->y_p + b->k);
}

/* All rows of `count` q from `q` on, each `step` after the other, for the lanes of one block. Blocks that follow each
 * other, along q or along p, are one call. */
static void run_rows(const cge_sweep *s, block_sum *t, const block_lanes *b, int32_t q, int32_t count, int32_t step)
{
    const int32_t part = part_of_rows(s->p, most_rows(s->wide, b->two)), parts = s->p / part;
    block_fn *const *blocks = blocks_of(b->width, s->wide, b->two);
    if (part == s->p) {
        t->next_x = step * s->x_q, t->next_w = step * s->w_q, t->next_start = step * s->start_q, t->next_y = step * s->y_q;
        t->blocks = count;
        if (count > 0) call(s, t, b, blocks, q, 0, part);
        return;
    }
    t->next_x = part * s->x_p, t->next_w = 0, t->next_start = part * s->start_p, t->next_y = part * s->y_p;
    for (; count > 0; count--, q += step) {
        t->blocks = parts;
        call(s, t, b, blocks, q, 0, part);
        t->blocks = 1;
        if (parts * part < s->p) call(s, t, b, blocks, q, parts * part, s->p - parts * part);
    }
}

/* Where all q have the same x, a block that needs one vector takes that of the next q too: each x that is read serves
 * both. The input gradient of 8 channels, 14x14, from 16: 3.8 us instead of 4.3. */
static void run_blocks(const cge_sweep *s, block_sum *t)
{
    int32_t k, n;
    for (k = 0; k < s->k; k += n) {
        block_lanes b;
        int32_t pairs = 0;
        n = CGE_LANES(cge_sweep_block)(s->k - k);
        b.k = k, b.width = width_for(n), b.two = 1;
        if (n == b.width && s->x_q == 0) {
            pairs = s->q / 2;
            t->second_w = s->w_q, t->second_start = s->start_q, t->second_y = s->y_q;
            run_rows(s, t, &b, 0, pairs, 2);
        }
        b.two = n > b.width;
        t->second_w = t->second_start = t->second_y = n - b.width;
        run_rows(s, t, &b, 2 * pairs, s->q - 2 * pairs, 1);
    }
}

/* Loops whose steps continue each other are one loop, and the innermost loops are those that have terms to go through. */
static void merge_loops(cge_sweep *s)
{
    if (s->w_q == 0 && s->x_q == s->p * s->x_p && s->y_q == s->p * s->y_p && s->start_q == s->p * s->start_p) s->p *= s->q, s->q = 1;
    if (s->d == 1) s->d = s->s, s->x_d = s->x_s, s->w_d = s->w_s, s->s = 1;
    if (s->s == 1) s->s = s->r, s->x_s = s->x_r, s->w_s = s->w_r, s->r = 1;
    if (s->x_r == s->s * s->x_s && s->w_r == s->s * s->w_s) s->s *= s->r, s->r = 1;
    if (s->x_s == s->d * s->x_d && s->w_s == s->d * s->w_d) s->d *= s->s, s->s = 1;
}

void CGE_LANES(cge_sweep_run)(cge_sweep *s)
{
    block_sum t;
    int32_t i, j;
    if (s->q == 0) return;
    merge_loops(s);
    t.count = 0;
    for (i = 0; i < s->r; i++)
        for (j = 0; j < s->s; j++) {
            if (t.count == SEGMENTS) {
                run_blocks(s, &t);
                s->start = s->y, s->start_q = s->y_q, s->start_p = s->y_p; /* the rest is added to y */
                t.count = 0;
            }
            t.segments[t.count].x = (int32_t)(i * s->x_r + j * s->x_s);
            t.segments[t.count].w = (int32_t)(i * s->w_r + j * s->w_s);
            t.count++;
        }
    run_blocks(s, &t);
}

#endif
