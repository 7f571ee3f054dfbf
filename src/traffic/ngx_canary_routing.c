
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_routing.h"

#include "canary_route.h"
#include "canary_split.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


static ngx_uint_t ngx_canary_strings(ngx_canary_endpoint_t *endpoint,
    const canary_route_t *route);


void
ngx_canary_reroute(ngx_canary_endpoint_t *endpoint, uint64_t word)
{
    ngx_canary_shared_t   *shared;
    ngx_canary_routing_t  *routing;

    shared = endpoint->shared;
    routing = &endpoint->routing;

    routing->word = word;
    routing->route = canary_route_decode(word);
    routing->stable = ngx_canary_stable(endpoint, routing->route.stable);
    routing->canary = ngx_canary_release(endpoint, routing->route.canary);

    routing->step = routing->canary ? canary_split_step(routing->route.weight)
                                    : 0;
    routing->by_strings = ngx_canary_strings(endpoint, &routing->route);
    routing->phase = shared->phases + ngx_worker % shared->nphases
                                 * (NGX_CANARY_LINE / sizeof(uint32_t));
}


static ngx_uint_t
ngx_canary_strings(ngx_canary_endpoint_t *endpoint,
    const canary_route_t *route)
{
    if (endpoint->force.value || endpoint->only.value
        || endpoint->exclude.value || endpoint->warmup || route->watched)
    {
        return NGX_CANARY_ANY_STRING;
    }

    return (endpoint->key.value && route->phase != CANARY_IDLE)
           ? NGX_CANARY_KEY_ALONE : NGX_CANARY_NO_STRING;
}
