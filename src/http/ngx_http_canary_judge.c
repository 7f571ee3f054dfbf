
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


static ngx_int_t ngx_http_canary_find_failing(
    ngx_http_canary_judgement_t *judgement, ngx_uint_t immediate);


void
ngx_http_canary_judge(ngx_http_canary_shared_t *shared,
    ngx_http_canary_judgement_t *judgement)
{
    ngx_uint_t                 i;
    canary_strategy_t         *strategy;
    canary_evidence_view_t     canary, stable;
    ngx_http_canary_figure_t  *figure;

    ngx_memzero(judgement, sizeof(ngx_http_canary_judgement_t));
    judgement->failing = -1;

    strategy = &ngx_http_canary_record(shared)->rollout.strategy;

    if (shared->evidence == NULL
        || ngx_http_canary_record(shared)->rollout.phase == CANARY_IDLE)
    {
        return;
    }

    canary_evidence_view(shared->evidence, CANARY_SIDE_CANARY, &canary);
    canary_evidence_view(shared->evidence, CANARY_SIDE_STABLE, &stable);

    judgement->attempts = canary.passing.started
                          - ngx_min(canary.overdue, canary.passing.started);
    judgement->started = canary.failing.started;
    judgement->stable_started = stable.failing.started;
    judgement->verdict = CANARY_PASSING;

    for (i = 0; i < strategy->nrules; i++) {
        figure = &judgement->figures[i];
        figure->rule = strategy->rules[i];

        canary_rule_judge(&figure->rule, &canary, &figure->judgement);

        if (figure->judgement.verdict == CANARY_FAILING) {
            judgement->verdict = CANARY_FAILING;

        } else if (figure->judgement.verdict == CANARY_UNDECIDED
                   && judgement->verdict == CANARY_PASSING)
        {
            judgement->verdict = CANARY_UNDECIDED;
        }
    }

    judgement->nfigures = strategy->nrules;
    judgement->failing = ngx_http_canary_find_failing(judgement, 0);
}


/* the first failing rule, or the first that is judged at once; -1 if none */

static ngx_int_t
ngx_http_canary_find_failing(ngx_http_canary_judgement_t *judgement,
    ngx_uint_t immediate)
{
    ngx_uint_t                 i;
    ngx_http_canary_figure_t  *figure;

    for (i = 0; i < judgement->nfigures; i++) {
        figure = &judgement->figures[i];

        if (figure->judgement.verdict == CANARY_FAILING
            && (!immediate || canary_rule_info[figure->rule.kind].immediate))
        {
            return i;
        }
    }

    return -1;
}


ngx_uint_t
ngx_http_canary_guard(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_judgement_t *judgement, ngx_uint_t immediate,
    uint64_t now, ngx_log_t *log)
{
    ngx_int_t                  failing;
    ngx_http_canary_change_t   change;
    ngx_http_canary_figure_t  *figure;

    if (!canary_rollout_guarded(&ngx_http_canary_record(shared)->rollout)) {
        return 0;
    }

    ngx_http_canary_judge(shared, judgement);

    failing = ngx_http_canary_find_failing(judgement, immediate);

    if (failing == -1) {
        return 0;
    }

    figure = &judgement->figures[failing];

    ngx_memzero(&change, sizeof(ngx_http_canary_change_t));

    change.command.verb = CANARY_VIOLATION;
    change.command.now = now;

    (void) ngx_cpystrn(change.actor.name,
                       (u_char *) canary_rule_info[figure->rule.kind].name,
                       sizeof(change.actor.name));

    /* the rule that broke is the only one of the figures */

    (void) ngx_http_canary_change_locked(sh, shpool, shared, &change, figure,
                                         1, log);

    return change.status == CANARY_CHANGED;
}


ngx_uint_t
ngx_http_canary_progress(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t now,
    ngx_log_t *log)
{
    ngx_http_canary_change_t     change;
    ngx_http_canary_judgement_t  judgement;

    if (!canary_rollout_guarded(&ngx_http_canary_record(shared)->rollout)) {
        return 0;
    }

    if (ngx_http_canary_guard(sh, shpool, shared, &judgement, 0, now, log)) {
        return 1;
    }

    /* a step that cannot be put down is none */

    if (sh->failing || sh->foreign) {
        return 0;
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

    return change.status == CANARY_CHANGED;
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
        && route.phase != CANARY_IDLE)
    {
        immediate = (now - sh->heartbeat < NGX_HTTP_CANARY_STALE);

        (void) ngx_http_canary_guard(sh, shpool, endpoint->shared, &judgement,
                                     immediate, now, log);
    }

    ngx_shmtx_unlock(&shpool->mutex);
}
