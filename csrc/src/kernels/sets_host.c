/*
 * The choice of a kernel set on hosts. It is made once and kept in the library's one static variable: a host only, and
 * every thread that asks at the same time comes to the same answer.
 */
#include "sets_host.h"
#include "../../include/cge_host.h"

#if CGE_HOST && !CGE_F64

#include <stdlib.h>
#include <string.h>

static const cge_kernel_set *set_named(const char *name)
{
    const cge_kernel_set *set;
    int32_t i;
    for (i = 0; (set = cge_kernel_set_at(i)) != NULL; i++)
        if (strcmp(set->name, name) == 0) return set;
    return NULL;
}

static const cge_kernel_set *best_set(void)
{
    const cge_kernel_set *set = NULL, *next;
    int32_t i;
    for (i = 0; (next = cge_kernel_set_at(i)) != NULL; i++) set = next;
    return set;
}

static const cge_kernel_set *choose(void)
{
    const char *name = getenv("CGE_KERNELS");
    const cge_kernel_set *set = name != NULL ? set_named(name) : NULL;
    return set != NULL ? set : best_set();
}

#if defined(__GNUC__)
#define LOAD(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)
#define STORE(p, value) __atomic_store_n(&(p), (value), __ATOMIC_RELAXED)
#else /* an aligned pointer is read and written whole */
#define LOAD(p) (p)
#define STORE(p, value) ((p) = (value))
#endif

const cge_kernel_set *cge_host_kernels(void)
{
    static const cge_kernel_set *chosen;
    const cge_kernel_set *set = LOAD(chosen);
    if (set == NULL) {
        set = choose();
        STORE(chosen, set);
    }
    return set;
}

#undef LOAD
#undef STORE

const char *cge_kernel_set_name(void)
{
    return cge_host_kernels()->name;
}

#endif
