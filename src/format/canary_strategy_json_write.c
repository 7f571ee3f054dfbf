
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_rule_json.h"
#include "canary_strategy_json.h"


#define CANARY_TIME_DECIMALS  3


static void canary_strategy_write_steps(cJSON *object,
    const canary_strategy_t *strategy, int *failed);

void
canary_strategy_json_write(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON  *parts;

    static const char *const  approvals[] = { "off", "step", "promotion" };

    canary_json_add_text(object, "strategy", "canary", failed);

    parts = canary_json_add_object(object, "canary_strategy", failed);

    canary_json_add_number(parts, "progress_interval_seconds",
                           strategy->interval, CANARY_TIME_DECIMALS, failed);

    canary_strategy_write_steps(parts, strategy, failed);

    canary_json_add_number(parts, "bake_seconds", strategy->bake,
                           CANARY_TIME_DECIMALS, failed);

    canary_json_add_number(parts, "patience_seconds", strategy->patience,
                           CANARY_TIME_DECIMALS, failed);

    canary_json_add_text(parts, "on_violation",
                         (strategy->on_violation == CANARY_HALT)
                         ? "halt" : "rollback", failed);

    canary_json_add_text(parts, "on_undecided",
                         (strategy->on_undecided == CANARY_HOLD)
                         ? "hold" : "advance", failed);

    canary_json_add_text(parts, "approval", approvals[strategy->approval],
                         failed);

    canary_rule_json_write(parts, strategy, failed);
}


static void
canary_strategy_write_steps(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON     *list;
    uint32_t   i;

    if (strategy->linear) {
        canary_json_add_number(object, "progress_step", strategy->linear,
                               CANARY_WEIGHT_DECIMALS, failed);
        return;
    }

    list = canary_json_add_array(object, "progress_steps", failed);

    for (i = 0; i < strategy->nsteps; i++) {
        canary_json_add_number(list, NULL, strategy->steps[i],
                               CANARY_WEIGHT_DECIMALS, failed);
    }
}
