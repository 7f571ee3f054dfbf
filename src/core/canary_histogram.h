
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_HISTOGRAM_H
#define CANARY_HISTOGRAM_H


#include <stdint.h>


/*
 * A log-linear histogram of times in microseconds.
 *
 * Each octave has 32 buckets of equal width, as in HdrHistogram (Tene): the
 * bucket of a time is its leading six bits and their position, which takes a
 * few instructions and no logarithm.  Below 64 us a bucket is one
 * microsecond; above, its width is at most 1/32 (3.1 %) of its low edge, and
 * its middle off by at most 1/64 from any time in it.  Times above
 * CANARY_HISTOGRAM_MAX (134 s) count in the last bucket.
 *
 * Counts add up bucket by bucket: over workers, over windows of time, and
 * over machines.
 */

#define CANARY_HISTOGRAM_BUCKETS  736u
#define CANARY_HISTOGRAM_MAX      ((1u << 27) - 1)

#define CANARY_QUANTILE_ONE       1000000000u    /* quantiles are in ppb */

/* in place of a bucket: there is none */
#define CANARY_HISTOGRAM_NONE     CANARY_HISTOGRAM_BUCKETS


typedef struct {
    uint64_t  counts[CANARY_HISTOGRAM_BUCKETS];
} canary_histogram_t;


/*
 * Bounds of a quantile in microseconds, each of them at any time below or
 * above the true one with the confidence asked for.
 */

typedef struct {
    uint32_t  low;         /* 0: nothing is known */
    uint32_t  high;
    int       unbounded;   /* there is no high */
} canary_quantile_bounds_t;


/* The bucket of a time, 0 to CANARY_HISTOGRAM_BUCKETS - 1. */

static inline uint32_t
canary_histogram_index(uint64_t us)
{
    uint32_t  time, shift;

    time = (us < CANARY_HISTOGRAM_MAX) ? (uint32_t) us : CANARY_HISTOGRAM_MAX;
    shift = 26 - (uint32_t) __builtin_clz(time | 32);

    return (shift << 5) + (time >> shift);
}


/* The least and the greatest time that belong to a bucket, both inclusive. */

static inline uint32_t
canary_histogram_low(uint32_t index)
{
    return (index < 64) ? index
                        : (32 + (index & 31)) << ((index >> 5) - 1);
}


static inline uint32_t
canary_histogram_high(uint32_t index)
{
    return (index < 64) ? index
                        : ((33 + (index & 31)) << ((index >> 5) - 1)) - 1;
}


/* What a time in it is told as. */

static inline uint32_t
canary_histogram_middle(uint32_t index)
{
    return (canary_histogram_low(index) + canary_histogram_high(index) + 1)
           / 2;
}


/* sum += part; sum -= part, where part is an earlier state of sum. */

void canary_histogram_merge(canary_histogram_t *sum,
    const canary_histogram_t *part);
void canary_histogram_subtract(canary_histogram_t *sum,
    const canary_histogram_t *part);

uint64_t canary_histogram_total(const canary_histogram_t *histogram);

/* How many times are above the high edge of a bucket. */

uint64_t canary_histogram_above(const canary_histogram_t *histogram,
    uint32_t index);


/*
 * The bucket of a quantile (ppb, 0 to CANARY_QUANTILE_ONE) by nearest rank:
 * of n times in ascending order the one number ceil(quantile * n), at least
 * the first.  CANARY_HISTOGRAM_NONE if the histogram is empty.
 *
 * So the quantile of the times is above a bucket if and only if more than
 * (1 - quantile) * n of them are.
 */

uint32_t canary_histogram_quantile(const canary_histogram_t *histogram,
    uint32_t quantile);


/*
 * Anytime-valid bounds of a quantile, each with this confidence (0 to 1,
 * exclusive) however often one looks.  A time y is below the quantile Q if
 * more than 1 - Q of all times are above y.  So low is the greatest high edge
 * y for which the times above it prove that (canary_log_e_above), and high
 * the least for which they prove the opposite (canary_log_e_below).  The
 * number above y only falls with y, so nothing is paid for trying all edges
 * (Howard, Ramdas: "Sequential estimation of quantiles", 2022).
 */

void canary_histogram_bounds(const canary_histogram_t *histogram,
    uint32_t quantile, double confidence, canary_quantile_bounds_t *bounds);


/*
 * A histogram since a base, both of counters that rise modulo 2^32 (NULL: a
 * base of zeros).  It is full when one of its own has come to 2^31, and has
 * to be halved before that one comes to 2^32: the base is moved, and the
 * quantiles stay.
 */

int canary_histogram_is_full(const uint32_t counts[CANARY_HISTOGRAM_BUCKETS],
    const uint32_t *base);
void canary_histogram_halve(const uint32_t counts[CANARY_HISTOGRAM_BUCKETS],
    uint32_t base[CANARY_HISTOGRAM_BUCKETS]);


#endif /* CANARY_HISTOGRAM_H */
