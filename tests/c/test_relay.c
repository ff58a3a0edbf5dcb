/*
 * Units that run by rows through all of them (csrc/src/net/relay.c), or by groups of channels (block.c): whatever the relays
 * and blocks are, the bits are those of the units one by one, in the plan's memory and not a byte more, whatever the arena held
 * before. Units that cannot work so are refused. The same holds where masks take the place of outputs (masks.c).
 */
#include "check.h"
#include "models.h"
#include "suites.h"
#include "relayed_net.h"

enum { RELAYS = 24, BLOCKS = 10 };
enum { STEEP = CHECK_FEWER ? 10 : 80 };

static int32_t steep_steps, refused_steps;

static const cge_layer separable[] = {
    FROZEN(4, 3, 2, 1, .groups = 1), PLAIN(relu), FROZEN(4, 3, 1, 1, .groups = 4), PLAIN(relu), FROZEN(6, 1, 1, 0, .groups = 1), PLAIN(relu),
    FROZEN(6, 3, 2, 1, .groups = 6), PLAIN(relu), FROZEN(3, 1, 1, 0, .groups = 1), PLAIN(relu), MEAN, DENSE(3, 0, 0)};
static const cge_layer residual[] = {
    FROZEN(3, 3, 1, 1, .groups = 1), PLAIN(relu),                                                            /*  0 */
    FROZEN(3, 3, 1, 1, .groups = 1), PLAIN(relu), FROZEN(3, 3, 1, 1, .groups = 1), ADD(0, 2), PLAIN(relu),   /*  2: its skip is row 1 */
    FROZEN(4, 3, 2, 1, .groups = 1), PLAIN(relu), FROZEN(4, 3, 1, 1, .groups = 1),                           /*  7 */
    FROZEN_OF(7, 4, 1, 2), ADD(10, 11), PLAIN(relu),                                            /* 10: reads row 6 */
    MEAN, DENSE(3, 0, 0)};
static const cge_layer long_skip[] = { /* past strides, to a sum and beside it */
    FROZEN(2, 3, 1, 1, .groups = 1), PLAIN(relu), FROZEN(3, 3, 1, 1, .groups = 1), FROZEN(3, 5, 3, 2, .dilation_h = 1), PLAIN(tanh),
    FROZEN(2, 3, 1, 2, FAR_APART),
    FROZEN_OF(2, 2, 1, 3), ADD(0, 6), {.kind = &cge_kind_concat, .from = {0, 6}}, CONV2D(3, 3, 1, 1, .groups = 1), DENSE(2, 0, 0)};
static const cge_layer pooled[] = {
    FROZEN(3, 5, 1, 2, .groups = 1), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), FROZEN(4, 3, 1, 1, .groups = 1), PLAIN(relu),
    POOL(maxpool2d, 2, 1, 0, 0, 0, 0, 0, 0), FROZEN(2, 3, 1, 1, .groups = 1), LEAKY(0.5f), ADD(0, 0), DENSE(3, 0, 0)};
static const cge_layer learning[] = { /* wide enough to learn some channels at a time, with an input that is read twice */
    CONV2D(6, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(7, 3, 1, 1, .groups = 1), CONV2D_OF(2, 7, 1, 1), ADD(0, 3), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer means[] = { /* one of what is read once, one of what is read twice */
    CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(4, 3, 1, 1, .groups = 1), LEAKY(0.5f), MEAN, {.kind = &cge_kind_global_avgpool2d, .from = {2, 0}},
    ADD(0, 5), DENSE(3, 0, 0)};
static const cge_layer of_the_input[] = { /* read by the first unit and by a sum, which lies in no place of another */
    FROZEN(2, 3, 1, 1, .groups = 1), ADD(0, CGE_INPUT), FROZEN(2, 3, 1, 1, .groups = 1), ADD(2, 0), PLAIN(flatten), DENSE(3, CGE_FROZEN, 0)};
static const cge_layer passing[] = { /* rows that are passed on: past a stride, past padding, to a mean */
    FROZEN(5, 3, 1, 1, .groups = 1), PLAIN(relu), FROZEN(4, 1, 1, 0, .groups = 1), FROZEN(9, 1, 2, 0, .groups = 1), PLAIN(tanh),
    FROZEN(3, 1, 1, 0, .groups = 1), FROZEN(4, 1, 1, 1, .groups = 1), FROZEN(2, 1, 1, 0, .groups = 1), MEAN, DENSE(3, 0, 0)};
static const cge_layer not_passing[] = { /* a pooled row looks at two, 3x3 at three; a sum's first row waits */
    FROZEN(3, 3, 1, 1, .groups = 1), FROZEN(4, 1, 1, 0, .groups = 1), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    FROZEN(3, 1, 1, 0, .groups = 1), FROZEN(3, 3, 1, 0, .groups = 1),                                    /* 4, 5 */
    FROZEN(3, 1, 1, 0, .groups = 1), FROZEN_OF(6, 4, 1, 1), FROZEN(3, 1, 1, 0, .groups = 1), ADD(7, 9), /* 6 to 9 */
    FROZEN(2, 1, 1, 0, .groups = 1), MEAN, DENSE(3, 0, 0)};

static const test_model learns_all = MODEL("all of it learns", 2, 3, 1, learning, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0);
static const test_model means_learn = MODEL("means learn", 5, 4, 1, means, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0);
static const cge_layer flattened_between[] = {
    FROZEN(2, 3, 1, 1, .groups = 1), PLAIN(flatten), FROZEN(3, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
static const test_model renamed = MODEL("renamed between", 4, 3, 1, flattened_between, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0);
static const cge_layer one_convolution = CONV2D(2, 1, 1, 0, .groups = 1);
static const test_model relayed[] = {
    MODEL("separable", 15, 6, 2, separable, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("residual", 11, 9, 2, residual, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("a long skip", 13, 10, 1, long_skip, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("pooled", 13, 8, 1, pooled, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("of the input", 7, 6, 2, of_the_input, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("passing", 9, 5, 2, passing, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    {"bytes, passing", {{9, 5, 2}, TABLE(passing), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0, 0, 0}, &cge_input_u8,
                        0x1p-8f, 0}},
    MODEL("not passing", 12, 10, 2, not_passing, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    {"bytes", {{15, 6, 2}, TABLE(separable), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0, 0, 0}, &cge_input_u8, 0x1p-8f, 3}},
    {"bytes, pooled", {{13, 8, 1}, TABLE(pooled), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0, 0, 0}, &cge_input_u8, 0x1p-8f, 0}},
};

/* What learns in blocks. */
static const cge_layer separable_learns[] = { /* strides, dilation, a kernel wider than its image */
    CONV2D(11, 3, 2, 1, .groups = 1), PLAIN(relu), CONV2D(11, 3, 1, 1, .groups = 11), LEAKY(0.5f),
    CONV2D(6, 1, 1, 0, .groups = 1),
    CONV2D(6, 3, 2, 2, SIX_FAR_APART), PLAIN(tanh), CONV2D(18, 1, 1, 0, .groups = 1), PLAIN(relu),
    CONV2D(18, 5, 1, 2, .groups = 18), CONV2D(4, 1, 1, 0, .groups = 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer inverted[] = { /* skips around blocks: their dx is added to what is there, or their y is read twice */
    CONV2D(3, 3, 1, 1, .groups = 1), PLAIN(relu),                                                                   /*  0 */
    NO_BIAS(12, 1, 1, 0, .groups = 1), PLAIN(relu6), NO_BIAS(12, 3, 1, 1, .groups = 12), PLAIN(relu6),              /*  2 */
    NO_BIAS(3, 1, 1, 0, .groups = 1),                                                                               /*  6 */
    ADD(0, 2), PLAIN(relu),                                                                                         /*  7 */
    CONV2D(9, 1, 1, 0, .groups = 1), PLAIN(relu), CONV2D(9, 3, 2, 1, .groups = 9), PLAIN(relu),                     /*  9 */
    CONV2D(4, 1, 1, 0, .groups = 1), PLAIN(relu),                                                                   /* 13 */
    CONV2D(4, 3, 1, 1, .groups = 4), CONV2D(4, 1, 1, 0, .groups = 1), ADD(15, 17), PLAIN(relu), DENSE(3, 0, 0)};    /* 15 */
static const cge_layer of_two_channels[] = { /* a group's weights are two runs */
    CONV2D(2, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(12, 1, 1, 0, .groups = 1), PLAIN(relu),
    CONV2D(12, 3, 1, 1, .groups = 12), PLAIN(relu), CONV2D(2, 1, 1, 0, .groups = 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer some_learn[] = { /* biases alone, and what stays */
    FROZEN(4, 3, 1, 1, .groups = 1), PLAIN(relu), BIASES(10, 3, 1, 1, .groups = 1), PLAIN(relu),
    FROZEN(10, 3, 1, 1, .groups = 10), PLAIN(relu), BIASES(5, 1, 1, 0, .groups = 1), PLAIN(relu),
    BIASES(5, 3, 2, 1, .groups = 5), PLAIN(relu), FROZEN(7, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
static const cge_layer block_reads_last[] = { /* what a convolution and a sum read before it */
    CONV2D(3, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 1), ADD(0, 2),            /* 0: the sum reads row 1 */
    {.kind = &cge_kind_conv2d, WEIGHTED(3, 3, 1, 1, .groups = 3), .from = {2, 0}}, PLAIN(relu), CONV2D(3, 1, 1, 0, .groups = 1),
    ADD(0, 4), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 3), CONV2D(2, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
static const test_model blocked[] = {
    MODEL("a block reads last", 6, 5, 1, block_reads_last, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("separable, all learns", 11, 10, 2, separable_learns, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0.01f, 0),
    {"inverted residuals", {{8, 7, 2}, TABLE(inverted), &cge_softmax_cross_entropy,
                            ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-8f), NULL, 0, 0}},
    {"always tried", {{8, 7, 2}, TABLE(inverted), &cge_mean_squared_error, ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-20f),
                      NULL, 0, 0}},
    MODEL("two channels", 5, 6, 1, of_two_channels, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("some learn", 9, 8, 2, some_learn, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
};
static const cge_layer steep[] = { /* without activations: each factor is in the gradients before it */
    CONV2D(3, 3, 1, 1, .groups = 1), CONV2D(9, 1, 1, 0, .groups = 1), CONV2D(9, 3, 1, 1, .groups = 9),
    CONV2D(3, 1, 1, 0, .groups = 1), CONV2D(3, 3, 1, 1, .groups = 3), CONV2D(4, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
static const test_model steep_net = MODEL("steep", 5, 4, 1, steep, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0);

/* What forgets outputs, since only biases learn. */
#define BIASES_OF(row, filters, size, stride) \
    {.kind = &cge_kind_conv2d, WEIGHTED(filters, size, stride, 0, .groups = 1), .trains = CGE_TRAINS_BIAS, .from = {row, 0}}
#define DENSE_BIASES(units) {.kind = &cge_kind_dense, DENSE_CONFIG(units), .trains = CGE_TRAINS_BIAS}
static const cge_layer biases_residual[] = { /* skips to sums: around two, around one, past a stride */
    BIASES(3, 3, 1, 1, .groups = 1), PLAIN(relu),                                                                /*  0 */
    BIASES(3, 3, 1, 1, .groups = 1), PLAIN(relu6), BIASES(3, 3, 1, 1, .groups = 1), ADD(0, 2), PLAIN(relu),      /*  2 */
    BIASES(3, 3, 1, 1, .groups = 1), ADD(7, 0), PLAIN(relu),                                                     /*  7 */
    BIASES(4, 3, 2, 1, .groups = 1), PLAIN(relu), BIASES(4, 3, 1, 1, .groups = 1),                               /* 10 */
    BIASES_OF(10, 4, 1, 2), ADD(13, 14), PLAIN(relu6),                                                           /* 13 */
    MEAN, DENSE_BIASES(3)};
static const cge_layer biases_chain[] = { /* pooled, flattened; what keeps x, and what is no ReLU, among what does not */
    BIASES(5, 3, 1, 1, .groups = 1), PLAIN(relu), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), BIASES(3, 3, 1, 1, .groups = 1),
    FROZEN(5, 1, 1, 0, .groups = 1), PLAIN(relu6), POOL(avgpool2d, 2, 2, 0, 0, 0, 0, 0, 0),
    BIASES(5, 3, 1, 1, .groups = 5), PLAIN(tanh),
    CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu), PLAIN(flatten), DENSE_BIASES(7), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer biases_of_both[] = { /* channels side by side, a sum of a sum, one whose inputs are both read again */
    BIASES(2, 3, 1, 1, .groups = 1), PLAIN(relu), BIASES(2, 3, 1, 1, .groups = 1), PLAIN(relu),
    ADD(2, 0), ADD(2, 5), PLAIN(relu6),
    {.kind = &cge_kind_concat, .from = {0, 4}}, BIASES(4, 1, 1, 0, .groups = 1), ADD(8, 9), PLAIN(relu), DENSE_BIASES(3)};
static const test_model forgetting[] = {
    MODEL("biases, residual", 9, 8, 2, biases_residual, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("biases, a chain", 13, 12, 2, biases_chain, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("biases, of both", 6, 5, 1, biases_of_both, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    {"biases, bytes", {{9, 8, 2}, TABLE(biases_residual), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0, 0, 0},
                       &cge_input_u8, 0x1p-8f, 3}},
};

/* Runs of units at random, as many as can work so. 0: none. */
static int force_relays(relayed_net *n, uint32_t seed)
{
    cge_plan *plan = &n->plan;
    cge_unit *units = (cge_unit *)(uintptr_t)plan->units;
    int32_t forced = 0;
    for (int32_t u = 0; u < plan->unit_count; u++) units[u].style = 0;
    for (int32_t begin = 0; begin < plan->unit_count; begin++) {
        const int32_t count = 1 + (int32_t)(mix32(seed * 64 + (uint32_t)begin) % 16);
        for (int32_t end = begin + count; end > begin; end--) { /* the longest that begins here */
            int16_t before[16];
            if (end >= plan->unit_count) continue;
            for (int32_t u = begin; u <= end; u++) before[u] = units[u].style;
            for (int32_t u = begin; u <= end; u++) {
                const int by_row = units[u].pool >= 0 && (seed >> (u & 3) & 1) != 0;
                units[u].style = (int16_t)(CGE_UNIT_RELAY | (u < end ? CGE_UNIT_HANDS_ROWS_ON : 0) | (by_row ? CGE_UNIT_ROW_BY_ROW : 0));
            }
            if (cge_relays_are_possible(n->model, plan->layers, units, plan->unit_count)) {
                forced++;
                begin = end;
                break;
            }
            for (int32_t u = begin; u <= end; u++) units[u].style = before[u];
        }
    }
    return place_anew(n) && forced > 0;
}

/* Blocks at random, of all units that can be or of two of three, with groups of so many channels. */
static int force_blocks(relayed_net *n, uint32_t seed)
{
    cge_plan *plan = &n->plan;
    cge_unit *units = (cge_unit *)(uintptr_t)plan->units, *last;
    int32_t forced = 0, count;
    for (int32_t u = 0; u < plan->unit_count; u++) units[u].style = 0;
    for (int32_t first = 0; first < plan->unit_count; first += count > 0 ? count : 1) {
        const uint32_t chance = mix32(seed * 64 + (uint32_t)first);
        const int32_t times = (int32_t)(chance >> 8 & 3);
        count = (chance & 3) == 0 ? 0 : cge_block_from(n->model, plan->layers, units, plan->unit_count, first);
        if (count == 0) continue;
        for (int32_t u = first; u < first + count; u++) units[u].style = CGE_UNIT_BLOCK | CGE_UNIT_HANDS_ROWS_ON;
        last = &units[first + count - 1];
        last->style = CGE_UNIT_BLOCK;
        if (cge_block_can_halve(plan->layers, last, times)) last->style = (int16_t)(CGE_UNIT_BLOCK + times * CGE_UNIT_HALVING);
        forced++;
    }
    return place_anew(n) && forced > 0;
}

static void predict(relayed_net *n, int in_slices, float *y)
{
    cge_status status;
    if (!begin_in_arena(n)) return;
    if (!in_slices) {
        CHECK_OK(cge_network_forward(&n->net, n->x, 1, y));
    } else {
        CHECK_OK(cge_network_forward_begin(&n->net, n->x, 1, y));
        do
            status = cge_network_resume(&n->net, 1, NULL);
        while (status == CGE_AGAIN);
        CHECK_OK(status);
    }
    check_pad(n);
}

static void test_bits(const test_model *m)
{
    relayed_net n;
    float expected[MOST_OUT], y[MOST_OUT];
    int32_t out, relays = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_sliced, 0)) return;
    out = n.plan.layers[m->model.layer_count - 1].out.c;
    predict(&n, 0, expected);
    for (uint32_t seed = 0; seed < RELAYS; seed++) {
        if (!plan_with(&n, &cge_memory_small_tight, 0)) return;
        if (seed > 0) relays += force_relays(&n, seed); /* else as they are chosen */
        memset(y, 0xff, sizeof y);
        predict(&n, (int)(seed & 1), y);
        for (int32_t i = 0; i < out; i++) CHECK_SAME(expected[i], y[i], i);
    }
    CHECK(relays > RELAYS / 2);
}

static void test_training(const test_model *m)
{
    const cge_memory_level *const levels[] = {&cge_memory_small_tight, &cge_memory_smallest_tight};
    relayed_net n;
    uint64_t expected;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_sliced, 1)) return;
    expected = train_relayed(&n, 0);
    for (int32_t level = 0; level < COUNT_OF(levels); level++)
        for (uint32_t seed = 0; seed < RELAYS / 2; seed++) {
            if (!plan_with(&n, levels[level], 1)) return;
            if (seed > 0) (void)force_relays(&n, seed);
            CHECK(train_relayed(&n, 0) == expected);
            CHECK(train_relayed(&n, 1) == expected);
        }
}

/* Relays are chosen where they take less, and the plan is exact. */
static void test_chosen(const test_model *m)
{
    relayed_net n;
    int32_t before, styles = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small, 0)) return;
    before = n.plan.peak_elems;
    if (!plan_with(&n, &cge_memory_small_tight, 0)) return;
    for (int32_t u = 0; u < n.plan.unit_count; u++) styles |= n.plan.units[u].style;
    CHECK((styles & CGE_UNIT_HANDS_ROWS_ON) != 0 ? n.plan.peak_elems < before : n.plan.peak_elems == before);
    CHECK(n.plan.peak_elems == n.plan.bound_elems);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&n.net, n.model, &n.options, n.arena, n.arena_bytes - 1));
}

/* In which units hand rows on as the bits of `mask` say. 0: they cannot. */
static int relays_by_mask(relayed_net *n, uint32_t mask)
{
    cge_plan *plan = &n->plan;
    cge_unit *units = (cge_unit *)(uintptr_t)plan->units;
    for (int32_t begin = 0, end; begin < plan->unit_count; begin = end + 1) {
        for (end = begin; end + 1 < plan->unit_count && (mask >> end & 1) != 0;) end++;
        for (int32_t u = begin; u <= end; u++) {
            units[u].style = (int16_t)(end == begin ? 0 : u < end ? CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON : CGE_UNIT_RELAY);
            if (end - begin != 1 && units[u].pool >= 0) units[u].style = (int16_t)(units[u].style | CGE_UNIT_ROW_BY_ROW);
        }
    }
    return mask == 0 || cge_relays_are_possible(n->model, plan->layers, units, plan->unit_count);
}

/* Of all relays that there could be, those that are chosen take the least. */
static void test_best(const test_model *m)
{
    relayed_net n;
    int32_t least = INT32_MAX, chosen;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    chosen = n.plan.peak_elems;
    n.room = SIZE_MAX; /* they are not run */
    for (uint32_t mask = 0; mask < 1u << (n.plan.unit_count - 1); mask++) {
        if (!relays_by_mask(&n, mask) || !place_anew(&n)) continue;
        if (n.plan.peak_elems < least) least = n.plan.peak_elems;
    }
    CHECK(chosen == least);
}

static int32_t units_in_relays(const relayed_net *n)
{
    int32_t count = 0;
    for (int32_t u = 0; u < n->plan.unit_count; u++) count += (n->plan.units[u].style & CGE_UNIT_RELAY) != 0;
    return count;
}

/* Where no more than that may be alive, no more units are in relays than must be. */
static void test_fewest(const test_model *m)
{
    relayed_net n;
    cge_unit *units;
    int32_t least, fewest = INT32_MAX;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    least = n.plan.peak_elems;
    n.room = SIZE_MAX;
    units = (cge_unit *)(uintptr_t)n.plan.units;
    for (uint32_t mask = 0; mask < 1u << (n.plan.unit_count - 1); mask++) {
        if (!relays_by_mask(&n, mask) || !place_anew(&n) || n.plan.peak_elems > least) continue;
        if (units_in_relays(&n) < fewest) fewest = units_in_relays(&n);
    }
    (void)relays_by_mask(&n, 0);
    cge_choose_relays(n.model, n.plan.layers, units, n.plan.unit_count, (cge_tensor *)(uintptr_t)n.plan.tensors, least, 0);
    for (int32_t u = 0; u < n.plan.unit_count; u++)
        if (units[u].style == 0 && units[u].pool >= 0) units[u].style = CGE_UNIT_ROW_BY_ROW;
    CHECK(units_in_relays(&n) == fewest && place_anew(&n) && n.plan.peak_elems == least);
}

/* A style that was changed in a plan whose tensors are another's; and at a level without relays. */
static void test_foreign(const test_model *m)
{
    relayed_net n;
    cge_unit *units;
    int32_t styles = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    units = (cge_unit *)(uintptr_t)n.plan.units;
    for (int32_t u = 0; u < n.plan.unit_count; u++) styles |= units[u].style;
    for (int32_t u = 0; u < n.plan.unit_count; u++)
        for (int32_t bit = 1; bit <= 0x4000; bit <<= 1) {
            if (bit == CGE_UNIT_ROW_BY_ROW && units[u].pool >= 0) continue; /* another unit's rows may take as much */
            units[u].style = (int16_t)(units[u].style ^ bit);
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
            units[u].style = (int16_t)(units[u].style ^ bit);
        }
    CHECK_OK(cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
    n.plan.level = &cge_memory_small;
    if ((styles & CGE_UNIT_RELAY) != 0) CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
}

/* Units that cannot hand rows on, or not there. */
static void test_impossible(void)
{
    static const int32_t relays[][3] = {/* of "residual": begin, end, possible */
        {0, 3, 1}, {0, 7, 1}, {0, 8, 1}, {1, 3, 1}, {4, 7, 1},
        {0, 2, 0},  /* a sum behind it reads unit 0 */
        {0, 4, 0},  /* unit 6 reads unit 3 */
        {8, 9, 0},  /* a mean has no rows */
        {7, 9, 0}}; /* a dense layer takes none */
    relayed_net n;
    cge_unit *units;
    if (!make_room(&n, &relayed[1]) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    units = (cge_unit *)(uintptr_t)n.plan.units;
    for (int32_t i = 0; i < COUNT_OF(relays); i++) {
        for (int32_t u = 0; u < n.plan.unit_count; u++) {
            const int inside = u >= relays[i][0] && u <= relays[i][1];
            units[u].style = (int16_t)(!inside ? 0 : u < relays[i][1] ? CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON : CGE_UNIT_RELAY);
        }
        CHECK(cge_relays_are_possible(n.model, n.plan.layers, units, n.plan.unit_count) == relays[i][2]);
    }
    units[relays[0][1]].style = 0; /* the last does not know that it is one */
    CHECK(!cge_relays_are_possible(n.model, n.plan.layers, units, n.plan.unit_count));
    for (int32_t u = 0; u < n.plan.unit_count; u++) units[u].style = CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON; /* without an end */
    CHECK(!cge_relays_are_possible(n.model, n.plan.layers, units, n.plan.unit_count));
    for (int32_t u = 0; u < n.plan.unit_count; u++) units[u].style = CGE_UNIT_RELAY; /* of one each */
    CHECK(!cge_relays_are_possible(n.model, n.plan.layers, units, n.plan.unit_count));
}

/* The first of two units hands rows on to the second, which cannot take them. */
static void test_no_rows(const test_model *m)
{
    relayed_net n;
    cge_unit *units;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    units = (cge_unit *)(uintptr_t)n.plan.units;
    CHECK((units[0].style & CGE_UNIT_RELAY) == 0);
    units[0].style = CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON;
    units[1].style = CGE_UNIT_RELAY;
    CHECK(!cge_relays_are_possible(n.model, n.plan.layers, units, n.plan.unit_count));
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
}

/* Rows that are passed on share one room: the largest two that meet, with what they are made with. The last has its output. */
static void test_passed_on(const test_model *m, int32_t last, int32_t expected)
{
    relayed_net n;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 0)) return;
    n.room = SIZE_MAX;
    CHECK(relays_by_mask(&n, (1u << last) - 1) && place_anew(&n));
    CHECK(n.plan.tensors[n.plan.units[last].forward].elems == expected);
}

/* More units than a relay has, all of which could hand rows on. */
static void test_long_chain(void)
{
    enum { CONVOLUTIONS = 40 };
    static cge_layer layers[CONVOLUTIONS];
    const test_model many = {"40 convolutions", {{6, 3, 2}, layers, CONVOLUTIONS, &cge_mean_squared_error, {&cge_sgd, 0.1f, 0, 0, 0}, NULL, 0, 0}};
    float expected[MOST_OUT], y[MOST_OUT];
    relayed_net n;
    for (int32_t l = 0; l < CONVOLUTIONS; l++) layers[l] = one_convolution;
    if (!make_room(&n, &many) || !plan_with(&n, &cge_memory_small, 0)) return;
    predict(&n, 0, expected);
    if (!plan_with(&n, &cge_memory_small_tight, 0)) return;
    predict(&n, 0, y);
    for (int32_t i = 0; i < 36; i++) CHECK_SAME(expected[i], y[i], i);
    for (int32_t u = 0; u < CONVOLUTIONS; u++) ((cge_unit *)(uintptr_t)n.plan.units)[u].style = CGE_UNIT_RELAY | CGE_UNIT_HANDS_ROWS_ON;
    ((cge_unit *)(uintptr_t)n.plan.units)[CONVOLUTIONS - 1].style = CGE_UNIT_RELAY;
    CHECK(!cge_relays_are_possible(n.model, n.plan.layers, n.plan.units, n.plan.unit_count));
}

/* ---- blocks ---- */

static void test_bits_of_blocks(const test_model *m)
{
    const cge_memory_level *const levels[] = {&cge_memory_small_tight, &cge_memory_smallest_tight};
    relayed_net n;
    uint64_t expected;
    int32_t blocks = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_sliced, 1)) return;
    expected = train_relayed(&n, 0);
    for (int32_t level = 0; level < COUNT_OF(levels); level++)
        for (uint32_t seed = 0; seed < BLOCKS; seed++) {
            if (!plan_with(&n, levels[level], 1)) return;
            if (seed > 0) blocks += force_blocks(&n, seed); /* else as they are chosen */
            CHECK(train_relayed(&n, (int)(seed & 1)) == expected);
        }
    CHECK(blocks > BLOCKS);
}

/* Fewer bytes than without, and no byte that is not needed. */
static void test_chosen_blocks(const test_model *m)
{
    const cge_memory_level *const levels[][2] = {
        {&cge_memory_small, &cge_memory_small_tight}, {&cge_memory_smallest, &cge_memory_smallest_tight}};
    for (int32_t level = 0; level < COUNT_OF(levels); level++) {
        relayed_net n;
        int32_t before, styles = 0;
        if (!make_room(&n, m) || !plan_with(&n, levels[level][0], 1)) return;
        before = n.plan.peak_elems;
        if (!plan_with(&n, levels[level][1], 1)) return;
        for (int32_t u = 0; u < n.plan.unit_count; u++) styles |= n.plan.units[u].style;
        CHECK((styles & CGE_UNIT_BLOCK) != 0);
        CHECK(n.plan.peak_elems < before);
        CHECK(n.plan.peak_elems == n.plan.bound_elems);
        CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&n.net, n.model, &n.options, n.arena, n.arena_bytes - 1));
    }
}

static void test_foreign_blocks(const test_model *m)
{
    relayed_net n;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_smallest_tight, 1) || !force_blocks(&n, 7)) return;
    check_foreign_plans(&n, &cge_memory_smallest);
}

/* Where blocks begin, of the units of a model: as many as a digit says. */
static void test_where_blocks_are(const test_model *m, const char *expected)
{
    relayed_net n;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_tight, 1)) return;
    for (int32_t u = 0; u < n.plan.unit_count; u++)
        CHECK(cge_block_from(n.model, n.plan.layers, n.plan.units, n.plan.unit_count, u) == expected[u] - '0');
    CHECK(expected[n.plan.unit_count] == 0);
}

/* What the weights of the steep network's layers are multiplied by. */
typedef struct steepness {
    float factors[COUNT_OF(steep)];
    cge_status expected;
} steepness;
static const steepness slopes[] = {
    {{0, 1e9f, 1e9f, 1e9f, 1e9f, 1e9f, 1}, CGE_ERR_NOT_FINITE},     /* gradients overflow on their way to the first units */
    {{1, 1e18f, 1e18f, 1e-36f, 1e2f, 1e2f, 1}, CGE_ERR_NOT_FINITE}, /* where a map in the block is large */
    {{0, 1e9f, 1e9f, 1e9f, 1, 1, 1}, CGE_OK},
};

/* The last units would have learned before. */
static void test_blocks_that_overflow(const cge_memory_level *level, const steepness *steps, uint32_t seed)
{
    relayed_net n;
    uint64_t before = 0, after = 0;
    if (!make_room(&n, &steep_net) || !plan_with(&n, level, 1)) return;
    if (!force_blocks(&n, seed) || !begin_in_arena(&n)) return;
    for (int32_t l = 0; l < n.model->layer_count; l++) scale_weights(&n, l, steps->factors[l]);
    CHECK_OK(cge_network_params_hash(&n.net, &before));
    CHECK_STATUS(steps->expected, take_step(&n, &after));
    CHECK((before == after) == (steps->expected != CGE_OK));
    for (int32_t i = 0; i < n.net.velocity_elems && steps->expected != CGE_OK; i++) CHECK_SAME(0.0f, n.net.velocity[i], i);
}

/* Weights that grow or shrink at random: blocks refuse a step where units one by one refuse it, and learn the same. */
static void test_steep_blocks(const cge_memory_level *plain, const cge_memory_level *level, uint32_t seed)
{
    cge_status status[2] = {CGE_OK, CGE_OK};
    uint64_t hash[2] = {0, 0};
    relayed_net n;
    if (!make_room(&n, &steep_net)) return;
    for (int blocks = 0; blocks < 2; blocks++) {
        if (!plan_with(&n, blocks ? level : plain, 1)) return;
        if ((blocks && !force_blocks(&n, seed % 5 + 1)) || !begin_in_arena(&n)) return;
        for (int32_t l = 0; l < n.model->layer_count; l++)
            scale_weights(&n, l, float_from_bits((127 - 40 + mix32(seed * 16 + (uint32_t)l) % 96) << 23));
        status[blocks] = take_step(&n, &hash[blocks]);
    }
    CHECK(status[0] == status[1] && hash[0] == hash[1]);
    steep_steps++;
    refused_steps += status[0] != CGE_OK;
}

/* ---- masks ---- */

/* Fewer bytes than with outputs, and no byte that is not needed. A plan in which a unit is said to keep what it forgets, or to
 * forget what it keeps, is refused; and a level without masks. */
static void test_chosen_masks(const test_model *m)
{
    relayed_net n;
    cge_unit *units;
    int32_t before, forgotten = 0, styles = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_smallest, 1)) return;
    before = n.plan.peak_elems;
    if (!plan_with(&n, &cge_memory_smallest_tight, 1)) return;
    CHECK(n.plan.peak_elems < before);
    CHECK(n.plan.peak_elems == n.plan.bound_elems);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&n.net, n.model, &n.options, n.arena, n.arena_bytes - 1));
    units = (cge_unit *)(uintptr_t)n.plan.units;
    for (int32_t u = 0; u < n.plan.unit_count; u++) {
        const int16_t learns = units[u].learns;
        forgotten += learns == CGE_FORGETS;
        styles |= units[u].style;
        for (int16_t other = -1; other < 4; other++) {
            units[u].learns = other;
            if (other == learns) continue;
            CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
        }
        units[u].learns = learns;
    }
    CHECK(forgotten > 1 || (styles & CGE_UNIT_LEARNS_BY_ROWS) != 0); /* whichever takes less */
    CHECK_OK(cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
    n.plan.level = &cge_memory_smallest;
    CHECK_REFUSED(CGE_ERR_MISMATCH, cge_network_init(&n.net, n.model, &n.options, n.arena, n.room));
}

/* The sum's gradient is that of what the skip hands on, unless it is still read when others add to that. */
static void test_gradients_of_skips(void)
{
    relayed_net n;
    if (!make_room(&n, &forgetting[0]) || !plan_with(&n, &cge_memory_small_tight, 1)) return;
    for (int32_t u = 0; u < n.plan.unit_count; u++) {
        const int32_t sum = cge_sum_of_skip(n.model, n.plan.units, n.plan.unit_count, u);
        CHECK((sum >= 0) == (u == 0));
        if (sum >= 0) CHECK(n.plan.units[u].dy == n.plan.units[sum].dy);
    }
}

void suite_relay(void)
{
    for (int32_t i = 0; i < COUNT_OF(forgetting); i++) {
        test_training(&forgetting[i]);
        test_chosen_masks(&forgetting[i]);
    }
    test_gradients_of_skips();
    for (int32_t i = 0; i < COUNT_OF(blocked); i++) {
        test_bits_of_blocks(&blocked[i]);
        test_foreign_blocks(&blocked[i]);
    }
    for (int32_t i = 1; i < 3; i++) test_chosen_blocks(&blocked[i]);
    test_where_blocks_are(&blocked[1], "32323200");
    test_where_blocks_are(&blocked[2], "032003202000");
    for (int32_t i = 0; i < COUNT_OF(slopes); i++)
        for (uint32_t seed = 1; seed < 6; seed++) {
            test_blocks_that_overflow(&cge_memory_small_tight, &slopes[i], seed);
            test_blocks_that_overflow(&cge_memory_smallest_tight, &slopes[i], seed);
        }
    for (uint32_t seed = 0; seed < STEEP; seed++) {
        test_steep_blocks(&cge_memory_small, &cge_memory_small_tight, seed);
        test_steep_blocks(&cge_memory_smallest, &cge_memory_smallest_tight, seed);
    }
    CHECK(steep_steps == 0 || (steep_steps == 2 * STEEP && refused_steps > STEEP / 4 && refused_steps < STEEP * 7 / 4));
    for (int32_t i = 0; i < COUNT_OF(relayed); i++) {
        test_bits(&relayed[i]);
        test_training(&relayed[i]);
        test_chosen(&relayed[i]);
        test_best(&relayed[i]);
        test_fewest(&relayed[i]);
        test_foreign(&relayed[i]);
    }
    test_training(&learns_all);
    test_chosen(&learns_all);
    test_training(&means_learn);
    test_chosen(&means_learn);
    test_impossible();
    test_passed_on(&relayed[5], 1, 25);
    test_passed_on(&relayed[5], 6, 20 + 27);
    test_passed_on(&relayed[6], 6, 25 + 30); /* and three rows of bytes as numbers */
    test_no_rows(&renamed);
    test_long_chain();
}
