
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"
#include "ngx_http_canary_generation.h"


/* ms until a worker that was started, and never seen, is taken for dead */

#define NGX_HTTP_CANARY_EXPECTED  600000


static ngx_uint_t ngx_http_canary_named(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t serial, ngx_uint_t wanted);


ngx_uint_t
ngx_http_canary_serial_alive(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t first, ngx_uint_t last)
{
    ngx_http_canary_generation_t  *generation;

    for (generation = sh->generations;
         generation;
         generation = generation->next)
    {
        if (generation->serial >= first && generation->serial <= last
            && ngx_http_canary_generation_alive(generation))
        {
            return 1;
        }
    }

    return sh->unrecorded
           && sh->unrecorded >= first && sh->unrecorded_first <= last;
}


ngx_uint_t
ngx_http_canary_generation_alive(ngx_http_canary_generation_t *generation)
{
    return generation->processes
           || (generation->expected
               && ngx_http_canary_milliseconds() - generation->since
                  < NGX_HTTP_CANARY_EXPECTED);
}


/* by the newest configuration, or by one that is about to be it */

static ngx_uint_t
ngx_http_canary_named(ngx_http_canary_zone_shared_t *sh, ngx_uint_t serial,
    ngx_uint_t wanted)
{
    return serial >= sh->serial || wanted > sh->serial;
}


ngx_uint_t
ngx_http_canary_configured(ngx_http_canary_shared_t *shared)
{
    return ngx_http_canary_named(shared->zone, shared->serial, shared->wanted);
}


ngx_uint_t
ngx_http_canary_release_configured(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_release_shared_t *place)
{
    return ngx_http_canary_named(sh, place->serial, place->wanted);
}


ngx_uint_t
ngx_http_canary_release_in_use(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_release_shared_t *place)
{
    return ngx_http_canary_release_configured(sh, place)
           || ngx_http_canary_serial_alive(sh, place->first, place->serial);
}
