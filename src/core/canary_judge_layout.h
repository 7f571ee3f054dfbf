
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JUDGE_LAYOUT_H
#define CANARY_JUDGE_LAYOUT_H


#include <stdint.h>

#include "canary_evidence_layout.h"
#include "canary_pace.h"
#include "canary_strategy.h"
#include "canary_trial.h"


/*
 * What the judge remembers of a rollout, in the same block of shared memory as
 * the books of the evidence.  All of this is under the zone's lock.
 *
 * "times" are histograms of all times of the two releases so far, as far as
 * they are evidence: those of the sides that canary_judge_needs_times() names
 * are looked at, so it may be NULL if there are none.
 */


typedef struct {
    canary_histogram_t  sides[CANARY_SIDES];
    canary_histogram_t  step[CANARY_SIDES];     /* of these, since the step
                                                   began */
} canary_times_t;


/* A histogram at some time; modulo 2^32. */

typedef struct {
    uint32_t  counts[CANARY_HISTOGRAM_BUCKETS];
} canary_times_mark_t;


typedef struct {
    uint32_t             busy;           /* somebody is writing here */
    uint32_t             tests;          /* number of the present tests */
    uint32_t             first;          /* their first cohort */
    uint32_t             step;           /* and the number of the step */
    uint32_t             needs_times;    /* sides, to judge */
    uint32_t             unmarked;       /* the times when the tests began are
                                            not known yet */
    uint32_t             has_windows;
    uint32_t             comparable;     /* a bit for each set of limits */
    uint32_t             holding;        /* stable breaks a rule as well */
    uint32_t             held_rule;
    uint32_t             verdict;        /* the last one, of all rules */
    uint64_t             decided;        /* and the attempts it was about */
    uint64_t             pulse;          /* see canary_judge_tick() */
    uint64_t             recent_since;   /* ms */
    uint64_t             longest;        /* see canary_tail_t */
    canary_pace_t        pace;           /* of the canary's attempts */

    /* as far as a rule needs them */

    canary_times_mark_t  seen;           /* of the canary, the tick before */
    canary_trial_t       trials[CANARY_RULES_MAX];
    canary_window_t      windows[CANARY_RULES_MAX];
    canary_times_mark_t  compared;       /* and when stable's were taken */
    canary_times_mark_t  recent;         /* of stable, weighted */
    canary_times_mark_t  recent_seen;
} canary_judge_t;


/* What a rollout needs while it runs, beside what workers count in. */

typedef struct {
    canary_books_t       books;
    canary_judge_t       judge;
} canary_judged_t;


static inline canary_judge_t *
canary_judge(const canary_evidence_t *evidence)
{
    return &((canary_judged_t *) evidence->books)->judge;
}


/*
 * Between these a process that dies leaves what nobody can go on from: the
 * next canary_judge_tick() then begins anew.
 */

static inline void
canary_judge_enter(canary_judge_t *judge)
{
    __atomic_store_n(&judge->busy, 1, __ATOMIC_SEQ_CST);
}


static inline void
canary_judge_leave(canary_judge_t *judge)
{
    __atomic_store_n(&judge->busy, 0, __ATOMIC_RELEASE);
}


#endif /* CANARY_JUDGE_LAYOUT_H */
