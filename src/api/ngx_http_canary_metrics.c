
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
#include "ngx_canary_meter.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_feed.h"
#include "ngx_http_canary_problem.h"


/*
 * What is exported of endpoints.
 *
 * All samples of a metric have to stand together, and the text is not kept in
 * memory, so each endpoint is looked at for each metric anew.  What is told of
 * it by one metric is of one moment; counters rise from one to the next.
 */


static ngx_int_t ngx_http_canary_metrics_next(ngx_http_canary_feed_t *feed);
static void ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_classes(ngx_http_canary_metrics_t *m,
    canary_totals_t *totals);
static void ngx_http_canary_metrics_durations(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_histogram(ngx_http_canary_metrics_t *m,
    const uint64_t *buckets, uint64_t time);
static void ngx_http_canary_metrics_fallbacks(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_weight(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_served(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_phase(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_values(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_thresholds(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_verdicts(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const canary_rule_t *rule, ngx_uint_t i, const char *more, double value);
static void ngx_http_canary_metrics_transitions(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_generation(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_record(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_canary_record_t *record);
static void ngx_http_canary_metrics_judge(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t detail,
    ngx_canary_judgement_t *judgement);
static void ngx_http_canary_metrics_totals(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release,
    canary_totals_t *totals, uint64_t *buckets);


static const ngx_http_canary_metric_t  ngx_http_canary_metric_table[] = {

    { "attempts_total", "counter",
      "Attempts on a release by their outcome, each in one class.",
      ngx_http_canary_metrics_attempts },

    { "attempt_duration_seconds", "histogram",
      "Time of the attempts on a release that are evidence for its rules.",
      ngx_http_canary_metrics_durations },

    { "fallbacks_total", "counter",
      "Attempts on a release to finish what another release could not.",
      ngx_http_canary_metrics_fallbacks },

    { "weight_ratio", "gauge",
      "Share of the traffic that the canary is to get.",
      ngx_http_canary_metrics_weight },

    { "served_weight_ratio", "gauge",
      "Share of the attempts in the current step that the canary got.",
      ngx_http_canary_metrics_served },

    { "phase", "gauge",
      "1 for the phase that an endpoint is in.",
      ngx_http_canary_metrics_phase },

    { "rule_value", "gauge",
      "What a rule of the running rollout measures, in base units.",
      ngx_http_canary_metrics_values },

    { "rule_threshold", "gauge",
      "What a rule of the running rollout allows, in base units.",
      ngx_http_canary_metrics_thresholds },

    { "rule_verdict", "gauge",
      "1 for the verdict of a rule of the running rollout.",
      ngx_http_canary_metrics_verdicts },

    { "transitions_total", "counter",
      "Changes of an endpoint from another phase to this one.",
      ngx_http_canary_metrics_transitions },

    { "generation", "gauge",
      "Number of the state of an endpoint, which grows with each change.",
      ngx_http_canary_metrics_generation },

    { NULL, NULL, NULL, NULL }
};


/* the content handler of a location with "canary_metrics" */

ngx_int_t
ngx_http_canary_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  allow;

    rc = ngx_http_canary_check_token(r, 0);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return ngx_http_canary_api_metrics(r, NULL);
    }

    ngx_str_set(&allow, "GET, HEAD");

    if (ngx_http_canary_add_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_problem(r, NGX_HTTP_NOT_ALLOWED,
                                   "metrics can only be read, by GET and "
                                   "HEAD");
}


ngx_int_t
ngx_http_canary_api_metrics(ngx_http_request_t *r, ngx_canary_endpoint_t *none)
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


/* the samples of one endpoint, below what the metric begins with */

static ngx_int_t
ngx_http_canary_metrics_next(ngx_http_canary_feed_t *feed)
{
    ngx_array_t                *all;
    ngx_canary_endpoint_t     **endpoints;
    ngx_http_canary_metrics_t  *m;

    m = (ngx_http_canary_metrics_t *) feed;
    all = &feed->main->endpoints;
    endpoints = all->elts;

    if (m->n == 0) {
        ngx_http_canary_metrics_head(m);
    }

    if (m->n < all->nelts) {
        m->metric->samples(m, endpoints[m->n++]);
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
ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_uint_t             i;
    canary_totals_t        totals;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        ngx_http_canary_metrics_totals(m, endpoint, &releases[i], &totals,
                                       NULL);
        ngx_http_canary_metrics_classes(m, &totals);
    }
}


/* what was cut short has its class already */

static void
ngx_http_canary_metrics_classes(ngx_http_canary_metrics_t *m,
    canary_totals_t *totals)
{
    ngx_uint_t  i;

    static const char *const  classes[] = {
        "1xx", "2xx", "3xx", "4xx", "5xx"
    };

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
    ngx_canary_endpoint_t *endpoint)
{
    uint64_t               buckets[CANARY_BUCKETS + 1];
    ngx_uint_t             i;
    canary_totals_t        totals;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        ngx_http_canary_metrics_totals(m, endpoint, &releases[i], &totals,
                                       buckets);
        ngx_http_canary_metrics_histogram(m, buckets, totals.time);
    }
}


static void
ngx_http_canary_metrics_histogram(ngx_http_canary_metrics_t *m,
    const uint64_t *buckets, uint64_t time)
{
    char        edge[32];
    uint64_t    count;
    ngx_uint_t  i;

    count = 0;

    for (i = 0; i < CANARY_BUCKETS; i++) {
        count += buckets[i];

        ngx_http_canary_metrics_seconds(edge, canary_bucket_edges[i]);
        ngx_http_canary_sample(m, "_bucket", "le", edge, "%uL", count);
    }

    count += buckets[CANARY_BUCKETS];

    ngx_http_canary_sample(m, "_bucket", "le", "+Inf", "%uL", count);

    ngx_http_canary_metrics_seconds(edge, time);
    ngx_http_canary_sample(m, "_sum", NULL, NULL, "%s", edge);

    ngx_http_canary_sample(m, "_count", NULL, NULL, "%uL", count);
}


static void
ngx_http_canary_metrics_fallbacks(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_uint_t             i;
    canary_totals_t        totals;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        ngx_http_canary_metrics_totals(m, endpoint, &releases[i], &totals,
                                       NULL);
        ngx_http_canary_sample(m, "", NULL, NULL, "%uL", totals.fallbacks);
    }
}


static void
ngx_http_canary_metrics_weight(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    char                 number[32];
    ngx_canary_record_t  record;

    ngx_http_canary_metrics_record(m, endpoint, &record);

    ngx_http_canary_metrics_number(number, sizeof(number),
                                   (double) record.rollout.weight
                                   / CANARY_ONE);
    ngx_http_canary_sample(m, "", NULL, NULL, "%s", number);
}


static void
ngx_http_canary_metrics_served(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    char                    number[32];
    uint64_t                all;
    ngx_canary_judgement_t  judgement;

    ngx_http_canary_metrics_judge(m, endpoint, 0, &judgement);

    all = judgement.started + judgement.stable_started;

    if (all) {
        ngx_http_canary_metrics_number(number, sizeof(number),
                                       (double) judgement.started
                                       / (double) all);
        ngx_http_canary_sample(m, "", NULL, NULL, "%s", number);
    }
}


static void
ngx_http_canary_metrics_phase(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    uint32_t             phase;
    ngx_canary_record_t  record;

    ngx_http_canary_metrics_record(m, endpoint, &record);

    for (phase = 0; phase < CANARY_PHASES; phase++) {
        ngx_http_canary_sample(m, "", "phase", canary_phase_name(phase),
                               "%d", record.rollout.phase == phase);
    }
}


static void
ngx_http_canary_metrics_values(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    double                  value;
    ngx_uint_t              i;
    canary_figure_t        *figure;
    ngx_canary_judgement_t  judgement;

    ngx_http_canary_metrics_judge(m, endpoint, CANARY_DETAIL_VALUES,
                                  &judgement);

    for (i = 0; i < judgement.nfigures; i++) {
        figure = &judgement.figures[i];
        value = figure->judgement.value;

        /* NaN: nothing is known yet */

        if (value == value) {
            ngx_http_canary_metrics_rule(m, &figure->rule, i, "",
                                         canary_rule_base(&figure->rule,
                                                          value));
        }
    }
}


static void
ngx_http_canary_metrics_thresholds(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_uint_t           i;
    canary_strategy_t   *strategy;
    ngx_canary_record_t  record;

    ngx_http_canary_metrics_record(m, endpoint, &record);

    if (record.rollout.phase == CANARY_IDLE) {
        return;
    }

    strategy = &record.rollout.strategy;

    for (i = 0; i < strategy->nrules; i++) {
        ngx_http_canary_metrics_rule(m, &strategy->rules[i], i, "",
                                 canary_rule_threshold(&strategy->rules[i]));
    }
}


static void
ngx_http_canary_metrics_verdicts(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    char                    more[64];
    ngx_uint_t              i, verdict;
    canary_figure_t        *figure;
    ngx_canary_judgement_t  judgement;

    static const char *const  verdicts[] = {
        "undecided", "passing", "failing"
    };

    ngx_http_canary_metrics_judge(m, endpoint, 0, &judgement);

    for (i = 0; i < judgement.nfigures; i++) {
        figure = &judgement.figures[i];

        for (verdict = 0; verdict < 3; verdict++) {
            (void) ngx_snprintf((u_char *) more, sizeof(more),
                                "\",verdict=\"%s%Z", verdicts[verdict]);

            ngx_http_canary_metrics_rule(m, &figure->rule, i, more,
                                      figure->judgement.verdict == verdict);
        }
    }
}


/* a rollout may have two rules of one name, so they have their place too */

static void
ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const canary_rule_t *rule, ngx_uint_t i, const char *more, double value)
{
    char  number[32], label[128];

    (void) ngx_snprintf((u_char *) label, sizeof(label),
                        "%s\",index=\"%ui%s%Z",
                        canary_rule_info[rule->kind].name, i, more);

    ngx_http_canary_metrics_number(number, sizeof(number), value);
    ngx_http_canary_sample(m, "", "rule", label, "%s", number);
}


static void
ngx_http_canary_metrics_transitions(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    uint32_t             phase;
    ngx_canary_record_t  record;

    ngx_http_canary_metrics_record(m, endpoint, &record);

    for (phase = 0; phase < CANARY_PHASES; phase++) {
        ngx_http_canary_sample(m, "", "to", canary_phase_name(phase), "%uL",
                               record.transitions[phase]);
    }
}


static void
ngx_http_canary_metrics_generation(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_canary_record_t  record;

    ngx_http_canary_metrics_record(m, endpoint, &record);

    ngx_http_canary_sample(m, "", NULL, NULL, "%uL",
                           record.rollout.generation);
}


/* What is known of an endpoint or release; its labels are set as well. */

static void
ngx_http_canary_metrics_record(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_canary_record_t *record)
{

    ngx_http_canary_metrics_labels(m, &endpoint->name, NULL);


    ngx_canary_lock(endpoint->main->zone);

    *record = *ngx_canary_record(endpoint->shared);

    ngx_canary_unlock(endpoint->main->zone);
}


/* without a rollout there is nothing in it */

static void
ngx_http_canary_metrics_judge(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t detail,
    ngx_canary_judgement_t *judgement)
{

    ngx_http_canary_metrics_labels(m, &endpoint->name, NULL);


    ngx_canary_lock(endpoint->main->zone);

    ngx_canary_judge(endpoint->shared, ngx_canary_milliseconds(),
                     detail, judgement);

    ngx_canary_unlock(endpoint->main->zone);
}


static void
ngx_http_canary_metrics_totals(ngx_http_canary_metrics_t *m,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release,
    canary_totals_t *totals, uint64_t *buckets)
{
    ngx_canary_release_shared_t  *place;

    ngx_http_canary_metrics_labels(m, &endpoint->name, &release->name);


    ngx_canary_lock(endpoint->main->zone);

    place = endpoint->shared->releases[release->id];

    ngx_canary_sum_totals(endpoint->shared, place, totals);

    if (buckets) {
        ngx_canary_sum_buckets(endpoint->shared, place, buckets);
    }

    ngx_canary_unlock(endpoint->main->zone);
}
