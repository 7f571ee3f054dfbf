
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"
#include "ngx_http_canary_token.h"


/*
 * The text format of Prometheus, version 0.0.4.
 *
 * All samples of a metric have to stand together, while an endpoint is looked
 * at once, so each metric has a chain of buffers of its own until the end.
 */


#define NGX_HTTP_CANARY_METRICS_BUFFER  16384
#define NGX_HTTP_CANARY_SAMPLE_MAX      256   /* bytes, beside the labels */


enum {
    NGX_HTTP_CANARY_ATTEMPTS = 0,
    NGX_HTTP_CANARY_DURATION,
    NGX_HTTP_CANARY_FALLBACKS,
    NGX_HTTP_CANARY_WEIGHT,
    NGX_HTTP_CANARY_SERVED,
    NGX_HTTP_CANARY_PHASE,
    NGX_HTTP_CANARY_RULE_VALUE,
    NGX_HTTP_CANARY_RULE_THRESHOLD,
    NGX_HTTP_CANARY_RULE_VERDICT,
    NGX_HTTP_CANARY_TRANSITIONS,
    NGX_HTTP_CANARY_GENERATION,
    NGX_HTTP_CANARY_METRICS
};


typedef struct {
    const char                   *name;
    const char                   *type;
    const char                   *help;
} ngx_http_canary_metric_t;


typedef struct {
    ngx_chain_t                  *first;
    ngx_chain_t                  *last;
    off_t                         size;
} ngx_http_canary_text_t;


typedef struct {
    ngx_pool_t                   *pool;
    ngx_http_canary_text_t        texts[NGX_HTTP_CANARY_METRICS];
    ngx_str_t                     labels;      /* of what is being printed */
    ngx_http_canary_snapshot_t    snapshot;
    ngx_uint_t                    failed;      /* no memory */
} ngx_http_canary_metrics_t;


static ngx_int_t ngx_http_canary_send_metrics(ngx_http_request_t *r,
    ngx_http_canary_metrics_t *m);
static void ngx_http_canary_metrics_heads(ngx_http_canary_metrics_t *m);
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
static void ngx_http_canary_metrics_labels(ngx_http_canary_metrics_t *m,
    ngx_str_t *endpoint, ngx_str_t *release);
static u_char *ngx_http_canary_metrics_escape(u_char *p, const char *text);
static void ngx_http_canary_sample(ngx_http_canary_metrics_t *m,
    ngx_uint_t metric, const char *suffix, const char *label,
    const char *value, const char *fmt, ...);
static u_char *ngx_http_canary_metrics_room(ngx_http_canary_metrics_t *m,
    ngx_uint_t metric, size_t size);
static void ngx_http_canary_metrics_number(char *buf, size_t size,
    double value);
static void ngx_http_canary_metrics_seconds(char *buf, uint64_t us);


static const ngx_http_canary_metric_t
    ngx_http_canary_metrics_info[NGX_HTTP_CANARY_METRICS] =
{
    { "attempts_total", "counter",
      "Attempts on a release by their outcome, each in one class." },
    { "attempt_duration_seconds", "histogram",
      "Time of the attempts on a release that are evidence for its rules." },
    { "fallbacks_total", "counter",
      "Attempts on a release to finish what another release could not." },
    { "weight_ratio", "gauge",
      "Share of the traffic that the canary is to get." },
    { "served_weight_ratio", "gauge",
      "Share of the attempts in the current step that the canary got." },
    { "phase", "gauge",
      "1 for the phase that an endpoint is in." },
    { "rule_value", "gauge",
      "What a rule of the running rollout measures, in base units." },
    { "rule_threshold", "gauge",
      "What a rule of the running rollout allows, in base units." },
    { "rule_verdict", "gauge",
      "1 for the verdict of a rule of the running rollout." },
    { "transitions_total", "counter",
      "Changes of an endpoint from another phase to this one." },
    { "generation", "gauge",
      "Number of the state of an endpoint, which grows with each change." }
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
ngx_http_canary_metrics_heads(ngx_http_canary_metrics_t *m)
{
    u_char                          *p;
    ngx_uint_t                       i;
    const ngx_http_canary_metric_t  *info;

    for (i = 0; i < NGX_HTTP_CANARY_METRICS; i++) {
        info = &ngx_http_canary_metrics_info[i];

        p = ngx_http_canary_metrics_room(m, i, NGX_HTTP_CANARY_SAMPLE_MAX);
        if (p == NULL) {
            return;
        }

        m->texts[i].last->buf->last =
            ngx_slprintf(p, p + NGX_HTTP_CANARY_SAMPLE_MAX,
                         "# HELP nginx_canary_%s %s\n"
                         "# TYPE nginx_canary_%s %s\n",
                         info->name, info->help, info->name, info->type);

        m->texts[i].size += m->texts[i].last->buf->last - p;
    }
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


/* endpoint="NAME" and release="NAME", if it is not NULL */

static void
ngx_http_canary_metrics_labels(ngx_http_canary_metrics_t *m,
    ngx_str_t *endpoint, ngx_str_t *release)
{
    char    *name, *release_name;
    u_char  *p;
    size_t   size;

    name = ngx_http_canary_utf8(m->pool, endpoint);
    release_name = release ? ngx_http_canary_utf8(m->pool, release) : "";

    if (name == NULL || release_name == NULL) {
        m->failed = 1;
        return;
    }

    size = sizeof("endpoint=\"\",release=\"\"")
           + 2 * (ngx_strlen(name) + ngx_strlen(release_name));

    p = ngx_pnalloc(m->pool, size);
    if (p == NULL) {
        m->failed = 1;
        return;
    }

    m->labels.data = p;

    p = ngx_cpymem(p, "endpoint=\"", sizeof("endpoint=\"") - 1);
    p = ngx_http_canary_metrics_escape(p, name);
    *p++ = '"';

    if (release) {
        p = ngx_cpymem(p, ",release=\"", sizeof(",release=\"") - 1);
        p = ngx_http_canary_metrics_escape(p, release_name);
        *p++ = '"';
    }

    m->labels.len = p - m->labels.data;
}


static u_char *
ngx_http_canary_metrics_escape(u_char *p, const char *text)
{
    for ( /* void */ ; *text; text++) {

        switch (*text) {

        case '\\':
        case '"':
            *p++ = '\\';
            *p++ = *text;
            break;

        case '\n':
            *p++ = '\\';
            *p++ = 'n';
            break;

        default:
            *p++ = *text;
            break;
        }
    }

    return p;
}


static void
ngx_http_canary_sample(ngx_http_canary_metrics_t *m, ngx_uint_t metric,
    const char *suffix, const char *label, const char *value,
    const char *fmt, ...)
{
    size_t                   size;
    u_char                  *p, *last, *start;
    va_list                  args;
    ngx_http_canary_text_t  *text;

    size = NGX_HTTP_CANARY_SAMPLE_MAX + m->labels.len;

    p = ngx_http_canary_metrics_room(m, metric, size);
    if (p == NULL) {
        return;
    }

    start = p;
    last = p + size;

    p = ngx_slprintf(p, last, "nginx_canary_%s%s{%V",
                     ngx_http_canary_metrics_info[metric].name, suffix,
                     &m->labels);

    if (label) {
        p = ngx_slprintf(p, last, ",%s=\"%s\"", label, value);
    }

    p = ngx_slprintf(p, last, "} ");

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    *p++ = LF;

    text = &m->texts[metric];
    text->last->buf->last = p;
    text->size += p - start;
}


/* for one sample; NULL: there is no memory, now or before */

static u_char *
ngx_http_canary_metrics_room(ngx_http_canary_metrics_t *m, ngx_uint_t metric,
    size_t size)
{
    ngx_chain_t             *cl;
    ngx_http_canary_text_t  *text;

    if (m->failed) {
        return NULL;
    }

    text = &m->texts[metric];

    if (text->last
        && (size_t) (text->last->buf->end - text->last->buf->last) >= size)
    {
        return text->last->buf->last;
    }

    cl = ngx_alloc_chain_link(m->pool);

    if (cl) {
        cl->buf = ngx_create_temp_buf(m->pool,
                                      ngx_max(size,
                                              NGX_HTTP_CANARY_METRICS_BUFFER));
        cl->next = NULL;
    }

    if (cl == NULL || cl->buf == NULL) {
        m->failed = 1;
        return NULL;
    }

    if (text->last) {
        text->last->next = cl;

    } else {
        text->first = cl;
    }

    text->last = cl;

    return cl->buf->last;
}


/* ten digits, and no locale: nginx sets none */

static void
ngx_http_canary_metrics_number(char *buf, size_t size, double value)
{
    (void) snprintf(buf, size, "%.10g", value);
}


static void
ngx_http_canary_metrics_seconds(char *buf, uint64_t us)
{
    u_char  *p;

    p = ngx_sprintf((u_char *) buf, "%uL.%06uL", us / 1000000, us % 1000000);

    while (p[-1] == '0') {
        p--;
    }

    if (p[-1] == '.') {
        p--;
    }

    *p = '\0';
}
