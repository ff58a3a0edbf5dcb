/*
 * The first units, which learn by rows through all of them (csrc/src/net/learning_relay.c): however many they are, and whatever
 * works in blocks behind them, the bits are those of the units one by one, in the plan's memory and not a byte more.
 */
#include "suites.h"
#include "relayed_net.h"

enum { STEEP_LEARNING = CHECK_FEWER ? 10 : 40 };

#define CONCAT(first, second) {.kind = &cge_kind_concat, .from = {first, second}}
#define TALL(filters, height, width, stride, top, bottom) \
    {.kind = &cge_kind_conv2d,                                \
     CONV2D_CONFIG(.out_c = filters, WINDOW(height, width, stride, 1, top, 0, bottom, 0), .groups = 1)}

static const cge_layer skips[] = { /* around two convolutions, past a stride, to a sum of sums */
    CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu),                                                              /*  0 */
    CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu6), CONV2D(4, 3, 1, 1, .groups = 1), ADD(0, 2), PLAIN(relu), /*  2: of row 1 */
    CONV2D(6, 3, 2, 1, .groups = 1), PLAIN(relu), CONV2D(6, 3, 1, 1, .groups = 1),                             /*  7 */
    CONV2D_OF(7, 6, 1, 2), ADD(10, 11), ADD(0, 10), PLAIN(tanh), DENSE(3, 0, 0)};                           /* 10: of row 6 */
static const cge_layer apart[] = { /* strides, dilation and a kernel beyond its image; groups; no activation, and no ReLU */
    CONV2D(6, 5, 2, 2, .groups = 1), LEAKY(0.5f), CONV2D(6, 3, 1, 2, SIX_FAR_APART), PLAIN(tanh),
    NO_BIAS(4, 1, 1, 0, .groups = 2), CONV2D(5, 7, 3, 3, .groups = 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer uneven[] = { /* rows that reach nothing: a stride that is longer than its kernel, padding on one side */
    TALL(3, 2, 3, 3, 0, 0), PLAIN(relu), TALL(4, 3, 1, 1, 2, 0), PLAIN(relu), TALL(2, 1, 2, 2, 0, 1), DENSE(3, 0, 0)};
static const cge_layer both[] = { /* channels side by side, one's rows twice, the image beside a map */
    CONV2D(2, 3, 1, 1, .groups = 1), ADD(0, CGE_INPUT), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 1), CONCAT(0, 3),
    ADD(0, 5), CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer some_stay[] = { /* the first, one between, the last */
    FROZEN(3, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 1), PLAIN(relu), FROZEN(4, 3, 2, 1, .groups = 1),
    PLAIN(relu), CONV2D(4, 3, 1, 1, .groups = 1), FROZEN(3, 1, 1, 0, .groups = 1), PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer biases[] = { /* alone, around what learns weights, all and some */
    BIASES(3, 3, 1, 1, .groups = 1), PLAIN(relu), BIASES(12, 1, 1, 0, .groups = 1), PLAIN(relu6),
    CONV2D(12, 3, 2, 1, .groups = 12), PLAIN(relu6), BIASES(3, 1, 1, 0, .groups = 1),
    {.kind = &cge_kind_conv2d, WEIGHTED(3, 3, 1, 1, .groups = 1), .trains = 2}, PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer before_blocks[] = { /* inverted residuals; a block whose output is read again */
    CONV2D(3, 3, 2, 1, .groups = 1), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 3), PLAIN(relu),        /* 0 */
    CONV2D(3, 1, 1, 0, .groups = 1),                                                                   /* 4 */
    NO_BIAS(12, 1, 1, 0, .groups = 1), PLAIN(relu6), NO_BIAS(12, 3, 1, 1, .groups = 12), PLAIN(relu6), /* 5 */
    NO_BIAS(3, 1, 1, 0, .groups = 1), ADD(0, 5), CONV2D(3, 3, 2, 1, .groups = 3), PLAIN(relu), CONV2D(5, 1, 1, 0, .groups = 1),
    PLAIN(relu), DENSE(3, 0, 0)};
static const cge_layer beside[] = { /* what the second one reads, the third does, too, and theirs meet later */
    CONV2D(3, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(3, 3, 1, 1, .groups = 1), CONV2D_OF(2, 3, 1, 1),
    CONV2D(3, 3, 1, 1, .groups = 1), ADD(0, 3), DENSE(3, 0, 0)};
static const cge_layer told_by_y[] = { /* the sigmoid's gradient reads what a gradient would replace; a pooling; other rows */
    CONV2D(3, 3, 1, 1, .groups = 1), PLAIN(relu), PLAIN(sigmoid), CONV2D(3, 3, 1, 1, .groups = 1),
    CONV2D(2, 1, 1, 0, .groups = 1), CONV2D(3, 3, 1, 1, .groups = 1), POOL(maxpool2d, 2, 2, 0, 0, 0, 0, 0, 0), PLAIN(flatten),
    CONV2D(3, 1, 1, 0, .groups = 1), CONV2D(2, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
static const cge_layer tall[] = { /* whose maps take more than a few rows of each */
    CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu), CONV2D(4, 3, 1, 1, .groups = 1), PLAIN(relu),
    CONV2D(2, 3, 4, 1, .groups = 1), DENSE(3, 0, 0)};
static const cge_layer steep_units[] = { /* without activations: each factor is in the gradients before it */
    CONV2D(3, 3, 1, 1, .groups = 1), CONV2D(3, 3, 1, 1, .groups = 1), CONV2D(4, 1, 1, 0, .groups = 1), DENSE(3, 0, 0)};
#define ONE_OF_MANY CONV2D(2, 1, 1, 0, .groups = 1)
#define SIX_OF_MANY ONE_OF_MANY, ONE_OF_MANY, ONE_OF_MANY, ONE_OF_MANY, ONE_OF_MANY, ONE_OF_MANY
static const cge_layer many_units[] = {SIX_OF_MANY, SIX_OF_MANY, SIX_OF_MANY, SIX_OF_MANY, SIX_OF_MANY, SIX_OF_MANY};
static const test_model many = MODEL("learn by rows, 36 of them", 12, 2, 2, many_units, &cge_mean_squared_error, 0.1f, 0, 0, 0);
static const test_model by_rows[] = {
    MODEL("learn by rows, skips", 9, 6, 2, skips, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("learn by rows, apart", 17, 8, 2, apart, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0.01f, 0),
    MODEL("learn by rows, uneven", 15, 6, 1, uneven, &cge_mean_squared_error, 0.05f, 0, 0, 0),
    MODEL("learn by rows, both", 6, 5, 2, both, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0),
    MODEL("learn by rows, some stay", 8, 7, 2, some_stay, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    {"learn by rows, bytes", {{17, 8, 2}, TABLE(apart), &cge_softmax_cross_entropy, {&cge_sgd, 0.05f, 0, 0, 0},
                              &cge_input_u8, 0x1p-8f, 3}},
    {"learn by rows, always tried", {{7, 4, 2}, TABLE(skips), &cge_mean_squared_error,
                                     ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-20f), NULL, 0, 0}},
    MODEL("learn by rows, biases", 9, 6, 2, biases, &cge_softmax_cross_entropy, 0.05f, 0.9f, 0, 0),
    MODEL("learn by rows, beside", 6, 5, 1, beside, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    MODEL("learn by rows, told by y", 6, 4, 1, told_by_y, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0),
    {"learn by rows, before blocks", {{14, 8, 2}, TABLE(before_blocks), &cge_softmax_cross_entropy,
                                      ADAPTIVE(adam, 0.01f, 0.9f, 0, 0.999f, 1e-8f), NULL, 0, 0}},
};
static const test_model tall_model = MODEL("learn by rows, tall", 24, 4, 1, tall, &cge_softmax_cross_entropy, 0.05f, 0, 0, 0);
static const test_model steep_rows =
    MODEL("learn by rows, steep", 5, 4, 1, steep_units, &cge_softmax_cross_entropy, 0.05f, 0.5f, 0, 0);

static cge_unit *units_of(const relayed_net *n)
{
    return (cge_unit *)(uintptr_t)n->plan.units;
}

static int could_learn(const relayed_net *n, int32_t begin, int32_t end)
{
    const cge_style_choice s = {n->model, n->plan.layers, n->plan.level, 1, units_of(n), n->plan.unit_count, NULL, NULL, NULL};
    return cge_could_learn_by_rows(&s, begin, end);
}

/* Units begin .. end learn by rows, and those behind them as far as they can. With `blocks`, what can be a block is one. */
static int force_learning(relayed_net *n, int32_t begin, int32_t end, int blocks)
{
    cge_unit *units = units_of(n);
    int32_t first, count;
    for (int32_t u = 0; u < n->plan.unit_count; u++) units[u].style = 0;
    for (; end < n->plan.unit_count; end++) {
        if (!could_learn(n, begin, end)) continue;
        for (int32_t u = begin; u <= end; u++)
            units[u].style = CGE_UNIT_RELAY | CGE_UNIT_LEARNS_BY_ROWS | CGE_UNIT_HANDS_ROWS_ON;
        units[end].style = CGE_UNIT_RELAY | CGE_UNIT_LEARNS_BY_ROWS;
        begin = end + 1;
    }
    for (first = begin; blocks && first < n->plan.unit_count; first += count > 0 ? count : 1) {
        count = cge_block_from(n->model, n->plan.layers, units, n->plan.unit_count, first);
        if (count == 0) continue;
        for (int32_t u = first; u < first + count; u++) units[u].style = CGE_UNIT_BLOCK | CGE_UNIT_HANDS_ROWS_ON;
        units[first + count - 1].style = CGE_UNIT_BLOCK;
    }
    return place_anew(n);
}

/* Styles of units that cannot learn so are refused. */
static void check_impossible(relayed_net *n, int32_t begin, int32_t end)
{
    cge_unit *units = units_of(n);
    for (int32_t u = 0; u < n->plan.unit_count; u++) {
        const int hands_on = u < end ? CGE_UNIT_HANDS_ROWS_ON : 0;
        units[u].style = (int16_t)(u < begin || u > end ? 0 : CGE_UNIT_RELAY | CGE_UNIT_LEARNS_BY_ROWS | hands_on);
    }
    CHECK(!cge_relays_are_possible(n->model, n->plan.layers, units, n->plan.unit_count));
}

/* `ends`: the units up to which the first ones can learn by rows. */
static void test_bits_by_rows(const test_model *m, const char *ends)
{
    const cge_memory_level *const levels[] = {&cge_memory_small_tight, &cge_memory_smallest_tight};
    relayed_net n;
    uint64_t expected;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_small_sliced, 1)) return;
    expected = train_relayed(&n, 0);
    for (int32_t level = 0; level < COUNT_OF(levels); level++) {
        if (!plan_with(&n, levels[level], 1)) return;
        CHECK(train_relayed(&n, 0) == expected); /* as it is chosen */
        for (int32_t begin = 0; begin < n.plan.unit_count; begin++)
            for (int32_t end = begin; end < n.plan.unit_count; end++) {
                if (begin == 0) CHECK(could_learn(&n, 0, end) == (strchr(ends, '0' + end) != NULL));
                if (!could_learn(&n, begin, end)) {
                    check_impossible(&n, begin, end);
                    continue;
                }
                if (force_learning(&n, begin, end, end & 1)) CHECK(train_relayed(&n, 0) == expected);
                if (force_learning(&n, begin, end, !(end & 1))) CHECK(train_relayed(&n, 1) == expected);
            }
    }
}

/* Fewer bytes than without, and no byte that is not needed. A style that was changed is refused, and a level without relays. */
static void test_chosen_learning(const test_model *m)
{
    relayed_net n;
    int32_t before, by_rows_so_far = 0;
    if (!make_room(&n, m) || !plan_with(&n, &cge_memory_smallest, 1)) return;
    before = n.plan.peak_elems;
    if (!plan_with(&n, &cge_memory_smallest_tight, 1)) return;
    for (int32_t u = 0; u < n.plan.unit_count; u++) by_rows_so_far += (n.plan.units[u].style & CGE_UNIT_LEARNS_BY_ROWS) != 0;
    CHECK(by_rows_so_far > 1);
    CHECK(n.plan.peak_elems < before);
    CHECK(n.plan.peak_elems == n.plan.bound_elems);
    CHECK_REFUSED(CGE_ERR_ARENA, cge_network_init(&n.net, n.model, &n.options, n.arena, n.arena_bytes - 1));
    check_foreign_plans(&n, &cge_memory_smallest);
}

/* Weights that grow or shrink at random: a step is refused where units one by one refuse it, and learns the same. */
static void test_steep_rows(const cge_memory_level *plain, const cge_memory_level *level, uint32_t seed, int32_t *refused,
                            int32_t *taken)
{
    cge_status status[2] = {CGE_OK, CGE_OK};
    uint64_t hash[2] = {0, 0};
    relayed_net n;
    if (!make_room(&n, &steep_rows)) return;
    for (int by_row = 0; by_row < 2; by_row++) {
        if (!plan_with(&n, by_row ? level : plain, 1)) return;
        if (by_row && !force_learning(&n, (int32_t)(seed >> 1 & 1), 1 + (int32_t)(seed & 1), 0)) return;
        if (!begin_in_arena(&n)) return;
        for (int32_t l = 0; l < n.model->layer_count; l++) {
            const uint32_t chance = mix32(seed * 16 + (uint32_t)l);
            const float any = float_from_bits((107 + chance % 80) << 23);
            const float large = l == 0 ? 0.0f : float_from_bits((147 + chance % 25) << 23);
            scale_weights(&n, l, seed % 4 == 0 ? large : any); /* with maps of zeros gradients alone grow */
        }
        status[by_row] = take_step(&n, &hash[by_row]);
    }
    CHECK(status[0] == status[1] && hash[0] == hash[1]);
    *refused += status[0] != CGE_OK;
    *taken += status[0] == CGE_OK;
}

/* More units than a relay has, as one and as two. */
static void test_long_learning(void)
{
    int32_t by_rows_so_far = 0;
    relayed_net n;
    if (!make_room(&n, &many) || !plan_with(&n, &cge_memory_smallest_tight, 1)) return;
    CHECK(could_learn(&n, 3, 18) && !could_learn(&n, 3, 19));
    for (int32_t u = 0; u < n.plan.unit_count; u++) by_rows_so_far += (n.plan.units[u].style & CGE_UNIT_LEARNS_BY_ROWS) != 0;
    CHECK(by_rows_so_far > 16 && by_rows_so_far <= 32);
    CHECK(n.plan.peak_elems == n.plan.bound_elems);
}

void suite_learning_relay(void)
{
    static const char *const ends[] = {"38", "123", "12", "1345", "1234", "123", "38", "1234", "4", "", "12678"};
    int32_t refused = 0, taken = 0;
    for (int32_t i = 0; i < COUNT_OF(by_rows); i++) test_bits_by_rows(&by_rows[i], ends[i]);
    test_chosen_learning(&tall_model);
    test_long_learning();
    for (uint32_t seed = 0; seed < STEEP_LEARNING; seed++) {
        test_steep_rows(&cge_memory_small, &cge_memory_small_tight, seed, &refused, &taken);
        test_steep_rows(&cge_memory_smallest, &cge_memory_smallest_tight, seed, &refused, &taken);
    }
    CHECK((refused > 0) == (taken > 0)); /* neither, where there is no room */
}
