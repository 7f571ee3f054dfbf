
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: its promotion, pauses, and steps taken by hand. */


#include "rollout.h"


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


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
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
        cmocka_unit_test(a_bake_entered_while_paused_is_whole)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
