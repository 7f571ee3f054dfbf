
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_ACCEPT_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_ACCEPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* whether the Accept header prefers text/html to application/json */
ngx_uint_t ngx_http_canary_accepts_html(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_API_ACCEPT_H_INCLUDED_ */
