
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_WRITE_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_WRITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "canary_rollout.h"
#include "canary_strategy.h"
#include "canary_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_change.h"

#include "ngx_http_canary_api.h"
#include "ngx_http_canary_api_match.h"


/* members of a body: what all have, then what start and PATCH have */

enum {
    NGX_HTTP_CANARY_MEMBER_REASON = 0,
    NGX_HTTP_CANARY_MEMBER_STRATEGY,
    NGX_HTTP_CANARY_MEMBER_PARTS,
    NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBER_WEIGHT = NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBERS
};


/* what a write waits for */

typedef enum {
    NGX_HTTP_CANARY_WAIT_TURN = 0,     /* another change is pending */
    NGX_HTTP_CANARY_WAIT_FATE,         /* its own change is */
    NGX_HTTP_CANARY_WAIT_DURABLE       /* it is done, but not in the file */
} ngx_http_canary_wait_e;


/* why a write that had to wait is in vain */

typedef enum {
    NGX_HTTP_CANARY_VAIN_NOT_WRITTEN = 0,
    NGX_HTTP_CANARY_VAIN_FORGOTTEN,    /* or was not: nobody knows */
    NGX_HTTP_CANARY_VAIN_CANCELLED,
    NGX_HTTP_CANARY_VAIN_CROWDED,      /* it may not even wait */
    NGX_HTTP_CANARY_VAIN_SUPERSEDED
} ngx_http_canary_vain_e;


typedef struct ngx_http_canary_write_s  ngx_http_canary_write_t;


/* What becomes of a write; each answers. */

typedef struct {
    ngx_int_t                   (*attempt)(ngx_http_canary_write_t *w);
                                               /* NGX_DECLINED: has to wait */
    ngx_int_t                   (*done)(ngx_http_canary_write_t *w,
                                        ngx_uint_t durable);
    ngx_int_t                   (*vain)(ngx_http_canary_write_t *w,
                                        ngx_http_canary_vain_e why);
} ngx_http_canary_waiter_t;


struct ngx_http_canary_write_s {
    ngx_http_request_t           *request;
    ngx_canary_endpoint_t        *endpoint;
    const ngx_http_canary_waiter_t  *waiter;
    canary_verb_t                 verb;
    cJSON                        *body;        /* or NULL */
    uint64_t                      deadline;    /* ms, monotonic */
    ngx_http_canary_wait_e        wait;
    ngx_queue_t                   queue;       /* of those that wait for the
                                                  same */
    unsigned                      queued:1;    /* it is in one, */
    unsigned                      in_line:1;   /* and that is its endpoint's */
    const cJSON                  *members[NGX_HTTP_CANARY_MEMBERS];
    canary_json_errors_t          errors;
    canary_strategy_t             strategy;
    ngx_http_canary_match_t       match;
    ngx_canary_change_t           change;
    canary_rollout_t              rollout;     /* that it was prepared for */
};


/* with room for "size" bytes, of which it is the first; NULL: no memory */
ngx_http_canary_write_t *ngx_http_canary_write_create(ngx_http_request_t *r,
    size_t size, const ngx_http_canary_waiter_t *waiter);

/* when the body of the request has been read; NGX_DECLINED: the request
   waits, and will be finalized */
ngx_int_t ngx_http_canary_api_write(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target);


#endif /* _NGX_HTTP_CANARY_API_WRITE_H_INCLUDED_ */
