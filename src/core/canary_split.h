
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
 * it; the request whose addition carries past the end of the cycle goes to
 * the canary.  Over any run of N requests on one phase the canary's count is
 * therefore floor or ceiling of N * weight (Bresenham's line), whatever the
 * requests before.  Several writers may share a phase: the addition is one
 * relaxed atomic operation and each carry is seen by exactly one of them.
 */


/* weights, here and everywhere, are parts per million, 0 to CANARY_ONE */

#define CANARY_ONE  1000000u


/*
 * The phase to begin with on the n-th of several workers: the van der Corput
 * sequence spreads any number of workers evenly over the cycle, so that with
 * many workers and a small weight the first canary request does not have to
 * wait until every worker has been through nearly a whole cycle.
 */

uint32_t canary_split_first_phase(uint32_t n);


/* Whether this request goes to the canary; weight above 1 counts as 1. */

static inline int
canary_split_take(uint32_t *phase, uint32_t weight)
{
    uint32_t  step, before;

    if (weight == 0) {
        return 0;
    }

    if (weight >= CANARY_ONE) {
        return 1;
    }

    /* rounded up: ten requests at 10 % are a full cycle, not just under it */

    step = (uint32_t) ((((uint64_t) weight << 32) + CANARY_ONE - 1)
                       / CANARY_ONE);

    before = __atomic_fetch_add(phase, step, __ATOMIC_RELAXED);

    return (uint32_t) (before + step) < before;
}


#endif /* CANARY_SPLIT_H */
