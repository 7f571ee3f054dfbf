
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_ROLLOUT_H
#define UNIT_ROLLOUT_H


/* What the tests of the life of a rollout share. */


#include <string.h>

#include "canary_rollout.h"

#include "unit.h"


#define STABLE    3
#define CANARY    5
#define OTHER     7

#define PERCENT   (CANARY_ONE / 100)
#define INTERVAL  10000
#define BAKE      4000
#define BEGIN     1000000


/* Where a rollout can be when a command comes. */

typedef struct {
    const char        *name;
    canary_phase_t     phase;
    uint32_t           weight;
    uint32_t           applies;      /* a bit for each verb */
} situation_t;


#define BIT(verb)  (1u << CANARY_ ## verb)

#define VERBS_IDLE      (BIT(START) | BIT(DIRECT))
#define VERBS_RUNNING   (BIT(ADVANCE) | BIT(PROMOTE) | BIT(ROLLBACK))

static const situation_t  situations[] = {

    { "idle", CANARY_IDLE, 0,
      VERBS_IDLE },

    { "progressing", CANARY_PROGRESSING, 20 * PERCENT,
      VERBS_RUNNING | BIT(PAUSE) | BIT(PATCH) },

    { "baking", CANARY_BAKING, CANARY_ONE,
      VERBS_RUNNING | BIT(PAUSE) },

    { "paused", CANARY_PAUSED, 20 * PERCENT,
      VERBS_RUNNING | BIT(RESUME) | BIT(PATCH) },

    { "paused at 100 %", CANARY_PAUSED, CANARY_ONE,
      VERBS_RUNNING | BIT(RESUME) | BIT(PATCH) },

    { "halted", CANARY_HALTED, 20 * PERCENT,
      VERBS_RUNNING | BIT(RESUME) | BIT(PATCH) },

    { "halted at 100 %", CANARY_HALTED, CANARY_ONE,
      VERBS_RUNNING | BIT(RESUME) | BIT(PATCH) }
};


static inline canary_strategy_t
strategy_of(uint32_t step)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    canary_strategy_init(&strategy);

    strategy.interval = INTERVAL;
    strategy.nrules = 1;
    strategy.rules[0] = (canary_rule_t) {
        .kind = CANARY_RULE_ERROR_5XX_RATE, .min_requests = 50,
        .threshold = CANARY_RATIO_ONE / 10
    };

    assert_int_equal(canary_strategy_set_steps(&strategy, &step, 1, &at),
                     CANARY_STEPS_OK);

    return strategy;
}


static inline canary_status_t
start(canary_rollout_t *rollout, uint64_t now,
    const canary_strategy_t *strategy)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_START, .now = now, .release = CANARY,
        .strategy = strategy
    };

    return canary_rollout_apply(rollout, &command);
}


/* A verb that needs nothing but the time. */

static inline canary_status_t
apply(canary_rollout_t *rollout, canary_verb_t verb, uint64_t now)
{
    canary_command_t  command;

    command = (canary_command_t) { .verb = verb, .now = now };

    return canary_rollout_apply(rollout, &command);
}


static inline canary_status_t
tick(canary_rollout_t *rollout, uint64_t now, canary_verdict_t verdict,
    uint64_t attempts)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_TICK, .now = now, .verdict = verdict,
        .attempts = attempts
    };

    return canary_rollout_apply(rollout, &command);
}


static inline canary_status_t
patch_weight(canary_rollout_t *rollout, uint64_t now, uint32_t weight)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = now, .weight = weight, .has_weight = 1
    };

    return canary_rollout_apply(rollout, &command);
}


static inline canary_status_t
patch_strategy(canary_rollout_t *rollout, uint64_t now,
    const canary_strategy_t *strategy)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = now, .strategy = strategy
    };

    return canary_rollout_apply(rollout, &command);
}


static inline canary_status_t
release_gone(canary_rollout_t *rollout, uint64_t now, uint32_t stable)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_RELEASE_GONE, .now = now, .release = stable
    };

    return canary_rollout_apply(rollout, &command);
}


static inline void
assert_state(const canary_rollout_t *rollout, canary_phase_t phase,
    uint32_t weight, uint32_t step)
{
    if (rollout->phase != phase) {
        fail_msg("%s, not %s", canary_phase_name(rollout->phase),
                 canary_phase_name(phase));
    }

    assert_int_equal(rollout->weight, weight);
    assert_int_equal(rollout->step, step);
}


static inline void
assert_ended(const canary_rollout_t *rollout, uint32_t stable,
    canary_rollout_result_t result)
{
    assert_state(rollout, CANARY_IDLE, 0, 0);
    assert_int_equal(rollout->stable, stable);
    assert_int_equal(rollout->canary, CANARY_NO_RELEASE);
    assert_int_equal(rollout->last_number, rollout->number);
    assert_int_equal(rollout->last_release, CANARY);
    assert_int_equal(rollout->last_result, result);
}


/* A rollout at its first step. */

static inline canary_rollout_t
started(const canary_strategy_t *strategy)
{
    canary_rollout_t  rollout;

    canary_rollout_init(&rollout, STABLE);

    assert_int_equal(start(&rollout, BEGIN, strategy), CANARY_CHANGED);

    return rollout;
}


static inline canary_rollout_t
started_linear(uint32_t percent)
{
    canary_strategy_t  strategy;

    strategy = strategy_of(percent * PERCENT);

    return started(&strategy);
}


/* A rollout that has just begun to bake; steps of 50 %. */

static inline canary_rollout_t
baking(uint64_t bake)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    strategy = strategy_of(50 * PERCENT);
    strategy.bake = bake;

    rollout = started(&strategy);

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);

    return rollout;
}


static inline canary_rollout_t
halted(uint32_t percent)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    strategy = strategy_of(percent * PERCENT);
    strategy.on_violation = CANARY_HALT;

    rollout = started(&strategy);

    assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 1000),
                     CANARY_CHANGED);
    assert_int_equal(rollout.phase, CANARY_HALTED);

    return rollout;
}


static inline canary_rollout_t
rollout_in(const situation_t *situation)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    if (situation->phase == CANARY_IDLE) {
        canary_rollout_init(&rollout, STABLE);
        return rollout;
    }

    strategy = strategy_of(situation->weight);
    strategy.on_violation = CANARY_HALT;
    strategy.bake = BAKE;

    rollout = started(&strategy);

    if (situation->phase == CANARY_PAUSED) {
        assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN + 1000),
                         CANARY_CHANGED);
    }

    if (situation->phase == CANARY_HALTED) {
        assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 1000),
                         CANARY_CHANGED);
    }

    assert_state(&rollout, situation->phase, situation->weight, 1);

    return rollout;
}


#endif /* UNIT_ROLLOUT_H */
