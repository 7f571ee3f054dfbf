
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"
#include "ngx_http_canary_token.h"


/* somebody else's change came first so often: give up */

#define NGX_HTTP_CANARY_WRITE_TRIES  64


static ngx_int_t ngx_http_canary_write(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_try(ngx_http_canary_write_t *w);
static void ngx_http_canary_write_cleanup(void *data);
static ngx_int_t ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_http_canary_section_e rc);
static ngx_int_t ngx_http_canary_write_refused(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_conflict(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_done(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);


static const ngx_http_canary_waiter_t  ngx_http_canary_api_waiter = {
    ngx_http_canary_write_try,
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
        return ngx_http_canary_api_too_large(r);
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
    w->deadline = ngx_http_canary_milliseconds() + NGX_HTTP_CANARY_PATIENCE;

    return w;
}


/* the body and a timer live as long as the request, which may end early */

static void
ngx_http_canary_write_cleanup(void *data)
{
    ngx_http_canary_write_t *w = data;

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }

    cJSON_Delete(w->body);
}


static ngx_int_t
ngx_http_canary_write(ngx_http_canary_write_t *w)
{
    ngx_int_t  rc;

    if (w->body && ngx_http_canary_read_write(w, w->body) != NGX_OK) {
        return ngx_http_canary_problem_body(w->request, &w->errors);
    }

    ngx_http_canary_find_actor(w->request, &w->change.actor);

    if (w->request->headers_in.if_match) {
        w->match.if_match = &w->request->headers_in.if_match->value;
    }

    w->change.match = ngx_http_canary_match;
    w->change.data = &w->match;

    rc = ngx_http_canary_write_try(w);

    if (rc == NGX_DECLINED) {
        ngx_http_canary_write_wait(w);
    }

    return rc;
}


static ngx_int_t
ngx_http_canary_write_try(ngx_http_canary_write_t *w)
{
    ngx_uint_t                 tries;
    ngx_http_canary_section_e  rc;

    rc = NGX_HTTP_CANARY_STALE_MATCH;

    for (tries = 0; tries < NGX_HTTP_CANARY_WRITE_TRIES; tries++) {

        ngx_http_canary_prepare_write(w);

        if (w->errors.total) {
            return ngx_http_canary_problem_body(w->request, &w->errors);
        }

        rc = ngx_http_canary_change(w->endpoint, &w->change);

        if (rc != NGX_HTTP_CANARY_STALE_MATCH || w->match.refused) {
            break;
        }
    }

    return ngx_http_canary_write_result(w, rc);
}


static ngx_int_t
ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_http_canary_section_e rc)
{
    u_char               text[NGX_HTTP_CANARY_PROBLEM];
    ngx_http_request_t  *r;

    r = w->request;

    switch (rc) {

    case NGX_HTTP_CANARY_DONE:
        return ngx_http_canary_write_done(w);

    case NGX_HTTP_CANARY_PENDING:
        w->wait = NGX_HTTP_CANARY_WAIT_FATE;
        return NGX_DECLINED;

    case NGX_HTTP_CANARY_BUSY:
        w->wait = NGX_HTTP_CANARY_WAIT_TURN;
        return NGX_DECLINED;

    case NGX_HTTP_CANARY_NO_FILE:
        ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "%s", w->snapshot.problem);

    case NGX_HTTP_CANARY_STALE_MATCH:
        return ngx_http_canary_write_refused(w);

    case NGX_HTTP_CANARY_NO_MEMORY:
        ngx_http_canary_zone_full(w->endpoint->main, text, sizeof(text));

        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "%s", text);

    default: /* NGX_HTTP_CANARY_SUPERSEDED */
        return ngx_http_canary_write_superseded(w);
    }
}


ngx_int_t
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
ngx_http_canary_write_refused(ngx_http_canary_write_t *w)
{
    ngx_http_request_t  *r;

    r = w->request;

    if (!w->match.refused) {
        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "the endpoint changes all the time; "
                                       "try again");
    }

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
    ngx_int_t   rc;
    ngx_uint_t  status;

    ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

    if (!durable) {
        w->snapshot.durable = 0;
    }

    status = (w->verb == CANARY_START) ? NGX_HTTP_CREATED : NGX_HTTP_OK;

    rc = ngx_http_canary_api_send_endpoint(w->request, status, &w->snapshot);

    /* it is done: 500 would say that it is not */

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR && !w->request->header_sent) {
        return ngx_http_canary_answer_empty(w->request, status);
    }

    return rc;
}


static ngx_int_t
ngx_http_canary_write_conflict(ngx_http_canary_write_t *w)
{
    canary_route_t              route;
    ngx_http_canary_release_t  *release;

    if (ngx_http_canary_add_etag(w->request, w->match.present) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (w->change.status == CANARY_IS_STABLE) {
        release = ngx_http_canary_release(w->endpoint,
                                          w->change.command.release);

        return ngx_http_canary_problem_verbs(w->request, w->change.verbs,
                                             "release \"%V\" is stable "
                                             "already", &release->name);
    }

    route = ngx_http_canary_route(w->endpoint);

    return ngx_http_canary_problem_verbs(w->request, w->change.verbs,
                                         "%s does not apply while \"%V\" is "
                                         "%s", canary_verb_name(w->verb),
                                         &w->endpoint->name,
                                         canary_phase_name(route.phase));
}
