
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_record.h"

#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_shared.h"


void
ngx_canary_repair(ngx_canary_shared_t *shared)
{
    uint64_t        word;
    canary_route_t  route;

    route = canary_rollout_route(&ngx_canary_record(shared)->rollout);

    /* a node that does not know yet what the fleet has become */

    if (shared->zone->fleet
        && (shared->zone->fleet->stable || shared->unmet))
    {
        route.weight = 0;
        route.canary = CANARY_NO_RELEASE;
        route.phase = CANARY_IDLE;
    }

    word = canary_route_encode(&route);

    if (word != shared->route) {
        __atomic_store_n(&shared->route, word, __ATOMIC_RELEASE);
    }
}
