
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ATTEMPT_H_INCLUDED_
#define _NGX_CANARY_ATTEMPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"
#include "canary_histogram.h"
#include "canary_outcome.h"
#include "canary_route.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_process.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_attempt_layout.h"
#include "ngx_canary_routing.h"


/*
 * The life of an attempt: it begins, perhaps has a response header, and ends.
 * What every attempt has is here, to be inlined; what is only for rollouts,
 * and for what goes wrong, is called.
 */


void ngx_canary_attempt_end(ngx_canary_attempt_t *attempt,
    canary_facts_t *facts, ngx_int_t header_grpc_status, uint64_t elapsed);

/* as ngx_canary_attempt_header(), where it need not be inlined */
void ngx_canary_attempt_any_header(ngx_canary_attempt_t *attempt,
    ngx_uint_t status, ngx_int_t grpc_status, ngx_uint_t trailers,
    uint64_t elapsed);

/* no live peer: nothing but a count while another release serves the request,
   else an attempt that failed before it began */
void ngx_canary_count_no_live(ngx_canary_attempt_t *attempt,
    ngx_uint_t served);
void ngx_canary_attempt_no_live(ngx_canary_attempt_t *attempt);

/* its evidence was that of another rollout than it began in */
void ngx_canary_void_ticket(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence);

/* the beginning of one that is no ordinary evidence, or none */
void ngx_canary_take_special_ticket(ngx_canary_attempt_t *attempt,
    ngx_canary_routing_t *routing);

/* the header of an upgraded or timeless attempt */
void ngx_canary_special_response(ngx_canary_attempt_t *attempt,
    ngx_uint_t response_class, ngx_uint_t timed, uint64_t elapsed);

/* a time that is not in the histogram */
void ngx_canary_add_other_time(ngx_canary_attempt_t *attempt,
    ngx_canary_meter_t *meter, uint64_t elapsed);

/* a response that may be bad evidence */
void ngx_canary_bad_response(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t timed, uint64_t elapsed);

/* its end, by its evidence; NULL: there is none */
void ngx_canary_hand_in(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, canary_finish_t *finish);

/* one more bad attempt of the canary: the rules are judged if one may break,
   or if the control loop does not */
void ngx_canary_burn(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t response_class, uint64_t elapsed);

void ngx_canary_match_watched(ngx_canary_attempt_t *attempt);


/* microseconds since it began */

static ngx_inline uint64_t
ngx_canary_attempt_elapsed(ngx_canary_attempt_t *attempt)
{
    uint64_t  seconds, nanoseconds;

    (void) clock_gettime(CLOCK_MONOTONIC, &attempt->now);

    seconds = attempt->now.tv_sec - attempt->started.tv_sec;
    nanoseconds = attempt->now.tv_nsec - attempt->started.tv_nsec;

    /* the latter may be below zero, their sum is not */

    return (seconds * 1000000000 + nanoseconds) / 1000;
}


static ngx_inline void
ngx_canary_add(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}


static ngx_inline ngx_canary_meter_t *
ngx_canary_meter(ngx_canary_attempt_t *attempt)
{
    ngx_canary_meter_t  *meter;

    meter = attempt->release->meter;

    if (ngx_canary_rarely(meter == NULL)) {
        meter = ngx_canary_make_meter(attempt->endpoint,
                                      attempt->release);
    }

    return meter;
}


/*
 * Times, and a histogram of those that are evidence, whether there is a rollout
 * or not.
 */

static ngx_inline void
ngx_canary_add_time(ngx_canary_attempt_t *attempt,
    ngx_canary_meter_t *meter, ngx_uint_t measured, uint64_t elapsed)
{
    uint32_t  index, before;

    if (ngx_canary_rarely(!measured)) {
        ngx_canary_add_other_time(attempt, meter, elapsed);
        return;
    }

    ngx_canary_add(&meter->totals.timed, 1);
    ngx_canary_add(&meter->totals.time, elapsed);

    index = canary_histogram_index(elapsed);
    before = __atomic_fetch_add(&meter->histogram[index], 1, __ATOMIC_RELAXED);

    if (ngx_canary_rarely(before == 0xffffffff)) {
        ngx_canary_carry(attempt->endpoint, attempt->release, index);
    }
}


/* its evidence, if it is on one of the two sides of the rollout */

static ngx_inline void
ngx_canary_take_ticket(ngx_canary_attempt_t *attempt,
    ngx_canary_routing_t *routing)
{
    unsigned            side;
    uint64_t            word;
    canary_evidence_t  *evidence;

    if (attempt->release->id == routing->route.canary) {
        side = CANARY_SIDE_CANARY;

    } else if (attempt->release->id == routing->route.stable) {
        side = CANARY_SIDE_STABLE;

    } else {
        return;
    }

    evidence = __atomic_load_n(&attempt->endpoint->shared->evidence,
                               __ATOMIC_ACQUIRE);
    if (evidence == NULL) {
        return;
    }

    canary_evidence_start(evidence, (uint32_t) ngx_canary_slot, side,
                          &attempt->ticket);

    attempt->epoch = routing->route.epoch;
    attempt->evidence = NGX_CANARY_TICKET;

    /* the evidence may be that of a rollout that began in between */

    word = ngx_canary_word(attempt->endpoint);

    if (ngx_canary_rarely(word != routing->word)
        && canary_route_decode(word).epoch != attempt->epoch)
    {
        ngx_canary_void_ticket(attempt, evidence);
    }
}


static ngx_inline void
ngx_canary_attempt_begin(ngx_canary_attempt_t *attempt)
{
    ngx_canary_routing_t  *routing;

    (void) clock_gettime(CLOCK_MONOTONIC, &attempt->started);

    attempt->state = NGX_CANARY_OPEN;
    attempt->evidence = 0;
    attempt->response = 0;
    attempt->special = 0;

    routing = ngx_canary_routing(attempt->endpoint);

    if (ngx_canary_rarely(attempt->reason > NGX_CANARY_BY_KEY)) {
        ngx_canary_take_special_ticket(attempt, routing);

    } else if (routing->route.phase != CANARY_IDLE) {
        ngx_canary_take_ticket(attempt, routing);
    }
}


/*
 * The meter of a release, to count an attempt in.  Only then it is a fallback
 * too: one over a dead kept connection, which nginx makes again, is none.
 */

static ngx_inline ngx_canary_meter_t *
ngx_canary_attempt_meter(ngx_canary_attempt_t *attempt)
{
    ngx_canary_meter_t  *meter;

    meter = ngx_canary_meter(attempt);

    if (attempt->reason == NGX_CANARY_BY_FALLBACK) {
        ngx_canary_add(&meter->totals.fallbacks, 1);
    }

    return meter;
}


/* whether an attempt came by the split, and may be evidence */

static ngx_inline ngx_uint_t
ngx_canary_may_be_evidence(ngx_canary_attempt_t *attempt)
{
    return attempt->reason <= NGX_CANARY_BY_KEY
           || attempt->reason >= NGX_CANARY_BY_WEIGHT_WARMING;
}


/*
 * Where an attempt's ticket is good; NULL if its rollout is over.  It is also
 * told whether its time belongs in the histogram: during a rollout it does if
 * it is evidence of that, else if it may be of the next one.
 */

static ngx_inline canary_evidence_t *
ngx_canary_evidence(ngx_canary_attempt_t *attempt,
    ngx_uint_t *measured)
{
    canary_route_t  route;

    route = ngx_canary_route(attempt->endpoint);

    if (route.phase == CANARY_IDLE) {
        *measured = ngx_canary_may_be_evidence(attempt)
                    && !(attempt->special & NGX_CANARY_TIMELESS);
        attempt->evidence = 0;
        return NULL;
    }

    *measured = 0;

    if (!attempt->evidence) {
        return NULL;
    }

    if (route.epoch != attempt->epoch) {
        attempt->evidence = 0;
        return NULL;
    }

    *measured = !(attempt->special & NGX_CANARY_TIMELESS);

    return __atomic_load_n(&attempt->endpoint->shared->evidence,
                           __ATOMIC_ACQUIRE);
}


static ngx_inline void
ngx_canary_response(ngx_canary_attempt_t *attempt,
    ngx_uint_t response_class, ngx_uint_t timed, uint64_t elapsed)
{
    ngx_uint_t           measured;
    canary_evidence_t   *evidence;
    ngx_canary_meter_t  *meter;

    attempt->response = response_class;

    meter = ngx_canary_attempt_meter(attempt);
    evidence = ngx_canary_evidence(attempt, &measured);

    ngx_canary_add(&meter->totals.responses[response_class - 1], 1);

    if (timed) {
        ngx_canary_add_time(attempt, meter, measured, elapsed);
    }

    if (evidence == NULL) {
        return;
    }

    if (response_class >= 4) {
        ngx_canary_bad_response(attempt, evidence, timed, elapsed);

    } else {
        canary_evidence_finish_good(evidence, &attempt->ticket, timed,
                                    elapsed);
    }
}


/* before what it is a part of is counted, so that its cohort waits for it */

static ngx_inline void
ngx_canary_match(ngx_canary_attempt_t *attempt)
{
    if (attempt->special & NGX_CANARY_WATCHED) {
        ngx_canary_match_watched(attempt);
    }
}


/*
 * The response header of an open attempt; status and grpc_status as in
 * canary_outcome.h.  Trailers may follow that tell how it ended.
 */

static ngx_inline void
ngx_canary_attempt_header(ngx_canary_attempt_t *attempt,
    ngx_uint_t status, ngx_int_t grpc_status, ngx_uint_t trailers,
    uint64_t elapsed)
{
    unsigned    response_class;
    ngx_uint_t  timed;

    response_class = canary_response_class(status, (int) grpc_status);

    /* no valid answer, or the client's: left to the end of the attempt */

    if (response_class == 0 || grpc_status == CANARY_GRPC_CANCELLED) {
        return;
    }

    timed = (attempt->endpoint->latency == NGX_CANARY_LATENCY_HEADER);

    attempt->state = (timed && !trailers) ? NGX_CANARY_COUNTED
                                          : NGX_CANARY_RESPONDED;

    if (status == CANARY_SWITCHING_PROTOCOLS) {
        attempt->special |= NGX_CANARY_UPGRADED;
    }

    if (ngx_canary_rarely(attempt->special)) {
        ngx_canary_special_response(attempt, response_class, timed, elapsed);
        return;
    }

    ngx_canary_response(attempt, response_class, timed, elapsed);
}


#endif /* _NGX_CANARY_ATTEMPT_H_INCLUDED_ */
