
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence: new tests, and the next rollout in the same memory. */


#include "evidence.h"


/* Tests: an outcome belongs to the step in which its attempt began */


static void
new_tests_begin_with_no_evidence_but_the_budget(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 10, good);
    attempts(loop, 3, bad_5xx);
    (void) begin(loop);
    pass(loop, 20000);

    attempts(loop, 2, bad_5xx);

    new_tests(loop);
    seen = view(loop);

    assert_counts(seen.failing, 0, 0, 0);
    assert_counts(seen.passing, 0, 0, 0);
    assert_int_equal(seen.failing.bad, 0);
    assert_int_equal(seen.passing.timed, 0);
    assert_int_equal(seen.spent, 5);
}


static void
new_tests_begin_at_once(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before, after;

    before = begin(loop);
    new_tests(loop);
    after = begin(loop);

    assert_int_equal(before.step, TESTS);
    assert_int_equal(after.step, TESTS + 1);
    assert_true(before.cohort != after.cohort);
}


static void
an_attempt_of_the_step_before_says_nothing_of_this_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);
    new_tests(loop);
    attempts(loop, 1, good);

    assert_counts(view(loop).passing, 1, 0, 0);

    end(loop, before, bad_5xx);

    assert_counts(view(loop).failing, 1, 0, 0);
    assert_counts(view(loop).passing, 1, 0, 0);

    /* but a budget is one of the whole rollout */

    assert_int_equal(view(loop).spent, 1);

    pass(loop, 20000);

    assert_counts(view(loop).failing, 1, 0, 0);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_budget_counts_outcomes_of_cohorts_long_closed(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   first, second, third, fourth;

    first = begin(loop);
    second = begin(loop);
    third = begin(loop);
    fourth = begin(loop);
    new_tests(loop);
    pass(loop, 60000);

    end(loop, first, bad_5xx);
    end(loop, second, bad_4xx);
    end(loop, third, voided);
    end(loop, fourth, good);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_counts(view(loop).passing, 0, 0, 0);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_body_of_the_step_before_counts_in_the_budget(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, good);
    new_tests(loop);

    canary_evidence_cut(loop->evidence, &ticket, 2);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).failing.bad, 0);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 60000);

    assert_int_equal(view(loop).spent, 1);
}


static void
overdue_attempts_of_the_step_before_do_not_hold_up_this_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   hung, hanging;

    hung = begin(loop);
    pass(loop, 20000);
    hanging = begin(loop);

    new_tests(loop);
    attempts(loop, 5, good);
    pass(loop, 20000);

    assert_counts(view(loop).passing, 5, 0, 0);

    end(loop, hung, good);
    end(loop, hanging, good);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);
}


/* Steps in quick succession, as by hand: more than there are places. */

static void
many_steps_at_one_moment_lose_nothing(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    canary_ticket_t   tickets[500];

    for (n = 0; n < UNIT_LENGTH(tickets); n++) {
        tickets[n] = begin(loop);
        attempts(loop, 1, bad_5xx);
        new_tests(loop);
    }

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).spent, UNIT_LENGTH(tickets));

    attempts(loop, 3, good);

    for (n = 0; n < UNIT_LENGTH(tickets); n++) {
        end(loop, tickets[n], bad_5xx);
    }

    assert_counts(view(loop).failing, 3, 0, 0);
    assert_counts(view(loop).passing, 3, 0, 0);
    assert_int_equal(view(loop).spent, 2 * UNIT_LENGTH(tickets));

    pass(loop, 60000);

    assert_counts(view(loop).passing, 3, 0, 0);
    assert_int_equal(view(loop).spent, 2 * UNIT_LENGTH(tickets));
}


/* The next rollout, in the same memory */


static void
attempts_that_began_before_a_rollout_are_no_evidence_for_it(void **state)
{
    size_t             i;
    loop_t            *loop = *state;
    canary_ticket_t    before[4], settled;

    static const canary_finish_t  ends[] = {
        { .bad_5xx = 1 },
        { .bad_4xx = 1, .timed = 1, .time = 1 },
        { .voided = 1 },
        { .timed = 1, .time = 1 }
    };

    settled = begin(loop);
    pass(loop, 20000);

    for (i = 0; i < 4; i++) {
        before[i] = begin(loop);
    }

    attempts(loop, 3, bad_5xx);

    loop->tests++;
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    assert_nothing(view(loop));

    for (i = 0; i < 4; i++) {
        end(loop, before[i], ends[i]);
        canary_evidence_cut(loop->evidence, &before[i], 2);
        canary_evidence_time(loop->evidence, &before[i], 1, 1);
    }

    end(loop, settled, bad_5xx);

    assert_nothing(view(loop));

    pass(loop, 60000);

    assert_nothing(view(loop));
}


/*
 * Memory is lent to one endpoint after the other: the number of tests may be
 * any, also that of an attempt that is still to end.
 */

static void
the_tests_of_another_rollout_may_have_the_same_number(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);

    canary_evidence_begin(loop->evidence, loop->tests, loop->now);
    attempts(loop, 2, good);

    end(loop, before, bad_5xx);
    canary_evidence_cut(loop->evidence, &before, 2);
    canary_evidence_time(loop->evidence, &before, 1, 1);

    assert_counts(view(loop).failing, 2, 0, 0);
    assert_int_equal(view(loop).failing.timed, 0);
    assert_int_equal(view(loop).spent, 0);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 2, 0, 0);
    assert_counts(view(loop).passing, 2, 0, 0);
    assert_int_equal(view(loop).spent, 0);
}


static void
the_tests_of_another_rollout_may_have_a_lower_number(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);

    loop->tests = 1;
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    end(loop, before, bad_5xx);
    assert_nothing(view(loop));
}


/* And then the process of one of them dies, sooner or later. */

static void
attempts_of_the_rollout_before_are_not_taken_out_of_this_one(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n, death;

    for (death = 1; death <= 2 * CANARY_COHORTS; death++) {

        for (n = 0; n < 5; n++) {
            (void) begin_in(loop, 1, CANARY);
        }

        loop->tests++;
        canary_evidence_begin(loop->evidence, loop->tests, loop->now);

        for (n = 1; n <= death; n++) {
            end(loop, begin_in(loop, 1, CANARY), good);
            pass(loop, 100);
        }

        canary_evidence_reap(loop->evidence, 1);

        assert_counts(view(loop).failing, death, 0, 0);
        assert_counts(view(loop).passing, death, 0, 0);
    }
}


static void
attempts_before_the_very_first_rollout_are_no_evidence(void **state)
{
    loop_t           loop;
    canary_ticket_t  before;

    (void) state;

    loop.evidence = new_evidence(1);
    loop.tests = TESTS;
    loop.now = BEGIN;

    before = begin(&loop);
    canary_evidence_begin(loop.evidence, loop.tests, loop.now);
    end(&loop, before, bad_5xx);

    assert_nothing(view(&loop));

    pass(&loop, 60000);

    assert_nothing(view(&loop));

    unit_free_evidence(loop.evidence);
}


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(new_tests_begin_with_no_evidence_but_the_budget),
        evidence_test(new_tests_begin_at_once),
        evidence_test(an_attempt_of_the_step_before_says_nothing_of_this_one),
        evidence_test(a_budget_counts_outcomes_of_cohorts_long_closed),
        evidence_test(a_body_of_the_step_before_counts_in_the_budget),
        evidence_test(
            overdue_attempts_of_the_step_before_do_not_hold_up_this_one),
        evidence_test(many_steps_at_one_moment_lose_nothing),

        evidence_test(
            attempts_that_began_before_a_rollout_are_no_evidence_for_it),
        evidence_test(the_tests_of_another_rollout_may_have_the_same_number),
        evidence_test(the_tests_of_another_rollout_may_have_a_lower_number),
        evidence_test(
            attempts_of_the_rollout_before_are_not_taken_out_of_this_one),
        cmocka_unit_test(
            attempts_before_the_very_first_rollout_are_no_evidence)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
