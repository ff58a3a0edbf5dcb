/* The sweep of lanes.h: cut into register blocks (lanes_block.h), one indirect call each. */
#include "lanes.h"

#if CGE_LANES_COMPILED

enum { BLOCK_ROWS = 14 }; /* at most */

/* The outer two loops of a sum as a table, made once for all blocks: kept in each block they would cost it more than
 * the terms of a small kernel. */
enum { SEGMENTS = 256 };

typedef struct segment { /* where it begins in x and in w */
    int32_t x, w;
} segment;

typedef struct block_sum {
    ptrdiff_t x_p, start_p, y_p, x_d, w_d;
    ptrdiff_t second_w, second_start, second_y; /* from a block's first vector to its second one; x has second_w, if wide */
    int32_t d; /* terms in each segment */
    int32_t count;
    segment pieces[SEGMENTS];
} block_sum;

typedef void block_fn(const block_sum *t, const float *x, const float *w, const float *start, float *y);

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
    return (rows + parts - 1) / parts;
}

/* All rows of q .. end - 1 for one block of k, with vectors of `width`. `two`: a second one, where t says. */
static void run_rows(const cge_sweep *s, const block_sum *t, const float *start, int32_t q, int32_t end, int32_t step, int32_t k, int32_t width, int two)
{
    const int32_t part = part_of_rows(s->p, most_rows(s->wide, two));
    block_fn *const *blocks = blocks_of(width, s->wide, two);
    int32_t p, n;
    for (; q < end; q += step)
        for (p = 0; p < s->p; p += n) {
            n = s->p - p < part ? s->p - p : part;
            blocks[n - 1](t, s->x + q * s->x_q + p * s->x_p + (s->wide ? k : 0), s->w + q * s->w_q + k,
                          start != NULL ? start + q * s->start_q + p * t->start_p + k : NULL, s->y + q * s->y_q + p * s->y_p + k);
        }
}

/* Where all q have the same x, a block that needs one vector takes that of the next q too: each x that is read serves
 * both. The input gradient of 8 channels, 14x14, from 16: 3.8 us instead of 4.3. */
static void run_blocks(const cge_sweep *s, block_sum *t, const float *start)
{
    int32_t k, n;
    for (k = 0; k < s->k; k += n) {
        int32_t width, paired = 0;
        n = CGE_LANES(cge_sweep_block)(s->k - k);
        width = width_for(n);
        if (n == width && s->x_q == 0) {
            paired = s->q - s->q % 2;
            t->second_w = s->w_q, t->second_start = s->start_q, t->second_y = s->y_q;
            run_rows(s, t, start, 0, paired, 2, k, width, 1);
        }
        t->second_w = t->second_start = t->second_y = n - width;
        run_rows(s, t, start, paired, s->q, 1, k, width, n > width);
    }
}

/* Loops whose steps continue each other are one loop. */
static cge_sweep merged(const cge_sweep *s)
{
    cge_sweep t = *s;
    if (t.w_q == 0 && t.x_q == t.p * t.x_p && t.y_q == t.p * t.y_p && t.start_q == t.p * t.start_p) t.p *= t.q, t.q = 1;
    if (t.x_r == t.s * t.x_s && t.w_r == t.s * t.w_s) t.s *= t.r, t.r = 1;
    if (t.x_s == t.d * t.x_d && t.w_s == t.d * t.w_d) t.d *= t.s, t.s = 1;
    return t;
}

void CGE_LANES(cge_sweep_run)(const cge_sweep *sweep)
{
    cge_sweep s = merged(sweep);
    const float *start = s.start;
    block_sum t;
    int32_t i, j;
    if (s.p == 0 || s.q == 0) return;
    t.x_p = s.x_p, t.start_p = s.start_p, t.y_p = s.y_p, t.x_d = s.x_d, t.w_d = s.w_d;
    t.d = s.d;
    t.count = 0;
    for (i = 0; i < s.r; i++)
        for (j = 0; j < s.s; j++) {
            if (t.count == SEGMENTS) {
                /* the rest is added to y */
                run_blocks(&s, &t, start);
                start = s.y, s.start_q = s.y_q, t.start_p = s.y_p, t.count = 0;
            }
            t.pieces[t.count].x = (int32_t)(i * s.x_r + j * s.x_s);
            t.pieces[t.count].w = (int32_t)(i * s.w_r + j * s.w_s);
            t.count++;
        }
    run_blocks(&s, &t, start);
}

#endif
