/*
 * The memory levels below `fast`. Four small steps make a plan: units.c groups layers into units, styles.c chooses how each
 * works, uses.c says which tensors they need during which operations, place.c gives each tensor an offset. steps.c runs the
 * units.
 *
 * Forward keeps what units put out and the winners of their pooling, from the first unit that learns on. Backward writes
 * gradients where they belong: the gradient of a unit's output over the output.
 */
#ifndef CGE_UNITS_H
#define CGE_UNITS_H

#include "samples.h"
#include "../layers/unit.h"

enum { CGE_MOST_STEM_UNITS = 4, CGE_MOST_LEARNING_UNITS = 16 };

/* Where a unit stays between two slices (slice.c): what that takes on 32-bit processors. */
enum { CGE_SLICE_ELEMS = 99 };

/* What is known of a step of layers that learn at once (cge_step.trial): the bound is asked, or backward tries, or has tried. */
enum { CGE_ASKS, CGE_TRIES, CGE_TRIED };

/* Scratch of relays that learn, by the layers with which their first and last unit begin. To find it takes a walk through all
 * of their rows. */
typedef struct cge_known_relays {
    int16_t begin[2], end[2];
    cge_unit_scratch scratch[2];
} cge_known_relays;

/* What styles are chosen for (styles.c). */
typedef struct cge_style_choice {
    const cge_model *model;
    const cge_layer_plan *layers;
    const cge_memory_level *level;
    int32_t training;
    cge_unit *units;
    int32_t unit_count;
    cge_tensor *tensors;
    const struct cge_masks *masks; /* NULL: no unit forgets its output */
    cge_known_relays *known; /* NULL: none is known */
} cge_style_choice;

/* Units that hand rows on (relay.c), with what they need only if a level has them. */
typedef struct cge_relays {
    /* Whether all units with CGE_UNIT_RELAY can work so; and none has CGE_UNIT_FEW_CHANNELS alone. */
    int (*are_possible)(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units, int32_t unit_count);
    /* Relays, where less is alive with them than with the stem that was chosen. Returns what is. */
    int32_t (*choose_relays)(const cge_style_choice *s, int32_t with_stem);
    /* Of the relay whose last unit is like `end`. */
    cge_unit_scratch (*relay_scratch)(const cge_style_choice *s, const cge_unit *end);
    /* The relay whose last unit is `end`; returns what it puts out. *largest, if not NULL, becomes the largest |x| between
     * its units if it was smaller. */
    const cge_real *(*run_relay)(const cge_network *net, const cge_real *params, int32_t end, const void *x, cge_real *largest);
    /* What backward does of one that learns in the operation of unit `number`, its last or the one before. 0: a gradient is not
     * finite. */
    int (*back_through_relay)(const cge_network *net, int32_t number, const void *x);
    /* Whether units begin .. end can be one that learns. */
    int (*could_learn_by_rows)(const cge_style_choice *s, int32_t begin, int32_t end);
    /* Backward of a mean over all rows, a row of dx at a time, which may lie over x. Returns 1. */
    int (*spread_mean)(const cge_unit_call *c);
} cge_relays;
CGE_INTERNAL int cge_spread_mean(const cge_unit_call *c);
CGE_INTERNAL int cge_relays_are_possible(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units, int32_t unit_count);
CGE_INTERNAL int32_t cge_choose_relay_styles(const cge_style_choice *s, int32_t with_stem);
/* Gives those units before the first that learns, or with `learning` before the first that keeps its output for backward,
 * styles with which the least is alive; or, if limit > 0, with which no more is alive and the fewest units are in a relay.
 * `memory` has two tensors a unit. */
CGE_INTERNAL void cge_choose_relays(const cge_model *model, const cge_layer_plan *layers, cge_unit *units, int32_t unit_count,
                                    cge_tensor *memory, int32_t limit, int learning);
CGE_INTERNAL cge_unit_scratch cge_relay_scratch(const cge_style_choice *s, const cge_unit *end);
CGE_INTERNAL const cge_real *cge_run_relay(const cge_network *net, const cge_real *params, int32_t end, const void *x, cge_real *largest);
CGE_INTERNAL int cge_back_through_relay(const cge_network *net, int32_t number, const void *x);
CGE_INTERNAL int cge_could_learn_by_rows(const cge_style_choice *s, int32_t begin, int32_t end);

/* Units that run by groups of channels (block.c), with what they need only if a level has them. */
typedef struct cge_blocks {
    /* Whether all units with CGE_UNIT_BLOCK can work so. */
    int (*blocks_are_possible)(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units, int32_t unit_count);
    /* Blocks, where less is alive with them than what is at most without: `limit`. Returns what is. */
    int32_t (*choose_blocks)(const cge_style_choice *s, int32_t limit);
    /* Of the block whose last unit is like `end`. */
    cge_unit_scratch (*block_scratch)(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                      const cge_unit *end, int at_once);
    /* The block whose last unit is `end`; returns what it puts out. *largest, if not NULL, becomes the largest number of the
     * maps that never exist as a whole if it was smaller. And back through it: 0 if a gradient is not finite. */
    const cge_real *(*run_block)(const cge_network *net, const cge_real *params, int32_t end, const void *x, cge_real *largest);
    int (*back_through_block)(const cge_network *net, int32_t end, const void *x);
} cge_blocks;
CGE_INTERNAL int cge_blocks_are_possible(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                         int32_t unit_count);
CGE_INTERNAL int32_t cge_choose_block_styles(const cge_style_choice *s, int32_t limit);
CGE_INTERNAL cge_unit_scratch cge_block_scratch(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                                const cge_unit *end, int at_once);
CGE_INTERNAL const cge_real *cge_run_block(const cge_network *net, const cge_real *params, int32_t end, const void *x,
                                           cge_real *largest);
CGE_INTERNAL int cge_back_through_block(const cge_network *net, int32_t end, const void *x);

/* In cge_unit.learns, of a unit that keeps its output for backward, or a mask in its place (masks.c). */
enum { CGE_KEEPS = 1, CGE_FORGETS = 2 };

/* Masks in place of outputs (masks.c), with what they need only if a level has them. */
typedef struct cge_masks {
    /* Whether unit `number` does without its output in backward, if it learns. */
    int (*unit_forgets)(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number);
    /* The sum where the gradient of unit `number`'s output lies, which a skip leads to; -1: none. */
    int32_t (*sum_of_skip)(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number);
    /* Of unit *u, which c describes: elements behind its winners. */
    int32_t (*mask_elems)(const cge_unit *u, const cge_unit_call *c);
    /* Some elements of unit `number`, which lie at y, ascending from call to call. */
    void (*keep_mask)(const cge_network *net, int32_t number, cge_range elems, const cge_real *y);
    /* Points c to a mask in place of x, which unit `source` put out; or in place of its own y. */
    void (*take_mask_of_x)(const cge_network *net, int32_t source, cge_unit_call *c);
    void (*take_mask_of_y)(const cge_network *net, int32_t number, cge_unit_call *c);
} cge_masks;
CGE_INTERNAL int cge_unit_forgets(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number);
CGE_INTERNAL int32_t cge_sum_of_skip(const cge_model *model, const cge_unit *units, int32_t unit_count, int32_t number);
/* In backward, for more than to hand gradients on. */
CGE_INTERNAL int cge_unit_needs_x(const cge_model *model, const cge_unit *u);
CGE_INTERNAL int32_t cge_mask_elems(const cge_unit *u, const cge_unit_call *c);
CGE_INTERNAL void cge_keep_mask(const cge_network *net, int32_t number, cge_range elems, const cge_real *y);
CGE_INTERNAL void cge_take_mask_of_x(const cge_network *net, int32_t source, cge_unit_call *c);
CGE_INTERNAL void cge_take_mask_of_y(const cge_network *net, int32_t number, cge_unit_call *c);

/* Of cge_unit.style. */
enum { CGE_MOST_HALVINGS = CGE_UNIT_ALL_HALVINGS / CGE_UNIT_HALVING };

/* How many units from unit `first` on can be a block; 0: none. And whether the groups of one, whose last unit is `end`, can be
 * halved so often. */
CGE_INTERNAL int32_t cge_block_from(const cge_model *model, const cge_layer_plan *layers, const cge_unit *units,
                                    int32_t unit_count, int32_t first);
CGE_INTERNAL int cge_block_can_halve(const cge_layer_plan *layers, const cge_unit *end, int32_t times);

/* Backward takes it with others as one, which is what the last of them does. */
static inline int cge_unit_learns_with_others(const cge_unit *u)
{
    return (u->style & (CGE_UNIT_BLOCK | CGE_UNIT_LEARNS_BY_ROWS)) != 0;
}

/* Whether a relay that learns goes back through all of its units in the operation of unit `number`. It is that of the last but one,
 * which has no other; so the output of the last one, which its own operation may read, is forgotten by then. */
static inline int cge_walks_back(const cge_unit *units, int32_t number)
{
    const int32_t end = number + ((units[number].style & CGE_UNIT_HANDS_ROWS_ON) != 0);
    if ((units[end].style & (CGE_UNIT_LEARNS_BY_ROWS | CGE_UNIT_HANDS_ROWS_ON)) != CGE_UNIT_LEARNS_BY_ROWS) return 0;
    return number == (units[end - 1].learns ? end - 1 : end);
}

/* Whether a relay that learns reads unit `number`, which is none of its units; then nobody else does, if the unit learns. */
static inline int cge_is_read_by_rows(const cge_unit *units, int32_t count, int32_t number)
{
    int32_t r = number + 1;
    if ((units[number].style & CGE_UNIT_LEARNS_BY_ROWS) != 0 && (units[number].style & CGE_UNIT_HANDS_ROWS_ON) != 0) return 0;
    while (r < count && units[r].x[0] != number && units[r].x[1] != number) r++;
    return r < count && (units[r].style & CGE_UNIT_LEARNS_BY_ROWS) != 0;
}

/* Whether backward has nothing to do for unit `number`, since others do. */
static inline int cge_rests_backward(const cge_unit *units, int32_t number)
{
    const cge_unit *u = &units[number];
    return cge_unit_learns_with_others(u) && (u->style & CGE_UNIT_HANDS_ROWS_ON) != 0 && !cge_walks_back(units, number);
}

struct cge_memory_level {
    /* CGE_ERR_MISMATCH if options->plan is another model's, or two tensors that live together overlap. Else *counts is
     * filled in. */
    cge_status (*check_plan)(const cge_model *model, const cge_options *options, cge_network_plan *counts);
    /* Forward of one sample; returns the last output. NULL, as learn_pass is then: walk.c runs layers. */
    const cge_real *(*forward_units)(const cge_network *net, const cge_real *params, const void *x);
    /* Forward, loss, backward of samples begin .. begin + count - 1, which lie at x. 0: not finite, see at_once. */
    int (*learn_pass)(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin, int32_t count,
                      cge_progress *losses);
    /* Of a plan over several memories: see cge_spread_kind. */
    cge_status (*check_spread)(const cge_plan *plan, cge_network_plan *parts, const void *arena);
    /* What is not in the arena, or not there at all; the arena's parts are known. */
    void (*enter)(cge_network *net);
    int32_t at_once; /* no gradient buffer: a layer learns as soon as its gradient is complete */
    int (*learn_conv2d)(const cge_unit_call *c); /* backward of CGE_UNIT_DX_FIRST; NULL: no unit has that style */
    int32_t one_by_one; /* units run one after the other, each of which can be cut: no stem; there is room for CGE_SLICE_ELEMS */
    int32_t together;   /* styles of several units together */
    const cge_relays *relays; /* NULL: no unit has CGE_UNIT_RELAY */
    const cge_blocks *blocks; /* NULL: no unit has CGE_UNIT_BLOCK */
    const cge_masks *masks;   /* NULL: no unit has CGE_FORGETS */
    int32_t holds_several; /* options->capacity may be above 1; else a pass is of one sample */
};

/* cge_memory_fast: a unit is a layer, and layers run as they do without a plan. */
static inline int cge_runs_layers(const cge_memory_level *level)
{
    return CGE_HOST && level->forward_units == NULL;
}

/* A plan over several memories (spread.c), as a table that no program without them links. */
struct cge_spread_kind {
    /* Whether a tensor lies in the arena's region or in one of the ranges. */
    int (*holds)(const cge_plan *plan, const cge_tensor *t);
    /* Blocks that lie elsewhere are taken out of *parts; CGE_ERR_MISMATCH: they do not lie as they should. With an arena, which
     * is large enough, the ranges' addresses are checked, too. */
    cge_status (*leave_arena)(const cge_plan *plan, cge_network_plan *parts, const void *arena);
    /* What a network has there is zeroed, and the network points to it. */
    void (*enter_ranges)(cge_network *net);
    /* A seal of what came before, and of what the ranges hold (seal.c). */
    uint32_t (*seal)(const cge_spread *spread, uint32_t seal);
};

/* What an offset says that is not the arena's: number of the range times CGE_RANGE_ELEMS, and the element in it. */
static inline cge_real *cge_range_at(const cge_spread *spread, int32_t offset)
{
    return (cge_real *)spread->ranges[offset / CGE_RANGE_ELEMS - 1].start + offset % CGE_RANGE_ELEMS;
}

/* Where tensor `number` lies; NULL: -1. */
CGE_INTERNAL cge_real *cge_tensor_at(const cge_network *net, int32_t number);

/* A pass of several samples (batch.c). */
CGE_INTERNAL int cge_learn_pass_by_units(cge_network *net, const void *x, const cge_sample_list *s, int32_t begin,
                                         int32_t count, cge_progress *losses);

/* Forward of a unit in training, with its scratch; `largest` as from cge_stem_forward. NULL: zeros are left out of what is not
 * finite. */
CGE_INTERNAL const cge_real *cge_run_unit_forward(const cge_network *net, int32_t number, const void *x,
                                                  const cge_real *largest);

/* Keeps what backward needs of y, all of which is there. */
CGE_INTERNAL void cge_note_output(const cge_network *net, int32_t number, const cge_unit_call *c);

/* A unit as a whole: forward; and backward, 0: a gradient is not finite. */
CGE_INTERNAL void cge_unit_forward(const cge_unit_call *c);
CGE_INTERNAL int cge_unit_backward(const cge_network *net, int32_t number, const void *x);

/* Unit `number` at work backward, but what is to be done where its output is read more than once, or it reads two. */
CGE_INTERNAL void cge_set_backward_call(const cge_network *net, int32_t number, const void *x, cge_unit_call *c);

/* The loss' gradient, through the last unit's activation. */
CGE_INTERNAL void cge_start_backward(const cge_network *net, const cge_real *y, const cge_targets *targets, int32_t sample);

/* Whether anything does; whether unit u hands a gradient on; whether no unit is read more than once or reads two. */
CGE_INTERNAL int cge_something_learns(const cge_plan *plan);
CGE_INTERNAL int cge_unit_hands_on(const cge_plan *plan, const cge_unit *u);
CGE_INTERNAL int cge_is_chain_of_units(const cge_plan *plan);

/* Whether what units of the stem leave out are products with numbers; `largest` as from cge_stem_forward. */
CGE_INTERNAL int cge_stem_reads_finite(const cge_network *net, const void *x, cge_real largest);

/* Bounds of a step's gradients (steps.c): is x below what overflows nowhere; the steepest slope of an activation, NULL: none;
 * that of what a unit hands its gradients on through; |dx| over |dy| of a layer that is a unit; what a gradient's bound is
 * multiplied by, 0: a step may overflow whatever it is. */
CGE_INTERNAL int cge_is_bounded(cge_real x);
CGE_INTERNAL cge_real cge_slope_of(const cge_layer *activation);
CGE_INTERNAL cge_real cge_slope_below(const cge_network *net, const cge_unit *u);
CGE_INTERNAL cge_real cge_layer_gain(const cge_unit_call *c);
CGE_INTERNAL cge_real cge_begin_step_at_once(const cge_network *net);
CGE_INTERNAL cge_real cge_norm_bound(const cge_unit_call *c, int which); /* norm_ref.c has them */

/* dw and db say whether weights and biases of layer l learn; nobody writes there. */
CGE_INTERNAL void cge_mark_what_learns(const cge_network *net, int32_t l, cge_unit_params *p);

/* The unit that begins with layer `begin`, without tensors; `graph` as cge_is_graph says. */
CGE_INTERNAL cge_unit cge_unit_from(const cge_model *model, int graph, int32_t begin);
CGE_INTERNAL int32_t cge_count_units(const cge_model *model);

/* The same of a level that runs layers: layer l, without `main` if it only renames. */
CGE_INTERNAL cge_unit cge_unit_of_layer(const cge_model *model, int32_t l);

/* In cge_unit.x. */
enum { CGE_MODEL_INPUT = -1, CGE_NO_UNIT = -2 };

/* Which units, of the `number` ones before it, a unit reads, and whether it is read more than once. */
CGE_INTERNAL void cge_connect_unit(const cge_model *model, int graph, const cge_unit *units, int32_t number, cge_unit *u);

/* Elements of the window of the unit that reads x, which lies before the rest of its scratch; 0 if x is cge_real. */
CGE_INTERNAL int32_t cge_unit_window(const cge_model *model, const cge_unit_call *c);

/* Which layers a unit consists of, and their shapes. No layer if u->main is -1. */
CGE_INTERNAL void cge_describe_unit(const cge_model *model, const cge_layer_plan *layers, const cge_unit *u, cge_unit_call *c);

/* A convolution by rows or a dense layer by inputs. */
CGE_INTERNAL int cge_unit_runs_in_pieces(const cge_model *model, const cge_unit *u);

/* Elements of the gradients of a unit's parameters that are alive at a time where it learns at once; row: of its layer that
 * computes. */
CGE_INTERNAL int32_t cge_unit_piece_elems(const cge_unit_call *c, const cge_layer_plan *row);

/* The styles that a unit may have, all of them. */
CGE_INTERNAL int32_t cge_styles_of(const cge_model *model, const cge_memory_level *level, int32_t training, const cge_unit *u);

/* Whether the first units that have CGE_UNIT_STEM can run so. None at all can. */
CGE_INTERNAL int cge_stem_is_possible(const cge_model *model, int32_t training, const cge_unit *units, int32_t unit_count);

CGE_INTERNAL int32_t cge_count_stem_units(const cge_unit *units, int32_t unit_count);

/* Scratch of a stem, in elements. Begins as zeros; its units are added in their order. */
typedef struct cge_stem_scratch {
    int32_t units;
    int32_t windows;       /* rows of what the units hand on */
    int32_t forward_room, backward_room; /* of maps and gradients, some rows at a time */
    int32_t again;         /* of that, what the last unit so far takes where its rows are computed again */
    int32_t row, row_winners; /* of the first unit's output, if it learns: the gradient of a row, and that row's winners */
    int32_t winners;       /* or all of its winners, which forward keeps */
    int32_t gradients;     /* of parameters that learn at once */
} cge_stem_scratch;
CGE_INTERNAL void cge_add_to_stem(cge_stem_scratch *s, const cge_unit_call *c, int learns, int at_once);

/* The stem of a plan forward, as a part of which its last unit has y; *largest, if not NULL, becomes the largest |x| of that
 * unit if it was smaller. And back through it: 0 if a gradient is not finite. */
CGE_INTERNAL void cge_stem_forward(const cge_network *net, const cge_real *params, const cge_real *x, cge_real *largest);
CGE_INTERNAL int cge_stem_backward(const cge_network *net, const cge_real *x);

/* Unit `number` of a plan, at work. Its parameters' gradients, if there are any, lie at `scratch` and are to learn at once; with
 * NULL they are net->grads. */
CGE_INTERNAL void cge_set_unit_call(const cge_network *net, const cge_real *params, int32_t number, const void *x, cge_unit_call *c);
CGE_INTERNAL void cge_set_unit_params(const cge_network *net, const cge_real *params, int32_t l, cge_real *scratch, cge_unit_params *p);

/* Points c to input `slot` of unit u, whose gradient is wanted. 0: it is not. */
CGE_INTERNAL int cge_set_unit_input(const cge_network *net, const cge_unit *u, int slot, const void *x, cge_unit_call *c);

/* Its scratch, which is tensor `number`; the window on the model's input lies before the rest of it. */
CGE_INTERNAL void cge_set_unit_scratch(const cge_network *net, int32_t number, cge_unit_call *c);

/* Chooses the units' styles, then finds their uses (cge_find_uses). */
CGE_INTERNAL int32_t cge_choose_styles(cge_style_choice *s);

/* Fills in the tensors of all units, whose styles are given, without offsets, and which unit has which. Returns how many, at most
 * 5 a unit. */
CGE_INTERNAL int32_t cge_find_uses(const cge_style_choice *s);

/* Scratch of unit *u, none of a stem, among s->units, of which those before it are known. */
CGE_INTERNAL cge_unit_scratch cge_scratch_of_unit(const cge_style_choice *s, const cge_unit *u);

/* Whether a plan has just these units and tensors, wherever they lie. */
CGE_INTERNAL int cge_uses_match(const cge_model *model, const cge_plan *plan);

/* Operations of a plan, as cge_plan numbers them: how many, and which is a unit's backward pass. */
static inline int32_t cge_operations(int32_t unit_count)
{
    return 2 * unit_count + 1;
}

static inline int32_t cge_backward_of(int32_t unit_count, int32_t unit)
{
    return 2 * unit_count - unit;
}

/* Elements that are alive during each operation, in t[operation].offset: tensors that are not placed have no use for it. Returns
 * the most. t has room for `operations` tensors. Saturates above CGE_MAX_ELEMS. */
CGE_INTERNAL int32_t cge_count_alive(cge_tensor *t, int32_t count, int32_t operations);

/* Gives each tensor an offset; order [2 * count] is scratch. Returns the end of the last; *bound: the most alive at once. */
CGE_INTERNAL int32_t cge_place_tensors(cge_tensor *t, int32_t count, int32_t operations, int16_t *order,
                                       int32_t *bound);

/* CGE_ERR_MISMATCH if two tensors that live together overlap, one reaches out of its memory, or the plan is another
 * model's. Else *counts has its elements (cge_count_layer). */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_plan(const cge_model *model, const cge_options *options, cge_network_plan *counts);

/* The same of a plan that bears a seal; and a seal with one more word. */
CGE_INTERNAL CGE_MUST_USE cge_status cge_check_sealed_plan(const cge_model *model, const cge_options *options,
                                                           cge_network_plan *counts);
CGE_INTERNAL uint32_t cge_seal_word(uint32_t seal, int32_t word);

/* Others read unit `number`'s output more than once: the sum of their gradients goes through its activation first, here some
 * elements. A relay that learns has done that with what it reads. */
static inline int cge_is_shared_behind(const cge_plan *plan, int32_t number)
{
    const cge_unit *u = &plan->units[number];
    return u->shared && u->activation >= 0 && !cge_is_read_by_rows(plan->units, plan->unit_count, number);
}
CGE_INTERNAL void cge_shared_backward(const cge_unit_call *c, cge_range elems);

/* Of a layer with two inputs, some pixels of the gradient of input `slot`; c is from cge_set_backward_call and changes. */
CGE_INTERNAL void cge_merge_backward(const cge_network *net, const cge_unit *u, int slot, const void *x, cge_range pixels, cge_unit_call *c);

#endif
