
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_BODY_H_INCLUDED_
#define _NGX_HTTP_CANARY_BODY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* what is done when the body is there; the text ends with a zero */
typedef void (*ngx_http_canary_body_pt)(ngx_http_request_t *r,
    ngx_str_t *text);


/*
 * For a content handler to return: the body is read, no more of it than may
 * be, and then the handler is called.
 */
ngx_int_t ngx_http_canary_body_read(ngx_http_request_t *r,
    ngx_http_canary_body_pt handler);


#endif /* _NGX_HTTP_CANARY_BODY_H_INCLUDED_ */
