/* One program for the host and every board: runs all suites, prints through printf, passes the verdict out. */
#include "check.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

#define ENTRY(name) {#name, suite_##name},
static const check_suite suites[] = {CHECK_SUITES(ENTRY)};
#undef ENTRY

#ifdef CGE_BARE_METAL

/* Else the C library takes as much as a block of the file that is printed to, which on small boards is the stack's. */
int main(void)
{
    static char line[128];
    setvbuf(stdout, line, _IOLBF, sizeof line);
    return check_run(suites, COUNT_OF(suites));
}

#else

/* On a computer, suites may be named on the command line: those are run alone. */
int main(int argc, char **argv)
{
    check_suite named[COUNT_OF(suites)];
    int32_t count = 0;
    for (int argument = 1; argument < argc; argument++) {
        int32_t i = 0;
        while (i < COUNT_OF(suites) && strcmp(suites[i].name, argv[argument]) != 0) i++;
        if (i == COUNT_OF(suites) || count == COUNT_OF(suites)) {
            printf("%s: no suite has this name, or too many are named\n", argv[argument]);
            return 2;
        }
        named[count++] = suites[i];
    }
    return argc > 1 ? check_run(named, count) : check_run(suites, COUNT_OF(suites));
}

#endif
