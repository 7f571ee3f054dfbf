
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_LIST_H_INCLUDED_
#define _NGX_HTTP_CANARY_LIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_feed.h"


/* {..., "NAME": [ITEM, ...]} */


typedef struct ngx_http_canary_list_s  ngx_http_canary_list_t;

/* fills the object; NGX_DECLINED: there are no more */
typedef ngx_int_t (*ngx_http_canary_list_pt)(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);

struct ngx_http_canary_list_s {
    ngx_http_canary_feed_t        feed;
    const char                   *head;      /* up to the bracket */
    ngx_http_canary_list_pt       item;
    ngx_uint_t                    n;         /* items there are already */
    ngx_canary_endpoint_t        *endpoint;  /* that they are of, or NULL */
    uint64_t                      after;     /* id of the last that is none
                                                of them */
    uint64_t                      number;    /* of the item before; at first
                                                NGX_CANARY_NEWEST.  Oldest
                                                first: of the next; 0 */
    uint32_t                      rollout;   /* that failures are of */
};


/* the answer of a content handler; of an endpoint, or of no certain one */
ngx_int_t ngx_http_canary_list_start(ngx_http_request_t *r, const char *head,
    ngx_http_canary_list_pt item, ngx_canary_endpoint_t *endpoint,
    uint64_t after);


#endif /* _NGX_HTTP_CANARY_LIST_H_INCLUDED_ */
