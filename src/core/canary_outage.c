
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_evidence.h"
#include "canary_evidence_last.h"
#include "canary_evidence_view.h"
#include "canary_outage.h"


static int canary_judge_is_broken_by_stable(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage);


int
canary_judge_breach(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, const canary_result_t *result,
    int immediate, uint64_t now, canary_breach_t *breach)
{
    int              found;
    uint32_t         i;
    canary_outage_t  outage;

    found = 0;

    for (i = 0; i < result->n; i++) {

        if (result->rules[i].verdict != CANARY_FAILING
            || (immediate
                && !canary_rule_immediate(&rollout->strategy.rules[i])))
        {
            continue;
        }

        if (!canary_judge_excuse(evidence, rollout, i, now, &outage)) {
            breach->rule = i;
            breach->verb = CANARY_VIOLATION;
            return 1;
        }

        if (!found && !canary_judge(evidence)->holding) {
            breach->rule = i;
            breach->verb = CANARY_HOLDING;
            breach->outage = outage;
            found = 1;
        }
    }

    return found;
}


int
canary_judge_excuse(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage)
{
    const canary_rule_t  *rule;

    rule = &rollout->strategy.rules[number];

    return !rule->baseline && rollout->weight < CANARY_ONE
           && canary_rule_info[rule->kind].unit != CANARY_UNIT_COUNT
           && canary_judge_is_broken_by_stable(evidence, rollout, number, now,
                                               outage);
}


void
canary_judge_hold(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t rule, uint64_t now)
{
    uint32_t         i;
    canary_judge_t  *judge;

    judge = canary_judge(evidence);

    canary_judge_enter(judge);

    canary_evidence_discard(evidence, now);

    for (i = 0; i < rollout->strategy.nrules; i++) {
        canary_trial_forget(&judge->trials[i], &rollout->strategy.rules[i],
                            rollout->tests);
    }

    judge->first = (uint32_t) evidence->now;

    judge->holding = 1;
    judge->held_rule = rule;

    canary_judge_leave(judge);
}


int
canary_judge_holds(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    canary_judge_t   *judge;
    canary_outage_t   outage;

    judge = canary_judge(evidence);

    if (judge->holding
        && !canary_judge_is_broken_by_stable(evidence, rollout,
                                             judge->held_rule, now, &outage))
    {
        canary_judge_enter(judge);

        canary_evidence_keep(evidence, now);
        judge->holding = 0;

        canary_judge_leave(judge);
    }

    return judge->holding || now < evidence->discard_to;
}


/* the rule in any of the last times that holds enough that is bad */

static int
canary_judge_is_broken_by_stable(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage)
{
    unsigned              i;
    uint32_t              limit;
    canary_tail_t         tail;
    canary_counts_t       counts;
    canary_measure_t      measure;
    const canary_rule_t  *rule;

    static const uint64_t  last[] = { 500, 1000, 2000, 5000, 10000 };

    rule = &rollout->strategy.rules[number];
    limit = canary_judge(evidence)->trials[number].limit;

    canary_evidence_tail(evidence, now, &tail);

    for (i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        canary_evidence_last(evidence, &tail, now, last[i], &counts);

        measure = canary_rule_measure(rule, limit, &counts);

        if (((rule->kind == CANARY_RULE_LATENCY_AVG_MAX) ? measure.attempts
                                                         : measure.sum)
            < CANARY_MIN_BAD
            || !canary_rule_above(rule, &measure))
        {
            continue;
        }

        outage->ms = last[i];
        outage->attempts = measure.attempts;
        outage->value = (double) measure.sum / (double) measure.attempts;

        return 1;
    }

    return 0;
}
