/* ReLU6 for cores with scalar floating point: blocks; what fills none is left to the reference. */
#include "relu6_block.h"

#include <string.h>

#if !CGE_F64

void cge_relu6_f32_tiled(int32_t n, const cge_real *x, cge_real *y)
{
    const int32_t done = n & -CGE_RELU6_BLOCK;
    if (done != 0) cge_relu6_blocks(done / CGE_RELU6_BLOCK, x, y);
    cge_relu6_f32_ref(n - done, x + done, y + done);
}

void cge_relu6_grad_f32_tiled(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    const int32_t done = n & -CGE_RELU6_GRAD_BLOCK;
    if (dx != dy) memcpy(dx, dy, (size_t)n * sizeof *dx);
    if (done != 0) cge_relu6_grad_blocks(done / CGE_RELU6_GRAD_BLOCK, y, dx);
    cge_relu6_grad_f32_ref(n - done, y + done, dx + done, dx + done);
}

#endif
