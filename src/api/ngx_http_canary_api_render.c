
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_render.h"

#include "canary_event.h"
#include "canary_pace.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_sequential.h"
#include "canary_split.h"
#include "canary_strategy.h"
#include "canary_totals.h"
#include "canary_event_json.h"
#include "canary_json.h"
#include "canary_strategy_json.h"
#include "canary_text.h"
#include "canary_version.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_fleet.h"


#define NGX_HTTP_CANARY_RATIO_DECIMALS   9
#define NGX_HTTP_CANARY_MS_DECIMALS      3     /* of what is kept in us, and
                                                  of seconds kept in ms */


static void ngx_http_canary_render_nginx(cJSON *object, ngx_pool_t *pool,
    int *failed);
static void ngx_http_canary_render_progress(cJSON *object,
    ngx_canary_snapshot_t *snapshot, const canary_strategy_t *strategy,
    int *failed);
static void ngx_http_canary_render_role(cJSON *object, const char *name,
    ngx_canary_snapshot_t *snapshot, uint32_t id, ngx_pool_t *pool,
    int *failed);
static void ngx_http_canary_render_served(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static void ngx_http_canary_render_steps(cJSON *object,
    const canary_strategy_t *strategy, int *failed);
static void ngx_http_canary_render_next_step(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static void ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static void ngx_http_canary_render_seconds(cJSON *waiting,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure,
    int *failed);
static const u_char *ngx_http_canary_wait_other(
    ngx_canary_snapshot_t *snapshot);
static ngx_uint_t ngx_http_canary_steps(ngx_canary_snapshot_t *snapshot);
static uint64_t ngx_http_canary_needed(const canary_figure_t *figure);
static const canary_figure_t *ngx_http_canary_holder(
    ngx_canary_snapshot_t *snapshot);
static ngx_uint_t ngx_http_canary_is_missing(ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure);
static void ngx_http_canary_rule_words(u_char *words, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure);
static void ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure);
static void ngx_http_canary_render_release(cJSON *list,
    ngx_canary_release_view_t *release, const canary_rollout_t *rollout,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_render_totals(cJSON *object,
    canary_totals_t *totals, int *failed);
static void ngx_http_canary_render_latency(cJSON *object,
    ngx_canary_release_view_t *release, int *failed);
static void ngx_http_canary_render_last(cJSON *object,
    ngx_canary_record_t *record, ngx_pool_t *pool, int *failed);


ngx_int_t
ngx_http_canary_api_endpoint(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_api_send_endpoint(r, NGX_HTTP_OK, target->endpoint,
                                             1);
}


ngx_int_t
ngx_http_canary_api_send_endpoint(ngx_http_request_t *r, ngx_uint_t status,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t durable)
{
    int                     failed;
    cJSON                  *json;
    ngx_canary_snapshot_t  *snapshot;

    snapshot = ngx_palloc(r->pool, sizeof(ngx_canary_snapshot_t));
    if (snapshot == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_canary_snapshot(endpoint, snapshot);

    snapshot->durable = (snapshot->durable && durable);

    failed = 0;

    json = cJSON_CreateObject();

    ngx_http_canary_render_endpoint(json, snapshot, r->pool, &failed);

    if (ngx_http_canary_add_etag(r, snapshot->record.rollout.generation,
                                 snapshot->record.rollout.uid)
        != NGX_OK)
    {
        failed = 1;
    }

    return ngx_http_canary_answer(r, status, &ngx_http_canary_json, json,
                                  failed);
}


void
ngx_http_canary_render_endpoint(cJSON *object,
    ngx_canary_snapshot_t *snapshot, ngx_pool_t *pool, int *failed)
{
    cJSON                    *list, *controller;
    ngx_uint_t                i, idle;
    canary_rollout_t         *rollout;
    ngx_canary_endpoint_t    *endpoint;
    const canary_strategy_t  *strategy;

    endpoint = snapshot->endpoint;
    rollout = &snapshot->record.rollout;
    idle = (rollout->phase == CANARY_IDLE);

    /* what a rollout would begin with, or what it was begun with */

    strategy = idle ? &endpoint->strategy : &rollout->strategy;

    ngx_http_canary_render_name(object, "name", &endpoint->name, pool,
                                failed);
    canary_json_add_number(object, "generation", rollout->generation, 0,
                           failed);
    canary_json_add_text(object, "phase", canary_phase_name(rollout->phase),
                         failed);

    if (!snapshot->durable) {
        canary_json_add(object, "durable", cJSON_CreateFalse(), failed);
    }

    ngx_http_canary_render_role(object, "stable", snapshot, rollout->stable,
                                pool, failed);
    ngx_http_canary_render_role(object, "canary", snapshot, rollout->canary,
                                pool, failed);

    ngx_http_canary_render_progress(object, snapshot, strategy, failed);
    ngx_http_canary_render_configuration(object, endpoint->main, failed);

    canary_strategy_json_write(canary_json_add_object(object, "strategy",
                                                      failed),
                               strategy, failed);

    list = canary_json_add_array(object, "releases", failed);

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_http_canary_render_release(list, &snapshot->releases[i], rollout,
                                       pool, failed);
    }

    list = canary_json_add_array(object, "rules", failed);

    if (!idle) {
        canary_event_json_write_figures(list, snapshot->judgement.figures,
                                        snapshot->judgement.nfigures,
                                        &strategy->matches, failed);
    }

    ngx_http_canary_render_fleet(object, endpoint->main, failed);
    ngx_http_canary_render_nginx(object, pool, failed);

    controller = canary_json_add_object(object, "controller", failed);
    canary_json_add_number(controller, "heartbeat_age_ms",
                           snapshot->heartbeat, 0, failed);

    ngx_http_canary_render_last(object, &snapshot->record, pool, failed);
}


void
ngx_http_canary_render_configuration(cJSON *object,
    ngx_canary_main_conf_t *cmcf, int *failed)
{
    cJSON                *configuration;
    ngx_canary_health_t   health;

    if (cmcf->zone == NULL) {
        canary_json_add_null(object, "configuration", failed);
        return;
    }

    ngx_canary_health(cmcf, &health);

    configuration = canary_json_add_object(object, "configuration", failed);

    canary_json_add_number(configuration, "serial", health.configuration, 0,
                           failed);
    ngx_http_canary_render_time(configuration, "loaded", health.loaded, 0,
                                failed);
}


/* who answers, of several that look the same */

static void
ngx_http_canary_render_nginx(cJSON *object, ngx_pool_t *pool, int *failed)
{
    cJSON  *nginx;

    nginx = canary_json_add_object(object, "nginx", failed);

    ngx_http_canary_render_name(nginx, "host",
                                (ngx_str_t *) &ngx_cycle->hostname, pool,
                                failed);
    canary_json_add_text(nginx, "version", NGINX_VERSION, failed);
    canary_json_add_text(nginx, "module", CANARY_VERSION, failed);
}


static void
ngx_http_canary_render_progress(cJSON *object,
    ngx_canary_snapshot_t *snapshot, const canary_strategy_t *strategy,
    int *failed)
{
    canary_rollout_t  *rollout;

    rollout = &snapshot->record.rollout;

    canary_json_add_number(object, "weight", rollout->weight,
                           CANARY_WEIGHT_DECIMALS, failed);
    ngx_http_canary_render_served(object, snapshot, failed);
    canary_json_add_number(object, "step", rollout->step, 0, failed);
    ngx_http_canary_render_steps(object, strategy, failed);
    ngx_http_canary_render_next_step(object, snapshot, failed);
    ngx_http_canary_render_waiting(object, snapshot, failed);
}


/* the name of a release, or null */

static void
ngx_http_canary_render_role(cJSON *object, const char *name,
    ngx_canary_snapshot_t *snapshot, uint32_t id, ngx_pool_t *pool,
    int *failed)
{
    ngx_uint_t  i;

    for (i = 0; i < snapshot->nreleases; i++) {
        if (id != CANARY_NO_RELEASE && snapshot->releases[i].id == id) {
            ngx_http_canary_render_name(object, name,
                                        &snapshot->releases[i].name, pool,
                                        failed);
            return;
        }
    }

    canary_json_add_null(object, name, failed);
}


static void
ngx_http_canary_render_served(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    double                   share;
    uint64_t                 all;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;
    all = judgement->started + judgement->stable_started;

    if (snapshot->record.rollout.phase == CANARY_IDLE || all == 0) {
        canary_json_add_null(object, "served_weight", failed);
        return;
    }

    share = (double) judgement->started / (double) all;

    canary_json_add_number(object, "served_weight",
                           (uint64_t) (share * CANARY_RATIO_ONE + 0.5),
                           NGX_HTTP_CANARY_RATIO_DECIMALS, failed);
}


static void
ngx_http_canary_render_steps(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON    *list;
    uint32_t  step, steps;

    list = canary_json_add_array(object, "steps", failed);

    steps = canary_strategy_steps(strategy);

    for (step = 1; step <= steps; step++) {
        canary_json_add_number(list, NULL,
                               canary_strategy_weight(strategy, step),
                               CANARY_WEIGHT_DECIMALS, failed);
    }
}


static void
ngx_http_canary_render_next_step(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    int64_t  remaining;

    remaining = canary_rollout_remaining(&snapshot->record.rollout,
                                         snapshot->now);
    if (remaining < 0) {
        canary_json_add_null(object, "next_step_in_seconds", failed);
        return;
    }

    canary_json_add_number(object, "next_step_in_seconds",
                           (uint64_t) remaining, NGX_HTTP_CANARY_MS_DECIMALS,
                           failed);
}


/*
 * What a rollout waits for besides its clock: null, or the first rule that
 * holds it, the clean attempts that it needs, and the reason in words; no rule
 * holds it if the file cannot be written, while stable is away, or if a person
 * is awaited.
 */

static void
ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    char                    reason[NGX_CANARY_PROBLEM];
    cJSON                  *waiting;
    ngx_uint_t              approval;
    const u_char           *other;
    const canary_figure_t  *figure;

    other = ngx_http_canary_wait_other(snapshot);
    figure = other ? NULL : ngx_http_canary_holder(snapshot);
    approval = other == NULL && figure == NULL
               && ngx_canary_awaits_approval(&snapshot->record.rollout,
                                             &snapshot->judgement,
                                             snapshot->now);

    if (approval) {
        other = (u_char *) "approval";
    }

    if (other == NULL && figure == NULL) {
        canary_json_add_null(object, "waiting_for", failed);
        return;
    }

    waiting = canary_json_add_object(object, "waiting_for", failed);

    if (other) {
        (void) ngx_cpystrn((u_char *) reason, (u_char *) other,
                           sizeof(reason));
        reason[canary_utf8_prefix(reason, ngx_strlen(reason))] = '\0';

        canary_json_add_null(waiting, "rule", failed);
        canary_json_add_number(waiting, "attempts", 0, 0, failed);
        canary_json_add_null(waiting, "seconds", failed);

    } else {
        ngx_http_canary_wait_reason((u_char *) reason, sizeof(reason),
                                    snapshot, figure);

        canary_json_add_text(waiting, "rule",
                             canary_rule_info[figure->rule.kind].name, failed);
        canary_json_add_number(waiting, "attempts",
                               ngx_http_canary_is_missing(snapshot, figure)
                               ? 0 : ngx_http_canary_needed(figure),
                               0, failed);
        ngx_http_canary_render_seconds(waiting, snapshot, figure, failed);
    }

    canary_json_add_text(waiting, "reason", reason, failed);

    if (approval) {
        canary_json_add(waiting, "approval", cJSON_CreateTrue(), failed);
    }
}


/* how long that takes; while stable breaks the rule too, nothing counts */

static void
ngx_http_canary_render_seconds(cJSON *waiting, ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure, int *failed)
{
    int64_t                  seconds;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;

    seconds = canary_pace_seconds(&judgement->pace,
                                  snapshot->record.rollout.tests,
                                  snapshot->now, judgement->started,
                                  ngx_http_canary_needed(figure));

    if (seconds < 0 || judgement->held != -1
        || ngx_http_canary_is_missing(snapshot, figure)
        || figure->judgement.needed >= CANARY_NEEDED_MAX)
    {
        canary_json_add_null(waiting, "seconds", failed);
        return;
    }

    canary_json_add_number(waiting, "seconds", (uint64_t) seconds, 0, failed);
}


/* why no step is taken, whatever the rules say; NULL: for no such reason */

static const u_char *
ngx_http_canary_wait_other(ngx_canary_snapshot_t *snapshot)
{
    if (!ngx_http_canary_steps(snapshot)) {
        return NULL;
    }

    if (snapshot->problem[0]) {
        return snapshot->problem;
    }

    return snapshot->judgement.stable_away
           ? (u_char *) "stable has no live upstreams, and the canary serves "
                        "its requests: no step until stable answers again"
           : NULL;
}


/* whether time alone makes it go on */

static ngx_uint_t
ngx_http_canary_steps(ngx_canary_snapshot_t *snapshot)
{
    uint32_t  phase;

    phase = snapshot->record.rollout.phase;

    return phase == CANARY_PROGRESSING || phase == CANARY_BAKING;
}


static uint64_t
ngx_http_canary_needed(const canary_figure_t *figure)
{
    return ngx_max(figure->judgement.needed, 1);
}


/* the rule that the next step waits for; NULL: none */

static const canary_figure_t *
ngx_http_canary_holder(ngx_canary_snapshot_t *snapshot)
{
    ngx_uint_t               i;
    canary_rollout_t        *rollout;
    ngx_canary_judgement_t  *judgement;

    rollout = &snapshot->record.rollout;
    judgement = &snapshot->judgement;

    if (!ngx_http_canary_steps(snapshot)
        || judgement->nfigures == 0 || judgement->failing != -1)
    {
        return NULL;
    }

    if (judgement->held != -1) {
        return &judgement->figures[judgement->held];
    }

    /* without an attempt it holds whatever it does else */

    if (rollout->phase == CANARY_PROGRESSING && judgement->attempts
        && rollout->strategy.on_undecided == CANARY_ADVANCE_UNDECIDED)
    {
        return NULL;
    }

    /* time alone does not bring back what a rule is about */

    for (i = 0; i < judgement->nfigures; i++) {
        if (ngx_http_canary_is_missing(snapshot, &judgement->figures[i])) {
            return &judgement->figures[i];
        }
    }

    for (i = 0; i < judgement->nfigures; i++) {
        if (judgement->figures[i].judgement.verdict == CANARY_UNDECIDED) {
            return &judgement->figures[i];
        }
    }

    return judgement->attempts ? NULL : &judgement->figures[0];
}


/* whether its canary_match is no longer in the configuration */

static ngx_uint_t
ngx_http_canary_is_missing(ngx_canary_snapshot_t *snapshot,
    const canary_figure_t *figure)
{
    return figure->rule.match
           && (snapshot->judgement.missing & 1u << (figure->rule.match - 1));
}


/* a rule as a sentence has it: "match_rate of redirects" */

static void
ngx_http_canary_rule_words(u_char *words, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure)
{
    const canary_matches_t  *matches;

    matches = &snapshot->record.rollout.strategy.matches;

    ngx_snprintf(words, size, "%s%s%s%Z",
                 canary_rule_info[figure->rule.kind].name,
                 figure->rule.match ? " of " : "",
                 figure->rule.match ? matches->names[figure->rule.match - 1]
                                    : "");
}


static void
ngx_http_canary_wait_reason(u_char *reason, size_t size,
    ngx_canary_snapshot_t *snapshot, const canary_figure_t *figure)
{
    u_char                   rule[64];
    uint64_t                 flying, needed, patience;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;
    patience = snapshot->record.rollout.strategy.patience;
    needed = ngx_http_canary_needed(figure);

    /* begun, and not decided yet */

    flying = (judgement->started > judgement->attempts)
             ? judgement->started - judgement->attempts : 0;

    ngx_http_canary_rule_words(rule, sizeof(rule), snapshot, figure);

    if (judgement->held == -1
        && ngx_http_canary_is_missing(snapshot, figure))
    {
        ngx_snprintf(reason, size, "%s cannot be decided: its canary_match is "
                     "not in nginx.conf any more%Z", rule);

    } else if (judgement->held != -1) {
        ngx_snprintf(reason, size, "stable breaks %s too: evidence does not "
                     "count until a second after it stops%Z", rule);

    } else if (judgement->started == 0) {
        ngx_snprintf(reason, size, "no attempt in this step yet%Z");

    } else if (judgement->overdue) {
        ngx_snprintf(reason, size, "%uL more clean attempt%s until %s can "
                     "pass: %uL count%s as bad until they end, in flight for "
                     "longer than canary_patience (%uL%s) or than any that "
                     "ended in this step%Z",
                     needed, (needed == 1) ? "" : "s", rule,
                     judgement->overdue, (judgement->overdue == 1) ? "s" : "",
                     (patience % 1000) ? patience : patience / 1000,
                     (patience % 1000) ? "ms" : "s");

    } else if (needed <= flying) {
        ngx_snprintf(reason, size, "%uL attempt%s in flight or just ended: "
                     "%s can pass when they are settled%Z",
                     flying, (flying == 1) ? "" : "s", rule);

    } else {
        ngx_snprintf(reason, size, "%uL more clean attempt%s until %s can "
                     "pass%Z", needed, (needed == 1) ? "" : "s", rule);
    }
}


static void
ngx_http_canary_render_release(cJSON *list,
    ngx_canary_release_view_t *release, const canary_rollout_t *rollout,
    ngx_pool_t *pool, int *failed)
{
    cJSON  *object;

    object = canary_json_add_object(list, NULL, failed);

    ngx_http_canary_render_name(object, "name", &release->name, pool, failed);
    ngx_http_canary_render_name(object, "upstream", &release->upstream, pool,
                                failed);

    if (release->id == rollout->stable) {
        canary_json_add_text(object, "role", "stable", failed);

    } else if (release->id == rollout->canary) {
        canary_json_add_text(object, "role", "canary", failed);

    } else {
        canary_json_add_null(object, "role", failed);
    }

    ngx_http_canary_render_totals(object, &release->totals, failed);
    ngx_http_canary_render_latency(object, release, failed);
}


static void
ngx_http_canary_render_totals(cJSON *object, canary_totals_t *totals,
    int *failed)
{
    cJSON      *responses;
    uint64_t    attempts, failed_before;
    ngx_uint_t  i;

    static const char *const  names[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

    /* a response that was cut short, or cancelled, has its class counted */

    failed_before = totals->failed + totals->timeouts;
    attempts = failed_before + totals->aborted;

    for (i = 0; i < 5; i++) {
        attempts += totals->responses[i];
    }

    canary_json_add_number(object, "attempts", attempts, 0, failed);

    responses = canary_json_add_object(object, "responses", failed);

    for (i = 0; i < 5; i++) {
        canary_json_add_number(responses, names[i], totals->responses[i], 0,
                               failed);
    }

    canary_json_add_number(object, "failed", failed_before + totals->cut
                                             + totals->cut_timeouts,
                           0, failed);
    canary_json_add_number(object, "timeouts",
                           totals->timeouts + totals->cut_timeouts, 0,
                           failed);
    canary_json_add_number(object, "aborted",
                           totals->aborted + totals->cancelled, 0, failed);
    canary_json_add_number(object, "abandoned", totals->abandoned, 0, failed);
    canary_json_add_number(object, "no_live", totals->no_live, 0, failed);
    canary_json_add_number(object, "fallbacks", totals->fallbacks, 0, failed);
}


/*
 * Quantiles are of what is evidence, the mean is of all that has a time; what
 * was measured before the traffic ceased is told as history only.
 */

static void
ngx_http_canary_render_latency(cJSON *object,
    ngx_canary_release_view_t *release, int *failed)
{
    cJSON            *latency;
    ngx_uint_t        i;
    canary_totals_t  *step;

    static const char *const  names[NGX_CANARY_QUANTILES] = {
        "p50", "p90", "p95", "p99"
    };

    step = &release->step;

    if (!release->fresh) {
        canary_json_add_null(object, "latency_ms", failed);
        return;
    }

    latency = canary_json_add_object(object, "latency_ms", failed);

    if (step->timed) {
        canary_json_add_number(latency, "avg",
                               (step->time + step->other_time
                                + step->timed / 2) / step->timed,
                               NGX_HTTP_CANARY_MS_DECIMALS, failed);
    } else {
        canary_json_add_null(latency, "avg", failed);
    }

    for (i = 0; i < NGX_CANARY_QUANTILES; i++) {

        if (release->measured) {
            canary_json_add_number(latency, names[i], release->quantiles[i],
                                   NGX_HTTP_CANARY_MS_DECIMALS, failed);
        } else {
            canary_json_add_null(latency, names[i], failed);
        }
    }
}


static void
ngx_http_canary_render_last(cJSON *object, ngx_canary_record_t *record,
    ngx_pool_t *pool, int *failed)
{
    cJSON             *last;
    canary_rollout_t  *rollout;

    rollout = &record->rollout;

    if (rollout->last_number == 0) {
        canary_json_add_null(object, "last_rollout", failed);
        return;
    }

    last = canary_json_add_object(object, "last_rollout", failed);

    canary_json_add_number(last, "id", rollout->last_number, 0, failed);
    ngx_http_canary_render_line(last, "release", record->last_release, pool,
                                failed);
    canary_json_add_text(last, "result",
                         canary_result_name(rollout->last_result), failed);
    ngx_http_canary_render_line(last, "reason", record->last_reason, pool,
                                failed);
    ngx_http_canary_render_time(last, "ended", record->ended, 0, failed);

    /* a state file of a version before does not tell */

    if (record->last_verb) {
        canary_json_add_text(last, "by",
                             (record->last_verb < CANARY_VERBS)
                             ? "person" : "controller", failed);
    } else {
        canary_json_add_null(last, "by", failed);
    }
}


void
ngx_http_canary_render_line(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed)
{
    ngx_str_t  line;

    line.data = (u_char *) text;
    line.len = ngx_strlen(text);

    ngx_http_canary_render_name(object, name, &line, pool, failed);
}


void
ngx_http_canary_render_name(cJSON *object, const char *name, ngx_str_t *text,
    ngx_pool_t *pool, int *failed)
{
    char  *utf8;

    utf8 = ngx_http_canary_utf8(pool, text);

    if (utf8 == NULL) {
        *failed = 1;
        return;
    }

    canary_json_add_text(object, name, utf8, failed);
}


void
ngx_http_canary_render_time(cJSON *object, const char *name, uint64_t time,
    ngx_uint_t ms, int *failed)
{
    u_char   *p, text[64], *last;
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (time / 1000), &tm);

    last = text + sizeof(text) - 1;

    p = ngx_slprintf(text, last, "%4d-%02d-%02dT%02d:%02d:%02d",
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    if (ms) {
        p = ngx_slprintf(p, last, ".%03uL", time % 1000);
    }

    p = ngx_slprintf(p, last, "Z");
    *p = '\0';

    canary_json_add_text(object, name, (char *) text, failed);
}
