/*
 * Normalisation over groups of channels, a run after the other: a group, or some groups of one channel each
 * (CGE_NORM_TOGETHER). A run is walked through channel block by channel block, some columns of x whose sums stay in registers:
 *
 *     x   . . a b c d . .     positions downwards, channels to the right
 *         . . a b c d . .
 *         . . a b c d . .
 *     s       a b c d
 *
 * Forward goes over x three times (mean, variance, result), backward four times. Nothing is kept in between, so a result may lie
 * over what it is made of.
 */
#include "../../base/root.h"
#include "../kernels.h"
#include "../tiled/norm_vfp.h"

typedef struct norm_run {
    int32_t first, channels;
    int32_t step; /* from a channel's statistics to those of the next one: 0 within a group, 1 if each channel is one */
    cge_real mean[CGE_NORM_TOGETHER], rstd[CGE_NORM_TOGETHER]; /* of a group: 0 before they are known */
    cge_real b[CGE_NORM_TOGETHER], c[CGE_NORM_TOGETHER];       /* backward, as in norm_combine */
} norm_run;

/* Channels `first` .. of x, up to CGE_NORM_TOGETHER, with the numbers of each. */
typedef struct norm_block {
    int32_t first, channels;
    int32_t at, step; /* statistics of the first in its run, and from there to the next one's */
    cge_real mean[CGE_NORM_TOGETHER], a[CGE_NORM_TOGETHER], b[CGE_NORM_TOGETHER], c[CGE_NORM_TOGETHER];
} norm_block;

/* Its sums begin as zeros. */
static norm_run norm_run_at(const cge_norm_plan *p, int32_t index)
{
    norm_run r;
    memset(&r, 0, sizeof r);
    r.step = p->width == 1;
    r.channels = r.step ? CGE_NORM_TOGETHER : p->width;
    r.first = index * r.channels;
    if (r.channels > p->g.in_c - r.first) r.channels = p->g.in_c - r.first;
    return r;
}

/* The block that begins with channel `at` of a run; a = w * rstd, w NULL: ones. */
static norm_block norm_block_at(const norm_run *r, int32_t at, const cge_real *w)
{
    norm_block k;
    int32_t i;
    memset(&k, 0, sizeof k);
    k.first = r->first + at;
    k.channels = r->channels - at < CGE_NORM_TOGETHER ? r->channels - at : CGE_NORM_TOGETHER;
    k.at = at * r->step;
    k.step = r->step;
    for (i = 0; i < k.channels; i++) {
        const int32_t group = k.at + i * k.step;
        k.mean[i] = r->mean[group];
        k.a[i] = w != NULL ? w[k.first + i] * r->rstd[group] : r->rstd[group];
        k.b[i] = r->b[group];
        k.c[i] = r->c[group];
    }
    return k;
}

/*
 * ---- four channels: sums over positions of x; of (x - mean)^2; of dy (t) and (x - mean) * dy (u). Results
 *      y = c + (x - mean) * a;  dx = (c + (x - mean) * b) + dy * a. count >= 1; sums begin as what s, t, u hold ----
 */
#if !CGE_NORM_VFP

static void norm_sums_of_4(int32_t count, int32_t pitch, const cge_real *x, cge_real *s)
{
    cge_real s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
    for (; count > 0; count--, x += pitch) {
        s0 += x[0];
        s1 += x[1];
        s2 += x[2];
        s3 += x[3];
    }
    s[0] = s0, s[1] = s1, s[2] = s2, s[3] = s3;
}

static void norm_squares_of_4(int32_t count, int32_t pitch, const cge_real *x, const cge_real *mean, cge_real *s)
{
    const cge_real m0 = mean[0], m1 = mean[1], m2 = mean[2], m3 = mean[3];
    cge_real s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
    for (; count > 0; count--, x += pitch) {
        s0 = CGE_MADD(s0, x[0] - m0, x[0] - m0);
        s1 = CGE_MADD(s1, x[1] - m1, x[1] - m1);
        s2 = CGE_MADD(s2, x[2] - m2, x[2] - m2);
        s3 = CGE_MADD(s3, x[3] - m3, x[3] - m3);
    }
    s[0] = s0, s[1] = s1, s[2] = s2, s[3] = s3;
}

static void norm_products_of_4(int32_t count, int32_t pitch, const cge_real *x, const cge_real *dy, const cge_real *mean, cge_real *t, cge_real *u)
{
    const cge_real m0 = mean[0], m1 = mean[1], m2 = mean[2], m3 = mean[3];
    cge_real t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3], u0 = u[0], u1 = u[1], u2 = u[2], u3 = u[3];
    for (; count > 0; count--, x += pitch, dy += pitch) {
        t0 += dy[0];
        u0 = CGE_MADD(u0, x[0] - m0, dy[0]);
        t1 += dy[1];
        u1 = CGE_MADD(u1, x[1] - m1, dy[1]);
        t2 += dy[2];
        u2 = CGE_MADD(u2, x[2] - m2, dy[2]);
        t3 += dy[3];
        u3 = CGE_MADD(u3, x[3] - m3, dy[3]);
    }
    t[0] = t0, t[1] = t1, t[2] = t2, t[3] = t3;
    u[0] = u0, u[1] = u1, u[2] = u2, u[3] = u3;
}

static void norm_scale_4(int32_t count, int32_t pitch, const cge_real *x, const cge_real *mean, const cge_real *a, const cge_real *c, cge_real *y)
{
    const cge_real m0 = mean[0], m1 = mean[1], m2 = mean[2], m3 = mean[3], a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    const cge_real c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
    for (; count > 0; count--, x += pitch, y += pitch) {
        y[0] = CGE_MADD(c0, x[0] - m0, a0);
        y[1] = CGE_MADD(c1, x[1] - m1, a1);
        y[2] = CGE_MADD(c2, x[2] - m2, a2);
        y[3] = CGE_MADD(c3, x[3] - m3, a3);
    }
}

static void norm_combine_4(int32_t count, int32_t pitch, const cge_real *x, const cge_real *dy, const cge_real *mean, const cge_real *a, const cge_real *b, const cge_real *c, cge_real *dx)
{
    const cge_real m0 = mean[0], m1 = mean[1], m2 = mean[2], m3 = mean[3], a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    const cge_real b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3], c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
    for (; count > 0; count--, x += pitch, dy += pitch, dx += pitch) {
        dx[0] = CGE_MADD(CGE_MADD(c0, x[0] - m0, b0), dy[0], a0);
        dx[1] = CGE_MADD(CGE_MADD(c1, x[1] - m1, b1), dy[1], a1);
        dx[2] = CGE_MADD(CGE_MADD(c2, x[2] - m2, b2), dy[2], a2);
        dx[3] = CGE_MADD(CGE_MADD(c3, x[3] - m3, b3), dy[3], a3);
    }
}

#endif

/* ---- the same of any channels: CGE_NORMS in kernels.h ---- */

enum { NORM_QUAD = 4 };

CGE_INTERNAL void cge_norm_sums_f32_ref(int32_t count, int32_t pitch, int32_t channels, const cge_real *x, cge_real *s)
{
    int32_t i;
    memset(s, 0, (size_t)channels * sizeof *s);
    for (; channels >= NORM_QUAD; channels -= NORM_QUAD, x += NORM_QUAD, s += NORM_QUAD) norm_sums_of_4(count, pitch, x, s);
    for (; channels > 0; channels--, x++, s++)
        for (i = 0; i < count; i++) *s += x[i * pitch];
}

CGE_INTERNAL void cge_norm_squares_f32_ref(int32_t count, int32_t pitch, int32_t channels, const cge_real *x,
                                           const cge_real *mean, cge_real *s)
{
    int32_t i;
    memset(s, 0, (size_t)channels * sizeof *s);
    for (; channels >= NORM_QUAD; channels -= NORM_QUAD, x += NORM_QUAD, mean += NORM_QUAD, s += NORM_QUAD)
        norm_squares_of_4(count, pitch, x, mean, s);
    for (; channels > 0; channels--, x++, mean++, s++)
        for (i = 0; i < count; i++) *s = CGE_MADD(*s, x[i * pitch] - *mean, x[i * pitch] - *mean);
}

CGE_INTERNAL void cge_norm_products_f32_ref(int32_t count, int32_t pitch, int32_t channels, const cge_real *x,
                                            const cge_real *dy, const cge_real *mean, cge_real *t, cge_real *u)
{
    int32_t i;
    memset(t, 0, (size_t)channels * sizeof *t);
    memset(u, 0, (size_t)channels * sizeof *u);
    for (; channels >= NORM_QUAD; channels -= NORM_QUAD) {
        norm_products_of_4(count, pitch, x, dy, mean, t, u);
        x += NORM_QUAD, dy += NORM_QUAD, mean += NORM_QUAD, t += NORM_QUAD, u += NORM_QUAD;
    }
    for (; channels > 0; channels--, x++, dy++, mean++, t++, u++)
        for (i = 0; i < count; i++) {
            *t += dy[i * pitch];
            *u = CGE_MADD(*u, x[i * pitch] - *mean, dy[i * pitch]);
        }
}

CGE_INTERNAL void cge_norm_scale_f32_ref(int32_t count, int32_t pitch, int32_t channels, const cge_real *x,
                                         const cge_real *mean, const cge_real *a, const cge_real *c, cge_real *y)
{
    int32_t i;
    for (; channels >= NORM_QUAD; channels -= NORM_QUAD) {
        norm_scale_4(count, pitch, x, mean, a, c, y);
        x += NORM_QUAD, mean += NORM_QUAD, a += NORM_QUAD, c += NORM_QUAD, y += NORM_QUAD;
    }
    for (; channels > 0; channels--, x++, mean++, a++, c++, y++)
        for (i = 0; i < count; i++) y[i * pitch] = CGE_MADD(*c, x[i * pitch] - *mean, *a);
}

CGE_INTERNAL void cge_norm_combine_f32_ref(int32_t count, int32_t pitch, int32_t channels, const cge_real *x,
                                           const cge_real *dy, const cge_real *mean, const cge_real *a, const cge_real *b,
                                           const cge_real *c, cge_real *dx)
{
    int32_t i;
    for (; channels >= NORM_QUAD; channels -= NORM_QUAD) {
        norm_combine_4(count, pitch, x, dy, mean, a, b, c, dx);
        x += NORM_QUAD, dy += NORM_QUAD, dx += NORM_QUAD;
        mean += NORM_QUAD, a += NORM_QUAD, b += NORM_QUAD, c += NORM_QUAD;
    }
    for (; channels > 0; channels--, x++, dy++, dx++, mean++, a++, b++, c++)
        for (i = 0; i < count; i++) dx[i * pitch] = CGE_MADD(CGE_MADD(*c, x[i * pitch] - *mean, *b), dy[i * pitch], *a);
}

/* ---- a run ---- */

static cge_real norm_count(const cge_norm_plan *p)
{
    return CGE_REAL(p->positions) * CGE_REAL(p->width);
}

static int32_t groups_of_run(const norm_run *r)
{
    return r->step != 0 ? r->channels : 1;
}

/* Adds what was summed of a block's channels to its groups. */
static void norm_add_to_groups(const norm_block *k, const cge_real *s, cge_real *groups)
{
    int32_t i;
    for (i = 0; i < CGE_NORM_TOGETHER && i < k->channels; i++) groups[k->at + i * k->step] += s[i];
}

/*
 * ---- one position: a group's channels lie one behind the other, and each is a sum of its own (layer normalisation) ----
 */
static int is_row(const cge_norm_plan *p, const norm_run *r)
{
    return p->positions == 1 && r->step == 0;
}

static void norm_find_row_statistics(const cge_norm_plan *p, const cge_real *x, norm_run *r)
{
    cge_real sum = 0, squares = 0, mean;
    int32_t i;
    x += r->first;
    for (i = 0; i < r->channels; i++) sum += x[i];
    mean = sum / norm_count(p);
    for (i = 0; i < r->channels; i++) squares += (x[i] - mean) * (x[i] - mean);
    r->mean[0] = mean;
    r->rstd[0] = CGE_REAL(1) / cge_root(squares / norm_count(p) + CGE_REAL(p->g.eps));
}

static void norm_scale_row(const norm_run *r, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y)
{
    const cge_real mean = r->mean[0], rstd = r->rstd[0];
    int32_t i;
    for (i = r->first; i < r->first + r->channels; i++)
        y[i] = CGE_MADD(b != NULL ? b[i] : CGE_REAL(0), x[i] - mean, w != NULL ? w[i] * rstd : rstd);
}

static void norm_find_row_products(const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, norm_run *r)
{
    const cge_real mean = r->mean[0], rstd = r->rstd[0];
    cge_real b = 0, c = 0;
    int32_t i;
    for (i = r->first; i < r->first + r->channels; i++) {
        const cge_real t = CGE_REAL(0) + dy[i], u = CGE_MADD(CGE_REAL(0), x[i] - mean, dy[i]), weight = w != NULL ? w[i] : CGE_REAL(1);
        c = CGE_MADD(c, weight, t);
        b = CGE_MADD(b, weight, u);
        if (dw != NULL) dw[i] = CGE_MADD(dw[i], rstd, u);
        if (db != NULL) db[i] += t;
    }
    r->b[0] = b;
    r->c[0] = c;
}

static void norm_combine_row(const norm_run *r, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dx)
{
    const cge_real mean = r->mean[0], rstd = r->rstd[0], b = r->b[0], c = r->c[0];
    int32_t i;
    for (i = r->first; i < r->first + r->channels; i++)
        dx[i] = CGE_MADD(CGE_MADD(c, x[i] - mean, b), dy[i], w != NULL ? w[i] * rstd : rstd);
}

/* ---- whole runs ---- */

/* The means, and sums[CGE_NORM_TOGETHER] of (x - mean)^2. */
static void norm_find_moments(const cge_norm_plan *p, const cge_real *x, norm_run *r, cge_real *sums)
{
    const cge_real count = norm_count(p);
    cge_real s[CGE_NORM_TOGETHER] = {0};
    norm_block k;
    int32_t at, i;
    memset(sums, 0, CGE_NORM_TOGETHER * sizeof *sums);
    for (at = 0; at < r->channels; at += k.channels) {
        k = norm_block_at(r, at, NULL);
        cge_run_norm_sums(p->positions, p->g.in_c, k.channels, x + k.first, s);
        norm_add_to_groups(&k, s, sums);
    }
    for (i = 0; i < groups_of_run(r); i++) {
        r->mean[i] = sums[i] / count;
        sums[i] = 0;
    }
    for (at = 0; at < r->channels; at += k.channels) {
        k = norm_block_at(r, at, NULL);
        cge_run_norm_squares(p->positions, p->g.in_c, k.channels, x + k.first, k.mean, s);
        norm_add_to_groups(&k, s, sums);
    }
}

static void norm_take_squares(const cge_norm_plan *p, const cge_real *sums, norm_run *r)
{
    const cge_real count = norm_count(p);
    int32_t i;
    for (i = 0; i < groups_of_run(r); i++) r->rstd[i] = CGE_REAL(1) / cge_root(sums[i] / count + CGE_REAL(p->g.eps));
}

static void norm_find_statistics(const cge_norm_plan *p, const cge_real *x, norm_run *r)
{
    cge_real sums[CGE_NORM_TOGETHER];
    if (is_row(p, r)) {
        norm_find_row_statistics(p, x, r);
        return;
    }
    norm_find_moments(p, x, r, sums);
    norm_take_squares(p, sums, r);
}

CGE_INTERNAL void cge_run_group_norm_forward(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *b, cge_real *y, cge_range runs)
{
    int32_t index, at, i;
    for (index = runs.begin; index < runs.end; index++) {
        norm_run r = norm_run_at(p, index);
        norm_block k;
        norm_find_statistics(p, x, &r);
        if (is_row(p, &r)) {
            norm_scale_row(&r, x, w, b, y);
            continue;
        }
        for (at = 0; at < r.channels; at += k.channels) {
            k = norm_block_at(&r, at, w);
            for (i = 0; i < k.channels && b != NULL; i++) k.c[i] = b[k.first + i];
            cge_run_norm_scale(p->positions, p->g.in_c, k.channels, x + k.first, k.mean, k.a, k.c, y + k.first);
        }
    }
}

/* Sums of dy * w and of dy * w * (x - mean), by groups; and the gradients of the parameters. */
static void norm_find_products(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, norm_run *r)
{
    cge_real t[CGE_NORM_TOGETHER], u[CGE_NORM_TOGETHER];
    norm_block k;
    int32_t at, i;
    if (is_row(p, r)) {
        norm_find_row_products(x, w, dy, dw, db, r);
        return;
    }
    for (at = 0; at < r->channels; at += k.channels) {
        k = norm_block_at(r, at, NULL);
        cge_run_norm_products(p->positions, p->g.in_c, k.channels, x + k.first, dy + k.first, k.mean, t, u);
        for (i = 0; i < k.channels; i++) {
            const int32_t c = k.first + i, group = k.at + i * k.step;
            const cge_real weight = w != NULL ? w[c] : CGE_REAL(1);
            r->c[group] = CGE_MADD(r->c[group], weight, t[i]);
            r->b[group] = CGE_MADD(r->b[group], weight, u[i]);
            if (dw != NULL) dw[c] = CGE_MADD(dw[c], r->rstd[group], u[i]);
            if (db != NULL) db[c] += t[i];
        }
    }
}

/* Of a run whose statistics are known. */
static void norm_run_grads(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dw,
                           cge_real *db, cge_real *dx, norm_run *r)
{
    norm_block k;
    int32_t at, i;
    norm_find_products(p, x, w, dy, dw, db, r);
    if (dx == NULL) return;
    for (i = 0; i < groups_of_run(r); i++) {
        const cge_real share = r->rstd[i] / norm_count(p);
        r->c[i] = -(share * r->c[i]);
        r->b[i] = -(share * r->b[i] * (r->rstd[i] * r->rstd[i]));
    }
    if (is_row(p, r)) {
        norm_combine_row(r, x, w, dy, dx);
        return;
    }
    for (at = 0; at < r->channels; at += k.channels) {
        k = norm_block_at(r, at, w);
        cge_run_norm_combine(p->positions, p->g.in_c, k.channels, x + k.first, dy + k.first, k.mean, k.a, k.b, k.c,
                             dx + k.first);
    }
}

CGE_INTERNAL void cge_run_group_norm_grads(const cge_norm_plan *p, const cge_real *x, const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx, cge_range runs)
{
    int32_t index;
    for (index = runs.begin; index < runs.end; index++) {
        norm_run r = norm_run_at(p, index);
        norm_find_statistics(p, x, &r);
        norm_run_grads(p, x, w, dy, dw, db, dx, &r);
    }
}

CGE_INTERNAL void cge_run_group_norm_bias_grad(const cge_norm_plan *p, const cge_real *dy, cge_real *db, cge_range runs)
{
    int32_t index, at, i;
    for (index = runs.begin; index < runs.end; index++) {
        const norm_run r = norm_run_at(p, index);
        norm_block k;
        for (at = 0; at < r.channels; at += k.channels) {
            cge_real t[CGE_NORM_TOGETHER];
            k = norm_block_at(&r, at, NULL);
            cge_run_norm_sums(p->positions, p->g.in_c, k.channels, dy + k.first, t);
            for (i = 0; i < k.channels; i++) db[k.first + i] += t[i];
        }
    }
}

static cge_real norm_most(cge_real a, cge_real b)
{
    return b <= a ? a : b;
}

static cge_real norm_size(cge_real x)
{
    return x < 0 ? -x : x;
}

/*
 * With |dy| <= 1, |w| <= m, |x - mean| <= d and n numbers in a group: the mean of |x - mean| is at most 1 / rstd, so
 *
 *     |dx| <= rstd * m * (1 + 1 + rstd * d)
 *     |t|, |u|, |dw|, |db| <= positions * most(1, d, rstd * d);  |sum w t|, |sum w u| <= n * m * most(1, d)
 */
CGE_INTERNAL void cge_run_group_norm_bounds(const cge_norm_plan *p, const cge_real *x, const cge_real *w, cge_real *bounds)
{
    const cge_real positions = CGE_REAL(p->positions);
    int32_t index, at, i;
    bounds[0] = 0;
    bounds[1] = 0;
    for (index = 0; index < p->runs; index++) {
        norm_run r = norm_run_at(p, index);
        norm_find_statistics(p, x, &r);
        for (at = 0; at < r.channels; at++) { /* d and m in place of b and c */
            const int32_t c = r.first + at, group = at * r.step;
            for (i = 0; i < p->positions; i++) r.b[group] = norm_most(r.b[group], norm_size(x[i * p->g.in_c + c] - r.mean[group]));
            r.c[group] = norm_most(r.c[group], w != NULL ? norm_size(w[c]) : CGE_REAL(1));
        }
        for (i = 0; i < groups_of_run(&r); i++) {
            const cge_real far = r.rstd[i] * r.b[i], most = norm_most(CGE_REAL(1), r.b[i]), sums = norm_count(p) * r.c[i] * most;
            const cge_real gain = r.rstd[i] * r.c[i] * (CGE_REAL(2) + far);
            bounds[0] = norm_most(bounds[0], r.rstd[i] > 0 ? gain : cge_real_of(CGE_INFINITY_BITS));
            bounds[1] = norm_most(norm_most(bounds[1], sums), positions * norm_most(most, far));
        }
    }
}

/* ---- statistics that are given: runs of single channels ---- */

static void norm_take_statistics(const cge_norm_plan *p, const cge_real *statistics, norm_run *r)
{
    const cge_real eps = CGE_REAL(p->g.eps);
    int32_t i;
    for (i = 0; i < r->channels; i++) {
        r->mean[i] = 0;
        r->rstd[i] = 1;
        if (statistics == NULL) continue;
        r->mean[i] = statistics[r->first + i];
        r->rstd[i] = CGE_REAL(1) / cge_root(statistics[p->g.in_c + r->first + i] + eps);
    }
}

/* y = b + (x - mean) * (w * rstd) on a run's channels. */
static void norm_scale_run(const cge_norm_plan *p, const norm_run *r, const cge_real *x, const cge_real *w, const cge_real *b,
                           cge_real *y)
{
    norm_block k;
    int32_t at, i;
    for (at = 0; at < r->channels; at += k.channels) {
        k = norm_block_at(r, at, w);
        for (i = 0; i < k.channels; i++) k.c[i] = b != NULL ? b[k.first + i] : CGE_REAL(0);
        cge_run_norm_scale(p->positions, p->g.in_c, k.channels, x + k.first, k.mean, k.a, k.c, y + k.first);
    }
}

CGE_INTERNAL void cge_run_given_norm_forward(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                             const cge_real *w, const cge_real *b, cge_real *y)
{
    int32_t index;
    for (index = 0; index < p->runs; index++) {
        norm_run r = norm_run_at(p, index);
        norm_take_statistics(p, statistics, &r);
        norm_scale_run(p, &r, x, w, b, y);
    }
}

CGE_INTERNAL void cge_run_given_norm_grads(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                           const cge_real *w, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx,
                                           cge_range runs)
{
    int32_t index;
    for (index = runs.begin; index < runs.end; index++) {
        norm_run r = norm_run_at(p, index);
        norm_take_statistics(p, statistics, &r);
        if (dw != NULL || db != NULL) norm_find_products(p, x, w, dy, dw, db, &r);
        if (dx == NULL) continue;
        memset(r.mean, 0, sizeof r.mean);
        norm_scale_run(p, &r, dy, w, NULL, dx);
    }
}

/* |dx| <= |w * rstd|. Without statistics |dw|, |db| and their sums are at most positions * most(1, |x|). */
CGE_INTERNAL void cge_run_given_norm_bounds(const cge_norm_plan *p, const cge_real *x, const cge_real *statistics,
                                            const cge_real *w, cge_real *bounds)
{
    const int32_t elems = statistics == NULL ? p->positions * p->g.in_c : 0;
    cge_real far = 1;
    int32_t index, at;
    bounds[0] = 0;
    for (index = 0; index < p->runs; index++) {
        norm_run r = norm_run_at(p, index);
        norm_take_statistics(p, statistics, &r);
        for (at = 0; at < r.channels; at++) bounds[0] = norm_most(bounds[0], norm_size(w[r.first + at] * r.rstd[at]));
    }
    for (at = 0; at < elems; at++) far = norm_most(far, norm_size(x[at]));
    bounds[1] = elems > 0 ? CGE_REAL(p->positions) * far : CGE_REAL(0);
}

CGE_INTERNAL void cge_zero_norm_runs(const cge_norm_plan *p, cge_range runs, cge_real *x)
{
    const int32_t of_run = p->width > 1 ? p->width : CGE_NORM_TOGETHER, first = runs.begin * of_run;
    const int32_t end = runs.end * of_run < p->g.in_c ? runs.end * of_run : p->g.in_c;
    if (x != NULL && end > first) memset(x + first, 0, (size_t)(end - first) * sizeof *x);
}

/* Moves statistics of a run's channels towards the moments that were found. */
static void norm_track(const cge_norm_plan *p, cge_real momentum, const norm_run *r, const cge_real *squares,
                       cge_real *statistics)
{
    const cge_real keep = CGE_REAL(1) - momentum, others = norm_count(p) - CGE_REAL(1);
    cge_real *mean = statistics + r->first, *variance = mean + p->g.in_c;
    int32_t i;
    if (p->positions < 2) return;
    for (i = 0; i < r->channels; i++) {
        const cge_real spread = CGE_MADD(keep * variance[i], momentum, squares[i] / others);
        if (!cge_is_finite(spread)) continue; /* then the mean may not be finite either */
        mean[i] = CGE_MADD(keep * mean[i], momentum, r->mean[i]);
        variance[i] = spread;
    }
}

CGE_INTERNAL void cge_run_batch_norm_grads(const cge_norm_plan *p, cge_real momentum, const cge_real *x, const cge_real *w,
                                           cge_real *statistics, const cge_real *dy, cge_real *dw, cge_real *db, cge_real *dx,
                                           cge_range runs)
{
    cge_real squares[CGE_NORM_TOGETHER];
    int32_t index;
    for (index = runs.begin; index < runs.end; index++) {
        norm_run r = norm_run_at(p, index);
        norm_find_moments(p, x, &r, squares);
        norm_track(p, momentum, &r, squares, statistics);
        norm_take_squares(p, squares, &r);
        norm_run_grads(p, x, w, dy, dw, db, dx, &r);
    }
}
