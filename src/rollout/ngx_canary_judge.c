
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_judge.h"

#include "canary_away.h"
#include "canary_control.h"
#include "canary_event.h"
#include "canary_judge_layout.h"
#include "canary_outage.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_strategy.h"
#include "canary_verdict.h"
#include "canary_view.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_figures.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_member.h"


/* of the control step: whose rollout it looks at */

typedef struct {
    canary_control_t           control;
    ngx_canary_main_conf_t    *cmcf;          /* of the control loop */
    ngx_canary_shared_t       *shared;
    ngx_log_t                 *log;
    canary_member_t            member;
    canary_times_t             times;
} ngx_canary_look_t;


static void ngx_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_canary_judgement_t *judgement);
static void ngx_canary_show_fleet(const canary_view_t *view,
    const canary_rollout_t *rollout, uint64_t now,
    ngx_canary_judgement_t *judgement);
static void ngx_canary_set_figures(const canary_strategy_t *strategy,
    const canary_result_t *result, canary_figure_t *figures);
static int ngx_canary_may_step(ngx_canary_shared_t *shared);
static void ngx_canary_move_first(canary_figure_t *figures, uint32_t rule);
static void ngx_canary_look_for_matches(ngx_canary_look_t *look);
static ngx_canary_endpoint_t *ngx_canary_look_endpoint(
    ngx_canary_look_t *look);
static void ngx_canary_open_look(ngx_canary_look_t *look,
    ngx_canary_shared_t *shared, uint64_t now, ngx_log_t *log);
static const canary_times_t *ngx_canary_look_times(void *data, int detail);
static void ngx_canary_look_begin_step(void *data);
static uint64_t ngx_canary_look_answered(void *data, unsigned side);
static uint64_t ngx_canary_look_patience(void *data);
static void ngx_canary_look_absent(void *data,
    const canary_command_t *command, const canary_outage_t *outage);
static void ngx_canary_absent_reason(ngx_canary_change_t *change,
    ngx_canary_shared_t *shared, const canary_rollout_t *rollout);
static void ngx_canary_look_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result);


void
ngx_canary_judge(ngx_canary_shared_t *shared, uint64_t now,
    ngx_uint_t detail, ngx_canary_judgement_t *judgement)
{
    ngx_uint_t         of_fleet;
    canary_view_t      view;
    canary_judge_t    *judge;
    canary_times_t     times;
    canary_result_t    result;
    canary_rollout_t  *rollout;

    ngx_memzero(judgement, sizeof(ngx_canary_judgement_t));
    judgement->failing = -1;
    judgement->held = -1;

    rollout = &ngx_canary_record(shared)->rollout;

    if (shared->evidence == NULL || rollout->phase == CANARY_IDLE) {
        return;
    }

    of_fleet = (ngx_canary_figures(shared, now, &view, NULL) == NGX_OK);

    /* what this nginx has served by itself is asked for in any case */

    detail = of_fleet ? 0 : detail;

    ngx_canary_times(shared, rollout, detail, &times);

    canary_judge_rules(shared->evidence, rollout, now, &times, (int) detail,
                       &result);

    judgement->served = result.started;
    judgement->stable_served = result.stable_started;

    ngx_canary_show(&rollout->strategy, of_fleet ? &view.result : &result,
                    judgement);

    judgement->missing = shared->evidence->missing;

    judge = canary_judge(shared->evidence);
    judgement->pace = judge->pace;

    if (judge->holding || now < shared->evidence->discard_to) {
        judgement->held = judge->held_rule;
    }

    judgement->stable_away = rollout->weight < CANARY_ONE
                             && canary_away_marked(
                                    &shared->away[CANARY_SIDE_STABLE],
                                    rollout->number);

    if (of_fleet) {
        ngx_canary_show_fleet(&view, rollout, now, judgement);
    }
}


/* what is not a figure: by the leader, and by its clock */

static void
ngx_canary_show_fleet(const canary_view_t *view,
    const canary_rollout_t *rollout, uint64_t now,
    ngx_canary_judgement_t *judgement)
{
    canary_pace_t  *pace;

    judgement->held = view->held;
    judgement->stable_away |= (view->stable_away
                               && rollout->weight < CANARY_ONE);
    ngx_memcpy(judgement->waits, view->waits, CANARY_REASON_SIZE);

    pace = &judgement->pace;
    ngx_memzero(pace, sizeof(canary_pace_t));

    if (view->pace.ms && view->pace.ms < view->at
        && view->at - view->pace.ms < now)
    {
        pace->step = rollout->tests;
        pace->n = 1;
        pace->samples[0].ms = now - (view->at - view->pace.ms);
        pace->samples[0].begun = view->pace.begun;
    }
}


static void
ngx_canary_show(const canary_strategy_t *strategy,
    const canary_result_t *result, ngx_canary_judgement_t *judgement)
{
    ngx_uint_t  i;

    judgement->verdict = result->verdict;
    judgement->attempts = result->decided;
    judgement->started = result->started;
    judgement->overdue = result->overdue;
    judgement->nfigures = result->n;

    ngx_canary_set_figures(strategy, result, judgement->figures);

    for (i = 0; i < result->n; i++) {
        if (result->rules[i].verdict == CANARY_FAILING
            && judgement->failing == -1)
        {
            judgement->failing = i;
        }
    }
}


static void
ngx_canary_set_figures(const canary_strategy_t *strategy,
    const canary_result_t *result, canary_figure_t *figures)
{
    ngx_uint_t  i;

    for (i = 0; i < result->n; i++) {
        figures[i].rule = strategy->rules[i];
        figures[i].judgement = result->rules[i];
    }
}


static void
ngx_canary_move_first(canary_figure_t *figures, uint32_t rule)
{
    canary_figure_t  first;

    first = figures[rule];

    ngx_memmove(&figures[1], figures, rule * sizeof(canary_figure_t));

    figures[0] = first;
}


void
ngx_canary_progress(ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *shared,
    canary_lead_t *lead, uint64_t now, ngx_log_t *log)
{
    ngx_canary_look_t   look;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;

    ngx_canary_open_look(&look, shared, now, log);

    look.cmcf = cmcf;
    look.control.away = shared->away;
    look.member.lead = lead;

    ngx_canary_look_for_matches(&look);

    /* a step that cannot be put down is none; in a fleet the leader takes it */

    canary_control_look(&look.control, !zone->failing && !zone->foreign
                                       && ngx_canary_may_step(shared));
}


void
ngx_canary_tell(ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *shared,
    uint64_t now, canary_cohorts_t *cohorts)
{
    ngx_canary_look_t  look;

    ngx_canary_open_look(&look, shared, now, ngx_cycle->log);

    look.cmcf = cmcf;
    look.control.away = shared->away;

    canary_control_tell(&look.control, cohorts);
}


static int
ngx_canary_may_step(ngx_canary_shared_t *shared)
{
    ngx_canary_fleet_t  *fleet;

    fleet = shared->zone->fleet;

    return fleet == NULL
           || (fleet->state == CANARY_FLEET_LEADER
               && shared->pending.sequence == 0
               && (shared->history == NULL
                   || shared->history->waits[0] == '\0'));
}


/*
 * Those of the strategy that the configuration does not have.  When one is
 * back, what has come meanwhile is evidence for no rule to pass: nobody has
 * looked at that.
 */

static void
ngx_canary_look_for_matches(ngx_canary_look_t *look)
{
    unsigned                missing;
    canary_rollout_t       *rollout;
    canary_evidence_t      *evidence;
    ngx_canary_endpoint_t  *endpoint;

    evidence = look->shared->evidence;
    rollout = &ngx_canary_record(look->shared)->rollout;

    if (evidence == NULL || rollout->phase == CANARY_IDLE
        || rollout->strategy.matches.names[0][0] == '\0')
    {
        return;
    }

    endpoint = ngx_canary_look_endpoint(look);

    if (endpoint == NULL) {
        return;
    }

    missing = canary_match_missing(&rollout->strategy.matches,
                                   &endpoint->matches);

    /* tests of a fleet are those of all nodes, which begin them together */

    if ((evidence->missing & ~missing) && look->shared->zone->fleet == NULL) {
        rollout->tests++;
        ngx_canary_begin_step(look->shared);
    }

    evidence->missing = missing;
}


/* by the configuration, since a reload changes it at once; NULL: not in it */

static ngx_canary_endpoint_t *
ngx_canary_look_endpoint(ngx_canary_look_t *look)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = look->cmcf->endpoints.elts;

    for (i = 0; i < look->cmcf->endpoints.nelts; i++) {
        if (endpoints[i]->shared == look->shared) {
            return endpoints[i];
        }
    }

    return NULL;
}


static void
ngx_canary_open_look(ngx_canary_look_t *look,
    ngx_canary_shared_t *shared, uint64_t now, ngx_log_t *log)
{
    look->control.evidence = shared->evidence;
    look->control.rollout = &ngx_canary_record(shared)->rollout;
    look->control.now = now;
    look->control.data = look;
    look->control.times = ngx_canary_look_times;
    look->control.begin_step = ngx_canary_look_begin_step;
    look->control.change = ngx_canary_look_change;
    look->control.away = NULL;
    look->control.member = ngx_canary_member(shared->zone->fleet,
                                             look->control.rollout, now, NULL,
                                             &look->member);
    look->control.answered = ngx_canary_look_answered;
    look->control.patience = ngx_canary_look_patience;
    look->control.absent = ngx_canary_look_absent;

    look->shared = shared;
    look->log = log;
}


static const canary_times_t *
ngx_canary_look_times(void *data, int detail)
{
    ngx_canary_look_t  *look = data;

    ngx_canary_times(look->shared, look->control.rollout, detail,
                     &look->times);

    return &look->times;
}


static void
ngx_canary_look_begin_step(void *data)
{
    ngx_canary_look_t  *look = data;

    ngx_canary_begin_step(look->shared);
}


/* a rule that broke is the first of the figures */

static void
ngx_canary_look_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    ngx_canary_look_t  *look = data;

    const char          *actor;
    canary_figure_t      figures[CANARY_RULES_MAX];
    ngx_canary_change_t  change;

    ngx_canary_set_figures(&look->control.rollout->strategy, result, figures);

    ngx_memzero(&change, sizeof(ngx_canary_change_t));

    change.command = *command;
    change.figures = figures;
    change.nfigures = result->n;

    actor = "controller";

    if (breach) {
        ngx_canary_move_first(figures, breach->rule);
        actor = canary_rule_info[change.figures->rule.kind].name;

        if (breach->verb == CANARY_HOLDING) {
            change.outage = &breach->outage;
        }
    }

    (void) ngx_cpystrn(change.actor.name, (u_char *) actor,
                       sizeof(change.actor.name));

    (void) ngx_canary_change_locked(look->shared, &change, look->log);
}


static uint64_t
ngx_canary_look_answered(void *data, unsigned side)
{
    ngx_canary_look_t  *look = data;

    uint32_t                 id;
    uint64_t                 answered;
    ngx_uint_t               i;
    canary_totals_t          totals;
    const canary_rollout_t  *rollout;

    rollout = look->control.rollout;
    id = (side == CANARY_SIDE_CANARY) ? rollout->canary : rollout->stable;

    ngx_canary_sum_totals(look->shared, look->shared->releases[id], &totals);

    for (i = 0, answered = 0; i < 5; i++) {
        answered += totals.responses[i];
    }

    return answered;
}


static uint64_t
ngx_canary_look_patience(void *data)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = ngx_canary_look_endpoint(data);

    return endpoint ? endpoint->unavailable : 0;
}


static void
ngx_canary_look_absent(void *data, const canary_command_t *command,
    const canary_outage_t *outage)
{
    ngx_canary_look_t  *look = data;

    ngx_canary_change_t  change;

    ngx_memzero(&change, sizeof(ngx_canary_change_t));

    change.command = *command;
    change.outage = outage;

    ngx_canary_absent_reason(&change, look->shared, look->control.rollout);

    (void) ngx_cpystrn(change.actor.name,
                       (u_char *) ((command->verb == CANARY_VIOLATION)
                                   ? "unavailable" : "controller"),
                       sizeof(change.actor.name));

    /* only what is told of stable is kept as that */

    if (command->verb == CANARY_VIOLATION) {
        change.outage = NULL;
    }

    (void) ngx_canary_change_locked(look->shared, &change, look->log);
}


static void
ngx_canary_absent_reason(ngx_canary_change_t *change,
    ngx_canary_shared_t *shared, const canary_rollout_t *rollout)
{
    u_char                       *p, *last;
    const canary_outage_t        *outage;
    ngx_canary_release_shared_t  *stable, *canary;

    stable = shared->releases[rollout->stable];
    canary = shared->releases[rollout->canary];
    outage = change->outage;

    p = change->reason;
    last = p + CANARY_REASON_SIZE - 1;

    switch (change->command.verb) {

    case CANARY_STABLE_UNAVAILABLE:
        ngx_slprintf(p, last, "no live upstreams in %*s: %*s serves its "
                     "requests", stable->len, stable->name,
                     canary->len, canary->name);
        break;

    case CANARY_STABLE_AVAILABLE:
        ngx_slprintf(p, last, "%*s answers again: %*s served %uL of its "
                     "requests in %uL.%03uLs", stable->len, stable->name,
                     canary->len, canary->name, outage->attempts,
                     outage->ms / 1000, outage->ms % 1000);
        break;

    default: /* CANARY_VIOLATION */
        ngx_slprintf(p, last, (outage->ms % 1000)
                              ? "no live upstreams in %*s for %uLms"
                              : "no live upstreams in %*s for %uLs",
                     canary->len, canary->name,
                     (outage->ms % 1000) ? outage->ms : outage->ms / 1000);
        break;
    }
}


/*
 * While the control loop is alive it judges the rest; if it is not, whoever
 * sees a failure judges everything.
 */

void
ngx_canary_trip(ngx_canary_endpoint_t *endpoint, uint32_t epoch,
    ngx_log_t *log)
{
    uint64_t                 now;
    canary_route_t           route;
    ngx_canary_look_t        look;
    ngx_canary_zone_t       *zone;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;
    zone = cmcf->zone;

    ngx_canary_lock(zone);

    now = ngx_canary_milliseconds();

    if (!zone->superseded) {
        ngx_canary_mend(endpoint->shared, now);
    }

    route = canary_route_decode(endpoint->shared->route);

    if (!zone->superseded && route.epoch == epoch
        && endpoint->shared->evidence)
    {
        ngx_canary_open_look(&look, endpoint->shared, now, log);

        canary_control_trip(&look.control,
                            now - zone->heartbeat < NGX_CANARY_STALE);
    }

    ngx_canary_unlock(zone);
}


ngx_uint_t
ngx_canary_awaits_approval(const canary_rollout_t *rollout,
    const ngx_canary_judgement_t *judgement, uint64_t now)
{
    canary_command_t  tick;

    ngx_memzero(&tick, sizeof(canary_command_t));

    tick.verb = CANARY_TICK;
    tick.now = now;
    tick.verdict = judgement->verdict;
    tick.attempts = judgement->attempts;

    return canary_rollout_awaits_approval(rollout, &tick);
}
