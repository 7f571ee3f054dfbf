
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"


static void ngx_http_canary_render_failure(cJSON *object,
    const ngx_http_canary_failure_t *failure, uint32_t rollout,
    ngx_pool_t *pool, int *failed);
static void ngx_http_canary_render_how(cJSON *object,
    const ngx_http_canary_failure_t *failure, int *failed);
static void ngx_http_canary_render_known(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed);


ngx_int_t
ngx_http_canary_api_failures(ngx_http_request_t *r,
    ngx_http_canary_endpoint_t *endpoint)
{
    int                         failed;
    cJSON                      *json, *list;
    uint32_t                    rollout;
    ngx_uint_t                  i, n;
    ngx_http_canary_failure_t  *failures;

    failures = ngx_palloc(r->pool, NGX_HTTP_CANARY_FAILURES
                                   * sizeof(ngx_http_canary_failure_t));
    if (failures == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_http_canary_last_failures(endpoint, failures, &rollout);

    failed = 0;

    json = cJSON_CreateObject();
    list = canary_json_add_array(json, "failures", &failed);

    for (i = 0; i < n; i++) {
        ngx_http_canary_render_failure(canary_json_add_object(list, NULL,
                                                              &failed),
                                       &failures[i], rollout, r->pool,
                                       &failed);
    }

    return ngx_http_canary_answer(r, NGX_HTTP_OK, json, failed);
}


static void
ngx_http_canary_render_failure(cJSON *object,
    const ngx_http_canary_failure_t *failure, uint32_t rollout,
    ngx_pool_t *pool, int *failed)
{
    ngx_http_canary_render_time(object, "time", failure->time, 1, failed);

    canary_json_add_number(object, "rollout", rollout, 0, failed);
    canary_json_add_number(object, "step", failure->step, 0, failed);
    canary_json_add_number(object, "weight", failure->weight,
                           NGX_HTTP_CANARY_WEIGHT_DECIMALS, failed);

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
    const ngx_http_canary_failure_t *failure, int *failed)
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
