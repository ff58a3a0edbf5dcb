#include "../base/config.h"
#include "../../include/cge_data.h"
#include "../base/fp_mode.h"

static cge_status check_stopping(const cge_early_stopping *e, const cge_early_stopping_state *s, const float *params)
{
    if (e == NULL || s == NULL) return CGE_ERR_NULL;
    if (!cge_is_finite_nonnegative(e->min_delta) || e->patience < 0) return CGE_ERR_ARGUMENT;
    if (s->best_at < 0 || s->best_at > s->measured || s->bad != s->measured - s->best_at) return CGE_ERR_ARGUMENT;
    if (s->measured == INT32_MAX) return CGE_ERR_OVERFLOW;
    if (e->best_params == NULL) return e->param_elems == 0 ? CGE_OK : CGE_ERR_NULL;
    CGE_TRY(cge_check_vector(e->param_elems, e->best_params));
    return cge_check_buffer(params);
}

cge_status cge_early_stopping_update(const cge_early_stopping *e, cge_early_stopping_state *state, float measured,
                                     const float *params)
{
    CGE_OWN_FP_MODE
    int is_better;
    CGE_TRY(check_stopping(e, state, params));
    is_better = !cge_is_nan(measured) && (state->best_at == 0 || measured < state->best - e->min_delta);
    state->measured++;
    if (is_better) {
        state->best = measured;
        state->best_at = state->measured;
        if (e->best_params != NULL) memcpy(e->best_params, params, (size_t)e->param_elems * sizeof *params);
    }
    state->bad = state->measured - state->best_at;
    state->stop = state->bad > 0 && state->bad >= e->patience;
    return CGE_OK;
}
