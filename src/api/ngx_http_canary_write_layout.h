
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_WRITE_LAYOUT_H_INCLUDED_
#define _NGX_HTTP_CANARY_WRITE_LAYOUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "canary_json.h"

#include "ngx_canary_change.h"
#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_dialect.h"


/* what a write waits for */

typedef enum {
    NGX_HTTP_CANARY_WAIT_NONE = 0,     /* to be attempted again at once */
    NGX_HTTP_CANARY_WAIT_TURN,         /* another change is pending */
    NGX_HTTP_CANARY_WAIT_FATE,         /* its own change is */
    NGX_HTTP_CANARY_WAIT_DURABLE       /* it is done, but not in the file */
} ngx_http_canary_wait_e;


/* A request to change an endpoint. */

struct ngx_http_canary_write_s {
    ngx_http_request_t           *request;
    ngx_canary_endpoint_t        *endpoint;
    const ngx_http_canary_dialect_t  *dialect;
    ngx_str_t                     text;        /* the body, */
    cJSON                        *body;        /* and what it says, or NULL */
    canary_json_errors_t          errors;      /* of it */

    ngx_uint_t                    status;      /* when it is done */
    ngx_str_t                    *if_match;    /* the header's, or NULL */
    uint64_t                      expected;    /* generation that the change
                                                  starts from, */
    unsigned                      pinned:1;    /* which has to be so still */
    unsigned                      refused:1;   /* result: by If-Match */
    uint64_t                      present;     /* result: generation, */
    uint32_t                      present_uid;
    ngx_uint_t                    lost;        /* races with other nodes of a
                                                  fleet */
    ngx_canary_change_t           change;

    ngx_http_canary_wait_e        wait;
    ngx_int_t                   (*over)(ngx_http_canary_write_t *w);
                                               /* when that may be: the answer;
                                                  NGX_DECLINED: not yet */
    uint64_t                      deadline;    /* ms, monotonic */
    ngx_queue_t                   queue;       /* of those that wait for the
                                                  same */
    unsigned                      queued:1;    /* it is in one, */
    unsigned                      in_line:1;   /* and that is its endpoint's */
};


#endif /* _NGX_HTTP_CANARY_WRITE_LAYOUT_H_INCLUDED_ */
