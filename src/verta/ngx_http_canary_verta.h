
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_verta_path.h"

#include "ngx_canary_endpoint.h"


/*
 * The API of Verta: endpoints are those of nginx.conf, by a path of "/" and
 * the name.  An endpoint has one stage, of the same id.  Build and model
 * version are both the number of a release, in every endpoint that has one.
 */


typedef struct {
    canary_verta_resource_t       resource;
    canary_verta_path_t           path;
    ngx_canary_endpoint_t        *endpoint;  /* of the path, or of the first
                                                that has the build; or NULL */
} ngx_http_canary_verta_target_t;


ngx_int_t ngx_http_canary_verta_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_VERTA_H_INCLUDED_ */
