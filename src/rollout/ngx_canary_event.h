
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_EVENT_H_INCLUDED_
#define _NGX_CANARY_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"


/* An event of a change that has been decided, with all but its id. */

void ngx_canary_make_event(canary_event_t *event,
    ngx_canary_shared_t *shared, const canary_rollout_t *from,
    const canary_rollout_t *to, ngx_canary_change_t *change);

void ngx_canary_log_event(canary_event_t *event,
    ngx_canary_shared_t *shared, ngx_log_t *log);


#endif /* _NGX_CANARY_EVENT_H_INCLUDED_ */
