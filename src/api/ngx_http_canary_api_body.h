
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_BODY_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_BODY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * For a content handler to return: the body is read, no more of it than may
 * be, and then the handler is called.
 */
ngx_int_t ngx_http_canary_api_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* the text, zero-terminated; NGX_DECLINED: longer than is accepted */
ngx_int_t ngx_http_canary_api_body(ngx_http_request_t *r, ngx_str_t *text);


#endif /* _NGX_HTTP_CANARY_API_BODY_H_INCLUDED_ */
