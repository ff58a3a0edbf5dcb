/*
 * Masks in place of outputs. Biases need no x. So where all readers of a unit's output learn their biases alone, or nothing,
 * backward asks which gradients the activation lets through: ReLU and ReLU6 those where y is between their limits. That is a
 * bit each, and none at all without an activation. Such a unit forgets its output as soon as forward is through with it.
 *
 * The bits lie behind the unit's winners. Backward takes a layer for the activation whose gradient is told by them.
 */
#include "units.h"

enum { MASK_PART = 32 }; /* elements that a mask is made of at a time */

/* ---- which units ---- */

static int mask_trait(const cge_model *model, int32_t l, int trait)
{
    return (model->layers[l].kind->traits & trait) != 0;
}

static int mask_reads(const cge_unit *u, int32_t number)
{
    return u->x[0] == number || u->x[1] == number;
}

/* As one with other units. */
static int makes_maps_again(const cge_unit *u)
{
    return (u->style & (CGE_UNIT_STEM | CGE_UNIT_BLOCK | CGE_UNIT_LEARNS_BY_ROWS)) != 0;
}

CGE_INTERNAL int cge_unit_needs_x(const cge_model *model, const cge_unit *u)
{
    const cge_layer *main = &model->layers[u->main];
    if (makes_maps_again(u) || mask_trait(model, u->main, CGE_INPUT_GRAD_READS_X)) return 1;
    if (!mask_trait(model, u->main, CGE_WEIGHT_GRAD_READS_X)) return 0;
    return (main->flags & CGE_FROZEN) == 0 && main->trains != CGE_TRAINS_BIAS;
}

/* Its own backward does without y, or with a mask. */
static int own_mask_does(const cge_model *model, const cge_unit *u)
{
    if (makes_maps_again(u) || mask_trait(model, u->main, CGE_INPUT_GRAD_READS_Y)) return 0;
    return u->activation < 0 || mask_trait(model, u->activation, CGE_AFTER_MAX);
}

CGE_INTERNAL int cge_unit_forgets(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number)
{
    int32_t r, readers = 0;
    if (units[number].main < 0 || !units[number].learns || !own_mask_does(model, &units[number])) return 0;
    for (r = number + 1; r < unit_count; r++) {
        if (!mask_reads(&units[r], number)) continue;
        if (cge_unit_needs_x(model, &units[r])) return 0;
        readers++;
    }
    return readers > 0; /* the loss reads the last one's */
}

/* ---- gradients around a skip ---- */

/* A sum that takes the place of what it reads. */
static int is_sum(const cge_model *model, const cge_unit *u)
{
    return u->x[1] != CGE_NO_UNIT && mask_trait(model, u->main, CGE_IN_PLACE);
}

/* Whether the gradient of unit u's output is that of unit `sum`: all that reads it are sums on the way there. */
static int leads_to_sum(const cge_model *model, const cge_unit *units, int32_t u, int32_t sum)
{
    int32_t reader = u;
    while (u < sum && !units[u].shared && units[u].activation < 0) {
        while (reader < sum && !mask_reads(&units[reader], u)) reader++;
        if (!mask_reads(&units[reader], u) || !is_sum(model, &units[reader])) return 0;
        u = reader;
    }
    return u == sum;
}

/* Around units that unit `number` feeds, the skip hands on the sum's gradient, which begins that of the unit. It may stay where
 * it is if nobody reads it as the sum's any more when those units add to it. */
CGE_INTERNAL int32_t cge_sum_of_skip(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number)
{
    int32_t sum = unit_count - 1, other, adds, u;
    if (!units[number].shared) return -1;
    while (!mask_reads(&units[sum], number)) sum--;
    if (!is_sum(model, &units[sum]) || units[sum].activation < 0 || (units[sum].style & CGE_UNIT_LEARNS_BY_ROWS) != 0) return -1;
    other = units[sum].x[units[sum].x[0] == number];
    if (other == number || (other >= 0 && units[other].shared)) return -1;
    for (adds = sum - 1; !mask_reads(&units[adds], number);) adds--;
    while ((units[adds].style & CGE_UNIT_BLOCK) != 0 && (units[adds].style & CGE_UNIT_HANDS_ROWS_ON) != 0) adds++;
    for (u = 0; u <= adds; u++)
        if (u != number && leads_to_sum(model, units, u, sum)) return -1;
    return sum;
}

/* ---- masks ---- */

CGE_INTERNAL int32_t cge_mask_elems(const cge_unit *u, const cge_unit_call *c)
{
    const int32_t bits = 8 * (int32_t)sizeof(cge_real);
    return u->learns == CGE_FORGETS && u->activation >= 0 ? (cge_shape_elems(c->out) + bits - 1) / bits : 0;
}

/* ---- at work ---- */

static unsigned char *mask_of(const cge_network *net, int32_t number)
{
    const cge_unit *u = &net->options.plan->units[number];
    cge_unit_call c;
    cge_describe_unit(net->model, cge_layer_plans(net), u, &c);
    return (unsigned char *)(cge_tensor_at(net, u->winners) + cge_unit_winners_elems(&c));
}

/* The first bit of a byte clears it: parts come in ascending order. */
static void note_bit(unsigned char *mask, int32_t i, int passes)
{
    if ((i & 7) == 0) mask[i >> 3] = 0;
    mask[i >> 3] = (unsigned char)(mask[i >> 3] | passes << (i & 7));
}

/* What becomes of gradients that are 1. */
static void note_part(const cge_layer *activation, unsigned char *mask, int32_t first, int32_t count, const cge_real *y)
{
    cge_real dx[MASK_PART];
    cge_layer_call c;
    int32_t i;
    for (i = 0; i < count; i++) dx[i] = 1;
    memset(&c, 0, sizeof c);
    c.layer = activation;
    c.in.h = 1, c.in.w = 1, c.in.c = count;
    c.out = c.in;
    c.count = 1;
    c.y = cge_writable(y);
    c.dy = dx;
    c.dx = dx;
    activation->kind->input_grad(&c);
    for (i = 0; i < count; i++) note_bit(mask, first + i, dx[i] > 0);
}

CGE_INTERNAL void cge_keep_mask(const cge_network *net, int32_t number, cge_range elems, const cge_real *y)
{
    const cge_unit *u = &net->options.plan->units[number];
    unsigned char *mask;
    int32_t i, count;
    if (u->learns != CGE_FORGETS || u->activation < 0) return;
    mask = mask_of(net, number);
    for (i = elems.begin; i < elems.end; i += count, y += count) {
        count = elems.end - i < MASK_PART ? elems.end - i : MASK_PART;
        note_part(&net->model->layers[u->activation], mask, i, count, y);
    }
}

/* The whole mask lies at x; the gradients are those from element c->first on. */
static void mask_input_grad(const cge_layer_call *c)
{
    const unsigned char *mask = (const unsigned char *)c->x;
    int32_t i;
    for (i = 0; i < c->in.c; i++) {
        const int32_t at = c->first + i;
        c->dx[i] = (mask[at >> 3] >> (at & 7) & 1) != 0 ? c->dy[i] : CGE_REAL(0);
    }
}

static const cge_layer_kind mask_kind = {0, 0, CGE_IN_PLACE | CGE_AFTER_MAX, NULL, NULL, NULL, mask_input_grad};
static const cge_layer mask_below = {&mask_kind, NULL, {0, 0}, 0, 0, CGE_INIT_HE_UNIFORM, 0};

CGE_INTERNAL void cge_take_mask_of_x(const cge_network *net, int32_t source, cge_unit_call *c)
{
    c->style |= CGE_UNIT_DX_APART;
    if (c->below == NULL) return;
    c->x = (const cge_real *)(const void *)mask_of(net, source);
    c->below = &mask_below;
}

CGE_INTERNAL void cge_take_mask_of_y(const cge_network *net, int32_t number, cge_unit_call *c)
{
    c->y = (cge_real *)(void *)mask_of(net, number);
    c->activation = &mask_below;
}
