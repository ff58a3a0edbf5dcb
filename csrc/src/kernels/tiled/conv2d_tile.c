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
    cge_tile_one_inline(t);
}

CGE_TILES_END
