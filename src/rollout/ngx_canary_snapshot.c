
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_snapshot.h"

#include "canary_event.h"
#include "canary_fresh.h"
#include "canary_histogram.h"
#include "canary_rollout.h"
#include "canary_verdict.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_pending.h"


static void ngx_canary_view_release(ngx_canary_shared_t *shared,
    ngx_canary_release_t *release, uint64_t now,
    ngx_canary_release_view_t *view);
static void ngx_canary_view_quantiles(const uint32_t *counts,
    ngx_canary_release_view_t *view);


void
ngx_canary_snapshot(ngx_canary_endpoint_t *endpoint,
    ngx_canary_snapshot_t *snapshot)
{
    ngx_uint_t               i;
    ngx_canary_zone_t       *zone;
    ngx_canary_shared_t     *shared;
    ngx_canary_release_t    *releases;
    ngx_canary_main_conf_t  *cmcf;

    ngx_memzero(snapshot, sizeof(ngx_canary_snapshot_t));

    cmcf = endpoint->main;
    zone = cmcf->zone;
    shared = endpoint->shared;

    snapshot->endpoint = endpoint;
    snapshot->nreleases = endpoint->releases.nelts;

    releases = endpoint->releases.elts;

    ngx_canary_lock(zone);

    snapshot->now = ngx_canary_milliseconds();

    if (!zone->superseded) {
        ngx_canary_mend(shared, snapshot->now);
    }

    snapshot->heartbeat = zone->heartbeat ? snapshot->now - zone->heartbeat
                                          : 0;
    snapshot->record = *ngx_canary_record(shared);
    snapshot->durable = ngx_canary_durable(shared, snapshot->now);
    ngx_memcpy(snapshot->problem, zone->problem, NGX_CANARY_PROBLEM);

    ngx_canary_judge(shared, snapshot->now, CANARY_DETAIL_ALL,
                     &snapshot->judgement);

    if (snapshot->problem[0] == '\0' && zone->fleet && shared->history) {
        ngx_memcpy(snapshot->problem, shared->history->waits,
                   CANARY_REASON_SIZE);
    }

    if (snapshot->problem[0] == '\0') {
        ngx_memcpy(snapshot->problem, snapshot->judgement.waits,
                   CANARY_REASON_SIZE);
    }

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_canary_view_release(shared, &releases[i], snapshot->now,
                                &snapshot->releases[i]);
    }

    ngx_canary_unlock(zone);
}


void
ngx_canary_health(ngx_canary_main_conf_t *cmcf, ngx_canary_health_t *health)
{
    uint64_t            now;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    now = ngx_canary_milliseconds();

    health->heartbeat = now - zone->heartbeat;
    health->durable = ngx_canary_all_durable(zone, now);
    health->configuration = ngx_canary_configuration(zone, cmcf->serial);
    health->loaded = cmcf->loaded;

    ngx_canary_unlock(zone);
}


void
ngx_canary_copy_rollout(ngx_canary_endpoint_t *endpoint,
    canary_rollout_t *rollout)
{


    ngx_canary_lock(endpoint->main->zone);

    *rollout = ngx_canary_record(endpoint->shared)->rollout;

    ngx_canary_unlock(endpoint->main->zone);
}


void
ngx_canary_copy_problem(ngx_canary_main_conf_t *cmcf, u_char *problem)
{
    ngx_canary_lock(cmcf->zone);

    ngx_memcpy(problem, cmcf->zone->problem, NGX_CANARY_PROBLEM);

    ngx_canary_unlock(cmcf->zone);
}


static void
ngx_canary_view_release(ngx_canary_shared_t *shared,
    ngx_canary_release_t *release, uint64_t now,
    ngx_canary_release_view_t *view)
{
    ngx_canary_meter_t            sum;
    ngx_canary_release_shared_t  *place;

    view->name = release->name;
    view->upstream = release->upstream_name;
    view->number = release->number;
    view->id = release->id;

    place = shared->releases[release->id];

    ngx_canary_sum_meters(shared, place, &sum);

    view->totals = sum.totals;
    view->fresh = canary_fresh(&place->fresh, sum.totals.timed, now);

    if (place->past) {
        ngx_canary_add_totals(&view->totals, &place->past->totals);
    }

    ngx_canary_subtract_base(place, &sum);

    view->step = sum.totals;

    if (view->step.timed) {
        ngx_canary_view_quantiles(sum.histogram, view);
    }
}


/* each is told as the middle of its bucket, which is 1.6 % off at most */

static void
ngx_canary_view_quantiles(const uint32_t *counts,
    ngx_canary_release_view_t *view)
{
    uint32_t            bucket;
    ngx_uint_t          i;
    canary_histogram_t  histogram;

    static const uint32_t  quantiles[NGX_CANARY_QUANTILES] = {
        500000000, 900000000, 950000000, 990000000
    };

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        histogram.counts[i] = counts[i];
    }

    view->measured = canary_histogram_total(&histogram);

    if (view->measured == 0) {
        return;
    }

    for (i = 0; i < NGX_CANARY_QUANTILES; i++) {
        bucket = canary_histogram_quantile(&histogram, quantiles[i]);

        view->quantiles[i] = canary_histogram_middle(bucket);
    }
}


/* the ring has one place more, for what comes next */

ngx_int_t
ngx_canary_event_before(ngx_canary_endpoint_t *endpoint,
    uint64_t after, uint64_t *number, canary_event_t *event)
{
    uint64_t              newest;
    ngx_int_t             rc;
    canary_event_t       *found;
    ngx_canary_shared_t  *shared;

    shared = endpoint->shared;
    rc = NGX_DECLINED;

    ngx_canary_lock(endpoint->main->zone);

    newest = shared->history ? ngx_canary_record(shared)->events : 0;
    *number = ngx_min(*number, newest);

    if (*number && newest - *number < CANARY_EVENTS) {
        (*number)--;

        found = ngx_canary_event_at(shared, *number);

        if (found->id > after) {
            *event = *found;
            rc = NGX_OK;
        }
    }

    ngx_canary_unlock(endpoint->main->zone);

    return rc;
}
