
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* The life of a rollout: what applies when, and what it does. */


#include <stdio.h>
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


/* One cell of the matrix of situations and verbs: a test of its own. */

typedef struct {
    const situation_t  *situation;
    canary_verb_t       verb;
    int                 applies;
    char                name[80];
} cell_t;


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


static canary_strategy_t
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


static canary_status_t
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

static canary_status_t
apply(canary_rollout_t *rollout, canary_verb_t verb, uint64_t now)
{
    canary_command_t  command;

    command = (canary_command_t) { .verb = verb, .now = now };

    return canary_rollout_apply(rollout, &command);
}


static canary_status_t
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


static canary_status_t
patch_weight(canary_rollout_t *rollout, uint64_t now, uint32_t weight)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = now, .weight = weight, .has_weight = 1
    };

    return canary_rollout_apply(rollout, &command);
}


static canary_status_t
patch_strategy(canary_rollout_t *rollout, uint64_t now,
    const canary_strategy_t *strategy)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = now, .strategy = strategy
    };

    return canary_rollout_apply(rollout, &command);
}


static canary_status_t
release_gone(canary_rollout_t *rollout, uint64_t now, uint32_t stable)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_RELEASE_GONE, .now = now, .release = stable
    };

    return canary_rollout_apply(rollout, &command);
}


static void
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


static void
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

static canary_rollout_t
started(const canary_strategy_t *strategy)
{
    canary_rollout_t  rollout;

    canary_rollout_init(&rollout, STABLE);

    assert_int_equal(start(&rollout, BEGIN, strategy), CANARY_CHANGED);

    return rollout;
}


static canary_rollout_t
started_linear(uint32_t percent)
{
    canary_strategy_t  strategy;

    strategy = strategy_of(percent * PERCENT);

    return started(&strategy);
}


/* A rollout that has just begun to bake; steps of 50 %. */

static canary_rollout_t
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


static canary_rollout_t
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


static canary_rollout_t
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


/* What applies when */


static void
applies_as_the_manual_says(void **state)
{
    const cell_t       *cell = *state;
    canary_status_t     status;
    canary_command_t    command;
    canary_rollout_t    rollout, before;
    canary_strategy_t   strategy;

    rollout = rollout_in(cell->situation);
    strategy = strategy_of(10 * PERCENT);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    command = (canary_command_t) {
        .verb = cell->verb, .now = BEGIN + 2000, .release = CANARY,
        .weight = 35 * PERCENT, .has_weight = 1, .strategy = &strategy
    };

    assert_int_equal(canary_rollout_verbs(&rollout) >> cell->verb & 1,
                     cell->applies);

    status = canary_rollout_apply(&rollout, &command);

    if (cell->applies) {
        assert_int_equal(status, CANARY_CHANGED);
        assert_int_equal(rollout.generation, before.generation + 1);

    } else {
        assert_int_equal(status, CANARY_NOT_NOW);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


static void
no_other_verb_applies_in_any_situation(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(canary_rollout_verbs(&rollout),
                         situations[i].applies);
    }
}


static void
rules_have_consequences_in_progressing_paused_and_baking(void **state)
{
    size_t            i;
    int               guarded;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        guarded = (situations[i].phase == CANARY_PROGRESSING
                   || situations[i].phase == CANARY_PAUSED
                   || situations[i].phase == CANARY_BAKING);

        assert_int_equal(canary_rollout_guarded(&rollout), guarded);

        if (guarded) {
            assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 2000),
                             CANARY_CHANGED);
            assert_state(&rollout, CANARY_HALTED, situations[i].weight, 1);
            assert_int_equal(rollout.generation, before.generation + 1);

        } else {
            assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 2000),
                             CANARY_UNCHANGED);
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
        }
    }
}


static void
time_alone_changes_nothing_but_progressing_and_baking(void **state)
{
    size_t            i;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        if (situations[i].phase == CANARY_PROGRESSING
            || situations[i].phase == CANARY_BAKING)
        {
            assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 100),
                             CANARY_CHANGED);
            assert_int_equal(rollout.generation, before.generation + 1);

        } else {
            assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 100),
                             CANARY_UNCHANGED);
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
        }
    }
}


static void
an_unknown_verb_changes_nothing(void **state)
{
    size_t            i;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        assert_int_equal(apply(&rollout,
                               (canary_verb_t) (CANARY_RELEASE_GONE + 1),
                               BEGIN),
                         CANARY_NOT_NOW);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


/* Start */


static void
an_endpoint_begins_idle_on_its_first_release(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    memset(&rollout, 0x55, sizeof(canary_rollout_t));

    canary_rollout_init(&rollout, STABLE);

    assert_state(&rollout, CANARY_IDLE, 0, 0);
    assert_int_equal(rollout.generation, 0);
    assert_int_equal(rollout.number, 0);
    assert_int_equal(rollout.stable, STABLE);
    assert_int_equal(rollout.canary, CANARY_NO_RELEASE);
    assert_int_equal(rollout.last_number, 0);
    assert_int_equal(rollout.last_release, CANARY_NO_RELEASE);
    assert_int_equal(rollout.last_result, CANARY_NO_RESULT);
}


static void
a_rollout_starts_at_the_weight_of_the_first_step(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    assert_state(&rollout, CANARY_PROGRESSING, 20 * PERCENT, 1);
    assert_int_equal(rollout.generation, 1);
    assert_int_equal(rollout.number, 1);
    assert_int_equal(rollout.stable, STABLE);
    assert_int_equal(rollout.canary, CANARY);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), INTERVAL);
}


static void
a_rollout_whose_first_step_is_100_percent_starts_baking(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(100);

    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 1);
}


static void
a_rollout_of_the_stable_release_does_not_start(void **state)
{
    canary_command_t   command;
    canary_rollout_t   rollout, before;
    canary_strategy_t  strategy;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    strategy = strategy_of(20 * PERCENT);
    command = (canary_command_t) {
        .verb = CANARY_START, .now = BEGIN, .release = STABLE,
        .strategy = &strategy
    };

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_IS_STABLE);

    command.verb = CANARY_DIRECT;

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_IS_STABLE);
    assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
}


static void
a_rollout_without_any_rule_does_not_start(void **state)
{
    canary_rollout_t   rollout, before;
    canary_strategy_t  strategy;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    strategy = strategy_of(20 * PERCENT);
    strategy.nrules = 0;

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_NO_RULE);
    assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
}


static void
a_rollout_at_100_percent_needs_a_rule_that_does_not_compare(void **state)
{
    uint32_t           generation;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    generation = rollout.generation;

    strategy = strategy_of(100 * PERCENT);
    strategy.rules[0].baseline = 1;
    strategy.rules[1] = strategy.rules[0];
    strategy.nrules = 2;

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_NO_BASELINE);
    assert_state(&rollout, CANARY_IDLE, 0, 0);
    assert_int_equal(rollout.generation, generation);

    /* with one that does not it starts, or where there is a stable part */

    strategy.rules[1].baseline = 0;

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 1);

    canary_rollout_init(&rollout, STABLE);

    strategy = strategy_of(99 * PERCENT);
    strategy.rules[0].baseline = 1;

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_CHANGED);
}


static void
a_rollout_keeps_the_strategy_it_was_started_with(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);

    /* nginx.conf is edited */

    strategy.interval = 1;
    strategy.linear = 90 * PERCENT;

    assert_int_equal(tick(&rollout, BEGIN + INTERVAL - 1, CANARY_PASSING, 1),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


static void
a_direct_rollout_makes_the_release_stable_at_once(void **state)
{
    canary_command_t  command;
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);

    command = (canary_command_t) {
        .verb = CANARY_DIRECT, .now = BEGIN, .release = CANARY
    };

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_CHANGED);

    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
    assert_int_equal(rollout.number, 1);
    assert_int_equal(rollout.generation, 1);
}


static void
the_next_rollout_has_the_next_number(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    rollout = started_linear(20);

    assert_int_equal(apply(&rollout, CANARY_ROLLBACK, BEGIN), CANARY_CHANGED);
    assert_int_equal(rollout.number, 1);

    strategy = strategy_of(20 * PERCENT);

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_CHANGED);
    assert_int_equal(rollout.number, 2);

    /* the one before is still the last that ended */

    assert_int_equal(rollout.last_number, 1);
    assert_int_equal(rollout.last_result, CANARY_ROLLED_BACK);
}


static void
after_the_last_number_comes_the_first(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    rollout = started_linear(20);
    rollout.number = UINT32_MAX;

    assert_int_equal(apply(&rollout, CANARY_ROLLBACK, BEGIN), CANARY_CHANGED);
    assert_int_equal(rollout.last_number, UINT32_MAX);

    strategy = strategy_of(20 * PERCENT);

    assert_int_equal(start(&rollout, BEGIN, &strategy), CANARY_CHANGED);
    assert_int_equal(rollout.number, 1);
}


/* Steps */


static void
every_interval_the_weight_goes_to_the_next_step(void **state)
{
    uint32_t          step;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    now = BEGIN;

    for (step = 2; step <= 4; step++) {
        now += INTERVAL - 1;

        assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                         CANARY_UNCHANGED);
        assert_int_equal(canary_rollout_remaining(&rollout, now), 1);

        now += 1;

        assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                         CANARY_CHANGED);
        assert_state(&rollout, CANARY_PROGRESSING, step * 20 * PERCENT, step);
        assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    }
}


/* The control loop was away: the steps it missed are not made up for. */

static void
one_step_is_taken_at_a_time_however_late(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    now = BEGIN + 10 * INTERVAL;

    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);

    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, now + INTERVAL - 1, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);
}


static void
while_a_rule_is_undecided_the_rollout_holds(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_UNDECIDED, 100),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN + 9 * INTERVAL, CANARY_UNDECIDED,
                          100),
                     CANARY_UNCHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + INTERVAL), 0);

    /* and goes on as soon as they pass */

    assert_int_equal(tick(&rollout, BEGIN + 9 * INTERVAL + 1, CANARY_PASSING,
                          100),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


static void
on_undecided_advance_the_end_of_an_interval_is_enough(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    rollout = started(&strategy);

    assert_int_equal(tick(&rollout, BEGIN + INTERVAL - 1, CANARY_UNDECIDED,
                          1),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_UNDECIDED, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


static void
with_no_attempt_in_the_step_it_always_holds(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 0),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_UNDECIDED, 0),
                     CANARY_UNCHANGED);

    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    rollout = started(&strategy);

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 0),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_UNDECIDED, 0),
                     CANARY_UNCHANGED);
}


static void
while_a_rule_is_failing_no_step_is_taken(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    rollout = started(&strategy);

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_FAILING, 100),
                     CANARY_UNCHANGED);

    rollout = baking(0);

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_FAILING, 100),
                     CANARY_UNCHANGED);
}


static void
steps_of_30_percent_are_30_60_90_100(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(30);

    assert_state(&rollout, CANARY_PROGRESSING, 30 * PERCENT, 1);
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 60 * PERCENT, 2);
    assert_int_equal(tick(&rollout, BEGIN + 2 * INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 90 * PERCENT, 3);
    assert_int_equal(tick(&rollout, BEGIN + 3 * INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 4);
}


static void
a_schedule_that_does_not_end_at_100_percent_gets_there(void **state)
{
    uint32_t           at;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    static const uint32_t  weights[] = { PERCENT, 5 * PERCENT };

    (void) state;

    strategy = strategy_of(20 * PERCENT);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 2, &at),
                     CANARY_STEPS_OK);

    rollout = started(&strategy);

    assert_state(&rollout, CANARY_PROGRESSING, PERCENT, 1);
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 5 * PERCENT, 2);
    assert_int_equal(tick(&rollout, BEGIN + 2 * INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 3);
}


/* Bake and promotion */


static void
the_canary_bakes_at_100_percent_and_is_then_promoted(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = baking(BAKE);

    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), BAKE);
    assert_int_equal(tick(&rollout, BEGIN + BAKE - 1, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN + BAKE, CANARY_PASSING, 100),
                     CANARY_CHANGED);

    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


static void
without_bake_it_does_not_wait_for_an_interval(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = baking(0);

    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), 0);

    /* but for an attempt at 100 % */

    assert_int_equal(tick(&rollout, BEGIN, CANARY_PASSING, 0),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN, CANARY_PASSING, 1),
                     CANARY_CHANGED);

    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


static void
an_undecided_rule_never_promotes(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(100 * PERCENT);
    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    rollout = started(&strategy);

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_UNDECIDED, 1000),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 1000),
                     CANARY_CHANGED);
}


static void
promote_makes_the_canary_stable_from_any_phase(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 1; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(apply(&rollout, CANARY_PROMOTE, BEGIN + 2000),
                         CANARY_CHANGED);
        assert_ended(&rollout, CANARY, CANARY_PROMOTED);
    }
}


static void
rollback_gives_all_to_stable_from_any_phase(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 1; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(apply(&rollout, CANARY_ROLLBACK, BEGIN + 2000),
                         CANARY_CHANGED);
        assert_ended(&rollout, STABLE, CANARY_ROLLED_BACK);
    }
}


/* Pause and resume */


static void
pause_stops_the_clock_and_resume_continues_the_remainder(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, 20 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), 7000);

    now += 100 * INTERVAL;
    assert_int_equal(canary_rollout_remaining(&rollout, now), 7000);
    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);

    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 20 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), 7000);

    now += 6999;
    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);

    now += 1;
    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


static void
several_pauses_add_up(void **state)
{
    uint32_t          n;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    now = BEGIN;

    for (n = 1; n <= 9; n++) {
        now += 1000;
        assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);

        now += 12345 * n;
        assert_int_equal(apply(&rollout, CANARY_RESUME, now),
                         CANARY_CHANGED);
        assert_int_equal(canary_rollout_remaining(&rollout, now),
                         INTERVAL - 1000 * n);
    }
}


static void
pause_stops_the_clock_of_the_bake_too(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = baking(BAKE);

    now = BEGIN + 1000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, CANARY_ONE, 2);
    assert_int_equal(canary_rollout_remaining(&rollout, now), 3000);

    now += BAKE * 10;
    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);

    assert_int_equal(tick(&rollout, now + 2999, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, now + 3000, CANARY_PASSING, 100),
                     CANARY_CHANGED);
    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


static void
pause_and_resume_keep_the_evidence(void **state)
{
    uint32_t          tests;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    tests = rollout.tests;

    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN), CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_RESUME, BEGIN), CANARY_CHANGED);
    assert_int_equal(rollout.tests, tests);
}


static void
an_interval_that_ended_in_a_hold_stays_ended_over_a_pause(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    now = BEGIN + 3 * INTERVAL;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, now), 0);

    now += INTERVAL;
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_int_equal(tick(&rollout, now, CANARY_PASSING, 1), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


/* Advance */


static void
advance_takes_the_next_step_now(void **state)
{
    uint32_t          tests;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    tests = rollout.tests;

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + 3000),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + 3000),
                     INTERVAL);
    assert_int_equal(rollout.tests, tests + 1);
}


static void
advance_to_100_percent_bakes(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(60);

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);
}


static void
advance_from_100_percent_promotes(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        if (situations[i].weight != CANARY_ONE) {
            continue;
        }

        rollout = rollout_in(&situations[i]);

        assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + 2000),
                         CANARY_CHANGED);
        assert_ended(&rollout, CANARY, CANARY_PROMOTED);
    }
}


static void
advance_while_paused_stays_paused(void **state)
{
    uint32_t          tests;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(40);
    tests = rollout.tests;

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);

    now += 3000;
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, 80 * PERCENT, 2);
    assert_int_equal(rollout.tests, tests + 1);
    assert_int_equal(rollout.generation, 3);

    /* at 100 % too: the bake has not begun */

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, CANARY_ONE, 3);
    assert_int_equal(tick(&rollout, now + 9 * INTERVAL, CANARY_PASSING, 100),
                     CANARY_UNCHANGED);

    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 3);
}


static void
a_step_entered_while_paused_has_its_whole_interval(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);

    now += 5000;
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, now), CANARY_CHANGED);

    now += 5000;
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
}


static void
a_bake_entered_while_paused_is_whole(void **state)
{
    uint64_t           now;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(60 * PERCENT);
    strategy.bake = BAKE;
    rollout = started(&strategy);

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, now), CANARY_CHANGED);

    now += 5000;
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_int_equal(tick(&rollout, now + BAKE - 1, CANARY_PASSING, 1),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, now + BAKE, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


/* PATCH */


static void
a_patched_weight_restarts_the_interval(void **state)
{
    uint32_t          tests;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);
    tests = rollout.tests;

    now = BEGIN + 9000;
    assert_int_equal(patch_weight(&rollout, now, 35 * PERCENT),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 35 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    assert_int_equal(rollout.tests, tests + 1);

    /* the next step is the one after the last not above the weight */

    assert_int_equal(tick(&rollout, now + INTERVAL - 1, CANARY_PASSING, 1),
                     CANARY_UNCHANGED);
    assert_int_equal(tick(&rollout, now + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
}


static void
the_step_of_a_patched_weight_is_the_last_not_above_it(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    static const struct {
        uint32_t  weight;
        uint32_t  step;
    } cases[] = {
        { 1, 0 },
        { 19 * PERCENT, 0 },
        { 20 * PERCENT, 1 },
        { 39 * PERCENT, 1 },
        { 40 * PERCENT, 2 },
        { 80 * PERCENT, 4 },
        { CANARY_ONE - 1, 4 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        rollout = started_linear(20);

        assert_int_equal(patch_weight(&rollout, BEGIN, cases[i].weight),
                         CANARY_CHANGED);
        assert_state(&rollout, CANARY_PROGRESSING, cases[i].weight,
                     cases[i].step);

        assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN),
                         CANARY_CHANGED);
        assert_int_equal(rollout.step, cases[i].step + 1);
    }
}


static void
a_patched_weight_is_above_0_and_below_1(void **state)
{
    size_t            i;
    canary_rollout_t  rollout, before;

    static const uint32_t  weights[] = {
        0, CANARY_ONE, CANARY_ONE + 1, UINT32_MAX
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        rollout = started_linear(20);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        assert_int_equal(patch_weight(&rollout, BEGIN, weights[i]),
                         CANARY_BAD_WEIGHT);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


static void
a_weight_patched_while_paused_waits_for_resume(void **state)
{
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);

    now += 3000;
    assert_int_equal(patch_weight(&rollout, now, 50 * PERCENT),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, 50 * PERCENT, 2);

    now += 30000;
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 50 * PERCENT, 2);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
}


static void
a_paused_bake_can_be_patched_back_below_100_percent(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = baking(BAKE);

    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN), CANARY_CHANGED);
    assert_int_equal(patch_weight(&rollout, BEGIN, 70 * PERCENT),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PAUSED, 70 * PERCENT, 1);
    assert_int_equal(apply(&rollout, CANARY_RESUME, BEGIN), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 70 * PERCENT, 1);
}


static void
a_weight_patched_while_halted_stays_halted(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = halted(20);

    assert_int_equal(patch_weight(&rollout, BEGIN + 2000, 5 * PERCENT),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_HALTED, 5 * PERCENT, 0);
}


static void
patched_rules_begin_new_tests(void **state)
{
    uint32_t           tests, trial;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);
    tests = rollout.tests;
    trial = rollout.trial;

    strategy.rules[0].threshold++;

    assert_int_equal(patch_strategy(&rollout, BEGIN + 3000, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(rollout.tests, tests + 1);
    assert_int_equal(rollout.trial, trial + 1);

    /* one rule more */

    strategy.rules[1] = strategy.rules[0];
    strategy.nrules = 2;

    assert_int_equal(patch_strategy(&rollout, BEGIN + 3000, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(rollout.tests, tests + 2);
    assert_int_equal(rollout.trial, trial + 2);

    /* one fewer */

    strategy.nrules = 1;

    assert_int_equal(patch_strategy(&rollout, BEGIN + 3000, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(rollout.tests, tests + 3);
    assert_int_equal(rollout.trial, trial + 3);

    /* the interval and the weight are not concerned */

    assert_state(&rollout, CANARY_PROGRESSING, 20 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + 3000), 7000);
}


static void
rules_that_stay_the_same_keep_their_tests(void **state)
{
    uint32_t           tests, trial;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);
    tests = rollout.tests;
    trial = rollout.trial;

    strategy.interval = 2 * INTERVAL;
    strategy.bake = BAKE;
    strategy.on_violation = CANARY_HALT;

    assert_int_equal(patch_strategy(&rollout, BEGIN + 3000, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(rollout.tests, tests);
    assert_int_equal(rollout.trial, trial);
}


static void
a_patched_interval_counts_from_when_the_step_began(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);

    strategy.interval = 4000;

    assert_int_equal(patch_strategy(&rollout, BEGIN + 3000, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + 3000), 1000);
    assert_int_equal(tick(&rollout, BEGIN + 4000, CANARY_PASSING, 1),
                     CANARY_CHANGED);
}


static void
patched_steps_keep_the_weight_until_the_next_step(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    rollout = started_linear(40);
    strategy = strategy_of(15 * PERCENT);

    assert_int_equal(patch_strategy(&rollout, BEGIN, &strategy),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);

    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 45 * PERCENT, 3);
}


static void
a_patch_that_takes_all_rules_away_is_refused(void **state)
{
    canary_command_t   command;
    canary_rollout_t   rollout, before;
    canary_strategy_t  strategy;

    (void) state;

    rollout = started_linear(20);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    strategy = strategy_of(20 * PERCENT);
    strategy.nrules = 0;

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = BEGIN, .weight = 35 * PERCENT,
        .has_weight = 1, .strategy = &strategy
    };

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_NO_RULE);
    assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
}


static void
a_bad_weight_refuses_the_rest_of_the_patch_too(void **state)
{
    canary_command_t   command;
    canary_rollout_t   rollout, before;
    canary_strategy_t  strategy;

    (void) state;

    rollout = started_linear(20);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    strategy = strategy_of(50 * PERCENT);

    command = (canary_command_t) {
        .verb = CANARY_PATCH, .now = BEGIN, .weight = CANARY_ONE,
        .has_weight = 1, .strategy = &strategy
    };

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_BAD_WEIGHT);
    assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
}


/* Violation */


static void
a_broken_rule_rolls_back(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        rollout.strategy.on_violation = CANARY_ROLL_BACK;

        if (!canary_rollout_guarded(&rollout)) {
            continue;
        }

        assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 2000),
                         CANARY_CHANGED);
        assert_ended(&rollout, STABLE, CANARY_ROLLED_BACK);
    }
}


static void
a_broken_rule_halts_when_told_to(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = halted(20);

    assert_state(&rollout, CANARY_HALTED, 20 * PERCENT, 1);
    assert_int_equal(rollout.canary, CANARY);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + 2000), -1);

    /* until someone acts */

    assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 1000),
                     CANARY_UNCHANGED);
}


static void
tests_with_confidence_go_on_from_step_to_step(void **state)
{
    uint32_t           tests, trial;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    rollout = started(&strategy);

    tests = rollout.tests;
    trial = rollout.trial;

    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 100),
                     CANARY_CHANGED);
    assert_int_equal(patch_weight(&rollout, BEGIN + INTERVAL, 30 * PERCENT),
                     CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_RESUME, BEGIN + INTERVAL),
                     CANARY_CHANGED);

    assert_int_equal(rollout.tests, tests + 4);
    assert_int_equal(rollout.trial, trial);

    /* the next rollout has its own */

    assert_int_equal(apply(&rollout, CANARY_ROLLBACK, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_int_equal(start(&rollout, BEGIN + INTERVAL, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(rollout.trial, trial + 1);
}


static void
a_hold_for_an_outage_of_both_is_only_an_event(void **state)
{
    size_t            i;
    canary_status_t   expected;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        expected = canary_rollout_guarded(&rollout) ? CANARY_CHANGED
                                                    : CANARY_UNCHANGED;

        assert_int_equal(apply(&rollout, CANARY_HOLDING, BEGIN + 2000),
                         expected);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


static void
resume_of_a_halted_rollout_begins_a_new_step_with_new_tests(void **state)
{
    uint32_t          tests, trial;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = halted(20);
    tests = rollout.tests;
    trial = rollout.trial;

    now = BEGIN + 60000;
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 20 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    assert_int_equal(rollout.tests, tests + 1);
    assert_int_equal(rollout.trial, trial + 1);
}


static void
resume_of_a_halted_bake_begins_it_anew(void **state)
{
    uint32_t           tests, trial;
    uint64_t           now;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(100 * PERCENT);
    strategy.on_violation = CANARY_HALT;
    strategy.bake = BAKE;

    rollout = started(&strategy);

    now = BEGIN + BAKE - 1;
    assert_int_equal(apply(&rollout, CANARY_VIOLATION, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_HALTED, CANARY_ONE, 1);
    tests = rollout.tests;
    trial = rollout.trial;

    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), BAKE);
    assert_int_equal(rollout.tests, tests + 1);
    assert_int_equal(rollout.trial, trial + 1);
}


static void
advance_of_a_halted_rollout_takes_the_next_step_with_new_tests(void **state)
{
    uint32_t          tests, trial;
    uint64_t          now;
    canary_rollout_t  rollout;

    (void) state;

    rollout = halted(20);
    tests = rollout.tests;
    trial = rollout.trial;

    now = BEGIN + 60000;
    assert_int_equal(apply(&rollout, CANARY_ADVANCE, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 40 * PERCENT, 2);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
    assert_int_equal(rollout.tests, tests + 1);
    assert_int_equal(rollout.trial, trial + 1);
}


static void
a_rollout_halted_while_paused_resumes_like_any_halted_one(void **state)
{
    uint64_t           now;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = strategy_of(20 * PERCENT);
    strategy.on_violation = CANARY_HALT;
    rollout = started(&strategy);

    now = BEGIN + 3000;
    assert_int_equal(apply(&rollout, CANARY_PAUSE, now), CANARY_CHANGED);
    assert_int_equal(apply(&rollout, CANARY_VIOLATION, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_HALTED, 20 * PERCENT, 1);

    now += 60000;
    assert_int_equal(apply(&rollout, CANARY_RESUME, now), CANARY_CHANGED);
    assert_state(&rollout, CANARY_PROGRESSING, 20 * PERCENT, 1);
    assert_int_equal(canary_rollout_remaining(&rollout, now), INTERVAL);
}


/* A release that left the configuration */


static void
a_rollout_whose_canary_is_gone_is_rolled_back(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 1; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(release_gone(&rollout, BEGIN + 2000, STABLE),
                         CANARY_CHANGED);
        assert_ended(&rollout, STABLE, CANARY_ROLLED_BACK);
    }
}


static void
a_rollout_whose_stable_is_gone_goes_to_the_first_release(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 1; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(release_gone(&rollout, BEGIN + 2000, OTHER),
                         CANARY_CHANGED);
        assert_ended(&rollout, OTHER, CANARY_ROLLED_BACK);
    }
}


static void
an_idle_endpoint_whose_stable_is_gone_goes_to_the_first_release(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);

    assert_int_equal(release_gone(&rollout, BEGIN, OTHER), CANARY_CHANGED);
    assert_state(&rollout, CANARY_IDLE, 0, 0);
    assert_int_equal(rollout.stable, OTHER);
    assert_int_equal(rollout.generation, 1);

    /* that was no rollout */

    assert_int_equal(rollout.last_result, CANARY_NO_RESULT);
    assert_int_equal(rollout.last_number, 0);
}


/* What others see */


static void
requests_are_routed_by_weight_roles_phase_and_number(void **state)
{
    canary_route_t    route;
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    rollout.number = CANARY_EPOCH_MASK;

    route = canary_rollout_route(&rollout);

    assert_int_equal(route.weight, 0);
    assert_int_equal(route.stable, STABLE);
    assert_int_equal(route.canary, CANARY_NO_RELEASE);
    assert_int_equal(route.phase, CANARY_IDLE);
    assert_int_equal(route.epoch, CANARY_EPOCH_MASK);

    rollout = started_linear(20);

    route = canary_rollout_route(&rollout);

    assert_int_equal(route.weight, 20 * PERCENT);
    assert_int_equal(route.stable, STABLE);
    assert_int_equal(route.canary, CANARY);
    assert_int_equal(route.phase, CANARY_PROGRESSING);
    assert_int_equal(route.epoch, 1);

    rollout.number = CANARY_EPOCH_MASK + 8;

    assert_int_equal(canary_rollout_route(&rollout).epoch, 7);
}


static void
there_is_no_clock_when_idle_or_halted(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), -1);

    rollout = halted(20);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), -1);
}


/* One process may have read the clock before another. */

static void
a_time_before_the_step_began_counts_as_its_beginning(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN - 1), INTERVAL);
    assert_int_equal(tick(&rollout, BEGIN - 1, CANARY_PASSING, 1),
                     CANARY_UNCHANGED);

    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN - 1),
                     CANARY_CHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), INTERVAL);
}


static void
verbs_phases_and_results_have_the_names_of_the_manual(void **state)
{
    (void) state;

    assert_string_equal(canary_phase_name(CANARY_IDLE), "idle");
    assert_string_equal(canary_phase_name(CANARY_PROGRESSING), "progressing");
    assert_string_equal(canary_phase_name(CANARY_PAUSED), "paused");
    assert_string_equal(canary_phase_name(CANARY_HALTED), "halted");
    assert_string_equal(canary_phase_name(CANARY_BAKING), "baking");

    assert_string_equal(canary_verb_name(CANARY_START), "start");
    assert_string_equal(canary_verb_name(CANARY_DIRECT), "start");
    assert_string_equal(canary_verb_name(CANARY_PATCH), "PATCH");
    assert_string_equal(canary_verb_name(CANARY_ADVANCE), "advance");
    assert_string_equal(canary_verb_name(CANARY_PAUSE), "pause");
    assert_string_equal(canary_verb_name(CANARY_RESUME), "resume");
    assert_string_equal(canary_verb_name(CANARY_PROMOTE), "promote");
    assert_string_equal(canary_verb_name(CANARY_ROLLBACK), "rollback");
    assert_string_equal(canary_verb_name(CANARY_TICK), "tick");
    assert_string_equal(canary_verb_name(CANARY_VIOLATION), "violation");
    assert_string_equal(canary_verb_name(CANARY_HOLDING), "holding");
    assert_string_equal(canary_verb_name(CANARY_RELEASE_GONE),
                        "release gone");

    assert_string_equal(canary_result_name(CANARY_PROMOTED), "promoted");
    assert_string_equal(canary_result_name(CANARY_ROLLED_BACK),
                        "rolled_back");
}


/* Any commands in any order */


static canary_strategy_t
any_strategy(uint64_t *seed)
{
    uint32_t           n, at, step, weights[5];
    canary_strategy_t  strategy;

    strategy = strategy_of(CANARY_LINEAR_STEP_MIN
                           + unit_below(seed, CANARY_ONE
                                              - CANARY_LINEAR_STEP_MIN + 1));

    if (unit_one_in(seed, 2)) {
        step = 0;

        for (n = 0; n < 5; n++) {
            step += 1 + unit_below(seed, CANARY_ONE / 5);
            weights[n] = step;
        }

        assert_int_equal(canary_strategy_set_schedule(&strategy, weights,
                                                 1 + unit_below(seed, 5),
                                                 &at),
                         CANARY_STEPS_OK);
    }

    strategy.interval = 1 + unit_below(seed, 5000);
    strategy.bake = unit_one_in(seed, 2) ? 0 : unit_below(seed, 5000);
    strategy.on_undecided = unit_below(seed, 2);
    strategy.on_violation = unit_below(seed, 2);
    strategy.rules[0].threshold = unit_below(seed, 3);
    strategy.rules[0].baseline = unit_one_in(seed, 4);
    strategy.nrules = unit_one_in(seed, 20) ? 0 : 1;

    return strategy;
}


static canary_command_t
any_command(uint64_t *seed, uint64_t now, const canary_strategy_t *strategy)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .now = now,
        .release = unit_below(seed, 4),
        .weight = unit_below(seed, CANARY_ONE + CANARY_ONE / 10),
        .has_weight = unit_one_in(seed, 2),
        .verdict = (canary_verdict_t) unit_below(seed, 3),
        .attempts = unit_below(seed, 4)
    };

    /* mostly time passes, or else no rollout would get far */

    command.verb = unit_one_in(seed, 3)
                   ? (canary_verb_t) unit_below(seed, CANARY_RELEASE_GONE + 1)
                   : CANARY_TICK;

    if (command.verb == CANARY_START || unit_one_in(seed, 2)) {
        command.strategy = strategy;
    }

    return command;
}


static void
check_state(const canary_rollout_t *rollout, uint64_t now)
{
    int64_t         remaining;
    uint32_t        steps;
    uint64_t        length;
    canary_route_t  route;

    steps = canary_strategy_steps(&rollout->strategy);
    remaining = canary_rollout_remaining(rollout, now);

    if (rollout->phase == CANARY_IDLE) {
        assert_int_equal(rollout->weight, 0);
        assert_int_equal(rollout->step, 0);
        assert_int_equal(rollout->canary, CANARY_NO_RELEASE);
        assert_int_equal(rollout->last_number, rollout->number);
        assert_int_equal(remaining, -1);

    } else {
        assert_in_range(rollout->weight, 1, CANARY_ONE);
        assert_true(rollout->canary != CANARY_NO_RELEASE);
        assert_true(rollout->canary != rollout->stable);
        assert_true(rollout->strategy.nrules > 0);
        assert_true(rollout->last_number < rollout->number);

        assert_int_equal(rollout->step,
                         canary_strategy_step_at(&rollout->strategy,
                                                 rollout->weight));
        assert_int_equal(rollout->step == steps,
                         rollout->weight == CANARY_ONE);
    }

    if (rollout->phase == CANARY_PROGRESSING) {
        assert_true(rollout->weight < CANARY_ONE);
    }

    if (rollout->phase == CANARY_BAKING) {
        assert_int_equal(rollout->weight, CANARY_ONE);
    }

    if (rollout->phase == CANARY_HALTED) {
        assert_int_equal(remaining, -1);
    }

    if (remaining != -1) {
        length = (rollout->weight == CANARY_ONE) ? rollout->strategy.bake
                                                 : rollout->strategy.interval;
        assert_in_range(remaining, 0, length);
    }

    route = canary_rollout_route(rollout);
    route = canary_route_decode(canary_route_encode(&route));

    assert_int_equal(route.weight, rollout->weight);
    assert_int_equal(route.phase, rollout->phase);
    assert_int_equal(route.canary, rollout->canary);
    assert_int_equal(route.stable, rollout->stable);
}


static uint32_t
begins_tests(const canary_rollout_t *from, const canary_rollout_t *to,
    const canary_command_t *command)
{
    if (command->verb == CANARY_START) {
        return 1;
    }

    if (from->phase == CANARY_HALTED
        && (command->verb == CANARY_RESUME
            || (command->verb == CANARY_ADVANCE
                && from->weight < CANARY_ONE)))
    {
        return 1;
    }

    return command->verb == CANARY_PATCH
           && memcmp(from->strategy.rules, to->strategy.rules,
                     sizeof(to->strategy.rules)) != 0;
}


static void
check_change(const canary_rollout_t *from, const canary_rollout_t *to,
    const canary_command_t *command)
{
    int  began, ended;

    assert_int_equal(to->generation, from->generation + 1);

    began = (command->verb == CANARY_START || command->verb == CANARY_DIRECT);
    ended = (to->phase == CANARY_IDLE
             && (from->phase != CANARY_IDLE
                 || command->verb == CANARY_DIRECT));

    /* the number is that of the rollout */

    assert_int_equal(to->number, from->number + began);

    /* only an end changes the result, and only a promotion the stable */

    assert_int_equal(to->last_number, ended ? to->number : from->last_number);

    if (to->stable != from->stable) {
        assert_true(command->verb == CANARY_RELEASE_GONE
                    || to->last_result == CANARY_PROMOTED);
        assert_true(to->phase == CANARY_IDLE);
    }

    /* evidence is of one weight, and of one rollout */

    assert_true(to->tests >= from->tests);

    if (to->weight != from->weight || to->number != from->number
        || to->canary != from->canary)
    {
        assert_true(to->tests > from->tests);
    }

    if (from->phase == CANARY_HALTED && to->phase != CANARY_HALTED) {
        assert_true(to->tests > from->tests);
    }

    /* tests go on from step to step, but not beyond what begins them anew */

    assert_int_equal(to->trial - from->trial, begins_tests(from, to, command));

    if (to->trial != from->trial) {
        assert_true(to->tests > from->tests);
    }

    /* only a person may halt the rise of the weight, or make it fall */

    if (command->verb == CANARY_TICK) {
        assert_true(to->weight > from->weight
                    || (from->weight == CANARY_ONE
                        && to->stable == from->canary));
        assert_true(command->attempts > 0);
        assert_true(command->verdict != CANARY_FAILING);
        assert_int_equal(canary_rollout_remaining(from, command->now), 0);
    }

    if (command->verb == CANARY_VIOLATION
        || command->verb == CANARY_ROLLBACK
        || command->verb == CANARY_PAUSE
        || command->verb == CANARY_RELEASE_GONE)
    {
        assert_true(to->weight <= from->weight);
    }
}


static void
any_commands_in_any_order_keep_the_state_sound(void **state)
{
    uint32_t           n, verbs, promoted, rolled_back, refused;
    uint64_t           seed, now;
    canary_status_t    status;
    canary_command_t   command;
    canary_rollout_t   rollout, before;
    canary_strategy_t  strategy;

    (void) state;

    seed = 1;
    now = BEGIN;
    promoted = 0;
    rolled_back = 0;
    refused = 0;

    canary_rollout_init(&rollout, 0);

    for (n = 0; n < 200000; n++) {
        now += unit_below(&seed, 3000);
        strategy = any_strategy(&seed);
        command = any_command(&seed, now, &strategy);

        memcpy(&before, &rollout, sizeof(canary_rollout_t));
        verbs = canary_rollout_verbs(&rollout);

        status = canary_rollout_apply(&rollout, &command);

        if (command.verb < CANARY_VERBS) {
            assert_int_equal(status == CANARY_NOT_NOW,
                             !(verbs >> command.verb & 1));
        }

        if (command.verb == CANARY_HOLDING) {
            assert_int_equal(status, canary_rollout_guarded(&before)
                                     ? CANARY_CHANGED : CANARY_UNCHANGED);
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));

        } else if (status == CANARY_CHANGED) {
            check_change(&before, &rollout, &command);

        } else {
            refused++;
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
        }

        check_state(&rollout, now);

        if (rollout.last_number != before.last_number) {
            promoted += (rollout.last_result == CANARY_PROMOTED);
            rolled_back += (rollout.last_result == CANARY_ROLLED_BACK);
        }
    }

    /* the commands have been everywhere */

    assert_true(promoted > 1000);
    assert_true(rolled_back > 1000);
    assert_true(refused > 1000);
}


/* The matrix: each situation with each verb of the manual. */

static void
name_cells(cell_t *cells)
{
    size_t          i;
    cell_t         *cell;
    canary_verb_t   verb;

    static const char *const  verbs[CANARY_VERBS] = {
        "start", "direct", "PATCH", "advance", "pause", "resume", "promote",
        "rollback"
    };

    cell = cells;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        for (verb = CANARY_START; verb < CANARY_VERBS; verb++) {
            cell->situation = &situations[i];
            cell->verb = verb;
            cell->applies = situations[i].applies >> verb & 1;

            (void) snprintf(cell->name, sizeof(cell->name), "%s: %s %s",
                            situations[i].name, verbs[verb],
                            cell->applies ? "applies" : "does not apply");

            cell++;
        }
    }
}


/* What others do to a rollout */


static void
a_restart_begins_the_tests_and_the_clock_of_a_step_anew(void **state)
{
    size_t            i;
    int64_t           length;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        before = rollout;

        canary_rollout_restart(&rollout, BEGIN + 500000);

        assert_state(&rollout, situations[i].phase, situations[i].weight,
                     before.step);
        assert_int_equal(rollout.generation, before.generation);
        assert_int_equal(rollout.number, before.number);

        if (situations[i].phase == CANARY_IDLE) {
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
            continue;
        }

        assert_int_equal(rollout.tests, before.tests + 1);

        length = (situations[i].phase == CANARY_HALTED) ? -1
                 : (situations[i].weight == CANARY_ONE) ? BAKE : INTERVAL;

        assert_int_equal(canary_rollout_remaining(&rollout, BEGIN + 500000),
                         length);
    }
}


static void
a_clock_begins_when_the_change_that_began_it_takes_effect(void **state)
{
    canary_rollout_t  before, after;

    (void) state;

    before = started_linear(20);
    after = before;

    assert_int_equal(apply(&after, CANARY_ADVANCE, BEGIN + 1000),
                     CANARY_CHANGED);
    canary_rollout_delay(&before, &after, 3000);
    assert_int_equal(canary_rollout_remaining(&after, BEGIN + 4000),
                     INTERVAL);

    /* what was left when it was paused is left when it goes on */

    assert_int_equal(apply(&before, CANARY_PAUSE, BEGIN + 2500),
                     CANARY_CHANGED);
    after = before;
    assert_int_equal(apply(&after, CANARY_RESUME, BEGIN + 5000),
                     CANARY_CHANGED);
    canary_rollout_delay(&before, &after, 3000);
    assert_int_equal(canary_rollout_remaining(&after, BEGIN + 8000),
                     INTERVAL - 2500);
}


static void
a_clock_that_goes_on_is_not_set_back_by_a_change(void **state)
{
    canary_rollout_t   before, after;
    canary_strategy_t  strategy;

    (void) state;

    before = started_linear(20);
    after = before;
    strategy = strategy_of(20 * PERCENT);
    strategy.bake = BAKE;

    assert_int_equal(patch_strategy(&after, BEGIN + 1000, &strategy),
                     CANARY_CHANGED);
    canary_rollout_delay(&before, &after, 3000);
    assert_int_equal(canary_rollout_remaining(&after, BEGIN + 4000),
                     INTERVAL - 4000);
}


static void
what_stops_a_rollout_need_not_wait(void **state)
{
    (void) state;

    assert_true(canary_verb_exposes(CANARY_START));
    assert_true(canary_verb_exposes(CANARY_DIRECT));
    assert_true(canary_verb_exposes(CANARY_PATCH));
    assert_true(canary_verb_exposes(CANARY_ADVANCE));
    assert_true(canary_verb_exposes(CANARY_RESUME));
    assert_true(canary_verb_exposes(CANARY_PROMOTE));
    assert_true(canary_verb_exposes(CANARY_TICK));

    assert_false(canary_verb_exposes(CANARY_PAUSE));
    assert_false(canary_verb_exposes(CANARY_ROLLBACK));
    assert_false(canary_verb_exposes(CANARY_VIOLATION));
    assert_false(canary_verb_exposes(CANARY_RELEASE_GONE));
}


int
main(void)
{
    size_t  i, n;
    cell_t  cells[UNIT_LENGTH(situations) * CANARY_VERBS];

    static const struct CMUnitTest  rollout[] = {
        cmocka_unit_test(no_other_verb_applies_in_any_situation),
        cmocka_unit_test(
            rules_have_consequences_in_progressing_paused_and_baking),
        cmocka_unit_test(
            time_alone_changes_nothing_but_progressing_and_baking),
        cmocka_unit_test(an_unknown_verb_changes_nothing),

        cmocka_unit_test(an_endpoint_begins_idle_on_its_first_release),
        cmocka_unit_test(a_rollout_starts_at_the_weight_of_the_first_step),
        cmocka_unit_test(
            a_rollout_whose_first_step_is_100_percent_starts_baking),
        cmocka_unit_test(a_rollout_of_the_stable_release_does_not_start),
        cmocka_unit_test(a_rollout_without_any_rule_does_not_start),
        cmocka_unit_test(
            a_rollout_at_100_percent_needs_a_rule_that_does_not_compare),
        cmocka_unit_test(a_rollout_keeps_the_strategy_it_was_started_with),
        cmocka_unit_test(a_direct_rollout_makes_the_release_stable_at_once),
        cmocka_unit_test(the_next_rollout_has_the_next_number),
        cmocka_unit_test(after_the_last_number_comes_the_first),

        cmocka_unit_test(every_interval_the_weight_goes_to_the_next_step),
        cmocka_unit_test(one_step_is_taken_at_a_time_however_late),
        cmocka_unit_test(while_a_rule_is_undecided_the_rollout_holds),
        cmocka_unit_test(
            on_undecided_advance_the_end_of_an_interval_is_enough),
        cmocka_unit_test(with_no_attempt_in_the_step_it_always_holds),
        cmocka_unit_test(while_a_rule_is_failing_no_step_is_taken),
        cmocka_unit_test(steps_of_30_percent_are_30_60_90_100),
        cmocka_unit_test(
            a_schedule_that_does_not_end_at_100_percent_gets_there),

        cmocka_unit_test(the_canary_bakes_at_100_percent_and_is_then_promoted),
        cmocka_unit_test(without_bake_it_does_not_wait_for_an_interval),
        cmocka_unit_test(an_undecided_rule_never_promotes),
        cmocka_unit_test(promote_makes_the_canary_stable_from_any_phase),
        cmocka_unit_test(rollback_gives_all_to_stable_from_any_phase),

        cmocka_unit_test(
            pause_stops_the_clock_and_resume_continues_the_remainder),
        cmocka_unit_test(several_pauses_add_up),
        cmocka_unit_test(pause_stops_the_clock_of_the_bake_too),
        cmocka_unit_test(pause_and_resume_keep_the_evidence),
        cmocka_unit_test(
            an_interval_that_ended_in_a_hold_stays_ended_over_a_pause),

        cmocka_unit_test(advance_takes_the_next_step_now),
        cmocka_unit_test(advance_to_100_percent_bakes),
        cmocka_unit_test(advance_from_100_percent_promotes),
        cmocka_unit_test(advance_while_paused_stays_paused),
        cmocka_unit_test(a_step_entered_while_paused_has_its_whole_interval),
        cmocka_unit_test(a_bake_entered_while_paused_is_whole),

        cmocka_unit_test(a_patched_weight_restarts_the_interval),
        cmocka_unit_test(
            the_step_of_a_patched_weight_is_the_last_not_above_it),
        cmocka_unit_test(a_patched_weight_is_above_0_and_below_1),
        cmocka_unit_test(a_weight_patched_while_paused_waits_for_resume),
        cmocka_unit_test(a_paused_bake_can_be_patched_back_below_100_percent),
        cmocka_unit_test(a_weight_patched_while_halted_stays_halted),
        cmocka_unit_test(patched_rules_begin_new_tests),
        cmocka_unit_test(rules_that_stay_the_same_keep_their_tests),
        cmocka_unit_test(a_patched_interval_counts_from_when_the_step_began),
        cmocka_unit_test(patched_steps_keep_the_weight_until_the_next_step),
        cmocka_unit_test(a_patch_that_takes_all_rules_away_is_refused),
        cmocka_unit_test(a_bad_weight_refuses_the_rest_of_the_patch_too),

        cmocka_unit_test(a_broken_rule_rolls_back),
        cmocka_unit_test(a_broken_rule_halts_when_told_to),
        cmocka_unit_test(tests_with_confidence_go_on_from_step_to_step),
        cmocka_unit_test(a_hold_for_an_outage_of_both_is_only_an_event),
        cmocka_unit_test(
            resume_of_a_halted_rollout_begins_a_new_step_with_new_tests),
        cmocka_unit_test(resume_of_a_halted_bake_begins_it_anew),
        cmocka_unit_test(
            advance_of_a_halted_rollout_takes_the_next_step_with_new_tests),
        cmocka_unit_test(
            a_rollout_halted_while_paused_resumes_like_any_halted_one),

        cmocka_unit_test(a_rollout_whose_canary_is_gone_is_rolled_back),
        cmocka_unit_test(
            a_rollout_whose_stable_is_gone_goes_to_the_first_release),
        cmocka_unit_test(
            an_idle_endpoint_whose_stable_is_gone_goes_to_the_first_release),

        cmocka_unit_test(requests_are_routed_by_weight_roles_phase_and_number),
        cmocka_unit_test(there_is_no_clock_when_idle_or_halted),
        cmocka_unit_test(
            a_time_before_the_step_began_counts_as_its_beginning),
        cmocka_unit_test(
            verbs_phases_and_results_have_the_names_of_the_manual),

        cmocka_unit_test(
            a_restart_begins_the_tests_and_the_clock_of_a_step_anew),
        cmocka_unit_test(
            a_clock_begins_when_the_change_that_began_it_takes_effect),
        cmocka_unit_test(
            a_clock_that_goes_on_is_not_set_back_by_a_change),
        cmocka_unit_test(what_stops_a_rollout_need_not_wait),

        cmocka_unit_test(any_commands_in_any_order_keep_the_state_sound)
    };

    struct CMUnitTest  tests[UNIT_LENGTH(cells) + UNIT_LENGTH(rollout)];

    name_cells(cells);
    n = 0;

    for (i = 0; i < UNIT_LENGTH(cells); i++) {
        tests[n++] = (struct CMUnitTest) {
            cells[i].name, applies_as_the_manual_says, NULL, NULL, &cells[i]
        };
    }

    for (i = 0; i < UNIT_LENGTH(rollout); i++) {
        tests[n++] = rollout[i];
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
