
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_openapi.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_answer.h"


/* openapi.json, made a C string when the module is built: see config.make */

static u_char  ngx_http_canary_openapi_text[] =
#include "ngx_http_canary_openapi_text.h"
;


ngx_int_t
ngx_http_canary_api_openapi(ngx_http_request_t *r, ngx_canary_endpoint_t *none)
{
    ngx_str_t  text;

    text.data = ngx_http_canary_openapi_text;
    text.len = sizeof(ngx_http_canary_openapi_text) - 1;

    return ngx_http_canary_answer_text(r, NGX_HTTP_OK, &text);
}
