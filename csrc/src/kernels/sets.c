/* The kernel sets as tables, expanded from the one list of operators. On boards nothing refers to them, and the linker
 * drops them. */
#include "lanes/lanes.h"

#if !CGE_F64

#define MEMBER(type, operator_) cge_##operator_##_f32_ref,
const cge_kernel_set cge_kernels_ref = {"ref", CGE_OPERATORS(MEMBER) CGE_ELEMENTWISE(MEMBER) CGE_NORMS(MEMBER)};
#undef MEMBER

#define REF_MEMBER(type, operator_) cge_##operator_##_f32_ref,
#define MEMBER(type, operator_) cge_##operator_##_f32_small,
static const cge_kernel_set small = {"small", CGE_SHORT_OPERATORS(MEMBER) CGE_OTHER_OPERATORS(REF_MEMBER)
                                     CGE_ELEMENTWISE(REF_MEMBER) CGE_NORMS(REF_MEMBER)};
#undef MEMBER

#if !CGE_SMALL
#define MEMBER(type, operator_) cge_##operator_##_f32_tiled,
const cge_kernel_set cge_kernels_tiled = {"tiled", CGE_OPERATORS(MEMBER) CGE_ACTIVATIONS(REF_MEMBER)
                                           CGE_UPDATES(MEMBER) CGE_CLIPS(MEMBER) CGE_NORMS(REF_MEMBER)};
#undef MEMBER
#endif

#if CGE_HAS_LANES_BASELINE
#define MEMBER(type, operator_) cge_##operator_##_f32_lanes,
static const cge_kernel_set lanes = {"lanes", CGE_OPERATORS(MEMBER) CGE_ELEMENTWISE(MEMBER) CGE_NORMS(MEMBER)};
#undef MEMBER
#endif

#if CGE_HAS_LANES_X86
#define MEMBER(type, operator_) cge_##operator_##_f32_lanes_avx2,
static const cge_kernel_set lanes_avx2 = {"lanes_avx2", CGE_OPERATORS(MEMBER) CGE_ELEMENTWISE(MEMBER) CGE_NORMS(MEMBER)};
#undef MEMBER

#define MEMBER(type, operator_) cge_##operator_##_f32_lanes_avx512,
static const cge_kernel_set lanes_avx512 = {"lanes_avx512", CGE_OPERATORS(MEMBER) CGE_ELEMENTWISE(MEMBER) CGE_NORMS(MEMBER)};
#undef MEMBER
#endif

const cge_kernel_set *cge_kernel_set_at(int32_t index)
{
    const cge_kernel_set *sets[6] = {NULL};
    int32_t count = 0;
    sets[count++] = &cge_kernels_ref;
    sets[count++] = &small;
#if !CGE_SMALL
    sets[count++] = &cge_kernels_tiled;
#endif
#if CGE_HAS_LANES_BASELINE
    sets[count++] = &lanes;
#endif
#if CGE_HAS_LANES_X86
    if (__builtin_cpu_supports("avx2") && (!CGE_FUSED || __builtin_cpu_supports("fma"))) sets[count++] = &lanes_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) sets[count++] = &lanes_avx512;
#endif
    return index >= 0 && index < count ? sets[index] : NULL;
}

#endif
