
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence.h"
#include "canary_evidence_settle.h"
#include "canary_evidence_view.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_verdict.h"


static uint32_t canary_judge_limit_of(const canary_strategy_t *strategy,
    uint32_t rule);
static uint64_t canary_judge_planned(const canary_strategy_t *strategy);
static void canary_judge_fold(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now);


void
canary_judge_begin(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now, const canary_times_t *times)
{
    canary_judge_t   *judge;
    canary_result_t   result;

    judge = canary_judge(evidence);

    memset(judge, 0, sizeof(canary_judge_t));

    judge->busy = 1;

    judge->longest = CANARY_NOT_KNOWN;

    evidence->nlimits = 0;
    evidence->missing = 0;
    canary_set(&evidence->patience, (uint32_t) rollout->strategy.patience);

    canary_judge_set_limits(judge, evidence, &rollout->strategy);
    canary_evidence_begin(evidence, rollout->tests, now);
    canary_judge_new_tests(evidence, rollout, now);
    canary_judge_new_times(judge, now, times);

    judge->step = rollout->tests;
    judge->busy = 0;

    canary_judge_rules(evidence, rollout, now, times, 0, &result);
}


int
canary_judge_tick(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    int              tested, in_flight;
    uint64_t         pulse;
    canary_judge_t  *judge;

    judge = canary_judge(evidence);
    tested = (rollout->trial != judge->tests || judge->busy);

    if (tested) {
        canary_set(&evidence->patience, (uint32_t) rollout->strategy.patience);
        canary_judge_set_limits(judge, evidence, &rollout->strategy);
    }

    if (judge->busy) {
        canary_evidence_repair(evidence, rollout->tests, now);
    }

    canary_judge_enter(judge);

    canary_evidence_tick(evidence, rollout->tests, now);

    if (tested) {
        canary_judge_new_tests(evidence, rollout, now);
    }

    /* in a fleet it is told, and found anew but now and then */

    if (evidence->led && judge->step != rollout->tests) {
        judge->longest = CANARY_NOT_KNOWN;
    }

    judge->step = rollout->tests;

    canary_judge_fold(judge, evidence, &rollout->strategy, now);

    canary_judge_leave(judge);

    pulse = canary_evidence_pulse(evidence, &in_flight);

    if (pulse == judge->pulse && !in_flight && !judge->has_windows
        && !judge->unmarked)
    {
        return 0;
    }

    judge->pulse = pulse;

    return 1;
}


int
canary_judge_settled(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    canary_judge_t    *judge;
    canary_command_t   command;
    canary_rollout_t   next;

    judge = canary_judge(evidence);

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = CANARY_TICK;
    command.now = now;
    command.verdict = judge->verdict;
    command.attempts = judge->decided;

    next = *rollout;

    return canary_rollout_apply(&next, &command) != CANARY_CHANGED;
}


void
canary_judge_new_tests(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    uint32_t                  i;
    uint64_t                  planned;
    canary_judge_t           *judge;
    const canary_strategy_t  *strategy;

    judge = canary_judge(evidence);
    strategy = &rollout->strategy;
    planned = canary_judge_planned(strategy);

    judge->tests = rollout->trial;
    judge->needs_times = canary_judge_needs_times(strategy, 0);
    judge->has_windows = 0;

    if (judge->holding) {
        canary_evidence_keep(evidence, now);
        judge->holding = 0;
    }

    canary_evidence_new_tests(evidence);
    judge->first = evidence->first_tested;

    judge->unmarked = (judge->needs_times != 0);

    for (i = 0; i < strategy->nrules; i++) {
        judge->has_windows |= (strategy->rules[i].window != 0);

        canary_trial_begin(&judge->trials[i], &strategy->rules[i],
                           &judge->windows[i],
                           canary_judge_limit_of(strategy, i),
                           canary_strategy_steps(strategy), planned,
                           canary_evidence_length(evidence), rollout->tests);
    }
}


void
canary_judge_share(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, double share)
{
    uint32_t         i;
    canary_judge_t  *judge;

    judge = canary_judge(evidence);

    for (i = 0; i < rollout->strategy.nrules; i++) {
        judge->trials[i].share = share;
    }
}


/* cohorts of CANARY_COHORT_MS of a rollout that is not held up */

static uint64_t
canary_judge_planned(const canary_strategy_t *strategy)
{
    return strategy->interval / CANARY_COHORT_MS
           * canary_strategy_steps(strategy)
           + strategy->bake / CANARY_COHORT_MS;
}


/* which of the rules that have one it is */

static uint32_t
canary_judge_limit_of(const canary_strategy_t *strategy, uint32_t rule)
{
    uint32_t  i, limit;

    for (i = 0, limit = 0; i < rule; i++) {
        limit += canary_rule_has_limit(&strategy->rules[i]);
    }

    return limit;
}


static void
canary_judge_fold(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy, uint64_t now)
{
    int                   forgotten;
    uint32_t              i;
    canary_cohort_view_t  cohort;

    while (canary_evidence_fold(evidence, now, &cohort)) {

        if ((int32_t) (cohort.number - evidence->first_tested) < 0) {
            continue;
        }

        forgotten = (int32_t) (cohort.number - judge->first) < 0;

        for (i = 0; i < strategy->nrules; i++) {
            if (!forgotten || strategy->rules[i].confidence == 0) {
                canary_trial_fold(&judge->trials[i], &strategy->rules[i],
                                  &cohort, judge->comparable);
            }
        }
    }
}
