
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "canary_match_json.h"
#include "canary_rule_json.h"


enum {
    CANARY_MEMBER_RULE = 0,
    CANARY_MEMBER_RULE_ID,
    CANARY_MEMBER_PARAMETERS,
    CANARY_MEMBERS
};


enum {
    CANARY_PARAMETER_NAME = 0,
    CANARY_PARAMETER_VALUE,
    CANARY_PARAMETER_MEMBERS
};


enum {
    CANARY_PARAMETER_THRESHOLD = 0,
    CANARY_PARAMETER_MIN_REQUESTS,
    CANARY_PARAMETER_CONFIDENCE,
    CANARY_PARAMETER_BURST,
    CANARY_PARAMETER_WINDOW,
    CANARY_PARAMETER_BASELINE,
    CANARY_PARAMETER_MATCH,
    CANARY_PARAMETERS
};


static void canary_rule_read(const cJSON *object, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors);
static int canary_rule_read_kind(const cJSON *const *members,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static int canary_rule_read_name(const cJSON *value,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static int canary_rule_read_id(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors);
static void canary_rule_unknown(const cJSON *value,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static void canary_rule_read_parameters(const cJSON *list,
    const canary_json_at_t *at, int kind, canary_rule_t *rule,
    canary_json_errors_t *errors);
static int canary_rule_read_parameter(const cJSON *object,
    const canary_json_at_t *at, canary_rule_t *rule, unsigned seen,
    canary_json_errors_t *errors);
static void canary_rule_read_value(int parameter, const cJSON *value,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);
static void canary_rule_read_threshold(const cJSON *list,
    const canary_json_at_t *at, int kind, canary_rule_t *rule,
    canary_json_errors_t *errors);
static void canary_rule_read_burst(const cJSON *value,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);
static void canary_rule_read_confidence(const cJSON *value,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);
static void canary_rule_finish(canary_rule_t *rule, unsigned seen,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static void canary_rule_count_limits(const canary_strategy_t *strategy,
    const canary_json_at_t *at, canary_json_errors_t *errors);


static const char *const  canary_member_names[CANARY_MEMBERS] = {
    "rule", "rule_id", "rule_parameters"
};


static const char *const  canary_parameter_member_names[] = {
    "name", "value"
};


static const char *const  canary_parameter_names[CANARY_PARAMETERS] = {
    "threshold",
    "min_requests",
    "confidence",
    "burst_seconds",
    "window_seconds",
    "baseline",
    "match"
};


/* by canary_unit_t */

static const canary_json_range_t  canary_threshold_ranges[] = {
    { "a ratio from 0 to 1", CANARY_RATIO_ONE, 0, CANARY_RATIO_ONE, 0, 1 },
    { "a number of milliseconds from 0.001 to 86400000", 1000, 1,
      CANARY_LATENCY_MAX, 0, 1 },
    { "a whole number from 0 to 1000000000", 1, 0, CANARY_COUNT_MAX, 1, 1 },
    { "a factor above 0, up to 1000", CANARY_RATIO_ONE, 1, CANARY_FACTOR_MAX,
      0, 1 }
};


static const canary_json_range_t  canary_min_requests_range = {
    "a whole number from 1 to 1000000000", 1, 1, CANARY_MIN_REQUESTS_MAX, 1, 1
};


static const canary_json_range_t  canary_confidence_range = {
    "\"off\", or a ratio from 0.5 up to, but not including, 1",
    CANARY_RATIO_ONE, CANARY_CONFIDENCE_MIN, CANARY_CONFIDENCE_MAX, 0, 1
};


static const canary_json_range_t  canary_burst_range = {
    "a number of seconds from 0 to 10, in tenths", 1000, 0, CANARY_BURST_MAX,
    0, 1
};


static const canary_json_range_t  canary_window_range = {
    "a number of seconds from 0.1 to 86400", 1000, CANARY_WINDOW_MIN,
    CANARY_WINDOW_MAX, 0, 1
};


static const char *const  canary_baselines[] = { "stable" };


static const canary_json_range_t  canary_rule_id_range = {
    "a whole number", 1, 0, UINT32_MAX, 1, 0
};


void
canary_rule_json_read(const cJSON *list, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    canary_rule_json_read_list(list, at, "a rollout needs at least one rule",
                               canary_rule_read, strategy, errors);

    if (errors->total == 0) {
        canary_match_json_read(list, at, strategy, errors);
    }
}


void
canary_rule_json_read_list(const cJSON *list, const canary_json_at_t *at,
    const char *none, canary_rule_json_read_pt read,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    const cJSON       *object;
    canary_json_at_t   here = { at, NULL, 0 };

    if (!cJSON_IsArray(list)) {
        canary_json_wrong(errors, at, list, "a list of rules");
        return;
    }

    if (list->child == NULL) {
        canary_json_error(errors, at, "%s", none);
        return;
    }

    strategy->nrules = 0;
    memset(strategy->rules, 0, sizeof(strategy->rules));
    memset(&strategy->matches, 0, sizeof(canary_matches_t));

    cJSON_ArrayForEach(object, list) {

        if (strategy->nrules == CANARY_RULES_MAX) {
            canary_json_error(errors, at, "there can be at most %d rules",
                              CANARY_RULES_MAX);
            return;
        }

        here.index = strategy->nrules;

        read(object, &here, &strategy->rules[strategy->nrules++], errors);
    }

    canary_rule_count_limits(strategy, at, errors);
}


static void
canary_rule_count_limits(const canary_strategy_t *strategy,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    uint32_t  i, n;

    for (i = 0, n = 0; i < strategy->nrules; i++) {
        n += (uint32_t) canary_rule_has_limit(&strategy->rules[i]);
    }

    if (n > CANARY_LIMITS_MAX) {
        canary_json_error(errors, at, "there can be at most %d rules about "
                          "quantiles of latency, those about matches among "
                          "them", CANARY_LIMITS_MAX);
    }
}


static void
canary_rule_read(const cJSON *object, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors)
{
    int                kind;
    const cJSON       *members[CANARY_MEMBERS];
    canary_json_at_t   here = { at, "rule_parameters", 0 };

    if (!canary_json_members(object, at, canary_member_names, CANARY_MEMBERS,
                             members, errors))
    {
        return;
    }

    kind = canary_rule_read_kind(members, at, errors);

    rule->kind = (kind == -1) ? 0 : (uint32_t) kind;

    if (members[CANARY_MEMBER_PARAMETERS] == NULL) {
        canary_json_error(errors, at, "needs \"rule_parameters\", at least "
                          "the \"threshold\"");
        return;
    }

    canary_rule_read_parameters(members[CANARY_MEMBER_PARAMETERS], &here,
                                kind, rule, errors);
}


/* The kind of the rule, or -1 with an error added. */

static int
canary_rule_read_kind(const cJSON *const *members,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    int               by_name, by_id;
    canary_json_at_t  at_name = { at, "rule", 0 };
    canary_json_at_t  at_id = { at, "rule_id", 0 };

    if (members[CANARY_MEMBER_RULE] == NULL) {

        if (members[CANARY_MEMBER_RULE_ID] == NULL) {
            canary_json_error(errors, at,
                              "needs a \"rule\" or a \"rule_id\"");
            return -1;
        }

        return canary_rule_read_id(members[CANARY_MEMBER_RULE_ID], &at_id,
                                   errors);
    }

    by_name = canary_rule_read_name(members[CANARY_MEMBER_RULE], &at_name,
                                    errors);

    if (members[CANARY_MEMBER_RULE_ID] == NULL) {
        return by_name;
    }

    by_id = canary_rule_read_id(members[CANARY_MEMBER_RULE_ID], &at_id,
                                errors);

    if (by_name != -1 && by_id != -1 && by_name != by_id) {
        canary_json_error(errors, &at_id, "is the number of \"%s\", but "
                          "\"rule\" is \"%s\"",
                          canary_rule_info[by_id].name,
                          canary_rule_info[by_name].name);
        return -1;
    }

    return by_name;
}


static int
canary_rule_read_name(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    int  kind;

    kind = cJSON_IsString(value)
           ? canary_rule_by_name(value->valuestring,
                                 strlen(value->valuestring))
           : -1;

    if (kind == -1) {
        canary_rule_unknown(value, at, errors);
    }

    return kind;
}


static int
canary_rule_read_id(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    int       kind;
    uint64_t  id;

    if (!canary_json_number(value, at, &canary_rule_id_range, &id, errors)) {
        return -1;
    }

    kind = canary_rule_by_verta_id((uint32_t) id);

    if (kind == -1) {
        canary_rule_unknown(value, at, errors);
    }

    return kind;
}


static void
canary_rule_unknown(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    int     i, n;
    char    known[CANARY_JSON_DETAIL_MAX];
    size_t  len;

    for (i = 0, len = 0; i < CANARY_RULE_KINDS; i++) {

        n = snprintf(known + len, sizeof(known) - len, "%s%s",
                     i ? ", " : "a rule of this version: ",
                     canary_rule_info[i].name);

        len += (n > 0) ? (size_t) n : 0;

        if (canary_rule_info[i].verta_id && len < sizeof(known)) {
            n = snprintf(known + len, sizeof(known) - len, " (%u)",
                         (unsigned) canary_rule_info[i].verta_id);

            len += (n > 0) ? (size_t) n : 0;
        }

        if (len >= sizeof(known)) {
            break;
        }
    }

    canary_json_wrong(errors, at, value, known);
}


static void
canary_rule_read_parameters(const cJSON *list, const canary_json_at_t *at,
    int kind, canary_rule_t *rule, canary_json_errors_t *errors)
{
    int                parameter;
    unsigned           seen;
    const cJSON       *object;
    canary_json_at_t   here = { at, NULL, 0 };

    if (!cJSON_IsArray(list)) {
        canary_json_wrong(errors, at, list, "a list of parameters, each with "
                          "\"name\" and \"value\"");
        return;
    }

    seen = 0;

    cJSON_ArrayForEach(object, list) {

        parameter = canary_rule_read_parameter(object, &here, rule, seen,
                                               errors);
        if (parameter != -1) {
            seen |= 1u << parameter;
        }

        here.index++;
    }

    if (!(seen & 1u << CANARY_PARAMETER_THRESHOLD)) {
        canary_json_error(errors, at,
                          "a rule needs the parameter \"threshold\"");
    }

    /* what it is a number of is not known without the rule */

    if (kind != -1) {
        canary_rule_read_threshold(list, at, kind, rule, errors);
        canary_rule_finish(rule, seen, at, errors);
    }
}


/* after the other parameters: its unit depends on the baseline */

static void
canary_rule_read_threshold(const cJSON *list, const canary_json_at_t *at,
    int kind, canary_rule_t *rule, canary_json_errors_t *errors)
{
    const cJSON       *object, *name, *value;
    canary_json_at_t   here = { at, NULL, 0 };
    canary_json_at_t   at_value = { &here, "value", 0 };

    rule->kind = (uint32_t) kind;

    cJSON_ArrayForEach(object, list) {

        name = cJSON_GetObjectItemCaseSensitive(object, "name");
        value = cJSON_GetObjectItemCaseSensitive(object, "value");

        if (cJSON_IsString(name) && value
            && strcmp(name->valuestring,
                      canary_parameter_names[CANARY_PARAMETER_THRESHOLD])
               == 0)
        {
            canary_json_number(value, &at_value,
                               &canary_threshold_ranges[
                                                     canary_rule_unit(rule)],
                               &rule->threshold, errors);
            return;
        }

        here.index++;
    }
}


/* parameters that do not go together */

static void
canary_rule_finish(canary_rule_t *rule, unsigned seen,
    const canary_json_at_t *at, canary_json_errors_t *errors)
{
    unsigned     given;
    const char  *wrong;

    given = 0;

    if (seen & 1u << CANARY_PARAMETER_MIN_REQUESTS) {
        given |= CANARY_GIVEN_MIN_REQUESTS;
    }

    if (seen & 1u << CANARY_PARAMETER_CONFIDENCE) {
        given |= CANARY_GIVEN_CONFIDENCE;
    }

    if (seen & 1u << CANARY_PARAMETER_BURST) {
        given |= CANARY_GIVEN_BURST;
    }

    if (seen & 1u << CANARY_PARAMETER_WINDOW) {
        given |= CANARY_GIVEN_WINDOW;
    }

    if (seen & 1u << CANARY_PARAMETER_BASELINE) {
        given |= CANARY_GIVEN_BASELINE;
    }

    if (seen & 1u << CANARY_PARAMETER_MATCH) {
        given |= CANARY_GIVEN_MATCH;
    }

    wrong = canary_rule_complete(rule, given);

    if (wrong) {
        canary_json_error(errors, at, "%s %s",
                          canary_rule_info[rule->kind].name, wrong);
    }
}


/* Returns which parameter it is, -1 if that is not known. */

static int
canary_rule_read_parameter(const cJSON *object, const canary_json_at_t *at,
    canary_rule_t *rule, unsigned seen, canary_json_errors_t *errors)
{
    int                parameter;
    const cJSON       *members[CANARY_PARAMETER_MEMBERS], *name, *value;
    canary_json_at_t   at_name = { at, "name", 0 };
    canary_json_at_t   at_value = { at, "value", 0 };

    if (!canary_json_members(object, at, canary_parameter_member_names,
                             CANARY_PARAMETER_MEMBERS, members, errors))
    {
        return -1;
    }

    name = members[CANARY_PARAMETER_NAME];
    value = members[CANARY_PARAMETER_VALUE];

    if (name == NULL || value == NULL) {
        canary_json_error(errors, at, "needs a \"name\" and a \"value\"");

        if (name == NULL) {
            return -1;
        }
    }

    parameter = canary_json_choice(name, &at_name, canary_parameter_names,
                                   CANARY_PARAMETERS, errors);
    if (parameter == -1) {
        return -1;
    }

    if (seen & 1u << parameter) {
        canary_json_error(errors, &at_name, "\"%s\" is here twice",
                          canary_parameter_names[parameter]);

    } else if (value) {
        canary_rule_read_value(parameter, value, &at_value, rule, errors);
    }

    return parameter;
}


static void
canary_rule_read_value(int parameter, const cJSON *value,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors)
{
    uint64_t  number;

    switch (parameter) {

    case CANARY_PARAMETER_MIN_REQUESTS:

        if (canary_json_number(value, at, &canary_min_requests_range, &number,
                               errors))
        {
            rule->min_requests = (uint32_t) number;
        }

        break;

    case CANARY_PARAMETER_CONFIDENCE:
        canary_rule_read_confidence(value, at, rule, errors);
        break;

    case CANARY_PARAMETER_BURST:
        canary_rule_read_burst(value, at, rule, errors);
        break;

    case CANARY_PARAMETER_WINDOW:

        if (canary_json_number(value, at, &canary_window_range, &number,
                               errors))
        {
            rule->window = (uint32_t) number;
        }

        break;

    case CANARY_PARAMETER_BASELINE:

        if (canary_json_choice(value, at, canary_baselines, 1, errors) == 0) {
            rule->baseline = 1;
        }

        break;

    default: /* _THRESHOLD and _MATCH: canary_rule_read_threshold(),
                canary_match_json_read() */
        break;
    }
}


static void
canary_rule_read_confidence(const cJSON *value, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors)
{
    uint64_t  number;

    if (cJSON_IsString(value) && strcmp(value->valuestring, "off") == 0) {
        rule->confidence = 0;
        return;
    }

    if (canary_json_number(value, at, &canary_confidence_range, &number,
                           errors))
    {
        rule->confidence = (uint32_t) number;
    }
}


static void
canary_rule_read_burst(const cJSON *value, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors)
{
    uint64_t  number;

    if (!canary_json_number(value, at, &canary_burst_range, &number, errors)) {
        return;
    }

    if (number % 100) {
        canary_json_wrong(errors, at, value, canary_burst_range.range);
        return;
    }

    rule->burst = (uint32_t) number;
}
