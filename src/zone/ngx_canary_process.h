
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_PROCESS_H_INCLUDED_
#define _NGX_CANARY_PROCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* the slot of this process */
extern ngx_uint_t  ngx_canary_slot;

void ngx_canary_enter_process(ngx_canary_main_conf_t *cmcf);
void ngx_canary_leave_process(ngx_canary_main_conf_t *cmcf);

/* under the lock: so many are going to be started with a configuration, which
   is in use from now on */
void ngx_canary_expect_processes(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t n, ngx_log_t *log);

/* under the lock: whether a process has died, and once what it has left undone
   is mended, takes it out; see ngx_canary_bury( */
ngx_uint_t ngx_canary_has_dead(ngx_canary_zone_t *zone);
void ngx_canary_reap(ngx_canary_zone_t *zone);


#endif /* _NGX_CANARY_PROCESS_H_INCLUDED_ */
