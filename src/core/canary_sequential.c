
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>

#include "canary_sequential.h"


#define CANARY_SHIFT_MIN      0.15
#define CANARY_CLEAR_MAX      6.907755278982137     /* ln 1000 */
#define CANARY_RATE_EXTREME   0.999

/* Of a rule's threshold and of a bound; a rule's is in parts per billion. */
#define CANARY_RATE_MIN       1e-12
#define CANARY_BOUND_MIN      1e-30

/* Halvings of the interval (CANARY_BOUND_MIN, 1) of ln p0: to 3e-13 of p0. */
#define CANARY_BOUND_HALVINGS  48

#define CANARY_LOG_E_MAX      1e300

/* Up to here, doubles count one by one. */
#define CANARY_ATTEMPTS_MAX   ((uint64_t) 1 << 53)


static void canary_grid_shifts(double *u, double *c, double p0);
static void canary_grid_clear_shifts(double *v, double *d, double p0);
static double canary_log_mean_exp(const double *x, int n);
static double canary_log_e_shifts(const double *u, const double *c,
    double n, double k);
static double canary_log_e_clear_shifts(const double *v, const double *d,
    double n, double k);
static double canary_rate_low(double n, double k, double limit);
static double canary_rate_high(double n, double k, double limit);
static double canary_clear_estimate(const canary_grid_t *grid, double limit,
    double k);


static inline double
canary_attempts(uint64_t n, uint64_t k)
{
    return (double) (n > k ? n : k);
}


void
canary_grid_init(canary_grid_t *grid, double p0)
{
    int     j;
    double  p;

    grid->p0 = p0;

    p = fmin(fmax(p0, CANARY_RATE_MIN), CANARY_RATE_MAX);

    canary_grid_shifts(grid->u, grid->c, p);
    canary_grid_clear_shifts(grid->v, grid->d, fmin(fmax(p0, 0), 1));

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        grid->good[j] = exp(-grid->c[j]);
        grid->bad[j] = exp(grid->u[j] - grid->c[j]);
        grid->gain[j] = expm1(grid->u[j]) * grid->good[j];
    }
}


static void
canary_grid_shifts(double *u, double *c, double p0)
{
    int     j;
    double  u_max;

    u_max = log(CANARY_RATE_EXTREME / (1 - CANARY_RATE_EXTREME))
            - (log(p0) - log1p(-p0));

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        u[j] = CANARY_SHIFT_MIN * pow(u_max / CANARY_SHIFT_MIN,
                                      j / (CANARY_ALTERNATIVES - 1.0));
        c[j] = log1p(p0 * expm1(u[j]));
    }
}


static void
canary_grid_clear_shifts(double *v, double *d, double p0)
{
    int  i;

    for (i = 0; i < CANARY_CLEAR_ALTERNATIVES; i++) {
        v[i] = CANARY_SHIFT_MIN * pow(CANARY_CLEAR_MAX / CANARY_SHIFT_MIN,
                                      i / (CANARY_CLEAR_ALTERNATIVES - 1.0));
        d[i] = -log1p(p0 * expm1(-v[i]));
    }
}


double
canary_log_e_limit(double confidence)
{
    return -log1p(-confidence);
}


double
canary_log_e_above(const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    if (grid->p0 > CANARY_RATE_MAX) {
        return 0;
    }

    if (grid->p0 <= 0) {
        return k ? CANARY_LOG_E_MAX : 0;
    }

    return canary_log_e_shifts(grid->u, grid->c, canary_attempts(n, k),
                               (double) k);
}


double
canary_log_e_below(const canary_grid_t *grid, uint64_t n, uint64_t k)
{
    return canary_log_e_clear_shifts(grid->v, grid->d, canary_attempts(n, k),
                                     (double) k);
}


static double
canary_log_e_shifts(const double *u, const double *c, double n, double k)
{
    int     j;
    double  log_e[CANARY_ALTERNATIVES];

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_e[j] = k * u[j] - n * c[j];
    }

    return canary_log_mean_exp(log_e, CANARY_ALTERNATIVES);
}


static double
canary_log_e_clear_shifts(const double *v, const double *d, double n, double k)
{
    int     i;
    double  log_e[CANARY_CLEAR_ALTERNATIVES];

    for (i = 0; i < CANARY_CLEAR_ALTERNATIVES; i++) {
        log_e[i] = n * d[i] - k * v[i];
    }

    return canary_log_mean_exp(log_e, CANARY_CLEAR_ALTERNATIVES);
}


/* ln((exp(x[0]) + ...) / n), with nothing that could overflow */

static double
canary_log_mean_exp(const double *x, int n)
{
    int     i;
    double  max, sum;

    max = x[0];

    for (i = 1; i < n; i++) {
        max = fmax(max, x[i]);
    }

    sum = 0;

    for (i = 0; i < n; i++) {
        sum += exp(x[i] - max);
    }

    return max + log(sum / n);
}


void
canary_rate_bounds(uint64_t n, uint64_t k, double confidence, double *low,
    double *high)
{
    double  attempts, limit;

    attempts = canary_attempts(n, k);
    limit = canary_log_e_limit(confidence);

    *low = canary_rate_low(attempts, (double) k, limit);
    *high = canary_rate_high(attempts, (double) k, limit);
}


static double
canary_rate_low(double n, double k, double limit)
{
    int     i;
    double  c[CANARY_ALTERNATIVES], p, proven, unproven;
    double  u[CANARY_ALTERNATIVES];

    proven = log(CANARY_BOUND_MIN);
    unproven = log(CANARY_RATE_MAX);
    p = CANARY_RATE_MAX;

    if (k == 0) {
        return 0;
    }

    for (i = 0; i <= CANARY_BOUND_HALVINGS; i++) {
        canary_grid_shifts(u, c, p);

        if (canary_log_e_shifts(u, c, n, k) < limit) {
            unproven = log(p);

        } else if (i == 0) {
            return CANARY_RATE_MAX;

        } else {
            proven = log(p);
        }

        p = exp((proven + unproven) / 2);
    }

    return exp(proven);
}


static double
canary_rate_high(double n, double k, double limit)
{
    int     i;
    double  d[CANARY_CLEAR_ALTERNATIVES], p, proven, unproven;
    double  v[CANARY_CLEAR_ALTERNATIVES];

    proven = 0;
    unproven = log(CANARY_BOUND_MIN);
    p = 1;

    for (i = 0; i <= CANARY_BOUND_HALVINGS; i++) {
        canary_grid_clear_shifts(v, d, p);

        if (canary_log_e_clear_shifts(v, d, n, k) >= limit) {
            proven = log(p);

        } else if (i == 0) {
            return 1;

        } else {
            unproven = log(p);
        }

        p = exp((proven + unproven) / 2);
    }

    return exp(proven);
}


int
canary_rate_clear(const canary_grid_t *grid, double limit,
    uint64_t min_requests, uint64_t n, uint64_t k)
{
    return n >= min_requests && canary_log_e_below(grid, n, k) >= limit;
}


/*
 * One alternative alone reaches the limit with (limit + k v) / d attempts.
 * The mean of all is never above the best one, and never below a sixth of it:
 * that brackets the number.
 */

uint64_t
canary_rate_clear_needed(const canary_grid_t *grid, double limit,
    uint64_t min_requests, uint64_t n, uint64_t k)
{
    double    few, many;
    uint64_t  above, below, middle;

    few = canary_clear_estimate(grid, limit, (double) k);
    many = canary_clear_estimate(grid,
                                 limit + log(CANARY_CLEAR_ALTERNATIVES),
                                 (double) k);

    below = (few < n) ? 0 : (few - n < CANARY_NEEDED_MAX)
                            ? (uint64_t) (few - n) : CANARY_NEEDED_MAX;
    above = (many < n) ? 1 : (many - n < CANARY_NEEDED_MAX)
                             ? (uint64_t) (many - n) + 2 : CANARY_NEEDED_MAX;

    below = (below > 2) ? below - 2 : 0;

    while (below < above) {
        middle = below + (above - below) / 2;

        if (canary_log_e_below(grid, n + middle, k) >= limit) {
            above = middle;

        } else {
            below = middle + 1;
        }
    }

    if (n + above < min_requests) {
        above = min_requests - n;
    }

    return (above < CANARY_NEEDED_MAX) ? above : CANARY_NEEDED_MAX;
}


static double
canary_clear_estimate(const canary_grid_t *grid, double limit, double k)
{
    int     i;
    double  least;

    least = INFINITY;

    for (i = 0; i < CANARY_CLEAR_ALTERNATIVES; i++) {
        if (grid->d[i] > 0) {
            least = fmin(least, (limit + k * grid->v[i]) / grid->d[i]);
        }
    }

    return least;
}


uint64_t
canary_rate_attempts_max(const canary_grid_t *grid, double limit, uint64_t k)
{
    uint64_t  above, below, middle;

    k = (k < CANARY_ATTEMPTS_MAX) ? k : CANARY_ATTEMPTS_MAX;

    if (canary_log_e_above(grid, k, k) < limit) {
        return 0;
    }

    below = k;
    above = k + 1;

    while (canary_log_e_above(grid, above, k) >= limit) {
        if (above >= CANARY_ATTEMPTS_MAX) {
            return CANARY_ATTEMPTS_MAX;
        }

        below = above;
        above *= 2;
    }

    while (above - below > 1) {
        middle = below + (above - below) / 2;

        if (canary_log_e_above(grid, middle, k) >= limit) {
            below = middle;

        } else {
            above = middle;
        }
    }

    return below;
}


uint64_t
canary_rate_all_bad(const canary_grid_t *grid, double limit)
{
    uint64_t  n;

    if (grid->p0 > CANARY_RATE_MAX) {
        return CANARY_NEEDED_MAX;
    }

    for (n = 1; canary_log_e_above(grid, n, n) < limit; n++) { /* void */ }

    return n;
}
