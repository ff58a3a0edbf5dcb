/*
 * A network's training step, written as the list of operator calls that it stands for: no plan, no arena, no batches.
 * The core must agree with it in every bit, whatever it fuses or orders differently inside. (The operators themselves
 * have suites of their own.)
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "cge.h"

int32_t oracle_param_elems(const cge_model *model);
int32_t oracle_grad_elems(const cge_model *model);    /* of the layers that are not frozen */
int32_t oracle_scratch_elems(const cge_model *model); /* for one sample */
int32_t oracle_out_elems(const cge_model *model);

/* The output of the last layer: a place in scratch. */
const float *oracle_forward(const cge_model *model, const float *params, const float *x, float *scratch);
/* Adds one sample's gradients to grads; its loss. */
float oracle_gradient(const cge_model *model, const float *params, const float *x, int32_t label, const float *target, float *grads,
                      float *scratch);

/* What a layer learns by. */
cge_optimizer oracle_optimizer(const cge_model *m, int32_t layer);
/* Its step number `step` for n successive parameters, whose second numbers lie `slot` behind v. */
void oracle_update(const cge_optimizer *o, uint64_t step, int32_t n, float scale, const float *dw, float *w, float *v, int32_t slot);
/* How many numbers it keeps for each. */
int32_t oracle_slots(const cge_optimizer *o);
int32_t oracle_settings(const cge_optimizer *o); /* words in files besides sgd's */

/* A sum with Kahan's compensation. */
typedef struct kahan {
    float sum, lost;
} kahan;
void kahan_add(kahan *k, float x);

#endif
