
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

/* for a configuration without an endpoint: whether the one before leaves
   something that is to end, or to be written, and so needs its zone and state
   path, which are taken over unless there are others; NGX_ERROR: no memory */
ngx_int_t ngx_http_canary_outlived(ngx_conf_t *cf,
    ngx_http_canary_main_conf_t *cmcf);

/* a configuration without a zone is certain: whoever still has the one before
   begins nothing in it */
void ngx_http_canary_close_zone(void);

/* of a configuration with a zone that knows nothing, before it is in use:
   whether it follows, by a reload, one that had no zone */
ngx_uint_t ngx_http_canary_came_back(ngx_http_canary_main_conf_t *cmcf);

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

/* under the lock: so many are going to be started with a configuration, which
   is in use from now on */
void ngx_http_canary_expect_processes(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t n, ngx_log_t *log);

/* under the lock: whether a process has died, and once what it has left undone
   is mended, takes it out; see ngx_http_canary_bury( */
ngx_uint_t ngx_http_canary_has_dead(ngx_http_canary_zone_shared_t *sh);
void ngx_http_canary_reap(ngx_http_canary_zone_shared_t *sh);


/* ngx_http_canary_registry.c: endpoints and releases in the zone */

/* may run while an older configuration serves, and takes nothing from it;
   NGX_ERROR: the zone is full; NGX_DECLINED: too many names of releases are in
   use */
ngx_int_t ngx_http_canary_register(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* what was registered for a configuration that has failed */
void ngx_http_canary_unregister(ngx_http_canary_main_conf_t *cmcf);

/* under the lock: the id of a release that is only remembered, unless it is
   configured; CANARY_NO_RELEASE: the zone is full, or the table is.  With
   "rollout" another one gives way that is in neither its roles nor use. */
ngx_uint_t ngx_http_canary_remember_place(ngx_http_canary_shared_t *shared,
    ngx_str_t *name, ngx_uint_t serial, const canary_rollout_t *rollout);

/* under the lock: an endpoint by its name; NULL: there is none */
ngx_http_canary_shared_t *ngx_http_canary_find_shared(
    ngx_http_canary_zone_shared_t *sh, ngx_str_t *name);

/* under the lock: one that was named last by the configuration "serial", or
   that the one which is being registered wants; NULL: the zone is full */
ngx_http_canary_shared_t *ngx_http_canary_create_shared(
    ngx_http_canary_zone_shared_t *sh, ngx_str_t *name, ngx_uint_t serial,
    ngx_uint_t wanted);

/* bytes of a zone that is large enough for the configuration */
size_t ngx_http_canary_zone_needed(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots);
size_t ngx_http_canary_zone_wanted(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t nslots, ngx_uint_t workers);


/* ngx_http_canary_remember.c: what is not configured any more, under the
   lock */

/* memory, not zeroed, for something that is configured: what is not in use
   gives way to it; or for something that may not be, and then takes what is
   left; NULL: the zone is full */
void *ngx_http_canary_alloc(ngx_http_canary_zone_shared_t *sh, size_t size);
void *ngx_http_canary_alloc_for(ngx_http_canary_zone_shared_t *sh,
    ngx_uint_t configured, size_t size);

/* frees something that is not in use; 0: there is nothing */
ngx_uint_t ngx_http_canary_give_way(ngx_http_canary_zone_shared_t *sh);

/* whether the control loop looks at it, and may be on its way to it */
ngx_uint_t ngx_http_canary_is_active(ngx_http_canary_shared_t *shared);

/* makes the place of a release, which is not in use, free for another */
void ngx_http_canary_forget_release(ngx_http_canary_shared_t *shared,
    ngx_uint_t id);

/* takes an endpoint out of the list, and frees it */
void ngx_http_canary_remove_shared(ngx_http_canary_zone_shared_t *sh,
    ngx_http_canary_shared_t **place);


/* ngx_http_canary_reconcile.c: a new configuration is certain */

/* forgets what no one refers to, and rolls back what has lost its release */
void ngx_http_canary_reconcile(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);


/* ngx_http_canary_import.c */

/* copies the state of the endpoints of another zone, cmcf->old; NGX_ERROR: the
   zone is too small for those that are configured */
ngx_int_t ngx_http_canary_import(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);


#endif /* _NGX_HTTP_CANARY_ZONE_H_INCLUDED_ */
