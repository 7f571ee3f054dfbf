
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JUDGE_TIMES_H
#define CANARY_JUDGE_TIMES_H


#include <stdint.h>

#include "canary_judge_layout.h"
#include "canary_rollout.h"


/*
 * What the judge makes of times: limits that attempts are compared with one
 * by one, evidence of averages, and what stable's have been of late.
 */


/*
 * The sides, a bit 1 << side each, whose times a rollout with this strategy
 * is judged by; with "detail", those by which it is shown.
 */

unsigned canary_judge_needs_times(const canary_strategy_t *strategy,
    int detail);

/*
 * A quantile is compared with its limit attempt by attempt; one with a
 * baseline has none before a look at stable finds it.
 */

void canary_judge_set_limits(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy);

/* What has ended before the tests is none of their evidence. */

void canary_judge_new_times(canary_judge_t *judge, uint64_t now,
    const canary_times_t *times);

/* Takes in what has come of times since; see canary_judge_tick(). */

void canary_judge_measure(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times);

/*
 * The longest time of the canary in the step, by its histogram; NULL: nothing
 * that is in flight has to be compared with it.
 */

void canary_judge_set_longest(canary_evidence_t *evidence,
    const canary_times_t *times);

/*
 * Whether a client that gave up had waited longer than a latency rule allows:
 * by the limits for quantiles, of which those beside stable are not
 * thresholds, or by a threshold.  Needs no lock: rules change but rarely, and
 * a strategy that changes while it is read could only misjudge one attempt.
 */

int canary_judge_too_long(const canary_evidence_t *evidence,
    const canary_strategy_t *strategy, unsigned side, uint64_t elapsed);


#endif /* CANARY_JUDGE_TIMES_H */
