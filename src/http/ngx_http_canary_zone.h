
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_ZONE_H_INCLUDED_
#define _NGX_HTTP_CANARY_ZONE_H_INCLUDED_


#include "ngx_http_canary_endpoint.h"


/* The zone in shared memory, and what registers there. */


#define NGX_HTTP_CANARY_REMEMBER       100   /* reloads, of what is gone */


/* ngx_http_canary_zone.c */

char *ngx_http_canary_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_canary_add_zone(ngx_conf_t *cf,
    ngx_http_canary_main_conf_t *cmcf);

/* why a rollout cannot begin, zero-terminated */
void ngx_http_canary_zone_full(ngx_http_canary_main_conf_t *cmcf,
    u_char *text, size_t size);

/* the running configuration; NULL without http{} or without an endpoint */
ngx_http_canary_main_conf_t *ngx_http_canary_running(void);


/* ngx_http_canary_process.c */

/* the slot of this process */
extern ngx_uint_t  ngx_http_canary_slot;

void ngx_http_canary_enter_process(ngx_http_canary_main_conf_t *cmcf);
void ngx_http_canary_leave_process(ngx_http_canary_main_conf_t *cmcf);

/* under the lock: takes out what dead processes have left */
void ngx_http_canary_reap(ngx_http_canary_zone_shared_t *sh,
    ngx_slab_pool_t *shpool, uint64_t now);

/* under the lock: whether a process is alive that has a configuration with
   one of these serial numbers */
ngx_uint_t ngx_http_canary_serial_alive(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t first, ngx_uint_t last);


/* ngx_http_canary_registry.c: endpoints and releases in the zone */

/* additive: may run while an older configuration serves; NGX_ERROR: the
   zone is full; NGX_DECLINED: too many names of releases are in use */
ngx_int_t ngx_http_canary_register(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* under the lock: the id of a release, a new one if need be;
   CANARY_NO_RELEASE: the zone is full, or the table is */
ngx_uint_t ngx_http_canary_add_place(
    ngx_http_canary_main_conf_t *cmcf, ngx_http_canary_shared_t *shared,
    ngx_str_t *name);

/* under the lock: an endpoint by its name; NULL: there is none, and the zone
   is full */
ngx_http_canary_shared_t *ngx_http_canary_find_shared(
    ngx_http_canary_zone_shared_t *sh, ngx_str_t *name);
ngx_http_canary_shared_t *ngx_http_canary_create_shared(
    ngx_http_canary_main_conf_t *cmcf, ngx_str_t *name);

/* under the lock: no live process has a configuration with that name */
ngx_uint_t ngx_http_canary_unused(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_release_shared_t *place);

/* bytes of a zone that is large enough for the configuration */
size_t ngx_http_canary_zone_needed(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots);
size_t ngx_http_canary_zone_wanted(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots, ngx_uint_t workers);


/* ngx_http_canary_reconcile.c: a new configuration is certain */

/* forgets what no one refers to, and rolls back what has lost its release */
void ngx_http_canary_reconcile(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* under the lock: rolls back what has lost its release */
void ngx_http_canary_check_endpoints(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* under the lock: rolls back to that release, for a reason or because the
   canary or stable is no longer configured */
void ngx_http_canary_release_gone(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_shared_t *shared, ngx_uint_t stable, char *reason,
    ngx_log_t *log);


/* ngx_http_canary_import.c */

/* copies the state of the endpoints of another zone, cmcf->old */
ngx_int_t ngx_http_canary_import(ngx_http_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_ZONE_H_INCLUDED_ */
