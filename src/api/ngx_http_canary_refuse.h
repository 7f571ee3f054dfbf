
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_REFUSE_H_INCLUDED_
#define _NGX_HTTP_CANARY_REFUSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_json.h"

#include "ngx_http_canary_dialect.h"


/* Errors, in the dialect of the location. */


#define NGX_HTTP_CANARY_DETAIL  2048


/* the format is that of ngx_slprintf() */
ngx_int_t ngx_http_canary_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);

/* 503, with whether anything was changed */
ngx_int_t ngx_http_canary_refuse_fleet(ngx_http_request_t *r,
    ngx_http_canary_changed_e changed, const char *fmt, ...);

/* 400, with what is wrong in the body */
ngx_int_t ngx_http_canary_refuse_body(ngx_http_request_t *r,
    const canary_json_errors_t *errors);

/* 413 */
ngx_int_t ngx_http_canary_refuse_size(ngx_http_request_t *r);

/* 409, with the verbs that apply, bits of 1 << canary_verb_t */
ngx_int_t ngx_http_canary_refuse_verb(ngx_http_request_t *r, uint32_t verbs,
    const char *fmt, ...);


#endif /* _NGX_HTTP_CANARY_REFUSE_H_INCLUDED_ */
