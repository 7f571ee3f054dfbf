
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_METRICS_H_INCLUDED_
#define _NGX_HTTP_CANARY_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_buckets.h"
#include "canary_totals.h"

#include "ngx_canary_fleet_view.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_snapshot.h"
#include "ngx_canary_shared.h"

#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_feed.h"


/* for Prometheus: of locations with "canary_metrics" */
extern const ngx_http_canary_dialect_t  ngx_http_canary_metrics_dialect;

ngx_int_t ngx_http_canary_api_metrics(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


/* The text format of Prometheus, version 0.0.4. */


/* what a metric is made of */

typedef enum {
    NGX_HTTP_CANARY_NGINX = 0,     /* of no endpoint: the zone */
    NGX_HTTP_CANARY_FLEET,         /* of no endpoint: there has to be one */
    NGX_HTTP_CANARY_RECORD,
    NGX_HTTP_CANARY_JUDGEMENT,     /* with a record */
    NGX_HTTP_CANARY_VALUES,        /* a judgement that has them */
    NGX_HTTP_CANARY_RELEASE,       /* of each release: its role */
    NGX_HTTP_CANARY_TOTALS,        /* the same, with its totals */
    NGX_HTTP_CANARY_BUCKETS        /* the same, with its histogram */
} ngx_http_canary_metric_e;


typedef struct {
    ngx_canary_health_t           health;
    ngx_canary_fleet_self_t       fleet;
    ngx_canary_record_t           record;
    ngx_canary_judgement_t        judgement;   /* of no figures when idle */
    const char                   *role;        /* of a release */
    canary_totals_t               totals;
    uint64_t                      buckets[CANARY_BUCKETS + 1];
} ngx_http_canary_measured_t;


typedef struct ngx_http_canary_metrics_s  ngx_http_canary_metrics_t;


typedef struct {
    const char                   *name;
    const char                   *type;
    const char                   *help;
    ngx_http_canary_metric_e      kind;
    void                        (*samples)(ngx_http_canary_metrics_t *m,
                                    const ngx_http_canary_measured_t *now);
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

/* Sets endpoint="NAME" and release="NAME", if it is not NULL; none before. */

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


/* ngx_http_canary_metrics_fleet.c */

void ngx_http_canary_metrics_fleet_reachable(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_leader(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_nodes(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_version(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_rtt(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_contact(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_changes(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_reconnects(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_sent(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);
void ngx_http_canary_metrics_fleet_received(
    ngx_http_canary_metrics_t *m, const ngx_http_canary_measured_t *now);


#endif /* _NGX_HTTP_CANARY_METRICS_H_INCLUDED_ */
