
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_registry.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_evidence_places.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_split.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"


/*
 * Endpoints and releases in the zone.
 *
 * Workers of two configurations live beside each other during a reload, and
 * positions of releases in a configuration mean different releases to them.
 * So the zone has tables of names; a release's place in the table of its
 * endpoint is its id, which is what routing words carry.  A place is used
 * again only when no live process has a configuration with the old name.
 *
 * Each configuration has a serial number.  Registering is done while it may
 * still fail, and therefore only marks what is wanted, and takes nothing but
 * what is not in use, see ngx_canary_remember.c; reconciling is done when
 * it is certain, see ngx_canary_reconcile.c.
 */


static size_t ngx_canary_shared_size(ngx_str_t *name);
static size_t ngx_canary_slab_size(size_t size);
static size_t ngx_canary_rollout_size(ngx_uint_t nslots, ngx_uint_t workers);
static ngx_int_t ngx_canary_add_phases(ngx_canary_shared_t *shared);
static void ngx_canary_unwant(ngx_canary_shared_t *shared, ngx_uint_t serial);
static ngx_int_t ngx_canary_register_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_endpoint_t *endpoint, ngx_log_t *log);
static ngx_uint_t ngx_canary_add_place(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_str_t *name);
static ngx_uint_t ngx_canary_take_place(ngx_canary_shared_t *shared,
    ngx_uint_t id, ngx_uint_t configured, ngx_str_t *name);
static ngx_uint_t ngx_canary_find_place(
    ngx_canary_shared_t *shared, ngx_str_t *name);
static ngx_uint_t ngx_canary_free_place(ngx_canary_shared_t *shared);
static ngx_uint_t ngx_canary_oldest_place(
    ngx_canary_shared_t *shared, const canary_rollout_t *rollout);
static ngx_uint_t ngx_canary_no_place(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_str_t *name);


static size_t
ngx_canary_shared_size(ngx_str_t *name)
{
    return sizeof(ngx_canary_shared_t) + name->len;
}


/* what the slab allocator makes of a size */

static size_t
ngx_canary_slab_size(size_t size)
{
    size_t  rounded;

    if (size > ngx_pagesize / 2) {
        return ngx_align(size, ngx_pagesize);
    }

    for (rounded = 8; rounded < size; rounded *= 2) { /* void */ }

    return rounded;
}


/* All releases, a meter for each endpoint, and one rollout with three more. */

size_t
ngx_canary_zone_needed(ngx_canary_main_conf_t *cmcf, ngx_uint_t nslots)
{
    size_t                   size, release, phases;
    ngx_uint_t               i, nphases;
    ngx_canary_endpoint_t  **endpoints;

    nphases = nslots / 2;

    phases = ngx_canary_slab_size(nphases * NGX_CANARY_LINE);

    release = ngx_canary_slab_size(
                  sizeof(ngx_canary_release_shared_t)
                  + nphases * sizeof(ngx_canary_meter_t *));

    size = 8 * ngx_pagesize
           + ngx_canary_slab_size(sizeof(ngx_canary_zone_t))
           + nslots * ngx_canary_slab_size(sizeof(ngx_canary_process_t))
           + ngx_canary_rollout_size(nslots, 1)
           + 4 * ngx_pagesize;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        size += ngx_canary_slab_size(
                    ngx_canary_shared_size(&endpoints[i]->name))
                + phases
                + release * endpoints[i]->releases.nelts
                + sizeof(ngx_canary_meter_t);

        if (endpoints[i]->once) {
            size += ngx_canary_slab_size(sizeof(canary_once_t));
        }
    }

    /* and has a table of the pages itself */

    size += size / ngx_pagesize * sizeof(ngx_slab_page_t);

    return ngx_align(size, 65536);
}


/* of one that so many workers take part in, without meters */

static size_t
ngx_canary_rollout_size(ngx_uint_t nslots, ngx_uint_t workers)
{
    return ngx_canary_slab_size(canary_evidence_size((uint32_t) nslots))
           + ngx_canary_slab_size(NGX_CANARY_BOOKS)
           + workers * ngx_canary_slab_size(sizeof(canary_slot_t))
           + ngx_canary_slab_size(sizeof(ngx_canary_history_t));
}


/*
 * The same, with all endpoints in rollouts at once, all of their releases used
 * by so many workers, and failures and the course of each kept.
 */

size_t
ngx_canary_zone_wanted(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t nslots, ngx_uint_t workers)
{
    size_t                   size, rollout, meters;
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    size = ngx_canary_zone_needed(cmcf, nslots);

    rollout = ngx_canary_rollout_size(nslots, workers)
              + ngx_canary_slab_size(sizeof(ngx_canary_failures_t))
              + ngx_canary_slab_size(sizeof(canary_course_t));

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        meters = endpoints[i]->releases.nelts * (workers + 1);
        size += rollout + meters * sizeof(ngx_canary_meter_t);
    }

    size += size / ngx_pagesize * sizeof(ngx_slab_page_t);

    return ngx_align(size, 65536);
}


size_t
ngx_canary_zone_kept(ngx_canary_main_conf_t *cmcf)
{
    size_t                   size, rollout;
    ngx_uint_t               i, running;
    ngx_canary_shared_t     *shared;
    ngx_canary_endpoint_t  **endpoints;

    size = ngx_canary_zone_needed(cmcf, cmcf->zone->nslots);
    rollout = ngx_canary_rollout_size(cmcf->zone->nslots, 1)
              + 4 * sizeof(ngx_canary_meter_t);
    running = 0;

    endpoints = cmcf->endpoints.elts;

    ngx_canary_lock(cmcf->old);

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        shared = ngx_canary_find_shared(cmcf->old, &endpoints[i]->name);

        if (shared == NULL) {
            continue;
        }

        if (ngx_canary_record(shared)->rollout.phase != CANARY_IDLE) {
            size += running++ ? rollout : 0;

        } else if (shared->history) {
            size += ngx_canary_slab_size(sizeof(ngx_canary_history_t));
        }
    }

    ngx_canary_unlock(cmcf->old);

    return size;
}


ngx_int_t
ngx_canary_register(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    rc = NGX_OK;

    ngx_canary_lock(cmcf->zone);

    cmcf->serial = cmcf->zone->serial + 1;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        rc = ngx_canary_register_endpoint(cmcf, endpoints[i], log);
        if (rc != NGX_OK) {
            break;
        }
    }

    ngx_canary_unlock(cmcf->zone);

    return rc;
}


void
ngx_canary_unregister(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared, **next;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    for (next = &zone->endpoints; *next; /* void */ ) {
        shared = *next;

        ngx_canary_unwant(shared, cmcf->serial);

        if (shared->serial == 0) {
            ngx_canary_remove_shared(zone, next);

        } else {
            next = &shared->next;
        }
    }

    ngx_canary_unlock(zone);
}


static void
ngx_canary_unwant(ngx_canary_shared_t *shared, ngx_uint_t serial)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    if (shared->wanted == serial) {
        shared->wanted = 0;
    }

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place && place->wanted == serial) {
            place->wanted = 0;

            if (place->serial == 0) {
                place->len = 0;
            }
        }
    }
}


static ngx_int_t
ngx_canary_register_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_endpoint_t *endpoint, ngx_log_t *log)
{
    ngx_uint_t             i, place;
    ngx_canary_shared_t   *shared;
    ngx_canary_release_t  *releases;

    shared = ngx_canary_find_shared(cmcf->zone, &endpoint->name);

    if (shared == NULL) {
        shared = ngx_canary_create_shared(cmcf->zone, &endpoint->name, 0,
                                          cmcf->serial);
        if (shared == NULL) {
            return NGX_ERROR;
        }
    }

    shared->wanted = cmcf->serial;
    endpoint->shared = shared;

    if (endpoint->once
        && ngx_canary_provide_keys(shared, cmcf->serial) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memset(endpoint->by_id, 0xff, sizeof(endpoint->by_id));

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {

        place = ngx_canary_add_place(cmcf, shared, &releases[i].name);

        if (place == CANARY_NO_RELEASE) {

            if (!ngx_canary_no_place(cmcf, shared, &releases[i].name)) {
                return NGX_ERROR;
            }

            ngx_log_error(NGX_LOG_EMERG, log, 0,
                          "no place for release \"%V\" of \"%V\": workers of "
                          "earlier configurations still use %d other "
                          "releases, reload when they have ended, in %s:%ui",
                          &releases[i].name, &endpoint->name, CANARY_RELEASES,
                          releases[i].file, releases[i].line);
            return NGX_DECLINED;
        }

        releases[i].id = (uint32_t) place;
        endpoint->by_id[place] = (u_char) i;
    }

    return NGX_OK;
}


ngx_canary_endpoint_t *
ngx_canary_endpoint_of(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        if (endpoints[i]->shared == shared) {
            return endpoints[i];
        }
    }

    return NULL;
}


ngx_canary_shared_t *
ngx_canary_find_shared(ngx_canary_zone_t *zone, ngx_str_t *name)
{
    ngx_canary_shared_t  *shared;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        if (shared->len == name->len
            && ngx_memcmp(shared->name, name->data, name->len) == 0)
        {
            return shared;
        }
    }

    return NULL;
}


ngx_canary_shared_t *
ngx_canary_create_shared(ngx_canary_zone_t *zone,
    ngx_str_t *name, ngx_uint_t serial, ngx_uint_t wanted)
{
    size_t                size;
    ngx_time_t           *tp;
    ngx_canary_shared_t  *shared;

    size = ngx_canary_shared_size(name);

    shared = ngx_canary_alloc_for(zone, wanted, size);
    if (shared == NULL) {
        return NULL;
    }

    ngx_memzero(shared, size);

    shared->zone = zone;
    shared->first = serial;
    shared->serial = serial;
    shared->wanted = wanted;

    /* half of the slots are for the workers of an older configuration */

    if (ngx_canary_add_phases(shared) != NGX_OK) {
        ngx_slab_free_locked(zone->pool, shared);
        return NULL;
    }

    shared->len = name->len;
    ngx_memcpy(shared->name, name->data, name->len);

    tp = ngx_timeofday();
    ngx_canary_record(shared)->created = (uint64_t) tp->sec * 1000
                                         + tp->msec;

    /* the control loop may be on its way through the list */

    shared->next = zone->endpoints;

    __atomic_store_n(&zone->endpoints, shared, __ATOMIC_RELEASE);

    return shared;
}


static ngx_int_t
ngx_canary_add_phases(ngx_canary_shared_t *shared)
{
    uint32_t           *phase;
    ngx_uint_t          i;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    shared->nphases = zone->nslots / 2;

    shared->phases = ngx_canary_alloc_for(zone, shared->wanted,
                                       shared->nphases * NGX_CANARY_LINE);
    if (shared->phases == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < shared->nphases; i++) {
        phase = shared->phases
                + i * (NGX_CANARY_LINE / sizeof(uint32_t));
        *phase = canary_split_first_phase((uint32_t) i);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_canary_add_place(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_str_t *name)
{
    ngx_uint_t  id;

    id = ngx_canary_find_place(shared, name);

    if (id == CANARY_NO_RELEASE) {
        id = ngx_canary_oldest_place(shared, NULL);
        id = ngx_canary_take_place(shared, id, 1, name);
    }

    if (id != CANARY_NO_RELEASE) {
        shared->releases[id]->wanted = cmcf->serial;
    }

    return id;
}


ngx_uint_t
ngx_canary_remember_place(ngx_canary_shared_t *shared,
    ngx_str_t *name, ngx_uint_t serial, const canary_rollout_t *rollout)
{
    ngx_uint_t                    id, configured;
    ngx_canary_release_shared_t  *place;

    id = ngx_canary_find_place(shared, name);

    if (id != CANARY_NO_RELEASE) {
        return id;
    }

    id = rollout ? ngx_canary_oldest_place(shared, rollout)
                 : ngx_canary_free_place(shared);

    configured = (rollout && ngx_canary_configured(shared));

    id = ngx_canary_take_place(shared, id, configured, name);

    if (id != CANARY_NO_RELEASE) {
        place = shared->releases[id];
        place->first = serial;
        place->serial = serial;
    }

    return id;
}


/* the name last: before that the place is free */

static ngx_uint_t
ngx_canary_take_place(ngx_canary_shared_t *shared, ngx_uint_t id,
    ngx_uint_t configured, ngx_str_t *name)
{
    size_t                        size;
    ngx_canary_release_shared_t  *place;

    if (id == CANARY_NO_RELEASE) {
        return CANARY_NO_RELEASE;
    }

    place = shared->releases[id];

    if (place == NULL) {
        size = sizeof(ngx_canary_release_shared_t)
               + shared->nphases * sizeof(ngx_canary_meter_t *);

        place = ngx_canary_alloc_for(shared->zone, configured, size);
        if (place == NULL) {
            return CANARY_NO_RELEASE;
        }

        ngx_memzero(place, size);

        shared->releases[id] = place;
    }

    ngx_memzero(&place->seen, sizeof(canary_totals_t));
    ngx_memcpy(place->name, name->data, name->len);

    __atomic_store_n(&place->len, name->len, __ATOMIC_RELEASE);

    return id;
}


static ngx_uint_t
ngx_canary_find_place(ngx_canary_shared_t *shared, ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place && place->len == name->len
            && ngx_memcmp(place->name, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return CANARY_NO_RELEASE;
}


static ngx_uint_t
ngx_canary_free_place(ngx_canary_shared_t *shared)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place == NULL || place->len == 0) {
            return i;
        }
    }

    return CANARY_NO_RELEASE;
}


/*
 * A free place, or else that of the release that was named longest ago, and
 * which nobody can refer to any more; that of the last release at last.
 */

static ngx_uint_t
ngx_canary_oldest_place(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout)
{
    ngx_uint_t                    i, id;
    canary_rollout_t             *present;
    ngx_canary_release_shared_t  *place;

    id = ngx_canary_free_place(shared);

    if (id != CANARY_NO_RELEASE) {
        return id;
    }

    present = &ngx_canary_record(shared)->rollout;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (present->stable == i || present->canary == i
            || (rollout && (rollout->stable == i || rollout->canary == i))
            || ngx_canary_release_in_use(shared->zone, place))
        {
            continue;
        }

        if (id == CANARY_NO_RELEASE || id == present->last_release
            || (i != present->last_release
                && place->serial < shared->releases[id]->serial))
        {
            id = i;
        }
    }

    if (id != CANARY_NO_RELEASE) {
        ngx_canary_forget_release(shared, id);
    }

    return id;
}


/* why there is no place for a name: no free one, or no memory */

static ngx_uint_t
ngx_canary_no_place(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_str_t *name)
{
    return ngx_canary_find_place(shared, name) == CANARY_NO_RELEASE
           && ngx_canary_oldest_place(shared, NULL)
              == CANARY_NO_RELEASE;
}
