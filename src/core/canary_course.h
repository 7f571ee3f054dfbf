
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_COURSE_H
#define CANARY_COURSE_H


#include <stdint.h>

#include "canary_evidence_layout.h"
#include "canary_histogram.h"
#include "canary_rollout.h"


/*
 * The course of a rollout: what stable and canary did in each 5 seconds of the
 * last 10 minutes of it, for people who come after an alert.  It is no
 * evidence, and nothing is decided by it.
 *
 * A point is the difference of two sums, taken as it begins and as it ends.
 * It is written to a place that is not shown, and shown by one more store: who
 * dies in between leaves the points that were there, and loses this one.
 */


#define CANARY_COURSE_PERIOD  5000    /* ms, of a point */
#define CANARY_COURSE_POINTS  120


/* All that a release ever counted, up to a moment. */

typedef struct {
    uint64_t               attempts;
    uint64_t               client_errors;   /* 4xx */
    uint64_t               errors;          /* 5xx and failed */
    uint32_t               times[CANARY_HISTOGRAM_BUCKETS];
                                            /* modulo 2^32 */
} canary_course_sum_t;


typedef struct {
    uint32_t               attempts;
    uint32_t               client_errors;
    uint32_t               errors;
    uint32_t               p50;             /* microseconds; 0: no attempt */
    uint32_t               p99;             /* had a time */
} canary_course_side_t;


typedef struct {
    uint64_t               time;            /* ms since 1970, and */
    uint32_t               weight;          /* parts per million, as it began */
    canary_course_side_t   sides[CANARY_SIDES];
} canary_course_point_t;


typedef struct {
    uint64_t               n;               /* points ever, of this rollout */
    uint64_t               since;           /* ms, monotonic: when the point
                                               that is open began */
    uint32_t               rollout;         /* its number; 0: none yet */
    uint32_t               open;            /* there is one: all below is of
                                               its beginning */
    uint32_t               releases[CANARY_SIDES];    /* ids */
    canary_course_sum_t    sums[CANARY_SIDES];
    canary_course_point_t  ring[CANARY_COURSE_POINTS + 1];
} canary_course_t;


/* A moment of a rollout. */

typedef struct {
    uint64_t                   now;         /* ms, monotonic, */
    uint64_t                   time;        /* and since 1970 */
    const canary_rollout_t    *rollout;
    const canary_course_sum_t *sums[CANARY_SIDES];
} canary_course_moment_t;


/*
 * Whether a point has to end or to begin: canary_course_take() is to be called
 * with the sums of the two releases that canary_course_releases() tells.
 */

int canary_course_is_due(const canary_course_t *course,
    const canary_rollout_t *rollout, uint64_t now);

void canary_course_releases(const canary_course_t *course,
    const canary_rollout_t *rollout, uint32_t releases[CANARY_SIDES]);

/*
 * Ends the point that is open, and begins the next one while the rollout goes
 * on.  A release whose sums are less than they were counts from something
 * else now: nothing is known of it.
 */

void canary_course_take(canary_course_t *course,
    const canary_course_moment_t *moment);

/* The sums are of other counters from now on; the points stay. */

void canary_course_interrupt(canary_course_t *course);

/*
 * Oldest first: the point of this number or, if that is not kept any more, the
 * oldest; 0: there are no more, or they are of another rollout.  The number
 * becomes that of the next; it begins as 0.
 */

int canary_course_next(const canary_course_t *course, uint32_t rollout,
    uint64_t *number, canary_course_point_t *point);


#endif /* CANARY_COURSE_H */
