
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_PENDING_H_INCLUDED_
#define _NGX_CANARY_PENDING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"

#include "ngx_canary_shared.h"


/* Changes that are pending: under the lock, but where it says so. */


/* the number of a change that the file is to have */
uint64_t ngx_canary_next_sequence(ngx_canary_zone_t *zone);

/* the number of an event; 0: there are no more, so only the log has it */
uint64_t ngx_canary_next_event_id(ngx_canary_zone_t *zone);

/* an event that the file may have is none: its change is not made */
void ngx_canary_void_event(ngx_canary_shared_t *shared, uint64_t id);

void ngx_canary_defer(ngx_canary_shared_t *shared,
    ngx_canary_record_t *next, canary_event_t *event, uint64_t now);

/* the fleet has it: from now on the file is to have it, too; held: then it
   takes effect when the fleet's helper says so */
void ngx_canary_agree(ngx_canary_shared_t *shared, ngx_uint_t held);

/* ends what is pending, if anything is; APPLIED makes it happen */
void ngx_canary_conclude(ngx_canary_shared_t *shared,
    ngx_canary_fate_e fate, uint64_t now, ngx_log_t *log);

/* whether a process has died when that had happened, and nothing pends */
ngx_uint_t ngx_canary_has_taken_effect(ngx_canary_shared_t *shared);

ngx_canary_fate_e ngx_canary_fate(ngx_canary_shared_t *shared,
    uint64_t sequence);

/* whether the file has, or will soon have, what the endpoint is */
ngx_uint_t ngx_canary_durable(ngx_canary_shared_t *shared, uint64_t now);

/* the same of all there is, and what is next could be written as well */
ngx_uint_t ngx_canary_all_durable(ngx_canary_zone_t *zone, uint64_t now);


#endif /* _NGX_CANARY_PENDING_H_INCLUDED_ */
