
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>

#include "canary_mixture.h"


/* parts of the weight of all tests */
#define CANARY_PART_START  0.5
#define CANARY_PART_STEPS  0.25
#define CANARY_PART_TICKS  0.25

/* so that rounding makes nobody wait for one attempt more */
#define CANARY_NEEDED_MARGIN  (1 - 1e-9)

/* has a logarithm; if a single cohort was planned, it took all */
#define CANARY_WEIGHT_MIN     1e-300

/* of ln R_j: beyond all evidence there can be, and finite */
#define CANARY_LOG_MAX        1e15

/* bursts, the product of whose factors no double is too small or great for */
#define CANARY_RUN            16


static double canary_mixture_next_weight(const canary_mixture_t *mixture);
static double canary_mixture_take_weight(canary_mixture_t *mixture);
static void canary_mixture_fold_run(canary_mixture_t *mixture,
    const canary_grid_t *grid, const double *bad, const double *w, uint32_t n);
static void canary_mixture_set(canary_mixture_t *mixture, int j, double log_r);
static double canary_log_add(double a, double b);


void
canary_mixture_init(canary_mixture_t *mixture, uint32_t steps, uint64_t ticks)
{
    int  j;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->log_r[j] = log(CANARY_PART_START / CANARY_ALTERNATIVES);
    }

    mixture->step_pot = (steps > 1) ? CANARY_PART_STEPS : 0;
    mixture->step_share = (steps > 1) ? CANARY_PART_STEPS / (steps - 1) : 0;
    mixture->tick_pot = CANARY_PART_TICKS;
    mixture->planned = (double) (ticks ? ticks : 1);
    mixture->folded = 0;
}


void
canary_mixture_forget(canary_mixture_t *mixture)
{
    int  j;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->log_r[j] = -CANARY_LOG_MAX;
    }
}


void
canary_mixture_begin_step(canary_mixture_t *mixture)
{
    int     j;
    double  w;

    w = fmin(mixture->step_pot, mixture->step_share);

    if (w <= 0) {
        return;
    }

    mixture->step_pot -= w;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->log_r[j] = canary_log_add(mixture->log_r[j],
                                           log(w / CANARY_ALTERNATIVES));
    }
}


/*
 * A share of what is left, so that the pot is never empty: from the planned
 * number T on, what is left after t cohorts is pot_T T/t.
 */

static double
canary_mixture_next_weight(const canary_mixture_t *mixture)
{
    return fmax(mixture->tick_pot
                / fmax(mixture->planned, mixture->folded + 1),
                CANARY_WEIGHT_MIN);
}


static double
canary_mixture_take_weight(canary_mixture_t *mixture)
{
    double  w;

    w = canary_mixture_next_weight(mixture);

    mixture->tick_pot -= w;
    mixture->folded++;

    return w;
}


/* ln(exp(a) + exp(b)) */

static double
canary_log_add(double a, double b)
{
    return ((a > b) ? a : b) + log(1 + exp(-fabs(a - b)));
}


void
canary_mixture_fold_attempts(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    int     j;
    double  log_factors[CANARY_ALTERNATIVES];

    n = (n > k) ? n : k;

    if (n == 0) {
        return;
    }

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_factors[j] = (double) k * grid->u[j] - (double) n * grid->c[j];
    }

    canary_mixture_fold_logs(mixture, log_factors);
}


void
canary_mixture_fold_burst(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    canary_burst_t  burst = { .n = n, .k = k };

    canary_mixture_fold_bursts(mixture, grid, &burst, 1);
}


void
canary_mixture_fold_bursts(canary_mixture_t *mixture,
    const canary_grid_t *grid, const canary_burst_t *bursts, uint32_t count)
{
    double    bad[CANARY_RUN], w[CANARY_RUN];
    uint32_t  i, n;

    for (i = 0, n = 0; i < count; i++) {

        if (bursts[i].n == 0 && bursts[i].k == 0) {
            continue;
        }

        bad[n] = (bursts[i].k < bursts[i].n)
                 ? (double) bursts[i].k / (double) bursts[i].n : 1;
        w[n++] = canary_mixture_take_weight(mixture) / CANARY_ALTERNATIVES;

        if (n == CANARY_RUN) {
            canary_mixture_fold_run(mixture, grid, bad, w, n);
            n = 0;
        }
    }

    if (n) {
        canary_mixture_fold_run(mixture, grid, bad, w, n);
    }
}


/* in plain numbers, relative to the greater of R and w/8 at the beginning */

static void
canary_mixture_fold_run(canary_mixture_t *mixture, const canary_grid_t *grid,
    const double *bad, const double *w, uint32_t n)
{
    int       j;
    double    factor, log_unit, log_w, r, unit;
    uint32_t  i;

    log_w = log(w[0]);

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_unit = (mixture->log_r[j] > log_w) ? mixture->log_r[j] : log_w;
        unit = (n > 1) ? exp(-log_unit) : 0;

        r = 1 + exp(-fabs(mixture->log_r[j] - log_w));
        r *= grid->good[j] + bad[0] * grid->gain[j];

        for (i = 1; i < n; i++) {
            factor = grid->good[j] + bad[i] * grid->gain[j];
            r = (r + w[i] * unit) * factor;
        }

        canary_mixture_set(mixture, j, log_unit + log(r));
    }
}


void
canary_mixture_fold_logs(canary_mixture_t *mixture,
    const double log_factors[CANARY_ALTERNATIVES])
{
    int     j;
    double  log_w;

    log_w = log(canary_mixture_take_weight(mixture) / CANARY_ALTERNATIVES);

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        canary_mixture_set(mixture, j,
                           canary_log_add(mixture->log_r[j], log_w)
                           + log_factors[j]);
    }
}


static void
canary_mixture_set(canary_mixture_t *mixture, int j, double log_r)
{
    mixture->log_r[j] = (log_r > CANARY_LOG_MAX) ? CANARY_LOG_MAX
                        : (log_r < -CANARY_LOG_MAX) ? -CANARY_LOG_MAX
                        : log_r;
}


double
canary_mixture_sum(const canary_mixture_t *mixture)
{
    int     j;
    double  sum;

    sum = 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        sum += exp(mixture->log_r[j]);
    }

    return fmin(sum, CANARY_MIXTURE_MAX);
}


double
canary_mixture_log_e(const canary_mixture_t *mixture)
{
    int     j;
    double  log_e;

    log_e = mixture->log_r[0];

    for (j = 1; j < CANARY_ALTERNATIVES; j++) {
        log_e = canary_log_add(log_e, mixture->log_r[j]);
    }

    return log_e;
}


int
canary_mixture_violated(const canary_mixture_t *mixture,
    const canary_grid_t *grid, const canary_demand_t *demand, uint64_t n,
    uint64_t k)
{
    if (n < demand->min_requests || grid->p0 > CANARY_RATE_MAX) {
        return 0;
    }

    if (grid->p0 <= 0) {
        return k > 0;
    }

    return k >= demand->min_bad
           && canary_mixture_sum(mixture) >= demand->evidence;
}


uint64_t
canary_mixture_bad_needed(const canary_mixture_t *mixture,
    const canary_grid_t *grid, double evidence)
{
    double  needed, sum, w;

    if (grid->p0 <= 0) {
        return 1;
    }

    if (grid->p0 > CANARY_RATE_MAX) {
        return CANARY_NEEDED_MAX;
    }

    w = canary_mixture_next_weight(mixture);
    sum = canary_mixture_sum(mixture) + w;

    needed = ceil((log(evidence) - log(sum))
                  / grid->u[CANARY_ALTERNATIVES - 1]);

    return (needed > 1) ? (uint64_t) needed : 1;
}


uint64_t
canary_mixture_attempts_needed(const canary_mixture_t *mixture,
    const canary_grid_t *grid, double evidence, uint64_t in_flight)
{
    int       j;
    double    log_w, more, r[CANARY_ALTERNATIVES], sum;
    uint64_t  least, m;

    least = canary_mixture_bad_needed(mixture, grid, evidence);

    if (least == CANARY_NEEDED_MAX || grid->p0 <= 0) {
        return least;
    }

    log_w = log(canary_mixture_next_weight(mixture) / CANARY_ALTERNATIVES);
    more = (least > in_flight) ? (double) (least - in_flight) : 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        r[j] = exp(canary_log_add(mixture->log_r[j], log_w)
                   + (double) least * grid->u[j] - more * grid->c[j]);
    }

    for (m = least; m < least + CANARY_NEEDED_STEPS; m++) {

        for (j = 0, sum = 0; j < CANARY_ALTERNATIVES; j++) {
            sum += r[j];
            r[j] *= (m < in_flight) ? grid->bad[j] / grid->good[j]
                                    : grid->bad[j];
        }

        if (sum >= evidence * CANARY_NEEDED_MARGIN) {
            return m;
        }
    }

    return least;
}
