/* The lanes variant once more, for x86-64 CPUs with AVX2; with their fused multiply-add in a fused build only. */
#define CGE_LANES_ISA lanes_avx2
#define CGE_LANES_COMPILED CGE_HAS_LANES_X86
#define CGE_LANES_WIDEST 8
#define CGE_LANES_REGISTERS 16
#include "lanes.h"

#if CGE_HAS_LANES_X86
#if defined(__clang__) && CGE_FUSED
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#elif CGE_FUSED
#pragma GCC target("avx2,fma")
#else
#pragma GCC target("avx2")
#endif

#include "lanes_sweep.c"
#include "conv2d_lanes.c"
#include "conv2d_planar_lanes.c"
#include "conv2d_band_lanes.c"
#include "conv2d_window_lanes.c"
#include "dense_lanes.c"
#include "elementwise_lanes.c"
#include "pool2d_lanes.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
