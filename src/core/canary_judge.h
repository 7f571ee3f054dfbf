
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JUDGE_H
#define CANARY_JUDGE_H


#include <stdint.h>

#include "canary_evidence.h"
#include "canary_rollout.h"
#include "canary_trial.h"


/*
 * Judges a rollout by its evidence: all of its rules, whether a rule that is
 * broken is broken by stable as well, and from how many bad attempts on it is
 * worth while to look.
 *
 * What is remembered lies behind the books of the evidence, in the same block
 * of shared memory.  All of this is under the zone's lock.
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

    /* not touched unless a rule needs it */

    canary_times_mark_t  seen;           /* of the canary, the tick before */
    canary_trial_t       trials[CANARY_RULES_MAX];
    canary_window_t      windows[CANARY_RULES_MAX];
    canary_times_mark_t  compared;       /* and when stable's were taken */
    canary_times_mark_t  recent;         /* of stable, weighted */
    canary_times_mark_t  recent_seen;
} canary_judge_t;


/* What stable did when it was found to break a rule too. */

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


typedef struct {
    uint64_t            decided;      /* attempts of the canary in the step */
    uint64_t            started;
    uint64_t            stable_started;
    canary_verdict_t    verdict;      /* of all rules together */
    uint32_t            n;            /* rules */
    canary_judgement_t  rules[CANARY_RULES_MAX];
} canary_result_t;


/*
 * The bytes of memory that holds the books of evidence and the judge, most of
 * which is not touched before it is needed; and what gives it to evidence that
 * has none.
 */

size_t canary_judge_books_size(void);
void canary_judge_set_books(canary_evidence_t *evidence, void *memory);

static inline canary_judge_t *
canary_judge(const canary_evidence_t *evidence)
{
    return (canary_judge_t *) (evidence->books + 1);
}


/* What is computed to be shown, beside the verdicts; any of them, or 0. */

#define CANARY_DETAIL_ALL     1
#define CANARY_DETAIL_VALUES  2      /* neither bounds nor "needed" */


/*
 * The sides, a bit 1 << side each, whose times a rollout with this strategy
 * is judged by; with "detail", those by which it is shown.
 */

unsigned canary_judge_needs_times(const canary_strategy_t *strategy,
    int detail);

/* The rollout begins: to be called before requests are routed by it. */

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
void canary_judge_measure(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times);

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

/*
 * Judges all rules, and sets the fuses anew.  Bounds take most of the time,
 * and are computed only if all details are asked for, as "needed" is.
 */

void canary_judge_rules(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times, int detail, canary_result_t *result);

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

/* Whether time moves nothing, by the last verdicts: a tick has no effect. */

int canary_judge_settled(const canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);

/*
 * Whether a client that gave up had waited longer than a latency rule allows:
 * by the limits for quantiles, of which those beside stable are not
 * thresholds, or by a threshold.  Needs no lock: rules change but rarely, and
 * a strategy that changes while it is read could only misjudge one attempt.
 */

int canary_judge_too_long(const canary_evidence_t *evidence,
    const canary_strategy_t *strategy, unsigned side, uint64_t elapsed);

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


#endif /* CANARY_JUDGE_H */
