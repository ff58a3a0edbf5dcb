/* PReLU: element i has slope i % slopes; formulas in cge.h. */
#include "../kernels.h"

CGE_INTERNAL void cge_prelu_apply(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, cge_real *y)
{
    int32_t i, k;
    for (i = 0; i < n; i += slopes)
        for (k = 0; k < slopes; k++) y[i + k] = x[i + k] < 0 ? w[k] * x[i + k] : x[i + k];
}

CGE_INTERNAL void cge_prelu_weight_grad(int32_t n, int32_t slopes, const cge_real *x, const cge_real *dy, cge_real *dw,
                                        cge_range of)
{
    int32_t i, k;
    for (k = of.begin; k < of.end; k++) {
        cge_real sum = 0;
        for (i = k; i < n; i += slopes)
            if (!(x[i] > 0)) sum = CGE_MADD(sum, x[i], dy[i]);
        dw[k] += sum;
    }
}

CGE_INTERNAL void cge_prelu_grad(int32_t n, int32_t slopes, const cge_real *x, const cge_real *w, const cge_real *dy,
                                 cge_real *dx, cge_range of)
{
    int32_t i, k;
    for (i = 0; i < n; i += slopes)
        for (k = of.begin; k < of.end; k++) dx[i + k] = x[i + k] > 0 ? dy[i + k] : w[k] * dy[i + k];
}
