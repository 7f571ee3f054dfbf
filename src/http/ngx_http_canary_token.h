
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_TOKEN_H_INCLUDED_
#define _NGX_HTTP_CANARY_TOKEN_H_INCLUDED_


#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_endpoint.h"


/* Bearer tokens, of which only hashes are known. */


#define NGX_HTTP_CANARY_TOKEN_HASH  32    /* bytes of SHA-256 */
#define NGX_HTTP_CANARY_TOKEN_NAME  63    /* bytes, as an actor has room for */


typedef struct {
    ngx_str_t            name;
    ngx_uint_t           operator;        /* may write */
    ngx_uint_t           line;            /* of the file */
    u_char               hash[NGX_HTTP_CANARY_TOKEN_HASH];
} ngx_http_canary_token_t;


/* ngx_http_canary_tokens.c: canary_api_tokens */

char *ngx_http_canary_api_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_http_canary_access.c */

/*
 * The token of a request, of those that are in force at its location.
 * NGX_DECLINED: it has none; NGX_ERROR: it has one that is not known.
 */

ngx_int_t ngx_http_canary_find_token(ngx_http_request_t *r,
    ngx_http_canary_token_t **token);

/*
 * Whether it may read, or write: NGX_DECLINED if nothing speaks against it,
 * else what came of the answer, 401 or 403.
 */

ngx_int_t ngx_http_canary_check_token(ngx_http_request_t *r,
    ngx_uint_t write);

/* Who it is that asks. */

void ngx_http_canary_find_actor(ngx_http_request_t *r,
    canary_actor_t *actor);

/* When the configuration is read: whether nginx has auth_basic. */

void ngx_http_canary_find_basic(ngx_conf_t *cf);


#endif /* _NGX_HTTP_CANARY_TOKEN_H_INCLUDED_ */
