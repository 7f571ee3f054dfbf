
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_AVERAGE_H
#define CANARY_AVERAGE_H


#include <stdint.h>

#include "canary_histogram.h"
#include "canary_mixture.h"


/*
 * A test of "the mean latency is at most mu", by betting: with a bet of v,
 * 0 < v < 1, on a time x the capital becomes 1 + v (x/mu - 1) fold.  That is
 * never negative, since no time is, and on average at most 1 if the mean is
 * at most mu; it takes no bound of the times (Waudby-Smith, Ramdas:
 * "Estimating means of bounded random variables by betting", 2024).
 *
 *     v_j = 0.01 * 90^(j/7),  j = 0..7
 *     ln F_j = sum over the buckets of count * ln(1 + v_j (x/mu - 1))
 *
 * where x is the low edge of the bucket, so that the loss of precision favours
 * the release.  The factors of the times that ended within a tick are folded
 * into a canary_mixture_t.  That times come in the order in which they end
 * makes it an approximation for tests that start in the middle.
 */

typedef struct {
    double  mean;                          /* mu, microseconds, above 0 */
    double  v[CANARY_ALTERNATIVES];
} canary_average_t;


void canary_average_init(canary_average_t *average, double mean_us);

/* ln F_j of the times in a histogram: of one tick, not their sum so far. */

void canary_average_log_factors(const canary_average_t *average,
    const canary_histogram_t *times, double log_factors[CANARY_ALTERNATIVES]);

/* Folds them into the mixture; does nothing if there are none. */

void canary_average_fold(canary_mixture_t *mixture,
    const canary_average_t *average, const canary_histogram_t *times);


#endif /* CANARY_AVERAGE_H */
