
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


/*
 * Of an endpoint one change is pending at a time.  Writes that come meanwhile
 * get a ticket each, and the least ticket of all workers is next.  A place in
 * the table is that of a live process, and nobody waits in it for longer than
 * a write may take: what a worker leaves that dies is free at once, and what a
 * stranger's process seems to hold, that has got the number of the dead one,
 * soon.
 *
 * Not everything queues.  What stops a rollout does not wait at all.  A step
 * of the control loop waits for what is pending only, and whoever waits in the
 * queue lets it pass; that ends by itself should the loop have died.
 */


static ngx_uint_t ngx_http_canary_step_waits(
    ngx_http_canary_shared_t *shared, uint64_t now);
static void ngx_http_canary_note_step(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change);
static ngx_uint_t ngx_http_canary_next_ticket(
    ngx_http_canary_shared_t *shared, uint64_t now, uint64_t *ticket);
static ngx_uint_t ngx_http_canary_place_held(ngx_http_canary_place_t *place,
    uint64_t now);
static ngx_uint_t ngx_http_canary_may_go(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, uint64_t now);
static ngx_int_t ngx_http_canary_queue_up(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change);


ngx_http_canary_section_e
ngx_http_canary_take_turn(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change)
{
    if (!change->queues) {
        ngx_http_canary_note_step(shared, change);

        return (shared->pending.sequence
                && canary_verb_exposes(change->command.verb))
               ? NGX_HTTP_CANARY_BUSY : NGX_HTTP_CANARY_DONE;
    }

    if (ngx_http_canary_may_go(shared, change, change->command.now)) {
        return NGX_HTTP_CANARY_DONE;
    }

    if (change->ticket == 0
        && ngx_http_canary_queue_up(shared, change) != NGX_OK)
    {
        return NGX_HTTP_CANARY_CROWDED;
    }

    return NGX_HTTP_CANARY_BUSY;
}


/* a step that is due but has to wait is the next */

static void
ngx_http_canary_note_step(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change)
{
    canary_rollout_t  next;

    if (change->command.verb != CANARY_TICK || shared->history == NULL) {
        return;
    }

    next = ngx_http_canary_record(shared)->rollout;

    shared->history->turns.step =
        (shared->pending.sequence
         && canary_rollout_apply(&next, &change->command) == CANARY_CHANGED)
        ? change->command.now : 0;
}


/* what has been stopped goes to its end */

static ngx_uint_t
ngx_http_canary_may_go(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change, uint64_t now)
{
    uint64_t  ticket;

    if (change->ticket && change->stops != shared->stops) {
        return 1;
    }

    if (shared->pending.sequence || ngx_http_canary_step_waits(shared, now)) {
        return 0;
    }

    return !ngx_http_canary_next_ticket(shared, now, &ticket)
           || ticket == change->ticket;
}


static ngx_uint_t
ngx_http_canary_step_waits(ngx_http_canary_shared_t *shared, uint64_t now)
{
    return shared->history
           && now - shared->history->turns.step < NGX_HTTP_CANARY_STALE
           && canary_rollout_remaining(
                  &ngx_http_canary_record(shared)->rollout, now)
              == 0;
}


ngx_uint_t
ngx_http_canary_queued(ngx_http_canary_shared_t *shared, uint64_t now)
{
    uint64_t  ticket;

    return ngx_http_canary_next_ticket(shared, now, &ticket);
}


/* returns 0 if nobody waits */

static ngx_uint_t
ngx_http_canary_next_ticket(ngx_http_canary_shared_t *shared, uint64_t now,
    uint64_t *ticket)
{
    ngx_uint_t                i;
    ngx_http_canary_place_t  *place, *first;

    if (shared->history == NULL) {
        return 0;
    }

    do {
        first = NULL;

        for (i = 0; i < NGX_HTTP_CANARY_WRITES - 1; i++) {
            place = &shared->history->turns.places[i];

            if (place->pid
                && (first == NULL || place->ticket < first->ticket))
            {
                first = place;
            }
        }

        if (first == NULL) {
            return 0;
        }

    } while (!ngx_http_canary_place_held(first, now));

    *ticket = first->ticket;

    return 1;
}


static ngx_uint_t
ngx_http_canary_place_held(ngx_http_canary_place_t *place, uint64_t now)
{
    if (place->pid
        && (now - place->since >= NGX_HTTP_CANARY_PATIENCE
            || (kill(place->pid, 0) == -1 && ngx_errno == NGX_ESRCH)))
    {
        place->pid = 0;
    }

    return place->pid != 0;
}


static ngx_int_t
ngx_http_canary_queue_up(ngx_http_canary_shared_t *shared,
    ngx_http_canary_change_t *change)
{
    ngx_uint_t                i;
    ngx_http_canary_place_t  *place;
    ngx_http_canary_turns_t  *turns;

    /* there has been a change, or nobody would have to wait for it */

    turns = &shared->history->turns;

    for (i = 0; i < NGX_HTTP_CANARY_WRITES - 1; i++) {
        place = &turns->places[i];

        if (ngx_http_canary_place_held(place, change->command.now)) {
            continue;
        }

        change->ticket = ++turns->tickets;
        change->stops = shared->stops;

        place->ticket = change->ticket;
        place->since = change->command.now;

        __atomic_store_n(&place->pid, ngx_pid, __ATOMIC_RELEASE);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_canary_is_turn(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_change_t *change)
{
    ngx_uint_t        is;
    ngx_slab_pool_t  *shpool;

    shpool = endpoint->main->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    is = endpoint->main->sh->superseded
         || ngx_http_canary_may_go(endpoint->shared, change,
                                   ngx_http_canary_milliseconds());

    ngx_shmtx_unlock(&shpool->mutex);

    return is;
}


void
ngx_http_canary_leave_turn(ngx_http_canary_endpoint_t *endpoint,
    ngx_http_canary_change_t *change)
{
    ngx_uint_t                i;
    ngx_slab_pool_t          *shpool;
    ngx_http_canary_place_t  *places;

    if (change->ticket == 0) {
        return;
    }

    shpool = endpoint->main->shpool;

    ngx_shmtx_lock(&shpool->mutex);

    places = endpoint->shared->history->turns.places;

    for (i = 0; i < NGX_HTTP_CANARY_WRITES - 1; i++) {
        if (places[i].pid && places[i].ticket == change->ticket) {
            places[i].pid = 0;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    change->ticket = 0;
}
