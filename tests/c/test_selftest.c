/* The self-test that firmware runs on a board: here it must say that this very build is exact. */
#include "check.h"
#include "suites.h"

#include <string.h>

void suite_selftest(void)
{
    size_t needed = 0;
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
}
