/*
 * Three calls of FreeRTOS, with its names and meaning, so that a program written for it compiles and runs where FreeRTOS
 * itself is not at hand. kernel.c is this project's own and has nothing else of FreeRTOS: it is for tests, on a Cortex-M
 * with FPU.
 */
#ifndef TASK_H
#define TASK_H

#include "FreeRTOS.h"

typedef struct task *TaskHandle_t;
typedef void (*TaskFunction_t)(void *argument);

#define tskIDLE_PRIORITY ((UBaseType_t)0)

/* stack_words in StackType_t; the tasks of higher number go first. pdFAIL: too many tasks, or too much stack. */
BaseType_t xTaskCreate(TaskFunction_t function, const char *name, configSTACK_DEPTH_TYPE stack_words, void *argument,
                       UBaseType_t priority, TaskHandle_t *handle);

/* The calling task sleeps until the ticks-th tick from now; tasks of any priority may run meanwhile. */
void vTaskDelay(TickType_t ticks);

/* Starts the ticks and the first task; the caller's stack is the interrupts' from then on. */
void vTaskStartScheduler(void);

#endif
