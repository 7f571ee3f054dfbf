
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: how it starts, and how it goes on by itself. */


#include "rollout.h"


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


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
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
            a_schedule_that_does_not_end_at_100_percent_gets_there)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
