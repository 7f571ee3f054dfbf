
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_METRICS_H_INCLUDED_
#define _NGX_HTTP_CANARY_METRICS_H_INCLUDED_


#include "ngx_http_canary_snapshot.h"


/*
 * The text format of Prometheus, version 0.0.4.
 *
 * All samples of a metric have to stand together, while an endpoint is looked
 * at once, so each metric has a chain of buffers of its own until the end.
 */


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


/* What each metric begins with; without memory "failed" is set, as below. */

void ngx_http_canary_metrics_heads(ngx_http_canary_metrics_t *m);

/* Sets endpoint="NAME" and release="NAME", if it is not NULL. */

void ngx_http_canary_metrics_labels(ngx_http_canary_metrics_t *m,
    ngx_str_t *endpoint, ngx_str_t *release);

/*
 * Adds a sample with these labels, and with one more if it is not NULL, to
 * what there is of a metric; the format is that of ngx_slprintf().
 */

void ngx_http_canary_sample(ngx_http_canary_metrics_t *m, ngx_uint_t metric,
    const char *suffix, const char *label, const char *value,
    const char *fmt, ...);

/* Numbers as texts, which end with a zero; 32 bytes are enough. */

void ngx_http_canary_metrics_number(char *buf, size_t size, double value);
void ngx_http_canary_metrics_seconds(char *buf, uint64_t us);


#endif /* _NGX_HTTP_CANARY_METRICS_H_INCLUDED_ */
