#include "check.h"

#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define CHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECK_ASAN 1
#endif
#endif

#ifdef CHECK_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#define READS_GUARDS __attribute__((no_sanitize("address")))
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#define READS_GUARDS
#endif

/* ---- checks ------------------------------------------------------------------------------------------------ */

enum { MAX_PRINTED = 40 };

static struct {
    int32_t passed, failed, not_run;
    const char *suite, *case_name;
} run;

int check_that(int ok, const char *what, const char *file, int line)
{
    if (ok) {
        run.passed++;
        return 1;
    }
    run.failed++;
    if (run.failed <= MAX_PRINTED)
        printf("FAILED %s:%d: %s/%s: %s\n", file, line, run.suite, run.case_name, what);
    return 0;
}

int check_status(cge_status expected, cge_status got, const char *what, const char *file, int line)
{
    if (!check_that(expected == got, what, file, line) && run.failed <= MAX_PRINTED)
        printf("    status %d (%s), expected %d\n", (int)got, cge_status_text(got), (int)expected);
    return expected == got;
}

uint32_t float_bits(float x)
{
    union { float f; uint32_t u; } both;
    both.f = x;
    return both.u;
}

float float_from_bits(uint32_t bits)
{
    union { float f; uint32_t u; } both;
    both.u = bits;
    return both.f;
}

static int is_nan(float x)
{
    return (float_bits(x) & 0x7fffffffu) > 0x7f800000u;
}

int check_same(float expected, float got, int32_t index, const char *file, int line)
{
    int same = float_bits(expected) == float_bits(got) || (is_nan(expected) && is_nan(got));
    if (!check_that(same, "element differs", file, line) && run.failed <= MAX_PRINTED)
        printf("    element %ld: 0x%08lx, expected 0x%08lx\n", (long)index, (unsigned long)float_bits(got),
               (unsigned long)float_bits(expected));
    return same;
}

void check_case(const char *name)
{
    run.case_name = name;
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* RAM of the target in bytes: statics, stack, everything. Cases that need more than the pool that this leaves are
 * not run and printed by name; on a target with plenty of RAM that counts as a failure. */
#ifndef CGE_TEST_RAM_BYTES
#define CGE_TEST_RAM_BYTES 1048576
#endif
#define CHECK_POOL_MAX 49152
#ifdef CHECK_NETWORKS
#define CHECK_STATIC_BYTES 2304 /* more than the other programs of a small board have */
#else
#define CHECK_STATIC_BYTES 0
#endif
/* C library, the program's statics, stack. */
#define CHECK_RESERVED_BYTES (CGE_TEST_RAM_BYTES > 32768 ? 24576 : 9344 + CHECK_STATIC_BYTES)
#if CGE_TEST_RAM_BYTES - CHECK_RESERVED_BYTES >= CHECK_POOL_MAX
#define CHECK_POOL_BYTES CHECK_POOL_MAX
#else
#define CHECK_POOL_BYTES (CGE_TEST_RAM_BYTES - CHECK_RESERVED_BYTES)
#endif

enum { GUARD_BYTES = 16, MAX_BLOCKS = 16, GUARD_FILL = 0x5c };

static union {
    uint64_t align;
    unsigned char bytes[CHECK_POOL_BYTES];
} pool;

int32_t check_pool_bytes(void)
{
    return CHECK_POOL_BYTES;
}

static struct {
    size_t used;
    int32_t count;
    struct {
        size_t start, bytes;
    } block[MAX_BLOCKS];
} blocks;

READS_GUARDS static int guard_is_whole(size_t from, size_t to)
{
    int whole = 1;
    for (size_t i = from; i < to; i++) whole &= pool.bytes[i] == GUARD_FILL;
    return whole;
}

/* A guard reaches from the end of one block to the start of the next. */
static void check_guards(void)
{
    size_t from = 0;
    for (int32_t i = 0; i <= blocks.count; i++) {
        size_t to = i < blocks.count ? blocks.block[i].start : blocks.used;
        check_that(guard_is_whole(from, to), "memory outside the buffers is untouched", __FILE__, __LINE__);
        if (i < blocks.count) from = to + blocks.block[i].bytes;
    }
}

static void forget_blocks(void)
{
    if (blocks.count > 0) check_guards();
    UNPOISON(pool.bytes, sizeof pool.bytes);
    blocks.used = 0;
    blocks.count = 0;
}

int check_room(const char *case_name, size_t bytes)
{
    size_t need = bytes + (size_t)(MAX_BLOCKS + 1) * GUARD_BYTES + (size_t)MAX_BLOCKS * 8;
    forget_blocks();
    check_case(case_name);
    if (need <= sizeof pool.bytes) return 1;
    run.not_run++;
    printf("does not fit into %ld bytes: %s/%s (%ld)\n", (long)sizeof pool.bytes, run.suite, case_name, (long)need);
    return 0;
}

/* The next block starts after a guard, at an address that is `phase` modulo 8. */
static unsigned char *new_block(size_t bytes, size_t phase)
{
    size_t start = ((blocks.used + GUARD_BYTES + 7) & ~(size_t)7) + phase, end = start + bytes;
    if (end + GUARD_BYTES > sizeof pool.bytes || blocks.count == MAX_BLOCKS) {
        check_that(0, "check_room asked for too little", __FILE__, __LINE__);
        return pool.bytes; /* wrong, but memory of ours, and the run has failed */
    }
    for (size_t i = blocks.used; i < end + GUARD_BYTES; i++)
        pool.bytes[i] = (unsigned char)(i >= start && i < end ? CHECK_FILL : GUARD_FILL);
    POISON(pool.bytes + blocks.used, start - blocks.used);
    POISON(pool.bytes + end, GUARD_BYTES);
    blocks.block[blocks.count].start = start;
    blocks.block[blocks.count++].bytes = bytes;
    blocks.used = end + GUARD_BYTES;
    return pool.bytes + start;
}

void *check_bytes(size_t bytes)
{
    return new_block(bytes, 0);
}

float *check_floats(int32_t count)
{
    return (float *)(void *)new_block((size_t)count * sizeof(float), 4);
}

int32_t *check_ints(int32_t count)
{
    return (int32_t *)(void *)new_block((size_t)count * sizeof(int32_t), 4);
}

READS_GUARDS uint64_t check_pool_hash(void)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < blocks.used; i++) hash = (hash ^ pool.bytes[i]) * 0x9e3779b97f4a7c15u;
    return hash;
}

static uint64_t remembered_pool;

void check_remember_pool(void)
{
    remembered_pool = check_pool_hash();
}

int check_refused(cge_status expected, cge_status got, const char *what, const char *file, int line)
{
    int refused = check_status(expected, got, what, file, line), untouched = check_pool_hash() == remembered_pool;
    if (!check_that(untouched, what, file, line) && run.failed <= MAX_PRINTED) printf("    refused, but it wrote something\n");
    return refused && untouched;
}

/* ---- operands --------------------------------------------------------------------------------------------------- */

uint32_t mix32(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x45d9f3bu;
    x = (x ^ (x >> 15)) * 0x2c1b3c6du;
    return x ^ (x >> 16);
}

float operand(uint32_t seed, int32_t i)
{
    uint32_t bits = mix32((uint32_t)i + mix32(seed + 0x9e3779b9u));
    if ((bits & 15) == 0) return (bits & 16) != 0 ? -0.0f : 0.0f;
    return (float)((int32_t)(bits >> 8) - 0x800000) / 8388608.0f;
}

float *check_operands(int32_t count, uint32_t seed)
{
    float *x = check_floats(count);
    for (int32_t i = 0; i < count; i++) x[i] = operand(seed, i);
    return x;
}

float *misaligned(float *p)
{
    return (float *)(void *)((unsigned char *)p + 1);
}

float mul_add(float a, float b, float c)
{
#if CGE_FUSED
    return __builtin_fmaf(a, b, c);
#else
    volatile float product = a * b; /* volatile: rounded here, whatever flags the tests are compiled with */
    return c + product;
#endif
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static void run_suite(const check_suite *suite)
{
    int32_t passed = run.passed, failed = run.failed;
    run.suite = suite->name;
    run.case_name = "";
    suite->run();
    forget_blocks();
    if (run.passed + run.failed == passed + failed) check_that(0, "the suite ran no check", __FILE__, __LINE__);
    printf("%-12s %ld passed, %ld failed\n", suite->name, (long)(run.passed - passed), (long)(run.failed - failed));
}

int check_run(const check_suite *suites, int32_t count)
{
    for (int32_t i = 0; i < count; i++) run_suite(&suites[i]);
    run.suite = "all";
    if (CHECK_POOL_BYTES == CHECK_POOL_MAX)
        check_that(run.not_run == 0, "with this much RAM every case must run", __FILE__, __LINE__);
    if (run.not_run > 0) printf("%ld cases did not fit and were not run\n", (long)run.not_run);
    printf("%ld passed, %ld failed\n", (long)run.passed, (long)run.failed);
    return run.failed != 0 || run.passed == 0;
}
