
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VERTA_JSON_H
#define CANARY_VERTA_JSON_H


#include "canary_json.h"
#include "canary_verta.h"


/*
 * An update as Verta's client sends it:
 *
 *   { "build_id": 2, "strategy": "rollout" }
 *
 *   { "build_id": 2, "strategy": "canary",
 *     "canary_strategy": {
 *       "progress_interval_seconds": 10,
 *       "progress_step": 0.2,
 *       "rules": [ { "rule_id": 1007,
 *                    "rule_parameters": [ { "name": "threshold",
 *                                           "value": "0.1" } ] } ] } }
 *
 * Thresholds are texts of ratios or milliseconds.  What the client may send
 * besides, resources and variables of an environment, is not looked at.
 *
 * The strategy of an update has to hold what the update does not tell, and
 * is not to be used with errors.
 */

void canary_verta_json_read_update(const cJSON *body,
    canary_verta_update_t *update, canary_json_errors_t *errors);

/* What a build is wanted of: { "model_version_id": 2 }. */

void canary_verta_json_read_build(const cJSON *body, uint64_t *build,
    canary_json_errors_t *errors);

/* Adds the rules that an update may have to an object. */

void canary_verta_json_write_rules(cJSON *object, int *failed);


#endif /* CANARY_VERTA_JSON_H */
