
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* What follows from the verdicts. */


#include "sim.h"


#define ERRORS  CANARY_RULE_ERROR_5XX_RATE
#define BUDGET  CANARY_RULE_FAILED_REQUESTS_MAX


static int
breach_of(sim_t *sim, int immediate, canary_breach_t *breach)
{
    memset(breach, 0x55, sizeof(canary_breach_t));
    sim_judge(sim);

    return canary_judge_breach(sim->evidence, &sim->rollout, &sim->result,
                               immediate, sim->now, breach);
}


static void
nothing_follows_while_no_rule_fails(void **state)
{
    sim_t            *sim;
    canary_breach_t   breach;

    (void) state;

    sim = sim_one(sim_single(ERRORS, 10 * PERCENT));

    assert_false(breach_of(sim, 0, &breach));

    sim_attempts(sim, CANARY, 100, sim_good(1));
    assert_false(breach_of(sim, 0, &breach));
    sim_free(sim);
}


static void
the_first_rule_that_fails_is_violated(void **state)
{
    sim_t            *sim;
    canary_rule_t     rules[3];
    canary_breach_t   breach;

    (void) state;

    rules[0] = sim_single(CANARY_RULE_ERROR_4XX_RATE, 10 * PERCENT);
    rules[1] = sim_single(ERRORS, 10 * PERCENT);
    rules[2] = sim_default(BUDGET, 1);

    sim = sim_new(rules, 3, 10);
    sim_attempts(sim, CANARY, 20, sim_bad(1));

    assert_true(breach_of(sim, 0, &breach));
    assert_int_equal(breach.rule, 1);
    assert_int_equal(breach.verb, CANARY_VIOLATION);
    sim_free(sim);
}


static void
at_a_failed_attempt_only_immediate_rules_count(void **state)
{
    sim_t            *sim;
    canary_rule_t     rules[2];
    canary_breach_t   breach;

    (void) state;

    rules[0] = sim_default(ERRORS, 10 * PERCENT);
    rules[1] = sim_default(BUDGET, 30);

    assert_false(canary_rule_immediate(&rules[0]));
    assert_true(canary_rule_immediate(&rules[1]));

    sim = sim_new(rules, 2, 10);
    sim->traffic[CANARY] = (sim_traffic_t) { .rate = 20, .bad = 1,
                                             .bad_ms = 1 };

    while (!breach_of(sim, 0, &breach)) {
        sim_goes_on(sim, 50);
    }

    assert_int_equal(breach.rule, 0);
    assert_false(breach_of(sim, 1, &breach));

    sim_attempts(sim, CANARY, 30, sim_bad(1));

    assert_true(breach_of(sim, 1, &breach));
    assert_int_equal(breach.rule, 1);
    assert_int_equal(breach.verb, CANARY_VIOLATION);
    sim_free(sim);
}


static void
what_stable_breaks_too_is_a_reason_to_hold_once(void **state)
{
    sim_t            *sim;
    canary_breach_t   breach;

    (void) state;

    sim = sim_one(sim_single(ERRORS, 10 * PERCENT));
    sim_attempts(sim, STABLE, 100, sim_bad(1));
    sim_attempts(sim, CANARY, 100, sim_bad(1));

    assert_true(breach_of(sim, 0, &breach));
    assert_int_equal(breach.rule, 0);
    assert_int_equal(breach.verb, CANARY_HOLDING);
    assert_int_equal(breach.outage.attempts, 100);

    canary_judge(sim->evidence)->holding = 1;

    assert_false(breach_of(sim, 0, &breach));
    sim_free(sim);
}


static void
a_violation_comes_before_a_hold(void **state)
{
    sim_t            *sim;
    canary_rule_t     rules[2];
    canary_breach_t   breach;

    (void) state;

    rules[0] = sim_single(ERRORS, 10 * PERCENT);
    rules[1] = sim_default(BUDGET, 50);

    sim = sim_new(rules, 2, 10);
    sim_attempts(sim, STABLE, 100, sim_bad(1));
    sim_attempts(sim, CANARY, 100, sim_bad(1));

    assert_true(breach_of(sim, 0, &breach));
    assert_int_equal(breach.rule, 1);
    assert_int_equal(breach.verb, CANARY_VIOLATION);
    sim_free(sim);
}


static void
time_moves_nothing_before_the_interval_ends_and_rules_pass(void **state)
{
    sim_t             *sim;
    uint64_t           end;
    canary_rollout_t   before;

    (void) state;

    sim = sim_one(sim_plain(ERRORS, 10 * PERCENT, 1));
    sim->rollout.phase = CANARY_PROGRESSING;
    sim->rollout.since = sim->now;
    before = sim->rollout;

    end = sim->now + sim->rollout.strategy.interval;

    sim_judge(sim);
    assert_true(canary_judge_settled(sim->evidence, &sim->rollout, end));

    sim_attempts(sim, CANARY, 100, sim_good(1));
    sim_judge(sim);

    assert_true(canary_judge_settled(sim->evidence, &sim->rollout, end - 1));
    assert_false(canary_judge_settled(sim->evidence, &sim->rollout, end));
    assert_memory_equal(&sim->rollout, &before, sizeof(canary_rollout_t));
    sim_free(sim);
}


/* by a threshold, and by the limit of a quantile */

static void
who_waited_longer_than_a_rule_allows_waited_too_long(void **state)
{
    size_t   i;
    sim_t   *sim;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            threshold;
        int                 too_long;      /* after 200 ms */
    } tests[] = {
        { CANARY_RULE_LATENCY_AVG_MAX, 100000, 1 },
        { CANARY_RULE_LATENCY_AVG_MAX, 200000, 0 },
        { CANARY_RULE_LATENCY_P99_MAX, 100000, 1 },
        { CANARY_RULE_LATENCY_P99_MAX, 200000, 0 },
        { ERRORS, 10 * PERCENT, 0 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        sim = sim_one(sim_default(tests[i].kind, tests[i].threshold));

        assert_int_equal(canary_judge_too_long(sim->evidence,
                                               &sim->rollout.strategy,
                                               CANARY, 200000),
                         tests[i].too_long);
        sim_free(sim);
    }
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_follows_while_no_rule_fails),
        cmocka_unit_test(the_first_rule_that_fails_is_violated),
        cmocka_unit_test(at_a_failed_attempt_only_immediate_rules_count),
        cmocka_unit_test(what_stable_breaks_too_is_a_reason_to_hold_once),
        cmocka_unit_test(a_violation_comes_before_a_hold),
        cmocka_unit_test(
            time_moves_nothing_before_the_interval_ends_and_rules_pass),
        cmocka_unit_test(who_waited_longer_than_a_rule_allows_waited_too_long)
    };

    return cmocka_run_group_tests_name("breach", tests, NULL, NULL);
}
