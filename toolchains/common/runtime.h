/*
 * What programs on a bare-metal board find besides the C library: interrupts, and how much stack a piece of code takes.
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

/* Interrupts: define the function, and it is in the table of vectors. One that is not defined ends the program with a
 * report of where it came. */
void NMI_Handler(void);
void HardFault_Handler(void);
void MemManage_Handler(void);
void BusFault_Handler(void);
void UsageFault_Handler(void);
void SecureFault_Handler(void);
void SVC_Handler(void);
void DebugMon_Handler(void);
void PendSV_Handler(void);
void SysTick_Handler(void);
void External_Handler(void); /* all interrupts of the chip: IPSR - 16 is the number */

#endif
