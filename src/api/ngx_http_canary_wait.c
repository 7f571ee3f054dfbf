
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_wait.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_turn.h"
#include "ngx_canary_writer_lock.h"


/*
 * A write waits for others of its endpoint, and then for the state file, which
 * another process writes.  All that wait in a process share a timer that looks
 * at shared memory every few milliseconds:
 *
 *   - of those that wait for their turn, at the first of each endpoint;
 *   - at those whose change is pending, one for an endpoint;
 *   - of those that are done but not in the file yet, at the first: they are
 *     in the order of their numbers.
 *
 * A look is a few loads, and only a few writes go on in one turn of the event
 * loop.  But for its ticket nothing in shared memory refers to a request, so
 * it may end at any time.
 */


#define NGX_HTTP_CANARY_POLL     5  /* ms */
#define NGX_HTTP_CANARY_AT_ONCE  8  /* that go on before others are served */
#define NGX_HTTP_CANARY_STOPS    500    /* ms that what stops waits for a fleet
                                           to have it */


typedef struct {
    ngx_event_t       timer;
    ngx_connection_t  dumb;      /* the event's log line looks for one */
    ngx_queue_t       lines;     /* endpoints whose writes wait for a turn */
    ngx_uint_t        nlines;
    ngx_queue_t       pending;   /* writes: their change is, */
    ngx_queue_t       done;      /* it is done, but not in the file, */
    ngx_queue_t       ended;     /* or the wait is over */
} ngx_http_canary_waits_t;


static void ngx_http_canary_wait_in_line(ngx_http_canary_write_t *w);
static void ngx_http_canary_wait_timer(ngx_msec_t ms);
static void ngx_http_canary_wait_handler(ngx_event_t *ev);
static void ngx_http_canary_wait_sort(uint64_t now);
static ngx_uint_t ngx_http_canary_wait_ended(ngx_uint_t left);
static ngx_uint_t ngx_http_canary_wait_lines(ngx_uint_t left, uint64_t now);
static ngx_uint_t ngx_http_canary_wait_fleet(ngx_http_canary_write_t *w,
    uint64_t now);
static ngx_uint_t ngx_http_canary_wait_go_on(ngx_http_canary_write_t *w);


static ngx_http_canary_waits_t  ngx_http_canary_waits;


void
ngx_http_canary_wait(ngx_http_canary_write_t *w)
{
    ngx_http_canary_waits_t  *waits;

    waits = &ngx_http_canary_waits;

    if (waits->timer.handler == NULL) {
        waits->timer.handler = ngx_http_canary_wait_handler;
        waits->timer.data = &waits->dumb;
        waits->dumb.fd = (ngx_socket_t) -1;

        ngx_queue_init(&waits->lines);
        ngx_queue_init(&waits->pending);
        ngx_queue_init(&waits->done);
        ngx_queue_init(&waits->ended);
    }

    switch (w->wait) {

    case NGX_HTTP_CANARY_WAIT_TURN:
        ngx_http_canary_wait_in_line(w);
        break;

    case NGX_HTTP_CANARY_WAIT_FATE:
        ngx_queue_insert_tail(&waits->pending, &w->queue);
        break;

    default: /* NGX_HTTP_CANARY_WAIT_DURABLE */
        ngx_queue_insert_tail(&waits->done, &w->queue);
        break;
    }

    w->queued = 1;

    ngx_http_canary_wait_timer(NGX_HTTP_CANARY_POLL);
}


static void
ngx_http_canary_wait_in_line(ngx_http_canary_write_t *w)
{
    ngx_canary_endpoint_t    *endpoint;
    ngx_http_canary_waits_t  *waits;

    waits = &ngx_http_canary_waits;
    endpoint = w->endpoint;

    if (ngx_queue_empty(&endpoint->writes)) {
        ngx_queue_insert_tail(&waits->lines, &endpoint->line);
        waits->nlines++;
    }

    ngx_queue_insert_tail(&endpoint->writes, &w->queue);
    w->in_line = 1;
}


void
ngx_http_canary_wait_leave(ngx_http_canary_write_t *w)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = w->endpoint;

    if (w->queued) {
        ngx_queue_remove(&w->queue);

        if (w->in_line && ngx_queue_empty(&endpoint->writes)) {
            ngx_queue_remove(&endpoint->line);
            ngx_http_canary_waits.nlines--;
        }

        w->queued = 0;
        w->in_line = 0;
    }

    if (w->change.ticket) {
        ngx_canary_leave_turn(endpoint, &w->change);
    }
}


static void
ngx_http_canary_wait_timer(ngx_msec_t ms)
{
    ngx_event_t  *ev;

    ev = &ngx_http_canary_waits.timer;

    if (!ev->timer_set) {
        ev->log = ngx_cycle->log;
        ngx_add_timer(ev, ms);
    }
}


static void
ngx_http_canary_wait_handler(ngx_event_t *ev)
{
    uint64_t                  now;
    ngx_uint_t                left;
    ngx_http_canary_waits_t  *waits;

    now = ngx_canary_milliseconds();

    ngx_http_canary_wait_sort(now);

    left = ngx_http_canary_wait_ended(NGX_HTTP_CANARY_AT_ONCE);
    left = ngx_http_canary_wait_lines(left, now);

    waits = &ngx_http_canary_waits;

    if (!ngx_queue_empty(&waits->lines)
        || !ngx_queue_empty(&waits->pending)
        || !ngx_queue_empty(&waits->done)
        || !ngx_queue_empty(&waits->ended))
    {
        ngx_http_canary_wait_timer(left ? NGX_HTTP_CANARY_POLL : 1);
    }
}


/* nothing is answered here: that may end other requests */

static void
ngx_http_canary_wait_sort(uint64_t now)
{
    ngx_queue_t              *q, *next;
    ngx_http_canary_write_t  *w;
    ngx_http_canary_waits_t  *waits;

    waits = &ngx_http_canary_waits;

    for (q = ngx_queue_head(&waits->pending);
         q != ngx_queue_sentinel(&waits->pending);
         q = next)
    {
        next = ngx_queue_next(q);
        w = ngx_queue_data(q, ngx_http_canary_write_t, queue);

        if (ngx_http_canary_wait_due(w, now)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&waits->ended, q);
        }
    }

    while (!ngx_queue_empty(&waits->done)) {
        q = ngx_queue_head(&waits->done);
        w = ngx_queue_data(q, ngx_http_canary_write_t, queue);

        if (!ngx_http_canary_wait_due(w, now)) {
            break;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&waits->ended, q);
    }
}


/* returns how many others may still go on */

static ngx_uint_t
ngx_http_canary_wait_ended(ngx_uint_t left)
{
    ngx_queue_t              *q;
    ngx_http_canary_waits_t  *waits;

    waits = &ngx_http_canary_waits;

    while (left && !ngx_queue_empty(&waits->ended)) {
        q = ngx_queue_head(&waits->ended);

        left -= ngx_http_canary_wait_go_on(
                    ngx_queue_data(q, ngx_http_canary_write_t, queue));
    }

    return left;
}


/* each endpoint is looked at once, beginning where the last look ended */

static ngx_uint_t
ngx_http_canary_wait_lines(ngx_uint_t left, uint64_t now)
{
    ngx_uint_t                n;
    ngx_queue_t              *q;
    ngx_canary_endpoint_t    *endpoint;
    ngx_http_canary_write_t  *w;
    ngx_http_canary_waits_t  *waits;

    waits = &ngx_http_canary_waits;

    for (n = waits->nlines; n && left && waits->nlines; n--) {

        q = ngx_queue_head(&waits->lines);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&waits->lines, q);

        endpoint = ngx_queue_data(q, ngx_canary_endpoint_t, line);

        while (left && !ngx_queue_empty(&endpoint->writes)) {
            q = ngx_queue_head(&endpoint->writes);
            w = ngx_queue_data(q, ngx_http_canary_write_t, queue);

            if (!ngx_http_canary_wait_due(w, now)
                || !ngx_http_canary_wait_go_on(w))
            {
                break;
            }

            left--;
        }
    }

    return left;
}


/* whether it is worth while to take the lock */

ngx_uint_t
ngx_http_canary_wait_due(ngx_http_canary_write_t *w, uint64_t now)
{
    uint64_t              pending, sequence;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = w->endpoint->main->zone;
    shared = w->endpoint->shared;
    sequence = w->change.sequence;

    if (__atomic_load_n(&zone->superseded, __ATOMIC_RELAXED)
        || ngx_http_canary_too_late(w, now))
    {
        return 1;
    }

    pending = __atomic_load_n(&shared->pending.sequence, __ATOMIC_ACQUIRE);

    switch (w->wait) {

    case NGX_HTTP_CANARY_WAIT_TURN:
        return pending == 0 || ngx_canary_stopped(shared, &w->change);

    case NGX_HTTP_CANARY_WAIT_FATE:
        return pending != sequence;

    default: /* NGX_HTTP_CANARY_WAIT_DURABLE */
        return ngx_http_canary_will_last(w)
               || ngx_http_canary_wait_fleet(w, now)
               || __atomic_load_n(&zone->refused, __ATOMIC_ACQUIRE) >= sequence
               || ngx_canary_foreign(w->endpoint->main);
    }
}


/* what stops is done here: its caller does not wait long for the fleet */

static ngx_uint_t
ngx_http_canary_wait_fleet(ngx_http_canary_write_t *w, uint64_t now)
{
    return w->endpoint->main->zone->fleet != NULL
           && !canary_verb_exposes(w->change.command.verb)
           && now + NGX_CANARY_PATIENCE
              >= w->deadline + NGX_HTTP_CANARY_STOPS;
}


/* returns 0 if it stays where it is */

static ngx_uint_t
ngx_http_canary_wait_go_on(ngx_http_canary_write_t *w)
{
    ngx_int_t            rc;
    ngx_uint_t           in_line;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = w->request;
    c = r->connection;
    in_line = w->in_line;

    ngx_http_set_log_request(c->log, r);

    rc = w->over(w);

    if (rc == NGX_DECLINED && w->wait == NGX_HTTP_CANARY_WAIT_TURN
        && in_line)
    {
        return 0;
    }

    ngx_http_canary_wait_leave(w);

    if (rc == NGX_DECLINED) {
        ngx_http_canary_wait(w);
        return 1;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);

    return 1;
}


/* a worker that is to end does not wait for a writer that is gone */

ngx_uint_t
ngx_http_canary_too_late(ngx_http_canary_write_t *w, uint64_t now)
{
    uint64_t  heartbeat;

    if (now >= w->deadline) {
        return 1;
    }

    heartbeat = w->endpoint->main->zone->heartbeat;

    return (ngx_exiting || ngx_terminate) && now > heartbeat
           && now - heartbeat > NGX_CANARY_STALE;
}


ngx_uint_t
ngx_http_canary_will_last(ngx_http_canary_write_t *w)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = w->endpoint->main->zone;
    shared = w->endpoint->shared;

    return __atomic_load_n(&zone->durable, __ATOMIC_ACQUIRE)
           >= w->change.sequence
           && (zone->fleet == NULL
               || __atomic_load_n(&shared->agreed, __ATOMIC_ACQUIRE)
                  >= w->change.sequence);
}
