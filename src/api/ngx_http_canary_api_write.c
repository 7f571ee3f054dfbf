
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_write.h"

#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_zone.h"
#include "ngx_canary_change.h"
#include "ngx_canary_snapshot.h"
#include "ngx_canary_routing.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_match.h"
#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_api_request.h"
#include "ngx_http_canary_api_wait.h"
#include "ngx_http_canary_problem.h"


static ngx_int_t ngx_http_canary_write(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_attempt(ngx_http_canary_write_t *w);
static void ngx_http_canary_write_cleanup(void *data);
static ngx_int_t ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc);
static ngx_int_t ngx_http_canary_write_vain(ngx_http_canary_write_t *w,
    ngx_http_canary_vain_e why);
static ngx_int_t ngx_http_canary_write_superseded(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_not_written(
    ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_cancelled(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_mismatch(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_conflict(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_done(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);


static const ngx_http_canary_waiter_t  ngx_http_canary_api_waiter = {
    ngx_http_canary_write_attempt,
    ngx_http_canary_write_answer,
    ngx_http_canary_write_vain
};


/* POST or PATCH, when the body has been read */

ngx_int_t
ngx_http_canary_api_write(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    ngx_http_canary_write_t  *w;

    rc = ngx_http_canary_api_body(r, &text);

    if (rc == NGX_DECLINED) {
        return ngx_http_canary_problem_too_large(r);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w = ngx_http_canary_write_create(r, sizeof(ngx_http_canary_write_t),
                                     &ngx_http_canary_api_waiter);
    if (w == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->endpoint = target->endpoint;
    w->verb = (r->method == NGX_HTTP_PATCH) ? CANARY_PATCH
                                            : target->resource->verb;

    if (text.len == 0) {
        return ngx_http_canary_write(w);
    }

    w->body = canary_json_parse((char *) text.data, text.len, &w->errors);
    if (w->body == NULL) {
        return ngx_http_canary_problem_body(r, &w->errors);
    }

    return ngx_http_canary_write(w);
}


ngx_http_canary_write_t *
ngx_http_canary_write_create(ngx_http_request_t *r, size_t size,
    const ngx_http_canary_waiter_t *waiter)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_canary_write_t  *w;

    cln = ngx_pool_cleanup_add(r->pool, size);
    if (cln == NULL) {
        return NULL;
    }

    w = cln->data;

    ngx_memzero(w, size);

    cln->handler = ngx_http_canary_write_cleanup;

    w->request = r;
    w->waiter = waiter;
    w->deadline = ngx_canary_milliseconds() + NGX_CANARY_PATIENCE;

    return w;
}


/* the body lives as long as the request, which may end early */

static void
ngx_http_canary_write_cleanup(void *data)
{
    ngx_http_canary_write_t  *w = data;

    ngx_http_canary_write_leave(w);

    cJSON_Delete(w->body);
}


static ngx_int_t
ngx_http_canary_write(ngx_http_canary_write_t *w)
{
    if (w->body && ngx_http_canary_read_write(w, w->body) != NGX_OK) {
        return ngx_http_canary_problem_body(w->request, &w->errors);
    }

    ngx_http_canary_find_actor(w->request, &w->change.actor);

    if (w->request->headers_in.if_match) {
        w->match.if_match = &w->request->headers_in.if_match->value;
    }

    w->change.match = ngx_http_canary_match;
    w->change.data = &w->match;
    w->change.queues = canary_verb_exposes(w->verb);

    return ngx_http_canary_write_begin(w);
}


/*
 * What was prepared is stale if the endpoint has changed since, which it does
 * no more than twice for each write of the file, as what exposes something
 * has to be in there first.  So this ends.
 */

static ngx_int_t
ngx_http_canary_write_attempt(ngx_http_canary_write_t *w)
{
    ngx_canary_section_e  rc;

    do {
        ngx_http_canary_prepare_write(w);

        if (w->errors.total) {
            return ngx_http_canary_problem_body(w->request, &w->errors);
        }

        rc = ngx_http_canary_write_change(w);

    } while (rc == NGX_CANARY_STALE_MATCH && !w->match.refused);

    return ngx_http_canary_write_result(w, rc);
}


static ngx_int_t
ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc)
{
    u_char               text[NGX_CANARY_PROBLEM];
    ngx_http_request_t  *r;

    r = w->request;

    switch (rc) {

    case NGX_CANARY_DONE:
        return ngx_http_canary_write_done(w);

    case NGX_CANARY_PENDING:
        w->wait = NGX_HTTP_CANARY_WAIT_FATE;
        return NGX_DECLINED;

    case NGX_CANARY_BUSY:
        w->wait = NGX_HTTP_CANARY_WAIT_TURN;
        return NGX_DECLINED;

    case NGX_CANARY_CROWDED:
        return ngx_http_canary_write_vain(w, NGX_HTTP_CANARY_VAIN_CROWDED);

    case NGX_CANARY_STOPPED:
        return ngx_http_canary_write_vain(w, NGX_HTTP_CANARY_VAIN_CANCELLED);

    case NGX_CANARY_NO_FILE:
        ngx_canary_copy_problem(w->endpoint->main, text);

        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "%s", text);

    case NGX_CANARY_STALE_MATCH:
        return ngx_http_canary_write_mismatch(w);

    case NGX_CANARY_NO_MEMORY:
        ngx_canary_zone_full(w->endpoint->main, text, sizeof(text));

        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "%s", text);

    default: /* NGX_CANARY_SUPERSEDED */
        return ngx_http_canary_write_vain(w, NGX_HTTP_CANARY_VAIN_SUPERSEDED);
    }
}


static ngx_int_t
ngx_http_canary_write_vain(ngx_http_canary_write_t *w,
    ngx_http_canary_vain_e why)
{
    switch (why) {

    case NGX_HTTP_CANARY_VAIN_CANCELLED:
        return ngx_http_canary_write_cancelled(w);

    case NGX_HTTP_CANARY_VAIN_FORGOTTEN:
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "so many writes have ended since that "
                                       "it is not known any more whether "
                                       "this one was done; the events of "
                                       "\"%V\" tell", &w->endpoint->name);

    case NGX_HTTP_CANARY_VAIN_CROWDED:
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nothing was changed: %d writes of "
                                       "endpoint \"%V\" wait already, which "
                                       "is as many as may; try again",
                                       NGX_CANARY_WRITES,
                                       &w->endpoint->name);

    case NGX_HTTP_CANARY_VAIN_SUPERSEDED:
        return ngx_http_canary_write_superseded(w);

    default: /* NGX_HTTP_CANARY_VAIN_NOT_WRITTEN */
        return ngx_http_canary_write_not_written(w);
    }
}


static ngx_int_t
ngx_http_canary_write_superseded(ngx_http_canary_write_t *w)
{
    /* another connection will find another worker */

    w->request->keepalive = 0;

    return ngx_http_canary_problem(w->request, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "nginx has been reloaded, and this "
                                   "process serves its last requests; "
                                   "try again");
}


static ngx_int_t
ngx_http_canary_write_not_written(ngx_http_canary_write_t *w)
{
    u_char  problem[NGX_CANARY_PROBLEM];

    ngx_canary_copy_problem(w->endpoint->main, problem);

    if (problem[0]) {
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nothing was changed: %s", problem);
    }

    if (ngx_canary_milliseconds() < w->deadline) {
        return ngx_http_canary_problem(w->request,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nothing was changed: the state file "
                                       "was not written; try again");
    }

    return ngx_http_canary_problem(w->request, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "nothing was changed: the state file was "
                                   "not written within %d seconds",
                                   NGX_CANARY_PATIENCE / 1000);
}


static ngx_int_t
ngx_http_canary_write_cancelled(ngx_http_canary_write_t *w)
{
    canary_rollout_t  *rollout;

    rollout = &w->rollout;

    ngx_canary_copy_rollout(w->endpoint, rollout);

    if (ngx_http_canary_add_etag(w->request, rollout->generation) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_problem_verbs(w->request,
                                         canary_rollout_verbs(rollout),
                                         "%s was cancelled before it took "
                                         "effect: \"%V\" is %s now",
                                         canary_verb_name(w->verb),
                                         &w->endpoint->name,
                                         canary_phase_name(rollout->phase));
}


static ngx_int_t
ngx_http_canary_write_mismatch(ngx_http_canary_write_t *w)
{
    ngx_http_request_t  *r;

    r = w->request;

    if (ngx_http_canary_add_etag(r, w->match.present) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_canary_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                   "If-Match names %V, but the endpoint is "
                                   "at generation \"%uL\"",
                                   w->match.if_match, w->match.present);
}


static ngx_int_t
ngx_http_canary_write_done(ngx_http_canary_write_t *w)
{
    canary_json_at_t  at_parts = { NULL, "canary_strategy", 0 };
    canary_json_at_t  at_rules = { &at_parts, "rules", 0 };
    canary_json_at_t  at_weight = { NULL, "weight", 0 };

    switch (w->change.status) {

    case CANARY_NOT_NOW:
    case CANARY_IS_STABLE:
        return ngx_http_canary_write_conflict(w);

    case CANARY_NO_RULE:
        canary_json_error(&w->errors, &at_rules, "a rollout needs at least "
                          "one rule; nginx.conf has none for this endpoint");
        return ngx_http_canary_problem_body(w->request, &w->errors);

    case CANARY_NO_BASELINE:
        canary_json_error(&w->errors, &at_rules, "all compare the canary "
                          "with stable, but at its first step it has all of "
                          "the traffic: a rule without a baseline is needed");
        return ngx_http_canary_problem_body(w->request, &w->errors);

    case CANARY_BAD_WEIGHT:
        canary_json_error(&w->errors, &at_weight,
                          "has to be above 0 and below 1");
        return ngx_http_canary_problem_body(w->request, &w->errors);

    case CANARY_CHANGED:
        w->wait = NGX_HTTP_CANARY_WAIT_DURABLE;
        return NGX_DECLINED;

    default: /* CANARY_UNCHANGED */
        return ngx_http_canary_write_answer(w, 1);
    }
}


static ngx_int_t
ngx_http_canary_write_answer(ngx_http_canary_write_t *w, ngx_uint_t durable)
{
    ngx_int_t               rc;
    ngx_uint_t              status;
    ngx_canary_snapshot_t  *snapshot;

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    status = (w->verb == CANARY_START) ? NGX_HTTP_CREATED : NGX_HTTP_OK;

    snapshot = ngx_palloc(w->request->pool,
                          sizeof(ngx_canary_snapshot_t));
    if (snapshot) {
        ngx_canary_snapshot(w->endpoint, snapshot);

        if (!durable) {
            snapshot->durable = 0;
        }

        rc = ngx_http_canary_api_send_endpoint(w->request, status, snapshot);
    }

    /* it is done: 500 would say that it is not */

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR && !w->request->header_sent) {
        return ngx_http_canary_answer_empty(w->request, status);
    }

    return rc;
}


static ngx_int_t
ngx_http_canary_write_conflict(ngx_http_canary_write_t *w)
{
    canary_route_t         route;
    ngx_canary_release_t  *release;

    if (ngx_http_canary_add_etag(w->request, w->match.present) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (w->change.status == CANARY_IS_STABLE) {
        release = ngx_canary_release(w->endpoint,
                                     w->change.command.release);

        return ngx_http_canary_problem_verbs(w->request, w->change.verbs,
                                             "release \"%V\" is stable "
                                             "already", &release->name);
    }

    route = ngx_canary_route(w->endpoint);

    return ngx_http_canary_problem_verbs(w->request, w->change.verbs,
                                         "%s does not apply while \"%V\" is "
                                         "%s", canary_verb_name(w->verb),
                                         &w->endpoint->name,
                                         canary_phase_name(route.phase));
}
