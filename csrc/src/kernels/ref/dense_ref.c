/* Reference dense layer: y = b + x w, sample by sample; formulas and orders in cge.h. */
#include "../kernels.h"

#include <string.h>

CGE_INTERNAL void cge_dense_forward_f32_ref(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    int32_t n, i, o;
    for (n = 0; n < count; n++, x += in, y += out) {
        const cge_real *CGE_RESTRICT wp = w;
        cge_real *CGE_RESTRICT yp = y;
        for (o = 0; o < out; o++) yp[o] = b != NULL ? b[o] : CGE_REAL(0);
        for (i = 0; i < in; i++, wp += out) {
            cge_real xi = x[i];
            for (o = 0; o < out; o++) yp[o] = CGE_MADD(yp[o], xi, wp[o]);
        }
    }
}

CGE_INTERNAL void cge_dense_add_products(int32_t in, int32_t out, const cge_real *x, const cge_real *w, cge_real *y)
{
    cge_real *CGE_RESTRICT yp = y;
    const cge_real *CGE_RESTRICT wp = w;
    int32_t i, o;
    for (i = 0; i < in; i++, wp += out) {
        const cge_real xi = x[i];
        for (o = 0; o < out; o++) yp[o] = CGE_MADD(yp[o], xi, wp[o]);
    }
}

CGE_INTERNAL void cge_dense_weight_grad_f32_ref(int32_t in, int32_t out, int32_t count, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range inputs, int add)
{
    int32_t n, i, o;
    if (!add) memset(dw + (size_t)inputs.begin * (size_t)out, 0, (size_t)(inputs.end - inputs.begin) * (size_t)out * sizeof *dw);
    for (n = 0; n < count; n++, x += in, dy += out) {
        cge_real *CGE_RESTRICT dwp = dw + (size_t)inputs.begin * (size_t)out;
        const cge_real *CGE_RESTRICT dyp = dy;
        for (i = inputs.begin; i < inputs.end; i++, dwp += out) {
            cge_real xi = x[i];
            for (o = 0; o < out; o++) dwp[o] = CGE_MADD(dwp[o], xi, dyp[o]);
        }
    }
}

CGE_INTERNAL void cge_dense_bias_grad_f32_ref(int32_t out, int32_t count, const cge_real *dy, cge_real *db)
{
    int32_t n, o;
    for (n = 0; n < count; n++, dy += out)
        for (o = 0; o < out; o++) db[o] += dy[o];
}

CGE_INTERNAL void cge_dense_input_grad_f32_ref(int32_t in, int32_t out, int32_t count, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    const cge_real *wp;
    int32_t n, i, o;
    for (n = 0; n < count; n++, dy += out, dx += in)
        for (i = 0, wp = w; i < in; i++, wp += out) {
            cge_real s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            int half;
            for (o = 0; o < out; o++) s[o & 7] = CGE_MADD(s[o & 7], dy[o], wp[o]);
            for (half = 4; half > 0; half /= 2) /* ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) */
                for (o = 0; o < half; o++) s[o] += s[o + half];
            dx[i] = s[0];
        }
}
