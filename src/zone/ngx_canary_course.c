
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_course.h"

#include "canary_course.h"
#include "canary_rollout.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_shared.h"


/*
 * The course of a rollout is taken from the meters of its releases, so it has
 * all that they served, and costs no request anything.  Nothing gives way to
 * it, and it gives way to what is needed.
 */


static void ngx_canary_take_point(ngx_canary_shared_t *shared,
    canary_course_moment_t *moment);
static void ngx_canary_course_sum(ngx_canary_shared_t *shared, uint32_t id,
    canary_course_sum_t *sum);


void
ngx_canary_follow_course(ngx_canary_shared_t *shared, uint64_t now)
{
    canary_course_t         *course;
    canary_rollout_t        *rollout;
    canary_course_moment_t   moment;

    rollout = &ngx_canary_record(shared)->rollout;

    if (shared->course == NULL) {

        if (rollout->phase == CANARY_IDLE) {
            return;
        }

        course = ngx_slab_calloc_locked(shared->zone->pool,
                                        sizeof(canary_course_t));
        if (course == NULL) {
            return;
        }

        shared->course = course;
    }

    if (!canary_course_is_due(shared->course, rollout, now)) {
        return;
    }

    moment.now = now;
    moment.time = ngx_canary_wall_clock();
    moment.rollout = rollout;

    ngx_canary_take_point(shared, &moment);
}


static void
ngx_canary_take_point(ngx_canary_shared_t *shared,
    canary_course_moment_t *moment)
{
    uint32_t             ids[CANARY_SIDES];
    ngx_uint_t           side;
    canary_course_sum_t  sums[CANARY_SIDES];

    canary_course_releases(shared->course, moment->rollout, ids);

    for (side = 0; side < CANARY_SIDES; side++) {
        ngx_canary_course_sum(shared, ids[side], &sums[side]);
        moment->sums[side] = &sums[side];
    }

    canary_course_take(shared->course, moment);
}


/* what is not in meters any more is not missed: all of a release goes there */

static void
ngx_canary_course_sum(ngx_canary_shared_t *shared, uint32_t id,
    canary_course_sum_t *sum)
{
    ngx_uint_t           i;
    canary_totals_t     *totals;
    ngx_canary_meter_t   meter;

    ngx_memzero(sum, sizeof(canary_course_sum_t));

    if (id >= CANARY_RELEASES || shared->releases[id] == NULL) {
        return;
    }

    ngx_canary_sum_meters(shared, shared->releases[id], &meter);

    totals = &meter.totals;

    sum->client_errors = totals->responses[3];
    sum->errors = totals->responses[4] + totals->failed + totals->timeouts
                  + totals->cut + totals->cut_timeouts;
    sum->attempts = totals->failed + totals->timeouts + totals->aborted;

    for (i = 0; i < 5; i++) {
        sum->attempts += totals->responses[i];
    }

    ngx_memcpy(sum->times, meter.histogram, sizeof(sum->times));
}


ngx_int_t
ngx_canary_next_point(ngx_canary_endpoint_t *endpoint, uint64_t *number,
    canary_course_point_t *point)
{
    uint32_t              rollout;
    ngx_int_t             rc;
    ngx_canary_shared_t  *shared;

    shared = endpoint->shared;

    ngx_canary_lock(endpoint->main->zone);

    rollout = ngx_canary_record(shared)->rollout.number;

    rc = (shared->course
          && canary_course_next(shared->course, rollout, number, point))
         ? NGX_OK : NGX_DECLINED;

    ngx_canary_unlock(endpoint->main->zone);

    return rc;
}


void
ngx_canary_copy_course(ngx_canary_shared_t *to, ngx_canary_shared_t *from)
{
    if (from->course == NULL) {
        return;
    }

    if (to->course == NULL) {
        to->course = ngx_slab_alloc_locked(to->zone->pool,
                                           sizeof(canary_course_t));
    }

    if (to->course) {
        *to->course = *from->course;
        canary_course_interrupt(to->course);
    }
}
