
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <openssl/rand.h>

#include "ngx_canary_change.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_generation.h"
#include "ngx_canary_memory.h"
#include "ngx_canary_process.h"
#include "ngx_canary_record.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_effect.h"
#include "ngx_canary_event.h"
#include "ngx_canary_member.h"
#include "ngx_canary_pending.h"
#include "ngx_canary_turn.h"


/*
 * All changes of a rollout go through here, under the lock of the zone.  What
 * may put more traffic on the canary is put down as pending; the rest takes
 * effect at once.
 */


static ngx_canary_section_e ngx_canary_prepare(ngx_canary_shared_t *shared,
    const ngx_canary_record_t *next, ngx_uint_t exposes);
static ngx_uint_t ngx_canary_may_expose(ngx_canary_shared_t *shared,
    const canary_command_t *command);
static void ngx_canary_forestall(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log);
static void ngx_canary_stop_pending(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log);
static uint32_t ngx_canary_uid(void);
static void ngx_canary_set_sequence(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change);
static ngx_canary_section_e ngx_canary_carry_out(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_canary_record_t *next, ngx_log_t *log);
static void ngx_canary_stop_now(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_canary_record_t *next,
    canary_event_t *event, ngx_log_t *log);
static void ngx_canary_note(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event, uint64_t now,
    ngx_log_t *log);
static void ngx_canary_set_last(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event);


ngx_canary_section_e
ngx_canary_change(ngx_canary_endpoint_t *endpoint, ngx_canary_change_t *change)
{
    ngx_canary_section_e     rc;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;

    ngx_canary_lock(cmcf->zone);

    change->command.now = ngx_canary_milliseconds();

    rc = ngx_canary_change_locked(endpoint->shared, change, ngx_cycle->log);

    ngx_canary_unlock(cmcf->zone);

    return rc;
}


ngx_canary_section_e
ngx_canary_change_locked(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log)
{
    ngx_uint_t            exposes;
    ngx_canary_zone_t    *zone;
    ngx_canary_record_t   next, *record;
    ngx_canary_section_e  rc;

    zone = shared->zone;

    if (!zone->superseded) {
        ngx_canary_mend(shared, change->command.now);
    }

    record = ngx_canary_record(shared);
    next = *record;
    exposes = canary_verb_exposes(change->command.verb);

    change->status = CANARY_UNCHANGED;
    change->verbs = canary_rollout_verbs(&record->rollout);

    if (zone->superseded
        || (exposes && !ngx_canary_may_expose(shared, &change->command)))
    {
        return NGX_CANARY_SUPERSEDED;
    }

    rc = ngx_canary_take_turn(shared, change);

    if (rc != NGX_CANARY_DONE) {
        return rc;
    }

    if (change->match && !change->match(change->data, &record->rollout))
    {
        return NGX_CANARY_STALE_MATCH;
    }

    if (ngx_canary_stopped(shared, change)) {
        return NGX_CANARY_STOPPED;
    }

    change->status = canary_rollout_apply(&next.rollout, &change->command);

    if (change->status != CANARY_CHANGED) {
        ngx_canary_forestall(shared, change, log);
        return NGX_CANARY_DONE;
    }

    if (zone->fleet && !canary_verb_only_tells(change->command.verb)) {
        next.rollout.uid = ngx_canary_uid();
        ngx_canary_take_seats(zone->fleet, &record->rollout, &next.rollout);
    }

    rc = ngx_canary_prepare(shared, &next, exposes);

    if (rc != NGX_CANARY_DONE) {
        change->status = CANARY_UNCHANGED;
        return rc;
    }

    return ngx_canary_carry_out(shared, change, &next, log);
}


/* what it needs: somebody who keeps it, and memory */

static ngx_canary_section_e
ngx_canary_prepare(ngx_canary_shared_t *shared,
    const ngx_canary_record_t *next, ngx_uint_t exposes)
{
    if (exposes && shared->zone->foreign) {
        return NGX_CANARY_NO_FILE;
    }

    if (exposes && !ngx_canary_fleet_reached(shared->zone)) {
        return NGX_CANARY_NO_FLEET;
    }

    if (next->rollout.phase != CANARY_IDLE
        && ngx_canary_provide(shared, &next->rollout) != NGX_OK)
    {
        return NGX_CANARY_NO_MEMORY;
    }

    /* else only the log has the event */

    if (ngx_canary_provide_history(shared) != NGX_OK && exposes) {
        return NGX_CANARY_NO_MEMORY;
    }

    return NGX_CANARY_DONE;
}


/* a worker of an earlier configuration may know what is gone from this one */

static ngx_uint_t
ngx_canary_may_expose(ngx_canary_shared_t *shared,
    const canary_command_t *command)
{
    ngx_uint_t          id;
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    id = (command->verb == CANARY_START || command->verb == CANARY_DIRECT)
         ? command->release
         : ngx_canary_record(shared)->rollout.stable;

    return !zone->closed && ngx_canary_configured(shared)
           && id < CANARY_RELEASES && shared->releases[id]
           && ngx_canary_release_configured(zone, shared->releases[id]);
}


/*
 * Who rolls back or pauses does not know how far a change has come that is
 * pending, or waits to be: that the verb does not apply yet is no reason to
 * let it happen.
 */

static void
ngx_canary_forestall(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log)
{
    uint64_t       now;
    canary_verb_t  verb;

    verb = change->command.verb;
    now = change->command.now;

    if (change->status != CANARY_NOT_NOW
        || (verb != CANARY_ROLLBACK && verb != CANARY_PAUSE)
        || (shared->pending.sequence == 0
            && !ngx_canary_queued(shared, now)))
    {
        return;
    }

    if (shared->zone->fleet
        && (ngx_canary_pending_ready(shared)
            || (shared->pending.sequence && shared->pending.asked)))
    {
        ngx_canary_stop_pending(shared, change, log);
        return;
    }

    ngx_canary_stop_queued(shared, change);

    ngx_canary_conclude(shared, NGX_CANARY_CANCELLED, now, log);

    /* the file may have what was pending */

    ngx_canary_set_sequence(shared, change);

    change->status = CANARY_CHANGED;
}


/*
 * What is pending is of the fleet, or may be, so that it is late to cancel it:
 * it is stopped, as a change that is told, without any more traffic than there
 * is here.  What has ended cannot be.
 */

static void
ngx_canary_stop_pending(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change, ngx_log_t *log)
{
    canary_event_t        event;
    canary_rollout_t     *before, *rollout;
    ngx_canary_record_t   next, *record;

    record = ngx_canary_record(shared);
    before = &shared->history->pending.record.rollout;
    rollout = &next.rollout;

    if (before->phase == CANARY_IDLE) {
        return;
    }

    next = shared->history->pending.record;
    next.events = record->events;

    if (canary_rollout_apply(rollout, &change->command) != CANARY_CHANGED) {
        rollout->generation++;
    }

    rollout->weight = ngx_min(rollout->weight, record->rollout.weight);
    rollout->uid = ngx_canary_uid();

    ngx_canary_make_event(&event, shared, before, rollout, change);

    /* what was provided for it is given back */

    ngx_canary_conclude(shared, NGX_CANARY_CANCELLED, change->command.now,
                        log);

    if (rollout->phase != CANARY_IDLE
        && ngx_canary_provide(shared, rollout) != NGX_OK)
    {
        return;
    }

    event.id = ngx_canary_next_event_id(shared->zone);

    if (rollout->phase == CANARY_IDLE) {
        ngx_canary_set_last(shared, &next, &event);
    }

    ngx_canary_stop_now(shared, change, &next, &event, log);

    change->status = CANARY_CHANGED;
}


/* names a change among those of all nodes of a fleet */

static uint32_t
ngx_canary_uid(void)
{
    uint32_t  uid;

    if (RAND_bytes((u_char *) &uid, sizeof(uid)) != 1) {
        uid = (uint32_t) ngx_random();
    }

    return uid ? uid : 1;
}


static void
ngx_canary_set_sequence(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change)
{
    ngx_canary_zone_t  *zone;

    zone = shared->zone;
    shared->sequence = ngx_canary_next_sequence(zone);
    shared->changed = zone->changed;
    change->sequence = shared->sequence;
}


static ngx_canary_section_e
ngx_canary_carry_out(ngx_canary_shared_t *shared, ngx_canary_change_t *change,
    ngx_canary_record_t *next, ngx_log_t *log)
{
    canary_event_t     event;
    canary_rollout_t  *before;

    before = &ngx_canary_record(shared)->rollout;

    ngx_canary_make_event(&event, shared, before, &next->rollout, change);

    /* what a fleet has to agree to gets its number when that has */

    event.id = (shared->zone->fleet
                && canary_verb_exposes(change->command.verb))
               ? 0 : ngx_canary_next_event_id(shared->zone);

    if (next->rollout.phase == CANARY_IDLE
        && (before->phase != CANARY_IDLE
            || change->command.verb == CANARY_DIRECT))
    {
        ngx_canary_set_last(shared, next, &event);
    }

    if (canary_verb_exposes(change->command.verb)) {
        ngx_canary_defer(shared, next, &event, change->command.now);
        change->sequence = shared->pending.sequence;
        return NGX_CANARY_PENDING;
    }

    if (canary_verb_only_tells(change->command.verb)) {
        ngx_canary_note(shared, next, &event, change->command.now, log);
        return NGX_CANARY_DONE;
    }

    ngx_canary_stop_now(shared, change, next, &event, log);

    return NGX_CANARY_DONE;
}


static void
ngx_canary_stop_now(ngx_canary_shared_t *shared, ngx_canary_change_t *change,
    ngx_canary_record_t *next, canary_event_t *event, ngx_log_t *log)
{
    /* first: who dies then has stopped too much, not too little */

    ngx_canary_stop_queued(shared, change);

    ngx_canary_conclude(shared, NGX_CANARY_CANCELLED,
                        change->command.now, log);

    /* first: who dies in between leaves a change that will be in the file */

    ngx_canary_set_sequence(shared, change);

    ngx_canary_take_effect(shared, next, event, change->command.now, log);
}


/*
 * The event of a rollout that stays as it is.  A change that is pending is
 * not disturbed, but comes after it.  That the file has it is waited for by
 * nobody.
 */

static void
ngx_canary_note(ngx_canary_shared_t *shared, ngx_canary_record_t *next,
    canary_event_t *event, uint64_t now, ngx_log_t *log)
{
    ngx_canary_zone_t  *zone;

    zone = shared->zone;

    if (shared->pending.sequence) {
        ngx_canary_void_event(shared, shared->history->pending.event.id);
        shared->history->pending.event.id = ngx_canary_next_event_id(zone);
    }

    (void) ngx_canary_next_sequence(zone);

    ngx_canary_take_effect(shared, next, event, now, log);
}


ngx_int_t
ngx_canary_stop_by_event(ngx_canary_shared_t *shared,
    canary_event_t *event, uint64_t now, ngx_log_t *log)
{
    canary_command_t     command;
    ngx_canary_zone_t   *zone;
    ngx_canary_record_t  next;

    zone = shared->zone;

    ngx_canary_conclude(shared, NGX_CANARY_CANCELLED, now, log);

    next = *ngx_canary_record(shared);

    ngx_memzero(&command, sizeof(canary_command_t));

    command.verb = event->verb;
    command.release = next.rollout.stable;
    command.now = now;

    if (canary_verb_exposes(command.verb)
        || canary_verb_only_tells(command.verb)
        || canary_rollout_apply(&next.rollout, &command) != CANARY_CHANGED)
    {
        return NGX_DECLINED;
    }

    if (next.rollout.phase == CANARY_IDLE) {
        ngx_canary_set_last(shared, &next, event);
    }

    if (zone->fleet) {
        next.rollout.uid = ngx_canary_uid();
    }

    shared->sequence = ngx_canary_next_sequence(zone);
    shared->changed = zone->changed;

    ngx_canary_take_effect(shared, &next, event, now, log);

    return NGX_OK;
}


void
ngx_canary_mend(ngx_canary_shared_t *shared, uint64_t now)
{
    ngx_canary_repair(shared);

    if (ngx_canary_has_taken_effect(shared)) {
        ngx_canary_conclude(shared, NGX_CANARY_APPLIED, now, ngx_cycle->log);
    }

    ngx_canary_mend_effect(shared, now);
}


void
ngx_canary_mend_all(ngx_canary_zone_t *zone, uint64_t now)
{
    ngx_canary_shared_t  *shared;

    for (shared = zone->endpoints; shared; shared = shared->next) {
        ngx_canary_mend(shared, now);
    }
}


void
ngx_canary_bury(ngx_canary_zone_t *zone, uint64_t now)
{
    if (ngx_canary_has_dead(zone)) {
        ngx_canary_mend_all(zone, now);
    }

    ngx_canary_reap(zone);
}


static void
ngx_canary_set_last(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event)
{
    ngx_canary_release_shared_t  *release;

    ngx_memzero(next->last_release, CANARY_NAME_SIZE);

    if (next->rollout.last_release < CANARY_RELEASES) {
        release = shared->releases[next->rollout.last_release];
        ngx_memcpy(next->last_release, release->name, release->len);
    }

    ngx_memcpy(next->last_reason, event->reason, CANARY_REASON_SIZE);

    next->ended = event->time;
    next->last_verb = event->verb;
    next->results[next->rollout.last_result - CANARY_PROMOTED]++;
}
