
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "canary_verta_path.h"

#include "ngx_http_canary_dialect.h"


typedef struct {
    ngx_http_canary_resource_t    resource;   /* the first */
    void                        (*render)(cJSON *json,
                                          ngx_http_canary_target_t *target,
                                          ngx_pool_t *pool, int *failed);
                                              /* of what is shown as below */
} ngx_http_canary_verta_resource_t;


extern const ngx_http_canary_verta_resource_t
    ngx_http_canary_verta_resources[CANARY_VERTA_RESOURCES];


/* sends the document of a resource */
ngx_int_t ngx_http_canary_verta_show(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


#endif /* _NGX_HTTP_CANARY_VERTA_SHOW_H_INCLUDED_ */
