
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_verta_show.h"

#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_split.h"
#include "canary_json.h"
#include "canary_strategy_json.h"
#include "canary_verta.h"
#include "canary_verta_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_routing.h"
#include "ngx_canary_shared.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_list.h"
#include "ngx_http_canary_text.h"
#include "ngx_http_canary_verta.h"
#include "ngx_http_canary_verta_view.h"


#define ngx_http_canary_verta_get(read, render)                               \
    { { ngx_null_string, NGX_HTTP_GET|NGX_HTTP_HEAD,                          \
        ngx_string("GET, HEAD"), read, CANARY_VERBS, 0, 0 }, render }

#define ngx_http_canary_verta_document(render)                                \
    ngx_http_canary_verta_get(ngx_http_canary_verta_show, render)

#define ngx_http_canary_verta_put(methods, allow)                             \
    { { ngx_null_string, methods, ngx_string(allow), NULL, CANARY_VERBS, 0,   \
        0 }, NULL }


static ngx_int_t ngx_http_canary_verta_show_endpoints(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static ngx_int_t ngx_http_canary_verta_next_endpoint(
    ngx_http_canary_list_t *list, cJSON *object, int *failed);
static ngx_int_t ngx_http_canary_verta_show_connection(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
static void ngx_http_canary_verta_render_endpoint(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_stages(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_stage(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_update(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_rules(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_tokens(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_build(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_version(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_model(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_nothing(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_component(cJSON *list,
    const canary_verta_component_t *component,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_times(cJSON *json,
    ngx_canary_endpoint_t *endpoint, int *failed);
static uint64_t ngx_http_canary_verta_created(ngx_canary_endpoint_t *endpoint);


/* in the order of canary_verta_resource_t */

const ngx_http_canary_verta_resource_t
    ngx_http_canary_verta_resources[CANARY_VERTA_RESOURCES] =
{
    ngx_http_canary_verta_get(ngx_http_canary_verta_show_endpoints, NULL),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_endpoint),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_stages),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_stage),
    ngx_http_canary_verta_put(NGX_HTTP_PUT|NGX_HTTP_DELETE, "PUT, DELETE"),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_update),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_rules),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_tokens),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_nothing),
    ngx_http_canary_verta_put(NGX_HTTP_POST, "POST"),            /* builds */
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_build),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_version),
    ngx_http_canary_verta_document(ngx_http_canary_verta_render_model),
    ngx_http_canary_verta_get(ngx_http_canary_verta_show_connection, NULL)
};


ngx_int_t
ngx_http_canary_verta_show(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    int                                      failed;
    cJSON                                   *json;
    const ngx_http_canary_verta_resource_t  *resource;

    failed = 0;
    resource = (const ngx_http_canary_verta_resource_t *) target->resource;

    json = cJSON_CreateObject();

    resource->render(json, target, r->pool, &failed);

    return ngx_http_canary_answer(r, NGX_HTTP_OK, &ngx_http_canary_json, json,
                                  failed);
}


static ngx_int_t
ngx_http_canary_verta_show_endpoints(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_list_start(r, "{\"endpoints\":",
                                      ngx_http_canary_verta_next_endpoint,
                                      NULL, 0);
}


static ngx_int_t
ngx_http_canary_verta_next_endpoint(ngx_http_canary_list_t *list,
    cJSON *object, int *failed)
{
    ngx_array_t               *all;
    ngx_canary_endpoint_t    **endpoints;
    ngx_http_canary_target_t   target;

    all = &list->feed.main->endpoints;
    endpoints = all->elts;

    if (list->n == all->nelts) {
        return NGX_DECLINED;
    }

    target.endpoint = endpoints[list->n];

    ngx_http_canary_verta_render_endpoint(object, &target, list->feed.pool,
                                          failed);

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_verta_show_connection(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_answer_empty(r, NGX_HTTP_OK);
}


static void
ngx_http_canary_verta_render_endpoint(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON      *request;
    uint64_t    created;
    ngx_str_t  *name, path;

    name = &target->endpoint->name;

    path.data = ngx_pnalloc(pool, name->len + 1);
    if (path.data == NULL) {
        *failed = 1;
        return;
    }

    path.len = ngx_sprintf(path.data, "/%V", name) - path.data;

    created = ngx_http_canary_verta_created(target->endpoint);

    canary_json_add_number(json, "id", target->endpoint->number, 0, failed);

    request = canary_json_add_object(json, "creator_request", failed);
    ngx_http_canary_render_name(request, "path", &path, pool, failed);

    ngx_http_canary_render_time(json, "date_created", created, 1, failed);
    ngx_http_canary_render_time(json, "date_updated", created, 1, failed);
}


static void
ngx_http_canary_verta_render_stages(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON  *stage;

    stage = canary_json_add_object(canary_json_add_array(json, "stages",
                                                         failed),
                                   NULL, failed);

    ngx_http_canary_verta_render_stage(stage, target, pool, failed);
}


static void
ngx_http_canary_verta_render_stage(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON                         *list;
    unsigned                       i;
    canary_verta_stage_t           stage;
    ngx_http_canary_verta_view_t   view;

    ngx_http_canary_verta_look(target->endpoint, &view);

    canary_verta_stage(&view.record.rollout, view.settled, &stage);

    canary_json_add_number(json, "id", target->endpoint->number, 0, failed);
    canary_json_add_text(json, "status",
                         canary_verta_status_name(stage.status), failed);

    list = canary_json_add_array(json, "components", failed);

    for (i = 0; i < stage.n; i++) {
        ngx_http_canary_verta_render_component(list, &stage.components[i],
                                               &view, target->endpoint, pool,
                                               failed);
    }

    ngx_http_canary_render_time(json, "date_created", view.record.created, 1,
                                failed);
    ngx_http_canary_render_time(json, "date_updated", view.updated, 1, failed);
}


/*
 * A client that waits shows the message of the last component, so a canary
 * that failed is shown even if its release is not configured any more: then
 * as no build.
 */

static void
ngx_http_canary_verta_render_component(cJSON *list,
    const canary_verta_component_t *component,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed)
{
    cJSON                 *object;
    ngx_canary_release_t  *release;

    release = ngx_canary_release(endpoint, component->release);

    object = canary_json_add_object(list, NULL, failed);

    canary_json_add_number(object, "build_id", release ? release->number : 0,
                           0, failed);
    canary_json_add_number(object, "ratio", component->ratio,
                           CANARY_WEIGHT_DECIMALS, failed);

    if (!component->failed) {
        canary_json_add_text(object, "status", "running", failed);
        return;
    }

    canary_json_add_text(object, "status", "error", failed);
    ngx_http_canary_render_line(object, "message", view->reason, pool,
                                failed);
}


/* the update that runs or was the last, as far as that is known */

static void
ngx_http_canary_verta_render_update(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON                         *update;
    uint32_t                       id;
    canary_rollout_t              *rollout;
    ngx_canary_release_t          *release;
    ngx_http_canary_verta_view_t   view;

    ngx_http_canary_verta_look(target->endpoint, &view);

    rollout = &view.record.rollout;

    id = (rollout->phase == CANARY_IDLE) ? rollout->last_release
                                         : rollout->canary;

    release = (id == CANARY_NO_RELEASE)
              ? NULL : ngx_canary_release(target->endpoint, id);

    if (release == NULL) {
        canary_json_add_null(json, "update_request", failed);
        return;
    }

    update = canary_json_add_object(json, "update_request", failed);

    canary_json_add_number(update, "build_id", release->number, 0, failed);

    if (view.direct) {
        canary_json_add_text(update, "strategy", "rollout", failed);

    } else {
        canary_strategy_json_write(update, &rollout->strategy, failed);
    }
}


static void
ngx_http_canary_verta_render_rules(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    canary_verta_json_write_rules(json, failed);
}


static void
ngx_http_canary_verta_render_tokens(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    canary_json_add_array(json, "tokens", failed);
}


static void
ngx_http_canary_verta_render_nothing(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
}


static void
ngx_http_canary_verta_render_build(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    uint64_t  created;

    created = ngx_http_canary_verta_created(target->endpoint);

    canary_json_add_number(json, "id", target->number, 0, failed);
    canary_json_add_number(json, "model_version_id", target->number, 0,
                           failed);
    canary_json_add_text(json, "status", "finished", failed);
    canary_json_add_text(json, "message", "", failed);
    ngx_http_canary_render_time(json, "date_created", created, 1, failed);
}


/* who shows a version asks for its model, and does not bear that it is gone */

static void
ngx_http_canary_verta_render_version(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON                 *version;
    ngx_canary_release_t  *release;

    release = ngx_http_canary_verta_release(target->endpoint, target->number);

    version = canary_json_add_object(json, "model_version", failed);

    canary_json_add_number(version, "id", target->number, 0, failed);
    canary_json_add_number(version, "registered_model_id",
                           target->endpoint->number, 0, failed);
    ngx_http_canary_render_name(version, "version", &release->name, pool,
                                failed);
    ngx_http_canary_verta_render_times(version, target->endpoint, failed);
}


/* an endpoint, of which the versions are the releases */

static void
ngx_http_canary_verta_render_model(cJSON *json,
    ngx_http_canary_target_t *target, ngx_pool_t *pool, int *failed)
{
    cJSON                  *model;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = target->endpoint;

    model = canary_json_add_object(json, "registered_model", failed);

    canary_json_add_number(model, "id", endpoint->number, 0, failed);
    ngx_http_canary_render_name(model, "name", &endpoint->name, pool, failed);
    ngx_http_canary_verta_render_times(model, endpoint, failed);
}


static void
ngx_http_canary_verta_render_times(cJSON *json,
    ngx_canary_endpoint_t *endpoint, int *failed)
{
    uint64_t  created;

    created = ngx_http_canary_verta_created(endpoint);

    canary_json_add_number(json, "time_created", created, 0, failed);
    canary_json_add_number(json, "time_updated", created, 0, failed);
}


static uint64_t
ngx_http_canary_verta_created(ngx_canary_endpoint_t *endpoint)
{
    uint64_t  created;

    ngx_canary_lock(endpoint->main->zone);

    created = ngx_canary_record(endpoint->shared)->created;

    ngx_canary_unlock(endpoint->main->zone);

    return created;
}
