
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_histogram.h"
#include "canary_relative.h"


#define CANARY_RELATIVE_SHIFT_MIN  0.15
#define CANARY_RELATIVE_SHIFT_MAX  6.907755278982137     /* ln 1000 */


/* The counts of a block; no more bad attempts than attempts. */

typedef struct {
    double  nc;
    double  kc;
    double  ns;
    double  ks;
} canary_block_counts_t;


static canary_block_counts_t canary_block_counts(const canary_block_t *block);
static double canary_times_log(double n, double x);


void
canary_relative_init(canary_relative_t *relative, double ratio,
    double tolerance)
{
    int  j;

    relative->ratio = ratio;
    relative->tolerance = tolerance;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        relative->u[j] = CANARY_RELATIVE_SHIFT_MIN
                         * pow(CANARY_RELATIVE_SHIFT_MAX
                               / CANARY_RELATIVE_SHIFT_MIN,
                               j / (CANARY_ALTERNATIVES - 1.0));
        relative->gain[j] = expm1(relative->u[j]);
    }
}


void
canary_block_add(canary_block_t *block, const canary_block_t *cohort)
{
    block->canary += cohort->canary;
    block->canary_bad += cohort->canary_bad;
    block->stable += cohort->stable;
    block->stable_bad += cohort->stable_bad;
}


int
canary_block_complete(const canary_block_t *block)
{
    return (block->canary || block->canary_bad)
           && (block->stable || block->stable_bad);
}


static canary_block_counts_t
canary_block_counts(const canary_block_t *block)
{
    canary_block_counts_t  counts;

    counts.kc = (double) block->canary_bad;
    counts.nc = fmax((double) block->canary, counts.kc);
    counts.ks = (double) block->stable_bad;
    counts.ns = fmax((double) block->stable, counts.ks);

    return counts;
}


void
canary_relative_rates(const canary_relative_t *relative,
    const canary_block_t *block, double log_factors[CANARY_ALTERNATIVES])
{
    int                    j;
    double                 d, phi;
    canary_block_counts_t  counts;

    if (!canary_block_complete(block)) {
        memset(log_factors, 0, CANARY_ALTERNATIVES * sizeof(double));
        return;
    }

    counts = canary_block_counts(block);

    phi = relative->ratio * counts.nc
          / (counts.ns + relative->ratio * counts.nc);

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        d = log1p(phi * relative->gain[j]);

        log_factors[j] = counts.kc * relative->u[j]
                         - (counts.kc + counts.ks) * d
                         - relative->tolerance * counts.nc
                           * expm1(relative->u[j] - d);
    }
}


void
canary_relative_latencies(const canary_grid_t *grid,
    const canary_block_t *block, double log_factors[CANARY_ALTERNATIVES])
{
    int                    j;
    double                 bad, good, n, p, q, theta, theta_q;
    canary_block_counts_t  counts;

    if (!canary_block_complete(block)) {
        memset(log_factors, 0, CANARY_ALTERNATIVES * sizeof(double));
        return;
    }

    counts = canary_block_counts(block);

    n = counts.nc + counts.ns;
    p = grid->p0;
    q = 1 - p;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        theta = p * grid->bad[j];
        theta_q = q * grid->good[j];

        bad = (counts.nc * theta + counts.ns * p) / n;
        good = (counts.nc * theta_q + counts.ns * q) / n;

        log_factors[j] =
                  canary_times_log(counts.kc, theta / bad)
                + canary_times_log(counts.nc - counts.kc, theta_q / good)
                + canary_times_log(counts.ks, p / bad)
                + canary_times_log(counts.ns - counts.ks, q / good);
    }
}


static double
canary_times_log(double n, double x)
{
    return (n > 0) ? n * log(x) : 0;
}


uint32_t
canary_relative_limit(uint32_t stable_us, double ratio)
{
    double  limit;

    limit = fmin(ceil(stable_us * ratio), CANARY_HISTOGRAM_MAX);

    return canary_histogram_index((uint64_t) limit);
}


void
canary_relative_fold_rates(canary_mixture_t *mixture,
    const canary_relative_t *relative, canary_block_t *block)
{
    double  log_factors[CANARY_ALTERNATIVES];

    if (canary_block_complete(block)) {
        canary_relative_rates(relative, block, log_factors);
        canary_mixture_fold_logs(mixture, log_factors);
        memset(block, 0, sizeof(canary_block_t));
    }
}


void
canary_relative_fold_latencies(canary_mixture_t *mixture,
    const canary_grid_t *grid, canary_block_t *block)
{
    double  log_factors[CANARY_ALTERNATIVES];

    if (canary_block_complete(block)) {
        canary_relative_latencies(grid, block, log_factors);
        canary_mixture_fold_logs(mixture, log_factors);
        memset(block, 0, sizeof(canary_block_t));
    }
}
