
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_OUTAGE_H
#define CANARY_OUTAGE_H


#include <stdint.h>

#include "canary_judge_layout.h"
#include "canary_rollout.h"
#include "canary_verdict.h"


/*
 * What stable did when it was found to break a rule too; or how long it was
 * away, with the requests that the canary served then.
 */

typedef struct {
    uint64_t  ms;             /* in this last time */
    uint64_t  attempts;
    double    value;          /* as in canary_judgement_t */
} canary_outage_t;


/* A rule that is broken, and the command that follows. */

typedef struct {
    uint32_t         rule;    /* its place in the strategy */
    canary_verb_t    verb;    /* CANARY_VIOLATION; CANARY_HOLDING if stable
                                 breaks the rule too */
    canary_outage_t  outage;  /* CANARY_HOLDING */
} canary_breach_t;


/*
 * What follows from these verdicts: the first failing rule that stable does
 * not break as well is a violation.  If there is none, the first failing rule
 * is a reason to hold, unless there is a hold already.  "immediate": only
 * rules that are judged as soon as an attempt fails.  Returns 0 if nothing
 * follows.
 */

int canary_judge_breach(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, const canary_result_t *result,
    int immediate, uint64_t now, canary_breach_t *breach);

/*
 * Whether stable breaks a rule that the canary breaks, so that nothing
 * follows but a hold: evidence is discarded until stable does not break it
 * any more.  Tests forget all of the time before as well: when attempts take
 * some time to fail, what is known of the outage by now goes further back
 * than any time that could be told.
 */

int canary_judge_excuse(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t rule, uint64_t now,
    canary_outage_t *outage);
void canary_judge_hold(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t rule, uint64_t now);

/* Whether there is a hold; ends it when it is over. */

int canary_judge_holds(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);


#endif /* CANARY_OUTAGE_H */
