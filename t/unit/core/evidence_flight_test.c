
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence: attempts that are in flight, and those that end late. */


#include "evidence.h"


/* In flight */


static void
in_flight_counts_as_started_and_not_bad_for_failing(void **state)
{
    loop_t  *loop = *state;

    attempts(loop, 2, bad_5xx);
    (void) begin(loop);
    (void) begin(loop);

    assert_counts(view(loop).failing, 4, 0, 2);
}


static void
a_cohort_with_attempts_in_flight_is_left_out_for_passing(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 2, good);
    slow = begin(loop);

    assert_counts(view(loop).passing, 0, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 3, 0, 0);
}


static void
other_cohorts_are_not_left_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 10, good);
    pass(loop, 100);

    attempts(loop, 1, bad_5xx);
    slow = begin(loop);
    pass(loop, 100);

    attempts(loop, 20, good);

    assert_counts(view(loop).passing, 30, 0, 0);
    assert_counts(view(loop).failing, 32, 0, 1);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 32, 0, 1);
}


static void
an_attempt_in_flight_on_stable_does_not_hold_up_the_canary(void **state)
{
    loop_t  *loop = *state;

    (void) begin_in(loop, 0, STABLE);
    attempts(loop, 2, good);

    assert_counts(view_of(loop, STABLE).passing, 0, 0, 0);
    assert_counts(view_of(loop, CANARY).passing, 2, 0, 0);
}


static void
a_cohort_of_attempts_is_100_ms(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   first, second, third;

    first = begin(loop);
    pass(loop, 99);
    second = begin(loop);
    pass(loop, 1);
    third = begin(loop);

    assert_int_equal(first.cohort, second.cohort);
    assert_int_equal(third.cohort, second.cohort + 1);
}


static void
what_is_in_flight_for_less_than_10_s_is_not_held_against_it(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 10, good);
    pass(loop, 100);

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 10000);

    assert_counts(view(loop).passing, 10, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 16, 0, 0);
}


static void
after_10_s_in_flight_counts_as_bad_for_passing_only(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 5, good);
    (void) begin(loop);
    (void) begin(loop);
    pass(loop, 10150);

    seen = view(loop);

    assert_counts(seen.failing, 7, 0, 0);
    assert_int_equal(seen.failing.bad, 0);
    assert_int_equal(seen.failing.timed, 0);
    assert_int_equal(seen.failing.time, 0);

    assert_counts(seen.passing, 7, 2, 2);
    assert_int_equal(seen.passing.bad, 2);
    assert_int_equal(seen.passing.timed, 0);
    assert_int_equal(seen.overdue, 2);

    assert_int_equal(seen.spent, 0);
}


static void
a_hung_service_is_never_seen_to_be_fine(void **state)
{
    loop_t                  *loop = *state;
    uint32_t                 n;
    canary_evidence_view_t   seen;

    for (n = 0; n < 600; n++) {
        (void) begin(loop);
        pass(loop, 100);

        seen = view(loop);
        assert_int_equal(seen.passing.started, seen.passing.bad_5xx);
    }

    assert_in_range(seen.passing.started, 490, 500);
}


/*
 * A worker has read which cohort is the current one, and falls asleep before
 * it has counted its attempt there.
 */

static void
a_worker_may_be_50_ms_late_to_count_a_beginning(void **state)
{
    loop_t           *loop = *state;
    uint32_t         *started;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    started = &loop->evidence->slots[0]->tallies[ticket.place][CANARY]
                                       .started;

    assert_int_equal(*started, 1);
    *started = 0;
    pass(loop, 149);
    *started = 1;

    end(loop, ticket, bad_5xx);
    pass(loop, 1000);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_counts(view(loop).passing, 1, 0, 1);
}


/* Late */


static void
an_overdue_attempt_that_ends_well_is_good_after_all(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;
    canary_finish_t   timed;

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 15000);

    assert_counts(view(loop).passing, 6, 1, 1);

    timed = (canary_finish_t) { .timed = 1, .time = 15000000 };
    end(loop, slow, timed);

    assert_counts(view(loop).passing, 6, 0, 0);
    assert_int_equal(view(loop).passing.timed, 1);
    assert_int_equal(view(loop).passing.time, 15000000);
    assert_counts(view(loop).failing, 6, 0, 0);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 6, 0, 0);
    assert_counts(view(loop).failing, 6, 0, 0);
}


static void
an_overdue_attempt_that_ends_badly_is_bad_once(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    slow = begin(loop);
    pass(loop, 15000);
    end(loop, slow, bad_5xx);

    assert_counts(view(loop).passing, 1, 0, 1);
    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 1, 0, 1);
    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
an_overdue_attempt_that_is_no_evidence_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 15000);
    end(loop, slow, voided);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);
}


/* What comes late is left out with the cohort that it comes in. */

static void
a_late_outcome_counts_whatever_is_in_flight(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   late, other;

    late = begin(loop);
    pass(loop, 15000);

    other = begin(loop);
    end(loop, late, good);

    assert_counts(view(loop).passing, 1, 0, 0);
    assert_int_equal(view(loop).overdue, 0);

    end(loop, other, good);

    assert_counts(view(loop).passing, 2, 0, 0);
}


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(in_flight_counts_as_started_and_not_bad_for_failing),
        evidence_test(
            a_cohort_with_attempts_in_flight_is_left_out_for_passing),
        evidence_test(other_cohorts_are_not_left_out),
        evidence_test(
            an_attempt_in_flight_on_stable_does_not_hold_up_the_canary),
        evidence_test(a_cohort_of_attempts_is_100_ms),
        evidence_test(
            what_is_in_flight_for_less_than_10_s_is_not_held_against_it),
        evidence_test(after_10_s_in_flight_counts_as_bad_for_passing_only),
        evidence_test(a_hung_service_is_never_seen_to_be_fine),
        evidence_test(a_worker_may_be_50_ms_late_to_count_a_beginning),

        evidence_test(an_overdue_attempt_that_ends_well_is_good_after_all),
        evidence_test(an_overdue_attempt_that_ends_badly_is_bad_once),
        evidence_test(an_overdue_attempt_that_is_no_evidence_is_taken_out),
        evidence_test(a_late_outcome_counts_whatever_is_in_flight)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
