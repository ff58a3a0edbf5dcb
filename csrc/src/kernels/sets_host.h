/* Which kernel set a host runs; boards have theirs by name (dispatch.c). */
#ifndef CGE_KERNELS_HOST_H
#define CGE_KERNELS_HOST_H

#include "kernels.h"

#if CGE_HOST && !CGE_F64
/* The best set that this CPU runs, or the one that the environment's CGE_KERNELS names; decided at the first call. */
CGE_INTERNAL const cge_kernel_set *cge_host_kernels(void);
#endif

#endif
