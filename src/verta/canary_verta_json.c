
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_rule_json.h"
#include "canary_text.h"
#include "canary_verta_json.h"


#define CANARY_VERTA_ID_MAX  ((double) UINT32_MAX)


static void canary_verta_read_id(const cJSON *body, const char *name,
    uint64_t *id, canary_json_errors_t *errors);
static void canary_verta_read_strategy(const cJSON *object,
    canary_strategy_t *strategy, canary_json_errors_t *errors);
static void canary_verta_read_pace(const cJSON *object,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_verta_read_rules(const cJSON *list,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_verta_read_rule(const cJSON *object,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);
static int canary_verta_read_kind(const cJSON *value,
    const canary_json_at_t *at, canary_json_errors_t *errors);
static void canary_verta_read_threshold(const cJSON *list,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);
static int canary_verta_is_endless(const cJSON *value);
static const cJSON *canary_verta_member(const cJSON *object, const char *name);
static void canary_verta_write_rule(cJSON *list,
    const canary_rule_info_t *info, const char *description, int *failed);


static const char *const  canary_verta_strategies[] = { "canary", "rollout" };


static const canary_json_range_t  canary_verta_interval = {
    "a whole number of seconds from 1 to 31536000", 1, 1,
    CANARY_TIME_MAX / 1000, 1, 0
};

static const canary_json_range_t  canary_verta_size = {
    "a ratio from 0.001 to 1", CANARY_ONE, CANARY_LINEAR_STEP_MIN, CANARY_ONE,
    0, 0
};

static const canary_json_range_t  canary_verta_rule_id = {
    "1005, 1006, 1007 or 1008", 1, 0, UINT32_MAX, 1, 0
};

static const canary_json_range_t  canary_verta_ratio = {
    "a ratio from 0 to 1, where \"0.1\" is 10 %", CANARY_RATIO_ONE, 0,
    CANARY_RATIO_ONE, 0, 1
};

static const canary_json_range_t  canary_verta_latency = {
    "a number of milliseconds from 0.001 on", 1000, 1,
    CANARY_LATENCY_MAX, 0, 1
};


void
canary_verta_json_read_update(const cJSON *body,
    canary_verta_update_t *update, canary_json_errors_t *errors)
{
    int                chosen;
    const cJSON       *kind;
    canary_json_at_t   at = { NULL, "strategy", 0 };

    if (!cJSON_IsObject(body)) {
        canary_json_wrong(errors, NULL, body, "an object");
        return;
    }

    canary_verta_read_id(body, "build_id", &update->build, errors);

    kind = canary_verta_member(body, "strategy");

    if (kind == NULL) {
        canary_json_error(errors, &at, "is needed: canary or rollout");
        return;
    }

    chosen = canary_json_choice(kind, &at, canary_verta_strategies, 2,
                                errors);

    update->direct = (chosen == 1);

    if (chosen == 0) {
        canary_verta_read_strategy(canary_verta_member(body,
                                                       "canary_strategy"),
                                   &update->strategy, errors);
    }
}


void
canary_verta_json_read_build(const cJSON *body, uint64_t *build,
    canary_json_errors_t *errors)
{
    if (!cJSON_IsObject(body)) {
        canary_json_wrong(errors, NULL, body, "an object");
        return;
    }

    canary_verta_read_id(body, "model_version_id", build, errors);
}


/* one that is too large for any release is just not known */

static void
canary_verta_read_id(const cJSON *body, const char *name, uint64_t *id,
    canary_json_errors_t *errors)
{
    double             number;
    const cJSON       *value;
    canary_json_at_t   at = { NULL, name, 0 };

    value = canary_verta_member(body, name);

    if (value == NULL) {
        canary_json_error(errors, &at, "is needed");
        return;
    }

    number = cJSON_IsNumber(value) ? value->valuedouble : 0;

    if (!(number >= 1) || number != floor(number)) {
        canary_json_wrong(errors, &at, value, "a whole number above 0");
        return;
    }

    *id = (number <= CANARY_VERTA_ID_MAX) ? (uint64_t) number : 0;
}


static void
canary_verta_read_strategy(const cJSON *object, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    canary_json_at_t  at = { NULL, "canary_strategy", 0 };
    canary_json_at_t  at_rules = { &at, "rules", 0 };

    if (object == NULL) {
        canary_json_error(errors, &at,
                          "is needed with the strategy \"canary\"");
        return;
    }

    if (!cJSON_IsObject(object)) {
        canary_json_wrong(errors, &at, object, "an object");
        return;
    }

    canary_verta_read_pace(object, &at, strategy, errors);
    canary_verta_read_rules(canary_verta_member(object, "rules"), &at_rules,
                            strategy, errors);
}


static void
canary_verta_read_pace(const cJSON *object, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    uint32_t           weight, bad;
    uint64_t           number;
    const cJSON       *interval, *size;
    canary_json_at_t   at_interval = { at, "progress_interval_seconds", 0 };
    canary_json_at_t   at_size = { at, "progress_step", 0 };

    interval = canary_verta_member(object, "progress_interval_seconds");
    size = canary_verta_member(object, "progress_step");

    if (interval == NULL) {
        canary_json_error(errors, &at_interval, "is needed: %s",
                          canary_verta_interval.range);

    } else if (canary_json_number(interval, &at_interval,
                                  &canary_verta_interval, &number, errors))
    {
        strategy->interval = number * 1000;
    }

    if (size == NULL) {
        canary_json_error(errors, &at_size, "is needed: %s",
                          canary_verta_size.range);

    } else if (canary_json_number(size, &at_size, &canary_verta_size,
                                  &number, errors))
    {
        weight = (uint32_t) number;

        (void) canary_strategy_set_steps(strategy, &weight, 1, &bad);
    }
}


static void
canary_verta_read_rules(const cJSON *list, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    static const char  none[] = "a canary needs at least one rule";

    if (list == NULL) {
        canary_json_error(errors, at, "%s", none);
        return;
    }

    canary_rule_json_read_list(list, at, none, canary_verta_read_rule,
                               strategy, errors);
}


static void
canary_verta_read_rule(const cJSON *object, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors)
{
    int                kind;
    canary_json_at_t   at_id = { at, "rule_id", 0 };
    canary_json_at_t   at_parameters = { at, "rule_parameters", 0 };

    if (!cJSON_IsObject(object)) {
        canary_json_wrong(errors, at, object, "an object");
        return;
    }

    kind = canary_verta_read_kind(canary_verta_member(object, "rule_id"),
                                  &at_id, errors);
    if (kind == -1) {
        return;
    }

    rule->kind = (uint32_t) kind;

    canary_verta_read_threshold(canary_verta_member(object,
                                                    "rule_parameters"),
                                &at_parameters, rule, errors);

    (void) canary_rule_complete(rule, 0);
}


static int
canary_verta_read_kind(const cJSON *value, const canary_json_at_t *at,
    canary_json_errors_t *errors)
{
    int       kind;
    uint64_t  id;

    if (value == NULL) {
        canary_json_error(errors, at, "is needed: %s",
                          canary_verta_rule_id.range);
        return -1;
    }

    if (!canary_json_number(value, at, &canary_verta_rule_id, &id, errors)) {
        return -1;
    }

    kind = canary_rule_by_verta_id((uint32_t) id);

    if (kind == -1) {
        canary_json_wrong(errors, at, value, canary_verta_rule_id.range);
    }

    return kind;
}


static void
canary_verta_read_threshold(const cJSON *list, const canary_json_at_t *at,
    canary_rule_t *rule, canary_json_errors_t *errors)
{
    const cJSON                *parameter, *name, *value;
    canary_json_at_t            here = { at, NULL, 0 };
    canary_json_at_t            at_value = { &here, "value", 0 };
    const canary_json_range_t  *range;

    parameter = cJSON_IsArray(list) ? list->child : NULL;
    name = canary_verta_member(parameter, "name");
    value = canary_verta_member(parameter, "value");

    if (parameter == NULL || parameter->next
        || !cJSON_IsString(name) || strcmp(name->valuestring, "threshold") != 0
        || value == NULL)
    {
        canary_json_error(errors, at, "has to be a list of one parameter, "
                          "with the \"name\" \"threshold\" and a \"value\"");
        return;
    }

    range = &canary_verta_ratio;

    if (canary_rule_unit(rule) == CANARY_UNIT_LATENCY) {
        range = &canary_verta_latency;

        if (canary_verta_is_endless(value)) {
            rule->threshold = CANARY_LATENCY_MAX;
            return;
        }
    }

    (void) canary_json_number(value, &at_value, range, &rule->threshold,
                              errors);
}


/*
 * For Verta a threshold is any number; nothing is measured that is longer
 * than a day, so what is above that says the same.
 */

static int
canary_verta_is_endless(const cJSON *value)
{
    double  ms;

    if (cJSON_IsNumber(value)) {
        ms = value->valuedouble;

    } else if (!cJSON_IsString(value)
               || !canary_text_decimal(value->valuestring, &ms))
    {
        return 0;
    }

    return isfinite(ms)
           && ms > (double) CANARY_LATENCY_MAX / canary_verta_latency.scale;
}


static const cJSON *
canary_verta_member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}


void
canary_verta_json_write_rules(cJSON *object, int *failed)
{
    int        kind;
    cJSON     *list;
    uint32_t   id;

    static const char *const  descriptions[] = {
        "mean latency of the canary, in milliseconds",
        "latency that 90 % of the canary's answers keep, in milliseconds",
        "ratio of the canary's answers that are 4xx",
        "ratio of the canary's answers that are 5xx, or none at all"
    };

    list = canary_json_add_array(object, "canary", failed);

    for (id = 1005; id <= 1008; id++) {
        kind = canary_rule_by_verta_id(id);

        canary_verta_write_rule(list, &canary_rule_info[kind],
                                descriptions[id - 1005], failed);
    }
}


static void
canary_verta_write_rule(cJSON *list, const canary_rule_info_t *info,
    const char *description, int *failed)
{
    int     latency;
    cJSON  *object, *parameter;

    latency = (info->unit == CANARY_UNIT_LATENCY);

    object = canary_json_add_object(list, NULL, failed);

    canary_json_add_number(object, "rule_id", info->verta_id, 0, failed);
    canary_json_add_text(object, "name", info->name, failed);
    canary_json_add_text(object, "description", description, failed);
    canary_json_add_text(object, "category", latency ? "Latency" : "Error",
                         failed);

    parameter = canary_json_add_object(canary_json_add_array(object,
                                                            "rule_parameters",
                                                            failed),
                                       NULL, failed);

    canary_json_add_text(parameter, "name", "threshold", failed);
    canary_json_add_text(parameter, "description",
                         "what may not be exceeded", failed);
    canary_json_add_text(parameter, "type",
                         latency ? "latency_ms" : "percentage", failed);
}
