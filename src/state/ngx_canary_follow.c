
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_follow.h"

#include "canary_event.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_configured.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_adopt.h"
#include "ngx_canary_history.h"
#include "ngx_canary_restore.h"


/* What has changed in the file while another nginx writes it. */


static ngx_uint_t ngx_canary_file_changed(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t own, canary_state_file_id_t *id);
static canary_state_t *ngx_canary_read_changed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_id_t *id, ngx_log_t *log);
static void ngx_canary_load_changed(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t own);
static void ngx_canary_follow_state(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t own, uint64_t now, ngx_log_t *log);
static void ngx_canary_see_state(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state);
static void ngx_canary_follow_unknown(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);
static void ngx_canary_follow_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from,
    ngx_uint_t own, uint64_t now, ngx_log_t *log);
static ngx_uint_t ngx_canary_is_same(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from);
static void ngx_canary_stop_again(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_event_t *stop,
    uint64_t now, ngx_log_t *log);
static canary_event_t *ngx_canary_last_event(ngx_canary_shared_t *shared);


ngx_uint_t
ngx_canary_follow(ngx_canary_main_conf_t *cmcf, ngx_uint_t own,
    uint64_t now, ngx_log_t *log)
{
    uint64_t                last;
    ngx_uint_t              foreign;
    canary_state_t         *state;
    ngx_canary_zone_t      *zone;
    canary_state_file_id_t  id;

    if (!ngx_canary_file_changed(cmcf, own, &id)) {
        return 0;
    }

    zone = cmcf->zone;
    state = ngx_canary_read_changed(cmcf, &id, log);
    foreign = (state && state->writer != zone->writer);

    /* read after the state, before which they were appended */

    last = 0;

    if (foreign) {
        last = ngx_canary_read_events((char *) cmcf->state_path->name.data,
                                      state->last_event, log);
        ngx_canary_load_changed(cmcf, state, own);
    }

    ngx_canary_lock(zone);

    if (!ngx_canary_is_newest(cmcf)) {

        /* a reload meanwhile: what is new is left to the next helper */

        foreign = 0;

    } else {
        if (foreign) {
            ngx_canary_raise_last(cmcf, last);
            ngx_canary_follow_state(cmcf, state, own, now, log);

        } else if (state) {
            ngx_canary_see_state(cmcf, state);
        }

        /* last: who dies before follows it once more */

        zone->file = id;
    }

    ngx_canary_unlock(zone);

    canary_state_destroy(state);

    if (own) {
        ngx_canary_forget_events();
    }

    return foreign;
}


/* what was left out, since it was stopped here, is not when it is ours */

static ngx_uint_t
ngx_canary_file_changed(ngx_canary_main_conf_t *cmcf, ngx_uint_t own,
    canary_state_file_id_t *id)
{
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    return canary_state_file_stat((char *) cmcf->state_path->name.data, id)
           != -1
           && (ngx_memcmp(id, &zone->file, sizeof(canary_state_file_id_t)) != 0
               || (own && zone->foreign));
}


/*
 * A file that cannot be read is left alone here: whoever writes it will write
 * it anew.
 */

static canary_state_t *
ngx_canary_read_changed(ngx_canary_main_conf_t *cmcf,
    canary_state_file_id_t *id, ngx_log_t *log)
{
    char            *dir, why[CANARY_STATE_ERROR];
    canary_state_t  *state;

    dir = (char *) cmcf->state_path->name.data;
    state = ngx_canary_read_state(dir, id, why);

    if (why[0]) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: the state file \"%s/" CANARY_STATE_FILE "\" "
                      "of another nginx cannot be read: %s", dir, why);
    }

    return state;
}


/* so that the lock is not held while events are read */

static void
ngx_canary_load_changed(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t own)
{
    ngx_uint_t                i, changed;
    ngx_canary_shared_t      *shared;
    canary_state_endpoint_t  *from;

    for (i = 0; i < state->nendpoints; i++) {
        from = &state->endpoints[i];

        ngx_canary_lock(cmcf->zone);

        shared = ngx_canary_find_from(cmcf, from);

        changed = shared ? (shared->serial == cmcf->serial
                            && !ngx_canary_is_same(shared, from))
                         : own;

        ngx_canary_unlock(cmcf->zone);

        if (changed) {
            ngx_canary_load_events(from);
        }
    }
}


static void
ngx_canary_follow_state(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t own, uint64_t now, ngx_log_t *log)
{
    ngx_uint_t                i;
    ngx_canary_shared_t      *shared;
    canary_state_endpoint_t  *from;

    ngx_canary_raise_last(cmcf, state->last_event);

    for (i = 0; i < state->nendpoints; i++) {
        from = &state->endpoints[i];
        shared = ngx_canary_find_from(cmcf, from);

        if (shared == NULL) {
            if (own) {
                ngx_canary_follow_unknown(cmcf, from, log);
            }

            continue;
        }

        (void) ngx_canary_restore_totals(cmcf, from, log);

        if (shared->serial == cmcf->serial) {
            ngx_canary_follow_endpoint(cmcf, shared, from, own, now, log);
            ngx_canary_adopt_spent(shared, from);
        }
    }

    /* not of a file that was put there while we had the lock */

    if (own && (cmcf->zone->foreign || cmcf->zone->durable == 0)) {
        ngx_canary_newer_events(cmcf, state, log);
    }

    if (own) {
        ngx_canary_check_endpoints(cmcf, log);
    }
}


/* written by a process of ours that died before it could say so */

static void
ngx_canary_see_state(ngx_canary_main_conf_t *cmcf, canary_state_t *state)
{
    ngx_uint_t            i;
    ngx_canary_shared_t  *shared;

    for (i = 0; i < state->nendpoints; i++) {
        shared = ngx_canary_find_from(cmcf, &state->endpoints[i]);

        if (shared) {
            ngx_canary_adopt_seen(shared, &state->endpoints[i]);
        }
    }
}


/* the other one had an endpoint that is not configured here: as at a start */

static void
ngx_canary_follow_unknown(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    canary_rollout_t     *rollout;
    ngx_canary_shared_t  *shared;

    shared = ngx_canary_restored(cmcf, from, log);

    if (shared == NULL
        || ngx_canary_restore_endpoint(cmcf, shared, from, log)
           == NGX_ERROR)
    {
        return;
    }

    (void) ngx_canary_restore_totals(cmcf, from, log);
    (void) ngx_canary_restore_history(cmcf, from, log);

    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase != CANARY_IDLE) {
        ngx_canary_release_gone(cmcf, shared, rollout->stable,
                                "the endpoint is no longer configured",
                                log);
    }
}


/*
 * A rollout that was stopped here while another nginx had the file stays
 * stopped, whatever it became there; when the file is ours it is stopped in
 * it as well.
 */

static void
ngx_canary_follow_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from,
    ngx_uint_t own, uint64_t now, ngx_log_t *log)
{
    ngx_uint_t          stopped;
    canary_event_t     *last, stop;
    canary_rollout_t   *rollout;
    ngx_canary_zone_t  *zone;

    zone = cmcf->zone;

    rollout = &ngx_canary_record(shared)->rollout;
    last = ngx_canary_last_event(shared);

    if (ngx_canary_is_same(shared, from)) {
        return;
    }

    ngx_canary_load_events(from);

    ngx_canary_conclude(shared, NGX_CANARY_NOT_WRITTEN, now, log);

    stopped = (shared->sequence > zone->durable && last
               && !canary_verb_exposes(last->verb)
               && from->rollout.number == rollout->number
               && from->rollout.phase != CANARY_IDLE);

    if (stopped && !own) {
        return;
    }

    if (stopped) {
        stop = *last;
    }

    if (ngx_canary_adopt(cmcf, shared, from, now, log) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" cannot follow the state file: the "
                      "canary_zone is too small for its rollout", from->name);
        return;
    }

    if (from->rollout.phase == CANARY_IDLE
        && ngx_canary_adopt_history(cmcf, shared, from) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" follows the state file without its "
                      "events: the canary_zone is too small for them",
                      from->name);
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%s\" follows the state file: %s, weight %uD "
                  "of a million", from->name,
                  canary_phase_name(from->rollout.phase),
                  from->rollout.weight);

    if (stopped) {
        ngx_canary_stop_again(cmcf, shared, &stop, now, log);
    }
}


static ngx_uint_t
ngx_canary_is_same(ngx_canary_shared_t *shared, canary_state_endpoint_t *from)
{
    return ngx_canary_record(shared)->rollout.generation
           == from->rollout.generation
           && ngx_canary_same_event(ngx_canary_last_event(shared), from);
}


static void
ngx_canary_stop_again(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_event_t *stop,
    uint64_t now, ngx_log_t *log)
{
    ngx_canary_change_t  change;

    ngx_memzero(&change, sizeof(ngx_canary_change_t));

    change.command.verb = stop->verb;
    change.command.release
                     = ngx_canary_record(shared)->rollout.stable;
    change.command.now = now;
    change.actor = stop->actor;
    ngx_memcpy(change.reason, stop->reason, CANARY_REASON_SIZE);

    change.figures = stop->figures;
    change.nfigures = stop->nfigures;

    (void) ngx_canary_change_locked(shared, &change, log);
}


/* NULL: there was none */

static canary_event_t *
ngx_canary_last_event(ngx_canary_shared_t *shared)
{
    uint64_t  n;

    n = ngx_canary_record(shared)->events;

    if (shared->history == NULL || n == 0) {
        return NULL;
    }

    return ngx_canary_event_at(shared, n - 1);
}
