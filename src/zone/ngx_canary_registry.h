
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_REGISTRY_H_INCLUDED_
#define _NGX_CANARY_REGISTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* endpoints and releases in the zone */


/* may run while an older configuration serves, and takes nothing from it;
   NGX_ERROR: the zone is full; NGX_DECLINED: too many names of releases are in
   use */
ngx_int_t ngx_canary_register(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);

/* what was registered for a configuration that has failed */
void ngx_canary_unregister(ngx_canary_main_conf_t *cmcf);

/* under the lock: the id of a release that is only remembered, unless it is
   configured; CANARY_NO_RELEASE: the zone is full, or the table is.  With
   "rollout" another one gives way that is in neither its roles nor use. */
ngx_uint_t ngx_canary_remember_place(ngx_canary_shared_t *shared,
    ngx_str_t *name, ngx_uint_t serial, const canary_rollout_t *rollout);

/* under the lock: an endpoint by its name; NULL: there is none */
ngx_canary_shared_t *ngx_canary_find_shared(
    ngx_canary_zone_t *zone, ngx_str_t *name);

/* that of a configuration which an endpoint in the zone is; NULL: none */
ngx_canary_endpoint_t *ngx_canary_endpoint_of(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared);

/* under the lock: one that was named last by the configuration "serial", or
   that the one which is being registered wants; NULL: the zone is full */
ngx_canary_shared_t *ngx_canary_create_shared(ngx_canary_zone_t *zone,
    ngx_str_t *name, ngx_uint_t serial, ngx_uint_t wanted);

/* bytes of a zone that is large enough for the configuration */
size_t ngx_canary_zone_needed(ngx_canary_main_conf_t *cmcf, ngx_uint_t nslots);
size_t ngx_canary_zone_wanted(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t nslots, ngx_uint_t workers);

/* of one that has room for what cmcf->old knows of these endpoints, too */
size_t ngx_canary_zone_kept(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_REGISTRY_H_INCLUDED_ */
