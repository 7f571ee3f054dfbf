
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_restore.h"

#include "canary_event.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_look.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_configured.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_adopt.h"
#include "ngx_canary_history.h"
#include "ngx_canary_owner.h"


/*
 * What a state file says, put into the zone: all of it when the zone is new,
 * and what has changed while another nginx writes the file.
 */


/* restores a part of what the file says of an endpoint */

typedef ngx_int_t (*ngx_canary_restore_pt)(
    ngx_canary_main_conf_t *cmcf, canary_state_endpoint_t *from,
    ngx_log_t *log);

#define NGX_CANARY_PARTS       4


static char *ngx_canary_restore_dir(ngx_canary_main_conf_t *cmcf);
static void ngx_canary_restore_parts(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t part, ngx_log_t *log);
static void ngx_canary_restore_others(ngx_canary_main_conf_t *cmcf,
    ngx_log_t *log);
static void ngx_canary_restore_fleet(ngx_canary_zone_t *zone,
    const canary_state_fleet_t *from);
static void ngx_canary_set_aside(ngx_canary_main_conf_t *cmcf,
    const char *why, ngx_log_t *log);
static void ngx_canary_aside_name(char *name);
static void ngx_canary_keep(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);
static void ngx_canary_restore_state(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, uint64_t last, ngx_log_t *log);
static ngx_int_t ngx_canary_restore_idle(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);
static ngx_int_t ngx_canary_restore_rollout(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);


const char *
ngx_canary_restore(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    char                   *dir, why[CANARY_STATE_ERROR];
    char                    owner[CANARY_STATE_OWNER];
    uint64_t                last;
    ngx_uint_t              ours;
    canary_state_t         *state;
    canary_state_file_id_t  id;

    dir = ngx_canary_restore_dir(cmcf);

    /* its helper says so as well, as an error */

    if (canary_state_file_locked(dir)
        && ngx_canary_owned_by_other(cmcf, owner))
    {
        return "another nginx has the state file in";
    }

    if (cmcf->former_path.len) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "canary: the state is read from \"%s\", the default of "
                      "canary_state_path before, and from now on written to "
                      "\"%V\": what is in the former is of no use any more",
                      dir, &cmcf->state_path->name);
    }

    state = ngx_canary_read_state(dir, &id, why);

    if (why[0]) {
        ngx_canary_set_aside(cmcf, why, log);
    }

    /* without a state no event is newer: what happened can still be shown */

    last = ngx_canary_read_events(dir, state ? state->last_event
                                              : (uint64_t) -1, log);

    /* what another nginx is about to write is not ours to carry out */

    ours = !canary_state_file_locked(dir);

    ngx_canary_lock(cmcf->zone);

    ngx_canary_restore_state(cmcf, state, last, log);

    if (state && ours) {
        ngx_canary_newer_events(cmcf, state, log);

        if (cmcf->former_path.len == 0) {
            cmcf->zone->file = id;
        }
    }

    ngx_canary_unlock(cmcf->zone);

    canary_state_destroy(state);
    ngx_canary_forget_events();

    if (cmcf->former_path.len) {
        ngx_canary_append_again(cmcf);
    }

    return why[0] ? "nothing can be read of the state file in"
           : state ? "nothing is known of it in the state file in"
                   : "there is no state file in";
}


/* "state" may be NULL; "last": number of the last event that was read */

static void
ngx_canary_restore_state(ngx_canary_main_conf_t *cmcf, canary_state_t *state,
    uint64_t last, ngx_log_t *log)
{
    ngx_canary_raise_last(cmcf, last);

    if (state) {
        ngx_canary_raise_last(cmcf, state->last_event);
        cmcf->zone->configurations += state->configuration;
        ngx_canary_restore_fleet(cmcf->zone, &state->fleet);
        ngx_canary_restore_parts(cmcf, state, 0, log);
    }

    if (last) {
        ngx_canary_restore_others(cmcf, log);
    }
}


/* where it is by default, or was before there was another default */

static char *
ngx_canary_restore_dir(ngx_canary_main_conf_t *cmcf)
{
    return (char *) (cmcf->former_path.len ? cmcf->former_path.data
                                           : cmcf->state_path->name.data);
}


/* a file of no fleet, or of another, tells nothing of this one */

static void
ngx_canary_restore_fleet(ngx_canary_zone_t *zone,
    const canary_state_fleet_t *from)
{
    uint32_t                     incarnation;
    ngx_str_t                    word, record;
    ngx_canary_fleet_t          *fleet;
    const canary_state_other_t  *other;

    fleet = zone->fleet;

    if (fleet == NULL || ngx_strcmp(fleet->name, from->name) != 0) {
        return;
    }

    incarnation = fleet->kept.incarnation;

    fleet->kept = from->kept;
    fleet->kept.before = from->kept.incarnation;
    fleet->kept.incarnation = incarnation;
    fleet->contact = from->contact;

    for (other = from->others; other; other = other->next) {
        word.data = (u_char *) other->word;
        word.len = ngx_strlen(other->word);
        record.data = (u_char *) other->record;
        record.len = ngx_strlen(other->record);

        (void) ngx_canary_keep_other(zone, &word, &record);
    }
}


void
ngx_canary_raise_last(ngx_canary_main_conf_t *cmcf, uint64_t id)
{
    cmcf->zone->last_event = ngx_max(cmcf->zone->last_event, id);
}


static void
ngx_canary_restore_parts(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_uint_t part, ngx_log_t *log)
{
    ngx_uint_t                i, n, lost, removed;
    canary_state_endpoint_t  *from;

    /*
     * In the order of what matters most, should the zone be too small: which
     * release is stable, the rollouts, what was counted, and events of others.
     */

    static const ngx_canary_restore_pt       parts[NGX_CANARY_PARTS] = {
        ngx_canary_restore_idle,
        ngx_canary_restore_rollout,
        ngx_canary_restore_totals,
        ngx_canary_restore_history
    };

    lost = 0;
    removed = cmcf->zone->removed;

    for (n = part; n < NGX_CANARY_PARTS; n++) {
        for (i = 0; i < state->nendpoints; i++) {
            from = &state->endpoints[i];

            lost |= (parts[n](cmcf, from, log) != NGX_OK);

            if (from->loaded) {
                canary_state_free_events(from);
            }
        }
    }

    lost |= (cmcf->zone->removed != removed);

    if (lost && part == 0) {
        ngx_canary_keep(cmcf, log);
    }
}


/* events of endpoints that are configured, and that no state tells of */

static void
ngx_canary_restore_others(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    ngx_uint_t               i;
    canary_state_t          *state;
    ngx_canary_shared_t     *shared;
    ngx_canary_endpoint_t  **endpoints;

    state = canary_state_create((unsigned) cmcf->endpoints.nelts);

    if (state == NULL) {
        return;
    }

    state->nendpoints = 0;
    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        shared = endpoints[i]->shared;

        if (ngx_canary_record(shared)->events == 0
            && canary_state_set_name(&state->endpoints[state->nendpoints],
                                     (char *) shared->name, shared->len))
        {
            state->nendpoints++;
        }
    }

    ngx_canary_restore_parts(cmcf, state, NGX_CANARY_PARTS - 1, log);

    canary_state_destroy(state);
}


/* NULL: there is none, and "why" is empty, or none that can be read */

canary_state_t *
ngx_canary_read_state(const char *dir, canary_state_file_id_t *id,
    char why[CANARY_STATE_ERROR])
{
    int                        rc;
    char                      *text;
    size_t                     len;
    canary_state_t            *state;
    canary_state_file_error_t  error;

    why[0] = '\0';

    rc = canary_state_file_read(dir, CANARY_STATE_SIZE_MAX, &text, &len, id,
                                &error);

    if (rc == -1) {
        (void) ngx_snprintf((u_char *) why, CANARY_STATE_ERROR,
                            "%s failed (%d: %s)%Z", error.call, error.err,
                            strerror(error.err));
    }

    if (rc != 1) {
        return NULL;
    }

    state = canary_state_json_read(text, len, why);

    free(text);

    return state;
}


/*
 * What nobody can read is kept as evidence, with the time in its name; but
 * what another nginx is writing to is its own.
 */

static void
ngx_canary_set_aside(ngx_canary_main_conf_t *cmcf, const char *why,
    ngx_log_t *log)
{
    char                      *dir, name[CANARY_STATE_FILE_NAME];
    canary_state_file_error_t  error;

    dir = ngx_canary_restore_dir(cmcf);

    if (canary_state_file_locked(dir)) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: the state file \"%s/" CANARY_STATE_FILE "\" "
                      "cannot be read: %s; another nginx writes it, so it is "
                      "left there", dir, why);
        return;
    }

    ngx_canary_aside_name(name);

    if (canary_state_file_aside(dir, name, &error) == 0) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: the state file \"%s/" CANARY_STATE_FILE "\" "
                      "cannot be read: %s; it is kept as \"%s\", and every "
                      "endpoint begins idle", dir, why, name);
    } else {
        ngx_log_error(NGX_LOG_ERR, log, error.err,
                      "canary: the state file \"%s/" CANARY_STATE_FILE "\" "
                      "cannot be read: %s; it cannot be renamed either, and "
                      "every endpoint begins idle", dir, why);
    }
}


static void
ngx_canary_aside_name(char *name)
{
    ngx_tm_t  tm;

    ngx_gmtime(ngx_time(), &tm);

    ngx_snprintf((u_char *) name, CANARY_STATE_FILE_NAME,
                 CANARY_STATE_FILE ".bad-%4d%02d%02dT%02d%02d%02dZ-%P%Z",
                 tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                 tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec, ngx_pid);
}


/* what the zone has no room for would be gone with the next write */

static void
ngx_canary_keep(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
    char                      *dir, name[CANARY_STATE_FILE_NAME];
    canary_state_file_error_t  error;

    dir = ngx_canary_restore_dir(cmcf);

    ngx_canary_aside_name(name);

    if (canary_state_file_keep(dir, name, &error) == 0) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: the state file \"%s/" CANARY_STATE_FILE "\" "
                      "with all of it is kept as \"%s\"", dir, name);
    } else {
        ngx_log_error(NGX_LOG_ERR, log, error.err,
                      "canary: %s of the state file \"%s/" CANARY_STATE_FILE
                      "\" failed", error.call, dir);
    }
}


static ngx_int_t
ngx_canary_restore_idle(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_canary_shared_t  *shared;

    if (from->rollout.phase != CANARY_IDLE) {
        return NGX_OK;
    }

    shared = ngx_canary_restored(cmcf, from, log);

    return shared ? ngx_canary_restore_endpoint(cmcf, shared, from, log)
                  : NGX_ERROR;
}


static ngx_int_t
ngx_canary_restore_rollout(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_canary_shared_t  *shared;

    if (from->rollout.phase == CANARY_IDLE) {
        return NGX_OK;
    }

    shared = ngx_canary_restored(cmcf, from, log);

    ngx_canary_load_events(from);

    if (shared == NULL
        || ngx_canary_restore_endpoint(cmcf, shared, from, log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "canary: \"%s\" goes on after a restart: rollout of %s, "
                  "%s, weight %uD of a million", from->name, from->canary,
                  canary_phase_name(from->rollout.phase),
                  from->rollout.weight);

    return NGX_OK;
}


/* NULL: it is neither configured nor remembered */

ngx_canary_shared_t *
ngx_canary_find_from(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from)
{
    ngx_str_t  name;

    name.data = (u_char *) from->name;
    name.len = ngx_strlen(from->name);

    return ngx_canary_find_shared(cmcf->zone, &name);
}


/* one that is not configured is remembered, as after a reload without it */

ngx_canary_shared_t *
ngx_canary_restored(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_str_t             name;
    ngx_canary_shared_t  *shared;

    shared = ngx_canary_find_from(cmcf, from);

    if (shared) {
        return shared;
    }

    name.data = (u_char *) from->name;
    name.len = ngx_strlen(from->name);

    shared = ngx_canary_create_shared(cmcf->zone, &name, NGX_CANARY_UNSEEN, 0);

    if (shared == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%V\", which is not configured, is not "
                      "remembered, since the canary_zone is too small",
                      &name);
        return NULL;
    }

    return shared;
}


ngx_int_t
ngx_canary_restore_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_int_t               rc;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = ngx_canary_endpoint_of(cmcf, shared);

    if (endpoint) {
        endpoint->begun = 0;
    }

    rc = ngx_canary_adopt(cmcf, shared, from, ngx_canary_milliseconds(), log);

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" begins idle on the release that "
                      "nginx.conf says, since the canary_zone is too small "
                      "for its state", from->name);

    } else if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "canary: \"%s\" begins idle on its stable release %s, "
                      "since the canary_zone is too small for its rollout",
                      from->name, from->stable);
    }

    return rc;
}


ngx_int_t
ngx_canary_restore_totals(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_canary_shared_t  *shared;

    shared = ngx_canary_find_from(cmcf, from);

    if (shared == NULL
        || ngx_canary_adopt_totals(cmcf, shared, from) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "canary: \"%s\" begins without its totals, since the "
                  "canary_zone is too small for them", from->name);

    return NGX_ERROR;
}


ngx_int_t
ngx_canary_restore_history(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log)
{
    ngx_canary_shared_t  *shared;

    if (from->rollout.phase != CANARY_IDLE) {
        return NGX_OK;
    }

    shared = ngx_canary_find_from(cmcf, from);

    ngx_canary_load_events(from);

    if (shared == NULL
        || ngx_canary_adopt_history(cmcf, shared, from) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "canary: \"%s\" begins without its events, since the "
                  "canary_zone is too small for them", from->name);

    return NGX_ERROR;
}
