
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_api_request.h"

#include "canary_rollout.h"
#include "canary_split.h"
#include "canary_json.h"
#include "canary_strategy_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_api_write.h"


/* The body of a write, made a change. */


static void ngx_http_canary_read_reason(ngx_http_canary_write_t *w);
static void ngx_http_canary_prepare_start(ngx_http_canary_write_t *w);
static ngx_canary_release_t *ngx_http_canary_named_release(
    ngx_http_canary_write_t *w);
static ngx_canary_release_t *ngx_http_canary_other_release(
    ngx_http_canary_write_t *w);
static u_char *ngx_http_canary_release_names(u_char *buf, size_t size,
    ngx_canary_endpoint_t *endpoint);
static void ngx_http_canary_prepare_patch(ngx_http_canary_write_t *w);


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


ngx_int_t
ngx_http_canary_read_write(ngx_http_canary_write_t *w, const cJSON *body)
{
    unsigned     n;
    const char  *const  *names;

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

    if (!canary_json_members(body, NULL, names, n, w->members, &w->errors)) {
        return NGX_ERROR;
    }

    ngx_http_canary_read_reason(w);

    return NGX_OK;
}


static void
ngx_http_canary_read_reason(ngx_http_canary_write_t *w)
{
    const char       *reason;
    const cJSON      *value;
    canary_json_at_t  at = { NULL, "reason", 0 };

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


/*
 * Start and PATCH begin with what there is, so that has to be so still when
 * they are carried out.
 */

void
ngx_http_canary_prepare_write(ngx_http_canary_write_t *w)
{
    w->change.command.verb = w->verb;

    if (w->verb != CANARY_START && w->verb != CANARY_PATCH) {
        return;
    }

    ngx_canary_copy_rollout(w->endpoint, &w->rollout);

    w->match.pinned = 1;
    w->match.expected = w->rollout.generation;

    if (w->verb == CANARY_START) {
        ngx_http_canary_prepare_start(w);

    } else {
        ngx_http_canary_prepare_patch(w);
    }
}


static void
ngx_http_canary_prepare_start(ngx_http_canary_write_t *w)
{
    ngx_canary_release_t   *release;
    canary_strategy_kind_t  kind;

    w->strategy = w->endpoint->strategy;

    kind = canary_strategy_json_read(
                                  w->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  w->members[NGX_HTTP_CANARY_MEMBER_PARTS],
                                  NULL, &w->strategy, &w->errors);

    if (kind == CANARY_STRATEGY_DIRECT) {
        w->change.command.verb = CANARY_DIRECT;
    }

    w->change.command.strategy = &w->strategy;

    release = ngx_http_canary_named_release(w);

    if (release) {
        w->change.command.release = release->id;
    }
}


static ngx_canary_release_t *
ngx_http_canary_named_release(ngx_http_canary_write_t *w)
{
    u_char                 names[CANARY_JSON_DETAIL_MAX];
    ngx_uint_t             i;
    const cJSON           *value;
    canary_json_at_t       at = { NULL, "release", 0 };
    ngx_canary_release_t  *release;

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

static ngx_canary_release_t *
ngx_http_canary_other_release(ngx_http_canary_write_t *w)
{
    u_char                 names[CANARY_JSON_DETAIL_MAX];
    uint32_t               stable;
    canary_json_at_t       at = { NULL, "release", 0 };
    ngx_canary_release_t  *release;

    release = w->endpoint->releases.elts;
    stable = w->rollout.stable;

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
ngx_http_canary_prepare_patch(ngx_http_canary_write_t *w)
{
    uint64_t                weight;
    const cJSON            *parts, *value;
    canary_command_t       *command;
    canary_json_at_t        at_weight = { NULL, "weight", 0 };
    canary_json_at_t        at_strategy = { NULL, "strategy", 0 };
    canary_strategy_kind_t  kind;

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

    w->strategy = w->rollout.strategy;

    kind = canary_strategy_json_read(
                                  w->members[NGX_HTTP_CANARY_MEMBER_STRATEGY],
                                  parts, NULL, &w->strategy, &w->errors);

    if (kind == CANARY_STRATEGY_DIRECT) {
        canary_json_error(&w->errors, &at_strategy, "cannot become \"direct\" "
                          "while a rollout runs; \"promote\" ends it so");
    }

    command->strategy = parts ? &w->strategy : NULL;
}
