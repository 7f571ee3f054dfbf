
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


static ngx_inline ngx_http_canary_totals_t *
ngx_http_canary_slot_totals(ngx_http_canary_attempt_t *attempt)
{
    return &attempt->release->totals[ngx_http_canary_slot];
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
 * The totals of a release, to count an attempt in.  Only then it is a fallback
 * too: one over a dead kept connection, which nginx makes again, is none.
 */

static ngx_inline ngx_http_canary_totals_t *
ngx_http_canary_attempt_totals(ngx_http_canary_attempt_t *attempt)
{
    ngx_http_canary_totals_t  *totals;

    totals = ngx_http_canary_slot_totals(attempt);

    if (attempt->reason == NGX_HTTP_CANARY_BY_FALLBACK) {
        ngx_http_canary_add(&totals->fallbacks, 1);
    }

    return totals;
}


static ngx_inline void
ngx_http_canary_response(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t response_class, ngx_uint_t timed, uint64_t elapsed)
{
    ngx_http_canary_totals_t  *totals;

    attempt->response = response_class;

    totals = ngx_http_canary_attempt_totals(attempt);

    ngx_http_canary_add(&totals->responses[response_class - 1], 1);

    if (timed) {
        ngx_http_canary_add(&totals->timed, 1);
        ngx_http_canary_add(&totals->time, elapsed);
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

    if (status == NGX_HTTP_SWITCHING_PROTOCOLS) {
        attempt->upgraded = 1;
    }

    ngx_http_canary_response(attempt, response_class,
                             attempt->endpoint->latency
                                 == NGX_HTTP_CANARY_LATENCY_HEADER
                             || attempt->upgraded,
                             elapsed);
}


#endif /* _NGX_HTTP_CANARY_ATTEMPT_H_INCLUDED_ */
