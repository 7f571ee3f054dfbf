
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_upstream.h"

#include "canary_outcome.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_attempt.h"
#include "ngx_canary_attempt_layout.h"
#include "ngx_canary_routing.h"

#include "ngx_http_canary_choice.h"
#include "ngx_http_canary_compat.h"
#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_facts.h"
#include "ngx_http_canary_fallback.h"
#include "ngx_http_canary_request.h"


/*
 * The balancer of an endpoint is a shell around the balancers of its
 * releases: it chooses a release, initializes that upstream's own balancer
 * and hands everything over to it, keeping the callbacks it has to call.
 *
 * When an attempt on the canary has failed and nginx asks for another peer,
 * the shell initializes the balancer of the stable release instead.  This is
 * done when the next peer is asked for, never when one is freed: that is
 * also done when a request ends.
 */


static ngx_inline ngx_int_t ngx_http_canary_attach(
    ngx_http_canary_peer_t *cp, ngx_http_request_t *r,
    ngx_http_upstream_t *u, ngx_canary_release_t *release);
static void ngx_http_canary_note_upload(ngx_canary_attempt_t *attempt);
static ngx_int_t ngx_http_canary_again(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc);
static ngx_inline ngx_int_t ngx_http_canary_get_inner(
    ngx_http_canary_peer_t *cp, ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_canary_no_live(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc);
static ngx_int_t ngx_http_canary_get_other(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc, ngx_canary_release_t *other);
static ngx_int_t ngx_http_canary_get_changed(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc);
static void ngx_http_canary_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_canary_free_any(ngx_peer_connection_t *pc,
    ngx_http_canary_peer_t *cp, ngx_uint_t state);
static void ngx_http_canary_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
#if (NGX_SSL || NGX_COMPAT)
static ngx_int_t ngx_http_canary_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_canary_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif
static void ngx_http_canary_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);

static ngx_int_t ngx_http_canary_switch(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc, ngx_canary_release_t *release);
static ngx_inline void ngx_http_canary_settle(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);
static void ngx_http_canary_account(ngx_http_canary_peer_t *cp,
    ngx_uint_t state);


ngx_int_t
ngx_http_canary_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t         *u;
    ngx_http_canary_ctx_t       *ctx;
    ngx_http_canary_peer_t      *cp;
    ngx_http_canary_choice_t    *choice;
    ngx_http_canary_srv_conf_t  *cscf;

    cscf = ngx_http_conf_upstream_srv_conf(us, ngx_http_canary_module);

    ctx = ngx_http_canary_choose(r, cscf->endpoint);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    choice = ctx->last;

    ngx_http_canary_settle(r, choice);

    cp = &ctx->peer;

    if (cp->request) {
        cp = ngx_pcalloc(r->pool, sizeof(ngx_http_canary_peer_t));
        if (cp == NULL) {
            return NGX_ERROR;
        }
    }

    cp->request = r;
    cp->choice = choice;
    cp->used = 0;
    cp->finalized = 0;
    cp->failed = 0;
    cp->switched = 0;

    cp->attempt.endpoint = choice->endpoint;
    cp->attempt.reason = choice->reason;
    cp->attempt.role = choice->role;
    cp->attempt.response = 0;
    cp->attempt.state = NGX_CANARY_ENDED;

    if (ngx_canary_rarely(r->request_body_no_buffering)) {
        ngx_http_canary_note_upload(&cp->attempt);
    }

    cp->headers = r->headers_out.headers.last;
    cp->nheaders = cp->headers->nelts;

    u = r->upstream;

    if (ngx_http_canary_attach(cp, r, u, choice->release) != NGX_OK) {
        return NGX_ERROR;
    }

    /* tells how a request ended, right before its last peer is freed */

    cp->finalize_request = u->finalize_request;
    u->finalize_request = ngx_http_canary_finalize_request;

    if (ngx_http_canary_is_canary(cp) && ngx_http_canary_fallback(cp, 1)) {
        u->peer.tries++;
    }

    return NGX_OK;
}


/* the request body goes to the peer as it comes from the client */

static ngx_canary_noinline void
ngx_http_canary_note_upload(ngx_canary_attempt_t *attempt)
{
    switch (attempt->reason) {

    case NGX_CANARY_BY_WEIGHT:
    case NGX_CANARY_BY_WEIGHT_WARMING:
        attempt->reason = NGX_CANARY_BY_WEIGHT_UPLOAD;
        break;

    case NGX_CANARY_BY_KEY:
    case NGX_CANARY_BY_KEY_WARMING:
        attempt->reason = NGX_CANARY_BY_KEY_UPLOAD;
        break;

    default:
        break;
    }
}


ngx_canary_attempt_t *
ngx_http_canary_last_attempt(ngx_http_request_t *r)
{
    ngx_http_canary_peer_t  *cp;

    if (r->upstream == NULL
        || r->upstream->peer.get != ngx_http_canary_get_peer)
    {
        return NULL;
    }

    cp = r->upstream->peer.data;

    return &cp->attempt;
}


/*
 * A choice may be older than this moment: a cache lock, or another request
 * to the same endpoint for the same client's request, may have come between.
 * If its canary has been rolled back since, stable serves.
 */

static ngx_inline void
ngx_http_canary_settle(ngx_http_request_t *r, ngx_http_canary_choice_t *choice)
{
    ngx_canary_routing_t  *routing;

    if (choice->role == NGX_CANARY_CANARY
        && choice->reason != NGX_CANARY_BY_FORCE)
    {
        routing = ngx_canary_routing(choice->endpoint);

        if (choice->release->id != routing->route.canary
            && choice->release->id != routing->route.stable)
        {
            choice->first = choice->release;
            choice->word = routing->word;
            choice->release = routing->stable;
            choice->role = NGX_CANARY_STABLE;
            choice->moved = 1;
        }
    }

    if (choice->moved) {
        ngx_http_canary_keep_uncached(r, choice);
    }
}


/*
 * Makes the balancer of a release that of the request.  A balancer takes
 * what it finds in peer.data for its own, and keepalive takes what it finds
 * in peer.notify for the original: both have to be empty.  Where peers come
 * from shared memory nginx looks at u->upstream for how long to keep them.
 * The tries are those of the release: who switches sets those of the request.
 */

static ngx_inline ngx_int_t
ngx_http_canary_attach(ngx_http_canary_peer_t *cp, ngx_http_request_t *r,
    ngx_http_upstream_t *u, ngx_canary_release_t *release)
{
    ngx_peer_connection_t         *pc;
    ngx_http_upstream_srv_conf_t  *us;

    pc = &u->peer;
    us = release->upstream;

    cp->attempt.release = release;
    u->upstream = us;

    pc->data = NULL;
    pc->notify = NULL;

#if (NGX_HTTP_CANARY_HAVE_SID)
    pc->hint = NULL;
    pc->sid = NULL;
#endif

#if (NGX_HTTP_CANARY_HAVE_RESOLVE)
    cp->config = ngx_http_canary_peers_config(us);
#endif

    if (us->peer.init(r, us) != NGX_OK) {
        pc->data = cp;
        return NGX_ERROR;
    }

    cp->tries = pc->tries;
    cp->get = pc->get;
    cp->free = pc->free;
    cp->notify = pc->notify;
    cp->data = pc->data;

    pc->get = ngx_http_canary_get_peer;
    pc->free = ngx_http_canary_free_peer;
    pc->data = cp;

    if (pc->notify) {
        pc->notify = ngx_http_canary_notify_peer;
    }

#if (NGX_SSL || NGX_COMPAT)
    cp->set_session = pc->set_session;
    cp->save_session = pc->save_session;

    pc->set_session = ngx_http_canary_set_session;
    pc->save_session = ngx_http_canary_save_session;
#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_canary_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_canary_peer_t  *cp = data;

    ngx_int_t  rc;

    if (cp->used && ngx_http_canary_again(cp, pc) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_canary_get_inner(cp, pc);

    if (rc == NGX_BUSY) {
        rc = ngx_http_canary_no_live(cp, pc);
    }

    if (rc == NGX_ERROR || rc == NGX_BUSY) {
        pc->sockaddr = NULL;
        return rc;
    }

    cp->used++;

    ngx_canary_attempt_begin(&cp->attempt);

    return rc;
}


/* another attempt: where it is to be made */

static ngx_canary_noinline ngx_int_t
ngx_http_canary_again(ngx_http_canary_peer_t *cp, ngx_peer_connection_t *pc)
{
    ngx_canary_release_t  *stable;

    if (cp->failed && ngx_http_canary_is_canary(cp)) {
        stable = ngx_http_canary_fallback(cp, 1);

        if (stable && ngx_http_canary_switch(cp, pc, stable) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* nginx gives back the try that a dead kept connection took */

    if (!cp->failed) {
        cp->tries++;
        cp->used--;
    }

    cp->failed = 0;

    return NGX_OK;
}


/*
 * Both sides count tries: nginx those of the request, the balancer those of
 * its release.  What the balancer adds or takes away is passed on.
 */

static ngx_inline ngx_int_t
ngx_http_canary_get_inner(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc)
{
    ngx_int_t   rc;
    ngx_uint_t  tries;

    tries = pc->tries;

    pc->tries = cp->tries;
    rc = cp->get(pc, cp->data);

    if (pc->tries != cp->tries) {

        if (pc->tries > cp->tries) {
            tries += pc->tries - cp->tries;
        }

        cp->tries = pc->tries;
    }

    pc->tries = tries;

    return rc;
}


/*
 * No peer of the release can be had.  nginx would end the request with 502,
 * and would not call free(): so it is counted here, and here is where the
 * other release is tried.  While that one serves, the breaker of nginx has
 * spoken, and not the release; else it is a failure of the one that was chosen
 * first.
 */

static ngx_canary_noinline ngx_int_t
ngx_http_canary_no_live(ngx_http_canary_peer_t *cp, ngx_peer_connection_t *pc)
{
    ngx_int_t              rc;
    ngx_canary_release_t  *other;
    ngx_canary_attempt_t   first, second;

    rc = ngx_http_canary_get_changed(cp, pc);

    if (rc != NGX_BUSY) {
        return rc;
    }

    first = cp->attempt;
    other = ngx_http_canary_fallback(cp, cp->used != 0);

    if (other) {
        rc = ngx_http_canary_get_other(cp, pc, other);
    }

    if (rc != NGX_BUSY) {
        ngx_canary_count_no_live(&first, rc != NGX_ERROR);
        return rc;
    }

    second = cp->attempt;
    cp->attempt = first;

    ngx_canary_attempt_no_live(&cp->attempt);

    if (other) {
        cp->attempt = second;
    }

    pc->name = &cp->attempt.endpoint->name;

    return NGX_BUSY;
}


static ngx_int_t
ngx_http_canary_get_other(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc, ngx_canary_release_t *other)
{
    ngx_int_t  rc;

    ngx_log_error(NGX_LOG_WARN, pc->log, 0,
                  "canary: no live upstreams in release \"%V\" of \"%V\", "
                  "trying release \"%V\"", &cp->attempt.release->name,
                  &cp->attempt.endpoint->name, &other->name);

    if (ngx_http_canary_switch(cp, pc, other) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_canary_get_inner(cp, pc);

    return (rc == NGX_BUSY) ? ngx_http_canary_get_changed(cp, pc) : rc;
}


/*
 * A balancer also gives no peer when the names of its servers have been
 * resolved to others since it was initialized: it is initialized once more,
 * for the servers that there are now.
 */

static ngx_int_t
ngx_http_canary_get_changed(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc)
{
#if (NGX_HTTP_CANARY_HAVE_RESOLVE)

    ngx_uint_t             tries;
    ngx_http_request_t    *r;
    ngx_canary_release_t  *release;

    r = cp->request;
    release = cp->attempt.release;

    if (ngx_http_canary_peers_config(release->upstream) == cp->config) {
        return NGX_BUSY;
    }

    tries = pc->tries;

    ngx_http_canary_drop_cookies(cp);

    if (ngx_http_canary_attach(cp, r, r->upstream, release) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a name that keeps changing does not make the tries anew */

    pc->tries = tries;
    ngx_http_canary_limit_tries(cp, pc);

    return ngx_http_canary_get_inner(cp, pc);

#else

    return NGX_BUSY;

#endif
}


static ngx_int_t
ngx_http_canary_switch(ngx_http_canary_peer_t *cp, ngx_peer_connection_t *pc,
    ngx_canary_release_t *release)
{
    ngx_uint_t           limit, tries;
    ngx_http_request_t  *r;

    r = cp->request;

    /* attempts on stable have been some of those that there may be */

    tries = (cp->used && !ngx_http_canary_is_canary(cp)) ? pc->tries
                                                         : (ngx_uint_t) -1;

    ngx_http_canary_move(cp, release);

    if (ngx_http_canary_attach(cp, r, r->upstream, release) != NGX_OK) {
        return NGX_ERROR;
    }

    /* nginx applies the limit only once, before the first attempt */

    limit = r->upstream->conf->next_upstream_tries;

    pc->tries = ngx_min(cp->tries, tries);

    if (limit) {
        limit = (limit > cp->used) ? limit - cp->used : 1;
        pc->tries = ngx_min(pc->tries, limit);
    }

    return NGX_OK;
}


/*
 * Most attempts end well, were counted when their header came, and are the
 * last of their request: nothing is left to be done, and nobody counts tries
 * any more.
 */

static void
ngx_http_canary_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_canary_peer_t  *cp = data;

    if (state || !cp->finalized || cp->rc != NGX_OK
        || cp->attempt.state != NGX_CANARY_COUNTED)
    {
        ngx_http_canary_free_any(pc, cp, state);
        return;
    }

    cp->attempt.state = NGX_CANARY_ENDED;

    pc->tries = cp->tries;
    cp->free(pc, cp->data, 0);
}


static ngx_canary_noinline void
ngx_http_canary_free_any(ngx_peer_connection_t *pc, ngx_http_canary_peer_t *cp,
    ngx_uint_t state)
{
    ngx_uint_t  tries;

    /* keepalive may take the connection: it is looked at before that */

    ngx_http_canary_account(cp, state);

    tries = pc->tries;

    pc->tries = cp->tries;
    cp->free(pc, cp->data, state);
    cp->tries = pc->tries;

    pc->tries = tries ? tries - 1 : 0;

    if (state) {
        ngx_http_canary_limit_tries(cp, pc);
    }
}


static void
ngx_http_canary_notify_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_canary_peer_t  *cp = data;

    cp->notify(pc, cp->data, type);
}


#if (NGX_SSL || NGX_COMPAT)

static ngx_int_t
ngx_http_canary_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_canary_peer_t  *cp = data;

    return cp->set_session(pc, cp->data);
}


static void
ngx_http_canary_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_canary_peer_t  *cp = data;

    cp->save_session(pc, cp->data);
}

#endif


static void
ngx_http_canary_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_canary_peer_t  *cp;

    cp = r->upstream->peer.data;

    cp->rc = rc;
    cp->finalized = 1;

    cp->finalize_request(r, rc);
}


static void
ngx_http_canary_account(ngx_http_canary_peer_t *cp, ngx_uint_t state)
{
    uint64_t             elapsed, header;
    canary_facts_t       facts;
    ngx_http_request_t  *r;

    r = cp->request;

    ngx_http_canary_facts(r, state, &facts);

    if (cp->finalized) {
        ngx_http_canary_facts_of_end(r, cp->rc, &facts);
    }

    elapsed = ngx_canary_attempt_elapsed(&cp->attempt);

    /*
     * A header that no filter has seen, though the response went on for
     * long after it: what nginx measured in milliseconds is the better time.
     */

    if (facts.header && !cp->attempt.response
        && cp->attempt.endpoint->latency == NGX_CANARY_LATENCY_HEADER)
    {
        header = (uint64_t) r->upstream->state->header_time * 1000;

        if (elapsed > header + 2000) {
            elapsed = header;
        }
    }

    ngx_canary_attempt_end(&cp->attempt, &facts,
                           facts.header ? ngx_http_canary_grpc_status(r)
                                        : -1,
                           elapsed);

    /* a dead kept connection is tried again where it was */

    cp->failed = facts.failed
                 && canary_outcome(&facts) != CANARY_OUTCOME_IGNORED;
}
