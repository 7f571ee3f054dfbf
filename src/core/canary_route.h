
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_ROUTE_H
#define CANARY_ROUTE_H


#include <stdint.h>


/*
 * The routing word: all that a request needs to be routed, in 64 bits, so
 * that one atomic load reads it whole and no request sees a mixture.
 *
 *   bit   0..19  weight of the canary, parts per million (0..1,000,000)
 *   bit  20..27  id of the stable release
 *   bit  28..35  id of the canary, CANARY_NO_RELEASE when idle
 *   bit  36..38  phase
 *   bit      39  watched: rules ask for more of attempts
 *   bit  40..63  epoch: number of the rollout, modulo 2^24
 */


#define CANARY_NO_RELEASE   0xffu
#define CANARY_EPOCH_MASK   0xffffffu

#define CANARY_NO_WORD      UINT64_MAX  /* its weight is above 1 */


/* The phases of an endpoint; the values are kept in shared memory. */

typedef enum {
    CANARY_IDLE = 0,       /* no rollout: all traffic is stable's */
    CANARY_PROGRESSING,    /* steps are taken as intervals pass */
    CANARY_PAUSED,         /* the clock stands still, rules still guard */
    CANARY_HALTED,         /* a rule broke; the weight waits for a person */
    CANARY_BAKING          /* at 100 %, guarded, before the promotion */
} canary_phase_t;

#define CANARY_PHASES  5u


typedef struct {
    uint32_t        weight;      /* parts per million */
    uint32_t        stable;      /* release id */
    uint32_t        canary;      /* release id or CANARY_NO_RELEASE */
    uint32_t        epoch;       /* 0..CANARY_EPOCH_MASK */
    canary_phase_t  phase;
    uint32_t        watched;     /* 0 or 1: canary_strategy_watches() */
} canary_route_t;


static inline uint64_t
canary_route_encode(const canary_route_t *route)
{
    return (uint64_t) (route->weight & 0xfffff)
           | (uint64_t) (route->stable & 0xff) << 20
           | (uint64_t) (route->canary & 0xff) << 28
           | (uint64_t) (route->phase & 7) << 36
           | (uint64_t) (route->watched & 1) << 39
           | (uint64_t) (route->epoch & CANARY_EPOCH_MASK) << 40;
}


static inline canary_route_t
canary_route_decode(uint64_t word)
{
    canary_route_t  route;

    route.weight = word & 0xfffff;
    route.stable = word >> 20 & 0xff;
    route.canary = word >> 28 & 0xff;
    route.phase = (canary_phase_t) (word >> 36 & 7);
    route.watched = (uint32_t) (word >> 39) & 1;
    route.epoch = (uint32_t) (word >> 40);

    return route;
}


#endif /* CANARY_ROUTE_H */
