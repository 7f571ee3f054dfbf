
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_cohorts.h"
#include "canary_judge_times.h"
#include "canary_verdict.h"


/* What a node tells of its evidence, from the evidence. */


static void canary_cohorts_take_cohorts(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now, canary_cohorts_t *cohorts);
static int canary_cohorts_is_told(const canary_evidence_t *evidence,
    uint32_t number);
static void canary_cohorts_take_times(const canary_times_t *times,
    canary_cohorts_t *cohorts);
static unsigned canary_cohorts_averages(const canary_strategy_t *strategy);


unsigned
canary_cohorts_need_times(const canary_rollout_t *rollout, uint64_t slot)
{
    unsigned  sides;

    sides = canary_judge_needs_times(&rollout->strategy, CANARY_DETAIL_ALL);

    return (slot % CANARY_COHORTS_TIMES == 0)
           ? sides : sides & canary_cohorts_averages(&rollout->strategy);
}


void
canary_cohorts_take(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times, canary_cohorts_t *cohorts)
{
    unsigned               side;
    const canary_judge_t  *judge;

    judge = canary_judge(evidence);

    cohorts->number = rollout->number;
    cohorts->trial = judge->tests;
    cohorts->step = canary_evidence_step(evidence);
    cohorts->verdict = judge->verdict;
    cohorts->set = evidence->set_numbers[evidence->limit_set];
    cohorts->nlimits = evidence->nlimits;
    cohorts->longest = (judge->longest == CANARY_NOT_KNOWN)
                       ? CANARY_HISTOGRAM_NONE
                       : canary_histogram_index(judge->longest);

    cohorts->answered = 0;

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_rest(evidence, side, &cohorts->rest[side]);
        cohorts->away[side] = 0;
    }

    canary_cohorts_take_cohorts(evidence, rollout, now, cohorts);

    cohorts->timed = times ? canary_cohorts_need_times(rollout,
                                                       evidence->slot)
                           : 0;

    if (cohorts->timed) {
        canary_cohorts_take_times(times, cohorts);
    }
}


/* those of the present tests whose slot is known */

static void
canary_cohorts_take_cohorts(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now, canary_cohorts_t *cohorts)
{
    int                    averages;
    unsigned               side;
    uint32_t               number, current;
    canary_cohort_view_t  *cohort;

    cohorts->n = 0;
    cohorts->slot = 0;

    averages = (canary_cohorts_averages(&rollout->strategy) != 0);
    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number - 1 != current; number++) {

        cohort = &cohorts->cohorts[cohorts->n];
        canary_evidence_look(evidence, number, now, cohort);

        cohort->limit_set = evidence->set_numbers[cohort->limit_set];
        cohort->discarded = 0;

        if (number == current) {
            cohorts->slot = cohort->slot;
            cohort->slot_end = cohort->slot + 1;
        }

        for (side = 0; side < CANARY_SIDES && !averages; side++) {
            cohort->sides[side].timed = 0;
            cohort->sides[side].time = 0;
        }

        cohorts->n += canary_cohorts_is_told(evidence, number);
    }
}


static int
canary_cohorts_is_told(const canary_evidence_t *evidence, uint32_t number)
{
    const canary_cohort_t  *cohort;

    cohort = canary_evidence_cohort(evidence, number);

    return cohort->slot
           && (int32_t) (number - evidence->first_tested) >= 0;
}


static void
canary_cohorts_take_times(const canary_times_t *times,
    canary_cohorts_t *cohorts)
{
    unsigned  side;
    uint32_t  i;

    for (side = 0; side < CANARY_SIDES; side++) {
        for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
            cohorts->times[side].counts[i]
                = (cohorts->timed & 1u << side)
                  ? (uint32_t) times->step[side].counts[i] : 0;
        }
    }
}


/* the sides whose times are evidence of a rule as they come */

static unsigned
canary_cohorts_averages(const canary_strategy_t *strategy)
{
    uint32_t  i;

    for (i = 0; i < strategy->nrules; i++) {
        if (strategy->rules[i].kind == CANARY_RULE_LATENCY_AVG_MAX) {
            return 1u << CANARY_SIDE_CANARY;
        }
    }

    return 0;
}
