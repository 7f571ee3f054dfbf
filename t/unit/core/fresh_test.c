
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Latencies are told for as long as there is traffic to measure. */


#include "canary_fresh.h"

#include "unit.h"


#define BEGIN  1000


static void
without_attempts_nothing_is_fresh(void **state)
{
    canary_fresh_t  fresh = { 0 };

    (void) state;

    assert_false(canary_fresh(&fresh, 0, BEGIN));

    canary_fresh_note(&fresh, 0, BEGIN);
    assert_false(canary_fresh(&fresh, 0, BEGIN));
}


static void
an_attempt_is_fresh_before_it_is_noted(void **state)
{
    canary_fresh_t  fresh = { 0 };

    (void) state;

    assert_true(canary_fresh(&fresh, 1, BEGIN));

    canary_fresh_note(&fresh, 1, BEGIN);
    assert_true(canary_fresh(&fresh, 1, BEGIN));
    assert_true(canary_fresh(&fresh, 2, BEGIN + 10 * CANARY_FRESH_MS));
}


static void
it_is_so_for_a_minute(void **state)
{
    uint64_t        now;
    canary_fresh_t  fresh = { 0 };

    (void) state;

    canary_fresh_note(&fresh, 7, BEGIN);

    for (now = BEGIN; now < BEGIN + CANARY_FRESH_MS;
         now += CANARY_FRESH_NOTE_MS)
    {
        canary_fresh_note(&fresh, 7, now);
        assert_true(canary_fresh(&fresh, 7, now));
    }

    canary_fresh_note(&fresh, 7, now);
    assert_false(canary_fresh(&fresh, 7, now));

    canary_fresh_note(&fresh, 8, now);
    assert_true(canary_fresh(&fresh, 8, now + CANARY_FRESH_MS - 1));
    assert_false(canary_fresh(&fresh, 8, now + CANARY_FRESH_MS));
}


static void
counters_that_begin_anew_are_no_attempts(void **state)
{
    canary_fresh_t  fresh = { 0 };

    (void) state;

    canary_fresh_note(&fresh, 7, BEGIN);
    canary_fresh_note(&fresh, 0, BEGIN + CANARY_FRESH_MS);
    assert_false(canary_fresh(&fresh, 0, BEGIN + CANARY_FRESH_MS));
    assert_true(canary_fresh(&fresh, 1, BEGIN + CANARY_FRESH_MS));
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(without_attempts_nothing_is_fresh),
        cmocka_unit_test(an_attempt_is_fresh_before_it_is_noted),
        cmocka_unit_test(it_is_so_for_a_minute),
        cmocka_unit_test(counters_that_begin_anew_are_no_attempts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
