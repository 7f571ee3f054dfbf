
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_metrics.h"

#include "canary_fleet.h"

#include "ngx_canary_fleet_look.h"


/* What is exported of the fleet, as this node knows it. */


void
ngx_http_canary_metrics_fleet_reachable(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%ui",
                           ngx_canary_fleet_in_touch(now->fleet.state));
}


/* this node is it */

void
ngx_http_canary_metrics_fleet_leader(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%d",
                           now->fleet.state == CANARY_FLEET_LEADER);
}


void
ngx_http_canary_metrics_fleet_nodes(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_uint_t  state;

    for (state = 0; state < NGX_CANARY_FLEET_SEEN; state++) {
        ngx_http_canary_sample(m, "", "state",
                               ngx_canary_fleet_seen_name(state), "%uL",
                               now->fleet.sums.seen[state]);
    }
}


void
ngx_http_canary_metrics_fleet_version(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL", now->fleet.sums.version);
}


void
ngx_http_canary_metrics_fleet_rtt(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char  seconds[32];

    ngx_http_canary_metrics_seconds(seconds,
                                    (uint64_t) now->fleet.sums.rtt * 1000);
    ngx_http_canary_sample(m, "", NULL, NULL, "%s", seconds);
}


/* none before the first */

void
ngx_http_canary_metrics_fleet_contact(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    char  seconds[32];

    if (now->fleet.contact) {
        ngx_http_canary_metrics_seconds(seconds, now->fleet.contact * 1000);
        ngx_http_canary_sample(m, "", NULL, NULL, "%s", seconds);
    }
}


void
ngx_http_canary_metrics_fleet_changes(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_uint_t  i;

    static const char *const  results[NGX_CANARY_FLEET_CHANGES] = {
        "ok", "conflict", "refused"
    };

    for (i = 0; i < NGX_CANARY_FLEET_CHANGES; i++) {
        ngx_http_canary_sample(m, "", "result", results[i], "%uL",
                               now->fleet.sums.changes[i]);
    }
}


void
ngx_http_canary_metrics_fleet_reconnects(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    uint64_t  connects;

    connects = now->fleet.sums.connects;

    ngx_http_canary_sample(m, "", NULL, NULL, "%uL",
                           connects ? connects - 1 : 0);
}


void
ngx_http_canary_metrics_fleet_sent(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL", now->fleet.sums.sent);
}


void
ngx_http_canary_metrics_fleet_received(ngx_http_canary_metrics_t *m,
    const ngx_http_canary_measured_t *now)
{
    ngx_http_canary_sample(m, "", NULL, NULL, "%uL",
                           now->fleet.sums.received);
}
