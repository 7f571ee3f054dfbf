
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_CONTROL_H_INCLUDED_
#define _NGX_HTTP_CANARY_CONTROL_H_INCLUDED_


#include "ngx_http_canary_endpoint.h"


/* The control loop. */


/* a process of a configuration begins */
void ngx_http_canary_begin_process(ngx_http_canary_main_conf_t *cmcf);

ngx_msec_t ngx_http_canary_manager(void *data);

/* what it does each time; returns ms until it has something to do again */
ngx_msec_t ngx_http_canary_tick(ngx_http_canary_main_conf_t *cmcf);

void ngx_http_canary_start_timer(void);

/* the last word in the state file, when the process ends */
void ngx_http_canary_finish(ngx_http_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_CONTROL_H_INCLUDED_ */
