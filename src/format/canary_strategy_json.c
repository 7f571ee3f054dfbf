
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_rule_json.h"
#include "canary_strategy_json.h"


enum {
    CANARY_PART_INTERVAL = 0,
    CANARY_PART_STEP,
    CANARY_STRATEGY_STEPS,
    CANARY_PART_BAKE,
    CANARY_PART_PATIENCE,
    CANARY_PART_ON_VIOLATION,
    CANARY_PART_ON_UNDECIDED,
    CANARY_PART_APPROVAL,
    CANARY_PART_RULES,
    CANARY_PARTS
};


static void canary_strategy_read_parts(const cJSON *object,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_strategy_read_times(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_strategy_read_reactions(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_strategy_read_size(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);
static void canary_strategy_read_schedule(const cJSON *list,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors);


static const char *const  canary_part_names[CANARY_PARTS] = {
    "progress_interval_seconds",
    "progress_step",
    "progress_steps",
    "bake_seconds",
    "patience_seconds",
    "on_violation",
    "on_undecided",
    "approval",
    "rules"
};


/* in the order of canary_strategy_kind_t, canary_on_..._t, ..._approval_t */

static const char *const  canary_kind_names[] = { "canary", "direct" };
static const char *const  canary_violation_names[] = { "rollback", "halt" };
static const char *const  canary_undecided_names[] = { "hold", "advance" };
static const char *const  canary_approval_names[] = {
    "off", "step", "promotion"
};


static const canary_json_range_t  canary_interval_range = {
    "a number of seconds from 0.001 to 31536000", 1000, 1, CANARY_TIME_MAX,
    0, 0
};

static const canary_json_range_t  canary_bake_range = {
    "a number of seconds from 0 to 31536000", 1000, 0, CANARY_TIME_MAX, 0, 0
};

static const canary_json_range_t  canary_patience_range = {
    "a number of seconds from 10 to 600", 1000, CANARY_PATIENCE_MIN,
    CANARY_PATIENCE_MAX, 0, 0
};

static const canary_json_range_t  canary_size_range = {
    "a ratio from 0.001 to 1", CANARY_ONE, CANARY_LINEAR_STEP_MIN, CANARY_ONE,
    0, 0
};

static const canary_json_range_t  canary_weight_range = {
    "a ratio from 0.000001 to 1", CANARY_ONE, 1, CANARY_ONE, 0, 0
};


canary_strategy_kind_t
canary_strategy_json_read(const cJSON *kind, const cJSON *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    int               chosen;
    canary_json_at_t  at_kind = { at, "strategy", 0 };
    canary_json_at_t  at_parts = { at, "canary_strategy", 0 };

    chosen = kind ? canary_json_choice(kind, &at_kind, canary_kind_names, 2,
                                       errors)
                  : CANARY_STRATEGY_CANARY;

    if (parts && chosen == CANARY_STRATEGY_DIRECT) {
        canary_json_error(errors, &at_parts,
                          "does not go with the strategy \"direct\", which "
                          "has no steps and no rules");

    } else if (parts) {
        canary_strategy_read_parts(parts, &at_parts, strategy, errors);
    }

    return (chosen == CANARY_STRATEGY_DIRECT) ? CANARY_STRATEGY_DIRECT
                                              : CANARY_STRATEGY_CANARY;
}


static void
canary_strategy_read_parts(const cJSON *object, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    const cJSON       *parts[CANARY_PARTS];
    canary_json_at_t   at_steps = { at, "progress_steps", 0 };
    canary_json_at_t   at_rules = { at, "rules", 0 };

    if (!canary_json_members(object, at, canary_part_names, CANARY_PARTS,
                             parts, errors))
    {
        return;
    }

    canary_strategy_read_times(parts, at, strategy, errors);
    canary_strategy_read_reactions(parts, at, strategy, errors);

    if (parts[CANARY_PART_STEP] && parts[CANARY_STRATEGY_STEPS]) {
        canary_json_error(errors, &at_steps, "does not go with "
                          "\"progress_step\", only one of them can be given");

    } else if (parts[CANARY_STRATEGY_STEPS]) {
        canary_strategy_read_schedule(parts[CANARY_STRATEGY_STEPS], &at_steps,
                                      strategy, errors);
    } else {
        canary_strategy_read_size(parts, at, strategy, errors);
    }

    if (parts[CANARY_PART_RULES]) {
        canary_rule_json_read(parts[CANARY_PART_RULES], &at_rules, strategy,
                              errors);
    }
}


static void
canary_strategy_read_times(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    canary_json_at_t  at_interval = { at, "progress_interval_seconds", 0 };
    canary_json_at_t  at_bake = { at, "bake_seconds", 0 };
    canary_json_at_t  at_patience = { at, "patience_seconds", 0 };

    if (parts[CANARY_PART_INTERVAL]) {
        canary_json_number(parts[CANARY_PART_INTERVAL], &at_interval,
                           &canary_interval_range, &strategy->interval,
                           errors);
    }

    if (parts[CANARY_PART_BAKE]) {
        canary_json_number(parts[CANARY_PART_BAKE], &at_bake,
                           &canary_bake_range, &strategy->bake, errors);
    }

    if (parts[CANARY_PART_PATIENCE]) {
        canary_json_number(parts[CANARY_PART_PATIENCE], &at_patience,
                           &canary_patience_range, &strategy->patience,
                           errors);
    }
}


static void
canary_strategy_read_reactions(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    canary_json_at_t  at_violation = { at, "on_violation", 0 };
    canary_json_at_t  at_undecided = { at, "on_undecided", 0 };
    canary_json_at_t  at_approval = { at, "approval", 0 };

    if (parts[CANARY_PART_ON_VIOLATION]) {
        strategy->on_violation = (uint32_t)
            canary_json_choice(parts[CANARY_PART_ON_VIOLATION], &at_violation,
                               canary_violation_names, 2, errors);
    }

    if (parts[CANARY_PART_ON_UNDECIDED]) {
        strategy->on_undecided = (uint32_t)
            canary_json_choice(parts[CANARY_PART_ON_UNDECIDED], &at_undecided,
                               canary_undecided_names, 2, errors);
    }

    if (parts[CANARY_PART_APPROVAL]) {
        strategy->approval = (uint32_t)
            canary_json_choice(parts[CANARY_PART_APPROVAL], &at_approval,
                               canary_approval_names, 3, errors);
    }
}


static void
canary_strategy_read_size(const cJSON *const *parts,
    const canary_json_at_t *at, canary_strategy_t *strategy,
    canary_json_errors_t *errors)
{
    uint32_t          weight, bad;
    uint64_t          size;
    canary_json_at_t  at_size = { at, "progress_step", 0 };

    if (parts[CANARY_PART_STEP]
        && canary_json_number(parts[CANARY_PART_STEP], &at_size,
                              &canary_size_range, &size, errors))
    {
        weight = (uint32_t) size;

        (void) canary_strategy_set_steps(strategy, &weight, 1, &bad);
    }
}


static void
canary_strategy_read_schedule(const cJSON *list, const canary_json_at_t *at,
    canary_strategy_t *strategy, canary_json_errors_t *errors)
{
    unsigned           n;
    uint32_t           weights[CANARY_STEPS_MAX], bad;
    uint64_t           weight;
    const cJSON       *value;
    canary_json_at_t   here = { at, NULL, 0 };

    if (!cJSON_IsArray(list) || list->child == NULL) {
        canary_json_wrong(errors, at, list,
                          "a list of rising ratios above 0 and up to 1");
        return;
    }

    n = 0;

    cJSON_ArrayForEach(value, list) {

        here.index = n;

        if (!canary_json_number(value, &here, &canary_weight_range, &weight,
                                errors))
        {
            return;
        }

        if (n == CANARY_STEPS_MAX) {

            /* the step to 1 is one that any schedule gets by itself */

            if (weight == CANARY_ONE && value->next == NULL) {
                break;
            }

            canary_json_error(errors, &here, "there can be at most %d steps",
                              CANARY_STEPS_MAX);
            return;
        }

        weights[n++] = (uint32_t) weight;
    }

    if (canary_strategy_set_schedule(strategy, weights, n, &bad)
        != CANARY_STEPS_OK)
    {
        here.index = bad;
        canary_json_wrong(errors, &here, cJSON_GetArrayItem(list, (int) bad),
                          "above the step before it");
    }
}
