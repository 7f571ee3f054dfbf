
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JUDGE_H
#define CANARY_JUDGE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_judge_layout.h"
#include "canary_rollout.h"


/*
 * Judges a rollout by its evidence: all of its rules, whether a rule that is
 * broken is broken by stable as well, and from how many bad attempts on it is
 * worth while to look.
 */


/*
 * The rollout begins: to be called before requests are routed by it.  The
 * books of the evidence are those of a canary_judged_t.
 */

void canary_judge_begin(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times);

/*
 * To be called every CANARY_LOOP_MS, and after each change of the rollout.
 * Returns 0 if nothing has come since the last time, so that the verdicts are
 * what they were; else canary_judge_measure() is to be called before they are
 * asked for.  If a process died in the middle of this, evidence and tests
 * begin anew, but for budgets.
 */

int canary_judge_tick(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);

/* New tests, of what began after this cohort. */

void canary_judge_new_tests(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);

/*
 * In a fleet, the share of alpha that tests by this evidence have; new tests
 * begin with 1.
 */

void canary_judge_share(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, double share);

/*
 * Whether a process died after a change and before the tick that follows, or
 * in the middle of writing: before a tick there is nothing to be looked at.
 */

static inline int
canary_judge_is_behind(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout)
{
    const canary_judge_t  *judge;

    judge = canary_judge(evidence);

    return judge->busy || judge->tests != rollout->trial
           || judge->step != rollout->tests;
}

/* Whether time moves nothing, by the last verdicts: a tick has no effect. */

int canary_judge_settled(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);


#endif /* CANARY_JUDGE_H */
