
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_control.h"
#include "canary_evidence_view.h"
#include "canary_judge.h"
#include "canary_judge_times.h"


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

    if (moved) {
        has_long = canary_evidence_has_long(evidence, now);
        times = control->times(control->data,
                               has_long ? CANARY_DETAIL_LONGEST : 0);

        canary_judge_measure(evidence, rollout, now, times);
        canary_judge_set_longest(evidence, has_long ? times : NULL);
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

    canary_control_step(control, &result);
}


void
canary_control_trip(const canary_control_t *control, int immediate)
{
    canary_result_t  result;

    if (canary_rollout_guarded(control->rollout)) {
        (void) canary_control_guard(control, immediate, &result);
    }
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
