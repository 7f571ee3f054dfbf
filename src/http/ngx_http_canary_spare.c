
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_spare.h"


static void ngx_http_canary_free_evidence(ngx_http_canary_zone_shared_t *sh,
    canary_evidence_t *evidence);


void
ngx_http_canary_put_spare(ngx_http_canary_shared_t *shared)
{
    canary_evidence_t              *evidence;
    ngx_http_canary_zone_shared_t  *sh;

    sh = shared->zone;
    evidence = shared->evidence;

    if (evidence == NULL) {
        return;
    }

    __atomic_store_n(&shared->evidence, NULL, __ATOMIC_RELEASE);

    evidence->released = ngx_http_canary_milliseconds();
    evidence->serial = ngx_max(evidence->serial, shared->serial);
    evidence->next = sh->spare;
    sh->spare = evidence;
}


canary_evidence_t *
ngx_http_canary_take_spare(ngx_http_canary_zone_shared_t *sh,
    uint64_t rested)
{
    canary_evidence_t  *evidence, **place;

    for (place = &sh->spare; *place; place = &evidence->next) {
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
ngx_http_canary_free_spare_evidence(ngx_http_canary_zone_shared_t *sh)
{
    canary_evidence_t  *evidence, **place;

    if (ngx_http_canary_free_books(sh)) {
        return 1;
    }

    for (place = &sh->spare; *place; place = &evidence->next) {
        evidence = *place;

        if (!ngx_http_canary_serial_alive(sh, 0, evidence->serial)) {
            __atomic_store_n(place, evidence->next, __ATOMIC_RELEASE);
            ngx_http_canary_free_evidence(sh, evidence);
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_canary_free_evidence(ngx_http_canary_zone_shared_t *sh,
    canary_evidence_t *evidence)
{
    uint32_t  i;

    for (i = evidence->nused; i > 0; i--) {
        if (i == 1 || evidence->slots[i - 1] != evidence->slots[0]) {
            ngx_slab_free_locked(sh->pool, evidence->slots[i - 1]);
        }
    }

    ngx_slab_free_locked(sh->pool, evidence);
}


ngx_uint_t
ngx_http_canary_free_books(ngx_http_canary_zone_shared_t *sh)
{
    canary_books_t     *books;
    canary_evidence_t  *evidence;

    for (evidence = sh->spare; evidence; evidence = evidence->next) {
        books = evidence->books;

        if (books) {
            __atomic_store_n(&evidence->books, NULL, __ATOMIC_RELEASE);
            ngx_slab_free_locked(sh->pool, books);
            return 1;
        }
    }

    return 0;
}
