/*
 * What only exists where there is an operating system: a choice of kernel sets, and a pool of threads for
 * cge_options.executor. Boards never link it.
 */
#ifndef CGE_HOST_H
#define CGE_HOST_H

#include "cge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels of this process: "ref", "small", "tiled", "lanes", "lanes_avx2" or "lanes_avx512". At the first call of the library
 * the best that the CPU runs is chosen, or what the environment variable CGE_KERNELS names, if it can run. All give the
 * same bits. */
const char *cge_kernel_set_name(void);

/* What a call may take of its thread's stack on hosts, whose kernels keep small panels there; boards: `make size`. */
#define CGE_HOST_STACK_BYTES 81920

#define CGE_MAX_THREADS 64

typedef struct cge_thread_pool cge_thread_pool;

/* Bytes of a pool, which is aligned as an int64_t. */
size_t cge_thread_pool_bytes(void);

/* Starts threads - 1 threads (the caller's is the first) in memory[bytes]; threads 1 .. CGE_MAX_THREADS. The pool must
 * stay where it is until it is stopped. CGE_ERR_MODE if the system starts no more threads, or has no POSIX threads.
 *
 * Threads that wait for work look for it for 50 microseconds, if every thread has a processor, and sleep then. In a child
 * of fork(), which has none of them, the caller's thread does all the work. */
CGE_MUST_USE cge_status cge_thread_pool_start(void *memory, size_t bytes, int32_t threads, cge_thread_pool **pool);

/* Waits for the threads to end. NULL, and a pool of a process that this one was forked from, does nothing. */
void cge_thread_pool_stop(cge_thread_pool *pool);

/* For cge_options.executor; valid until the pool is stopped. One step at a time may use it. */
const cge_executor *cge_thread_pool_executor(const cge_thread_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
