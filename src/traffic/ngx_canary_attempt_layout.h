
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ATTEMPT_LAYOUT_H_INCLUDED_
#define _NGX_CANARY_ATTEMPT_LAYOUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_count.h"

#include "ngx_canary_endpoint.h"


/* An attempt on a release, whatever the protocol. */


/* how a release came to be chosen */

typedef enum {
    NGX_CANARY_BY_WEIGHT = 0,
    NGX_CANARY_BY_KEY,
    NGX_CANARY_BY_FORCE,
    NGX_CANARY_BY_FALLBACK,
    NGX_CANARY_BY_ONLY,           /* outside the rollout: stable */
    NGX_CANARY_BY_WEIGHT_EXCLUDED,     /* as the first two, but it is no */
    NGX_CANARY_BY_KEY_EXCLUDED,        /* evidence, */
    NGX_CANARY_BY_WEIGHT_WARMING,      /* or its time may be none, or it is
                                          watched, */
    NGX_CANARY_BY_KEY_WARMING,         /* or its key may have counted, */
    NGX_CANARY_BY_WEIGHT_UPLOAD,       /* or its time is none */
    NGX_CANARY_BY_KEY_UPLOAD
} ngx_canary_reason_e;


/* the part that a release had when it was chosen; forced ones may have none */

typedef enum {
    NGX_CANARY_STABLE = 0,
    NGX_CANARY_CANARY,
    NGX_CANARY_NEITHER
} ngx_canary_role_e;


/* how far an attempt has come; before it began, it has ended */

typedef enum {
    NGX_CANARY_ENDED = 0,
    NGX_CANARY_OPEN,
    NGX_CANARY_RESPONDED,         /* its header is counted */
    NGX_CANARY_COUNTED                 /* and a good end adds nothing to it */
} ngx_canary_state_e;


/* what few attempts have */

#define NGX_CANARY_UPGRADED            1    /* a tunnel */
#define NGX_CANARY_TIMELESS            2    /* its time is no evidence */
#define NGX_CANARY_WATCHED             4    /* rules ask for more of it */
#define NGX_CANARY_FOLLOWED            8    /* and its end will be told, */
#define NGX_CANARY_AWAITED             16   /* though it has no time */


/* its evidence: a ticket, and for that its key has counted */

#define NGX_CANARY_TICKET              1
#define NGX_CANARY_TICKET_OF_KEY       2


/* An attempt on a release, as it is being accounted. */

struct ngx_canary_attempt_s {
    ngx_canary_endpoint_t              *endpoint;
    ngx_canary_release_t               *release;
    struct timespec                     started;       /* monotonic */
    struct timespec                     now;           /* when last asked; not
                                                          on the stack, which
                                                          would be guarded */
    canary_ticket_t                     ticket;
    uint32_t                            epoch;         /* of the ticket */
    uint32_t                            key;           /* to be given back if
                                                          it is no evidence */
    uint8_t                             reason;        /* as in the choice, */
    uint8_t                             role;          /* but of this one */
    uint8_t                             response;      /* class, once it is
                                                          counted */
    uint8_t                             state;
    uint8_t                             evidence;      /* 0, or as above */
    uint8_t                             special;       /* of the above */
    uint8_t                             how;           /* it failed, when it
                                                          has */
    uint8_t                             matched;       /* if it is watched: as
                                                          it was counted, see
                                                          the core */
};


static ngx_inline ngx_uint_t
ngx_canary_is_timeless(ngx_canary_attempt_t *attempt)
{
    return (attempt->special & NGX_CANARY_TIMELESS) != 0;
}


/* whether matches are looked at when an answer has ended, not at its header */

static ngx_inline ngx_uint_t
ngx_canary_matches_at_end(ngx_canary_attempt_t *attempt)
{
    return attempt->endpoint->latency == NGX_CANARY_LATENCY_RESPONSE
           && !(attempt->special & NGX_CANARY_UPGRADED);
}


#endif /* _NGX_CANARY_ATTEMPT_LAYOUT_H_INCLUDED_ */
