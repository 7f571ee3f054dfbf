
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_conf.h"
#include "ngx_canary_redis.h"
#include "ngx_canary_shared.h"


/* The helper's part in the fleet. */


static void ngx_canary_fleet_ready(ngx_canary_redis_t *redis);
static void ngx_canary_fleet_lost(ngx_canary_redis_t *redis);


static const ngx_canary_redis_events_t  ngx_canary_fleet_events = {
    ngx_canary_fleet_ready,
    ngx_canary_fleet_lost
};


static ngx_canary_redis_t      *ngx_canary_fleet_redis;
static ngx_canary_main_conf_t  *ngx_canary_fleet_of;


/* only the helper of the newest configuration has a connection */

void
ngx_canary_fleet(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    if (ngx_canary_fleet_of != cmcf) {
        ngx_canary_fleet_finish(cmcf);
        ngx_canary_fleet_of = cmcf;
    }

    if (cmcf->fleet == NULL) {
        return;
    }

    if (cmcf->zone->superseded || cmcf->zone->serial != cmcf->serial) {
        ngx_canary_fleet_finish(cmcf);
        return;
    }

    if (ngx_canary_fleet_redis == NULL) {
        ngx_canary_fleet_redis = ngx_canary_redis_create(&cmcf->fleet->redis,
                                    &ngx_canary_fleet_events, cmcf->fleet,
                                    ngx_cycle->log);
        if (ngx_canary_fleet_redis == NULL) {
            return;
        }

        ngx_canary_redis_connect(ngx_canary_fleet_redis);
    }
}


void
ngx_canary_fleet_finish(ngx_canary_main_conf_t *cmcf)
{
    if (ngx_canary_fleet_redis) {
        ngx_canary_redis_destroy(ngx_canary_fleet_redis);
        ngx_canary_fleet_redis = NULL;
    }
}


static void
ngx_canary_fleet_ready(ngx_canary_redis_t *redis)
{
    ngx_canary_fleet_conf_t  *fleet;

    fleet = ngx_canary_redis_data(redis);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "canary: fleet \"%V\" is connected to Redis at \"%V\"",
                  &fleet->name, &ngx_canary_redis_status(redis)->address);
}


static void
ngx_canary_fleet_lost(ngx_canary_redis_t *redis)
{
}
