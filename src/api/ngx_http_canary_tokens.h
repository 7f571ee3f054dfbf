
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_
#define _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* canary_api_tokens */


char *ngx_http_canary_api_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_CANARY_TOKENS_H_INCLUDED_ */
