#include "l1_optimizers.h"
#include "../kernels/kernels.h"

static int32_t sgd_slots(const cge_optimizer *o)
{
    return o->momentum > 0.0f;
}

const cge_optimizer_kind cge_sgd = {1, 3, 7, 0, cge_sgd_check, sgd_slots, NULL, cge_sgd_stays_finite, cge_run_sgd, NULL};
const cge_optimizer_kind cge_sgd_l1 = CGE_WITH_L1(33, 10, 14, &cge_sgd);
