
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_course.h"
#include "canary_evidence_layout.h"
#include "canary_histogram.h"
#include "canary_rollout.h"
#include "canary_route.h"


#define CANARY_COURSE_PLACES  (CANARY_COURSE_POINTS + 1)


static void canary_course_end(canary_course_t *course,
    const canary_course_moment_t *moment);
static void canary_course_begin(canary_course_t *course,
    const canary_course_moment_t *moment);
static void canary_course_side(canary_course_side_t *side,
    const canary_course_sum_t *before, const canary_course_sum_t *now);
static uint32_t canary_course_quantile(const canary_histogram_t *times,
    uint32_t quantile);


int
canary_course_is_due(const canary_course_t *course,
    const canary_rollout_t *rollout, uint64_t now)
{
    if (course->rollout != rollout->number || !course->open) {
        return rollout->phase != CANARY_IDLE;
    }

    return rollout->phase == CANARY_IDLE
           || now - course->since >= CANARY_COURSE_PERIOD;
}


/* of one that has ended it knows them no more */

void
canary_course_releases(const canary_course_t *course,
    const canary_rollout_t *rollout, uint32_t releases[CANARY_SIDES])
{
    if (rollout->phase != CANARY_IDLE) {
        releases[CANARY_SIDE_STABLE] = rollout->stable;
        releases[CANARY_SIDE_CANARY] = rollout->canary;

    } else {
        releases[CANARY_SIDE_STABLE] = course->releases[CANARY_SIDE_STABLE];
        releases[CANARY_SIDE_CANARY] = course->releases[CANARY_SIDE_CANARY];
    }
}


void
canary_course_take(canary_course_t *course,
    const canary_course_moment_t *moment)
{
    if (course->rollout != moment->rollout->number) {
        course->open = 0;
        course->n = 0;
        __atomic_store_n(&course->rollout, moment->rollout->number,
                         __ATOMIC_RELEASE);
    }

    if (course->open) {
        canary_course_end(course, moment);
    }

    if (moment->rollout->phase != CANARY_IDLE) {
        canary_course_begin(course, moment);
    }
}


/* not open before it is shown: else it might be ended, and shown, twice */

static void
canary_course_end(canary_course_t *course,
    const canary_course_moment_t *moment)
{
    int                     side;
    canary_course_point_t  *point;

    point = &course->ring[course->n % CANARY_COURSE_PLACES];

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_course_side(&point->sides[side], &course->sums[side],
                           moment->sums[side]);
    }

    __atomic_store_n(&course->open, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&course->n, course->n + 1, __ATOMIC_RELEASE);
}


static void
canary_course_begin(canary_course_t *course,
    const canary_course_moment_t *moment)
{
    int                     side;
    canary_course_point_t  *point;

    point = &course->ring[course->n % CANARY_COURSE_PLACES];

    point->time = moment->time;
    point->weight = moment->rollout->weight;

    course->since = moment->now;

    canary_course_releases(course, moment->rollout, course->releases);

    for (side = 0; side < CANARY_SIDES; side++) {
        course->sums[side] = *moment->sums[side];
    }

    __atomic_store_n(&course->open, 1, __ATOMIC_RELEASE);
}


static void
canary_course_side(canary_course_side_t *side,
    const canary_course_sum_t *before, const canary_course_sum_t *now)
{
    uint32_t            i;
    canary_histogram_t  times;

    *side = (canary_course_side_t) { 0, 0, 0, 0, 0 };

    if (now->attempts < before->attempts
        || now->client_errors < before->client_errors
        || now->errors < before->errors)
    {
        return;
    }

    side->attempts = (uint32_t) (now->attempts - before->attempts);
    side->client_errors = (uint32_t) (now->client_errors
                                      - before->client_errors);
    side->errors = (uint32_t) (now->errors - before->errors);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        times.counts[i] = (uint32_t) (now->times[i] - before->times[i]);
    }

    side->p50 = canary_course_quantile(&times, 500000000);
    side->p99 = canary_course_quantile(&times, 990000000);
}


static uint32_t
canary_course_quantile(const canary_histogram_t *times, uint32_t quantile)
{
    uint32_t  bucket;

    bucket = canary_histogram_quantile(times, quantile);

    return (bucket == CANARY_HISTOGRAM_NONE) ? 0
                                             : canary_histogram_middle(bucket);
}


void
canary_course_interrupt(canary_course_t *course)
{
    course->open = 0;
}


int
canary_course_next(const canary_course_t *course, uint32_t rollout,
    uint64_t *number, canary_course_point_t *point)
{
    if (course->rollout != rollout) {
        return 0;
    }

    if (course->n > CANARY_COURSE_POINTS
        && *number < course->n - CANARY_COURSE_POINTS)
    {
        *number = course->n - CANARY_COURSE_POINTS;
    }

    if (*number >= course->n) {
        return 0;
    }

    *point = course->ring[*number % CANARY_COURSE_PLACES];
    (*number)++;

    return 1;
}
