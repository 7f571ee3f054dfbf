
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_path.h"

#include "canary_rollout.h"
#include "canary_json.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api.h"
#include "ngx_http_canary_api_accept.h"
#include "ngx_http_canary_api_event.h"
#include "ngx_http_canary_api_failure.h"
#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_dashboard.h"
#include "ngx_http_canary_metrics.h"
#include "ngx_http_canary_openapi.h"
#include "ngx_http_canary_sse.h"


#define ngx_http_canary_get(path, read)                                       \
    { ngx_string(path), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),  \
      read, CANARY_VERBS, 0, 0 }

#define ngx_http_canary_file(path, read)                                      \
    { ngx_string(path), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),  \
      read, CANARY_VERBS, 1, 1 }

#define ngx_http_canary_post(path, verb)                                      \
    { ngx_string(path), NGX_HTTP_POST, ngx_string("POST"), NULL, verb, 0, 0 }


static const ngx_http_canary_api_resource_t *ngx_http_canary_api_resource(
    const ngx_http_canary_api_resource_t *resources, u_char *path,
    size_t len);
static ngx_int_t ngx_http_canary_api_find_endpoint(ngx_http_request_t *r,
    ngx_str_t *path, ngx_http_canary_api_target_t *target);
static ngx_int_t ngx_http_canary_api_index(ngx_http_request_t *r);
static void ngx_http_canary_index_resources(cJSON *list, const char *prefix,
    const ngx_http_canary_api_resource_t *resources, int *failed);
static void ngx_http_canary_index_methods(cJSON *item, ngx_uint_t methods,
    int *failed);


static const ngx_http_canary_api_resource_t  ngx_http_canary_resources[] = {

    /* tells nothing but what there is in any API of this version */

    { ngx_string(""), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
      ngx_http_canary_api_root, CANARY_VERBS, 1, 0 },

    ngx_http_canary_get("endpoints", ngx_http_canary_api_endpoints),
    ngx_http_canary_get("events", ngx_http_canary_api_stream),
    ngx_http_canary_get("metrics", ngx_http_canary_api_metrics),
    ngx_http_canary_get("openapi.json", ngx_http_canary_api_openapi),
    ngx_http_canary_file("dashboard.css", ngx_http_canary_dashboard_style),
    ngx_http_canary_file("dashboard.js", ngx_http_canary_dashboard_script),
    { ngx_null_string, 0, ngx_null_string, NULL, CANARY_VERBS, 0, 0 }
};


/* below endpoints/NAME */

static const ngx_http_canary_api_resource_t
    ngx_http_canary_endpoint_resources[] =
{
    ngx_http_canary_get("", ngx_http_canary_api_endpoint),
    ngx_http_canary_get("/events", ngx_http_canary_api_events),
    ngx_http_canary_get("/failures", ngx_http_canary_api_failures),

    { ngx_string("/rollout"), NGX_HTTP_POST|NGX_HTTP_PATCH,
      ngx_string("POST, PATCH"), NULL, CANARY_START, 0, 0 },

    ngx_http_canary_post("/rollout/advance", CANARY_ADVANCE),
    ngx_http_canary_post("/rollout/pause", CANARY_PAUSE),
    ngx_http_canary_post("/rollout/resume", CANARY_RESUME),
    ngx_http_canary_post("/rollout/promote", CANARY_PROMOTE),
    ngx_http_canary_post("/rollout/rollback", CANARY_ROLLBACK),
    { ngx_null_string, 0, ngx_null_string, NULL, CANARY_VERBS, 0, 0 }
};


ngx_int_t
ngx_http_canary_api_find(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target)
{
    ngx_str_t  path;

    if (ngx_http_canary_api_below(r, &path) != NGX_OK) {
        return NGX_DECLINED;
    }

    target->endpoint = NULL;
    target->resource = ngx_http_canary_api_resource(ngx_http_canary_resources,
                                                    path.data, path.len);
    if (target->resource) {
        return NGX_OK;
    }

    if (path.len <= sizeof("endpoints/") - 1
        || ngx_strncmp(path.data, "endpoints/", sizeof("endpoints/") - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    path.data += sizeof("endpoints/") - 1;
    path.len -= sizeof("endpoints/") - 1;

    return ngx_http_canary_api_find_endpoint(r, &path, target);
}


ngx_int_t
ngx_http_canary_api_below(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t                 *prefix;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    prefix = &clcf->name;

    if (r->uri.len < prefix->len
        || ngx_filename_cmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + prefix->len;
    path->len = r->uri.len - prefix->len;

    if (path->len == 0 || (prefix->len && path->data[-1] == '/')) {
        return NGX_OK;
    }

    if (path->data[0] != '/') {
        return NGX_DECLINED;
    }

    path->data++;
    path->len--;

    return NGX_OK;
}


static const ngx_http_canary_api_resource_t *
ngx_http_canary_api_resource(const ngx_http_canary_api_resource_t *resources,
    u_char *path, size_t len)
{
    const ngx_http_canary_api_resource_t  *resource;

    for (resource = resources; resource->methods; resource++) {
        if (resource->path.len == len
            && ngx_memcmp(resource->path.data, path, len) == 0)
        {
            return resource;
        }
    }

    return NULL;
}


/*
 * An endpoint's name may hold slashes, as any name of an upstream may.  If
 * "a" and "a/events" are both endpoints, that path is the second's.
 */

static ngx_int_t
ngx_http_canary_api_find_endpoint(ngx_http_request_t *r, ngx_str_t *path,
    ngx_http_canary_api_target_t *target)
{
    ngx_str_t                             *name;
    ngx_uint_t                             i;
    ngx_canary_endpoint_t                **endpoints;
    ngx_canary_main_conf_t                *cmcf;
    const ngx_http_canary_api_resource_t  *resource;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        name = &endpoints[i]->name;

        if (name->len > path->len
            || (target->endpoint && target->endpoint->name.len > name->len)
            || ngx_memcmp(name->data, path->data, name->len) != 0)
        {
            continue;
        }

        resource = ngx_http_canary_api_resource(
                                           ngx_http_canary_endpoint_resources,
                                           path->data + name->len,
                                           path->len - name->len);
        if (resource) {
            target->endpoint = endpoints[i];
            target->resource = resource;
        }
    }

    return target->endpoint ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_canary_api_root(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* with "=" in the location nothing of the page is below it */

    if (!clcf->exact_match && ngx_http_canary_accepts_html(r)) {
        return ngx_http_canary_dashboard(r);
    }

    return ngx_http_canary_api_index(r);
}


static ngx_int_t
ngx_http_canary_api_index(ngx_http_request_t *r)
{
    int                          failed;
    cJSON                       *json, *list;
    ngx_str_t                    vary = ngx_string("Accept");
    ngx_http_canary_loc_conf_t  *clcf;

    if (ngx_http_canary_add_header(r, "Vary", &vary) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_canary_api_module);

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add(json, "write", cJSON_CreateBool(clcf->write), &failed);

    list = canary_json_add_array(json, "paths", &failed);

    ngx_http_canary_index_resources(list, "", ngx_http_canary_resources,
                                    &failed);
    ngx_http_canary_index_resources(list, "endpoints/NAME",
                                    ngx_http_canary_endpoint_resources,
                                    &failed);

    return ngx_http_canary_answer(r, NGX_HTTP_OK, json, failed);
}


static void
ngx_http_canary_index_resources(cJSON *list, const char *prefix,
    const ngx_http_canary_api_resource_t *resources, int *failed)
{
    cJSON                                 *item;
    u_char                                 path[64];
    const ngx_http_canary_api_resource_t  *resource;

    for (resource = resources; resource->methods; resource++) {

        if (resource->page) {
            continue;
        }

        item = canary_json_add_object(list, NULL, failed);

        ngx_snprintf(path, sizeof(path), "%s%V%Z", prefix, &resource->path);

        canary_json_add_text(item, "path", (char *) path, failed);
        ngx_http_canary_index_methods(item, resource->methods, failed);
    }
}


static void
ngx_http_canary_index_methods(cJSON *item, ngx_uint_t methods, int *failed)
{
    cJSON      *list;
    ngx_uint_t  i;

    static const struct {
        ngx_uint_t   method;
        const char  *name;
    } names[] = {
        { NGX_HTTP_GET, "GET" },
        { NGX_HTTP_HEAD, "HEAD" },
        { NGX_HTTP_POST, "POST" },
        { NGX_HTTP_PATCH, "PATCH" }
    };

    list = canary_json_add_array(item, "methods", failed);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (methods & names[i].method) {
            canary_json_add_text(list, NULL, names[i].name, failed);
        }
    }
}
