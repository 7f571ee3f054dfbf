
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_reconcile.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_process.h"
#include "ngx_canary_record.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_zone.h"
#include "ngx_canary_configured.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_fleet.h"
#include "ngx_canary_restore.h"
#include "ngx_canary_transfer.h"


/*
 * A new configuration is certain: the zone becomes what it says, and what is
 * no longer configured ends, and is forgotten in time.
 */


static void ngx_canary_commit(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_begin_endpoint(ngx_canary_endpoint_t *endpoint);
static void ngx_canary_warn_of_begun(ngx_canary_main_conf_t *cmcf,
    const char *why, ngx_log_t *log);
static void ngx_canary_stamp(ngx_canary_zone_t *zone,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t serial);
static void ngx_canary_end_unseen(ngx_canary_main_conf_t *cmcf,
    ngx_log_t *log);
static void ngx_canary_drop_endpoints(
    ngx_canary_main_conf_t *cmcf, ngx_log_t *log);
static void ngx_canary_retire_releases(ngx_canary_main_conf_t *cmcf);


void
ngx_canary_reconcile(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_uint_t        unseen;
    const char       *why;
    ngx_core_conf_t  *ccf;

    why = "nothing is known of it in the state file in";
    unseen = cmcf->fresh && ngx_canary_came_back(cmcf);

    ngx_canary_commit(cmcf);
    ngx_canary_fleet_begin(cmcf, log);

    if (cmcf->fresh) {
        why = ngx_canary_restore(cmcf, log);
        cmcf->fresh = 0;
    }

    /* the old zone is still there; from now on nothing changes in it */

    if (cmcf->old) {
        ngx_canary_transfer(cmcf, log);
        cmcf->old = NULL;
    }

    if (!ngx_test_config) {
        ngx_canary_warn_of_begun(cmcf, why, log);
    }

    ngx_canary_lock(cmcf->zone);

    if (unseen) {
        ngx_canary_end_unseen(cmcf, log);
    }

    ngx_canary_check_endpoints(cmcf, log);
    ngx_canary_drop_endpoints(cmcf, log);
    ngx_canary_retire_releases(cmcf);

    ccf = (ngx_core_conf_t *) ngx_get_conf(cmcf->cycle->conf_ctx,
                                           ngx_core_module);

    if (ccf->master && !ngx_test_config) {
        ngx_canary_expect_processes(cmcf, ccf->worker_processes, log);
    }

    (void) ngx_canary_next_sequence(cmcf->zone);

    ngx_canary_unlock(cmcf->zone);
}


/* from now on what this configuration does not name is only remembered */

static void
ngx_canary_commit(ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    cmcf->committed = 1;
    cmcf->loaded = ngx_canary_wall_clock();

    ngx_canary_lock(cmcf->zone);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {

        if (endpoints[i]->shared->serial == 0) {
            ngx_canary_begin_endpoint(endpoints[i]);
        }

        ngx_canary_stamp(cmcf->zone, endpoints[i], cmcf->serial);
    }

    cmcf->zone->serial = cmcf->serial;

    ngx_canary_unlock(cmcf->zone);
}


/* one that no configuration before has had */

static void
ngx_canary_begin_endpoint(ngx_canary_endpoint_t *endpoint)
{
    canary_rollout_t      *rollout;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;
    rollout = &ngx_canary_record(endpoint->shared)->rollout;

    canary_rollout_init(rollout, releases[endpoint->first].id);
    rollout->generation = 1;
    endpoint->begun = 1;

    ngx_canary_repair(endpoint->shared);
}


/* which release that is may be wrong by now, and nobody would know */

static void
ngx_canary_warn_of_begun(ngx_canary_main_conf_t *cmcf, const char *why,
    ngx_log_t *log)
{
    ngx_uint_t               i;
    ngx_canary_release_t    *release;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {

        if (!endpoints[i]->begun) {
            continue;
        }

        endpoints[i]->begun = 0;

        release = endpoints[i]->releases.elts;
        release += endpoints[i]->first;

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "canary: \"%V\" begins with %V as its stable release, "
                      "%s, since %s \"%V\"%s",
                      &endpoints[i]->name, &release->name,
                      endpoints[i]->marked ? "which is marked so"
                                           : "the first one",
                      why, &cmcf->state_path->name,
                      endpoints[i]->marked
                      ? "" : ": if it is another, mark that one \"stable\"");
    }
}


/* of what was out of use the configurations are counted anew */

static void
ngx_canary_stamp(ngx_canary_zone_t *zone,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t serial)
{
    ngx_uint_t                    i;
    ngx_canary_shared_t          *shared;
    ngx_canary_release_t         *releases;
    ngx_canary_release_shared_t  *place;

    shared = endpoint->shared;
    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        place = shared->releases[releases[i].id];

        if (place->serial < zone->serial
            && !ngx_canary_serial_alive(zone, place->first, place->serial))
        {
            place->first = serial;
        }

        place->serial = serial;
    }

    if (shared->serial < zone->serial
        && !ngx_canary_serial_alive(zone, shared->first, shared->serial))
    {
        shared->first = serial;
    }

    shared->serial = serial;
}


/*
 * nginx has been running without these endpoints, and without the module's
 * zone, so that no reload could end their rollouts: they end when they come
 * back.
 */

static void
ngx_canary_end_unseen(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    canary_rollout_t     *rollout;
    ngx_canary_shared_t  *shared;

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        rollout = &ngx_canary_record(shared)->rollout;

        if (cmcf->zone->fleet) {
            shared->unmet = 1;
            ngx_canary_repair(shared);

        } else if (rollout->generation && rollout->phase != CANARY_IDLE) {
            ngx_canary_release_gone(cmcf, shared, rollout->stable,
                                    "the endpoint was not configured "
                                    "meanwhile", log);
        }
    }
}


/*
 * Endpoints that are not configured any more.  Their rollouts end, so that
 * none goes on unseen.  What they remember is kept for a number of reloads,
 * for an endpoint that comes back, and while a process may still use it.
 */

static void
ngx_canary_drop_endpoints(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    canary_rollout_t     *rollout;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared, **next;

    zone = cmcf->zone;

    for (next = &zone->endpoints; *next; /* void */ ) {
        shared = *next;

        if (shared->serial == cmcf->serial) {

            if (shared->unmet && zone->fleet == NULL) {
                shared->unmet = 0;
                ngx_canary_repair(shared);
            }

            next = &shared->next;
            continue;
        }

        ngx_canary_conclude(shared, NGX_CANARY_CANCELLED,
                            ngx_canary_milliseconds(), log);

        rollout = &ngx_canary_record(shared)->rollout;

        /* the other nodes of a fleet go on with it */

        if (zone->fleet) {
            shared->unmet = 1;
            ngx_canary_repair(shared);

        } else if (rollout->generation && rollout->phase != CANARY_IDLE) {
            ngx_canary_release_gone(cmcf, shared, rollout->stable,
                                    "the endpoint is no longer "
                                    "configured", log);
        }

        if (shared->serial + NGX_CANARY_REMEMBER < cmcf->serial
            && !ngx_canary_serial_alive(zone, shared->first,
                                        shared->serial))
        {
            ngx_canary_remove_shared(zone, next);
            continue;
        }

        next = &shared->next;
    }
}


/* of releases that are not in use any more only the totals are kept */

static void
ngx_canary_retire_releases(ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t                    i;
    ngx_canary_shared_t          *shared;
    ngx_canary_release_shared_t  *place;

    for (shared = cmcf->zone->endpoints; shared; shared = shared->next) {
        for (i = 0; i < CANARY_RELEASES; i++) {
            place = shared->releases[i];

            if (place && ngx_canary_any_meter(shared, place)
                && !ngx_canary_release_in_use(cmcf->zone, place))
            {
                (void) ngx_canary_retire_meters(shared, place);
            }
        }
    }
}
