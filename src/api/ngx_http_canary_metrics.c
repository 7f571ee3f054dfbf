
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_metrics.h"

#include "canary_buckets.h"
#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_split.h"
#include "canary_strategy.h"
#include "canary_totals.h"
#include "canary_verdict.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_look.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"

#include "ngx_http_canary_api.h"
#include "ngx_http_canary_feed.h"


/*
 * What is exported of endpoints.
 *
 * All samples of a metric have to stand together, and the text is not kept in
 * memory, so each endpoint is looked at for each metric anew.  What is told of
 * it by one metric is of one moment; counters rise from one to the next.
 */


static ngx_int_t ngx_http_canary_metrics_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static ngx_int_t ngx_http_canary_metrics_next(ngx_http_canary_feed_t *feed);
static void ngx_http_canary_metrics_nginx(ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_fleet(ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_endpoint(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_releases(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static const char *ngx_http_canary_metrics_role(
    const canary_rollout_t *rollout, uint32_t id);
static void ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_durations(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_abandoned(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_no_live(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_fallbacks(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_weight(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_served(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_phase(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_values(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_thresholds(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_verdicts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now, ngx_uint_t i, const char *more,
    double value);
static void ngx_http_canary_metrics_approval(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_away(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_transitions(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_rollouts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_info(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_generation(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_heartbeat(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_durable(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);
static void ngx_http_canary_metrics_serial(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now);


static const ngx_http_canary_metric_t  ngx_http_canary_metric_table[] = {

    { "attempts_total", "counter",
      "Attempts on a release by their outcome, each in one class.",
      NGX_HTTP_CANARY_TOTALS, ngx_http_canary_metrics_attempts },

    { "attempt_duration_seconds", "histogram",
      "Time of the attempts on a release that are evidence for its rules.",
      NGX_HTTP_CANARY_BUCKETS, ngx_http_canary_metrics_durations },

    { "fallbacks_total", "counter",
      "Attempts on a release to finish what another release could not.",
      NGX_HTTP_CANARY_TOTALS, ngx_http_canary_metrics_fallbacks },

    { "abandoned_total", "counter",
      "Responses of a release whose client left before they had ended.",
      NGX_HTTP_CANARY_TOTALS, ngx_http_canary_metrics_abandoned },

    { "no_live_total", "counter",
      "Requests for a release that met no live server of it.",
      NGX_HTTP_CANARY_TOTALS, ngx_http_canary_metrics_no_live },

    { "weight_ratio", "gauge",
      "Share of the traffic that the canary is to get.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_weight },

    { "served_weight_ratio", "gauge",
      "Share of the attempts in the current step that the canary got.",
      NGX_HTTP_CANARY_JUDGEMENT, ngx_http_canary_metrics_served },

    { "phase", "gauge",
      "1 for the phase that an endpoint is in.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_phase },

    { "rule_value", "gauge",
      "What a rule of the running rollout measures, in base units.",
      NGX_HTTP_CANARY_VALUES, ngx_http_canary_metrics_values },

    { "rule_threshold", "gauge",
      "What a rule of the running rollout allows, in base units.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_thresholds },

    { "rule_verdict", "gauge",
      "1 for the verdict of a rule of the running rollout.",
      NGX_HTTP_CANARY_JUDGEMENT, ngx_http_canary_metrics_verdicts },

    { "awaits_approval", "gauge",
      "1 if the next step or the promotion waits for a person only.",
      NGX_HTTP_CANARY_JUDGEMENT, ngx_http_canary_metrics_approval },

    { "stable_unavailable", "gauge",
      "1 while the canary serves because stable has no live server.",
      NGX_HTTP_CANARY_JUDGEMENT, ngx_http_canary_metrics_away },

    { "transitions_total", "counter",
      "Changes of an endpoint from another phase to this one.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_transitions },

    { "rollouts_total", "counter",
      "Rollouts of an endpoint that ended, by their result.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_rollouts },

    { "release_info", "gauge",
      "1 for each release, with the role that it has now.",
      NGX_HTTP_CANARY_RELEASE, ngx_http_canary_metrics_info },

    { "controller_heartbeat_age_seconds", "gauge",
      "Time since the control loop last worked.",
      NGX_HTTP_CANARY_NGINX, ngx_http_canary_metrics_heartbeat },

    { "state_durable", "gauge",
      "1 if the state file has all changes, or is about to.",
      NGX_HTTP_CANARY_NGINX, ngx_http_canary_metrics_durable },

    { "configuration_serial", "gauge",
      "Number of the configuration, which grows with each reload.",
      NGX_HTTP_CANARY_NGINX, ngx_http_canary_metrics_serial },

    { "generation", "gauge",
      "Number of the state of an endpoint, which grows with each change.",
      NGX_HTTP_CANARY_RECORD, ngx_http_canary_metrics_generation },

    { "fleet_reachable", "gauge",
      "1 while this node is in touch with its fleet.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_reachable },

    { "fleet_leader", "gauge",
      "1 if this node leads its fleet.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_leader },

    { "fleet_nodes", "gauge",
      "Nodes of the fleet by their state, as this node knows them.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_nodes },

    { "fleet_version", "gauge",
      "Number of the last change of the fleet that this node has.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_version },

    { "fleet_rtt_seconds", "gauge",
      "Round trip of the last question to Redis.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_rtt },

    { "fleet_last_contact_timestamp_seconds", "gauge",
      "When the fleet last answered.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_contact },

    { "fleet_changes_total", "counter",
      "Changes that this node proposed to the fleet, by their result.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_changes },

    { "fleet_reconnects_total", "counter",
      "Connections to Redis that were made after the first one.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_reconnects },

    { "fleet_sent_bytes_total", "counter",
      "Bytes that this node sent to Redis.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_sent },

    { "fleet_received_bytes_total", "counter",
      "Bytes that this node received from Redis.",
      NGX_HTTP_CANARY_FLEET, ngx_http_canary_metrics_fleet_received },

    { NULL, NULL, NULL, NGX_HTTP_CANARY_RECORD, NULL }
};


static const ngx_http_canary_resource_t  ngx_http_canary_metrics_resource = {
    ngx_null_string, NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
    ngx_http_canary_api_metrics, CANARY_VERBS, 0, 0
};


const ngx_http_canary_dialect_t  ngx_http_canary_metrics_dialect = {
    .directive = "canary_metrics",
    .headers = { "X-Canary-Token", NULL },
    .bearer = 1,
    .credentials = "as \"Authorization: Bearer TOKEN\" or "
                   "\"X-Canary-Token: TOKEN\"",
    .not_allowed = "metrics can only be read, by GET and HEAD",
    .find = ngx_http_canary_metrics_find,
    .refuse = ngx_http_canary_problem
};


/* whatever is below the location */

static ngx_int_t
ngx_http_canary_metrics_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    target->resource = &ngx_http_canary_metrics_resource;
    target->endpoint = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_canary_api_metrics(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_http_canary_metrics_t  *m;

    static const ngx_str_t  type = ngx_string("text/plain; version=0.0.4; "
                                              "charset=utf-8");

    m = (ngx_http_canary_metrics_t *)
            ngx_http_canary_feed_create(r, sizeof(ngx_http_canary_metrics_t),
                                        &type, ngx_http_canary_metrics_next);
    if (m == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    m->metric = ngx_http_canary_metric_table;

    return ngx_http_canary_feed_start(&m->feed);
}


static ngx_int_t
ngx_http_canary_metrics_next(ngx_http_canary_feed_t *feed)
{
    ngx_array_t                *all;
    ngx_canary_endpoint_t     **endpoints;
    ngx_http_canary_metrics_t  *m;

    m = (ngx_http_canary_metrics_t *) feed;
    all = &feed->main->endpoints;
    endpoints = all->elts;

    if (m->metric->kind == NGX_HTTP_CANARY_FLEET) {
        ngx_http_canary_metrics_fleet(m);
        m->n = all->nelts;

    } else if (m->n == 0) {
        ngx_http_canary_metrics_head(m);
    }

    if (m->metric->kind == NGX_HTTP_CANARY_NGINX) {
        ngx_http_canary_metrics_nginx(m);
        m->n = all->nelts;

    } else if (m->n < all->nelts) {
        ngx_http_canary_metrics_endpoint(m, endpoints[m->n++]);
    }

    if (m->failed) {
        return NGX_ERROR;
    }

    if (m->n < all->nelts) {
        return NGX_OK;
    }

    m->n = 0;
    m->metric++;

    return m->metric->name ? NGX_OK : NGX_DONE;
}


static void
ngx_http_canary_metrics_nginx(ngx_http_canary_metrics_t *m)
{
    ngx_http_canary_measured_t  now;

    if (m->feed.main->zone) {
        ngx_str_null(&m->labels);
        ngx_canary_health(m->feed.main, &now.health);
        m->metric->samples(m, &now);
    }
}


/* without a fleet there is nothing of it, and no head */

static void
ngx_http_canary_metrics_fleet(ngx_http_canary_metrics_t *m)
{
    ngx_http_canary_measured_t  now;

    if (m->feed.main->zone
        && ngx_canary_fleet_self(m->feed.main->zone, &now.fleet) == NGX_OK)
    {
        ngx_http_canary_metrics_head(m);
        ngx_str_null(&m->labels);
        m->metric->samples(m, &now);
    }
}


/* the samples of one endpoint or of its releases, and their labels */

static void
ngx_http_canary_metrics_endpoint(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_canary_shared_t         *shared;
    ngx_http_canary_measured_t   now;

    shared = endpoint->shared;

    if (m->metric->kind >= NGX_HTTP_CANARY_RELEASE) {
        ngx_http_canary_metrics_releases(m, endpoint);
        return;
    }

    ngx_http_canary_metrics_labels(m, &endpoint->name, NULL);

    ngx_canary_lock(endpoint->main->zone);

    now.record = *ngx_canary_record(shared);

    if (m->metric->kind != NGX_HTTP_CANARY_RECORD) {
        ngx_canary_judge(shared, ngx_canary_milliseconds(),
                         (m->metric->kind == NGX_HTTP_CANARY_VALUES)
                         ? CANARY_DETAIL_VALUES : 0,
                         &now.judgement);
    }

    ngx_canary_unlock(endpoint->main->zone);

    m->metric->samples(m, &now);
}


static void
ngx_http_canary_metrics_releases(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_uint_t                    i;
    ngx_canary_shared_t          *shared;
    ngx_canary_release_t         *releases;
    ngx_http_canary_measured_t    now;
    ngx_canary_release_shared_t  *place;

    shared = endpoint->shared;
    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        ngx_http_canary_metrics_labels(m, &endpoint->name, &releases[i].name);

        ngx_canary_lock(endpoint->main->zone);

        place = shared->releases[releases[i].id];

        now.role = ngx_http_canary_metrics_role(
                                         &ngx_canary_record(shared)->rollout,
                                         releases[i].id);

        if (m->metric->kind >= NGX_HTTP_CANARY_TOTALS) {
            ngx_canary_sum_totals(shared, place, &now.totals);
        }

        if (m->metric->kind == NGX_HTTP_CANARY_BUCKETS) {
            ngx_canary_sum_buckets(shared, place, now.buckets);
        }

        ngx_canary_unlock(endpoint->main->zone);

        m->metric->samples(m, &now);
    }
}


static const char *
ngx_http_canary_metrics_role(const canary_rollout_t *rollout, uint32_t id)
{
    return (id == rollout->stable) ? "stable"
           : (id == rollout->canary) ? "canary" : "none";
}


/* what was cut short has its class already */

static void
ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_uint_t              i;
    const canary_totals_t  *totals;

    static const char *const  classes[] = {
        "1xx", "2xx", "3xx", "4xx", "5xx"
    };

    totals = &now->totals;

    for (i = 0; i < 5; i++) {
        ngx_http_canary_sample(m, "", "class", classes[i], "%uL",
                               totals->responses[i]);
    }

    ngx_http_canary_sample(m, "", "class", "failed", "%uL", totals->failed);
    ngx_http_canary_sample(m, "", "class", "timeout", "%uL",
                           totals->timeouts);
    ngx_http_canary_sample(m, "", "class", "aborted", "%uL",
                           totals->aborted);
}


static void
ngx_http_canary_metrics_durations(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char        edge[32];
    uint64_t    count;
    ngx_uint_t  i;

    count = 0;

    for (i = 0; i < CANARY_BUCKETS; i++) {
        count += now->buckets[i];

        ngx_http_canary_metrics_seconds(edge, canary_bucket_edges[i]);
        ngx_http_canary_sample(m, "_bucket", "le", edge, "%uL", count);
    }

    count += now->buckets[CANARY_BUCKETS];

    ngx_http_canary_sample(m, "_bucket", "le", "+Inf", "%uL", count);

    ngx_http_canary_metrics_seconds(edge, now->totals.time);
    ngx_http_canary_sample(m, "_sum", NULL, NULL, "%s", edge);

    ngx_http_canary_sample(m, "_count", NULL, NULL, "%uL", count);
}


static void
ngx_http_canary_metrics_fallbacks(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL", now->totals.fallbacks);
}


static void
ngx_http_canary_metrics_abandoned(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL", now->totals.abandoned);
}


static void
ngx_http_canary_metrics_no_live(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL", now->totals.no_live);
}


static void
ngx_http_canary_metrics_weight(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char  number[32];

    ngx_http_canary_metrics_number(number, sizeof(number),
                                   (double) now->record.rollout.weight
                                   / CANARY_ONE);
    ngx_http_canary_sample(m, "", NULL, NULL, "%s", number);
}


static void
ngx_http_canary_metrics_served(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char      number[32];
    uint64_t  all;

    all = now->judgement.served + now->judgement.stable_served;

    if (all) {
        ngx_http_canary_metrics_number(number, sizeof(number),
                                       (double) now->judgement.served
                                       / (double) all);
        ngx_http_canary_sample(m, "", NULL, NULL, "%s", number);
    }
}


static void
ngx_http_canary_metrics_phase(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    uint32_t  phase;

    for (phase = 0; phase < CANARY_PHASES; phase++) {
        ngx_http_canary_sample(m, "", "phase", canary_phase_name(phase),
                               "%d", now->record.rollout.phase == phase);
    }
}


static void
ngx_http_canary_metrics_values(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    double                  value;
    ngx_uint_t              i;
    const canary_figure_t  *figure;

    for (i = 0; i < now->judgement.nfigures; i++) {
        figure = &now->judgement.figures[i];
        value = figure->judgement.value;

        /* NaN: nothing is known yet */

        if (value == value) {
            ngx_http_canary_metrics_rule(m, now, i, "",
                                         canary_rule_base(&figure->rule,
                                                          value));
        }
    }
}


static void
ngx_http_canary_metrics_thresholds(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_uint_t                i;
    const canary_strategy_t  *strategy;

    if (now->record.rollout.phase == CANARY_IDLE) {
        return;
    }

    strategy = &now->record.rollout.strategy;

    for (i = 0; i < strategy->nrules; i++) {
        ngx_http_canary_metrics_rule(m, now, i, "",
                                     canary_rule_threshold(
                                                       &strategy->rules[i]));
    }
}


static void
ngx_http_canary_metrics_verdicts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char                    more[64];
    ngx_uint_t              i, verdict;
    const canary_figure_t  *figure;

    static const char *const  verdicts[] = {
        "undecided", "passing", "failing"
    };

    for (i = 0; i < now->judgement.nfigures; i++) {
        figure = &now->judgement.figures[i];

        for (verdict = 0; verdict < 3; verdict++) {
            (void) ngx_snprintf((u_char *) more, sizeof(more),
                                "\",verdict=\"%s%Z", verdicts[verdict]);

            ngx_http_canary_metrics_rule(m, now, i, more,
                                      figure->judgement.verdict == verdict);
        }
    }
}


/* a rollout may have two rules of one name, so they have their place too; and
   that of a match its name */

static void
ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now, ngx_uint_t i, const char *more,
    double value)
{
    char                      number[32], label[128];
    const canary_rule_t      *rule;
    const canary_strategy_t  *strategy;

    strategy = &now->record.rollout.strategy;
    rule = &strategy->rules[i];

    (void) ngx_snprintf((u_char *) label, sizeof(label),
                        "%s\",index=\"%ui%s%s%s%Z",
                        canary_rule_info[rule->kind].name, i,
                        rule->match ? "\",match=\"" : "",
                        rule->match ? strategy->matches.names[rule->match - 1]
                                    : "", more);

    ngx_http_canary_metrics_number(number, sizeof(number), value);
    ngx_http_canary_sample(m, "", "rule", label, "%s", number);
}


static void
ngx_http_canary_metrics_approval(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%ui",
                           ngx_canary_awaits_approval(&now->record.rollout,
                                                  &now->judgement,
                                                  ngx_canary_milliseconds()));
}


static void
ngx_http_canary_metrics_away(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%ui",
                           now->judgement.stable_away);
}


static void
ngx_http_canary_metrics_transitions(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    uint32_t  phase;

    for (phase = 0; phase < CANARY_PHASES; phase++) {
        ngx_http_canary_sample(m, "", "to", canary_phase_name(phase), "%uL",
                               now->record.transitions[phase]);
    }
}


static void
ngx_http_canary_metrics_generation(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL",
                           now->record.rollout.generation);
}


static void
ngx_http_canary_metrics_rollouts(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    uint32_t  result;

    for (result = CANARY_PROMOTED; result <= CANARY_ROLLED_BACK; result++) {
        ngx_http_canary_sample(m, "", "result", canary_result_name(result),
                               "%uL", now->record.results
                                          [result - CANARY_PROMOTED]);
    }
}


static void
ngx_http_canary_metrics_info(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", "role", now->role, "1");
}


static void
ngx_http_canary_metrics_heartbeat(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char  seconds[32];

    ngx_http_canary_metrics_seconds(seconds, now->health.heartbeat * 1000);
    ngx_http_canary_sample(m, "", NULL, NULL, "%s", seconds);
}


static void
ngx_http_canary_metrics_durable(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%ui", now->health.durable);
}


static void
ngx_http_canary_metrics_serial(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL",
                           now->health.configuration);
}
