
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

#include "ngx_http_canary_write.h"


/* members of a body: what all have, then what start and PATCH have */

enum {
    NGX_HTTP_CANARY_MEMBER_REASON = 0,
    NGX_HTTP_CANARY_MEMBER_STRATEGY,
    NGX_HTTP_CANARY_MEMBER_PARTS,
    NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBER_WEIGHT = NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBERS
};


typedef struct {
    ngx_http_canary_write_t       write;        /* the first */
    canary_verb_t                 verb;
    const cJSON                  *members[NGX_HTTP_CANARY_MEMBERS];
    canary_strategy_t             strategy;
    canary_rollout_t              rollout;      /* that it was prepared for */
} ngx_http_canary_api_write_t;


/* as ngx_http_canary_dialect_t has them */

ngx_int_t ngx_http_canary_api_write(ngx_http_canary_write_t *w,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_api_prepare(ngx_http_canary_write_t *w);
ngx_int_t ngx_http_canary_api_outcome(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc);
ngx_int_t ngx_http_canary_api_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);


#endif /* _NGX_HTTP_CANARY_API_WRITE_H_INCLUDED_ */
