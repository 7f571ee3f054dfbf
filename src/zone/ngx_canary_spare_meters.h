
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_SPARE_METERS_H_INCLUDED_
#define _NGX_CANARY_SPARE_METERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_shared.h"


/* Meters that nobody uses, under the lock. */


/* a meter of zeros, unless there is one; NGX_ERROR: the zone is full */
ngx_int_t ngx_canary_add_meter(ngx_canary_zone_t *zone,
    ngx_canary_meter_t **meter);

/* gives one up, if there is one; or all of a release that no process uses,
   and what they counted is forgotten */
void ngx_canary_put_meter(ngx_canary_zone_t *zone, ngx_canary_meter_t **meter);
void ngx_canary_forget_meters(ngx_canary_shared_t *shared,
    ngx_canary_release_shared_t *place);

/* gives the zone back what it can be given of meters that were given up; 0:
   nothing */
ngx_uint_t ngx_canary_free_spare_meters(ngx_canary_zone_t *zone);


#endif /* _NGX_CANARY_SPARE_METERS_H_INCLUDED_ */
