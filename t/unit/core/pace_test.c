
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* How long a rule that needs more attempts has to wait. */


#include "canary_pace.h"

#include "unit.h"


#define BEGIN  1000000


static void
without_attempts_nothing_is_known(void **state)
{
    canary_pace_t  pace = { 0 };

    (void) state;

    assert_true(canary_pace_due(&pace, 1, BEGIN));
    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN, 5, 1), -1);

    canary_pace_sample(&pace, 1, BEGIN, 0);
    assert_false(canary_pace_due(&pace, 1, BEGIN + CANARY_PACE_MS - 1));
    assert_true(canary_pace_due(&pace, 1, BEGIN + CANARY_PACE_MS));
    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN, 0, 37), -1);
    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN + 9000, 0, 37), -1);
}


static void
a_young_step_has_its_own_rate(void **state)
{
    canary_pace_t  pace = { 0 };

    (void) state;

    canary_pace_sample(&pace, 1, BEGIN, 0);
    canary_pace_sample(&pace, 1, BEGIN + 5000, 50);

    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN + 10000, 100, 37), 4);
    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN + 10000, 100, 0), 0);
}


static void
what_came_before_the_first_look_is_of_the_step(void **state)
{
    canary_pace_t  pace = { 0 };

    (void) state;

    canary_pace_sample(&pace, 1, BEGIN, 20);

    assert_int_equal(canary_pace_seconds(&pace, 1, BEGIN + 1000, 20, 40), 2);
}


/* What was long ago tells nothing of what comes. */

static void
an_old_step_has_that_of_the_last_minute(void **state)
{
    uint32_t       i;
    uint64_t       now, begun;
    canary_pace_t  pace = { 0 };

    (void) state;

    now = BEGIN;
    begun = 0;

    for (i = 0; i < 200; i++) {
        canary_pace_sample(&pace, 7, now, begun);
        now += CANARY_PACE_MS;
        begun += (i < 180) ? 50000 : 5;
    }

    assert_int_equal(canary_pace_seconds(&pace, 7, now, begun, 60), 60);

    /* and nothing of another step */

    assert_int_equal(canary_pace_seconds(&pace, 8, now, begun, 60), -1);
    assert_true(canary_pace_due(&pace, 8, now - CANARY_PACE_MS + 1));
    canary_pace_sample(&pace, 8, now, 0);
    assert_int_equal(canary_pace_seconds(&pace, 8, now + 1000, 10, 60), 6);
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_attempts_nothing_is_known),
        cmocka_unit_test(a_young_step_has_its_own_rate),
        cmocka_unit_test(what_came_before_the_first_look_is_of_the_step),
        cmocka_unit_test(an_old_step_has_that_of_the_last_minute)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
