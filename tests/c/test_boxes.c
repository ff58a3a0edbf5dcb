/* How work is cut into boxes (csrc/src/layers/boxes.c), against a walk over all boxes and columns. */
#include "check.h"
#include "suites.h"

#include "../../csrc/src/layers/passes.h"

#include <string.h>

enum { SEED_BOXES = 71, CASES = CHECK_FEWER ? 40 : 400, MOST_JOINED = 40 };

static uint32_t state;

static int32_t drawn(int32_t first, int32_t last)
{
    state = mix32(state + 1);
    return first + (int32_t)(state % (uint32_t)(last - first + 1));
}

/* ---- what the boxes are asked for ---- */

static int64_t volume(const cge_box *box)
{
    int64_t product = 1;
    for (int32_t i = 0; i < CGE_AXES; i++) product *= box->along[i].end - box->along[i].begin;
    return product;
}

/* So much for each element. */
static int64_t of_elements(const cge_pieces *u, const cge_box *box)
{
    return volume(box) * u->cut.map.other;
}

/* A column that is alone costs more than one of a tile, and less than a tile. */
static int64_t of_columns(const cge_pieces *u, const cge_box *box)
{
    const cge_range units = box->along[CGE_AXIS_OF_COLUMNS];
    cge_gathered g;
    cge_count_places(&u->cut.map, units, &g);
    return volume(box) / (units.end - units.begin) * (g.tiled * 2 + g.lone * 3) * u->cut.map.other;
}

static int32_t parts_along(const cge_axis *a)
{
    int32_t count = 0;
    for (int32_t first = 0; first < a->size; first += a->part) count++;
    return count;
}

static int32_t boxes_of(const cge_axis *axes)
{
    int32_t count = 1;
    for (int32_t i = 0; i < CGE_AXES; i++) count *= parts_along(&axes[i]);
    return count;
}

/* Number `number`, the last axis counting fastest. */
static cge_box box_of(const cge_axis *axes, int32_t number)
{
    cge_box box;
    for (int32_t i = CGE_AXES - 1; i >= 0; i--) {
        const int32_t parts = parts_along(&axes[i]), first = number % parts * axes[i].part, end = first + axes[i].part;
        box.along[i].begin = first;
        box.along[i].end = end < axes[i].size ? end : axes[i].size;
        number /= parts;
    }
    return box;
}

/* ---- cuts ---- */

/* The most that one to four pieces of `part` fill of a slice, each of which costs `macs` for each element of it. */
static int64_t filled_by(int32_t part, int64_t macs)
{
    int64_t filled = 0;
    for (int32_t count = 1; count <= 4; count++)
        if (count * (part * macs + CGE_MACS_CALL) <= CGE_PIECE_MACS + CGE_MACS_CALL) filled = count * part * macs;
    return filled;
}

/* The part of which there are as few as of the largest that fits, all about as large. */
static int32_t leveled(int32_t size, int32_t least, int64_t macs)
{
    int32_t part = least, count;
    while ((part + least) * macs <= CGE_PIECE_MACS) part += least;
    count = (size + part - 1) / part;
    for (part = least; part * count < size; part += least) continue;
    return part;
}

/* An axis is cut where those before it are as small as they may be; the last that is cut, so that a slice is well filled. */
static void check_parts(const cge_axis *axes, const int32_t *least, int64_t cost, int32_t of_element)
{
    int32_t last = -1;
    int64_t whole = of_element, of_part = of_element;
    for (int32_t i = 0; i < CGE_AXES; i++) {
        whole *= axes[i].size;
        if (axes[i].part != axes[i].size) last = i;
    }
    CHECK(last < 0 || whole > CGE_PIECE_MACS);
    for (int32_t i = 0; i < CGE_AXES; i++) {
        CHECK(axes[i].part == axes[i].size || axes[i].part % least[i] == 0);
        CHECK(i >= last || axes[i].part <= least[i] || axes[i].size <= least[i]);
        CHECK(cost <= CGE_PIECE_MACS || axes[i].part <= least[i] || axes[i].size <= least[i]);
        of_part *= i == last ? 1 : axes[i].part;
    }
    if (last < 0 || cost > CGE_PIECE_MACS) return;
    const int32_t largest = leveled(axes[last].size, least[last], of_part);
    const int64_t filled = filled_by(axes[last].part, of_part);
    for (int32_t part = least[last]; part <= largest; part += least[last])
        CHECK(filled + CGE_PIECE_MACS / 8 >= filled_by(part, of_part));
    CHECK(axes[last].part >= largest || filled >= filled_by(largest, of_part) + CGE_PIECE_MACS / 8);
}

static void draw_axes(cge_axis *axes, int32_t *least)
{
    for (int32_t i = 0; i < CGE_AXES; i++) {
        axes[i].size = drawn(0, 2) == 0 ? 1 : drawn(1, 14);
        least[i] = drawn(0, 1) == 0 ? 1 : drawn(1, 5);
        axes[i].part = 0;
    }
}

static void test_cut(cge_pieces *u)
{
    static const int32_t typical[CGE_AXES] = {0};
    cge_axis *axes = u->cut.map.axes;
    int32_t least[CGE_AXES];
    int64_t cost, most = 0;
    draw_axes(axes, least);
    u->cut.map.other = drawn(1, 3) == 1 ? drawn(1, 10000) : drawn(1, 90);
    cost = cge_cut_axes(u, axes, least, typical, of_elements);
    CHECK(cge_count_boxes(axes) == boxes_of(axes));
    for (int32_t number = 0; number < boxes_of(axes); number++) {
        const cge_box box = box_of(axes, number);
        if (of_elements(u, &box) > most) most = of_elements(u, &box);
    }
    CHECK(cost == most);
    check_parts(axes, least, cost, u->cut.map.other);
}

/* ---- boxes that are one again ---- */

static void enclose(cge_box *all, const cge_box *box)
{
    for (int32_t i = 0; i < CGE_AXES; i++) {
        if (box->along[i].begin < all->along[i].begin) all->along[i].begin = box->along[i].begin;
        if (box->along[i].end > all->along[i].end) all->along[i].end = box->along[i].end;
    }
}

static void test_join(void)
{
    cge_axis axes[CGE_AXES];
    int32_t least[CGE_AXES], count, begin, end, joined, most = 0;
    cge_box all, box, expected;
    int64_t sum = 0;
    draw_axes(axes, least);
    for (int32_t i = 0; i < CGE_AXES; i++) axes[i].part = drawn(1, axes[i].size);
    count = boxes_of(axes);
    begin = drawn(0, count - 1);
    end = drawn(begin + 1, count < begin + MOST_JOINED ? count : begin + MOST_JOINED);
    memset(&box, 0x77, sizeof box);
    joined = cge_join_boxes(axes, (cge_range){begin, end}, &box);
    expected = all = box_of(axes, begin);
    for (int32_t number = begin; number < end; number++) {
        const cge_box one = box_of(axes, number);
        enclose(&all, &one);
        sum += volume(&one);
        if (volume(&all) != sum) continue;
        most = number + 1 - begin;
        expected = all;
    }
    CHECK(joined == most && memcmp(&box, &expected, sizeof box) == 0);
}

/* ---- columns ---- */

/* Columns of the last tile whose phase has one that is not inside: those of a phase share a tile, four by four. */
static int32_t spoiled_of_last_tile(const cge_map_cut *k, int32_t width, int32_t inside_end)
{
    const int32_t end = k->border + k->tiles * width, phases = width / 4;
    int32_t spoiled = 0;
    for (int32_t phase = 0; phase < phases; phase++) {
        int meets = 0;
        for (int32_t column = end - width + phase; column < end; column += phases) meets |= column >= inside_end;
        spoiled += meets * 4;
    }
    return spoiled;
}

static void test_columns(int32_t columns, int32_t left, int32_t right, int32_t width)
{
    const cge_range inside = {left, columns - right};
    const cge_axis *a;
    cge_map_cut k;
    int32_t at = 0, tiles = 0;
    memset(&k, 0, sizeof k);
    cge_set_columns(&k, columns, inside, width);
    a = &k.axes[CGE_AXIS_OF_COLUMNS];
    for (int32_t unit = 0; unit < a->size; unit++) {
        const cge_range r = cge_columns_of(&k, (cge_range){unit, unit + 1});
        const int is_tile = r.end - r.begin == width && unit >= k.border && tiles < k.tiles;
        cge_gathered g;
        cge_count_places(&k, (cge_range){0, unit + 1}, &g);
        CHECK(r.begin == at && (is_tile || r.end - r.begin == 1));
        at = r.end;
        tiles += is_tile;
        CHECK(g.tiled + g.lone == at);
        if (width == 1 || tiles == 0) CHECK(g.tiled == 0);
        else CHECK(g.tiled == tiles * width - (tiles == k.tiles ? spoiled_of_last_tile(&k, width, inside.end) : 0));
    }
    CHECK(at == columns && tiles == k.tiles && a->size - tiles - k.border < width);
    CHECK(k.border == (width > 1 ? left : 0));
}

/* Each box costs at most what is said of it; of those with a column that is alone, and of the others, one costs that. */
static void test_columns_that_are_alone(cge_pieces *u)
{
    static const int32_t least[CGE_AXES] = {1, 1, 4, 1, 1};
    int32_t typical[CGE_AXES] = {0}, boxes;
    cge_map_cut *k = &u->cut.map;
    cge_range inside;
    int64_t most[2] = {0, 0};
    memset(k, 0, sizeof *k);
    for (int32_t i = 0; i < CGE_AXES; i++) k->axes[i].size = drawn(1, 5);
    inside.end = drawn(1, 20);
    inside.begin = drawn(0, inside.end < 4 ? inside.end : 4);
    cge_set_columns(k, inside.end, inside, 4);
    typical[CGE_AXIS_OF_COLUMNS] = k->border;
    k->axes[2].size = drawn(1, 14);
    k->other = drawn(1, 200);
    k->macs = (int32_t)cge_cut_axes(u, k->axes, least, typical, of_columns);
    cge_cost_lone_columns(u, k, of_columns);
    boxes = boxes_of(k->axes);
    for (int32_t number = 0; number < boxes; number++) {
        const cge_box box = box_of(k->axes, number);
        const cge_range units = box.along[CGE_AXIS_OF_COLUMNS];
        const int64_t cost = of_columns(u, &box);
        const int is_tile = units.begin >= k->border && units.begin < k->border + k->tiles;
        const int alone = k->axes[CGE_AXIS_OF_COLUMNS].part == 1 && !is_tile;
        CHECK(cge_macs_of_box(k, number) >= cost);
        CHECK(k->lone == 0 || cge_macs_of_box(k, number) == (alone ? k->lone : k->macs));
        if (cost > most[alone]) most[alone] = cost;
    }
    CHECK(most[1] == k->lone);
    CHECK(most[0] == k->macs || k->axes[CGE_AXIS_OF_COLUMNS].part > 1 || k->tiles == 0);
}

/* ---- costs ---- */

/* Quarters of a multiply-add for each term, each run of terms and each output, as docs/slices.md has them. */
typedef struct output_cost {
    int16_t depthwise, transposed;
    int32_t first_group, last_group; /* channels of a group */
    int32_t of_tile[3], alone[3];
} output_cost;
static const output_cost output_costs[] = {
    {1, 0, 1, 12, {5, 6, 16}, {6, 12, 40}},   {1, 1, 1, 12, {5, 6, 16}, {6, 12, 40}},
    {0, 0, 1, 3, {6, 12, 48}, {10, 28, 100}}, {0, 0, 4, 7, {4, 6, 20}, {17, 24, 80}}, {0, 0, 8, 12, {4, 6, 20}, {5, 6, 28}},
    {0, 1, 1, 3, {6, 12, 48}, {10, 28, 100}}, {0, 1, 4, 12, {4, 8, 20}, {6, 12, 48}},
};

static void test_costs(const output_cost *o)
{
    for (int32_t group = o->first_group; group <= o->last_group; group++)
        for (int32_t lone = 0; lone < 4; lone++)
            for (int32_t tiled = 0; tiled <= 8; tiled += 4) {
                const cge_gathered g = {3, tiled, lone, 10, group, 37, 5, o->depthwise, o->transposed};
                const int32_t channels = o->depthwise || group >= 4 ? 12 : 10; /* by fours */
                const int32_t channels_alone = !o->depthwise && !o->transposed && group >= 8 ? 16 : channels; /* by eights */
                const int32_t of_tile = 37 * o->of_tile[0] + 5 * o->of_tile[1] + o->of_tile[2];
                const int32_t alone = 37 * o->alone[0] + 5 * o->alone[1] + o->alone[2];
                CHECK(cge_gather_macs(&g) == 3 * (channels * tiled * of_tile + channels_alone * lone * alone) / 4);
            }
}

/* ---- groups ---- */

static struct {
    int32_t next, end, in_group, most;
} ran;

/* At most so many at a time, one after the other, each in its group. */
static int32_t run_some(const cge_pieces *u, int32_t group, cge_range some)
{
    const int32_t count = some.end - some.begin, taken = count < ran.most ? count : ran.most;
    (void)u;
    CHECK(count > 0 && some.begin >= 0 && some.end <= ran.in_group && group * ran.in_group + some.begin == ran.next);
    CHECK(some.end == ran.in_group || group * ran.in_group + some.end == ran.end);
    ran.next += taken;
    return taken;
}

static void test_groups(const cge_pieces *u)
{
    const cge_range pieces = {drawn(0, 20), drawn(20, 40)};
    ran.in_group = drawn(1, 9);
    ran.most = drawn(1, 5);
    ran.next = pieces.begin;
    ran.end = pieces.end;
    CHECK_OK(cge_run_groups(u, pieces, ran.in_group, run_some));
    CHECK(ran.next == pieces.end);
}

void suite_boxes(void)
{
    if (!check_room("boxes", sizeof(cge_pieces))) return;
    cge_pieces *u = check_bytes(sizeof *u);
    memset(u, 0, sizeof *u);
    state = SEED_BOXES;
    for (int32_t i = 0; i < CASES; i++) {
        test_cut(u);
        test_join();
        test_columns_that_are_alone(u);
        test_groups(u);
    }
    for (int32_t i = 0; i < COUNT_OF(output_costs); i++) test_costs(&output_costs[i]);
    for (int32_t columns = 1; columns <= 29; columns++)
        for (int32_t left = 0; left <= 5 && left <= columns; left++)
            for (int32_t right = 0; right <= 5 && left + right <= columns; right++)
                for (int32_t width = 0; width <= 12; width += 4) test_columns(columns, left, right, width == 0 ? 1 : width);
}
