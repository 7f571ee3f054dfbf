
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FACTS_H_INCLUDED_
#define _NGX_HTTP_CANARY_FACTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_outcome.h"


/* when a peer is freed, with the state given to the balancer */
void ngx_http_canary_facts(ngx_http_request_t *r, ngx_uint_t state,
    canary_facts_t *facts);

/* and when the request has ended with it: how */
void ngx_http_canary_facts_of_end(ngx_http_request_t *r, ngx_int_t rc,
    canary_facts_t *facts);

/* whether the request came by grpc_pass */

static ngx_inline ngx_uint_t
ngx_http_canary_is_grpc(ngx_http_request_t *r)
{
    ngx_str_t  *module;

    module = &r->upstream->conf->module;

    return module->len == 4 && ngx_memcmp(module->data, "grpc", 4) == 0;
}


/* the number in a grpc-status header; -1: there is none */
ngx_int_t ngx_http_canary_grpc_code(ngx_list_t *headers);


/* the gRPC status in the header; -1: none, or not grpc_pass */

static ngx_inline ngx_int_t
ngx_http_canary_grpc_status(ngx_http_request_t *r)
{
    return ngx_http_canary_is_grpc(r)
           ? ngx_http_canary_grpc_code(&r->upstream->headers_in.headers) : -1;
}


/*
 * The status that the peer answered with.  headers_in may hold that of the
 * attempt before, or that of a cached response; state->status keeps the first
 * of early hints, and has 200 for an answer without a status line.
 */

static ngx_inline ngx_uint_t
ngx_http_canary_status(ngx_http_request_t *r)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    status = u->state->status;

    if (status < 200 && status != NGX_HTTP_SWITCHING_PROTOCOLS) {
        return u->headers_in.status_n;
    }

    if (u->headers_in.status_n == 0 && !r->cached) {
        return 0;
    }

    return status;
}


#endif /* _NGX_HTTP_CANARY_FACTS_H_INCLUDED_ */
