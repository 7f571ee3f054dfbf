
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_UPSTREAM_H_INCLUDED_
#define _NGX_HTTP_CANARY_UPSTREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_attempt_layout.h"


ngx_int_t ngx_http_canary_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);

/* the balancer's get(): a request that has it goes to an endpoint */
ngx_int_t ngx_http_canary_get_peer(ngx_peer_connection_t *pc, void *data);

/* the last attempt that the request itself made; NULL: none */
ngx_canary_attempt_t *ngx_http_canary_last_attempt(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_UPSTREAM_H_INCLUDED_ */
