/*
 * Batch normalisation, and scale and shift alone. A pass of several samples is one picture, each sample below the one before
 * it: its batch statistics are those of group normalisation with a group for each channel.
 */
#include "layer.h"
#include "../kernels/kernels.h"

enum { BATCH_NORM = 60, SCALE = 61 }; /* numbers of the kinds */

static cge_batch_norm batch_norm_of(const cge_layer *l)
{
    cge_batch_norm n = {0, 0};
    if (l->kind->id == BATCH_NORM && l->config != NULL) memcpy(&n, l->config, sizeof n);
    if (!(n.momentum > 0.0f || n.momentum < 0.0f)) n.momentum = 0.1f;
    return n;
}

/* Of `count` samples together. */
static cge_status resolve_channels(const cge_layer *l, cge_shape in, int32_t count, cge_norm_plan *p)
{
    p->g.in_h = in.h * count;
    p->g.in_w = in.w;
    p->g.in_c = in.c;
    p->g.groups = in.c;
    p->g.eps = batch_norm_of(l).eps;
    return cge_norm_resolve(&p->g, p);
}

static cge_norm_plan plan_of_channels(const cge_layer_call *c, int32_t count)
{
    cge_norm_plan p;
    (void)!resolve_channels(c->layer, c->in, count, &p); /* checked by infer */
    return p;
}

static cge_range all_runs(const cge_norm_plan *p)
{
    cge_range runs = {0, 0};
    runs.end = p->runs;
    return runs;
}

static void find_param_shapes(cge_shape in, int32_t rows, cge_layer_info *info)
{
    info->out = in;
    info->weight_shape[0] = rows > 1 ? rows : in.c;
    if (rows > 1) info->weight_shape[1] = in.c;
    info->weight_elems = rows * in.c;
    info->bias_elems = in.c;
    info->start = 1.0f;
}

/* ---- batch normalisation: w [3][in_c], weight, running mean, running variance ---- */

static cge_status batch_norm_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_norm_plan p;
    if (l->init != 0 || l->trains != CGE_TRAINS_ALL || (l->flags & CGE_NO_AFFINE) != 0) return CGE_ERR_ARGUMENT;
    if (!cge_is_finite_nonnegative(batch_norm_of(l).momentum) || batch_norm_of(l).momentum > 1.0f) return CGE_ERR_ARGUMENT;
    CGE_TRY(resolve_channels(l, in, 1, &p));
    if (in.c > CGE_MAX_ELEMS / 4) return CGE_ERR_OVERFLOW;
    find_param_shapes(in, 3, info);
    return CGE_OK;
}

static void batch_norm_forward(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, c->count);
    if (c->draw.trains && cge_learns_by_batch(c->layer)) cge_run_group_norm_forward(&p, c->x, c->w, c->b, c->y, all_runs(&p));
    else cge_run_given_norm_forward(&p, c->x, c->w + p.g.in_c, c->w, c->b, c->y);
}

static void batch_norm_weight_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, c->count);
    const cge_range runs = cge_part_of(p.runs, c->parts, c->part);
    if (c->bounds != NULL) {
        cge_run_given_norm_bounds(&p, c->x, c->w + p.g.in_c, c->w, c->bounds);
        return;
    }
    if (!cge_adds(c)) {
        cge_zero_norm_runs(&p, runs, c->dw);
        cge_zero_norm_runs(&p, runs, c->db);
    }
    /* w is in RAM, since some of it learns; dx may be x */
    cge_run_batch_norm_grads(&p, CGE_REAL(batch_norm_of(c->layer).momentum), c->x, c->w, (cge_real *)(uintptr_t)c->w + p.g.in_c,
                             c->dy, c->dw, c->db, c->dx, runs);
}

static void batch_norm_input_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, c->count);
    if (cge_learns_by_batch(c->layer)) cge_run_group_norm_grads(&p, c->x, c->w, c->dy, NULL, NULL, c->dx, all_runs(&p));
    else cge_run_given_norm_grads(&p, NULL, c->w + p.g.in_c, c->w, c->dy, NULL, NULL, c->dx, all_runs(&p));
}

/* ---- scale and shift ---- */

static cge_status scale_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    if (l->init != 0 || l->trains > 0 || (l->flags & CGE_NO_AFFINE) != 0) return CGE_ERR_ARGUMENT;
    find_param_shapes(in, 1, info);
    return CGE_OK;
}

static void scale_forward(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, c->count);
    cge_run_given_norm_forward(&p, c->x, NULL, c->w, c->b, c->y);
}

/* Sample by sample, so that the bits do not depend on how many there are. */
static void scale_weight_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, 1);
    const cge_range runs = cge_part_of(p.runs, c->parts, c->part);
    int32_t i;
    if (c->bounds != NULL) {
        cge_run_given_norm_bounds(&p, c->x, NULL, c->w, c->bounds);
        return;
    }
    if (!cge_adds(c)) {
        cge_zero_norm_runs(&p, runs, c->dw);
        cge_zero_norm_runs(&p, runs, c->db);
    }
    for (i = 0; i < c->count; i++) {
        const size_t at = cge_sample(c->in, i);
        cge_real *dx = c->dx != NULL ? c->dx + at : NULL;
        cge_run_given_norm_grads(&p, c->x + at, NULL, c->w, c->dy + at, c->dw, c->db, dx, runs);
    }
}

static void scale_input_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = plan_of_channels(c, c->count);
    cge_run_given_norm_grads(&p, NULL, NULL, c->w, c->dy, NULL, NULL, c->dx, all_runs(&p));
}

#define BATCH_NORM_TRAITS (CGE_WEIGHT_GRAD_READS_X | CGE_INPUT_GRAD_READS_X | CGE_BY_BATCH)
#define SCALE_TRAITS (CGE_WEIGHT_GRAD_READS_X | CGE_BY_GROUPS)

const cge_layer_kind cge_kind_batch_norm = {
    BATCH_NORM, sizeof(cge_batch_norm), BATCH_NORM_TRAITS, batch_norm_infer, batch_norm_forward, batch_norm_weight_grad,
    batch_norm_input_grad};
const cge_layer_kind cge_kind_scale = {
    SCALE, 0, SCALE_TRAITS, scale_infer, scale_forward, scale_weight_grad, scale_input_grad};
