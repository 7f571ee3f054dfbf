
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Strategies as JSON: what is accepted and how it is kept, what is refused
 * and where the error points to.
 */


#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_json.h"
#include "canary_strategy_json.h"
#include "canary_text.h"

#include "unit.h"


static canary_json_errors_t  errors;
static canary_strategy_t     strategy;


/* Reads {"strategy": ..., "canary_strategy": ...} over the defaults. */

static canary_strategy_kind_t
read_over(const char *text, const canary_strategy_t *base)
{
    cJSON                   *json;
    const cJSON             *values[2];
    canary_strategy_kind_t   kind;

    static const char *const  names[] = { "strategy", "canary_strategy" };

    memset(&errors, 0, sizeof(errors));
    strategy = *base;

    json = canary_json_parse(text, strlen(text), &errors);

    if (json == NULL
        || !canary_json_members(json, NULL, names, 2, values, &errors))
    {
        cJSON_Delete(json);
        return CANARY_STRATEGY_CANARY;
    }

    kind = canary_strategy_json_read(values[0], values[1], NULL, &strategy,
                                     &errors);
    cJSON_Delete(json);

    return kind;
}


static canary_strategy_kind_t
read_text(const char *text)
{
    canary_strategy_t  base;

    canary_strategy_init(&base);

    return read_over(text, &base);
}


static void
read_parts(const char *parts)
{
    char  text[8192];

    (void) snprintf(text, sizeof(text), "{\"canary_strategy\":%s}", parts);
    (void) read_text(text);
}


static void
accepted(void)
{
    if (errors.total) {
        fail_msg("%s: %s", errors.list[0].pointer, errors.list[0].detail);
    }
}


static void
refused(const char *pointer, const char *detail)
{
    assert_int_equal(errors.total, 1);
    assert_string_equal(errors.list[0].pointer, pointer);

    if (strstr(errors.list[0].detail, detail) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", detail, errors.list[0].detail);
    }
}


/* A rule with a threshold, both as JSON. */

static void
read_rule(const char *name, const char *threshold, const char *more)
{
    char  text[4096];

    (void) snprintf(text, sizeof(text),
                    "{\"rules\":[{\"rule\":\"%s\",\"rule_parameters\":"
                    "[{\"name\":\"threshold\",\"value\":%s}%s]}]}",
                    name, threshold, more);
    read_parts(text);
}


static uint64_t
threshold_of(const char *name, const char *threshold)
{
    read_rule(name, threshold, "");
    accepted();

    return strategy.rules[0].threshold;
}


static void
test_contract_example(void **state)
{
    (void) state;

    assert_int_equal(
        read_text("{\"strategy\":\"canary\",\"canary_strategy\":{"
                  "\"progress_interval_seconds\":10,\"progress_step\":0.2,"
                  "\"rules\":[{\"rule\":\"error_4xx_rate\","
                  "\"rule_parameters\":[{\"name\":\"threshold\","
                  "\"value\":\"0.1\"}]}]}}"),
        CANARY_STRATEGY_CANARY);

    accepted();
    assert_int_equal(strategy.interval, 10000);
    assert_int_equal(strategy.linear, 200000);
    assert_int_equal(strategy.nsteps, 0);
    assert_int_equal(strategy.nrules, 1);
    assert_int_equal(strategy.rules[0].kind, CANARY_RULE_ERROR_4XX_RATE);
    assert_int_equal(strategy.rules[0].threshold, 100000000);
    assert_int_equal(strategy.rules[0].min_requests,
                     1);
}


static void
test_every_part(void **state)
{
    (void) state;

    read_parts("{\"progress_interval_seconds\":0.25,"
               "\"progress_steps\":[0.01,0.05,0.5],\"bake_seconds\":90,"
               "\"patience_seconds\":62.5,"
               "\"on_violation\":\"halt\",\"on_undecided\":\"advance\","
               "\"approval\":\"promotion\"}");

    accepted();
    assert_int_equal(strategy.interval, 250);
    assert_int_equal(strategy.bake, 90000);
    assert_int_equal(strategy.patience, 62500);
    assert_int_equal(strategy.on_violation, CANARY_HALT);
    assert_int_equal(strategy.on_undecided, CANARY_ADVANCE_UNDECIDED);
    assert_int_equal(strategy.approval, CANARY_APPROVAL_PROMOTION);
    assert_int_equal(strategy.linear, 0);
    assert_int_equal(strategy.nsteps, 4);
    assert_int_equal(strategy.steps[0], 10000);
    assert_int_equal(strategy.steps[3], CANARY_ONE);
}


static void
test_absent_parts_remain(void **state)
{
    canary_strategy_t  base;

    (void) state;

    read_rule("latency_avg_max", "250",
              ",{\"name\":\"min_requests\",\"value\":7}");
    accepted();

    base = strategy;
    base.on_violation = CANARY_HALT;

    read_over("{\"canary_strategy\":{\"bake_seconds\":5}}", &base);

    accepted();
    base.bake = 5000;
    assert_memory_equal(&strategy, &base, sizeof(base));

    read_over("{}", &base);
    accepted();
    assert_memory_equal(&strategy, &base, sizeof(base));
}


static void
test_rules_replace_all_rules(void **state)
{
    canary_strategy_t  base;

    (void) state;

    read_parts("{\"rules\":[{\"rule\":\"error_rate\",\"rule_parameters\":"
               "[{\"name\":\"threshold\",\"value\":0.1}]},"
               "{\"rule_id\":1008,\"rule_parameters\":"
               "[{\"name\":\"threshold\",\"value\":0.2}]}]}");
    accepted();
    assert_int_equal(strategy.nrules, 2);
    assert_int_equal(strategy.rules[1].kind, CANARY_RULE_ERROR_5XX_RATE);

    base = strategy;
    read_over("{\"canary_strategy\":{\"rules\":[{\"rule_id\":1005,"
              "\"rule_parameters\":[{\"name\":\"threshold\","
              "\"value\":100}]}]}}", &base);
    accepted();
    assert_int_equal(strategy.nrules, 1);
    assert_int_equal(strategy.rules[0].kind, CANARY_RULE_LATENCY_AVG_MAX);
    assert_int_equal(strategy.rules[1].threshold, 0);
}


static void
test_a_rule_may_come_twice(void **state)
{
    (void) state;

    read_parts("{\"rules\":[{\"rule_id\":1008,\"rule_parameters\":"
               "[{\"name\":\"threshold\",\"value\":0.1}]},"
               "{\"rule_id\":1008,\"rule\":\"error_5xx_rate\","
               "\"rule_parameters\":[{\"name\":\"threshold\","
               "\"value\":0.2}]}]}");
    accepted();
    assert_int_equal(strategy.nrules, 2);
}


static void
test_units(void **state)
{
    (void) state;

    assert_int_equal(threshold_of("error_rate", "0"), 0);
    assert_int_equal(threshold_of("error_rate", "1"), 1000000000);
    assert_int_equal(threshold_of("error_rate", "0.29"), 290000000);
    assert_int_equal(threshold_of("error_rate", "0.999999999"), 999999999);
    assert_int_equal(threshold_of("error_rate", "1e-05"), 10000);
    assert_int_equal(threshold_of("error_rate", "\"0.29\""), 290000000);
    assert_int_equal(threshold_of("error_rate", "\"1e-05\""), 10000);
    assert_int_equal(threshold_of("error_rate", "\"0\""), 0);
    assert_int_equal(threshold_of("error_rate", "\"1.0\""), 1000000000);

    assert_int_equal(threshold_of("latency_avg_max", "250"), 250000);
    assert_int_equal(threshold_of("latency_avg_max", "0.8"), 800);
    assert_int_equal(threshold_of("latency_avg_max", "0.001"), 1);
    assert_int_equal(threshold_of("latency_avg_max", "0.0006"), 1);
    assert_int_equal(threshold_of("latency_avg_max", "1.0015"), 1002);
    assert_int_equal(threshold_of("latency_avg_max", "\"100.0\""), 100000);
    assert_int_equal(threshold_of("latency_avg_max", "86400000"),
                     86400000000);

    assert_int_equal(threshold_of("failed_requests_max", "0"), 0);
    assert_int_equal(threshold_of("failed_requests_max", "\"5\""), 5);
    assert_int_equal(threshold_of("failed_requests_max", "1e9"), 1000000000);
}


static void
test_thresholds_out_of_range(void **state)
{
    size_t       i;
    const char  *pointer;

    static const struct {
        const char  *rule;
        const char  *value;
        const char  *detail;
    } tests[] = {
        { "error_rate", "1.5", "a ratio from 0 to 1, not 1.5" },
        { "error_rate", "1.0000000001", "a ratio from 0 to 1" },
        { "error_rate", "-0.1", "a ratio from 0 to 1, not -0.1" },
        { "error_rate", "\"-1.0\"", "not \"-1.0\"" },
        { "error_rate", "\"10%\"", "not \"10%\"" },
        { "error_rate", "\"\"", "not \"\"" },
        { "error_rate", "\" 0.1\"", "not \" 0.1\"" },
        { "error_rate", "\"0.1 \"", "not \"0.1 \"" },
        { "error_rate", "\"0,1\"", "not \"0,1\"" },
        { "error_rate", "\".1\"", "not \".1\"" },
        { "error_rate", "\"1.\"", "not \"1.\"" },
        { "error_rate", "\"01\"", "not \"01\"" },
        { "error_rate", "\"+1\"", "not \"+1\"" },
        { "error_rate", "\"1e\"", "not \"1e\"" },
        { "error_rate", "\"0x1\"", "not \"0x1\"" },
        { "error_rate", "\"nan\"", "not \"nan\"" },
        { "error_rate", "\"inf\"", "not \"inf\"" },
        { "error_rate", "\"True\"", "not \"True\"" },
        { "error_rate", "true", "not true" },
        { "error_rate", "null", "not null" },
        { "error_rate", "[]", "not an array" },
        { "error_rate", "{}", "not an object" },
        { "error_rate", "1e999", "not a number as large" },
        { "error_rate", "-1e999", "not a number as large" },
        { "error_rate", "\"1e999\"", "not \"1e999\"" },
        { "error_rate", "\"1e99999999999999999999\"", "a ratio" },
        { "latency_avg_max", "0", "0.001 to 86400000, not 0" },
        { "latency_avg_max", "0.0004", "0.001 to 86400000, not 0.0004" },
        { "latency_avg_max", "86400000.001", "0.001 to 86400000" },
        { "latency_avg_max", "\"250ms\"", "not \"250ms\"" },
        { "latency_avg_max", "1e300", "0.001 to 86400000" },
        { "failed_requests_max", "2.5", "a whole number" },
        { "failed_requests_max", "-1", "a whole number" },
        { "failed_requests_max", "1000000001", "0 to 1000000000" }
    };

    (void) state;

    pointer = "/canary_strategy/rules/0/rule_parameters/0/value";

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        read_rule(tests[i].rule, tests[i].value, "");
        refused(pointer, tests[i].detail);
    }
}


static void
test_parameters(void **state)
{
    const char  *pointer, *name;

    (void) state;

    name = "/canary_strategy/rules/0/rule_parameters/1/name";
    pointer = "/canary_strategy/rules/0/rule_parameters/1/value";

    read_rule("error_rate", "0.1",
              ",{\"name\":\"min_requests\",\"value\":\"10\"}");
    accepted();
    assert_int_equal(strategy.rules[0].min_requests, 10);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"min_requests\",\"value\":0}");
    refused(pointer, "a whole number from 1 to 1000000000, not 0");

    read_rule("error_rate", "0.1",
              ",{\"name\":\"min_requests\",\"value\":1.5}");
    refused(pointer, "a whole number");

    read_rule("error_rate", "0.1",
              ",{\"name\":\"threshold\",\"value\":0.2}");
    refused(name, "twice");

    read_rule("error_rate", "0.1", ",{\"name\":\"thresold\",\"value\":1}");
    refused(name, "threshold, min_requests");

    read_rule("error_rate", "0.1", ",{\"name\":7,\"value\":1}");
    refused(name, "not 7");

    read_rule("error_rate", "0.1", ",{\"name\":\"min_requests\"}");
    refused("/canary_strategy/rules/0/rule_parameters/1", "\"value\"");

    read_rule("error_rate", "0.1", ",{\"value\":1}");
    refused("/canary_strategy/rules/0/rule_parameters/1", "\"name\"");

    read_rule("error_rate", "0.1",
              ",{\"name\":\"min_requests\",\"value\":1,\"type\":\"x\"}");
    refused("/canary_strategy/rules/0/rule_parameters/1/type", "not known");

    read_rule("error_rate", "0.1", ",7");
    refused("/canary_strategy/rules/0/rule_parameters/1", "an object, not 7");
}


static void
assert_rule(uint32_t min_requests, uint32_t confidence, uint32_t burst,
    uint32_t window, uint32_t baseline)
{
    accepted();
    assert_int_equal(strategy.rules[0].min_requests, min_requests);
    assert_int_equal(strategy.rules[0].confidence, confidence);
    assert_int_equal(strategy.rules[0].burst, burst);
    assert_int_equal(strategy.rules[0].window, window);
    assert_int_equal(strategy.rules[0].baseline, baseline);
}


static void
test_statistics(void **state)
{
    (void) state;

    read_rule("error_rate", "0.1", "");
    assert_rule(1, 999000000, 100, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"confidence\",\"value\":\"off\"}");
    assert_rule(50, 0, 0, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"confidence\",\"value\":\"0.5\"}");
    assert_rule(1, 500000000, 100, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"confidence\",\"value\":0.999999999},"
              "{\"name\":\"burst_seconds\",\"value\":0}");
    assert_rule(1, 999999999, 0, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"burst_seconds\",\"value\":\"10\"}");
    assert_rule(1, 999000000, 10000, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"burst_seconds\",\"value\":0.3}");
    assert_rule(1, 999000000, 300, 0, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"window_seconds\",\"value\":0.1},"
              "{\"name\":\"confidence\",\"value\":\"off\"}");
    assert_rule(50, 0, 0, 100, 0);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"baseline\",\"value\":\"stable\"}");
    assert_rule(50, 999000000, 100, 0, 1);

    read_rule("error_rate", "0.1",
              ",{\"name\":\"baseline\",\"value\":\"stable\"},"
              "{\"name\":\"confidence\",\"value\":\"off\"},"
              "{\"name\":\"window_seconds\",\"value\":86400},"
              "{\"name\":\"min_requests\",\"value\":7}");
    assert_rule(7, 0, 0, 86400000, 1);

    read_rule("latency_avg_max", "250", "");
    assert_rule(50, 999000000, 100, 0, 0);

    read_rule("latency_p99_max", "250", "");
    assert_rule(1, 999000000, 100, 0, 0);

    read_rule("failed_requests_max", "3", "");
    assert_rule(1, 0, 0, 0, 0);
}


static void
test_statistics_that_are_none(void **state)
{
    size_t  i;

    static const struct {
        const char  *name;
        const char  *value;
        const char  *detail;
    } tests[] = {
        { "confidence", "1", "\"off\", or a ratio from 0.5" },
        { "confidence", "0.4999", "\"off\", or a ratio from 0.5" },
        { "confidence", "0", "\"off\", or a ratio from 0.5" },
        { "confidence", "\"on\"", "not \"on\"" },
        { "confidence", "\"OFF\"", "not \"OFF\"" },
        { "confidence", "null", "not null" },
        { "burst_seconds", "-0.1", "in tenths, not -0.1" },
        { "burst_seconds", "0.15", "in tenths, not 0.15" },
        { "burst_seconds", "10.1", "in tenths, not 10.1" },
        { "burst_seconds", "\"100ms\"", "not \"100ms\"" },
        { "window_seconds", "0", "0.1 to 86400, not 0" },
        { "window_seconds", "0.099", "0.1 to 86400, not 0.099" },
        { "window_seconds", "86401", "0.1 to 86400, not 86401" },
        { "baseline", "\"canary\"", "stable, not \"canary\"" },
        { "baseline", "true", "not true" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        char  more[256];

        (void) snprintf(more, sizeof(more),
                        ",{\"name\":\"%s\",\"value\":%s}%s", tests[i].name,
                        tests[i].value,
                        (tests[i].name[0] == 'w')
                        ? ",{\"name\":\"confidence\",\"value\":\"off\"}"
                        : "");

        read_rule("error_rate", "0.1", more);
        refused("/canary_strategy/rules/0/rule_parameters/1/value",
                tests[i].detail);
    }
}


static void
test_statistics_that_do_not_go_together(void **state)
{
    size_t  i;

    static const struct {
        const char  *rule;
        const char  *more;
        const char  *detail;
    } tests[] = {
        { "error_rate",
          ",{\"name\":\"window_seconds\",\"value\":10}",
          "error_rate has a window, which needs \"confidence=off\"" },
        { "error_rate",
          ",{\"name\":\"confidence\",\"value\":\"off\"},"
          "{\"name\":\"burst_seconds\",\"value\":0}",
          "error_rate has a burst, which is only for rules with confidence" },
        { "failed_requests_max",
          ",{\"name\":\"confidence\",\"value\":0.9}",
          "failed_requests_max is a budget" },
        { "failed_requests_max",
          ",{\"name\":\"burst_seconds\",\"value\":0.1}", "is a budget" },
        { "failed_requests_max",
          ",{\"name\":\"window_seconds\",\"value\":10}", "is a budget" },
        { "failed_requests_max",
          ",{\"name\":\"baseline\",\"value\":\"stable\"}", "is a budget" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        read_rule(tests[i].rule, "1", tests[i].more);
        refused("/canary_strategy/rules/0/rule_parameters", tests[i].detail);
    }

    read_rule("failed_requests_max", "1",
              ",{\"name\":\"confidence\",\"value\":\"off\"}");
    accepted();
}


/* Of a rule about latency, by how much it may exceed that of stable. */

static void
test_a_factor_of_stable(void **state)
{
    size_t  i;

    static const char  baseline[] =
        ",{\"name\":\"baseline\",\"value\":\"stable\"}";

    static const char *const  wrong[] = { "0", "1000.1", "-1" };

    (void) state;

    read_rule("latency_p90_max", "1.3", baseline);
    accepted();
    assert_int_equal(strategy.rules[0].threshold, 1300000000);

    read_rule("latency_avg_max", "\"1000\"", baseline);
    accepted();
    assert_int_equal(strategy.rules[0].threshold, CANARY_FACTOR_MAX);

    for (i = 0; i < UNIT_LENGTH(wrong); i++) {
        read_rule("latency_p90_max", wrong[i], baseline);
        refused("/canary_strategy/rules/0/rule_parameters/0/value",
                "a factor above 0, up to 1000");
    }

    /* whatever the order */

    read_parts("{\"rules\":[{\"rule\":\"latency_p50_max\","
               "\"rule_parameters\":[{\"name\":\"baseline\",\"value\":"
               "\"stable\"},{\"name\":\"threshold\",\"value\":2}]}]}");
    accepted();
    assert_int_equal(strategy.rules[0].threshold, 2000000000);

    /* a difference for a rate */

    read_rule("error_rate", "0.01", baseline);
    accepted();
    assert_int_equal(strategy.rules[0].threshold, 10000000);
}


static void
test_as_many_quantiles_as_there_are_limits(void **state)
{
    int     i, n;
    char    parts[4096];
    size_t  len;

    (void) state;

    for (n = CANARY_LIMITS_MAX; n <= CANARY_LIMITS_MAX + 1; n++) {
        len = (size_t) snprintf(parts, sizeof(parts), "{\"rules\":["
                                "{\"rule_id\":1005,\"rule_parameters\":"
                                "[{\"name\":\"threshold\",\"value\":1}]}");

        for (i = 0; i < n; i++) {
            len += (size_t) snprintf(parts + len, sizeof(parts) - len,
                                     ",{\"rule_id\":1006,\"rule_parameters\":"
                                     "[{\"name\":\"threshold\","
                                     "\"value\":1}]}");
        }

        (void) snprintf(parts + len, sizeof(parts) - len, "]}");

        read_parts(parts);

        if (n == CANARY_LIMITS_MAX) {
            accepted();
        }
    }

    refused("/canary_strategy/rules", "at most 8 rules about quantiles");
}


static void
test_matches(void **state)
{
    unsigned  n;
    size_t    len;
    char      parts[2048];

    static const char  wrong[] =
        "/canary_strategy/rules/0/rule_parameters/1/value";

    (void) state;

    read_parts("{\"rules\":["
               "{\"rule\":\"match_rate\",\"rule_parameters\":["
               "{\"name\":\"match\",\"value\":\"redirects\"},"
               "{\"name\":\"threshold\",\"value\":0.1}]},"
               "{\"rule\":\"error_rate\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":0.1}]},"
               "{\"rule\":\"match_rate\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":0.2},"
               "{\"name\":\"match\",\"value\":\"empty\"}]},"
               "{\"rule\":\"match_rate\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":0.3},"
               "{\"name\":\"match\",\"value\":\"redirects\"}]}]}");
    accepted();

    assert_int_equal(strategy.rules[0].match, 1);
    assert_int_equal(strategy.rules[1].match, 0);
    assert_int_equal(strategy.rules[2].match, 2);
    assert_int_equal(strategy.rules[3].match, 1);
    assert_string_equal(strategy.matches.names[0], "redirects");
    assert_string_equal(strategy.matches.names[1], "empty");
    assert_string_equal(strategy.matches.names[2], "");

    /* other rules, other names */

    read_rule("match_rate", "0.1",
              ",{\"name\":\"match\",\"value\":\"late\"}");
    accepted();
    assert_string_equal(strategy.matches.names[0], "late");
    assert_string_equal(strategy.matches.names[1], "");

    read_rule("match_rate", "0.1", "");
    refused("/canary_strategy/rules/0/rule_parameters",
            "match_rate needs a match");
    read_rule("error_rate", "0.1",
              ",{\"name\":\"match\",\"value\":\"late\"}");
    refused("/canary_strategy/rules/0/rule_parameters",
            "error_rate has a match");
    read_rule("match_rate", "0.1", ",{\"name\":\"match\",\"value\":7}");
    refused(wrong, "1 to 31 letters, digits, \"_\", \"-\" and \".\", not 7");
    read_rule("match_rate", "0.1",
              ",{\"name\":\"match\",\"value\":\"a b\"}");
    refused(wrong, "not \"a b\"");

    len = (size_t) snprintf(parts, sizeof(parts), "{\"rules\":[");

    for (n = 0; n <= CANARY_MATCHES_MAX; n++) {
        len += (size_t) snprintf(parts + len, sizeof(parts) - len,
                                 "%s{\"rule\":\"match_rate\","
                                 "\"rule_parameters\":["
                                 "{\"name\":\"threshold\",\"value\":0.1},"
                                 "{\"name\":\"match\",\"value\":\"m%u\"}]}",
                                 n ? "," : "", n);
    }

    (void) snprintf(parts + len, sizeof(parts) - len, "]}");
    read_parts(parts);
    refused("/canary_strategy/rules/4/rule_parameters/1/value",
            "at most 4 matches");
}


static void
test_rules_that_are_none(void **state)
{
    size_t  i;

    static const struct {
        const char  *rules;
        const char  *pointer;
        const char  *detail;
    } tests[] = {
        { "7", "", "a list of rules, not 7" },
        { "[]", "", "at least one rule" },
        { "[7]", "/0", "an object, not 7" },
        { "[{\"rule_parameters\":[{\"name\":\"threshold\",\"value\":0}]}]",
          "/0", "\"rule_id\"" },
        { "[{\"rule\":\"latency_p75_max\",\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":9}]}]", "/0/rule",
          "error_5xx_rate (1008)" },
        { "[{\"rule\":\"latency_p100_max\",\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":9}]}]", "/0/rule",
          "abandoned_rate, match_rate, not \"latency_p100_max\"" },
        { "[{\"rule_id\":1009,\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":9}]}]", "/0/rule_id",
          "latency_avg_max (1005)" },
        { "[{\"rule_id\":0,\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":9}]}]", "/0/rule_id", "not 0" },
        { "[{\"rule_id\":\"1008\",\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":0}]}]", "/0/rule_id",
          "not \"1008\"" },
        { "[{\"rule_id\":4294968304,\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":0}]}]", "/0/rule_id",
          "whole number" },
        { "[{\"rule\":\"error_4xx_rate\",\"rule_id\":1008,"
          "\"rule_parameters\":[{\"name\":\"threshold\",\"value\":0}]}]",
          "/0/rule_id", "\"error_5xx_rate\"" },
        { "[{\"rule\":7,\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":0}]}]", "/0/rule", "not 7" },
        { "[{\"rule\":\"error_rate\"}]", "/0", "threshold" },
        { "[{\"rule\":\"error_rate\",\"rule_parameters\":[]}]",
          "/0/rule_parameters", "threshold" },
        { "[{\"rule\":\"error_rate\",\"rule_parameters\":{}}]",
          "/0/rule_parameters", "a list of parameters" },
        { "[{\"rule\":\"error_rate\",\"rule_parameters\":"
          "[{\"name\":\"threshold\",\"value\":0}],\"enabled\":true}]",
          "/0/enabled", "rule, rule_id, rule_parameters" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        char  parts[1024], pointer[256];

        (void) snprintf(parts, sizeof(parts), "{\"rules\":%s}",
                        tests[i].rules);
        (void) snprintf(pointer, sizeof(pointer), "/canary_strategy/rules%s",
                        tests[i].pointer);

        read_parts(parts);
        refused(pointer, tests[i].detail);
    }
}


static void
test_too_many_rules(void **state)
{
    int     i;
    char    parts[8192];
    size_t  len;

    (void) state;

    len = (size_t) snprintf(parts, sizeof(parts), "{\"rules\":[");

    for (i = 0; i < CANARY_RULES_MAX + 1; i++) {
        len += (size_t) snprintf(parts + len, sizeof(parts) - len,
                                 "%s{\"rule_id\":1008,\"rule_parameters\":"
                                 "[{\"name\":\"threshold\",\"value\":0}]}",
                                 i ? "," : "");
    }

    (void) snprintf(parts + len, sizeof(parts) - len, "]}");

    read_parts(parts);
    refused("/canary_strategy/rules", "at most 16");
}


static void
test_parts_that_are_none(void **state)
{
    size_t  i;

    static const struct {
        const char  *parts;
        const char  *pointer;
        const char  *detail;
    } tests[] = {
        { "7", "", "an object, not 7" },
        { "null", "", "not null" },
        { "{\"progress_interval_seconds\":0}",
          "/progress_interval_seconds", "0.001 to 31536000, not 0" },
        { "{\"progress_interval_seconds\":0.0001}",
          "/progress_interval_seconds", "not 0.0001" },
        { "{\"progress_interval_seconds\":31536001}",
          "/progress_interval_seconds", "not 31536001" },
        { "{\"progress_interval_seconds\":1e400}",
          "/progress_interval_seconds", "large" },
        { "{\"progress_interval_seconds\":\"10s\"}",
          "/progress_interval_seconds", "not \"10s\"" },
        { "{\"bake_seconds\":-1}", "/bake_seconds", "not -1" },
        { "{\"patience_seconds\":9.999}", "/patience_seconds", "10 to 600" },
        { "{\"patience_seconds\":601}", "/patience_seconds", "not 601" },
        { "{\"progress_step\":0}", "/progress_step", "not 0" },
        { "{\"progress_step\":0.0001}", "/progress_step", "0.001 to 1" },
        { "{\"progress_step\":1.1}", "/progress_step", "not 1.1" },
        { "{\"progress_step\":0.1,\"progress_steps\":[1]}",
          "/progress_steps", "only one" },
        { "{\"progress_steps\":[]}", "/progress_steps", "rising" },
        { "{\"progress_steps\":0.1}", "/progress_steps", "rising" },
        { "{\"progress_steps\":[0.1,\"0.2\"]}", "/progress_steps/1",
          "not \"0.2\"" },
        { "{\"progress_steps\":[0.2,0.2]}", "/progress_steps/1",
          "above the step before it, not 0.2" },
        { "{\"progress_steps\":[0.1,1,1]}", "/progress_steps/2", "above" },
        { "{\"progress_steps\":[0,0.2]}", "/progress_steps/0", "not 0" },
        { "{\"progress_steps\":[0.2,1.5]}", "/progress_steps/1", "not 1.5" },
        { "{\"on_violation\":\"explode\"}", "/on_violation",
          "rollback, halt, not \"explode\"" },
        { "{\"on_violation\":1}", "/on_violation", "not 1" },
        { "{\"on_undecided\":\"\"}", "/on_undecided", "hold, advance" },
        { "{\"on_undecided\":\"Hold\"}", "/on_undecided", "hold" },
        { "{\"approval\":\"steps\"}", "/approval",
          "off, step, promotion, not \"steps\"" },
        { "{\"approval\":true}", "/approval", "off, step, promotion" },
        { "{\"interval\":1}", "/interval", "progress_interval_seconds" },
        { "{\"Rules\":[]}", "/Rules", "not known" },
        { "{\"a/b~c\":1}", "/a~1b~0c", "not known" },
        { "{\"bake_seconds\":1,\"bake_seconds\":2}", "/bake_seconds",
          "twice" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(tests); i++) {
        char  pointer[256];

        (void) snprintf(pointer, sizeof(pointer), "/canary_strategy%s",
                        tests[i].pointer);

        read_parts(tests[i].parts);
        refused(pointer, tests[i].detail);
    }
}


static void
test_a_schedule_of_one(void **state)
{
    (void) state;

    read_parts("{\"progress_steps\":[0.5]}");
    accepted();
    assert_int_equal(canary_strategy_steps(&strategy), 2);
    assert_int_equal(canary_strategy_weight(&strategy, 1), 500000);

    read_parts("{\"progress_step\":1}");
    accepted();
    assert_int_equal(canary_strategy_steps(&strategy), 1);
}


static void
list_of_steps(char *parts, size_t size, unsigned n, const char *more)
{
    size_t    len;
    unsigned  i;

    len = (size_t) snprintf(parts, size, "{\"progress_steps\":[");

    for (i = 1; i <= n; i++) {
        len += (size_t) snprintf(parts + len, size - len, "%s%.3f",
                                 (i > 1) ? "," : "", 0.001 * i);
    }

    (void) snprintf(parts + len, size - len, "%s]}", more);
}


static void
test_a_hundred_steps(void **state)
{
    char  parts[4096];

    (void) state;

    list_of_steps(parts, sizeof(parts), CANARY_STEPS_MAX, "");
    read_parts(parts);
    accepted();
    assert_int_equal(strategy.nsteps, CANARY_STEPS_MAX + 1);

    /* as it is shown: with the step to 1, which is no more than before */

    list_of_steps(parts, sizeof(parts), CANARY_STEPS_MAX, ",1");
    read_parts(parts);
    accepted();
    assert_int_equal(strategy.nsteps, CANARY_STEPS_MAX + 1);

    list_of_steps(parts, sizeof(parts), CANARY_STEPS_MAX + 1, "");
    read_parts(parts);
    refused("/canary_strategy/progress_steps/100", "at most 100");

    list_of_steps(parts, sizeof(parts), CANARY_STEPS_MAX, ",1,1");
    read_parts(parts);
    refused("/canary_strategy/progress_steps/100", "at most 100");
}


static void
test_direct(void **state)
{
    (void) state;

    assert_int_equal(read_text("{\"strategy\":\"direct\"}"),
                     CANARY_STRATEGY_DIRECT);
    accepted();

    read_text("{\"strategy\":\"direct\",\"canary_strategy\":{}}");
    refused("/canary_strategy", "\"direct\"");

    read_text("{\"strategy\":\"rollout\"}");
    refused("/strategy", "canary, direct, not \"rollout\"");

    read_text("{\"strategy\":null}");
    refused("/strategy", "not null");
}


static void
test_all_errors_are_told(void **state)
{
    (void) state;

    read_text("{\"strategy\":\"x\",\"y\":1,\"canary_strategy\":"
              "{\"z\":1,\"bake_seconds\":-1,\"rules\":[{}]}}");

    assert_int_equal(errors.n, 6);
    assert_string_equal(errors.list[0].pointer, "/y");
    assert_string_equal(errors.list[1].pointer, "/strategy");
    assert_string_equal(errors.list[2].pointer, "/canary_strategy/z");
    assert_string_equal(errors.list[3].pointer,
                        "/canary_strategy/bake_seconds");
    assert_string_equal(errors.list[4].pointer, "/canary_strategy/rules/0");
    assert_string_equal(errors.list[5].pointer, "/canary_strategy/rules/0");
}


static void
test_errors_are_bounded(void **state)
{
    int      i;
    char    *text;
    size_t   len;

    (void) state;

    text = malloc(65536);
    assert_non_null(text);
    len = (size_t) snprintf(text, 65536, "{");

    for (i = 0; i < 4000; i++) {
        len += (size_t) snprintf(text + len, 65536 - len, "%s\"k%d\":[{}]",
                                 i ? "," : "", i);
    }

    (void) snprintf(text + len, 65536 - len, "}");

    read_text(text);
    assert_int_equal(errors.n, CANARY_JSON_ERRORS_MAX);
    assert_int_equal(errors.total, 4000);
    free(text);
}


static void
test_long_names_are_cut(void **state)
{
    int      i;
    char    *text;
    size_t   len;

    (void) state;

    text = malloc(65536);
    assert_non_null(text);
    len = (size_t) snprintf(text, 65536, "{\"canary_strategy\":{\"");

    for (i = 0; i < 10000; i++) {
        len += (size_t) snprintf(text + len, 65536 - len, "/\xc3\xa9");
    }

    (void) snprintf(text + len, 65536 - len, "\":1}}");

    read_text(text);

    /* the pointer is that of the object, the detail is cut between letters */

    refused("/canary_strategy", "/...\" is not known");
    len = strlen(errors.list[0].detail);
    assert_int_equal(canary_utf8_prefix(errors.list[0].detail, len), len);
    free(text);
}


/* A good document with some bytes changed, left out or repeated. */

static void
test_mutations(void **state)
{
    int       i;
    char      text[512];
    size_t    len, at;
    uint64_t  seed;

    static const char  good[] =
        "{\"strategy\":\"canary\",\"canary_strategy\":{"
        "\"progress_interval_seconds\":1e1,\"progress_steps\":[0.2,0.5],"
        "\"rules\":[{\"rule_id\":1007,\"rule_parameters\":["
        "{\"name\":\"threshold\",\"value\":\"0.1\"},"
        "{\"name\":\"confidence\",\"value\":\"off\"}]}]}}";

    (void) state;

    seed = 20260101;

    for (i = 0; i < 50000; i++) {
        len = sizeof(good) - 1;
        memcpy(text, good, sizeof(good));

        do {
            at = unit_below(&seed, (uint32_t) len);

            if (unit_one_in(&seed, 3)) {
                memmove(text + at, text + at + 1, len - at);
                len--;

            } else if (unit_one_in(&seed, 3)) {
                text[at] = text[unit_below(&seed, (uint32_t) len)];

            } else {
                text[at] = (char) (1 + unit_below(&seed, 255));
            }

        } while (unit_one_in(&seed, 2));

        read_text(text);

        if (errors.total == 0) {
            assert_in_range(strategy.interval, 1, CANARY_TIME_MAX);
            assert_in_range(strategy.nrules, 0, CANARY_RULES_MAX);
            assert_in_range(canary_strategy_steps(&strategy), 1, 1000);
        }
    }
}


static char *
write_text(const canary_strategy_t *written, int *failed)
{
    char   *text;
    cJSON  *json;

    json = cJSON_CreateObject();
    *failed = 0;

    canary_strategy_json_write(json, written, failed);

    text = *failed ? NULL : cJSON_PrintUnformatted(json);
    cJSON_Delete(json);

    return text;
}


static void
test_write(void **state)
{
    int    failed;
    char  *text;

    (void) state;

    read_parts("{\"progress_interval_seconds\":10,\"progress_step\":0.2,"
               "\"rules\":["
               "{\"rule_id\":1007,\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":\"0.1\"}]},"
               "{\"rule\":\"error_rate\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":0.00001},"
               "{\"name\":\"confidence\",\"value\":\"off\"},"
               "{\"name\":\"window_seconds\",\"value\":2.5}]},"
               "{\"rule\":\"latency_p95_max\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":1.3},"
               "{\"name\":\"burst_seconds\",\"value\":0},"
               "{\"name\":\"baseline\",\"value\":\"stable\"}]},"
               "{\"rule\":\"latency_avg_max\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":2.5}]},"
               "{\"rule\":\"failed_requests_max\",\"rule_parameters\":["
               "{\"name\":\"threshold\",\"value\":100},"
               "{\"name\":\"min_requests\",\"value\":1}]}]}");
    accepted();

    text = write_text(&strategy, &failed);
    assert_int_equal(failed, 0);
    assert_string_equal(text,
        "{\"strategy\":\"canary\",\"canary_strategy\":{"
        "\"progress_interval_seconds\":10,\"progress_step\":0.2,"
        "\"bake_seconds\":0,\"patience_seconds\":10,"
        "\"on_violation\":\"rollback\","
        "\"on_undecided\":\"hold\",\"approval\":\"off\",\"rules\":["
        "{\"rule\":\"error_4xx_rate\",\"rule_id\":1007,\"rule_parameters\":"
        "[{\"name\":\"threshold\",\"value\":0.1},"
        "{\"name\":\"min_requests\",\"value\":1},"
        "{\"name\":\"confidence\",\"value\":0.999},"
        "{\"name\":\"burst_seconds\",\"value\":0.1}]},"
        "{\"rule\":\"error_rate\",\"rule_parameters\":"
        "[{\"name\":\"threshold\",\"value\":0.00001},"
        "{\"name\":\"min_requests\",\"value\":50},"
        "{\"name\":\"confidence\",\"value\":\"off\"},"
        "{\"name\":\"window_seconds\",\"value\":2.5}]},"
        "{\"rule\":\"latency_p95_max\",\"rule_parameters\":"
        "[{\"name\":\"threshold\",\"value\":1.3},"
        "{\"name\":\"min_requests\",\"value\":50},"
        "{\"name\":\"confidence\",\"value\":0.999},"
        "{\"name\":\"burst_seconds\",\"value\":0},"
        "{\"name\":\"baseline\",\"value\":\"stable\"}]},"
        "{\"rule\":\"latency_avg_max\",\"rule_id\":1005,\"rule_parameters\":"
        "[{\"name\":\"threshold\",\"value\":2.5},"
        "{\"name\":\"min_requests\",\"value\":50},"
        "{\"name\":\"confidence\",\"value\":0.999},"
        "{\"name\":\"burst_seconds\",\"value\":0.1}]},"
        "{\"rule\":\"failed_requests_max\",\"rule_parameters\":"
        "[{\"name\":\"threshold\",\"value\":100},"
        "{\"name\":\"min_requests\",\"value\":1}]}]}}");
    cJSON_free(text);
}


static void
test_written_is_read_again(void **state)
{
    int                failed;
    char              *text, parts[4096];
    canary_strategy_t  first;

    (void) state;

    list_of_steps(parts, sizeof(parts), CANARY_STEPS_MAX, "");
    read_parts(parts);
    accepted();

    first = strategy;
    first.interval = CANARY_TIME_MAX;
    first.bake = 1;
    first.on_violation = CANARY_HALT;
    first.on_undecided = CANARY_ADVANCE_UNDECIDED;
    first.approval = CANARY_APPROVAL_STEP;
    first.nrules = 4;
    first.rules[0].kind = CANARY_RULE_ERROR_RATE;
    first.rules[0].threshold = 123456789;
    first.rules[0].min_requests = CANARY_MIN_REQUESTS_MAX;
    first.rules[1].kind = CANARY_RULE_LATENCY_AVG_MAX;
    first.rules[1].threshold = CANARY_LATENCY_MAX - 1;
    first.rules[1].min_requests = 1;
    first.rules[1].confidence = CANARY_CONFIDENCE_MAX;
    first.rules[1].burst = CANARY_BURST_MAX;
    first.rules[2].kind = CANARY_RULE_LATENCY_P50_MAX;
    first.rules[2].threshold = CANARY_FACTOR_MAX - 1;
    first.rules[2].min_requests = 1;
    first.rules[2].window = CANARY_WINDOW_MAX - 1;
    first.rules[2].baseline = 1;
    first.rules[3].kind = CANARY_RULE_FAILED_REQUESTS_MAX;
    first.rules[3].min_requests = 1;

    text = write_text(&first, &failed);
    assert_int_equal(failed, 0);

    read_text(text);
    accepted();
    assert_memory_equal(&strategy, &first, sizeof(first));
    cJSON_free(text);
}


/*
 * Whatever the locale has for a decimal point, JSON has the same; tested
 * where there is such a locale.
 */

static void
test_locale(void **state)
{
    int          failed;
    char        *text;
    size_t       i;

    static const char *const  locales[] = {
        "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(locales); i++) {
        if (setlocale(LC_ALL, locales[i])) {
            break;
        }
    }

    if (i == UNIT_LENGTH(locales)) {
        return;
    }

    assert_int_equal(threshold_of("error_rate", "\"0.25\""), 250000000);
    assert_int_equal(threshold_of("error_rate", "0.25"), 250000000);

    text = write_text(&strategy, &failed);
    read_rule("error_rate", "1.5", "");
    setlocale(LC_ALL, "C");

    refused("/canary_strategy/rules/0/rule_parameters/0/value", "not 1.5");
    assert_non_null(strstr(text, "\"value\":0.25"));
    cJSON_free(text);
}


static long  allocations_left;


static void *
failing_malloc(size_t size)
{
    return (allocations_left-- > 0) ? malloc(size) : NULL;
}


/* Each allocation fails once: no crash, no leak, and it is told. */

static void
test_no_memory(void **state)
{
    int                failed;
    char              *text;
    long               n;
    cJSON_Hooks        hooks = { failing_malloc, free };
    canary_strategy_t  written;

    (void) state;

    read_rule("error_rate", "0.1", "");
    accepted();
    written = strategy;

    cJSON_InitHooks(&hooks);

    for (n = 0; n < 1000; n++) {
        allocations_left = n;
        text = write_text(&written, &failed);

        if (text) {
            break;
        }
    }

    cJSON_free(text);
    assert_in_range(n, 20, 500);

    for (n = 0; n < 1000; n++) {
        allocations_left = n;
        read_rule("error_rate", "0.1", "");

        if (errors.total == 0) {
            break;
        }
    }

    cJSON_InitHooks(NULL);
    assert_in_range(n, 10, 500);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_contract_example),
        cmocka_unit_test(test_every_part),
        cmocka_unit_test(test_absent_parts_remain),
        cmocka_unit_test(test_rules_replace_all_rules),
        cmocka_unit_test(test_a_rule_may_come_twice),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_thresholds_out_of_range),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_statistics_that_are_none),
        cmocka_unit_test(test_statistics_that_do_not_go_together),
        cmocka_unit_test(test_a_factor_of_stable),
        cmocka_unit_test(test_as_many_quantiles_as_there_are_limits),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_rules_that_are_none),
        cmocka_unit_test(test_too_many_rules),
        cmocka_unit_test(test_parts_that_are_none),
        cmocka_unit_test(test_a_schedule_of_one),
        cmocka_unit_test(test_a_hundred_steps),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_all_errors_are_told),
        cmocka_unit_test(test_errors_are_bounded),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_written_is_read_again),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_no_memory)
    };

    return cmocka_run_group_tests_name("strategy_json", tests, NULL, NULL);
}
