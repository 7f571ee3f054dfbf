
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_problem.h"

#include "canary_rollout.h"
#include "canary_json.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_render.h"


#define NGX_HTTP_CANARY_DETAIL  1024


static cJSON *ngx_http_canary_make_problem(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *detail, int *failed);
static const char *ngx_http_canary_title(ngx_uint_t status);


ngx_int_t
ngx_http_canary_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    int        failed;
    cJSON     *json;
    u_char     buf[NGX_HTTP_CANARY_DETAIL];
    va_list    args;
    ngx_str_t  detail;

    va_start(args, fmt);
    detail.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    detail.data = buf;
    failed = 0;

    json = ngx_http_canary_make_problem(r, status, &detail, &failed);

    return ngx_http_canary_answer(r, status, json, failed);
}


ngx_int_t
ngx_http_canary_problem_verbs(ngx_http_request_t *r, uint32_t verbs,
    const char *fmt, ...)
{
    int         failed;
    cJSON      *json, *list;
    u_char      buf[NGX_HTTP_CANARY_DETAIL], *p, *last;
    va_list     args;
    ngx_str_t   detail;
    ngx_uint_t  verb;

    /* beginning to start is one thing, whatever the strategy */

    verbs &= ~(1u << CANARY_DIRECT);

    last = buf + sizeof(buf);

    va_start(args, fmt);
    p = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    for (verb = 0; verb < CANARY_VERBS; verb++) {
        if (verbs & 1u << verb) {
            p = ngx_slprintf(p, last, "%s%s",
                             (verbs & ((1u << verb) - 1))
                             ? ", " : "; what applies now: ",
                             canary_verb_name(verb));
        }
    }

    detail.len = p - buf;
    detail.data = buf;
    failed = 0;

    json = ngx_http_canary_make_problem(r, NGX_HTTP_CONFLICT, &detail,
                                        &failed);

    list = canary_json_add_array(json, "applicable", &failed);

    for (verb = 0; verb < CANARY_VERBS; verb++) {
        if (verbs & 1u << verb) {
            canary_json_add_text(list, NULL, canary_verb_name(verb), &failed);
        }
    }

    return ngx_http_canary_answer(r, NGX_HTTP_CONFLICT, json, failed);
}


ngx_int_t
ngx_http_canary_problem_body(ngx_http_request_t *r,
    canary_json_errors_t *errors)
{
    int                   failed;
    cJSON                *json, *list, *item;
    u_char                buf[NGX_HTTP_CANARY_DETAIL];
    unsigned              i;
    ngx_str_t             detail;
    canary_json_error_t  *error;

    error = errors->list;

    if (errors->total == 1) {
        detail.len = ngx_slprintf(buf, buf + sizeof(buf), "%s%s%s",
                                  error->pointer, error->pointer[0]
                                                  ? ": " : "the body: ",
                                  error->detail)
                     - buf;
    } else {
        detail.len = ngx_slprintf(buf, buf + sizeof(buf),
                                  "%ud errors in the body%s", errors->total,
                                  (errors->total > errors->n)
                                  ? ", of which the first are listed" : "")
                     - buf;
    }

    detail.data = buf;
    failed = 0;

    json = ngx_http_canary_make_problem(r, NGX_HTTP_BAD_REQUEST, &detail,
                                        &failed);

    list = canary_json_add_array(json, "errors", &failed);

    for (i = 0; i < errors->n; i++) {
        item = canary_json_add_object(list, NULL, &failed);

        canary_json_add_text(item, "pointer", error[i].pointer, &failed);
        canary_json_add_text(item, "detail", error[i].detail, &failed);
    }

    return ngx_http_canary_answer(r, NGX_HTTP_BAD_REQUEST, json, failed);
}


ngx_int_t
ngx_http_canary_problem_too_large(ngx_http_request_t *r)
{
    r->keepalive = 0;

    return ngx_http_canary_problem(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                   "the body is larger than %O bytes",
                                   ngx_http_canary_api_body_max(r));
}


static cJSON *
ngx_http_canary_make_problem(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *detail, int *failed)
{
    cJSON  *json;

    json = cJSON_CreateObject();

    canary_json_add_text(json, "type", "about:blank", failed);
    canary_json_add_text(json, "title", ngx_http_canary_title(status),
                         failed);
    canary_json_add_number(json, "status", status, 0, failed);

    ngx_http_canary_render_name(json, "detail", detail, r->pool, failed);

    return json;
}


/* with "about:blank" the title is the one that HTTP has (RFC 9110, 15.5) */

static const char *
ngx_http_canary_title(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return "Bad Request";

    case NGX_HTTP_UNAUTHORIZED:
        return "Unauthorized";

    case NGX_HTTP_FORBIDDEN:
        return "Forbidden";

    case NGX_HTTP_NOT_FOUND:
        return "Not Found";

    case NGX_HTTP_NOT_ALLOWED:
        return "Method Not Allowed";

    case NGX_HTTP_CONFLICT:
        return "Conflict";

    case NGX_HTTP_PRECONDITION_FAILED:
        return "Precondition Failed";

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "Content Too Large";

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "Service Unavailable";

    default:
        return "Internal Server Error";
    }
}
