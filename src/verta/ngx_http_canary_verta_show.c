
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
#include "canary_verta_path.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_routing.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_feed.h"
#include "ngx_http_canary_list.h"
#include "ngx_http_canary_verta.h"
#include "ngx_http_canary_verta_find.h"
#include "ngx_http_canary_verta_view.h"


static ngx_int_t ngx_http_canary_verta_show_endpoints(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_verta_next_endpoint(
    ngx_http_canary_list_t *list, cJSON *object, int *failed);
static ngx_int_t ngx_http_canary_verta_show_endpoint(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);
static ngx_int_t ngx_http_canary_verta_show_stages(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);
static ngx_int_t ngx_http_canary_verta_show_update(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);
static ngx_int_t ngx_http_canary_verta_show_rules(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_verta_show_version(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint, uint64_t id);
static ngx_int_t ngx_http_canary_verta_show_model(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_verta_render_times(cJSON *object,
    ngx_canary_endpoint_t *endpoint, int *failed);
static ngx_int_t ngx_http_canary_verta_show_list(ngx_http_request_t *r,
    const char *name);
static ngx_int_t ngx_http_canary_verta_show_nothing(ngx_http_request_t *r);
static void ngx_http_canary_verta_render_endpoint(cJSON *object,
    ngx_canary_endpoint_t *endpoint, ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_stage(cJSON *object,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_component(cJSON *list,
    const canary_verta_component_t *component,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_verta_render_update(cJSON *json,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    int *failed);
static uint64_t ngx_http_canary_verta_created(
    ngx_canary_endpoint_t *endpoint);


ngx_int_t
ngx_http_canary_verta_show(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target)
{
    switch (target->resource) {

    case CANARY_VERTA_ENDPOINTS:
        return ngx_http_canary_verta_show_endpoints(r);

    case CANARY_VERTA_ENDPOINT:
        return ngx_http_canary_verta_show_endpoint(r, target->endpoint);

    case CANARY_VERTA_STAGES:
        return ngx_http_canary_verta_show_stages(r, target->endpoint);

    case CANARY_VERTA_STAGE:
        return ngx_http_canary_verta_show_stage(r, target->endpoint);

    case CANARY_VERTA_UPDATE_STATUS:
        return ngx_http_canary_verta_show_update(r, target->endpoint);

    case CANARY_VERTA_RULES:
        return ngx_http_canary_verta_show_rules(r);

    case CANARY_VERTA_ACCESS_TOKENS:
        return ngx_http_canary_verta_show_list(r, "tokens");

    case CANARY_VERTA_BUILD:
        return ngx_http_canary_verta_show_build(r, target->endpoint,
                                                target->path.build);

    case CANARY_VERTA_MODEL_VERSION:
        return ngx_http_canary_verta_show_version(r, target->endpoint,
                                                  target->path.build);

    case CANARY_VERTA_MODEL:
        return ngx_http_canary_verta_show_model(r, target->endpoint);

    case CANARY_VERTA_KAFKA:
        return ngx_http_canary_verta_show_nothing(r);

    default: /* CANARY_VERTA_CONNECTION */
        return ngx_http_canary_answer_empty(r, NGX_HTTP_OK);
    }
}


static ngx_int_t
ngx_http_canary_verta_show_endpoints(ngx_http_request_t *r)
{
    ngx_http_canary_list_t  *list;

    list = ngx_http_canary_list_create(r, sizeof(ngx_http_canary_list_t),
                                       "endpoints",
                                       ngx_http_canary_verta_next_endpoint);
    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_feed_start(&list->feed);
}


static ngx_int_t
ngx_http_canary_verta_next_endpoint(ngx_http_canary_list_t *list,
    cJSON *object, int *failed)
{
    ngx_array_t             *all;
    ngx_canary_endpoint_t  **endpoints;

    all = &list->feed.main->endpoints;
    endpoints = all->elts;

    if (list->n == all->nelts) {
        return NGX_DECLINED;
    }

    ngx_http_canary_verta_render_endpoint(object, endpoints[list->n],
                                          list->feed.pool, failed);

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_verta_show_endpoint(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    int     failed;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    ngx_http_canary_verta_render_endpoint(json, endpoint, r->pool, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


static ngx_int_t
ngx_http_canary_verta_show_stages(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    int                           failed;
    cJSON                        *json, *list;
    ngx_http_canary_verta_view_t  view;

    ngx_http_canary_verta_look(endpoint, &view);

    failed = 0;

    json = cJSON_CreateObject();
    list = canary_json_add_array(json, "stages", &failed);

    ngx_http_canary_verta_render_stage(canary_json_add_object(list, NULL,
                                                              &failed),
                                       &view, endpoint, r->pool, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


ngx_int_t
ngx_http_canary_verta_show_stage(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    int                           failed;
    cJSON                        *json;
    ngx_http_canary_verta_view_t  view;

    ngx_http_canary_verta_look(endpoint, &view);

    failed = 0;

    json = cJSON_CreateObject();

    ngx_http_canary_verta_render_stage(json, &view, endpoint, r->pool,
                                       &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


/* the update that runs or was the last, as far as that is known */

static ngx_int_t
ngx_http_canary_verta_show_update(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    int                           failed;
    cJSON                        *json;
    ngx_http_canary_verta_view_t  view;

    ngx_http_canary_verta_look(endpoint, &view);

    failed = 0;

    json = cJSON_CreateObject();

    ngx_http_canary_verta_render_update(json, &view, endpoint, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


static ngx_int_t
ngx_http_canary_verta_show_rules(ngx_http_request_t *r)
{
    int     failed;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    canary_verta_json_write_rules(json, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


ngx_int_t
ngx_http_canary_verta_show_build(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint, uint64_t build)
{
    int     failed;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add_number(json, "id", build, 0, &failed);
    canary_json_add_number(json, "model_version_id", build, 0, &failed);
    canary_json_add_text(json, "status", "finished", &failed);
    canary_json_add_text(json, "message", "", &failed);
    ngx_http_canary_render_time(json, "date_created",
                                ngx_http_canary_verta_created(endpoint), 1,
                                &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


/* Who shows a version asks for its model, and does not bear that it is gone. */

static ngx_int_t
ngx_http_canary_verta_show_version(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint, uint64_t id)
{
    int                    failed;
    cJSON                 *json, *version;
    ngx_canary_release_t  *release;

    failed = 0;
    release = ngx_http_canary_verta_release(endpoint, id);

    json = cJSON_CreateObject();
    version = canary_json_add_object(json, "model_version", &failed);

    canary_json_add_number(version, "id", id, 0, &failed);
    canary_json_add_number(version, "registered_model_id", endpoint->number, 0,
                           &failed);
    ngx_http_canary_render_name(version, "version", &release->name, r->pool,
                                &failed);
    ngx_http_canary_verta_render_times(version, endpoint, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


/* an endpoint, of which the versions are the releases */

static ngx_int_t
ngx_http_canary_verta_show_model(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    int     failed;
    cJSON  *json, *model;

    failed = 0;

    json = cJSON_CreateObject();
    model = canary_json_add_object(json, "registered_model", &failed);

    canary_json_add_number(model, "id", endpoint->number, 0, &failed);
    ngx_http_canary_render_name(model, "name", &endpoint->name, r->pool,
                                &failed);
    ngx_http_canary_verta_render_times(model, endpoint, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


static void
ngx_http_canary_verta_render_times(cJSON *object,
    ngx_canary_endpoint_t *endpoint, int *failed)
{
    uint64_t  created;

    created = ngx_http_canary_verta_created(endpoint);

    canary_json_add_number(object, "time_created", created, 0, failed);
    canary_json_add_number(object, "time_updated", created, 0, failed);
}


/* what there is none of */

static ngx_int_t
ngx_http_canary_verta_show_list(ngx_http_request_t *r, const char *name)
{
    int     failed;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add_array(json, name, &failed);

    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, json, failed);
}


static ngx_int_t
ngx_http_canary_verta_show_nothing(ngx_http_request_t *r)
{
    return ngx_http_canary_answer_json(r, NGX_HTTP_OK, cJSON_CreateObject(),
                                       0);
}


static void
ngx_http_canary_verta_render_endpoint(cJSON *object,
    ngx_canary_endpoint_t *endpoint, ngx_pool_t *pool, int *failed)
{
    cJSON     *request;
    uint64_t   created;
    ngx_str_t  path;

    path.len = endpoint->name.len + 1;

    path.data = ngx_pnalloc(pool, path.len);
    if (path.data == NULL) {
        *failed = 1;
        return;
    }

    path.data[0] = '/';
    ngx_memcpy(path.data + 1, endpoint->name.data, endpoint->name.len);

    created = ngx_http_canary_verta_created(endpoint);

    canary_json_add_number(object, "id", endpoint->number, 0, failed);

    request = canary_json_add_object(object, "creator_request", failed);
    ngx_http_canary_render_name(request, "path", &path, pool, failed);

    ngx_http_canary_render_time(object, "date_created", created, 1, failed);
    ngx_http_canary_render_time(object, "date_updated", created, 1, failed);
}


static void
ngx_http_canary_verta_render_stage(cJSON *object,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    ngx_pool_t *pool, int *failed)
{
    cJSON                *list;
    unsigned              i;
    canary_verta_stage_t  stage;

    canary_verta_stage(&view->record.rollout, view->settled, &stage);

    canary_json_add_number(object, "id", endpoint->number, 0, failed);
    canary_json_add_text(object, "status",
                         canary_verta_status_name(stage.status), failed);

    list = canary_json_add_array(object, "components", failed);

    for (i = 0; i < stage.n; i++) {
        ngx_http_canary_verta_render_component(list, &stage.components[i],
                                               view, endpoint, pool, failed);
    }

    ngx_http_canary_render_time(object, "date_created",
                                view->record.created, 1, failed);
    ngx_http_canary_render_time(object, "date_updated", view->updated, 1,
                                failed);
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

    release = ngx_canary_release(endpoint,
                                 component->release);

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


static void
ngx_http_canary_verta_render_update(cJSON *json,
    ngx_http_canary_verta_view_t *view, ngx_canary_endpoint_t *endpoint,
    int *failed)
{
    cJSON                 *update;
    uint32_t               id;
    canary_rollout_t      *rollout;
    ngx_canary_release_t  *release;

    rollout = &view->record.rollout;

    id = (rollout->phase == CANARY_IDLE) ? rollout->last_release
                                         : rollout->canary;

    release = (id == CANARY_NO_RELEASE)
              ? NULL : ngx_canary_release(endpoint, id);

    if (release == NULL) {
        canary_json_add_null(json, "update_request", failed);
        return;
    }

    update = canary_json_add_object(json, "update_request", failed);

    canary_json_add_number(update, "build_id", release->number, 0, failed);

    if (view->direct) {
        canary_json_add_text(update, "strategy", "rollout", failed);

    } else {
        canary_strategy_json_write(update, &rollout->strategy, failed);
    }
}


static uint64_t
ngx_http_canary_verta_created(ngx_canary_endpoint_t *endpoint)
{
    uint64_t                 created;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = endpoint->main;

    ngx_canary_lock(cmcf->zone);

    created = ngx_canary_record(endpoint->shared)->created;

    ngx_canary_unlock(cmcf->zone);

    return created;
}
