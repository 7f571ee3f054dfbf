
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_VIEW_H
#define CANARY_EVIDENCE_VIEW_H


#include <stdint.h>

#include "canary_evidence_layout.h"


/*
 * Looking at the evidence, under the lock of the zone: what cohorts hold, and
 * sums of them.
 */


/* What the step holds of one side beside the cohorts that are not folded. */

typedef struct {
    canary_counts_t  counts;  /* with those that are */
    uint64_t         voided;  /* no evidence after all */
    uint64_t         overdue; /* as in canary_evidence_view_t */
    uint64_t         pending;
    uint64_t         unended;
    uint64_t         spent;   /* of the rollout */
} canary_rest_t;


/* What a cohort holds of one side. */

typedef struct {
    uint32_t       started;  /* less those that are no evidence */
    uint32_t       in_flight;
    uint32_t       untimed;  /* in flight, or their time is yet to come */
    uint32_t       timeless; /* of those in flight: will have no time */
    uint32_t       unended;  /* of those not in flight, and followed */
    uint32_t       left;
    uint32_t       left_only;
    uint32_t       time_only;
    uint32_t       bad_4xx;
    uint32_t       bad_5xx;
    uint32_t       timed;
    uint64_t       time;
    canary_slow_t  slow;     /* with those in flight for longer */
    canary_bad_t   late;     /* of cohorts before, that came meanwhile */
    canary_slow_t  late_slow;
} canary_sums_t;


typedef struct {
    uint32_t       number;
    uint32_t       step;
    uint64_t       slot;     /* of a fleet's clock; 0: not known */
    uint64_t       slot_end; /* that it is not of any more */
    uint64_t       began;    /* ms */
    uint64_t       ended;    /* ms; 0: it is the current one */
    uint32_t       limit_set;
    int            settled;
    int            discarded;
    canary_sums_t  sides[CANARY_SIDES];
} canary_cohort_view_t;


/*
 * Of the canary in a cohort of several machines, what is over: of those that
 * have nothing in flight, and of those that have no ends to wait for either.
 */

typedef struct {
    canary_sums_t  timed;
    canary_sums_t  ended;
} canary_over_t;


/*
 * Those that are not folded, oldest first; and the longest time of the canary
 * in the step, of attempts that ended, microseconds: what is in flight for
 * longer, and for CANARY_LONG_MS, is overdue at once.
 */

#define CANARY_NOT_KNOWN  UINT64_MAX   /* nothing is longer */

typedef struct {
    uint64_t              now;         /* ms */
    uint64_t              longest;     /* as it is made: CANARY_NOT_KNOWN */
    uint32_t              n;
    const canary_over_t  *over;        /* [n]; NULL: they are of one machine */
    canary_cohort_view_t  cohorts[CANARY_COHORTS];
} canary_tail_t;


/* Evidence that is of other machines: see canary_lead.h. */

struct canary_given_s {
    canary_tail_t           tail;
    canary_evidence_view_t  views[CANARY_SIDES];
    uint32_t                fresh;     /* the first cohort that is not settled,
                                          or has not been for
                                          CANARY_DISCARD_MS */
};


/*
 * A number that is another one when anything has come, and whether something
 * is in flight, so that it may become too slow by time alone.
 */

uint64_t canary_evidence_pulse(const canary_evidence_t *evidence,
    int *in_flight);

/* Whether something of the canary may be overdue, by the longest time. */

int canary_evidence_has_long(const canary_evidence_t *evidence, uint64_t now);

/* What is not folded, and with it the sums of the step. */

void canary_evidence_tail(const canary_evidence_t *evidence, uint64_t now,
    canary_tail_t *tail);
void canary_evidence_view(const canary_evidence_t *evidence,
    const canary_tail_t *tail, unsigned side, canary_evidence_view_t *view);

/*
 * The parts of a view, for those who add up several machines: what the step
 * holds beside the cohorts that are not folded, without those that were no
 * evidence after all; these, a cohort of the step, and what is in flight for
 * too long, added to a view; and what is to be done when all are.
 */

void canary_evidence_rest(const canary_evidence_t *evidence, unsigned side,
    canary_rest_t *rest);
void canary_evidence_add_rest(const canary_evidence_t *evidence,
    unsigned side, const canary_rest_t *rest, canary_evidence_view_t *view);
void canary_evidence_add_cohort(const canary_evidence_t *evidence,
    const canary_tail_t *tail, const canary_cohort_view_t *cohort,
    unsigned side, canary_evidence_view_t *view);
void canary_evidence_complete(uint64_t voided, canary_evidence_view_t *view);


/*
 * What one cohort holds that is not folded; and of one that is open, or of
 * the current one what came late meanwhile, alone.
 */

void canary_evidence_look(const canary_evidence_t *evidence,
    uint32_t number, uint64_t now, canary_cohort_view_t *view);
void canary_evidence_look_open(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums);
void canary_evidence_look_current(const canary_evidence_t *evidence,
    unsigned side, canary_sums_t *sums);

/* Adds as slow those whose time is not known, "age" ms after it ended. */

void canary_evidence_add_hung(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, uint64_t age, canary_sums_t *sums);

/* Adds what a cohort holds, but for what came late meanwhile. */

void canary_evidence_count_sums(const canary_sums_t *sums,
    canary_counts_t *counts);


#endif /* CANARY_EVIDENCE_VIEW_H */
