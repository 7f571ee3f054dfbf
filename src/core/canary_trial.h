
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_TRIAL_H
#define CANARY_TRIAL_H


#include <stdint.h>

#include "canary_average.h"
#include "canary_evidence_view.h"
#include "canary_histogram.h"
#include "canary_mixture.h"
#include "canary_relative.h"
#include "canary_rule.h"
#include "canary_sequential.h"


/*
 * A rule on trial: what is to be remembered of evidence that is not kept any
 * more, so that the rule can be judged.  With confidence that is a test of
 * the whole rollout, see canary_mixture.h; with a window, sums of that time.
 *
 * Cohorts are folded in order, once they are final.  To judge, those that
 * are not final yet are folded into a copy of the test.
 */


#define CANARY_TRIAL_TICKS   36000    /* cohorts of CANARY_COHORT_MS that a
                                         rollout is planned to have at least:
                                         an hour */
#define CANARY_WINDOW_PARTS  16       /* a window moves by such a part */
#define CANARY_LOOP_MS       50       /* how often times are folded, for an
                                         average, */
#define CANARY_RECENT_MS     1000     /* and with a baseline: stable's times
                                         of late are taken anew, and of those
                                         before, three quarters stay */


/* Sums of a part of a window. */

typedef struct {
    uint64_t          ended;          /* ms; 0: empty */
    canary_measure_t  sides[CANARY_SIDES];
} canary_window_part_t;


typedef struct {
    canary_window_part_t  parts[CANARY_WINDOW_PARTS + 1];
    uint32_t              last;       /* the part that grows */
} canary_window_t;


/*
 * Plain data, for shared memory.  Of a rule with neither confidence nor
 * window only the limit is used.
 */

typedef struct {
    uint32_t           limit;         /* place in slow[], if it has one */
    uint32_t           verdict;       /* the last one, canary_verdict_t */
    uint32_t           step;          /* of the cohort folded last */
    double             share;         /* of alpha, where there are other tests
                                         of the rule: a breach is proven at
                                         1/(alpha share), with 0 never */
    uint64_t           bad;           /* folded, of the canary */
    uint64_t           block_began;   /* ms; 0: the block is empty */
    canary_block_t     block;         /* cohorts that are one observation */
    canary_mixture_t   mixture;
    canary_grid_t      grid;
    union {
        canary_relative_t  relative;
        canary_average_t   average;
    };
    canary_window_t   *window;        /* NULL without one */
} canary_trial_t;


/* The test of the whole rollout, as far as evidence has come. */

typedef struct {
    canary_mixture_t   mixture;
    uint64_t           bad;
} canary_proof_t;


/*
 * The beginning of tests in a step; memory for a window is only touched if the
 * rule has one.  "limit" as above; "steps", and "ticks" of CANARY_COHORT_MS,
 * are those that the rollout is planned to have, in cohorts of "length" ms.
 */

void canary_trial_begin(canary_trial_t *trial, const canary_rule_t *rule,
    canary_window_t *window, uint32_t limit, uint32_t steps, uint64_t ticks,
    uint32_t length, uint32_t step);

/*
 * A cohort of these tests that is final; a discarded one only moves on to
 * its step.  "comparable" has a bit for each set of limits by which a
 * quantile can be compared with that of stable.
 */

void canary_trial_fold(canary_trial_t *trial, const canary_rule_t *rule,
    const canary_cohort_view_t *cohort, uint32_t comparable);

/* Times that ended since the last call; only for averages. */

void canary_trial_fold_times(canary_trial_t *trial, const canary_rule_t *rule,
    const canary_histogram_t *times, uint32_t step);

/* What has been folded proves nothing any more; the next step begins. */

void canary_trial_forget(canary_trial_t *trial, const canary_rule_t *rule,
    uint32_t step);

/* Stable's mean of late, microseconds: for an average with a baseline. */

void canary_trial_set_mean(canary_trial_t *trial, const canary_rule_t *rule,
    double stable_mean);

/* With the cohorts of the tail from the number "first" on. */

void canary_trial_proof(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_tail_t *tail, uint32_t first,
    uint32_t comparable, canary_proof_t *proof);

/* Whether it is proven that the rule is broken; n attempts in the step. */

int canary_trial_violated(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_proof_t *proof, uint64_t n);

/*
 * How many more bad attempts there have to be before it can be; only for
 * rules that are judged at each attempt.  So many are in flight at most.
 */

uint64_t canary_trial_bad_needed(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_proof_t *proof,
    uint64_t in_flight);

/*
 * The measure of both sides within the window of the rule; and that by which
 * the canary may pass, without cohorts of which something is in flight.
 */

void canary_trial_window(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_tail_t *tail, uint32_t first,
    uint64_t now, canary_measure_t sides[CANARY_SIDES],
    canary_measure_t *passing);


#endif /* CANARY_TRIAL_H */
