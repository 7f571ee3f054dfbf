
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_verta_write.h"

#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_strategy.h"
#include "canary_json.h"
#include "canary_verta.h"
#include "canary_verta_json.h"
#include "canary_verta_path.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_zone.h"
#include "ngx_canary_change.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_match.h"
#include "ngx_http_canary_api_wait.h"
#include "ngx_http_canary_api_write.h"
#include "ngx_http_canary_verta.h"
#include "ngx_http_canary_verta_error.h"
#include "ngx_http_canary_verta_find.h"
#include "ngx_http_canary_verta_show.h"
#include "ngx_http_canary_verta_view.h"


static ngx_int_t ngx_http_canary_verta_parse(ngx_http_canary_verta_write_t *v,
    cJSON **body);
static ngx_int_t ngx_http_canary_verta_unread(
    ngx_http_canary_verta_write_t *v, ngx_int_t rc);
static ngx_int_t ngx_http_canary_verta_build(
    ngx_http_canary_verta_write_t *v);
static ngx_int_t ngx_http_canary_verta_update(
    ngx_http_canary_verta_write_t *v);
static ngx_int_t ngx_http_canary_verta_change(
    ngx_http_canary_verta_write_t *v);
static ngx_int_t ngx_http_canary_verta_attempt(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_verta_unchanged(
    ngx_http_canary_verta_write_t *v, const canary_verta_step_t *step);
static canary_verta_step_t ngx_http_canary_verta_next(
    ngx_http_canary_verta_write_t *v);
static void ngx_http_canary_verta_command(ngx_http_canary_verta_write_t *v,
    const canary_verta_step_t *step);
static void ngx_http_canary_verta_settle(ngx_http_canary_verta_write_t *v,
    const canary_verta_step_t *step);
static ngx_int_t ngx_http_canary_verta_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc);
static ngx_int_t ngx_http_canary_verta_not_written(
    ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_verta_vain(ngx_http_canary_write_t *w,
    ngx_http_canary_vain_e why);
static ngx_int_t ngx_http_canary_verta_answer(ngx_http_canary_write_t *w,
    ngx_uint_t durable);


static const ngx_http_canary_waiter_t  ngx_http_canary_verta_waiter = {
    ngx_http_canary_verta_attempt,
    ngx_http_canary_verta_answer,
    ngx_http_canary_verta_vain
};


ngx_int_t
ngx_http_canary_verta_write(ngx_http_request_t *r,
    ngx_http_canary_verta_target_t *target)
{
    ngx_http_canary_verta_write_t  *v;

    v = (ngx_http_canary_verta_write_t *)
            ngx_http_canary_write_create(r,
                                         sizeof(ngx_http_canary_verta_write_t),
                                         &ngx_http_canary_verta_waiter);
    if (v == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    v->write.endpoint = target->endpoint;

    if (target->resource == CANARY_VERTA_BUILDS) {
        return ngx_http_canary_verta_build(v);
    }

    if (r->method == NGX_HTTP_DELETE) {
        v->stop = 1;
        return ngx_http_canary_verta_change(v);
    }

    return ngx_http_canary_verta_update(v);
}


/*
 * NGX_OK: there is a document, to be deleted.  NGX_ABORT: what there is, is
 * none, and an error was added; NGX_DECLINED: it is too large.
 */

static ngx_int_t
ngx_http_canary_verta_parse(ngx_http_canary_verta_write_t *v, cJSON **body)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_http_canary_api_body(v->write.request, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    *body = canary_json_parse((char *) text.data, text.len,
                              &v->write.errors);

    return *body ? NGX_OK : NGX_ABORT;
}


static ngx_int_t
ngx_http_canary_verta_unread(ngx_http_canary_verta_write_t *v, ngx_int_t rc)
{
    switch (rc) {

    case NGX_ABORT:
        return ngx_http_canary_verta_error_body(v->write.request,
                                                &v->write.errors);

    case NGX_DECLINED:
        return ngx_http_canary_verta_too_large(v->write.request);

    default: /* NGX_ERROR */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* a build of a model version is there as soon as it is asked for */

static ngx_int_t
ngx_http_canary_verta_build(ngx_http_canary_verta_write_t *v)
{
    cJSON                  *body;
    uint64_t                build;
    ngx_int_t               rc;
    ngx_http_request_t     *r;
    ngx_canary_endpoint_t  *endpoint;

    r = v->write.request;

    rc = ngx_http_canary_verta_parse(v, &body);
    if (rc != NGX_OK) {
        return ngx_http_canary_verta_unread(v, rc);
    }

    build = 0;

    canary_verta_json_read_build(body, &build, &v->write.errors);

    cJSON_Delete(body);

    if (v->write.errors.total) {
        return ngx_http_canary_verta_error_body(r, &v->write.errors);
    }

    endpoint = ngx_http_canary_verta_endpoint_of(r, build);

    if (endpoint == NULL) {
        return ngx_http_canary_verta_error(r, NGX_HTTP_NOT_FOUND,
                                           "no release of any endpoint has "
                                           "this model version for its id");
    }

    return ngx_http_canary_verta_show_build(r, endpoint, build);
}


static ngx_int_t
ngx_http_canary_verta_update(ngx_http_canary_verta_write_t *v)
{
    cJSON                  *body;
    ngx_int_t               rc;
    canary_verta_update_t  *update;

    rc = ngx_http_canary_verta_parse(v, &body);
    if (rc != NGX_OK) {
        return ngx_http_canary_verta_unread(v, rc);
    }

    update = &v->update;

    update->strategy = v->write.endpoint->strategy;
    update->strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;

    canary_verta_json_read_update(body, update, &v->write.errors);

    cJSON_Delete(body);

    if (v->write.errors.total) {
        return ngx_http_canary_verta_error_body(v->write.request,
                                                &v->write.errors);
    }

    v->release = ngx_http_canary_verta_release(v->write.endpoint,
                                               update->build);
    if (v->release == NULL) {
        return ngx_http_canary_verta_error(v->write.request,
                                           NGX_HTTP_NOT_FOUND,
                                           "no release of endpoint \"/%V\" "
                                           "has this build for its id",
                                           &v->write.endpoint->name);
    }

    return ngx_http_canary_verta_change(v);
}


static ngx_int_t
ngx_http_canary_verta_change(ngx_http_canary_verta_write_t *v)
{
    ngx_http_canary_write_t  *w;

    w = &v->write;

    ngx_http_canary_find_actor(w->request, &w->change.actor);

    w->match.pinned = 1;
    w->change.match = ngx_http_canary_match;
    w->change.data = &w->match;

    return ngx_http_canary_write_begin(w);
}


/*
 * One step after the other, each on what there is then, until nothing is
 * left to do: that is two, or more if what there is changes meanwhile, which
 * it does no more than twice for each write of the file.
 */

static ngx_int_t
ngx_http_canary_verta_attempt(ngx_http_canary_write_t *w)
{
    canary_verta_step_t             step;
    ngx_canary_section_e            rc;
    ngx_http_canary_verta_write_t  *v;

    v = (ngx_http_canary_verta_write_t *) w;

    for ( ;; ) {
        step = ngx_http_canary_verta_next(v);

        if (!step.change) {
            return ngx_http_canary_verta_unchanged(v, &step);
        }

        ngx_http_canary_verta_command(v, &step);

        rc = ngx_http_canary_write_change(w);

        if (rc == NGX_CANARY_STALE_MATCH) {
            continue;
        }

        if (rc == NGX_CANARY_DONE && !w->change.queues
            && w->change.status == CANARY_NOT_NOW)
        {
            return ngx_http_canary_verta_unchanged(v, &step);
        }

        if (rc != NGX_CANARY_DONE || w->change.status != CANARY_CHANGED) {
            return ngx_http_canary_verta_result(w, rc);
        }

        ngx_http_canary_verta_settle(v, &step);

        if (!step.more) {
            return ngx_http_canary_verta_result(w, rc);
        }

        v->replacing = 1;
    }
}


static ngx_int_t
ngx_http_canary_verta_unchanged(ngx_http_canary_verta_write_t *v,
    const canary_verta_step_t *step)
{
    ngx_http_canary_verta_settle(v, step);

    return ngx_http_canary_verta_answer(&v->write, 1);
}


/* looks at what there is, which the change then depends on */

static canary_verta_step_t
ngx_http_canary_verta_next(ngx_http_canary_verta_write_t *v)
{
    canary_rollout_t    *rollout;
    canary_verta_step_t  step;
    canary_verta_step_t  stop = { 1, CANARY_ROLLBACK, 0, 0 };

    ngx_http_canary_verta_look(v->write.endpoint, &v->view);

    rollout = &v->view.record.rollout;

    v->write.match.expected = rollout->generation;

    if (v->stop) {
        return stop;
    }

    step = canary_verta_step(rollout, &v->update, v->release->id,
                             v->view.ago, v->replacing || v->view.settled);

    /* who asks for what is stable already does not want what is pending */

    if (!step.change && step.settled) {
        step.change = 1;
        step.verb = CANARY_ROLLBACK;
    }

    return step;
}


static void
ngx_http_canary_verta_command(ngx_http_canary_verta_write_t *v,
    const canary_verta_step_t *step)
{
    const char           *reason;
    ngx_canary_change_t  *change;

    change = &v->write.change;

    change->command.verb = step->verb;
    change->command.strategy = &v->update.strategy;
    change->command.release = v->stop ? CANARY_NO_RELEASE : v->release->id;

    /* a rollback that is only the first step waits as the update does */

    change->queues = (step->verb != CANARY_ROLLBACK || step->more);

    /* what others do has words of its own */

    reason = (step->verb != CANARY_ROLLBACK) ? ""
             : v->stop ? "the update was stopped"
             : step->more ? "replaced by another update"
             : "the stable release was asked for";

    (void) ngx_cpystrn(change->reason, (u_char *) reason,
                       sizeof(change->reason));
}


/* from now on the stage is not shown as one whose update has failed */

static void
ngx_http_canary_verta_settle(ngx_http_canary_verta_write_t *v,
    const canary_verta_step_t *step)
{
    uint64_t                  generation;
    ngx_canary_record_t      *record;
    ngx_canary_main_conf_t   *cmcf;
    ngx_http_canary_write_t  *w;

    if (!step->settled) {
        return;
    }

    w = &v->write;
    cmcf = w->endpoint->main;
    generation = w->match.expected;

    /* else there was nothing to roll back */

    if (step->change && (w->change.verbs & 1u << step->verb)) {
        generation++;
    }

    ngx_canary_lock(cmcf->zone);

    record = ngx_canary_record(w->endpoint->shared);

    if (record->rollout.generation == generation) {
        record->settled = generation;
    }

    ngx_canary_unlock(cmcf->zone);
}


static ngx_int_t
ngx_http_canary_verta_result(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc)
{
    u_char               text[NGX_CANARY_PROBLEM];
    ngx_http_request_t  *r;

    r = w->request;

    switch (rc) {

    case NGX_CANARY_DONE:

        if (w->change.status == CANARY_CHANGED) {
            w->wait = NGX_HTTP_CANARY_WAIT_DURABLE;
            return NGX_DECLINED;
        }

        return ngx_http_canary_verta_error(r, NGX_HTTP_CONFLICT,
                                           "the update does not apply to "
                                           "what the endpoint has become");

    case NGX_CANARY_PENDING:
        w->wait = NGX_HTTP_CANARY_WAIT_FATE;
        return NGX_DECLINED;

    case NGX_CANARY_BUSY:
        w->wait = NGX_HTTP_CANARY_WAIT_TURN;
        return NGX_DECLINED;

    case NGX_CANARY_CROWDED:
        return ngx_http_canary_verta_vain(w, NGX_HTTP_CANARY_VAIN_CROWDED);

    case NGX_CANARY_STOPPED:
        return ngx_http_canary_verta_vain(w, NGX_HTTP_CANARY_VAIN_CANCELLED);

    case NGX_CANARY_NO_FILE:
        return ngx_http_canary_verta_not_written(w);

    case NGX_CANARY_NO_MEMORY:
        ngx_canary_zone_full(w->endpoint->main, text, sizeof(text));

        return ngx_http_canary_verta_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                           "%s", text);

    default: /* NGX_CANARY_SUPERSEDED */
        return ngx_http_canary_verta_vain(w, NGX_HTTP_CANARY_VAIN_SUPERSEDED);
    }
}


static ngx_int_t
ngx_http_canary_verta_not_written(ngx_http_canary_write_t *w)
{
    u_char  problem[NGX_CANARY_PROBLEM];

    ngx_canary_copy_problem(w->endpoint->main, problem);

    return ngx_http_canary_verta_error(w->request,
                                       NGX_HTTP_INTERNAL_SERVER_ERROR,
                                       "the update has not begun: %s",
                                       problem[0] ? problem
                                       : (u_char *) "the state file was not "
                                                    "written in time");
}


/* the client sends 502 to 504 again, which is of use only after a reload and
   when the queue is full */

static ngx_int_t
ngx_http_canary_verta_vain(ngx_http_canary_write_t *w,
    ngx_http_canary_vain_e why)
{
    switch (why) {

    case NGX_HTTP_CANARY_VAIN_FORGOTTEN:
        return ngx_http_canary_verta_error(w->request,
                                           NGX_HTTP_INTERNAL_SERVER_ERROR,
                                           "so many updates have ended since "
                                           "that it is not known any more "
                                           "whether this one was done; the "
                                           "stage tells");

    case NGX_HTTP_CANARY_VAIN_CANCELLED:
        return ngx_http_canary_verta_error(w->request, NGX_HTTP_CONFLICT,
                                           "the update was cancelled before "
                                           "it took effect");

    case NGX_HTTP_CANARY_VAIN_CROWDED:
        return ngx_http_canary_verta_error(w->request,
                                           NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "the update has not begun: %d "
                                           "writes of endpoint \"/%V\" wait "
                                           "already, which is as many as "
                                           "may; try again",
                                           NGX_CANARY_WRITES,
                                           &w->endpoint->name);

    case NGX_HTTP_CANARY_VAIN_SUPERSEDED:

        /* another connection will find another worker */

        w->request->keepalive = 0;

        return ngx_http_canary_verta_error(w->request,
                                           NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "nginx has been reloaded, and "
                                           "this process serves its last "
                                           "requests; try again");

    default: /* NGX_HTTP_CANARY_VAIN_NOT_WRITTEN */
        return ngx_http_canary_verta_not_written(w);
    }
}


/* it is done: 500 would say that it is not */

static ngx_int_t
ngx_http_canary_verta_answer(ngx_http_canary_write_t *w, ngx_uint_t durable)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = w->request;

    rc = ngx_http_canary_verta_show_stage(r, w->endpoint);

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR && !r->header_sent) {
        return ngx_http_canary_answer_empty(r, NGX_HTTP_OK);
    }

    return rc;
}
