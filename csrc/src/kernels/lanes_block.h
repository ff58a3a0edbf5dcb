/*
 * Register blocks for one vector width: included by lanes_sweep.c with WIDTH (floats in a vector) defined. A block is
 * P rows of y by 1 or 2 vectors (F) of k; it stays in registers through the whole sum:
 *
 *                  k ->   w[..][0 .. WIDTH)       w[..][second .. second + WIDTH)
 *     p  x[..][0]         acc[0][0]               acc[0][1]
 *     |  x[..][1]         acc[1][0]               acc[1][1]        P x F multiplications and additions
 *     v  ...              ...                     ...              for P + F loads
 *
 * `second` is WIDTH, or less where k is no multiple of WIDTH: the vectors then overlap, and what both compute is
 * computed and stored twice, with the same bits. Or it leads to the next q.
 */
#define VEC CGE_LANES_JOIN(vec, WIDTH)
#define BLOCK CGE_LANES_JOIN(block, WIDTH)
#define TERM CGE_LANES_JOIN(term, WIDTH)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))

typedef float VEC __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* One term of the sum for the whole block. P, F and wide are constants of each instance: the compiler unrolls over P. */
CGE_INLINE void TERM(const int P, const int F, const int wide, VEC acc[BLOCK_ROWS][2], const float *x, const float *w, ptrdiff_t x_p, ptrdiff_t second)
{
    VEC w0 = LOAD(w), w1 = F == 2 ? LOAD(w + second) : w0;
    int p;
    CGE_LANES_IN_REGISTER(w0);
    if (F == 2) CGE_LANES_IN_REGISTER(w1);
    CGE_LANES_UNROLL for (p = 0; p < P; p++)
        if (wide) {
            acc[p][0] = CGE_LANES_MADD(acc[p][0], LOAD(x + p * x_p), w0);
            if (F == 2) acc[p][1] = CGE_LANES_MADD(acc[p][1], LOAD(x + p * x_p + second), w1);
        } else {
            acc[p][0] = CGE_LANES_MADD(acc[p][0], x[p * x_p], w0);
            if (F == 2) acc[p][1] = CGE_LANES_MADD(acc[p][1], x[p * x_p], w1);
        }
}

/* The sum of one q. */
CGE_INLINE void BLOCK(const int P, const int F, const int wide, const cge_sweep *s, const block_sum *t, const float *x, const float *w, const float *start, float *y)
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
        for (d = s->d; d > 0; d--, xp += x_d, wp += w_d) TERM(P, F, wide, acc, xp, wp, x_p, second);
    }
    CGE_LANES_UNROLL for (p = 0; p < P; p++) {
        STORE(y + p * s->y_p, acc[p][0]);
        if (F == 2) STORE(y + p * s->y_p + t->second_y, acc[p][1]);
    }
}

#define NAME_(width, p, f, wide) block##width##_##p##_##f##_##wide
#define NAME(width, p, f, wide) NAME_(width, p, f, wide)
#define INSTANCE(rows, f, wide)                                                                                    \
    static void NAME(WIDTH, rows, f, wide)(const cge_sweep *s, const block_sum *t, const float *x, const float *w, \
                                           const float *start, float *y)                                           \
    {                                                                                                              \
        int32_t left = t->blocks;                                                                                  \
        for (;;) {                                                                                                 \
            BLOCK(rows, f, wide, s, t, x, w, start, y);                                                            \
            if (--left == 0) return;                                                                               \
            x += t->next_x, w += t->next_w, y += t->next_y;                                                        \
            if (start != NULL) start += t->next_start;                                                             \
        }                                                                                                          \
    }
#define FEW(f, wide) INSTANCE(1, f, wide) INSTANCE(2, f, wide) INSTANCE(3, f, wide) INSTANCE(4, f, wide)
#define MANY(f, wide) INSTANCE(5, f, wide) INSTANCE(6, f, wide) INSTANCE(7, f, wide) INSTANCE(8, f, wide)
FEW(1, 0)
FEW(2, 0)
FEW(1, 1)
FEW(2, 1)
MANY(1, 1)
MANY(2, 1)

/* For the addresses of many rows of x GCC 12 would keep so many multiples of x_p that, of 16 registers on x86-64, it puts
 * other variables into vector registers, from which they come back late. Without, forward 1 to 8, 28x28, gains 7 %. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-ivopts")
#endif
MANY(1, 0)
MANY(2, 0)
#if CGE_LANES_REGISTERS >= 32
INSTANCE(9, 1, 0)
INSTANCE(10, 1, 0)
INSTANCE(11, 1, 0)
INSTANCE(12, 1, 0)
INSTANCE(13, 1, 0)
INSTANCE(14, 1, 0)
#endif
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

#define ROW(f, wide)                                                                                            \
    NAME(WIDTH, 1, f, wide), NAME(WIDTH, 2, f, wide), NAME(WIDTH, 3, f, wide), NAME(WIDTH, 4, f, wide),         \
    NAME(WIDTH, 5, f, wide), NAME(WIDTH, 6, f, wide), NAME(WIDTH, 7, f, wide), NAME(WIDTH, 8, f, wide)
#if CGE_LANES_REGISTERS >= 32
#define MORE_ROWS                                                                                               \
    , NAME(WIDTH, 9, 1, 0), NAME(WIDTH, 10, 1, 0), NAME(WIDTH, 11, 1, 0),                                       \
    NAME(WIDTH, 12, 1, 0), NAME(WIDTH, 13, 1, 0), NAME(WIDTH, 14, 1, 0)
#else
#define MORE_ROWS
#endif

/* [wide][F - 1][P - 1] */
static block_fn *const CGE_LANES_JOIN(blocks, WIDTH)[2][2][BLOCK_ROWS] = {{{ROW(1, 0) MORE_ROWS}, {ROW(2, 0)}}, {{ROW(1, 1)}, {ROW(2, 1)}}};

#undef VEC
#undef BLOCK
#undef TERM
#undef LOAD
#undef STORE
#undef NAME_
#undef NAME
#undef INSTANCE
#undef FEW
#undef MANY
#undef ROW
#undef MORE_ROWS
#undef WIDTH
