
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VERDICT_H
#define CANARY_VERDICT_H


#include <stdint.h>

#include "canary_judge_layout.h"
#include "canary_rollout.h"


/* What is computed to be shown, beside the verdicts; any of them, or 0. */

#define CANARY_DETAIL_ALL     1
#define CANARY_DETAIL_VALUES  2      /* neither bounds nor "needed" */
#define CANARY_DETAIL_LONGEST 4      /* only of times, of the canary: for
                                        canary_judge_set_longest() */


typedef struct {
    uint32_t            of_fleet;     /* by the evidence of all nodes */
    uint64_t            decided;      /* attempts of the canary in the step */
    uint64_t            started;
    uint64_t            stable_started;
    uint64_t            overdue;      /* of the canary, or only their time is
                                         missing: bad for passing */
    canary_verdict_t    verdict;      /* of all rules together */
    uint32_t            n;            /* rules */
    canary_judgement_t  rules[CANARY_RULES_MAX];
} canary_result_t;


/*
 * Judges all rules, and sets the fuses anew.  Bounds take most of the time,
 * and are computed only if all details are asked for, as "needed" is.
 */

void canary_judge_rules(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times, int detail, canary_result_t *result);


#endif /* CANARY_VERDICT_H */
