
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_replay_internal.h"


static void canary_replay_set_control(canary_replay_t *replay, uint64_t now,
    canary_control_t *control);
static const canary_times_t *canary_replay_times(void *data, int detail);
static void canary_replay_begin_step(void *data);
static void canary_replay_carry_out(void *data,
    const canary_command_t *command, const canary_breach_t *breach,
    const canary_result_t *result);
static void canary_replay_change(canary_replay_t *replay,
    const canary_command_t *command, canary_replay_event_t *event);
static void canary_replay_entered(canary_replay_t *replay,
    const canary_rollout_t *from, uint64_t now);
static void canary_replay_report(canary_replay_t *replay,
    const canary_rollout_t *from, const canary_command_t *command,
    canary_replay_event_t *event);


/*
 * What stable did before the canary's first attempt is of before the rollout;
 * with the weight of the log it begins when the log has one.
 */

void
canary_replay_begin(canary_replay_t *replay,
    const canary_replay_pending_t *first)
{
    uint64_t               now;
    canary_command_t       command;
    canary_replay_event_t  event;

    if (replay->options.log_weight
        ? (first->weight == CANARY_REPLAY_NO_WEIGHT || first->weight == 0)
        : (first->side != CANARY_SIDE_CANARY))
    {
        return;
    }

    now = first->due / 1000;

    replay->clock = first->due;
    replay->tick = now + CANARY_REPLAY_TICK_MS;
    replay->active = now;
    replay->summary.began = now;

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    command.verb = CANARY_START;
    command.now = now;
    command.release = CANARY_REPLAY_CANARY_ID;
    command.strategy = replay->options.strategy;

    canary_replay_change(replay, &command, &event);

    if (replay->options.log_weight) {
        canary_replay_follow(replay, first->weight);
    }
}


/*
 * The weight that the log had when an attempt was sent.  Where it changes,
 * attempts with the old one still come for a moment.
 */

void
canary_replay_follow(canary_replay_t *replay, uint32_t weight)
{
    uint64_t               now;
    canary_rollout_t       from;
    canary_command_t       command;
    canary_replay_event_t  event;

    now = replay->clock / 1000;

    if (weight == CANARY_REPLAY_NO_WEIGHT || weight == 0
        || weight == replay->rollout.weight
        || (weight == replay->left_weight && now - replay->left_at < 1000))
    {
        return;
    }

    memset(&command, 0, sizeof(canary_command_t));
    memset(&event, 0, sizeof(canary_replay_event_t));

    from = replay->rollout;

    command.verb = CANARY_PATCH;
    command.now = now;
    command.weight = weight;
    command.has_weight = 1;

    if (weight < CANARY_ONE) {
        canary_replay_change(replay, &command, &event);

    } else {

        /* there is no other way to all of the traffic */

        command.verb = CANARY_ADVANCE;

        while (replay->rollout.weight < CANARY_ONE
               && canary_rollout_apply(&replay->rollout, &command)
                  == CANARY_CHANGED)
        {
            /* void */
        }

        canary_replay_entered(replay, &from, now);
        canary_replay_report(replay, &from, &command, &event);
    }

    replay->left_weight = from.weight;
    replay->left_at = now;
}


void
canary_replay_tick(canary_replay_t *replay, uint64_t now)
{
    canary_control_t  control;

    canary_replay_set_control(replay, now, &control);
    canary_control_look(&control, !replay->options.log_weight);
}


void
canary_replay_trip(canary_replay_t *replay, uint64_t now)
{
    canary_control_t  control;

    canary_replay_set_control(replay, now, &control);
    canary_control_trip(&control, 1);
}


void
canary_replay_last_verdicts(canary_replay_t *replay, uint64_t now)
{
    canary_judge_rules(replay->evidence, &replay->rollout, now,
                       canary_replay_times(replay, 1), 1,
                       &replay->summary.result);
}


static void
canary_replay_set_control(canary_replay_t *replay, uint64_t now,
    canary_control_t *control)
{
    memset(control, 0, sizeof(canary_control_t));

    control->evidence = replay->evidence;
    control->rollout = &replay->rollout;
    control->now = now;
    control->data = replay;
    control->times = canary_replay_times;
    control->begin_step = canary_replay_begin_step;
    control->change = canary_replay_carry_out;
}


/* what there has been of times in the step, from what there was before it */

static const canary_times_t *
canary_replay_times(void *data, int detail)
{
    unsigned          side;
    canary_replay_t  *replay = data;

    if (!canary_judge_needs_times(replay->options.strategy, detail)) {
        return &replay->times;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        replay->times.step[side] = replay->times.sides[side];
        canary_histogram_subtract(&replay->times.step[side],
                                  &replay->before[side]);
    }

    return &replay->times;
}


static void
canary_replay_begin_step(void *data)
{
    canary_replay_t  *replay = data;

    memcpy(replay->before, replay->times.sides, sizeof(replay->before));
}


static void
canary_replay_carry_out(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    canary_replay_t        *replay = data;
    canary_replay_event_t   event;

    memset(&event, 0, sizeof(canary_replay_event_t));

    replay->summary.result = *result;

    if (breach) {
        event.rule = &replay->options.strategy->rules[breach->rule];
        event.judgement = result->rules[breach->rule];

        if (breach->verb == CANARY_HOLDING) {
            event.outage = breach->outage;
        }
    }

    canary_replay_change(replay, command, &event);
}


static void
canary_replay_change(canary_replay_t *replay, const canary_command_t *command,
    canary_replay_event_t *event)
{
    canary_rollout_t          from;
    canary_replay_summary_t  *summary;

    from = replay->rollout;

    if (canary_rollout_apply(&replay->rollout, command) != CANARY_CHANGED) {
        return;
    }

    canary_replay_entered(replay, &from, command->now);
    canary_replay_report(replay, &from, command, event);

    summary = &replay->summary;

    if (replay->rollout.phase == CANARY_HALTED) {
        summary->end = CANARY_REPLAY_HALTED;

    } else if (replay->rollout.phase == CANARY_IDLE) {
        summary->end = (replay->rollout.last_result == CANARY_PROMOTED)
                       ? CANARY_REPLAY_PROMOTED : CANARY_REPLAY_ROLLED_BACK;

    } else {
        return;
    }

    replay->ended = 1;
    summary->now = command->now;
    summary->rollout = from;
}


/* evidence and judge follow the rollout */

static void
canary_replay_entered(canary_replay_t *replay, const canary_rollout_t *from,
    uint64_t now)
{
    if (replay->rollout.phase == CANARY_IDLE) {
        return;
    }

    if (from->phase == CANARY_IDLE) {
        canary_judge_begin(replay->evidence, &replay->rollout, now,
                           canary_replay_times(replay, 0));
    }

    if (replay->rollout.tests != from->tests) {
        canary_replay_begin_step(replay);
    }

    (void) canary_judge_tick(replay->evidence, &replay->rollout, now);
}


static void
canary_replay_report(canary_replay_t *replay, const canary_rollout_t *from,
    const canary_command_t *command, canary_replay_event_t *event)
{
    event->time = command->now;
    event->verb = command->verb;
    event->from_phase = from->phase;
    event->from_weight = from->weight;
    event->to_phase = replay->rollout.phase;
    event->to_weight = replay->rollout.weight;
    event->verdict = command->verdict;
    event->attempts = command->attempts;

    replay->options.report(replay->options.data, event);
}
