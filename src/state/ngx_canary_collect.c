
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_collect.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_evidence_sum.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_totals.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_shared.h"


/*
 * The zone as the state file has it: endpoints copied out.
 *
 * What is counted may be counted by two nginx, of which one writes the file at
 * a time.  So each of them knows what it has last seen in the file, read or
 * written, and adds to its own what the file has gained when the other one
 * wrote it.  What is collected counts as seen from then on, and not when it is
 * known to be there: a process that dies in between must not make the next one
 * add what is its own.
 */


typedef void (*ngx_canary_collected_pt)(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);


static ngx_uint_t ngx_canary_count_shared(ngx_canary_main_conf_t *cmcf,
    uint64_t *sequence, canary_state_t *state);
static ngx_int_t ngx_canary_collect_others(ngx_canary_zone_t *zone,
    canary_state_t *state);
static ngx_int_t ngx_canary_collect_all(
    ngx_canary_main_conf_t *cmcf, canary_state_t *state);
static ngx_int_t ngx_canary_collect_endpoint(
    ngx_canary_shared_t *shared, canary_state_endpoint_t *to);
static void ngx_canary_collect_releases(
    ngx_canary_shared_t *shared, canary_state_endpoint_t *to);
static unsigned ngx_canary_not_appended(ngx_canary_shared_t *shared);
static void ngx_canary_collect_events(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *to);
static void ngx_canary_for_each(ngx_canary_main_conf_t *cmcf,
    const canary_state_t *state, ngx_canary_collected_pt handler);
static void ngx_canary_note_appended(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);
static void ngx_canary_see_again(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);
static void ngx_canary_name_of(ngx_canary_shared_t *shared,
    uint32_t id, char *name);


/*
 * The lock is given back between endpoints.  What is added to the list
 * meanwhile is added at its head, and has a change of its own to be written;
 * when something is taken out it begins anew.
 */

canary_state_t *
ngx_canary_collect(ngx_canary_main_conf_t *cmcf, uint64_t *sequence)
{
    ngx_int_t        rc;
    ngx_uint_t       n;
    canary_state_t  *state;

    do {
        n = ngx_canary_count_shared(cmcf, sequence, NULL);

        state = canary_state_create(n);
        if (state == NULL) {
            return NULL;
        }

        (void) ngx_canary_count_shared(cmcf, sequence, state);

        rc = (ngx_canary_collect_others(cmcf->zone, state) == NGX_OK)
             ? ngx_canary_collect_all(cmcf, state) : NGX_ERROR;

        if (rc != NGX_OK) {
            ngx_canary_not_seen(cmcf, state);
            canary_state_destroy(state);
            state = NULL;
        }

    } while (rc == NGX_AGAIN);

    return state;
}


static ngx_uint_t
ngx_canary_count_shared(ngx_canary_main_conf_t *cmcf,
    uint64_t *sequence, canary_state_t *state)
{
    ngx_uint_t            n;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = cmcf->zone;
    n = 0;

    ngx_canary_lock(zone);

    *sequence = zone->sequence;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        n++;
    }

    if (state) {
        state->writer = zone->writer;
        state->last_event = zone->last_event;
        state->configuration = ngx_canary_configuration(zone, zone->serial);

        if (zone->fleet) {
            ngx_memcpy(state->fleet.name, zone->fleet->name, CANARY_NAME_SIZE);
            state->fleet.kept = zone->fleet->kept;
            state->fleet.contact = zone->fleet->contact;
        }
    }

    ngx_canary_unlock(zone);

    return n;
}


/* what is newer than the sequence is in the next file as well */

static ngx_int_t
ngx_canary_collect_others(ngx_canary_zone_t *zone, canary_state_t *state)
{
    ngx_int_t            rc;
    ngx_canary_other_t  *other;

    rc = NGX_OK;

    ngx_canary_lock(zone);

    for (other = zone->fleet ? zone->fleet->others : NULL;
         other && rc == NGX_OK;
         other = other->next)
    {
        if (!canary_state_add_other(&state->fleet, (char *) other->text,
                                    other->word_len,
                                    (char *) other->text + other->word_len,
                                    other->len))
        {
            rc = NGX_ERROR;
        }
    }

    ngx_canary_unlock(zone);

    return rc;
}


static ngx_int_t
ngx_canary_collect_all(ngx_canary_main_conf_t *cmcf, canary_state_t *state)
{
    ngx_int_t             rc;
    ngx_uint_t            i, n, removed;
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = cmcf->zone;
    rc = NGX_OK;
    shared = NULL;
    removed = 0;

    for (i = 0, n = 0; rc == NGX_OK; i++) {

        ngx_canary_lock(zone);

        if (i == 0) {
            removed = zone->removed;
        }

        if (zone->serial != cmcf->serial) {
            rc = NGX_ERROR;

        } else if (zone->removed != removed) {
            rc = NGX_AGAIN;

        } else {
            shared = (i == 0) ? zone->endpoints : shared->next;

            if (shared && n < state->nendpoints
                && ngx_canary_record(shared)->rollout.generation)
            {
                rc = ngx_canary_collect_endpoint(shared, &state->endpoints[n]);
                n++;
            }
        }

        ngx_canary_unlock(zone);

        if (shared == NULL) {
            break;
        }
    }

    state->nendpoints = n;

    return rc;
}


/* what is pending is in the file as if it had taken effect */

static ngx_int_t
ngx_canary_collect_endpoint(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *to)
{
    ngx_uint_t            i, nreleases;
    ngx_canary_record_t  *record;

    record = ngx_canary_pending_ready(shared)
             ? &shared->history->pending.record : ngx_canary_record(shared);
    nreleases = 0;

    for (i = 0; i < CANARY_RELEASES; i++) {
        nreleases += (shared->releases[i] && shared->releases[i]->serial);
    }

    if (!canary_state_set_name(to, (char *) shared->name, shared->len)) {
        return NGX_ERROR;
    }

    if (!canary_state_reserve(to, nreleases,
                              ngx_canary_not_appended(shared)))
    {
        return NGX_ERROR;
    }

    ngx_canary_collect_record(shared, record, to);

    to->seen = shared->spent;

    ngx_canary_see_spent(shared, to);

    ngx_canary_collect_releases(shared, to);
    ngx_canary_collect_events(shared, to);

    return NGX_OK;
}


void
ngx_canary_collect_record(ngx_canary_shared_t *shared,
    const ngx_canary_record_t *record, canary_state_endpoint_t *to)
{
    canary_rollout_t        *present;
    canary_evidence_t       *evidence;
    const canary_rollout_t  *rollout;

    rollout = &record->rollout;
    present = &ngx_canary_record(shared)->rollout;
    evidence = shared->evidence;

    to->rollout = *rollout;

    ngx_canary_name_of(shared, rollout->stable, to->stable);
    ngx_canary_name_of(shared, rollout->canary, to->canary);

    ngx_memcpy(to->last_release, record->last_release, CANARY_NAME_SIZE);
    ngx_memcpy(to->last_reason, record->last_reason, CANARY_REASON_SIZE);
    to->ended = record->ended;
    to->last_verb = record->last_verb;

    if (evidence && present->phase != CANARY_IDLE
        && present->number == rollout->number)
    {
        to->spent_stable = canary_evidence_spent_by(evidence,
                                                    CANARY_SIDE_STABLE);
        to->spent_canary = canary_evidence_spent_by(evidence,
                                                    CANARY_SIDE_CANARY);
    }
}


static void
ngx_canary_collect_releases(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *to)
{
    ngx_uint_t                    i;
    canary_state_release_t       *release;
    ngx_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place == NULL || place->serial == 0) {
            continue;
        }

        release = &to->releases[to->nreleases++];

        ngx_canary_name_of(shared, i, release->name);
        ngx_canary_sum_totals(shared, place, &release->totals);

        release->totals.other_time += release->totals.time;
        release->totals.time = 0;

        release->seen = place->seen;
        place->seen = release->totals;
    }
}


/*
 * Events that the file does not have yet.  One that is pending may be there,
 * if the writer has died, and will be there twice: who reads takes it once.
 */

static unsigned
ngx_canary_not_appended(ngx_canary_shared_t *shared)
{
    uint64_t               number;
    unsigned               n;
    ngx_canary_journal_t  *journal;

    if (shared->history == NULL) {
        return 0;
    }

    n = 0;
    number = ngx_canary_record(shared)->events;
    journal = &shared->history->journal;

    while (n < number && n < CANARY_EVENTS
           && ngx_canary_event_at(shared, number - n - 1)->id
              > journal->appended)
    {
        n++;
    }

    return n + (ngx_canary_pending_ready(shared)
                && shared->history->pending.event.id);
}


static void
ngx_canary_collect_events(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *to)
{
    uint64_t               first, number;
    unsigned               n, pending;
    ngx_canary_journal_t  *journal;

    if (shared->history == NULL) {
        return;
    }

    journal = &shared->history->journal;

    first = (journal->nvoid > CANARY_STATE_VOIDS)
            ? journal->nvoid - CANARY_STATE_VOIDS : 0;
    first = ngx_max(first, journal->told);

    for (to->told = journal->nvoid; first < to->told; first++) {
        to->voids[to->nvoid++] = journal->voids[first % CANARY_STATE_VOIDS];
    }

    pending = (ngx_canary_pending_ready(shared)
               && shared->history->pending.event.id);
    number = ngx_canary_record(shared)->events;

    for (n = ngx_canary_not_appended(shared) - pending; n; n--) {
        to->events[to->nevents++] = *ngx_canary_event_at(shared, number - n);
    }

    if (pending) {
        to->events[to->nevents++] = shared->history->pending.event;
    }

    if (to->nevents) {
        to->appended = to->events[to->nevents - 1].id;
    }
}


void
ngx_canary_see_spent(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint)
{
    shared->spent.sides[CANARY_SIDE_STABLE] = endpoint->spent_stable;
    shared->spent.sides[CANARY_SIDE_CANARY] = endpoint->spent_canary;
    shared->spent.rollout = endpoint->rollout.number;
}


/* the file does not have what was collected for it: it was not seen */

void
ngx_canary_not_seen(ngx_canary_main_conf_t *cmcf, const canary_state_t *state)
{
    ngx_canary_for_each(cmcf, state, ngx_canary_see_again);
}


void
ngx_canary_has_events(ngx_canary_main_conf_t *cmcf,
    const canary_state_t *state)
{
    ngx_uint_t  i;

    for (i = 0; i < state->nendpoints; i++) {
        if (state->endpoints[i].appended || state->endpoints[i].nvoid) {
            ngx_canary_for_each(cmcf, state, ngx_canary_note_appended);
            break;
        }
    }
}


/*
 * Endpoints are in the order of the list, which others may have put in front
 * of it, or taken out, meanwhile.
 */

static void
ngx_canary_for_each(ngx_canary_main_conf_t *cmcf,
    const canary_state_t *state, ngx_canary_collected_pt handler)
{
    size_t                len;
    ngx_uint_t            i;
    ngx_canary_shared_t  *shared, *next;

    ngx_canary_lock(cmcf->zone);

    next = cmcf->zone->endpoints;

    for (i = 0; i < state->nendpoints && state->endpoints[i].name; i++) {

        len = ngx_strlen(state->endpoints[i].name);

        for (shared = next; shared; shared = shared->next) {
            if (shared->len == len
                && ngx_memcmp(shared->name, state->endpoints[i].name, len)
                   == 0)
            {
                handler(shared, &state->endpoints[i]);
                next = shared->next;
                break;
            }
        }
    }

    ngx_canary_unlock(cmcf->zone);
}


static void
ngx_canary_note_appended(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint)
{
    ngx_canary_journal_t  *journal;

    if (shared->history == NULL) {
        return;
    }

    journal = &shared->history->journal;

    journal->appended = ngx_max(journal->appended, endpoint->appended);
    journal->told = ngx_max(journal->told, endpoint->told);
}


static void
ngx_canary_see_again(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    shared->spent = endpoint->seen;

    for (i = 0; i < endpoint->nreleases; i++) {
        place = ngx_canary_place_of(shared, endpoint->releases[i].name);

        if (place) {
            place->seen = endpoint->releases[i].seen;
        }
    }
}


/* NULL: there is no release of that name */

ngx_canary_release_shared_t *
ngx_canary_place_of(ngx_canary_shared_t *shared, const char *name)
{
    size_t                        len;
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    len = ngx_strlen(name);

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place && place->serial && place->len == len
            && ngx_memcmp(place->name, name, len) == 0)
        {
            return place;
        }
    }

    return NULL;
}


static void
ngx_canary_name_of(ngx_canary_shared_t *shared, uint32_t id, char *name)
{
    ngx_canary_release_shared_t  *release;

    ngx_memzero(name, CANARY_NAME_SIZE);

    if (id < CANARY_RELEASES && shared->releases[id]) {
        release = shared->releases[id];
        ngx_memcpy(name, release->name, ngx_min(release->len,
                                                CANARY_NAME_SIZE - 1));
    }
}


uint64_t
ngx_canary_attempts(ngx_canary_main_conf_t *cmcf)
{
    uint64_t                      attempts;
    ngx_uint_t                    i, n, class;
    canary_totals_t               sum;
    ngx_canary_release_t         *releases;
    ngx_canary_endpoint_t       **endpoints;
    ngx_canary_release_shared_t  *place;

    attempts = 0;
    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        releases = endpoints[i]->releases.elts;

        for (n = 0; n < endpoints[i]->releases.nelts; n++) {
            place = endpoints[i]->shared->releases[releases[n].id];

            if (place == NULL) {
                continue;
            }

            ngx_canary_sum_totals(endpoints[i]->shared, place, &sum);

            for (class = 0; class < 5; class++) {
                attempts += sum.responses[class];
            }

            attempts += sum.failed + sum.timeouts + sum.aborted;
        }
    }

    return attempts;
}
