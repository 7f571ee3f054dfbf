
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_turn.h"

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"


/*
 * Of an endpoint one change is pending at a time.  Writes that come meanwhile
 * get a ticket each, and the least ticket of all workers is next.  A place in
 * the table is that of a live process, and nobody waits in it for longer than
 * a write may take: what a worker leaves that dies is free at once, and what a
 * stranger seems to hold, that has got the number of the dead process, soon.
 * What is stopped is free, too; who had it finds so by the ticket.
 *
 * Not everything queues.  What stops a rollout does not wait at all.  A step
 * of the control loop waits for what is pending only, and whoever queues lets
 * it pass; that ends by itself should the loop have died.
 */


#define NGX_CANARY_ALIVE       10  /* ms until a process is looked for again */


typedef struct {
    ngx_pid_t  pid;
    uint64_t   seen;   /* ms, monotonic */
} ngx_canary_alive_t;


static void ngx_canary_note_step(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change);
static ngx_uint_t ngx_canary_step_waits(
    ngx_canary_shared_t *shared, uint64_t now);
static ngx_uint_t ngx_canary_may_go(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, uint64_t now);
static ngx_canary_place_t *ngx_canary_first_place(
    ngx_canary_shared_t *shared, uint64_t now);
static ngx_uint_t ngx_canary_place_held(ngx_canary_turns_t *turns,
    ngx_canary_place_t *place, uint64_t now);
static ngx_uint_t ngx_canary_pid_alive(ngx_pid_t pid, uint64_t now);
static ngx_int_t ngx_canary_queue_up(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change);
static ngx_canary_place_t *ngx_canary_own_place(
    ngx_canary_shared_t *shared, ngx_canary_change_t *change);


ngx_canary_section_e
ngx_canary_take_turn(ngx_canary_shared_t *shared, ngx_canary_change_t *change)
{
    if (!change->queues) {
        ngx_canary_note_step(shared, change);

        return (shared->pending.sequence
                && canary_verb_exposes(change->command.verb))
               ? NGX_CANARY_BUSY : NGX_CANARY_DONE;
    }

    if (ngx_canary_may_go(shared, change, change->command.now)) {
        return NGX_CANARY_DONE;
    }

    if (change->ticket == 0 && ngx_canary_queue_up(shared, change) != NGX_OK) {
        return NGX_CANARY_CROWDED;
    }

    return NGX_CANARY_BUSY;
}


/* a step that is due but has to wait is the next */

static void
ngx_canary_note_step(ngx_canary_shared_t *shared, ngx_canary_change_t *change)
{
    canary_rollout_t  next;

    if (change->command.verb != CANARY_TICK || shared->history == NULL) {
        return;
    }

    next = ngx_canary_record(shared)->rollout;

    shared->history->turns.step =
        (shared->pending.sequence
         && canary_rollout_apply(&next, &change->command) == CANARY_CHANGED)
        ? change->command.now : 0;
}


static ngx_uint_t
ngx_canary_step_waits(ngx_canary_shared_t *shared, uint64_t now)
{
    return shared->history
           && now - shared->history->turns.step < NGX_CANARY_STALE
           && canary_rollout_remaining(
                  &ngx_canary_record(shared)->rollout, now)
              == 0;
}


/* what has been stopped goes to its end */

static ngx_uint_t
ngx_canary_may_go(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, uint64_t now)
{
    ngx_canary_place_t  *first;

    if (ngx_canary_stopped(shared, change)) {
        return 1;
    }

    if (shared->pending.sequence || ngx_canary_step_waits(shared, now)) {
        return 0;
    }

    first = ngx_canary_first_place(shared, now);

    return first == NULL || first->ticket == change->ticket;
}


ngx_uint_t
ngx_canary_queued(ngx_canary_shared_t *shared, uint64_t now)
{
    return ngx_canary_first_place(shared, now) != NULL;
}


static ngx_canary_place_t *
ngx_canary_first_place(ngx_canary_shared_t *shared, uint64_t now)
{
    ngx_uint_t           i;
    ngx_canary_place_t  *place, *first;
    ngx_canary_turns_t  *turns;

    if (shared->history == NULL) {
        return NULL;
    }

    turns = &shared->history->turns;
    first = NULL;

    for (i = 0; i < NGX_CANARY_WRITES - 1; i++) {
        place = &turns->places[i];

        if ((first == NULL || place->ticket < first->ticket)
            && ngx_canary_place_held(turns, place, now))
        {
            first = place;
        }
    }

    return first;
}


static ngx_uint_t
ngx_canary_place_held(ngx_canary_turns_t *turns,
    ngx_canary_place_t *place, uint64_t now)
{
    return place->pid
           && place->ticket > turns->stopped
           && now - place->since < NGX_CANARY_PATIENCE
           && (place->pid == ngx_pid || ngx_canary_pid_alive(place->pid, now));
}


/* workers hold many places each, and a table is looked at often */

static ngx_uint_t
ngx_canary_pid_alive(ngx_pid_t pid, uint64_t now)
{
    ngx_canary_alive_t  *alive;

    static ngx_canary_alive_t       known[64];

    alive = &known[pid % 64];

    if (alive->pid == pid && now - alive->seen < NGX_CANARY_ALIVE) {
        return 1;
    }

    if (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return 0;
    }

    alive->pid = pid;
    alive->seen = now;

    return 1;
}


/* there has been a change, or nobody would have to wait for it */

static ngx_int_t
ngx_canary_queue_up(ngx_canary_shared_t *shared, ngx_canary_change_t *change)
{
    ngx_uint_t           i;
    ngx_canary_place_t  *place;
    ngx_canary_turns_t  *turns;

    turns = &shared->history->turns;

    for (i = 0; i < NGX_CANARY_WRITES - 1; i++) {
        place = &turns->places[i];

        if (ngx_canary_place_held(turns, place, change->command.now)) {
            continue;
        }

        /* nobody's before it has another number */

        __atomic_store_n(&place->pid, 0, __ATOMIC_SEQ_CST);

        change->ticket = ++turns->tickets;

        place->ticket = change->ticket;
        place->since = change->command.now;

        __atomic_store_n(&place->pid, ngx_pid, __ATOMIC_RELEASE);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


void
ngx_canary_stop_queued(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change)
{
    ngx_canary_place_t  *place;
    ngx_canary_turns_t  *turns;

    if (shared->history == NULL) {
        return;
    }

    turns = &shared->history->turns;
    place = ngx_canary_own_place(shared, change);

    __atomic_store_n(&turns->stopped, turns->tickets, __ATOMIC_RELEASE);

    if (place) {
        change->ticket = ++turns->tickets;
        place->ticket = change->ticket;
    }
}


ngx_uint_t
ngx_canary_stopped(ngx_canary_shared_t *shared, ngx_canary_change_t *change)
{
    return change->ticket
           && change->ticket
              <= __atomic_load_n(&shared->history->turns.stopped,
                                 __ATOMIC_ACQUIRE);
}


/* NULL: none, or not any more */

static ngx_canary_place_t *
ngx_canary_own_place(ngx_canary_shared_t *shared, ngx_canary_change_t *change)
{
    ngx_uint_t           i;
    ngx_canary_place_t  *place;

    if (change->ticket == 0) {
        return NULL;
    }

    for (i = 0; i < NGX_CANARY_WRITES - 1; i++) {
        place = &shared->history->turns.places[i];

        if (place->pid && place->ticket == change->ticket) {
            return place;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_canary_is_turn(ngx_canary_endpoint_t *endpoint,
    ngx_canary_change_t *change)
{
    ngx_uint_t  is;


    ngx_canary_lock(endpoint->main->zone);

    is = endpoint->main->zone->superseded
         || ngx_canary_may_go(endpoint->shared, change,
                              ngx_canary_milliseconds());

    ngx_canary_unlock(endpoint->main->zone);

    return is;
}


void
ngx_canary_leave_turn(ngx_canary_endpoint_t *endpoint,
    ngx_canary_change_t *change)
{
    ngx_canary_place_t  *place;


    ngx_canary_lock(endpoint->main->zone);

    place = ngx_canary_own_place(endpoint->shared, change);

    if (place) {
        place->pid = 0;
    }

    ngx_canary_unlock(endpoint->main->zone);

    change->ticket = 0;
}
