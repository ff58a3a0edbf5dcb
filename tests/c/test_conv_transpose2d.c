/*
 * Transposed convolution: every kernel set and the public operators against the loops of the header's formulas, bit for bit;
 * and what is refused.
 */
#include "../../csrc/src/kernels/kernels.h"
#include "../../csrc/src/layers/layer.h"

#include "check.h"
#include "suites.h"

#include <stdio.h>
#include <string.h>

enum { SEED_X = 611, SEED_W, SEED_B, SEED_DY, SEED_DW, SEED_DB };

static const cge_conv_transpose2d transposed_maps[] = { /* in, channels, kernel, stride, dilation, pads, groups, output pad */
    {3, 4, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {4, 3, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 1, 1}, /* doubles: what upsampling layers use */
    {3, 2, 0, 0, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 1}, /* no two taps meet; a column that no tap reaches */
    {2, 3, 0, 0, 2, 1, 3, 2, 1, 1, 0, 0, 1, 0, 0, 2, 0}, /* rows between that no tap reaches */
    {3, 3, 0, 0, 4, 3, 1, 2, 1, 1, 2, 0, 0, 1, 0, 0, 1}, /* padding on one side */
    {2, 2, 0, 0, 3, 2, 1, 2, 2, 3, 1, 1, 1, 0, 0, 1, 2}, /* dilation; as many new columns as a stride has */
    {1, 1, 0, 0, 3, 5, 1, 1, 1, 1, 1, 2, 1, 2, 0, 0, 0}, /* one number in, one out */
    {5, 4, 0, 0, 2, 2, 3, 3, 1, 1, 6, 3, 1, 4, 0, 2, 0}, /* input that reaches padding alone */
    {9, 7, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, /* tiles and what is left of them */
};
static const int32_t transposed_channels[][3] = { /* in, out, groups */
    {1, 1, 1}, {2, 3, 1}, {5, 4, 0}, {4, 4, 4}, {6, 4, 2}, {8, 9, 1}, {3, 16, 1}, {17, 5, 1}};

static cge_range all_of(int32_t count)
{
    const cge_range r = {0, count};
    return r;
}

static void check_equal(int32_t n, const float *expected, const float *got)
{
    int32_t i = 0;
    while (i + 1 < n && float_bits(expected[i]) == float_bits(got[i])) i++;
    CHECK_SAME(expected[i], got[i], i);
}

static void test_sets(const cge_conv2d_plan *p, const float *x, const float *w, const float *dy, float *y, float *dw, float *dx)
{
    const cge_conv2d *g = &p->g;
    const int32_t x_elems = p->out_h * p->out_w * g->out_c, y_elems = g->in_h * g->in_w * g->in_c;
    float *expected_y = check_floats(y_elems), *expected_dx = check_floats(x_elems);
    float *expected_dw = check_operands(p->weight_elems, SEED_DW);
    const cge_kernel_set *set;
    cge_conv_transpose2d_forward_f32_ref(p, x, w, NULL, expected_y);
    cge_conv_transpose2d_weight_grad_f32_ref(p, x, dy, expected_dw);
    cge_conv_transpose2d_input_grad_f32_ref(p, w, dy, expected_dx);
    for (int32_t s = 0; (set = cge_kernel_set_at(s)) != NULL; s++) {
        for (int32_t i = 0; i < p->weight_elems; i++) dw[i] = operand(SEED_DW, i);
        set->conv2d_input_grad(p, w, x, y, all_of(g->in_h));
        set->conv2d_weight_grad(p, dy, x, dw, all_of(p->out_h), all_of(g->kernel_h));
        set->conv2d_forward(p, dy, w, NULL, dx, all_of(p->out_h));
        check_equal(y_elems, expected_y, y);
        check_equal(p->weight_elems, expected_dw, dw);
        check_equal(x_elems, expected_dx, dx);
    }
}

static void test_public(const cge_conv_transpose2d *t, const cge_conv2d_plan *p, const float *x, const float *w,
                        const float *dy, float *y, float *dw, float *dx)
{
    const cge_conv2d *g = &p->g;
    const int32_t x_elems = p->out_h * p->out_w * g->out_c, y_elems = g->in_h * g->in_w * g->in_c, k = g->in_c;
    const float *b = check_operands(k, SEED_B);
    float *expected = check_floats(x_elems > y_elems ? x_elems : y_elems);
    float *db = check_operands(k, SEED_DB), *sums = check_operands(k, SEED_DB);
    CHECK_OK(cge_conv_transpose2d_forward_f32(t, x, w, b, y));
    cge_conv_transpose2d_forward_f32_ref(p, x, w, b, expected);
    check_equal(y_elems, expected, y);
    CHECK_OK(cge_conv_transpose2d_forward_f32(t, x, w, NULL, y));
    cge_conv_transpose2d_forward_f32_ref(p, x, w, NULL, expected);
    check_equal(y_elems, expected, y);
    memset(dw, 0, sizeof *dw * (size_t)p->weight_elems);
    CHECK_OK(cge_conv_transpose2d_weight_grad_f32(t, x, dy, dw));
    float *expected_dw = check_floats(p->weight_elems);
    memset(expected_dw, 0, sizeof *dw * (size_t)p->weight_elems);
    cge_conv_transpose2d_weight_grad_f32_ref(p, x, dy, expected_dw);
    check_equal(p->weight_elems, expected_dw, dw);
    CHECK_OK(cge_conv_transpose2d_input_grad_f32(t, w, dy, dx));
    cge_conv_transpose2d_input_grad_f32_ref(p, w, dy, expected);
    check_equal(x_elems, expected, dx);
    CHECK_OK(cge_conv_transpose2d_bias_grad_f32(t, dy, db));
    for (int32_t i = 0; i < y_elems; i++) sums[i % k] += dy[i];
    check_equal(k, sums, db);
}

static void test_case(const cge_conv_transpose2d *t)
{
    static char name[64];
    cge_conv2d_plan p;
    cge_shape out;
    CHECK_OK(cge_conv_transpose2d_resolve(t, &p));
    CHECK_OK(cge_conv_transpose2d_output_shape(t, &out));
    CHECK(out.h == p.g.in_h && out.w == p.g.in_w && out.c == t->out_c);
    const int32_t x_elems = t->in_h * t->in_w * t->in_c, y_elems = out.h * out.w * out.c;
    const int32_t more = x_elems > y_elems ? x_elems : y_elems;
    snprintf(name, sizeof name, "%d x %d x %d, %d filters, kernel %d x %d", (int)t->in_h, (int)t->in_w, (int)t->in_c,
             (int)t->out_c, (int)t->kernel_h, (int)t->kernel_w);
    for (int32_t which = 0; which < 2; which++) {
        if (!check_room(name, sizeof(float) * (size_t)(3 * x_elems + 4 * more + 3 * p.weight_elems + 3 * out.c))) return;
        float *x = check_operands(x_elems, SEED_X), *w = check_operands(p.weight_elems, SEED_W);
        float *dy = check_operands(y_elems, SEED_DY);
        float *y = check_floats(more), *dw = check_floats(p.weight_elems), *dx = check_floats(x_elems);
        if (which == 0) test_sets(&p, x, w, dy, y, dw, dx);
        else test_public(t, &p, x, w, dy, y, dw, dx);
    }
}

/* Sizes of PyTorch's ConvTranspose2d: (in - 1) * stride - pads + dilation * (kernel - 1) + output_padding + 1. */
static void test_shapes(void)
{
    static const struct {
        int32_t in, kernel, stride, dilation, before, after, output_pad, out;
    } rows[] = {{4, 3, 2, 1, 1, 1, 1, 8}, {4, 3, 2, 1, 1, 1, 0, 7}, {1, 1, 1, 1, 0, 0, 0, 1},
                {5, 4, 3, 2, 2, 0, 2, 19}, {3, 2, 1, 4, 0, 1, 3, 9}};
    for (int32_t i = 0; i < COUNT_OF(rows); i++) {
        const cge_conv_transpose2d tall = {
            .in_h = rows[i].in, .in_w = 2, .in_c = 1, .out_c = 3, .kernel_h = rows[i].kernel, .kernel_w = 1,
            .stride_h = rows[i].stride, .dilation_h = rows[i].dilation, .pad_top = rows[i].before, .pad_bottom = rows[i].after,
            .output_pad_h = rows[i].output_pad};
        cge_shape out = {0, 0, 0};
        check_case("shapes");
        CHECK_OK(cge_conv_transpose2d_output_shape(&tall, &out));
        CHECK(out.h == rows[i].out && out.w == 2 && out.c == 3);
    }
}

void suite_conv_transpose2d(void)
{
    test_shapes();
    for (int32_t i = 0; i < COUNT_OF(transposed_maps); i++)
        for (int32_t c = 0; c < COUNT_OF(transposed_channels); c++) {
            cge_conv_transpose2d g = transposed_maps[i];
            g.in_c = transposed_channels[c][0], g.out_c = transposed_channels[c][1], g.groups = transposed_channels[c][2];
            test_case(&g);
        }
}

static void test_refused_geometries(float *x, float *w, float *y)
{
    const cge_conv_transpose2d good = {2, 3, 4, 2, 3, 2, 2, 1, 1, 1, 1, 0, 1, 0, 2, 1, 0};
    static const struct {
        const char *name;
        int32_t member, value;
        cge_status status;
    } rows[] = {
        {"no rows", 0, 0, CGE_ERR_SHAPE}, {"no columns", 1, -1, CGE_ERR_SHAPE},
        {"no channels", 2, 0, CGE_ERR_SHAPE}, {"no filters", 3, 0, CGE_ERR_SHAPE},
        {"no kernel", 4, 0, CGE_ERR_SHAPE}, {"no kernel", 5, -1, CGE_ERR_SHAPE},
        {"stride", 6, -1, CGE_ERR_SHAPE}, {"stride", 7, -2, CGE_ERR_SHAPE},
        {"dilation", 8, -1, CGE_ERR_SHAPE}, {"dilation", 9, -1, CGE_ERR_SHAPE},
        {"padding", 10, -1, CGE_ERR_SHAPE}, {"padding", 11, -1, CGE_ERR_SHAPE},
        {"padding", 12, -1, CGE_ERR_SHAPE}, {"padding", 13, -1, CGE_ERR_SHAPE},
        {"nothing is left", 10, 5, CGE_ERR_SHAPE}, {"nothing is left", 13, 4, CGE_ERR_SHAPE},
        {"groups", 14, 3, CGE_ERR_SHAPE}, {"groups", 14, -1, CGE_ERR_SHAPE},
        {"output padding", 15, 2, CGE_ERR_SHAPE}, {"output padding", 15, -1, CGE_ERR_SHAPE},
        {"output padding", 16, 1, CGE_ERR_SHAPE}, {"large stride", 6, CGE_MAX_ELEMS, CGE_ERR_OVERFLOW},
        {"large padding", 10, INT32_MAX, CGE_ERR_OVERFLOW}, {"large padding", 11, INT32_MAX, CGE_ERR_OVERFLOW},
        {"large padding", 12, INT32_MAX, CGE_ERR_OVERFLOW}, {"large padding", 13, INT32_MAX, CGE_ERR_OVERFLOW},
        {"large dilation", 8, INT32_MAX, CGE_ERR_OVERFLOW}, {"wide", 9, CGE_MAX_ELEMS, CGE_ERR_OVERFLOW},
        {"many rows", 0, CGE_MAX_ELEMS / 4, CGE_ERR_OVERFLOW},
    };
    for (int32_t i = 0; i < COUNT_OF(rows); i++) {
        cge_conv_transpose2d g = good;
        cge_shape out;
        check_case(rows[i].name);
        memcpy((char *)&g + 4 * rows[i].member, &rows[i].value, sizeof rows[i].value);
        CHECK_REFUSED(rows[i].status, cge_conv_transpose2d_forward_f32(&g, x, w, NULL, y));
        CHECK_STATUS(rows[i].status, cge_conv_transpose2d_output_shape(&g, &out));
    }
    CHECK_STATUS(CGE_ERR_NULL, cge_conv_transpose2d_output_shape(&good, NULL));
    CHECK_STATUS(CGE_ERR_NULL, cge_conv_transpose2d_output_shape(NULL, &(cge_shape){0}));
}

static void test_refused_layers(void)
{
    static const cge_conv_transpose2d two = {.out_c = 2, .kernel_h = 2, .kernel_w = 2};
    static const cge_conv_transpose2d of_five = {.in_c = 5, .out_c = 2, .kernel_h = 1, .kernel_w = 1};
    static const cge_conv_transpose2d none = {.out_c = 0, .kernel_h = 2, .kernel_w = 2};
    static const struct {
        const char *name;
        cge_layer layer;
        cge_status status;
    } rows[] = {
        {"no config", {.kind = &cge_kind_conv_transpose2d}, CGE_ERR_NULL},
        {"other channels", {.kind = &cge_kind_conv_transpose2d, .config = &of_five}, CGE_ERR_SHAPE},
        {"no filters", {.kind = &cge_kind_conv_transpose2d, .config = &none}, CGE_ERR_SHAPE},
        {"some inputs learn", {.kind = &cge_kind_conv_transpose2d, .config = &two, .trains = 4}, CGE_ERR_ARGUMENT},
        {"no biases learn",
         {.kind = &cge_kind_conv_transpose2d, .config = &two, .trains = CGE_TRAINS_BIAS, .flags = CGE_NO_BIAS},
         CGE_ERR_ARGUMENT},
        {"without weights", {.kind = &cge_kind_conv_transpose2d, .config = &two, .flags = CGE_NO_AFFINE}, CGE_ERR_ARGUMENT},
    };
    const cge_shape in = {2, 3, 4};
    cge_layer_info info;
    for (int32_t i = 0; i < COUNT_OF(rows); i++) {
        check_case(rows[i].name);
        CHECK_STATUS(rows[i].status, cge_layer_infer(&rows[i].layer, &in, &info));
    }
}

static void test_layer_info(void)
{
    static const cge_conv_transpose2d config = {
        .out_c = 6, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .groups = 2, .output_pad_h = 1};
    static const cge_layer layers[] = {{.kind = &cge_kind_conv_transpose2d, .config = &config}};
    const cge_model model = {.input = {2, 3, 4}, .layers = layers, .layer_count = 1};
    cge_layer_info info;
    check_case("layer info");
    if (!CHECK_OK(cge_model_layer_info(&model, 0, &info))) return;
    CHECK(info.out.h == 6 && info.out.w == 4 && info.out.c == 6);
    CHECK(info.weight_shape[0] == 3 && info.weight_shape[1] == 2 && info.weight_shape[2] == 3 && info.weight_shape[3] == 4);
    CHECK(info.weight_elems == 72 && info.bias_elems == 6 && info.macs == 72 * 6);
    CHECK(info.fan_in == 3 * 2 * 2 && info.fan_out == 3 * 2 * 3);
}

/* With |dy| <= 1: dx is at most the largest sum of |w| over what an input channel reaches, dw a sum over the input's pixels of
 * |x|, db one over the output's. */
static void test_bounds(void)
{
    static const cge_conv_transpose2d config = {.out_c = 2, .kernel_h = 1, .kernel_w = 2, .stride_w = 2};
    static const float w[8] = {1, -2, 0, 5, 3, -4, -0.5f, 1}; /* [1][2][2][2]: channel 0 reaches 4.5, channel 1 12 */
    static const float large[6] = {0, -7, 1, 2, 3, 4}, small[6] = {0, -0.5f, 0.25f, 0, 0, 0};
    const cge_layer layers[] = {{.kind = &cge_kind_conv_transpose2d, .config = &config},
                                {.kind = &cge_kind_conv_transpose2d, .config = &config, .trains = CGE_TRAINS_BIAS}};
    float bounds[2];
    cge_layer_call c = {.in = {1, 3, 2}, .out = {1, 6, 2}, .count = 1, .parts = 1, .w = w, .bounds = bounds};
    check_case("bounds");
    for (int32_t i = 0; i < 3; i++) {
        c.layer = &layers[i / 2];
        c.x = i == 1 ? small : large;
        cge_kind_conv_transpose2d.weight_grad(&c);
        CHECK_SAME(12, bounds[0], i);
        CHECK_SAME(i == 0 ? 3 * 7 : 6, bounds[1], i);
    }
}

/* In files zero and what it means are one layer. */
static void test_saved_defaults(void)
{
    static const cge_conv_transpose2d configs[] = {
        {.out_c = 2, .kernel_h = 2, .kernel_w = 1},
        {2, 1, 3, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0},
        {.out_c = 2, .kernel_h = 2, .kernel_w = 1, .dilation_h = 2, .output_pad_h = 1}};
    const cge_layer layers[] = {{.kind = &cge_kind_conv_transpose2d, .config = &configs[0]},
                                {.kind = &cge_kind_conv_transpose2d, .config = &configs[1]},
                                {.kind = &cge_kind_conv_transpose2d, .config = &configs[2]}};
    cge_network net;
    size_t bytes = 0, used = 0;
    if (!check_room("saved defaults", 2048)) return;
    void *arena = check_bytes(512), *file = check_bytes(512);
    for (int32_t i = 0; i < COUNT_OF(layers); i++) {
        const cge_model model = {.input = {2, 1, 3}, .layers = &layers[i], .layer_count = 1};
        if (!CHECK_OK(cge_network_arena_bytes(&model, NULL, &bytes)) || !CHECK(bytes <= 512)) return;
        CHECK_OK(cge_network_init(&net, &model, NULL, arena, bytes));
        if (i == 0) CHECK_OK(cge_network_save(&net, file, 512, &used));
        CHECK_STATUS(i < 2 ? CGE_OK : CGE_ERR_MISMATCH, cge_network_restore(&net, file, used));
    }
}

void suite_conv_transpose2d_status(void)
{
    const cge_conv_transpose2d g = {2, 3, 4, 2, 3, 2, 2, 1, 1, 1, 1, 0, 1, 0, 2, 1, 0};
    if (!check_room("refused transposed convolutions", sizeof(float) * 128)) return;
    float *x = check_operands(24, SEED_X), *w = check_operands(24, SEED_W), *y = check_floats(60), *b = check_floats(2);
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_forward_f32(NULL, x, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_forward_f32(&g, NULL, w, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_forward_f32(&g, x, NULL, b, y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_forward_f32(&g, x, w, b, NULL));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv_transpose2d_forward_f32(&g, x, w, misaligned(b), y));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_weight_grad_f32(NULL, x, y, w));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv_transpose2d_weight_grad_f32(&g, misaligned(x), y, w));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_bias_grad_f32(&g, NULL, b));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_bias_grad_f32(&g, y, NULL));
    CHECK_REFUSED(CGE_ERR_NULL, cge_conv_transpose2d_input_grad_f32(&g, w, NULL, x));
    CHECK_REFUSED(CGE_ERR_ALIGN, cge_conv_transpose2d_input_grad_f32(&g, w, y, misaligned(x)));
    test_refused_geometries(x, w, y);
    test_refused_layers();
    test_layer_info();
    test_bounds();
    test_saved_defaults();
}
