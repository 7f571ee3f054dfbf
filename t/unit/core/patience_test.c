
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * How long an attempt may be in flight before a canary cannot pass by it:
 * patience, and what is in flight for longer than all that ended.
 */


#include "sim.h"


#define ERRORS  CANARY_RULE_ERROR_5XX_RATE


static sim_t *
sim_patient(canary_rule_t rule, uint64_t patience)
{
    sim_t              *sim;
    canary_strategy_t   strategy;

    sim = sim_one(rule);
    strategy = sim->rollout.strategy;
    strategy.patience = patience;

    sim_command(sim, (canary_command_t) { .verb = CANARY_PATCH,
                                          .strategy = &strategy });

    return sim;
}


/* An attempt of the canary each 100 ms, this share of which hangs. */

static void
some_hang(sim_t *sim, uint32_t percent, uint32_t ms, uint64_t for_ms)
{
    uint32_t  row;
    uint64_t  until;

    row = 0;

    for (until = sim->now + for_ms; sim->now < until; ) {
        row = (row + percent) % 100;

        sim_attempt(sim, CANARY, sim_good(ms),
                    (row < percent) ? SIM_NEVER : ms);
        sim_goes_on(sim, 100);
    }
}


/* Patience */


static void
all_cohorts_of_so_long_have_a_place(void **state)
{
    sim_t                   *sim;
    unsigned                 i;
    canary_tail_t            tail;
    canary_evidence_view_t   view;

    static const uint64_t  patience[] = {
        10000, 10001, 12345, 15000, 60000, 120000, 599999, 600000
    };

    (void) state;

    for (i = 0; i < sizeof(patience) / sizeof(uint64_t); i++) {
        sim = sim_patient(sim_default(ERRORS, 10 * PERCENT), patience[i]);

        /* until the oldest are about to be overdue, and beyond */

        some_hang(sim, 100, 0, patience[i] - 100);

        canary_evidence_tail(sim->evidence, sim->now, &tail);
        canary_evidence_view(sim->evidence, &tail, CANARY, &view);

        assert_int_equal(view.overdue, 0);
        assert_int_equal(view.passing.started, 0);
        assert_in_range(tail.n, 60, 118);

        some_hang(sim, 100, 0, patience[i] / 2);

        canary_evidence_tail(sim->evidence, sim->now, &tail);
        canary_evidence_view(sim->evidence, &tail, CANARY, &view);

        assert_in_range(tail.n, 60, 120);
        assert_true(view.overdue > view.failing.started / 5);
        assert_true(view.overdue < view.failing.started / 2);
        assert_int_equal(view.passing.started, view.passing.bad_5xx);

        sim_free(sim);
    }
}


static void
a_cohort_is_a_hundredth_of_patience_where_attempts_are_slow(void **state)
{
    sim_t            *sim;
    unsigned          i, n;
    uint64_t          began;
    canary_ticket_t   first, last;

    static const struct {
        uint64_t  patience;
        uint64_t  cohort;
    } cases[] = {
        { 10000, 100 }, { 20000, 200 }, { 60000, 600 }, { 600000, 6000 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sim = sim_patient(sim_default(ERRORS, 10 * PERCENT),
                          cases[i].patience);

        some_hang(sim, 100, 0, 5000);

        for (first = sim_begin(sim, CANARY), last = first;
             last.cohort == first.cohort;
             last = sim_begin(sim, CANARY))
        {
            sim_pass(sim, 50);
        }

        began = sim->now;
        first = last;

        do {
            sim_pass(sim, 50);
            last = sim_begin(sim, CANARY);
        } while (last.cohort == first.cohort);

        assert_int_equal(sim->now - began, cases[i].cohort);
        sim_free(sim);

        sim = sim_patient(sim_default(ERRORS, 10 * PERCENT),
                          cases[i].patience);

        for (n = 0; n < 10000; n++) {
            first = sim_begin(sim, CANARY);
            (void) sim_end(sim, first, sim_good(1));
            sim_pass(sim, 100);
            last = sim_begin(sim, CANARY);
            (void) sim_end(sim, last, sim_good(1));
            assert_int_equal(last.cohort - first.cohort, 1);
        }

        sim_free(sim);
    }
}


/*
 * A dead canary beside slow attempts: by the default rules it takes some
 * cohorts, by single attempts it is as quick as ever.
 */

static void
a_dead_canary_falls_the_later_the_more_patience_there_is(void **state)
{
    sim_t     *sim;
    unsigned   i, single;
    uint64_t   took, cohort;

    static const uint64_t  patience[] = { 10000, 60000, 600000 };

    (void) state;

    for (i = 0; i < 6; i++) {
        single = i % 2;
        cohort = patience[i / 2] / 100;

        sim = sim_patient(single ? sim_single(ERRORS, 10 * PERCENT)
                                 : sim_default(ERRORS, 10 * PERCENT),
                          patience[i / 2]);

        sim->traffic[STABLE] = (sim_traffic_t) { 10, 0, 1, 120000, 1 };
        sim_survives(sim, 60000);
        sim_advance(sim);

        sim->traffic[CANARY] = (sim_traffic_t) { 100, 1, 1, 1, 1 };
        took = sim_pass(sim, 60000);
        assert_true(sim->broken);

        if (single) {
            assert_in_range(took, 40, 150);

        } else {
            assert_in_range(took, cohort * 3, cohort * 7);
        }

        sim_free(sim);
    }
}


/* Where nothing is slow patience costs nothing. */

static void
a_dead_canary_falls_at_once_where_nothing_is_slow(void **state)
{
    sim_t     *sim;
    unsigned   i;

    static const uint64_t  patience[] = { 10000, 60000, 600000 };

    (void) state;

    for (i = 0; i < 3; i++) {
        sim = sim_patient(sim_default(ERRORS, 10 * PERCENT), patience[i]);
        sim->traffic[STABLE] = (sim_traffic_t) { 100, 0, 1, 1, 1 };
        sim->traffic[CANARY] = (sim_traffic_t) { 100, 0, 1, 1, 1 };
        sim_survives(sim, 600000);

        sim->traffic[CANARY].bad = 1;
        assert_in_range(sim_pass(sim, 60000), 300, 1500);
        assert_true(sim->broken);
        sim_free(sim);
    }
}


/* Also where it begins with a step, after a cohort of good attempts. */

static void
an_outage_of_both_is_seen_in_long_cohorts(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_patient(sim_plain(ERRORS, 30 * PERCENT, 20), 600000);
    sim->traffic[STABLE] = (sim_traffic_t) { 100, 0, 1, 1, 1 };
    sim->traffic[CANARY] = (sim_traffic_t) { 100, 0, 1, 1, 1 };
    some_hang(sim, 10, 1, 18000);
    sim_advance(sim);

    sim->traffic[STABLE].bad = 1;
    sim->traffic[CANARY].bad = 1;
    sim_survives(sim, 1000);
    assert_true(sim->holds > 0);
    sim_free(sim);
}


static void
slow_attempts_are_no_bad_ones_within_patience(void **state)
{
    sim_t          *sim;
    unsigned        i;
    canary_rule_t   rule;

    (void) state;

    for (i = 0; i < 2; i++) {
        rule = i ? sim_plain(ERRORS, 5 * PERCENT, 50)
                 : sim_default(ERRORS, 5 * PERCENT);

        sim = sim_patient(rule, 60000);
        sim->traffic[CANARY] = (sim_traffic_t) { 4, 0, 1, 20000, 1 };
        sim_survives(sim, 45000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_int_equal(sim->result.overdue, 0);
        sim_free(sim);

        sim = sim_one(rule);
        sim->traffic[CANARY] = (sim_traffic_t) { 4, 0, 1, 20000, 1 };
        sim_survives(sim, 45000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
        assert_in_range(sim->result.overdue, 35, 42);
        sim_free(sim);
    }
}


static void
a_mean_takes_overdue_attempts_to_be_as_long_as_patience(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_patient(sim_relative(CANARY_RULE_LATENCY_AVG_MAX, 1300000000),
                      60000);

    sim->traffic[STABLE] = (sim_traffic_t) { 10, 0, 1, 15000, 1 };
    some_hang(sim, 50, 15000, 90000);

    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    sim_free(sim);
}


static void
another_patience_begins_new_tests(void **state)
{
    sim_t              *sim;
    uint32_t            tests;
    canary_strategy_t   strategy;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));
    tests = sim->rollout.tests;
    strategy = sim->rollout.strategy;

    sim_command(sim, (canary_command_t) { .verb = CANARY_PATCH,
                                          .strategy = &strategy });
    assert_int_equal(sim->rollout.tests, tests);

    strategy.patience = 20000;
    sim_command(sim, (canary_command_t) { .verb = CANARY_PATCH,
                                          .strategy = &strategy });
    assert_int_equal(sim->rollout.tests, tests + 1);
    assert_int_equal(sim->evidence->patience, 20000);
    sim_free(sim);
}


/* In flight for longer than all that ended */


static void
what_is_longer_is_overdue_at_once(void **state)
{
    sim_t                   *sim;
    unsigned                 i;
    uint64_t                 overdue;
    canary_tail_t            tail;
    canary_ticket_t          ticket;
    canary_evidence_view_t   view;

    /* age of the cohort, and the longest time in microseconds */

    static const struct {
        uint64_t  age;
        uint64_t  longest;
        int       long_one;
    } cases[] = {
        { 999, 0, 0 },
        { 1000, 0, 1 },
        { 1000, 998999, 1 },
        { 1000, 999000, 0 },
        { 1001, 999999, 1 },
        { 5000, 4998999, 1 },
        { 5000, 4999000, 0 },
        { 9999, CANARY_NOT_KNOWN, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sim = sim_one(sim_default(ERRORS, 10 * PERCENT));

        (void) sim_begin(sim, CANARY);
        (void) sim_begin(sim, STABLE);
        sim_attempts(sim, CANARY, 3, sim_good(1));
        ticket = sim_begin(sim, CANARY);
        sim_end(sim, ticket, sim_bad(1));

        sim_pass(sim, 100);
        sim->now += cases[i].age;

        canary_evidence_tail(sim->evidence, sim->now, &tail);
        tail.longest = cases[i].longest;
        canary_evidence_view(sim->evidence, &tail, CANARY, &view);

        overdue = cases[i].long_one;

        assert_int_equal(view.overdue, overdue);
        assert_int_equal(view.pending, 0);
        assert_int_equal(view.passing.started, overdue ? 5 : 0);
        assert_int_equal(view.passing.bad_5xx, overdue ? 2 : 0);
        assert_int_equal(view.passing.bad, overdue ? 2 : 0);
        assert_int_equal(view.failing.started, 5);
        assert_int_equal(view.failing.bad_5xx, 1);

        canary_evidence_view(sim->evidence, &tail, STABLE, &view);
        assert_int_equal(view.overdue, 0);
        sim_free(sim);
    }
}


/* It is slow by every limit, once. */

static void
what_is_longer_is_too_slow(void **state)
{
    sim_t                   *sim;
    unsigned                 i;
    canary_tail_t            tail;
    canary_evidence_view_t   view;
    canary_rule_t            rules[2];

    (void) state;

    rules[0] = sim_default(CANARY_RULE_LATENCY_P90_MAX, 500000);
    rules[1] = sim_default(CANARY_RULE_LATENCY_P99_MAX, 30000000);

    sim = sim_new(rules, 2, 10);

    (void) sim_begin(sim, CANARY);
    sim_attempts(sim, CANARY, 3, sim_good(1));
    sim_pass(sim, 100);
    sim->now += 2000;

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    tail.longest = 1000;
    canary_evidence_view(sim->evidence, &tail, CANARY, &view);

    for (i = 0; i < 2; i++) {
        assert_int_equal(view.passing.slow[i], 1);
    }

    assert_int_equal(view.failing.slow[0], 1);
    assert_int_equal(view.failing.slow[1], 0);
    sim_free(sim);
}


/* Whatever share hangs that is above the limit, and in each mode. */

static void
a_canary_that_hangs_in_part_never_passes(void **state)
{
    sim_t     *sim;
    unsigned   rule, percent;

    const canary_rule_t  rules[] = {
        sim_default(ERRORS, 10 * PERCENT),
        sim_single(ERRORS, 10 * PERCENT),
        sim_plain(ERRORS, 10 * PERCENT, 50),
        sim_rule(ERRORS, 10 * PERCENT,
                 CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW,
                 (canary_rule_t) { .window = 20000 }),
        sim_relative(ERRORS, 10 * PERCENT),
        sim_default(CANARY_RULE_LATENCY_P90_MAX, 60000000),
        sim_relative(CANARY_RULE_LATENCY_P90_MAX, 1300000000),
        sim_default(CANARY_RULE_LATENCY_AVG_MAX, 1000000)
    };

    (void) state;

    for (rule = 0; rule < sizeof(rules) / sizeof(rules[0]); rule++) {
        for (percent = 20; percent <= 80; percent += 30) {

            sim = sim_one(rules[rule]);
            sim->traffic[STABLE] = (sim_traffic_t) { 50, 0, 1, 5, 1 };

            some_hang(sim, percent, 5, 2500);

            while (sim->now < SIM_BEGIN + 30000) {
                some_hang(sim, percent, 5, 500);

                if (sim_verdict(sim, 0) == CANARY_PASSING) {
                    fail_msg("rule %u passes after %u ms with %u %%", rule,
                             (unsigned) (sim->now - SIM_BEGIN), percent);
                }
            }

            assert_true(sim->result.overdue > 0);
            sim_free(sim);
        }
    }
}


/* As long as others took, and then no more. */

static void
one_that_is_as_long_as_others_is_not_bad(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));

    sim_attempt(sim, CANARY, sim_good(4000), 4000);
    sim->traffic[CANARY] = (sim_traffic_t) { 50, 0, 1, 5, 1 };
    sim_survives(sim, 2000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim->result.overdue, 1);

    sim_survives(sim, 2500);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim->result.overdue, 0);

    sim_attempt(sim, CANARY, sim_good(4000), SIM_NEVER);
    sim_survives(sim, 3950);
    sim_judge(sim);
    assert_int_equal(sim->result.overdue, 0);

    sim_survives(sim, 400);
    sim_judge(sim);
    assert_int_equal(sim->result.overdue, 1);
    sim_free(sim);
}


/* A histogram ends somewhere: what is in its last bucket may be longer. */

static void
times_beyond_the_histogram_are_not_known(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_patient(sim_default(ERRORS, 10 * PERCENT), 600000);

    sim_attempt(sim, CANARY, sim_good(140000), 140000);
    sim_survives(sim, 100000);
    sim_judge(sim);
    assert_int_equal(sim->result.overdue, 1);

    sim_attempt(sim, CANARY, sim_good(140000), SIM_NEVER);
    sim_survives(sim, 200000);
    sim_judge(sim);
    assert_int_equal(sim->result.overdue, 0);
    sim_free(sim);
}


static void
one_whose_time_is_none_is_not_compared_with_others(void **state)
{
    sim_t                   *sim;
    unsigned                 i;
    canary_tail_t            tail;
    canary_ticket_t          upload;
    canary_evidence_view_t   view;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));

    for (i = 0; i < 50; i++) {
        sim_attempt(sim, CANARY, sim_good(10), 10);

        upload = sim_begin(sim, CANARY);
        canary_evidence_no_time(sim->evidence, &upload);

        sim_goes_on(sim, 100);
    }

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    tail.longest = 20000;
    canary_evidence_view(sim->evidence, &tail, CANARY, &view);
    assert_int_equal(view.overdue, 0);

    sim_attempt(sim, CANARY, sim_good(10), SIM_NEVER);
    sim_goes_on(sim, 100);
    sim_attempt(sim, CANARY, sim_good(10), SIM_NEVER);
    sim_goes_on(sim, 2000);

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    tail.longest = 20000;
    canary_evidence_view(sim->evidence, &tail, CANARY, &view);
    assert_int_equal(view.overdue, 2);

    sim_free(sim);
}


/* A step that is due may be waiting for the disk meanwhile. */

static void
at_100_percent_a_comparison_keeps_what_it_was_before_one_hung(void **state)
{
    sim_t          *sim;
    canary_rule_t   rule;

    (void) state;

    rule = sim_relative(ERRORS, PERCENT);

    sim = sim_new(&rule, 1, 50);
    sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .good_ms = 20 };
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 10, .good_ms = 20 };

    sim_survives(sim, 8000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

    sim_attempt(sim, CANARY, sim_good(1), SIM_NEVER);
    sim_attempt(sim, CANARY, sim_good(1), SIM_NEVER);
    sim_survives(sim, 3000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim->traffic[STABLE].rate = 0;
    sim_advance(sim);
    assert_int_equal(sim->rollout.weight, CANARY_ONE);

    sim_survives(sim, 5000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

    sim_free(sim);
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cohorts_of_so_long_have_a_place),
        cmocka_unit_test(
            a_cohort_is_a_hundredth_of_patience_where_attempts_are_slow),
        cmocka_unit_test(
            a_dead_canary_falls_the_later_the_more_patience_there_is),
        cmocka_unit_test(a_dead_canary_falls_at_once_where_nothing_is_slow),
        cmocka_unit_test(an_outage_of_both_is_seen_in_long_cohorts),
        cmocka_unit_test(slow_attempts_are_no_bad_ones_within_patience),
        cmocka_unit_test(
            a_mean_takes_overdue_attempts_to_be_as_long_as_patience),
        cmocka_unit_test(another_patience_begins_new_tests),

        cmocka_unit_test(what_is_longer_is_overdue_at_once),
        cmocka_unit_test(what_is_longer_is_too_slow),
        cmocka_unit_test(a_canary_that_hangs_in_part_never_passes),
        cmocka_unit_test(one_that_is_as_long_as_others_is_not_bad),
        cmocka_unit_test(times_beyond_the_histogram_are_not_known),
        cmocka_unit_test(one_whose_time_is_none_is_not_compared_with_others),
        cmocka_unit_test(
            at_100_percent_a_comparison_keeps_what_it_was_before_one_hung)
    };

    return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
