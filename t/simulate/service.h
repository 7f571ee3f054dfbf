
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef SERVICE_H
#define SERVICE_H


#include <stdint.h>

#include "canary_control.h"
#include "canary_evidence_count.h"

#include "traffic.h"


/*
 * A rollout of a service whose answers take time, through evidence and control
 * step as in nginx, with a look each 50 ms: what is known of an attempt when
 * it begins, when its header comes, and when it has ended.
 */

#define SERVICE_LOOP_MS  50
#define SERVICE_FLIGHT   (1 << 13)    /* attempts in flight, at most */
#define SERVICE_ENDS     4            /* of good and bad ones, cold or not */


/* What comes of its attempts, and what it is judged by. */

typedef struct {
    const char  *rule;           /* its name */
    double       threshold;      /* ratio, or ms of a latency */
    uint32_t     burst;          /* ms */
    uint32_t     patience;       /* ms */
    uint32_t     warmup;         /* ms; 0: none */

    uint32_t     length;         /* ms, of the rollout at most */
    double       rate;           /* attempts per second, of the canary */
    double       share;          /* of bad ones, until it breaks */
    uint32_t     breaks;         /* ms since the rollout began; 0: it does
                                    not */
    double       broken;         /* share of bad ones from then on */

    uint32_t     header;         /* ms, a header takes; 0: it comes when the
                                    attempt ends */
    uint32_t     good;           /* ms, until a good one ends */
    uint32_t     bad;            /* ms, until a bad one does */
    uint32_t     cold;           /* ms since the rollout began, in which all
                                    take ten times as long; 0: none */
} service_kind_t;


typedef struct {
    canary_ticket_t  ticket;
    uint64_t         due;        /* ms */
    uint32_t         took;       /* ms */
    unsigned         bad:1;
    unsigned         timeless:1;
} service_flight_t;


/* Those that wait for the same, in the order in which it comes. */

typedef struct {
    service_flight_t  flights[SERVICE_FLIGHT];
    uint32_t          first;
    uint32_t          last;
} service_queue_t;


typedef struct {
    const service_kind_t  *kind;
    canary_evidence_t     *evidence;
    canary_judged_t       *judged;
    canary_slot_t         *slot;
    canary_rollout_t       rollout;
    canary_times_t         times;
    uint64_t               began;          /* ms */
    uint64_t               now;
    int                    rolled_back;

    service_queue_t        headers;
    service_queue_t        ends[SERVICE_ENDS];
} service_t;


/* NULL: no memory. */

service_t *service_new(void);
void service_free(service_t *service);

/*
 * Rolls the kind out.  Returns the milliseconds from the beginning, or from
 * the break, until it is rolled back: 0 if it was so before it broke, and -1
 * if it never was.  The same seed gives the same.
 */

int64_t service_run(service_t *service, const service_kind_t *kind,
    uint32_t seed);


#endif /* SERVICE_H */
