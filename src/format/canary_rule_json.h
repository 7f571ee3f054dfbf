
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_RULE_JSON_H
#define CANARY_RULE_JSON_H


#include "canary_json.h"
#include "canary_strategy.h"


/* Reads the list "rules" of a strategy in place of the rules it has. */

void canary_rule_json_read(const cJSON *list, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors);

/*
 * The same for a list whose rules "read" takes one by one; "none" is what is
 * said of an empty list.
 */

typedef void (*canary_rule_json_read_pt)(const cJSON *object,
    const canary_json_at_t *at, canary_rule_t *rule,
    canary_json_errors_t *errors);

void canary_rule_json_read_list(const cJSON *list, const canary_json_at_t *at,
    const char *none, canary_rule_json_read_pt read,
    canary_strategy_t *strategy, canary_json_errors_t *errors);

/* Adds the list "rules" to an object. */

void canary_rule_json_write(cJSON *object, const canary_strategy_t *strategy,
    int *failed);

/*
 * Add the threshold of a rule, and a value that was measured for it (as in
 * canary_judgement_t), as JSON has them: ratios, milliseconds, counts,
 * factors.  What is no value is null.
 */

void canary_rule_json_write_threshold(cJSON *object, const char *name,
    const canary_rule_t *rule, int *failed);
void canary_rule_json_write_value(cJSON *object, const char *name,
    const canary_rule_t *rule, double value, int *failed);


#endif /* CANARY_RULE_JSON_H */
