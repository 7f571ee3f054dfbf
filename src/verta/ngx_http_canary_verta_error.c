
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_verta_error.h"

#include "canary_json.h"

#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_body.h"
#include "ngx_http_canary_api_render.h"


#define NGX_HTTP_CANARY_VERTA_MESSAGE  2048


static ngx_int_t ngx_http_canary_verta_send_error(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *message);
static ngx_uint_t ngx_http_canary_verta_code(ngx_uint_t status);


ngx_int_t
ngx_http_canary_verta_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char     buf[NGX_HTTP_CANARY_VERTA_MESSAGE];
    va_list    args;
    ngx_str_t  message;

    va_start(args, fmt);
    message.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;
    va_end(args);

    message.data = buf;

    return ngx_http_canary_verta_send_error(r, status, &message);
}


/* the client shows the message, and nothing else */

ngx_int_t
ngx_http_canary_verta_error_body(ngx_http_request_t *r,
    canary_json_errors_t *errors)
{
    u_char                buf[NGX_HTTP_CANARY_VERTA_MESSAGE], *p, *last;
    unsigned              i;
    ngx_str_t             message;
    canary_json_error_t  *error;

    p = buf;
    last = buf + sizeof(buf);

    for (i = 0; i < errors->n; i++) {
        error = &errors->list[i];

        p = ngx_slprintf(p, last, "%s%s%s%s", i ? "; " : "", error->pointer,
                         error->pointer[0] ? ": " : "the body: ",
                         error->detail);
    }

    message.len = p - buf;
    message.data = buf;

    return ngx_http_canary_verta_send_error(r, NGX_HTTP_BAD_REQUEST,
                                            &message);
}


ngx_int_t
ngx_http_canary_verta_too_large(ngx_http_request_t *r)
{
    r->keepalive = 0;

    return ngx_http_canary_verta_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "the body is larger than %O bytes",
                                       ngx_http_canary_api_body_max(r));
}


static ngx_int_t
ngx_http_canary_verta_send_error(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *message)
{
    int     failed;
    cJSON  *json;

    failed = 0;

    json = cJSON_CreateObject();

    canary_json_add_number(json, "code", ngx_http_canary_verta_code(status),
                           0, &failed);
    ngx_http_canary_render_name(json, "message", message, r->pool, &failed);

    return ngx_http_canary_answer_json(r, status, json, failed);
}


/* of gRPC: the client tells by 5 what is not there, whatever the status */

static ngx_uint_t
ngx_http_canary_verta_code(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return 3;

    case NGX_HTTP_UNAUTHORIZED:
        return 16;

    case NGX_HTTP_FORBIDDEN:
        return 7;

    case NGX_HTTP_NOT_FOUND:
        return 5;

    case NGX_HTTP_NOT_ALLOWED:
        return 12;

    case NGX_HTTP_CONFLICT:
        return 10;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return 11;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return 14;

    default:
        return 13;
    }
}
