/*
 * The double-precision copy for gradient checks on the host: the same sources once more, with cge_real as double and
 * every public name of the header's real section ending in _f64 (f64_names.h). What is not public becomes static.
 * Boards do not compile this file. Serialisation and self-test exist in single precision only.
 */
#define CGE_F64 1
#define CGE_F64_COPY 1
#define CGE_INTERNAL static

#include "f64_names.h"

#include "math.c"

#include "kernels/activations.c"
#include "kernels/conv2d_ref.c"
#include "kernels/dense_ref.c"
#include "kernels/losses.c"
#include "kernels/pool2d_ref.c"
#include "kernels/sgd.c"

#include "kernels/dispatch.c"

#include "layers/conv2d.c"
#include "layers/dense.c"
#include "layers/elementwise.c"
#include "layers/losses.c"
#include "layers/optimizers.c"
#include "layers/pool2d.c"

#include "network.c"
#include "operators.c"
#include "plan.c"
#include "training.c"
