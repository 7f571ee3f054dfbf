
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_SETTLE_H
#define CANARY_EVIDENCE_SETTLE_H


#include <stdint.h>

#include "canary_evidence_layout.h"
#include "canary_evidence_view.h"


/*
 * The end of cohorts, under the lock of the zone: they are settled, and then
 * folded; and of attempts that have no end.
 */


/* Settles those that it is time to, except the current one. */

void canary_evidence_settle(canary_evidence_t *evidence, uint64_t now);

/*
 * Folds the oldest cohort if it is time to, and tells what it held; 0: not
 * yet.  To be called until then, after each tick.
 */

int canary_evidence_fold(canary_evidence_t *evidence, uint64_t now,
    canary_cohort_view_t *cohort);

/*
 * What is in flight in a settled cohort is overdue, slot by slot; unless it
 * counts, it is of another step, or of a cohort that had this place before,
 * and is evened up so that canary_evidence_reap() finds only what is.
 */

void canary_evidence_overdue(canary_evidence_t *evidence, unsigned side,
    uint32_t place, int counts);

/*
 * Takes out what a process that died has left in flight in its slot; not if
 * that is another's slot too, since nobody can tell whose attempts are whose.
 */

void canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot);


#endif /* CANARY_EVIDENCE_SETTLE_H */
