
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_CONTROL_H_INCLUDED_
#define _NGX_CANARY_CONTROL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* The control loop. */


/* a process of a configuration begins */
void ngx_canary_begin_process(ngx_canary_main_conf_t *cmcf);

ngx_msec_t ngx_canary_manager(void *data);

/* what it does each time; returns ms until it has something to do again */
ngx_msec_t ngx_canary_tick(ngx_canary_main_conf_t *cmcf);

void ngx_canary_start_timer(void);

/* the last word in the state file, when the process ends */
void ngx_canary_finish(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_CONTROL_H_INCLUDED_ */
