
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_TURN_H_INCLUDED_
#define _NGX_CANARY_TURN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"


/* who waits for whom */


/*
 * Under the lock.  DONE: a change need not wait any more; BUSY: it has to, and
 * has a ticket if it queues; CROWDED: it may not even wait.
 */
ngx_canary_section_e ngx_canary_take_turn(
    ngx_canary_shared_t *shared, ngx_canary_change_t *change);

/* under the lock: whether anything waits for its turn */
ngx_uint_t ngx_canary_queued(ngx_canary_shared_t *shared, uint64_t now);

/* under the lock: all that waits now does so in vain, but for the change that
   stops it, should it have a ticket */
void ngx_canary_stop_queued(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change);

/* whether a change that has a ticket waits in vain */
ngx_uint_t ngx_canary_stopped(ngx_canary_shared_t *shared,
    ngx_canary_change_t *change);

/* whether a change with a ticket need not wait any more */
ngx_uint_t ngx_canary_is_turn(ngx_canary_endpoint_t *endpoint,
    ngx_canary_change_t *change);

/* gives its ticket back, if it has one */
void ngx_canary_leave_turn(ngx_canary_endpoint_t *endpoint,
    ngx_canary_change_t *change);


#endif /* _NGX_CANARY_TURN_H_INCLUDED_ */
