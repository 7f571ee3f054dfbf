
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_routing.h"


void
ngx_http_canary_reroute(ngx_http_canary_endpoint_t *endpoint, uint64_t word)
{
    ngx_http_canary_shared_t   *shared;
    ngx_http_canary_routing_t  *routing;

    shared = endpoint->shared;
    routing = &endpoint->routing;

    routing->word = word;
    routing->route = canary_route_decode(word);
    routing->stable = ngx_http_canary_stable(endpoint, routing->route.stable);
    routing->canary = ngx_http_canary_release(endpoint, routing->route.canary);

    routing->step = routing->canary ? canary_split_step(routing->route.weight)
                                    : 0;
    routing->by_strings = endpoint->force
                          || (endpoint->key
                              && routing->route.phase != CANARY_IDLE);
    routing->phase = shared->phases + ngx_worker % shared->nphases
                                 * (NGX_HTTP_CANARY_LINE / sizeof(uint32_t));
}
