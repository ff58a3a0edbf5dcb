/*
 * A word that at most one holds: interrupts and tasks that come in between find it taken. Where the processor exchanges a
 * word atomically (Armv7-M and later, computers) that holds for other tasks and cores too. Armv6-M cannot: there
 * interrupts are kept off for the two accesses. Elsewhere (no GCC, no clang) it holds for interrupts, which end before
 * what they interrupted goes on.
 */
#ifndef CGE_EXCLUSIVE_H
#define CGE_EXCLUSIVE_H

#include "config.h"

#if defined(__GCC_HAVE_SYNC_COMPARE_AND_SWAP_4)

static inline int cge_take(int32_t *word)
{
    return __atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void cge_release(int32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

#else

#if defined(__GNUC__) && defined(__ARM_ARCH_6M__)
static inline uint32_t cge_hold_interrupts(void)
{
    uint32_t mask;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask) : : "memory");
    return mask;
}

static inline void cge_restore_interrupts(uint32_t mask)
{
    __asm__ volatile("msr primask, %0" : : "r"(mask) : "memory");
}
#else
static inline uint32_t cge_hold_interrupts(void)
{
    return 0;
}

static inline void cge_restore_interrupts(uint32_t mask)
{
    (void)mask;
}
#endif

static inline int cge_take(int32_t *word)
{
    volatile int32_t *busy = word;
    const uint32_t mask = cge_hold_interrupts();
    const int taken = *busy == 0;
    if (taken) *busy = 1;
    cge_restore_interrupts(mask);
    return taken;
}

static inline void cge_release(int32_t *word)
{
    volatile int32_t *busy = word;
#if defined(__GNUC__)
    __asm__ volatile("" : : : "memory");
#endif
    *busy = 0;
}

#endif

/* One address, read and written whole. */
#if defined(__GNUC__)
#define CGE_LOAD_POINTER(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define CGE_STORE_POINTER(p, value) __atomic_store_n(&(p), (value), __ATOMIC_RELEASE)
#else
#define CGE_LOAD_POINTER(p) (p)
#define CGE_STORE_POINTER(p, value) ((p) = (value))
#endif

#endif
