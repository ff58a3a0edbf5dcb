/* The elementary functions as the other sources call them: in the mode that is set. The public ones (ops.c) set it. */
#ifndef CGE_ELEMENTARY_H
#define CGE_ELEMENTARY_H

#include "config.h"

CGE_INTERNAL cge_real cge_exp(cge_real x);
CGE_INTERNAL cge_real cge_log(cge_real x);
CGE_INTERNAL cge_real cge_tanh(cge_real x);
CGE_INTERNAL cge_real cge_sqrt(cge_real x);
CGE_INTERNAL cge_real cge_erf(cge_real x);
CGE_INTERNAL cge_real cge_cospi(cge_real x);
CGE_INTERNAL cge_real cge_sinpi_near(cge_real r); /* sin(pi r), |r| <= 1/4 */
CGE_INTERNAL cge_real cge_rng_centred(cge_rng *rng); /* 2 u - 1, u uniform */
CGE_INTERNAL cge_real cge_rng_normal(cge_rng *rng);

#endif
