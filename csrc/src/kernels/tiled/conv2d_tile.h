/*
 * Register tiles: the sums of products u * v that the passes of a convolution consist of, up to 16 of them at a time
 * in registers. A tile takes `rows` x `columns` runs; n counts through a run:
 *
 *   ab    t[i][j] += u[i][n]    * v[n][j]   forward: 4 pixels x 4 filters, n over channels
 *   ab3   the same, if run is 3, columns and u_pitch are 1: one input channel, the three taps of a kernel row
 *   abt   t[i][j] += u[i][n]    * v[j][n]   input gradient: 4 pixels x 4 channels, n over filters
 *   atb   t[i][j] += u[n][i]    * v[n][j]   weight gradient: 4 channels x 4 filters, n over pixels
 *   row   t[j]    += u[n]       * v[n][j]   8 filters of one pixel (forward) or one channel (weight gradient)
 *   dots  t[j]    += u[n]       * v[j][n]   4 channels of one pixel (input gradient); 4 pixels of one channel, if u are weights
 *   one   t       += u[n]       * v[n]      the few that fill none of these
 *
 * and for depthwise convolution, in which a channel meets its own filter only:
 *
 *   own   t[i][j] += u[i][n][j] * v[n][j]   4 pixels x 4 channels, n over the taps of a kernel row
 *   own1  t[j]    += u[n][j]    * v[n][j]   4 channels: of one pixel, n over taps; of one tap, n over pixels
 *
 * Order of additions: row, column, n ascending, one CGE_MADD each, after what the sums start with.
 * This file is plain C; for ARM, conv2d_tile_vfp.h does the same in assembly.
 */
#ifndef CGE_CONV2D_TILE_H
#define CGE_CONV2D_TILE_H

#include <stddef.h>

#include "tiled.h"

/* 16 sums, 8 u of two steps, 4 v and 4 products fill 32 registers, with half a load for each multiply-add. More sums
 * leave no room for the second step; 3 x 4 and 2 x 8 load 17 and 25 % more. A row loads 1.125 times. */
enum { CGE_TILE = 4, CGE_TILE_ROW = 8 };

/* Pitches and steps are in units of which an element has so many: assembly adds bytes. */
enum { CGE_TILE_UNITS = CGE_TILED_VFP ? sizeof(float) : 1 };

typedef struct cge_factor { /* pitches and steps are as wide as pointers, since those back over a row are negative */
    const float *at;
    ptrdiff_t pitch;
    ptrdiff_t column, row; /* from the end of a run to the next column, the next row; own: u.column from one n to the next */
} cge_factor;

typedef struct cge_tile {
    int32_t channels; /* of all tiles: > 0, a multiple of one's. From tile to tile it counts down, and what follows moves: */
    int32_t init_channel, v_channel; /* init and v by so much for each channel, out by 1; own, own1: u by 1, too */
    const float *init; /* t[i][j] starts as init[j]; in atb as out[i][j]; in dots as init[0] */
    float *out;        /* out[i][j] at out + i * out_pitch + j; dots: t[j] at out + j * out_pitch */
    ptrdiff_t out_pitch;
    cge_factor u, v; /* u[a][b] at u.at + a * u.pitch + b, v alike; row, dots, one: u[n] at u.at + n * u.pitch; one: v alike */
    int32_t rows, columns, run; /* nothing if rows <= 0; columns, run >= 1; atb, own, own1: columns is 1 */
} cge_tile;

/* Those that more than one source uses; the others are inlined where they are called. */
CGE_INTERNAL void cge_tile_row(cge_tile *t);
CGE_INTERNAL void cge_tile_one(cge_tile *t);
extern const float cge_tile_zeros[CGE_TILE_ROW]; /* `init` where there is no bias */

/* t[i][j] += u[i * u_i + n * u_n + j * u_j] * v[j * v_j + n * v_n]; it starts as init[j * init_j], or as it is in `out` */
CGE_INLINE void cge_tile_sum(cge_tile *t, int32_t height, int32_t width, ptrdiff_t u_i, ptrdiff_t u_n, ptrdiff_t u_j, ptrdiff_t v_n, ptrdiff_t v_j,
                             ptrdiff_t out_i, ptrdiff_t out_j, int32_t init_j, int adds)
{
    float sum[CGE_TILE][CGE_TILE_ROW];
    int32_t i, j, row, column, n;
    for (; t->channels > 0; t->channels -= width) {
        const float *u = t->u.at, *v = t->v.at;
        CGE_UNROLL for (i = 0; i < height; i++)
            CGE_UNROLL for (j = 0; j < width; j++) sum[i][j] = adds ? t->out[i * out_i + j * out_j] : t->init[j * init_j];
        for (row = 0; row < t->rows; row++)
            for (column = t->columns; column > 0; column--) {
                for (n = 0; n < t->run; n++, u += u_n, v += v_n)
                    CGE_UNROLL for (i = 0; i < height; i++)
                        CGE_UNROLL for (j = 0; j < width; j++) sum[i][j] = CGE_MADD(sum[i][j], u[i * u_i + j * u_j], v[j * v_j]);
                u += column > 1 ? t->u.column : t->u.row;
                v += column > 1 ? t->v.column : t->v.row;
            }
        CGE_UNROLL for (i = 0; i < height; i++)
            CGE_UNROLL for (j = 0; j < width; j++) t->out[i * out_i + j * out_j] = sum[i][j];
        t->init += width * t->init_channel;
        t->u.at += width * u_j;
        t->v.at += width * t->v_channel;
        t->out += width;
    }
}

#if CGE_TILED_VFP
#include "conv2d_tile_vfp.h"
#else

CGE_INLINE void cge_tile_ab(cge_tile *t)
{
    cge_tile_sum(t, CGE_TILE, CGE_TILE, t->u.pitch, 1, 0, t->v.pitch, 1, t->out_pitch, 1, 1, 0);
}

CGE_INLINE void cge_tile_ab3(cge_tile *t)
{
    cge_tile_ab(t);
}

CGE_INLINE void cge_tile_abt(cge_tile *t)
{
    cge_tile_sum(t, CGE_TILE, CGE_TILE, t->u.pitch, 1, 0, 1, t->v.pitch, t->out_pitch, 1, 1, 0);
}

CGE_INLINE void cge_tile_atb(cge_tile *t)
{
    cge_tile_sum(t, CGE_TILE, CGE_TILE, 1, t->u.pitch, 0, t->v.pitch, 1, t->out_pitch, 1, 1, 1);
}

CGE_INLINE void cge_tile_row_inline(cge_tile *t)
{
    cge_tile_sum(t, 1, CGE_TILE_ROW, 0, t->u.pitch, 0, t->v.pitch, 1, t->out_pitch, 1, 1, 0);
}

static inline void cge_tile_one_inline(cge_tile *t)
{
    cge_tile_sum(t, 1, 1, 0, t->u.pitch, 0, t->v.pitch, 0, 0, 0, 0, 0);
}

CGE_INLINE void cge_tile_dots(cge_tile *t)
{
    cge_tile_sum(t, 1, CGE_TILE, 0, t->u.pitch, 0, 1, t->v.pitch, 0, t->out_pitch, 0, 0);
}

CGE_INLINE void cge_tile_own(cge_tile *t)
{
    cge_tile_sum(t, CGE_TILE, CGE_TILE, t->u.pitch, t->u.column, 1, t->v.pitch, 1, t->out_pitch, 1, 1, 0);
}

static inline void cge_tile_own1(cge_tile *t)
{
    cge_tile_sum(t, 1, CGE_TILE, 0, t->u.pitch, 1, t->v.pitch, 1, t->out_pitch, 1, 1, 0);
}

#endif
#endif
