
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_FIND_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_FIND_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_verta.h"


/* NGX_DECLINED: there is nothing at the path of the request */
ngx_int_t ngx_http_canary_verta_find(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target);

/* NULL: there is no such release */
ngx_canary_release_t *ngx_http_canary_verta_release(
    ngx_canary_endpoint_t *endpoint, uint64_t build);
ngx_canary_endpoint_t *ngx_http_canary_verta_endpoint_of(
    ngx_http_request_t *r, uint64_t build);


#endif /* _NGX_HTTP_CANARY_VERTA_FIND_H_INCLUDED_ */
