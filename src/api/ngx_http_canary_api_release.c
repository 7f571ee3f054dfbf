
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_release.h"

#include "canary_rollout.h"
#include "canary_totals.h"
#include "canary_json.h"

#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_text.h"


/* A release: its part, and what it has been counted to do. */


#define NGX_HTTP_CANARY_MS_DECIMALS  3     /* of what is kept in us */


static void ngx_http_canary_render_totals(cJSON *object,
    canary_totals_t *totals, int *failed);
static void ngx_http_canary_render_latency(cJSON *object,
    ngx_canary_release_view_t *release, int *failed);


void
ngx_http_canary_render_release(cJSON *list,
    ngx_canary_release_view_t *release, const canary_rollout_t *rollout,
    ngx_pool_t *pool, int *failed)
{
    cJSON  *object;

    object = canary_json_add_object(list, NULL, failed);

    ngx_http_canary_render_name(object, "name", &release->name, pool, failed);
    ngx_http_canary_render_name(object, "upstream", &release->upstream, pool,
                                failed);

    if (release->id == rollout->stable) {
        canary_json_add_text(object, "role", "stable", failed);

    } else if (release->id == rollout->canary) {
        canary_json_add_text(object, "role", "canary", failed);

    } else {
        canary_json_add_null(object, "role", failed);
    }

    ngx_http_canary_render_totals(object, &release->totals, failed);
    ngx_http_canary_render_latency(object, release, failed);
}


static void
ngx_http_canary_render_totals(cJSON *object, canary_totals_t *totals,
    int *failed)
{
    cJSON      *responses;
    uint64_t    attempts, failed_before;
    ngx_uint_t  i;

    static const char *const  names[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

    /* a response that was cut short, or cancelled, has its class counted */

    failed_before = totals->failed + totals->timeouts;
    attempts = failed_before + totals->aborted;

    for (i = 0; i < 5; i++) {
        attempts += totals->responses[i];
    }

    canary_json_add_number(object, "attempts", attempts, 0, failed);

    responses = canary_json_add_object(object, "responses", failed);

    for (i = 0; i < 5; i++) {
        canary_json_add_number(responses, names[i], totals->responses[i], 0,
                               failed);
    }

    canary_json_add_number(object, "failed", failed_before + totals->cut
                                             + totals->cut_timeouts,
                           0, failed);
    canary_json_add_number(object, "timeouts",
                           totals->timeouts + totals->cut_timeouts, 0,
                           failed);
    canary_json_add_number(object, "aborted",
                           totals->aborted + totals->cancelled, 0, failed);
    canary_json_add_number(object, "abandoned", totals->abandoned, 0, failed);
    canary_json_add_number(object, "no_live", totals->no_live, 0, failed);
    canary_json_add_number(object, "fallbacks", totals->fallbacks, 0, failed);
}


/*
 * Quantiles are of what is evidence, the mean is of all that has a time; what
 * was measured before the traffic ceased is told as history only.
 */

static void
ngx_http_canary_render_latency(cJSON *object,
    ngx_canary_release_view_t *release, int *failed)
{
    cJSON            *latency;
    ngx_uint_t        i;
    canary_totals_t  *step;

    static const char *const  names[NGX_CANARY_QUANTILES] = {
        "p50", "p90", "p95", "p99"
    };

    step = &release->step;

    if (!release->fresh) {
        canary_json_add_null(object, "latency_ms", failed);
        return;
    }

    latency = canary_json_add_object(object, "latency_ms", failed);

    if (step->timed) {
        canary_json_add_number(latency, "avg",
                               (step->time + step->other_time
                                + step->timed / 2) / step->timed,
                               NGX_HTTP_CANARY_MS_DECIMALS, failed);
    } else {
        canary_json_add_null(latency, "avg", failed);
    }

    for (i = 0; i < NGX_CANARY_QUANTILES; i++) {

        if (release->measured) {
            canary_json_add_number(latency, names[i], release->quantiles[i],
                                   NGX_HTTP_CANARY_MS_DECIMALS, failed);
        } else {
            canary_json_add_null(latency, names[i], failed);
        }
    }
}
