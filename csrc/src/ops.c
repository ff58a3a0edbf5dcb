/* The checked public operators: validate once, then run the kernel over the full range. */
#include "base/elementary.h"
#include "base/fp_mode.h"
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
    CGE_OWN_FP_MODE
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
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dw);
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_weight_grad(&p, x, dy, dw, full(p.out_h), full(p.g.kernel_h));
    return CGE_OK;
}

cge_status cge_conv2d_bias_grad_f32(const cge_conv2d *g, const cge_real *dy, cge_real *db)
{
    CGE_OWN_FP_MODE
    cge_conv2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(dy, db);
    CGE_TRY(cge_conv2d_resolve(g, &p));
    cge_run_conv2d_bias_grad(&p, dy, db, full(p.out_h));
    return CGE_OK;
}

cge_status cge_conv2d_input_grad_f32(const cge_conv2d *g, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
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
    CGE_OWN_FP_MODE
    CGE_TRY(check_dense(in, out));
    CHECK3(x, w, y);
    CGE_TRY(check_optional(b));
    cge_run_dense_forward(in, out, 1, x, w, b, y);
    return CGE_OK;
}

cge_status cge_dense_weight_grad_f32(int32_t in, int32_t out, const cge_real *x, const cge_real *dy, cge_real *dw)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_dense(in, out));
    CHECK3(x, dy, dw);
    cge_run_dense_weight_grad(in, out, 1, x, dy, dw, full(in), 1);
    return CGE_OK;
}

cge_status cge_dense_bias_grad_f32(int32_t out, const cge_real *dy, cge_real *db)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_dense(1, out));
    CHECK2(dy, db);
    cge_run_dense_bias_grad(out, 1, dy, db);
    return CGE_OK;
}

cge_status cge_dense_input_grad_f32(int32_t in, int32_t out, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_dense(in, out));
    CHECK3(w, dy, dx);
    cge_run_dense_input_grad(in, out, 1, w, dy, dx);
    return CGE_OK;
}

/* ---- pooling ---- */

cge_status cge_maxpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(x, y);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_maxpool2d_forward(&p, x, y, full(p.out_h));
    return CGE_OK;
}

cge_status cge_maxpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *x, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dx);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_maxpool2d_input_grad(&p, x, dy, dx);
    return CGE_OK;
}

cge_status cge_avgpool2d_forward_f32(const cge_pool2d *g, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(x, y);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_avgpool2d_forward(&p, x, y, full(p.out_h));
    return CGE_OK;
}

cge_status cge_avgpool2d_input_grad_f32(const cge_pool2d *g, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    cge_pool2d_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(dy, dx);
    CGE_TRY(cge_pool2d_resolve(g, &p));
    cge_run_avgpool2d_input_grad(&p, dy, dx);
    return CGE_OK;
}

/* ---- normalisation ---- */

cge_status cge_group_norm_forward_f32(const cge_norm *g, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    CGE_OWN_FP_MODE
    cge_norm_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(x, y);
    CGE_TRY(check_optional(w));
    CGE_TRY(check_optional(b));
    CGE_TRY(cge_norm_resolve(g, &p));
    cge_run_group_norm_forward(&p, x, w, b, y, full(p.runs));
    return CGE_OK;
}

cge_status cge_group_norm_weight_grad_f32(const cge_norm *g, const cge_real *x, const cge_real *dy, cge_real *dw)
{
    CGE_OWN_FP_MODE
    cge_norm_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dw);
    CGE_TRY(cge_norm_resolve(g, &p));
    cge_run_group_norm_grads(&p, x, NULL, dy, dw, NULL, NULL, full(p.runs));
    return CGE_OK;
}

cge_status cge_group_norm_bias_grad_f32(const cge_norm *g, const cge_real *dy, cge_real *db)
{
    CGE_OWN_FP_MODE
    cge_norm_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK2(dy, db);
    CGE_TRY(cge_norm_resolve(g, &p));
    cge_run_group_norm_bias_grad(&p, dy, db, full(p.runs));
    return CGE_OK;
}

cge_status cge_group_norm_input_grad_f32(const cge_norm *g, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    cge_norm_plan p;
    if (g == NULL) return CGE_ERR_NULL;
    CHECK3(x, dy, dx);
    CGE_TRY(check_optional(w));
    CGE_TRY(cge_norm_resolve(g, &p));
    cge_run_group_norm_grads(&p, x, w, dy, NULL, NULL, dx, full(p.runs));
    return CGE_OK;
}

/* ---- dropout ---- */

static cge_status check_dropout(int32_t n, float p, const cge_real *x, const cge_real *y)
{
    CGE_TRY(cge_check_vector(n, x));
    CGE_TRY(cge_check_buffer(y));
    return cge_is_dropout_rate(p) ? CGE_OK : CGE_ERR_ARGUMENT;
}

cge_status cge_dropout_forward_f32(int32_t n, float p, uint64_t key, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_dropout(n, p, x, y));
    cge_run_dropout(n, p, key, 0, x, y);
    return CGE_OK;
}

cge_status cge_dropout_input_grad_f32(int32_t n, float p, uint64_t key, const cge_real *dy, cge_real *dx)
{
    return cge_dropout_forward_f32(n, p, key, dy, dx);
}

/* ---- activations ---- */

static cge_status check_alpha(float alpha)
{
    return cge_is_finite_nonnegative(alpha) ? CGE_OK : CGE_ERR_ARGUMENT;
}

static cge_status check_elementwise(int32_t n, const cge_real *x, const cge_real *y)
{
    CGE_TRY(cge_check_vector(n, x));
    return cge_check_buffer(y);
}

cge_status cge_relu_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, y));
    cge_run_relu(n, x, y);
    return CGE_OK;
}

cge_status cge_relu_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_run_relu_grad(n, y, dy, dx);
    return CGE_OK;
}

cge_status cge_leaky_relu_forward_f32(int32_t n, float alpha, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_alpha(alpha));
    CGE_TRY(check_elementwise(n, x, y));
    cge_leaky_relu_apply(n, CGE_REAL(alpha), x, y);
    return CGE_OK;
}

cge_status cge_leaky_relu_input_grad_f32(int32_t n, float alpha, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_alpha(alpha));
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_leaky_relu_grad(n, CGE_REAL(alpha), y, dy, dx);
    return CGE_OK;
}

cge_status cge_sigmoid_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, y));
    cge_sigmoid_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_sigmoid_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_sigmoid_grad(n, y, dy, dx);
    return CGE_OK;
}

cge_status cge_tanh_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, y));
    cge_tanh_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_tanh_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_OWN_FP_MODE
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
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, y));
    cge_softmax_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_softmax_cross_entropy_forward_f32(int32_t n, const cge_real *x, int32_t label, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, loss));
    CGE_TRY(check_label(n, label));
    *loss = cge_softmax_cross_entropy_loss(n, x, label);
    return CGE_OK;
}

cge_status cge_softmax_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, int32_t label, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, dx));
    CGE_TRY(check_label(n, label));
    cge_softmax_cross_entropy_grad(n, x, label, dx);
    return CGE_OK;
}

cge_status cge_mean_squared_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(loss));
    *loss = cge_mean_squared_error_loss(n, x, target);
    return CGE_OK;
}

cge_status cge_mean_squared_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(dx));
    cge_mean_squared_error_grad(n, x, target, dx);
    return CGE_OK;
}

cge_status cge_mean_absolute_error_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(loss));
    *loss = cge_mean_absolute_error_loss(n, x, target);
    return CGE_OK;
}

cge_status cge_mean_absolute_error_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(dx));
    cge_mean_absolute_error_grad(n, x, target, dx);
    return CGE_OK;
}

static cge_status check_positive(float setting)
{
    return cge_is_finite_nonnegative(setting) && setting > 0.0f ? CGE_OK : CGE_ERR_ARGUMENT;
}

static cge_status check_share(float share)
{
    return cge_is_finite_nonnegative(share) && share <= 1.0f ? CGE_OK : CGE_ERR_ARGUMENT;
}

cge_status cge_huber_forward_f32(int32_t n, float delta, const cge_real *x, const cge_real *target, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(loss));
    CGE_TRY(check_positive(delta));
    *loss = cge_huber_loss(n, CGE_REAL(delta), x, target);
    return CGE_OK;
}

cge_status cge_huber_input_grad_f32(int32_t n, float delta, const cge_real *x, const cge_real *target, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(dx));
    CGE_TRY(check_positive(delta));
    cge_huber_grad(n, CGE_REAL(delta), x, target, dx);
    return CGE_OK;
}

cge_status cge_binary_cross_entropy_forward_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(loss));
    if (!cge_are_probabilities(n, target)) return CGE_ERR_ARGUMENT;
    *loss = cge_binary_cross_entropy_loss(n, x, target);
    return CGE_OK;
}

cge_status cge_binary_cross_entropy_input_grad_f32(int32_t n, const cge_real *x, const cge_real *target, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, target));
    CGE_TRY(cge_check_buffer(dx));
    if (!cge_are_probabilities(n, target)) return CGE_ERR_ARGUMENT;
    cge_binary_cross_entropy_grad(n, x, target, dx);
    return CGE_OK;
}

cge_status cge_smoothed_cross_entropy_forward_f32(int32_t n, float label_smoothing, const cge_real *x, int32_t label, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(cge_check_vector(n, x));
    CGE_TRY(cge_check_buffer(loss));
    CGE_TRY(check_share(label_smoothing));
    CGE_TRY(check_label(n, label));
    *loss = cge_smoothed_cross_entropy_loss(n, CGE_REAL(label_smoothing), x, label);
    return CGE_OK;
}

cge_status cge_smoothed_cross_entropy_input_grad_f32(int32_t n, float label_smoothing, const cge_real *x, int32_t label, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(cge_check_vector(n, x));
    CGE_TRY(cge_check_buffer(dx));
    CGE_TRY(check_share(label_smoothing));
    CGE_TRY(check_label(n, label));
    cge_smoothed_cross_entropy_grad(n, CGE_REAL(label_smoothing), x, label, dx);
    return CGE_OK;
}

cge_status cge_distillation_forward_f32(int32_t n, float temperature, float alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *loss)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, teacher));
    CGE_TRY(cge_check_buffer(loss));
    CGE_TRY(check_positive(temperature));
    CGE_TRY(check_share(alpha));
    CGE_TRY(check_label(n, label));
    *loss = cge_distillation_loss(n, CGE_REAL(temperature), CGE_REAL(alpha), x, label, teacher);
    return CGE_OK;
}

cge_status cge_distillation_input_grad_f32(int32_t n, float temperature, float alpha, const cge_real *x, int32_t label, const cge_real *teacher, cge_real *dx)
{
    CGE_OWN_FP_MODE
    CGE_TRY(check_elementwise(n, x, teacher));
    CGE_TRY(cge_check_buffer(dx));
    CGE_TRY(check_positive(temperature));
    CGE_TRY(check_share(alpha));
    CGE_TRY(check_label(n, label));
    cge_distillation_grad(n, CGE_REAL(temperature), CGE_REAL(alpha), x, label, teacher, dx);
    return CGE_OK;
}

/* ---- optimiser ---- */

cge_status cge_sgd_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    CGE_OWN_FP_MODE
    if (o == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_elementwise(n, dw, w));
    CGE_TRY(cge_sgd_check(o));
    if (o->momentum > 0.0f) CGE_TRY(cge_check_buffer(v));
    cge_run_sgd(n, o, scale, dw, w, v);
    return CGE_OK;
}

/* Of an optimiser that keeps numbers in `state`, and in `second` if that is wanted; o was checked. */
static cge_status check_update(int32_t n, const cge_real *dw, const cge_real *w, const cge_real *state, const cge_real *second, int wants_second)
{
    CGE_TRY(check_elementwise(n, dw, w));
    CGE_TRY(cge_check_buffer(state));
    return wants_second ? cge_check_buffer(second) : CGE_OK;
}

static cge_status adam_update_of(int decays, int32_t n, const cge_optimizer *o, uint64_t step, cge_real scale, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    CGE_OWN_FP_MODE
    cge_optimizer at_step;
    cge_adam_step s;
    if (o == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_update(n, dw, w, m, v, 1));
    if (step == 0) return CGE_ERR_ARGUMENT;
    CGE_TRY(cge_adam_check(o));
    at_step = *o;
    cge_adam_begin(&at_step, step);
    s = cge_adam_constants(&at_step, scale, decays);
    cge_run_adam(n, &s, dw, w, m, v);
    return CGE_OK;
}

cge_status cge_adam_update_f32(int32_t n, const cge_optimizer *o, uint64_t step, cge_real scale, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    return adam_update_of(CGE_DECAYS_GRADIENT, n, o, step, scale, dw, w, m, v);
}

cge_status cge_adamw_update_f32(int32_t n, const cge_optimizer *o, uint64_t step, cge_real scale, const cge_real *dw, cge_real *w, cge_real *m, cge_real *v)
{
    return adam_update_of(CGE_DECAYS_WEIGHT, n, o, step, scale, dw, w, m, v);
}

cge_status cge_rmsprop_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v, cge_real *m)
{
    CGE_OWN_FP_MODE
    if (o == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_update(n, dw, w, v, m, o->momentum > 0.0f));
    CGE_TRY(cge_rmsprop_check(o));
    cge_rmsprop_apply(n, o, scale, dw, w, v, m);
    return CGE_OK;
}

cge_status cge_adagrad_update_f32(int32_t n, const cge_optimizer *o, cge_real scale, const cge_real *dw, cge_real *w, cge_real *v)
{
    CGE_OWN_FP_MODE
    if (o == NULL) return CGE_ERR_NULL;
    CGE_TRY(check_update(n, dw, w, v, NULL, 0));
    CGE_TRY(cge_adagrad_check(o));
    cge_adagrad_apply(n, o, scale, dw, w, v);
    return CGE_OK;
}

/* ---- elementary functions ---- */

#define ELEMENTARY(name)                     \
    cge_real cge_##name##_f32(cge_real x)    \
    {                                        \
        CGE_OWN_FP_MODE                      \
        CGE_FP_HELD cge_real in = x, result; \
        result = cge_##name(in);             \
        return result;                       \
    }
ELEMENTARY(exp)
ELEMENTARY(log)
ELEMENTARY(tanh)
ELEMENTARY(sqrt)
ELEMENTARY(erf)
ELEMENTARY(cospi)

cge_real cge_rng_normal_f32(cge_rng *rng)
{
    CGE_OWN_FP_MODE
    CGE_FP_HELD cge_real result;
    result = cge_rng_normal(rng);
    return result;
}
