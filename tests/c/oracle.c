#include "oracle.h"

#include <string.h>

#include "check.h"

static cge_layer_info info_of(const cge_model *model, int32_t index)
{
    cge_layer_info info = {0};
    CHECK_OK(cge_model_layer_info(model, index, &info));
    return info;
}

static int32_t elems(cge_shape s)
{
    return s.h * s.w * s.c;
}

static int32_t layer_params(const cge_layer_info *info)
{
    return info->weight_elems + info->bias_elems;
}

static int is_frozen(const cge_layer *layer)
{
    return (layer->flags & CGE_FROZEN) != 0;
}

int32_t oracle_param_elems(const cge_model *model)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < model->layer_count; i++) {
        cge_layer_info info = info_of(model, i);
        sum += layer_params(&info);
    }
    return sum;
}

int32_t oracle_grad_elems(const cge_model *model)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < model->layer_count; i++) {
        cge_layer_info info = info_of(model, i);
        sum += is_frozen(&model->layers[i]) ? 0 : layer_params(&info);
    }
    return sum;
}

int32_t oracle_out_elems(const cge_model *model)
{
    return elems(info_of(model, model->layer_count - 1).out);
}

static int32_t largest_tensor(const cge_model *model)
{
    int32_t largest = elems(model->input);
    for (int32_t i = 0; i < model->layer_count; i++) {
        int32_t n = elems(info_of(model, i).out);
        if (n > largest) largest = n;
    }
    return largest;
}

/* scratch: the output of every layer, one after the other; then two gradients of activations. */
static int32_t outputs_before(const cge_model *model, int32_t index)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < index; i++) sum += elems(info_of(model, i).out);
    return sum;
}

int32_t oracle_scratch_elems(const cge_model *model)
{
    return outputs_before(model, model->layer_count) + 2 * largest_tensor(model);
}

/* Configs of a layer, as far as it has them; in what comes in. */
static cge_conv2d conv_of(const cge_layer *l, cge_shape in)
{
    cge_conv2d g = {0};
    if (l->kind == &cge_kind_conv2d) memcpy(&g, l->config, sizeof g);
    g.in_h = in.h;
    g.in_w = in.w;
    g.in_c = in.c;
    return g;
}

static cge_conv_transpose2d transposed_of(const cge_layer *l, cge_shape in)
{
    cge_conv_transpose2d g;
    memcpy(&g, l->config, sizeof g);
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c;
    return g;
}

static int is_transposed(const cge_layer *l)
{
    return l->kind == &cge_kind_conv_transpose2d;
}

static cge_pool2d pool_of(const cge_layer *l, cge_shape in)
{
    cge_pool2d g = {0};
    if (l->kind == &cge_kind_maxpool2d || l->kind == &cge_kind_avgpool2d) memcpy(&g, l->config, sizeof g);
    g.in_h = in.h;
    g.in_w = in.w;
    g.in_c = in.c;
    if (l->kind == &cge_kind_global_avgpool2d || l->kind == &cge_kind_global_maxpool2d) {
        g.kernel_h = in.h;
        g.kernel_w = in.w;
    }
    return g;
}

static cge_pad2d pads_of(const cge_layer *l, cge_shape in)
{
    cge_pad2d g;
    memcpy(&g, l->config, sizeof g);
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c;
    return g;
}

static cge_channel_slice channels_of(const cge_layer *l, cge_shape in)
{
    cge_channel_slice g;
    memcpy(&g, l->config, sizeof g);
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c;
    return g;
}

static cge_upsample2d enlarged_of(const cge_layer *l, cge_shape in)
{
    cge_upsample2d g;
    memcpy(&g, l->config, sizeof g);
    g.in_h = in.h, g.in_w = in.w, g.in_c = in.c;
    return g;
}

/* 0: none of these. */
static int image_forward(const cge_layer *l, cge_shape in, const float *x, float *y)
{
    if (l->kind == &cge_kind_zero_pad2d || l->kind == &cge_kind_crop2d) {
        const cge_pad2d g = pads_of(l, in);
        CHECK_OK((l->kind == &cge_kind_crop2d ? cge_crop2d_forward_f32 : cge_zero_pad2d_forward_f32)(&g, x, y));
    } else if (l->kind == &cge_kind_channel_slice) {
        const cge_channel_slice g = channels_of(l, in);
        CHECK_OK(cge_channel_slice_forward_f32(&g, x, y));
    } else if (l->kind == &cge_kind_upsample2d) {
        const cge_upsample2d g = enlarged_of(l, in);
        CHECK_OK(cge_upsample2d_forward_f32(&g, x, y));
    } else {
        return 0;
    }
    return 1;
}

static int image_input_grad(const cge_layer *l, cge_shape in, const float *dy, float *dx)
{
    if (l->kind == &cge_kind_zero_pad2d || l->kind == &cge_kind_crop2d) {
        const cge_pad2d g = pads_of(l, in);
        CHECK_OK((l->kind == &cge_kind_crop2d ? cge_crop2d_input_grad_f32 : cge_zero_pad2d_input_grad_f32)(&g, dy, dx));
    } else if (l->kind == &cge_kind_channel_slice) {
        const cge_channel_slice g = channels_of(l, in);
        CHECK_OK(cge_channel_slice_input_grad_f32(&g, dy, dx));
    } else if (l->kind == &cge_kind_upsample2d) {
        const cge_upsample2d g = enlarged_of(l, in);
        CHECK_OK(cge_upsample2d_input_grad_f32(&g, dy, dx));
    } else {
        return 0;
    }
    return 1;
}

static int is_norm(const cge_layer *l)
{
    return l->kind == &cge_kind_group_norm || l->kind == &cge_kind_instance_norm || l->kind == &cge_kind_layer_norm;
}

static cge_norm norm_of(const cge_layer *l, cge_shape in)
{
    cge_norm g = {0};
    if (is_norm(l) && l->config != NULL) memcpy(&g, l->config, sizeof g);
    g.in_h = l->kind == &cge_kind_layer_norm ? 1 : in.h;
    g.in_w = l->kind == &cge_kind_layer_norm ? 1 : in.w;
    g.in_c = l->kind == &cge_kind_layer_norm ? elems(in) : in.c;
    if (l->kind == &cge_kind_instance_norm) g.groups = in.c;
    return g;
}

/* Batch normalisation, frozen: (x - mean) * (w * rstd) + b; and a scale. b NULL: of gradients, or no bias of a scale. */
static void scale_channels(const cge_layer *l, const cge_layer_info *info, const float *w, const float *x, const float *b,
                           float *y)
{
    const int32_t c = info->in.c;
    const int is_scale = l->kind == &cge_kind_scale;
    const cge_batch_norm *config = (const cge_batch_norm *)l->config;
    const float eps = is_scale || config == NULL || !(config->eps > 0) ? 1e-5f : config->eps;
    for (int32_t i = 0; i < elems(info->in); i++) {
        const float rstd = is_scale ? 1.0f : 1.0f / cge_sqrt_f32(w[2 * c + i % c] + eps);
        const float mean = is_scale || b == NULL ? 0 : w[c + i % c];
        y[i] = mul_add(x[i] - mean, w[i % c] * rstd, b != NULL ? b[i % c] : 0);
    }
}

static int is_scale(const cge_layer *l)
{
    return l->kind == &cge_kind_batch_norm || l->kind == &cge_kind_scale;
}

static float alpha_of(const cge_layer *l)
{
    return l->config != NULL ? ((const cge_leaky_relu *)l->config)->alpha : 0;
}

static void layer_forward(const cge_layer *l, const cge_layer_info *info, const float *w, const float *x, float *y)
{
    const float *b = info->bias_elems > 0 ? w + info->weight_elems : NULL;
    int32_t n = elems(info->in);
    cge_conv2d conv = conv_of(l, info->in);
    cge_pool2d pool = pool_of(l, info->in);
    cge_norm norm = norm_of(l, info->in);
    if (image_forward(l, info->in, x, y)) return;
    if (is_scale(l)) {
        scale_channels(l, info, w, x, b, y);
        return;
    }
    if (is_transposed(l)) {
        const cge_conv_transpose2d transposed = transposed_of(l, info->in);
        CHECK_OK(cge_conv_transpose2d_forward_f32(&transposed, x, w, b, y));
        return;
    }
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_forward_f32(&conv, x, w, b, y));
    else if (l->kind == &cge_kind_dense) CHECK_OK(cge_dense_forward_f32(n, info->out.c, x, w, b, y));
    else if (l->kind == &cge_kind_maxpool2d || l->kind == &cge_kind_global_maxpool2d) CHECK_OK(cge_maxpool2d_forward_f32(&pool, x, y));
    else if (l->kind == &cge_kind_avgpool2d || l->kind == &cge_kind_global_avgpool2d) CHECK_OK(cge_avgpool2d_forward_f32(&pool, x, y));
    else if (l->kind == &cge_kind_relu) CHECK_OK(cge_relu_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_leaky_relu) CHECK_OK(cge_leaky_relu_forward_f32(n, alpha_of(l), x, y));
    else if (l->kind == &cge_kind_sigmoid) CHECK_OK(cge_sigmoid_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_tanh) CHECK_OK(cge_tanh_forward_f32(n, x, y));
    else if (is_norm(l)) CHECK_OK(cge_group_norm_forward_f32(&norm, x, info->weight_elems > 0 ? w : NULL, b, y));
    else if (l->kind == &cge_kind_relu6) CHECK_OK(cge_relu6_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_hard_sigmoid) CHECK_OK(cge_hard_sigmoid_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_softplus) CHECK_OK(cge_softplus_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_hard_swish) CHECK_OK(cge_hard_swish_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_silu) CHECK_OK(cge_silu_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_gelu) CHECK_OK(cge_gelu_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_elu) CHECK_OK(cge_elu_forward_f32(n, alpha_of(l), x, y));
    else if (l->kind == &cge_kind_prelu) CHECK_OK(cge_prelu_forward_f32(n, info->weight_elems, x, w, y));
    else if (l->kind == &cge_kind_softmax)
        for (int32_t i = 0; i < n; i += info->in.c) CHECK_OK(cge_softmax_forward_f32(info->in.c, x + i, y + i));
    else
        for (int32_t i = 0; i < n; i++) y[i] = x[i]; /* flatten */
}

static void layer_input_grad(const cge_layer *l, const cge_layer_info *info, const float *w, const float *x, const float *y, const float *dy,
                             float *dx)
{
    int32_t n = elems(info->in);
    cge_conv2d conv = conv_of(l, info->in);
    cge_pool2d pool = pool_of(l, info->in);
    cge_norm norm = norm_of(l, info->in);
    if (image_input_grad(l, info->in, dy, dx)) return;
    if (is_scale(l)) {
        scale_channels(l, info, w, dy, NULL, dx);
        return;
    }
    if (is_transposed(l)) {
        const cge_conv_transpose2d transposed = transposed_of(l, info->in);
        CHECK_OK(cge_conv_transpose2d_input_grad_f32(&transposed, w, dy, dx));
        return;
    }
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_input_grad_f32(&conv, w, dy, dx));
    else if (l->kind == &cge_kind_dense) CHECK_OK(cge_dense_input_grad_f32(n, info->out.c, w, dy, dx));
    else if (l->kind == &cge_kind_maxpool2d || l->kind == &cge_kind_global_maxpool2d) CHECK_OK(cge_maxpool2d_input_grad_f32(&pool, x, dy, dx));
    else if (l->kind == &cge_kind_avgpool2d || l->kind == &cge_kind_global_avgpool2d) CHECK_OK(cge_avgpool2d_input_grad_f32(&pool, dy, dx));
    else if (l->kind == &cge_kind_relu) CHECK_OK(cge_relu_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_leaky_relu) CHECK_OK(cge_leaky_relu_input_grad_f32(n, alpha_of(l), y, dy, dx));
    else if (l->kind == &cge_kind_sigmoid) CHECK_OK(cge_sigmoid_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_tanh) CHECK_OK(cge_tanh_input_grad_f32(n, y, dy, dx));
    else if (is_norm(l)) CHECK_OK(cge_group_norm_input_grad_f32(&norm, x, info->weight_elems > 0 ? w : NULL, dy, dx));
    else if (l->kind == &cge_kind_relu6) CHECK_OK(cge_relu6_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_hard_sigmoid) CHECK_OK(cge_hard_sigmoid_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_softplus) CHECK_OK(cge_softplus_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_hard_swish) CHECK_OK(cge_hard_swish_input_grad_f32(n, x, dy, dx));
    else if (l->kind == &cge_kind_silu) CHECK_OK(cge_silu_input_grad_f32(n, x, dy, dx));
    else if (l->kind == &cge_kind_gelu) CHECK_OK(cge_gelu_input_grad_f32(n, x, dy, dx));
    else if (l->kind == &cge_kind_elu) CHECK_OK(cge_elu_input_grad_f32(n, alpha_of(l), y, dy, dx));
    else if (l->kind == &cge_kind_prelu) CHECK_OK(cge_prelu_input_grad_f32(n, info->weight_elems, x, w, dy, dx));
    else if (l->kind == &cge_kind_softmax)
        for (int32_t i = 0; i < n; i += info->in.c) CHECK_OK(cge_softmax_input_grad_f32(info->in.c, y + i, dy + i, dx + i));
    else
        for (int32_t i = 0; i < n; i++) dx[i] = dy[i]; /* flatten */
}

static void layer_param_grads(const cge_layer *l, const cge_layer_info *info, const float *x, const float *dy, float *dw)
{
    cge_conv2d conv = conv_of(l, info->in);
    cge_norm norm = norm_of(l, info->in);
    int32_t n = elems(info->in);
    float *db = dw + info->weight_elems;
    if (info->weight_elems == 0) return;
    if (is_scale(l)) { /* a scale: sums of a sample, from 0 */
        for (int32_t c = 0; c < info->in.c; c++) {
            float of_w = 0, of_b = 0;
            for (int32_t i = c; i < n; i += info->in.c) of_w = mul_add(x[i], dy[i], of_w), of_b += dy[i];
            dw[c] = mul_add(1, of_w, dw[c]);
            if (info->bias_elems > 0) db[c] += of_b;
        }
        return;
    }
    if (is_transposed(l)) {
        const cge_conv_transpose2d transposed = transposed_of(l, info->in);
        CHECK_OK(cge_conv_transpose2d_weight_grad_f32(&transposed, x, dy, dw));
        if (info->bias_elems > 0) CHECK_OK(cge_conv_transpose2d_bias_grad_f32(&transposed, dy, db));
        return;
    }
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_weight_grad_f32(&conv, x, dy, dw));
    else if (is_norm(l)) CHECK_OK(cge_group_norm_weight_grad_f32(&norm, x, dy, dw));
    else if (l->kind == &cge_kind_prelu) CHECK_OK(cge_prelu_weight_grad_f32(n, info->weight_elems, x, dy, dw));
    else CHECK_OK(cge_dense_weight_grad_f32(n, info->out.c, x, dy, dw));
    if (info->bias_elems == 0) return;
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_bias_grad_f32(&conv, dy, db));
    else if (is_norm(l)) CHECK_OK(cge_group_norm_bias_grad_f32(&norm, dy, db));
    else CHECK_OK(cge_dense_bias_grad_f32(info->out.c, dy, db));
}

const float *oracle_forward(const cge_model *model, const float *params, const float *x, float *scratch)
{
    for (int32_t i = 0; i < model->layer_count; i++) {
        cge_layer_info info = info_of(model, i);
        layer_forward(&model->layers[i], &info, params, x, scratch);
        params += layer_params(&info);
        x = scratch;
        scratch += elems(info.out);
    }
    return x;
}

float oracle_gradient(const cge_model *model, const float *params, const float *x, int32_t label, const float *target, float *grads,
                      float *scratch)
{
    float *dy = scratch + outputs_before(model, model->layer_count), *dx = dy + largest_tensor(model), loss = 0;
    int32_t n = oracle_out_elems(model);
    const float *y = oracle_forward(model, params, x, scratch);
    if (model->loss == &cge_softmax_cross_entropy) {
        CHECK_OK(cge_softmax_cross_entropy_forward_f32(n, y, label, &loss));
        CHECK_OK(cge_softmax_cross_entropy_input_grad_f32(n, y, label, dy));
    } else {
        CHECK_OK(cge_mean_squared_error_forward_f32(n, y, target, &loss));
        CHECK_OK(cge_mean_squared_error_input_grad_f32(n, y, target, dy));
    }
    params += oracle_param_elems(model);
    grads += oracle_grad_elems(model);
    for (int32_t i = model->layer_count - 1; i >= 0; i--) {
        const cge_layer *layer = &model->layers[i];
        cge_layer_info info = info_of(model, i);
        const float *in = i > 0 ? scratch + outputs_before(model, i - 1) : x;
        float *swap = dy;
        params -= layer_params(&info);
        if (!is_frozen(layer)) {
            grads -= layer_params(&info);
            layer_param_grads(layer, &info, in, dy, grads);
        }
        layer_input_grad(layer, &info, params, in, scratch + outputs_before(model, i), dy, dx);
        dy = dx;
        dx = swap;
    }
    return loss;
}

void kahan_add(kahan *k, float x)
{
    volatile float corrected = x - k->lost, sum = k->sum + corrected, gained = sum - k->sum;
    k->lost = gained - corrected;
    k->sum = sum;
}

static const struct {
    const cge_optimizer_kind *kind, *without;
} with_l1[] = {{&cge_sgd_l1, &cge_sgd},
               {&cge_adam_l1, &cge_adam},
               {&cge_adamw_l1, &cge_adamw},
               {&cge_rmsprop_l1, &cge_rmsprop},
               {&cge_adagrad_l1, &cge_adagrad}};

/* Of the kind with the same step. */
static cge_optimizer without_l1(const cge_optimizer *o)
{
    cge_optimizer plain = *o;
    for (int32_t i = 0; i < COUNT_OF(with_l1); i++)
        if (o->kind == with_l1[i].kind) plain.kind = with_l1[i].without;
    plain.l1 = 0;
    return plain;
}

int32_t oracle_settings(const cge_optimizer *o)
{
    if (o->kind == NULL || o->kind == &cge_sgd) return 0;
    return without_l1(o).kind != o->kind ? 3 : 2;
}

int32_t oracle_slots(const cge_optimizer *given)
{
    const cge_optimizer plain = without_l1(given), *o = &plain;
    if (o->kind == &cge_adam || o->kind == &cge_adamw) return 2;
    if (o->kind == &cge_sgd) return o->momentum > 0;
    return o->momentum > 0 ? 2 : 1;
}

cge_optimizer oracle_optimizer(const cge_model *m, int32_t layer)
{
    const float factor = m->layers[layer].learning_rate_factor;
    const volatile float rate = m->optimizer.learning_rate * factor;
    cge_optimizer o = m->optimizer;
    if (factor > 0) o.learning_rate = rate;
    return o;
}

static void update_with_l1(const cge_optimizer *o, uint64_t step, int32_t n, float scale, const float *dw, float *w, float *v,
                           int32_t slot)
{
    const cge_optimizer plain = without_l1(o);
    for (int32_t i = 0; i < n; i++) {
        const float sign = (float)(w[i] > 0) - (float)(w[i] < 0);
        const float g = mul_add(dw[i], scale, o->l1 * sign);
        oracle_update(&plain, step, 1, 1, &g, &w[i], oracle_slots(o) > 0 ? &v[i] : NULL, slot);
    }
}

void oracle_update(const cge_optimizer *o, uint64_t step, int32_t n, float scale, const float *dw, float *w, float *v, int32_t slot)
{
    if (oracle_settings(o) == 3) update_with_l1(o, step, n, scale, dw, w, v, slot);
    else if (o->kind == &cge_adam) CHECK_OK(cge_adam_update_f32(n, o, step, scale, dw, w, v, v + slot));
    else if (o->kind == &cge_adamw) CHECK_OK(cge_adamw_update_f32(n, o, step, scale, dw, w, v, v + slot));
    else if (o->kind == &cge_rmsprop) CHECK_OK(cge_rmsprop_update_f32(n, o, scale, dw, w, v, v + slot));
    else if (o->kind == &cge_adagrad) CHECK_OK(cge_adagrad_update_f32(n, o, scale, dw, w, v));
    else CHECK_OK(cge_sgd_update_f32(n, o, scale, dw, w, v));
}
