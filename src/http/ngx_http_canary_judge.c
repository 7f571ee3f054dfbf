
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


static ngx_uint_t ngx_http_canary_guard(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_judgement_t *judgement, ngx_uint_t immediate,
    uint64_t now, ngx_log_t *log);
static ngx_int_t ngx_http_canary_find_broken(
    ngx_http_canary_shared_t *shared, ngx_http_canary_judgement_t *judgement,
    ngx_uint_t immediate, uint64_t now, ngx_int_t *excused,
    canary_outage_t *outage);
static void ngx_http_canary_violate(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, ngx_uint_t broken, uint64_t now,
    ngx_log_t *log);
static void ngx_http_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_judgement_t *judgement);
static ngx_uint_t ngx_http_canary_is_settled(
    ngx_http_canary_shared_t *shared, uint64_t now);


void
ngx_http_canary_times(ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout, ngx_uint_t detail, canary_times_t *times)
{
    unsigned    sides;
    ngx_uint_t  side;

    sides = canary_judge_needs_times(&rollout->strategy, (int) detail);

    for (side = 0; side < CANARY_SIDES; side++) {

        if (!(sides & 1u << side)) {
            continue;
        }

        ngx_http_canary_sum_times(shared,
                                  shared->releases[(side == CANARY_SIDE_CANARY)
                                                   ? rollout->canary
                                                   : rollout->stable],
                                  &times->sides[side], &times->step[side]);
    }
}


void
ngx_http_canary_judge(ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_uint_t detail, ngx_http_canary_judgement_t *judgement)
{
    canary_judge_t    *judge;
    canary_times_t     times;
    canary_result_t    result;
    canary_rollout_t  *rollout;

    ngx_memzero(judgement, sizeof(ngx_http_canary_judgement_t));
    judgement->failing = -1;
    judgement->held = -1;

    rollout = &ngx_http_canary_record(shared)->rollout;

    if (shared->evidence == NULL || rollout->phase == CANARY_IDLE) {
        return;
    }

    ngx_http_canary_times(shared, rollout, detail, &times);

    canary_judge_rules(shared->evidence, rollout, now, &times, (int) detail,
                       &result);

    ngx_http_canary_show(&rollout->strategy, &result, judgement);

    judge = canary_judge(shared->evidence);

    if (judge->holding || now < shared->evidence->discard_to) {
        judgement->held = judge->held_rule;
    }
}


static void
ngx_http_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_judgement_t *judgement)
{
    ngx_uint_t                 i;
    ngx_http_canary_figure_t  *figure;

    judgement->verdict = result->verdict;
    judgement->attempts = result->decided;
    judgement->started = result->started;
    judgement->stable_started = result->stable_started;
    judgement->nfigures = result->n;

    for (i = 0; i < result->n; i++) {
        figure = &judgement->figures[i];
        figure->rule = strategy->rules[i];
        figure->judgement = result->rules[i];

        if (result->rules[i].verdict == CANARY_FAILING
            && judgement->failing == -1)
        {
            judgement->failing = i;
        }
    }
}


/*
 * Judges the rules, only those about errors if immediate, and acts when one
 * is broken; returns 1 if the rollout has changed.
 */

static ngx_uint_t
ngx_http_canary_guard(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_judgement_t *judgement, ngx_uint_t immediate,
    uint64_t now, ngx_log_t *log)
{
    ngx_int_t                 broken, excused;
    canary_outage_t           outage;
    ngx_http_canary_change_t  change;

    ngx_http_canary_judge(shared, now, 0, judgement);

    if (judgement->failing == -1) {
        return 0;
    }

    broken = ngx_http_canary_find_broken(shared, judgement, immediate, now,
                                         &excused, &outage);

    if (broken == -1 && excused == -1) {
        return 0;
    }

    ngx_memzero(&change, sizeof(ngx_http_canary_change_t));

    change.command.now = now;

    if (broken != -1) {
        change.command.verb = CANARY_VIOLATION;

    } else {
        broken = excused;

        change.command.verb = CANARY_HOLDING;
        change.outage = &outage;
    }

    ngx_http_canary_violate(sh, shpool, shared, &change, broken, now, log);

    /* only now: what the event tells of is discarded */

    if (change.command.verb == CANARY_HOLDING) {
        canary_judge_hold(shared->evidence,
                          &ngx_http_canary_record(shared)->rollout,
                          (uint32_t) broken, now);
    }

    return change.status == CANARY_CHANGED
           && change.command.verb == CANARY_VIOLATION;
}


/*
 * The first failing rule that stable does not break as well; else -1, and in
 * "excused" the first that is, unless that is known already.
 */

static ngx_int_t
ngx_http_canary_find_broken(ngx_http_canary_shared_t *shared,
    ngx_http_canary_judgement_t *judgement, ngx_uint_t immediate,
    uint64_t now, ngx_int_t *excused, canary_outage_t *outage)
{
    ngx_uint_t                 i;
    canary_outage_t            found;
    canary_rollout_t          *rollout;
    ngx_http_canary_figure_t  *figure;

    rollout = &ngx_http_canary_record(shared)->rollout;

    *excused = -1;

    for (i = 0; i < judgement->nfigures; i++) {
        figure = &judgement->figures[i];

        if (figure->judgement.verdict != CANARY_FAILING
            || (immediate && !canary_rule_immediate(&figure->rule)))
        {
            continue;
        }

        if (!canary_judge_excuse(shared->evidence, rollout, (uint32_t) i, now,
                                 &found))
        {
            return i;
        }

        if (*excused == -1 && !canary_judge(shared->evidence)->holding) {
            *excused = i;
            *outage = found;
        }
    }

    return -1;
}


/* the rule that broke is the only one of the figures, with all its details */

static void
ngx_http_canary_violate(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, ngx_uint_t broken, uint64_t now,
    ngx_log_t *log)
{
    ngx_http_canary_figure_t     *figure;
    ngx_http_canary_judgement_t   judgement;

    ngx_http_canary_judge(shared, now, 1, &judgement);

    figure = &judgement.figures[broken];

    (void) ngx_cpystrn(change->actor.name,
                       (u_char *) canary_rule_info[figure->rule.kind].name,
                       sizeof(change->actor.name));

    (void) ngx_http_canary_change_locked(sh, shpool, shared, change, figure,
                                         1, log);
}


void
ngx_http_canary_progress(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_log_t *log)
{
    ngx_uint_t                    moved, holds;
    canary_times_t                times;
    canary_rollout_t             *rollout;
    ngx_http_canary_change_t      change;
    ngx_http_canary_judgement_t   judgement;

    rollout = &ngx_http_canary_record(shared)->rollout;

    moved = canary_judge_tick(shared->evidence, rollout, now);

    if (moved) {
        ngx_http_canary_times(shared, rollout, 0, &times);
        canary_judge_measure(shared->evidence, rollout, now, &times);
    }

    if (!canary_rollout_guarded(rollout)) {
        return;
    }

    holds = canary_judge_holds(shared->evidence, rollout, now);

    /* of the times of a step none are known to be of cohorts that count */

    if (holds) {
        ngx_http_canary_begin_step(sh, shpool, shared);
    }

    if (!moved && !holds && ngx_http_canary_is_settled(shared, now)) {
        return;
    }

    if (ngx_http_canary_guard(sh, shpool, shared, &judgement, 0, now, log)
        || canary_judge_holds(shared->evidence, rollout, now))
    {
        return;
    }

    /* a step that cannot be put down is none */

    if (sh->failing || sh->foreign) {
        return;
    }

    ngx_memzero(&change, sizeof(ngx_http_canary_change_t));

    change.command.verb = CANARY_TICK;
    change.command.now = now;
    change.command.verdict = judgement.verdict;
    change.command.attempts = judgement.attempts;

    (void) ngx_cpystrn(change.actor.name, (u_char *) "controller",
                       sizeof(change.actor.name));

    (void) ngx_http_canary_change_locked(sh, shpool, shared, &change,
                                         judgement.figures,
                                         judgement.nfigures, log);
}


/* whether the last verdicts hold the rollout where it is */

static ngx_uint_t
ngx_http_canary_is_settled(ngx_http_canary_shared_t *shared, uint64_t now)
{
    canary_judge_t    *judge;
    canary_command_t   command;
    canary_rollout_t   next;

    judge = canary_judge(shared->evidence);

    ngx_memzero(&command, sizeof(canary_command_t));

    command.verb = CANARY_TICK;
    command.now = now;
    command.verdict = judge->verdict;
    command.attempts = judge->decided;

    next = ngx_http_canary_record(shared)->rollout;

    return canary_rollout_apply(&next, &command) != CANARY_CHANGED;
}


/*
 * While the control loop is alive it judges the rest; if it is not, whoever
 * sees a failure judges everything.
 */

void
ngx_http_canary_trip(ngx_http_canary_endpoint_t *endpoint, uint32_t epoch,
    ngx_log_t *log)
{
    uint64_t                        now;
    ngx_uint_t                      immediate;
    canary_route_t                  route;
    ngx_slab_pool_t                *shpool;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_judgement_t     judgement;
    ngx_http_canary_zone_shared_t  *sh;

    cmcf = endpoint->main;
    sh = cmcf->sh;
    shpool = cmcf->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    now = ngx_http_canary_milliseconds();
    route = ngx_http_canary_route(endpoint);

    if (!sh->superseded && route.epoch == epoch
        && endpoint->shared->evidence
        && canary_rollout_guarded(&ngx_http_canary_record(endpoint->shared)
                                       ->rollout))
    {
        immediate = (now - sh->heartbeat < NGX_HTTP_CANARY_STALE);

        (void) ngx_http_canary_guard(sh, shpool, endpoint->shared, &judgement,
                                     immediate, now, log);
    }

    ngx_shmtx_unlock(&shpool->mutex);
}
