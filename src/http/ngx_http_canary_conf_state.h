
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_CONF_STATE_H_INCLUDED_
#define _NGX_HTTP_CANARY_CONF_STATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* refuses what is no directory for the state, and does not touch it */
ngx_int_t ngx_http_canary_add_state_path(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_CONF_STATE_H_INCLUDED_ */
