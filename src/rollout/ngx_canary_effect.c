
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_effect.h"

#include "canary_away.h"
#include "canary_event.h"
#include "canary_judge.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"
#include "canary_route.h"

#include "ngx_canary_meter.h"
#include "ngx_canary_record.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_spare.h"
#include "ngx_canary_event.h"


static void ngx_canary_publish(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event);


void
ngx_canary_take_effect(ngx_canary_shared_t *shared, ngx_canary_record_t *next,
    canary_event_t *event, uint64_t now, ngx_log_t *log)
{
    ngx_uint_t      begins;
    canary_times_t  times;

    begins = (ngx_canary_record(shared)->rollout.phase == CANARY_IDLE);

    if (begins && next->rollout.phase != CANARY_IDLE) {
        ngx_canary_times(shared, &next->rollout, 0, &times);
        canary_judge_begin(shared->evidence, &next->rollout, now, &times);

        canary_away_forget(&shared->away[CANARY_SIDE_STABLE]);
        canary_away_forget(&shared->away[CANARY_SIDE_CANARY]);
    }

    ngx_canary_publish(shared, next, event);

    if (next->rollout.phase == CANARY_IDLE) {
        ngx_canary_put_spare(shared);

    } else {
        (void) canary_judge_tick(shared->evidence, &next->rollout, now);
    }

    /* of a fleet not all changes of a node have one of their own */

    if (event->generation) {
        ngx_canary_log_event(event, shared, log);
    }
}


static void
ngx_canary_publish(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event)
{
    ngx_uint_t            place;
    ngx_canary_record_t  *record;

    record = ngx_canary_record(shared);

    /* one place more than events are shown: the oldest of them survives */

    if (shared->history && event->id) {
        *ngx_canary_event_at(shared, next->events) = *event;
        next->events++;
    }

    if (next->rollout.phase != record->rollout.phase) {
        next->transitions[next->rollout.phase]++;
    }

    if (next->rollout.tests != record->rollout.tests) {
        ngx_canary_begin_step(shared);
    }

    place = !(shared->current & 1);
    shared->records[place] = *next;

    __atomic_store_n(&shared->current, place, __ATOMIC_RELEASE);

    ngx_canary_repair(shared);
}


void
ngx_canary_mend_effect(ngx_canary_shared_t *shared, uint64_t now)
{
    canary_rollout_t  *rollout;

    ngx_canary_repair(shared);

    if (shared->basing) {
        ngx_canary_begin_step(shared);
    }

    if (shared->evidence == NULL) {
        return;
    }

    rollout = &ngx_canary_record(shared)->rollout;

    if (rollout->phase != CANARY_IDLE) {
        if (canary_judge_is_behind(shared->evidence, rollout)) {
            (void) canary_judge_tick(shared->evidence, rollout, now);
        }

        return;
    }

    /* else it waits for a rollout whose start is pending */

    if (shared->pending.sequence == 0) {
        ngx_canary_put_spare(shared);
    }
}
