
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_spare.h"

#include "canary_evidence_layout.h"

#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"


static void ngx_canary_free_evidence(ngx_canary_zone_t *zone,
    canary_evidence_t *evidence);


void
ngx_canary_put_spare(ngx_canary_shared_t *shared)
{
    canary_evidence_t  *evidence;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    evidence = shared->evidence;

    if (evidence == NULL) {
        return;
    }

    __atomic_store_n(&shared->evidence, NULL, __ATOMIC_RELEASE);

    evidence->released = ngx_canary_milliseconds();
    evidence->serial = ngx_max(evidence->serial, shared->serial);
    evidence->next = zone->spare;
    zone->spare = evidence;
}


canary_evidence_t *
ngx_canary_take_spare(ngx_canary_zone_t *zone, uint64_t rested)
{
    canary_evidence_t  *evidence, **place;

    for (place = &zone->spare; *place; place = &evidence->next) {
        evidence = *place;

        if (evidence->released <= rested) {
            *place = evidence->next;
            evidence->next = NULL;
            return evidence;
        }
    }

    return NULL;
}


/*
 * Evidence that is not needed any more is not freed while a process lives that
 * may be adding to it, and rests for a while before it is used again.  But its
 * books, which are most of it, are only for whoever has the lock, so they are
 * given back as soon as another rollout finds no memory.  A process that is
 * killed here may lose some, but leaves none in two places.
 */

ngx_uint_t
ngx_canary_free_spare_evidence(ngx_canary_zone_t *zone)
{
    canary_evidence_t  *evidence, **place;

    if (ngx_canary_free_books(zone)) {
        return 1;
    }

    for (place = &zone->spare; *place; place = &evidence->next) {
        evidence = *place;

        if (!ngx_canary_serial_alive(zone, 0, evidence->serial)) {
            __atomic_store_n(place, evidence->next, __ATOMIC_RELEASE);
            ngx_canary_free_evidence(zone, evidence);
            return 1;
        }
    }

    return 0;
}


static void
ngx_canary_free_evidence(ngx_canary_zone_t *zone, canary_evidence_t *evidence)
{
    uint32_t  i;

    for (i = evidence->nused; i > 0; i--) {
        if (i == 1 || evidence->slots[i - 1] != evidence->slots[0]) {
            ngx_slab_free_locked(zone->pool, evidence->slots[i - 1]);
        }
    }

    ngx_slab_free_locked(zone->pool, evidence);
}


ngx_uint_t
ngx_canary_free_books(ngx_canary_zone_t *zone)
{
    canary_books_t     *books;
    canary_evidence_t  *evidence;

    for (evidence = zone->spare; evidence; evidence = evidence->next) {
        books = evidence->books;

        if (books) {
            __atomic_store_n(&evidence->books, NULL, __ATOMIC_RELEASE);
            ngx_slab_free_locked(zone->pool, books);
            return 1;
        }
    }

    return 0;
}
