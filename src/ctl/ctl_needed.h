
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_NEEDED_H
#define CTL_NEEDED_H


#include "canary_strategy.h"


/*
 * The clean attempts that each rule of a strategy needs in a step until it
 * passes, as the judge of nginx says it of a rollout that has just begun.
 * Returns 0 if a rollout could not begin so.
 */

int ctl_needed(const canary_strategy_t *strategy,
    uint64_t needed[CANARY_RULES_MAX]);


#endif /* CTL_NEEDED_H */
