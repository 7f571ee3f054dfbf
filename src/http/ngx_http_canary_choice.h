
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_CHOICE_H_INCLUDED_
#define _NGX_HTTP_CANARY_CHOICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_request.h"


/* the context, whose last choice is that of the endpoint; NULL: no memory */
ngx_http_canary_ctx_t *ngx_http_canary_choose(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);

/* the release of a request, which may never come to the endpoint: the first
   choice, whatever became of it; NULL: no memory */
ngx_canary_release_t *ngx_http_canary_ask(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);

/* of an attempt on what was chosen by a key: the hash of that */
uint32_t ngx_http_canary_attempt_key(ngx_canary_attempt_t *attempt);

/* whether the string of an attempt's own request is neither empty nor 0 */
ngx_uint_t ngx_http_canary_attempt_is_set(ngx_canary_attempt_t *attempt,
    ngx_canary_string_t *string);

/* contexts that no request has, when the process ends */
void ngx_http_canary_free_spare(void);

/* NULL: the request has not come to an endpoint */
ngx_http_canary_choice_t *ngx_http_canary_last_choice(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_CHOICE_H_INCLUDED_ */
