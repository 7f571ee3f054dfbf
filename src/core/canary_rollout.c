
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_rollout.h"


static canary_status_t canary_rollout_obey(canary_rollout_t *rollout,
    const canary_command_t *command);
static canary_status_t canary_rollout_react(canary_rollout_t *rollout,
    const canary_command_t *command);
static canary_status_t canary_rollout_start(canary_rollout_t *rollout,
    const canary_command_t *command);
static canary_status_t canary_rollout_direct(canary_rollout_t *rollout,
    const canary_command_t *command);
static canary_status_t canary_rollout_patch(canary_rollout_t *rollout,
    const canary_command_t *command);
static canary_status_t canary_rollout_advance(canary_rollout_t *rollout,
    uint64_t now);
static canary_status_t canary_rollout_pause(canary_rollout_t *rollout,
    uint64_t now);
static canary_status_t canary_rollout_resume(canary_rollout_t *rollout,
    uint64_t now);
static canary_status_t canary_rollout_tick(canary_rollout_t *rollout,
    const canary_command_t *command);
static int canary_rollout_due(const canary_rollout_t *rollout,
    const canary_command_t *tick);
static canary_status_t canary_rollout_violate(canary_rollout_t *rollout,
    uint64_t now);
static canary_status_t canary_rollout_release_gone(canary_rollout_t *rollout,
    uint32_t stable);
static canary_status_t canary_rollout_end(canary_rollout_t *rollout,
    canary_rollout_result_t result);
static void canary_rollout_enter_step(canary_rollout_t *rollout,
    uint32_t step, uint64_t now);
static void canary_rollout_new_tests(canary_rollout_t *rollout, uint64_t now);
static uint32_t canary_rollout_next_number(const canary_rollout_t *rollout);
static int canary_rollout_can_begin(const canary_strategy_t *strategy);
static uint64_t canary_rollout_elapsed(const canary_rollout_t *rollout,
    uint64_t now);


void
canary_rollout_init(canary_rollout_t *rollout, uint32_t stable)
{
    memset(rollout, 0, sizeof(canary_rollout_t));

    rollout->phase = CANARY_IDLE;
    rollout->stable = stable;
    rollout->canary = CANARY_NO_RELEASE;
    rollout->last_release = CANARY_NO_RELEASE;
    canary_strategy_init(&rollout->strategy);
}


canary_status_t
canary_rollout_apply(canary_rollout_t *rollout,
    const canary_command_t *command)
{
    canary_status_t   status;
    canary_rollout_t  next;

    /* nothing that a client would have to know has changed */

    if (canary_verb_only_tells(command->verb)) {
        return ((command->verb == CANARY_HOLDING)
                ? canary_rollout_guarded(rollout)
                : rollout->phase != CANARY_IDLE)
               ? CANARY_CHANGED : CANARY_UNCHANGED;
    }

    next = *rollout;

    status = (command->verb < CANARY_VERBS)
             ? canary_rollout_obey(&next, command)
             : canary_rollout_react(&next, command);

    if (status == CANARY_CHANGED) {
        next.generation++;
        *rollout = next;
    }

    return status;
}


/* what people want */

static canary_status_t
canary_rollout_obey(canary_rollout_t *rollout, const canary_command_t *command)
{
    if (!(canary_rollout_verbs(rollout) & 1u << command->verb)) {
        return CANARY_NOT_NOW;
    }

    switch (command->verb) {

    case CANARY_START:
        return canary_rollout_start(rollout, command);

    case CANARY_DIRECT:
        return canary_rollout_direct(rollout, command);

    case CANARY_PATCH:
        return canary_rollout_patch(rollout, command);

    case CANARY_ADVANCE:
        return canary_rollout_advance(rollout, command->now);

    case CANARY_PAUSE:
        return canary_rollout_pause(rollout, command->now);

    case CANARY_RESUME:
        return canary_rollout_resume(rollout, command->now);

    case CANARY_PROMOTE:
        return canary_rollout_end(rollout, CANARY_PROMOTED);

    case CANARY_ROLLBACK:
        return canary_rollout_end(rollout, CANARY_ROLLED_BACK);

    default:
        return CANARY_NOT_NOW;
    }
}


/* what happens by itself */

static canary_status_t
canary_rollout_react(canary_rollout_t *rollout,
    const canary_command_t *command)
{
    switch (command->verb) {

    case CANARY_TICK:
        return canary_rollout_tick(rollout, command);

    case CANARY_VIOLATION:
        return canary_rollout_violate(rollout, command->now);

    case CANARY_RELEASE_GONE:
        return canary_rollout_release_gone(rollout, command->release);

    default:
        return CANARY_NOT_NOW;
    }
}


void
canary_rollout_restart(canary_rollout_t *rollout, uint64_t now)
{
    if (rollout->phase != CANARY_IDLE) {
        canary_rollout_new_tests(rollout, now);
        rollout->trial++;
    }
}


void
canary_rollout_delay(const canary_rollout_t *before, canary_rollout_t *after,
    uint64_t delay)
{
    if (after->since != before->since) {
        after->since += delay;
    }
}


int
canary_verb_exposes(canary_verb_t verb)
{
    switch (verb) {

    case CANARY_PAUSE:
    case CANARY_ROLLBACK:
    case CANARY_VIOLATION:
    case CANARY_HOLDING:
    case CANARY_RELEASE_GONE:
    case CANARY_STABLE_UNAVAILABLE:
    case CANARY_STABLE_AVAILABLE:
        return 0;

    default:
        return 1;
    }
}


uint32_t
canary_rollout_verbs(const canary_rollout_t *rollout)
{
    switch (rollout->phase) {

    case CANARY_IDLE:
        return 1u << CANARY_START | 1u << CANARY_DIRECT;

    case CANARY_PROGRESSING:
        return 1u << CANARY_PAUSE | 1u << CANARY_ADVANCE
               | 1u << CANARY_PROMOTE | 1u << CANARY_ROLLBACK
               | 1u << CANARY_PATCH;

    case CANARY_BAKING:
        return 1u << CANARY_PAUSE | 1u << CANARY_ADVANCE
               | 1u << CANARY_PROMOTE | 1u << CANARY_ROLLBACK;

    default: /* CANARY_PAUSED, CANARY_HALTED */
        return 1u << CANARY_RESUME | 1u << CANARY_ADVANCE
               | 1u << CANARY_PROMOTE | 1u << CANARY_ROLLBACK
               | 1u << CANARY_PATCH;
    }
}


int
canary_rollout_guarded(const canary_rollout_t *rollout)
{
    return rollout->phase == CANARY_PROGRESSING
           || rollout->phase == CANARY_PAUSED
           || rollout->phase == CANARY_BAKING;
}


int64_t
canary_rollout_remaining(const canary_rollout_t *rollout, uint64_t now)
{
    uint64_t  elapsed, length;

    if (rollout->phase == CANARY_IDLE || rollout->phase == CANARY_HALTED) {
        return -1;
    }

    elapsed = canary_rollout_elapsed(rollout, now);

    length = (rollout->weight == CANARY_ONE) ? rollout->strategy.bake
                                             : rollout->strategy.interval;

    return (elapsed < length) ? (int64_t) (length - elapsed) : 0;
}


int
canary_rollout_awaits_approval(const canary_rollout_t *rollout,
    const canary_command_t *tick)
{
    uint32_t  approval;

    approval = rollout->strategy.approval;

    return (approval == CANARY_APPROVAL_STEP
            || (approval == CANARY_APPROVAL_PROMOTION
                && rollout->phase == CANARY_BAKING))
           && canary_rollout_due(rollout, tick);
}


canary_route_t
canary_rollout_route(const canary_rollout_t *rollout)
{
    canary_route_t  route;

    route.weight = rollout->weight;
    route.stable = rollout->stable;
    route.canary = rollout->canary;
    route.epoch = rollout->number & CANARY_EPOCH_MASK;
    route.phase = (canary_phase_t) rollout->phase;
    route.watched = rollout->phase != CANARY_IDLE
                    && canary_strategy_watches(&rollout->strategy);

    return route;
}


const char *
canary_verb_name(canary_verb_t verb)
{
    static const char *const  names[] = {
        "start", "start", "PATCH", "advance", "pause", "resume", "promote",
        "rollback", "tick", "violation", "holding", "release gone",
        "stable unavailable", "stable available"
    };

    return names[verb];
}


const char *
canary_phase_name(uint32_t phase)
{
    static const char *const  names[] = {
        "idle", "progressing", "paused", "halted", "baking"
    };

    return names[phase];
}


const char *
canary_result_name(uint32_t result)
{
    static const char *const  names[] = { "none", "promoted", "rolled_back" };

    return names[result];
}


static canary_status_t
canary_rollout_start(canary_rollout_t *rollout,
    const canary_command_t *command)
{
    if (command->release == rollout->stable) {
        return CANARY_IS_STABLE;
    }

    if (command->strategy->nrules == 0) {
        return CANARY_NO_RULE;
    }

    if (!canary_rollout_can_begin(command->strategy)) {
        return CANARY_NO_BASELINE;
    }

    rollout->number = canary_rollout_next_number(rollout);
    rollout->trial++;
    rollout->canary = command->release;
    rollout->strategy = *command->strategy;

    canary_rollout_enter_step(rollout, 1, command->now);

    return CANARY_CHANGED;
}


/* 0 is that of no rollout */

static uint32_t
canary_rollout_next_number(const canary_rollout_t *rollout)
{
    return (rollout->number < UINT32_MAX) ? rollout->number + 1 : 1;
}


static int
canary_rollout_can_begin(const canary_strategy_t *strategy)
{
    uint32_t  i;

    if (canary_strategy_weight(strategy, 1) < CANARY_ONE) {
        return 1;
    }

    for (i = 0; i < strategy->nrules; i++) {
        if (!strategy->rules[i].baseline) {
            return 1;
        }
    }

    return 0;
}


static canary_status_t
canary_rollout_direct(canary_rollout_t *rollout,
    const canary_command_t *command)
{
    if (command->release == rollout->stable) {
        return CANARY_IS_STABLE;
    }

    rollout->number = canary_rollout_next_number(rollout);
    rollout->canary = command->release;

    return canary_rollout_end(rollout, CANARY_PROMOTED);
}


/*
 * Another weight begins a new interval and new tests, other rules or another
 * patience only new tests.  A new length of interval or bake counts from when
 * the clock began.
 */

static canary_status_t
canary_rollout_patch(canary_rollout_t *rollout,
    const canary_command_t *command)
{
    if (command->has_weight
        && (command->weight == 0 || command->weight >= CANARY_ONE))
    {
        return CANARY_BAD_WEIGHT;
    }

    if (command->strategy) {
        if (command->strategy->nrules == 0) {
            return CANARY_NO_RULE;
        }

        if (memcmp(rollout->strategy.rules, command->strategy->rules,
                   sizeof(rollout->strategy.rules))
            != 0
            || memcmp(&rollout->strategy.matches, &command->strategy->matches,
                      sizeof(canary_matches_t))
               != 0
            || rollout->strategy.nrules != command->strategy->nrules
            || rollout->strategy.patience != command->strategy->patience)
        {
            rollout->tests++;
            rollout->trial++;
        }

        rollout->strategy = *command->strategy;
    }

    if (command->has_weight) {
        rollout->weight = command->weight;
        canary_rollout_new_tests(rollout, command->now);
    }

    rollout->step = canary_strategy_step_at(&rollout->strategy,
                                            rollout->weight);

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_advance(canary_rollout_t *rollout, uint64_t now)
{
    uint32_t  paused;

    if (rollout->weight == CANARY_ONE) {
        return canary_rollout_end(rollout, CANARY_PROMOTED);
    }

    if (rollout->phase == CANARY_HALTED) {
        rollout->trial++;
    }

    paused = (rollout->phase == CANARY_PAUSED);

    canary_rollout_enter_step(rollout, rollout->step + 1, now);

    if (paused) {
        return canary_rollout_pause(rollout, now);
    }

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_pause(canary_rollout_t *rollout, uint64_t now)
{
    rollout->elapsed = canary_rollout_elapsed(rollout, now);
    rollout->phase = CANARY_PAUSED;

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_resume(canary_rollout_t *rollout, uint64_t now)
{
    if (rollout->phase == CANARY_HALTED) {
        rollout->trial++;
        canary_rollout_new_tests(rollout, now);

    } else {
        rollout->since = now - rollout->elapsed;
    }

    rollout->phase = (rollout->weight == CANARY_ONE) ? CANARY_BAKING
                                                     : CANARY_PROGRESSING;

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_tick(canary_rollout_t *rollout, const canary_command_t *command)
{
    if (!canary_rollout_due(rollout, command)
        || canary_rollout_awaits_approval(rollout, command))
    {
        return CANARY_UNCHANGED;
    }

    if (rollout->phase == CANARY_BAKING) {
        return canary_rollout_end(rollout, CANARY_PROMOTED);
    }

    canary_rollout_enter_step(rollout, rollout->step + 1, command->now);

    return CANARY_CHANGED;
}


/* by the clock and by the rules */

static int
canary_rollout_due(const canary_rollout_t *rollout,
    const canary_command_t *tick)
{
    if ((rollout->phase != CANARY_PROGRESSING
         && rollout->phase != CANARY_BAKING)
        || canary_rollout_remaining(rollout, tick->now) > 0
        || tick->attempts == 0)
    {
        return 0;
    }

    return tick->verdict == CANARY_PASSING
           || (tick->verdict == CANARY_UNDECIDED
               && rollout->phase == CANARY_PROGRESSING
               && rollout->strategy.on_undecided == CANARY_ADVANCE_UNDECIDED);
}


static canary_status_t
canary_rollout_violate(canary_rollout_t *rollout, uint64_t now)
{
    if (!canary_rollout_guarded(rollout)) {
        return CANARY_UNCHANGED;
    }

    if (rollout->strategy.on_violation == CANARY_ROLL_BACK) {
        return canary_rollout_end(rollout, CANARY_ROLLED_BACK);
    }

    rollout->elapsed = canary_rollout_elapsed(rollout, now);
    rollout->phase = CANARY_HALTED;

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_release_gone(canary_rollout_t *rollout, uint32_t stable)
{
    rollout->stable = stable;

    if (rollout->phase != CANARY_IDLE) {
        return canary_rollout_end(rollout, CANARY_ROLLED_BACK);
    }

    return CANARY_CHANGED;
}


static canary_status_t
canary_rollout_end(canary_rollout_t *rollout, canary_rollout_result_t result)
{
    rollout->last_number = rollout->number;
    rollout->last_release = rollout->canary;
    rollout->last_result = result;

    if (result == CANARY_PROMOTED) {
        rollout->stable = rollout->canary;
    }

    rollout->phase = CANARY_IDLE;
    rollout->canary = CANARY_NO_RELEASE;
    rollout->weight = 0;
    rollout->step = 0;
    rollout->tests++;

    return CANARY_CHANGED;
}


static void
canary_rollout_enter_step(canary_rollout_t *rollout, uint32_t step,
    uint64_t now)
{
    rollout->step = step;
    rollout->weight = canary_strategy_weight(&rollout->strategy, step);
    rollout->phase = (rollout->weight == CANARY_ONE) ? CANARY_BAKING
                                                     : CANARY_PROGRESSING;

    canary_rollout_new_tests(rollout, now);
}


static void
canary_rollout_new_tests(canary_rollout_t *rollout, uint64_t now)
{
    rollout->tests++;
    rollout->since = now;
    rollout->elapsed = 0;
}


static uint64_t
canary_rollout_elapsed(const canary_rollout_t *rollout, uint64_t now)
{
    if (rollout->phase == CANARY_PAUSED) {
        return rollout->elapsed;
    }

    return (now > rollout->since) ? now - rollout->since : 0;
}
