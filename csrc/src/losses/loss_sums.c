/* Sums of samples' losses, and of what is right. */
#include "../layers/layer.h"

/* Of what is added to the sum: 1, or 2^-32 for good once the sum would have overflowed, so that not even INT32_MAX of the
 * largest numbers do. By its exponent: a choice of two constants takes 12 bytes more on a Cortex-M4. */
static cge_real loss_unit(const cge_progress *p)
{
    return cge_real_of((CGE_EXPONENT_BIAS - 32 * (cge_real_bits)p->shrunk) << CGE_FRACTION_BITS);
}

/* Returns 0 if that was done before. */
static int shrink_losses(cge_progress *p)
{
    if (p->shrunk) return 0;
    p->shrunk = 1;
    p->loss_sum *= loss_unit(p);
    p->loss_error *= loss_unit(p);
    return 1;
}

/* Kahan 1965: the rounding error of each addition is carried to the next. */
CGE_INTERNAL void cge_add_loss(cge_progress *p, cge_real value)
{
    cge_real corrected, next;
    do {
        corrected = value * loss_unit(p) - p->loss_error;
        next = p->loss_sum + corrected;
    } while (!cge_is_finite(next) && shrink_losses(p));
    p->loss_error = (next - p->loss_sum) - corrected;
    p->loss_sum = next;
}

CGE_INTERNAL cge_real cge_loss_mean(const cge_progress *p, int32_t count)
{
    return p->loss_sum / (CGE_REAL(count) * loss_unit(p));
}

/* Whether y[label] is the largest of y [n], and the first of those. No comparison with NaN holds. */
static int is_first_largest(const cge_real *y, int32_t n, int32_t label)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (!(i < label ? y[label] > y[i] : y[label] >= y[i])) return 0;
    return 1;
}

static int32_t count_right(const cge_scored *of)
{
    if (of->kind->reads_labels) return is_first_largest(of->y, of->n, of->targets->labels[of->sample]);
    if (of->kind->count_right == NULL) return 0;
    return of->kind->count_right(of->n, of->y, of->targets->values + (size_t)of->sample * (size_t)of->n);
}

CGE_INTERNAL void cge_note_loss(cge_progress *p, cge_real loss, const cge_scored *of)
{
    const int32_t right = count_right(of);
    cge_add_loss(p, loss);
    p->correct = right < INT32_MAX - p->correct ? p->correct + right : INT32_MAX;
}
