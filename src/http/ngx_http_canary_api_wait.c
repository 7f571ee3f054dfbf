
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"


/*
 * A write is answered when the state file has it, and that is for another
 * process to do.  The request looks at shared memory every few milliseconds;
 * nothing in there refers to it, so it may end at any time.
 */


#define NGX_HTTP_CANARY_POLL  5  /* ms */


static void ngx_http_canary_wait_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_canary_wait_over(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_wait_turn(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_wait_fate(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_wait_durable(ngx_http_canary_write_t *w);
static ngx_uint_t ngx_http_canary_too_late(ngx_http_canary_write_t *w,
    uint64_t now);
static ngx_int_t ngx_http_canary_not_written(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_was_cancelled(ngx_http_canary_write_t *w);


void
ngx_http_canary_write_wait(ngx_http_canary_write_t *w)
{
    ngx_http_request_t  *r;

    r = w->request;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    w->timer.handler = ngx_http_canary_wait_handler;
    w->timer.data = r->connection;
    w->timer.log = r->connection->log;

    ngx_add_timer(&w->timer, NGX_HTTP_CANARY_POLL);
}


static void
ngx_http_canary_wait_handler(ngx_event_t *ev)
{
    ngx_int_t                 rc;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_canary_write_t  *w;

    w = (ngx_http_canary_write_t *)
            ((u_char *) ev - offsetof(ngx_http_canary_write_t, timer));

    r = w->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_canary_wait_over(w);

    if (rc == NGX_DECLINED) {
        ngx_add_timer(ev, NGX_HTTP_CANARY_POLL);
        return;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* the answer; NGX_DECLINED: not yet */

static ngx_int_t
ngx_http_canary_wait_over(ngx_http_canary_write_t *w)
{
    switch (w->wait) {

    case NGX_HTTP_CANARY_WAIT_TURN:
        return ngx_http_canary_wait_turn(w);

    case NGX_HTTP_CANARY_WAIT_FATE:
        return ngx_http_canary_wait_fate(w);

    default: /* NGX_HTTP_CANARY_WAIT_DURABLE */
        return ngx_http_canary_wait_durable(w);
    }
}


static ngx_int_t
ngx_http_canary_wait_turn(ngx_http_canary_write_t *w)
{
    if (ngx_http_canary_too_late(w, ngx_http_canary_milliseconds())) {
        return w->waiter->vain(w, NGX_HTTP_CANARY_VAIN_NOT_WRITTEN);
    }

    return w->waiter->retry(w);
}


static ngx_int_t
ngx_http_canary_wait_fate(ngx_http_canary_write_t *w)
{
    uint64_t                        now;
    ngx_uint_t                      superseded;
    ngx_http_canary_fate_e          fate;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_zone_shared_t  *sh;

    cmcf = w->endpoint->main;
    sh = cmcf->sh;
    shared = w->endpoint->shared;
    now = ngx_http_canary_milliseconds();

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    superseded = sh->superseded;
    fate = ngx_http_canary_fate(shared, w->change.sequence);

    if (fate == NGX_HTTP_CANARY_IS_PENDING && !superseded
        && ngx_http_canary_too_late(w, now))
    {
        ngx_http_canary_conclude(sh, cmcf->shpool, shared,
                                 NGX_HTTP_CANARY_NOT_WRITTEN, now,
                                 w->request->connection->log);

        fate = ngx_http_canary_fate(shared, w->change.sequence);
    }

    ngx_shmtx_unlock(&cmcf->shpool->mutex);

    switch (fate) {

    case NGX_HTTP_CANARY_IS_PENDING:
        return superseded
               ? w->waiter->vain(w, NGX_HTTP_CANARY_VAIN_SUPERSEDED)
               : NGX_DECLINED;

    case NGX_HTTP_CANARY_APPLIED:
        return w->waiter->done(w, 1);

    case NGX_HTTP_CANARY_CANCELLED:
        return w->waiter->vain(w, NGX_HTTP_CANARY_VAIN_CANCELLED);

    default: /* NGX_HTTP_CANARY_NOT_WRITTEN, NGX_HTTP_CANARY_FORGOTTEN */
        return w->waiter->vain(w, NGX_HTTP_CANARY_VAIN_NOT_WRITTEN);
    }
}


static ngx_int_t
ngx_http_canary_wait_durable(ngx_http_canary_write_t *w)
{
    ngx_uint_t                      durable, refused;
    ngx_http_canary_main_conf_t    *cmcf;
    ngx_http_canary_zone_shared_t  *sh;

    cmcf = w->endpoint->main;
    sh = cmcf->sh;

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    durable = (sh->durable >= w->change.sequence);
    refused = (sh->refused >= w->change.sequence || sh->foreign
               || sh->superseded
               || ngx_http_canary_too_late(w,
                                           ngx_http_canary_milliseconds()));

    ngx_shmtx_unlock(&cmcf->shpool->mutex);

    return (durable || refused) ? w->waiter->done(w, durable) : NGX_DECLINED;
}


/* a worker that is to end does not wait for a writer that is gone */

static ngx_uint_t
ngx_http_canary_too_late(ngx_http_canary_write_t *w, uint64_t now)
{
    uint64_t  heartbeat;

    if (now >= w->deadline) {
        return 1;
    }

    heartbeat = w->endpoint->main->sh->heartbeat;

    return (ngx_exiting || ngx_terminate) && now > heartbeat
           && now - heartbeat > NGX_HTTP_CANARY_STALE;
}


ngx_int_t
ngx_http_canary_write_vain(ngx_http_canary_write_t *w,
    ngx_http_canary_vain_e why)
{
    switch (why) {

    case NGX_HTTP_CANARY_VAIN_CANCELLED:
        return ngx_http_canary_was_cancelled(w);

    case NGX_HTTP_CANARY_VAIN_SUPERSEDED:
        return ngx_http_canary_write_superseded(w);

    default: /* NGX_HTTP_CANARY_VAIN_NOT_WRITTEN */
        return ngx_http_canary_not_written(w);
    }
}


static ngx_int_t
ngx_http_canary_not_written(ngx_http_canary_write_t *w)
{
    ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

    if (w->snapshot.problem[0]) {
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nothing was changed: %s",
                                       w->snapshot.problem);
    }

    if (ngx_http_canary_milliseconds() < w->deadline) {
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nothing was changed: the state file "
                                       "was not written; try again");
    }

    return ngx_http_canary_problem(w->request, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "nothing was changed: the state file was "
                                   "not written within %d seconds",
                                   NGX_HTTP_CANARY_PATIENCE / 1000);
}


static ngx_int_t
ngx_http_canary_was_cancelled(ngx_http_canary_write_t *w)
{
    canary_rollout_t  *rollout;

    ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

    rollout = &w->snapshot.record.rollout;

    if (ngx_http_canary_add_etag(w->request, rollout->generation) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_problem_verbs(w->request,
                                         canary_rollout_verbs(rollout),
                                         "%s was cancelled before it took "
                                         "effect: \"%V\" has become %s",
                                         canary_verb_name(w->verb),
                                         &w->endpoint->name,
                                         canary_phase_name(rollout->phase));
}
