
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: what a PATCH changes of it. */


#include "rollout.h"


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


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
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
        cmocka_unit_test(a_bad_weight_refuses_the_rest_of_the_patch_too)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
