
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_verta.h"


static canary_verta_step_t canary_verta_begin(const canary_rollout_t *rollout,
    const canary_verta_update_t *update, uint32_t release, uint64_t ago,
    int other);
static canary_verta_step_t canary_verta_replace(
    const canary_rollout_t *rollout, const canary_verta_update_t *update,
    uint32_t release, uint64_t ago);
static canary_verta_step_t canary_verta_nothing(int settled);
static canary_verta_step_t canary_verta_verb(canary_verb_t verb, int more,
    int settled);
static int canary_verta_repeats(const canary_rollout_t *rollout,
    const canary_verta_update_t *update);


canary_verta_step_t
canary_verta_step(const canary_rollout_t *rollout,
    const canary_verta_update_t *update, uint32_t release, uint64_t ago,
    int other)
{
    if (rollout->phase == CANARY_IDLE) {
        return canary_verta_begin(rollout, update, release, ago, other);
    }

    return canary_verta_replace(rollout, update, release, ago);
}


static canary_verta_step_t
canary_verta_begin(const canary_rollout_t *rollout,
    const canary_verta_update_t *update, uint32_t release, uint64_t ago,
    int other)
{
    if (release == rollout->stable) {
        return canary_verta_nothing(1);
    }

    if (update->direct) {
        return canary_verta_verb(CANARY_DIRECT, 0, 0);
    }

    /* sent again, it is not to give a condemned canary another chance */

    if (!other && ago < CANARY_VERTA_RESEND
        && rollout->last_result == CANARY_ROLLED_BACK
        && rollout->last_release == release
        && canary_verta_repeats(rollout, update))
    {
        return canary_verta_nothing(0);
    }

    return canary_verta_verb(CANARY_START, 0, 0);
}


/* the update finds another rollout, or its own */

static canary_verta_step_t
canary_verta_replace(const canary_rollout_t *rollout,
    const canary_verta_update_t *update, uint32_t release, uint64_t ago)
{
    if (release == rollout->stable) {
        return canary_verta_verb(CANARY_ROLLBACK, 0, 1);
    }

    if (release != rollout->canary) {
        return canary_verta_verb(CANARY_ROLLBACK, 1, 0);
    }

    if (update->direct) {
        return canary_verta_verb(CANARY_PROMOTE, 0, 0);
    }

    if (canary_verta_repeats(rollout, update)
        && (rollout->phase != CANARY_HALTED || ago < CANARY_VERTA_RESEND))
    {
        return canary_verta_nothing(0);
    }

    return canary_verta_verb(CANARY_ROLLBACK, 1, 0);
}


static canary_verta_step_t
canary_verta_nothing(int settled)
{
    canary_verta_step_t  step = { 0, CANARY_VERBS, 0, settled };

    return step;
}


static canary_verta_step_t
canary_verta_verb(canary_verb_t verb, int more, int settled)
{
    canary_verta_step_t  step = { 1, verb, more, settled };

    return step;
}


/* only what an update tells: nginx.conf, which has the rest, may change */

static int
canary_verta_repeats(const canary_rollout_t *rollout,
    const canary_verta_update_t *update)
{
    const canary_strategy_t  *was, *is;

    was = &rollout->strategy;
    is = &update->strategy;

    return !update->direct
           && was->interval == is->interval
           && was->linear == is->linear
           && was->nrules == is->nrules
           && memcmp(was->rules, is->rules, is->nrules * sizeof(canary_rule_t))
              == 0;
}


void
canary_verta_stage(const canary_rollout_t *rollout, int settled,
    canary_verta_stage_t *stage)
{
    canary_verta_component_t  *stable, *canary;

    memset(stage, 0, sizeof(canary_verta_stage_t));

    stable = &stage->components[0];
    canary = &stage->components[1];

    stable->release = rollout->stable;
    stable->ratio = CANARY_ONE - rollout->weight;
    canary->release = rollout->canary;
    canary->ratio = rollout->weight;

    stage->n = 2;

    if (rollout->phase == CANARY_HALTED) {
        stage->status = CANARY_VERTA_ERROR;
        canary->failed = 1;

    } else if (rollout->phase != CANARY_IDLE) {
        stage->status = CANARY_VERTA_UPDATING;

    } else if (rollout->last_result == CANARY_ROLLED_BACK && !settled) {
        stage->status = CANARY_VERTA_ERROR;
        canary->release = rollout->last_release;
        canary->failed = 1;

    } else {
        stage->status = CANARY_VERTA_ACTIVE;
        stage->n = 1;
    }
}


const char *
canary_verta_status_name(canary_verta_status_t status)
{
    static const char *const  names[] = { "active", "updating", "error" };

    return names[status];
}
