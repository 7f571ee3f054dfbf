
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ZONE_H_INCLUDED_
#define _NGX_CANARY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* The zone in shared memory, and what registers there. */


#define NGX_CANARY_REMEMBER            100   /* reloads, of what is gone */


/* the directive */
char *ngx_canary_zone_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

ngx_int_t ngx_canary_add_zone(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf);

/* for a configuration without an endpoint: whether the one before leaves
   something that is to end, or to be written, and so needs its zone and state
   path, which are taken over unless there are others; NGX_ERROR: no memory */
ngx_int_t ngx_canary_outlived(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf);

/* a configuration without a zone is certain: whoever still has the one before
   begins nothing in it */
void ngx_canary_close_zone(void);

/* of a configuration with a zone that knows nothing, before it is in use:
   whether it follows, by a reload, one that had no zone */
ngx_uint_t ngx_canary_came_back(ngx_canary_main_conf_t *cmcf);

/* why a rollout cannot begin, zero-terminated */
void ngx_canary_zone_full(ngx_canary_main_conf_t *cmcf,
    u_char *text, size_t size);

/* of a cycle; NULL: it was made without the module */

static ngx_inline ngx_canary_main_conf_t *
ngx_canary_conf(ngx_cycle_t *cycle)
{
    return (ngx_canary_main_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                                   ngx_canary_module);
}


/* the running configuration; NULL without an endpoint */
ngx_canary_main_conf_t *ngx_canary_running(void);


#endif /* _NGX_CANARY_ZONE_H_INCLUDED_ */
