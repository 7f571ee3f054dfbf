
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_average.h"


#define CANARY_BET_MIN  0.01
#define CANARY_BET_MAX  0.9


static void canary_average_bet(const canary_average_t *average, double x,
    double count, double log_factors[CANARY_ALTERNATIVES]);


void
canary_average_init(canary_average_t *average, double mean_us)
{
    int  j;

    average->mean = mean_us;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        average->v[j] = CANARY_BET_MIN
                        * pow(CANARY_BET_MAX / CANARY_BET_MIN,
                              j / (CANARY_ALTERNATIVES - 1.0));
    }
}


void
canary_average_log_factors(const canary_average_t *average,
    const canary_histogram_t *times, double log_factors[CANARY_ALTERNATIVES])
{
    uint32_t  i;

    memset(log_factors, 0, CANARY_ALTERNATIVES * sizeof(double));

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        if (times->counts[i]) {
            canary_average_bet(average, canary_histogram_low(i),
                               (double) times->counts[i], log_factors);
        }
    }
}


static void
canary_average_bet(const canary_average_t *average, double x, double count,
    double log_factors[CANARY_ALTERNATIVES])
{
    int     j;
    double  excess;

    excess = x / average->mean - 1;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_factors[j] += count * log1p(average->v[j] * excess);
    }
}


void
canary_average_fold(canary_mixture_t *mixture,
    const canary_average_t *average, const canary_histogram_t *times)
{
    double  log_factors[CANARY_ALTERNATIVES];

    if (canary_histogram_total(times) == 0) {
        return;
    }

    canary_average_log_factors(average, times, log_factors);
    canary_mixture_fold_logs(mixture, log_factors);
}
