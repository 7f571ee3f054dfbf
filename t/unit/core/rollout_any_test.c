
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: any commands in any order. */


#include "rollout.h"


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
    strategy.approval = unit_one_in(seed, 2) ? CANARY_APPROVAL_OFF
                                             : unit_below(seed, 3);
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
        assert_true(from->strategy.approval != CANARY_APPROVAL_STEP);
        assert_true(from->strategy.approval == CANARY_APPROVAL_OFF
                    || to->phase != CANARY_IDLE);
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


int
main(void)
{
    static const struct CMUnitTest  rollout[] = {
        cmocka_unit_test(any_commands_in_any_order_keep_the_state_sound)
    };

    return cmocka_run_group_tests(rollout, NULL, NULL);
}
