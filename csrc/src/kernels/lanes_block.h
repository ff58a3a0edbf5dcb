/*
 * Register blocks for one vector width: included by lanes_sweep.c with WIDTH (floats in a vector) defined. A block is
 * P rows of y by 1 or 2 vectors (F) of k; it stays in registers through the whole sum:
 *
 *                  k ->   w[..][0 .. WIDTH)       w[..][second .. second + WIDTH)
 *     p  x[..][0]         acc[0][0]               acc[0][1]
 *     |  x[..][1]         acc[1][0]               acc[1][1]        P x F multiplications and additions
 *     v  ...              ...                     ...              for P + F loads
 *
 * Depthwise (X_VECTORS), a row has vectors of x. Where rows share x and have vectors of w instead (W_VECTORS), a block
 * takes one number of x and P x F vectors of w.
 *
 * `second` is WIDTH, or less where k is no multiple of WIDTH: the vectors then overlap, and what both compute is
 * computed and stored twice, with the same bits. Or it leads to the next q.
 */
#define VEC CGE_LANES_JOIN(vec, WIDTH)
#define BLOCK CGE_LANES_JOIN(block, WIDTH)
#define WBLOCK CGE_LANES_JOIN(wblock, WIDTH)
#define TERM CGE_LANES_JOIN(term, WIDTH)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))

typedef float VEC __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* One term of the sum for the whole block. P, F and what are constants of each instance: the compiler unrolls over P. */
CGE_INLINE void TERM(const int P, const int F, const int what, VEC acc[BLOCK_ROWS][2], const float *x, const float *w, ptrdiff_t x_p, ptrdiff_t second)
{
    VEC w0 = LOAD(w), w1 = F == 2 ? LOAD(w + second) : w0;
    int p;
    CGE_LANES_IN_REGISTER(w0);
    if (F == 2) CGE_LANES_IN_REGISTER(w1);
    CGE_LANES_UNROLL for (p = 0; p < P; p++)
        if (what == X_VECTORS) {
            acc[p][0] = CGE_LANES_MADD(acc[p][0], LOAD(x + p * x_p), w0);
            if (F == 2) acc[p][1] = CGE_LANES_MADD(acc[p][1], LOAD(x + p * x_p + second), w1);
        } else {
            acc[p][0] = CGE_LANES_MADD(acc[p][0], x[p * x_p], w0);
            if (F == 2) acc[p][1] = CGE_LANES_MADD(acc[p][1], x[p * x_p], w1);
        }
}

/* The sum of one q. */
CGE_INLINE void BLOCK(const int P, const int F, const int what, const cge_sweep *s, const block_sum *t, const float *x, const float *w, const float *start, float *y)
{
    VEC acc[BLOCK_ROWS][2];
    const ptrdiff_t x_p = s->x_p, x_d = s->x_d, w_d = s->w_d, second = t->second_w;
    const segment *piece, *end = t->segments + t->count;
    int p;
    CGE_LANES_UNROLL for (p = 0; p < P; p++) {
        acc[p][0] = acc[p][F - 1] = (VEC){0};
        if (start != NULL) {
            acc[p][0] = LOAD(start + p * s->start_p);
            if (F == 2) acc[p][1] = LOAD(start + p * s->start_p + t->second_start);
        }
    }
    for (piece = t->segments; piece < end; piece++) {
        const float *xp = x + piece->x, *wp = w + piece->w;
        int32_t d;
        for (d = s->d; d > 0; d--, xp += x_d, wp += w_d) TERM(P, F, what, acc, xp, wp, x_p, second);
    }
    CGE_LANES_UNROLL for (p = 0; p < P; p++) {
        STORE(y + p * s->y_p, acc[p][0]);
        if (F == 2) STORE(y + p * s->y_p + t->second_y, acc[p][1]);
    }
}

/* Rows with vectors of w: one segment. All results of a call, since windows wait for each other. */
CGE_INLINE void WBLOCK(const int P, const int F, const cge_sweep *s, const block_sum *t, const float *x, const float *w, const float *start, float *y)
{
    const ptrdiff_t x_d = s->x_d, w_d = s->w_d, w_p = s->w_p, start_p = s->start_p, y_p = s->y_p;
    const ptrdiff_t second_w = t->second_w, second_start = t->second_start, second_y = t->second_y;
    const ptrdiff_t next_x = t->next_x, next_w = t->next_w, next_start = t->next_start, next_y = t->next_y;
    const int32_t terms = s->d;
    int32_t left, d;
    int p;
    for (left = t->blocks; left > 0; left--, x += next_x, w += next_w, start += next_start, y += next_y) {
        VEC acc[BLOCK_ROWS][2];
        const float *xp = x, *wp = w;
        CGE_LANES_UNROLL for (p = 0; p < P; p++) {
            acc[p][0] = LOAD(start + p * start_p);
            if (F == 2) acc[p][1] = LOAD(start + p * start_p + second_start);
        }
        for (d = terms; d > 0; d--, xp += x_d, wp += w_d)
            CGE_LANES_UNROLL for (p = 0; p < P; p++) {
                acc[p][0] = CGE_LANES_MADD(acc[p][0], *xp, LOAD(wp + p * w_p));
                if (F == 2) acc[p][1] = CGE_LANES_MADD(acc[p][1], *xp, LOAD(wp + p * w_p + second_w));
            }
        CGE_LANES_UNROLL for (p = 0; p < P; p++) {
            STORE(y + p * y_p, acc[p][0]);
            if (F == 2) STORE(y + p * y_p + second_y, acc[p][1]);
        }
    }
}

#define NAME_(width, p, f, what) block##width##_##p##_##f##_##what
#define NAME(width, p, f, what) NAME_(width, p, f, what)
#define INSTANCE(rows, f, what)                                                                                    \
    static void NAME(WIDTH, rows, f, what)(const cge_sweep *s, const block_sum *t, const float *x, const float *w, \
                                           const float *start, float *y)                                           \
    {                                                                                                              \
        int32_t left = t->blocks;                                                                                  \
        for (;;) {                                                                                                 \
            BLOCK(rows, f, what, s, t, x, w, start, y);                                                            \
            if (--left == 0) return;                                                                               \
            x += t->next_x, w += t->next_w, y += t->next_y;                                                        \
            if (start != NULL) start += t->next_start;                                                             \
        }                                                                                                          \
    }
#define INSTANCES(f, what)                                                                      \
    INSTANCE(1, f, what) INSTANCE(2, f, what) INSTANCE(3, f, what) INSTANCE(4, f, what)         \
    INSTANCE(5, f, what) INSTANCE(6, f, what) INSTANCE(7, f, what) INSTANCE(8, f, what)
INSTANCES(1, X_NUMBERS)
INSTANCES(2, X_NUMBERS)
INSTANCES(1, X_VECTORS)
INSTANCES(2, X_VECTORS)
#define ROW(f, what)                                                                                            \
    NAME(WIDTH, 1, f, what), NAME(WIDTH, 2, f, what), NAME(WIDTH, 3, f, what), NAME(WIDTH, 4, f, what),         \
    NAME(WIDTH, 5, f, what), NAME(WIDTH, 6, f, what), NAME(WIDTH, 7, f, what), NAME(WIDTH, 8, f, what)
#if CGE_LANES_REGISTERS >= 32
INSTANCE(9, 1, X_NUMBERS)
INSTANCE(10, 1, X_NUMBERS)
INSTANCE(11, 1, X_NUMBERS)
INSTANCE(12, 1, X_NUMBERS)
INSTANCE(13, 1, X_NUMBERS)
INSTANCE(14, 1, X_NUMBERS)
#define MORE_ROWS                                                                                               \
    , NAME(WIDTH, 9, 1, X_NUMBERS), NAME(WIDTH, 10, 1, X_NUMBERS), NAME(WIDTH, 11, 1, X_NUMBERS),                                  \
    NAME(WIDTH, 12, 1, X_NUMBERS), NAME(WIDTH, 13, 1, X_NUMBERS), NAME(WIDTH, 14, 1, X_NUMBERS)
#else
#define MORE_ROWS
#endif
#undef INSTANCE
#define INSTANCE(rows, f, what)                                                                                    \
    static void NAME(WIDTH, rows, f, what)(const cge_sweep *s, const block_sum *t, const float *x, const float *w, \
                                           const float *start, float *y)                                           \
    {                                                                                                              \
        WBLOCK(rows, f, s, t, x, w, start, y);                                                                     \
    }
INSTANCES(1, W_VECTORS)
INSTANCES(2, W_VECTORS)

/* [what][F - 1][P - 1] */
static block_fn *const CGE_LANES_JOIN(blocks, WIDTH)[3][2][BLOCK_ROWS] = {
    {{ROW(1, X_NUMBERS) MORE_ROWS}, {ROW(2, X_NUMBERS)}}, {{ROW(1, X_VECTORS)}, {ROW(2, X_VECTORS)}}, {{ROW(1, W_VECTORS)}, {ROW(2, W_VECTORS)}}};

#undef VEC
#undef BLOCK
#undef WBLOCK
#undef TERM
#undef LOAD
#undef STORE
#undef NAME_
#undef NAME
#undef INSTANCE
#undef INSTANCES
#undef ROW
#undef MORE_ROWS
#undef WIDTH
