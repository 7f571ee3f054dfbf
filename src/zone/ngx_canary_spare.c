
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_spare.h"

#include "canary_evidence_layout.h"

#include "ngx_canary_generation.h"
#include "ngx_canary_shared.h"


/*
 * Evidence that no rollout has.  Workers may still count in it, so it rests
 * before another rollout gets it, and is freed when nobody can any more; its
 * books are the lock's alone, and are freed at once where room is needed.
 */


void
ngx_canary_put_spare(ngx_canary_shared_t *shared)
{
    canary_evidence_t  *evidence;

    evidence = shared->evidence;

    if (evidence == NULL) {
        return;
    }

    __atomic_store_n(&shared->evidence, NULL, __ATOMIC_RELEASE);

    evidence->released = ngx_canary_milliseconds();
    evidence->serial = ngx_max(evidence->serial, shared->serial);

    ngx_canary_list_spare(shared->zone, evidence);
}


void
ngx_canary_list_spare(ngx_canary_zone_t *zone, canary_evidence_t *evidence)
{
    evidence->next = zone->spare;

    __atomic_store_n(&zone->spare, evidence, __ATOMIC_RELEASE);
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


ngx_uint_t
ngx_canary_free_spare_evidence(ngx_canary_zone_t *zone)
{
    canary_slot_t      *slot, *next;
    canary_books_t     *books;
    canary_evidence_t  *evidence, **place;

    for (evidence = zone->spare; evidence; evidence = evidence->next) {
        books = evidence->books;

        if (books) {
            __atomic_store_n(&evidence->books, NULL, __ATOMIC_RELEASE);
            ngx_slab_free_locked(zone->pool, books);
            return 1;
        }
    }

    for (place = &zone->spare; *place; place = &evidence->next) {
        evidence = *place;

        if (!ngx_canary_serial_alive(zone, 0, evidence->serial)) {
            __atomic_store_n(place, evidence->next, __ATOMIC_RELEASE);

            for (slot = evidence->all; slot; slot = next) {
                next = slot->next;
                ngx_slab_free_locked(zone->pool, slot);
            }

            ngx_slab_free_locked(zone->pool, evidence);
            return 1;
        }
    }

    return 0;
}
