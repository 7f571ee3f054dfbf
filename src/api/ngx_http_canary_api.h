
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"


/* of locations with "canary_api" */
extern const ngx_http_canary_dialect_t  ngx_http_canary_api_dialect;


/* refuses by application/problem+json (RFC 9457) */
ngx_int_t ngx_http_canary_problem(ngx_http_request_t *r,
    const ngx_http_canary_refusal_t *why);


#endif /* _NGX_HTTP_CANARY_API_H_INCLUDED_ */
