
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_adopt.h"

#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_evidence_sum.h"
#include "canary_judge.h"
#include "canary_judge_layout.h"
#include "canary_kept.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_totals.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_record.h"
#include "ngx_canary_registry.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"
#include "ngx_canary_configured.h"
#include "ngx_canary_collect.h"


/* What a state file says of an endpoint, put into the zone. */


static void ngx_canary_adopt_evidence(ngx_canary_shared_t *shared,
    canary_rollout_t *rollout, canary_state_endpoint_t *from, uint64_t now);
static void ngx_canary_adopt_now(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next);
static uint32_t ngx_canary_adopt_release(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, char *name, const canary_rollout_t *rollout);
static void ngx_canary_adopt_events(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_state_endpoint_t *from);


ngx_int_t
ngx_canary_adopt(ngx_canary_main_conf_t *cmcf, ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from, uint64_t now, ngx_log_t *log)
{
    ngx_uint_t           fits, same;
    canary_rollout_t    *present, *rollout;
    ngx_canary_zone_t   *zone;
    ngx_canary_record_t  next;

    zone = cmcf->zone;

    if (ngx_canary_adopt_record(cmcf, shared, &next, from, now) != NGX_OK) {
        return NGX_ERROR;
    }

    present = &ngx_canary_record(shared)->rollout;
    rollout = &next.rollout;

    same = (present->phase != CANARY_IDLE
            && present->number == rollout->number);

    fits = (rollout->phase == CANARY_IDLE
            || ngx_canary_provide(shared, rollout)
               == NGX_OK);

    /* numbers of our own may be those of other events there: so all of them */

    if (!from->here) {
        next.events = 0;

        if (rollout->phase != CANARY_IDLE && fits) {
            ngx_canary_adopt_events(shared, &next, from);
        }
    }

    if (rollout->phase != CANARY_IDLE && fits && !same) {
        ngx_canary_adopt_evidence(shared, rollout, from, now);
    }

    ngx_canary_adopt_now(shared, &next);

    if (!fits) {
        ngx_canary_release_gone(cmcf, shared, rollout->stable,
                                "the canary_zone is too small for the "
                                "rollout", log);
        return NGX_DECLINED;
    }

    ngx_canary_repair(shared);

    if (rollout->phase == CANARY_IDLE) {
        ngx_canary_put_spare(shared);

    } else {
        (void) canary_judge_tick(shared->evidence, rollout, now);
    }

    shared->sequence = zone->durable;

    return NGX_OK;
}


static void
ngx_canary_adopt_evidence(ngx_canary_shared_t *shared,
    canary_rollout_t *rollout, canary_state_endpoint_t *from, uint64_t now)
{
    canary_times_t  times;

    ngx_canary_times(shared, rollout, 0, &times);
    canary_judge_begin(shared->evidence, rollout, now, &times);

    canary_evidence_spent(shared->evidence, CANARY_SIDE_STABLE,
                          from->spent_stable);
    canary_evidence_spent(shared->evidence, CANARY_SIDE_CANARY,
                          from->spent_canary);

    ngx_canary_see_spent(shared, from);
}


static void
ngx_canary_adopt_now(ngx_canary_shared_t *shared, ngx_canary_record_t *next)
{
    ngx_uint_t  place;

    place = !(shared->current & 1);
    shared->records[place] = *next;

    __atomic_store_n(&shared->current, place, __ATOMIC_RELEASE);
}


ngx_int_t
ngx_canary_adopt_history(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from)
{
    ngx_canary_record_t  next;

    if (from->nevents == 0) {
        return NGX_OK;
    }

    if (ngx_canary_provide_history(shared) != NGX_OK) {
        return NGX_ERROR;
    }

    next = *ngx_canary_record(shared);

    ngx_canary_adopt_events(shared, &next, from);
    ngx_canary_adopt_now(shared, &next);

    return NGX_OK;
}


ngx_int_t
ngx_canary_adopt_record(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_canary_record_t *next,
    canary_state_endpoint_t *from, uint64_t now)
{
    canary_rollout_t  *rollout;

    *next = *ngx_canary_record(shared);

    rollout = &next->rollout;
    *rollout = from->rollout;

    rollout->tests = ngx_canary_record(shared)->rollout.tests;
    rollout->trial = ngx_canary_record(shared)->rollout.trial;
    rollout->stable = CANARY_NO_RELEASE;
    rollout->canary = CANARY_NO_RELEASE;

    rollout->stable = ngx_canary_adopt_release(cmcf, shared,
                                               from->stable, rollout);
    rollout->canary = ngx_canary_adopt_release(cmcf, shared,
                                               from->canary, rollout);
    rollout->last_release = ngx_canary_adopt_release(cmcf, shared,
                                                     from->last_release,
                                                     rollout);

    if (rollout->stable == CANARY_NO_RELEASE
        || (rollout->phase != CANARY_IDLE
            && rollout->canary == CANARY_NO_RELEASE))
    {
        return NGX_ERROR;
    }

    canary_rollout_restart(rollout, now);

    /* tests of a fleet go on, whoever of its nodes comes or goes */

    if (cmcf->zone->fleet && from->rollout.tests) {
        rollout->tests = from->rollout.tests;
        rollout->trial = from->rollout.trial;
    }

    if (from->here) {
        rollout->since = from->rollout.since;
        rollout->elapsed = from->rollout.elapsed;
    }

    ngx_memcpy(next->last_release, from->last_release, CANARY_NAME_SIZE);
    ngx_memcpy(next->last_reason, from->last_reason, CANARY_REASON_SIZE);
    next->ended = from->ended;
    next->last_verb = from->last_verb;

    return NGX_OK;
}


/* with "rollout" it is for one of its roles, so that others give way to it */

static uint32_t
ngx_canary_adopt_release(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, char *name, const canary_rollout_t *rollout)
{
    ngx_str_t  text;

    if (name[0] == '\0') {
        return CANARY_NO_RELEASE;
    }

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    return (uint32_t) ngx_canary_remember_place(shared, &text,
                                                NGX_CANARY_UNSEEN, rollout);
}


/* a process that dies here may lose some, but leaves nothing to add twice */

ngx_int_t
ngx_canary_adopt_totals(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from)
{
    uint32_t                      id;
    ngx_int_t                     rc;
    ngx_uint_t                    i;
    canary_totals_t              *totals, gain;
    ngx_canary_release_shared_t  *release;

    static const canary_totals_t  none;

    rc = NGX_OK;

    for (i = 0; i < from->nreleases; i++) {
        totals = &from->releases[i].totals;

        if (ngx_memcmp(totals, &none, sizeof(canary_totals_t)) == 0) {
            continue;
        }

        id = ngx_canary_adopt_release(cmcf, shared,
                                      from->releases[i].name, NULL);

        if (id >= CANARY_RELEASES) {
            continue;
        }

        release = shared->releases[id];

        if (ngx_memcmp(totals, &release->seen, sizeof(canary_totals_t)) == 0) {
            continue;
        }

        if (ngx_canary_add_past(cmcf->zone, release) != NGX_OK) {
            rc = NGX_ERROR;
            continue;
        }

        if (canary_state_gain(&release->seen, totals, &gain)) {
            ngx_canary_add_totals(&release->past->totals, &gain);
        }
    }

    return rc;
}


void
ngx_canary_adopt_spent(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from)
{
    unsigned              side;
    canary_rollout_t     *rollout;
    canary_state_spent_t  before;

    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase == CANARY_IDLE || shared->evidence == NULL
        || from->rollout.phase == CANARY_IDLE
        || from->rollout.number != rollout->number)
    {
        return;
    }

    before = shared->spent;

    ngx_canary_see_spent(shared, from);

    if (before.rollout != rollout->number) {
        return;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        if (shared->spent.sides[side] > before.sides[side]) {
            canary_evidence_add_spent(shared->evidence, side,
                                      shared->spent.sides[side]
                                      - before.sides[side]);
        }
    }
}


void
ngx_canary_adopt_seen(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from)
{
    ngx_uint_t                    i;
    ngx_canary_release_shared_t  *place;

    ngx_canary_see_spent(shared, from);

    for (i = 0; i < from->nreleases; i++) {
        place = ngx_canary_place_of(shared, from->releases[i].name);

        if (place) {
            place->seen = from->releases[i].totals;
        }
    }
}


static void
ngx_canary_adopt_events(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_state_endpoint_t *from)
{
    ngx_uint_t             i;
    ngx_canary_journal_t  *journal;

    next->events = 0;

    for (i = 0; i < from->nevents; i++) {
        *ngx_canary_event_at(shared, next->events++) = from->events[i];
    }

    /* what is void is so to whoever has written the file */

    journal = &shared->history->journal;

    journal->appended = from->appended;
    journal->told = journal->nvoid;
}
