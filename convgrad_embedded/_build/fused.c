/*
 * The core once more with fused multiply-adds, for arithmetic="fused" in Python: single precision and all kernel sets, as in a
 * library that is built with CGE_FUSED=1. Its functions and constants end in _fused (fused_names.h), types are the same.
 *
 * On x86-64 all of it is compiled for AVX2 and FMA, so that no multiply-add is a call of fmaf. Who calls it has asked whether
 * the CPU has both (native.py). Elsewhere the instruction belongs to the architecture, or fmaf takes its place. clang refuses
 * one target around another: from it the vector kernels alone have the instruction.
 */
#define CGE_FUSED 1
#define CGE_FUSED_COPY 1
#define CGE_INTERNAL static
#define cge_kernels_ref cge_kernels_ref_fused
#define cge_kernels_tiled cge_kernels_tiled_fused
#define cge_tile_zeros cge_tile_zeros_fused
#include "fused_names.h"

#if defined(__x86_64__)
#define CGE_HAS_LANES_BASELINE 0 /* a CPU with AVX2 would never run it */
#if !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#endif

#include "../../csrc/src/host/copied.inc"

#include "../../csrc/src/kernels/small/conv2d_small.c"
#include "../../csrc/src/kernels/tiled/adam_tiled.c"
#include "../../csrc/src/kernels/tiled/conv2d_tile.c"
#include "../../csrc/src/kernels/tiled/conv2d_tiled.c"
#include "../../csrc/src/kernels/tiled/dense_tiled.c"
#include "../../csrc/src/kernels/tiled/pool2d_tiled.c"
#include "../../csrc/src/kernels/tiled/relu6_tiled.c"
#include "../../csrc/src/kernels/tiled/sgd_tiled.c"
#include "../../csrc/src/kernels/sets.c"
#include "../../csrc/src/kernels/sets_host.c"

#include "../../csrc/src/net/catalog.c"
#include "../../csrc/src/safe/arithmetic.c"
#include "../../csrc/src/safe/config_fields.c"
#include "../../csrc/src/safe/save.c"
#include "../../csrc/src/safe/selftest.c"

#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/* Each has options of its own. */
#include "../../csrc/src/kernels/lanes/lanes_avx2.c"
#include "../../csrc/src/kernels/lanes/lanes_avx512.c"
#include "../../csrc/src/kernels/lanes/lanes_baseline.c"
