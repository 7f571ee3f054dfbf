
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_LISTS_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_LISTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"


ngx_int_t ngx_http_canary_api_endpoints(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_api_history(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_api_failures(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


#endif /* _NGX_HTTP_CANARY_API_LISTS_H_INCLUDED_ */
