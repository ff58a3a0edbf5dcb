/*
 * Dense layer for cores with scalar floating point: blocks of 8 outputs whose sums live in registers.
 *
 *                 o o+1 .. o+7                        s0 s1 .. s7
 *     x[i]  *  [  w  w  ..  w  ]   + into sums      dy[o] w[i][o] + into s[o % 8], dx[i] = sum of the eight
 *
 * forward        sums of 8 outputs stay, the inputs pass by: a row of conv2d_tile.h      1 + 8 loads for 8 multiply-adds
 * weight_grad    dy of 8 outputs stays, the inputs pass by; dw has to come and go        1 + 8 loads, 8 stores
 * input_grad     the 8 partial sums of an input stay                                     16 loads
 *
 * Orders as in dense_ref.c.
 */
#include "dense_block.h"

CGE_TILES_BEGIN

#include "conv2d_tile.h"

#include <string.h>

/* The 8 of input_grad are its contract; the others follow the tile. */
enum { DENSE_BLOCK = CGE_DENSE_BLOCK };

/* ---- y = b + x w ---- */

/* A last block is moved back if outputs are left over: it computes some again, to the same bits. b may be y, which then holds
 * what other inputs gave: so what the last block begins with is kept before the others are written. */
static void forward_sample(int32_t in, int32_t out, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    const int32_t left = out % DENSE_BLOCK, last = out - DENSE_BLOCK;
    cge_real begin[DENSE_BLOCK];
    cge_tile t;
    t.u.at = x, t.u.pitch = CGE_TILE_UNITS, t.v.pitch = out * CGE_TILE_UNITS, t.out_pitch = 0;
    t.rows = t.columns = 1, t.run = in;
    t.u.column = t.v.column = t.u.row = t.v.row = 0;
    t.init = b != NULL ? b : cge_tile_zeros, t.init_channel = b != NULL;
    t.v.at = w, t.v_channel = 1;
    t.out = y;
    t.channels = last < 0 ? out : out - left;
    if (last < 0) {
        cge_tile_one(&t);
        return;
    }
    if (b != NULL && left > 0) memcpy(begin, b + last, sizeof begin);
    cge_tile_row(&t);
    if (left == 0) return;
    if (b != NULL) t.init = begin;
    t.v.at = w + last;
    t.out = y + last;
    t.channels = DENSE_BLOCK;
    cge_tile_row(&t);
}

void cge_dense_forward_f32_tiled(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    for (; count > 0; count--, x += in, y += out) forward_sample(in, out, x, w, b, y);
}

/* ---- dw[i][o] += x[i] dy[o] for `in` inputs; dw, dy begin at output o ---- */

static void weight_grad_one(int32_t in, int32_t out, const cge_real *x, cge_real dy, cge_real *dw)
{
    for (; in > 0; in--, x++, dw += out) *dw = CGE_MADD(*dw, *x, dy);
}

void cge_dense_weight_grad_f32_tiled(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add)
{
    const int32_t rows = inputs.end - inputs.begin;
    int32_t o;
    if (rows <= 0) return;
    dw += (size_t)inputs.begin * (size_t)out;
    x += inputs.begin;
    if (!add) memset(dw, 0, (size_t)rows * (size_t)out * sizeof *dw);
    for (; count > 0; count--, x += in, dy += out) {
        for (o = 0; out - o >= DENSE_BLOCK; o += DENSE_BLOCK) cge_dense_weight_block(rows, out, x, dy + o, dw + o);
        for (; o < out; o++) weight_grad_one(rows, out, x, dy[o], dw + o);
    }
}

void cge_dense_bias_grad_f32_tiled(int32_t out, int32_t count, const cge_real *dy, cge_real *db)
{
    cge_dense_bias_grad_f32_ref(out, count, dy, db); /* as many additions as loads: nothing to gain */
}

/* ---- dx = w dy ---- */

void cge_dense_input_grad_f32_tiled(int32_t in, int32_t out, int32_t count, const cge_real *w, const cge_real *dy, cge_real *CGE_RESTRICT dx)
{
    for (; count > 0; count--, dy += out, dx += in) cge_dense_input_sums(in, out, w, dy, cge_tile_zeros, dx);
}

CGE_TILES_END
