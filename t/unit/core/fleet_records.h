
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef FLEET_RECORDS_H
#define FLEET_RECORDS_H


/* Records of a fleet, as its tests want them: of v1 and, in a rollout, v2. */


#include <string.h>

#include "canary_fleet_record.h"


#define PERCENT  10000u


static const canary_fleet_record_t  none;


static inline canary_fleet_record_t
record(uint64_t generation, uint32_t number, canary_phase_t phase,
    uint32_t percent)
{
    canary_fleet_record_t  r;

    memset(&r, 0, sizeof(r));

    r.generation = generation;
    r.uid = (uint32_t) generation;
    r.number = number;
    r.phase = phase;
    r.weight = percent * PERCENT;

    if (phase != CANARY_IDLE) {
        strcpy(r.canary, "v2");
    }

    return r;
}


static inline canary_fleet_record_t
ended(uint64_t generation, uint32_t number, canary_rollout_result_t result)
{
    canary_fleet_record_t  r;

    r = record(generation, number, CANARY_IDLE, 0);
    r.result = result;

    return r;
}


#endif /* FLEET_RECORDS_H */
