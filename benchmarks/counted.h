/* Between these two functions insn_plugin.c counts instructions. A program has them once. */
#ifndef COUNTED_H
#define COUNTED_H

void bench_begin(void);
void bench_end(void);
__attribute__((noinline)) void bench_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void bench_end(void) { __asm__ volatile("" ::: "memory"); }

#endif
