
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_memory.h"

#include "canary_evidence_layout.h"
#include "canary_evidence_places.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"

#include "ngx_canary_generation.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"
#include "ngx_canary_spare_meters.h"


/*
 * Memory of the zone for rollouts, under the lock.  Each has the history of
 * its endpoint, meters, and evidence: what workers count in, which is not
 * freed when it has ended, since they may still do so, and the books.
 * One that has its memory has all of it, or is refused and takes nothing from
 * those that fit; but workers share the first slot where there is no room for
 * theirs.  Others give way to one that is configured.
 */


static ngx_int_t ngx_canary_add_meters(ngx_canary_shared_t *shared,
    ngx_canary_meter_t ***missing, ngx_uint_t n);
static ngx_int_t ngx_canary_add_evidence(ngx_canary_shared_t *shared);
static canary_evidence_t *ngx_canary_take_evidence(ngx_canary_zone_t *zone,
    ngx_uint_t configured);
static canary_evidence_t *ngx_canary_new_evidence(ngx_canary_zone_t *zone,
    ngx_uint_t configured);
static void ngx_canary_enlist(ngx_canary_shared_t *shared);
static void ngx_canary_free_history(ngx_canary_shared_t *shared);


ngx_int_t
ngx_canary_provide(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout)
{
    ngx_uint_t            i, n, known;
    ngx_canary_meter_t  **missing[NGX_CANARY_ROLLOUT_METERS];

    ngx_canary_enlist(shared);

    n = ngx_canary_missing_meters(shared, rollout, missing);
    known = (shared->history != NULL);

    if (ngx_canary_add_meters(shared, missing, n) == NGX_OK
        && ngx_canary_provide_history(shared) == NGX_OK
        && ngx_canary_add_evidence(shared) == NGX_OK)
    {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        ngx_canary_put_meter(shared->zone, missing[i]);
    }

    if (!known) {
        ngx_canary_free_history(shared);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_canary_add_meters(ngx_canary_shared_t *shared,
    ngx_canary_meter_t ***missing, ngx_uint_t n)
{
    ngx_uint_t  i, configured;

    configured = ngx_canary_configured(shared);

    for (i = 0; i < n; i++) {
        while (ngx_canary_add_meter(shared->zone, missing[i]) != NGX_OK) {
            if (!configured || !ngx_canary_give_way(shared->zone)) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/*
 * Without memory for its history an endpoint can still be changed towards
 * stable: the event is in the log.  Of events nothing is touched, since only
 * what was written will be read.
 */

ngx_int_t
ngx_canary_provide_history(ngx_canary_shared_t *shared)
{
    ngx_canary_history_t  *history;

    if (shared->history) {
        return NGX_OK;
    }

    history = ngx_canary_alloc_for(shared->zone, ngx_canary_configured(shared),
                                   sizeof(ngx_canary_history_t));
    if (history == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(history, offsetof(ngx_canary_history_t, events));

    __atomic_store_n(&shared->history, history, __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_canary_free_history(ngx_canary_shared_t *shared)
{
    ngx_canary_history_t  *history;

    history = shared->history;

    if (history) {
        __atomic_store_n(&shared->history, NULL, __ATOMIC_RELEASE);

        ngx_slab_free_locked(shared->zone->pool, history);
    }
}


static ngx_int_t
ngx_canary_add_evidence(ngx_canary_shared_t *shared)
{
    ngx_uint_t          configured;
    canary_books_t     *books;
    canary_evidence_t  *evidence;
    ngx_canary_zone_t  *zone;

    if (shared->evidence) {
        return NGX_OK;
    }

    zone = shared->zone;
    configured = ngx_canary_configured(shared);

    evidence = ngx_canary_take_evidence(zone, configured);
    if (evidence == NULL) {
        return NGX_ERROR;
    }

    books = evidence->books;

    if (books == NULL) {
        books = ngx_canary_alloc_for(zone, configured, NGX_CANARY_BOOKS);
    }

    ngx_canary_add_slots(zone, configured, evidence, ngx_max(zone->nused, 1));

    if (books == NULL || evidence->nused == 0) {
        evidence->books = books;
        ngx_canary_list_spare(zone, evidence);
        return NGX_ERROR;
    }

    canary_evidence_set_books(evidence, books);

    __atomic_store_n(&shared->evidence, evidence, __ATOMIC_RELEASE);

    return NGX_OK;
}


/* one that has rested, or a new one, or else one that has not rested */

static canary_evidence_t *
ngx_canary_take_evidence(ngx_canary_zone_t *zone, ngx_uint_t configured)
{
    uint64_t            now;
    canary_evidence_t  *evidence;

    now = ngx_canary_milliseconds();

    evidence = ngx_canary_take_spare(zone, now - NGX_CANARY_QUARANTINE);

    if (evidence == NULL) {
        evidence = ngx_canary_new_evidence(zone, 0);
    }

    if (evidence == NULL) {
        evidence = ngx_canary_take_spare(zone, now);
    }

    return evidence ? evidence : ngx_canary_new_evidence(zone, configured);
}


/* first the books: where these do not fit, the rest is not to take the room */

static canary_evidence_t *
ngx_canary_new_evidence(ngx_canary_zone_t *zone, ngx_uint_t configured)
{
    uint32_t            nslots;
    canary_books_t     *books;
    canary_evidence_t  *evidence;

    nslots = (uint32_t) zone->nslots;

    books = ngx_canary_alloc_for(zone, configured, NGX_CANARY_BOOKS);
    if (books == NULL) {
        return NULL;
    }

    evidence = ngx_canary_alloc_for(zone, configured,
                                    canary_evidence_size(nslots));
    if (evidence == NULL) {
        ngx_slab_free_locked(zone->pool, books);
        return NULL;
    }

    canary_evidence_init(evidence, nslots);
    evidence->books = books;

    return evidence;
}


void
ngx_canary_add_slots(ngx_canary_zone_t *zone, ngx_uint_t configured,
    canary_evidence_t *evidence, ngx_uint_t n)
{
    canary_slot_t  *slot;

    while (evidence->nused < n) {
        slot = ngx_canary_alloc_for(zone, configured, sizeof(canary_slot_t));

        if (slot == NULL && evidence->nused == 0) {
            return;
        }

        canary_evidence_use(evidence, slot);
    }
}


static void
ngx_canary_enlist(ngx_canary_shared_t *shared)
{
    ngx_canary_zone_t  *zone;

    zone = shared->zone;

    if (ngx_canary_is_active(shared)) {
        return;
    }

    shared->next_active = zone->active;

    __atomic_store_n(&zone->active, shared, __ATOMIC_RELEASE);
}


/*
 * Evidence is not freed while a process lives that may be adding to it, and
 * rests for a while before it is used again.  But its books, which are most of
 * it, are only for whoever has the lock, so they give way at once.  A process
 * that is killed here may lose some, but leaves none in two places.
 */
