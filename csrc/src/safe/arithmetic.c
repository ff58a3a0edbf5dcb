/* Which arithmetic this is, told by the bits of a walk through every kind of it. */
#include "../kernels/kernels.h"

#include "../base/elementary.h"
#include "../base/fp_mode.h"
#include "../base/hash.h"

/* What the walk gives in exact builds and in fused ones, on every target. */
#define WALK_HASH_EXACT 0x12844482c8425606
#define WALK_HASH_FUSED 0xd774428dc7b69a24

enum { WALK_ROOM = 48 };

typedef struct arithmetic_walk {
    cge_rng rng;
    uint64_t hash;
    cge_real x[WALK_ROOM], w[WALK_ROOM], y[WALK_ROOM], d[WALK_ROOM];
} arithmetic_walk;

/* Numbers of full precision in [-scale, scale). */
static void draw_operands(arithmetic_walk *a, cge_real *x, cge_real scale)
{
    int32_t i;
    for (i = 0; i < WALK_ROOM; i++) x[i] = (CGE_REAL(cge_rng_next(&a->rng) >> 8) * CGE_REAL(0x1p-23) - CGE_REAL(1)) * scale;
}

static void draw_all_operands(arithmetic_walk *a, cge_real scale)
{
    draw_operands(a, a->x, scale);
    draw_operands(a, a->w, scale);
    draw_operands(a, a->d, scale);
}

static void note_results(arithmetic_walk *a, int32_t n, const cge_real *x)
{
    a->hash = cge_hash_reals(a->hash, n, x);
}

/* Elementary functions; exp and its arguments reach from where results are subnormal to where they are large. */
static void walk_functions(arithmetic_walk *a)
{
    int32_t i;
    draw_operands(a, a->x, CGE_REAL(88));
    for (i = 0; i < WALK_ROOM; i++) {
        a->w[i] = cge_exp(a->x[i] - CGE_REAL(12));
        a->y[i] = cge_log(a->w[i]);
        a->d[i] = cge_sqrt(a->w[i]) + cge_tanh(a->x[i] * CGE_REAL(0x1p-6));
    }
    note_results(a, WALK_ROOM, a->w);
    note_results(a, WALK_ROOM, a->y);
    note_results(a, WALK_ROOM, a->d);
}

/* Sums of products, in a row and in eight parts. */
static void walk_dense(arithmetic_walk *a, cge_real scale)
{
    enum { FEW = 2, MANY = 19 };
    const cge_range inputs = {0, FEW};
    draw_all_operands(a, scale);
    cge_run_dense_forward(MANY, FEW, 1, a->x, a->w, a->d, a->y);
    note_results(a, FEW, a->y);
    cge_run_dense_forward(FEW, MANY, 1, a->x, a->w, NULL, a->y);
    note_results(a, MANY, a->y);
    cge_run_dense_input_grad(FEW, MANY, 1, a->w, a->d, a->y);
    note_results(a, FEW, a->y);
    cge_run_dense_weight_grad(FEW, MANY, 1, a->x, a->d, a->w, inputs, 1);
    cge_run_dense_bias_grad(FEW, WALK_ROOM / FEW, a->d, a->w);
    note_results(a, FEW * MANY, a->w);
}

static void walk_conv2d(arithmetic_walk *a)
{
    static const cge_conv2d_plan plan = {{3, 3, 2, 4, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 1}, 3, 3, 2, 4, 8, 32};
    const cge_range rows = {0, 3}, kernel_rows = {0, 2};
    draw_all_operands(a, CGE_REAL(1));
    cge_run_conv2d_forward(&plan, a->x, a->w, a->d, a->y, rows);
    note_results(a, 36, a->y);
    cge_run_conv2d_input_grad(&plan, a->w, a->d, a->y, rows);
    note_results(a, 18, a->y);
    cge_run_conv2d_weight_grad(&plan, a->x, a->d, a->w, rows, kernel_rows);
    cge_run_conv2d_bias_grad(&plan, a->d, a->w, rows);
    note_results(a, 32, a->w);
}

/* Windows of 4, 6 and 9 elements: divisions. */
static void walk_pooling(arithmetic_walk *a)
{
    static const cge_pool2d_plan plan = {{4, 5, 2, 3, 3, 1, 1, 1, 1, 1, 1, 0}, 4, 5};
    const cge_range rows = {0, 4};
    draw_all_operands(a, CGE_REAL(3));
    cge_run_avgpool2d_forward(&plan, a->x, a->y, rows);
    cge_run_avgpool2d_input_grad(&plan, a->d, a->w);
    note_results(a, 40, a->y);
    note_results(a, 40, a->w);
    cge_run_maxpool2d_forward(&plan, a->x, a->y, rows);
    cge_run_maxpool2d_input_grad(&plan, a->x, a->d, a->w);
    note_results(a, 40, a->y);
    note_results(a, 40, a->w);
}

/* Activations, losses and the optimiser's step: quotients, sums of exponentials, scaled sums. */
static void walk_elementwise(arithmetic_walk *a)
{
    static const cge_optimizer optimizer = {.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = 1};
    cge_real loss[2];
    draw_all_operands(a, CGE_REAL(3));
    a->x[0] = -CGE_REAL(0);
    cge_sigmoid_apply(WALK_ROOM, a->x, a->y);
    cge_sigmoid_grad(WALK_ROOM, a->y, a->d, a->w);
    note_results(a, WALK_ROOM, a->w);
    cge_tanh_apply(WALK_ROOM, a->x, a->y);
    cge_tanh_grad(WALK_ROOM, a->y, a->d, a->w);
    note_results(a, WALK_ROOM, a->w);
    cge_leaky_relu_apply(WALK_ROOM, CGE_REAL(0.01), a->x, a->y);
    note_results(a, WALK_ROOM, a->y);
    loss[0] = cge_softmax_cross_entropy_loss(11, a->x, 3);
    loss[1] = cge_mean_squared_error_loss(11, a->x, a->d);
    note_results(a, 2, loss);
    cge_softmax_cross_entropy_grad(11, a->x, 3, a->y);
    cge_mean_squared_error_grad(11, a->x, a->d, a->y + 11);
    note_results(a, 22, a->y);
    cge_run_sgd(WALK_ROOM, &optimizer, CGE_REAL(1) / CGE_REAL(3), a->d, a->w, a->x);
    note_results(a, WALK_ROOM, a->w);
    note_results(a, WALK_ROOM, a->x);
}

/* What is no number is seen, and the largest and smallest are numbers. The sum of all does not overflow: that might trap. */
static void walk_specials(arithmetic_walk *a)
{
    static const cge_real_bits specials[] = {CGE_NAN_BITS, CGE_INFINITY_BITS, CGE_INFINITY_BITS - 1, CGE_SIGN_BIT, 1};
    int32_t i;
    draw_operands(a, a->x, CGE_REAL(0x1p96));
    for (i = 0; i < 5; i++) {
        const cge_real keep = a->x[7 * i], special = cge_real_of(specials[i]);
        a->x[7 * i] = special;
        a->y[i] = CGE_REAL(cge_run_all_below(WALK_ROOM, a->x, CGE_INFINITY_BITS) != 0);
        a->x[7 * i] = keep;
        a->w[i] = cge_exp(special);
    }
    note_results(a, 5, a->y);
    note_results(a, 5, a->w);
}

int32_t cge_check_arithmetic(void)
{
    CGE_OWN_FP_MODE
    volatile uint64_t seed = 1; /* or a compiler might take the walk in its own arithmetic */
    arithmetic_walk a;
    a.hash = CGE_HASH_BASIS;
    (void)!cge_rng_seed(&a.rng, seed);
    walk_functions(&a);
    walk_dense(&a, CGE_REAL(1));
    walk_dense(&a, CGE_REAL(0x1p-64)); /* products are subnormal, sums too */
    walk_conv2d(&a);
    walk_pooling(&a);
    walk_elementwise(&a);
    walk_specials(&a);
    if (a.hash == WALK_HASH_EXACT) return CGE_ARITHMETIC_EXACT;
    return a.hash == WALK_HASH_FUSED ? CGE_ARITHMETIC_CONTRACTED : CGE_ARITHMETIC_OTHER;
}
