
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_lists.h"

#include "canary_course.h"
#include "canary_event.h"
#include "canary_split.h"
#include "canary_event_json.h"
#include "canary_json.h"

#include "ngx_canary_course.h"
#include "ngx_canary_endpoint.h"
#include "ngx_canary_failures.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_list.h"
#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_text.h"


_Static_assert(CANARY_COURSE_PERIOD == 5000, "points say what they are of");


/* What is made in turns: all endpoints; of one what happened to it. */


static ngx_int_t ngx_http_canary_next_endpoint(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);
static ngx_int_t ngx_http_canary_after(ngx_http_request_t *r, uint64_t *after);
static ngx_int_t ngx_http_canary_next_event(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);
static ngx_int_t ngx_http_canary_next_failure(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);
static ngx_int_t ngx_http_canary_next_point(ngx_http_canary_list_t *list,
    cJSON *object, int *failed);
static void ngx_http_canary_render_side(cJSON *object,
    const canary_course_side_t *side, int *failed);
static void ngx_http_canary_render_time_ms(cJSON *object, const char *name,
    uint32_t us, int *failed);
static void ngx_http_canary_render_failure(cJSON *object,
    const ngx_canary_failure_t *failure, uint32_t rollout,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_render_how(cJSON *object,
    const ngx_canary_failure_t *failure, int *failed);
static void ngx_http_canary_render_known(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed);


ngx_int_t
ngx_http_canary_api_endpoints(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_list_start(r, "{\"endpoints\":",
                                      ngx_http_canary_next_endpoint, NULL, 0);
}


static ngx_int_t
ngx_http_canary_next_endpoint(ngx_http_canary_list_t *list, cJSON *object,
    int *failed)
{
    ngx_array_t             *all;
    ngx_canary_snapshot_t    snapshot;
    ngx_canary_endpoint_t  **endpoints;

    all = &list->feed.main->endpoints;
    endpoints = all->elts;

    if (list->n == all->nelts) {
        return NGX_DECLINED;
    }

    ngx_canary_snapshot(endpoints[list->n], &snapshot);
    ngx_http_canary_render_endpoint(object, &snapshot, list->feed.pool,
                                    failed);

    return NGX_OK;
}


ngx_int_t
ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    uint64_t  after;

    if (ngx_http_canary_after(r, &after) != NGX_OK) {
        return ngx_http_canary_refuse(r, NGX_HTTP_BAD_REQUEST,
                                      "the argument \"after\" has to be the "
                                      "number of an event, a whole number");
    }

    return ngx_http_canary_list_start(r, "{\"events\":",
                                      ngx_http_canary_next_event,
                                      target->endpoint, after);
}


static ngx_int_t
ngx_http_canary_after(ngx_http_request_t *r, uint64_t *after)
{
    off_t      n;
    ngx_str_t  value;

    *after = 0;

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoof(value.data, value.len);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *after = (uint64_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_next_event(ngx_http_canary_list_t *list, cJSON *object,
    int *failed)
{
    ngx_str_t       *name;
    canary_event_t   event;

    if (ngx_canary_event_before(list->endpoint, list->after, &list->number,
                                &event)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    name = &list->endpoint->name;

    canary_event_json_write(object, (char *) name->data, name->len, &event,
                            failed);

    return NGX_OK;
}


ngx_int_t
ngx_http_canary_api_history(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_list_start(r, "{\"seconds\":5,\"points\":",
                                      ngx_http_canary_next_point,
                                      target->endpoint, 0);
}


static ngx_int_t
ngx_http_canary_next_point(ngx_http_canary_list_t *list, cJSON *object,
    int *failed)
{
    canary_course_point_t  point;

    if (list->n == 0) {
        list->number = 0;
    }

    if (ngx_canary_next_point(list->endpoint, &list->number, &point)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_canary_render_time(object, "time", point.time, 1, failed);
    canary_json_add_number(object, "weight", point.weight,
                           CANARY_WEIGHT_DECIMALS, failed);

    ngx_http_canary_render_side(canary_json_add_object(object, "stable",
                                                       failed),
                                &point.sides[CANARY_SIDE_STABLE], failed);
    ngx_http_canary_render_side(canary_json_add_object(object, "canary",
                                                       failed),
                                &point.sides[CANARY_SIDE_CANARY], failed);

    return NGX_OK;
}


static void
ngx_http_canary_render_side(cJSON *object, const canary_course_side_t *side,
    int *failed)
{
    canary_json_add_number(object, "attempts", side->attempts, 0, failed);
    canary_json_add_number(object, "4xx", side->client_errors, 0, failed);
    canary_json_add_number(object, "5xx", side->errors, 0, failed);

    ngx_http_canary_render_time_ms(object, "p50_ms", side->p50, failed);
    ngx_http_canary_render_time_ms(object, "p99_ms", side->p99, failed);
}


static void
ngx_http_canary_render_time_ms(cJSON *object, const char *name, uint32_t us,
    int *failed)
{
    if (us) {
        canary_json_add_number(object, name, us, 3, failed);

    } else {
        canary_json_add_null(object, name, failed);
    }
}


ngx_int_t
ngx_http_canary_api_failures(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    return ngx_http_canary_list_start(r, "{\"failures\":",
                                      ngx_http_canary_next_failure,
                                      target->endpoint, 0);
}


static ngx_int_t
ngx_http_canary_next_failure(ngx_http_canary_list_t *list, cJSON *object,
    int *failed)
{
    ngx_canary_failure_t  failure;

    if (ngx_canary_failure_before(list->endpoint, &list->rollout,
                                  &list->number, &failure)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_canary_render_failure(object, &failure, list->rollout,
                                   list->feed.pool, failed);

    return NGX_OK;
}


static void
ngx_http_canary_render_failure(cJSON *object,
    const ngx_canary_failure_t *failure, uint32_t rollout,
    ngx_pool_t *pool, int *failed)
{
    ngx_http_canary_render_time(object, "time", failure->time, 1, failed);

    canary_json_add_number(object, "rollout", rollout, 0, failed);
    canary_json_add_number(object, "step", failure->step, 0, failed);
    canary_json_add_number(object, "weight", failure->weight,
                           CANARY_WEIGHT_DECIMALS, failed);

    ngx_http_canary_render_line(object, "method", failure->method, pool,
                                failed);
    ngx_http_canary_render_line(object, "uri", failure->uri, pool, failed);
    ngx_http_canary_render_known(object, "peer", failure->peer, pool, failed);

    if (failure->status) {
        canary_json_add_number(object, "status", failure->status, 0, failed);

    } else {
        canary_json_add_null(object, "status", failed);
    }

    ngx_http_canary_render_how(object, failure, failed);

    canary_json_add_number(object, "time_ms", failure->elapsed, 3, failed);

    ngx_http_canary_render_known(object, "request_id", failure->request_id,
                                 pool, failed);
}


/* what the status does not say */

static void
ngx_http_canary_render_how(cJSON *object,
    const ngx_canary_failure_t *failure, int *failed)
{
    u_char  text[32];

    static const char *const  names[] = {
        NULL,
        "no live upstreams",
        "connection refused or failed",
        "connection timeout",
        "TLS handshake failed",
        "connection closed or reset",
        "invalid header",
        "timeout",
        "cut short",
        "cut short by a timeout",
        "no grpc-status"
    };

    if (failure->grpc_status != -1) {
        (void) ngx_snprintf(text, sizeof(text), "grpc-status %D%Z",
                            failure->grpc_status);
        canary_json_add_text(object, "failure", (char *) text, failed);
        return;
    }

    if (names[failure->how]) {
        canary_json_add_text(object, "failure", names[failure->how], failed);
        return;
    }

    canary_json_add_null(object, "failure", failed);
}


static void
ngx_http_canary_render_known(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed)
{
    if (text[0]) {
        ngx_http_canary_render_line(object, name, text, pool, failed);

    } else {
        canary_json_add_null(object, name, failed);
    }
}
