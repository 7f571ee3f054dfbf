
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


#endif /* CANARY_EVIDENCE_SUM_H */
