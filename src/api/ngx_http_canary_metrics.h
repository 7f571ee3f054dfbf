
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_METRICS_H_INCLUDED_
#define _NGX_HTTP_CANARY_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_feed.h"


/* for Prometheus */


ngx_int_t ngx_http_canary_api_metrics(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);


/* The text format of Prometheus, version 0.0.4. */


typedef struct ngx_http_canary_metrics_s  ngx_http_canary_metrics_t;

typedef struct {
    const char                   *name;
    const char                   *type;
    const char                   *help;
    void                        (*samples)(ngx_http_canary_metrics_t *m,
                                        ngx_canary_endpoint_t *endpoint);
} ngx_http_canary_metric_t;


struct ngx_http_canary_metrics_s {
    ngx_http_canary_feed_t           feed;
    const ngx_http_canary_metric_t  *metric;
    ngx_uint_t                       n;        /* endpoints it has already */
    ngx_str_t                        labels;   /* of what is being printed */
    ngx_uint_t                       failed;   /* no memory */
};


/* What a metric begins with; without memory "failed" is set, as below. */

void ngx_http_canary_metrics_head(ngx_http_canary_metrics_t *m);

/* Sets endpoint="NAME" and release="NAME", if it is not NULL. */

void ngx_http_canary_metrics_labels(ngx_http_canary_metrics_t *m,
    ngx_str_t *endpoint, ngx_str_t *release);

/*
 * Adds a sample of the metric with these labels, and with one more if it is
 * not NULL; the format is that of ngx_slprintf().
 */

void ngx_http_canary_sample(ngx_http_canary_metrics_t *m, const char *suffix,
    const char *label, const char *value, const char *fmt, ...);

/* Numbers as texts, which end with a zero; 32 bytes are enough. */

void ngx_http_canary_metrics_number(char *buf, size_t size, double value);
void ngx_http_canary_metrics_seconds(char *buf, uint64_t us);


ngx_int_t ngx_http_canary_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_METRICS_H_INCLUDED_ */
