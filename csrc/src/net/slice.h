/*
 * A step in slices: what its parts share. slice.c moves the cursor. slice_forward.c has what forward, prediction and evaluation
 * consist of, slice_train.c what training does beside, and slice_whole.c what is not cut.
 */
#ifndef CGE_SLICE_H
#define CGE_SLICE_H

#include "samples.h"
#include "units.h"
#include "../layers/passes.h"

enum { STAGE_CLEAR, STAGE_FORWARD, STAGE_LOSS, STAGE_OUTPUT, STAGE_BOUND, STAGE_SHARED, STAGE_BACKWARD, STAGE_UPDATE };

typedef struct net_slice { /* passes get its first member */
    cge_pieces unit;
    cge_pass_list list; /* of the stage and unit where the cursor is */
    cge_network *net;
    cge_step *step;
} net_slice;

struct cge_slice_task {
    cge_pass_list (*stage_passes)(net_slice *s); /* of the stage and the unit where the cursor is, which is made ready */
    int (*next_stage)(net_slice *s);             /* 0: there is none */
    int measures, trains;                        /* there is a loss; the samples make a step */
};

static inline const net_slice *slice_of(const cge_pieces *u)
{
    return (const net_slice *)(const void *)u;
}

static inline const cge_unit *unit_of(const net_slice *s)
{
    return &s->net->options.plan->units[s->step->unit];
}

static inline const void *sample_of(const net_slice *s)
{
    return cge_sample_at(s->net, s->step->x, s->step->losses.done);
}

static inline int32_t stem_of(const net_slice *s)
{
    return cge_count_stem_units(s->net->options.plan->units, s->net->options.plan->unit_count);
}

/* Units that hand rows or channels on, and the one behind them. */
static inline int32_t end_of_relay(const net_slice *s, int32_t u)
{
    while ((s->net->options.plan->units[u].style & CGE_UNIT_HANDS_ROWS_ON) != 0) u++;
    return u;
}

/* Numbers one behind the other, each of which costs so much. */
static inline int32_t blocks_of(int32_t elems, int32_t macs)
{
    return elems > 0 ? cge_pieces_of(elems, cge_piece_of(elems, macs)) : 0;
}

static inline int64_t block_cost(int32_t elems, int32_t macs, int32_t piece)
{
    return (int64_t)cge_piece_elems(elems, cge_piece_of(elems, macs), piece) * macs;
}

static inline cge_range block_range(int32_t elems, int32_t macs, cge_range pieces)
{
    return cge_range_of(elems, cge_piece_of(elems, macs), pieces);
}

static inline int32_t one_pieces(const cge_pieces *u)
{
    (void)u;
    return 1;
}

static inline int64_t end_macs(const cge_pieces *u, int32_t piece)
{
    (void)u, (void)piece;
    return 1;
}

/* What is not cut, as one piece, forward or back: a unit by itself, those of the stem together, those of a block; and those of a
 * relay, which has no way back in slices. */
CGE_INTERNAL cge_pass_list cge_slice_whole_unit(int back);
CGE_INTERNAL cge_pass_list cge_slice_stem(int back);
CGE_INTERNAL cge_pass_list cge_slice_block(int back);
CGE_INTERNAL cge_pass_list cge_slice_relay(void);

/* The output of the last unit that computes, or the sample. */
CGE_INTERNAL const cge_real *cge_slice_last_output(const net_slice *s);

/* The cursor at the first piece of a stage; at the first unit of a sample, or the stage behind if none computes. Return 1. */
CGE_INTERNAL int cge_slice_enter(net_slice *s, int32_t stage, int32_t unit);
CGE_INTERNAL int cge_slice_enter_sample(net_slice *s, int32_t stage_behind);

/* Forward of the unit where the cursor is, and what follows it. A stem is one unit here, its last. */
CGE_INTERNAL cge_pass_list cge_slice_forward(net_slice *s, int keeps_winners);
CGE_INTERNAL int cge_slice_next_forward(net_slice *s, int32_t stage_behind);

/* Of a sample's loss, and whether its targets are what they were when they were checked: their owner may have changed them. */
CGE_INTERNAL int64_t cge_slice_loss_macs(const cge_pieces *u, int32_t piece);
CGE_INTERNAL cge_status cge_slice_check_again(const net_slice *s);

/* Stages of the tasks, as in cge_slice_task. */
CGE_INTERNAL cge_pass_list cge_slice_stage_of_forward(net_slice *s);
CGE_INTERNAL int cge_slice_next_of_forward(net_slice *s);
CGE_INTERNAL cge_pass_list cge_slice_stage_of_evaluate(net_slice *s);
CGE_INTERNAL int cge_slice_next_of_evaluate(net_slice *s);
CGE_INTERNAL cge_pass_list cge_slice_stage_of_train(net_slice *s);
CGE_INTERNAL int cge_slice_next_of_train(net_slice *s);

#endif
