
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_WRITE_H_INCLUDED_
#define _NGX_HTTP_CANARY_WRITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_write_layout.h"


/* when the body of the request has been read */
void ngx_http_canary_write_handler(ngx_http_request_t *r, ngx_str_t *text);

/* it is done, in the file or not as yet */
ngx_int_t ngx_http_canary_write_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);

/* makes w->body of the text; NGX_ERROR: it is none, and that is an error */
ngx_int_t ngx_http_canary_write_parse(ngx_http_canary_write_t *w);


#endif /* _NGX_HTTP_CANARY_WRITE_H_INCLUDED_ */
