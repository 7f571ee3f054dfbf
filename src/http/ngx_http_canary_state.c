
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


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


static ngx_uint_t ngx_http_canary_count_shared(
    ngx_http_canary_main_conf_t *cmcf, uint64_t *sequence,
    canary_state_t *state);
static ngx_int_t ngx_http_canary_collect_all(
    ngx_http_canary_main_conf_t *cmcf, canary_state_t *before,
    canary_state_t *state);
static ngx_int_t ngx_http_canary_collect_endpoint(
    ngx_http_canary_shared_t *shared, canary_state_endpoint_t *before,
    canary_state_endpoint_t *to);
static void ngx_http_canary_take_kept(ngx_http_canary_shared_t *shared,
    uint64_t number, canary_state_endpoint_t *before,
    canary_state_endpoint_t *to);
static void ngx_http_canary_collect_releases(
    ngx_http_canary_shared_t *shared, canary_state_endpoint_t *to);
static void ngx_http_canary_all_totals(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *release,
    canary_totals_t *sum);
static void ngx_http_canary_collect_events(ngx_http_canary_shared_t *shared,
    uint64_t number, canary_state_endpoint_t *to);
static void ngx_http_canary_collect_spent(ngx_http_canary_shared_t *shared,
    ngx_uint_t began, canary_state_endpoint_t *to);
static void ngx_http_canary_see_again(ngx_http_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);
static void ngx_http_canary_name_of(ngx_http_canary_shared_t *shared,
    uint32_t id, char *name);


/*
 * The lock is given back between endpoints.  What is added to the list
 * meanwhile is added at its head, and has a change of its own to be written;
 * when something is taken out it begins anew.
 */

canary_state_t *
ngx_http_canary_collect(ngx_http_canary_main_conf_t *cmcf,
    canary_state_t *before, uint64_t *sequence)
{
    ngx_int_t        rc;
    ngx_uint_t       n;
    canary_state_t  *state;

    do {
        n = ngx_http_canary_count_shared(cmcf, sequence, NULL);

        state = canary_state_create(n);
        if (state == NULL) {
            return NULL;
        }

        (void) ngx_http_canary_count_shared(cmcf, sequence, state);

        rc = ngx_http_canary_collect_all(cmcf, before, state);

        if (rc != NGX_OK) {
            ngx_http_canary_not_seen(cmcf, state);
            canary_state_destroy(state);
            state = NULL;
        }

    } while (rc == NGX_AGAIN);

    return state;
}


static ngx_uint_t
ngx_http_canary_count_shared(ngx_http_canary_main_conf_t *cmcf,
    uint64_t *sequence, canary_state_t *state)
{
    ngx_uint_t                      n;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;
    n = 0;

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    *sequence = sh->sequence;

    for (shared = sh->endpoints; shared; shared = shared->next) {
        n++;
    }

    if (state) {
        state->writer = sh->writer;
        state->last_event = sh->last_event;
    }

    ngx_shmtx_unlock(&cmcf->shpool->mutex);

    return n;
}


static ngx_int_t
ngx_http_canary_collect_all(ngx_http_canary_main_conf_t *cmcf,
    canary_state_t *before, canary_state_t *state)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, n, removed;
    ngx_http_canary_shared_t       *shared;
    ngx_http_canary_zone_shared_t  *sh;

    sh = cmcf->sh;
    rc = NGX_OK;
    shared = NULL;
    removed = 0;

    for (i = 0, n = 0; rc == NGX_OK; i++) {

        ngx_shmtx_lock(&cmcf->shpool->mutex);

        if (i == 0) {
            removed = sh->removed;
        }

        if (sh->serial != cmcf->serial) {
            rc = NGX_ERROR;

        } else if (sh->removed != removed) {
            rc = NGX_AGAIN;

        } else {
            shared = (i == 0) ? sh->endpoints : shared->next;

            if (shared && n < state->nendpoints
                && ngx_http_canary_record(shared)->rollout.generation)
            {
                rc = ngx_http_canary_collect_endpoint(shared,
                                          (before && n < before->nendpoints)
                                          ? &before->endpoints[n] : NULL,
                                          &state->endpoints[n]);
                n++;
            }
        }

        ngx_shmtx_unlock(&cmcf->shpool->mutex);

        if (shared == NULL) {
            break;
        }
    }

    /* an event may have come after the number was read */

    for (i = 0; rc == NGX_OK && i < n; i++) {
        if (state->endpoints[i].nevents) {
            state->last_event = ngx_max(state->last_event,
                                        state->endpoints[i].events[
                                        state->endpoints[i].nevents - 1].id);
        }
    }

    state->nendpoints = n;

    return rc;
}


/* what is pending is in the file as if it had taken effect */

static ngx_int_t
ngx_http_canary_collect_endpoint(ngx_http_canary_shared_t *shared,
    canary_state_endpoint_t *before, canary_state_endpoint_t *to)
{
    ngx_uint_t                 i, began, nreleases, nevents;
    canary_rollout_t          *rollout;
    ngx_http_canary_record_t  *record, *present;

    present = ngx_http_canary_record(shared);
    record = shared->pending.sequence ? &shared->pending.after->record
                                      : present;
    rollout = &record->rollout;

    nreleases = 0;

    for (i = 0; i < CANARY_RELEASES; i++) {
        nreleases += (shared->releases[i] && shared->releases[i]->serial);
    }

    if (!canary_state_set_name(to, (char *) shared->name, shared->len)) {
        return NGX_ERROR;
    }

    if (before && shared->events) {
        ngx_http_canary_take_kept(shared, present->events, before, to);
    }

    nevents = ngx_min(present->events - to->noted, CANARY_EVENTS);

    if (!canary_state_reserve(to, nreleases, nevents + 1)) {
        return NGX_ERROR;
    }

    to->rollout = *rollout;

    ngx_http_canary_name_of(shared, rollout->stable, to->stable);
    ngx_http_canary_name_of(shared, rollout->canary, to->canary);

    ngx_memcpy(to->last_release, record->last_release,
               CANARY_NAME_SIZE);
    ngx_memcpy(to->last_reason, record->last_reason, CANARY_REASON_SIZE);
    to->ended = record->ended;

    ngx_http_canary_collect_releases(shared, to);

    ngx_http_canary_collect_events(shared, present->events, to);

    began = (present->rollout.phase != CANARY_IDLE
             && present->rollout.number == rollout->number);

    ngx_http_canary_collect_spent(shared, began, to);

    return NGX_OK;
}


/*
 * Events that the file had before are not copied again, so that many of them
 * cost nothing but their first time.
 */

static void
ngx_http_canary_take_kept(ngx_http_canary_shared_t *shared, uint64_t number,
    canary_state_endpoint_t *before, canary_state_endpoint_t *to)
{
    uint64_t         first, oldest;
    canary_event_t  *last;

    if (before->nkept == 0 || ngx_strcmp(before->name, to->name) != 0) {
        return;
    }

    first = (number > CANARY_EVENTS) ? number - CANARY_EVENTS
                                              : 0;
    oldest = before->noted - before->nkept;

    if (before->noted > number || before->noted <= first || oldest > first) {
        return;
    }

    last = &shared->events[(before->noted - 1) % (CANARY_EVENTS + 1)];

    if (last->id != before->kept_id) {
        return;
    }

    canary_state_take_kept(to, before, (unsigned) (first - oldest));

    to->noted = before->noted;
}


static void
ngx_http_canary_collect_releases(ngx_http_canary_shared_t *shared,
    canary_state_endpoint_t *to)
{
    ngx_uint_t                         i;
    canary_state_release_t            *release;
    ngx_http_canary_release_shared_t  *place;

    for (i = 0; i < CANARY_RELEASES; i++) {
        place = shared->releases[i];

        if (place == NULL || place->serial == 0) {
            continue;
        }

        release = &to->releases[to->nreleases++];

        ngx_http_canary_name_of(shared, i, release->name);
        ngx_http_canary_all_totals(shared, place, &release->totals);

        release->totals.other_time += release->totals.time;
        release->totals.time = 0;

        release->seen = place->seen;
        place->seen = release->totals;
    }
}


static void
ngx_http_canary_all_totals(ngx_http_canary_shared_t *shared,
    ngx_http_canary_release_shared_t *release, canary_totals_t *sum)
{
    ngx_uint_t  i;

    ngx_memzero(sum, sizeof(canary_totals_t));

    for (i = 0; i < shared->nphases; i++) {
        if (release->meters[i]) {
            ngx_http_canary_add_totals(sum, &release->meters[i]->totals);
        }
    }

    if (release->past) {
        ngx_http_canary_add_totals(sum, &release->past->totals);
    }
}


static void
ngx_http_canary_collect_events(ngx_http_canary_shared_t *shared,
    uint64_t number, canary_state_endpoint_t *to)
{
    uint64_t  first;

    first = (number > CANARY_EVENTS) ? number - CANARY_EVENTS
                                              : 0;
    first = ngx_max(first, to->noted);

    to->noted = number;
    to->pending = (shared->pending.sequence
                   && shared->pending.after->event.id);

    for ( /* void */ ; shared->events && first < number; first++) {
        to->events[to->nevents++]
                              = shared->events[first % (CANARY_EVENTS + 1)];
    }

    if (to->pending) {
        to->events[to->nevents++] = shared->pending.after->event;
    }
}


static void
ngx_http_canary_collect_spent(ngx_http_canary_shared_t *shared,
    ngx_uint_t began, canary_state_endpoint_t *to)
{
    if (began && shared->evidence) {
        to->spent_stable = canary_evidence_spent_by(shared->evidence,
                                                    CANARY_SIDE_STABLE);
        to->spent_canary = canary_evidence_spent_by(shared->evidence,
                                                    CANARY_SIDE_CANARY);
    }

    to->seen = shared->spent;

    ngx_http_canary_see_spent(shared, to);
}


void
ngx_http_canary_see_spent(ngx_http_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint)
{
    shared->spent.sides[CANARY_SIDE_STABLE] = endpoint->spent_stable;
    shared->spent.sides[CANARY_SIDE_CANARY] = endpoint->spent_canary;
    shared->spent.rollout = endpoint->rollout.number;
}


/*
 * The file does not have what was collected for it, so what is in it was not
 * seen.  Endpoints are in the order of the list, which others may have put in
 * front of it, or taken out, meanwhile.
 */

void
ngx_http_canary_not_seen(ngx_http_canary_main_conf_t *cmcf,
    const canary_state_t *state)
{
    size_t                     len;
    ngx_uint_t                 i;
    ngx_http_canary_shared_t  *shared, *next;

    ngx_shmtx_lock(&cmcf->shpool->mutex);

    next = cmcf->sh->endpoints;

    for (i = 0; i < state->nendpoints && state->endpoints[i].name; i++) {

        len = ngx_strlen(state->endpoints[i].name);

        for (shared = next; shared; shared = shared->next) {
            if (shared->len == len
                && ngx_memcmp(shared->name, state->endpoints[i].name, len)
                   == 0)
            {
                ngx_http_canary_see_again(shared, &state->endpoints[i]);
                next = shared->next;
                break;
            }
        }
    }

    ngx_shmtx_unlock(&cmcf->shpool->mutex);
}


static void
ngx_http_canary_see_again(ngx_http_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint)
{
    ngx_uint_t                         i;
    ngx_http_canary_release_shared_t  *place;

    shared->spent = endpoint->seen;

    for (i = 0; i < endpoint->nreleases; i++) {
        place = ngx_http_canary_place_of(shared, endpoint->releases[i].name);

        if (place) {
            place->seen = endpoint->releases[i].seen;
        }
    }
}


/* NULL: there is no release of that name */

ngx_http_canary_release_shared_t *
ngx_http_canary_place_of(ngx_http_canary_shared_t *shared, const char *name)
{
    size_t                             len;
    ngx_uint_t                         i;
    ngx_http_canary_release_shared_t  *place;

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
ngx_http_canary_name_of(ngx_http_canary_shared_t *shared, uint32_t id,
    char *name)
{
    ngx_http_canary_release_shared_t  *release;

    ngx_memzero(name, CANARY_NAME_SIZE);

    if (id < CANARY_RELEASES && shared->releases[id]) {
        release = shared->releases[id];
        ngx_memcpy(name, release->name, ngx_min(release->len,
                                                CANARY_NAME_SIZE - 1));
    }
}


uint64_t
ngx_http_canary_attempts(ngx_http_canary_main_conf_t *cmcf)
{
    uint64_t                            attempts;
    ngx_uint_t                          i, n, class;
    canary_totals_t                     sum;
    ngx_http_canary_release_t          *releases;
    ngx_http_canary_endpoint_t        **endpoints;
    ngx_http_canary_release_shared_t   *place;

    attempts = 0;
    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        releases = endpoints[i]->releases.elts;

        for (n = 0; n < endpoints[i]->releases.nelts; n++) {
            place = endpoints[i]->shared->releases[releases[n].id];

            if (place == NULL) {
                continue;
            }

            ngx_http_canary_all_totals(endpoints[i]->shared, place, &sum);

            for (class = 0; class < 5; class++) {
                attempts += sum.responses[class];
            }

            attempts += sum.failed + sum.timeouts + sum.aborted;
        }
    }

    return attempts;
}
