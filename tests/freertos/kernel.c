/*
 * A preemptive scheduler with fixed priorities in the least code: SysTick counts, PendSV changes tasks, registers of the
 * FPU included. Below all tasks runs the idle task, as one that feeds a watchdog does: when the program ends it prints
 * for how long that had to wait.
 */
#include "FreeRTOS.h"
#include "runtime.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_TASKS = 4, POOL_WORDS = 2048, IDLE_WORDS = 128, CYCLES_PER_TICK = 168000 };

typedef struct task {
    StackType_t *sp; /* below it: what the core did not push itself */
    UBaseType_t priority;
    TickType_t wake; /* not before this tick */
} task;

static task tasks[MAX_TASKS]; /* tasks[0] is the idle task */
static int32_t task_count = 1;
static StackType_t pool[POOL_WORDS] __attribute__((aligned(8)));
static size_t pool_used;
static volatile TickType_t now, idle_ran, longest_wait;

static StackType_t start_frame[32]; /* where the first change of tasks saves what nobody continues */
static task at_start;
task *kernel_current = &at_start; /* PendSV_Handler names it */

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

static void task_returned(void)
{
    puts("a task returned");
    exit(EXIT_FAILURE);
}

/* As if the task had been interrupted before its first instruction. */
static void lay_out(task *t, StackType_t *top, TaskFunction_t function, void *argument)
{
    static const uint32_t to_thread_on_psp = 0xfffffffdu, thumb_state = 0x01000000u;
    StackType_t *frame = top - 8;
    frame[0] = (StackType_t)(uintptr_t)argument;
    frame[5] = (StackType_t)(uintptr_t)task_returned;
    frame[6] = (StackType_t)(uintptr_t)function & ~(StackType_t)1;
    frame[7] = thumb_state;
    t->sp = frame - 9; /* r4 to r11, the return code */
    t->sp[8] = to_thread_on_psp;
}

static int has_room(size_t stack_words)
{
    return stack_words <= POOL_WORDS - pool_used;
}

static void create(task *t, TaskFunction_t function, size_t stack_words, void *argument, UBaseType_t priority)
{
    pool_used += stack_words;
    t->priority = priority;
    t->wake = 0;
    lay_out(t, pool + (pool_used & ~(size_t)1), function, argument);
}

BaseType_t xTaskCreate(TaskFunction_t function, const char *name, configSTACK_DEPTH_TYPE stack_words, void *argument,
                       UBaseType_t priority, TaskHandle_t *handle)
{
    (void)name;
    if (task_count == MAX_TASKS || !has_room(stack_words)) return pdFAIL;
    create(&tasks[task_count], function, stack_words, argument, priority);
    if (handle != NULL) *handle = &tasks[task_count];
    task_count++;
    return pdPASS;
}

/* Of the tasks that are awake, the first with the highest priority. The idle task always is. */
static task *next_task(void)
{
    task *next = &tasks[0];
    int32_t i;
    for (i = 1; i < task_count; i++)
        if (tasks[i].wake <= now && tasks[i].priority > next->priority) next = &tasks[i];
    return next;
}

/* ---- ticks, and the change of tasks ------------------------------------------------------------------------------- */

static void change_tasks(void)
{
    *(volatile uint32_t *)(uintptr_t)0xe000ed04u = 1u << 28; /* PendSV is due */
    __asm__ volatile("dsb\n isb" ::: "memory");
}

void SysTick_Handler(void)
{
    now++;
    if (now - idle_ran > longest_wait) longest_wait = now - idle_ran;
    change_tasks();
}

void vTaskDelay(TickType_t ticks)
{
    kernel_current->wake = now + ticks;
    change_tasks();
}

void kernel_choose(void);
__attribute__((used)) void kernel_choose(void)
{
    kernel_current = next_task();
}

/* Bit 4 of the return code is clear if the task has used the FPU: then its upper half is saved too. */
__attribute__((naked)) void PendSV_Handler(void)
{
    __asm__ volatile("mrs r0, psp\n"
                     "ldr r2, =kernel_current\n"
                     "ldr r1, [r2]\n"
                     "tst lr, #16\n"
                     "it eq\n"
                     "vstmdbeq r0!, {s16-s31}\n"
                     "stmdb r0!, {r4-r11, lr}\n"
                     "str r0, [r1]\n"
                     "push {r2, lr}\n"
                     "bl kernel_choose\n"
                     "pop {r2, lr}\n"
                     "ldr r1, [r2]\n"
                     "ldr r0, [r1]\n"
                     "ldmia r0!, {r4-r11, lr}\n"
                     "tst lr, #16\n"
                     "it eq\n"
                     "vldmiaeq r0!, {s16-s31}\n"
                     "msr psp, r0\n"
                     "bx lr\n"
                     ".ltorg\n");
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static void idle(void *unused)
{
    (void)unused;
    for (;;) idle_ran = now;
}

static void report(void)
{
    printf("%lu ticks; the idle task waited for at most %lu\n", (unsigned long)now, (unsigned long)longest_wait);
}

/* Both interrupts at the lowest priority, so that PendSV waits until SysTick has ended. */
static void start_ticks(void)
{
    volatile uint32_t *systick = (volatile uint32_t *)(uintptr_t)0xe000e010u; /* control, reload, value */
    *(volatile uint32_t *)(uintptr_t)0xe000ed20u = 0xffff0000u;
    systick[1] = CYCLES_PER_TICK - 1;
    systick[2] = 0;
    systick[0] = 7; /* the core's clock, interrupt, on */
}

void vTaskStartScheduler(void)
{
    if (!has_room(IDLE_WORDS)) return;
    create(&tasks[0], idle, IDLE_WORDS, NULL, tskIDLE_PRIORITY);
    atexit(report);
    __asm__ volatile("msr psp, %0" ::"r"(start_frame + 32));
    start_ticks();
    for (;;) change_tasks();
}
