/*
 * Kernels work on ranges of rows (csrc/src/kernels/kernels.h): slices of a step between control ticks, threads and
 * streams rest on it. Any split, taken in ascending order, must give the bits of the public call on the full range;
 * and where ranges are independent, any order.
 */
#include "../../csrc/src/kernels/kernels.h"

#include "check.h"
#include "suites.h"

enum { SEED_X = 111, SEED_W, SEED_B, SEED_DY, SEED_DW, MAX_PARTS = 4 };

typedef struct split { /* 0 .. count - 1 cut into parts, some of them empty */
    int32_t parts, at[MAX_PARTS + 1];
} split;

static split split_of(int32_t count, uint32_t seed)
{
    split s = {1 + (int32_t)(mix32(seed) % MAX_PARTS), {0}};
    for (int32_t i = 1; i < s.parts; i++) s.at[i] = s.at[i - 1] + (int32_t)(mix32(seed + 10 * (uint32_t)i) % (uint32_t)(count - s.at[i - 1] + 1));
    s.at[s.parts] = count;
    return s;
}

static cge_range part(const split *s, int32_t i)
{
    cge_range r = {s->at[i], s->at[i + 1]};
    return r;
}

static void check_all_same(const float *expected, const float *got, int32_t n)
{
    for (int32_t i = 0; i < n; i++) CHECK_SAME(expected[i], got[i], i);
}

/* ---- convolution --------------------------------------------------------------------------------------------------- */

static const cge_conv2d convs[] = {
    {7, 6, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {9, 5, 3, 4, 3, 2, 2, 1, 1, 1, 2, 0, 1, 1, 1}, {8, 6, 4, 6, 3, 3, 1, 2, 2, 1, 2, 1, 2, 1, 2},
    {6, 6, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 5}, {5, 5, 8, 8, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, {3, 4, 1, 9, 5, 3, 1, 1, 1, 1, 3, 1, 4, 1, 1},
};

static void test_conv2d(const cge_conv2d *g, uint32_t seed)
{
    cge_conv2d_plan p;
    CHECK_OK(cge_conv2d_resolve(g, &p));
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, w_elems = p.weight_elems, y_elems = p.out_h * p.out_w * g->out_c;
    const split rows = split_of(p.out_h, seed), in_rows = split_of(g->in_h, seed + 1), kernel_rows = split_of(g->kernel_h, seed + 2);
    if (!check_room("conv2d", sizeof(float) * (size_t)(2 * x_elems + 3 * w_elems + 3 * g->out_c + 3 * y_elems))) return;
    const float *x = check_operands(x_elems, SEED_X), *w = check_operands(w_elems, SEED_W), *b = check_operands(g->out_c, SEED_B);
    const float *dy = check_operands(y_elems, SEED_DY);
    float *y = check_floats(y_elems), *y_parts = check_floats(y_elems), *dx = check_floats(x_elems), *dx_parts = check_floats(x_elems);
    float *dw = check_operands(w_elems, SEED_DW), *dw_parts = check_operands(w_elems, SEED_DW);
    float *db = check_operands(g->out_c, SEED_B), *db_parts = check_operands(g->out_c, SEED_B);
    CHECK_OK(cge_conv2d_forward_f32(g, x, w, b, y));
    for (int32_t i = rows.parts - 1; i >= 0; i--) cge_run_conv2d_forward(&p, x, w, b, y_parts, part(&rows, i));
    check_all_same(y, y_parts, y_elems);
    CHECK_OK(cge_conv2d_weight_grad_f32(g, x, dy, dw));
    for (int32_t j = kernel_rows.parts - 1; j >= 0; j--)
        for (int32_t i = 0; i < rows.parts; i++) cge_run_conv2d_weight_grad(&p, x, dy, dw_parts, part(&rows, i), part(&kernel_rows, j));
    check_all_same(dw, dw_parts, w_elems);
    CHECK_OK(cge_conv2d_bias_grad_f32(g, dy, db));
    for (int32_t i = 0; i < rows.parts; i++) cge_run_conv2d_bias_grad(&p, dy, db_parts, part(&rows, i));
    check_all_same(db, db_parts, g->out_c);
    CHECK_OK(cge_conv2d_input_grad_f32(g, w, dy, dx));
    for (int32_t i = in_rows.parts - 1; i >= 0; i--) cge_run_conv2d_input_grad(&p, w, dy, dx_parts, part(&in_rows, i));
    check_all_same(dx, dx_parts, x_elems);
}

/* ---- dense: samples, and inputs of the weight gradient --------------------------------------------------------------- */

static void test_dense(int32_t in, int32_t out, int32_t count, uint32_t seed)
{
    const split inputs = split_of(in, seed);
    if (!check_room("dense", sizeof(float) * (size_t)(2 * count * in + 3 * in * out + 3 * count * out + 3 * out + in + out))) return;
    const float *x = check_operands(count * in, SEED_X), *w = check_operands(in * out, SEED_W), *dy = check_operands(count * out, SEED_DY);
    float *y = check_floats(count * out), *dx = check_floats(count * in), *one_y = check_floats(out), *one_dx = check_floats(in);
    float *dw = check_operands(in * out, SEED_DW), *dw_parts = check_operands(in * out, SEED_DW);
    float *db = check_operands(out, SEED_B), *db_parts = check_operands(out, SEED_B);
    cge_run_dense_forward(in, out, count, x, w, NULL, y);
    cge_run_dense_input_grad(in, out, count, w, dy, dx);
    for (int32_t s = 0; s < count; s++) {
        CHECK_OK(cge_dense_forward_f32(in, out, x + s * in, w, NULL, one_y));
        check_all_same(one_y, y + s * out, out);
        CHECK_OK(cge_dense_input_grad_f32(in, out, w, dy + s * out, one_dx));
        check_all_same(one_dx, dx + s * in, in);
        CHECK_OK(cge_dense_weight_grad_f32(in, out, x + s * in, dy + s * out, dw));
        CHECK_OK(cge_dense_bias_grad_f32(out, dy + s * out, db));
    }
    for (int32_t i = inputs.parts - 1; i >= 0; i--) cge_run_dense_weight_grad(in, out, count, x, dy, dw_parts, part(&inputs, i), 1);
    check_all_same(dw, dw_parts, in * out);
    cge_run_dense_bias_grad(out, count, dy, db_parts);
    check_all_same(db, db_parts, out);
}

/* ---- pooling ------------------------------------------------------------------------------------------------------------ */

static void test_pool2d(const cge_pool2d *g, uint32_t seed)
{
    cge_pool2d_plan p;
    CHECK_OK(cge_pool2d_resolve(g, &p));
    const int32_t x_elems = g->in_h * g->in_w * g->in_c, y_elems = p.out_h * p.out_w * g->in_c;
    const split rows = split_of(p.out_h, seed);
    if (!check_room("pool2d", sizeof(float) * (size_t)(x_elems + 2 * y_elems))) return;
    const float *x = check_operands(x_elems, SEED_X);
    float *y = check_floats(y_elems), *y_parts = check_floats(y_elems);
    CHECK_OK(cge_maxpool2d_forward_f32(g, x, y));
    for (int32_t i = rows.parts - 1; i >= 0; i--) cge_run_maxpool2d_forward(&p, x, y_parts, part(&rows, i));
    check_all_same(y, y_parts, y_elems);
    CHECK_OK(cge_avgpool2d_forward_f32(g, x, y));
    for (int32_t i = rows.parts - 1; i >= 0; i--) cge_run_avgpool2d_forward(&p, x, y_parts, part(&rows, i));
    check_all_same(y, y_parts, y_elems);
}

void suite_ranges(void)
{
    static const cge_pool2d pools[] = {{9, 6, 3, 2, 2, 2, 2, 0, 0, 0, 0, 0}, {7, 5, 4, 3, 3, 1, 2, 1, 2, 1, 1, 0}};
    for (uint32_t seed = 0; seed < 90; seed += 10) {
        for (int32_t i = 0; i < COUNT_OF(convs); i++) test_conv2d(&convs[i], seed + (uint32_t)i);
        for (int32_t i = 0; i < COUNT_OF(pools); i++) test_pool2d(&pools[i], seed + (uint32_t)i);
        test_dense(1 + (int32_t)(mix32(seed) % 9), 1 + (int32_t)(mix32(seed + 1) % 20), 1 + (int32_t)(mix32(seed + 2) % 5), seed);
    }
}
