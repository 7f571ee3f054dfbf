
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"
#include "ngx_http_canary_metrics.h"
#include "ngx_http_canary_token.h"


/* What is exported of endpoints, and how it is sent. */


static ngx_int_t ngx_http_canary_send_metrics(ngx_http_request_t *r,
    ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_endpoint(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint);
static void ngx_http_canary_metrics_state(ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_rules(ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_figure_t *figure, ngx_uint_t i);
static void ngx_http_canary_metrics_release(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_release_view_t *release);
static void ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    ngx_http_canary_totals_t *totals);
static void ngx_http_canary_metrics_durations(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_release_view_t *release);


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
ngx_http_canary_api_metrics(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *none)
{
    ngx_uint_t                     i;
    ngx_http_canary_metrics_t     *m;
    ngx_http_canary_endpoint_t   **endpoints;
    ngx_http_canary_main_conf_t   *cmcf;

    m = ngx_pcalloc(r->pool, sizeof(ngx_http_canary_metrics_t));
    if (m == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    m->pool = r->pool;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);
    endpoints = cmcf->endpoints.elts;

    ngx_http_canary_metrics_heads(m);

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        ngx_http_canary_metrics_endpoint(m, endpoints[i]);
    }

    return m->failed ? NGX_HTTP_INTERNAL_SERVER_ERROR
                     : ngx_http_canary_send_metrics(r, m);
}


static ngx_int_t
ngx_http_canary_send_metrics(ngx_http_request_t *r,
    ngx_http_canary_metrics_t *m)
{
    off_t         size;
    ngx_int_t     rc;
    ngx_uint_t    i;
    ngx_chain_t  *last;

    static ngx_str_t  type = ngx_string("text/plain; version=0.0.4; "
                                        "charset=utf-8");

    size = m->texts[0].size;
    last = m->texts[0].last;

    for (i = 1; i < NGX_HTTP_CANARY_METRICS; i++) {
        size += m->texts[i].size;
        last->next = m->texts[i].first;
        last = m->texts[i].last;
    }

    last->buf->last_buf = (r == r->main) ? 1 : 0;
    last->buf->last_in_chain = 1;

    rc = ngx_http_canary_send_header(r, NGX_HTTP_OK, &type, size);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, m->texts[0].first);
}


static void
ngx_http_canary_metrics_endpoint(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint)
{
    ngx_uint_t                   i;
    ngx_http_canary_snapshot_t  *snapshot;

    snapshot = &m->snapshot;

    ngx_http_canary_snapshot(endpoint, snapshot);

    ngx_http_canary_metrics_labels(m, &endpoint->name, NULL);

    ngx_http_canary_metrics_state(m);
    ngx_http_canary_metrics_rules(m);

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_http_canary_metrics_labels(m, &endpoint->name,
                                       &snapshot->releases[i].name);
        ngx_http_canary_metrics_release(m, endpoint, &snapshot->releases[i]);
    }
}


static void
ngx_http_canary_metrics_state(ngx_http_canary_metrics_t *m)
{
    char                          number[32];
    uint64_t                      all;
    uint32_t                      phase;
    const char                   *name;
    ngx_http_canary_record_t     *record;
    ngx_http_canary_judgement_t  *judgement;

    record = &m->snapshot.record;
    judgement = &m->snapshot.judgement;

    ngx_http_canary_metrics_number(number, sizeof(number),
                                   (double) record->rollout.weight
                                   / CANARY_ONE);
    ngx_http_canary_sample(m, NGX_HTTP_CANARY_WEIGHT, "", NULL, NULL, "%s",
                           number);

    all = judgement->started + judgement->stable_started;

    if (record->rollout.phase != CANARY_IDLE && all) {
        ngx_http_canary_metrics_number(number, sizeof(number),
                                       (double) judgement->started
                                       / (double) all);
        ngx_http_canary_sample(m, NGX_HTTP_CANARY_SERVED, "", NULL, NULL,
                               "%s", number);
    }

    for (phase = 0; phase < CANARY_PHASES; phase++) {
        name = canary_phase_name(phase);

        ngx_http_canary_sample(m, NGX_HTTP_CANARY_PHASE, "", "phase", name,
                               "%d", record->rollout.phase == phase);
        ngx_http_canary_sample(m, NGX_HTTP_CANARY_TRANSITIONS, "", "to",
                               name, "%uL", record->transitions[phase]);
    }

    ngx_http_canary_sample(m, NGX_HTTP_CANARY_GENERATION, "", NULL, NULL,
                           "%uL", record->rollout.generation);
}


static void
ngx_http_canary_metrics_rules(ngx_http_canary_metrics_t *m)
{
    ngx_uint_t                    i;
    ngx_http_canary_judgement_t  *judgement;

    judgement = &m->snapshot.judgement;

    if (m->snapshot.record.rollout.phase == CANARY_IDLE) {
        return;
    }

    for (i = 0; i < judgement->nfigures; i++) {
        ngx_http_canary_metrics_rule(m, &judgement->figures[i], i);
    }
}


/* a rollout may have two rules of one name, so they have their place too */

static void
ngx_http_canary_metrics_rule(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_figure_t *figure, ngx_uint_t i)
{
    char        number[32], rule[64];
    double      value;
    ngx_uint_t  verdict;

    static const char *const  verdicts[] = {
        "undecided", "passing", "failing"
    };

    ngx_snprintf((u_char *) rule, sizeof(rule), "%s\",index=\"%ui%Z",
                 canary_rule_info[figure->rule.kind].name, i);

    ngx_http_canary_metrics_number(number, sizeof(number),
                                   canary_rule_threshold(&figure->rule));
    ngx_http_canary_sample(m, NGX_HTTP_CANARY_RULE_THRESHOLD, "", "rule",
                           rule, "%s", number);

    value = figure->judgement.value;

    /* NaN: nothing is known yet */

    if (value == value) {
        ngx_http_canary_metrics_number(number, sizeof(number),
                                       canary_rule_base(&figure->rule,
                                                        value));
        ngx_http_canary_sample(m, NGX_HTTP_CANARY_RULE_VALUE, "", "rule",
                               rule, "%s", number);
    }

    for (verdict = 0; verdict < 3; verdict++) {
        ngx_snprintf((u_char *) rule, sizeof(rule),
                     "%s\",index=\"%ui\",verdict=\"%s%Z",
                     canary_rule_info[figure->rule.kind].name, i,
                     verdicts[verdict]);

        ngx_http_canary_sample(m, NGX_HTTP_CANARY_RULE_VERDICT, "", "rule",
                               rule, "%d",
                               figure->judgement.verdict == verdict);
    }
}


static void
ngx_http_canary_metrics_release(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_release_view_t *release)
{
    ngx_http_canary_metrics_attempts(m, &release->totals);

    ngx_http_canary_sample(m, NGX_HTTP_CANARY_FALLBACKS, "", NULL, NULL,
                           "%uL", release->totals.fallbacks);

    ngx_http_canary_metrics_durations(m, endpoint, release);
}


/* what was cut short has its class already */

static void
ngx_http_canary_metrics_attempts(ngx_http_canary_metrics_t *m,
    ngx_http_canary_totals_t *totals)
{
    ngx_uint_t  i;

    static const char *const  classes[] = {
        "1xx", "2xx", "3xx", "4xx", "5xx"
    };

    for (i = 0; i < 5; i++) {
        ngx_http_canary_sample(m, NGX_HTTP_CANARY_ATTEMPTS, "", "class",
                               classes[i], "%uL", totals->responses[i]);
    }

    ngx_http_canary_sample(m, NGX_HTTP_CANARY_ATTEMPTS, "", "class",
                           "failed", "%uL", totals->failed);
    ngx_http_canary_sample(m, NGX_HTTP_CANARY_ATTEMPTS, "", "class",
                           "timeout", "%uL", totals->timeouts);
    ngx_http_canary_sample(m, NGX_HTTP_CANARY_ATTEMPTS, "", "class",
                           "aborted", "%uL", totals->aborted);
}


static void
ngx_http_canary_metrics_durations(ngx_http_canary_metrics_t *m,
    ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_release_view_t *release)
{
    char              edge[32];
    uint64_t          count, buckets[CANARY_BUCKETS + 1];
    ngx_uint_t        i;
    ngx_slab_pool_t  *shpool;

    shpool = endpoint->main->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_http_canary_sum_buckets(endpoint->shared,
                                endpoint->shared->releases[release->id],
                                buckets);

    ngx_shmtx_unlock(&shpool->mutex);

    count = 0;

    for (i = 0; i < CANARY_BUCKETS; i++) {
        count += buckets[i];

        ngx_http_canary_metrics_seconds(edge, canary_bucket_edges[i]);
        ngx_http_canary_sample(m, NGX_HTTP_CANARY_DURATION, "_bucket", "le",
                               edge, "%uL", count);
    }

    count += buckets[CANARY_BUCKETS];

    ngx_http_canary_sample(m, NGX_HTTP_CANARY_DURATION, "_bucket", "le",
                           "+Inf", "%uL", count);

    ngx_http_canary_metrics_seconds(edge, release->totals.time);
    ngx_http_canary_sample(m, NGX_HTTP_CANARY_DURATION, "_sum", NULL, NULL,
                           "%s", edge);

    ngx_http_canary_sample(m, NGX_HTTP_CANARY_DURATION, "_count", NULL, NULL,
                           "%uL", count);
}
