/*
 * Bytes as input. The layer that reads them is cut into layers on less input, and each is run on a window of cge_real: rows
 * of a convolution or a pooling, inputs of a dense layer, elements of an activation. Cuts follow the order of additions, so
 * the bits are those of the whole. Exact: a difference of integers below 2^24, times a power of two.
 *
 * Several samples at once are a computer's affair. There a step of net N would take half as long again by rows, and a dense
 * layer six times as long by inputs. So a window then holds half of the samples, if they are not too large: with the bytes that
 * are gathered in shuffled order, still less than gathered cge_real.
 */
#include "layer.h"

enum { INPUTS_AT_A_TIME = 64, LARGEST_WINDOW = 32768 /* of several samples */ };
enum { MOST_OFFSET = 65535 };
enum { SCALE_EXPONENTS = 64, SCALE_FRACTION_BITS = 23, SCALE_BIAS = 127 };

static cge_status u8_check(const cge_model *m)
{
    uint32_t bits;
    memcpy(&bits, &m->input_scale, sizeof bits);
    if (bits << (32 - SCALE_FRACTION_BITS) != 0) return CGE_ERR_ARGUMENT;
    bits >>= SCALE_FRACTION_BITS;
    if (bits < SCALE_BIAS - SCALE_EXPONENTS || bits > SCALE_BIAS + SCALE_EXPONENTS) return CGE_ERR_ARGUMENT;
    return m->input_offset < -MOST_OFFSET || m->input_offset > MOST_OFFSET ? CGE_ERR_ARGUMENT : CGE_OK;
}

CGE_NOINLINE void u8_read(const cge_x_source *s, int32_t first, int32_t count, cge_real *to)
{
    const unsigned char *x = (const unsigned char *)s->x + first;
    const cge_real scale = CGE_REAL(s->model->input_scale);
    const int32_t offset = s->model->input_offset;
    int32_t i;
    for (i = 0; i < count; i++) to[i] = CGE_REAL(x[i] - offset) * scale;
}

static cge_real u8_magnitude(const cge_x_source *s, int32_t count)
{
    const unsigned char *x = (const unsigned char *)s->x;
    int32_t i, most = 0;
    for (i = 0; i < count; i++) {
        const int32_t steps = x[i] - s->model->input_offset;
        if (steps > most) most = steps;
        if (-steps > most) most = -steps;
    }
    return CGE_REAL(most) * CGE_REAL(s->model->input_scale);
}

/* ---- cuts ---- */

static int32_t elems_in(cge_shape s)
{
    return s.h * s.w * s.c;
}

static cge_shape vector_of(int32_t elems)
{
    cge_shape s = {1, 1, 0};
    s.c = elems;
    return s;
}

static int32_t at_most_of(int32_t value, int32_t limit)
{
    return value < limit ? value : limit;
}

/* What rows of the output look at. */
typedef struct row_cuts {
    int32_t reach, stride, pad;
    int32_t at_a_time; /* of the output */
} row_cuts;

/* Of a convolution, a pooling, or anything else, which looks at the whole input. */
CGE_NOINLINE row_cuts row_cuts_of(const cge_layer *l, cge_shape in)
{
    row_cuts r = {0, 0, 0, 0};
    r.reach = in.h;
    r.stride = in.h;
    if ((l->kind->traits & CGE_BY_ROWS) != 0) {
        const cge_conv2d *g = cge_conv2d_of(l);
        r.reach = (g->dilation_h > 0 ? g->dilation_h : 1) * (g->kernel_h - 1) + 1;
        r.stride = g->stride_h > 0 ? g->stride_h : 1;
        r.pad = g->pad_top;
    } else if ((l->kind->traits & CGE_POOLS) != 0) {
        const cge_pool2d *g = cge_pool2d_of(l);
        r.reach = g->kernel_h;
        r.stride = g->stride_h > 0 ? g->stride_h : g->kernel_h;
        r.pad = g->pad_top;
    }
    r.at_a_time = cge_rows_at_a_time(r.reach, r.stride, in.h);
    return r;
}

static int is_by_elements(const cge_layer *l)
{
    return (l->kind->traits & (CGE_IN_PLACE | CGE_BY_ELEMENTS)) != 0;
}

static int is_by_rows(const cge_layer *l)
{
    return (l->kind->traits & (CGE_BY_INPUTS | CGE_IN_PLACE | CGE_BY_ELEMENTS)) == 0;
}

static int32_t u8_window_elems(const cge_layer *l, cge_shape in, int32_t capacity, int32_t rows)
{
    const int32_t elems = elems_in(in);
    row_cuts r;
    if ((l->kind->traits & CGE_BY_GROUPS) != 0) return elems; /* refused later */
    if (capacity > 1 && elems <= LARGEST_WINDOW) return elems * at_most_of((capacity + 1) / 2, LARGEST_WINDOW / elems);
    if (!is_by_rows(l)) return at_most_of(elems, INPUTS_AT_A_TIME);
    r = row_cuts_of(l, in);
    if (rows == 0) rows = r.at_a_time;
    return at_most_of((rows - 1) * r.stride + r.reach, in.h) * in.w * in.c;
}

static int32_t elems_or_too_many(int64_t elems)
{
    return elems > CGE_MAX_ELEMS ? CGE_MAX_ELEMS + 1 : (int32_t)elems;
}

static cge_status u8_find_room(const cge_model *m, const cge_options *o, cge_input_room *room)
{
    const int32_t bytes = (int32_t)sizeof(cge_real), threads = o->executor != NULL ? o->executor->threads : 1;
    cge_shape in = m->input;
    cge_layer_info info;
    int32_t l;
    for (l = 0; l < m->layer_count; l++, in = info.out) {
        CGE_TRY(cge_layer_infer(&m->layers[l], &in, &info));
        if ((m->layers[l].kind->traits & CGE_ALIAS) != 0) continue;
        if ((m->layers[l].kind->traits & CGE_BY_GROUPS) != 0) break; /* it needs all of x several times */
        room->window = u8_window_elems(&m->layers[l], in, o->plan != NULL ? 1 : o->capacity, 0);
        room->windows = elems_or_too_many(threads > 1 ? (int64_t)CGE_WINDOWS_PER_THREAD * threads * room->window : room->window);
        room->gathered = elems_or_too_many(((int64_t)elems_in(in) * o->capacity + bytes - 1) / bytes);
        return CGE_OK;
    }
    return CGE_ERR_ARGUMENT;
}

/* Samples i .. i + count - 1 of a call, which are still to be read. */
static cge_layer_call samples_of(const cge_layer_call *c, int32_t i, int32_t count, cge_x_source *source)
{
    cge_layer_call some = *c;
    *source = *c->source;
    source->x = (const unsigned char *)source->x + cge_sample(c->in, i);
    some.count = count;
    some.source = source;
    some.x = source->window;
    if (c->y != NULL) some.y = c->y + cge_sample(c->out, i);
    if (c->dy != NULL) some.dy = c->dy + cge_sample(c->out, i);
    if (i > 0) some.add = 1;
    return some;
}

typedef void run_layer(const cge_layer_call *c);

static void run_samples(const cge_layer_call *c, int32_t at_a_time, run_layer *compute)
{
    int32_t i, count;
    for (i = 0; i < c->count; i += count) {
        cge_layer_call some;
        cge_x_source source;
        count = at_most_of(at_a_time, c->count - i);
        some = samples_of(c, i, count, &source);
        u8_read(&source, 0, count * elems_in(c->in), source.window);
        compute(&some);
    }
}

/* ---- rows ---- */

/* A layer of its own on less input. */
typedef struct cut_layer {
    cge_layer layer;
    cge_layer_config config;
} cut_layer;

static void set_pads(cut_layer *cut, const cge_layer *l, int32_t top, int32_t bottom)
{
    cut->layer = *l;
    if (l->config == NULL) return;
    memcpy(&cut->config, l->config, l->kind->config_bytes);
    cut->layer.config = &cut->config;
    if ((l->kind->traits & CGE_BY_ROWS) != 0) {
        cut->config.conv2d.pad_top = top;
        cut->config.conv2d.pad_bottom = bottom;
    } else if ((l->kind->traits & CGE_POOLS) != 0) {
        cut->config.pool2d.pad_top = top;
        cut->config.pool2d.pad_bottom = bottom;
    }
}

/* Makes of one sample's call its output rows oh .. oh + rows - 1, as a layer of its own, and reads what they look at. Rows that
 * look at padding alone go with the first or the last that look at x. Returns `rows`. */
static int32_t cut_input_rows(cge_layer_call *c, int32_t oh, cut_layer *layer)
{
    const row_cuts r = row_cuts_of(c->layer, c->in);
    const int32_t top = oh * r.stride - r.pad, row = c->in.w * c->in.c, out_row = c->out.w * c->out.c;
    const int32_t blind = top + r.reach <= 0 ? -(top + r.reach) / r.stride + 1 : 0;
    const int32_t left = c->out.h - oh, seeing = at_most_of(r.at_a_time + blind, left);
    const int32_t rows = top + seeing * r.stride >= c->in.h ? left : seeing;
    int32_t first = top + blind * r.stride, bottom, end = at_most_of(top + (seeing - 1) * r.stride + r.reach, c->in.h);
    if (first < 0) first = 0;
    if (first >= c->in.h) first = c->in.h - 1;
    if (end <= first) end = first + 1;
    bottom = top + (rows - 1) * r.stride + r.reach - end;
    set_pads(layer, c->layer, first - top, bottom > 0 ? bottom : 0);
    c->layer = &layer->layer;
    c->in.h = end - first;
    c->out.h = rows;
    if (c->y != NULL) c->y += oh * out_row;
    if (c->dy != NULL) c->dy += oh * out_row;
    if (oh > 0) c->add = 1;
    u8_read(c->source, first * row, c->in.h * row, c->source->window);
    return rows;
}

static void run_row_cuts(const cge_layer_call *c, int32_t sample, run_layer *compute)
{
    cut_layer layer;
    int32_t oh, rows;
    for (oh = 0; oh < c->out.h; oh += rows) {
        cge_x_source source;
        cge_layer_call cut = samples_of(c, sample, 1, &source);
        rows = cut_input_rows(&cut, oh, &layer);
        compute(&cut);
    }
}

/* ---- inputs of a dense layer, elements of an activation ---- */

/* Makes of one sample's call `count` inputs from `first` on; the weights of the first `at_w` ones lie at w. Forward, y begins
 * with what the inputs before gave. */
static void cut_inputs(cge_layer_call *c, int32_t first, int32_t count, int32_t at_w)
{
    const size_t outputs = (size_t)c->out.c;
    c->in = vector_of(count);
    u8_read(c->source, first, c->in.c, c->source->window);
    c->part = 0;
    c->parts = 1;
    c->db = NULL;
    c->first = first;
    if (is_by_elements(c->layer)) c->y += first;
    else if (first < at_w) c->w += (size_t)first * outputs;
    else c->w = c->w_rest + (size_t)(first - at_w) * outputs;
    if (c->dw != NULL) c->dw += (size_t)first * outputs;
    if (first > 0) c->b = c->y;
}

/* The biases' gradient reads no x. */
static void bias_grad(const cge_layer_call *c)
{
    cge_layer_call biases = *c;
    biases.dw = NULL;
    c->layer->kind->weight_grad(&biases);
}

/* Backward, a part of dw is its own inputs, of those that learn: of a cut all do. */
static void run_input_cuts(const cge_layer_call *c, int32_t sample, run_layer *compute)
{
    const int32_t elems = elems_in(c->in), learning = c->layer->trains > 0 ? c->layer->trains : elems;
    const cge_range inputs = c->dw != NULL ? cge_part_of(learning, c->parts, c->part) : cge_part_of(elems, 1, 0);
    cge_layer layer = *c->layer;
    cge_x_source whole;
    cge_layer_call all = samples_of(c, sample, 1, &whole);
    const int32_t at_w = c->w_rest != NULL ? learning : elems;
    int32_t first, count;
    layer.trains = CGE_TRAINS_ALL;
    if (c->db != NULL) bias_grad(&all);
    all.layer = &layer;
    for (first = inputs.begin; first < inputs.end; first += count) {
        cge_layer_call cut = all;
        count = at_most_of(INPUTS_AT_A_TIME, (first < at_w ? at_most_of(at_w, inputs.end) : inputs.end) - first);
        cut_inputs(&cut, first, count, at_w);
        compute(&cut);
    }
}

/* ---- the table ---- */

CGE_NOINLINE void run_cuts(const cge_layer_call *c, run_layer *compute)
{
    const int32_t whole = c->source->window_elems / elems_in(c->in);
    int32_t i;
    if (whole > 0 && c->w_rest == NULL) {
        run_samples(c, whole, compute);
        return;
    }
    for (i = 0; i < c->count; i++) {
        if (is_by_rows(c->layer)) run_row_cuts(c, i, compute);
        else run_input_cuts(c, i, compute);
    }
}

static void u8_forward_cuts(const cge_layer_call *c)
{
    run_cuts(c, c->layer->kind->forward);
}

static void u8_weight_grad_cuts(const cge_layer_call *c)
{
    if (c->dw == NULL) bias_grad(c);
    else run_cuts(c, c->layer->kind->weight_grad);
}

const cge_input_kind cge_input_u8 = {
    1, 1, u8_check, u8_read, u8_magnitude, u8_find_room, u8_window_elems, u8_forward_cuts, u8_weight_grad_cuts};
