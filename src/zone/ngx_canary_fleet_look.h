
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_LOOK_H_INCLUDED_
#define _NGX_CANARY_FLEET_LOOK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_view.h"
#include "ngx_canary_shared.h"


/* NGX_DECLINED, in all of these: there is no fleet */

ngx_int_t ngx_canary_fleet_self(ngx_canary_zone_t *zone,
    ngx_canary_fleet_self_t *self);

/* with its nodes: of a view, all but what is to be forgotten */
ngx_int_t ngx_canary_fleet_copy(ngx_canary_zone_t *zone,
    ngx_canary_fleet_self_t *self, ngx_canary_fleet_view_t *view);

/*
 * Under the lock: records of endpoints that are not configured here, which the
 * state file has as well.  NGX_ERROR: there is no room; they take a quarter of
 * the zone at most.
 */

ngx_int_t ngx_canary_keep_other(ngx_canary_zone_t *zone, ngx_str_t *word,
    ngx_str_t *record);
void ngx_canary_forget_other(ngx_canary_zone_t *zone, ngx_str_t *word);
void ngx_canary_forget_others(ngx_canary_zone_t *zone);

/* whether that is a state in which the fleet is reached */
ngx_uint_t ngx_canary_fleet_in_touch(ngx_uint_t state);


/*
 * Asks for a node to be forgotten, until "till"; the number of the request, 0
 * if another one is under way.
 */

uint64_t ngx_canary_fleet_to_forget(ngx_canary_zone_t *zone, ngx_str_t *node,
    const canary_actor_t *actor, uint64_t now, uint64_t till);

/*
 * What became of it; ASKED or SENT: nothing yet.  Once it is more, or "over",
 * the place is free.
 */

ngx_canary_forget_e ngx_canary_fleet_forget_fate(ngx_canary_zone_t *zone,
    uint64_t number, ngx_uint_t over, uint64_t *value);


#endif /* _NGX_CANARY_FLEET_LOOK_H_INCLUDED_ */
