
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_SNAPSHOT_H_INCLUDED_
#define _NGX_CANARY_SNAPSHOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"


/* A consistent copy for those who show it. */


#define NGX_CANARY_QUANTILES       4                  /* p50, p90, p95, p99 */


typedef struct {
    ngx_str_t                           name;
    ngx_str_t                           upstream;
    ngx_uint_t                          number;
    uint32_t                            id;
    canary_totals_t                     totals;        /* since the state
                                                          began */
    canary_totals_t                     step;          /* since the step */
    ngx_uint_t                          fresh;        /* it is measured now */
    uint64_t                            measured;      /* since the step: times
                                                          in the histogram, */
    uint32_t                            quantiles[NGX_CANARY_QUANTILES];
                                                       /* and of these,
                                                          microseconds */
} ngx_canary_release_view_t;


typedef struct {
    ngx_canary_endpoint_t              *endpoint;
    ngx_canary_record_t                 record;
    ngx_canary_judgement_t              judgement;     /* when not idle */
    uint64_t                            now;           /* ms, monotonic */
    uint64_t                            heartbeat;     /* ms old */
    ngx_uint_t                          durable;
    u_char                              problem[NGX_CANARY_PROBLEM];
                                        /* of the state file, or empty */
    ngx_uint_t                          nreleases;
    ngx_canary_release_view_t           releases[NGX_CANARY_RELEASES_MAX];
} ngx_canary_snapshot_t;


void ngx_canary_snapshot(ngx_canary_endpoint_t *endpoint,
    ngx_canary_snapshot_t *snapshot);

/* How nginx is, whatever its endpoints do. */

typedef struct {
    uint64_t                            heartbeat;     /* ms old; since the
                                                          machine began if
                                                          there was none */
    ngx_uint_t                          durable;
    uint64_t                            configuration; /* its number, */
    uint64_t                            loaded;        /* and since when it is
                                                          in use, ms since
                                                          1970 */
} ngx_canary_health_t;

void ngx_canary_health(ngx_canary_main_conf_t *cmcf,
    ngx_canary_health_t *health);

/* only the rollout */
void ngx_canary_copy_rollout(ngx_canary_endpoint_t *endpoint,
    canary_rollout_t *rollout);

/* of the state file, as above, into NGX_CANARY_PROBLEM bytes */
void ngx_canary_copy_problem(ngx_canary_main_conf_t *cmcf, u_char *problem);

/*
 * Copies the event before the one of this number, and sets that to its own;
 * NGX_DECLINED: it is not kept any more, or its id is not above "after".
 */

ngx_int_t ngx_canary_event_before(ngx_canary_endpoint_t *endpoint,
    uint64_t after, uint64_t *number, canary_event_t *event);


#endif /* _NGX_CANARY_SNAPSHOT_H_INCLUDED_ */
