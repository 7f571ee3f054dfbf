
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_STATE_PATH_H_INCLUDED_
#define _NGX_CANARY_STATE_PATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* the directive */
char *ngx_canary_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* refuses what is no directory for the state, and does not touch it */
ngx_int_t ngx_canary_add_state_path(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_STATE_PATH_H_INCLUDED_ */
