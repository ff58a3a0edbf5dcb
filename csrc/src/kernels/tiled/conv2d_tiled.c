/*
 * Convolution in register tiles (conv2d_tile.h), for cores with 32 floating-point registers and no float SIMD.
 *
 * Forward and input gradient are one walk: each output pixel (of y; of dx) gathers products over the taps that reach
 * it. Four neighbours with the same taps share a tile: side by side where the borders let them, in the columns left
 * over one below the other; what is left then is alone.
 *
 *       y 14 wide,     A B B B B B B B B B B B B C     A 4 x 1 at the left border, whose taps are fewer
 *       3x3 p1         : |_____| |_____| |_____| :     B 1 x 4
 *                      :                         :     C 4 x 1; the four corners are alone
 *
 * A tile has 4 channels; if their number is no multiple of 4, the last tile is moved back and computes some outputs
 * again, to the same bits. Fewer than 4 are walked one after the other, in tiles of 4 pixels x 1 channel. The weight gradient adds:
 * where a tile of it is moved back, the sums that were complete are put back.
 *
 * The channels of a depthwise convolution are walked like those of one group, but each tile reads its own channels.
 */
#include "listed_sums.h"

CGE_TILES_BEGIN

#include "conv2d_tile.h"

#include <string.h>

static int is_depthwise(const cge_conv2d_plan *p)
{
    return p->group_in == 1 && p->group_out == 1 && p->g.groups >= CGE_TILE;
}

/* ---- one axis: which kernel rows (columns) reach an output row (column), and what they read ---------------------- */

typedef struct axis {
    int32_t kernel, dilation;
    int32_t size, limit;             /* how many outputs; how many there are to read */
    int32_t tap_step, source_step;   /* from one tap that reaches an output to the next; between what they read */
    int32_t spacing, source_spacing; /* from an output to its neighbour, the next one with like taps; between what they read */
    int32_t offset, span;            /* tap 0 of output 0 reads `offset`, the last tap `span` further; forward: -pad; input: pad */
} axis;

typedef struct tap_span {
    int32_t first, count; /* kernel indices first, first + tap_step .. */
    int32_t source;       /* what `first` reads */
} tap_span;

/* y[o] reads x[o * stride - pad + tap * dilation]; the stride is source_spacing */
static tap_span forward_taps(const axis *a, int32_t o)
{
    const int32_t base = o * a->source_spacing + a->offset;
    const cge_range valid = cge_valid_range(base, a->dilation, a->kernel, a->limit);
    tap_span t = {0, 0, 0};
    if (valid.begin >= valid.end) return t;
    t.first = valid.begin;
    t.count = valid.end - valid.begin;
    t.source = base + t.first * a->dilation;
    return t;
}

/* dx[i] reads dy[(i + pad - tap * dilation) / stride] where that is a whole number; the stride is spacing */
static tap_span input_taps(const axis *a, int32_t i)
{
    const int32_t base = i + a->offset, beyond = base - (a->limit - 1) * a->spacing;
    int32_t first = beyond > 0 ? (beyond - 1) / a->dilation + 1 : 0, end = base / a->dilation + 1;
    tap_span t = {0, 0, 0};
    if (end > a->kernel) end = a->kernel;
    while (first < end && (base - first * a->dilation) % a->spacing != 0) first++;
    if (first >= end) return t;
    t.first = first;
    t.count = (end - first - 1) / a->tap_step + 1;
    t.source = (base - first * a->dilation) / a->spacing;
    return t;
}

CGE_NOINLINE tap_span taps_at(const axis *a, int32_t output)
{
    return a->source_step > 0 ? forward_taps(a, output) : input_taps(a, output); /* input gradients step back, or nowhere */
}

/* Most outputs are reached by all taps: those without divisions. */
CGE_INLINE tap_span taps_inside(const axis *a, int32_t output)
{
    tap_span t = {0, a->kernel, output * a->source_spacing + a->offset};
    const uint32_t first = (uint32_t)t.source, last = first + (uint32_t)a->span, limit = (uint32_t)a->limit;
    if (first >= limit || last >= limit) t = taps_at(a, output);
    return t;
}

/* An input gradient with a stride has no span: few taps reach an output. */
CGE_NOINLINE axis make_axis(int is_forward, int32_t stride, int32_t pad, int32_t dilation, int32_t kernel, int32_t in, int32_t out)
{
    axis a = {kernel, dilation, out, in, 1, dilation, 1, stride, -pad, (kernel - 1) * dilation};
    if (is_forward) return a;
    while (a.tap_step < kernel && a.tap_step * dilation % stride != 0) a.tap_step++;
    a.size = in, a.limit = out;
    a.source_step = -(a.tap_step * dilation / stride);
    a.spacing = stride, a.source_spacing = 1;
    a.offset = pad, a.span = stride == 1 ? -a.span : a.limit;
    return a;
}

/* ---- forward and input gradient: every output gathers ------------------------------------------------------------ */

/* See conv2d_tile.h. TILE_PIXELS: dots whose v are four pixels and u are weights. */
typedef enum tile_kind { TILE_AB, TILE_AB3, TILE_ABT, TILE_ROW, TILE_DOTS, TILE_PIXELS, TILE_ONE, TILE_OWN, TILE_OWN1 } tile_kind;

typedef struct gather { /* one pass over one group */
    uint8_t is_merged; /* what the taps of a kernel row read is one piece */
    axis rows, columns;
    const float *source, *w, *init; /* x, w, b; or dy, w, zeros */
    float *out;                     /* y; or dx */
    int32_t channels, run;          /* of `out`, 1 or a tile's at least; of `source`, in the group; depthwise: all, 0 */
    int32_t source_pitch, out_pitch; /* elements between pixels */
    int32_t w_tap, w_run;            /* elements of w between kernel columns, channels of `source` */
    tile_kind wide, lone;            /* of four pixels; of one */
    cge_tile tile;
    cge_factor *from, *weights; /* u and v of the tile, or v and u */
} gather;

/* Do CGE_TILE neighbours from `output` on have the taps t? Both ends of t move one way, so the last of them tells. */
CGE_INLINE int is_uniform(const axis *a, int32_t output, int32_t end, tap_span t)
{
    const int32_t last = output + (CGE_TILE - 1) * a->spacing;
    tap_span other;
    if (last >= end || t.count == 0) return 0;
    other = taps_at(a, last);
    return other.first == t.first && other.count == t.count;
}

/* A step of a tile. Unsigned while it is worked out, since one that no loop takes (the dilation of a single tap) may be of
 * any size; as wide as a pointer, or what lies behind would become what lies 2^32 elements ahead. */
static size_t step_of(int32_t count, int32_t elements)
{
    return (size_t)count * (size_t)elements * CGE_TILE_UNITS;
}

/* What the tiles of a strip of columns share; source and w: the two factors of t. Order: b, kh, kw, channel. */
static void share_strip(gather *g, const tap_span *columns)
{
    const axis *r = &g->rows, *c = &g->columns;
    cge_tile *const t = &g->tile;
    cge_factor *const source = g->from, *const w = g->weights;
    const size_t source_column = step_of(c->source_step, g->source_pitch), w_column = step_of(c->tap_step, g->w_tap);
    size_t source_run = step_of(1, g->run), w_run = step_of(g->run, g->w_run), steps = (size_t)columns->count - 1;
    t->out_pitch = (ptrdiff_t)step_of(c->spacing, g->out_pitch);
    t->columns = columns->count, t->run = g->run;
    if (g->is_merged) t->run *= t->columns, t->columns = 1;
    if (g->wide == TILE_OWN) source_run = w_run = 0, steps++; /* n steps from column to column */
    source->pitch = (ptrdiff_t)step_of(c->source_spacing, g->source_pitch);
    source->column = (ptrdiff_t)(source_column - source_run), w->column = (ptrdiff_t)(w_column - w_run);
    source->row = (ptrdiff_t)(step_of(r->source_step, c->limit * g->source_pitch) - steps * source_column - source_run);
    w->row = (ptrdiff_t)(step_of(r->tap_step, c->kernel * g->w_tap) - steps * w_column - w_run);
}

CGE_INLINE void run_product(cge_tile *t, tile_kind kind)
{
    switch (kind) {
    case TILE_AB: cge_tile_ab(t); break;
    case TILE_AB3: cge_tile_ab3(t); break;
    case TILE_ABT: cge_tile_abt(t); break;
    case TILE_ROW: cge_tile_row(t); break;
    case TILE_DOTS:
    case TILE_PIXELS: cge_tile_dots(t); break;
    case TILE_ONE: cge_tile_one(t); break;
    case TILE_OWN: cge_tile_own(t); break;
    case TILE_OWN1:
    default: cge_tile_own1(t); break;
    }
}

/* All channels of a tile's pixels; if some are left over, a last tile that is moved back to the end. */
CGE_INLINE void gather_channels(gather *g, tile_kind kind)
{
    cge_tile *const t = &g->tile;
    static const uint8_t widths[] = {[TILE_AB] = CGE_TILE, [TILE_AB3] = CGE_TILE, [TILE_ABT] = CGE_TILE, [TILE_ROW] = CGE_TILE_ROW,
                                     [TILE_DOTS] = CGE_TILE, [TILE_PIXELS] = 1, [TILE_ONE] = 1, [TILE_OWN] = CGE_TILE, [TILE_OWN1] = CGE_TILE};
    const int32_t width = widths[kind];
    int32_t left = g->channels & (width - 1);
    t->channels = g->channels - left;
    for (;;) {
        run_product(t, kind);
        if (left == 0) break;
        left -= width;
        t->init += left * t->init_channel;
        t->v.at += left * t->v_channel;
        t->out += left;
        if (g->wide == TILE_OWN) t->u.at += left;
        t->channels = width;
        left = 0;
    }
}

/* Column i, or i and its next three neighbours if wide, of the rows in `range`. */
static void gather_strip(gather *g, int32_t i, const tap_span *columns, int is_wide, cge_range range)
{
    const axis *r = &g->rows;
    const int32_t w_row = g->columns.kernel * g->w_tap;
    const int32_t source_row = g->columns.limit * g->source_pitch, out_row = g->columns.size * g->out_pitch;
    const int32_t source = columns->source * g->source_pitch, w = columns->first * g->w_tap, out = i * g->out_pitch;
    cge_factor *const from = g->from;
    tile_kind kind = g->wide;
    int32_t phase, o, step = r->spacing;
    share_strip(g, columns);
    if (kind == TILE_AB && g->tile.columns == 1 && g->tile.run == 3 && g->tile.u.pitch == CGE_TILE_UNITS) kind = TILE_AB3;
    for (phase = range.begin; phase < range.begin + r->spacing && phase < range.end; phase++)
        for (o = phase; o < range.end; o += step) {
            tap_span rows = taps_inside(r, o);
            if (!is_wide) {
                int is_tall;
                if (columns->count == 0) rows.count = 0;
                is_tall = is_uniform(r, o, range.end, rows);
                step = is_tall ? CGE_TILE * r->spacing : r->spacing;
                kind = is_tall ? g->wide : g->lone;
                from->pitch = (ptrdiff_t)step_of(is_tall ? r->source_spacing : kind != TILE_AB, is_tall ? source_row : 1); /* AB: four equal rows */
                if (kind == TILE_OWN1) from->pitch = g->tile.u.column;
                g->tile.out_pitch = (ptrdiff_t)step_of(is_tall ? r->spacing : kind == TILE_DOTS, is_tall ? out_row : 1);
            }
            g->tile.init = g->init;
            from->at = g->source + (source + rows.source * source_row);
            g->weights->at = g->w + (w + rows.first * w_row);
            g->tile.out = g->out + (out + o * out_row);
            g->tile.rows = rows.count;
            gather_channels(g, kind);
        }
}

static void gather_group(gather *g, cge_range range)
{
    const axis *c = &g->columns;
    int32_t phase, i, width;
    for (phase = 0; phase < c->spacing && phase < c->size; phase++)
        for (i = phase; i < c->size; i += width * c->spacing) {
            const tap_span columns = taps_at(c, i);
            width = is_uniform(c, i, c->size, columns) ? CGE_TILE : 1;
            gather_strip(g, i, &columns, width > 1, range);
        }
}

static void gather_all(const cge_conv2d_plan *p, int is_forward, const float *source, const float *w, const float *b, float *out, cge_range range)
{
    const cge_conv2d *c = &p->g;
    int32_t groups = c->groups, parts = 1, part, w_pitch = c->out_c;
    gather g;
    g.is_merged = is_forward && c->dilation_w == 1 && groups == 1;
    g.rows = make_axis(is_forward, c->stride_h, c->pad_top, c->dilation_h, c->kernel_h, c->in_h, p->out_h);
    g.columns = make_axis(is_forward, c->stride_w, c->pad_left, c->dilation_w, c->kernel_w, c->in_w, p->out_w);
    g.source = source, g.out = out;
    g.init = b != NULL ? b : cge_tile_zeros, g.tile.init_channel = b != NULL;
    g.w_tap = p->tap_elems;
    g.from = &g.tile.u, g.weights = &g.tile.v;
    if (is_forward) {
        g.channels = p->group_out, g.run = p->group_in, g.source_pitch = c->in_c, g.out_pitch = c->out_c;
        g.w_run = c->out_c, g.tile.v_channel = 1;
        g.wide = TILE_AB, g.lone = g.channels < CGE_TILE_ROW ? TILE_AB : TILE_ROW;
    } else {
        g.channels = p->group_in, g.run = p->group_out, g.source_pitch = c->out_c, g.out_pitch = c->in_c;
        g.w_run = 1, g.tile.v_channel = c->out_c;
        g.wide = TILE_ABT, g.lone = TILE_DOTS;
    }
    if (is_depthwise(p)) {
        groups = 1;
        g.channels = c->groups, g.run = 1, g.tile.v_channel = 1;
        g.is_merged = 1, w_pitch = g.columns.tap_step * g.w_tap;
        g.wide = TILE_OWN, g.lone = TILE_OWN1;
    }
    if (g.channels < CGE_TILE) { /* one at a time */
        parts = g.channels, g.channels = 1;
        g.wide = TILE_PIXELS, g.lone = TILE_ONE, w_pitch = g.w_run;
        g.from = &g.tile.v, g.weights = &g.tile.u;
    }
    g.weights->pitch = (ptrdiff_t)step_of(1, w_pitch);
    for (; groups > 0; groups--, w += p->group_out, g.source += g.run)
        for (part = 0, g.w = w; part < parts; part++) {
            gather_group(&g, range);
            g.w += g.tile.v_channel, g.out += g.channels, g.init += g.channels * g.tile.init_channel;
        }
}

void cge_conv2d_forward_f32_tiled(const cge_conv2d_plan *p, const float *x, const float *w, const float *b, float *y, cge_range rows)
{
    gather_all(p, 1, x, w, b, y, rows);
}

void cge_conv2d_input_grad_f32_tiled(const cge_conv2d_plan *p, const float *w, const float *dy, float *dx, cge_range rows)
{
    gather_all(p, 0, dy, w, NULL, dx, rows);
}

/* ---- weight gradient: tiles of dw stay in registers while the pixels of all rows add to them --------------------- */

/* Apart, so that what it saves of the registers is not on the stack beside what a row saves. */
CGE_NOINLINE void tile_atb(cge_tile *t)
{
    cge_tile_atb(t);
}

/* Tiles of `width` filters at dw, of CGE_TILE channels or one. */
static void add_tiles(cge_tile *t, float *dw, int32_t width)
{
    t->init = t->out = dw;
    if (width == CGE_TILE) tile_atb(t);
    else if (width == CGE_TILE_ROW) cge_tile_row(t);
    else cge_tile_one(t);
}

/* dw of `channels` successive channels, 1 or CGE_TILE, and all filters of the group, of which there are at least as many: order dw,
 * oh, ow. */
static void weight_channels(cge_tile *t, float *dw, int32_t channels, int32_t filters)
{
    const int32_t width = channels > 1 ? CGE_TILE : filters < CGE_TILE_ROW ? 1 : CGE_TILE_ROW;
    const int32_t left = filters & (width - 1), again = width - left;
    const ptrdiff_t pitch = t->out_pitch / CGE_TILE_UNITS;
    float kept[CGE_TILE * (CGE_TILE - 1)];
    int32_t c;
    t->init_channel = t->v_channel = 1;
    t->channels = filters - left;
    add_tiles(t, dw, width);
    if (left == 0) return;
    dw += filters - width;
    for (c = 0; c < channels; c++) memcpy(kept + c * again, dw + c * pitch, (size_t)again * sizeof *kept);
    t->v.at -= again, t->channels = width;
    add_tiles(t, dw, width);
    for (c = 0; c < channels; c++) memcpy(dw + c * pitch, kept + c * again, (size_t)again * sizeof *kept);
}

/* The same of a depthwise convolution: dw of all channels of one tap. */
static void weight_own(cge_tile *t, float *dw, int32_t channels)
{
    int32_t left = channels % CGE_TILE;
    t->init_channel = t->v_channel = 1;
    t->init = t->out = dw;
    t->channels = channels - left;
    cge_tile_own1(t);
    for (; left > 0; left--, t->u.at++) {
        t->channels = 1;
        cge_tile_one(t);
    }
}

/* Output columns whose tap kw reads x, not padding. */
static cge_range columns_of(const cge_conv2d_plan *p, int32_t kw)
{
    return cge_valid_range(kw * p->g.dilation_w - p->g.pad_left, p->g.stride_w, p->out_w, p->g.in_w);
}

/* dw of one group in one kernel row, from column kw on: `run` successive channels, which may be those of several
 * columns. x, dy: where `rows` rows that meet begin. CGE_TILE channels share a tile if their columns meet alike. */
static void weight_run(const cge_conv2d_plan *p, int32_t rows, const float *x, const float *dy, float *dw, int32_t kw, int32_t run)
{
    const cge_conv2d *g = &p->g;
    const size_t x_row = step_of(g->stride_h, g->in_w * g->in_c), x_pixel = step_of(g->stride_w, g->in_c);
    int32_t e, count;
    cge_tile t;
    t.out_pitch = t.v.pitch = (ptrdiff_t)step_of(1, g->out_c), t.u.pitch = (ptrdiff_t)x_pixel;
    t.rows = rows, t.columns = 1, t.u.column = t.v.column = 0;
    for (e = 0; e < run; e += count) {
        const int32_t tap = kw + e / p->group_in;
        const cge_range columns = columns_of(p, tap);
        count = 1;
        if (e + CGE_TILE <= run && p->group_out >= CGE_TILE) {
            const cge_range last = columns_of(p, kw + (e + CGE_TILE - 1) / p->group_in);
            if (last.begin == columns.begin && last.end == columns.end) count = CGE_TILE;
        }
        t.run = columns.end - columns.begin;
        if (t.run <= 0) continue;
        t.u.at = x + (columns.begin * g->stride_w - g->pad_left + tap * g->dilation_w) * g->in_c + e % p->group_in;
        t.v.at = dy + columns.begin * g->out_c;
        t.u.row = (ptrdiff_t)(x_row - (size_t)t.run * x_pixel);
        t.v.row = (ptrdiff_t)step_of(p->out_w - t.run, g->out_c);
        if (is_depthwise(p)) weight_own(&t, dw, g->groups);
        else weight_channels(&t, dw + e * g->out_c, count, p->group_out);
    }
}

/* Behind a max pooling most of dy are zeros, whose products are left out (winners.h). The middle row tells whether that is worth
 * it: a product that is not left out costs half as much again. */
static int is_mostly_zeros(const cge_conv2d_plan *p, const float *dy, cge_range rows)
{
    const int32_t elems = p->out_w * p->g.out_c;
    int32_t i, others = 0;
    dy += (rows.begin + rows.end) / 2 * elems;
    for (i = 0; i < elems; i++) others += (cge_bits_of(dy[i]) & ~CGE_SIGN_BIT) != 0;
    return others * 2 < elems;
}

static int has_no_negative_zero(int32_t n, const float *x)
{
    const float *const end = x + n;
    while (x < end)
        if (cge_bits_of(*x++) == CGE_SIGN_BIT) return 0;
    return 1;
}

/* The same bits if what is left out are products with numbers, which are +-0, and no sum is -0. */
static int leaves_zeros_out(const cge_conv2d_plan *p, const float *x, const float *dy, const float *dw, cge_range rows, cge_range kernel_rows)
{
    const cge_conv2d *g = &p->g;
    if (CGE_FUSED || p->group_in % CGE_LISTED_SUMS != 0 || g->kernel_w > CGE_WINNERS_COLUMNS || p->group_out * g->groups < g->out_c) return 0;
    if (g->dilation_h > g->in_h || g->dilation_w > g->in_w) return 0; /* steps that nobody takes may be of any size */
    if (kernel_rows.end - kernel_rows.begin < g->kernel_h || rows.begin >= rows.end || !is_mostly_zeros(p, dy, rows)) return 0;
    return cge_all_below_f32_tiled(g->in_h * g->in_w * g->in_c, x, CGE_INFINITY_BITS) && has_no_negative_zero(p->weight_elems, dw);
}

CGE_NOINLINE void weight_grad_of_all(const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows, cge_range kernel_rows)
{
    const cge_conv2d *g = &p->g;
    const int is_merged = g->dilation_w == 1 && p->group_in == g->in_c; /* a kernel row is one run */
    const int32_t kws = is_merged ? 1 : g->kernel_w, run = is_merged ? g->kernel_w * g->in_c : p->group_in;
    const int32_t groups = is_depthwise(p) ? 1 : g->groups;
    int32_t kh, kw, group;
    for (kh = kernel_rows.begin; kh < kernel_rows.end; kh++) {
        const int32_t top = kh * g->dilation_h - g->pad_top;
        cge_range ohs = cge_valid_range(top, g->stride_h, p->out_h, g->in_h);
        if (ohs.begin < rows.begin) ohs.begin = rows.begin;
        if (ohs.end > rows.end) ohs.end = rows.end;
        if (ohs.begin >= ohs.end) continue;
        for (kw = 0; kw < kws; kw++)
            for (group = 0; group < groups; group++)
                weight_run(p, ohs.end - ohs.begin, x + (ohs.begin * g->stride_h + top) * g->in_w * g->in_c + group * p->group_in,
                           dy + ohs.begin * p->out_w * g->out_c + group * p->group_out,
                           dw + (kh * g->kernel_w + kw) * p->tap_elems + group * p->group_out, kw, run);
    }
}

void cge_conv2d_weight_grad_f32_tiled(const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows, cge_range kernel_rows)
{
    int32_t k;
    if (!leaves_zeros_out(p, x, dy, dw, rows, kernel_rows)) {
        weight_grad_of_all(p, x, dy, dw, rows, kernel_rows);
        return;
    }
    for (k = 0; k < p->g.out_c; k++) cge_conv2d_elements_filter_grad(p, x, dy, k, rows, dw + k, p->g.out_c);
}

void cge_conv2d_part_weight_grad_f32_tiled(const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows,
                                           cge_range kernel_rows)
{
    weight_grad_of_all(p, x, dy, dw, rows, kernel_rows);
}

/* ---- bias gradient: the weight gradient of an input that is 1 everywhere ------------------------------------------ */

void cge_conv2d_bias_grad_f32_tiled(const cge_conv2d_plan *p, const float *dy, float *db, cge_range rows)
{
    static const float one = 1.0f;
    cge_tile t;
    t.out_pitch = 0;
    t.u.at = &one, t.u.pitch = 0;
    t.v.at = dy + rows.begin * p->out_w * p->g.out_c, t.v.pitch = (ptrdiff_t)step_of(1, p->g.out_c);
    t.rows = rows.end - rows.begin, t.columns = 1, t.run = p->out_w;
    t.u.column = t.v.column = t.u.row = t.v.row = 0;
    weight_channels(&t, db, 1, p->g.out_c);
}

CGE_TILES_END
