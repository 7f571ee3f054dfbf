
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_refuse.h"

#include "ngx_http_canary_dialect.h"


static ngx_int_t ngx_http_canary_refuse_va(ngx_http_request_t *r,
    ngx_http_canary_refusal_t *why, const char *fmt, va_list args);


ngx_int_t
ngx_http_canary_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    va_list                    args;
    ngx_int_t                  rc;
    ngx_http_canary_refusal_t  why = { status, ngx_null_string, NULL, 0,
                                       NGX_HTTP_CANARY_NOT_SAID };

    va_start(args, fmt);
    rc = ngx_http_canary_refuse_va(r, &why, fmt, args);
    va_end(args);

    return rc;
}


ngx_int_t
ngx_http_canary_refuse_verb(ngx_http_request_t *r, uint32_t verbs,
    const char *fmt, ...)
{
    va_list                    args;
    ngx_int_t                  rc;
    ngx_http_canary_refusal_t  why = {
        NGX_HTTP_CONFLICT, ngx_null_string, NULL, verbs,
        NGX_HTTP_CANARY_NOT_SAID
    };

    /* beginning to start is one thing, whatever the strategy */

    why.verbs &= ~(1u << CANARY_DIRECT);

    va_start(args, fmt);
    rc = ngx_http_canary_refuse_va(r, &why, fmt, args);
    va_end(args);

    return rc;
}


ngx_int_t
ngx_http_canary_refuse_fleet(ngx_http_request_t *r,
    ngx_http_canary_changed_e changed, const char *fmt, ...)
{
    va_list                    args;
    ngx_int_t                  rc;
    ngx_http_canary_refusal_t  why = {
        NGX_HTTP_SERVICE_UNAVAILABLE, ngx_null_string, NULL, 0, changed
    };

    va_start(args, fmt);
    rc = ngx_http_canary_refuse_va(r, &why, fmt, args);
    va_end(args);

    return rc;
}


static ngx_int_t
ngx_http_canary_refuse_va(ngx_http_request_t *r,
    ngx_http_canary_refusal_t *why, const char *fmt, va_list args)
{
    u_char  buf[NGX_HTTP_CANARY_DETAIL];

    why->text.data = buf;
    why->text.len = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args) - buf;

    return ngx_http_canary_location(r)->dialect->refuse(r, why);
}


ngx_int_t
ngx_http_canary_refuse_body(ngx_http_request_t *r,
    const canary_json_errors_t *errors)
{
    ngx_http_canary_refusal_t  why = {
        NGX_HTTP_BAD_REQUEST, ngx_null_string, errors, 0,
        NGX_HTTP_CANARY_NOT_SAID
    };

    return ngx_http_canary_location(r)->dialect->refuse(r, &why);
}


ngx_int_t
ngx_http_canary_refuse_size(ngx_http_request_t *r)
{
    r->keepalive = 0;

    return ngx_http_canary_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                  "the body is larger than %O bytes",
                                  ngx_http_canary_location(r)->body_max);
}
