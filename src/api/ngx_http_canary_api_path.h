
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_PATH_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_PATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_api.h"


/* NGX_DECLINED: there is nothing at the path of the request */
ngx_int_t ngx_http_canary_api_find(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target);

/* what follows the location, with the slash between them left out;
   NGX_DECLINED: the URI is not below the location */
ngx_int_t ngx_http_canary_api_below(ngx_http_request_t *r, ngx_str_t *path);

/* at the location itself: the dashboard for who prefers HTML, else an index
   of the API */
ngx_int_t ngx_http_canary_api_root(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);


#endif /* _NGX_HTTP_CANARY_API_PATH_H_INCLUDED_ */
