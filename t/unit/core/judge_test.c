
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Rules on trial: when a canary is condemned, when it passes, and that it is
 * neither by what is in flight, came late or harmed stable as well.
 */


#include <math.h>

#include "sim.h"


#define ERRORS  CANARY_RULE_ERROR_5XX_RATE

#define MINUTE  60000


/* A dead canary */


static void
a_dead_canary_fails_at_its_4th_attempt(void **state)
{
    int              n;
    sim_t           *sim;
    canary_ticket_t  ticket;

    (void) state;

    /* before the first tick as well as after it */

    for (n = 0; n < 2; n++) {
        sim = sim_one(sim_single(ERRORS, 10 * PERCENT));

        if (n) {
            sim_pass(sim, 1000);
        }

        for (ticket = sim_begin(sim, CANARY);
             !sim_end(sim, ticket, sim_bad(1));
             ticket = sim_begin(sim, CANARY))
        {
            assert_int_not_equal(sim_verdict(sim, 0), CANARY_FAILING);
        }

        assert_int_equal(sim->bad, 4);
        assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
        assert_int_equal(sim->result.rules[0].bad, 4);
        assert_int_equal(sim->result.rules[0].attempts, 4);
        sim_free(sim);
    }
}


/* Nobody has judged since the rollout began. */

static void
the_fuse_lets_the_4th_bad_attempt_trip_and_none_before(void **state)
{
    int    n;
    sim_t *sim;

    (void) state;

    sim = sim_one(sim_single(ERRORS, 10 * PERCENT));

    for (n = 1; n <= 3; n++) {
        assert_false(sim_end(sim, sim_begin(sim, CANARY), sim_bad(1)));
    }

    assert_true(sim_end(sim, sim_begin(sim, CANARY), sim_bad(1)));
    sim_free(sim);
}


static void
each_class_has_its_fuse(void **state)
{
    size_t           i;
    sim_t           *sim;
    canary_finish_t  finish;

    static const struct {
        canary_rule_kind_t  kind;
        unsigned            bad_4xx;
        int                 trips;
    } tests[] = {
        { CANARY_RULE_ERROR_4XX_RATE, 1, 1 },
        { CANARY_RULE_ERROR_4XX_RATE, 0, 0 },
        { CANARY_RULE_ERROR_5XX_RATE, 1, 0 },
        { CANARY_RULE_ERROR_5XX_RATE, 0, 1 },
        { CANARY_RULE_ERROR_RATE, 1, 1 },
        { CANARY_RULE_ERROR_RATE, 0, 1 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = sim_one(sim_single(tests[i].kind, 10 * PERCENT));

        finish = (canary_finish_t) { .bad_4xx = tests[i].bad_4xx,
                                     .bad_5xx = !tests[i].bad_4xx };

        sim_attempts(sim, CANARY, 20, finish);

        assert_int_equal(sim->tripped != 0, tests[i].trips);
        assert_int_equal(sim_verdict(sim, 0) == CANARY_FAILING,
                         tests[i].trips);
        sim_free(sim);
    }
}


/* 3 of 3 would prove that more than 0.1 % are bad, 2 of 2 as well. */

static void
at_least_3_are_bad_before_anyone_is_condemned(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_single(ERRORS, PERCENT / 10));

    sim_attempts(sim, CANARY, 2, sim_bad(1));
    assert_int_equal(sim->tripped, 0);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim_attempts(sim, CANARY, 1, sim_bad(1));
    assert_int_equal(sim->tripped, 1);
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);

    sim_free(sim);
}


static void
min_requests_are_those_of_the_step(void **state)
{
    sim_t          *sim;
    canary_rule_t   rule;

    (void) state;

    rule = sim_single(ERRORS, 10 * PERCENT);
    rule.min_requests = 20;

    sim = sim_one(rule);

    sim_attempts(sim, CANARY, 19, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim_advance(sim);
    sim_attempts(sim, CANARY, 19, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim_attempts(sim, CANARY, 1, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);

    sim_free(sim);
}


static void
a_dead_canary_falls_within_half_a_second(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .bad = 1,
                                             .bad_ms = 5 };

    assert_in_range(sim_pass(sim, MINUTE), 1, 500);
    assert_true(sim->broken);
    sim_free(sim);
}


/* 10 and 30 minutes. */

static void
it_is_no_less_quick_after_healthy_minutes(void **state)
{
    sim_t         *sim;
    uint32_t       minutes;
    canary_rule_t  rules[2];

    (void) state;

    for (minutes = 10; minutes <= 30; minutes += 20) {

        sim = sim_one(sim_single(ERRORS, 10 * PERCENT));
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 5 };

        sim_survives(sim, minutes * MINUTE);
        sim_attempts(sim, CANARY, 8, sim_bad(5));
        assert_int_not_equal(sim_verdict(sim, 0), CANARY_FAILING);

        sim_attempts(sim, CANARY, 4, sim_bad(5));
        assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
        assert_true(sim->tripped > 0);
        sim_free(sim);

        /* whether or not another rule stands beside it */

        rules[0] = sim_default(ERRORS, 10 * PERCENT);
        rules[1] = sim_default(CANARY_RULE_LATENCY_P90_MAX, 100000);

        sim = sim_new(rules, 2, 10);
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 5,
                                                 .bad_ms = 5 };
        sim_survives(sim, minutes * MINUTE);
        sim->traffic[CANARY].bad = 1;

        assert_in_range(sim_pass(sim, MINUTE), 1, 1100);
        sim_free(sim);
    }
}


static void
a_healthy_canary_is_not_condemned(void **state)
{
    size_t          i;
    sim_t          *sim;
    canary_rule_t   rules[2];

    static const double  shares[] = { 0, 0.05, 0.09 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(shares); i++) {
        rules[0] = sim_default(ERRORS, 10 * PERCENT);
        rules[1] = sim_single(ERRORS, 10 * PERCENT);

        sim = sim_new(rules, 2, 10);
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 200, .good_ms = 20,
                                                 .bad = shares[i],
                                                 .bad_ms = 3 };
        sim_survives(sim, 20 * MINUTE);
        sim_free(sim);
    }
}


/* A client that tries three times what always fails. */

static void
bad_attempts_in_threes_are_no_more_than_what_they_are(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .bad = 0.05,
                                             .bad_in = 3 };
    sim_survives(sim, 30 * MINUTE);
    sim_free(sim);
}


/* Bursts */


static void
what_comes_at_once_is_one_observation_when_it_is_complete(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));

    sim_attempts(sim, CANARY, 1000, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    /* not even four times 50 ms are four */

    sim_survives(sim, 100);
    sim_attempts(sim, CANARY, 1000, sim_bad(1));
    sim_survives(sim, 100);
    sim_attempts(sim, CANARY, 1000, sim_bad(1));
    sim_survives(sim, 100);
    sim_attempts(sim, CANARY, 1000, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    assert_in_range(sim_pass(sim, 100), 1, 100);
    assert_true(sim->broken);
    sim_free(sim);
}


/* 300 ms: as three times as many of 100. */

static void
a_longer_burst_merges_cohorts(void **state)
{
    sim_t          *sim;
    uint64_t        ms;
    canary_rule_t   rule;

    (void) state;

    rule = sim_default(ERRORS, 10 * PERCENT);
    rule.burst = 300;

    sim = sim_one(rule);
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 1000, .bad = 1,
                                             .bad_ms = 1 };

    ms = sim_pass(sim, MINUTE);
    assert_true(sim->broken);
    assert_in_range(ms, 4 * 300, 4 * 300 + 200);
    sim_free(sim);

    /* a second that is bad as a whole is three of them, four are needed */

    sim = sim_one(rule);
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 1000, .bad = 1,
                                             .bad_ms = 1, .good_ms = 1 };
    sim_survives(sim, 800);
    sim->traffic[CANARY].bad = 0;
    sim_survives(sim, MINUTE);
    sim_free(sim);
}


/* In flight */


static void
quick_errors_do_not_condemn_slow_successes(void **state)
{
    sim_t         *sim;
    canary_rule_t  rules[2];

    (void) state;

    rules[0] = sim_default(ERRORS, 10 * PERCENT);
    rules[1] = sim_single(ERRORS, 10 * PERCENT);

    sim = sim_new(rules, 2, 10);
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 200, .bad = 0.02,
                                             .good_ms = 2000, .bad_ms = 5 };
    sim_survives(sim, 10 * MINUTE);
    sim_free(sim);
}


static void
a_hung_canary_is_too_slow_at_the_limit_of_a_latency_rule(void **state)
{
    sim_t   *sim;
    uint64_t ms;

    (void) state;

    sim = sim_one(sim_default(CANARY_RULE_LATENCY_P90_MAX, 250000));
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100,
                                             .good_ms = 200000 };

    ms = sim_pass(sim, MINUTE);
    assert_true(sim->broken);
    assert_in_range(ms, 250, 250 + 800);
    sim_free(sim);

    /* by single attempts */

    sim = sim_one(sim_single(CANARY_RULE_LATENCY_P90_MAX, 250000));
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100,
                                             .good_ms = 200000 };

    ms = sim_pass(sim, MINUTE);
    assert_true(sim->broken);
    assert_in_range(ms, 250, 250 + 300);
    sim_free(sim);
}


/* Whatever the rule, with or without statistics. */

static void
a_hung_canary_never_passes(void **state)
{
    size_t  i;
    sim_t  *sim;

    canary_rule_t  rules[] = {
        sim_default(ERRORS, 10 * PERCENT),
        sim_plain(ERRORS, 10 * PERCENT, 1),
        sim_default(CANARY_RULE_LATENCY_P90_MAX, 60000000),
        sim_default(CANARY_RULE_LATENCY_AVG_MAX, 60000000),
        sim_relative(ERRORS, 10 * PERCENT),
        sim_relative(CANARY_RULE_LATENCY_P90_MAX, 2000000000),
        sim_relative(CANARY_RULE_LATENCY_AVG_MAX, 2000000000),
        sim_rule(ERRORS, 10 * PERCENT,
                 CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW,
                 (canary_rule_t) { .window = 2000 }),
        sim_rule(ERRORS, 10 * PERCENT,
                 CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW,
                 (canary_rule_t) { .window = 20000 }),
        sim_rule(CANARY_RULE_LATENCY_P90_MAX, 2000000000,
                 CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_BASELINE,
                 (canary_rule_t) { .baseline = 1 })
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_one(rules[i]);
        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .good_ms = 20 };
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100,
                                                 .good_ms = 200000 };

        while (sim->now < SIM_BEGIN + 30000 && !sim->broken) {
            sim_pass(sim, 50);

            if (sim_verdict(sim, 0) == CANARY_PASSING) {
                fail_msg("rule %u passes after %u ms", (unsigned) i,
                         (unsigned) (sim->now - SIM_BEGIN));
            }
        }

        sim_free(sim);
    }
}


/* Clients wait for a second; the module says that they gave up. */

static void
clients_that_give_up_do_not_make_it_look_good(void **state)
{
    sim_t            *sim;
    uint32_t          n;
    canary_finish_t   finish;

    (void) state;

    finish = (canary_finish_t) { .voided = 1, .gave_up = 1, .timed = 1,
                                 .time = 1000000 };

    sim = sim_one(sim_default(CANARY_RULE_LATENCY_P90_MAX, 250000));

    for (n = 0; n < 300 && !sim->broken; n++) {
        sim_attempt(sim, CANARY, finish, 1000);
        sim_pass(sim, 10);
        assert_int_not_equal(sim_verdict(sim, 0), CANARY_PASSING);
    }

    assert_true(sim->broken);
    sim_free(sim);

    /* nor when it has answered half of them in time */

    sim = sim_one(sim_default(CANARY_RULE_LATENCY_P90_MAX, 250000));

    for (n = 0; n < 1000 && !sim->broken; n++) {
        sim_attempt(sim, CANARY, finish, 1000);
        sim_attempt(sim, CANARY, sim_good(20), 20);
        sim_pass(sim, 10);
        assert_int_not_equal(sim_verdict(sim, 0), CANARY_PASSING);
    }

    assert_true(sim->broken);
    sim_free(sim);
}


/* Long after its cohort: in the budget, and in the tests. */

static void
a_hang_of_90_s_counts_when_it_ends(void **state)
{
    sim_t          *sim;
    uint32_t        n;
    canary_rule_t   rules[2];

    (void) state;

    rules[0] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 100);
    rules[1] = sim_single(ERRORS, 10 * PERCENT);

    sim = sim_new(rules, 2, 10);

    for (n = 0; n < 30; n++) {
        sim_attempt(sim, CANARY, sim_bad(90000), 90000);
    }

    sim_survives(sim, 89990);
    sim_judge(sim);
    assert_true(sim->result.rules[0].value == 0);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_UNDECIDED);

    sim_pass(sim, 20);
    sim_judge(sim);
    assert_true(sim->result.rules[0].value == 30);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_PASSING);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_FAILING);

    /* it was the fuse that said so */

    assert_true(sim->tripped > 0);
    sim_free(sim);
}


/* Overdue for 10 s; a limit may be shorter than that, or longer. */

static void
overdue_attempts_and_limits_below_and_above_10_s(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint32_t  n;

    static const struct {
        uint64_t  limit;       /* ms */
        uint32_t  time;
        int       slow;
    } tests[] = {
        { 5000, 4999, 0 },
        { 5000, 5001, 1 },
        { 5000, 20000, 1 },
        { 10000, 10001, 1 },
        { 30000, 9000, 0 },
        { 30000, 29000, 0 },
        { 30000, 31000, 1 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = sim_one(sim_single(CANARY_RULE_LATENCY_P50_MAX,
                                 tests[i].limit * 1000));

        for (n = 0; n < 100; n++) {
            sim_attempt(sim, CANARY, sim_good(tests[i].time), tests[i].time);
        }

        sim_goes_on(sim, 60000);
        sim_judge(sim);

        assert_int_equal(sim->result.rules[0].bad, tests[i].slow ? 100 : 0);
        assert_int_equal(sim->result.rules[0].attempts, 100);
        assert_int_equal(sim->result.rules[0].verdict,
                         tests[i].slow ? CANARY_FAILING : CANARY_PASSING);
        sim_free(sim);
    }
}


/*
 * canary_latency response: a header counts at once, the time comes with the
 * end of the body, or is none.
 */

static void
a_time_that_comes_with_the_end_of_the_body(void **state)
{
    sim_t            *sim;
    uint32_t          n;
    canary_rule_t     rules[3];
    canary_ticket_t   tickets[200];

    static const canary_finish_t  header = { .untimed = 1 };

    (void) state;

    rules[0] = sim_default(CANARY_RULE_LATENCY_P50_MAX, 1000000);
    rules[1] = sim_plain(CANARY_RULE_LATENCY_AVG_MAX, 1000000, 50);
    rules[2] = sim_default(ERRORS, 50 * PERCENT);

    sim = sim_new(rules, 3, 10);

    for (n = 0; n < 200; n++) {
        tickets[n] = sim_begin(sim, CANARY);
        canary_evidence_finish(sim->evidence, &tickets[n], &header);
    }

    sim_pass(sim, 200);

    /* answered, but not yet known to be quick */

    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_UNDECIDED);

    /* 100 complete; 60 incomplete after 500 ms; 40 cut short, and bad */

    for (n = 0; n < 200; n++) {
        canary_evidence_time(sim->evidence, &tickets[n], 500000, n < 100);

        if (n >= 160) {
            canary_evidence_cut(sim->evidence, &tickets[n], 2);
        }
    }

    sim_pass(sim, 200);
    sim_judge(sim);

    assert_int_equal(sim->result.rules[0].verdict, CANARY_PASSING);
    assert_int_equal(sim->result.rules[0].bad, 0);
    assert_int_equal(sim->result.rules[0].attempts, 200);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_PASSING);
    assert_int_equal(sim->result.rules[1].attempts, 100);
    assert_int_equal(sim->result.rules[2].bad, 40);
    assert_int_equal(sim->result.rules[2].attempts, 200);

    sim_free(sim);
}


static void
a_body_that_does_not_end_is_too_slow(void **state)
{
    sim_t            *sim;
    uint32_t          n;
    canary_rule_t     rules[2];
    canary_ticket_t   tickets[100];

    static const canary_finish_t  header = { .untimed = 1 };

    (void) state;

    rules[0] = sim_default(CANARY_RULE_LATENCY_P50_MAX, 30000000);
    rules[1] = sim_plain(CANARY_RULE_LATENCY_AVG_MAX, 30000000, 1);

    sim = sim_new(rules, 2, 10);

    for (n = 0; n < 100; n++) {
        tickets[n] = sim_begin(sim, CANARY);
        canary_evidence_finish(sim->evidence, &tickets[n], &header);
    }

    sim_survives(sim, 15000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_int_equal(sim_verdict(sim, 1), CANARY_UNDECIDED);

    /* in time after all */

    for (n = 0; n < 100; n++) {
        canary_evidence_time(sim->evidence, &tickets[n], 15000000, 1);
    }

    sim_survives(sim, 100);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim_verdict(sim, 1), CANARY_PASSING);
    sim_free(sim);
}


/* Steps and tests */


static void
figures_are_of_the_step_and_tests_go_on(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_single(ERRORS, 10 * PERCENT));

    sim_attempts(sim, CANARY, 3, sim_bad(1));
    sim_advance(sim);

    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 0);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_UNDECIDED);

    sim_attempts(sim, CANARY, 1, sim_bad(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 1);
    assert_int_equal(sim->result.rules[0].bad, 1);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_FAILING);

    sim_free(sim);
}


/*
 * Whatever comes: what is shown to be proved is what the verdict says.  The
 * tests know more than the figures of the step that bounds are made of.
 */

static void
bounds_agree_with_the_verdict(void **state)
{
    sim_t                *sim;
    double                limits[3] = { 0.1, 20000, 0.02 };
    unsigned              n, i, seen[3][3];
    canary_rule_t         rules[3];
    canary_judgement_t   *judgement;

    (void) state;

    memset(seen, 0, sizeof(seen));

    for (n = 0; n < 60; n++) {
        rules[0] = sim_single(ERRORS, 10 * PERCENT);
        rules[1] = sim_default(CANARY_RULE_LATENCY_P90_MAX, 20000);
        rules[2] = sim_single(CANARY_RULE_ERROR_4XX_RATE, 2 * PERCENT);

        sim = sim_new(rules, 3, 10);

        for (i = 0; i < 3000; i++) {
            sim_attempts(sim, CANARY, 1, (canary_finish_t) {
                .timed = 1,
                .time = 10000 + unit_below(&sim->seed, 400 * n + 1),
                .bad_5xx = unit_below(&sim->seed, 1000) < 5 * n,
                .bad_4xx = unit_below(&sim->seed, 1000) < n });

            /* a step is not all that a proof is made of */

            if (i == 1500 && n % 3 == 0) {
                sim_advance(sim);
            }

            if (i % 100) {
                continue;
            }

            sim->now += 100;
            (void) sim_tick(sim);
            sim_judge(sim);
            judgement = sim->result.rules;

            for (unsigned k = 0; k < 3; k++, judgement++) {
                seen[k][judgement->verdict]++;

                assert_true(judgement->verdict == CANARY_FAILING
                            ? judgement->low >= limits[k]
                            : judgement->low <= limits[k]);

                assert_true(judgement->verdict == CANARY_PASSING
                            ? judgement->high <= limits[k]
                            : !(judgement->high < limits[k]));
            }
        }

        sim_free(sim);
    }

    for (i = 0; i < 3; i++) {
        assert_true(seen[i][CANARY_UNDECIDED] && seen[i][CANARY_PASSING]
                    && seen[i][CANARY_FAILING]);
    }
}


/* No number of good attempts proves that there is never a bad one. */

static void
what_passes_without_proof_has_no_bound(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_single(ERRORS, 0));
    sim_attempts(sim, CANARY, 100, sim_good(1));

    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_true(sim->result.rules[0].low == 0);
    assert_true(isnan(sim->result.rules[0].high));

    sim_free(sim);
}


static void
new_tests_forget(void **state)
{
    sim_t          *sim;
    canary_rule_t   rules[2];

    (void) state;

    rules[0] = sim_single(ERRORS, 10 * PERCENT);
    rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 5);

    sim = sim_new(rules, 2, 10);

    sim_attempts(sim, CANARY, 3, sim_bad(1));

    rules[0].threshold++;
    sim_patch(sim, rules, 2);

    sim_attempts(sim, CANARY, 2, sim_bad(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[0].attempts, 2);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_PASSING);

    /* but for the budget */

    sim_attempts(sim, CANARY, 1, sim_bad(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[1].verdict, CANARY_FAILING);

    sim_free(sim);
}


/* Of an earlier step for tests and the budget, of earlier tests for that. */

static void
outcomes_that_come_after_their_step(void **state)
{
    int               n, patched;
    sim_t            *sim;
    canary_rule_t     rules[2];
    canary_ticket_t   tickets[30];

    (void) state;

    for (patched = 0; patched < 2; patched++) {
        rules[0] = sim_single(ERRORS, 10 * PERCENT);
        rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 3);

        sim = sim_new(rules, 2, 10);

        for (n = 0; n < 30; n++) {
            tickets[n] = sim_begin(sim, CANARY);
        }

        sim_pass(sim, 20000);

        if (patched) {
            rules[0].threshold--;
            sim_patch(sim, rules, 2);

        } else {
            sim_advance(sim);
        }

        sim_pass(sim, 20000);

        for (n = 0; n < 30; n++) {
            (void) sim_end(sim, tickets[n], sim_bad(40000));
        }

        (void) sim_begin(sim, CANARY);
        sim_judge(sim);

        assert_int_equal(sim->result.rules[0].attempts, 1);
        assert_int_equal(sim->result.rules[0].bad, 0);
        assert_int_equal(sim->result.rules[0].verdict,
                         patched ? CANARY_UNDECIDED : CANARY_FAILING);
        assert_int_equal(sim->result.rules[1].verdict, CANARY_FAILING);

        sim_free(sim);
    }
}


/* Promotion */


static void
an_error_free_canary_passes_after_so_many_attempts(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint32_t  n;

    static const struct {
        uint64_t  threshold;
        uint32_t  attempts;
    } tests[] = {
        { 50 * PERCENT, 6 },
        { 20 * PERCENT, 18 },
        { 10 * PERCENT, 37 },
        { 5 * PERCENT, 76 },
        { PERCENT, 385 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = sim_one(sim_default(ERRORS, tests[i].threshold));

        for (n = 0; n < tests[i].attempts; n++) {
            assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
            assert_int_equal(sim->result.rules[0].needed,
                             tests[i].attempts - n);
            sim_attempts(sim, CANARY, 1, sim_good(1));
        }

        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_int_equal(sim->result.rules[0].needed, 0);
        assert_int_equal(sim->result.verdict, CANARY_PASSING);

        /* in each step anew */

        sim_advance(sim);
        assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
        assert_int_equal(sim->result.rules[0].needed, tests[i].attempts);

        sim_free(sim);
    }
}


/* None may be bad: that can't be proven, only so many attempts be waited. */

static void
with_a_threshold_of_0_so_many_good_attempts_pass(void **state)
{
    sim_t         *sim;
    canary_rule_t  rule;

    (void) state;

    rule = sim_default(ERRORS, 0);
    sim = sim_one(rule);

    sim_attempts(sim, CANARY, CANARY_MIN_REQUESTS_PLAIN - 1, sim_good(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[0].needed, 1);

    sim_attempts(sim, CANARY, 1, sim_good(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim->result.rules[0].needed, 0);

    sim_attempts(sim, CANARY, 1, sim_bad(1));
    sim_pass(sim, 200);
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
    sim_free(sim);

    rule.min_requests = 70;
    sim = sim_one(rule);

    sim_attempts(sim, CANARY, 60, sim_good(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[0].needed, 10);

    sim_attempts(sim, CANARY, 10, sim_good(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

    /* what hangs is not known to be good */

    sim_attempt(sim, CANARY, sim_good(1), SIM_NEVER);
    sim_survives(sim, 11000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    sim_free(sim);
}


/* Comparisons, averages and budgets: 50 attempts, and within the limit. */

static void
other_rules_let_a_healthy_canary_pass_after_50_attempts(void **state)
{
    size_t  i;
    sim_t  *sim;

    canary_rule_t  rules[] = {
        sim_relative(ERRORS, PERCENT),
        sim_relative(CANARY_RULE_ERROR_4XX_RATE, PERCENT),
        sim_relative(CANARY_RULE_ERROR_RATE, PERCENT),
        sim_relative(CANARY_RULE_LATENCY_P90_MAX, 1300000000),
        sim_relative(CANARY_RULE_LATENCY_AVG_MAX, 1300000000),
        sim_default(CANARY_RULE_LATENCY_AVG_MAX, 30000)
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_one(rules[i]);

        sim_attempts(sim, STABLE, 100, sim_good(20));
        sim_attempts(sim, CANARY, 49, sim_good(20));

        assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
        assert_int_equal(sim->result.rules[0].needed, 1);

        sim_attempts(sim, CANARY, 1, sim_good(20));
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        sim_free(sim);
    }

    sim = sim_one(sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 2));
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    sim_attempts(sim, CANARY, 2, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    sim_attempts(sim, CANARY, 1, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
    assert_int_equal(sim->tripped, 3);
    sim_free(sim);
}


/* Comparisons with stable */


static void
a_comparison_needs_something_to_compare_with(void **state)
{
    size_t  i;
    sim_t  *sim;

    canary_rule_t  rules[] = {
        sim_relative(ERRORS, PERCENT),
        sim_relative(CANARY_RULE_LATENCY_P90_MAX, 1300000000),
        sim_relative(CANARY_RULE_LATENCY_AVG_MAX, 1300000000)
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_one(rules[i]);
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 20,
                                                 .bad_ms = 5 };
        sim_survives(sim, 5000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

        /* stable fails at once: of how quick it is nothing is known */

        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .bad = 1,
                                                 .bad_ms = 1 };
        sim_survives(sim, 5000);
        assert_int_equal(sim_verdict(sim, 0),
                         (rules[i].kind == ERRORS) ? CANARY_PASSING
                                                   : CANARY_UNDECIDED);
        sim_free(sim);
    }
}


static void
errors_are_compared_with_those_of_stable(void **state)
{
    sim_t  *sim;

    (void) state;

    /* 2 % of stable's, 12 % of the canary's */

    sim = sim_one(sim_relative(ERRORS, PERCENT));
    sim->traffic[STABLE] = (sim_traffic_t) { .rate = 900, .bad = 0.02 };
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .bad = 0.12 };

    assert_in_range(sim_pass(sim, MINUTE), 100, 30000);
    assert_true(sim->broken);
    sim_free(sim);

    /* both alike, and all of both */

    sim = sim_one(sim_relative(ERRORS, PERCENT));
    sim->traffic[STABLE] = (sim_traffic_t) { .rate = 900, .bad = 0.02 };
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .bad = 0.02 };
    sim_survives(sim, 5 * MINUTE);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

    sim->traffic[STABLE].bad = 1;
    sim->traffic[CANARY].bad = 1;
    sim_survives(sim, 10000);

    sim->traffic[STABLE].bad = 0.02;
    sim->traffic[CANARY].bad = 0.02;
    sim_survives(sim, 5 * MINUTE);
    assert_int_equal(sim->holds, 0);
    sim_free(sim);
}


static void
latencies_are_compared_with_those_of_stable(void **state)
{
    size_t  i;
    sim_t  *sim;

    static const canary_rule_kind_t  kinds[] = {
        CANARY_RULE_LATENCY_P50_MAX, CANARY_RULE_LATENCY_P90_MAX,
        CANARY_RULE_LATENCY_AVG_MAX
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(kinds); i++) {
        sim = sim_one(sim_relative(kinds[i], 1300000000));

        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 200, .good_ms = 50 };
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 50, .good_ms = 50 };

        sim_survives(sim, MINUTE);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_true(fabs(sim->result.rules[0].value - 1) < 0.04);

        /* both become slower */

        sim->traffic[STABLE].good_ms = 200;
        sim->traffic[CANARY].good_ms = 200;
        sim_survives(sim, MINUTE);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

        /* the canary twice as much */

        sim->traffic[CANARY].good_ms = 400;
        sim_pass(sim, 20000);
        assert_true(sim->broken);
        assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
        sim_free(sim);
    }
}


static void
at_100_percent_a_comparison_keeps_its_last_verdict(void **state)
{
    sim_t         *sim;
    canary_rule_t  rules[2];

    (void) state;

    rules[0] = sim_relative(ERRORS, PERCENT);
    rules[1] = sim_relative(CANARY_RULE_LATENCY_P90_MAX, 1300000000);

    sim = sim_new(rules, 2, 50);
    sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .good_ms = 20 };
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 20 };

    sim_survives(sim, 5000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim_verdict(sim, 1), CANARY_PASSING);

    sim->traffic[STABLE].rate = 0;
    sim_advance(sim);
    assert_int_equal(sim->rollout.weight, CANARY_ONE);

    for ( ; sim->now < SIM_BEGIN + 2 * MINUTE; sim_survives(sim, 500)) {
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_int_equal(sim_verdict(sim, 1), CANARY_PASSING);
        assert_int_equal(sim->result.rules[0].needed, 0);
    }

    sim_free(sim);
}


/* Averages */


static void
an_average_is_tested_by_all_of_its_times(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(CANARY_RULE_LATENCY_AVG_MAX, 100000));
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 90 };

    sim_survives(sim, 10 * MINUTE);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_true(fabs(sim->result.rules[0].value - 90000) < 1);

    sim->traffic[CANARY].good_ms = 200;
    assert_in_range(sim_pass(sim, MINUTE), 200, 10000);
    assert_true(sim->broken);
    sim_free(sim);
}


static void
with_fewer_than_min_requests_an_average_condemns_nobody(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(sim_default(CANARY_RULE_LATENCY_AVG_MAX, 100000));

    sim_attempts(sim, CANARY, 49, sim_good(10000));
    sim_survives(sim, 1000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim_attempts(sim, CANARY, 1, sim_good(10000));
    sim_pass(sim, 1000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);
    sim_free(sim);
}


/* What has been before the tests does not count: neither of other rules. */

static void
a_latency_rule_that_comes_later_begins_with_nothing(void **state)
{
    size_t  i;
    sim_t  *sim;

    canary_rule_t  error = sim_default(ERRORS, 10 * PERCENT);

    canary_rule_t  rules[] = {
        sim_default(CANARY_RULE_LATENCY_AVG_MAX, 100000),
        sim_relative(CANARY_RULE_LATENCY_AVG_MAX, 1300000000),
        sim_relative(CANARY_RULE_LATENCY_P90_MAX, 1300000000),
        sim_default(CANARY_RULE_LATENCY_P90_MAX, 100000)
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_one(error);
        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100,
                                                 .good_ms = 30 };
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100,
                                                 .good_ms = 3000 };
        sim_survives(sim, 20000);

        sim->traffic[CANARY].good_ms = 30;
        sim_survives(sim, 5000);

        sim_patch(sim, &rules[i], 1);
        sim_survives(sim, 20000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

        /* and once more */

        sim->traffic[CANARY].good_ms = 3000;
        sim_patch(sim, &error, 1);
        sim_survives(sim, 10000);
        sim->traffic[CANARY].good_ms = 30;
        sim_survives(sim, 5000);
        sim_patch(sim, &rules[i], 1);
        sim_survives(sim, 20000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

        sim_free(sim);
    }
}


/* Rules without statistics */


static canary_rule_t
windowed(canary_rule_kind_t kind, uint64_t threshold, uint32_t window)
{
    return sim_rule(kind, threshold,
                    CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW
                    |CANARY_GIVEN_MIN_REQUESTS,
                    (canary_rule_t) { .window = window, .min_requests = 10 });
}


/* Shorter than the cohorts that are kept, and longer. */

static void
only_the_last_time_counts_in_a_window(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint32_t  window;

    static const uint32_t  windows[] = { 100, 500, 3000, 12000, 60000,
                                         600000 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(windows); i++) {
        window = windows[i];

        sim = sim_one(windowed(ERRORS, 30 * PERCENT, window));
        sim->traffic[CANARY] = (sim_traffic_t) { .rate = 200, .good_ms = 1,
                                                 .bad_ms = 1 };

        sim_survives(sim, 3 * window + 1000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_in_range(sim->result.rules[0].attempts,
                        window / 5 * 14 / 16, window / 5 * 17 / 16 + 40);

        /* as long as the window, less than a third of it is not enough */

        sim->traffic[CANARY].bad = 1;
        assert_in_range(sim_pass(sim, window), window / 5, window / 2 + 100);
        assert_true(sim->broken);

        /* when the first of the bad ones leave it, it is over */

        sim->traffic[CANARY].bad = 0;
        sim_goes_on(sim, window * 7 / 8 + 200);
        assert_int_not_equal(sim_verdict(sim, 0), CANARY_FAILING);

        sim_survives(sim, window + 1000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
        assert_int_equal(sim->result.rules[0].bad, 0);
        sim_free(sim);
    }
}


static void
a_window_without_attempts_is_undecided(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_one(windowed(ERRORS, 30 * PERCENT, 2000));
    sim_attempts(sim, CANARY, 100, sim_bad(1));
    assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);

    sim_goes_on(sim, 3000);
    sim_survives(sim, 5000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_int_equal(sim->result.rules[0].needed, 10);
    sim_free(sim);
}


static void
a_measured_value_may_be_compared_with_that_of_stable(void **state)
{
    size_t         i;
    sim_t         *sim;
    canary_rule_t  rule;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            threshold;
        uint32_t            window;
    } tests[] = {
        { ERRORS, 5 * PERCENT, 0 },
        { ERRORS, 5 * PERCENT, 2000 },
        { CANARY_RULE_LATENCY_AVG_MAX, 1300000000, 0 },
        { CANARY_RULE_LATENCY_AVG_MAX, 1300000000, 2000 },
        { CANARY_RULE_LATENCY_P90_MAX, 1300000000, 0 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = sim_plain(tests[i].kind, tests[i].threshold, 50);
        rule.baseline = 1;
        rule.window = tests[i].window;

        sim = sim_one(rule);
        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .good_ms = 40,
                                                 .bad_ms = 40 };
        sim->traffic[CANARY] = sim->traffic[STABLE];

        sim_survives(sim, 10000);
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

        /* both are bad and slow */

        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 100, .good_ms = 400,
                                                 .bad = 0.5, .bad_ms = 400 };
        sim->traffic[CANARY] = sim->traffic[STABLE];
        sim->seed = 7;

        sim_attempts(sim, STABLE, 500, sim_bad(1));
        sim_attempts(sim, STABLE, 500, sim_good(400));
        sim_attempts(sim, CANARY, 500, sim_bad(1));
        sim_attempts(sim, CANARY, 500, sim_good(400));
        assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

        /* only the canary */

        sim_attempts(sim, CANARY, 2000, sim_bad(1));
        sim_attempts(sim, CANARY, 2000, sim_good(400));
        sim_attempts(sim, STABLE, 4000, sim_good(40));
        assert_int_equal(sim_verdict(sim, 0), CANARY_FAILING);

        sim_free(sim);
    }
}


/* An outage of both */


static void
outage(sim_t *sim, double bad, uint32_t ms)
{
    sim->traffic[STABLE].bad = bad;
    sim->traffic[CANARY].bad = bad;

    sim_survives(sim, ms);

    sim->traffic[STABLE].bad = 0;
    sim->traffic[CANARY].bad = 0;
}


static sim_t *
healthy(canary_rule_t rule, uint32_t bad_ms)
{
    sim_t  *sim;

    sim = sim_one(rule);

    sim->traffic[STABLE] = (sim_traffic_t) { .rate = 300, .good_ms = 20,
                                             .bad_ms = bad_ms };
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 100, .good_ms = 20,
                                             .bad_ms = bad_ms };
    sim_survives(sim, 12000);

    return sim;
}


static void
an_outage_of_both_holds_and_condemns_nobody(void **state)
{
    size_t  i;
    sim_t  *sim;

    static const struct {
        double    bad;
        uint32_t  bad_ms;
        uint32_t  ms;
    } tests[] = {
        { 1, 5, 1000 },
        { 1, 5, 3000 },
        { 1, 5, 30000 },
        { 0.5, 5, 5000 },
        { 0.2, 5, 20000 },
        { 1, 1000, 5000 },
        { 1, 5000, 8000 },
        { 1, 9000, 20000 },
        { 1, 15000, 20000 },
        { 0.5, 60000, 90000 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = healthy(sim_default(ERRORS, 10 * PERCENT), tests[i].bad_ms);

        outage(sim, tests[i].bad, tests[i].ms);
        sim_survives(sim, 3 * MINUTE);

        assert_true(sim->holds > 0);
        assert_false(canary_judge_holds(sim->evidence, &sim->rollout,
                                        sim->now));

        /* what had begun long before the hold is the step's all the same */

        assert_int_equal(sim_verdict(sim, 0),
                         (tests[i].bad_ms < 60000) ? CANARY_PASSING
                                                   : CANARY_UNDECIDED);

        /* after which it is as watchful as before */

        sim->traffic[CANARY].bad = 1;
        sim->traffic[CANARY].bad_ms = 5;
        assert_in_range(sim_pass(sim, MINUTE), 100, 2000);
        sim_free(sim);
    }
}


/* Both are slow, and quick again. */

static void
a_slow_time_of_both_condemns_nobody(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint32_t  ms;

    canary_rule_t  rules[] = {
        sim_default(CANARY_RULE_LATENCY_P90_MAX, 100000),
        sim_single(CANARY_RULE_LATENCY_P50_MAX, 100000),
        sim_default(CANARY_RULE_LATENCY_AVG_MAX, 100000),
        sim_plain(CANARY_RULE_LATENCY_P90_MAX, 100000, 50),
        sim_plain(CANARY_RULE_LATENCY_AVG_MAX, 100000, 50)
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        for (ms = 300; ms <= 6000; ms *= 4) {
            sim = healthy(rules[i], 5);

            sim->traffic[STABLE].good_ms = ms;
            sim->traffic[CANARY].good_ms = ms;
            sim_survives(sim, 20000);

            sim->traffic[STABLE].good_ms = 20;
            sim->traffic[CANARY].good_ms = 20;
            sim_survives(sim, MINUTE);

            assert_true(sim->holds > 0);
            assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

            sim->traffic[CANARY].good_ms = 3000;
            sim_pass(sim, 2 * MINUTE);
            assert_true(sim->broken);
            sim_free(sim);
        }
    }
}


/* The shortest time in which stable breaks the rule. */

static void
an_excuse_says_when_stable_was_bad(void **state)
{
    size_t           i;
    sim_t           *sim;
    canary_outage_t  outage;

    /* 100 bad ones of stable so long ago, and 100 good ones each 100 ms */

    static const struct {
        uint32_t  since;
        uint32_t  bad;
        uint64_t  ms;          /* 0: no excuse */
    } tests[] = {
        { 50, 400, 500 },
        { 700, 400, 1000 },
        { 1500, 1200, 2000 },
        { 4000, 3000, 5000 },
        { 9000, 5000, 10000 },
        { 11000, 5000, 0 },
        { 50, 0, 0 },
        { 50, 2, 0 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = sim_one(sim_default(ERRORS, 10 * PERCENT));

        sim->traffic[STABLE] = (sim_traffic_t) { .rate = 1000,
                                                 .good_ms = 1 };

        if (tests[i].bad == 2) {
            sim->traffic[STABLE].rate = 1;
        }

        sim_survives(sim, 12000);
        sim_attempts(sim, STABLE, tests[i].bad, sim_bad(1));
        sim_survives(sim, tests[i].since);

        memset(&outage, 0x55, sizeof(canary_outage_t));

        if (tests[i].ms == 0) {
            assert_false(canary_judge_excuse(sim->evidence, &sim->rollout, 0,
                                             sim->now, &outage));
            sim_free(sim);
            continue;
        }

        assert_true(canary_judge_excuse(sim->evidence, &sim->rollout, 0,
                                        sim->now, &outage));

        assert_int_equal(outage.ms, tests[i].ms);
        assert_in_range(outage.attempts, tests[i].bad + tests[i].since - 100,
                        tests[i].bad + tests[i].ms + 400);
        assert_true(fabs(outage.value
                         - (double) tests[i].bad / (double) outage.attempts)
                    < 1e-9);
        sim_free(sim);
    }
}


/* Budgets, comparisons, and what nobody but the canary serves. */

static void
some_rules_have_no_excuse(void **state)
{
    size_t           i;
    sim_t           *sim;
    canary_outage_t  found;

    canary_rule_t  rules[] = {
        sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 1),
        sim_relative(ERRORS, PERCENT),
        sim_default(ERRORS, 10 * PERCENT)
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_new(&rules[i], 1, 50);
        sim_attempts(sim, STABLE, 100, sim_bad(1));
        sim_attempts(sim, CANARY, 100, sim_bad(1));

        assert_int_equal(canary_judge_excuse(sim->evidence, &sim->rollout, 0,
                                             sim->now, &found),
                         i == 2);
        sim->rollout.weight = CANARY_ONE;
        assert_false(canary_judge_excuse(sim->evidence, &sim->rollout, 0,
                                         sim->now, &found));
        sim_free(sim);
    }
}


/* From 1 s before until 1 s after, whenever it comes. */

static void
evidence_of_a_hold_is_discarded(void **state)
{
    sim_t           *sim;
    uint32_t         n;
    canary_rule_t    rules[2];
    canary_ticket_t  tickets[10];

    (void) state;

    rules[0] = sim_plain(ERRORS, 10 * PERCENT, 1);
    rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 1000);

    sim = sim_new(rules, 2, 10);

    sim_attempts(sim, CANARY, 1000, sim_good(1));
    sim_survives(sim, 3000);
    sim_attempts(sim, CANARY, 100, sim_good(1));
    sim_survives(sim, 500);

    /* these have been within the last second, these are in the hold */

    canary_judge_hold(sim->evidence, &sim->rollout, 0, sim->now);
    assert_true(canary_judge(sim->evidence)->holding);
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 1000);

    for (n = 0; n < 10; n++) {
        tickets[n] = sim_begin(sim, CANARY);
    }

    sim_attempts(sim, CANARY, 200, sim_bad(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 1000);

    /* stable does not break it: so that is over, and goes on for a second */

    assert_true(canary_judge_holds(sim->evidence, &sim->rollout, sim->now));
    assert_false(canary_judge(sim->evidence)->holding);
    sim_pass(sim, 900);
    sim_attempts(sim, CANARY, 200, sim_bad(1));
    assert_true(canary_judge_holds(sim->evidence, &sim->rollout, sim->now));

    sim_survives(sim, 300);
    assert_false(canary_judge_holds(sim->evidence, &sim->rollout, sim->now));
    sim_attempts(sim, CANARY, 7, sim_good(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 1007);
    assert_int_equal(sim->result.rules[0].bad, 0);

    /* much later */

    sim_survives(sim, 30000);

    for (n = 0; n < 10; n++) {
        (void) sim_end(sim, tickets[n], sim_bad(30000));
    }

    sim_survives(sim, 200);
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 1007);
    assert_int_equal(sim->result.rules[0].bad, 0);

    /* but in the budget */

    assert_true(sim->result.rules[1].value == 410);
    sim_free(sim);
}


/* canary_latency response: headers come in the hold, bodies after it. */

static void
times_of_a_hold_are_awaited_no_more(void **state)
{
    sim_t            *sim;
    uint32_t          n;
    canary_ticket_t   tickets[10];

    static const canary_finish_t  header = { .untimed = 1 };

    (void) state;

    sim = sim_one(sim_plain(CANARY_RULE_LATENCY_AVG_MAX, 1000000, 1));
    canary_judge_hold(sim->evidence, &sim->rollout, 0, sim->now);
    sim_pass(sim, 100);

    for (n = 0; n < 10; n++) {
        tickets[n] = sim_begin(sim, CANARY);
    }

    sim_pass(sim, 15000);

    for (n = 0; n < 10; n++) {
        canary_evidence_finish(sim->evidence, &tickets[n], &header);
    }

    sim_pass(sim, 1000);
    sim_attempts(sim, CANARY, 5, sim_good(20));
    sim_pass(sim, 1000);

    for (n = 0; n < 10; n++) {
        canary_evidence_time(sim->evidence, &tickets[n], 17000000, 1);
    }

    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_int_equal(sim->result.rules[0].attempts, 5);
    sim_free(sim);
}


static void
new_tests_end_a_hold(void **state)
{
    sim_t          *sim;
    canary_rule_t   rule;

    (void) state;

    rule = sim_default(ERRORS, 10 * PERCENT);
    sim = healthy(rule, 5);

    outage(sim, 1, 3000);
    assert_true(canary_judge(sim->evidence)->holding);

    rule.threshold = 20 * PERCENT;
    sim_patch(sim, &rule, 1);
    sim_survives(sim, 15000);

    assert_false(canary_judge_holds(sim->evidence, &sim->rollout, sim->now));
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_in_range(sim->result.rules[0].attempts, 1000, 1500);
    sim_free(sim);
}


/* Processes */


static void
a_process_that_died_while_judging_takes_evidence_with_it(void **state)
{
    sim_t          *sim;
    canary_rule_t   rules[3];

    (void) state;

    rules[0] = sim_single(ERRORS, 10 * PERCENT);
    rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 1000);
    rules[2] = sim_default(CANARY_RULE_LATENCY_AVG_MAX, 100000);

    sim = sim_new(rules, 3, 10);

    sim_attempts(sim, CANARY, 2, sim_bad(1));
    sim_pass(sim, 5000);
    sim_attempts(sim, CANARY, 1, sim_bad(1));
    sim_pass(sim, 400);
    sim_attempts(sim, CANARY, 100, sim_good(1000));

    canary_judge(sim->evidence)->busy = 1;
    memset(&canary_judge(sim->evidence)->seen, 0x3c,
           sizeof(canary_times_mark_t));
    sim_tick(sim);
    assert_int_equal(canary_judge(sim->evidence)->busy, 0);

    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 0);
    assert_true(sim->result.rules[1].value == 3);
    assert_int_equal(sim->result.rules[2].attempts, 0);

    sim_attempts(sim, CANARY, 3, sim_bad(1));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].verdict, CANARY_UNDECIDED);
    assert_true(sim->result.rules[1].value == 6);

    sim_attempts(sim, CANARY, 60, sim_good(1));
    sim_pass(sim, 1000);
    assert_int_equal(sim_verdict(sim, 2), CANARY_PASSING);
    sim_free(sim);
}


/* Slots come when processes do, limits when rules do. */

static void
slots_and_limits_come_later(void **state)
{
    sim_t          *sim;
    canary_rule_t   rules[2];

    (void) state;

    rules[0] = sim_plain(ERRORS, 50 * PERCENT, 1);
    rules[1] = sim_plain(CANARY_RULE_LATENCY_P50_MAX, 100000, 1);

    sim = sim_one(rules[0]);

    /* as if there had been but one */

    unit_free_evidence(sim->evidence);
    sim->evidence = unit_evidence(SIM_SLOTS, 1);
    canary_judge_begin(sim->evidence, &sim->rollout, sim->now, &sim->times);
    assert_int_equal(sim->evidence->nused, 1);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    while (sim->evidence->nused < SIM_SLOTS) {
        canary_evidence_use(sim->evidence, unit_slot());
    }

    canary_evidence_use(sim->evidence, NULL);
    assert_int_equal(sim->evidence->nused, SIM_SLOTS);

    sim_attempts(sim, CANARY, 100, sim_good(200));
    sim_attempts(sim, STABLE, 100, sim_good(200));
    sim_survives(sim, 300);
    sim_judge(sim);
    assert_int_equal(sim->result.rules[0].attempts, 100);

    sim_patch(sim, rules, 2);
    sim_attempts(sim, CANARY, 80, sim_good(200));
    sim_attempts(sim, CANARY, 20, sim_good(20));
    sim_judge(sim);
    assert_int_equal(sim->result.rules[1].attempts, 100);
    assert_int_equal(sim->result.rules[1].bad, 80);

    /* nor is stable's time of before known by these limits */

    assert_false(canary_judge_excuse(sim->evidence, &sim->rollout, 1,
                                     sim->now, &sim->outage));
    sim_free(sim);
}


/* Nothing moves, nothing is judged anew. */

static void
a_tick_tells_whether_anything_has_come(void **state)
{
    sim_t  *sim;
    int     n;

    (void) state;

    sim = sim_one(sim_default(ERRORS, 10 * PERCENT));
    sim_attempts(sim, CANARY, 10, sim_good(1));

    for (n = 0; n < 40; n++) {
        sim->now += 50;
        sim_tick(sim);
    }

    for (n = 0; n < 40; n++) {
        sim->now += 50;
        assert_int_equal(sim_tick(sim), 0);
    }

    sim_attempts(sim, CANARY, 1, sim_good(1));
    assert_int_equal(sim_tick(sim), 1);
    sim_free(sim);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_dead_canary_fails_at_its_4th_attempt),
        cmocka_unit_test(
            the_fuse_lets_the_4th_bad_attempt_trip_and_none_before),
        cmocka_unit_test(each_class_has_its_fuse),
        cmocka_unit_test(at_least_3_are_bad_before_anyone_is_condemned),
        cmocka_unit_test(min_requests_are_those_of_the_step),
        cmocka_unit_test(a_dead_canary_falls_within_half_a_second),
        cmocka_unit_test(it_is_no_less_quick_after_healthy_minutes),
        cmocka_unit_test(a_healthy_canary_is_not_condemned),
        cmocka_unit_test(
            bad_attempts_in_threes_are_no_more_than_what_they_are),
        cmocka_unit_test(
            what_comes_at_once_is_one_observation_when_it_is_complete),
        cmocka_unit_test(a_longer_burst_merges_cohorts),
        cmocka_unit_test(quick_errors_do_not_condemn_slow_successes),
        cmocka_unit_test(
            a_hung_canary_is_too_slow_at_the_limit_of_a_latency_rule),
        cmocka_unit_test(a_hung_canary_never_passes),
        cmocka_unit_test(clients_that_give_up_do_not_make_it_look_good),
        cmocka_unit_test(a_hang_of_90_s_counts_when_it_ends),
        cmocka_unit_test(overdue_attempts_and_limits_below_and_above_10_s),
        cmocka_unit_test(a_time_that_comes_with_the_end_of_the_body),
        cmocka_unit_test(a_body_that_does_not_end_is_too_slow),
        cmocka_unit_test(figures_are_of_the_step_and_tests_go_on),
        cmocka_unit_test(bounds_agree_with_the_verdict),
        cmocka_unit_test(what_passes_without_proof_has_no_bound),
        cmocka_unit_test(new_tests_forget),
        cmocka_unit_test(outcomes_that_come_after_their_step),
        cmocka_unit_test(an_error_free_canary_passes_after_so_many_attempts),
        cmocka_unit_test(with_a_threshold_of_0_so_many_good_attempts_pass),
        cmocka_unit_test(
            other_rules_let_a_healthy_canary_pass_after_50_attempts),
        cmocka_unit_test(a_comparison_needs_something_to_compare_with),
        cmocka_unit_test(errors_are_compared_with_those_of_stable),
        cmocka_unit_test(latencies_are_compared_with_those_of_stable),
        cmocka_unit_test(at_100_percent_a_comparison_keeps_its_last_verdict),
        cmocka_unit_test(an_average_is_tested_by_all_of_its_times),
        cmocka_unit_test(
            with_fewer_than_min_requests_an_average_condemns_nobody),
        cmocka_unit_test(a_latency_rule_that_comes_later_begins_with_nothing),
        cmocka_unit_test(only_the_last_time_counts_in_a_window),
        cmocka_unit_test(a_window_without_attempts_is_undecided),
        cmocka_unit_test(a_measured_value_may_be_compared_with_that_of_stable),
        cmocka_unit_test(an_outage_of_both_holds_and_condemns_nobody),
        cmocka_unit_test(a_slow_time_of_both_condemns_nobody),
        cmocka_unit_test(an_excuse_says_when_stable_was_bad),
        cmocka_unit_test(some_rules_have_no_excuse),
        cmocka_unit_test(evidence_of_a_hold_is_discarded),
        cmocka_unit_test(times_of_a_hold_are_awaited_no_more),
        cmocka_unit_test(new_tests_end_a_hold),
        cmocka_unit_test(
            a_process_that_died_while_judging_takes_evidence_with_it),
        cmocka_unit_test(slots_and_limits_come_later),
        cmocka_unit_test(a_tick_tells_whether_anything_has_come)
    };

    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
