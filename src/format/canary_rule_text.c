
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "canary_rule_text.h"
#include "canary_setting.h"


typedef int (*canary_rule_parameter_pt)(const char *value,
    canary_rule_t *rule);


static int canary_rule_text_kind(const char *name, canary_rule_t *rule,
    char *why);
static int canary_rule_text_threshold(const char *text, canary_rule_t *rule,
    char *why);
static int canary_rule_text_value(const char *text, canary_rule_t *rule);
static int canary_rule_text_mistaken(const char *text,
    const canary_rule_t *rule, char *why);
static int canary_rule_text_parameter(const char *text, canary_rule_t *rule,
    unsigned *given, char *why);
static int canary_rule_text_min_requests(const char *value,
    canary_rule_t *rule);
static int canary_rule_text_confidence(const char *value,
    canary_rule_t *rule);
static int canary_rule_text_burst(const char *value, canary_rule_t *rule);
static int canary_rule_text_window(const char *value, canary_rule_t *rule);
static int canary_rule_text_baseline(const char *value, canary_rule_t *rule);
static int canary_rule_text_match(const char *value, canary_rule_t *rule);
static int canary_rule_text_add_match(const char *const *words, unsigned n,
    canary_matches_t *matches, canary_rule_t *rule, char *why);
static int canary_rule_text_wrong(char *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


static const struct {
    const char                *name;       /* what it begins with */
    unsigned                   given;
    canary_rule_parameter_pt   read;
    const char                *right;
} canary_rule_parameters[] = {
    { "min_requests=", CANARY_GIVEN_MIN_REQUESTS,
      canary_rule_text_min_requests,
      "min_requests must be a whole number from 1 to 1000000000" },

    { "confidence=", CANARY_GIVEN_CONFIDENCE, canary_rule_text_confidence,
      "confidence must be a ratio from 0.5 up to, but not including, 1, such "
      "as \"0.999\", or \"off\"" },

    { "burst=", CANARY_GIVEN_BURST, canary_rule_text_burst,
      "burst must be 0 or a multiple of 100ms, up to 10s" },

    { "window=", CANARY_GIVEN_WINDOW, canary_rule_text_window,
      "window must be a time from 100ms to 24h" },

    { "baseline=stable", CANARY_GIVEN_BASELINE, canary_rule_text_baseline,
      "the only baseline is \"baseline=stable\"" },

    { "match=", CANARY_GIVEN_MATCH, canary_rule_text_match,
      "match must be the name of a \"canary_match\", 1 to 31 letters, digits, "
      "\"_\", \"-\" and \".\"" }
};


/* by canary_unit_t */

static const char *const  canary_rule_thresholds[] = {
    "a ratio from 0 to 1, such as \"10%\" or \"0.1\"",
    "a time from 1ms to 24h, such as \"250ms\"",
    "a whole number of requests from 0 to 1000000000",
    "a factor from 1 to 1000, such as \"1.3\""
};


int
canary_rule_text_read(const char *const *words, unsigned n,
    canary_matches_t *matches, canary_rule_t *rule,
    char why[CANARY_RULE_WHY_MAX])
{
    unsigned     i, given;
    const char  *wrong;

    memset(rule, 0, sizeof(canary_rule_t));

    if (n < 2) {
        return canary_rule_text_wrong(why, "a rule needs a name and a "
                                      "threshold, such as \"error_5xx_rate "
                                      "10%%\"");
    }

    if (!canary_rule_text_kind(words[0], rule, why)) {
        return 0;
    }

    if (strchr("<>=", words[1][0])) {
        return canary_rule_text_wrong(why, "invalid threshold \"%s\" of rule "
                                      "\"%s\": there is no operator, a rule "
                                      "is broken when its value is above the "
                                      "threshold, such as \"%s 10%%\"",
                                      words[1], words[0], words[0]);
    }

    given = 0;

    for (i = 2; i < n; i++) {
        if (!canary_rule_text_parameter(words[i], rule, &given, why)) {
            return 0;
        }
    }

    /* what it is a number of depends on the baseline */

    if (!canary_rule_text_threshold(words[1], rule, why)) {
        return 0;
    }

    wrong = canary_rule_complete(rule, given);

    if (wrong) {
        return canary_rule_text_wrong(why, "rule \"%s\" %s", words[0], wrong);
    }

    return !(given & CANARY_GIVEN_MATCH)
           || canary_rule_text_add_match(words, n, matches, rule, why);
}


static int
canary_rule_text_kind(const char *name, canary_rule_t *rule, char *why)
{
    int     i, kind;
    char    known[CANARY_RULE_WHY_MAX];
    size_t  len;

    kind = canary_rule_by_name(name, strlen(name));

    if (kind != -1) {
        rule->kind = (uint32_t) kind;
        return 1;
    }

    for (i = 0, len = 0; i < CANARY_RULE_KINDS && len < sizeof(known); i++) {
        len += (size_t) snprintf(known + len, sizeof(known) - len,
                                 "%s\"%s\"", i ? ", " : "",
                                 canary_rule_info[i].name);
    }

    return canary_rule_text_wrong(why, "unknown rule \"%s\", the rules are %s",
                                  name, known);
}


static int
canary_rule_text_threshold(const char *text, canary_rule_t *rule, char *why)
{
    const char  *name;

    name = canary_rule_info[rule->kind].name;

    if (canary_rule_text_mistaken(text, rule, why)) {
        return 0;
    }

    return canary_rule_text_value(text, rule)
           || canary_rule_text_wrong(why, "invalid threshold \"%s\" of rule "
                                     "\"%s\"%s, it must be %s", text, name,
                                     (canary_rule_unit(rule)
                                      == CANARY_UNIT_FACTOR)
                                     ? " with a baseline" : "",
                                     canary_rule_thresholds[
                                                     canary_rule_unit(rule)]);
}


static int
canary_rule_text_value(const char *text, canary_rule_t *rule)
{
    uint64_t  n;

    switch (canary_rule_unit(rule)) {

    case CANARY_UNIT_RATIO:
        return canary_setting_ratio(text, 9, &rule->threshold)
               && rule->threshold <= CANARY_RATIO_ONE;

    case CANARY_UNIT_LATENCY:

        if (!canary_setting_time(text, &n) || n == 0
            || n > CANARY_LATENCY_MAX / 1000)
        {
            return 0;
        }

        rule->threshold = n * 1000;
        return 1;

    case CANARY_UNIT_FACTOR:
        return canary_setting_ratio(text, 9, &rule->threshold)
               && rule->threshold >= CANARY_RATIO_ONE
               && rule->threshold <= CANARY_FACTOR_MAX;

    default: /* CANARY_UNIT_COUNT */
        return canary_setting_number(text, &rule->threshold)
               && rule->threshold <= CANARY_COUNT_MAX;
    }
}


/* what can be read, but hardly is what was meant */

static int
canary_rule_text_mistaken(const char *text, const canary_rule_t *rule,
    char *why)
{
    const char  *name;

    name = canary_rule_info[rule->kind].name;

    switch (canary_rule_unit(rule)) {

    case CANARY_UNIT_LATENCY:

        if (strspn(text, "0123456789") < strlen(text)
            || strspn(text, "0") == strlen(text))
        {
            return 0;
        }

        (void) canary_rule_text_wrong(why, "threshold \"%s\" of rule \"%s\" "
                                      "needs a unit, such as \"%sms\" or "
                                      "\"%ss\"", text, name, text, text);
        return 1;

    case CANARY_UNIT_FACTOR:

        if (strchr(text, '%') == NULL) {
            return 0;
        }

        (void) canary_rule_text_wrong(why, "invalid threshold \"%s\" of rule "
                                      "\"%s\" with a baseline, it must be %s, "
                                      "which allows 30%% more than stable has",
                                      text, name,
                                      canary_rule_thresholds[
                                                        CANARY_UNIT_FACTOR]);
        return 1;

    default:
        return 0;
    }
}


static int
canary_rule_text_parameter(const char *text, canary_rule_t *rule,
    unsigned *given, char *why)
{
    size_t  i, len;

    for (i = 0;
         i < sizeof(canary_rule_parameters)
             / sizeof(canary_rule_parameters[0]);
         i++)
    {
        len = strlen(canary_rule_parameters[i].name);

        if (strncmp(text, canary_rule_parameters[i].name, len) != 0) {
            continue;
        }

        if (*given & canary_rule_parameters[i].given) {
            return canary_rule_text_wrong(why, "parameter \"%s\" of "
                                          "\"canary_rule\" is here twice",
                                          text);
        }

        *given |= canary_rule_parameters[i].given;

        return canary_rule_parameters[i].read(text + len, rule)
               || canary_rule_text_wrong(why, "invalid \"%s\", %s", text,
                                         canary_rule_parameters[i].right);
    }

    return canary_rule_text_wrong(why, "invalid parameter \"%s\" of "
                                  "\"canary_rule\", it must be "
                                  "\"min_requests=number\", "
                                  "\"confidence=number\" or "
                                  "\"confidence=off\", \"burst=time\", "
                                  "\"window=time\", \"baseline=stable\" or "
                                  "\"match=name\"", text);
}


static int
canary_rule_text_min_requests(const char *value, canary_rule_t *rule)
{
    uint64_t  n;

    if (!canary_setting_number(value, &n) || n == 0
        || n > CANARY_MIN_REQUESTS_MAX)
    {
        return 0;
    }

    rule->min_requests = (uint32_t) n;

    return 1;
}


static int
canary_rule_text_confidence(const char *value, canary_rule_t *rule)
{
    uint64_t  n;

    if (strcmp(value, "off") == 0) {
        rule->confidence = 0;
        return 1;
    }

    if (!canary_setting_ratio(value, 9, &n) || n < CANARY_CONFIDENCE_MIN
        || n > CANARY_CONFIDENCE_MAX)
    {
        return 0;
    }

    rule->confidence = (uint32_t) n;

    return 1;
}


static int
canary_rule_text_burst(const char *value, canary_rule_t *rule)
{
    uint64_t  n;

    if (!canary_setting_time(value, &n) || n > CANARY_BURST_MAX || n % 100) {
        return 0;
    }

    rule->burst = (uint32_t) n;

    return 1;
}


static int
canary_rule_text_window(const char *value, canary_rule_t *rule)
{
    uint64_t  n;

    if (!canary_setting_time(value, &n) || n < CANARY_WINDOW_MIN
        || n > CANARY_WINDOW_MAX)
    {
        return 0;
    }

    rule->window = (uint32_t) n;

    return 1;
}


static int
canary_rule_text_baseline(const char *value, canary_rule_t *rule)
{
    rule->baseline = 1;

    return value[0] == '\0';
}


/* it is added when all is right */

static int
canary_rule_text_match(const char *value, canary_rule_t *rule)
{
    (void) rule;

    return canary_match_bad_name(value, strlen(value)) == NULL;
}


static int
canary_rule_text_add_match(const char *const *words, unsigned n,
    canary_matches_t *matches, canary_rule_t *rule, char *why)
{
    unsigned     i;
    const char  *name;

    for (i = 2; i < n && strncmp(words[i], "match=", 6) != 0; i++) {
        /* void */
    }

    name = words[i] + 6;
    rule->match = (uint16_t) canary_match_add(matches, name, strlen(name));

    return rule->match
           || canary_rule_text_wrong(why, "\"%s\" is one too many, there can "
                                     "be at most %d \"canary_match\"",
                                     words[i], CANARY_MATCHES_MAX);
}


/* returns 0 */

static int
canary_rule_text_wrong(char *why, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(why, CANARY_RULE_WHY_MAX, format, args);
    va_end(args);

    return 0;
}
