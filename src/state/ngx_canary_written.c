
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_written.h"

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_pending.h"


/*
 * What comes of a write of the state file: pending changes take effect or do
 * not, and a problem is known until a write has worked.
 */


#define NGX_CANARY_RETRY  500   /* ms until a failed write is tried again
                                   without a reason to */


static ngx_canary_fate_e ngx_canary_fleet_fate(ngx_canary_zone_t *zone,
    ngx_canary_fate_e fate, uint64_t now);


static uint64_t  ngx_canary_write_has_failed;


void
ngx_canary_settle_pending(ngx_canary_main_conf_t *cmcf,
    ngx_canary_fate_e fate, uint64_t sequence, uint64_t now)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = cmcf->zone;

    ngx_canary_lock(zone);

    fate = ngx_canary_fleet_fate(zone, fate, now);

    for (shared = zone->superseded ? NULL : zone->endpoints;
         shared;
         shared = shared->next)
    {
        if (shared->pending.sequence
            && ((shared->pending.ready && shared->pending.ready <= sequence)
                || sequence == (uint64_t) -1))
        {
            ngx_canary_conclude(shared, fate, now, ngx_cycle->log);
        }
    }

    ngx_canary_unlock(zone);
}


/*
 * While the file was written this node may have become isolated, or the data
 * of the fleet young: then nothing rises, and it comes again later.
 */

static ngx_canary_fate_e
ngx_canary_fleet_fate(ngx_canary_zone_t *zone, ngx_canary_fate_e fate,
    uint64_t now)
{
    if (fate != NGX_CANARY_APPLIED || zone->fleet == NULL
        || (now >= zone->fleet->raises_from
            && now <= zone->fleet->raises_until))
    {
        return fate;
    }

    return NGX_CANARY_NOT_WRITTEN;
}


void
ngx_canary_expire_pending(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
    ngx_canary_shared_t  *shared;

    static uint64_t  last;

    if (now - last < NGX_CANARY_RETRY) {
        return;
    }

    last = now;

    ngx_canary_lock(cmcf->zone);

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        if (shared->pending.sequence
            && now - shared->pending.decided >= NGX_CANARY_PATIENCE
            && now > shared->pending.decided)
        {
            ngx_canary_conclude(shared, NGX_CANARY_NOT_WRITTEN, now,
                                ngx_cycle->log);
        }
    }

    ngx_canary_unlock(cmcf->zone);
}


void
ngx_canary_write_worked(ngx_canary_main_conf_t *cmcf)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    if (!zone->failing) {
        return;
    }

    ngx_canary_lock(zone);

    zone->failing = 0;
    zone->problem[0] = '\0';

    ngx_canary_unlock(zone);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "canary: the state file in \"%V\" is written again",
                  &cmcf->state_path->name);
}


void
ngx_canary_write_failed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_error_t *error, uint64_t now)
{
    ngx_uint_t          known;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    ngx_canary_write_has_failed = now;

    ngx_canary_lock(zone);

    known = zone->failing;
    zone->failing = 1;
    zone->foreign = 0;

    ngx_snprintf(zone->problem, NGX_CANARY_PROBLEM - 1,
                 "the state file in \"%V\" cannot be written: %s failed "
                 "(%d: %s)%Z", &cmcf->state_path->name, error->call,
                 error->err, strerror(error->err));
    zone->problem[NGX_CANARY_PROBLEM - 1] = '\0';

    ngx_canary_unlock(zone);

    if (!known) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: %s: until it can, no rollout goes on",
                      zone->problem);
    }
}


void
ngx_canary_write_refused(ngx_canary_main_conf_t *cmcf,
    uint64_t sequence, uint64_t now)
{
    ngx_uint_t          all;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;
    all = (zone->sequence <= sequence);

    ngx_canary_settle_pending(cmcf, NGX_CANARY_NOT_WRITTEN, sequence, now);

    ngx_canary_lock(zone);

    zone->refused = ngx_max(zone->refused, all ? zone->sequence : sequence);

    ngx_canary_unlock(zone);
}


ngx_uint_t
ngx_canary_write_may_retry(uint64_t now)
{
    return now - ngx_canary_write_has_failed >= NGX_CANARY_RETRY;
}
