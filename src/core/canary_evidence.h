
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_H
#define CANARY_EVIDENCE_H


#include <stdint.h>

#include "canary_evidence_layout.h"


/* The evidence of a rollout, its steps and tests, under the zone's lock. */


/*
 * For each rollout, and for new tests: what began before the rollout counts
 * no more, whenever it ends; what began before the tests counts for budgets.
 */

void canary_evidence_begin(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);
void canary_evidence_new_tests(canary_evidence_t *evidence);

/* Begins anew where a process died while it had the lock: budgets remain. */

void canary_evidence_repair(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);

/*
 * Limits of time from the next cohort on; their number is to change only with
 * the tests.  The last CANARY_LIMIT_SETS are remembered: of more than one in
 * a second, cohorts in flight might lose theirs.
 */

void canary_evidence_limits(canary_evidence_t *evidence, uint32_t nlimits,
    const canary_limits_t *limits);

/*
 * In a fleet, before each tick: the slot that its clock is in, 0: there is no
 * fleet, or that is not known yet; and whether a leader is there, who folds
 * what nodes keep, and finds limits for all.
 */

void canary_evidence_in_fleet(canary_evidence_t *evidence, uint64_t slot,
    int led);

/*
 * Opens a cohort when it is time to, or at once when the step is another.  In
 * a fleet it is time to where a slot begins.
 */

void canary_evidence_tick(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);

/*
 * Evidence that came from CANARY_DISCARD_MS before "now" on counts no more,
 * until CANARY_DISCARD_MS after canary_evidence_keep(): the cohorts of that
 * time, and those before that had not settled by then.
 */

void canary_evidence_discard(canary_evidence_t *evidence, uint64_t now);
void canary_evidence_keep(canary_evidence_t *evidence, uint64_t now);


#endif /* CANARY_EVIDENCE_H */
