
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_SUM_H
#define CANARY_EVIDENCE_SUM_H


#include <stdint.h>

#include "canary_evidence_layout.h"


/* Sums over all slots, of the counters of a place and of what came late. */


void canary_evidence_sum(const canary_evidence_t *evidence, unsigned side,
    uint32_t place, canary_tally_t *sum);
void canary_evidence_sum_slow(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_slow_t *sum);

/* all but what has been spent */

void canary_evidence_sum_late(const canary_evidence_t *evidence,
    unsigned side, canary_late_t *sum);


/* All 5xx of a side in the rollout, for budgets, under the zone's lock. */

/* What a side has spent before, of a rollout that goes on here. */

void canary_evidence_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t spent);

/* What others have spent of it, besides; and what it comes to. */

void canary_evidence_add_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t more);
uint64_t canary_evidence_spent_by(const canary_evidence_t *evidence,
    unsigned side);


#endif /* CANARY_EVIDENCE_SUM_H */
