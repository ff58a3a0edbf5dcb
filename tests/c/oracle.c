#include "oracle.h"

#include "check.h"

static cge_layer_info info_of(const cge_model *model, int32_t index)
{
    cge_layer_info info = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0, 0}, 0, 0, 0, 0, 0};
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

static cge_conv2d conv_of(const cge_layer *l, cge_shape in)
{
    cge_conv2d g = {in.h, in.w, in.c, l->units, l->kernel_h, l->kernel_w, l->stride_h, l->stride_w, l->dilation_h, l->dilation_w,
                    l->pad_top, l->pad_left, l->pad_bottom, l->pad_right, l->groups};
    return g;
}

static cge_pool2d pool_of(const cge_layer *l, cge_shape in)
{
    cge_pool2d g = {in.h, in.w, in.c, l->kernel_h, l->kernel_w, l->stride_h, l->stride_w, l->pad_top, l->pad_left, l->pad_bottom, l->pad_right};
    if (l->kind == &cge_kind_global_avgpool2d) {
        g.kernel_h = in.h;
        g.kernel_w = in.w;
    }
    return g;
}

static void layer_forward(const cge_layer *l, const cge_layer_info *info, const float *w, const float *x, float *y)
{
    const float *b = info->bias_elems > 0 ? w + info->weight_elems : NULL;
    int32_t n = elems(info->in);
    cge_conv2d conv = conv_of(l, info->in);
    cge_pool2d pool = pool_of(l, info->in);
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_forward_f32(&conv, x, w, b, y));
    else if (l->kind == &cge_kind_dense) CHECK_OK(cge_dense_forward_f32(n, l->units, x, w, b, y));
    else if (l->kind == &cge_kind_maxpool2d) CHECK_OK(cge_maxpool2d_forward_f32(&pool, x, y));
    else if (l->kind == &cge_kind_avgpool2d || l->kind == &cge_kind_global_avgpool2d) CHECK_OK(cge_avgpool2d_forward_f32(&pool, x, y));
    else if (l->kind == &cge_kind_relu) CHECK_OK(cge_relu_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_leaky_relu) CHECK_OK(cge_leaky_relu_forward_f32(n, l->alpha, x, y));
    else if (l->kind == &cge_kind_sigmoid) CHECK_OK(cge_sigmoid_forward_f32(n, x, y));
    else if (l->kind == &cge_kind_tanh) CHECK_OK(cge_tanh_forward_f32(n, x, y));
    else
        for (int32_t i = 0; i < n; i++) y[i] = x[i]; /* flatten */
}

static void layer_input_grad(const cge_layer *l, const cge_layer_info *info, const float *w, const float *x, const float *y, const float *dy,
                             float *dx)
{
    int32_t n = elems(info->in);
    cge_conv2d conv = conv_of(l, info->in);
    cge_pool2d pool = pool_of(l, info->in);
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_input_grad_f32(&conv, w, dy, dx));
    else if (l->kind == &cge_kind_dense) CHECK_OK(cge_dense_input_grad_f32(n, l->units, w, dy, dx));
    else if (l->kind == &cge_kind_maxpool2d) CHECK_OK(cge_maxpool2d_input_grad_f32(&pool, x, dy, dx));
    else if (l->kind == &cge_kind_avgpool2d || l->kind == &cge_kind_global_avgpool2d) CHECK_OK(cge_avgpool2d_input_grad_f32(&pool, dy, dx));
    else if (l->kind == &cge_kind_relu) CHECK_OK(cge_relu_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_leaky_relu) CHECK_OK(cge_leaky_relu_input_grad_f32(n, l->alpha, y, dy, dx));
    else if (l->kind == &cge_kind_sigmoid) CHECK_OK(cge_sigmoid_input_grad_f32(n, y, dy, dx));
    else if (l->kind == &cge_kind_tanh) CHECK_OK(cge_tanh_input_grad_f32(n, y, dy, dx));
    else
        for (int32_t i = 0; i < n; i++) dx[i] = dy[i]; /* flatten */
}

static void layer_param_grads(const cge_layer *l, const cge_layer_info *info, const float *x, const float *dy, float *dw)
{
    cge_conv2d conv = conv_of(l, info->in);
    int32_t n = elems(info->in);
    float *db = dw + info->weight_elems;
    if (info->weight_elems == 0) return;
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_weight_grad_f32(&conv, x, dy, dw));
    else CHECK_OK(cge_dense_weight_grad_f32(n, l->units, x, dy, dw));
    if (info->bias_elems == 0) return;
    if (l->kind == &cge_kind_conv2d) CHECK_OK(cge_conv2d_bias_grad_f32(&conv, dy, db));
    else CHECK_OK(cge_dense_bias_grad_f32(l->units, dy, db));
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
