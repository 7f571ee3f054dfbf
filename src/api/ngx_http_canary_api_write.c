
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
#include "canary_split.h"
#include "canary_json.h"
#include "canary_match_json.h"
#include "canary_strategy_json.h"

#include "ngx_canary_change.h"
#include "ngx_canary_endpoint.h"
#include "ngx_canary_routing.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_render.h"
#include "ngx_http_canary_refuse.h"


/* The body of a write, made a change; and what came of it. */


static void ngx_http_canary_read_reason(ngx_http_canary_api_write_t *a);
static void ngx_http_canary_check_matches(ngx_http_canary_api_write_t *a);
static void ngx_http_canary_prepare_start(ngx_http_canary_api_write_t *a);
static ngx_canary_release_t *ngx_http_canary_named_release(
    ngx_http_canary_api_write_t *a);
static ngx_canary_release_t *ngx_http_canary_other_release(
    ngx_http_canary_api_write_t *a);
static u_char *ngx_http_canary_release_names(u_char *buf, size_t size,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_prepare_patch(ngx_http_canary_api_write_t *a);
static ngx_int_t ngx_http_canary_write_wrong(ngx_http_canary_write_t *w,
    const canary_json_at_t *at, const char *what);
static ngx_int_t ngx_http_canary_write_conflict(ngx_http_canary_api_write_t *a,
    ngx_canary_section_e rc);


static const char *const  ngx_http_canary_start_members[] = {
    "reason", "strategy", "canary_strategy", "release"
};

static const char *const  ngx_http_canary_patch_members[] = {
    "reason", "strategy", "canary_strategy", "weight"
};

static const char *const  ngx_http_canary_verb_members[] = { "reason" };


static const canary_json_range_t  ngx_http_canary_weight_range = {
    "a ratio above 0 and below 1, from 0.000001 to 0.999999",
    CANARY_ONE, 1, CANARY_ONE - 1, 0, 0
};


/* POST or PATCH */

ngx_int_t
ngx_http_canary_api_write(ngx_http_canary_write_t *w,
    ngx_http_canary_target_t *target)
{
    unsigned                      n;
    const char *const            *names;
    ngx_http_request_t           *r;
    ngx_http_canary_api_write_t  *a;

    a = (ngx_http_canary_api_write_t *) w;
    r = w->request;

    a->verb = (r->method == NGX_HTTP_PATCH) ? CANARY_PATCH
                                            : target->resource->verb;

    w->change.queues = canary_verb_exposes(a->verb);

    if (a->verb == CANARY_START) {
        w->status = NGX_HTTP_CREATED;
    }

    if (r->headers_in.if_match) {
        w->if_match = &r->headers_in.if_match->value;
    }

    if (w->text.len == 0) {
        return NGX_DECLINED;
    }

    n = NGX_HTTP_CANARY_MEMBERS;

    switch (a->verb) {

    case CANARY_START:
        names = ngx_http_canary_start_members;
        break;

    case CANARY_PATCH:
        names = ngx_http_canary_patch_members;
        break;

    default:
        names = ngx_http_canary_verb_members;
        n = 1;
        break;
    }

    if (ngx_http_canary_write_parse(w) != NGX_OK
        || !canary_json_members(w->body, NULL, names, n, a->members,
                                &w->errors))
    {
        return ngx_http_canary_refuse_body(r, &w->errors);
    }

    ngx_http_canary_read_reason(a);

    return NGX_DECLINED;
}


static void
ngx_http_canary_read_reason(ngx_http_canary_api_write_t *a)
{
    const char       *reason;
    const cJSON      *value;
    canary_json_at_t  at = { NULL, "reason", 0 };

    value = a->members[NGX_HTTP_CANARY_MEMBER_REASON];

    if (value == NULL) {
        return;
    }

    reason = canary_json_line(value, &at, sizeof(a->write.change.reason) - 1,
                              &a->write.errors);
    if (reason) {
        (void) ngx_cpystrn(a->write.change.reason, (u_char *) reason,
                           sizeof(a->write.change.reason));
    }
}


/*
 * Start and PATCH begin with what there is, so that has to be so still when
 * they are carried out.
 */

ngx_int_t
ngx_http_canary_api_prepare(ngx_http_canary_write_t *w)
{
    ngx_http_canary_api_write_t  *a;

    a = (ngx_http_canary_api_write_t *) w;

    w->change.command.verb = a->verb;

    if (a->verb == CANARY_START || a->verb == CANARY_PATCH) {
        ngx_canary_copy_rollout(w->endpoint, &a->rollout);

        w->pinned = 1;
        w->expected = a->rollout.generation;

        if (a->verb == CANARY_START) {
            ngx_http_canary_prepare_start(a);

        } else {
            ngx_http_canary_prepare_patch(a);
        }
    }

    return w->errors.total
           ? ngx_http_canary_refuse_body(w->request, &w->errors)
           : NGX_DECLINED;
}


/* rules of a body are about what the endpoint has */

static void
ngx_http_canary_check_matches(ngx_http_canary_api_write_t *a)
{
    canary_json_at_t  at = { NULL, "canary_strategy", 0 };

    if (a->write.errors.total == 0) {
        canary_match_json_check(a->members[NGX_HTTP_CANARY_MEMBER_PARTS], &at,
                                &a->write.endpoint->matches,
                                &a->write.errors);
    }
}


static void
ngx_http_canary_prepare_start(ngx_http_canary_api_write_t *a)
{
    ngx_canary_release_t   *release;
    canary_strategy_kind_t  kind;

    a->strategy = a->write.endpoint->strategy;

    kind = canary_strategy_json_read(
                                  a->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  a->members[NGX_HTTP_CANARY_MEMBER_PARTS],
                                  NULL, &a->strategy, &a->write.errors);

    ngx_http_canary_check_matches(a);

    if (kind == CANARY_STRATEGY_DIRECT) {
        a->write.change.command.verb = CANARY_DIRECT;
    }

    a->write.change.command.strategy = &a->strategy;

    release = ngx_http_canary_named_release(a);

    if (release) {
        a->write.change.command.release = release->id;
    }
}


static ngx_canary_release_t *
ngx_http_canary_named_release(ngx_http_canary_api_write_t *a)
{
    u_char                 names[CANARY_JSON_DETAIL_MAX];
    ngx_uint_t             i;
    const cJSON           *value;
    canary_json_at_t       at = { NULL, "release", 0 };
    ngx_canary_release_t  *release;

    value = a->members[NGX_HTTP_CANARY_MEMBER_RELEASE];

    if (value == NULL) {
        return ngx_http_canary_other_release(a);
    }

    release = a->write.endpoint->releases.elts;

    if (cJSON_IsString(value)) {
        for (i = 0; i < a->write.endpoint->releases.nelts; i++) {
            if (ngx_strlen(value->valuestring) == release[i].name.len
                && ngx_strncmp(value->valuestring, release[i].name.data,
                               release[i].name.len)
                   == 0)
            {
                return &release[i];
            }
        }
    }

    canary_json_wrong(&a->write.errors, &at, value, (char *)
                      ngx_http_canary_release_names(names, sizeof(names),
                                                    a->write.endpoint));

    return NULL;
}


/* of two releases the one that is not stable goes without saying */

static ngx_canary_release_t *
ngx_http_canary_other_release(ngx_http_canary_api_write_t *a)
{
    u_char                 names[CANARY_JSON_DETAIL_MAX];
    uint32_t               stable;
    canary_json_at_t       at = { NULL, "release", 0 };
    ngx_canary_release_t  *release;

    release = a->write.endpoint->releases.elts;
    stable = a->rollout.stable;

    /* and of one the same goes: that it cannot be rolled out is told later */

    if (a->write.endpoint->releases.nelts == 1) {
        return &release[0];
    }

    if (a->write.endpoint->releases.nelts == 2) {

        if (release[0].id == stable) {
            return &release[1];
        }

        if (release[1].id == stable) {
            return &release[0];
        }
    }

    canary_json_error(&a->write.errors, &at, "is needed: %s",
                      ngx_http_canary_release_names(names, sizeof(names),
                                                    a->write.endpoint));

    return NULL;
}


static u_char *
ngx_http_canary_release_names(u_char *buf, size_t size,
    ngx_canary_endpoint_t *endpoint)
{
    u_char                *p, *last;
    ngx_uint_t             i;
    ngx_canary_release_t  *release;

    last = buf + size - 1;

    p = ngx_slprintf(buf, last, "one of the releases: ");

    release = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "", &release[i].name);
    }

    *p = '\0';

    return buf;
}


static void
ngx_http_canary_prepare_patch(ngx_http_canary_api_write_t *a)
{
    uint64_t                weight;
    const cJSON            *parts, *value;
    canary_command_t       *command;
    canary_json_at_t        at_weight = { NULL, "weight", 0 };
    canary_json_at_t        at_strategy = { NULL, "strategy", 0 };
    canary_strategy_kind_t  kind;

    command = &a->write.change.command;
    value = a->members[NGX_HTTP_CANARY_MEMBER_WEIGHT];
    parts = a->members[NGX_HTTP_CANARY_MEMBER_PARTS];

    if (value == NULL && parts == NULL) {
        canary_json_error(&a->write.errors, NULL, "has nothing to change: "
                          "\"weight\", \"canary_strategy\" or both");
    }

    if (value
        && canary_json_number(value, &at_weight,
                              &ngx_http_canary_weight_range, &weight,
                              &a->write.errors))
    {
        command->has_weight = 1;
        command->weight = (uint32_t) weight;
    }

    a->strategy = a->rollout.strategy;

    kind = canary_strategy_json_read(
                                  a->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  parts, NULL, &a->strategy, &a->write.errors);

    ngx_http_canary_check_matches(a);

    if (kind == CANARY_STRATEGY_DIRECT) {
        canary_json_error(&a->write.errors, &at_strategy, "cannot become "
                          "\"direct\" while a rollout runs; \"promote\" "
                          "ends it so");
    }

    command->strategy = parts ? &a->strategy : NULL;
}


ngx_int_t
ngx_http_canary_api_outcome(ngx_http_canary_write_t *w,
    ngx_canary_section_e rc)
{
    ngx_http_canary_api_write_t  *a;

    canary_json_at_t  at_parts = { NULL, "canary_strategy", 0 };
    canary_json_at_t  at_rules = { &at_parts, "rules", 0 };
    canary_json_at_t  at_weight = { NULL, "weight", 0 };

    a = (ngx_http_canary_api_write_t *) w;

    if (rc != NGX_CANARY_DONE) {
        return ngx_http_canary_write_conflict(a, rc);
    }

    switch (w->change.status) {

    case CANARY_NOT_NOW:
    case CANARY_IS_STABLE:
        return ngx_http_canary_write_conflict(a, rc);

    case CANARY_NO_RULE:
        return ngx_http_canary_write_wrong(w, &at_rules, "a rollout needs at "
                                           "least one rule; nginx.conf has "
                                           "none for this endpoint");

    case CANARY_NO_BASELINE:
        return ngx_http_canary_write_wrong(w, &at_rules, "all compare the "
                                           "canary with stable, but at its "
                                           "first step it has all of the "
                                           "traffic: a rule without a "
                                           "baseline is needed");

    case CANARY_BAD_WEIGHT:
        return ngx_http_canary_write_wrong(w, &at_weight,
                                           "has to be above 0 and below 1");

    case CANARY_CHANGED:
        w->wait = NGX_HTTP_CANARY_WAIT_DURABLE;
        return NGX_DECLINED;

    default: /* CANARY_UNCHANGED */
        return ngx_http_canary_write_answer(w, 1);
    }
}


static ngx_int_t
ngx_http_canary_write_wrong(ngx_http_canary_write_t *w,
    const canary_json_at_t *at, const char *what)
{
    canary_json_error(&w->errors, at, "%s", what);

    return ngx_http_canary_refuse_body(w->request, &w->errors);
}


/* what there is now is not what the write was made for */

static ngx_int_t
ngx_http_canary_write_conflict(ngx_http_canary_api_write_t *a,
    ngx_canary_section_e rc)
{
    canary_rollout_t         *now;
    ngx_http_request_t       *r;
    ngx_canary_release_t     *release;
    ngx_http_canary_write_t  *w;

    w = &a->write;
    r = w->request;
    now = &a->rollout;

    ngx_canary_copy_rollout(w->endpoint, now);

    if (((rc == NGX_CANARY_STOPPED)
         ? ngx_http_canary_add_etag(r, now->generation, now->uid)
         : ngx_http_canary_add_etag(r, w->present, w->present_uid))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_CANARY_STALE_MATCH) {
        return ngx_http_canary_refuse(r, NGX_HTTP_PRECONDITION_FAILED,
                                      "If-Match names %V, but the endpoint is "
                                      "at generation \"%uL\"", w->if_match,
                                      w->present);
    }

    if (rc == NGX_CANARY_STOPPED) {
        return ngx_http_canary_refuse_verb(r, canary_rollout_verbs(now),
                                           "%s was cancelled before it took "
                                           "effect: \"%V\" is %s now",
                                           canary_verb_name(a->verb),
                                           &w->endpoint->name,
                                           canary_phase_name(now->phase));
    }

    if (w->change.status == CANARY_IS_STABLE) {
        release = ngx_canary_release(w->endpoint, w->change.command.release);

        if (w->endpoint->releases.nelts == 1) {
            return ngx_http_canary_refuse(r, NGX_HTTP_CONFLICT, "\"%V\" has "
                                          "one release, \"%V\", and there is "
                                          "no other to roll out: nginx.conf "
                                          "needs another canary_release",
                                          &w->endpoint->name, &release->name);
        }

        return ngx_http_canary_refuse_verb(r, w->change.verbs, "release "
                                           "\"%V\" is stable already",
                                           &release->name);
    }

    return ngx_http_canary_refuse_verb(r, w->change.verbs, "%s does not apply "
                                       "while \"%V\" is %s",
                                       canary_verb_name(a->verb),
                                       &w->endpoint->name,
                                       canary_phase_name(now->phase));
}


ngx_int_t
ngx_http_canary_api_answer(ngx_http_canary_write_t *w, ngx_uint_t durable)
{
    return ngx_http_canary_api_send_endpoint(w->request, w->status,
                                             w->endpoint, durable);
}
