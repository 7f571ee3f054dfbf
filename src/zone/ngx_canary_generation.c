
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_generation.h"

#include "ngx_canary_shared.h"


/* ms until a worker that was started, and never seen, is taken for dead */

#define NGX_CANARY_EXPECTED       600000


static ngx_uint_t ngx_canary_named(ngx_canary_zone_t *zone,
    ngx_uint_t serial, ngx_uint_t wanted);


ngx_uint_t
ngx_canary_serial_alive(ngx_canary_zone_t *zone,
    ngx_uint_t first, ngx_uint_t last)
{
    ngx_canary_generation_t  *generation;

    for (generation = zone->generations;
         generation;
         generation = generation->next)
    {
        if (generation->serial >= first && generation->serial <= last
            && ngx_canary_generation_alive(generation))
        {
            return 1;
        }
    }

    return zone->unrecorded
           && zone->unrecorded >= first && zone->unrecorded_first <= last;
}


ngx_uint_t
ngx_canary_generation_alive(ngx_canary_generation_t *generation)
{
    return generation->processes
           || (generation->expected
               && ngx_canary_milliseconds() - generation->since
                  < NGX_CANARY_EXPECTED);
}


/* by the newest configuration, or by one that is about to be it */

static ngx_uint_t
ngx_canary_named(ngx_canary_zone_t *zone, ngx_uint_t serial, ngx_uint_t wanted)
{
    return serial >= zone->serial || wanted > zone->serial;
}


ngx_uint_t
ngx_canary_configured(ngx_canary_shared_t *shared)
{
    return ngx_canary_named(shared->zone, shared->serial, shared->wanted);
}


ngx_uint_t
ngx_canary_release_configured(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place)
{
    return ngx_canary_named(zone, place->serial, place->wanted);
}


ngx_uint_t
ngx_canary_release_in_use(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place)
{
    return ngx_canary_release_configured(zone, place)
           || ngx_canary_serial_alive(zone, place->first, place->serial);
}
