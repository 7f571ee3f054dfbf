
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_fallback.h"

#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_attempt_layout.h"
#include "ngx_canary_routing.h"

#include "ngx_http_canary_compat.h"
#include "ngx_http_canary_facts.h"
#include "ngx_http_canary_request.h"


/* What a request does that is finished on another release than its own. */


static ngx_uint_t ngx_http_canary_may_retry(ngx_http_request_t *r);


/*
 * The release that may finish this request instead of its own: stable for
 * the canary, and the canary, while there is a rollout, for a stable release
 * that has no live peer.  A request is switched once.  It is a retry when a
 * peer has been asked before.
 */

ngx_canary_release_t *
ngx_http_canary_fallback(ngx_http_canary_peer_t *cp, ngx_uint_t retry)
{
    canary_route_t          route;
    ngx_canary_release_t   *release;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = cp->attempt.endpoint;

    if (!endpoint->fallback || cp->switched
        || cp->attempt.reason == NGX_CANARY_BY_FORCE
        || (retry && !ngx_http_canary_may_retry(cp->request)))
    {
        return NULL;
    }

    route = ngx_canary_route(endpoint);

    if (ngx_http_canary_is_canary(cp)) {
        release = ngx_canary_stable(endpoint, route.stable);

    } else if (route.phase != CANARY_IDLE
               && cp->attempt.reason != NGX_CANARY_BY_FALLBACK)
    {
        release = ngx_canary_release(endpoint, route.canary);

    } else {
        release = NULL;
    }

    return (release == cp->attempt.release) ? NULL : release;
}


static ngx_uint_t
ngx_http_canary_may_retry(ngx_http_request_t *r)
{
#if (NGX_HTTP_CANARY_GRPC_RETRY_UNSAFE)
    return !ngx_http_canary_is_grpc(r);
#else
    return 1;
#endif
}


void
ngx_http_canary_move(ngx_http_canary_peer_t *cp, ngx_canary_release_t *release)
{
    ngx_http_canary_choice_t  *choice;

    choice = cp->choice;

    cp->switched = 1;

    cp->attempt.reason = NGX_CANARY_BY_FALLBACK;
    cp->attempt.role = ngx_http_canary_is_canary(cp)
                       ? NGX_CANARY_STABLE : NGX_CANARY_CANARY;

    if (!choice->moved) {
        choice->first = choice->release;
    }

    /* for what else the client's request still needs */

    choice->release = release;
    choice->reason = cp->attempt.reason;
    choice->role = cp->attempt.role;
    choice->moved = 1;

    ngx_http_canary_drop_cookies(cp);

    ngx_http_canary_keep_uncached(cp->request, choice);
}


/*
 * Balancers that stick clients to servers set their cookies as soon as they
 * have chosen a server: that of a release which is left must not be sent.
 */

void
ngx_http_canary_drop_cookies(ngx_http_canary_peer_t *cp)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = cp->headers;

    for (i = cp->nheaders; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            i = 0;
        }

        h = (ngx_table_elt_t *) part->elts + i;

        if (h->key.len == sizeof("Set-Cookie") - 1
            && ngx_strncasecmp(h->key.data, (u_char *) "Set-Cookie",
                               sizeof("Set-Cookie") - 1)
               == 0)
        {
            h->hash = 0;
        }
    }
}


/*
 * Between two releases only nginx's own count matters; within one, the
 * balancer may have run out of peers before.
 */

void
ngx_http_canary_limit_tries(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc)
{
    if (!(ngx_http_canary_is_canary(cp) && ngx_http_canary_fallback(cp, 1))) {
        pc->tries = ngx_min(pc->tries, cp->tries);
    }
}


/*
 * The answer of one release is not stored under a key that names another.  The
 * key may have been made by a subrequest that waited for a lock meanwhile.  Nor
 * does a 304 of it renew what is stored: nginx does that only if the file is
 * still the one that the request has opened.
 */

void
ngx_http_canary_keep_uncached(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice)
{
#if (NGX_HTTP_CACHE)

    if (choice->in_cache_key) {
        r->upstream->cacheable = 0;

        if (r->cache) {
            r->cache->uniq = 0;
        }
    }

#endif
}
