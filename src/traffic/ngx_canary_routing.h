
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ROUTING_H_INCLUDED_
#define _NGX_CANARY_ROUTING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* What requests to an endpoint are routed by. */


/* when the routing word has changed */
void ngx_canary_reroute(ngx_canary_endpoint_t *endpoint, uint64_t word);


/* the release of an id; NULL: not in this configuration */

static ngx_inline ngx_canary_release_t *
ngx_canary_release(ngx_canary_endpoint_t *endpoint, uint32_t id)
{
    ngx_uint_t             i;
    ngx_canary_release_t  *releases;

    i = endpoint->by_id[id & 0xff];
    releases = endpoint->releases.elts;

    return (i < endpoint->releases.nelts) ? &releases[i] : NULL;
}


/* the stable release of a routing word, or the first if it is not known */

static ngx_inline ngx_canary_release_t *
ngx_canary_stable(ngx_canary_endpoint_t *endpoint, uint32_t id)
{
    ngx_canary_release_t  *release;

    release = ngx_canary_release(endpoint, id);

    return release ? release : endpoint->releases.elts;
}


/* all that requests are routed by, in one atomic load */

static ngx_inline uint64_t
ngx_canary_word(ngx_canary_endpoint_t *endpoint)
{
    return __atomic_load_n(&endpoint->shared->route, __ATOMIC_ACQUIRE);
}


static ngx_inline canary_route_t
ngx_canary_route(ngx_canary_endpoint_t *endpoint)
{
    return canary_route_decode(ngx_canary_word(endpoint));
}


/* what that comes to; good until the endpoint is routed again */

static ngx_inline ngx_canary_routing_t *
ngx_canary_routing(ngx_canary_endpoint_t *endpoint)
{
    uint64_t  word;

    word = ngx_canary_word(endpoint);

    if (ngx_canary_rarely(word != endpoint->routing.word)) {
        ngx_canary_reroute(endpoint, word);
    }

    return &endpoint->routing;
}


#endif /* _NGX_CANARY_ROUTING_H_INCLUDED_ */
