
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_ATTEMPT_H_INCLUDED_
#define _NGX_HTTP_CANARY_ATTEMPT_H_INCLUDED_


#include "ngx_http_canary_module.h"


/*
 * The life of an attempt: it begins, perhaps has a response header, and ends.
 * What every attempt has is here, to be inlined; what is only for rollouts,
 * and for what goes wrong, is called.
 */


void ngx_http_canary_attempt_end(ngx_http_canary_attempt_t *attempt,
    canary_facts_t *facts, ngx_int_t header_grpc_status, uint64_t elapsed);

/* no live peer: an attempt that failed before it began */
void ngx_http_canary_attempt_no_live(ngx_http_canary_attempt_t *attempt);

/* its evidence, if a rollout is under way */
void ngx_http_canary_take_ticket(ngx_http_canary_attempt_t *attempt);
void ngx_http_canary_response_evidence(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t timed, uint64_t elapsed);


static ngx_inline void
ngx_http_canary_add(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}


static ngx_inline ngx_http_canary_meter_t *
ngx_http_canary_meter(ngx_http_canary_attempt_t *attempt)
{
    ngx_http_canary_meter_t  *meter;

    meter = attempt->release->meter;

    if (meter == NULL) {
        meter = ngx_http_canary_make_meter(attempt->endpoint,
                                           attempt->release);
    }

    return meter;
}


/* the histogram is of what is evidence, whether there is a rollout or not */

static ngx_inline void
ngx_http_canary_add_time(ngx_http_canary_attempt_t *attempt,
    ngx_http_canary_meter_t *meter, uint64_t elapsed)
{
    uint32_t  *bucket;

    ngx_http_canary_add(&meter->totals.timed, 1);
    ngx_http_canary_add(&meter->totals.time, elapsed);

    if (attempt->reason != NGX_HTTP_CANARY_BY_FALLBACK
        && attempt->reason != NGX_HTTP_CANARY_BY_FORCE)
    {
        bucket = &meter->histogram[canary_histogram_index(elapsed)];

        (void) __atomic_fetch_add(bucket, 1, __ATOMIC_RELAXED);
    }
}


static ngx_inline void
ngx_http_canary_attempt_begin(ngx_http_canary_attempt_t *attempt)
{
    attempt->started = ngx_http_canary_microseconds();
    attempt->open = 1;
    attempt->evidence = 0;
    attempt->response = 0;
    attempt->upgraded = 0;

    if (attempt->reason != NGX_HTTP_CANARY_BY_FALLBACK
        && attempt->reason != NGX_HTTP_CANARY_BY_FORCE
        && ngx_http_canary_route(attempt->endpoint).phase != CANARY_IDLE)
    {
        ngx_http_canary_take_ticket(attempt);
    }
}


/*
 * The meter of a release, to count an attempt in.  Only then it is a fallback
 * too: one over a dead kept connection, which nginx makes again, is none.
 */

static ngx_inline ngx_http_canary_meter_t *
ngx_http_canary_attempt_meter(ngx_http_canary_attempt_t *attempt)
{
    ngx_http_canary_meter_t  *meter;

    meter = ngx_http_canary_meter(attempt);

    if (attempt->reason == NGX_HTTP_CANARY_BY_FALLBACK) {
        ngx_http_canary_add(&meter->totals.fallbacks, 1);
    }

    return meter;
}


static ngx_inline void
ngx_http_canary_response(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t response_class, ngx_uint_t timed, uint64_t elapsed)
{
    ngx_http_canary_meter_t  *meter;

    attempt->response = response_class;

    meter = ngx_http_canary_attempt_meter(attempt);

    ngx_http_canary_add(&meter->totals.responses[response_class - 1], 1);

    if (timed) {
        ngx_http_canary_add_time(attempt, meter, elapsed);
    }

    if (attempt->evidence) {
        ngx_http_canary_response_evidence(attempt, timed, elapsed);
    }
}


/* a response header; status and grpc_status as in canary_outcome.h */

static ngx_inline void
ngx_http_canary_attempt_header(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t status, ngx_int_t grpc_status, uint64_t elapsed)
{
    unsigned  response_class;

    if (!attempt->open || attempt->response) {
        return;
    }

    response_class = canary_response_class(status, (int) grpc_status);

    /* not a valid answer: left to the end of the attempt */

    if (response_class == 0) {
        return;
    }

    attempt->upgraded = (status == NGX_HTTP_SWITCHING_PROTOCOLS);

    ngx_http_canary_response(attempt, response_class,
                             attempt->endpoint->latency
                                 == NGX_HTTP_CANARY_LATENCY_HEADER
                             || attempt->upgraded,
                             elapsed);
}


#endif /* _NGX_HTTP_CANARY_ATTEMPT_H_INCLUDED_ */
