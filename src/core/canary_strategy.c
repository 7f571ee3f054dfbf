
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_strategy.h"


void
canary_strategy_init(canary_strategy_t *strategy)
{
    memset(strategy, 0, sizeof(canary_strategy_t));

    strategy->interval = CANARY_INTERVAL_DEFAULT;
    strategy->patience = CANARY_PATIENCE_MIN;
    strategy->linear = CANARY_STEP_DEFAULT;
}


canary_steps_status_t
canary_strategy_set_steps(canary_strategy_t *strategy,
    const uint32_t *weights, uint32_t n, uint32_t *at)
{
    if (n != 1) {
        return canary_strategy_set_schedule(strategy, weights, n, at);
    }

    *at = 0;

    if (weights[0] == 0 || weights[0] > CANARY_ONE) {
        return CANARY_STEPS_RANGE;
    }

    if (weights[0] < CANARY_LINEAR_STEP_MIN) {
        return CANARY_STEPS_TOO_SMALL;
    }

    strategy->linear = weights[0];
    strategy->nsteps = 0;

    return CANARY_STEPS_OK;
}


canary_steps_status_t
canary_strategy_set_schedule(canary_strategy_t *strategy,
    const uint32_t *weights, uint32_t n, uint32_t *at)
{
    uint32_t  i;

    *at = 0;

    if (n == 0) {
        return CANARY_STEPS_NONE;
    }

    for (i = 0; i < n; i++) {
        *at = i;

        if (i == CANARY_STEPS_MAX) {
            return CANARY_STEPS_TOO_MANY;
        }

        if (weights[i] == 0 || weights[i] > CANARY_ONE) {
            return CANARY_STEPS_RANGE;
        }

        if (i && weights[i] <= weights[i - 1]) {
            return CANARY_STEPS_NOT_RISING;
        }
    }

    memcpy(strategy->steps, weights, n * sizeof(uint32_t));

    if (weights[n - 1] != CANARY_ONE) {
        strategy->steps[n++] = CANARY_ONE;
    }

    strategy->nsteps = n;
    strategy->linear = 0;

    return CANARY_STEPS_OK;
}


int
canary_strategy_follows(const canary_strategy_t *strategy)
{
    uint32_t  i;

    for (i = 0; i < strategy->nrules; i++) {
        if (strategy->rules[i].kind == CANARY_RULE_ABANDONED_RATE) {
            return 1;
        }
    }

    return 0;
}


int
canary_strategy_watches(const canary_strategy_t *strategy)
{
    return canary_strategy_follows(strategy)
           || strategy->matches.names[0][0] != '\0';
}


uint32_t
canary_strategy_steps(const canary_strategy_t *strategy)
{
    if (strategy->linear) {
        return (CANARY_ONE + strategy->linear - 1) / strategy->linear;
    }

    return strategy->nsteps;
}


uint32_t
canary_strategy_weight(const canary_strategy_t *strategy, uint32_t step)
{
    if (step == 0) {
        return 0;
    }

    if (step >= canary_strategy_steps(strategy)) {
        return CANARY_ONE;
    }

    if (strategy->linear) {
        return step * strategy->linear;
    }

    return strategy->steps[step - 1];
}


uint32_t
canary_strategy_step_at(const canary_strategy_t *strategy, uint32_t weight)
{
    uint32_t  step;

    for (step = canary_strategy_steps(strategy); step; step--) {
        if (canary_strategy_weight(strategy, step) <= weight) {
            break;
        }
    }

    return step;
}
