
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STRATEGY_JSON_H
#define CANARY_STRATEGY_JSON_H


#include "canary_json.h"
#include "canary_strategy.h"


/*
 * A strategy as the admin API has it:
 *
 *   "strategy": "canary",
 *   "canary_strategy": {
 *     "progress_interval_seconds": 10,
 *     "progress_step": 0.2,              or "progress_steps": [0.01, 0.5, 1]
 *     "bake_seconds": 0,
 *     "patience_seconds": 10,
 *     "on_violation": "rollback",        or "halt"
 *     "on_undecided": "hold",            or "advance"
 *     "approval": "off",                 or "step", "promotion"
 *     "rules": [
 *       { "rule": "error_5xx_rate",      or "rule_id": 1008, or both
 *         "rule_parameters": [ { "name": "threshold", "value": 0.1 },
 *                              { "name": "min_requests", "value": "50" } ] }
 *     ] }
 *
 * Ratios are numbers from 0 to 1, latencies milliseconds; the value of a
 * parameter is a number or a text of one.
 */


typedef enum {
    CANARY_STRATEGY_CANARY = 0,
    CANARY_STRATEGY_DIRECT         /* no steps: the release is stable at
                                      once; has no "canary_strategy" */
} canary_strategy_kind_t;


/*
 * Reads the values of the members "strategy" and "canary_strategy" of the
 * object at "at"; each may be NULL, absent.  What "canary_strategy" has
 * replaces that part of *strategy, the rules as a whole; what it has not
 * remains.  With errors *strategy is not to be used.
 */

canary_strategy_kind_t canary_strategy_json_read(const cJSON *kind,
    const cJSON *parts, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors);

/* Adds both members to an object, as they may be read again. */

void canary_strategy_json_write(cJSON *object,
    const canary_strategy_t *strategy, int *failed);


#endif /* CANARY_STRATEGY_JSON_H */
