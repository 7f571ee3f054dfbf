
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_mixture.h"


/* parts of the weight of all tests */
#define CANARY_PART_START  0.5
#define CANARY_PART_STEPS  0.25
#define CANARY_PART_TICKS  0.25

#define CANARY_LN_2        0.69314718055994530942

/*
 * While the sum is at most CANARY_PLAIN_MAX, a weight of CANARY_WEIGHT_MIN or
 * more is added before each factor, and the greatest factor is within
 * exp(+-CANARY_PLAIN_LOG), plain doubles do not overflow, and what underflows
 * would not be seen in the sum, now or later.  A weight below that is not
 * worth spending.
 */

#define CANARY_PLAIN_MAX      1e100
#define CANARY_PLAIN_LOG      200.0
#define CANARY_WEIGHT_MIN     1e-60

/* of r that can be plain: 2^320 is 2e96 */
#define CANARY_PLAIN_EXPONENT 320

/* so that rounding makes nobody wait for one attempt more */
#define CANARY_NEEDED_MARGIN  (1 - 1e-9)

#define CANARY_EXPONENT_MAX   ((int64_t) 1 << 60)
#define CANARY_LOG_MAX        1e15


static int canary_mixture_plain(const canary_mixture_t *mixture);
static double canary_mixture_take_tick(canary_mixture_t *mixture);
static void canary_mixture_multiply_power(double *restrict factors,
    const double *restrict base, uint64_t n);
static void canary_mixture_multiply(canary_mixture_t *mixture,
    const double factors[CANARY_ALTERNATIVES]);
static void canary_mixture_multiply_scaled(canary_mixture_t *mixture,
    const double factors[CANARY_ALTERNATIVES],
    const int64_t exponents[CANARY_ALTERNATIVES]);
static void canary_mixture_add_scaled(canary_mixture_t *mixture, int j,
    double w);
static void canary_mixture_normalize(canary_mixture_t *mixture);
static int64_t canary_mixture_within(int64_t value, int64_t limit);
static int canary_mixture_shift(int64_t exponent);


void
canary_mixture_init(canary_mixture_t *mixture, uint32_t steps, uint64_t ticks)
{
    int  j;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->r[j] = CANARY_PART_START / CANARY_ALTERNATIVES;
        mixture->exponent[j] = 0;
    }

    mixture->scaled = 0;
    mixture->step_pot = (steps > 1) ? CANARY_PART_STEPS : 0;
    mixture->step_share = (steps > 1) ? CANARY_PART_STEPS / (steps - 1) : 0;
    mixture->tick_pot = CANARY_PART_TICKS;
    mixture->tick_share = 1.0 / (double) (ticks ? ticks : 1);
}


void
canary_mixture_forget(canary_mixture_t *mixture)
{
    memset(mixture->r, 0, sizeof(mixture->r));
    memset(mixture->exponent, 0, sizeof(mixture->exponent));

    mixture->scaled = 0;
}


void
canary_mixture_begin_step(canary_mixture_t *mixture)
{
    int     j;
    double  w;

    w = fmin(mixture->step_pot, mixture->step_share);

    mixture->step_pot -= w;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        canary_mixture_add_scaled(mixture, j, w / CANARY_ALTERNATIVES);
    }

    canary_mixture_normalize(mixture);
}


/* Whether the next cohort can be folded in plain doubles. */

static int
canary_mixture_plain(const canary_mixture_t *mixture)
{
    return !mixture->scaled
           && mixture->tick_pot * mixture->tick_share >= CANARY_WEIGHT_MIN;
}


static double
canary_mixture_take_tick(canary_mixture_t *mixture)
{
    double  w;

    w = mixture->tick_pot * mixture->tick_share;

    if (w < CANARY_WEIGHT_MIN) {
        return 0;
    }

    mixture->tick_pot -= w;

    return w / CANARY_ALTERNATIVES;
}


void
canary_mixture_fold_attempts(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    int     j;
    double  factors[CANARY_ALTERNATIVES];

    n = (n > k) ? n : k;

    if (n == 0) {
        return;
    }

    if (canary_mixture_plain(mixture)
        && (double) k * grid->u[CANARY_ALTERNATIVES - 1] <= CANARY_PLAIN_LOG
        && (double) n * grid->c[0] <= CANARY_PLAIN_LOG)
    {
        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            factors[j] = 1;
        }

        canary_mixture_multiply_power(factors, grid->good, n - k);
        canary_mixture_multiply_power(factors, grid->bad, k);
        canary_mixture_multiply(mixture, factors);
        return;
    }

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        factors[j] = (double) k * grid->u[j] - (double) n * grid->c[j];
    }

    canary_mixture_fold_logs(mixture, factors);
}


/* factors *= base^n: for cohorts of usual size much faster than exp() */

static void
canary_mixture_multiply_power(double *restrict factors,
    const double *restrict base, uint64_t n)
{
    int     j;
    double  power[CANARY_ALTERNATIVES];

    if (n == 0) {
        return;
    }

    memcpy(power, base, sizeof(power));

    for ( ;; ) {
        if (n & 1) {
            for (j = 0; j < CANARY_ALTERNATIVES; j++) {
                factors[j] *= power[j];
            }
        }

        n >>= 1;

        if (n == 0) {
            return;
        }

        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            power[j] *= power[j];
        }
    }
}


void
canary_mixture_fold_burst(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    int                   j;
    double                bad, factors[CANARY_ALTERNATIVES];
    static const int64_t  none[CANARY_ALTERNATIVES];

    if (n == 0 && k == 0) {
        return;
    }

    bad = (k < n) ? (double) k / (double) n : 1;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        factors[j] = grid->good[j] + bad * grid->gain[j];
    }

    if (canary_mixture_plain(mixture)) {
        canary_mixture_multiply(mixture, factors);

    } else {
        canary_mixture_multiply_scaled(mixture, factors, none);
    }
}


void
canary_mixture_fold_logs(canary_mixture_t *mixture,
    const double log_factors[CANARY_ALTERNATIVES])
{
    int      j;
    double   exponent, factors[CANARY_ALTERNATIVES], log_factor, max;
    int64_t  exponents[CANARY_ALTERNATIVES];

    max = log_factors[0];

    for (j = 1; j < CANARY_ALTERNATIVES; j++) {
        max = (log_factors[j] > max) ? log_factors[j] : max;
    }

    if (canary_mixture_plain(mixture)
        && max >= -CANARY_PLAIN_LOG && max <= CANARY_PLAIN_LOG)
    {
        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            factors[j] = exp(log_factors[j]);
        }

        canary_mixture_multiply(mixture, factors);
        return;
    }

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_factor = fmax(fmin(log_factors[j], CANARY_LOG_MAX),
                          -CANARY_LOG_MAX);
        exponent = floor(log_factor / CANARY_LN_2);

        factors[j] = exp(log_factor - exponent * CANARY_LN_2);
        exponents[j] = (int64_t) exponent;
    }

    canary_mixture_multiply_scaled(mixture, factors, exponents);
}


/* R_j = (R_j + w/8) * F_j, if canary_mixture_plain() */

static void
canary_mixture_multiply(canary_mixture_t *mixture,
    const double factors[CANARY_ALTERNATIVES])
{
    int     j;
    double  sum, w;

    w = canary_mixture_take_tick(mixture);
    sum = 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->r[j] = (mixture->r[j] + w) * factors[j];
        sum += mixture->r[j];
    }

    if (sum > CANARY_PLAIN_MAX) {
        canary_mixture_normalize(mixture);
    }
}


/* The same with F_j = factor * 2^exponent, whatever they are. */

static void
canary_mixture_multiply_scaled(canary_mixture_t *mixture,
    const double factors[CANARY_ALTERNATIVES],
    const int64_t exponents[CANARY_ALTERNATIVES])
{
    int     j;
    double  w;

    w = canary_mixture_take_tick(mixture);

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        canary_mixture_add_scaled(mixture, j, w);

        mixture->r[j] *= factors[j];
        mixture->exponent[j] += exponents[j];
    }

    canary_mixture_normalize(mixture);
}


/* R_j += w */

static void
canary_mixture_add_scaled(canary_mixture_t *mixture, int j, double w)
{
    int  shift;

    if (w == 0) {
        return;
    }

    shift = canary_mixture_shift(mixture->exponent[j]);

    if (shift > 0) {
        mixture->r[j] += ldexp(w, -shift);
        return;
    }

    mixture->r[j] = ldexp(mixture->r[j], shift) + w;
    mixture->exponent[j] = 0;
}


/*
 * Makes plain numbers of those that can be, so that what is out of range comes
 * back to it without being noticed, and brings the r of others to [0.5, 1).
 * While the greatest is in range and weight is added, no other can be too
 * small to be plain.
 */

static void
canary_mixture_normalize(canary_mixture_t *mixture)
{
    int      exponent, j;
    int64_t  least, max, total;

    max = -CANARY_EXPONENT_MAX;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mixture->r[j] = frexp(mixture->r[j], &exponent);

        total = (mixture->r[j] == 0) ? -CANARY_EXPONENT_MAX
                                     : mixture->exponent[j] + exponent;

        mixture->exponent[j] = canary_mixture_within(total,
                                                     CANARY_EXPONENT_MAX);

        if (mixture->exponent[j] > max) {
            max = mixture->exponent[j];
        }
    }

    least = -CANARY_PLAIN_EXPONENT;

    if (mixture->tick_pot * mixture->tick_share >= CANARY_WEIGHT_MIN
        && max >= -CANARY_PLAIN_EXPONENT && max <= CANARY_PLAIN_EXPONENT)
    {
        least = -CANARY_EXPONENT_MAX;
    }

    mixture->scaled = 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        if (mixture->exponent[j] < least
            || mixture->exponent[j] > CANARY_PLAIN_EXPONENT)
        {
            mixture->scaled = 1;
            continue;
        }

        mixture->r[j] = ldexp(mixture->r[j],
                              canary_mixture_shift(mixture->exponent[j]));
        mixture->exponent[j] = 0;
    }
}


static int64_t
canary_mixture_within(int64_t value, int64_t limit)
{
    return (value > limit) ? limit : (value < -limit) ? -limit : value;
}


/* An exponent for ldexp(), which beyond such ones gives 0 or infinity. */

static int
canary_mixture_shift(int64_t exponent)
{
    return (int) canary_mixture_within(exponent, 5000);
}


double
canary_mixture_sum(const canary_mixture_t *mixture)
{
    int     j;
    double  sum;

    sum = 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        sum += mixture->scaled
               ? ldexp(mixture->r[j],
                       canary_mixture_shift(mixture->exponent[j]))
               : mixture->r[j];
    }

    return fmin(sum, CANARY_MIXTURE_MAX);
}


double
canary_mixture_log_e(const canary_mixture_t *mixture)
{
    int      j;
    double   sum;
    int64_t  max;

    max = -CANARY_EXPONENT_MAX;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        if (mixture->r[j] > 0 && mixture->exponent[j] > max) {
            max = mixture->exponent[j];
        }
    }

    sum = 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        sum += ldexp(mixture->r[j],
                     canary_mixture_shift(mixture->exponent[j] - max));
    }

    return log(sum) + (double) max * CANARY_LN_2;
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

    w = mixture->tick_pot * mixture->tick_share;
    sum = fmax(canary_mixture_sum(mixture) + w, 1 / CANARY_MIXTURE_MAX);

    needed = ceil((log(evidence) - log(sum))
                  / grid->u[CANARY_ALTERNATIVES - 1]);

    return (needed > 1) ? (uint64_t) needed : 1;
}


uint64_t
canary_mixture_attempts_needed(const canary_mixture_t *mixture,
    const canary_grid_t *grid, double evidence, uint64_t in_flight)
{
    int       j;
    double    r[CANARY_ALTERNATIVES], more, sum;
    uint64_t  least, m;

    least = canary_mixture_bad_needed(mixture, grid, evidence);

    if (least == CANARY_NEEDED_MAX || mixture->scaled || grid->p0 <= 0) {
        return least;
    }

    more = (least > in_flight) ? (double) (least - in_flight) : 0;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        r[j] = (mixture->r[j] + mixture->tick_pot * mixture->tick_share
                                / CANARY_ALTERNATIVES)
               * exp((double) least * grid->u[j] - more * grid->c[j]);
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
