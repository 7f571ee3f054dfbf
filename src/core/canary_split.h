
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_SPLIT_H
#define CANARY_SPLIT_H


#include <stdint.h>


/*
 * The exact split.
 *
 * A phase is a 32-bit fraction of a cycle.  Each request adds the weight to
 * it, as a step; the request whose addition carries past the end of the cycle
 * goes to the canary.  Over any run of N requests on one phase the canary's
 * count is therefore floor or ceiling of N * weight (Bresenham's line),
 * whatever the requests before.  Several writers may share a phase: the
 * addition is one relaxed atomic operation and each carry is seen by exactly
 * one of them.
 */


/* weights, here and everywhere, are parts per million, 0 to CANARY_ONE */

#define CANARY_ONE              1000000u
#define CANARY_WEIGHT_DECIMALS  6


/*
 * The phase to begin with on the n-th of several workers: the van der Corput
 * sequence spreads any number of workers evenly over the cycle, so that with
 * many workers and a small weight the first canary request does not have to
 * wait until every worker has been through nearly a whole cycle.
 */

uint32_t canary_split_first_phase(uint32_t n);


/*
 * What a request adds: 0 to 2^32.  Rounded up: ten requests at 10 % are a full
 * cycle, not just under it.  Weight above 1 counts as 1.
 */

static inline uint64_t
canary_split_step(uint32_t weight)
{
    if (weight >= CANARY_ONE) {
        return (uint64_t) 1 << 32;
    }

    return (((uint64_t) weight << 32) + CANARY_ONE - 1) / CANARY_ONE;
}


/* Whether this request goes to the canary. */

static inline int
canary_split_take(uint32_t *phase, uint64_t step)
{
    uint32_t  before;

    before = __atomic_fetch_add(phase, (uint32_t) step, __ATOMIC_RELAXED);

    return (before + step) >> 32 != 0;
}


#endif /* CANARY_SPLIT_H */
