/* The checked public operators: validate once, then run the kernel over the full range. */
#include "kernels/kernels.h"

#define CHECK2(a, b)                   \
    do {                               \
        CGE_TRY(cge_check_buffer(a));  \
        CGE_TRY(cge_check_buffer(b));  \
    } while (0)
#define CHECK3(a, b, c)                \
    do {                               \
        CHECK2(a, b);                  \
        CGE_TRY(cge_check_buffer(c));  \
    } while (0)

static cge_range full(int32_t count)
{
    cge_range r;
    r.begin = 0;
    r.end = count;
    return r;
}

static cge_status check_optional(const cge_real *b)
{
    return b == NULL ? CGE_OK : cge_check_buffer(b);
}

/* ---- convolution ---- */

cge_status cge_conv2d_forward_f32(const cge_conv2d *g, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, w, y);
    CGE_TRY(check_optional(b));
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_forward(&p, x, w, b, y, full(p.out_h));
    return CGE_OK;
}

cge_status cge_conv2d_weight_grad_f32(const cge_conv2d *g, const cge_real *x, const cge_real *dy, cge_real *dw)
{
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dw);
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_weight_grad(&p, x, dy, dw, full(p.out_h), full(p.g.kernel_h));
    return CGE_OK;
}

cge_status cge_conv2d_bias_grad_f32(const cge_conv2d *g, const cge_real *dy, cge_real *db)
{
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(dy, db);
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_bias_grad(&p, dy, db, full(p.out_h));
    return CGE_OK;
}

cge_status cge_conv2d_input_grad_f32(const cge_conv2d *g, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(w, dy, dx);
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_input_grad(&p, w, dy, dx, full(p.g.in_h));
    return CGE_OK;
}

/* ---- dense ---- */

static cge_status check_dense(int32_t in, int32_t out)
{
    if (in < 1 || out < 1) return CGE_ERR_SHAPE;
    return cge_elems3(in, out, 1) < 0 ? CGE_ERR_OVERFLOW : CGE_OK;
}

cge_status cge_dense_forward_f32(int32_t in, int32_t out, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    CGE_TRY(check_dense(in, out));
    CHECK3(x, w, y);
    CGE_TRY(check_optional(b));
    cge_run_dense_forward(in, out, 1, x, w, b, y);
    return CGE_OK;
}

cge_status cge_dense_weight_grad_f32(int32_t in, int32_t out, const cge_real *x, const cge_real *dy, cge_real *dw)
{
    CGE_TRY(check_dense(in, out));
    CHECK3(x, dy, dw);
    cge_run_dense_weight_grad(in, out, 1, x, dy, dw, full(in), 1);
    return CGE_OK;
}

cge_status cge_dense_bias_grad_f32(int32_t out, const cge_real *dy, cge_real *db)
{
    CGE_TRY(check_dense(1, out));
    CHECK2(dy, db);
    cge_run_dense_bias_grad(out, 1, dy, db);
    return CGE_OK;
}

cge_status cge_dense_input_grad_f32(int32_t in, int32_t out, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_dense(in, out));
    CHECK3(w, dy, dx);
    cge_run_dense_input_grad(in, out, 1, w, dy, dx);
    return CGE_OK;
}

/* ---- pooling ---- */

cge_status cge_maxpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y)
{
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(x, y);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_maxpool2d_forward(&p, x, y, full(p.out_h));
    return CGE_OK;
}

cge_status cge_maxpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dx);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_maxpool2d_input_grad(&p, x, dy, dx);
    return CGE_OK;
}

cge_status cge_avgpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y)
{
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(x, y);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_avgpool2d_forward(&p, x, y, full(p.out_h));
    return CGE_OK;
}

cge_status cge_avgpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *dy, cge_real *dx)
{
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(dy, dx);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_avgpool2d_input_grad(&p, dy, dx);
    return CGE_OK;
}

/* ---- activations ---- */

static cge_status check_alpha(float alpha)
{
    return alpha >= 0.0f && alpha - alpha == 0.0f ? CGE_OK : CGE_ERR_ARGUMENT;
}

static cge_status check_elementwise(int32_t n, const cge_real *x, const cge_real *y)
{
    CGE_TRY(cge_check_vector(n, x));
    return cge_check_buffer(y);
}

cge_status cge_relu_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_elementwise(n, x, y));
    cge_run_relu(n, x, y);
    return CGE_OK;
}

cge_status cge_relu_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_run_relu_grad(n, y, dy, dx);
    return CGE_OK;
}

cge_status cge_leaky_relu_forward_f32(int32_t n, float alpha, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_alpha(alpha));
    CGE_TRY(check_elementwise(n, x, y));
    cge_leaky_relu_apply(n, CGE_REAL(alpha), x, y);
    return CGE_OK;
}

cge_status cge_leaky_relu_input_grad_f32(int32_t n, float alpha, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_alpha(alpha));
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_leaky_relu_grad(n, CGE_REAL(alpha), y, dy, dx);
    return CGE_OK;
}

cge_status cge_sigmoid_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_elementwise(n, x, y));
    cge_sigmoid_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_sigmoid_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_sigmoid_grad(n, y, dy, dx);
    return CGE_OK;
}

cge_status cge_tanh_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_elementwise(n, x, y));
    cge_tanh_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_tanh_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_tanh_grad(n, y, dy, dx);
    return CGE_OK;
}

/* ---- losses ---- */

static cge_status check_label(int32_t n, int32_t label)
{
    return label < 0 || label >= n ? CGE_ERR_LABEL : CGE_OK;
}

cge_status cge_softmax_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_elementwise(n, x, y));
    cge_softmax_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_softmax_cross_entropy_forward_f32(int32_t n, const cge_real *x, int32_t label, cge_real *loss)
{
    CGE_TRY(check_elementwise(n, x, loss));
    CGE_TRY(check_label(n, label));
    *loss = cge_softmax_cross_entropy_loss(n, x, label);
    return CGE_OK;
}

cge_status cge_softmax_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, int32_t label, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, x, dx));
    CGE_TRY(check_label(n, label));
    cge_softmax_cross_entropy_grad(n, x, label, dx);
    return CGE_OK;
}

cge_status cge_mean_squared_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss)
{
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(loss));
    *loss = cge_mean_squared_error_loss(n, x, target);
    return CGE_OK;
}

cge_status cge_mean_squared_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(dx));
    cge_mean_squared_error_grad(n, x, target, dx);
    return CGE_OK;
}

/* ---- optimiser ---- */

cge_status cge_sgd_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    if (o == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_elementwise(n, dw, w));
    CGE_TRY(cge_sgd_check(o));
    if (o->momentum != 0.0f) CGE_TRY(cge_check_buffer(v));
    cge_run_sgd(n, o, scale, dw, w, v);
    return CGE_OK;
}
