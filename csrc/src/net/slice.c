/*
 * A step in slices. The step is a cursor and not a call tree: {sample, stage, unit, pass, piece} in net->step says which piece is
 * next, everything else is in the arena. A task is the order of stages; what a stage consists of are passes (layers/passes.h).
 * `busy` stays taken from begin to the end, so that nothing else works on the network in between.
 */
#include "slice.h"

#include "../base/exclusive.h"
#include "../base/fp_mode.h"
#include "../kernels/kernels.h"

static const cge_slice_task task_forward = {cge_slice_stage_of_forward, cge_slice_next_of_forward, 0, 0};
static const cge_slice_task task_evaluate = {cge_slice_stage_of_evaluate, cge_slice_next_of_evaluate, 1, 0};
static const cge_slice_task task_train = {cge_slice_stage_of_train, cge_slice_next_of_train, 1, 1};

/* The cursor at the first piece of a task; the caller adds what only some tasks have. */
static cge_step first_piece(const cge_network *net, const cge_slice_task *task, const void *x, int32_t count)
{
    cge_step step;
    net_slice s;
    memset(&step, 0, sizeof step);
    step.x = x;
    step.count = count;
    step.params = CGE_LOAD_POINTER(net->params);
    step.trains = (int16_t)task->trains;
    s.net = (cge_network *)(uintptr_t)net; /* read only */
    s.step = &step;
    if (task->trains)
        (void)cge_slice_enter(&s, STAGE_CLEAR, 0);
    else
        (void)cge_slice_enter_sample(&s, task->measures ? STAGE_LOSS : STAGE_OUTPUT);
    return step;
}

/* The task comes last: it tells an interrupt that there is something to resume. */
static cge_status begin_step(cge_network *net, const cge_slice_task *task, const cge_step *step)
{
    CGE_TRY(cge_network_take(net));
    net->step = *step;
    if (task->trains) net->pending = 0;
    CGE_STORE_POINTER(net->step.task, task);
    return CGE_OK;
}

static void end_step(cge_network *net)
{
    if (net->step.task->trains) net->pending = 0;
    net->step.trial = CGE_ASKS;
    CGE_STORE_POINTER(net->step.task, NULL);
    cge_release(&net->step.at_work);
    cge_network_release(net);
}

/* Takes the step, if there is one: then *at_work is 1. */
static cge_status take_step(cge_network *net)
{
    CGE_TRY(cge_check_network(net));
    if (CGE_LOAD_POINTER(net->step.task) == NULL) return CGE_ERR_MODE;
    if (!cge_take(&net->step.at_work)) return CGE_ERR_BUSY;
    if (CGE_LOAD_POINTER(net->step.task) != NULL) return CGE_OK;
    cge_release(&net->step.at_work); /* somebody ended it just now */
    return CGE_ERR_MODE;
}

/* What is left of a slice. */
typedef struct slice_left {
    int64_t macs;
    int ran;        /* something was done, so that the rest may wait */
    int unit_stays; /* what describes the unit and its pass is there in the next slice */
} slice_left;

/* As many pieces of a pass as fit, from number `begin` on; but one of a slice in any case. */
static int32_t pieces_that_fit(const net_slice *s, const cge_pass *of, int32_t begin, int32_t count, slice_left *left)
{
    cge_pass_macs *const macs = of->macs;
    int64_t room = left->macs;
    int32_t end = begin;
    if (!left->ran) room -= macs(&s->unit, end++) + CGE_MACS_CALL;
    for (; end < count && room > CGE_MACS_CALL; end++) {
        const int64_t rest = room - macs(&s->unit, end) - CGE_MACS_CALL;
        if (rest < 0) break;
        room = rest;
    }
    left->macs = room;
    left->ran = 1;
    return end;
}

/* What pieces did not need is left for others. */
static cge_status run_pass(net_slice *s, const cge_pass *of, slice_left *left)
{
    cge_step *step = s->step;
    const int32_t count = of->pieces(&s->unit);
    s->unit.saved = &left->macs;
    while (step->piece < count) {
        cge_range pieces;
        pieces.begin = step->piece;
        pieces.end = pieces_that_fit(s, of, pieces.begin, count, left);
        if (pieces.end == pieces.begin) return CGE_AGAIN;
        CGE_TRY(of->run_pieces(&s->unit, pieces));
        step->piece = pieces.end;
    }
    step->piece = 0;
    return CGE_OK;
}

/* How far a step is prepared (cge_step.prepared). */
enum { PREPARED_UNIT = 1, PREPARED_PASS };

static void prepare_unit(net_slice *s)
{
    s->list = s->step->task->stage_passes(s);
    s->step->prepared = PREPARED_UNIT;
}

/* Does the pass where the cursor is have something to work out? Not if they are all done. */
static int is_to_be_cut(const net_slice *s)
{
    return s->step->pass < s->list.count && s->list.passes[s->step->pass].cut != NULL;
}

static void cut_pass(net_slice *s)
{
    if (is_to_be_cut(s)) s->list.passes[s->step->pass].cut(&s->unit);
    s->step->prepared = PREPARED_PASS;
}

/* What comes before pieces takes its part of the slice, too. Where it stays a slice may consist of it. */
static cge_status claim_macs(slice_left *left, int32_t macs)
{
    if (left->ran && left->macs < macs) return CGE_AGAIN;
    left->macs -= macs;
    left->ran |= left->unit_stays;
    return CGE_OK;
}

/* The stage's passes, and the one where the cursor is ready for its pieces. */
CGE_NOINLINE cge_status prepare(net_slice *s, slice_left *left)
{
    if (s->step->prepared == 0) {
        CGE_TRY(claim_macs(left, CGE_MACS_UNIT));
        prepare_unit(s);
    }
    if (is_to_be_cut(s)) CGE_TRY(claim_macs(left, CGE_MACS_CUT));
    cut_pass(s);
    return CGE_OK;
}

static cge_status go_on(net_slice *s, slice_left *left)
{
    cge_step *step = s->step;
    do {
        for (;;) {
            if (step->prepared != PREPARED_PASS) CGE_TRY(prepare(s, left));
            if (step->pass == s->list.count) break;
            CGE_TRY(run_pass(s, &s->list.passes[step->pass], left));
            step->pass++;
            step->prepared = PREPARED_UNIT;
        }
        step->pass = 0;
    } while (step->task->next_stage(s));
    return CGE_OK;
}

/* Between two slices the unit stays where the levels for slices have room for it: behind the activations. Where there is none
 * it is described again. */
static int keeps_unit(const cge_network *net)
{
    return sizeof(net_slice) <= CGE_SLICE_ELEMS * sizeof(cge_real) && net->options.plan->level->one_by_one;
}

static net_slice *kept_unit(const cge_network *net)
{
    return (net_slice *)(void *)(net->activations + net->options.plan->peak_elems);
}

static cge_status go_on_with(cge_network *net, net_slice *s, int64_t budget, int unit_stays)
{
    slice_left left;
    cge_status status;
    left.macs = budget - CGE_MACS_RESUME;
    left.ran = 0;
    left.unit_stays = unit_stays;
    s->net = net;
    s->step = &net->step;
    if (net->step.prepared && s->unit.c.params.optimizer != NULL) s->unit.c.params.optimizer = &net->optimizer; /* the struct may have been moved */
    status = go_on(s, &left);
    s->unit.saved = NULL; /* the unit may stay, what is left does not */
    return status;
}

CGE_NOINLINE cge_status go_on_afresh(cge_network *net, int64_t budget)
{
    net_slice s;
    net->step.prepared = 0;
    return go_on_with(net, &s, budget, 0);
}

/* ---- public calls ---- */

/* One sample after the other, by a plan. */
static int trains_in_slices(const cge_network *net)
{
    return cge_runs_units(&net->options) && !net->options.plan->level->holds_several;
}

cge_status cge_network_train_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count)
{
    const cge_sample_list list = {x, targets, NULL};
    cge_step step;
    CGE_TRY(cge_check_training_mode(net));
    if (!trains_in_slices(net)) return CGE_ERR_MODE;
    CGE_TRY(cge_check_targets_call(net, &list, count));
    CGE_TRY(cge_check_optimizer(net));
    if (net->grads == NULL && count > 1) return CGE_ERR_ARGUMENT;
    step = first_piece(net, &task_train, x, count);
    step.targets = *targets;
    return begin_step(net, &task_train, &step);
}

cge_status cge_network_evaluate_begin(cge_network *net, const void *x, const cge_targets *targets, int32_t count, int32_t *correct)
{
    const cge_sample_list list = {x, targets, NULL};
    cge_step step;
    CGE_TRY(cge_check_network(net));
    if (!cge_runs_units(&net->options)) return CGE_ERR_MODE;
    CGE_TRY(cge_check_targets_call(net, &list, count));
    step = first_piece(net, &task_evaluate, x, count);
    step.targets = *targets;
    step.correct = correct;
    return begin_step(net, &task_evaluate, &step);
}

cge_status cge_network_forward_begin(cge_network *net, const void *x, int32_t count, cge_real *y)
{
    cge_step step;
    CGE_TRY(cge_check_samples(net, x, count));
    CGE_TRY(cge_check_buffer(y));
    if (!cge_runs_units(&net->options)) return CGE_ERR_MODE;
    step = first_piece(net, &task_forward, x, count);
    step.y = y;
    return begin_step(net, &task_forward, &step);
}

cge_status cge_network_resume(cge_network *net, int64_t budget_macs, cge_real *mean_loss)
{
    CGE_OWN_FP_MODE
    cge_status status;
    CGE_TRY(cge_check_network(net));
    if (budget_macs < 1) return CGE_ERR_ARGUMENT;
    if (mean_loss != NULL) CGE_TRY(cge_check_buffer(mean_loss));
    CGE_TRY(take_step(net));
    status = keeps_unit(net) ? go_on_with(net, kept_unit(net), budget_macs, 1) : go_on_afresh(net, budget_macs);
    if (status == CGE_AGAIN) {
        cge_release(&net->step.at_work);
        return status;
    }
    if (status == CGE_OK && mean_loss != NULL && net->step.task->measures) *mean_loss = cge_loss_mean(&net->step.losses, net->step.count);
    end_step(net);
    return status;
}

cge_status cge_network_abort(cge_network *net)
{
    CGE_TRY(take_step(net));
    if (net->step.changing) {
        cge_release(&net->step.at_work);
        return CGE_ERR_MODE;
    }
    end_step(net);
    return CGE_OK;
}

/* Beside its pieces, at most. */
static int32_t macs_of_slice(const cge_network *net)
{
    const int stays = net->options.plan->level->one_by_one;
    return CGE_MACS_RESUME + (stays ? 0 : CGE_MACS_UNIT + CGE_MACS_CUT);
}

static int64_t largest_piece(net_slice *s)
{
    int64_t largest = 0;
    for (prepare_unit(s); s->step->pass < s->list.count; s->step->pass++) {
        const cge_pass *of = &s->list.passes[s->step->pass];
        int32_t piece, pieces;
        cut_pass(s);
        pieces = of->pieces(&s->unit);
        for (piece = 0; piece < pieces; piece++) {
            const int64_t macs = of->macs(&s->unit, piece) + CGE_MACS_CALL;
            if (macs > largest) largest = macs;
        }
    }
    s->step->pass = 0;
    return largest;
}

/* A step of one sample is walked through, and nothing is run. */
cge_status cge_network_largest_slice(const cge_network *net, int64_t *macs)
{
    const cge_slice_task *task;
    int64_t largest = 0;
    cge_step step;
    net_slice s;
    CGE_TRY(cge_check_network(net));
    if (macs == NULL) return CGE_ERR_NULL;
    if (!cge_runs_units(&net->options) || (net->options.training && !trains_in_slices(net))) return CGE_ERR_MODE;
    task = net->options.training ? &task_train : &task_forward;
    step = first_piece(net, task, net->activations, 1);
    step.task = task;
    s.net = (cge_network *)(uintptr_t)net; /* read only */
    s.step = &step;
    do {
        const int64_t of_stage = largest_piece(&s);
        if (of_stage > largest) largest = of_stage;
    } while (task->next_stage(&s));
    *macs = largest + macs_of_slice(net);
    return CGE_OK;
}
