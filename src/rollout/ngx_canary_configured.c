
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_configured.h"

#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_pending.h"


static ngx_uint_t ngx_canary_has_releases(
    ngx_canary_endpoint_t *endpoint, const canary_rollout_t *rollout);
static void ngx_canary_check_releases(ngx_canary_main_conf_t *cmcf,
    ngx_canary_endpoint_t *endpoint, ngx_log_t *log);


void
ngx_canary_check_endpoints(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        ngx_canary_check_releases(cmcf, endpoints[i], log);
    }
}


static ngx_uint_t
ngx_canary_has_releases(ngx_canary_endpoint_t *endpoint,
    const canary_rollout_t *rollout)
{
    return endpoint->by_id[rollout->stable] != 0xff
           && (rollout->canary == CANARY_NO_RELEASE
               || endpoint->by_id[rollout->canary] != 0xff);
}


static void
ngx_canary_check_releases(ngx_canary_main_conf_t *cmcf,
    ngx_canary_endpoint_t *endpoint, ngx_log_t *log)
{
    ngx_uint_t             stable;
    canary_rollout_t      *rollout;
    ngx_canary_release_t  *releases;
    ngx_canary_shared_t   *shared;

    releases = endpoint->releases.elts;
    shared = endpoint->shared;

    if (shared->pending.sequence
        && !ngx_canary_has_releases(endpoint,
                                    &shared->history->pending.record.rollout))
    {
        ngx_canary_conclude(shared, NGX_CANARY_CANCELLED,
                            ngx_canary_milliseconds(), log);
    }

    /* other nodes of a fleet may have it: what is missing here is served by
       stable, and no step is taken */

    if (cmcf->zone->fleet) {
        return;
    }

    rollout = &ngx_canary_record(shared)->rollout;
    stable = rollout->stable;

    if (endpoint->by_id[stable] == 0xff) {
        stable = releases[endpoint->first].id;

    } else if (rollout->canary == CANARY_NO_RELEASE
               || endpoint->by_id[rollout->canary] != 0xff)
    {
        return;
    }

    ngx_canary_release_gone(cmcf, shared, stable, NULL, log);
}


void
ngx_canary_release_gone(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_uint_t stable, char *reason,
    ngx_log_t *log)
{
    ngx_canary_change_t  change;

    ngx_memzero(&change, sizeof(ngx_canary_change_t));

    change.command.verb = CANARY_RELEASE_GONE;
    change.command.release = stable;
    change.command.now = ngx_canary_milliseconds();

    (void) ngx_cpystrn(change.actor.name, (u_char *) "configuration",
                       sizeof(change.actor.name));

    if (reason) {
        (void) ngx_cpystrn(change.reason, (u_char *) reason,
                           sizeof(change.reason));
    }

    (void) ngx_canary_change_locked(shared, &change, log);
}
