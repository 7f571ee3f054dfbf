
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_pending.h"

#include "canary_event.h"
#include "canary_kept.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_effect.h"


/*
 * What may put more traffic on the canary takes effect when the state file
 * has it.  Until then the change is kept whole, as the record and the event
 * that it will make, in the endpoint's part of the zone: one for an endpoint.
 * It belongs to nobody, so any process may die at any time:
 *
 *   - whoever asked for it: it takes effect all the same, and is told to
 *     nobody;
 *   - the writer, before the file has it: the next one writes it;
 *   - the writer, when the file has it and the zone does not know: the next
 *     one writes the same once more;
 *   - the writer, in the middle of making it happen: that it has happened is
 *     seen by the generation, so it does not happen twice.
 *
 * Any other change of the endpoint in the meantime cancels it, and so does a
 * file that cannot be written; the file may have it even so, and is therefore
 * written anew.  An event that changes nothing goes before it.
 *
 * What a fleet has agreed to is done, whatever becomes of it here.
 */


uint64_t
ngx_canary_next_sequence(ngx_canary_zone_t *zone)
{
    zone->changed = ngx_canary_milliseconds();

    return ++zone->sequence;
}


uint64_t
ngx_canary_next_event_id(ngx_canary_zone_t *zone)
{
    return (zone->last_event < CANARY_STATE_NUMBER_MAX) ? ++zone->last_event
                                                        : 0;
}


void
ngx_canary_void_event(ngx_canary_shared_t *shared, uint64_t id)
{
    ngx_canary_journal_t  *journal;

    if (shared->history == NULL || id == 0) {
        return;
    }

    journal = &shared->history->journal;

    journal->voids[journal->nvoid % CANARY_STATE_VOIDS] = id;

    __atomic_store_n(&journal->nvoid, journal->nvoid + 1, __ATOMIC_RELEASE);
}


void
ngx_canary_defer(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event, uint64_t now)
{
    ngx_canary_zone_t     *zone;
    ngx_canary_pending_t  *pending;

    zone = shared->zone;
    pending = &shared->pending;

    pending->decided = now;
    pending->asked = 0;
    shared->history->pending.record = *next;
    shared->history->pending.event = *event;

    /* in a fleet that has to agree before */

    pending->ready = zone->fleet ? 0 : zone->sequence + 1;

    __atomic_store_n(&pending->sequence, ngx_canary_next_sequence(zone),
                     __ATOMIC_RELEASE);
}


void
ngx_canary_agree(ngx_canary_shared_t *shared)
{
    shared->pending.ready = ngx_canary_next_sequence(shared->zone);
}


void
ngx_canary_conclude(ngx_canary_shared_t *shared,
    ngx_canary_fate_e fate, uint64_t now, ngx_log_t *log)
{
    uint64_t               waited;
    ngx_canary_after_t    *after;
    ngx_canary_record_t   *record, next;
    ngx_canary_pending_t  *pending;
    ngx_canary_settled_t  *settled;

    pending = &shared->pending;

    if (pending->sequence == 0) {
        return;
    }

    after = &shared->history->pending;
    record = ngx_canary_record(shared);

    if (ngx_canary_has_taken_effect(shared)) {
        fate = NGX_CANARY_APPLIED;

    } else if (shared->zone->fleet && pending->ready
               && (fate == NGX_CANARY_OUTRUN
                   || fate == NGX_CANARY_NOT_WRITTEN))
    {
        fate = NGX_CANARY_OVERTAKEN;

    } else if (fate == NGX_CANARY_APPLIED) {

        next = after->record;
        next.events = record->events;

        waited = (now > pending->decided) ? now - pending->decided : 0;

        canary_rollout_delay(&record->rollout, &next.rollout, waited);

        ngx_canary_take_effect(shared, &next, &after->event, now, log);
    }

    if (fate == NGX_CANARY_APPLIED) {
        shared->sequence = ngx_max(shared->sequence, pending->sequence);
        shared->changed = now;

    } else {
        ngx_canary_void_event(shared, after->event.id);
        (void) ngx_canary_next_sequence(shared->zone);
    }

    settled = &shared->settled[shared->nsettled % NGX_CANARY_SETTLED];

    settled->sequence = pending->sequence;
    settled->fate = fate;
    shared->nsettled++;

    __atomic_store_n(&pending->sequence, 0, __ATOMIC_RELEASE);

    /* what that one left undone, and evidence that nothing waits for now */

    ngx_canary_mend_effect(shared, now);
}


ngx_uint_t
ngx_canary_has_taken_effect(ngx_canary_shared_t *shared)
{
    canary_rollout_t  *now, *then;

    if (shared->pending.sequence == 0) {
        return 0;
    }

    now = &ngx_canary_record(shared)->rollout;
    then = &shared->history->pending.record.rollout;

    /* of a fleet two nodes may have made changes of one generation */

    return now->generation >= then->generation && now->uid == then->uid;
}


ngx_canary_fate_e
ngx_canary_fate(ngx_canary_shared_t *shared, uint64_t sequence)
{
    ngx_uint_t             i;
    ngx_canary_settled_t  *settled;

    if (shared->pending.sequence == sequence) {
        return NGX_CANARY_IS_PENDING;
    }

    /* the last word: a process may have died when it had settled it */

    for (i = 1; i <= NGX_CANARY_SETTLED; i++) {
        settled = &shared->settled[(shared->nsettled - i)
                                   % NGX_CANARY_SETTLED];

        if (settled->sequence == sequence) {
            return settled->fate;
        }
    }

    return NGX_CANARY_FORGOTTEN;
}


ngx_uint_t
ngx_canary_durable(ngx_canary_shared_t *shared, uint64_t now)
{
    ngx_canary_zone_t  *zone;

    zone = shared->zone;

    if (zone->foreign) {
        return 0;
    }

    if (shared->sequence <= zone->durable
        && (zone->fleet == NULL || shared->sequence <= shared->agreed))
    {
        return 1;
    }

    return !zone->failing && now - shared->changed < NGX_CANARY_PATIENCE;
}


ngx_uint_t
ngx_canary_all_durable(ngx_canary_zone_t *zone, uint64_t now)
{
    return !zone->foreign && !zone->failing
           && (zone->sequence <= zone->durable
               || now - zone->changed < NGX_CANARY_PATIENCE);
}
