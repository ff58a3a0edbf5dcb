/* Confusion matrix, top-k and mean absolute error, sample by sample; nothing of a network. */
#include "../base/fp_mode.h"
#include "../base/geometry.h"

static int has_nan(int32_t n, const cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (cge_is_nan(y[i])) return 1;
    return 0;
}

/* How many outputs come before y[label]. */
static int32_t rank_of(int32_t n, const cge_real *y, int32_t label)
{
    int32_t i, rank = 0;
    for (i = 0; i < n; i++) rank += i < label ? y[i] >= y[label] : y[i] > y[label];
    return rank;
}

static int32_t first_largest(int32_t n, const cge_real *y)
{
    int32_t i, best = 0;
    for (i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

static void count_one_more(int32_t *count)
{
    if (*count < INT32_MAX) (*count)++;
}

cge_status cge_confusion_add_f32(cge_confusion *m, const cge_real *y, int32_t label)
{
    CGE_OWN_FP_MODE
    int32_t n;
    if (m == NULL || m->counts == NULL) return CGE_ERR_NULL;
    n = m->classes;
    CGE_TRY(cge_check_vector(n, y));
    if ((int64_t)n * n > CGE_MAX_ELEMS) return CGE_ERR_OVERFLOW;
    if (!cge_is_aligned(m->counts, sizeof *m->counts)) return CGE_ERR_ALIGN;
    if (label < 0 || label >= n) return CGE_ERR_LABEL;
    count_one_more(has_nan(n, y) ? &m->not_a_number : &m->counts[label * n + first_largest(n, y)]);
    return CGE_OK;
}

cge_status cge_top_k_add_f32(cge_top_k *m, int32_t n, const cge_real *y, int32_t label)
{
    CGE_OWN_FP_MODE
    if (m == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_vector(n, y));
    if (m->k < 1 || m->k > n || m->seen < 0 || m->right < 0 || m->right > m->seen) return CGE_ERR_ARGUMENT;
    if (label < 0 || label >= n) return CGE_ERR_LABEL;
    if (m->seen == INT32_MAX) return CGE_ERR_OVERFLOW;
    m->right += !has_nan(n, y) && rank_of(n, y, label) < m->k;
    m->seen++;
    return CGE_OK;
}

static void add_error(cge_absolute_error *m, cge_real size)
{
    const cge_real corrected = size - m->error, next = m->sum + corrected;
    m->error = (next - m->sum) - corrected;
    m->sum = next;
}

cge_status cge_absolute_error_add_f32(cge_absolute_error *m, int32_t n, const cge_real *y, const cge_real *target)
{
    CGE_OWN_FP_MODE
    int32_t i;
    if (m == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_vector(n, y));
    CGE_TRY(cge_check_buffer(target));
    if (m->count < 0) return CGE_ERR_ARGUMENT;
    if (m->count > INT32_MAX - n) return CGE_ERR_OVERFLOW;
    for (i = 0; i < n; i++) {
        const cge_real d = y[i] - target[i];
        add_error(m, d < 0 ? -d : d);
    }
    m->count += n;
    return CGE_OK;
}

cge_status cge_absolute_error_mean_f32(const cge_absolute_error *m, cge_real *mean)
{
    CGE_OWN_FP_MODE
    if (m == NULL) return CGE_ERR_NULL;
    CGE_TRY(cge_check_buffer(mean));
    if (m->count < 1) return CGE_ERR_ARGUMENT;
    *mean = m->sum / CGE_REAL(m->count);
    return CGE_OK;
}
