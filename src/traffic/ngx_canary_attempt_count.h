
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ATTEMPT_COUNT_H_INCLUDED_
#define _NGX_CANARY_ATTEMPT_COUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"

#include "ngx_canary_attempt_layout.h"


/* what the end of an attempt counts; evidence as of ngx_canary_evidence() */


/* NULL: there is none */
void ngx_canary_hand_in(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, canary_finish_t *finish);

/* one more bad attempt of the canary: the rules are judged if one may break,
   or if the control loop does not */
void ngx_canary_burn(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t response_class, uint64_t elapsed);

void ngx_canary_match_watched(ngx_canary_attempt_t *attempt);


/* before what it is a part of is counted, so that its cohort waits for it */

static ngx_inline void
ngx_canary_match(ngx_canary_attempt_t *attempt)
{
    if (attempt->special & NGX_CANARY_WATCHED) {
        ngx_canary_match_watched(attempt);
    }
}


/* whether matches are looked at when an answer has ended, not at its header */

static ngx_inline ngx_uint_t
ngx_canary_matches_at_end(ngx_canary_attempt_t *attempt)
{
    return attempt->endpoint->latency == NGX_CANARY_LATENCY_RESPONSE
           && !(attempt->special & NGX_CANARY_UPGRADED);
}


static ngx_inline ngx_uint_t
ngx_canary_is_timeless(ngx_canary_attempt_t *attempt)
{
    return (attempt->special & NGX_CANARY_TIMELESS) != 0;
}


#endif /* _NGX_CANARY_ATTEMPT_COUNT_H_INCLUDED_ */
