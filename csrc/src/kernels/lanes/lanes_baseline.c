/* The lanes variant for every CPU of the architecture: SSE2, NEON. */
#include "lanes.h"

#if CGE_HAS_LANES_BASELINE
#if !defined(__clang__)
#pragma GCC push_options
#endif

#define CGE_LANES_ISA lanes
#define CGE_LANES_WIDEST 4
#if defined(__aarch64__)
#define CGE_LANES_REGISTERS 32
#else
#define CGE_LANES_REGISTERS 16
#endif
#define CGE_LANES_POOLS 1
#include "lanes_all.inc"

#if !defined(__clang__)
#pragma GCC pop_options
#endif
#endif
