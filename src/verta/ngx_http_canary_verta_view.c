
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_canary_verta_view.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


static void ngx_http_canary_verta_look_back(
    ngx_http_canary_verta_view_t *view, ngx_canary_shared_t *shared);
static uint64_t ngx_http_canary_verta_ago(uint64_t time);


void
ngx_http_canary_verta_look(ngx_canary_endpoint_t *endpoint,
    ngx_http_canary_verta_view_t *view)
{
    ngx_canary_record_t     *record;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;
    record = &view->record;

    ngx_canary_lock(cmcf->zone);

    *record = *ngx_canary_record(endpoint->shared);

    view->ended = record->ended;
    view->updated = record->created;
    view->direct = 0;
    ngx_memcpy(view->reason, record->last_reason, CANARY_REASON_SIZE);

    ngx_http_canary_verta_look_back(view, endpoint->shared);

    ngx_canary_unlock(cmcf->zone);

    view->ago = ngx_http_canary_verta_ago(view->ended);
    view->settled = (record->settled == record->rollout.generation);
}


/* through the events, to the beginning of the last update */

static void
ngx_http_canary_verta_look_back(ngx_http_canary_verta_view_t *view,
    ngx_canary_shared_t *shared)
{
    uint64_t         number, oldest;
    ngx_uint_t       halted;
    canary_event_t  *event;

    if (shared->history == NULL || view->record.events == 0) {
        return;
    }

    number = view->record.events;
    oldest = (number > CANARY_EVENTS)
             ? number - CANARY_EVENTS : 0;

    event = ngx_canary_event_at(shared, number - 1);
    view->updated = ngx_max(view->updated, event->time);

    halted = (view->record.rollout.phase == CANARY_HALTED);

    while (number-- > oldest) {
        event = ngx_canary_event_at(shared, number);

        if (halted && event->verb == CANARY_VIOLATION) {
            halted = 0;
            view->ended = event->time;
            ngx_memcpy(view->reason, event->reason, CANARY_REASON_SIZE);
        }

        if (event->verb == CANARY_START || event->verb == CANARY_DIRECT) {
            view->direct = (event->verb == CANARY_DIRECT);
            return;
        }
    }
}


/* clocks are set back, too */

static uint64_t
ngx_http_canary_verta_ago(uint64_t time)
{
    uint64_t        now;
    struct timeval  tv;

    ngx_gettimeofday(&tv);

    now = (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;

    return (now > time) ? now - time : 0;
}
