/* What the sources of a network share. */
#ifndef CGE_NETWORK_H
#define CGE_NETWORK_H

#include "plan.h"

/* CGE_ERR_NULL for NULL and for a struct that was never initialised (all zero). */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_network(const cge_network *net);

/* The plans lie at the start of the arena. */
CGE_INTERNAL const cge_layer_plan *cge_layer_plans(const cge_network *net);

#endif
