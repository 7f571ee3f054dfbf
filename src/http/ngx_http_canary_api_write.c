
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"
#include "canary_strategy_json.h"
#include "canary_text.h"


/* somebody else's change came first so often: give up */

#define NGX_HTTP_CANARY_WRITE_TRIES  64


/* members of a body, of those that all have, then of those of start, PATCH */

enum {
    NGX_HTTP_CANARY_MEMBER_REASON = 0,
    NGX_HTTP_CANARY_MEMBER_STRATEGY,
    NGX_HTTP_CANARY_MEMBER_PARTS,
    NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBER_WEIGHT = NGX_HTTP_CANARY_MEMBER_RELEASE,
    NGX_HTTP_CANARY_MEMBERS
};


typedef struct {
    ngx_http_request_t           *request;
    ngx_http_canary_endpoint_t   *endpoint;
    canary_verb_t                 verb;
    const cJSON                  *members[NGX_HTTP_CANARY_MEMBERS];
    canary_json_errors_t          errors;
    canary_strategy_t             strategy;
    ngx_http_canary_match_t       match;
    ngx_http_canary_change_t      change;
    ngx_http_canary_snapshot_t    snapshot;
} ngx_http_canary_write_t;


static ngx_int_t ngx_http_canary_write(ngx_http_canary_write_t *w,
    const cJSON *body);
static ngx_int_t ngx_http_canary_write_members(ngx_http_canary_write_t *w,
    const cJSON *body);
static void ngx_http_canary_write_reason(ngx_http_canary_write_t *w);
static void ngx_http_canary_write_actor(ngx_http_canary_write_t *w);
static void ngx_http_canary_copy_line(u_char *dst, size_t size,
    ngx_str_t *text);
static ngx_http_canary_section_e ngx_http_canary_try_write(
    ngx_http_canary_write_t *w);
static void ngx_http_canary_write_start(ngx_http_canary_write_t *w);
static ngx_http_canary_release_t *ngx_http_canary_write_release(
    ngx_http_canary_write_t *w);
static ngx_http_canary_release_t *ngx_http_canary_other_release(
    ngx_http_canary_write_t *w);
static u_char *ngx_http_canary_release_names(u_char *buf, size_t size,
    ngx_http_canary_endpoint_t *endpoint);
static void ngx_http_canary_write_patch(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_http_canary_section_e rc);
static ngx_int_t ngx_http_canary_write_refused(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_conflict(ngx_http_canary_write_t *w);
static ngx_int_t ngx_http_canary_write_done(ngx_http_canary_write_t *w);


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


/* POST or PATCH, when the body has been read */

ngx_int_t
ngx_http_canary_api_write(ngx_http_request_t *r,
    ngx_http_canary_api_target_t *target)
{
    cJSON                    *body;
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

    w = ngx_pcalloc(r->pool, sizeof(ngx_http_canary_write_t));
    if (w == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->request = r;
    w->endpoint = target->endpoint;
    w->verb = (r->method == NGX_HTTP_PATCH) ? CANARY_PATCH
                                            : target->resource->verb;

    if (text.len == 0) {
        return ngx_http_canary_write(w, NULL);
    }

    body = canary_json_parse((char *) text.data, text.len, &w->errors);
    if (body == NULL) {
        return ngx_http_canary_problem_body(r, &w->errors);
    }

    rc = ngx_http_canary_write(w, body);

    cJSON_Delete(body);

    return rc;
}


static ngx_int_t
ngx_http_canary_write(ngx_http_canary_write_t *w, const cJSON *body)
{
    ngx_uint_t                 tries;
    ngx_http_canary_section_e  rc;

    if (body && ngx_http_canary_write_members(w, body) != NGX_OK) {
        return ngx_http_canary_problem_body(w->request, &w->errors);
    }

    ngx_http_canary_write_reason(w);
    ngx_http_canary_write_actor(w);

    if (w->request->headers_in.if_match) {
        w->match.if_match = &w->request->headers_in.if_match->value;
    }

    w->change.match = ngx_http_canary_match;
    w->change.data = &w->match;

    for (tries = 0; tries < NGX_HTTP_CANARY_WRITE_TRIES; tries++) {
        rc = ngx_http_canary_try_write(w);

        if (rc != NGX_HTTP_CANARY_STALE_MATCH || w->match.refused) {
            break;
        }
    }

    if (w->errors.total) {
        return ngx_http_canary_problem_body(w->request, &w->errors);
    }

    return ngx_http_canary_write_result(w, rc);
}


static ngx_int_t
ngx_http_canary_write_members(ngx_http_canary_write_t *w, const cJSON *body)
{
    unsigned            n;
    const char *const  *names;

    n = NGX_HTTP_CANARY_MEMBERS;

    switch (w->verb) {

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

    return canary_json_members(body, NULL, names, n, w->members, &w->errors)
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_canary_write_reason(ngx_http_canary_write_t *w)
{
    const char        *reason;
    const cJSON       *value;
    canary_json_at_t   at = { NULL, "reason", 0 };

    value = w->members[NGX_HTTP_CANARY_MEMBER_REASON];

    if (value == NULL) {
        return;
    }

    reason = canary_json_line(value, &at, sizeof(w->change.reason) - 1,
                              &w->errors);
    if (reason) {
        (void) ngx_cpystrn(w->change.reason, (u_char *) reason,
                           sizeof(w->change.reason));
    }
}


static void
ngx_http_canary_write_actor(ngx_http_canary_write_t *w)
{
    ngx_str_t                 name;
    ngx_http_request_t       *r;
    ngx_http_canary_actor_t  *actor;

    r = w->request;
    actor = &w->change.actor;

    ngx_str_set(&name, "api");

    if (r->headers_in.user.len) {
        name = r->headers_in.user;
    }

    ngx_http_canary_copy_line(actor->name, sizeof(actor->name), &name);
    ngx_http_canary_copy_line(actor->address, sizeof(actor->address),
                              &r->connection->addr_text);
}


/* what fits of a text that goes to the log; what is no text is "?" */

static void
ngx_http_canary_copy_line(u_char *dst, size_t size, ngx_str_t *text)
{
    size_t      i, n, len;
    ngx_uint_t  clean;

    clean = (canary_utf8_prefix((char *) text->data, text->len) == text->len
             && !canary_utf8_controls((char *) text->data, text->len));

    len = ngx_min(text->len, size - 1);

    for (i = 0; i < len; i++) {
        dst[i] = (clean || (text->data[i] >= 0x20 && text->data[i] < 0x7f))
                 ? text->data[i] : '?';
    }

    n = canary_utf8_prefix((char *) dst, len);
    dst[n] = '\0';
}


/*
 * Start and PATCH begin with what there is, so that has to be so still when
 * they are carried out.  With errors nothing is tried.
 */

static ngx_http_canary_section_e
ngx_http_canary_try_write(ngx_http_canary_write_t *w)
{
    w->change.command.verb = w->verb;

    if (w->verb == CANARY_START || w->verb == CANARY_PATCH) {
        ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

        w->match.pinned = 1;
        w->match.expected = w->snapshot.record.rollout.generation;
    }

    if (w->verb == CANARY_START) {
        ngx_http_canary_write_start(w);

    } else if (w->verb == CANARY_PATCH) {
        ngx_http_canary_write_patch(w);
    }

    if (w->errors.total) {
        return NGX_HTTP_CANARY_DONE;
    }

    return ngx_http_canary_change(w->endpoint, &w->change);
}


static void
ngx_http_canary_write_start(ngx_http_canary_write_t *w)
{
    canary_strategy_kind_t      kind;
    ngx_http_canary_release_t  *release;

    w->strategy = w->endpoint->strategy;

    kind = canary_strategy_json_read(
                                  w->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  w->members[NGX_HTTP_CANARY_MEMBER_PARTS],
                                  NULL, &w->strategy, &w->errors);

    if (kind == CANARY_STRATEGY_DIRECT) {
        w->change.command.verb = CANARY_DIRECT;
    }

    w->change.command.strategy = &w->strategy;

    release = ngx_http_canary_write_release(w);

    if (release) {
        w->change.command.release = release->id;
    }
}


static ngx_http_canary_release_t *
ngx_http_canary_write_release(ngx_http_canary_write_t *w)
{
    u_char                      names[CANARY_JSON_DETAIL_MAX];
    ngx_uint_t                  i;
    const cJSON                *value;
    canary_json_at_t            at = { NULL, "release", 0 };
    ngx_http_canary_release_t  *release;

    value = w->members[NGX_HTTP_CANARY_MEMBER_RELEASE];

    if (value == NULL) {
        return ngx_http_canary_other_release(w);
    }

    release = w->endpoint->releases.elts;

    if (cJSON_IsString(value)) {
        for (i = 0; i < w->endpoint->releases.nelts; i++) {
            if (ngx_strlen(value->valuestring) == release[i].name.len
                && ngx_strncmp(value->valuestring, release[i].name.data,
                               release[i].name.len)
                   == 0)
            {
                return &release[i];
            }
        }
    }

    canary_json_wrong(&w->errors, &at, value, (char *)
                      ngx_http_canary_release_names(names, sizeof(names),
                                                    w->endpoint));

    return NULL;
}


/* of two releases the one that is not stable goes without saying */

static ngx_http_canary_release_t *
ngx_http_canary_other_release(ngx_http_canary_write_t *w)
{
    u_char                      names[CANARY_JSON_DETAIL_MAX];
    uint32_t                    stable;
    canary_json_at_t            at = { NULL, "release", 0 };
    ngx_http_canary_release_t  *release;

    release = w->endpoint->releases.elts;
    stable = w->snapshot.record.rollout.stable;

    if (w->endpoint->releases.nelts == 2) {

        if (release[0].id == stable) {
            return &release[1];
        }

        if (release[1].id == stable) {
            return &release[0];
        }
    }

    canary_json_error(&w->errors, &at, "is needed: %s",
                      ngx_http_canary_release_names(names, sizeof(names),
                                                    w->endpoint));

    return NULL;
}


static u_char *
ngx_http_canary_release_names(u_char *buf, size_t size,
    ngx_http_canary_endpoint_t *endpoint)
{
    u_char                     *p, *last;
    ngx_uint_t                  i;
    ngx_http_canary_release_t  *release;

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
ngx_http_canary_write_patch(ngx_http_canary_write_t *w)
{
    uint64_t                 weight;
    const cJSON             *parts, *value;
    canary_command_t        *command;
    canary_json_at_t         at_weight = { NULL, "weight", 0 };
    canary_json_at_t         at_strategy = { NULL, "strategy", 0 };
    canary_strategy_kind_t   kind;

    command = &w->change.command;
    value = w->members[NGX_HTTP_CANARY_MEMBER_WEIGHT];
    parts = w->members[NGX_HTTP_CANARY_MEMBER_PARTS];

    if (value == NULL && parts == NULL) {
        canary_json_error(&w->errors, NULL, "has nothing to change: "
                          "\"weight\", \"canary_strategy\" or both");
    }

    if (value
        && canary_json_number(value, &at_weight,
                              &ngx_http_canary_weight_range, &weight,
                              &w->errors))
    {
        command->has_weight = 1;
        command->weight = (uint32_t) weight;
    }

    w->strategy = w->snapshot.record.rollout.strategy;

    kind = canary_strategy_json_read(
                                  w->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  parts, NULL, &w->strategy, &w->errors);

    if (kind == CANARY_STRATEGY_DIRECT) {
        canary_json_error(&w->errors, &at_strategy, "cannot become \"direct\" "
                          "while a rollout runs; \"promote\" ends it so");
    }

    command->strategy = parts ? &w->strategy : NULL;
}


static ngx_int_t
ngx_http_canary_write_result(ngx_http_canary_write_t *w,
    ngx_http_canary_section_e rc)
{
    ngx_http_request_t  *r;

    r = w->request;

    switch (rc) {

    case NGX_HTTP_CANARY_DONE:
        return ngx_http_canary_write_done(w);

    case NGX_HTTP_CANARY_STALE_MATCH:
        return ngx_http_canary_write_refused(w);

    case NGX_HTTP_CANARY_NO_MEMORY:
        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "the shared memory is full; a larger "
                                       "size for \"canary_zone\" is needed");

    default: /* NGX_HTTP_CANARY_SUPERSEDED */

        /* another connection will find another worker */

        r->keepalive = 0;

        return ngx_http_canary_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "nginx has been reloaded, and this "
                                       "process serves its last requests; "
                                       "try again");
    }
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
    ngx_int_t         rc;
    ngx_uint_t        status;
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

    case CANARY_BAD_WEIGHT:
        canary_json_error(&w->errors, &at_weight, "has to be %s",
                          ngx_http_canary_weight_range.range);
        return ngx_http_canary_problem_body(w->request, &w->errors);

    default: /* CANARY_CHANGED, CANARY_UNCHANGED */
        break;
    }

    ngx_http_canary_snapshot(w->endpoint, &w->snapshot);

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
