
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <string.h>

#include "canary_match_json.h"


static const cJSON *canary_match_json_find(const cJSON *rule,
    unsigned *index);
static unsigned canary_match_json_add(const cJSON *value,
    const canary_json_at_t *at, canary_matches_t *matches,
    canary_json_errors_t *errors);
static void canary_match_json_unknown(const cJSON *value,
    const canary_json_at_t *at, const canary_matches_t *names,
    canary_json_errors_t *errors);


void
canary_match_json_read(const cJSON *rules, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    const cJSON       *rule, *value;
    canary_json_at_t   here = { at, NULL, 0 };
    canary_json_at_t   parameters = { &here, "rule_parameters", 0 };
    canary_json_at_t   parameter = { &parameters, NULL, 0 };
    canary_json_at_t   at_value = { &parameter, "value", 0 };

    cJSON_ArrayForEach(rule, rules) {

        value = canary_match_json_find(rule, &parameter.index);

        if (value) {
            strategy->rules[here.index].match
                = (uint16_t) canary_match_json_add(value, &at_value,
                                                   &strategy->matches,
                                                   errors);
        }

        here.index++;
    }
}


static const cJSON *
canary_match_json_find(const cJSON *rule, unsigned *index)
{
    const cJSON  *list, *parameter, *name;

    list = cJSON_GetObjectItemCaseSensitive(rule, "rule_parameters");
    *index = 0;

    cJSON_ArrayForEach(parameter, list) {

        name = cJSON_GetObjectItemCaseSensitive(parameter, "name");

        if (cJSON_IsString(name) && strcmp(name->valuestring, "match") == 0) {
            return cJSON_GetObjectItemCaseSensitive(parameter, "value");
        }

        (*index)++;
    }

    return NULL;
}


/* its place; 0 with an error added */

static unsigned
canary_match_json_add(const cJSON *value, const canary_json_at_t *at,
    canary_matches_t *matches, canary_json_errors_t *errors)
{
    size_t    len;
    unsigned  place;

    len = cJSON_IsString(value) ? strlen(value->valuestring) : 0;

    if (len == 0 || canary_match_bad_name(value->valuestring, len)) {
        canary_json_wrong(errors, at, value, "the name of a \"canary_match\", "
                          "1 to 31 letters, digits, \"_\", \"-\" and \".\"");
        return 0;
    }

    place = canary_match_add(matches, value->valuestring, len);

    if (place == 0) {
        canary_json_error(errors, at, "is one too many, rules can be about at "
                          "most %d matches", CANARY_MATCHES_MAX);
    }

    return place;
}


void
canary_match_json_check(const cJSON *parts, const canary_json_at_t *at,
    const canary_matches_t *names, canary_json_errors_t *errors)
{
    const cJSON       *rules, *rule, *value;
    canary_json_at_t   at_rules = { at, "rules", 0 };
    canary_json_at_t   here = { &at_rules, NULL, 0 };
    canary_json_at_t   parameters = { &here, "rule_parameters", 0 };
    canary_json_at_t   parameter = { &parameters, NULL, 0 };
    canary_json_at_t   at_value = { &parameter, "value", 0 };

    rules = cJSON_GetObjectItemCaseSensitive(parts, "rules");

    cJSON_ArrayForEach(rule, rules) {

        value = canary_match_json_find(rule, &parameter.index);

        if (value
            && canary_match_find(names, value->valuestring,
                                 strlen(value->valuestring))
               == 0)
        {
            canary_match_json_unknown(value, &at_value, names, errors);
        }

        here.index++;
    }
}


static void
canary_match_json_unknown(const cJSON *value, const canary_json_at_t *at,
    const canary_matches_t *names, canary_json_errors_t *errors)
{
    int       n;
    char      known[CANARY_JSON_DETAIL_MAX];
    size_t    len;
    unsigned  i;

    if (names->names[0][0] == '\0') {
        canary_json_error(errors, at, "names a \"canary_match\", and this "
                          "endpoint has none in nginx.conf");
        return;
    }

    for (i = 0, len = 0; i < CANARY_MATCHES_MAX && names->names[i][0]; i++) {
        n = snprintf(known + len, sizeof(known) - len, "%s%.*s",
                     i ? ", " : "a \"canary_match\" of this endpoint: ",
                     CANARY_MATCH_SIZE, names->names[i]);

        len += (n > 0) ? (size_t) n : 0;
    }

    canary_json_wrong(errors, at, value, known);
}
