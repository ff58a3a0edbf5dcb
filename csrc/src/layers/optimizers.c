#include "layer.h"
#include "../kernels/kernels.h"

static int sgd_has_velocity(const cge_optimizer *o)
{
    return o->momentum != 0.0f;
}

const cge_optimizer_kind cge_sgd = {1, cge_sgd_check, sgd_has_velocity, cge_run_sgd};
