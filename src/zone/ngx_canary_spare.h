
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_SPARE_H_INCLUDED_
#define _NGX_CANARY_SPARE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_evidence_layout.h"

#include "ngx_canary_shared.h"


/* under the lock */


/* evidence of a rollout that is over, or did not begin, may be used again */
void ngx_canary_put_spare(ngx_canary_shared_t *shared);
void ngx_canary_list_spare(ngx_canary_zone_t *zone,
    canary_evidence_t *evidence);

/* some that was released no later than that, ms; NULL: there is none */
canary_evidence_t *ngx_canary_take_spare(ngx_canary_zone_t *zone,
    uint64_t rested);

/* frees the books of some, or some that nobody can be using; 0: there is
   none */
ngx_uint_t ngx_canary_free_spare_evidence(ngx_canary_zone_t *zone);


#endif /* _NGX_CANARY_SPARE_H_INCLUDED_ */
