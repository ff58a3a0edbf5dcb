/*
 * Where the largest value of each window of a max pooling lies, in as few bits as hold it. Windows of kernel_h x kernel_w
 * taps do not overlap and lie inside the map; tap 0 is the first in row-major order.
 *
 * With them the map that was pooled need not be kept: its gradient is the pooled gradient at the winners, else zero. At
 * least three quarters of it are zeros where windows have four taps, and what multiplies them is left out.
 */
#ifndef CGE_WINNERS_H
#define CGE_WINNERS_H

#include "../base/geometry.h"

enum { CGE_WINNERS_COLUMNS = 32 }; /* of a kernel, at most, where zeros are left out */

typedef struct cge_windows {
    int32_t kernel_h, kernel_w; /* at most 256 taps */
    int32_t out_h, out_w, channels;
    int32_t map_w;
    int32_t first; /* number, among the winners, of the first window's */
} cge_windows;

/* 2, 4 or 8: so a winner never lies in two bytes. */
static inline int cge_winner_bits(int32_t taps)
{
    return taps <= 4 ? 2 : taps <= 16 ? 4 : 8;
}

static inline int32_t cge_winner_at(const unsigned char *winners, int32_t i, int bits)
{
    const int32_t bit = i * bits;
    return winners[bit >> 3] >> (bit & 7) & ((1 << bits) - 1);
}

/* Bytes of all winners, whole words. */
CGE_INTERNAL int32_t cge_winners_bytes(const cge_windows *v);

/* y row oh [out_w][channels] from the kernel_h rows of the map that it looks at, and its winners (NULL: not wanted). As
 * max pooling in cge.h: the first among equals, a NaN wins. */
CGE_INTERNAL void cge_maxpool2d_row(const cge_windows *v, const cge_real *rows, int32_t oh, cge_real *y, unsigned char *winners);
/* The same of row `row` of the map alone; the rows that a row of y looks at are to come one after the other. */
CGE_INTERNAL void cge_maxpool2d_take_row(const cge_windows *v, const cge_real *map, int32_t row, cge_real *y, unsigned char *winners);

/* y row oh once more, from x of the convolution whose map was pooled: of each window the element that won, summed up as in
 * conv2d_forward: b (may be NULL), then kh, kw, c. */
CGE_INTERNAL void cge_conv2d_winners_forward_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *w,
                                                 const cge_real *b, const unsigned char *winners, int32_t oh, cge_real *y);

/* Row `row` of the map's gradient, [map_w][channels], from dy [out_h][out_w][channels]; zeros below the last window. */
CGE_INTERNAL void cge_maxpool2d_row_grad(const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, cge_real *dz);

/*
 * The gradients of a convolution whose map was pooled, without the products with the zeros of its gradient. Equal to
 * conv2d_weight_grad, bias_grad and input_grad bit for bit while x and w are finite and multiply-adds are not fused: a product
 * with zero adds +-0 to a sum that began as +0 and so is never -0.
 *
 *   dw, db += ...                              order: dw, then oh, ow, as in cge.h. Of filter k alone: added to what
 *                                              `filter` holds, weights that are `step` apart; returns db with its part
 *                                              added; or some rows of the map alone, and *taken is raised by the
 *                                              winners that met x; or of a gradient that is
 *                                              there with its zeros, channels by eights, and no db
 *   one row of dx, by itself             order: 0, then kh, kw, k, as in cge.h
 *   dx rows, from the last to the first, each in ring[row % extent], extent = dilation_h (kernel_h - 1) + 1, are handed to
 *   `take` when they are complete            order: 0, then kh, kw, k, as in cge.h. In parts: `ring` is zeroed; for map rows
 *                                            from the last to 0, take_rows hands on what gets nothing from rows before
 *                                            row + 1, then add_row adds that row, of windows from the last to the first,
 *                                            and returns how many winners it had; then take_rows with row 0
 */
typedef void cge_take_row_fn(const void *context, int32_t row, cge_real *dx); /* dx is scratch afterwards */
CGE_INTERNAL void cge_conv2d_winners_weight_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, cge_real *dw, cge_real *db);
CGE_INTERNAL cge_real cge_conv2d_winners_filter_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, int32_t k, cge_real *filter, int32_t step, cge_real db);
CGE_INTERNAL void cge_conv2d_winners_bias_grad(const cge_windows *v, const cge_real *dy, const unsigned char *winners, cge_real *db); /* db alone */
CGE_INTERNAL cge_real cge_conv2d_winners_filter_rows(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, int32_t k, cge_range rows, cge_real *filter, int32_t step, cge_real db, int32_t *taken);
#if !CGE_F64
CGE_INTERNAL void cge_conv2d_elements_filter_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, int32_t k, cge_range rows, cge_real *filter, int32_t step);
#endif
CGE_INTERNAL void cge_conv2d_winners_take_rows(const cge_conv2d_plan *p, const cge_windows *v, cge_real *ring, cge_take_row_fn *take, const void *context, int32_t row);
CGE_INTERNAL int32_t cge_conv2d_winners_add_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, cge_real *ring, int32_t row, cge_range windows);
CGE_INTERNAL void cge_conv2d_winners_input_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, cge_real *ring, cge_take_row_fn *take, const void *context);

CGE_INTERNAL void cge_conv2d_winners_input_grad_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, int32_t ih, cge_real *dx);

/* n numbers that are `from_step` apart, to where they are `to_step` apart. */
CGE_INTERNAL void cge_copy_column(int32_t n, const cge_real *from, int32_t from_step, cge_real *to, int32_t to_step);

#endif
