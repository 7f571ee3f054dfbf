
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FACTS_H_INCLUDED_
#define _NGX_HTTP_CANARY_FACTS_H_INCLUDED_


#include "ngx_http_canary_module.h"


/* when a peer is freed, with the state given to the balancer */
void ngx_http_canary_facts(ngx_http_request_t *r, ngx_uint_t state,
    canary_facts_t *facts);

/* and when the request has ended with it: how */
void ngx_http_canary_facts_of_end(ngx_int_t rc, canary_facts_t *facts);

/* the status of the header; 0: an answer without a status line */
ngx_uint_t ngx_http_canary_status(ngx_http_request_t *r);

/* the gRPC status in the header; -1: none, or not grpc_pass */
ngx_int_t ngx_http_canary_grpc_status(ngx_http_request_t *r);

/* whether the request came by grpc_pass */

static ngx_inline ngx_uint_t
ngx_http_canary_is_grpc(ngx_http_request_t *r)
{
    ngx_str_t  *module;

    module = &r->upstream->conf->module;

    return module->len == 4 && ngx_strncmp(module->data, "grpc", 4) == 0;
}


#endif /* _NGX_HTTP_CANARY_FACTS_H_INCLUDED_ */
