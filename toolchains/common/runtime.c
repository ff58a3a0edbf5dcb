/*
 * Start-up of bare-metal programs, for every board: vectors, FPU, static data, semihosting, faults.
 *
 * Semihosting is the C library's (rdimon): printf goes to the debugger or emulator, main's value becomes its exit status.
 */
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

extern int main(void);
extern void initialise_monitor_handles(void); /* of the C library: opens stdin, stdout, stderr */

extern unsigned char __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[]; /* linker.ld */
extern uint32_t __stack_limit[], __stack_top[];

/* ---- faults: say where, and end with a failure ------------------------------------------------------------------ */

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, RUN_TIME_ERROR = 0x20023 };

static void semihosting(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print_hex(const char *what, uint32_t value)
{
    char text[9];
    for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    text[8] = '\0';
    semihosting(SYS_WRITE0, (uintptr_t)what);
    semihosting(SYS_WRITE0, (uintptr_t)text);
}

/* frame: what the core pushed: r0 r1 r2 r3 r12 lr pc psr. */
__attribute__((used, noreturn)) static void fault_report(const uint32_t *frame)
{
    print_hex("fault at pc 0x", frame[6]);
    print_hex(" lr 0x", frame[5]);
    print_hex(" psr 0x", frame[7]);
    semihosting(SYS_WRITE0, (uintptr_t)"\n");
    semihosting(SYS_EXIT, RUN_TIME_ERROR);
    for (;;) {
    }
}

__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mrs r0, msp\n"
                     "ldr r1, =fault_report\n"
                     "bx r1\n"
                     ".ltorg\n");
}

/* ---- reset -------------------------------------------------------------------------------------------------------- */

enum { PATTERN = 0x5ac35ac3 }; /* of stack that was not used yet */

/* main's status, or a failure if the stack outgrew what the linker script keeps free for it. */
static int run_main(void)
{
    int status;
    __stack_limit[0] = PATTERN;
    status = main();
    if (__stack_limit[0] == PATTERN) return status;
    semihosting(SYS_WRITE0, (uintptr_t)"the stack and the heap met\n");
    return EXIT_FAILURE;
}

/* Apart from reset, so that nothing here can use the FPU before it is on. */
__attribute__((noinline, noreturn)) static void start(void)
{
    memcpy(__data_start, __data_load, (size_t)(__data_end - __data_start));
    memset(__bss_start, 0, (size_t)(__bss_end - __bss_start));
    initialise_monitor_handles();
    exit(run_main());
}

void reset(void);
void reset(void)
{
#if defined(__ARM_FP)
    volatile uint32_t *cpacr = (volatile uint32_t *)(uintptr_t)0xe000ed88u;
    *cpacr |= 0xfu << 20; /* full access to coprocessors 10 and 11: the FPU */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("vmsr fpscr, %0" ::"r"(0x00040000u)); /* LTPSIZE 4: loops without tail predication */
#endif
    start();
}

typedef union vector {
    const void *stack;
    void (*handler)(void);
} vector;

/* Reset, and the six faults of the architecture; programs here use no interrupts. */
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {__stack_top},      {.handler = reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault}, {.handler = fault}, {.handler = fault}, {.handler = fault},
};

/* ---- stack -------------------------------------------------------------------------------------------------------- */

enum { OWN_WORDS = 16 }; /* room for the frames of the functions here */

static uint32_t *painted_from;

static inline uint32_t *stack_pointer(void)
{
    uint32_t *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

__attribute__((noinline)) void stack_paint(void)
{
    painted_from = stack_pointer();
    for (volatile uint32_t *p = __stack_limit; p < painted_from - OWN_WORDS; p++) *p = PATTERN;
}

__attribute__((noinline)) uint32_t stack_peak(void)
{
    const volatile uint32_t *p = __stack_limit;
    while (p < painted_from - OWN_WORDS && *p == PATTERN) p++;
    return (uint32_t)(painted_from - p) * (uint32_t)sizeof *p;
}
