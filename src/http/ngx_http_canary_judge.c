
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


static void ngx_http_canary_verdicts(ngx_http_canary_shared_t *shared,
    uint64_t now, ngx_uint_t detail, canary_result_t *result);
static void ngx_http_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_judgement_t *judgement);
static void ngx_http_canary_set_figures(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_figure_t *figures);
static ngx_uint_t ngx_http_canary_guard(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    canary_result_t *result, ngx_uint_t immediate, uint64_t now,
    ngx_log_t *log);
static canary_status_t ngx_http_canary_act(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_breach_t *breach, uint64_t now, ngx_log_t *log);
static void ngx_http_canary_take_step(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_result_t *result, uint64_t now, ngx_log_t *log);


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
    canary_result_t    result;
    canary_rollout_t  *rollout;

    ngx_memzero(judgement, sizeof(ngx_http_canary_judgement_t));
    judgement->failing = -1;
    judgement->held = -1;

    rollout = &ngx_http_canary_record(shared)->rollout;

    if (shared->evidence == NULL || rollout->phase == CANARY_IDLE) {
        return;
    }

    ngx_http_canary_verdicts(shared, now, detail, &result);

    ngx_http_canary_show(&rollout->strategy, &result, judgement);

    judge = canary_judge(shared->evidence);

    if (judge->holding || now < shared->evidence->discard_to) {
        judgement->held = judge->held_rule;
    }
}


static void
ngx_http_canary_verdicts(ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_uint_t detail, canary_result_t *result)
{
    canary_times_t     times;
    canary_rollout_t  *rollout;

    rollout = &ngx_http_canary_record(shared)->rollout;

    ngx_http_canary_times(shared, rollout, detail, &times);

    canary_judge_rules(shared->evidence, rollout, now, &times, (int) detail,
                       result);
}


static void
ngx_http_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_judgement_t *judgement)
{
    ngx_uint_t  i;

    judgement->verdict = result->verdict;
    judgement->attempts = result->decided;
    judgement->started = result->started;
    judgement->stable_started = result->stable_started;
    judgement->nfigures = result->n;

    ngx_http_canary_set_figures(strategy, result, judgement->figures);

    for (i = 0; i < result->n; i++) {
        if (result->rules[i].verdict == CANARY_FAILING
            && judgement->failing == -1)
        {
            judgement->failing = i;
        }
    }
}


static void
ngx_http_canary_set_figures(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_http_canary_figure_t *figures)
{
    ngx_uint_t  i;

    for (i = 0; i < result->n; i++) {
        figures[i].rule = strategy->rules[i];
        figures[i].judgement = result->rules[i];
    }
}


/*
 * Judges the rules, and acts when one is broken; when an attempt has failed
 * just now, only one that is judged then.  Returns 1 if the rollout has
 * changed.
 */

static ngx_uint_t
ngx_http_canary_guard(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    canary_result_t *result, ngx_uint_t immediate, uint64_t now,
    ngx_log_t *log)
{
    canary_breach_t  breach;
    canary_status_t  status;

    ngx_http_canary_verdicts(shared, now, 0, result);

    if (!canary_judge_breach(shared->evidence,
                             &ngx_http_canary_record(shared)->rollout, result,
                             (int) immediate, now, &breach))
    {
        return 0;
    }

    status = ngx_http_canary_act(sh, shpool, shared, &breach, now, log);

    if (breach.verb == CANARY_VIOLATION) {
        return status == CANARY_CHANGED;
    }

    /* only now: what the event tells of is discarded */

    canary_judge_hold(shared->evidence,
                      &ngx_http_canary_record(shared)->rollout, breach.rule,
                      now);

    return 0;
}


/* the rule that broke is the only one of the figures, with all its details */

static canary_status_t
ngx_http_canary_act(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_breach_t *breach, uint64_t now, ngx_log_t *log)
{
    canary_result_t            result;
    ngx_http_canary_change_t   change;
    ngx_http_canary_figure_t   figure;

    ngx_http_canary_verdicts(shared, now, 1, &result);

    figure.rule = ngx_http_canary_record(shared)->rollout
                      .strategy.rules[breach->rule];
    figure.judgement = result.rules[breach->rule];

    ngx_memzero(&change, sizeof(ngx_http_canary_change_t));

    change.command.verb = breach->verb;
    change.command.now = now;

    if (breach->verb == CANARY_HOLDING) {
        change.outage = &breach->outage;
    }

    (void) ngx_cpystrn(change.actor.name,
                       (u_char *) canary_rule_info[figure.rule.kind].name,
                       sizeof(change.actor.name));

    (void) ngx_http_canary_change_locked(sh, shpool, shared, &change, &figure,
                                         1, log);

    return change.status;
}


void
ngx_http_canary_progress(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_log_t *log)
{
    ngx_uint_t         moved, holds;
    canary_times_t     times;
    canary_result_t    result;
    canary_rollout_t  *rollout;

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

    if (!moved && !holds
        && canary_judge_settled(shared->evidence, rollout, now))
    {
        return;
    }

    if (ngx_http_canary_guard(sh, shpool, shared, &result, 0, now, log)
        || canary_judge_holds(shared->evidence, rollout, now))
    {
        return;
    }

    /* a step that cannot be put down is none */

    if (!sh->failing && !sh->foreign) {
        ngx_http_canary_take_step(sh, shpool, shared, &result, now, log);
    }
}


static void
ngx_http_canary_take_step(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_result_t *result, uint64_t now, ngx_log_t *log)
{
    ngx_http_canary_change_t  change;
    ngx_http_canary_figure_t  figures[CANARY_RULES_MAX];

    ngx_http_canary_set_figures(&ngx_http_canary_record(shared)
                                     ->rollout.strategy, result, figures);

    ngx_memzero(&change, sizeof(ngx_http_canary_change_t));

    change.command.verb = CANARY_TICK;
    change.command.now = now;
    change.command.verdict = result->verdict;
    change.command.attempts = result->decided;

    (void) ngx_cpystrn(change.actor.name, (u_char *) "controller",
                       sizeof(change.actor.name));

    (void) ngx_http_canary_change_locked(sh, shpool, shared, &change,
                                         figures, result->n, log);
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
    canary_result_t                 result;
    ngx_slab_pool_t                *shpool;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_zone_shared_t  *sh;

    cmcf = endpoint->main;
    sh = cmcf->sh;
    shpool = cmcf->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    now = ngx_http_canary_milliseconds();

    if (!sh->superseded) {
        ngx_http_canary_mend(sh, shpool, endpoint->shared, now);
    }

    route = ngx_http_canary_route(endpoint);

    if (!sh->superseded && route.epoch == epoch
        && endpoint->shared->evidence
        && canary_rollout_guarded(&ngx_http_canary_record(endpoint->shared)
                                       ->rollout))
    {
        immediate = (now - sh->heartbeat < NGX_HTTP_CANARY_STALE);

        (void) ngx_http_canary_guard(sh, shpool, endpoint->shared, &result,
                                     immediate, now, log);
    }

    ngx_shmtx_unlock(&shpool->mutex);
}
