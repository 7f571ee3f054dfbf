
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api.h"

#include "canary_json.h"
#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_fleet.h"
#include "ngx_http_canary_api_lists.h"
#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_api_write.h"
#include "ngx_http_canary_dashboard.h"
#include "ngx_http_canary_forget.h"
#include "ngx_http_canary_gate.h"
#include "ngx_http_canary_headers.h"
#include "ngx_http_canary_metrics.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_sse.h"
#include "ngx_http_canary_text.h"


/* Our own dialect: what there is, and how it refuses. */


#define ngx_http_canary_get(path, read)                                       \
    { ngx_string(path), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),  \
      read, CANARY_VERBS, 0, 0 }

#define ngx_http_canary_file(path, read)                                      \
    { ngx_string(path), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),  \
      read, CANARY_VERBS, 1, 1 }

#define ngx_http_canary_post(path, verb)                                      \
    { ngx_string(path), NGX_HTTP_POST, ngx_string("POST"), NULL, verb, 0, 0 }


static ngx_int_t ngx_http_canary_api_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static const ngx_http_canary_resource_t *ngx_http_canary_api_resource(
    const ngx_http_canary_resource_t *resources, u_char *path, size_t len);
static ngx_int_t ngx_http_canary_api_find_endpoint(ngx_http_request_t *r,
    ngx_str_t *path, ngx_http_canary_target_t *target);
static ngx_int_t ngx_http_canary_api_root(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static ngx_int_t ngx_http_canary_api_index(ngx_http_request_t *r);
static void ngx_http_canary_index_resources(cJSON *list, const char *prefix,
    const ngx_http_canary_resource_t *resources, int *failed);
static void ngx_http_canary_index_methods(cJSON *item, ngx_uint_t methods,
    int *failed);
static ngx_int_t ngx_http_canary_api_openapi(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static void ngx_http_canary_problem_detail(
    const ngx_http_canary_refusal_t *why, ngx_str_t *detail);
static void ngx_http_canary_problem_verbs(cJSON *json, uint32_t verbs,
    int *failed);
static ngx_uint_t ngx_http_canary_unknown_release(
    const canary_json_errors_t *errors);
static void ngx_http_canary_problem_errors(cJSON *json,
    const canary_json_errors_t *errors, int *failed);
static const char *ngx_http_canary_title(ngx_uint_t status);


const ngx_http_canary_dialect_t  ngx_http_canary_api_dialect = {
    .directive = "canary_api",
    .headers = { "X-Canary-Token", NULL },
    .bearer = 1,
    .credentials = "as \"Authorization: Bearer TOKEN\" or "
                   "\"X-Canary-Token: TOKEN\"",
    .nothing = "there is no endpoint and nothing else at \"%V\"",
    .not_allowed = "%V does not apply to \"%V\", what does: %V",
    .find = ngx_http_canary_api_find,
    .refuse = ngx_http_canary_problem,
    .write = ngx_http_canary_api_write,
    .prepare = ngx_http_canary_api_prepare,
    .outcome = ngx_http_canary_api_outcome,
    .answer = ngx_http_canary_api_answer,
    .size = sizeof(ngx_http_canary_api_write_t),
    .unable = NGX_HTTP_SERVICE_UNAVAILABLE,
    .unchanged = "nothing was changed",
    .shown = "the events"
};


static const ngx_http_canary_resource_t  ngx_http_canary_resources[] = {

    /* tells nothing but what there is in any API of this version */

    { ngx_string(""), NGX_HTTP_GET|NGX_HTTP_HEAD, ngx_string("GET, HEAD"),
      ngx_http_canary_api_root, CANARY_VERBS, 1, 0 },

    ngx_http_canary_get("endpoints", ngx_http_canary_api_endpoints),
    ngx_http_canary_get("events", ngx_http_canary_api_stream),
    ngx_http_canary_get("fleet", ngx_http_canary_api_fleet),
    ngx_http_canary_get("metrics", ngx_http_canary_api_metrics),
    ngx_http_canary_get("openapi.json", ngx_http_canary_api_openapi),
    ngx_http_canary_file("dashboard.css", ngx_http_canary_dashboard_style),
    ngx_http_canary_file("dashboard.js", ngx_http_canary_dashboard_script),
    { ngx_null_string, 0, ngx_null_string, NULL, CANARY_VERBS, 0, 0 }
};


/* below fleet/nodes/NAME */

static const ngx_http_canary_resource_t  ngx_http_canary_node_resources[] = {

    { ngx_string(""), NGX_HTTP_DELETE, ngx_string("DELETE"),
      ngx_http_canary_forget, CANARY_VERBS, 0, 0 },

    { ngx_null_string, 0, ngx_null_string, NULL, CANARY_VERBS, 0, 0 }
};


/* below endpoints/NAME */

static const ngx_http_canary_resource_t
    ngx_http_canary_endpoint_resources[] =
{
    ngx_http_canary_get("", ngx_http_canary_api_endpoint),
    ngx_http_canary_get("/events", ngx_http_canary_api_events),
    ngx_http_canary_get("/failures", ngx_http_canary_api_failures),
    ngx_http_canary_get("/history", ngx_http_canary_api_history),

    { ngx_string("/rollout"), NGX_HTTP_POST|NGX_HTTP_PATCH,
      ngx_string("POST, PATCH"), NULL, CANARY_START, 0, 0 },

    ngx_http_canary_post("/rollout/advance", CANARY_ADVANCE),
    ngx_http_canary_post("/rollout/pause", CANARY_PAUSE),
    ngx_http_canary_post("/rollout/resume", CANARY_RESUME),
    ngx_http_canary_post("/rollout/promote", CANARY_PROMOTE),
    ngx_http_canary_post("/rollout/rollback", CANARY_ROLLBACK),
    { ngx_null_string, 0, ngx_null_string, NULL, CANARY_VERBS, 0, 0 }
};


static ngx_int_t
ngx_http_canary_api_find(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_str_t  path;

    if (ngx_http_canary_below(r, &path) != NGX_OK) {
        return NGX_DECLINED;
    }

    target->endpoint = NULL;
    target->resource = ngx_http_canary_api_resource(ngx_http_canary_resources,
                                                    path.data, path.len);
    if (target->resource) {
        return NGX_OK;
    }

    if (path.len > sizeof("fleet/nodes/") - 1
        && ngx_strncmp(path.data, "fleet/nodes/", sizeof("fleet/nodes/") - 1)
           == 0)
    {
        target->node.data = path.data + sizeof("fleet/nodes/") - 1;
        target->node.len = path.len - (sizeof("fleet/nodes/") - 1);
        target->resource = ngx_http_canary_node_resources;

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


static const ngx_http_canary_resource_t *
ngx_http_canary_api_resource(const ngx_http_canary_resource_t *resources,
    u_char *path, size_t len)
{
    const ngx_http_canary_resource_t  *resource;

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
    ngx_http_canary_target_t *target)
{
    ngx_str_t                             *name;
    ngx_uint_t                             i;
    ngx_canary_endpoint_t                **endpoints;
    ngx_canary_main_conf_t                *cmcf;
    const ngx_http_canary_resource_t  *resource;

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


static ngx_int_t
ngx_http_canary_api_root(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_accepts_html(r) ? ngx_http_canary_dashboard(r)
                                           : ngx_http_canary_api_index(r);
}


static ngx_int_t
ngx_http_canary_api_index(ngx_http_request_t *r)
{
    int        failed;
    cJSON     *json, *list;
    ngx_str_t  vary = ngx_string("Accept");

    if (ngx_http_canary_add_header(r, "Vary", &vary) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add(json, "write",
                    cJSON_CreateBool(ngx_http_canary_location(r)->write),
                    &failed);

    ngx_http_canary_render_configuration(json,
                        ngx_http_get_module_main_conf(r,
                                                      ngx_http_canary_module),
                        &failed);

    list = canary_json_add_array(json, "paths", &failed);

    ngx_http_canary_index_resources(list, "", ngx_http_canary_resources,
                                    &failed);
    ngx_http_canary_index_resources(list, "fleet/nodes/NAME",
                                    ngx_http_canary_node_resources, &failed);
    ngx_http_canary_index_resources(list, "endpoints/NAME",
                                    ngx_http_canary_endpoint_resources,
                                    &failed);

    return ngx_http_canary_answer(r, NGX_HTTP_OK, &ngx_http_canary_json, json,
                                  failed);
}


static void
ngx_http_canary_index_resources(cJSON *list, const char *prefix,
    const ngx_http_canary_resource_t *resources, int *failed)
{
    cJSON                                 *item;
    u_char                                 path[64];
    const ngx_http_canary_resource_t  *resource;

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
        { NGX_HTTP_PATCH, "PATCH" },
        { NGX_HTTP_DELETE, "DELETE" }
    };

    list = canary_json_add_array(item, "methods", failed);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (methods & names[i].method) {
            canary_json_add_text(list, NULL, names[i].name, failed);
        }
    }
}


static ngx_int_t
ngx_http_canary_api_openapi(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_str_t  text;

    /* openapi.json, made a C string when the module is built: config.make */

    static u_char  openapi[] =
#include "ngx_http_canary_openapi_text.h"
    ;

    text.data = openapi;
    text.len = sizeof(openapi) - 1;

    return ngx_http_canary_answer_text(r, NGX_HTTP_OK, &text);
}


ngx_int_t
ngx_http_canary_problem(ngx_http_request_t *r,
    const ngx_http_canary_refusal_t *why)
{
    int        failed;
    cJSON     *json;
    u_char     buf[NGX_HTTP_CANARY_DETAIL];
    ngx_str_t  detail;

    static ngx_str_t  type = ngx_string("application/problem+json");

    failed = 0;

    detail.data = buf;
    ngx_http_canary_problem_detail(why, &detail);

    json = cJSON_CreateObject();

    canary_json_add_text(json, "type", "about:blank", &failed);
    canary_json_add_text(json, "title", ngx_http_canary_title(why->status),
                         &failed);
    canary_json_add_number(json, "status", why->status, 0, &failed);
    ngx_http_canary_render_name(json, "detail", &detail, r->pool, &failed);

    if (why->status == NGX_HTTP_CONFLICT) {
        ngx_http_canary_problem_verbs(json, why->verbs, &failed);
    }

    if (why->changed == NGX_HTTP_CANARY_UNCHANGED) {
        canary_json_add(json, "changed", cJSON_CreateFalse(), &failed);

    } else if (why->changed == NGX_HTTP_CANARY_NOT_KNOWN) {
        canary_json_add_null(json, "changed", &failed);
    }

    if (why->errors) {
        ngx_http_canary_problem_errors(json, why->errors, &failed);
    }

    if (why->errors && ngx_http_canary_unknown_release(why->errors)) {
        ngx_http_canary_render_configuration(
            json, ngx_http_get_module_main_conf(r, ngx_http_canary_module),
            &failed);
    }

    return ngx_http_canary_answer(r, why->status, &type, json, failed);
}


/* into NGX_HTTP_CANARY_DETAIL bytes */

static void
ngx_http_canary_problem_detail(const ngx_http_canary_refusal_t *why,
    ngx_str_t *detail)
{
    u_char                      *p, *last;
    ngx_uint_t                   verb, n;
    const canary_json_error_t   *error;
    const canary_json_errors_t  *errors;

    p = detail->data;
    last = p + NGX_HTTP_CANARY_DETAIL;
    errors = why->errors;

    if (errors && errors->total == 1) {
        error = errors->list;

        p = ngx_slprintf(p, last, "%s%s%s", error->pointer,
                         error->pointer[0] ? ": " : "the body: ",
                         error->detail);

    } else if (errors) {
        p = ngx_slprintf(p, last, "%ud errors in the body%s", errors->total,
                         (errors->total > errors->n)
                         ? ", of which the first are listed" : "");
    } else {
        p = ngx_slprintf(p, last, "%V", &why->text);
    }

    for (verb = 0, n = 0; verb < CANARY_VERBS; verb++) {
        if (why->verbs & 1u << verb) {
            p = ngx_slprintf(p, last, "%s%s",
                             n++ ? ", " : "; what applies now: ",
                             canary_verb_name(verb));
        }
    }

    detail->len = p - detail->data;
}


static void
ngx_http_canary_problem_verbs(cJSON *json, uint32_t verbs, int *failed)
{
    cJSON       *list;
    ngx_uint_t   verb;

    list = canary_json_add_array(json, "applicable", failed);

    for (verb = 0; verb < CANARY_VERBS; verb++) {
        if (verbs & 1u << verb) {
            canary_json_add_text(list, NULL, canary_verb_name(verb), failed);
        }
    }
}


static void
ngx_http_canary_problem_errors(cJSON *json, const canary_json_errors_t *errors,
    int *failed)
{
    cJSON     *list, *item;
    unsigned   i;

    list = canary_json_add_array(json, "errors", failed);

    for (i = 0; i < errors->n; i++) {
        item = canary_json_add_object(list, NULL, failed);

        canary_json_add_text(item, "pointer", errors->list[i].pointer, failed);
        canary_json_add_text(item, "detail", errors->list[i].detail, failed);
    }
}


/* that of the configuration which answers; another one may be on its way */

static ngx_uint_t
ngx_http_canary_unknown_release(const canary_json_errors_t *errors)
{
    unsigned  i;

    for (i = 0; i < errors->n; i++) {
        if (ngx_strcmp(errors->list[i].pointer, "/release") == 0) {
            return 1;
        }
    }

    return 0;
}


/* with "about:blank" the title is the one that HTTP has (RFC 9110, 15.5) */

static const char *
ngx_http_canary_title(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return "Bad Request";

    case NGX_HTTP_UNAUTHORIZED:
        return "Unauthorized";

    case NGX_HTTP_FORBIDDEN:
        return "Forbidden";

    case NGX_HTTP_NOT_FOUND:
        return "Not Found";

    case NGX_HTTP_NOT_ALLOWED:
        return "Method Not Allowed";

    case NGX_HTTP_CONFLICT:
        return "Conflict";

    case NGX_HTTP_PRECONDITION_FAILED:
        return "Precondition Failed";

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "Content Too Large";

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "Service Unavailable";

    default:
        return "Internal Server Error";
    }
}
