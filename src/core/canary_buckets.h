
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_BUCKETS_H
#define CANARY_BUCKETS_H


#include "canary_histogram.h"


/*
 * The few buckets of a histogram as it is exported, for systems that store
 * each bucket as a series: powers of two of a microsecond from 0.128 ms to
 * 67 s, and between 1 ms and 8.4 s also what is half as much again.  Each
 * edge is one of canary_histogram_t, so nothing has to be estimated.
 */

#define CANARY_BUCKETS  33u    /* with an edge, and one more for the rest */


/* Upper edges in microseconds, ascending: times below count. */

extern const uint32_t  canary_bucket_edges[CANARY_BUCKETS];


/* The bucket, 0 to CANARY_BUCKETS, that bucket index of a histogram is in. */

uint32_t canary_bucket(uint32_t index);

/* Adds the counts of a histogram, each to its bucket. */

void canary_buckets_add(uint64_t buckets[CANARY_BUCKETS + 1],
    const uint32_t counts[CANARY_HISTOGRAM_BUCKETS]);


#endif /* CANARY_BUCKETS_H */
