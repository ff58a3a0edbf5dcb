/* Pooling with one vector width: included by pool2d_lanes.c with WIDTH defined. Channels are taken WIDTH at a time; the
 * last vector moves back to end with them, so some are computed twice. Where a result is added, those count once:
 * `fresh` masks them to +0, which changes no sum that began with +0. Windows that do not overlap have all that is added
 * to an element at once: there it is assigned, as 0 + dy, which is not dy if that is -0.
 * Where there are fewer channels than WIDTH, a vector hangs over into the next pixel, which is written to later. */
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
    CGE_LANES_UNROLL for (i = 0; i < rows; i++)
        CGE_LANES_UNROLL for (j = i == 0; j < columns; j++) {
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
    int32_t i, j, tap = 1;
    CGE_LANES_UNROLL for (i = 0; i < rows; i++)
        CGE_LANES_UNROLL for (j = i == 0; j < columns; j++, tap++) {
            const VEC value = LOAD(x + from + i * s->row + j * s->column);
            better[tap] = FN(better)(value, best);
            best = SELECT(better[tap], value, best);
        }
    CGE_LANES_UNROLL for (tap = rows * columns - 1; tap > 0; tap--) {
        const MASK here = better[tap];
        better[tap] &= gradient;
        gradient &= ~here;
    }
    better[0] = gradient;
    CGE_LANES_UNROLL for (i = 0; i < rows; i++)
        CGE_LANES_UNROLL for (j = 0; j < columns; j++, tap++) {
            float *to = dx + from + i * s->row + j * s->column;
            STORE(to, (apart ? zero : LOAD(to)) + (VEC)better[tap]);
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

/* Windows of one row, each with `rows` x `columns` taps. 2 x 2, the usual ones, are unrolled. */
#define WINDOWS(name)                                                                                                                 \
    CGE_INLINE void FN(name##s_of)(const int32_t rows, const int32_t columns, const pool_steps *s, int32_t count, const float *x,     \
                                   const float *dy, float *result)                                                                    \
    {                                                                                                                                 \
        const int32_t channels = s->channels;                                                                                         \
        int32_t c;                                                                                                                    \
        for (; count > 0; count--, x += s->next_x, dy += s->next_dy, result += s->next_result)                                        \
            for (c = 0; c < channels; c += WIDTH)                                                                                     \
                FN(name)(rows, columns, s, x, dy, result, c > 0 && c + WIDTH > channels ? channels - WIDTH : c, c);                   \
    }                                                                                                                                 \
    static void FN(name##s)(int32_t rows, int32_t columns, const pool_steps *s, int32_t count, const float *x, const float *dy,       \
                            float *result)                                                                                            \
    {                                                                                                                                 \
        const pool_steps steps = *s; /* in registers: the compiler cannot know that the result is not part of *s */                   \
        if (rows == 2 && columns == 2)                                                                                                \
            FN(name##s_of)(2, 2, &steps, count, x, dy, result);                                                                       \
        else                                                                                                                          \
            FN(name##s_of)(rows, columns, &steps, count, x, dy, result);                                                              \
    }
WINDOWS(max_window)
WINDOWS(max_window_grad)
WINDOWS(max_window_grad_apart)
WINDOWS(avg_window)
WINDOWS(avg_window_grad)

static pool_fn *const FN(pool_passes)[POOL_PASSES] = {FN(max_windows), FN(avg_windows), FN(max_window_grads), FN(max_window_grad_aparts), FN(avg_window_grads)};

#undef VEC
#undef MASK
#undef FN
#undef LOAD
#undef STORE
#undef SELECT
#undef WINDOWS
#undef WIDTH
