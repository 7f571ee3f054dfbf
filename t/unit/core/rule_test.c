
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * What rules there are and what they measure; rules without statistics
 * ("confidence=off"), and budgets.
 */


#include <string.h>

#include "canary_rule.h"

#include "unit.h"


#define PERCENT  (CANARY_RATIO_ONE / 100)


__extension__ typedef unsigned __int128  wide_t;


static canary_rule_t
rule_of(canary_rule_kind_t kind, uint64_t threshold, uint32_t min_requests)
{
    return (canary_rule_t) {
        .kind = kind, .threshold = threshold, .min_requests = min_requests
    };
}


/* Nothing is in flight: both views are the same. */

static canary_evidence_view_t
all_ended(canary_counts_t counts)
{
    return (canary_evidence_view_t) { .failing = counts, .passing = counts };
}


static canary_evidence_view_t
failures(uint64_t attempts, uint64_t bad)
{
    return all_ended((canary_counts_t) {
        .started = attempts, .bad_5xx = bad, .bad = bad
    });
}


static canary_evidence_view_t
times(uint64_t attempts, uint64_t time)
{
    return all_ended((canary_counts_t) {
        .started = attempts, .timed = attempts, .time = time
    });
}


static canary_judgement_t
judge(canary_rule_t rule, canary_evidence_view_t view)
{
    canary_judgement_t  judgement;

    memset(&judgement, 0x55, sizeof(canary_judgement_t));

    canary_rule_judge(&rule, 0, &view, &judgement);

    return judgement;
}


static canary_verdict_t
verdict(canary_rule_t rule, canary_evidence_view_t view)
{
    return judge(rule, view).verdict;
}


static void
rules_have_the_names_and_numbers_of_the_manual(void **state)
{
    size_t  i;
    int     kind;

    static const struct {
        const char          *name;
        uint32_t             id;
        canary_rule_kind_t   kind;
        canary_unit_t        unit;
        int                  immediate;
    } rules[] = {
        { "error_4xx_rate", 1007, CANARY_RULE_ERROR_4XX_RATE,
          CANARY_UNIT_RATIO, 1 },
        { "error_5xx_rate", 1008, CANARY_RULE_ERROR_5XX_RATE,
          CANARY_UNIT_RATIO, 1 },
        { "error_rate", 0, CANARY_RULE_ERROR_RATE,
          CANARY_UNIT_RATIO, 1 },
        { "latency_avg_max", 1005, CANARY_RULE_LATENCY_AVG_MAX,
          CANARY_UNIT_LATENCY, 0 },
        { "latency_p50_max", 0, CANARY_RULE_LATENCY_P50_MAX,
          CANARY_UNIT_LATENCY, 0 },
        { "latency_p90_max", 1006, CANARY_RULE_LATENCY_P90_MAX,
          CANARY_UNIT_LATENCY, 0 },
        { "latency_p95_max", 0, CANARY_RULE_LATENCY_P95_MAX,
          CANARY_UNIT_LATENCY, 0 },
        { "latency_p99_max", 0, CANARY_RULE_LATENCY_P99_MAX,
          CANARY_UNIT_LATENCY, 0 },
        { "failed_requests_max", 0, CANARY_RULE_FAILED_REQUESTS_MAX,
          CANARY_UNIT_COUNT, 1 },
        { "abandoned_rate", 0, CANARY_RULE_ABANDONED_RATE,
          CANARY_UNIT_RATIO, 0 },
        { "match_rate", 0, CANARY_RULE_MATCH_RATE, CANARY_UNIT_RATIO, 0 }
    };

    (void) state;

    assert_int_equal(UNIT_LENGTH(rules), CANARY_RULE_KINDS);

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        kind = canary_rule_by_name(rules[i].name, strlen(rules[i].name));

        assert_int_equal(kind, rules[i].kind);

        if (rules[i].id) {
            assert_int_equal(canary_rule_by_verta_id(rules[i].id), kind);
        }

        assert_string_equal(canary_rule_info[kind].name, rules[i].name);
        assert_int_equal(canary_rule_info[kind].verta_id, rules[i].id);
        assert_int_equal(canary_rule_info[kind].unit, rules[i].unit);
        assert_int_equal(canary_rule_info[kind].immediate,
                         rules[i].immediate);
    }
}


static void
an_unknown_name_or_number_is_no_rule(void **state)
{
    (void) state;

    assert_int_equal(canary_rule_by_name("", 0), -1);
    assert_int_equal(canary_rule_by_name("error_4xx", 9), -1);
    assert_int_equal(canary_rule_by_name("error_4xx_rate2", 15), -1);
    assert_int_equal(canary_rule_by_name("Error_4xx_rate", 14), -1);
    assert_int_equal(canary_rule_by_name("error_rate\0", 11), -1);
    assert_int_equal(canary_rule_by_name("error", 5), -1);

    assert_int_equal(canary_rule_by_verta_id(0), -1);
    assert_int_equal(canary_rule_by_verta_id(1), -1);
    assert_int_equal(canary_rule_by_verta_id(1004), -1);
    assert_int_equal(canary_rule_by_verta_id(1009), -1);
    assert_int_equal(canary_rule_by_verta_id(UINT32_MAX), -1);
}


/* The name in nginx.conf goes on after its end. */

static void
a_name_need_not_be_terminated(void **state)
{
    (void) state;

    assert_int_equal(canary_rule_by_name("error_rate 10%;", 10),
                     CANARY_RULE_ERROR_RATE);
}


static void
thresholds_and_values_are_shown_in_base_units(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_RATE, 29 * PERCENT, 1);
    assert_true(canary_rule_threshold(&rule) == 0.29);
    assert_true(canary_rule_base(&rule, 0.125) == 0.125);

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, 250000, 1);
    assert_true(canary_rule_threshold(&rule) == 0.25);
    assert_true(canary_rule_base(&rule, 1500000) == 1.5);

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 7, 1);
    assert_true(canary_rule_threshold(&rule) == 7);
    assert_true(canary_rule_base(&rule, 3) == 3);

    /* a latency compared with that of stable is a factor */

    rule = rule_of(CANARY_RULE_LATENCY_P90_MAX, 1300000000, 1);
    assert_true(canary_rule_threshold(&rule) == 1300);
    rule.baseline = 1;
    assert_int_equal(canary_rule_unit(&rule), CANARY_UNIT_FACTOR);
    assert_true(canary_rule_threshold(&rule) == 1.3);
    assert_true(canary_rule_base(&rule, 1.5) == 1.5);

    rule = rule_of(CANARY_RULE_ERROR_RATE, PERCENT, 1);
    rule.baseline = 1;
    assert_int_equal(canary_rule_unit(&rule), CANARY_UNIT_RATIO);
}


/* What is given of the parameters, and what the rule has then. */

static void
what_is_not_given_has_the_defaults_of_the_manual(void **state)
{
    size_t         i;
    canary_rule_t  rule;

    static const struct {
        canary_rule_t  given;
        unsigned       what;
        uint32_t       min_requests;
        uint32_t       confidence;
        uint32_t       burst;
    } tests[] = {
        { { .kind = CANARY_RULE_ERROR_RATE }, 0, 1, 999000000, 100 },
        { { .kind = CANARY_RULE_LATENCY_P99_MAX }, 0, 1, 999000000, 100 },
        { { .kind = CANARY_RULE_LATENCY_AVG_MAX }, 0, 50, 999000000, 100 },
        { { .kind = CANARY_RULE_ERROR_RATE, .baseline = 1 },
          CANARY_GIVEN_BASELINE, 50, 999000000, 100 },
        { { .kind = CANARY_RULE_LATENCY_P90_MAX, .baseline = 1 },
          CANARY_GIVEN_BASELINE, 50, 999000000, 100 },
        { { .kind = CANARY_RULE_ERROR_RATE }, CANARY_GIVEN_CONFIDENCE,
          50, 0, 0 },
        { { .kind = CANARY_RULE_ERROR_RATE, .window = 500 },
          CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW, 50, 0, 0 },
        { { .kind = CANARY_RULE_ERROR_RATE, .burst = 0 },
          CANARY_GIVEN_BURST, 1, 999000000, 0 },
        { { .kind = CANARY_RULE_ERROR_RATE, .min_requests = 9,
            .confidence = 900000000, .burst = 300 },
          CANARY_GIVEN_MIN_REQUESTS|CANARY_GIVEN_CONFIDENCE
          |CANARY_GIVEN_BURST, 9, 900000000, 300 },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX }, 0, 1, 0, 0 },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX },
          CANARY_GIVEN_CONFIDENCE, 1, 0, 0 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = tests[i].given;

        assert_null(canary_rule_complete(&rule, tests[i].what));
        assert_int_equal(rule.min_requests, tests[i].min_requests);
        assert_int_equal(rule.confidence, tests[i].confidence);
        assert_int_equal(rule.burst, tests[i].burst);
        assert_int_equal(rule.window, tests[i].given.window);
        assert_int_equal(rule.baseline, tests[i].given.baseline);
    }
}


static void
what_does_not_go_together_is_refused(void **state)
{
    size_t         i;
    const char    *wrong;
    canary_rule_t  rule;

    static const struct {
        canary_rule_t  given;
        unsigned       what;
        const char    *wrong;
    } tests[] = {
        { { .kind = CANARY_RULE_ERROR_RATE, .window = 1000 },
          CANARY_GIVEN_WINDOW, "has a window, which needs" },
        { { .kind = CANARY_RULE_LATENCY_P50_MAX, .window = 1000,
            .confidence = 900000000 },
          CANARY_GIVEN_WINDOW|CANARY_GIVEN_CONFIDENCE,
          "has a window, which needs" },
        { { .kind = CANARY_RULE_ERROR_RATE, .burst = 100 },
          CANARY_GIVEN_BURST|CANARY_GIVEN_CONFIDENCE, "has a burst" },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX,
            .confidence = 900000000 },
          CANARY_GIVEN_CONFIDENCE, "is a budget" },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX },
          CANARY_GIVEN_BURST, "is a budget" },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX, .window = 100 },
          CANARY_GIVEN_WINDOW, "is a budget" },
        { { .kind = CANARY_RULE_FAILED_REQUESTS_MAX, .baseline = 1 },
          CANARY_GIVEN_BASELINE, "is a budget" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = tests[i].given;
        wrong = canary_rule_complete(&rule, tests[i].what);

        assert_non_null(wrong);
        assert_ptr_equal(strstr(wrong, tests[i].wrong), wrong);
    }
}


static void
a_rule_of_single_attempts_is_judged_at_once(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, PERCENT, 50);
    assert_true(canary_rule_immediate(&rule));

    rule.window = 1000;
    assert_true(canary_rule_immediate(&rule));

    rule.window = 0;
    rule.baseline = 1;
    assert_false(canary_rule_immediate(&rule));

    rule = rule_of(CANARY_RULE_ERROR_4XX_RATE, PERCENT, 1);
    rule.confidence = CANARY_CONFIDENCE_DEFAULT;
    assert_true(canary_rule_immediate(&rule));

    rule.burst = 100;
    assert_false(canary_rule_immediate(&rule));

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 3, 1);
    assert_true(canary_rule_immediate(&rule));

    rule = rule_of(CANARY_RULE_LATENCY_P90_MAX, 1000, 1);
    assert_false(canary_rule_immediate(&rule));
}


static void
each_rule_has_its_measure(void **state)
{
    size_t            i;
    canary_rule_t     rule;
    canary_counts_t   counts;
    canary_measure_t  measure;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            sum;
        uint64_t            attempts;
    } tests[] = {
        { CANARY_RULE_ERROR_4XX_RATE, 3, 100 },
        { CANARY_RULE_ERROR_5XX_RATE, 5, 100 },
        { CANARY_RULE_ERROR_RATE, 7, 100 },
        { CANARY_RULE_LATENCY_AVG_MAX, 12000, 60 },
        { CANARY_RULE_LATENCY_P50_MAX, 13, 111 },
        { CANARY_RULE_LATENCY_P99_MAX, 13, 111 }
    };

    (void) state;

    counts = (canary_counts_t) {
        .started = 100, .bad_4xx = 3, .bad_5xx = 5, .bad = 7, .time_only = 11,
        .timed = 60, .time = 12000, .slow = { 99, 98, 13, 97 }
    };

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = rule_of(tests[i].kind, 1, 1);
        measure = canary_rule_measure(&rule, 2, &counts);

        assert_int_equal(measure.sum, tests[i].sum);
        assert_int_equal(measure.attempts, tests[i].attempts);
    }
}


/* By nearest rank: p90 is above the limit when more than 10 % are. */

static void
a_quantile_is_above_its_limit_when_too_many_times_are(void **state)
{
    size_t            i;
    canary_rule_t     rule;
    canary_measure_t  measure;

    static const struct {
        canary_rule_kind_t  kind;
        uint64_t            slow;      /* of 1000, the most that may be */
    } tests[] = {
        { CANARY_RULE_LATENCY_P50_MAX, 500 },
        { CANARY_RULE_LATENCY_P90_MAX, 100 },
        { CANARY_RULE_LATENCY_P95_MAX, 50 },
        { CANARY_RULE_LATENCY_P99_MAX, 10 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        rule = rule_of(tests[i].kind, 1000, 1);
        measure = (canary_measure_t) { tests[i].slow, 1000 };

        assert_false(canary_rule_above(&rule, &measure));
        measure.sum++;
        assert_true(canary_rule_above(&rule, &measure));
    }
}


static void
a_rate_may_exceed_that_of_stable_by_the_threshold(void **state)
{
    canary_rule_t     rule;
    canary_measure_t  canary, stable, none;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, PERCENT, 1);
    rule.baseline = 1;

    stable = (canary_measure_t) { 200, 10000 };
    canary = (canary_measure_t) { 30, 1000 };
    none = (canary_measure_t) { 0, 0 };

    assert_false(canary_rule_above_stable(&rule, &canary, &stable));
    canary.sum++;
    assert_true(canary_rule_above_stable(&rule, &canary, &stable));
    assert_false(canary_rule_above_stable(&rule, &canary, &none));
    assert_false(canary_rule_above_stable(&rule, &none, &stable));

    /* 0.29 is 0.28 and 0.01, though not in floating point */

    stable = (canary_measure_t) { 28, 100 };
    canary = (canary_measure_t) { 29, 100 };
    assert_false(canary_rule_above_stable(&rule, &canary, &stable));
}


static void
a_mean_may_be_so_many_times_that_of_stable(void **state)
{
    canary_rule_t     rule;
    canary_measure_t  canary, stable, none;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, 1300000000, 1);
    rule.baseline = 1;

    stable = (canary_measure_t) { 10000, 100 };
    canary = (canary_measure_t) { 13000, 100 };
    none = (canary_measure_t) { 0, 0 };

    assert_false(canary_rule_above_stable(&rule, &canary, &stable));
    canary.sum++;
    assert_true(canary_rule_above_stable(&rule, &canary, &stable));
    assert_false(canary_rule_above_stable(&rule, &canary, &none));
    assert_false(canary_rule_above_stable(&rule, &none, &stable));
}


/* What is overdue is too slow, and unknown of a factor: so long at least. */

static void
overdue_attempts_are_slow_when_an_average_is_to_pass(void **state)
{
    canary_rule_t           rule;
    canary_measure_t        measure;
    canary_evidence_view_t  view;

    (void) state;

    view = times(100, 5000);
    view.overdue = 2;
    view.pending = 1;
    view.patience = 10000;

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, 1000, 1);
    measure = canary_rule_passing_measure(&rule, 0, &view);

    assert_int_equal(measure.attempts, 103);
    assert_int_equal(measure.sum, 5000 + 3ull * 10000 * 1000);

    rule.threshold = 20000000;
    measure = canary_rule_passing_measure(&rule, 0, &view);
    assert_int_equal(measure.sum, 5000 + 3 * 20000001ull);

    rule.baseline = 1;
    measure = canary_rule_passing_measure(&rule, 0, &view);
    assert_int_equal(measure.sum, 5000 + 3ull * 10000 * 1000);
}


static void
an_error_rate_above_the_threshold_fails(void **state)
{
    size_t         i;
    canary_rule_t  rule;

    static const struct {
        uint64_t          threshold;
        uint64_t          bad;
        uint64_t          attempts;
        canary_verdict_t  verdict;
    } cases[] = {
        { 10 * PERCENT,     0,    1,       CANARY_PASSING },
        { 10 * PERCENT,     0,    100,     CANARY_PASSING },
        { 10 * PERCENT,     9,    100,     CANARY_PASSING },
        { 10 * PERCENT,     10,   100,     CANARY_PASSING },  /* equal */
        { 10 * PERCENT,     11,   100,     CANARY_FAILING },
        { 10 * PERCENT,     100,  100,     CANARY_FAILING },
        { 10 * PERCENT,     1,    10,      CANARY_PASSING },
        { 10 * PERCENT,     1,    9,       CANARY_FAILING },
        { 29 * PERCENT,     29,   100,     CANARY_PASSING },
        { 29 * PERCENT,     30,   100,     CANARY_FAILING },
        { 57 * PERCENT,     57,   100,     CANARY_PASSING },
        { 58 * PERCENT,     58,   100,     CANARY_PASSING },
        { 333333333,        1,    3,       CANARY_FAILING },
        { 333333334,        1,    3,       CANARY_PASSING },
        { 1,                1,    1000000000, CANARY_PASSING },
        { 1,                1,    999999999,  CANARY_FAILING }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, cases[i].threshold, 1);

        assert_int_equal(verdict(rule, failures(cases[i].attempts,
                                                cases[i].bad)),
                         cases[i].verdict);
    }
}


/* Each fraction b/n that a threshold can be: b of n pass, one more fails. */

static void
a_rate_equal_to_the_threshold_is_not_above_it(void **state)
{
    uint64_t       n, b;
    canary_rule_t  rule;

    (void) state;

    for (n = 1; n <= 1000; n++) {
        if (CANARY_RATIO_ONE % n != 0) {
            continue;
        }

        for (b = 0; b < n; b++) {
            rule = rule_of(CANARY_RULE_ERROR_RATE,
                           b * (CANARY_RATIO_ONE / n), 1);

            assert_int_equal(verdict(rule, failures(n, b)), CANARY_PASSING);
            assert_int_equal(verdict(rule, failures(n, b + 1)),
                             CANARY_FAILING);
        }
    }
}


static void
a_threshold_of_0_allows_no_error(void **state)
{
    canary_rule_t       rule;
    canary_judgement_t  judgement;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, 0, 10);

    assert_int_equal(verdict(rule, failures(10, 0)), CANARY_PASSING);
    assert_int_equal(verdict(rule, failures(10, 1)), CANARY_FAILING);
    assert_int_equal(verdict(rule, failures(1000000000, 1)), CANARY_FAILING);

    judgement = judge(rule, failures(9, 1));

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.needed, 1);
}


static void
a_threshold_of_1_allows_anything(void **state)
{
    (void) state;

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     CANARY_RATIO_ONE, 1),
                             failures(1000, 1000)),
                     CANARY_PASSING);
}


static void
each_error_rule_looks_at_its_own_class(void **state)
{
    canary_evidence_view_t  view;

    (void) state;

    view = all_ended((canary_counts_t) {
        .started = 100, .bad_4xx = 20, .bad_5xx = 0, .bad = 20
    });

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_4XX_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_FAILING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_FAILING);

    view = all_ended((canary_counts_t) {
        .started = 100, .bad_4xx = 0, .bad_5xx = 20, .bad = 20
    });

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_4XX_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_FAILING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_RATE,
                                     10 * PERCENT, 1), view),
                     CANARY_FAILING);
}


/* A 4xx whose body broke off is both; of the sum of errors it is one. */

static void
error_rate_counts_attempts_not_errors(void **state)
{
    canary_evidence_view_t  view;

    (void) state;

    view = all_ended((canary_counts_t) {
        .started = 100, .bad_4xx = 10, .bad_5xx = 10, .bad = 10
    });

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_RATE, 10 * PERCENT, 1),
                             view),
                     CANARY_PASSING);
}


static void
a_judgement_says_the_value_and_on_how_many_attempts(void **state)
{
    canary_judgement_t  judgement;

    (void) state;

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 1),
                      failures(300, 1));

    assert_true(judgement.value == 1.0 / 300);
    assert_int_equal(judgement.attempts, 300);
    assert_int_equal(judgement.needed, 0);

    judgement = judge(rule_of(CANARY_RULE_LATENCY_AVG_MAX, 1000, 1),
                      times(4, 10000));

    assert_true(judgement.value == 2500);
    assert_int_equal(judgement.attempts, 4);
    assert_int_equal(judgement.needed, 0);
}


static void
with_no_attempt_a_rule_is_undecided(void **state)
{
    canary_judgement_t  judgement;

    (void) state;

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50),
                      failures(0, 0));

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_true(judgement.value == 0);
    assert_int_equal(judgement.attempts, 0);
    assert_int_equal(judgement.needed, 50);

    judgement = judge(rule_of(CANARY_RULE_LATENCY_AVG_MAX, 1000, 50),
                      times(0, 0));

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_true(judgement.value == 0);
    assert_int_equal(judgement.needed, 50);
}


static void
with_fewer_than_min_requests_a_rule_is_undecided(void **state)
{
    canary_rule_t       rule;
    canary_judgement_t  judgement;

    (void) state;

    rule = rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50);

    judgement = judge(rule, failures(15, 0));
    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.needed, 35);

    judgement = judge(rule, failures(49, 0));
    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.needed, 1);

    assert_int_equal(verdict(rule, failures(50, 0)), CANARY_PASSING);

    /* it condemns no sooner than it clears */

    assert_int_equal(verdict(rule, failures(49, 49)), CANARY_UNDECIDED);
    assert_int_equal(verdict(rule, failures(50, 50)), CANARY_FAILING);
}


/* With errors it may take more than min_requests: 20 is 10 % of 200. */

static void
an_undecided_rule_says_how_many_clean_attempts_it_needs(void **state)
{
    canary_judgement_t  judgement;

    (void) state;

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50),
                      failures(40, 20));

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.needed, 160);
}


static void
so_many_clean_attempts_make_it_pass_and_one_fewer_do_not(void **state)
{
    uint32_t                n;
    uint64_t                seed;
    canary_rule_t           rule;
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    seed = 1;

    for (n = 0; n < 20000; n++) {
        rule = rule_of(CANARY_RULE_ERROR_5XX_RATE,
                       1 + unit_below(&seed, CANARY_RATIO_ONE),
                       1 + unit_below(&seed, 200));

        view = (canary_evidence_view_t) { 0 };
        view.passing.started = unit_below(&seed, 300);
        view.passing.bad_5xx = unit_below(&seed,
                                     (uint32_t) view.passing.started + 1);

        judgement = judge(rule, view);

        if (judgement.verdict == CANARY_PASSING) {
            assert_int_equal(judgement.needed, 0);
            continue;
        }

        assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
        assert_true(judgement.needed > 0);

        view.passing.started += judgement.needed - 1;
        assert_int_equal(verdict(rule, view), CANARY_UNDECIDED);

        view.passing.started++;
        assert_int_equal(verdict(rule, view), CANARY_PASSING);
    }
}


/* 5 quick errors and 55 in flight: 5 of 60 is not above 10 %, 5 of 5 is. */

static void
quick_errors_do_not_condemn_slow_successes(void **state)
{
    canary_evidence_view_t  view;

    (void) state;

    view = (canary_evidence_view_t) {
        .failing = { .started = 60, .bad_5xx = 5, .bad = 5 },
        .passing = { .started = 5, .bad_5xx = 5, .bad = 5 }
    };

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     10 * PERCENT, 5),
                             view),
                     CANARY_UNDECIDED);
}


static void
what_is_in_flight_clears_nobody(void **state)
{
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    view = (canary_evidence_view_t) {
        .failing = { .started = 1000 },
        .passing = { .started = 20 }
    };

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50),
                      view);

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.attempts, 1000);
    assert_int_equal(judgement.needed, 30);
}


/* Overdue attempts are bad in the view for passing, and only there. */

static void
overdue_attempts_hold_up_and_do_not_condemn(void **state)
{
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    view = (canary_evidence_view_t) {
        .failing = { .started = 100 },
        .passing = { .started = 100, .bad_4xx = 20, .bad_5xx = 20,
                     .bad = 20 },
        .overdue = 20
    };

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50),
                      view);

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_true(judgement.value == 0);
    assert_int_equal(judgement.needed, 100);

    judgement = judge(rule_of(CANARY_RULE_ERROR_4XX_RATE, 20 * PERCENT, 50),
                      view);

    assert_int_equal(judgement.verdict, CANARY_PASSING);

    judgement = judge(rule_of(CANARY_RULE_LATENCY_AVG_MAX, 9999999, 20),
                      view);

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_true(judgement.needed > 0);

    /* also for a rule that allows for more than they have taken so far */

    judgement = judge(rule_of(CANARY_RULE_LATENCY_AVG_MAX, 60000000, 20),
                      view);

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
}


static void
with_a_threshold_of_0_an_overdue_attempt_holds_up(void **state)
{
    canary_evidence_view_t  view;

    (void) state;

    view = (canary_evidence_view_t) {
        .failing = { .started = 1000 },
        .passing = { .started = 1000, .bad_5xx = 1, .bad = 1 }
    };

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE, 0, 1), view),
                     CANARY_UNDECIDED);
}


static void
a_mean_time_above_the_threshold_fails(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, 250000, 1);

    assert_int_equal(verdict(rule, times(1, 0)), CANARY_PASSING);
    assert_int_equal(verdict(rule, times(1, 249999)), CANARY_PASSING);
    assert_int_equal(verdict(rule, times(1, 250000)), CANARY_PASSING);
    assert_int_equal(verdict(rule, times(1, 250001)), CANARY_FAILING);

    /* 250,000 and a third is above 250,000 */

    assert_int_equal(verdict(rule, times(3, 750000)), CANARY_PASSING);
    assert_int_equal(verdict(rule, times(3, 750001)), CANARY_FAILING);
}


static void
a_mean_time_is_of_attempts_whose_time_is_known(void **state)
{
    canary_rule_t           rule;
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, 1000, 10);

    view = all_ended((canary_counts_t) {
        .started = 1000, .bad_5xx = 500, .timed = 9, .time = 90000
    });

    judgement = judge(rule, view);
    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_int_equal(judgement.attempts, 9);
    assert_int_equal(judgement.needed, 1);
    assert_true(judgement.value == 10000);

    view = all_ended((canary_counts_t) {
        .started = 1000, .bad_5xx = 500, .timed = 10, .time = 10000
    });

    assert_int_equal(verdict(rule, view), CANARY_PASSING);
}


static void
a_budget_passes_while_it_is_not_exceeded(void **state)
{
    canary_rule_t           rule;
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 5, 1);
    view = failures(100, 0);

    view.spent = 0;
    assert_int_equal(verdict(rule, view), CANARY_PASSING);

    view.spent = 5;
    assert_int_equal(verdict(rule, view), CANARY_PASSING);

    view.spent = 6;
    judgement = judge(rule, view);
    assert_int_equal(judgement.verdict, CANARY_FAILING);
    assert_true(judgement.value == 6);
    assert_int_equal(judgement.attempts, 100);
    assert_int_equal(judgement.needed, 0);
}


static void
a_budget_needs_no_attempts(void **state)
{
    canary_rule_t           rule;
    canary_evidence_view_t  view;

    (void) state;

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 5, 50);
    view = failures(0, 0);

    assert_int_equal(verdict(rule, view), CANARY_PASSING);

    /* all of it was spent in earlier steps */

    view.spent = 6;
    assert_int_equal(verdict(rule, view), CANARY_FAILING);
}


/* The step's failures alone are none of its business. */

static void
a_budget_counts_what_was_spent_since_the_rollout_began(void **state)
{
    canary_evidence_view_t  view;

    (void) state;

    view = failures(100, 100);
    view.spent = 3;

    assert_int_equal(verdict(rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 3, 1),
                             view),
                     CANARY_PASSING);
}


static void
a_budget_of_0_is_broken_by_one_failure(void **state)
{
    canary_rule_t           rule;
    canary_evidence_view_t  view;

    (void) state;

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, 0, 1);
    view = failures(1, 0);

    assert_int_equal(verdict(rule, view), CANARY_PASSING);

    view.spent = 1;
    assert_int_equal(verdict(rule, view), CANARY_FAILING);
}


/* A rollout that is paused for a year at 100,000 requests a second. */

static void
huge_numbers_of_attempts_do_not_overflow(void **state)
{
    uint64_t  year;

    (void) state;

    year = 365ull * 86400 * 100000;

    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     50 * PERCENT, 1),
                             failures(year, year / 2)),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     50 * PERCENT, 1),
                             failures(year, year / 2 + 1)),
                     CANARY_FAILING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     CANARY_RATIO_ONE, 1),
                             failures(year, 1)),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     10 * PERCENT, 1),
                             failures(year, year)),
                     CANARY_FAILING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     10 * PERCENT, 1),
                             failures(UINT64_MAX, UINT64_MAX)),
                     CANARY_FAILING);
    assert_int_equal(verdict(rule_of(CANARY_RULE_ERROR_5XX_RATE,
                                     CANARY_RATIO_ONE, 1),
                             failures(UINT64_MAX, UINT64_MAX)),
                     CANARY_PASSING);
}


static void
any_rate_is_compared_as_in_exact_arithmetic(void **state)
{
    int            above;
    uint32_t       n;
    uint64_t       seed, attempts, bad;
    canary_rule_t  rule;

    (void) state;

    seed = 2;

    for (n = 0; n < 100000; n++) {
        attempts = (uint64_t) unit_random(&seed) << 32 | unit_random(&seed);
        attempts = (attempts >> unit_below(&seed, 64)) | 1;

        rule = rule_of(CANARY_RULE_ERROR_RATE,
                       unit_below(&seed, CANARY_RATIO_ONE + 1), 1);

        if (unit_one_in(&seed, 2)) {
            bad = (uint64_t) ((wide_t) attempts * unit_random(&seed) >> 32);

        } else {

            /* as near to the threshold as can be */

            bad = (uint64_t) ((wide_t) attempts * rule.threshold
                              / CANARY_RATIO_ONE);
            bad += unit_below(&seed, 2);
        }

        above = (wide_t) bad * CANARY_RATIO_ONE
                > (wide_t) attempts * rule.threshold;

        assert_int_equal(verdict(rule, failures(attempts, bad)),
                         above ? CANARY_FAILING : CANARY_PASSING);
    }
}


static void
huge_numbers_of_clean_attempts_needed_do_not_overflow(void **state)
{
    canary_judgement_t      judgement;
    canary_evidence_view_t  view;

    (void) state;

    view = (canary_evidence_view_t) { 0 };
    view.passing.started = 100000000000;
    view.passing.bad_5xx = 50000000000;

    judgement = judge(rule_of(CANARY_RULE_ERROR_5XX_RATE, 10 * PERCENT, 50),
                      view);

    assert_int_equal(judgement.verdict, CANARY_UNDECIDED);
    assert_true(judgement.needed == 400000000000);
}


static void
huge_times_do_not_overflow(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = rule_of(CANARY_RULE_LATENCY_AVG_MAX, CANARY_LATENCY_MAX, 1);

    assert_int_equal(verdict(rule, times(1, UINT64_MAX)), CANARY_FAILING);
    assert_int_equal(verdict(rule, times(UINT64_MAX, UINT64_MAX)),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule, times(200000000,
                                         200000000 * CANARY_LATENCY_MAX)),
                     CANARY_PASSING);
    assert_int_equal(verdict(rule, times(200000000,
                                         200000000 * CANARY_LATENCY_MAX + 1)),
                     CANARY_FAILING);
}


static void
a_huge_budget_does_not_overflow(void **state)
{
    canary_rule_t           rule;
    canary_evidence_view_t  view;

    (void) state;

    rule = rule_of(CANARY_RULE_FAILED_REQUESTS_MAX, CANARY_COUNT_MAX, 1);
    view = failures(0, 0);

    view.spent = CANARY_COUNT_MAX;
    assert_int_equal(verdict(rule, view), CANARY_PASSING);

    view.spent = CANARY_COUNT_MAX + 1;
    assert_int_equal(verdict(rule, view), CANARY_FAILING);

    view.spent = UINT64_MAX;
    assert_int_equal(verdict(rule, view), CANARY_FAILING);
}


int
main(void)
{
    const struct CMUnitTest  rule[] = {
        cmocka_unit_test(rules_have_the_names_and_numbers_of_the_manual),
        cmocka_unit_test(an_unknown_name_or_number_is_no_rule),
        cmocka_unit_test(a_name_need_not_be_terminated),
        cmocka_unit_test(thresholds_and_values_are_shown_in_base_units),
        cmocka_unit_test(what_is_not_given_has_the_defaults_of_the_manual),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(a_rule_of_single_attempts_is_judged_at_once),
        cmocka_unit_test(each_rule_has_its_measure),
        cmocka_unit_test(
            a_quantile_is_above_its_limit_when_too_many_times_are),
        cmocka_unit_test(a_rate_may_exceed_that_of_stable_by_the_threshold),
        cmocka_unit_test(a_mean_may_be_so_many_times_that_of_stable),
        cmocka_unit_test(overdue_attempts_are_slow_when_an_average_is_to_pass),
        cmocka_unit_test(an_error_rate_above_the_threshold_fails),
        cmocka_unit_test(a_rate_equal_to_the_threshold_is_not_above_it),
        cmocka_unit_test(a_threshold_of_0_allows_no_error),
        cmocka_unit_test(a_threshold_of_1_allows_anything),
        cmocka_unit_test(each_error_rule_looks_at_its_own_class),
        cmocka_unit_test(error_rate_counts_attempts_not_errors),
        cmocka_unit_test(a_judgement_says_the_value_and_on_how_many_attempts),
        cmocka_unit_test(with_no_attempt_a_rule_is_undecided),
        cmocka_unit_test(with_fewer_than_min_requests_a_rule_is_undecided),
        cmocka_unit_test(
            an_undecided_rule_says_how_many_clean_attempts_it_needs),
        cmocka_unit_test(
            so_many_clean_attempts_make_it_pass_and_one_fewer_do_not),
        cmocka_unit_test(quick_errors_do_not_condemn_slow_successes),
        cmocka_unit_test(what_is_in_flight_clears_nobody),
        cmocka_unit_test(overdue_attempts_hold_up_and_do_not_condemn),
        cmocka_unit_test(with_a_threshold_of_0_an_overdue_attempt_holds_up),
        cmocka_unit_test(a_mean_time_above_the_threshold_fails),
        cmocka_unit_test(a_mean_time_is_of_attempts_whose_time_is_known),
        cmocka_unit_test(a_budget_passes_while_it_is_not_exceeded),
        cmocka_unit_test(a_budget_needs_no_attempts),
        cmocka_unit_test(
            a_budget_counts_what_was_spent_since_the_rollout_began),
        cmocka_unit_test(a_budget_of_0_is_broken_by_one_failure),
        cmocka_unit_test(huge_numbers_of_attempts_do_not_overflow),
        cmocka_unit_test(any_rate_is_compared_as_in_exact_arithmetic),
        cmocka_unit_test(
            huge_numbers_of_clean_attempts_needed_do_not_overflow),
        cmocka_unit_test(huge_times_do_not_overflow),
        cmocka_unit_test(a_huge_budget_does_not_overflow)
    };

    return cmocka_run_group_tests(rule, NULL, NULL);
}
