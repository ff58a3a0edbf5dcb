/* The tiles that more than one source uses (conv2d_tile.h), once. */
#include "tiled.h"

CGE_TILES_BEGIN

#include "conv2d_tile.h"

const float cge_tile_zeros[CGE_TILE_ROW] = {0};

void cge_tile_row(cge_tile *t)
{
    cge_tile_row_inline(t);
}

void cge_tile_one(cge_tile *t)
{
    cge_tile_sum(t, 1, 1, 0, t->u_pitch, 0, t->v_pitch, 0, 0);
}

CGE_TILES_END
