
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Bodies of the API: what a start or a PATCH may have.  Errors are whole
 * lines with a pointer; a strategy that is accepted is one that rollouts can
 * live with, and the same when it is written and read again.
 */


#include <stdio.h>

#include "canary_strategy_json.h"
#include "canary_text.h"

#include "fuzz.h"


static canary_strategy_kind_t fuzz_read(const cJSON *json,
    canary_strategy_t *strategy, canary_json_errors_t *errors);
static void fuzz_errors(const canary_json_errors_t *errors);
static void fuzz_strategy(const canary_strategy_t *strategy);
static void fuzz_again(const canary_strategy_t *strategy);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                    *text;
    cJSON                   *json;
    canary_strategy_t        strategy;
    canary_json_errors_t     errors;
    canary_strategy_kind_t   kind;

    memset(&errors, 0, sizeof(errors));

    text = fuzz_text(data, size);
    json = canary_json_parse(text, size, &errors);

    fuzz_assert((json == NULL) == (errors.total != 0));

    if (json) {
        canary_strategy_init(&strategy);
        kind = fuzz_read(json, &strategy, &errors);

        if (errors.total == 0 && kind == CANARY_STRATEGY_CANARY) {
            fuzz_strategy(&strategy);

            if (strategy.nrules) {
                fuzz_again(&strategy);
            }
        }
    }

    fuzz_errors(&errors);

    cJSON_Delete(json);
    free(text);

    return 0;
}


static canary_strategy_kind_t
fuzz_read(const cJSON *json, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    const cJSON       *values[4];
    canary_json_at_t   at_reason = { NULL, "reason", 0 };

    static const char *const  names[] = {
        "strategy", "canary_strategy", "reason", "release"
    };

    if (!canary_json_members(json, NULL, names, 4, values, errors)) {
        return CANARY_STRATEGY_DIRECT;
    }

    if (values[2]) {
        (void) canary_json_line(values[2], &at_reason, 191, errors);
    }

    return canary_strategy_json_read(values[0], values[1], NULL, strategy,
                                     errors);
}


static void
fuzz_errors(const canary_json_errors_t *errors)
{
    size_t    len;
    unsigned  i;

    fuzz_assert(errors->n <= errors->total);

    for (i = 0; i < errors->n; i++) {
        len = strlen(errors->list[i].detail);
        fuzz_assert(len > 0 && len < CANARY_JSON_DETAIL_MAX);
        fuzz_assert(canary_utf8_prefix(errors->list[i].detail, len) == len);

        len = strlen(errors->list[i].pointer);
        fuzz_assert(len < CANARY_JSON_POINTER_MAX);
        fuzz_assert(canary_utf8_prefix(errors->list[i].pointer, len) == len);
        fuzz_assert(len == 0 || errors->list[i].pointer[0] == '/');
    }
}


static void
fuzz_strategy(const canary_strategy_t *strategy)
{
    uint32_t  i, n, weight, last;

    fuzz_assert(strategy->interval >= 1
                && strategy->interval <= CANARY_TIME_MAX);
    fuzz_assert(strategy->bake <= CANARY_TIME_MAX);
    fuzz_assert(strategy->nrules <= CANARY_RULES_MAX);

    for (i = 0; i < strategy->nrules; i++) {
        fuzz_assert(strategy->rules[i].kind < CANARY_RULE_KINDS);
    }

    n = canary_strategy_steps(strategy);
    fuzz_assert(n >= 1 && n <= 1000);

    for (i = 1, last = 0; i <= n; i++) {
        weight = canary_strategy_weight(strategy, i);
        fuzz_assert(weight > last);
        last = weight;
    }

    fuzz_assert(last == CANARY_ONE);
}


static void
fuzz_again(const canary_strategy_t *strategy)
{
    int                    failed;
    char                  *text;
    cJSON                 *json, *again;
    canary_strategy_t      copy;
    canary_json_errors_t   errors;

    failed = 0;
    memset(&errors, 0, sizeof(errors));

    json = cJSON_CreateObject();
    canary_strategy_json_write(json, strategy, &failed);
    text = cJSON_PrintUnformatted(json);
    fuzz_assert(text && !failed);

    again = canary_json_parse(text, strlen(text), &errors);
    fuzz_assert(again != NULL);

    canary_strategy_init(&copy);
    (void) fuzz_read(again, &copy, &errors);

    fuzz_assert(errors.total == 0);
    fuzz_assert(copy.interval == strategy->interval);
    fuzz_assert(copy.bake == strategy->bake);
    fuzz_assert(copy.linear == strategy->linear);
    fuzz_assert(copy.nsteps == strategy->nsteps);
    fuzz_assert(memcmp(copy.steps, strategy->steps,
                       copy.nsteps * sizeof(copy.steps[0])) == 0);
    fuzz_assert(copy.nrules == strategy->nrules);
    fuzz_assert(memcmp(copy.rules, strategy->rules,
                       sizeof(copy.rules)) == 0);

    cJSON_Delete(again);
    cJSON_free(text);
    cJSON_Delete(json);
}
