/* Max pooling that remembers its winners, and the gradients of what was pooled; formulas in winners.h. */
#include "../winners.h"
#include "../tiled/listed_sums.h"

#include <string.h>

CGE_INTERNAL int32_t cge_winners_bytes(const cge_windows *v)
{
    const int32_t winners = v->out_h * v->out_w * v->channels, in_a_word = 32 / cge_winner_bits(v->kernel_h * v->kernel_w);
    return (winners + in_a_word - 1) / in_a_word * 4;
}

static void put_winner(unsigned char *winners, int32_t i, int bits, int32_t tap)
{
    const int32_t bit = i * bits;
    const int32_t others = winners[bit >> 3] & ~(((1 << bits) - 1) << (bit & 7));
    winners[bit >> 3] = (unsigned char)(others | tap << (bit & 7));
}

/* Does a later value v take the place of the maximum m? A greater one does, and the first NaN. Most do not: the test that
 * they fail comes first. */
static inline int wins_over(cge_real v, cge_real m)
{
    if (v <= m) return 0;
    return v > m || !cge_is_nan(m); /* one of them is NaN */
}

/* The largest of a window, and which tap it is. */
CGE_INLINE cge_real largest_of(const int32_t kernel_h, const int32_t kernel_w, const cge_real *x, int32_t row, int32_t channels, int32_t *tap)
{
    cge_real best = x[0];
    int32_t kh, kw;
    *tap = 0;
    CGE_UNROLL
    for (kh = 0; kh < kernel_h; kh++) {
        CGE_UNROLL
        for (kw = 0; kw < kernel_w; kw++) {
            const cge_real value = x[kh * row + kw * channels];
            if (kh + kw == 0 || !wins_over(value, best)) continue;
            best = value;
            *tap = kh * kernel_w + kw;
        }
    }
    return best;
}

/* A row of windows. Winners are collected in a byte, which is written when it is full: what lies behind the row's last winner
 * is of rows to come. */
CGE_INLINE void pool_row(const int32_t kernel_h, const int32_t kernel_w, const cge_windows *v, const cge_real *rows, int32_t first, cge_real *y, unsigned char *winners)
{
    const int32_t channels = v->channels, row = v->map_w * channels, bits = cge_winner_bits(kernel_h * kernel_w);
    int32_t ow, c, tap, bit = first * bits & 7, byte = 0;
    if (winners != NULL) winners += first * bits >> 3;
    if (winners != NULL && bit != 0) byte = *winners & ((1 << bit) - 1);
    for (ow = v->out_w; ow > 0; ow--, rows += (kernel_w - 1) * channels)
        for (c = channels; c > 0; c--, rows++) {
            *y++ = largest_of(kernel_h, kernel_w, rows, row, channels, &tap);
            if (winners == NULL) continue;
            byte |= tap << bit;
            bit += bits;
            if (bit < 8) continue;
            *winners++ = (unsigned char)byte;
            byte = 0;
            bit = 0;
        }
    if (winners != NULL && bit != 0) *winners = (unsigned char)byte;
}

CGE_SELDOM void pool_row_of_any(const cge_windows *v, const cge_real *rows, int32_t first, cge_real *y, unsigned char *winners)
{
    pool_row(v->kernel_h, v->kernel_w, v, rows, first, y, winners);
}

CGE_INTERNAL void cge_maxpool2d_row(const cge_windows *v, const cge_real *rows, int32_t oh, cge_real *y, unsigned char *winners)
{
    const int32_t first = v->first + oh * v->out_w * v->channels;
    if (v->kernel_h == 2 && v->kernel_w == 2)
        pool_row(2, 2, v, rows, first, y, winners);
    else
        pool_row_of_any(v, rows, first, y, winners);
}

/* One row of the map into a row of windows. */
static void pool_map_row(const cge_windows *v, const cge_real *map, int32_t first_tap, int32_t first, cge_real *y, unsigned char *winners)
{
    const int32_t kernel_w = v->kernel_w, channels = v->channels, bits = cge_winner_bits(v->kernel_h * kernel_w), fresh = first_tap == 0;
    int32_t ow, c, kw, i = first;
    for (ow = v->out_w; ow > 0; ow--, map += (kernel_w - 1) * channels)
        for (c = channels; c > 0; c--, i++, map++, y++) {
            cge_real best = fresh ? *map : *y;
            int32_t tap = fresh - 1;
            for (kw = 0; kw < kernel_w; kw++) {
                const cge_real value = map[kw * channels];
                if ((kw == 0 && fresh) || !wins_over(value, best)) continue;
                best = value;
                tap = first_tap + kw;
            }
            if (tap < 0) continue;
            *y = best;
            if (winners != NULL) put_winner(winners, i, bits, tap);
        }
}

CGE_INTERNAL void cge_maxpool2d_take_row(const cge_windows *v, const cge_real *map, int32_t row, cge_real *y, unsigned char *winners)
{
    const int32_t first_tap = row % v->kernel_h * v->kernel_w, first = v->first + row / v->kernel_h * v->out_w * v->channels;
    pool_map_row(v, map, first_tap, first, y, winners);
}

CGE_INTERNAL void cge_maxpool2d_row_grad(const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, cge_real *dz)
{
    const int32_t channels = v->channels, bits = cge_winner_bits(v->kernel_h * v->kernel_w), oh = row / v->kernel_h;
    const int32_t first_tap = row % v->kernel_h * v->kernel_w;
    int32_t ow, c, i = oh * v->out_w * channels;
    memset(dz, 0, (size_t)(v->map_w * channels) * sizeof *dz);
    if (oh >= v->out_h) return;
    for (ow = 0; ow < v->out_w; ow++)
        for (c = 0; c < channels; c++, i++) {
            const int32_t column = cge_winner_at(winners, v->first + i, bits) - first_tap;
            if (column >= 0 && column < v->kernel_w) dz[(ow * v->kernel_w + column) * channels + c] = dy[i];
        }
}

/* ---- the map at the winners ---- */

/* x of the group that filter k belongs to, and that filter's weights. */
typedef struct map_filter {
    const cge_conv2d_plan *p;
    const cge_real *x, *w;
    cge_real b;
} map_filter;

/* Element of the map whose window begins at row `top` and column `left` of the image. */
static inline cge_real map_element(const map_filter *f, int32_t top, int32_t left)
{
    const cge_conv2d *g = &f->p->g;
    const cge_range khs = cge_valid_range(top, g->dilation_h, g->kernel_h, g->in_h);
    const cge_range kws = cge_valid_range(left, g->dilation_w, g->kernel_w, g->in_w);
    cge_real sum = f->b;
    int32_t kh, kw, c;
    for (kh = khs.begin; kh < khs.end; kh++)
        for (kw = kws.begin; kw < kws.end; kw++) {
            const cge_real *x = f->x + ((top + kh * g->dilation_h) * g->in_w + left + kw * g->dilation_w) * g->in_c;
            const cge_real *w = f->w + (kh * g->kernel_w + kw) * f->p->group_in * g->out_c;
            for (c = f->p->group_in; c > 0; c--, x++, w += g->out_c) sum = CGE_MADD(sum, *x, *w);
        }
    return sum;
}

/* One channel and three by three taps. `border` is a constant: some of them may lie outside. */
CGE_INLINE cge_real element_of_nine(const int border, const cge_conv2d *g, const cge_real *x, cge_real w[3][3], cge_real sum,
                                    int32_t top, int32_t left)
{
    int32_t kh, kw;
    x += top * g->in_w + left;
    CGE_UNROLL
    for (kh = 0; kh < 3; kh++, x += g->in_w) {
        if (border && (uint32_t)(top + kh) >= (uint32_t)g->in_h) continue;
        CGE_UNROLL
        for (kw = 0; kw < 3; kw++)
            if (!border || (uint32_t)(left + kw) < (uint32_t)g->in_w) sum = CGE_MADD(sum, x[kw], w[kh][kw]);
    }
    return sum;
}

/* The weights stay in registers. */
CGE_NOINLINE void map_row_of_nine(const map_filter *f, const cge_windows *v, const unsigned char *winners, int32_t i, int32_t top,
                                  cge_real *y)
{
    const cge_conv2d *g = &f->p->g;
    const int32_t columns = v->kernel_w, bits = cge_winner_bits(v->kernel_h * columns), step = columns * g->stride_w;
    const int32_t rows_inside = g->in_h > 2 ? g->in_h - 2 : 0, columns_inside = g->in_w > 2 ? g->in_w - 2 : 0;
    int32_t ow, kh, kw, first = -g->pad_left;
    cge_real w[3][3];
    CGE_UNROLL
    for (kh = 0; kh < 3; kh++) {
        CGE_UNROLL
        for (kw = 0; kw < 3; kw++) w[kh][kw] = f->w[(kh * 3 + kw) * g->out_c];
    }
    for (ow = v->out_w; ow > 0; ow--, i += v->channels, y += v->channels, first += step) {
        const int32_t tap = cge_winner_at(winners, i, bits);
        const int32_t row = top + tap / columns * g->stride_h, left = first + tap % columns * g->stride_w;
        const int is_inside = (uint32_t)row < (uint32_t)rows_inside && (uint32_t)left < (uint32_t)columns_inside;
        *y = is_inside ? element_of_nine(0, g, f->x, w, f->b, row, left) : element_of_nine(1, g, f->x, w, f->b, row, left);
    }
}

CGE_SELDOM void map_row_of_any(const map_filter *f, const cge_windows *v, const unsigned char *winners, int32_t i, int32_t top,
                               cge_real *y)
{
    const cge_conv2d *g = &f->p->g;
    const int32_t columns = v->kernel_w, bits = cge_winner_bits(v->kernel_h * columns);
    int32_t ow, first = -g->pad_left;
    for (ow = v->out_w; ow > 0; ow--, i += v->channels, y += v->channels, first += columns * g->stride_w) {
        const int32_t tap = cge_winner_at(winners, i, bits);
        *y = map_element(f, top + tap / columns * g->stride_h, first + tap % columns * g->stride_w);
    }
}

CGE_INTERNAL void cge_conv2d_winners_forward_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *w,
                                                 const cge_real *b, const unsigned char *winners, int32_t oh, cge_real *y)
{
    const cge_conv2d *g = &p->g;
    const int32_t is_nine = g->in_c == 1 && g->kernel_h == 3 && g->kernel_w == 3 && g->dilation_h == 1 && g->dilation_w == 1;
    const int32_t first = v->first + oh * v->out_w * v->channels, top = oh * v->kernel_h * g->stride_h - g->pad_top;
    int32_t k;
    for (k = 0; k < g->out_c; k++) {
        map_filter f;
        f.p = p;
        f.x = x + k / p->group_out * p->group_in;
        f.w = w + k;
        f.b = b != NULL ? b[k] : CGE_REAL(0);
        if (is_nine) map_row_of_nine(&f, v, winners, first + k, top, y + k);
        else map_row_of_any(&f, v, winners, first + k, top, y + k);
    }
}

/* ---- gradients at the winners ---- */

/* What one row of the map's gradient meets: these kernel rows, the first of which reads row `ih` of x. */
typedef struct row_reach {
    cge_range khs;
    int32_t ih;
} row_reach;

static row_reach reach_of_row(const cge_conv2d *g, int32_t row)
{
    const int32_t top = row * g->stride_h - g->pad_top;
    row_reach r;
    r.khs = cge_valid_range(top, g->dilation_h, g->kernel_h, g->in_h);
    r.ih = top + r.khs.begin * g->dilation_h;
    return r;
}

static inline int is_zero_gradient(cge_real x)
{
    return (cge_bits_of(x) & ~CGE_SIGN_BIT) == 0;
}

/* Kernel columns that lie inside, the first at column `left` of the image. Most do. */
static inline cge_range columns_inside(const cge_conv2d *g, int32_t left)
{
    const cge_range all = {0, g->kernel_w};
    if (left >= 0 && left + g->dilation_w * (g->kernel_w - 1) < g->in_w) return all;
    return cge_valid_range(left, g->dilation_w, g->kernel_w, g->in_w);
}

/* How much of x and of w is a column, if neighbouring kernel columns lie side by side in both; else 0. */
static inline int32_t run_of_column(const cge_conv2d_plan *p)
{
    return p->g.dilation_w == 1 && p->group_in == p->g.in_c ? p->group_in : 0;
}

/* n sums, fewer than eight, whose factors are `step` apart. */
CGE_NOINLINE void add_rest_apart(const cge_value_list *list, int32_t n, ptrdiff_t offset, ptrdiff_t step, cge_real *sums)
{
    for (; n >= 3; n -= 3, offset += 3 * step, sums += 3) cge_add_listed_apart(3, list, offset, step, sums);
    for (; n > 0; n--, offset += step, sums++) cge_add_listed_apart(1, list, offset, step, sums);
}

CGE_INTERNAL void cge_copy_column(int32_t n, const cge_real *from, int32_t from_step, cge_real *to, int32_t to_step)
{
    for (; n > 0; n--, from += from_step, to += to_step) *to = *from;
}

/* x where it meets one row of the map, and dw of one filter, dw [kernel_h][kernel_w][group_in], its elements `step` apart.
 * Numbers of the map's gradient wait on the list while they meet the same kernel rows. */
typedef struct filter_row {
    const cge_conv2d_plan *p;
    void (*add_list)(struct filter_row *r);
    const cge_real *x; /* first row of x that the map's row meets, first channel of the filter's group */
    cge_real *dw;      /* first kernel row that meets one */
    int32_t kernel_rows, x_next, dw_next; /* from kernel row to kernel row */
    int32_t x_step;                       /* from kernel column to kernel column */
    cge_real db;
    int32_t taken;        /* numbers so far */
    int32_t step, inside; /* inside: a window begins at that many columns of the image if all of it is to lie inside */
    uint32_t columns; /* that all numbers on the list meet */
    cge_value_list list;
} filter_row;

/* All kernel columns of a row are one run if all numbers on the list meet all of them, and x has them side by side. */
static inline int columns_are_a_run(const filter_row *r)
{
    return ~r->columns == 0 && r->x_step == r->p->group_in;
}

CGE_NOINLINE void add_eight_sums(const filter_row *r, int32_t eights, int32_t offset, uint32_t column, cge_real *dw)
{
    cge_add_listed_eights(eights, &r->list, offset, column, r->step, dw);
}

static inline void add_eights(const filter_row *r, int32_t offset, cge_real *dw)
{
    const int32_t n = r->p->group_in, is_run = columns_are_a_run(r), columns = is_run ? 1 : r->p->g.kernel_w;
    const int32_t eights = (is_run ? r->p->g.kernel_w * n : n) / CGE_LISTED_SUMS;
    int32_t kw;
    for (kw = 0; kw < columns; kw++, offset += r->x_step, dw += n * r->step) add_eight_sums(r, eights, offset, 1u << kw, dw);
}

/* Of channels by eights. */
CGE_NOINLINE void add_list_of_eights(filter_row *r)
{
    cge_real *dw = r->dw;
    int32_t kh, offset = 0;
    for (kh = r->kernel_rows; kh > 0; kh--, offset += r->x_next, dw += r->dw_next) add_eights(r, offset, dw);
}

/* Of any number of channels. */
static inline void add_run(const filter_row *r, int32_t n, int32_t offset, uint32_t column, cge_real *dw)
{
    const int32_t eights = n / CGE_LISTED_SUMS, step = r->step;
    int32_t i = eights * CGE_LISTED_SUMS;
    if (eights > 0) add_eight_sums(r, eights, offset, column, dw);
    for (; i + 3 <= n; i += 3) cge_add_listed(3, 0, &r->list, offset + i, column, step, dw + i * step);
    for (; i < n; i++) cge_add_listed(1, 0, &r->list, offset + i, column, step, dw + i * step);
}

CGE_NOINLINE void add_list_of_channels(filter_row *r)
{
    const int32_t n = r->p->group_in, is_run = columns_are_a_run(r), columns = is_run ? 1 : r->p->g.kernel_w;
    const int32_t run = is_run ? r->p->g.kernel_w * n : n;
    cge_real *dw = r->dw;
    int32_t kh, kw, offset = 0;
    for (kh = r->kernel_rows; kh > 0; kh--, offset += r->x_next, dw += r->dw_next)
        for (kw = 0; kw < columns; kw++) add_run(r, run, offset + kw * r->x_step, 1u << kw, dw + kw * n * r->step);
}

/* Three kernel rows of three columns, which number j of a row meets if `columns` has that bit. */
CGE_INLINE void add_to_nine(const filter_row *r, uint32_t columns, cge_real value, const cge_real *from, cge_real sums[3][3])
{
    int32_t i, j;
    CGE_UNROLL
    for (i = 0; i < 3; i++, from += r->x_next) {
        CGE_UNROLL
        for (j = 0; j < 3; j++)
            if ((columns >> j & 1) != 0) sums[i][j] = CGE_MADD(sums[i][j], value, from[j]);
    }
}

static void add_list_of_nine(const filter_row *r)
{
    const cge_listed *l = r->list.numbers, *const end = l + r->list.count;
    cge_real sums[3][3];
    int32_t i, j;
    CGE_UNROLL
    for (i = 0; i < 3; i++) {
        CGE_UNROLL
        for (j = 0; j < 3; j++) sums[i][j] = r->dw[i * r->dw_next + j * r->step];
    }
    for (; l < end; l++)
        if ((~l->columns & 7) == 0)
            add_to_nine(r, 7, l->value, l->at, sums);
        else
            add_to_nine(r, l->columns, l->value, l->at, sums);
    CGE_UNROLL
    for (i = 0; i < 3; i++) {
        CGE_UNROLL
        for (j = 0; j < 3; j++) r->dw[i * r->dw_next + j * r->step] = sums[i][j];
    }
}

/* Of one channel, three columns at a time. */
CGE_NOINLINE void add_list_of_columns(filter_row *r)
{
    const int32_t columns = r->p->g.kernel_w, step = r->step;
    cge_real *dw = r->dw;
    int32_t kh, kw, offset = 0;
    if (columns == 3 && r->kernel_rows == 3) {
        add_list_of_nine(r);
        return;
    }
    for (kh = r->kernel_rows; kh > 0; kh--, offset += r->x_next, dw += r->dw_next) {
        for (kw = 0; kw + 3 <= columns; kw += 3) cge_add_listed(3, 1, &r->list, offset + kw, 1u << kw, step, dw + kw * step);
        for (; kw < columns; kw++) cge_add_listed(1, 0, &r->list, offset + kw, 1u << kw, step, dw + kw * step);
    }
}

static void (*list_adder(const cge_conv2d_plan *p))(filter_row *r)
{
    if (p->group_in % CGE_LISTED_SUMS == 0) return add_list_of_eights;
    return p->g.in_c * p->g.dilation_w == 1 ? add_list_of_columns : add_list_of_channels;
}

static inline void add_list_to_filter(filter_row *r)
{
    if (r->list.count > 0) r->add_list(r);
    r->taken += r->list.count;
    r->list.count = 0;
    r->columns = ~(uint32_t)0;
}

/* One number of the map's gradient, whose window begins at column `left` of the image. */
CGE_NOINLINE void take_number(filter_row *r, cge_real value, int32_t left)
{
    const cge_conv2d *g = &r->p->g;
    uint32_t columns = ~(uint32_t)0;
    cge_listed *l;
    r->db += value;
    if ((uint32_t)left >= (uint32_t)r->inside) {
        const cge_range kws = cge_valid_range(left, g->dilation_w, g->kernel_w, g->in_w);
        if (kws.begin >= kws.end) return;
        columns = (columns >> (CGE_WINNERS_COLUMNS - kws.end + kws.begin)) << kws.begin;
    }
    if (r->list.count == CGE_LISTED) add_list_to_filter(r);
    l = &r->list.numbers[r->list.count++];
    l->at = r->x + (ptrdiff_t)left * g->in_c;
    l->value = value;
    l->columns = columns;
    r->columns &= columns;
}

/* What row `row` of the map gives to filter k. `bits` is a constant; 0: each window is one element. */
CGE_INLINE void add_row_to_filter(const int32_t bits, filter_row *r, const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, int32_t k)
{
    const int32_t columns = v->kernel_w, first_tap = row % v->kernel_h * columns, channels = v->channels;
    const int32_t first = row / v->kernel_h * v->out_w * channels + k, pad = r->p->g.pad_left;
    const int32_t stride = r->p->g.stride_w, step = columns * stride, end = v->out_w * step - pad;
    int32_t i = v->first + first, left = -pad;
    for (dy += first; left < end; left += step, i += channels, dy += channels) {
        const int32_t column = bits != 0 ? cge_winner_at(winners, i, bits) - first_tap : 0;
        if ((bits == 0 || (uint32_t)column < (uint32_t)columns) && !is_zero_gradient(*dy)) take_number(r, *dy, left + column * stride);
    }
}

CGE_NOINLINE void add_row_of_elements(filter_row *r, const cge_windows *v, const cge_real *dy, int32_t row, int32_t k)
{
    add_row_to_filter(0, r, v, dy, NULL, row, k);
}

CGE_NOINLINE void add_row_of_four(filter_row *r, const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, int32_t k)
{
    add_row_to_filter(2, r, v, dy, winners, row, k);
}

CGE_SELDOM void add_row_of_many(filter_row *r, const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, int32_t k)
{
    add_row_to_filter(cge_winner_bits(v->kernel_h * v->kernel_w), r, v, dy, winners, row, k);
}

/* `elements` is a constant: each window is one element. */
CGE_INLINE void add_rows_to_filter(const int elements, filter_row *r, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, int32_t k, cge_range rows, cge_real *filter)
{
    const cge_conv2d_plan *p = r->p;
    const cge_conv2d *g = &p->g;
    const int32_t x_row = g->in_w * g->in_c, inside = g->in_w - g->dilation_w * (g->kernel_w - 1);
    int32_t row;
    r->x_next = g->kernel_h > 1 ? g->dilation_h * x_row : 0;
    r->x_step = g->kernel_w > 1 ? g->dilation_w * g->in_c : 0;
    r->dw_next = g->kernel_w * p->group_in * r->step;
    r->inside = inside > 0 ? inside : 0;
    r->list.count = 0;
    r->columns = ~(uint32_t)0;
    r->dw = NULL;
    r->kernel_rows = 0;
    for (row = rows.begin; row < rows.end; row++) {
        const row_reach reach = reach_of_row(g, row);
        const int32_t kernel_rows = reach.khs.end - reach.khs.begin;
        cge_real *dw = filter + reach.khs.begin * r->dw_next;
        if (dw != r->dw || kernel_rows != r->kernel_rows) add_list_to_filter(r);
        r->x = x + reach.ih * x_row + k / p->group_out * p->group_in;
        r->dw = dw;
        r->kernel_rows = kernel_rows;
        if (elements) add_row_of_elements(r, v, dy, row, k);
        else if (v->kernel_h * v->kernel_w <= 4) add_row_of_four(r, v, dy, winners, row, k);
        else add_row_of_many(r, v, dy, winners, row, k);
    }
    add_list_to_filter(r);
}

#if !CGE_F64

CGE_INTERNAL void cge_conv2d_elements_filter_grad(const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, int32_t k, cge_range rows, cge_real *filter, int32_t step)
{
    const cge_windows v = {1, 1, p->out_h, p->out_w, p->g.out_c, p->out_w, 0};
    filter_row r;
    r.p = p;
    r.add_list = add_list_of_eights;
    r.step = step;
    r.db = 0;
    r.taken = 0;
    add_rows_to_filter(1, &r, &v, x, dy, NULL, k, rows, filter);
}

#endif

CGE_INTERNAL cge_real cge_conv2d_winners_filter_rows(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, int32_t k, cge_range rows, cge_real *filter, int32_t step, cge_real db, int32_t *taken)
{
    filter_row r;
    r.p = p;
    r.add_list = list_adder(p);
    r.step = step;
    r.db = db;
    r.taken = *taken;
    add_rows_to_filter(0, &r, v, x, dy, winners, k, rows, filter);
    *taken = r.taken;
    return r.db;
}

CGE_INTERNAL cge_real cge_conv2d_winners_filter_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, int32_t k, cge_real *filter, int32_t step, cge_real db)
{
    const cge_range rows = {0, v->out_h * v->kernel_h};
    int32_t taken = 0;
    return cge_conv2d_winners_filter_rows(p, v, x, dy, winners, k, rows, filter, step, db, &taken);
}

CGE_INTERNAL void cge_conv2d_winners_weight_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *x, const cge_real *dy, const unsigned char *winners, cge_real *dw, cge_real *db)
{
    const int32_t filters = p->g.out_c;
    int32_t k;
    for (k = 0; k < filters; k++) {
        const cge_real sum = cge_conv2d_winners_filter_grad(p, v, x, dy, winners, k, dw + k, filters, db != NULL ? db[k] : CGE_REAL(0));
        if (db != NULL) db[k] = sum;
    }
}

CGE_INTERNAL void cge_conv2d_winners_bias_grad(const cge_windows *v, const cge_real *dy, const unsigned char *winners, cge_real *db)
{
    const int32_t bits = cge_winner_bits(v->kernel_h * v->kernel_w), row_elems = v->out_w * v->channels;
    int32_t row, ow, c;
    for (row = 0; row < v->out_h * v->kernel_h; row++) {
        const int32_t first_tap = row % v->kernel_h * v->kernel_w;
        int32_t i = row / v->kernel_h * row_elems;
        for (ow = 0; ow < v->out_w; ow++)
            for (c = 0; c < v->channels; c++, i++)
                if ((uint32_t)(cge_winner_at(winners, i, bits) - first_tap) < (uint32_t)v->kernel_w) db[c] += dy[i];
    }
}

/* w where one row of the map meets it, and the rows of dx, each in ring[row % extent]. */
typedef struct ring_row {
    const cge_conv2d_plan *p;
    const cge_real *w; /* first kernel row that meets a row of dx */
    cge_real *ring;
    int32_t kernel_rows, slot, extent; /* slot: of the first row of dx */
    int32_t w_next, w_tap, x_row;
    int32_t run; /* of columns that lie side by side, for each column; 0: they do not */
} ring_row;

/* n sums. */
CGE_NOINLINE void add_to_run_apart(const cge_value_list *list, uint32_t n, ptrdiff_t offset, ptrdiff_t step, cge_real *sums)
{
    const int32_t eights = (int32_t)(n / CGE_LISTED_SUMS), rest = (int32_t)(n % CGE_LISTED_SUMS);
    const int32_t in_eights = eights * CGE_LISTED_SUMS;
    if (eights > 0) cge_add_listed_eights_apart(eights, list, offset, step, sums);
    if (rest > 0) add_rest_apart(list, rest, offset + in_eights * step, step, sums + in_eights);
}

/* Columns that do not lie side by side. */
CGE_NOINLINE void add_to_columns(const ring_row *r, const cge_value_list *list, int32_t columns, int32_t offset, cge_real *dx)
{
    const cge_conv2d_plan *p = r->p;
    for (; columns > 0; columns--, offset += r->w_tap, dx += p->g.dilation_w * p->g.in_c)
        add_to_run_apart(list, (uint32_t)p->group_in, offset, p->g.out_c, dx);
}

/* What the list gives to the rows of dx, of filters of one group whose first channel is that. The window begins at column
 * `left` of the image. */
CGE_NOINLINE void add_list_to_ring(const ring_row *r, const cge_value_list *list, int32_t channel, int32_t left)
{
    const cge_conv2d *g = &r->p->g;
    const cge_range kws = columns_inside(g, left);
    const int32_t columns = kws.end - kws.begin;
    cge_real *first = r->ring + (left + kws.begin * g->dilation_w) * g->in_c + channel;
    int32_t kh, slot = r->slot, offset = kws.begin * r->w_tap;
    for (kh = r->kernel_rows; kh > 0; kh--, offset += r->w_next) {
        cge_real *dx = first + slot * r->x_row;
        if (r->run > 0) add_to_run_apart(list, (uint32_t)(columns * r->run), offset, g->out_c, dx);
        else add_to_columns(r, list, columns, offset, dx);
        slot += g->dilation_h;
        if (slot >= r->extent) slot -= r->extent;
    }
}

#if defined(__GNUC__) && (!defined(__arm__) || defined(__ARM_FEATURE_CLZ))
static inline int32_t lowest_bit(uint32_t bits)
{
    return __builtin_ctz(bits);
}
#else
static inline int32_t lowest_bit(uint32_t bits)
{
    int32_t bit = 0;
    for (; (bits & 1) == 0; bits >>= 1) bit++;
    return bit;
}
#endif

/* One place of the map, where the winners of one tap have a gradient. */
typedef struct map_place {
    const cge_real *dy; /* of filter 0 */
    const unsigned char *winners;
    int32_t first, tap; /* first: number of filter 0's winner */
} map_place;

/* Which of the winners from number i on are this tap, as far as they lie in one word: at each of them the lowest bit. */
static inline uint32_t winners_of_tap(const unsigned char *winners, int32_t i, int32_t bits, int32_t tap)
{
    const uint32_t ones = bits == 2 ? 0x55555555 : bits == 4 ? 0x11111111 : 0x01010101;
    const unsigned char *word = winners + (i * bits >> 5) * 4;
    uint32_t other = word[0] | (uint32_t)word[1] << 8 | (uint32_t)word[2] << 16 | (uint32_t)word[3] << 24;
    other ^= (uint32_t)tap * ones;
    if (bits == 8) other |= other >> 4;
    if (bits >= 4) other |= other >> 2;
    return (~(other | other >> 1) & ones) >> (i * bits & 31);
}

/* Puts what is not zero on the list, filters from k to end - 1, as far as there is room. Returns the first filter that was not
 * looked at. */
CGE_INLINE int32_t list_filters(const int32_t bits, const map_place *at, const cge_real *w, cge_value_list *list, int32_t k,
                                int32_t end)
{
    const int32_t in_word = 32 / bits;
    cge_listed *l = list->numbers;
    for (; k < end; k += in_word - ((at->first + k) & (in_word - 1))) {
        uint32_t found = winners_of_tap(at->winners, at->first + k, bits, at->tap);
        for (; found != 0; found &= found - 1) {
            const int32_t filter = k + lowest_bit(found) / bits;
            if (filter >= end) break;
            if (is_zero_gradient(at->dy[filter])) continue;
            if (l == list->numbers + CGE_LISTED) {
                list->count = CGE_LISTED;
                return filter;
            }
            l->at = w + filter;
            l->value = at->dy[filter];
            l++;
        }
    }
    list->count = (int32_t)(l - list->numbers);
    return end;
}

/* Windows of four taps are the usual ones. */
CGE_NOINLINE int32_t list_filters_of_four(const map_place *at, const cge_real *w, cge_value_list *list, int32_t k, int32_t end)
{
    return list_filters(2, at, w, list, k, end);
}

CGE_SELDOM int32_t list_filters_of_many(int32_t bits, const map_place *at, const cge_real *w, cge_value_list *list, int32_t k,
                                        int32_t end)
{
    return list_filters(bits, at, w, list, k, end);
}

/* Returns how many numbers there were. */
static inline int32_t add_place_to_ring(const ring_row *r, int32_t bits, const map_place *at, int32_t left)
{
    const int32_t group_out = r->p->group_out, filters = r->p->g.out_c;
    int32_t k = 0, end, channel = 0, count = 0;
    cge_value_list list;
    for (end = group_out; end <= filters; end += group_out, channel += r->p->group_in)
        while (k < end) {
            k = bits == 2 ? list_filters_of_four(at, r->w, &list, k, end) : list_filters_of_many(bits, at, r->w, &list, k, end);
            if (list.count > 0) add_list_to_ring(r, &list, channel, left);
            count += list.count;
        }
    return count;
}

/* Map row `row`, as far as it belongs to `windows`, into the rows of dx that it reaches: columns from the last to the first,
 * filters ascending. Returns how many winners there were. */
static int32_t add_row_to_ring(const ring_row *r, const cge_windows *v, const cge_real *dy, const unsigned char *winners, int32_t row, cge_range windows)
{
    const int32_t columns = v->kernel_w, first_tap = row % v->kernel_h * columns, bits = cge_winner_bits(v->kernel_h * columns);
    const int32_t stride = r->p->g.stride_w, first = (row / v->kernel_h * v->out_w + windows.end) * v->channels;
    int32_t ow, left = windows.end * columns * stride - r->p->g.pad_left, count = 0;
    map_place at = {dy + first, winners, v->first + first, 0};
    for (ow = windows.end; ow > windows.begin; ow--) {
        at.dy -= v->channels;
        at.first -= v->channels;
        for (at.tap = first_tap + columns; at.tap > first_tap;) {
            at.tap--;
            left -= stride;
            count += add_place_to_ring(r, bits, &at, left);
        }
    }
    return count;
}

static int32_t ring_extent(const cge_conv2d *g)
{
    return g->dilation_h * (g->kernel_h - 1) + 1;
}

/* Rows of dx from here on get nothing from map rows before `row`. */
static int32_t rows_before(const cge_conv2d_plan *p, const cge_windows *v, int32_t row)
{
    const int32_t end = row <= 0 ? 0 : (row - 1) * p->g.stride_h - p->g.pad_top + ring_extent(&p->g);
    if (row > v->out_h * v->kernel_h || end > p->g.in_h) return p->g.in_h;
    return end > 0 ? end : 0;
}

CGE_INTERNAL void cge_conv2d_winners_take_rows(const cge_conv2d_plan *p, const cge_windows *v, cge_real *ring, cge_take_row_fn *take, const void *context, int32_t row)
{
    const int32_t x_row = p->g.in_w * p->g.in_c, extent = ring_extent(&p->g), end = rows_before(p, v, row);
    int32_t done = rows_before(p, v, row + 1);
    while (done > end) {
        cge_real *dx = ring + --done % extent * x_row;
        take(context, done, dx);
        memset(dx, 0, (size_t)x_row * sizeof *dx);
    }
}

CGE_INTERNAL int32_t cge_conv2d_winners_add_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, cge_real *ring, int32_t row, cge_range windows)
{
    const row_reach reach = reach_of_row(&p->g, row);
    ring_row r;
    r.p = p;
    r.ring = ring;
    r.extent = ring_extent(&p->g);
    r.x_row = p->g.in_w * p->g.in_c;
    r.w_tap = p->group_in * p->g.out_c;
    r.w_next = p->g.kernel_w * r.w_tap;
    r.w = w + reach.khs.begin * r.w_next;
    r.slot = reach.ih % r.extent;
    r.kernel_rows = reach.khs.end - reach.khs.begin;
    r.run = run_of_column(p);
    return add_row_to_ring(&r, v, dy, winners, row, windows);
}

CGE_INTERNAL void cge_conv2d_winners_input_grad(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, cge_real *ring, cge_take_row_fn *take, const void *context)
{
    const cge_range windows = {0, v->out_w};
    int32_t row = v->out_h * v->kernel_h;
    memset(ring, 0, (size_t)(ring_extent(&p->g) * p->g.in_w * p->g.in_c) * sizeof *ring);
    for (; row > 0; row--) {
        cge_conv2d_winners_take_rows(p, v, ring, take, context, row);
        (void)cge_conv2d_winners_add_row(p, v, w, dy, winners, ring, row - 1, windows);
    }
    cge_conv2d_winners_take_rows(p, v, ring, take, context, 0);
}

/* The row is a ring of one. */
CGE_INTERNAL void cge_conv2d_winners_input_grad_row(const cge_conv2d_plan *p, const cge_windows *v, const cge_real *w, const cge_real *dy, const unsigned char *winners, int32_t ih, cge_real *dx)
{
    const cge_conv2d *g = &p->g;
    const int32_t tap_elems = p->group_in * g->out_c, x_row = g->in_w * g->in_c;
    const ring_row all = {p, w, dx, 1, 0, 1, g->kernel_w * tap_elems, tap_elems, x_row, run_of_column(p)};
    const cge_range windows = {0, v->out_w};
    ring_row r = all;
    int32_t kh;
    memset(dx, 0, (size_t)x_row * sizeof *dx);
    for (kh = 0; kh < g->kernel_h; kh++, r.w += r.w_next) {
        const int32_t top = ih + g->pad_top - kh * g->dilation_h, row = top / g->stride_h;
        if (top >= 0 && row * g->stride_h == top && row < v->out_h * v->kernel_h) (void)add_row_to_ring(&r, v, dy, winners, row, windows);
    }
}
