/* Pooling with one vector width: included by pool2d_lanes.c with WIDTH defined. Channels are taken WIDTH at a time; the
 * last vector moves back to end with them, so some are computed twice. Where a result is added, those count once:
 * `fresh` masks them to +0, which changes no sum that began with +0. Windows that do not overlap have all that is added
 * to an element at once: there it is assigned, as 0 + dy, which is not dy if that is -0. */
#define VEC CGE_LANES_JOIN(pool_vec, WIDTH)
#define MASK CGE_LANES_JOIN(pool_mask, WIDTH)
#define FN(name) CGE_LANES_JOIN(name, WIDTH)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))
#define SELECT(mask, a, b) ((VEC)(((MASK)(a) & (mask)) | ((MASK)(b) & ~(mask))))

typedef float VEC __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t MASK __attribute__((vector_size(4 * WIDTH)));

/* Lanes of a vector that begins with channel `from`, whose channels are `first` or later. */
CGE_INLINE MASK FN(fresh)(int32_t from, int32_t first)
{
    MASK lane;
    int32_t i;
    for (i = 0; i < WIDTH; i++) lane[i] = i;
    return lane >= first - from;
}

/* Which lanes of `value` replace `best`: larger ones, and the first NaN (not less and not equal, unless best is one). */
CGE_INLINE MASK FN(better)(VEC value, VEC best)
{
    return ~(value <= best) & (best == best);
}

CGE_INLINE void FN(max_window)(const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *y, int32_t from, int32_t first)
{
    VEC best = LOAD(x + from);
    int32_t i, j;
    (void)dy, (void)first;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) {
            const VEC value = LOAD(x + from + i * s->row + j * s->column);
            best = SELECT(FN(better)(value, best), value, best);
        }
    STORE(y + from, best);
}

/* The tap of the first largest value gets dy: the last one that is better than all before it. */
CGE_INLINE void FN(max_window_taps)(const int apart, const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *dx, int32_t from, int32_t first)
{
    const VEC zero = {0};
    MASK gradient = apart ? (MASK)LOAD(dy + from) : (MASK)LOAD(dy + from) & FN(fresh)(from, first), better[MOST_TAPS];
    VEC best = LOAD(x + from);
    int32_t i, j, tap = 0;
    CGE_LANES_UNROLL for (i = 0; i < rows; i++)
        CGE_LANES_UNROLL for (j = 0; j < columns; j++, tap++) {
            const VEC value = LOAD(x + from + i * s->row + j * s->column);
            better[tap] = FN(better)(value, best);
            best = SELECT(better[tap], value, best);
        }
    CGE_LANES_UNROLL for (i = rows - 1; i >= 0; i--)
        CGE_LANES_UNROLL for (j = columns - 1; j >= 0; j--) {
            float *to = dx + from + i * s->row + j * s->column;
            const MASK here = --tap > 0 ? gradient & better[tap] : gradient;
            STORE(to, (apart ? zero : LOAD(to)) + (VEC)here);
            if (tap > 0) gradient &= ~better[tap];
        }
}

CGE_INLINE void FN(max_window_grad)(const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *dx, int32_t from, int32_t first)
{
    FN(max_window_taps)(0, rows, columns, s, x, dy, dx, from, first);
}

CGE_INLINE void FN(max_window_grad_apart)(const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *dx, int32_t from, int32_t first)
{
    FN(max_window_taps)(1, rows, columns, s, x, dy, dx, from, first);
}

CGE_INLINE void FN(avg_window)(const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *y, int32_t from, int32_t first)
{
    VEC sum = {0};
    int32_t i, j;
    (void)dy, (void)first;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) sum += LOAD(x + from + i * s->row + j * s->column);
    STORE(y + from, sum / (float)(rows * columns));
}

CGE_INLINE void FN(avg_window_grad)(const int32_t rows, const int32_t columns, const pool_steps *s, const float *x, const float *dy, float *dx, int32_t from, int32_t first)
{
    const VEC share = (VEC)((MASK)(LOAD(dy + from) / (float)(rows * columns)) & FN(fresh)(from, first));
    int32_t i, j;
    (void)x;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) {
            float *to = dx + from + i * s->row + j * s->column;
            STORE(to, LOAD(to) + share);
        }
}

/* All windows of one output row. `in` and `out` are the result or the gradient: whichever the pass writes is `result`.
 * 2 x 2 windows, the usual ones, are unrolled. */
#define ROW(name, moves_with_window)                                                                                                        \
    static void FN(name##_row)(const cge_pool2d_plan *p, const pool_steps *s, int32_t rows, const float *x, const float *dy, float *result) \
    {                                                                                                                                       \
        const int32_t channels = p->g.in_c, in_w = p->g.in_w, kernel_w = p->g.kernel_w, columns = p->out_w, stride = p->g.stride_w;         \
        const ptrdiff_t column = s->column;                                                                                                 \
        int32_t ow, c, left = -p->g.pad_left;                                                                                               \
        for (ow = 0; ow < columns; ow++, left += stride) {                                                                                  \
            const int32_t begin = left < 0 ? 0 : left, end = in_w - left < kernel_w ? in_w : left + kernel_w;                               \
            const float *xw = x + begin * column, *dyw = dy + ow * column;                                                                  \
            float *to = result + ((moves_with_window) ? begin : ow) * column;                                                               \
            for (c = 0; c < channels; c += WIDTH) {                                                                                         \
                const int32_t from = c + WIDTH > channels ? channels - WIDTH : c;                                                           \
                if (rows == 2 && end - begin == 2)                                                                                          \
                    FN(name)(2, 2, s, xw, dyw, to, from, c);                                                                                \
                else                                                                                                                        \
                    FN(name)(rows, end - begin, s, xw, dyw, to, from, c);                                                                   \
            }                                                                                                                               \
        }                                                                                                                                   \
    }
ROW(max_window, 0)
ROW(max_window_grad, 1)
ROW(max_window_grad_apart, 1)
ROW(avg_window, 0)
ROW(avg_window_grad, 1)

static const pool_rows FN(pool_rows) = {FN(max_window_row), FN(avg_window_row), FN(max_window_grad_row), FN(max_window_grad_apart_row), FN(avg_window_grad_row)};

#undef VEC
#undef MASK
#undef FN
#undef LOAD
#undef STORE
#undef SELECT
#undef ROW
#undef WIDTH
