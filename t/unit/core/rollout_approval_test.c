
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: steps and the promotion that wait for a person. */


#include "rollout.h"


static int
awaits(const canary_rollout_t *rollout, uint64_t now,
    canary_verdict_t verdict, uint64_t attempts)
{
    canary_command_t  command;

    command = (canary_command_t) {
        .verb = CANARY_TICK, .now = now, .verdict = verdict,
        .attempts = attempts
    };

    return canary_rollout_awaits_approval(rollout, &command);
}


/* A tick does nothing, and that is since a person is awaited, or is not. */

static void
assert_waits(canary_rollout_t *rollout, uint64_t now, int approval,
    canary_verdict_t verdict, uint64_t attempts)
{
    canary_rollout_t  before;

    memcpy(&before, rollout, sizeof(canary_rollout_t));

    assert_int_equal(awaits(rollout, now, verdict, attempts), approval);
    assert_int_equal(tick(rollout, now, verdict, attempts),
                     CANARY_UNCHANGED);
    assert_memory_equal(rollout, &before, sizeof(canary_rollout_t));
}


static canary_strategy_t
approved(canary_approval_t approval)
{
    canary_strategy_t  strategy;

    strategy = strategy_of(50 * PERCENT);
    strategy.bake = BAKE;
    strategy.approval = approval;

    return strategy;
}


static void
with_step_each_step_and_the_promotion_wait(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_STEP);
    rollout = started(&strategy);

    assert_waits(&rollout, BEGIN + INTERVAL, 1, CANARY_PASSING, 100);
    assert_waits(&rollout, BEGIN + 9 * INTERVAL, 1, CANARY_PASSING, 100);

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + 9 * INTERVAL),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);

    assert_waits(&rollout, BEGIN + 9 * INTERVAL + BAKE - 1, 0,
                 CANARY_PASSING, 1);
    assert_waits(&rollout, BEGIN + 9 * INTERVAL + BAKE, 1, CANARY_PASSING, 1);

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + 99 * INTERVAL),
                     CANARY_CHANGED);
    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


static void
with_promotion_only_the_end_of_the_bake_waits(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_PROMOTION);
    rollout = started(&strategy);

    assert_false(awaits(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1));
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);

    assert_waits(&rollout, BEGIN + 9 * INTERVAL, 1, CANARY_PASSING, 1);

    assert_int_equal(apply(&rollout, CANARY_PROMOTE, BEGIN + 9 * INTERVAL),
                     CANARY_CHANGED);
    assert_ended(&rollout, CANARY, CANARY_PROMOTED);
}


static void
without_it_nobody_is_awaited(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_OFF);
    rollout = started(&strategy);

    assert_false(awaits(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1));

    rollout = baking(0);

    assert_false(awaits(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 1));
}


static void
a_person_is_awaited_only_when_the_step_is_due(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_STEP);
    rollout = started(&strategy);

    assert_waits(&rollout, BEGIN + INTERVAL - 1, 0, CANARY_PASSING, 100);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_PASSING, 0);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_UNDECIDED, 100);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_FAILING, 100);

    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_PASSING, 100);

    strategy.on_violation = CANARY_HALT;
    rollout = started(&strategy);

    assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_PASSING, 100);

    canary_rollout_init(&rollout, STABLE);

    rollout.strategy = strategy;
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_PASSING, 100);
}


static void
on_undecided_advance_an_undecided_step_waits_for_a_person(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_STEP);
    strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;
    rollout = started(&strategy);

    assert_waits(&rollout, BEGIN + INTERVAL, 1, CANARY_UNDECIDED, 1);
    assert_waits(&rollout, BEGIN + INTERVAL, 0, CANARY_UNDECIDED, 0);

    /* at 100 % every rule has to pass first */

    assert_int_equal(apply(&rollout, CANARY_ADVANCE, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_waits(&rollout, BEGIN + 9 * INTERVAL, 0, CANARY_UNDECIDED, 1);
    assert_waits(&rollout, BEGIN + 9 * INTERVAL, 1, CANARY_PASSING, 1);
}


static void
a_canary_that_breaks_a_rule_falls_while_it_waits(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_STEP);
    rollout = started(&strategy);

    assert_waits(&rollout, BEGIN + INTERVAL, 1, CANARY_PASSING, 100);
    assert_true(canary_rollout_guarded(&rollout));
    assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + INTERVAL),
                     CANARY_CHANGED);
    assert_ended(&rollout, STABLE, CANARY_ROLLED_BACK);
}


static void
a_patch_makes_it_wait_and_go_on_by_itself_again(void **state)
{
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    (void) state;

    strategy = approved(CANARY_APPROVAL_OFF);
    rollout = started(&strategy);

    strategy.approval = CANARY_APPROVAL_STEP;

    assert_int_equal(patch_strategy(&rollout, BEGIN, &strategy),
                     CANARY_CHANGED);
    assert_waits(&rollout, BEGIN + INTERVAL, 1, CANARY_PASSING, 100);

    /* neither its clock nor its evidence begins anew */

    strategy.approval = CANARY_APPROVAL_OFF;

    assert_int_equal(patch_strategy(&rollout, BEGIN + INTERVAL, &strategy),
                     CANARY_CHANGED);
    assert_int_equal(tick(&rollout, BEGIN + INTERVAL, CANARY_PASSING, 100),
                     CANARY_CHANGED);
    assert_state(&rollout, CANARY_BAKING, CANARY_ONE, 2);
}


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
        cmocka_unit_test(with_step_each_step_and_the_promotion_wait),
        cmocka_unit_test(with_promotion_only_the_end_of_the_bake_waits),
        cmocka_unit_test(without_it_nobody_is_awaited),
        cmocka_unit_test(a_person_is_awaited_only_when_the_step_is_due),
        cmocka_unit_test(
            on_undecided_advance_an_undecided_step_waits_for_a_person),
        cmocka_unit_test(a_canary_that_breaks_a_rule_falls_while_it_waits),
        cmocka_unit_test(a_patch_makes_it_wait_and_go_on_by_itself_again)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
