
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_remember.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"
#include "ngx_canary_spare_meters.h"


/*
 * What is remembered is not what is in use.
 *
 * Endpoints and releases that are not configured any more are kept, with what
 * was counted of them, in case they come back.  They are in use while a living
 * process has a configuration that names them, or one that may yet fail does.
 * Else they give way at once to what is configured: their places in the table
 * of an endpoint, and their memory, those first that were named longest ago.
 *
 * Only what is configured makes others give way: what is remembered takes the
 * memory that is left.  So whoever goes through the list of endpoints keeps
 * the one that is configured in his hands, and the ones that are in use.
 *
 * All of this is under the lock, and may be done by any process.  What is
 * taken out of a list or a table is taken out before it is freed: a process
 * that is killed in between loses it, and leaves nothing that points to it.
 */


static ngx_uint_t ngx_canary_forget_figures(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_forget_course(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_forget_keys(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_forget_oldest(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_forget_releases(ngx_canary_zone_t *zone);
static ngx_uint_t ngx_canary_forget_idle(ngx_canary_shared_t *shared);
static void ngx_canary_free_release(ngx_canary_shared_t *shared,
    ngx_uint_t id);


void *
ngx_canary_alloc(ngx_canary_zone_t *zone, size_t size)
{
    void  *p;

    do {
        p = ngx_slab_alloc_locked(zone->pool, size);
    } while (p == NULL && ngx_canary_give_way(zone));

    return p;
}


void *
ngx_canary_alloc_for(ngx_canary_zone_t *zone,
    ngx_uint_t configured, size_t size)
{
    return configured ? ngx_canary_alloc(zone, size)
                      : ngx_slab_alloc_locked(zone->pool, size);
}


/* in the order of what is missed least */

ngx_uint_t
ngx_canary_give_way(ngx_canary_zone_t *zone)
{
    return ngx_canary_free_spare_evidence(zone)
           || ngx_canary_free_spare_meters(zone)
           || ngx_canary_forget_figures(zone)
           || ngx_canary_forget_course(zone)
           || ngx_canary_forget_keys(zone)
           || ngx_canary_forget_oldest(zone)
           || ngx_canary_forget_releases(zone);
}


/* of any endpoint; they are told anew; 0: none has some */

static ngx_uint_t
ngx_canary_forget_figures(ngx_canary_zone_t *zone)
{
    ngx_canary_shared_t   *shared;
    ngx_canary_figures_t  *figures;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        figures = shared->figures;

        if (figures) {
            shared->figures = NULL;
            ngx_slab_free_locked(zone->pool, figures);
            return 1;
        }
    }

    return 0;
}


/* of any endpoint; 0: none has one */

static ngx_uint_t
ngx_canary_forget_course(ngx_canary_zone_t *zone)
{
    canary_course_t      *course;
    ngx_canary_shared_t  *shared;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        course = shared->course;

        if (course) {
            shared->course = NULL;
            ngx_slab_free_locked(zone->pool, course);
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_canary_provide_keys(ngx_canary_shared_t *shared, ngx_uint_t serial)
{
    canary_once_t  *keys;

    shared->keyed = serial;

    if (shared->keys) {
        return NGX_OK;
    }

    keys = ngx_canary_alloc(shared->zone, sizeof(canary_once_t));
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(keys, sizeof(canary_once_t));

    __atomic_store_n(&shared->keys, keys, __ATOMIC_RELEASE);

    return NGX_OK;
}


/* those of endpoints that are configured without, by now */

static ngx_uint_t
ngx_canary_forget_keys(ngx_canary_zone_t *zone)
{
    canary_once_t        *keys;
    ngx_canary_shared_t  *shared;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        keys = shared->keys;

        if (keys && shared->keyed < zone->serial
            && !ngx_canary_serial_alive(zone, 0, shared->keyed))
        {
            __atomic_store_n(&shared->keys, NULL, __ATOMIC_RELEASE);
            ngx_slab_free_locked(zone->pool, keys);
            return 1;
        }
    }

    return 0;
}


/* the control loop may be on its way through those that are active */

static ngx_uint_t
ngx_canary_forget_oldest(ngx_canary_zone_t *zone)
{
    ngx_canary_shared_t  *shared, **next, **oldest;

    oldest = NULL;

    for (next = &zone->endpoints; *next; next = &shared->next) {
        shared = *next;

        if (!ngx_canary_configured(shared)
            && shared->evidence == NULL
            && (oldest == NULL || shared->serial < (*oldest)->serial)
            && !ngx_canary_is_active(shared)
            && !ngx_canary_serial_alive(zone, shared->first,
                                        shared->serial))
        {
            oldest = next;
        }
    }

    if (oldest == NULL) {
        return 0;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "canary: \"%*s\", which is not configured any more, is "
                  "forgotten, since its memory is needed",
                  (*oldest)->len, (*oldest)->name);

    ngx_canary_remove_shared(zone, oldest);

    return 1;
}


/* if it is found in the list: no flag can differ */

ngx_uint_t
ngx_canary_is_active(ngx_canary_shared_t *shared)
{
    ngx_canary_shared_t  *listed;

    for (listed = shared->zone->active; listed; listed = listed->next_active) {
        if (listed == shared) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_canary_forget_releases(ngx_canary_zone_t *zone)
{
    ngx_canary_shared_t  *shared;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        if (ngx_canary_forget_idle(shared)) {
            return 1;
        }
    }

    return 0;
}


/*
 * Releases of one endpoint, but for those that its rollout is about, and the
 * last one: whoever changes the rollout may just have copied that.
 */

static ngx_uint_t
ngx_canary_forget_idle(ngx_canary_shared_t *shared)
{
    ngx_uint_t          id, n;
    canary_rollout_t   *rollout;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    n = 0;
    rollout = &ngx_canary_record(shared)->rollout;

    for (id = 0; id < CANARY_RELEASES; id++) {

        if (shared->releases[id] == NULL
            || rollout->stable == id
            || rollout->canary == id
            || rollout->last_release == id
            || ngx_canary_release_in_use(zone, shared->releases[id]))
        {
            continue;
        }

        ngx_canary_free_release(shared, id);
        n++;
    }

    return n;
}


/*
 * Only the name is kept of a last release that gives its place away, so that
 * it is not taken for the next one there.
 */

void
ngx_canary_forget_release(ngx_canary_shared_t *shared, ngx_uint_t id)
{
    canary_rollout_t             *rollout;
    ngx_canary_release_shared_t  *place;

    place = shared->releases[id];
    rollout = &ngx_canary_record(shared)->rollout;

    ngx_canary_forget_meters(shared, place);

    if (place->past) {
        ngx_memzero(place->past, sizeof(ngx_canary_past_t));
    }

    if (rollout->last_release == id) {
        __atomic_store_n(&rollout->last_release, CANARY_NO_RELEASE,
                         __ATOMIC_RELEASE);
    }

    __atomic_store_n(&place->serial, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&place->len, 0, __ATOMIC_RELEASE);
}


void
ngx_canary_remove_shared(ngx_canary_zone_t *zone, ngx_canary_shared_t **place)
{
    ngx_uint_t            i;
    ngx_canary_shared_t  *shared, **next;

    shared = *place;

    zone->removed++;

    __atomic_store_n(place, shared->next, __ATOMIC_RELEASE);

    for (next = &zone->active; *next; next = &(*next)->next_active) {
        if (*next == shared) {
            __atomic_store_n(next, shared->next_active, __ATOMIC_RELEASE);
            break;
        }
    }

    for (i = 0; i < CANARY_RELEASES; i++) {
        if (shared->releases[i]) {
            ngx_canary_free_release(shared, i);
        }
    }

    ngx_canary_put_spare(shared);

    if (shared->keys) {
        ngx_slab_free_locked(zone->pool, shared->keys);
    }

    if (shared->history) {
        ngx_slab_free_locked(zone->pool, shared->history);
    }

    if (shared->failures) {
        ngx_slab_free_locked(zone->pool, shared->failures);
    }

    if (shared->course) {
        ngx_slab_free_locked(zone->pool, shared->course);
    }

    if (shared->figures) {
        ngx_slab_free_locked(zone->pool, shared->figures);
    }

    ngx_slab_free_locked(zone->pool, shared->phases);
    ngx_slab_free_locked(zone->pool, shared);
}


static void
ngx_canary_free_release(ngx_canary_shared_t *shared, ngx_uint_t id)
{
    ngx_canary_zone_t            *zone;
    ngx_canary_release_shared_t  *place;

    zone = shared->zone;
    place = shared->releases[id];

    ngx_canary_forget_meters(shared, place);

    __atomic_store_n(&shared->releases[id], NULL, __ATOMIC_RELEASE);

    if (place->past) {
        ngx_slab_free_locked(zone->pool, place->past);
    }

    ngx_slab_free_locked(zone->pool, place);
}
