
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>

#include "canary_rule_json.h"


static void canary_rule_write(cJSON *list, const canary_rule_t *rule,
    int *failed);


/* by canary_unit_t: ratios are kept in billionths, latencies in thousandths
   of the millisecond that JSON has */

static const unsigned  canary_unit_decimals[] = { 9, 3, 0 };


void
canary_rule_json_write(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON     *list;
    uint32_t   i;

    list = canary_json_add_array(object, "rules", failed);

    for (i = 0; i < strategy->nrules; i++) {
        canary_rule_write(list, &strategy->rules[i], failed);
    }
}


static void
canary_rule_write(cJSON *list, const canary_rule_t *rule, int *failed)
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

    parameter = canary_json_add_object(parameters, NULL, failed);
    canary_json_add_text(parameter, "name", "min_requests", failed);
    canary_json_add_number(parameter, "value", rule->min_requests, 0, failed);
}


void
canary_rule_json_write_threshold(cJSON *object, const char *name,
    const canary_rule_t *rule, int *failed)
{
    canary_json_add_number(object, name, rule->threshold,
                    canary_unit_decimals[canary_rule_info[rule->kind].unit],
                    failed);
}


void
canary_rule_json_write_value(cJSON *object, const char *name, uint32_t kind,
    double value, int *failed)
{
    canary_unit_t  unit;

    unit = canary_rule_info[kind].unit;

    if (unit == CANARY_UNIT_RATIO) {
        value *= (double) CANARY_RATIO_ONE;
    }

    if (!(value >= 0 && value < 1e18)) {
        canary_json_add_null(object, name, failed);
        return;
    }

    canary_json_add_number(object, name, (uint64_t) round(value),
                           canary_unit_decimals[unit], failed);
}
