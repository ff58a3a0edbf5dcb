/* From layer->trains to the weights that learn. */
#include "layer.h"

CGE_INTERNAL cge_trained cge_trained_weights(const cge_layer *l, int32_t weights)
{
    int32_t taps = 1, outputs;
    cge_trained t = {1, 0, 0};
    t.pitch = weights;
    if ((l->flags & CGE_FROZEN) != 0 || l->trains < 0) return t;
    t.run = weights;
    if (cge_normalises_batch(l)) t.run = weights / 3; /* running statistics follow */
    if (l->trains == 0) return t;
    if ((l->kind->traits & CGE_BY_ROWS) != 0) {
        taps = cge_conv2d_of(l)->kernel_h * cge_conv2d_of(l)->kernel_w;
        outputs = cge_conv2d_of(l)->out_c;
    } else {
        outputs = ((const cge_dense *)l->config)->units;
    }
    if (l->trains * outputs * taps == weights) return t;
    t.taps = taps;
    t.run = l->trains * outputs;
    t.pitch = weights / taps;
    return t;
}
