
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_gather.h"

#include "canary_event.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/*
 * The oldest events of all endpoints after some id, in the order of ids.
 *
 * The lock is taken for one endpoint at a time.  So that none is left out
 * that comes up meanwhile, only those are taken that are not above the last
 * id there was before, nor above that of a change that waits to be written:
 * it has its id already, and may still come to nothing.
 */


static uint64_t ngx_canary_settled(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_gather_endpoint(ngx_canary_batch_t *batch,
    ngx_canary_endpoint_t *endpoint, uint64_t after);
static ngx_uint_t ngx_canary_gather_event(ngx_canary_batch_t *batch,
    ngx_canary_endpoint_t *endpoint, const canary_event_t *event);


void
ngx_canary_gather(ngx_canary_main_conf_t *cmcf, uint64_t after,
    ngx_canary_batch_t *batch)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    batch->n = 0;
    batch->upto = ngx_canary_settled(cmcf);

    if (batch->upto <= after) {
        batch->upto = after;
        return;
    }

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        ngx_canary_gather_endpoint(batch, endpoints[i], after);
    }
}


/* no event will come up any more with an id up to this one */

static uint64_t
ngx_canary_settled(ngx_canary_main_conf_t *cmcf)
{
    uint64_t                 settled;
    ngx_uint_t               i;
    ngx_canary_shared_t     *shared;
    ngx_canary_endpoint_t  **endpoints;

    settled = __atomic_load_n(&cmcf->zone->last_event, __ATOMIC_ACQUIRE);
    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        shared = endpoints[i]->shared;

        ngx_canary_lock(cmcf->zone);

        if (shared->pending.sequence
            && shared->history->pending.event.id <= settled)
        {
            settled = shared->history->pending.event.id - 1;
        }

        ngx_canary_unlock(cmcf->zone);
    }

    return settled;
}


static void
ngx_canary_gather_endpoint(ngx_canary_batch_t *batch,
    ngx_canary_endpoint_t *endpoint, uint64_t after)
{
    uint64_t              number, first, oldest;
    ngx_canary_shared_t  *shared;

    shared = endpoint->shared;

    ngx_canary_lock(endpoint->main->zone);

    number = shared->history ? ngx_canary_record(shared)->events : 0;
    oldest = (number > CANARY_EVENTS) ? number - CANARY_EVENTS : 0;

    for (first = number; first > oldest; first--) {
        if (ngx_canary_event_at(shared, first - 1)->id <= after) {
            break;
        }
    }

    while (first < number) {
        if (!ngx_canary_gather_event(batch, endpoint,
                                     ngx_canary_event_at(shared, first++)))
        {
            break;
        }
    }

    ngx_canary_unlock(endpoint->main->zone);
}


/*
 * By insertion.  In a full batch the last one gives way, and waits for the
 * next batch.  Returns 0 if neither this event nor later ones belong there.
 */

static ngx_uint_t
ngx_canary_gather_event(ngx_canary_batch_t *batch,
    ngx_canary_endpoint_t *endpoint, const canary_event_t *event)
{
    ngx_uint_t           i;
    ngx_canary_found_t  *found;

    if (event->id > batch->upto) {
        return 0;
    }

    if (batch->n < NGX_CANARY_BATCH) {
        found = &batch->found[batch->n++];

    } else {
        found = batch->order[batch->n - 1];
    }

    for (i = batch->n - 1; i; i--) {

        if (batch->order[i - 1]->event.id < event->id) {
            break;
        }

        batch->order[i] = batch->order[i - 1];
    }

    batch->order[i] = found;

    found->endpoint = endpoint;
    found->event = *event;

    if (batch->n == NGX_CANARY_BATCH) {
        batch->upto = batch->order[batch->n - 1]->event.id;
    }

    return 1;
}
