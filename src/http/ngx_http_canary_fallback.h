
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FALLBACK_H_INCLUDED_
#define _NGX_HTTP_CANARY_FALLBACK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_request.h"


/* the release that may finish a request instead of its own, as a retry or at
   its first attempt; NULL: none */
ngx_canary_release_t *ngx_http_canary_fallback(ngx_http_canary_peer_t *cp,
    ngx_uint_t retry);

/* makes that release the one of the request, all but its balancer */
void ngx_http_canary_move(ngx_http_canary_peer_t *cp,
    ngx_canary_release_t *release);

/* what the balancer of a release that is left has set is not sent */
void ngx_http_canary_drop_cookies(ngx_http_canary_peer_t *cp);

/* the tries that are left, when a peer has been given back or made anew */
void ngx_http_canary_limit_tries(ngx_http_canary_peer_t *cp,
    ngx_peer_connection_t *pc);

/* the answer is not stored under a key that names another release */
void ngx_http_canary_keep_uncached(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);


#endif /* _NGX_HTTP_CANARY_FALLBACK_H_INCLUDED_ */
