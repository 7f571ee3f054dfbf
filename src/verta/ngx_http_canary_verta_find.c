
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_verta_find.h"

#include "canary_verta_path.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_api_path.h"
#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_verta.h"


static ngx_uint_t ngx_http_canary_verta_workspace(ngx_http_request_t *r,
    canary_verta_path_t *path);
static ngx_canary_endpoint_t *ngx_http_canary_verta_endpoint(
    ngx_http_request_t *r, uint64_t id);


ngx_int_t
ngx_http_canary_verta_find(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target)
{
    uint64_t              id;
    ngx_str_t             below;
    canary_verta_path_t  *path;

    if (ngx_http_canary_api_below(r, &below) != NGX_OK) {
        return NGX_DECLINED;
    }

    path = &target->path;
    target->endpoint = NULL;

    target->resource = canary_verta_path((char *) below.data, below.len,
                                         path);

    if (target->resource == CANARY_VERTA_RESOURCES
        || !ngx_http_canary_verta_workspace(r, path))
    {
        return NGX_DECLINED;
    }

    if (path->endpoint && path->stage && path->endpoint != path->stage) {
        return NGX_DECLINED;
    }

    id = path->endpoint ? path->endpoint : path->stage;

    if (id) {
        target->endpoint = ngx_http_canary_verta_endpoint(r, id);

    } else if (path->build) {
        target->endpoint = ngx_http_canary_verta_endpoint_of(r, path->build);

    } else {
        return NGX_OK;
    }

    return target->endpoint ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_http_canary_verta_workspace(ngx_http_request_t *r,
    canary_verta_path_t *path)
{
    ngx_str_t                   *workspace;
    ngx_http_canary_loc_conf_t  *clcf;

    if (path->workspace == NULL) {
        return 1;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module);

    workspace = &clcf->workspace;

    return workspace->len == path->workspace_len
           && ngx_memcmp(workspace->data, path->workspace, workspace->len)
              == 0;
}


static ngx_canary_endpoint_t *
ngx_http_canary_verta_endpoint(ngx_http_request_t *r, uint64_t id)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        if (endpoints[i]->number == id) {
            return endpoints[i];
        }
    }

    return NULL;
}


ngx_canary_endpoint_t *
ngx_http_canary_verta_endpoint_of(ngx_http_request_t *r, uint64_t build)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        if (ngx_http_canary_verta_release(endpoints[i], build)) {
            return endpoints[i];
        }
    }

    return NULL;
}


ngx_canary_release_t *
ngx_http_canary_verta_release(ngx_canary_endpoint_t *endpoint, uint64_t build)
{
    ngx_uint_t             i;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        if (releases[i].number == build) {
            return &releases[i];
        }
    }

    return NULL;
}
