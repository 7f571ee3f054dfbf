
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _XOPEN_SOURCE  700                /* strtok_r() */

/* Settings and rules as nginx.conf and the command line have them. */


#include <stdio.h>
#include <string.h>

#include "canary_rule_text.h"
#include "canary_setting.h"

#include "unit.h"


static canary_rule_t     rule;
static canary_matches_t  matches;
static char              why[CANARY_RULE_WHY_MAX];


/* words, of one text */

static int
read_rule(const char *text)
{
    char         buf[256], *word, *rest;
    unsigned     n;
    const char  *words[16];

    snprintf(buf, sizeof(buf), "%s", text);
    why[0] = '\0';

    for (n = 0, rest = buf; (word = strtok_r(rest, " ", &rest)); n++) {
        words[n] = word;
    }

    return canary_rule_text_read(words, n, &matches, &rule, why);
}


static void
test_ratios(void **state)
{
    unsigned  i;
    uint64_t  parts;

    static const struct {
        const char  *text;
        uint64_t     parts;
    } right[] = {
        { "0", 0 }, { "1", 1000000 }, { "100%", 1000000 }, { "20%", 200000 },
        { "0.2", 200000 }, { ".5", 500000 }, { "1.", 1000000 },
        { "0.0001%", 1 }, { "0.000001", 1 }, { "12.5%", 125000 },
        { "007", 7000000 }
    };

    static const char *const  wrong[] = {
        "", "%", "-1", "1,5", "0.00001%", "0.0000001", "1e-1", " 1", "1 ",
        "50%%", "1.2.3", "9223372036854775808", "9999999999999999999999%"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(right); i++) {
        assert_true(canary_setting_ratio(right[i].text, 6, &parts));
        assert_int_equal(parts, right[i].parts);
    }

    for (i = 0; i < UNIT_LENGTH(wrong); i++) {
        assert_false(canary_setting_ratio(wrong[i], 6, &parts));
    }
}


static void
test_times(void **state)
{
    unsigned  i;
    uint64_t  ms;

    static const struct {
        const char  *text;
        uint64_t     ms;
    } right[] = {
        { "0", 0 }, { "10", 10000 }, { "10s", 10000 }, { "250ms", 250 },
        { "1m", 60000 }, { "1h30m", 5400000 }, { "1h 30m", 5400000 },
        { "1d", 86400000 }, { "1w", 604800000 }, { "1m 5", 65000 },
        { "1s500ms", 1500 }, { "2w 3d 4h 5m 6s 7ms", 1483506007 }
    };

    static const char *const  wrong[] = {
        "", "s", "ms", "-1s", "1.5s", "1y", "1M", "30m 1h", "1s 1s", "1sec",
        " 1s", "1 h", "9223372036854775807", "99999999999999999999ms"
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(right); i++) {
        assert_true(canary_setting_time(right[i].text, &ms));
        assert_int_equal(ms, right[i].ms);
    }

    for (i = 0; i < UNIT_LENGTH(wrong); i++) {
        assert_false(canary_setting_time(wrong[i], &ms));
    }
}


static void
test_rules(void **state)
{
    (void) state;

    assert_true(read_rule("error_5xx_rate 10% min_requests=50"));
    assert_int_equal(rule.kind, CANARY_RULE_ERROR_5XX_RATE);
    assert_int_equal(rule.threshold, 100000000);
    assert_int_equal(rule.min_requests, 50);
    assert_int_equal(rule.confidence, CANARY_CONFIDENCE_DEFAULT);
    assert_int_equal(rule.burst, CANARY_BURST_DEFAULT);

    assert_true(read_rule("latency_p90_max 250ms confidence=off window=10s"));
    assert_int_equal(rule.threshold, 250000);
    assert_int_equal(rule.confidence, 0);
    assert_int_equal(rule.window, 10000);
    assert_int_equal(rule.min_requests, CANARY_MIN_REQUESTS_PLAIN);

    /* what the threshold is depends on what follows it */

    assert_true(read_rule("latency_p90_max 1.3 baseline=stable burst=0"));
    assert_int_equal(rule.threshold, 1300000000);
    assert_int_equal(rule.baseline, 1);
    assert_int_equal(rule.burst, 0);

    assert_true(read_rule("match_rate 5% match=flagged"));
    assert_true(read_rule("match_rate 5% match=slow.1"));
    assert_int_equal(rule.match, 2);
    assert_string_equal(matches.names[1], "slow.1");
    assert_true(read_rule("match_rate 5% match=flagged"));
    assert_int_equal(rule.match, 1);
    assert_true(read_rule("match_rate 5% match=c"));
    assert_true(read_rule("match_rate 5% match=d"));
    assert_false(read_rule("match_rate 5% match=e"));
    assert_string_equal(why, "\"match=e\" is one too many, there can be at "
                        "most 4 \"canary_match\"");

    assert_true(read_rule("failed_requests_max 5"));
    assert_int_equal(rule.threshold, 5);
    assert_int_equal(rule.confidence, 0);
}


static void
test_wrong_rules(void **state)
{
    unsigned  i;

    static const struct {
        const char  *text;
        const char  *says;
    } wrong[] = {
        { "", "needs a name and a threshold" },
        { "error_rate", "needs a name and a threshold" },
        { "error_6xx_rate 1%", "unknown rule \"error_6xx_rate\", the rules "
          "are \"error_4xx_rate\", " },
        { "error_rate > 5%", "there is no operator" },
        { "error_rate =5%", "there is no operator" },
        { "error_rate 101%", "a ratio from 0 to 1" },
        { "latency_p90_max 250", "needs a unit, such as \"250ms\" or "
          "\"250s\"" },
        { "latency_p90_max 0", "a time from 1ms to 24h" },
        { "latency_p90_max 25h", "a time from 1ms to 24h" },
        { "latency_p90_max 0.9 baseline=stable", "a factor from 1 to 1000" },
        { "latency_p90_max 130% baseline=stable", "a factor from 1 to 1000" },
        { "failed_requests_max 5%", "a whole number of requests" },
        { "error_rate 5% min_requests=0", "a whole number from 1" },
        { "error_rate 5% confidence=1", "a ratio from 0.5 up" },
        { "error_rate 5% burst=150ms", "a multiple of 100ms" },
        { "error_rate 5% confidence=off window=1ms", "from 100ms to 24h" },
        { "error_rate 5% baseline=canary", "\"baseline=stable\"" },
        { "error_rate 5% burst=0 burst=0", "is here twice" },
        { "error_rate 5% what=1", "it must be \"min_requests=number\"" },
        { "error_rate 5% window=10s", "which needs \"confidence=off\"" },
        { "failed_requests_max 5 burst=0", "is a budget" },
        { "match_rate 5%", "needs a match" },
        { "match_rate 5% match=", "1 to 31 letters" },
        { "match_rate 5% match=a/b", "1 to 31 letters" },
        { "error_rate 5% match=a", "only for the rule \"match_rate\"" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(wrong); i++) {
        assert_false(read_rule(wrong[i].text));

        if (strstr(why, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].text, why);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_wrong_rules)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
