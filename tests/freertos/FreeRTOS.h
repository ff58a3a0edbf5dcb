/* The types and constants of FreeRTOS that examples/freertos uses; task.h says whose this is. */
#ifndef FREERTOS_H
#define FREERTOS_H

#include <stddef.h>
#include <stdint.h>

typedef long BaseType_t;
typedef unsigned long UBaseType_t;
typedef uint32_t StackType_t;
typedef uint32_t TickType_t;

#define configSTACK_DEPTH_TYPE uint16_t
#define pdPASS ((BaseType_t)1)
#define pdFAIL ((BaseType_t)0)

#endif
