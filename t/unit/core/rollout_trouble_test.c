
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: broken rules, releases that are gone, and restarts. */


#include "rollout.h"


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

        /* stable may be away while a rollout is halted, too */

        expected = (rollout.phase == CANARY_IDLE) ? CANARY_UNCHANGED
                                                  : CANARY_CHANGED;

        assert_int_equal(apply(&rollout, CANARY_STABLE_UNAVAILABLE,
                               BEGIN + 2000), expected);
        assert_int_equal(apply(&rollout, CANARY_STABLE_AVAILABLE,
                               BEGIN + 2000), expected);
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
    assert_false(canary_verb_exposes(CANARY_STABLE_UNAVAILABLE));
    assert_false(canary_verb_exposes(CANARY_STABLE_AVAILABLE));
}


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
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

        cmocka_unit_test(
            a_restart_begins_the_tests_and_the_clock_of_a_step_anew),
        cmocka_unit_test(
            a_clock_begins_when_the_change_that_began_it_takes_effect),
        cmocka_unit_test(
            a_clock_that_goes_on_is_not_set_back_by_a_change),
        cmocka_unit_test(what_stops_a_rollout_need_not_wait)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
