
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* The steps of a rollout: "canary_step". */


#include <string.h>

#include "canary_strategy.h"

#include "unit.h"


#define PERCENT  (CANARY_ONE / 100)


static void
assert_steps(const canary_strategy_t *strategy, const uint32_t *percents,
    uint32_t n)
{
    uint32_t  i;

    assert_int_equal(canary_strategy_steps(strategy), n);

    for (i = 0; i < n; i++) {
        assert_int_equal(canary_strategy_weight(strategy, i + 1),
                         percents[i] * PERCENT);
    }
}


/* Nothing is changed by steps that are refused. */

static void
assert_refused(const uint32_t *weights, uint32_t n,
    canary_steps_status_t status, uint32_t offending)
{
    uint32_t           at;
    canary_strategy_t  strategy, before;

    at = 12345;

    canary_strategy_init(&strategy);
    strategy.steps[0] = 77;
    memcpy(&before, &strategy, sizeof(canary_strategy_t));

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, n, &at),
                     status);
    assert_int_equal(at, offending);
    assert_memory_equal(&strategy, &before, sizeof(canary_strategy_t));
}


static void
the_defaults_are_those_of_the_manual(void **state)
{
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = {
        10, 20, 30, 40, 50, 60, 70, 80, 90, 100
    };

    (void) state;

    memset(&strategy, 0x55, sizeof(canary_strategy_t));

    canary_strategy_init(&strategy);

    assert_int_equal(strategy.interval, 60000);
    assert_int_equal(strategy.bake, 0);
    assert_int_equal(strategy.on_undecided, CANARY_HOLD);
    assert_int_equal(strategy.on_violation, CANARY_ROLL_BACK);
    assert_int_equal(strategy.approval, CANARY_APPROVAL_OFF);
    assert_int_equal(strategy.nrules, 0);

    assert_steps(&strategy, percents, 10);
}


static void
one_weight_is_the_size_of_linear_steps(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = { 20, 40, 60, 80, 100 };

    (void) state;

    weight = 20 * PERCENT;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_steps(&strategy, percents, 5);
}


static void
the_last_linear_step_ends_at_100_percent(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = { 30, 60, 90, 100 };

    (void) state;

    weight = 30 * PERCENT;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_steps(&strategy, percents, 4);
}


static void
a_linear_step_may_be_everything_or_just_not(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    (void) state;

    canary_strategy_init(&strategy);

    weight = CANARY_ONE;
    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 1);
    assert_int_equal(canary_strategy_weight(&strategy, 1), CANARY_ONE);

    weight = CANARY_ONE - 1;
    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 2);
    assert_int_equal(canary_strategy_weight(&strategy, 1), CANARY_ONE - 1);
    assert_int_equal(canary_strategy_weight(&strategy, 2), CANARY_ONE);
}


static void
the_smallest_linear_step_makes_1000(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    (void) state;

    weight = CANARY_LINEAR_STEP_MIN;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 1000);
    assert_int_equal(canary_strategy_weight(&strategy, 1), 1000);
    assert_int_equal(canary_strategy_weight(&strategy, 999), 999000);
    assert_int_equal(canary_strategy_weight(&strategy, 1000), CANARY_ONE);
}


static void
linear_steps_of_any_size_rise_evenly_to_100_percent(void **state)
{
    uint32_t           at, size, step, steps, weight, before;
    canary_strategy_t  strategy;

    (void) state;

    canary_strategy_init(&strategy);

    for (size = CANARY_LINEAR_STEP_MIN; size <= CANARY_ONE; size += 997) {
        assert_int_equal(canary_strategy_set_steps(&strategy, &size, 1, &at),
                         CANARY_STEPS_OK);

        steps = canary_strategy_steps(&strategy);
        assert_in_range(steps, 1, 1000);

        before = 0;

        for (step = 1; step < steps; step++) {
            weight = canary_strategy_weight(&strategy, step);
            assert_int_equal(weight, before + size);
            before = weight;
        }

        assert_int_equal(canary_strategy_weight(&strategy, steps),
                         CANARY_ONE);
        assert_in_range(CANARY_ONE - before, 1, size);
    }
}


static void
several_rising_weights_are_a_schedule(void **state)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = { 1, 5, 25, 50, 100 };
    static const uint32_t  weights[] = {
        10000, 50000, 250000, 500000, CANARY_ONE
    };

    (void) state;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 5, &at),
                     CANARY_STEPS_OK);
    assert_steps(&strategy, percents, 5);
}


static void
a_schedule_that_ends_below_gets_100_percent_appended(void **state)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = { 1, 5, 100 };
    static const uint32_t  weights[] = { 10000, 50000 };

    (void) state;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 2, &at),
                     CANARY_STEPS_OK);
    assert_steps(&strategy, percents, 3);
}


/* "progress_steps":[0.3] is one step, not linear steps of 30 %. */

static void
a_schedule_of_one_weight_is_that_step_and_then_everything(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    static const uint32_t  percents[] = { 30, 100 };

    (void) state;

    canary_strategy_init(&strategy);

    weight = 30 * PERCENT;
    assert_int_equal(canary_strategy_set_schedule(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_steps(&strategy, percents, 2);

    weight = CANARY_ONE;
    assert_int_equal(canary_strategy_set_schedule(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 1);
    assert_int_equal(canary_strategy_weight(&strategy, 1), CANARY_ONE);
}


/* A schedule may have steps that are too small for linear ones. */

static void
a_schedule_may_begin_with_one_request_in_a_million(void **state)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  weights[] = { 1, 2, CANARY_ONE - 1 };

    (void) state;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 3, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 4);
    assert_int_equal(canary_strategy_weight(&strategy, 1), 1);
    assert_int_equal(canary_strategy_weight(&strategy, 2), 2);
    assert_int_equal(canary_strategy_weight(&strategy, 3), CANARY_ONE - 1);
    assert_int_equal(canary_strategy_weight(&strategy, 4), CANARY_ONE);
}


static void
the_longest_schedule_has_room_for_100_percent(void **state)
{
    uint32_t           i, at, weights[CANARY_STEPS_MAX + 1];
    canary_strategy_t  strategy;

    (void) state;

    for (i = 0; i <= CANARY_STEPS_MAX; i++) {
        weights[i] = (i + 1) * 100;
    }

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights,
                                               CANARY_STEPS_MAX, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), CANARY_STEPS_MAX + 1);
    assert_int_equal(canary_strategy_weight(&strategy, CANARY_STEPS_MAX),
                     10000);
    assert_int_equal(canary_strategy_weight(&strategy, CANARY_STEPS_MAX + 1),
                     CANARY_ONE);

    assert_refused(weights, CANARY_STEPS_MAX + 1, CANARY_STEPS_TOO_MANY,
                   CANARY_STEPS_MAX);
}


static void
a_schedule_takes_the_place_of_linear_steps_and_the_reverse(void **state)
{
    uint32_t           at, weight;
    canary_strategy_t  strategy;

    static const uint32_t  weights[] = { 10000, 50000 };

    (void) state;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 2, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 3);

    weight = 50 * PERCENT;
    assert_int_equal(canary_strategy_set_steps(&strategy, &weight, 1, &at),
                     CANARY_STEPS_OK);
    assert_int_equal(canary_strategy_steps(&strategy), 2);
    assert_int_equal(canary_strategy_weight(&strategy, 1), weight);
}


static void
steps_that_make_no_sense_are_refused(void **state)
{
    static const uint32_t  zero[] = { 0 };
    static const uint32_t  above[] = { CANARY_ONE + 1 };
    static const uint32_t  huge[] = { UINT32_MAX };
    static const uint32_t  small[] = { CANARY_LINEAR_STEP_MIN - 1 };
    static const uint32_t  zero_first[] = { 0, 500000 };
    static const uint32_t  zero_later[] = { 100000, 0 };
    static const uint32_t  above_later[] = { 100000, 500000, 1000001 };
    static const uint32_t  equal[] = { 100000, 100000, 500000 };
    static const uint32_t  falling[] = { 100000, 500000, 499999 };
    static const uint32_t  after_all[] = { 100000, CANARY_ONE, CANARY_ONE };

    (void) state;

    assert_refused(zero, 0, CANARY_STEPS_NONE, 0);
    assert_refused(zero, 1, CANARY_STEPS_RANGE, 0);
    assert_refused(above, 1, CANARY_STEPS_RANGE, 0);
    assert_refused(huge, 1, CANARY_STEPS_RANGE, 0);
    assert_refused(small, 1, CANARY_STEPS_TOO_SMALL, 0);
    assert_refused(zero_first, 2, CANARY_STEPS_RANGE, 0);
    assert_refused(zero_later, 2, CANARY_STEPS_RANGE, 1);
    assert_refused(above_later, 3, CANARY_STEPS_RANGE, 2);
    assert_refused(equal, 3, CANARY_STEPS_NOT_RISING, 1);
    assert_refused(falling, 3, CANARY_STEPS_NOT_RISING, 2);
    assert_refused(after_all, 3, CANARY_STEPS_NOT_RISING, 2);
}


static void
the_weight_before_the_first_step_is_0_and_after_the_last_1(void **state)
{
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  weights[] = { 10000, 50000 };

    (void) state;

    canary_strategy_init(&strategy);

    assert_int_equal(canary_strategy_weight(&strategy, 0), 0);
    assert_int_equal(canary_strategy_weight(&strategy, 11), CANARY_ONE);
    assert_int_equal(canary_strategy_weight(&strategy, UINT32_MAX),
                     CANARY_ONE);

    assert_int_equal(canary_strategy_set_steps(&strategy, weights, 2, &at),
                     CANARY_STEPS_OK);

    assert_int_equal(canary_strategy_weight(&strategy, 0), 0);
    assert_int_equal(canary_strategy_weight(&strategy, 4), CANARY_ONE);
}


static void
the_step_at_a_weight_is_the_last_not_above_it(void **state)
{
    size_t             i;
    uint32_t           at;
    canary_strategy_t  strategy;

    static const uint32_t  weights[] = { 10000, 50000, 250000 };

    static const struct {
        uint32_t  weight;
        uint32_t  linear;      /* of 10 % */
        uint32_t  schedule;    /* 1 %, 5 %, 25 %, 100 % */
    } cases[] = {
        { 0,               0,  0 },
        { 1,               0,  0 },
        { 9999,            0,  0 },
        { 10000,           0,  1 },
        { 49999,           0,  1 },
        { 50000,           0,  2 },
        { 99999,           0,  2 },
        { 100000,          1,  2 },
        { 350000,          3,  3 },
        { CANARY_ONE - 1,  9,  3 },
        { CANARY_ONE,      10, 4 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        canary_strategy_init(&strategy);

        assert_int_equal(canary_strategy_step_at(&strategy, cases[i].weight),
                         cases[i].linear);

        assert_int_equal(canary_strategy_set_steps(&strategy, weights, 3,
                                                   &at),
                         CANARY_STEPS_OK);

        assert_int_equal(canary_strategy_step_at(&strategy, cases[i].weight),
                         cases[i].schedule);
    }
}


static void
the_step_at_the_weight_of_a_step_is_that_step(void **state)
{
    uint32_t           at, size, step;
    canary_strategy_t  strategy;

    (void) state;

    canary_strategy_init(&strategy);

    for (size = CANARY_LINEAR_STEP_MIN; size <= CANARY_ONE; size += 9973) {
        assert_int_equal(canary_strategy_set_steps(&strategy, &size, 1, &at),
                         CANARY_STEPS_OK);

        for (step = 0; step <= canary_strategy_steps(&strategy); step++) {
            assert_int_equal(
                canary_strategy_step_at(&strategy,
                    canary_strategy_weight(&strategy, step)),
                step);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  strategy[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_manual),
        cmocka_unit_test(one_weight_is_the_size_of_linear_steps),
        cmocka_unit_test(the_last_linear_step_ends_at_100_percent),
        cmocka_unit_test(a_linear_step_may_be_everything_or_just_not),
        cmocka_unit_test(the_smallest_linear_step_makes_1000),
        cmocka_unit_test(linear_steps_of_any_size_rise_evenly_to_100_percent),
        cmocka_unit_test(several_rising_weights_are_a_schedule),
        cmocka_unit_test(a_schedule_that_ends_below_gets_100_percent_appended),
        cmocka_unit_test(
            a_schedule_of_one_weight_is_that_step_and_then_everything),
        cmocka_unit_test(a_schedule_may_begin_with_one_request_in_a_million),
        cmocka_unit_test(the_longest_schedule_has_room_for_100_percent),
        cmocka_unit_test(
            a_schedule_takes_the_place_of_linear_steps_and_the_reverse),
        cmocka_unit_test(steps_that_make_no_sense_are_refused),
        cmocka_unit_test(
            the_weight_before_the_first_step_is_0_and_after_the_last_1),
        cmocka_unit_test(the_step_at_a_weight_is_the_last_not_above_it),
        cmocka_unit_test(the_step_at_the_weight_of_a_step_is_that_step)
    };

    return cmocka_run_group_tests(strategy, NULL, NULL);
}
