
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_OPENAPI_H_INCLUDED_
#define _NGX_HTTP_CANARY_OPENAPI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"


/* the description of the API */


ngx_int_t ngx_http_canary_api_openapi(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);


#endif /* _NGX_HTTP_CANARY_OPENAPI_H_INCLUDED_ */
