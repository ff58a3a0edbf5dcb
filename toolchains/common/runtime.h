/*
 * What programs on a bare-metal board find besides the C library: how much stack a piece of code takes.
 *
 *   stack_paint();  work();  bytes = stack_peak();
 *
 * Compiled and linked by `make firmware`, which defines CGE_BARE_METAL for such boards.
 */
#ifndef CGE_RUNTIME_H
#define CGE_RUNTIME_H

#include <stdint.h>

/* Fills the unused stack below the caller with a pattern. */
void stack_paint(void);

/* Bytes below the frame of stack_paint's caller that were written since, 64 or more. About the size of the whole
 * stack (16 KB; 2.5 KB on small boards): then it overflowed. */
uint32_t stack_peak(void);

#endif
