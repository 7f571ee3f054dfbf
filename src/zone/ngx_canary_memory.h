
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_MEMORY_H_INCLUDED_
#define _NGX_CANARY_MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_layout.h"
#include "canary_judge_layout.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"


/* memory of the zone, under the lock */


/* of books: so that a history can take their place */
#define NGX_CANARY_BOOKS  ngx_max(sizeof(canary_judged_t),                    \
                                  sizeof(ngx_canary_history_t))

/* memory for all that a rollout needs, or for events only; NGX_ERROR: the zone
   is full */
ngx_int_t ngx_canary_provide(ngx_canary_shared_t *shared,
    const canary_rollout_t *rollout);
ngx_int_t ngx_canary_provide_history(ngx_canary_shared_t *shared);

/* so many slots: where there is no room for more than the first one, processes
   share that; none: nor for that */
void ngx_canary_add_slots(ngx_canary_zone_t *zone, ngx_uint_t configured,
    canary_evidence_t *evidence, ngx_uint_t n);


#endif /* _NGX_CANARY_MEMORY_H_INCLUDED_ */
