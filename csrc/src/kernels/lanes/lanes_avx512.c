/* The lanes variant for x86-64 CPUs with AVX-512. They have a fused multiply-add: -ffp-contract=off keeps the compiler
 * from using it, as everywhere. */
#include "lanes.h"

#if CGE_HAS_LANES_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq")
#endif

#define CGE_LANES_ISA lanes_avx512
#define CGE_LANES_WIDEST 16
#define CGE_LANES_REGISTERS 32
#define CGE_LANES_POOLS 0
#include "lanes_all.inc"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* Pooling as with AVX2: GCC 12 takes comparisons of 512-bit registers apart, and is 1.4 times slower with them. */
void cge_maxpool2d_forward_f32_lanes_avx512(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    cge_maxpool2d_forward_f32_lanes_avx2(p, x, y, rows);
}

void cge_maxpool2d_input_grad_f32_lanes_avx512(const cge_pool2d_plan *p, const float *x, const float *dy, float *dx)
{
    cge_maxpool2d_input_grad_f32_lanes_avx2(p, x, dy, dx);
}

void cge_avgpool2d_forward_f32_lanes_avx512(const cge_pool2d_plan *p, const float *x, float *y, cge_range rows)
{
    cge_avgpool2d_forward_f32_lanes_avx2(p, x, y, rows);
}

void cge_avgpool2d_input_grad_f32_lanes_avx512(const cge_pool2d_plan *p, const float *dy, float *dx)
{
    cge_avgpool2d_input_grad_f32_lanes_avx2(p, dy, dx);
}
#endif
