/* One program for the host and every board: runs all suites, prints through printf, passes the verdict out. */
#include "check.h"
#include "suites.h"

#define ENTRY(name) {#name, suite_##name},
static const check_suite suites[] = {CHECK_SUITES(ENTRY)};
#undef ENTRY

int main(void)
{
    return check_run(suites, COUNT_OF(suites));
}
