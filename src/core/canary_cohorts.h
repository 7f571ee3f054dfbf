
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_COHORTS_H
#define CANARY_COHORTS_H


#include <stddef.h>
#include <stdint.h>

#include "canary_evidence_view.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"


/*
 * What a node tells of its evidence of a rollout: all cohorts that the fleet's
 * leader has not folded, and what the step holds beside them.  It is a state,
 * told each time as a whole: one that is lost, doubled or late does no harm.
 *
 * A slot is CANARY_SLOT_MS of the fleet's clock: its number is that time in ms
 * since 1970, divided by CANARY_SLOT_MS.
 */


#define CANARY_COHORTS_TIMES     10    /* slots from one telling of times to
                                          the next */
#define CANARY_COHORTS_BYTES     65536 /* of a rollout, at most */




typedef struct {
    uint32_t              number;      /* of the rollout, */
    uint32_t              trial;       /* its tests */
    uint32_t              step;        /* and step: rollout.tests */
    uint32_t              verdict;     /* canary_verdict_t, of its own test */
    uint32_t              set;         /* of limits, the present one */
    uint32_t              nlimits;
    uint32_t              longest;     /* bucket of the canary's longest time in
                                          the step; CANARY_HISTOGRAM_NONE: not
                                          known */
    uint64_t              slot;        /* of its current cohort: those before
                                          are complete */
    canary_rest_t         rest[CANARY_SIDES];
    uint64_t              answered;    /* attempts on the canary, ever */
    uint64_t              away[CANARY_SIDES];
                                       /* ms since it was found without a live
                                          server, and not found back since; 0:
                                          it was not */

    uint32_t              timed;       /* sides, 1 << side, that times are of */
    canary_times_mark_t   times[CANARY_SIDES];
                                       /* of the step so far, modulo 2^32 */

    uint32_t              n;           /* oldest first; the last may be the
                                          current one */
    canary_cohort_view_t  cohorts[CANARY_COHORTS];
} canary_cohorts_t;


/*
 * Takes them from the evidence, under the zone's lock, at "now" of the node's
 * clock, ms: see canary_control_tell(), which fills in what is answered and
 * away.  "times" are of the sides, 1 << side each, whose times are to be told
 * in this slot; NULL if none are.
 */

unsigned canary_cohorts_need_times(const canary_rollout_t *rollout,
    uint64_t slot);

void canary_cohorts_take(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times, canary_cohorts_t *cohorts);

/*
 * To bytes: a version, then numbers of 7 bits a byte, and of each cohort only
 * those that are not zero; 8 to 12 bytes a cohort.  Returns their number, 0 if
 * "size" is not enough; CANARY_COHORTS_BYTES always is.
 */

size_t canary_cohorts_encode(const canary_cohorts_t *cohorts,
    uint8_t *bytes, size_t size);

/*
 * From bytes that anybody may have written.  Returns 1, or 0 if this is not
 * what a node of this version writes: then "cohorts" is of no use.
 */

int canary_cohorts_decode(const uint8_t *bytes, size_t len,
    canary_cohorts_t *cohorts);

/* Whether a node of a later version has written it, so that it is not read. */

int canary_cohorts_newer(const uint8_t *bytes, size_t len);


#endif /* CANARY_COHORTS_H */
