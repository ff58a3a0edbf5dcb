/* The lanes variant for x86-64 CPUs with AVX2; with their fused multiply-add in a fused build only. */
#include "lanes.h"

#if CGE_HAS_LANES_X86
#if defined(__clang__) && CGE_FUSED
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#elif CGE_FUSED
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define CGE_LANES_ISA lanes_avx2
#define CGE_LANES_WIDEST 8
#define CGE_LANES_REGISTERS 16
#define CGE_LANES_POOLS 1
#include "lanes_all.inc"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
