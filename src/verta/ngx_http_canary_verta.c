
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_verta.h"

#include "canary_json.h"
#include "canary_verta_path.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_gate.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_text.h"
#include "ngx_http_canary_verta_show.h"
#include "ngx_http_canary_verta_write.h"


static ngx_int_t ngx_http_canary_verta_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static ngx_uint_t ngx_http_canary_verta_workspace(ngx_http_request_t *r,
    canary_verta_path_t *path);
static ngx_int_t ngx_http_canary_verta_refuse(ngx_http_request_t *r,
    const ngx_http_canary_refusal_t *why);
static ngx_uint_t ngx_http_canary_verta_code(ngx_uint_t status);


/* the client sends 502 to 504 again, which is of use only after a reload and
   when the queue is full */

const ngx_http_canary_dialect_t  ngx_http_canary_verta_dialect = {
    .directive = "canary_verta_api",
    .headers = { "Grpc-Metadata-developer-key",
                 "Grpc-Metadata-bearer-access-token", NULL },
    .credentials = "as developer key or as access token",
    .nothing = "there is nothing at \"%V\"; workspace, endpoints and builds "
               "are those of nginx.conf",
    .not_allowed = "%V does not apply to \"%V\", what does: %V; endpoints and "
                   "releases are those of nginx.conf",
    .find = ngx_http_canary_verta_find,
    .refuse = ngx_http_canary_verta_refuse,
    .write = ngx_http_canary_verta_write,
    .prepare = ngx_http_canary_verta_prepare,
    .outcome = ngx_http_canary_verta_outcome,
    .answer = ngx_http_canary_verta_answer,
    .size = sizeof(ngx_http_canary_verta_write_t),
    .unable = NGX_HTTP_INTERNAL_SERVER_ERROR,
    .unchanged = "the update has not begun",
    .shown = "the stage"
};


static ngx_int_t
ngx_http_canary_verta_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    uint64_t                 id;
    ngx_str_t                below;
    canary_verta_path_t      path;
    canary_verta_resource_t  resource;

    if (ngx_http_canary_below(r, &below) != NGX_OK) {
        return NGX_DECLINED;
    }

    resource = canary_verta_path((char *) below.data, below.len, &path);

    if (resource == CANARY_VERTA_RESOURCES
        || !ngx_http_canary_verta_workspace(r, &path)
        || (path.endpoint && path.stage && path.endpoint != path.stage))
    {
        return NGX_DECLINED;
    }

    target->resource = &ngx_http_canary_verta_resources[resource].resource;
    target->endpoint = NULL;
    target->number = path.build;

    id = path.endpoint ? path.endpoint : path.stage;

    if (id == 0 && path.build == 0) {
        return NGX_OK;
    }

    target->endpoint = ngx_http_canary_verta_endpoint(r, id, path.build);

    return target->endpoint ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_http_canary_verta_workspace(ngx_http_request_t *r,
    canary_verta_path_t *path)
{
    ngx_http_canary_verta_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_verta_module);

    return path->workspace == NULL
           || (vlcf->workspace.len == path->workspace_len
               && ngx_memcmp(vlcf->workspace.data, path->workspace,
                             path->workspace_len)
                  == 0);
}


ngx_canary_endpoint_t *
ngx_http_canary_verta_endpoint(ngx_http_request_t *r, uint64_t id,
    uint64_t build)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        if (id ? endpoints[i]->number == id
               : ngx_http_canary_verta_release(endpoints[i], build) != NULL)
        {
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


/* {"code", "message"}: the client shows the message, and nothing else */

static ngx_int_t
ngx_http_canary_verta_refuse(ngx_http_request_t *r,
    const ngx_http_canary_refusal_t *why)
{
    int                         failed;
    cJSON                      *json;
    u_char                      buf[NGX_HTTP_CANARY_DETAIL], *p, *last;
    unsigned                    i;
    ngx_str_t                   message;
    const canary_json_error_t  *error;

    message = why->text;

    if (why->errors) {
        p = buf;
        last = buf + sizeof(buf);

        for (i = 0; i < why->errors->n; i++) {
            error = &why->errors->list[i];

            p = ngx_slprintf(p, last, "%s%s%s%s", i ? "; " : "",
                             error->pointer,
                             error->pointer[0] ? ": " : "the body: ",
                             error->detail);
        }

        message.data = buf;
        message.len = p - buf;
    }

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add_number(json, "code",
                           ngx_http_canary_verta_code(why->status), 0,
                           &failed);
    ngx_http_canary_render_name(json, "message", &message, r->pool, &failed);

    return ngx_http_canary_answer(r, why->status, &ngx_http_canary_json, json,
                                  failed);
}


/* of gRPC: the client tells by 5 what is not there, whatever the status */

static ngx_uint_t
ngx_http_canary_verta_code(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return 3;

    case NGX_HTTP_UNAUTHORIZED:
        return 16;

    case NGX_HTTP_FORBIDDEN:
        return 7;

    case NGX_HTTP_NOT_FOUND:
        return 5;

    case NGX_HTTP_NOT_ALLOWED:
        return 12;

    case NGX_HTTP_CONFLICT:
        return 10;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return 11;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return 14;

    default:
        return 13;
    }
}
