/* The self-test that firmware runs on a board: here it must say that this very build is exact. */
#include "check.h"
#include "suites.h"

#include <string.h>

/* Flush-to-zero, which a compiler's fast-math start-up code or a board support package may have switched on. */
#if defined(__SSE2__)
#define FLUSH_BITS 0x8040u
static unsigned control_word(void) { return __builtin_ia32_stmxcsr(); }
static void set_control_word(unsigned word) { __builtin_ia32_ldmxcsr(word); }
#elif defined(__ARM_FP) && !defined(__aarch64__)
#define FLUSH_BITS (1u << 24)
static unsigned control_word(void)
{
    unsigned word;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(word));
    return word;
}
static void set_control_word(unsigned word) { __asm__ volatile("vmsr fpscr, %0" : : "r"(word)); }
#endif

/* Hosts compute in a mode of their own (test_fp_mode.c); boards do not, and are told. */
#if defined(CGE_BARE_METAL)
#define FLUSHED_ARITHMETIC CGE_ARITHMETIC_OTHER
#elif CGE_FUSED
#define FLUSHED_ARITHMETIC CGE_ARITHMETIC_CONTRACTED
#else
#define FLUSHED_ARITHMETIC CGE_ARITHMETIC_EXACT
#endif

static void test_flushed_subnormals(unsigned char *arena, size_t bytes)
{
#if defined(FLUSH_BITS)
    cge_selftest_report report = {0};
    const unsigned word = control_word();
    set_control_word(word | FLUSH_BITS);
    const cge_status status = cge_selftest(arena, bytes, &report);
    set_control_word(word);
    CHECK_OK(status);
    CHECK(report.arithmetic == FLUSHED_ARITHMETIC);
    CHECK(report.passed == (FLUSHED_ARITHMETIC != CGE_ARITHMETIC_OTHER));
#else
    (void)arena, (void)bytes;
#endif
}

void suite_selftest(void)
{
    size_t needed = 0;
    CHECK(cge_check_arithmetic() == (CGE_FUSED ? CGE_ARITHMETIC_CONTRACTED : CGE_ARITHMETIC_EXACT));
    CHECK_STATUS(CGE_ERR_NULL, cge_selftest_arena_bytes(NULL));
    if (!CHECK_OK(cge_selftest_arena_bytes(&needed))) return;
    CHECK(needed > 0);
    if (!check_room("selftest", needed + sizeof(cge_selftest_report) + 8)) return;
    cge_selftest_report *report = check_bytes(sizeof *report);
    unsigned char *arena = check_bytes(needed), *loose = check_bytes(8);
    memset(report, 0x55, sizeof *report);
    CHECK_REFUSED(CGE_ERR_NULL, cge_selftest(NULL, needed, report));
    CHECK_REFUSED(CGE_ERR_NULL, cge_selftest(arena, needed, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_selftest(loose + 4, needed, report));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_selftest(arena, needed - 1, report));
    CHECK_REFUSED(CGE_ERR_ARENA, cge_selftest(arena, 0, report));
    CHECK_OK(cge_selftest(arena, needed, report));
    CHECK(report->arithmetic == (CGE_FUSED ? CGE_ARITHMETIC_CONTRACTED : CGE_ARITHMETIC_EXACT));
    CHECK(report->gradients_checked > 10);
    CHECK(report->max_gradient_error > 0 && report->max_gradient_error <= 2e-2f);
    CHECK(report->passed == 1);
    test_flushed_subnormals(arena, needed);
}
