
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_MATCH_JSON_H
#define CANARY_MATCH_JSON_H


#include "canary_json.h"
#include "canary_strategy.h"


/* What rules in JSON are about: the parameter "match" of each. */


/*
 * Reads them from the list "rules", which has been read but for that without
 * an error into a strategy that has no names yet.
 */

void canary_match_json_read(const cJSON *rules, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors);

/*
 * Adds an error for each that is not one of the names; "parts" is the value of
 * "canary_strategy" at "at", read without an error, or NULL, and may have no
 * rules.
 */

void canary_match_json_check(const cJSON *parts, const canary_json_at_t *at,
    const canary_matches_t *names, canary_json_errors_t *errors);


#endif /* CANARY_MATCH_JSON_H */
