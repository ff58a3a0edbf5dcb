/*
 * What example programs print for the script beside them: the hash of the weights, what takes the bytes, what went wrong. With
 * the stack that was used, where the program runs on a board.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "cge.h"

#ifdef CGE_BARE_METAL
#include "runtime.h"
#endif

static cge_status report_weights(const cge_network *net)
{
    uint64_t hash;
    const cge_status status = cge_network_params_hash(net, &hash);
    if (status == CGE_OK) printf("weights: %08lx%08lx\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return status;
}

static void report_bytes(size_t bytes, const char *what)
{
    printf("bytes: %lu %s\n", (unsigned long)bytes, what);
}

/* The program's exit status: 0 if run succeeds, and report_budget, which is told the bytes of stack (0 on a computer), gives 0. */
static int report_run(cge_status (*run)(void), int (*report_budget)(uint32_t stack))
{
    uint32_t stack = 0;
    cge_status status;
#ifdef CGE_BARE_METAL
    stack_paint();
#endif
    status = run();
#ifdef CGE_BARE_METAL
    stack = stack_peak();
#endif
    if (status != CGE_OK) printf("error: %s\n", cge_status_text(status));
    return report_budget(stack) != 0 || status != CGE_OK;
}

#endif
