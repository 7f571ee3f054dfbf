
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_GENERATION_H_INCLUDED_
#define _NGX_CANARY_GENERATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/*
 * Which configurations are in use, and what they name, under the lock: a
 * generation is the processes of one.
 */


/* whether a process is alive that has a configuration with one of these serial
   numbers; or with that of a generation */
ngx_uint_t ngx_canary_serial_alive(ngx_canary_zone_t *zone,
    ngx_uint_t first, ngx_uint_t last);
ngx_uint_t ngx_canary_generation_alive(ngx_canary_generation_t *generation);

/* by the newest configuration, or by one that is being registered */
ngx_uint_t ngx_canary_configured(ngx_canary_shared_t *shared);
ngx_uint_t ngx_canary_release_configured(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place);

/* so it is, or a living process has a configuration with it */
ngx_uint_t ngx_canary_release_in_use(ngx_canary_zone_t *zone,
    ngx_canary_release_shared_t *place);


/* whether this is the configuration that decides what becomes of the zone */

static ngx_inline ngx_uint_t
ngx_canary_is_newest(ngx_canary_main_conf_t *cmcf)
{
    return !cmcf->zone->superseded && cmcf->zone->serial == cmcf->serial;
}


#endif /* _NGX_CANARY_GENERATION_H_INCLUDED_ */
