/* What the kinds with L1 decay do, each by its without_l1. */
#ifndef CGE_L1_OPTIMIZERS_H
#define CGE_L1_OPTIMIZERS_H

#include "../layers/layer.h"

CGE_INTERNAL cge_status cge_l1_check(const cge_optimizer *o);
CGE_INTERNAL int32_t cge_l1_slots(const cge_optimizer *o);
CGE_INTERNAL cge_real cge_l1_begin(cge_network *net);
CGE_INTERNAL int cge_l1_stays_finite(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, const cge_real *w,
                                     const cge_real *v);
CGE_INTERNAL void cge_l1_update(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w,
                                cge_real *v);

#define CGE_WITH_L1(id, check_macs, update_macs, kind)                                                                         \
    {id, check_macs, update_macs, CGE_L1_SETTINGS, cge_l1_check, cge_l1_slots, cge_l1_begin, cge_l1_stays_finite,              \
     cge_l1_update, kind}

#endif
