
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_dialect.h"


/*
 * The API of Verta: endpoints are those of nginx.conf, by a path of "/" and
 * the name.  An endpoint has one stage, of the same id.  Build and model
 * version are both the number of a release, in every endpoint that has one.
 */


typedef struct {
    ngx_str_t                     workspace;   /* that the client is to name */
} ngx_http_canary_verta_loc_conf_t;


extern ngx_module_t  ngx_http_canary_verta_module;

extern const ngx_http_canary_dialect_t  ngx_http_canary_verta_dialect;


/* NULL: there is no such release */

ngx_canary_release_t *ngx_http_canary_verta_release(
    ngx_canary_endpoint_t *endpoint, uint64_t build);

/* by its id, or if that is 0 the first one that has the build */
ngx_canary_endpoint_t *ngx_http_canary_verta_endpoint(ngx_http_request_t *r,
    uint64_t id, uint64_t build);


#endif /* _NGX_HTTP_CANARY_VERTA_H_INCLUDED_ */
