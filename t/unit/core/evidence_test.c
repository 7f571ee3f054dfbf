
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence: how attempts are counted, and what becomes of cohorts. */


#include "evidence.h"


/* Counting */


static void
a_rollout_begins_with_no_evidence(void **state)
{
    loop_t  *loop = *state;

    assert_nothing(view_of(loop, STABLE));
    assert_nothing(view_of(loop, CANARY));
}


static void
attempts_are_counted_by_how_they_end(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 10, good);
    attempts(loop, 3, bad_4xx);
    attempts(loop, 2, bad_5xx);

    seen = view(loop);

    assert_counts(seen.failing, 15, 3, 2);
    assert_int_equal(seen.failing.bad, 5);
    assert_counts(seen.passing, 15, 3, 2);
    assert_int_equal(seen.passing.bad, 5);
    assert_int_equal(seen.spent, 2);
}


static void
the_sides_are_counted_apart(void **state)
{
    loop_t  *loop = *state;

    end(loop, begin_in(loop, 1, STABLE), bad_5xx);
    end(loop, begin_in(loop, 1, CANARY), bad_4xx);
    end(loop, begin_in(loop, 1, CANARY), good);

    assert_counts(view_of(loop, STABLE).failing, 1, 0, 1);
    assert_counts(view_of(loop, CANARY).failing, 2, 1, 0);
    assert_int_equal(view_of(loop, STABLE).spent, 1);
    assert_int_equal(view_of(loop, CANARY).spent, 0);
}


static void
the_slots_of_all_workers_are_added_up(void **state)
{
    loop_t    *loop = *state;
    uint32_t   slot;

    for (slot = 0; slot < SLOTS; slot++) {
        end(loop, begin_in(loop, slot, CANARY), bad_5xx);
        end(loop, begin_in(loop, slot, CANARY), good);
    }

    assert_counts(view(loop).failing, 2 * SLOTS, 0, SLOTS);
}


/* A worker's number may be above the number of slots. */

static void
a_slot_without_memory_is_the_first_one_again(void **state)
{
    loop_t   loop;

    (void) state;

    loop.evidence = unit_evidence(SLOTS, 2);
    loop.tests = TESTS;
    loop.now = BEGIN;

    canary_evidence_use(loop.evidence, NULL);
    canary_evidence_begin(loop.evidence, loop.tests, loop.now);

    (void) begin_in(&loop, 0, CANARY);
    (void) begin_in(&loop, 1, CANARY);
    (void) begin_in(&loop, 2, CANARY);
    end(&loop, begin_in(&loop, 2, CANARY), bad_5xx);

    assert_counts(view(&loop).failing, 4, 0, 1);
    assert_int_equal(view(&loop).spent, 1);

    /* only the slot that one process has to itself can be cleared */

    canary_evidence_reap(loop.evidence, 0);
    canary_evidence_reap(loop.evidence, 2);
    assert_counts(view(&loop).failing, 4, 0, 1);

    canary_evidence_reap(loop.evidence, 1);
    assert_counts(view(&loop).failing, 3, 0, 1);

    unit_free_evidence(loop.evidence);
}


static void
times_are_added_up_in_microseconds(void **state)
{
    loop_t           *loop = *state;
    canary_finish_t   timed;

    timed = (canary_finish_t) { .timed = 1, .time = 5000000000 };
    attempts(loop, 1, timed);

    timed.time = 0;
    attempts(loop, 1, timed);

    timed.time = 17;
    attempts(loop, 1, timed);

    attempts(loop, 1, good);

    assert_int_equal(view(loop).failing.timed, 3);
    assert_int_equal(view(loop).failing.time, 5000000017);
    assert_int_equal(view(loop).passing.timed, 3);
    assert_int_equal(view(loop).passing.time, 5000000017);
}


/* The header was counted long ago, the response ends now. */

static void
a_time_may_come_after_the_end(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, untimed);
    pass(loop, 30000);

    canary_evidence_time(loop->evidence, &ticket, 30000000, 1);

    assert_int_equal(view(loop).failing.timed, 1);
    assert_int_equal(view(loop).failing.time, 30000000);
    assert_counts(view(loop).failing, 1, 0, 0);

    pass(loop, 30000);

    assert_int_equal(view(loop).passing.timed, 1);
    assert_int_equal(view(loop).passing.time, 30000000);
}


static void
a_time_of_an_earlier_step_is_not_counted(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, untimed);
    new_tests(loop);
    pass(loop, 20000);

    canary_evidence_time(loop->evidence, &ticket, 30000000, 1);

    assert_nothing(view(loop));
}


/* No evidence */


static void
what_is_no_evidence_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    attempts(loop, 5, good);
    ticket = begin(loop);

    assert_counts(view(loop).failing, 6, 0, 0);

    end(loop, ticket, voided);

    assert_counts(view(loop).failing, 5, 0, 0);
    assert_counts(view(loop).passing, 5, 0, 0);

    pass(loop, 1000);

    assert_counts(view(loop).failing, 5, 0, 0);
    assert_counts(view(loop).passing, 5, 0, 0);
}


/* The client left, but only after longer than a latency rule allows. */

static void
an_aborted_attempt_may_be_a_slow_one_all_the_same(void **state)
{
    loop_t           *loop = *state;
    canary_finish_t   slow;

    slow = (canary_finish_t) { .voided = 1, .timed = 1, .time = 700000 };
    attempts(loop, 1, slow);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).failing.timed, 1);
    assert_int_equal(view(loop).failing.time, 700000);
}


/* Cut short: a response that was counted, and whose body then broke off */


static void
a_2xx_cut_short_is_bad_but_no_second_attempt(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, good);
    canary_evidence_cut(loop->evidence, &ticket, 2);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_counts(view(loop).passing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


/* 12 of 100 bodies break off, and at any time something is in flight. */

static void
bodies_cut_short_are_not_left_out_with_what_is_in_flight(void **state)
{
    uint32_t          i;
    loop_t           *loop = *state;
    canary_ticket_t   tickets[100];

    for (i = 0; i < 100; i++) {
        tickets[i] = begin(loop);
        end(loop, tickets[i], good);
    }

    pass(loop, 1000);

    for (i = 0; i < 30; i++) {
        (void) begin(loop);
    }

    for (i = 0; i < 12; i++) {
        canary_evidence_cut(loop->evidence, &tickets[i], 2);
    }

    assert_counts(view(loop).passing, 100, 0, 12);
    assert_counts(view(loop).failing, 130, 0, 12);
}


/* It is a 4xx and a failure, and yet one bad attempt. */

static void
a_4xx_cut_short_is_both_and_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_4xx);
    canary_evidence_cut(loop->evidence, &ticket, 4);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 1000);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).passing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_5xx_cut_short_was_bad_already(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_5xx);
    canary_evidence_cut(loop->evidence, &ticket, 5);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_body_may_break_off_long_after_its_cohort(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_4xx);
    pass(loop, 60000);

    canary_evidence_cut(loop->evidence, &ticket, 4);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(a_rollout_begins_with_no_evidence),
        evidence_test(attempts_are_counted_by_how_they_end),
        evidence_test(the_sides_are_counted_apart),
        evidence_test(the_slots_of_all_workers_are_added_up),
        cmocka_unit_test(a_slot_without_memory_is_the_first_one_again),
        evidence_test(times_are_added_up_in_microseconds),
        evidence_test(a_time_may_come_after_the_end),
        evidence_test(a_time_of_an_earlier_step_is_not_counted),

        evidence_test(what_is_no_evidence_is_taken_out),
        evidence_test(an_aborted_attempt_may_be_a_slow_one_all_the_same),

        evidence_test(a_2xx_cut_short_is_bad_but_no_second_attempt),
        evidence_test(
            bodies_cut_short_are_not_left_out_with_what_is_in_flight),
        evidence_test(a_4xx_cut_short_is_both_and_one),
        evidence_test(a_5xx_cut_short_was_bad_already),
        evidence_test(a_body_may_break_off_long_after_its_cohort)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
