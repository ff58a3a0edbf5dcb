/*
 * The mode in which the floating-point unit computes. Hosts share it with all other code of the process, and some of that
 * switches it for its thread: objects linked with -ffast-math flush subnormal numbers to zero from the moment they are
 * loaded, interval arithmetic rounds upward. So each public function that computes, and each task on a thread of a pool,
 * sets rounding to nearest and subnormal numbers, and leaves the caller's mode behind. Which exceptions trap stays the
 * caller's choice. On boards the program sets the mode once and cge_selftest tells whether it is right: no code.
 *
 *     cge_status cge_..._f32(...)
 *     {
 *         CGE_OWN_FP_MODE           first of all; ends where the function returns, whichever way
 *
 * To look costs a few instructions on entry and on return. Compilers do not know that arithmetic depends
 * on the mode, but do not move what is read from memory, or written to it, across a switch: what comes and goes in registers
 * is held in a CGE_FP_HELD variable.
 */
#ifndef CGE_FP_MODE_H
#define CGE_FP_MODE_H

#include "config.h"

#if CGE_HOST && defined(__GNUC__) && defined(__SSE__)

#define CGE_FP_MODE_BITS 0xe040u /* of MXCSR: flush to zero, rounding, denormals are zeros */
typedef uint32_t cge_fp_mode;
#define CGE_READ_FP_MODE(mode) __asm__ __volatile__("stmxcsr %0" : "=m"(mode) : : "memory")
#define CGE_WRITE_FP_MODE(mode) __asm__ __volatile__("ldmxcsr %0" : : "m"(mode) : "memory")

#elif CGE_HOST && defined(__GNUC__) && defined(__aarch64__)

#define CGE_FP_MODE_BITS 0x01c00001u /* of FPCR: flush to zero, rounding, flush inputs to zero */
typedef uint64_t cge_fp_mode;
#define CGE_READ_FP_MODE(mode) __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode) : : "memory")
#define CGE_WRITE_FP_MODE(mode) __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory")

#elif CGE_HOST && defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP) && (!defined(__thumb__) || defined(__thumb2__))

#define CGE_FP_MODE_BITS 0x01c00000u /* of FPSCR: flush to zero, rounding */
typedef uint32_t cge_fp_mode;
#define CGE_READ_FP_MODE(mode) __asm__ __volatile__("vmrs %0, fpscr" : "=r"(mode) : : "memory")
#define CGE_WRITE_FP_MODE(mode) __asm__ __volatile__("vmsr fpscr, %0" : : "r"(mode) : "memory")

#endif

#if defined(CGE_FP_MODE_BITS)

/* The bits that were not as they are to be. */
static inline cge_fp_mode cge_set_fp_mode(void)
{
    cge_fp_mode mode, ours;
    CGE_READ_FP_MODE(mode);
    if ((mode & CGE_FP_MODE_BITS) == 0) return 0;
    ours = mode & ~(cge_fp_mode)CGE_FP_MODE_BITS;
    CGE_WRITE_FP_MODE(ours);
    return mode & CGE_FP_MODE_BITS;
}

/* Exceptions that were raised in between stay raised. */
static inline void cge_give_back_fp_mode(const cge_fp_mode *callers)
{
    cge_fp_mode mode;
    if (*callers == 0) return;
    CGE_READ_FP_MODE(mode);
    mode |= *callers;
    CGE_WRITE_FP_MODE(mode);
}

#define CGE_OWN_FP_MODE const cge_fp_mode callers_fp_mode __attribute__((unused, cleanup(cge_give_back_fp_mode))) = cge_set_fp_mode();
#define CGE_FP_HELD volatile

#else

#define CGE_OWN_FP_MODE
#define CGE_FP_HELD

#endif
#endif
