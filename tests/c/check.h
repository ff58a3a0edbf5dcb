/*
 * check: the harness of the C tests. No malloc, no floating-point printf, one static pool of memory, so that
 * the same program runs on a PC and on a board with 16 KB of RAM.
 *
 * A suite is a function that runs checks; main.c holds the table of suites. A failed check prints where and
 * what and goes on. The program ends with the line "N passed, N failed" and returns 1 if a check failed, if none
 * ran, or if a suite ran none.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "cge.h"

#ifndef CGE_FUSED
#define CGE_FUSED 0 /* 1: the kernels were built with fused multiply-adds */
#endif

/* 1: on emulators and with sanitizers, which are 10 to 20 times as slow, cases that repeat others are fewer. */
#ifndef CHECK_FEWER
#define CHECK_FEWER 0
#endif

#define COUNT_OF(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))

/* ---- checks ---------------------------------------------------------------------------------------------- */

#define CHECK(condition) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_STATUS(expected, call) check_status((expected), (call), #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(CGE_OK, call)
/* The call gives this status and has written nothing: every byte of the pool is as before. */
#define CHECK_REFUSED(expected, call) (check_remember_pool(), check_refused((expected), (call), #call, __FILE__, __LINE__))

int check_that(int ok, const char *what, const char *file, int line);
int check_status(cge_status expected, cge_status got, const char *what, const char *file, int line);
void check_remember_pool(void);
int check_refused(cge_status expected, cge_status got, const char *what, const char *file, int line);

/* Equal bits, or both NaN (IEEE leaves a NaN's sign and payload open); on a difference prints the element. */
#define CHECK_SAME(expected, got, index) check_same((expected), (got), (index), __FILE__, __LINE__)
int check_same(float expected, float got, int32_t index, const char *file, int line);
uint32_t float_bits(float x);
float float_from_bits(uint32_t bits);

/* The name printed with failures from here on; constant or living until the next one. */
void check_case(const char *name);

/* ---- memory: blocks with guards on both sides, poisoned under the address sanitizer --------------------------- */

/* Forgets all blocks, after checking their guards. Then 1 if `bytes` in at most 16 blocks fit into the pool; else the
 * case is noted as not run. */
int check_room(const char *case_name, size_t bytes);
int32_t check_pool_bytes(void); /* less on boards with little RAM */
/* 8-byte aligned, or (floats, labels) 4 mod 8: the worst alignment that is allowed. Filled with CHECK_FILL. */
void *check_bytes(size_t bytes);
float *check_floats(int32_t count);
int32_t *check_ints(int32_t count);
uint64_t check_pool_hash(void);
#define CHECK_FILL 0xa7u

/* ---- operands ------------------------------------------------------------------------------------------------- */

/* The i-th number of stream `seed`: 24 random bits in [-1, 1), one in sixteen a zero of either sign. */
float operand(uint32_t seed, int32_t i);
float *check_operands(int32_t count, uint32_t seed);
uint32_t mix32(uint32_t x);

/* p, one byte further. */
float *misaligned(float *p);

/* a * b + c as the build under test computes it in its kernels (rounded twice, or once if CGE_FUSED). */
float mul_add(float a, float b, float c);

/* ---- running ---------------------------------------------------------------------------------------------------- */

typedef struct check_suite {
    const char *name;
    void (*run)(void);
} check_suite;

int check_run(const check_suite *suites, int32_t count);

#endif
