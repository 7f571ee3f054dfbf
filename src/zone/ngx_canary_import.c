
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_import.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_evidence_spent.h"
#include "canary_judge.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_failures.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_record.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"


/*
 * A zone of another size is another zone: what the old one knows is copied.
 * This is done twice: when the new zone is made, so that it is known to be
 * large enough, and once more when the new configuration is certain, so that
 * nothing that was changed in between is lost; then the old zone is closed to
 * changes.  What is only remembered comes last, if there is room for it.
 */


static void ngx_canary_close_old(ngx_canary_main_conf_t *cmcf);
static ngx_int_t ngx_canary_import_endpoint(
    ngx_canary_main_conf_t *cmcf, ngx_canary_endpoint_t *endpoint,
    ngx_canary_shared_t *from);
static ngx_int_t ngx_canary_import_all(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from);
static void ngx_canary_import_remembered(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *from,
    ngx_log_t *log);
static ngx_int_t ngx_canary_import_evidence(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static void ngx_canary_import_phases(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static void ngx_canary_import_spent(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static ngx_int_t ngx_canary_import_events(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static uint32_t ngx_canary_import_place(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *to,
    ngx_canary_shared_t *from, uint32_t id,
    const canary_rollout_t *rollout);
static ngx_int_t ngx_canary_import_counted(
    ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);


ngx_int_t
ngx_canary_import(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_canary_shared_t     *from;
    ngx_canary_endpoint_t  **endpoints;

    rc = NGX_OK;
    endpoints = cmcf->endpoints.elts;

    ngx_canary_lock(cmcf->old);
    ngx_canary_lock(cmcf->zone);

    cmcf->zone->last_event = cmcf->old->last_event;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        from = ngx_canary_find_shared(cmcf->old, &endpoints[i]->name);

        if (from && ngx_canary_import_endpoint(cmcf, endpoints[i], from)
                    != NGX_OK)
        {
            rc = NGX_ERROR;
        }
    }

    if (cmcf->committed) {
        for (from = cmcf->old->endpoints; from; from = from->next) {
            ngx_canary_import_remembered(cmcf, from, log);
        }

        ngx_canary_close_old(cmcf);
    }

    ngx_canary_unlock(cmcf->zone);
    ngx_canary_unlock(cmcf->old);

    return rc;
}


static void
ngx_canary_close_old(ngx_canary_main_conf_t *cmcf)
{
    cmcf->zone->writer = cmcf->old->writer;
    cmcf->zone->sequence = cmcf->old->sequence;
    cmcf->zone->durable = cmcf->old->durable;
    cmcf->zone->refused = cmcf->old->refused;
    cmcf->zone->file = cmcf->old->file;
    cmcf->zone->path = cmcf->old->path;
    cmcf->zone->locker = cmcf->old->locker;

    cmcf->old->superseded = 1;
}


static ngx_int_t
ngx_canary_import_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_shared_t *from)
{
    canary_rollout_t     *rollout;
    ngx_canary_shared_t  *to;

    to = endpoint->shared;

    if (ngx_canary_import_all(cmcf, to, from) != NGX_OK) {

        if (!cmcf->committed) {
            return NGX_ERROR;
        }

        /* it came after the zone had been found to be large enough */

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: \"%V\" goes on without some of its events or "
                      "counters, since the new canary_zone is too small for "
                      "them", &endpoint->name);
    }

    rollout = &ngx_canary_record(to)->rollout;

    if (rollout->phase != CANARY_IDLE
        && ngx_canary_import_evidence(cmcf, to, from) != NGX_OK)
    {
        if (!cmcf->committed) {
            return NGX_ERROR;
        }

        /* it has no evidence, and is not to go on */
    }

    /* one that ended after it had been imported */

    if (rollout->phase == CANARY_IDLE) {
        ngx_canary_put_spare(to);
    }

    ngx_canary_repair(to);

    return NGX_OK;
}


/*
 * One that is no longer configured: with all but the evidence, since its
 * rollout is about to end.
 */

static void
ngx_canary_import_remembered(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *from, ngx_log_t *log)
{
    ngx_str_t             name;
    ngx_canary_shared_t  *to;

    name.data = from->name;
    name.len = from->len;

    if (ngx_canary_record(from)->rollout.generation == 0
        || ngx_canary_find_shared(cmcf->zone, &name))
    {
        return;
    }

    to = ngx_canary_create_shared(cmcf->zone, &name, from->serial, 0);
    if (to) {
        (void) ngx_canary_import_all(cmcf, to, from);

        if (ngx_canary_record(to)->rollout.stable != CANARY_NO_RELEASE) {
            ngx_canary_repair(to);
            return;
        }

        ngx_canary_remove_shared(cmcf->zone, &cmcf->zone->endpoints);
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%V\", which is not configured any more, is "
                  "forgotten, since the canary_zone is too small", &name);
}


/* NGX_ERROR: there was not enough memory for all of it */

static ngx_int_t
ngx_canary_import_all(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    ngx_int_t             rc;
    canary_rollout_t     *rollout;
    ngx_canary_record_t  *record;

    record = ngx_canary_record(to);

    to->spent = from->spent;

    *record = *ngx_canary_record(from);
    rollout = &record->rollout;

    rollout->stable = ngx_canary_import_place(cmcf, to, from,
                                              rollout->stable, rollout);
    rollout->canary = ngx_canary_import_place(cmcf, to, from,
                                              rollout->canary, rollout);
    rollout->last_release = ngx_canary_import_place(cmcf, to, from,
                                                    rollout->last_release,
                                                    rollout);

    /* those are sure of a place; the rest have what is left */

    rc = ngx_canary_import_counted(cmcf, to, from);

    ngx_canary_import_phases(to, from);

    if (from->events
        && ngx_canary_import_events(cmcf, to, from) != NGX_OK)
    {
        record->events = 0;
        rc = NGX_ERROR;
    }

    ngx_canary_import_failures(to, from);

    return rc;
}


/* what is in flight ends in the old zone, so the step tests anew */

static ngx_int_t
ngx_canary_import_evidence(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    canary_times_t     times;
    canary_rollout_t  *rollout;

    rollout = &ngx_canary_record(to)->rollout;

    if (rollout->stable == CANARY_NO_RELEASE
        || rollout->canary == CANARY_NO_RELEASE
        || ngx_canary_provide(to, rollout)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rollout->tests++;
    rollout->trial++;

    ngx_canary_times(to, rollout, 0, &times);
    canary_judge_begin(to->evidence, rollout, ngx_canary_milliseconds(),
                       &times);

    ngx_canary_import_spent(to, from);

    return NGX_OK;
}


/* the split goes on where it was; the zones may differ in their workers */

static void
ngx_canary_import_phases(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    size_t      place;
    ngx_uint_t  i;

    for (i = 0; i < to->nphases && i < from->nphases; i++) {
        place = i * (NGX_CANARY_LINE / sizeof(uint32_t));

        to->phases[place] = __atomic_load_n(&from->phases[place],
                                            __ATOMIC_RELAXED);
    }
}


/* budgets are of the whole rollout, whatever its tests */

static void
ngx_canary_import_spent(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    unsigned  side;

    if (from->evidence == NULL) {
        return;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_spent(to->evidence, side,
                              canary_evidence_spent_by(from->evidence, side));
    }
}


/* the places that were written to, whatever is shown of them */

static ngx_int_t
ngx_canary_import_events(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    uint64_t  n;

    if (ngx_canary_provide_history(to) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_min(ngx_canary_record(from)->events,
                CANARY_EVENTS + 1);

    ngx_memcpy(to->events, from->events, n * sizeof(canary_event_t));

    to->history->journal = from->history->journal;

    return NGX_OK;
}


/* the id that a release of the old zone has in the new one */

static uint32_t
ngx_canary_import_place(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from, uint32_t id,
    const canary_rollout_t *rollout)
{
    ngx_str_t                     name;
    ngx_canary_release_shared_t  *release;

    if (id >= CANARY_RELEASES || from->releases[id] == NULL) {
        return CANARY_NO_RELEASE;
    }

    release = from->releases[id];

    name.data = release->name;
    name.len = release->len;

    return (uint32_t) ngx_canary_remember_place(to, &name,
                                                release->serial, rollout);
}


/* NGX_ERROR: not all that was counted of releases that are configured */

static ngx_int_t
ngx_canary_import_counted(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    uint32_t                      id, place;
    ngx_int_t                     rc;
    ngx_canary_release_shared_t  *release;

    rc = NGX_OK;

    for (id = 0; id < CANARY_RELEASES; id++) {
        release = from->releases[id];

        if (release == NULL || release->serial == 0) {
            continue;
        }

        place = ngx_canary_import_place(cmcf, to, from, id, NULL);

        if (place == CANARY_NO_RELEASE) {
            continue;
        }

        to->releases[place]->seen = release->seen;

        if (ngx_canary_import_meters(cmcf->zone, to->releases[place], from,
                                     release)
            != NGX_OK
            && ngx_canary_release_configured(cmcf->zone,
                                             to->releases[place]))
        {
            rc = NGX_ERROR;
        }
    }

    return rc;
}
