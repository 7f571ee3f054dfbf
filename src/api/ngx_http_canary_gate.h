
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_GATE_H_INCLUDED_
#define _NGX_HTTP_CANARY_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* the content handler of a location that has a dialect */
ngx_int_t ngx_http_canary_gate(ngx_http_request_t *r);

/* what follows the location in the URI, with the slash between them left out;
   NGX_DECLINED: the URI is not below the location */
ngx_int_t ngx_http_canary_below(ngx_http_request_t *r, ngx_str_t *path);


#endif /* _NGX_HTTP_CANARY_GATE_H_INCLUDED_ */
