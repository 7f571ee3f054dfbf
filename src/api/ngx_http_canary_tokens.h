
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_
#define _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Bearer tokens, of which only hashes are known. */


#define NGX_HTTP_CANARY_TOKEN_HASH  32    /* bytes of SHA-256 */
#define NGX_HTTP_CANARY_TOKEN_NAME  63    /* bytes, as an actor has room for */


typedef struct {
    ngx_str_t            name;
    ngx_uint_t           operator;        /* may write */
    ngx_uint_t           line;            /* of the file */
    u_char               hash[NGX_HTTP_CANARY_TOKEN_HASH];
} ngx_http_canary_token_t;


/* canary_api_tokens */


char *ngx_http_canary_api_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_ */
