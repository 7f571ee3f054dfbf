
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_verta_write.h"

#include "canary_rollout.h"
#include "canary_strategy.h"
#include "canary_json.h"
#include "canary_verta.h"
#include "canary_verta_json.h"

#include "ngx_canary_change.h"
#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"

#include "ngx_http_canary_refuse.h"
#include "ngx_http_canary_verta.h"
#include "ngx_http_canary_verta_show.h"
#include "ngx_http_canary_verta_view.h"


static ngx_int_t ngx_http_canary_verta_build(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_verta_update(
    ngx_http_canary_verta_write_t *v);
static canary_verta_step_t ngx_http_canary_verta_next(
    ngx_http_canary_verta_write_t *v);
static void ngx_http_canary_verta_command(ngx_http_canary_verta_write_t *v);
static ngx_int_t ngx_http_canary_verta_unchanged(
    ngx_http_canary_verta_write_t *v);
static void ngx_http_canary_verta_settle(ngx_http_canary_verta_write_t *v);


ngx_int_t
ngx_http_canary_verta_write(ngx_http_canary_write_t *w,
    ngx_http_canary_target_t *target)
{
    ngx_http_canary_verta_write_t  *v;

    v = (ngx_http_canary_verta_write_t *) w;

    w->pinned = 1;

    switch (w->request->method) {

    case NGX_HTTP_POST:
        return ngx_http_canary_verta_build(w);

    case NGX_HTTP_DELETE:
        v->stop = 1;
        return NGX_DECLINED;

    default: /* NGX_HTTP_PUT */
        return ngx_http_canary_verta_update(v);
    }
}


/* a build of a model version is there as soon as it is asked for */

static ngx_int_t
ngx_http_canary_verta_build(ngx_http_canary_write_t *w)
{
    uint64_t                  build;
    ngx_http_canary_target_t  target;

    build = 0;

    if (ngx_http_canary_write_parse(w) == NGX_OK) {
        canary_verta_json_read_build(w->body, &build, &w->errors);
    }

    if (w->errors.total) {
        return ngx_http_canary_refuse_body(w->request, &w->errors);
    }

    target.resource
             = &ngx_http_canary_verta_resources[CANARY_VERTA_BUILD].resource;
    target.endpoint = ngx_http_canary_verta_endpoint(w->request, 0, build);
    target.number = build;

    if (target.endpoint == NULL) {
        return ngx_http_canary_refuse(w->request, NGX_HTTP_NOT_FOUND,
                                      "no release of any endpoint has this "
                                      "model version for its id");
    }

    return ngx_http_canary_verta_show(w->request, &target);
}


static ngx_int_t
ngx_http_canary_verta_update(ngx_http_canary_verta_write_t *v)
{
    canary_verta_update_t    *update;
    ngx_http_canary_write_t  *w;

    w = &v->write;
    update = &v->update;

    update->strategy = w->endpoint->strategy;
    update->strategy.on_undecided = CANARY_ADVANCE_UNDECIDED;

    if (ngx_http_canary_write_parse(w) == NGX_OK) {
        canary_verta_json_read_update(w->body, update, &w->errors);
    }

    if (w->errors.total) {
        return ngx_http_canary_refuse_body(w->request, &w->errors);
    }

    v->release = ngx_http_canary_verta_release(w->endpoint, update->build);

    if (v->release == NULL) {
        return ngx_http_canary_refuse(w->request, NGX_HTTP_NOT_FOUND,
                                      "no release of endpoint \"/%V\" has "
                                      "this build for its id",
                                      &w->endpoint->name);
    }

    return NGX_DECLINED;
}


/*
 * One step after the other, each on what there is then, until nothing is
 * left to do: that is two, or more if what there is changes meanwhile.
 */

ngx_int_t
ngx_http_canary_verta_prepare(ngx_http_canary_write_t *w)
{
    ngx_http_canary_verta_write_t  *v;

    v = (ngx_http_canary_verta_write_t *) w;

    v->step = ngx_http_canary_verta_next(v);

    if (!v->step.change) {
        return ngx_http_canary_verta_unchanged(v);
    }

    ngx_http_canary_verta_command(v);

    return NGX_DECLINED;
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

    v->write.expected = rollout->generation;

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
ngx_http_canary_verta_command(ngx_http_canary_verta_write_t *v)
{
    const char                 *reason;
    ngx_canary_change_t        *change;
    const canary_verta_step_t  *step;

    step = &v->step;
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


ngx_int_t
ngx_http_canary_verta_outcome(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc)
{
    ngx_http_canary_verta_write_t  *v;

    v = (ngx_http_canary_verta_write_t *) w;

    if (rc == NGX_CANARY_STOPPED) {
        return ngx_http_canary_refuse(w->request, NGX_HTTP_CONFLICT,
                                      "the update was cancelled before it "
                                      "took effect");
    }

    if (w->change.status == CANARY_NOT_NOW && !w->change.queues) {
        return ngx_http_canary_verta_unchanged(v);
    }

    if (w->change.status != CANARY_CHANGED) {
        return ngx_http_canary_refuse(w->request, NGX_HTTP_CONFLICT,
                                      "the update does not apply to what the "
                                      "endpoint has become");
    }

    ngx_http_canary_verta_settle(v);

    if (v->step.more) {
        v->replacing = 1;
        w->wait = NGX_HTTP_CANARY_WAIT_NONE;

    } else {
        w->wait = NGX_HTTP_CANARY_WAIT_DURABLE;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_canary_verta_unchanged(ngx_http_canary_verta_write_t *v)
{
    ngx_http_canary_verta_settle(v);

    return ngx_http_canary_write_answer(&v->write, 1);
}


/* from now on the stage is not shown as one whose update has failed */

static void
ngx_http_canary_verta_settle(ngx_http_canary_verta_write_t *v)
{
    uint64_t                  generation;
    ngx_canary_zone_t        *zone;
    ngx_canary_record_t      *record;
    ngx_http_canary_write_t  *w;

    if (!v->step.settled) {
        return;
    }

    w = &v->write;
    zone = w->endpoint->main->zone;
    generation = w->expected;

    /* else there was nothing to roll back */

    if (v->step.change && (w->change.verbs & 1u << v->step.verb)) {
        generation++;
    }

    ngx_canary_lock(zone);

    record = ngx_canary_record(w->endpoint->shared);

    if (record->rollout.generation == generation) {
        record->settled = generation;
    }

    ngx_canary_unlock(zone);
}


ngx_int_t
ngx_http_canary_verta_answer(ngx_http_canary_write_t *w, ngx_uint_t durable)
{
    ngx_http_canary_target_t  target;

    target.resource
             = &ngx_http_canary_verta_resources[CANARY_VERTA_STAGE].resource;
    target.endpoint = w->endpoint;

    return ngx_http_canary_verta_show(w->request, &target);
}
