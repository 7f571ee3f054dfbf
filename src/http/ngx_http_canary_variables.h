
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_CANARY_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


ngx_int_t ngx_http_canary_add_variables(ngx_conf_t *cf);

/* those named after endpoints, when all of these are known */
ngx_int_t ngx_http_canary_add_release_variables(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_VARIABLES_H_INCLUDED_ */
