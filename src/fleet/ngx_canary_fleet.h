
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_H_INCLUDED_
#define _NGX_CANARY_FLEET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_lead.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/*
 * Several machines as one.  Without canary_fleet there is nothing of it, nor
 * in a module that was built without hiredis (ngx_canary_fleet_none.c).
 */


/* the directive of http{} */
char *ngx_canary_fleet_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * When all of http{} has been read: its resolver, which is asked for names if
 * the directive says so.  NGX_ERROR: it is needed, and there is none.
 */

ngx_int_t ngx_canary_fleet_resolver(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf, ngx_resolver_t *resolver,
    ngx_msec_t timeout);

/*
 * A new configuration is certain, and its zone is about to be filled: the part
 * of the fleet in it.
 */

void ngx_canary_fleet_begin(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);

/* each time the control loop comes by */
void ngx_canary_fleet(ngx_canary_main_conf_t *cmcf, uint64_t now);

/*
 * Before a look at a rollout, under the lock: what the leader has told of it is
 * obeyed.  Returns the fleet's test if this nginx leads, else NULL.
 */

canary_lead_t *ngx_canary_fleet_lead(ngx_canary_shared_t *shared,
    uint64_t now);

/* under the lock: what this nginx is, and whether all endpoints serve stable */
void ngx_canary_fleet_set_state(ngx_canary_zone_t *zone, ngx_uint_t state,
    ngx_uint_t stable);

/* the process ends */
void ngx_canary_fleet_finish(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_FLEET_H_INCLUDED_ */
