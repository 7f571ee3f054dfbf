
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_ERROR_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_json.h"


/* {"code", "message"} */


ngx_int_t ngx_http_canary_verta_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);

/* 400, with what is wrong in the body */
ngx_int_t ngx_http_canary_verta_error_body(ngx_http_request_t *r,
    canary_json_errors_t *errors);

/* 413 */
ngx_int_t ngx_http_canary_verta_too_large(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_VERTA_ERROR_H_INCLUDED_ */
