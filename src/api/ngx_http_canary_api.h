
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"


#define NGX_HTTP_CANARY_BODY_MAX     65536
#define NGX_HTTP_CANARY_BODY_BUFFER  (5 * NGX_HTTP_CANARY_BODY_MAX)


/* What there is at a path of the API, and what can be done with it. */

typedef ngx_int_t (*ngx_http_canary_api_read_pt)(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);


typedef struct {
    ngx_str_t                     path;      /* below the location, or below
                                                endpoints/NAME */
    ngx_uint_t                    methods;   /* NGX_HTTP_GET... */
    ngx_str_t                     allow;     /* the same in words */
    ngx_http_canary_api_read_pt   read;      /* GET and HEAD; or NULL */
    canary_verb_t                 verb;      /* POST */
    unsigned                      open:1;    /* GET takes no token: it tells
                                                of no endpoint */
    unsigned                      page:1;    /* a file of the dashboard */
} ngx_http_canary_api_resource_t;


typedef struct {
    const ngx_http_canary_api_resource_t  *resource;
    ngx_canary_endpoint_t                 *endpoint;   /* or NULL */
} ngx_http_canary_api_target_t;


ngx_int_t ngx_http_canary_api_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_API_H_INCLUDED_ */
