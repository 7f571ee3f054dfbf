
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_REMEMBER_H_INCLUDED_
#define _NGX_CANARY_REMEMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_shared.h"


/* what is not configured any more, under the
   lock */


/* memory, not zeroed, for something that is configured: what is not in use
   gives way to it; or for something that may not be, and then takes what is
   left; NULL: the zone is full */
void *ngx_canary_alloc(ngx_canary_zone_t *zone, size_t size);
void *ngx_canary_alloc_for(ngx_canary_zone_t *zone,
    ngx_uint_t configured, size_t size);

/* frees something that is not in use; 0: there is nothing */
ngx_uint_t ngx_canary_give_way(ngx_canary_zone_t *zone);

/* an endpoint's keys that have counted, for a configuration that needs them;
   NGX_ERROR: the zone is full */
ngx_int_t ngx_canary_provide_keys(ngx_canary_shared_t *shared,
    ngx_uint_t serial);

/* whether the control loop looks at it, and may be on its way to it */
ngx_uint_t ngx_canary_is_active(ngx_canary_shared_t *shared);

/* makes the place of a release, which is not in use, free for another */
void ngx_canary_forget_release(ngx_canary_shared_t *shared, ngx_uint_t id);

/* takes an endpoint out of the list, and frees it */
void ngx_canary_remove_shared(ngx_canary_zone_t *zone,
    ngx_canary_shared_t **place);


#endif /* _NGX_CANARY_REMEMBER_H_INCLUDED_ */
