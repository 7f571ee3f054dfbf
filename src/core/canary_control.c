
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_control.h"
#include "canary_evidence_view.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_pace.h"


static void canary_control_sample(const canary_control_t *control);
static int canary_control_stable(const canary_control_t *control);
static int canary_control_canary(const canary_control_t *control);
static void canary_control_absent(const canary_control_t *control,
    canary_verb_t verb, uint64_t ms, uint64_t met);
static int canary_control_guard(const canary_control_t *control,
    int immediate, canary_result_t *result);
static void canary_control_breach(const canary_control_t *control,
    const canary_breach_t *breach);
static void canary_control_step(const canary_control_t *control,
    const canary_result_t *result);
static void canary_control_judge(const canary_control_t *control, int detail,
    canary_result_t *result);


void
canary_control_look(const canary_control_t *control, int may_step)
{
    int                      moved, holds, has_long;
    uint64_t                 now;
    canary_result_t          result;
    const canary_times_t    *times;
    canary_evidence_t       *evidence;
    const canary_rollout_t  *rollout;

    evidence = control->evidence;
    rollout = control->rollout;
    now = control->now;

    moved = canary_judge_tick(evidence, rollout, now);
    canary_control_sample(control);

    if (moved) {
        has_long = canary_evidence_has_long(evidence, now);
        times = control->times(control->data,
                               has_long ? CANARY_DETAIL_LONGEST : 0);

        canary_judge_measure(evidence, rollout, now, times);
        canary_judge_set_longest(evidence, has_long ? times : NULL);
    }

    if (control->away) {
        if (canary_control_stable(control)) {
            may_step = 0;
        }

        if (canary_control_canary(control)) {
            return;
        }
    }

    if (!canary_rollout_guarded(rollout)) {
        return;
    }

    holds = canary_judge_holds(evidence, rollout, now);

    /* of the times of a step none are known to be of cohorts that count */

    if (holds) {
        control->begin_step(control->data);
    }

    if (!moved && !holds
        && (!may_step || canary_judge_settled(evidence, rollout, now)))
    {
        return;
    }

    if (canary_control_guard(control, 0, &result) || holds || !may_step
        || canary_judge_settled(evidence, rollout, now))
    {
        return;
    }

    /* once more, with all that its event tells: that may have gone on */

    canary_control_judge(control, 1, &result);

    if (!canary_judge_settled(evidence, rollout, now)) {
        canary_control_step(control, &result);
    }
}


void
canary_control_trip(const canary_control_t *control, int immediate)
{
    canary_result_t  result;

    if (canary_rollout_guarded(control->rollout)) {
        (void) canary_control_guard(control, immediate, &result);
    }
}


static void
canary_control_sample(const canary_control_t *control)
{
    canary_pace_t           *pace;
    canary_tail_t            tail;
    canary_evidence_view_t   view;

    pace = &canary_judge(control->evidence)->pace;

    if (!canary_pace_due(pace, control->rollout->tests, control->now)) {
        return;
    }

    canary_evidence_tail(control->evidence, control->now, &tail);
    tail.longest = CANARY_NOT_KNOWN;
    canary_evidence_view(control->evidence, &tail, CANARY_SIDE_CANARY, &view);

    canary_pace_sample(pace, control->rollout->tests, control->now,
                       view.failing.started);
}


/*
 * Whether a step has to wait for stable, which the canary stands in for.  At
 * 100 % nobody asks stable any more, so that it cannot answer either.
 */

static int
canary_control_stable(const canary_control_t *control)
{
    uint64_t        ms;
    canary_away_t  *away;

    away = &control->away[CANARY_SIDE_STABLE];

    if (!canary_away_marked(away, control->rollout->number)) {
        return 0;
    }

    /* what was told twice is better than what was never told */

    if (away->told != away->mark) {
        canary_control_absent(control, CANARY_STABLE_UNAVAILABLE, 0, 0);
        away->told = away->mark;
    }

    if (canary_away_ended(away, control->answered(control->data,
                                                  CANARY_SIDE_STABLE),
                          control->now, &ms))
    {
        canary_control_absent(control, CANARY_STABLE_AVAILABLE, ms, away->met);
        canary_away_forget(away);

        return 0;
    }

    return control->rollout->weight < CANARY_ONE;
}


/* whether the rollout is broken: a canary that stays away answers no rule */

static int
canary_control_canary(const canary_control_t *control)
{
    uint64_t        ms, patience;
    canary_away_t  *away;

    away = &control->away[CANARY_SIDE_CANARY];

    if (!canary_away_marked(away, control->rollout->number)) {
        return 0;
    }

    /* who goes on from there begins anew */

    if (!canary_rollout_guarded(control->rollout)) {
        canary_away_forget(away);
        return 0;
    }

    ms = canary_away_lasts(away, control->answered(control->data,
                                                   CANARY_SIDE_CANARY),
                           control->now);
    patience = control->patience(control->data);

    if (patience == 0 || ms < patience) {
        return 0;
    }

    canary_away_forget(away);
    canary_control_absent(control, CANARY_VIOLATION, patience, 0);

    return 1;
}


static void
canary_control_absent(const canary_control_t *control, canary_verb_t verb,
    uint64_t ms, uint64_t met)
{
    canary_outage_t   outage;
    canary_command_t  command;

    memset(&command, 0, sizeof(canary_command_t));
    memset(&outage, 0, sizeof(canary_outage_t));

    command.verb = verb;
    command.now = control->now;

    outage.ms = ms;
    outage.attempts = met;

    control->absent(control->data, &command, &outage);
}


/* returns 1 if something follows from the verdicts */

static int
canary_control_guard(const canary_control_t *control, int immediate,
    canary_result_t *result)
{
    canary_breach_t  breach;

    canary_control_judge(control, 0, result);

    if (!canary_judge_breach(control->evidence, control->rollout, result,
                             immediate, control->now, &breach))
    {
        return 0;
    }

    canary_control_breach(control, &breach);

    return 1;
}


static void
canary_control_breach(const canary_control_t *control,
    const canary_breach_t *breach)
{
    canary_result_t   result;
    canary_command_t  command;

    canary_control_judge(control, 1, &result);

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = breach->verb;
    command.now = control->now;

    control->change(control->data, &command, breach, &result);

    /* only now: what the event tells of is discarded */

    if (breach->verb == CANARY_HOLDING) {
        canary_judge_hold(control->evidence, control->rollout, breach->rule,
                          control->now);
    }
}


static void
canary_control_step(const canary_control_t *control,
    const canary_result_t *result)
{
    canary_command_t  command;

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = CANARY_TICK;
    command.now = control->now;
    command.verdict = result->verdict;
    command.attempts = result->decided;

    control->change(control->data, &command, NULL, result);
}


static void
canary_control_judge(const canary_control_t *control, int detail,
    canary_result_t *result)
{
    canary_judge_rules(control->evidence, control->rollout, control->now,
                       control->times(control->data, detail), detail, result);
}
