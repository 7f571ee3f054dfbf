
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_api.h"
#include "ngx_http_canary_metrics.h"


#define NGX_HTTP_CANARY_METRICS_BUFFER  16384
#define NGX_HTTP_CANARY_SAMPLE_MAX      256   /* bytes, beside the labels */


typedef struct {
    const char                   *name;
    const char                   *type;
    const char                   *help;
} ngx_http_canary_metric_t;


static u_char *ngx_http_canary_metrics_escape(u_char *p, const char *text);
static u_char *ngx_http_canary_metrics_room(ngx_http_canary_metrics_t *m,
    ngx_uint_t metric, size_t size);


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


void
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


void
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


void
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

void
ngx_http_canary_metrics_number(char *buf, size_t size, double value)
{
    (void) snprintf(buf, size, "%.10g", value);
}


void
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
