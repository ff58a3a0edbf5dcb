/* Group, instance and layer normalisation: one operator, three ways to say what a group is. */
#include "layer.h"
#include "../kernels/kernels.h"

enum { GROUP_NORM = 40, INSTANCE_NORM = 41, LAYER_NORM = 42 }; /* numbers of the kinds */

/* Of a config, or NULL: all defaults. */
static cge_status resolve_norm_layer(const cge_layer *l, cge_shape in, cge_norm_plan *p)
{
    memset(&p->g, 0, sizeof p->g);
    if (l->config != NULL) memcpy(&p->g, l->config, sizeof p->g);
    p->g.in_h = in.h;
    p->g.in_w = in.w;
    p->g.in_c = in.c;
    if (l->kind->id != GROUP_NORM && p->g.groups != 0) return CGE_ERR_ARGUMENT;
    if (l->kind->id == INSTANCE_NORM) p->g.groups = in.c;
    if (l->kind->id == LAYER_NORM) {
        p->g.in_h = 1;
        p->g.in_w = 1;
        p->g.in_c = in.h * in.w * in.c;
    }
    return cge_norm_resolve(&p->g, p);
}

static cge_norm_plan norm_plan(const cge_layer_call *c)
{
    cge_norm_plan p;
    (void)!resolve_norm_layer(c->layer, c->in, &p); /* checked by infer */
    return p;
}

static cge_status norm_infer(const cge_layer *l, cge_shape in, cge_layer_info *info)
{
    cge_norm_plan p;
    if (l->config != NULL) CGE_TRY(cge_check_geometry_input(l->config, in));
    if (l->init != 0 || l->trains > 0) return CGE_ERR_ARGUMENT;
    CGE_TRY(resolve_norm_layer(l, in, &p));
    info->out = in;
    if ((l->flags & CGE_NO_AFFINE) != 0) return CGE_OK;
    info->weight_shape[0] = p.g.in_c;
    if (l->kind->id == LAYER_NORM) {
        info->weight_shape[0] = in.h;
        info->weight_shape[1] = in.w;
        info->weight_shape[2] = in.c;
    }
    info->weight_elems = p.g.in_c;
    info->bias_elems = p.g.in_c;
    info->start = 1.0f;
    return CGE_OK;
}

static void norm_forward(const cge_layer_call *c)
{
    const cge_norm_plan p = norm_plan(c);
    const cge_range runs = {0, p.runs};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_group_norm_forward(&p, c->x + cge_sample(c->in, i), c->w, c->b, c->y + cge_sample(c->out, i), runs);
}

/* What is asked for: bounds, or dw, db and dx. */
static void norm_weight_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = norm_plan(c);
    const cge_range runs = cge_part_of(p.runs, c->parts, c->part);
    int32_t i;
    if (c->bounds != NULL) {
        cge_run_group_norm_bounds(&p, c->x, c->w, c->bounds);
        return;
    }
    if (!cge_adds(c)) {
        cge_zero_norm_runs(&p, runs, c->dw);
        cge_zero_norm_runs(&p, runs, c->db);
    }
    for (i = 0; i < c->count; i++) {
        const cge_real *dy = c->dy + cge_sample(c->out, i);
        if (c->dw == NULL && c->dx == NULL) cge_run_group_norm_bias_grad(&p, dy, c->db, runs);
        else cge_run_group_norm_grads(&p, c->x + cge_sample(c->in, i), c->w, dy, c->dw, c->db, c->dx != NULL ? c->dx + cge_sample(c->in, i) : NULL, runs);
    }
}

static void norm_input_grad(const cge_layer_call *c)
{
    const cge_norm_plan p = norm_plan(c);
    const cge_range runs = {0, p.runs};
    int32_t i;
    for (i = 0; i < c->count; i++)
        cge_run_group_norm_grads(&p, c->x + cge_sample(c->in, i), c->w, c->dy + cge_sample(c->out, i), NULL, NULL, c->dx + cge_sample(c->in, i), runs);
}

#define NORM_TRAITS (CGE_WEIGHT_GRAD_READS_X | CGE_INPUT_GRAD_READS_X | CGE_BY_GROUPS)

const cge_layer_kind cge_kind_group_norm = {GROUP_NORM, sizeof(cge_norm), NORM_TRAITS, norm_infer, norm_forward, norm_weight_grad, norm_input_grad};
const cge_layer_kind cge_kind_instance_norm = {INSTANCE_NORM, sizeof(cge_norm), NORM_TRAITS, norm_infer, norm_forward, norm_weight_grad, norm_input_grad};
const cge_layer_kind cge_kind_layer_norm = {LAYER_NORM, sizeof(cge_norm), NORM_TRAITS, norm_infer, norm_forward, norm_weight_grad, norm_input_grad};
