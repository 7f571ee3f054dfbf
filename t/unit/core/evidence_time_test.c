
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence: attempts whose time is none, though their ends are. */


#include "canary_rule.h"

#include "evidence.h"


#define LIMIT  200000       /* microseconds */


static int
setup_limit(void **state)
{
    loop_t           *loop;
    canary_limits_t   limits;

    (void) setup(state);
    loop = *state;

    memset(&limits, 0, sizeof(canary_limits_t));
    limits.limits[STABLE][0] = LIMIT;
    limits.limits[CANARY][0] = LIMIT;

    canary_evidence_limits(loop->evidence, 1, &limits);
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    return 0;
}


static canary_ticket_t
begin_timeless(loop_t *loop)
{
    canary_ticket_t  ticket;

    ticket = begin(loop);
    canary_evidence_no_time(loop->evidence, &ticket);

    return ticket;
}


/* what a rule about a quantile sees: slow attempts of all */

static void
assert_slow(canary_counts_t counts, uint64_t slow, uint64_t attempts)
{
    canary_measure_t  measure;

    static const canary_rule_t  p90 = { .kind = CANARY_RULE_LATENCY_P90_MAX };

    measure = canary_rule_measure(&p90, 0, &counts);

    assert_int_equal(measure.sum, slow);
    assert_int_equal(measure.attempts, attempts);
}


static const canary_finish_t  timeless = { .timeless = 1, .time = 900000 };
static const canary_finish_t  quick = { .timed = 1, .time = 1000 };
static const canary_finish_t  slow = { .timed = 1, .time = 900000 };


static void
its_end_counts_and_its_time_does_not(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;
    canary_finish_t   bad;

    bad = timeless;
    bad.bad_5xx = 1;

    attempts(loop, 3, quick);
    attempts(loop, 1, slow);
    end(loop, begin_timeless(loop), timeless);
    ticket = begin_timeless(loop);
    end(loop, ticket, bad);

    assert_counts(view(loop).failing, 6, 0, 1);
    assert_counts(view(loop).passing, 6, 0, 1);
    assert_slow(view(loop).failing, 1, 4);
    assert_slow(view(loop).passing, 1, 4);
    assert_int_equal(view(loop).failing.timed, 4);
}


static void
in_flight_it_is_never_slow(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    attempts(loop, 3, quick);
    ticket = begin_timeless(loop);
    (void) begin(loop);
    pass(loop, 500);

    assert_slow(view(loop).failing, 1, 4);
    assert_counts(view(loop).failing, 5, 0, 0);

    pass(loop, 5000);
    assert_slow(view(loop).failing, 1, 4);

    end(loop, ticket, timeless);
    assert_slow(view(loop).failing, 1, 4);
}


static void
nor_when_it_is_overdue_or_ends_after_that(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    attempts(loop, 3, quick);
    ticket = begin_timeless(loop);
    pass(loop, 12000);

    assert_slow(view(loop).failing, 0, 3);
    assert_counts(view(loop).failing, 4, 0, 0);
    assert_int_equal(view(loop).overdue, 1);

    end(loop, ticket, timeless);
    assert_slow(view(loop).failing, 0, 3);
    assert_int_equal(view(loop).overdue, 0);

    pass(loop, 5000);
    assert_slow(view(loop).failing, 0, 3);
    assert_counts(view(loop).failing, 4, 0, 0);
}


static void
that_of_no_evidence_leaves_nothing(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket, late;
    canary_finish_t   gone;

    gone = timeless;
    gone.voided = 1;

    attempts(loop, 3, quick);
    ticket = begin_timeless(loop);
    late = begin_timeless(loop);
    end(loop, ticket, gone);

    assert_slow(view(loop).failing, 0, 3);
    assert_counts(view(loop).failing, 4, 0, 0);

    pass(loop, 12000);
    end(loop, late, gone);

    assert_slow(view(loop).failing, 0, 3);
    assert_counts(view(loop).failing, 3, 0, 0);
}


static void
that_of_a_killed_worker_leaves_nothing(void **state)
{
    loop_t  *loop = *state;

    attempts(loop, 3, quick);
    (void) begin_timeless(loop);
    canary_evidence_reap(loop->evidence, 0);

    assert_slow(view(loop).failing, 0, 3);
    assert_counts(view(loop).failing, 3, 0, 0);

    pass(loop, 3000);
    end(loop, begin_timeless(loop), timeless);
    attempts(loop, 1, quick);

    assert_slow(view(loop).failing, 0, 4);
    assert_counts(view(loop).failing, 5, 0, 0);
}


static void
warm_up_begins_with_the_first_attempt_of_the_canary(void **state)
{
    loop_t             *loop = *state;
    canary_evidence_t  *evidence;

    evidence = loop->evidence;

    assert_false(canary_evidence_is_warming(evidence, STABLE, 3000, 5000));
    assert_true(canary_evidence_is_warming(evidence, CANARY, 3000, 6000));
    assert_true(canary_evidence_is_warming(evidence, STABLE, 3000, 8999));
    assert_true(canary_evidence_is_warming(evidence, CANARY, 3000, 8999));
    assert_false(canary_evidence_is_warming(evidence, STABLE, 3000, 9000));
    assert_false(canary_evidence_is_warming(evidence, CANARY, 3000, 9000));

    canary_evidence_begin(evidence, loop->tests + 1, loop->now);

    assert_false(canary_evidence_is_warming(evidence, STABLE, 3000, 9500));
    assert_true(canary_evidence_is_warming(evidence, CANARY, 3000, 9600));
    assert_true(canary_evidence_is_warming(evidence, STABLE, 3000, 9700));
}


#define time_test(name)                                                      \
    cmocka_unit_test_setup_teardown(name, setup_limit, teardown)


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        time_test(its_end_counts_and_its_time_does_not),
        time_test(in_flight_it_is_never_slow),
        time_test(nor_when_it_is_overdue_or_ends_after_that),
        time_test(that_of_no_evidence_leaves_nothing),
        time_test(that_of_a_killed_worker_leaves_nothing),
        time_test(warm_up_begins_with_the_first_attempt_of_the_canary)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
