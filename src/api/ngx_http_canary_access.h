
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_ACCESS_H_INCLUDED_
#define _NGX_HTTP_CANARY_ACCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_event.h"

#include "ngx_http_canary_tokens.h"


/*
 * The token of a request, of those that are in force at its location.
 * NGX_DECLINED: it has none; NGX_ERROR: it has one that is not known.
 */

ngx_int_t ngx_http_canary_find_token(ngx_http_request_t *r,
    ngx_http_canary_token_t **token);

/* Who it is that asks. */

void ngx_http_canary_find_actor(ngx_http_request_t *r, canary_actor_t *actor);

/* When the configuration is read: whether nginx has auth_basic. */

void ngx_http_canary_find_basic(ngx_conf_t *cf);


#endif /* _NGX_HTTP_CANARY_ACCESS_H_INCLUDED_ */
