
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


static void ngx_http_canary_view_release(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_t *release, ngx_http_canary_release_view_t *view);
static void ngx_http_canary_view_quantiles(const uint32_t *counts,
    ngx_http_canary_release_view_t *view);


void
ngx_http_canary_snapshot(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_snapshot_t *snapshot)
{
    ngx_uint_t                      i;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_release_t      *releases;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_zone_shared_t  *sh;

    ngx_memzero(snapshot, sizeof(ngx_http_canary_snapshot_t));

    cmcf = endpoint->main;
    sh = cmcf->sh;
    shared = endpoint->shared;

    snapshot->endpoint = endpoint;
    snapshot->nreleases = endpoint->releases.nelts;

    releases = endpoint->releases.elts;

    ngx_http_canary_lock(sh);

    snapshot->now = ngx_http_canary_milliseconds();

    if (!sh->superseded) {
        ngx_http_canary_mend(shared, snapshot->now);
    }

    snapshot->heartbeat = sh->heartbeat ? snapshot->now - sh->heartbeat : 0;
    snapshot->record = *ngx_http_canary_record(shared);
    snapshot->durable = ngx_http_canary_durable(shared, snapshot->now);
    ngx_memcpy(snapshot->problem, sh->problem, NGX_HTTP_CANARY_PROBLEM);

    ngx_http_canary_judge(shared, snapshot->now, CANARY_DETAIL_ALL,
                          &snapshot->judgement);

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_http_canary_view_release(shared, &releases[i],
                                     &snapshot->releases[i]);
    }

    ngx_http_canary_unlock(sh);
}


void
ngx_http_canary_copy_rollout(ngx_http_canary_endpoint_t *endpoint,
    canary_rollout_t *rollout)
{


    ngx_http_canary_lock(endpoint->main->sh);

    *rollout = ngx_http_canary_record(endpoint->shared)->rollout;

    ngx_http_canary_unlock(endpoint->main->sh);
}


void
ngx_http_canary_copy_problem(ngx_http_canary_main_conf_t *cmcf,
    u_char *problem)
{
    ngx_http_canary_lock(cmcf->sh);

    ngx_memcpy(problem, cmcf->sh->problem, NGX_HTTP_CANARY_PROBLEM);

    ngx_http_canary_unlock(cmcf->sh);
}


static void
ngx_http_canary_view_release(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_t *release, ngx_http_canary_release_view_t *view)
{
    ngx_http_canary_meter_t            sum;
    ngx_http_canary_release_shared_t  *place;

    view->name = release->name;
    view->upstream = release->upstream_name;
    view->number = release->number;
    view->id = release->id;

    place = shared->releases[release->id];

    ngx_http_canary_sum_meters(shared, place, &sum);

    view->totals = sum.totals;

    if (place->past) {
        ngx_http_canary_add_totals(&view->totals, &place->past->totals);
    }

    ngx_http_canary_subtract_base(place, &sum);

    view->step = sum.totals;

    if (view->step.timed) {
        ngx_http_canary_view_quantiles(sum.histogram, view);
    }
}


/* each is told as the middle of its bucket, which is 1.6 % off at most */

static void
ngx_http_canary_view_quantiles(const uint32_t *counts,
    ngx_http_canary_release_view_t *view)
{
    uint32_t            bucket;
    ngx_uint_t          i;
    canary_histogram_t  histogram;

    static const uint32_t  quantiles[NGX_HTTP_CANARY_QUANTILES] = {
        500000000, 900000000, 950000000, 990000000
    };

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        histogram.counts[i] = counts[i];
    }

    view->measured = canary_histogram_total(&histogram);

    if (view->measured == 0) {
        return;
    }

    for (i = 0; i < NGX_HTTP_CANARY_QUANTILES; i++) {
        bucket = canary_histogram_quantile(&histogram, quantiles[i]);

        view->quantiles[i] = (canary_histogram_low(bucket)
                              + canary_histogram_high(bucket) + 1) / 2;
    }
}


/* the ring has one place more, for what comes next */

ngx_int_t
ngx_http_canary_event_before(ngx_http_canary_endpoint_t *endpoint,
    uint64_t after, uint64_t *number, canary_event_t *event)
{
    uint64_t                   newest;
    ngx_int_t                  rc;
    canary_event_t            *found;
    ngx_http_canary_shared_t  *shared;

    shared = endpoint->shared;
    rc = NGX_DECLINED;

    ngx_http_canary_lock(endpoint->main->sh);

    newest = shared->events ? ngx_http_canary_record(shared)->events : 0;
    *number = ngx_min(*number, newest);

    if (*number && newest - *number < CANARY_EVENTS) {
        (*number)--;

        found = &shared->events[*number % (CANARY_EVENTS + 1)];

        if (found->id > after) {
            *event = *found;
            rc = NGX_OK;
        }
    }

    ngx_http_canary_unlock(endpoint->main->sh);

    return rc;
}
