
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_verta.h"


/* GET and HEAD */
ngx_int_t ngx_http_canary_verta_show(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);

ngx_int_t ngx_http_canary_verta_show_stage(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);
ngx_int_t ngx_http_canary_verta_show_build(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint, uint64_t build);


#endif /* _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_ */
