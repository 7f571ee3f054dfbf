
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_EFFECT_H_INCLUDED_
#define _NGX_CANARY_EFFECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"

#include "ngx_canary_shared.h"


/*
 * How a change takes effect, under the lock: the new record and its event are
 * written where nobody looks yet, then the record becomes the current one, then
 * requests are routed by it.
 */


/* makes a record that was decided the present one, with its event */
void ngx_canary_take_effect(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event, uint64_t now,
    ngx_log_t *log);

/*
 * Does what a process that died has left undone of a change that has taken
 * effect; evidence that no rollout needs now, nor one that is pending, may be
 * used again.
 */
void ngx_canary_mend_effect(ngx_canary_shared_t *shared, uint64_t now);


#endif /* _NGX_CANARY_EFFECT_H_INCLUDED_ */
