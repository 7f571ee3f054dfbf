
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_ORIGIN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* whether the request says that a page of another site has sent it */
ngx_uint_t ngx_http_canary_cross_site(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_API_ORIGIN_H_INCLUDED_ */
