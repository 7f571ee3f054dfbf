
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>

#include "canary_rule_json.h"


static void canary_rule_write(cJSON *list, const canary_rule_t *rule,
    const canary_matches_t *matches, int *failed);
static void canary_rule_write_test(cJSON *parameters,
    const canary_rule_t *rule, int *failed);
static void canary_rule_write_number(cJSON *parameters, const char *name,
    uint64_t value, unsigned decimals, int *failed);
static void canary_rule_write_text(cJSON *parameters, const char *name,
    const char *value, int *failed);


/* by canary_unit_t: ratios are kept in billionths, latencies in thousandths
   of the millisecond that JSON has */

static const unsigned  canary_unit_decimals[] = { 9, 3, 0, 9 };


void
canary_rule_json_write(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON     *list;
    uint32_t   i;

    list = canary_json_add_array(object, "rules", failed);

    for (i = 0; i < strategy->nrules; i++) {
        canary_rule_write(list, &strategy->rules[i], &strategy->matches,
                          failed);
    }
}


static void
canary_rule_write(cJSON *list, const canary_rule_t *rule,
    const canary_matches_t *matches, int *failed)
{
    cJSON                     *object, *parameters, *parameter;
    const canary_rule_info_t  *info;

    info = &canary_rule_info[rule->kind];

    object = canary_json_add_object(list, NULL, failed);

    canary_json_add_text(object, "rule", info->name, failed);

    if (info->verta_id) {
        canary_json_add_number(object, "rule_id", info->verta_id, 0, failed);
    }

    parameters = canary_json_add_array(object, "rule_parameters", failed);

    parameter = canary_json_add_object(parameters, NULL, failed);
    canary_json_add_text(parameter, "name", "threshold", failed);
    canary_rule_json_write_threshold(parameter, "value", rule, failed);

    canary_rule_write_number(parameters, "min_requests", rule->min_requests,
                             0, failed);

    if (rule->match) {
        canary_rule_write_text(parameters, "match",
                               matches->names[rule->match - 1], failed);
    }

    if (info->unit != CANARY_UNIT_COUNT) {
        canary_rule_write_test(parameters, rule, failed);
    }
}


/* in full, so that it means the same whatever the defaults are */

static void
canary_rule_write_test(cJSON *parameters, const canary_rule_t *rule,
    int *failed)
{
    if (rule->confidence) {
        canary_rule_write_number(parameters, "confidence", rule->confidence,
                                 9, failed);
        canary_rule_write_number(parameters, "burst_seconds", rule->burst, 3,
                                 failed);
    } else {
        canary_rule_write_text(parameters, "confidence", "off", failed);
    }

    if (rule->window) {
        canary_rule_write_number(parameters, "window_seconds", rule->window,
                                 3, failed);
    }

    if (rule->baseline) {
        canary_rule_write_text(parameters, "baseline", "stable", failed);
    }
}


static void
canary_rule_write_number(cJSON *parameters, const char *name, uint64_t value,
    unsigned decimals, int *failed)
{
    cJSON  *parameter;

    parameter = canary_json_add_object(parameters, NULL, failed);

    canary_json_add_text(parameter, "name", name, failed);
    canary_json_add_number(parameter, "value", value, decimals, failed);
}


static void
canary_rule_write_text(cJSON *parameters, const char *name,
    const char *value, int *failed)
{
    cJSON  *parameter;

    parameter = canary_json_add_object(parameters, NULL, failed);

    canary_json_add_text(parameter, "name", name, failed);
    canary_json_add_text(parameter, "value", value, failed);
}


void
canary_rule_json_write_threshold(cJSON *object, const char *name,
    const canary_rule_t *rule, int *failed)
{
    canary_json_add_number(object, name, rule->threshold,
                           canary_unit_decimals[canary_rule_unit(rule)],
                           failed);
}


void
canary_rule_json_write_value(cJSON *object, const char *name,
    const canary_rule_t *rule, double value, int *failed)
{
    canary_unit_t  unit;

    unit = canary_rule_unit(rule);

    if (unit == CANARY_UNIT_RATIO || unit == CANARY_UNIT_FACTOR) {
        value *= (double) CANARY_RATIO_ONE;
    }

    /* a difference may be below 0, and not everything is known */

    if (!(value > -1e18 && value < 1e18)) {
        canary_json_add_null(object, name, failed);

    } else if (value <= -0.5) {
        canary_json_add(object, name,
                        cJSON_CreateNumber(round(value)
                                           / pow(10,
                                                 canary_unit_decimals[unit])),
                        failed);
    } else {
        canary_json_add_number(object, name, (uint64_t) round(fabs(value)),
                               canary_unit_decimals[unit], failed);
    }
}
