
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_event.h"


/*
 * All changes of a rollout go through here, under the lock of the zone.  What
 * may put more traffic on the canary is put down as pending; the rest takes
 * effect at once: the new record and its event are written where nobody looks
 * yet, then the record becomes the current one, then requests are routed by
 * it.
 */


static ngx_http_canary_section_e ngx_http_canary_carry_out(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared, ngx_http_canary_change_t *change,
    ngx_http_canary_record_t *next, const ngx_http_canary_figure_t *figures,
    ngx_uint_t nfigures, ngx_log_t *log);
static void ngx_http_canary_note(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event,
    uint64_t now, ngx_log_t *log);
static void ngx_http_canary_publish(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event);
static ngx_int_t ngx_http_canary_equip(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t rest);
static ngx_int_t ngx_http_canary_add_history(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared);
static canary_evidence_t *ngx_http_canary_take_evidence(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool,
    uint64_t rest);
static canary_evidence_t *ngx_http_canary_new_evidence(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool);
static canary_evidence_t *ngx_http_canary_take_spare(
    ngx_http_canary_zone_shared_t *sh, uint64_t rested);
static ngx_int_t ngx_http_canary_add_books(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool,
    canary_evidence_t *evidence);
static void ngx_http_canary_free_history(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared);
static ngx_uint_t ngx_http_canary_free_books(
    ngx_http_canary_zone_shared_t *sh, ngx_slab_pool_t *shpool);
static void ngx_http_canary_set_last(ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event);


ngx_http_canary_section_e
ngx_http_canary_change(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_change_t *change)
{
    ngx_slab_pool_t              *shpool;
    ngx_http_canary_section_e     rc;
    ngx_http_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;
    shpool = cmcf->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    change->command.now = ngx_http_canary_milliseconds();

    rc = ngx_http_canary_change_locked(cmcf->sh, shpool, endpoint->shared,
                                       change, NULL, 0, ngx_cycle->log);

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


ngx_http_canary_section_e
ngx_http_canary_change_locked(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, const ngx_http_canary_figure_t *figures,
    ngx_uint_t nfigures, ngx_log_t *log)
{
    ngx_uint_t                exposes;
    ngx_http_canary_record_t  next, *record;

    record = ngx_http_canary_record(shared);
    next = *record;
    exposes = canary_verb_exposes(change->command.verb);

    change->status = CANARY_UNCHANGED;
    change->verbs = canary_rollout_verbs(&record->rollout);

    if (sh->superseded) {
        return NGX_HTTP_CANARY_SUPERSEDED;
    }

    if (exposes && shared->pending.sequence) {
        return NGX_HTTP_CANARY_BUSY;
    }

    if (change->match
        && !change->match(change->data, record->rollout.generation))
    {
        return NGX_HTTP_CANARY_STALE_MATCH;
    }

    change->status = canary_rollout_apply(&next.rollout, &change->command);

    if (change->status != CANARY_CHANGED) {
        return NGX_HTTP_CANARY_DONE;
    }

    if (exposes && sh->foreign) {
        change->status = CANARY_UNCHANGED;
        return NGX_HTTP_CANARY_NO_FILE;
    }

    if (next.rollout.phase != CANARY_IDLE
        && ngx_http_canary_provide(sh, shpool, shared, &next.rollout)
           != NGX_OK)
    {
        change->status = CANARY_UNCHANGED;
        return NGX_HTTP_CANARY_NO_MEMORY;
    }

    /* else only the log has the event */

    if (ngx_http_canary_provide_history(sh, shpool, shared) != NGX_OK
        && exposes)
    {
        change->status = CANARY_UNCHANGED;
        return NGX_HTTP_CANARY_NO_MEMORY;
    }

    return ngx_http_canary_carry_out(sh, shpool, shared, change, &next,
                                     figures, nfigures, log);
}


static ngx_http_canary_section_e
ngx_http_canary_carry_out(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, ngx_http_canary_record_t *next,
    const ngx_http_canary_figure_t *figures, ngx_uint_t nfigures,
    ngx_log_t *log)
{
    canary_rollout_t         *before;
    ngx_http_canary_event_t   event;

    before = &ngx_http_canary_record(shared)->rollout;

    ngx_http_canary_make_event(&event, shared, before, &next->rollout, change,
                               figures, nfigures);

    event.id = ++sh->last_event;

    if (next->rollout.phase == CANARY_IDLE
        && (before->phase != CANARY_IDLE
            || change->command.verb == CANARY_DIRECT))
    {
        ngx_http_canary_set_last(shared, next, &event);
    }

    if (canary_verb_exposes(change->command.verb)) {
        ngx_http_canary_defer(sh, shared, next, &event, change->command.now);
        change->sequence = shared->pending.sequence;
        return NGX_HTTP_CANARY_PENDING;
    }

    if (change->command.verb == CANARY_HOLDING) {
        ngx_http_canary_note(sh, shpool, shared, next, &event,
                             change->command.now, log);
        return NGX_HTTP_CANARY_DONE;
    }

    ngx_http_canary_conclude(sh, shpool, shared, NGX_HTTP_CANARY_CANCELLED,
                             change->command.now, log);

    ngx_http_canary_take_effect(sh, shpool, shared, next, &event,
                                change->command.now, log);

    shared->sequence = ngx_http_canary_next_sequence(sh);
    shared->changed = sh->changed;
    change->sequence = shared->sequence;

    return NGX_HTTP_CANARY_DONE;
}


/*
 * The event of a rollout that stays as it is.  A change that is pending is
 * not disturbed, but comes after it.  That the file has it is waited for by
 * nobody.
 */

static void
ngx_http_canary_note(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event,
    uint64_t now, ngx_log_t *log)
{
    if (shared->pending.sequence) {
        shared->pending.after->event.id = ++sh->last_event;
    }

    ngx_http_canary_take_effect(sh, shpool, shared, next, event, now, log);

    (void) ngx_http_canary_next_sequence(sh);
}


void
ngx_http_canary_take_effect(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event,
    uint64_t now, ngx_log_t *log)
{
    ngx_uint_t      begins;
    canary_times_t  times;

    begins = (ngx_http_canary_record(shared)->rollout.phase == CANARY_IDLE);

    if (begins && next->rollout.phase != CANARY_IDLE) {
        ngx_http_canary_times(shared, &next->rollout, 0, &times);
        canary_judge_begin(shared->evidence, &next->rollout, now, &times);
    }

    ngx_http_canary_publish(sh, shpool, shared, next, event);

    if (next->rollout.phase == CANARY_IDLE) {
        ngx_http_canary_put_spare(sh, shared);

    } else {
        (void) canary_judge_tick(shared->evidence, &next->rollout, now);
    }

    ngx_http_canary_log_event(event, shared, log);
}


static void
ngx_http_canary_publish(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event)
{
    ngx_uint_t                 place;
    ngx_http_canary_record_t  *record;

    record = ngx_http_canary_record(shared);

    /* one place more than events are shown: the oldest of them survives */

    if (shared->events) {
        shared->events[next->events % (NGX_HTTP_CANARY_EVENTS + 1)] = *event;
        next->events++;
    }

    if (next->rollout.phase != record->rollout.phase) {
        next->transitions[next->rollout.phase]++;
    }

    if (next->rollout.tests != record->rollout.tests) {
        ngx_http_canary_begin_step(sh, shpool, shared);
    }

    place = !(shared->current & 1);
    shared->records[place] = *next;

    __atomic_store_n(&shared->current, place, __ATOMIC_RELEASE);

    ngx_http_canary_repair(shared);
}


void
ngx_http_canary_repair(ngx_http_canary_shared_t *shared)
{
    uint64_t        word;
    canary_route_t  route;

    route = canary_rollout_route(&ngx_http_canary_record(shared)->rollout);
    word = canary_route_encode(&route);

    if (word != shared->route) {
        __atomic_store_n(&shared->route, word, __ATOMIC_RELEASE);
    }
}


/*
 * All that a rollout needs, if need be from those that have ended.  One that
 * is refused takes nothing from those that fit.
 */

ngx_int_t
ngx_http_canary_provide(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared,
    const canary_rollout_t *rollout)
{
    uint64_t    rest;
    ngx_uint_t  kept;

    kept = ngx_http_canary_has_meters(shared, rollout);
    rest = NGX_HTTP_CANARY_QUARANTINE;

    do {
        if (ngx_http_canary_add_meters(sh, shpool, shared, rollout) == NGX_OK
            && ngx_http_canary_equip(sh, shpool, shared, rest) == NGX_OK)
        {
            return NGX_OK;
        }

        rest = 0;

    } while (ngx_http_canary_free_books(sh, shpool));

    ngx_http_canary_drop_meters(sh, shared, rollout, kept);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_canary_provide_history(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared)
{
    while (ngx_http_canary_add_history(shpool, shared) != NGX_OK) {
        if (!ngx_http_canary_free_books(sh, shpool)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_equip(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, ngx_http_canary_shared_t *shared, uint64_t rest)
{
    ngx_uint_t          known;
    canary_evidence_t  *evidence;

    if (!shared->active) {
        shared->next_active = sh->active;
        sh->active = shared;
        shared->active = 1;
    }

    if (shared->evidence) {
        return NGX_OK;
    }

    known = (shared->events != NULL);

    if (ngx_http_canary_add_history(shpool, shared) != NGX_OK) {
        return NGX_ERROR;
    }

    evidence = ngx_http_canary_take_evidence(sh, shpool, rest);

    if (evidence) {
        __atomic_store_n(&shared->evidence, evidence, __ATOMIC_RELEASE);
        return NGX_OK;
    }

    if (!known) {
        ngx_http_canary_free_history(shpool, shared);
    }

    return NGX_ERROR;
}


/* with books, and with slots that are in use; NULL: the zone is full */

static canary_evidence_t *
ngx_http_canary_take_evidence(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, uint64_t rest)
{
    uint64_t            now;
    canary_evidence_t  *evidence;

    now = ngx_http_canary_milliseconds();

    evidence = ngx_http_canary_take_spare(sh, now - rest);

    if (evidence == NULL) {
        evidence = ngx_http_canary_new_evidence(sh, shpool);
    }

    if (evidence == NULL) {
        evidence = ngx_http_canary_take_spare(sh, now);
    }

    if (evidence == NULL) {
        return NULL;
    }

    ngx_http_canary_add_slots(sh, shpool, evidence, ngx_max(sh->nused, 1));

    if (evidence->nused
        && ngx_http_canary_add_books(sh, shpool, evidence) == NGX_OK)
    {
        return evidence;
    }

    evidence->next = sh->spare;
    sh->spare = evidence;

    return NULL;
}


/* first the books: where these do not fit, the rest is not to take the room */

static canary_evidence_t *
ngx_http_canary_new_evidence(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool)
{
    void               *books;
    uint32_t            nslots;
    canary_evidence_t  *evidence;

    nslots = (uint32_t) sh->nslots;

    books = ngx_slab_alloc_locked(shpool, ngx_http_canary_books_size());
    if (books == NULL) {
        return NULL;
    }

    evidence = ngx_slab_alloc_locked(shpool, canary_evidence_size(nslots));
    if (evidence == NULL) {
        ngx_slab_free_locked(shpool, books);
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
ngx_http_canary_add_slots(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, canary_evidence_t *evidence, ngx_uint_t n)
{
    canary_slot_t  *slot;

    while (evidence->nused < n) {

        do {
            slot = ngx_slab_alloc_locked(shpool, sizeof(canary_slot_t));
        } while (slot == NULL && ngx_http_canary_free_books(sh, shpool));

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
ngx_http_canary_add_history(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared)
{
    if (shared->events) {
        return NGX_OK;
    }

    /* last the events: a process that dies in between leaves the history */

    if (shared->history == NULL) {
        shared->history = ngx_slab_alloc_locked(shpool,
                                            sizeof(ngx_http_canary_history_t));
    }

    if (shared->history == NULL) {
        return NGX_ERROR;
    }

    shared->pending.after = &shared->history->pending;

    __atomic_store_n(&shared->events, shared->history->events,
                     __ATOMIC_RELEASE);

    return NGX_OK;
}


static void
ngx_http_canary_free_history(ngx_slab_pool_t *shpool,
    ngx_http_canary_shared_t *shared)
{
    ngx_http_canary_history_t  *history;

    history = shared->history;

    if (history) {
        shared->events = NULL;
        shared->pending.after = NULL;

        __atomic_store_n(&shared->history, NULL, __ATOMIC_RELEASE);

        ngx_slab_free_locked(shpool, history);
    }
}


size_t
ngx_http_canary_books_size(void)
{
    /* so that one can take the place of the other */

    return ngx_max(canary_judge_books_size(),
                   sizeof(ngx_http_canary_history_t));
}


static ngx_int_t
ngx_http_canary_add_books(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, canary_evidence_t *evidence)
{
    void  *memory;

    if (evidence->books) {
        return NGX_OK;
    }

    do {
        memory = ngx_slab_alloc_locked(shpool, ngx_http_canary_books_size());
    } while (memory == NULL && ngx_http_canary_free_books(sh, shpool));

    if (memory == NULL) {
        return NGX_ERROR;
    }

    canary_judge_set_books(evidence, memory);

    return NGX_OK;
}


/*
 * Evidence that is not needed any more is never freed, and rests for a while
 * before it is used again: a worker may just be adding to it.  But its books,
 * which are most of it, are only for whoever has the lock, so they are given
 * back as soon as another rollout finds no memory.  A process that is killed
 * here may lose some, but leaves none in two places.
 */

static ngx_uint_t
ngx_http_canary_free_books(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool)
{
    canary_books_t     *books;
    canary_evidence_t  *evidence;

    for (evidence = sh->spare; evidence; evidence = evidence->next) {
        books = evidence->books;

        if (books) {
            __atomic_store_n(&evidence->books, NULL, __ATOMIC_RELEASE);
            ngx_slab_free_locked(shpool, books);
            return 1;
        }
    }

    return 0;
}


static canary_evidence_t *
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


void
ngx_http_canary_put_spare(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t *shared)
{
    canary_evidence_t  *evidence;

    evidence = shared->evidence;

    if (evidence == NULL) {
        return;
    }

    __atomic_store_n(&shared->evidence, NULL, __ATOMIC_RELEASE);

    evidence->released = ngx_http_canary_milliseconds();
    evidence->next = sh->spare;
    sh->spare = evidence;
}


static void
ngx_http_canary_set_last(ngx_http_canary_shared_t *shared,
    ngx_http_canary_record_t *next, ngx_http_canary_event_t *event)
{
    ngx_http_canary_release_shared_t  *release;

    ngx_memzero(next->last_release, NGX_HTTP_CANARY_NAME_MAX);

    if (next->rollout.last_release < NGX_HTTP_CANARY_RELEASES_SEEN) {
        release = shared->releases[next->rollout.last_release];
        ngx_memcpy(next->last_release, release->name, release->len);
    }

    ngx_memcpy(next->last_reason, event->reason, NGX_HTTP_CANARY_REASON);

    next->ended = event->time;
}
