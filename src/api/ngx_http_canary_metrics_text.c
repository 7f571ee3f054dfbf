
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_feed.h"
#include "ngx_http_canary_metrics.h"


#define NGX_HTTP_CANARY_SAMPLE_MAX  256   /* bytes, beside the labels */


static u_char *ngx_http_canary_metrics_escape(u_char *p, const char *text);
static u_char *ngx_http_canary_metrics_room(ngx_http_canary_metrics_t *m,
    size_t size);


void
ngx_http_canary_metrics_head(ngx_http_canary_metrics_t *m)
{
    u_char                          *p;
    const ngx_http_canary_metric_t  *metric;

    p = ngx_http_canary_metrics_room(m, NGX_HTTP_CANARY_SAMPLE_MAX);
    if (p == NULL) {
        return;
    }

    metric = m->metric;

    m->feed.buf.last =
        ngx_slprintf(p, p + NGX_HTTP_CANARY_SAMPLE_MAX,
                     "# HELP nginx_canary_%s %s\n"
                     "# TYPE nginx_canary_%s %s\n",
                     metric->name, metric->help, metric->name, metric->type);
}


void
ngx_http_canary_metrics_labels(ngx_http_canary_metrics_t *m,
    ngx_str_t *endpoint, ngx_str_t *release)
{
    char    *name, *release_name;
    u_char  *p;
    size_t   size;

    name = ngx_http_canary_utf8(m->feed.pool, endpoint);
    release_name = release ? ngx_http_canary_utf8(m->feed.pool, release) : "";

    if (name == NULL || release_name == NULL) {
        m->failed = 1;
        return;
    }

    size = sizeof("endpoint=\"\",release=\"\"")
           + 2 * (ngx_strlen(name) + ngx_strlen(release_name));

    p = ngx_pnalloc(m->feed.pool, size);
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
ngx_http_canary_sample(ngx_http_canary_metrics_t *m, const char *suffix,
    const char *label, const char *value, const char *fmt, ...)
{
    size_t    size;
    u_char   *p, *last;
    va_list   args;

    size = NGX_HTTP_CANARY_SAMPLE_MAX + m->labels.len;

    p = ngx_http_canary_metrics_room(m, size);
    if (p == NULL) {
        return;
    }

    last = p + size - 1;

    p = ngx_slprintf(p, last, "nginx_canary_%s%s", m->metric->name, suffix);

    if (m->labels.len || label) {
        p = ngx_slprintf(p, last, "{%V", &m->labels);

        if (label) {
            p = ngx_slprintf(p, last, "%s%s=\"%s\"", m->labels.len ? "," : "",
                             label, value);
        }

        *p++ = '}';
    }

    *p++ = ' ';

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    *p++ = LF;

    m->feed.buf.last = p;
}


/* NULL: there is no memory, now or before */

static u_char *
ngx_http_canary_metrics_room(ngx_http_canary_metrics_t *m, size_t size)
{
    u_char  *p;

    p = m->failed ? NULL : ngx_http_canary_feed_room(&m->feed, size);

    if (p == NULL) {
        m->failed = 1;
    }

    return p;
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
