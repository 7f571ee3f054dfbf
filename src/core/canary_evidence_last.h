
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_LAST_H
#define CANARY_EVIDENCE_LAST_H


#include <stdint.h>

#include "canary_evidence_layout.h"
#include "canary_evidence_view.h"


/* What stable did in the last seconds, whether or not it is folded. */


/* Remembers a cohort that is folded. */

void canary_evidence_remember(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);

/*
 * What the cohorts of the last "ms" hold of the stable release, discarded or
 * not; only those of the present tests.  Those that are folded already are
 * known by parts of CANARY_LAST_PART_MS: one counts if its middle is in that
 * time.  At least 10 s are remembered.
 */

void canary_evidence_last(const canary_evidence_t *evidence,
    const canary_tail_t *tail, uint64_t now, uint64_t ms,
    canary_counts_t *counts);


#endif /* CANARY_EVIDENCE_LAST_H */
