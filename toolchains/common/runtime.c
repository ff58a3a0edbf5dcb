/*
 * Start-up of bare-metal programs, for every board: vectors, FPU, static data, semihosting, faults and interrupts.
 *
 * Semihosting is the C library's (rdimon): printf goes to the debugger or emulator, main's value becomes its exit status.
 */
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

extern int main(void);
extern void initialise_monitor_handles(void); /* of the C library: opens stdin, stdout, stderr */

extern unsigned char __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[]; /* linker.ld */
extern void (*const __constructors[])(void), (*const __constructors_end[])(void);
extern uint32_t __stack_limit[], __stack_top[];

/* ---- faults, and interrupts that nobody handles: say where, and end with a failure --------------------------------- */

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

/* Numbers of exceptions, as the core counts them in IPSR; interrupt n of the chip is EXTERNAL + n. */
enum { SVCALL = 11, EXTERNAL = 16 };

static uint32_t exception_number(void)
{
    uint32_t number;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    return number;
}

/* frame: what the core pushed: r0 r1 r2 r3 r12 lr pc psr. */
__attribute__((used, noreturn)) static void fault_report(const uint32_t *frame)
{
    const uint32_t number = exception_number();
    semihosting(SYS_WRITE0, (uintptr_t)(number < SVCALL ? "fault" : "interrupt without a handler"));
    print_hex(" at pc 0x", frame[6]);
    print_hex(" lr 0x", frame[5]);
    print_hex(" psr 0x", frame[7]);
    print_hex(" exception 0x", number);
    semihosting(SYS_WRITE0, (uintptr_t)"\n");
    semihosting(SYS_EXIT, RUN_TIME_ERROR);
    for (;;) {
    }
}

/* The core pushed onto the stack that it was on: bit 2 of its return code (lr) says which. */
__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("movs r0, #4\n"
                     "mov r1, lr\n"
                     "tst r0, r1\n"
                     "bne 1f\n"
                     "mrs r0, msp\n"
                     "b 2f\n"
                     "1: mrs r0, psp\n"
                     "2: ldr r1, =fault_report\n"
                     "bx r1\n"
                     ".ltorg\n");
}

/* ---- reset -------------------------------------------------------------------------------------------------------- */

enum { PATTERN = 0x5ac35ac3 }; /* of stack that was not used yet */

/* main's status, or a failure if the stack outgrew what the linker script keeps free for it. */
static int run_main(void)
{
    void (*const *constructor)(void);
    int status;
    __stack_limit[0] = PATTERN;
    for (constructor = __constructors; constructor < __constructors_end; constructor++) (*constructor)();
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

/* ---- vectors ------------------------------------------------------------------------------------------------------ */

/* A function of the same name in the program takes the place of one of these; runtime.h declares them. */
#define UNLESS_DEFINED __attribute__((weak, alias("fault")))
void NMI_Handler(void) UNLESS_DEFINED;
void HardFault_Handler(void) UNLESS_DEFINED;
void MemManage_Handler(void) UNLESS_DEFINED;
void BusFault_Handler(void) UNLESS_DEFINED;
void UsageFault_Handler(void) UNLESS_DEFINED;
void SecureFault_Handler(void) UNLESS_DEFINED;
void SVC_Handler(void) UNLESS_DEFINED;
void DebugMon_Handler(void) UNLESS_DEFINED;
void PendSV_Handler(void) UNLESS_DEFINED;
void SysTick_Handler(void) UNLESS_DEFINED;
void External_Handler(void) UNLESS_DEFINED;

typedef union vector {
    const void *stack;
    void (*handler)(void);
} vector;

#define TWICE(entry) entry, entry
#define EXTERNAL_X16 TWICE(TWICE(TWICE(TWICE({.handler = External_Handler}))))
#define EXTERNAL_X32 EXTERNAL_X16, EXTERNAL_X16

/* As many interrupts as the architecture has at most, 480 in ARMv8-M apart: no chip that is known here has more than 240. */
#if __ARM_ARCH == 6
enum { INTERRUPTS = 32 };
#define EXTERNAL_VECTORS EXTERNAL_X32
#else
enum { INTERRUPTS = 240 };
#define EXTERNAL_VECTORS TWICE(EXTERNAL_X32), TWICE(EXTERNAL_X32), TWICE(EXTERNAL_X32), EXTERNAL_X32, EXTERNAL_X16
#endif

__attribute__((section(".vectors"), used)) static const vector vectors[EXTERNAL + INTERRUPTS] = {
    {__stack_top},
    {.handler = reset},
    {.handler = NMI_Handler},
    {.handler = HardFault_Handler},
    {.handler = MemManage_Handler},
    {.handler = BusFault_Handler},
    {.handler = UsageFault_Handler},
    {.handler = SecureFault_Handler},
    {.handler = fault},
    {.handler = fault},
    {.handler = fault},
    {.handler = SVC_Handler},
    {.handler = DebugMon_Handler},
    {.handler = fault},
    {.handler = PendSV_Handler},
    {.handler = SysTick_Handler},
    EXTERNAL_VECTORS,
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
