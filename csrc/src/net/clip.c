/* Clipping of the gradients that wait for an update. */
#include "net.h"
#include "../base/fp_mode.h"
#include "../kernels/kernels.h"

static cge_status check_clipping(const cge_network *net, float most)
{
    CGE_TRY(cge_check_training_mode(net));
    if (net->grads == NULL) return CGE_ERR_MODE;
    return cge_is_finite_nonnegative(most) && most > 0.0f ? CGE_OK : CGE_ERR_ARGUMENT;
}

/* Of the sums, which are `pending` times as large as the mean. */
static cge_status clip_norm(const cge_network *net, float most, cge_real *norm)
{
    const cge_real largest = cge_largest_magnitude(net->grad_elems, net->grads), samples = CGE_REAL(net->pending);
    cge_real of_mean;
    if (net->pending == 0) return CGE_ERR_MODE;
    if (!cge_is_finite(largest)) return CGE_ERR_NOT_FINITE;
    of_mean = cge_norm_of(net->grad_elems, net->grads, largest) / samples;
    if (!cge_is_finite(of_mean)) return CGE_ERR_NOT_FINITE;
    if (of_mean > CGE_REAL(most)) cge_scale_by(net->grad_elems, CGE_REAL(most) / of_mean, net->grads);
    *norm = of_mean;
    return CGE_OK;
}

cge_status cge_network_clip_norm(cge_network *net, float most, cge_real *norm)
{
    CGE_OWN_FP_MODE
    cge_status status;
    CGE_TRY(check_clipping(net, most));
    CGE_TRY(cge_check_buffer(norm));
    CGE_TRY(cge_network_take(net));
    status = clip_norm(net, most, norm);
    cge_network_release(net);
    return status;
}

cge_status cge_network_clip_value(cge_network *net, float most)
{
    CGE_OWN_FP_MODE
    cge_status status;
    CGE_TRY(check_clipping(net, most));
    CGE_TRY(cge_network_take(net));
    status = net->pending == 0 ? CGE_ERR_MODE : CGE_OK;
    if (status == CGE_OK) cge_clamp_to(net->grad_elems, CGE_REAL(most) * CGE_REAL(net->pending), net->grads);
    cge_network_release(net);
    return status;
}
