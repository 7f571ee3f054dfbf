
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_memory.h"

#include "canary_evidence_layout.h"
#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_rollout.h"

#include "ngx_canary_generation.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"


/*
 * Memory of the zone for rollouts: evidence with its books and slots, and the
 * history of an endpoint.  All of this is under the lock.
 */


static ngx_int_t ngx_canary_provide_meters(
    ngx_canary_shared_t *shared, const canary_rollout_t *rollout);
static ngx_int_t ngx_canary_equip(ngx_canary_shared_t *shared);
static void ngx_canary_enlist(ngx_canary_shared_t *shared);
static ngx_int_t ngx_canary_add_history(ngx_canary_shared_t *shared);
static canary_evidence_t *ngx_canary_take_evidence(
    ngx_canary_zone_t *zone, ngx_uint_t configured);
static canary_evidence_t *ngx_canary_any_evidence(
    ngx_canary_zone_t *zone);
static canary_evidence_t *ngx_canary_new_evidence(
    ngx_canary_zone_t *zone);
static ngx_int_t ngx_canary_add_books(ngx_canary_zone_t *zone,
    ngx_uint_t configured, canary_evidence_t *evidence);
static void ngx_canary_free_history(ngx_canary_shared_t *shared);
static ngx_uint_t ngx_canary_make_room(ngx_canary_zone_t *zone,
    ngx_uint_t configured);


/*
 * All that a rollout needs, if need be from those that have ended, and from
 * what is only remembered.  One that is refused takes nothing from those that
 * fit.
 */

ngx_int_t
ngx_canary_provide(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout)
{
    ngx_uint_t  kept;

    kept = ngx_canary_has_meters(shared, rollout);

    if (ngx_canary_provide_meters(shared, rollout) == NGX_OK
        && ngx_canary_equip(shared) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_canary_drop_meters(shared, rollout, kept);

    return NGX_ERROR;
}


static ngx_int_t
ngx_canary_provide_meters(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout)
{
    ngx_uint_t  configured;

    configured = ngx_canary_configured(shared);

    while (ngx_canary_add_meters(shared, rollout) != NGX_OK) {
        if (!ngx_canary_make_room(shared->zone, configured)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_canary_provide_history(ngx_canary_shared_t *shared)
{
    ngx_uint_t  configured;

    configured = ngx_canary_configured(shared);

    while (ngx_canary_add_history(shared) != NGX_OK) {
        if (!ngx_canary_make_room(shared->zone, configured)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_canary_equip(ngx_canary_shared_t *shared)
{
    ngx_uint_t          known;
    canary_evidence_t  *evidence;

    ngx_canary_enlist(shared);

    if (shared->evidence) {
        return NGX_OK;
    }

    known = (shared->events != NULL);

    if (ngx_canary_provide_history(shared) != NGX_OK) {
        return NGX_ERROR;
    }

    evidence = ngx_canary_take_evidence(shared->zone,
                                      ngx_canary_configured(shared));

    if (evidence) {
        __atomic_store_n(&shared->evidence, evidence, __ATOMIC_RELEASE);
        return NGX_OK;
    }

    if (!known) {
        ngx_canary_free_history(shared);
    }

    return NGX_ERROR;
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
 * With books, and with slots that are in use; NULL: the zone is full.  Room is
 * made for each part where it is needed, so that none is given back in vain
 * and found to be room for the next try.
 */

static canary_evidence_t *
ngx_canary_take_evidence(ngx_canary_zone_t *zone, ngx_uint_t configured)
{
    canary_evidence_t  *evidence;

    evidence = ngx_canary_any_evidence(zone);

    while (evidence == NULL) {
        if (!ngx_canary_make_room(zone, configured)) {
            return NULL;
        }

        evidence = ngx_canary_any_evidence(zone);
    }

    /* processes can share the first slot, so the others come last */

    ngx_canary_add_slots(zone, configured, evidence, 1);

    if (evidence->nused
        && ngx_canary_add_books(zone, configured, evidence)
           == NGX_OK)
    {
        ngx_canary_add_slots(zone, configured, evidence, zone->nused);
        return evidence;
    }

    evidence->next = zone->spare;
    zone->spare = evidence;

    return NULL;
}


/* one that has rested, or a new one, or else one that has not rested */

static canary_evidence_t *
ngx_canary_any_evidence(ngx_canary_zone_t *zone)
{
    uint64_t            now;
    canary_evidence_t  *evidence;

    now = ngx_canary_milliseconds();

    evidence = ngx_canary_take_spare(zone,
                                     now - NGX_CANARY_QUARANTINE);
    if (evidence) {
        return evidence;
    }

    evidence = ngx_canary_new_evidence(zone);

    return evidence ? evidence : ngx_canary_take_spare(zone, now);
}


/* first the books: where these do not fit, the rest is not to take the room */

static canary_evidence_t *
ngx_canary_new_evidence(ngx_canary_zone_t *zone)
{
    void               *books;
    uint32_t            nslots;
    canary_evidence_t  *evidence;

    nslots = (uint32_t) zone->nslots;

    books = ngx_slab_alloc_locked(zone->pool, ngx_canary_books_size());
    if (books == NULL) {
        return NULL;
    }

    evidence = ngx_slab_alloc_locked(zone->pool, canary_evidence_size(nslots));
    if (evidence == NULL) {
        ngx_slab_free_locked(zone->pool, books);
        return NULL;
    }

    canary_evidence_init(evidence, nslots);
    canary_judge_set_books(evidence, books);

    return evidence;
}


/*
 * So many slots.  Where the zone has no room for more than the first, though
 * nothing is left of rollouts that have ended, processes share that.
 */

void
ngx_canary_add_slots(ngx_canary_zone_t *zone,
    ngx_uint_t configured, canary_evidence_t *evidence, ngx_uint_t n)
{
    canary_slot_t  *slot;

    while (evidence->nused < n) {

        do {
            slot = ngx_slab_alloc_locked(zone->pool, sizeof(canary_slot_t));
        } while (slot == NULL
                 && ngx_canary_make_room(zone, configured));

        if (slot == NULL && evidence->nused == 0) {
            return;
        }

        canary_evidence_use(evidence, slot);
    }
}


/*
 * Without memory for its history an endpoint can still be changed towards
 * stable: the event is in the log.  Most of the memory is not touched, since
 * only what was written will be read.
 */

static ngx_int_t
ngx_canary_add_history(ngx_canary_shared_t *shared)
{
    if (shared->events) {
        return NGX_OK;
    }

    /* last the events: a process that dies in between leaves the history */

    if (shared->history == NULL) {
        shared->history = ngx_slab_alloc_locked(shared->zone->pool,
                                            sizeof(ngx_canary_history_t));
    }

    if (shared->history == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&shared->history->turns, sizeof(ngx_canary_turns_t));
    ngx_memzero(&shared->history->journal, sizeof(ngx_canary_journal_t));

    shared->pending.after = &shared->history->pending;

    __atomic_store_n(&shared->events, shared->history->events,
                     __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_canary_free_history(ngx_canary_shared_t *shared)
{
    ngx_canary_history_t  *history;

    history = shared->history;

    if (history) {
        shared->events = NULL;
        shared->pending.after = NULL;

        __atomic_store_n(&shared->history, NULL, __ATOMIC_RELEASE);

        ngx_slab_free_locked(shared->zone->pool, history);
    }
}


size_t
ngx_canary_books_size(void)
{
    /* so that one can take the place of the other */

    return ngx_max(canary_judge_books_size(),
                   sizeof(ngx_canary_history_t));
}


static ngx_int_t
ngx_canary_add_books(ngx_canary_zone_t *zone,
    ngx_uint_t configured, canary_evidence_t *evidence)
{
    void  *memory;

    if (evidence->books) {
        return NGX_OK;
    }

    do {
        memory = ngx_slab_alloc_locked(zone->pool, ngx_canary_books_size());
    } while (memory == NULL
             && ngx_canary_make_room(zone, configured));

    if (memory == NULL) {
        return NGX_ERROR;
    }

    canary_judge_set_books(evidence, memory);

    return NGX_OK;
}


/* an endpoint that is only remembered takes nothing from the others */

static ngx_uint_t
ngx_canary_make_room(ngx_canary_zone_t *zone, ngx_uint_t configured)
{
    return configured ? ngx_canary_give_way(zone)
                      : ngx_canary_free_books(zone);
}
