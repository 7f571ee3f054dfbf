
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* One rule on trial: cohorts in, proof out. */


#include <math.h>
#include <string.h>

#include "canary_trial.h"

#include "unit.h"


#define BEGIN    1000000
#define STEP     5
#define STABLE   CANARY_SIDE_STABLE
#define CANARY   CANARY_SIDE_CANARY
#define PERCENT  (CANARY_RATIO_ONE / 100)


static const canary_tail_t  nothing;


static canary_rule_t
rule_of(canary_rule_kind_t kind, uint64_t threshold, uint32_t burst)
{
    return (canary_rule_t) {
        .kind = kind, .threshold = threshold, .min_requests = 1,
        .confidence = CANARY_CONFIDENCE_DEFAULT, .burst = burst
    };
}


static canary_trial_t
trial_of(const canary_rule_t *rule)
{
    canary_trial_t  trial;

    static canary_window_t  window;

    memset(&trial, 0xa5, sizeof(canary_trial_t));
    memset(&window, 0xa5, sizeof(canary_window_t));

    canary_trial_begin(&trial, rule, &window, 0, 10, 0, CANARY_COHORT_MS,
                       STEP);

    return trial;
}


/* Of so many attempts of the canary, so many bad; it ended after 100 ms. */

static canary_cohort_view_t
cohort_of(uint32_t number, uint32_t n, uint32_t bad)
{
    canary_cohort_view_t  cohort;

    memset(&cohort, 0, sizeof(canary_cohort_view_t));

    cohort.number = number;
    cohort.step = STEP;
    cohort.began = BEGIN + 100 * number;
    cohort.ended = BEGIN + 100 * number + 100;
    cohort.settled = 1;
    cohort.sides[CANARY].started = n;
    cohort.sides[CANARY].bad_5xx = bad;
    cohort.sides[CANARY].slow.slow[0] = bad;

    return cohort;
}


static double
proof_of(const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_tail_t *tail, uint64_t *bad)
{
    canary_proof_t  proof;

    canary_trial_proof(trial, rule, tail, 0, UINT32_MAX, &proof);
    *bad = proof.bad;

    return canary_mixture_log_e(&proof.mixture);
}


/* Each cohort may be folded yet or not: the proof is the same. */

static void
what_is_folded_proves_as_much_as_what_is_not(void **state)
{
    size_t                 i;
    double                 expected, found;
    uint32_t               n, folded;
    uint64_t               bad, found_bad, seed;
    canary_rule_t          rule;
    canary_tail_t          all, rest;
    canary_trial_t         trial;
    canary_cohort_view_t  *cohort;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            threshold;
        uint32_t            burst;
        uint32_t            baseline;
    } tests[] = {
        { CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 0, 0 },
        { CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 100, 0 },
        { CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 300, 0 },
        { CANARY_RULE_ERROR_RATE, 10 * PERCENT, 1000, 0 },
        { CANARY_RULE_LATENCY_P90_MAX, 1000, 100, 0 },
        { CANARY_RULE_ERROR_5XX_RATE, PERCENT, 100, 1 },
        { CANARY_RULE_LATENCY_P90_MAX, 1300000000, 100, 1 }
    };

    (void) state;

    seed = 1;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = rule_of(tests[i].kind, tests[i].threshold, tests[i].burst);
        rule.baseline = tests[i].baseline;

        memset(&all, 0, sizeof(canary_tail_t));
        all.n = 60;

        for (n = 0; n < all.n; n++) {
            cohort = &all.cohorts[n];
            *cohort = cohort_of(n, unit_below(&seed, 20), 0);
            cohort->step = STEP + n / 25;
            cohort->discarded = unit_one_in(&seed, 10);
            cohort->sides[STABLE] = cohort->sides[CANARY];
            cohort->sides[CANARY].bad_5xx
                = unit_below(&seed, cohort->sides[CANARY].started / 3 + 1);
            cohort->sides[CANARY].slow.slow[0]
                = cohort->sides[CANARY].bad_5xx;
            cohort->sides[CANARY].late.bad_5xx = unit_one_in(&seed, 9);
        }

        trial = trial_of(&rule);
        expected = proof_of(&trial, &rule, &all, &bad);
        assert_true(bad > 10);

        for (folded = 0; folded < all.n; folded++) {
            canary_trial_fold(&trial, &rule, &all.cohorts[folded],
                              UINT32_MAX);

            rest = all;
            rest.n = all.n - folded - 1;
            memmove(rest.cohorts, &all.cohorts[folded + 1],
                    rest.n * sizeof(canary_cohort_view_t));

            found = proof_of(&trial, &rule, &rest, &found_bad);
            assert_true(fabs(found - expected) < 1e-9);
            assert_int_equal(found_bad, bad);
        }
    }
}


static void
cohorts_before_the_first_are_left_out(void **state)
{
    canary_rule_t   rule;
    canary_tail_t   tail;
    canary_trial_t  trial;
    canary_proof_t  proof;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 0);
    trial = trial_of(&rule);

    tail = nothing;
    tail.n = 2;
    tail.cohorts[0] = cohort_of(UINT32_MAX, 100, 100);
    tail.cohorts[1] = cohort_of(0, 3, 3);

    canary_trial_proof(&trial, &rule, &tail, 0, 0, &proof);
    assert_int_equal(proof.bad, 3);
    assert_false(canary_trial_violated(&trial, &rule, &proof, 3));

    canary_trial_proof(&trial, &rule, &tail, UINT32_MAX, 0, &proof);
    assert_int_equal(proof.bad, 103);
    assert_true(canary_trial_violated(&trial, &rule, &proof, 103));
    assert_false(canary_trial_violated(&trial, &rule, &proof, 0));
}


/* What came late is one attempt more, and bad. */

static void
late_outcomes_are_attempts_of_their_own(void **state)
{
    double                 expected, found;
    uint64_t               bad;
    canary_rule_t          rule;
    canary_trial_t         trial;
    canary_cohort_view_t   cohort;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_RATE, 10 * PERCENT, 0);

    trial = trial_of(&rule);
    cohort = cohort_of(0, 14, 5);
    canary_trial_fold(&trial, &rule, &cohort, 0);
    expected = proof_of(&trial, &rule, &nothing, &bad);
    assert_int_equal(bad, 5);

    /* 3 of 4xx, of which 1 broke off, and 2 of 5xx: 4 attempts */

    trial = trial_of(&rule);
    cohort = cohort_of(0, 10, 1);
    cohort.sides[CANARY].late = (canary_bad_t) {
        .bad_4xx = 3, .bad_5xx = 2, .bad_both = 1
    };
    canary_trial_fold(&trial, &rule, &cohort, 0);
    found = proof_of(&trial, &rule, &nothing, &bad);

    assert_int_equal(bad, 5);
    assert_true(fabs(found - expected) < 1e-12);
}


/* Clients that gave up have been attempts of a latency rule only. */

static void
who_gave_up_was_slow(void **state)
{
    uint64_t              bad;
    canary_rule_t         rule;
    canary_trial_t        trial;
    canary_proof_t        proof;
    canary_cohort_view_t  cohort;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_P90_MAX, 1000, 0);
    trial = trial_of(&rule);

    cohort = cohort_of(0, 0, 0);
    cohort.sides[CANARY].time_only = 4;
    cohort.sides[CANARY].slow.slow[0] = 4;
    canary_trial_fold(&trial, &rule, &cohort, 0);

    canary_trial_proof(&trial, &rule, &nothing, 0, 0, &proof);
    assert_int_equal(proof.bad, 4);
    assert_true(canary_trial_violated(&trial, &rule, &proof, 4));

    rule = rule_of(CANARY_RULE_ERROR_RATE, 10 * PERCENT, 0);
    trial = trial_of(&rule);
    canary_trial_fold(&trial, &rule, &cohort, 0);
    assert_true(proof_of(&trial, &rule, &nothing, &bad) < 0);
    assert_int_equal(bad, 0);
}


/* Without a limit that is comparable a quantile proves nothing. */

static void
a_limit_may_not_be_comparable(void **state)
{
    double                begin, found;
    uint64_t              bad;
    canary_rule_t         rule;
    canary_trial_t        trial;
    canary_cohort_view_t  cohort;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_P90_MAX, 1300000000, 100);
    rule.baseline = 1;
    trial = trial_of(&rule);
    begin = proof_of(&trial, &rule, &nothing, &bad);

    cohort = cohort_of(0, 100, 100);
    cohort.sides[STABLE].started = 100;
    cohort.limit_set = 7;

    canary_trial_fold(&trial, &rule, &cohort, ~(1u << 7));
    found = proof_of(&trial, &rule, &nothing, &bad);
    assert_true(found == begin);

    canary_trial_fold(&trial, &rule, &cohort, 1u << 7);
    found = proof_of(&trial, &rule, &nothing, &bad);
    assert_true(found > begin);
}


static void
a_trial_may_forget(void **state)
{
    uint64_t              bad;
    canary_rule_t         rule;
    canary_trial_t        trial;
    canary_cohort_view_t  cohort;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_RATE, 10 * PERCENT, 300);
    trial = trial_of(&rule);

    cohort = cohort_of(0, 100, 100);
    canary_trial_fold(&trial, &rule, &cohort, 0);

    canary_trial_forget(&trial, &rule, STEP + 1);
    assert_true(proof_of(&trial, &rule, &nothing, &bad) < 0);
    assert_int_equal(bad, 0);
    assert_int_equal(trial.block.canary, 0);

    /* a plain rule has nothing to forget */

    rule.confidence = 0;
    memset(&trial, 0xa5, sizeof(canary_trial_t));
    canary_trial_forget(&trial, &rule, STEP);
    assert_int_equal(trial.step, 0xa5a5a5a5);
}


/* Parts of a window, that are folded, and cohorts that are not. */

static void
a_window_is_of_what_is_folded_and_what_is_not(void **state)
{
    uint32_t               n;
    canary_rule_t          rule;
    canary_tail_t          tail;
    canary_trial_t         trial;
    canary_measure_t       sides[CANARY_SIDES], passing;
    canary_cohort_view_t   cohort;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 0);
    rule.confidence = 0;
    rule.window = 2000;

    trial = trial_of(&rule);

    for (n = 0; n < 100; n++) {
        cohort = cohort_of(n, 10, n % 2);
        cohort.discarded = (n == 95);
        canary_trial_fold(&trial, &rule, &cohort, 0);
    }

    tail = nothing;
    tail.n = 3;
    tail.cohorts[0] = cohort_of(100, 7, 3);
    tail.cohorts[1] = cohort_of(101, 20, 0);
    tail.cohorts[1].settled = 0;
    tail.cohorts[1].sides[CANARY].untimed = 20;
    tail.cohorts[2] = cohort_of(102, 1, 1);
    tail.cohorts[2].discarded = 1;

    /* 81 to 99 without 95, 100 and 101; without what is in flight */

    canary_trial_window(&trial, &rule, &tail, 0, BEGIN + 10200, sides,
                        &passing);
    assert_int_equal(sides[CANARY].attempts, 17 * 10 + 27);
    assert_int_equal(sides[CANARY].sum, 8 + 3);
    assert_int_equal(sides[STABLE].attempts, 0);
    assert_int_equal(passing.attempts, 17 * 10 + 7);
    assert_int_equal(passing.sum, 8 + 3);

    canary_trial_window(&trial, &rule, &nothing, 0, BEGIN + 13000, sides,
                        &passing);
    assert_int_equal(sides[CANARY].attempts, 0);
    assert_int_equal(passing.attempts, 0);
}


/* One observation of a rule: good ones, or bad ones, of both sides. */

static void
observe(canary_trial_t *trial, const canary_rule_t *rule, int bad)
{
    uint32_t              i;
    canary_histogram_t    times;
    canary_cohort_view_t  cohort;

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        memset(&times, 0, sizeof(canary_histogram_t));
        times.counts[canary_histogram_index(bad ? 50000 : 5000)] = 10;

        canary_trial_fold_times(trial, rule, &times, STEP);
        return;
    }

    for (i = 0; i < (rule->baseline || rule->burst <= CANARY_COHORT_MS
                     ? 1 : rule->burst / CANARY_COHORT_MS);
         i++)
    {
        cohort = cohort_of(i, 10, bad ? 5 : 0);
        cohort.sides[STABLE].started = 90;
        cohort.sides[STABLE].bad_5xx = (i % 4 == 0);
        cohort.sides[STABLE].slow.slow[0] = 9;

        canary_trial_fold(trial, rule, &cohort, UINT32_MAX);
    }
}


/* How many bad ones it takes. */

static uint32_t
falls_after(canary_trial_t trial, const canary_rule_t *rule)
{
    uint32_t        n;
    canary_proof_t  proof;

    for (n = 0; n < 10000; n++) {
        canary_trial_proof(&trial, rule, &nothing, 0, 0, &proof);

        if (canary_trial_violated(&trial, rule, &proof, 100)) {
            break;
        }

        observe(&trial, rule, 1);
    }

    return n;
}


/*
 * Good hours, of which the last observations are made and those before have
 * left nothing but what they spent; see mixture_test.c.
 */

static void
good_times(canary_trial_t *trial, const canary_rule_t *rule, double hours)
{
    int     i;
    double  each;

    each = trial->mixture.planned;

    if (hours > 1) {
        trial->mixture.tick_pot *= trial->mixture.folded / (each * hours);
        trial->mixture.folded = each * hours;

        canary_mixture_forget(&trial->mixture);
    }

    for (i = 0; i < ((hours > 1) ? 3000 : each); i++) {
        observe(trial, rule, 0);
    }
}


static void
no_rule_goes_blind(void **state)
{
    size_t          i, k;
    uint32_t        after, hour;
    canary_rule_t   rule;
    canary_trial_t  trial;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            threshold;
        uint32_t            burst;
        uint32_t            baseline;
        uint32_t            planned;    /* observations in an hour */
    } tests[] = {
        { CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 0, 0, 36000 },
        { CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 100, 0, 36000 },
        { CANARY_RULE_ERROR_RATE, PERCENT, 1000, 0, 3600 },
        { CANARY_RULE_ERROR_RATE, 10 * PERCENT, 10000, 0, 360 },
        { CANARY_RULE_LATENCY_P90_MAX, 1000, 100, 0, 36000 },
        { CANARY_RULE_LATENCY_P99_MAX, 1000, 100, 0, 36000 },
        { CANARY_RULE_ERROR_5XX_RATE, PERCENT, 100, 1, 36000 },
        { CANARY_RULE_ERROR_RATE, 10 * PERCENT, 1000, 1, 36000 },
        { CANARY_RULE_LATENCY_P90_MAX, 1300000000, 100, 1, 36000 },
        { CANARY_RULE_LATENCY_AVG_MAX, 10000, 0, 0, 72000 },
        { CANARY_RULE_LATENCY_AVG_MAX, 1300000000, 0, 1, 3600 }
    };

    static const double  days[] = { 0.1, 0.5, 1, 2.5, 5.5, 7, 30, 90, 365 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = rule_of(tests[i].kind, tests[i].threshold, tests[i].burst);
        rule.baseline = tests[i].baseline;

        trial = trial_of(&rule);
        assert_true(trial.mixture.planned == tests[i].planned);

        if (rule.kind == CANARY_RULE_LATENCY_AVG_MAX && rule.baseline) {
            canary_trial_set_mean(&trial, &rule, 7000);
        }

        good_times(&trial, &rule, 1);
        hour = falls_after(trial, &rule);
        assert_in_range(hour, 2, 100);

        for (k = 0; k < UNIT_LENGTH(days); k++) {
            good_times(&trial, &rule, 24 * days[k]);
            after = falls_after(trial, &rule);
            assert_in_range(after, hour, 2 * hour);
        }
    }
}


/* A rollout of a week is planned to have as many observations. */

static void
a_longer_plan_has_more_observations(void **state)
{
    size_t           i;
    uint64_t         hours;
    canary_rule_t    rule;
    canary_trial_t   trial;

    static const struct {
        canary_rule_kind_t  kind;
        uint32_t            burst;
        uint32_t            ms;
    } tests[] = {
        { CANARY_RULE_ERROR_RATE, 0, 100 },
        { CANARY_RULE_ERROR_RATE, 2000, 2000 },
        { CANARY_RULE_LATENCY_AVG_MAX, 0, 50 }
    };

    (void) state;

    for (hours = 0; hours <= 24 * 90; hours = 1 + 2 * hours) {
        for (i = 0; i < UNIT_LENGTH(tests); i++) {
            rule = rule_of(tests[i].kind, 1000, tests[i].burst);
            canary_trial_begin(&trial, &rule, NULL, 0, 10, hours * 36000,
                               CANARY_COHORT_MS, STEP);

            assert_true(trial.mixture.planned
                        == (hours ? hours : 1) * 3600000.0 / tests[i].ms);
        }
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_folded_proves_as_much_as_what_is_not),
        cmocka_unit_test(cohorts_before_the_first_are_left_out),
        cmocka_unit_test(late_outcomes_are_attempts_of_their_own),
        cmocka_unit_test(who_gave_up_was_slow),
        cmocka_unit_test(a_limit_may_not_be_comparable),
        cmocka_unit_test(a_trial_may_forget),
        cmocka_unit_test(a_window_is_of_what_is_folded_and_what_is_not),
        cmocka_unit_test(no_rule_goes_blind),
        cmocka_unit_test(a_longer_plan_has_more_observations)
    };

    return cmocka_run_group_tests_name("trial", tests, NULL, NULL);
}
