
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_render.h"

#include "canary_event.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_split.h"
#include "canary_strategy.h"
#include "canary_event_json.h"
#include "canary_json.h"
#include "canary_strategy_json.h"
#include "canary_version.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_fleet.h"
#include "ngx_http_canary_api_release.h"
#include "ngx_http_canary_api_waiting.h"
#include "ngx_http_canary_text.h"


#define NGX_HTTP_CANARY_RATIO_DECIMALS    9
#define NGX_HTTP_CANARY_SECONDS_DECIMALS  3     /* of what is kept in ms */


static ngx_int_t ngx_http_canary_api_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_canary_endpoint_t *endpoint, ngx_uint_t durable,
    ngx_uint_t nodes);
static void ngx_http_canary_render_nginx(cJSON *object, ngx_pool_t *pool,
    int *failed);
static void ngx_http_canary_render_progress(cJSON *object,
    ngx_canary_snapshot_t *snapshot, const canary_strategy_t *strategy,
    int *failed);
static void ngx_http_canary_render_role(cJSON *object, const char *name,
    ngx_canary_snapshot_t *snapshot, uint32_t id, ngx_pool_t *pool,
    int *failed);
static void ngx_http_canary_render_served(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static void ngx_http_canary_render_steps(cJSON *object,
    const canary_strategy_t *strategy, int *failed);
static void ngx_http_canary_render_next_step(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);
static void ngx_http_canary_render_last(cJSON *object,
    ngx_canary_record_t *record, ngx_pool_t *pool, int *failed);


ngx_int_t
ngx_http_canary_api_endpoint(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_str_t   value;
    ngx_uint_t  nodes;

    nodes = ngx_http_arg(r, (u_char *) "nodes", 5, &value) == NGX_OK
            && value.len == 1 && value.data[0] == '1';

    return ngx_http_canary_api_send(r, NGX_HTTP_OK, target->endpoint, 1,
                                    nodes);
}


ngx_int_t
ngx_http_canary_api_send_endpoint(ngx_http_request_t *r, ngx_uint_t status,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t durable)
{
    return ngx_http_canary_api_send(r, status, endpoint, durable, 0);
}


static ngx_int_t
ngx_http_canary_api_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t durable, ngx_uint_t nodes)
{
    int                     failed;
    cJSON                  *json;
    ngx_canary_snapshot_t  *snapshot;

    snapshot = ngx_palloc(r->pool, sizeof(ngx_canary_snapshot_t));
    if (snapshot == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_canary_snapshot(endpoint, snapshot);

    snapshot->durable = (snapshot->durable && durable);

    failed = 0;

    json = cJSON_CreateObject();

    ngx_http_canary_render_endpoint(json, snapshot, r->pool, &failed);

    if (nodes) {
        ngx_http_canary_render_nodes(json, endpoint, r->pool, &failed);
    }

    if (ngx_http_canary_add_etag(r, snapshot->record.rollout.generation,
                                 snapshot->record.rollout.uid)
        != NGX_OK)
    {
        failed = 1;
    }

    return ngx_http_canary_answer(r, status, &ngx_http_canary_json, json,
                                  failed);
}


void
ngx_http_canary_render_endpoint(cJSON *object,
    ngx_canary_snapshot_t *snapshot, ngx_pool_t *pool, int *failed)
{
    cJSON                    *list, *controller;
    ngx_uint_t                i, idle;
    canary_rollout_t         *rollout;
    ngx_canary_endpoint_t    *endpoint;
    const canary_strategy_t  *strategy;

    endpoint = snapshot->endpoint;
    rollout = &snapshot->record.rollout;
    idle = (rollout->phase == CANARY_IDLE);

    /* what a rollout would begin with, or what it was begun with */

    strategy = idle ? &endpoint->strategy : &rollout->strategy;

    ngx_http_canary_render_name(object, "name", &endpoint->name, pool,
                                failed);
    canary_json_add_number(object, "generation", rollout->generation, 0,
                           failed);
    canary_json_add_text(object, "phase", canary_phase_name(rollout->phase),
                         failed);

    if (!snapshot->durable) {
        canary_json_add(object, "durable", cJSON_CreateFalse(), failed);
    }

    ngx_http_canary_render_role(object, "stable", snapshot, rollout->stable,
                                pool, failed);
    ngx_http_canary_render_role(object, "canary", snapshot, rollout->canary,
                                pool, failed);

    ngx_http_canary_render_progress(object, snapshot, strategy, failed);
    ngx_http_canary_render_configuration(object, endpoint->main, failed);

    canary_strategy_json_write(canary_json_add_object(object, "strategy",
                                                      failed),
                               strategy, failed);

    list = canary_json_add_array(object, "releases", failed);

    for (i = 0; i < snapshot->nreleases; i++) {
        ngx_http_canary_render_release(list, &snapshot->releases[i], rollout,
                                       pool, failed);
    }

    list = canary_json_add_array(object, "rules", failed);

    if (!idle) {
        canary_event_json_write_figures(list, snapshot->judgement.figures,
                                        snapshot->judgement.nfigures,
                                        &strategy->matches, failed);
    }

    ngx_http_canary_render_fleet(object, endpoint->main, failed);
    ngx_http_canary_render_nginx(object, pool, failed);

    controller = canary_json_add_object(object, "controller", failed);
    canary_json_add_number(controller, "heartbeat_age_ms",
                           snapshot->heartbeat, 0, failed);

    ngx_http_canary_render_last(object, &snapshot->record, pool, failed);
}


void
ngx_http_canary_render_configuration(cJSON *object,
    ngx_canary_main_conf_t *cmcf, int *failed)
{
    cJSON                *configuration;
    ngx_canary_health_t   health;

    if (cmcf->zone == NULL) {
        canary_json_add_null(object, "configuration", failed);
        return;
    }

    ngx_canary_health(cmcf, &health);

    configuration = canary_json_add_object(object, "configuration", failed);

    canary_json_add_number(configuration, "serial", health.configuration, 0,
                           failed);
    ngx_http_canary_render_time(configuration, "loaded", health.loaded, 0,
                                failed);
}


/* who answers, of several that look the same */

static void
ngx_http_canary_render_nginx(cJSON *object, ngx_pool_t *pool, int *failed)
{
    cJSON  *nginx;

    nginx = canary_json_add_object(object, "nginx", failed);

    ngx_http_canary_render_name(nginx, "host",
                                (ngx_str_t *) &ngx_cycle->hostname, pool,
                                failed);
    canary_json_add_text(nginx, "version", NGINX_VERSION, failed);
    canary_json_add_text(nginx, "module", CANARY_VERSION, failed);
}


static void
ngx_http_canary_render_progress(cJSON *object,
    ngx_canary_snapshot_t *snapshot, const canary_strategy_t *strategy,
    int *failed)
{
    canary_rollout_t  *rollout;

    rollout = &snapshot->record.rollout;

    canary_json_add_number(object, "weight", rollout->weight,
                           CANARY_WEIGHT_DECIMALS, failed);
    ngx_http_canary_render_served(object, snapshot, failed);
    canary_json_add_number(object, "step", rollout->step, 0, failed);
    ngx_http_canary_render_steps(object, strategy, failed);
    ngx_http_canary_render_next_step(object, snapshot, failed);
    ngx_http_canary_render_waiting(object, snapshot, failed);
}


/* the name of a release, or null */

static void
ngx_http_canary_render_role(cJSON *object, const char *name,
    ngx_canary_snapshot_t *snapshot, uint32_t id, ngx_pool_t *pool,
    int *failed)
{
    ngx_uint_t  i;

    for (i = 0; i < snapshot->nreleases; i++) {
        if (id != CANARY_NO_RELEASE && snapshot->releases[i].id == id) {
            ngx_http_canary_render_name(object, name,
                                        &snapshot->releases[i].name, pool,
                                        failed);
            return;
        }
    }

    canary_json_add_null(object, name, failed);
}


static void
ngx_http_canary_render_served(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    double                   share;
    uint64_t                 all;
    ngx_canary_judgement_t  *judgement;

    judgement = &snapshot->judgement;
    all = judgement->served + judgement->stable_served;

    if (snapshot->record.rollout.phase == CANARY_IDLE || all == 0) {
        canary_json_add_null(object, "served_weight", failed);
        return;
    }

    share = (double) judgement->served / (double) all;

    canary_json_add_number(object, "served_weight",
                           (uint64_t) (share * CANARY_RATIO_ONE + 0.5),
                           NGX_HTTP_CANARY_RATIO_DECIMALS, failed);
}


static void
ngx_http_canary_render_steps(cJSON *object, const canary_strategy_t *strategy,
    int *failed)
{
    cJSON    *list;
    uint32_t  step, steps;

    list = canary_json_add_array(object, "steps", failed);

    steps = canary_strategy_steps(strategy);

    for (step = 1; step <= steps; step++) {
        canary_json_add_number(list, NULL,
                               canary_strategy_weight(strategy, step),
                               CANARY_WEIGHT_DECIMALS, failed);
    }
}


static void
ngx_http_canary_render_next_step(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed)
{
    int64_t  remaining;

    remaining = canary_rollout_remaining(&snapshot->record.rollout,
                                         snapshot->now);
    if (remaining < 0) {
        canary_json_add_null(object, "next_step_in_seconds", failed);
        return;
    }

    canary_json_add_number(object, "next_step_in_seconds",
                           (uint64_t) remaining,
                           NGX_HTTP_CANARY_SECONDS_DECIMALS, failed);
}


static void
ngx_http_canary_render_last(cJSON *object, ngx_canary_record_t *record,
    ngx_pool_t *pool, int *failed)
{
    cJSON             *last;
    canary_rollout_t  *rollout;

    rollout = &record->rollout;

    if (rollout->last_number == 0) {
        canary_json_add_null(object, "last_rollout", failed);
        return;
    }

    last = canary_json_add_object(object, "last_rollout", failed);

    canary_json_add_number(last, "id", rollout->last_number, 0, failed);
    ngx_http_canary_render_line(last, "release", record->last_release, pool,
                                failed);
    canary_json_add_text(last, "result",
                         canary_result_name(rollout->last_result), failed);
    ngx_http_canary_render_line(last, "reason", record->last_reason, pool,
                                failed);
    ngx_http_canary_render_time(last, "ended", record->ended, 0, failed);

    /* a state file of a version before does not tell */

    if (record->last_verb) {
        canary_json_add_text(last, "by",
                             (record->last_verb < CANARY_VERBS)
                             ? "person" : "controller", failed);
    } else {
        canary_json_add_null(last, "by", failed);
    }
}
