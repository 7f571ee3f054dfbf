
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_transfer.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_state.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_course.h"
#include "ngx_canary_failures.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_record.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_remember.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_collect.h"
#include "ngx_canary_restore.h"


/*
 * A zone of another size is another zone.  It gets what it would get from the
 * state file after a restart, and what only the memory has: since when an
 * interval lasts, events, failures, what was counted, phases of the split.
 * Tests begin anew, since what is in flight ends in the old zone, and so do
 * the times of a step.  What is pending is void.  What is only remembered
 * comes last, if there is room for it.
 */


static void ngx_canary_transfer_files(ngx_canary_zone_t *to,
    ngx_canary_zone_t *from);
static ngx_int_t ngx_canary_transfer_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from, ngx_log_t *log);
static void ngx_canary_transfer_remembered(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *from, ngx_log_t *log);
static ngx_int_t ngx_canary_transfer_record(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static ngx_int_t ngx_canary_transfer_counted(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);
static ngx_int_t ngx_canary_transfer_release(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from, ngx_canary_release_shared_t *release);
static void ngx_canary_transfer_phases(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);


void
ngx_canary_transfer(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_uint_t               i;
    ngx_canary_shared_t     *from;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    ngx_canary_lock(cmcf->old);
    ngx_canary_lock(cmcf->zone);

    ngx_canary_transfer_files(cmcf->zone, cmcf->old);

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        from = ngx_canary_find_shared(cmcf->old, &endpoints[i]->name);

        if (from) {
            endpoints[i]->begun = 0;
            (void) ngx_canary_transfer_endpoint(cmcf, endpoints[i]->shared,
                                                from, log);
        }
    }

    for (from = cmcf->old->endpoints; from; from = from->next) {
        ngx_canary_transfer_remembered(cmcf, from, log);
    }

    cmcf->old->superseded = 1;

    ngx_canary_unlock(cmcf->zone);
    ngx_canary_unlock(cmcf->old);
}


static void
ngx_canary_transfer_files(ngx_canary_zone_t *to, ngx_canary_zone_t *from)
{
    to->last_event = from->last_event;
    to->configurations = from->configurations;
    to->writer = from->writer;
    to->sequence = from->sequence;
    to->durable = from->durable;
    to->refused = from->refused;
    to->file = from->file;
    to->path = from->path;
    to->locker = from->locker;
}


/* NGX_ERROR: not even the names of its releases fit */

static ngx_int_t
ngx_canary_transfer_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *to, ngx_canary_shared_t *from, ngx_log_t *log)
{
    char                     name[CANARY_STATE_ENDPOINT_NAME];
    ngx_int_t                rc;
    ngx_uint_t               lost;
    canary_state_endpoint_t  held;

    ngx_memzero(&held, sizeof(canary_state_endpoint_t));

    (void) ngx_cpystrn((u_char *) name, from->name,
                       ngx_min(from->len + 1, sizeof(name)));

    held.name = name;
    held.here = 1;

    ngx_canary_collect_record(from, ngx_canary_record(from), &held);

    lost = (ngx_canary_transfer_record(to, from) != NGX_OK);

    rc = ngx_canary_restore_endpoint(cmcf, to, &held, log);

    to->spent = from->spent;

    lost |= (ngx_canary_transfer_counted(to, from) != NGX_OK);

    ngx_canary_transfer_phases(to, from);
    ngx_canary_copy_failures(to, from);
    ngx_canary_copy_course(to, from);

    if (lost) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" goes on without some of its events or "
                      "counters, since the new canary_zone is too small for "
                      "them", name);
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* one that is not configured any more keeps its age */

static void
ngx_canary_transfer_remembered(ngx_canary_main_conf_t *cmcf,
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

    if (to && ngx_canary_transfer_endpoint(cmcf, to, from, log) == NGX_OK) {
        return;
    }

    if (to) {
        ngx_canary_remove_shared(cmcf->zone, &cmcf->zone->endpoints);
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%V\", which is not configured any more, is "
                  "forgotten, since the canary_zone is too small", &name);
}


/*
 * All but the rollout, and the events that the record has the number of: the
 * places that were written to, whatever is shown of them.
 */

static ngx_int_t
ngx_canary_transfer_record(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    uint64_t              n;
    canary_rollout_t      rollout;
    ngx_canary_record_t  *record;

    record = ngx_canary_record(to);
    rollout = record->rollout;

    *record = *ngx_canary_record(from);

    rollout.tests = record->rollout.tests;
    rollout.trial = record->rollout.trial;
    record->rollout = rollout;

    if (from->history == NULL) {
        return NGX_OK;
    }

    if (ngx_canary_provide_history(to) != NGX_OK) {
        record->events = 0;
        return NGX_ERROR;
    }

    n = ngx_min(record->events, CANARY_EVENTS + 1);

    ngx_memcpy(to->history->events, from->history->events,
               n * sizeof(canary_event_t));

    to->history->journal = from->history->journal;

    if (from->pending.sequence) {
        ngx_canary_void_event(to, from->history->pending.event.id);
    }

    return NGX_OK;
}


/* NGX_ERROR: not all that was counted of releases that are configured */

static ngx_int_t
ngx_canary_transfer_counted(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    uint32_t                      id;
    ngx_int_t                     rc;
    ngx_canary_release_shared_t  *release;

    rc = NGX_OK;

    for (id = 0; id < CANARY_RELEASES; id++) {
        release = from->releases[id];

        if (release && release->serial
            && ngx_canary_transfer_release(to, from, release) != NGX_OK)
        {
            rc = NGX_ERROR;
        }
    }

    return rc;
}


static ngx_int_t
ngx_canary_transfer_release(ngx_canary_shared_t *to, ngx_canary_shared_t *from,
    ngx_canary_release_shared_t *release)
{
    ngx_str_t                     name;
    ngx_uint_t                    id;
    ngx_canary_release_shared_t  *place;

    name.data = release->name;
    name.len = release->len;

    id = ngx_canary_remember_place(to, &name, release->serial, NULL);

    if (id == CANARY_NO_RELEASE) {
        return NGX_OK;
    }

    place = to->releases[id];

    if (place->serial == NGX_CANARY_UNSEEN) {
        place->first = release->serial;
        place->serial = release->serial;
    }

    place->seen = release->seen;

    if (release->past == NULL && ngx_canary_any_meter(from, release) == NULL) {
        return NGX_OK;
    }

    if (ngx_canary_add_past(to->zone, place) != NGX_OK) {
        return ngx_canary_release_configured(to->zone, place) ? NGX_ERROR
                                                              : NGX_OK;
    }

    ngx_canary_sum_totals(from, release, &place->past->totals);
    ngx_canary_sum_buckets(from, release, place->past->times);

    return NGX_OK;
}


/* the split goes on where it was; the zones may differ in their workers */

static void
ngx_canary_transfer_phases(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    size_t      place;
    ngx_uint_t  i;

    for (i = 0; i < to->nphases && i < from->nphases; i++) {
        place = i * (NGX_CANARY_LINE / sizeof(uint32_t));

        to->phases[place] = __atomic_load_n(&from->phases[place],
                                            __ATOMIC_RELAXED);
    }
}
