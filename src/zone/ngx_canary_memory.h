
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_MEMORY_H_INCLUDED_
#define _NGX_CANARY_MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_layout.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"


/* memory of the zone, under the lock */


/* memory for all that a rollout needs, or for events only, if need be from
   rollouts that have ended; NGX_ERROR: the zone is full */
ngx_int_t ngx_canary_provide(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout);
ngx_int_t ngx_canary_provide_history(ngx_canary_shared_t *shared);
void ngx_canary_add_slots(ngx_canary_zone_t *zone,
    ngx_uint_t configured, canary_evidence_t *evidence, ngx_uint_t n);
size_t ngx_canary_books_size(void);


#endif /* _NGX_CANARY_MEMORY_H_INCLUDED_ */
