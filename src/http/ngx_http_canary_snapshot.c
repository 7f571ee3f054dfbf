
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


static void ngx_http_canary_view_release(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared, ngx_http_canary_release_t *release,
    ngx_http_canary_release_view_t *view);


void
ngx_http_canary_snapshot(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_snapshot_t *snapshot)
{
    ngx_uint_t                      i;
    ngx_slab_pool_t                *shpool;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_release_t      *releases;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_zone_shared_t  *sh;

    ngx_memzero(snapshot, sizeof(ngx_http_canary_snapshot_t));

    cmcf = endpoint->main;
    sh = cmcf->sh;
    shpool = cmcf->shpool;
    shared = endpoint->shared;

    snapshot->endpoint = endpoint;
    snapshot->nreleases = endpoint->releases.nelts;

    releases = endpoint->releases.elts;

    ngx_shmtx_lock(&shpool->mutex);

    snapshot->now = ngx_http_canary_milliseconds();
    snapshot->heartbeat = sh->heartbeat ? snapshot->now - sh->heartbeat : 0;
    snapshot->record = *ngx_http_canary_record(shared);
    snapshot->durable = ngx_http_canary_durable(sh, shared, snapshot->now);
    ngx_memcpy(snapshot->problem, sh->problem, NGX_HTTP_CANARY_PROBLEM);

    ngx_http_canary_judge(shared, &snapshot->judgement);

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_http_canary_view_release(sh, shared, &releases[i],
                                     &snapshot->releases[i]);
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


static void
ngx_http_canary_view_release(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared, ngx_http_canary_release_t *release,
    ngx_http_canary_release_view_t *view)
{
    uint64_t    *base, *total, *step;
    ngx_uint_t   i;

    view->name = release->name;
    view->upstream = release->upstream_name;
    view->number = release->number;
    view->id = release->id;

    ngx_http_canary_totals(sh, release->totals, &view->totals);

    base = (uint64_t *) &shared->releases[release->id].base;
    total = (uint64_t *) &view->totals;
    step = (uint64_t *) &view->step;

    for (i = 0; i < sizeof(ngx_http_canary_totals_t) / sizeof(uint64_t); i++) {
        step[i] = total[i] - base[i];
    }
}


ngx_uint_t
ngx_http_canary_events(ngx_http_canary_endpoint_t *endpoint, uint64_t after,
    ngx_http_canary_event_t *events)
{
    uint64_t                      number;
    ngx_uint_t                    n;
    ngx_slab_pool_t              *shpool;
    ngx_http_canary_event_t      *event;
    ngx_http_canary_shared_t     *shared;
    ngx_http_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;
    shpool = cmcf->shpool;
    shared = endpoint->shared;
    n = 0;

    ngx_shmtx_lock(&shpool->mutex);

    number = shared->events ? ngx_http_canary_record(shared)->events : 0;

    while (number && n < NGX_HTTP_CANARY_EVENTS) {
        number--;

        event = &shared->events[number % (NGX_HTTP_CANARY_EVENTS + 1)];

        if (event->id <= after) {
            break;
        }

        events[n++] = *event;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return n;
}
